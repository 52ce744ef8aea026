"""Alerts on a running cluster: which are active, faults that must make some of them active, and where Alertmanager sends them."""

from __future__ import annotations

import base64
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from harness.live import faults
from harness.live.findings import LiveError, NotEvaluatedError
from harness.live.reach.wait import Waiter, WaitError, wait
from harness.live.rules.ground import SEEN_RED
from harness.live.rules.metrics import PROVOKED
from harness.live.telemetry.metrics import NAMESPACE
from harness.model.shapes import items, mapping, text
from harness.rules.obs_alerts import alerting, alerts, routes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from harness.flux.world import World
    from harness.live.bringup import Platform
    from harness.live.ground.cluster import Cluster
    from harness.live.reach.kubectl import Kubectl
    from harness.live.reach.listener import Listener

#: The alert that fires all the time.
ALWAYS: Final = "Watchdog"
#: The Secret that Alertmanager reads the addresses of its receivers from, each time it sends.
HOOKS: Final = "alertmanager-webhook"
_ALERTMANAGER: Final = "alertmanager-kube-prometheus-stack-alertmanager-0"
_PROMETHEUS: Final = "prometheus-kube-prometheus-stack-prometheus-0"
#: Closes what Prometheus has open, all but its watches of the API server.
_CUT: Final = """
for folder in /proc/[0-9]*; do
  IFS= read -r -d '' program 2>/dev/null < "$folder/cmdline"
  if [ "$program" = /bin/prometheus ]; then
    nsenter --target "${folder#/proc/}" --net ss --kill --tcp state established '( dport != :6443 )' > /dev/null
  fi
done
"""
_CUTS: Final = 4
#: The annotation with which a pod is changed, so that its kubelet looks at once whether its volumes are.
_NUDGE: Final = "plimsoll.example.com/nudge"


@dataclass(frozen=True, slots=True)
class Wanted:
    """An alert that a fault must make active. ``labels`` tell it from others of its name: regular expressions for whole values."""

    alert: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.alert

    def among(self, active: Iterable[Mapping[str, Any]]) -> str:
        """Which of the active alerts it is, in words; empty when it is none."""
        for each in active:
            labels = mapping(each.get("labels"))
            if labels.get("alertname") == self.alert and all(re.fullmatch(value, str(labels.get(name, ""))) for name, value in self.labels.items()):
                shown = ", ".join(f"{name}={value}" for name, value in sorted(labels.items()) if name in ("namespace", "pod", "job", "name"))
                return f"{self.alert} {text(each.get('state'))}{f' ({shown})' if shown else ''}"
        return ""


class Provocation:
    """A probe that holds while none of some alerts is active, and fails once all of them are, with what breaks the platform in between."""

    def __init__(self, wanted: Iterable[Wanted], active: Callable[[], list[dict[str, Any]]]) -> None:
        self.wanted = tuple(wanted)
        self._active = active
        self._broken = False
        self.seen: dict[str, str] = {}

    def probe(self) -> str:
        """What is active. While broken nothing is said until every alert was seen: one that comes early does not speak for the others."""
        now = self._active()
        active = {str(each): found for each in self.wanted if (found := each.among(now))}
        if not self._broken:
            return "; ".join(active.values())
        self.seen |= active
        return "; ".join(self.seen.values()) if not self.missing else ""

    def settle(self) -> list[str]:
        """Give up the alerts that are active before anything is broken, and say which."""
        now = self._active()
        early = [each for each in self.wanted if each.among(now)]
        self.wanted = tuple(each for each in self.wanted if each not in early)
        return [str(each) for each in early]

    @property
    def missing(self) -> list[str]:
        """The alerts that were not seen yet."""
        return [str(each) for each in self.wanted if str(each) not in self.seen]

    @contextmanager
    def breaking(self, fault: AbstractContextManager[object]) -> Iterator[None]:
        """The fault, during which every alert is waited for."""
        with fault:
            self._broken = True
            try:
                yield
            finally:
                self._broken = False


@dataclass(frozen=True, slots=True)
class Flow:
    """What the fault of an alert breaks as well, with the probe of it (see :func:`harness.live.red.red`)."""

    hop: str
    probe: Callable[[], str]


def provoke(
    platform: Platform,
    what: str,
    fault: AbstractContextManager[object],
    provocation: Provocation,
    *,
    within: float = 150,
    mended: float = 240,
    comes_back: bool = True,
    flow: Flow | None = None,
) -> None:
    """Show that a fault makes alerts active that were not, and that they go again.

    A rate over minutes goes late: ``comes_back`` False does not wait for it, and what is active from an earlier run goes to the ledger. With a ``flow`` the
    same fault is its red proof, and that one is waited for.

    Raises:
        LiveError: LIV712, with the alerts that did not become active; LIV105, they were active before, or stay.
    """
    try:
        if comes_back:
            names = ", ".join(map(str, provocation.wanted))
            platform.red(f"alerts {names}", what, provocation.breaking(fault), provocation.probe, broken_within=within, mended_within=mended)
            return
        for name in provocation.settle():
            platform.left_open(name, "provoked by a real fault", "it is active already: what makes it so is younger than the time that it looks back")
        if flow is not None:
            platform.red(flow.hop, what, _seen(fault, provocation, within), flow.probe, broken_within=within, mended_within=mended)
        elif provocation.wanted:
            with _seen(fault, provocation, within):
                pass
    except (LiveError, WaitError) as error:
        late = isinstance(error, WaitError) or (flow is None and error.findings[0].rule == SEEN_RED.id)
        if not late or not provocation.missing:
            raise
        seen = "; ".join(provocation.seen.values()) or "none"
        found = f"{', '.join(provocation.missing)}: not active {within:g} s after: {what} (active: {seen})"
        raise LiveError(PROVOKED.finding(f"{platform.world.cluster.name}/alerts", found, "pending or firing")) from error


