from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from harness.flux.sourceignore import SourceIgnore
from harness.source.repository import Repository
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path


class Files:
    """A repository in memory."""

    def __init__(self, files: dict[str, str]) -> None:
        self._files = files

    def files(self) -> tuple[str, ...]:
        return tuple(sorted(self._files))

    def text(self, path: str) -> str:
        return self._files[path]


def admitted(patterns: str, *paths: str) -> list[str]:
    view = SourceIgnore(Files({".sourceignore": patterns}))  # type: ignore[arg-type]
    return [path for path in paths if view.admits(path)]


# Rows follow the tests of fluxcd/pkg/sourceignore/gitignore.
@pytest.mark.parametrize(
    ("patterns", "path", "enters"),
    [
        ("*.txt", "a/b.txt", False),
        ("*.txt", "a/b.yaml", True),
        ("/a.yaml", "a.yaml", False),
        ("/a.yaml", "b/a.yaml", True),
        ("a", "x/a/y.yaml", False),
        ("a/", "a/y.yaml", False),
        ("a/", "x/a", True),
        ("a/b", "a/b/c.yaml", False),
        ("a/b", "x/a/b/c.yaml", True),
        ("**/b", "x/a/b/c.yaml", False),
        ("**/b", "b/c.yaml", False),
        ("a/**/c", "a/x/y/c", False),
        ("a/**/c", "a/c", False),
        ("a/**", "a/x", False),
        ("/a*/", "abc/x.yaml", False),
        ("a?c", "abc", False),
        ("[a-c].yaml", "b.yaml", False),
        ("[^a-c].yaml", "b.yaml", True),
        ("\\*.yaml", "b.yaml", True),
        ("[", "[", True),
        ("# comment\n\n", "# comment", True),
        ("*\n!*.yaml", "a/b.yaml", True),
        ("a/\n!a/b.yaml", "a/b.yaml", True),
        ("!a/b.yaml\na/", "a/b.yaml", False),
        ("a.yaml  ", "a.yaml", False),
        (".github/", ".github/x.yaml", False),
        ("nothing", ".github/x.yaml", True),
        ("nothing", "x.png", True),
        ("nothing", ".git/config", False),
        ("", ".github/x.yaml", False),
        ("", "x.png", False),
        ("", "a/.sops.yaml", False),
        ("", "a/b.yaml", True),
    ],
)
def test_pattern(patterns: str, path: str, enters: bool) -> None:
    assert admitted(patterns, path) == ([path] if enters else [])


def test_an_allow_list() -> None:
    paths = ["README.md", "clusters/a/b.yaml", "docs/clusters/x.yaml", "policies/p.yaml", "tests/x.yaml"]
    assert admitted("/*\n!/clusters/\n!/policies/\n", *paths) == ["clusters/a/b.yaml", "policies/p.yaml"]


def test_deeper_files_and_the_source_come_last(tmp_path: Path) -> None:
    for name, text in {".sourceignore": "*.yaml\n", "a/.sourceignore": "!x.yaml\n", "a/x.yaml": "", "a/b/x.yaml": "", "x.yaml": ""}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    repository = Repository(tmp_path)
    assert [path for path in repository.files() if SourceIgnore(repository).admits(path)] == [".sourceignore", "a/.sourceignore", "a/b/x.yaml", "a/x.yaml"]
    view = SourceIgnore(repository, "/a/b/\n")
    assert [path for path in repository.files() if view.admits(path)] == [".sourceignore", "a/.sourceignore", "a/x.yaml"]


NAMES = st.sampled_from(["a", "b", "c.yaml"])


@settings(max_examples=50)
@given(st.lists(NAMES, min_size=1, max_size=4), st.lists(st.sampled_from(["a", "b", "c.yaml", "*", "**", "*.yaml"]), min_size=1, max_size=3))
def test_an_anchored_pattern_takes_a_path_and_what_is_below_it(names: list[str], parts: list[str]) -> None:
    """Against trying every way to lay the pattern over the beginnings of the path."""

    def fits(parts: list[str], names: list[str]) -> bool:
        if not parts:
            return not names
        if parts[0] == "**":
            return any(fits(parts[1:], names[skip:]) for skip in range(len(names) + 1))
        same = names and (parts[0] in (names[0], "*") or (parts[0] == "*.yaml" and names[0].endswith(".yaml")))
        return bool(same) and fits(parts[1:], names[1:])

    excluded = any(fits(parts, names[:length]) for length in range(1, len(names) + 1))
    assert admitted("/" + "/".join(parts), "/".join(names)) == ([] if excluded else ["/".join(names)])
