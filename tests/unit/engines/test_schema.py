"""The kinds of a cluster: which there are, what is said of unknown ones, lists, status, and what is shared between clusters."""

from __future__ import annotations

import time
from typing import Any

import pytest
from harness.engines import crd
from harness.engines.schema import MAX_DEPTH, SchemaSet
from unit.engines.samples import Json, changed, definitions, removed, samples

PLAIN = SchemaSet.for_cluster("1.36")
SCHEMAS = SchemaSet.for_cluster("1.36", definitions())
CONFIG_MAP: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}


def said(body: Any, schemas: SchemaSet = SCHEMAS) -> list[str]:
    return [str(error) for error in schemas.validate(body)]


def widgets(**changes: Any) -> Json:
    """The Widget CRD of the samples with changes to its only version."""
    definition = definitions()[0]
    return changed(definition, ("spec", "versions", 0), {**definition["spec"]["versions"][0], **changes})


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        pytest.param(None, [".: must be an object"], id="nothing"),
        pytest.param([CONFIG_MAP], [".: must be an object"], id="list"),
        pytest.param({}, ["apiVersion: required field is missing", "kind: required field is missing"], id="empty"),
        pytest.param({"apiVersion": 1, "kind": "ConfigMap"}, ["apiVersion: must be a string"], id="numeric-version"),
        pytest.param({**CONFIG_MAP, "kind": "Configmap"}, ["kind: unknown kind Configmap in v1 (did you mean ConfigMap?)"], id="wrong-case"),
        pytest.param(
            {**CONFIG_MAP, "apiVersion": "networking.k8s.io/v1beta1", "kind": "Ingress"},
            ["kind: Ingress is not in networking.k8s.io/v1beta1: the cluster has it in networking.k8s.io/v1"],
            id="removed-version",
        ),
        pytest.param(
            {**CONFIG_MAP, "apiVersion": "extensions/v1beta1", "kind": "Deployment"},
            ["kind: unknown kind Deployment in extensions/v1beta1: the cluster has it in apps/v1"],
            id="moved-group",
        ),
        pytest.param(
            {**CONFIG_MAP, "apiVersion": "example.org/v1", "kind": "Gadget"},
            ["kind: unknown kind Gadget in example.org/v1: it is not built in, and no CRD of the cluster declares it"],
            id="no-crd",
        ),
        pytest.param(
            {**CONFIG_MAP, "apiVersion": "example.com/v2", "kind": "Widget"},
            ["kind: Widget is not in example.com/v2: the cluster has it in example.com/v1"],
            id="other-version-of-a-crd",
        ),
        pytest.param({**CONFIG_MAP, "data": {"a": object()}}, [f".: is not plain data, or nested deeper than {MAX_DEPTH} levels"], id="no-json"),
        pytest.param({"apiVersion": "v1", "kind": "ConfigMap"}, ["metadata.name: name or generateName is required"], id="no-metadata"),
        pytest.param({**CONFIG_MAP, "metadata": []}, ["metadata: must be an object, not a list"], id="list-metadata"),
    ],
)
def test_what_is_no_object(body: Any, errors: list[str]) -> None:
    assert said(body) == errors


def test_half_a_surrogate_pair_is_not_evaluated() -> None:
    verdict = SCHEMAS.check(changed(samples()["Widget/w"], ("spec", "name"), "\ud800"))
    assert verdict.errors == ()
    assert [str(skip) for skip in verdict.skips] == [".: unicode not evaluated: the object holds text that is not valid Unicode"]


def test_an_object_says_where_in_it() -> None:
    body = changed(samples()["Deployment/d"], ("spec", "template", "spec", "containers", 0, "imagee"), "x")
    (error,) = SCHEMAS.validate(body)
    assert error.pointer == ("spec", "template", "spec", "containers", 0, "imagee")
    assert (error.keyword, str(error)) == ("unknown-field", "spec.template.spec.containers[0].imagee: unknown field (did you mean image?)")


def test_errors_come_in_the_order_of_their_places() -> None:
    body = changed(samples()["Pod/full"], ("spec", "containers", 0, "args"), list(range(12)))
    assert [error.pointer[-1] for error in SCHEMAS.validate(body)] == list(range(12))


