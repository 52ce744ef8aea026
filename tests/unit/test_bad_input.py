"""Hostile and broken input: what is wrong is said with file and line, in bounded time, and the rest of the repository is still proven."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import tarfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from harness.__main__ import main
from harness.flux.workspace import Options, Workspace
from harness.suite import prove
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.compliance.verdict import Verdict

#: Seconds that any single input here may take; the slowest takes a few on a busy machine.
LIMIT = 60.0

SYNC = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: flux-system, namespace: flux-system}
spec: {interval: 1m, url: "https://git.example.com/fleet", ref: {branch: main}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: flux-system, namespace: flux-system}
spec: {interval: 10m, prune: true, path: ./clusters/one, sourceRef: {kind: GitRepository, name: flux-system}}
"""
#: A fault that is found in every one of these repositories as long as the rest of it is looked at.
SOUND = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: sound, namespace: flux-system}\ndata: {number: 1}\n"
SEEN = "one/ConfigMap/flux-system/sound"


def flux(name: str, path: str, more: str = "") -> str:
    return (
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n"
        f"metadata: {{name: {name}, namespace: flux-system}}\n"
        f"spec: {{interval: 1h, prune: true, path: {path}, sourceRef: {{kind: GitRepository, name: flux-system}}{more}}}\n"
    )


@dataclass
class Proof:
    verdict: Verdict
    seconds: float
    says: list[str] = field(default_factory=list)

    def of(self, *rules: str) -> list[str]:
        """What some rules found, as ``path:line text``, sorted."""
        return sorted(f"{item.location} {item.found}" for item in self.verdict.findings if item.rule.startswith(rules))

    @property
    def still_sees_the_rest(self) -> bool:
        return any(item.subject == SEEN and item.rule == "SCH101" for item in self.verdict.findings)


@pytest.fixture
def proven(tmp_path: Path):
    """Writes a repository with a cluster, a sound ConfigMap that has one fault, and what a test adds; and proves it."""

    def run(files: dict[str, str | bytes], *, options: Options | None = None) -> Proof:
        write(tmp_path, {"clusters/one/flux-system/sync.yaml": SYNC, "clusters/one/sound.yaml": SOUND, **files})
        started = time.monotonic()
        verdict = prove(Workspace(tmp_path, options or Options()))
        seconds = time.monotonic() - started
        assert seconds < LIMIT
        return Proof(verdict, seconds)

    return run


def write(root: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())


# Files that are no YAML, or only look like it

