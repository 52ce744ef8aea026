"""Sealing for a run's own key: what comes out opens under its own name only, and nothing inside is ever shown."""

from __future__ import annotations

import base64
import re

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from harness.engines.secrets.sealed import Scope, label_of, open_value
from harness.live.sealing import KEY_LABEL, SealingKey, random_value, seal_all
from harness.model import Location, Object, ObjectId, Origin, fixed, group_of

KEY = SealingKey.generate("test", bits=2048)
FILLER = "x" * 80


def unseal(value: str, label: bytes, key: SealingKey = KEY) -> bytes:
    """The controller's side (pkg/crypto HybridDecrypt), written from its description."""
    private = serialization.load_pem_private_key(key.private.encode(), None)
    data = base64.b64decode(value)
    size = int.from_bytes(data[:2], "big")
    session = private.decrypt(data[2 : 2 + size], padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label))
    return AESGCM(session).decrypt(bytes(12), data[2 + size :], None)


def item(api: str, kind: str, namespace: str, name: str, **body: object) -> Object:
    annotations = body.pop("annotations", {})
    whole = {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace, "annotations": annotations}, **body}
    return Object(ObjectId("kind", group_of(api), kind, namespace, name), whole, Origin(fixed(Location("a.yaml", 1))))


def sealed_secret(namespace: str, name: str, data: dict[str, str], kind: str = "Opaque", **annotations: str) -> Object:
    spec = {"encryptedData": data, "template": {"type": kind}}
    return item("bitnami.com/v1alpha1", "SealedSecret", namespace, name, spec=spec, annotations=annotations)


@pytest.mark.parametrize("scope", Scope)
def test_opens_under_its_label_only(scope: Scope) -> None:
    label = label_of("apps", "web", scope)
    sealed = KEY.seal(b"secret", label)
    assert unseal(sealed, label) == b"secret"
    assert open_value(sealed).length == 6
    assert open_value(sealed).bits == 2048
    with pytest.raises((ValueError, InvalidTag)):
        unseal(sealed, b"other/web")


def test_two_seals_of_one_value_differ() -> None:
    assert KEY.seal(b"secret", b"a") != KEY.seal(b"secret", b"a")


def test_private_key_is_in_no_representation() -> None:
    assert "PRIVATE" not in repr(KEY)
    assert "PRIVATE" not in f"{KEY}"


def test_key_secret_is_what_the_controller_looks_for() -> None:
    body = KEY.secret("sealed-secrets", "run-key")
    assert body["metadata"] == {"name": "run-key", "namespace": "sealed-secrets", "labels": {KEY_LABEL: "active"}}
    assert body["type"] == "kubernetes.io/tls"
    kept = {"data": {key: base64.b64encode(value.encode()).decode() for key, value in body["stringData"].items()}}
    assert SealingKey.of_secret(kept) == KEY


@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": {"tls.crt": "eA=="}}, {"data": {"tls.crt": "%", "tls.key": "%"}}])
def test_a_secret_without_a_key_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="holds no sealing key"):
        SealingKey.of_secret(body)


def test_values_in_variables_and_in_the_object() -> None:
    one, two, three = (f"{FILLER}{number}" for number in range(3))
    values = item("v1", "ConfigMap", "flux-system", "sealed-values", data={"A": f"{one}\n", "B": two, "SHORT": "y"})
    objects = [
        values,
        sealed_secret("apps", "web", {"password": one, "own": three}),
        # The same variable under another name: it can be sealed for one of them only.
        sealed_secret("apps", "copy", {"password": one}, **{"sealedsecrets.bitnami.com/namespace-wide": "true"}),
    ]
    sealed = seal_all(objects, KEY, lambda _kind, key: f"plain {key}")
    assert list(sealed.variables) == [("flux-system", "sealed-values")]
    assert unseal(sealed.variables["flux-system", "sealed-values"]["A"], b"apps/web") == b"plain password"
    assert "B" not in sealed.variables["flux-system", "sealed-values"]
    assert [(holder.name, sorted(own)) for holder, own in sealed.literals] == [("web", ["own"]), ("copy", ["password"])]
    assert unseal(sealed.literals[0][1]["own"], b"apps/web") == b"plain own"
    assert unseal(sealed.literals[1][1]["password"], b"apps") == b"plain password"
    assert sealed.plain == {("apps", "web", "password"): "plain password", ("apps", "web", "own"): "plain own", ("apps", "copy", "password"): "plain password"}
    assert "plain password" not in repr(sealed)


@pytest.mark.parametrize(
    ("kind", "key", "form"),
    [
        ("Opaque", "token", r"[\w-]{43}"),
        ("Opaque", "url", r"http://receiver\.invalid/[\w-]{43}"),
        ("Opaque", "urgent-url", r"http://receiver\.invalid/[\w-]{43}"),
        ("nginx.org/htpasswd", "htpasswd", r"operator:\{SHA\}[A-Za-z0-9+/]{27}="),
    ],
)
def test_random_values_have_the_form_their_key_needs(kind: str, key: str, form: str) -> None:
    assert re.fullmatch(form, random_value(kind, key))
    assert random_value(kind, key) != random_value(kind, key)


def test_odd_objects_are_passed_over() -> None:
    odd = [
        sealed_secret("a", "b", {}),
        item("v1", "ConfigMap", "a", "c", data=[1]),
        item("bitnami.com/v1alpha1", "SealedSecret", "a", "d", spec={"encryptedData": ["x"]}),
    ]
    sealed = seal_all(odd, KEY)
    assert (sealed.variables, sealed.literals, sealed.plain) == ({}, [], {})
