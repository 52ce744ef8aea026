"""Who changed what: the audit log of the API server, Flux's history of revisions, and what Alertmanager was told.

Sources: ``audit.k8s.io/v1`` Event; notification-controller's provider for Alertmanager (labels and annotations of its alerts).
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.live.findings import NotEvaluatedError
from harness.live.ground.kindconfig import AUDIT_LOG
from harness.live.sync.reconcile import moment
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from harness.live.ground.cluster import Cluster
    from harness.live.reach.forwards import Client
    from harness.live.sync.reconcile import Reconciled

FLUX: Final = "system:serviceaccount:flux-system:kustomize-controller"
_WRITES: Final = frozenset({"create", "delete", "patch", "update"})
#: Times in a status are whole seconds.
_BLUR: Final = timedelta(seconds=2)


class Write(NamedTuple):
    """A change of one object that the API server let through. ``acting`` is whom the user acted as, empty when as himself."""

    verb: str
    user: str
    acting: str
    agent: str
    when: datetime

    def __str__(self) -> str:
        return f"{self.verb} by {self.user}{f' as {self.acting}' if self.acting else ''} ({self.agent.split('/')[0]}) at {self.when:%H:%M:%S}"


def writes(lines: Iterable[str], resource: str, namespace: str, name: str) -> list[Write]:
    """The changes of one object in lines of an audit log, oldest first. Dry runs change nothing, and neither does what was refused."""
    found = []
    for line in lines:
        if f'"name":"{name}"' not in line:
            continue
        try:
            event = mapping(json.loads(line))
        except ValueError:
            # The last line may still be being written.
            continue
        about = mapping(event.get("objectRef"))
        if (about.get("resource"), about.get("namespace", ""), about.get("name")) != (resource, namespace, name) or about.get("subresource"):
            continue
        code = mapping(event.get("responseStatus")).get("code")
        if event.get("verb") in _WRITES and isinstance(code, int) and code < 300 and "dryRun=" not in text(event.get("requestURI")):
            user, acting = (text(mapping(event.get(part)).get("username")) for part in ("user", "impersonatedUser"))
            found.append(Write(text(event.get("verb")), user, acting, text(event.get("userAgent")), moment(text(event.get("stageTimestamp")))))
    return sorted(found, key=lambda write: write.when)


def audited(cluster: Cluster, resource: str, namespace: str, name: str) -> list[Write]:
    """The changes of one object in the audit log of a kind cluster. Raises NotEvaluatedError where its nodes cannot be entered."""
    if cluster.foreign:
        raise NotEvaluatedError("API server", "audit log", "the nodes of this cluster cannot be entered from here")
    command = f'grep -hF \'"name":"{name}"\' {AUDIT_LOG} || true'
    said = cluster.docker("exec", f"{cluster.wanted.name}-control-plane", "sh", "-c", command)
    return writes(said.splitlines(), resource, namespace, name)


def explained(last: Write | None, entries: Sequence[Reconciled]) -> str:
    """Why the last change of an object leads to no commit; empty when it does: Flux made it no later than it applied, for the last time, a revision of its
    history. ``entries`` are the history, the last first; what Flux changed after one and up to the next is of the next.
    """
    if last is None:
        return "the audit log has no change of it"
    if last.user != FLUX:
        return f"changed by hand: {last}"
    entry = next((entry for entry in reversed(entries) if last.when <= entry.ended + _BLUR), None)
    if entry is None:
        return f"{last}, after all that the history names"
    return "" if entry.revision and entry.origin else f"{last}, for a revision without a name"


def told(client: Client, **labels: str) -> list[dict[str, Any]]:
    """The alerts with these labels that Alertmanager has. Raises WebError when it does not answer."""
    answer = client.json("/api/v2/alerts")
    alerts = [mapping(item) for item in items(answer)]
    return [alert for alert in alerts if labels.items() <= mapping(alert.get("labels")).items()]
