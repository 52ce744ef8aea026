"""From libyaml's node graph to plain JSON data: duplicate keys, merge keys, aliases and depth are looked after here.

PyYAML's own constructor is not used: it dispatches on tags and defers the filling of containers, which costs more than all of libyaml.
The C composer is used as it is; scalars are read by :mod:`harness.source.scalars`.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from harness.source.scalars import CORE, KUBECTL, Reader, Scalar, ambiguity

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Levels of nesting. The deepest published CRD schemas are below 60; Python's own limit is 1,000.
MAX_DEPTH: Final = 200

#: Nodes a document may have more than its text has, once aliases are expanded.
MAX_EXPANSION: Final = 100_000

PLAIN: Final = "plain"
_TEXT: Final = "tag:yaml.org,2002:str"
_MAP: Final = "tag:yaml.org,2002:map"
_SEQ: Final = "tag:yaml.org,2002:seq"
_PREFIX: Final = "tag:yaml.org,2002:"
#: The tag of a merge key, which some tools write out (``!!merge <<: *a``).
_MERGE: Final = "tag:yaml.org,2002:merge"

#: Characters that YAML does not allow in a stream.
CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


class Composer(yaml.CSafeLoader):
    """libyaml's composer, with the resolution of scalars left to the builder."""

    def resolve(self, kind: type[Node], value: str | None, implicit: Any) -> str:
        if kind is ScalarNode:
            return PLAIN if implicit[0] else _TEXT
        return _MAP if kind is MappingNode else _SEQ

    def descend_resolver(self, current_node: Node | None, current_index: Any) -> None:
        """Path resolvers are not used."""

    def ascend_resolver(self) -> None:
        """Path resolvers are not used."""


def compose(text: str) -> Node | None:
    """The node graph of one document; raises ``yaml.YAMLError``."""
    composer = Composer(text)
    try:
        node: Node | None = composer.get_single_node()
    except yaml.composer.ComposerError as error:
        if "duplicate anchor" not in str(error):
            raise
        # YAML allows an anchor to be used again for another node, and the Go tools follow; libyaml's composer does not.
        return _compose_events(text)
    finally:
        composer.dispose()
    return node


def _compose_events(text: str) -> Node | None:
    """The same graph from the event stream, with the latest anchor of a name in force."""
    composer = Composer(text)
    anchors: dict[str, Node] = {}
    root: list[Node] = []
    open_nodes: list[tuple[list[Node], Node]] = []
    try:
        while composer.check_event():
            event: Any = composer.get_event()
            start, end = event.start_mark, event.end_mark
            items = open_nodes[-1][0] if open_nodes else root
            if isinstance(event, yaml.AliasEvent):
                if event.anchor not in anchors:
                    raise yaml.composer.ComposerError(None, None, "found undefined alias", start)
                items.append(anchors[event.anchor])
            elif isinstance(event, yaml.ScalarEvent):
                tag = event.tag or composer.resolve(ScalarNode, event.value, event.implicit)
                items.append(ScalarNode(tag, event.value, start, end))
                _anchor(anchors, event.anchor, items[-1])
            elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
                kind = SequenceNode if isinstance(event, yaml.SequenceStartEvent) else MappingNode
                items.append(kind(event.tag or composer.resolve(kind, None, event.implicit), [], start, end))
                _anchor(anchors, event.anchor, items[-1])
                open_nodes.append(([], items[-1]))
            elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
                inner, node = open_nodes.pop()
                node.value = inner if isinstance(node, SequenceNode) else list(zip(inner[::2], inner[1::2], strict=True))
    finally:
        composer.dispose()
    return root[0] if root else None


def _anchor(anchors: dict[str, Node], name: str | None, node: Node) -> None:
    if name is not None:
        anchors[name] = node


class Fault(NamedTuple):
    """A problem at a line of the document, counted from 0."""

    code: str
    line: int
    message: str


