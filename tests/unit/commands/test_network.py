# ruff: noqa: E501 - manifests in short form
"""`network list|eval|explain|exposure|diff` on plain manifests: what is printed, and the exit codes (0 allowed, 1 denied or different, 2 could not tell)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Fleet, Said

SHOP = """\
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: shop}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: shop/web, ports: [{name: http, containerPort: 8080}]}]}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec: {template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c, image: shop/db, ports: [{name: pg, containerPort: 5432}]}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: visitor, namespace: other, labels: {app: web}}
spec: {containers: [{name: c, image: visitor}]}
status: {podIP: 10.1.2.3}
---
apiVersion: v1
kind: Pod
metadata: {name: agent, namespace: other, labels: {app: agent}}
spec: {hostNetwork: true, containers: [{name: c, image: agent}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: 10.96.0.7, selector: {app: db}, ports: [{name: postgres, port: 5433, targetPort: pg}]}
---
apiVersion: v1
kind: Service
metadata: {name: gone, namespace: shop}
spec: {type: ExternalName, externalName: db.example.com}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec: {rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: db, port: {number: 5433}}}}]}}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: pg}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{ipBlock: {cidr: 198.51.100.0/24}}, {podSelector: {matchLabels: {app: job}}}], ports: [{port: 8080}]}]}
"""
ODD = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: odd, namespace: shop}
spec: {podSelector: {}, ingress: [{from: [{}]}]}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: other, namespace: shop}
spec: {}
---
apiVersion: v1
kind: Pod
metadata: {name: done, namespace: shop}
status: {phase: Succeeded}
"""
DB_BY_WEB = "Deployment/shop/web -> StatefulSet/shop/db 5432/TCP"


@pytest.fixture
def shop(tmp_path: Path, command: Callable[..., Said]) -> Callable[..., Said]:
    """The commands on the shop."""
    (tmp_path / "shop.yaml").write_text(SHOP, encoding="utf-8")

    def run(*arguments: str) -> Said:
        return command("network", *arguments, "--manifests", str(tmp_path / "shop.yaml"))

    return run


def lines(said: Said) -> list[str]:
    return [re.sub(r" +", " ", line.strip()) for line in said.out.splitlines()]


