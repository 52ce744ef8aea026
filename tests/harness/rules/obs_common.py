"""What the rules about telemetry share: an engine's view of a cluster, made once, and what people say of it."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from harness.engines.telemetry.inventory import Inventory
from harness.engines.telemetry.promtail import Shipper, is_promtail
from harness.engines.telemetry.rule_groups import Group, groups_of
from harness.engines.telemetry.scraping import Scraping, scraping_of
from harness.flux.texts import ConfigText, config_texts
from harness.model.shapes import items, mapping
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
    return scraping_of(world.objects, world.derive(config_texts))


def shippers(world: World) -> tuple[tuple[ConfigText, Shipper], ...]:
    """Every configuration of Promtail of a cluster, and the pipelines it makes."""
    return world.derive(_shippers)


def _shippers(world: World) -> tuple[tuple[ConfigText, Shipper], ...]:
    return tuple((config, Shipper(config.body)) for config in world.derive(config_texts) if is_promtail(config.body))


def rule_groups(world: World) -> tuple[Group, ...]:
    """Every group of alerting and recording rules of a cluster."""
    return world.derive(_groups)


def _groups(world: World) -> tuple[Group, ...]:
    return tuple(groups_of(world.objects, world.derive(config_texts)))


def inventory(world: World) -> Inventory | None:
    """The series of a cluster; None where nobody wrote down what components expose."""
    return world.derive(_inventory)


def metrics_intent(world: World) -> Intent | None:
    """The file about components' series; None where there is none, or none that can be read."""
    found = world.derive(_metrics)
    return None if found is None or found.faults else found


def _metrics(world: World) -> Intent | None:
    return intent_of(world.repository, METRICS)


def _inventory(world: World) -> Inventory | None:
    intent = metrics_intent(world)
    if intent is None:
        return None
    recorded = [rule for group in rule_groups(world) for rule in group.rules if rule.kind == "record" and rule.name]
    return Inventory(mapping(intent.body.get("components")), scraping(world), recorded)


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
