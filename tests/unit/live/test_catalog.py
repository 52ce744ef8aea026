"""The rules of the live tier are known: each stands in a module of rules, with an id of its own, and in the catalogue."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from harness.live.catalog import CATALOG, catalog, live_rules

ROOT = Path(__file__).parents[3]


def made_in(folder: str) -> dict[str, list[str]]:
    """The ids of the rules that each module makes, by path."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "LiveRule":
                (given,) = [keyword.value for keyword in node.keywords if keyword.arg == "id"]
                assert isinstance(given, ast.Constant)
                found.setdefault(str(path.relative_to(ROOT)), []).append(str(given.value))
    return found


def test_rules_stand_in_modules_of_rules() -> None:
    modules = [*made_in("tests/harness/live"), *made_in("tests/e2e")]
    assert [name for name in modules if Path(name).parent != Path("tests/harness/live/rules")] == []


def test_every_rule_is_known_and_has_an_id_of_its_own() -> None:
    made = [name for names in made_in("tests/harness/live").values() for name in names]
    assert [name for name, times in Counter(made).items() if times > 1] == []
    assert [rule.id for rule in live_rules()] == sorted(made)


def test_the_catalogue_is_current() -> None:
    assert (ROOT / CATALOG).read_text(encoding="utf-8") == catalog(), "run nox -s docs"


def test_the_catalogue_names_every_rule_and_control() -> None:
    text = catalog()
    for rule in live_rules():
        assert f"| {rule.id} | " in text
        assert all(f"\n| {control} | " in text for control in rule.controls)
