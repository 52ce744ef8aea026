"""What must hold of admission on the cluster: Kyverno's policies, the API server's own, and Pod Security."""

from __future__ import annotations

from typing import Final

from harness.live.findings import LiveRule

VERDICT: Final = LiveRule(
    id="LIV601",
    title="a policy says of every case on the cluster what the offline engine says: the same verdict, the same message",
    why="the static tier proves policies with an engine of its own; where the cluster's engine reads one in another way, what was proven is not what protects",
    fix="if the cluster is right, correct the engine (tests/harness/engines/policy) or the case, and see which other verdicts change",
    controls=("NIST-CM-6", "NIST-CA-7"),
)
ACTIONS: Final = LiveRule(
    id="LIV602",
    title="every policy of the build runs: ready, with the build's actions, and nothing in the cluster adds or softens one",
    why="a policy that the cluster does not have, or only audits, refuses nothing",
    fix="see why Flux or Kyverno did not take it; the policy's conditions say what is wrong with it",
    controls=("NIST-CM-6",),
)
LEVEL: Final = LiveRule(
    id="LIV603",
    title="the API server enforces in every namespace the Pod Security level that its labels in Git say, with the offline engine's verdict on every pod",
    why="Pod Security is what still holds while Kyverno is down; a level that is not enforced is a label",
    fix="correct the namespace's labels, or the engine (tests/harness/engines/podsecurity) if the API server is right",
    controls=("CIS-5.2.1", "NIST-AC-6"),
)
GENERATED: Final = LiveRule(
    id="LIV604",
    title="a new namespace gets a default deny at once, which nobody can remove or widen, and which comes back",
    why="between its creation and its first NetworkPolicy everybody may talk to a new namespace's pods",
    fix="see the background controller's log and the UpdateRequests in the namespace kyverno",
    controls=("CIS-5.3.2", "NIST-SC-7"),
)
EXPIRES: Final = LiveRule(
    id="LIV605",
    title="an exception exempts what it names until it expires, and nothing afterwards",
    why="an exception that stays after its end is a hole that everybody believes to be closed",
    fix="see when Kyverno reads spec.expiresAt; remove exceptions that have ended (POL rules say which)",
    controls=("NIST-CM-3", "NIST-CA-5"),
)
FAILS_CLOSED: Final = LiveRule(
    id="LIV606",
    title="while Kyverno is down, what its policies are about is refused, what they leave alone passes, and the API server's own policies hold",
    why="policies that fail open protect only as long as nobody attacks what evaluates them; ones that fail closed everywhere keep Kyverno from coming back",
    fix="correct failurePolicy of the policies, or the namespaces that Kyverno's webhooks leave alone (config.webhooks)",
    controls=("NIST-SI-17", "NIST-SC-24"),
)
PROTECTED: Final = LiveRule(
    id="LIV607",
    title="no namespace of the build can be deleted by accident, by an administrator either",
    why="deleting a namespace deletes its volumes, keys and certificates, and no Git brings them back",
    fix="see the match conditions of the policy protect-namespaces, and the labels that the namespace has in the cluster",
    controls=("NIST-CP-9", "NIST-CM-5"),
)

RULES: Final = (VERDICT, ACTIONS, LEVEL, GENERATED, EXPIRES, FAILS_CLOSED, PROTECTED)
