"""ValidatingPolicy and NamespacedValidatingPolicy (``policies.kyverno.io``).

Source: Kyverno 1.19, ``pkg/cel/policies/vpol`` (compiler, engine). One policy gives one result a request: the first validation that does not
hold, or that fails to evaluate, ends it. A request that ``matchConstraints`` do not match has no result; one that ``matchConditions`` refuse
is skipped; ``failurePolicy`` decides on errors of match conditions only, an error in a validation is an error whatever it says.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.engines.cel import EvalError, Values
from harness.engines.policy.api import PolicyProblem, Result, Status
from harness.engines.policy.context import KYVERNO_NAMES
from harness.engines.policy.exceptions import Granted, granted
from harness.engines.policy.library import evaluating, kyverno_extension
from harness.engines.policy.matching import Constraints
from harness.engines.policy.programs import Expression, Scope, all_true, conditions, evaluate, evaluate_bool, fast_path
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from harness.engines.policy.api import Json, PolicyId, Resource
    from harness.engines.policy.context import Evaluation
    from harness.engines.policy.exceptions import PolicyException
    from harness.model import Pointer

_WHOLE_REQUEST = re.compile(r"request\s*\.\s*\??\s*(?:object|oldObject)\b")


class ValidatingPolicy:
    """One policy, or what autogen makes of it (``rule`` says so), compiled."""

    __slots__ = (
        "_annotations",
        "_conditions",
        "_exceptions",
        "_fast",
        "_ignore",
        "_messages",
        "_validations",
        "actions",
        "constraints",
        "enabled",
        "id",
        "json_mode",
        "problems",
        "rule",
        "whole_request",
    )

    def __init__(self, policy: PolicyId, spec: Json, *, rule: str = "", exceptions: tuple[PolicyException, ...] = ()) -> None:
        self.id, self.rule = policy, rule
        self.problems: tuple[PolicyProblem, ...] = ()
        self.constraints = Constraints(spec.get("matchConstraints"), kyverno=True)
        evaluation = mapping(spec.get("evaluation"))
        mode = text(evaluation.get("mode")) or "Kubernetes"
        self.json_mode = mode == "JSON"
        self.actions = actions_of(spec)
        self.enabled = mode in ("Kubernetes", "JSON") and enabled(evaluation)
        self._ignore = spec.get("failurePolicy") == "Ignore"
        self._exceptions = exceptions
        if mode not in ("Kubernetes", "JSON"):
            self.problems = (PolicyProblem(policy, ("spec", "evaluation", "mode"), f"the evaluation mode {mode} is not evaluated", unsupported=True),)
            spec = {}
        scope = Scope(policy, KYVERNO_NAMES, (kyverno_extension(policy.namespace),))
        self._conditions = conditions(scope, spec.get("matchConditions"), ("spec", "matchConditions"))
        scope.declare(spec.get("variables"), ("spec", "variables"))
        self._validations: list[Expression] = []
        self._messages: list[tuple[str, Expression | None]] = []
        for index, entry in enumerate(items(spec.get("validations"))):
            at: Pointer = ("spec", "validations", index)
            validation = mapping(entry)
            self._validations.append(scope.compile(text(validation.get("expression")), (*at, "expression"), ("BOOL",)))
            dynamic = text(validation.get("messageExpression"))
            expression = scope.compile(dynamic, (*at, "messageExpression"), ("STRING",)) if dynamic else None
            self._messages.append((text(validation.get("message")), expression))
        self._annotations = _annotations(scope, spec)
        for at, message in self.constraints.problems:
            scope.problem(("spec", "matchConstraints", *at), message)
        self._fast = None if self._annotations else fast_path(scope, self._conditions, self._validations)
        self.problems += tuple(scope.problems)
        self.whole_request = any(_WHOLE_REQUEST.search(each.source) for each in (*self._conditions, *self._validations))

    def review(self, evaluation: Evaluation) -> list[Result]:
        """What the policy says; nothing when it is not about the request, or is switched off."""
        if not self.enabled:
            return []
        found = self.constraints.match(evaluation.request, evaluation.resource, evaluation.resources)
        if not found.matched:
            return [self._no_match(found.error, found.unknown)] if found.error or found.unknown else []
        with evaluating(evaluation, self.id):
            return [self.judge(evaluation, found.resource)]

    def review_payload(self, evaluation: Evaluation, payload: Any) -> Result:
        """The verdict on a JSON document (evaluation mode JSON): it is ``object``, and nothing is matched."""
        with evaluating(evaluation, self.id):
            return self._judge(evaluation, Values({**evaluation.variables(), "object": payload, "namespaceObject": None, "request": None}))

    def judge(self, evaluation: Evaluation, through: Resource | None = None) -> Result:
        """The verdict on a request that is matched, through an equivalent resource or its own."""
        return self._judge(evaluation, evaluation.values(through), through)

    def _judge(self, evaluation: Evaluation, values: Values, through: Resource | None = None) -> Result:
        exempt = Granted()
        if self._exceptions:
            exempt = granted(self._exceptions, values, ignore_errors=self._ignore)
            if exempt.error is not None:
                return self._error(exempt.error, None)
            if exempt.full:
                return self._result(exempt.status, rule="exception", message=exempt.message, exceptions=exempt.names)
            if exempt.images or exempt.values:
                values = evaluation.with_variables(through, exceptions={"allowedImages": list(exempt.images), "allowedValues": list(exempt.values)})
        if self._fast is not None:
            outcome = self._fast.eval(values)
            if outcome == 0:
                return self._result(Status.PASS, message="success", exceptions=exempt.names)
            if outcome == 1:
                return self._result(Status.SKIP, reason="the match conditions do not hold")
        applies = all_true(self._conditions, values)
        if isinstance(applies, list):
            unsupported = next((error for error in applies if error.unsupported), None)
            if unsupported is None and self._ignore:
                return self._result(Status.SKIP, reason=f"failurePolicy Ignore: {applies[0].message}")
            return self._error(unsupported or applies[0], None)
        if not applies:
            return self._result(Status.SKIP, reason="the match conditions do not hold")
        return self._validate(values, exempt)

    def _validate(self, values: Values, exempt: Granted) -> Result:
        failed: int | None = None
        for index, validation in enumerate(self._validations):
            value = evaluate_bool(validation, values)
            if isinstance(value, EvalError):
                return self._error(value, index)
            if not value:
                failed = index
                break
        annotations: list[tuple[str, str]] = []
        for key, expression in self._annotations:
            given = evaluate(expression, values)
            if isinstance(given, EvalError) or not isinstance(given, str | None):
                problem = given if isinstance(given, EvalError) else EvalError("the expression gave no string")
                return self._error(EvalError(f"audit annotation {key}: {problem.message}", problem.unsupported), failed)
            if given:
                annotations.append((key, given))
        if failed is None:
            return self._result(Status.PASS, message="success", exceptions=exempt.names, annotations=tuple(annotations))
        return self._result(Status.FAIL, index=failed, message=self._message(failed, values), exceptions=exempt.names, annotations=tuple(annotations))

    def _message(self, index: int, values: Values) -> str:
        message, expression = self._messages[index]
        if expression is not None:
            value = evaluate(expression, values)
            if isinstance(value, EvalError):
                message = f"failed to evaluate message expression: {value.message}"
            elif isinstance(value, str):
                message = value
            else:
                message = "failed to convert message expression to string"
        return message or f"CEL expression validation failed at index {index}"

    def _no_match(self, error: str, unknown: str) -> Result:
        return self._result(Status.ERROR, message="failed to execute matching", reason=error) if error else self._result(Status.NOT_EVALUATED, reason=unknown)

    def _error(self, error: EvalError, index: int | None) -> Result:
        if error.unsupported:
            return self._result(Status.NOT_EVALUATED, index=index, reason=error.message)
        return self._result(Status.ERROR, index=index, message=error.message, reason=error.message)

    def _result(self, status: Status, **fields: Any) -> Result:
        return Result(self.id, status, **{"rule": self.rule, "actions": self.actions, **fields})


def actions_of(spec: Json) -> tuple[str, ...]:
    """The actions of a policy: ``Deny`` when it names none. One that is not evaluated at admission cannot deny, only report."""
    declared = tuple(action for action in items(spec.get("validationActions")) if action in ("Deny", "Audit", "Warn")) or ("Deny",)
    if mapping(mapping(spec.get("evaluation")).get("admission")).get("enabled") is False:
        declared = tuple(action for action in declared if action != "Deny") or ("Audit",)
    return declared


def enabled(evaluation: Json) -> bool:
    """Whether a policy is evaluated at all: at admission, or in the background."""
    return any(mapping(evaluation.get(when)).get("enabled") is not False for when in ("admission", "background"))


def _annotations(scope: Scope, spec: Json) -> list[tuple[str, Expression]]:
    found = []
    for index, entry in enumerate(items(spec.get("auditAnnotations"))):
        annotation = mapping(entry)
        at: Pointer = ("spec", "auditAnnotations", index, "valueExpression")
        found.append((text(annotation.get("key")), scope.compile(text(annotation.get("valueExpression")), at, ("STRING", "NULL"))))
    return found
