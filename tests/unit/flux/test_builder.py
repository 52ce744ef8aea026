"""What a cluster gets: depth, order, variables, and what nobody looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from harness.flux.workspace import Options, Workspace
from harness.model import Link

if TYPE_CHECKING:
    from pathlib import Path

    from harness.flux.world import World


def ks(name: str, path: str, more: str = "", namespace: str = "flux-system") -> str:
    return (
        f"apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
        f"spec: {{interval: 1h, prune: true, path: {path}, sourceRef: {{kind: GitRepository, name: flux-system, namespace: flux-system}}{more}}}\n"
    )


def config(name: str, data: str = "{}", namespace: str = "flux-system") -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {namespace}}}\ndata: {data}\n"


@pytest.fixture
def built(tmp_path: Path):
    def make(files: dict[str, str], options: Options | None = None) -> World:
        for name, text in {"clusters/a/sync.yaml": ks("flux-system", "./clusters/a"), **files}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        workspace = Workspace(tmp_path, options or Options(cache=False))
        (root,) = workspace.clusters
        return workspace.world(root)

    return make


def problems(world: World) -> list[tuple[str, str, str]]:
    return [(problem.code, problem.subject, str(problem.location)) for problem in world.problems]


def link(name: str) -> Link:
    return Link("Kustomization", "flux-system", name)


def test_kustomizations_of_kustomizations(built) -> None:
    files = {f"level{depth}/next.yaml": ks(f"level{depth + 1}", f"./level{depth + 1}") for depth in range(1, 6)}
    world = built({"clusters/a/first.yaml": ks("level1", "./level1"), **files, "level6/cm.yaml": config("end")})
    end = world.find("ConfigMap", "flux-system", "end")
    assert end is not None
    assert end.origin.chain == (link("flux-system"), *(link(f"level{depth}") for depth in range(1, 7)))
    assert str(end.locate("metadata", "name")) == "level6/cm.yaml:3"


def test_variables_come_from_what_another_kustomization_brings(built) -> None:
    world = built(
        {
            "clusters/a/1-apps.yaml": ks("apps", "./apps", ", postBuild: {substitute: {A: inline}, substituteFrom: [{kind: ConfigMap, name: vars}]}"),
            "clusters/a/2-vars.yaml": ks("vars", "./vars"),
            "vars/cm.yaml": config("vars", "{A: hidden, B: given}"),
            "apps/cm.yaml": config("app", "{a: '${A}', b: '${B}', c: '${C:-else}'}"),
        }
    )
    found = world.find("ConfigMap", "flux-system", "app")
    assert found is not None
    assert found.get("data") == {"a": "inline", "b": "given", "c": "else"}
    build = world.kustomizations["flux-system", "apps"]
    assert (dict(build.variables), build.used, build.missing) == ({"A": "inline", "B": "given"}, {"A", "B"}, ())
    assert problems(world) == []


def test_missing_variable_is_located(built) -> None:
    world = built({"clusters/a/apps.yaml": ks("apps", "./apps", ", postBuild: {substitute: {A: x}}"), "apps/cm.yaml": config("app", "{b: '${B}'}")})
    assert problems(world) == [("substitute-missing", "a/ConfigMap/flux-system/app", "apps/cm.yaml:4")]


def test_missing_source_of_variables_is_located(built) -> None:
    world = built(
        {
            "clusters/a/apps.yaml": ks(
                "apps", "./apps", ", postBuild: {substituteFrom: [{kind: ConfigMap, name: gone}, {kind: Secret, name: opt, optional: true}]}"
            ),
            "apps/cm.yaml": config("app", "{b: '${B}'}"),
        }
    )
    assert problems(world) == [("substitute-source-missing", "a/Kustomization/flux-system/apps", "clusters/a/apps.yaml:4")]
    assert world.is_unknown(world.of("ConfigMap")[0].get("data", "b"))


def test_sync_that_patches_itself_is_built_as_patched(built) -> None:
    change = '[{"op": "add", "path": "/spec/postBuild", "value": {"substitute": {"REGION": "eu"}}}]'
    patch = f"- patch: '{change}'\n  target: {{kind: Kustomization, name: flux-system}}\n"
    world = built(
        {"clusters/a/kustomization.yaml": f"resources: [sync.yaml, cm.yaml]\npatches:\n{patch}", "clusters/a/cm.yaml": config("app", "{r: '${REGION}'}")}
    )
    assert [item.get("data", "r") for item in world.of("ConfigMap")] == ["eu"]


def test_two_owners_of_one_object(built) -> None:
    world = built(
        {"clusters/a/one.yaml": ks("one", "./one"), "clusters/a/two.yaml": ks("two", "./two"), "one/cm.yaml": config("x"), "two/cm.yaml": config("x")}
    )
    assert problems(world) == [("object-two-owners", "a/ConfigMap/flux-system/x", "two/cm.yaml:1")]


def test_kustomization_that_does_not_build_stops_no_other(built) -> None:
    world = built(
        {
            "clusters/a/bad.yaml": ks("bad", "./bad"),
            "clusters/a/good.yaml": ks("good", "./good"),
            "bad/kustomization.yaml": "resources: [gone.yaml]\n",
            "good/cm.yaml": config("good"),
        }
    )
    assert [item.name for item in world.of("ConfigMap")] == ["good"]
    assert problems(world) == [("kustomize-missing", "a/Kustomization/flux-system/bad", "bad/kustomization.yaml:1")]


def test_what_is_not_looked_at_is_said(built) -> None:
    world = built(
        {
            "clusters/a/remote.yaml": ks("remote", "./x", ", kubeConfig: {secretRef: {name: there}}"),
            "clusters/a/vendor.yaml": ks("vendor", "./x").replace("name: flux-system, namespace: flux-system}}", "name: vendor}}"),
            "clusters/a/bases.yaml": ks("bases", "./bases"),
            "bases/kustomization.yaml": "resources: [https://example.com/x.yaml]\n",
        }
    )
    assert sorted((entry.subject.rpartition("/")[2], entry.why) for entry in world.not_evaluated) == [
        ("bases", "no base is fetched from the network"),
        ("remote", "it is applied to another cluster (spec.kubeConfig)"),
        ("vendor", "GitRepository flux-system/vendor is another source (not declared in this repository)"),
    ]
    assert world.kustomizations["flux-system", "vendor"].elsewhere


@pytest.mark.parametrize(("declared", "version"), [("v1.34.2", "v1.34.2"), ("1.35", "1.35"), ("newest", "1.36"), ("", "1.36")])
def test_cluster_says_which_kubernetes_it_runs(built, declared: str, version: str) -> None:
    world = built(
        {
            "clusters/a/vars.yaml": config("vars", f"{{KUBERNETES_VERSION: '{declared}'}}"),
            "clusters/a/apps.yaml": ks("apps", "./apps", ", postBuild: {substituteFrom: [{kind: ConfigMap, name: vars}]}"),
            "apps/cm.yaml": config("app"),
        }
    )
    assert world.kubernetes_version == version


def test_command_line_s_version_wins(built) -> None:
    assert built({"clusters/a/cm.yaml": config("x")}, Options(cache=False, kubernetes_version="1.33")).kubernetes_version == "1.33"


def test_building_twice_gives_the_same(built) -> None:
    files = {f"clusters/a/{number}.yaml": ks(f"k{number}", f"./apps/{number}") for number in range(5)}
    files |= {f"apps/{number}/cm.yaml": config(f"c{number}") for number in range(5)}
    first, second = built(files), built(files)
    assert [(item.id, item.body, item.origin.chain) for item in first.objects] == [(item.id, item.body, item.origin.chain) for item in second.objects]
    assert list(first.kustomizations) == sorted(first.kustomizations)
