"""Rules about admission policies themselves (POL1xx)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from harness.engines.policy import PolicyId
from harness.engines.policy.resources import guess_plural
from harness.flux.world import CRD
from harness.model import Location, Severity
from harness.model.shapes import items, mapping, text
from harness.rules.base import Files, Objects, Registry, Violation, WholeRepository
from harness.rules.pol_cases import POLICIES, VALIDATING, Bench
from harness.rules.pol_world import BINDING, POLICY_KINDS, reviewed
from harness.source.policycases import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Object, Pointer
    from harness.rules.context import Context
    from harness.source.yaml import Document

Json = dict[str, Any]

POL: Final = Registry()

_NOTES: Final = "policies.kyverno.io/"
#: The key that names the controls a policy serves.
CONTROLS: Final = "plimsoll.io/controls"
_NAME: Final = re.compile(r"^(?:disallow|generate|mutate|protect|require|restrict|verify)(?:-[a-z0-9]+)+$")
_CONTROL: Final = re.compile(r"^(?:CIS-\d+(?:\.\d+)+|NIST-[A-Z]{2}-\d+|SLSA-[A-Z]+)$")
_SEVERITIES: Final = frozenset({"info", "low", "medium", "high", "critical"})
_VALIDATING_KINDS: Final = tuple(kind for kind in POLICY_KINDS if kind.partition(".")[0] in VALIDATING)


@POL.rule(
    "POL101",
    title="every expression of a policy compiles, and its constraints are ones the API server takes",
    why="a policy that does not compile is refused, or stays without effect while it is listed; with failurePolicy Fail it may refuse everything it is about",
    fix="correct the expression; python -m harness policy eval --policies FILE --manifests FILE tries it",
    scope=Objects(POLICY_KINDS),
    controls=("NIST-CM-6", "NIST-SI-2"),
)
def expressions_compile(policy: Object, world: World) -> Iterator[Violation]:
    found = world.derive(reviewed)
    for problem in (*found.policies.problems, *found.mutations.problems):
        if not problem.unsupported and problem.policy == PolicyId(policy.kind, policy.namespace, policy.name):
            yield Violation(problem.message, "an expression that compiles", policy.locate(*problem.pointer))


@POL.rule(
    "POL102",
    title="a policy says what it is: a name of verb, object and qualifier, title, category, severity, description and controls",
    why="who is refused reads the policy's name and title first, and an auditor looks for the control: what is missing there is nowhere",
    fix="complete metadata.annotations; policies/README.md lists the keys",
    scope=Files(where=lambda path: path.startswith(f"{POLICIES}/")),
    own_only=True,
    controls=("NIST-CM-8", "NIST-PL-2"),
)
def metadata_is_complete(path: str, context: Context) -> Iterator[Violation]:
    category = path.split("/")[1].replace("-", " ")
    for document, body in _policies(path, context):
        metadata = mapping(body.get("metadata"))
        name, notes = text(metadata.get("name")), mapping(metadata.get("annotations"))
        if not _NAME.match(name):
            yield Violation(f"policy {name}", "verb-object-qualifier, like disallow-host-ports", document.locate(("metadata", "name")))
        where = document.locate(("metadata", "annotations"))
        for key in ("title", "category", "severity", "description"):
            if not text(notes.get(_NOTES + key)).strip():
                yield Violation(f"no annotation {_NOTES}{key}", f"{_NOTES}{key}", where)
        said = text(notes.get(_NOTES + "category"))
        if said and said.lower().replace("-", " ") != category:
            yield Violation(f"category {said} in {path.split('/')[1]}", category, document.locate(("metadata", "annotations", _NOTES + "category")))
        severity = text(notes.get(_NOTES + "severity"))
        if severity and severity not in _SEVERITIES:
            yield Violation(f"severity {severity}", ", ".join(sorted(_SEVERITIES)), document.locate(("metadata", "annotations", _NOTES + "severity")))
        wrong = [each for each in text(notes.get(CONTROLS)).split(",") if not _CONTROL.match(each.strip())]
        if wrong:
            found = f"controls {', '.join(wrong)}" if notes.get(CONTROLS) else f"no annotation {CONTROLS}"
            yield Violation(found, "ids like CIS-5.2.2,NIST-AC-6", document.locate(("metadata", "annotations", CONTROLS)) if notes.get(CONTROLS) else where)


@POL.rule(
    "POL103",
    title="policies only audit in the base, and every switch they have is written down",
    why="a policy that denies in the base denies in every cluster on the day it is merged; a switch that is left out has the default of the version that runs",
    fix="write validationActions: [Audit], failurePolicy, evaluation and webhookConfiguration.timeoutSeconds; promote in clusters/<cluster>/patches",
    scope=Files(where=lambda path: path.startswith(f"{POLICIES}/")),
    own_only=True,
    controls=("NIST-CM-3", "NIST-CM-6"),
)
def base_audits(path: str, context: Context) -> Iterator[Violation]:
    for document, body in _policies(path, context, bindings=True):
        kind, spec = text(body.get("kind")), mapping(body.get("spec"))
        validating = kind.endswith(("ValidatingPolicy", "PolicyBinding"))
        if validating and spec.get("validationActions") != ["Audit"]:
            yield Violation(f"validationActions {spec.get('validationActions')} in the base", "[Audit]", document.locate(("spec", "validationActions")))
        if kind.endswith("PolicyBinding"):
            continue
        wanted: list[tuple[str, ...]] = [("failurePolicy",)] if kind.endswith(("ValidatingPolicy", "ValidatingAdmissionPolicy", "MutatingPolicy")) else []
        if kind.endswith("ValidatingPolicy"):
            wanted += [("evaluation", "admission", "enabled"), ("evaluation", "background", "enabled"), ("webhookConfiguration", "timeoutSeconds")]
        for pointer in wanted:
            value: Any = spec
            for part in pointer:
                value = mapping(value).get(part)
            if value is None:
                yield Violation(f"spec.{'.'.join(pointer)} is left to its default", "the value, written down", document.locate(("spec",)))


_LISTS: Final = ("initContainers", "ephemeralContainers")
_CONTAINERS: Final = re.compile(r"(?<![A-Za-z])containers\b")
#: What an ephemeral container cannot have (``EphemeralContainerCommon``).
_NOT_EPHEMERAL: Final = re.compile(r"\b(?:resources|ports|lifecycle|startupProbe|livenessProbe|readinessProbe)\b")


@POL.rule(
    "POL104",
    title="a policy about containers looks at init containers and ephemeral containers too",
    why="what is forbidden to a container only is done by an init container, which has the same volumes and runs first, or by kubectl debug",
    fix="object.spec.containers + object.spec.?initContainers.orValue([]) + object.spec.?ephemeralContainers.orValue([])",
    scope=Objects(_VALIDATING_KINDS),
    severity=Severity.WARNING,
    controls=("CIS-5.2.1", "NIST-AC-6"),
)
def all_containers_are_covered(policy: Object, world: World) -> Iterator[Violation]:
    spec = policy.spec
    resources = {
        text(resource) for rule in map(mapping, items(mapping(spec.get("matchConstraints")).get("resourceRules"))) for resource in items(rule.get("resources"))
    }
    if not resources & {"pods", "pods/*", "*", "*/*"}:
        return
    written: list[tuple[Pointer, str]] = [
        (("spec", key, index, "expression"), text(mapping(entry).get("expression")))
        for key in ("variables", "validations")
        for index, entry in enumerate(items(spec.get(key)))
    ]
    whole = " ".join(expression for _, expression in written)
    first = next((pointer for pointer, expression in written if _CONTAINERS.search(expression)), None)
    if first is None or "allContainers" in whole or "images." in whole:
        return
    missing = [name for name in _LISTS if name not in whole]
    if _NOT_EPHEMERAL.search(whole):
        missing = [name for name in missing if name != "ephemeralContainers"]
    if missing:
        yield Violation(f"{' and '.join(missing)} are not looked at", "every list of containers", policy.locate(*first))
    elif "pods" in resources and "ephemeralContainers" in whole and not resources & {"pods/ephemeralcontainers", "pods/*", "*/*"}:
        yield Violation(
            "ephemeral containers are added through pods/ephemeralcontainers, which is not matched",
            "resources: pods/ephemeralcontainers",
            policy.locate("spec", "matchConstraints", "resourceRules"),
        )


@POL.rule(
    "POL105",
    title="every validation says what is wrong and what to change",
    why="who is refused sees the message and nothing else: without one it is the expression, and with half of one a question to the platform team",
    fix="write message: what is not allowed, and what to set instead",
    scope=Objects(_VALIDATING_KINDS),
    severity=Severity.WARNING,
    controls=("NIST-SI-11",),
)
def messages_help(policy: Object, world: World) -> Iterator[Violation]:
    seen: dict[str, int] = {}
    for index, validation in enumerate(map(mapping, items(policy.spec.get("validations")))):
        message = text(validation.get("message")).strip()
        where = policy.locate("spec", "validations", index)
        if not message and not validation.get("messageExpression"):
            yield Violation(f"validation {index} has no message", "message or messageExpression", where)
        elif message and message in seen:
            yield Violation(f"validation {index} has the message of validation {seen[message]}", "a message of its own", where)
        seen.setdefault(message, index)


@POL.rule(
    "POL106",
    title="a policy that refuses on failure does not match everything",
    why="with failurePolicy Fail and every resource, an outage of the policy engine refuses every write in the cluster, its own repair included",
    fix="list groups and resources in spec.matchConstraints.resourceRules, or set failurePolicy: Ignore",
    scope=Objects(POLICY_KINDS),
    severity=Severity.WARNING,
    controls=("NIST-CP-10", "NIST-SC-5"),
)
def matches_are_narrow(policy: Object, world: World) -> Iterator[Violation]:
    if policy.spec.get("failurePolicy") == "Ignore" or policy.kind.endswith(("DeletingPolicy", "AdmissionPolicy")):
        return
    constraints = mapping(policy.spec.get("matchConstraints"))
    rules = items(constraints.get("resourceRules"))
    if not rules and isinstance(policy.spec.get("matchConstraints"), dict) and not constraints.get("objectSelector"):
        yield Violation("no resourceRules: it matches everything", "the resources it is about", policy.locate("spec", "matchConstraints"))
    for index, rule in enumerate(map(mapping, rules)):
        if "*" in items(rule.get("apiGroups")) and {"*", "*/*"} & set(map(str, items(rule.get("resources")))):
            where = policy.locate("spec", "matchConstraints", "resourceRules", index)
            yield Violation("every resource of every group", "the resources it is about", where)


@POL.rule(
    "POL107",
    title="a policy matches resources that exist",
    why="resources are written in the plural and in lower case; one that does not exist is matched by nothing, silently",
    fix="kubectl api-resources lists names and groups",
    scope=Objects(POLICY_KINDS),
    controls=("NIST-CM-6",),
)
def resources_exist(policy: Object, world: World) -> Iterator[Violation]:
    known = world.derive(_known_resources)
    for index, rule in enumerate(map(mapping, items(mapping(policy.spec.get("matchConstraints")).get("resourceRules")))):
        groups = [text(group) for group in items(rule.get("apiGroups"))]
        if "*" in groups or not all(group in known for group in groups):
            continue
        plurals = frozenset[str]().union(*(known[group] for group in groups))
        for position, resource in enumerate(map(text, items(rule.get("resources")))):
            plural = resource.partition("/")[0]
            if plural not in plurals and plural != "*":
                where = policy.locate("spec", "matchConstraints", "resourceRules", index, "resources", position)
                yield Violation(f"no resource {plural} in {', '.join(group or 'the core group' for group in groups)}", "a resource of the group", where)


def _known_resources(world: World) -> dict[str, frozenset[str]]:
    """The plurals of each group that the cluster's schemas know. Groups that come from elsewhere are not judged."""
    found: dict[str, set[str]] = {}
    for api_version, kind in world.schemas.kinds(every=True):
        group = api_version.rpartition("/")[0]
        found.setdefault(group, set()).add(guess_plural(kind))
    for crd in world.of(CRD):
        found.setdefault(text(crd.spec.get("group")), set()).add(text(mapping(crd.spec.get("names")).get("plural")))
    return {group: frozenset(plurals) for group, plurals in found.items()}


