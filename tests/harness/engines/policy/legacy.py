"""ClusterPolicy and Policy (``kyverno.io``): their CEL rules are evaluated, all others are *not evaluated* and say so.

Source: Kyverno 1.19, ``pkg/engine/handlers/validation/validate_cel.go``, ``pkg/engine/utils/match.go`` and ``pkg/autogen/v1``. A CEL rule runs
in the API server's own validator, with Kyverno's way of matching around it; an expression that fails to evaluate denies, unless failurePolicy
is Ignore. One rule gives one result: the first validation that does not hold.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.engines.policy.admission import AdmissionPolicy, Binding
from harness.engines.policy.api import PolicyId, PolicyProblem, Result, Status
from harness.engines.policy.context import name_of
from harness.engines.policy.legacy_matching import Matched, matched, rule_kinds, split_kind
from harness.engines.policy.programs import spec_of
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.engines.policy.api import Json
    from harness.engines.policy.context import Evaluation

_TYPES = ("mutate", "generate", "verifyImages")
_WAYS = ("cel", "pattern", "anyPattern", "deny", "foreach", "podSecurity", "manifests", "assert")
_CONTROLLERS = ("DaemonSet", "Deployment", "Job", "StatefulSet", "ReplicaSet", "ReplicationController")
_AUTOGEN = "pod-policies.kyverno.io/autogen-controllers"
_APPS = {"DaemonSet": "apps/v1", "Deployment": "apps/v1", "StatefulSet": "apps/v1", "ReplicaSet": "apps/v1", "Job": "batch/v1", "CronJob": "batch/v1"}


class LegacyRule:
    """One rule of a policy, or what autogen makes of it."""

    __slots__ = ("_actions", "_binding", "_evaluated", "_exceptions", "_kind", "_policy_namespace", "body", "id", "problems", "rule", "whole_request")

    def __init__(self, policy: PolicyId, spec: Json, rule: Json, exceptions: Iterable[LegacyException], pointer: tuple[str | int, ...]) -> None:
        self.id, self.body, self.rule, self.whole_request = policy, rule, text(rule.get("name")), False
        self._policy_namespace = policy.namespace
        self._exceptions = tuple(exceptions)
        validate = mapping(rule.get("validate"))
        action = text(validate.get("failureAction") or spec.get("validationFailureAction") or "Audit")
        self._actions = ("Deny",) if action.lower() == "enforce" else ("Audit",)
        cel = validate.get("cel")
        self._kind = rule_type(rule)
        self._evaluated: AdmissionPolicy | None = None
        self._binding = Binding({"kind": policy.kind, "spec": {"validationActions": list(self._actions), "paramRef": mapping(cel).get("paramRef")}})
        self.problems: tuple[PolicyProblem, ...] = ()
        if isinstance(cel, dict):
            body = self._as_admission_policy(spec, rule, cel, text(validate.get("message")))
            self._evaluated = AdmissionPolicy({"kind": policy.kind, "metadata": {"name": policy.name}, "spec": body}, ())
            self.problems = tuple(
                PolicyProblem(policy, (*pointer, *_place(problem.pointer)), problem.message, problem.expression, problem.unsupported)
                for problem in self._evaluated.problems
            )

    def _as_admission_policy(self, spec: Json, rule: Json, cel: Json, message: str) -> Json:
        validations = [{**mapping(entry), "message": text(mapping(entry).get("message")) or message} for entry in items(cel.get("expressions"))]
        return {
            "matchConditions": items(rule.get("celPreconditions")),
            "variables": items(cel.get("variables")),
            "validations": validations,
            "auditAnnotations": items(cel.get("auditAnnotations")),
            "paramKind": cel.get("paramKind"),
            "failurePolicy": spec.get("failurePolicy"),
        }

    def resources(self, evaluation: Evaluation) -> Matched:
        return matched(self.body, evaluation, self._policy_namespace)

    def kinds(self) -> tuple[str, ...]:
        """The kinds the rule may match, lower case; ``*`` for any."""
        return tuple(split_kind(kind)[2].lower() for kind in rule_kinds(self.body)) or ("*",)

    def review(self, evaluation: Evaluation) -> list[Result]:
        """What the rule says of a request; nothing when it is not about it."""
        found = matched(self.body, evaluation, self._policy_namespace)
        if found is Matched.NO:
            return []
        if found is Matched.UNKNOWN:
            return [self._result(Status.NOT_EVALUATED, reason="the roles of the user are not known")]
        if self._evaluated is None:
            return [self._result(Status.NOT_EVALUATED, reason=f"{self._kind} rules of {self.id.kind} are not evaluated")]
        names = [exception.name for exception in self._exceptions if exception.holds(self.id, self.rule, evaluation)]
        if names:
            message = f"rule is skipped due to policy exceptions{', '.join(names)}"
            return [self._result(Status.SKIP, message=message, reason=message, exceptions=tuple(names))]
        verdicts = self._evaluated.through(self._binding, evaluation)
        first = next((each for each in verdicts if each.status is not Status.NOT_EVALUATED), verdicts[0])
        if first.status is Status.PASS:
            return [self._result(Status.PASS, message=f"Validation rule '{self.rule}' passed.", annotations=first.annotations)]
        if first.status is Status.ERROR and not first.tolerated:
            # The validator makes no difference between an error that denies and a failure.
            return [self._result(Status.FAIL, index=first.index, message=first.message, reason=first.reason)]
        return [self._result(first.status, index=first.index, message=first.message, reason=first.reason, tolerated=first.tolerated)]

    def _result(self, status: Status, **fields: Any) -> Result:
        return Result(self.id, status, **{"rule": self.rule, "actions": self._actions, **fields})


def _place(pointer: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Where in a rule something is that stands elsewhere in the policy that it was made."""
    head, rest = pointer[1], pointer[2:]
    if head == "matchConditions":
        return ("celPreconditions", *rest)
    return ("validate", "cel", "expressions" if head == "validations" else head, *rest)


