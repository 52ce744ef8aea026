"""Rules about Pod Security: what namespaces' labels ask for, and whether their pods pass it (SEC5xx)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from harness.engines.podsecurity import MODES, NEWEST, PREFIX, Level, Policy, PolicyVersion, minor_of, policy_of, strictest
from harness.engines.podsecurity.survey import judge, oddity, policies, unknown_templates
from harness.flux.kinds import HELM_RELEASE
from harness.model import NotEvaluated, Severity
from harness.model.pods import TEMPLATES, pod_of
from harness.model.shapes import text
from harness.rules.base import Objects, Registry, Violation, violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Object
    from harness.model.pods import PodTemplate

SEC: Final = Registry()

_STANDARDS: Final = "kubernetes.io/docs/concepts/security/pod-security-standards"
_ADMISSION: Final = "kubernetes.io/docs/concepts/security/pod-security-admission"
_LABELS: Final = frozenset(f"{PREFIX}{mode}{part}" for mode in MODES for part in ("", "-version"))


def _labelled(namespace: Object) -> bool:
    return any(label.startswith(PREFIX) for label in namespace.labels)


def _cluster(world: World) -> int:
    """The cluster's minor version; the newest one known when it is none of Kubernetes 1."""
    try:
        return minor_of(world.kubernetes_version)
    except ValueError:
        return NEWEST


def _policies(world: World) -> dict[str, Policy]:
    return policies(world.of("Namespace"))


def _pods(world: World) -> dict[str, list[PodTemplate]]:
    found: dict[str, list[PodTemplate]] = defaultdict(list)
    for pod in world.pods:
        found[pod.namespace].append(pod)
    return found


def _unknown(world: World) -> tuple[Object, ...]:
    """What looks as if it makes pods, of kinds that only their operators know."""
    return tuple(item for item, _ in unknown_templates(world.objects))


@SEC.rule(
    "SEC501",
    title="every pod passes the Pod Security level that its namespace enforces",
    why=(
        "the API server refuses such a pod: a Deployment then stands without any, a release waits until its timeout, and only an event of the ReplicaSet "
        f"says why ({_ADMISSION})"
    ),
    fix="set what the message names in the pod's or the chart's securityContext; a pod that needs more belongs into a namespace of its own",
    scope=Objects(tuple(TEMPLATES)),
    controls=("CIS-5.2.1", "NIST-AC-6", "NIST-CM-7"),
)
def admitted(item: Object, world: World) -> Iterator[Violation]:
    pod = pod_of(item)
    policy = world.derive(_policies).get(item.namespace)
    if pod is None or policy is None:
        return
    for found in judge(pod, policy.enforce, _cluster(world)).violated:
        message = f'violates PodSecurity "{policy.enforce}": {found}'
        yield Violation(message, f"a pod that {policy.enforce.level} admits ({_STANDARDS})", pod.locate(*found.at[0]))


@SEC.rule(
    "SEC502",
    title="the Pod Security labels of a namespace can be read by its cluster",
    why=(
        "an unknown value is refused when the namespace is made; where it stands, it enforces restricted, or audits nothing; a version "
        f"newer than the cluster is silently the cluster's own; a misspelt label does nothing at all ({_ADMISSION})"
    ),
    fix="write privileged, baseline or restricted, and latest or the cluster's v1.x",
    scope=Objects(("Namespace",), where=_labelled),
    controls=("CIS-5.2.1", "NIST-CM-6"),
)
def readable_labels(namespace: Object, world: World) -> Iterator[Violation]:
    policy = policy_of(namespace.labels)
    for fault in policy.faults:
        # SEC103 speaks of the enforce label.
        if fault.label != f"{PREFIX}enforce":
            yield violation(namespace, "metadata", "labels", fault.label, found=f"{fault.label}: {fault.value}", expect=f"the value {fault.message}")
    for mode in MODES:
        version: PolicyVersion = getattr(policy, mode).version
        if version.minor is not None and version.minor > _cluster(world):
            label = f"{PREFIX}{mode}-version"
            expect = f"latest, or a version up to the cluster's {world.kubernetes_version}"
            yield violation(namespace, "metadata", "labels", label, found=f"{label}: {version}", expect=expect)
    for label in sorted(namespace.labels):
        if label.startswith(PREFIX) and label not in _LABELS:
            yield violation(namespace, "metadata", "labels", label, found=f"no label of Pod Security is called {label}", expect=", ".join(sorted(_LABELS)))


