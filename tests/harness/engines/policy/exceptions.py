"""PolicyException (``policies.kyverno.io``): who is let off which policy, wholly or for some images and values.

Source: Kyverno 1.19, ``pkg/cel/policies/vpol/compiler/policy.go`` and ``engine/engine.go``. An exception whose match conditions hold and that
names neither images nor values lets the whole request off; one that names some gives them to the policy as ``exceptions.allowedImages`` and
``exceptions.allowedValues``, and the policy decides. Expiry is no part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.engines.policy.api import PolicyId, Status
from harness.engines.policy.context import KYVERNO_NAMES, name_of
from harness.engines.policy.library import KYVERNO
from harness.engines.policy.programs import Expression, Scope, all_true, conditions, spec_of
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.engines.cel import EvalError, Values
    from harness.engines.policy.api import Json, PolicyProblem

_PRIORITY = "polex.kyverno.io/priority"


@dataclass(frozen=True, slots=True)
class PolicyException:
    """One exception, compiled. ``policies`` are the (kind, name) pairs it refers to."""

    id: PolicyId
    policies: frozenset[tuple[str, str]]
    conditions: tuple[Expression, ...]
    images: tuple[str, ...]
    values: tuple[str, ...]
    reports: Status
    priority: int
    problems: tuple[PolicyProblem, ...]

    @property
    def name(self) -> str:
        return "/".join(part for part in (self.id.namespace, self.id.name) if part)


@dataclass(frozen=True, slots=True)
class Granted:
    """What the exceptions of a policy give one request."""

    full: bool = False
    status: Status = Status.SKIP
    names: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    error: EvalError | None = None

    @property
    def message(self) -> str:
        done = "passed" if self.status is Status.PASS else "skipped"
        return f"rule is {done} due to policy exception: {', '.join(self.names)}"


def compile_exception(body: Json) -> PolicyException:
    """An exception as written. What is wrong with it is in ``problems``."""
    identity = PolicyId("PolicyException", *name_of(body))
    spec = spec_of(body)
    scope = Scope(identity, KYVERNO_NAMES, (KYVERNO,))
    compiled = conditions(scope, spec.get("matchConditions"), ("spec", "matchConditions"))
    references = frozenset((text(mapping(entry).get("kind")), text(mapping(entry).get("name"))) for entry in items(spec.get("policyRefs")))
    if not references:
        scope.problem(("spec", "policyRefs"), "the exception names no policy")
    priority = text(mapping(mapping(body.get("metadata")).get("labels")).get(_PRIORITY))
    return PolicyException(
        id=identity,
        policies=references,
        conditions=compiled,
        images=tuple(image for image in items(spec.get("images")) if isinstance(image, str)),
        values=tuple(value for value in items(spec.get("allowedValues")) if isinstance(value, str)),
        reports=Status.PASS if spec.get("reportResult") == "pass" else Status.SKIP,
        priority=int(priority) if priority.isdecimal() and len(priority) < 10 else 0,
        problems=tuple(scope.problems),
    )


def granted(exceptions: Iterable[PolicyException], values: Values, *, ignore_errors: bool) -> Granted:
    """What of the exceptions holds for a request. An error in one counts until another lets the request off wholly."""
    matched: list[PolicyException] = []
    images: list[str] = []
    allowed: list[str] = []
    full = False
    for exception in exceptions:
        holds = all_true(exception.conditions, values)
        if isinstance(holds, list):
            if full or ignore_errors:
                continue
            return Granted(error=holds[0])
        if not holds:
            continue
        matched.append(exception)
        if not exception.images and not exception.values:
            full = True
        elif not full:
            images += exception.images
            allowed += exception.values
    if not matched:
        return Granted()
    # The first of the highest priority decides how it is reported.
    chosen = max(matched, key=lambda exception: exception.priority)
    return Granted(full, chosen.reports, tuple(exception.name for exception in matched), tuple(images), tuple(allowed))
