"""Rules about this repository's own conventions (REP1xx): names, the catalogue, floors of discovery, workflows. Not evaluated on others."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any, Final

from harness.model import Location
from harness.rules.base import Registry, Violation, WholeRepository
from harness.rules.flx_common import items, mapping, read_text, text
from harness.source.reach import KUSTOMIZATION_NAMES
from harness.source.yaml import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.model import Pointer
    from harness.rules.context import Context
    from harness.source.repository import Repository
    from harness.source.yaml import Document

REP: Final = Registry()
_OWN: Final = WholeRepository(own_only=True)

# REP101: names of files, folders and objects

#: Files whose names say what they are whatever they hold.
_FREE: Final = (*KUSTOMIZATION_NAMES, "kustomizeconfig.yaml")
_COMPONENTS: Final = re.compile(r"^clusters/base/(?:infrastructure|tenants)/(?P<component>[^/]+)/(?P<file>.+)$")
_TOP: Final = re.compile(r"^clusters/(?!base/)[^/]+/(?P<name>[^/]+)\.yaml$")
_PATCH: Final = re.compile(r"^clusters/(?!base/)[^/]+/patches/(?P<name>[^/]+)\.yaml$")
_POLICY: Final = re.compile(r"^policies/[^/]+/(?P<name>[^/]+)\.yaml$")
_SOURCES: Final = frozenset({"OCIRepository", "HelmRepository", "HelmRelease"})


def _manifests(repository: Repository) -> Iterator[tuple[str, tuple[Document, ...]]]:
    """The product's files that hold Kubernetes objects."""
    for folder in ("clusters", "policies"):
        for path in repository.files(folder):
            if path.endswith(".yaml") and path.rpartition("/")[2] not in _FREE:
                documents = repository.documents(path)
                if documents and all({"apiVersion", "kind", "metadata"} <= mapping(document.body).keys() for document in documents):
                    yield path, documents


def _name(document: Document) -> str:
    return text(mapping(mapping(document.body).get("metadata")).get("name"))


def _stem(kind: str) -> str:
    return "ks" if kind == "Kustomization" else kind.lower()


def _misnamed(path: str, documents: tuple[Document, ...]) -> str:
    """What a file should be called, or nothing."""
    kinds = sorted({text(mapping(document.body).get("kind")) for document in documents})
    base = path.rpartition("/")[2]
    for pattern in (_TOP, _PATCH, _POLICY):
        match = pattern.match(path)
        if match is not None:
            return "" if any(_name(document) == match["name"] for document in documents) else f"{_name(documents[0])}.yaml"
    if len(kinds) > 1:
        return f"one file a kind ({', '.join(kinds)})"
    ending = f"{_stem(kinds[0])}.yaml"
    return "" if base == ending or base.endswith((f".{ending}", ".patch.yaml")) else f"{ending} or <name>.{ending}"


@REP.rule(
    "REP101",
    title="files are named after the kind they hold, components after their folder, and the table of components is complete",
    why="who looks for the HelmRelease of loki opens loki/controllers/helmrelease.yaml, and finds it; what the table leaves out, nobody reviews",
    fix="rename the file or the object; nox -s docs rewrites the table in clusters/README.md",
    scope=_OWN,
    own_only=True,
)
def named_after_what_they_hold(context: Context) -> Iterator[Violation]:
    repository = context.repository
    for path, documents in _manifests(repository):
        wanted = _misnamed(path, documents)
        if wanted:
            kind = mapping(documents[0].body).get("kind")
            yield Violation(found=f"a {kind} {_name(documents[0])} in {path.rpartition('/')[2]}", expect=wanted, location=Location(path, documents[0].line))
        yield from _component_names(path, documents)
    yield from _table(repository)


def _component_names(path: str, documents: tuple[Document, ...]) -> Iterator[Violation]:
    match = _COMPONENTS.match(path)
    if match is None:
        return
    component = match["component"]
    for document in documents:
        kind, name = text(mapping(document.body).get("kind")), _name(document)
        # A component may have layers (<component>-config) and, under policies, one Kustomization a category.
        fits = name == component or name.startswith(f"{component}-")
        if "/" not in match["file"] and kind == "Kustomization" and not fits:
            yield Violation(
                found=f"Kustomization {name} in folder {component}",
                expect=f"{component} or {component}-<layer>",
                location=document.locate(("metadata", "name")),
            )
        elif kind in _SOURCES and "/infrastructure/" in path and not path.endswith(".patch.yaml") and not fits:
            yield Violation(found=f"{kind} {name} in folder {component}", expect=component, location=document.locate(("metadata", "name")))


