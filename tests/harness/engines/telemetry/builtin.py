"""What is scraped in most clusters and stands in nobody's Git: the services and pods that Kubernetes and its installers make.

Source: Kubernetes 1.36 ``pkg/controlplane/controller/kubernetesservice`` (Service kubernetes), kubeadm ``cmd/kubeadm/app/phases/{controlplane,addons}``
(static pods, CoreDNS, kube-proxy); prometheus-operator 0.93 ``pkg/kubelet/controller.go`` (Service of the kubelets).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.model import Object

_KUBELET: Final = re.compile(r"--kubelet-service=([^/\s]+)/(\S+)")
#: Namespace and labels of pods that a distribution runs, with their ports by name.
PODS: Final[tuple[tuple[str, dict[str, str], dict[str, int]], ...]] = (
    ("coredns", {"k8s-app": "kube-dns"}, {"dns": 53, "dns-tcp": 53, "metrics": 9153}),
    ("kube-proxy", {"k8s-app": "kube-proxy"}, {"metrics": 10249}),
    ("etcd", {"component": "etcd", "tier": "control-plane"}, {"probe-port": 2381}),
    ("kube-apiserver", {"component": "kube-apiserver", "tier": "control-plane"}, {"probe-port": 6443}),
    ("kube-controller-manager", {"component": "kube-controller-manager", "tier": "control-plane"}, {"probe-port": 10257}),
    ("kube-scheduler", {"component": "kube-scheduler", "tier": "control-plane"}, {"probe-port": 10259}),
)
HOST_NETWORK: Final = frozenset({"kube-proxy", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"})
NAMESPACE: Final = "kube-system"


def services(objects: Iterable[Object]) -> Iterator[dict[str, Any]]:
    """The services that the cluster makes itself. ``endpoints: nodes`` marks those whose addresses are those of nodes."""
    yield {
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {"ports": [{"name": "https", "port": 443, "targetPort": 6443}]},
        "endpoints": "nodes",
    }
    yield {
        "metadata": {"name": "kube-dns", "namespace": NAMESPACE, "labels": {"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"}},
        "spec": {
            "selector": {"k8s-app": "kube-dns"},
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
                {"name": "dns-tcp", "port": 53, "targetPort": 53},
                {"name": "metrics", "port": 9153, "targetPort": 9153},
            ],
        },
    }
    for namespace, name in sorted(set(_kubelets(objects))):
        yield {
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {"k8s-app": "kubelet", "app.kubernetes.io/name": "kubelet", "app.kubernetes.io/managed-by": "prometheus-operator"},
            },
            "spec": {
                "ports": [
                    {"name": "https-metrics", "port": 10250, "targetPort": 10250},
                    {"name": "http-metrics", "port": 10255, "targetPort": 10255},
                    {"name": "cadvisor", "port": 4194, "targetPort": 4194},
                ]
            },
            "endpoints": "nodes",
        }


def _kubelets(objects: Iterable[Object]) -> Iterator[tuple[str, str]]:
    """The Service that each prometheus-operator among the objects keeps for the kubelets (its argument ``--kubelet-service``)."""
    for item in objects:
        if item.kind != "Deployment":
            continue
        containers = item.get("spec", "template", "spec", "containers")
        for container in containers if isinstance(containers, list) else []:
            arguments = container.get("args") if isinstance(container, dict) else None
            for argument in arguments if isinstance(arguments, list) else []:
                match = _KUBELET.fullmatch(str(argument))
                if match:
                    yield match[1], match[2]
