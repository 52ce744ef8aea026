"""Rights that are more than they look: the catalogue, and how a rule is found to grant one.

Sources: Kubernetes, "Role Based Access Control Good Practices" (privilege escalation risks, denial of service risks); the RBAC documentation on
``bind``, ``escalate`` and ``impersonate``; KEP-2862 (``nodes/proxy``: a websocket GET is enough to run commands); and for what this stack's own
resources lend: Flux (multi-tenancy lockdown), Kyverno (PolicyException), Sealed Secrets, Vault Secrets Operator, cert-manager (approver policy), MetalLB,
Prometheus Operator (``arbitraryFSAccessThroughSMs``), ingress-nginx (snippets).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from harness.engines.rbac.rules import ALL, Rule, resource_matches

if TYPE_CHECKING:
    from collections.abc import Iterator

_READ: Final = ("get", "list", "watch")
_WRITE: Final = ("create", "update", "patch")
_CHANGE: Final = ("update", "patch")
#: Whatever has a pod template, or makes pods of what it says: (group, resource).
POD_MAKERS: Final = (
    ("", "pods"),
    ("", "replicationcontrollers"),
    ("apps", "deployments"),
    ("apps", "daemonsets"),
    ("apps", "statefulsets"),
    ("apps", "replicasets"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
    ("monitoring.coreos.com", "prometheuses"),
    ("monitoring.coreos.com", "prometheusagents"),
    ("monitoring.coreos.com", "alertmanagers"),
    ("monitoring.coreos.com", "thanosrulers"),
    ("opentelemetry.io", "opentelemetrycollectors"),
    ("argoproj.io", "workflows"),
    ("argoproj.io", "cronworkflows"),
    ("argoproj.io", "rollouts"),
    ("tekton.dev", "taskruns"),
    ("tekton.dev", "pipelineruns"),
    ("serving.knative.dev", "services"),
    ("keda.sh", "scaledjobs"),
    ("kubevirt.io", "virtualmachines"),
    ("postgresql.cnpg.io", "clusters"),
    ("actions.github.com", "autoscalingrunnersets"),
    ("leaderworkerset.x-k8s.io", "leaderworkersets"),
    ("jobset.x-k8s.io", "jobsets"),
    ("ray.io", "rayclusters"),
    ("ray.io", "rayjobs"),
)
#: Those whose template cannot be changed once they are made.
_FIXED: Final = frozenset({("", "pods"), ("batch", "jobs"), ("tekton.dev", "taskruns"), ("tekton.dev", "pipelineruns"), ("argoproj.io", "workflows")})
_FLUX: Final = (
    ("kustomize.toolkit.fluxcd.io", "kustomizations"),
    ("helm.toolkit.fluxcd.io", "helmreleases"),
    ("fluxcd.controlplane.io", "resourcesets"),
    ("fluxcd.controlplane.io", "fluxinstances"),
    ("infra.contrib.fluxcd.io", "terraforms"),
    ("argoproj.io", "applications"),
    ("argoproj.io", "applicationsets"),
)
_SOURCES: Final = tuple(
    ("source.toolkit.fluxcd.io", name) for name in ("gitrepositories", "ocirepositories", "buckets", "helmrepositories", "helmcharts", "externalartifacts")
)
_KYVERNO: Final = tuple(
    ("policies.kyverno.io", f"{scope}{name}")
    for scope in ("", "namespaced")
    for name in ("validatingpolicies", "mutatingpolicies", "generatingpolicies", "deletingpolicies", "imagevalidatingpolicies")
)
_VAULT: Final = tuple(
    ("secrets.hashicorp.com", name)
    for name in ("vaultauths", "vaultauthglobals", "vaultconnections", "vaultstaticsecrets", "vaultdynamicsecrets", "vaultpkisecrets")
)
_STATUS: Final = (
    ("", "nodes/status"),
    ("", "namespaces/status"),
    ("", "pods/status"),
    ("", "services/status"),
    ("", "persistentvolumes/status"),
    ("networking.k8s.io", "ingresses/status"),
    ("certificates.k8s.io", "certificatesigningrequests/status"),
)


class Danger(NamedTuple):
    """A kind of right that lends more than its words say.

    ``topic`` groups dangers; those of the topic ``lends`` are judged by where they lead only. ``outside`` marks what is no use within a namespace,
    because the resource lives outside of namespaces. ``severity`` is how bad it is that somebody has it, for the whole cluster.
    """

    id: str
    topic: str
    says: str
    verbs: tuple[str, ...]
    targets: tuple[tuple[str, str], ...]
    severity: str = "warning"
    outside: bool = False


def _core(*resources: str) -> tuple[tuple[str, str], ...]:
    return tuple(("", resource) for resource in resources)


def _of(group: str, *resources: str) -> tuple[tuple[str, str], ...]:
    return tuple((group, resource) for resource in resources)


_RBAC, _CERTIFICATES, _ADMISSION = "rbac.authorization.k8s.io", "certificates.k8s.io", "admissionregistration.k8s.io"

#: The dangers that single rights are, in the order in which they are told.
DANGERS: Final = (
    Danger("rbac:bind", "rbac", "may bind roles with rights it does not have", ("bind",), _of(_RBAC, "clusterroles", "roles"), "error"),
    Danger("rbac:escalate", "rbac", "may write rights it does not have into roles", ("escalate",), _of(_RBAC, "clusterroles", "roles"), "error"),
    Danger(
        "rbac:impersonate",
        "rbac",
        "may act as others",
        ("impersonate",),
        (*_core("users", "groups", "serviceaccounts"), *_of("authentication.k8s.io", "uids", "userextras", "users", "groups", "serviceaccounts")),
        "error",
    ),
    Danger("secrets:read", "secrets", "reads Secrets, which list and watch show whole", _READ, _core("secrets")),
    Danger("secrets:write", "credentials", "writes Secrets: one of type service-account-token holds a token of any account", _WRITE, _core("secrets")),
    Danger("tokens:create", "credentials", "gets tokens of service accounts", ("create",), _core("serviceaccounts/token")),
    Danger("pods:create", "pods", "runs pods, so has every service account and Secret of the namespace", _WRITE, POD_MAKERS),
    Danger(
        "nodes:proxy",
        "nodes",
        "runs commands in every pod of a node through its kubelet; get is enough",
        ("*", "get", "create"),
        _core("nodes/proxy"),
        outside=True,
    ),
    Danger("nodes:write", "nodes", "steers what runs on which node", _WRITE, _core("nodes"), outside=True),
    Danger("volumes:create", "nodes", "makes hostPath volumes, so reads and writes the disks of nodes", _WRITE, _core("persistentvolumes"), outside=True),
    Danger(
        "pods:exec",
        "exec",
        "runs commands in pods, or reaches their ports past NetworkPolicies",
        ("get", "create"),
        _core("pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy"),
    ),
    Danger("pods:debug", "exec", "puts containers of its own into running pods", _CHANGE, _core("pods/ephemeralcontainers")),
    Danger("csr:create", "certificates", "asks for client certificates", ("create",), _of(_CERTIFICATES, "certificatesigningrequests"), outside=True),
    Danger("csr:approve", "certificates", "approves certificate requests", _CHANGE, _of(_CERTIFICATES, "certificatesigningrequests/approval"), outside=True),
    Danger("signers:approve", "certificates", "approves certificates of a signer", ("approve",), _of(_CERTIFICATES, "signers"), outside=True),
    Danger("signers:sign", "certificates", "signs certificates of a signer", ("sign",), _of(_CERTIFICATES, "signers"), outside=True),
    Danger("cert-manager:approve", "certificates", "approves CertificateRequests of issuers", ("approve",), _of("cert-manager.io", "signers"), outside=True),
    Danger(
        "admission:write",
        "admission",
        "changes what is admitted: such webhooks and policies read, alter and refuse every object",
        (*_WRITE, "delete", "deletecollection"),
        _of(
            _ADMISSION,
            "mutatingwebhookconfigurations",
            "validatingwebhookconfigurations",
            "mutatingadmissionpolicies",
            "mutatingadmissionpolicybindings",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
        ),
        outside=True,
    ),
    Danger(
        "policies:write",
        "admission",
        "changes the cluster's policies",
        (*_WRITE, "delete", "deletecollection"),
        (*_KYVERNO, *_of("kyverno.io", "clusterpolicies", "policies"), *_of("templates.gatekeeper.sh", "constrainttemplates")),
    ),
    Danger(
        "policies:except",
        "admission",
        "exempts objects from the cluster's policies",
        _WRITE,
        (("policies.kyverno.io", "policyexceptions"), ("kyverno.io", "policyexceptions")),
    ),
    Danger("namespaces:patch", "namespaces", "relabels namespaces: Pod Security and NetworkPolicies go by labels", _CHANGE, _core("namespaces")),
    Danger("status:write", "status", "writes status that others trust: addresses, readiness, capacity", _CHANGE, _STATUS),
    Danger(
        "events:delete", "evidence", "deletes events, the trace of what happened", ("delete", "deletecollection"), (("", "events"), ("events.k8s.io", "events"))
    ),
    Danger("flux:apply", "lends", "has Flux apply objects as any service account of the namespace", _WRITE, _FLUX),
    Danger("flux:sources", "lends", "changes where Flux takes manifests from", _WRITE, _SOURCES),
    Danger("sealedsecrets:write", "lends", "has Secrets unsealed into the namespace", _WRITE, _of("bitnami.com", "sealedsecrets")),
    Danger("vault:write", "lends", "logs in to Vault as service accounts of the namespace", _WRITE, _VAULT),
    Danger(
        "externalsecrets:write",
        "lends",
        "has Secrets fetched into the namespace",
        _WRITE,
        _of("external-secrets.io", "externalsecrets", "secretstores", "pushsecrets"),
    ),
    Danger("certificates:write", "lends", "gets certificates of the issuers", _WRITE, _of("cert-manager.io", "certificates", "certificaterequests", "issuers")),
    Danger("issuers:write", "lends", "changes who signs for the cluster", _WRITE, _of("cert-manager.io", "clusterissuers"), outside=True),
    Danger("addresses:write", "lends", "announces addresses", _WRITE, _of("metallb.io", "ipaddresspools", "l2advertisements", "bgpadvertisements", "bgppeers")),
    Danger(
        "monitoring:write",
        "lends",
        "has Prometheus scrape any address, and send its token",
        _WRITE,
        _of("monitoring.coreos.com", "servicemonitors", "podmonitors", "probes", "scrapeconfigs", "prometheusrules", "alertmanagerconfigs"),
    ),
    Danger("ingress:write", "lends", "routes hosts, and where snippets are on configures the proxy", _WRITE, _of("networking.k8s.io", "ingresses")),
    Danger("endpoints:write", "lends", "sends traffic of Services elsewhere", _WRITE, (("", "endpoints"), ("discovery.k8s.io", "endpointslices"))),
    Danger("configuration:write", "lends", "writes ConfigMaps, which controllers trust", _WRITE, _core("configmaps")),
    Danger("priorities:write", "lends", "pushes other pods out", _WRITE, _of("scheduling.k8s.io", "priorityclasses"), outside=True),
    Danger("leases:write", "lends", "takes leadership away from controllers", (*_WRITE, "delete"), _of("coordination.k8s.io", "leases")),
    Danger(
        "crds:write",
        "lends",
        "changes what custom resources are, and who converts them",
        _WRITE,
        _of("apiextensions.k8s.io", "customresourcedefinitions"),
        outside=True,
    ),
    Danger("apis:write", "lends", "serves API groups itself", _WRITE, _of("apiregistration.k8s.io", "apiservices"), outside=True),
    Danger("pods:change", "lends", "changes running pods", _CHANGE, _core("pods")),
    Danger("pods:evict", "lends", "evicts pods", ("create",), _core("pods/eviction")),
    Danger("bindings:write", "lends", "writes bindings of roles", _WRITE, _of(_RBAC, "clusterrolebindings", "rolebindings")),
    Danger("roles:write", "lends", "writes roles", _CHANGE, _of(_RBAC, "clusterroles", "roles")),
    Danger("csr:status", "lends", "issues certificates", _CHANGE, _of(_CERTIFICATES, "certificatesigningrequests/status"), outside=True),
)
#: What a rule is as a whole, rather than one of its rights.
WHOLE: Final = (
    Danger("everything", "admin", "may do everything", ("*",), (("*", "*"),), "error"),
    Danger("wildcard:verbs", "wildcards", "every verb, those of tomorrow included", ("*",), ()),
    Danger("wildcard:resources", "wildcards", "every resource, those of tomorrow included", (), ()),
    Danger("wildcard:groups", "wildcards", "every API group, those of tomorrow included", (), ()),
    Danger("wildcard:urls", "wildcards", "every URL of the API server", (), ()),
)
#: What only several rights together are.
DRAIN: Final = Danger("nodes:drain", "status", "cordons nodes and evicts what runs there", (), ())
BY_ID: Final = {danger.id: danger for danger in (*WHOLE, *DANGERS, DRAIN)}


class Right(NamedTuple):
    """A danger that a rule grants: with which of its verbs, on which resource (``deployments.apps``), and for which names (none: all)."""

    danger: Danger
    verbs: tuple[str, ...]
    group: str
    resource: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        base, slash, sub = self.resource.partition("/")
        named = f" named {', '.join(self.names[:3])}{' …' if len(self.names) > 3 else ''}" if self.names else ""
        return f"{', '.join(self.verbs)} {base}{'.' + self.group if self.group else ''}{slash}{sub}{named}"


@cache
def rights_of(rule: Rule) -> tuple[Right, ...]:
    """The dangerous rights of a rule, in the catalogue's order. A rule that grants everything is that, and nothing else besides."""
    return tuple(_whole(rule)) or (*_wildcards(rule), *_single(rule))


