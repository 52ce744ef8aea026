"""When API versions come and go, checked against what each release of Kubernetes serves."""

from __future__ import annotations

import pytest
from harness.engines.lifecycle import ApiState, ApiStatus, api_status
from harness.engines.lifecycle_data import PRODUCTS, Row
from harness.engines.schema_data import builtins, supported_versions

ROWS = [(product, row) for product, rows in PRODUCTS.items() for row in rows]
BUILT_IN = [
    pytest.param(row, f"{row.group}/{row.version}".removeprefix("/"), kind, id=f"{row.group}-{row.version}-{kind}")
    for product, row in ROWS
    for kind in row.kinds
    if product == "kubernetes" and row.removed and row.removed in supported_versions() and row.removed != supported_versions()[0]
]


@pytest.mark.parametrize(
    ("api_version", "kind", "kubernetes", "state"),
    [
        ("apps/v1", "Deployment", "1.36", ApiState.CURRENT),
        ("extensions/v1beta1", "Ingress", "1.13", ApiState.CURRENT),
        ("extensions/v1beta1", "Ingress", "1.21", ApiState.DEPRECATED),
        ("extensions/v1beta1", "Ingress", "v1.22.0", ApiState.REMOVED),
        ("policy/v1beta1", "PodSecurityPolicy", "1.36", ApiState.REMOVED),
        ("v1", "Endpoints", "1.32", ApiState.CURRENT),
        ("v1", "Endpoints", "1.36.1", ApiState.DEPRECATED),
        ("flowcontrol.apiserver.k8s.io/v1beta3", "FlowSchema", "1.31", ApiState.DEPRECATED),
        ("flowcontrol.apiserver.k8s.io/v1beta3", "FlowSchema", "1.32", ApiState.REMOVED),
        ("resource.k8s.io/v1beta2", "ResourceClaim", "1.34", ApiState.OFF),
        ("example.com/v1", "Widget", "1.36", ApiState.UNKNOWN),
        ("apps/v1", "Nothing", "1.36", ApiState.UNKNOWN),
    ],
)
def test_state(api_version: str, kind: str, kubernetes: str, state: ApiState) -> None:
    assert api_status(api_version, kind, kubernetes).state is state


def test_what_to_use_instead() -> None:
    assert api_status("autoscaling/v2beta2", "HorizontalPodAutoscaler", "1.26") == ApiStatus(ApiState.REMOVED, "kubernetes", "1.23", "1.26", "autoscaling/v2")


@pytest.mark.parametrize(
    ("releases", "state"),
    [
        (None, ApiState.DEPRECATED),
        ({"kyverno": "1.0"}, ApiState.DEPRECATED),
        ({"flux": "v1.9.0"}, ApiState.CURRENT),
        ({"flux": "2.7.3"}, ApiState.DEPRECATED),
        ({"flux": "v2.8.0"}, ApiState.REMOVED),
        ({"flux": "latest"}, ApiState.CURRENT),
    ],
)
def test_other_products_have_releases_of_their_own(releases: dict[str, str] | None, state: ApiState) -> None:
    assert api_status("source.toolkit.fluxcd.io/v1beta2", "GitRepository", "1.36", releases).state is state


@pytest.mark.parametrize("version", ["", "latest", "x"])
def test_what_is_no_version(version: str) -> None:
    with pytest.raises(ValueError, match="not a Kubernetes version"):
        api_status("v1", "Pod", version)


@pytest.mark.parametrize(("product", "row"), ROWS, ids=[f"{row.group}-{row.version}-{row.kinds[0]}" for _, row in ROWS])
def test_rows_are_whole(product: str, row: Row) -> None:
    assert row.kinds
    assert len(set(row.kinds)) == len(row.kinds)
    assert row.deprecated or row.removed
    for release in filter(None, (row.deprecated, row.removed)):
        assert [part.isdigit() for part in release.split(".")] == [True, True]
    if row.deprecated and row.removed:
        assert [int(part) for part in row.deprecated.split(".")] < [int(part) for part in row.removed.split(".")]
    assert product in PRODUCTS


def test_no_version_of_a_kind_is_listed_twice() -> None:
    keys = [(row.group, row.version, kind) for _, row in ROWS for kind in row.kinds]
    assert sorted(keys) == sorted(set(keys))


@pytest.mark.parametrize(("row", "api_version", "kind"), BUILT_IN)
def test_removals_are_those_of_the_releases(row: Row, api_version: str, kind: str) -> None:
    minor = int(row.removed.partition(".")[2])
    assert builtins(f"1.{minor - 1}").knows(api_version, kind), "the release before still has it"
    assert not builtins(row.removed).knows(api_version, kind), "the release has it no more"


@pytest.mark.parametrize("version", supported_versions())
def test_what_disappears_is_in_the_table(version: str) -> None:
    following = f"1.{int(version.partition('.')[2]) + 1}"
    if following not in supported_versions():
        return
    gone = [key for key in builtins(version).kinds(every=True) if not builtins(following).knows(*key)]
    assert [key for key in gone if api_status(*key, following).state is not ApiState.REMOVED] == []


# The built-in data


def test_the_data_covers_every_release_in_between() -> None:
    minors = [int(version.partition(".")[2]) for version in supported_versions()]
    assert minors == list(range(minors[0], minors[-1] + 1))
    assert minors[0] <= 25
    assert minors[-1] >= 37


def test_data_is_read_once() -> None:
    assert builtins("1.36") is builtins("v1.36.9")


@pytest.mark.parametrize("version", supported_versions())
def test_every_kind_has_a_scope_and_a_schema(version: str) -> None:
    data = builtins(version)
    kinds = list(data.kinds(every=True))
    assert len(kinds) > 60
    assert {data.scope(*key) for key in kinds} == {"Namespaced", "Cluster"}
    assert [key for key in kinds if "metadata" not in data.definition(data.definition_names[key])["properties"]] == []


@pytest.mark.parametrize(
    ("version", "api_version", "kind", "served"),
    [
        ("1.36", "apps/v1", "Deployment", True),
        ("1.25", "autoscaling/v2beta2", "HorizontalPodAutoscaler", True),
        ("1.31", "flowcontrol.apiserver.k8s.io/v1beta3", "FlowSchema", True),
        ("1.36", "resource.k8s.io/v1beta1", "ResourceClaim", False),
        ("1.36", "storagemigration.k8s.io/v1beta1", "StorageVersionMigration", False),
        ("1.36", "internal.apiserver.k8s.io/v1alpha1", "StorageVersion", False),
    ],
)
def test_what_a_server_serves_by_default(version: str, api_version: str, kind: str, served: bool) -> None:
    data = builtins(version)
    assert data.knows(api_version, kind)
    assert data.served_by_default(api_version, kind) is served
