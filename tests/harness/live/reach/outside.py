"""A machine beside the cluster: a container on the docker network, with neighbours of its own that can be forgotten.

A machine that has talked to an address keeps sending to the same node whatever the network says since; only one that asks anew sees who announces it.
"""

from __future__ import annotations

import json
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.live.findings import NotEvaluatedError
from harness.live.ground.beside import NETWORK
from harness.live.reach.run import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.live.ground.cluster import Cluster


#: Seconds after which a container goes by itself, should nobody remove it.
_LIVES: Final = "900"
_SECONDS: Final = "3"


@dataclass(frozen=True, slots=True)
class Outside:
    """One such machine."""

    cluster: Cluster
    container: str

    def neighbour(self, address: str) -> str:
        """The hardware address that answers for an address of the network when asked anew, in lower case; empty when nobody does."""
        self.cluster.docker("exec", self.container, "ip", "neigh", "flush", "dev", "eth0")
        self.ask(address)
        said = self.cluster.docker("exec", self.container, "ip", "-json", "neigh", "show", address)
        return next((str(entry["lladdr"]).lower() for entry in json.loads(said or "[]") if entry.get("lladdr")), "")

    def ask(self, address: str) -> str:
        """The status that a plain request to an address gets, or why it gets none, in curl's words."""
        command = ("curl", "--silent", "--show-error", "--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", _SECONDS, f"http://{address}/")
        try:
            return self.cluster.docker("exec", self.container, *command).strip()
        except RunError as error:
            return error.reason


@contextmanager
def outside(cluster: Cluster) -> Iterator[Outside]:
    """A machine beside the cluster for the duration of a block, of the nodes' own image, which is at hand.

    Raises:
        NotEvaluatedError: the cluster is not kind's.
    """
    if cluster.foreign:
        raise NotEvaluatedError(cluster.context(), "a machine beside the cluster", "its network cannot be joined from here")
    image = cluster.docker("inspect", "--format={{.Image}}", f"{cluster.wanted.name}-control-plane").strip()
    name = f"{cluster.wanted.name}-outside-{secrets.token_hex(4)}"
    options = ("--detach", "--rm", f"--name={name}", f"--network={NETWORK}", "--cap-add=NET_ADMIN", "--entrypoint=sleep")
    try:
        cluster.docker("run", *options, image, _LIVES, timeout=120)
        yield Outside(cluster, name)
    finally:
        cluster.docker("rm", "--force", name)


def hardware(cluster: Cluster, node: str) -> str:
    """The hardware address of a node on the docker network, in lower case."""
    return cluster.docker("exec", node, "cat", "/sys/class/net/eth0/address").strip().lower()
