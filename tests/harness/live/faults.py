"""Faults and temporary objects: each is a block that leaves the cluster as it found it, whatever happens inside.

Flux mends what it applies, so a fault on one of its objects suspends what reconciles that object for as long as it lasts. Everything temporary carries a label,
and what is suspended an annotation, so that a run finds and removes what an interrupted one left.
"""

from __future__ import annotations

import copy
import json
import secrets
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.live.reach.kubectl import MANAGER, inside
from harness.live.reach.run import RunError
from harness.live.reach.wait import Waiter
from harness.live.sync.readiness import KINDS, Key
from harness.live.sync.reconcile import REQUESTED, look, plural, quiet, said

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from harness.live.reach.kubectl import Kubectl
    from harness.model import Object

#: The annotation with which a protected namespace says that it may be deleted (policies/lifecycle).
ALLOW_DELETION: Final = "plimsoll.io/allow-deletion"
#: The label of what exists only while a proof runs.
LABEL: Final = "plimsoll.example.com/proof"
#: The annotation of what is suspended only while a proof runs.
SUSPENDED: Final = "plimsoll.example.com/suspended"
#: The kinds of what proofs make for as long as they run, what others are in or stand on last.
TEMPORARY: Final = (
    KINDS[0],
    KINDS[2],
    "certificates.cert-manager.io",
    "issuers.cert-manager.io",
    "clusterissuers.cert-manager.io",
    "certificatesigningrequests.certificates.k8s.io",
    "sealedsecrets.bitnami.com",
    "vaultstaticsecrets.secrets.hashicorp.com",
    "vaultdynamicsecrets.secrets.hashicorp.com",
    "vaultconnections.secrets.hashicorp.com",
    "prometheusrules.monitoring.coreos.com",
    "servicemonitors.monitoring.coreos.com",
    "podmonitors.monitoring.coreos.com",
    "thanosrulers.monitoring.coreos.com",
    "validatingpolicies.policies.kyverno.io",
    "policyexceptions.policies.kyverno.io",
    "policies.k8s.nginx.org",
    "ipaddresspools.metallb.io",
    "ingresses.networking.k8s.io",
    "networkpolicies.networking.k8s.io",
    "jobs.batch",
    "deployments.apps",
    "pods",
    "services",
    "events",
    "configmaps",
    "secrets",
    "rolebindings.rbac.authorization.k8s.io",
    "roles.rbac.authorization.k8s.io",
    "clusterrolebindings.rbac.authorization.k8s.io",
    "clusterroles.rbac.authorization.k8s.io",
    "serviceaccounts",
    "resourcequotas",
    "namespaces",
)
#: Where it is written down how to take back what is changed.
_RECORD: Final = ("configmaps", "plimsoll-proof-undo", "--namespace=kube-system")
#: Seconds that Flux may be at work on something before it can be suspended.
_QUIET: Final = 180.0
#: How many blocks hold something suspended.
_HELD: Final[Counter[Key]] = Counter()
_LOCK: Final = threading.Lock()
_SERVER_FIELDS: Final = ("resourceVersion", "uid", "creationTimestamp", "generation", "managedFields", "deletionTimestamp", "selfLink")


@contextmanager
def suspended(kubectl: Kubectl, *keys: Key) -> Iterator[None]:
    """Flux leaves what some Kustomizations and HelmReleases make alone. They are resumed, and asked to look now, at the end.

    Blocks that overlap in several threads may name the same ones: the last to end resumes.

    Raises:
        WaitError: Flux is at work on one of them all the time.
    """
    with ExitStack() as stack:
        for key in keys:
            # Suspending does not stop what has begun, and that would mend what is broken next.
            _until_quiet(kubectl, key)
            stack.enter_context(_suspended(kubectl, key))
            _until_quiet(kubectl, key)
        yield


def _until_quiet(kubectl: Kubectl, key: Key) -> None:
    Waiter(lambda: look(kubectl, key), said).wait(quiet, successes=1, timeout=_QUIET, delay=0.5, what=f"Flux to be done with {key}")


@contextmanager
def _suspended(kubectl: Kubectl, key: Key) -> Iterator[None]:
    with _LOCK:
        if not _HELD[key]:
            _merge(kubectl, key, {"metadata": {"annotations": {SUSPENDED: "true"}}, "spec": {"suspend": True}})
        _HELD[key] += 1
    try:
        yield
    finally:
        with _LOCK:
            _HELD[key] -= 1
            if not _HELD[key]:
                resume(kubectl, key)


def resume(kubectl: Kubectl, key: Key) -> None:
    """Let Flux reconcile an object again, now. One that is gone: fine."""
    if kubectl.get(plural(key.kind), key.name, key.namespace) is None:
        return
    now = {SUSPENDED: None, REQUESTED: str(time.time_ns())}
    _merge(kubectl, key, {"metadata": {"annotations": now}, "spec": {"suspend": None}})


