"""One request and what is left of it: a client's trace, followed through the access log, the application's log, its spans and its metrics.

Source of the header: W3C Trace Context, ``traceparent``.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.live.findings import NotEvaluatedError
from harness.live.reach.forwards import Client
from harness.live.reach.run import RunError
from harness.live.reach.wait import Clock
from harness.live.reach.web import Tls, WebError, request
from harness.live.telemetry.loki import Loki
from harness.live.telemetry.metrics import prometheus_of
from harness.live.telemetry.stores import Tempo, exemplars

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from harness.live.bringup import Platform
    from harness.live.telemetry.loki import Entry
    from harness.live.telemetry.stores import Span

_BILLION: Final = 1_000_000_000
#: Seconds in which a pod that was replaced answers.
_REPLACED: Final = 30.0
#: The two that make spans of a request, as they call themselves.
INGRESS, APPLICATION = "ingress-nginx", "podinfo"
#: What requests are sent with: few others are, so that theirs is a series of its own, in whose few exemplars it does not get lost among a load.
METHOD: Final = "POST"
#: The signals of a request from outside, each with the seconds within which it must be there.
BUDGETS: Final[Mapping[str, float]] = {
    # The shipper gathers 2 s; podinfo's lines also wait 3 s for the end of a block.
    "ingress log": 20.0,
    "application log": 20.0,
    # Senders gather 5 s, the collector 2 s.
    "ingress span": 20.0,
    "application span": 20.0,
    # And what is made of spans is sent every 15 s.
    "ingress metric": 40.0,
    "application metric": 40.0,
}
#: A span, and a record of a log, that are handed to the collector directly.
DIRECT: Final = "direct span"
RECORD: Final = "direct record"


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace that a client begins. Ids in hexadecimal."""

    trace: str
    span: str

    @property
    def header(self) -> str:
        """The value of ``traceparent``, sampled."""
        return f"00-{self.trace}-{self.span}-01"


def begin() -> Trace:
    """A trace that nobody else has."""
    return Trace(secrets.token_hex(16), secrets.token_hex(8))


