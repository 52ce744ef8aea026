"""Rules about alerts, providers and receivers (FLX501 to FLX510)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from harness.model import Severity
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.flx_common import (
    ALERT,
    PROVIDER,
    RECEIVER,
    blind,
    entries,
    items,
    mapping,
    name_of,
    once,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Object

FLX: Final = Registry()

_PROVIDERS: Final = "fluxcd/notification-controller docs/spec/v1beta3/providers.md"
_ALERTS: Final = "fluxcd/notification-controller docs/spec/v1beta3/alerts.md"
_RECEIVERS: Final = "fluxcd/notification-controller docs/spec/v1/receivers.md"

#: The kinds that alerts and receivers may name, as notification-controller's defaultFluxAPIVersions has them.
_KINDS: Final = {
    "Bucket": "source.toolkit.fluxcd.io",
    "GitRepository": "source.toolkit.fluxcd.io",
    "HelmChart": "source.toolkit.fluxcd.io",
    "HelmRelease": "helm.toolkit.fluxcd.io",
    "HelmRepository": "source.toolkit.fluxcd.io",
    "ImagePolicy": "image.toolkit.fluxcd.io",
    "ImageRepository": "image.toolkit.fluxcd.io",
    "ImageUpdateAutomation": "image.toolkit.fluxcd.io",
    "Kustomization": "kustomize.toolkit.fluxcd.io",
    "OCIRepository": "source.toolkit.fluxcd.io",
}

#: What each type needs, from the constructors in internal/notifier: those without address, with channel, with a token.
_NO_ADDRESS: Final = frozenset({"telegram"})
_CHANNEL: Final = frozenset({"googlepubsub", "nats", "pagerduty", "telegram", "webex", "zulip"})
_TOKEN: Final = frozenset(
    {
        "bitbucket",
        "bitbucketserver",
        "datadog",
        "generic-hmac",
        "gitea",
        "giteapullrequestcomment",
        "github",
        "githubdispatch",
        "githubpullrequestcomment",
        "gitlab",
        "gitlabmergerequestcomment",
        "incident.io",
        "matrix",
        "opsgenie",
        "telegram",
        "webex",
        "zoom",
        "zulip",
    }
)
#: Addresses whose path is itself the credential.
_SECRET_ADDRESS: Final = re.compile(
    r"hooks\.slack\.com/services/|discord(?:app)?\.com/api/webhooks/|\.webhook\.office\.com/|chat\.googleapis\.com/.*[?&]token=|"
    r"open\.(?:larksuite|feishu)\.\w+/open-apis/bot/|://[^/@\s]+:[^/@\s]+@|api\.telegram\.org/bot"
)


@FLX.rule(
    "FLX501",
    title="an Alert's Provider exists beside it",
    why=f"providerRef is looked up in the Alert's own namespace; without the Provider no event is ever sent ({_ALERTS}, Provider reference)",
    fix="correct providerRef.name, or add the Provider to the namespace of the Alert",
    scope=Objects((ALERT,)),
    controls=("NIST-IR-6", "NIST-AU-5"),
)
def provider_exists(alert: Object, world: World) -> Iterator[Violation]:
    name = name_of(alert.spec.get("providerRef"))
    provider = world.find(PROVIDER, alert.namespace, name)
    if provider is None and not blind(world, alert.namespace):
        found = f"providerRef {name or '(none)'}, and namespace {alert.namespace} has no such Provider"
        yield violation(alert, "spec", "providerRef", found=found, expect=f"a Provider in namespace {alert.namespace}")
    elif provider is not None and provider.spec.get("suspend") is True:
        yield violation(alert, "spec", "providerRef", found=f"Provider {name} is suspended", expect="a Provider that sends")


def _names_something(entry: dict[str, object], owner: Object, world: World) -> bool:
    kind, name = text(entry.get("kind")), text(entry.get("name"))
    namespace = text(entry.get("namespace")) or owner.namespace
    group = text(entry.get("apiVersion")).rpartition("/")[0] or _KINDS.get(kind, "")
    full = f"{kind}.{group}"
    if name not in {"*", ""}:
        return world.find(full, namespace, name) is not None
    labels = mapping(entry.get("matchLabels"))
    return any(item.namespace == namespace and all(item.labels.get(key) == value for key, value in labels.items()) for item in world.of(full))


@FLX.rule(
    "FLX502",
    title="an Alert listens to something: every event source that names an object names one of the cluster, and some source matches",
    why=f"an event source that matches nothing never fires, and nobody notices until the incident ({_ALERTS}, Event sources)",
    fix="correct kind, name and namespace (without namespace it is the Alert's own), or delete the entry",
    scope=Objects((ALERT,)),
    severity=Severity.WARNING,
    controls=("NIST-IR-6", "NIST-AU-5"),
)
def listens_to_something(alert: Object, world: World) -> Iterator[Violation]:
    if not items(alert.spec.get("eventSources")):
        yield violation(alert, "spec", found="no event source", expect="at least one event source")
    unmatched = [
        (index, entry)
        for index, entry in entries(alert.spec.get("eventSources"))
        if not _names_something(entry, alert, world) and not blind(world, text(entry.get("namespace")) or alert.namespace)
    ]
    deaf = len(unmatched) == len(items(alert.spec.get("eventSources")))
    for index, entry in unmatched:
        # A wildcard may be there for what comes later, and controllers make HelmCharts. But an Alert that hears nothing at all,
        # while objects of that kind report to nobody, stands in the wrong namespace.
        if entry.get("name") != "*" or (deaf and text(entry.get("kind")) in _unheard(world)):
            where = f"{text(entry.get('namespace')) or alert.namespace}/{entry.get('name')}"
            found = f"event source {entry.get('kind')} {where} matches nothing in the cluster"
            yield violation(alert, "spec", "eventSources", index, found=found, expect="an object that sends events")


@once
def _unheard(world: World) -> frozenset[str]:
    """The kinds of which some namespace has objects that no Alert listens to."""
    heard = {
        (text(entry.get("kind")), text(entry.get("namespace")) or alert.namespace)
        for alert in world.of(ALERT)
        for _, entry in entries(alert.spec.get("eventSources"))
    }
    return frozenset(kind for kind, group in _KINDS.items() for item in world.of(f"{kind}.{group}") if (kind, item.namespace) not in heard)


@FLX.rule(
    "FLX503",
    title="a Provider has what its type needs",
    why=f"without address, channel or token the notifier cannot be made: every event is dropped with an error in the log ({_PROVIDERS}; internal/notifier)",
    fix="add address, channel or secretRef as the documentation of the type says",
    scope=Objects((PROVIDER,)),
    controls=("NIST-IR-6",),
)
def provider_is_complete(provider: Object, world: World) -> Iterator[Violation]:
    kind = text(provider.spec.get("type"))
    has_secret = bool(name_of(provider.spec.get("secretRef")))
    if kind not in _NO_ADDRESS and not provider.spec.get("address") and not has_secret:
        yield violation(provider, "spec", found=f"type {kind} with neither address nor secretRef", expect="an address, or a Secret with one")
    if kind in _CHANNEL and not provider.spec.get("channel"):
        yield violation(provider, "spec", found=f"type {kind} without channel", expect="a channel")
    if kind in _TOKEN and not has_secret:
        yield violation(provider, "spec", found=f"type {kind} without secretRef", expect="a Secret with the token")


@FLX.rule(
    "FLX504",
    title="notification objects use no deprecated field",
    why=f"spec.proxy, spec.summary and a Provider's spec.interval go away in the v1 API; interval does nothing already ({_PROVIDERS}; {_ALERTS})",
    fix="use proxySecretRef for proxy, eventMetadata.summary for summary, and delete interval",
    scope=Objects((ALERT, PROVIDER)),
    severity=Severity.WARNING,
)
def no_deprecated_field(item: Object, world: World) -> Iterator[Violation]:
    fields = {"summary": "spec.eventMetadata.summary"} if item.kind == "Alert" else {"interval": "no interval", "proxy": "spec.proxySecretRef"}
    for field, instead in fields.items():
        if field in item.spec:
            yield violation(item, "spec", field, found=f"deprecated spec.{field}", expect=instead)


@FLX.rule(
    "FLX505",
    title="a Provider's credentials are not in its address",
    why=f"whoever has the address of such a webhook can post as this cluster; it belongs into the Secret of secretRef, key address ({_PROVIDERS}, Address)",
    fix="move the address into a sealed Secret and name it in secretRef; then revoke the old webhook",
    scope=Objects((PROVIDER,)),
    controls=("NIST-IA-5",),
)
def address_is_no_credential(provider: Object, world: World) -> Iterator[Violation]:
    address = text(provider.spec.get("address"))
    if _SECRET_ADDRESS.search(address) and not world.is_unknown(address):
        yield violation(provider, "spec", "address", found=f"the address of type {provider.spec.get('type')} is itself a credential", expect="secretRef")


@FLX.rule(
    "FLX506",
    title="a Receiver names its Secret and what it triggers",
    why=f"every type but generic-oidc salts its path with the Secret's token; without resources a call triggers nothing ({_RECEIVERS})",
    fix="add secretRef and resources",
    scope=Objects((RECEIVER,)),
    controls=("NIST-IA-3",),
)
def receiver_is_complete(receiver: Object, world: World) -> Iterator[Violation]:
    is_oidc = receiver.spec.get("type") == "generic-oidc"
    if not is_oidc and not name_of(receiver.spec.get("secretRef")):
        yield violation(receiver, "spec", found=f"type {receiver.spec.get('type')} without secretRef", expect="a Secret with a token")
    if not items(receiver.spec.get("resources")):
        yield violation(receiver, "spec", found="no resources", expect="at least one resource to reconcile")
    for index, entry in entries(receiver.spec.get("resources")):
        kind = text(entry.get("kind"))
        if kind not in _KINDS and not text(entry.get("apiVersion")):
            found = f"resource kind {kind} without apiVersion"
            yield violation(receiver, "spec", "resources", index, found=found, expect="the apiVersion of a kind that is not Flux's own")
        if mapping(entry.get("matchLabels")) and entry.get("name") != "*":
            found = f"matchLabels with name {entry.get('name')}"
            yield violation(receiver, "spec", "resources", index, found=found, expect="name: '*' with matchLabels")


@FLX.rule(
    "FLX507",
    title="a Receiver triggers objects that exist",
    why="a webhook for an object that is not there fails with every call, and changes wait for the interval",
    fix="correct kind, name and namespace of the resource",
    scope=Objects((RECEIVER,)),
    severity=Severity.WARNING,
)
def triggers_something(receiver: Object, world: World) -> Iterator[Violation]:
    for index, entry in entries(receiver.spec.get("resources")):
        namespace = text(entry.get("namespace")) or receiver.namespace
        if (
            text(entry.get("kind")) in _KINDS
            and not _names_something(entry, receiver, world)
            and not blind(world, namespace)
            and not _is_sync(entry, namespace, world)
        ):
            found = f"resource {entry.get('kind')} {namespace}/{entry.get('name')} matches nothing in the cluster"
            yield violation(receiver, "spec", "resources", index, found=found, expect="an object to reconcile")


def _is_sync(entry: dict[str, object], namespace: str, world: World) -> bool:
    """The source of the sync may be made by bootstrap."""
    sync = world.cluster.sync
    reference = mapping(sync.spec.get("sourceRef")) if sync is not None else {}
    wanted = (reference.get("kind"), reference.get("name"), text(reference.get("namespace")) or (sync.namespace if sync is not None else ""))
    return (entry.get("kind"), entry.get("name"), namespace) == wanted


@FLX.rule(
    "FLX508",
    title="a Receiver checks who calls",
    why=f"type generic accepts any caller who knows the path: no signature, no origin ({_RECEIVERS}, Generic)",
    fix="use generic-hmac, the type of your Git host, or generic-oidc",
    scope=Objects((RECEIVER,)),
    severity=Severity.WARNING,
    controls=("NIST-IA-3",),
)
def checks_its_caller(receiver: Object, world: World) -> Iterator[Violation]:
    if receiver.spec.get("type") == "generic":
        yield violation(receiver, "spec", "type", found="type: generic", expect="a type that verifies the payload")


@FLX.rule(
    "FLX509",
    title="an Alert whose Provider keeps incidents lets their end through",
    why=f"alertmanager and incident.io resolve by an info event; with eventSeverity: error the incident stays open ({_PROVIDERS}, incident.io)",
    fix="set eventSeverity: info, and exclude noise with exclusionList",
    scope=Objects((ALERT,)),
    severity=Severity.NOTE,
)
def incidents_end(alert: Object, world: World) -> Iterator[Violation]:
    provider = world.find(PROVIDER, alert.namespace, name_of(alert.spec.get("providerRef")))
    if provider is not None and provider.spec.get("type") == "incident.io" and alert.spec.get("eventSeverity") == "error":
        yield violation(alert, "spec", "eventSeverity", found="eventSeverity: error with a Provider of type incident.io", expect="eventSeverity: info")


@once
def _used_providers(world: World) -> frozenset[tuple[str, str]]:
    return frozenset((alert.namespace, name_of(alert.spec.get("providerRef"))) for alert in world.of(ALERT))


@FLX.rule(
    "FLX510",
    title="every Provider has an Alert",
    why="a Provider by itself sends nothing: whoever added it believes that failures are reported",
    fix="add an Alert with providerRef to it, or delete it",
    scope=Objects((PROVIDER,)),
    severity=Severity.WARNING,
    controls=("NIST-IR-6",),
)
def provider_is_used(provider: Object, world: World) -> Iterator[Violation]:
    if (provider.namespace, provider.name) not in _used_providers(world) and not blind(world, provider.namespace):
        yield violation(provider, found=f"no Alert of namespace {provider.namespace} names Provider {provider.name}", expect="an Alert")


RULES: Final = tuple(FLX.rules)