TEXTS: dict[str, tuple[str | bytes, str, str]] = {
    "truncated": ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x\n", "YML101", "clusters/one/bad.yaml:"),
    "binary": (b"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x01" * 40, "YML104", "clusters/one/bad.yaml"),
    "NUL": (b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a\x00b}\n", "YML104", "clusters/one/bad.yaml"),
    "Latin-1": ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {k: \xe9}\n".encode("latin-1"), "YML104", "clusters/one/bad.yaml"),
    "UTF-16": ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n".encode("utf-16"), "YML104", "clusters/one/bad.yaml"),
    "byte order mark": (b"\xef\xbb\xbfapiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: y}\n", "YML104", "clusters/one/bad.yaml"),
    "tab": ("apiVersion: v1\nkind: ConfigMap\nmetadata:\n\tname: x\n", "YML101", "clusters/one/bad.yaml:4"),
    "duplicate key": ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\nkind: Secret\n", "YML101", "clusters/one/bad.yaml:4"),
    "a list": ("- 1\n- 2\n", "YML101", "clusters/one/bad.yaml:1"),
    "a scalar": ("just words\n", "YML101", "clusters/one/bad.yaml:1"),
    "a number as key": ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  ? [1]\n  : y\n", "YML101", "clusters/one/bad.yaml:5"),
    "alias bomb": (
        "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(f"{n}: &{n} [{', '.join([f'*{p}'] * 9)}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True)),
        "YML101",
        "clusters/one/bad.yaml",
    ),
    "deep": ("a: " + "[" * 10_000 + "]" * 10_000 + "\n", "YML101", "clusters/one/bad.yaml"),
    "deep by indentation": ("".join(" " * depth + "a:\n" for depth in range(3000)), "YML101", "clusters/one/bad.yaml"),
    "unknown tag": ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: !!python/object:os.system x}\n", "YML101", "clusters/one/bad.yaml:3"),
    "undefined alias": ("apiVersion: v1\nkind: ConfigMap\nmetadata: *nobody\n", "YML101", "clusters/one/bad.yaml:3"),
    "a cycle of aliases": ("apiVersion: v1\nkind: ConfigMap\nmetadata: &m {name: x, labels: *m}\n", "YML101", "clusters/one/bad.yaml"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_bad_file_is_named_and_the_rest_is_seen(proven, name: str) -> None:
    content, rule, where = TEXTS[name]
    # The sound file stands in a folder of its own, so that it is built although the cluster's own folder cannot be.
    proof = proven({"clusters/one/kustomization.yaml": "resources: [flux-system/sync.yaml, sound.yaml]\n", "clusters/one/bad.yaml": content})
    found = proof.of(rule)
    assert found, [f"{item.rule} {item.location} {item.found}" for item in proof.verdict.findings]
    assert all(line.startswith(where) for line in found)
    assert proof.still_sees_the_rest


@pytest.mark.parametrize("name", [name for name in TEXTS if name != "byte order mark"])
def test_bad_file_that_is_built_stops_only_its_own_kustomization(proven, name: str) -> None:
    content, rule, _ = TEXTS[name]
    proof = proven({"clusters/one/bad-ks.yaml": flux("bad", "./bad"), "bad/bad.yaml": content})
    assert proof.of(rule, "KUS101", "YML", "FLX8", "SCH")
    assert proof.still_sees_the_rest


def test_five_megabytes_of_one_manifest(proven) -> None:
    lines = f"    {'x' * 80}\n" * 60_000
    proof = proven({"clusters/one/big.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: big, namespace: flux-system}\ndata:\n  text: |\n" + lines})
    assert any(line.startswith("clusters/one/big.yaml:") for line in proof.of("SCH101"))
    assert proof.still_sees_the_rest


def test_file_beyond_any_size(proven, tmp_path: Path) -> None:
    target = tmp_path / "clusters" / "one" / "huge.yaml"
    target.parent.mkdir(parents=True)
    with target.open("wb") as file:
        file.truncate(1 << 31)
    proof = proven({"clusters/one/kustomization.yaml": "resources: [flux-system/sync.yaml, sound.yaml]\n"})
    assert [line.partition(" ")[0].partition(":")[0] for line in proof.of("YML104")] == ["clusters/one/huge.yaml"]
    assert proof.still_sees_the_rest


def test_ten_thousand_small_files(proven) -> None:
    files: dict[str, str | bytes] = {
        f"many/{number % 100}/{number}.yaml": f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: n{number}, namespace: flux-system}}\n"
        for number in range(10_000)
    }
    proof = proven({**files, **{f"clusters/one/ks-{number}.yaml": flux(f"many-{number}", f"./many/{number}") for number in range(4)}})
    assert proof.verdict.objects["one"] > 400
    assert proof.still_sees_the_rest


def test_huge_numbers(proven) -> None:
    huge = "9" * 5000
    deployment = (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: flux-system}\n"
        f"spec: {{replicas: {huge}, selector: {{matchLabels: {{a: b}}}}, template: {{metadata: {{labels: {{a: b}}}}, spec: {{containers: []}}}}}}\n"
    )
    assert proven({"clusters/one/web.yaml": deployment}).of("SCH101", "YML", "KUS101")


# Structures without an end


def test_depends_on_in_a_circle(proven) -> None:
    proof = proven(
        {
            "clusters/one/a.yaml": flux("a", "./a", ", dependsOn: [{name: b}]"),
            "clusters/one/b.yaml": flux("b", "./a", ", dependsOn: [{name: a}]"),
            "clusters/one/c.yaml": flux("c", "./a", ", dependsOn: [{name: c}]"),
            "a/cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: flux-system}\n",
        }
    )
    assert proof.of("FLX102") == [
        "clusters/one/a.yaml:4 dependsOn goes in a circle: a -> b -> a",
        "clusters/one/b.yaml:4 dependsOn goes in a circle: b -> a -> b",
        "clusters/one/c.yaml:4 dependsOn goes in a circle: c -> c",
    ]
    assert proof.still_sees_the_rest


