"""Who may do what in a cluster, with what Flux and the other controllers of the stack lend to whoever may write their resources.

Sources: fluxcd.io, "Multi-tenancy lockdown" and the ``serviceAccountName`` sections of Kustomization, HelmRelease, ResourceSet and Terraform; Prometheus
Operator API (``arbitraryFSAccessThroughSMs``); Kyverno (the background controller generates); Vault (Kubernetes secrets engine).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from harness.engines.rbac.api import Resources, resources_of
from harness.engines.rbac.paths import Escalation
from harness.engines.rbac.policy import Policy
from harness.engines.rbac.rules import Request
from harness.engines.rbac.subjects import Subject, service_account
from harness.engines.rbac.surroundings import Loan, Surroundings, surroundings
from harness.engines.selectors import selector_matches
from harness.flux.kinds import HELM_RELEASE, KUSTOMIZATION
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Object
    from harness.model.pods import PodTemplate

#: Resource → the program that applies what it says.
_APPLIERS: Final = {
    "kustomizations": "kustomize-controller",
    "helmreleases": "helm-controller",
    "resourcesets": "flux-operator",
    "terraforms": "tf-controller",
}
#: How the content of a Secret comes into what is applied.
_READS: Final = {"kustomizations": "substituteFrom or decryption", "helmreleases": "valuesFrom"}
_SOURCES: Final = {
    "GitRepository": "gitrepositories",
    "OCIRepository": "ocirepositories",
    "Bucket": "buckets",
    "HelmRepository": "helmrepositories",
    "HelmChart": "helmcharts",
    "ExternalArtifact": "externalartifacts",
}
_PROMETHEUS: Final = "Prometheus.monitoring.coreos.com"


@dataclass(frozen=True)
class Access:
    """The access of one cluster: its RBAC, what surrounds it, and where rights lead."""

    policy: Policy
    around: Surroundings
    resources: Resources

    @cached_property
    def search(self) -> Escalation:
        return Escalation(self.policy, self.around)


def access_of(world: World) -> Access:
    """Build it; share it with ``world.derive(access_of)``."""
    policy = Policy.of_objects(world.objects)
    bare = surroundings(world.objects, world.pods, policy)
    loans = (*bare.loans, *_loans(world, policy, bare))
    return Access(policy, replace(bare, loans=loans), resources_of(world.objects))


def _loans(world: World, policy: Policy, around: Surroundings) -> Iterator[Loan]:
    programs = _programs(world)
    yield from _flux(policy, around, programs)
    yield from _sources(world, programs)
    operator = programs.get("flux-operator")
    if operator is not None:
        for namespace in around.accounts:
            yield Loan("flux:apply", "fluxinstances", namespace, _account(operator), f"has flux-operator install Flux as {_account(operator)}")
    background = programs.get("background-controller")
    if background is not None:
        says = f"has Kyverno make objects as {_account(background)}"
        yield from (Loan("policies:write", resource, "", _account(background), says) for resource in ("generatingpolicies", "namespacedgeneratingpolicies"))
    yield from _prometheus(world)
    yield from _vault(policy, around, programs)


def _programs(world: World) -> dict[str, PodTemplate]:
    """The pods of the programs that lend, by the last part of an image's name."""
    found: dict[str, PodTemplate] = {}
    for pod in world.pods:
        for container in pod.containers("containers"):
            name = text(container.body.get("image")).partition("@")[0].rpartition("/")[2].partition(":")[0]
            if name:
                found.setdefault(name, pod)
    return found


def _account(pod: PodTemplate) -> Subject:
    return service_account(pod.namespace, pod.service_account)


def _arguments(pod: PodTemplate) -> Iterator[str]:
    for container in pod.containers("containers"):
        for field in ("command", "args"):
            yield from (entry for entry in items(container.body.get(field)) if isinstance(entry, str))


