"""Cron schedules as ``github.com/robfig/cron/v3`` (``ParseStandard``) reads them: five fields, or a descriptor."""

from __future__ import annotations

import re

_MONTHS = {name: number for number, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)}
_DAYS = {name: number for number, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_NO_NAMES: dict[str, int] = {}
_ALL = (("minute", 0, 59, _NO_NAMES), ("hour", 0, 23, _NO_NAMES), ("day of month", 1, 31, _NO_NAMES), ("month", 1, 12, _MONTHS), ("day of week", 0, 6, _DAYS))
_DESCRIPTORS = {"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}
_EVERY = re.compile(r"@every [-+]?(?:[0-9]+(?:\.[0-9]*)?(?:ns|us|µs|ms|s|m|h))+")


def cron_problem(schedule: str) -> str:
    """Why a schedule is none; empty when it is one."""
    rest = schedule.strip()
    if rest.startswith(("TZ=", "CRON_TZ=")):
        rest = rest.partition(" ")[2].strip()
    if not rest:
        return "empty schedule"
    if rest.startswith("@"):
        return "" if rest in _DESCRIPTORS or _EVERY.fullmatch(rest) else f"unrecognized descriptor: {rest}"
    fields = rest.split()
    if len(fields) != len(_ALL):
        return f"expected exactly 5 fields, found {len(fields)}: {schedule}"
    for field, (name, low, high, names) in zip(fields, _ALL, strict=True):
        for part in field.split(","):
            if not _range_holds(part, low, high, names):
                return f"{name} field {field!r} is not within {low} to {high}"
    return ""


def _range_holds(part: str, low: int, high: int, names: dict[str, int]) -> bool:
    span, slash, step = part.partition("/")
    if slash and not (step.isdecimal() and int(step) > 0):
        return False
    if span in ("*", "?"):
        return True
    first, dash, last = span.partition("-")
    start, end = _number(first, names), _number(last, names) if dash else None
    if start is None or (dash and end is None):
        return False
    return low <= start and (end if end is not None else start) <= high and (end is None or start <= end)


def _number(text: str, names: dict[str, int]) -> int | None:
    return names.get(text.lower(), int(text) if text.isdecimal() else None)
