"""Runs the cases of policies (:mod:`harness.source.policycases`) through the policy engine.

A denied case proves one validation: that one must refuse, with its message, and every other must let the request through, so that nobody takes
the work of one for that of another. An allowed case proves all of them at once, and only when the policy was really evaluated.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from harness.engines.policy import PolicySet, Request, Resource, Resources, Sources, Status
from harness.engines.policy.lookup import Objects
from harness.engines.policy.mutate_set import Mutations
from harness.model.shapes import items, mapping, text
from harness.source.policycases import FOLDER, OUTCOMES, PolicyCase, read_cases, read_cluster

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.engines.policy import Result
    from harness.source.repository import Repository

Json = dict[str, Any]

#: Where this project's policies lie.
POLICIES: Final = "policies"
#: Kinds that say yes or no, each with a list of validations.
VALIDATING: Final = frozenset({"ValidatingPolicy", "NamespacedValidatingPolicy", "ValidatingAdmissionPolicy"})
_GENERATING: Final = frozenset({"GeneratingPolicy", "NamespacedGeneratingPolicy"})
_MUTATING: Final = frozenset({"MutatingPolicy", "NamespacedMutatingPolicy", "MutatingAdmissionPolicy"})
_IMAGES: Final = frozenset({"ImageValidatingPolicy", "NamespacedImageValidatingPolicy"})


class Bench:
    """The policies of a repository, by name, with their cases. Policies are compiled once, however many cases there are."""

    def __init__(self, policies: Mapping[str, Sequence[Json]], cases: Sequence[PolicyCase], cluster: Sequence[Json] = ()) -> None:
        self.policies = policies
        self.cases = tuple(cases)
        self.cluster = tuple(cluster)
        self._resources = Resources()
        self._sets: dict[tuple[str, int | None], PolicySet] = {}
        self._lookup = _Lookup()
        self._namespaces: dict[str, Json] = {}

    @classmethod
    def of_repository(cls, repository: Repository) -> Bench:
        """The policies below ``policies/`` and the cases below ``tests/data/policies``."""
        return cls(cls._policies(repository), read_cases(repository), read_cluster(repository))

    @classmethod
    def of_policies(cls, repository: Repository) -> Bench:
        """The policies alone."""
        return cls(cls._policies(repository), (), ())

    @staticmethod
    def _policies(repository: Repository) -> dict[str, list[Json]]:
        policies: dict[str, list[Json]] = {}
        for path in repository.files(POLICIES):
            name = path.rpartition("/")[2].removesuffix(".yaml")
            if path.endswith(".yaml") and name != "kustomization":
                policies[name] = [document.body for document in repository.documents(path)]
        return policies

    def compile(self, policy: str) -> None:
        """Compile a policy, so that its programs are there when somebody asks."""
        self._set(policy)

    def complaint(self, case: PolicyCase) -> str:
        """Why a case does not hold, in one line; nothing when it does."""
        if case.faults:
            return "; ".join(f"{where}: {what}" for where, what in case.faults)
        if case.policy not in self.policies:
            return f"there is no policy {case.policy}"
        self._stage(case)
        kinds = {text(body.get("kind")) for body in self.policies[case.policy]}
        if kinds & _GENERATING:
            return self._generates(case)
        if kinds & _MUTATING:
            return self._mutates(case)
        results = self._set(case.policy).review(_request(case, self._namespaces))
        if kinds & _IMAGES and case.words("images"):
            return self._covers(case) or _unlike(case, results)
        return _unlike(case, results) or (self._others(case, results) if case.result == "fail" else "")

    def verdict(self, case: PolicyCase) -> Result | None:
        """What the policy of a case says of it: what did not pass, if anything. None when the policy is not about the request, or says neither yes nor no."""
        self._stage(case)
        results = self._set(case.policy).review(_request(case, self._namespaces))
        return next((result for result in results if result.status is not Status.PASS), results[0] if results else None)

    def proves(self, case: PolicyCase) -> int | None:
        """The validation that a denied case is about: the one whose message contains the case's. None when none or several do."""
        found = [index for index, validation in enumerate(self.validations(case.policy)) if case.message and case.message in text(validation.get("message"))]
        return found[0] if len(found) == 1 else None

    def validations(self, policy: str) -> list[Json]:
        """The validations of a policy that says yes or no."""
        for body in self.policies.get(policy, ()):
            if body.get("kind") in VALIDATING:
                return [mapping(entry) for entry in items(mapping(body.get("spec")).get("validations"))]
        return []

    def _stage(self, case: PolicyCase) -> None:
        """Set up the cluster of a case."""
        existing = (*self.cluster, *case.existing)
        self._lookup.objects = Objects(existing, self._resources)
        self._namespaces.clear()
        self._namespaces.update({text(mapping(body.get("metadata")).get("name")): body for body in existing if body.get("kind") == "Namespace"})

    def _set(self, policy: str, without: int | None = None) -> PolicySet:
        """A policy, compiled; without one of its validations if asked."""
        key = (policy, without)
        if key not in self._sets:
            bodies = list(self.policies[policy])
            if without is not None:
                bodies = [_without(body, without) if body.get("kind") in VALIDATING else body for body in bodies]
            self._sets[key] = PolicySet(bodies, resources=self._resources, namespaces=self._namespaces, sources=Sources(self._lookup), as_served=True)
        return self._sets[key]

    def _others(self, case: PolicyCase, results: Sequence[Result]) -> str:
        """Whether any validation but the one that refused refuses too, or the case means another one."""
        meant, refused = self.proves(case), results[0].index
        if meant is None:
            return f"the message {case.message!r} is not that of one validation"
        if meant != refused:
            return f"validation {refused} refused, the message is that of {meant}"
        if len(self.validations(case.policy)) < 2:
            return ""
        rest = self._set(case.policy, without=refused).review(_request(case, self._namespaces))
        wrong = [result for result in rest if result.status is not Status.PASS]
        return f"another validation refuses too: {wrong[0].message or wrong[0].reason}" if wrong or not rest else ""

    def _generates(self, case: PolicyCase) -> str:
        generated = self._set(case.policy).generate(_request(case, self._namespaces))
        status = generated[0].status if generated else Status.SKIP
        if status != case.result:
            return f"{status}, expected {case.result}" + (f": {generated[0].reason}" if generated and generated[0].reason else "")
        made = [dict(body) for each in generated for body in each.objects]
        if case.expected is not None and made != list(case.expected):
            return f"generated {made}, expected {list(case.expected)}"
        return "" if case.expected is not None or case.result == "skip" else "no section expected: it holds what is generated"

    def _mutates(self, case: PolicyCase) -> str:
        mutations = Mutations(self.policies[case.policy], resources=self._resources, namespaces=self._namespaces, sources=Sources(self._lookup), bind_all=True)
        outcome = mutations.mutate(_request(case, self._namespaces))
        said = [step for step in outcome.steps if step.status is not Status.SKIP]
        status = said[-1].status if said else Status.SKIP
        if status != case.result:
            return f"{status}, expected {case.result}" + (f": {said[-1].reason}" if said and said[-1].reason else "")
        if case.expected is not None and [dict(outcome.object)] != list(case.expected):
            return f"mutated to {outcome.object}, expected {list(case.expected)}"
        return "" if case.expected is not None or case.result == "skip" else "no section expected: it holds what the object becomes"

    def _covers(self, case: PolicyCase) -> str:
        found = self._set(case.policy).images(_request(case, self._namespaces))
        images = sorted(image for check in found for _, names in getattr(check, "images", ()) for image in names)
        return "" if images == sorted(case.words("images")) else f"it covers the images {', '.join(images) or 'none'}"


