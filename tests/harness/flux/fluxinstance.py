"""What flux-operator makes of a FluxInstance: Flux's controllers with their services and accounts, and the sync.

Source: FluxInstance v1 documentation (flux-operator 0.58) and the manifests of Flux 2.9. From the manifests themselves when they are at
hand; else from the table below, which knows names, ports and security contexts but no CRDs and no roles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from harness.flux.makers import mapping
from harness.flux.semver import is_exact
from harness.flux.synthesis import made_from
from harness.source.yaml import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.model import Object

_ARTIFACT: Final = "oci://ghcr.io/fluxcd/flux-manifests"
_DEFAULT: Final = ("source-controller", "kustomize-controller", "helm-controller", "notification-controller")
#: Named ports of the container besides http-prom 8080 and healthz 9440, and services: name, port, target.
_PORTS: Final[Mapping[str, tuple[tuple[str, int], ...]]] = {
    "source-controller": (("http", 9090),),
    "source-watcher": (("http", 9090),),
    "notification-controller": (("http", 9090), ("http-webhook", 9292)),
}
_SERVICES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "source-controller": (("source-controller", "http"),),
    "source-watcher": (("source-watcher", "http"),),
    "notification-controller": (("notification-controller", "http"), ("webhook-receiver", "http-webhook")),
}
_SECURITY: Final = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def controllers(instance: Object, artifact: Callable[[str, str], list[str]] | None) -> list[Object]:
    """The objects of a FluxInstance, in its own namespace where they have one."""
    spec = instance.spec
    components = spec.get("components")
    names = [str(name) for name in components] if isinstance(components, list) and components else list(_DEFAULT)
    version = str(instance.get("spec", "distribution", "version") or "2.x")
    bodies = list(_upstream(names, version, artifact)) or list(_table(instance, names, version))
    bodies += _sync(instance)
    cluster_wide = ("Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition")
    return [made_from(instance, body, "" if body["kind"] in cluster_wide else instance.namespace) for body in bodies]


def _upstream(names: list[str], version: str, artifact: Callable[[str, str], list[str]] | None) -> Iterator[dict[str, Any]]:
    if artifact is None or not is_exact(version):
        return
    tag = version if version.startswith("v") else f"v{version}"
    for text in artifact(_ARTIFACT, tag):
        for document in parse(text, "", strict=False).documents:
            body = document.body
            metadata = mapping(body.get("metadata"))
            component = mapping(metadata.get("labels")).get("app.kubernetes.io/component")
            if body.get("kind") and body.get("apiVersion") and metadata.get("name") and (component is None or component in names):
                yield body


def _table(instance: Object, names: list[str], version: str) -> Iterator[dict[str, Any]]:
    registry = str(instance.get("spec", "distribution", "registry") or "ghcr.io/fluxcd").rstrip("/")
    pull = instance.get("spec", "distribution", "imagePullSecret")
    labels = {"app.kubernetes.io/instance": instance.namespace, "app.kubernetes.io/managed-by": "flux-operator", "app.kubernetes.io/part-of": "flux"}
    for name in names:
        own = {**labels, "app.kubernetes.io/component": name}
        yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "labels": own}}
        ports = [*_PORTS.get(name, ()), ("http-prom", 8080), ("healthz", 9440)]
        serves = name in ("source-controller", "source-watcher")
        container = {
            "name": "manager",
            "image": f"{registry}/{name}:{version}",
            "ports": [{"name": port, "containerPort": number, "protocol": "TCP"} for port, number in ports],
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": "healthz"}},
            "readinessProbe": {"httpGet": {"path": "/" if serves else "/readyz", "port": "http" if serves else "healthz"}},
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "1000m", "memory": "1Gi"}},
            "securityContext": _SECURITY,
            "volumeMounts": [{"name": "temp", "mountPath": "/tmp"}],  # noqa: S108 - a path in the container
        }
        pod: dict[str, Any] = {
            "serviceAccountName": name,
            "containers": [container],
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "priorityClassName": "system-cluster-critical",
            "securityContext": {"fsGroup": 1337},
            "terminationGracePeriodSeconds": 10,
            "volumes": [{"name": "temp", "emptyDir": {}}],
        }
        if pull:
            pod["imagePullSecrets"] = [{"name": str(pull)}]
        yield {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "labels": {**own, "control-plane": "controller"}},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {**own, "app": name}}, "spec": pod}},
        }
        for service, target in _SERVICES.get(name, ()):
            port = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": target}
            yield {"apiVersion": "v1", "kind": "Service", "metadata": {"name": service, "labels": own}, "spec": {"ports": [port], "selector": {"app": name}}}
    if instance.get("spec", "cluster", "networkPolicy") is not False:
        yield from _policies(labels)


def _policies(labels: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The network policies of Flux's own distribution: all egress and ingress from the namespace, scraping and webhooks from anywhere."""
    anywhere: list[dict[str, Any]] = [{"namespaceSelector": {}}]
    metrics = [{"port": 8080, "protocol": "TCP"}]
    receiver = {"matchLabels": {"app": "notification-controller"}}
    rules: tuple[tuple[str, dict[str, Any]], ...] = (
        ("allow-egress", {"egress": [{}], "ingress": [{"from": [{"podSelector": {}}]}], "podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
        ("allow-scraping", {"ingress": [{"from": anywhere, "ports": metrics}], "podSelector": {}, "policyTypes": ["Ingress"]}),
        ("allow-webhooks", {"ingress": [{"from": anywhere}], "podSelector": receiver, "policyTypes": ["Ingress"]}),
    )
    for name, spec in rules:
        yield {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name, "labels": dict(labels)}, "spec": spec}


def _sync(instance: Object) -> Iterator[dict[str, Any]]:
    sync = instance.get("spec", "sync")
    if not isinstance(sync, dict) or not sync.get("kind"):
        return
    kind, name = str(sync["kind"]), str(sync.get("name") or instance.namespace)
    reference = str(sync.get("ref") or "")
    source: dict[str, Any] = {"interval": sync.get("interval") or "1m"}
    if kind == "Bucket":
        source |= {"bucketName": reference, "endpoint": sync.get("url")}
    else:
        source |= {"url": sync.get("url"), "ref": {"name" if kind == "GitRepository" else "tag": reference}}
    if sync.get("pullSecret"):
        source["secretRef"] = {"name": sync["pullSecret"]}
    if sync.get("provider"):
        source["provider"] = sync["provider"]
    yield {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": kind, "metadata": {"name": name}, "spec": source}
    spec = {"interval": "10m0s", "path": str(sync.get("path") or "./"), "prune": True, "sourceRef": {"kind": kind, "name": name}}
    yield {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": {"name": name}, "spec": spec}
