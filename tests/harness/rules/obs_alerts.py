"""Rules about alerts, and the way from an alert to somebody (OBS3xx)."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from harness.engines.telemetry.alert_tests import tested_alerts
from harness.engines.telemetry.alerting import Alerting, alerting_of, always_fires, labels_of_alert
from harness.engines.telemetry.matchers import all_match
from harness.engines.telemetry.rule_groups import AlertingRule, is_told, seconds
from harness.engines.telemetry.scrape_monitors import selects
from harness.flux.texts import config_texts
from harness.model import NotEvaluated, Severity
from harness.model.shapes import items, mapping, text
from harness.rules.base import Clusters, Objects, Registry, Violation, violation
from harness.rules.obs_common import RULE, asserted, inventory, rule_groups, scraping, telemetry_intent
from harness.rules.order_makers import may_be_elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.engines.telemetry.alertmanager import Configuration, Reached
    from harness.flux.world import World
    from harness.model import Object
    from harness.source.repository import Repository

OBS: Final = Registry()

#: Where the unit tests of alerts are.
_TESTS: Final = "tests/data/alerts"
_DOCUMENT: Final = re.compile(r"(?P<path>docs/[\w./-]+\.md)#(?P<anchor>[\w-]+)$")
_HEADING: Final = re.compile(r"(?m)^#{1,6}\s+(.+?)\s*$")
_RULERS: Final = ("Prometheus.monitoring.coreos.com", "ThanosRuler.monitoring.coreos.com")
#: Nobody waits two days to be told.
_LONGEST: Final = 172_800.0


def alerts(world: World) -> tuple[AlertingRule, ...]:
    """Every alert of a cluster that has a name."""
    return tuple(rule for group in rule_groups(world) for rule in group.rules if rule.kind == "alert" and rule.name)


def alerting(world: World) -> Alerting:
    """The Alertmanagers of a cluster."""
    return world.derive(_alerting)


def _alerting(world: World) -> Alerting:
    return alerting_of(world.objects, world.derive(config_texts), scraping(world).discovery)


def external_labels(world: World) -> dict[str, Any]:
    """What the Prometheus of a cluster adds to every alert."""
    return {name: value for item in world.of("Prometheus.monitoring.coreos.com") for name, value in mapping(item.spec.get("externalLabels")).items()}


def routes_of(world: World, rule: AlertingRule, configuration: Configuration) -> list[Reached]:
    """The receivers that an alert reaches."""
    return configuration.reached(labels_of_alert(rule, inventory(world), external_labels(world)))


@OBS.rule(
    "OBS301",
    title="an alert says how bad it is, what is wrong and what to do",
    why="an alert without a severity is routed by chance; one without a summary and a runbook wakes somebody who then has to read source code",
    fix="labels.severity, annotations.summary or description, and annotations.runbook_url",
    scope=Clusters(),
    severity=Severity.WARNING,
    controls=("NIST-IR-4", "NIST-AU-6"),
)
def alert_is_complete(world: World) -> Iterator[Violation]:
    for rule in alerts(world):
        if not is_told(rule):
            continue
        if not rule.labels.get("severity"):
            yield Violation(f"{rule.name} has no label severity", "a severity", rule.locate("labels"))
        if not any(rule.annotations.get(key) for key in ("summary", "description", "message")):
            yield Violation(f"{rule.name} has no summary and no description", "a sentence that says what is wrong", rule.locate("annotations"))
        if not any(rule.annotations.get(key) for key in ("runbook_url", "runbook")):
            yield Violation(f"{rule.name} has no runbook_url", "the page that says what to do", rule.locate("annotations"))


@OBS.rule(
    "OBS302",
    title="an alert's runbook is a chapter of this repository",
    why="a link that leads nowhere is found out at night",
    fix="write the chapter in docs/runbooks.md (its heading is the alert's name) and end runbook_url with docs/runbooks.md#<name in lower case>",
    scope=Clusters(),
    controls=("NIST-IR-4", "NIST-IR-8"),
    own_only=True,
)
def runbook_exists(world: World) -> Iterator[Violation]:
    chapters: dict[str, frozenset[str]] = {}
    for rule in alerts(world):
        url = rule.annotations.get("runbook_url", "")
        if not url or not is_told(rule):
            continue
        match = _DOCUMENT.search(url)
        if match is None:
            yield Violation(f"{rule.name}: {url}", "docs/<page>.md#<chapter> of this repository", rule.locate("annotations", "runbook_url"))
            continue
        if match["path"] not in chapters:
            chapters[match["path"]] = _chapters(world.repository, match["path"])
        if match["anchor"] not in chapters[match["path"]]:
            yield Violation(f"{rule.name}: {match[0]} does not exist", "a chapter that exists", rule.locate("annotations", "runbook_url"))


def _chapters(repository: Repository, path: str) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub and GitLab make them."""
    if not repository.is_file(path):
        return frozenset()
    return frozenset(re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(repository.text(path)))


