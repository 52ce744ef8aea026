"""Rules about what a release renders to: chart, values, post-renderers, lock (HLM105, HLM109, HLM110, HLM4xx)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from harness.flux.kinds import RESOURCE_SET
from harness.model import Severity, format_pointer, group_of
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.hlm_common import RELEASES, claimed, items, mapping, text
from harness.rules.order_needs import POD_TEMPLATES
from harness.rules.order_webhook import selects
from harness.source.yaml import loads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.rendered import Rendered
    from harness.flux.world import World
    from harness.model import Object, Pointer

HLM: Final = Registry()

_CRD: Final = "CustomResourceDefinition.apiextensions.k8s.io"
_RELEASE_DOCS: Final = "fluxcd/helm-controller docs/spec/v2/helmreleases.md"


def rendered(release: Object, world: World) -> Rendered | None:
    """What a release rendered to; None when it was not, which a problem or the ledger says."""
    found = world.releases.get((release.namespace, release.name))
    return found if found is not None and found.source != "none" else None


@HLM.rule(
    "HLM105",
    title="every value of a release is one its chart knows",
    why=(
        "Helm ignores a key it does not know: a misspelt or renamed one (a security context, a NetworkPolicy, resources) is silently without effect, and so "
        "are the values of a sub-chart that is disabled"
    ),
    fix="correct the key against the chart's values.yaml, enable the sub-chart, or delete the value",
    scope=Objects(RELEASES),
    severity=Severity.WARNING,
    controls=("NIST-CM-6",),
)
def known_values(release: Object, world: World) -> Iterator[Violation]:
    found = rendered(release, world)
    if found is None:
        return
    for path in found.unknown_values:
        where = found.values.locate(path) if found.values is not None else release.locate("spec", "values", *path)
        name = f"{found.chart.name} {found.chart.version}" if found.chart is not None else "the chart"
        yield Violation(f"value {format_pointer(path)}, which {name} does not use", "a key of the chart's values or schema", where)


@HLM.rule(
    "HLM109",
    title="definitions that a chart brings outside of its templates are upgraded with it",
    why=(
        "upgrade.crds defaults to Skip: the definitions of crds/ stay what the first install brought, and the new version's controllers meet fields and "
        f"versions the API server does not know ({_RELEASE_DOCS}, Controlling the lifecycle of CRDs)"
    ),
    fix="set spec.upgrade.crds: CreateReplace, or install.crds: Skip where another component brings the definitions",
    scope=Objects(RELEASES),
    severity=Severity.WARNING,
    controls=("NIST-SI-2",),
)
def definitions_upgraded(release: Object, world: World) -> Iterator[Violation]:
    found = rendered(release, world)
    if found is None or text(release.get("spec", "upgrade", "crds")) not in {"", "Skip"} or release.get("spec", "install", "crds") == "Skip":
        return
    # Helm labels what it renders from templates as its own in every chart made with `helm create`; it leaves crds/ as it is.
    crds = [item for item in found.objects if str(item.group_kind) == _CRD and item.labels.get("app.kubernetes.io/managed-by") != "Helm"]
    if crds:
        policy = text(release.get("spec", "upgrade", "crds"))
        where = ("spec", "upgrade", "crds") if policy else ("spec", "upgrade") if release.spec.get("upgrade") else ("spec",)
        yield violation(
            release, *where, found=f"{len(crds)} definitions, among them {crds[0].name}, with upgrade.crds: {policy or 'not stated'}", expect="CreateReplace"
        )


@HLM.rule(
    "HLM110",
    title="every patch and image of a post-renderer matches something the chart renders",
    why="kustomize passes over a patch whose target matches nothing and an image that nothing uses: the hardening it was written for is silently not there",
    fix="correct the target (kind, name, labels) or the image's name against `python -m harness render`, or delete the entry",
    scope=Objects(RELEASES, where=lambda item: bool(item.get("spec", "postRenderers"))),
    controls=("NIST-CM-6",),
)
def post_renderers_match(release: Object, world: World) -> Iterator[Violation]:
    found = rendered(release, world)
    if found is None:
        return
    made = (*found.objects, *found.hooks)
    images = {_repository(image) for item in made for image in _images(item)}
    for index, entry in enumerate(items(release.spec.get("postRenderers"))):
        kustomize = mapping(mapping(entry).get("kustomize"))
        at: Pointer = ("spec", "postRenderers", index, "kustomize")
        for position, patch in enumerate(items(kustomize.get("patches"))):
            target = _target(mapping(patch))
            if target and not any(_fits(target, item) for item in made) and not _deletes(mapping(patch)):
                words = " ".join(f"{key}={value}" for key, value in sorted(target.items()))
                yield violation(release, *at, "patches", position, found=f"patch for {words} matches nothing", expect="an object that the chart renders")
        for position, image in enumerate(items(kustomize.get("images"))):
            name, new = text(mapping(image).get("name")), text(mapping(image).get("newName"))
            if name and not {name, new} & images:
                yield violation(
                    release, *at, "images", position, found=f"image {name} is used by nothing", expect="the repository of an image that the chart uses"
                )


def _target(patch: dict[str, Any]) -> dict[str, str]:
    """What a patch is for: its ``target``, or the identity of a strategic merge patch."""
    target = mapping(patch.get("target"))
    if target:
        return {key: text(value) for key, value in target.items() if text(value)}
    try:
        body = mapping(loads(text(patch.get("patch"))))
    except ValueError:
        return {}  # the build of the post-renderer reports it
    named = {"group": group_of(text(body.get("apiVersion"))), "kind": text(body.get("kind")), "name": text(mapping(body.get("metadata")).get("name"))}
    return {key: re.escape(value) for key, value in named.items() if value}


def _deletes(patch: dict[str, Any]) -> bool:
    """A patch that removes its object leaves nothing to match."""
    return "$patch: delete" in text(patch.get("patch"))


def _fits(target: dict[str, str], item: Object) -> bool:
    """Whether a kustomize selector selects an object. Names are anchored regular expressions (api/types/selector.go); namespaces,
    which Helm leaves to the release, are not compared."""
    for key, value in (("group", item.id.group), ("kind", item.kind), ("name", item.name), ("version", item.api_version.rpartition("/")[2])):
        if key in target and not _matches(target[key], value):
            return False
    return all(_selected(target.get(key, ""), labels) for key, labels in (("labelSelector", item.labels), ("annotationSelector", item.annotations)))


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:
        return True  # kustomize's own error is reported by the build


def _selected(selector: str, labels: dict[str, str]) -> bool:
    """Equality and existence of the selector language; a set-based part, which nobody writes here, counts as fulfilled."""
    terms = [term.strip() for term in selector.split(",") if term.strip()] if "(" not in selector else []
    expressions: list[dict[str, Any]] = []
    for term in terms:
        key, operator, value = next((term.partition(sign) for sign in ("!=", "==", "=") if sign in term), (term, "", ""))
        if operator:
            expressions.append({"key": key.strip(), "operator": "NotIn" if operator == "!=" else "In", "values": [value.strip()]})
        else:
            expressions.append({"key": key.lstrip("!").strip(), "operator": "DoesNotExist" if key.startswith("!") else "Exists"})
    return selects({"matchExpressions": expressions}, labels)


def _images(item: Object) -> Iterator[str]:
    base = POD_TEMPLATES.get(str(item.group_kind))
    spec = mapping(item.get(*base)) if base is not None else mapping(item.body.get("spec"))
    for group in ("initContainers", "containers"):
        for container in items(spec.get(group)):
            image = text(mapping(container).get("image"))
            if image:
                yield image


def _repository(image: str) -> str:
    """An image's name without tag and digest: what ``images[].name`` is compared with."""
    name = image.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name


