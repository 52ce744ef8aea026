"""Encrypted files: what was closed opens again with the right key, with no other, and not after a change of any part."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat, PublicFormat
from harness.live.bootstrap.base import BootstrapError
from harness.live.bootstrap.box import Keys, NotForYouError, close, name_of, open_box, read_identity, read_recipient
from hypothesis import given, settings
from hypothesis import strategies as st

WORK = 2**4
PASSPHRASE = "correct horse battery staple"
PAYLOAD = b"the payload, which nobody reads"


def box(keys: Keys, payload: bytes = PAYLOAD) -> dict[str, Any]:
    """A box as it comes back from a file."""
    found: dict[str, Any] = json.loads(json.dumps(close(payload, "a test", keys, work=WORK)))
    return found


@given(st.binary(max_size=2000), st.text(st.characters(codec="utf-8"), min_size=12, max_size=40), st.integers(0, 3))
@settings(max_examples=15)
def test_what_was_closed_opens_for_everybody_it_was_closed_for(payload: bytes, passphrase: str, number: int) -> None:
    people = [X25519PrivateKey.generate() for _ in range(number)]
    closed = box(Keys(passphrase, [each.public_key() for each in people]), payload)
    assert open_box(closed, Keys(passphrase)) == payload
    assert [open_box(closed, Keys(identities=[each])) for each in people] == [payload] * number


def test_nobody_else_opens_it() -> None:
    mine = X25519PrivateKey.generate()
    closed = box(Keys(PASSPHRASE, [mine.public_key()]))
    for keys in (Keys("wrong horse battery staple"), Keys(identities=[X25519PrivateKey.generate()]), Keys()):
        with pytest.raises(NotForYouError, match=r"^a test: (wrong passphrase or key|no key was given)$"):
            open_box(closed, keys)


def test_payload_and_passphrase_are_not_in_it_and_no_two_boxes_are_alike() -> None:
    one, other = (json.dumps(box(Keys(PASSPHRASE))) for _ in range(2))
    for text in (PASSPHRASE, PAYLOAD.decode()):
        assert text not in one
        assert base64.b64encode(text.encode()).decode()[:12] not in one
    assert one != other
    assert json.loads(one)["payload"] != json.loads(other)["payload"]


def changed(text: str) -> str:
    """Base64 with another last bit."""
    data = base64.b64decode(text)
    return base64.b64encode(data[:-1] + bytes([data[-1] ^ 1])).decode()


@pytest.mark.parametrize("part", ["what", "nonce", "payload", "key", "salt", "n", "recipient", "fresh"])
def test_a_change_of_any_part_is_noticed(part: str) -> None:
    mine = X25519PrivateKey.generate()
    closed = box(Keys(PASSPHRASE, [mine.public_key()]))
    places = [closed, *closed["opened-by"]]
    for place in places:
        if part in place:
            old = place[part]
            place[part] = 2**5 if part == "n" else "another" if part in ("what", "recipient") else changed(old)
            for keys in (Keys(PASSPHRASE), Keys(identities=[mine])):
                with pytest.raises(BootstrapError):
                    open_box(closed, keys)
            place[part] = old
    assert open_box(closed, Keys(PASSPHRASE)) == PAYLOAD


@pytest.mark.parametrize("work", [2**21, 3, 0, "many", True])
def test_a_box_cannot_ask_for_endless_work(work: object) -> None:
    closed = box(Keys(PASSPHRASE))
    closed["opened-by"][0]["n"] = work
    with pytest.raises(BootstrapError):
        open_box(closed, Keys(PASSPHRASE))


@pytest.mark.parametrize(
    "odd", [None, [], "", {}, {"format": "age"}, {"format": "plimsoll-box/1", "opened-by": [{}]}, {"format": "plimsoll-box/1", "opened-by": [7]}]
)
def test_what_is_no_box_is_refused(odd: object) -> None:
    with pytest.raises(BootstrapError):
        open_box(odd, Keys(PASSPHRASE))


def test_nobody_to_open_it_and_short_passphrases_are_refused() -> None:
    with pytest.raises(BootstrapError, match="nobody could open it again"):
        close(PAYLOAD, "a test", Keys())
    with pytest.raises(BootstrapError, match="shorter than 12 characters"):
        close(PAYLOAD, "a test", Keys("eleven char"))


def test_keys_come_as_openssl_writes_them() -> None:
    key = X25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE.encode())).decode()
    names = {name_of(read_recipient(public, "me.pub")), *(name_of(read_identity(*words).public_key()) for words in ((plain, "me"), (locked, "me", PASSPHRASE)))}
    assert names == {name_of(key.public_key())}
    for words in ((locked, "me", "wrong horse battery staple"), (locked, "me"), (plain, "me", PASSPHRASE), ("nothing", "me")):
        with pytest.raises(BootstrapError, match=r"^me"):
            read_identity(*words)
    other = generate_private_key(65537, 2048)
    with pytest.raises(BootstrapError, match="other is no X25519 public key"):
        read_recipient(other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(), "other")
    with pytest.raises(BootstrapError, match="other is no X25519 private key"):
        read_identity(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(), "other")


def test_repr_shows_no_passphrase() -> None:
    assert repr(Keys(PASSPHRASE)) == "Keys(0 recipients, 0 identities, a passphrase)"
