"""Operators' resources, expanded to what their operators make of them, so that rules see the pods a cluster will run.

Known: prometheus-operator's Prometheus, PrometheusAgent, Alertmanager and ThanosRuler, and flux-operator's FluxInstance. Everything made
here is marked as synthesised, and leads back to the resource it is made from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.flux.fluxinstance import controllers
from harness.flux.kinds import FLUX_INSTANCE
from harness.flux.prometheus import KINDS, operator_of, workloads
from harness.flux.synthesis import made_from, namespace_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.flux.synthesis import Finder
    from harness.model import Object

_MONITORING: Final = "monitoring.coreos.com"


def expand(objects: Sequence[Object], view: Finder, artifact: Callable[[str, str], list[str]] | None = None) -> list[Object]:
    """What operators make of these objects, in a fixed order, without what is already there by the same name.

    ``artifact(url, tag)`` gives the manifests of an OCI artifact when they are at hand (:meth:`harness.flux.charts.Charts.artifact`):
    a FluxInstance of an exact version is then expanded from Flux's own manifests.
    """
    made: dict[tuple[str, ...], Object] = {}
    taken = {tuple(item.id) for item in objects}
    operator = operator_of(objects)
    for item in objects:
        if item.group == _MONITORING and item.kind in KINDS:
            namespace = namespace_of(item, view)
            found = [made_from(item, body, namespace) for body in workloads(item, operator)]
        elif str(item.group_kind) == FLUX_INSTANCE:
            found = controllers(item, artifact)
        else:
            continue
        for new in found:
            if tuple(new.id) not in taken:
                made.setdefault(tuple(new.id), new)
    return sorted(made.values(), key=lambda new: new.id)
