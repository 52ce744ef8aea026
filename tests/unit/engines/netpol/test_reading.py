# ruff: noqa: E501 - one case a line
"""Policies are read with the API server's defaults and refused where it refuses; workloads are found wherever pods come from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
from harness.engines.netpol.addresses import address, block, describe
from harness.engines.netpol.labels import read_selector
from harness.engines.netpol.policies import Policy, Refused, read_policy
from harness.engines.netpol.ports import Ports
from harness.model import format_pointer

sys.path.insert(0, str(Path(__file__).parent))
from netpol_things import between, named, namespace, network, passes, pod, policy, thing, things

Json = dict[str, Any]
# fmt: off

REFUSED: list[tuple[str, Json, str]] = [
    ("no peer", {"ingress": [{"from": [{}]}]}, "spec.ingress[0].from[0]: must specify a peer"),
    ("a null peer", {"egress": [{"to": [None]}]}, "spec.egress[0].to[0]: must specify a peer"),
    ("block and selector", {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}]}, "spec.ingress[0].from[0]: may not specify both ipBlock and another peer"),
    ("no block", {"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.1"}}]}]}, "spec.egress[0].to[0].ipBlock.cidr: must be a block such as 10.9.8.0/24 or 2001:db8::/64, not '10.0.0.1'"),
    ("exception outside", {"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/8"]}}]}]}, "spec.egress[0].to[0].ipBlock.except[0]: must be a block strictly inside 10.0.0.0/8, not '11.0.0.0/8'"),
    ("exception of all", {"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}}]}]}, "spec.egress[0].to[0].ipBlock.except[0]: must be a block strictly inside 10.0.0.0/8, not '10.0.0.0/8'"),
    ("range backwards", {"ingress": [{"ports": [{"port": 90, "endPort": 80}]}]}, "spec.ingress[0].ports[0].endPort: must be a number from 90 to 65535, not 80"),
    ("range of a name", {"ingress": [{"ports": [{"port": "http", "endPort": 80}]}]}, "spec.ingress[0].ports[0].endPort: may not be specified when port is non-numeric"),
    ("range from nowhere", {"ingress": [{"ports": [{"endPort": 80}]}]}, "spec.ingress[0].ports[0].endPort: may not be specified when port is not specified"),
    ("port too high", {"ingress": [{"ports": [{"port": 65536}]}]}, "spec.ingress[0].ports[0].port: must be a name or a number from 1 to 65535, not 65536"),
    ("protocol in lower case", {"ingress": [{"ports": [{"protocol": "tcp"}]}]}, "spec.ingress[0].ports[0].protocol: must be one of TCP, UDP, SCTP, not 'tcp'"),
    ("protocol that is empty", {"ingress": [{"ports": [{"protocol": ""}]}]}, "spec.ingress[0].ports[0].protocol: must be one of TCP, UDP, SCTP, not ''"),
    ("label with a space", {"podSelector": {"matchLabels": {"a": "b c"}}}, "spec.podSelector.matchLabels.a: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character, not 'b c'"),
    ("name that is none", {"ingress": [{"ports": [{"port": "80"}]}]}, "spec.ingress[0].ports[0].port: must contain at least one letter (a-z), not '80'"),
    ("In without values", {"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}, "spec.podSelector.matchExpressions[0].values: must be specified when operator is In"),
    ("Exists with values", {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}}, "spec.podSelector.matchExpressions[0].values: may not be specified when operator is Exists"),
    ("unknown operator", {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}, "spec.podSelector.matchExpressions[0].operator: must be one of In, NotIn, Exists, DoesNotExist, not 'Is'"),
    ("label that is a number", {"podSelector": {"matchLabels": {"a": 1}}}, "spec.podSelector.matchLabels.a: must be a string, not 1"),
    ("unknown policyType", {"policyTypes": ["ingress"]}, "spec.policyTypes[0]: must be Ingress or Egress, not 'ingress'"),
    ("three policyTypes", {"policyTypes": ["Ingress", "Egress", "Ingress"]}, "spec.policyTypes: may not specify more than two policyTypes"),
    ("rules that are no list", {"ingress": {}}, "spec.ingress: must be a list"),
    ("a rule that is none", {"egress": ["all"]}, "spec.egress[0]: must be an object"),
    ("peers that are no list", {"ingress": [{"from": {"podSelector": {}}}]}, "spec.ingress[0].from: must be a list"),
    ("a selector that is none", {"podSelector": "app"}, "spec.podSelector: must be an object"),
    ("expressions that are no list", {"podSelector": {"matchExpressions": {}}}, "spec.podSelector.matchExpressions: must be a list"),
]


@pytest.mark.parametrize(("spec", "fault"), [pytest.param(spec, fault, id=name) for name, spec, fault in REFUSED])
def test_what_the_server_refuses_is_in_no_cluster(spec: Json, fault: str) -> None:
    read = read_policy(thing(policy("p", spec)))
    assert isinstance(read, Refused)
    assert [f"{format_pointer(at)}: {message}" for at, message in read.faults] == [fault]
    found = network(pod("a"), pod("b"), policy("p", spec), policy("q", {"podSelector": {}}))
    assert ([str(each) for each in found.refused], [str(each) for each in found.policies]) == (["x/p"], ["x/q"])


@pytest.mark.parametrize("spec", [7, [], "x"])
def test_a_spec_of_another_shape_is_refused(spec: object) -> None:
    read = read_policy(thing({**policy("p", {}), "spec": spec}))
    assert isinstance(read, Refused)
    assert read.faults == ((("spec",), "must be an object"),)


@pytest.mark.parametrize(
    ("spec", "directions"),
    [
        ({}, {"Ingress"}), ({"policyTypes": []}, {"Ingress"}), ({"egress": []}, {"Ingress"}), ({"egress": [{}]}, {"Ingress", "Egress"}),
        ({"policyTypes": ["Egress"], "ingress": [{}]}, {"Egress"}), ({"policyTypes": ["Ingress"], "egress": [{}]}, {"Ingress"}),
        ({"policyTypes": ["Ingress", "Ingress"]}, {"Ingress"}),
    ],
)
def test_directions_have_their_defaults(spec: Json, directions: set[str]) -> None:
    read = read_policy(thing(policy("p", spec)))
    assert isinstance(read, Policy)
    assert read.directions == directions
    assert all(not read.rules_of(each) for each in {"Ingress", "Egress"} - directions)


def test_a_policy_says_what_it_allows() -> None:
    read = read_policy(
        thing(policy("p", {"ingress": [{"from": [{"podSelector": {"matchLabels": {"a": "b"}}}, {"namespaceSelector": {}}], "ports": [{"port": 80, "endPort": 90}, {"port": "http"}]}, {}]}))
    )
    assert isinstance(read, Policy)
    assert [str(rule) for rule in read.rules] == [
        "from pods with a=b of its own namespace or any pod of any namespace on 80-90/TCP, http/TCP",
        "from anyone on every port",
    ]


WORKLOADS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: x}
spec:
  template:
    metadata: {labels: {app: web}}
    spec:
      initContainers:
        - {name: setup, ports: [{name: setup, containerPort: 9}]}
        - {name: proxy, restartPolicy: Always, ports: [{name: proxy, containerPort: 15001}]}
      containers:
        - {name: web, ports: [{name: http, containerPort: 8080}, {name: dns, containerPort: 53, protocol: UDP}, {containerPort: nope}, 7]}
        - {name: other, ports: [{name: http, containerPort: 8081}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: x}
spec: {jobTemplate: {spec: {template: {metadata: {labels: {app: nightly}}, spec: {containers: []}}}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: y}
spec: {template: {metadata: {labels: {app: once}}, spec: {}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: y}
spec: {replicas: 2, template: {metadata: {labels: {app: db}}, spec: {}}}
---
apiVersion: v1
kind: PodTemplate
metadata: {name: unused, namespace: y}
template: {metadata: {labels: {app: unused}}}
---
apiVersion: v1
kind: Pod
metadata: {name: done, namespace: y}
status: {phase: Succeeded}
---
apiVersion: v1
kind: Pod
metadata: {name: failed, namespace: y}
status: {phase: Failed}
"""


