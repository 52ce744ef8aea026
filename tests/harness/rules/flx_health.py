"""Rules about health checks and readiness expressions (FLX107, FLX115, FLX131 to FLX133)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from harness.engines.cel import CompileError, Program, compile  # noqa: A004 - the engine's name
from harness.flux.kinds import HELM_RELEASE, KUSTOMIZATION, RESOURCE_SET
from harness.model import GroupKind, Severity, group_of
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.flx_common import KUSTOMIZATIONS, PROVIDER, RECEIVER, blind, entries, link, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Object, Pointer

FLX: Final = Registry()

_DOCS: Final = "fluxcd/kustomize-controller docs/spec/v1/kustomizations.md"
_STRING: Final = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_LITERAL: Final = re.compile(r"^[\s()!]*(?:true|false)[\s()]*$")
_REFLEXIVE: Final = re.compile(r"^\s*([\w.'\"\[\]]+)\s*==\s*\1\s*$")
_ALWAYS: Final = re.compile(r"\|\|\s*\(?\s*true\b|\btrue\b\s*\)?\s*\|\|")
_EXISTS: Final = re.compile(r"\bexists(?:_one)?\s*\(")
_SIZE: Final = re.compile(r"\bsize\([^)]*\)\s*(?:>\s*\d|>=\s*[1-9]|==\s*[1-9]|!=\s*0)")


#: What an object looks like before its operator has said anything about it, as health checks and readyExpr see it.
_NEW: Final[dict[str, Any]] = {"apiVersion": "example.com/v1", "kind": "Example", "metadata": {"name": "x", "generation": 2}, "spec": {}, "data": {}}
_PROBES: Final[tuple[tuple[dict[str, Any], str], ...]] = (
    ({}, "it is true before there is a status"),
    ({"conditions": []}, "it is true for an empty list of conditions, that is before the operator has written them"),
)
_TOP: Final = (*_NEW, "status")


def weakness(expression: str) -> str:
    """Why a readiness expression says ready too early, or nothing.

    It is evaluated on objects that no operator has looked at yet. What cannot be evaluated here is judged by its text.
    """
    bare = _STRING.sub("''", expression)
    if _LITERAL.match(bare) or _ALWAYS.search(bare):
        return "it is constant"
    if _REFLEXIVE.match(expression):
        return "it compares a value with itself"
    if "observedGeneration" in bare and "generation" in bare.replace("observedGeneration", ""):
        return ""
    early = _early(expression)
    return _by_text(bare) if early is None else early


def _early(expression: str) -> str | None:
    """On which new object an expression is true; nothing when on none, None when that cannot be said."""
    health, ready = compile(expression, _TOP), compile(expression, ("dep", "self"))
    if isinstance(health, CompileError) and isinstance(ready, CompileError):
        return None
    for status, why in _PROBES:
        item = {**_NEW, "status": status}
        if isinstance(health, Program) and health.eval(item) is True:
            return why
        if isinstance(ready, Program) and ready.eval({"dep": item, "self": item}) is True:
            return why
    return ""


def _by_text(bare: str) -> str:
    if _EXISTS.search(bare) or _SIZE.search(bare):
        return ""
    if re.search(r"\.all\s*\(", bare):
        return "all() is true for an empty list, that is before the operator has written the condition"
    return ""


@FLX.rule(
    "FLX107",
    title="readiness expressions are true only when the object is really ready",
    why=(
        "the first true expression decides; conditions.filter(...).all(...) is true while the list is empty, so dependents start "
        "before the operator has looked at "
        f"the object ({_DOCS}, Health check expressions; RFC 0009)"
    ),
    fix="write status.conditions.exists(e, e.type == 'Ready' && e.status == 'True'), or compare observedGeneration with metadata.generation",
    scope=Objects((KUSTOMIZATION, HELM_RELEASE, RESOURCE_SET)),
    severity=Severity.WARNING,
    controls=("NIST-CM-2",),
    own_only=True,  # Flux's own documentation writes conditions.filter(...).all(...)
)
def readiness_expressions(item: Object, world: World) -> Iterator[Violation]:
    for index, entry in entries(item.spec.get("healthCheckExprs")):
        current = text(entry.get("current"))
        why = weakness(current) if current else "there is no expression current"
        if why:
            found = f"health expression of {entry.get('kind') or entry.get('apiVersion')}: {why}"
            yield violation(item, "spec", "healthCheckExprs", index, "current", found=found, expect="an expression that needs the condition to be there")
    for index, entry in entries(item.spec.get("dependsOn")):
        ready = text(entry.get("readyExpr"))
        why = weakness(ready) if ready else ""
        if why:
            found = f"readyExpr of {entry.get('name')}: {why}"
            yield violation(item, "spec", "dependsOn", index, "readyExpr", found=found, expect="an expression that needs the condition to be there")


def _expressions(item: Object) -> Iterator[tuple[Pointer, str, tuple[str, ...]]]:
    """The CEL expressions of a Flux object: place, text, and the variables it may use (none: the object's own fields, which only the cluster knows)."""
    for index, entry in entries(item.spec.get("healthCheckExprs")):
        for field in ("current", "failed", "inProgress"):
            yield ("spec", "healthCheckExprs", index, field), text(entry.get(field)), ()
    for index, entry in entries(item.spec.get("dependsOn")):
        # flux-operator evaluates the expression on the object that is waited for (ResourceSet v1, CEL readiness expressions).
        yield ("spec", "dependsOn", index, "readyExpr"), text(entry.get("readyExpr")), () if item.kind == "ResourceSet" else ("dep", "self")
    if item.kind == "Receiver":
        known = ("req", "res", *(("claims",) if item.spec.get("type") == "generic-oidc" else ()))
        yield ("spec", "resourceFilter"), text(item.spec.get("resourceFilter")), known
        for index, entry in entries(item.spec.get("resources")):
            yield ("spec", "resources", index, "filter"), text(entry.get("filter")), known
    yield ("spec", "commitStatusExpr"), text(item.spec.get("commitStatusExpr")), ("alert", "event", "provider")


#: What does not parse, macros with arguments that they cannot expand among it.
_SYNTAX: Final = re.compile(r"(?:[0-9]+:[0-9]+: )?(?P<message>Syntax error: .*)", re.DOTALL)
_UNDECLARED: Final = re.compile(r"undeclared reference to '(?P<name>[A-Za-z_]\w*)[.\w]*'")


def _fault(expression: str, variables: tuple[str, ...]) -> str:
    """What stops the controllers from reading an expression, or nothing. Functions that only they know are not counted."""
    result = compile(expression, variables or _TOP)
    if not isinstance(result, CompileError) or result.unsupported:
        return ""
    syntax = _SYNTAX.fullmatch(result.message)
    if syntax is not None:
        return syntax["message"].partition(" expecting ")[0].replace("mismatched input '<EOF>'", "the expression ends too early")
    match = _UNDECLARED.search(result.message)
    if match is None or not variables or re.search(rf"\b{match['name']}\s*\(", expression):
        return ""
    return f"there is no variable {match['name']}: only {', '.join(variables)}"


@FLX.rule(
    "FLX115",
    title="the CEL expressions of Flux objects can be read",
    why="an expression that does not parse, or names a variable that is not there, is a terminal error: the object stalls until somebody edits it",
    fix="correct the expression; it sees the object's own fields in health checks, dep and self in readyExpr, res and req in a Receiver",
    scope=Objects((KUSTOMIZATION, HELM_RELEASE, RESOURCE_SET, RECEIVER, PROVIDER)),
    controls=("NIST-CM-2",),
)
def expressions_can_be_read(item: Object, world: World) -> Iterator[Violation]:
    for pointer, expression, variables in _expressions(item):
        fault = _fault(expression, variables) if expression.strip() else ""
        if fault:
            yield violation(item, *pointer, found=f"{pointer[-1]} cannot be read: {fault}", expect="a CEL expression")


def _referred(check: dict[str, object]) -> tuple[str, str, str]:
    """A health check as kind, namespace and name. Without ``apiVersion`` the controller takes ``apps/v1`` (internal/inventory, ReferenceToObjMetadataSet)."""
    group = group_of(text(check.get("apiVersion")) or "apps/v1")
    return str(GroupKind(group, text(check.get("kind")))), text(check.get("namespace")), text(check.get("name"))


_APPS: Final = frozenset({"ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"})


@FLX.rule(
    "FLX131",
    title="a health check identifies its object: apiVersion, kind, name, and namespace of namespaced kinds",
    why=(
        "without apiVersion the controller looks in apps/v1, without namespace in none: the check waits for an object that cannot exist, "
        "until it times out (internal/inventory)"
    ),
    fix="complete the entry",
    scope=Objects(KUSTOMIZATIONS),
    controls=("NIST-CM-6",),
)
def health_check_is_complete(ks: Object, world: World) -> Iterator[Violation]:
    for index, check in entries(ks.spec.get("healthChecks")):
        kind = text(check.get("kind"))
        at = ("spec", "healthChecks", index)
        if not text(check.get("apiVersion")) and kind not in _APPS:
            yield violation(ks, *at, found=f"health check of {kind} without apiVersion, which means apps/v1", expect=f"the apiVersion of {kind}")
        elif not text(check.get("namespace")) and world.schemas.scope(text(check.get("apiVersion")) or "apps/v1", kind) == "Namespaced":
            yield violation(ks, *at, found=f"health check of {kind} {check.get('name')} without namespace", expect=f"the namespace of the {kind}")


@FLX.rule(
    "FLX132",
    title="a health check names an object that the cluster gets",
    why=f"the check of an object that is not there waits until timeout and fails the Kustomization, again and again ({_DOCS}, Health checks)",
    fix="correct kind, name and namespace, or delete the entry",
    scope=Objects(KUSTOMIZATIONS),
    controls=("NIST-CM-6",),
)
def health_check_finds_its_object(ks: Object, world: World) -> Iterator[Violation]:
    if ks.spec.get("wait") is True or ks.spec.get("kubeConfig"):
        return
    for index, check in entries(ks.spec.get("healthChecks")):
        kind, namespace, name = _referred(check)
        if world.find(kind, namespace, name) is not None or blind(world, namespace):
            continue
        if not namespace and world.schemas.scope(text(check.get("apiVersion")) or "apps/v1", text(check.get("kind"))) == "Namespaced":
            continue  # FLX131 says it
        where = "/".join(part for part in (text(check.get("kind")), namespace, name) if part)
        yield violation(
            ks,
            "spec",
            "healthChecks",
            index,
            found=f"health check of {where}, which the cluster does not get",
            expect="an object that some Kustomization or release applies",
        )


@FLX.rule(
    "FLX133",
    title="a health check names an object that the Kustomization applies or depends on",
    why="waiting for somebody else's object without depending on its applier holds the Kustomization until timeout when that one comes later or fails",
    fix="check what this Kustomization applies, and put the other applier into dependsOn",
    scope=Objects(KUSTOMIZATIONS),
    severity=Severity.WARNING,
)
def health_check_of_its_own(ks: Object, world: World) -> Iterator[Violation]:
    if ks.spec.get("wait") is True:
        return
    node = link(ks)
    for index, check in entries(ks.spec.get("healthChecks")):
        kind, namespace, name = _referred(check)
        found = world.find(kind, namespace, name)
        if found is None or found.applier is None or node in found.origin.chain or set(found.origin.chain) & world.order.waits_for(node):
            continue
        message = f"health check of {found.kind} {name}, which {found.applier} applies"
        yield violation(ks, "spec", "healthChecks", index, found=message, expect=f"an object of its own, or dependsOn {found.applier.name}")


RULES: Final = tuple(FLX.rules)
