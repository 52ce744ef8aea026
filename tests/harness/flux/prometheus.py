"""What prometheus-operator makes of its resources: StatefulSets with their pods, and the services that govern them.

Source: prometheus-operator v0.93.0, ``pkg/prometheus/{common,promcfg}.go``, ``pkg/prometheus/{server,agent}/statefulset.go``,
``pkg/alertmanager/statefulset.go``, ``pkg/thanos/statefulset.go``, ``pkg/operator/config_reloader.go``. Left out: the exact
command-line arguments, which depend on versions and are no matter of policy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from harness.flux.makers import mapping
from harness.flux.synthesis import merge_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.model import Object

_RESTRICTED: Final = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
#: Fields of the resources' specs that go into the pod as they are.
_PASSED: Final = (
    "securityContext",
    "serviceAccountName",
    "nodeSelector",
    "schedulerName",
    "priorityClassName",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "hostAliases",
    "hostNetwork",
    "hostUsers",
    "enableServiceLinks",
    "dnsPolicy",
    "dnsConfig",
    "imagePullSecrets",
)
_RELOADER_AMOUNTS: Final = {"cpu": "10m", "memory": "50Mi"}
_RELOADER: Final = "--prometheus-config-reloader="
_FLAG: Final = re.compile(r"--?([a-z-]+)=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Operator:
    """What the operator's own Deployment says about the pods it makes (its command-line flags, v0.93 ``cmd/operator/main.go``)."""

    reloader_image: str = "quay.io/prometheus-operator/prometheus-config-reloader:v0.93.0"
    reloader_resources: Mapping[str, Any] = field(default_factory=lambda: {"requests": dict(_RELOADER_AMOUNTS), "limits": dict(_RELOADER_AMOUNTS)})
    reloader_probes: bool = False
    images: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Kind:
    """What differs between the operator's resources."""

    prefix: str
    application: str
    container: str
    name_label: str
    port: int
    governing: str
    image: str
    version: str
    grace: int
    storage_suffix: str
    storage_path: str
    health: tuple[str, str]
    reloader: bool
    extra_ports: tuple[tuple[str, int, str], ...] = ()


_KINDS: Final[Mapping[str, _Kind]] = {
    "Prometheus": _Kind(
        "prometheus", "prometheus", "prometheus", "prometheus", 9090, "prometheus-operated", "quay.io/prometheus/prometheus", "v3.13.1",
        600, "db", "/prometheus", ("/-/ready", "/-/healthy"), reloader=True,
    ),
    "PrometheusAgent": _Kind(
        "prom-agent", "prometheus-agent", "prometheus", "", 9090, "prometheus-agent-operated", "quay.io/prometheus/prometheus", "v3.13.1",
        600, "db", "/prometheus", ("/-/ready", "/-/healthy"), reloader=True,
    ),
    "Alertmanager": _Kind(
        "alertmanager", "alertmanager", "alertmanager", "alertmanager", 9093, "alertmanager-operated", "quay.io/prometheus/alertmanager", "v0.33.1",
        120, "db", "/alertmanager", ("/-/ready", "/-/healthy"), reloader=True, extra_ports=(("mesh-tcp", 9094, "TCP"), ("mesh-udp", 9094, "UDP")),
    ),
    "ThanosRuler": _Kind(
        "thanos-ruler", "thanos-ruler", "thanos-ruler", "thanos-ruler", 10902, "thanos-ruler-operated", "quay.io/thanos/thanos", "v0.42.2",
        120, "data", "/thanos/data", ("", ""), reloader=False, extra_ports=(("grpc", 10901, "TCP"),),
    ),
}  # fmt: skip
KINDS: Final = tuple(_KINDS)


def operator_of(objects: Iterable[Object]) -> Operator:
    """The settings of the operator that is among the objects; its defaults when none is."""
    for item in objects:
        if item.kind != "Deployment":
            continue
        containers = item.get("spec", "template", "spec", "containers")
        for container in containers if isinstance(containers, list) else []:
            arguments = container.get("args") if isinstance(container, dict) else None
            if isinstance(arguments, list) and any(str(argument).startswith(_RELOADER) for argument in arguments):
                flags = [match for match in (_FLAG.fullmatch(str(argument)) for argument in arguments) if match]
                return _operator({match[1]: match[2] for match in flags})
    return Operator()


