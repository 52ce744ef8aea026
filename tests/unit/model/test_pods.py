"""Pods are found wherever they stand."""

from __future__ import annotations

from typing import Any

import pytest
from harness.model import Location, Object, ObjectId, Origin
from harness.model.pods import TEMPLATES, pod_of, pods_of


def _object(kind: str, body: dict[str, Any]) -> Object:
    name, _, group = kind.partition(".")
    return Object(ObjectId("c", group, name, "n", "x"), body, Origin(lambda pointer: Location("f", len(pointer))))


@pytest.mark.parametrize("kind", TEMPLATES)
def test_every_kind_gives_its_pod(kind: str) -> None:
    body: dict[str, Any] = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c"}], "initContainers": [{"name": "i"}]}}
    for part in reversed(TEMPLATES[kind]):
        body = {part: body}
    pod = pod_of(_object(kind, body))
    assert pod is not None
    assert (dict(pod.labels), [each.name for each in pod.containers()], pod.service_account, pod.host_network) == ({"a": "b"}, ["i", "c"], "default", False)
    assert pod.locate("spec").line == len(TEMPLATES[kind]) + 1


def test_others_have_none_and_odd_templates_are_empty() -> None:
    odd = _object("Deployment.apps", {"spec": {"template": [1]}})
    assert [dict(pod.spec) for pod in pods_of([_object("Service", {}), odd])] == [{}]
