"""Rules about dangerous rights (RBC1xx): each is on the reasoned list of tests/intent/access.yaml, or a finding at its line."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from harness.model import Severity
from harness.rules.base import Objects, Registry, Violation
from harness.rules.rbc_common import BINDINGS, EVERYWHERE, PRACTICES, ROLES, unreasoned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.flux.world import World
    from harness.model import Object
    from harness.rules.rbc_common import Holding

RBC: Final = Registry()

_LISTED: Final = ", or give the reason in tests/intent/access.yaml under dangerous"


def _where(holding: Holding) -> str:
    return f"{holding.who} {'everywhere' if holding.namespace == EVERYWHERE else f'in {holding.namespace}'}"


def violations(item: Object, world: World, topics: tuple[str, ...], expect: str) -> Iterator[Violation]:
    """One violation for each rule and kind of danger, whoever holds it."""
    grouped: dict[tuple[int, str], list[Holding]] = defaultdict(list)
    for holding in unreasoned(world).get(id(item), ()):
        if holding.right.danger.topic in topics:
            grouped[holding.grant.position if holding.grant.role.object is item else -1, holding.right.danger.id].append(holding)
    for (position, danger), several in grouped.items():
        holders = list(dict.fromkeys(map(_where, several)))
        shown = ", ".join(holders[:3]) + (f" and {len(holders) - 3} more" if len(holders) > 3 else "")
        rights = list(dict.fromkeys(str(holding.right) for holding in several))
        what = "; ".join(rights[:2]) + (f" and {len(rights) - 2} more" if len(rights) > 2 else "")
        if position >= 0:
            yield Violation(f"{danger}: {what} for {shown}", expect, item.locate("rules", position))
        elif item.kind.endswith("Binding"):
            binding = several[0].binding
            role = binding.role_name if binding is not None else several[0].grant.role.name
            yield Violation(f"{danger}: {what} by the built-in rules of {role} for {shown}", expect, item.locate("roleRef"))
        else:
            yield Violation(f"{danger}: {what} for {shown}, which the API server adds", expect, item.locate("metadata", "name"))


def _rule(topics: tuple[str, ...], expect: str) -> Callable[[Object, World], Iterator[Violation]]:
    def check(item: Object, world: World) -> Iterator[Violation]:
        return violations(item, world, topics, expect)

    return check


_SCOPE: Final = Objects((*ROLES, *BINDINGS))

RBC.rule(
    "RBC101",
    title="no rule grants every verb, resource, API group or URL",
    why=f"a wildcard grants what exists today and everything that will: new resources, subresources and verbs such as bind ({PRACTICES}, Least privilege)",
    fix=f"write out the verbs and resources that are needed{_LISTED}",
    scope=_SCOPE,
    severity=Severity.WARNING,
    controls=("CIS-5.1.3", "NIST-AC-6"),
)(_rule(("wildcards",), "the verbs and resources that are needed"))

RBC.rule(
    "RBC102",
    title="nobody but a named administrator may do everything",
    why=f"whoever has every right owns the cluster, its nodes and its secrets ({PRACTICES}, Least privilege)",
    fix=f"bind a role with the rights that are needed{_LISTED}",
    scope=_SCOPE,
    severity=Severity.ERROR,
    controls=("CIS-5.1.1", "NIST-AC-6"),
)(_rule(("admin",), "a role with the rights that are needed"))

RBC.rule(
    "RBC103",
    title="bind, escalate and impersonate are given to nobody without a reason",
    why=f"they go around the check that nobody grants what he does not have, or act as others ({PRACTICES}, Escalate verb, Bind verb, Impersonate verb)",
    fix=f"take the verb out, or narrow it with resourceNames{_LISTED}",
    scope=_SCOPE,
    severity=Severity.ERROR,
    controls=("CIS-5.1.8", "NIST-AC-6"),
)(_rule(("rbac",), "no such verb"))

RBC.rule(
    "RBC104",
    title="Secrets are read by nobody without a reason",
    why=f"list and watch return the content of Secrets just as get does ({PRACTICES}, Listing secrets)",
    fix=f"take the resource out, name the Secrets with get and resourceNames, or bind in one namespace{_LISTED}",
    scope=_SCOPE,
    severity=Severity.WARNING,
    controls=("CIS-5.1.2", "NIST-AC-6"),
)(_rule(("secrets",), "no right to read Secrets"))

RBC.rule(
    "RBC105",
    title="Secrets are written and tokens are issued by nobody without a reason",
    why=(
        "a Secret of type service-account-token is filled with a token of any account of the namespace, and serviceaccounts/token gives one at once "
        f"({PRACTICES}, Token request; Kubernetes: ServiceAccount token Secrets)"
    ),
    fix=f"take the right out, or name the accounts with resourceNames{_LISTED}",
    scope=_SCOPE,
    severity=Severity.WARNING,
    controls=("CIS-5.1.13", "NIST-IA-5"),
)(_rule(("credentials",), "no right to make credentials"))

RBC.rule(
    "RBC106",
    title="nodes are reached by nobody without a reason: no pods where privileged ones are admitted, no kubelet, no hostPath volumes",
    why=(
        "privileged pods, hostPath volumes and the kubelet's API (for which get on nodes/proxy is enough) give the node with every pod and token on it "
        f"({PRACTICES}, Workload creation, Persistent volume creation, Access to proxy subresource of Nodes)"
    ),
    fix=f"bind in namespaces that enforce baseline or restricted, or use nodes/metrics and nodes/stats in place of nodes/proxy{_LISTED}",
    scope=_SCOPE,
    severity=Severity.WARNING,
    controls=("CIS-5.1.4", "CIS-5.1.9", "CIS-5.1.10", "NIST-AC-6"),
)(_rule(("pods", "nodes"), "no way to nodes"))

RBC.rule(
    "RBC107",
    title="exec, attach, port-forward and ephemeral containers are given to nobody without a reason",
    why=(
        "they run commands with the rights of a pod, or reach its ports past every NetworkPolicy; get is enough over a websocket "
        "(Kubernetes: RBAC, Referring to resources)"
    ),
    fix=f"take the subresource out{_LISTED}",
    scope=_SCOPE,
    severity=Severity.WARNING,
    controls=("NIST-AC-6",),
)(_rule(("exec",), "no such subresource"))

RBC.rule(
    "RBC108",
    title="certificates are approved and signed by nobody without a reason",
    why=(
        "who creates and approves a CertificateSigningRequest has a client certificate of any user; who approves for an issuer has any of its names "
        f"({PRACTICES}, CSRs and certificate issuing; cert-manager: approver-policy)"
    ),
    fix=f"take the right out, or name the signers with resourceNames{_LISTED}",
    scope=_SCOPE,
    severity=Severity.WARNING,
    controls=("CIS-5.1.11", "NIST-SC-17"),
)(_rule(("certificates",), "no right to approve or sign"))

RBC.rule(
    "RBC109",
    title="webhooks, admission policies and exceptions to policies are changed by nobody without a reason",
    why=(
        "a webhook reads and alters every object it is sent, a policy or an exception decides what is admitted "
        f"({PRACTICES}, Control admission webhooks; Kyverno: PolicyException)"
    ),
    fix=f"take the right out, or name the configurations with resourceNames{_LISTED}",
    scope=_SCOPE,
    severity=Severity.WARNING,
    controls=("CIS-5.1.12", "NIST-CM-5"),
)(_rule(("admission",), "no right over admission"))

RBC.rule(
    "RBC110",
    title="namespaces are relabelled by nobody without a reason",
    why=f"Pod Security levels are labels of the namespace, and NetworkPolicies select by them ({PRACTICES}, Namespace modification)",
    fix=f"take update and patch out, or name the namespaces with resourceNames{_LISTED}",
    scope=_SCOPE,
    severity=Severity.WARNING,
    controls=("CIS-5.2.1", "NIST-AC-6"),
)(_rule(("namespaces",), "no right to change namespaces"))

RBC.rule(
    "RBC111",
    title="status that others trust is written, and nodes are emptied, by nobody without a reason",
    why=(
        "status says where a Service's address is, which pod is ready, where a kubelet listens; and cordon with eviction moves every pod to a node of choice "
        "(Kubernetes: RBAC hardening of status subresources; API-initiated eviction)"
    ),
    fix=f"take the right out{_LISTED}",
    scope=_SCOPE,
    severity=Severity.WARNING,
    controls=("NIST-AC-6",),
)(_rule(("status",), "no right over status, or over nodes and evictions together"))

RBC.rule(
    "RBC112",
    title="events are deleted by nobody without a reason",
    why="events are the trace that an intruder removes first (Microsoft: Threat matrix for Kubernetes, Delete Kubernetes events)",
    fix=f"take delete and deletecollection out{_LISTED}",
    scope=_SCOPE,
    severity=Severity.WARNING,
    controls=("NIST-AU-9",),
)(_rule(("evidence",), "no right to delete events"))

RULES: Final = tuple(RBC.rules)
