"""The rules of the live tier: every module of :mod:`harness.live.rules` holds those of one subject; tests/LIVE.md is generated from them."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Final

from harness.live import rules
from harness.live.findings import LiveRule

#: Where the catalogue lies, relative to the repository.
CATALOG: Final = "tests/LIVE.md"
_HEAD: Final = """\
# What the live tier proves

Generated from `tests/harness/live/rules/` by `nox -s docs`; do not edit. `nox -s e2e` holds each against a running cluster (`tests/e2e/`); what a run
could not look at is listed in it, with the reason. `python -m harness explain LIV104` explains one.

| rule | it must hold that | controls |
|---|---|---|
"""
_CONTROLS: Final = """\
Controls (`docs/compliance.md` has their names, and what serves them in Git):

| control | proven alive by |
|---|---|"""


def live_rules() -> list[LiveRule]:
    """All of them, by id."""
    modules = sorted(name for _finder, name, _is_package in iter_modules(rules.__path__, f"{rules.__name__}."))
    found = [value for name in modules for value in vars(import_module(name)).values() if isinstance(value, LiveRule)]
    return sorted({rule.id: rule for rule in found}.values(), key=lambda rule: rule.id)


def catalog() -> str:
    """The catalogue as Markdown."""
    known = live_rules()
    rows = [f"| {rule.id} | {rule.title.replace('|', chr(92) + '|')} | {', '.join(rule.controls)} |" for rule in known]
    controls = sorted({control for rule in known for control in rule.controls})
    served = [f"| {control} | {', '.join(rule.id for rule in known if control in rule.controls)} |" for control in controls]
    return _HEAD + "\n".join([*rows, "", _CONTROLS, *served]) + "\n"
