"""``${name}`` expressions in text, as Flux evaluates them.

Source: fluxcd/pkg/envsubst (a fork of drone/envsubst) as kustomize-controller 1.9 uses it, quirks included: lengths and offsets count bytes,
``=`` also replaces an empty value, ``:?`` and ``:+`` give the default, ``$$`` is a dollar wherever it stands outside of an expression,
and ``${name-default}``, which its README lists, is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from harness.flux.globs import longest_prefix, shortest_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Expressions inside defaults may be nested this deep.
_MAX_DEPTH: Final = 100

#: Operators that stand in for an unset variable.
_DEFAULTS: Final = frozenset(("=", ":=", ":-", ":?", ":+"))

_END: Final = ""


class SubstitutionError(Exception):
    """A text that Flux refuses. The message is Flux's; ``offset`` is where the expression at fault begins."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(slots=True)
class Result:
    """What became of a text. ``used`` were looked up and found; ``missing`` were looked up in vain and have no default."""

    text: str
    used: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Expression:
    name: str
    operator: str
    arguments: tuple[str | _Expression, ...]
    offset: int


def evaluate(text: str, variables: Mapping[str, str]) -> Result:
    """Replaces every expression of a text; unset variables without a default give nothing and are named in ``missing``.

    Raises:
        SubstitutionError: an expression is malformed, or is one that ends the controller's process.
    """
    result = Result("")
    result.text = "".join(part if isinstance(part, str) else _value(part, variables, result) for part in _Parser(text).parse())
    return result


class _Parser:
    """Cuts a text into literal text and expressions."""

    def __init__(self, text: str) -> None:
        # Flux's scanner takes NUL for the end of the text.
        self._text = text.partition("\0")[0]
        self._at = 0
        self._start = 0

    def parse(self) -> list[str | _Expression]:
        parts: list[str | _Expression] = []
        text = self._text
        while self._at < len(text):
            dollar = text.find("$", self._at)
            if dollar < 0:
                parts.append(text[self._at :])
                break
            parts.append(text[self._at : dollar])
            following = text[dollar + 1 : dollar + 2]
            if following == "{":
                self._at = self._start = dollar + 2
                parts.append(self._expression(0))
            else:
                parts.append("$")
                self._at = dollar + (2 if following == "$" else 1)
        return parts

    def _fail(self, message: str) -> SubstitutionError:
        return SubstitutionError(message, max(self._start - 2, 0))

    def _peek(self, ahead: int = 0) -> str:
        at = self._at + ahead
        return self._text[at] if at < len(self._text) else _END

    def _take(self, accepted: Callable[[str], bool], most: int | None = None) -> str:
        """The longest run of accepted characters from here."""
        start = self._at
        while self._at < len(self._text) and accepted(self._text[self._at]) and (most is None or self._at - start < most):
            self._at += 1
        return self._text[start : self._at]

    def _expression(self, depth: int) -> _Expression:
        """After ``${``."""
        if depth > _MAX_DEPTH:
            raise self._fail(f"expressions are nested deeper than {_MAX_DEPTH} levels")
        offset = self._at
        if self._peek() == "#":
            self._at += 1
            name = self._name()
            if not name:
                raise self._fail("bad substitution")
            self._close()
            return _Expression(name, "#", (), offset)
        name = self._name()
        if not name:
            raise self._fail("unable to parse variable name")
        following = self._peek()
        if following == "}":
            self._at += 1
            return _Expression(name, "", (), offset)
        operator, arguments = self._operation(following, depth)
        return _Expression(name, operator, tuple(arguments), offset)

    def _operation(self, following: str, depth: int) -> tuple[str, list[str | _Expression]]:
        if following == "=" or (following == ":" and self._peek(1) in ("=", "-", "?", "+")):
            operator = self._text[self._at : self._at + (1 if following == "=" else 2)]
            self._at += len(operator)
            return operator, self._default(depth)
        if following == ":":
            return ":", self._substring(depth)
        if following in (",", "^"):
            operator = self._take(lambda c: c in ",^", 2)
            self._close()
            return operator, []
        if following == "/":
            return self._replacement(depth)
        if following in ("#", "%"):
            operator = self._take(lambda c: c == following, 2)
            argument = self._argument(lambda c: c != "}", depth)
            self._close()
            return operator, [argument]
        raise self._fail("missing closing brace")

    def _name(self) -> str:
        return self._take(lambda c: c == "_" or c.isalpha() or c.isdecimal())

    def _close(self) -> None:
        if self._peek() != "}":
            raise self._fail("bad substitution")
        self._at += 1

    def _argument(self, accepted: Callable[[str], bool], depth: int, *, escapes: bool = False) -> str | _Expression:
        """One expression, or text up to what is not accepted or to an expression."""
        if self._peek() == "$" and self._peek(1) == "{":
            self._at += 2
            return self._expression(depth + 1)
        text: list[str] = []
        while (character := self._peek()) != _END:
            following = self._peek(1)
            if character == "$" and following == "{":
                break
            if escapes and ((character == "$" and following == "$") or (character == "\\" and following in ("/", "\\"))):
                text.append(following)
                self._at += 2
                continue
            if not accepted(character):
                break
            text.append(character)
            self._at += 1
        if not text:
            raise self._fail("unable to parse substitution within function")
        return "".join(text)

    def _default(self, depth: int) -> list[str | _Expression]:
        arguments: list[str | _Expression] = []
        while self._peek() != "}":
            arguments.append(self._argument(lambda c: c != "}", depth))
        self._at += 1
        return arguments

    def _substring(self, depth: int) -> list[str | _Expression]:
        self._at += 1
        if ord(self._peek() or "\0") > 127:
            # The scanner steps back by the width of the wrong character here.
            raise self._fail("bad substitution")
        if self._peek() == _END:
            raise self._fail("bad substitution")
        arguments = [self._argument(lambda c: c not in ":}", depth)]
        if self._peek() == "}":
            self._at += 1
            return arguments
        if not self._take(lambda c: c == ":"):
            raise self._fail("bad substitution")
        arguments.append(self._argument(lambda c: c != "}", depth))
        self._close()
        return arguments

    def _replacement(self, depth: int) -> tuple[str, list[str | _Expression]]:
        self._at += 1
        operator = "/"
        if self._peek() in ("/", "#", "%"):
            operator += self._peek()
            self._at += 1
        arguments = [self._argument(lambda c: c != "/", depth, escapes=True)]
        if not self._take(lambda c: c == "/"):
            raise self._fail("bad substitution")
        if self._peek() != "}":
            arguments.append(self._argument(lambda c: c != "}", depth, escapes=True))
        self._close()
        return operator, arguments


