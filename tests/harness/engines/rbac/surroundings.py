"""What lies around the rights of a cluster and decides where they lead: accounts, pods, namespaces, and what controllers lend."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.engines.rbac import defaults
from harness.engines.rbac.subjects import Subject, service_account
from harness.model.pods import CONTAINERS
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.engines.rbac.policy import Policy
    from harness.model import Object
    from harness.model.pods import PodTemplate

_ENFORCE: Final = "pod-security.kubernetes.io/enforce"
_TOKEN_TYPE: Final = "kubernetes.io/service-account-token"  # noqa: S105 - the type of a Secret
_ACCOUNT: Final = "kubernetes.io/service-account.name"


class Loan(NamedTuple):
    """What a controller does for whoever has a right: who has ``danger`` on ``resource`` in ``namespace`` gains ``gain``.

    ``gain`` is a subject one then acts as, or None for the whole cluster. ``name`` narrows the loan to one object; ``says`` tells how.
    With ``reads``, it is the Secrets of the namespace that are gained, and nothing else.
    """

    danger: str
    resource: str
    namespace: str
    gain: Subject | None
    says: str
    name: str = ""
    reads: bool = False


class Running(NamedTuple):
    """A pod that runs: as whom, whether with that account's token, and whether it reaches its node."""

    account: Subject
    token: bool
    on_node: bool


@dataclass(frozen=True)
class Surroundings:
    """``levels`` maps the namespaces that are known to the Pod Security level they enforce (empty: none, so everything is admitted).

    ``tokens`` maps (namespace, name) of Secrets that hold a token to the account's name.
    """

    accounts: Mapping[str, tuple[Subject, ...]] = field(default_factory=dict)
    running: Mapping[str, tuple[Running, ...]] = field(default_factory=dict)
    levels: Mapping[str, str] = field(default_factory=dict)
    tokens: Mapping[tuple[str, str], str] = field(default_factory=dict)
    loans: tuple[Loan, ...] = ()

    def admits_privileged(self, namespace: str) -> bool:
        """Whether nothing keeps privileged pods out of a namespace. One that is not known enforces nothing."""
        return self.levels.get(namespace, "") not in ("baseline", "restricted")

    def exists(self, account: Subject) -> bool:
        return account in self.accounts.get(account.namespace, ())


def surroundings(objects: Iterable[Object], pods: Iterable[PodTemplate], policy: Policy, loans: Iterable[Loan] = ()) -> Surroundings:
    """What plain objects tell. Every namespace has its ``default`` account; the control plane's own are there too, when their roles are."""
    levels: dict[str, str] = {}
    accounts: dict[str, set[Subject]] = {}
    tokens: dict[tuple[str, str], str] = {}
    lent = list(loans)
    for item in objects:
        kind = str(item.group_kind)
        if item.namespace:
            accounts.setdefault(item.namespace, {service_account(item.namespace, "default")})
        if kind == "Namespace":
            levels[item.name] = text(item.labels.get(_ENFORCE))
            accounts.setdefault(item.name, {service_account(item.name, "default")})
        elif kind == "ServiceAccount":
            accounts.setdefault(item.namespace, set()).add(service_account(item.namespace, item.name))
        elif kind == "Secret" and item.body.get("type") == _TOKEN_TYPE:
            tokens[item.namespace, item.name] = text(item.annotations.get(_ACCOUNT))
        elif kind == "ConfigMap" and (item.namespace, item.name) == ("kube-system", "aws-auth"):
            lent.append(Loan("configuration:write", "configmaps", "kube-system", None, "maps identities of the cloud to system:masters", "aws-auth"))
    if ("", "system:controller:clusterrole-aggregation-controller") in policy.roles:
        for namespace, name in defaults.service_accounts():
            accounts.setdefault(namespace, {service_account(namespace, "default")}).add(service_account(namespace, name))
    running: dict[str, list[Running]] = {}
    for pod in pods:
        account = service_account(pod.namespace, pod.service_account)
        running.setdefault(pod.namespace, []).append(Running(account, pod.spec.get("automountServiceAccountToken") is not False, reaches_node(pod.spec)))
    return Surroundings(
        {namespace: tuple(sorted(found)) for namespace, found in sorted(accounts.items())},
        {namespace: tuple(sorted(set(found))) for namespace, found in running.items()},
        levels,
        tokens,
        tuple(lent),
    )


def reaches_node(spec: Mapping[str, Any]) -> bool:
    """Whether whoever runs commands in a pod has its node: privileged containers, the host's processes, or its disks."""
    if spec.get("hostPID") is True or any("hostPath" in mapping(volume) for volume in items(spec.get("volumes"))):
        return True
    return any(mapping(mapping(entry).get("securityContext")).get("privileged") is True for name in CONTAINERS for entry in items(spec.get(name)))
