"""Ingress controllers of a cluster, told by the arguments of their pods, and what their configuration says of TLS.

Sources: NGINX Ingress Controller 5 (documentation "Command-line arguments", "ConfigMap resources", "Advanced configuration with annotations");
ingress-nginx 1.15 (documentation "ConfigMap", "Annotations", "Command line arguments"). Others are known by name only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from harness.engines.report import is_elided
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.model import Object
    from harness.model.pods import Container, PodTemplate

F5: Final = "nginx.org/ingress-controller"
INGRESS_NGINX: Final = "k8s.io/ingress-nginx"
#: Versions of TLS from the oldest.
_VERSIONS: Final = ("SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Controller:
    """One controller. ``config`` is its ConfigMap, None when that is not in Git or not readable; ``default`` is the Secret for hosts that name none."""

    type: str
    ingress_class: str
    pod: PodTemplate
    config: Mapping[str, str] | None
    where: Object | None
    default: tuple[str, str] | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)


def controllers(pods: Iterable[PodTemplate], config_maps: Mapping[tuple[str, str], Object]) -> tuple[Controller, ...]:
    """The ingress controllers among pods."""
    found = []
    for pod in pods:
        for container in pod.containers("containers"):
            arguments = _arguments(container)
            type_ = _type(arguments, container)
            if type_ is None:
                continue
            names = ("default-server-tls-secret",) if type_ == F5 else ("default-ssl-certificate",)
            default = next((_reference(arguments[name], pod) for name in names if arguments.get(name)), None)
            reference = _reference(arguments.get("nginx-configmaps") or arguments.get("configmap") or "", pod)
            item = config_maps.get(reference) if reference is not None else None
            data = mapping(item.body.get("data")) if item is not None else None
            if data is not None and any(is_elided(value) for value in data.values()):
                data = None
            if reference is None:
                data = {}
            ingress_class = arguments.get("ingress-class") or "nginx"
            found.append(Controller(type_, ingress_class, pod, data, item, default, arguments))
    return tuple(found)


def _arguments(container: Container) -> dict[str, str]:
    words = [text(word) for name in ("command", "args") for word in items(container.body.get(name))]
    return {name.lstrip("-"): value for name, _, value in (word.partition("=") for word in words if word.startswith("-"))}


def _type(arguments: Mapping[str, str], container: Container) -> str | None:
    if "nginx-configmaps" in arguments:
        return F5
    words = [text(word) for name in ("command", "args") for word in items(container.body.get(name))]
    return INGRESS_NGINX if any(word.endswith("/nginx-ingress-controller") for word in words) or "controller-class" in arguments else None


def _reference(value: str, pod: PodTemplate) -> tuple[str, str] | None:
    namespace, slash, name = value.rpartition("/")
    if not slash or not name:
        return None
    return (pod.namespace if "$(" in namespace else namespace), name


def floor(controller: Controller) -> str:
    """The lowest version of TLS that a controller takes; ``unknown`` where its image's nginx decides, or its configuration cannot be read."""
    if controller.config is None:
        return UNKNOWN
    stated = text(controller.config.get("ssl-protocols"))
    if not stated:
        return "TLSv1.2" if controller.type == INGRESS_NGINX else UNKNOWN
    versions = [version for version in re.split(r"[\s,]+", stated) if version in _VERSIONS]
    return min(versions, key=_VERSIONS.index) if versions else UNKNOWN


def is_old(version: str) -> bool:
    """Whether a version of TLS is deprecated (RFC 8996)."""
    return version in _VERSIONS[:4]


def on(value: object, default: bool) -> bool:
    """A switch of a ConfigMap or annotation; both controllers take ``true`` and ``false`` in Go's spellings."""
    return {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}.get(text(value).lower(), default)


def max_age(controller: Controller, annotations: Mapping[str, str]) -> int | None:
    """Seconds of Strict-Transport-Security that an Ingress gets; 0 for none, None when the configuration cannot be read."""
    if controller.config is None:
        return None
    prefix = "nginx.org/" if controller.type == F5 else ""
    values = {key: (annotations.get(f"{prefix}{key}") if prefix else None) or controller.config.get(key) for key in ("hsts", "hsts-max-age")}
    if not on(values["hsts"], controller.type == INGRESS_NGINX):
        return 0
    age = text(values["hsts-max-age"])
    return int(age) if age.isdigit() else (31536000 if controller.type == INGRESS_NGINX else 2592000)


def redirects(controller: Controller, annotations: Mapping[str, str], *, tls: bool) -> bool | None:
    """Whether plain requests to an Ingress are sent to HTTPS; None when the configuration cannot be read."""
    if controller.config is None:
        return None
    if controller.type == F5:
        given = annotations.get("nginx.org/ssl-redirect") or annotations.get("ingress.kubernetes.io/ssl-redirect") or controller.config.get("ssl-redirect")
        proxied = annotations.get("nginx.org/redirect-to-https") or controller.config.get("redirect-to-https")
        return (tls and on(given, True)) or on(proxied, False)
    base = "nginx.ingress.kubernetes.io/"
    forced = annotations.get(f"{base}force-ssl-redirect") or controller.config.get("force-ssl-redirect")
    given = annotations.get(f"{base}ssl-redirect") or controller.config.get("ssl-redirect")
    return on(forced, False) or (tls and on(given, True))
