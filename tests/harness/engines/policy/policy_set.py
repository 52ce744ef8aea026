"""The policies of one cluster, compiled and indexed, and what they say of requests."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from harness.engines.policy.api import Json, PolicyId, PolicyProblem, Request, Resource, Result, Sources
from harness.engines.policy.autogen import autogen
from harness.engines.policy.context import Evaluation, name_of
from harness.engines.policy.exceptions import PolicyException, compile_exception
from harness.engines.policy.programs import spec_of
from harness.engines.policy.resources import Resources
from harness.engines.policy.validating import ValidatingPolicy
from harness.model import group_of
from harness.model.shapes import mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KYVERNO_GROUP = "policies.kyverno.io"


class PolicySet:
    """Compiled policies. ``policies`` may hold anything: what is no policy is left alone, PolicyExceptions among them count.

    ``namespaces`` gives requests that name no Namespace the body of theirs. Making one compiles every policy; reviewing is cheap.
    """

    def __init__(
        self,
        policies: Iterable[Json],
        exceptions: Iterable[Json] = (),
        *,
        resources: Resources | None = None,
        namespaces: Mapping[str, Json] | None = None,
        sources: Sources | None = None,
    ) -> None:
        self.resources = resources or Resources()
        self._namespaces = namespaces or {}
        self._sources = sources or Sources()
        given = [body for body in policies if isinstance(body, dict)]
        kinds = defaultdict(list)
        for body in given:
            kinds[group_of(text(body.get("apiVersion"))), text(body.get("kind"))].append(body)
        self.exceptions = tuple(compile_exception(body) for body in (*kinds[KYVERNO_GROUP, "PolicyException"], *exceptions))
        self._problems: list[PolicyProblem] = [problem for exception in self.exceptions for problem in exception.problems]
        self._validating: list[ValidatingPolicy] = []
        for kind in ("ValidatingPolicy", "NamespacedValidatingPolicy"):
            for body in kinds[KYVERNO_GROUP, kind]:
                self._add_validating(body)
        self._whole_request = any(policy.whole_request for policy in self._validating)
        self._index: dict[tuple[str, str], list[ValidatingPolicy]] = defaultdict(list)
        for policy in self._validating:
            for key in policy.constraints.resources():
                self._index[key].append(policy)
        self._candidates: dict[tuple[str, str], tuple[ValidatingPolicy, ...]] = {}

    def _add_validating(self, body: Json) -> None:
        identity = PolicyId(text(body.get("kind")), *name_of(body))
        spec = spec_of(body)
        exceptions = self._exceptions_for(identity)
        variants: list[tuple[str, Json]] = [("", spec)]
        if mapping(spec.get("evaluation")).get("mode") != "JSON":
            variants += autogen(spec)
        for rule, variant in variants:
            policy = ValidatingPolicy(identity, variant, rule=rule, exceptions=exceptions)
            self._validating.append(policy)
            if not rule:
                self._problems += policy.problems

    def _exceptions_for(self, policy: PolicyId) -> tuple[PolicyException, ...]:
        return tuple(exception for exception in self.exceptions if (policy.kind, policy.name) in exception.policies)

    @property
    def problems(self) -> tuple[PolicyProblem, ...]:
        """What in the policies cannot work, or cannot be evaluated here."""
        return tuple(self._problems)

    def review(self, request: Request) -> tuple[Result, ...]:
        """What every policy that is about a request says of it."""
        evaluation = self._evaluation(request)
        found: list[Result] = []
        for policy in self._candidates_for(evaluation.resource):
            if policy.id.namespace and policy.id.namespace != request.object_namespace:
                continue
            found += policy.review(evaluation)
        return tuple(found)

    def _evaluation(self, request: Request) -> Evaluation:
        resource = request.resource or self.resources.of_object(request.subject)
        if request.namespace is None and request.object_namespace in self._namespaces and request.object_namespace:
            request = _in_namespace(request, self._namespaces[request.object_namespace])
        return Evaluation(request, resource, self.resources, self._sources, whole_request=self._whole_request)

    def _candidates_for(self, resource: Resource) -> tuple[ValidatingPolicy, ...]:
        key = (resource.group, resource.plural)
        found = self._candidates.get(key)
        if found is None:
            keys = {(group, plural) for group in (resource.group, "*") for plural in (resource.plural, "*")}
            keys |= {(other.group, other.plural) for other, _ in self.resources.equivalents(resource)}
            chosen = {id(policy): policy for each in keys for policy in self._index.get(each, ())}
            found = self._candidates[key] = tuple(policy for policy in self._validating if id(policy) in chosen)
        return found


def _in_namespace(request: Request, namespace: Json) -> Request:
    fields: dict[str, Any] = {name: getattr(request, name) for name in Request.__slots__}
    return Request(**{**fields, "namespace": namespace})
