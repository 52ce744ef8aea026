"""Pushing to an OCI registry: the working tree as the artifact Flux builds from, and chart packages as Helm stores them.

Sources: OCI distribution specification 1.1 (pushing blobs and manifests), fluxcd/pkg/oci (media types and annotations of ``flux push artifact``),
Helm ``pkg/registry`` (media types of charts).
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import ipaddress
import json
import tarfile
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode, urljoin, urlsplit

from harness.model.shapes import mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
FLUX_CONFIG: Final = "application/vnd.cncf.flux.config.v1+json"
FLUX_CONTENT: Final = "application/vnd.cncf.flux.content.v1.tar+gzip"
HELM_CONFIG: Final = "application/vnd.cncf.helm.config.v1+json"
HELM_CONTENT: Final = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
_TIMEOUT: Final = 60.0


class RegistryError(Exception):
    """A registry refused, or answered with something else than it was asked for."""


class Response(NamedTuple):
    """What a registry answered. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Pushed(NamedTuple):
    """What lies in the registry now: ``<repository>:<tag>`` with this digest. ``content`` is the digest of its one layer."""

    repository: str
    tag: str
    digest: str
    content: str

    @property
    def revision(self) -> str:
        """As source-controller writes it for a tag."""
        return f"{self.tag}@{self.digest}"


