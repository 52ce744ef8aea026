"""The objects of a cluster as policies ask for them: by resource, namespace and name."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from harness.model import group_of
from harness.model.shapes import mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.engines.policy.api import Json
    from harness.engines.policy.resources import Resources


class Objects:
    """A :class:`~harness.engines.policy.api.Lookup` over objects that are all there is. Versions of one resource show the same objects."""

    def __init__(self, bodies: Iterable[Json], resources: Resources) -> None:
        self._objects: dict[tuple[str, str], dict[tuple[str, str], Json]] = defaultdict(dict)
        for body in bodies:
            resource = resources.of_object(body)
            metadata = mapping(body.get("metadata"))
            self._objects[resource.group, resource.plural][text(metadata.get("namespace")), text(metadata.get("name"))] = body

    def get(self, api_version: str, resource: str, namespace: str, name: str) -> Json | None:
        """The object, or None. A subresource gives its object's own part of the body, as far as it is one (``status``, ``scale`` are not told apart)."""
        found = self._objects.get((group_of(api_version), resource.partition("/")[0]), {}).get((namespace, name))
        return None if found is None else _in_version(found, api_version)

    def list(self, api_version: str, resource: str, namespace: str) -> list[Json]:
        """The objects of a namespace, or of all namespaces when it is empty, by namespace and name."""
        found = self._objects.get((group_of(api_version), resource), {})
        return [_in_version(body, api_version) for (inside, _), body in sorted(found.items(), key=_key) if namespace in ("", inside)]


def _key(entry: tuple[tuple[str, str], Any]) -> tuple[str, str]:
    return entry[0]


def _in_version(body: Json, api_version: str) -> Json:
    return body if body.get("apiVersion") == api_version else {**body, "apiVersion": api_version}
