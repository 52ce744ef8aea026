"""Bad days on purpose: the node restarts, controllers die, the registry is gone, a certificate is over, the volume of the logs is full.

What is expected of each is what ``docs/operations.md`` and ``docs/runbooks.md`` promise.
"""

from __future__ import annotations

import base64
import json
import shlex
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from harness.live.findings import NotEvaluatedError
from harness.live.ground.beside import NETWORK
from harness.live.ground.vault import VaultUp
from harness.live.reach.wait import wait
from harness.live.sync.readiness import KINDS, Tree
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.live.bringup import Platform
    from harness.live.ground.cluster import Cluster

WORKLOADS: Final = ("deployments.apps", "statefulsets.apps", "daemonsets.apps")
#: Where the node keeps what a volume held while a small one is in its place.
_KEPT: Final = "/var/tmp/plimsoll-kept"  # noqa: S108 - in the node, which only this run enters
#: Seconds after which what nobody mended mends itself.
_LASTS: Final = 600
#: Bytes that the small volume has beyond what lies on it.
_ROOM: Final = 16 * 2**20


def workloads_unready(bodies: list[dict[str, Any]]) -> list[str]:
    """The Deployments, StatefulSets and DaemonSets that have fewer ready pods than they want, or whose status is of an older generation."""
    found = []
    for body in bodies:
        metadata, spec, status = (mapping(body.get(part)) for part in ("metadata", "spec", "status"))
        wanted = status.get("desiredNumberScheduled", 0) if body.get("kind") == "DaemonSet" else spec.get("replicas", 1)
        ready = status.get("numberReady" if body.get("kind") == "DaemonSet" else "readyReplicas") or 0
        seen = status.get("observedGeneration", 0) >= metadata.get("generation", 0)
        if not seen or not isinstance(wanted, int) or not isinstance(ready, int) or ready < wanted:
            found.append(f"{body.get('kind')}/{metadata.get('namespace')}/{metadata.get('name')}: {ready} of {wanted} ready")
    return found


def settle(platform: Platform, timeout: float) -> None:
    """Wait until Flux reports everything ready and every workload has its pods. Raises WaitError with what is missing."""
    kubectl = platform.cluster.kubectl
    missing: list[str] = []

    def settled() -> bool:
        tree = Tree(kubectl.list(*KINDS), platform.expected)
        missing[:] = [str(cause) for cause in tree.causes()] + workloads_unready(kubectl.list(*WORKLOADS))
        return not missing

    wait(settled, successes=2, timeout=timeout, delay=3, what="the platform to be as it was", status=lambda: "\n".join(missing))


def nodes_of(cluster: Cluster) -> list[str]:
    """The containers that are the cluster's nodes. Raises NotEvaluatedError for a cluster whose nodes cannot be entered from here."""
    found = cluster.nodes()
    if not found:
        raise NotEvaluatedError("nodes", "live proof", "the nodes of this cluster cannot be touched from here")
    return found


def restart(cluster: Cluster, node: str) -> None:
    """Stop a node as a machine stops, start it, and wait until it is Ready with a status of after that."""

    def heartbeat() -> tuple[str, str]:
        body = cluster.kubectl.get("nodes", node) or {}
        ready = next((item for item in map(mapping, items(mapping(body.get("status")).get("conditions"))) if item.get("type") == "Ready"), {})
        return text(ready.get("status")), text(ready.get("lastHeartbeatTime"))

    before = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    cluster.docker("restart", "--time=20", node, timeout=180)

    def back() -> bool:
        status, when = heartbeat()
        return status == "True" and when > before

    wait(back, timeout=240, delay=2, what=f"node {node} to be Ready again")


def unseal(platform: Platform, timeout: float) -> bool:
    """What a keeper does after a restart: unseal Vault with the bootstrap's own code. False where the cluster has none.

    Raises:
        NotEvaluatedError: this run does not have the keys.
        WaitError: it stays sealed.
    """
    if not VaultUp.wanted(platform.world):
        return False
    if platform.pair is None:
        raise NotEvaluatedError("Vault", "unseal", "this run does not have the keys of the cluster")
    error = [""]

    def unsealed() -> bool:
        # Each try is the whole of what a keeper does; one that came before Vault listens is simply made again.
        vault = VaultUp(platform.cluster, platform.workspace, platform.pair, platform.journal, timeout=timeout)  # type: ignore[arg-type]
        vault.start()
        wait(lambda: vault.done, timeout=timeout, what="the keeper")
        error[0] = vault.error
        return not vault.error

    wait(unsealed, timeout=timeout, delay=5, what="Vault to be unsealed", status=lambda: error[0])
    return True


