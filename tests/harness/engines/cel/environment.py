"""Compiles and evaluates CEL expressions with the Kubernetes libraries.

The engine is Google's cel-cpp (``cel-expr-python``); the API server's is cel-go. Where they differ, cel-go is followed, or the expression
is reported as one that cannot be evaluated; ``CompileError.unsupported`` tells that apart from an expression that is wrong.

Bounds: cel-cpp stops an evaluation after a million iterations and runs regular expressions on RE2; expressions longer than 100 kB are
not compiled. The API server's cost estimate of an expression is not computed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cel_expr_python import cel

from harness.engines.cel import rewrite
from harness.engines.cel.library import list_functions, scalar_functions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_EXTENSIONS = ("optional", "strings", "lists", "sets", "math", "bindings", "two-var-comprehensions", "encoders")
_CONFIG = "name: kubernetes\nextensions:\n" + "".join(f"- name: {name}\n" for name in _EXTENSIONS)
_MAX_LENGTH = 100_000

#: What makes optional values, and the functions that must not see one inside a list (see library.py).
_OPTIONAL = re.compile(r"\.\?|\[\s*\?|[{,]\s*\?|\boptional\b|\.\s*(?:first|last|optMap|optFlatMap|validate)\s*\(|\bformat\s*\.")
_ON_LISTS = re.compile(r"\.\s*(?:sum|min|max|isSorted|indexOf|lastIndexOf)\s*\(")
#: Messages of cel-cpp that mean "this engine cannot", rather than "this expression is wrong".
_ENGINE_LIMITS = ("@mapInsert", "recursion", "nesting", "Unimplemented", "too deep", "exceeded", "is not evaluated", "Unable to convert", "Non-CEL value")


@dataclass(frozen=True, slots=True)
class EvalError:
    """An evaluation that gave no value. ``message`` is the engine's; ``unsupported`` is true when an API server may well get a value."""

    message: str
    unsupported: bool = False


@dataclass(frozen=True, slots=True)
class CompileError:
    """An expression that does not compile. ``unsupported`` is true when a Kubernetes API server may well accept it."""

    expression: str
    message: str
    unsupported: bool


@dataclass(frozen=True, slots=True, eq=False)
class Extension:
    """Functions that a user of CEL brings along, such as Kyverno's. Make it once and keep it: environments are kept by its identity.

    ``container_functions`` take lists or maps from CEL: like the functions on lists, they must not see an optional value, so an expression
    that could hand them one does not compile (``unsupported``).
    """

    name: str
    functions: Callable[[], list[Any]]
    container_functions: frozenset[str] = frozenset()


class Values:
    """Values of variables, converted once for any number of programs. They must be plain JSON data; one that is not fails each evaluation."""

    __slots__ = ("activation", "error")

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.activation: Any = None
        self.error: EvalError | None = None
        try:
            self.activation = _environment(("self",), (), lists=False).Activation(dict(values))
        except (RuntimeError, ValueError, TypeError, OverflowError) as error:
            self.error = _failed(str(error))


class Program:
    """A compiled expression. Safe to evaluate from several threads."""

    __slots__ = ("_compiled", "_extensions", "_retry", "_retryable", "_variables", "expression")

    def __init__(self, expression: str, variables: tuple[str, ...], compiled: Any, extensions: tuple[Extension, ...] = ()) -> None:
        self.expression = expression
        self._variables = variables
        self._extensions = extensions
        self._compiled = compiled
        self._retryable = "orValue" in expression
        self._retry: Any = None

    @property
    def return_type(self) -> str:
        """The type the checker gave the expression: ``BOOL``, ``STRING``, ``LIST`` …; ``DYN`` when only evaluation tells."""
        return str(self._compiled.return_type().name())

    def eval(self, values: Mapping[str, Any] | Values) -> Any:
        """The result as plain Python data, or EvalError. ``values`` must be plain JSON data for every variable."""
        result = _run(self._compiled, values)
        if self._retryable and isinstance(result, EvalError) and result.message.endswith("orValue"):
            # cel-go lets orValue pass a value through that is not optional.
            if self._retry is None:
                self._retry = _compile_text(rewrite.pass_through_or_value(rewrite.formats(self.expression)), self._variables, self._extensions, lists=False)
            if not isinstance(self._retry, CompileError):
                return _run(self._retry, values)
        return result