@OBS.rule(
    "OBS303",
    title="an alert's name is its own, and it waits for a time that makes sense",
    why="two alerts of one name in one group are one in every list and silence; a `for` that is no duration makes Prometheus refuse the file",
    fix="rename one of them; for: between 0 and 2d",
    scope=Clusters(),
    severity=Severity.WARNING,
    controls=("NIST-AU-6",),
)
def alert_is_named_and_timed(world: World) -> Iterator[Violation]:
    first: dict[str, AlertingRule] = {}
    for rule in alerts(world):
        known = first.setdefault(rule.name, rule)
        if known is not rule and (known.object is not rule.object or known.group != rule.group or known.labels == rule.labels):
            where = f"{known.object.kind} {known.object.namespace}/{known.object.name}"
            yield Violation(f"a second alert {rule.name}, the first is in {where}", "a name of its own", rule.locate("alert"))
        for field in ("for", "keep_firing_for"):
            if field in rule.body:
                time = seconds(str(rule.body[field]))
                if time is None or time > _LONGEST:
                    yield Violation(f"{rule.name}: {field}: {rule.body[field]}", "a duration of at most 2d", rule.locate(field))


@OBS.rule(
    "OBS304",
    title="every alert reaches a receiver that tells somebody",
    why="an alert that ends in a receiver without an integration is a light in an empty room",
    fix="a route for its labels, or an entry in tests/intent/telemetry.yaml (alerts.silent) that says why nobody is told",
    scope=Clusters(),
    controls=("NIST-IR-4", "NIST-IR-6", "NIST-SI-4"),
)
def alert_reaches_somebody(world: World) -> Iterator[Violation]:
    silent = [mapping(entry.get("labels")) for _, entry in asserted(world, "alerts", "silent")]
    for configuration in alerting(world).configurations:
        for rule in alerts(world):
            labels = labels_of_alert(rule, inventory(world), external_labels(world))
            if any(all(labels.get(name) == value for name, value in entry.items()) for entry in silent):
                continue
            reached = configuration.reached(labels)
            telling = [each for each in reached if (known := configuration.receivers.get(each.receiver)) is not None and known.tells]
            if not telling:
                names = ", ".join(each.receiver or "(none)" for each in reached)
                yield Violation(f"{rule.name} reaches {names}, which tells nobody", "a receiver with an integration", rule.locate("alert"))


@OBS.rule(
    "OBS305",
    title="an Alertmanager's configuration is one that it loads, and every part of it leads somewhere",
    why="Alertmanager refuses the whole configuration for one undefined receiver and goes on with the old one, or does not start",
    fix="define the receiver or the time interval, correct the matcher, or remove what nothing can match",
    scope=Clusters(),
    controls=("NIST-CM-6", "NIST-IR-6"),
)
def configuration_loads(world: World) -> Iterator[Violation]:
    known = [labels_of_alert(rule, inventory(world), external_labels(world)) for rule in alerts(world)]
    for configuration in alerting(world).configurations:
        for location, fault in configuration.faults:
            yield Violation(fault, "a configuration that Alertmanager loads", location)
        for rule in configuration.inhibitions if known else ():
            for side, matchers in (("source", rule.source), ("target", rule.target)):
                if not any(all_match(matchers, labels) is not False for labels in known):
                    words = ", ".join(map(str, matchers))
                    yield Violation(f"an inhibition whose {side} no alert matches: {words}", f"an alert that is its {side}", rule.locate())


