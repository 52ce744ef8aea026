"""Grafana's API, and what its dashboards ask: each query with its variables filled in, for Grafana to pass on or for the data source itself.

Sources: Grafana 13 documentation (``developers/http_api/{data_source,folder_dashboard_search,other}``: ``/api/ds/query``,
``/api/datasources/uid/:uid/health``), Prometheus 3.13 ``docs/querying/api.md``, Loki 3.7 ``reference/loki-http-api.md``, Tempo 2.10 ``api_docs/_index.md``.
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from harness.engines.telemetry.dashboards import is_own
from harness.engines.telemetry.grafana_variables import VARIABLE
from harness.live.reach.forwards import Client, basic
from harness.live.reach.web import Tls, WebError
from harness.live.telemetry.metrics import NAMESPACE
from harness.model.shapes import items, mapping, text
from harness.rules.obs_dashboards import sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.engines.telemetry.dashboards import Dashboard, Source
    from harness.flux.world import World
    from harness.live.bringup import Platform
    from harness.model import Pointer

_ADMINISTRATOR: Final = "grafana-admin"
#: What Grafana's own variables stand for where a query goes to its data source without Grafana.
BUILT_IN: Final[Mapping[str, str]] = {
    "__interval": "30s",
    "__interval_ms": "30000",
    "__rate_interval": "2m",
    "__rate_interval_ms": "120000",
    "__range": "1h",
    "__range_s": "3600",
    "__range_ms": "3600000",
}
#: What a value stands for that selects everything.
_ALL: Final = "$__all"
_HOUR: Final = 3600
#: The Kustomization behind each type of data source, and the Secret whose ``ca.crt`` its certificate is checked against.
SYSTEMS: Final[Mapping[str, str]] = {"prometheus": "kube-prometheus-stack", "alertmanager": "kube-prometheus-stack", "loki": "loki", "tempo": "tempo"}
_AUTHORITY: Final = "prometheus-tls"


@dataclass(frozen=True, slots=True)
class Asked:
    """One query of a panel: the data source it goes to, and its target with variables filled in, Grafana's own left alone."""

    panel: str
    source: Source
    target: Mapping[str, Any]
    at: Pointer

    @property
    def query(self) -> str:
        """The text of the query."""
        return text(self.target.get("expr")) or text(self.target.get("query"))


def values_of(dashboard: Dashboard, known: Iterable[Source]) -> dict[str, str]:
    """What each variable of a dashboard stands for when somebody opens it: a data source of its type, everything, or what was chosen when it was saved."""
    first: dict[str, str] = {}
    for source in known:
        first.setdefault(source.type, source.uid)
    found = {}
    for variable in dashboard.variables:
        chosen = mapping(variable.body.get("current")).get("value")
        value = "|".join(map(str, chosen)) if isinstance(chosen, list) else str(chosen if chosen is not None else "")
        if variable.type == "datasource":
            value = first.get(variable.query, value)
        elif value == _ALL or (variable.type == "query" and not value):
            value = text(variable.body.get("allValue")) or ".*"
        found[variable.name] = value
    return found


def filled(written: str, values: Mapping[str, str]) -> str:
    """A text with the variables that are known replaced; others stay as they are."""
    return VARIABLE.sub(lambda match: values.get(match["braced"] or match["square"] or match["plain"], match[0]), written)


def asked_by(world: World, dashboard: Dashboard) -> list[Asked]:
    """Every query of a dashboard that goes to a data source of Git; OBS603 says when one does not."""
    known = sources(world)
    by_uid = {name: source for source in known for name in (source.uid, source.name)}
    values = values_of(dashboard, known)
    found = []
    for query in dashboard.queries:
        uid = filled(query.source, values)
        if is_own(uid) or uid not in by_uid:
            continue
        target = _at(dashboard.text.body, query.at if isinstance(query.at[-1], int) else query.at[:-1])
        whole = {key: filled(value, values) if isinstance(value, str) else value for key, value in target.items()}
        found.append(Asked(query.panel, by_uid[uid], whole, query.at))
    return found


def _at(body: Any, pointer: Pointer) -> dict[str, Any]:
    for part in pointer:
        body = body[part]
    return mapping(body)


