"""Rules about files: YAML that means one thing, and files that can be read (YML1xx)."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from harness.model import Location, Severity, group_of, version_of
from harness.rules.base import Files, Registry, Violation
from harness.rules.flx_common import items, mapping, text
from harness.source.reach import KUSTOMIZATION_NAMES
from harness.source.repository import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.rules.context import Context
    from harness.source.repository import Repository

YML: Final = Registry()

_BROKEN: Final = ("yaml-alias-bomb", "yaml-duplicate-key", "yaml-non-string-key", "yaml-not-a-mapping", "yaml-syntax", "yaml-tab", "yaml-too-deep")
_UNREADABLE: Final = ("file-binary", "file-too-large", "file-unreadable", "yaml-encoding")
_TREE: Final = ("file-missing", "file-outside-repository", "file-symlink-loop", "file-too-deep")


def _is_manifest(path: str) -> bool:
    """Not in the folder of a hidden tool: what CI and editors read has rules of its own."""
    return not any(part.startswith(".") for part in path.split("/"))


_MANIFESTS: Final = Files(where=_is_manifest)


_inputs: Final[WeakKeyDictionary[Repository, frozenset[str]]] = WeakKeyDictionary()


def generator_inputs(repository: Repository) -> frozenset[str]:
    """Files that some configMapGenerator or secretGenerator puts into a ConfigMap or Secret as they stand: data of an application, no manifests."""
    known = _inputs.get(repository)
    if known is None:
        known = _inputs[repository] = frozenset(_generator_inputs(repository))
    return known


def _generator_inputs(repository: Repository) -> Iterator[str]:
    for path in repository.files():
        folder, _, name = path.rpartition("/")
        if name not in KUSTOMIZATION_NAMES:
            continue
        for document in repository.parsed(path).documents:
            body = mapping(document.body)
            for generator in (*items(body.get("configMapGenerator")), *items(body.get("secretGenerator"))):
                for entry in items(mapping(generator).get("files")):
                    target = posixpath.normpath(posixpath.join(folder, text(entry).rpartition("=")[2]))
                    yield from (target,) if repository.is_file(target) else ()


def _is_no_yaml(path: str, context: Context) -> bool:
    """Whether nobody reads a file as YAML, whatever its name: data of an application, a template of a chart, or, in a repository of
    other habits, a file outside of every cluster."""
    repository = context.repository
    if path in generator_inputs(repository) or _is_template(path, repository):
        return True
    if context.own:
        return False
    return not any(path in cluster.reached or not cluster.path or path.startswith(f"{cluster.path}/") for cluster in context.clusters.values())


def _is_template(path: str, repository: Repository) -> bool:
    """Whether Helm renders a file: it is below the folder templates of a chart."""
    parts = path.split("/")
    return any(part == "templates" and repository.is_file("/".join((*parts[:index], "Chart.yaml"))) for index, part in enumerate(parts[:-1]))


def _of_file(path: str, context: Context, expect: str, codes: tuple[str, ...]) -> Iterator[Violation]:
    for problem in context.problems:
        if problem.subject == path and problem.code in codes and not (problem.code.startswith("yaml-") and _is_no_yaml(path, context)):
            yield Violation(found=problem.message, expect=expect, location=problem.location)


@YML.rule(
    "YML101",
    title="a YAML file parses, and says each thing once",
    why=(
        "of two equal keys the last wins in one tool and the first in another; a tab, an unclosed bracket or a document that is a list "
        "fails the whole Kustomization"
    ),
    fix="correct the line that is named",
    scope=_MANIFESTS,
    controls=("NIST-CM-6",),
    claims=_BROKEN,
)
def parses(path: str, context: Context) -> Iterator[Violation]:
    yield from _of_file(path, context, "YAML documents that are mappings, with every key once", _BROKEN)


_SCHEMA: Final = re.compile(r"^#\s*(?:yaml-language-server:\s*)?\$schema[=:]\s*(?P<url>\S+)")
#: ``<group>/<kind>_<version>.json`` of the CRD catalogues, and ``<kind>-<group>-<version>.json`` of the Kubernetes ones.
_CATALOGUE: Final = re.compile(r"/(?P<group>[a-z0-9.-]+)/(?P<kind>[a-z0-9]+)_(?P<version>v[0-9a-z]+)\.json$")
_KUBERNETES: Final = re.compile(r"/v?[0-9][^/]*/(?P<kind>[a-z]+)(?:-(?P<group>[a-z]+))?-(?P<version>v[0-9a-z]+)\.json$")


def _mismatch(url: str, api_version: str, kind: str) -> str:
    """What a schema URL is about when that is not the document; nothing when it is, or when the URL says nothing."""
    if "kustomization" in url.rpartition("/")[2].lower() and "/" not in url.rpartition("schemastore.org/")[2]:
        return "" if kind in {"Kustomization", "Component"} and group_of(api_version) == "kustomize.config.k8s.io" else "kustomization.yaml"
    match = _CATALOGUE.search(url) or _KUBERNETES.search(url)
    if match is None:
        return ""
    group = group_of(api_version)
    wanted = (group if _CATALOGUE.search(url) else group.partition(".")[0], kind.lower(), version_of(api_version))
    stated = (match["group"] or "", match["kind"], match["version"])
    return "" if stated == wanted else f"{stated[1]} {stated[0] or 'core'}/{stated[2]}"


@YML.rule(
    "YML102",
    title="a $schema comment is about the document it stands over",
    why="an editor that checks a document against the schema of another kind marks what is right and misses what is wrong",
    fix="correct the URL, or delete the comment",
    scope=_MANIFESTS,
    severity=Severity.WARNING,
)
def schema_comment_matches(path: str, context: Context) -> Iterator[Violation]:
    try:
        if b"$schema" not in context.repository.read(path):
            return
        lines = context.repository.text(path).splitlines()
    except UnreadableError:
        return
    for document in context.repository.documents(path):
        body = mapping(document.body)
        # The comment stands between the separator and the first key.
        for number in range(document.line - 1, max(document.line - 6, 0), -1):
            if number > len(lines) or (not lines[number - 1].startswith(("#", "---")) and lines[number - 1].strip()):
                break
            match = _SCHEMA.match(lines[number - 1])
            other = _mismatch(match["url"], text(body.get("apiVersion")), text(body.get("kind"))) if match else ""
            if other:
                found = f"$schema of {other} over a {body.get('kind')} {body.get('apiVersion')}"
                yield Violation(found=found, expect="the schema of the document's own kind and version", location=Location(path, number))


@YML.rule(
    "YML103",
    title="no plain scalar means different things to different tools",
    why="yes, on, 0644 and 1:30 are a boolean, a number or a text depending on who reads: kubectl, kustomize and Helm do not agree",
    fix="quote the text, or write true, false or the decimal number",
    scope=_MANIFESTS,
    severity=Severity.WARNING,
    claims=("yaml-ambiguous-scalar",),
)
def unambiguous(path: str, context: Context) -> Iterator[Violation]:
    yield from _of_file(path, context, "a quoted text, true or false, or a decimal number", ("yaml-ambiguous-scalar",))


@YML.rule(
    "YML104",
    title="a manifest is a UTF-8 text file of reasonable size",
    why="what cannot be read is not checked, and Flux fails on it or, worse, reads something else",
    fix="save the file as UTF-8 without byte order mark, or keep it out of the folders of the clusters",
    scope=_MANIFESTS,
    claims=_UNREADABLE,
)
def readable(path: str, context: Context) -> Iterator[Violation]:
    yield from _of_file(path, context, "a UTF-8 text file below 20 MiB", _UNREADABLE)


@YML.rule(
    "YML105",
    title="every link of the tree leads to a file inside the repository",
    why="source-controller leaves links out of the artifact that point outside of it; a loop or a missing target fails the build",
    fix="replace the link by the file, or name the file's own path where it is used",
    scope=_MANIFESTS,
    claims=_TREE,
)
def links_stay_inside(path: str, context: Context) -> Iterator[Violation]:
    # A link that leads nowhere is no file; the engine makes a case of every claimed problem that met none.
    yield from _of_file(path, context, "a file of the repository", _TREE)


@YML.rule(
    "YML106",
    title="a YAML file holds at least one document",
    why="an empty manifest is an object that somebody believes to be there",
    fix="delete the file, or write the object",
    scope=_MANIFESTS,
    severity=Severity.WARNING,
)
def not_empty(path: str, context: Context) -> Iterator[Violation]:
    if path.rpartition("/")[2].startswith("gotk-"):
        return  # flux bootstrap fills these
    if _is_no_yaml(path, context):
        return
    if not context.repository.parsed(path).documents and not any(problem.subject == path for problem in context.problems):
        yield Violation(found="the file holds no document", expect="a document", location=Location(path, 1))


RULES: Final = tuple(YML.rules)
