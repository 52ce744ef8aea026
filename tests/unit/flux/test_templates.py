from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from harness.flux.templates import (
    FROZEN,
    asked_versions,
    code_of,
    freeze,
    frozen_pointers,
    is_frozen,
    lift,
    lower,
    may_be_frozen,
    reaching_lookup,
    reaching_random,
)
from harness.flux.tools import run
from unit.flux.releases import TOOLS, chart

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("no question", frozenset()),
        ('{{ if .Capabilities.APIVersions.Has "a/v1" }}{{ end }}', {"a/v1"}),
        ('{{- if or (.Capabilities.APIVersions.Has "a/v1") ($.Capabilities.APIVersions.Has "b/v1/K") -}}', {"a/v1", "b/v1/K"}),
        ("# .Capabilities.APIVersions in a comment", frozenset()),
        ("{{/* .Capabilities.APIVersions.Has $x */}}", frozenset()),
        ('{{- /* a comment */ -}}\n{{ .Capabilities.APIVersions.Has "a/v1" }}', {"a/v1"}),
        ('{{ "APIVersions" }}', frozenset()),
        ("{{ .Capabilities.APIVersions.Has $wanted }}", None),
        ('{{ .Capabilities.APIVersions.Has (printf "%s" "a") }}', None),
        ("{{ range .Capabilities.APIVersions }}{{ end }}", None),
    ],
)
def test_asked_versions(text: str, asked: frozenset[str] | None) -> None:
    assert asked_versions({"templates/a.yaml": code_of(text), "templates/b.yaml": ""}) == asked


def test_random_functions_are_found_through_includes() -> None:
    sources = {
        "templates/_helpers.tpl": '{{ define "password" }}{{ randAlphaNum 10 }}{{ end }}{{ define "name" }}x{{ end }}'
        '{{ define "outer" }}{{ include "password" . }}{{ end }}',
        "templates/direct.yaml": "a: {{ uuidv4 }}",
        "templates/indirect.yaml": 'a: {{ include "outer" . }}',
        "templates/other.yaml": 'a: {{ include "name" . }}',
        "templates/text.yaml": 'a: {{ "randAlphaNum" }} now randInt {{/* now */}} {{ .now }} {{ $now }}',
    }
    assert reaching_random({path: code_of(text) for path, text in sources.items()}) == {"templates/direct.yaml", "templates/indirect.yaml"}


def test_lookups_are_found_in_the_file_that_defines_them_too() -> None:
    sources = {
        "templates/all.yaml": '{{ define "x" }}{{ lookup "v1" "Secret" "" "" }}{{ end }}',
        "templates/b.yaml": '{{ template "x" . }}',
        "templates/c.yaml": "{{ .Values.lookup }}",
    }
    # What follows a define in a file is not told apart from it.
    assert reaching_lookup({path: code_of(text) for path, text in sources.items()}) == {"templates/all.yaml", "templates/b.yaml"}


RANDOM = """\
kind: A
a: {{ randAlphaNum 40 | quote }}
b: {{ randAlphaNum (.Values.n | int) | b64enc | quote }}
c: {{ uuidv4 }}
{{- $ca := genCA "ca" 365 }}
{{- $cert := genSignedCert "a" (list "1.2.3.4") (list "b") 10 $ca }}
d: {{ $cert.Cert | b64enc }}
e: {{ $ca.Key | quote }}
f: {{ (genSelfSignedCert "a" nil nil 10).Key }}
g: {{ genPrivateKey "ed25519" | quote }}
h: {{ htpasswd "user" "password" | quote }}
i: {{ bcrypt "x" | quote }}
j: {{ now | date "2006-01-02" | quote }}
k: {{ encryptAES "key" "text" | quote }}
l: {{ randInt 3 9 }}
m: {{ "now is randAlphaNum" }}
n: {{ now.Year }}
o: {{ shuffle "abc" }}{{/* a comment */}}
p: {{ 12 | randAlpha }}
"""


