from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from harness.source import repository as module
from harness.source.paths import confine, join, normalise, relative
from harness.source.repository import Repository, UnreadableError
from hypothesis import given
from hypothesis import strategies as st

GIT = shutil.which("git") or "git"


def write(root: Path, files: dict[str, str | bytes]) -> Repository:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Repository(root)


def problems(repository: Repository) -> list[tuple[str, str, str]]:
    return [(each.code, str(each.location), each.message) for each in repository.problems]


def git(root: Path, *arguments: str) -> None:
    subprocess.run([GIT, "-C", str(root), *arguments], check=True, capture_output=True)


def test_files_are_sorted_and_can_be_asked_for_by_folder(tmp_path: Path) -> None:
    repository = write(tmp_path, {"b/y.yaml": "", "b/x.yaml": "", "b-c/z.yaml": "", "a.yaml": "", "b.yaml": "", ".git/config": ""})
    assert repository.files() == ("a.yaml", "b-c/z.yaml", "b.yaml", "b/x.yaml", "b/y.yaml")
    assert repository.files("b") == repository.files("b/") == ("b/x.yaml", "b/y.yaml")
    assert repository.files("a.yaml") == ("a.yaml",)
    assert repository.files("nothing") == ()
    assert (repository.is_dir("b"), repository.is_dir(""), repository.is_dir("a.yaml"), repository.is_dir("c")) == (True, True, False, False)
    assert (repository.exists("b"), repository.exists("b/x.yaml"), repository.exists("b/z.yaml")) == (True, True, False)


def test_a_root_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="missing is not a directory"):
        Repository(tmp_path / "missing")


def test_git_decides_in_a_work_tree(tmp_path: Path) -> None:
    names = ("tracked.yaml", "deleted.yaml", "ignored.yaml", "build/x.yaml", "é x.yaml")
    write(tmp_path, {".gitignore": "ignored.yaml\nbuild/\n", **dict.fromkeys(names, "")})
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "tracked.yaml", "deleted.yaml")
    (tmp_path / "deleted.yaml").unlink()
    repository = Repository(tmp_path)
    assert repository.files() == (".gitignore", "tracked.yaml", "é x.yaml")
    with pytest.raises(UnreadableError, match="git ignores the file, so no cluster will get it"):
        repository.read("ignored.yaml")
    with pytest.raises(UnreadableError, match="there is no such file"):
        repository.read("never.yaml")


