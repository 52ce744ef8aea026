"""An ACME server of one's own in the cluster, and the issuer that Git has for a real one, led to it.

What is proven is the platform's half: the solver of the ClusterIssuer in Git, the Ingress that a Certificate names for its challenge, the redirect to HTTPS
before it, and the network policies between cert-manager, nginx and the solver. The host is the DNS name of a Service in front of nginx, so that the server and
cert-manager find it by the cluster's own DNS.

Source: Pebble 2.10 (``cmd/pebble``): configuration file, ``PEBBLE_VA_NOSLEEP``, the authority at ``/roots/0`` of the management port.
"""

from __future__ import annotations

import base64
import copy
import ipaddress
import json
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from harness.live.faults import applied
from harness.live.findings import NotEvaluatedError
from harness.live.ingress.certificates import asked
from harness.live.reach.forwards import Client
from harness.live.reach.wait import Waiter
from harness.live.reach.web import Tls
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.live.bringup import Platform
    from harness.live.ingress.edge import Edge
    from harness.model import Object

IMAGE: Final = "ghcr.io/letsencrypt/pebble:2.10.3"
#: The name of the issuer: the policies of the platform know no other one for ACME.
ISSUER: Final = "letsencrypt-staging"
NAMESPACE: Final = "cert-manager"
#: Where the issuers for a real server, and the network policies that come with them, are in Git.
_FOLDER: Final = "clusters/base/infrastructure/letsencrypt/configs"
_DIRECTORY, _MANAGEMENT = 14000, 15000
_UNPULLED: Final = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName")


@dataclass(frozen=True, slots=True)
class Own:
    """The certificate of a server that nobody else trusts, and its key, in PEM."""

    certificate: str
    key: str


