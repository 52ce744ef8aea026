"""Regular expressions in time linear in the text, for patterns on which a backtracking matcher could explode.

The program is that of Thompson and Pike, which RE2 and Go's ``regexp`` run too. A test for a match runs a deterministic automaton whose
states are made when they are first met; a search for the leftmost-first match (Go's and Perl's choice) backtracks over states that it
visits once each (RE2's "bit state").
"""

from __future__ import annotations

from collections.abc import Callable
from re import DOTALL as _DOTALL
from re import IGNORECASE, MULTILINE, _constants, _parser  # type: ignore[attr-defined]  # the only access to a parsed pattern
from typing import Any

Test = Callable[[str], bool]
_MAX_PROGRAM = 20_000
_MAX_STATES = 2_000
_MAX_VISITS = 3_000_000
_SPACE = frozenset("\t\n\f\r ")


class TooBigError(ValueError):
    """A pattern, or a search, beyond what is run."""


def _is_word(char: str) -> bool:
    return char == "_" or (char.isascii() and char.isalnum())


_CATEGORIES: dict[Any, Test] = {
    _constants.CATEGORY_DIGIT: lambda char: char.isascii() and char.isdigit(),
    _constants.CATEGORY_SPACE: lambda char: char in _SPACE,
    _constants.CATEGORY_WORD: _is_word,
    _constants.CATEGORY_NOT_DIGIT: lambda char: not (char.isascii() and char.isdigit()),
    _constants.CATEGORY_NOT_SPACE: lambda char: char not in _SPACE,
    _constants.CATEGORY_NOT_WORD: lambda char: not _is_word(char),
}


class Span:
    """A match: where it is, and the text of its groups; ``match[0]`` is the whole."""

    __slots__ = ("_text", "slots")

    def __init__(self, text: str, slots: tuple[int, ...]) -> None:
        self._text = text
        self.slots = slots

    def start(self) -> int:
        return self.slots[0]

    def end(self) -> int:
        return self.slots[1]

    def __getitem__(self, group: int) -> str | None:
        start, end = self.slots[2 * group], self.slots[2 * group + 1]
        return None if start < 0 or end < 0 else self._text[start:end]


class Program:
    """A compiled pattern with the part of ``re.Pattern`` that is needed here."""

    def __init__(self, parsed: Any, flags: int) -> None:
        self.groups: int = parsed.state.groups - 1
        self._code: list[tuple[Any, ...]] = [("save", 0)]
        self._compile(parsed, flags)
        self._code += [("save", 1), ("match",)]
        self._states: dict[tuple[Any, str], Any] = {}

    # --- compilation

    def _emit(self, *instruction: Any) -> int:
        if len(self._code) >= _MAX_PROGRAM:
            raise TooBigError("pattern is not evaluated: too big")
        self._code.append(instruction)
        return len(self._code) - 1

    def _compile(self, items: Any, flags: int) -> None:
        for operator, argument in items:
            if operator in (_constants.LITERAL, _constants.NOT_LITERAL, _constants.ANY, _constants.IN):
                self._emit("char", _test(operator, argument, flags))
            elif operator is _constants.AT:
                self._emit("at", argument, bool(flags & MULTILINE))
            elif operator is _constants.SUBPATTERN:
                group, added, removed, body = argument
                inner = (flags | added) & ~removed
                if group is not None:
                    self._emit("save", 2 * group)
                self._compile(body, inner)
                if group is not None:
                    self._emit("save", 2 * group + 1)
            elif operator is _constants.BRANCH:
                self._branch(argument[1], flags)
            elif operator in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
                low, high, body = argument
                self._repeat(low, high, body, flags, operator is _constants.MAX_REPEAT)
            else:
                raise ValueError(f"Illegal regex: {operator} is no syntax of RE2")

    def _branch(self, branches: Any, flags: int) -> None:
        ends: list[int] = []
        for index, branch in enumerate(branches):
            if index == len(branches) - 1:
                self._compile(branch, flags)
                break
            split = self._emit("split", 0, 0)
            self._compile(branch, flags)
            ends.append(self._emit("jump", 0))
            self._code[split] = ("split", split + 1, len(self._code))
        for end in ends:
            self._code[end] = ("jump", len(self._code))

    def _repeat(self, low: int, high: Any, body: Any, flags: int, greedy: bool) -> None:
        for _ in range(low):
            self._compile(body, flags)
        if high is _constants.MAXREPEAT:
            split = self._emit("split", 0, 0)
            self._compile(body, flags)
            self._emit("jump", split)
            self._code[split] = _split(split + 1, len(self._code), greedy)
            return
        splits = []
        for _ in range(high - low):
            splits.append(self._emit("split", 0, 0))
            self._compile(body, flags)
        for split in splits:
            self._code[split] = _split(split + 1, len(self._code), greedy)

    # --- matching

    def test(self, text: str) -> bool:
        """Whether some part of the text matches."""
        state: Any = (frozenset({0}), "")
        known = self._states
        for char in text:
            following = known.get((state, char))
            if following is None:
                following = self._step(state, char)
            if following is True:
                return True
            state = following
        following = known.get((state, ""))
        if following is None:
            following = self._step(state, "")
        return following is True

    def _step(self, state: Any, char: str) -> Any:
        """The state after a character (nothing is the end of the text); True once there is a match, False at the end without one."""
        counters, before = state
        reached = self._closure(counters, before, char)
        result: Any
        if any(self._code[counter][0] == "match" for counter in reached):
            result = True
        elif not char:
            result = False
        else:
            moved = {counter + 1 for counter in reached if self._code[counter][0] == "char" and self._code[counter][1](char)}
            result = (frozenset(moved | {0}), "\n" if char == "\n" else "w" if _is_word(char) else ".")
        if len(self._states) > _MAX_STATES * 8:
            self._states.clear()
        self._states[state, char] = result
        return result

    def _closure(self, counters: Any, before: str, char: str) -> set[int]:
        reached: set[int] = set()
        pending = list(counters)
        while pending:
            counter = pending.pop()
            if counter in reached:
                continue
            reached.add(counter)
            instruction = self._code[counter]
            kind = instruction[0]
            if kind == "jump":
                pending.append(instruction[1])
            elif kind == "split":
                pending += instruction[1:]
            elif kind == "save" or (kind == "at" and _holds(instruction, before, char)):
                pending.append(counter + 1)
        return reached

    def search(self, text: str, start: int = 0) -> Span | None:
        """The leftmost match from an offset on."""
        if not self.test(text[start:]) and start == 0:
            return None
        length = len(self._code)
        if length * (len(text) - start + 1) > _MAX_VISITS:
            raise TooBigError("a search in a text this long is not evaluated")
        visited: set[int] = set()
        for begin in range(start, len(text) + 1):
            found = self._match(text, begin, visited)
            if found is not None:
                return Span(text, found)
        return None

    def _match(self, text: str, begin: int, visited: set[int]) -> tuple[int, ...] | None:
        length = len(self._code)
        stack: list[tuple[int, int, tuple[int, ...]]] = [(0, begin, (-1,) * (2 * self.groups + 2))]
        while stack:
            counter, offset, slots = stack.pop()
            while True:
                key = offset * length + counter
                if key in visited:
                    break
                visited.add(key)
                instruction = self._code[counter]
                kind = instruction[0]
                if kind == "match":
                    return slots
                if kind == "char":
                    if offset >= len(text) or not instruction[1](text[offset]):
                        break
                    offset += 1
                elif kind == "jump":
                    counter = instruction[1]
                    continue
                elif kind == "split":
                    stack.append((instruction[2], offset, slots))
                    counter = instruction[1]
                    continue
                elif kind == "save":
                    slots = (*slots[: instruction[1]], offset, *slots[instruction[1] + 1 :])
                elif not _holds(instruction, _before(text, offset), text[offset : offset + 1]):
                    break
                counter += 1
        return None


