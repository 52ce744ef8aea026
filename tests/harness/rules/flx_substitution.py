"""Rules about variables: postBuild, the ConfigMaps and Secrets it reads, and what is left over (FLX108, FLX110, FLX401 to FLX404)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from harness.flux.kinds import HELM_RELEASE, KUSTOMIZATION
from harness.model import Severity
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.flx_common import KUSTOMIZATIONS, blind, controller_flags, entries, in_git, mapping, once, secret_is_made, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Location, Object, Pointer, Problem

FLX: Final = Registry()

_DOCS: Final = "fluxcd/kustomize-controller docs/spec/v1/kustomizations.md"
_WATCH: Final = "reconcile.fluxcd.io/watch"
_OPT_OUT: Final = "kustomize.toolkit.fluxcd.io/substitute"
_SOURCE_MISSING: Final = "substitute-source-missing"
#: The suffix that kustomize's generators add: ten characters of an alphabet without vowels and look-alikes (api/hasher).
_HASHED: Final = re.compile(r"-[bcdfghkmt2456789]{10}$")
_NAME: Final = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
#: A variable as Flux would replace it; ``$${`` is the escape and leaves ``${`` behind on purpose.
_VARIABLE: Final = re.compile(r"(?<!\$)\$\{([_a-zA-Z][_a-zA-Z0-9]*)[^}]*\}")


def _strings(value: Any, pointer: Pointer = ()) -> Iterator[tuple[Pointer, str]]:
    """Every string of a body with its place, keys included (at the place of their value)."""
    if isinstance(value, str):
        yield pointer, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(key, str) and "${" in key:
                yield (*pointer, key), key
            yield from _strings(inner, (*pointer, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _strings(inner, (*pointer, index))


@once
def _substituting(world: World) -> frozenset[tuple[str, str]]:
    """The Kustomizations that have variables to substitute, and so escape what they leave."""
    return frozenset(key for key, build in world.kustomizations.items() if build.variables or build.used or mapping(build.object.spec.get("postBuild")))


#: Fields that hold names, addresses and versions; scripts, dashboards and other opaque text may well keep a shell's ``${x}``.
_OPAQUE: Final = frozenset({"data", "stringData", "binaryData", "args", "command", "script", "values", "annotations", "patches", "expr", "expression"})


@once
def _provided(world: World) -> frozenset[str]:
    """The variables that some Kustomization of the cluster has."""
    return frozenset().union(*(build.variables for build in world.kustomizations.values()))


@FLX.rule(
    "FLX108",
    title="every ${VARIABLE} has a value in this cluster, and none is left over",
    why=(
        "since kustomize-controller 1.9 an undefined variable without default fails the Kustomization; before, it became an empty string "
        f"({_DOCS}, Post build variable substitution)"
    ),
    fix=(
        "add the variable to the cluster's ConfigMap, give it a default (${VAR:=x}), escape the text ($${VAR}), or opt out with "
        "kustomize.toolkit.fluxcd.io/substitute: disabled"
    ),
    scope=Objects(),
    controls=("NIST-CM-6",),
    claims=("substitute-missing", "substitute-name", "substitute-not-yaml", "substitute-syntax"),
)
def no_variable_left(item: Object, world: World) -> Iterator[Violation]:
    problems = [problem for problem in world.problems_of(item) if problem.code.startswith("substitute-") and problem.code != _SOURCE_MISSING]
    for problem in problems:
        yield Violation(found=problem.message, expect="a value, a default or an escape for every variable", location=_place(problem, item))
    if problems or not in_git(item) or _OPT_OUT in item.annotations or _OPT_OUT in item.labels:
        return
    applier = item.applier
    if applier is None or (applier.namespace, applier.name) in _substituting(world):
        return  # what a substituting Kustomization leaves as ${x} was written as $${x}
    provided = _provided(world)
    for pointer, value in _strings(item.body):
        # ${x} is also what shells, dashboards and many applications write: a name that Flux knows nowhere is theirs.
        if "${" in value and not _OPAQUE & set(pointer) and (match := _VARIABLE.search(value)) and match[1] in provided:
            found = f"${{{match[1]}}} stays in the object: Kustomization {applier.name} substitutes nothing"
            yield violation(item, *pointer, found=found, expect="postBuild with the variable, or no variable")
            return


def _place(problem: Problem, item: Object) -> Location:
    """The line of the variable that a problem names; that of the object when it is not seen in it."""
    for pointer, value in _strings(item.body) if problem.code == "substitute-missing" else ():
        if any(re.search(rf"\b{name}\b", problem.message) for name in _VARIABLE.findall(value)):
            return item.locate(*pointer)
    return problem.location


def _references(item: Object) -> Iterator[tuple[Pointer, str, str, bool]]:
    """The ConfigMaps and Secrets that feed a Kustomization or release: place, kind, name, optional."""
    field: Pointer = ("spec", "postBuild", "substituteFrom") if item.kind == "Kustomization" else ("spec", "valuesFrom")
    for index, entry in entries(item.get(*field)):
        yield (*field, index), text(entry.get("kind")), text(entry.get("name")), entry.get("optional") is True


@FLX.rule(
    "FLX110",
    title="what feeds substituteFrom and valuesFrom exists or has a producer, and Flux watches it",
    why=(
        "a missing ConfigMap or Secret fails the Kustomization or release; without the label reconcile.fluxcd.io/watch: Enabled a change in it "
        f"takes effect only after the interval ({_DOCS}, Reacting immediately to configuration dependencies)"
    ),
    fix="add the object (or the SealedSecret, Certificate … that makes it) to Git, with the label reconcile.fluxcd.io/watch: Enabled",
    scope=Objects((KUSTOMIZATION, HELM_RELEASE)),
    severity=Severity.WARNING,
    controls=("NIST-CM-2",),
    claims=(_SOURCE_MISSING,),
)
def feeds_exist(item: Object, world: World) -> Iterator[Violation]:
    problems = world.problems_of(item, _SOURCE_MISSING)
    for problem in problems:
        yield Violation(found=problem.message, expect="an object in Git that is, or makes, what it names", location=problem.location)
    for pointer, kind, name, optional in _references(item):
        found = world.find(kind, item.namespace, name)
        if found is None and item.kind == "Kustomization" and not problems and not optional and not _made(world, kind, item.namespace, name):
            yield violation(
                item, *pointer, found=f"{kind} {item.namespace}/{name}, which nothing in Git makes", expect=f"a {kind} {name} in namespace {item.namespace}"
            )
        elif found is not None and not _is_watched(found) and not _watches_all(world, item):
            yield violation(
                item,
                *pointer,
                found=f"{kind} {name} has no label {_WATCH}: Enabled",
                expect=f"the label, so that a change of {name} reconciles {item.name} at once",
                fix=f"add the label {_WATCH}: Enabled to {kind} {name} in {found.locate('metadata')}",
            )


def _is_watched(source: Object) -> bool:
    """Whether a change in a ConfigMap or Secret is noticed: by its label, or because kustomize gives it another name then."""
    return str(source.labels.get(_WATCH, "")).lower() == "enabled" or _HASHED.search(source.name) is not None


def _made(world: World, kind: str, namespace: str, name: str) -> bool:
    return secret_is_made(world, namespace, name) if kind == "Secret" else blind(world, namespace)


def _watches_all(world: World, item: Object) -> bool:
    """Whether the controller watches every ConfigMap and Secret (``--watch-configs-label-selector=owner!=helm``)."""
    controller = "kustomize-controller" if item.kind == "Kustomization" else "helm-controller"
    _, arguments = controller_flags(world).get(controller, (None, ()))
    return any(argument.lstrip("-").startswith("watch-configs-label-selector=") and "reconcile.fluxcd.io/watch" not in argument for argument in arguments)


@once
def _readers(world: World) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """(namespace, ConfigMap) with the Kustomizations that take variables from it."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for ks in world.of(KUSTOMIZATION):
        for _, kind, name, _ in _references(ks):
            if kind == "ConfigMap":
                found.setdefault((ks.namespace, name), []).append((ks.namespace, ks.name))
    return found