def _components(repository: Repository) -> set[str]:
    return {match["component"] for path in repository.files("clusters/base") if (match := _COMPONENTS.match(path))}


def _table(repository: Repository) -> Iterator[Violation]:
    """The first column of the tables in clusters/README.md against the folders."""
    path = "clusters/README.md"
    components = _components(repository)
    if not repository.is_file(path):
        if components:
            yield Violation(found="no clusters/README.md", expect=f"a table of {len(components)} components", location=Location(path))
        return
    rows = {
        match[1]: number
        for number, line in enumerate(read_text(repository, path).splitlines(), 1)
        if (match := re.match(r"^\|\s*\[?`?([a-z0-9][a-z0-9-]*)`?\]?(?:\([^)]*\))?\s*\|", line)) and match[1] not in {"component", "tenant"}
    }
    for missing in sorted(components - rows.keys()):
        yield Violation(found=f"component {missing} is not in the table", expect=f"a row for {missing}", location=Location(path))
    for extra in sorted(rows.keys() - components):
        yield Violation(found=f"the table names {extra}, which has no folder", expect="only rows of components", location=Location(path, rows[extra]))


# REP102: rules, fixtures and the catalogue

_CATALOGUE: Final = "tests/CATALOG.md"
_FIXTURES: Final = "tests/data/rules"
_RULE: Final = re.compile(r"^(?:#{2,}\s+|\|\s*|[-*]\s+)[`*]*((?:YML|SCH|KUS|FLX|HLM|SEC|NET|RBC|POL|OBS|LIF|REP|LIV)[1-9][0-9]{2})\b")


@REP.rule(
    "REP102",
    title="every rule of the catalogue has a bad and a good fixture, and every fixture a rule",
    why="a rule that was never seen to fail may not work, one that was never seen to pass may fail everything",
    fix="write tests/data/rules/<ID>/bad-<what>.yaml and good-<what>.yaml; nox -s docs rewrites the catalogue",
    scope=_OWN,
    own_only=True,
)
def rules_have_fixtures(context: Context) -> Iterator[Violation]:
    repository = context.repository
    folders: dict[str, set[str]] = {}
    for path in repository.files(_FIXTURES):
        rule, _, name = path.removeprefix(f"{_FIXTURES}/").partition("/")
        folders.setdefault(rule, set()).add(name.partition("-")[0])
    if not repository.is_file(_CATALOGUE):
        if folders:
            yield Violation(found=f"no {_CATALOGUE}", expect="the generated catalogue of rules", location=Location(_CATALOGUE))
        return
    listed: dict[str, int] = {}
    for number, line in enumerate(read_text(repository, _CATALOGUE).splitlines(), 1):
        match = _RULE.match(line)
        if match is not None:
            listed.setdefault(match[1], number)
    for rule, number in sorted(listed.items()):
        for outcome in ("bad", "good"):
            if outcome not in folders.get(rule, set()):
                yield Violation(
                    found=f"{rule} has no {outcome} fixture", expect=f"{_FIXTURES}/{rule}/{outcome}-<what>.yaml", location=Location(_CATALOGUE, number)
                )
    for rule in sorted(folders.keys() - listed.keys()):
        yield Violation(found=f"fixtures of {rule}, which the catalogue does not have", expect="a rule of that id", location=Location(f"{_FIXTURES}/{rule}"))


# REP103: floors

_FLOORS: Final = "tests/intent/floors.yaml"


def _counts(context: Context) -> dict[str, int]:
    policies = sum(1 for path in context.repository.files("policies") if path.endswith(".yaml") and path.rpartition("/")[2] not in _FREE)
    return {"clusters": len(context.clusters), "components": len(_components(context.repository)), "policies": policies}


