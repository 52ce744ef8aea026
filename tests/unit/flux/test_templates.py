from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from harness.flux.templates import FROZEN, asked_versions, freeze, frozen_pointers, is_frozen, reaching_lookup, reaching_random
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
        ('{{ "APIVersions" }}', frozenset()),
        ("{{ .Capabilities.APIVersions.Has $wanted }}", None),
        ('{{ .Capabilities.APIVersions.Has (printf "%s" "a") }}', None),
        ("{{ range .Capabilities.APIVersions }}{{ end }}", None),
    ],
)
def test_asked_versions(text: str, asked: frozenset[str] | None) -> None:
    assert asked_versions({"templates/a.yaml": text, "templates/b.yaml": ""}) == asked


def test_random_functions_are_found_through_includes() -> None:
    sources = {
        "templates/_helpers.tpl": '{{ define "password" }}{{ randAlphaNum 10 }}{{ end }}{{ define "name" }}x{{ end }}'
        '{{ define "outer" }}{{ include "password" . }}{{ end }}',
        "templates/direct.yaml": "a: {{ uuidv4 }}",
        "templates/indirect.yaml": 'a: {{ include "outer" . }}',
        "templates/other.yaml": 'a: {{ include "name" . }}',
        "templates/text.yaml": 'a: {{ "randAlphaNum" }} now randInt {{/* now */}} {{ .now }} {{ $now }}',
    }
    assert reaching_random(sources) == {"templates/direct.yaml", "templates/indirect.yaml"}


def test_lookups_are_found_in_the_file_that_defines_them_too() -> None:
    sources = {
        "templates/all.yaml": '{{ define "x" }}{{ lookup "v1" "Secret" "" "" }}{{ end }}',
        "templates/b.yaml": '{{ template "x" . }}',
        "templates/c.yaml": "{{ .Values.lookup }}",
    }
    # What follows a define in a file is not told apart from it.
    assert reaching_lookup(sources) == {"templates/all.yaml", "templates/b.yaml"}


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
o: {{ shuffle "abc" }}
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


def test_pointers_to_frozen_values() -> None:
    body = {"data": {"a": FROZEN, "b": "x"}, "spec": [{"c": [f"x{FROZEN}"]}], "n": 1}
    assert list(frozen_pointers(body)) == [("data", "a"), ("spec", 0, "c", 0)]