def _names_read(ks: Object) -> set[str]:
    return {name for _, kind, name, _ in _references(ks) if kind == "ConfigMap"}


def _is_fed_from(item: Object, world: World) -> list[tuple[str, str]]:
    return _readers(world).get((item.namespace, item.name), [])


@FLX.rule(
    "FLX401",
    title="every variable of a ConfigMap of variables is used",
    why="a variable that nothing uses is either a leftover or a misspelt one whose users take a default",
    fix="delete the variable, or correct its name where it is used",
    scope=Objects(("ConfigMap",)),
    severity=Severity.WARNING,
    controls=("NIST-CM-6",),
)
def variables_are_used(item: Object, world: World) -> Iterator[Violation]:
    if any(build.elsewhere and item.name in _names_read(build.object) for build in world.kustomizations.values()):
        return  # another source reads it, or a copy of it in another namespace
    readers = _is_fed_from(item, world)
    builds = [world.kustomizations.get(reader) for reader in readers]
    if not builds or any(build is None or build.elsewhere or not build.built for build in builds):
        return  # somebody reads it whose objects nobody sees
    used = frozenset().union(*(build.used for build in builds if build is not None))
    for name in mapping(item.body.get("data")):
        # KUBERNETES_VERSION tells this harness, not Flux, what the cluster runs.
        if name not in used and name != "KUBERNETES_VERSION":
            yield violation(
                item,
                "data",
                str(name),
                found=f"variable {name} is used by none of the {len(builds)} Kustomizations that read it",
                expect="a use, or no variable",
            )


