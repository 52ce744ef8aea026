"""What must hold of logs in a running cluster (LIV80x)."""

from __future__ import annotations

from typing import Final

from harness.live.findings import LiveRule

#: Seconds from when a container writes a line until it can be found: what the shipper gathers (2 s) and waits for a block's end (3 s), discovery of
#: a new pod (5 s) and of its file (10 s at most), and room for a busy machine.
BUDGET: Final = 25.0

AS_MODELLED: Final = LiveRule(
    id="LIV801",
    title="a line that a container writes is in Loki within its budget, with exactly the labels, metadata and text that the model of the pipeline predicts",
    why="the pipeline is proven offline on a simulation of Promtail: where the engine that runs differs, every such proof is void for that line",
    fix="if the store is right, reduce the difference to a test of tests/unit/engines/telemetry/test_promtail.py and mend the model; else correct the pipeline",
    controls=("NIST-AU-3", "NIST-AU-12"),
)
NO_SECRET: Final = LiveRule(
    id="LIV802",
    title="nothing that the pipeline redacts is in Loki",
    why="whoever may read logs reads the credentials that are in them, for as long as they are kept",
    fix="correct the stages replace of the shipper's pipeline",
    controls=("NIST-AU-9", "NIST-SC-28"),
)
NEW_POD: Final = LiveRule(
    id="LIV803",
    title="the first and the last line of a pod that lives for seconds are in Loki, and no line of one that opted out",
    why="the last line of a Job that failed says why, and nobody can ask its pod any more",
    fix="see whether discovery drops finished pods before their file was read to its end",
    controls=("NIST-AU-12",),
)
RESTART: Final = LiveRule(
    id="LIV804",
    title="a restart of the shipper loses no line, and repeats none but those of the last seconds before it was killed",
    why="a rollout or a node under pressure restarts it every day: logs that have holes then prove nothing",
    fix="keep positions on the host, and let the shipper end by itself (terminationGracePeriodSeconds)",
    controls=("NIST-AU-5", "NIST-AU-12"),
)