def own_certificate(host: str, now: datetime) -> Own:
    """A certificate for a host that is its own authority, for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
    names = x509.SubjectAlternativeName([x509.DNSName(host), x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - timedelta(minutes=5), now + timedelta(days=1))
    builder = builder.add_extension(names, critical=False).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return Own(builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode(), private)


def server(name: str, own: Own) -> list[dict[str, Any]]:
    """The objects of the server: in the namespace of cert-manager, with what its policies ask of every pod."""
    where = {"name": name, "namespace": NAMESPACE}
    labels = {"app.kubernetes.io/name": name}
    settings = {
        "listenAddress": f"0.0.0.0:{_DIRECTORY}",
        "managementListenAddress": f"0.0.0.0:{_MANAGEMENT}",
        "certificate": "/etc/pebble/tls/tls.crt",
        "privateKey": "/etc/pebble/tls/tls.key",
        "httpPort": 80,
        "tlsPort": 443,
    }
    container = {
        "name": "pebble",
        "image": IMAGE,
        "args": ["-config", "/etc/pebble/config/config.json"],
        # Without it the server waits up to a quarter of a minute before it validates.
        "env": [{"name": "PEBBLE_VA_NOSLEEP", "value": "1"}],
        "ports": [{"containerPort": _DIRECTORY}, {"containerPort": _MANAGEMENT}],
        "readinessProbe": {"tcpSocket": {"port": _DIRECTORY}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": part, "mountPath": f"/etc/pebble/{part}", "readOnly": True} for part in ("config", "tls")],
    }
    pod = {
        "serviceAccountName": name,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": name}}, {"name": "tls", "secret": {"secretName": name}}],
    }
    data = {"tls.crt": own.certificate, "tls.key": own.key}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": where, "automountServiceAccountToken": False},
        {"apiVersion": "v1", "kind": "Secret", "metadata": where, "type": "kubernetes.io/tls", "stringData": data},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": where, "data": {"config.json": json.dumps({"pebble": settings})}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": where,
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": where,
            "spec": {"selector": labels, "ports": [{"name": str(port), "port": port} for port in (_DIRECTORY, _MANAGEMENT)]},
        },
    ]


def exception(name: str, now: datetime) -> dict[str, Any]:
    """The leave to run an image of a registry that the platform knows nothing else of: for these objects, and for an hour."""
    ends = (now + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    named = f"object.metadata.namespace == '{NAMESPACE}' && object.metadata.name.startsWith('{name}')"
    return {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "PolicyException",
        "metadata": {
            "name": name,
            "namespace": "kyverno",
            "annotations": {"plimsoll.io/owner": "platform", "plimsoll.io/reason": "An ACME server for as long as a proof runs."},
        },
        "spec": {
            "expiresAt": ends,
            "policyRefs": [{"kind": "ValidatingPolicy", "name": "restrict-image-registries"}],
            "matchConditions": [
                {"name": "is-the-acme-server", "expression": named},
                {"name": "has-not-ended", "expression": f"time.now() < timestamp('{ends}')"},
            ],
        },
    }


def ways(name: str, edge: Edge) -> list[dict[str, Any]]:
    """Who may talk to whom while the server is there: cert-manager to it, and it to nginx, as the Internet does."""
    nginx = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": edge.service.namespace}},
        "podSelector": {"matchLabels": dict(mapping(edge.service.spec.get("selector")))},
    }
    own = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": name}}}
    manager = {"podSelector": {"matchLabels": {"app.kubernetes.io/instance": "cert-manager", "app.kubernetes.io/component": "controller"}}}
    web = [{"port": port, "protocol": "TCP"} for port in (80, 443)]
    directory = [{"port": _DIRECTORY, "protocol": "TCP"}]
    rules: dict[str, dict[str, Any]] = {
        "server": {**own, "ingress": [{"from": [manager], "ports": directory}], "egress": [{"to": [nginx], "ports": web}]},
        "manager": {**manager, "egress": [{"to": [own], "ports": directory}]},
    }
    return [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": f"{name}-{part}", "namespace": NAMESPACE},
            "spec": {**spec, "policyTypes": [kind.capitalize() for kind in ("ingress", "egress") if kind in spec]},
        }
        for part, spec in rules.items()
    ]


def from_git(platform: Platform, name: str, own: Own, zone: str) -> list[dict[str, Any]]:
    """What Git has for a real ACME server: the issuer, led to this server and to hosts of a zone, and the network policy for cert-manager's own look."""
    folder = platform.workspace.root / _FOLDER
    issuer = yaml.safe_load((folder / f"{ISSUER}.clusterissuer.yaml").read_text(encoding="utf-8"))
    acme = issuer["spec"]["acme"]
    acme["server"] = f"https://{name}.{NAMESPACE}.svc:{_DIRECTORY}/dir"
    acme["caBundle"] = base64.b64encode(own.certificate.encode()).decode()
    acme["email"] = "proof@example.com"
    acme["privateKeySecretRef"] = {"name": f"{name}-account"}
    for solver in acme["solvers"]:
        solver["selector"] = {"dnsZones": [zone]}
    way = yaml.safe_load((folder / "allow-egress-ingress-nginx.networkpolicy.yaml").read_text(encoding="utf-8"))
    way["metadata"]["name"] = f"{name}-look"
    return [issuer, way]


