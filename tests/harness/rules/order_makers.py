"""What makes the Secrets and ConfigMaps of a cluster: the objects themselves, and the custom resources that controllers turn into them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakKeyDictionary

from harness.rules.hlm_common import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.flux.world import World
    from harness.model import Object


class Made(NamedTuple):
    """A Secret or ConfigMap as someone makes it. ``keys`` is None when only the cluster knows them."""

    maker: Object
    keys: frozenset[str] | None


class _Product(NamedTuple):
    kind: str
    namespace: str
    name: str
    keys: frozenset[str] | None


#: A namespace no object is in: the product appears in every namespace.
_EVERYWHERE: Final = "*"
_CERTIFICATE_KEYS: Final = frozenset({"tls.crt", "tls.key", "ca.crt"})


@dataclass(eq=False)
class Makers:
    """Who makes which Secret and ConfigMap of one cluster."""

    _index: dict[tuple[str, str, str], list[Made]] = field(default_factory=lambda: defaultdict(list))

    def add(self, product: _Product, maker: Object) -> None:
        self._index[product.kind, product.namespace, product.name].append(Made(maker, product.keys))

    def of(self, kind: str, namespace: str, name: str) -> tuple[Made, ...]:
        """Everyone who makes a ``Secret`` or ``ConfigMap`` of this name, in the order of their ids; empty when nobody does."""
        return (*self._index.get((kind, namespace, name), ()), *self._index.get((kind, _EVERYWHERE, name), ()))


_cache: Final[WeakKeyDictionary[World, Makers]] = WeakKeyDictionary()


def makers(world: World) -> Makers:
    """The makers of a world, indexed once."""
    known = _cache.get(world)
    if known is None:
        known = _cache[world] = Makers()
        for kind, products in _MAKERS.items():
            for item in world.of(kind):
                for product in products(item):
                    known.add(product, item)
    return known


_ALL: Final = frozenset({_EVERYWHERE})
_holes: Final[WeakKeyDictionary[World, frozenset[str]]] = WeakKeyDictionary()
#: Problems that leave a hole in a world: objects are missing from it because something could not be read.
_BLIND: Final = ("kustomize-build", "kustomize-missing", "kustomize-remote-base", "kustomize-cycle", "chart-missing", "chart-unreachable", "chart-corrupt")


def may_be_elsewhere(world: World, namespace: str) -> bool:
    """Whether an object of a namespace may come from where nobody here can look: another source, or a build or chart that failed.

    In a cluster that was read in full the answer is no, and what is not in it does not exist. A Kustomization of another source
    can fill its target namespace, or, where it acts as a tenant's service account, its own; otherwise any.
    """
    known = _holes.get(world)
    if known is None:
        known = _holes[world] = _holes_of(world)
    return _EVERYWHERE in known or namespace in known


def is_whole(world: World) -> bool:
    """Whether a cluster was read in full: every source is this repository, every chart was at hand, nothing failed to build."""
    may_be_elsewhere(world, "")
    return not _holes[world] and all(rendered.source != "none" for rendered in world.releases.values())


def _holes_of(world: World) -> frozenset[str]:
    if any(problem.code in _BLIND for problem in world.problems):
        return _ALL
    found = set()
    for build in world.kustomizations.values():
        if build.elsewhere:
            spec = build.object.spec
            tenant = build.object.namespace if spec.get("serviceAccountName") else _EVERYWHERE
            found.add(text(spec.get("targetNamespace")) or tenant)
    return frozenset(found)


def _secret(item: Object) -> Iterator[_Product]:
    yield _Product("Secret", item.namespace, item.name, frozenset((*mapping(item.body.get("data")), *mapping(item.body.get("stringData")))))


def _config_map(item: Object) -> Iterator[_Product]:
    yield _Product("ConfigMap", item.namespace, item.name, frozenset((*mapping(item.body.get("data")), *mapping(item.body.get("binaryData")))))


def _sealed_secret(item: Object) -> Iterator[_Product]:
    # The Secret has the template's metadata; name and namespace default to the SealedSecret's own (strict scope).
    template = mapping(item.spec.get("template"))
    metadata = mapping(template.get("metadata"))
    keys = frozenset((*mapping(item.spec.get("encryptedData")), *mapping(template.get("data"))))
    yield _Product("Secret", text(metadata.get("namespace")) or item.namespace, text(metadata.get("name")) or item.name, keys)


def _certificate(item: Object) -> Iterator[_Product]:
    name = text(item.spec.get("secretName"))
    if name:
        stores = [store for store, settings in mapping(item.spec.get("keystores")).items() if mapping(settings).get("create")]
        more = {"tls-combined.pem", "key.der"} if item.spec.get("additionalOutputFormats") else set()
        extra = {f"{part}.{'p12' if store == 'pkcs12' else 'jks'}" for store in stores for part in ("keystore", "truststore")}
        yield _Product("Secret", item.namespace, name, _CERTIFICATE_KEYS | extra | more)


def _ingress(item: Object) -> Iterator[_Product]:
    # cert-manager's ingress-shim makes a Certificate for every TLS entry of an annotated Ingress.
    if {"cert-manager.io/cluster-issuer", "cert-manager.io/issuer", "kubernetes.io/tls-acme"} & set(item.annotations):
        for entry in items(item.spec.get("tls")):
            name = text(mapping(entry).get("secretName"))
            if name:
                yield _Product("Secret", item.namespace, name, _CERTIFICATE_KEYS)


def _gateway(item: Object) -> Iterator[_Product]:
    if {"cert-manager.io/cluster-issuer", "cert-manager.io/issuer"} & set(item.annotations):
        for listener in items(item.spec.get("listeners")):
            for reference in items(mapping(mapping(listener).get("tls")).get("certificateRefs")):
                name = text(mapping(reference).get("name"))
                if name:
                    yield _Product("Secret", text(mapping(reference).get("namespace")) or item.namespace, name, _CERTIFICATE_KEYS)


def _external_secret(item: Object) -> Iterator[_Product]:
    target = mapping(item.spec.get("target"))
    named = [text(mapping(entry).get("secretKey")) for entry in items(item.spec.get("data"))]
    fixed = not item.spec.get("dataFrom") and not target.get("template")
    yield _Product("Secret", item.namespace, text(target.get("name")) or item.name, frozenset(filter(None, named)) if fixed else None)


def _destination(item: Object) -> Iterator[_Product]:
    # Vault Secrets Operator: destination.create false means the Secret must be there already.
    destination = mapping(item.spec.get("destination"))
    if destination.get("create") is True and text(destination.get("name")):
        yield _Product("Secret", item.namespace, text(destination.get("name")), None)


def _issuer(item: Object) -> Iterator[_Product]:
    # A ClusterIssuer's account key lies in cert-manager's own namespace, which its --cluster-resource-namespace names.
    name = text(mapping(mapping(item.spec.get("acme")).get("privateKeySecretRef")).get("name"))
    if name:
        yield _Product("Secret", item.namespace or _EVERYWHERE, name, frozenset({"tls.key"}))


def _bundle(item: Object) -> Iterator[_Product]:
    target = mapping(item.spec.get("target"))
    for kind, settings in (("ConfigMap", target.get("configMap")), ("Secret", target.get("secret"))):
        if settings:
            yield _Product(kind, _EVERYWHERE, item.name, frozenset(filter(None, (text(mapping(settings).get("key")),))) or None)


def _by_own_name(item: Object) -> Iterator[_Product]:
    yield _Product("Secret", item.namespace, item.name, None)


def _managed_reference(item: Object) -> Iterator[_Product]:
    reference = mapping(item.spec.get("managedSecretReference")) or mapping(item.spec.get("managedSecret"))
    name = text(reference.get("secretName")) or text(reference.get("name"))
    if name:
        yield _Product("Secret", text(reference.get("secretNamespace")) or item.namespace, name, None)


def _postgres(item: Object) -> Iterator[_Product]:
    for suffix in ("app", "superuser", "ca", "server", "replication"):
        yield _Product("Secret", item.namespace, f"{item.name}-{suffix}", None)


_MAKERS: Final[dict[str, Callable[[Object], Iterator[_Product]]]] = {
    "Secret": _secret,
    "ConfigMap": _config_map,
    "SealedSecret.bitnami.com": _sealed_secret,
    "Certificate.cert-manager.io": _certificate,
    "Ingress.networking.k8s.io": _ingress,
    "Gateway.gateway.networking.k8s.io": _gateway,
    "ExternalSecret.external-secrets.io": _external_secret,
    "VaultStaticSecret.secrets.hashicorp.com": _destination,
    "VaultDynamicSecret.secrets.hashicorp.com": _destination,
    "VaultPKISecret.secrets.hashicorp.com": _destination,
    "HCPVaultSecretsApp.secrets.hashicorp.com": _destination,
    "Issuer.cert-manager.io": _issuer,
    "ClusterIssuer.cert-manager.io": _issuer,
    "Bundle.trust.cert-manager.io": _bundle,
    "OnePasswordItem.onepassword.com": _by_own_name,
    "InfisicalSecret.secrets.infisical.com": _managed_reference,
    "DopplerSecret.secrets.doppler.com": _managed_reference,
    "Cluster.postgresql.cnpg.io": _postgres,
}
