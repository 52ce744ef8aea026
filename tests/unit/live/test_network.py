"""Connections of a cluster that answers as it is told: what is tried, what is believed, and what is a finding."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
from datetime import date
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from harness.engines.netpol.addresses import block
from harness.engines.netpol.network import Addresses, Network
from harness.engines.netpol.workloads import Workload
from harness.flux.world import World
from harness.live.findings import NotEvaluatedError
from harness.live.network import connections, netprobe
from harness.live.network.connections import Round, between, findings, opening, refused, still_refused, stranger, webhooks
from harness.live.network.flows import METADATA, PAIRS, Trial, control, plan, populate
from harness.live.network.netprobe import NODE, THERE, Probe, Seen, outside, probe, results, table
from harness.live.reach.run import RunError
from harness.rules.net_intent import ANY, Expectation, assumed_pods, read
from harness.source.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MANIFESTS = """\
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: bank}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {labels: {app: web, helm.sh/chart: web-v1.2.0}}
    spec: {containers: [{name: web, image: web:1, ports: [{containerPort: 8080}]}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: bank}
spec:
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: db, image: db:1, ports: [{containerPort: 5432}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: bank}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: let-web-in, namespace: bank}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}, podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]
"""
INTENT = """\
addresses:
  pods: {one: [10.244.0.0/16]}
  nodes: {one: [172.18.0.0/16]}
  services: {one: [10.96.0.0/16]}
  anywhere: [0.0.0.0/0]
pods:
  - {name: solver, namespaces: [bank], labels: {solver: 'true'}, ports: [8089/TCP], reason: an operator makes it}
groups:
  web: [shop/web]
  db: [bank/db]
  strangers: ['*/(any)']
allow:
  - {from: web, to: db, ports: 5432, reason: orders are kept}
deny:
  - {from: db, to: anywhere, ports: [443, 53/UDP], reason: money stays}
  - {from: strangers, to: db, reason: nobody else asks}
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    folder = tmp_path / "clusters" / "one"
    folder.mkdir(parents=True)
    (folder / "all.yaml").write_text(MANIFESTS)
    (tmp_path / "tests" / "intent").mkdir(parents=True)
    (tmp_path / "tests" / "intent" / "network.yaml").write_text(INTENT)
    repository = Repository(tmp_path)
    return World.of_documents(repository, "one", repository.documents("clusters/one/all.yaml"), today=date(2026, 1, 1))


@pytest.fixture
def expectation(world: World) -> Expectation:
    intent = read(world.repository)
    assert intent is not None
    assert not intent.faults
    known = Addresses(*(block(each) for each in ("10.244.0.0/16", "172.18.0.0/16", "10.96.0.0/16")))  # type: ignore[arg-type]
    anybody = [Workload("Pod", each, ANY, {}) for each in ("shop", "bank")]
    return Expectation(intent, "one", Network(world.objects, addresses=known, assumed=[*assumed_pods(intent, "one"), *anybody]))


def pod(namespace: str, name: str, address: str, labels: dict[str, str], **more: Any) -> dict[str, Any]:
    body = {"metadata": {"namespace": namespace, "name": name, "uid": f"uid-{name}", "labels": labels}, "spec": {"nodeName": "n1"}}
    return {**body, "status": {"phase": "Running", "podIP": address}, **more}


WEB = pod("shop", "web-5d8-x", "10.244.0.2", {"app": "web", "helm.sh/chart": "web-1.2.0_0123456789ab", "pod-template-hash": "5d8"})
DB = pod("bank", "db-0", "10.244.0.3", {"app": "db"})


def test_pods_are_found_with_their_workloads(expectation: Expectation) -> None:
    mark = {"plimsoll.example.com/proof": "true"}
    found = populate(
        expectation,
        [
            WEB,
            DB,
            pod("shop", "web-6f7-y", "10.244.0.4", {"app": "other"}),
            pod("shop", "proof", "10.244.0.5", mark),
            pod("bank", "stranger", "10.244.0.6", mark),
            pod("bank", "made-by-others-z", "10.244.0.8", {"solver": "true"}),
            pod("bank", "proof-1234", "10.244.0.9", {}),
            pod("bank", "db-1", "", {"app": "db"}, status={"phase": "Pending"}),
            pod("bank", "db-2", "10.244.0.7", {"app": "db"}, status={"phase": "Succeeded"}),
            pod("bank", "agent", "172.18.0.2", {}, spec={"hostNetwork": True}),
        ],
        ["bank/stranger"],
    )
    known = {"shop/web-5d8-x": "web", "bank/db-0": "db", "bank/stranger": ANY, "bank/made-by-others-z": "solver"}
    assert {str(each): each.workload.name for each in found.pods} == known
    assert found.unknown == {"shop/web-6f7-y": "no workload of the build has its name and labels"}
    assert list(found.idle) == ["bank/db-1"]
    assert [str(each) for each in found.without(expectation.network.workloads)] == [f"Pod/shop/{ANY}"]


