"""Alertmanager: matchers, the routing tree against an oracle that walks it by the documentation's words, inhibition, and AlertmanagerConfigs."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest
from harness.engines.telemetry.alerting import alerting_of, labels_of_alert
from harness.engines.telemetry.alertmanager import read_configuration
from harness.engines.telemetry.discovery import Discovery
from harness.engines.telemetry.matchers import AlertMatcher, MatcherError, parse_matchers
from harness.engines.telemetry.rule_groups import groups_of
from harness.model import Location
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from cluster import Written, objects

HERE = Location("alertmanager.yaml", 1)


(ALERTMANAGER,) = objects("apiVersion: monitoring.coreos.com/v1\nkind: Alertmanager\nmetadata: {name: main, namespace: monitoring}\nspec: {}\n")


def configuration(body: dict[str, object]) -> object:
    return read_configuration(body, ALERTMANAGER, lambda *_: HERE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('severity = "critical"', ["severity=critical"]),
        ("severity=critical", ["severity=critical"]),
        ('{alertname =~ "Watch.*", team!="a b"}', ["alertname=~Watch.*", "team!=a b"]),
        ('a !~ "x|y"', ["a!~x|y"]),
        ('a="say \\"hi\\""', ['a=say "hi"']),
        ('"with space" = x', ["with space=x"]),
        ('a=""', ["a="]),
        ("{}", []),
    ],
)
def test_matchers_are_read(text: str, expected: list[str]) -> None:
    assert [f"{each.name}{each.op}{each.value}" for each in parse_matchers(text)] == expected


@pytest.mark.parametrize("text", ["severity == critical", "severity", '{a="b"', 'a="b" c="d"', 'a=~"("', "=x"])
def test_what_is_no_matcher(text: str) -> None:
    with pytest.raises(MatcherError):
        parse_matchers(text)


def test_a_value_that_is_not_known_settles_nothing() -> None:
    assert AlertMatcher("a", "=", "x").matches({"a": None}) is None
    assert AlertMatcher("a", "=", "").matches({}) is True
    assert AlertMatcher("a", "!=", "x").matches({}) is True
    assert AlertMatcher("a", "=~", "x|").matches({}) is True


LABELS = ("a", "b")
VALUES = ("", "x", "y")
MATCHERS = st.lists(st.builds(lambda name, op, value: f'{name}{op}"{value}"', st.sampled_from(LABELS), st.sampled_from(["=", "!=", "=~", "!~"]), st.sampled_from(["x", "y", "x|y", ""])), max_size=2)  # fmt: skip # noqa: E501
ROUTES = st.recursive(
    st.fixed_dictionaries({"receiver": st.sampled_from("pqr"), "matchers": MATCHERS, "continue": st.booleans()}),
    lambda inner: st.fixed_dictionaries(
        {"receiver": st.sampled_from(["p", "q", "r", ""]), "matchers": MATCHERS, "continue": st.booleans(), "routes": st.lists(inner, max_size=3)}
    ),
    max_leaves=5,
)


def oracle(route: dict, labels: dict[str, str], inherited: str) -> list[str]:
    """An alert enters at the top. It takes the children that match, in order, until one does not say continue; with none it stays."""
    receiver = route.get("receiver") or inherited
    taken: list[str] = []
    for child in route.get("routes", []):
        fits = True
        for matcher in child["matchers"]:
            name, value = matcher[0], labels.get(matcher[0], "")
            op = matcher[1:].partition('"')[0]
            wanted = matcher.partition('"')[2][:-1]
            hit = value == wanted if op in ("=", "!=") else value in wanted.split("|")
            fits = fits and hit == (op in ("=", "=~"))
            assert name in LABELS
        if fits:
            taken += oracle(child, labels, receiver)
            if not child["continue"]:
                break
    return taken or [receiver]


@settings(max_examples=40)
@given(routes=st.lists(ROUTES, max_size=4))
def test_routes_as_the_oracle_walks_them(routes: list[dict]) -> None:
    root = {"receiver": "root", "routes": routes}
    found = configuration({"route": root, "receivers": [{"name": name} for name in ("root", "p", "q", "r")]})
    for values in itertools.product(VALUES, repeat=2):
        labels = {name: value for name, value in zip(LABELS, values, strict=True) if value}
        reached = found.reached(labels)
        assert [each.receiver for each in reached] == list(dict.fromkeys(oracle(root, labels, "")))
        assert all(each.certain for each in reached)


@settings(max_examples=25)
@given(routes=st.lists(ROUTES, max_size=3))
def test_what_is_not_known_reaches_at_least_what_every_value_would(routes: list[dict]) -> None:
    found = configuration({"route": {"receiver": "root", "routes": routes}, "receivers": []})
    possible = {each.receiver for value in VALUES for each in found.reached({"a": value, "b": "x"})}
    assert possible <= {each.receiver for each in found.reached({"a": None, "b": "x"})}


def test_what_a_configuration_is_refused_for() -> None:
    body = {
        "route": {"receiver": "a", "matchers": ["x=y"], "routes": [{"receiver": "b", "mute_time_intervals": ["nights"]}, {"match_re": {"c": "("}}]},
        "receivers": [{"name": "a"}, {"name": "a"}, {}],
    }
    assert [fault.partition(": Illegal")[0] for _, fault in configuration(body).faults] == [
        "a second receiver a",
        "a receiver without a name",
        "regex '('",
        "the first route has matchers: it must take every alert",
        "receiver b does not exist",
        "time interval nights does not exist",
    ]
    assert [fault for _, fault in configuration({}).faults] == ["no route", "receiver (none) does not exist"]


def test_inhibition_needs_equal_labels_and_never_silences_itself() -> None:
    found = configuration(
        {
            "route": {"receiver": "a"},
            "receivers": [{"name": "a"}],
            "inhibit_rules": [{"source_matchers": ["severity=critical"], "target_matchers": ["severity=~critical|warning"], "equal": ["ns"]}],
        }
    )
    warning, critical = {"severity": "warning", "ns": "x"}, {"severity": "critical", "ns": "x"}
    assert found.silenced_by(warning, critical)
    assert not found.silenced_by(warning, {**critical, "ns": "y"})
    assert not found.silenced_by(critical, warning)
    assert not found.silenced_by(critical, critical)


CUSTOM = """
apiVersion: monitoring.coreos.com/v1
kind: Alertmanager
metadata: {name: main, namespace: monitoring}
spec: {alertmanagerConfigSelector: {}, alertmanagerConfigNamespaceSelector: {}, alertmanagerConfigMatcherStrategy: {type: STRATEGY}}
---
apiVersion: v1
kind: Secret
metadata: {name: alertmanager-main, namespace: monitoring}
---
apiVersion: monitoring.coreos.com/v1alpha1
kind: AlertmanagerConfig
metadata: {name: own}
spec:
  route: {receiver: hook, matchers: [{name: severity, value: critical, matchType: "="}]}
  receivers: [{name: hook, webhookConfigs: [{url: https://hook.example.com}]}]
"""


@pytest.mark.parametrize(
    ("strategy", "namespace", "expected"),
    [("OnNamespace", "shop", ["shop/own/hook"]), ("OnNamespace", "other", ["base"]), ("None", "other", ["shop/own/hook"])],
)
def test_an_alertmanagerconfig_comes_first_and_sees_its_own_namespace(strategy: str, namespace: str, expected: list[str]) -> None:
    found = objects(CUSTOM.replace("STRATEGY", strategy))
    secret = next(item for item in found if item.kind == "Secret")
    base = {"route": {"receiver": "base"}, "receivers": [{"name": "base", "webhook_configs": [{}]}]}
    (made,) = alerting_of(found, [Written(secret, ("stringData", "alertmanager.yaml"), base)], Discovery(found)).configurations
    assert [each.receiver for each in made.reached({"severity": "critical", "namespace": namespace})] == expected
    assert made.receivers["shop/own/hook"].tells
    assert made.faults == []


def test_an_alertmanager_whose_configuration_is_sealed_is_not_evaluated() -> None:
    found = objects(CUSTOM.replace("STRATEGY", "None"))
    alerting = alerting_of(found, [], Discovery(found))
    assert alerting.configurations == []
    assert [entry.why for entry in alerting.not_evaluated] == ["Secret alertmanager-main with its configuration is not in Git in the clear"]


def test_labels_of_an_alert() -> None:
    rule = "{alert: A, expr: 'sum by (job, ns) (up{job=\"x\"}) or up{job=\"x\"}', labels: {severity: critical, who: '{{ $labels.ns }}'}}"
    found = objects(f"apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {{name: r}}\nspec: {{groups: [{{name: g, rules: [{rule}]}}]}}\n")
    (group,) = groups_of(found)
    labels = labels_of_alert(group.rules[0], None, {"cluster": "kind"})
    assert {name: labels[name] for name in ("alertname", "severity", "who", "cluster", "job", "namespace")} == {
        "alertname": "A", "severity": "critical", "who": None, "cluster": "kind", "job": "x", "namespace": None,
    }  # fmt: skip
