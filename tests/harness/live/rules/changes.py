"""What must hold of Flux at work: changes, self-healing, tenants, reports, the trail of revisions."""

from __future__ import annotations

from typing import Final

from harness.live.findings import LiveRule

APPEARS: Final = LiveRule(
    id="LIV204",
    title="a change that is pushed to the registry is applied within the interval of its source, by itself",
    why="a cluster that does not follow what is published drifts away from Git without a word",
    fix="see whether the source is suspended, and what source-controller and kustomize-controller say of it",
    controls=("NIST-CM-3",),
)
HEALED: Final = LiveRule(
    id="LIV205",
    title="what was deleted or changed by hand is as it is in Git again once Flux has looked at it",
    why="otherwise what somebody changes by hand stays, and no review has seen it",
    fix="see whether its Kustomization or release is suspended, or drift detection is off or ignores the field",
    controls=("NIST-CM-3", "NIST-CM-6", "NIST-SI-7"),
)
CONFINED: Final = LiveRule(
    id="LIV206",
    title="what a tenant publishes is applied in the tenant's namespace and nowhere else",
    why="a tenant that reaches into another namespace owns what runs there, and one that makes cluster objects owns the cluster",
    fix="take the right from the tenant's service account; tests/intent/access.yaml says what it may do",
    controls=("NIST-AC-3", "NIST-AC-6"),
)
KEPT: Final = LiveRule(
    id="LIV207",
    title="a revision that cannot be built changes nothing of what runs, and the next sound one is applied",
    why="a broken commit must cost a message, not the service",
    fix="see what kustomize-controller applied or pruned of it (events of the Kustomization)",
    controls=("NIST-CM-3", "NIST-CP-10"),
)
REPORTED: Final = LiveRule(
    id="LIV208",
    title="what Flux cannot apply is reported to Alertmanager, with the object and the revision",
    why="Flux goes on with the last good state, so nobody notices a broken commit unless he is told",
    fix="see the Alert and Provider of the namespace, notification-controller's log, and the NetworkPolicies between it and Alertmanager",
    controls=("NIST-SI-5", "NIST-AU-5"),
)
RESUMED: Final = LiveRule(
    id="LIV209",
    title="what is suspended is left alone, and catches up once it is resumed",
    why="who suspends wants nothing to change under his hands, and forgets to look afterwards",
    fix="see kustomize-controller's log and the field managers of spec.suspend: something may have resumed it",
    controls=("NIST-CM-3",),
)
TRAIL: Final = LiveRule(
    id="LIV210",
    title="for every change that Flux made it can be said afterwards who applied what, when, and from which commit",
    why="an incident is understood from its changes; one that leads to no commit has no author and no review",
    fix="see status.history of the Kustomization, its events, and the audit log of the API server",
    controls=("NIST-AU-2", "NIST-AU-3", "NIST-AU-12"),
)

RULES: Final = (APPEARS, HEALED, CONFINED, KEPT, REPORTED, RESUMED, TRAIL)
