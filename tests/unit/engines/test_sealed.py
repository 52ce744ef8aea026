"""SealedSecrets without the key: what kubeseal makes is accepted, what was damaged is told where it can be, and nothing else is claimed."""

from __future__ import annotations

import base64
import os
import struct
from functools import cache
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from harness.engines.secrets.sealed import Scope, label_of, open_value, scope_faults, scope_of, structure_faults
from harness.model import Location, Object, ObjectId, Origin
from harness.model.origin import fixed
from hypothesis import given, settings
from hypothesis import strategies as st


@cache
def key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def oaep(label: bytes) -> padding.OAEP:
    return padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label)


def seal(plain: bytes, label: bytes, bits: int = 2048) -> str:
    session = os.urandom(32)
    wrapped = key(bits).public_key().encrypt(session, oaep(label))
    return base64.b64encode(struct.pack(">H", len(wrapped)) + wrapped + AESGCM(session).encrypt(b"\0" * 12, plain, None)).decode()


def unseal(value: str, label: bytes, bits: int = 2048) -> bytes:
    data = base64.b64decode(value, validate=True)
    size = struct.unpack(">H", data[:2])[0]
    return AESGCM(key(bits).decrypt(data[2 : 2 + size], oaep(label))).decrypt(b"\0" * 12, data[2 + size :], None)


def sealed(values: Any, annotations: dict[str, str] | None = None, template: Any = None) -> Object:
    body: dict[str, Any] = {"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": {"name": "db", "namespace": "shop"}}
    if annotations is not None:
        body["metadata"]["annotations"] = annotations
    body["spec"] = {"encryptedData": values, "template": template}
    return Object(ObjectId("test", "bitnami.com", "SealedSecret", "shop", "db"), body, Origin(fixed(Location("a.yaml"))))


@settings(max_examples=40)
@given(st.binary(max_size=300), st.sampled_from(Scope))
def test_what_is_sealed_is_accepted_with_its_length(plain: bytes, scope: Scope) -> None:
    label = label_of("shop", "db", scope)
    value = seal(plain, label)
    assert unseal(value, label) == plain
    assert (open_value(value).bits, open_value(value).length) == (2048, len(plain))
    assert list(structure_faults(sealed({"a": value}))) == []


@settings(max_examples=40)
@given(st.binary(min_size=1, max_size=40), st.data())
def test_a_cut_is_told_unless_it_leaves_a_whole_value(plain: bytes, data: st.DataObject) -> None:
    whole = base64.b64decode(seal(plain, b"shop/db"))
    short = whole[: data.draw(st.integers(0, len(whole) - 1))]
    if len(short) >= 2 + 256 + 16:
        assert open_value(base64.b64encode(short).decode()).length < len(plain)
    else:
        with pytest.raises(ValueError, match=r"bytes|no sealed value"):
            open_value(base64.b64encode(short).decode())


@settings(max_examples=40)
@given(st.binary(min_size=1, max_size=40), st.integers(0, 15))
def test_a_changed_bit_of_the_length_is_told(plain: bytes, bit: int) -> None:
    whole = bytearray(base64.b64decode(seal(plain, b"shop/db")))
    whole[bit // 8] ^= 1 << (bit % 8)
    damaged = base64.b64encode(bytes(whole)).decode()
    size = int.from_bytes(whole[:2], "big")
    if 64 <= size <= len(whole) - 18:
        # A smaller key would give such a value: it is told beside its neighbours, or as weak.
        assert list(structure_faults(sealed({"a": damaged, "b": seal(b"x", b"shop/db"), "c": seal(b"y", b"shop/db")})))
    else:
        with pytest.raises(ValueError, match=r"length of an RSA|cut off"):
            open_value(damaged)


@settings(max_examples=25)
@given(st.binary(min_size=1, max_size=40), st.data())
def test_a_changed_bit_of_the_rest_is_left_to_the_controller_which_refuses_it(plain: bytes, data: st.DataObject) -> None:
    whole = bytearray(base64.b64decode(seal(plain, b"shop/db")))
    position = data.draw(st.integers(2, len(whole) - 1))
    whole[position] ^= 1 << data.draw(st.integers(0, 7))
    damaged = base64.b64encode(bytes(whole)).decode()
    assert open_value(damaged).bits == 2048
    with pytest.raises((ValueError, InvalidTag)):
        unseal(damaged, b"shop/db")


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("other", Scope)
def test_a_value_opens_under_its_own_label_only(scope: Scope, other: Scope) -> None:
    value = seal(b"plain", label_of("shop", "db", scope))
    if scope is other:
        assert unseal(value, label_of("shop", "db", other)) == b"plain"
    else:
        with pytest.raises(ValueError, match="ecryption"):
            unseal(value, label_of("shop", "db", other))


def test_labels_are_those_of_kubeseal() -> None:
    assert [label_of("shop", "db", scope) for scope in (Scope.STRICT, Scope.NAMESPACE, Scope.CLUSTER)] == [b"shop/db", b"shop", b""]


@pytest.mark.parametrize(
    ("annotations", "scope"),
    [
        ({}, Scope.STRICT),
        ({"sealedsecrets.bitnami.com/namespace-wide": "true"}, Scope.NAMESPACE),
        ({"sealedsecrets.bitnami.com/cluster-wide": "true", "sealedsecrets.bitnami.com/namespace-wide": "true"}, Scope.CLUSTER),
        ({"sealedsecrets.bitnami.com/cluster-wide": "True"}, Scope.STRICT),
        ({"sealedsecrets.bitnami.com/cluster-wide": True}, Scope.STRICT),
    ],
    ids=["none", "namespace", "cluster-wins", "capital", "boolean"],
)
def test_only_the_text_true_widens_the_scope(annotations: dict[str, Any], scope: Scope) -> None:
    assert scope_of(annotations) is scope


@pytest.mark.parametrize("odd", [None, [], "text", 7, {}, {"a": None}, {"a": 3}, {"a": ["b"]}, {7: "x"}], ids=repr)
def test_odd_values_are_faults_and_no_traceback(odd: Any) -> None:
    assert list(structure_faults(sealed(odd)))
    assert list(scope_faults(sealed(odd, template=odd))) == []


def test_two_sealing_keys_are_told_from_one() -> None:
    values = {"a": seal(b"1", b"shop/db"), "b": seal(b"2", b"shop/db"), "c": seal(b"3", b"shop/db", bits=3072)}
    assert [fault.found for fault in structure_faults(sealed(values))] == ["c: sealed with an RSA key of 3072 bits, others with one of 2048"]
