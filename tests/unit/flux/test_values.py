from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from harness.flux.values import UNKNOWN, Values, compose
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.flux.releases import Cluster, release

HOLDERS = f"""\
apiVersion: v1
kind: ConfigMap
metadata:
  name: base
  namespace: apps
data:
  values.yaml: |
    a: 1
    b:
      c: base
      d: base
  other.yaml: |
    b:
      d: other
  port: "8080"
  list: "{{x,y}}"
  text: "a,b=c"
  broken: "a: ["
  scalar: "just text"
---
apiVersion: v1
kind: Secret
metadata: {{name: plain, namespace: apps}}
stringData:
  values.yaml: "s: 1"
data:
  token: {base64.b64encode(b"secret").decode()}
  odd: "!!"
---
apiVersion: bitnami.com/v1alpha1
kind: SealedSecret
metadata: {{name: sealed, namespace: apps}}
spec: {{encryptedData: {{token: AgB, values.yaml: AgC}}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: sops, namespace: apps}}
stringData: {{values.yaml: "ENC[AES256_GCM,data:x]"}}
---
"""


def composed(values_from: str, values: str = "") -> Values:
    lines = "valuesFrom:\n" + "".join(f"- {line}\n" for line in values_from.splitlines()) if values_from else ""
    view = Cluster(HOLDERS + release(spec=lines, values=values))
    return compose(view.release, view.find)


@pytest.mark.parametrize(
    ("values_from", "values", "expected"),
    [
        ("", "a: 1", {"a": 1}),
        ("{kind: ConfigMap, name: base}", "b: {c: inline}", {"a": 1, "b": {"c": "inline", "d": "base"}}),
        # The later one wins.
        ("{kind: ConfigMap, name: base}\n{kind: ConfigMap, name: base, valuesKey: other.yaml}", "", {"a": 1, "b": {"c": "base", "d": "other"}}),
        ("{kind: ConfigMap, name: base, valuesKey: other.yaml}\n{kind: ConfigMap, name: base}", "", {"a": 1, "b": {"c": "base", "d": "base"}}),
        # What has a path goes over everything before it, inline values included.
        ("{kind: ConfigMap, name: base, valuesKey: port, targetPath: x.port}", "x: {port: 1, z: 2}", {"x": {"port": 8080, "z": 2}}),
        ("{kind: ConfigMap, name: base, valuesKey: list, targetPath: x}", "", {"x": ["x", "y"]}),
        ("{kind: ConfigMap, name: base, valuesKey: list, targetPath: 'x.y\\.z', literal: true}", "", {"x": {"y.z": "{x,y}"}}),
        ("{kind: ConfigMap, name: base, valuesKey: text, targetPath: 'x[1].y', literal: true}", "", {"x": [None, {"y": "a,b=c"}]}),
        ("{kind: Secret, name: plain, valuesKey: token, targetPath: t}", "", {"t": "secret"}),
        ("{kind: Secret, name: plain}", "", {"s": 1}),
        # An unescaped comma ends the value, as on helm's command line.
        ("{kind: ConfigMap, name: base, valuesKey: text, targetPath: x}", "", {"x": "a", "b": "c"}),
    ],
)
def test_composition(values_from: str, values: str, expected: dict[str, Any]) -> None:
    result = composed(values_from, values)
    assert (result.values, result.problems, result.unresolved) == (expected, (), ())


def test_an_inline_value_wins_over_a_path_of_one_key() -> None:
    # helm-controller merges the inline values once more at the end; only what a path changed inside of their mappings is kept.
    assert composed("{kind: ConfigMap, name: base, valuesKey: port, targetPath: port}", "port: 1").values == {"port": 1}