@OBS.rule(
    "OBS306",
    title="every alert that people require is there, and tells whom they say",
    why="an alert that is renamed or whose route changes is missed on the day it is needed",
    fix="bring it back, or change tests/intent/telemetry.yaml (alerts.required) in the commit that changes it on purpose",
    scope=Clusters(),
    controls=("NIST-IR-4", "NIST-SI-4"),
)
def required_alerts(world: World) -> Iterator[Violation]:
    intent = telemetry_intent(world)
    if intent is None:
        return
    by_name: dict[str, list[AlertingRule]] = defaultdict(list)
    for rule in alerts(world):
        by_name[rule.name].append(rule)
    for index, entry in asserted(world, "alerts", "required"):
        where = intent.locate("alerts", "required", index)
        found = by_name.get(entry["alert"], [])
        if not found:
            yield Violation(f"{world.cluster.name} has no alert {entry['alert']}", "the alert", where)
        wanted = entry.get("receiver")
        for configuration in alerting(world).configurations if wanted and found else ():
            names = [each.receiver for rule in found for each in routes_of(world, rule, configuration)]
            if wanted not in names:
                yield Violation(f"{world.cluster.name}: {entry['alert']} reaches {', '.join(names)}, not {wanted}", f"receiver {wanted}", where)


@OBS.rule(
    "OBS307",
    title="an alert that always fires reaches a receiver that notices when it stops",
    why="when Prometheus or Alertmanager is dead nothing fires at all: only the absence of an alert that always fires can say so",
    fix="an alert with expr: vector(1), and a route for it alone to a receiver outside the cluster, repeated every few minutes",
    scope=Clusters(),
    controls=("NIST-SI-4", "NIST-IR-6"),
)
def dead_man(world: World) -> Iterator[Violation]:
    intent = telemetry_intent(world)
    entry = mapping(mapping(intent.body.get("alerts")).get("dead_man")) if intent is not None else {}
    if intent is None or not entry:
        return
    where = intent.locate("alerts", "dead_man")
    rules = [rule for rule in alerts(world) if rule.name == entry["alert"]]
    if not any(always_fires(rule) for rule in rules):
        yield Violation(f"{world.cluster.name} has no alert {entry['alert']} that always fires", "expr: vector(1)", rules[0].locate("expr") if rules else where)
        return
    for configuration in alerting(world).configurations:
        reached = [each for rule in rules for each in routes_of(world, rule, configuration)]
        if [each.receiver for each in reached] != [entry["receiver"]]:
            names = ", ".join(each.receiver for each in reached)
            yield Violation(f"{entry['alert']} reaches {names}, not {entry['receiver']} alone", f"receiver {entry['receiver']}", configuration.root.locate())
            continue
        route = reached[0].route
        if (seconds(route.repeat_interval) or _LONGEST) > 600:
            yield Violation(f"{entry['alert']} is repeated every {route.repeat_interval}", "at most 10m", route.locate("repeat_interval"))
        others = [
            rule.name for rule in alerts(world) if rule not in rules and entry["receiver"] in {each.receiver for each in routes_of(world, rule, configuration)}
        ]
        if others:
            yield Violation(f"{entry['receiver']} hears {', '.join(others[:3])} too", f"{entry['alert']} alone", route.locate())


