"""Rules about credentials in Git, wherever they stand: generators, manifests, values of charts, scripts and other files (SEC102, SEC104 to SEC108).

No finding holds what it found: it says what kind of secret it is, under which name, and on which line.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any, Final

from harness.engines.report import is_elided
from harness.engines.secrets.literals import assignments, literals, random_values
from harness.engines.secrets.shapes import shapes
from harness.flux.sourceignore import SourceIgnore
from harness.model import Location, Severity
from harness.model.shapes import items, mapping, text
from harness.rules.base import Files, Objects, Registry, Violation, WholeRepository
from harness.rules.flx_common import read_text
from harness.rules.order_needs import POD_TEMPLATES
from harness.source.repository import YAML_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Object, Pointer
    from harness.rules.context import Context
    from harness.source.repository import Repository

SEC: Final = Registry()

_WHY: Final = "whoever can read the repository, its clones and its history has the secret for ever, and pushing a commit that removes it changes nothing"
_FIX: Final = "revoke or rotate it first; then seal it (SealedSecret), take it from Vault (VaultStaticSecret), or encrypt the file with SOPS"
#: Kinds that describe other objects, or hold ciphertext and nothing else.
_PASSED: Final = frozenset({"CustomResourceDefinition", "ClusterPolicy", "ValidatingAdmissionPolicy", "ConstraintTemplate"})
_SOPS: Final = re.compile(r"(?m)^sops[:_]|\"sops\"\s*:|ENC\[AES256_GCM,")
#: Files besides manifests that are read: text of the kinds that scripts, configuration and credentials come in.
_NOT_TEXT: Final = frozenset({".png", ".jpg", ".jpeg", ".gif", ".ico", ".gz", ".tgz", ".zip", ".woff", ".woff2", ".pdf", ".jar", ".svg"})
_CONTROLS: Final = ("CIS-5.4.1", "NIST-IA-5", "NIST-SC-28")


@SEC.rule(
    "SEC102",
    title="no secretGenerator reads its content from an unencrypted file in Git",
    why="the file stands in Git in plain text and the Secret is made from it; kustomize-controller decrypts such files where SOPS encrypted them",
    fix="encrypt the file with SOPS, or replace the generator with a SealedSecret; then rotate the secret: Git keeps it",
    scope=Files(where=lambda path: posixpath.basename(path) in {"kustomization.yaml", "kustomization.yml"}),
    controls=_CONTROLS,
)
def no_generator_files(path: str, context: Context) -> Iterator[Violation]:
    for document in context.repository.documents(path):
        for index, entry in enumerate(items(mapping(document.body).get("secretGenerator"))):
            generator = mapping(entry)
            for field in ("files", "envs"):
                for number, source in enumerate(items(generator.get(field))):
                    name = text(source).rpartition("=")[2] if field == "files" else text(source)
                    file = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
                    if _is_plain(context.repository, file):
                        found = f"secretGenerator {text(generator.get('name'))} reads {name}, which is not encrypted"
                        yield Violation(found, "a file that SOPS encrypted", document.locate(("secretGenerator", index, field, number)))
            env = text(generator.get("env"))
            if env and _is_plain(context.repository, posixpath.normpath(posixpath.join(posixpath.dirname(path), env))):
                found = f"secretGenerator {text(generator.get('name'))} reads {env}, which is not encrypted"
                yield Violation(found, "a file that SOPS encrypted", document.locate(("secretGenerator", index, "env")))


def _is_plain(repository: Repository, path: str) -> bool:
    content = read_text(repository, path) if repository.is_file(path) else ""
    return bool(content.strip()) and not _SOPS.search(content)


@SEC.rule(
    "SEC104",
    title="no manifest holds a credential of a known form",
    why=_WHY,
    fix=_FIX,
    scope=Files(),
    controls=_CONTROLS,
)
def no_known_credential(path: str, context: Context) -> Iterator[Violation]:
    content = read_text(context.repository, path)
    for leak in shapes(content):
        yield Violation(leak.what, "no credential in Git", Location(path, content.count("\n", 0, leak.offset) + 1))


@SEC.rule(
    "SEC105",
    title="no manifest gives a literal value to a password, token or secret key",
    why=f"{_WHY}; values of a release end in plain text in its history and in every Kustomization's inventory too",
    fix=f"{_FIX}, and refer to the Secret (existingSecret, secretKeyRef, valuesFrom)",
    scope=Files(),
    controls=_CONTROLS,
)
def no_literal_credential(path: str, context: Context) -> Iterator[Violation]:
    for document in context.repository.documents(path):
        for body, at in _bodies(document.body):
            for literal in literals(body, at, _skipped(body, at)):
                yield Violation(f"{literal.what} for {literal.name}", "a reference to a Secret", document.locate(literal.pointer))


@SEC.rule(
    "SEC106",
    title="no manifest holds a text that looks like a random key",
    why=f"a text of random characters that is no digest, certificate or ciphertext is a key, a token or a salt; {_WHY}",
    fix=f"{_FIX}; where the text is public, say so with the mark `pragma: allowlist secret` in a comment on its line",
    scope=Files(),
    severity=Severity.WARNING,
    controls=_CONTROLS,
)
def no_random_text(path: str, context: Context) -> Iterator[Violation]:
    lines: list[str] | None = None
    for document in context.repository.documents(path):
        for body, at in _bodies(document.body):
            skipped = _skipped(body, at)
            for literal in random_values(body, at):
                where = document.locate(literal.pointer)
                lines = lines if lines is not None else read_text(context.repository, path).splitlines()
                if literal.pointer in skipped or literal.pointer[:-1] in skipped or _says_public(lines, where.line):
                    continue
                yield Violation(f"{literal.what} under {literal.name}", "no key or token in Git", where)


def _says_public(lines: list[str], number: int) -> bool:
    line = lines[number - 1] if 0 < number <= len(lines) else ""
    return "allowlist secret" in line or "gitleaks:allow" in line


def _bodies(body: Any) -> Iterator[tuple[Any, Pointer]]:
    """The document, or the items of a ``List``; kinds that only describe others are left out."""
    entries = items(mapping(body).get("items")) if text(mapping(body).get("kind")).endswith("List") else None
    for each, at in [(body, ())] if entries is None else [(entry, ("items", index)) for index, entry in enumerate(entries)]:
        if text(mapping(each).get("kind")) not in _PASSED:
            yield each, at


def _skipped(body: Any, at: Pointer) -> dict[Pointer, object]:
    """What SEC101 reports already: the content of Secrets, and literals of secretGenerators."""
    if mapping(body).get("kind") == "Secret":
        return {(*at, "data"): True, (*at, "stringData"): True}
    return {(*at, "secretGenerator"): True} if "secretGenerator" in mapping(body) else {}


@SEC.rule(
    "SEC107",
    title="no chart gives a container a literal password",
    why="a password that a chart brings by default is known to everyone who reads the chart, and one from its values stands in the release's history",
    fix="set the chart's value for an existing Secret",
    scope=Objects(tuple(POD_TEMPLATES), where=lambda item: item.applier is not None and item.applier.kind == "HelmRelease"),
    controls=("CIS-5.4.1", "NIST-IA-5"),
)
def no_chart_password(item: Object, world: World) -> Iterator[Violation]:
    base = POD_TEMPLATES[str(item.group_kind)]
    for group in ("initContainers", "containers"):
        for index, container in enumerate(items(item.get(*base, group))):
            pointer = (*base, group, index)
            body = {field: value for field in ("env", "args", "command") if (value := mapping(container).get(field)) and not is_elided(value)}
            for literal in literals(body, pointer):
                if not is_elided(item.get(*literal.pointer)) and not world.is_unknown(item.get(*literal.pointer)):
                    found = f"{literal.what} for {literal.name} in container {text(mapping(container).get('name'))}"
                    yield Violation(found, "a reference to a Secret", item.locate(*literal.pointer))


@SEC.rule(
    "SEC108",
    title="no script, policy or data file beside the manifests holds a credential",
    why=f"generators put such files into ConfigMaps, and the artifact carries them to every cluster; {_WHY}",
    fix=_FIX,
    scope=WholeRepository(),
    controls=_CONTROLS,
)
def no_credential_beside(context: Context) -> Iterator[Violation]:
    for path in _other_files(context):
        content = read_text(context.repository, path)
        if _SOPS.search(content):
            continue
        found = [(leak.offset, leak.what) for leak in shapes(content)]
        found += [(offset, f"{what} for {name}") for offset, name, what in assignments(content)]
        for offset, what in sorted(found):
            yield Violation(what, "no credential in Git", Location(path, content.count("\n", 0, offset) + 1))


def _other_files(context: Context) -> Iterator[str]:
    """Text files that enter the artifact and are no manifests, in the top-level folders that clusters are built from."""
    reached = [path for summary in context.clusters.values() for path in (summary.path, *summary.reached)]
    folders = {path.strip("/").partition("/")[0] for path in reached}
    ignore = SourceIgnore(context.repository)
    for path in context.repository.files():
        inside = "" in folders or path.partition("/")[0] in folders
        if inside and not path.endswith(YAML_SUFFIXES) and posixpath.splitext(path)[1].lower() not in _NOT_TEXT and ignore.admits(path):
            yield path


RULES: Final = tuple(SEC.rules)
