"""Checks the types of an expression, as cel-go does before it runs one.

Source: ``checker/checker.go`` and ``checker/types.go``, v0.26, with the options of ``k8s.io/apiserver/pkg/cel/environment/base.go``:
aggregate literals are homogeneous, and literals of patterns, durations and timestamps are checked. Variables are dynamically typed, as
they are where a schema is not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.engines.cel import nodes as ast
from harness.engines.cel.data import CelError, UInt, UnsupportedError
from harness.engines.cel.formatting import clauses
from harness.engines.cel.functions import DYN, UNKNOWN, Function, Type, parse_type
from harness.engines.cel.library import NEWER
from harness.engines.cel.pattern import UnsafePatternError, compile_any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_WILD = ("dyn", "unknown")
#: Variables that have no type in the API server and in Kyverno either; others have one that is not known here.
_UNTYPED = frozenset({"object", "oldObject"})
#: Calls on literals that cel-go makes when it plans an expression, so that their errors are errors of the expression.
_FOLDED = frozenset({"bool", "bytes", "double", "duration", "int", "string", "timestamp", "uint"})
#: What the clauses of a format take; any for those that are missing.
_CLAUSE_TYPES = {
    "d": ("int", "uint"), "f": ("double", "string"), "e": ("double", "string"), "b": ("int", "uint", "bool"), "o": ("int", "uint"),
    "x": ("int", "uint", "string", "bytes"), "X": ("int", "uint", "string", "bytes"),
    "s": ("list", "map", "int", "uint", "double", "bool", "string", "timestamp", "bytes", "duration", "type", "null"),
}  # fmt: skip
_BOOL, _INT, _STRING = parse_type("bool"), parse_type("int"), parse_type("string")
_LITERALS: dict[type, Type] = {
    bool: _BOOL, int: _INT, UInt: parse_type("uint"), float: parse_type("double"), str: _STRING, bytes: parse_type("bytes"), type(None): parse_type("null"),
}  # fmt: skip
#: Types whose values may be null.
_NOT_NULLABLE = frozenset({"bool", "int", "uint", "double", "string", "bytes", "list", "map", "type"})
_NAMES = {"null": "null", "timestamp": "google.protobuf.Timestamp", "duration": "google.protobuf.Duration", "optional": "optional_type"}
#: Names that stand for types.
TYPE_NAMES = frozenset(
    {
        "bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type", "google.protobuf.Timestamp", "google.protobuf.Duration",
        "optional_type", "dyn", "net.IP", "net.CIDR", "kubernetes.Quantity", "kubernetes.URL", "kubernetes.Semver", "kubernetes.NamedFormat",
    }
)  # fmt: skip


class CelTypeError(Exception):
    """An expression whose types do not fit, or that uses a name nobody declared."""


def spelled(kind: Type) -> str:
    """A type as cel-go writes it in messages."""
    name, parameters = _NAMES.get(kind[0], kind[0]), kind[1]
    return f"{name}({', '.join(spelled(parameter) for parameter in parameters)})" if parameters else name


def _equivalent(one: Type, two: Type) -> bool:
    """Whether two types are the same; one that is not known is the same as any."""
    if "unknown" in (one[0], two[0]) or (_is_variable(one) and _is_variable(two)):
        return True
    return one[0] == two[0] and len(one[1]) == len(two[1]) and all(_equivalent(left, right) for left, right in zip(one[1], two[1], strict=True))


def _is_variable(kind: Type) -> bool:
    return kind[0].startswith("%")


class _Checker:
    def __init__(self, functions: Mapping[str, Function], variables: frozenset[str], messages: Callable[[str, tuple[str, ...]], str | None]) -> None:
        self.functions = functions
        self.variables = variables
        self.messages = messages
        self.bound: dict[str, Type] = {}
        self.fresh = 0
        self.formats = 0

    # --- unification

    def new(self) -> Type:
        self.fresh += 1
        return (f"%{self.fresh}", ())

    def resolve(self, kind: Type) -> Type:
        while _is_variable(kind) and kind[0] in self.bound:
            kind = self.bound[kind[0]]
        return (kind[0], tuple(self.resolve(parameter) for parameter in kind[1])) if kind[1] else kind

    def occurs(self, variable: Type, kind: Type) -> bool:
        kind = self.resolve(kind)
        return kind == variable or any(self.occurs(variable, parameter) for parameter in kind[1])

    def assignable(self, one: Type, two: Type) -> bool:
        """Whether a value of type ``one`` goes where ``two`` is wanted; binds type variables."""
        if one == two:
            return True
        for variable, other in ((two, one), (one, two)):
            if _is_variable(variable):
                known = self.bound.get(variable[0])
                if known is None:
                    if self.occurs(variable, other):
                        return False
                    self.bound[variable[0]] = other
                    return True
                if not self.assignable(other, known):
                    return False
                if self.less_specific(other, known) and not self.occurs(variable, other):
                    self.bound[variable[0]] = other
                return True
        if one[0] in _WILD or two[0] in _WILD:
            return True
        for null, other in ((one, two), (two, one)):
            if null[0] == "null":
                return other[0] not in _NOT_NULLABLE
        if one[0] == "type":
            return two[0] == "type"
        return one[0] == two[0] and len(one[1]) == len(two[1]) and all(self.assignable(left, right) for left, right in zip(one[1], two[1], strict=True))

    def less_specific(self, one: Type, two: Type) -> bool:
        if one[0] in _WILD or _is_variable(one):
            return True
        if two[0] in _WILD or _is_variable(two) or one[0] != two[0]:
            return False
        return len(one[1]) == len(two[1]) and all(self.less_specific(left, right) for left, right in zip(one[1], two[1], strict=True))

    def try_all(self, given: Sequence[Type], wanted: Sequence[Type]) -> bool:
        saved = dict(self.bound)
        if len(given) == len(wanted) and all(self.assignable(one, two) for one, two in zip(given, wanted, strict=True)):
            return True
        self.bound = saved
        return False

    def join(self, kinds: Sequence[Type], what: str) -> Type:
        """The one type of the items of a literal, which must be the same type unless they are given to ``format``."""
        joined: Type | None = None
        for kind in kinds:
            if joined is None:
                joined = kind
            elif not self.try_all([kind], [joined]):
                joined = DYN
            elif self.less_specific(self.resolve(kind), self.resolve(joined)):
                joined = kind
        for kind in kinds[1:]:
            first, other = self.resolve(kinds[0]), self.resolve(kind)
            if not self.formats and not _equivalent(first, other):
                raise CelTypeError(f"expected type '{spelled(first)}' but found '{spelled(other)}' in {what}")
        return joined if joined is not None else self.new()

    # --- nodes

    def check(self, node: ast.Node, scope: dict[str, Type]) -> Type:
        found: Type = getattr(self, f"_{type(node).__name__.lower()}")(node, scope)
        return found

    def _literal(self, node: ast.Literal, _scope: dict[str, Type]) -> Type:
        return _LITERALS[type(node.value)]

    def _ident(self, node: ast.Ident, scope: dict[str, Type]) -> Type:
        found = self.named(node.name, scope)
        if found is None:
            raise CelTypeError(f"undeclared reference to '{node.name}' (in container '')")
        return found

    def named(self, name: str, scope: dict[str, Type]) -> Type | None:
        if name in scope:
            return scope[name]
        if name in self.variables:
            return DYN if name in _UNTYPED else UNKNOWN
        return ("type", (DYN,)) if name in TYPE_NAMES or (name and self.messages(name, ()) is None) else None

    def _select(self, node: ast.Select, scope: dict[str, Type]) -> Type:
        name = ast.qualified_name(node)
        if name is not None and name.partition(".")[0] not in scope and not node.test:
            found = self.named(name, {})
            if found is not None:
                return found
        operand = self.resolve(self.check(node.operand, scope))
        optional = operand[0] == "optional"
        target = self.resolve(operand[1][0]) if optional else operand
        result = UNKNOWN if target[0] == "unknown" else DYN
        if target[0] == "map":
            result = target[1][1]
        elif _is_variable(target):
            self.assignable(DYN, target)
        elif target[0] not in _WILD and not target[0].startswith("message "):
            raise CelTypeError(f"type '{spelled(target)}' does not support field selection")
        if node.test:
            return _BOOL
        return ("optional", (result,)) if optional or node.optional else result

    def _index(self, node: ast.Index, scope: dict[str, Type]) -> Type:
        operand, index = self.resolve(self.check(node.operand, scope)), self.check(node.index, scope)
        wrapped = operand[0] == "optional"
        target = self.resolve(operand[1][0]) if wrapped else operand
        result, key = UNKNOWN if target[0] == "unknown" else DYN, DYN
        if target[0] == "list":
            result, key = target[1][0], _INT
        elif target[0] == "map":
            key, result = target[1]
        elif target[0] not in _WILD and not _is_variable(target):
            raise self.no_match("_[_]", [operand, index], False)
        if not self.try_all([index], [key]):
            raise self.no_match("_[_]", [operand, index], False)
        result = self.resolve(result)
        return ("optional", (result,)) if wrapped or node.optional else result

    def _logic(self, node: ast.Logic, scope: dict[str, Type]) -> Type:
        for term in node.terms:
            self.want_bool(self.check(term, scope))
        return _BOOL

    def want_bool(self, kind: Type) -> None:
        if not self.try_all([kind], [_BOOL]):
            raise CelTypeError(f"expected type 'bool' but found '{spelled(self.resolve(kind))}'")

    def _ternary(self, node: ast.Ternary, scope: dict[str, Type]) -> Type:
        condition, yes, no = (self.check(part, scope) for part in (node.condition, node.yes, node.no))
        variable = self.new()
        if not self.try_all([condition, yes, no], [_BOOL, variable, variable]):
            raise self.no_match("_?_:_", [condition, yes, no], False)
        return self.resolve(variable)

    def _listnode(self, node: ast.ListNode, scope: dict[str, Type]) -> Type:
        kinds = [self.item(item, index in node.optional, scope) for index, item in enumerate(node.items)]
        return ("list", (self.join(kinds, "list"),))

    def item(self, node: ast.Node, optional: bool, scope: dict[str, Type]) -> Type:
        kind = self.resolve(self.check(node, scope))
        if not optional:
            return kind
        if kind[0] == "optional":
            return self.resolve(kind[1][0])
        if kind[0] not in _WILD and not _is_variable(kind):
            raise CelTypeError(f"expected type 'optional_type(A)' but found '{spelled(kind)}'")
        return UNKNOWN

    def _mapnode(self, node: ast.MapNode, scope: dict[str, Type]) -> Type:
        keys, kinds = [], []
        for key, value, optional in node.entries:
            keys.append(self.check(key, scope))
            kinds.append(self.item(value, optional, scope))
        return ("map", (self.join(keys, "map keys"), self.join(kinds, "map values")))

    def _messagenode(self, node: ast.MessageNode, scope: dict[str, Type]) -> Type:
        problem = self.messages(node.name, tuple(name for name, _value, _optional in node.fields))
        if problem is not None:
            raise CelTypeError(problem)
        for _name, value, optional in node.fields:
            self.item(value, optional, scope)
        return (f"message {node.name}", ())

    def _bind(self, node: ast.Bind, scope: dict[str, Type]) -> Type:
        return self.check(node.body, {**scope, node.name: self.check(node.value, scope)})

    def _macro(self, node: ast.Macro, scope: dict[str, Type]) -> Type:
        target = self.resolve(self.check(node.target, scope))
        if node.kind in ("optMap", "optFlatMap"):
            return self.optional_macro(node, target, scope)
        key = value = UNKNOWN if target[0] == "unknown" else DYN
        if target[0] == "list":
            key, value = (_INT, target[1][0]) if len(node.variables) == 2 else (target[1][0], DYN)
        elif target[0] == "map":
            key, value = target[1]
        elif target[0] not in _WILD and not _is_variable(target):
            raise CelTypeError(f"expression of type '{spelled(target)}' cannot be range of a comprehension (must be list, map, or dynamic)")
        inner = {**scope, **dict(zip(node.variables, (key, value), strict=False))}
        kinds = [self.resolve(self.check(argument, inner)) for argument in node.arguments]
        if node.kind in ("all", "exists", "exists_one", "filter") or len(kinds) == 2:
            self.want_bool(kinds[0])
        if node.kind in ("all", "exists", "exists_one"):
            return _BOOL
        if node.kind == "filter":
            return ("list", (key,))
        if node.kind == "sortBy":
            return target
        if node.kind == "transformMap":
            return ("map", (key if target[0] in ("list", "map") else DYN, kinds[-1]))
        if node.kind == "transformMapEntry":
            if kinds[-1][0] not in ("map", *_WILD):
                raise self.no_match("cel.@mapInsert", [("map", (DYN, DYN)), kinds[-1]], False)
            return kinds[-1]
        return ("list", (kinds[-1],))

    def optional_macro(self, node: ast.Macro, target: Type, scope: dict[str, Type]) -> Type:
        if target[0] != "optional" and target[0] not in _WILD and not _is_variable(target):
            raise self.no_match("hasValue", [target], True)
        inner = self.resolve(target[1][0]) if target[0] == "optional" else UNKNOWN
        kind = self.resolve(self.check(node.arguments[0], {**scope, node.variables[0]: inner}))
        if node.kind == "optMap":
            return ("optional", (kind,))
        if kind[0] not in ("optional", *_WILD) and not _is_variable(kind):
            raise self.no_match("_?_:_", [_BOOL, kind, ("optional", (DYN,))], False)
        return kind

    # --- calls

    def _call(self, node: ast.Call, scope: dict[str, Type]) -> Type:
        is_format = node.name == "format" and node.target is not None
        self.formats += is_format
        given = [self.check(argument, scope) for argument in node.arguments]
        self.formats -= is_format
        if is_format:
            self.check_format(node, given)
        if node.target is None:
            return self.overload(node.name, given, False, node)
        prefix = ast.qualified_name(node.target)
        if prefix is not None and prefix.partition(".")[0] not in scope and f"{prefix}.{node.name}" in self.functions:
            return self.overload(f"{prefix}.{node.name}", given, False, node)
        target = self.check(node.target, scope)
        return self.overload(node.name, [target, *given], True, node)

    def overload(self, name: str, given: list[Type], member: bool, node: ast.Call) -> Type:
        function = self.functions.get(name)
        if function is None:
            if name in NEWER:
                raise UnsupportedError(f"{name}() is not evaluated: a function of later versions of Kubernetes")
            raise CelTypeError(f"undeclared reference to '{name}' (in container '')")
        result: Type | None = None
        for candidate in function.overloads:
            if candidate.member != member or len(candidate.parameters) != len(given):
                continue
            fresh: dict[str, Type] = {}
            wanted = [self.instantiate(parameter, fresh) for parameter in candidate.parameters]
            if self.try_all(given, wanted):
                kind = self.resolve(self.instantiate(candidate.result, fresh))
                result = kind if result is None or result == kind else DYN
        if result is None:
            raise self.no_match(name, given, member)
        self.check_literals(name, node, member)
        return result

    def check_format(self, node: ast.Call, given: Sequence[Type]) -> None:
        """A literal format must fit a literal list of values (``stringFormatValidator`` of cel-go)."""
        if not isinstance(node.target, ast.Literal) or not isinstance(node.target.value, str) or len(given) != 1:
            return
        (values,) = node.arguments
        if not isinstance(values, ast.ListNode):
            return
        used = 0
        try:
            for piece in clauses(node.target.value):
                if isinstance(piece, tuple):
                    if used >= len(values.items):
                        raise CelTypeError(f"index {used} out of range")
                    value = values.items[used]
                    kind = _LITERALS[type(value.value)][0] if isinstance(value, ast.Literal) else None
                    if kind is not None and kind not in _CLAUSE_TYPES[piece[0]]:
                        raise CelTypeError(f"error during formatting: %{piece[0]} was given {kind}")
                    used += 1
        except CelError as error:
            raise CelTypeError(str(error)) from error
        if len(values.items) > used:
            raise CelTypeError(f"too many arguments supplied to string.format (expected {used}, got {len(values.items)})")

    def check_literals(self, name: str, node: ast.Call, member: bool) -> None:
        """Literal patterns, durations and timestamps must be ones, and conversions of literals must succeed."""
        last = node.arguments[-1] if node.arguments else None
        if not isinstance(last, ast.Literal):
            return
        try:
            if name in _FOLDED and not member:
                self.functions[name].dispatch(False, (type(last.value),))(last.value)
            elif name in ("matches", "find") and isinstance(last.value, str):
                compile_any(last.value)
        except (UnsafePatternError, UnsupportedError):
            return
        except (CelError, ValueError, OverflowError) as error:
            raise CelTypeError(f"invalid {name} argument: {error}") from error

    def instantiate(self, kind: Type, fresh: dict[str, Type]) -> Type:
        name, parameters = kind
        if len(name) == 1 and name.isupper():
            if name not in fresh:
                fresh[name] = self.new()
            return fresh[name]
        return (name, tuple(self.instantiate(parameter, fresh) for parameter in parameters)) if parameters else kind

    def no_match(self, name: str, given: Sequence[Type], member: bool) -> CelTypeError:
        kinds = [spelled(self.resolve(kind)) for kind in given]
        signature = f"{kinds[0]}.({', '.join(kinds[1:])})" if member else f"({', '.join(kinds)})"
        return CelTypeError(f"found no matching overload for '{name}' applied to '{signature}'")


def check(node: ast.Node, functions: Mapping[str, Function], variables: frozenset[str], messages: Callable[[str, tuple[str, ...]], str | None]) -> Type:
    """The type of an expression. ``messages(name, fields)`` says what is wrong with a message literal, None for nothing. Raises CelTypeError."""
    checker = _Checker(functions, variables, messages)
    return checker.resolve(checker.check(node, {}))
