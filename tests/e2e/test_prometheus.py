"""Prometheus: what must be scraped is up, exactly what the model derives is scraped, rules evaluate, and every series that somebody reads is there."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from harness.engines.telemetry.grafana_variables import STAND_IN
from harness.engines.telemetry.promql import read
from harness.live import faults
from harness.live.findings import NotEvaluatedError, expect
from harness.live.plugin import WORLD
from harness.live.proofs import require
from harness.live.reach.wait import Waiter, WaitError
from harness.live.rules.metrics import JOB_UP, RECORDED, RULES_EVALUATE, SERIES, TARGETS
from harness.live.telemetry.alarms import loaded
from harness.live.telemetry.metrics import (
    component_systems,
    conditional,
    depends,
    modelled,
    owner_of,
    prometheus_of,
    records,
    rules_unlike,
    stood_in,
    systems_behind,
    unlike,
    unready,
)
from harness.model.shapes import items, mapping
from harness.rules.obs_common import asserted, inventory
from harness.rules.obs_dashboards import dashboards, expressions
from harness.rules.obs_promql import queries

if TYPE_CHECKING:
    from harness.flux.world import World
    from harness.live.bringup import Platform
    from harness.live.reach.kubectl import Kubectl
    from harness.live.telemetry.metrics import LiveTarget, Prometheus

pytestmark = pytest.mark.proof(uses=("kube-prometheus-stack", "kube-prometheus-stack-config"))
#: Two scrapes and an evaluation, with air.
_SETTLES = 120
#: How groups of rules are called that a proof adds.
_PROOFS = "plimsoll-proof"
_FAILING = f"{_PROOFS}-failing"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    world = metafunc.config.stash[WORLD][1]
    if "job" in metafunc.fixturenames:
        jobs = [entry for _index, entry in asserted(world, "scraping", "jobs")]
        metafunc.parametrize("job", jobs, ids=[f"{entry['namespace']}/{entry['job']}{entry.get('path', '')}" for entry in jobs])
    if "record" in metafunc.fixturenames:
        metafunc.parametrize("record", sorted({rule.name for rule in records(world)}))
    if "component" in metafunc.fixturenames:
        metafunc.parametrize("component", sorted(_read_by_component(world)))


def test_job_is_up(platform: Platform, job: dict[str, Any]) -> None:
    require(platform, *_owners(platform.whole, job))
    prometheus = prometheus_of(platform)
    waiter: Waiter[list[LiveTarget]] = Waiter(lambda: _of(prometheus, job), _told)
    try:
        waiter.wait(lambda found: bool(found) and all(target.up for target in found), successes=1, timeout=_SETTLES)
    except WaitError as error:
        expect(
            JOB_UP, f"{platform.world.cluster.name}/{job['namespace']}/{job['job']}", False, found=error.status, expected="at least one target, every one up"
        )


def test_targets_are_those_of_the_model(platform: Platform) -> None:
    prometheus, model, why = prometheus_of(platform), modelled(platform.world), unready(platform)
    waiter: Waiter[list[str]] = Waiter(lambda: unlike((target.scraped for target in prometheus.targets()), model, why), "; ".join)
    try:
        waiter.wait(lambda lines: not lines, successes=1, timeout=_SETTLES)
    except WaitError as error:
        expect(TARGETS, platform.world.cluster.name, False, found=error.status, expected=f"the {len(model)} kinds of targets of the model")


def test_every_rule_evaluates(platform: Platform) -> None:
    prometheus, why = prometheus_of(platform), unready(platform)

    def wrong() -> list[str]:
        return _failing(prometheus) + rules_unlike([rule for rule in prometheus.rules() if not rule.group.startswith(_PROOFS)], platform.world, why)

    try:
        Waiter(wrong, "; ".join).wait(lambda lines: not lines, successes=1, timeout=_SETTLES)
    except WaitError as error:
        expect(RULES_EVALUATE, platform.world.cluster.name, False, found=error.status, expected="every rule in Git loaded and healthy, and no other")
    failed = prometheus.query(f'increase(prometheus_rule_evaluation_failures_total{{rule_group!~".*{_PROOFS}.*"}}[5m]) > 0')
    found = ", ".join(f"{sample.labels.get('rule_group', '').rpartition(';')[2]}: {sample.value:.0f}" for sample in failed)
    expect(RULES_EVALUATE, platform.world.cluster.name, not failed, found=f"failed within five minutes: {found}", expected="no failure")


def test_recording_rule_has_series(platform: Platform, record: str) -> None:
    rules = [rule for rule in records(platform.world) if rule.name == record]
    require(platform, *{owner_of(rule.object) for rule in rules}, *(name for rule in rules for name in systems_behind(platform.world, read(rule.expression))))
    prometheus = prometheus_of(platform)
    try:
        Waiter(lambda: len(prometheus.query(record)), "{} series".format).wait(bool, successes=1, timeout=_SETTLES)
    except WaitError as error:
        for rule in rules:
            condition = depends(platform.world, read(rule.expression))
            if condition:
                raise NotEvaluatedError(record, "series of the recording rule", condition) from error
        expect(RECORDED, rules[0].object, False, found=f"{record}: {error.status}", expected="at least one", location=rules[0].locate("expr"))


def test_series_that_are_read_arrive(platform: Platform, component: str) -> None:
    world, prometheus, known = platform.whole, prometheus_of(platform), inventory(platform.whole)
    require(platform, *component_systems(world, component))
    body = mapping(known.components.get(component)) if known is not None else {}
    stranger = stood_in(prometheus, body)
    if stranger:
        raise NotEvaluatedError(component, "series", stranger)
    names = sorted(name for name in _read_by_component(world)[component] if not conditional(world, name))
    if not names:
        raise NotEvaluatedError(component, "series", "each of those that are read is there only under a condition (tests/intent/metrics.yaml)")

    def missing() -> list[str]:
        there = {sample.labels.get("__name__") for sample in prometheus.query(f'group by (__name__) ({{__name__=~"{"|".join(names)}"}})')}
        return [name for name in names if name not in there]

    try:
        Waiter(missing, ", ".join).wait(lambda lines: not lines, successes=1, timeout=_SETTLES)
    except WaitError as error:
        expect(SERIES, f"{world.cluster.name}/{component}", False, found=f"not in Prometheus: {error.status}", expected="series of these names")


@pytest.mark.proof(breaks=("sealed-secrets",))
def test_target_that_is_gone_is_seen(platform: Platform, kubectl: Kubectl) -> None:
    job = next(entry for _index, entry in asserted(platform.world, "scraping", "jobs") if entry["namespace"] == "sealed-secrets")
    kind, namespace, name = job["workloads"][0].split("/")
    item = platform.world.find(f"{kind}.apps", namespace, name)
    if item is None:
        raise NotEvaluatedError(job["workloads"][0], "red proof of the scrape", "the model has no such workload")
    prometheus = prometheus_of(platform)

    def probe() -> str:
        found = _of(prometheus, job)
        return "" if found and all(target.up for target in found) else _told(found)

    gone = faults.scaled(kubectl, "deployments.apps", name, namespace, suspending=faults.maker(item))
    platform.red(f"{job['job']} -> Prometheus", "the Deployment scaled to 0", gone, probe, broken_within=90, mended_within=_SETTLES)


def test_rule_that_fails_is_seen(platform: Platform, kubectl: Kubectl) -> None:
    prometheus = prometheus_of(platform)
    # What the API server cannot refuse: it is valid, and finds two partners for each series.
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": _FAILING, "namespace": "monitoring"},
        "spec": {"groups": [{"name": _FAILING, "interval": "5s", "rules": [{"record": "plimsoll_proof:failing", "expr": "up + on () up"}]}]},
    }

    def probe() -> str:
        return "; ".join(_failing(prometheus, _FAILING))

    platform.red("rule -> evaluation", "a rule whose sides match many to many", loaded(kubectl, rule), probe, broken_within=150, mended_within=150)


def _of(prometheus: Prometheus, job: dict[str, Any]) -> list[LiveTarget]:
    wanted, path = (job["job"], job["namespace"]), job.get("path")
    return [target for target in prometheus.targets() if (target.scraped.job, target.scraped.namespace) == wanted and path in (None, target.scraped.path)]


def _told(found: list[LiveTarget]) -> str:
    return "; ".join(str(target) for target in found if not target.up) or (f"{len(found)} targets up" if found else "no target")


def _failing(prometheus: Prometheus, group: str = "") -> list[str]:
    """The rules that are not healthy, of the platform or of one group of a proof. One that was not evaluated yet has not failed there."""
    if group:
        wrong = [rule for rule in prometheus.rules() if rule.group == group and rule.health == "err"]
    else:
        wrong = [rule for rule in prometheus.rules() if not rule.group.startswith(_PROOFS) and rule.health != "ok"]
    return [f"{rule.kind} {rule.name} of group {rule.group}: {rule.health}: {rule.error}" for rule in wrong]


def _owners(world: World, job: dict[str, Any]) -> set[str]:
    """What has to be ready for a job: what brings its monitor, and its workloads."""
    names = {name for scraped, behind in modelled(world).items() if (scraped.job, scraped.namespace) == (job["job"], job["namespace"]) for name in behind}
    found = [world.find(f"{kind}.apps", namespace, name) for kind, namespace, name in (str(each).split("/") for each in items(job.get("workloads")))]
    return (names | {owner_of(item) for item in found if item is not None}) - {""}


def _read_by_component(world: World) -> dict[str, set[str]]:
    """The series that rules and dashboards read, by the component that exposes them; recording rules have a proof of their own."""
    found: dict[str, set[str]] = defaultdict(set)
    known = inventory(world)
    texts = [query.expression for query in queries(world)]
    texts += [expression for dashboard in dashboards(world) for _what, expression, _at in expressions(world, dashboard)]
    for expression in texts:
        for name in expression.names:
            series = known.find(name) if known is not None else None
            if series is not None and series.component and STAND_IN not in name:
                found[series.component].add(name)
    # Alerts that are active are no component's.
    found.pop("alerts", None)
    return found
