"""The configuration of a kind cluster, and the files its nodes mount. Pure: options in, objects and texts out.

Sources: kind v1alpha4 configuration, kubeadm v1beta3 and v1beta4 (arguments are a mapping in the first, a list in the second), containerd
``docs/hosts.md``, Kubernetes ``audit.k8s.io/v1``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

POD_SUBNET: Final = "10.244.0.0/16"
SERVICE_SUBNET: Final = "10.96.0.0/16"
#: Where kind's own images come from, when only a version is asked for.
NODE_IMAGE: Final = "kindest/node"
CERTS: Final = "/etc/containerd/certs.d"
AUDIT_POLICY: Final = "/etc/kubernetes/audit/policy.yaml"
AUDIT_LOG: Final = "/var/log/kubernetes/audit.log"

#: Who did what, without the noise of watches and leases, and never with what is in a Secret.
_AUDIT: Final[Mapping[str, Any]] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}]},
        {"level": "None", "verbs": ["get", "list", "watch"], "users": ["system:apiserver", "system:kube-scheduler", "system:kube-controller-manager"]},
        {"level": "Metadata"},
    ],
}


class OptionError(Exception):
    """An option cannot be meant as it was given. One line, for the one who gave it."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """What the nodes of a cluster are to be. ``mirror``: a registry that stands for every upstream one, as a URL."""

    workers: int = 0
    mirror: str = ""
    cgroup_v1: bool = False

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise OptionError(f"--workers {self.workers}: a number of nodes is not negative")
        if self.mirror and (urlsplit(self.mirror).scheme not in ("http", "https") or not urlsplit(self.mirror).netloc):
            raise OptionError(f"--registry-mirror {self.mirror}: give it as http://HOST:PORT or https://HOST")


def node_image(image: str | None, version: str | None) -> str | None:
    """The image of nodes: as given, or kind's own of a version, or None for kind's default. Raises OptionError for a version without a patch."""
    if image or not version:
        return image
    text = version.removeprefix("v")
    if text.count(".") != 2:
        raise OptionError(f"--kubernetes-version {version}: node images are named by the whole version, such as 1.36.4")
    return f"{NODE_IMAGE}:v{text}"


def files(nodes: Nodes) -> dict[str, str]:
    """What the nodes mount, by path relative to one folder."""
    found = {"audit/policy.yaml": yaml.safe_dump(dict(_AUDIT), sort_keys=False)}
    if nodes.mirror:
        # containerd asks the mirror first, whatever the host of the image is, and the host itself for what the mirror does not have.
        found["certs.d/_default/hosts.toml"] = f'[host."{nodes.mirror.rstrip("/")}"]\n  capabilities = ["pull", "resolve"]\n'
    return found


def configuration(nodes: Nodes, folder: Path) -> dict[str, Any]:
    """The configuration that ``kind create cluster --config`` takes. ``folder`` holds :func:`files`."""
    certs = [{"hostPath": str(folder / "certs.d"), "containerPath": CERTS, "readOnly": True}] if nodes.mirror else []
    audit = [{"hostPath": str(folder / "audit"), "containerPath": str(AUDIT_POLICY.rpartition("/")[0]), "readOnly": True}]
    control = {"role": "control-plane", "kubeadmConfigPatches": _patches(nodes), "extraMounts": [*audit, *certs]}
    worker: dict[str, Any] = {"role": "worker", **({"extraMounts": certs} if certs else {})}
    config = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": {"podSubnet": POD_SUBNET, "serviceSubnet": SERVICE_SUBNET},
        "nodes": [control, *(worker for _ in range(nodes.workers))],
    }
    if nodes.mirror:
        config["containerdConfigPatches"] = [f'[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "{CERTS}"\n']
    return config


def _patches(nodes: Nodes) -> list[str]:
    """Patches of kubeadm's configuration: audit log, and metrics where Prometheus can reach them. kind uses those of the version it generates."""
    server = {"audit-policy-file": AUDIT_POLICY, "audit-log-path": AUDIT_LOG, "audit-log-maxsize": "100", "audit-log-maxbackup": "1"}
    arguments = {
        ("apiServer",): server,
        ("controllerManager",): {"bind-address": "0.0.0.0"},  # noqa: S104 - inside the node's own network
        ("scheduler",): {"bind-address": "0.0.0.0"},  # noqa: S104
        ("etcd", "local"): {"listen-metrics-urls": "http://0.0.0.0:2381"},
    }
    volumes = [
        {"name": "audit-policy", "hostPath": AUDIT_POLICY, "mountPath": AUDIT_POLICY, "readOnly": True, "pathType": "File"},
        {"name": "audit-log", "hostPath": AUDIT_LOG.rpartition("/")[0], "mountPath": AUDIT_LOG.rpartition("/")[0], "pathType": "DirectoryOrCreate"},
    ]
    patches: list[dict[str, Any]] = []
    for version in ("v1beta3", "v1beta4"):
        body: dict[str, Any] = {"apiVersion": f"kubeadm.k8s.io/{version}", "kind": "ClusterConfiguration"}
        for path, wanted in arguments.items():
            at = body
            for part in path:
                at = at.setdefault(part, {})
            at["extraArgs"] = dict(wanted) if version == "v1beta3" else [{"name": name, "value": value} for name, value in wanted.items()]
        body["apiServer"]["extraVolumes"] = volumes
        patches.append(body)
    patches.append({"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "metricsBindAddress": "0.0.0.0:10249"})
    if nodes.cgroup_v1:
        # Since 1.35 the kubelet does not start on cgroup v1 unless it is told to.
        patches.append({"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "failCgroupV1": False})
    return [yaml.safe_dump(patch, sort_keys=False) for patch in patches]
