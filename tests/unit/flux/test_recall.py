"""What the lock keeps of texts comes back with its meaning; what it does not know stays a digest."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import yaml
from harness.flux.recall import References, recalled
from harness.flux.reduce import is_mark, reduce
from hypothesis import given, settings
from hypothesis import strategies as st

ROUTES = {"route": {"receiver": "team", "group_by": ["alertname"]}, "receivers": [{"name": "team"}]}
CONTENT = "clients:\n  - url: http://loki/push\n    external_labels:\n      cluster: kind\n"


def _map(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": data}


def _secret(**data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "x"},
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in data.items()},
    }


def _keep(body: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    return References(values).keep(body, reduce(body))


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (_map(config=CONTENT), "values:/alloy/content"),
        (_map(config=yaml.safe_dump(ROUTES)), "values+yaml:/alert~1manager/config"),
        (_secret(config=yaml.safe_dump(ROUTES)), "values+base64+yaml:/alert~1manager/config"),
        (_secret(config=CONTENT), "values+base64:/alloy/content"),
    ],
    ids=["text", "yaml", "yaml-in-a-secret", "text-in-a-secret"],
)
def test_text_of_the_values_is_a_reference_and_comes_back(body: dict[str, Any], kept: str) -> None:
    values = {"alloy": {"content": CONTENT}, "alert/manager": {"config": ROUTES}}
    found = _keep(body, values)
    assert found["data"]["config"] == kept
    back = str(recalled(found, values)["data"]["config"])
    text = base64.b64decode(back).decode() if body["kind"] == "Secret" else back
    assert yaml.safe_load(text) == yaml.safe_load(CONTENT if "content" in kept else yaml.safe_dump(ROUTES))


def test_a_reference_that_leads_nowhere_is_a_digest_again() -> None:
    body = {**_map(), "data": {"a": "values:/gone", "b": "values+yaml:/text", "c": "values:/tree"}}
    assert all(is_mark(value) for value in recalled(body, {"text": "x", "tree": {}})["data"].values())


def test_composed_configuration_is_kept_without_its_words() -> None:
    text = "limits:\n  retention_period: 24h\n  ingestion_rate_mb: 6\ndescription: for the reader\nscript: |\n  one\n  two\n"
    found = _keep(_map(**{"config.yaml": text}), {})
    limits = found["data"]["config.yaml"]
    assert limits["limits"] == {"retention_period": "24h", "ingestion_rate_mb": 6}
    assert is_mark(limits["description"])
    assert is_mark(limits["script"])
    assert json.loads(str(recalled(found, {})["data"]["config.yaml"])) == limits


def test_dashboards_files_and_secrets_stay_digests() -> None:
    dashboard = json.dumps({"title": "a dashboard of somebody else", "panels": [{"id": 1}] * 9}, indent=1)
    program = "#!/bin/sh\nset -e\necho something that is rather long\n"
    kept = _keep(_map(**{"board.json": dashboard, "board": dashboard, "run.sh": program}), {})
    assert all(is_mark(value) for value in kept["data"].values())
    assert all(is_mark(value) for value in _keep(_secret(password="correct horse", config="a: 1\n" * 20), {})["data"].values())


def test_short_texts_are_kept_as_they_are() -> None:
    assert _keep(_map(**{"ssl-protocols": "TLSv1.2 TLSv1.3"}), {})["data"] == {"ssl-protocols": "TLSv1.2 TLSv1.3"}


WORDS = st.text(st.sampled_from("abcdef"), min_size=4, max_size=60)
SCALARS = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | WORDS
TREES = st.dictionaries(WORDS, st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=5), min_size=1, max_size=5)


@settings(max_examples=60)
@given(TREES, st.booleans())
def test_keeping_what_was_kept_changes_nothing_and_the_tree_comes_back(tree: dict[str, Any], secret: bool) -> None:
    values = {"config": tree}
    text = json.dumps(tree, indent=1).replace("{", " {", 1) if secret else yaml.safe_dump(tree)
    body = _secret(config=text) if secret else _map(config=text)
    once = _keep(body, values)
    assert References(values).keep(once, reduce(once)) == once
    back = recalled(once, values)["data"]["config"]
    if not is_mark(back):
        assert yaml.safe_load(base64.b64decode(back) if secret else back) == yaml.safe_load(text)
