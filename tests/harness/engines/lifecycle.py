"""Whether an API version is current, deprecated or gone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from harness.engines.lifecycle_data import PRODUCTS, Row
from harness.engines.schema_data import builtins
from harness.model import group_of, version_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ApiState", "ApiStatus", "api_status"]

_RELEASE = re.compile(r"v?(\d+)\.(\d+)")


class ApiState(StrEnum):
    """What a release of a product makes of an API version."""

    CURRENT = "current"
    DEPRECATED = "deprecated"
    REMOVED = "removed"
    #: Built in, but off unless someone switches it on: alpha, and beta since Kubernetes 1.24.
    OFF = "off-by-default"
    #: Not in any table; says nothing about custom kinds.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ApiStatus:
    """The state of one API version of one kind.

    ``deprecated_in`` and ``removed_in`` are releases of ``product`` (``1.22``), empty when there is none. ``replacement`` is an apiVersion, or
    words when there is none of the same kind.
    """

    state: ApiState
    product: str = ""
    deprecated_in: str = ""
    removed_in: str = ""
    replacement: str = ""


@lru_cache(maxsize=1)
def _index() -> dict[tuple[str, str, str], tuple[str, Row]]:
    return {(row.group, row.version, kind): (product, row) for product, rows in PRODUCTS.items() for row in rows for kind in row.kinds}


def _release(version: str) -> tuple[int, int] | None:
    match = _RELEASE.match(version)
    return (int(match[1]), int(match[2])) if match else None


def _reached(release: str, limit: str) -> bool:
    have, wanted = _release(release), _release(limit)
    return have is not None and wanted is not None and have >= wanted


def api_status(api_version: str, kind: str, kubernetes_version: str, releases: Mapping[str, str] | None = None) -> ApiStatus:
    """The state of an API version in a cluster.

    ``kubernetes_version`` is the cluster's (``1.36``, ``v1.36.4``). ``releases`` gives the releases of other products by name (``flux``,
    ``cert-manager``, ``kyverno``, ``metallb``, ``external-secrets``); a version of a product that is not given counts as deprecated when any
    release deprecates it, never as removed.
    Raises ValueError when ``kubernetes_version`` is no version.
    """
    if _release(kubernetes_version) is None:
        raise ValueError(f"not a Kubernetes version: {kubernetes_version!r}")
    found = _index().get((group_of(api_version), version_of(api_version), kind))
    if found is None:
        data = builtins(kubernetes_version)
        if not data.knows(api_version, kind):
            return ApiStatus(ApiState.UNKNOWN)
        state = ApiState.CURRENT if data.served_by_default(api_version, kind) else ApiState.OFF
        return ApiStatus(state, "kubernetes")
    product, row = found
    release = kubernetes_version if product == "kubernetes" else (releases or {}).get(product)
    state = ApiState.CURRENT
    if release is None:
        state = ApiState.DEPRECATED
    elif row.removed and _reached(release, row.removed):
        state = ApiState.REMOVED
    elif row.deprecated and _reached(release, row.deprecated):
        state = ApiState.DEPRECATED
    elif product == "kubernetes":
        data = builtins(kubernetes_version)
        # Releases older than the data say nothing here.
        if data.knows(api_version, kind) and not data.served_by_default(api_version, kind):
            state = ApiState.OFF
    return ApiStatus(state, product, row.deprecated, row.removed, row.replacement)
