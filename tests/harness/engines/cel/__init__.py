"""CEL as the Kubernetes API server runs it."""

from harness.engines.cel.environment import CompileError, EvalError, Program, compile  # noqa: A004 - the word of the trade

__all__ = ["CompileError", "EvalError", "Program", "compile"]
