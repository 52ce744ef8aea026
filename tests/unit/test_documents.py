"""What the documents name exists: paths, sessions, commands, rules. A README stays short enough to be read."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from harness.__main__ import parser
from harness.commands import COMMANDS, bootstrap
from harness.rules import all_rules

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "tests/README.md", "clusters/README.md", "SECURITY.md", "docs/operations.md")
#: Made by a command, or part of an example.
PLACEHOLDER = re.compile(r"[<>*]|\bDIR\b|/\.\.\./|^\.venv/|clusters/test/")
SESSIONS = set(re.findall(r"^def (\w+)\(session: nox\.Session\)", (ROOT / "noxfile.py").read_text(encoding="utf-8"), re.MULTILINE))
RULES = {rule.id for rule in all_rules()}


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def quoted(name: str) -> list[str]:
    """What stands in backticks outside of blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text(name), flags=re.DOTALL))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_path_it_names_exists(name: str) -> None:
    folders = (ROOT, (ROOT / name).parent, ROOT / "clusters", ROOT / "clusters" / "kind")
    paths = [word for word in quoted(name) if re.fullmatch(r"[\w.-]*(/[\w.-]*)+|[\w-]+\.(md|yaml|toml|py)", word) and not PLACEHOLDER.search(word)]
    assert [path for path in paths if not any((folder / path).exists() for folder in folders)] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_nox_session_it_names_exists(name: str) -> None:
    named = {word for match in re.findall(r"nox -s ((?:[a-z0-9]+[ `])+|[a-z0-9]+)", text(name)) for word in match.replace("`", " ").split()[:1]}
    assert named <= SESSIONS


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_rule_it_names_exists(name: str) -> None:
    assert set(re.findall(r"\b[A-Z]{3}[1-9][0-9]{2}\b", text(name))) <= RULES


def test_readme_asks_only_commands_that_exist() -> None:
    asked = re.findall(r"nox -s harness -- ([a-z]+)", text("README.md"))
    assert asked
    assert set(asked) <= set(COMMANDS)


def test_operations_names_only_commands_that_can_be_given() -> None:
    where = "--cluster production --context production"
    lines = [line.strip() for line in text("docs/operations.md").splitlines() if line.strip().startswith("python -m harness ")]
    assert len(lines) > 10
    for line in lines:
        assert parser().parse_args(shlex.split(line.replace("WHERE", where))[3:]).run, line


def test_operations_names_what_the_bootstrap_has() -> None:
    named = set(re.findall(r"bootstrap ([a-z-]+)", text("docs/operations.md") + text("docs/runbooks.md")))
    assert named >= {"plan", "flux", "sealing-key", "seal", "vault", "status"}
    assert named - {"is"} <= set(bootstrap.COMMANDS)


def test_every_chapter_that_is_linked_exists() -> None:
    chapters = {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text("docs/operations.md"), re.MULTILINE)}
    linked = set(re.findall(r"\]\((?:operations\.md)?#([\w-]+)\)", text("docs/operations.md") + text("docs/runbooks.md")))
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "harness").rglob("bootstrap*/**/*.py"))
    sources += "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "harness" / "live").glob("bootstrap*.py"))
    linked |= {name.lower().replace(" ", "-") for name in re.findall(r"docs/operations\.md, ([A-Z][a-z-]+(?: [a-z]+)*)", sources)}
    assert len(linked) > 5
    assert linked <= chapters


def test_readme_is_short() -> None:
    assert len(text("README.md").splitlines()) <= 150


def test_help_names_every_command_and_the_exit_codes() -> None:
    help_text = parser().format_help()
    assert [name for name in COMMANDS if name not in help_text] == []
    assert "0 clean, 1 findings, 2 could not check" in help_text


def test_ci_runs_the_commands_of_the_readme() -> None:
    script = text(".ci/run")
    for step in ("python3 -m venv .venv", ".venv/bin/pip install", "--require-hashes", "requirements/nox.txt", ".venv/bin/nox"):
        assert step in script
        assert step in text("README.md").replace("-q --require", "--quiet --require")


def test_no_lock_file_names_an_index() -> None:
    pins = sorted((ROOT / "requirements").glob("*.txt"))
    assert pins
    assert [path.name for path in pins if re.search(r"https?://|--index-url|--find-links", path.read_text(encoding="utf-8"))] == []
