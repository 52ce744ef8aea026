"""Which resources an API server has: the built-in ones, and those of CRDs.

Facts of Kubernetes v1.36 (``kubectl api-resources``, API reference), older groups included. A line is a group, then its resources; ``!`` marks what
is outside of namespaces, and what follows a slash is a subresource (``/s`` stands for ``/status``).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.model import Object

_CRD: Final = "CustomResourceDefinition.apiextensions.k8s.io"
_TABLE: Final = """
core bindings !componentstatuses configmaps endpoints endpoints/restricted events limitranges !namespaces/s !namespaces/finalize !nodes/s !nodes/proxy
core !nodes/log !nodes/metrics !nodes/stats !nodes/spec !nodes/checkpoint !nodes/configz !nodes/healthz !nodes/pods !nodes/statusz !nodes/flagz
core persistentvolumeclaims/s !persistentvolumes/s pods/s pods/attach pods/binding pods/ephemeralcontainers pods/eviction pods/exec pods/log
core pods/portforward pods/proxy pods/resize podtemplates replicationcontrollers/s replicationcontrollers/scale resourcequotas/s secrets
core serviceaccounts serviceaccounts/token services/s services/proxy !users !groups !uids
admissionregistration.k8s.io !mutatingwebhookconfigurations !validatingwebhookconfigurations !validatingadmissionpolicies/s !validatingadmissionpolicybindings
admissionregistration.k8s.io !mutatingadmissionpolicies !mutatingadmissionpolicybindings
apiextensions.k8s.io !customresourcedefinitions/s
apiregistration.k8s.io !apiservices/s
apps controllerrevisions daemonsets/s deployments/s deployments/scale deployments/rollback replicasets/s replicasets/scale statefulsets/s statefulsets/scale
authentication.k8s.io !selfsubjectreviews !tokenreviews !userextras !uids !users !groups !serviceaccounts
authorization.k8s.io localsubjectaccessreviews !selfsubjectaccessreviews !selfsubjectrulesreviews !subjectaccessreviews
autoscaling horizontalpodautoscalers/s
batch cronjobs/s jobs/s
certificates.k8s.io !certificatesigningrequests/s !certificatesigningrequests/approval !certificatesigningrequests/nodeclient
cert-manager.io !signers
certificates.k8s.io !certificatesigningrequests/selfnodeclient !signers !clustertrustbundles podcertificaterequests/s
coordination.k8s.io leases leasecandidates
discovery.k8s.io endpointslices endpointslices/restricted
events.k8s.io events
extensions daemonsets/s deployments/s deployments/scale deployments/rollback ingresses/s networkpolicies/s podsecuritypolicies replicasets/s replicasets/scale
extensions replicationcontrollers/scale
flowcontrol.apiserver.k8s.io !flowschemas/s !prioritylevelconfigurations/s
internal.apiserver.k8s.io !storageversions/s
metrics.k8s.io !nodes pods
networking.k8s.io !ingressclasses ingresses/s networkpolicies/s !ipaddresses !servicecidrs/s
node.k8s.io !runtimeclasses
policy poddisruptionbudgets/s !podsecuritypolicies
rbac.authorization.k8s.io !clusterroles !clusterrolebindings roles rolebindings
resource.k8s.io !deviceclasses resourceclaims/s resourceclaims/binding resourceclaims/driver resourceclaimtemplates !resourceslices !devicetaintrules/s
resource.k8s.io resourcepoolstatusrequests/s
scheduling.k8s.io !priorityclasses workloads/s podgroups/s
storage.k8s.io !csidrivers !csinodes csistoragecapacities !storageclasses !volumeattachments/s !volumeattributesclasses
storagemigration.k8s.io !storageversionmigrations/s
"""
#: Verbs of API requests.
VERBS: Final = frozenset({"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"})
#: Verbs that only authorization checks use, and of which group and resources (RBAC documentation; admission plugins and controllers).
SPECIAL_VERBS: Final[dict[str, tuple[str, ...]]] = {
    "bind": ("rbac.authorization.k8s.io",),
    "escalate": ("rbac.authorization.k8s.io",),
    "impersonate": ("", "authentication.k8s.io"),
    "approve": ("certificates.k8s.io", "cert-manager.io"),
    "sign": ("certificates.k8s.io", "cert-manager.io"),
    "attest": ("certificates.k8s.io",),
    "reference": ("cert-manager.io",),
    "use": ("policy", "extensions", "security.openshift.io"),
    "proxy": ("",),
}
#: Old and misspelt verbs never mean anything; others may be an extension's own.
_REDIRECT: Final = frozenset({"redirect", "read", "write", "edit", "view", "all", "any", "modify", "remove", "add", "exec", "post", "put"})


class Resources(NamedTuple):
    """What is known. ``namespaced`` maps (group, resource with subresource) to its scope; ``groups`` are those whose every resource is known."""

    namespaced: dict[tuple[str, str], bool]
    groups: frozenset[str]

    def scope(self, group: str, resource: str) -> bool | None:
        """Whether a resource (or subresource) lives in namespaces; None when it is not known."""
        return self.namespaced.get((group, resource))

    def exists(self, group: str, resource: str) -> bool | None:
        """Whether a resource exists in a group; None when the group is not known as a whole. Finalizers go with every resource."""
        if (group, resource) in self.namespaced:
            return True
        base, slash, subresource = resource.partition("/")
        if slash and (group, base) in self.namespaced and (subresource == "finalizers" or group not in _built_in().groups):
            # OwnerReferencesPermissionEnforcement asks for update on finalizers of any resource; for custom ones, roles run ahead of their CRD.
            return True
        return False if group in self.groups else None

    def near(self, resource: str) -> list[str]:
        """The groups that do have a resource of this name; those that are gone only where no other has it."""
        groups = sorted(group for group, name in self.namespaced if name == resource)
        return [group for group in groups if group != "extensions"] or groups


def is_odd_verb(verb: str) -> bool:
    """Whether a verb means nothing in any request."""
    return verb != verb.lower() or verb in _REDIRECT


@cache
def _built_in() -> Resources:
    known: dict[tuple[str, str], bool] = {}
    for line in _TABLE.split("\n"):
        group, *words = line.split() or [""]
        group = "" if group == "core" else group
        for word in words:
            name = word.removeprefix("!")
            if name.endswith("/s"):
                known[group, name.removesuffix("/s")] = not word.startswith("!")
                name += "tatus"
            known[group, name] = not word.startswith("!")
    groups = frozenset(group for group, _ in known) - {"authentication.k8s.io", "cert-manager.io", "metrics.k8s.io"}
    return Resources(known, groups)


def resources_of(objects: Iterable[Object]) -> Resources:
    """The built-in resources and those that CRDs among the objects define, with their subresources."""
    built_in = _built_in()
    known, groups = dict(built_in.namespaced), set(built_in.groups)
    for item in objects:
        if str(item.group_kind) != _CRD:
            continue
        group, plural = text(item.spec.get("group")), text(mapping(item.spec.get("names")).get("plural"))
        namespaced = item.spec.get("scope") != "Cluster"
        if not group or not plural:
            continue
        if group not in built_in.groups:
            groups.add(group)
        known[group, plural] = namespaced
        for version in items(item.spec.get("versions")):
            for subresource in mapping(mapping(version).get("subresources")):
                known[group, f"{plural}/{subresource}"] = namespaced
    return Resources(known, frozenset(groups))
