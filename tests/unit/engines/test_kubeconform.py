"""The second opinion: what is asked of the binary, and how its answers are read."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import pytest
from harness.engines import kubeconform
from harness.engines.kubeconform import Disagreement, KubeconformError, Opinion, disagreements, run
from harness.engines.schema import SchemaSet
from unit.engines.samples import changed, definitions, samples

if TYPE_CHECKING:
    from pathlib import Path

SCHEMAS = SchemaSet.for_cluster("1.36", definitions())
BODIES = [samples()["Deployment/d"], samples()["Widget/w"], samples()["ConfigMap/cm"]]

#: Answers in reverse order for every file, with the status in argument FAKE; keeps what it was given.
FAKE = """#!/bin/sh
location=$5
objects=$6
mkdir -p "$(dirname "$0")/seen" && cp -r "$(dirname "$objects")"/. "$(dirname "$0")/seen"
printf '%s' "$location" > "$(dirname "$0")/location"
printf '{"resources": ['
first=1
for file in $(ls -r "$objects"); do
  [ $first = 1 ] || printf ','
  first=0
  printf '{"filename": "%s/%s", "status": "@STATUS@", "msg": "@MESSAGE@"}' "$objects" "$file"
done
printf ']}'
"""


def binary(folder: Path, text: str) -> Path:
    path = folder / "kubeconform"
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def fake(folder: Path, status: str, message: str = "") -> Path:
    return binary(folder, FAKE.replace("@STATUS@", status).replace("@MESSAGE@", message))


def test_every_object_gets_an_opinion_in_order(tmp_path: Path) -> None:
    opinions = run(BODIES, SCHEMAS, binary=fake(tmp_path, "statusValid"))
    assert opinions == tuple(Opinion(index, "statusValid", "") for index in range(3))


def test_it_is_given_our_schemas_and_objects(tmp_path: Path) -> None:
    run(BODIES, SCHEMAS, binary=fake(tmp_path, "statusValid"))
    seen = tmp_path / "seen"
    assert sorted(path.name for path in seen.glob("*.json")) == [
        "configmap-v1-v1.schema.json",
        "deployment-apps-v1.schema.json",
        "widget-example.com-v1.schema.json",
    ]
    assert json.loads((seen / "widget-example.com-v1.schema.json").read_text()) == SCHEMAS.json_schema("example.com/v1", "Widget")
    assert [json.loads((seen / "objects" / f"{index}.json").read_text()) for index in range(3)] == BODIES
    assert (tmp_path / "location").read_text().endswith("/{{ .ResourceKind }}-{{ .Group }}-{{ .ResourceAPIVersion }}.schema.json")


def test_disagreements(tmp_path: Path) -> None:
    bodies = [BODIES[0], changed(BODIES[0], ("spec", "replicas"), -1), changed(BODIES[1], ("spec", "nme"), "x")]
    refused = run(bodies, SCHEMAS, binary=fake(tmp_path, "statusInvalid", "no"))
    assert disagreements(bodies, SCHEMAS, refused) == (Disagreement(0, (), "no"),)
    accepted = [Opinion(index, "statusValid", "") for index in range(3)]
    assert disagreements(bodies, SCHEMAS, accepted) == (
        Disagreement(1, ("spec.replicas: must be at least 0, not -1",), ""),
        Disagreement(2, ("spec.nme: unknown field (did you mean name?)",), ""),
    )


def test_what_it_skipped_is_no_opinion() -> None:
    assert disagreements(BODIES, SCHEMAS, [Opinion(0, "statusSkipped", "")]) == ()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("#!/bin/sh\necho 'no such flag' >&2\nexit 1\n", "kubeconform gave no readable answer: no such flag"),
        ("#!/bin/sh\necho '{\"resources\": []}'\n", "kubeconform answered for 0 of 1 objects"),
        ("#!/bin/sh\necho '[]'\n", "kubeconform gave no readable answer"),
        ("#!/bin/sh\nexec sleep 5\n", "did not run"),
        ("not a program", "did not run"),
    ],
    ids=["refused", "incomplete", "other-json", "slow", "no-program"],
)
def test_no_answer(tmp_path: Path, script: str, message: str) -> None:
    with pytest.raises(KubeconformError, match=message):
        run(BODIES[:1], SCHEMAS, binary=binary(tmp_path, script), timeout=0.5)


def test_no_binary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert kubeconform.find() is None
    with pytest.raises(KubeconformError, match="kubeconform is not on PATH: go install"):
        run(BODIES, SCHEMAS)


@pytest.mark.skipif(kubeconform.find() is None, reason="kubeconform is not on PATH")
@pytest.mark.parametrize(("name", "change", "agrees"), [("Deployment/d", {}, True), ("Deployment/d", {"spec": {"x": 1}}, True), ("Widget/w", {}, True)])
def test_the_real_binary(name: str, change: dict[str, Any], agrees: bool) -> None:
    bodies = [{**samples()[name], **change}]
    assert (disagreements(bodies, SCHEMAS, run(bodies, SCHEMAS)) == ()) is agrees
