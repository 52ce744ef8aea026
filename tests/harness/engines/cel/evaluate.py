"""Turns a syntax tree into Python functions that evaluate it.

Follows cel-go's interpreter (v0.26): ``&&``, ``||``, ``all`` and ``exists`` absorb errors, a presence test on what has no fields is false,
optional values spread over the selections that follow them, ``orValue`` and ``or`` evaluate their argument only when it is needed and
pass through what is not optional, and a value bound by ``cel.bind`` is evaluated when it is first used.

Every function takes the environment: a dictionary of the variables and of the slots of comprehensions, each with a name of its own, so
that nothing has to be restored when a comprehension ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.engines.cel import nodes as ast
from harness.engines.cel.check import TYPE_NAMES
from harness.engines.cel.data import (
    NONE,
    CelError,
    Message,
    Optional,
    TypeValue,
    UnsupportedError,
    equal,
    key_of,
    key_value,
    no_overload,
    type_name,
)
from harness.engines.cel.extensions import sort_by_keys
from harness.engines.cel.pattern import UnsafePatternError
from harness.engines.cel.standard import add, contained, invert

if TYPE_CHECKING:
    from harness.engines.cel.functions import Function

Run = Callable[[dict[str, Any]], Any]
#: What an evaluation may raise for want of a value.
ERRORS = (CelError, ValueError, OverflowError)
#: Comprehension steps after which an evaluation stops.
BUDGET = 1_000_000
_STEPS = "@steps"
_MISSING: Any = object()


class Lazy:
    """A variable whose value is computed when it is first used. ``get`` may raise CelError."""

    __slots__ = ("_error", "_get", "_value")

    def __init__(self, get: Callable[[], Any]) -> None:
        self._get = get
        self._value: Any = _MISSING
        self._error: Exception | None = None

    def value(self) -> Any:
        """The value; what was raised the first time is raised again."""
        if self._error is not None:
            raise self._error
        if self._value is _MISSING:
            try:
                self._value = self._get()
            except ERRORS as error:
                self._error = error
                raise
        return self._value


def _force(value: Any) -> Any:
    return value.value() if type(value) is Lazy else value


def _worse(one: Exception | None, two: Exception) -> Exception:
    """Of two errors the one to report: what this engine cannot do hides what is wrong."""
    if one is None or (is_unsupported(two) and not is_unsupported(one)):
        return two
    return one


def is_unsupported(error: Exception) -> bool:
    """Whether an API server may get a value where this error was raised."""
    return isinstance(error, UnsupportedError | UnsafePatternError) or "is not evaluated" in str(error)


# --- selection ---------------------------------------------------------------------------------------------------------------------


def _lookup(value: Any, key: Any) -> Any:
    """``value[key]`` for maps, lists and messages; _MISSING when there is none. Raises CelError for an index that is no number."""
    if isinstance(value, Mapping):
        try:
            found = value.get(key_of(key), _MISSING)
        except TypeError:
            return _MISSING
        return _force(found)
    if isinstance(value, list | tuple):
        if isinstance(key, bool) or not isinstance(key, int | float) or key != int(key):
            raise CelError(f"unsupported index type '{type_name(key)}' in list")
        return value[int(key)] if 0 <= key < len(value) else _MISSING
    if isinstance(value, Message):
        return value.fields.get(key, _MISSING)
    return _MISSING


def _missing(value: Any, key: Any) -> CelError:
    return CelError(f"index out of bounds: {key}" if isinstance(value, list | tuple) else f"no such key: {key}")


def _get(value: Any, key: Any) -> Any:
    if type(value) is Optional:
        return _get_optional(value, key)
    found = _lookup(value, key)
    if found is _MISSING:
        raise _missing(value, key)
    return found


def _get_optional(value: Any, key: Any) -> Any:
    """``value.?key``: also every selection on an optional value."""
    if type(value) is Optional:
        if not value.present:
            return NONE
        value = value.value
    found = _lookup(value, key)
    return NONE if found is _MISSING else found if type(found) is Optional else Optional(found)


def _has(value: Any, key: Any) -> bool:
    if type(value) is Optional:
        return value.present and _has(value.value, key)
    return _lookup(value, key) is not _MISSING


class Compiler:
    """Compiles the nodes of one expression."""

    def __init__(self, functions: Mapping[str, Function], variables: frozenset[str]) -> None:
        self.functions = functions
        self.variables = variables
        self.slots = 0

    def slot(self, name: str) -> str:
        self.slots += 1
        return f"{name}@{self.slots}"

    def compile(self, node: ast.Node, scope: Mapping[str, str]) -> Run:
        made: Run = getattr(self, f"_{type(node).__name__.lower()}")(node, scope)
        return made

    # --- values

    def _literal(self, node: ast.Literal, _scope: Mapping[str, str]) -> Run:
        value = node.value
        return lambda _env: value

    def _ident(self, node: ast.Ident, scope: Mapping[str, str]) -> Run:
        return self.named(scope.get(node.name, node.name), node.name in scope or node.name in self.variables)

    def named(self, name: str, declared: bool) -> Run:
        if not declared:
            kind = TypeValue(name)
            return lambda _env: kind

        def run(env: dict[str, Any]) -> Any:
            try:
                value = env[name]
            except KeyError:
                raise CelError(f"no such attribute(s): {name}") from None
            return value.value() if type(value) is Lazy else value

        return run

    def _select(self, node: ast.Select, scope: Mapping[str, str]) -> Run:
        name = ast.qualified_name(node)
        if name is not None and not node.test and name.partition(".")[0] not in scope:
            if name in self.variables:
                return self.named(name, True)
            if name.partition(".")[0] not in self.variables and (name in TYPE_NAMES or name.startswith("Object")):
                return self.named(name, False)
        operand, field = self.compile(node.operand, scope), node.field
        if node.test:
            if node.optional:
                return lambda env: _has(operand(env), field)
            return lambda env: _has(operand(env), field)
        if node.optional:
            return lambda env: _get_optional(operand(env), field)

        def run(env: dict[str, Any]) -> Any:
            value = operand(env)
            if type(value) is dict:
                try:
                    value = value[field]
                except KeyError:
                    raise CelError(f"no such key: {field}") from None
                return value.value() if type(value) is Lazy else value
            return _get(value, field)

        return run

    def _index(self, node: ast.Index, scope: Mapping[str, str]) -> Run:
        operand, index = self.compile(node.operand, scope), self.compile(node.index, scope)
        get = _get_optional if node.optional else _get
        return lambda env: get(operand(env), index(env))

    def _listnode(self, node: ast.ListNode, scope: Mapping[str, str]) -> Run:
        items = [self.compile(item, scope) for item in node.items]
        if not node.optional:
            return lambda env: [item(env) for item in items]
        optional = node.optional

        def run(env: dict[str, Any]) -> list[Any]:
            made = []
            for index, item in enumerate(items):
                value = item(env)
                if index in optional:
                    if type(value) is not Optional:
                        raise CelError(f"cannot initialize optional list element from non-optional value {value}")
                    if not value.present:
                        continue
                    value = value.value
                made.append(value)
            return made

        return run

    def _mapnode(self, node: ast.MapNode, scope: Mapping[str, str]) -> Run:
        entries = [(self.compile(key, scope), self.compile(value, scope), optional) for key, value, optional in node.entries]

        def run(env: dict[str, Any]) -> dict[Any, Any]:
            made: dict[Any, Any] = {}
            for key_node, value_node, optional in entries:
                key = _map_key(key_node(env))
                value = value_node(env)
                if optional:
                    if type(value) is not Optional:
                        raise CelError(f"cannot initialize optional entry '{key}' from non-optional value {value}")
                    if not value.present:
                        continue
                    value = value.value
                if key in made:
                    raise CelError(f"duplicate key {key} in map literal")
                made[key] = value
            return made

        return run

    def _messagenode(self, node: ast.MessageNode, scope: Mapping[str, str]) -> Run:
        fields = [(name, self.compile(value, scope), optional) for name, value, optional in node.fields]
        type_of = node.name

        def run(env: dict[str, Any]) -> Message:
            made: dict[str, Any] = {}
            for name, value_node, optional in fields:
                value = value_node(env)
                if optional:
                    if type(value) is not Optional:
                        raise CelError(f"cannot initialize optional entry '{name}' from non-optional value {value}")
                    if not value.present:
                        continue
                    value = value.value
                made[name] = value
            return Message(type_of, made)

        return run

    # --- control

    def _logic(self, node: ast.Logic, scope: Mapping[str, str]) -> Run:
        terms = [self.compile(term, scope) for term in node.terms]
        decides = not node.conjunction

        def run(env: dict[str, Any]) -> bool:
            problem: Exception | None = None
            for term in terms:
                try:
                    value = term(env)
                except ERRORS as error:
                    problem = _worse(problem, error)
                    continue
                if value is decides:
                    return bool(decides)
                if value is not True and value is not False:
                    problem = _worse(problem, no_overload())
            if problem is not None:
                raise problem
            return not decides

        return run

    def _ternary(self, node: ast.Ternary, scope: Mapping[str, str]) -> Run:
        condition, yes, no = (self.compile(part, scope) for part in (node.condition, node.yes, node.no))

        def run(env: dict[str, Any]) -> Any:
            value = condition(env)
            if value is True:
                return yes(env)
            if value is False:
                return no(env)
            raise no_overload()

        return run

    def _bind(self, node: ast.Bind, scope: Mapping[str, str]) -> Run:
        slot, value = self.slot(node.name), self.compile(node.value, scope)
        body = self.compile(node.body, {**scope, node.name: slot})

        def run(env: dict[str, Any]) -> Any:
            env[slot] = Lazy(lambda: value(env))
            return body(env)

        return run

    def _macro(self, node: ast.Macro, scope: Mapping[str, str]) -> Run:
        from harness.engines.cel.macros import compile_macro

        return compile_macro(self, node, scope)

    # --- calls

    def _call(self, node: ast.Call, scope: Mapping[str, str]) -> Run:
        arguments = [self.compile(argument, scope) for argument in node.arguments]
        name, member = node.name, node.target is not None
        if node.target is not None:
            prefix = ast.qualified_name(node.target)
            if prefix is not None and prefix.partition(".")[0] not in scope and f"{prefix}.{name}" in self.functions:
                name, member = f"{prefix}.{name}", False
            else:
                arguments.insert(0, self.compile(node.target, scope))
        if member and name in ("or", "orValue") and len(arguments) == 2:
            return _or(arguments[0], arguments[1], unwrap=name == "orValue")
        quick = _QUICK.get(name)
        if quick is not None and len(arguments) == 2 and not member:
            one, two = arguments
            return quick(one, two)
        if name == "!_":
            (only,) = arguments
            return lambda env: invert(only(env))
        return self.dispatched(self.functions[name], member, arguments)

    def dispatched(self, function: Function, member: bool, arguments: Sequence[Run]) -> Run:
        known: dict[Any, Callable[..., Any]] = {}
        if len(arguments) == 1:
            (only,) = arguments

            def run_one(env: dict[str, Any]) -> Any:
                value = only(env)
                call = known.get(type(value))
                if call is None:
                    call = known[type(value)] = function.dispatch(member, (type(value),))
                return call(value)

            return run_one

        def run(env: dict[str, Any]) -> Any:
            values = [argument(env) for argument in arguments]
            kinds = tuple(map(type, values))
            call = known.get(kinds)
            if call is None:
                call = known[kinds] = function.dispatch(member, kinds)
            return call(*values)

        return run


def _map_key(key: Any) -> Any:
    if isinstance(key, float) or not isinstance(key, str | int | bool):
        raise CelError("unsupported key type")
    return key_of(key)


def _or(one: Run, two: Run, *, unwrap: bool) -> Run:
    def run(env: dict[str, Any]) -> Any:
        value = one(env)
        if type(value) is not Optional:
            return value
        if value.present:
            return value.value if unwrap else value
        return two(env)

    return run


def _equals(one: Run, two: Run) -> Run:
    def run(env: dict[str, Any]) -> bool:
        left, right = one(env), two(env)
        if type(left) is str and type(right) is str:
            return bool(left == right)
        return equal(left, right)

    return run


_QUICK: dict[str, Callable[[Run, Run], Run]] = {
    "_==_": _equals,
    "_!=_": lambda one, two: lambda env: not equal(one(env), two(env)),
    "_+_": lambda one, two: lambda env: add(one(env), two(env)),
    "@in": lambda one, two: lambda env: contained(one(env), two(env)),
}


def entries(value: Any) -> Any:
    """The items that a comprehension goes over: the keys of a map. Raises CelError for anything else."""
    if isinstance(value, Mapping):
        return [key_value(key) for key in value]
    if isinstance(value, list | tuple):
        return value
    raise no_overload()


def count_step(env: dict[str, Any]) -> None:
    """Raises UnsupportedError when an evaluation has taken too many steps."""
    env[_STEPS] = steps = env.get(_STEPS, 0) + 1
    if steps > BUDGET:
        raise UnsupportedError(f"an evaluation of more than {BUDGET} steps is not finished")


__all__ = ["BUDGET", "ERRORS", "Compiler", "Lazy", "Run", "count_step", "entries", "is_unsupported", "sort_by_keys"]
