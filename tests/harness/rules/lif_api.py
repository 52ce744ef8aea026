"""Rules about API versions that come and go: by the releases of Kubernetes and of components, and by the definitions installed (LIF101 to LIF104, LIF107)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from harness.engines.lifecycle import ApiState, ApiStatus, api_status
from harness.flux.kinds import FLUX_INSTANCE
from harness.model import Severity, version_of
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.hlm_common import items, mapping, text
from harness.rules.lif_facts import RETIRED
from harness.rules.order_api import definitions, has_definition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Object

LIF: Final = Registry()


_RELEASE: Final = re.compile(r"v?\d+\.\d+")
#: Products of the lifecycle table by the name of the chart that installs them.
_PRODUCT_OF: Final = {"cert-manager": "cert-manager", "external-secrets": "external-secrets", "kyverno": "kyverno", "metallb": "metallb"}
_KINDS_OF_LIF203: Final = frozenset(kind for retired in RETIRED for kind in retired.kinds)

_releases: Final[WeakKeyDictionary[World, dict[str, str]]] = WeakKeyDictionary()


def releases(world: World) -> dict[str, str]:
    """The releases of the products whose APIs the lifecycle table knows, as far as the cluster says: Flux by its own labels, the others by their charts."""
    known = _releases.get(world)
    if known is None:
        charts = [rendered.chart for rendered in world.releases.values() if rendered.chart is not None]
        known = {_PRODUCT_OF[chart.name]: chart.app_version for chart in charts if chart.name in _PRODUCT_OF and _RELEASE.match(chart.app_version)}
        stated = [
            item.labels.get("app.kubernetes.io/version", "") for item in world.of("Deployment.apps") if item.labels.get("app.kubernetes.io/part-of") == "flux"
        ]
        stated += [text(item.get("spec", "distribution", "version")) for item in world.of(FLUX_INSTANCE)]
        known.update(("flux", version) for version in stated if _RELEASE.match(text(version)))
        _releases[world] = known
    return known


def status(item: Object, world: World) -> ApiStatus:
    """The state of the API version an object is written in, in this cluster."""
    return api_status(item.api_version, item.kind, world.kubernetes_version, releases(world))


def _versions(item: Object, world: World) -> list[dict[str, Any]] | None:
    """The versions of an object's kind as its CRD declares them (the last one, where two components bring the same); None for built-in kinds."""
    crds = definitions(world).get(item.group_kind, [])
    return [mapping(version) for version in items(crds[-1].spec.get("versions"))] if crds else None


def _served(versions: list[dict[str, Any]], group: str) -> str:
    """The versions someone should use: served, and not deprecated where there is one."""
    current = [version for version in versions if version.get("served") is True and not version.get("deprecated")]
    names = [text(version.get("name")) for version in current or versions if version.get("served") is True]
    return ", ".join(f"{group}/{name}" for name in names) or "a version that is served"


def is_gone(item: Object, world: World) -> bool:
    """Whether the version an object is written in is not served: by its CRD, or, where the cluster has none, by the release that would."""
    return status(item, world).state is ApiState.REMOVED or _is_not_served(item, world)


def _is_not_served(item: Object, world: World) -> bool:
    versions = _versions(item, world)
    name = version_of(item.api_version)
    return versions is not None and not any(version.get("name") == name and version.get("served") is True for version in versions)


@LIF.rule(
    "LIF101",
    title="no object is written in an API version that the cluster's release has removed",
    why="the API server refuses it as an unknown kind, and its whole Kustomization with it (Kubernetes: Deprecated API Migration Guide)",
    fix="write the object in the version the finding names; fields may have moved",
    scope=Objects(),
    controls=("NIST-SA-22", "NIST-CM-2"),
)
def api_not_removed(item: Object, world: World) -> Iterator[Violation]:
    found = status(item, world)
    if found.state is ApiState.REMOVED and not _is_not_served(item, world):
        yield violation(
            item, "apiVersion", found=f"{item.kind} in {item.api_version}, removed in {_release(found.product, found.removed_in)}", expect=_instead(found)
        )