@contextmanager
def _seen(fault: AbstractContextManager[object], provocation: Provocation, within: float) -> Iterator[None]:
    """A fault that ends when every alert was seen. Raises WaitError."""
    with provocation.breaking(fault):
        yield
        if provocation.wanted:
            Waiter(provocation.probe).wait(bool, successes=1, timeout=within)


def nudge(kubectl: Kubectl, pod: str, namespace: str = NAMESPACE) -> None:
    """Have a pod's kubelet look at its volumes now instead of within a minute and a half."""
    kubectl("annotate", "pods", pod, f"--namespace={namespace}", "--overwrite", f"{_NUDGE}={time.time_ns()}")


@contextmanager
def cut_off(cluster: Cluster, gone: AbstractContextManager[object]) -> Iterator[None]:
    """Prometheus without something that lets it reach others: what it has open is closed too, because policies let what is established go on.

    Raises:
        NotEvaluatedError: the nodes of the cluster cannot be entered from here.
    """
    if cluster.foreign:
        raise NotEvaluatedError(cluster.wanted.name, "fault", "the nodes of this cluster cannot be entered from here")
    node = cluster.kubectl.json("get", "pods", _PROMETHEUS, f"--namespace={NAMESPACE}")["spec"]["nodeName"]
    left = [_CUTS]

    def cut() -> bool:
        cluster.docker("exec", node, "bash", "-c", _CUT)
        left[0] -= 1
        return not left[0]

    with gone:
        # It opens them again at once, until the policy is in force.
        wait(cut, timeout=60, delay=1.0)
        yield


@contextmanager
def loaded(kubectl: Kubectl, rule: Mapping[str, Any], *more: Mapping[str, Any]) -> Iterator[None]:
    """A PrometheusRule (and monitors) in the cluster, which Prometheus reads as soon as the operator has written it down."""
    name = rule["metadata"]["name"]

    def written() -> bool:
        listed = kubectl.list("configmaps", namespace=NAMESPACE, selector="prometheus-name=kube-prometheus-stack-prometheus")
        return any(f"-{name}-" in key for item in listed for key in mapping(item.get("data")))

    with faults.applied(kubectl, *more, rule):
        wait(written, timeout=60, what=f"the operator to write {name} down")
        nudge(kubectl, _PROMETHEUS)
        yield


@contextmanager
def receiving(kubectl: Kubectl, listener: Listener) -> Iterator[None]:
    """Alertmanager sends to a listener: the key of each address stands in the path. A NetworkPolicy lets it, both end with the block."""
    secret = kubectl.json("get", "secrets", HOOKS, f"--namespace={NAMESPACE}")
    hooks = {key: base64.b64encode(f"{listener.url}/{key}".encode()).decode() for key in secret["data"]}
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "plimsoll-proof-receiver", "namespace": NAMESPACE},
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "alertmanager"}},
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"ipBlock": {"cidr": f"{listener.address}/32"}}], "ports": [{"port": listener.port, "protocol": "TCP"}]}],
        },
    }
    with faults.applied(kubectl, policy), faults.patched(kubectl, "secrets", HOOKS, NAMESPACE, {"data": hooks}):
        nudge(kubectl, _ALERTMANAGER)
        yield


def receivers_of(world: World) -> dict[str, frozenset[str]]:
    """The receivers that each alert may reach as the model of the routes has it, by the alert's name."""
    found: dict[str, set[str]] = {}
    for rule in alerts(world):
        for configuration in alerting(world).configurations:
            found.setdefault(rule.name, set()).update(each.receiver for each in routes_of(world, rule, configuration))
    return {name: frozenset(receivers) for name, receivers in found.items()}


def notified(listener: Listener) -> list[tuple[str, str]]:
    """The alerts that came, each with the receiver that Alertmanager says it is for; other notifications are left out."""
    found = []
    for _path, body in listener.got:
        receiver = text(mapping(body).get("receiver"))
        found += [(text(mapping(mapping(each).get("labels")).get("alertname")), receiver) for each in items(mapping(body).get("alerts"))]
    return found


def tables_unlike(names: Iterable[str], provoked: Iterable[str], reasons: Iterable[str]) -> list[str]:
    """Where the table of faults and reasons does not match the alerts in Git, one line each."""
    known, table = set(names), [*provoked, *reasons]
    lines = [f"{name} has neither a fault nor a reason" for name in sorted(known - set(table))]
    lines += [f"{name} is no alert any more" for name in sorted(set(table) - known)]
    return lines + [f"{name} is in the table twice" for name in sorted({name for name in table if table.count(name) > 1})]