def planned(world: World, expectation: Expectation, *bodies: dict[str, Any], strangers: Sequence[str] = ()) -> Any:
    population = populate(expectation, bodies or (WEB, DB), strangers)
    return plan(world, expectation, population, (THERE, METADATA), {"n1": "172.18.0.2"}, random.Random(1))  # noqa: S311


def test_every_pair_is_tried_at_served_ports_and_at_one_that_nobody_knows(world: World, expectation: Expectation) -> None:
    found = planned(world, expectation)
    between = {(trial.whose, trial.probe.port): trial for trial in found.trials if "->" in trial.whose and trial.probe.address.startswith("10.244")}
    to_db = {port: trial.allowed for (whose, port), trial in between.items() if whose == "shop/web-5d8-x -> bank/db-0"}
    assert to_db.pop(5432) is True
    assert list(to_db.values()) == [False]
    to_web = {port: trial.allowed for (whose, port), trial in between.items() if whose == "bank/db-0 -> shop/web-5d8-x"}
    assert to_web[8080] is False
    assert {trial.flows[0].reason for trial in found.trials if trial.allowed and trial.flows} == {"orders are kept"}


def test_border_is_tried_both_ways(world: World, expectation: Expectation) -> None:
    found = planned(world, expectation)
    out = {(str(trial.probe.address), trial.probe.port, trial.allowed) for trial in found.trials if trial.probe.source == "uid-db-0"}
    assert {(address, port, False) for address in (THERE, METADATA, "172.18.0.2") for port in (53, 443)} <= out
    inward = {(trial.probe.source, trial.probe.address): trial.allowed for trial in found.trials if trial.probe.source == THERE}
    assert inward == {(THERE, "10.244.0.2"): True, (THERE, "10.244.0.3"): False}
    # The metadata service is nobody's client.
    assert METADATA not in {trial.probe.source for trial in found.trials}


def test_entries_that_nothing_is_about_are_named_with_the_reason(world: World, expectation: Expectation) -> None:
    untouched = {flow.reason: why for flow, why in planned(world, expectation).untouched()}
    assert untouched["nobody else asks"] == "nothing of from: strangers runs"
    strange = pod("shop", "s", "10.244.0.9", {"plimsoll.example.com/proof": "true"})
    untouched = {flow.reason: why for flow, why in planned(world, expectation, WEB, DB, strange, strangers=["shop/s"]).untouched()}
    assert "nobody else asks" not in untouched


def test_sample_holds_every_pair_of_namespaces(world: World, expectation: Expectation) -> None:
    many = [pod("shop", f"web-5d8-{n}", f"10.244.1.{n}", {"app": "web", "helm.sh/chart": "web-v1.2.0"}) for n in range(60)]
    many += [pod("bank", f"db-{n}", f"10.244.2.{n}", {"app": "db"}) for n in range(60)]
    found = planned(world, expectation, *many)
    assert found.whole == 2 * 60 * 60
    assert found.pairs == PAIRS
    spaces = {
        (trial.source.workload.namespace, trial.destination.workload.namespace)
        for trial in found.trials
        if trial.source.workload and trial.destination.workload
    }
    assert spaces == {("shop", "bank"), ("bank", "shop")}


def round_of(world: World, expectation: Expectation, seen: dict[int, Seen] | None = None, controls: Seen = Seen.OPEN) -> Round:
    """A round in which everything came out as expected, but for some ports."""
    made = planned(world, expectation)
    platform: Any = SimpleNamespace(world=world, cluster=None)
    found = Round(platform, made, (THERE, METADATA), {"n1": "172.18.0.2"})
    found.seen = {trial.probe: (seen or {}).get(trial.probe.port, Seen.OPEN if trial.allowed else Seen.SILENT) for trial in made.trials}
    # Every source reaches something.
    found.seen |= {Probe("n1", trial.probe.source, "10.244.0.99", 53): Seen.OPEN for trial in made.trials}
    found.controls = {control(trial.probe): controls for trial in made.trials}
    return found


def test_round_as_expected_has_no_findings(world: World, expectation: Expectation) -> None:
    found = round_of(world, expectation)
    assert found.judge() == ([], {})
    assert findings(found, allowed=True) == findings(found, allowed=False) == []
    assert refused(found)
    assert not any(trial.allowed for trial in refused(found))


