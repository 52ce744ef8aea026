"""Helm's ``--set`` language, which a HelmRelease's ``valuesFrom[].targetPath`` is written in.

Source: Helm 4.2 ``pkg/strvals/parser.go`` and fluxcd/pkg ``chartutil`` (ReplacePathValue, ReplacePathLiteralValue).
"""

from __future__ import annotations

import re
from typing import Any, Final

#: Helm's own limits.
MAX_INDEX: Final = 65_536
MAX_NESTING: Final = 30
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_INDEX: Final = re.compile(r"[+-]?[0-9]+")
_LITERAL: Final = str.maketrans({character: f"\\{character}" for character in "\\,[]{}"})


class StrvalsError(ValueError):
    """The text is not in the language, or does not fit the values it is set into."""


class _End(Exception):  # noqa: N818 - a signal inside the parser, not an error
    """The text has ended."""


def set_value(values: dict[str, Any], path: str, value: str, *, literal: bool = False) -> None:
    """Set the value at a path into ``values``, in place, as helm-controller does it.

    A value in quotes stays text. With ``literal`` the value is taken as it is.

    Raises:
        StrvalsError: the path or the value is not in the language.
    """
    if literal:
        _Parser(f"{path}={value.translate(_LITERAL)}", text_only=True).parse(values)
        return
    quoted = len(value) >= 1 and any(value.startswith(quote) and value.endswith(quote) for quote in "'\"")
    # strings.Trim with both quotes as cutset: every leading and trailing quote goes, of either kind.
    _Parser(f"{path}={value.strip(chr(34) + chr(39)) if quoted else value}", text_only=quoted).parse(values)


def parse_line(line: str, values: dict[str, Any], *, text_only: bool = False) -> None:
    """Set everything a ``--set`` line (``--set-string`` with ``text_only``) says into ``values``, in place.

    Raises:
        StrvalsError: the line is not in the language.
    """
    _Parser(line, text_only).parse(values)


class _Parser:
    """One line. The methods raise _End where Helm's parser meets the end of the text instead of a value."""

    def __init__(self, line: str, text_only: bool) -> None:
        self._text = line
        self._at = 0
        self._text_only = text_only

    def parse(self, values: dict[str, Any]) -> None:
        while True:
            try:
                self._key(values, 0)
            except _End:
                return

    def _until(self, stop: str) -> tuple[str, str]:
        """The text up to one of the characters, escapes undone, and which it was; the empty string at the end of the text."""
        found: list[str] = []
        while self._at < len(self._text):
            character = self._text[self._at]
            self._at += 1
            if character in stop:
                return "".join(found), character
            if character == "\\":
                if self._at >= len(self._text):
                    break
                character = self._text[self._at]
                self._at += 1
            found.append(character)
        return "".join(found), ""

    def _key(self, data: dict[str, Any], nesting: int) -> None:
        name, last = self._until("=[,.")
        if last == "":
            if not name:
                raise _End
            raise StrvalsError(f"key {name!r} has no value")
        if last == "[":
            index = self._index()
            items = data.get(name, [])
            if not isinstance(items, list):
                raise StrvalsError(f"{name!r} is not a list")
            try:
                items = self._item(items, index, nesting)
            finally:
                # An item that the text ends in is not set, but the list is.
                _put(data, name, items)
        elif last == "=":
            ended = self._at >= len(self._text)
            _put(data, name, self._value())
            if ended:
                raise _End
        elif last == ",":
            _put(data, name, "")
            raise StrvalsError(f"key {name!r} has no value (cannot end with ,)")
        else:
            self._nested(data, name, nesting + 1)

    def _nested(self, data: dict[str, Any], name: str, nesting: int) -> None:
        if nesting > MAX_NESTING:
            raise StrvalsError(f"value name nested level is greater than maximum supported nested level of {MAX_NESTING}")
        inner = data.get(name, {})
        if not isinstance(inner, dict):
            raise StrvalsError(f"{name!r} is not a mapping")
        try:
            self._key(inner, nesting)
        except _End:
            if inner:
                _put(data, name, inner)
            raise
        if not inner:
            raise StrvalsError(f"key map {name!r} has no value")
        _put(data, name, inner)

    def _index(self) -> int:
        text, last = self._until("]")
        if last == "":
            raise _End
        if not _INDEX.fullmatch(text):
            raise StrvalsError(f"error parsing index: {text!r}")
        return int(text)

    def _item(self, items: list[Any], index: int, nesting: int) -> list[Any]:
        if index < 0:
            raise StrvalsError(f"negative {index} index not allowed")
        text, last = self._until("[.=")
        if text:
            raise StrvalsError(f"unexpected data at end of array index: {text!r}")
        if last == "":
            raise _End
        if last == "=":
            return _set_index(items, index, self._value())
        have = items[index] if index < len(items) else None
        if last == "[":
            if have is not None and not isinstance(have, list):
                raise StrvalsError(f"item {index} is not a list")
            return _set_index(items, index, self._item(have or [], self._index(), nesting))
        inner = have if isinstance(have, dict) else {}
        self._key(inner, nesting)
        return _set_index(items, index, inner)

    def _value(self) -> Any:
        """A value, or a list in braces."""
        if self._at >= len(self._text):
            return ""
        if self._text[self._at] != "{":
            return self._typed(self._until(",")[0])
        self._at += 1
        items: list[Any] = []
        while True:
            text, last = self._until(",}")
            if last == "":
                raise StrvalsError("list must terminate with '}'")
            items.append(self._typed(text))
            if last == "}":
                if self._text[self._at : self._at + 1] == ",":
                    self._at += 1
                return items

    def _typed(self, text: str) -> Any:
        if self._text_only:
            return text
        folded = text.lower()
        if folded in ("true", "false"):
            return folded == "true"
        if folded == "null":
            return None
        if text == "0":
            return 0
        # A leading zero makes it text: file modes and phone numbers.
        if _INTEGER.fullmatch(text) and text[0] != "0" and -(2**63) <= int(text) < 2**63:
            return int(text)
        return text


def _put(data: dict[str, Any], name: str, value: Any) -> None:
    if name:
        data[name] = value


def _set_index(items: list[Any], index: int, value: Any) -> list[Any]:
    if index > MAX_INDEX:
        raise StrvalsError(f"index of {index} is greater than maximum supported index of {MAX_INDEX}")
    longer = items if index < len(items) else [*items, *([None] * (index + 1 - len(items)))]
    longer[index] = value
    return longer
