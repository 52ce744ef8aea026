"""The rules of the ground that everything stands on: nodes, control plane, audit log, and the proofs themselves."""

from __future__ import annotations

from typing import Final

from harness.live.findings import LiveRule

NODES_READY: Final = LiveRule(
    id="LIV101",
    title="every node of the cluster is Ready",
    why="nothing that is proven on a cluster with a broken node says anything about the platform",
    fix="read the node's conditions in the diagnostics bundle",
)
SYSTEM_READY: Final = LiveRule(
    id="LIV102",
    title="every pod of the control plane is Ready, and the endpoints that Prometheus scrapes listen where it can reach them",
    why="rules and dashboards stand on the metrics of scheduler, controller manager, etcd and kube-proxy",
    fix="correct the cluster's configuration (tests/harness/live/ground/kindconfig.py)",
)
AUDITED: Final = LiveRule(
    id="LIV103",
    title="the API server writes an audit log that never holds the content of a Secret",
    why="who did what can be shown afterwards only from the audit log",
    fix="correct the audit policy (tests/harness/live/ground/kindconfig.py)",
    controls=("CIS-3.2.1", "NIST-AU-2"),
)
SEEN_RED: Final = LiveRule(
    id="LIV104",
    title="every probe fails when the hop that it is about is broken",
    why="a probe that holds on a broken platform proves nothing on a whole one",
    fix="look at something that only the hop brings about, or break it where the probe looks",
)
MENDED: Final = LiveRule(
    id="LIV105",
    title="every probe holds before its hop is broken, and again once it is mended",
    why="a platform that does not come back from a fault is not the one that was promised; and what follows would run on a broken one",
    fix="see what keeps the hop from coming back; the diagnostics bundle has its events and logs",
)
COMES_BACK: Final = LiveRule(
    id="LIV106",
    title="what was ready when the run began is ready, or is so again within minutes, when a proof needs it",
    why="faults come and go elsewhere: what one of them left broken is no part that this run could not look at, but a platform that does not heal",
    fix="see what its condition Ready says, and which proof ended shortly before; a proof has to mend what it breaks",
)
