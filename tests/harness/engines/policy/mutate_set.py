"""All mutating policies of one cluster, and what they make of an object one after the other.

As in a cluster, MutatingAdmissionPolicies come first (they are a part of the API server), by name, and Kyverno's after them, in the order in
which they were given. Each works on what the one before it made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.engines.policy.admission import Binding
from harness.engines.policy.api import Json, PolicyId, PolicyProblem, Request, Sources, Status
from harness.engines.policy.context import Evaluation, name_of
from harness.engines.policy.exceptions import compile_exception
from harness.engines.policy.mutate import Mutated, MutatingPolicy, variants
from harness.engines.policy.mutate_admission import UNBOUND, MutatingAdmissionPolicy
from harness.engines.policy.mutate_types import Types
from harness.engines.policy.programs import spec_of
from harness.engines.policy.resources import Resources
from harness.model import group_of
from harness.model.shapes import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_KYVERNO, _ADMISSION = "policies.kyverno.io", "admissionregistration.k8s.io"
DEFAULT_VERSION = "1.36"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What all policies made of an object: the object in the end, and what each did, in order."""

    object: Json
    steps: tuple[Mutated, ...]


class Mutations:
    """Mutating policies, compiled. ``policies`` may hold anything; exceptions and bindings among them count.

    ``bind_all``: a MutatingAdmissionPolicy without a binding is tried as if one bound it everywhere. ``types`` are the kinds that apply
    configurations are merged by; those of ``DEFAULT_VERSION`` when none are given.
    """

    def __init__(
        self,
        policies: Iterable[Json],
        exceptions: Iterable[Json] = (),
        *,
        resources: Resources | None = None,
        namespaces: Mapping[str, Json] | None = None,
        sources: Sources | None = None,
        types: Types | None = None,
        bind_all: bool = False,
    ) -> None:
        self.resources = resources or Resources()
        self._namespaces, self._sources, self._types = namespaces or {}, sources or Sources(), types
        bodies = [body for body in (*policies, *exceptions) if isinstance(body, dict)]
        granted = [compile_exception(body) for body in bodies if _is(body, _KYVERNO, "PolicyException")]
        bindings = [Binding(body) for body in bodies if _is(body, _ADMISSION, "MutatingAdmissionPolicyBinding")]
        self._admission: list[MutatingAdmissionPolicy] = []
        for body in sorted((each for each in bodies if _is(each, _ADMISSION, "MutatingAdmissionPolicy")), key=name_of):
            bound = [binding for binding in bindings if binding.policy == name_of(body)[1]]
            self._admission.append(MutatingAdmissionPolicy(body, bound or ([UNBOUND] if bind_all else [])))
        self._kyverno: list[MutatingPolicy] = []
        for body in bodies:
            if _is(body, _KYVERNO, "MutatingPolicy", "NamespacedMutatingPolicy"):
                kind, (namespace, name), spec = text(body.get("kind")), name_of(body), spec_of(body)
                # The kinds without the prefix are cluster-scoped, whatever their metadata says.
                identity = PolicyId(kind, namespace if kind.startswith("Namespaced") else "", name)
                own = tuple(exception for exception in granted if (identity.kind, identity.name) in exception.policies)
                self._kyverno += [MutatingPolicy(identity, each, rule=rule, exceptions=own) for rule, each in (("", spec), *variants(spec))]

    @property
    def policies(self) -> tuple[PolicyId, ...]:
        return tuple(dict.fromkeys([*(policy.id for policy in self._admission), *(policy.id for policy in self._kyverno)]))

    @property
    def problems(self) -> tuple[PolicyProblem, ...]:
        """What in the policies cannot work, or cannot be evaluated here; what autogen makes is wrong where the original is."""
        found = [problem for policy in self._admission for problem in policy.problems]
        return tuple(found + [problem for policy in self._kyverno if not policy.rule for problem in policy.problems])

    @property
    def types(self) -> Types:
        if self._types is None:
            self._types = Types(DEFAULT_VERSION)
        return self._types

    def mutate(self, request: Request) -> Outcome:
        """The object of a request as it is stored in the end, as far as these policies go."""
        steps: list[Mutated] = []
        body, request = self._reinvoking(request, steps)
        for policy in self._kyverno:
            if policy.id.namespace in ("", request.object_namespace):
                result = policy.mutate(self._evaluation(request), self.types)
                if result is not None:
                    steps.append(result)
                    if result.object is not None:
                        body, request = result.object, _with_object(request, result.object)
        return Outcome(body, tuple(steps))

    def _reinvoking(self, request: Request, steps: list[Mutated]) -> tuple[Json, Request]:
        """Runs the API server's own policies; those with ``IfNeeded`` once more when another changed the object after them."""
        body: Json = request.subject
        again: dict[PolicyId, Json] = {}
        for policies in (self._admission, [policy for policy in self._admission if policy.reinvoked]):
            second = bool(again)
            for policy in policies:
                if second and again.get(policy.id, body) == body:
                    continue
                result = policy.mutate(self._evaluation(request), self.types)
                if result is None:
                    continue
                steps.append(result)
                if result.object is not None:
                    body, request = result.object, _with_object(request, result.object)
                if policy.reinvoked:
                    again[policy.id] = body
            if not again:
                break
        return body, request

    def existing(self, request: Request, targets: Iterable[Json], *, conditions: bool = True) -> tuple[Mutated, ...]:
        """What policies with ``mutateExisting`` make of existing objects when a request triggers them.

        Without ``conditions`` every request triggers every policy, as in the command line of Kyverno.
        """
        found: list[Mutated] = []
        trigger = self._evaluation(request)
        for policy in (each for each in self._kyverno if each.existing and not each.rule and (not conditions or each.triggers(trigger))):
            for target in targets:
                selected = policy.selects(trigger, self._evaluation(Request(target)))
                if isinstance(selected, str):
                    found.append(Mutated(policy.id, Status.NOT_EVALUATED, rule=policy.rule, reason=selected, target=True))
                elif selected:
                    found.append(policy.mutate_target(trigger, target, self.types))
        return tuple(found)

    def _evaluation(self, request: Request) -> Evaluation:
        resource = request.resource or self.resources.of_object(request.subject)
        namespace = self._namespaces.get(request.object_namespace)
        if request.namespace is None and namespace is not None:
            request = replace(request, namespace=namespace)
        return Evaluation(request, resource, self.resources, self._sources, whole_request=True)


def _is(body: Json, group: str, *kinds: str) -> bool:
    return text(body.get("kind")) in kinds and group_of(text(body.get("apiVersion"))) == group


def _with_object(request: Request, body: Json) -> Request:
    return replace(request, object=body)