@pytest.mark.parametrize(
    "bases",
    [
        {"x/kustomization.yaml": "resources: [../y]\n", "y/kustomization.yaml": "resources: [../x]\n"},
        {"x/kustomization.yaml": "resources: [.]\n"},
        {"x/kustomization.yaml": "resources: [../x]\n"},
        {
            "x/kustomization.yaml": "components: [../y]\n",
            "y/kustomization.yaml": "kind: Component\napiVersion: kustomize.config.k8s.io/v1alpha1\nresources: [../x]\n",
        },
    ],
    ids=["two bases", "dot", "itself", "component"],
)
def test_bases_in_a_circle(proven, bases: dict[str, str]) -> None:
    proof = proven({**bases, "clusters/one/x.yaml": flux("x", "./x")})
    found = proof.of("KUS101")
    assert found
    assert all(line.startswith(("x/kustomization.yaml:1 ", "y/kustomization.yaml:3 ", "y/kustomization.yaml:1 ")) for line in found)
    assert proof.still_sees_the_rest


def test_kustomization_that_builds_the_folder_it_is_in_again_and_again(proven) -> None:
    proof = proven({"clusters/one/again.yaml": flux("again", "./clusters/one"), "clusters/one/more.yaml": flux("more", "./clusters/one")})
    assert proof.of("FLX801", "FLX105")
    assert proof.still_sees_the_rest


def test_kustomization_that_makes_new_ones_of_itself_has_an_end(proven) -> None:
    # Each level would make a Kustomization of another name from the same folder.
    body = flux("${N:-k}k", "./again", ", postBuild: {substitute: {N: '${N:-k}k'}}")
    proof = proven({"clusters/one/again-ks.yaml": flux("k", "./again", ", postBuild: {substitute: {N: k}}"), "again/ks.yaml": body})
    assert proof.still_sees_the_rest


def test_variables_that_name_themselves(proven) -> None:
    variables = ", postBuild: {substitute: {A: '${B}', B: '${A}', C: '${C}'}}"
    thing = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: flux-system}\ndata: {k: '${A} ${B} ${C}'}\n"
    proof = proven({"clusters/one/v.yaml": flux("v", "./v", variables), "v/cm.yaml": thing})
    assert proof.still_sees_the_rest


def test_substitution_that_breaks_the_yaml(proven) -> None:
    thing = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: flux-system}\ndata:\n  k: ${BREAK}\n"
    proof = proven({"clusters/one/v.yaml": flux("v", "./v", ", postBuild: {substitute: {BREAK: 'a: b: [c'}}"), "v/cm.yaml": thing})
    assert [line.partition(": ")[0] for line in proof.of("FLX108")] == ["v/cm.yaml:5 the object is no YAML after substitution"]
    assert proof.still_sees_the_rest


def test_substitution_that_fills_the_memory(proven) -> None:
    thing = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: flux-system}\ndata:\n  k: '" + "${BIG}" * 2000 + "'\n"
    proof = proven({"clusters/one/v.yaml": flux("v", "./v", f", postBuild: {{substitute: {{BIG: {'x' * 100_000}}}}}"), "v/cm.yaml": thing})
    assert proof.of("FLX108") == ["v/cm.yaml:1 the object would have 200 MB after substitution, which no API server takes"]
    assert proof.still_sees_the_rest


# Paths


@pytest.mark.parametrize("path", ["../../../etc", "/etc", "./nowhere", "../..", "a/../../b", "clusters/one/sound.yaml", "'~'", "'-rf'", '"a\\0b"', "'C:\\x'"])
def test_path_that_leads_nowhere(proven, path: str) -> None:
    proof = proven({"clusters/one/k.yaml": flux("k", path)})
    assert any(line.startswith("clusters/one/k.yaml:4 ") for line in proof.of("KUS101", "FLX105", "KUS"))
    assert proof.still_sees_the_rest