class FatalError(Exception):
    """The document cannot be read at all."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


@dataclass(slots=True)
class Builder:
    """Builds the plain data of one document and collects what is wrong with it.

    ``strict`` also reports what is legal but read differently by other tools. ``aliases`` says that the text has anchors,
    so that expansion has to be watched.
    """

    strict: bool
    aliases: bool
    yaml_1_1: bool = True
    faults: list[Fault] = field(default_factory=list)
    _shared: dict[int, Any] = field(default_factory=dict)
    _sizes: dict[int, int] = field(default_factory=dict)
    _open: set[int] = field(default_factory=set)

    def build(self, node: Node) -> Any:
        """The data; raises :class:`FatalError`."""
        if self.aliases:
            own = self._own_size(node)
            expanded = self._size(node, 0)
            if expanded > own + MAX_EXPANSION:
                message = f"aliases expand {own} nodes to {expanded}: at most {MAX_EXPANSION} may be added"
                raise FatalError(Fault("yaml-alias-bomb", node.start_mark.line, message))
        return self._value(node, 0)

    def _own_size(self, node: Node) -> int:
        seen: set[int] = set()
        stack = [node]
        while stack:
            each = stack.pop()
            if id(each) not in seen:
                seen.add(id(each))
                stack.extend(_children(each))
        return len(seen)

    def _size(self, node: Node, depth: int) -> int:
        if isinstance(node, ScalarNode):
            return 1
        key = id(node)
        if key in self._open:
            raise FatalError(Fault("yaml-alias-bomb", node.start_mark.line, "an alias refers to a node that contains it"))
        known = self._sizes.get(key)
        if known is not None:
            return known
        _check_depth(node, depth)
        self._open.add(key)
        total = 1 + sum(self._size(child, depth + 1) for child in _children(node))
        self._open.discard(key)
        self._sizes[key] = total
        return total

    def _value(self, node: Node, depth: int) -> Any:
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if self.aliases and id(node) in self._shared:
            return self._shared[id(node)]
        _check_depth(node, depth)
        value: Any
        if isinstance(node, MappingNode):
            if node.tag != _MAP:
                self._unknown_tag(node)
            value = self._mapping(node, depth + 1)
        else:
            if node.tag != _SEQ:
                self._unknown_tag(node)
            value = [self._value(item, depth + 1) for item in node.value]
        if self.aliases:
            self._shared[id(node)] = value
        return value

    def _mapping(self, node: MappingNode, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: list[Node] = []
        firsts: dict[str, Node] = {}
        for key_node, value_node in node.value:
            if key_node.value == "<<" and key_node.tag in (PLAIN, _MERGE):
                merged.append(value_node)
                continue
            key = self._key(key_node)
            if key in result:
                firsts = firsts or self._first_keys(node)
                self._fault("yaml-duplicate-key", key_node, f"duplicate key {key!r}, first at line {{first}}", firsts[key])
            result[key] = self._value(value_node, depth)
        for value_node in merged:
            for source in value_node.value if isinstance(value_node, SequenceNode) else [value_node]:
                if not isinstance(source, MappingNode):
                    raise FatalError(Fault("yaml-syntax", value_node.start_mark.line, "a merge key (<<) takes a mapping or a list of mappings"))
                for key, value in self._mapping(source, depth).items():
                    result.setdefault(key, value)
        return result

    def _first_keys(self, node: MappingNode) -> dict[str, Node]:
        firsts: dict[str, Node] = {}
        for key_node, _ in node.value:
            if isinstance(key_node, ScalarNode) and not (key_node.tag == PLAIN and key_node.value == "<<"):
                firsts.setdefault(self._key(key_node, quiet=True), key_node)
        return firsts

    def _key(self, node: Node, *, quiet: bool = False) -> str:
        if not isinstance(node, ScalarNode):
            raise FatalError(Fault("yaml-non-string-key", node.start_mark.line, "a mapping or list cannot be a key"))
        if node.tag == _TEXT:
            return str(node.value)
        value = self._scalar(node, quiet=True)
        if isinstance(value, str):
            return value
        if value is None:
            raise FatalError(Fault("yaml-non-string-key", node.start_mark.line, "null cannot be a key: quote it"))
        text = key_text(value)
        if self.strict and not quiet:
            self._fault("yaml-non-string-key", node, f"the key {node.value} is not text, and becomes {text!r}: quote it")
        return text

    def _scalar(self, node: ScalarNode, *, quiet: bool = False) -> Any:
        text: str = node.value
        if node.tag == _TEXT:
            return text
        if node.tag != PLAIN:
            return self._tagged(node)
        value = (KUBECTL if self.yaml_1_1 else CORE)(text)
        if self.strict and not quiet and (value.__class__ is not str or text[0] in "+-.0123456789"):
            reason = ambiguity(text, yaml_1_1=self.yaml_1_1)
            if reason is not None:
                self._fault("yaml-ambiguous-scalar", node, reason)
        return value

    def _tagged(self, node: ScalarNode) -> Any:
        text: str = node.value
        kind = node.tag.removeprefix(_PREFIX) if node.tag.startswith(_PREFIX) else ""
        reader: Reader = KUBECTL if self.yaml_1_1 else CORE
        if kind == "binary":
            try:
                return base64.b64decode(text, validate=False).decode("utf-8")
            except (binascii.Error, UnicodeDecodeError):
                self._fault("yaml-syntax", node, "!!binary is not base64 of text")
                return text
        value = reader(text)
        wanted: dict[str, tuple[type, ...]] = {"int": (int,), "float": (float, int), "bool": (bool,), "null": (type(None),)}
        if kind in wanted:
            if type(value) not in wanted[kind]:
                self._fault("yaml-syntax", node, f"{text!r} is not of the type !!{kind}")
            return value
        if kind == "timestamp":
            return text
        self._unknown_tag(node)
        return text

    def _unknown_tag(self, node: Node) -> None:
        tag = node.tag if len(node.tag) <= 60 else f"{node.tag[:57]}..."
        self._fault("yaml-syntax", node, f"the tag {tag} means nothing to Kubernetes")

    def _fault(self, code: str, node: Node, message: str, first: Node | None = None) -> None:
        if first is not None:
            # Lines of the document become lines of the file in the caller, so the number travels as an offset.
            message = message.replace("{first}", f"\x00{first.start_mark.line}\x00")
        self.faults.append(Fault(code, node.start_mark.line, message))


def key_text(value: Scalar) -> str:
    """What JSON writes for a key that YAML reads as something other than text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _check_depth(node: Node, depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise FatalError(Fault("yaml-too-deep", node.start_mark.line, f"nested deeper than {MAX_DEPTH} levels"))


def _children(node: Node) -> Iterator[Node]:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, SequenceNode):
        yield from node.value