#: The selectors by which this project's policies may leave namespaces out: the owner's label, nothing else.
_OWNER: Final = {"key": "toolkit.fluxcd.io/tenant", "operator": "NotIn", "values": ["platform"]}


@POL.rule(
    "POL108",
    title="policies leave no namespace out but those of the platform, by their owner",
    why="a list of excluded namespaces grows by one a year; whoever may write into one of them is past the policy, and no exception with an end says so",
    fix="select by toolkit.fluxcd.io/tenant, or write a PolicyException in policies/exceptions",
    scope=Objects(POLICY_KINDS),
    own_only=True,
    controls=("NIST-AC-3", "NIST-CM-6"),
)
def exclusions_are_minimal(policy: Object, world: World) -> Iterator[Violation]:
    constraints = mapping(policy.spec.get("matchConstraints"))
    selector = mapping(constraints.get("namespaceSelector"))
    where = policy.locate("spec", "matchConstraints", "namespaceSelector")
    for expression in items(selector.get("matchExpressions")):
        if expression != _OWNER:
            yield Violation(f"namespaces are left out by {mapping(expression).get('key')}", "toolkit.fluxcd.io/tenant NotIn [platform]", where)
    if selector.get("matchLabels"):
        yield Violation("only namespaces with some labels are selected", "toolkit.fluxcd.io/tenant NotIn [platform]", where)
    for key in ("excludeResourceRules", "objectSelector"):
        if constraints.get(key):
            yield Violation(f"{key} leaves objects out", "a PolicyException", policy.locate("spec", "matchConstraints", key))