@pytest.mark.parametrize("reference", ["../../../../../../etc/passwd", "/etc/passwd", "../nowhere.yaml", "-x.yaml", "https://127.0.0.1:1/x.yaml"])
def test_resource_outside_of_the_repository(proven, reference: str) -> None:
    proof = proven({"clusters/one/k.yaml": flux("k", "./k"), "k/kustomization.yaml": f"resources:\n  - {reference}\n"})
    found = proof.of("KUS101", "KUS104")
    assert [line.partition(" ")[0] for line in found] == ["k/kustomization.yaml:2"]
    assert not any("root:" in item.found for item in proof.verdict.findings)
    assert proof.still_sees_the_rest


def test_links(proven, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "secret.yaml").write_text("apiVersion: v1\nkind: Secret\nmetadata: {name: stolen, namespace: flux-system}\n")
    (tmp_path / "clusters" / "one").mkdir(parents=True)
    (tmp_path / "clusters" / "one" / "kustomization.yaml").write_text("resources: [flux-system/sync.yaml, sound.yaml]\n")
    links = tmp_path / "links"
    links.mkdir()
    (links / "loop-a.yaml").symlink_to("loop-b.yaml")
    (links / "loop-b.yaml").symlink_to("loop-a.yaml")
    (links / "self").symlink_to(".")
    (links / "up").symlink_to("../..")
    (links / "outside.yaml").symlink_to(outside / "secret.yaml")
    (links / "folder").symlink_to(outside)
    (links / "gone.yaml").symlink_to("nowhere.yaml")
    proof = proven({})
    named = {line.partition(" ")[0].partition(":")[0] for line in proof.of("YML105")}
    assert {"links/loop-a.yaml", "links/loop-b.yaml", "links/outside.yaml", "links/folder", "links/gone.yaml"} <= named
    assert proof.still_sees_the_rest


def test_file_that_nobody_may_read(proven, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    write(tmp_path, {"clusters/one/closed.yaml": "a: 1\n"})
    (tmp_path / "clusters/one/closed.yaml").chmod(0)
    proof = proven({"clusters/one/kustomization.yaml": "resources: [flux-system/sync.yaml, sound.yaml]\n"})
    assert [line.partition(" ")[0].partition(":")[0] for line in proof.of("YML104")] == ["clusters/one/closed.yaml"]
    assert proof.still_sees_the_rest


def test_what_is_no_file(proven, tmp_path: Path) -> None:
    (tmp_path / "clusters" / "one" / "folder.yaml").mkdir(parents=True)
    os.mkfifo(tmp_path / "clusters" / "one" / "pipe.yaml")
    proof = proven({"clusters/one/kustomization.yaml": "resources: [flux-system/sync.yaml, sound.yaml]\n"})
    assert proof.still_sees_the_rest


def test_git_folder_that_git_does_not_know(proven) -> None:
    assert proven({".git": "gitdir: /nowhere/at/all\n"}).still_sees_the_rest


def test_pattern_that_tries_everything(proven) -> None:
    proof = proven({".sourceignore": "*a" * 25 + "b\n", f"clusters/one/{'a' * 200}.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n"})
    assert proof.seconds < LIMIT / 3
    assert proof.still_sees_the_rest


def test_ignore_file_of_noise(proven) -> None:
    proof = proven({".sourceignore": b"[\n**/**/**/**/a*b*c*\n!\n\\\n\xff\xfe\n" + b"*" * 5000 + b"x\n"})
    assert proof.still_sees_the_rest


STRANGE = ["--help.yaml", "-f", "a b c.yaml", "größe.yaml", "日本/語.yaml", "a'b\".yaml", "#x.yaml", "a%20b.yaml", "*.yaml", "x\ny.yaml"]


@pytest.mark.parametrize("name", STRANGE)
def test_strange_file_names(proven, name: str) -> None:
    thing = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: strange, namespace: flux-system}\ndata: {n: 2}\n"
    listed = json.dumps(f"./{name}")
    proof = proven({"clusters/one/k.yaml": flux("k", "./k"), "k/kustomization.yaml": f"resources: [{listed}]\n", f"k/{name}": thing})
    assert any(item.subject == "one/ConfigMap/flux-system/strange" for item in proof.verdict.findings), proof.of("KUS", "YML")
    assert proof.still_sees_the_rest


def test_folder_with_spaces_and_unicode(tmp_path: Path) -> None:
    root = tmp_path / "-- a repo, größer"
    write(root, {"clusters/one/flux-system/sync.yaml": SYNC, "clusters/one/sound.yaml": SOUND})
    verdict = prove(Workspace(root))
    assert SEEN in {item.subject for item in verdict.findings}