@dataclass(frozen=True, slots=True)
class Backend:
    """A data source, asked as Grafana's plugin for it would, without Grafana."""

    source: Source
    client: Client

    def error(self, query: str, target: Mapping[str, Any] | None = None) -> str:
        """Why a query is not answered; empty when it is, also with nothing."""
        now = time.time()
        text_ = filled(query, BUILT_IN)
        span = {"start": f"{now - _HOUR:.0f}", "end": f"{now:.0f}"}
        if self.source.type == "prometheus":
            instant = mapping(target).get("instant") is True
            path, asked = ("/api/v1/query", {"query": text_}) if instant else ("/api/v1/query_range", {"query": text_, "step": "60", **span})
        elif self.source.type == "loki":
            path, asked = "/loki/api/v1/query_range", {"query": text_, "limit": "10", "start": f"{now - _HOUR:.0f}000000000", "end": f"{now:.0f}000000000"}
        elif self.source.type == "tempo":
            path, asked = "/api/search", {"q": text_, "limit": "20", **span}
        else:
            path, asked = "/api/v2/alerts", {"filter": text_} if text_ else {}
        try:
            answer = self.client.ask(path, asked)
        except WebError as error:
            return str(error)
        if answer.status != 200:
            return f"status {answer.status}: {' '.join(answer.text.split())[:200]}"
        body = answer.json
        if isinstance(body, dict) and body.get("status", "success") != "success":
            return f"{body.get('errorType')}: {body.get('error')}"
        return ""


def backend_of(platform: Platform, source: Source) -> Backend:
    """The server that a data source's URL leads to. Raises WebError for a URL that names no Service of the cluster."""
    parts = urlsplit(source.url)
    host = parts.hostname or ""
    labels = host.split(".")
    if len(labels) < 3 or labels[2] != "svc":
        raise WebError(f"{source.url} names no Service of the cluster")
    tls = Tls(_authority(platform), name=host) if parts.scheme == "https" else None
    port = parts.port or (443 if tls else 80)
    return Backend(source, Client(platform.forwards, f"svc/{labels[0]}", port, labels[1], tls=tls, host=host))


def _authority(platform: Platform) -> str:
    secret = platform.cluster.kubectl.json("get", "secrets", _AUTHORITY, f"--namespace={NAMESPACE}")
    return base64.b64decode(secret["data"]["ca.crt"]).decode()


@dataclass(frozen=True, slots=True)
class Grafana:
    """Grafana's API, as its administrator."""

    client: Client

    def health(self) -> str:
        """Why it is not healthy; empty when it is."""
        body = mapping(self.client.ask("/api/health").json)
        return "" if body.get("database") == "ok" else f"/api/health says {body}"

    def source_health(self, uid: str) -> str:
        """Why a data source is not healthy by its plugin's own check; empty when it is."""
        answer = self.client.ask(f"/api/datasources/uid/{uid}/health")
        body = mapping(answer.json)
        return "" if answer.status == 200 and body.get("status") == "OK" else f"status {answer.status}: {body.get('message') or body}"

    def proxied(self, uid: str, path: str) -> str:
        """Why a data source does not answer a path through Grafana's proxy; empty when it does."""
        answer = self.client.ask(f"/api/datasources/proxy/uid/{uid}{path}")
        return "" if answer.status == 200 else f"status {answer.status}: {answer.text[:200]}"

    def query(self, asked: Asked) -> str:
        """Why a panel would show an error; empty when it would not."""
        source = asked.source
        query = {"refId": "A", **asked.target, "datasource": {"type": source.type, "uid": source.uid}, "intervalMs": 30000, "maxDataPoints": 100}
        if source.type == "prometheus" and not query.get("instant"):
            query["range"] = True
        body = {"from": "now-1h", "to": "now", "queries": [query]}
        answer = self.client.ask("/api/ds/query", method="POST", body=json.dumps(body).encode(), headers={"Content-Type": "application/json"})
        said = mapping(answer.json)
        results = mapping(said.get("results"))
        errors = [text(mapping(each).get("error")) for each in results.values() if mapping(each).get("error")]
        if errors:
            return "; ".join(errors)
        return "" if answer.status == 200 and results else f"status {answer.status}: {said.get('message') or said}"

    def sources(self) -> dict[str, str]:
        """The data sources that it has: the type by the uid."""
        return {text(mapping(each).get("uid")): text(mapping(each).get("type")) for each in items(self.client.json("/api/datasources"))}

    def dashboards(self) -> set[str]:
        """The uids of the dashboards that it has."""
        return {text(mapping(each).get("uid")) for each in items(self.client.json("/api/search", {"type": "dash-db", "limit": "5000"}))}


def grafana_of(platform: Platform) -> Grafana:
    """The platform's Grafana. Raises RunError when its administrator's Secret cannot be read."""
    data = platform.cluster.kubectl.json("get", "secrets", _ADMINISTRATOR, f"--namespace={NAMESPACE}")["data"]
    user, password = (base64.b64decode(data[key]).decode() for key in ("admin-user", "admin-password"))
    return Grafana(Client(platform.forwards, "svc/grafana", 80, NAMESPACE, headers=basic(user, password)))