@POL.rule(
    "POL109",
    title="every validation has cases that it lets through and refuses, and they hold",
    why="a policy that was never seen to refuse may refuse nothing, and one that was never seen to let through may refuse everything",
    fix="write tests/data/policies/<policy>/{allowed,denied}/<case>.yaml",
    scope=WholeRepository(own_only=True),
    own_only=True,
    controls=("NIST-CA-2", "NIST-SI-6"),
)
def policies_have_cases(context: Context) -> Iterator[Violation]:
    repository = context.repository
    bench = Bench.of_repository(repository)
    places = {path.rpartition("/")[2].removesuffix(".yaml"): path for path in repository.files(POLICIES) if path.endswith(".yaml")}
    for case in bench.cases:
        yield from (Violation(message, "a case that can be read", location) for location, message in case.faults)
        if not case.faults and case.policy not in bench.policies:
            yield Violation(f"there is no policy {case.policy}", "a folder with the name of a policy", Location(case.path))
    for name in sorted(bench.policies):
        if any(body.get("kind") == "PolicyException" for body in bench.policies[name]):
            continue
        own = [case for case in bench.cases if case.policy == name and not case.faults]
        if not any(case.outcome == "allowed" and case.result == "pass" for case in own):
            yield Violation(f"{name} has no case that passes", f"{FOLDER}/{name}/allowed/<case>.yaml", Location(places[name]))
        refused = {bench.proves(case) for case in own if case.outcome == "denied"}
        document = next((found for found in repository.documents(places[name]) if mapping(found.body).get("kind") in VALIDATING), None)
        for index in range(len(bench.validations(name))):
            if index not in refused and document is not None:
                where = document.locate(("spec", "validations", index))
                yield Violation(f"validation {index} of {name} is refused by no case", f"{FOLDER}/{name}/denied/<case>.yaml with its message", where)


def _policies(path: str, context: Context, *, bindings: bool = False) -> Iterator[tuple[Document, Json]]:
    """The policies of a file, and their bindings if asked."""
    for document in context.repository.documents(path):
        body = mapping(document.body)
        kind, group = text(body.get("kind")), text(body.get("apiVersion")).partition("/")[0]
        if f"{kind}.{group}" in POLICY_KINDS or (bindings and f"{kind}.{group}" == BINDING):
            yield document, body


RULES: Final = tuple(POL.rules)
