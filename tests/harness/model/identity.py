"""Names of objects, as Flux and Kubernetes use them."""

from __future__ import annotations

from typing import NamedTuple


def group_of(api_version: str) -> str:
    """The API group of an ``apiVersion``; the core group is the empty string."""
    return api_version.rpartition("/")[0]


def version_of(api_version: str) -> str:
    """The version of an ``apiVersion``: ``v1`` of both ``v1`` and ``apps/v1``."""
    return api_version.rpartition("/")[2]


class GroupKind(NamedTuple):
    """A kind in its API group: what identifies a type whatever its version."""

    group: str
    kind: str

    def __str__(self) -> str:
        return f"{self.kind}.{self.group}" if self.group else self.kind


class ObjectId(NamedTuple):
    """An object of one cluster.

    Prints as ``<cluster>/<Kind>/<namespace>/<name>``, without the namespace when the object is cluster-scoped.
    The group takes part in equality but not in the printed form.
    """

    cluster: str
    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return "/".join(part for part in (self.cluster, self.kind, self.namespace, self.name) if part)

    @property
    def group_kind(self) -> GroupKind:
        return GroupKind(self.group, self.kind)
