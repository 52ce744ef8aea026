"""Lines of log, written where a container's own processes write them, and pods that do nothing but write.

A line that is written into the standard output of a container that runs goes the way of every line of that workload: through the container runtime's file and
under the labels of that very pod. It is written from the node, because most images have no shell, and nobody needs the right to enter pods for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.live.findings import NotEvaluatedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.flux.world import World
    from harness.live.ground.cluster import Cluster
    from harness.live.reach.kubectl import Kubectl

#: The process that a container was started with, by the runtime's own list.
_PID: Final = 'pid=$(ctr --namespace k8s.io task ls | while read -r id pid rest; do if [ "$id" = "$1" ]; then echo "$pid"; fi; done); test -n "$pid"'
#: What is at most written at once, so that lines of several writers never mix: PIPE_BUF of Linux.
_ATOMIC: Final = 4096
_WORKLOADS: Final = {"Deployment": "deployments.apps", "StatefulSet": "statefulsets.apps", "DaemonSet": "daemonsets.apps"}
#: The user that the writing pods run as; any that is not root.
_USER: Final = 65532


@dataclass(frozen=True, slots=True)
class Process:
    """The first process of a container on a node that can be entered."""

    cluster: Cluster
    node: str
    container: str
    """The runtime's id."""

    def write(self, text: str) -> None:
        """Write lines to its standard output. Raises RunError when the container has ended, ValueError for more than is written at once."""
        if len(text.encode()) >= _ATOMIC:
            raise ValueError(f"{len(text.encode())} bytes are too many to be written at once")
        self._run(f"{_PID} && printf '%s\\n' \"$2\" > /proc/$pid/fd/1", text)

    def kill(self) -> None:
        """End it without notice. Raises RunError when it has ended."""
        self._run(f"{_PID} && kill -KILL $pid")

    def _run(self, script: str, *arguments: str) -> None:
        self.cluster.docker("exec", self.node, "bash", "-c", script, "bash", self.container, *arguments)


def process(cluster: Cluster, pod: Mapping[str, Any], container: str = "") -> Process:
    """The process of a container of a pod as the API server shows it; the first container unless one is named.

    Raises:
        NotEvaluatedError: it does not run, or its node cannot be entered from here.
    """
    known = f"Pod/{pod['metadata']['namespace']}/{pod['metadata']['name']}"
    if cluster.foreign:
        raise NotEvaluatedError(known, "what a container writes", "the nodes of this cluster cannot be entered from here")
    statuses = {item["name"]: str(item.get("containerID") or "") for item in pod.get("status", {}).get("containerStatuses") or ()}
    found = statuses.get(container or pod["spec"]["containers"][0]["name"], "")
    if not found:
        raise NotEvaluatedError(known, "what a container writes", f"container {container or 'number one'} does not run")
    return Process(cluster, str(pod["spec"]["nodeName"]), found.rpartition("/")[2])


def pods_of(kubectl: Kubectl, workload: str) -> list[dict[str, Any]]:
    """The pods of a workload (``Deployment/tenant-a/podinfo``) that run and are not about to end, oldest first."""
    kind, namespace, name = workload.split("/")
    body = kubectl.get(_WORKLOADS[kind], name, namespace)
    if body is None:
        return []
    selector = ",".join(f"{key}={value}" for key, value in sorted(body["spec"]["selector"]["matchLabels"].items()))
    pods = kubectl.list("pods", namespace=namespace, selector=selector)
    alive = [pod for pod in pods if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"] and _own(pod, kind)]
    return sorted(alive, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))


def _own(pod: Mapping[str, Any], kind: str) -> bool:
    owners = [str(item.get("kind")) for item in pod["metadata"].get("ownerReferences") or ()]
    return ("ReplicaSet" if kind == "Deployment" else kind) in owners


def a_pod_of(kubectl: Kubectl, workload: str) -> dict[str, Any]:
    """A pod of a workload that runs. Raises NotEvaluatedError when none does."""
    for pod in pods_of(kubectl, workload):
        return pod
    raise NotEvaluatedError(workload, "live proof", "no pod of it runs")


def shell_image(world: World) -> str:
    """An image of the platform that has a shell: Vault's. Raises NotEvaluatedError where there is no Vault."""
    vault = world.find("StatefulSet.apps", "vault", "vault")
    image = next((str(item["image"]) for item in vault.get("spec", "template", "spec", "containers") if item["name"] == "vault"), "") if vault else ""
    if not image:
        raise NotEvaluatedError(world.cluster.name, "a pod that writes lines", "no image of the platform is known to have a shell")
    return image


def writer(name: str, namespace: str, image: str, script: str, *, annotations: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """A pod that runs a script once, as the platform's policies want pods to be, with its ServiceAccount."""
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/name": name}}
    container = {
        "name": "writer",
        "image": image,
        "command": ["/bin/sh", "-c", script],
        "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "restartPolicy": "Never",
        "serviceAccountName": name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "runAsUser": _USER, "runAsGroup": _USER, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "automountServiceAccountToken": False}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**metadata, "annotations": dict(annotations or {})}, "spec": spec}
    return [account, pod]
