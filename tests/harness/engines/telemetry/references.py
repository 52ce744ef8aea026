"""What a monitor needs besides its targets: Secrets and ConfigMaps of its namespace, and files in Prometheus' container.

Source: prometheus-operator 0.93 API reference (SafeTLSConfig, TLSConfig, BasicAuth, SafeAuthorization, OAuth2), ``pkg/assets/store.go``.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any, Final

from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.engines.telemetry.scrape import Job
    from harness.model import Object, Pointer

_TOKEN: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
_FILES: Final = ("caFile", "certFile", "keyFile")
#: Where the operator mounts what ``spec.secrets`` and ``spec.configMaps`` name.
_MOUNTED: Final = {"secrets": "/etc/prometheus/secrets", "configMaps": "/etc/prometheus/configmaps"}


def secret_references(monitor: Object) -> Iterator[tuple[Pointer, str, str, str]]:
    """Every key that a monitor reads: its place, ``Secret`` or ``ConfigMap``, name and key. Optional ones are left out."""
    yield from _walk(monitor.spec, ("spec",))


def _walk(value: Any, at: Pointer) -> Iterator[tuple[Pointer, str, str, str]]:
    if isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _walk(entry, (*at, index))
        return
    if not isinstance(value, dict):
        return
    for key, entry in value.items():
        here = (*at, str(key))
        if _is_reference(entry, str(key)):
            if entry.get("optional") is not True:
                yield here, "ConfigMap" if key == "configMap" else "Secret", text(entry.get("name")), text(entry.get("key"))
        elif key not in ("selector", "namespaceSelector", "relabelings", "metricRelabelings"):
            yield from _walk(entry, here)


_SECRETS: Final = frozenset(
    {"secret", "configMap", "keySecret", "bearerTokenSecret", "username", "password", "credentials", "clientSecret", "proxyConnectHeader"}
)


def _is_reference(value: Any, key: str) -> bool:
    return isinstance(value, dict) and key in _SECRETS and bool(text(value.get("name"))) and isinstance(value.get("key"), str)


def file_missing(job: Job, prometheus: Object) -> Iterator[tuple[Pointer, str]]:
    """The files that a monitor's endpoint names and Prometheus' container does not have, with their places; and that files are denied."""
    endpoint = mapping(job.object.get(*job.at))
    tls = mapping(endpoint.get("tlsConfig"))
    named = [((*job.at, "tlsConfig", field), text(tls.get(field))) for field in _FILES if text(tls.get(field))]
    if text(endpoint.get("bearerTokenFile")):
        named.append(((*job.at, "bearerTokenFile"), text(endpoint["bearerTokenFile"])))
    denied = mapping(prometheus.spec.get("arbitraryFSAccessThroughSMs")).get("deny") is True
    for pointer, path in named:
        if denied:
            yield pointer, f"{prometheus.name} denies files to monitors (arbitraryFSAccessThroughSMs)"
        elif not _has(prometheus.spec, posixpath.normpath(path)):
            yield pointer, f"no {path} in the container of {prometheus.name}"


def _has(spec: Mapping[str, Any], path: str) -> bool:
    if path.startswith((f"{_TOKEN}/", "/run/secrets/kubernetes.io/serviceaccount/")):
        return spec.get("automountServiceAccountToken") is not False
    for field, folder in _MOUNTED.items():
        if path.startswith(f"{folder}/"):
            return path.removeprefix(f"{folder}/").partition("/")[0] in items(spec.get(field))
    mounts = [text(mapping(mount).get("mountPath")) for mount in items(spec.get("volumeMounts"))]
    for container in items(spec.get("containers")):
        mounts += [text(mapping(mount).get("mountPath")) for mount in items(mapping(container).get("volumeMounts"))]
    # What the image itself holds is not known; its system certificates are there.
    return path.startswith("/etc/ssl/") or any(mount and (path == mount or path.startswith(mount.rstrip("/") + "/")) for mount in mounts)
