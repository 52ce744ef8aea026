"""Pods and pod templates.

Source: ``ValidatePodSpec`` and ``ValidatePodTemplateSpec``, ``k8s.io/kubernetes/pkg/apis/core/validation/validation.go``, v1.34. Windows
options, mirror pods and the checks of updates are not covered.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.engines import names
from harness.engines.report import is_elided
from harness.engines.validation.addresses import legacy_ip
from harness.engines.validation.containers import PodContext, validate_containers, validate_profiles
from harness.engines.validation.context import Check, Json, each, each_text, items, mapping, number, text
from harness.engines.validation.metadata import validate_annotations
from harness.engines.validation.resources import validate_overhead
from harness.engines.validation.scheduling import validate_affinity, validate_spread, validate_tolerations
from harness.engines.validation.volumes import validate_volumes

if TYPE_CHECKING:
    from harness.model import Pointer

_SYSCTL = re.compile(r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?", re.ASCII)
_APPARMOR_KEY = "container.apparmor.security.beta.kubernetes.io/"
_INT32 = re.compile(r"0|[-+]?[1-9][0-9]*", re.ASCII)
_SECCOMP_KEYS = ("seccomp.security.alpha.kubernetes.io/pod", "container.seccomp.security.alpha.kubernetes.io/")


def validate_pod(body: Json, check: Check) -> None:
    """A Pod on its own."""
    spec = body.get("spec")
    if isinstance(spec, dict):
        _annotations(mapping(body.get("metadata")).get("annotations"), spec, check, ("metadata", "annotations"))
        validate_pod_spec(spec, check, ("spec",))
        for field in ("containers", "initContainers"):
            # validateContainersOnlyForPod: templates may have the spaces.
            for place, container in each(spec.get(field), ("spec", field)):
                image = text(container.get("image"))
                if image != image.strip():
                    check.error((*place, "image"), f"must not have leading or trailing whitespace, not {image!r}", "invalid", image)


def validate_template(value: Any, check: Check, at: Pointer) -> None:
    """``ValidatePodTemplateSpec``."""
    template = mapping(value)
    metadata, spec = mapping(template.get("metadata")), template.get("spec")
    check.labels(metadata.get("labels"), (*at, "metadata", "labels"))
    validate_annotations(metadata.get("annotations"), check, (*at, "metadata", "annotations"))
    if not isinstance(spec, dict):
        check.error((*at, "spec", "containers"), "required field is missing", "required")
        return
    _annotations(metadata.get("annotations"), spec, check, (*at, "metadata", "annotations"))
    validate_pod_spec(spec, check, (*at, "spec"))
    if items(spec.get("ephemeralContainers")):
        check.error((*at, "spec", "ephemeralContainers"), "ephemeral containers not allowed in pod template", "forbidden")


def validate_pod_template_object(body: Json, check: Check) -> None:
    """A PodTemplate."""
    validate_template(body.get("template"), check, ("template",))


def _annotations(value: Any, spec: Json, check: Check, at: Pointer) -> None:
    """``ValidatePodSpecificAnnotations``."""
    for key, annotation in mapping(value).items():
        if not isinstance(annotation, str) or is_elided(annotation):
            continue
        if key.startswith(_APPARMOR_KEY):
            container = key.removeprefix(_APPARMOR_KEY)
            known = {text(item.get("name")) for field in ("containers", "initContainers", "ephemeralContainers") for _, item in each(spec.get(field), ())}
            if container not in known:
                check.error((*at, key), f"container {container!r} not found", "reference")
            if annotation not in ("", "runtime/default", "unconfined") and not annotation.startswith("localhost/"):
                check.error((*at, key), f"invalid AppArmor profile name: {annotation!r}", "invalid")
        elif key == "controller.kubernetes.io/pod-deletion-cost" and not _INT32.fullmatch(annotation):
            check.error((*at, key), "must be a 32bit integer", "invalid")
        elif key.startswith(_SECCOMP_KEYS):
            if annotation.startswith("localhost/"):
                check.relative_path(annotation.removeprefix("localhost/"), (*at, key))
            elif annotation not in ("runtime/default", "docker/default", "unconfined"):
                check.error((*at, key), "must be a valid seccomp profile", "invalid")


def validate_pod_spec(spec: Json, check: Check, at: Pointer) -> None:
    """``ValidatePodSpec``. The caller's workload adds its own demands (restart policy, claims as volumes)."""
    validate_pod_spec_with(spec, {}, check, at)