class TestList:
    def test_text_has_pairs_the_outside_and_the_ways_in(self, shop: Callable[..., Said]) -> None:
        said = shop("list")
        assert (said.code, said.err) == (0, "")
        assert lines(said) == [
            "5 connections between 4 workloads",
            "Pod/other/agent -> Pod/other/visitor all",
            "Pod/other/visitor -> Pod/other/agent all",
            "Deployment/shop/web -> Pod/other/agent all",
            "Deployment/shop/web -> Pod/other/visitor all",
            DB_BY_WEB,
            "to and from addresses outside",
            "Pod/other/agent -> any address all",
            "Pod/other/agent <- any address all",
            "Pod/other/visitor -> any address all",
            "Pod/other/visitor <- any address all",
            "Deployment/shop/web -> any address all",
            "Deployment/shop/web <- 198.51.100.0/24 8080/TCP",
            "ways in",
            "LoadBalancer shop/web through anyone -> Deployment/shop/web 8080/TCP",
            "Ingress shop/web through Pod/(elsewhere)/ingress-controller -> StatefulSet/shop/db 5432/TCP BLOCKED (none is let through)",
            "on the host's network, so not held by any policy: Pod/other/agent",
        ]

    def test_a_namespace_narrows_it(self, shop: Callable[..., Said]) -> None:
        said = shop("list", "--namespace", "shop")
        assert lines(said)[:4] == [
            "3 connections between 2 workloads",
            "Deployment/shop/web -> Pod/other/agent all",
            "Deployment/shop/web -> Pod/other/visitor all",
            DB_BY_WEB,
        ]
        assert shop("list", "--namespace", "shpo").err == "error: there is no namespace shpo: there are other, shop\n"

    def test_a_workload_narrows_it(self, shop: Callable[..., Said]) -> None:
        said = shop("list", "--workload", "shop/db")
        assert lines(said) == [
            "1 connections between 1 workloads",
            DB_BY_WEB,
            "to and from addresses outside",
            "ways in",
            "Ingress shop/web through Pod/(elsewhere)/ingress-controller -> StatefulSet/shop/db 5432/TCP BLOCKED (none is let through)",
        ]

    def test_json_holds_the_same(self, shop: Callable[..., Said]) -> None:
        document = json.loads(shop("list", "--format", "json").out)
        assert document["connections"][-1] == {"from": "Deployment/shop/web", "to": "StatefulSet/shop/db", "ports": "5432/TCP"}
        assert document["outside"][-1] == {
            "workload": "Deployment/shop/web",
            "direction": "ingress",
            "addresses": ["198.51.100.0/24"],
            "shown": "198.51.100.0/24",
            "ports": "8080/TCP",
        }
        assert {each["workload"]: each["isolated"] for each in document["workloads"]}["StatefulSet/shop/db"] == ["egress", "ingress"]
        assert [(each["entrance"], each["allowed"]) for each in document["entrances"]] == [("LoadBalancer shop/web", "8080/TCP"), ("Ingress shop/web", "none")]

    def test_pictures_have_every_node_and_edge(self, shop: Callable[..., Said]) -> None:
        document = json.loads(shop("list", "--format", "json").out)
        edges = len(document["connections"]) + len(document["outside"]) + sum(each["allowed"] != "none" for each in document["entrances"])
        dot = shop("list", "--format", "dot").out
        assert (dot.startswith("digraph network {"), dot.count(" -> "), dot.count("subgraph")) == (True, edges, 2)
        assert '"Deployment/shop/web" -> "StatefulSet/shop/db" [label="5432/TCP"];' in dot
        tree = ET.fromstring(shop("list", "--format", "svg").out)  # noqa: S314 - our own drawing
        space = {"s": "http://www.w3.org/2000/svg"}
        assert len(tree.findall("s:path", space)) == edges
        assert DB_BY_WEB in [title.text for title in tree.findall("s:path/s:title", space)]
        assert {"other", "shop"} <= {text.text for text in tree.findall("s:text", space)}

    def test_what_is_left_out_is_said(self, tmp_path: Path, command: Callable[..., Said]) -> None:
        (tmp_path / "odd.yaml").write_text(ODD, encoding="utf-8")
        said = command("network", "list", "--manifests", str(tmp_path))
        assert said.code == 0
        assert said.err.splitlines() == [
            "refused by the API server, so left out: NetworkPolicy shop/odd at odd.yaml:4: spec.ingress[0].from[0]: must specify a peer",
            "not evaluated: manifests/CiliumNetworkPolicy/shop/other: only NetworkPolicy of networking.k8s.io/v1 is: Cilium decides about traffic too, so the answer may differ",
            "left out: Pod/shop/done has completed and has no traffic",
            "no NetworkPolicy counts here: everything can talk to everything",
        ]
        document = json.loads(command("network", "list", "--manifests", str(tmp_path), "--format", "json").out)
        assert (document["refused"][0]["field"], document["notEvaluated"][0]["what"], document["completed"]) == (
            "spec.ingress[0].from[0]",
            "CiliumNetworkPolicy",
            ["Pod/shop/done"],
        )


