"""What must hold of rights and of the network of a running cluster (LIV5xx)."""

from __future__ import annotations

from typing import Final

from harness.live.findings import LiveRule

_CONTROLS: Final = ("NIST-AC-3", "NIST-AC-6")

GRANTED: Final = LiveRule(
    id="LIV501",
    title="every role, binding and service account of the build is in the cluster, and says the same there",
    why="rights that were proven offline count for nothing when the cluster has others",
    fix="see what applied or changed the object in the cluster; if the cluster is right, the build of the harness is wrong",
    controls=_CONTROLS,
)
UNKNOWN: Final = LiveRule(
    id="LIV502",
    title="nobody has got a right, or an identity, that is not in Git since Flux was installed",
    why="a right that no file names is held against no rule and found by no review; that is how access outlives its reason (NIST AC-2)",
    fix="delete the object, or write it into the repository with a reason in tests/intent/access.yaml",
    controls=("NIST-AC-2", *_CONTROLS),
)
RULES_EQUAL: Final = LiveRule(
    id="LIV503",
    title="the rules that the API server applies to every account in every namespace are those that the offline engine computes",
    why="both directions at once: a rule too many is a right that nobody wrote down, one too few a component that fails",
    fix="if binding and role in the cluster are those of Git, the engine is wrong: reduce it to a test of tests/unit/engines/test_rbac.py",
    controls=_CONTROLS,
)
CELL: Final = LiveRule(
    id="LIV504",
    title="every cell of tests/intent/access.yaml gets its answer from the API server too",
    why="the table is what people agreed on; only the authorizer that decides can say that it holds",
    fix="change the role or binding that the answer names, or the cell",
    controls=_CONTROLS,
)
ATOM: Final = LiveRule(
    id="LIV505",
    title="the API server allows every right that the offline engine finds for an account, and refuses those next to it",
    why="every static rule about rights stands on the engine; one that errs lets a dangerous right pass as none",
    fix="reduce the request to a test of tests/unit/engines/test_rbac.py",
    controls=_CONTROLS,
)
ENFORCED: Final = LiveRule(
    id="LIV506",
    title="a request is refused or let through just as its review said",
    why="a review is an answer about an answer; what counts is the request itself",
    fix="see which authorizers and webhooks the API server runs with",
    controls=_CONTROLS,
)
_BORDERS: Final = ("CIS-5.3.2", "NIST-AC-4", "NIST-SC-7")
PASSES: Final = LiveRule(
    id="LIV551",
    title="every connection that policies allow comes to its destination",
    why="what a component needs and the network drops shows as time-outs, alerts that never come and webhooks that refuse everything",
    fix="see whether the policy is in the cluster and selects both pods; if it does, the network plugin and the offline engine disagree",
    controls=_BORDERS,
)
REFUSED: Final = LiveRule(
    id="LIV552",
    title="no connection that policies refuse comes to its destination",
    why="a border that holds on paper only is none; each connection that is possible and not needed is a way for an intruder",
    fix="see whether the policy is in the cluster and selects the pods, and whether the network plugin enforces policies at all",
    controls=_BORDERS,
)
POD_KNOWN: Final = LiveRule(
    id="LIV553",
    title="every pod that runs in a namespace of the platform is one of the build's workloads, with its labels",
    why="selectors match labels: the offline matrix says nothing of a pod that has others, or that nobody described",
    fix="describe it in tests/intent/network.yaml (pods), or see what made it",
    controls=_BORDERS,
)
POLICIES_REFUSE: Final = LiveRule(
    id="LIV554",
    title="what is refused passes as soon as policies allow it",
    why="a refusal that holds without any policy proves nothing about policies: nobody listens, or something else is in the way",
    fix="find what drops the packet: the probe, the network plugin, or a server that is not there",
    controls=_BORDERS,
)
WEBHOOK_REACHED: Final = LiveRule(
    id="LIV555",
    title="the API server's node reaches a pod behind every webhook",
    why="a webhook that is not reached refuses everything, or lets everything pass, as its failure policy says",
    fix="see the webhook's Service, its endpoints and the policies of its namespace",
    controls=_BORDERS,
)
TRIED: Final = LiveRule(
    id="LIV556",
    title="connections of every namespace, every policy and both kinds were tried",
    why="a proof of a few connections is taken for one of all",
    fix="see in the ledger what was left open, and why",
    controls=_BORDERS,
)
RULES: Final = (GRANTED, UNKNOWN, RULES_EQUAL, CELL, ATOM, ENFORCED, PASSES, REFUSED, POD_KNOWN, POLICIES_REFUSE, WEBHOOK_REACHED, TRIED)
