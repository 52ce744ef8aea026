"""MutatingPolicy and NamespacedMutatingPolicy (``policies.kyverno.io``): what Kyverno makes of an object.

Source: Kyverno 1.19, ``pkg/cel/policies/mpol`` (compiler, engine, autogen). Mutations run in order, each on what the one before it made;
variables are evaluated once, when they are first used, and keep their value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.engines.cel import Lazy, Values
from harness.engines.policy.api import Json, PolicyId, PolicyProblem, Status
from harness.engines.policy.autogen import autogen
from harness.engines.policy.context import KYVERNO_NAMES
from harness.engines.policy.exceptions import PolicyException, granted
from harness.engines.policy.library import evaluating, kyverno_extension
from harness.engines.policy.matching import Constraints
from harness.engines.policy.mutate_steps import MutationScope, Step, StepError, steps_of
from harness.engines.policy.programs import Expression, all_true, conditions
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.engines.policy.context import Evaluation
    from harness.engines.policy.mutate_types import Types

_TEMPLATES = {"defaults": "spec.template", "cronjobs": "spec.jobTemplate.spec.template"}
_ROOTS = r"\b(object|oldObject|Object)\."


@dataclass(frozen=True, slots=True)
class Mutated:
    """What one policy made of one object. ``object`` is the patched one, for PASS only; ``target``: an existing object that was mutated."""

    policy: PolicyId
    status: Status
    object: Json | None = None
    rule: str = ""
    reason: str = ""
    exceptions: tuple[str, ...] = ()
    target: bool = False


class MutatingPolicy:
    """One policy, or what autogen makes of it (``rule`` says so), compiled."""

    __slots__ = ("_conditions", "_exceptions", "_steps", "_target_conditions", "_variables", "constraints", "existing", "id", "problems", "rule", "targets")

    def __init__(self, policy: PolicyId, spec: Json, *, rule: str = "", exceptions: tuple[PolicyException, ...] = ()) -> None:
        self.id, self.rule, self._exceptions = policy, rule, exceptions
        self.constraints = Constraints(spec.get("matchConstraints"), kyverno=True)
        evaluation = mapping(spec.get("evaluation"))
        self.existing = mapping(evaluation.get("mutateExisting")).get("enabled") is True
        scope = MutationScope(policy, KYVERNO_NAMES, kyverno_extension(policy.namespace))
        scope.declare(spec.get("variables"), ("spec", "variables"))
        self._variables = scope.variables
        self._conditions = conditions(scope, spec.get("matchConditions"), ("spec", "matchConditions"))
        self._target_conditions = conditions(scope, spec.get("targetMatchConditions"), ("spec", "targetMatchConditions"))
        self._steps: tuple[Step, ...] = steps_of(scope, spec.get("mutations"), guarded=evaluation.get("useServerSideApply") is not True)
        self.targets = _Targets(scope, spec.get("targetMatchConstraints"), self.constraints)
        for at, message in self.constraints.problems:
            scope.problem(("spec", "matchConstraints", *at), message)
        self.problems: tuple[PolicyProblem, ...] = tuple(scope.problems)

    def mutate(self, evaluation: Evaluation, types: Types) -> Mutated | None:
        """What the policy makes of a request's object; None when it is not about the request."""
        found = self.constraints.match(evaluation.request, evaluation.resource, evaluation.resources)
        if not found.matched:
            if found.error or found.unknown:
                return self._result(Status.ERROR if found.error else Status.NOT_EVALUATED, reason=found.error or found.unknown)
            return None
        with evaluating(evaluation, self.id):
            return self._run(evaluation.variables(found.resource), self._conditions, types)

    def mutate_target(self, evaluation: Evaluation, target: Json, types: Types) -> Mutated:
        """What the policy makes of an existing object, when a request triggers it."""
        with evaluating(evaluation, self.id):
            return self._run({**evaluation.variables(), "object": target, "oldObject": None}, self._target_conditions, types, target=True)

    def triggers(self, evaluation: Evaluation) -> bool:
        """Whether a request makes the policy mutate existing objects."""
        if not self.existing or not self.constraints.match(evaluation.request, evaluation.resource, evaluation.resources).matched:
            return False
        with evaluating(evaluation, self.id):
            return all_true(self._conditions, self._with_variables(evaluation.variables())) is True

    def selects(self, evaluation: Evaluation, target: Evaluation) -> bool | str:
        """Whether an existing object is a target when a request triggers the policy; a text says why that cannot be told."""
        with evaluating(evaluation, self.id):
            return self.targets.selects(self._with_variables(evaluation.variables()), target)

    def _with_variables(self, data: dict[str, Any]) -> dict[str, Any]:
        def lazily(expression: Expression) -> Lazy:
            return Lazy(lambda: MutationScope.value(expression, data))

        data["variables"] = {name: lazily(expression) for name, expression in self._variables.items()}
        return data

    def _run(self, data: dict[str, Any], matching: tuple[Expression, ...], types: Types, *, target: bool = False) -> Mutated:
        self._with_variables(data)
        exempt = granted(self._exceptions, Values(data), ignore_errors=False)
        if exempt.error is not None:
            return self._result(Status.NOT_EVALUATED if exempt.error.unsupported else Status.ERROR, reason=exempt.error.message, target=target)
        if exempt.full:
            return self._result(exempt.status, rule="exception", reason=exempt.message, exceptions=exempt.names, target=target)
        data["exceptions"] = {"allowedImages": list(exempt.images), "allowedValues": list(exempt.values)}
        applies = all_true(matching, data)
        if isinstance(applies, list):
            unsupported = next((error for error in applies if error.unsupported), None)
            return self._result(Status.NOT_EVALUATED if unsupported else Status.ERROR, reason=(unsupported or applies[0]).message, target=target)
        if not applies:
            return self._result(Status.SKIP, reason="the match conditions do not hold", target=target)
        for step in self._steps:
            try:
                data["object"] = step.apply(data, types)
            except StepError as error:
                return self._result(Status.NOT_EVALUATED if error.unsupported else Status.ERROR, reason=str(error), target=target)
        return self._result(Status.PASS, object=data["object"], exceptions=exempt.names, target=target)

    def _result(self, status: Status, **fields: Any) -> Mutated:
        return Mutated(self.id, status, **{"rule": self.rule, **fields})