def _value(expression: _Expression, variables: Mapping[str, str], result: Result) -> str:
    arguments = [part if isinstance(part, str) else _value(part, variables, result) for part in expression.arguments]
    value = variables.get(expression.name)
    if value is not None:
        result.used.add(expression.name)
    elif expression.operator not in _DEFAULTS:
        result.missing.add(expression.name)
    try:
        return _apply(expression.operator, value or "", arguments)
    except IndexError as error:
        raise SubstitutionError(str(error), max(expression.offset - 2, 0)) from None


def _apply(operator: str, value: str, arguments: list[str]) -> str:
    function = _FUNCTIONS.get(operator)
    if function is not None:
        return function(value, arguments)
    return value or "".join(arguments)


def _length(value: str, arguments: list[str]) -> str:
    if arguments:
        return _trim_prefix(value, shortest_prefix(arguments[0], value))
    return str(len(value.encode()))


def _substring(value: str, arguments: list[str]) -> str:
    data = value.encode()
    start = _integer(arguments[0])
    if start is None:
        return value
    if start < 0:
        start = max(len(data) + start, 0)
    end = len(data)
    if len(arguments) > 1:
        length = _integer(arguments[1])
        if length is None:
            return value
        end = start + length
        if end >= len(data):
            end = len(data)
        elif end < start:
            raise IndexError(f"slice bounds out of range [{start}:{end}]: a negative length stops the controller")
    try:
        return data[start:end].decode() if start < len(data) else ""
    except UnicodeDecodeError:
        raise IndexError("the offset cuts a character in two, offsets count bytes") from None


def _integer(text: str) -> int | None:
    """Go's strconv.Atoi: decimal digits with a sign, within 64 bits."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not digits or not digits.isascii() or not digits.isdigit() or len(digits) > 30:
        return None
    number = int(text)
    return number if -(2**63) <= number < 2**63 else None


def _upper(character: str) -> str:
    changed = character.upper()
    return changed if len(changed) == 1 else character


def _lower(character: str) -> str:
    # Go maps single characters only; the one that Python makes two of is the dotted capital I.
    changed = character.lower()
    return changed if len(changed) == 1 else changed[0]


def _trim_prefix(value: str, length: int) -> str:
    return value.encode()[length:].decode("utf-8", "replace")


def _trim_suffix(value: str, arguments: list[str], find: Callable[[str, str], int]) -> str:
    """Go reverses both the value and the pattern and trims a prefix, so classes and escapes in the pattern read backwards."""
    backwards = value[::-1]
    return _trim_prefix(backwards, find(arguments[0][::-1], backwards))[::-1]


def _replace(value: str, arguments: list[str], count: int) -> str:
    return value.replace(arguments[0], arguments[1] if len(arguments) > 1 else "", count)


def _replace_end(value: str, arguments: list[str], *, suffix: bool) -> str:
    """At the start or end only; without a replacement the value stays."""
    if len(arguments) != 2:
        return value
    old, new = arguments
    if suffix:
        return value.removesuffix(old) + new if value.endswith(old) else value
    return new + value.removeprefix(old) if value.startswith(old) else value


_FUNCTIONS: Final[dict[str, Callable[[str, list[str]], str]]] = {
    ",": lambda value, _: _lower(value[0]) + value[1:] if value else value,
    ",,": lambda value, _: "".join(map(_lower, value)),
    "^": lambda value, _: _upper(value[0]) + value[1:] if value else value,
    "^^": lambda value, _: "".join(map(_upper, value)),
    "#": _length,
    "##": lambda value, arguments: _trim_prefix(value, longest_prefix(arguments[0], value)),
    "%": lambda value, arguments: _trim_suffix(value, arguments, shortest_prefix),
    "%%": lambda value, arguments: _trim_suffix(value, arguments, longest_prefix),
    ":": _substring,
    "/": lambda value, arguments: _replace(value, arguments, 1),
    "//": lambda value, arguments: _replace(value, arguments, -1),
    "/#": lambda value, arguments: _replace_end(value, arguments, suffix=False),
    "/%": lambda value, arguments: _replace_end(value, arguments, suffix=True),
}
