"""CEL as the Kubernetes API server runs it."""

from harness.engines.cel.data import CelError, UnsupportedError
from harness.engines.cel.environment import CompileError, EvalError, Extension, Program, Values, compile  # noqa: A004 - the word of the trade
from harness.engines.cel.evaluate import Lazy
from harness.engines.cel.functions import Overload, overload
from harness.engines.cel.kinds import T

__all__ = ["CelError", "CompileError", "EvalError", "Extension", "Lazy", "Overload", "Program", "T", "UnsupportedError", "Values", "compile", "overload"]
