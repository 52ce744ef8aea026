"""Strict YAML with the line of every node.

A file is cut into documents first, as Helm and ``kubectl`` do it, and each document is parsed by itself, so that one bad document
does not hide the others. Lines are found only when somebody asks for them.
"""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from harness.model import Location, Pointer, Problem
from harness.source.nodes import CONTROL, PLAIN, Builder, FatalError, Fault, compose, guard_depth, key_text
from harness.source.scalars import CORE, KUBECTL, Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

#: ``---`` alone, with a comment (glued or not), or with the content of the next document behind it.
_SEPARATOR: Final = re.compile(r"^---(?:[ \t]+(?P<content>[^\s#].*)|[ \t]*(?:#.*)?)$", re.MULTILINE)
_END: Final = re.compile(r"^\.\.\.[ \t]*(?:#.*)?$", re.MULTILINE)
_PREAMBLE: Final = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n|%[^\n]*\n)*(?:[ \t]*(?:#[^\n]*)?\Z|%[^\n]*\Z)?")
_FIRST_REFERENCE: Final = re.compile("\x00([0-9]+)\x00")
#: What stands before the ``&`` of an anchor; text without any of these has no anchors, and no aliases to watch.
_BEFORE_ANCHOR: Final = (" &", "\n&", "\t&", "[&", "{&", ",&", ":&")

#: Characters of rendered documents that are remembered with their data, process-wide.
_MEMO_CHARACTERS: Final = 64 * 2**20


@dataclass(frozen=True, slots=True)
class _Lines:
    """Where a node starts, and where its entries do: the key's line for mappings, the item's for lists."""

    line: int
    entries: dict[str | int, _Lines]


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """One YAML document of a file.

    ``index`` counts the documents of the file that are not empty, from 0. ``line`` is the document's first line of content.
    ``body`` is plain JSON data, shared and read-only: a mapping, unless the caller of :func:`parse` allowed other roots.
    """

    path: str
    index: int
    line: int
    body: Any
    text: str
    text_line: int = 1
    yaml_1_1: bool = True
    _lines: list[_Lines] = field(default_factory=list, repr=False)

    def locate(self, pointer: Pointer) -> Location:
        """The line of what the pointer points to, or of the nearest enclosing entry when it is not in the text."""
        if not self._lines:
            self._lines.append(_lines_of(self.text, self.line - self.text_line, yaml_1_1=self.yaml_1_1))
        here = self._lines[0]
        line = self.line - self.text_line if not pointer else here.line
        for part in pointer:
            entry = here.entries.get(part)
            if entry is None:
                break
            here, line = entry, entry.line
        return Location(self.path, line + self.text_line)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a text holds, and what is wrong with it."""

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]


def split(text: str) -> list[tuple[int, str]]:
    """The documents of a stream with the line each begins on (from 1), without those that hold only comments or nothing.

    Separators are recognised as Helm and ``kubectl`` do it, also with a comment glued to them (``---# Source``).
    """
    pieces: list[tuple[int, str]] = []
    for start, end in _spans(text):
        piece = text[start:end]
        if _content_start(piece) < len(piece):
            pieces.append((text.count("\n", 0, start) + 1, piece))
    return pieces


def _spans(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    separators = [(m.start(), m.start("content") if m.group("content") else m.end()) for m in _SEPARATOR.finditer(text)]
    if "\n..." in text or text.startswith("..."):
        separators = sorted([*separators, *((m.start(), m.end()) for m in _END.finditer(text))])
    for left, right in separators:
        yield start, left
        start = right
    yield start, len(text)


def _content_start(piece: str) -> int:
    match = _PREAMBLE.match(piece)
    return match.end() if match else 0


def parse(text: str, path: str, *, strict: bool = True, first_line: int = 1, any_root: bool = False, yaml_1_1: bool = True) -> Parsed:
    """Reads every document of a text.

    ``strict`` is for what people write: it also reports plain scalars that tools read differently. ``first_line`` is the line of
    the file on which the text begins. ``any_root`` allows documents that are not mappings (JSON patches, value lists).
    ``yaml_1_1=False`` reads ``on``, ``yes`` and their like as text, as GitHub does in workflow files.

    A document with duplicate keys or odd scalars is still returned; one that cannot be read is not, and the others are.
    """
    documents: list[Document] = []
    problems: list[Problem] = []
    if text.startswith("\ufeff"):
        text = text[1:]
        if strict:
            problems.append(_problem("yaml-encoding", path, first_line, "the file starts with a byte order mark: save it as UTF-8 without one"))
    text = _line_ends(text)
    index = 0
    line = first_line
    start = 0
    for left, right in _spans(text):
        piece = text[left:right]
        content = _content_start(piece)
        if content >= len(piece):
            continue
        line += text.count("\n", start, left)
        start = left
        faults, body, ok = _read(piece, strict=strict, yaml_1_1=yaml_1_1)
        at = line + piece.count("\n", 0, content)
        if ok and body is None:
            # ``null`` or ``~``: an empty document to every tool.
            continue
        if ok and not any_root and not isinstance(body, dict):
            faults = [*faults, Fault("yaml-not-a-mapping", at - line, f"the document is {_name(body)}, not a mapping")]
            ok = False
        problems.extend(_problem(fault.code, path, fault.line + line, _absolute(fault.message, line)) for fault in faults)
        if ok:
            documents.append(Document(path, index, at, body, piece, line, yaml_1_1))
        index += 1
    return Parsed(tuple(documents), tuple(problems))


def loads(text: str) -> Any:
    """The data of one trusted document, None when it is empty; raises ValueError for what is not one readable document."""
    parsed = parse(text, "text", strict=False, any_root=True)
    if parsed.problems or len(parsed.documents) > 1:
        raise ValueError(parsed.problems[0].message if parsed.problems else "more than one document")
    return parsed.documents[0].body if parsed.documents else None


def decode(data: bytes, path: str) -> tuple[str, tuple[Problem, ...]]:
    """The text of a file. Bytes that are not UTF-8 are replaced and reported with the line of the first of them."""
    try:
        return data.decode("utf-8"), ()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"byte 0x{data[error.start]:02x} at position {error.start} is not UTF-8"
        return data.decode("utf-8", errors="replace"), (_problem("yaml-encoding", path, line, message),)


class _Memo:
    """Rendered documents by the digest of their text: three clusters render mostly the same."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._entries: dict[bytes, tuple[int, tuple[list[Fault], Any, bool]]] = {}
        self._held = 0

    def get(self, key: bytes) -> tuple[list[Fault], Any, bool] | None:
        entry = self._entries.get(key)
        return entry[1] if entry else None

    def put(self, key: bytes, size: int, value: tuple[list[Fault], Any, bool]) -> None:
        with self._lock:
            if key in self._entries or size > self._capacity:
                return
            self._entries[key] = (size, value)
            self._held += size
            while self._held > self._capacity:
                self._held -= self._entries.pop(next(iter(self._entries)))[0]


_MEMO: Final = _Memo(_MEMO_CHARACTERS)


def _read(piece: str, *, strict: bool, yaml_1_1: bool) -> tuple[list[Fault], Any, bool]:
    if strict or not yaml_1_1:
        return _build(piece, strict=strict, yaml_1_1=yaml_1_1)
    key = hashlib.blake2b(piece.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    known = _MEMO.get(key)
    if known is None:
        known = _build(piece, strict=False, yaml_1_1=True)
        _MEMO.put(key, len(piece), known)
    return known


def _build(piece: str, *, strict: bool, yaml_1_1: bool) -> tuple[list[Fault], Any, bool]:
    builder = Builder(strict=strict, aliases="*" in piece and (piece[0] == "&" or any(mark in piece for mark in _BEFORE_ANCHOR)), yaml_1_1=yaml_1_1)
    try:
        guard_depth(piece)
        node = compose(piece)
        body = builder.build(node) if node is not None else None
    except FatalError as fatal:
        return [*builder.faults, fatal.fault], None, False
    except yaml.YAMLError as error:
        return [_syntax_fault(piece, error)], None, False
    return builder.faults, body, True


def _syntax_fault(piece: str, error: yaml.YAMLError) -> Fault:
    control = CONTROL.search(piece)
    if control is not None:
        return Fault("yaml-encoding", piece.count("\n", 0, control.start()), f"the control character U+{ord(control.group()):04X} is not allowed in YAML")
    if not isinstance(error, yaml.MarkedYAMLError):
        return Fault("yaml-syntax", 0, " ".join(str(error).split()))
    mark = error.problem_mark or error.context_mark
    line = mark.line if mark is not None else 0
    lines = piece.split("\n")
    line = min(line, len(lines) - 1)
    problem = error.problem or "cannot be parsed"
    if "'\\t'" in problem or _tab_indents(lines, line):
        at = line if _tab_indents(lines, line) or line == 0 or "\t" in lines[line] else line - 1
        return Fault("yaml-tab", at, "a tab is used for indentation: use spaces")
    context = f" {error.context}" if error.context else ""
    return Fault("yaml-syntax", line, f"{problem}{context}".strip())


def _tab_indents(lines: list[str], line: int) -> bool:
    text = lines[line]
    return "\t" in text[: len(text) - len(text.lstrip())]


def _line_ends(text: str) -> str:
    # YAML 1.1 breaks lines at CR too; the line numbers of every editor follow CRLF and LF.
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _name(body: Any) -> str:
    if isinstance(body, list):
        return "a list"
    if isinstance(body, bool):
        return "a boolean"
    return "text" if isinstance(body, str) else "a number"


def _absolute(message: str, line: int) -> str:
    return _FIRST_REFERENCE.sub(lambda match: str(int(match.group(1)) + line), message) if "\x00" in message else message


def _problem(code: str, path: str, line: int, message: str) -> Problem:
    return Problem(code, path, Location(path, line), message)


def _lines_of(text: str, fallback: int, *, yaml_1_1: bool) -> _Lines:
    try:
        node = compose(text)
    except yaml.YAMLError:
        node = None
    return _entries(node, node.start_mark.line, {}, KUBECTL if yaml_1_1 else CORE) if node is not None else _Lines(fallback, {})


def _key_of(key: ScalarNode, reader: Reader) -> str:
    return key_text(reader(key.value)) if key.tag == PLAIN else str(key.value)


def _entries(node: Node, line: int, shared: dict[int, dict[str | int, _Lines]], reader: Reader) -> _Lines:
    if isinstance(node, ScalarNode):
        return _Lines(line, {})
    known = shared.get(id(node))
    if known is not None:
        return _Lines(line, known)
    entries: dict[str | int, _Lines] = {}
    shared[id(node)] = entries
    if isinstance(node, SequenceNode):
        for index, item in enumerate(node.value):
            entries[index] = _entries(item, item.start_mark.line, shared, reader)
    elif isinstance(node, MappingNode):
        merged: list[Node] = []
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                continue
            if key.value == "<<":
                merged.extend(value.value if isinstance(value, SequenceNode) else [value])
            else:
                entries[_key_of(key, reader)] = _entries(value, key.start_mark.line, shared, reader)
        for value in merged:
            for name, entry in _entries(value, value.start_mark.line, shared, reader).entries.items():
                entries.setdefault(name, entry)
    return _Lines(line, entries)
