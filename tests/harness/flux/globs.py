"""Which prefixes of a value a shell pattern matches.

Source: fluxcd/pkg/envsubst/path, Go's path.Match with ``*`` crossing slashes. Lengths are bytes, as Go cuts strings by bytes; unlike Go
this never lets ``?`` match half of a character, which would leave text that is not UTF-8 and fail a step later. The pattern is run as an
automaton over the value once, so that no pattern takes more than length times length.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class _Star(NamedTuple):
    pass


class _Byte(NamedTuple):
    value: int


class _Class(NamedTuple):
    """A set of characters; ``?`` is the negated empty one."""

    negated: bool
    ranges: tuple[tuple[int, int], ...]


_Token = _Star | _Byte | _Class
_ANY: Final = _Class(True, ())
_BROKEN: Final = 0xFFFD


def shortest_prefix(pattern: str, value: str) -> int:
    """Bytes of the shortest prefix that is not empty and matches; 0 when none does or the pattern is malformed."""
    return _prefix(pattern, value.encode(), shortest=True)


def longest_prefix(pattern: str, value: str) -> int:
    """Bytes of the longest prefix that matches; 0 when none does or the pattern is malformed."""
    return _prefix(pattern, value.encode(), shortest=False)


def _prefix(pattern: str, value: bytes, *, shortest: bool) -> int:
    tokens = _tokens(pattern)
    if tokens is None:
        return 0
    found = 0
    # Positions in the pattern by the byte at which they are reached; a character class may jump over several bytes.
    reached: dict[int, set[int]] = {0: _past_stars({0}, tokens)}
    for at in range(len(value) + 1):
        states = reached.pop(at, set())
        if at and len(tokens) in states:
            found = at
            if shortest:
                break
        if at == len(value):
            break
        if not states and not reached:
            break
        for state in states:
            _advance(state, tokens, value, at, reached)
    return found


def _advance(state: int, tokens: list[_Token], value: bytes, at: int, reached: dict[int, set[int]]) -> None:
    if state == len(tokens):
        return
    token = tokens[state]
    if isinstance(token, _Star):
        reached.setdefault(at + 1, set()).update(_past_stars({state}, tokens))
    elif isinstance(token, _Byte):
        if value[at] == token.value:
            reached.setdefault(at + 1, set()).update(_past_stars({state + 1}, tokens))
    else:
        character, width = _decode(value, at)
        if any(low <= character <= high for low, high in token.ranges) is not token.negated:
            reached.setdefault(at + width, set()).update(_past_stars({state + 1}, tokens))


def _past_stars(states: set[int], tokens: list[_Token]) -> set[int]:
    """A star may stand for nothing."""
    result = set(states)
    for state in states:
        while state < len(tokens) and isinstance(tokens[state], _Star):
            state += 1
            result.add(state)
    return result


def _decode(value: bytes, at: int) -> tuple[int, int]:
    """The character at a byte and its width; a byte inside of a character counts as a broken one."""
    for width in range(1, 5):
        try:
            return ord(value[at : at + width].decode()), width
        except UnicodeDecodeError:
            continue
    return _BROKEN, 1


def _tokens(pattern: str) -> list[_Token] | None:
    """The pattern in steps, None when Go calls it malformed (which it does only when it gets there, and then nothing matches either)."""
    tokens: list[_Token] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*":
            if not (tokens and isinstance(tokens[-1], _Star)):
                tokens.append(_Star())
        elif character == "?":
            tokens.append(_ANY)
        elif character == "[":
            parsed = _class(pattern, at)
            if parsed is None:
                return None
            token, at = parsed
            tokens.append(token)
        else:
            if character == "\\":
                if at == len(pattern):
                    return None
                character = pattern[at]
                at += 1
            tokens.extend(_Byte(byte) for byte in character.encode())
    return tokens


def _class(pattern: str, at: int) -> tuple[_Class, int] | None:
    negated = pattern.startswith("^", at)
    at += negated
    ranges: list[tuple[int, int]] = []
    while not (ranges and pattern.startswith("]", at)):
        low = _bound(pattern, at)
        if low is None:
            return None
        at = low[1]
        high = low
        if pattern.startswith("-", at):
            bound = _bound(pattern, at + 1)
            if bound is None:
                return None
            high, at = bound, bound[1]
        ranges.append((low[0], high[0]))
    return _Class(negated, tuple(ranges)), at + 1


def _bound(pattern: str, at: int) -> tuple[int, int] | None:
    """A character of a class, which may be escaped, and the place behind it. A class must go on after it."""
    if at >= len(pattern) or pattern[at] in "-]":
        return None
    if pattern[at] == "\\":
        at += 1
    if at + 1 >= len(pattern):
        return None
    return ord(pattern[at]), at + 1
