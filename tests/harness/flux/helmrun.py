"""One release, rendered: helm is run, its output read, checked and post-rendered.

``helm template`` is what helm-controller does with the cluster left out. Three things are done differently on purpose. Values are
checked against the charts' schemas here and not by helm, so that every fault has its line and nothing is fetched from the network.
CRDs of ``crds/`` are read from the package, because they are nine tenths of the output and never change with values. CRDs in templates are
taken past helm for the same reason. And random and time functions are frozen (:mod:`harness.flux.templates`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.flux.chart import ChartError
from harness.flux.documents import Documents, split
from harness.flux.outcome import Gap, Outcome, Rendering, Trouble
from harness.flux.postrender import post_render
from harness.flux.rendered import ChartFacts, full_version, hook_events
from harness.flux.templates import frozen_pointers, lower, may_be_frozen
from harness.flux.tools import SHORT_LIVED, Output, ToolError, Tools, run
from harness.flux.valuecheck import check_schemas, coalesce, enabled, unknown_values
from harness.model import format_pointer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from harness.flux.packages import Package
    from harness.model import Pointer

_SOURCE: Final = re.compile(r"^# Source: [^/\n]+/(\S+)[^\n]*$", re.MULTILINE)
_VALUE_PATH: Final = re.compile(r"\.Values\.([A-Za-z0-9_.-]+)")
_NOISE: Final = re.compile(r"^(?:level=|WARN|time=|Use --debug flag|coalesce\.go|warning:)", re.IGNORECASE)
_MESSAGE: Final = 700
_CRD_GROUP: Final = "apiextensions.k8s.io"


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that determines a render, apart from the chart."""

    name: str
    namespace: str
    values: Mapping[str, Any]
    kubernetes_version: str
    api_versions: tuple[str, ...]
    post_renderers: Any
    post_render_strategy: str
    check_schema: bool
    crds: bool

    def json(self) -> list[Any]:
        """For digests."""
        return [
            self.name,
            self.namespace,
            self.values,
            self.kubernetes_version,
            list(self.api_versions),
            self.post_renderers,
            self.post_render_strategy,
            self.check_schema,
            self.crds,
        ]


def render(request: Request, package: Package, documents: Documents, tools: Tools) -> Outcome:
    """Render a release. Whatever is wrong with chart or values is in the outcome's troubles.

    Codes: ``helm-render``, ``helm-kube-version``, ``helm-timeout``, ``helm-tool``, ``helm-schema``, ``helm-output``,
    ``helm-duplicate-key``, ``helm-duplicate-object``, ``helm-post-render``, ``chart-corrupt``.
    """
    try:
        chart = package.chart
        coalesced = coalesce(chart, request.values)
        checked = check_schemas(chart, coalesced) if request.check_schema else None
        unknown = unknown_values(chart, request.values, package.files)
        crds, odd = _crds(package, coalesced, documents) if request.crds else ([], [])
        prepared, plain = package.prepared, package.path
    except ChartError as error:
        return Outcome(troubles=(Trouble("chart-corrupt", "chart", (), f"the chart is damaged: {error}"),))
    facts = ChartFacts(
        name=chart.name,
        version=chart.version,
        app_version=str(chart.metadata.get("appVersion") or ""),
        kube_version=str(chart.metadata.get("kubeVersion") or ""),
        deprecated=chart.metadata.get("deprecated") is True,
        digest=package.digest,
        schema_unread=tuple(f"{name}: {why}" for name, why in checked.unread) if checked else (),
    )
    faults = [
        Trouble("helm-schema", "values", fault.pointer, f"the chart's schema refuses {format_pointer(fault.pointer)}: {fault.message}")
        for fault in (checked.faults if checked else ())
    ]
    gaps = [Gap(-1, f"{name} in the chart's crds/ folder", "helm-controller ignores what is no CustomResourceDefinition there") for name in odd]
    gaps += [Gap(-1, f"the values schema of chart {name}", why) for name, why in (checked.unread if checked else ())]
    if faults:
        # Helm stops here, so there is nothing to render.
        return Outcome(troubles=tuple(faults), gaps=tuple(gaps), unknown=tuple(unknown), chart=facts)
    try:
        output = _helm(request, prepared.path, tools)
        if output.code != 0 and prepared.path != plain:
            # A template that does not stand what was changed in it is rendered as it is.
            again = _helm(request, plain, tools)
            if again.code == 0 and package.questions.random:
                gaps.append(Gap(-1, "values that random or time functions give", "the chart does not render with these functions frozen"))
            output = again
    except ToolError as error:
        return Outcome(troubles=(Trouble("helm-tool", "release", (), str(error)),), chart=facts)
    if output.code != 0:
        return Outcome(troubles=(_failure(output, request, plain),), gaps=tuple(gaps), unknown=tuple(unknown), chart=facts)
    rendered, troubles = _read(output.stdout, prepared.blocks, documents)
    rendered, more = _post_rendered(rendered, request, tools)
    troubles += more
    found = [*crds, *rendered]
    gaps += _uncertain(found, package, output.stdout)
    return Outcome(tuple(found), tuple(troubles), tuple(gaps), tuple(unknown), facts)