def _default_account(pod: PodTemplate) -> str:
    """What ``--default-service-account`` says; empty where objects without a service account are applied as the controller itself."""
    return next((value for argument in _arguments(pod) for flag, _, value in (argument.lstrip("-").partition("="),) if flag == "default-service-account"), "")


def _flux(policy: Policy, around: Surroundings, programs: dict[str, PodTemplate]) -> Iterator[Loan]:
    for resource, program in _APPLIERS.items():
        pod = programs.get(program)
        if pod is None:
            if resource in ("kustomizations", "helmreleases"):
                says = f"has Flux apply objects; {program} is not among these objects, and is installed as cluster-admin"
                yield from (Loan("flux:apply", resource, namespace, None, says) for namespace in around.accounts)
            continue
        controller, default = _account(pod), _default_account(pod)
        for namespace, accounts in around.accounts.items():
            for account in accounts:
                if policy.allows(controller, Request("impersonate", "", "serviceaccounts", "", account.name, namespace)):
                    yield Loan("flux:apply", resource, namespace, account, f"has {program} apply objects as {account}")
            if resource in _READS and policy.allows(controller, Request("get", "", "secrets", "", "any", namespace)):
                # Values and keys are read with the controller's own rights, whatever account the rest is applied as.
                yield Loan("flux:apply", resource, namespace, None, f"has {program} read Secrets of {namespace} by {_READS[resource]}", reads=True)
            if not default:
                yield Loan("flux:apply", resource, namespace, controller, f"has {program} apply objects as itself, {controller}")


def _sources(world: World, programs: dict[str, PodTemplate]) -> Iterator[Loan]:
    for item in world.of(KUSTOMIZATION, HELM_RELEASE):
        for reference in (item.spec.get("sourceRef"), item.spec.get("chartRef"), item.get("spec", "chart", "spec", "sourceRef")):
            resource = _SOURCES.get(text(mapping(reference).get("kind")))
            pod = programs.get("kustomize-controller" if item.kind == "Kustomization" else "helm-controller")
            if resource is None or pod is None:
                continue
            name = text(item.spec.get("serviceAccountName")) or _default_account(pod)
            account = service_account(item.namespace, name) if name else _account(pod)
            home = text(mapping(reference).get("namespace")) or item.namespace
            says = f"has {item.kind} {item.namespace}/{item.name} apply other objects, as {account}"
            yield Loan("flux:sources", resource, home, account, says, text(mapping(reference).get("name")))


def _prometheus(world: World) -> Iterator[Loan]:
    for item in world.of(_PROMETHEUS):
        if mapping(item.spec.get("arbitraryFSAccessThroughSMs")).get("deny") is True:
            continue
        account = service_account(item.namespace, text(item.spec.get("serviceAccountName")) or "default")
        for namespace in world.of("Namespace"):
            if _watches(item, namespace):
                says = f"has Prometheus {item.namespace}/{item.name} send the token of {account} to a target of its choice"
                yield Loan("monitoring:write", "servicemonitors", namespace.name, account, says)


def _watches(prometheus: Object, namespace: Object) -> bool:
    selector: Any = prometheus.spec.get("serviceMonitorNamespaceSelector")
    if not isinstance(selector, dict):
        return prometheus.namespace == namespace.name
    return selector_matches(selector, {"kubernetes.io/metadata.name": namespace.name, **namespace.labels}) is not False


def _vault(policy: Policy, around: Surroundings, programs: dict[str, PodTemplate]) -> Iterator[Loan]:
    """Vault issues tokens of the accounts it may; its roles decide to whom, and they are not in Git's RBAC."""
    pod = programs.get("vault") or programs.get("openbao")
    if pod is None:
        return
    for namespace, accounts in around.accounts.items():
        for account in accounts:
            if policy.allows(_account(pod), Request("create", "", "serviceaccounts", "token", account.name, namespace)):
                yield Loan("vault:write", "vaultdynamicsecrets", namespace, account, f"has Vault issue a token of {account}, if a role of Vault permits")
