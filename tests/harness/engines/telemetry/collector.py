"""The OpenTelemetry Collector's configuration: what of it does not start, does nothing, or does it in an order that loses data.

Source: the Collector's documentation and source (``service/internal/graph``, ``otelcol/config.go``, 0.158): components and pipelines, connectors, and
the recommended order of processors (``processor/README.md``; the README files of memory_limiter, batch, k8s_attributes and tail_sampling).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.model import Pointer

SECTIONS: Final = ("receivers", "processors", "exporters", "connectors", "extensions")
SIGNALS: Final = ("traces", "metrics", "logs", "profiles")
#: Components that have an old and a new name: the new one is meant by both.
_RENAMED: Final = {
    "k8sattributes": "k8s_attributes", "filelog": "file_log", "resourcedetection": "resource_detection", "spanmetrics": "span_metrics",
    "servicegraph": "service_graph", "otlp": "otlp", "otlphttp": "otlp_http", "otlp_grpc": "otlp_grpc", "tailsampling": "tail_sampling",
}  # fmt: skip
#: From which signal a connector makes which; the others hand on what they get.
_MAKES: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "span_metrics": (("traces",), ("metrics",)),
    "service_graph": (("traces",), ("metrics",)),
    "exceptions": (("traces",), ("metrics", "logs")),
    "count": (SIGNALS, ("metrics",)),
    "sum": (SIGNALS, ("metrics",)),
    "signal_to_metrics": (SIGNALS, ("metrics",)),
    "signaltometrics": (SIGNALS, ("metrics",)),
    "datadog": (("traces",), ("metrics", "traces")),
    "grafanacloud": (("traces",), ("metrics",)),
    "otlpjson": (("logs",), SIGNALS),
}
_PASSES_ON: Final = frozenset({"forward", "routing", "failover", "roundrobin", "round_robin"})
#: Processors that throw away whole items, or wait for the rest of a trace: what comes before them must see everything, what batches comes after.
_SAMPLERS: Final = frozenset({"tail_sampling", "probabilistic_sampler", "filter", "groupbytrace", "group_by_trace"})
_NEED_CONNECTION: Final = frozenset({"k8s_attributes"})
_LOSE_CONNECTION: Final = frozenset({"batch", "tail_sampling", "groupbytrace", "group_by_trace"})
_ENV: Final = re.compile(r"(?<!\$)\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class Fault(NamedTuple):
    """One thing that is wrong. ``at`` points into the configuration; ``fatal`` says that the Collector does not start."""

    at: Pointer
    found: str
    expect: str
    fatal: bool = True


def is_collector(body: Mapping[str, Any]) -> bool:
    """Whether a configuration is one of the Collector's."""
    service = body.get("service")
    return isinstance(service, dict) and isinstance(service.get("pipelines"), dict) and ("receivers" in body or "connectors" in body)


def type_of(component: str) -> str:
    """The type of a component, by its present name: ``span_metrics`` of ``spanmetrics/apm``."""
    kind = component.split("/", 1)[0].strip()
    return _RENAMED.get(kind, kind)


