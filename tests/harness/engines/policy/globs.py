"""The two kinds of wildcards that policies use."""

from __future__ import annotations

import re
from functools import lru_cache

_IN_CLASS = re.compile(r"[\\\[\]^]")


@lru_cache(maxsize=1024)
def glob(pattern: str) -> re.Pattern[str]:
    """``github.com/gobwas/glob`` without separators: ``*``, ``**``, ``?``, ``[a-z]``, ``[!a]`` and ``{one,two}``.

    Brackets that are not closed stand for themselves.
    """
    parts: list[str] = []
    position, depth = 0, 0
    while position < len(pattern):
        char = pattern[position]
        if char == "*":
            while pattern.startswith("*", position + 1):
                position += 1
            parts.append(".*")
        elif char == "?":
            parts.append(".")
        elif char == "[" and (end := pattern.find("]", position + 2)) > 0:
            inner = pattern[position + 1 : end]
            negated = inner.startswith("!")
            escaped = _IN_CLASS.sub(r"\\\g<0>", inner[negated:])
            parts.append(f"[{'^' if negated else ''}{escaped}]")
            position = end
        elif char == "{" and "}" in pattern[position:]:
            parts.append("(?:")
            depth += 1
        elif char == "}" and depth:
            parts.append(")")
            depth -= 1
        elif char == "," and depth:
            parts.append("|")
        elif char == "\\" and position + 1 < len(pattern):
            position += 1
            parts.append(re.escape(pattern[position]))
        else:
            parts.append(re.escape(char))
        position += 1
    return re.compile("".join(parts) + ")" * depth, re.DOTALL)


@lru_cache(maxsize=4096)
def wildcard(pattern: str) -> re.Pattern[str]:
    """Kyverno's own wildcards in names, namespaces and labels (``ext/wildcard``): ``*`` for any text, ``?`` for one character."""
    return re.compile("".join(".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern), re.DOTALL)
