"""``tests/intent/supply-chain.yaml``: where images and sources may come from, how they are pinned, and which checks protect the repository."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from harness.model.shapes import items, mapping, text
from harness.source.intent import FOLDER, Intent, read_intent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.flux.world import World
    from harness.model import Location
    from harness.source.repository import Repository

NAME: Final = "supply-chain.yaml"
PATH: Final = f"{FOLDER}/{NAME}"

_DATE: Final = {"type": "string", "pattern": r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$"}
_WORDS: Final = {"type": "string", "minLength": 8}
_CLUSTERS: Final = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "uniqueItems": True}
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["images", "sources"],
    "properties": {
        "images": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["from", "reason", "pin"],
                "properties": {
                    "from": {"type": "string", "pattern": r"^[a-z0-9.-]+(:[0-9]+)?/[a-z0-9._/-]*$"},
                    "reason": _WORDS,
                    "pin": {"enum": ["tag", "digest", "signature"]},
                    "because": _WORDS,
                    "until": _DATE,
                    "clusters": _CLUSTERS,
                },
                "if": {"properties": {"pin": {"const": "tag"}}},
                "then": {"required": ["because", "until"]},
            },
        },
        "sources": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["url", "reason"],
                "properties": {"url": {"type": "string", "pattern": r"^(oci|https|ssh)://.+"}, "reason": _WORDS, "clusters": _CLUSTERS},
            },
        },
        "required_checks": {"type": "array", "items": {"type": "string", "minLength": 1}, "uniqueItems": True},
    },
}


@dataclass(frozen=True, slots=True)
class Allowed:
    """An entry: the prefix (of images: ends with ``/``, or is a whole repository; of sources: a URL) and how what it covers is pinned."""

    index: int
    prefix: str
    pin: str = ""
    until: date | None = None
    clusters: tuple[str, ...] = ()

    def holds_in(self, cluster: str) -> bool:
        return not self.clusters or cluster in self.clusters

    def covers(self, name: str) -> bool:
        """Whether the entry covers a repository or a URL: itself, or what is below it."""
        return name == self.prefix or name.startswith(self.prefix if self.prefix.endswith("/") else f"{self.prefix}/")


@dataclass(frozen=True, slots=True)
class SupplyChain:
    """The file, read. With faults in it there are no entries, and no rule but the one about the file speaks."""

    intent: Intent
    images: tuple[Allowed, ...] = ()
    sources: tuple[Allowed, ...] = ()
    required_checks: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        return not self.intent.faults

    def image(self, repository: str, cluster: str) -> Allowed | None:
        """The entry for an image's repository in a cluster: the longest prefix."""
        return _longest(self.images, repository, cluster)

    def source(self, url: str, cluster: str) -> Allowed | None:
        return _longest(self.sources, url, cluster)

    def locate(self, *pointer: str | int) -> Location:
        return self.intent.locate(*pointer)


def _longest(entries: tuple[Allowed, ...], name: str, cluster: str) -> Allowed | None:
    fitting = [entry for entry in entries if entry.holds_in(cluster) and entry.covers(name)]
    return max(fitting, key=lambda entry: len(entry.prefix), default=None)


def read(repository: Repository) -> SupplyChain | None:
    """The file of a repository, or None when it has none."""
    intent = read_intent(repository, NAME, SCHEMA)
    if intent is None:
        return None
    if intent.faults:
        return SupplyChain(intent)
    body = intent.body
    return SupplyChain(
        intent,
        tuple(_allowed(index, mapping(entry), "from") for index, entry in enumerate(items(body.get("images")))),
        tuple(_allowed(index, mapping(entry), "url") for index, entry in enumerate(items(body.get("sources")))),
        tuple(text(name) for name in items(body.get("required_checks"))),
    )


def _allowed(index: int, entry: Mapping[str, Any], key: str) -> Allowed:
    until = text(entry.get("until"))
    try:
        day = date.fromisoformat(until) if until else None
    except ValueError:
        # A day that no month has: past, so that somebody looks.
        day = date.min
    return Allowed(index, text(entry.get(key)), text(entry.get("pin")), day, tuple(items(entry.get("clusters"))))


def of_world(world: World) -> SupplyChain | None:
    """The file as a cluster's rules see it: None when there is none or it cannot be used. For :meth:`World.derive`."""
    found = read(world.repository)
    return found if found is not None and found.usable else None
