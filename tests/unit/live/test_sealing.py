"""Sealed values: only their Secret opens them, each is found where it goes, and a run's own are shown nowhere."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from harness.engines.secrets.sealed import Scope, open_value
from harness.live.bootstrap.base import BootstrapError
from harness.live.bootstrap.sealing import new_pair
from harness.live.ground.sealing import Target, random_value, seal, seal_all, targets, unseal
from harness.model import Location, Object, ObjectId, Origin, fixed, group_of

if TYPE_CHECKING:
    from pathlib import Path

PAIR, NEWER = (new_pair("test", datetime.now(UTC), bits=2048) for _number in range(2))
FILLER = "x" * 80


def item(api: str, kind: str, namespace: str, name: str, **body: object) -> Object:
    annotations = body.pop("annotations", {})
    whole = {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace, "annotations": annotations}, **body}
    return Object(ObjectId("kind", group_of(api), kind, namespace, name), whole, Origin(fixed(Location("a.yaml", 1))))


def sealed_secret(namespace: str, name: str, data: dict[str, str], kind: str = "Opaque", **annotations: str) -> Object:
    spec = {"encryptedData": data, "template": {"type": kind}}
    return item("bitnami.com/v1alpha1", "SealedSecret", namespace, name, spec=spec, annotations=annotations)


@pytest.mark.parametrize("scope", list(Scope))
def test_a_sealed_value_opens_under_its_label_only(scope: Scope) -> None:
    sealed = seal(PAIR.certificate, b"value", "one", "two", scope)
    assert (open_value(sealed).bits, open_value(sealed).length) == (2048, 5)
    assert unseal(PAIR.key, sealed, "one", "two", scope) == b"value"
    refused = {Scope.STRICT: [("one", "x"), ("x", "two")], Scope.NAMESPACE: [("x", "two")], Scope.CLUSTER: []}[scope]
    for namespace, name in refused:
        with pytest.raises(ValueError, match="failed"):
            unseal(PAIR.key, sealed, namespace, name, scope)
    with pytest.raises(ValueError, match="failed"):
        unseal(NEWER.key, sealed, "one", "two", scope)


@pytest.mark.skipif(shutil.which("kubeseal") is None, reason="kubeseal is not on PATH")
def test_kubeseal_and_this_agree(tmp_path: Path) -> None:
    certificate = tmp_path / "cert.pem"
    certificate.write_text(PAIR.certificate, encoding="utf-8")
    command = ["kubeseal", "--raw", "--namespace", "one", "--name", "two", "--cert", str(certificate), "--from-file=/dev/stdin"]
    done = subprocess.run(command, input=b"value", capture_output=True)
    assert unseal(PAIR.key, done.stdout.decode(), "one", "two") == b"value"
    key = tmp_path / "key.pem"
    key.write_text(PAIR.key, encoding="utf-8")
    body = {
        "apiVersion": "bitnami.com/v1alpha1",
        "kind": "SealedSecret",
        "metadata": {"name": "two", "namespace": "one"},
        "spec": {"encryptedData": {"key": seal(PAIR.certificate, b"value", "one", "two")}},
    }
    command = ["kubeseal", "--recovery-unseal", f"--recovery-private-key={key}"]
    opened = subprocess.run(command, input=json.dumps(body).encode(), capture_output=True)
    assert base64.b64decode(json.loads(opened.stdout)["data"]["key"]) == b"value"


def test_where_values_go() -> None:
    objects = [sealed_secret("monitoring", "grafana", {"user": "AgA1", "password": "AgA2\n"}), sealed_secret("monitoring", "other", {"user": "literal"})]
    assert targets(objects, {"USER": "AgA1\n", "PASSWORD": "AgA2"}) == {
        "USER": Target("monitoring", "grafana", "user", Scope.STRICT),
        "PASSWORD": Target("monitoring", "grafana", "password", Scope.STRICT),
    }
    copied = [*objects, sealed_secret("monitoring", "copy", {"user": "AgA1"})]
    refused = [
        (objects, {"USER": "AgA1", "PASSWORD": "AgA1\n"}, "USER has the same text as another value"),
        (objects, {"USER": "AgA3"}, "USER stands in 0 SealedSecrets of the cluster: remove it"),
        (copied, {"USER": "AgA1"}, "USER stands in 2 SealedSecrets of the cluster: Secret monitoring/grafana, key user, Secret monitoring/copy, key user"),
    ]
    for items, values, error in refused:
        with pytest.raises(BootstrapError, match=error):
            targets(items, values)


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
    assert sealed.plain == {
        Target("apps", "web", "password", Scope.STRICT): "plain password",
        Target("apps", "web", "own", Scope.STRICT): "plain own",
        Target("apps", "copy", "password", Scope.NAMESPACE): "plain password",
    }
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
