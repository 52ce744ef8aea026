"""What must hold of traces and of what is made of them in a running cluster (LIV85x)."""

from __future__ import annotations

from typing import Final

from harness.live.findings import LiveRule

APART: Final = LiveRule(
    id="LIV850",
    title="a hop that is broken takes away its own signals, and no others",
    why="a fault that takes everything away shows nothing about one hop; and one signal must not depend on another's way",
    fix="break the hop where only it passes, or see what the two ways share",
)
ONE_REQUEST: Final = LiveRule(
    id="LIV851",
    title="one request from outside is found by its trace in the access log, the application's log, the trace and the exemplars of its metrics, each in time",
    why="whoever is called because of a slow request starts from one signal and needs the others; where the trace's id is lost on the way, there is none",
    fix="see which hop loses it: nginx (otel_trace_context), the application (its propagator), the pipeline (trace_id), the collector or its exporters",
    controls=("NIST-AU-3", "NIST-AU-12"),
)
REDACTED: Final = LiveRule(
    id="LIV852",
    title="the collector hands on no credential: not in a span's headers, query or URL, and not in the body of a log record",
    why="traces are read by more people than the systems they are of",
    fix="correct the processors attributes/redact and transform/redact of the collector",
    controls=("NIST-AU-9", "NIST-SC-28"),
)
PROBES: Final = LiveRule(
    id="LIV853",
    title="spans of probes and scrapes are dropped, and all others kept",
    why="an idle service is probed more often than it is asked: its traces would be nothing else",
    fix="correct the processor filter/probes of the collector",
)
ENRICHED: Final = LiveRule(
    id="LIV854",
    title="every span, log record and metric says which cluster, namespace and pod it is from, by the sender's address and not by what the sender says",
    why="a tenant that could claim another's namespace would write into its history",
    fix="correct the processors k8s_attributes and resource of the collector",
    controls=("NIST-AU-3", "NIST-AU-10"),
)
