"""Grafana: healthy, with the data sources and dashboards of Git, and no panel shows an error. What the panels ask is also asked without it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from harness.live import faults
from harness.live.findings import NotEvaluatedError, expect
from harness.live.plugin import WORLD
from harness.live.proofs import CLOSED, require
from harness.live.reach.wait import Waiter, WaitError
from harness.live.rules.metrics import GRAFANA_HEALTH, PANEL, SOURCE_HEALTH
from harness.live.telemetry.grafana import SYSTEMS, asked_by, backend_of, grafana_of
from harness.live.telemetry.metrics import unready
from harness.rules.obs_dashboards import dashboards, sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.engines.telemetry.dashboards import Source
    from harness.live.bringup import Platform
    from harness.live.reach.kubectl import Kubectl
    from harness.live.telemetry.grafana import Asked, Grafana

_SETTLES = 60
#: What each type of data source can always answer, and the path by which it is asked where its plugin has no check of its own.
_REAL = {"prometheus": "/api/v1/query?query=vector(1)", "loki": "/loki/api/v1/labels", "tempo": "/api/echo", "alertmanager": "/api/v2/status"}
_CHECKED = ("prometheus", "loki", "tempo")
_GRAFANA = pytest.mark.proof(uses=("grafana", "grafana-config"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    world = metafunc.config.stash[WORLD][1]
    if "dashboard" in metafunc.fixturenames:
        metafunc.parametrize("dashboard", sorted(each.uid for each in dashboards(world)))
    if "source" in metafunc.fixturenames:
        metafunc.parametrize("source", sorted(each.uid for each in sources(world)))


@_GRAFANA
def test_grafana_has_what_is_provisioned(platform: Platform) -> None:
    grafana, world = grafana_of(platform), platform.world
    expect(GRAFANA_HEALTH, world.cluster.name, not grafana.health(), found=grafana.health(), expected="database ok")
    there, model = grafana.sources(), {source.uid: source.type for source in sources(world)}
    expect(GRAFANA_HEALTH, "data sources", there == model, found=f"Grafana has {there}", expected=f"in Git: {model}")
    known = {each.uid for each in dashboards(world)}
    expect(
        GRAFANA_HEALTH, "dashboards", grafana.dashboards() == known, found=f"Grafana has {sorted(grafana.dashboards())}", expected=f"in Git: {sorted(known)}"
    )


@_GRAFANA
def test_data_source_answers_through_grafana(platform: Platform, source: str) -> None:
    item = _source(platform, source)
    require(platform, SYSTEMS[item.type])
    grafana = grafana_of(platform)
    try:
        Waiter(lambda: _unhealthy(grafana, item)).wait(lambda said: not said, successes=1, timeout=_SETTLES)
    except WaitError as error:
        expect(SOURCE_HEALTH, f"{platform.world.cluster.name}/{source}", False, found=error.status, expected="OK, and an answer", location=item.locate())


@_GRAFANA
def test_panels_show_no_error(platform: Platform, dashboard: str) -> None:
    grafana = grafana_of(platform)
    _answered(platform, dashboard, grafana.query)


@_GRAFANA
@pytest.mark.proof(breaks=("grafana",), uses=("kube-prometheus-stack", CLOSED))
def test_data_source_out_of_reach_is_seen(platform: Platform, kubectl: Kubectl) -> None:
    grafana, source = grafana_of(platform), next(each for each in sources(platform.world) if each.type == "prometheus")
    name = "allow-grafana-to-prometheus-9090"
    policy = platform.world.find("NetworkPolicy.networking.k8s.io", "monitoring", name)
    if policy is None:
        raise NotEvaluatedError(source.uid, "red proof of a data source", f"the model has no NetworkPolicy {name}")
    gone = faults.deleted(kubectl, "networkpolicies.networking.k8s.io", name, "monitoring", suspending=faults.maker(policy))
    platform.red("Grafana -> Prometheus", f"NetworkPolicy {name} deleted", gone, lambda: _unhealthy(grafana, source), broken_within=90)


@_GRAFANA
def test_data_source_with_a_wrong_url_is_seen(platform: Platform) -> None:
    grafana, name = grafana_of(platform), "plimsoll-proof"
    there = [""]

    @contextmanager
    def wrong() -> Iterator[None]:
        body = b'{"name": "plimsoll-proof", "uid": "plimsoll-proof", "type": "prometheus", "access": "proxy", "url": "http://nobody.monitoring.svc:9090"}'
        if grafana.client.ask(f"/api/datasources/uid/{name}").status == 404:
            grafana.client.json("/api/datasources", method="POST", body=body)
        there[0] = name
        try:
            yield
        finally:
            there[0] = ""
            grafana.client.ask(f"/api/datasources/uid/{name}", method="DELETE")

    def probe() -> str:
        return grafana.source_health(there[0]) if there[0] else ""

    platform.red("Grafana -> data source", "a data source whose URL leads nowhere", wrong(), probe)


@pytest.mark.proof(uses=("kube-prometheus-stack",))
def test_what_panels_ask_is_answered(platform: Platform, dashboard: str) -> None:
    _answered(platform, dashboard, lambda each: backend_of(platform, each.source).error(each.query, each.target))


@pytest.mark.proof(uses=("kube-prometheus-stack",))
def test_query_that_means_nothing_is_seen(platform: Platform, source: str) -> None:
    item = _source(platform, source)
    require(platform, SYSTEMS[item.type])
    backend = backend_of(platform, item)
    right = {"prometheus": "vector(1)", "loki": '{namespace="monitoring"}', "tempo": "{ }", "alertmanager": 'alertname="Watchdog"'}[item.type]
    query = [right]

    @contextmanager
    def wrong() -> Iterator[None]:
        query[0] = "sum by ((("
        try:
            yield
        finally:
            query[0] = right

    platform.red(f"panel -> {item.name}", "a query that means nothing", wrong(), lambda: backend.error(query[0]))


def _unhealthy(grafana: Grafana, source: Source) -> str:
    """Why a data source does not work through Grafana: its plugin's check, and a request that it must answer."""
    said = grafana.source_health(source.uid) if source.type in _CHECKED else ""
    return said or grafana.proxied(source.uid, _REAL[source.type])


def _source(platform: Platform, uid: str) -> Source:
    return next(each for each in sources(platform.whole) if each.uid == uid)


def _answered(platform: Platform, uid: str, error: Callable[[Asked], str]) -> None:
    """Expect no error from any query of a dashboard whose data source is there."""
    item, why = next(each for each in dashboards(platform.whole) if each.uid == uid), unready(platform)
    asked = asked_by(platform.whole, item)
    expect(PANEL, item.object, bool(asked), found="no query at all", expected="at least one")
    for each in asked:
        if why(SYSTEMS[each.source.type]):
            platform.left_open(f"dashboard {item.name}", f"panel {each.panel}", why(SYSTEMS[each.source.type]))
            continue
        said = error(each)
        expect(PANEL, item.object, not said, found=f"{item.name}, {each.panel}: {said}", expected="an answer", location=item.text.locate(*each.at))