def rule_type(rule: Json) -> str:
    """What a rule does: ``mutate``, ``generate``, ``verifyImages``, or ``validate.<way>``."""
    for name in _TYPES:
        if rule.get(name):
            return name
    validate = mapping(rule.get("validate"))
    return next(
        (f"validate.{name}" for name in ("cel", "pattern", "anyPattern", "deny", "foreach", "podSecurity", "manifests", "assert") if name in validate),
        "unknown",
    )


class LegacyException:
    """``kyverno.io`` PolicyException. One with conditions holds as far as is known, since they are JMESPath: not at all."""

    __slots__ = ("_refers", "_rule", "id", "problems")

    def __init__(self, body: Json) -> None:
        spec = spec_of(body)
        self.id = PolicyId(text(body.get("kind")), *name_of(body))
        self._refers = [(text(mapping(entry).get("policyName")), items(mapping(entry).get("ruleNames"))) for entry in items(spec.get("exceptions"))]
        self._rule = {"match": spec.get("match")}
        unsupported = [name for name in ("conditions", "podSecurity") if spec.get(name)]
        self.problems = tuple(PolicyProblem(self.id, ("spec", name), f"{name} of an exception are not evaluated", unsupported=True) for name in unsupported)
        if unsupported:
            self._refers = []

    @property
    def name(self) -> str:
        return "/".join(part for part in (self.id.namespace, self.id.name) if part)

    def holds(self, policy: PolicyId, rule: str, evaluation: Evaluation) -> bool:
        """Whether the request is let off a rule. An exception for a rule holds for its autogen rules when it names them, or with a wildcard."""
        key = f"{policy.namespace}/{policy.name}" if policy.namespace else policy.name
        named = any(key == name and any(_matches_rule(each, rule) for each in rules) for name, rules in self._refers)
        return named and matched(self._rule, evaluation, "") is Matched.YES


def _matches_rule(pattern: Any, rule: str) -> bool:
    return isinstance(pattern, str) and (pattern == rule or (pattern.endswith("*") and rule.startswith(pattern[:-1])))


