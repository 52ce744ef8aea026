"""Faults that must make alerts active, and the listener that alerts come to."""

from __future__ import annotations

import json
import urllib.request
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from harness.live.findings import LiveError, NotEvaluatedError
from harness.live.reach.listener import Listener, listening
from harness.live.red import red
from harness.live.telemetry.alarms import HOOKS, Flow, Provocation, Wanted, cut_off, loaded, notified, provoke, receiving, tables_unlike
from unit.live.fakes import Time

if TYPE_CHECKING:
    from collections.abc import Iterator


def alert(name: str, state: str = "pending", **labels: str) -> dict[str, Any]:
    return {"labels": {"alertname": name, **labels}, "state": state}


def test_wanted_is_found_by_its_labels() -> None:
    active = [alert("A", namespace="x"), alert("B")]
    assert Wanted("A", {"namespace": "x|y"}).among(active) == "A pending (namespace=x)"
    assert Wanted("A", {"namespace": "y"}).among(active) == ""
    assert Wanted("A", {"pod": ".+"}).among(active) == ""
    assert Wanted("C").among(active) == ""


def test_a_fault_is_seen_when_all_of_its_alerts_were() -> None:
    active: list[dict[str, Any]] = []
    provocation = Provocation([Wanted("A"), Wanted("B")], lambda: active)
    assert provocation.probe() == ""
    with provocation.breaking(nullcontext()):
        active[:] = [alert("A")]
        assert provocation.probe() == ""
        assert provocation.missing == ["B"]
        # The first may have gone again.
        active[:] = [alert("B", "firing")]
        assert provocation.probe() == "A pending; B firing"
    assert provocation.probe() == "B firing"


class Broken:
    """A cluster whose alerts follow a fault."""

    def __init__(self, *names: str) -> None:
        self.names, self.on = names, False
        self.reds: list[Any] = []
        self.open: list[str] = []
        self.world = SimpleNamespace(cluster=SimpleNamespace(name="kind"))

    def active(self) -> list[dict[str, Any]]:
        return [alert(name) for name in self.names] if self.on else []

    @contextmanager
    def fault(self) -> Iterator[None]:
        self.on = True
        try:
            yield
        finally:
            self.on = False

    def red(self, *arguments: Any, **more: Any) -> None:
        self.reds.append(red(*arguments, **more, clock=Time().clock))

    def left_open(self, subject: str, _what: str, _why: str) -> None:
        self.open.append(subject)


def test_provoked_alerts_are_a_red_proof() -> None:
    cluster = Broken("A", "B")
    provoke(cluster, "it is broken", cluster.fault(), Provocation([Wanted("A"), Wanted("B")], cluster.active))  # type: ignore[arg-type]
    assert str(cluster.reds[0]) == "alerts A, B: it is broken: A pending; B pending (after 0 s; mended after 0 s)"


def test_alert_that_does_not_come_is_named() -> None:
    cluster = Broken("A")
    with pytest.raises(LiveError, match=r"LIV712 kind/alerts: B: not active 150 s after: it is broken \(active: A pending\)"):
        provoke(cluster, "it is broken", cluster.fault(), Provocation([Wanted("A"), Wanted("B")], cluster.active))  # type: ignore[arg-type]


def test_alert_that_is_active_before_is_no_proof() -> None:
    cluster = Broken("A")
    cluster.on = True
    with pytest.raises(LiveError, match="LIV105"):
        provoke(cluster, "it is broken", cluster.fault(), Provocation([Wanted("A")], cluster.active), mended=1)  # type: ignore[arg-type]


def test_alert_that_goes_late_is_not_waited_for() -> None:
    cluster = Broken("A")
    provoke(cluster, "it is broken", cluster.fault(), Provocation([Wanted("A")], cluster.active), comes_back=False)  # type: ignore[arg-type]
    assert not cluster.on
    with pytest.raises(LiveError, match="LIV712"):
        provoke(cluster, "x", nullcontext(), Provocation([Wanted("A")], cluster.active), within=0.01, comes_back=False)  # type: ignore[arg-type]


def test_alert_that_is_active_from_before_is_left_open() -> None:
    cluster = Broken("A", "B")
    provocation = Provocation([Wanted("A"), Wanted("B")], lambda: [alert("A"), *cluster.active()])
    provoke(cluster, "it is broken", cluster.fault(), provocation, comes_back=False)  # type: ignore[arg-type]
    assert cluster.open == ["A"]
    assert provocation.seen == {"B": "B pending"}


def test_fault_of_alerts_is_the_red_proof_of_a_flow() -> None:
    cluster = Broken("A")
    flow = Flow("a -> b", lambda: "nothing came" if cluster.on else "")
    provocation = Provocation([Wanted("A")], cluster.active)
    provoke(cluster, "it is broken", cluster.fault(), provocation, comes_back=False, flow=flow)  # type: ignore[arg-type]
    assert provocation.seen == {"A": "A pending"}
    assert str(cluster.reds[0]) == "a -> b: it is broken: nothing came (after 0 s; mended after 0 s)"