def test_a_repository_inside_a_repository_is_walked(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    write(tmp_path / "sub", {"x.yaml": ""})
    git(tmp_path / "sub", "init", "-q")
    assert Repository(tmp_path).files() == ("sub/x.yaml",)


def test_a_folder_of_a_work_tree_is_a_repository_too(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    write(tmp_path, {"x.yaml": "", "sub/y.yaml": ""})
    assert Repository(tmp_path / "sub").files() == ("y.yaml",)


def test_symlinks_are_followed_inside_only(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(root, {"real/x.yaml": "a: 1\n", "real/deep/y.yaml": ""})
    (tmp_path / "secret.yaml").write_text("a: 1\n")
    (root / "link").symlink_to("real")
    (root / "file.yaml").symlink_to("real/x.yaml")
    (root / "out.yaml").symlink_to("../secret.yaml")
    (root / "gone.yaml").symlink_to("nowhere")
    (root / "self.yaml").symlink_to("self.yaml")
    (root / "real/up").symlink_to("..")
    (root / "real/deep/again").symlink_to("../../link")
    repository = Repository(root)
    assert repository.files() == ("file.yaml", "link/deep/y.yaml", "link/x.yaml", "real/deep/y.yaml", "real/x.yaml")
    assert repository.documents("file.yaml")[0].locate(("a",)).path == "file.yaml"
    assert {(code, place, message) for code, place, message in problems(repository) if not place.startswith("link")} == {
        ("file-missing", "gone.yaml", "the symlink points to nowhere, which does not exist"),
        ("file-outside-repository", "out.yaml", "the symlink points to ../secret.yaml, outside the repository"),
        ("file-symlink-loop", "real/deep/again", "the symlink points to ../../link, a directory that contains it"),
        ("file-symlink-loop", "real/up", "the symlink points to .., a directory that contains it"),
        ("file-symlink-loop", "self.yaml", "the symlink points to self.yaml, which leads back to itself"),
    }


def test_pipes_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    assert Repository(tmp_path).files() == ()


def test_each_file_is_parsed_once(tmp_path: Path) -> None:
    repository = write(tmp_path, {"a.yaml": "a: 1\n---\nb: 1\n"})
    first = repository.documents("a.yaml")
    (tmp_path / "a.yaml").write_text("changed: true\n")
    assert repository.documents("a.yaml") is first
    assert [each.body for each in first] == [{"a": 1}, {"b": 1}]
    assert repository.text("a.yaml") == "a: 1\n---\nb: 1\n"
    assert repository.digest("a.yaml") == hashlib.sha256(b"a: 1\n---\nb: 1\n").hexdigest()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a: \xff\n", ("yaml-encoding", "f.yaml:1", "byte 0xff at position 3 is not UTF-8")),
        ("a: 1\n".encode("utf-16"), ("yaml-encoding", "f.yaml:1", "the file is UTF-16: save it as UTF-8")),
        (b"\x7fELF\x00\x01", ("file-binary", "f.yaml", "the file is binary")),
        (b"a: 1\n---\n- b\n", ("yaml-not-a-mapping", "f.yaml:3", "the document is a list, not a mapping")),
        (b"text\n", ("yaml-not-a-mapping", "f.yaml:1", "the document is a single value, not a mapping")),
    ],
)
def test_unreadable_files_are_problems(tmp_path: Path, content: bytes, problem: tuple[str, str, str]) -> None:
    repository = write(tmp_path, {"f.yaml": content})
    repository.documents("f.yaml")
    repository.documents("f.yaml")
    assert problems(repository) == [problem]
    assert repository.problems_of(["f.yaml", "g.yaml"]) == repository.problems


def test_files_that_are_too_large_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SIZE", 10)
    repository = write(tmp_path, {"f.yaml": "a: 1234567\n"})
    assert repository.documents("f.yaml") == ()
    assert problems(repository) == [("file-too-large", "f.yaml", "the file has 11 bytes, at most 10 are read")]


def test_json_patches_are_no_objects_and_no_problems(tmp_path: Path) -> None:
    repository = write(tmp_path, {"patch.yaml": "- {op: add, path: /a, value: 1}\n", "both.yaml": "a: 1\n---\n- {op: remove, path: /a}\n"})
    assert repository.documents("patch.yaml") == ()
    assert [each.body for each in repository.documents("both.yaml")] == [{"a": 1}]
    assert repository.parsed("patch.yaml").documents[0].body == [{"op": "add", "path": "/a", "value": 1}]
    assert problems(repository) == []


@pytest.mark.parametrize(
    ("path", "short"),
    [
        *(("", ""), (".", ""), ("./", ""), ("a/../b", "b"), ("a//b/", "a/b"), ("a/..", "")),
        *(("..", None), ("../a", None), ("a/../../b", None), ("/a", None), ("a\x00", None)),
    ],
)
def test_normalise(path: str, short: str | None) -> None:
    assert normalise(path) == short


@pytest.mark.parametrize(
    ("directory", "reference", "short"),
    [("a/b", "../c", "a/c"), ("a", "../..", None), ("a", "/etc/passwd", None), ("", "x", "x"), ("a", "..", ""), ("a", "../../root/a", None)],
)
def test_join(directory: str, reference: str, short: str | None) -> None:
    assert join(directory, reference) == short


@pytest.mark.parametrize(("path", "short"), [("", ""), ("./", ""), ("/a/b", "a/b"), ("../../a", "a"), ("a/../../b", "b"), ("./clusters/kind", "clusters/kind")])
def test_confine(path: str, short: str) -> None:
    assert confine(path) == short


PARTS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=4).map("/".join)


@given(PARTS, PARTS)
def test_relative_and_join_are_inverse(path: str, start: str) -> None:
    assert join(start, relative(path, start)) == path


@given(st.lists(st.sampled_from(["a", "b", "..", ".", ""]), max_size=8).map("/".join))
def test_normalise_agrees_with_the_file_system(path: str) -> None:
    real = str(Path(f"/nowhere/{path}").resolve())
    inside = not path.startswith("/") and (real == "/nowhere" or real.startswith("/nowhere/"))
    assert normalise(path) == (real.removeprefix("/nowhere").lstrip("/") if inside else None)
