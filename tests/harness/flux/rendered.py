"""What a HelmRelease gives a cluster, and what rendering asks of the cluster."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.flux.outcome import Outcome
    from harness.flux.values import Values
    from harness.model import NotEvaluated, Object, Pointer, Problem

#: Helm's limit for release names (53: label values hold 63, and names of objects are longer than the release's).
_NAME: Final = 53
_HASH: Final = 12


class View(Protocol):
    """What rendering asks of the cluster that is being built."""

    @property
    def cluster(self) -> str:
        """Its name."""

    @property
    def kubernetes_version(self) -> str:
        """``1.36`` or ``1.36.4``."""

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object of a kind (``Kind.group``, ``ConfigMap``) found so far, or None."""

    def is_this_repository(self, source: Object) -> bool:
        """Whether a source object is the repository that is being looked at."""


@runtime_checkable
class ApiView(Protocol):
    """A view that also knows which APIs the cluster serves: ``apps/v1`` and ``apps/v1/Deployment`` for each, as Helm spells them."""

    @property
    def api_versions(self) -> frozenset[str]:
        """The built-in APIs of its version and those of its CRDs."""


@runtime_checkable
class MakerView(Protocol):
    """A view that also knows what controllers make."""

    def maker(self, kind: str, namespace: str, name: str) -> Object | None:
        """What a controller makes a Secret or ConfigMap from, or None."""


@dataclass(frozen=True, slots=True)
class ChartFacts:
    """What is known of a chart, from its package or from the lock. ``digest`` is the package's, empty when read from the lock."""

    name: str
    version: str
    app_version: str = ""
    kube_version: str = ""
    deprecated: bool = False
    digest: str = ""
    schema_unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """What one HelmRelease gives its cluster.

    ``objects`` include CRDs; their namespaces are as rendered, empty where the chart leaves them to the release (``namespace``).
    ``hooks`` are those that some action of this release runs; test hooks only with ``spec.test.enable``.
    ``source`` is ``lock`` when no chart was at hand, and ``none`` when nothing could be rendered. ``inputs`` is the digest of
    everything in the repository that determines the render; the lock carries it. ``unknown_values`` are paths below the values.
    ``outcome`` is the render before it was placed in the cluster, which the lock is written from.
    """

    release: Object
    name: str
    namespace: str
    objects: tuple[Object, ...] = ()
    hooks: tuple[Object, ...] = ()
    chart: ChartFacts | None = None
    problems: tuple[Problem, ...] = ()
    not_evaluated: tuple[NotEvaluated, ...] = ()
    source: Literal["render", "lock", "none"] = "none"
    inputs: str = ""
    values: Values | None = None
    unknown_values: tuple[Pointer, ...] = ()
    outcome: Outcome | None = field(default=None, repr=False)


def release_name(release: Object) -> str:
    """``spec.releaseName``, else the name with the target namespace before it, shortened as helm-controller does it.

    Source: HelmRelease v2 GetReleaseName, helm-controller ``internal/release/name.go``.
    """
    target = str(release.get("spec", "targetNamespace") or "")
    name = str(release.get("spec", "releaseName") or (f"{target}-{release.name}" if target else release.name))
    if len(name) <= _NAME:
        return name
    return f"{name[: _NAME - _HASH - 1]}-{hashlib.sha256(name.encode()).hexdigest()[:_HASH]}"


def release_namespace(release: Object) -> str:
    """Where the release's objects go: ``spec.targetNamespace``, else its own namespace."""
    return str(release.get("spec", "targetNamespace") or release.namespace)


def full_version(version: str) -> str:
    """``1.36`` as ``v1.36.0``: charts compare versions of three numbers."""
    plain = version.removeprefix("v")
    return f"v{plain}.0" if plain.count(".") == 1 else f"v{plain}"


def hook_events(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The events of a hook, empty for what is none (annotation ``helm.sh/hook``)."""
    metadata = body.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    text = annotations.get("helm.sh/hook") if isinstance(annotations, dict) else None
    return tuple(event for event in (part.strip().lower() for part in str(text or "").split(",")) if event)


def runs(events: tuple[str, ...], release: Object) -> bool:
    """Whether any action of the release runs a hook with these events."""

    def off(action: str) -> bool:
        return release.get("spec", action, "disableHooks") is True

    for event in events:
        if event in ("test", "test-success", "test-failure"):
            allowed = release.get("spec", "test", "enable") is True
        elif event.endswith("-install"):
            allowed = not off("install")
        elif event.endswith("-upgrade"):
            allowed = not off("upgrade")
        elif event.endswith("-delete"):
            allowed = not off("uninstall")
        else:
            allowed = not off("rollback")
        if allowed:
            return True
    return False
