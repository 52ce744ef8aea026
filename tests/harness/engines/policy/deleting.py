"""DeletingPolicy: which objects Kyverno deletes when a schedule comes (``policies.kyverno.io``).

Source: Kyverno 1.19, ``pkg/cel/policies/dpol``. Objects are matched as on CREATE with any operation in the rules; conditions may use variables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.engines.policy.api import Deletion, PolicyId, Status
from harness.engines.policy.context import KYVERNO_NAMES
from harness.engines.policy.cron import cron_problem
from harness.engines.policy.exceptions import granted
from harness.engines.policy.library import evaluating, kyverno_extension
from harness.engines.policy.matching import Constraints
from harness.engines.policy.programs import Scope, all_true, conditions
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from harness.engines.policy.api import Json, PolicyProblem
    from harness.engines.policy.context import Evaluation
    from harness.engines.policy.exceptions import PolicyException


class DeletingPolicy:
    """A DeletingPolicy or NamespacedDeletingPolicy, compiled."""

    __slots__ = ("_conditions", "_exceptions", "constraints", "id", "problems", "schedule")

    def __init__(self, policy: PolicyId, spec: Json, exceptions: tuple[PolicyException, ...] = ()) -> None:
        self.id, self._exceptions = policy, exceptions
        self.schedule = text(spec.get("schedule"))
        constraints = mapping(spec.get("matchConstraints"))
        rules = [{**mapping(rule), "operations": ["*"]} for rule in items(constraints.get("resourceRules"))]
        given = {**constraints, "resourceRules": rules} if isinstance(spec.get("matchConstraints"), dict) else None
        self.constraints = Constraints(given, kyverno=True)
        scope = Scope(policy, KYVERNO_NAMES, (kyverno_extension(policy.namespace),))
        scope.declare(spec.get("variables"), ("spec", "variables"))
        self._conditions = conditions(scope, spec.get("conditions"), ("spec", "conditions"))
        for at, message in self.constraints.problems:
            scope.problem(("spec", "matchConstraints", *at), message)
        wrong = cron_problem(self.schedule)
        if wrong:
            scope.problem(("spec", "schedule"), wrong, self.schedule)
        self.problems: tuple[PolicyProblem, ...] = tuple(scope.problems)

    def decide(self, evaluation: Evaluation) -> Deletion | None:
        """Whether the object is deleted when the schedule comes; None when the policy is not about it."""
        found = self.constraints.match(evaluation.request, evaluation.resource, evaluation.resources)
        if not found.matched:
            if found.error or found.unknown:
                return self._result(Status.ERROR if found.error else Status.NOT_EVALUATED, found.error or found.unknown)
            return None
        with evaluating(evaluation, self.id):
            values = evaluation.values(found.resource)
            exempt = granted(self._exceptions, values, ignore_errors=False)
            if exempt.error is not None:
                return self._result(Status.NOT_EVALUATED if exempt.error.unsupported else Status.ERROR, exempt.error.message)
            if exempt.names:
                return Deletion(self.id, Status.SKIP, self.schedule, exempt.message, exempt.names)
            holds = all_true(self._conditions, values)
        if isinstance(holds, list):
            return self._result(Status.NOT_EVALUATED if holds[0].unsupported else Status.ERROR, holds[0].message)
        return self._result(Status.PASS if holds else Status.SKIP, "" if holds else "the conditions do not hold")

    def _result(self, status: Status, reason: str) -> Deletion:
        return Deletion(self.id, status, self.schedule, reason)
