from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from harness.flux import kustomize as module
from harness.flux.cache import Cache
from harness.flux.kustomize import Built, Kustomizer
from harness.flux.tools import Output, Tools, run
from harness.model import Location, Pointer, format_pointer
from harness.source.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOOLS = Tools(Cache(None))


def where(pointer: Pointer) -> Location:
    return Location(f"ks.yaml:{format_pointer(pointer)}", 1)


def write(root: Path, files: dict[str, str]) -> Repository:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return Repository(root)


def build(root: Path, files: dict[str, str], path: str = "app", **spec: Any) -> Built:
    return Kustomizer(write(root, files), Cache(None), TOOLS).build(path, spec, where=where)


def names(built: Built) -> list[str]:
    return [f"{each.body['kind']}/{each.body['metadata'].get('namespace', '')}/{each.body['metadata']['name']}" for each in built.objects]


def shown(built: Built) -> list[tuple[str, str, str]]:
    return [(each.code, str(each.location), each.message) for each in built.problems]


#: How kustomize writes the identity of ConfigMap b.
B = "ConfigMap.v1.[noGrp]/b.[noNs]"


def config(name: str, extra: str = "") -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n{extra}"


DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 1
  template:
    spec:
      containers:
        - name: web
          image: example/web:v1
"""


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The directories kustomize was run on."""
    seen: list[str] = []
    lock = threading.Lock()

    def counted(program: Path, arguments: list[str], **options: Any) -> Output:
        with lock:
            seen.append(arguments[1].rpartition("/")[2])
        return run(program, arguments, **options)

    monkeypatch.setattr(module, "run", counted)
    return seen


# What is built.


def test_plain_directory(tmp_path: Path) -> None:
    files = {"app/a.yaml": config("a"), "app/sub/b.yaml": config("b"), "app/k/kustomization.yaml": "resources: [c.yaml]\n", "app/k/c.yaml": config("c")}
    built = build(tmp_path, {**files, "app/k/not-listed.yaml": config("d"), "app/readme.md": "x"})
    assert sorted(names(built)) == ["ConfigMap//a", "ConfigMap//b", "ConfigMap//c"]
    assert built.files == files.keys()
    assert built.problems == built.warnings == ()


@pytest.mark.parametrize("path", ["", ".", "./", "/", "./../.."])
def test_paths_of_the_root(tmp_path: Path, path: str) -> None:
    assert names(build(tmp_path, {"a.yaml": config("a")}, path)) == ["ConfigMap//a"]


@pytest.mark.parametrize("name", ["kustomization.yaml", "kustomization.yml", "Kustomization"])
def test_file_names(tmp_path: Path, name: str) -> None:
    assert names(build(tmp_path, {f"app/{name}": "namePrefix: x-\nresources: [a.yaml]\n", "app/a.yaml": config("a")})) == ["ConfigMap//x-a"]


def test_spec_fields_do_what_the_controller_does(tmp_path: Path) -> None:
    files = {
        "app/kustomization.yaml": "namespace: old\nresources: [web.yaml]\nimages: [{name: example/web, newName: mirror/web}]\n",
        "app/web.yaml": DEPLOYMENT,
        "extra/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [x.yaml]\n",
        "extra/x.yaml": config("x"),
    }
    built = build(
        tmp_path,
        files,
        targetNamespace="new",
        namePrefix="p-",
        nameSuffix="-s",
        components=["../extra", "../gone"],
        ignoreMissingComponents=True,
        images=[{"name": "example/web", "newTag": "v2"}],
        patches=[{"patch": "- op: replace\n  path: /spec/replicas\n  value: 3\n", "target": {"kind": "Deployment"}}],
        commonMetadata={"labels": {"team": "a"}, "annotations": {"note": "b"}},
    )
    assert built.problems == ()
    assert sorted(names(built)) == ["ConfigMap/new/p-x-s", "Deployment/new/p-web-s"]
    deployment = next(each.body for each in built.objects if each.body["kind"] == "Deployment")
    assert deployment["spec"]["replicas"] == 3
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "mirror/web:v2"
    assert all((each.body["metadata"]["labels"], each.body["metadata"]["annotations"]) == ({"team": "a"}, {"note": "b"}) for each in built.objects)