def _operator(flags: Mapping[str, str]) -> Operator:
    resources: dict[str, dict[str, str]] = {}
    for kind in ("request", "limit"):
        for name in ("cpu", "memory"):
            amount = flags.get(f"config-reloader-{name}-{kind}", "10m" if name == "cpu" else "50Mi")
            # "0" switches a request or limit off.
            if amount != "0":
                resources.setdefault(f"{kind}s", {})[name] = amount
    return Operator(
        reloader_image=flags.get("prometheus-config-reloader", Operator().reloader_image),
        reloader_resources=resources,
        reloader_probes=flags.get("enable-config-reloader-probes") == "true",
        images={name: flags[f"{name}-default-base-image"] for name in ("prometheus", "alertmanager", "thanos") if f"{name}-default-base-image" in flags},
    )


def workloads(item: Object, operator: Operator) -> list[dict[str, Any]]:
    """The workloads and the governing service of one resource; nothing for kinds that are not known."""
    kind = _KINDS.get(item.kind)
    if kind is None:
        return []
    spec = item.spec
    shards = spec.get("shards") if item.kind in ("Prometheus", "PrometheusAgent") else None
    daemon = item.kind == "PrometheusAgent" and spec.get("mode") == "DaemonSet"
    made = [_workload(item, kind, operator, shard, daemon=daemon) for shard in range(1 if daemon or not isinstance(shards, int) else max(shards, 1))]
    if not spec.get("serviceName") and not daemon:
        made.append(_service(item, kind))
    return made


def _workload(item: Object, kind: _Kind, operator: Operator, shard: int, *, daemon: bool) -> dict[str, Any]:
    spec = item.spec
    name = f"{kind.prefix}-{item.name}"
    sharded = item.kind in ("Prometheus", "PrometheusAgent") and not daemon
    selector = {
        "app.kubernetes.io/instance": item.name,
        "app.kubernetes.io/managed-by": "prometheus-operator",
        "app.kubernetes.io/name": kind.application,
    }
    if kind.name_label:
        selector[kind.name_label] = item.name
    if item.kind in ("Prometheus", "PrometheusAgent"):
        selector["operator.prometheus.io/name"] = item.name
    if sharded:
        selector["operator.prometheus.io/shard"] = str(shard)
    pod_metadata = mapping(spec.get("podMetadata"))
    version = str(spec.get("version") or kind.version)
    labels = {"app.kubernetes.io/version": version.removeprefix("v"), **mapping(pod_metadata.get("labels")), **selector}
    template = {
        "metadata": {"labels": labels, "annotations": {"kubectl.kubernetes.io/default-container": kind.container, **mapping(pod_metadata.get("annotations"))}},
        "spec": _pod(item, kind, operator, version, name, daemon=daemon),
    }
    metadata: dict[str, Any] = {"name": name if not shard else f"{name}-shard-{shard}", "labels": {**selector, **item.labels}}
    if item.kind in ("Prometheus", "PrometheusAgent"):
        metadata["labels"]["operator.prometheus.io/mode"] = "server" if item.kind == "Prometheus" else "agent"
    if daemon:
        return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": {"selector": {"matchLabels": selector}, "template": template}}
    replicas = spec.get("replicas")
    stateful: dict[str, Any] = {
        "serviceName": spec.get("serviceName") or kind.governing,
        "replicas": replicas if isinstance(replicas, int) and replicas >= 0 else 1,
        "podManagementPolicy": spec.get("podManagementPolicy") or "Parallel",
        "selector": {"matchLabels": selector},
        "template": template,
    }
    claim = _claim(spec.get("storage"), f"{name}-{kind.storage_suffix}")
    if claim is not None:
        stateful["volumeClaimTemplates"] = [claim]
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": stateful}