EVAL: list[tuple[tuple[str, ...], int, str]] = [
    (("shop/web", "shop/db", "5432"), 0, f"allowed: {DB_BY_WEB}"),
    (("Deployment/shop/web", "StatefulSet/shop/db", "pg"), 0, f"allowed: {DB_BY_WEB}"),
    (("shop/web", "shop/db", "5432/udp"), 1, "denied: Deployment/shop/web -> StatefulSet/shop/db 5432/UDP"),
    (("shop/web", "shop/db", "5432-5433"), 1, "denied: Deployment/shop/web -> StatefulSet/shop/db 5432-5433/TCP (only 5432/TCP)"),
    (("shop/web", "Service/shop/db", "5433"), 0, f"allowed: {DB_BY_WEB}"),
    (("shop/web", "svc/shop/db", "postgres"), 0, f"allowed: {DB_BY_WEB}"),
    (("shop/web", "10.96.0.7", "5433"), 0, f"allowed: {DB_BY_WEB}"),
    (("other/visitor", "shop/db", "5432"), 1, "denied: Pod/other/visitor -> StatefulSet/shop/db 5432/TCP"),
    (("10.1.2.3", "shop/db", "5432"), 1, "denied: Pod/other/visitor -> StatefulSet/shop/db 5432/TCP"),
    (("198.51.100.7", "shop/web", "http"), 0, "allowed: 198.51.100.7 -> Deployment/shop/web 8080/TCP"),
    (("198.51.101.7", "shop/web", "8080"), 1, "denied: 198.51.101.7 -> Deployment/shop/web 8080/TCP"),
    (("198.51.100.0/23", "shop/web", "8080"), 1, "denied: 198.51.100.0/23 -> Deployment/shop/web 8080/TCP"),
    (("shop/web", "203.0.113.9", "443"), 0, "allowed: Deployment/shop/web -> 203.0.113.9 443/TCP"),
    (("shop/db", "203.0.113.9", "443"), 1, "denied: StatefulSet/shop/db -> 203.0.113.9 443/TCP"),
    (("other/agent", "shop/web", "8080"), 1, "denied: Pod/other/agent -> Deployment/shop/web 8080/TCP"),
    (("other/visitor", "other/visitor", "all"), 0, "allowed: Pod/other/visitor -> Pod/other/visitor all"),
    (("shop/db", "shop/db", "5432"), 1, "denied: StatefulSet/shop/db -> StatefulSet/shop/db 5432/TCP"),
]


class TestEval:
    @pytest.mark.parametrize(("words", "code", "first"), [pytest.param(*each, id=" ".join(each[0])) for each in EVAL])
    def test_verdict(self, shop: Callable[..., Said], words: tuple[str, ...], code: int, first: str) -> None:
        said = shop("eval", *words)
        assert (said.code, lines(said)[0], said.err) == (code, first, "")

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("shop/wbe", "shop/db", "1"), "there is no workload shop/wbe: did you mean shop/web?"),
            (("a/b/c/d", "shop/db", "1"), "a/b/c/d: write Kind/namespace/name, namespace/name, Service/namespace/name or an IP address"),
            (("shop/web", "Service/shop/dbs", "1"), "there is no Service shop/dbs: did you mean shop/db?"),
            (("shop/web", "Service/shop/gone", "1"), "Service shop/gone is another name for db.example.com, whose address only DNS knows"),
            (("shop/web", "Service/shop/db", "80"), "Service shop/db leads nowhere, so nothing answers there"),
            (("Service/shop/web", "shop/db", "1"), "Service/shop/web is a Service, and a Service connects to nobody"),
            (("shop/web", "shop/db", "99999"), "99999: ports are from 1 to 65535, the smaller one first"),
            (("shop/web", "shop/db", "http"), "StatefulSet/shop/db has no port named http; its names are: pg"),
            (("shop/web", "192.0.2.1", "http"), "http: only a pod or a Service can say what a port's name means"),
            (("192.0.2.1", "192.0.2.2", "1"), "both ends are outside of the cluster: no NetworkPolicy decides about that"),
        ],
    )
    def test_what_cannot_be_told(self, shop: Callable[..., Said], words: tuple[str, ...], message: str) -> None:
        said = shop("eval", *words)
        assert (said.code, said.out) == (2, "")
        assert said.err.splitlines()[-1] == f"error: {message}"

    def test_a_denial_names_what_isolates_and_what_was_nearest(self, shop: Callable[..., Said]) -> None:
        assert lines(shop("eval", "other/visitor", "shop/db", "5432"))[1:] == [
            "egress open: no policy isolates it for egress",
            "ingress isolated by shop/db (shop.yaml:46)",
            "ingress NetworkPolicy shop/db ingress[0] misses: from[0] is for pods of namespace shop only (shop.yaml:49)",
        ]

    def test_addresses_of_nodes_and_pods_may_be_said(self, shop: Callable[..., Said]) -> None:
        words = ("eval", "other/agent", "shop/web", "8080")
        assert "ingress unless the address of its node is in 198.51.100.0/24: addresses are not known, --node-cidr says them" in lines(shop(*words))
        assert shop(*words, "--node-cidr", "198.51.100.16/28").code == 0
        assert shop(*words, "--node-cidr", "192.0.2.0/24").code == 1
        assert (
            shop("eval", "10.9.9.9", "shop/web", "8080", "--pod-cidr", "10.0.0.0/8").err
            == "error: 10.9.9.9 is an address of pods, and no object says of which one\n"
        )
        assert shop(*words, "--node-cidr", "node").err == "error: 'node' is no address, block or range\n"

    def test_json(self, shop: Callable[..., Said]) -> None:
        document = json.loads(shop("eval", "shop/web", "shop/db", "5432", "--format", "json").out)
        (decision,) = document["decisions"]
        assert (document["allowed"], decision["ingress"]["allowedBy"]) == (True, [{"policy": "shop/db", "rule": 0, "ports": "5432/TCP", "at": "shop.yaml:49"}])


