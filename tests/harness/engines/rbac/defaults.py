"""The roles and bindings that the API server makes by itself when it starts.

Facts of Kubernetes v1.36 (``plugin/pkg/auth/authorizer/rbac/bootstrappolicy``), in a notation of their own: a line is a rule, ``verbs: group:
resources``. Verbs are single letters (``g``\\ et ``l``\\ ist ``w``\\ atch ``c``\\ reate ``u``\\ pdate ``p``\\ atch ``d``\\ elete ``D``\\ eletecollection)
or words in full behind ``=``; the core group is ``core``; several groups are joined by ``+``; names stand in brackets; URLs start with a slash.
What a running v1.34 API server has besides is in it too; the control plane's controllers are in :mod:`harness.engines.rbac.controllers`.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from harness.engines.rbac.controllers import CONTROLLERS
from harness.engines.rbac.roles import Binding, Role
from harness.engines.rbac.rules import Rule
from harness.engines.rbac.subjects import Subject, service_account

VERSION: Final = "v1.36"
_LETTERS: Final = {"g": "get", "l": "list", "w": "watch", "c": "create", "u": "update", "p": "patch", "d": "delete", "D": "deletecollection"}
_RULE: Final = re.compile(r"(?P<verbs>=\S+|[a-zA-Z*]+) (?:(?P<groups>[a-z0-9.*+]+): (?P<resources>[^\[]+?)(?: \[(?P<names>[^\]]*)\])?|(?P<urls>[/*].*))")
_EVENTS: Final = "cup core+events.k8s.io: events"
_REVIEWS: Final = ("c authentication.k8s.io: tokenreviews", "c authorization.k8s.io: subjectaccessreviews")
_AGGREGATE: Final = "rbac.authorization.k8s.io/aggregate-to-"
_HEALTH: Final = "/healthz /livez /readyz /version /version/"

#: ClusterRoles by name; a name behind ``>`` is what its label aggregates it to.
_ROLES: Final[dict[str, tuple[str, ...]]] = {
    "cluster-admin": ("* *: *", "* *"),
    "system:aggregate-to-admin > admin": (
        "c authorization.k8s.io: localsubjectaccessreviews",
        "glwcupdD rbac.authorization.k8s.io: roles rolebindings",
    ),
    "system:aggregate-to-edit > edit": (
        "glw core: pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy",
        "=impersonate core: serviceaccounts",
        "cupdD core: pods pods/attach pods/exec pods/portforward pods/proxy",
        "c core: pods/eviction",
        "cupdD core: configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services"
        " services/proxy",
        "c core: serviceaccounts/token",
        "cupdD apps: daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets statefulsets/scale",
        "cupdD autoscaling: horizontalpodautoscalers",
        "cupdD batch: cronjobs jobs",
        "cupdD extensions: daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets replicasets/scale"
        " replicationcontrollers/scale",
        "cupdD policy: poddisruptionbudgets",
        "cupdD networking.k8s.io: ingresses networkpolicies",
        "glwcupdD coordination.k8s.io: leases",
        "cupdD resource.k8s.io: resourceclaims resourceclaimtemplates",
    ),
    "system:aggregate-to-view > view": (
        "glw core: configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers replicationcontrollers/scale"
        " serviceaccounts services services/status",
        "glw core: bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status resourcequotas resourcequotas/status",
        "glw core: namespaces",
        "glw resource.k8s.io: resourceclaims resourceclaims/status resourceclaimtemplates",
        "glw discovery.k8s.io: endpointslices",
        "glw apps: controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets replicasets/scale"
        " replicasets/status statefulsets statefulsets/scale statefulsets/status",
        "glw autoscaling: horizontalpodautoscalers horizontalpodautoscalers/status",
        "glw batch: cronjobs cronjobs/status jobs jobs/status",
        "glw extensions: daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status networkpolicies replicasets"
        " replicasets/scale replicasets/status replicationcontrollers/scale",
        "glw policy: poddisruptionbudgets poddisruptionbudgets/status",
        "glw networking.k8s.io: ingresses ingresses/status networkpolicies",
    ),
    "system:auth-delegator": _REVIEWS,
    "system:basic-user": ("c authorization.k8s.io: selfsubjectaccessreviews selfsubjectrulesreviews", "c authentication.k8s.io: selfsubjectreviews"),
    "system:certificates.k8s.io:certificatesigningrequests:nodeclient": ("c certificates.k8s.io: certificatesigningrequests/nodeclient",),
    "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient": ("c certificates.k8s.io: certificatesigningrequests/selfnodeclient",),
    "system:certificates.k8s.io:kube-apiserver-client-approver": ("=approve certificates.k8s.io: signers [kubernetes.io/kube-apiserver-client]",),
    "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver": (
        "=approve certificates.k8s.io: signers [kubernetes.io/kube-apiserver-client-kubelet]",
    ),
    "system:certificates.k8s.io:kubelet-serving-approver": ("=approve certificates.k8s.io: signers [kubernetes.io/kubelet-serving]",),
    "system:certificates.k8s.io:legacy-unknown-approver": ("=approve certificates.k8s.io: signers [kubernetes.io/legacy-unknown]",),
    "system:discovery": (f"g {_HEALTH} /openapi /openapi/* /api /api/* /apis /apis/*",),
    "system:heapster": ("glw core: events namespaces nodes pods", "glw extensions: deployments"),
    "system:kube-aggregator": ("glw core: endpoints services",),
    "system:kube-controller-manager": (
        _EVENTS,
        "c coordination.k8s.io: leases",
        "gu coordination.k8s.io: leases [kube-controller-manager]",
        "c core: secrets serviceaccounts",
        "d core: secrets",
        "g core: configmaps namespaces secrets serviceaccounts",
        "u core: secrets serviceaccounts",
        *_REVIEWS,
        "lw *: *",
        "c core: serviceaccounts/token",
    ),
    "system:kube-dns": ("lw core: endpoints services",),
    "system:kube-scheduler": (
        _EVENTS,
        "c coordination.k8s.io: leases",
        "gu coordination.k8s.io: leases [kube-scheduler]",
        "glw core: namespaces nodes persistentvolumeclaims persistentvolumes replicationcontrollers services",
        "glwd core: pods",
        "c core: bindings pods/binding",
        "up core: pods/status",
        "glw apps+extensions: replicasets",
        "glw apps: statefulsets",
        "glw policy: poddisruptionbudgets",
        *_REVIEWS,
        "glw storage.k8s.io: csidrivers csinodes csistoragecapacities volumeattachments",
        "glwcupdD coordination.k8s.io: leasecandidates",
        "lw coordination.k8s.io: leases [kube-scheduler]",
        "glw resource.k8s.io: deviceclasses resourceslices",
        "glwup resource.k8s.io: resourceclaims resourceclaims/status",
        "u core: pods/finalizers",
    ),
    "system:kubelet-api-admin": (
        "glw core: nodes",
        "=proxy core: nodes",
        "* core: nodes/configz nodes/healthz nodes/log nodes/metrics nodes/pods nodes/proxy nodes/stats",
    ),
    "system:monitoring": (
        "g core: nodes/metrics",
        "g /healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*",
    ),
    "system:node": (
        "c authentication.k8s.io: tokenreviews",
        "c authorization.k8s.io: localsubjectaccessreviews subjectaccessreviews",
        "glw core: services",
        "glwcup core: nodes",
        "up core: nodes/status pods/status",
        "cup core: events",
        "glwcd core: pods",
        "c core: pods/eviction serviceaccounts/token",
        "glw core: configmaps secrets",
        "g core: endpoints persistentvolumeclaims persistentvolumes",
        "gup core: persistentvolumeclaims/status",
        "glwc certificates.k8s.io: certificatesigningrequests",
        "gcupd coordination.k8s.io: leases",
        "g storage.k8s.io: volumeattachments",
        "glw storage.k8s.io: csidrivers",
        "gcupd storage.k8s.io: csinodes",
        "glw node.k8s.io: runtimeclasses",
        "g core: serviceaccounts",
        "g resource.k8s.io: resourceclaims",
        "D resource.k8s.io: resourceslices",
    ),
    "system:node-bootstrapper": ("glwc certificates.k8s.io: certificatesigningrequests",),
    "system:node-problem-detector": ("g core: nodes", "p core: nodes/status", _EVENTS),
    "system:node-proxier": (
        "lw core: endpoints services",
        "glw core: nodes",
        _EVENTS,
        "lw discovery.k8s.io: endpointslices",
        "lw networking.k8s.io: servicecidrs",
    ),
    "system:persistent-volume-provisioner": (
        "glwcd core: persistentvolumes",
        "glwu core: persistentvolumeclaims",
        "glw storage.k8s.io: storageclasses",
        "w core: events",
        _EVENTS,
    ),
    "system:public-info-viewer": (f"g {_HEALTH}",),
    "system:service-account-issuer-discovery": ("g /.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/",),
    "system:volume-scheduler": ("glwup core: persistentvolumeclaims persistentvolumes", "glw storage.k8s.io: storageclasses"),
    **{f"system:controller:{name}": rules for name, rules in CONTROLLERS.items()},
}
#: Aggregated ClusterRoles, and what each is aggregated to itself.
_AGGREGATED: Final = {"admin": "", "edit": "admin", "view": "edit"}
#: Role in kube-system or kube-public → its rules.
_NAMESPACED: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("kube-system", "extension-apiserver-authentication-reader"): ("glw core: configmaps [extension-apiserver-authentication]",),
    ("kube-system", "system::leader-locking-kube-controller-manager"): (
        "w core: configmaps",
        "gu core: configmaps [kube-controller-manager]",
        "glwcu coordination.k8s.io: leases leasecandidates",
    ),
    ("kube-system", "system::leader-locking-kube-scheduler"): (
        "w core: configmaps",
        "gu core: configmaps [kube-scheduler]",
        "glwcu coordination.k8s.io: leases leasecandidates",
    ),
    ("kube-system", "system:controller:bootstrap-signer"): ("glw core: secrets",),
    ("kube-system", "system:controller:cloud-provider"): ("glwc core: configmaps",),
    ("kube-system", "system:controller:token-cleaner"): ("glwd core: secrets", _EVENTS),
    ("kube-public", "system:controller:bootstrap-signer"): ("glw core: configmaps", "u core: configmaps [cluster-info]", _EVENTS),
}
_EVERYONE: Final = ("group:system:authenticated", "group:system:unauthenticated")
#: ClusterRoleBinding (named like its role) → subjects. Controllers are bound to the account of their own name.
_BINDINGS: Final[dict[str, tuple[str, ...]]] = {
    "cluster-admin": ("group:system:masters",),
    "system:basic-user": ("group:system:authenticated",),
    "system:discovery": ("group:system:authenticated",),
    "system:kube-controller-manager": ("user:system:kube-controller-manager",),
    "system:kube-dns": ("sa:kube-dns",),
    "system:kube-scheduler": ("user:system:kube-scheduler",),
    "system:monitoring": ("group:system:monitoring",),
    "system:node": (),
    "system:node-proxier": ("user:system:kube-proxy",),
    "system:public-info-viewer": _EVERYONE,
    "system:service-account-issuer-discovery": ("group:system:serviceaccounts",),
    "system:volume-scheduler": ("user:system:kube-scheduler",),
}
_ROLE_BINDINGS: Final[dict[tuple[str, str], tuple[str, tuple[str, ...]]]] = {
    ("kube-system", "system::extension-apiserver-authentication-reader"): (
        "extension-apiserver-authentication-reader",
        ("user:system:kube-controller-manager", "user:system:kube-scheduler"),
    ),
    ("kube-system", "system::leader-locking-kube-controller-manager"): (
        "system::leader-locking-kube-controller-manager",
        ("user:system:kube-controller-manager", "sa:kube-controller-manager", "sa:leader-election-controller"),
    ),
    ("kube-system", "system::leader-locking-kube-scheduler"): (
        "system::leader-locking-kube-scheduler",
        ("user:system:kube-scheduler", "sa:kube-scheduler"),
    ),
    ("kube-system", "system:controller:bootstrap-signer"): ("system:controller:bootstrap-signer", ("sa:bootstrap-signer",)),
    ("kube-system", "system:controller:cloud-provider"): ("system:controller:cloud-provider", ("sa:cloud-provider",)),
    ("kube-system", "system:controller:token-cleaner"): ("system:controller:token-cleaner", ("sa:token-cleaner",)),
    ("kube-public", "system:controller:bootstrap-signer"): ("system:controller:bootstrap-signer", ("sa:bootstrap-signer",)),
}
_CONTROLLER: Final = "system:controller:"


@cache
def roles() -> tuple[Role, ...]:
    """Every default role."""
    found = []
    for words, lines in _ROLES.items():
        name, _, target = words.partition(" > ")
        labels = {"kubernetes.io/bootstrapping": "rbac-defaults", **({f"{_AGGREGATE}{target}": "true"} if target else {})}
        found.append(Role(name, "", tuple(map(parse_rule, lines)), labels))
    for name, target in _AGGREGATED.items():
        labels = {"kubernetes.io/bootstrapping": "rbac-defaults", **({f"{_AGGREGATE}{target}": "true"} if target else {})}
        found.append(Role(name, "", (), labels, ({"matchLabels": {f"{_AGGREGATE}{name}": "true"}},)))
    found += [Role(name, namespace, tuple(map(parse_rule, lines)), {}) for (namespace, name), lines in _NAMESPACED.items()]
    return tuple(found)


@cache
def _by_name() -> dict[str, Role]:
    return {role.name: role for role in roles() if not role.namespace}


def cluster_role(name: str) -> Role | None:
    """The default ClusterRole of a name, or None."""
    return _by_name().get(name)


@cache
def bindings() -> tuple[Binding, ...]:
    """Every default binding."""
    found = [Binding(name, "", "ClusterRole", name, tuple(map(_subject, subjects))) for name, subjects in _BINDINGS.items()]
    found += [
        Binding(name, "", "ClusterRole", name, (service_account("kube-system", name.removeprefix(_CONTROLLER)),))
        for name in _ROLES
        if name.startswith(_CONTROLLER)
    ]
    found += [Binding(name, namespace, "Role", role, tuple(map(_subject, subjects))) for (namespace, name), (role, subjects) in _ROLE_BINDINGS.items()]
    return tuple(found)


@cache
def service_accounts() -> frozenset[tuple[str, str]]:
    """The service accounts of the control plane's own controllers and add-ons: nobody declares them."""
    bound = {(subject.namespace, subject.name) for binding in bindings() for subject in binding.subjects if subject and subject.kind == "ServiceAccount"}
    return frozenset(bound | {("kube-system", name) for name in ("coredns", "kube-proxy", "attachdetach-controller", "certificate-controller")})


def _subject(text: str) -> Subject:
    kind, _, name = text.partition(":")
    return service_account("kube-system", name) if kind == "sa" else Subject(kind.capitalize(), name)


def parse_rule(line: str) -> Rule:
    """A line of the tables. Raises ValueError for one that is none."""
    match = _RULE.fullmatch(line)
    if match is None:
        raise ValueError(f"{line!r} is no rule")
    words = match["verbs"]
    verbs = tuple(words[1:].split(",")) if words.startswith("=") else ("*",) if words == "*" else tuple(_LETTERS[letter] for letter in words)
    if match["urls"]:
        return Rule(verbs, urls=tuple(match["urls"].split()))
    groups = tuple("" if group == "core" else group for group in match["groups"].split("+"))
    return Rule(verbs, groups, tuple(match["resources"].split()), tuple((match["names"] or "").split()))
