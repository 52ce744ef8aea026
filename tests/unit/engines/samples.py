"""Valid objects of every kind with rules of its own (``tests/data/engines/samples.yaml``), and ways to break them."""

from __future__ import annotations

import copy
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.model import Pointer

Json = dict[str, Any]

ROOT = Path(__file__).parents[2] / "data" / "engines"
_PART = re.compile(r'\.?([^.\[\]"]+)|\[(\d+)\]|\["([^"]+)"\]')


@cache
def samples() -> dict[str, Json]:
    """``Kind/name`` → object. Shared: do not change them."""
    documents = yaml.safe_load_all((ROOT / "samples.yaml").read_text(encoding="utf-8"))
    return {f"{body['kind']}/{body['metadata']['name']}": body for body in documents}


def definitions() -> list[Json]:
    """The custom resource definitions among the samples."""
    return [body for body in samples().values() if body["kind"] == "CustomResourceDefinition"]


def parse_path(path: str) -> Pointer:
    """``spec.ports[0].name`` or ``data["tls.key"]`` as a pointer."""
    return tuple(int(index) if index else name or quoted for name, index, quoted in _PART.findall(path))


def changed(body: Json, pointer: Pointer, value: Any) -> Json:
    """A copy with one value replaced or added."""
    result = copy.deepcopy(body)
    holder: Any = result
    for part in pointer[:-1]:
        holder = holder.setdefault(part, {}) if isinstance(holder, dict) else holder[part]
    holder[pointer[-1]] = copy.deepcopy(value)
    return result


def removed(body: Json, pointer: Pointer) -> Json:
    """A copy without one value."""
    result = copy.deepcopy(body)
    holder: Any = result
    for part in pointer[:-1]:
        holder = holder[part]
    del holder[pointer[-1]]
    return result


def leaves(value: Any, at: Pointer = ()) -> Iterator[tuple[Pointer, Any]]:
    """Every scalar of an object, with its pointer."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*at, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*at, index))
    else:
        yield at, value


def nodes(value: Any, at: Pointer = ()) -> Iterator[Pointer]:
    """The pointers of everything in an object but the object itself."""
    if at:
        yield at
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from nodes(inner, (*at, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from nodes(inner, (*at, index))