@LIF.rule(
    "LIF102",
    title="no object is written in a deprecated API version",
    why="a deprecated version goes away in a later release, and the upgrade then stops at every object written in it (Kubernetes: Deprecation Policy)",
    fix="write the object in the version the finding names; fields may have moved",
    scope=Objects(),
    severity=Severity.WARNING,
    controls=("NIST-SA-22",),
)
def api_not_deprecated(item: Object, world: World) -> Iterator[Violation]:
    found = status(item, world)
    if found.state is not ApiState.DEPRECATED or str(item.group_kind) in _KINDS_OF_LIF203 or _is_not_served(item, world) or _is_marked(item, world):
        return
    goes = f", gone in {_release(found.product, found.removed_in)}" if found.removed_in else ""
    what = f"{item.kind} in {item.api_version}, deprecated in {_release(found.product, found.deprecated_in)}{goes}"
    yield violation(item, "apiVersion", found=what, expect=_instead(found))


@LIF.rule(
    "LIF107",
    title="no object needs an API that Kubernetes has off by default",
    why="alpha APIs, and beta ones since 1.24, are served only where the API server was started with them; elsewhere the object is an unknown kind",
    fix="use a version that is on by default, or waive it for clusters that are started with the API",
    scope=Objects(where=lambda item: version_of(item.api_version) != "v1"),
    severity=Severity.WARNING,
    controls=("NIST-CM-7",),
)
def api_on_by_default(item: Object, world: World) -> Iterator[Violation]:
    if status(item, world).state is ApiState.OFF and not _versions(item, world):
        found = f"{item.kind} in {item.api_version}, which Kubernetes {world.kubernetes_version} has off by default"
        yield violation(item, "apiVersion", found=found, expect="an API version that is on by default")


def _release(product: str, version: str) -> str:
    name = {"kubernetes": "Kubernetes", "flux": "Flux", "kyverno": "Kyverno", "metallb": "MetalLB"}.get(product, product)
    return f"{name} {version}".strip()


def _instead(found: ApiStatus) -> str:
    return "the object gone: nothing replaces it" if found.replacement in {"", "none"} else found.replacement


def _is_marked(item: Object, world: World) -> bool:
    """Whether the CRD itself marks the version deprecated: LIF104 says so in the CRD's own words."""
    name = version_of(item.api_version)
    return any(version.get("name") == name and version.get("deprecated") is True for version in _versions(item, world) or [])


@LIF.rule(
    "LIF103",
    title="every custom resource is written in a version its definition serves",
    why="the API server knows only served versions: an object in another one is refused as an unknown kind, and its whole Kustomization with it",
    fix="write the object in a served version, with the fields that version has",
    scope=Objects(where=has_definition),
    controls=("NIST-SA-22", "NIST-CM-2"),
)
def version_served(item: Object, world: World) -> Iterator[Violation]:
    versions = _versions(item, world)
    if versions is not None and _is_not_served(item, world):
        known = any(version.get("name") == version_of(item.api_version) for version in versions)
        reason = "its definition no longer serves" if known else "its definition does not have"
        yield violation(item, "apiVersion", found=f"{item.kind} in {item.api_version}, which {reason}", expect=_served(versions, item.id.group))


@LIF.rule(
    "LIF104",
    title="no custom resource is written in a version its definition has deprecated",
    why="a deprecated version is gone in a later release of the component, and its upgrade then stops at every object written in it",
    fix="write the object in the current version, with the fields that version has",
    scope=Objects(where=has_definition),
    severity=Severity.WARNING,
    controls=("NIST-SA-22",),
)
def version_not_deprecated(item: Object, world: World) -> Iterator[Violation]:
    versions = _versions(item, world)
    for version in versions or []:
        if version.get("name") == version_of(item.api_version) and version.get("served") is True and version.get("deprecated") is True:
            warning = text(version.get("deprecationWarning"))
            found = f"{item.kind} in {item.api_version}, which its definition deprecates{': ' + warning if warning else ''}"
            yield violation(item, "apiVersion", found=found, expect=_served(versions or [], item.id.group))


RULES: Final = tuple(LIF.rules)
