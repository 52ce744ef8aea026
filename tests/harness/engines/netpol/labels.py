"""Label selectors, read once and matched many times: against one set of labels, and against all workloads at a time.

Source: ``LabelSelectorAsSelector`` in ``k8s.io/apimachinery/pkg/apis/meta/v1/helpers.go``, and ``Requirement.Matches`` in ``pkg/labels``.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from harness.engines import names
from harness.engines.report import is_elided

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OPERATORS: Final = ("In", "NotIn", "Exists", "DoesNotExist")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels fulfil it. A label that is absent fulfils NotIn and DoesNotExist."""
        value = labels.get(self.key)
        if self.operator == "In":
            return value is not None and value in self.values
        if self.operator == "NotIn":
            return value is None or value not in self.values
        return (value is not None) == (self.operator == "Exists")

    def __str__(self) -> str:
        values = ", ".join(sorted(self.values))
        if self.operator == "In":
            return f"{self.key}={values}" if len(self.values) == 1 else f"{self.key} in ({values})"
        if self.operator == "NotIn":
            return f"{self.key} not in ({values})"
        return self.key if self.operator == "Exists" else f"!{self.key}"


@dataclass(frozen=True, slots=True)
class Selector:
    """A label selector. Without requirements it matches everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(each.matches(labels) for each in self.requirements)

    def missed(self, labels: Mapping[str, str]) -> tuple[Requirement, ...]:
        """The requirements that labels do not fulfil."""
        return tuple(each for each in self.requirements if not each.matches(labels))

    def __str__(self) -> str:
        return ", ".join(str(each) for each in self.requirements)


EVERYTHING: Final = Selector()


def read_selector(value: Any) -> tuple[Selector, list[tuple[tuple[str | int, ...], str]]]:
    """A selector, and what makes the API server refuse it, with pointers into it. ``None`` is the empty selector."""
    faults: list[tuple[tuple[str | int, ...], str]] = []
    if value is None:
        return EVERYTHING, faults
    if not isinstance(value, dict):
        return EVERYTHING, [((), "must be an object")]
    found: list[Requirement] = []
    labels = value.get("matchLabels")
    if labels is not None and not isinstance(labels, dict):
        faults.append((("matchLabels",), "must be an object"))
    for key, wanted in (labels if isinstance(labels, dict) else {}).items():
        if wanted is not None and not isinstance(wanted, str):
            faults.append((("matchLabels", str(key)), f"must be a string, not {wanted!r}"))
            continue
        faults += [(("matchLabels", str(key)), message) for message in (*_key_faults(str(key)), *_value_faults(wanted or ""))]
        found.append(Requirement(str(key), "In", frozenset((wanted or "",))))
    expressions = value.get("matchExpressions")
    if expressions is not None and not isinstance(expressions, list):
        faults.append((("matchExpressions",), "must be a list"))
    for index, each in enumerate(expressions if isinstance(expressions, list) else ()):
        one, wrong = _expression(each)
        faults += [(("matchExpressions", index, *at), message) for at, message in wrong]
        if one is not None:
            found.append(one)
    return Selector(tuple(found)), faults


def _expression(value: Any) -> tuple[Requirement | None, list[tuple[tuple[str | int, ...], str]]]:
    if not isinstance(value, dict):
        return None, [((), "must be an object")]
    key, operator, values = value.get("key"), value.get("operator"), value.get("values")
    if not isinstance(key, str) or not key:
        return None, [(("key",), "must be the name of a label")]
    if operator not in OPERATORS:
        return None, [(("operator",), f"must be one of {', '.join(OPERATORS)}, not {operator!r}")]
    if values is not None and not isinstance(values, list):
        return None, [(("values",), "must be a list")]
    if not all(isinstance(each, str) for each in values or ()):
        return None, [(("values",), "must be a list of strings")]
    if operator in ("In", "NotIn") and not values:
        return None, [(("values",), f"must be specified when operator is {operator}")]
    if operator in ("Exists", "DoesNotExist") and values:
        return None, [(("values",), f"may not be specified when operator is {operator}")]
    wrong: list[tuple[tuple[str | int, ...], str]] = [(("key",), message) for message in _key_faults(key)]
    wrong += [(("values", index), message) for index, each in enumerate(values or ()) for message in _value_faults(each)]
    if wrong:
        return None, wrong
    return Requirement(key, operator, frozenset(values or ())), []


@lru_cache(maxsize=4096)
def _key_faults(key: str) -> tuple[str, ...]:
    return tuple(f"{message}, not {key!r}" for message in names.qualified_name(key))


@lru_cache(maxsize=4096)
def _value_faults(value: str) -> tuple[str, ...]:
    """Text that the lock does not hold is no fault: nothing is known of it."""
    return () if is_elided(value) else tuple(f"{message}, not {value!r}" for message in names.label_value(value))


class LabelIndex:
    """Sets of positions by label, as bit masks: matching a selector against all of them costs an AND per requirement."""

    def __init__(self, every: Iterable[Mapping[str, str]]) -> None:
        self._keys: dict[str, int] = defaultdict(int)
        self._values: dict[tuple[str, str], int] = defaultdict(int)
        self._cache: dict[Selector, int] = {}
        bit = 1
        for labels in every:
            for key, value in labels.items():
                self._keys[key] |= bit
                self._values[key, value] |= bit
            bit <<= 1
        self.all = bit - 1

    def matching(self, selector: Selector) -> int:
        """The positions whose labels a selector matches."""
        found = self._cache.get(selector)
        if found is None:
            found = self.all
            for each in selector.requirements:
                found &= self._requirement(each)
            self._cache[selector] = found
        return found

    def _requirement(self, each: Requirement) -> int:
        present = self._keys.get(each.key, 0)
        if each.operator == "Exists":
            return present
        if each.operator == "DoesNotExist":
            return self.all & ~present
        among = 0
        for value in each.values:
            among |= self._values.get((each.key, value), 0)
        return among if each.operator == "In" else self.all & ~among


def positions(mask: int) -> list[int]:
    """The positions whose bits are set, in order."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found
