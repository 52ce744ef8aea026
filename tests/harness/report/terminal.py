"""Findings and the ledger as text. The same block stands in the terminal, in JUnit and in pull-request annotations."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.model import Finding, NotEvaluated

_LABEL = 8


def block(finding: Finding) -> str:
    """The block of one finding: what, where, found, expected, why, fix. Never a dump of the document."""
    lines = [f"{finding.rule} {finding.subject}"]
    fields = (("at", str(finding.location)), ("found", finding.found), ("expect", finding.expect), ("why", finding.why), ("fix", finding.fix))
    for label, text in fields:
        first, *rest = _short(text).splitlines() or [""]
        lines.append(f"  {label:<{_LABEL}}{first}")
        lines += [f"  {'':<{_LABEL}}{line}" for line in rest]
    return "\n".join(lines)


def ledger(entries: Iterable[NotEvaluated], *, full: bool = False) -> list[str]:
    """What was not evaluated, one line a reason with its count; with ``full`` every subject."""
    known = list(entries)
    if full:
        return [f"{entry.subject}: {entry.what}: {entry.why}" for entry in sorted(known, key=lambda entry: (entry.what, entry.why, entry.subject))]
    reasons = Counter((entry.what, entry.why) for entry in known)
    examples = {(entry.what, entry.why): entry.subject for entry in reversed(known)}
    lines = []
    for (what, why), count in sorted(reasons.items()):
        others = f" and {count - 1} more" if count > 1 else ""
        lines.append(f"{what}: {why} ({examples[what, why]}{others})")
    return lines


def _short(text: str, limit: int = 2000) -> str:
    return text if len(text) <= limit else f"{text[:limit]} … ({len(text) - limit} characters more)"