class _Targets:
    """``targetMatchConstraints``: which existing objects a policy mutates."""

    __slots__ = ("_constraints", "_expression")

    def __init__(self, scope: MutationScope, spec: Any, trigger: Constraints) -> None:
        body = mapping(spec)
        source = text(body.get("expression"))
        self._expression = scope.compile(source, ("spec", "targetMatchConstraints", "expression")) if source else None
        # Operations are of no importance for what exists already.
        rules = [{**mapping(rule), "operations": ["*"]} for rule in items(body.get("resourceRules"))]
        self._constraints = Constraints({**body, "resourceRules": rules}, kyverno=True) if rules else trigger.for_all_operations()

    def selects(self, trigger: dict[str, Any], target: Evaluation) -> bool | str:
        if self._expression is None:
            found = self._constraints.match(target.request, target.resource, target.resources)
            return found.matched if not (found.error or found.unknown) else found.error or found.unknown
        try:
            listed = mapping(MutationScope.value(self._expression, trigger))
        except (ValueError, OverflowError, MutationScope.ERROR) as error:
            return str(error)
        found_items = items(listed["items"]) if isinstance(listed.get("items"), list) else [listed]
        wanted = mapping(target.request.subject.get("metadata"))
        names = {(text(metadata.get("namespace")), text(metadata.get("name"))) for metadata in (mapping(mapping(item).get("metadata")) for item in found_items)}
        return (text(wanted.get("namespace")), text(wanted.get("name"))) in names


def variants(spec: Json) -> Iterator[tuple[str, Json]]:
    """The specs that Kyverno derives from a policy on pods for their controllers (``mpol/autogen``).

    Only match conditions and apply configurations are rewritten; variables and JSON patches are not.
    """
    for rule, derived in autogen(spec):
        config = rule.removeprefix("autogen-")
        yield (
            rule,
            {
                **spec,
                "matchConstraints": derived["matchConstraints"],
                "matchConditions": [
                    {**mapping(entry), "expression": convert(text(mapping(entry).get("expression")), config)} for entry in items(spec.get("matchConditions"))
                ],
                "mutations": [_converted(mapping(entry), config) for entry in items(spec.get("mutations"))],
            },
        )


def _converted(mutation: dict[str, Any], config: str) -> dict[str, Any]:
    given = mapping(mutation.get("applyConfiguration"))
    source = text(given.get("expression"))
    return {**mutation, "applyConfiguration": {**given, "expression": convert(source, config)}} if source else mutation


def convert(source: str, config: str) -> str:
    """An expression on pods as one on their controllers: paths become those of the template, and so does the ``Object{…}`` at the root."""
    template = _TEMPLATES[config]
    source = re.sub(rf"{_ROOTS}spec", rf"\1.{template}.spec", source)
    for field in ("labels", "annotations"):
        source = re.sub(rf"{_ROOTS}metadata\.{field}", rf"\1.{template}.metadata.{field}", source)
    root = re.match(r"\s*Object[ \t\r\n]*\{", source)
    if root is None:
        return source
    body = source[root.end() :]
    depth, end = 1, 0
    for index, char in enumerate(body):
        depth += (char == "{") - (char == "}")
        if depth == 0:
            end = index
            break
    if not end:
        return source
    opening, closing, path = "Object{", "}", "Object"
    for part in template.split("."):
        path = f"{path}.{part}"
        opening, closing = f"{opening}{part}: {path}{{", f"{closing}}}"
    return f"{opening}{body[:end]}{closing}{body[end + 1 :]}"
