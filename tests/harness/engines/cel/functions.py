"""Declarations of CEL functions: signatures as text, and the choice of an overload by the values' types.

A signature reads like CEL's own documentation: ``size(list(A)) -> int``, ``<string>.find(string) -> string`` (a member function). A single
capital letter is a type parameter; any name that is no standard type is an opaque type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from harness.engines.cel.data import Duration, Message, Opaque, Optional, Timestamp, TypeValue, UInt, no_overload

#: A type: its name and its parameters. ``("list", (("int", ()),))`` is ``list(int)``.
Type = tuple[str, tuple[Any, ...]]

DYN: Type = ("dyn", ())
#: A type that the expression's user knows and this engine does not.
UNKNOWN: Type = ("unknown", ())
_SIGNATURE = re.compile(r"(?:<(?P<receiver>.+)>\.)?(?P<name>[\w.@!?\-+*/%<>=\[\]&|:]+?)\((?P<parameters>.*)\) -> (?P<result>.+)")


def split_top(text: str) -> list[str]:
    """The parts of a list that commas outside of parentheses separate."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


@cache
def parse_type(text: str) -> Type:
    """A type from its text, such as ``map(string, dyn)``."""
    name, bracket, rest = text.partition("(")
    return (name, tuple(parse_type(part) for part in split_top(rest[:-1])) if bracket else ())


@dataclass(frozen=True, slots=True)
class Overload:
    """One signature of a function. ``call`` takes the receiver, if any, and the arguments."""

    name: str
    member: bool
    parameters: tuple[Type, ...]
    result: Type
    call: Callable[..., Any]


def overload(signature: str, call: Callable[..., Any]) -> Overload:
    """An overload from its signature."""
    match = _SIGNATURE.fullmatch(signature)
    if match is None:
        raise ValueError(f"not a signature: {signature}")
    parameters = [parse_type(part) for part in split_top(match["parameters"])]
    if match["receiver"]:
        parameters.insert(0, parse_type(match["receiver"]))
    return Overload(match["name"], match["receiver"] is not None, tuple(parameters), parse_type(match["result"]), call)


_HEADS: dict[type, str] = {
    type(None): "null", bool: "bool", int: "int", UInt: "uint", float: "double", str: "string", bytes: "bytes", list: "list", dict: "map",
    tuple: "list", Timestamp: "timestamp", Duration: "duration", Optional: "optional", TypeValue: "type", Message: "message",
}  # fmt: skip


def head_of(kind: type) -> str:
    """The name of the type that values of a Python class have."""
    found = _HEADS.get(kind)
    if found is None:
        if issubclass(kind, Opaque):
            found = kind.TYPE
        else:
            bases = ((Mapping, "map"), (list, "list"), (str, "string"), (bool, "bool"), (float, "double"), (int, "int"))
            found = next((name for base, name in bases if issubclass(kind, base)), kind.__name__)
        _HEADS[kind] = found
    return found


class Function:
    """All overloads of one name. ``dispatch`` finds what to call for values of given Python classes."""

    __slots__ = ("_found", "name", "overloads")

    def __init__(self, name: str, overloads: Iterable[Overload]) -> None:
        self.name = name
        self.overloads = tuple(overloads)
        self._found: dict[tuple[bool, tuple[type, ...]], Callable[..., Any]] = {}

    def dispatch(self, member: bool, kinds: tuple[type, ...]) -> Callable[..., Any]:
        """The implementation for these classes, in the style (member or not) of the call. Raises CelError when there is none."""
        key = (member, kinds)
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._choose(member, tuple(head_of(kind) for kind in kinds))
        return found

    def _choose(self, member: bool, heads: tuple[str, ...]) -> Callable[..., Any]:
        for candidate in self.overloads:
            parameters = candidate.parameters
            if candidate.member == member and len(parameters) == len(heads) and all(map(_accepts, parameters, heads)):
                return candidate.call
        raise no_overload(self.name)


def _accepts(parameter: Type, head: str) -> bool:
    name = parameter[0]
    return name in ("dyn", head) or (len(name) == 1 and name.isupper())


def merge(*libraries: Iterable[Overload]) -> dict[str, Function]:
    """Functions by name, from the overloads of several libraries; earlier libraries are asked first."""
    found: dict[str, list[Overload]] = {}
    for library in libraries:
        for item in library:
            found.setdefault(item.name, []).append(item)
    return {name: Function(name, overloads) for name, overloads in found.items()}
