"""Containers of pods.

Source: ``validateContainerCommon``, ``validateContainers``, ``validateInitContainers`` and what they call,
``k8s.io/kubernetes/pkg/apis/core/validation/validation.go``, v1.34.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.engines import names
from harness.engines.validation.context import Check, Json, each, each_text, items, mapping, number, text
from harness.engines.validation.resources import validate_requirements
from harness.engines.validation.volumes import validate_field_ref, validate_resource_field

if TYPE_CHECKING:
    from harness.model import Pointer

_ENV_FIELDS = frozenset(
    {
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    }
)
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_PROBE_HANDLERS = ("exec", "grpc", "httpGet", "tcpSocket")
_HOOK_HANDLERS = ("exec", "httpGet", "sleep", "tcpSocket")


class PodContext:
    """What a container needs to know of its pod."""

    __slots__ = ("claims", "grace", "host_users", "never_restarts", "volumes")

    def __init__(self, spec: Json, volumes: dict[str, Json]) -> None:
        self.volumes = volumes
        self.claims = {text(claim.get("name")) for _, claim in each(spec.get("resourceClaims"), ())}
        grace = number(spec.get("terminationGracePeriodSeconds"))
        self.grace = 30 if grace is None else grace  # SetDefaults_PodSpec
        self.never_restarts = spec.get("restartPolicy") == "Never"
        self.host_users = spec.get("hostUsers") is not False


def validate_containers(spec: Json, check: Check, at: Pointer, pod: PodContext) -> None:
    """Checks containers and init containers of a pod."""
    seen: dict[str, Pointer] = {}
    for field in ("containers", "initContainers"):
        ports: set[tuple[str, str, int]] = set()
        for place, container in each(spec.get(field), (*at, field)):
            name = text(container.get("name"))
            if name:
                # Within one list the schema's list keys say it already.
                if name in seen and seen[name][:-1] != place[:-1]:
                    check.error((*place, "name"), f"duplicate of {seen[name][-2]}[{seen[name][-1]}] (name={name})", "duplicate", name)
                seen.setdefault(name, place)
            if field == "initContainers":
                ports = set()
            _common(container, check, place, pod)
            _host_ports(container, check, place, ports)
            if field == "containers" or container.get("restartPolicy") == "Always":
                _lifecycle(container, check, place, pod)
            else:
                for forbidden in ("lifecycle", *_PROBES):
                    if container.get(forbidden) is not None:
                        check.error((*place, forbidden), "may not be set for init containers without restartPolicy: Always", "forbidden")
    if not items(spec.get("containers")):
        check.error((*at, "containers"), "must not be empty" if "containers" in spec else "required field is missing", "required")


def _common(container: Json, check: Check, at: Pointer, pod: PodContext) -> None:
    if check.required(container, "name", at):
        check.syntax(container["name"], names.dns1123_label, (*at, "name"))
    check.required(container, "image", at)
    _ports(container, check, at)
    _environment(container, check, at)
    _mounts(container, check, at, pod)
    validate_requirements(container.get("resources"), check, (*at, "resources"), pod.claims)
    validate_security_context(container.get("securityContext"), check, (*at, "securityContext"))
    context = mapping(container.get("securityContext"))
    if context.get("procMount") == "Unmasked" and pod.host_users:
        check.error((*at, "securityContext", "procMount"), "hostUsers must be false to use Unmasked", "forbidden")
    if pod.never_restarts:
        for place, policy in each(container.get("resizePolicy"), (*at, "resizePolicy")):
            if policy.get("restartPolicy") != "NotRequired":
                check.error((*place, "restartPolicy"), "must be NotRequired when the pod's restartPolicy is Never", "forbidden")


def _ports(container: Json, check: Check, at: Pointer) -> None:
    seen: set[str] = set()
    for place, port in each(container.get("ports"), (*at, "ports")):
        name = port.get("name")
        if isinstance(name, str) and name:
            check.syntax(name, names.port_name, (*place, "name"), "port")
            if name in seen:
                check.error((*place, "name"), f"duplicate port name {name!r}", "duplicate", name)
            seen.add(name)


def _host_ports(container: Json, check: Check, at: Pointer, seen: set[tuple[str, str, int]]) -> None:
    for place, port in each(container.get("ports"), (*at, "ports")):
        host_port = number(port.get("hostPort"))
        if host_port:
            key = (text(port.get("protocol")) or "TCP", text(port.get("hostIP")), host_port)
            if key in seen:
                check.error((*place, "hostPort"), f"duplicate host port {host_port}/{key[0]}", "duplicate")
            seen.add(key)


def _environment(container: Json, check: Check, at: Pointer) -> None:
    for place, variable in each(container.get("env"), (*at, "env")):
        if check.required(variable, "name", place):
            check.syntax(variable["name"], names.env_name, (*place, "name"), "env")
        source = variable.get("valueFrom")
        if isinstance(source, dict):
            _value_from(variable, source, check, (*place, "valueFrom"))
    for place, source in each(container.get("envFrom"), (*at, "envFrom")):
        if source.get("prefix"):
            check.syntax(source["prefix"], names.env_name, (*place, "prefix"), "env")
        for kind in check.exactly_one(source, ("configMapRef", "secretRef"), place, "source"):
            check.reference(mapping(source[kind]), "name", (*place, kind), _prefix_name)


def _prefix_name(name: str) -> list[str]:
    """envFrom validates names as if they were prefixes (``ValidateConfigMapName(name, true)``)."""
    return names.dns1123_subdomain(names.mask_trailing_dash(name))


def _value_from(variable: Json, source: Json, check: Check, at: Pointer) -> None:
    kinds = ("configMapKeyRef", "fieldRef", "fileKeyRef", "resourceFieldRef", "secretKeyRef")
    present = check.exactly_one(source, kinds, at, "source")
    if present and variable.get("value"):
        check.error(at, "may not be specified when value is not empty", "one-of")
    for kind in present:
        reference, where = mapping(source[kind]), (*at, kind)
        if kind == "fieldRef":
            validate_field_ref(reference, _ENV_FIELDS, check, where)
        elif kind == "resourceFieldRef":
            validate_resource_field(reference, check, where, volume=False)
        elif kind in ("configMapKeyRef", "secretKeyRef"):
            check.reference(reference, "name", where)
            check.reference(reference, "key", where, names.config_key)


def _mounts(container: Json, check: Check, at: Pointer, pod: PodContext) -> None:
    devices = {text(device.get("name")): text(device.get("devicePath")) for _, device in each(container.get("volumeDevices"), ())}
    privileged = mapping(container.get("securityContext")).get("privileged") is True
    for place, mount in each(container.get("volumeMounts"), (*at, "volumeMounts")):
        name = mount.get("name")
        if check.required(mount, "name", place) and isinstance(name, str) and name not in pod.volumes:
            check.error((*place, "name"), f"no volume {name!r} in the pod", "reference", name)
        if check.required(mount, "mountPath", place) and mount["mountPath"] in devices.values():
            check.error((*place, "mountPath"), "must not already exist as a path in volumeDevices", "duplicate")
        if isinstance(name, str) and name in devices:
            check.error((*place, "name"), "must not already exist in volumeDevices", "duplicate")
        check.relative_path(mount.get("subPath"), (*place, "subPath"))
        if mount.get("subPathExpr"):
            if mount.get("subPath"):
                check.error((*place, "subPathExpr"), "subPathExpr and subPath are mutually exclusive", "one-of")
            check.relative_path(mount["subPathExpr"], (*place, "subPathExpr"))
        if mount.get("mountPropagation") == "Bidirectional" and not privileged:
            check.error((*place, "mountPropagation"), "Bidirectional mount propagation is available only to privileged containers", "forbidden")
        if mount.get("recursiveReadOnly") in ("Enabled", "IfPossible"):
            if mount.get("readOnly") is not True:
                check.error((*place, "recursiveReadOnly"), "may only be specified when readOnly is true", "forbidden")
            if mount.get("mountPropagation") not in (None, "None"):
                check.error((*place, "recursiveReadOnly"), "may only be specified when mountPropagation is None or not specified", "forbidden")
    for place, device in each(container.get("volumeDevices"), (*at, "volumeDevices")):
        if check.required(device, "name", place):
            volume = pod.volumes.get(text(device["name"]))
            if volume is None:
                check.error((*place, "name"), f"no volume {device['name']!r} in the pod", "reference", device["name"])
            elif volume.get("persistentVolumeClaim") is None and volume.get("ephemeral") is None:
                check.error((*place, "name"), "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode", "reference")
        if check.required(device, "devicePath", place):
            check.no_backsteps(device["devicePath"], (*place, "devicePath"))


def _lifecycle(container: Json, check: Check, at: Pointer, pod: PodContext) -> None:
    lifecycle = mapping(container.get("lifecycle"))
    for hook in ("postStart", "preStop"):
        if lifecycle.get(hook) is not None:
            _handler(mapping(lifecycle[hook]), _HOOK_HANDLERS, check, (*at, "lifecycle", hook), pod)
    for field in _PROBES:
        probe = container.get(field)
        if not isinstance(probe, dict):
            continue
        place = (*at, field)
        _handler(probe, _PROBE_HANDLERS, check, place, pod)
        if field == "readinessProbe":
            if probe.get("terminationGracePeriodSeconds") is not None:
                check.error((*place, "terminationGracePeriodSeconds"), "must not be set for readinessProbes", "forbidden")
        elif number(probe.get("successThreshold")) not in (None, 0, 1):
            check.error((*place, "successThreshold"), "must be 1", "invalid")


def _handler(handler: Json, kinds: tuple[str, ...], check: Check, at: Pointer, pod: PodContext) -> None:
    for kind in check.exactly_one(handler, kinds, at, "handler"):
        action, where = mapping(handler[kind]), (*at, kind)
        if kind == "exec":
            check.required(action, "command", where)
        elif kind in ("httpGet", "tcpSocket"):
            if action.get("port") is None:
                check.error((*where, "port"), "required field is missing", "required")
            check.port(action.get("port"), (*where, "port"))
            for place, header in each(action.get("httpHeaders"), (*where, "httpHeaders")):
                check.syntax(header.get("name"), names.http_header, (*place, "name"), "header")
        elif kind == "sleep":
            seconds = number(action.get("seconds"))
            if seconds is not None and not 0 <= seconds <= pod.grace:
                check.error((*where, "seconds"), f"must be between 0 and terminationGracePeriodSeconds ({pod.grace})", "invalid")


def validate_security_context(value: Any, check: Check, at: Pointer) -> None:
    """``ValidateSecurityContext``: ranges and enumerations are the schema's."""
    context = mapping(value)
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged") is True:
            check.error(at, "cannot set allowPrivilegeEscalation to false and privileged to true", "security-context")
        if any(capability == "CAP_SYS_ADMIN" for _, capability in each_text(mapping(context.get("capabilities")).get("add"), at)):
            check.error(at, "cannot set allowPrivilegeEscalation to false and add CAP_SYS_ADMIN", "security-context")
    validate_profiles(context, check, at)


def validate_profiles(context: Json, check: Check, at: Pointer) -> None:
    """``validateSeccompProfileField`` and ``ValidateAppArmorProfileField``."""
    for field in ("seccompProfile", "appArmorProfile"):
        profile = context.get(field)
        if not isinstance(profile, dict):
            continue
        local, place = profile.get("localhostProfile"), (*at, field)
        if profile.get("type") == "Localhost":
            if local is None or (local == "" and field == "appArmorProfile"):
                check.error((*place, "localhostProfile"), "must be set when type is Localhost", "required")
            elif field == "seccompProfile":
                check.relative_path(local, (*place, "localhostProfile"))
        elif local is not None:
            check.error((*place, "localhostProfile"), "can only be set when type is Localhost", "forbidden")
