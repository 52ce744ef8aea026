"""What has an address in a cluster: pods by themselves, pods that a template describes, and the namespaces they are in.

A workload stands for all its pods: they have the same labels, ports and namespace, which is all a NetworkPolicy sees of a pod. Labels that
controllers add at run time are part of it (``LabelIndex`` sees that they exist; their values match nothing that anyone would write).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.engines.netpol.addresses import address
from harness.engines.netpol.intervals import EMPTY, Intervals
from harness.engines.netpol.ports import NONE, PROTOCOLS, Ports
from harness.model.pods import PodTemplate, pods_of
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from harness.model import Location, Object

#: The label every namespace has, whatever its object says (NamespaceDefaultLabelName, stable since 1.22).
NAME_LABEL: Final = "kubernetes.io/metadata.name"
#: A value that some controller will set. No label of an object can have it.
SET: Final = "\0set at run time"
ORDINALS: Final = ("statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index")
#: What controllers put on their pods (workload labels of the well-known labels page).
_ADDED: Final[Mapping[str, tuple[str, ...]]] = {
    "Deployment": ("pod-template-hash",),
    "ReplicaSet": (),
    "StatefulSet": ("controller-revision-hash", *ORDINALS),
    "DaemonSet": ("controller-revision-hash", "pod-template-generation"),
    "Job": ("controller-uid", "batch.kubernetes.io/controller-uid"),
    "CronJob": ("controller-uid", "batch.kubernetes.io/controller-uid", "job-name", "batch.kubernetes.io/job-name"),
}
#: Kinds of others that make pods from a template like the built-in ones do: Argo Rollouts, OpenShift, Knative, KubeVirt.
_OTHER_TEMPLATES: Final = frozenset(
    {
        "Rollout.argoproj.io",
        "DeploymentConfig.apps.openshift.io",
        "Service.serving.knative.dev",
        "VirtualMachine.kubevirt.io",
        "VirtualMachineInstanceReplicaSet.kubevirt.io",
    }
)
_JOB_NAME: Final = ("job-name", "batch.kubernetes.io/job-name")
_RUN_TIME: Final = frozenset((*(key for keys in _ADDED.values() for key in keys), *_JOB_NAME, "batch.kubernetes.io/job-completion-index"))


class Port(NamedTuple):
    """A port that a container declares. ``name`` may be empty."""

    name: str
    number: int
    protocol: str


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """Pods that no policy can tell apart. ``object`` is what makes them; None when something outside of the objects does, and ``note`` says what.

    ``addresses`` are those of running pods, where objects with a status say so. ``pods`` are the names of pods that were found to belong to it.
    """

    kind: str
    namespace: str
    name: str
    labels: Mapping[str, str]
    ports: tuple[Port, ...] = ()
    host_network: bool = False
    object: Object | None = None
    template: PodTemplate | None = None
    note: str = ""
    addresses: Intervals = EMPTY
    pods: tuple[str, ...] = ()

    @property
    def declared(self) -> Ports:
        """The ports that its containers declare."""
        return Ports.of((port.protocol, Intervals(((port.number, port.number),))) for port in self.ports)

    def named(self, name: str, protocol: str) -> Ports:
        """What a named port means for its pods; nothing when no container has it."""
        found = NONE
        for port in self.ports:
            if port.name == name and port.protocol == protocol:
                found |= Ports.single(port.number, protocol)
        return found

    def locate(self, *pointer: str | int) -> Location | None:
        if self.template is not None:
            return self.template.locate(*pointer)
        return self.object.locate(*pointer) if self.object is not None else None

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace with its labels. ``object`` None: there is no Namespace object, so only the label of its name is known."""

    name: str
    labels: Mapping[str, str]
    object: Object | None = None


@dataclass(slots=True)
class Population:
    """Everything that has an address, sorted, and what has none any more."""

    workloads: list[Workload] = field(default_factory=list)
    namespaces: dict[str, Namespace] = field(default_factory=dict)
    completed: list[str] = field(default_factory=list)


def populate(objects: Sequence[Object], assumed: Iterable[Workload] = (), *, ordinals: bool = False) -> Population:
    """The workloads and namespaces of objects. ``assumed`` are pods that no object describes.

    With ``ordinals`` the pods of a StatefulSet stand by themselves, because some selector can tell them apart.
    """
    found = Population()
    templates = [pod for pod in pods_of(objects) if pod.object.kind != "PodTemplate"]
    templates += _other_templates(objects)
    makers = {(pod.namespace, pod.object.kind, pod.object.name): pod for pod in templates}
    owned: dict[tuple[str, str, str], list[PodTemplate]] = defaultdict(list)
    for pod in templates:
        if pod.object.kind == "Pod" and mapping(pod.object.body.get("status")).get("phase") in ("Succeeded", "Failed"):
            found.completed.append(f"Pod/{pod.namespace}/{pod.object.name}")
            continue
        owner = _owner(pod, makers)
        if owner is None:
            found.workloads += _of_template(pod, ordinals=ordinals)
        else:
            owned[owner].append(pod)
    for owner, pods in owned.items():
        _adopt(found, owner, pods, makers.get(owner))
    found.workloads += assumed
    found.workloads.sort(key=lambda each: (each.namespace, each.kind, each.name))
    found.namespaces = _namespaces(objects, found.workloads)
    return found


def _other_templates(objects: Iterable[Object]) -> Iterator[PodTemplate]:
    """Pods that templates of other kinds describe. A virtual machine without a template of its own is its pod itself."""
    for item in objects:
        if item.kind == "VirtualMachineInstance" and item.group == "kubevirt.io":
            yield PodTemplate(item, (), item.metadata, item.spec)
        elif item.group and f"{item.kind}.{item.group}" in _OTHER_TEMPLATES:
            body = mapping(item.spec.get("template"))
            yield PodTemplate(item, ("spec", "template"), mapping(body.get("metadata")), mapping(body.get("spec")))