def maker(item: Object) -> list[Key]:
    """What of Flux has to be suspended so that an object of a cluster's build can be changed: what applies it, at most one.

    What applies that one in turn does not own its ``spec.suspend``, so it leaves it alone (server-side apply).
    """
    applier = item.applier
    return [Key(applier.kind, applier.namespace, applier.name)] if applier is not None else []


@contextmanager
def patched(kubectl: Kubectl, kind: str, name: str, namespace: str, patch: Mapping[str, Any], *, suspending: Iterable[Key] = ()) -> Iterator[None]:
    """An object with a merge patch on it. At the end the fields that the patch names are as before."""
    with suspended(kubectl, *suspending):
        undo = Undo(kind, name, namespace, reverse(patch, kubectl.json("get", kind, name, *inside(namespace))))
        key = f"{secrets.token_hex(8)}.json"
        # What is in a Secret is nothing for a ConfigMap; its values are sealed anew in every run.
        kept = kind != "secrets"
        if kept:
            _record(kubectl, {key: json.dumps(undo._asdict())})
        try:
            kubectl("patch", kind, name, *inside(namespace), "--type=merge", f"--patch={json.dumps(patch)}")
            yield
        finally:
            undo.apply(kubectl)
            if kept:
                _record(kubectl, {key: None})


class Undo(NamedTuple):
    """What takes a change back: the merge patch of an object."""

    kind: str
    name: str
    namespace: str
    patch: dict[str, Any]

    def apply(self, kubectl: Kubectl) -> None:
        """Take it back. Raises RunError."""
        kubectl("patch", self.kind, self.name, *inside(self.namespace), "--type=merge", f"--patch={json.dumps(self.patch)}")


def _record(kubectl: Kubectl, data: Mapping[str, str | None]) -> None:
    """Write down in the cluster what is to be taken back, or that it was: a run that is killed cannot do it, and Flux mends only the fields that it applies."""
    patching = ("patch", *_RECORD, "--type=merge", f"--patch={json.dumps({'data': data})}")
    try:
        kubectl(*patching)
    except RunError as error:
        if "(NotFound)" not in error.stderr:
            raise
        name, namespace = _RECORD[1], _RECORD[2].partition("=")[2]
        kubectl.apply([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}}])
        kubectl(*patching)


@contextmanager
def scaled(kubectl: Kubectl, kind: str, name: str, namespace: str, replicas: int = 0, *, suspending: Iterable[Key] = ()) -> Iterator[None]:
    """A Deployment or StatefulSet with another number of replicas."""
    with patched(kubectl, kind, name, namespace, {"spec": {"replicas": replicas}}, suspending=suspending):
        yield


def without_node(kubectl: Kubectl, kind: str, name: str, namespace: str, *, suspending: Iterable[Key] = ()) -> AbstractContextManager[None]:
    """A Deployment or DaemonSet that finds no node: its pods go, and it wants as many as before."""
    spec: dict[str, Any] = {"template": {"spec": {"nodeSelector": {"plimsoll.example.com/nowhere": "true"}}}}
    if kind == "deployments.apps":
        # Else the old pod stays until a new one runs.
        spec["strategy"] = {"type": "Recreate", "rollingUpdate": None}
    return patched(kubectl, kind, name, namespace, {"spec": spec}, suspending=suspending)


@contextmanager
def stopped(kubectl: Kubectl, kind: str, name: str, namespace: str, *, suspending: Iterable[Key] = (), within: float = 180) -> Iterator[None]:
    """A Deployment or StatefulSet without a single pod, also none that is on its way out. It is back in full at the end, unless the block failed.

    Raises:
        WaitError: its pods do not end, or do not come back, ``within`` that many seconds.
    """

    def body() -> Mapping[str, Any]:
        return kubectl.json("get", kind, name, *inside(namespace))

    def gone(found: Mapping[str, Any]) -> bool:
        return not (found["status"].get("replicas") or found["status"].get("terminatingReplicas"))

    def back(found: Mapping[str, Any]) -> bool:
        return bool(found["status"].get("availableReplicas") == found["spec"].get("replicas"))

    status: Waiter[Mapping[str, Any]] = Waiter(body, lambda found: str(found["status"]))
    with scaled(kubectl, kind, name, namespace, suspending=suspending):
        status.wait(gone, successes=1, timeout=within, what=f"the end of {namespace}/{name}")
        yield
    status.wait(back, successes=1, timeout=within, what=f"the return of {namespace}/{name}")


