"""The rules of bad days and of upgrades."""

from __future__ import annotations

from typing import Final

from harness.live.findings import LiveRule

UPGRADED: Final = LiveRule(
    id="LIV901",
    title="the platform moves from an earlier commit to this one, and Flux reports everything ready",
    why="a cluster gets every commit as a change of what runs, never from empty",
    fix="follow the root cause; what cannot be changed in place needs a new name or a step in between",
    controls=("NIST-CM-3",),
)
SERVED: Final = LiveRule(
    id="LIV902",
    title="requests through the ingress are served while the platform moves to this commit",
    why="an upgrade that is an outage is put off, and then it is a bigger one",
    fix="see what was replaced: replicas, readiness probes, maxUnavailable, a controller that drops its address",
    controls=("NIST-SC-24",),
)
CLEAN: Final = LiveRule(
    id="LIV903",
    title="nothing of the earlier commit is left behind that this one does not have",
    why="what nobody lists nobody updates or removes: a forgotten role or Service stays for years",
    fix="see spec.prune of the Kustomization that made it, and whether it was renamed",
    controls=("NIST-CM-8",),
)
RECOVERS: Final = LiveRule(
    id="LIV951",
    title="after its node restarted the platform comes back by itself, but for what docs/operations.md says a person does",
    why="nodes restart at night; what nobody was told to do by hand nobody does",
    fix="see what is not ready and why; if a person has to act, write it into docs/operations.md",
    controls=("NIST-CP-10",),
)
KILLED: Final = LiveRule(
    id="LIV952",
    title="requests are served while every controller is killed, and the controllers come back",
    why="a control plane that is away must not be an outage of what it controls",
    fix="see which controller is in the way of requests, or does not come back",
    controls=("NIST-CP-10", "NIST-SC-24"),
)
KEPT: Final = LiveRule(
    id="LIV953",
    title="with its registry unreachable Flux says so and keeps what it has",
    why="docs/operations.md, Unreachable registry: nothing changes, nothing is lost",
    fix="see what changed: a source that loses its artifact, or a Kustomization that prunes for want of one",
    controls=("NIST-CP-10", "NIST-SC-24"),
)
HELD: Final = LiveRule(
    id="LIV954",
    title="Loki answers while its volume is full, says that it cannot write, and keeps what it accepted once there is room again",
    why="the logs of the hour in which a disk ran full are the ones that somebody will ask for",
    fix="see Loki's log and the metric loki_ingester_wal_disk_full_failures_total",
    controls=("NIST-AU-5",),
)
