"""Writing where a container writes: which process, what is refused, which pods; and pods that only write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from harness.live.findings import NotEvaluatedError
from harness.live.ground.cluster import Cluster, Programs, Wanted
from harness.live.ground.kindconfig import Nodes
from harness.live.reach.kubectl import Kubectl
from harness.live.reach.run import Output
from harness.live.telemetry.emit import a_pod_of, pods_of, process, shell_image, writer
from unit.live import fakes

if TYPE_CHECKING:
    from pathlib import Path

WEB = "Deployment/shop/web"


def cluster(asked: list[list[str]], tmp_path: Path, *, foreign: bool = False) -> Cluster:
    kubeconfig = tmp_path / "config" if foreign else None

    def runner(argv: Any, **_options: object) -> Output:
        asked.append(list(argv))
        return Output("somewhere\n")

    return Cluster(Wanted("c", Nodes(), "", kubeconfig, "somewhere", keep=True), Programs(kind="kind", kubectl="kubectl", docker="docker"), tmp_path, runner)


def pod(name: str = "web-1", **status: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "creationTimestamp": "2026-11-28T00:00:00Z", "ownerReferences": [{"kind": "ReplicaSet"}]}
    running = {"phase": "Running", "containerStatuses": [{"name": "web", "containerID": "containerd://abc"}, {"name": "proxy"}]}
    return {"metadata": metadata, "spec": {"nodeName": "node-1", "containers": [{"name": "web"}, {"name": "proxy"}]}, "status": {**running, **status}}


def test_lines_go_through_the_node_into_the_processs_standard_output(tmp_path: Path) -> None:
    asked: list[list[str]] = []
    process(cluster(asked, tmp_path), pod()).write("one\n two")
    process(cluster(asked, tmp_path), pod(), "web").kill()
    (write, kill) = asked
    assert write[:5] == ["docker", "exec", "node-1", "bash", "-c"]
    assert write[6:] == ["bash", "abc", "one\n two"]
    assert write[5].endswith("> /proc/$pid/fd/1")
    assert kill[5].endswith("kill -KILL $pid")


def test_more_than_the_kernel_writes_at_once_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="4096 bytes are too many"):
        process(cluster([], tmp_path), pod()).write("x" * 4096)


def test_what_does_not_run_or_cannot_be_entered_is_not_evaluated(tmp_path: Path) -> None:
    with pytest.raises(NotEvaluatedError, match="container proxy does not run"):
        process(cluster([], tmp_path), pod(), "proxy")
    with pytest.raises(NotEvaluatedError, match="cannot be entered"):
        process(cluster([], tmp_path, foreign=True), pod())


def test_pods_of_a_workload_are_those_that_run_and_stay(tmp_path: Path) -> None:
    going, ended, foreign = pod("web-2"), pod("web-3", phase="Succeeded"), pod("web-4")
    going["metadata"]["deletionTimestamp"] = "2026-11-28T00:01:00Z"
    foreign["metadata"]["ownerReferences"] = []
    programs = fakes.Programs()
    kubectl = Kubectl("kubectl", tmp_path / "config", runner=programs)
    body = {"spec": {"selector": {"matchLabels": {"app": "web", "a": "b"}}}}
    programs.on(*kubectl.argv("get", "deployments.apps", "web", "--namespace=shop", "--output=json"), says=body)
    programs.on(
        *kubectl.argv("get", "pods", "--namespace=shop", "--selector=a=b,app=web", "--output=json"),
        says={"items": [going, ended, foreign, pod("web-9"), pod()]},
    )
    assert [item["metadata"]["name"] for item in pods_of(kubectl, WEB)] == ["web-9", "web-1"]
    assert a_pod_of(kubectl, WEB)["metadata"]["name"] == "web-9"


def test_a_workload_without_a_pod_is_not_evaluated(tmp_path: Path) -> None:
    programs = fakes.Programs()
    kubectl = Kubectl("kubectl", tmp_path / "config", runner=programs)
    programs.on(*kubectl.argv("get", "daemonsets.apps", "web", "--namespace=shop", "--output=json"), fails="Error (NotFound)")
    with pytest.raises(NotEvaluatedError, match="no pod of it runs"):
        a_pod_of(kubectl, "DaemonSet/shop/web")


def test_a_writing_pod_is_as_restricted_as_policies_want_it() -> None:
    account, made = writer("proof-1", "shop", "vault:2", "echo x", annotations={"a": "b"})
    assert (account["kind"], made["spec"]["serviceAccountName"], made["metadata"]["annotations"]) == ("ServiceAccount", "proof-1", {"a": "b"})
    assert made["spec"]["securityContext"]["runAsNonRoot"] is True
    assert made["spec"]["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert made["spec"]["containers"][0]["command"] == ["/bin/sh", "-c", "echo x"]


class World:
    """As much of a world as is asked."""

    cluster = type("Root", (), {"name": "kind"})()

    def __init__(self, found: Any) -> None:
        self.found = found

    def find(self, *_key: str) -> Any:
        return self.found


def test_the_image_with_a_shell_is_vaults() -> None:
    vault = type("Item", (), {"get": lambda _self, *_at: [{"name": "sidecar", "image": "s"}, {"name": "vault", "image": "vault:2"}]})()
    assert shell_image(World(vault)) == "vault:2"  # type: ignore[arg-type]
    with pytest.raises(NotEvaluatedError, match="no image"):
        shell_image(World(None))  # type: ignore[arg-type]
