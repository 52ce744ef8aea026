"""ImageValidatingPolicy: which images a policy covers, and what of it can be said without a registry (``policies.kyverno.io``).

Source: Kyverno 1.19, ``pkg/cel/policies/ivpol`` and ``pkg/image/verification/evaluator``. Images are those of the pod's containers and those
that the policy's own extractors name; ``matchImageReferences`` says which of them the policy is about. That images carry a digest
(``verifyDigest``) is judged; validations that verify signatures or read attestations are *not evaluated*, the others are. A policy whose
validations all hold still demands a verified signature of each image (``required``), which only a cluster can tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.engines.cel import EvalError
from harness.engines.policy.api import ImageCheck, PolicyId, Result, Status
from harness.engines.policy.context import KYVERNO_NAMES
from harness.engines.policy.exceptions import granted
from harness.engines.policy.globs import glob
from harness.engines.policy.image_reference import parse_image
from harness.engines.policy.library import KYVERNO, evaluating, kyverno_extension
from harness.engines.policy.matching import Constraints
from harness.engines.policy.programs import Expression, Scope, all_true, conditions, evaluate, evaluate_bool
from harness.engines.policy.validating import actions_of
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    import re

    from harness.engines.cel import Values
    from harness.engines.policy.api import Json, PolicyProblem, Resource
    from harness.engines.policy.context import Evaluation
    from harness.engines.policy.exceptions import PolicyException
    from harness.model import Pointer

_PODS = {
    ("", "v1", "pods"): "spec",
    **{("apps", "v1", plural): "spec.template.spec" for plural in ("deployments", "statefulsets", "daemonsets", "replicasets")},
    ("batch", "v1", "jobs"): "spec.template.spec",
    ("batch", "v1", "cronjobs"): "spec.jobTemplate.spec.template.spec",
}
_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")


class ImageValidatingPolicy:
    """One policy, or what autogen makes of it, compiled."""

    __slots__ = (
        "_attestations",
        "_attestors",
        "_conditions",
        "_digest",
        "_exceptions",
        "_extractors",
        "_ignore",
        "_references",
        "_required",
        "_validations",
        "actions",
        "constraints",
        "id",
        "problems",
        "rule",
        "whole_request",
    )

    def __init__(self, policy: PolicyId, spec: Json, *, rule: str = "", exceptions: tuple[PolicyException, ...] = ()) -> None:
        self.id, self.rule, self._exceptions, self.whole_request = policy, rule, exceptions, False
        self.constraints = Constraints(spec.get("matchConstraints"), kyverno=True)
        self.actions = actions_of(spec)
        self._ignore = spec.get("failurePolicy") == "Ignore"
        configured = mapping(spec.get("validationConfigurations"))
        self._digest, self._required = configured.get("verifyDigest") is not False, configured.get("required") is not False
        self._attestors = tuple(text(mapping(entry).get("name")) for entry in items(spec.get("attestors")))
        names = [text(mapping(entry).get("name")) for entry in items(spec.get("attestations"))]
        self._attestations = {name: name for name in names}
        scope = Scope(policy, (*KYVERNO_NAMES, "attestors", "attestations"), (kyverno_extension(policy.namespace),))
        self._conditions = conditions(scope, spec.get("matchConditions"), ("spec", "matchConditions"))
        self._references = [_reference(policy, mapping(entry), index, scope) for index, entry in enumerate(items(spec.get("matchImageReferences")))]
        self._extractors = {
            text(mapping(entry).get("name")): scope.compile(text(mapping(entry).get("expression")), ("spec", "images", index, "expression"), ("LIST", "DYN"))
            for index, entry in enumerate(items(spec.get("images")))
        }
        scope.declare(spec.get("variables"), ("spec", "variables"))
        self._validations: list[tuple[Expression, str, Expression | None]] = []
        for index, entry in enumerate(items(spec.get("validations"))):
            at: Pointer = ("spec", "validations", index)
            dynamic = text(mapping(entry).get("messageExpression"))
            self._validations.append(
                (
                    scope.compile(text(mapping(entry).get("expression")), (*at, "expression"), ("BOOL",)),
                    text(mapping(entry).get("message")),
                    scope.compile(dynamic, (*at, "messageExpression"), ("STRING",)) if dynamic else None,
                )
            )
        for at, message in self.constraints.problems:
            scope.problem(("spec", "matchConstraints", *at), message)
        self.problems: tuple[PolicyProblem, ...] = tuple(scope.problems)

    def images(self, evaluation: Evaluation) -> ImageCheck | EvalError | None:
        """The images of a request that the policy is about; None when it is not about the request."""
        found = self.constraints.match(evaluation.request, evaluation.resource, evaluation.resources)
        if not found.matched:
            return EvalError(found.error or found.unknown, unsupported=bool(found.unknown)) if found.error or found.unknown else None
        with evaluating(evaluation, self.id):
            covered = self._covered(evaluation, evaluation.values(found.resource))
        return (
            covered
            if isinstance(covered, EvalError)
            else ImageCheck(self.id, tuple((name, tuple(images)) for name, images in covered.items()), self._attestors)
        )

    def review(self, evaluation: Evaluation) -> list[Result]:
        """What the policy says; nothing when it is not about the request, or its match conditions do not hold."""
        found = self.constraints.match(evaluation.request, evaluation.resource, evaluation.resources)
        if not found.matched:
            return [self.error(EvalError(found.error or found.unknown, unsupported=bool(found.unknown)))] if found.error or found.unknown else []
        with evaluating(evaluation, self.id):
            return self._review(evaluation, found.resource)

    def _review(self, evaluation: Evaluation, through: Resource | None) -> list[Result]:
        values = evaluation.values(through)
        applies = all_true(self._conditions, values)
        if isinstance(applies, list):
            return [] if self._ignore and not applies[0].unsupported else [self.error(applies[0])]
        if not applies:
            return []
        exempt = granted(self._exceptions, values, ignore_errors=self._ignore)
        if exempt.error is not None:
            return [self.error(exempt.error)]
        if exempt.names:
            return [self._result(Status.SKIP, rule="exception", message=exempt.message, exceptions=exempt.names)]
        covered = self._covered(evaluation, values)
        if isinstance(covered, EvalError):
            return [self.error(covered)]
        every = [image for images in covered.values() for image in images]
        if self._digest:
            for image in every:
                try:
                    if not parse_image(image).digest:
                        return [self._result(Status.FAIL, message=f"image {image} does not have a digest")]
                except ValueError as error:
                    return [self.error(EvalError(f"failed to parse image reference {image}: {error}"))]
        attestors = {name: name for name in self._attestors}
        with_images = evaluation.with_variables(through, images=covered, attestors=attestors, attestations=self._attestations)
        return [self._validate(with_images, every)]

    def _validate(self, values: Values, images: list[str]) -> Result:
        unknown: Result | None = None
        for index, (expression, message, dynamic) in enumerate(self._validations):
            value = evaluate_bool(expression, values)
            if isinstance(value, EvalError):
                if not value.unsupported:
                    return self.error(value, index)
                unknown = unknown or self.error(value, index)
            elif not value:
                given = evaluate(dynamic, values) if dynamic is not None else message
                spoken = given if isinstance(given, str) else message
                return self._result(Status.FAIL, index=index, message=spoken or f"CEL expression validation failed at index {index}")
        if unknown is not None:
            return unknown
        if self._required and images:
            return self._result(Status.NOT_EVALUATED, reason=f"that {images[0]} has a verified signature is not evaluated: it needs a registry")
        return self._result(Status.PASS, message="success")

    def _covered(self, evaluation: Evaluation, values: Values) -> dict[str, list[str]] | EvalError:
        resource = evaluation.resource
        path = _PODS.get((resource.group, resource.version, resource.plural))
        found: dict[str, list[Any]] = {}
        if path is not None:
            pod: Any = evaluation.request.subject
            for part in path.split("."):
                pod = mapping(mapping(pod).get(part))
            for name in _CONTAINERS:
                found[name] = [mapping(entry).get("image") for entry in items(pod.get(name))]
        for name, expression in self._extractors.items():
            value = evaluate(expression, values)
            if isinstance(value, EvalError):
                return value
            found[name] = value if isinstance(value, list) else [None]
        covered: dict[str, list[str]] = {}
        for name, images in found.items():
            covered[name] = []
            for image in images:
                if not isinstance(image, str):
                    return EvalError(f"the images of {name} are no list of strings")
                about = self._is_about(image)
                if isinstance(about, EvalError):
                    return about
                if about:
                    covered[name].append(image)
        return covered

    def _is_about(self, image: str) -> bool | EvalError:
        for reference in self._references:
            matched = evaluate_bool(reference, {"ref": image}) if isinstance(reference, Expression) else reference.fullmatch(image) is not None
            if matched:
                return matched
        return not self._references

    def error(self, error: EvalError, index: int | None = None) -> Result:
        """The result of an evaluation that gave none."""
        if error.unsupported:
            return self._result(Status.NOT_EVALUATED, index=index, reason=error.message)
        return self._result(Status.ERROR, index=index, message=error.message, reason=error.message)

    def _result(self, status: Status, **fields: Any) -> Result:
        return Result(self.id, status, **{"rule": self.rule, "actions": self.actions, **fields})


def _reference(policy: PolicyId, entry: Json, index: int, scope: Scope) -> Expression | re.Pattern[str]:
    """A ``matchImageReferences`` entry: a glob, or an expression over ``ref``."""
    at: Pointer = ("spec", "matchImageReferences", index)
    pattern = text(entry.get("glob"))
    if pattern:
        return glob(pattern)
    inner = Scope(policy, ("ref",), (KYVERNO,))
    found = inner.compile(text(entry.get("expression")), (*at, "expression"), ("BOOL",))
    for problem in inner.problems:
        scope.problem(problem.pointer, problem.message, problem.expression, unsupported=problem.unsupported)
    return found
