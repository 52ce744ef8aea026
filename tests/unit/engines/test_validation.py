"""What the API server refuses of its own kinds, and of a small custom one: one fault a case, and nothing said of what is valid."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from harness.engines.schema import SchemaSet
from harness.engines.validation import RULES
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.engines.samples import ROOT, Json, changed, definitions, leaves, nodes, parse_path, removed, samples

SCHEMAS = SchemaSet.for_cluster("1.36", definitions())
#: The version of the real API server that refused every fault, and accepted every sample.
REAL = SchemaSet.for_cluster("1.34", definitions())
VERSIONS = ("1.30", "1.33", "1.34", "1.35", "1.36", "1.37")
ELIDED = f"sha256:{'0' * 64}"

FAULTS = [
    pytest.param(name, fault, id=f"{name}-{fault.get('remove') or next(iter(fault['change']))}-{index}".replace("DuringSchedulingIgnoredDuringExecution", ""))
    for path in sorted((ROOT / "faults").glob("*.yaml"))
    for name, faults in yaml.safe_load(path.read_text(encoding="utf-8")).items()
    for index, fault in enumerate(faults)
]
#: Kinds with rules that are tested here, not by a sample.
ELSEWHERE = {"CSIStorageCapacity", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "Node", "PodTemplate", "VolumeAttributesClass"}


def broken(name: str, fault: Json) -> Json:
    body = samples()[name]
    if "remove" in fault:
        return removed(body, parse_path(fault["remove"]))
    for path, value in fault["change"].items():
        body = changed(body, parse_path(path), value)
    return body


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_fault(name: str, fault: Json) -> None:
    assert [str(error) for error in REAL.validate(broken(name, fault))] == fault["errors"]


@pytest.mark.parametrize("version", VERSIONS)
def test_samples_are_valid_in_every_version(version: str) -> None:
    schemas = SchemaSet.for_cluster(version, definitions())
    found = {name: [str(error) for error in schemas.validate(body)] for name, body in samples().items() if schemas.knows(body["apiVersion"], body["kind"])}
    assert {name: errors for name, errors in found.items() if errors} == {}
    assert len(found) >= len(samples()) - 4


def test_every_kind_with_rules_has_a_sample() -> None:
    assert {kind for _, kind in RULES} - {body["kind"] for body in samples().values()} == ELSEWHERE


def test_a_sample_is_not_changed_by_its_validation() -> None:
    for body in samples().values():
        before = copy.deepcopy(body)
        SCHEMAS.validate(body)
        assert body == before


OTHERS: dict[str, tuple[Json, list[str]]] = {
    "csi-storage-capacity": (
        {"apiVersion": "storage.k8s.io/v1", "kind": "CSIStorageCapacity", "metadata": {"name": "c"}, "storageClassName": "fast", "capacity": "-1"},
        ["capacity: must not be negative"],
    ),
    "pod-template": (
        {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "t"}, "template": {"spec": {"containers": [{"name": "x"}]}}},
        ["template.spec.containers[0].image: required field is missing"],
    ),
    "volume-attributes-class": (
        {"apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttributesClass", "metadata": {"name": "gold"}, "driverName": "csi.example.com"},
        ["parameters: required field is missing"],
    ),
    "node": (
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "n"},
            "spec": {"taints": [{"key": "a", "effect": "NoExecute"}, {"key": "a", "effect": "NoExecute", "value": "b"}]},
        },
        ["spec.taints[1]: duplicate taint a:NoExecute"],
    ),
    "too-much-data": (
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "x" * (1024 * 1024 + 1)}},
        ["data: data has 1048577 bytes, more than 1048576"],
    ),
    "too-many-annotations": (
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "annotations": {"a": "x" * (256 * 1024)}}},
        ["metadata.annotations: annotations have 262145 bytes, more than 262144"],
    ),
    "generated-name": ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "c-"}}, []),
    "bad-generated-name": (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "a.b-"}},
        ["metadata.generateName: must not contain dots, not 'a.b-'"],
    ),
}


@pytest.mark.parametrize(("body", "errors"), OTHERS.values(), ids=OTHERS.keys())
def test_other_objects(body: Json, errors: list[str]) -> None:
    assert [str(error) for error in SCHEMAS.validate(body)] == errors


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"type": "Opaque", "data": {"a": None}}, id="null-in-a-map-is-empty"),
        pytest.param({"type": "", "stringData": {"a": "b"}}, id="empty-is-unset"),
        pytest.param({"type": "kubernetes.io/tls", "stringData": {"tls.crt": "", "tls.key": ""}}, id="keys-without-content"),
        pytest.param({"type": "example.com/anything", "data": {".a": "YQ=="}}, id="own-type"),
        pytest.param({"data": {"a": "YQ\n==\n"}}, id="base64-with-line-breaks"),
    ],
)
def test_secrets_the_server_accepts(body: Json) -> None:
    assert SCHEMAS.validate({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, **body}) == []


# What came from the lock: text that stands for other text is never wrong.


def _text_leaves() -> list[Any]:
    kept = {("apiVersion",), ("kind",), ("metadata", "name")}
    return [
        pytest.param(name, [at for at, value in leaves(body) if isinstance(value, str) and at not in kept], id=name)
        for name, body in samples().items()
        if body["kind"] != "CustomResourceDefinition"
    ]


@pytest.mark.parametrize(("name", "places"), _text_leaves())
def test_elided_text_is_never_wrong(name: str, places: list[Any]) -> None:
    wrong = {}
    for at in places:
        errors = SCHEMAS.validate(changed(samples()[name], at, ELIDED), elided=True)
        wrong |= {at: [str(error) for error in errors]} if errors else {}
    assert wrong == {}


def test_skips_for_elided_text_can_be_counted() -> None:
    body = changed(samples()["Widget/w"], ("spec", "name"), ELIDED)
    verdict = SCHEMAS.check(body, elided=True)
    assert verdict.errors == ()
    assert [str(skip) for skip in verdict.skips] == [
        "spec.name: maxLength not evaluated: the text is elided in the lock",
        "spec.name: pattern not evaluated: the text is elided in the lock",
    ]


def test_the_same_text_is_wrong_in_a_rendered_object() -> None:
    body = changed(samples()["Widget/w"], ("spec", "name"), ELIDED)
    assert [error.keyword for error in SCHEMAS.validate(body)] == ["maxLength", "pattern"]


def test_a_value_beside_elided_text_is_judged() -> None:
    body = changed(changed(samples()["Deployment/d"], ("metadata", "labels"), {"a": ELIDED}), ("spec", "replicas"), -1)
    assert [str(error) for error in SCHEMAS.validate(body, elided=True)] == ["spec.replicas: must be at least 0, not -1"]


# Anything that YAML can hold gets an answer, and the same one each time.

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(["", "a", "1Gi", "../x", "*", "A_", "x" * 300, "\ud800", "1.2.3.4"]),
    st.text(max_size=5),
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "type", "key", "x", ""]), inner, max_size=3), max_leaves=5
)


@given(name=st.sampled_from(sorted(samples())), data=st.data())
@settings(max_examples=60)
def test_nothing_makes_it_fail(name: str, data: st.DataObject) -> None:
    body = samples()[name]
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(list(nodes(body)) or [("metadata",)]))
        body = changed(body, place, data.draw(ANYTHING)) if data.draw(st.booleans()) else removed(body, place)
        if not body:
            break
    for elided in (False, True):
        verdict = SCHEMAS.check(body, elided=elided)
        assert all(isinstance(error.message, str) and error.message for error in verdict.errors)
        assert SCHEMAS.check(body, elided=elided) == verdict
