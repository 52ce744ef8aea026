"""What went wrong, and what was not looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.model.origin import Location


class Severity(StrEnum):
    """How bad a finding is, in SARIF's words."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that stopped part of a repository from being read, built or rendered.

    ``code`` is a stable reason such as ``yaml-syntax`` or ``kustomize-build``; a rule claims each code, so that every
    problem becomes a finding. ``subject`` is the printed id of the object it concerns (``production/HelmRelease/loki/loki``),
    or the path of the file when there is none.
    """

    code: str
    subject: str
    location: Location
    message: str


@dataclass(frozen=True, slots=True)
class NotEvaluated:
    """Something that nobody looked at, and why. Printed in the ledger; never silent."""

    subject: str
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation of one rule by one subject."""

    rule: str
    subject: str
    location: Location
    found: str
    expect: str
    why: str
    fix: str
    severity: Severity = Severity.ERROR

    @property
    def case(self) -> str:
        """The id of the case, as it is pasted into ``-k``: ``FLX104-production/Kustomization/flux-system/cert-manager``."""
        return f"{self.rule}-{self.subject}"