# Kinds and scopes


@pytest.mark.parametrize(
    ("api_version", "kind", "scope"),
    [
        ("v1", "Namespace", "Cluster"),
        ("v1", "Node", "Cluster"),
        ("v1", "Secret", "Namespaced"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", "Cluster"),
        ("rbac.authorization.k8s.io/v1", "Role", "Namespaced"),
        ("storage.k8s.io/v1", "StorageClass", "Cluster"),
        ("storage.k8s.io/v1", "CSIStorageCapacity", "Namespaced"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "Cluster"),
        ("apiregistration.k8s.io/v1", "APIService", "Cluster"),
        ("networking.k8s.io/v1", "IngressClass", "Cluster"),
        ("resource.k8s.io/v1", "DeviceClass", "Cluster"),
        ("resource.k8s.io/v1", "ResourceClaim", "Namespaced"),
        ("example.com/v1", "Widget", "Namespaced"),
        ("example.com/v1", "Gadget", None),
        ("v2", "Secret", None),
    ],
)
def test_scope(api_version: str, kind: str, scope: str | None) -> None:
    assert SCHEMAS.scope(api_version, kind) == scope
    assert SCHEMAS.knows(api_version, kind) is (scope is not None)


def test_kinds_are_those_the_server_answers_for() -> None:
    kinds = SCHEMAS.kinds()
    assert ("example.com/v1", "Widget") in kinds
    assert ("apps/v1", "Deployment") in kinds
    assert ("v1", "ConfigMapList") not in kinds
    assert ("v1", "DeleteOptions") not in kinds
    assert ("resource.k8s.io/v1beta1", "ResourceClaim") not in kinds
    assert ("resource.k8s.io/v1beta1", "ResourceClaim") in SCHEMAS.kinds(every=True)
    assert ("example.com/v1", "Widget") not in PLAIN.kinds(every=True)
    assert list(kinds) == sorted(kinds)


@pytest.mark.parametrize(("version", "data"), [("1.36", "1.36"), ("v1.36.4", "1.36"), ("1.36.4-gke.12", "1.36"), ("1.10", "1.25"), ("1.99", "1.37")])
def test_the_nearest_version_stands_in(version: str, data: str) -> None:
    schemas = SchemaSet.for_cluster(version)
    assert (schemas.kubernetes_version, schemas.data_version) == (version, data)


@pytest.mark.parametrize("version", ["", "latest", "x1.2"])
def test_what_is_no_version(version: str) -> None:
    with pytest.raises(ValueError, match="not a Kubernetes version"):
        SchemaSet.for_cluster(version)


def test_a_field_is_known_from_its_version_on() -> None:
    body = changed(samples()["Pod/full"], ("spec", "resources"), {"limits": {"cpu": 4, "memory": "1Gi"}})
    assert said(body, SchemaSet.for_cluster("1.31")) == ["spec.resources: unknown field (did you mean resourceClaims?)"]
    assert said(body, SchemaSet.for_cluster("1.36")) == []


# Custom kinds


def test_a_version_that_is_not_served() -> None:
    schemas = SchemaSet.for_cluster("1.36", [widgets(served=False)])
    assert schemas.knows("example.com/v1", "Widget") is False
    assert said(samples()["Widget/w"], schemas) == ["kind: version example.com/v1 of Widget is declared by its CRD but not served"]


@pytest.mark.parametrize(
    "definition",
    [
        pytest.param({}, id="empty"),
        pytest.param({"spec": None}, id="no-spec"),
        pytest.param({"spec": {"group": 1, "names": {"kind": "A"}, "scope": "Namespaced", "versions": []}}, id="group"),
        pytest.param({"spec": {"group": "a.b", "names": [], "scope": "Namespaced", "versions": []}}, id="names"),
        pytest.param({"spec": {"group": "a.b", "names": {"kind": "A"}, "scope": "Namespaced", "versions": [1, {"name": 2}]}}, id="versions"),
    ],
)
def test_a_malformed_definition_declares_nothing(definition: Json) -> None:
    assert SchemaSet.for_cluster("1.36", [definition]).kinds() == PLAIN.kinds()


def test_the_old_form_of_a_definition() -> None:
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1beta1",
        "spec": {
            "group": "example.com",
            "version": "v1",
            "names": {"kind": "Old"},
            "scope": "Cluster",
            "validation": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {"a": {"type": "string"}}}}}},
            "subresources": {"status": {}},
        },
    }
    schemas = SchemaSet.for_cluster("1.21", [definition])
    old = {"apiVersion": "example.com/v1", "kind": "Old", "metadata": {"name": "o"}, "spec": {"a": 1}}
    assert schemas.scope("example.com/v1", "Old") == "Cluster"
    assert said(old, schemas) == ["spec.a: must be a string, not 1"]


