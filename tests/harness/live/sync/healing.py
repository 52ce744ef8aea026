"""Doing harm to objects that Flux applies, and seeing whether it mends them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from harness.live.faults import kind_of, maker, reverse
from harness.live.reach.kubectl import inside
from harness.live.reach.run import RunError
from harness.live.reach.wait import Clock, Waiter, WaitTimeoutError
from harness.live.sync.reconcile import ask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.live.reach.kubectl import Kubectl
    from harness.live.sync.readiness import Key
    from harness.model import Object

#: The value that takes the place of another one.
TAMPERED: Final = "tampered"


def applier_of(item: Object) -> Key:
    """What of Flux applies an object. Raises ValueError for one that nothing applies."""
    found = maker(item)
    if not found:
        raise ValueError(f"{item.id}: nothing applies it")
    return found[0]


def tampering(item: Object) -> dict[str, Any]:
    """A merge patch that changes something that Git says of an object: a value of a ConfigMap or a quota, else a label.

    Raises ValueError for an object that says nothing of the kind.
    """
    data, hard = item.get("data"), item.get("spec", "hard")
    if isinstance(data, dict) and data:
        return {"data": {min(data): TAMPERED}}
    if isinstance(hard, dict) and hard:
        return {"spec": {"hard": {min(hard): "1"}}}
    if item.labels:
        return {"metadata": {"labels": {min(item.labels): TAMPERED}}}
    raise ValueError(f"{item.id}: there is nothing to change")


def comes_back_changed(kubectl: Kubectl, item: Object, *, patience: float, clock: Clock | None = None) -> str:
    """Change an object by hand, ask Flux to look, and say what is still not as it is in Git after ``patience`` seconds; empty when all is."""
    patch = tampering(item)
    kubectl("patch", kind_of(item.body), item.name, *inside(item.namespace), "--type=merge", f"--patch={json.dumps(patch)}")
    return _comes_back(kubectl, item, patch, patience, clock)


def comes_back_deleted(kubectl: Kubectl, item: Object, *, patience: float, clock: Clock | None = None) -> str:
    """Delete an object by hand, ask Flux to look, and say what is missing after ``patience`` seconds; empty when it is there again."""
    kubectl.delete(kind_of(item.body), item.name, item.namespace)
    return _comes_back(kubectl, item, tampering(item), patience, clock)


def _comes_back(kubectl: Kubectl, item: Object, patch: Mapping[str, Any], patience: float, clock: Clock | None) -> str:
    ask(kubectl, applier_of(item))
    wanted = reverse(patch, item.body)

    def look() -> str:
        there = kubectl.get(kind_of(item.body), item.name, item.namespace)
        if there is None:
            return f"{item.kind} {item.name} is gone"
        found = reverse(patch, there)
        return "" if found == wanted else f"{item.kind} {item.name} has {json.dumps(found)}, Git has {json.dumps(wanted)}"

    waiter: Waiter[str] = Waiter(look, lambda seen: seen or "as in Git", clock=clock or Clock())
    try:
        return waiter.wait(lambda seen: not seen, successes=1, timeout=patience)
    except WaitTimeoutError as error:
        return error.status
    except RunError as error:
        return error.reason