@pytest.mark.parametrize(
    ("values_from", "code", "message"),
    [
        ("{kind: ConfigMap, name: none}", "values-source-missing", "spec.valuesFrom[0] needs ConfigMap apps/none, which is nowhere in this cluster"),
        ("{kind: Secret, name: none}", "values-source-missing", "spec.valuesFrom[0] needs Secret apps/none, which is nowhere in this cluster"),
        ("{kind: ConfigMap, name: base, valuesKey: absent}", "values-key-missing", "ConfigMap apps/base has no key absent"),
        ("{kind: Secret, name: sealed, valuesKey: absent}", "values-key-missing", "SealedSecret apps/sealed has no key absent"),
        ("{kind: ConfigMap, name: base, valuesKey: scalar}", "values-unreadable", "ConfigMap apps/base key scalar is not a mapping of values"),
        ("{kind: Pod, name: base}", "values-reference", "spec.valuesFrom[0] refers to a Pod: only ConfigMap and Secret are supported"),
        ("{kind: ConfigMap, name: base, valuesKey: port, targetPath: 'x['}", None, ""),
        (
            "{kind: ConfigMap, name: base, valuesKey: port, targetPath: 'x[y]'}",
            "values-unreadable",
            "ConfigMap base cannot be set at x[y]: error parsing index: 'y'",
        ),
    ],
)
def test_what_stops_a_release(values_from: str, code: str | None, message: str) -> None:
    result = composed(values_from)
    assert [(problem.code, problem.message) for problem in result.problems] == ([(code, message)] if code else [])
    assert all(problem.subject == "c/HelmRelease/apps/web" for problem in result.problems)


def test_unreadable_yaml_says_why() -> None:
    (problem,) = composed("{kind: ConfigMap, name: base, valuesKey: broken}").problems
    assert problem.message.startswith("ConfigMap apps/base key broken is not readable YAML: ")


@pytest.mark.parametrize("values_from", ["{kind: ConfigMap, name: base, valuesKey: absent, optional: true}", "{kind: Secret, name: none, optional: true}"])
def test_optional_references_may_be_missing(values_from: str) -> None:
    result = composed(values_from, "a: 1")
    assert (result.values, result.problems) == ({"a": 1}, ())


def test_values_that_only_the_cluster_knows() -> None:
    result = composed(
        "{kind: Secret, name: sealed, valuesKey: token, targetPath: a.token}\n{kind: Secret, name: sealed}\n{kind: Secret, name: sops}", "a: {b: 1}"
    )
    assert result.values == {"a": {"b": 1, "token": UNKNOWN}}
    assert result.unknown == {UNKNOWN}
    assert [(item.what, item.why) for item in result.unresolved] == [
        ("values from Secret sealed key token at a.token", "the value is sealed in SealedSecret sealed"),
        ("values from Secret sealed key values.yaml", "the value is sealed in SealedSecret sealed"),
        ("values from Secret sops key values.yaml", "the value is encrypted in Secret sops"),
    ]


def test_lines_of_values() -> None:
    result = composed("{kind: ConfigMap, name: base}\n{kind: ConfigMap, name: base, valuesKey: port, targetPath: x.port}", "b:\n  c: inline\nx:\n  port: 1")
    lines = (HOLDERS + release(spec="valuesFrom:\n- a\n- b", values="b:\n  c: inline\nx:\n  port: 1")).splitlines()

    def line(text: str) -> int:
        return lines.index(text) + 1

    assert result.locate(("b", "c")).line == line("      c: inline")
    # Inside the block of text in the ConfigMap.
    assert result.locate(("a",)).line == line("    a: 1")
    assert result.locate(("b", "d")).line == line("      d: base")
    assert result.locate(("x", "port")).line == line('  port: "8080"')
    # What nobody sets is set in spec.values, when somebody wants to.
    assert result.locate(("nothing",)).line == line("  values:")


def test_values_of_memoised_documents_are_not_changed() -> None:
    text = "{kind: ConfigMap, name: base}\n{kind: ConfigMap, name: base, valuesKey: port, targetPath: b.c}"
    assert composed(text).values["b"]["c"] == 8080
    assert composed("{kind: ConfigMap, name: base}").values["b"]["c"] == "base"


VALUES = st.dictionaries(
    st.sampled_from("abc"), st.recursive(st.integers(0, 3), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=2)), max_size=3
)


def flat(values: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if not isinstance(values, dict):
        return {path: values}
    return {key: value for name, item in values.items() for key, value in flat(item, (*path, name)).items()}


@settings(max_examples=50)
@given(VALUES, VALUES)
def test_every_inline_value_is_there_and_nothing_is_invented(base: dict[str, Any], inline: dict[str, Any]) -> None:
    holder = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: base, namespace: apps}}\ndata: {{values.yaml: '{json.dumps(base)}'}}\n---\n"
    view = Cluster(holder + release(spec="valuesFrom: [{kind: ConfigMap, name: base}]\nvalues: " + json.dumps(inline)))
    result = flat(compose(view.release, view.find).values)
    given_inline, given_base = flat(inline), flat(base)
    assert all(result[path] == value for path, value in given_inline.items() if path)
    assert all(given_inline.get(path, given_base.get(path)) == value for path, value in result.items() if path)
