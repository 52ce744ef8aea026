"""Small test suites, written to a folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.policytest import RowResult, read_tests, run_test

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]


def policy(kind: str, name: str, plural: str = "pods", group: str = "", **spec: Any) -> Json:
    """A policy of policies.kyverno.io about one resource."""
    rules = [{"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE", "DELETE"], "resources": [plural]}]
    body = {"matchConstraints": {"resourceRules": rules}, **spec}
    return {"apiVersion": "policies.kyverno.io/v1", "kind": kind, "metadata": {"name": name}, "spec": body}


def validating(name: str, expression: str, message: str = "no", **spec: Any) -> Json:
    return policy("ValidatingPolicy", name, validations=[{"expression": expression, "message": message}], **spec)


def pod(name: str, namespace: str | None = None, **labels: str) -> Json:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **({"labels": labels} if labels else {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": "main", "image": "nginx:1"}]}}


def write(folder: Path, results: list[Json], *, name: str = "kyverno-test.yaml", **inputs: Any) -> Path:
    """A test whose inputs are files that this makes: every list of objects becomes a file of its name. JSON is YAML."""
    test: Json = {"apiVersion": "cli.kyverno.io/v1alpha1", "kind": "Test", "metadata": {"name": folder.name}, "results": results}
    folder.mkdir(parents=True, exist_ok=True)
    for field, value in inputs.items():
        if isinstance(value, list) and value and isinstance(value[0], dict) and field not in ("globalContextEntries", "apiCallResponses"):
            (folder / f"{field}.yaml").write_text("\n---\n".join(json.dumps(body) for body in value), encoding="utf-8")
            test[field] = [f"{field}.yaml"] if field not in ("variables", "userinfo", "context") else f"{field}.yaml"
        else:
            test[field] = value
    path = folder / name
    path.write_text(json.dumps(test, indent=1), encoding="utf-8")
    return path


def run(path: Path) -> list[RowResult]:
    return [result for test in read_tests(path) for result in run_test(test)]


def said(path: Path) -> list[tuple[str, str, str]]:
    """Outcome, object and message of every result."""
    return [(str(result.outcome), result.subject, result.message) for result in run(path)]
