"""What a Grafana loads: the ConfigMaps that its pods mount, and those that its sidecar looks for.

Source: Grafana's chart (``dashboardsConfigMaps``, ``extraConfigmapMounts``), kiwigrid/k8s-sidecar's README (LABEL, LABEL_VALUE, NAMESPACE).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.model import Object
    from harness.model.pods import PodTemplate


@dataclass(eq=False)
class Loading:
    """What the Grafanas of a cluster load. ``pods`` is empty where there is none."""

    pods: list[PodTemplate] = field(default_factory=list)
    mounted: set[tuple[str, str, str]] = field(default_factory=set)
    sidecars: list[tuple[str, str, frozenset[str]]] = field(default_factory=list)

    def takes(self, item: Object) -> bool:
        """Whether a ConfigMap or Secret is loaded."""
        if (item.kind, item.namespace, item.name) in self.mounted:
            return True
        for label, value, namespaces in self.sidecars:
            if label in item.labels and (not value or item.labels[label] == value) and (not namespaces or item.namespace in namespaces):
                return True
        return False


def loading_of(pods: Iterable[PodTemplate]) -> Loading:
    """What the Grafana pods among some pods load."""
    found = Loading()
    for pod in pods:
        images = [text(container.body.get("image")).partition("@")[0].partition(":")[0] for container in pod.containers("containers")]
        if not any(image.rpartition("/")[2] in ("grafana", "grafana-enterprise", "grafana-oss") for image in images):
            continue
        found.pods.append(pod)
        for volume in items(pod.spec.get("volumes")):
            body = mapping(volume)
            for source in (body, *(mapping(entry) for entry in items(mapping(body.get("projected")).get("sources")))):
                name = text(mapping(source.get("configMap")).get("name"))
                if name:
                    found.mounted.add(("ConfigMap", pod.namespace, name))
                name = text(mapping(source.get("secret")).get("secretName") or mapping(source.get("secret")).get("name"))
                if name:
                    found.mounted.add(("Secret", pod.namespace, name))
        for container in pod.containers("containers", "initContainers"):
            settings = _environment(container.body)
            if settings.get("LABEL"):
                wanted = settings.get("NAMESPACE", "")
                namespaces = frozenset() if wanted == "ALL" else frozenset(wanted.split(",")) if wanted else frozenset({pod.namespace})
                found.sidecars.append((settings["LABEL"], settings.get("LABEL_VALUE", ""), namespaces))
    return found


def _environment(container: Mapping[str, object]) -> dict[str, str]:
    return {text(mapping(entry).get("name")): text(mapping(entry).get("value")) for entry in items(container.get("env"))}
