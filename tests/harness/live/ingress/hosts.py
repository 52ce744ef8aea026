"""The hosts of a cluster's build, and which of them a proof can take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.live.faults import maker
from harness.live.findings import NotEvaluatedError
from harness.live.ingress.edge import Edge, policies
from harness.live.proofs import require
from harness.rules.tls_view import matrix

if TYPE_CHECKING:
    from harness.engines.certificates.matrix import Row
    from harness.flux.world import World
    from harness.live.bringup import Platform

#: The label of namespaces whose value tells the platform's own from tenants'.
_TENANT: Final = "toolkit.fluxcd.io/tenant"


def is_platform(world: World, namespace: str) -> bool:
    """Whether a namespace of a cluster's build is the platform's own."""
    found = world.find("Namespace", "", namespace)
    return found is not None and found.labels.get(_TENANT) == "platform"


def rows(world: World) -> dict[str, Row]:
    """Every host that is served with TLS, by its name."""
    return {row.listener.host: row for row in matrix(world) if row.listener.host and row.listener.tls and not row.listener.passthrough}


def first(platform: Platform, kind: str = "Ingress", field: str = "") -> tuple[Edge, Row]:
    """The first host of a kind of object in a namespace of the platform, behind a Policy with a field if one is named.

    It is always the same one: what breaks it says which system that is. Raises NotEvaluatedError when the build has none, or it is not ready.
    """
    for row in rows(platform.world).values():
        item = row.listener.item
        if item.kind == kind and is_platform(platform.world, item.namespace) and (not field or any(policies(platform.world, item, field))):
            return ready(platform, row), row
    raise NotEvaluatedError(platform.world.cluster.name, "ingress", f"no {kind} of the platform serves a host{f' behind a {field}' if field else ''}")


def ready(platform: Platform, row: Row) -> Edge:
    """The ingress, when what makes the object of a host is ready. Raises NotEvaluatedError otherwise."""
    require(platform, *(key.name for key in maker(row.listener.item)))
    return Edge.of(platform)
