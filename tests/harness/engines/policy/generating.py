"""GeneratingPolicy: the objects that Kyverno makes when others come (``policies.kyverno.io``).

Source: Kyverno 1.19, ``pkg/cel/policies/gpol`` and ``pkg/cel/libs/context.go``. Expressions call ``generator.apply(namespace, objects)``; what they
copy comes from ``resource.get`` and ``resource.list``. Templates (``generate[].template``) are plain YAML, or YAML with ``(( expression ))``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from harness.engines.cel import EvalError
from harness.engines.policy.api import Generated, PolicyId, Status
from harness.engines.policy.context import KYVERNO_NAMES
from harness.engines.policy.exceptions import granted
from harness.engines.policy.library import evaluating, kyverno_extension
from harness.engines.policy.matching import Constraints
from harness.engines.policy.programs import Expression, Scope, all_true, conditions, evaluate
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from harness.engines.cel import Values
    from harness.engines.policy.api import Json, PolicyProblem
    from harness.engines.policy.context import Evaluation
    from harness.engines.policy.exceptions import PolicyException
    from harness.model import Pointer


class GeneratingPolicy:
    """A GeneratingPolicy or NamespacedGeneratingPolicy, compiled."""

    __slots__ = ("_conditions", "_exceptions", "_steps", "constraints", "existing", "id", "problems", "synchronized")

    def __init__(self, policy: PolicyId, spec: Json, exceptions: tuple[PolicyException, ...] = ()) -> None:
        self.id, self._exceptions = policy, exceptions
        self.constraints = Constraints(spec.get("matchConstraints"), kyverno=True)
        evaluation = mapping(spec.get("evaluation"))
        self.existing = mapping(evaluation.get("generateExisting")).get("enabled") is True
        self.synchronized = mapping(evaluation.get("synchronize")).get("enabled") is True
        scope = Scope(policy, KYVERNO_NAMES, (kyverno_extension(policy.namespace),))
        self._conditions = conditions(scope, spec.get("matchConditions"), ("spec", "matchConditions"))
        scope.declare(spec.get("variables"), ("spec", "variables"))
        for place, message in self.constraints.problems:
            scope.problem(("spec", "matchConstraints", *place), message)
        self._steps: list[Expression | _Template] = []
        for index, entry in enumerate(items(spec.get("generate"))):
            at: Pointer = ("spec", "generate", index)
            template = mapping(entry).get("template")
            if isinstance(template, dict):
                self._steps.append(_Template(scope, template, (*at, "template", "value")))
            else:
                self._steps.append(scope.compile(text(mapping(entry).get("expression")), (*at, "expression"), ("BOOL",)))
        self.problems: tuple[PolicyProblem, ...] = tuple(scope.problems)

    def generate(self, evaluation: Evaluation) -> Generated | None:
        """What the policy makes of a request; None when it is not about it."""
        found = self.constraints.match(evaluation.request, evaluation.resource, evaluation.resources)
        if not found.matched:
            if found.error or found.unknown:
                return Generated(self.id, Status.ERROR if found.error else Status.NOT_EVALUATED, reason=found.error or found.unknown)
            return None
        with evaluating(evaluation, self.id):
            return self._generate(evaluation, evaluation.values(found.resource))

    def _generate(self, evaluation: Evaluation, values: Values) -> Generated:
        exempt = granted(self._exceptions, values, ignore_errors=False)
        if exempt.error is not None:
            return self._failed(exempt.error)
        if exempt.full:
            return Generated(self.id, exempt.status, reason=exempt.message, exceptions=exempt.names)
        if exempt.images or exempt.values:
            values = evaluation.with_variables(exceptions={"allowedImages": list(exempt.images), "allowedValues": list(exempt.values)})
        applies = all_true(self._conditions, values)
        if isinstance(applies, list):
            return self._failed(applies[0])
        if not applies:
            return Generated(self.id, Status.SKIP, reason="the match conditions do not hold")
        evaluation.generated = []
        for step in self._steps:
            outcome = step.render(evaluation, self.id, values) if isinstance(step, _Template) else evaluate(step, values)
            if isinstance(outcome, EvalError):
                return self._failed(outcome)
        return Generated(self.id, Status.PASS, tuple(evaluation.generated), exceptions=exempt.names)

    def _failed(self, error: EvalError) -> Generated:
        return Generated(self.id, Status.NOT_EVALUATED if error.unsupported else Status.ERROR, reason=error.message)


class _Template:
    """A YAML template, with ``(( expression ))`` placeholders when ``interpolate`` is ``cel``."""

    __slots__ = ("_documents", "_programs")

    def __init__(self, scope: Scope, template: Json, pointer: Pointer) -> None:
        self._programs: dict[str, Expression] = {}
        self._documents: list[Any] = []
        value = text(template.get("value"))
        try:
            # Through JSON, so that what YAML alone has (dates) is the text it was.
            self._documents = [json.loads(json.dumps(each, default=str)) for each in yaml.safe_load_all(value) if each is not None]
        except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
            scope.problem(pointer, f"failed to parse YAML: {str(error).partition(chr(10))[0]}", value)
            return
        if not self._documents:
            scope.problem(pointer, "template must contain at least one YAML document", value)
        if template.get("interpolate") == "cel":
            for document in self._documents:
                self._compile(scope, document, pointer)

    def _compile(self, scope: Scope, node: Any, pointer: Pointer) -> None:
        if isinstance(node, dict):
            for item in node.values():
                self._compile(scope, item, pointer)
        elif isinstance(node, list):
            for item in node:
                self._compile(scope, item, pointer)
        elif isinstance(node, str):
            for literal, source in segments(node):
                if literal is None and source not in self._programs:
                    self._programs[source] = scope.compile(source, pointer)

    def render(self, evaluation: Evaluation, policy: PolicyId, values: Values) -> EvalError | None:
        try:
            for document in self._documents:
                rendered = mapping(self._render(document, values))
                namespace = text(mapping(rendered.get("metadata")).get("namespace")) or policy.namespace
                if policy.namespace and namespace != policy.namespace:
                    return EvalError(f"cross-namespace generation denied: a policy in {policy.namespace} cannot generate into {namespace}")
                evaluation.generate(rendered, namespace, policy)
        except _RenderError as error:
            return error.error
        except ValueError as error:
            return EvalError(str(error))
        return None

    def _render(self, node: Any, values: Values) -> Any:
        if isinstance(node, dict):
            return {name: self._render(item, values) for name, item in node.items()}
        if isinstance(node, list):
            return [self._render(item, values) for item in node]
        if not isinstance(node, str) or not self._programs:
            return node
        parts = segments(node)
        if len(parts) == 1 and parts[0][0] is None:
            return self._value(parts[0][1], values)
        return "".join(literal if literal is not None else _scalar(self._value(source, values)) for literal, source in parts)

    def _value(self, source: str, values: Values) -> Any:
        found = evaluate(self._programs[source], values)
        if isinstance(found, EvalError):
            raise _RenderError(found)
        return found


class _RenderError(Exception):
    def __init__(self, error: EvalError) -> None:
        super().__init__(error.message)
        self.error = error


def segments(value: str) -> list[tuple[str | None, str]]:
    """A scalar cut into literals ``(text, "")`` and placeholders ``(None, expression)``. Brackets and quotes inside an expression count."""
    found: list[tuple[str | None, str]] = []
    start = 0
    while (opening := value.find("((", start)) >= 0:
        closing = _closing(value, opening + 2)
        if closing is None:
            break
        if opening > start:
            found.append((value[start:opening], ""))
        found.append((None, value[opening + 2 : closing].strip()))
        start = closing + 2
    if start < len(value) or not found:
        found.append((value[start:], ""))
    return found


def _closing(value: str, position: int) -> int | None:
    depth, quote = 0, ""
    while position < len(value):
        char = value[position]
        if quote:
            position += char == "\\"
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "(":
            depth += 1
        elif char == ")":
            if depth == 0:
                return position if value.startswith("))", position) else None
            depth -= 1
        position += 1
    return None


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, str | int | float):
        return str(value)
    raise _RenderError(EvalError("a placeholder inside text must give a scalar"))
