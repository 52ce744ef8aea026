"""CEL as the Kubernetes API server runs it."""

from harness.engines.cel.environment import CompileError, EvalError, Extension, Program, Values, compile  # noqa: A004 - the word of the trade

__all__ = ["CompileError", "EvalError", "Extension", "Program", "Values", "compile"]
