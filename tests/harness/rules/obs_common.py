"""What the rules about telemetry share: an engine's view of a cluster, made once, and what people say of it."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from harness.engines.telemetry.scraping import Scraping, scraping_of
from harness.model.shapes import items, mapping, text
from harness.source.intent import FOLDER, Intent, read_intent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.flux.world import World
    from harness.source.repository import Repository

TELEMETRY: Final = "telemetry.yaml"
METRICS: Final = "metrics.yaml"
MONITORS: Final = tuple(f"{kind}.monitoring.coreos.com" for kind in ("ServiceMonitor", "PodMonitor", "Probe", "ScrapeConfig"))
RULE: Final = "PrometheusRule.monitoring.coreos.com"


@cache
def schema(name: str) -> dict[str, Any]:
    """The schema of one of the two intent files, by the file's name."""
    text_ = (files("harness.engines.telemetry") / name.replace(".yaml", ".schema.json")).read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text_)
    return found


def intent_of(repository: Repository, name: str) -> Intent | None:
    """One of the two files, or None where the repository has none."""
    return read_intent(repository, name, schema(name))


def telemetry_intent(world: World) -> Intent | None:
    """What people say must arrive; None where they say nothing, or nothing that can be read."""
    found = world.derive(_telemetry)
    return None if found is None or found.faults else found


def _telemetry(world: World) -> Intent | None:
    return intent_of(world.repository, TELEMETRY)


def scraping(world: World) -> Scraping:
    """What is scraped in a cluster."""
    return world.derive(_scraping)


def _scraping(world: World) -> Scraping:
    return scraping_of(world.objects)


def asserted(world: World, *pointer: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The entries of a list in ``tests/intent/telemetry.yaml`` that hold in a cluster, with their positions."""
    intent = telemetry_intent(world)
    value: Any = intent.body if intent is not None else {}
    for part in pointer:
        value = mapping(value).get(part)
    for index, entry in enumerate(items(value)):
        if isinstance(entry, dict) and holds_in(entry, world):
            yield index, entry


def holds_in(entry: Mapping[str, Any], world: World) -> bool:
    """Whether an entry speaks of a cluster."""
    clusters = items(entry.get("clusters"))
    return not clusters or world.cluster.name in clusters


def intent_path(name: str) -> str:
    return f"{FOLDER}/{name}"


__all__ = ["asserted", "holds_in", "intent_of", "intent_path", "items", "mapping", "scraping", "telemetry_intent", "text"]