class TestExplain:
    def test_what_allows(self, shop: Callable[..., Said]) -> None:
        said = shop("explain", "shop/web", "shop/db")
        assert said.code == 0
        assert lines(said) == [
            "Deployment/shop/web -> StatefulSet/shop/db all: 5432/TCP is allowed",
            "leaving Deployment/shop/web: open, no policy isolates it for egress",
            "entering StatefulSet/shop/db: 5432/TCP of it is allowed",
            "isolated by NetworkPolicy shop/db (shop.yaml:46)",
            "allows 5432/TCP: shop/db ingress[0] from pods with app=web of its own namespace on pg/TCP (shop.yaml:49)",
        ]

    def test_what_was_missed(self, shop: Callable[..., Said]) -> None:
        said = shop("explain", "shop/db", "shop/web", "8080")
        assert said.code == 1
        assert lines(said)[1:] == [
            "leaving StatefulSet/shop/db: none of it is allowed",
            "isolated by NetworkPolicy shop/db (shop.yaml:46)",
            "no rule at all in this direction",
            "entering Deployment/shop/web: none of it is allowed",
            "isolated by NetworkPolicy shop/web (shop.yaml:51)",
            "misses: shop/web ingress[0] from[1] wants a pod with app=job, this one has app=db (shop.yaml:54)",
            "unless the address of the pod is in 198.51.100.0/24: addresses are not known, --pod-cidr says them",
        ]


class TestExposure:
    def test_a_pod_that_does_not_exist(self, shop: Callable[..., Said]) -> None:
        document = json.loads(shop("exposure", "shop", "--label", "app=job", "--format", "json").out)
        assert {each["to"]: each["ports"] for each in document["reaches"]} == {
            "Pod/other/agent": "all",
            "Pod/other/visitor": "all",
            "Deployment/shop/web": "8080/TCP",
        }
        assert (document["isolated"], document["selectedBy"]) == ([], [])

    def test_one_that_policies_select(self, shop: Callable[..., Said]) -> None:
        said = shop("exposure", "shop", "--label", "app=db", "--port", "pg=15432")
        assert lines(said) == [
            "a pod in shop with app=db",
            "selected by NetworkPolicy shop/db for egress and ingress (shop.yaml:46)",
            "<- Deployment/shop/web 15432/TCP",
            "<- Ingress shop/web through Pod/(elsewhere)/ingress-controller 15432/TCP BLOCKED",
        ]

    def test_a_namespace_that_does_not_exist(self, shop: Callable[..., Said]) -> None:
        assert "-> StatefulSet/shop/db 5432/TCP" not in lines(shop("exposure", "new", "--label", "app=web", "--namespace-label", "team=shop"))
        assert shop("exposure", "shop", "--namespace-label", "a=b").err == "error: there is a Namespace shop: its own labels decide\n"

    def test_the_doors_that_rules_leave_open(self, shop: Callable[..., Said]) -> None:
        assert lines(shop("exposure"))[3:6] == [
            "Deployment/shop/web",
            "from pods with app=job of its own namespace on 8080/TCP: nobody today, by shop/web (shop.yaml:54)",
            "to any pod of any namespace, and any address on all: 3 workloads today, no policy isolates it",
        ]

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("--label", "app"), "app: write a label as key=value"),
            (("--port", "80-81"), "--port 80-81: a container declares one port at a time"),
            (("--port", "http="), "--port http=: '' is no port: write 8080, 53/udp, 30000-32767 or all"),
        ],
    )
    def test_what_was_asked_wrongly(self, shop: Callable[..., Said], words: tuple[str, ...], message: str) -> None:
        said = shop("exposure", "shop", *words)
        assert (said.code, said.err) == (2, f"error: {message}\n")


