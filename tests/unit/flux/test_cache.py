from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from harness.flux.cache import Cache, default_root, digest
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

KEY = "0123456789abcdef"
OTHER = "fedcba9876543210"


def test_what_is_put_is_got_in_another_process_too(tmp_path: Path) -> None:
    Cache(tmp_path).put("render", KEY, b"data\nmore")
    assert Cache(tmp_path).get("render", KEY) == b"data\nmore"
    assert Cache(tmp_path).get("render", OTHER) is None
    assert Cache(tmp_path).get("chart", KEY) is None


def test_json_comes_back_as_it_was(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put_json("render", KEY, {"a": [1, None, "ü"]})
    assert cache.get_json("render", KEY) == {"a": [1, None, "ü"]}


def test_none_keeps_nothing() -> None:
    cache = Cache(None)
    cache.put("render", KEY, b"data")
    cache.put_json("render", KEY, {})
    assert cache.get("render", KEY) is None
    assert cache.get_json("render", KEY) is None
    assert cache.prune() == 0


@pytest.mark.parametrize(
    "damage", [b"", b"plimsoll1 4 00000000\nabcd", b"no header", b"plimsoll1 9 ed82cd11\nabcd"], ids=["empty", "checksum", "header", "length"]
)
def test_damaged_entries_are_removed(tmp_path: Path, damage: bytes) -> None:
    cache = Cache(tmp_path)
    cache.put("render", KEY, b"abcd")
    path = cache.path("render", KEY)
    assert path is not None
    path.write_bytes(damage)
    assert cache.get("render", KEY) is None
    assert not path.exists()


def test_an_entry_that_is_no_json_is_removed(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put("render", KEY, b"{")
    assert cache.get_json("render", KEY) is None
    assert cache.get("render", KEY) is None


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    cache = Cache(blocked)
    cache.put("render", KEY, b"data")
    assert cache.get("render", KEY) is None


@pytest.mark.parametrize(("kind", "key", "message"), [("Render", KEY, "not lower-case words"), ("render", "../../etc/passwd", "not a hexadecimal digest")])
def test_names_that_could_lead_elsewhere_are_refused(tmp_path: Path, kind: str, key: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Cache(tmp_path).get(kind, key)


def test_pruning_removes_what_was_unused_for_longest(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    now = time.time()
    for number in range(5):
        key = f"{number:016x}"
        cache.put("render", key, b"x" * 1000)
        path = cache.path("render", key)
        assert path is not None
        os.utime(path, (now - 100 + number, now - 100 + number))
    # Getting is using.
    assert cache.get("render", f"{0:016x}") is not None
    assert cache.prune(size=2200) > 2000
    assert [number for number in range(5) if cache.get("render", f"{number:016x}") is not None] == [0, 4]


def test_pruning_removes_what_a_dead_writer_left(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put("render", KEY, b"data")
    path = cache.path("render", KEY)
    assert path is not None
    old, new = path.parent / ".write-old", path.parent / ".write-new"
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    cache.prune()
    assert (old.exists(), new.exists(), path.exists()) == (False, True, True)


def test_many_writers_of_one_key_leave_one_whole_entry(tmp_path: Path) -> None:
    data = os.urandom(200_000)
    seen: list[bytes | None] = []

    def work() -> None:
        cache = Cache(tmp_path)
        for _ in range(10):
            cache.put("render", KEY, data)
            seen.append(cache.get("render", KEY))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {data}
    assert [path.name for path in (tmp_path / "render" / KEY[:2]).iterdir()] == [KEY]


def test_the_default_follows_the_base_directory_specification(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_root() == tmp_path / "plimsoll"
    assert Cache().root == tmp_path / "plimsoll"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_root() == tmp_path / "home" / ".cache" / "plimsoll"


def test_digests_do_not_collide_by_concatenation() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("1") != digest(1)
    assert digest(b"a") != digest("a")
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    with pytest.raises(TypeError):
        digest(object())


TEXTS = st.lists(st.text(max_size=4) | st.integers(0, 3), max_size=4)


@settings(max_examples=50)
@given(TEXTS, TEXTS)
def test_lists_of_parts_have_the_same_digest_only_when_they_are_the_same(left: list[Any], right: list[Any]) -> None:
    assert (digest(*left) == digest(*right)) == (left == right)
