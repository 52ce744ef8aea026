"""The platform's promise: every system is in every cluster it belongs to (REP107)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.model import Location
from harness.rules.base import Clusters, Registry, Violation
from harness.rules.flx_common import entries, items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World

#: What people say the platform consists of.
PATH: Final = "tests/intent/platform.yaml"

REP: Final = Registry()


@REP.rule(
    "REP107",
    title="every system that the platform promises is in every cluster it belongs to",
    why="a component that drops out of a cluster's list takes its own rules with it: nothing else would notice that it is gone",
    fix="list the component in the cluster's kustomization.yaml again, or change tests/intent/platform.yaml in the commit that removes it on purpose",
    scope=Clusters(),
    controls=("NIST-CM-8",),
    own_only=True,
)
def systems_are_there(world: World) -> Iterator[Violation]:
    documents = world.repository.documents(PATH) if world.repository.is_file(PATH) else ()
    if not documents:
        yield Violation(found=f"no {PATH}", expect="the systems of the platform, each with its objects", location=Location(PATH))
        return
    document = documents[0]
    there = {str(item.id).partition("/")[2] for item in world.objects}
    for position, entry in entries(mapping(document.body).get("systems")):
        clusters = [text(name) for name in items(entry.get("clusters"))]
        if clusters and world.cluster.name not in clusters:
            continue
        objects = [text(name) for name in items(entry.get("objects"))]
        if not objects:
            yield Violation(found=f"{entry.get('system')} names no object", expect="objects", location=document.locate(("systems", position)))
        for number, name in enumerate(objects):
            if name not in there:
                where = document.locate(("systems", position, "objects", number))
                yield Violation(found=f"{world.cluster.name} has no {name}, which {entry.get('system')} needs", expect=name, location=where)


RULES: Final = tuple(REP.rules)
