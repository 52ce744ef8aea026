"""The objects and definitions of real charts: all of them are valid, and nothing of them is left out unseen."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.engines.schema import SchemaSet
from harness.flux.cache import Cache
from harness.flux.charts import Charts
from harness.flux.helm import HelmRenderer
from unit.flux.releases import TOOLS, Cluster, release

FOLDER = Path(os.environ.get("PLIMSOLL_CHARTS", "/nonexistent"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="real charts are absent: PLIMSOLL_CHARTS is not set to a folder of <name>-<version>.tgz"),
]
#: Chart → the values it cannot do without.
CHARTS = {
    "cert-manager": "crds: {enabled: true}",
    "flux-operator": "",
    "kube-prometheus-stack": "",
    "kyverno": "",
    "metallb": "",
    "nginx-ingress": "",
    "sealed-secrets": "",
    "vault-secrets-operator": "",
}
_RENDERED: dict[str, list[Any]] = {}


@pytest.fixture(scope="module")
def renderer() -> HelmRenderer:
    cache = Cache(None)
    return HelmRenderer(Charts(FOLDER, cache, TOOLS), cache, TOOLS, None)


def bodies(renderer: HelmRenderer, name: str) -> list[Any]:
    if name not in _RENDERED:
        versions = sorted(path.name for path in FOLDER.glob(f"{name}-[v0-9]*.tgz"))
        if not versions:
            pytest.skip(f"real charts are absent: no {name} in PLIMSOLL_CHARTS")
        version = versions[-1].removeprefix(f"{name}-").removesuffix(".tgz")
        view = Cluster(release("x", chart=name, version=version, values=CHARTS[name]), version="1.36.4")
        _RENDERED[name] = [item.body for item in renderer.render(view.release, view).objects]
    return _RENDERED[name]


def definitions(objects: list[Any]) -> list[Any]:
    return [body for body in objects if body["kind"] == "CustomResourceDefinition"]


@pytest.mark.parametrize("name", CHARTS)
def test_its_objects_are_valid(renderer: HelmRenderer, name: str) -> None:
    objects = bodies(renderer, name)
    schemas = SchemaSet.for_cluster("1.36", definitions(objects))
    wrong = {f"{body['kind']}/{body['metadata']['name']}": [str(error) for error in schemas.validate(body)] for body in objects}
    # What a chart makes for another product's kinds is that product's to declare.
    assert {key: errors for key, errors in wrong.items() if errors and "unknown kind" not in errors[0]} == {}


@pytest.mark.parametrize("name", CHARTS)
def test_every_version_of_its_definitions_compiles_whole(renderer: HelmRenderer, name: str) -> None:
    crds = definitions(bodies(renderer, name))
    schemas = SchemaSet.for_cluster("1.36", crds)
    for body in crds:
        for version in body["spec"]["versions"]:
            if version["served"]:
                api_version, kind = f"{body['spec']['group']}/{version['name']}", body["spec"]["names"]["kind"]
                verdict = schemas.check({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, "nosuch": 1})
                assert "nosuch: unknown field" in [str(error) for error in verdict.errors if error.pointer == ("nosuch",)]
                assert [str(skip) for skip in verdict.skips if skip.keyword == "pattern"] == []


def test_the_manifests_of_flux_are_valid() -> None:
    paths = sorted(FOLDER.glob("flux-v*.yaml"))
    if not paths:
        pytest.skip("real charts are absent: no flux-v*.yaml in PLIMSOLL_CHARTS")
    objects = [body for body in yaml.load_all(paths[-1].read_bytes(), Loader=yaml.CSafeLoader) if body]
    schemas = SchemaSet.for_cluster("1.36", definitions(objects))
    assert {f"{body['kind']}/{body['metadata']['name']}": schemas.validate(body) for body in objects if schemas.validate(body)} == {}
    assert len(definitions(objects)) >= 10


def test_a_cluster_with_all_of_them_starts_at_once(renderer: HelmRenderer) -> None:
    objects = [body for name in CHARTS for body in bodies(renderer, name)]
    start = time.process_time()
    for _ in range(3):
        SchemaSet.for_cluster("1.36", definitions(objects))
    assert time.process_time() - start < 0.3