# Kustomizations that are none


SHAPES = [
    *("resources: sound.yaml\n", "resources: {a: b}\n", "resources: [null, 5, {a: 1}]\n", "components: [[]]\n", "patches: 7\n", "patches: [{path: 5}]\n"),
    *("namespace: [x]\n", "configMapGenerator: x\n", "images: [1]\n", "replacements: [{source: 1}]\n", "unknownField: true\n"),
    *("- a\n", "", "apiVersion: v9\nkind: Nothing\n"),
]


@pytest.mark.parametrize("text", SHAPES)
def test_kustomization_file_of_wrong_shape(proven, text: str) -> None:
    proof = proven({"clusters/one/k.yaml": flux("k", "./k"), "k/kustomization.yaml": text})
    assert any(line.startswith(("k/kustomization.yaml", "clusters/one/k.yaml")) for line in proof.of("KUS", "YML"))
    assert proof.still_sees_the_rest


# Charts


def release(name: str, chart: str) -> str:
    return (
        f"apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {{name: {name}, namespace: flux-system}}\n"
        f"spec: {{interval: 1h, chart: {{spec: {{chart: {chart}, version: 1.0.0, sourceRef: {{kind: HelmRepository, name: charts}}}}}}}}\n"
    )


def repository(url: str, kind: str = "") -> str:
    return (
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: HelmRepository\nmetadata: {name: charts, namespace: flux-system}\n"
        f"spec: {{interval: 1h, url: '{url}'{kind}}}\n"
    )


def packed(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return buffer.getvalue()


ESCAPED = "/tmp/plimsoll-escaped"  # noqa: S108 - what a package tries to write
CHART = {"web/Chart.yaml": b"apiVersion: v2\nname: web\nversion: 1.0.0\n"}
PACKAGES: dict[str, bytes] = {
    "empty": b"",
    "no archive": b"this is no archive" * 100,
    "truncated": packed({**CHART, "web/templates/a.yaml": os.urandom(20_000)})[:9000],
    "path escape": packed({**CHART, "../../../tmp/plimsoll-escaped": b"x"}),
    "absolute path": packed({**CHART, ESCAPED: b"x"}),
    "no Chart.yaml": packed({"web/values.yaml": b"a: 1\n"}),
    "Chart.yaml is no YAML": packed({"web/Chart.yaml": b"{{{{"}),
    "Chart.yaml is a list": packed({"web/Chart.yaml": b"- 1\n"}),
    "bomb": packed({**CHART, "web/templates/a.yaml": b"\0" * 200_000_000}),
    "values are a list": packed({**CHART, "web/values.yaml": b"- 1\n"}),
    "schema is no schema": packed({**CHART, "web/values.schema.json": b"{]"}),
    "template does not parse": packed({**CHART, "web/templates/a.yaml": b"{{ if }}"}),
    "template without an end": packed({**CHART, "web/templates/a.yaml": b'{{ define "a" }}{{ include "a" . }}{{ end }}{{ include "a" . }}'}),
}


@pytest.mark.parametrize("name", PACKAGES)
def test_bad_chart_package(proven, tmp_path: Path, name: str) -> None:
    charts = tmp_path.parent / f"{tmp_path.name}-charts"
    charts.mkdir()
    (charts / "web-1.0.0.tgz").write_bytes(PACKAGES[name])
    files = {"clusters/one/charts.yaml": repository("https://charts.example.com"), "clusters/one/web.yaml": release("web", "web")}
    proof = proven(files, options=Options(charts=charts))
    assert proof.of("HLM4")
    assert not Path(ESCAPED).exists()
    assert proof.still_sees_the_rest


def test_link_in_a_chart_package_is_not_followed(proven, tmp_path: Path) -> None:
    charts = tmp_path.parent / f"{tmp_path.name}-charts"
    write(charts, {"web-1.0.0.tgz": packed(CHART, {"web/templates/NOTES.txt": "/etc/passwd", "web/templates/a.yaml": "/etc/passwd"})})
    files = {"clusters/one/charts.yaml": repository("https://charts.example.com"), "clusters/one/web.yaml": release("web", "web")}
    proof = proven(files, options=Options(charts=charts))
    assert not any("root:" in item.found for item in proof.verdict.findings)
    assert proof.still_sees_the_rest


def test_registry_that_does_not_answer(proven) -> None:
    port = 1  # nobody listens on tcpmux
    files = {
        "clusters/one/charts.yaml": repository(f"http://127.0.0.1:{port}/charts"),
        "clusters/one/web.yaml": release("web", "web"),
        "clusters/one/oci.yaml": release("two", "web").replace("name: charts", "name: oci"),
        "clusters/one/oci-repo.yaml": repository(f"oci://127.0.0.1:{port}/charts", ", type: oci").replace("name: charts", "name: oci"),
    }
    proof = proven(files, options=Options(pull=True, cache=False))
    assert [line.partition(" ")[0] for line in proof.of("HLM401")] == ["clusters/one/oci.yaml:4", "clusters/one/web.yaml:4"]
    assert proof.still_sees_the_rest


def test_chart_that_nobody_handed_over_is_said_to_be_unknown(proven) -> None:
    proof = proven({"clusters/one/charts.yaml": repository("https://charts.example.com"), "clusters/one/web.yaml": release("web", "web")})
    assert proof.of("HLM4") == []
    assert [entry.why for entry in proof.verdict.ledger if entry.subject == "one/HelmRelease/flux-system/web" and "renders" in entry.what] == [
        "its chart is not at hand: hand it over with --charts DIR, or allow --pull"
    ]


# Variables from objects of wrong shape


@pytest.mark.parametrize("data", ["[1, 2]", "text", "5", "null", "{A: [1]}", "{A: {b: c}}", "{1: 2}", "{A: null}"])
@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_variables_of_any_shape(proven, kind: str, data: str) -> None:
    source = f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: vars, namespace: flux-system}}\ndata: {data}\n"
    thing = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: flux-system}\ndata: {k: '${A:-a}'}\n"
    more = f", postBuild: {{substituteFrom: [{{kind: {kind}, name: vars}}, 5, null, {{kind: []}}]}}"
    proof = proven({"clusters/one/vars.yaml": source, "clusters/one/v.yaml": flux("v", "./v", more), "v/cm.yaml": thing})
    # kustomize refuses keys that are no text, and with them the folder.
    assert proof.still_sees_the_rest is not (data == "{1: 2}")


