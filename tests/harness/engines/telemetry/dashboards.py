"""Grafana's dashboards: panels, queries, variables, and the data sources that each asks.

Source: Grafana 13 documentation (``dashboards/build-dashboards/view-dashboard-json-model``, ``administration/provisioning``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from harness.engines.telemetry.grafana_variables import BUILT_IN, names_in
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.engines.telemetry.texts import Text
    from harness.model import Location, Object, Pointer

#: Data sources that are Grafana's own.
_OWN: Final = frozenset({"grafana", "-- grafana --", "-- mixed --", "-- dashboard --", "__expr__", "dashboard", "datasource"})
#: What a dashboard has besides its panels.
_MARKS: Final = frozenset({"schemaVersion", "title", "templating"})
#: What a query of a data source is called, by preference.
_QUERIES: Final = ("expr", "query", "queryText", "rawSql")
_LABEL_VALUES: Final = re.compile(r"\s*label_values\(\s*(?:(?P<series>.+?)\s*,\s*)?(?P<label>[\w$\{\}:]+)\s*\)\s*", re.DOTALL)
_QUERY_RESULT: Final = re.compile(r"\s*query_result\(\s*(?P<query>.+)\)\s*", re.DOTALL)
_METRICS: Final = re.compile(r"\s*(?:metrics|label_names)\(.*\)\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Source:
    """A data source: ``uid`` is how dashboards name it, ``name`` how older ones do."""

    uid: str
    name: str
    type: str
    url: str
    default: bool
    text: Text
    at: Pointer

    def locate(self, *pointer: str | int) -> Location:
        """The line of what a pointer below the data source points to."""
        return self.text.locate(*self.at, *pointer)


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel. ``source`` is the uid or name it asks, as written; ``type`` the type of data source that it says."""

    text: str
    at: Pointer
    source: str
    type: str
    panel: str


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a dashboard. ``query`` is what a query variable asks."""

    name: str
    type: str
    query: str
    source: str
    at: Pointer
    body: dict[str, Any]


@dataclass(eq=False)
class Dashboard:
    """One dashboard, and the ConfigMap (or resource) it stands in."""

    text: Text

    @property
    def object(self) -> Object:
        return self.text.object

    @property
    def uid(self) -> str:
        return text(self.text.body.get("uid"))

    @property
    def title(self) -> str:
        return text(self.text.body.get("title"))

    @property
    def name(self) -> str:
        """How to speak of it."""
        return self.title or str(self.text.at[-1])

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        found = []
        for index, entry in enumerate(items(mapping(self.text.body.get("templating")).get("list"))):
            body = mapping(entry)
            query = body.get("query")
            asked = text(mapping(query).get("query") or mapping(query).get("label") or "") if isinstance(query, dict) else text(query)
            source, _ = _source(body.get("datasource"))
            found.append(Variable(text(body.get("name")), text(body.get("type")), asked, source, ("templating", "list", index), body))
        return tuple(found)

    def panels(self) -> Iterator[tuple[dict[str, Any], Pointer]]:
        """Every panel, those inside rows too."""
        pending: list[tuple[object, Pointer]] = [(self.text.body.get("panels"), ("panels",))]
        for index, row in enumerate(items(self.text.body.get("rows"))):
            pending.append((mapping(row).get("panels"), ("rows", index, "panels")))
        while pending:
            listed, at = pending.pop(0)
            for index, panel in enumerate(items(listed)):
                if isinstance(panel, dict):
                    yield panel, (*at, index)
                    if isinstance(panel.get("panels"), list):
                        pending.append((panel["panels"], (*at, index, "panels")))

    @cached_property
    def queries(self) -> tuple[Query, ...]:
        found = []
        for panel, at in self.panels():
            outer, outer_type = _source(panel.get("datasource"))
            title = text(panel.get("title")) or "(untitled)"
            for index, entry in enumerate(items(panel.get("targets"))):
                target = mapping(entry)
                source, kind = _source(target.get("datasource"))
                if not source or source.lower() == "-- mixed --":
                    source, kind = (outer, kind or outer_type) if not source else (source, kind)
                field = next((name for name in _QUERIES if isinstance(target.get(name), str)), "")
                found.append(Query(text(target.get(field)), (*at, "targets", index, *((field,) if field else ())), source, kind, title))
        return tuple(found)

    def uses(self) -> Iterator[tuple[str, Pointer]]:
        """Every variable that a query, a data source or a repetition of a panel names, with the place."""
        for panel, at in self.panels():
            if text(panel.get("repeat")):
                yield text(panel["repeat"]), (*at, "repeat")
            source, _ = _source(panel.get("datasource"))
            for name in names_in(source):
                yield name, (*at, "datasource")
        for query in self.queries:
            for name in names_in(query.source):
                yield name, query.at[:-1]
            # $1 and its like are the groups of a regular expression in label_replace.
            for name in names_in(query.text):
                if not name.isdigit() and not name.startswith("__"):
                    yield name, query.at

    @property
    def knows(self) -> frozenset[str]:
        """The variables that are defined, Grafana's own included."""
        return frozenset(variable.name for variable in self.variables) | BUILT_IN


