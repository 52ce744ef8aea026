"""Which line of which patch set a field: the patches of kustomizations, read for their places and not applied."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.model import Location, Pointer, fixed, group_of
from harness.source.repository import UnreadableError, is_json_patch
from harness.source.yaml import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.model import Locator
    from harness.source.repository import Repository

#: Keys by which lists of objects are merged, in the order they are tried (OpenAPI's x-kubernetes-patch-merge-key).
_MERGE_KEYS: Final = ("name", "mountPath", "containerPort", "port", "devicePath", "ip", "key", "topologyKey", "type", "uid")

_IDENTITY: Final = frozenset(((), ("apiVersion",), ("kind",), ("metadata",), ("metadata", "name"), ("metadata", "namespace")))

_BLOCK: Final = re.compile(r"[|>][-+0-9]*[ \t]*(?:#.*)?$")

_ABSENT: Final = object()


def same_item(items: list[Any], wanted: Any) -> int | None:
    """The position in a list of what corresponds to an item of another version of it: equal, or with the same merge key."""
    for index, item in enumerate(items):
        if item == wanted:
            return index
    if isinstance(wanted, dict):
        for key in _MERGE_KEYS:
            if key in wanted:
                for index, item in enumerate(items):
                    if isinstance(item, dict) and item.get(key) == wanted[key]:
                        return index
                if key == "name":
                    return None
    return None


def trace(version: Any, body: Any, pointer: Pointer) -> tuple[Pointer, bool]:
    """Follows a pointer into ``body`` through another version of the object; returns how far it leads, and whether to the end."""
    path: list[str | int] = []
    for part in pointer:
        inner = _step(body, part)
        if isinstance(version, dict) and isinstance(part, str):
            if part not in version:
                return tuple(path), False
            version = version[part]
            path.append(part)
        elif isinstance(version, list) and isinstance(part, int):
            index = same_item(version, inner) if inner is not _ABSENT else None
            if index is None and isinstance(body, list) and len(body) == len(version) and part < len(version):
                index = part
            if index is None:
                return tuple(path), False
            version = version[index]
            path.append(index)
        else:
            return tuple(path), False
        body = inner
    return tuple(path), True


def value_at(body: Any, pointer: Pointer) -> Any:
    """The value at a pointer; None where a step of it is missing."""
    for part in pointer:
        body = _step(body, part)
        if body is _ABSENT:
            return None
    return body


def _step(body: Any, part: str | int) -> Any:
    if isinstance(body, dict) and isinstance(part, str):
        return body.get(part, _ABSENT)
    if isinstance(body, list) and isinstance(part, int) and 0 <= part < len(body):
        return body[part]
    return _ABSENT


@dataclass(frozen=True, slots=True)
class MergePatch:
    """A strategic merge patch."""

    body: Mapping[str, Any]
    locate: Locator

    def claims(self, pointer: Pointer, body: Any, base: Any) -> Location | None:
        """Its line for a field it sets. ``base`` is the object as its file has it: what both only pass through is the file's."""
        if pointer in _IDENTITY:
            return None
        path, complete = trace(self.body, body, pointer)
        if not complete:
            return None
        if isinstance(value_at(self.body, path), dict | list) and trace(base, body, pointer)[1]:
            return None
        return self.locate(path)


@dataclass(frozen=True, slots=True)
class JsonPatch:
    """A JSON patch (RFC 6902)."""

    operations: list[Any]
    locate: Locator

    def claims(self, pointer: Pointer, body: Any, base: Any) -> Location | None:
        """The line of the last operation that sets the field."""
        for index in range(len(self.operations) - 1, -1, -1):
            operation = self.operations[index]
            if operation.get("op") in ("remove", "test") or not isinstance(operation.get("path"), str):
                continue
            target = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
            rest = _below(target, pointer, body, operation.get("value"))
            if rest is not None:
                return self.locate((index, "value", *rest))
        return None


