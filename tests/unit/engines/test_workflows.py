"""Workflows of GitHub: what they run, on what, and with whose rights; in every shape that the syntax allows."""

from __future__ import annotations

from typing import Any

import pytest
from harness.engines import workflows
from harness.engines.workflows import Kind
from hypothesis import given, settings
from hypothesis import strategies as st

COMMIT = "3d3c42e5aac5ba805825da76410c181273ba90b1"


def job(**fields: Any) -> dict[str, Any]:
    return {"on": "push", "jobs": {"build": fields}}


@pytest.mark.parametrize(
    ("on", "events"),
    [
        ("push", {"push": {}}),
        (["push", "pull_request"], {"push": {}, "pull_request": {}}),
        ({"pull_request": None, "push": {"branches": ["main"]}}, {"pull_request": {}, "push": {"branches": ["main"]}}),
        (None, {}),
        (7, {}),
    ],
)
def test_triggers(on: Any, events: dict[str, Any]) -> None:
    assert workflows.triggers({"on": on}) == events


def test_a_parser_that_reads_on_as_true_is_understood() -> None:
    assert workflows.triggers({True: "push"}) == {"push": {}}


@pytest.mark.parametrize(
    ("uses", "kind", "pinned"),
    [
        (f"actions/checkout@{COMMIT}", Kind.ACTION, True),
        (f"actions/cache/restore@{COMMIT}", Kind.ACTION, True),
        (f"x/y/.github/workflows/z.yml@{COMMIT}", Kind.ACTION, True),
        ("actions/checkout@v7.0.1", Kind.ACTION, False),
        (f"actions/checkout@{COMMIT[:7]}", Kind.ACTION, False),
        (f"actions/checkout@{COMMIT.upper()}", Kind.ACTION, False),
        ("./.github/actions/x", Kind.LOCAL, True),
        ("docker://alpine:3.20", Kind.IMAGE, False),
        (f"docker://alpine@sha256:{'a' * 64}", Kind.IMAGE, True),
        ("docker://Alpine", Kind.UNKNOWN, False),
        ("actions/checkout", Kind.UNKNOWN, False),
        ("${{ inputs.action }}", Kind.EXPRESSION, False),
        (7, Kind.UNKNOWN, False),
    ],
)
def test_uses(uses: Any, kind: Kind, pinned: bool) -> None:
    (found,) = workflows.references(job(steps=[{"uses": uses}]))
    assert (found.kind, found.pinned, found.at) == (kind, pinned, ("jobs", "build", "steps", 0, "uses"))


def test_a_matrix_of_images_is_looked_at_one_by_one() -> None:
    matrix = {"matrix": {"image": ["rust:1.80.0", f"rust@sha256:{'a' * 64}"]}}
    found = list(workflows.references(job(container="${{ matrix.image }}", strategy=matrix)))
    assert [(each.text, each.pinned, each.at[-2:]) for each in found] == [
        ("rust:1.80.0", False, ("image", 0)),
        (f"rust@sha256:{'a' * 64}", True, ("image", 1)),
    ]


UNTRUSTED = [
    "github.event.issue.title",
    "github.event.issue['body']",
    "github.event.comment.body",
    "github.event.review.body",
    "github.event.pull_request.head.ref",
    "github.event.pull_request.head.repo.default_branch",
    "github.event.commits[0].message",
    "github.event.commits.*.author.name",
    "github.event.head_commit.author.email",
    "github.event.pages[0].page_name",
    "github.event.discussion.title",
    "github.event.workflow_run.head_branch",
    "format('{0}', github.head_ref)",
    "GitHub.Event.Pull_Request.Title",
]
TRUSTED = [
    "github.sha",
    "github.ref_name",
    "github.event.pull_request.number",
    "github.event.pull_request.head.sha",
    "steps.x.outputs.title",
    "github.event.issue.title_of_something",
]


@pytest.mark.parametrize("expression", UNTRUSTED)
def test_what_strangers_write(expression: str) -> None:
    assert len(workflows.untrusted(f"echo ${{{{ {expression} }}}} ${{{{ github.sha }}}}")) == 1


@pytest.mark.parametrize("expression", TRUSTED)
def test_what_strangers_do_not_write(expression: str) -> None:
    assert workflows.untrusted(f"echo ${{{{ {expression} }}}}") == []
    assert workflows.untrusted(f"echo {expression}") == []


def test_secrets_in_scripts() -> None:
    assert workflows.secret("a ${{ secrets.A }} ${{ secrets['B'] }} ${{ env.secrets_of_nobody }}") == ["secrets.A", "secrets.B"]


@pytest.mark.parametrize(
    ("event", "step", "found"),
    [
        ("pull_request_target", {"uses": "actions/checkout@v7", "with": {"ref": "${{ github.event.pull_request.head.sha }}"}}, 1),
        ("pull_request_target", {"uses": "actions/checkout@v7", "with": {"ref": "refs/pull/${{ github.event.number }}/merge"}}, 1),
        ("pull_request_target", {"uses": "actions/checkout@v7", "with": {"repository": "${{ github.event.pull_request.head.repo.full_name }}"}}, 1),
        ("issue_comment", {"run": "git fetch origin pull/7/head && make"}, 1),
        ("pull_request_target", {"uses": "actions/checkout@v7", "with": {"ref": "main"}}, 0),
        ("pull_request", {"uses": "actions/checkout@v7", "with": {"ref": "${{ github.head_ref }}"}}, 0),
    ],
)
def test_code_of_strangers(event: str, step: dict[str, Any], found: int) -> None:
    assert len(list(workflows.runs_strangers_code({"on": {event: {}}, "jobs": {"x": {"steps": [step]}}}))) == found


@pytest.mark.parametrize(
    ("top", "inner", "faults"),
    [
        ({}, {}, 1),
        ({"permissions": {}}, {}, 0),
        ({}, {"permissions": {"contents": "read"}}, 0),
        ({"permissions": "write-all"}, {}, 1),
        ({"permissions": "read-all"}, {"permissions": "write-all"}, 1),
    ],
)
def test_permissions(top: dict[str, Any], inner: dict[str, Any], faults: int) -> None:
    assert len(list(workflows.permission_faults({**job(**inner), **top}))) == faults


KEYS = st.sampled_from(["on", "jobs", "steps", "uses", "run", "with", "container", "services", "image", "runs", "permissions"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.sampled_from(["on", "jobs", "runs", "permissions"]), ANYTHING))
def test_input_of_any_shape_is_read_without_an_error(body: dict[str, Any]) -> None:
    assert isinstance([*workflows.references(body), *workflows.scripts(body), *workflows.permission_faults(body), *workflows.runs_strangers_code(body)], list)
