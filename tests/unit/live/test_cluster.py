"""Making, finding and removing the cluster: what is run, what is refused, and that an interruption leaves nothing behind."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import yaml
from harness.live.ground.cluster import CannotRunError, Cluster, Programs, Wanted, adapt, check_context, programs, wanted_of
from harness.live.ground.kindconfig import Nodes, OptionError
from harness.live.reach.run import Output, RunError
from unit.live import fakes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TOOLS = Programs("kind", "kubectl", "docker")


class Kind(fakes.Programs):
    """kind and kubectl, by their first arguments. ``interrupted``: creating a cluster ends as with Ctrl-C."""

    def __init__(self, clusters: str = "", context: str = "kind-one", interrupted: bool = False) -> None:
        super().__init__()
        self.clusters, self.context, self.interrupted = clusters, context, interrupted

    def __call__(self, argv: Sequence[str], **_options: object) -> Output:
        self.asked.append(tuple(argv))
        if argv[:3] == ["kind", "create", "cluster"] and self.interrupted:
            raise KeyboardInterrupt
        if argv[:3] == ["kind", "get", "clusters"]:
            return Output(self.clusters)
        return Output(self.context + "\n" if "current-context" in argv else "")

    def verbs(self) -> list[str]:
        return [" ".join(argv[1:3]) for argv in self.asked if argv[0] == "kind"]


def cluster(tmp_path: Path, kind: Kind, **wanted: object) -> Cluster:
    return Cluster(Wanted("one", **wanted), TOOLS, tmp_path / "one", kind)


def test_what_belonged_to_a_cluster_that_is_gone_goes(tmp_path: Path) -> None:
    made = cluster(tmp_path, Kind())
    made.folder.mkdir(parents=True, exist_ok=True)
    for name in ("vault.box", "bootstrap.json", "mine"):
        (made.folder / name).write_text("")
    made.create()
    assert sorted(path.name for path in made.folder.iterdir() if path.is_file()) == ["kind.yaml", "mine"]
    (made.folder / "vault.box").write_text("")
    cluster(tmp_path, Kind(clusters="one\n")).create()
    assert (made.folder / "vault.box").exists()


def test_create_hands_over_image_configuration_and_files(tmp_path: Path) -> None:
    kind = Kind()
    made = cluster(tmp_path, kind, nodes=Nodes(1, "http://mirror:5000"), image="node:1")
    made.create()
    folder = tmp_path / "one"
    expected = ["kind", "create", "cluster", "--name=one", f"--kubeconfig={folder}/kubeconfig", f"--config={folder}/kind.yaml", "--wait=5m", "--image=node:1"]
    assert kind.asked[-1] == tuple(expected)
    config = yaml.safe_load((folder / "kind.yaml").read_text())
    for mount in config["nodes"][0]["extraMounts"]:
        assert mount["hostPath"].startswith(str(folder))
    assert (folder / "certs.d/_default/hosts.toml").is_file()
    assert (folder / "audit/policy.yaml").is_file()
    assert made.made


def test_an_existing_cluster_of_that_name_is_used_again(tmp_path: Path) -> None:
    kind = Kind(clusters="other\none\n")
    made = cluster(tmp_path, kind)
    made.create()
    assert kind.verbs() == ["get clusters", "export kubeconfig"]
    assert not made.made


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    kind = Kind(interrupted=True)
    with pytest.raises(KeyboardInterrupt):
        cluster(tmp_path, kind).create()
    assert kind.verbs() == ["get clusters", "create cluster", "delete cluster"]


def test_ctrl_c_leaves_what_was_asked_for(tmp_path: Path) -> None:
    kind = Kind(interrupted=True)
    with pytest.raises(KeyboardInterrupt):
        cluster(tmp_path, kind, keep=True).create()
    assert kind.verbs() == ["get clusters", "create cluster"]


def test_a_cluster_that_was_handed_over_is_neither_made_nor_removed(tmp_path: Path) -> None:
    kind = Kind(context="kind-theirs")
    given = cluster(tmp_path, kind, kubeconfig=tmp_path / "config")
    given.create()
    given.delete()
    assert kind.verbs() == []
    assert given.wanted.name == "theirs"
    assert not given.foreign


@pytest.mark.parametrize(("context", "trusted", "allowed"), [
    ("kind-one", "", True),
    ("production", "production", True),
    ("production", "", False),
    ("production", "staging", False),
    ("", "", False),
    ("my-kind-one", "", False),
])  # fmt: skip
def test_foreign_contexts_are_refused_unless_named(context: str, trusted: str, allowed: bool) -> None:
    if allowed:
        check_context(context, trusted)
    else:
        with pytest.raises(CannotRunError, match=f"current context is {context or 'none'}, which is no kind cluster: .*--i-know-this-is"):
            check_context(context, trusted)


def test_a_foreign_cluster_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    kind = Kind(context="production")
    with pytest.raises(CannotRunError):
        cluster(tmp_path, kind, kubeconfig=tmp_path / "config").create()
    assert {argv[2:] for argv in kind.asked} == {("config", "current-context")}


def test_a_trusted_foreign_cluster_is_foreign_still(tmp_path: Path) -> None:
    given = cluster(tmp_path, Kind(context="production"), kubeconfig=tmp_path / "config", trusted="production")
    given.create()
    assert given.foreign
    assert given.wanted.name == "one"


def test_no_context_at_all(tmp_path: Path) -> None:
    failing = fakes.Programs().on("kubectl", f"--kubeconfig={tmp_path}/config", "config", "current-context", fails="current-context is not set")
    given = Cluster(Wanted("one", kubeconfig=tmp_path / "config"), TOOLS, tmp_path, failing)
    with pytest.raises(CannotRunError, match="current context is none"):
        given.create()


VERSION = ("/bin/docker", "version", "--format={{.Server.Version}}")


def test_programs_from_path() -> None:
    runner = fakes.Programs().on(*VERSION, says="27")
    assert programs(None, None, which=lambda name: f"/bin/{name}", runner=runner) == Programs("/bin/kind", "/bin/kubectl", "/bin/docker")


@pytest.mark.parametrize(("missing", "hint"), [("kind", "--kind-bin"), ("kubectl", "--kind-kubectl-bin"), ("docker", "")])
def test_a_missing_program_is_named_in_one_line(missing: str, hint: str) -> None:
    with pytest.raises(CannotRunError) as caught:
        programs(None, None, which=lambda name: None if name == missing else f"/bin/{name}", runner=fakes.Programs())
    assert str(caught.value) == f"the live tier needs {missing}: put it on PATH" + (f", or name it with {hint}" if hint else "")


def test_a_program_that_is_no_file() -> None:
    with pytest.raises(CannotRunError, match="needs kind: /no/kind is no file"):
        programs("/no/kind", None, which=lambda name: f"/bin/{name}", runner=fakes.Programs())


def test_no_daemon() -> None:
    runner = fakes.Programs().on(*VERSION, fails="Cannot connect to the Docker daemon at unix:///var/run/docker.sock.\n")
    with pytest.raises(CannotRunError, match="needs a docker daemon: Cannot connect to the Docker daemon"):
        programs(None, None, which=lambda name: f"/bin/{name}", runner=runner)


def options(**changes: object) -> SimpleNamespace:
    values = {"kubeconfig": None, "cluster_name": "one", "workers": 1, "registry_mirror": None, "kind_image": None, "kubernetes_version": "1.36.4"}
    return SimpleNamespace(**{**values, "i_know_this_is": None, "keep_cluster": True, **changes})


def test_options_become_what_is_wanted() -> None:
    assert wanted_of(options(), cgroup_v2=False) == Wanted("one", Nodes(1, "", True), "kindest/node:v1.36.4", keep=True)


def test_a_kubeconfig_that_is_not_there() -> None:
    with pytest.raises(OptionError, match="--kubeconfig /no/config: there is no such file"):
        wanted_of(options(kubeconfig="/no/config"))


def test_pytest_kinds_fixture_makes_this_cluster_and_downloads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package, plugin, theirs = ModuleType("pytest_kind"), ModuleType("pytest_kind.plugin"), ModuleType("pytest_kind.cluster")
    theirs.KindCluster = type("KindCluster", (), {})
    package.plugin, package.cluster = plugin, theirs
    for module in (package, plugin, theirs):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    kind = Kind()
    made = cluster(tmp_path, kind)
    adapt(made)
    # What pytest-kind's fixture does, in its order.
    theirs_now = plugin.KindCluster("one", None, image=None, kind_path=None, kubectl_path=None)
    theirs_now.create()
    theirs_now.delete()
    assert kind.verbs() == ["get clusters", "create cluster", "delete cluster"]
    assert str(theirs_now.kubeconfig_path) == str(made.kubeconfig)


def test_kind_that_fails_cleans_up_and_says_why(tmp_path: Path) -> None:
    class Failing(Kind):
        def __call__(self, argv: Sequence[str], **options: object) -> Output:
            if argv[:3] == ["kind", "create", "cluster"]:
                self.asked.append(tuple(argv))
                raise RunError(argv, "ended with code 1", stderr="failed to pull image")
            return super().__call__(argv, **options)

    kind = Failing()
    with pytest.raises(RunError, match="failed to pull image"):
        cluster(tmp_path, kind).create()
    assert kind.verbs()[-1] == "delete cluster"