class TestDiff:
    def _folders(self, tmp_path: Path, old: str, new: str) -> tuple[str, str]:
        for name, text in (("old", old), ("new", new)):
            (tmp_path / name).mkdir()
            (tmp_path / name / "all.yaml").write_text(text, encoding="utf-8")
        return str(tmp_path / "old"), str(tmp_path / "new")

    def test_no_difference(self, tmp_path: Path, command: Callable[..., Said]) -> None:
        said = command("network", "diff", *self._folders(tmp_path, SHOP, SHOP))
        assert (said.code, lines(said)) == (0, ["0 gained", "0 lost"])

    def test_gained_and_lost(self, tmp_path: Path, command: Callable[..., Said]) -> None:
        new = SHOP.replace("port: pg}", "port: 5432, endPort: 5433}").replace("198.51.100.0/24", "198.51.100.0/25").replace("name: visitor", "name: guest")
        said = command("network", "diff", *self._folders(tmp_path, SHOP, new))
        assert said.code == 1
        assert "+ Deployment/shop/web -> StatefulSet/shop/db 5433/TCP" in lines(said)
        assert "- 198.51.100.128/25 -> Deployment/shop/web 8080/TCP" in lines(said)
        assert "+ Deployment/shop/web -> Pod/other/guest all (new: Pod/other/guest)" in lines(said)
        assert "- Deployment/shop/web -> Pod/other/visitor all (gone: Pod/other/visitor)" in lines(said)

    def test_json(self, tmp_path: Path, command: Callable[..., Said]) -> None:
        folders = self._folders(tmp_path, SHOP, SHOP.replace("port: pg}", "port: 5432, endPort: 5433}"))
        document: dict[str, Any] = json.loads(command("network", "diff", *folders, "--format", "json").out)
        assert document["changes"] == [{"from": "Deployment/shop/web", "to": "StatefulSet/shop/db", "gained": "5433/TCP", "lost": "none"}]

    def test_what_is_neither_a_folder_nor_a_cluster(self, fleet: Fleet) -> None:
        said = fleet("network", "diff", "one", "two")
        assert (said.code, said.err) == (2, "error: two is neither a file or folder nor a cluster: there are one\n")

    def test_clusters_are_compared_by_name(self, fleet: Fleet) -> None:
        said = fleet("network", "diff", "one", "one")
        assert (said.code, lines(said)) == (0, ["0 gained", "0 lost"])


def test_a_cluster_of_the_repository_is_looked_at(fleet: Fleet) -> None:
    fleet.write({"apps/configmap.yaml": SHOP.replace("  name: web\n", "  name: web\n").replace("namespace: other", "namespace: web")})
    said = fleet("network", "eval", "shop/web", "shop/db", "5432")
    assert (said.code, lines(said)[0]) == (0, f"allowed: {DB_BY_WEB}")
    assert "apps/configmap.yaml:49" in said.out