def test_objects_come_in_the_order_of_the_controller(tmp_path: Path) -> None:
    namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: n\n"
    files = {"app/a.yaml": DEPLOYMENT, "app/b.yaml": config("z"), "app/c.yaml": config("c"), "app/d.yaml": namespace}
    assert names(build(tmp_path, files)) == ["Deployment//web", "ConfigMap//z", "ConfigMap//c", "Namespace//n"]
    legacy = {**files, "app/kustomization.yaml": "resources: [b.yaml, c.yaml, d.yaml]\nsortOptions: {order: legacy}\n"}
    assert names(build(tmp_path, legacy)) == ["Namespace//n", "ConfigMap//c", "ConfigMap//z"]


def test_no_annotation_is_left_behind(tmp_path: Path) -> None:
    built = build(tmp_path, {"app/kustomization.yaml": "resources: [a.yaml]\nnamePrefix: x-\n", "app/a.yaml": config("a")})
    assert built.objects[0].body == {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x-a"}}


def test_build_metadata_is_what_the_author_asked_for(tmp_path: Path) -> None:
    built = build(tmp_path, {"app/kustomization.yaml": "resources: [a.yaml]\n", "app/a.yaml": config("a")}, buildMetadata=["originAnnotations"])
    assert built.objects[0].body["metadata"]["annotations"] == {"config.kubernetes.io/origin": "path: a.yaml\n"}


def test_sourceignore_decides_what_there_is(tmp_path: Path) -> None:
    files = {".sourceignore": "left-out.yaml\n", "app/a.yaml": config("a"), "app/left-out.yaml": config("b")}
    kustomizer = Kustomizer(write(tmp_path, files), Cache(None), TOOLS)
    assert names(kustomizer.build("app", {}, where=where)) == ["ConfigMap//a"]
    assert names(kustomizer.build("app", {}, where=where, ignore="!left-out.yaml")) == ["ConfigMap//a", "ConfigMap//b"]


def test_a_resource_that_is_left_out_of_the_artifact_is_missing(tmp_path: Path) -> None:
    files = {".sourceignore": "b.yaml\n", "app/kustomization.yaml": "resources: [b.yaml]\n", "app/b.yaml": config("b")}
    assert shown(build(tmp_path, files)) == [("kustomize-missing", "app/b.yaml", "the file is left out of the artifact (.sourceignore)")]


def test_a_large_manifest(tmp_path: Path) -> None:
    text = "---\n".join(config(f"c{index}", f"data: {{key: {'x' * 100_000}}}\n") for index in range(50))
    built = build(tmp_path, {"app/all.yaml": text})
    assert len(text) > 5_000_000
    assert (len(built.objects), built.problems) == (50, ())
    assert str(next(each for each in built.objects if each.body["metadata"]["name"] == "c40").locate(("data",))) == "app/all.yaml:245"


# What is refused.


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({}, ("kustomize-missing", "ks.yaml:path:1", "the path app does not exist in the repository")),
        ({"app": config("a")}, ("kustomize-missing", "ks.yaml:path:1", "the path app is a file, not a directory")),
        (
            {"app/kustomization.yaml": "resources:\n  - a.yaml\n"},
            ("kustomize-missing", "app/kustomization.yaml:2", "a.yaml is neither a file nor a directory with a kustomization"),
        ),
        (
            {"app/kustomization.yaml": "resources:\n  - ../../a.yaml\n"},
            ("kustomize-missing", "app/kustomization.yaml:2", "../../a.yaml leads out of the repository"),
        ),
        (
            {"app/kustomization.yaml": "resources: [../b]\n", "b/kustomization.yaml": "\nresources:\n- ../app\n"},
            ("kustomize-cycle", "b/kustomization.yaml:3", "../app contains a directory that is being built"),
        ),
        (
            {"app/kustomization.yaml": "helmCharts:\n  - name: podinfo\n"},
            ("kustomize-helm-charts", "app/kustomization.yaml:2", "the chart podinfo is not rendered: kustomize-controller runs kustomize without Helm"),
        ),
        (
            {"app/kustomization.yaml": "resources: [\n"},
            ("kustomize-build", "app/kustomization.yaml:2", "the kustomization cannot be read: did not find expected node content while parsing a flow node"),
        ),
        ({"app/kustomization.yaml": "# empty\n"}, ("kustomize-build", "app/kustomization.yaml", "the kustomization cannot be read: it is empty")),
        (
            {"app/a.yaml": config("a"), "app/b.yaml": f"# c\n{config('b')}---\n{config('a')}"},
            ("kustomize-build", "app/b.yaml:7", "ConfigMap/a is there twice, first at app/a.yaml:1"),
        ),
        (
            {"app/kustomization.yaml": "resources: [a.yaml, ../b]\n", "app/a.yaml": config("a"), "b/kustomization.yaml": "resources: [../app/a.yaml]\n"},
            ("kustomize-build", "app/a.yaml:1", "ConfigMap/a is there twice: the same file is reached twice"),
        ),
        (
            {"app/a.yaml": config("a"), "app/values.yaml": "replicas: 1\n"},
            ("kustomize-build", "app/values.yaml", "missing Resource metadata"),
        ),
        (
            {"app/kustomization.yaml": "resources: [../b]\n", "b/kustomization.yaml": "a: 1\nresourcez: [x]\n"},
            ("kustomize-build", "b/kustomization.yaml:1", 'unknown field "a"'),
        ),
        (
            {"app/kustomization.yaml": "resources: [../b]\n", "b/kustomization.yaml": "kind: Component\nresources: [b.yaml]\n", "b/b.yaml": config("b")},
            ("kustomize-build", "app/kustomization.yaml:1", "expected kind != 'Component' for path 'b"),
        ),
        (
            {"app/kustomization.yaml": "resources: [a.yaml]\n", "app/a.yaml": "a: b\n  c: d\n"},
            ("kustomize-build", "app/a.yaml:2", "MalformedYAMLError: yaml: line 2: mapping values are not allowed in this context in File: a.yaml"),
        ),
        (
            {"app/kustomization.yaml": "resources: [a.yaml]\npatches:\n  - path: p.yaml\n", "app/a.yaml": config("a"), "app/p.yaml": config("b")},
            ("kustomize-build", "app/kustomization.yaml:3", f"no matches for Id {B}; failed to find unique target for patch {B}"),
        ),
    ],
)
def test_problem(tmp_path: Path, files: dict[str, str], problem: tuple[str, str, str]) -> None:
    built = build(tmp_path, files)
    assert shown(built) == [problem]
    assert built.objects == ()