@SEC.rule(
    "SEC503",
    title="a namespace audits and warns at least as strictly as it enforces",
    why=(
        "only audit and warn look at Deployments and their like; when they are weaker than enforce, the author of a Deployment hears nothing and its pods are "
        f"refused later ({_ADMISSION})"
    ),
    fix=f"give {PREFIX}audit and {PREFIX}warn the level and the version of {PREFIX}enforce, or leave them out",
    scope=Objects(("Namespace",), where=_labelled),
    severity=Severity.WARNING,
    controls=("NIST-AU-2", "NIST-AC-6"),
)
def not_weaker(namespace: Object, world: World) -> Iterator[Violation]:
    policy, cluster = policy_of(namespace.labels), _cluster(world)
    enforce = policy.enforce
    for mode in ("audit", "warn"):
        stated, label = getattr(policy, mode), f"{PREFIX}{mode}"
        if label in namespace.labels and stated.level.strictness < enforce.level.strictness:
            yield violation(namespace, "metadata", "labels", label, found=f"{mode} {stated.level} while {enforce.level} is enforced", expect=str(enforce.level))
        elif f"{label}-version" in namespace.labels and enforce.level is not Level.PRIVILEGED and stated.version.at(cluster) < enforce.version.at(cluster):
            found = f"{mode} in version {stated.version} while {enforce.version} is enforced"
            yield violation(namespace, "metadata", "labels", f"{label}-version", found=found, expect=f"{enforce.version} or newer")


@SEC.rule(
    "SEC504",
    title="a namespace enforces the strictest Pod Security level that its pods pass",
    why=(
        "a level looser than the pods need protects nothing that runs today, and lets in whatever somebody with the right to create pods runs tomorrow: with "
        f"privileged, the node ({_STANDARDS})"
    ),
    fix=f"raise {PREFIX}enforce, or move the pods that pass the stricter level to a namespace of their own",
    scope=Objects(("Namespace",), where=lambda item: f"{PREFIX}enforce" in item.labels),
    severity=Severity.WARNING,
    controls=("CIS-5.2.1", "NIST-AC-6", "NIST-CM-7"),
)
def strict_enough(namespace: Object, world: World) -> Iterator[Violation]:
    policy = policy_of(namespace.labels)
    pods = world.derive(_pods).get(namespace.name, [])
    if not pods or policy.enforce.level is Level.RESTRICTED or _has_unseen_pods(namespace.name, world) or any(oddity(pod) for pod in pods):
        return
    minor = policy.enforce.version.at(_cluster(world))
    passed = min((strictest(pod.metadata, pod.spec, minor) for pod in pods), key=lambda level: level.strictness)
    if passed.strictness > policy.enforce.level.strictness:
        label = f"{PREFIX}enforce"
        found = f"{policy.enforce.level} is enforced, and every one of {len(pods)} pods here passes {passed}"
        yield violation(namespace, "metadata", "labels", label, found=found, expect=str(passed))


def _has_unseen_pods(namespace: str, world: World) -> bool:
    """Whether pods may come here that this cluster's build does not show: from a release that was not rendered, or from an operator."""
    for release in world.of(HELM_RELEASE):
        target = text(release.spec.get("targetNamespace")) or release.namespace
        rendered = world.releases.get((release.namespace, release.name))
        if target == namespace and (rendered is None or rendered.chart is None):
            return True
    return any(item.namespace == namespace for item in world.derive(_unknown))


def not_evaluated(world: World) -> list[NotEvaluated]:
    """Pods that Pod Security will judge and that nobody could judge here."""
    labels = world.derive(_policies)
    entries = []
    for pod in world.pods:
        odd = oddity(pod)
        if odd:
            entries.append(NotEvaluated(str(pod.object.id), "Pod Security", odd))
        elif pod.namespace not in labels:
            why = f"no Namespace {pod.namespace or 'default'} is applied here, so its labels are unknown"
            entries.append(NotEvaluated(str(pod.object.id), "Pod Security", why))
    entries += [NotEvaluated(str(item.id), "Pod Security", "a pod template of a kind that only its operator knows") for item in world.derive(_unknown)]
    return entries


RULES: Final = tuple(SEC.rules)