@OBS.rule(
    "OBS308",
    title="a Prometheus with rules sends its alerts to an Alertmanager that is there",
    why="without spec.alerting, or with a port that the Service does not have, alerts fire inside Prometheus and nowhere else",
    fix="spec.alerting.alertmanagers: namespace, name and port of the Alertmanager's Service",
    scope=Objects(("Prometheus.monitoring.coreos.com",)),
    controls=("NIST-IR-6", "NIST-SI-4"),
)
def alertmanager_is_there(prometheus: Object, world: World) -> Iterator[Violation]:
    view = scraping(world)
    taken = [item for item in world.of(RULE) if selects(prometheus, item, view.discovery)]
    targets = items(mapping(prometheus.spec.get("alerting")).get("alertmanagers"))
    if not targets:
        if taken and alerts(world) and not prometheus.spec.get("additionalAlertManagerConfigs"):
            yield violation(prometheus, "spec", found=f"{len(taken)} PrometheusRules, and no spec.alerting", expect="an Alertmanager")
        return
    for index, entry in enumerate(targets):
        body = mapping(entry)
        namespace, name, port = text(body.get("namespace")) or prometheus.namespace, text(body.get("name")), body.get("port")
        service = view.discovery.service(namespace, name)
        if service is None:
            if not may_be_elsewhere(world, namespace):
                yield violation(
                    prometheus, "spec", "alerting", "alertmanagers", index, found=f"no Service {namespace}/{name}", expect="the Alertmanager's Service"
                )
        elif not any(port in (each.get("name"), each.get("port")) for each in service.ports):
            known = ", ".join(str(each.get("name") or each.get("port")) for each in service.ports)
            yield violation(
                prometheus, "spec", "alerting", "alertmanagers", index, found=f"Service {namespace}/{name} has no port {port}, only {known}", expect="its port"
            )


@OBS.rule(
    "OBS309",
    title="every PrometheusRule is taken by a Prometheus",
    why="a rule that no Prometheus selects never fires (prometheus-operator: an absent ruleSelector selects nothing)",
    fix="give the PrometheusRule the labels that ruleSelector wants, or widen ruleSelector and ruleNamespaceSelector",
    scope=Objects((RULE,)),
    controls=("NIST-SI-4",),
)
def rule_is_taken(item: Object, world: World) -> Iterator[Violation]:
    rulers = world.of(*_RULERS)
    taken = [selects(ruler, item, scraping(world).discovery) for ruler in rulers]
    if rulers and not any(each is not False for each in taken):
        names = ", ".join(f"{each.kind} {each.namespace}/{each.name}" for each in rulers)
        yield Violation(f"no Prometheus takes it: not {names}", "a Prometheus whose selectors match", item.locate("metadata"))


@OBS.rule(
    "OBS209",
    title="every alert of ours is tested: once to fire, once to stay silent",
    why="an alert that was never seen to fire is a hope; one that was never seen silent is noise (Prometheus: unit testing rules)",
    fix="a test of each kind in tests/data/alerts/<PrometheusRule>.test.yaml; promtool runs them where it is on PATH",
    scope=Clusters(),
    controls=("NIST-SI-4", "NIST-CA-2"),
    own_only=True,
)
def alert_is_tested(world: World) -> Iterator[Violation]:
    bodies = [mapping(document.body) for path in world.repository.files(_TESTS) if path.endswith(".test.yaml") for document in world.repository.documents(path)]
    tested = tested_alerts(bodies)
    for rule in alerts(world):
        if not is_told(rule) or rule.object.kind != "PrometheusRule":
            continue
        firing, silent = tested.get(rule.name, (0, 0))
        if not firing:
            yield Violation(f"no test sees {rule.name} fire", "a test with exp_alerts", rule.locate("alert"))
        if not silent and not always_fires(rule):
            yield Violation(f"no test sees {rule.name} stay silent", "a test without exp_alerts", rule.locate("alert"))


def not_evaluated(world: World) -> list[NotEvaluated]:
    """Alertmanagers whose configuration is out of sight; alerts in a cluster without any."""
    entries = list(alerting(world).not_evaluated)
    if alerts(world) and not alerting(world).configurations and not entries:
        entries.append(NotEvaluated(world.cluster.name, f"who is told of {len(alerts(world))} alerts", "no Alertmanager is configured in this cluster"))
    return entries


RULES: Final = tuple(OBS.rules)
