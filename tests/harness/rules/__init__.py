"""Every rule of the project, by family. A rule is data plus one function; see :mod:`harness.rules.base`."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    from harness.flux.world import World
    from harness.model import NotEvaluated
    from harness.rules.base import Rule

_NOT_FAMILIES = frozenset({"base", "context", "engine", "forked"})


@cache
def _modules() -> tuple[ModuleType, ...]:
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in _NOT_FAMILIES)
    return tuple(importlib.import_module(f"{__name__}.{name}") for name in names)


def gaps(world: World) -> list[NotEvaluated]:
    """What the rules could not look at in a cluster: every family module may say so with a function ``not_evaluated(world)``."""
    return [entry for module in _modules() if hasattr(module, "not_evaluated") for entry in module.not_evaluated(world)]


@cache
def all_rules() -> tuple[Rule, ...]:
    """Every rule, sorted by id. Raises ValueError when an id or a problem code is taken twice."""
    rules: list[Rule] = []
    for module in _modules():
        rules += getattr(module, "RULES", ())
    rules.sort(key=lambda rule: rule.id)
    for name, taken in (("rule", [rule.id for rule in rules]), ("problem code", [code for rule in rules for code in rule.claims])):
        twice = sorted({item for item in taken if taken.count(item) > 1})
        if twice:
            raise ValueError(f"{name} {', '.join(twice)} is defined twice")
    return tuple(rules)


def rule_of(id: str) -> Rule | None:
    """The rule with an id, or None."""
    return next((rule for rule in all_rules() if rule.id == id), None)
