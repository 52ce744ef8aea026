from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from harness.flux import documents as module
from harness.flux.cache import Cache
from harness.flux.documents import Documents, Fault, split
from harness.flux.outcome import Gap, Outcome, Rendering, Trouble, from_json, to_json
from harness.flux.rendered import ChartFacts

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

LARGE = "a:\n" + "".join(f"  key{number}: {'x' * 30}\n" for number in range(600))


def test_documents_of_what_helm_prints() -> None:
    text = "---\n# Source: a\nkind: A\n---\n# only a comment\n---\nkind: B\ntext: |\n  ---\n  inside\n--- # comment\nkind: C\n"
    assert [part.strip() for part in split(text)] == ["# Source: a\nkind: A", "kind: B\ntext: |\n  ---\n  inside", "kind: C"]


def test_a_text_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real = module.parse
    monkeypatch.setattr(module, "parse", lambda text, *rest, **more: calls.append(text) or real(text, *rest, **more))
    documents = Documents(Cache(None))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: documents.read(LARGE), range(20)))
    assert len(calls) == 1
    assert all(item is found[0] for item in found)


def test_large_documents_are_kept_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Documents(Cache(tmp_path)).read(LARGE)

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("it was read again")

    monkeypatch.setattr(module, "parse", never)
    again = Documents(Cache(tmp_path))
    assert again.read(LARGE).body == first.body
    assert Documents(Cache(tmp_path)).recall(first.key) == first.body
    assert Documents(Cache(None)).recall(first.key) is None


def test_what_is_wrong_with_a_document() -> None:
    documents = Documents(Cache(None))
    twice = documents.read("a: 1\nb: 2\na: 3\n")
    assert (twice.body is not None, [(fault.code, fault.line) for fault in twice.faults]) == (True, [("yaml-duplicate-key", 2)])
    assert documents.read("a: [").body is None
    assert documents.read("# nothing\n").body == {}
    assert documents.read("a: 1\n---\nb: 1\n").faults == (Fault("yaml-syntax", 0, "it holds more than one document"),)


def test_outcomes_come_back_from_the_cache(tmp_path: Path) -> None:
    documents = Documents(Cache(tmp_path))
    large = documents.read(LARGE)
    assert large.body is not None
    outcome = Outcome(
        documents=(Rendering(large.body, "a.yaml", large.key, crd=True), Rendering({"b": [1]}, "b.yaml", patched=((("b", 0), ("spec", "x")),))),
        troubles=(Trouble("helm-render", "values", ("a", 0), "message"),),
        gaps=(Gap(1, "what", "why"),),
        unknown=(("a", "b"),),
        chart=ChartFacts("n", "1", "2", ">=1", deprecated=True, digest="d", schema_unread=("x",)),
    )
    kept = to_json(outcome)
    assert "body" not in kept["documents"][0]
    assert from_json(kept, documents.recall) == outcome
    assert from_json(kept, lambda _: None) is None
    for damaged in (None, {}, {"documents": [{}]}, {**kept, "gaps": [[1]]}, {**kept, "documents": 3}):
        assert from_json(damaged, documents.recall) is None