def _below(target: list[str], pointer: Pointer, body: Any, value: Any) -> Pointer | None:
    """What is left of a pointer that lies at or below the target of an operation."""
    if len(target) > len(pointer) or not target:
        return None
    for position, (wanted, part) in enumerate(zip(target, pointer, strict=False)):
        body = _step(body, part)
        if isinstance(part, str):
            if wanted != part:
                return None
        elif wanted == "-" or wanted.isdigit():
            # Later insertions move items, so the item at the place counts only when it is what the operation put there.
            last = position == len(target) - 1
            if wanted != str(part) and not (last and body == value):
                return None
            if last and wanted == "-" and body != value:
                return None
        else:
            return None
    return pointer[len(target) :]


Patch = MergePatch | JsonPatch


def read_patches(repository: Repository, text: str, at: Location) -> list[Patch]:
    """The patches of a text that stands at a line of a file, usually as a block scalar below a key."""
    first = _block_start(repository, at)
    documents = parse(text, at.path, strict=False, first_line=first or at.line, any_root=True).documents
    return [patch for document in documents if (patch := _patch(document.body, document.locate if first is not None else fixed(at))) is not None]


def file_patches(repository: Repository, path: str) -> list[Patch]:
    """The patches of a file."""
    return [patch for document in repository.parsed(path).documents if (patch := _patch(document.body, document.locate)) is not None]


def _patch(body: Any, locate: Locator) -> Patch | None:
    if is_json_patch(body):
        return JsonPatch(body, locate)
    return MergePatch(body, locate) if isinstance(body, dict) else None


def _block_start(repository: Repository, at: Location) -> int | None:
    """The line of the first line of a block scalar whose key or item is at a line; None for other scalars."""
    if not at.line or not repository.is_file(at.path):
        return None
    try:
        lines = repository.text(at.path).splitlines()
    except UnreadableError:
        return None
    return at.line + 1 if at.line <= len(lines) and _BLOCK.search(lines[at.line - 1]) else None


@dataclass(frozen=True, slots=True)
class Target:
    """Which objects a patch is for: a selector, or the identity in the patch itself."""

    selector: Mapping[str, Any] | None
    identity: Mapping[str, Any] | None = None

    def selects(self, body: Mapping[str, Any], names: frozenset[str], namespaces: frozenset[str]) -> bool:
        """``names`` and ``namespaces`` are all that the object has had on its way."""
        if self.selector is None:
            return self.identity is not None and self._is(body, names)
        api_version = str(body.get("apiVersion", ""))
        facts = {"group": {group_of(api_version)}, "version": {api_version.rpartition("/")[2]}, "kind": {str(body.get("kind"))}}
        facts |= {"name": set(names), "namespace": set(namespaces)}
        if not all(_matches(self.selector.get(key), values) for key, values in facts.items()):
            return False
        metadata = body.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        return all(_selected(self.selector.get(f"{name}Selector"), metadata.get(f"{name}s")) for name in ("label", "annotation"))

    def _is(self, body: Mapping[str, Any], names: frozenset[str]) -> bool:
        if self.identity is None or self.identity.get("kind") != body.get("kind"):
            return False
        metadata = self.identity.get("metadata")
        groups = [group_of(str(each.get("apiVersion", ""))) for each in (self.identity, body)]
        return isinstance(metadata, dict) and metadata.get("name") in names and groups[0] == groups[1]


def _matches(pattern: Any, values: set[str]) -> bool:
    """kustomize anchors the expressions of selectors; an empty one matches everything."""
    if not pattern:
        return True
    try:
        expression = re.compile(f"(?:{pattern})")
    except re.error:
        return False
    return any(expression.fullmatch(value) for value in values)


def _selected(selector: Any, labels: Any) -> bool:
    """Equality and existence of a label selector. Set-based terms are taken as met: this decides about lines only."""
    if not isinstance(selector, str) or not selector or "(" in selector:
        return True
    labels = labels if isinstance(labels, dict) else {}
    for term in selector.split(","):
        key, sign, value = (part.strip() for part in re.split(r"(!=|==|=|$)", term.strip(), maxsplit=1))
        absent = key.startswith("!")
        if not sign:
            if (key.lstrip("!") in labels) is absent:
                return False
        elif (str(labels.get(key)) == value) is (sign == "!="):
            return False
    return True
