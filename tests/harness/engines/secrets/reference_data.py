# ruff: noqa: E501 - one place a line
"""Where objects name Secrets and ConfigMaps, by kind, and what controllers make by themselves.

Sources: the API references of Kubernetes, Gateway API 1.4, cert-manager 1.21, NGINX Ingress Controller 5, ingress-nginx annotations, prometheus-operator,
Vault Secrets Operator 1.4, trust-manager, Grafana Operator, external-secrets.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.model import Pointer


class Form(Enum):
    """How a reference is written."""

    NAME = "a text with the name"
    SELECTOR = "a mapping with name, and mostly key"
    WHOLE = "a mapping with name; the object is taken whole"
    TYPED = "a mapping with kind and name"


class Place(NamedTuple):
    """Where a kind names a Secret. ``namespace`` None: that of the object, or of the controller for cluster-scoped kinds. ``slash``: ``namespace/name`` may be written."""

    path: Pointer
    form: Form
    role: str
    keys: tuple[str, ...] = ()
    kind: str = "Secret"
    namespace: str | None = None
    slash: bool = False
    only: tuple[str, ...] = ()


_TLS: Final = ("tls.crt", "tls.key")


def _selector(role: str, *path: str) -> Place:
    return Place(("spec", *path), Form.SELECTOR, role)


def _name(role: str, *path: str, keys: tuple[str, ...] = ()) -> Place:
    return Place(("spec", *path), Form.NAME, role, keys)


_SOLVER: Final = ("acme", "solvers", "*", "dns01")
_ISSUER: Final = (
    _name("the authority's key", "ca", "secretName", keys=_TLS),
    _selector("authority of Vault", "vault", "caBundleSecretRef"),
    _selector("client certificate", "vault", "clientCertSecretRef"),
    _selector("client key", "vault", "clientKeySecretRef"),
    _selector("token", "vault", "auth", "tokenSecretRef"),
    _selector("secret id", "vault", "auth", "appRole", "secretRef"),
    _selector("token", "vault", "auth", "kubernetes", "secretRef"),
    _name("client certificate", "vault", "auth", "clientCertificate", "secretName", keys=_TLS),
    Place(("spec", "venafi", "tpp", "credentialsRef"), Form.WHOLE, "credentials"),
    _selector("API token", "venafi", "cloud", "apiTokenSecretRef"),
    _selector("account binding", "acme", "externalAccountBinding", "keySecretRef"),
    *(
        _selector("DNS credentials", *_SOLVER, provider, field)
        for provider, field in (
            ("route53", "accessKeyIDSecretRef"),
            ("route53", "secretAccessKeySecretRef"),
            ("cloudflare", "apiTokenSecretRef"),
            ("cloudflare", "apiKeySecretRef"),
            ("cloudDNS", "serviceAccountSecretRef"),
            ("azureDNS", "clientSecretSecretRef"),
            ("digitalocean", "tokenSecretRef"),
            ("rfc2136", "tsigSecretSecretRef"),
            ("acmeDNS", "accountSecretRef"),
            ("akamai", "clientTokenSecretRef"),
            ("akamai", "clientSecretSecretRef"),
            ("akamai", "accessTokenSecretRef"),
        )
    ),
)
_VAULT_AUTH: Final = (
    _name("secret id", "appRole", "secretRef", keys=("id",)),
    _name("token", "jwt", "secretRef", keys=("jwt",)),
    _name("credentials", "aws", "secretRef"),
)
_VAULT_GLOBAL: Final = (
    _name("secret id", "appRole", "secretRef", keys=("id",)),
    _name("token", "jwt", "secretRef", keys=("jwt",)),
    _name("credentials", "aws", "secretRef"),
)
_PROMETHEUS: Final = (
    Place(("spec", "secrets", "*"), Form.NAME, "volume"),
    Place(("spec", "configMaps", "*"), Form.NAME, "volume", kind="ConfigMap"),
    Place(("spec", "imagePullSecrets", "*"), Form.WHOLE, "pull secret"),
)

#: Where each kind names a Secret or ConfigMap. An empty tuple: the kind is known to name none that is input.
PATHS: Final[Mapping[str, tuple[Place, ...]]] = {
    "ServiceAccount": (Place(("imagePullSecrets", "*"), Form.WHOLE, "pull secret"),),
    "PersistentVolume": tuple(
        Place(("spec", "csi", field), Form.WHOLE, "storage credentials")
        for field in ("controllerPublishSecretRef", "nodeStageSecretRef", "nodePublishSecretRef", "controllerExpandSecretRef", "nodeExpandSecretRef")
    ),
    "Ingress.networking.k8s.io": (Place(("spec", "tls", "*", "secretName"), Form.NAME, "certificate", _TLS, slash=True),),
    "Gateway.gateway.networking.k8s.io": (
        Place(("spec", "listeners", "*", "tls", "certificateRefs", "*"), Form.TYPED, "certificate", _TLS, only=("", "Secret")),
        Place(
            ("spec", "listeners", "*", "tls", "frontendValidation", "caCertificateRefs", "*"),
            Form.TYPED,
            "authority of clients",
            ("ca.crt",),
            "ConfigMap",
            only=("Secret", "ConfigMap"),
        ),
    ),
    "BackendTLSPolicy.gateway.networking.k8s.io": (
        Place(("spec", "validation", "caCertificateRefs", "*"), Form.TYPED, "authority of the backend", ("ca.crt",), "ConfigMap", only=("Secret", "ConfigMap")),
    ),
    "VirtualServer.k8s.nginx.org": (_name("certificate", "tls", "secret", keys=_TLS),),
    "VirtualServerRoute.k8s.nginx.org": (),
    "TransportServer.k8s.nginx.org": (_name("certificate", "tls", "secret", keys=_TLS),),
    "Policy.k8s.nginx.org": (
        _name("user list", "basicAuth", "secret", keys=("htpasswd",)),
        _name("keys", "jwt", "secret", keys=("jwk",)),
        _name("authority of clients", "ingressMTLS", "clientCertSecret", keys=("ca.crt",)),
        _name("client certificate", "egressMTLS", "tlsSecret", keys=_TLS),
        _name("authority of the backend", "egressMTLS", "trustedCertSecret", keys=("ca.crt",)),
        _name("client secret", "oidc", "clientSecret", keys=("client-secret",)),
        _name("authority of the provider", "oidc", "trustedCertSecret", keys=("ca.crt",)),
        _name("API keys", "apiKey", "clientSecret"),
    ),
    "Issuer.cert-manager.io": _ISSUER,
    "ClusterIssuer.cert-manager.io": _ISSUER,
    "Certificate.cert-manager.io": (_selector("password of a key store", "keystores", "*", "passwordSecretRef"),),
    "Bundle.trust.cert-manager.io": (),
    "Prometheus.monitoring.coreos.com": _PROMETHEUS,
    "PrometheusAgent.monitoring.coreos.com": _PROMETHEUS,
    "Alertmanager.monitoring.coreos.com": (*_PROMETHEUS, _name("configuration", "configSecret")),
    "ThanosRuler.monitoring.coreos.com": (Place(("spec", "imagePullSecrets", "*"), Form.WHOLE, "pull secret"),),
    "VaultConnection.secrets.hashicorp.com": (_name("authority of Vault", "caCertSecretRef", keys=("ca.crt",)),),
    "VaultAuth.secrets.hashicorp.com": _VAULT_AUTH,
    "VaultAuthGlobal.secrets.hashicorp.com": _VAULT_GLOBAL,
    "VaultStaticSecret.secrets.hashicorp.com": (),
    "VaultDynamicSecret.secrets.hashicorp.com": (),
    "VaultPKISecret.secrets.hashicorp.com": (),
    "ExternalSecret.external-secrets.io": (),
    "Grafana.grafana.integreatly.org": tuple(_selector("login", "external", field) for field in ("apiKey", "adminUser", "adminPassword")),
    "Receiver.notification.toolkit.fluxcd.io": (Place(("spec", "secretRef"), Form.WHOLE, "token of the webhook", ("token",)),),
    # Existence and order of what Flux reads: FLX208, FLX313; the keys depend on the type of source.
    **dict.fromkeys((f"{kind}.source.toolkit.fluxcd.io" for kind in ("GitRepository", "OCIRepository", "HelmRepository", "Bucket", "HelmChart")), ()),
    **dict.fromkeys((f"{kind}.image.toolkit.fluxcd.io" for kind in ("ImageRepository", "ImageUpdateAutomation")), ()),
    **dict.fromkeys((f"{kind}.fluxcd.controlplane.io" for kind in ("ResourceSetInputProvider", "FluxInstance", "ResourceSet")), ()),
    **dict.fromkeys(("Kustomization.kustomize.toolkit.fluxcd.io", "HelmRelease.helm.toolkit.fluxcd.io", "Provider.notification.toolkit.fluxcd.io"), ()),
}

#: Annotations that name a Secret, as ``name`` or ``namespace/name``.
ANNOTATIONS: Final[Mapping[str, tuple[Place, ...]]] = {
    "Ingress.networking.k8s.io": (
        Place(("nginx.ingress.kubernetes.io/auth-secret",), Form.NAME, "user list"),
        Place(("nginx.ingress.kubernetes.io/auth-tls-secret",), Form.NAME, "authority of clients", ("ca.crt",)),
        Place(("nginx.ingress.kubernetes.io/proxy-ssl-secret",), Form.NAME, "client certificate"),
        Place(("nginx.org/basic-auth-secret",), Form.NAME, "user list", ("htpasswd",)),
        Place(("nginx.com/jwt-key",), Form.NAME, "keys", ("jwk",)),
    ),
}
#: Groups in which every mapping of ``name`` and ``key`` is a selector of a Secret or ConfigMap.
SELECTOR_GROUPS: Final = frozenset({"monitoring.coreos.com"})
#: Fields in which such mappings are something else, or a pod's own.
SELECTOR_SKIPPED: Final = frozenset(
    {"relabelings", "metricRelabelings", "writeRelabelConfigs", "tolerations", "matchExpressions", "affinity", "topologySpreadConstraints"}
)
#: How kinds nobody here knows name a Secret they read; what they write is called otherwise, mostly with a verb or ``privateKeySecretRef``.
GENERIC_SECRET: Final = re.compile(
    r"secretKeyRef|secretRef|(?!private[kK]ey|write|output|target|destination|generated|connection|publish)[a-z]\w*Secret(?:Key)?Ref"
)

#: Secrets that programs make while they run and no manifest shows, by the pattern of their names.
RUNTIME: Final = re.compile(
    r"metallb-memberlist|.*-memberlist|sealed-secrets-key.*|sh\.helm\.release\.v1\..*|cert-manager-webhook-ca|.*-token-[a-z0-9]{5}|kyverno-.*tls-(?:ca|pair)|.*\.kyverno-tls-(?:ca|pair)"
    r"|vso-cc-storage-hmac-key|(?:prometheus|alertmanager|thanos-ruler)-.*(?:-tls-assets-\d+|-web-config|-generated|-cluster-tls-config)|prometheus-[a-z0-9.-]+|gatekeeper-webhook-server-cert"
    r"|istio-ca-secret|cacerts|argocd-initial-admin-secret|.*\.credentials\.postgresql\.acid\.zalan\.do|k8s-ca-secret|.*-cluster-ca-cert"
)