def _source(value: object) -> tuple[str, str]:
    """The uid (or name) and type of a data source reference."""
    if isinstance(value, dict):
        return text(value.get("uid")), text(value.get("type"))
    return text(value), ""


def is_own(source: str) -> bool:
    """Whether a reference names one of Grafana's own data sources."""
    return source.lower() in _OWN


def dashboards_of(texts: Iterable[Text]) -> Iterator[Dashboard]:
    """The dashboards among some configurations."""
    for each in texts:
        body = each.body
        if (isinstance(body.get("panels"), list) or isinstance(body.get("rows"), list)) and (
            "schemaVersion" in body or "title" in body or "templating" in body
        ):
            yield Dashboard(each)


def sources_of(texts: Iterable[Text]) -> Iterator[Source]:
    """The data sources that provisioning files among some configurations define."""
    for each in texts:
        for index, entry in enumerate(items(each.body.get("datasources"))):
            body = mapping(entry)
            if text(body.get("type")) and (text(body.get("name")) or text(body.get("uid"))):
                name = text(body.get("name"))
                yield Source(
                    text(body.get("uid")), name, text(body["type"]), text(body.get("url")), body.get("isDefault") is True, each, ("datasources", index)
                )


def trace_queries(source: Source) -> Iterator[tuple[str, str, Pointer]]:
    """The queries by which a source of traces leads to metrics: name, expression (``$$`` is a dollar in provisioning files), and place."""
    settings = mapping(mapping(mapping(items(source.text.body.get("datasources"))[int(source.at[-1])]).get("jsonData")).get("tracesToMetrics"))
    for index, entry in enumerate(items(settings.get("queries"))):
        query = text(mapping(entry).get("query"))
        if query:
            yield text(mapping(entry).get("name")) or str(index), query.replace("$$", "$"), ("jsonData", "tracesToMetrics", "queries", index, "query")


def metric_query(query: str) -> tuple[str, str] | None:
    """The expression and label that a query of a variable asks Prometheus for: of ``label_values(series, label)`` and ``query_result(expression)``.

    None for what asks no series (``label_values(label)``, ``metrics(pattern)``) or is of another language.
    """
    match = _LABEL_VALUES.fullmatch(query)
    if match is not None:
        return (match["series"], match["label"]) if match["series"] else None
    match = _QUERY_RESULT.fullmatch(query)
    if match is not None:
        return match["query"], ""
    return None


def variable_queries(dashboard: Dashboard) -> Iterator[tuple[Variable, str, str]]:
    """The variables that ask Prometheus for series: each with the expression and the label."""
    for variable in dashboard.variables:
        if variable.type == "query" and not _METRICS.fullmatch(variable.query):
            asked = metric_query(variable.query)
            if asked is not None:
                yield variable, *asked


def variable_order(dashboard: Dashboard) -> Iterator[tuple[Variable, str, bool]]:
    """The variables that other variables' queries name before they are defined (or that never are: false)."""
    seen: set[str] = set(BUILT_IN)
    every = dashboard.knows
    for variable in dashboard.variables:
        for asked in (variable.query, variable.source):
            for name in names_in(asked):
                # What begins with two underscores is Grafana's own.
                if name not in seen and not name.isdigit() and not name.startswith("__"):
                    yield variable, name, name in every
        seen.add(variable.name)
