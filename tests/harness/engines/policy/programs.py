"""Expressions of policies: compiled once, with lazy variables, and what is wrong with them.

A policy's ``variables.x`` is evaluated when it is first used, and only then may it fail (``k8s.io/apiserver/pkg/cel/lazy``). Here every use
is bound with ``cel.bind``, which is as lazy. Where that nests deeper than the engine parses, the definition is put in the place of its uses.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.engines.cel import CompileError, EvalError, Program, Values
from harness.engines.cel import compile as compile_cel
from harness.engines.policy.api import PolicyId, PolicyProblem
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from harness.engines.cel import Extension
    from harness.engines.policy.api import Json
    from harness.model import Pointer

_TOKEN = re.compile(
    r"""//[^\n]*
      | [rRbB]{0,2}(?:\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}(?:[^\\]|\\.)*?'{3}|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<variable>(?<![\w.])variables\s*\.\s*(?P<name>[A-Za-z_]\w*))""",
    re.VERBOSE | re.DOTALL,
)
#: The fields of ``variables`` are there whatever they evaluate to.
_HAS = re.compile(r"\bhas\s*\(\s*variables\s*\.\s*(?P<name>[A-Za-z_]\w*)\s*\)")
_DEEP = re.compile("recursion|nesting|too deep", re.IGNORECASE)
_MAX_INLINED = 50_000


class Expression(NamedTuple):
    """One expression of a policy, ready to be evaluated, or what prevents that."""

    source: str
    pointer: Pointer
    program: Program | None
    error: CompileError | None = None

    @property
    def unsupported(self) -> bool:
        return self.error is not None and self.error.unsupported


class Scope:
    """Where the expressions of one policy are compiled: which variables they may use, and what went wrong so far."""

    def __init__(self, policy: PolicyId, names: tuple[str, ...], extensions: tuple[Extension, ...] = (), rewrite: Callable[[str], str] = str) -> None:
        self.policy, self._names, self._extensions, self._rewrite = policy, names, extensions, rewrite
        self.problems: list[PolicyProblem] = []
        self._variables: dict[str, str] = {}
        self._uses: dict[str, frozenset[str]] = {}

    def problem(self, pointer: Pointer, message: str, expression: str = "", *, unsupported: bool = False) -> None:
        found = PolicyProblem(self.policy, pointer, message, expression, unsupported)
        if found not in self.problems:
            self.problems.append(found)

    def declare(self, variables: Any, pointer: Pointer) -> None:
        """The policy's ``variables``: each may use those before it. One that does not compile is a problem of its own place."""
        for index, entry in enumerate(items(variables)):
            name, source = text(mapping(entry).get("name")), text(mapping(entry).get("expression"))
            at = (*pointer, index)
            if not name or not source.strip():
                self.problem((*at, "expression" if name else "name"), "a variable needs a name and an expression")
                continue
            self.compile(source, (*at, "expression"))
            source = _HAS.sub(lambda match: "true" if match["name"] in self._variables else match[0], source)
            self._uses[name] = self._used(source)
            self._variables[name] = source

    def compile(self, source: str, pointer: Pointer, returns: Sequence[str] = ()) -> Expression:
        """An expression that should give one of some types (``BOOL``, ``STRING``, ``DYN`` …; none given: any)."""
        if not source.strip():
            self.problem(pointer, "the expression is empty")
            return Expression(source, pointer, None, CompileError(source, "the expression is empty", unsupported=False))
        source = _HAS.sub(lambda match: "true" if match["name"] in self._variables else match[0], source)
        unknown = sorted(name for name in _variables_in(source) if name not in self._variables)
        if unknown:
            error = CompileError(source, f"undefined variable {', '.join(unknown)}", unsupported=False)
            self.problem(pointer, error.message, source)
            return Expression(source, pointer, None, error)
        compiled = self.build(source)
        if isinstance(compiled, CompileError):
            self.problem(pointer, compiled.message, source, unsupported=compiled.unsupported)
            return Expression(source, pointer, None, compiled)
        found = compiled.return_type.partition("<")[0]
        if returns and found not in (*returns, "UNKNOWN"):
            # A dynamic type is refused, too: nobody can tell before the evaluation that it is the right one.
            error = CompileError(source, f"output is expected to be of type {' or '.join(returns).lower()}, and is {found.lower()}", unsupported=False)
            self.problem(pointer, error.message, source)
            return Expression(source, pointer, None, error)
        return Expression(source, pointer, compiled)

    def build(self, source: str) -> Program | CompileError:
        """Compiles an expression as it stands, without writing problems down."""
        compiled = compile_cel(self._bound(source), self._names, self._extensions)
        if isinstance(compiled, CompileError) and _DEEP.search(compiled.message) and _variables_in(source):
            inlined = self._inlined(source)
            if inlined is not None:
                return compile_cel(self._rewrite(inlined), self._names, self._extensions)
        return compiled

    def _used(self, source: str) -> frozenset[str]:
        direct = frozenset(_variables_in(source)) & self._variables.keys()
        return direct.union(*(self._uses[name] for name in direct))

    def _bound(self, source: str) -> str:
        used = self._used(source)
        body = _replace(source, _bound_name)
        for name in reversed([each for each in self._variables if each in used]):
            # The line breaks end comments.
            body = f"cel.bind({_bound_name(name)}, {_replace(self._variables[name], _bound_name)}\n, {body}\n)"
        return self._rewrite(body)

    def _inlined(self, source: str) -> str | None:
        definitions: dict[str, str] = {}
        used = self._used(source)
        for name in (each for each in self._variables if each in used):
            definitions[name] = f"({_replace(self._variables[name], definitions.__getitem__)}\n)"
            if len(definitions[name]) > _MAX_INLINED:
                return None
        return _replace(source, definitions.__getitem__)