def _helm(request: Request, path: Path, tools: Tools) -> Output:
    arguments = ["template", request.name, str(path), "--namespace", request.namespace or "default", "--values", "-", "--skip-schema-validation"]
    arguments += ["--kube-version", full_version(request.kubernetes_version)]
    if request.api_versions:
        arguments += ["--api-versions", ",".join(request.api_versions)]
    return run(tools.helm, arguments, stdin=json.dumps(request.values).encode(), env=SHORT_LIVED)


def _failure(output: Output, request: Request, path: Path) -> Trouble:
    if output.timed_out:
        return Trouble("helm-timeout", "chart", (), "helm did not finish rendering in time")
    text = output.stderr.replace(str(path), "chart")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not _NOISE.match(line.strip())]
    message = " ".join(lines).removeprefix("Error: ") or f"helm ended with code {output.code}"
    message = message if len(message) <= _MESSAGE else f"{message[:_MESSAGE]}…"
    if message.startswith("chart requires kubeVersion"):
        return Trouble("helm-kube-version", "chart", (), message)
    for match in _VALUE_PATH.finditer(text):
        pointer = _known(request.values, tuple(match[1].strip(".").split(".")))
        if pointer:
            return Trouble("helm-render", "values", pointer, message)
    return Trouble("helm-render", "release", (), message)


def _known(values: Any, path: tuple[str, ...]) -> Pointer:
    """The longest part of a path that the release's own values have."""
    found: list[str | int] = []
    for part in path:
        if not isinstance(values, dict) or part not in values:
            break
        found.append(part)
        values = values[part]
    return tuple(found)


def _read(text: str, blocks: Mapping[str, str], documents: Documents) -> tuple[list[Rendering], list[Trouble]]:
    """The objects in helm's output, lists taken apart as the API server's client does it."""
    found: list[Rendering] = []
    troubles: list[Trouble] = []
    for piece in split(text):
        source = _SOURCE.search(piece[:500])
        template = source[1] if source else ""
        content = piece[source.end() + 1 :] if source else piece.lstrip("\n")
        read = documents.read(lower(content, blocks))
        for fault in read.faults:
            if fault.code == "yaml-duplicate-key":
                message = f"{template} renders a duplicate key, which helm-controller's post-rendering refuses: {fault.message}"
                troubles.append(Trouble("helm-duplicate-key", "chart", (), message))
            else:
                troubles.append(Trouble("helm-output", "chart", (), f"{template} renders what is no Kubernetes object: {fault.message}"))
        if not read.body:
            continue
        for body in _items(read.body):
            if isinstance(body.get("kind"), str) and isinstance(body.get("apiVersion"), str) and isinstance(body.get("metadata"), dict):
                found.append(Rendering(body, template, read.key if read.large and body is read.body and not read.faults else ""))
            else:
                troubles.append(Trouble("helm-output", "chart", (), f"{template} renders a document without apiVersion, kind or metadata"))
    return found, troubles


