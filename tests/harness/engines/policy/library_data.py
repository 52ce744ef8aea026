"""The functions of Kyverno's CEL libraries that only compute: hashes, JSON, YAML, certificates and the like."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import math
from typing import TYPE_CHECKING, Any

import yaml

from harness.model.shapes import mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.engines.policy.api import Json

_SERVICE_ACCOUNT = "system:serviceaccount:"


def labels_of(item: Json) -> dict[str, Any]:
    return mapping(mapping(item.get("metadata")).get("labels"))


def parse_service_account(user: str) -> dict[str, str]:
    """``user.ServiceAccount``: both fields are empty for who is none."""
    namespace, colon, name = user.removeprefix(_SERVICE_ACCOUNT).partition(":")
    return {"Namespace": namespace, "Name": name} if user.startswith(_SERVICE_ACCOUNT) and colon else {"Namespace": "", "Name": ""}


def hasher(algorithm: str) -> Callable[[str], str]:
    return lambda text: hashlib.new(algorithm, text.encode(), usedforsecurity=False).hexdigest()


def compress(text: str) -> bytes:
    return gzip.compress(text.encode(), mtime=0)


def decompress(packed: bytes) -> str:
    try:
        return gzip.decompress(packed).decode("utf-8", "replace")
    except (OSError, EOFError) as error:
        raise ValueError(f"gzip: {error}") from error


def unmarshal(text: str) -> Any:
    """``encoding/json`` into an ``any``: every number is a double."""
    return json.loads(text, parse_int=float)


def marshal(value: Any) -> str:
    """``encoding/json``: keys sorted, compact, ``<``, ``>`` and ``&`` escaped."""
    text = json.dumps(_integral(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.translate({60: "\\u003c", 62: "\\u003e", 38: "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"})


def _integral(value: Any) -> Any:
    """Go writes a whole double without a fraction."""
    if isinstance(value, dict):
        return {str(name): _integral(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_integral(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return int(value)
    return value


def parse_yaml(text: str) -> Any:
    """``sigs.k8s.io/yaml`` into an ``any``: YAML made JSON, so every number is a double."""
    try:
        return unmarshal(json.dumps(yaml.safe_load(text)))
    except (yaml.YAMLError, TypeError, RecursionError) as error:
        raise ValueError(f"error converting YAML to JSON: {str(error).partition(chr(10))[0]}") from error


def list_to_map(keys: Sequence[Any], values: Sequence[Any], key_name: str, value_name: str) -> dict[str, Any]:
    if len(keys) != len(values):
        raise ValueError(f"listObjToMap must take lists of equal length. list1: {len(keys)}, list2: {len(values)}")
    found: dict[str, Any] = {}
    for one, other in zip(keys, values, strict=True):
        if not isinstance(one, dict) or not isinstance(other, dict) or not isinstance(one.get(key_name), str):
            raise TypeError("the passed key name cannot be handled as a string in the key object list")
        found[one[key_name]] = other.get(value_name)
    return found


def round_half_away(value: float, digits: int) -> float:
    """Go's ``math.Round`` with a number of digits: halves go away from zero."""
    if not math.isfinite(value) or abs(digits) > 300:
        return value
    shift = 10.0**digits
    scaled = abs(value) * shift
    return math.copysign(math.floor(scaled + 0.5) / shift, value) if math.isfinite(scaled) else value


def decode_x509(pem: str) -> dict[str, Any]:
    """``x509.decode``: the fields of a certificate or request with an RSA key, as Kyverno names them. Not all of Go's fields are there."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    source = pem.encode()
    if b"BEGIN CERTIFICATE REQUEST" in source:
        found: x509.Certificate | x509.CertificateSigningRequest = x509.load_pem_x509_csr(source)
    elif b"BEGIN CERTIFICATE" in source:
        found = x509.load_pem_x509_certificate(source)
    elif b"-----BEGIN " in source:
        raise ValueError("PEM block neither contains a CERTIFICATE or CERTIFICATE REQUEST")
    else:
        raise ValueError("failed to decode PEM block")
    key = found.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise TypeError("certificate should use rsa algorithm")
    numbers = key.public_numbers()
    output: dict[str, Any] = {
        "Raw": _base64(found.public_bytes(serialization.Encoding.DER)),
        "Signature": _base64(found.signature),
        "PublicKeyAlgorithm": 1.0,
        "PublicKey": {"N": str(numbers.n), "E": float(numbers.e)},
        "Subject": _name(found.subject),
        **_alternative_names(found),
    }
    if isinstance(found, x509.Certificate):
        output |= {
            "SerialNumber": float(found.serial_number),
            "Issuer": _name(found.issuer),
            "NotBefore": f"{found.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
            "NotAfter": f"{found.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
            **_constraints(found),
        }
        del output["Subject"]  # Kyverno keeps only the raw subject of a certificate
        output["RawSubject"], output["RawIssuer"] = _base64(found.subject.public_bytes()), _base64(found.issuer.public_bytes())
    return output


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _name(name: Any) -> dict[str, Any]:
    """``pkix.Name``."""
    from cryptography.x509.oid import NameOID

    def values(oid: Any) -> list[str] | None:
        return [str(entry.value) for entry in name.get_attributes_for_oid(oid)] or None

    return {
        "Country": values(NameOID.COUNTRY_NAME),
        "Organization": values(NameOID.ORGANIZATION_NAME),
        "OrganizationalUnit": values(NameOID.ORGANIZATIONAL_UNIT_NAME),
        "Locality": values(NameOID.LOCALITY_NAME),
        "Province": values(NameOID.STATE_OR_PROVINCE_NAME),
        "StreetAddress": values(NameOID.STREET_ADDRESS),
        "PostalCode": values(NameOID.POSTAL_CODE),
        "SerialNumber": (values(NameOID.SERIAL_NUMBER) or [""])[-1],
        "CommonName": (values(NameOID.COMMON_NAME) or [""])[-1],
    }


def _alternative_names(found: Any) -> dict[str, Any]:
    from cryptography import x509

    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return {"DNSNames": None, "EmailAddresses": None, "IPAddresses": None}
    return {
        "DNSNames": names.get_values_for_type(x509.DNSName) or None,
        "EmailAddresses": names.get_values_for_type(x509.RFC822Name) or None,
        "IPAddresses": [str(address) for address in names.get_values_for_type(x509.IPAddress)] or None,
    }


def _constraints(found: Any) -> dict[str, Any]:
    from cryptography import x509

    try:
        basic = found.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return {"BasicConstraintsValid": False, "IsCA": False, "MaxPathLen": 0.0, "MaxPathLenZero": False}
    length = basic.path_length
    return {
        "BasicConstraintsValid": True,
        "IsCA": basic.ca,
        "MaxPathLen": float(-1 if length is None else length),
        "MaxPathLenZero": length == 0,
    }
