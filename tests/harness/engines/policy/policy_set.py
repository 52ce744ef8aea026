"""The policies of one cluster, compiled and indexed, and what they say of requests."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from harness.engines.cel import EvalError
from harness.engines.policy.admission import UNBOUND, AdmissionPolicy, Binding
from harness.engines.policy.api import Deletion, Generated, ImageCheck, Json, PolicyId, PolicyProblem, Request, Resource, Result, Sources
from harness.engines.policy.autogen import autogen
from harness.engines.policy.context import Evaluation, name_of
from harness.engines.policy.deleting import DeletingPolicy
from harness.engines.policy.exceptions import PolicyException, compile_exception
from harness.engines.policy.generating import GeneratingPolicy
from harness.engines.policy.globs import wildcard
from harness.engines.policy.image_validating import ImageValidatingPolicy
from harness.engines.policy.legacy import LegacyException, LegacyRule, legacy_rules
from harness.engines.policy.programs import spec_of
from harness.engines.policy.resources import Resources
from harness.engines.policy.validating import ValidatingPolicy
from harness.model import group_of
from harness.model.shapes import mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.engines.policy.matching import Constraints

KYVERNO_GROUP, LEGACY_GROUP, ADMISSION_GROUP = "policies.kyverno.io", "kyverno.io", "admissionregistration.k8s.io"

_NOT_REVIEWED = (
    (KYVERNO_GROUP, "MutatingPolicy"),
    (KYVERNO_GROUP, "NamespacedMutatingPolicy"),
    (ADMISSION_GROUP, "MutatingAdmissionPolicy"),
    (LEGACY_GROUP, "ClusterCleanupPolicy"),
    (LEGACY_GROUP, "CleanupPolicy"),
)


class Reviewer(Protocol):
    """A compiled policy that says something of requests."""

    @property
    def id(self) -> PolicyId: ...

    @property
    def problems(self) -> tuple[PolicyProblem, ...]: ...

    @property
    def whole_request(self) -> bool: ...

    def review(self, evaluation: Evaluation) -> list[Result]: ...


class PolicySet:
    """Compiled policies. ``policies`` may hold anything: what is no policy is left alone; exceptions and bindings among them count.

    ``namespaces`` gives requests that name no Namespace the body of theirs. With ``bind_all`` a ValidatingAdmissionPolicy that has no binding
    is tried as if one denied for all. ``as_served`` shows objects of built-in kinds as the API server writes them out (see served.py), which is
    what policies meet in a cluster; the Kyverno CLI shows them as they stand, which is the default. Making a set compiles every policy; reviewing is cheap.
    """

    def __init__(
        self,
        policies: Iterable[Json],
        exceptions: Iterable[Json] = (),
        *,
        resources: Resources | None = None,
        namespaces: Mapping[str, Json] | None = None,
        sources: Sources | None = None,
        bind_all: bool = False,
        as_served: bool = False,
    ) -> None:
        self.resources = resources or Resources()
        self._namespaces, self._sources, self._as_served = namespaces or {}, sources or Sources(), as_served
        kinds: dict[tuple[str, str], list[Json]] = defaultdict(list)
        for body in (*policies, *exceptions):
            if isinstance(body, dict):
                kinds[group_of(text(body.get("apiVersion"))), text(body.get("kind"))].append(body)
        self.exceptions = tuple(compile_exception(body) for body in kinds[KYVERNO_GROUP, "PolicyException"])
        self._problems: list[PolicyProblem] = [problem for exception in self.exceptions for problem in exception.problems]
        self._reviewers: list[Reviewer] = []
        self._generating: list[GeneratingPolicy] = []
        self._deleting: list[DeletingPolicy] = []
        self._add_kyverno(kinds)
        self._add_admission(kinds, bind_all=bind_all)
        self._add_legacy(kinds)
        #: Policies of kinds that say nothing of a request here: those that mutate or clean up.
        self.not_reviewed = tuple(_identity(body) for key in _NOT_REVIEWED for body in kinds.get(key, ()))
        self._whole_request = any(policy.whole_request for policy in self._reviewers)
        self._candidates: dict[Resource, tuple[Reviewer, ...]] = {}

    def _add_kyverno(self, kinds: Mapping[tuple[str, str], list[Json]]) -> None:
        for prefix in ("", "Namespaced"):
            for body in kinds.get((KYVERNO_GROUP, f"{prefix}ValidatingPolicy"), ()):
                self._add_variants(body, ValidatingPolicy)
            for body in kinds.get((KYVERNO_GROUP, f"{prefix}ImageValidatingPolicy"), ()):
                self._add_variants(body, ImageValidatingPolicy)
            for body in kinds.get((KYVERNO_GROUP, f"{prefix}GeneratingPolicy"), ()):
                generating = GeneratingPolicy(_identity(body), spec_of(body), self._exceptions_for(_identity(body)))
                self._generating.append(generating)
                self._problems += generating.problems
            for body in kinds.get((KYVERNO_GROUP, f"{prefix}DeletingPolicy"), ()):
                deleting = DeletingPolicy(_identity(body), spec_of(body), self._exceptions_for(_identity(body)))
                self._deleting.append(deleting)
                self._problems += deleting.problems

    def _add_variants(self, body: Json, make: type[ValidatingPolicy] | type[ImageValidatingPolicy]) -> None:
        """A policy as written, and what Kyverno derives from it."""
        identity, spec = _identity(body), spec_of(body)
        exceptions = self._exceptions_for(identity)
        derived = autogen(spec) if mapping(spec.get("evaluation")).get("mode") != "JSON" else ()
        for rule, variant in (("", spec), *derived):
            policy = make(identity, variant, rule=rule, exceptions=exceptions)
            self._reviewers.append(policy)
            # What is derived is wrong where the original is.
            self._problems += [] if rule else policy.problems

    def _add_admission(self, kinds: Mapping[tuple[str, str], list[Json]], *, bind_all: bool) -> None:
        bindings = [Binding(body) for body in kinds.get((ADMISSION_GROUP, "ValidatingAdmissionPolicyBinding"), ())]
        for binding in bindings:
            self._problems += binding.problems
        for body in kinds.get((ADMISSION_GROUP, "ValidatingAdmissionPolicy"), ()):
            bound = [binding for binding in bindings if binding.policy == name_of(body)[1]]
            policy = AdmissionPolicy(body, bound or ([UNBOUND] if bind_all else []))
            self._reviewers.append(policy)
            self._problems += policy.problems

    def _add_legacy(self, kinds: Mapping[tuple[str, str], list[Json]]) -> None:
        exceptions = [LegacyException(body) for body in kinds.get((LEGACY_GROUP, "PolicyException"), ())]
        for exception in exceptions:
            self._problems += exception.problems
        for kind in ("ClusterPolicy", "Policy"):
            for body in kinds.get((LEGACY_GROUP, kind), ()):
                for rule in legacy_rules(body, exceptions):
                    self._reviewers.append(rule)
                    self._problems += [problem for problem in rule.problems if not rule.rule.startswith("autogen-")]

    def _exceptions_for(self, policy: PolicyId) -> tuple[PolicyException, ...]:
        return tuple(exception for exception in self.exceptions if (policy.kind, policy.name) in exception.policies)

    @property
    def policies(self) -> tuple[PolicyId, ...]:
        """The policies that are evaluated, without doubles."""
        identities = [*(each.id for each in self._reviewers), *(each.id for each in self._generating), *(each.id for each in self._deleting)]
        return tuple(dict.fromkeys(identities))

    @property
    def problems(self) -> tuple[PolicyProblem, ...]:
        """What in the policies cannot work, or cannot be evaluated here."""
        return tuple(self._problems)

    def review(self, request: Request) -> tuple[Result, ...]:
        """What every policy that is about a request says of it, in the order of the policies."""
        evaluation = self._evaluation(request)
        found: list[Result] = []
        for policy in self._candidates_for(evaluation.resource):
            if not policy.id.namespace or policy.id.namespace == request.object_namespace:
                found += policy.review(evaluation)
        return tuple(found)

    def review_json(self, payload: Any) -> tuple[Result, ...]:
        """What the policies of evaluation mode JSON say of any JSON document."""
        evaluation = Evaluation(Request(mapping(payload)), Resource("", "", "", ""), self.resources, self._sources)
        policies = [policy for policy in self._reviewers if isinstance(policy, ValidatingPolicy) and policy.json_mode and policy.enabled]
        return tuple(policy.review_payload(evaluation, payload) for policy in policies)

    def generate(self, request: Request) -> tuple[Generated, ...]:
        """What the GeneratingPolicies that are about a request make of it."""
        evaluation = self._evaluation(request)
        found = (policy.generate(evaluation) for policy in self._generating if policy.id.namespace in ("", request.object_namespace))
        return tuple(each for each in found if each is not None)

    def deletions(self, request: Request) -> tuple[Deletion, ...]:
        """What the DeletingPolicies that are about an object would do with it."""
        evaluation = self._evaluation(request)
        found = (policy.decide(evaluation) for policy in self._deleting if policy.id.namespace in ("", request.object_namespace))
        return tuple(each for each in found if each is not None)

    def images(self, request: Request) -> tuple[ImageCheck | Result, ...]:
        """The images that ImageValidatingPolicies cover; a Result where that cannot be told."""
        evaluation = self._evaluation(request)
        found: list[ImageCheck | Result] = []
        for policy in self._candidates_for(evaluation.resource):
            if isinstance(policy, ImageValidatingPolicy) and policy.id.namespace in ("", request.object_namespace):
                checked = policy.images(evaluation)
                if isinstance(checked, EvalError):
                    found.append(policy.error(checked))
                elif checked is not None:
                    found.append(checked)
        return tuple(found)

    def _evaluation(self, request: Request) -> Evaluation:
        resource = request.resource or self.resources.of_object(request.subject)
        if resource.namespaced and not request.object_namespace:
            request = replace(request, object=_in_default(request.object), old_object=_in_default(request.old_object), namespace_name="default")
        if request.namespace is None and request.object_namespace in self._namespaces:
            request = replace(request, namespace=self._namespaces[request.object_namespace])
        return Evaluation(request, resource, self.resources, self._sources, whole_request=self._whole_request, as_served=self._as_served)

    def _candidates_for(self, resource: Resource) -> tuple[Reviewer, ...]:
        """The policies that may be about a resource, found once for each."""
        found = self._candidates.get(resource)
        if found is None:
            served = [resource, *(other for other, _ in self.resources.equivalents(resource))]
            found = self._candidates[resource] = tuple(policy for policy in self._reviewers if _may_match(policy, served))
        return found


def _may_match(policy: Reviewer, served: list[Resource]) -> bool:
    if isinstance(policy, LegacyRule):
        return any(wildcard(kind).fullmatch(served[0].kind.lower()) for kind in policy.kinds())
    constraints: Constraints = policy.constraints  # type: ignore[attr-defined]
    covered = constraints.resources()
    return any((group, plural) in covered for each in served for group in (each.group, "*") for plural in (each.plural, "*"))


def _identity(body: Json) -> PolicyId:
    kind, (namespace, name) = text(body.get("kind")), name_of(body)
    # The kinds without the prefix are cluster-scoped, whatever their metadata says.
    return PolicyId(kind, namespace if kind.startswith("Namespaced") else "", name)


def _in_default(body: Json | None) -> Json | None:
    """A namespaced object that names no namespace is created in ``default``."""
    return body and {**body, "metadata": {**mapping(body.get("metadata")), "namespace": "default"}}
