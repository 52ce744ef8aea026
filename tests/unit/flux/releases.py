"""Tiny charts, releases and clusters for the tests of rendering."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.flux.archive import write_tar
from harness.flux.cache import Cache
from harness.flux.charts import Charts
from harness.flux.discovery import object_of
from harness.flux.helm import HelmRenderer
from harness.flux.tools import Tools
from harness.source.yaml import parse

if TYPE_CHECKING:
    from pathlib import Path

    from harness.flux.lock import Lock
    from harness.model import Object

#: One for all tests: the programs are found and unpacked once, into the user's cache.
TOOLS = Tools(Cache())

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}, labels: {chart: {{ .Chart.Name }}}}
spec: {ports: [{port: {{ .Values.port }}}]}
"""


def chart(folder: Path, name: str, version: str = "1.0.0", *, extra: str = "", packed: str | None = None, **files: str) -> Path:
    """A package ``<name>-<version>.tgz`` in a folder. Files by path, with ``__`` for ``/`` and ``_yaml``, ``_json`` for the suffix."""
    content = {"Chart.yaml": f"apiVersion: v2\nname: {name}\nversion: {version}\n{extra}"}
    content |= {path.replace("__", "/").replace("_yaml", ".yaml").replace("_json", ".json").replace("_tpl", ".tpl"): text for path, text in files.items()}
    path = folder / (packed or f"{name}-{version}.tgz")
    path.write_bytes(write_tar({f"{name}/{key}": text.encode() for key, text in content.items()}))
    return path


class Cluster:
    """A view of a cluster that holds the objects of a text."""

    def __init__(self, text: str, *, cluster: str = "c", version: str = "1.36", path: str = "r.yaml", this: tuple[str, ...] = ()) -> None:
        self.cluster = cluster
        self.kubernetes_version = version
        self._this = this
        parsed = parse(text, path, strict=False)
        assert not parsed.problems, parsed.problems
        self.objects = [object_of(document, cluster) for document in parsed.documents]

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        return next((item for item in self.objects if (str(item.group_kind), item.namespace, item.name) == (kind, namespace, name)), None)

    def is_this_repository(self, source: Object) -> bool:
        return source.name in self._this

    def of(self, *kinds: str) -> list[Object]:
        return [item for item in self.objects if str(item.group_kind) in kinds]

    @property
    def release(self) -> Object:
        return next(item for item in self.objects if item.kind == "HelmRelease")


class ServedCluster(Cluster):
    """A cluster that also says which APIs it serves."""

    api_versions = frozenset({"v1", "apps/v1", "apps/v1/Deployment", "example.com/v1", "example.com/v1/Thing"})


def renderer(mirror: Path | None, cache: Cache | None = None, lock: Lock | None = None) -> HelmRenderer:
    cache = cache or Cache(None)
    return HelmRenderer(Charts(mirror, cache, TOOLS), cache, TOOLS, lock)


def release(name: str = "web", spec: str = "", values: str = "", namespace: str = "apps", chart: str | None = None, version: str = "1.0.0") -> str:
    """A HelmRelease with its OCIRepository. The lines of spec and values are indented here."""
    text = f"""\
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  url: oci://registry.example.com/charts/{chart or name}
  ref:
    tag: {version}
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  chartRef: {{kind: OCIRepository, name: {name}}}
"""
    text += "".join(f"  {line}\n" for line in spec.splitlines())
    return text + ("  values:\n" + "".join(f"    {line}\n" for line in values.splitlines()) if values else "")


def bodies(items: Any) -> dict[str, Any]:
    """Objects by kind and name."""
    return {f"{item.kind}/{item.name}": item.body for item in items}
