"""Rules about references to Secrets: somebody makes them, with the keys, in the right namespace, and before they are read (SEC2xx).

What pods and Flux read must exist by FLX203, FLX208 and FLX313; its keys are looked at here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from harness.engines.secrets.reference_data import PATHS, RUNTIME, SELECTOR_GROUPS
from harness.engines.secrets.references import UNKNOWN, Reference, references
from harness.model import Severity
from harness.model.pods import TEMPLATES
from harness.model.shapes import items, mapping, text
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.order_makers import makers, may_be_elsewhere
from harness.rules.order_needs import Need, Topic
from harness.rules.order_proof import missing_edge, unproven
from harness.rules.order_runtime import may_make
from harness.rules.tls_view import resource_namespaces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.flux.world import World
    from harness.model import Object, ObjectId
    from harness.rules.order_makers import Made

SEC: Final = Registry()

#: Kinds that are not ready, or whose pods do not start, while what they name is missing; others pick it up whenever it comes.
_WAITING: Final = ("Issuer.cert-manager.io", "ClusterIssuer.cert-manager.io", *(kind for kind in PATHS if kind.endswith(".monitoring.coreos.com")))
_PRODUCERS: Final = (
    "SealedSecret.bitnami.com",
    "Certificate.cert-manager.io",
    "ExternalSecret.external-secrets.io",
    "VaultStaticSecret.secrets.hashicorp.com",
    "VaultDynamicSecret.secrets.hashicorp.com",
    "VaultPKISecret.secrets.hashicorp.com",
)
#: Kinds that name Secrets in fields that are known, or never.
_MUTE: Final = frozenset(
    ("NetworkPolicy.networking.k8s.io", "PrometheusRule.monitoring.coreos.com", "RoleBinding.rbac.authorization.k8s.io", "Service", *_PRODUCERS)
)
_INJECT: Final = "cert-manager.io/inject-ca-from"
_INJECT_SECRET: Final = "cert-manager.io/inject-ca-from-secret"  # noqa: S105 - an annotation
_INJECTED: Final = (
    "ValidatingWebhookConfiguration.admissionregistration.k8s.io",
    "MutatingWebhookConfiguration.admissionregistration.k8s.io",
    "APIService.apiregistration.k8s.io",
    "CustomResourceDefinition.apiextensions.k8s.io",
)
_WHY: Final = "what names a Secret that nobody makes never works, and one that somebody made by hand is missing on the next cluster"


def _is_pod(item: Object) -> bool:
    return str(item.group_kind) in TEMPLATES


def _names_secrets(item: Object) -> bool:
    """Whether a kind may name Secrets, besides pods and what Flux reads itself."""
    known = PATHS.get(str(item.group_kind))
    if known is not None:
        return bool(known) or item.group == "secrets.hashicorp.com"
    return not _is_pod(item) and "." in item.group and not item.group.endswith(".k8s.io")


def _by_object(world: World) -> Mapping[ObjectId, tuple[Reference, ...]]:
    """The references of every object that has any."""
    found = {item.id: tuple(references(item)) for item in world.objects if _is_pod(item) or _names_secrets(item) or item.group in SELECTOR_GROUPS}
    return {key: each for key, each in found.items() if each}


def _references(item: Object, world: World) -> tuple[Reference, ...]:
    return world.derive(_by_object).get(item.id, ())


def made_for(world: World, reference: Reference) -> tuple[Made, ...]:
    """Everyone who makes what a reference names; for a cluster-scoped resource in the namespace of its controller, or anywhere when that is unknown."""
    if reference.namespace != UNKNOWN:
        return makers(world).of(reference.kind, reference.namespace, reference.name)
    return tuple(made for namespace in world.derive(resource_namespaces) for made in makers(world).of(reference.kind, namespace, reference.name))


def _need(reference: Reference) -> Need:
    return Need(Topic.DATA, reference.kind, reference.namespace, reference.name, reference.pointer, reference.role)


@SEC.rule(
    "SEC201",
    title="every Secret that a resource names is made by something in its namespace",
    why=_WHY,
    fix="correct the name, or add the SealedSecret, Certificate, VaultStaticSecret or ExternalSecret that makes it, in the namespace where it is read",
    scope=Objects(where=_names_secrets),
    controls=("NIST-IA-5", "NIST-CP-10"),
)
def secret_is_made(item: Object, world: World) -> Iterator[Violation]:
    for reference in _references(item, world):
        if reference.optional or str(item.group_kind) == "Receiver.notification.toolkit.fluxcd.io" or made_for(world, reference):
            continue
        namespace = item.namespace if reference.namespace == UNKNOWN else reference.namespace
        if RUNTIME.fullmatch(reference.name) or may_be_elsewhere(world, namespace) or may_make(world, item, _need(reference)):
            continue
        elsewhere = sorted({made.maker.namespace for namespace in _namespaces(world) for made in makers(world).of(reference.kind, namespace, reference.name)})
        hint = f"; in {', '.join(elsewhere)} something makes one of that name" if elsewhere else ""
        found = f"{reference} ({reference.role}), which nothing in this cluster makes{hint}"
        yield violation(item, *reference.pointer, found=found, expect=f"something that makes {reference}")


def _namespaces(world: World) -> tuple[str, ...]:
    return tuple(item.name for item in world.of("Namespace"))


@SEC.rule(
    "SEC202",
    title="every key that is read from a Secret or ConfigMap is one that its maker puts there",
    why="a container whose key is missing stays in CreateContainerConfigError, and a controller that misses one reports it at run time, on each cluster anew",
    fix="correct the key where it is read, or make it where the Secret is made",
    scope=Objects(where=lambda item: _is_pod(item) or _names_secrets(item) or item.group in SELECTOR_GROUPS),
    controls=("NIST-CP-10",),
)
def key_is_made(item: Object, world: World) -> Iterator[Violation]:
    for reference in _references(item, world):
        if not reference.keys or reference.optional:
            continue
        made = made_for(world, reference)
        if not made or any(each.keys is None or not each.keys for each in made) or may_be_elsewhere(world, reference.namespace):
            continue  # a Secret without any key in Git is filled at run time
        known = frozenset().union(*(each.keys or () for each in made))
        for key in reference.keys:
            if key not in known:
                maker = made[0].maker
                found = f"key {key} of {reference} ({reference.role}), which {maker.kind} {maker.name} makes with {', '.join(sorted(known))}"
                yield violation(item, *reference.pointer, found=found, expect=f"one of the keys that {maker.kind} {maker.name} makes")


@SEC.rule(
    "SEC203",
    title="what an issuer or a Prometheus reads is made before it is applied",
    why="an issuer whose Secret is missing is not ready and a Prometheus without its Secrets starts no pod: what waits for them runs into its timeout",
    fix="let the reader's Kustomization depend on the one that makes the Secret",
    scope=Objects(_WAITING),
    severity=Severity.WARNING,
    controls=("NIST-CP-10",),
)
def secret_first(item: Object, world: World) -> Iterator[Violation]:
    for reference in _references(item, world):
        late = unproven(world, [made.maker for made in made_for(world, reference)], item) if not reference.optional else None
        if late is not None:
            producer, reason = late
            found = f"{reference} ({reference.role}) is made by {producer.kind} {producer.name} of {producer.applier}: {reason}"
            yield violation(item, *reference.pointer, found=found, expect=missing_edge(producer, item))


@SEC.rule(
    "SEC204",
    title="every Secret that is made is read by something",
    why="a credential that nobody uses is still one: it is renewed, stored, backed up, and good for whoever finds it",
    fix="delete what makes it and revoke the credential, or refer to it",
    scope=Objects(_PRODUCERS),
    severity=Severity.NOTE,
    controls=("NIST-AC-6", "NIST-IA-5"),
)
def secret_is_used(item: Object, world: World) -> Iterator[Violation]:
    used = world.derive(_used)
    names = [(name, namespace) for name, namespace in world.derive(_products).get(item.id, ()) if namespace == item.namespace]
    if not names or any((namespace, name) in used or (UNKNOWN, name) in used for name, namespace in names) or may_be_elsewhere(world, item.namespace):
        return
    if not any(_is_mentioned(world, item, name) for name, _ in names):
        yield violation(item, *_named_at(item), found=f"Secret {names[0][0]}, which nothing in the cluster reads", expect="a reference to it")


def _used(world: World) -> frozenset[tuple[str, str]]:
    return frozenset(
        (reference.namespace, reference.name) for each in world.derive(_by_object).values() for reference in each if reference.kind == "Secret"
    ) | {(item.namespace, name) for item in world.of("Kustomization.kustomize.toolkit.fluxcd.io", "HelmRelease.helm.toolkit.fluxcd.io") for name in _flux(item)}


def _flux(item: Object) -> Iterator[str]:
    for entry in (*items(item.get("spec", "postBuild", "substituteFrom")), *items(item.spec.get("valuesFrom"))):
        yield text(mapping(entry).get("name"))


def _products(world: World) -> dict[ObjectId, list[tuple[str, str]]]:
    from harness.flux.makers import PRODUCTS

    return {item.id: [(made.name, made.namespace) for made in PRODUCTS[kind](item) if made.kind == "Secret"] for kind in _PRODUCERS for item in world.of(kind)}


def _is_mentioned(world: World, item: Object, name: str) -> bool:
    """Whether another object of the namespace, or a release, mentions a name: in arguments, values, annotations, files of configuration."""
    word = re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w-]|\.\w)")
    texts = world.derive(_texts)
    return any(identity != item.id and word.search(content) for namespace in ("", item.namespace) for identity, content in texts.get(namespace, ()))


def _texts(world: World) -> dict[str, list[tuple[ObjectId, str]]]:
    """What could mention a Secret that makers of our kinds make, as text, by namespace; releases under the empty one. Their own names are left out."""
    wanted = {item.namespace for item in world.of(*_PRODUCERS)}
    found: dict[str, list[tuple[ObjectId, str]]] = {}
    for item in world.objects:
        kind = str(item.group_kind)
        if kind == "HelmRelease.helm.toolkit.fluxcd.io" or (item.namespace in wanted and kind not in _MUTE):
            content = str([value for key, value in item.body.items() if key != "metadata"]) + str(item.annotations)
            found.setdefault("" if kind.startswith("HelmRelease.") else item.namespace, []).append((item.id, content))
    return found


def _named_at(item: Object) -> tuple[str, ...]:
    for pointer in (("spec", "secretName"), ("spec", "destination", "name"), ("spec", "target", "name")):
        if item.get(*pointer) is not None:
            return pointer
    return ("metadata", "name")


@SEC.rule(
    "SEC205",
    title="the certificate whose authority cert-manager injects exists",
    why="cainjector leaves caBundle empty until it finds the Certificate or Secret, and the API server trusts no webhook without it",
    fix=f"write {_INJECT}: <namespace>/<Certificate> with the namespace the Certificate is in",
    scope=Objects(_INJECTED, where=lambda item: bool({_INJECT, _INJECT_SECRET} & set(item.annotations))),
    controls=("NIST-SC-8", "NIST-SC-12"),
)
def injected_authority_exists(item: Object, world: World) -> Iterator[Violation]:
    for key, kind in ((_INJECT, "Certificate"), (_INJECT_SECRET, "Secret")):
        if key not in item.annotations:
            continue
        namespace, slash, name = text(item.annotations[key]).partition("/")
        exists = bool(slash) and (
            world.find("Certificate.cert-manager.io", namespace, name) is not None
            if kind == "Certificate"
            else bool(RUNTIME.fullmatch(name)) or bool(makers(world).of("Secret", namespace, name))
        )
        if not exists and not may_be_elsewhere(world, namespace):
            found = f"{key}: {item.annotations[key]}, and the cluster has no such {kind}"
            yield violation(item, "metadata", "annotations", key, found=found, expect=f"namespace/name of a {kind} of this cluster")


RULES: Final = tuple(SEC.rules)
