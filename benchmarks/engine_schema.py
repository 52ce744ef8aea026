"""Schemas: rendered objects validated a second, CEL rules and cross-field checks included, and kubeconform over the same objects when it is on PATH."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from engines import Row
from harness.engines import kubeconform
from harness.flux.workspace import Options, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).resolve().parents[1]


def rows() -> Iterator[Row]:
    workspace = Workspace(_ROOT, Options(clusters=("production",)))
    world = workspace.world(workspace.selected[0])
    items = [item for item in world.objects if not item.origin.elided]
    bodies = [item.body for item in items]
    start = time.perf_counter()
    for body in bodies:
        world.schemas.validate(body)
    first = time.perf_counter() - start
    again = json.loads(json.dumps(bodies))
    start = time.perf_counter()
    for body in again:
        world.schemas.validate(body)
    second = time.perf_counter() - start
    yield Row(f"{len(bodies)} objects, schemas compiled on the way", len(bodies) / first, "objects/s", f"{len(bodies) / first / 2000:.1f} x floor 2000")
    yield Row(f"{len(bodies)} objects, schemas compiled", len(bodies) / second, "objects/s", f"{len(bodies) / second / 2000:.1f} x floor 2000")
    if kubeconform.find() is None:
        return
    start = time.perf_counter()
    kubeconform.run(bodies, world.schemas)
    theirs = time.perf_counter() - start
    yield Row(
        "kubeconform, the same objects and schemas, its start included", len(bodies) / theirs, "objects/s", f"ours is {theirs / first:.1f} x as fast from cold"
    )