@REP.rule(
    "REP103",
    title="discovery finds what the floors say: every cluster, component and policy, and as many objects as before",
    why="a discovery that finds less passes more: shrinking must be somebody's decision, written in the same commit",
    fix="correct the number in tests/intent/floors.yaml in the commit that adds or removes something",
    scope=_OWN,
    own_only=True,
    controls=("NIST-CA-7",),
    every_cluster=True,
)
def floors_hold(context: Context) -> Iterator[Violation]:
    repository = context.repository
    documents = repository.documents(_FLOORS) if repository.is_file(_FLOORS) else ()
    if not documents:
        yield Violation(found=f"no {_FLOORS}", expect="clusters, components, policies and objects, each with its number", location=Location(_FLOORS))
        return
    document = documents[0]
    floors = mapping(document.body)
    for name, count in _counts(context).items():
        floor = floors.get(name)
        if floor != count:
            yield Violation(found=f"{count} {name}, and the floor is {floor}", expect=f"{name}: {count}", location=document.locate((name,)))
    objects = mapping(floors.get("objects"))
    for cluster in sorted(context.clusters):
        count, floor = context.clusters[cluster].objects, objects.get(cluster)
        if not isinstance(floor, int) or count < floor:
            found = f"cluster {cluster} has {count} objects, and the floor is {floor}"
            yield Violation(found=found, expect=f"{floor or count} objects or more", location=document.locate(("objects", cluster)))
        elif floor < count * 0.8:
            found = f"the floor of cluster {cluster} is {floor}, far below its {count} objects"
            yield Violation(found=found, expect=f"a floor of at least {int(count * 0.8) + 1}", location=document.locate(("objects", cluster)))


# REP104: workflows

_PINNED: Final = re.compile(r"^(?:\./|[^@\s]+@[0-9a-f]{40}$|docker://[^@\s]+@sha256:[0-9a-f]{64}$)")
_NOX: Final = re.compile(r"\bnox\b[^\n;&|]*?\s(?:-s|-e|--sessions?)[= ]+((?:[a-z][\w-]*[ ,]*)+)")
_REQUIRED: Final = "static"


def _sessions(repository: Repository) -> frozenset[str]:
    """The nox sessions of the project: functions decorated with ``nox.session``, by their own or their given name."""
    if not repository.is_file("noxfile.py"):
        return frozenset()
    try:
        tree = ast.parse(read_text(repository, "noxfile.py"))
    except (SyntaxError, ValueError):
        return frozenset()
    found: set[str] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            call = decorator.func if isinstance(decorator, ast.Call) else decorator
            if isinstance(call, ast.Attribute) and call.attr == "session":
                given = (
                    [word.value.value for word in decorator.keywords if word.arg == "name" and isinstance(word.value, ast.Constant)]
                    if isinstance(decorator, ast.Call)
                    else []
                )
                found.add(str(given[0]) if given else node.name)
    return frozenset(found)


@REP.rule(
    "REP104",
    title="workflows pin every action, the required job cannot be skipped, and jobs are called as the nox sessions they run",
    why="a tag of an action can be moved to other code; a path filter or continue-on-error turns a required check green without running it",
    fix="pin uses: to a commit with the version in a comment; delete paths, paths-ignore, if and continue-on-error from the required job",
    scope=_OWN,
    own_only=True,
    controls=("SLSA-BUILD", "NIST-SI-7", "NIST-CM-3"),
)
def workflows_are_tight(context: Context) -> Iterator[Violation]:
    repository = context.repository
    sessions = _sessions(repository)
    names: set[str] = set()
    for path in repository.files(".github/workflows"):
        if not path.endswith((".yaml", ".yml")):
            continue
        for document in parse(read_text(repository, path), path, strict=False, yaml_1_1=False).documents:
            body = mapping(document.body)
            jobs = mapping(body.get("jobs"))
            names |= jobs.keys()
            if "permissions" not in body:
                yield Violation(found="no permissions for the workflow", expect="permissions: {} at the top", location=document.locate(()))
            for name, job in jobs.items():
                yield from _job(document, name, mapping(job), sessions)
            if _REQUIRED in jobs:
                yield from _required(document, body, mapping(jobs[_REQUIRED]))
    yield from _commands(repository, sessions)
    if names and _REQUIRED not in names:
        yield Violation(found=f"no job {_REQUIRED}", expect=f"a job called {_REQUIRED}, the required check", location=Location(".github/workflows"))