def test_secret_that_is_no_text(proven) -> None:
    noise = base64.b64encode(b"\xff\xfe\x00").decode()
    source = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: vars, namespace: flux-system}}\ndata: {{A: '{noise}', B: '%%%'}}\n"
    thing = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: flux-system}\ndata: {k: '${A} ${B}'}\n"
    more = ", postBuild: {substituteFrom: [{kind: Secret, name: vars}]}"
    proof = proven({"clusters/one/vars.yaml": source, "clusters/one/v.yaml": flux("v", "./v", more), "v/cm.yaml": thing})
    assert not proof.of("FLX108")
    assert any(entry.what == "values of Secret vars" for entry in proof.verdict.ledger)


# The command line


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def run(*arguments: str, files: dict[str, str | bytes] | None = None) -> tuple[int, str, str]:
        write(tmp_path, files or {})
        code = main([*arguments, "--repo", str(tmp_path)])
        output = capsys.readouterr()
        assert "Traceback" not in output.out + output.err
        return code, output.out, output.err

    return run


@pytest.mark.parametrize("arguments", [("check",), ("clusters",), ("tree", "one"), ("render", "one"), ("why", "ConfigMap/x")])
def test_empty_repository_cannot_be_checked(command, arguments: tuple[str, ...]) -> None:
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: no cluster found in ")


def test_repository_without_git_is_checked(command) -> None:
    code, out, _ = command("check", "--format", "json", files={"clusters/one/flux-system/sync.yaml": SYNC, "clusters/one/sound.yaml": SOUND})
    assert code == 1
    assert SEEN in {entry["subject"] for entry in json.loads(out)["findings"]}