def approval(name: str) -> list[dict[str, Any]]:
    """The right to approve what is asked of the issuer, which clusters with a real server give cert-manager in its release."""
    group = "rbac.authorization.k8s.io"
    signers = {"apiGroups": ["cert-manager.io"], "resources": ["signers"], "verbs": ["approve"], "resourceNames": [f"clusterissuers.cert-manager.io/{ISSUER}"]}
    subject = {"kind": "ServiceAccount", "name": "cert-manager", "namespace": NAMESPACE}
    role = {"apiGroup": group, "kind": "ClusterRole", "name": name}
    return [
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": [signers]},
        {"apiVersion": f"{group}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name}, "roleRef": role, "subjects": [subject]},
    ]


@dataclass(frozen=True)
class Acme:
    """The server, ready to be asked. ``host`` is the name in the cluster's DNS that certificates are for."""

    platform: Platform
    name: str
    host: str
    own: Own

    def roots(self) -> list[x509.Certificate]:
        """The authority that the server made when it started."""
        client = Client(self.platform.forwards, f"svc/{self.name}", _MANAGEMENT, NAMESPACE, tls=Tls())
        return x509.load_pem_x509_certificates(client.ask("/roots/0").body)


@contextmanager
def acme(platform: Platform, edge: Edge, name: str) -> Iterator[Acme]:
    """An ACME server and the issuer that leads to it for the duration of a block.

    Raises:
        NotEvaluatedError: the cluster has the issuer already, with an account at a real server; or the server's image cannot be had.
    """
    kubectl = platform.cluster.kubectl
    if kubectl.get("clusterissuers.cert-manager.io", ISSUER) is not None:
        raise NotEvaluatedError(ISSUER, "ACME", "the cluster has this issuer, with an account at a server outside")
    zone = f"{edge.service.namespace}.svc.cluster.local"
    own = own_certificate(f"{name}.{NAMESPACE}.svc", datetime.now(UTC))
    front = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": edge.service.namespace},
        "spec": {"selector": dict(mapping(edge.service.spec.get("selector"))), "ports": [{"name": str(port), "port": port} for port in (80, 443)]},
    }
    try:
        with applied(kubectl, exception(name, datetime.now(UTC)), front, *ways(name, edge)):
            objects = server(name, own)
            # Kyverno hears of an exception a moment after it is there.
            admitted = Waiter(lambda: kubectl.apply(objects, dry_run=True))
            admitted.wait(bool, successes=1, timeout=90, what=f"the exception {name} in Kyverno")
            with applied(kubectl, *objects):
                _await(platform, name)
                with applied(kubectl, *approval(name), *from_git(platform, name, own, zone)):
                    yield Acme(platform, name, f"{name}.{zone}", own)
    finally:
        kubectl.delete("secrets", f"{name}-account", NAMESPACE)


def _await(platform: Platform, name: str) -> None:
    """Wait for the server. Raises NotEvaluatedError when its image cannot be had."""
    kubectl = platform.cluster.kubectl

    def look() -> tuple[bool, str]:
        pods = kubectl.list("pods", namespace=NAMESPACE, selector=f"app.kubernetes.io/name={name}")
        statuses = [mapping(item) for pod in pods for item in items(mapping(pod.get("status")).get("containerStatuses"))]
        waiting = [mapping(mapping(item.get("state")).get("waiting")) for item in statuses]
        why = next((f"{text(item.get('reason'))}: {text(item.get('message'))}" for item in waiting if item.get("reason")), f"{len(pods)} pods")
        return bool(statuses) and all(item.get("ready") is True for item in statuses), why

    found = Waiter(look, lambda seen: seen[1]).wait(
        lambda seen: seen[0] or seen[1].startswith(_UNPULLED), successes=1, timeout=90, what=f"the ACME server {NAMESPACE}/{name}"
    )
    if not found[0]:
        raise NotEvaluatedError(ISSUER, "ACME", f"the server's image cannot be had: {found[1]}"[:200])


def challenged(item: Object, host: str, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """An Ingress as one in Git, for another host, and the Certificate that has its challenge solved there."""
    ingress: dict[str, Any] = copy.deepcopy(dict(item.body))
    ingress["metadata"] = {"name": name, "namespace": item.namespace}
    spec = ingress["spec"]
    spec["rules"] = [{**spec["rules"][0], "host": host}]
    spec["tls"] = [{"hosts": [host], "secretName": name}]
    # As on the Certificates in Git: one Ingress per host, and the challenge arrives after a redirect to HTTPS.
    notes: Mapping[str, str] = {"acme.cert-manager.io/http01-override-ingress-name": name, "cert-manager.io/issue-temporary-certificate": "true"}
    certificate = asked(name, ISSUER, namespace=item.namespace, names=[host], annotations=notes)
    # The server decides how long a certificate lives.
    certificate["spec"].pop("duration")
    certificate["spec"].pop("renewBefore")
    return ingress, certificate
