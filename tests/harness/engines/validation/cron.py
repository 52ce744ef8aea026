"""Cron schedules as the CronJob controller reads them.

Source: ``cron.ParseStandard`` of ``github.com/robfig/cron/v3`` (parser.go): five fields, or a descriptor such as ``@daily`` or ``@every 1h``.
"""

from __future__ import annotations

from harness.engines.formats import is_go_duration

_MONTHS = {name: index for index, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)}
_DAYS = {name: index for index, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
#: Name, lowest, highest, words.
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 6, _DAYS),
)
_DESCRIPTORS = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})


def schedule_error(schedule: str) -> str | None:
    """What is wrong with a schedule, or None."""
    if "TZ" in schedule:
        return "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
    if schedule.startswith("@"):
        if schedule in _DESCRIPTORS:
            return None
        if schedule.startswith("@every "):
            return None if is_go_duration(schedule.removeprefix("@every ")) else "failed to parse duration"
        return "unrecognized descriptor"
    fields = schedule.split()
    if len(fields) != 5:
        return f"expected exactly 5 fields, found {len(fields)}"
    for text, (name, low, high, words) in zip(fields, _FIELDS, strict=True):
        for part in text.split(","):
            # The parser drops empty parts (strings.FieldsFunc), so ",5" is 5.
            wrong = _range_error(part, low, high, words) if part else None
            if wrong is not None:
                return f"{name}: {wrong}"
    return None


def _range_error(text: str, low: int, high: int, words: dict[str, int]) -> str | None:
    range_and_step = text.split("/")
    bounds = range_and_step[0].split("-")
    single = len(bounds) == 1
    if len(range_and_step) > 2:
        return f"too many slashes: {text}"
    if bounds[0] in ("*", "?"):
        start, end = low, high
    else:
        values = [_number(bound, words) for bound in bounds]
        if len(bounds) > 2:
            return f"too many hyphens: {text}"
        if any(value is None for value in values):
            return f"failed to parse int from {text}"
        numbers = [value for value in values if value is not None]
        start, end = numbers[0], numbers[-1]
    if len(range_and_step) == 2:
        step = _number(range_and_step[1], {})
        if step is None:
            return f"failed to parse int from {text}"
        if step == 0:
            return f"step of range should be a positive number: {text}"
        if single:
            end = high
    if start < low:
        return f"beginning of range ({start}) below minimum ({low}): {text}"
    if end > high:
        return f"end of range ({end}) above maximum ({high}): {text}"
    if start > end:
        return f"beginning of range ({start}) beyond end of range ({end}): {text}"
    return None


def _number(text: str, words: dict[str, int]) -> int | None:
    if text.lower() in words:
        return words[text.lower()]
    digits = text.removeprefix("+")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else None
