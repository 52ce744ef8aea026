"""Rules about patches and images of a Flux Kustomization that change nothing (FLX145, FLX146)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from harness.model import Object, Severity, version_of
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.flx_common import KUSTOMIZATIONS, entries, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.flux.world import World

FLX: Final = Registry()

_DOCS: Final = "fluxcd/kustomize-controller docs/spec/v1/kustomizations.md"
_DELETES: Final = re.compile(r"\$patch['\"]?\s*:\s*['\"]?delete")
#: Text that means itself as a regular expression; the dots of names count as such.
_PLAIN: Final = re.compile(r"[\w.-]+")


def fits(target: dict[str, Any], made: Sequence[Object]) -> bool:
    """Whether a patch target may select one of the built objects.

    Only group, version, kind and name are compared, the name anywhere in the built one: prefixes, suffixes, hashes, namespaces
    and labels may have changed since the patch was applied, so what is left over is certain.
    """
    patterns = {key: _pattern(target.get(key)) for key in ("group", "version", "kind", "name")}
    for item in made:
        values = {"group": item.id.group, "version": version_of(item.api_version), "kind": item.kind}
        if all(patterns[key] is None or patterns[key].fullmatch(value) for key, value in values.items()) and (  # type: ignore[union-attr]
            patterns["name"] is None or patterns["name"].search(item.name)
        ):
            return True
    return False


def _pattern(value: object) -> re.Pattern[str] | None:
    """A target's regular expression; None for one that is absent or that Python reads differently than Go."""
    if not isinstance(value, str) or not value:
        return None
    try:
        return re.compile(value.removeprefix("^").removesuffix("$"))
    except re.error:
        return None


def may_be_removed(target: dict[str, Any], patches: object) -> bool:
    """Whether the objects a target is for may be among those that some patch of a list removes: what is built does not show them any more.

    A removal clears a target when their kinds differ, or when one of their names is plain text that the other does not fit.
    """
    removals = (patch for _, patch in entries(patches) if _DELETES.search(text(patch.get("patch"))))
    return any(all(_overlap(target.get(key), mapping(removal.get("target")).get(key)) for key in ("kind", "name")) for removal in removals)


def _overlap(one: object, other: object) -> bool:
    """Whether some text may fit both patterns of a target."""
    for plain, value in ((one, other), (other, one)):
        if isinstance(plain, str) and _PLAIN.fullmatch(plain):
            pattern = _pattern(value)
            return pattern is None or pattern.fullmatch(plain) is not None
    return True


@FLX.rule(
    "FLX145",
    title="every patch of a Kustomization matches an object that it builds",
    why=f"a patch whose target matches nothing is skipped without a word: the hardening it was written for is not there ({_DOCS}, Patches)",
    fix="correct the target's kind and name, or delete the patch",
    scope=Objects(KUSTOMIZATIONS),
    controls=("NIST-CM-6",),
)
def patches_match(ks: Object, world: World) -> Iterator[Violation]:
    build = world.kustomizations.get((ks.namespace, ks.name))
    patches = ks.spec.get("patches")
    if build is None or not build.built or not patches:
        return
    for index, patch in entries(patches):
        target = mapping(patch.get("target"))
        if target and not _is_default(ks, index, target) and not fits(target, build.built) and not may_be_removed(target, patches):
            what = " ".join(f"{key}={target[key]}" for key in ("group", "version", "kind", "name") if target.get(key))
            yield violation(
                ks, "spec", "patches", index, found=f"patch {index + 1} ({what}) matches none of {len(build.built)} objects", expect="a target that is built"
            )


def _is_default(ks: Object, index: int, target: dict[str, Any]) -> bool:
    """Whether a parent gives the same patch to all its Kustomizations: no name in it, and not written beside the others' fields."""
    return not target.get("name") and ks.locate("spec", "patches", index).path != ks.locate("metadata", "name").path


def _images(value: Any) -> Iterator[str]:
    """The images of all containers in a body."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in {"containers", "initContainers"} and isinstance(inner, list):
                yield from (text(container.get("image")) for _, container in entries(inner))
            else:
                yield from _images(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _images(inner)


def _bare(image: str) -> str:
    """An image without tag and digest."""
    name = image.partition("@")[0]
    head, slash, tail = name.rpartition("/")
    return f"{head}{slash}{tail.partition(':')[0]}"


@FLX.rule(
    "FLX146",
    title="every entry of images names an image that is built",
    why=f"an entry whose name no container uses changes nothing: the version that was to be pinned is not ({_DOCS}, Images)",
    fix="write the name as it stands in the container, without tag",
    scope=Objects(KUSTOMIZATIONS),
    severity=Severity.WARNING,
    controls=("NIST-CM-6",),
)
def images_match(ks: Object, world: World) -> Iterator[Violation]:
    build = world.kustomizations.get((ks.namespace, ks.name))
    if build is None or not build.built or not ks.spec.get("images"):
        return
    used = {_bare(image) for made in build.built for image in _images(made.body)}
    for index, image in entries(ks.spec.get("images")):
        # Built images have their new name already.
        if text(image.get("newName") or image.get("name")) not in used:
            yield violation(
                ks, "spec", "images", index, found=f"image {image.get('name')} is used by no container of the build", expect="an image that is built"
            )


RULES: Final = tuple(FLX.rules)
