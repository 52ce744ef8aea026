"""Making Flux do something now, and what it says that it did: requests, conditions, revisions, history.

Sources: fluxcd/pkg/apis/meta (``reconcile.fluxcd.io/requestedAt`` and ``status.lastHandledReconcileAt``), Kustomization v1 ``status.history``.
"""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.live.reach.wait import Clock, Waiter
from harness.live.sync.readiness import KINDS, Key, status_of
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.live.reach.kubectl import Kubectl

REQUESTED: Final = "reconcile.fluxcd.io/requestedAt"
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PLURALS: Final = {
    "Kustomization": KINDS[0],
    "HelmRelease": KINDS[1],
    "OCIRepository": KINDS[2],
    "HelmRepository": KINDS[3],
    "GitRepository": KINDS[4],
    "HelmChart": KINDS[5],
}


class Reconciled(NamedTuple):
    """One entry of a Kustomization's history: what was applied, from which commit, with what outcome, and when for the last time."""

    revision: str
    origin: str
    status: str
    ended: datetime


def plural(kind: str) -> str:
    """A kind of Flux as kubectl takes it, with its group."""
    return _PLURALS[kind]


def ask(kubectl: Kubectl, key: Key) -> str:
    """Let Flux look at an object now and not at its next interval. Returns the mark by which it says that it did."""
    mark = str(time.time_ns())
    kubectl("annotate", "--overwrite", plural(key.kind), key.name, f"--namespace={key.namespace}", f"{REQUESTED}={mark}")
    return mark


def look(kubectl: Kubectl, key: Key) -> dict[str, Any]:
    """An object of Flux as it is; an empty one when it is not there."""
    return kubectl.get(plural(key.kind), key.name, key.namespace) or {}


def reconciled(kubectl: Kubectl, key: Key, *, timeout: float = 60, clock: Clock | None = None) -> dict[str, Any]:
    """Let Flux look at an object now, and wait until it has, whatever came of it. Raises WaitTimeoutError when it does not in time."""
    mark = ask(kubectl, key)
    waiter = Waiter(lambda: look(kubectl, key), said, clock=clock or Clock())
    return waiter.wait(lambda body: handled(body) == mark and not busy(body), successes=1, timeout=timeout, what=f"{key} to be looked at")


def handled(body: Mapping[str, Any]) -> str:
    """The mark of the last request that was seen to."""
    return text(mapping(body.get("status")).get("lastHandledReconcileAt"))


def busy(body: Mapping[str, Any]) -> bool:
    """Whether Flux is at work on an object. One that failed and will be tried again has an outcome."""
    return condition(body, "Ready").get("status") == "Unknown"


def quiet(body: Mapping[str, Any]) -> bool:
    """Whether Flux neither is at work on an object nor owes it a look: what was asked of one that is not suspended was seen to."""
    asked = text(mapping(mapping(body.get("metadata")).get("annotations")).get(REQUESTED))
    owed = asked and asked != handled(body) and not mapping(body.get("spec")).get("suspend")
    working = condition(body, "Reconciling")
    return not owed and not busy(body) and not (working.get("status") == "True" and working.get("reason") == "Progressing")


def said(body: Mapping[str, Any]) -> str:
    """What Flux says of an object, in one line."""
    if not body:
        return "it is not there"
    ready = condition(body, "Ready")
    return f"{text(ready.get('reason')) or 'no condition'}: {' '.join(text(ready.get('message')).split())[:300]}"


def condition(body: Mapping[str, Any] | None, kind: str) -> dict[str, Any]:
    """A condition of an object; an empty one when it has none of this type."""
    return next((item for item in map(mapping, items(mapping(mapping(body).get("status")).get("conditions"))) if item.get("type") == kind), {})


def revision(body: Mapping[str, Any]) -> str:
    """The revision that an object has applied, or holds."""
    return status_of(body).revision


def attempted(body: Mapping[str, Any]) -> str:
    """The revision that a Kustomization tried last."""
    return text(mapping(body.get("status")).get("lastAttemptedRevision"))


def history(body: Mapping[str, Any]) -> list[Reconciled]:
    """What a Kustomization has applied, the last first."""
    found = []
    for entry in map(mapping, items(mapping(body.get("status")).get("history"))):
        more = mapping(entry.get("metadata"))
        ended = text(entry.get("lastReconciled"))
        if ended:
            found.append(Reconciled(text(more.get("revision")), text(more.get("originRevision")), text(entry.get("lastReconciledStatus")), moment(ended)))
    return found


def moment(stamp: str) -> datetime:
    """A time as Kubernetes writes it (RFC 3339)."""
    return datetime.fromisoformat(stamp)


def seconds(duration: str) -> float:
    """A duration as Go writes it: ``1h0m0s``, ``2.5s``, ``300ms``. Raises ValueError for another text."""
    parts = _DURATION.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise ValueError(f"{duration!r} is no duration")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