@pytest.mark.parametrize("arguments", [("tree", "one"), ("render", "one"), ("why", "ConfigMap/sound"), ("check",), ("clusters",)])
def test_commands_survive_a_broken_repository(command, arguments: tuple[str, ...]) -> None:
    files: dict[str, str | bytes] = {
        "clusters/one/flux-system/sync.yaml": SYNC,
        "clusters/one/sound.yaml": SOUND,
        "clusters/one/a.yaml": flux("a", "./a", ", dependsOn: [{name: b}]"),
        "clusters/one/b.yaml": flux("b", "./nowhere", ", dependsOn: [{name: a}, {name: nobody}, 5, null]"),
        "clusters/one/c.yaml": "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: c, namespace: flux-system}\nspec: [1]\n",
        "a/bad.yaml": "x: [\n",
    }
    code, _, _ = command(*arguments, files=files)
    assert code in {0, 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tree", "nobody"), "error: there is no cluster nobody: "),
        (("why", "x"), "error: x: write an object as "),
        (("why", "ConfigMap/nobody"), "error: no cluster gets ConfigMap/nobody"),
        (("why", "ConfigMap/sound", "--field", "no.such"), "error: one/ConfigMap/flux-system/sound has no field no.such"),
        (("explain", "FLX999"), "error: there is no rule FLX999"),
        (("check", "--charts", "/nowhere/at/all"), "error: chart folder /nowhere/at/all does not exist"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(command, arguments: tuple[str, ...], message: str) -> None:
    code, _, err = command(*arguments, files={"clusters/one/flux-system/sync.yaml": SYNC, "clusters/one/sound.yaml": SOUND})
    assert code == 2
    assert err.startswith(message)
    assert err.count("\n") == 1


@pytest.mark.parametrize("version", ["nonsense", "1", "", "1.36; rm -rf /", "٣.٤"])
def test_version_that_is_none(command, version: str) -> None:
    with pytest.raises(SystemExit) as refusal:
        command("check", "--kubernetes-version", version)
    assert refusal.value.code == 2


def test_version_that_a_cluster_cannot_mean(proven) -> None:
    variables = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: vars, namespace: flux-system}\ndata: {KUBERNETES_VERSION: the newest}\n"
    files = {"clusters/one/vars.yaml": variables, "clusters/one/v.yaml": flux("v", "./v", ", postBuild: {substituteFrom: [{kind: ConfigMap, name: vars}]}")}
    assert proven({**files, "v/cm.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n"}).still_sees_the_rest


def test_folder_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("x")
    assert main(["check", "--repo", str(tmp_path / "file")]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'file'} is not a folder\n"


# Anything at all, anywhere

SMALL: dict[str, str] = {
    "clusters/one/flux-system/sync.yaml": SYNC,
    "clusters/one/apps.yaml": flux("apps", "./apps", ", dependsOn: [{name: base}], healthChecks: [{kind: Deployment, name: web, namespace: web}]"),
    "clusters/one/base.yaml": flux("base", "./base", ", wait: true, postBuild: {substitute: {A: b}, substituteFrom: [{kind: ConfigMap, name: vars}]}"),
    "clusters/one/vars.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: vars, namespace: flux-system}\ndata: {HOST: example.com}\n",
    "base/kustomization.yaml": (
        'namespace: web\nresources: [ns.yaml, web.yaml]\npatches: [{patch: \'[{"op": "remove", "path": "/spec/replicas"}]\', target: {kind: Deployment}}]\n'
    ),
    "base/ns.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: web, labels: {pod-security.kubernetes.io/enforce: restricted}}\n",
    "base/web.yaml": (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
        "spec:\n  replicas: 2\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n"
        "    spec: {containers: [{name: web, image: 'web:1', env: [{name: HOST, value: '${HOST}'}], ports: [{containerPort: 80}]}]}\n"
    ),
    "apps/release.yaml": repository("https://charts.example.com") + "---\n" + release("web", "web"),
    "apps/set.yaml": (
        "apiVersion: fluxcd.controlplane.io/v1\nkind: ResourceSet\nmetadata: {name: set, namespace: flux-system}\n"
        "spec: {inputs: [{a: b}], resources: [{apiVersion: v1, kind: ConfigMap, metadata: {name: << inputs.a >>, namespace: flux-system}}]}\n"
    ),
}
SMALL["apps/operators.yaml"] = """\
apiVersion: fluxcd.controlplane.io/v1
kind: FluxInstance
metadata: {name: flux, namespace: flux-system}
spec:
  distribution: {version: 2.x, registry: ghcr.io/fluxcd}
  components: [source-controller, kustomize-controller]
  sync: {kind: GitRepository, url: "https://git.example.com/other", ref: main, path: nowhere, name: other}
---
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: p, namespace: web}
spec:
  replicas: 1
  podMetadata: {labels: {a: b}, annotations: {c: d}}
  storage: {volumeClaimTemplate: {metadata: {name: data}, spec: {resources: {requests: {storage: 1Gi}}}}}
  containers: [{name: prometheus, env: [{name: A, value: b}]}]
  thanos: {image: "thanos:1"}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec:
  group: example.com
  names: {kind: Thing, listKind: ThingList, plural: things, singular: thing}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              x-kubernetes-validations: [{rule: "self.a != 'x'"}]
              properties:
                a: {type: string, pattern: "^a", default: ab}
                b: {type: array, items: {type: object, properties: {k: {type: string}}}, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [k]}
---
apiVersion: example.com/v1
kind: Thing
metadata: {name: t, namespace: web}
spec: {a: ab, b: [{k: v}]}
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: own, namespace: flux-system}
spec:
  interval: 1h
  targetNamespace: web
  chart: {spec: {chart: ./charts/own, sourceRef: {kind: GitRepository, name: flux-system}}}
  values: {a: 1, b: {c: d}}
  valuesFrom: [{kind: ConfigMap, name: vars, valuesKey: HOST, targetPath: b.c}]
  commonMetadata: {labels: {l: m}}
  postRenderers: [{kustomize: {images: [{name: a, newName: b}], patches: [{patch: "- {op: add, path: /data/z, value: q}", target: {kind: ConfigMap}}]}}]
"""
#: A chart of the repository; its templates are no YAML, and stay as they are.
OWN_CHART = {
    "charts/own/Chart.yaml": "apiVersion: v2\nname: own\nversion: 1.0.0\n",
    "charts/own/values.yaml": "a: 0\nb: {c: x}\n",
    "charts/own/templates/cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\ndata: {a: {{ .Values.a | quote }}}\n",
}
TEXT = st.sampled_from(["", "x", "${A}", "../..", "*", "5m", "\u2603"])
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-1, 70_000), st.just(10**40), st.floats(allow_nan=False), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["", "name", "kind", "spec", "x"]), inner, max_size=3)),
    max_leaves=6,
)