def _bound_name(name: str) -> str:
    return f"variables_{name}"


def _variables_in(source: str) -> list[str]:
    return [match["name"] for match in _TOKEN.finditer(source) if match["variable"]]


def _replace(source: str, replacement: Callable[[str], str]) -> str:
    return _TOKEN.sub(lambda match: replacement(match["name"]) if match["variable"] else match[0], source)


def replace_outside_strings(source: str, pattern: re.Pattern[str], replacement: str) -> str:
    """Replaces what a pattern finds in CEL source, but not in its strings and comments."""
    parts, start = [], 0
    for match in _TOKEN.finditer(source):
        if match["variable"] is None:
            parts += [pattern.sub(replacement, source[start : match.start()]), match[0]]
            start = match.end()
    return "".join([*parts, pattern.sub(replacement, source[start:])])


def evaluate(expression: Expression, values: Values | Mapping[str, Any]) -> Any:
    """The value of an expression, or EvalError."""
    if expression.program is None:
        error = expression.error
        return EvalError(error.message if error is not None else "no program", unsupported=error is not None and error.unsupported)
    return expression.program.eval(values)


def evaluate_bool(expression: Expression, values: Values | Mapping[str, Any]) -> bool | EvalError:
    """The truth of an expression, or EvalError; another type is one."""
    value = evaluate(expression, values)
    if isinstance(value, bool | EvalError):
        return value
    return EvalError(f"the expression gave {type(value).__name__}, not a bool")


def all_true(expressions: Iterable[Expression], values: Values | Mapping[str, Any]) -> bool | list[EvalError]:
    """Match conditions: False as soon as one is false, whatever else fails; otherwise the errors there were, or True."""
    errors = []
    for expression in expressions:
        value = evaluate_bool(expression, values)
        if isinstance(value, EvalError):
            errors.append(value)
        elif not value:
            return False
    return errors or True


def conditions(scope: Scope, entries: Any, pointer: Pointer) -> tuple[Expression, ...]:
    """``matchConditions``, compiled."""
    return tuple(
        scope.compile(text(mapping(entry).get("expression")), (*pointer, index, "expression"), ("BOOL",)) for index, entry in enumerate(items(entries))
    )


def fast_path(scope: Scope, matching: Sequence[Expression], validations: Sequence[Expression]) -> Program | None:
    """One program for the usual outcomes: 1 when the policy does not apply, 0 when every validation holds, 2 when one does not; else an error."""
    if any(expression.program is None for expression in (*matching, *validations)):
        return None
    # The parts carry their own variables, so that what one of them binds is evaluated once for all of them.
    holds = " && ".join(f"({expression.source}\n)" for expression in validations) or "true"
    applies = " && ".join(f"({expression.source}\n)" for expression in matching)
    whole = f"({holds}) ? 0 : 2"
    compiled = scope.build(f"!({applies}) ? 1 : ({whole})" if applies else whole)
    return compiled if isinstance(compiled, Program) else None


def spec_of(policy: Json) -> dict[str, Any]:
    return mapping(policy.get("spec"))