def _run(compiled: Any, values: Mapping[str, Any] | Values) -> Any:
    if isinstance(values, Values) and values.error is not None:
        return values.error
    try:
        value = compiled.eval(values.activation) if isinstance(values, Values) else compiled.eval(data=dict(values))
        if value.type() == cel.Type.ERROR:
            return _failed(str(value.value()))
        return value.plain_value()
    except (RuntimeError, ValueError, TypeError, OverflowError) as error:
        # RuntimeError: the engine's own failures, such as its iteration budget. TypeError: a result that is no plain data (an optional).
        return _failed(str(error))


def _failed(message: str) -> EvalError:
    return EvalError(_first_line(message), any(limit in message for limit in _ENGINE_LIMITS))


def _first_line(message: str) -> str:
    line = message.strip().partition("\n")[0]
    return re.sub(r"^[A-Z_]+: (?:ERROR: )?(?:<input>:\d+:\d+: )?", "", line)[:500]


@lru_cache(maxsize=64)
def _environment(variables: tuple[str, ...], extensions: tuple[Extension, ...], *, lists: bool) -> Any:
    functions = scalar_functions() + (list_functions() if lists else [])
    return cel.NewEnv(
        config=cel.NewEnvConfigFromYaml(_CONFIG),
        variables=dict.fromkeys(variables, cel.Type.DYN),
        extensions=[cel.CelExtension("kubernetes", functions), *(cel.CelExtension(each.name, each.functions()) for each in extensions)],
    )


def _compile_text(text: str, variables: tuple[str, ...], extensions: tuple[Extension, ...], *, lists: bool) -> Any:
    try:
        return _environment(variables, extensions, lists=lists).compile(text)
    except (RuntimeError, ValueError, TypeError) as error:
        message = str(error)
        unsupported = any(limit in message for limit in _ENGINE_LIMITS) or (not lists and "undeclared reference" in message)
        return CompileError(text, _first_line(message), unsupported)


@lru_cache(maxsize=8192)
def _compile(expression: str, variables: tuple[str, ...], extensions: tuple[Extension, ...]) -> Program | CompileError:
    if len(expression) > _MAX_LENGTH:
        return CompileError(expression[:200], f"expression of {len(expression)} characters is not evaluated", unsupported=True)
    try:
        expression.encode()
    except UnicodeEncodeError:
        return CompileError(expression[:200], "expression is not valid Unicode", unsupported=False)
    optional = _OPTIONAL.search(expression) is not None
    risky = next((name for each in extensions for name in sorted(each.container_functions) if optional and f"{name}(" in expression), None)
    if risky is not None and rewrite.optional_escapes(expression):
        return CompileError(expression, f"{risky}() on what may hold an optional value is not evaluated", unsupported=True)
    lists = not (optional and _ON_LISTS.search(expression))
    compiled = _compile_text(rewrite.formats(expression), variables, extensions, lists=lists)
    if isinstance(compiled, CompileError):
        return CompileError(expression, compiled.message, compiled.unsupported)
    return Program(expression, variables, compiled, extensions)


def compile(  # noqa: A001 - the word of the trade
    expression: str, variables: tuple[str, ...] = ("self",), extensions: tuple[Extension, ...] = ()
) -> Program | CompileError:
    """A program over dynamically typed variables. Cached; an invalid expression is a CompileError, never an exception."""
    return _compile(expression, tuple(sorted(variables)), extensions)