def test_remote_bases_are_reported_and_the_rest_is_built(tmp_path: Path, runs: list[str]) -> None:
    files = {
        "app/kustomization.yaml": "resources:\n  - https://example.com/x.yaml\n  - a.yaml\n  - ../b\n",
        "app/a.yaml": config("a"),
        "b/kustomization.yaml": "resources: [github.com/org/repo, b.yaml]\n",
        "b/b.yaml": config("b"),
    }
    built = build(tmp_path, files)
    text = "would be fetched from the network at every reconciliation; it is not built here"
    assert shown(built) == [
        ("kustomize-remote-base", "app/kustomization.yaml:2", f"https://example.com/x.yaml {text}"),
        ("kustomize-remote-base", "b/kustomization.yaml:1", f"github.com/org/repo {text}"),
    ]
    assert names(built) == ["ConfigMap//a", "ConfigMap//b"]
    assert runs == ["app"]


def test_unknown_fields_of_the_built_file_are_dropped_and_reported(tmp_path: Path) -> None:
    built = build(tmp_path, {"app/kustomization.yaml": "resources: [a.yaml]\nNamespace: x\n", "app/a.yaml": config("a")})
    assert shown(built) == [("kustomize-unknown-field", "app/kustomization.yaml:2", "kustomize has no field 'Namespace': Flux drops it without a word")]
    assert names(built) == ["ConfigMap//a"]