_CHART_CODES: Final = ("chart-corrupt", "chart-missing", "chart-not-in-repository", "chart-unreachable", "chart-values-file", "chart-version")
_HELM_CODES: Final = (
    "helm-duplicate-key",
    "helm-duplicate-object",
    "helm-output",
    "helm-post-render",
    "helm-render",
    "helm-schema",
    "helm-timeout",
    "helm-tool",
)
_LOCK_CODES: Final = ("lock-mismatch", "lock-missing", "lock-stale")
_RESOURCE_SET_CODES: Final = ("resourceset-input", "resourceset-render")


@HLM.rule(
    "HLM401",
    title="the chart of every release can be read",
    why="what cannot be rendered cannot be proven: everything the chart would bring is missing from all other rules",
    fix="put the chart into the chart folder (--charts, PLIMSOLL_CHARTS), allow pulling it (--pull), or correct its name and version",
    scope=Objects(RELEASES),
    claims=_CHART_CODES,
)
def chart_readable(release: Object, world: World) -> Iterator[Violation]:
    yield from claimed(release, world, "a chart that can be read", *_CHART_CODES)


@HLM.rule(
    "HLM402",
    title="every release renders",
    why="helm-controller runs the same templates with the same values: what fails here fails in the cluster, and the release stays at its last revision",
    fix="correct the value the message names, or the template of a chart of your own",
    scope=Objects(RELEASES),
    claims=_HELM_CODES,
)
def renders(release: Object, world: World) -> Iterator[Violation]:
    yield from claimed(release, world, "a chart that renders with these values", *_HELM_CODES)


@HLM.rule(
    "HLM403",
    title="the lock says what every release renders to today",
    why="without the chart at hand, the lock is all that is proven; one that is older than its release's chart, values or version proves something else",
    fix="run nox -s lock where the charts are at hand, and review what it changes",
    scope=Objects(RELEASES),
    claims=_LOCK_CODES,
    controls=("NIST-CM-2", "NIST-CM-3"),
)
def locked(release: Object, world: World) -> Iterator[Violation]:
    yield from claimed(release, world, "a lock that fits chart, values and Kubernetes version", *_LOCK_CODES)


@HLM.rule(
    "HLM404",
    title="every ResourceSet renders",
    why="flux-operator renders the same templates from the same inputs; what fails here never reaches the cluster",
    fix="correct the template or the input the message names",
    scope=Objects((RESOURCE_SET,)),
    claims=_RESOURCE_SET_CODES,
)
def resource_set_renders(resource_set: Object, world: World) -> Iterator[Violation]:
    yield from claimed(resource_set, world, "a template that renders with these inputs", *_RESOURCE_SET_CODES)


RULES: Final = tuple(HLM.rules)