def _job(document: Document, name: str, job: dict[str, Any], sessions: frozenset[str]) -> Iterator[Violation]:
    at = ("jobs", name)
    uses: list[tuple[Pointer, Any]] = [((*at, "uses"), job.get("uses"))] if "uses" in job else []
    uses += [((*at, "steps", index, "uses"), step.get("uses")) for index, step in enumerate(map(mapping, items(job.get("steps")))) if "uses" in step]
    for pointer, action in uses:
        if not _PINNED.match(text(action)):
            yield Violation(found=f"uses: {action}", expect="a commit: owner/action@<40 hex digits>", location=document.locate(pointer))
    if sessions and name not in sessions and "uses" not in job:
        yield Violation(found=f"job {name} is no nox session", expect=f"one of {', '.join(sorted(sessions))}", location=document.locate(at))


def _required(document: Document, body: dict[str, Any], job: dict[str, Any]) -> Iterator[Violation]:
    triggers = body.get("on")
    for event in ("pull_request", "merge_group"):
        for key in ("paths", "paths-ignore"):
            if key in mapping(mapping(triggers).get(event)):
                yield Violation(found=f"{event}.{key} on the required check", expect="no path filter", location=document.locate(("on", event, key)))
    at = ("jobs", _REQUIRED)
    for key in ("continue-on-error", "if"):
        if key in job:
            yield Violation(found=f"{key} on the required job", expect=f"no {key}", location=document.locate((*at, key)))
    for index, step in enumerate(map(mapping, items(job.get("steps")))):
        if step.get("continue-on-error"):
            yield Violation(
                found="continue-on-error in the required job",
                expect="a step that fails the job",
                location=document.locate((*at, "steps", index, "continue-on-error")),
            )


def _commands(repository: Repository, sessions: frozenset[str]) -> Iterator[Violation]:
    """The sessions that CI names, in workflows and in .ci/run."""
    if not sessions:
        return
    for path in (*repository.files(".github/workflows"), *repository.files(".ci")):
        for number, line in enumerate(read_text(repository, path).splitlines(), 1):
            for match in _NOX.finditer(line):
                for name in re.split(r"[ ,]+", match[1].strip(" ,")):
                    if name not in sessions:
                        yield Violation(
                            found=f"nox session {name}, which noxfile.py does not have", expect=", ".join(sorted(sessions)), location=Location(path, number)
                        )


# REP105: product folders

_PRODUCT: Final = (".yaml", "README.md")


@REP.rule(
    "REP105",
    title="product folders hold only what Flux applies",
    why="everything in clusters/ and policies/ enters the artifact of every cluster; drafts, tests and pictures have no place in it",
    fix="move the file to docs/ or tests/",
    scope=_OWN,
    own_only=True,
    every_cluster=True,
)
def only_manifests(context: Context) -> Iterator[Violation]:
    for folder in ("clusters", "policies"):
        for path in context.repository.files(folder):
            if not path.endswith(_PRODUCT) and not any(path in cluster.reached for cluster in context.clusters.values()):
                yield Violation(found=f"{path.rpartition('/')[2]} in {folder}/", expect="YAML that a cluster reaches, or a README.md", location=Location(path))


# REP106: variables

_VARIABLES: Final = "cluster-vars.yaml"


@REP.rule(
    "REP106",
    title="variables are UPPER_SNAKE strings, and every cluster that shares a use has them",
    why="a variable that one cluster lacks is found when that cluster fails; a number or boolean changes its type when it is substituted",
    fix="quote the value, rename the variable, or add it to the other cluster-vars.yaml",
    scope=_OWN,
    own_only=True,
)
def variables_are_uniform(context: Context) -> Iterator[Violation]:
    for path in context.repository.files("clusters"):
        if path.rpartition("/")[2] != _VARIABLES:
            continue
        for document in context.repository.documents(path):
            for name, value in mapping(mapping(document.body).get("data")).items():
                at = document.locate(("data", name))
                if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
                    yield Violation(found=f"variable {name}", expect="UPPER_SNAKE", location=at)
                if not isinstance(value, str):
                    yield Violation(found=f"{name} is a {type(value).__name__}", expect="a quoted text", location=at)


RULES: Final = tuple(REP.rules)