@contextmanager
def deleted(kubectl: Kubectl, kind: str, name: str, namespace: str, *, suspending: Iterable[Key] = ()) -> Iterator[None]:
    """The cluster without an object, which is made again at the end unless somebody else has."""
    with suspended(kubectl, *suspending):
        before = kubectl.json("get", kind, name, *inside(namespace))
        try:
            kubectl.delete(kind, name, namespace)
            yield
        finally:
            if kubectl.get(kind, name, namespace) is None:
                try:
                    kubectl("create", "--filename=-", stdin=json.dumps(bare(before)))
                except RunError as error:
                    # Flux was quicker.
                    if "(AlreadyExists)" not in error.stderr:
                        raise


@contextmanager
def applied(kubectl: Kubectl, *objects: Mapping[str, Any], timeout: float = 60) -> Iterator[None]:
    """The cluster with some objects more. They get the label of what is temporary, and are gone at the end."""
    marked = [marked_as_temporary(item) for item in objects]
    try:
        kubectl.apply(marked)
        yield
    finally:
        # In the reverse order, so that a namespace goes last.
        for item in reversed(marked):
            kubectl.delete(kind_of(item), item["metadata"]["name"], str(item["metadata"].get("namespace") or ""), timeout=timeout)


def marked_as_temporary(item: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of an object with the label of what exists only while a proof runs."""
    body = copy.deepcopy(dict(item))
    metadata = body.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), LABEL: "true"}
    return body


def reverse(patch: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch (RFC 7386) that takes another one back from what it was laid on."""
    found: dict[str, Any] = {}
    for key, value in patch.items():
        there = before.get(key)
        if isinstance(value, dict) and isinstance(there, dict):
            found[key] = reverse(value, there)
        else:
            found[key] = there
    return found


def bare(body: Mapping[str, Any]) -> dict[str, Any]:
    """An object as somebody would create it: without what the server decides."""
    found = {key: value for key, value in body.items() if key != "status"}
    found["metadata"] = {key: value for key, value in body["metadata"].items() if key not in _SERVER_FIELDS}
    return found


def leftovers(kubectl: Kubectl, kinds: Iterable[str]) -> list[str]:
    """Remove what interrupted proofs left of some kinds, and resume what they suspended. Returns one line for each."""
    said = []
    for key, text in ((kubectl.get("configmaps", _RECORD[1], "kube-system") or {}).get("data") or {}).items():
        undo = Undo(**json.loads(text))
        if kubectl.get(undo.kind, undo.name, undo.namespace) is not None:
            undo.apply(kubectl)
            said.append(f"{undo.kind}/{undo.namespace}/{undo.name}: changed back")
        _record(kubectl, {key: None})
    for item in kubectl.list(*KINDS[:2]):
        metadata = item["metadata"]
        if SUSPENDED in (metadata.get("annotations") or {}):
            key = Key(item["kind"], metadata["namespace"], metadata["name"])
            resume(kubectl, key)
            said.append(f"{key}: resumed")
    found = kubectl.list(*kinds, selector=LABEL)
    going = {item["metadata"]["name"] for item in found if item["kind"] == "Namespace"}
    for item in found:
        metadata = item["metadata"]
        home = str(metadata.get("namespace") or "")
        if metadata.get("finalizers") and item["kind"] == "Pod":
            _patch(kubectl, item, {"metadata": {"finalizers": None}})
        elif home in going:
            # Policies keep people from taking some of it away by itself; with its namespace it goes.
            continue
        if item["kind"] == "Namespace":
            _patch(kubectl, item, {"metadata": {"annotations": {ALLOW_DELETION: metadata["name"]}}})
        kubectl.delete(kind_of(item), metadata["name"], home)
        said.append(f"{item['kind']}/{home}/{metadata['name']}: removed")
    return said


def _patch(kubectl: Kubectl, item: Mapping[str, Any], patch: Mapping[str, Any]) -> None:
    metadata = item["metadata"]
    kubectl("patch", kind_of(item), metadata["name"], *inside(str(metadata.get("namespace") or "")), "--type=merge", f"--patch={json.dumps(patch)}")


def kind_of(item: Mapping[str, Any]) -> str:
    """The kind with its group, as kubectl takes it."""
    group, _, version = str(item["apiVersion"]).rpartition("/")
    return f"{item['kind']}.{version}.{group}" if group else str(item["kind"])


def _merge(kubectl: Kubectl, key: Key, patch: Mapping[str, Any]) -> None:
    # Not as kubectl, which is what it would call itself: what applies the object takes that back (fluxcd/pkg ssa, PatchRemoveFieldsManagers).
    patching = ("--type=merge", f"--field-manager={MANAGER}", f"--patch={json.dumps(patch)}")
    kubectl("patch", plural(key.kind), key.name, *inside(key.namespace), *patching)
