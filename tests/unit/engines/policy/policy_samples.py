"""Policies and objects that the tests of the policy engine are about."""

from __future__ import annotations

from typing import Any

from harness.engines.policy import PolicySet, Request, Result, Sources

Body = dict[str, Any]

POD_RULE: Body = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["pods"]}
EVERYTHING: Body = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}


def rules(*entries: Body, **more: Any) -> Body:
    return {"resourceRules": list(entries), **more}


def kyverno(kind: str, name: str = "p", namespace: str = "", **spec: Any) -> Body:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "policies.kyverno.io/v1", "kind": kind, "metadata": metadata, "spec": {"matchConstraints": rules(POD_RULE), **spec}}


def validating(*validations: Body | str, name: str = "p", namespace: str = "", **spec: Any) -> Body:
    """A ValidatingPolicy on pods; a validation may be its expression alone."""
    entries = [{"expression": entry} if isinstance(entry, str) else entry for entry in validations]
    return kyverno("NamespacedValidatingPolicy" if namespace else "ValidatingPolicy", name, namespace, validations=entries, **spec)


def pod(*images: str, name: str = "a", namespace: str = "team", labels: Body | None = None, **spec: Any) -> Body:
    containers = [{"name": f"c{index}", "image": image} for index, image in enumerate(images or ("nginx",))]
    metadata = {"name": name, "namespace": namespace, **({"labels": labels} if labels else {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers, **spec}}


def workload(kind: str, *images: str, api_version: str = "apps/v1") -> Body:
    template: Body = {"metadata": {"labels": {"app": "d"}}, "spec": pod(*images)["spec"]}
    spec = {"jobTemplate": {"spec": {"template": template}}} if kind == "CronJob" else {"template": template}
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "d", "namespace": "team"}, "spec": spec}


def config_map(name: str = "settings", namespace: str = "team", labels: Body | None = None, **data: str) -> Body:
    metadata = {"name": name, "namespace": namespace, **({"labels": labels} if labels else {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def namespace(name: str, **labels: str) -> Body:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def review(policies: Body | list[Body], request: Body | Request, sources: Sources | None = None, **more: Any) -> list[Result]:
    """The results of some policies for an object that is created, or for a request."""
    given = policies if isinstance(policies, list) else [policies]
    asked = request if isinstance(request, Request) else Request(request)
    return list(PolicySet(given, sources=sources, **more).review(asked))


def verdict(expression: str, request: Body | Request | None = None, sources: Sources | None = None, **spec: Any) -> tuple[str, str]:
    """Status and reason (or message) of one expression as the validation of everything."""
    policy = validating(expression, **{"matchConstraints": rules(EVERYTHING), **spec})
    (result,) = review(policy, request if request is not None else pod(), sources)
    return str(result.status), result.reason or result.message
