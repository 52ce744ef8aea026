from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from harness.source.reach import Reference, closure, is_remote, scan
from harness.source.repository import Repository

if TYPE_CHECKING:
    from pathlib import Path


def write(root: Path, files: dict[str, str]) -> Repository:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return Repository(root)


def shown(references: tuple[Reference, ...]) -> list[tuple[str, str]]:
    return [(str(each.location), each.ref) for each in references]


@pytest.mark.parametrize(
    "reference",
    [
        "https://example.com/x.yaml",
        "HTTP://example.com/x.yaml",
        "ssh://git@example.com/org/repo",
        "git::https://example.com/org/repo",
        "github.com/org/repo",
        "GitHub.com/org/repo//base?ref=v1",
        "github.com:org/repo",
        "git@github.com:org/repo.git",
        "git@example.com:org/repo.git",
        "me@example.com/org/repo",
        "file:///srv/git/repo",
    ],
)
def test_remote(reference: str) -> None:
    assert is_remote(reference)


@pytest.mark.parametrize("reference", ["../base", "./a.yaml", "github.yaml", "github.com", "a@b.yaml", "https", "example.com/org/repo", "1@example.com/x"])
def test_local(reference: str) -> None:
    assert not is_remote(reference)


EVERYTHING = """\
resources: [a.yaml, ../base]
bases: [../old]
components: [../component]
crds: [crd.json]
configurations: [config.yaml]
generators: [generator.yaml]
transformers:
  - transformer
  - |
    apiVersion: builtin
    kind: PatchTransformer
    metadata: {name: inline}
    path: inline-patch.yaml
validators: [validator.yaml]
patchesStrategicMerge:
  - merge.yaml
  - |
    kind: ConfigMap
patchesJson6902: [{path: json.yaml}]
patches: [{path: patch.yaml}, {patch: "kind: X"}]
replacements: [{path: replacement.yaml}]
configMapGenerator: [{name: a, files: [one.txt, "key=two.txt"], envs: [three.env], env: four.env}]
secretGenerator: [{name: b, files: [five.txt]}]
openapi: {path: schema.json}
helmCharts: [{name: chart}]
"""


def test_every_field_that_names_files_is_followed(tmp_path: Path) -> None:
    names = "a.yaml crd.json config.yaml validator.yaml inline-patch.yaml merge.yaml json.yaml patch.yaml replacement.yaml"
    sources = "one.txt two.txt three.env four.env five.txt schema.json"
    files = {f"app/{name}": "{}\n" for name in f"{names} {sources}".split()}
    files |= {
        "app/kustomization.yaml": EVERYTHING,
        "app/generator.yaml": "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: g}\nfiles: [six.txt]\n",
        "app/six.txt": "",
        "app/transformer/kustomization.yaml": "resources: [t.yaml]\n",
        "app/transformer/t.yaml": "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: t}\npath: seven.yaml\n",
        "app/seven.yaml": "{}\n",
        "base/kustomization.yml": "resources: [b.yaml]\n",
        "base/b.yaml": "{}\n",
        "old/Kustomization": "resources: [o.yaml]\n",
        "old/o.yaml": "{}\n",
        "component/kustomization.yaml": "kind: Component\n",
        "unrelated.yaml": "{}\n",
    }
    reach = closure(write(tmp_path, files), "app")
    assert reach.files == files.keys() - {"unrelated.yaml"}
    assert (reach.missing, reach.remote, reach.outside, reach.cycles) == ((), (), (), ())
    assert shown(reach.charts) == [("app/kustomization.yaml:25", "chart")]


def test_what_leads_nowhere_is_named_with_its_line(tmp_path: Path) -> None:
    text = "resources:\n  - gone.yaml\n  - empty\n  - ../../out\n  - /etc\n  - https://example.com/x\n  - ../b\n  - .\npatches:\n  - path: p.yaml\n"
    repository = write(tmp_path, {"a/kustomization.yaml": text, "a/empty/x.txt": "", "b/kustomization.yaml": "resources:\n  - ../a\n"})
    reach = closure(repository, "a")
    assert shown(reach.missing) == [("a/kustomization.yaml:2", "gone.yaml"), ("a/kustomization.yaml:3", "empty"), ("a/kustomization.yaml:10", "p.yaml")]
    assert shown(reach.outside) == [("a/kustomization.yaml:4", "../../out"), ("a/kustomization.yaml:5", "/etc")]
    assert shown(reach.remote) == [("a/kustomization.yaml:6", "https://example.com/x")]
    assert shown(reach.cycles) == [("a/kustomization.yaml:8", "."), ("b/kustomization.yaml:2", "../a")]


def test_a_base_that_contains_what_is_built_is_a_cycle(tmp_path: Path) -> None:
    repository = write(tmp_path, {"kustomization.yaml": "resources: []\n", "a/kustomization.yaml": "resources: [..]\n"})
    assert shown(closure(repository, "a").cycles) == [("a/kustomization.yaml:1", "..")]


def test_a_base_reached_twice_is_walked_once(tmp_path: Path) -> None:
    """Each of 30 levels doubles the ways to the bottom."""
    files = {f"l{level}/kustomization.yaml": f"resources: [../l{level + 1}, ../l{level + 1}/.]\n" for level in range(30)}
    reach = closure(write(tmp_path, {**files, "l30/kustomization.yaml": "resources: []\n"}), "l0")
    assert len(reach.files) == 31


def test_a_directory_without_a_kustomization_reaches_what_flux_would_take(tmp_path: Path) -> None:
    files = {
        "a/x.yaml": "",
        "a/b/kustomization.yaml": "resources: [in.yaml]\n",
        "a/b/in.yaml": "",
        "a/b/left-out.yaml": "",
        "a/b/c/kustomization.yaml": "resources: []\n",
        "a/d/e/y.yml": "",
        "a/d/notes.txt": "",
        "a/b.yaml": "",
    }
    repository = write(tmp_path, files)
    assert scan(repository, "a") == ("./b", "./b.yaml", "./d/e/y.yml", "./x.yaml")
    assert closure(repository, "a").files == {"a/x.yaml", "a/b/kustomization.yaml", "a/b/in.yaml", "a/d/e/y.yml", "a/b.yaml"}
    assert scan(repository, "a", lambda path: not path.startswith("a/b/")) == ("./b.yaml", "./d/e/y.yml", "./x.yaml")
    assert scan(repository, "") == ("./a/b", "./a/b.yaml", "./a/d/e/y.yml", "./a/x.yaml")


@pytest.mark.parametrize("text", ["", "- a\n", "resources: text\n", "resources: [1, {a: b}]\n", "patches: [1]\nconfigMapGenerator: {}\n", "a: [\n"])
def test_odd_kustomizations_are_walked(tmp_path: Path, text: str) -> None:
    assert closure(write(tmp_path, {"a/kustomization.yaml": text}), "a").files == {"a/kustomization.yaml"}
