"""MutatingAdmissionPolicy with its bindings and parameters (``admissionregistration.k8s.io``).

Source: ``k8s.io/apiserver/pkg/admission/plugin/policy/mutating``, v0.36. Variables are evaluated anew for every mutation, on the object as it
is then; an error under failurePolicy Ignore leaves the object as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.engines.cel import Lazy
from harness.engines.policy.admission import Binding
from harness.engines.policy.api import Json, PolicyId, PolicyProblem, Status
from harness.engines.policy.authorizer import ADMISSION, rewrite_authorizer
from harness.engines.policy.context import ADMISSION_NAMES, name_of
from harness.engines.policy.library import evaluating
from harness.engines.policy.matching import Constraints
from harness.engines.policy.mutate import Mutated
from harness.engines.policy.mutate_steps import MutationScope, Step, StepError, steps_of
from harness.engines.policy.params import ParamsError, collect_params
from harness.engines.policy.programs import Expression, all_true, conditions, spec_of
from harness.model.shapes import mapping

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.engines.policy.context import Evaluation
    from harness.engines.policy.mutate_types import Types

#: Stands for the bindings of a policy that is tried without any.
UNBOUND = Binding({"kind": "MutatingAdmissionPolicyBinding", "spec": {}})


class MutatingAdmissionPolicy:
    """One policy with its bindings, compiled. ``reinvoked``: it runs again when a later policy changes the object."""

    __slots__ = ("_bindings", "_conditions", "_ignore", "_param_kind", "_steps", "_variables", "constraints", "id", "problems", "reinvoked")

    def __init__(self, body: Json, bindings: Iterable[Binding]) -> None:
        spec = spec_of(body)
        self.id = PolicyId(str(body.get("kind")), "", name_of(body)[1])
        self._bindings = tuple(bindings)
        self.constraints = Constraints(spec.get("matchConstraints"), kyverno=False)
        self._ignore = spec.get("failurePolicy") == "Ignore"
        self._param_kind = mapping(spec.get("paramKind"))
        self.reinvoked = spec.get("reinvocationPolicy") == "IfNeeded"
        scope = MutationScope(self.id, ADMISSION_NAMES, ADMISSION, rewrite_authorizer)
        self._conditions = conditions(scope, spec.get("matchConditions"), ("spec", "matchConditions"))
        scope.declare(spec.get("variables"), ("spec", "variables"))
        self._variables = scope.variables
        self._steps: tuple[Step, ...] = steps_of(scope, spec.get("mutations"), guarded=True)
        for at, message in self.constraints.problems:
            scope.problem(("spec", "matchConstraints", *at), message)
        self.problems: tuple[PolicyProblem, ...] = tuple(scope.problems)

    def mutate(self, evaluation: Evaluation, types: Types) -> Mutated | None:
        """What the policy makes of a request's object, through all of its bindings; None when it is not about the request."""
        request, resource, resources = evaluation.request, evaluation.resource, evaluation.resources
        found = self.constraints.match(request, resource, resources)
        if not found.matched:
            return self._unmatched(found.error, found.unknown)
        outcome: Mutated | None = None
        body = request.object
        for binding in self._bindings:
            bound = binding.constraints.match(request, resource, resources) if binding.constraints.present else found
            if not bound.matched:
                problem = self._unmatched(bound.error, bound.unknown)
                if problem is not None:
                    return problem
                continue
            try:
                params = collect_params(self._param_kind, binding.parameters, evaluation)
            except ParamsError as error:
                return self._failed(str(error), unsupported=error.unknown)
            with evaluating(evaluation, self.id):
                for param in params:
                    result = self._run({**evaluation.variables(found.resource), "object": body, "params": param}, types)
                    if result.status not in (Status.PASS, Status.SKIP):
                        return result
                    body = result.object if result.object is not None else body
                    outcome = result if outcome is None or result.status is Status.PASS else outcome
        return outcome

    def _run(self, data: dict[str, Any], types: Types) -> Mutated:
        applies = all_true(self._conditions, data)
        if isinstance(applies, list):
            unsupported = next((error for error in applies if error.unsupported), None)
            return self._failed((unsupported or applies[0]).message, unsupported=unsupported is not None)
        if not applies:
            return Mutated(self.id, Status.SKIP, reason="the match conditions do not hold")
        for step in self._steps:
            data["variables"] = self._lazy_variables(data)
            try:
                data["object"] = step.apply(data, types)
            except StepError as error:
                return self._failed(str(error), unsupported=error.unsupported)
        return Mutated(self.id, Status.PASS, data["object"])

    def _lazy_variables(self, data: dict[str, Any]) -> dict[str, Lazy]:
        def lazily(expression: Expression) -> Lazy:
            return Lazy(lambda: MutationScope.value(expression, data))

        return {name: lazily(expression) for name, expression in self._variables.items()}

    def _unmatched(self, error: str, unknown: str) -> Mutated | None:
        return self._failed(error or unknown, unsupported=not error) if error or unknown else None

    def _failed(self, reason: str, *, unsupported: bool = False) -> Mutated:
        if unsupported:
            return Mutated(self.id, Status.NOT_EVALUATED, reason=reason)
        if self._ignore:
            return Mutated(self.id, Status.SKIP, reason=f"failurePolicy Ignore: {reason}")
        return Mutated(self.id, Status.ERROR, reason=reason)