def test_deprecated_fields_are_warnings(tmp_path: Path) -> None:
    files = {
        "app/kustomization.yaml": "commonLabels: {a: b}\nbases: [../b]\n",
        "b/kustomization.yaml": "resources: [b.yaml]\n\npatchesStrategicMerge: []\n",
        "b/b.yaml": config("b"),
    }
    built = build(tmp_path, files)
    assert [(each.code, str(each.location), each.message) for each in built.warnings] == [
        ("kustomize-deprecated", "app/kustomization.yaml:2", "bases is deprecated in kustomize: use resources"),
        ("kustomize-deprecated", "app/kustomization.yaml:1", "commonLabels is deprecated in kustomize: use labels"),
        ("kustomize-deprecated", "b/kustomization.yaml:3", "patchesStrategicMerge is deprecated in kustomize: use patches"),
    ]
    assert (names(built), built.problems) == (["ConfigMap//b"], ())


def test_a_build_that_takes_too_long_is_a_problem_and_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "run", lambda *_, **__: Output(-9, "", "", timed_out=True))
    cache = Cache(tmp_path / "cache")
    repository = write(tmp_path / "repo", {"app/a.yaml": config("a")})
    built = Kustomizer(repository, cache, TOOLS).build("app", {}, where=where)
    assert shown(built) == [("kustomize-build", "ks.yaml:path:1", "kustomize did not finish in 120 seconds")]
    monkeypatch.undo()
    assert names(Kustomizer(repository, cache, TOOLS).build("app", {}, where=where)) == ["ConfigMap//a"]


# What is run.


def test_equal_builds_run_once_from_any_number_of_threads(tmp_path: Path, runs: list[str]) -> None:
    kustomizer = Kustomizer(write(tmp_path, {"app/a.yaml": config("a"), "b/a.yaml": config("a")}), Cache(None), TOOLS)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda path: kustomizer.build(path, {}, where=where), ["app", "./app", "b", "app/", "app"]))
    assert sorted(runs) == ["app", "b"]
    assert all(names(built) == ["ConfigMap//a"] for built in results)
    assert results[0].objects[0].body is results[4].objects[0].body


def test_the_cache_serves_equal_content_only(tmp_path: Path, runs: list[str]) -> None:
    cache = Cache(tmp_path / "cache")
    root = tmp_path / "repo"
    first = Kustomizer(write(root, {"app/a.yaml": config("a")}), cache, TOOLS).build("app", {}, where=where)
    again = Kustomizer(Repository(root), cache, TOOLS).build("app", {}, where=where)
    assert len(runs) == 1
    assert [each.body for each in again.objects] == [each.body for each in first.objects]
    assert str(again.objects[0].locate(("metadata", "name"))) == "app/a.yaml:4"
    changed = Kustomizer(write(root, {"app/a.yaml": config("b")}), cache, TOOLS)
    assert names(changed.build("app", {}, where=where)) == ["ConfigMap//b"]
    assert names(changed.build("app", {"namePrefix": "x-"}, where=where)) == ["ConfigMap//x-b"]
    assert len(runs) == 3


def test_errors_are_kept_too(tmp_path: Path, runs: list[str]) -> None:
    cache = Cache(tmp_path / "cache")
    repository = write(tmp_path / "repo", {"app/a.yaml": f"{config('a')}---\n{config('a')}"})
    first = Kustomizer(repository, cache, TOOLS).build("app", {}, where=where)
    assert shown(Kustomizer(repository, cache, TOOLS).build("app", {}, where=where)) == shown(first)
    assert (len(runs), len(first.problems)) == (1, 1)