def _items(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    items = body.get("items")
    if isinstance(items, list) and str(body.get("kind", "")).endswith("List") and "metadata" not in body.get("spec", {}):
        for item in items:
            if isinstance(item, dict):
                yield from _items(item)
    else:
        yield body


def _crds(package: Package, coalesced: Mapping[str, Any], documents: Documents) -> tuple[list[Rendering], list[str]]:
    """The CRDs in the ``crds/`` folders of the charts that are used, and the names of other objects there."""
    found: list[Rendering] = []
    odd: list[str] = []
    for path, part in enabled(package.chart, coalesced):
        prefix = "".join(f"charts/{key}/" for key in path)
        for name, text in part.crds:
            for piece in split(text):
                read = documents.read(piece.lstrip("\n"))
                if not read.body:
                    continue
                for body in _items(read.body):
                    if body.get("kind") == "CustomResourceDefinition" and str(body.get("apiVersion", "")).startswith(_CRD_GROUP):
                        found.append(Rendering(body, prefix + name, read.key if read.large and body is read.body else "", crd=True))
                    else:
                        odd.append(f"{body.get('kind')} {name}")
    return found, odd


def _post_rendered(rendered: list[Rendering], request: Request, tools: Tools) -> tuple[list[Rendering], list[Trouble]]:
    """What post-rendering leaves, and what it refuses. helm-controller post-renders every release, at least to add its labels."""
    hooks = [bool(hook_events(item.body)) for item in rendered]
    combined = request.post_render_strategy in ("", "combined")
    troubles = [
        Trouble("helm-duplicate-object", "chart", (), f"the chart renders {name} twice, which helm-controller's post-rendering refuses")
        for name in _duplicates(rendered, hooks, combined, request)
    ]
    if not request.post_renderers:
        return rendered, troubles
    chosen = [index for index, hook in enumerate(hooks) if not hook or request.post_render_strategy != "nohooks"]
    result = post_render([rendered[index].body for index in chosen], request.post_renderers, tools)
    if result.problem is not None:
        pointer, message = result.problem
        troubles.append(Trouble("helm-post-render", "release", pointer, f"kustomize refuses the post-renderer: {message}"[:_MESSAGE]))
        return rendered, troubles
    kept: list[Rendering] = []
    after = dict(zip(chosen, zip(result.bodies, result.patched, strict=True), strict=True))
    for index, item in enumerate(rendered):
        body, patched = after.get(index, (item.body, ()))
        if body is item.body:
            kept.append(item)
        elif body is not None:
            kept.append(Rendering(body, item.template, "", item.crd, patched))
    return kept, troubles


def _duplicates(rendered: list[Rendering], hooks: list[bool], combined: bool, request: Request) -> list[str]:
    seen: set[tuple[Any, ...]] = set()
    twice: dict[str, None] = {}
    for item, hook in zip(rendered, hooks, strict=True):
        if hook and request.post_render_strategy == "nohooks":
            continue
        metadata = item.body["metadata"]
        namespace = str(metadata.get("namespace") or "")
        key = (combined or hook, item.body["apiVersion"], item.body["kind"], namespace, metadata.get("name"))
        if key in seen and metadata.get("name"):
            twice[f"{item.body['kind']} {namespace + '/' if namespace else ''}{metadata.get('name')}"] = None
        seen.add(key)
    return list(twice)


def _uncertain(found: list[Rendering], package: Package, text: str) -> list[Gap]:
    """What a cluster gets differently: values of frozen functions, and objects of templates that look into the cluster."""
    asked = package.questions
    frozen = bool(asked.random) and may_be_frozen(text)
    gaps: list[Gap] = []
    for index, item in enumerate(found):
        template = _by_chart_names(item.template, package)
        if frozen and item.body.get("kind") != "CustomResourceDefinition":
            pointers = [format_pointer(pointer) for pointer in frozen_pointers(item.body)]
            if pointers:
                gaps.append(Gap(index, f"the value of {', '.join(pointers)}", "the chart makes it at random or from the time, anew in every cluster"))
        if template in asked.lookups:
            gaps.append(Gap(index, "fields that depend on what is in the cluster", f"{item.template} calls lookup, which finds nothing outside of a cluster"))
    return gaps


def _by_chart_names(template: str, package: Package) -> str:
    """A template's path with the names of sub-charts in place of their aliases."""
    if "charts/" not in template:
        return template
    parts = template.split("/")
    chart = package.chart
    for index in range(1, len(parts), 2):
        if parts[index - 1] != "charts":
            break
        name = next((dependency.name for dependency in chart.dependencies if dependency.key == parts[index]), parts[index])
        child = next((child for child in chart.children if child.name == name), None)
        parts[index] = name
        if child is None:
            break
        chart = child
    return "/".join(parts)