def is_local(address: str) -> bool:
    """Whether a registry's address (``host:port``) is this machine's own, where plain HTTP is no risk."""
    host = address.rpartition(":")[0] or address
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def over_http(method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
    """One request over the network."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=_TIMEOUT)
    try:
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(method, path, body=body, headers=dict(headers))
        answer = connection.getresponse()
        return Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    except (OSError, http.client.HTTPException) as error:
        raise RegistryError(f"{method} {url}: {error}") from error
    finally:
        connection.close()


class Registry:
    """A registry at ``host:port``, with plain HTTP on this machine only."""

    def __init__(self, address: str, send: Callable[[str, str, Mapping[str, str], bytes], Response] = over_http) -> None:
        self.address = address
        self._base = f"{'http' if is_local(address) else 'https'}://{address}"
        self._send = send

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            return self._send("GET", f"{self._base}/v2/", {}, b"").status in (200, 401)
        except RegistryError:
            return False

    def blob(self, repository: str, data: bytes) -> str:
        """Push a blob, unless it is there. Returns its digest."""
        name = digest_of(data)
        if self._ask("HEAD", f"/v2/{repository}/blobs/{name}", allowed=(200, 404)).status == 200:
            return name
        started = self._ask("POST", f"/v2/{repository}/blobs/uploads/", allowed=(202,))
        place = urljoin(f"{self._base}/", started.headers.get("location", ""))
        if urlsplit(place).path in ("", "/"):
            raise RegistryError(f"{self.address}: an upload was accepted without a place to send it to")
        place += ("&" if urlsplit(place).query else "?") + urlencode({"digest": name})
        self._ask("PUT", place, headers={"Content-Type": "application/octet-stream"}, body=data, allowed=(201,))
        return name

    def push(
        self, repository: str, tag: str, *, config: tuple[str, bytes], layers: Sequence[tuple[str, bytes]], annotations: Mapping[str, str] | None = None
    ) -> Pushed:
        """Push an artifact of ``(media type, content)`` pairs. Returns what it is called now; the same content has the same digest."""
        body = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._descriptor(repository, *config),
            "layers": [self._descriptor(repository, *layer) for layer in layers],
            **({"annotations": dict(sorted(annotations.items()))} if annotations else {}),
        }
        data = json.dumps(body, separators=(",", ":")).encode()
        digest = digest_of(data)
        answer = self._ask("PUT", f"/v2/{repository}/manifests/{tag}", headers={"Content-Type": MANIFEST}, body=data, allowed=(201,))
        told = answer.headers.get("docker-content-digest", digest)
        if told != digest:
            raise RegistryError(f"{self.address}/{repository}:{tag}: pushed {digest}, the registry has {told}")
        return Pushed(repository, tag, digest, digest_of(layers[0][1]))

    def manifest(self, repository: str, reference: str) -> dict[str, Any]:
        """The manifest that a tag or digest names. Raises RegistryError when there is none."""
        answer = self._ask("GET", f"/v2/{repository}/manifests/{reference}", headers={"Accept": MANIFEST}, allowed=(200,))
        try:
            found = json.loads(answer.body)
        except ValueError as error:
            raise RegistryError(f"{self.address}/{repository}:{reference}: the manifest is not JSON") from error
        if not isinstance(found, dict):
            raise RegistryError(f"{self.address}/{repository}:{reference}: the manifest is no object")
        return found

    def digest(self, repository: str, tag: str) -> str:
        """The digest of the manifest that a tag names."""
        answer = self._ask("GET", f"/v2/{repository}/manifests/{tag}", headers={"Accept": MANIFEST}, allowed=(200,))
        return digest_of(answer.body)

    def tag(self, repository: str, digest: str, tag: str) -> None:
        """Let a tag name a manifest that is there already, byte for byte."""
        answer = self._ask("GET", f"/v2/{repository}/manifests/{digest}", headers={"Accept": MANIFEST}, allowed=(200,))
        self._ask("PUT", f"/v2/{repository}/manifests/{tag}", headers={"Content-Type": MANIFEST}, body=answer.body, allowed=(201,))

    def content(self, repository: str, digest: str) -> bytes:
        """A blob, checked against its digest."""
        data = self._ask("GET", f"/v2/{repository}/blobs/{digest}", allowed=(200,)).body
        if digest_of(data) != digest:
            raise RegistryError(f"{self.address}/{repository}: what came for {digest} has the digest {digest_of(data)}")
        return data

    def _descriptor(self, repository: str, media_type: str, data: bytes) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": self.blob(repository, data), "size": len(data)}

    def _ask(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"", allowed: Sequence[int]) -> Response:
        url = path if "://" in path else self._base + path
        answer = self._send(method, url, headers or {}, body)
        if answer.status not in allowed:
            said = answer.body.decode("utf-8", "replace").strip()[:300]
            raise RegistryError(f"{method} {url}: status {answer.status} where {' or '.join(map(str, allowed))} was expected{f': {said}' if said else ''}")
        return answer


def digest_of(data: bytes) -> str:
    """``sha256:<hex>``."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def archive(files: Mapping[str, bytes]) -> tuple[bytes, str]:
    """Files by path as a tar.gz that depends on nothing but them, and the digest of the tar in it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(files):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(files[path]), 0o644
            tar.addfile(entry, io.BytesIO(files[path]))
    return gzip.compress(buffer.getvalue(), compresslevel=6, mtime=0), digest_of(buffer.getvalue())


def push_flux(registry: Registry, repository: str, tag: str, files: Mapping[str, bytes], *, source: str, revision: str, created: str) -> Pushed:
    """Push files as ``flux push artifact`` does. ``created`` is RFC 3339; ``source`` and ``revision`` say where the files come from.

    Where the tag holds the very same files already, it stays as it is, with the ``revision`` it was pushed for.
    """
    packed, inner = archive(files)
    config = {"architecture": "", "created": created, "os": "", "rootfs": {"type": "layers", "diff_ids": [inner]}, "config": {}}
    annotations = {
        "org.opencontainers.image.created": created,
        "org.opencontainers.image.source": source,
        "org.opencontainers.image.revision": revision,
    }
    body = json.dumps(config, separators=(",", ":")).encode()
    kept = _same(registry, repository, tag, digest_of(packed))
    if kept is not None:
        return kept
    return registry.push(repository, tag, config=(FLUX_CONFIG, body), layers=[(FLUX_CONTENT, packed)], annotations=annotations)


def _same(registry: Registry, repository: str, tag: str, content: str) -> Pushed | None:
    """What a tag names already, when it holds this content: pushed again from another commit it would only have another digest, and Flux would start over."""
    try:
        manifest = registry.manifest(repository, tag)
    except RegistryError:
        return None
    layers = manifest.get("layers")
    if not isinstance(layers, list) or [mapping(layer).get("digest") for layer in layers] != [content]:
        return None
    return Pushed(repository, tag, registry.digest(repository, tag), content)


def push_chart(registry: Registry, repository: str, package: bytes, metadata: Mapping[str, Any]) -> Pushed:
    """Push a chart package as ``helm push`` does: the package byte for byte, ``metadata`` of its Chart.yaml as the configuration.

    The tag is the version, with ``_`` for ``+``, which no tag may have.
    """
    name, version = str(metadata["name"]), str(metadata["version"])
    annotations = {"org.opencontainers.image.title": name, "org.opencontainers.image.version": version}
    body = json.dumps(metadata, separators=(",", ":"), sort_keys=True, default=str).encode()
    return registry.push(repository, version.replace("+", "_"), config=(HELM_CONFIG, body), layers=[(HELM_CONTENT, package)], annotations=annotations)
