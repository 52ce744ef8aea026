"""The sealing keys of a running cluster while a proof adds, loses or swaps them: copies are kept aside, and whatever happens the cluster ends with its own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from harness.live.bootstrap.base import condition
from harness.live.bootstrap.sealing import CONTROLLER, LABEL, NAMESPACE, Pair, keys_of, restore
from harness.live.reach.wait import Clock, wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from harness.live.bootstrap.base import Journal
    from harness.live.reach.kubectl import Kubectl

#: The Secret with the copies: one for all of them, so that it is there whole or not at all. Without the label of what may be thrown away.
KEPT: Final = "kept-sealing-keys"
_FILES: Final = ("tls.crt", "tls.key")
_SECONDS: Final = 90.0


@contextmanager
def kept_aside(kubectl: Kubectl, *, clock: Clock | None = None) -> Iterator[list[Pair]]:
    """The cluster's keys, with a copy of each beside them for as long as the block lasts. At the end the cluster has these keys and no others."""
    recover(kubectl, clock=clock)
    data = {f"{secret['metadata']['name']}.{file}": secret["data"][file] for secret in _secrets(kubectl) for file in _FILES}
    kubectl.apply([{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": KEPT, "namespace": NAMESPACE}, "data": data}])
    try:
        yield keys_of(kubectl)
    finally:
        recover(kubectl, clock=clock)


def recover(kubectl: Kubectl, *, clock: Clock | None = None) -> list[str]:
    """Give the cluster the keys back that an interrupted proof kept aside, and take away what it added. Returns one line for each; none: nothing was left."""
    kept = kubectl.get("secret", KEPT, NAMESPACE)
    if kept is None:
        return []
    said = []
    own: dict[str, dict[str, str]] = {}
    for key, value in kept["data"].items():
        name, file = next((key.removesuffix(f".{file}"), file) for file in _FILES if key.endswith(f".{file}"))
        own.setdefault(name, {})[file] = value
    there = {str(secret["metadata"]["name"]): secret for secret in _secrets(kubectl)}
    for name, data in own.items():
        if there.get(name, {}).get("data") != data:
            metadata = {"name": name, "namespace": NAMESPACE, "labels": {LABEL: "active"}}
            kubectl.apply([{"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": metadata, "data": data}])
            said.append(f"Secret/{NAMESPACE}/{name}: brought back")
    for name in there.keys() - own.keys():
        kubectl.delete("secret", name, NAMESPACE)
        said.append(f"Secret/{NAMESPACE}/{name}: removed")
    if said:
        restart(kubectl, clock=clock)
    kubectl.delete("secret", KEPT, NAMESPACE)
    return said


def restart(kubectl: Kubectl, *, clock: Clock | None = None) -> None:
    """Have the controller read its keys anew, and wait until it has."""
    kubectl("delete", "pods", f"--namespace={NAMESPACE}", f"--selector={CONTROLLER}", "--wait=false")
    settled(kubectl, clock=clock)


def settled(kubectl: Kubectl, *, clock: Clock | None = None) -> None:
    """Wait until a controller that is not going away is ready, and none that goes away is left."""

    def pods() -> list[dict[str, Any]]:
        return kubectl.list("pods", namespace=NAMESPACE, selector=CONTROLLER)

    def ready() -> bool:
        found = pods()
        return bool(found) and all("deletionTimestamp" not in pod["metadata"] and condition(pod)[0] == "True" for pod in found)

    def status() -> str:
        return "; ".join(f"{pod['metadata']['name']}: Ready {condition(pod)[0] or 'unknown'}" for pod in pods()) or "no controller"

    wait(ready, timeout=_SECONDS, status=status, what="the Sealed Secrets controller to start", clock=clock)


@contextmanager
def lost(kubectl: Kubectl, other: Pair, back: Callable[[], Iterable[Pair]], journal: Journal, *, clock: Clock | None = None) -> Iterator[None]:
    """A controller that has another key and none of the cluster's. At the end come those that ``back`` gives, as after a disaster."""
    for secret in _secrets(kubectl):
        kubectl.delete("secret", secret["metadata"]["name"], NAMESPACE)
    # Without any key the controller would make one of its own, under a name that nobody knows.
    restore(kubectl, [other], journal)
    settled(kubectl, clock=clock)
    try:
        yield
    finally:
        restore(kubectl, back(), journal)
        settled(kubectl, clock=clock)


def _secrets(kubectl: Kubectl) -> list[dict[str, Any]]:
    return kubectl.list("secrets", namespace=NAMESPACE, selector=f"{LABEL}=active")
