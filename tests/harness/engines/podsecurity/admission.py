"""What the admission plugin PodSecurity makes of a request: refused, warned about, noted in the audit log.

Source: ``admission/admission.go`` of k8s.io/pod-security-admission. Only pods are ever refused; what makes pods is warned about and noted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from harness.engines.podsecurity.evaluate import evaluate, message
from harness.engines.podsecurity.levels import Level, LevelVersion, Policy
from harness.engines.podsecurity.pod import Violated, defaulted

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The kinds (``Kind.group``) whose pods the plugin looks at.
EVALUATED: Final = frozenset(
    {
        "Pod",
        "PodTemplate",
        "ReplicationController",
        "Deployment.apps",
        "ReplicaSet.apps",
        "StatefulSet.apps",
        "DaemonSet.apps",
        "Job.batch",
        "CronJob.batch",
    }
)


@dataclass(frozen=True, slots=True)
class Exemptions:
    """Whom the plugin's configuration leaves alone. ``usernames`` is for whoever knows who asks."""

    usernames: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    runtime_classes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Request:
    """A pod, or what makes pods, on its way into a namespace. ``kind`` is ``Kind.group``."""

    kind: str
    metadata: Mapping[str, Any]
    spec: Mapping[str, Any]
    namespace: str = ""
    username: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the plugin answers.

    ``denied`` is the message of a refusal, empty when the request is admitted. ``exempt`` says which exemption applied (``user``, ``namespace``,
    ``runtimeClass``), as the audit log does.
    """

    denied: str = ""
    warnings: tuple[str, ...] = ()
    audit: str = ""
    exempt: str = ""
    violated: tuple[Violated, ...] = field(default=())


def decide(request: Request, policy: Policy, cluster: int, exemptions: Exemptions | None = None) -> Decision:
    """The plugin's answer to the creation of a pod or of what makes pods, in a cluster of a minor version."""
    if exemptions is not None:
        reason = _exempt(request, exemptions)
        if reason:
            return Decision(exempt=reason)
    if request.kind not in EVALUATED:
        return Decision()
    spec = defaulted(request.spec)
    known: dict[LevelVersion, tuple[Violated, ...]] = {}

    def held(against: LevelVersion) -> tuple[Violated, ...]:
        if against not in known:
            known[against] = evaluate(request.metadata, spec, against.level, against.version.at(cluster))
        return known[against]

    refused = held(policy.enforce) if request.kind == "Pod" else ()
    noted = held(policy.audit)
    warned = () if refused else held(policy.warn)
    return Decision(
        denied=f'violates PodSecurity "{policy.enforce}": {message(refused)}' if refused else "",
        warnings=(f'would violate PodSecurity "{policy.warn}": {message(warned)}',) if warned else (),
        audit=f'would violate PodSecurity "{policy.audit}": {message(noted)}' if noted else "",
        violated=refused,
    )


def _exempt(request: Request, exemptions: Exemptions) -> str:
    if request.namespace and request.namespace in exemptions.namespaces:
        return "namespace"
    if request.username and request.username in exemptions.usernames:
        return "user"
    return "runtimeClass" if request.spec.get("runtimeClassName") in exemptions.runtime_classes else ""


def strictest(metadata: Mapping[str, Any], spec: Mapping[str, Any], minor: int) -> Level:
    """The strictest level that admits a pod in a minor version."""
    spec = defaulted(spec)
    for level in (Level.RESTRICTED, Level.BASELINE):
        if not evaluate(metadata, spec, level, minor):
            return level
    return Level.PRIVILEGED
