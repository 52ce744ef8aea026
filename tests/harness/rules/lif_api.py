"""Rules about API versions of custom resources that come and go with the definitions installed (LIF103, LIF104)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from harness.model import Severity, version_of
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.hlm_common import items, mapping, text
from harness.rules.order_api import definitions, has_definition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Object

LIF: Final = Registry()


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
    """Whether the CRD of an object's kind does not serve the version the object is written in."""
    versions = _versions(item, world)
    name = version_of(item.api_version)
    return versions is not None and not any(version.get("name") == name and version.get("served") is True for version in versions)


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
    if versions is not None and is_gone(item, world):
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