def test_the_last_of_two_definitions_wins() -> None:
    first, second = widgets(served=False), widgets()
    assert SchemaSet.for_cluster("1.36", [first, second]).knows("example.com/v1", "Widget")
    assert not SchemaSet.for_cluster("1.36", [second, first]).knows("example.com/v1", "Widget")


def test_a_custom_kind_may_shadow_a_built_in_list() -> None:
    listing = changed(definitions()[0], ("spec", "names", "kind"), "GadgetList")
    schemas = SchemaSet.for_cluster("1.36", [listing])
    body = {**samples()["Widget/w"], "kind": "GadgetList", "items": []}
    assert said(body, schemas) == ["items: unknown field"]


# Lists


def test_a_list_is_its_items() -> None:
    body = {"apiVersion": "v1", "kind": "List", "items": [CONFIG_MAP, {**CONFIG_MAP, "dta": {}}, {"kind": "X"}, 1]}
    assert said(body) == ["items[1].dta: unknown field (did you mean data?)", "items[2].apiVersion: required field is missing", "items[3]: must be an object"]


def test_items_of_a_typed_list_need_no_kind() -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMapList", "items": [{"metadata": {"name": "a"}, "dta": {}}, {"metadata": {"name": "b"}}]}
    assert said(body) == ["items[0].dta: unknown field (did you mean data?)"]


def test_a_list_of_custom_objects() -> None:
    widget = removed(removed(samples()["Widget/w"], ("apiVersion",)), ("kind",))
    body = {"apiVersion": "example.com/v1", "kind": "WidgetList", "items": [widget, changed(widget, ("spec", "name"), "bad")]}
    assert said(body) == ["items[1].spec: bad name"]


def test_a_list_of_lists() -> None:
    inner = {"apiVersion": "v1", "kind": "List", "items": [{**CONFIG_MAP, "x": 1}]}
    assert said({"apiVersion": "v1", "kind": "List", "items": [inner]}) == ["items[0].items[0].x: unknown field"]


def test_skips_of_items_are_kept() -> None:
    widget = changed(samples()["Widget/w"], ("spec", "mode"), f"sha256:{'a' * 16}")
    verdict = SCHEMAS.check({"apiVersion": "v1", "kind": "List", "items": [widget]}, elided=True)
    assert [skip.pointer for skip in verdict.skips] == [("items", 0, "spec", "mode")]


# Status


@pytest.mark.parametrize(
    ("status", "errors"),
    [
        pytest.param({"replicas": -1}, [], id="a-value-the-server-drops"),
        pytest.param({}, [], id="a-missing-field"),
        pytest.param({"replicas": "many"}, ['status.replicas: must be an integer, not "many"'], id="a-type-that-does-not-decode"),
        pytest.param({"replica": 1}, ["status.replica: unknown field (did you mean replicas?)"], id="an-unknown-field"),
    ],
)
@pytest.mark.parametrize("name", ["Widget/w", "Deployment/d"])
def test_status_is_decoded_but_not_validated(name: str, status: Json, errors: list[str]) -> None:
    assert said({**samples()[name], "status": status}) == errors


def test_status_without_the_subresource_is_validated() -> None:
    schemas = SchemaSet.for_cluster("1.36", [widgets(subresources={})])
    assert said({**samples()["Widget/w"], "status": {}}, schemas) == ["status.phase: required field is missing"]