#: A document with fewer opening brackets than this, and no line that starts with that many indicators, cannot overflow the
#: stack of libyaml's recursive composer (measured: 1,000 levels fit the 512 KiB of the smallest default thread stack).
_SAFE_DEPTH: Final = 500

_DEEP_LINE: Final = re.compile(rf"\n[ \t?:-]{{{_SAFE_DEPTH}}}")


def guard_depth(text: str) -> None:
    """Raises :class:`FatalError` for text that nests so deeply that composing it would end the process.

    The event stream is not recursive and stops at the first level too many; it is only read when cheap counts allow such depth.
    """
    if text.count("[") + text.count("{") < _SAFE_DEPTH and not _DEEP_LINE.search(f"\n{text[:_SAFE_DEPTH]}") and not _DEEP_LINE.search(text):
        return
    composer = Composer(text)
    depth = 0
    try:
        while composer.check_event():
            event = composer.get_event()
            if isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
                depth += 1
                if depth > MAX_DEPTH:
                    line = event.start_mark.line if event.start_mark is not None else 0
                    raise FatalError(Fault("yaml-too-deep", line, f"nested deeper than {MAX_DEPTH} levels"))
            elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
                depth -= 1
    except yaml.YAMLError:
        # Composing the same text reports it, with its place; the depth up to there is safe.
        return
    finally:
        composer.dispose()
