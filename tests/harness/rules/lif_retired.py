"""Rules about what points to retired components, and about versions that the API server's store holds (LIF308, LIF309)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.engines.images.inventory import ARGUMENT, FIELD, VARIABLE
from harness.engines.lifecycle import ApiState, api_status
from harness.flux.kinds import SOURCE_GROUP
from harness.flux.world import CRD
from harness.model import Severity
from harness.model.pods import TEMPLATES, pod_of
from harness.model.shapes import items, mapping, text
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.image_uses import uses
from harness.rules.lif import is_image
from harness.rules.lif_api import releases
from harness.rules.lif_facts import RETIRED, Retired

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Object, Pointer

LIF: Final = Registry()

_SOURCES: Final = tuple(f"{kind}.{SOURCE_GROUP}" for kind in ("GitRepository", "HelmRepository", "OCIRepository"))
_INGRESS: Final = "Ingress.networking.k8s.io"
_CLASS: Final = "IngressClass.networking.k8s.io"
_PODS: Final = (*TEMPLATES, "Prometheus.monitoring.coreos.com", "Alertmanager.monitoring.coreos.com")


@LIF.rule(
    "LIF308",
    title="the API server stores custom resources in versions that their definition has and keeps",
    why=(
        "objects stay in the version they were stored in until somebody writes them again; the API server refuses a definition that lacks a version in "
        "status.storedVersions, and a component that drops a deprecated version cannot be upgraded (Kubernetes: versions in CustomResourceDefinitions)"
    ),
    fix="store the current version, rewrite every object (storage version migration), then drop the old one from status.storedVersions and from the definition",
    scope=Objects((CRD,)),
    severity=Severity.WARNING,
    controls=("NIST-SA-22", "NIST-CM-2"),
)
def stored_versions(definition: Object, world: World) -> Iterator[Violation]:
    versions = [mapping(version) for version in items(definition.spec.get("versions"))]
    names = [text(version.get("name")) for version in versions]
    for index, stored in enumerate(items(definition.get("status", "storedVersions"))):
        if stored not in names:
            found = f"objects may be stored as {stored}, which the definition lacks"
            yield violation(definition, "status", "storedVersions", index, found=found, expect=f"one of {', '.join(names)}")
    group, kind = text(definition.spec.get("group")), text(definition.get("spec", "names", "kind"))
    for index, version in enumerate(versions):
        if version.get("storage") is not True:
            continue
        name = text(version.get("name"))
        status = api_status(f"{group}/{name}", kind, world.kubernetes_version, releases(world))
        # A kind that is replaced by another one has no newer version to be stored in; LIF203 speaks of its objects.
        old = status.state in (ApiState.DEPRECATED, ApiState.REMOVED) and status.replacement.startswith(f"{group}/")
        if version.get("deprecated") is True or old:
            when = f" since {status.product} {status.deprecated_in}" if old and status.deprecated_in else ""
            found = f"{kind} is stored as {name}, which is deprecated{when}"
            yield violation(
                definition, "spec", "versions", index, "storage", found=found, expect=status.replacement if old else "a version that is not deprecated"
            )


@LIF.rule(
    "LIF309",
    title="nothing points to a component that is retired",
    why=(
        "an annotation for a controller that is gone is silently without effect, protection included; a source of a retired chart, and a helper image in an "
        "argument, bring in what gets no security fixes (dates and sources: tests/harness/rules/lif_facts.py)"
    ),
    fix="write it for the component that replaces it",
    scope=Objects((*_SOURCES, _INGRESS, _CLASS, *_PODS)),
    severity=Severity.WARNING,
    controls=("NIST-SA-22", "NIST-SI-2"),
)
def no_pointer(item: Object, world: World) -> Iterator[Violation]:
    for retired, at, what in _pointers(item, world):
        if retired.since <= world.today:
            found = f"{what}: {retired.name} is retired since {retired.since.isoformat()}"
            yield violation(item, *at, found=found, expect=retired.instead, fix=f"replace it by {retired.instead} ({retired.source})")


def _pointers(item: Object, world: World) -> Iterator[tuple[Retired, Pointer, str]]:
    kind = str(item.group_kind)
    if kind in _SOURCES:
        url = text(item.spec.get("url"))
        for retired in RETIRED:
            if any(url == each or url.startswith((f"{each}/", f"{each}.git")) for each in retired.urls):
                yield retired, ("spec", "url"), f"url {url}"
    elif kind == _CLASS:
        controller = text(item.spec.get("controller"))
        for retired in RETIRED:
            if controller in retired.controllers:
                yield retired, ("spec", "controller"), f"controller {controller}"
    elif kind == _INGRESS:
        yield from _annotated(item.annotations, ())
    else:
        pod = pod_of(item)
        if pod is not None:
            yield from _annotated(pod.annotations, pod.at)
        for use in uses(item, world):
            if use.how in (ARGUMENT, VARIABLE, FIELD) and use.image is not None:
                for retired in RETIRED:
                    if is_image(use.image.repository, retired.images):
                        yield retired, use.at, f"image {use.text} ({use.how})"


def _annotated(annotations: object, at: Pointer) -> Iterator[tuple[Retired, Pointer, str]]:
    for name in sorted(map(str, mapping(annotations))):
        for retired in RETIRED:
            if retired.annotations and name.startswith(retired.annotations):
                yield retired, (*at, "metadata", "annotations", name), f"annotation {name}"


RULES: Final = tuple(LIF.rules)
