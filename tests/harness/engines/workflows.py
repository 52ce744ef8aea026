"""GitHub workflows and actions, read for what they run and with whose rights. Pure functions over parsed files.

Source: GitHub's workflow syntax, metadata syntax for actions, and "Security hardening for GitHub Actions".
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.engines.images.reference import try_parse
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.model import Pointer

_COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_ACTION: Final = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(?P<path>/[^@]*)?@(?P<ref>.+)")
_EXPRESSION: Final = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_BRACKET: Final = re.compile(r"\[\s*'([^']*)'\s*\]")
#: What whoever opens an issue or a pull request writes.
_UNTRUSTED: Final = re.compile(
    r"\bgithub\.(?:head_ref|event\.(?:"
    r"(?:issue|pull_request|discussion)\.(?:title|body)"
    r"|(?:comment|review|review_comment)\.body"
    r"|pull_request\.head\.(?:ref|label|repo\.default_branch)"
    r"|pages[.\w*\[\]]*\.page_name"
    r"|(?:head_commit|commits[.\w*\[\]]*)\.(?:message|author\.(?:email|name))"
    r"|workflow_run\.(?:head_branch|display_title|head_commit\.(?:message|author\.(?:email|name))|pull_requests[.\w*\[\]]*\.head\.ref)"
    r"))(?![\w])",
    re.IGNORECASE,
)
_MATRIX: Final = re.compile(r"\$\{\{\s*matrix\.([\w-]+)\s*\}\}")
_SECRET: Final = re.compile(r"\bsecrets\s*[.\[]", re.IGNORECASE)
#: What leads to the code of a pull request.
_HEAD: Final = re.compile(
    r"github\.(?:head_ref|event\.(?:pull_request\.(?:head|merge_commit_sha|number)|workflow_run\.(?:head_|pull_requests)|number|issue\.number))"
    r"|refs/pull/",
    re.IGNORECASE,
)
_HEAD_IN_SHELL: Final = re.compile(r"\bgh\s+pr\s+checkout\b|\bgit\s+(?:fetch|pull|clone)\b[^\n]*\bpull/|\bhub\s+pr\s+checkout\b")
#: Events that run with the rights and the secrets of the repository, on what a stranger sent.
PRIVILEGED: Final = frozenset({"pull_request_target", "workflow_run", "issue_comment"})


class Kind(StrEnum):
    """What a ``uses`` names."""

    ACTION = "action"
    LOCAL = "local"
    IMAGE = "image"
    EXPRESSION = "expression"
    UNKNOWN = "unknown"


class Reference(NamedTuple):
    """Something a workflow runs that stands elsewhere."""

    at: Pointer
    text: str
    kind: Kind
    pinned: bool


class Script(NamedTuple):
    """Text that a shell or an interpreter runs."""

    at: Pointer
    text: str


def triggers(body: Mapping[str, Any]) -> dict[str, Any]:
    """The events a workflow runs on, each with its filters. ``on`` may be a word, a list or a mapping."""
    on = body.get("on", body.get(True))  # type: ignore[call-overload]
    if isinstance(on, str):
        return {on: {}}
    if isinstance(on, list):
        return {event: {} for event in on if isinstance(event, str)}
    return {str(event): mapping(filters) for event, filters in mapping(on).items()}


def jobs(body: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {str(name): mapping(job) for name, job in mapping(body.get("jobs")).items()}


def steps(body: Mapping[str, Any]) -> Iterator[tuple[Pointer, dict[str, Any]]]:
    """Every step: of a workflow's jobs, or of a composite action."""
    for name, job in jobs(body).items():
        for index, step in enumerate(items(job.get("steps"))):
            yield ("jobs", name, "steps", index), mapping(step)
    for index, step in enumerate(items(mapping(body.get("runs")).get("steps"))):
        yield ("runs", "steps", index), mapping(step)


def references(body: Mapping[str, Any]) -> Iterator[Reference]:
    """Everything that stands elsewhere: actions, reusable workflows, images of jobs, services, steps and actions."""
    for name, job in jobs(body).items():
        at: Pointer = ("jobs", name)
        if "uses" in job:
            yield _uses((*at, "uses"), job["uses"])
        yield from _images((*at, "container"), job.get("container"), job, at)
        for service, body_of_service in mapping(job.get("services")).items():
            yield from _images((*at, "services", service), body_of_service, job, at)
    for at, step in steps(body):
        if "uses" in step:
            yield _uses((*at, "uses"), step["uses"])
    image = text(mapping(body.get("runs")).get("image"))
    if image.startswith("docker://"):
        yield _uses(("runs", "image"), image)


