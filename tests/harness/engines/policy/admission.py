"""ValidatingAdmissionPolicy with its bindings and parameters (``admissionregistration.k8s.io``).

Source: ``k8s.io/apiserver/pkg/admission/plugin/policy/{validating,generic}``, v0.36. Every binding that matches is judged with each of its
parameters; every validation that does not hold is a result of its own. Types are not checked: access to a field that a kind does not have
is a warning of the API server's, and fails only when it is evaluated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.engines.cel import EvalError
from harness.engines.policy.api import PolicyId, Result, Status
from harness.engines.policy.authorizer import ADMISSION, rewrite_authorizer
from harness.engines.policy.context import ADMISSION_NAMES, name_of
from harness.engines.policy.library import evaluating
from harness.engines.policy.matching import Constraints, selector_problems
from harness.engines.policy.params import ParamsError, collect_params
from harness.engines.policy.programs import Scope, all_true, conditions, evaluate, evaluate_bool, fast_path, spec_of
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.engines.cel import Values
    from harness.engines.policy.api import Json, PolicyProblem, Resource
    from harness.engines.policy.context import Evaluation
    from harness.engines.policy.programs import Expression
    from harness.model import Pointer

_MAX_MESSAGE = 5 * 1024


class Binding:
    """A ``ValidatingAdmissionPolicyBinding``."""

    __slots__ = ("actions", "constraints", "name", "parameters", "policy", "problems")

    def __init__(self, body: Json) -> None:
        spec = spec_of(body)
        self.name = name_of(body)[1]
        self.policy = text(spec.get("policyName"))
        self.constraints = Constraints(spec.get("matchResources", {}), kyverno=False)
        self.actions = tuple(action for action in items(spec.get("validationActions")) if isinstance(action, str))
        self.parameters = spec.get("paramRef")
        scope = Scope(PolicyId(text(body.get("kind")), "", self.name), ())
        for at, message in self.constraints.problems:
            scope.problem(("spec", "matchResources", *at), message)
        for at, message in selector_problems(mapping(self.parameters).get("selector")):
            scope.problem(("spec", "paramRef", "selector", *at), message)
        if self.constraints.present and not self.actions:
            scope.problem(("spec", "validationActions"), "the binding has no validationActions")
        self.problems: tuple[PolicyProblem, ...] = tuple(scope.problems)


#: Stands for the bindings of a policy that is tried without any.
UNBOUND = Binding({"kind": "ValidatingAdmissionPolicyBinding", "spec": {"validationActions": ["Deny"]}})


class AdmissionPolicy:
    """A ``ValidatingAdmissionPolicy``, compiled, with its bindings."""

    __slots__ = (
        "_annotations",
        "_bindings",
        "_conditions",
        "_fast",
        "_ignore",
        "_param_kind",
        "_validations",
        "constraints",
        "id",
        "problems",
        "whole_request",
    )

    def __init__(self, body: Json, bindings: Iterable[Binding]) -> None:
        spec = spec_of(body)
        self.id = PolicyId(text(body.get("kind")), "", name_of(body)[1])
        self._bindings = tuple(bindings)
        self.constraints = Constraints(spec.get("matchConstraints"), kyverno=False)
        self._ignore = spec.get("failurePolicy") == "Ignore"
        self._param_kind = mapping(spec.get("paramKind"))
        self.whole_request = False
        scope = Scope(self.id, ADMISSION_NAMES, (ADMISSION,), rewrite_authorizer)
        self._conditions = conditions(scope, spec.get("matchConditions"), ("spec", "matchConditions"))
        scope.declare(spec.get("variables"), ("spec", "variables"))
        self._validations = [_Validation(scope, index, mapping(entry)) for index, entry in enumerate(items(spec.get("validations")))]
        self._annotations: list[tuple[str, Expression]] = []
        for index, entry in enumerate(items(spec.get("auditAnnotations"))):
            at: Pointer = ("spec", "auditAnnotations", index, "valueExpression")
            expression = scope.compile(text(mapping(entry).get("valueExpression")), at, ("STRING", "NULL"))
            self._annotations.append((text(mapping(entry).get("key")), expression))
        for at, message in self.constraints.problems:
            scope.problem(("spec", "matchConstraints", *at), message)
        self._fast = None if self._annotations else fast_path(scope, self._conditions, [each.expression for each in self._validations])
        self.problems: tuple[PolicyProblem, ...] = tuple(scope.problems)

    def review(self, evaluation: Evaluation) -> list[Result]:
        """What the policy says through each of its bindings; nothing when it is not about the request."""
        request, resource, resources = evaluation.request, evaluation.resource, evaluation.resources
        found = self.constraints.match(request, resource, resources)
        if not found.matched:
            return [self._configuration(found.error, found.unknown)] if found.error or found.unknown else []
        results: list[Result] = []
        for binding in self._bindings:
            bound = binding.constraints.match(request, resource, resources)
            if not bound.matched:
                results += [self._configuration(bound.error, bound.unknown, binding)] if bound.error or bound.unknown else []
                continue
            results += self.through(binding, evaluation, found.resource)
        return results

    def through(self, binding: Binding, evaluation: Evaluation, through: Resource | None = None) -> list[Result]:
        """The verdicts of one binding on a request that both match."""
        try:
            params = collect_params(self._param_kind, binding.parameters, evaluation)
        except ParamsError as error:
            return [self._configuration("" if error.unknown else str(error), str(error), binding)]
        found: list[Result] = []
        with evaluating(evaluation, self.id):
            for param in params:
                values = evaluation.values(through) if param is None else evaluation.with_variables(through, params=param)
                found += self._judge(binding, values)
        # One verdict for all parameters when none of them objects.
        bad = [result for result in found if result.status not in (Status.PASS, Status.SKIP)]
        good = [result for result in found if result.status is Status.PASS]
        return bad or good[:1] or found[:1] or [self._result(binding, Status.SKIP, reason="there are no parameters for the binding")]

    def _judge(self, binding: Binding, values: Values) -> list[Result]:
        if self._fast is not None:
            outcome = self._fast.eval(values)
            if outcome == 0:
                return [self._result(binding, Status.PASS)]
            if outcome == 1:
                return [self._result(binding, Status.SKIP, reason="the match conditions do not hold")]
        applies = all_true(self._conditions, values)
        if isinstance(applies, list):
            unsupported = next((error for error in applies if error.unsupported), None)
            if unsupported is None and self._ignore:
                return [self._result(binding, Status.SKIP, reason=f"failurePolicy Ignore: {applies[0].message}")]
            return [self._error(binding, unsupported or applies[0], None)]
        if not applies:
            return [self._result(binding, Status.SKIP, reason="the match conditions do not hold")]
        results: list[Result] = []
        for index, validation in enumerate(self._validations):
            value = evaluate_bool(validation.expression, values)
            if isinstance(value, EvalError):
                results.append(self._error(binding, value, index))
            elif not value:
                results.append(self._result(binding, Status.FAIL, index=index, message=validation.message(values), reason=validation.reason))
        annotations, errors = self._audit(binding, values)
        results += errors
        return results or [self._result(binding, Status.PASS, annotations=annotations)]

    def _audit(self, binding: Binding, values: Values) -> tuple[tuple[tuple[str, str], ...], list[Result]]:
        found, errors = [], []
        for key, expression in self._annotations:
            value = evaluate(expression, values)
            if isinstance(value, EvalError):
                if value.unsupported or not self._ignore:
                    errors.append(self._error(binding, EvalError(f"audit annotation {key}: {value.message}", value.unsupported), None))
            elif isinstance(value, str) and value.strip():
                found.append((key, value.strip()))
        return tuple(found), errors

    def _configuration(self, error: str, unknown: str, binding: Binding | None = None) -> Result:
        name = binding.name if binding is not None else ""
        if not error:
            return Result(self.id, Status.NOT_EVALUATED, rule=name, reason=unknown, actions=binding.actions if binding is not None else ())
        what = "binding" if binding is not None else "policy"
        message = f"failed to configure {what}: {error}"
        return Result(self.id, Status.ERROR, rule=name, message=message, reason=message, actions=("Deny",), tolerated=self._ignore)

    def _error(self, binding: Binding, error: EvalError, index: int | None) -> Result:
        if error.unsupported:
            return self._result(binding, Status.NOT_EVALUATED, index=index, reason=error.message)
        return self._result(binding, Status.ERROR, index=index, message=error.message, reason=error.message, tolerated=self._ignore)

    def _result(self, binding: Binding, status: Status, **fields: Any) -> Result:
        return Result(self.id, status, **{"rule": binding.name, "actions": binding.actions, **fields})


class _Validation:
    """One validation with its message."""

    __slots__ = ("_dynamic", "_static", "expression", "reason")

    def __init__(self, scope: Scope, index: int, body: Json) -> None:
        at: Pointer = ("spec", "validations", index)
        self.expression = scope.compile(text(body.get("expression")), (*at, "expression"), ("BOOL",))
        dynamic = text(body.get("messageExpression"))
        self._dynamic = scope.compile(dynamic, (*at, "messageExpression"), ("STRING",)) if dynamic else None
        self._static = text(body.get("message")).strip()
        self.reason = text(body.get("reason")) or "Invalid"

    def message(self, values: Values) -> str:
        """The message expression's text when it is one line, not blank and not too long; else the message; else the expression."""
        if self._dynamic is not None:
            value = evaluate(self._dynamic, values)
            if isinstance(value, str) and value.strip() and "\n" not in value and len(value.encode("utf-8", "replace")) <= _MAX_MESSAGE:
                return value.strip()
        return self._static or f"failed expression: {self.expression.source.strip()}"
