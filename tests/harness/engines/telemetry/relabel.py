"""Relabelling, as Prometheus does it.

Source: Prometheus 3.13 ``model/relabel/relabel.go`` and its documentation (``configuration.md``, relabel_config); Go's ``regexp.Expand``.
A label with an empty value is no label.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from harness.engines.cel.pattern import UnsafePatternError, compile_re2
from harness.model.shapes import items, mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ACTIONS: Final = frozenset({"replace", "keep", "drop", "keepequal", "dropequal", "hashmod", "labelmap", "labeldrop", "labelkeep", "lowercase", "uppercase"})
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_REFERENCE: Final = re.compile(r"\$(?:\$|(?P<plain>\w+)|\{(?P<braced>\w+)\})", re.ASCII)
_FLAGS: Final = re.compile(r"\(\?([a-zA-Z]+)\)")
DEFAULT_REGEX: Final = "(.*)"


class RelabelError(ValueError):
    """A relabelling that Prometheus would refuse, or that cannot be evaluated; the message says which."""


@dataclass(frozen=True, slots=True)
class Step:
    """One relabelling, with Prometheus' defaults filled in."""

    action: str = "replace"
    source: tuple[str, ...] = ()
    separator: str = ";"
    regex: str = DEFAULT_REGEX
    target: str = ""
    replacement: str = "$1"
    modulus: int = 0


@lru_cache(maxsize=4096)
def anchored(regex: str) -> re.Pattern[str]:
    """A pattern to be used with ``fullmatch``. Raises RelabelError when it is none, or cannot be run in bounded time."""
    flags = _FLAGS.match(regex)
    body = regex[flags.end() :] if flags else regex
    chosen = "".join(dict.fromkeys("s" + "".join(flag for flag in (flags[1] if flags else "") if flag in "im")))
    try:
        with warnings.catch_warnings():
            # Python warns of sets that it may read otherwise one day ([[]); RE2 has no such plans.
            warnings.simplefilter("ignore", FutureWarning)
            return compile_re2(f"(?{chosen}){body}")
    except UnsafePatternError as error:
        raise RelabelError(f"not evaluated: regex {regex!r}: {error}") from error
    except ValueError as error:
        raise RelabelError(f"regex {regex!r}: {error}") from error


def read_step(entry: object) -> Step:
    """A relabelling as it stands in a monitor (``sourceLabels``) or in Prometheus' own configuration (``source_labels``).

    Raises RelabelError for what Prometheus refuses to load.
    """
    body = mapping(entry)
    if not isinstance(entry, dict):
        raise RelabelError(f"{entry!r} is no relabelling")
    action = str(_either(body, "action", "action") or "replace").lower()
    if action not in _ACTIONS:
        raise RelabelError(f"action {action!r} is none of {', '.join(sorted(_ACTIONS))}")
    source = tuple(str(name) for name in items(_either(body, "sourceLabels", "source_labels")))
    modulus = _either(body, "modulus", "modulus")
    separator, regex, replacement = body.get("separator"), body.get("regex"), body.get("replacement")
    step = Step(
        action=action,
        source=source,
        separator=";" if separator is None else str(separator),
        regex=DEFAULT_REGEX if regex is None else _scalar(regex),
        target=str(_either(body, "targetLabel", "target_label") or ""),
        replacement="$1" if replacement is None else _scalar(replacement),
        modulus=modulus if isinstance(modulus, int) and not isinstance(modulus, bool) else 0,
    )
    _validate(step)
    return step


def _either(body: Mapping[str, Any], camel: str, snake: str) -> Any:
    return body[camel] if camel in body else body.get(snake)


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _validate(step: Step) -> None:
    anchored(step.regex)
    if step.action in ("replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal") and not step.target:
        raise RelabelError(f"action {step.action} needs a target label")
    if step.action == "hashmod" and step.modulus <= 0:
        raise RelabelError("action hashmod needs a modulus above 0")
    if step.action == "replace" and not _LABEL.fullmatch(_REFERENCE.sub("a", step.target)):
        raise RelabelError(f"{step.target!r} is no label name")
    if step.action in ("hashmod", "lowercase", "uppercase", "keepequal", "dropequal") and not _LABEL.fullmatch(step.target):
        raise RelabelError(f"{step.target!r} is no label name")
    if step.action in ("labeldrop", "labelkeep") and (step.source or step.target or step.modulus):
        raise RelabelError(f"action {step.action} takes a regex only")
    if step.action in ("keepequal", "dropequal") and (step.regex, step.replacement) != (DEFAULT_REGEX, "$1"):
        raise RelabelError(f"action {step.action} takes source labels and a target label only")


def relabel(labels: Mapping[str, str], steps: Iterable[Step]) -> dict[str, str] | None:
    """The labels after the steps; None when a step drops them. Raises RelabelError as :func:`anchored` does."""
    # Sorted, and what is set goes to the end: of two labels that labelmap maps to one name, Prometheus takes the later.
    result = {name: labels[name] for name in sorted(labels) if labels[name]}
    for step in steps:
        if not _apply(result, step):
            return None
    return result


def _apply(labels: dict[str, str], step: Step) -> bool:
    """Change the labels in place; false when they are dropped."""
    action = step.action
    if action == "labelmap":
        pattern = anchored(step.regex)
        for name, value in list(labels.items()):
            match = pattern.fullmatch(name)
            if match:
                _set(labels, _expand(step.replacement, match), value)
        return True
    if action in ("labeldrop", "labelkeep"):
        pattern = anchored(step.regex)
        for name in list(labels):
            if (pattern.fullmatch(name) is not None) == (action == "labeldrop"):
                del labels[name]
        return True
    value = step.separator.join(labels.get(name, "") for name in step.source)
    if action in ("keep", "drop"):
        return (anchored(step.regex).fullmatch(value) is not None) == (action == "keep")
    if action in ("keepequal", "dropequal"):
        return (labels.get(step.target, "") == value) == (action == "keepequal")
    if action == "replace":
        match = anchored(step.regex).fullmatch(value)
        if match:
            target = _expand(step.target, match)
            if _LABEL.fullmatch(target):
                _set(labels, target, _expand(step.replacement, match))
    elif action == "hashmod":
        _set(labels, step.target, str(int.from_bytes(hashlib.md5(value.encode(), usedforsecurity=False).digest()[8:]) % step.modulus))
    else:
        _set(labels, step.target, value.lower() if action == "lowercase" else value.upper())
    return True


def _set(labels: dict[str, str], name: str, value: str) -> None:
    labels.pop(name, None)
    if value:
        labels[name] = value


def _expand(template: str, match: re.Match[str]) -> str:
    """``$1``, ``$name`` (as long as it goes), ``${name}`` and ``$$``; a group that is not there is empty (Go's ``regexp.Expand``)."""
    if "$" not in template:
        return template

    def value(reference: re.Match[str]) -> str:
        name = reference["plain"] or reference["braced"]
        if name is None:
            return "$"
        if name.isdigit():
            return (match[int(name)] or "") if int(name) <= (match.re.groups or 0) else ""
        return (match[name] or "") if name in match.re.groupindex else ""

    return _REFERENCE.sub(value, template)
