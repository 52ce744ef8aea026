"""The live rules about Prometheus, alerting and Grafana (LIV7xx)."""

from __future__ import annotations

from typing import Final

from harness.live.findings import LiveRule

JOB_UP: Final = LiveRule(
    id="LIV701",
    title="every job that must be scraped has targets, and all of them are up",
    why="a target that is down is a component of which no rule and no dashboard knows anything",
    fix="read the target's error: NetworkPolicies at both ends, the port, the certificate; tests/intent/telemetry.yaml says which jobs must be there",
    controls=("NIST-SI-4", "NIST-AU-12"),
)
TARGETS: Final = LiveRule(
    id="LIV702",
    title="Prometheus scrapes exactly what the offline model derives from the monitors in Git",
    why="rules of the static tier about series and labels stand on the model's list of targets",
    fix="if the cluster is right, correct harness/engines/telemetry; else the monitor or the Service it selects",
    controls=("NIST-SI-4",),
)
RULES_EVALUATE: Final = LiveRule(
    id="LIV703",
    title="every rule in Git is loaded by Prometheus and evaluates without error",
    why="a rule that fails, or is not loaded, neither records nor alerts, and nobody is told",
    fix="evaluate its expression in Prometheus; many-to-many matches show only with real series",
    controls=("NIST-SI-4",),
)
RECORDED: Final = LiveRule(
    id="LIV704",
    title="every recording rule makes series",
    why="dashboards and alerts that read it would show and say nothing for ever",
    fix="evaluate its expression in Prometheus, part by part",
)
SERIES: Final = LiveRule(
    id="LIV705",
    title="every series that a rule or dashboard reads is there, or tests/intent/metrics.yaml says under which condition",
    why="the static tier trusts the file: a name that is wrong there is an alert that never fires",
    fix="correct the name and its users, or name its condition under `when`",
)
WATCHDOG: Final = LiveRule(
    id="LIV710",
    title="the alert that always fires is in Alertmanager, and reaches the receiver that its route names",
    why="what cannot tell that all is well cannot tell that something is wrong",
    fix="follow it: Prometheus' rule, its Alertmanagers, the route, the receiver's URL, the NetworkPolicies between them",
    controls=("NIST-SI-4", "NIST-IR-6"),
)
DELIVERED: Final = LiveRule(
    id="LIV711",
    title="an alert reaches the receivers that the offline model of the routes names, and no other",
    why="people are told by the route, not by the rule",
    fix="compare `python -m harness telemetry alerts` with Alertmanager's status; one of them is wrong",
    controls=("NIST-IR-6",),
)
PROVOKED: Final = LiveRule(
    id="LIV712",
    title="an alert is silent on a healthy platform, and becomes pending or fires when what it is about is broken",
    why="promtool shows that it fires for series that people made up; only a fault shows that the series are like that",
    fix="evaluate its expression in Prometheus while the fault lasts",
    controls=("NIST-SI-4", "NIST-IR-4"),
)
TABLE: Final = LiveRule(
    id="LIV713",
    title="every alert in Git has a fault that provokes it, or a reason why none can within minutes",
    why="an alert that nobody thought of is one that nobody has seen fire",
    fix="add it to the faults or the reasons of tests/e2e/test_alerts.py",
)
GRAFANA_HEALTH: Final = LiveRule(
    id="LIV750",
    title="Grafana is healthy, and has exactly the data sources and dashboards that Git provisions",
    why="Grafana skips a file that it cannot use, and logs a line",
    fix="read Grafana's log of the provisioning",
)
SOURCE_HEALTH: Final = LiveRule(
    id="LIV751",
    title="every data source answers its health check and a real query through Grafana",
    why="a panel without data looks like a system without trouble",
    fix="the URL, the certificate and the NetworkPolicies between Grafana and the data source",
)
PANEL: Final = LiveRule(
    id="LIV752",
    title="every query of every dashboard is answered without an error",
    why="a panel that shows an error is found in the night in which it is needed",
    fix="run the query in Explore; correct the dashboard's JSON",
)

RULES: Final = (
    JOB_UP, TARGETS, RULES_EVALUATE, RECORDED, SERIES, WATCHDOG, DELIVERED, PROVOKED, TABLE, GRAFANA_HEALTH, SOURCE_HEALTH, PANEL,
)  # fmt: skip