def _uses(at: Pointer, value: Any) -> Reference:
    name = value if isinstance(value, str) else str(value)
    if name.startswith("./"):
        return Reference(at, name, Kind.LOCAL, pinned=True)
    if name.startswith("docker://"):
        return _image(at, name, name.removeprefix("docker://"))
    match = _ACTION.fullmatch(name)
    if match is None:
        return Reference(at, name, Kind.EXPRESSION if "${{" in name else Kind.UNKNOWN, pinned=False)
    return Reference(at, name, Kind.ACTION, pinned=_COMMIT.fullmatch(match["ref"]) is not None)


def _images(at: Pointer, value: Any, job: dict[str, Any], job_at: Pointer) -> Iterator[Reference]:
    """The image of a container or service; when a matrix gives it, each of its values."""
    pointer = at if isinstance(value, str) else (*at, "image")
    name = value if isinstance(value, str) else text(mapping(value).get("image"))
    if not name:
        return
    match = _MATRIX.fullmatch(name)
    values = items(mapping(mapping(job.get("strategy")).get("matrix")).get(match[1])) if match else []
    if values and all(isinstance(each, str) for each in values):
        for index, each in enumerate(values):
            yield _image((*job_at, "strategy", "matrix", match[1] if match else "", index), each, each)
    else:
        yield _image(pointer, name, name)


def _image(at: Pointer, written: str, name: str) -> Reference:
    if "${{" in name:
        return Reference(at, written, Kind.EXPRESSION, pinned=False)
    image = try_parse(name)
    return Reference(at, written, Kind.UNKNOWN if image is None else Kind.IMAGE, pinned=image is not None and bool(image.digest))


def scripts(body: Mapping[str, Any]) -> Iterator[Script]:
    """What shells run, and what ``actions/github-script`` does."""
    for at, step in steps(body):
        if isinstance(step.get("run"), str):
            yield Script((*at, "run"), step["run"])
        inputs = mapping(step.get("with"))
        if text(step.get("uses")).startswith("actions/github-script@") and isinstance(inputs.get("script"), str):
            yield Script((*at, "with", "script"), inputs["script"])


def expressions(written: str) -> list[str]:
    """What stands in ``${{ }}``, with ``a['b']`` written as ``a.b``."""
    return [_BRACKET.sub(r".\1", found).strip() for found in _EXPRESSION.findall(written)]


def untrusted(written: str) -> list[str]:
    """The expressions in a script that put a stranger's text into it."""
    return [found for found in expressions(written) if _UNTRUSTED.search(found)]


def secret(written: str) -> list[str]:
    """The expressions in a script that put a secret into it."""
    return [found for found in expressions(written) if _SECRET.search(found)]


def runs_strangers_code(body: Mapping[str, Any]) -> Iterator[tuple[Pointer, str, str]]:
    """Where a workflow with the repository's rights fetches the code of a pull request: the place, what is there, and the event."""
    event = next((name for name in sorted(triggers(body)) if name in PRIVILEGED), "")
    if not event:
        return
    for at, step in steps(body):
        inputs = mapping(step.get("with"))
        if text(step.get("uses")).startswith("actions/checkout@"):
            for key in ("ref", "repository"):
                value = text(inputs.get(key))
                if any(_HEAD.search(found) for found in (value, *expressions(value))):
                    yield (*at, "with", key), f"{key}: {value}", event
        match = _HEAD_IN_SHELL.search(text(step.get("run")))
        if match is not None:
            yield (*at, "run"), match[0], event


def permission_faults(body: Mapping[str, Any]) -> Iterator[tuple[Pointer, str]]:
    """Where the rights of a workflow's token are not said, or are all of them."""
    if text(body.get("permissions")) == "write-all":
        yield ("permissions",), "permissions: write-all"
    for name, job in jobs(body).items():
        if text(job.get("permissions")) == "write-all":
            yield ("jobs", name, "permissions"), "permissions: write-all"
        elif "permissions" not in body and "permissions" not in job:
            yield ("jobs", name), f"job {name} has no permissions, and neither has its workflow"
