"""The line that a person would edit to change a field of a built object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.flux.cache import Cache
from harness.flux.kustomize import BuiltObject, Kustomizer
from harness.flux.tools import Tools
from harness.source.repository import Repository
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

    from harness.model import Location, Pointer

TOOLS = Tools(Cache(None))

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels:
    app: web
spec:
  replicas: 1
  template:
    spec:
      containers:
        - name: web
          image: example/web:v1
          args: [--one, --two]
        - name: sidecar
          image: example/sidecar:v1
          env:
            - name: A
              value: a
"""

KS = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: app
spec:
  path: ./app
  patches:
    - target:
        kind: Deployment
      patch: |
        - op: replace
          path: /spec/template/spec/containers/1/env/0/value
          value: b
        - op: add
          path: /metadata/labels/team
          value: x
    - patch: |-
        apiVersion: apps/v1
        kind: Deployment
        metadata:
          name: web
        spec:
          minReadySeconds: 5
"""


def built(root: Path, files: dict[str, str], *, ks: str = "") -> dict[str, BuiltObject]:
    """The objects of ``app`` by kind and name."""
    for name, content in {**files, "ks.yaml": ks or "spec: {path: ./app}\n"}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    repository = Repository(root)
    document = repository.documents("ks.yaml")[0]

    def where(pointer: Pointer) -> Location:
        return document.locate(("spec", *pointer))

    result = Kustomizer(repository, Cache(None), TOOLS).build("app", document.body["spec"], where=where)
    assert result.problems == ()
    return {f"{each.body['kind']}/{each.body['metadata']['name']}": each for each in result.objects}


def line(found: BuiltObject, *pointer: str | int) -> str:
    return str(found.locate(pointer))


def config(name: str, value: str = "x") -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  key: {value}\n"


def test_fields_of_the_file_itself(tmp_path: Path) -> None:
    web = built(tmp_path, {"app/kustomization.yaml": "resources: [all.yaml]\n", "app/all.yaml": f"{config('c')}---\n{WEB}"})["Deployment/web"]
    assert line(web) == "app/all.yaml:8"
    assert line(web, "metadata", "labels", "app") == "app/all.yaml:13"
    assert line(web, "spec", "template", "spec", "containers", 1, "env", 0, "value") == "app/all.yaml:26"
    assert line(web, "spec", "template", "spec", "containers", 1, "ports") == "app/all.yaml:22"
    assert line(web, "spec", "strategy", "type") == "app/all.yaml:14"


def test_patches_in_the_flux_kustomization(tmp_path: Path) -> None:
    web = built(tmp_path, {"app/web.yaml": WEB}, ks=KS)["Deployment/web"]
    assert line(web, "spec", "template", "spec", "containers", 1, "env", 0, "value") == "ks.yaml:13"
    assert line(web, "metadata", "labels", "team") == "ks.yaml:16"
    assert line(web, "spec", "minReadySeconds") == "ks.yaml:23"
    assert line(web, "spec", "replicas") == "app/web.yaml:8"
    assert line(web, "metadata", "name") == "app/web.yaml:4"
    assert line(web, "spec") == "app/web.yaml:7"


def test_everything_a_kustomization_can_change(tmp_path: Path) -> None:
    kustomization = """\
resources: [web.yaml, ../base]
namespace: team
namePrefix: pre-
labels:
  - pairs:
      owner: me
commonAnnotations:
  note: text
images:
  - name: example/sidecar
    newTag: v2
replicas:
  - name: web
    count: 4
patches:
  - path: patch.yaml
  - target: {kind: ConfigMap, name: base}
    patch: |-
      kind: ConfigMap
      apiVersion: v1
      metadata:
        name: base
      data:
        more: y