def test_frozen_templates_render_the_same_every_time(tmp_path: Path) -> None:
    package = chart(tmp_path, "x", templates__a_yaml=freeze(RANDOM), values_yaml="n: 5\n")
    first, second = (run(TOOLS.helm, ["template", "x", str(package)]) for _ in range(2))
    assert first.code == 0, first.stderr
    assert first.stdout == second.stdout
    assert f'a: "{FROZEN}40"' in first.stdout
    assert f'h: "user:{FROZEN}"' in first.stdout
    assert 'j: "2001-01-01"' in first.stdout
    assert "m: now is randAlphaNum" in first.stdout
    assert "l: 3\n" in first.stdout


def test_freezing_keeps_lines_and_everything_else() -> None:
    assert freeze(RANDOM).count("\n") == RANDOM.count("\n")
    plain = 'a: {{ .Values.now }}{{- "genCA" -}}{{ $now }} now {{/* now */}} {{ snow }} {{ now_ }}'
    assert freeze(plain) == plain


@pytest.mark.parametrize("prefix", ["", "x", "ab", "abc"])
def test_frozen_text_is_recognised_inside_base64(prefix: str) -> None:
    assert is_frozen(base64.b64encode(f"{prefix}{FROZEN}40".encode()).decode())
    assert not is_frozen(base64.b64encode(f"{prefix}something else".encode()).decode())


@pytest.mark.parametrize("text", [FROZEN, base64.b64encode(f"x{FROZEN}y".encode()).decode(), "2001-01-01T00:00:00Z"])
def test_output_without_frozen_values_need_not_be_searched(text: str) -> None:
    assert may_be_frozen(f"a: b\nc: {text}\n")
    assert not may_be_frozen("a: b\n")


def test_pointers_to_frozen_values() -> None:
    body = {"data": {"a": FROZEN, "b": "x"}, "spec": [{"c": [f"x{FROZEN}"]}], "n": 1}
    assert list(frozen_pointers(body)) == [("data", "a"), ("spec", 0, "c", 0)]


HEAD = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: {{ .Values.name }}\n"
LARGE = "spec:\n" + "".join(f"  key{number}: |\n    text {number}\n" for number in range(300))


@pytest.mark.parametrize(
    ("text", "lifted"),
    [
        (HEAD + LARGE, 1),
        ("{{- if .Values.on }}\n" + HEAD + LARGE + "{{- end }}\n", 1),
        ("{{- if .Values.on }}\n" + HEAD + LARGE + "---\n" + HEAD + LARGE + "  last: 1\n{{ end }}{{- end -}}\n", 2),
        ("---\nkind: ConfigMap\n" + LARGE + "---\n" + HEAD + LARGE, 1),
        # Small, of another kind, or with something templated in it or behind it.
        (HEAD + "spec:\n  group: x\n", 0),
        ("kind: ConfigMap\n" + LARGE, 0),
        (HEAD + LARGE + "  more: {{ .Values.x }}\n", 0),
        (HEAD + LARGE + "{{ if .Values.x }}\n  more: 1\n{{ end }}", 0),
        (HEAD + LARGE + "{{- end }}\n  more: 1\n", 0),
        (HEAD.replace("metadata", "spec: {}\nmetadata") + "x:\n  " + LARGE.replace("\n", "\n  "), 0),
    ],
)
def test_specs_of_crds_are_taken_past_helm(text: str, lifted: int) -> None:
    short, blocks = lift(text)
    assert (len(blocks) > 0) == (lifted > 0)
    assert short.count("spec: plimsoll-lifted-") == lifted
    assert lower(short, blocks) == text
    assert lower("spec: plimsoll-lifted-00000000000000000000\n", blocks) == "spec: plimsoll-lifted-00000000000000000000\n"


def test_lifted_crds_come_out_of_helm_as_they_went_in(tmp_path: Path) -> None:
    text = "{{- range .Values.names }}\n---\n" + HEAD.replace(".Values.name", ".") + LARGE + "{{- end }}\n"
    short, blocks = lift(text)
    assert len(blocks) == 1
    outputs = []
    for name, template in (("plain", text), ("lifted", short)):
        package = chart(tmp_path, name, templates__a_yaml=template, values_yaml="names: [a, b]\n")
        output = run(TOOLS.helm, ["template", "x", str(package)])
        assert output.code == 0, output.stderr
        outputs.append(lower(output.stdout, blocks).replace(f"Source: {name}/", "Source: "))
    assert outputs[0] == outputs[1]
