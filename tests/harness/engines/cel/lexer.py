"""The tokens of CEL. Source: the grammar of cel-go (``parser/gen/CEL.g4``) and its ``unescape.go``, v0.26."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from harness.engines.cel.data import INT_MAX, UINT_MAX, UInt

_TOKEN = re.compile(
    r"""(?P<space>[\t\ \r\n\f]+|//[^\n]*)
      | (?P<string>(?:[bB][rR]|[rR][bB]|[rR]|[bB])?(?:\"{3}|'{3}|"|'))
      | (?P<number>0x[0-9a-fA-F]+[uU]?|(?:[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?)|[0-9]+[uU]?)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<quoted>`[A-Za-z0-9_.\-/ ]+`)
      | (?P<mark>&&|\|\||==|!=|<=|>=|[-+*/%!<>?:.,\[\](){}])""",
    re.VERBOSE | re.ASCII,
)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"', "`": "`", "?": "?"}
_LENGTHS = {"x": 2, "X": 2, "u": 4, "U": 8}


class CelSyntaxError(Exception):
    """A text that is no CEL expression."""


class Token(NamedTuple):
    """``kind`` is literal, name, quoted, mark or end; ``value`` is that of a literal."""

    kind: str
    text: str
    start: int
    value: Any = None


def position(text: str, offset: int) -> str:
    """Line and column (from 1) of an offset."""
    line = text.count("\n", 0, offset) + 1
    return f"{line}:{offset - text.rfind(chr(10), 0, offset)}"


def tokens(text: str) -> list[Token]:
    """The tokens of an expression, with an end token. Raises CelSyntaxError."""
    found: list[Token] = []
    offset = 0
    while offset < len(text):
        match = _TOKEN.match(text, offset)
        if match is None:
            raise CelSyntaxError(f"{position(text, offset)}: Syntax error: token recognition error at: {text[offset]!r}")
        kind, start, offset = str(match.lastgroup), match.start(), match.end()
        if kind == "space":
            continue
        if kind == "string":
            value, offset = _string(text, match[0], offset)
            found.append(Token("literal", text[start:offset], start, value))
        elif kind == "number":
            found.append(Token("literal", match[0], start, _number(text, match[0], start)))
        else:
            found.append(Token(kind, match[0], start))
    found.append(Token("end", "<EOF>", len(text)))
    return found


def _number(source: str, text: str, start: int) -> Any:
    unsigned = text[-1] in "uU"
    digits = text[:-1] if unsigned else text
    if digits.startswith("0x"):
        number = int(digits, 16)
    elif digits.isdigit():
        number = int(digits) if len(digits) <= 25 else UINT_MAX + 1
    else:
        return float(digits)
    if unsigned:
        if number > UINT_MAX:
            raise CelSyntaxError(f"{position(source, start)}: Syntax error: invalid uint literal")
        return UInt(number)
    # -9223372036854775808 is written with a sign, which the parser joins to the digits.
    if number > INT_MAX + 1:
        raise CelSyntaxError(f"{position(source, start)}: Syntax error: invalid int literal")
    return number


def _string(text: str, opener: str, offset: int) -> tuple[str | bytes, int]:
    quote = opener.lstrip("rRbB")
    prefix = opener[: -len(quote)].lower()
    raw, start, position_ = "r" in prefix, offset, offset
    while True:
        if position_ >= len(text) or (len(quote) == 1 and text[position_] in "\r\n"):
            raise CelSyntaxError(f"{position(text, start)}: Syntax error: unterminated string")
        if text.startswith(quote, position_):
            break
        position_ += 2 if text[position_] == "\\" and not raw else 1
    body = text[start:position_].replace("\r\n", "\n").replace("\r", "\n")
    end = position_ + len(quote)
    if "b" in prefix:
        return (body.encode() if raw else _unescape_bytes(text, body, start)), end
    return (body if raw else _unescape(text, body, start)), end


def _pieces(source: str, body: str, start: int) -> list[tuple[str, int | str]]:
    """Runs of plain text, and escapes: ('u', code point) or ('x', byte)."""
    pieces: list[tuple[str, int | str]] = []
    index = 0
    while index < len(body):
        slash = body.find("\\", index)
        if slash < 0:
            pieces.append(("text", body[index:]))
            break
        if slash > index:
            pieces.append(("text", body[index:slash]))
        mark = body[slash + 1 : slash + 2]
        if mark in _ESCAPES and mark:
            pieces.append(("text", _ESCAPES[mark]))
            index = slash + 2
            continue
        length = _LENGTHS.get(mark)
        digits = body[slash + 2 : slash + 2 + length] if length else body[slash + 1 : slash + 4]
        pattern = rf"[0-9a-fA-F]{{{length}}}" if length else "[0-3][0-7]{2}"
        if not re.fullmatch(pattern, digits):
            raise CelSyntaxError(f"{position(source, start)}: Syntax error: unable to unescape string")
        pieces.append(("x" if mark in "xX" or not length else "u", int(digits, 16 if length else 8)))
        index = slash + (2 + length if length else 4)
    return pieces


def _unescape(source: str, body: str, start: int) -> str:
    if "\\" not in body:
        return body
    made: list[str] = []
    for _kind, piece in _pieces(source, body, start):
        if isinstance(piece, int):
            if piece > 0x10FFFF or 0xD800 <= piece <= 0xDFFF:
                raise CelSyntaxError(f"{position(source, start)}: Syntax error: invalid unicode code point")
            made.append(chr(piece))
        else:
            made.append(piece)
    return "".join(made)


def _unescape_bytes(source: str, body: str, start: int) -> bytes:
    made: list[bytes] = []
    for kind, piece in _pieces(source, body, start):
        if isinstance(piece, int):
            if kind == "u":
                raise CelSyntaxError(f"{position(source, start)}: Syntax error: unable to unescape bytes")
            made.append(bytes([piece]))
        else:
            made.append(piece.encode())
    return b"".join(made)
