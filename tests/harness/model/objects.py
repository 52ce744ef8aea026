"""One Kubernetes object, as a cluster will get it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.model.identity import GroupKind, ObjectId, group_of

if TYPE_CHECKING:
    from harness.model.origin import Link, Location, Origin, Pointer


@dataclass(frozen=True, slots=True, eq=False)
class Object:
    """One object of one cluster.

    ``body`` is plain JSON data (dict, list, str, int, float, bool, None). It is shared between clusters and caches:
    treat it as read-only and copy what you change.
    """

    id: ObjectId
    body: dict[str, Any]
    origin: Origin

    @property
    def api_version(self) -> str:
        return str(self.body.get("apiVersion", ""))

    @property
    def group(self) -> str:
        return group_of(self.api_version)

    @property
    def kind(self) -> str:
        return self.id.kind

    @property
    def namespace(self) -> str:
        """Empty for cluster-scoped objects."""
        return self.id.namespace

    @property
    def name(self) -> str:
        return self.id.name

    @property
    def group_kind(self) -> GroupKind:
        return self.id.group_kind

    @property
    def metadata(self) -> dict[str, Any]:
        value = self.body.get("metadata")
        return value if isinstance(value, dict) else {}

    @property
    def labels(self) -> dict[str, str]:
        value = self.metadata.get("labels")
        return value if isinstance(value, dict) else {}

    @property
    def annotations(self) -> dict[str, str]:
        value = self.metadata.get("annotations")
        return value if isinstance(value, dict) else {}

    @property
    def spec(self) -> dict[str, Any]:
        value = self.body.get("spec")
        return value if isinstance(value, dict) else {}

    @property
    def applier(self) -> Link | None:
        """The Kustomization, HelmRelease or other resource that creates this object; None for what bootstrap applies by hand."""
        return self.origin.chain[-1] if self.origin.chain else None

    def get(self, *pointer: str | int, default: Any = None) -> Any:
        """The value at a pointer, or ``default`` where any step of it is missing or of another type."""
        value: Any = self.body
        for part in pointer:
            there = part in value if isinstance(value, dict) else isinstance(value, list) and isinstance(part, int) and -len(value) <= part < len(value)
            if not there:
                return default
            value = value[part]
        return value

    def locate(self, *pointer: str | int) -> Location:
        """The line someone can edit to change what the pointer points to."""
        location: Pointer = pointer
        return self.origin.locate(location)
