"""Comprehensions: what the macros of CEL do when they are evaluated. Source: ``parser/macro.go`` and ``ext/comprehensions.go`` of cel-go, v0.26."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from harness.engines.cel.data import NONE, CelError, Optional, key_of, key_value, no_overload
from harness.engines.cel.evaluate import ERRORS, Run, _force, _worse, count_step, entries
from harness.engines.cel.extensions import sort_by_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.engines.cel import nodes as ast
    from harness.engines.cel.evaluate import Compiler


def compile_macro(compiler: Compiler, node: ast.Macro, scope: Mapping[str, str]) -> Run:
    """The function that evaluates a comprehension."""
    target = compiler.compile(node.target, scope)
    slots = [compiler.slot(name) for name in node.variables]
    inner = {**scope, **dict(zip(node.variables, slots, strict=True))}
    arguments = [compiler.compile(argument, inner) for argument in node.arguments]
    if node.kind in ("optMap", "optFlatMap"):
        return _optional(target, slots[0], arguments[0], flat=node.kind == "optFlatMap")
    loop = _Loop(target, slots)
    if node.kind in ("all", "exists"):
        return _quantifier(loop, arguments[0], wanted=node.kind == "exists")
    makers: dict[str, Callable[[_Loop, Run], Run]] = {"exists_one": _exists_one, "filter": _filter, "sortBy": _sort_by}
    if node.kind in makers:
        return makers[node.kind](loop, arguments[0])
    condition = arguments[0] if len(arguments) == 2 else None
    if node.kind in ("map", "transformList"):
        return _map(loop, condition, arguments[-1])
    return _transform_map(loop, condition, arguments[-1], entry=node.kind == "transformMapEntry")


class _Loop:
    """Goes over a list or a map, with the loop's variables set in the environment."""

    __slots__ = ("_slots", "_target")

    def __init__(self, target: Run, slots: list[str]) -> None:
        self._target = target
        self._slots = slots

    def steps(self, env: dict[str, Any]) -> Iterator[Any]:
        """Sets the variables for every item and yields the first of them."""
        value = self._target(env)
        if len(self._slots) == 1:
            (slot,) = self._slots
            for item in entries(value):
                count_step(env)
                env[slot] = item
                yield item
            return
        first, second = self._slots
        pairs = [(key_value(key), _force(item)) for key, item in value.items()] if isinstance(value, Mapping) else list(enumerate(entries(value)))
        for key, item in pairs:
            count_step(env)
            env[first], env[second] = key, item
            yield key

    def target(self, env: dict[str, Any]) -> Any:
        return self._target(env)


def _is_true(value: Any) -> bool:
    if value is not True and value is not False:
        raise no_overload()
    return bool(value)


def _quantifier(loop: _Loop, predicate: Run, *, wanted: bool) -> Run:
    """``exists`` looks for true, ``all`` for false; what it finds outweighs errors."""

    def run(env: dict[str, Any]) -> bool:
        problem: Exception | None = None
        for _ in loop.steps(env):
            try:
                if _is_true(predicate(env)) is wanted:
                    return wanted
            except ERRORS as error:
                problem = _worse(problem, error)
        if problem is not None:
            raise problem
        return not wanted

    return run


def _exists_one(loop: _Loop, predicate: Run) -> Run:
    return lambda env: sum(_is_true(predicate(env)) for _ in loop.steps(env)) == 1


def _filter(loop: _Loop, predicate: Run) -> Run:
    return lambda env: [item for item in loop.steps(env) if _is_true(predicate(env))]


def _map(loop: _Loop, condition: Run | None, transform: Run) -> Run:
    if condition is None:
        return lambda env: [transform(env) for _ in loop.steps(env)]
    return lambda env: [transform(env) for _ in loop.steps(env) if _is_true(condition(env))]


def _sort_by(loop: _Loop, key: Run) -> Run:
    def run(env: dict[str, Any]) -> list[Any]:
        items, keys = [], []
        for item in loop.steps(env):
            items.append(item)
            keys.append(key(env))
        return sort_by_keys(items, keys)

    return run


def _transform_map(loop: _Loop, condition: Run | None, transform: Run, *, entry: bool) -> Run:
    def run(env: dict[str, Any]) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for key in loop.steps(env):
            if condition is not None and not _is_true(condition(env)):
                continue
            value = transform(env)
            if entry:
                if not isinstance(value, Mapping):
                    raise no_overload("cel.@mapInsert")
                added = dict(value)
            else:
                added = {key_of(key): value}
            for name, item in added.items():
                if name in made:
                    raise CelError(f"insert failed: key {key_value(name)} already exists")
                made[name] = item
        return made

    return run


def _optional(target: Run, slot: str, body: Run, *, flat: bool) -> Run:
    def run(env: dict[str, Any]) -> Any:
        value = target(env)
        if type(value) is not Optional:
            raise no_overload("hasValue")
        if not value.present:
            return NONE
        env[slot] = value.value
        made = body(env)
        return made if flat else Optional(made)

    return run