def _owner(pod: PodTemplate, makers: Mapping[tuple[str, str, str], PodTemplate]) -> tuple[str, str, str] | None:
    """The outermost controller of a pod or of what makes it, as far as the objects tell."""
    current, seen = pod, set[tuple[str, str, str]]()
    outermost: tuple[str, str, str] | None = None
    while True:
        owners = [mapping(each) for each in items(current.object.metadata.get("ownerReferences"))]
        controller = next((each for each in owners if each.get("controller") is True), None)
        if controller is None:
            return outermost
        outermost = (pod.namespace, text(controller.get("kind")), text(controller.get("name")))
        if outermost not in makers or outermost in seen:
            return outermost
        seen.add(outermost)
        current = makers[outermost]


def _adopt(found: Population, owner: tuple[str, str, str], pods: list[PodTemplate], maker: PodTemplate | None) -> None:
    """Pods whose controller is known: part of its workload when they look like its template, by themselves when they do not."""
    groups: dict[Any, list[PodTemplate]] = defaultdict(list)
    template = _look(maker) if maker is not None else None
    for pod in pods:
        groups[_look(pod)].append(pod)
    for look, members in groups.items():
        running = [each for each in members if each.object.kind == "Pod"]
        addresses = EMPTY
        for each in running:
            addresses |= _addresses(each.object)
        names = tuple(sorted(each.object.name for each in running))
        if look == template:
            for position, made in enumerate(found.workloads):
                if maker is not None and made.object is maker.object:
                    found.workloads[position] = replace(made, addresses=made.addresses | addresses, pods=tuple(sorted((*made.pods, *names))))
        elif maker is None and len(groups) == 1:
            first = _of_template(members[0], ordinals=False)[0]
            found.workloads.append(replace(first, kind=owner[1] or first.kind, name=owner[2] or first.name, addresses=addresses, pods=names))
        else:
            for each in members:
                found.workloads += _of_template(each, ordinals=False)


def _look(pod: PodTemplate) -> tuple[Any, ...]:
    """What a policy can see of a pod, without what its controller has added."""
    labels = tuple(sorted((key, value) for key, value in _labels(pod).items() if key not in _RUN_TIME))
    return (labels, _ports(pod), pod.host_network)


def _labels(pod: PodTemplate) -> dict[str, str]:
    return labels_of(pod.labels)


def labels_of(found: Mapping[Any, Any]) -> dict[str, str]:
    """The labels among what stands in their place: null is the empty label, and what is no string is none."""
    return {key: value or "" for key, value in found.items() if isinstance(key, str) and (value is None or isinstance(value, str))}


def _of_template(pod: PodTemplate, *, ordinals: bool) -> list[Workload]:
    item, labels = pod.object, _labels(pod)
    for key in _ADDED.get(item.kind, ()):
        labels.setdefault(key, SET)
    if item.kind == "Job":
        for key in _JOB_NAME:
            labels.setdefault(key, item.name)
    pods = (item.name,) if item.kind == "Pod" else ()
    # Custom resources of plain manifests have no namespace where nobody knows that they are namespaced.
    made = Workload(item.kind, item.namespace or "default", item.name, labels, _ports(pod), pod.host_network, item, pod, addresses=_addresses(item), pods=pods)
    if item.kind != "StatefulSet" or not ordinals:
        return [made]
    replicas, start = item.spec.get("replicas"), mapping(item.spec.get("ordinals")).get("start")
    number = replicas if isinstance(replicas, int) and not isinstance(replicas, bool) else 1
    first = start if isinstance(start, int) else 0
    every = []
    for ordinal in range(first, first + min(max(number, 1), 100)):
        name = f"{item.name}-{ordinal}"
        every.append(replace(made, name=name, labels={**labels, ORDINALS[0]: name, ORDINALS[1]: str(ordinal)}, pods=(name,)))
    return every


def _ports(pod: PodTemplate) -> tuple[Port, ...]:
    """The ports of containers and of sidecars (init containers that restart always); init containers are gone when the pod serves."""
    found = set()
    for container in pod.containers("containers", "initContainers"):
        if container.list == "initContainers" and container.body.get("restartPolicy") != "Always":
            continue
        for each in items(container.body.get("ports")):
            body = mapping(each)
            number, protocol = body.get("containerPort"), body.get("protocol") or "TCP"
            if isinstance(number, int) and 1 <= number <= 65535 and protocol in PROTOCOLS:
                found.add(Port(text(body.get("name")), number, protocol))
    return tuple(sorted(found))


def _addresses(item: Object) -> Intervals:
    """The addresses of a running pod (``status.podIPs``)."""
    status = mapping(item.body.get("status")) if item.kind == "Pod" else {}
    found = EMPTY
    for words in [text(status.get("podIP")), *(text(mapping(each).get("ip")) for each in items(status.get("podIPs")))]:
        found |= (address(words) or EMPTY) if words else EMPTY
    return found


def _namespaces(objects: Iterable[Object], workloads: Iterable[Workload]) -> dict[str, Namespace]:
    found: dict[str, Namespace] = {}
    for item in objects:
        if item.kind == "Namespace" and not item.group:
            found[item.name] = Namespace(item.name, {**labels_of(item.labels), NAME_LABEL: item.name}, item)
        elif item.kind == "NetworkPolicy" and item.group == "networking.k8s.io":
            found.setdefault(item.namespace, Namespace(item.namespace, {NAME_LABEL: item.namespace}))
    for each in workloads:
        found.setdefault(each.namespace, Namespace(each.namespace, {NAME_LABEL: each.namespace}))
    return found
