"""The run's facts: what docker and the cluster say, as the variables of the platform."""

from __future__ import annotations

import ipaddress

import pytest
from harness.live.ground.facts import Facts, FactsError, facts_of, subnet_of

KUBEADM = "apiVersion: kubeadm.k8s.io/v1beta3\nnetworking:\n  podSubnet: 10.244.0.0/16,fd00::/56\n  serviceSubnet: 10.96.0.0/16\n"


def node(name: str, *addresses: str, control: bool = True) -> dict[str, object]:
    labels = {"node-role.kubernetes.io/control-plane": ""} if control else {}
    status = {"addresses": [{"type": "InternalIP", "address": address} for address in addresses], "nodeInfo": {"kubeletVersion": "v1.34.4"}}
    return {"metadata": {"name": name, "labels": labels}, "status": status}


def test_variables_of_one_control_plane() -> None:
    facts = facts_of("172.18.0.0/16", [node("a", "172.18.0.3", "fc00::3"), node("b", "172.18.0.4", control=False)], KUBEADM)
    assert facts.variables() == {
        "KUBERNETES_VERSION": "1.34.4",
        "API_SERVER_CIDR": "172.18.0.3/32",
        "NODE_CIDR": "172.18.0.0/16",
        "POD_CIDR": "10.244.0.0/16",
        "SERVICE_CIDR": "10.96.0.0/16",
        "LB_POOL": "172.18.255.200-172.18.255.250",
        "OPERATOR_CIDR": "172.18.0.0/16",
    }


def test_several_control_planes_are_the_whole_network() -> None:
    facts = facts_of("172.18.0.0/16", [node("a", "172.18.0.3"), node("b", "172.18.0.2")], KUBEADM)
    assert facts.control_plane == ("172.18.0.2", "172.18.0.3")
    assert facts.variables()["API_SERVER_CIDR"] == "172.18.0.0/16"


@pytest.mark.parametrize("network", ["172.18.0.0/16", "10.1.2.0/24", "192.168.64.0/20"])
def test_pool_is_inside_the_network_and_at_its_end(network: str) -> None:
    first, last = (ipaddress.ip_address(text) for text in Facts(network, (), "", "", "").pool.split("-"))
    whole = ipaddress.ip_network(network)
    assert first in whole
    assert last in whole
    assert last != whole[-1]
    assert int(last) - int(first) == 50


def test_a_small_network_has_no_pool() -> None:
    with pytest.raises(FactsError, match="too small"):
        _ = Facts("10.0.0.0/28", (), "", "", "").pool


def test_subnet_is_the_first_of_ipv4() -> None:
    assert subnet_of('[{"IPAM":{"Config":[{"Subnet":"fc00::/64"},{"Gateway":"x"},{"Subnet":"172.20.0.0/16"}]}}]') == "172.20.0.0/16"


@pytest.mark.parametrize("said", ["[]", "{}", '[{"IPAM":null}]', '[{"IPAM":{"Config":[{"Subnet":"fc00::/64"}]}}]', "no json"])
def test_no_subnet(said: str) -> None:
    with pytest.raises(FactsError):
        subnet_of(said)


@pytest.mark.parametrize(
    ("nodes", "kubeadm", "why"),
    [([], KUBEADM, "no node"), ([node("a", control=False)], KUBEADM, "no node"), ([node("a", "172.18.0.3")], "networking: {}", "podSubnet and serviceSubnet")],
)
def test_what_a_cluster_does_not_say(nodes: list[dict[str, object]], kubeadm: str, why: str) -> None:
    with pytest.raises(FactsError, match=why):
        facts_of("172.18.0.0/16", nodes, kubeadm)
