"""Pods, wherever they stand: by themselves, or as the template of something that makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.model.shapes import items, mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.model.objects import Object
    from harness.model.origin import Location, Pointer

#: Where each kind (``Kind.group``) holds the pod it makes; the empty pointer is the object itself.
TEMPLATES: Final[Mapping[str, Pointer]] = {
    "Pod": (),
    "PodTemplate": ("template",),
    "ReplicationController": ("spec", "template"),
    "Deployment.apps": ("spec", "template"),
    "ReplicaSet.apps": ("spec", "template"),
    "StatefulSet.apps": ("spec", "template"),
    "DaemonSet.apps": ("spec", "template"),
    "Job.batch": ("spec", "template"),
    "CronJob.batch": ("spec", "jobTemplate", "spec", "template"),
}
#: The lists of a pod's containers.
CONTAINERS: Final = ("initContainers", "containers", "ephemeralContainers")


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a pod: its list, its position there, and its body."""

    list: str
    index: int
    body: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.body.get("name", ""))


@dataclass(frozen=True, slots=True, eq=False)
class PodTemplate:
    """A pod that the cluster will run. ``at`` points to it inside ``object``; its namespace is the object's."""

    object: Object
    at: Pointer
    metadata: Mapping[str, Any]
    spec: Mapping[str, Any]

    @property
    def namespace(self) -> str:
        return self.object.namespace

    @property
    def labels(self) -> Mapping[str, Any]:
        return mapping(self.metadata.get("labels"))

    @property
    def annotations(self) -> Mapping[str, Any]:
        return mapping(self.metadata.get("annotations"))

    @property
    def service_account(self) -> str:
        """The pod's service account; ``default`` where none is named (admission plugin ServiceAccount)."""
        return str(self.spec.get("serviceAccountName") or self.spec.get("serviceAccount") or "default")

    @property
    def host_network(self) -> bool:
        return self.spec.get("hostNetwork") is True

    def containers(self, *lists: str) -> Iterator[Container]:
        """The containers of some lists, or of all three."""
        for name in lists or CONTAINERS:
            for index, body in enumerate(items(self.spec.get(name))):
                if isinstance(body, dict):
                    yield Container(name, index, body)

    def locate(self, *pointer: str | int) -> Location:
        """The line someone can edit to change what a pointer into the pod (``spec``, ``containers``, 0 …) points to."""
        return self.object.locate(*self.at, *pointer)


def pod_of(item: Object) -> PodTemplate | None:
    """The pod that an object is or makes, or None. A template of another shape counts as an empty one."""
    at = TEMPLATES.get(str(item.group_kind))
    if at is None:
        return None
    body = mapping(item.get(*at)) if at else item.body
    return PodTemplate(item, at, mapping(body.get("metadata")), mapping(body.get("spec")))


def pods_of(objects: Iterable[Object]) -> tuple[PodTemplate, ...]:
    """The pods of all objects that are or make one, in their order."""
    return tuple(pod for item in objects if (pod := pod_of(item)) is not None)
