"""A run's values: every SealedSecret gets new ones, sealed under its own name, and nothing inside is ever shown."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from harness.engines.secrets.sealed import Scope
from harness.live.bootstrap_sealing import new_pair, unseal
from harness.live.sealing import random_value, seal_all
from harness.model import Location, Object, ObjectId, Origin, fixed, group_of

PAIR = new_pair("test", datetime.now(UTC), bits=2048)
FILLER = "x" * 80


def item(api: str, kind: str, namespace: str, name: str, **body: object) -> Object:
    annotations = body.pop("annotations", {})
    whole = {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace, "annotations": annotations}, **body}
    return Object(ObjectId("kind", group_of(api), kind, namespace, name), whole, Origin(fixed(Location("a.yaml", 1))))


def sealed_secret(namespace: str, name: str, data: dict[str, str], kind: str = "Opaque", **annotations: str) -> Object:
    spec = {"encryptedData": data, "template": {"type": kind}}
    return item("bitnami.com/v1alpha1", "SealedSecret", namespace, name, spec=spec, annotations=annotations)


def test_values_in_variables_and_in_the_object() -> None:
    one, two, three = (f"{FILLER}{number}" for number in range(3))
    values = item("v1", "ConfigMap", "flux-system", "sealed-values", data={"A": f"{one}\n", "B": two, "SHORT": "y"})
    objects = [
        values,
        sealed_secret("apps", "web", {"password": one, "own": three}),
        # The same variable under another name: it can be sealed for one of them only.
        sealed_secret("apps", "copy", {"password": one}, **{"sealedsecrets.bitnami.com/namespace-wide": "true"}),
    ]
    sealed = seal_all(objects, PAIR.certificate, lambda _kind, key: f"plain {key}")
    assert list(sealed.variables) == [("flux-system", "sealed-values")]
    assert unseal(PAIR.key, sealed.variables["flux-system", "sealed-values"]["A"], "apps", "web") == b"plain password"
    assert "B" not in sealed.variables["flux-system", "sealed-values"]
    assert [(holder.name, sorted(own)) for holder, own in sealed.literals] == [("web", ["own"]), ("copy", ["password"])]
    assert unseal(PAIR.key, sealed.literals[0][1]["own"], "apps", "web") == b"plain own"
    assert unseal(PAIR.key, sealed.literals[1][1]["password"], "apps", "copy", Scope.NAMESPACE) == b"plain password"
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
    sealed = seal_all(odd, PAIR.certificate)
    assert (sealed.variables, sealed.literals, sealed.plain) == ({}, [], {})