def pipelines(body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The pipelines by name, in their order."""
    for name, pipeline in mapping(mapping(body.get("service")).get("pipelines")).items():
        yield str(name), mapping(pipeline)


def _names(pipeline: Mapping[str, Any], section: str) -> list[str]:
    return [str(name) for name in items(pipeline.get(section))]


def faults(body: Mapping[str, Any]) -> Iterator[Fault]:
    """What is wrong with the wiring: components that are used and not declared, declared and not used, pipelines without ends, connectors, circles."""
    declared = {section: mapping(body.get(section)) for section in SECTIONS}
    both = sorted(declared["connectors"].keys() & (declared["receivers"].keys() | declared["exporters"].keys()))
    for name in both:
        yield Fault(("connectors", name), f"{name} is a connector and a receiver or exporter", "different names")
    used: dict[str, set[str]] = {section: set() for section in SECTIONS}
    found = list(pipelines(body))
    if not found:
        yield Fault(("service",), "no pipeline", "at least one pipeline")
    for name, pipeline in found:
        at = ("service", "pipelines", name)
        if name.split("/")[0] not in SIGNALS:
            yield Fault(at, f"pipeline {name} is of no signal", f"a name that starts with {', '.join(SIGNALS)}")
        for section in ("receivers", "exporters"):
            if not _names(pipeline, section):
                yield Fault(at, f"pipeline {name} has no {section}", f"at least one of {section}")
        for section in ("receivers", "processors", "exporters"):
            names = _names(pipeline, section)
            for index, component in enumerate(names):
                if component in names[:index]:
                    yield Fault((*at, section, index), f"{component} is there twice", "each component once")
                if component in declared[section]:
                    used[section].add(component)
                elif section != "processors" and component in declared["connectors"]:
                    used["connectors"].add(component)
                else:
                    yield Fault((*at, section, index), f"{component} is not among the {section}", f"a component that {section} declares")
    extensions = [str(name) for name in items(mapping(body.get("service")).get("extensions"))]
    for index, name in enumerate(extensions):
        if name not in declared["extensions"]:
            yield Fault(("service", "extensions", index), f"{name} is not among the extensions", "an extension that is declared")
    used["extensions"] = set(extensions)
    for section in SECTIONS:
        for name in declared[section]:
            if name not in used[section]:
                yield Fault(
                    (section, name),
                    f"{name} is declared and no {'pipeline' if section != 'extensions' else 'service'} uses it",
                    "use it, or leave it out",
                    fatal=False,
                )
    yield from _connectors(found, declared["connectors"])


def _connectors(found: list[tuple[str, Mapping[str, Any]]], declared: Mapping[str, Any]) -> Iterator[Fault]:
    edges: dict[str, set[str]] = {}
    for name in declared:
        into = [pipeline for pipeline, body in found if name in _names(body, "exporters")]
        out = [pipeline for pipeline, body in found if name in _names(body, "receivers")]
        if bool(into) != bool(out):
            side, other = ("exporter", "receiver") if into else ("receiver", "exporter")
            yield Fault(("connectors", name), f"{name} is an {side} and no {other}".replace("an receiver", "a receiver"), f"a pipeline that has it as {other}")
        kind = type_of(name)
        for source in into:
            for target in out:
                pair = source.split("/")[0], target.split("/")[0]
                edges.setdefault(source, set()).add(target)
                known = _MAKES.get(kind)
                wrong = (known is not None and (pair[0] not in known[0] or pair[1] not in known[1])) or (kind in _PASSES_ON and pair[0] != pair[1])
                if wrong:
                    yield Fault(("connectors", name), f"{name} leads from {source} to {target}", _makes(kind))
    circle = _circle(edges)
    if circle:
        yield Fault(("service", "pipelines", circle[0]), f"pipelines in a circle: {' -> '.join(circle)}", "connectors that lead one way")


def _makes(kind: str) -> str:
    if kind in _PASSES_ON:
        return "pipelines of the same signal"
    takes, gives = _MAKES[kind]
    return f"{kind} makes {' or '.join(gives)} of {' or '.join(takes)}"


def _circle(edges: Mapping[str, set[str]]) -> list[str]:
    """A circle, or an empty list."""
    done: set[str] = set()
    path: list[str] = []

    def visit(node: str) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        path.append(node)
        for after in sorted(edges.get(node, ())):
            found = visit(after)
            if found:
                return found
        done.add(path.pop())
        return []

    return next((found for node in sorted(edges) if (found := visit(node))), [])


def order_faults(body: Mapping[str, Any]) -> Iterator[Fault]:
    """What is wrong with the order of processors. Nothing here keeps the Collector from starting."""
    receivers = mapping(body.get("receivers"))
    for name, pipeline in pipelines(body):
        at = ("service", "pipelines", name, "processors")
        processors = _names(pipeline, "processors")
        kinds = [type_of(each) for each in processors]
        takes = any(each in receivers for each in _names(pipeline, "receivers"))
        if "memory_limiter" in kinds and kinds[0] != "memory_limiter":
            index = kinds.index("memory_limiter")
            yield Fault((*at, index), f"memory_limiter comes after {processors[0]}", "memory_limiter first: before it nothing is refused", fatal=False)
        elif "memory_limiter" not in kinds and takes:
            where = at if processors else at[:-1]
            yield Fault(where, f"pipeline {name} has no memory_limiter", "memory_limiter first: without it a burst ends in an OOM kill", fatal=False)
        for index, kind in enumerate(kinds):
            before = kinds[:index]
            if kind in _SAMPLERS and "batch" in before:
                yield Fault((*at, index), f"{processors[index]} comes after batch", "batch last: what is thrown away is batched for nothing", fatal=False)
            lost = [processors[position] for position, each in enumerate(before) if each in _LOSE_CONNECTION]
            if kind in _NEED_CONNECTION and lost:
                yield Fault((*at, index), f"{processors[index]} comes after {lost[0]}", "before it: the sender's address is lost there", fatal=False)
            if kind == "tail_sampling" and any(each in ("k8s_attributes", "resource", "resource_detection") for each in kinds[index:]):
                yield Fault((*at, index), "tail_sampling comes before what adds attributes", "after it: policies see the attributes", fatal=False)


def setting_faults(body: Mapping[str, Any], memory: float | None) -> Iterator[Fault]:
    """What is wrong with single settings. ``memory`` is the container's limit in bytes, None when it has none."""
    for name, config in mapping(body.get("processors")).items():
        settings, at = mapping(config), ("processors", str(name))
        if type_of(str(name)) == "memory_limiter":
            yield from _limiter(settings, at, memory)
        if type_of(str(name)) == "batch":
            size, most = settings.get("send_batch_size", 8192), settings.get("send_batch_max_size", 0)
            if isinstance(size, int) and isinstance(most, int) and 0 < most < size:
                yield Fault((*at, "send_batch_max_size"), f"send_batch_max_size {most} is below send_batch_size {size}", f"{size} or more, or 0")


def _limiter(settings: Mapping[str, Any], at: Pointer, memory: float | None) -> Iterator[Fault]:
    limit, percentage = settings.get("limit_mib"), settings.get("limit_percentage")
    if not limit and not percentage:
        yield Fault(at, "neither limit_mib nor limit_percentage", "a limit")
    if text(settings.get("check_interval", "0s")) in ("0", "0s", "") and "check_interval" not in settings:
        yield Fault(at, "no check_interval", "check_interval: 1s: without it nothing is checked")
    if isinstance(limit, int) and memory is not None and limit * 1024**2 >= memory:
        found = f"limit_mib: {limit}, and the container's limit is {memory / 1024**2:.0f} MiB"
        yield Fault((*at, "limit_mib"), found, "well below the container's limit: the kernel is faster", fatal=False)
    if percentage and not limit and memory is None:
        yield Fault(
            (*at, "limit_percentage"), "limit_percentage, and the container has no memory limit", "a limit: this is a part of the node's memory", fatal=False
        )
    spike = settings.get("spike_limit_mib")
    if isinstance(spike, int) and isinstance(limit, int) and limit and spike >= limit:
        yield Fault((*at, "spike_limit_mib"), f"spike_limit_mib {spike} is not below limit_mib {limit}", f"below {limit}")
    part = settings.get("spike_limit_percentage")
    if isinstance(part, int) and isinstance(percentage, int) and part >= percentage:
        yield Fault((*at, "spike_limit_percentage"), f"spike_limit_percentage {part} is not below limit_percentage {percentage}", f"below {percentage}")


def variables(value: Any, at: Pointer = ()) -> Iterator[tuple[Pointer, str]]:
    """The environment variables without a default that a configuration takes, each with its pointer (``$$`` escapes)."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from variables(item, (*at, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from variables(item, (*at, index))
    elif isinstance(value, str):
        for name, default in _ENV.findall(value):
            if not default:
                yield at, name


def files(value: Any, at: Pointer = ()) -> Iterator[tuple[Pointer, str]]:
    """The files that a configuration reads (``ca_file``, ``cert_file``, ``key_file`` and their like)."""
    if isinstance(value, dict):
        for key, item in value.items():
            here = (*at, str(key))
            if str(key).endswith("_file") and isinstance(item, str) and item.startswith("/"):
                yield here, item
            else:
                yield from files(item, here)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from files(item, (*at, index))


def listeners(body: Mapping[str, Any]) -> Iterator[tuple[Pointer, str, int]]:
    """The ports that receivers and extensions listen on, each with its pointer and host."""
    for section in ("receivers", "extensions"):
        for name, config in mapping(body.get(section)).items():
            if section == "receivers" and type_of(str(name)) not in _SERVERS:
                continue
            if section == "extensions" and type_of(str(name)) not in ("health_check", "healthcheckv2", "pprof", "zpages"):
                continue
            yield from _listening(config, (section, str(name)))


#: Receivers whose ``endpoint`` is an address to listen on; that of others is one to ask.
_SERVERS: Final = frozenset(
    {"otlp", "jaeger", "zipkin", "opencensus", "otelarrow", "fluentforward", "statsd", "syslog", "tcplog", "udplog", "loki", "splunk_hec"}
)


def _listening(config: Any, at: Pointer) -> Iterator[tuple[Pointer, str, int]]:
    for key, item in mapping(config).items():
        here = (*at, str(key))
        if key in ("endpoint", "listen_address") and isinstance(item, str):
            host, colon, port = item.rpartition(":")
            if colon and port.isdigit():
                yield here, host, int(port)
        elif isinstance(item, dict):
            yield from _listening(item, here)


def endpoints(body: Mapping[str, Any]) -> Iterator[tuple[Pointer, str, str]]:
    """The addresses that exporters send to, each with its pointer and the exporter's type."""
    for name, config in mapping(body.get("exporters")).items():
        kind = type_of(str(name))
        for key in ("endpoint", "traces_endpoint", "metrics_endpoint", "logs_endpoint", "profiles_endpoint"):
            value = mapping(config).get(key)
            if isinstance(value, str) and value:
                yield ("exporters", str(name), key), value, kind