def test_flow_that_holds_and_alert_that_does_not_come_are_told_apart() -> None:
    cluster = Broken("A")
    with pytest.raises(LiveError, match="LIV104 a -> b"):
        provoke(cluster, "x", cluster.fault(), Provocation([Wanted("A")], cluster.active), within=1, flow=Flow("a -> b", str), comes_back=False)  # type: ignore[arg-type]
    flow = Flow("a -> b", lambda: "nothing came" if cluster.on else "")
    with pytest.raises(LiveError, match="LIV712 kind/alerts: B"):
        provoke(cluster, "x", cluster.fault(), Provocation([Wanted("B")], cluster.active), within=0.01, flow=flow, comes_back=False)  # type: ignore[arg-type]


def test_table_has_each_alert_once() -> None:
    assert tables_unlike(["A", "B"], ["A"], ["B"]) == []
    assert tables_unlike(["A", "B"], ["A"], ["A", "C"]) == [
        "B has neither a fault nor a reason",
        "C is no alert any more",
        "A is in the table twice",
    ]


@pytest.mark.enable_socket
def test_listener_keeps_what_comes() -> None:
    with listening("127.0.0.1") as listener:
        assert listener.address == "127.0.0.1"
        body = json.dumps({"receiver": "watchdog", "alerts": [{"labels": {"alertname": "Watchdog"}}]}).encode()
        for data in (body, b"no json"):
            request = urllib.request.Request(f"{listener.url}/hook", data=data, method="POST")  # noqa: S310 - its own listener
            with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
                assert answer.status == 200
        with urllib.request.urlopen(f"{listener.url}/", timeout=5) as answer:  # noqa: S310
            assert answer.status == 204
    assert [path for path, _body in listener.got] == ["/hook", "/hook"]
    assert notified(listener) == [("Watchdog", "watchdog")]


def test_notification_of_another_shape_is_left_out() -> None:
    listener = Listener("127.0.0.1", 1)
    listener.take("/", b"[1]")
    listener.take("/", b'{"receiver": "a", "alerts": "none"}')
    assert notified(listener) == []


class Cluster:
    """A kubectl and a docker that keep what they are asked."""

    def __init__(self, *, foreign: bool = False) -> None:
        self.foreign, self.kubectl, self.wanted = foreign, self, SimpleNamespace(name="plimsoll")
        self.said: list[Any] = []

    def json(self, *_arguments: str) -> dict[str, Any]:
        return {"spec": {"nodeName": "node"}, "data": {"url": "b2xk", "watchdog-url": "b2xk"}}

    def docker(self, *arguments: str) -> str:
        self.said.append(arguments[:2])
        return ""

    def list(self, *_kinds: str, **_more: str) -> list[dict[str, Any]]:
        return [{"data": {"monitoring-mine-123.yaml": ""}}]

    def apply(self, objects: list[dict[str, Any]]) -> None:
        self.said += [f"apply {each['kind']}" for each in objects]

    def delete(self, kind: str, name: str, _namespace: str, *, timeout: float) -> None:
        assert timeout > 0
        self.said.append(f"delete {kind} {name}")

    def __call__(self, *arguments: str) -> str:
        self.said.append(" ".join(arguments[:3]) + "".join(part for part in arguments if part.startswith("--patch=")))
        return ""


def test_what_is_established_is_cut_while_something_is_gone() -> None:
    cluster = Cluster()
    with cut_off(cluster, nullcontext()):  # type: ignore[arg-type]
        assert set(cluster.said) == {("exec", "node")}
    with pytest.raises(NotEvaluatedError, match="cannot be entered"), cut_off(Cluster(foreign=True), nullcontext()):  # type: ignore[arg-type]
        pass


def test_rule_is_loaded_once_it_is_written_down() -> None:
    cluster = Cluster()
    rule = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "mine", "namespace": "monitoring"}}
    with loaded(cluster, rule):  # type: ignore[arg-type]
        assert cluster.said == ["apply PrometheusRule", "annotate pods prometheus-kube-prometheus-stack-prometheus-0"]
    assert cluster.said[-1] == "delete PrometheusRule.v1.monitoring.coreos.com mine"


def test_receivers_are_led_to_the_listener_and_back() -> None:
    cluster = Cluster()
    with receiving(cluster, Listener("192.0.2.9", 80)):  # type: ignore[arg-type]
        pass
    patches = [text for text in cluster.said if str(text).startswith(f"patch secrets {HOOKS}")]
    assert len(patches) == 2
    assert "aHR0cDovLzE5Mi4wLjIuOTo4MC91cmw=" in patches[0]
    assert '"url": "b2xk"' in patches[1]
    assert cluster.said[0] == "apply NetworkPolicy"
    assert cluster.said[-1].startswith("delete NetworkPolicy")
