"""What an API server's answer says of a request: let through, refused by a policy, or refused by somebody else before any policy was asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from harness.engines.policy import Status

if TYPE_CHECKING:
    from harness.engines.policy import Result
    from harness.live.reach.api import Reply

#: How Kyverno's webhooks and the API server itself word a refusal.
_KYVERNO: Final = re.compile(r'admission webhook "[^"]+" denied the request: Policy (?P<policy>\S+) (?P<how>failed|error): (?P<message>.*)', re.DOTALL)
_NATIVE: Final = re.compile(r"ValidatingAdmissionPolicy '(?P<policy>[^']+)' with binding '[^']+' denied request: (?P<message>.*)", re.DOTALL)
_SHOWN: Final = 300


class Outcome(Enum):
    """What became of a request."""

    ALLOWED = "allowed"
    DENIED = "denied"
    ERROR = "error"
    """A policy could not be evaluated."""
    REFUSED = "refused"
    """By somebody else: authorisation, validation, another plugin."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome, with the policy that brought it about and its words."""

    outcome: Outcome
    policy: str = ""
    message: str = ""

    def __str__(self) -> str:
        return self.outcome.value + (f" by {self.policy}" if self.policy else "") + (f": {self.message[:_SHOWN]}" if self.message else "")


def verdict_of(answer: Reply, *, connect: bool = False) -> Verdict:
    """What an answer says. A connect to a pod that is not there was let through by admission, which comes before looking for it."""
    if 200 <= answer.status < 300:
        return Verdict(Outcome.ALLOWED)
    message = answer.message
    found = _KYVERNO.search(message)
    if found is not None:
        return Verdict(Outcome.DENIED if found["how"] == "failed" else Outcome.ERROR, found["policy"], squeezed(found["message"]))
    found = _NATIVE.search(message)
    if found is not None:
        return Verdict(Outcome.DENIED, found["policy"], squeezed(found["message"]))
    # All of these come after the policies: quotas are the last to be asked.
    if (answer.status == 409 and "already exists" in message) or (connect and answer.status == 404) or "exceeded quota: " in message:
        return Verdict(Outcome.ALLOWED)
    return Verdict(Outcome.REFUSED, "", squeezed(message))


def complaint(offline: Result | None, live: Verdict, policy: str) -> str:
    """How a cluster's verdict differs from the offline engine's, in one line; nothing when they agree.

    ``policy`` is the name by which the policy is known in the cluster.
    """
    if offline is None or offline.status in (Status.PASS, Status.SKIP):
        return "" if live.outcome is Outcome.ALLOWED else str(live)
    if offline.status is not Status.FAIL:
        return f"{live}; the offline engine says {offline.status.value}"
    if live.outcome is not Outcome.DENIED or live.policy != policy:
        return str(live)
    said = squeezed(offline.message)
    return "" if live.message == said else f"denied with {live.message!r}, offline with {said!r}"


def squeezed(value: str) -> str:
    """Text on one line, each gap a single space."""
    return " ".join(value.split())