@contextmanager
def refused(cluster: Cluster, container: str) -> Iterator[None]:
    """Connections of pods to a container of the docker network are refused on every node. Ends by itself after minutes, should nobody end it."""
    address = cluster.docker("inspect", f'--format={{{{(index .NetworkSettings.Networks "{NETWORK}").IPAddress}}}}', container).strip()
    rule = f"FORWARD --destination {address} --protocol tcp --jump REJECT --reject-with tcp-reset"
    nodes = nodes_of(cluster)
    try:
        for node in nodes:
            later = f"setsid bash -c 'sleep {_LASTS}; iptables --delete {rule}' >/dev/null 2>&1 &"
            cluster.docker("exec", node, "bash", "-c", f"iptables --insert {rule} && {later}")
        yield
    finally:
        for node in nodes:
            cluster.docker("exec", node, "bash", "-c", f"while iptables --delete {rule} 2>/dev/null; do :; done")


def expired(certificate: str, authority: str, key: str, now: datetime) -> str:
    """A certificate (PEM) that is like another one and ended yesterday, signed by an authority with its key (both PEM)."""
    like = x509.load_pem_x509_certificate(certificate.encode())
    signer = x509.load_pem_x509_certificate(authority.encode())
    builder = (
        x509.CertificateBuilder()
        .subject_name(like.subject)
        .issuer_name(signer.subject)
        .public_key(like.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now - timedelta(days=1))
    )
    for extension in like.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    signed = builder.sign(serialization.load_pem_private_key(key.encode(), None), hashes.SHA256())  # type: ignore[arg-type]
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def opened(secret: Mapping[str, Any]) -> dict[str, str]:
    """The values of a Secret as text."""
    return {key: base64.b64decode(value).decode("utf-8", "replace") for key, value in mapping(secret.get("data")).items()}


@contextmanager
def with_value(platform: Platform, namespace: str, name: str, values: Mapping[str, str]) -> Iterator[None]:
    """A Secret with other values, which are left there: mending it is somebody else's promise."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    platform.cluster.kubectl("patch", "secret", name, f"--namespace={namespace}", "--type=merge", "--patch-file=/dev/stdin", stdin=json.dumps({"data": data}))
    yield


def volume_path(platform: Platform, namespace: str, claim: str) -> str:
    """The folder on the node that a claim's volume is. Raises NotEvaluatedError when it is none."""
    kubectl = platform.cluster.kubectl
    body = kubectl.get("persistentvolumeclaims", claim, namespace) or {}
    volume = kubectl.get("persistentvolumes", text(mapping(body.get("spec")).get("volumeName"))) or {}
    spec = mapping(volume.get("spec"))
    path = text(mapping(spec.get("hostPath") or spec.get("local")).get("path"))
    if not path:
        raise NotEvaluatedError(f"PersistentVolumeClaim/{namespace}/{claim}", "full volume", "the volume is no folder of the node, so it cannot be made small")
    return path


class Small:
    """A volume on a node made so small that it can be filled. Used while nothing mounts it; what lay on it is there, before and after."""

    def __init__(self, cluster: Cluster, node: str, path: str) -> None:
        self._cluster, self._node, self._path = cluster, node, path

    def shrink(self) -> None:
        """Put a small file system in its place."""
        path, kept = shlex.quote(self._path), shlex.quote(_KEPT)
        self._on_node(
            f"set -e; used=$(du -sb {path} | cut -f1); rm -rf {kept}; cp -a {path} {kept}; "
            f"mount -t tmpfs -o size=$((used + {_ROOM})),mode=$(stat -c %a {kept}),uid=$(stat -c %u {kept}),gid=$(stat -c %g {kept}) tmpfs {path}; "
            f"cp -a {kept}/. {path}/"
        )

    def fill(self) -> None:
        """Leave no byte free."""
        self._on_node(f"dd if=/dev/zero of={shlex.quote(self._path)}/plimsoll-ballast bs=64k 2>/dev/null || true")

    def free(self) -> None:
        """Make room again."""
        self._on_node(f"rm -f {shlex.quote(self._path)}/plimsoll-ballast")

    def restore(self) -> None:
        """The volume as it was, with what is on the small one now. Nothing to do when it was never made small."""
        path, kept = shlex.quote(self._path), shlex.quote(_KEPT)
        self._on_node(
            f"set -e; rm -f {path}/plimsoll-ballast; mountpoint -q {path} || exit 0; rm -rf {kept}; cp -a {path} {kept}; umount {path}; "
            f"find {path} -mindepth 1 -delete; cp -a {kept}/. {path}/; rm -rf {kept}"
        )

    def _on_node(self, script: str) -> None:
        self._cluster.docker("exec", self._node, "bash", "-c", script, timeout=120)


@contextmanager
def all_of(*blocks: Any) -> Iterator[None]:
    """Several blocks as one, left in the reverse order."""
    with ExitStack() as stack:
        for block in blocks:
            stack.enter_context(block)
        yield
