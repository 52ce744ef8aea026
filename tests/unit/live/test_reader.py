"""Plain questions are answered as kubectl answers them; everything else is left to kubectl."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from harness.live.reach.api import Reply
from harness.live.reach.kubectl import Kubectl
from harness.live.reach.reader import Reader
from harness.live.reach.run import RunError
from harness.live.reach.web import WebError
from unit.live.fakes import Programs

if TYPE_CHECKING:
    from collections.abc import Mapping

POD = {"metadata": {"name": "web", "namespace": "apps"}}
CORE = [
    {"name": "pods", "singularName": "pod", "kind": "Pod", "namespaced": True, "shortNames": ["po"]},
    {"name": "pods/log", "singularName": "", "kind": "Pod", "namespaced": True},
    {"name": "nodes", "singularName": "node", "kind": "Node", "namespaced": False},
]
APPS = [{"name": "deployments", "singularName": "deployment", "kind": "Deployment", "namespaced": True}]


class Server:
    """An API server by its paths. ``asked`` are the paths with their queries."""

    def __init__(self, **more: Any) -> None:
        self.pages: dict[str, dict[str, Any]] = {
            "/api/v1": {"resources": CORE},
            "/apis/apps": {"preferredVersion": {"version": "v1"}},
            "/apis/apps/v1": {"resources": APPS},
            "/api/v1/pods": {"kind": "PodList", "items": [POD]},
            "/api/v1/namespaces/apps/pods": {"kind": "PodList", "items": [POD]},
            "/api/v1/namespaces/apps/pods/web": {"kind": "Pod", **POD},
            "/api/v1/nodes": {"kind": "NodeList", "items": [{"metadata": {"name": "one"}}]},
            "/apis/apps/v1/deployments": {"kind": "DeploymentList", "items": []},
            **more,
        }
        self.asked: list[str] = []

    def ask(self, method: str, path: str, query: Mapping[str, str] | None = None) -> Reply:
        assert method == "GET"
        self.asked.append(path + (f"?{query}" if query else ""))
        page = self.pages.get(path)
        return Reply(200, page) if page is not None else Reply(404, {"kind": "Status", "message": f"{path.rpartition('/')[2]} not found"})


def kubectl(server: Any, programs: Programs | None = None) -> Kubectl:
    return Kubectl("kubectl", Path("/k"), runner=programs or Programs(), reader=Reader(server))


@pytest.mark.parametrize("kind", ["pods", "pod", "po", "Pod", "Pod.v1."], ids=str)
def test_one_object_by_every_name_of_its_kind(kind: str) -> None:
    assert kubectl(Server()).get(kind, "web", "apps") == {"kind": "Pod", **POD}


@pytest.mark.parametrize("kind", ["deployments.apps", "Deployment.v1.apps", "deployment.apps"], ids=str)
def test_kinds_of_groups(kind: str) -> None:
    assert kubectl(Server()).list(kind) == []


def test_lists_say_what_is_in_them() -> None:
    pod, node = kubectl(Server()).list("pods", "nodes")
    assert (pod["kind"], pod["apiVersion"], node["kind"]) == ("Pod", "v1", "Node")
    assert pod["metadata"] == POD["metadata"]


def test_discovery_is_asked_once() -> None:
    server = Server()
    reading = kubectl(server)
    reading.list("pods", namespace="apps", selector="a=b")
    reading.list("pods", namespace="apps")
    assert server.asked == ["/api/v1", "/api/v1/namespaces/apps/pods?{'labelSelector': 'a=b'}", "/api/v1/namespaces/apps/pods"]


def test_what_is_not_there_is_said_as_kubectl_says_it() -> None:
    assert kubectl(Server()).get("pods", "gone", "apps") is None
    with pytest.raises(RunError, match=r"Error from server \(NotFound\): gone not found"):
        kubectl(Server()).json("get", "pods", "gone", "--namespace=apps")


@pytest.mark.parametrize(
    "arguments",
    [
        ("get", "pods", "web"),
        ("get", "pods", "web", "--namespace=apps", "--subresource=status"),
        ("get", "widgets", "--all-namespaces"),
        ("get", "pods,nodes", "web", "--namespace=apps"),
        ("get", "--raw", "/version"),
        ("version",),
    ],
    ids=" ".join,
)
def test_everything_else_is_kubectls(arguments: tuple[str, ...]) -> None:
    programs = Programs().on("kubectl", "--kubeconfig=/k", *arguments, "--output=json", says={"of": "kubectl"})
    assert kubectl(Server(), programs).json(*arguments) == {"of": "kubectl"}


def test_a_kind_that_comes_later_is_found_then() -> None:
    server = Server()
    programs = Programs().on("kubectl", "--kubeconfig=/k", "get", "widgets.example.com", "--all-namespaces", "--output=json", says={"items": []})
    reading = kubectl(server, programs)
    assert reading.list("widgets.example.com") == []
    server.pages |= {
        "/apis/example.com": {"preferredVersion": {"version": "v2"}},
        "/apis/example.com/v2": {"resources": [{"name": "widgets", "kind": "Widget", "namespaced": False}]},
        "/apis/example.com/v2/widgets": {"items": [{"metadata": {"name": "w"}}]},
    }
    assert reading.list("widgets.example.com") == [{"apiVersion": "example.com/v2", "kind": "Widget", "metadata": {"name": "w"}}]
    assert len(programs.asked) == 1


@pytest.mark.parametrize("trouble", ["silent", "refusing"])
def test_a_server_in_trouble_is_kubectls_to_explain(trouble: str) -> None:
    class Troubled(Server):
        def ask(self, method: str, path: str, query: Mapping[str, str] | None = None) -> Reply:
            if trouble == "silent":
                raise WebError("connection refused")
            return Reply(403, {"message": "forbidden"}) if path.endswith("/pods") else super().ask(method, path, query)

    programs = Programs().on("kubectl", "--kubeconfig=/k", "get", "pods", "--all-namespaces", "--output=json", fails="Unable to connect to the server")
    with pytest.raises(RunError, match="Unable to connect"):
        kubectl(Troubled(), programs).list("pods")