def test_what_is_dropped_although_allowed_names_the_rule_that_allows_it(world: World, expectation: Expectation) -> None:
    found = findings(round_of(world, expectation, {5432: Seen.SILENT}), allowed=True)
    assert [each.rule for each in found] == ["LIV551"]
    assert found[0].found == "tried shop/web-5d8-x -> bank/db-0: 5432/TCP silent; from the node: open"
    assert "NetworkPolicy bank/let-web-in ingress[0] allows 5432/TCP" in found[0].expect
    assert "orders are kept" in found[0].expect
    assert found[0].location.path == "clusters/one/all.yaml"


def test_what_passes_although_refused_names_the_policy_that_isolates(world: World, expectation: Expectation) -> None:
    found = findings(round_of(world, expectation, {8080: Seen.REFUSED}), allowed=False)
    assert {each.rule for each in found} == {"LIV552"}
    assert any("bank/db-0 -> shop/web-5d8-x: 8080/TCP refused" in each.found and "bank/deny isolates" in each.expect for each in found)


def test_refusal_is_not_believed_without_its_positive_control(world: World, expectation: Expectation) -> None:
    wrong, doubts = round_of(world, expectation, controls=Seen.SILENT).judge()
    assert wrong == []
    assert set(doubts) == {"positive control: the destination does not answer its own node either"}
    found = round_of(world, expectation, {5432: Seen.SILENT})
    found.seen = {each: came for each, came in found.seen.items() if each.port != 53}
    assert "positive control: the source reaches nothing at all" in found.judge()[1]
    gone = round_of(world, expectation, {5432: Seen.ABSENT}).judge()[1]
    assert "a pod was gone when it was tried" in gone


def test_refusal_that_holds_without_policies_is_found(world: World, expectation: Expectation, monkeypatch: pytest.MonkeyPatch) -> None:
    found = round_of(world, expectation)
    trials = refused(found)
    shut, replaced = trials[0], trials[1]

    def answer(_cluster: object, probes: Sequence[Probe], **_more: object) -> dict[Probe, Seen]:
        came = dict.fromkeys(probes, Seen.OPEN)
        return came | {shut.probe: Seen.SILENT, replaced.probe: Seen.SILENT, control(replaced.probe): Seen.SILENT}

    monkeypatch.setattr(connections, "probe", answer)
    there = {end for trial in found.plan.trials for end in (trial.probe.source, trial.probe.address)}
    monkeypatch.setattr(connections, "alive", lambda _platform: there)
    # A pod that is gone says nothing about policies.
    assert [trial for trial in still_refused(found, trials, seconds=0) if trial.probe.address != replaced.probe.address] == [
        trial for trial in [shut] if trial.probe.address != replaced.probe.address
    ]


def test_two_namespaces_are_tried_anew(world: World, expectation: Expectation, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Probe] = []

    def answer(_cluster: object, probes: Sequence[Probe], **_more: object) -> dict[Probe, Seen]:
        asked.extend(probes)
        return dict.fromkeys(probes, Seen.OPEN)

    node = {"metadata": {"name": "n1"}, "status": {"addresses": [{"type": "InternalIP", "address": "172.18.0.2"}]}}
    kubectl = SimpleNamespace(list=lambda kind, **_more: [node] if kind == "nodes" else [WEB, DB])
    monkeypatch.setattr(connections, "probe", answer)
    monkeypatch.setattr(connections, "_checked", lambda _platform: expectation)
    platform: Any = SimpleNamespace(world=world, cluster=SimpleNamespace(kubectl=kubectl), facts=None, random=lambda: random.Random(1))  # noqa: S311
    found = between(platform, "shop", "bank")
    assert {trial.whose for trial in found.plan.trials} == {"shop/web-5d8-x -> bank/db-0"}
    assert set(asked) == {each for trial in found.plan.trials for each in (trial.probe, control(trial.probe))}
    assert found.judge()[0] == [trial for trial in found.plan.trials if not trial.allowed]


def test_opening_and_stranger_are_what_admission_lets_in() -> None:
    policy = opening("bank", [{"ipBlock": {"cidr": f"{THERE}/32"}}])
    assert policy["spec"]["ingress"] == [{"from": [{"ipBlock": {"cidr": "192.0.2.2/32"}}]}]
    account, made = stranger("shop", "web:1")
    assert account["automountServiceAccountToken"] is made["spec"]["automountServiceAccountToken"] is False
    assert made["spec"]["containers"][0]["image"] == "web:1"


def test_foreign_cluster_is_not_entered() -> None:
    platform: Any = SimpleNamespace(world=SimpleNamespace(cluster=SimpleNamespace(name="prod")), cluster=SimpleNamespace(foreign=True))
    with pytest.raises(NotEvaluatedError, match="cannot be entered"):
        connections.look(platform)


