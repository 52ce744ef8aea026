"""JSON Patch (RFC 6902), as the API server and Kyverno apply it.

Source: RFC 6902 and 6901, and ``gopkg.in/evanphx/json-patch.v4``, which both use and which departs from the RFC: an index may be negative and
then counts from the end, a ``replace`` of a key that is not there adds it, a ``test`` of what is not there compares with null, and the
document itself (the empty path) cannot be replaced.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_INDEX = re.compile(r"-?(?:0|[1-9][0-9]{0,8})", re.ASCII)
_MISSING: Any = object()


class PatchError(ValueError):
    """An operation that does not apply."""


class TestFailedError(PatchError):
    """A ``test`` operation that does not hold."""

    __test__ = False


def apply_patch(document: Any, operations: Iterable[Mapping[str, Any]]) -> Any:
    """The document with all operations applied, in order; the given one is left as it is. Raises PatchError, or TestFailedError."""
    result = copy.deepcopy(document)
    for operation in operations:
        _apply(result, operation)
    return result


def pointer(path: str) -> list[str]:
    """The reference tokens of a JSON pointer. Raises PatchError."""
    if not path.startswith("/"):
        raise PatchError(f"doc is missing path: {path!r}")
    return [token.replace("~1", "/").replace("~0", "~") for token in path[1:].split("/")]


def _apply(document: Any, operation: Mapping[str, Any]) -> None:
    name, path = operation.get("op"), operation.get("path")
    if not isinstance(path, str):
        raise PatchError(f"{name} operation has no path")
    if name == "test":
        _test(document, path, operation.get("value"))
        return
    if name in ("move", "copy"):
        source = operation.get("from")
        if not isinstance(source, str):
            raise PatchError(f"{name} operation has no from")
        value = _read(document, source, str(name))
        if name == "move":
            if path == source:
                return
            if path.startswith(f"{source}/"):
                raise PatchError(f"move operation does not apply: {source} cannot be moved into itself")
            _remove(document, source, "move")
        _add(document, path, copy.deepcopy(value), str(name))
        return
    if name == "add":
        _add(document, path, copy.deepcopy(operation.get("value")), "add")
    elif name == "remove":
        _remove(document, path, "remove")
    elif name == "replace":
        _replace(document, path, copy.deepcopy(operation.get("value")))
    else:
        raise PatchError(f"unexpected kind: {name}")


def _container(document: Any, path: str, name: str) -> tuple[Any, str]:
    """What holds the last token of a path, and that token."""
    tokens = pointer(path)
    container = document
    for token in tokens[:-1]:
        container = _child(container, token)
        if container is _MISSING or not isinstance(container, dict | list):
            raise PatchError(f"{name} operation does not apply: doc is missing path: {path}")
    if not isinstance(container, dict | list):
        raise PatchError(f"{name} operation does not apply: doc is missing path: {path}")
    return container, tokens[-1]


def _child(container: Any, token: str) -> Any:
    if isinstance(container, dict):
        return container.get(token, _MISSING)
    if isinstance(container, list) and _INDEX.fullmatch(token):
        index = int(token)
        return container[index] if -len(container) <= index < len(container) else _MISSING
    return _MISSING


def _index(token: str, size: int, path: str, name: str) -> int:
    """An index below ``size``. Raises PatchError."""
    if not _INDEX.fullmatch(token):
        raise PatchError(f"{name} operation does not apply: {path}: {token!r} is no index")
    index = int(token)
    if not -size <= index < size:
        raise PatchError(f"{name} operation does not apply: {path}: unable to access invalid index: {index}")
    return index + size if index < 0 else index


def _add(document: Any, path: str, value: Any, name: str) -> None:
    container, token = _container(document, path, name)
    if isinstance(container, dict):
        container[token] = value
    elif token == "-":  # noqa: S105 - the end of a list
        container.append(value)
    else:
        container.insert(_index(token, len(container) + 1, path, name), value)


def _remove(document: Any, path: str, name: str) -> None:
    container, token = _container(document, path, name)
    if isinstance(container, dict):
        if token not in container:
            raise PatchError(f"{name} operation does not apply: {path}: unable to remove nonexistent key: {token}")
        del container[token]
    else:
        del container[_index(token, len(container), path, name)]


def _replace(document: Any, path: str, value: Any) -> None:
    container, token = _container(document, path, "replace")
    if isinstance(container, dict):
        container[token] = value
    else:
        container[_index(token, len(container), path, "replace")] = value


def _read(document: Any, path: str, name: str) -> Any:
    container, token = _container(document, path, name)
    value = _child(container, token)
    if value is _MISSING:
        raise PatchError(f"{name} operation does not apply: doc is missing from path: {path}")
    return value


def _test(document: Any, path: str, wanted: Any) -> None:
    try:
        container, token = _container(document, path, "test")
    except PatchError as error:
        raise TestFailedError(f"error in test for path: {path!r}") from error
    value = _child(container, token)
    if value is _MISSING and isinstance(container, list):
        raise PatchError(f"error in test for path: {path!r}: unable to access invalid index")
    if not same(None if value is _MISSING else value, wanted):
        raise TestFailedError(f"testing value {path} failed")


def same(one: Any, two: Any) -> bool:
    """Equality of JSON values: numbers by value, and true is no number."""
    if isinstance(one, bool) or isinstance(two, bool):
        return one is two
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(same(value, two[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, int | float) and isinstance(two, int | float):
        return one == two
    return type(one) is type(two) and bool(one == two)
