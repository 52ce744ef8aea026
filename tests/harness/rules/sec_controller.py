"""Rules about what NGINX Ingress Controller accepts, and what it must be able to read to start at all (SEC614, SEC615)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from harness.model.shapes import items, mapping, text
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.tls_view import classes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.engines.certificates.controllers import Controller
    from harness.flux.world import World
    from harness.model import Link, Object

SEC: Final = Registry()

#: NGINX Ingress Controller 5.5, pkg/apis/configuration/validation/policy.go: what it takes as a rate, and variables with braces alone.
_RATE: Final = re.compile(r"^[1-9][0-9]*r/[sSmM]$")
_BARE: Final = re.compile(r"\$(?!\{)\w*")
_BINDING: Final = "RoleBinding.rbac.authorization.k8s.io"


@SEC.rule(
    "SEC614",
    title="every rate limit is one that the ingress controller accepts",
    why="a Policy that the controller rejects makes it answer every request of the hosts that name the Policy with 500, and only its status says so",
    fix="write variables of the key in braces (in Flux's files ${...} is written $${...}), and the rate as 20r/s or 300r/m",
    scope=Objects(("Policy.k8s.nginx.org",)),
    controls=("NIST-CM-6", "NIST-SC-5"),
)
def accepted_limit(item: Object, _world: World) -> Iterator[Violation]:
    limit = mapping(item.spec.get("rateLimit"))
    if not limit:
        return
    bare = _BARE.search(text(limit.get("key")))
    if bare is not None:
        yield violation(item, "spec", "rateLimit", "key", found=f"{bare[0]} without braces", expect=f"${{{bare[0][1:] or 'binary_remote_addr'}}}")
    if not _RATE.match(text(limit.get("rate"))):
        yield violation(item, "spec", "rateLimit", "rate", found=f"the rate {limit.get('rate')}", expect="a number, then r/s or r/m")


@SEC.rule(
    "SEC615",
    title="the ingress controller may read in every namespace that it watches before it starts",
    why="it is ready only when it could list everything in every namespace with its label: one where it may not stops all of them, at the next start of a pod",
    fix="apply the RoleBinding together with the label or before it, by something that does not wait for the controller",
    scope=Objects(("Namespace",)),
    controls=("NIST-CM-6", "NIST-CP-10"),
)
def may_read_where_it_watches(item: Object, world: World) -> Iterator[Violation]:
    for controller in world.derive(classes).controllers:
        name, _, value = controller.arguments.get("watch-namespace-label", "").partition("=")
        if not name or item.labels.get(name) != value:
            continue
        bindings = [binding for binding in world.of(_BINDING) if binding.namespace == item.name and _binds(binding, controller)]
        account = f"{controller.pod.namespace}/{controller.pod.service_account}"
        if not bindings:
            yield violation(item, "metadata", "labels", name, found=f"no RoleBinding for {account}, which watches namespaces with this label", expect="one")
        elif all(_comes_after(binding, item, controller, world) for binding in bindings):
            found = f"{bindings[0].applier} gives {account} its RoleBinding here, and waits for the controller, which waits for the RoleBinding"
            yield violation(item, "metadata", "labels", name, found=found, expect="a RoleBinding that waits for nothing of the controller")


def _binds(binding: Object, controller: Controller) -> bool:
    subjects = [mapping(entry) for entry in items(binding.body.get("subjects"))]
    wanted = (controller.pod.service_account, controller.pod.namespace)
    return any(entry.get("kind") == "ServiceAccount" and (entry.get("name"), entry.get("namespace")) == wanted for entry in subjects)


def _comes_after(binding: Object, namespace: Object, controller: Controller, world: World) -> bool:
    """Whether a RoleBinding is applied only when the controller is ready, while the label is there without it."""
    makers = _chain(controller.pod.object)
    if binding.applier is None or not makers & world.order.waits_for(binding.applier):
        return False
    return namespace.applier is None or not makers & world.order.waits_for(namespace.applier)


def _chain(item: Object) -> frozenset[Link]:
    return frozenset(item.origin.chain[-2:])


RULES: Final = tuple(SEC.rules)
