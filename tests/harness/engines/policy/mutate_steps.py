"""Mutations: what their expressions give, and how that changes an object. Shared by Kyverno's and Kubernetes' mutating policies.

Source: ``k8s.io/apiserver/pkg/cel/mutation`` and ``pkg/admission/plugin/policy/mutating/patch``, v0.36; Kyverno 1.19 uses the same code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from harness.engines.cel import CelError, CompileError, EvalError, Extension, Program
from harness.engines.cel import compile as compile_cel
from harness.engines.cel.data import Message, plain
from harness.engines.cel.evaluate import ERRORS, is_unsupported
from harness.engines.cel.library import JSON_PATCH
from harness.engines.policy.mutate_merge import MergeError, atomics, merge
from harness.engines.policy.mutate_patch import PatchError, TestFailedError, apply_patch
from harness.engines.policy.programs import Expression, Scope, evaluate
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.engines.policy.api import Json, PolicyId
    from harness.engines.policy.mutate_types import Types
    from harness.model import Pointer

_PATCH_FIELDS = frozenset({"op", "path", "from", "value"})
_JSON_PATCH = Extension("jsonpatch", lambda: JSON_PATCH)


class StepError(Exception):
    """A mutation that gives no object; ``unsupported`` when an API server may well get one."""

    def __init__(self, message: str, *, unsupported: bool = False) -> None:
        super().__init__(message)
        self.unsupported = unsupported


def message_types(name: str, fields: tuple[str, ...]) -> str | None:
    """The message types of mutations: ``Object`` and what is below it take any field, ``JSONPatch`` its four."""
    if name == "Object" or name.startswith("Object."):
        return None
    if name == "JSONPatch":
        unknown = sorted(set(fields) - _PATCH_FIELDS)
        return f"undefined field '{unknown[0]}'" if unknown else None
    return f"undeclared reference to '{name}' (in container '')"


class MutationScope(Scope):
    """A scope whose expressions build objects and patches, and whose ``variables`` are values that the caller brings."""

    ERROR: ClassVar[type[Exception]] = CelError

    def __init__(self, policy: PolicyId, names: tuple[str, ...], extension: Extension, rewrite: Callable[[str], str] = str) -> None:
        super().__init__(policy, names, (extension, _JSON_PATCH), rewrite)
        self._rewriting = rewrite
        self._all_names, self._all_extensions = (*names, "variables"), (extension, _JSON_PATCH)
        self.variables: dict[str, Expression] = {}

    def declare(self, variables: Any, pointer: Pointer) -> None:
        super().declare(variables, pointer)
        for index, entry in enumerate(items(variables)):
            name, source = text(mapping(entry).get("name")), text(mapping(entry).get("expression"))
            if name and source.strip():
                compiled = self.build(source)
                failed = isinstance(compiled, CompileError)
                at = (*pointer, index, "expression")
                self.variables[name] = Expression(source, at, None, compiled) if failed else Expression(source, at, compiled)  # type: ignore[arg-type]

    def build(self, source: str) -> Program | CompileError:
        return compile_cel(self._rewriting(source), self._all_names, self._all_extensions, message_types)

    @staticmethod
    def value(expression: Expression, data: Mapping[str, Any]) -> Any:
        """The CEL value of an expression. Raises CelError, ValueError or OverflowError."""
        if expression.program is None:
            raise CelError(expression.error.message if expression.error is not None else "no program")
        return expression.program.value(data)


class Step:
    """One mutation. ``guarded``: atomic fields may not be set by an apply configuration."""

    __slots__ = ("_expression", "_guarded", "_patch")

    def __init__(self, expression: Expression, *, patch: bool, guarded: bool) -> None:
        self._expression, self._patch, self._guarded = expression, patch, guarded

    def apply(self, data: Mapping[str, Any], types: Types) -> Json:
        """What the mutation makes of ``data["object"]``. Raises StepError."""
        if self._expression.program is None:
            error = evaluate(self._expression, data)
            raise StepError(error.message if isinstance(error, EvalError) else "no program", unsupported=self._expression.unsupported)
        live = mapping(data.get("object"))
        try:
            value = self._expression.program.value(data)
        except ERRORS as error:
            raise StepError(str(error).partition("\n")[0], unsupported=is_unsupported(error)) from error
        except (RecursionError, TypeError, AttributeError) as error:
            raise StepError(f"not evaluated: {error}", unsupported=True) from error
        return self._patched(live, value) if self._patch else self._merged(live, value, types)

    def _patched(self, live: Json, value: Any) -> Json:
        if not isinstance(value, list):
            raise StepError("type mismatch: JSONPatchType.expression should evaluate to array")
        operations = []
        for entry in value:
            if not isinstance(entry, Message) or entry.name != "JSONPatch":
                raise StepError("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch")
            _check_names(entry.fields.get("value"), None)
            operations.append(_plain(entry.fields))
        try:
            return mapping(apply_patch(live, operations))
        except TestFailedError:
            # A test that does not hold leaves the object as it is.
            return live
        except PatchError as error:
            raise StepError(f"JSON Patch: {error}") from error

    def _merged(self, live: Json, value: Any, types: Types) -> Json:
        if not isinstance(value, Message) or value.name != "Object":
            raise StepError("unsupported return type from ApplyConfiguration expression")
        _check_names(value, "Object")
        api_version, kind = text(live.get("apiVersion")), text(live.get("kind"))
        node = types.of(api_version, kind)
        if node is None:
            raise StepError(f"the merge is not evaluated: the schema of {api_version} {kind} is not known", unsupported=True)
        configuration = {**_plain(value), "apiVersion": api_version, "kind": kind}
        if self._guarded:
            found = [path for path in atomics(configuration, node) if path]
            if found:
                raise StepError(f"error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {', '.join(found)}")
        try:
            return mapping(merge(live, configuration, node))
        except MergeError as error:
            raise StepError(f"error applying patch: {error}") from error


def _plain(value: Any) -> Any:
    try:
        return plain(value)
    except CelError as error:
        raise StepError(f"fail to convert field: {error}") from error


def _check_names(value: Any, path: str | None) -> None:
    """Messages must be named for the place they are in (``CheckTypeNamesMatchFieldPathNames``). Raises StepError."""
    if isinstance(value, Message):
        expected = value.name if path is None else path
        if value.name != expected:
            raise StepError(f'type mismatch: unexpected type name "{value.name}", expected "{expected}", which matches field name path from root Object type')
        for name, inner in value.fields.items():
            _check_names(inner, f"{expected}.{name}")
    elif isinstance(value, list):
        for inner in value:
            _check_names(inner, path)
    elif isinstance(value, dict):
        for inner in value.values():
            _check_names(inner, path)


def steps_of(scope: Scope, mutations: Any, *, guarded: bool) -> tuple[Step, ...]:
    """A policy's ``mutations``, compiled. What is neither an apply configuration nor a JSON patch is a problem."""
    found: list[Step] = []
    for index, entry in enumerate(items(mutations)):
        mutation = mapping(entry)
        at: Pointer = ("spec", "mutations", index)
        kind = text(mutation.get("patchType"))
        field = {"JSONPatch": "jsonPatch", "ApplyConfiguration": "applyConfiguration"}.get(kind)
        if field is None:
            scope.problem((*at, "patchType"), f"{kind!r} is no patch type: JSONPatch and ApplyConfiguration are")
            continue
        source = text(mapping(mutation.get(field)).get("expression"))
        if not isinstance(mutation.get(field), dict):
            scope.problem((*at, field), f"a mutation of type {kind} needs {field}")
            continue
        expression = scope.compile(source, (*at, field, "expression"), ("LIST",) if field == "jsonPatch" else ("MESSAGE OBJECT",))
        found.append(Step(expression, patch=field == "jsonPatch", guarded=guarded))
    return tuple(found)