def test_the_repository_that_is_changed_at_random_is_sound(tmp_path: Path) -> None:
    write(tmp_path, {**SMALL, **OWN_CHART})
    verdict = prove(Workspace(tmp_path))
    assert verdict.objects["one"] > 25
    assert [f"{item.rule} {item.found}" for item in verdict.findings if item.rule.startswith(("KUS101", "YML", "FLX108", "HLM4"))] == []


def _places(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield at
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _places(inner, (*at, key))


def _replaced(value: Any, at: tuple[str | int, ...], new: Any) -> Any:
    if not at:
        return new
    if isinstance(value, dict):
        return {key: _replaced(inner, at[1:], new) if key == at[0] else inner for key, inner in value.items()}
    return [_replaced(inner, at[1:], new) if index == at[0] else inner for index, inner in enumerate(value)]


PLACES = [(path, index, place) for path, text in SMALL.items() for index, body in enumerate(yaml.safe_load_all(text)) for place in _places(body)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), JSON), min_size=1, max_size=3))
def test_any_value_anywhere_raises_nothing(tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[tuple[str, int, tuple[str | int, ...]], Any]]) -> None:
    documents = {path: list(yaml.safe_load_all(text)) for path, text in SMALL.items()}
    for (path, index, place), new in changes:
        with contextlib.suppress(TypeError, KeyError, IndexError):
            documents[path][index] = _replaced(documents[path][index], place, new)
    root = tmp_path_factory.mktemp("any")
    write(root, {**OWN_CHART, **{path: "\n---\n".join(json.dumps(body) for body in bodies) for path, bodies in documents.items()}})
    started = time.monotonic()
    prove(Workspace(root))
    assert time.monotonic() - started < LIMIT