def _split(first: int, second: int, greedy: bool) -> tuple[Any, ...]:
    return ("split", first, second) if greedy else ("split", second, first)


def _before(text: str, offset: int) -> str:
    if offset == 0:
        return ""
    char = text[offset - 1]
    return "\n" if char == "\n" else "w" if _is_word(char) else "."


def _holds(instruction: tuple[Any, ...], before: str, char: str) -> bool:
    """Whether a position (what is before it, the character after it) is what an assertion asks for."""
    _, where, multiline = instruction
    if where in (_constants.AT_BEGINNING, _constants.AT_BEGINNING_STRING):
        return not before or (multiline and where is _constants.AT_BEGINNING and before == "\n")
    if where in (_constants.AT_END, _constants.AT_END_STRING):
        return not char or (multiline and where is _constants.AT_END and char == "\n")
    boundary = (before == "w") != (bool(char) and _is_word(char))
    return boundary if where is _constants.AT_BOUNDARY else not boundary


def _test(operator: Any, argument: Any, flags: int) -> Test:
    if operator is _constants.ANY:
        return (lambda _char: True) if flags & _DOTALL else (lambda char: char != "\n")
    items = [(_constants.LITERAL, argument)] if operator is not _constants.IN else list(argument)
    negate = operator is _constants.NOT_LITERAL
    tests: list[Test] = []
    for kind, value in items:
        if kind is _constants.NEGATE:
            negate = True
        elif kind is _constants.LITERAL:
            tests.append(_between(value, value))
        elif kind is _constants.RANGE:
            tests.append(_between(*value))
        else:
            tests.append(_CATEGORIES[value])
    known: dict[str, bool] = {}

    def run(char: str) -> bool:
        found = known.get(char)
        if found is None:
            variants = {char, char.lower(), char.upper()} if flags & IGNORECASE else {char}
            found = known[char] = any(test(variant) for test in tests for variant in variants) != negate
            if len(known) > 4_096:
                known.clear()
        return found

    return run


def _between(low: int, high: int) -> Test:
    first, last = chr(low), chr(high)
    return lambda char: first <= char <= last


def compile_linear(text: str, flags: int) -> Program:
    """A program for a pattern in Python's syntax. Raises ValueError for syntax that RE2 lacks, TooBigError."""
    return Program(_parser.parse(text, flags), flags)