# Depth and size


@pytest.mark.parametrize("levels", [MAX_DEPTH, 3_000, 200_000])
def test_deep_nesting_is_refused_unread(levels: int) -> None:
    inner: Json = {}
    for _ in range(levels):
        inner = {"a": inner}
    errors = SCHEMAS.validate({**samples()["Widget/w"], "spec": {"name": "abc", "free": inner}})
    assert [error.keyword for error in errors] == ["depth"]
    while inner:  # so that Python need not recurse to free it
        inner = inner["a"]


def test_a_deep_schema_is_reported_as_not_evaluated() -> None:
    schema: Json = {"type": "object"}
    for _ in range(MAX_DEPTH):
        schema = {"type": "object", "properties": {"a": schema}}
    definition = widgets(schema={})
    definition["spec"]["versions"][0]["schema"] = {"openAPIV3Schema": schema}
    schemas = SchemaSet.for_cluster("1.36", [definition])
    verdict = schemas.check(samples()["Widget/w"])
    assert verdict.errors == ()
    assert [str(skip) for skip in verdict.skips] == [f".: pattern not evaluated: the engine cannot run 'a schema nested deeper than {MAX_DEPTH} levels'"]


# What is shared


def test_clusters_share_what_they_have_in_common() -> None:
    first, second = SchemaSet.for_cluster("1.36", definitions()), SchemaSet.for_cluster("v1.36.2", definitions())
    widget = samples()["Widget/w"]
    assert first.check(widget) is second.check(dict(widget))
    assert first.json_schema("example.com/v1", "Widget") is second.json_schema("example.com/v1", "Widget")


def test_clusters_with_different_definitions_do_not() -> None:
    schema = changed(definitions()[0]["spec"]["versions"][0]["schema"], ("openAPIV3Schema", "properties", "spec", "properties", "name", "maxLength"), 2)
    strict = SchemaSet.for_cluster("1.36", [widgets(schema=schema)])
    assert said(samples()["Widget/w"]) == []
    assert said(samples()["Widget/w"], strict) == ["spec.name: must have at most 2 characters"]


def test_the_answer_for_the_lock_is_another_one() -> None:
    body = changed(samples()["Widget/w"], ("spec", "mode"), f"sha256:{'b' * 16}")
    assert [len(SCHEMAS.check(body, elided=elided).errors) for elided in (True, False, True)] == [0, 1, 0]


def test_true_is_not_one() -> None:
    body = changed(samples()["Widget/w"], ("spec", "replicas"), 1)
    assert said(body) == []
    assert said(changed(body, ("spec", "replicas"), True)) == ["spec.replicas: must be an integer, not true"]


@pytest.mark.parametrize(("kind", "known"), [("Widget", True), ("Gadget", False)])
def test_the_schema_for_other_tools(kind: str, known: bool) -> None:
    document = SCHEMAS.json_schema("example.com/v1", kind)
    assert (document is not None) is known
    if document is not None:
        assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_a_cluster_with_many_definitions_is_cheap_until_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    original = crd._compile
    monkeypatch.setattr(crd, "_compile", lambda version, data: compiled.append(version) or original(version, data))
    many = [changed(definitions()[0], ("spec", "names", "kind"), f"Widget{number}") for number in range(120)]
    many = [changed(body, ("spec", "versions", 0, "schema", "openAPIV3Schema", "description"), str(number)) for number, body in enumerate(many)]
    schemas = SchemaSet.for_cluster("1.36", many)
    assert compiled == []
    schemas.validate({**samples()["Widget/w"], "kind": "Widget7"})
    assert [version.kind for version in compiled] == ["Widget7"]


def test_two_thousand_objects_a_second() -> None:
    bodies = [changed(body, ("metadata", "labels"), {"n": str(number)}) for number in range(10) for body in samples().values()]
    bodies = [body for body in bodies if body["kind"] != "CustomResourceDefinition"]
    for body in samples().values():
        SCHEMAS.validate(body)
    start = time.process_time()
    for body in bodies:
        SCHEMAS.validate(body)
    assert len(bodies) / (time.process_time() - start) > 2_000
