"""X.509 certificates as they stand in text: what a rule asks of one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

#: How a certificate begins in PEM.
BEGIN: Final = "-----BEGIN CERTIFICATE-----"
#: A certificate in PEM (RFC 7468), also indented or with ``\n`` written out as in JSON.
_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----(?P<body>[A-Za-z0-9+/=\s\\]+?)-----END CERTIFICATE-----")


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is asked of a certificate. ``bits`` is the size of its key, 0 for keys without one (Ed25519); ``modulus`` is that of an RSA key, else 0."""

    subject: str
    not_before: datetime
    not_after: datetime
    algorithm: str
    bits: int
    modulus: int
    is_authority: bool
    fingerprint: str
    """SHA-256 of its DER encoding, in hexadecimal."""


@dataclass(frozen=True, slots=True)
class Block:
    """One certificate of a text. ``offset`` is where it begins; ``problem`` says why it cannot be read, and then there is no ``certificate``."""

    offset: int
    certificate: Certificate | None
    problem: str = ""


def blocks(text: str) -> Iterator[Block]:
    """The certificates of a text, in their order. Never raises: one that cannot be read says why."""
    if BEGIN not in text:
        return
    for match in _PEM.finditer(text):
        body = re.sub(r"\\[nr]|\s", "", match["body"])
        try:
            yield Block(match.start(), read(f"{BEGIN}\n{body}\n-----END CERTIFICATE-----\n"))
        except ValueError as error:
            yield Block(match.start(), None, str(error).splitlines()[0] if str(error) else type(error).__name__)


def read(pem: str) -> Certificate:
    """One certificate. Raises ValueError when it cannot be read."""
    # Imported when a certificate is met: most repositories hold none, and the library takes a tenth of a second.
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    try:
        found = x509.load_pem_x509_certificate(pem.encode())
        key = found.public_key()
        extensions = found.extensions
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from error
    try:
        is_authority = extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_authority = False
    rsa_key = key if isinstance(key, rsa.RSAPublicKey) else None
    bits = key.key_size if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) else 0
    return Certificate(
        subject=found.subject.rfc4514_string(),
        not_before=found.not_valid_before_utc,
        not_after=found.not_valid_after_utc,
        algorithm=type(key).__name__.removesuffix("PublicKey").lstrip("_"),
        bits=bits,
        modulus=rsa_key.public_numbers().n if rsa_key is not None else 0,
        is_authority=is_authority,
        fingerprint=found.fingerprint(hashes.SHA256()).hex(),
    )
