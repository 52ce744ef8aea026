"""Whether an object is what a file says it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.engines.policy.mutate_patch import same
from harness.model.shapes import mapping
from harness.policytest.files import bodies
from harness.policytest.setting import key_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.policytest.setting import Json

#: Labels that the background controller puts on what it generates.
_GENERATED = "generate.kyverno.io/"
_MANAGED = {"app.kubernetes.io/managed-by": "kyverno"}
_SHOWN = 5


def expected_in(folder: Path, name: str, actual: Json) -> Json | None:
    """The object of a file that has the kind and the name of an actual one; None when there is none. Raises InputError."""
    api_version, kind, namespace, own = key_of(actual)
    for body in bodies(folder, name):
        found = key_of(body)
        if found[:2] == (api_version, kind) and found[3] == own and (found[2] or "default") == (namespace or "default"):
            return body
    return None


def differences(actual: Json, expected: Json) -> list[str]:
    """Where two objects differ, the first few places; nulls and empty maps count for nothing."""
    found = list(_differ(_tidy(_unlabelled(actual)), _tidy(_unlabelled(expected)), ""))
    return found[:_SHOWN] + ([f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else [])


def _unlabelled(body: Json) -> Json:
    metadata = mapping(body.get("metadata"))
    labels = {name: value for name, value in mapping(metadata.get("labels")).items() if not name.startswith(_GENERATED) and _MANAGED.get(name) != value}
    # An object without a namespace is in the default one.
    return {**body, "metadata": {**metadata, "labels": labels, "namespace": metadata.get("namespace") or "default"}}


def _tidy(value: Any) -> Any:
    if isinstance(value, dict):
        tidied = {name: _tidy(item) for name, item in value.items()}
        return {name: item for name, item in tidied.items() if item is not None and item != {} and item != []}
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    return value


def _differ(actual: Any, expected: Any, path: str) -> Iterator[str]:
    if isinstance(actual, dict) and isinstance(expected, dict):
        for name in sorted({*actual, *expected}, key=str):
            place = f"{path}.{name}" if path else str(name)
            if name not in actual:
                yield f"{place} is missing: {_short(expected[name])} is expected"
            elif name not in expected:
                yield f"{place} is {_short(actual[name])}, and is not expected"
            else:
                yield from _differ(actual[name], expected[name], place)
    elif isinstance(actual, list) and isinstance(expected, list) and len(actual) == len(expected):
        for index, (one, two) in enumerate(zip(actual, expected, strict=True)):
            yield from _differ(one, two, f"{path}[{index}]")
    elif not same(actual, expected):
        yield f"{path} is {_short(actual)}: {_short(expected)} is expected"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
