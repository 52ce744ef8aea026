"""Probes of Vault through the cluster: what its audit devices say, what the secrets operator brings to pods, and whether its alert is there."""

from __future__ import annotations

import json
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.live.bootstrap.base import condition
from harness.live.bootstrap.vault_api import NAMESPACE
from harness.live.reach.forwards import Client
from harness.live.secrets.sealed_probe import decoded
from harness.live.secrets.vault_state import events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.live.ground.cluster import Cluster
    from harness.live.reach.forwards import Forwards
    from harness.live.reach.kubectl import Kubectl
    from harness.live.secrets.vault_client import VaultClient

STATIC_KIND: Final = "vaultstaticsecrets.secrets.hashicorp.com"
DYNAMIC_KIND: Final = "vaultdynamicsecrets.secrets.hashicorp.com"
_GROUP: Final = "secrets.hashicorp.com/v1beta1"
#: Closes the connections of the program $1 to the port $2.
_HANG_UP: Final = """
for folder in /proc/[0-9]*; do
  IFS= read -r -d '' program 2>/dev/null < "$folder/cmdline"
  if [ "$program" = "$1" ]; then
    nsenter --target "${folder#/proc/}" --net ss --no-header --kill --tcp state established "( dport = :$2 )"
  fi
done
true
"""
_LINES: Final = 3000
#: Seconds back in a log.
_BACK: Final = 180


def account(namespace: str, name: str = "vault-auth") -> dict[str, Any]:
    """A service account as those that log in to Vault are."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}, "automountServiceAccountToken": False}


def new_name() -> str:
    """A name that no other proof has."""
    return f"proof-vault-{secrets.token_hex(4)}"


# -- the audit devices


def streams(kubectl: Kubectl, cluster: Cluster, pod: str) -> dict[str, str]:
    """The last lines that each audit device of a member wrote, by device: the one that writes to the pod's log, and the file on its volume.

    The file is looked at on the node; where nodes cannot be entered it is left out.
    """
    found = {"stdout": kubectl("logs", pod, f"--namespace={NAMESPACE}", "--container=vault", f"--since={_BACK}s", f"--tail={_LINES}")}
    if not cluster.foreign:
        claim = kubectl.json("get", "persistentvolumeclaims", f"audit-{pod}", f"--namespace={NAMESPACE}")
        volume = kubectl.json("get", "persistentvolumes", claim["spec"]["volumeName"])["spec"]
        path = (volume.get("hostPath") or volume.get("local") or {}).get("path", "")
        node = kubectl.json("get", "pods", pod, f"--namespace={NAMESPACE}")["spec"]["nodeName"]
        found["file"] = cluster.docker("exec", node, "tail", "-n", str(_LINES), f"{path}/audit.log")
    return found


def audited(kubectl: Kubectl, cluster: Cluster, pod: str) -> dict[str, list[dict[str, Any]]]:
    """The events in :func:`streams`."""
    return {name: events(text) for name, text in streams(kubectl, cluster, pod).items()}


# -- policies, for as long as a block lasts


@contextmanager
def policy(client: VaultClient, token: str, name: str, more: str) -> Iterator[None]:
    """A policy of Vault with some text more."""
    before = str(client.good("GET", f"sys/policies/acl/{name}", None, token)["data"]["policy"])
    try:
        client.good("PUT", f"sys/policies/acl/{name}", {"policy": before + more}, token)
        yield
    finally:
        client.good("PUT", f"sys/policies/acl/{name}", {"policy": before}, token)


@contextmanager
def unaudited(client: VaultClient, token: str, device: str) -> Iterator[None]:
    """Vault without one of its audit devices."""
    known = client.good("GET", "sys/audit", None, token)["data"][f"{device}/"]
    try:
        client.good("DELETE", f"sys/audit/{device}", None, token)
        yield
    finally:
        if f"{device}/" not in client.good("GET", "sys/audit", None, token)["data"]:
            client.good("PUT", f"sys/audit/{device}", {"type": known["type"], "options": known["options"]}, token)


# -- what the operator of the tenants brings


def static_secret(name: str, namespace: str, path: str) -> dict[str, Any]:
    """A VaultStaticSecret that is looked at every few seconds."""
    spec = {
        "vaultAuthRef": "vault",
        "type": "kv-v2",
        "mount": "kv",
        "path": path,
        "refreshAfter": "5s",
        "hmacSecretData": True,
        "destination": {"name": name, "create": True},
    }
    return {"apiVersion": _GROUP, "kind": "VaultStaticSecret", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def dynamic_secret(name: str, namespace: str, path: str, *, ttl: str, percent: int) -> dict[str, Any]:
    """A VaultDynamicSecret of the tenant's credentials that is renewed after so many percent of its time."""
    spec = {
        "vaultAuthRef": "vault",
        "mount": "kubernetes-creds",
        "path": path,
        "params": {"kubernetes_namespace": namespace, "ttl": ttl},
        "requestHTTPMethod": "PUT",
        "renewalPercent": percent,
        "revoke": True,
        "destination": {"name": name, "create": True},
    }
    return {"apiVersion": _GROUP, "kind": "VaultDynamicSecret", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


@dataclass(frozen=True)
class Brought:
    """What a Secret of the operator holds, and what its object says."""

    kubectl: Kubectl
    kind: str
    name: str
    namespace: str
    secret: str

    @property
    def values(self) -> dict[str, str]:
        """The Secret's texts; none when there is no Secret."""
        return decoded(self.kubectl.get("secret", self.secret, self.namespace) or {})

    @property
    def body(self) -> dict[str, Any]:
        """The operator's object."""
        return self.kubectl.get(self.kind, self.name, self.namespace) or {}

    def state(self) -> str:
        """What its conditions say, without any value."""
        said = [
            f"{kind} {status}{f': {message}' if message and status != 'True' else ''}"
            for kind in ("Ready", "Healthy", "SecretSynced")
            for status, message in [condition(self.body, kind)]
            if status
        ]
        return "; ".join(said) or "the operator says nothing yet"


def environment(forwards: Forwards, namespace: str) -> dict[str, str]:
    """The environment that podinfo runs with, as it says itself."""
    client = Client(forwards, "svc/podinfo", 80, namespace)
    try:
        lines = client.json("/env")
    except OSError:
        # Its pod may have been replaced: the way leads to another one the next time.
        forwards.drop("svc/podinfo", 80, namespace)
        raise
    return dict(str(line).partition("=")[::2] for line in lines)


# -- the way to Vault


def hang_up(cluster: Cluster, node: str, program: str, port: int) -> int:
    """Close what a program on a node has open to a port, seen from its network; how many connections that were.

    A NetworkPolicy that is gone, or new, is about connections to come. Source: ss(8), ``--kill``.
    """
    return len([line for line in cluster.docker("exec", node, "bash", "-c", _HANG_UP, "hang-up", program, str(port)).splitlines() if line.strip()])


# -- the alert


def firing(forwards: Forwards, *names: str) -> list[dict[str, Any]]:
    """The alerts of some names that Alertmanager holds as active."""
    chosen = {"filter": f"alertname=~{json.dumps('|'.join(names))}"}
    found = Client(forwards, "svc/kube-prometheus-stack-alertmanager", 9093, "monitoring").json("/api/v2/alerts", chosen)
    return [{**alert, "state": alert["status"]["state"]} for alert in found if alert["status"]["state"] != "unprocessed"]
