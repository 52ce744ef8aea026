"""The kind cluster of a run. The one module that knows pytest-kind: its fixture and options make and remove the cluster, this says how."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from harness.live.ground.kindconfig import Nodes, OptionError, configuration, files, node_image
from harness.live.reach.kubectl import Kubectl
from harness.live.reach.reader import Reader
from harness.live.reach.run import RunError, Runner, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.live.reach.api import Api

#: Seconds for ``kind create cluster``: the image may have to be pulled first.
CREATE: Final = 900.0
_READY: Final = "5m"
#: How kind names its contexts: kind-<cluster>.
_KIND: Final = "kind-"
#: Files beside the kubeconfig that belong to one cluster: the keys of its Vault, and how it came up.
KEYFILE: Final = "vault.box"
RECORD: Final = "bootstrap.json"
OF_CLUSTER: Final = (KEYFILE, RECORD)
CGROUP_V2: Final = Path("/sys/fs/cgroup/cgroup.controllers")


class CannotRunError(Exception):
    """The tier cannot run here, or must not run there. One line that says why and what to do."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the options ask for. ``kubeconfig``: an existing cluster, which is neither made nor removed; ``trusted`` the context someone vouched for."""

    name: str
    nodes: Nodes = field(default_factory=Nodes)
    image: str | None = None
    kubeconfig: Path | None = None
    trusted: str = ""
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs the tier needs, all at hand: pytest-kind is never left to download one."""

    kind: str
    kubectl: str
    docker: str


def programs(kind: str | None, kubectl: str | None, *, which: Callable[[str], str | None] = shutil.which, runner: Runner = run) -> Programs:
    """The programs, from the options or PATH, and a docker daemon that answers. Raises CannotRunError."""
    found: dict[str, str] = {}
    for name, given, option in (("kind", kind, "--kind-bin"), ("kubectl", kubectl, "--kind-kubectl-bin"), ("docker", None, "")):
        path = given or which(name)
        if path is None or (given and not Path(given).is_file()):
            hint = f", or name it with {option}" if option else ""
            raise CannotRunError(f"the live tier needs {name}: {f'{given} is no file' if given else f'put it on PATH{hint}'}")
        found[name] = path
    try:
        runner([found["docker"], "version", "--format={{.Server.Version}}"], timeout=20)
    except RunError as error:
        raise CannotRunError(f"the live tier needs a docker daemon: {error.reason}") from error
    return Programs(**found)


def check_context(context: str, trusted: str) -> None:
    """Refuse a cluster that is not kind's, unless someone named it. Raises CannotRunError."""
    if context.startswith(_KIND) or (trusted and trusted == context):
        return
    vouched = f"--i-know-this-is names {trusted}" if trusted else f"pass --i-know-this-is {context} if it may be tested"
    raise CannotRunError(f"the kubeconfig's current context is {context or 'none'}, which is no kind cluster: {vouched}")