"""
    patch = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  template:
    spec:
      containers:
        - name: added
          image: example/added:v1
        - name: web
          image: example/web:v3
          args: [--two, --three]
"""
    files = {
        "app/kustomization.yaml": kustomization,
        "app/web.yaml": WEB,
        "app/patch.yaml": patch,
        "base/kustomization.yaml": "resources: [c.yaml]\nnameSuffix: -s\nnamespace: inner\n",
        "base/c.yaml": config("base"),
    }
    objects = built(tmp_path, files)
    web, base = objects["Deployment/pre-web"], objects["ConfigMap/pre-base-s"]
    containers = {each["name"]: index for index, each in enumerate(web.body["spec"]["template"]["spec"]["containers"])}

    def container(name: str, *rest: str | int) -> str:
        return line(web, "spec", "template", "spec", "containers", containers[name], *rest)

    assert line(web, "metadata", "namespace") == "app/kustomization.yaml:2"
    assert line(base, "metadata", "namespace") == "app/kustomization.yaml:2"
    assert line(web, "metadata", "name") == "app/kustomization.yaml:3"
    assert line(base, "metadata", "name") == "app/kustomization.yaml:3"
    assert line(web, "metadata", "labels", "owner") == "app/kustomization.yaml:6"
    assert line(web, "metadata", "labels", "app") == "app/web.yaml:6"
    assert line(web, "metadata", "annotations", "note") == "app/kustomization.yaml:8"
    assert line(web, "spec", "replicas") == "app/kustomization.yaml:13"
    assert container("sidecar", "image") == "app/kustomization.yaml:10"
    assert container("sidecar") == "app/web.yaml:15"
    assert container("web", "image") == "app/patch.yaml:12"
    assert container("web", "args", 1) == "app/patch.yaml:13"
    assert container("web") == "app/web.yaml:12"
    assert container("added") == "app/patch.yaml:9"
    assert container("added", "image") == "app/patch.yaml:10"
    assert line(base, "data", "more") == "app/kustomization.yaml:24"
    assert line(base, "data", "key") == "base/c.yaml:6"
    assert line(base) == "base/c.yaml:1"


def test_components_change_what_their_parent_has(tmp_path: Path) -> None:
    files = {
        "app/kustomization.yaml": "resources: [web.yaml]\ncomponents: [../extra]\n",
        "app/web.yaml": WEB,
        "extra/kustomization.yaml": "kind: Component\nresources: [c.yaml]\nlabels:\n  - pairs:\n      added: by-component\n",
        "extra/c.yaml": config("c"),
    }
    objects = built(tmp_path, files)
    assert line(objects["Deployment/web"], "metadata", "labels", "added") == "extra/kustomization.yaml:5"
    assert line(objects["ConfigMap/c"]) == "extra/c.yaml:1"


def test_generated_objects_point_to_their_entries_and_files(tmp_path: Path) -> None:
    kustomization = """\
configMapGenerator:
  - name: made
    files:
      - notes.txt
      - key=other.txt
    literals:
      - word=x
secretGenerator:
  - name: hidden
    literals: [a=b]
    options: {disableNameSuffixHash: true}
"""
    objects = built(tmp_path, {"app/kustomization.yaml": kustomization, "app/notes.txt": "n", "app/other.txt": "o"})
    made = next(each for name, each in objects.items() if name.startswith("ConfigMap/made-"))
    assert line(made) == "app/kustomization.yaml:2"
    assert line(made, "data", "notes.txt") == "app/notes.txt:1"
    assert line(made, "data", "key") == "app/other.txt:1"
    assert line(made, "data", "word") == "app/kustomization.yaml:7"
    assert line(objects["Secret/hidden"], "data", "a") == "app/kustomization.yaml:10"


def test_one_file_reached_with_two_prefixes(tmp_path: Path) -> None:
    files = {
        "app/kustomization.yaml": "resources: [../one, ../two]\n",
        "one/kustomization.yaml": "resources: [../base]\nnamePrefix: one-\n",
        "two/kustomization.yaml": "\nresources: [../base]\nnamePrefix: two-\n",
        "base/kustomization.yaml": "resources: [c.yaml]\n",
        "base/c.yaml": config("c"),
    }
    objects = built(tmp_path, files)
    assert [line(objects[f"ConfigMap/{name}-c"], "metadata", "name") for name in ("one", "two")] == ["one/kustomization.yaml:2", "two/kustomization.yaml:3"]


