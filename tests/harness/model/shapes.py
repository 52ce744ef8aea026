"""Input of any shape, read as the shape that is expected: what is of another one counts as absent, and is the schema's business."""

from __future__ import annotations

from typing import Any


def mapping(value: object) -> dict[str, Any]:
    """The value when it is a mapping, an empty one otherwise."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """The value when it is a list, an empty one otherwise."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """The value when it is a string, the empty one otherwise."""
    return value if isinstance(value, str) else ""
