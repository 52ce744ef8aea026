"""The part of HCL 1 that Vault's policies are written in: blocks with labels, assignments, strings, numbers, truth values, lists, objects, comments.

Source: the HCL 1 syntax specification (hashicorp/hcl v1, README and ``hcl/scanner``). JSON, which HCL 1 also reads, is read as such.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\r\n,]+)|(?P<comment>(?:\#|//)[^\n]*|/\*.*?\*/)|(?P<heredoc><<-?\s*(?P<mark>\w+)\n.*?\n\s*(?P=mark)(?=\n|\Z))"""
    r"""|(?P<string>"(?:[^"\\\n]|\\.)*")|(?P<number>-?\d+(?:\.\d+)?(?![\w.]))|(?P<name>[A-Za-z_][\w.-]*)|(?P<sign>[{}\[\]=:])""",
    re.DOTALL,
)


class HclError(ValueError):
    """The text is not HCL; ``line`` is where, from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Block:
    """``path "kv/data/*" { capabilities = ["read"] }``: type, labels, and what is inside. ``line`` counts from 1."""

    type: str
    labels: tuple[str, ...]
    line: int
    attributes: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    value: Any
    line: int


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    position, line = 0, 1
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise HclError(f"unexpected {text[position]!r}", line)
        kind, value = str(match.lastgroup), match.group()
        if kind == "mark":
            kind = "heredoc"
        if kind == "string":
            try:
                found.append(_Token("string", json.loads(value.replace("\\$", "$")), line))
            except ValueError as error:
                raise HclError("a string with an escape that is none", line) from error
        elif kind == "heredoc":
            found.append(_Token("string", value.split("\n", 1)[1].rsplit("\n", 1)[0] + "\n", line))
        elif kind == "number":
            found.append(_Token("number", float(value) if "." in value else int(value), line))
        elif kind in ("name", "sign"):
            found.append(_Token(kind, value, line))
        line += value.count("\n")
        position = match.end()
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._position = 0
        self._last = self._tokens[-1].line if self._tokens else 1

    def _peek(self) -> _Token:
        return self._tokens[self._position] if self._position < len(self._tokens) else _Token("end", "the end", self._last)

    def _next(self) -> _Token:
        token = self._peek()
        self._position += 1
        return token

    def body(self, block: Block, *, closed: bool) -> Block:
        while True:
            token = self._next()
            if token.kind == "end" and not closed:
                return block
            if token.kind == "sign" and token.value == "}" and closed:
                return block
            if token.kind not in ("name", "string"):
                raise HclError(f"expected a name, found {token.value!r}", token.line)
            self._entry(block, token)

    def _entry(self, block: Block, name: _Token) -> None:
        labels: list[str] = []
        while True:
            token = self._next()
            if token.kind in ("string", "name"):
                labels.append(str(token.value))
            elif token.kind == "sign" and token.value == "{":
                inner = Block(str(name.value), tuple(labels), name.line)
                block.blocks.append(self.body(inner, closed=True))
                return
            elif token.kind == "sign" and token.value in "=:" and not labels:
                self._assign(block, name)
                return
            else:
                raise HclError(f"expected = or {{ after {name.value}, found {token.value!r}", token.line)

    def _assign(self, block: Block, name: _Token) -> None:
        key = str(name.value)
        if key in block.attributes:
            raise HclError(f"{key} is set twice", name.line)
        block.attributes[key] = self._value()
        block.lines[key] = name.line

    def _value(self) -> Any:
        token = self._next()
        if token.kind in ("string", "number"):
            return token.value
        if token.kind == "name" and token.value in ("true", "false"):
            return token.value == "true"
        if token.kind == "sign" and token.value == "[":
            values = []
            while not (self._peek().kind == "sign" and self._peek().value == "]"):
                values.append(self._value())
            self._next()
            return values
        if token.kind == "sign" and token.value == "{":
            inner = self.body(Block("", (), token.line), closed=True)
            return {**inner.attributes, **{each.type: each.attributes for each in inner.blocks}}
        raise HclError(f"expected a value, found {token.value!r}", token.line)


def parse_hcl(text: str) -> Block:
    """The text as one block without type. Raises HclError for what is not HCL of this kind."""
    if text.lstrip().startswith("{"):
        return _of_json(text)
    try:
        return _Parser(text).body(Block("", (), 1), closed=False)
    except RecursionError as error:
        raise HclError("nested too deep", 1) from error


def _of_json(text: str) -> Block:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HclError(f"not JSON: {error}", getattr(error, "lineno", 1)) from error
    top = Block("", (), 1)
    for type_, entries in data.items() if isinstance(data, dict) else ():
        # {"path": {"kv/*": {...}}}, or a list of such mappings
        for entry in entries if isinstance(entries, list) else [entries]:
            if not isinstance(entry, dict):
                top.attributes[type_] = entry
                continue
            for label, body in entry.items():
                top.blocks.append(Block(type_, (str(label),), 1, dict(body) if isinstance(body, dict) else {}))
    return top