class _Lookup:
    """The objects of the case at hand."""

    objects: Objects

    def get(self, api_version: str, resource: str, namespace: str, name: str) -> Any:
        return self.objects.get(api_version, resource, namespace, name)

    def list(self, api_version: str, resource: str, namespace: str) -> Any:
        return self.objects.list(api_version, resource, namespace)


def _without(body: Json, index: int) -> Json:
    spec = mapping(body.get("spec"))
    validations = items(spec.get("validations"))
    return {**body, "spec": {**spec, "validations": [*validations[:index], *validations[index + 1 :]]}}


def _request(case: PolicyCase, namespaces: Mapping[str, Json]) -> Request:
    resource, target = case.resource, case.target
    namespace = target[0] if target is not None else text(mapping(mapping(case.object or case.old_object).get("metadata")).get("namespace"))
    return Request(
        object=case.object,
        old_object=case.old_object,
        operation=case.operation,
        namespace=namespaces.get(namespace),
        user=case.user,
        subresource=case.headers.get("subresource", ""),
        resource=Resource(resource[0], resource[1], resource[2], "", True) if resource is not None else None,
        name=target[1] if target is not None else None,
        namespace_name=target[0] if target is not None else None,
    )


def _unlike(case: PolicyCase, results: Sequence[Result]) -> str:
    """How what the policy said differs from what the case expects."""
    said = [result for result in results if result.status is not Status.PASS] or list(results)
    status = said[0].status if said else Status.SKIP
    if status != case.result:
        detail = next((part for part in (said[0].message, said[0].reason) if part), "") if said else "the policy is not about the request"
        return f"{status}, expected {case.result}" + (f": {detail}" if detail else "")
    if case.result == "fail" and case.message not in said[0].message:
        return f"refused with {said[0].message!r}, expected {case.message!r}"
    return ""


def by_policy(cases: Sequence[PolicyCase]) -> dict[str, list[PolicyCase]]:
    """The cases of each policy."""
    found: dict[str, list[PolicyCase]] = defaultdict(list)
    for case in cases:
        found[case.policy].append(case)
    return dict(found)


__all__ = ["FOLDER", "OUTCOMES", "POLICIES", "VALIDATING", "Bench", "by_policy"]