def test_lists_of_objects(tmp_path: Path) -> None:
    item = "  - apiVersion: v1\n    kind: ConfigMap\n    metadata:\n      name: {}\n"
    text = f"apiVersion: v1\nkind: List\nitems:\n{item.format('a')}{item.format('b')}"
    objects = built(tmp_path, {"app/list.yaml": text})
    assert (line(objects["ConfigMap/a"]), line(objects["ConfigMap/b"], "metadata", "name")) == ("app/list.yaml:4", "app/list.yaml:11")


def test_names_that_kustomize_leaves_alone(tmp_path: Path) -> None:
    files = {"app/kustomization.yaml": "namePrefix: p-\nresources: [n.yaml]\n", "app/n.yaml": "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: n\n"}
    assert line(built(tmp_path, files)["Namespace/n"]) == "app/n.yaml:1"


def test_replacements(tmp_path: Path) -> None:
    kustomization = """\
resources: [c.yaml, d.yaml]
replacements:
  - source: {kind: ConfigMap, name: c, fieldPath: data.key}
    targets:
      - select: {kind: ConfigMap, name: d}
        fieldPaths: [data.key]
"""
    objects = built(tmp_path, {"app/kustomization.yaml": kustomization, "app/c.yaml": config("c", "new"), "app/d.yaml": config("d", "old")})
    assert objects["ConfigMap/d"].body["data"] == {"key": "new"}
    assert (line(objects["ConfigMap/d"], "data", "key"), line(objects["ConfigMap/c"], "data", "key")) == ("app/kustomization.yaml:3", "app/c.yaml:6")


def test_every_pointer_is_answered_inside_the_repository(tmp_path: Path) -> None:
    web = built(tmp_path, {"app/web.yaml": WEB}, ks=KS)["Deployment/web"]

    def walk(value: Any, pointer: Pointer) -> None:
        found = web.locate(pointer)
        lines = (tmp_path / found.path).read_text().splitlines()
        assert 1 <= found.line <= len(lines)
        if pointer and isinstance(pointer[-1], str):
            assert pointer[-1] in lines[found.line - 1] or "value:" in lines[found.line - 1]
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
            walk(inner, (*pointer, key))

    walk(web.body, ())


NAMES = st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f"]), min_size=1, max_size=6, unique=True)


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(NAMES, st.lists(st.integers(0, 3), min_size=6, max_size=6), st.sampled_from(["", "namePrefix: p-\n", "nameSuffix: -s\nnamespace: team\n"]))
def test_an_object_comes_from_the_file_it_was_written_to(tmp_path_factory: Any, names: list[str], places: list[int], change: str) -> None:
    """Objects spread over files and levels: their value tells where they were written."""
    root = tmp_path_factory.mktemp("spread")
    texts: dict[str, str] = {}
    for name, place in zip(names, places, strict=False):
        path = ("app/one.yaml", "app/two.yaml", "base/one.yaml", "base/two.yaml")[place]
        before = texts.get(path, "# head\n")
        value = f"{path}:{before.count(chr(10)) + 7}"
        texts[path] = f"{before}---\n{config(name, value)}"
    here, there = ([path.rpartition("/")[2] for path in sorted(texts) if path.startswith(folder)] for folder in ("app/", "base/"))
    files = {
        **texts,
        "app/kustomization.yaml": f"resources: [{', '.join([*here, '../base'] if there else here)}]\n{change}",
        "base/kustomization.yaml": f"resources: [{', '.join(there)}]\nnamePrefix: b-\n",
    }
    objects = built(root, files)
    assert len(objects) == len(names)
    for each in objects.values():
        assert str(each.locate(("data", "key"))) == each.body["data"]["key"]