def test_pods_come_from_templates_too_and_completed_ones_are_gone() -> None:
    from harness.engines.netpol.network import Network

    found = Network(things(WORKLOADS))
    assert [str(each) for each in found.workloads] == ["CronJob/x/nightly", "Deployment/x/web", "Job/y/once", "StatefulSet/y/db"]
    assert found.completed == ("Pod/y/done", "Pod/y/failed")
    web = named(found, "x/web")
    assert [tuple(each) for each in web.ports] == [("dns", 53, "UDP"), ("http", 8080, "TCP"), ("http", 8081, "TCP"), ("proxy", 15001, "TCP")]
    assert (str(web.named("http", "TCP")), str(web.named("dns", "TCP")), str(web.named("setup", "TCP"))) == ("8080-8081/TCP", "none", "none")


def test_labels_of_controllers_are_there() -> None:
    from harness.engines.netpol.network import Network

    extra = [
        policy("job", {"podSelector": {"matchLabels": {"job-name": "once"}}}, "y"),
        policy("hash", {"podSelector": {"matchExpressions": [{"key": "pod-template-hash", "operator": "Exists"}]}}),
        policy("first", {"podSelector": {"matchLabels": {"statefulset.kubernetes.io/pod-name": "db-0"}}}, "y"),
        policy("guess", {"podSelector": {"matchLabels": {"pod-template-hash": "5d4f8"}}}),
    ]
    found = Network([*things(WORKLOADS), *(thing(each) for each in extra)])
    selected = {policy.name: [str(each) for each in found.workloads if found.selected[policy] >> found.position[each] & 1] for policy in found.policies}
    assert selected == {"job": ["Job/y/once"], "hash": ["Deployment/x/web"], "first": ["StatefulSet/y/db-0"], "guess": []}