def _pod(item: Object, kind: _Kind, operator: Operator, version: str, name: str, *, daemon: bool) -> dict[str, Any]:
    spec = item.spec
    port_name = str(spec.get("portName") or "web")
    storage = spec.get("storage")
    storage_name = _storage_name(storage, f"{name}-{kind.storage_suffix}")
    mounts = [
        {"name": "config-out", "mountPath": "/etc/" + kind.application + "/config_out", "readOnly": True},
        {"name": "tls-assets", "mountPath": "/etc/" + kind.application + "/certs", "readOnly": True},
    ]
    if not daemon:
        mounts.append({"name": storage_name, "mountPath": kind.storage_path})
    mounts += _list(spec.get("volumeMounts"))
    volumes: list[dict[str, Any]] = [
        {"name": "config", "secret": {"secretName": f"{name}-generated" if item.kind == "Alertmanager" else name}},
        {"name": "tls-assets", "projected": {"sources": [{"secret": {"name": f"{name}-tls-assets-0"}}]}},
        {"name": "config-out", "emptyDir": {"medium": "Memory"}},
        {"name": "web-config", "secret": {"secretName": f"{name}-web-config"}},
    ]
    web = f"/etc/{kind.application}/web_config/web-config.yaml"
    mounts.append({"name": "web-config", "mountPath": web, "readOnly": True, "subPath": "web-config.yaml"})
    for part, key in (("secret", "secrets"), ("configmap", "configMaps")):
        for entry in _list(spec.get(key)):
            volume = {"secret": {"secretName": str(entry)}} if part == "secret" else {"configMap": {"name": str(entry)}}
            volumes.append({"name": f"{part}-{_label(str(entry))}", **volume})
            mounts.append({"name": f"{part}-{_label(str(entry))}", "mountPath": f"/etc/{kind.application}/{key.lower()}/{entry}", "readOnly": True})
    if not daemon and _claim(storage, storage_name) is None:
        volumes.append({"name": storage_name, **_volume(storage)})
    volumes += _list(spec.get("volumes"))
    containers = [_main(item, kind, operator, version, port_name, mounts)]
    if kind.reloader:
        containers.append(_reloader("config-reloader", 8080, "reloader-web", item, operator))
    if item.kind == "Prometheus" and isinstance(spec.get("thanos"), dict):
        containers.append(_sidecar(spec, spec["thanos"], operator))
    initial = [_reloader("init-config-reloader", 8081, "reloader-init", item, operator)] if kind.reloader else []
    pod: dict[str, Any] = {key: spec[key] for key in _PASSED if spec.get(key) not in (None, "")}
    automount = spec.get("automountServiceAccountToken")
    if automount is not None or item.kind in ("Prometheus", "PrometheusAgent"):
        pod["automountServiceAccountToken"] = True if automount is None else automount
    pod["terminationGracePeriodSeconds"] = spec.get("terminationGracePeriodSeconds", kind.grace)
    pod["containers"] = merge_by(containers, _list(spec.get("containers")), "containers") if spec.get("containers") else containers
    merged = merge_by(initial, _list(spec.get("initContainers")), "initContainers") if spec.get("initContainers") else initial
    if merged:
        pod["initContainers"] = merged
    pod["volumes"] = volumes
    if spec.get("hostNetwork") is True and "dnsPolicy" not in pod:
        pod["dnsPolicy"] = "ClusterFirstWithHostNet"
    return pod


