"""The registry beside the cluster: a container in the nodes' network, filled with the working tree and with what its sources name."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from harness.flux.charts import resolve
from harness.flux.kinds import HELM_RELEASE, KUSTOMIZATION, source_kind
from harness.live.ground.cluster import CannotRunError
from harness.live.ground.oci import Registry, push_chart, push_flux
from harness.live.ground.overlay import Beside, OverlayError, mirrored
from harness.live.ground.tree import admitted, provenance
from harness.live.reach.run import RunError, Runner, run
from harness.model import Object, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.flux.workspace import Workspace
    from harness.flux.world import World
    from harness.live.ground.oci import Pushed

#: The label that says which cluster a container belongs to.
LABEL: Final = "plimsoll.cluster"
PORT: Final = 5000
NETWORK: Final = "kind"
IMAGE: Final = "registry:3.0.0"


@dataclass(frozen=True, slots=True)
class Container:
    """The registry's container. ``name`` is its name in the cluster's network too."""

    docker: str
    name: str
    cluster: str
    image: str = IMAGE
    runner: Runner = run

    def up(self) -> str:
        """Start it unless it runs, and return its address on this machine. Raises CannotRunError when the name is another cluster's."""
        owner = self._owner()
        if owner is not None and owner != self.cluster:
            raise CannotRunError(f"the container {self.name} is there already, for {owner or 'something else'}: remove it first")
        if owner is None:
            label = f"--label={LABEL}={self.cluster}"
            argv = [self.docker, "run", "--detach", f"--name={self.name}", f"--network={NETWORK}", label, f"--publish=127.0.0.1::{PORT}", self.image]
            self.runner(argv, timeout=300)
        else:
            self.runner([self.docker, "start", self.name])
        published = self.runner([self.docker, "port", self.name, f"{PORT}/tcp"]).stdout.split()
        if not published:
            raise CannotRunError(f"the container {self.name} publishes no port")
        return published[0]

    def down(self) -> None:
        """Remove it with its content, when it is this cluster's."""
        if self._owner() == self.cluster:
            self.runner([self.docker, "rm", "--force", "--volumes", self.name], timeout=60)

    def _owner(self) -> str | None:
        """Which cluster it belongs to; None when there is no such container."""
        try:
            return self.runner([self.docker, "inspect", "--type=container", f'--format={{{{index .Config.Labels "{LABEL}"}}}}', self.name]).stdout.strip()
        except RunError as error:
            if "no such" in error.stderr.lower():
                return None
            raise


def host_of(world: World) -> str:
    """The registry that the cluster's own source names, when it is one beside it: a name without a dot. Raises OverlayError otherwise."""
    reference = world.cluster.source
    source = world.find(source_kind(reference.kind), reference.namespace, reference.name)
    url = str(source.get("spec", "url", default="")) if source is not None else ""
    host = urlsplit(url).netloc
    if not url.startswith("oci://") or "." in host or host.rpartition(":")[2] != str(PORT):
        raise OverlayError(f"{world.cluster.name} is built from {url or 'no address'}, which is no registry beside it (oci://NAME:{PORT}/...)")
    return host


def publish(workspace: Workspace, world: World, registry: Registry, host: str) -> Beside:
    """Push the working tree, and the charts and manifests of every source, to a registry.

    Raises:
        OverlayError: the cluster has no source to push to.
        CannotRunError: a chart is not at hand.
    """
    reference = world.cluster.source
    sync = world.find(source_kind(reference.kind), reference.namespace, reference.name)
    if sync is None:
        raise OverlayError(f"the source of {world.cluster.name} is not in Git")
    path = urlsplit(str(sync.get("spec", "url", default=""))).path.strip("/")
    origin = provenance(workspace.root)
    tag = str(sync.get("spec", "ref", "tag", default="latest"))
    tree = push_flux(registry, path, tag, admitted(workspace.repository), source=origin.source, revision=origin.revision, created=origin.created)
    images: dict[str, Pushed] = {}
    repositories: dict[str, str] = {}
    charts: dict[str, set[str]] = {}
    missing: list[str] = []
    for release in world.of(HELM_RELEASE):
        _chart(workspace, world, registry, release, images, repositories, charts, missing)
    for source in _manifests(world):
        url, tag = str(source.get("spec", "url", default="")), str(source.get("spec", "ref", "tag", default=""))
        texts = workspace.charts.artifact(url, tag)
        if urlsplit(url).netloc != host and texts:
            files = {f"{number:03}.yaml": text.encode() for number, text in enumerate(texts)}
            images[str(source.id)] = push_flux(registry, mirrored(url), tag, files, source=url, revision=tag, created=origin.created)
        elif urlsplit(url).netloc != host:
            missing.append(f"{url}:{tag}")
    if missing:
        raise CannotRunError(f"not at hand: {'; '.join(missing)}: put them into the folder that --charts names, or allow --pull")
    return Beside(host, tree, images, repositories, charts)


def _chart(
    workspace: Workspace,
    world: World,
    registry: Registry,
    release: Object,
    images: dict[str, Pushed],
    repositories: dict[str, str],
    charts: dict[str, set[str]],
    missing: list[str],
) -> None:
    reference = resolve(release, _View(world))
    if isinstance(reference, Problem):
        missing.append(reference.message)
        return
    package = workspace.charts.fetch(reference)
    if isinstance(package, Problem):
        missing.append(package.message)
        return
    if not package.path.is_file():
        return
    source = _source_of(release, world)
    if source is None:
        return
    chart = package.chart.metadata
    folder = mirrored(reference.url)
    repository = f"{folder}/{reference.name}" if source.kind == "HelmRepository" and not reference.url.startswith("oci://") else folder
    pushed = push_chart(registry, repository, package.path.read_bytes(), chart)
    if source.kind == "OCIRepository":
        images[str(source.id)] = pushed
    elif source.kind == "HelmRepository":
        repositories[str(source.id)] = posixpath.dirname(repository)
        charts.setdefault(str(source.id), set()).add(pushed.content)


def _source_of(release: Object, world: World) -> Object | None:
    at = ("spec", "chartRef") if isinstance(release.get("spec", "chartRef"), dict) else ("spec", "chart", "spec", "sourceRef")
    kind, name = str(release.get(*at, "kind", default="")), str(release.get(*at, "name", default=""))
    return world.find(source_kind(kind), str(release.get(*at, "namespace", default="") or release.namespace), name)


def _manifests(world: World) -> Iterable[Object]:
    """The OCIRepositories that some Kustomization builds from."""
    seen: dict[str, Object] = {}
    for item in world.of(KUSTOMIZATION):
        at = ("spec", "sourceRef")
        namespace = str(item.get(*at, "namespace", default="") or item.namespace)
        source = world.find(source_kind("OCIRepository"), namespace, str(item.get(*at, "name", default="")))
        if source is not None and item.get(*at, "kind") == "OCIRepository":
            seen[str(source.id)] = source
    return seen.values()


class _View:
    """The finder that chart references are resolved against."""

    def __init__(self, world: World) -> None:
        self._world = world

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        return self._world.find(kind, namespace, name)

    def is_this_repository(self, source: Object) -> bool:
        reference = self._world.cluster.source
        return (source.kind, source.namespace, source.name) == reference
