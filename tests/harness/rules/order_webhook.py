"""The bootstrap proof for admission: a webhook that fails closed answers before what it guards is applied (FLX202)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from harness.model import Severity, version_of
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.hlm_common import items, mapping, text
from harness.rules.order_api import applied, definitions
from harness.rules.order_needs import POD_TEMPLATES
from harness.rules.order_proof import before, missing_edge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Object

FLX: Final = Registry()

_CONFIGURATIONS: Final = ("MutatingWebhookConfiguration.admissionregistration.k8s.io", "ValidatingWebhookConfiguration.admissionregistration.k8s.io")
#: What Helm installs before webhook configurations: all kinds it knows. Kinds it does not know come last (helm pkg/release InstallOrder).
_AFTER_IN_HELM: Final = frozenset({"APIService"})


class Guard(NamedTuple):
    """One webhook that fails closed: what it matches, and the workloads that answer for it."""

    name: str
    holder: Object
    webhook: dict[str, Any]
    servers: tuple[Object, ...]


_guards: Final[WeakKeyDictionary[World, tuple[Guard, ...]]] = WeakKeyDictionary()


def guards(world: World) -> tuple[Guard, ...]:
    """The webhooks of a cluster with failurePolicy Fail (the default of v1) whose server is a workload of the cluster.

    Webhooks with matchConditions are left out: what they let through takes a request to know.
    """
    known = _guards.get(world)
    if known is None:
        known = _guards[world] = tuple(_guards_of(world))
    return known


def _guards_of(world: World) -> Iterator[Guard]:
    for configuration in world.of(*_CONFIGURATIONS):
        for entry in items(configuration.body.get("webhooks")):
            webhook = mapping(entry)
            servers = _servers(world, mapping(mapping(webhook.get("clientConfig")).get("service")))
            if servers and webhook.get("failurePolicy", "Fail") == "Fail" and not webhook.get("matchConditions"):
                yield Guard(text(webhook.get("name")), configuration, webhook, servers)


def _servers(world: World, reference: dict[str, Any]) -> tuple[Object, ...]:
    service = world.find("Service", text(reference.get("namespace")), text(reference.get("name")))
    selector = mapping(service.spec.get("selector")) if service is not None else {}
    if service is None or not selector:
        return ()
    return tuple(
        item
        for item in world.of(*(kind for kind in POD_TEMPLATES if kind not in {"Job.batch", "CronJob.batch"}))
        if item.namespace == service.namespace and selector.items() <= _pod_labels(item).items()
    )


def _pod_labels(item: Object) -> dict[str, Any]:
    return item.labels if item.kind == "Pod" else mapping(item.get("spec", "template", "metadata", "labels"))


@FLX.rule(
    "FLX202",
    title="what a fail-closed webhook guards is applied after the webhook's server is ready",
    why=(
        "while the server is not ready the API server refuses every object the webhook matches; kustomize-controller's dry run then fails for the whole "
        "Kustomization (Kubernetes: Dynamic Admission Control, Failure policy)"
    ),
    fix="let the object's Kustomization depend on the one with the webhook's server, which has wait: true",
    scope=Objects(where=applied),
    severity=Severity.WARNING,
    controls=("NIST-CP-10",),
)
def webhook_first(item: Object, world: World) -> Iterator[Violation]:
    for guard in guards(world):
        if _matches(world, guard.webhook, item) and not _applied_before(world, item, guard.holder):
            yield from _late(world, item, guard.servers, f"webhook {guard.name}")
    for crd in definitions(world).get(item.group_kind, ()):
        servers = _converters(world, crd, item)
        if servers and item.applier != crd.applier:
            yield from _late(world, item, servers, f"the conversion webhook of {crd.name}")


def _late(world: World, item: Object, servers: tuple[Object, ...], what: str) -> Iterator[Violation]:
    server = servers[0]
    if item.id == server.id:
        return
    proof = before(world, server, item)
    holds, reason = proof.holds, proof.reason
    if server.applier == item.applier or (server.applier is not None and server.applier in item.origin.chain):
        holds, reason = False, "it is applied in the same go as what it guards, and nothing waits until it is ready"
    if not holds:
        yield violation(
            item,
            "metadata",
            "name",
            found=f"{what} is answered by {server.kind} {server.namespace}/{server.name} of {server.applier}: {reason}",
            expect=missing_edge(server, item),
        )


def _applied_before(world: World, item: Object, configuration: Object) -> bool:
    """Whether an object is in the cluster before the webhook configuration is, so that its first apply is not asked."""
    above, own = configuration.applier, item.applier
    if above is None or own is None:
        return own is None and above is not None
    if own == above:
        return own.kind != "HelmRelease" or _is_late_hook(item) or (_known_to_helm(item) and item.kind not in _AFTER_IN_HELM)
    return own in configuration.origin.chain or own in world.order.waits_for(above)


def _is_late_hook(item: Object) -> bool:
    return any(hook.strip().startswith("post-") for hook in text(item.annotations.get("helm.sh/hook")).split(","))


def _known_to_helm(item: Object) -> bool:
    return item.id.group in {"", "apps", "batch", "autoscaling", "policy"} or item.id.group.endswith(".k8s.io")


def _converters(world: World, crd: Object, item: Object) -> tuple[Object, ...]:
    """The workloads that convert an object before it can be stored; none when it is written in the storage version."""
    conversion = mapping(crd.spec.get("conversion"))
    if conversion.get("strategy") != "Webhook":
        return ()
    stored = [text(mapping(version).get("name")) for version in items(crd.spec.get("versions")) if mapping(version).get("storage") is True]
    if version_of(item.api_version) in stored:
        return ()
    return _servers(world, mapping(mapping(mapping(conversion.get("webhook")).get("clientConfig")).get("service")))


def _matches(world: World, webhook: dict[str, Any], item: Object) -> bool:
    return (
        any(_rule_matches(world, mapping(rule), item) for rule in items(webhook.get("rules")))
        and selects(mapping(webhook.get("objectSelector")), item.labels)
        and (not (item.namespace or item.kind == "Namespace") or selects(mapping(webhook.get("namespaceSelector")), _namespace_labels(world, item)))
    )


def _rule_matches(world: World, rule: dict[str, Any], item: Object) -> bool:
    # The group first: it settles nearly every pair of a webhook and an object.
    groups = items(rule.get("apiGroups"))
    if item.id.group not in groups and "*" not in groups:
        return False
    operations = set(map(str, items(rule.get("operations"))))
    resources = {str(resource).partition("/")[0] for resource in items(rule.get("resources")) if "/" not in str(resource) or str(resource) == "*/*"}
    scope = rule.get("scope", "*")
    return bool(operations & {"CREATE", "*"} and resources & {_plural(world, item), "*"} and (scope == "*" or (scope == "Namespaced") == bool(item.namespace)))


def _namespace_labels(world: World, item: Object) -> dict[str, str]:
    name = item.name if item.kind == "Namespace" else item.namespace
    namespace = item if item.kind == "Namespace" else world.find("Namespace", "", name)
    return {"kubernetes.io/metadata.name": name, **(namespace.labels if namespace is not None else {})}


def _plural(world: World, item: Object) -> str:
    for crd in definitions(world).get(item.group_kind, ()):
        return text(crd.get("spec", "names", "plural"))
    return plural(item.kind)


def plural(kind: str) -> str:
    """The resource name of a built-in kind: English, as the API machinery guesses it (``meta.UnsafeGuessKindToResource``)."""
    word = kind.lower()
    if word == "endpoints":
        return word
    if word.endswith(("s", "x", "ch", "sh")):
        return f"{word}es"
    return f"{word[:-1]}ies" if word.endswith("y") and word[-2:-1] not in "aeiou" else f"{word}s"


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector (matchLabels, matchExpressions) selects labels; the empty one selects everything."""
    if not mapping(selector.get("matchLabels")).items() <= labels.items():
        return False
    return all(_expression(mapping(entry), labels) for entry in items(selector.get("matchExpressions")))


def _expression(entry: dict[str, Any], labels: dict[str, str]) -> bool:
    key, operator, values = text(entry.get("key")), text(entry.get("operator")), items(entry.get("values"))
    if operator == "In":
        return key in labels and labels[key] in values
    if operator == "NotIn":
        return key not in labels or labels[key] not in values
    if operator == "Exists":
        return key in labels
    return operator == "DoesNotExist" and key not in labels


RULES: Final = tuple(FLX.rules)
