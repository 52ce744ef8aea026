"""Faults leave the cluster as they found it, whatever happens inside, and what an interrupted run left is found."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from harness.live.faults import (
    LABEL,
    SUSPENDED,
    applied,
    bare,
    deleted,
    leftovers,
    marked_as_temporary,
    patched,
    reverse,
    scaled,
    stopped,
    suspended,
    without_node,
)
from harness.live.reach.kubectl import Kubectl
from harness.live.reach.run import Output, RunError
from harness.live.reach.wait import WaitTimeoutError
from harness.live.sync.readiness import Key
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LOKI = Key("Kustomization", "flux-system", "loki")


def merge(body: dict[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """RFC 7386, as the API server does it."""
    found = dict(body)
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        elif isinstance(value, dict):
            there = found.get(key)
            found[key] = merge(there if isinstance(there, dict) else {}, value)
        else:
            found[key] = value
    return found


class Server:
    """An API server in memory, behind kubectl's arguments. ``log`` has the verbs with the names."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.objects = {(item["kind"].lower(), item["metadata"].get("namespace", ""), item["metadata"]["name"]): item for item in objects}
        self.log: list[str] = []

    def __call__(self, argv: Sequence[str], *, stdin: str | None = None, timeout: float = 60, env: Mapping[str, str] | None = None) -> Output:
        words = [word for word in argv[2:] if not word.startswith("--")]
        options = dict(word.removeprefix("--").partition("=")[::2] for word in argv[2:] if word.startswith("--"))
        verb = words[0]
        if verb in ("apply", "create"):
            body = json.loads(stdin or "")
            for item in body["items"] if verb == "apply" else [body]:
                self.log.append(f"{verb} {item['metadata']['name']}")
                self.objects[item["kind"].lower(), item["metadata"].get("namespace", ""), item["metadata"]["name"]] = item
            return Output("")
        kinds = [kind.split(".")[0].removesuffix("s") for kind in words[1].lower().split(",")]
        if len(words) == 2:
            found = [item for (kind, *_rest), item in self.objects.items() if kind in kinds]
            wanted = options.get("selector")
            items = [item for item in found if not wanted or wanted in (item["metadata"].get("labels") or {})]
            return Output(json.dumps({"kind": "List", "items": items}))
        key = (kinds[0], options.get("namespace", ""), words[2])
        if verb != "get":
            self.log.append(f"{verb} {words[2]}")
        if key not in self.objects:
            if "ignore-not-found" in options:
                return Output("")
            raise RunError(argv, "ended with code 1", code=1, stderr=f'Error from server (NotFound): {words[1]} "{words[2]}" not found')
        if verb == "delete":
            del self.objects[key]
        if verb == "patch":
            patch = json.loads(options["patch"])
            # What kubectl says in its own name of what Flux applies, Flux takes back.
            assert "suspend" not in patch.get("spec", {}) or options["field-manager"] == "plimsoll"
            self.objects[key] = merge(self.objects[key], patch)
        return Output(json.dumps(self.objects.get(key)))

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl("kubectl", Path("/k"), runner=self)


def thing(kind: str, name: str, namespace: str = "apps", **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, **more}


def kustomization() -> dict[str, Any]:
    return thing("Kustomization", "loki", "flux-system", spec={"interval": "1h"})


def test_suspended_while_it_lasts() -> None:
    server = Server(kustomization())
    with suspended(server.kubectl, LOKI):
        (during,) = server.objects.values()
        assert during["spec"] == {"interval": "1h", "suspend": True}
        assert during["metadata"]["annotations"] == {SUSPENDED: "true"}
    (after,) = server.objects.values()
    assert after["spec"] == {"interval": "1h"}
    assert list(after["metadata"]["annotations"]) == ["reconcile.fluxcd.io/requestedAt"]


def test_blocks_that_overlap_resume_with_the_last() -> None:
    server = Server(kustomization())
    with suspended(server.kubectl, LOKI):
        with suspended(server.kubectl, LOKI):
            pass
        (during,) = server.objects.values()
        assert during["spec"]["suspend"] is True
    (after,) = server.objects.values()
    assert "suspend" not in after["spec"]


def working(reason: str = "", handled: str = "1") -> dict[str, Any]:
    """A Kustomization that was asked for something, and what it says of that."""
    status: dict[str, Any] = {"lastHandledReconcileAt": handled}
    if reason:
        status["conditions"] = [{"type": "Reconciling", "status": "True", "reason": reason}]
    body = thing("Kustomization", "loki", "flux-system", status=status, spec={})
    body["metadata"]["annotations"] = {"reconcile.fluxcd.io/requestedAt": "1"}
    return body