def _whole(rule: Rule) -> Iterator[Right]:
    if ALL in rule.verbs and ALL in rule.groups and ALL in rule.resources and not rule.names:
        yield Right(BY_ID["everything"], ("*",), "*", "*", ())


def _wildcards(rule: Rule) -> Iterator[Right]:
    group, resource = ",".join(rule.groups), ",".join(rule.resources) or ",".join(rule.urls)
    for wild, name in (
        (ALL in rule.verbs and not rule.urls, "wildcard:verbs"),
        (any(ALL in entry for entry in rule.resources), "wildcard:resources"),
        (ALL in rule.groups, "wildcard:groups"),
        (ALL in rule.urls or "/*" in rule.urls, "wildcard:urls"),
    ):
        if wild:
            yield Right(BY_ID[name], rule.verbs, group, resource, rule.names)


def _single(rule: Rule) -> Iterator[Right]:
    anything = ALL in rule.groups or any(ALL in resource for resource in rule.resources)
    for danger in DANGERS if anything else _candidates(rule):
        if verbs := tuple(verb for verb in danger.verbs if verb in rule.verbs or (ALL in rule.verbs and verb != ALL)):
            for group, resource in danger.targets:
                # A name takes away what has none: making objects, and deleting them all.
                effective = tuple(verb for verb in verbs if "/" in resource or verb not in ("create", "deletecollection")) if rule.names else verbs
                if danger.id == "pods:create" and (group, resource) in _FIXED:
                    effective = tuple(verb for verb in effective if verb == "create")
                if effective and (ALL in rule.groups or group in rule.groups) and _grants(rule, resource):
                    yield Right(danger, effective, group, resource, rule.names)


def _grants(rule: Rule, resource: str) -> bool:
    base, _, subresource = resource.partition("/")
    return any(resource_matches(pattern, base, subresource) for pattern in rule.resources)


@cache
def _by_target() -> dict[tuple[str, str], tuple[int, ...]]:
    found: dict[tuple[str, str], list[int]] = {}
    for index, danger in enumerate(DANGERS):
        for target in danger.targets:
            found.setdefault(target, []).append(index)
    return {target: tuple(indices) for target, indices in found.items()}


def _candidates(rule: Rule) -> Iterator[Danger]:
    targets = _by_target()
    wanted = sorted({index for group in rule.groups for resource in rule.resources for index in targets.get((group, resource), ())})
    return (DANGERS[index] for index in wanted)


def severity_of(rule: Rule, namespace: str) -> str:
    """How much it matters that somebody gains a rule: the worst of its rights, one step less bad within a namespace than everywhere (``*``)."""
    worst = "note"
    for right in rights_of(rule):
        if right.danger.outside and namespace != ALL:
            continue
        severity = right.danger.severity if right.danger.topic != "lends" else "note"
        if severity == "error" and namespace == ALL and not right.names:
            return "error"
        if severity != "note":
            worst = "warning"
    return worst