def _main(item: Object, kind: _Kind, operator: Operator, version: str, port_name: str, mounts: list[dict[str, Any]]) -> dict[str, Any]:
    spec = item.spec
    local = spec.get("listenLocal") is True
    ports = [] if local else [{"name": port_name, "containerPort": kind.port, "protocol": "TCP"}]
    ports += [{"name": name, "containerPort": port, "protocol": protocol} for name, port, protocol in kind.extra_ports]
    container: dict[str, Any] = {
        "name": kind.container,
        "image": _image(spec, kind, operator, version),
        "volumeMounts": mounts,
        "resources": _resources(item),
        "securityContext": dict(_RESTRICTED),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if ports:
        container["ports"] = ports
    if spec.get("imagePullPolicy"):
        container["imagePullPolicy"] = spec["imagePullPolicy"]
    if kind.health[0] and not local:
        container |= _probes(item, kind, port_name)
    return container


def _probes(item: Object, kind: _Kind, port_name: str) -> dict[str, Any]:
    prefix = str(item.spec.get("routePrefix") or "/").rstrip("/")
    scheme = {"scheme": "HTTPS"} if item.get("spec", "web", "tlsConfig") is not None else {}
    ready, healthy = ({"httpGet": {"path": prefix + path, "port": port_name, **scheme}} for path in kind.health)
    if item.kind == "Alertmanager":
        return {
            "livenessProbe": {**healthy, "timeoutSeconds": 3, "failureThreshold": 10},
            "readinessProbe": {**ready, "initialDelaySeconds": 3, "timeoutSeconds": 3, "periodSeconds": 5, "failureThreshold": 10},
        }
    longest = item.spec.get("maximumStartupDurationSeconds")
    tries = max(1, -(-longest // 15)) if isinstance(longest, int) and longest > 0 else 60
    return {
        "startupProbe": {**ready, "timeoutSeconds": 3, "periodSeconds": 15, "failureThreshold": tries},
        "readinessProbe": {**ready, "timeoutSeconds": 3, "periodSeconds": 5, "failureThreshold": 3},
        "livenessProbe": {**healthy, "timeoutSeconds": 3, "periodSeconds": 5, "failureThreshold": 6},
    }


def _resources(item: Object) -> dict[str, Any]:
    resources = item.spec.get("resources")
    resources = dict(resources) if isinstance(resources, dict) else {}
    if item.kind in ("Alertmanager", "ThanosRuler"):
        # The operator fills in what it thinks the least.
        resources["requests"] = {"memory": "200Mi", **mapping(resources.get("requests"))}
    return resources


def _image(spec: Mapping[str, Any], kind: _Kind, operator: Operator, version: str) -> str:
    if str(spec.get("image") or "").strip():
        return str(spec["image"])
    base = str(spec.get("baseImage") or operator.images.get(kind.image.rpartition("/")[2]) or kind.image)
    if "@" in base or ":" in base.rpartition("/")[2]:
        return base
    if spec.get("sha"):
        return f"{base}@sha256:{spec['sha']}"
    return f"{base}:{spec.get('tag') or version}"


def _reloader(name: str, port: int, port_name: str, item: Object, operator: Operator) -> dict[str, Any]:
    folder = f"/etc/{item.kind.lower()}"
    mounts = [{"name": "config", "mountPath": f"{folder}/config"}, {"name": "config-out", "mountPath": f"{folder}/config_out"}]
    container: dict[str, Any] = {
        "name": name,
        "image": operator.reloader_image,
        "command": ["/bin/prometheus-config-reloader"],
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "resources": dict(operator.reloader_resources),
        "securityContext": dict(_RESTRICTED),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }
    local = item.spec.get("listenLocal") is True
    if not local or name.startswith("init-"):
        container["ports"] = [{"name": port_name, "containerPort": port, "protocol": "TCP"}]
    if operator.reloader_probes and not name.startswith("init-") and not local:
        for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
            container[probe] = {"httpGet": {"path": "/healthz", "port": port}}
    return container


def _sidecar(spec: Mapping[str, Any], thanos: Mapping[str, Any], operator: Operator) -> dict[str, Any]:
    kind = _KINDS["ThanosRuler"]
    container: dict[str, Any] = {
        "name": "thanos-sidecar",
        "image": _image(thanos, kind, operator, str(thanos.get("version") or kind.version)),
        "resources": thanos.get("resources") or {},
        "securityContext": dict(_RESTRICTED),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "ports": [{"name": "http", "containerPort": 10902, "protocol": "TCP"}, {"name": "grpc", "containerPort": 10901, "protocol": "TCP"}],
    }
    if spec.get("imagePullPolicy"):
        container["imagePullPolicy"] = spec["imagePullPolicy"]
    return container


def _service(item: Object, kind: _Kind) -> dict[str, Any]:
    port_name = str(item.spec.get("portName") or "web")
    ports: list[dict[str, Any]] = [{"name": port_name, "port": kind.port, "targetPort": port_name, "protocol": "TCP"}]
    for name, port, protocol in kind.extra_ports:
        ports.append({"name": "-".join(reversed(name.split("-"))), "port": port, "targetPort": name, "protocol": protocol})
    if item.kind == "Prometheus" and isinstance(item.spec.get("thanos"), dict):
        ports.append({"name": "grpc", "port": 10901, "targetPort": "grpc", "protocol": "TCP"})
    spec: dict[str, Any] = {"clusterIP": "None", "ports": ports, "selector": {"app.kubernetes.io/name": kind.application}}
    if item.kind == "Alertmanager":
        spec["publishNotReadyAddresses"] = True
    labels = {f"operated-{kind.application.removesuffix('-agent')}": "true", "managed-by": "prometheus-operator"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": kind.governing, "labels": labels}, "spec": spec}


def _claim(storage: Any, name: str) -> dict[str, Any] | None:
    if not isinstance(storage, dict) or storage.get("emptyDir") is not None or storage.get("ephemeral") is not None:
        return None
    template = storage.get("volumeClaimTemplate")
    template = template if isinstance(template, dict) else {}
    spec = template.get("spec")
    spec = {"accessModes": ["ReadWriteOnce"], **(spec if isinstance(spec, dict) else {})}
    metadata = {**mapping(template.get("metadata")), "name": _storage_name(storage, name)}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def _storage_name(storage: Any, default: str) -> str:
    template = storage.get("volumeClaimTemplate") if isinstance(storage, dict) else None
    metadata = template.get("metadata") if isinstance(template, dict) else None
    return str((metadata.get("name") if isinstance(metadata, dict) else None) or default)


def _volume(storage: Any) -> dict[str, Any]:
    if isinstance(storage, dict) and storage.get("ephemeral") is not None:
        return {"ephemeral": storage["ephemeral"]}
    return {"emptyDir": storage.get("emptyDir") or {}} if isinstance(storage, dict) else {"emptyDir": {}}


def _label(name: str) -> str:
    return re.sub(r"[^a-z0-9-]", "-", name.lower())[:40].strip("-")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
