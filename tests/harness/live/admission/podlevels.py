"""Pods that Pod Security has to judge, and what it says of them: the offline engine and the API server, in the same words."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.engines.podsecurity import Request, decide, policy_of
from harness.live.admission.verdicts import squeezed
from harness.model.shapes import mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.live.reach.api import Api, Reply, User
    from harness.source.policycases import PolicyCase

Json = dict[str, Any]

PREFIX: Final = "pod-security.kubernetes.io/"
_VIOLATES: Final = re.compile(r'violates PodSecurity "[^"]*": .*', re.DOTALL)
_AT_ONCE: Final = 6
#: Before Pod Security, and for reasons of their own: the object is not valid.
_INVALID: Final = frozenset({400, 422})

#: Images of ours, whose signatures a policy looks for in the registry, and ones that nobody looks at.
_OURS, _ELSEWHERE = "ghcr.io/example/", "quay.io/example/"

RESTRICTED: Final[Json] = {
    "automountServiceAccountToken": False,
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {"name": "web", "image": f"{_ELSEWHERE}web:1.0.0", "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}
    ],
}
#: A pod for each level: the strictest that lets it through.
LEVELS: Final[Mapping[str, Json]] = {
    "restricted": RESTRICTED,
    "baseline": {**RESTRICTED, "securityContext": {"runAsNonRoot": True}},
    "privileged": {**RESTRICTED, "hostNetwork": True},
}


def pods_of(cases: Iterable[PolicyCase]) -> dict[str, Json]:
    """The pods that cases create, each once, by the id of the first case that has it."""
    found: dict[str, Json] = {}
    seen: set[str] = set()
    for case in cases:
        body = case.object
        if case.operation != "CREATE" or body is None or body.get("kind") != "Pod":
            continue
        metadata = mapping(body.get("metadata"))
        pod = {"metadata": {"annotations": metadata["annotations"]} if "annotations" in metadata else {}, "spec": _without_account(mapping(body.get("spec")))}
        key = json.dumps(pod, sort_keys=True)
        if key not in seen:
            seen.add(key)
            found[case.id] = pod
    return found


def _without_account(spec: Mapping[str, Any]) -> Json:
    # A pod whose service account is not there is refused for that, before anybody judges it.
    kept = {name: value for name, value in spec.items() if name not in ("serviceAccountName", "priorityClassName")}
    return dict(json.loads(json.dumps(kept).replace(_OURS, _ELSEWHERE)))


def predicted(pod: Mapping[str, Any], labels: Mapping[str, object], minor: int) -> str:
    """What the offline engine says of a pod in a namespace with these labels; nothing when it lets it through."""
    return squeezed(decide(Request("Pod", mapping(pod.get("metadata")), mapping(pod.get("spec"))), policy_of(labels), minor).denied)


def said(answer: Reply) -> str | None:
    """What Pod Security says in an answer, nothing when it let the pod through. None: it was not asked, because the pod is not valid."""
    message = answer.message if answer.status >= 300 else ""
    found = _VIOLATES.search(message)
    if found is not None:
        return squeezed(found[0])
    return None if answer.status in _INVALID and "admission webhook" not in message else ""


def body_of(pod: Mapping[str, Any], namespace: str) -> Json:
    """A pod as it is sent."""
    metadata = {"name": "proof", "namespace": namespace, **mapping(pod.get("metadata"))}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": dict(mapping(pod.get("spec")))}


@dataclass(frozen=True, slots=True)
class Question:
    """A pod that is asked about in a namespace with labels; ``what`` it is, in words."""

    namespace: str
    labels: Mapping[str, object]
    pod: Mapping[str, Any]
    what: str


def ask(api: Api, namespace: str, pod: Mapping[str, Any], user: User) -> Reply:
    """What the API server answers when a pod is created, without creating it."""
    return api.ask("POST", f"/api/v1/namespaces/{namespace}/pods", {"dryRun": "All"}, body=body_of(pod, namespace), user=user)


def disagreements(api: Api, questions: Iterable[Question], minor: int, user: User) -> list[str]:
    """Where the API server and the offline engine say different things of a pod, in a line each."""

    def compare(question: Question) -> str:
        found, wanted = said(ask(api, question.namespace, question.pod, user)), predicted(question.pod, question.labels, minor)
        if found in (None, wanted):
            return ""
        return f"{question.what} in {question.namespace}: {found or 'let through'}, offline {wanted or 'let through'}"

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [found for found in pool.map(compare, questions) if found]


def levels_in(labels: Mapping[str, object]) -> dict[str, str]:
    """The Pod Security labels among a namespace's."""
    return {name: text(value) for name, value in labels.items() if name.startswith(PREFIX)}
