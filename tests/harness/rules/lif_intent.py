"""``tests/intent/lifecycle.yaml``: what people recorded of the components a repository runs, and what of the repository each entry speaks of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.engines.images import Use, try_parse
from harness.engines.images.inventory import CONTAINER, VOLUME
from harness.engines.register import Component, Line
from harness.flux.kinds import HELM_RELEASE
from harness.model.shapes import items, mapping, text
from harness.rules.image_uses import all_uses
from harness.rules.lif_charts import chart_at, chart_name
from harness.source.intent import FOLDER, Intent, IntentFault, read_intent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.engines.images import Image
    from harness.flux.world import World
    from harness.model import Location, Object, Pointer
    from harness.source.repository import Repository

NAME: Final = "lifecycle.yaml"
PATH: Final = f"{FOLDER}/{NAME}"

_DATE: Final = {"type": "string", "pattern": r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$"}
_NAMES: Final = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "uniqueItems": True}
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["checked", "components"],
    "properties": {
        "checked": _DATE,
        "components": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["component", "policy", "source", "cycles"],
                "anyOf": [{"required": [key]} for key in ("images", "charts", "variable", "part_of")],
                "properties": {
                    "component": {"type": "string", "minLength": 1},
                    "images": _NAMES,
                    "charts": _NAMES,
                    "variable": {"type": "string", "pattern": "^[A-Z][A-Z0-9_]*$"},
                    "part_of": {"type": "string", "minLength": 1},
                    "policy": {"type": "string", "minLength": 8},
                    "source": {"type": "string", "pattern": "^https://.+"},
                    "newest": {"type": "integer", "minimum": 1},
                    "checked": _DATE,
                    "clusters": _NAMES,
                    "cycles": {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["cycle", "ends"],
                            "properties": {"cycle": {"type": "string", "pattern": r"^\d+(\.\d+)*$"}, "ends": {"anyOf": [_DATE, {"const": False}]}},
                        },
                    },
                },
            },
        },
    },
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A component of the register, and by what it is told.

    Its version is the tag of its ``images``; without images, the version of its ``charts``; or the value of a ``variable``; or the version label of the
    Deployments of ``part_of``. Charts beside images belong to the component and say nothing of its version.
    """

    index: int
    component: Component
    checked: date
    source: str
    images: tuple[str, ...] = ()
    charts: tuple[str, ...] = ()
    variable: str = ""
    part_of: str = ""
    clusters: tuple[str, ...] = ()

    def holds_in(self, cluster: str) -> bool:
        return not self.clusters or cluster in self.clusters

    def has_image(self, image: Image) -> bool:
        """Whether an image is the component's: ``grafana/loki`` is the end of ``docker.io/grafana/loki``; what ends with ``/`` is anything below it."""
        name = f"/{image.repository}"
        return any(f"/{end}" in name if end.endswith("/") else name.endswith(f"/{end}") for end in self.images)


@dataclass(frozen=True, slots=True)
class Register:
    """The file, read. With faults in it there are no entries."""

    intent: Intent
    checked: date
    entries: tuple[Entry, ...] = ()
    faults: tuple[IntentFault, ...] = ()

    def locate(self, *pointer: str | int) -> Location:
        return self.intent.locate(*pointer)


def read(repository: Repository) -> Register | None:
    """The register of a repository, or None when it has none."""
    intent = read_intent(repository, NAME, SCHEMA)
    if intent is None:
        return None
    if intent.faults:
        return Register(intent, date.min, faults=intent.faults)
    faults: list[IntentFault] = []
    checked = _date(intent, faults, intent.body["checked"], "checked") or date.min
    entries = tuple(_entry(intent, faults, index, mapping(entry), checked) for index, entry in enumerate(items(intent.body["components"])))
    seen: set[str] = set()
    for entry in entries:
        if entry.component.name in seen:
            faults.append(IntentFault(intent.locate("components", entry.index), f"{entry.component.name} is in the register twice"))
        seen.add(entry.component.name)
    return Register(intent, checked, () if faults else entries, tuple(faults))