class Answers:
    """kubectl for webhooks."""

    def list(self, *kinds: str, **_more: object) -> list[dict[str, Any]]:
        if kinds[0].startswith("validating"):
            service = {"namespace": "shop", "name": "hook", "port": 443}
            return [
                {
                    "kind": "V",
                    "metadata": {"name": "v"},
                    "webhooks": [{"name": "a", "clientConfig": {"service": service}}, {"name": "b", "clientConfig": {"url": "x"}}],
                }
            ]
        if kinds[0] == "nodes":
            return [{"metadata": {"name": "n1"}, "status": {"addresses": [{"type": "InternalIP", "address": "172.18.0.2"}]}}]
        metadata = {"namespace": "shop", "name": "hook-1", "labels": {"kubernetes.io/service-name": "hook"}}
        ends = [{"addresses": ["10.244.0.2"], "conditions": {"ready": True}}, {"addresses": ["10.244.0.3"], "conditions": {"ready": False}}]
        return [{"metadata": metadata, "ports": [{"name": "https", "port": 9443}], "endpoints": ends}]

    def get(self, *_words: str) -> dict[str, Any]:
        return {"spec": {"ports": [{"name": "https", "port": 443}]}}


def test_webhooks_lead_to_the_pods_behind_them() -> None:
    platform: Any = SimpleNamespace(cluster=SimpleNamespace(kubectl=Answers()))
    assert webhooks(platform) == {"V/v: a": [Probe("n1", "node", "10.244.0.2", 9443)]}


ALL = [Probe("n1", "uid-1", "10.0.0.1", 80), Probe("n1", NODE, "10.0.0.1", 80), Probe("n1", THERE, "10.0.0.1", 53, "UDP"), Probe("n1", "uid-1", "10.0.0.2", 81)]


def test_probes_are_grouped_by_where_they_start() -> None:
    said = table(ALL)
    assert said.splitlines() == [
        "SOURCE uid-1",
        "0 TCP 10.0.0.1 80",
        "3 TCP 10.0.0.2 81",
        "SOURCE node",
        "1 TCP 10.0.0.1 80",
        "SOURCE /var/run/netns/plimsoll-outside",
        "2 UDP 10.0.0.1 53 192.0.2.2",
    ]


def test_probe_of_which_nothing_is_said_is_broken() -> None:
    found = results("0 open\n1 refused\nnoise\n9 open\n2 sideways\n", ALL)
    assert list(found.values()) == [Seen.OPEN, Seen.REFUSED, Seen.BROKEN, Seen.BROKEN]
    assert [each.arrived for each in Seen] == [True, True, False, False, False, False]


class Docker:
    """A node that answers every probe with one word, and keeps what it was told."""

    def __init__(self, *, fails: str = "") -> None:
        self.fails, self.commands = fails, [("",)]

    def docker(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> str:
        self.commands.append(arguments)
        if self.fails and self.fails in arguments[-1]:
            raise RunError(arguments, "failed")
        return "".join(f"{line.split()[0]} open\n" for line in (stdin or "").splitlines() if not line.startswith("SOURCE"))


def test_each_node_is_asked_once() -> None:
    node: Any = Docker()
    several = [*ALL, Probe("n2", NODE, "10.0.0.1", 80)]
    assert set(probe(node, several).values()) == {Seen.OPEN}
    assert [command[2] for command in node.commands[1:]] == ["n1", "n2"]


def test_host_outside_is_gone_whatever_happens() -> None:
    node: Any = Docker()
    with outside(node, "n1", ["10.77.77.77"]) as made:
        assert made.addresses == (THERE, "10.77.77.77")
        assert "ip route replace 10.77.77.77/32 via 192.0.2.2" in node.commands[-1][-1]
    assert "netns del" in node.commands[-1][-1]
    broken: Any = Docker(fails="netns add")
    with pytest.raises(RunError), outside(broken, "n1", []):
        pass
    assert "netns del" in broken.commands[-1][-1]


@pytest.mark.enable_socket
@pytest.mark.skipif(shutil.which("perl") is None, reason="perl is not there; nodes of kind have it")
def test_program_on_the_node_tells_open_from_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        ports = listening.getsockname()[1], free.getsockname()[1]
        asked = [Probe("n1", NODE, "127.0.0.1", port, protocol) for port in ports for protocol in ("TCP", "UDP")]
        asked.append(Probe("n1", "11111111-2222-3333-4444-555555555555", "127.0.0.1", ports[0]))
        command = ["perl", "-e", netprobe._OUTER, netprobe._INNER, "1"]
        done = subprocess.run(command, input=table(asked), capture_output=True, text=True, timeout=30, check=True)
    assert list(results(done.stdout, asked).values()) == [Seen.OPEN, Seen.REFUSED, Seen.REFUSED, Seen.REFUSED, Seen.ABSENT]


def test_words_of_a_trial_name_both_ends(world: World, expectation: Expectation) -> None:
    trial: Trial = planned(world, expectation).trials[0]
    assert trial.words.startswith(trial.whose)