def validate_pod_spec_with(spec: Json, extra_volumes: dict[str, Json], check: Check, at: Pointer) -> None:
    """``ValidatePodSpec`` for a pod that gets more volumes than it declares (a StatefulSet's claims)."""
    volumes = {**validate_volumes(spec.get("volumes"), check, (*at, "volumes")), **extra_volumes}
    validate_containers(spec, check, at, PodContext(spec, volumes))
    for field, form in _NAMES:
        check.optional_name(spec, field, form, at)
    check.labels(spec.get("nodeSelector"), (*at, "nodeSelector"))
    _security_context(spec, check, at)
    _host_network(spec, check, at)
    _dns(spec, check, at)
    validate_tolerations(spec.get("tolerations"), check, (*at, "tolerations"))
    validate_spread(spec.get("topologySpreadConstraints"), check, (*at, "topologySpreadConstraints"))
    validate_affinity(mapping(spec.get("affinity")), check, (*at, "affinity"))
    for place, alias in each(spec.get("hostAliases"), (*at, "hostAliases")):
        legacy_ip(alias.get("ip"), check, (*place, "ip"))
        for where, host in each_text(alias.get("hostnames"), (*place, "hostnames")):
            check.syntax(host, names.dns1123_subdomain, where)
    for place, gate in each(spec.get("readinessGates"), (*at, "readinessGates")):
        check.syntax(gate.get("conditionType"), names.qualified_name, (*place, "conditionType"))
    for place, gate in each(spec.get("schedulingGates"), (*at, "schedulingGates")):
        check.syntax(gate.get("name"), names.qualified_name, (*place, "name"))
    for place, claim in each(spec.get("resourceClaims"), (*at, "resourceClaims")):
        check.reference(claim, "name", place, names.dns1123_label)
        check.exactly_one(claim, ("resourceClaimName", "resourceClaimTemplateName"), place, "source")
    validate_overhead(spec.get("overhead"), check, (*at, "overhead"))


_NAMES = (
    ("serviceAccountName", names.dns1123_subdomain),
    ("nodeName", names.dns1123_subdomain),
    ("hostname", names.dns1123_label),
    ("subdomain", names.dns1123_label),
    ("priorityClassName", names.dns1123_subdomain),
    ("runtimeClassName", names.dns1123_subdomain),
)


def _security_context(spec: Json, check: Check, at: Pointer) -> None:
    context, place = mapping(spec.get("securityContext")), (*at, "securityContext")
    validate_profiles(context, check, place)
    if spec.get("shareProcessNamespace") is True and spec.get("hostPID") is True:
        check.error((*at, "shareProcessNamespace"), "ShareProcessNamespace and HostPID cannot both be enabled", "forbidden")
    seen: set[str] = set()
    for where, sysctl in each(context.get("sysctls"), (*place, "sysctls")):
        name = text(sysctl.get("name"))
        if check.required(sysctl, "name", where):
            if len(name) > 253 or not _SYSCTL.fullmatch(name):
                check.error((*where, "name"), f"must be the name of a sysctl, not {name!r}", "name", name)
            elif name in seen:
                check.error((*where, "name"), f"duplicate sysctl {name}", "duplicate")
            elif spec.get("hostNetwork") is True and name.replace("/", ".").startswith("net."):
                check.error((*where, "name"), "may not be specified when hostNetwork is true", "forbidden")
        seen.add(name)


def _host_network(spec: Json, check: Check, at: Pointer) -> None:
    if spec.get("hostNetwork") is not True:
        return
    for place, container in each(spec.get("containers"), (*at, "containers")):
        for where, port in each(container.get("ports"), (*place, "ports")):
            host_port = number(port.get("hostPort"))
            if host_port and host_port != number(port.get("containerPort")):
                check.error((*where, "hostPort"), "must match containerPort when hostNetwork is true", "invalid")


def _dns(spec: Json, check: Check, at: Pointer) -> None:
    config, place = spec.get("dnsConfig"), (*at, "dnsConfig")
    if spec.get("dnsPolicy") == "None" and not items(mapping(config).get("nameservers")):
        check.error((*place, "nameservers"), "must provide at least one DNS nameserver when dnsPolicy is None", "required")
    if not isinstance(config, dict):
        return
    servers, searches = items(config.get("nameservers")), [text(search) for search in items(config.get("searches"))]
    if len(servers) > 3:
        check.error((*place, "nameservers"), "must not have more than 3 nameservers", "size")
    for where, server in each_text(servers, (*place, "nameservers")):
        legacy_ip(server, check, where)
    if len(searches) > 32:
        check.error((*place, "searches"), "must not have more than 32 search paths", "size")
    if len(" ".join(searches)) > 2048:
        check.error((*place, "searches"), "must not have more than 2048 characters (including spaces)", "size")
    for where, search in each_text(config.get("searches"), (*place, "searches")):
        if search != ".":
            check.syntax(search.removesuffix("."), names.dns1123_subdomain_with_underscore, where)
    for where, option in each(config.get("options"), (*place, "options")):
        check.required(option, "name", where)
