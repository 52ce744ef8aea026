"""Text in the lock that is the repository's own, or plain configuration: kept so that rules can read it where no chart is at hand.

A digest says that a text changed; a rule about log pipelines or alert routes needs the text. Most of it is not the chart's: it stands in the
values of the release, and the chart passes it on as it is, as YAML, or in base64. The lock then names the place in the values
(``values+yaml:/alternateConfig``), and whoever reads the lock looks it up there. A ConfigMap's YAML that the chart composes itself is reduced
like any other object and kept as that object; its short texts are kept as they are. All come back as text of the same meaning, not of the same bytes.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any, Final

from harness.flux.reduce import general, is_mark, mark
from harness.source.yaml import loads

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.model import Pointer

_REFERENCE: Final = re.compile(r"values(?P<base64>\+base64)?(?P<yaml>\+yaml)?:(?P<pointer>/.*)", re.DOTALL)
#: Characters of a composed configuration that is kept, and of a short text; of a value that is worth a reference.
_MOST: Final = 32_768
_SHORT: Final = 200
_LEAST: Final = 40
_FIELDS: Final = ("data", "stringData")


class References:
    """Where texts stand in the values of a release."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._texts: dict[str, str] = {}
        self._trees: dict[str, str] = {}
        for pointer, value in _walk(values, ""):
            if isinstance(value, str) and len(value) >= _LEAST:
                self._texts.setdefault(value.strip(), pointer)
            elif isinstance(value, dict | list) and len(text := _canonical(value)) >= _LEAST:
                self._trees.setdefault(text, pointer)

    def keep(self, body: Mapping[str, Any], reduced: dict[str, Any]) -> dict[str, Any]:
        """The reduced object with what can be told of its texts. ``body`` is the object as rendered, or as kept before."""
        if body.get("kind") not in ("ConfigMap", "Secret"):
            return reduced
        kept = dict(reduced)
        for field in _FIELDS:
            entries = body.get(field)
            if isinstance(entries, dict) and isinstance(reduced.get(field), dict):
                coded = body["kind"] == "Secret" and field == "data"
                kept[field] = {name: self._entry(name, item, reduced[field][name], coded=coded) for name, item in entries.items()}
        return kept

    def place(self, text: str) -> tuple[Pointer, bool] | None:
        """The path of the value that a text is, and whether it is so as text (or else as the data that the text, read as YAML, is)."""
        if (pointer := self._texts.get(text.strip())) is not None:
            return _path(pointer), True
        tree = _tree(text)
        pointer = self._trees.get(_canonical(tree)) if tree is not None else None
        return (_path(pointer), False) if pointer is not None else None

    def _entry(self, name: str, item: Any, digest: Any, *, coded: bool) -> Any:
        if isinstance(item, dict) or (isinstance(item, str) and _REFERENCE.fullmatch(item)):
            return item
        if not isinstance(item, str) or is_mark(item):
            return digest
        text = decoded(item) if coded else item
        prefix = "values+base64" if coded else "values"
        if text is None:
            return digest
        if len(text) < _LEAST:
            return digest if coded or "\n" in text else text
        if (pointer := self._texts.get(text.strip())) is not None:
            return f"{prefix}:{pointer}"
        tree = _tree(text)
        if tree is None:
            return text if not coded and len(text) <= _SHORT and "\n" not in text else digest
        if (pointer := self._trees.get(_canonical(tree))) is not None:
            return f"{prefix}+yaml:{pointer}"
        plain = not coded and not name.endswith(".json") and not text.lstrip().startswith("{") and len(text) <= _MOST
        return general(tree, "") if plain and isinstance(tree, dict) else digest


def recalled(body: Mapping[str, Any], values: Mapping[str, Any]) -> Mapping[str, Any]:
    """A locked object with its texts. A reference that leads nowhere, because the values changed since, becomes a digest again."""
    if body.get("kind") not in ("ConfigMap", "Secret"):
        return body
    changed = {field: {name: _recalled(item, values) for name, item in body[field].items()} for field in _FIELDS if isinstance(body.get(field), dict)}
    return {**body, **changed}


def _recalled(item: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(item, dict):
        return _canonical(item)
    if not isinstance(item, str):
        return item
    match = _REFERENCE.fullmatch(item)
    if match is None:
        return item
    value = _find(values, match["pointer"])
    if value is None or (isinstance(value, str) is (match["yaml"] is not None)):
        return mark(item)
    text = value if isinstance(value, str) else _canonical(value)
    return base64.b64encode(text.encode()).decode() if match["base64"] else text


def _walk(value: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    """Every value, the outer before the inner, keys in order: the shortest pointer wins."""
    pending = [(pointer, value)]
    while pending:
        at, found = pending.pop(0)
        if at:
            yield at, found
        if isinstance(found, dict):
            pending += [(f"{at}/{_escaped(str(key))}", found[key]) for key in sorted(found, key=str)]
        elif isinstance(found, list):
            pending += [(f"{at}/{index}", item) for index, item in enumerate(found)]


def _find(values: Any, pointer: str) -> Any:
    """The value at a JSON pointer (RFC 6901), or None."""
    for part in pointer.split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        if isinstance(values, dict):
            values = values.get(part)
        elif isinstance(values, list) and part.isdigit() and int(part) < len(values):
            values = values[int(part)]
        else:
            return None
    return values


def _path(pointer: str) -> Pointer:
    return tuple(int(part) if part.isdigit() else part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def decoded(text: str) -> str | None:
    """What a base64 value of a Secret says; nothing where it is not base64 of UTF-8."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def _tree(text: str) -> Any:
    """The one YAML document of a text, when it is a mapping or a list."""
    try:
        tree = loads(text)
    except ValueError:
        return None
    return tree if isinstance(tree, dict | list) else None