OWNED = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: x}
spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c}]}}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web-5d4, namespace: x, ownerReferences: [{kind: Deployment, name: web, controller: true}]}
spec: {template: {metadata: {labels: {app: web, pod-template-hash: 5d4}}, spec: {containers: [{name: c}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-5d4-1, namespace: x, labels: {app: web, pod-template-hash: 5d4}, ownerReferences: [{kind: ReplicaSet, name: web-5d4, controller: true}]}
spec: {containers: [{name: c}]}
status: {podIP: 10.0.0.7}
---
apiVersion: v1
kind: Pod
metadata: {name: web-5d4-2, namespace: x, labels: {app: web, debug: "yes"}, ownerReferences: [{kind: ReplicaSet, name: web-5d4, controller: true}]}
spec: {containers: [{name: c}]}
status: {podIP: 10.0.0.8}
---
apiVersion: v1
kind: Pod
metadata: {name: api-77-1, namespace: x, labels: {app: api, pod-template-hash: "77"}, ownerReferences: [{kind: ReplicaSet, name: api-77, controller: true}]}
spec: {containers: [{name: c}]}
---
apiVersion: v1
kind: Pod
metadata: {name: api-77-2, namespace: x, labels: {app: api, pod-template-hash: "77"}, ownerReferences: [{kind: ReplicaSet, name: api-77, controller: true}]}
spec: {containers: [{name: c}]}
"""


def test_running_pods_belong_to_their_workload_unless_they_differ() -> None:
    from harness.engines.netpol.network import Network

    found = Network(things(OWNED))
    assert {str(each): (each.pods, describe(each.addresses)) for each in found.workloads} == {
        "ReplicaSet/x/api-77": (("api-77-1", "api-77-2"), "no address"),
        "Deployment/x/web": (("web-5d4-1",), "10.0.0.7"),
        "Pod/x/web-5d4-2": (("web-5d4-2",), "10.0.0.8"),
    }


CUSTOM = """
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: web, namespace: x}
spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, ports: [{name: http, containerPort: 80}]}]}}}
---
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: vm, namespace: x}
spec: {template: {metadata: {labels: {app: vm}}, spec: {domain: {}}}}
"""


def test_templates_of_other_kinds_make_pods_too() -> None:
    from harness.engines.netpol.network import Network

    found = Network([*things(CUSTOM), thing(policy("web", {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "vm"}}}], "ports": [{"port": "http"}]}]}))])
    assert {str(source): str(found.allowed(source, named(found, "x/web"))) for source in found.workloads} == {"Rollout/x/web": "none", "VirtualMachine/x/vm": "80/TCP"}


def test_a_namespace_without_an_object_has_its_name() -> None:
    by_name = {"ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "y"}}}]}]}
    found = network(pod("a"), pod("b", "y"), pod("c", "z"), policy("p", by_name))
    assert (passes(found, "y/b", "x/a", "80"), passes(found, "z/c", "x/a", "80")) == (True, False)
    assert {name: each.object is None for name, each in found.namespaces.items()} == {"x": True, "y": True, "z": True}


def test_nobody_changes_the_name_label() -> None:
    found = network(namespace("x"), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "y", "labels": {"kubernetes.io/metadata.name": "x"}}})
    assert found.namespaces["y"].labels == {"kubernetes.io/metadata.name": "y"}


class TestHostNetwork:
    deny: ClassVar[Json] = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}

    def _network(self, *policies: Json, nodes: str = "192.0.2.0/28") -> Any:
        return network(pod("a"), pod("host", spec={"hostNetwork": True}), *policies, nodes=nodes)

    def test_policies_that_select_it_are_void(self) -> None:
        found = self._network(policy("deny", self.deny))
        host = named(found, "x/host")
        assert (found.ingress(host).isolated, found.egress(host).isolated, found.ingress(named(found, "x/a")).isolated) == (False, False, True)

    def test_no_pod_selector_matches_it(self) -> None:
        found = self._network(policy("p", {"ingress": [{"from": [{"podSelector": {}}, {"namespaceSelector": {}}]}]}))
        assert between(found, "x/host", "x/a") == "none"

    @pytest.mark.parametrize(("cidr", "expected"), [("192.0.2.0/24", "all"), ("192.0.2.0/28", "all"), ("192.0.2.0/29", "none"), ("10.0.0.0/8", "none")])
    def test_blocks_match_the_addresses_of_nodes(self, cidr: str, expected: str) -> None:
        peer = {"ipBlock": {"cidr": cidr}}
        found = self._network(policy("p", {"ingress": [{"from": [peer]}], "egress": [{"to": [peer]}]}))
        assert (between(found, "x/host", "x/a"), between(found, "x/a", "x/host")) == (expected, expected)

    def test_whoever_may_come_from_anywhere_may_come_from_a_node(self) -> None:
        found = self._network(policy("p", {"ingress": [{"ports": [{"port": 443}]}]}), nodes="")
        assert between(found, "x/host", "x/a") == "443/TCP"


def test_a_pod_reaches_itself_and_a_template_stands_for_several() -> None:
    found = network(pod("a"), *[each.body for each in things(WORKLOADS)], policy("deny", {"policyTypes": ["Ingress", "Egress"]}))
    assert (between(found, "x/a", "x/a"), between(found, "x/web", "x/web")) == ("all", "none")


class TestBlocks:
    rule: ClassVar[Json] = {"policyTypes": ["Ingress"], "ingress": [{"from": [{"ipBlock": {"cidr": "10.244.0.0/16"}}]}]}

    def test_a_known_pod_is_matched_by_its_address(self) -> None:
        found = network(pod("a", status={"podIP": "10.244.1.2"}), pod("b", status={"podIPs": [{"ip": "10.244.9.9"}, {"ip": "2001:db8::9"}]}), pod("c", status={"podIP": "10.245.0.1"}), policy("p", self.rule))
        assert (passes(found, "x/b", "x/a", "80"), passes(found, "x/c", "x/a", "80")) == (True, False)

    def test_a_block_around_all_pods_matches_each(self) -> None:
        found = network(pod("a"), pod("b"), policy("p", self.rule), pods="10.244.0.0/16")
        assert passes(found, "x/b", "x/a", "80")
        assert not found.uncertain(named(found, "x/b"), block("10.244.0.0/16"))

    def test_a_block_around_some_matches_none_and_says_that_it_might(self) -> None:
        found = network(pod("a"), pod("b"), policy("p", self.rule), pods="10.0.0.0/8")
        assert not passes(found, "x/b", "x/a", "80")
        assert found.uncertain(named(found, "x/b"), block("10.244.0.0/16"))
        assert not found.uncertain(named(found, "x/b"), block("192.0.2.0/24"))

    def test_blocks_may_be_for_the_outside_only(self) -> None:
        everyone = {"ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}
        assert passes(network(pod("a"), pod("b"), policy("p", everyone)), "x/b", "x/a", "80")
        assert not passes(network(pod("a"), pod("b"), policy("p", everyone), blocks_match_pods=False), "x/b", "x/a", "80")


def test_named_ports_are_those_of_each_destination() -> None:
    out = {
        "policyTypes": ["Egress"],
        "podSelector": {"matchLabels": {"app": "a"}},
        "egress": [{"ports": [{"port": "web"}, {"port": "dns", "protocol": "UDP"}]}],
    }
    found = network(
        pod("a", labels={"app": "a"}), pod("b", ports=[{"name": "web", "containerPort": 80}]), pod("c", ports=[{"name": "web", "containerPort": 8080}]),
        pod("d", ports=[{"name": "dns", "containerPort": 53, "protocol": "UDP"}]), pod("e"), policy("p", out),
    )
    assert {each: between(found, "x/a", f"x/{each}") for each in "bcde"} == {"b": "80/TCP", "c": "8080/TCP", "d": "53/UDP", "e": "none"}


OTHERS = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: a, namespace: x}
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: b}
---
apiVersion: crd.projectcalico.org/v1
kind: GlobalNetworkPolicy
metadata: {name: c}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: d, namespace: x}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: e, namespace: x}
---
apiVersion: k8s.ovn.org/v1
kind: EgressFirewall
metadata: {name: f, namespace: x}
---
apiVersion: extensions/v1beta1
kind: NetworkPolicy
metadata: {name: g, namespace: x}
"""