def _entry(intent: Intent, faults: list[IntentFault], index: int, body: Mapping[str, Any], checked: date) -> Entry:
    at = ("components", index)
    lines = []
    for number, cycle in enumerate(items(body.get("cycles"))):
        ends = mapping(cycle).get("ends")
        lines.append(Line(text(mapping(cycle).get("cycle")), _date(intent, faults, ends, *at, "cycles", number, "ends") if ends is not False else None))
    names = [line.name for line in lines]
    twice = sorted({name for name in names if names.count(name) > 1})
    faults.extend(IntentFault(intent.locate(*at, "cycles"), f"cycle {name} is listed twice") for name in twice)
    own = _date(intent, faults, body["checked"], *at, "checked") if "checked" in body else None
    return Entry(
        index,
        Component(text(body.get("component")), tuple(lines), int(body.get("newest", 1))),
        own or checked,
        text(body.get("source")),
        tuple(items(body.get("images"))),
        tuple(items(body.get("charts"))),
        text(body.get("variable")),
        text(body.get("part_of")),
        tuple(items(body.get("clusters"))),
    )


def _date(intent: Intent, faults: list[IntentFault], value: Any, *pointer: str | int) -> date | None:
    try:
        return date.fromisoformat(text(value))
    except ValueError:
        faults.append(IntentFault(intent.locate(*pointer), f"{value} is no date"))
        return None


class Pinned(NamedTuple):
    """Something a cluster pins: the object, where, what it is in words, its version, and the entry that speaks of it (None: nobody's)."""

    object: Object
    at: Pointer
    what: str
    version: str
    entry: Entry | None
    counts: bool = True
    """Whether the entry judges the version: charts beside images only belong to the component."""


def of_world(world: World) -> Register | None:
    """The register as a cluster's rules see it: None when there is none or it cannot be used. For :meth:`World.derive`."""
    found = read(world.repository)
    return found if found is not None and not found.faults else None


def pinned(world: World) -> tuple[Pinned, ...]:
    """Everything a cluster pins that the register could speak of. For :meth:`World.derive`."""
    register = world.derive(of_world)
    entries = [entry for entry in register.entries if entry.holds_in(world.cluster.name)] if register is not None else []
    found = [_image(use, use.image, entries) for use in world.derive(all_uses) if use.how in (CONTAINER, VOLUME) and use.image is not None]
    for release in world.of(HELM_RELEASE):
        rendered = world.releases.get((release.namespace, release.name))
        name = chart_name(release, world)
        version = rendered.chart.version if rendered is not None and rendered.chart is not None else ""
        entry = next((each for each in entries if name in each.charts), None)
        if name:
            judged = entry is not None and not (entry.images or entry.variable or entry.part_of)
            found.append(Pinned(release, chart_at(release), f"chart {name} {version}".rstrip(), version, entry, judged))
    for entry in entries:
        found += [*_variables(world, entry), *_labels(world, entry)]
    return tuple(found)


def _image(use: Use, image: Image, entries: list[Entry]) -> Pinned:
    entry = next((each for each in entries if each.has_image(image)), None)
    return Pinned(use.object, use.at, f"image {use.text}", image.tag, entry, entry is not None and not entry.part_of)


def _variables(world: World, entry: Entry) -> list[Pinned]:
    if not entry.variable:
        return []
    stated = [(item, text(mapping(item.body.get("data")).get(entry.variable))) for item in world.of("ConfigMap")]
    return [Pinned(item, ("data", entry.variable), f"{entry.variable}: {value}", value, entry) for item, value in stated if value]


def _labels(world: World, entry: Entry) -> list[Pinned]:
    if not entry.part_of:
        return []
    label = "app.kubernetes.io/version"
    items_of = [item for item in world.of("Deployment.apps") if item.labels.get("app.kubernetes.io/part-of") == entry.part_of]
    return [Pinned(item, ("metadata", "labels", label), f"{label}: {item.labels.get(label)}", text(item.labels.get(label)), entry) for item in items_of]


def judges_image(text_of_image: str, world: World) -> bool:
    """Whether the register of a repository judges an image, so that nothing else has to."""
    register, image = world.derive(of_world), try_parse(text_of_image)
    if register is None or image is None:
        return False
    return any(entry.has_image(image) and not entry.part_of for entry in register.entries if entry.holds_in(world.cluster.name))


def judges(world: World, *, variable: str = "", part_of: str = "") -> bool:
    """Whether it judges what a variable, or the label of a product's Deployments, says in this cluster."""
    return any(each.entry is not None and each.counts and each.entry.variable == variable and each.entry.part_of == part_of for each in world.derive(pinned))