class Signals:
    """What is looked at for a request to an application behind the ingress, in the stores of the platform."""

    def __init__(self, platform: Platform, *, clock: Clock | None = None) -> None:
        """Raises NotEvaluatedError where the tenant's application or the listener's address is not there."""
        kubectl = platform.cluster.kubectl
        item = platform.world.find("Ingress.networking.k8s.io", "tenant-a", "podinfo")
        services = [body for body in kubectl.list("services", namespace="ingress-nginx") if body["spec"].get("type") == "LoadBalancer"]
        addresses = [str(entry.get("ip")) for body in services for entry in body.get("status", {}).get("loadBalancer", {}).get("ingress") or ()]
        if item is None or not addresses:
            raise NotEvaluatedError("tenant-a/podinfo", "a request from outside", "there is no Ingress of it, or no address that nginx listens at")
        self.host = str(item.get("spec", "rules", 0, "host"))
        self._address = (addresses[0], 443)
        self._clock = clock or Clock()
        self.loki, self.tempo = Loki(platform.forwards), Tempo(platform.forwards)
        self.prometheus = prometheus_of(platform)
        # The CA of the platform's certificates, as Prometheus has it.
        self._authority = self.prometheus.client.tls
        self.collector = Client(platform.forwards, "svc/opentelemetry-collector", 4318, "opentelemetry")

    def send(self, path: str = "/headers", *, method: str = METHOD) -> Trace:
        """One HTTPS request from outside, as part of a new trace. Raises WebError when none is answered with 200, although pods may just have been replaced."""
        tls, start = Tls(self._authority.authority if self._authority else None), self._clock.now()
        while True:
            made = begin()
            answer = request(self._address, self.host, path, method=method, headers={"traceparent": made.header}, tls=tls)
            if answer.status == 200:
                return made
            if self._clock.now() - start > _REPLACED:
                raise WebError(f"{self.host}{path}: status {answer.status}")
            self._clock.sleep(1.0)

    def hand_over(self, span: Mapping[str, Any], *, service: str) -> None:
        """Give the collector a span over OTLP/HTTP. Raises WebError when it does not take it."""
        body = {"resourceSpans": [{"resource": {"attributes": attributes({"service.name": service})}, "scopeSpans": [{"spans": [span]}]}]}
        self.collector.json("/v1/traces", method="POST", body=json.dumps(body).encode())

    def record(self, made: Trace, text: str, *, service: str) -> None:
        """Give the collector a record of a log over OTLP/HTTP. Raises WebError when it does not take it."""
        own = {"timeUnixNano": str(time.time_ns()), "body": {"stringValue": text}, "traceId": made.trace, "spanId": made.span}
        body = {"resourceLogs": [{"resource": {"attributes": attributes({"service.name": service})}, "scopeLogs": [{"logRecords": [own]}]}]}
        self.collector.json("/v1/logs", method="POST", body=json.dumps(body).encode())

    def records(self, made: Trace, *, service: str) -> list[Entry]:
        """The records of a trace in Loki that a service handed over. Raises WebError."""
        return self.loki.entries(f'{{service_name="{service}"}} | trace_id="{made.trace}"')

    def look(self, signal: str, made: Trace) -> str:
        """Whether a signal of a request is there: empty text when it is, else what is there instead."""
        try:
            return self._looks[signal](made)
        except (WebError, RunError) as error:
            return str(error)

    def follow(self, made: Trace, budgets: Mapping[str, float]) -> tuple[dict[str, str], dict[str, float]]:
        """Look until every signal is there or its time is up. What was seen last of each (empty text: it is there), and after how many seconds."""
        start, seen, after = self._clock.now(), dict.fromkeys(budgets, "not looked at"), {}
        while True:
            for signal in [name for name in budgets if name not in after]:
                seen[signal] = self.look(signal, made)
                waited = self._clock.now() - start
                if not seen[signal] or waited > budgets[signal]:
                    after[signal] = waited
            if len(after) == len(budgets):
                return seen, after
            self._clock.sleep(1.0)

    @property
    def _looks(self) -> Mapping[str, Callable[[Trace], str]]:
        return {
            "ingress log": self._ingress_log,
            "application log": self._application_log,
            "ingress span": lambda made: self._span(made, INGRESS),
            "application span": lambda made: self._span(made, APPLICATION),
            "ingress metric": lambda made: self._exemplar(made, INGRESS),
            "application metric": lambda made: self._exemplar(made, APPLICATION),
            DIRECT: lambda made: "" if self.tempo.spans(made.trace) else "the trace is not in Tempo",
            RECORD: lambda made: "" if self.records(made, service="proof") else "the record is not in Loki",
        }

    def _ingress_log(self, made: Trace) -> str:
        found = self.loki.entries(f'{{namespace="ingress-nginx"}} | trace_id="{made.trace}"')
        if not found:
            return "no line of the access log names the trace"
        # nginx has put its own span where the client's was.
        said = json.loads(found[0].line)
        if made.trace not in str(said.get("traceparent")) or said.get("host") != self.host:
            return f"the access log says traceparent {said.get('traceparent')}, host {said.get('host')}"
        if found[0].metadata.get("status") != "200":
            return f"the access log says status {found[0].metadata.get('status')}"
        return _named(found, INGRESS)

    def _application_log(self, made: Trace) -> str:
        found = self.loki.entries(f'{{namespace="tenant-a", app="podinfo"}} | trace_id="{made.trace}"')
        return _named(found, APPLICATION) if found else "no line of the application names the trace"

    def _span(self, made: Trace, service: str) -> str:
        spans = self.tempo.spans(made.trace)
        own = [span for span in spans if span.service == service]
        if not own:
            return f"of {service} nothing in the trace, which has spans of {_several(span.service for span in spans)}"
        return misplaced(spans, own, made, service)

    def _exemplar(self, made: Trace, service: str) -> str:
        found = exemplars(self.prometheus, f'traces_span_metrics_duration_seconds_bucket{{service_name="{service}"}}')
        mine = [series for series, exemplar in found if exemplar.get("trace_id") == made.trace]
        if not mine:
            return f"no exemplar of {service} names the trace ({len(found)} others do)"
        wanted = {"http_request_method": METHOD, "http_response_status_code": "200"}
        if not any(wanted.items() <= series.items() for series in mine):
            return f"an exemplar of {service}, but on series without {', '.join(wanted)}: {mine[0]}"
        calls = self.prometheus.query(f'sum(traces_span_metrics_calls_total{{service_name="{service}"}}) > 0')
        return "" if calls else f"an exemplar, but no calls of {service}"


def misplaced(spans: Iterable[Span], own: Iterable[Span], made: Trace, service: str) -> str:
    """Why the spans of a service do not hang where they must: nginx's on the client's, the application's on nginx's where that is there."""
    ids = {span.span: span for span in spans}
    for span in own:
        above = ids.get(span.parent)
        if service == INGRESS and span.parent == made.span:
            return ""
        if service == APPLICATION and above is not None and above.service in (INGRESS, APPLICATION):
            return ""
    parents = {span.parent for span in own}
    # Where nginx's span did not arrive, its id is still the parent of the application's.
    if service == APPLICATION and not any(span.service == INGRESS for span in ids.values()) and parents - {made.span, ""}:
        return ""
    return f"the spans of {service} hang on {_several(parents)}, not on the span before"


def attributes(values: Mapping[str, str]) -> list[dict[str, Any]]:
    """Attributes as OTLP in JSON has them."""
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]


def span_of(made: Trace, name: str, values: Mapping[str, str], *, now: int | None = None) -> dict[str, Any]:
    """A server's span of a trace as OTLP in JSON has it, that ended just now."""
    end = now if now is not None else time.time_ns()
    times = {"startTimeUnixNano": str(end - _BILLION // 100), "endTimeUnixNano": str(end)}
    return {"traceId": made.trace, "spanId": made.span, "name": name, "kind": 2, **times, "attributes": attributes(values)}


def _named(entries: Iterable[Entry], service: str) -> str:
    """Why the way from a trace to its logs does not lead to entries: it goes by the name of the service, which the two must share."""
    names = {entry.labels.get("service_name", "") for entry in entries}
    return "" if names == {service} else f"the lines are of service_name {_several(names)}, the spans of {service}"


def _several(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names))) or "nobody"
