"""Which Secrets and ConfigMaps the objects of a cluster lead to: themselves, and what controllers make of custom resources.

Sources: the API documentation of Sealed Secrets, cert-manager, trust-manager, External Secrets, Vault Secrets Operator, CloudNativePG, the
Secrets Store CSI driver, SOPS' operator, RabbitMQ, Elastic, Strimzi, Keycloak, and the operators of 1Password, Infisical and Doppler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from harness.model.shapes import items as items
from harness.model.shapes import mapping as mapping
from harness.model.shapes import text as text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.model import Object


class Product(NamedTuple):
    """A Secret or ConfigMap. ``keys`` is None when only the cluster knows them."""

    kind: str
    namespace: str
    name: str
    keys: frozenset[str] | None


#: A namespace no object is in: the product appears in every namespace.
EVERYWHERE: Final = "*"
_CERTIFICATE_KEYS: Final = frozenset({"tls.crt", "tls.key", "ca.crt"})


#: What the token controller puts into a Secret of its type.
_TOKEN_KEYS: Final = frozenset({"token", "ca.crt", "namespace"})
#: Annotations of programs that copy a Secret into other namespaces under its name, or fill it.
_COPIED: Final = (
    "reflector.v1.k8s.emberstack.com/reflection-auto-enabled",
    "replicator.v1.mittwald.de/replicate-to",
    "replicator.v1.mittwald.de/replicate-to-matching",
)
_FILLED: Final = ("secret-generator.v1.mittwald.de/autogenerate", "replicator.v1.mittwald.de/replicate-from", "reflector.v1.k8s.emberstack.com/reflects")


def _secret(item: Object) -> Iterator[Product]:
    keys: frozenset[str] | None = frozenset((*mapping(item.body.get("data")), *mapping(item.body.get("stringData"))))
    if item.body.get("type") == "kubernetes.io/service-account-token":
        keys = keys | _TOKEN_KEYS if keys is not None else None
    if any(name in item.annotations for name in _FILLED):
        keys = None
    yield Product("Secret", item.namespace, item.name, keys)
    if any(name in item.annotations for name in _COPIED):
        yield Product("Secret", EVERYWHERE, item.name, keys)


def _config_map(item: Object) -> Iterator[Product]:
    yield Product("ConfigMap", item.namespace, item.name, frozenset((*mapping(item.body.get("data")), *mapping(item.body.get("binaryData")))))


def _sealed_secret(item: Object) -> Iterator[Product]:
    # The Secret gets the SealedSecret's own name and namespace, whatever the template says; a template value of null takes a key away.
    template = mapping(mapping(item.spec.get("template")).get("data"))
    gone = {key for key, value in template.items() if value is None}
    made = Product("Secret", item.namespace, item.name, frozenset((*mapping(item.spec.get("encryptedData")), *template)) - gone)
    yield made
    annotations = mapping(mapping(mapping(item.spec.get("template")).get("metadata")).get("annotations"))
    if any(name in annotations for name in _COPIED):
        yield made._replace(namespace=EVERYWHERE)


def _certificate(item: Object) -> Iterator[Product]:
    name = text(item.spec.get("secretName"))
    if name:
        stores = [store for store, settings in mapping(item.spec.get("keystores")).items() if mapping(settings).get("create")]
        more = {"tls-combined.pem", "key.der"} if item.spec.get("additionalOutputFormats") else set()
        extra = {f"{part}.{'p12' if store == 'pkcs12' else 'jks'}" for store in stores for part in ("keystore", "truststore")}
        yield Product("Secret", item.namespace, name, _CERTIFICATE_KEYS | extra | more)


def _ingress(item: Object) -> Iterator[Product]:
    # cert-manager's ingress-shim makes a Certificate for every TLS entry of an annotated Ingress.
    if {"cert-manager.io/cluster-issuer", "cert-manager.io/issuer", "kubernetes.io/tls-acme"} & set(item.annotations):
        for entry in items(item.spec.get("tls")):
            name = text(mapping(entry).get("secretName"))
            if name:
                yield Product("Secret", item.namespace, name, _CERTIFICATE_KEYS)


def _gateway(item: Object) -> Iterator[Product]:
    if {"cert-manager.io/cluster-issuer", "cert-manager.io/issuer"} & set(item.annotations):
        for listener in items(item.spec.get("listeners")):
            for reference in items(mapping(mapping(listener).get("tls")).get("certificateRefs")):
                name = text(mapping(reference).get("name"))
                if name:
                    yield Product("Secret", text(mapping(reference).get("namespace")) or item.namespace, name, _CERTIFICATE_KEYS)


def _external_secret(item: Object) -> Iterator[Product]:
    target = mapping(item.spec.get("target"))
    named = [text(mapping(entry).get("secretKey")) for entry in items(item.spec.get("data"))]
    fixed = not item.spec.get("dataFrom") and not target.get("template")
    yield Product("Secret", item.namespace, text(target.get("name")) or item.name, frozenset(filter(None, named)) if fixed else None)


def _destination(item: Object) -> Iterator[Product]:
    # Vault Secrets Operator: destination.create false means the Secret must be there already.
    destination = mapping(item.spec.get("destination"))
    if destination.get("create") is True and text(destination.get("name")):
        yield Product("Secret", item.namespace, text(destination.get("name")), None)


def _issuer(item: Object) -> Iterator[Product]:
    # A ClusterIssuer's account key lies in cert-manager's own namespace, which its --cluster-resource-namespace names.
    name = text(mapping(mapping(item.spec.get("acme")).get("privateKeySecretRef")).get("name"))
    if name:
        yield Product("Secret", item.namespace or EVERYWHERE, name, frozenset({"tls.key"}))


def _bundle(item: Object) -> Iterator[Product]:
    target = mapping(item.spec.get("target"))
    for kind, settings in (("ConfigMap", target.get("configMap")), ("Secret", target.get("secret"))):
        if settings:
            yield Product(kind, EVERYWHERE, item.name, frozenset(filter(None, (text(mapping(settings).get("key")),))) or None)


def _by_own_name(item: Object) -> Iterator[Product]:
    yield Product("Secret", item.namespace, item.name, None)


def _managed_reference(item: Object) -> Iterator[Product]:
    reference = mapping(item.spec.get("managedSecretReference")) or mapping(item.spec.get("managedSecret"))
    name = text(reference.get("secretName")) or text(reference.get("name"))
    if name:
        yield Product("Secret", text(reference.get("secretNamespace")) or item.namespace, name, None)


def _postgres(item: Object) -> Iterator[Product]:
    for suffix in ("app", "superuser", "ca", "server", "replication"):
        yield Product("Secret", item.namespace, f"{item.name}-{suffix}", None)


def _everywhere(item: Object) -> Iterator[Product]:
    spec = mapping(item.spec.get("externalSecretSpec"))
    name = text(mapping(spec.get("target")).get("name")) or text(item.spec.get("externalSecretName")) or item.name
    yield Product("Secret", EVERYWHERE, name, None)


def _secret_objects(item: Object) -> Iterator[Product]:
    # Secrets Store CSI driver: made once a pod mounts the class.
    for entry in items(item.spec.get("secretObjects")):
        keys = frozenset(filter(None, (text(mapping(each).get("key")) for each in items(mapping(entry).get("data")))))
        if text(mapping(entry).get("secretName")):
            yield Product("Secret", item.namespace, mapping(entry)["secretName"], keys)


def _sops_secret(item: Object) -> Iterator[Product]:
    for entry in items(item.spec.get("secretTemplates")):
        keys = frozenset((*mapping(mapping(entry).get("data")), *mapping(mapping(entry).get("stringData"))))
        yield Product("Secret", item.namespace, text(mapping(entry).get("name")), keys)


def _suffixed(*suffixes: str) -> Callable[[Object], Iterator[Product]]:
    def make(item: Object) -> Iterator[Product]:
        for suffix in suffixes:
            yield Product("Secret", item.namespace, f"{item.name}-{suffix}", None)

    return make


#: What makes a Secret or ConfigMap, by kind.
PRODUCTS: Final[dict[str, Callable[[Object], Iterator[Product]]]] = {
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
    "ClusterExternalSecret.external-secrets.io": _everywhere,
    "SecretProviderClass.secrets-store.csi.x-k8s.io": _secret_objects,
    "SopsSecret.isindir.github.com": _sops_secret,
    "RabbitmqCluster.rabbitmq.com": _suffixed("default-user", "erlang-cookie"),
    "Elasticsearch.elasticsearch.k8s.elastic.co": _suffixed("es-elastic-user", "es-http-certs-public", "es-http-certs-internal"),
    "KafkaUser.kafka.strimzi.io": _by_own_name,
    "Kafka.kafka.strimzi.io": _suffixed("cluster-ca-cert", "clients-ca-cert"),
    "Keycloak.k8s.keycloak.org": _suffixed("initial-admin"),
}
