"""What makes the Secrets and ConfigMaps of a cluster: the objects themselves, and the custom resources that controllers turn into them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakKeyDictionary

from harness.flux.makers import EVERYWHERE, PRODUCTS, Product
from harness.rules.hlm_common import text

if TYPE_CHECKING:
    from harness.flux.world import World
    from harness.model import Object


class Made(NamedTuple):
    """A Secret or ConfigMap as someone makes it. ``keys`` is None when only the cluster knows them."""

    maker: Object
    keys: frozenset[str] | None


@dataclass(eq=False)
class Makers:
    """Who makes which Secret and ConfigMap of one cluster."""

    _index: dict[tuple[str, str, str], list[Made]] = field(default_factory=lambda: defaultdict(list))

    def add(self, product: Product, maker: Object) -> None:
        self._index[product.kind, product.namespace, product.name].append(Made(maker, product.keys))

    def of(self, kind: str, namespace: str, name: str) -> tuple[Made, ...]:
        """Everyone who makes a ``Secret`` or ``ConfigMap`` of this name, in the order of their ids; empty when nobody does."""
        return (*self._index.get((kind, namespace, name), ()), *self._index.get((kind, EVERYWHERE, name), ()))


_cache: Final[WeakKeyDictionary[World, Makers]] = WeakKeyDictionary()


def makers(world: World) -> Makers:
    """The makers of a world, indexed once."""
    known = _cache.get(world)
    if known is None:
        known = _cache[world] = Makers()
        for kind, products in PRODUCTS.items():
            for item in world.of(kind):
                for product in products(item):
                    known.add(product, item)
    return known


_ALL: Final = frozenset({EVERYWHERE})
_holes: Final[WeakKeyDictionary[World, frozenset[str]]] = WeakKeyDictionary()
#: Problems that leave a hole in a world: objects are missing from it because something could not be read.
_BLIND: Final = ("kustomize-build", "kustomize-missing", "kustomize-remote-base", "kustomize-cycle", "chart-missing", "chart-unreachable", "chart-corrupt")


def may_be_elsewhere(world: World, namespace: str) -> bool:
    """Whether an object of a namespace may come from where nobody here can look: another source, or a build or chart that failed.

    In a cluster that was read in full the answer is no, and what is not in it does not exist. A Kustomization of another source
    can fill its target namespace, or, where it acts as a tenant's service account, its own; otherwise any.
    """
    known = _holes.get(world)
    if known is None:
        known = _holes[world] = _holes_of(world)
    return EVERYWHERE in known or namespace in known


def is_whole(world: World) -> bool:
    """Whether a cluster was read in full: every source is this repository, every chart was at hand, nothing failed to build."""
    may_be_elsewhere(world, "")
    return not _holes[world] and all(rendered.source != "none" for rendered in world.releases.values())


def _holes_of(world: World) -> frozenset[str]:
    if any(problem.code in _BLIND for problem in world.problems) or any(rendered.source == "none" for rendered in world.releases.values()):
        return _ALL
    found = set()
    for build in world.kustomizations.values():
        if build.elsewhere:
            spec = build.object.spec
            tenant = build.object.namespace if spec.get("serviceAccountName") else EVERYWHERE
            found.add(text(spec.get("targetNamespace")) or tenant)
    return frozenset(found)
