"""What the policies of a test say of each of its objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.engines.policy import PolicyId, Request, Resource, Result, Status
from harness.model import group_of
from harness.model.shapes import text
from harness.policytest.setting import key_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.engines.policy.mutate import Mutated
    from harness.policytest.setting import Json, Setting


@dataclass(frozen=True, slots=True)
class Observation:
    """What one policy (or one of its rules) says of one object. ``status`` is Kyverno's word, or ``not evaluated``."""

    policy: PolicyId
    rule: str
    status: str
    message: str
    patched: Json | None = None
    generated: tuple[Json, ...] | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """An object or a payload of a test, with all that was said of it. ``target``: an existing object that a policy mutates."""

    key: tuple[str, str, str, str]
    observations: tuple[Observation, ...]
    target: bool = False

    @property
    def name(self) -> str:
        return self.key[3]

    def __str__(self) -> str:
        return "/".join(part for part in self.key[1:] if part)


_WORDS = {Status.PASS: "pass", Status.FAIL: "fail", Status.SKIP: "skip", Status.ERROR: "error", Status.NOT_EVALUATED: "not evaluated"}


def judge(setting: Setting, operation: str = "") -> list[Subject]:
    """All objects and payloads with what the policies say of them, as if the objects were created (or ``operation``)."""
    subjects = [Subject(key_of(body), tuple(_admission(setting, body, operation or setting.operation, default=not operation))) for body in setting.resources]
    subjects += [Subject(("", "", "", name), tuple(_payload(setting, payload))) for name, payload in setting.payloads]
    if setting.targets:
        subjects += _targets(setting, operation or setting.operation)
    return subjects


def request_for(setting: Setting, body: Mapping[str, Any], operation: str) -> Request:
    """The request that does ``operation`` to an object, as the command line shapes it."""
    deleted = operation == "DELETE"
    plural, _, subresource = setting.subresources.get(text(body.get("kind")), "").partition("/")
    resource = None
    if subresource:
        api_version = text(body.get("apiVersion"))
        resource = Resource(group_of(api_version), api_version.rpartition("/")[2], plural, text(body.get("kind")), True)
    return Request(
        None if deleted else body,
        body if operation in ("UPDATE", "DELETE") else None,
        operation,
        user=setting.user,
        subresource=subresource,
        resource=resource,
    )


def _admission(setting: Setting, body: Json, operation: str, *, default: bool) -> Iterable[Observation]:
    request = request_for(setting, body, operation)
    mutated = setting.mutations.mutate(request)
    for step in mutated.steps:
        yield _mutation(step, mutated.object)
    changed = mutated.object if operation != "DELETE" else body
    request = request_for(setting, changed, operation)
    yield from _combined(setting.reviews.review(request))
    if default:
        # A policy of mode JSON also judges objects, as JSON.
        yield from (each for each in map(_review, setting.reviews.review_json(changed)) if each.status != "skip")
        for deletion in setting.reviews.deletions(request):
            word = {Status.SKIP: "fail"}.get(deletion.status, _WORDS[deletion.status])
            yield Observation(deletion.policy, "", word, deletion.reason)
    for generated in setting.reviews.generate(request):
        if generated.status is Status.SKIP and not generated.exceptions:
            continue
        objects = tuple(dict(item) for item in generated.objects)
        yield Observation(generated.policy, "", _WORDS[generated.status], generated.reason, generated=objects)


def _mutation(step: Mutated, final: Mapping[str, Any]) -> Observation:
    return Observation(step.policy, step.rule, _WORDS[step.status], step.reason, patched=dict(final))


def _payload(setting: Setting, payload: Any) -> Iterable[Observation]:
    return map(_review, setting.reviews.review_json(payload))


def _targets(setting: Setting, operation: str) -> list[Subject]:
    found: dict[tuple[str, str, str, str], list[Observation]] = {}
    for body in setting.resources:
        request = request_for(setting, body, operation)
        for target in setting.targets:
            for step in setting.mutations.existing(request, [target], conditions=False):
                made = dict(step.object) if step.object is not None else None
                found.setdefault(key_of(target), []).append(Observation(step.policy, step.rule, _WORDS[step.status], step.reason, patched=made))
    return [Subject(key, tuple(observations), target=True) for key, observations in found.items()]


def _review(result: Result) -> Observation:
    return Observation(result.policy, result.rule, _WORDS[result.status], result.message or result.reason)


_GRAVITY = {"not evaluated": 0, "fail": 1, "error": 2, "pass": 3, "skip": 4}


def _combined(results: Iterable[Result]) -> Iterable[Observation]:
    """One observation for all bindings of a ValidatingAdmissionPolicy, the others as they are."""
    bound: dict[PolicyId, list[Observation]] = {}
    for result in results:
        if result.policy.kind == "ValidatingAdmissionPolicy":
            bound.setdefault(result.policy, []).append(_review(result))
        else:
            yield _review(result)
    for observations in bound.values():
        yield min(observations, key=lambda each: _GRAVITY.get(each.status, 9))
