"""Selectors, resource names, needs and makers: the parts of the bootstrap proof that fixtures would only show from afar."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from harness.flux.world import World
from harness.model import Location, Object, ObjectId, Origin, fixed, group_of
from harness.rules.order_makers import makers
from harness.rules.order_needs import Topic, needs
from harness.rules.order_webhook import plural, selects
from harness.source.repository import Repository
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path


def thing(kind: str, spec: dict[str, Any], api_version: str = "v1", **fields: Any) -> Object:
    body = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "web", "namespace": "apps", **fields.pop("metadata", {})}, "spec": spec, **fields}
    return Object(ObjectId("test", group_of(api_version), kind, "apps", "web"), body, Origin(fixed(Location("x.yaml", 1))))


@pytest.mark.parametrize(
    ("kind", "resource"),
    [
        ("Ingress", "ingresses"),
        ("NetworkPolicy", "networkpolicies"),
        ("Endpoints", "endpoints"),
        ("StorageClass", "storageclasses"),
        ("ConfigMap", "configmaps"),
        ("Gateway", "gateways"),
        ("PodDisruptionBudget", "poddisruptionbudgets"),
    ],
)
def test_resource_names_of_built_in_kinds(kind: str, resource: str) -> None:
    assert plural(kind) == resource


KEYS = st.sampled_from(["a", "b", "c"])
EXPRESSION = st.fixed_dictionaries({"key": KEYS, "operator": st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]), "values": st.lists(KEYS, max_size=2)})


def _slow(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """The oracle: the selector's requirements one by one, as the API documents them."""
    for key, value in selector["matchLabels"].items():
        if labels.get(key) != value:
            return False
    for entry in selector["matchExpressions"]:
        value = labels.get(entry["key"])
        fulfilled = {
            "In": value is not None and value in entry["values"],
            "NotIn": value is None or value not in entry["values"],
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[entry["operator"]]
        if not fulfilled:
            return False
    return True


@settings(max_examples=60)
@given(st.dictionaries(KEYS, KEYS), st.lists(EXPRESSION, max_size=2), st.dictionaries(KEYS, KEYS))
def test_label_selectors_agree_with_the_documentation(wanted: dict[str, str], expressions: list[dict[str, Any]], labels: dict[str, str]) -> None:
    selector = {"matchLabels": wanted, "matchExpressions": expressions}
    assert selects(selector, labels) is _slow(selector, labels)


def test_the_empty_selector_selects_everything() -> None:
    assert selects({}, {})
    assert selects({}, {"a": "b"})


POD = {
    "serviceAccountName": "web",
    "priorityClassName": "system-node-critical",
    "imagePullSecrets": [{"name": "registry"}],
    "volumes": [
        {"name": "a", "secret": {"secretName": "tls"}},
        {"name": "b", "configMap": {"name": "config", "optional": True}},
        {"name": "c", "projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}, {"secret": {"name": "token"}}]}},
        {"name": "d", "csi": {"driver": "x", "nodePublishSecretRef": {"name": "csi"}}},
        {"name": "e", "emptyDir": {}},
    ],
    "initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "from"}}, {"configMapRef": {"name": "maybe", "optional": True}}]}],
    "containers": [{"name": "c", "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "key", "key": "a"}}}, {"name": "B", "value": "b"}]}],
}


def test_a_pod_needs_what_is_not_optional_and_not_built_in() -> None:
    found = [(need.topic, str(need)) for need in needs(thing("Pod", POD))]
    assert found == [
        (Topic.DATA, "Secret apps/tls"),
        (Topic.DATA, "Secret apps/token"),
        (Topic.DATA, "Secret apps/csi"),
        (Topic.DATA, "Secret apps/from"),
        (Topic.DATA, "ConfigMap apps/key"),
        (Topic.DATA, "Secret apps/registry"),
        (Topic.ACCOUNT, "ServiceAccount apps/web"),
    ]


def test_every_need_points_at_the_place_that_says_so() -> None:
    cron = thing("CronJob", {"jobTemplate": {"spec": {"template": {"spec": POD}}}}, "batch/v1")
    base = ("spec", "jobTemplate", "spec", "template", "spec")
    assert [need.pointer for need in needs(cron)][:2] == [(*base, "volumes", 0, "secret"), (*base, "volumes", 2, "projected", "sources", 1, "secret")]
    assert all(cron.get(*need.pointer) is not None for need in needs(cron))


@pytest.mark.parametrize(
    "spec", [None, "x", [], {"containers": "x", "volumes": [1, None, {"secret": "x"}]}, {"containers": [{"env": [None, {"valueFrom": 1}]}]}]
)
def test_needs_of_a_malformed_pod_are_none(spec: Any) -> None:
    assert list(needs(thing("Pod", spec))) == []


MAKERS = [
    (
        "bitnami.com/v1alpha1",
        "SealedSecret",
        {"encryptedData": {"a": "x"}, "template": {"metadata": {"name": "other"}, "data": {"b": "y"}}},
        {},
        "web",
        {"a", "b"},
    ),
    (
        "cert-manager.io/v1",
        "Certificate",
        {"secretName": "tls", "keystores": {"jks": {"create": True}}},
        {},
        "tls",
        {"tls.crt", "tls.key", "ca.crt", "keystore.jks", "truststore.jks"},
    ),
    ("external-secrets.io/v1", "ExternalSecret", {"target": {"name": "db"}, "data": [{"secretKey": "a"}]}, {}, "db", {"a"}),
    ("external-secrets.io/v1", "ExternalSecret", {"dataFrom": [{"extract": {"key": "x"}}]}, {}, "web", None),
    ("secrets.hashicorp.com/v1beta1", "VaultDynamicSecret", {"destination": {"create": True, "name": "db"}}, {}, "db", None),
    ("onepassword.com/v1", "OnePasswordItem", {"itemPath": "x"}, {}, "web", None),
    (
        "networking.k8s.io/v1",
        "Ingress",
        {"tls": [{"secretName": "web-tls"}]},
        {"metadata": {"annotations": {"cert-manager.io/cluster-issuer": "ca"}}},
        "web-tls",
        {"tls.crt", "tls.key", "ca.crt"},
    ),
]


@pytest.mark.parametrize(("api_version", "kind", "spec", "fields", "name", "keys"), MAKERS, ids=[f"{index}-{row[1]}" for index, row in enumerate(MAKERS)])
def test_custom_resources_make_secrets(
    tmp_path: Path, api_version: str, kind: str, spec: dict[str, Any], fields: dict[str, Any], name: str, keys: set[str] | None
) -> None:
    item = thing(kind, spec, api_version, **fields)
    world = World.of_documents(Repository(tmp_path), "test", [], today=date(2026, 11, 23))
    world.objects = (item,)
    made = makers(world).of("Secret", "apps", name)
    assert [(entry.maker, None if entry.keys is None else set(entry.keys)) for entry in made] == [(item, keys)]


def test_a_destination_that_is_not_created_makes_nothing(tmp_path: Path) -> None:
    world = World.of_documents(Repository(tmp_path), "test", [], today=date(2026, 11, 23))
    world.objects = (thing("VaultStaticSecret", {"destination": {"name": "db"}}, "secrets.hashicorp.com/v1beta1"),)
    assert makers(world).of("Secret", "apps", "db") == ()
