"""Rules about the workflows that build and check a repository, of any repository (SEC711 to SEC716)."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any, Final

from harness.engines import workflows
from harness.engines.workflows import Kind
from harness.model import Location, Severity
from harness.model.shapes import items, mapping, text
from harness.rules.base import Registry, Violation, WholeRepository
from harness.rules.sec_supply_intent import PATH, read
from harness.source.repository import UnreadableError
from harness.source.yaml import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.model import Problem
    from harness.rules.context import Context
    from harness.source.repository import Repository
    from harness.source.yaml import Document

SEC: Final = Registry()

_FOLDERS: Final = (".github/workflows", ".forgejo/workflows", ".gitea/workflows")
_HARDENING: Final = "docs.github.com: security hardening for GitHub Actions"
_VERSION: Final = re.compile(r"#.*?\bv?\d+(?:\.\d+)*")


def workflow_files(repository: Repository) -> list[str]:
    """Workflows, and actions wherever they stand."""
    found = [path for folder in _FOLDERS for path in repository.files(folder) if path.endswith((".yml", ".yaml")) and posixpath.dirname(path) == folder]
    return found + [path for path in repository.files() if posixpath.basename(path) in ("action.yml", "action.yaml")]


def _documents(context: Context) -> Iterator[tuple[str, Document, dict[str, Any]]]:
    for path in workflow_files(context.repository):
        for document in _parsed(context.repository, path)[0]:
            yield path, document, mapping(document.body)


def _parsed(repository: Repository, path: str) -> tuple[tuple[Document, ...], tuple[Problem, ...]]:
    try:
        found = parse(repository.text(path), path, strict=False, yaml_1_1=False)
    except UnreadableError as error:
        return (), (error.problem,)
    return tuple(found.documents), tuple(found.problems)


@SEC.rule(
    "SEC711",
    title="workflows run actions and images at a commit or digest, with the version in a comment",
    why=(
        "a tag of an action can be moved to other code, which then runs with the token and the secrets of the repository (tj-actions/changed-files, 2025); "
        f"the comment is what people and update bots read ({_HARDENING}, third-party actions)"
    ),
    fix="write owner/action@<40 hex digits> # v1.2.3, and images with @sha256:…",
    scope=WholeRepository(),
    severity=Severity.WARNING,
    controls=("SLSA-BUILD", "NIST-SI-7", "NIST-SR-3"),
)
def pinned(context: Context) -> Iterator[Violation]:
    for path, document, body in _documents(context):
        lines = context.repository.text(path).splitlines()
        for found in workflows.references(body):
            location = document.locate(found.at)
            if found.kind is Kind.EXPRESSION:
                yield Violation(f"{found.text}: what runs is decided when it runs", "a commit or a digest", location)
            elif found.kind is Kind.UNKNOWN:
                yield Violation(f"{found.text} is neither an action, a path nor an image", "owner/action@<commit>, ./path or docker://image@<digest>", location)
            elif not found.pinned:
                kind = "a digest: image@sha256:…" if found.kind is Kind.IMAGE else "a commit: owner/action@<40 hex digits>"
                yield Violation(f"uses {found.text}", kind, location)
            elif found.kind is Kind.ACTION and not _VERSION.search(_comment(lines, location)):
                yield Violation(f"{found.text} without its version", "a comment behind it: # v1.2.3", location)


def _comment(lines: list[str], location: Location) -> str:
    line = lines[location.line - 1] if 0 < location.line <= len(lines) else ""
    return line[line.index(" #") :] if " #" in line else ""


@SEC.rule(
    "SEC712",
    title="every workflow says what its token may do",
    why=f"without permissions the token has what the repository's settings give, often write on everything ({_HARDENING}, permissions)",
    fix="write permissions: {} at the top of the workflow, and what a job needs at the job",
    scope=WholeRepository(),
    severity=Severity.WARNING,
    controls=("NIST-AC-6", "SLSA-BUILD"),
)
def permissions(context: Context) -> Iterator[Violation]:
    for _, document, body in _documents(context):
        for at, found in workflows.permission_faults(body):
            yield Violation(found, "permissions that name what is needed", document.locate(at))


@SEC.rule(
    "SEC713",
    title="no workflow with the repository's rights runs the code of a pull request",
    why=(
        "pull_request_target, workflow_run and issue_comment run with secrets and a writing token; a stranger's code that is checked out and built there "
        f"has both (GitHub Security Lab: preventing pwn requests; {_HARDENING})"
    ),
    fix="build on pull_request, without secrets; do what needs rights in a second workflow that reads the result as data",
    scope=WholeRepository(),
    controls=("NIST-AC-6", "NIST-SI-10", "SLSA-BUILD"),
)
def strangers_code(context: Context) -> Iterator[Violation]:
    for _, document, body in _documents(context):
        for at, found, event in workflows.runs_strangers_code(body):
            yield Violation(f"{event} fetches what a pull request brings: {found}", "the repository's own code only", document.locate(at))


@SEC.rule(
    "SEC714",
    title="scripts of workflows take texts of strangers and secrets from their environment",
    why=(
        "an expression is put into a script before the shell reads it: a title such as $(curl …) is then run; a secret stands in the process list and, encoded "
        f"in the log ({_HARDENING}, script injections)"
    ),
    fix='give the value a name in env: and write "$NAME" in the script; pass a reusable workflow the secrets it needs by name',
    scope=WholeRepository(),
    controls=("NIST-SI-10", "NIST-IA-5"),
)
def no_injection(context: Context) -> Iterator[Violation]:
    for _, document, body in _documents(context):
        for script in workflows.scripts(body):
            where = document.locate(script.at)
            for found in workflows.untrusted(script.text):
                yield Violation(f"a script holds ${{{{ {found} }}}}, which anybody can write", "the value in env", where)
            for found in workflows.secret(script.text):
                yield Violation(f"a script holds ${{{{ {found} }}}}", "the secret in env", where)
        for name, job in workflows.jobs(body).items():
            if text(job.get("secrets")) == "inherit":
                yield Violation(
                    f"job {name} hands on every secret: secrets: inherit", "the secrets it needs, by name", document.locate(("jobs", name, "secrets"))
                )


@SEC.rule(
    "SEC715",
    title=f"every check that {PATH} requires runs on every pull request, and fails when it fails",
    why=(
        "a job that is skipped reports success; a workflow that a path filter skips never reports, and people merge past it; continue-on-error turns red green "
        "(docs.github.com: required status checks, skipped but required checks)"
    ),
    fix="delete paths, paths-ignore, if and continue-on-error; run on pull_request",
    scope=WholeRepository(),
    controls=("NIST-CM-3", "SLSA-SOURCE"),
)
def required_checks(context: Context) -> Iterator[Violation]:
    intent = read(context.repository)
    if intent is None or not intent.usable:
        return
    known = list(_documents(context))
    for index, check in enumerate(intent.required_checks):
        found = [
            (document, body, name, job) for _, document, body in known for name, job in workflows.jobs(body).items() if check in (name, text(job.get("name")))
        ]
        if not any("pull_request" in workflows.triggers(body) for _, body, _, _ in found):
            yield Violation(f"no job {check} runs on pull requests", "a job of this name or id", intent.locate("required_checks", index))
        for document, body, name, job in found:
            yield from _weakened(document, body, name, job)


def _weakened(document: Document, body: dict[str, Any], name: str, job: dict[str, Any]) -> Iterator[Violation]:
    at = ("jobs", name)
    for event in ("pull_request", "merge_group"):
        for key in ("paths", "paths-ignore"):
            if key in mapping(workflows.triggers(body).get(event)):
                yield Violation(f"required check {name}: {event}.{key}", "no path filter", document.locate(("on", event, key)))
    for key in ("if", "continue-on-error"):
        if job.get(key) not in (None, False):
            yield Violation(f"required check {name}: {key}", f"no {key} on the job", document.locate((*at, key)))
    for index, step in enumerate(items(job.get("steps"))):
        if mapping(step).get("continue-on-error") not in (None, False):
            where = document.locate((*at, "steps", index, "continue-on-error"))
            yield Violation(f"required check {name}: continue-on-error of a step", "a step that fails the job", where)


@SEC.rule(
    "SEC716",
    title="workflows and actions can be read",
    why="GitHub runs nothing of a workflow it cannot read, and says so on a page nobody looks at; nor could the rules here look at it",
    fix="correct the YAML; a workflow has on and jobs, an action has runs",
    scope=WholeRepository(),
    controls=("NIST-CM-3",),
)
def readable(context: Context) -> Iterator[Violation]:
    for path in workflow_files(context.repository):
        documents, problems = _parsed(context.repository, path)
        for problem in problems:
            yield Violation(problem.message, "YAML that can be read", problem.location)
        is_action = posixpath.basename(path).partition(".")[0] == "action" and posixpath.dirname(path) not in _FOLDERS
        for document in documents[:1]:
            body = mapping(document.body)
            missing = [key for key in (("runs",) if is_action else ("on", "jobs")) if not body.get(key)]
            if missing and not (missing == ["on"] and workflows.triggers(body)):
                yield Violation(
                    f"no {' and no '.join(missing)}", "an action with runs" if is_action else "a workflow with on and jobs", Location(path, document.line)
                )
        if not documents and not problems:
            yield Violation("an empty file", "a workflow or an action", Location(path))


RULES: Final = tuple(SEC.rules)
