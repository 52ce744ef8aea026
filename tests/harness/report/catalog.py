"""The catalogue of rules: tests/CATALOG.md, generated from the rules themselves."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from harness.rules.base import Clusters, Files, Objects, WholeRepository

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.rules.base import Rule

#: Where the catalogue lies, relative to the repository.
CATALOG: Final = "tests/CATALOG.md"

#: What each family of rules is about, in the order of the design.
FAMILIES: Final = {
    "YML": "files and their YAML",
    "SCH": "schemas: what the API server accepts",
    "KUS": "kustomize builds",
    "FLX": "Flux: wiring, order, substitution, lockdown",
    "HLM": "Helm releases",
    "SEC": "secrets and Pod Security",
    "NET": "network policies",
    "RBC": "access",
    "POL": "admission policies",
    "OBS": "metrics, logs, traces, dashboards, alerts",
    "LIF": "lifecycle: removed APIs, retired components",
    "REP": "the repository and its own records",
    "LIV": "the live cluster",
}

_HEAD: Final = """\
# Catalogue of rules

Generated from `tests/harness` by `nox -s docs`; do not edit. A rule is data plus one function; it is held against every object its scope names, in
every cluster, and each pair is a test of its own: `nox -s static -- -k "{example}"`. Every rule has fixtures that fail and that pass in
`tests/data/rules/<id>/`. A finding can only be silenced by an entry in `tests/intent/waivers.yaml`.
"""


def catalog(rules: Iterable[Rule]) -> str:
    """The whole catalogue as Markdown: a table of families, then every rule with its reason, fix, scope and controls."""
    ordered = sorted(rules, key=lambda rule: (_rank(rule.family), rule.id))
    families = [(name, list(members)) for name, members in groupby(ordered, key=lambda rule: rule.family)]
    lines = [_HEAD.format(example=ordered[0].id if ordered else "FLX101"), "| family | about | rules |", "|---|---|---|"]
    lines += [f"| [{name}](#{name.lower()}) | {FAMILIES.get(name, '')} | {len(members)} |" for name, members in families]
    for name, members in families:
        lines += ["", f"## {name}", "", f"{_sentence(FAMILIES.get(name, name))}"]
        for rule in members:
            lines += ["", *_entry(rule)]
    return "\n".join(lines) + "\n"


def _rank(family: str) -> int:
    names = list(FAMILIES)
    return names.index(family) if family in FAMILIES else len(names)


def _entry(rule: Rule) -> list[str]:
    entry = [
        f"### {rule.id}: {_escape(rule.title)}",
        "",
        f"* severity: {rule.severity.value}",
        f"* scope: {scope(rule)}",
        f"* why: {_escape(rule.why)}",
        f"* fix: {_escape(rule.fix)}",
    ]
    if rule.controls:
        entry.append(f"* controls: {', '.join(rule.controls)}")
    if rule.claims:
        entry.append(f"* reports: {', '.join(f'`{code}`' for code in sorted(rule.claims))}")
    return entry


def scope(rule: Rule) -> str:
    """What a rule looks at, in words."""
    what = rule.scope
    if isinstance(what, Objects):
        text = ", ".join(f"`{kind}`" for kind in what.kinds) if what.kinds else "every object"
        text += ", where the rule applies" if what.where else ""
    else:
        text = {Files: "every YAML file Flux could apply", Clusters: "each cluster", WholeRepository: "the repository"}[type(what)]
    only_here = rule.own_only or (isinstance(what, WholeRepository) and what.own_only)
    return f"{text} (this project only)" if only_here else text


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _escape(text: str) -> str:
    """Text as Markdown shows it: angle brackets are no tags, a pipe is no cell."""
    return text.replace("<", "&lt;").replace(">", "&gt;").replace("|", "\\|")
