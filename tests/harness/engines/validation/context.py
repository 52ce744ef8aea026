"""What the rules of this package share: access to loosely typed data, and the checks that occur everywhere.

Rules see objects that may not fit their schema; ``mapping``, ``items`` and ``text`` answer with something empty then, since the schema has
already said so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.engines import names, quantity
from harness.engines.report import Report, is_elided
from harness.model.shapes import items as items
from harness.model.shapes import mapping as mapping
from harness.model.shapes import text as text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from fractions import Fraction

    from harness.model import Pointer

Json = dict[str, Any]


def number(value: Any) -> int | None:
    """The value when it is an integer, else None."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def each(value: Any, at: Pointer) -> Iterator[tuple[Pointer, Json]]:
    """The objects of a list, with their pointers."""
    for index, item in enumerate(items(value)):
        if isinstance(item, dict):
            yield (*at, index), item


def each_text(value: Any, at: Pointer) -> Iterator[tuple[Pointer, str]]:
    """The strings of a list, with their pointers."""
    for index, item in enumerate(items(value)):
        if isinstance(item, str):
            yield (*at, index), item


class Check:
    """One validation of one object: the report, and the cluster's Kubernetes minor (36 for 1.36)."""

    __slots__ = ("minor", "report")

    def __init__(self, report: Report, minor: int) -> None:
        self.report = report
        self.minor = minor

    def error(self, at: Pointer, message: str, keyword: str = "invalid", value: Any = None) -> None:
        """Adds an error; ``value`` is what the message is about."""
        self.report.error(at, message, keyword, value)

    def required(self, holder: Json, field: str, at: Pointer, message: str = "") -> bool:
        """Whether a field is there and not empty; an error when it is not. ``at`` is the holder's place."""
        value = holder.get(field)
        if value is None:
            self.error((*at, field), message or "required field is missing", "required")
            return False
        if value == "" or value == [] or value == {}:
            self.error((*at, field), message or "must not be empty", "required")
            return False
        return True

    def syntax(self, value: Any, check: Callable[[str], list[str]], at: Pointer, keyword: str = "name") -> None:
        """Adds what is wrong with a string; nothing for anything else."""
        if isinstance(value, str):
            for message in check(value):
                self.error(at, f"{message}, not {value[:80]!r}", keyword, value)

    def optional_name(self, holder: Json, field: str, check: Callable[[str], list[str]], at: Pointer) -> None:
        """Checks a name that may be absent or empty."""
        if holder.get(field):
            self.syntax(holder[field], check, (*at, field))

    def reference(self, holder: Json, field: str, at: Pointer, check: Callable[[str], list[str]] = names.dns1123_subdomain) -> None:
        """A name that must be there and well formed."""
        if self.required(holder, field, at):
            self.syntax(holder[field], check, (*at, field))

    def labels(self, value: Any, at: Pointer) -> None:
        """``ValidateLabels`` (apimachinery/pkg/apis/meta/v1/validation)."""
        for key, label in mapping(value).items():
            self.syntax(key, names.qualified_name, (*at, key), "label")
            self.syntax(label, names.label_value, (*at, key), "label")

    def label_keys(self, value: Any, at: Pointer) -> None:
        for place, key in each_text(value, at):
            self.syntax(key, names.qualified_name, place, "label")

    def selector(self, value: Any, at: Pointer) -> None:
        """``ValidateLabelSelector``: operators are the schema's business."""
        if not isinstance(value, dict):
            return
        self.labels(value.get("matchLabels"), (*at, "matchLabels"))
        for place, expression in each(value.get("matchExpressions"), (*at, "matchExpressions")):
            operator, values = expression.get("operator"), items(expression.get("values"))
            if operator in ("In", "NotIn") and not values:
                self.error((*place, "values"), "must be specified when operator is In or NotIn", "selector")
            elif operator in ("Exists", "DoesNotExist") and values:
                self.error((*place, "values"), "must not be specified when operator is Exists or DoesNotExist", "selector")
            if isinstance(expression.get("key"), str):
                self.syntax(expression["key"], names.qualified_name, (*place, "key"), "label")
            for where, label in each_text(values, (*place, "values")):
                self.syntax(label, names.label_value, where, "label")

    def int_or_percent(self, value: Any, at: Pointer, *, capped: bool = False) -> None:
        """``ValidatePositiveIntOrPercent``, and with ``capped`` ``IsNotMoreThan100Percent`` (apps/validation)."""
        if isinstance(value, str):
            if is_elided(value):
                return
            if names.percent(value):
                self.error(at, f"must be an integer or a percentage such as 25%, not {value!r}", "int-or-percent")
            elif capped and int(value[:-1]) > 100:
                self.error(at, "must not be greater than 100%", "int-or-percent")
        elif (count := number(value)) is not None and count < 0:
            self.error(at, f"must be at least 0, not {count}", "int-or-percent")

    def port(self, value: Any, at: Pointer) -> None:
        """``ValidatePortNumOrName``: a port number or the name of one."""
        if isinstance(value, str):
            self.syntax(value, names.port_name, at, "port")
        elif (port := number(value)) is not None and not 1 <= port <= 65535:
            self.error(at, f"must be between 1 and 65535, inclusive, not {port}", "port")

    def relative_path(self, value: Any, at: Pointer, *, reserved: bool = False) -> None:
        """``validateLocalDescendingPath``; with ``reserved`` ``ValidateLocalNonReservedPath``."""
        if not isinstance(value, str):
            return
        if value.startswith("/"):
            self.error(at, "must be a relative path", "path", value)
        self.no_backsteps(value, at)
        if reserved and value.startswith("..") and not value.startswith("../") and value != "..":
            self.error(at, "must not start with '..'", "path", value)

    def no_backsteps(self, value: Any, at: Pointer) -> None:
        """``validatePathNoBacksteps``."""
        if ".." in text(value).split("/"):
            self.error(at, "must not contain '..'", "path", value)

    def exactly_one(self, holder: Json, fields: Iterable[str], at: Pointer, what: str) -> list[str]:
        """The fields that are set, with an error when it is not exactly one."""
        present = [field for field in fields if holder.get(field) is not None]
        wanted = sorted(fields)
        if not present:
            self.error(at, f"must have one {what}: {', '.join(wanted)}", "one-of")
        elif len(present) > 1:
            self.error(at, f"must not have more than one {what}: has {', '.join(present)}", "one-of")
        return present


def quantity_of(value: Any) -> Fraction | None:
    """The value of a quantity; None when it is none, or elided (the schema reports malformed ones)."""
    return quantity.parse_or_none(value)
