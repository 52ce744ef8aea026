"""The tests of the live tier as jobs: what each uses and breaks comes from its marker ``proof``, its arguments from the session's three fixtures.

    pytestmark = pytest.mark.proof(uses=("loki", "promtail"))

    @pytest.mark.proof(breaks=("promtail",), seconds=600)
    def test_shipper_restart_loses_nothing(platform): ...

    @pytest.mark.each(row=tls_rows)
    def test_host(platform, row): ...

Names are those of the cluster's Kustomizations. ``seconds`` limits how long the proof may run; ``long=True`` leaves it out of a run with ``--fast``. Markers of
a module, a class and a function add up.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from harness.flux.kinds import KUSTOMIZATION
from harness.live.findings import LiveError, NotEvaluatedError
from harness.live.jobs import ALL, Job, Jobs, Needs
from harness.live.reach.wait import Clock, Waiter, WaitError
from harness.live.rules.ground import COMES_BACK
from harness.live.sync.readiness import Key, State, Status, status_of
from harness.live.sync.reconcile import ask, look

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.live.bringup import Platform

MARKER: Final = "proof(uses=(), breaks=(), seconds=300, long=False): what a live test relies on, what it breaks and mends, how long it may take"
EACH: Final = "each(name=function): one test for each thing that a function of the cluster's build returns, by its name"
#: What a proof uses that takes a NetworkPolicy away: that namespaces are closed by default, and nothing else lets in what it let in.
CLOSED: Final = "cluster-baseline"
#: The fixtures that a live test may take, besides its parameters.
GIVEN: Final = frozenset({"platform", "cluster", "kubectl"})
_SECONDS: Final = 300.0
#: Seconds in which something that failed meanwhile is ready again.
_BACK: Final = 180.0
_KNOWN: Final = frozenset({"uses", "breaks", "seconds", "long"})


@dataclass(frozen=True, slots=True)
class Terms:
    """What the markers of a test say together."""

    needs: Needs
    seconds: float = _SECONDS
    long: bool = False

    @property
    def systems(self) -> list[str]:
        """The Kustomizations it cannot do without."""
        return sorted((self.needs.uses | self.needs.breaks) - {ALL})


def terms_of(item: pytest.Item) -> Terms:
    """The terms of a test. Raises pytest.UsageError for a marker that cannot be meant."""
    uses: set[str] = set()
    breaks: set[str] = set()
    seconds, long = 0.0, False
    for mark in item.iter_markers("proof"):
        if mark.args or mark.kwargs.keys() - _KNOWN:
            raise pytest.UsageError(f"{item.nodeid}: a marker is {MARKER}")
        for name, found in (("uses", uses), ("breaks", breaks)):
            value = mark.kwargs.get(name, ())
            if isinstance(value, str):
                raise pytest.UsageError(f"{item.nodeid}: {name} of the marker proof takes a tuple of names, not a text")
            found |= set(value)
        seconds = max(seconds, float(mark.kwargs.get("seconds", 0)))
        long = long or bool(mark.kwargs.get("long"))
    return Terms(Needs(frozenset(uses), frozenset(breaks)), seconds or _SECONDS, long)


def check_arguments(item: pytest.Function) -> None:
    """Raise pytest.UsageError for a test that takes what no job can be given."""
    other = set(_names(item)) - GIVEN - set(_parameters(item))
    if other:
        raise pytest.UsageError(f"{item.nodeid}: a live test takes {', '.join(sorted(GIVEN))} and its parameters, not {', '.join(sorted(other))}")


class Proofs:
    """The proofs of a session, started together."""

    def __init__(self, items: Iterable[pytest.Item], platform: Platform, *, at_once: int, fast: bool = False) -> None:
        given = {"platform": platform, "cluster": platform.cluster, "kubectl": platform.cluster.kubectl}
        self._jobs: dict[str, tuple[Job, Terms]] = {}
        for item in items:
            if isinstance(item, pytest.Function):
                terms = terms_of(item)
                self._jobs[item.nodeid] = Job(item.name, _Call(item, given, terms, fast), terms.needs), terms
        self.jobs = Jobs(ordered(job for job, _terms in self._jobs.values()), at_once=at_once)

    def has(self, item: pytest.Item) -> bool:
        """Whether a test is one of them."""
        return item.nodeid in self._jobs

    def result(self, item: pytest.Item, tell: Any) -> None:
        """Wait for the result of a test, and raise what it raised."""
        job, terms = self._jobs[item.nodeid]
        self.jobs.result(job, terms.seconds, tell=tell)

    def job(self, item: pytest.Item) -> Job:
        """The job that a test is."""
        return self._jobs[item.nodeid][0]


def ordered(jobs: Iterable[Job]) -> list[Job]:
    """Jobs in the order in which they take the least time together: what keeps many others from running first, beside all that it does not disturb.

    What lets nothing else run comes last: before, it would only keep the others waiting.
    """
    known = list(jobs)
    weight = {job: sum(job.needs.disturbs(other.needs) for other in known if other is not job) for job in known}
    return sorted(known, key=lambda job: (ALL in job.needs.breaks, -weight[job]))


@dataclass(frozen=True, slots=True)
class _Call:
    """A test function with its arguments, run once what it needs was found ready."""

    item: pytest.Function
    given: Mapping[str, object]
    terms: Terms
    fast: bool

    def __call__(self) -> None:
        if self.fast and self.terms.long:
            raise NotEvaluatedError(self.item.name, "live proof", "left out by --fast")
        require(self.given["platform"], *self.terms.systems)  # type: ignore[arg-type]
        known = {**self.given, **_parameters(self.item)}
        self.item.obj(**{name: known[name] for name in _names(self.item)})


def _names(item: pytest.Function) -> list[str]:
    return list(inspect.signature(item.obj).parameters)


def _parameters(item: pytest.Function) -> Mapping[str, object]:
    return item.callspec.params if hasattr(item, "callspec") else {}


def require(platform: Platform, *systems: str, clock: Clock | None = None) -> None:
    """See that Kustomizations can be relied on: what they do cannot be judged otherwise. One that failed since the run began is waited for.

    Raises:
        NotEvaluatedError: one is not in the cluster, was left out, or never was ready.
        LiveError: LIV106, one was ready when the run began, and is not again.
    """
    if not systems:
        return
    if not platform.reached("ready"):
        raise NotEvaluatedError(platform.world.cluster.name, ", ".join(systems), f"this run stopped after {platform.phase} (--phase)")
    known = {item.name: item for item in platform.world.of(KUSTOMIZATION)}
    left = {name.rpartition("/")[2] for name in (platform.overlay.left_out if platform.overlay is not None else ())}
    for name in systems:
        if name in left or name not in known:
            raise NotEvaluatedError(name, "live proof", "left out of this run" if name in left else "this cluster has no such Kustomization")
        key = Key("Kustomization", known[name].namespace, name)
        status = status_of(look(platform.cluster.kubectl, key))
        # One that is suspended, at work again, or waits to take a newer revision was ready: only what failed, or never was, cannot be relied on.
        never = status.state in (State.PROGRESSING, State.WAITING) and not status.revision
        if never or status.state in (State.FAILED, State.ABSENT):
            began = platform.tree.statuses.get(key) if platform.tree is not None else None
            if began is None or began.state is not State.READY:
                raise NotEvaluatedError(name, "live proof", f"it is not ready: {status.message or 'it is not there'}"[:200])
            _come_back(platform, key, clock or Clock())


def _come_back(platform: Platform, key: Key, clock: Clock) -> None:
    """Wait for what was ready: a fault elsewhere met Flux at work on it, and Flux looks again only after its retryInterval."""

    def again() -> Status:
        status = status_of(look(platform.cluster.kubectl, key))
        if status.state is State.FAILED:
            ask(platform.cluster.kubectl, key)
        return status

    try:
        Waiter(again, clock=clock).wait(lambda status: status.state in (State.READY, State.SUSPENDED), successes=1, timeout=_BACK, delay=5)
    except WaitError as error:
        found = f"{error.status}, for more than {_BACK:g} s"
        raise LiveError(COMES_BACK.finding(str(key), found, "ready, as when the run began")) from error