class Cluster:
    """One kind cluster, used by pytest-kind's fixture through :func:`adapted`."""

    def __init__(self, wanted: Wanted, tools: Programs, folder: Path, runner: Runner = run) -> None:
        """``folder``: where the configuration, and the kubeconfig of a cluster that is made here, are written."""
        self.wanted = wanted
        self.tools = tools
        self.folder = folder
        self._runner = runner
        self.kubeconfig = wanted.kubeconfig or folder / "kubeconfig"
        self._api: Api | None = None
        self._reader: Reader | None = None
        #: Whether this run made the cluster.
        self.made = False

    @property
    def kubectl(self) -> Kubectl:
        """kubectl with this cluster's kubeconfig."""
        return Kubectl(self.tools.kubectl, self.kubeconfig, runner=self._runner, reader=self._reader)

    @property
    def api(self) -> Api:
        """The API server by itself, for many questions. Raises CannotRunError before :meth:`connected`."""
        if self._api is None:
            raise CannotRunError("nobody has opened a way to the API server yet")
        return self._api

    def connected(self, api: Api) -> None:
        """The API server can be asked: from now on kubectl's plain questions are answered over it too."""
        self._api, self._reader = api, Reader(api)

    def docker(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> str:
        """What a docker command prints. Raises RunError when it fails."""
        return self._runner([self.tools.docker, *arguments], stdin=stdin, timeout=timeout).stdout

    def context(self) -> str:
        """The current context of the kubeconfig; empty when it has none."""
        try:
            return self.kubectl("config", "current-context").strip()
        except RunError:
            return ""

    @property
    def foreign(self) -> bool:
        """Whether it is not kind's: then nothing is made or changed, only looked at."""
        return self.wanted.kubeconfig is not None and not self.context().startswith(_KIND)

    def exists(self) -> bool:
        """Whether kind knows the cluster."""
        return self.wanted.name in self._runner([self.tools.kind, "get", "clusters"]).stdout.splitlines()

    def nodes(self) -> list[str]:
        """The containers that are its nodes; none for a cluster that is not kind's, whose nodes cannot be entered from here."""
        if self.foreign:
            return []
        return sorted(self._runner([self.tools.kind, "get", "nodes", f"--name={self.wanted.name}"]).stdout.split())

    def create(self) -> None:
        """Make the cluster unless it is there. Whatever interrupts it, Ctrl-C too, leaves no half of it behind unless it is to be kept.

        Raises:
            CannotRunError: the kubeconfig leads to a cluster that may not be touched.
            RunError: kind failed.
        """
        if self.wanted.kubeconfig is not None:
            context = self.context()
            check_context(context, self.wanted.trusted)
            if context.startswith(_KIND):
                self.wanted = replace(self.wanted, name=context.removeprefix(_KIND))
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.exists():
            self._runner([self.tools.kind, "export", "kubeconfig", f"--name={self.wanted.name}", f"--kubeconfig={self.kubeconfig}"])
            return
        for name in OF_CLUSTER:
            # What an earlier cluster of this name left is of no use to this one: keys of a Vault that is gone, the record of its first hour.
            self.folder.joinpath(name).unlink(missing_ok=True)
        for path, text in files(self.wanted.nodes).items():
            target = self.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        config = self.folder / "kind.yaml"
        config.write_text(yaml.safe_dump(configuration(self.wanted.nodes, self.folder.resolve()), sort_keys=False), encoding="utf-8")
        image = [f"--image={self.wanted.image}"] if self.wanted.image else []
        argv = [self.tools.kind, "create", "cluster", f"--name={self.wanted.name}", f"--kubeconfig={self.kubeconfig}", f"--config={config}", f"--wait={_READY}"]
        self.made = True
        try:
            self._runner([*argv, *image], timeout=CREATE)
        except BaseException:
            if not self.wanted.keep:
                self.delete()
            raise

    def delete(self) -> None:
        """Remove what this run or an earlier one made; an existing cluster that was handed over stays."""
        if self.wanted.kubeconfig is None:
            self._runner([self.tools.kind, "delete", "cluster", f"--name={self.wanted.name}", f"--kubeconfig={self.kubeconfig}"], timeout=120)


def wanted_of(options: Any, *, cgroup_v2: bool | None = None) -> Wanted:
    """What pytest's options ask for. Raises OptionError."""
    if options.kubeconfig and not Path(options.kubeconfig).is_file():
        raise OptionError(f"--kubeconfig {options.kubeconfig}: there is no such file")
    v2 = CGROUP_V2.exists() if cgroup_v2 is None else cgroup_v2
    return Wanted(
        name=options.cluster_name,
        nodes=Nodes(workers=options.workers, mirror=options.registry_mirror or "", cgroup_v1=not v2),
        image=node_image(options.kind_image, options.kubernetes_version),
        kubeconfig=Path(options.kubeconfig) if options.kubeconfig else None,
        trusted=options.i_know_this_is or "",
        keep=options.keep_cluster,
    )


def adapt(cluster: Cluster) -> None:
    """Let pytest-kind's fixture make and remove this cluster: it keeps deciding when, this decides how, and nothing is ever downloaded."""
    from pytest_kind import plugin  # the e2e group's only
    from pytest_kind.cluster import KindCluster

    class Adapted(KindCluster):  # type: ignore[misc, unused-ignore]
        def __init__(self, name: str, kubeconfig: Path | None = None, **_ignored: object) -> None:
            self.name = name
            self.kubeconfig_path = kubeconfig or cluster.kubeconfig
            self.kind_path, self.kubectl_path = Path(cluster.tools.kind), Path(cluster.tools.kubectl)
            self.live = cluster

        def create(self, config_file: object = None) -> None:
            cluster.create()

        def delete(self) -> None:
            cluster.delete()

    plugin.KindCluster = Adapted
