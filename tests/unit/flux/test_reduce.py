from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from harness.flux.reduce import is_mark, mark, pretty, reduce
from hypothesis import given, settings
from hypothesis import strategies as st

LONG = "x" * 201


def reduced(kind: str = "Thing", **fields: Any) -> dict[str, Any]:
    return reduce({"kind": kind, **fields})


def test_marks_are_digests_and_are_recognised() -> None:
    assert mark("text") == "sha256:982d9e3eb996f559"
    assert is_mark(mark("text"))
    assert is_mark(mark({"a": 1}))
    assert not is_mark("sha256:982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1")
    assert not is_mark(3)


def test_data_of_config_maps_and_secrets_are_marks() -> None:
    assert reduced("ConfigMap", data={"a": "b"}, binaryData={"c": "d"}) == {"kind": "ConfigMap", "data": {"a": mark("b")}, "binaryData": {"c": mark("d")}}
    assert reduced("Secret", stringData={"a": "b"}, type="Opaque") == {"kind": "Secret", "stringData": {"a": mark("b")}, "type": "Opaque"}
    assert reduced("Thing", data={"a": "b"}) == {"kind": "Thing", "data": {"a": "b"}}


@pytest.mark.parametrize(
    "kept",
    [
        {"rules": [{"apiGroups": ["apps"], "resources": ["*"], "verbs": ["get"], "resourceNames": ["a"]}]},
        {
            "spec": {
                "template": {"spec": {"containers": [{"name": "a", "image": "b:1", "args": ["--flag=x"], "ports": [{"containerPort": 80, "name": "http"}]}]}}
            }
        },
        {"spec": {"podSelector": {"matchLabels": {"a": "b"}}, "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}},
        {"webhooks": [{"name": "a.example.com", "failurePolicy": "Fail", "rules": [{"operations": ["*"]}]}]},
        {"spec": {"validations": [{"expression": LONG}], "matchConditions": [{"name": "x", "expression": "a\nb"}]}},
        {"metadata": {"labels": {"description": LONG}}},
    ],
)
def test_what_rules_need_is_kept(kept: dict[str, Any]) -> None:
    expected = copy.deepcopy(kept)
    if "metadata" in kept:
        expected["metadata"]["labels"]["description"] = mark(LONG)
    assert reduced(**kept) == {"kind": "Thing", **expected}


@pytest.mark.parametrize(
    ("field", "value", "result"),
    [
        ("text", LONG, mark(LONG)),
        ("text", "two\nlines", mark("two\nlines")),
        ("description", "short", mark("short")),
        ("caBundle", "Cg==", mark("Cg==")),
        ("message", "say", mark("say")),
        ("number", 10**30, 10**30),
        ("items", [LONG, "a", None, True], [mark(LONG), "a", None, True]),
    ],
)
def test_prose_and_long_texts_are_marks(field: str, value: Any, result: Any) -> None:
    assert reduced(spec={field: value}) == {"kind": "Thing", "spec": {field: result}}


def test_annotations_keep_what_tools_read() -> None:
    annotations = {"helm.sh/hook": "pre-install", "note": LONG, "artifacthub.io/description": "words"}
    assert reduced(metadata={"annotations": annotations})["metadata"] == {
        "annotations": {"helm.sh/hook": "pre-install", "note": mark(LONG), "artifacthub.io/description": mark("words")}
    }


def test_the_status_is_dropped() -> None:
    assert reduced(status={"a": 1}, spec={}) == {"kind": "Thing", "spec": {}}


def test_alert_rules_keep_names_and_labels() -> None:
    rule = {
        "alert": "Down",
        "expr": "up == 0",
        "for": "5m",
        "labels": {"severity": "critical"},
        "annotations": {"summary": "It is down", "runbook_url": "https://x"},
    }
    spec = {"groups": [{"name": "g", "rules": [rule, {"record": "r", "expr": 1}]}]}
    (group,) = reduced("PrometheusRule", spec=spec)["spec"]["groups"]
    assert group["rules"] == [
        {**rule, "expr": mark("up == 0"), "annotations": {"summary": mark("It is down"), "runbook_url": mark("https://x")}},
        {"record": "r", "expr": mark("1")},
    ]


def test_crd_schemas_lose_only_what_is_for_readers() -> None:
    schema = {
        "type": "object",
        "description": "words",
        "title": "t",
        "required": ["description"],
        "properties": {
            "description": {"type": "string", "description": "words", "maxLength": 5, "pattern": "^" + "a" * 300},
            "title": {"type": "array", "items": {"type": "string", "example": "x"}, "x-kubernetes-list-type": "set"},
            "any": {"anyOf": [{"type": "string", "description": "w"}], "additionalProperties": {"description": "w", "default": {"description": "kept"}}},
        },
        "x-kubernetes-validations": [{"rule": "self.x == 1", "message": "words", "messageExpression": "'w'", "fieldPath": ".x"}],
    }
    version = {
        "name": "v1",
        "served": True,
        "schema": {"openAPIV3Schema": schema},
        "additionalPrinterColumns": [{"description": "w"}],
        "subresources": {"status": {}},
    }
    body = {"kind": "CustomResourceDefinition", "metadata": {"name": "a"}, "spec": {"group": "g", "names": {"kind": "K"}, "versions": [version]}, "status": {}}
    assert reduce(body) == {
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "a"},
        "spec": {
            "group": "g",
            "names": {"kind": "K"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "subresources": {"status": {}},
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "required": ["description"],
                            "properties": {
                                "description": {"type": "string", "maxLength": 5, "pattern": "^" + "a" * 300},
                                "title": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                                "any": {"anyOf": [{"type": "string"}], "additionalProperties": {"default": {"description": "kept"}}},
                            },
                            "x-kubernetes-validations": [{"rule": "self.x == 1", "fieldPath": ".x"}],
                        }
                    },
                }
            ],
        },
    }


KEYS = st.sampled_from(["spec", "data", "metadata", "annotations", "description", "expr", "rules", "versions", "schema", "properties", "a"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | st.just(LONG) | st.just("a\nb"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
)
KINDS = st.sampled_from(["ConfigMap", "Secret", "PrometheusRule", "CustomResourceDefinition", "Deployment"])


@settings(max_examples=60)
@given(KINDS, st.dictionaries(KEYS, JSON, max_size=4))
def test_any_object_is_reduced_once_and_for_all(kind: str, fields: dict[str, Any]) -> None:
    body = {"kind": kind, **fields}
    before = copy.deepcopy(body)
    once = reduce(body)
    assert body == before
    assert reduce(once) == once
    assert json.loads(pretty(once)) == once


def test_pretty_opens_only_what_is_long() -> None:
    value = {"b": [1, {"c": "x"}], "a": {"long": ["y" * 30, "z" * 30]}, "e": {}, "f": []}
    assert pretty(value, 60) == (
        '{\n "a": {\n  "long": [\n   "' + "y" * 30 + '",\n   "' + "z" * 30 + '"\n  ]\n },\n "b": [1, {"c": "x"}],\n "e": {},\n "f": []\n}\n'
    )
    assert max(len(line) for line in pretty(value, 60).splitlines()) <= 60
    assert re.fullmatch(r"\{.*\}\n", pretty({"a": 1}))
