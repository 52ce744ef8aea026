"""What is broken on purpose: workloads, certificates and Flux objects that can never be well. All of it is admitted by the platform's policies."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Ready nowhere: no registry of this name is asked.
_NOWHERE: Final = "ghcr.io/stefanprodan/podinfo:0.0.0-none"
_PODINFO: Final = "ghcr.io/stefanprodan/podinfo:6.9.2"
#: A port that nobody listens on.
_NOBODYS: Final = 1
_BARE: Final = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def namespace(name: str) -> dict[str, Any]:
    """A namespace of the platform for one proof: policies for tenants do not ask it for quotas, and it may go again."""
    labels = {"toolkit.fluxcd.io/tenant": "platform", "pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def account(namespace: str) -> dict[str, Any]:
    """The account of its pods, which may nothing."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "broken", "namespace": namespace}, "automountServiceAccountToken": False}


def pod(image: str = _PODINFO, *command: str, memory: str = "32Mi", restart: str = "Always") -> dict[str, Any]:
    """The spec of a pod with one container."""
    probe = {"httpGet": {"path": "/healthz", "port": 9898}, "initialDelaySeconds": 300}
    container: dict[str, Any] = {
        "name": "main",
        "image": image,
        "command": list(command) or ["./podinfo", "--port=9898"],
        "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"memory": memory}},
        "securityContext": dict(_BARE),
    }
    if restart == "Always":
        container |= {"livenessProbe": probe, "readinessProbe": probe}
    return {
        "serviceAccountName": "broken",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": restart,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 100, "runAsGroup": 101, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }


def hungry() -> dict[str, Any]:
    """The spec of a pod that reads more into its memory than it may have: podinfo does that by way of a file in /tmp."""
    spec = pod(_PODINFO, "./podinfo", "--port=9898", "--stress-memory=200", memory="48Mi")
    spec["containers"][0]["volumeMounts"] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - in the pod
    return {**spec, "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}}]}


def workload(kind: str, name: str, namespace: str, spec: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A Deployment, StatefulSet or DaemonSet of one pod."""
    labels = {"app.kubernetes.io/name": name}
    body = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}, **more}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": body}


def _spread(name: str) -> dict[str, Any]:
    selector = {"matchLabels": {"app.kubernetes.io/name": name}}
    return {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": selector}


def workloads(namespace: str) -> list[dict[str, Any]]:
    """What never gets ready, one of each kind; what ends with an error, needs more memory than it may have, has as many replicas as it may; a full quota."""
    return [
        workload("Deployment", "deployment", namespace, pod(_NOWHERE)),
        workload("StatefulSet", "statefulset", namespace, pod(_NOWHERE), serviceName="none"),
        workload("DaemonSet", "daemonset", namespace, pod(_NOWHERE)),
        workload("Deployment", "wide", namespace, {**pod(_NOWHERE), "topologySpreadConstraints": [_spread("wide")]}, replicas=2),
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "wide", "namespace": namespace},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "wide"},
                "minReplicas": 1,
                "maxReplicas": 2,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}],
            },
        },
        workload("Deployment", "crash", namespace, pod(_PODINFO, "./podinfo", "--no-such-option")),
        workload("Deployment", "memory", namespace, hungry()),
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "job", "namespace": namespace},
            "spec": {"backoffLimit": 0, "template": {"spec": pod(_PODINFO, "./podinfo", "--no-such-option", restart="Never")}},
        },
        # kube-root-ca.crt is there already.
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full", "namespace": namespace}, "spec": {"hard": {"configmaps": "1"}}},
    ]


def certificates(namespace: str) -> list[dict[str, Any]]:
    """One that is never issued, because its issuer cannot, and one that ends within a day; and an issuer without its CA."""

    def certificate(name: str, issuer: str, **more: Any) -> dict[str, Any]:
        spec = {
            "secretName": name,
            "dnsNames": [f"{name}.{namespace}.svc"],
            "issuerRef": {"kind": "ClusterIssuer", "group": "cert-manager.io", "name": issuer},
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
            "usages": ["digital signature", "server auth"],
            **more,
        }
        return {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": name, "namespace": namespace}, "spec": spec}

    return [
        certificate("never", "letsencrypt-staging"),
        certificate("short", "platform-ca", duration="24h", renewBefore="1h"),
        {"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": namespace}, "spec": {"ca": {"secretName": f"{namespace}-none"}}},
    ]


def unsealable(namespace: str) -> dict[str, Any]:
    """A SealedSecret that no key opens."""
    return {
        "apiVersion": "bitnami.com/v1alpha1",
        "kind": "SealedSecret",
        "metadata": {"name": "unsealable", "namespace": namespace},
        "spec": {"encryptedData": {"key": "AgB" + "A" * 700}, "template": {"metadata": {"name": "unsealable", "namespace": namespace}}},
    }


def kustomizations(name: str) -> list[dict[str, Any]]:
    """Two of Flux: one of a folder that does not exist, one that is suspended."""

    def kustomization(suffix: str, **more: Any) -> dict[str, Any]:
        spec = {
            "interval": "10m",
            "retryInterval": "15s",
            "timeout": "1m",
            "prune": True,
            "serviceAccountName": "kustomize-controller",
            "sourceRef": {"kind": "OCIRepository", "name": "flux-system"},
            "path": f"./{name}",
            **more,
        }
        metadata = {"name": f"{name}-{suffix}", "namespace": "flux-system"}
        return {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": metadata, "spec": spec}

    return [kustomization("broken"), kustomization("suspended", suspend=True)]


def issuers(namespace: str, names: Iterable[str], host: str, authority: str) -> list[dict[str, Any]]:
    """Issuers whose ACME server has no directory where they look for it. ``authority``: the PEM that the server's certificate is checked against."""
    acme = {
        "server": f"https://{host}/no-directory",
        "caBundle": base64.b64encode(authority.encode()).decode(),
        "solvers": [{"http01": {"ingress": {"ingressClassName": "nginx"}}}],
    }
    return [
        {
            "apiVersion": "cert-manager.io/v1",
            "kind": "Issuer",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"acme": {**acme, "privateKeySecretRef": {"name": name}}},
        }
        for name in names
    ]


def monitor(name: str, namespace: str) -> dict[str, Any]:
    """A PodMonitor that the operator rejects: its expression does not end."""
    relabelling = {"action": "replace", "regex": "(", "targetLabel": "never"}
    spec = {"selector": {"matchLabels": {"app.kubernetes.io/name": name}}, "podMetricsEndpoints": [{"port": "http", "relabelings": [relabelling]}]}
    return {"apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def ruler(name: str, namespace: str) -> dict[str, Any]:
    """A ThanosRuler that has nothing to ask, which the operator finds out only when it makes its pods."""
    return {"apiVersion": "monitoring.coreos.com/v1", "kind": "ThanosRuler", "metadata": {"name": name, "namespace": namespace}, "spec": {"replicas": 1}}


def sources(name: str, address: str, port: int) -> list[dict[str, Any]]:
    """Two sources that are fetched by way of a proxy: one that answers, or does not, and one that is not there. With the NetworkPolicy that lets Flux out."""
    egress = [{"to": [{"ipBlock": {"cidr": f"{address}/32"}}], "ports": [{"port": each, "protocol": "TCP"} for each in (port, _NOBODYS)]}]
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "flux-system"},
        "spec": {"podSelector": {"matchLabels": {"app": "source-controller"}}, "policyTypes": ["Egress"], "egress": egress},
    }
    return [policy, *_source(name, f"http://{address}:{port}"), *_source(f"{name}-refused", f"http://{address}:{_NOBODYS}")]


def _source(name: str, proxy: str) -> list[dict[str, Any]]:
    where = {"name": name, "namespace": "flux-system"}
    spec = {
        "interval": "1h",
        "timeout": "10m",
        # So that the proxy is asked, and not for a tunnel, which is given up after a minute.
        "insecure": True,
        "url": f"oci://ghcr.io/example/{name}",
        "ref": {"tag": "none"},
        "proxySecretRef": {"name": name},
    }
    return [
        {"apiVersion": "v1", "kind": "Secret", "metadata": where, "stringData": {"address": proxy}},
        {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "OCIRepository", "metadata": where, "spec": spec},
    ]


def vault_connection(name: str, namespace: str) -> dict[str, Any]:
    """A connection to Vault whose authority lies in a Secret that is not there."""
    spec = {"address": "https://vault.vault.svc:8200", "caCertSecretRef": name, "skipTLSVerify": False}
    return {"apiVersion": "secrets.hashicorp.com/v1beta1", "kind": "VaultConnection", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def signing_request(name: str, request: bytes) -> dict[str, Any]:
    """A request (PEM) for a client's certificate of an hour."""
    spec = {
        "request": base64.b64encode(request).decode(),
        "signerName": "kubernetes.io/kube-apiserver-client",
        "expirationSeconds": 3600,
        "usages": ["client auth"],
    }
    return {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name}, "spec": spec}
