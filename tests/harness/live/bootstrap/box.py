"""Encrypted files for keys: opened by a passphrase, or by the private key of one of the recipients.

A box is JSON. Its payload is encrypted with a random key (AES-256-GCM); that key is wrapped once for every way to open the box: under a key
derived from a passphrase (scrypt, RFC 7914), or from a fresh X25519 key agreed with a recipient's public key (RFC 7748, HKDF with SHA-256 of
RFC 5869). Everything else in the box is authenticated with the payload. Keys of recipients are plain PEM, as
``openssl genpkey -algorithm X25519`` and ``openssl pkey -pubout`` write them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key, load_pem_public_key

from harness.live.bootstrap.base import BootstrapError

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMAT: Final = "plimsoll-box/1"
#: Work of scrypt for new boxes: 128 MiB and a few tenths of a second. What is read may ask for eight times as much and no more.
WORK: Final = 2**17
_MOST_WORK: Final = 2**20
_KEY: Final = 32
_NONCE: Final = 12
#: Characters of the shortest passphrase that is taken.
SHORTEST: Final = 12


class NotForYouError(BootstrapError):
    """None of the keys at hand opens a box."""


@dataclass(frozen=True)
class Keys:
    """What can open or close boxes. ``repr`` shows none of it."""

    passphrase: str = ""
    recipients: Sequence[X25519PublicKey] = ()
    identities: Sequence[X25519PrivateKey] = ()

    def __repr__(self) -> str:
        return f"Keys({len(self.recipients)} recipients, {len(self.identities)} identities{', a passphrase' if self.passphrase else ''})"


def close(payload: bytes, what: str, keys: Keys, *, work: int = WORK) -> dict[str, Any]:
    """A box of a payload, for the passphrase and every recipient of ``keys``. ``what`` stands readable in it.

    Raises:
        BootstrapError: there is nobody to open it, or the passphrase is too short.
    """
    if not keys.passphrase and not keys.recipients:
        raise BootstrapError("nobody could open it again: give a passphrase or a public key")
    key = os.urandom(_KEY)
    ways = [_for_recipient(key, each) for each in keys.recipients]
    if keys.passphrase:
        if len(keys.passphrase) < SHORTEST:
            raise BootstrapError(f"the passphrase is shorter than {SHORTEST} characters")
        ways.append(_for_passphrase(key, keys.passphrase, work))
    head = {"format": FORMAT, "what": what, "opened-by": ways}
    nonce = os.urandom(_NONCE)
    return {**head, "nonce": _text(nonce), "payload": _text(AESGCM(key).encrypt(nonce, payload, _canonical(head)))}


def open_box(box: Any, keys: Keys) -> bytes:
    """The payload of a box.

    Raises:
        NotForYouError: neither the passphrase nor an identity of ``keys`` opens it.
        BootstrapError: it is no box, or it was damaged or changed.
    """
    if not isinstance(box, dict) or box.get("format") != FORMAT or not isinstance(box.get("opened-by"), list):
        raise BootstrapError(f"this is no encrypted file of the format {FORMAT}")
    try:
        key = next((found for way in box["opened-by"] if (found := _unwrap(way, keys)) is not None), None)
        if key is None:
            raise NotForYouError(f"{box.get('what', 'the file')}: {'wrong passphrase or key' if keys.passphrase or keys.identities else 'no key was given'}")
        head = {name: box[name] for name in ("format", "what", "opened-by")}
        return AESGCM(key).decrypt(_bytes(box["nonce"]), _bytes(box["payload"]), _canonical(head))
    except InvalidTag:
        raise BootstrapError(f"{box.get('what', 'the file')}: the content was damaged or changed") from None
    except (KeyError, TypeError, ValueError) as error:
        raise BootstrapError(f"the encrypted file is damaged: {type(error).__name__}") from None


def read_recipient(text: str, name: str) -> X25519PublicKey:
    """A public key in PEM. Raises BootstrapError."""
    try:
        found = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, X25519PublicKey):
        raise BootstrapError(f"{name} is no X25519 public key in PEM: openssl genpkey -algorithm X25519 -aes256 -out me.pem; openssl pkey -in me.pem -pubout")
    return found


def read_identity(text: str, name: str, passphrase: str = "") -> X25519PrivateKey:
    """A private key in PEM, encrypted or not. Raises BootstrapError, with nothing of the key."""
    try:
        found = load_pem_private_key(text.encode(), passphrase.encode() if passphrase else None)
    except TypeError:
        raise BootstrapError(f"{name}: the key needs a passphrase, or has none and got one") from None
    except (ValueError, UnsupportedAlgorithm):
        raise BootstrapError(f"{name}: wrong passphrase, or no private key in PEM") from None
    if not isinstance(found, X25519PrivateKey):
        raise BootstrapError(f"{name} is no X25519 private key")
    return found


def name_of(recipient: X25519PublicKey) -> str:
    """The fingerprint of a public key: the first 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(_raw(recipient)).hexdigest()[:16]


def _for_recipient(key: bytes, recipient: X25519PublicKey) -> dict[str, Any]:
    fresh = X25519PrivateKey.generate()
    nonce = os.urandom(_NONCE)
    wrapping = _agreed(fresh.exchange(recipient), _raw(fresh.public_key()), _raw(recipient))
    return {
        "by": "x25519",
        "recipient": name_of(recipient),
        "fresh": _text(_raw(fresh.public_key())),
        "nonce": _text(nonce),
        "key": _text(AESGCM(wrapping).encrypt(nonce, key, None)),
    }


def _for_passphrase(key: bytes, passphrase: str, work: int) -> dict[str, Any]:
    salt, nonce = os.urandom(16), os.urandom(_NONCE)
    wrapping = Scrypt(salt=salt, length=_KEY, n=work, r=8, p=1).derive(passphrase.encode())
    return {"by": "scrypt", "n": work, "salt": _text(salt), "nonce": _text(nonce), "key": _text(AESGCM(wrapping).encrypt(nonce, key, None))}


def _unwrap(way: dict[str, Any], keys: Keys) -> bytes | None:
    """The key of a box, where one of ``keys`` unwraps it."""
    wrappings: list[bytes] = []
    if way["by"] == "scrypt" and keys.passphrase:
        work = way["n"]
        if not isinstance(work, int) or not 2 <= work <= _MOST_WORK or work & (work - 1):
            raise ValueError("work")
        wrappings = [Scrypt(salt=_bytes(way["salt"]), length=_KEY, n=work, r=8, p=1).derive(keys.passphrase.encode())]
    elif way["by"] == "x25519":
        fresh = X25519PublicKey.from_public_bytes(_bytes(way["fresh"]))
        mine = [each for each in keys.identities if name_of(each.public_key()) == way["recipient"]]
        wrappings = [_agreed(each.exchange(fresh), _raw(fresh), _raw(each.public_key())) for each in mine]
    for wrapping in wrappings:
        try:
            return AESGCM(wrapping).decrypt(_bytes(way["nonce"]), _bytes(way["key"]), None)
        except InvalidTag:
            continue
    return None


def _agreed(shared: bytes, fresh: bytes, recipient: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=_KEY, salt=fresh + recipient, info=FORMAT.encode()).derive(shared)


def _raw(key: X25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _canonical(head: dict[str, Any]) -> bytes:
    return json.dumps(head, sort_keys=True, separators=(",", ":")).encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("base64") from error
