"""HelmReleases, rendered into the objects their cluster gets.

Source: helm-controller 1.6 (``internal/action``, ``internal/postrender``) on Helm 4.2.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from harness.flux.cache import Cache, digest
from harness.flux.charts import ChartRef, Charts, resolve, version_differs
from harness.flux.documents import Documents
from harness.flux.helmrun import Request, render
from harness.flux.makers import mapping
from harness.flux.outcome import Gap, Outcome, Rendering, Trouble, from_json, to_json
from harness.flux.provenance import Provenance
from harness.flux.recall import recalled
from harness.flux.rendered import ApiView, ChartFacts, MakerView, Rendered, View, full_version, hook_events, release_name, release_namespace, runs
from harness.flux.values import Values, compose
from harness.model import Link, Location, NotEvaluated, Object, ObjectId, Origin, Pointer, Problem, fixed, group_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.flux.lock import Lock
    from harness.flux.packages import Package
    from harness.flux.tools import Tools

__all__ = ["ApiView", "ChartFacts", "HelmRenderer", "Rendered", "View"]

#: Bumped when a render is kept or read differently; with helm's version it makes older entries of the cache unreachable.
_FORMAT: Final = 1
_GROUP: Final = "helm.toolkit.fluxcd.io"
#: Reasons to look into the lock: the chart exists, and is not here.
_NOT_HERE: Final = ("chart-missing", "chart-unreachable")


class HelmRenderer:
    """Renders releases. Safe to share between threads and clusters; identical renders are made once."""

    def __init__(self, charts: Charts, cache: Cache, tools: Tools, lock: Lock | None) -> None:
        """``lock``: None when the repository has none, or when it is being written."""
        self._charts = charts
        self._cache = cache
        self._tools = tools
        self._lock = lock
        self._documents = Documents(cache)
        self._guard = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}
        self._known: dict[str, Outcome] = {}

    def render(self, release: Object, view: View) -> Rendered:
        """What a HelmRelease gives its cluster. Never raises for what repository or chart hold."""
        name, namespace = release_name(release), release_namespace(release)
        nothing = Rendered(release, name, namespace)
        ref = resolve(release, view)
        values = compose(release, view.find, view.maker) if isinstance(view, MakerView) else compose(release, view.find)
        if isinstance(ref, Problem):
            return replace(nothing, problems=(ref, *values.problems), not_evaluated=values.unresolved, values=values)
        if values.problems:
            # helm-controller renders nothing when a reference to values fails.
            return replace(nothing, problems=values.problems, not_evaluated=values.unresolved, values=values)
        request = _request(release, view, values)
        package = self._charts.fetch(ref)
        inputs = _inputs(ref, request, package)
        if isinstance(package, Problem):
            return self._from_lock(replace(nothing, inputs=inputs, values=values), ref, package, view)
        key, outcome = self._outcome(_asked(request, package, view), package)
        if version_differs(ref, outcome.chart.version if outcome.chart else ref.version):
            message = f"the tag {ref.version} is not the chart's version {outcome.chart.version if outcome.chart else ''}, which helm-controller refuses"
            outcome = replace(outcome, troubles=(*outcome.troubles, Trouble("chart-version", "chart", (), message)))
        rendered = _placed(replace(nothing, inputs=inputs, values=values, source="render"), ref, outcome, view, elided=False)
        if self._lock is not None:
            problems = self._lock.verify(rendered.release, inputs, outcome, values.values, self._cache, key)
            rendered = replace(rendered, problems=(*rendered.problems, *problems))
        return rendered

    def _from_lock(self, nothing: Rendered, ref: ChartRef, missing: Problem, view: View) -> Rendered:
        if self._lock is None or missing.code not in _NOT_HERE:
            return _with_problem(nothing, missing)
        locked = self._lock.read(nothing.release)
        if locked is None:
            message = f"chart {ref.label} is not at hand, and the lock does not have this release: run `nox -s lock` where the chart can be had"
            return _with_problem(nothing, replace(missing, code="lock-missing", message=message))
        known = nothing.values.values if nothing.values is not None else {}
        documents = tuple(replace(item, body=recalled(item.body, known)) for item in locked.outcome.documents)
        rendered = _placed(replace(nothing, source="lock"), ref, replace(locked.outcome, documents=documents), view, elided=True)
        if locked.inputs == nothing.inputs:
            return rendered
        chart = locked.outcome.chart
        same = chart is not None and chart.version.removeprefix("v") == ref.version.removeprefix("v").replace("_", "+")
        where = self._lock.place(nothing.release) if same else ref.location
        what = "the values of this release, or what else goes into its render," if same else f"chart {ref.label}"
        message = f"{what} changed since the lock was written: run `nox -s lock`"
        return replace(rendered, problems=(*rendered.problems, Problem("lock-stale", str(nothing.release.id), where, message)))

    def _outcome(self, request: Request, package: Package) -> tuple[str, Outcome]:
        """The render, and its key in the cache."""
        key = digest("render", _FORMAT, package.digest, self._tools.helm_version, request.json())
        with self._guard:
            turn = self._turns.setdefault(key, threading.Lock())
        with turn:
            known = self._known.get(key)
            if known is None:
                kept = self._cache.get_json("render", key)
                known = from_json(kept, self._documents.recall) if kept is not None else None
                if known is None:
                    known = render(request, package, self._documents, self._tools)
                    # A render that failed for want of a program or of time may succeed the next time.
                    if not any(item.code in ("helm-tool", "helm-timeout") for item in known.troubles):
                        self._cache.put_json("render", key, to_json(known))
                self._known[key] = known
        return key, known


def _asked(request: Request, package: Package, view: View) -> Request:
    """The request with the APIs that the chart asks for and the cluster has; with all of them when the chart looks at the whole set.

    Only the answers a chart can notice are in the request, so that a CRD more in the cluster does not make every render new.
    """
    if not isinstance(view, ApiView):
        return request
    asked = package.questions.api_versions
    have = view.api_versions
    return replace(request, api_versions=tuple(sorted(have if asked is None else have & asked)))


def _request(release: Object, view: View, values: Values) -> Request:
    policy = release.get("spec", "install", "crds") or "Create"
    return Request(
        name=release_name(release),
        namespace=release_namespace(release),
        values=values.values,
        kubernetes_version=full_version(view.kubernetes_version),
        api_versions=(),
        post_renderers=release.get("spec", "postRenderers") or None,
        post_render_strategy=str(release.get("spec", "postRenderStrategy") or ""),
        check_schema=release.get("spec", "install", "disableSchemaValidation") is not True,
        crds=policy != "Skip",
    )


def _inputs(ref: ChartRef, request: Request, package: Package | Problem) -> str:
    """The digest of what in the repository determines the render. A chart that lies in it counts with its content, others by version."""
    content = package.digest if ref.path is not None and not isinstance(package, Problem) else ""
    chart = [ref.name, ref.version.removeprefix("v"), list(ref.values_files), content]
    return digest("inputs", _FORMAT, chart, replace(request, api_versions=()).json())[:32]


def _placed(rendered: Rendered, ref: ChartRef, outcome: Outcome, view: View, *, elided: bool) -> Rendered:
    """The outcome as objects of one cluster, with their origins."""
    release, values = rendered.release, rendered.values or Values({})
    provenance = Provenance(release, values)
    chain = (*release.origin.chain, Link(release.kind, release.namespace, release.name))
    objects: list[Object] = []
    hooks: list[Object] = []
    names: list[str] = []
    for item in outcome.documents:
        events = hook_events(item.body)
        made = _object(item, rendered, provenance, chain, view.cluster, elided=elided, hook=bool(events))
        names.append(str(made.id))
        if not events:
            objects.append(made)
        elif runs(events, release):
            hooks.append(made)
    kept = {str(item.id) for item in (*objects, *hooks)}
    subject = str(release.id)
    gaps = [*_gaps(outcome.gaps, names, kept, subject), *values.unresolved]
    if release.get("spec", "install", "createNamespace") is True and release.get("spec", "targetNamespace"):
        objects.insert(0, _namespace(rendered.namespace, release, chain, view.cluster))
    return replace(
        rendered,
        objects=tuple(objects),
        hooks=tuple(hooks),
        chart=outcome.chart,
        problems=tuple(Problem(item.code, subject, _locate(item, release, values, ref), item.message) for item in outcome.troubles),
        not_evaluated=tuple(gaps),
        unknown_values=outcome.unknown,
        outcome=outcome,
    )


def _gaps(gaps: tuple[Gap, ...], names: list[str], kept: set[str], subject: str) -> Iterator[NotEvaluated]:
    for gap in gaps:
        if gap.document < 0:
            yield NotEvaluated(subject, gap.what, gap.why)
        elif names[gap.document] in kept:
            yield NotEvaluated(names[gap.document], gap.what, gap.why)


def _locate(item: Trouble, release: Object, values: Values, ref: ChartRef) -> Location:
    if item.base == "values":
        return values.locate(item.pointer)
    return ref.location if item.base == "chart" else release.locate(*item.pointer)


def _object(item: Rendering, rendered: Rendered, provenance: Provenance, chain: tuple[Link, ...], cluster: str, *, elided: bool, hook: bool) -> Object:
    release = rendered.release
    body = dict(_labelled(item, rendered, hook=hook))
    patched = _common_metadata(release, item)

    def locate(pointer: Pointer) -> Location:
        return provenance.locate(item.body, pointer, item.template, patched)

    metadata = item.body.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    api_version = str(item.body.get("apiVersion", ""))
    identity = ObjectId(cluster, group_of(api_version), str(item.body.get("kind", "")), str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))
    return Object(identity, body, Origin(locate, chain, elided=elided))


def _labelled(item: Rendering, rendered: Rendered, *, hook: bool) -> Mapping[str, Any]:
    """The body with what helm-controller and Helm add: common metadata, origin labels, and on what is no hook Helm's ownership marks."""
    release = rendered.release
    if hook and release.get("spec", "postRenderStrategy") == "nohooks":
        return item.body
    metadata: dict[str, Any] = dict(mapping(item.body.get("metadata")))
    labels, annotations = dict(mapping(metadata.get("labels"))), dict(mapping(metadata.get("annotations")))
    if not item.crd:
        common = mapping(release.get("spec", "commonMetadata"))
        labels |= mapping(common.get("labels"))
        annotations |= mapping(common.get("annotations"))
        if not hook:
            labels["app.kubernetes.io/managed-by"] = "Helm"
            annotations |= {"meta.helm.sh/release-name": rendered.name, "meta.helm.sh/release-namespace": rendered.namespace}
    labels |= {f"{_GROUP}/name": release.name, f"{_GROUP}/namespace": release.namespace}
    metadata["labels"] = labels
    if annotations:
        metadata["annotations"] = annotations
    return {**item.body, "metadata": metadata}


def _common_metadata(release: Object, item: Rendering) -> Mapping[Pointer, Pointer]:
    patched: dict[Pointer, Pointer] = dict(item.patched)
    common = mapping(release.get("spec", "commonMetadata"))
    if not item.crd:
        for part in ("labels", "annotations"):
            for key in mapping(common.get(part)):
                patched["metadata", part, str(key)] = ("spec", "commonMetadata", part, str(key))
    return patched


def _namespace(name: str, release: Object, chain: tuple[Link, ...], cluster: str) -> Object:
    """The namespace that ``install.createNamespace`` makes (Helm 4.2 ``pkg/action/install.go``)."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"name": name}}}
    origin = Origin(fixed(release.locate("spec", "install", "createNamespace")), chain, synthesised=f"{release.kind}/{release.namespace}/{release.name}")
    return Object(ObjectId(cluster, "", "Namespace", "", name), body, origin)


def _with_problem(rendered: Rendered, problem: Problem) -> Rendered:
    unresolved = rendered.values.unresolved if rendered.values else ()
    return replace(rendered, problems=(problem,), not_evaluated=unresolved)