def legacy_rules(body: Json, exceptions: Iterable[LegacyException]) -> Iterator[LegacyRule]:
    """Every rule of a policy, with those that Kyverno derives for the controllers of pods."""
    identity = PolicyId(text(body.get("kind")), *name_of(body))
    spec = spec_of(body)
    given = tuple(exceptions)
    wanted = _controllers(body, spec)
    for index, entry in enumerate(items(spec.get("rules"))):
        rule = mapping(entry)
        pointer = ("spec", "rules", index)
        yield LegacyRule(identity, spec, rule, given, pointer)
        if not text(rule.get("name")).startswith("autogen-") and _about_pods(rule):
            for derived in _derived(rule, wanted):
                yield LegacyRule(identity, spec, derived, given, pointer)


def _controllers(body: Json, spec: Json) -> tuple[str, ...]:
    """``computeRules``: the controllers that rules are derived for."""
    rules = [mapping(rule) for rule in items(spec.get("rules"))]
    needed = False
    for rule in rules:
        if rule.get("generate") or mapping(rule.get("mutate")).get("patchesJson6902"):
            return ()
        for block in (mapping(rule.get("match")), mapping(rule.get("exclude"))):
            for each in (block, *items(block.get("any")), *items(block.get("all"))):
                described = mapping(mapping(each).get("resources"))
                kinds = [kind for kind in items(described.get("kinds")) if isinstance(kind, str)]
                pods = any(split_kind(kind)[2] == "Pod" for kind in kinds)
                if described.get("name") or described.get("names") or "selector" in described or "annotations" in described or (len(kinds) > 1 and pods):
                    return ()
                needed = needed or any(kind in ("Pod", "CronJob", *_CONTROLLERS) for kind in kinds)
    if not needed:
        return ()
    configured = mapping(mapping(body.get("metadata")).get("annotations")).get(_AUTOGEN)
    if not isinstance(configured, str) or configured == "all":
        return (*_CONTROLLERS, "CronJob")
    return tuple(name for name in configured.split(",") if name in (*_CONTROLLERS, "CronJob"))


def _about_pods(rule: Json) -> bool:
    kinds = rule_kinds(rule)
    excluded = rule_kinds({"match": rule.get("exclude")})
    return any(split_kind(kind)[2] == "Pod" for kind in kinds) and (not excluded or any(split_kind(kind)[2] == "Pod" for kind in excluded))


def _derived(rule: Json, wanted: tuple[str, ...]) -> Iterator[Json]:
    name = text(rule.get("name"))
    others = [kind for kind in _CONTROLLERS if kind in wanted]
    if others:
        yield _rewritten({**_of_kinds(rule, others), "name": f"autogen-{name}"[:63]}, "spec.template")
    if "CronJob" in wanted:
        yield _rewritten({**_of_kinds(rule, ["CronJob"]), "name": f"autogen-cronjob-{name}"[:63]}, "spec.jobTemplate.spec.template")


def _of_kinds(rule: Json, kinds: list[str]) -> dict[str, Any]:
    qualified = [f"{_APPS[kind]}/{kind}" if kind in _APPS else f"v1/{kind}" for kind in kinds]

    def described(block: Any) -> Any:
        body = mapping(block)
        for way in ("any", "all"):
            if body.get(way):
                return {**body, way: [renamed(each) for each in items(body[way])]}
        return renamed(body)

    def renamed(each: Any) -> Any:
        body = mapping(each)
        resources = mapping(body.get("resources"))
        named = any(split_kind(kind)[2] == "Pod" for kind in items(resources.get("kinds")) if isinstance(kind, str))
        return {**body, "resources": {**resources, "kinds": qualified}} if named else body

    return {**rule, "match": described(rule.get("match")), **({"exclude": described(rule["exclude"])} if "exclude" in rule else {})}


def _rewritten(rule: dict[str, Any], template: str) -> Json:
    source = json.dumps(rule)
    for place in ("spec", "metadata"):
        for root in ("object", "oldObject"):
            source = source.replace(f"{root}.{place}", f"{root}.{template}.{place}")
    return mapping(json.loads(source))
