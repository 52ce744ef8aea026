"""The syntax tree of a CEL expression; macros stand as nodes of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Literal:
    value: Any


@dataclass(frozen=True, slots=True)
class Ident:
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """``operand.field``, ``operand.?field``, or ``has(operand.field)``."""

    operand: Node
    field: str
    optional: bool = False
    test: bool = False


@dataclass(frozen=True, slots=True)
class Index:
    operand: Node
    index: Node
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A function, an operator (``_+_``) or, with a target, a member function."""

    name: str
    target: Node | None
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Logic:
    """``&&`` or ``||`` over any number of terms."""

    conjunction: bool
    terms: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Ternary:
    condition: Node
    yes: Node
    no: Node


@dataclass(frozen=True, slots=True)
class ListNode:
    items: tuple[Node, ...]
    optional: frozenset[int]


@dataclass(frozen=True, slots=True)
class MapNode:
    """Key, value, and whether the entry is optional."""

    entries: tuple[tuple[Node, Node, bool], ...]


@dataclass(frozen=True, slots=True)
class MessageNode:
    name: str
    fields: tuple[tuple[str, Node, bool], ...]


@dataclass(frozen=True, slots=True)
class Macro:
    """A comprehension: ``kind`` is the macro's name, ``variables`` one or two names, ``arguments`` the expressions they are in."""

    kind: str
    target: Node
    variables: tuple[str, ...]
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Bind:
    """``cel.bind(name, value, body)``."""

    name: str
    value: Node
    body: Node


Node = Literal | Ident | Select | Index | Call | Logic | Ternary | ListNode | MapNode | MessageNode | Macro | Bind


def qualified_name(node: Node) -> str | None:
    """``a.b.c`` when a node is nothing but names, else None."""
    parts: list[str] = []
    while isinstance(node, Select) and not node.test and not node.optional:
        parts.append(node.field)
        node = node.operand
    if not isinstance(node, Ident):
        return None
    return ".".join([node.name, *reversed(parts)])
