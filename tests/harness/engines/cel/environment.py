"""Compiles and evaluates CEL expressions with the Kubernetes libraries, as cel-go does for the API server and for Kyverno.

An expression is parsed (parser.py), its types are checked (check.py), and it becomes a Python function (evaluate.py). Data is read where
it stands, so that an evaluation costs what it touches. What cannot be evaluated here although an API server may is *unsupported*:
expressions above 100 kB or nested too deep, more than a million comprehension steps, patterns with Unicode classes, time zones that this
machine does not know, the authorizer. The API server's cost estimate of an expression is not computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from harness.engines.cel import extensions, library, standard
from harness.engines.cel.check import CelTypeError, check
from harness.engines.cel.data import CelError, plain
from harness.engines.cel.evaluate import ERRORS, Compiler, Run, is_unsupported
from harness.engines.cel.functions import Function, Overload, merge
from harness.engines.cel.lexer import CelSyntaxError
from harness.engines.cel.parser import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_MAX_LENGTH = 100_000
_NO_VARIABLES: frozenset[str] = frozenset()


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
    """Functions that a user of CEL brings along, such as Kyverno's. Make it once and keep it: environments are kept by its identity."""

    name: str
    functions: Callable[[], Iterable[Overload]]


class Values:
    """Values of variables, for any number of programs."""

    __slots__ = ("values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = dict(values)


class Program:
    """A compiled expression. Safe to evaluate from several threads.

    ``return_type`` is what the checker found: ``BOOL``, ``STRING``, ``LIST`` …; ``DYN`` for what has no type, ``UNKNOWN`` for what may have
    one that is not known here.
    """

    __slots__ = ("_run", "expression", "return_type")

    def __init__(self, expression: str, run: Run, return_type: str) -> None:
        self.expression = expression
        self.return_type = return_type
        self._run = run

    def eval(self, values: Mapping[str, Any] | Values) -> Any:
        """The result as plain Python data, or EvalError. ``values``: JSON data, or a ``Lazy``, for every variable."""
        try:
            return plain(self.value(values))
        except ERRORS as error:
            return EvalError(_first_line(str(error)), is_unsupported(error))
        except (RecursionError, MemoryError, TypeError, AttributeError) as error:
            # A value that is no CEL value at all, or one that is nested too deep.
            return EvalError(f"not evaluated: {_first_line(str(error))}", unsupported=True)

    def value(self, values: Mapping[str, Any] | Values) -> Any:
        """The result as a CEL value (see data.py). Raises CelError, ValueError or OverflowError."""
        return self._run(dict(values.values if isinstance(values, Values) else values))


def _first_line(message: str) -> str:
    return message.strip().partition("\n")[0][:500]


def no_messages(name: str, _fields: tuple[str, ...]) -> str | None:
    """The message types of an environment that has none."""
    return f"undeclared reference to '{name}' (in container '')"


@lru_cache(maxsize=64)
def _functions(added: tuple[Extension, ...]) -> dict[str, Function]:
    return merge(standard.OVERLOADS, library.OVERLOADS, extensions.OVERLOADS, *(each.functions() for each in added))


@lru_cache(maxsize=8192)
def _compile(
    expression: str, variables: frozenset[str], added: tuple[Extension, ...], messages: Callable[[str, tuple[str, ...]], str | None]
) -> Program | CompileError:
    short = expression[:200] if len(expression) > _MAX_LENGTH else expression
    if len(expression) > _MAX_LENGTH:
        return CompileError(short, f"expression of {len(expression)} characters is not evaluated", unsupported=True)
    try:
        expression.encode()
        node = parse(expression)
        functions = _functions(added)
        kind = check(node, functions, variables, messages)
        return Program(expression, Compiler(functions, variables).compile(node, {}), "DYN" if kind[0].startswith("%") else kind[0].upper())
    except UnicodeEncodeError:
        return CompileError(short, "expression is not valid Unicode", unsupported=False)
    except (CelSyntaxError, CelTypeError) as error:
        return CompileError(short, _first_line(str(error)), unsupported=False)
    except CelError as error:
        return CompileError(short, _first_line(str(error)), is_unsupported(error))
    except RecursionError:
        return CompileError(short, "expression is not evaluated: nested too deep", unsupported=True)


def compile(  # noqa: A001 - the word of the trade
    expression: str,
    variables: tuple[str, ...] = ("self",),
    extensions: tuple[Extension, ...] = (),
    messages: Callable[[str, tuple[str, ...]], str | None] = no_messages,
) -> Program | CompileError:
    """A program over dynamically typed variables. Cached; an invalid expression is a CompileError, never an exception.

    ``extensions`` are functions on top of those of CEL and Kubernetes (see functions.py); ``messages`` says which message literals there
    are: it gets a type's name and the fields that are set, and returns what is wrong.
    """
    return _compile(expression, frozenset(variables), extensions, messages)
