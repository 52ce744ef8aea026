"""Rules about exceptions from policies (POL3xx)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from harness.model import Severity
from harness.model.shapes import items, mapping, text
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.pol_world import EXCEPTION, POLICY_KINDS, moment, reviewed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Object

POL: Final = Registry()

#: Who answers for an exception, and what it is for.
OWNER: Final = "plimsoll.io/owner"
REASON: Final = "plimsoll.io/reason"
#: How long an exception may last.
LONGEST: Final = timedelta(days=180)

_SCOPE: Final = Objects((EXCEPTION,))
_NAMES_OBJECTS: Final = re.compile(r"metadata\.\??(?:name|namespace|labels|annotations)|namespaceObject|request\.(?:name|namespace|userInfo)")
_CONSTANT: Final = re.compile(r"^[\s()]*true[\s()]*$|\|\|\s*\(?\s*true\b|\btrue\b\s*\)?\s*\|\|")


@POL.rule(
    "POL301",
    title="an exception says who answers for it, and why it is there",
    why="in half a year nobody remembers; without an owner nobody is asked, and without a reason nobody dares to delete it",
    fix=f"annotate the PolicyException {OWNER} and {REASON}",
    scope=_SCOPE,
    own_only=True,
    controls=("NIST-CM-3", "NIST-CA-5"),
)
def exceptions_have_owners(item: Object, world: World) -> Iterator[Violation]:
    for key in (OWNER, REASON):
        if not text(item.annotations.get(key)).strip():
            yield violation(item, "metadata", "annotations", found=f"no annotation {key}", expect=key)


@POL.rule(
    "POL302",
    title="an exception ends, within 180 days",
    why="an exception without an end is a hole in the policy for ever; one that has ended is not applied any more, and what it exempted is refused",
    fix="set spec.expiresAt to a time within 180 days (RFC 3339), and look again before it comes",
    scope=_SCOPE,
    severity=Severity.WARNING,
    controls=("NIST-CM-3", "NIST-CA-5"),
)
def exceptions_end(item: Object, world: World) -> Iterator[Violation]:
    given = item.spec.get("expiresAt")
    if given is None:
        yield violation(item, "spec", found="no spec.expiresAt", expect="an end within 180 days")
        return
    end = moment(given)
    if end is None:
        yield violation(item, "spec", "expiresAt", found=f"expiresAt {given!r} is no time", expect="like 2027-04-30T00:00:00Z")
    elif end.date() < world.today:
        yield violation(item, "spec", "expiresAt", found=f"it ended on {end.date()}", expect="an end in the future, or no exception")
    elif end.date() - world.today > LONGEST:
        yield violation(item, "spec", "expiresAt", found=f"it lasts until {end.date()}", expect=f"{world.today + LONGEST} at the latest")


@POL.rule(
    "POL303",
    title="an exception names the objects and the policies it is for",
    why="one without match conditions, or with a condition that is always true, switches the policy off for the whole cluster",
    fix="write spec.matchConditions that compare the object's kind, namespace and name or labels",
    scope=_SCOPE,
    severity=Severity.WARNING,
    controls=("NIST-AC-6", "NIST-CM-6"),
)
def exceptions_are_narrow(item: Object, world: World) -> Iterator[Violation]:
    conditions = items(item.spec.get("matchConditions"))
    if not conditions and not item.spec.get("images"):
        yield violation(item, "spec", found="no match conditions", expect="conditions that name the objects")
    expressions = [text(mapping(condition).get("expression")) for condition in conditions]
    for index, expression in enumerate(expressions):
        if _CONSTANT.search(expression):
            yield violation(item, "spec", "matchConditions", index, found="a condition that is always true", expect="a condition that names objects")
    if expressions and not any(_NAMES_OBJECTS.search(expression) for expression in expressions):
        yield violation(item, "spec", "matchConditions", found="no condition names an object", expect="namespace, name or labels of the objects")
    for index, reference in enumerate(map(mapping, items(item.spec.get("policyRefs")))):
        if "*" in text(reference.get("name")):
            yield violation(item, "spec", "policyRefs", index, found=f"policy {reference.get('name')}", expect="the name of one policy")


@POL.rule(
    "POL304",
    title="an exception is needed: its policies exist, and would refuse something it lets off",
    why="an exception that nothing needs waits for something that does, unseen",
    fix="delete the reference from spec.policyRefs, or the exception",
    scope=_SCOPE,
    severity=Severity.WARNING,
    controls=("NIST-CM-3", "NIST-AC-6"),
)
def exceptions_are_needed(item: Object, world: World) -> Iterator[Violation]:
    end = moment(item.spec.get("expiresAt"))
    if end is not None and end.date() < world.today:
        return  # POL302
    there = {(policy.kind, policy.name) for policy in world.of(*POLICY_KINDS)}
    found = world.derive(reviewed)
    undecided = {(said.result.policy.kind, said.result.policy.name) for said in found.unknown}
    name = "/".join(part for part in (item.namespace, item.name) if part)
    for index, reference in enumerate(map(mapping, items(item.spec.get("policyRefs")))):
        policy = (text(reference.get("kind")), text(reference.get("name")))
        where = item.locate("spec", "policyRefs", index)
        if policy not in there:
            yield Violation(f"there is no {policy[0]} {policy[1]}", "a policy of the cluster", where)
        elif (name, *policy) not in found.exempted and policy not in undecided and policy[0].endswith("ValidatingPolicy") and "Image" not in policy[0]:
            yield Violation(f"nothing needs the exception from {policy[1]}", "an object that the policy would refuse", where)


_FLAG: Final = re.compile(r"^--(?P<name>enablePolicyException|exceptionNamespace)=(?P<value>.*)$")


@POL.rule(
    "POL305",
    title="exceptions are where Kyverno reads them, and only there",
    why="an exception in another namespace is not applied; and where every namespace may hold one, whoever may write into any is past every policy",
    fix="move the exception to the namespace of features.policyExceptions, and let that be one that only the platform writes into",
    scope=_SCOPE,
    controls=("NIST-AC-3", "NIST-CM-5"),
)
def exceptions_are_read(item: Object, world: World) -> Iterator[Violation]:
    flags = world.derive(_flags)
    if flags is None:
        return
    enabled, namespace = flags.get("enablePolicyException", "false"), flags.get("exceptionNamespace", "")
    where = item.locate("metadata", "namespace")
    if enabled != "true":
        yield Violation("Kyverno does not read exceptions", "--enablePolicyException=true", where)
    elif namespace in ("", "*"):
        yield Violation("Kyverno reads exceptions of every namespace", "--exceptionNamespace with one namespace", where)
    elif namespace != item.namespace:
        yield Violation(f"an exception in {item.namespace}", f"in {namespace}, where Kyverno reads them", where)


def _flags(world: World) -> dict[str, str] | None:
    """The flags about exceptions of Kyverno's admission controller; None when it is not among the objects, or its arguments are not known."""
    for pod in world.pods:
        for container in pod.containers("containers"):
            found = {match["name"]: match["value"] for argument in items(container.body.get("args")) if (match := _FLAG.match(text(argument)))}
            if found:
                return found
    return None


RULES: Final = tuple(POL.rules)