@FLX.rule(
    "FLX402",
    title="names of variables are letters, digits and underscores",
    why=(
        f"one key of another form in a substituted ConfigMap fails the whole Kustomization: var name is invalid ({_DOCS}; varSubstitution "
        "in fluxcd/pkg/kustomize)"
    ),
    fix="rename the key, or keep it in a ConfigMap that is not used for substitution",
    scope=Objects(("ConfigMap", KUSTOMIZATION)),
)
def variable_names_are_valid(item: Object, world: World) -> Iterator[Violation]:
    if item.kind == "ConfigMap":
        pointer: Pointer = ("data",)
        if not _is_fed_from(item, world):
            return
    else:
        pointer = ("spec", "postBuild", "substitute")
    for name in mapping(item.get(*pointer)):
        if not _NAME.fullmatch(str(name)):
            yield violation(item, *pointer, str(name), found=f"variable name {name!r}", expect="a letter or underscore, then letters, digits and underscores")


@FLX.rule(
    "FLX403",
    title="values of variables are one line",
    why=(
        "newlines are removed from every value before substitution: keys, certificates and scripts come out as one broken line "
        "(LoadVariables in fluxcd/pkg/kustomize)"
    ),
    fix="keep multi-line text in a ConfigMap or Secret that is mounted, not substituted",
    scope=Objects(("ConfigMap", KUSTOMIZATION)),
    severity=Severity.WARNING,
)
def values_are_one_line(item: Object, world: World) -> Iterator[Violation]:
    pointer: Pointer = ("data",) if item.kind == "ConfigMap" else ("spec", "postBuild", "substitute")
    if item.kind == "ConfigMap" and not _is_fed_from(item, world):
        return
    for name, value in mapping(item.get(*pointer)).items():
        if isinstance(value, str) and "\n" in value.strip("\n"):
            yield violation(
                item, *pointer, str(name), found=f"variable {name} has {len(value.splitlines())} lines, which are joined without a space", expect="one line"
            )


@FLX.rule(
    "FLX404",
    title="an optional source of variables exists somewhere",
    why=f"optional: true hides a misspelt name: its variables silently take their defaults ({_DOCS}, Post build variable substitution)",
    fix="correct the name, or delete the entry",
    scope=Objects(KUSTOMIZATIONS),
    severity=Severity.NOTE,
)
def optional_sources_exist(ks: Object, world: World) -> Iterator[Violation]:
    for pointer, kind, name, optional in _references(ks):
        if optional and world.find(kind, ks.namespace, name) is None and not _made(world, kind, ks.namespace, name):
            yield violation(ks, *pointer, found=f"optional {kind} {name} is nowhere in this cluster", expect="an object of that name, or no entry")


RULES: Final = tuple(FLX.rules)
