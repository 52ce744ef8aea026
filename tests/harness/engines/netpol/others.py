"""Policies of other kinds that decide about traffic too. They are not evaluated, and said to be there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.model import NotEvaluated

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.model import Object

#: Kinds by API group, with the system that reads them. An empty set of kinds: every kind of the group that is listed nowhere else.
_KINDS: Final[Mapping[str, tuple[str, frozenset[str]]]] = {
    "cilium.io": (
        "Cilium",
        frozenset({"CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "CiliumLocalRedirectPolicy", "CiliumEgressGatewayPolicy", "CiliumCIDRGroup"}),
    ),
    "projectcalico.org": (
        "Calico",
        frozenset(
            {
                "NetworkPolicy",
                "GlobalNetworkPolicy",
                "StagedNetworkPolicy",
                "StagedGlobalNetworkPolicy",
                "NetworkSet",
                "GlobalNetworkSet",
                "HostEndpoint",
                "Tier",
            }
        ),
    ),
    "crd.projectcalico.org": (
        "Calico",
        frozenset(
            {
                "NetworkPolicy",
                "GlobalNetworkPolicy",
                "StagedNetworkPolicy",
                "StagedGlobalNetworkPolicy",
                "NetworkSet",
                "GlobalNetworkSet",
                "HostEndpoint",
                "Tier",
            }
        ),
    ),
    "policy.networking.k8s.io": ("the cluster network policy API", frozenset({"AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy"})),
    "security.istio.io": ("Istio", frozenset({"AuthorizationPolicy", "PeerAuthentication"})),
    "networking.istio.io": ("Istio", frozenset({"Sidecar", "ServiceEntry"})),
    "policy.linkerd.io": ("Linkerd", frozenset({"AuthorizationPolicy", "Server", "ServerAuthorization", "MeshTLSAuthentication", "NetworkAuthentication"})),
    "k8s.ovn.org": (
        "OVN-Kubernetes",
        frozenset({"EgressFirewall", "EgressQoS", "AdminPolicyBasedExternalRoute", "UserDefinedNetwork", "ClusterUserDefinedNetwork"}),
    ),
    "network.openshift.io": ("OpenShift SDN", frozenset({"EgressNetworkPolicy", "NetNamespace"})),
    "crd.antrea.io": ("Antrea", frozenset({"NetworkPolicy", "ClusterNetworkPolicy", "Tier", "ClusterGroup", "Group"})),
    "kubeovn.io": ("Kube-OVN", frozenset({"SecurityGroup"})),
    "k8s.cni.cncf.io": ("Multus", frozenset({"MultiNetworkPolicy", "NetworkAttachmentDefinition"})),
    "vpcresources.k8s.aws": ("the AWS VPC CNI", frozenset({"SecurityGroupPolicy"})),
    "networking.k8s.aws": ("the AWS VPC CNI", frozenset({"ApplicationNetworkPolicy", "ClusterNetworkPolicy"})),
    "kuma.io": ("Kuma", frozenset({"MeshTrafficPermission", "TrafficPermission"})),
    "consul.hashicorp.com": ("Consul", frozenset({"ServiceIntentions"})),
}


def other_policies(objects: Iterable[Object]) -> Iterator[NotEvaluated]:
    """Every object of another policy kind, and NetworkPolicies of API versions that no server reads any more."""
    for item in objects:
        if item.kind == "NetworkPolicy" and item.group in ("networking.k8s.io", "extensions") and item.api_version != "networking.k8s.io/v1":
            yield NotEvaluated(str(item.id), "NetworkPolicy", f"{item.api_version} is no version that a supported API server reads: networking.k8s.io/v1 is")
            continue
        known = _KINDS.get(item.group)
        if known is not None and item.kind in known[1]:
            yield NotEvaluated(
                str(item.id), item.kind, f"only NetworkPolicy of networking.k8s.io/v1 is: {known[0]} decides about traffic too, so the answer may differ"
            )