def test_policies_of_other_kinds_are_named() -> None:
    from harness.engines.netpol.network import Network

    found = Network(things(OTHERS))
    assert [each.subject for each in found.others] == [
        "c/CiliumNetworkPolicy/x/a", "c/AdminNetworkPolicy/b", "c/GlobalNetworkPolicy/c", "c/NetworkPolicy/x/d", "c/AuthorizationPolicy/x/e", "c/EgressFirewall/x/f", "c/NetworkPolicy/x/g",
    ]
    assert found.policies == ()


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("8080", "8080/TCP"), ("53/udp", "53/UDP"), ("1-65535/sctp", "all/SCTP"), ("all", "all"), ("all/tcp", "all/TCP"), ("80,443, 53/udp", "80/TCP, 443/TCP, 53/UDP"),
        ("80-90,91", "80-91/TCP"),
    ],
)
def test_ports_are_read_as_people_write_them(words: str, shown: str) -> None:
    assert str(Ports.parse(words)) == shown


@pytest.mark.parametrize("words", ["", "http", "0", "65536", "9-8", "80/icmp", "all/icmp", "80/", "-1"])
def test_what_is_no_port_is_refused(words: str) -> None:
    with pytest.raises(ValueError, match=r"port|protocol"):
        Ports.parse(words)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("10.0.0.1", "10.0.0.1"), ("10.0.0.0/8", "10.0.0.0/8"), ("10.0.0.5-10.0.0.6", "10.0.0.5, 10.0.0.6"), ("2001:db8::/32", "2001:db8::/32"), ("::ffff:10.0.0.1", "10.0.0.1"),
        ("010.0.0.1", "10.0.0.1"), ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_addresses_are_read(words: str, shown: str) -> None:
    found = address(words)
    assert found is not None
    assert describe(found) == shown


@pytest.mark.parametrize("words", ["", "x", "10.0.0.0/33", "10.0.0.9-10.0.0.1", "10.0.0.1-::1", "300.0.0.1"])
def test_what_is_no_address_is_none(words: str) -> None:
    assert address(words) is None


def test_a_selector_says_what_was_missed() -> None:
    selector, faults = read_selector(
        {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "NotIn", "values": ["d"]}, {"key": "e", "operator": "Exists"}]}
    )
    assert faults == []
    assert [str(each) for each in selector.missed({"a": "x", "c": "d"})] == ["a=b", "c not in (d)", "e"]
    assert str(selector) == "a=b, c not in (d), e"