@pytest.mark.parametrize("before", [working("Progressing"), working(handled="0")], ids=["at work", "not seen to"])
def test_what_flux_is_at_is_waited_for(before: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(before)
    monkeypatch.setattr("harness.live.faults._QUIET", 0.01)
    with pytest.raises(WaitTimeoutError, match="Flux to be done with Kustomization/flux-system/loki"), suspended(server.kubectl, LOKI):
        raise AssertionError("the block must not run")
    assert "suspend" not in server.objects["kustomization", "flux-system", "loki"]["spec"]


def test_what_will_be_tried_again_is_not_waited_for() -> None:
    server = Server(working("ProgressingWithRetry"))
    with suspended(server.kubectl, LOKI):
        assert server.objects["kustomization", "flux-system", "loki"]["spec"]["suspend"] is True


def test_what_fails_inside_is_mended() -> None:
    server = Server(kustomization(), thing("Deployment", "loki", spec={"replicas": 2, "paused": False}))
    seen: list[int] = []

    def fail() -> None:
        with scaled(server.kubectl, "deployments.apps", "loki", "apps", suspending=[LOKI]):
            seen.append(server.objects["deployment", "apps", "loki"]["spec"]["replicas"])
            raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        fail()
    assert seen == [0]
    assert server.objects["deployment", "apps", "loki"]["spec"] == {"replicas": 2, "paused": False}
    assert "suspend" not in server.objects["kustomization", "flux-system", "loki"]["spec"]


def test_a_field_that_was_not_there_is_not_there_again() -> None:
    server = Server(thing("ConfigMap", "a", data={"kept": "1"}))
    with patched(server.kubectl, "configmaps", "a", "apps", {"data": {"new": "2", "kept": None}, "immutable": True}):
        assert server.objects["configmap", "apps", "a"]["data"] == {"new": "2"}
    assert server.objects["configmap", "apps", "a"] == thing("ConfigMap", "a", data={"kept": "1"})


def test_deleted_comes_back_as_somebody_would_create_it() -> None:
    there = thing("Secret", "tls", status={"a": 1})
    there["metadata"] |= {"uid": "u", "resourceVersion": "7", "labels": {"a": "b"}}
    server = Server(there)
    with deleted(server.kubectl, "secrets", "tls", "apps"):
        assert server.objects == {}
    (back,) = server.objects.values()
    assert back == {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tls", "namespace": "apps", "labels": {"a": "b"}}}


def test_deleted_leaves_what_somebody_else_made_again() -> None:
    server = Server(thing("Secret", "tls", data={"old": "1"}))
    with deleted(server.kubectl, "secrets", "tls", "apps"):
        server.objects["secret", "apps", "tls"] = thing("Secret", "tls", data={"new": "2"})
    assert server.objects["secret", "apps", "tls"]["data"] == {"new": "2"}


def test_temporary_objects_carry_the_label_and_go_in_reverse_order() -> None:
    server = Server()
    space, pod = thing("Namespace", "scratch", ""), thing("Pod", "probe", "scratch")
    with applied(server.kubectl, space, pod):
        assert all(item["metadata"]["labels"] == {LABEL: "true"} for item in server.objects.values())
    assert server.log == ["apply scratch", "apply probe", "delete probe", "delete scratch"]
    assert space == thing("Namespace", "scratch", "")


def test_what_an_interrupted_run_left_is_removed() -> None:
    held = kustomization()
    held["metadata"]["annotations"] = {SUSPENDED: "true"}
    held["spec"]["suspend"] = True
    server = Server(held, marked_as_temporary(thing("Pod", "probe")), thing("Pod", "web"))
    assert leftovers(server.kubectl, ["pods"]) == ["Kustomization/flux-system/loki: resumed", "Pod/apps/probe: removed"]
    assert [key[2] for key in server.objects] == ["loki", "web"]
    assert leftovers(server.kubectl, ["pods"]) == []


def test_a_namespace_that_an_interrupted_run_left_takes_what_is_in_it_along() -> None:
    held = marked_as_temporary(thing("Pod", "held", "scratch"))
    held["metadata"]["finalizers"] = ["example.com/hold"]
    server = Server(held, marked_as_temporary(thing("NetworkPolicy", "default-deny", "scratch")), marked_as_temporary(thing("Namespace", "scratch", "")))
    said = leftovers(server.kubectl, ["pods", "networkpolicies", "namespaces"])
    assert said == ["Pod/scratch/held: removed", "Namespace//scratch: removed"]
    assert server.log == ["patch held", "delete held", "patch scratch", "delete scratch"]


JSON = st.recursive(st.integers() | st.text(max_size=2), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=6)
OBJECTS = st.dictionaries(st.sampled_from("abc"), JSON, max_size=3)
PATCHES = st.dictionaries(st.sampled_from("abcd"), st.none() | JSON, max_size=3)


def pruned(value: Any) -> Any:
    """Without empty mappings: whether one is there or not, no controller asks."""
    return {key: inner for key, each in value.items() if (inner := pruned(each)) != {}} if isinstance(value, dict) else value


@given(before=OBJECTS, patch=PATCHES)
def test_a_patch_and_its_reverse_change_nothing(before: dict[str, Any], patch: dict[str, Any]) -> None:
    there = merge(before, patch)
    assert pruned(merge(there, reverse(patch, before))) == pruned(before)


def test_what_a_killed_run_changed_is_changed_back() -> None:
    server = Server(thing("Secret", "s", data={"a": "b"}), thing("ConfigMap", "a", data={"old": "1"}))
    with (
        patched(server.kubectl, "secrets", "s", "apps", {"data": {"a": "c"}}),
        patched(server.kubectl, "configmaps", "a", "apps", {"data": {"old": "2", "new": "3"}}),
    ):
        (record,) = server.objects["configmap", "kube-system", "plimsoll-proof-undo"]["data"].values()
        killed = Server(*json.loads(json.dumps(list(server.objects.values()))))
    assert json.loads(record) == {"kind": "configmaps", "name": "a", "namespace": "apps", "patch": {"data": {"old": "1", "new": None}}}
    assert leftovers(killed.kubectl, ["pods"]) == ["configmaps/apps/a: changed back"]
    assert killed.objects["configmap", "apps", "a"]["data"] == {"old": "1"}
    assert killed.objects["configmap", "kube-system", "plimsoll-proof-undo"]["data"] == {}
    assert leftovers(killed.kubectl, ["pods"]) == []
    # Nothing is left to be taken back of what ended by itself, nor of what is gone.
    assert server.objects["configmap", "kube-system", "plimsoll-proof-undo"]["data"] == {}
    gone = Server(thing("ConfigMap", "plimsoll-proof-undo", "kube-system", data={"k.json": record}))
    assert leftovers(gone.kubectl, ["pods"]) == []


def test_bare_keeps_what_a_person_wrote() -> None:
    body = thing("Pod", "a", spec={"x": 1}, status={"phase": "Running"})
    assert bare(body) == thing("Pod", "a", spec={"x": 1})


class Controlled(Server):
    """A server whose Deployments have at once the pods that they want."""

    def __call__(self, argv: Sequence[str], *, stdin: str | None = None, timeout: float = 60, env: Mapping[str, str] | None = None) -> Output:
        said = super().__call__(argv, stdin=stdin, timeout=timeout, env=env)
        for item in (item for (kind, *_rest), item in self.objects.items() if kind == "deployment"):
            wanted = item["spec"]["replicas"]
            item["status"] = {"replicas": wanted, "availableReplicas": wanted}
        return said


@pytest.mark.parametrize("inside", [lambda: None, lambda: 1 / 0], ids=["done", "failed"])
def test_what_was_stopped_is_back(inside: Callable[[], object]) -> None:
    server = Controlled(thing("Deployment", "web", spec={"replicas": 2}, status={"replicas": 2, "availableReplicas": 2}))

    def pods() -> int:
        found: int = server.objects["deployment", "apps", "web"]["status"]["replicas"]
        return found

    with suppress(ZeroDivisionError), stopped(server.kubectl, "deployments.apps", "web", "apps"):
        assert pods() == 0
        inside()
    assert pods() == 2


@pytest.mark.parametrize("status", [{"replicas": 1}, {"terminatingReplicas": 1}], ids=["running", "on its way out"])
def test_what_does_not_stop_is_an_error_and_put_back(status: dict[str, int]) -> None:
    server = Server(thing("Deployment", "web", spec={"replicas": 2}, status=status))
    with pytest.raises(WaitTimeoutError, match="the end of apps/web"), stopped(server.kubectl, "deployments.apps", "web", "apps", within=0.01):
        raise AssertionError("the block must not run")
    assert server.objects["deployment", "apps", "web"]["spec"]["replicas"] == 2


@pytest.mark.parametrize(("kind", "strategy"), [("Deployment", {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}), ("DaemonSet", None)])
def test_what_finds_no_node_finds_one_again(kind: str, strategy: dict[str, Any] | None) -> None:
    spec = {"template": {"spec": {"nodeSelector": {"os": "linux"}}}} | ({"strategy": strategy} if strategy else {})
    server = Server(thing(kind, "web", spec=spec))
    with without_node(server.kubectl, f"{kind.lower()}s.apps", "web", "apps"):
        inside = server.objects[kind.lower(), "apps", "web"]["spec"]
        assert "plimsoll.example.com/nowhere" in inside["template"]["spec"]["nodeSelector"]
        assert inside.get("strategy", {}).get("type") == ("Recreate" if strategy else None)
    assert server.objects[kind.lower(), "apps", "web"]["spec"] == spec
