"""Vault of a run: initialised, unsealed and configured by the bootstrap's own code while Flux brings the rest up."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

from harness.flux.kinds import KUSTOMIZATION
from harness.live.bootstrap.base import BootstrapError, Journal
from harness.live.bootstrap.box import Keys
from harness.live.bootstrap.vault import JOB, Vault
from harness.live.bootstrap.vault_api import Forwarded, commands
from harness.live.ground.cluster import KEYFILE
from harness.live.reach.run import RunError
from harness.live.reach.wait import WaitError

if TYPE_CHECKING:
    from harness.flux.workspace import Workspace
    from harness.flux.world import World
    from harness.live.bootstrap.sealing import Pair
    from harness.live.ground.cluster import Cluster

SCRIPTS = "clusters/base/infrastructure/vault/configs"


def vault_of(cluster: Cluster, pair: Pair, journal: Journal, *, timeout: float) -> Vault:
    """Vault of a run's cluster as the bootstrap sees it. ``pair`` opens its key file."""
    passphrase = hashlib.sha256(pair.key.encode()).hexdigest()
    return Vault("kind", cluster.kubectl, Forwarded(cluster.kubectl), cluster.folder / KEYFILE, Keys(passphrase=passphrase), journal, timeout=timeout)


class VaultUp:
    """The bootstrap of Vault beside everything else. ``error`` says why it failed; empty while it works and when it is done."""

    def __init__(self, cluster: Cluster, workspace: Workspace, pair: Pair, journal: Journal, *, timeout: float) -> None:
        """``pair`` is the cluster's sealing key: who has it has everything else, so the key file of Vault is closed for it, and a kept cluster can open it."""
        self.vault = vault_of(cluster, pair, journal, timeout=timeout)
        self.error = ""
        self._workspace = workspace
        self._thread = threading.Thread(target=self._run, name="vault", daemon=True)

    @staticmethod
    def wanted(world: World) -> bool:
        """Whether a world has a Vault that waits for somebody."""
        return world.find(KUSTOMIZATION, "flux-system", JOB) is not None

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return not self._thread.is_alive() and self._thread.ident is not None

    def start(self) -> None:
        """Begin, and come back at once."""
        self._thread.start()

    def _run(self) -> None:
        folder = self._workspace.root / SCRIPTS
        try:
            files = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.hcl"))}
            script = commands((folder / "configure.sh").read_text(encoding="utf-8"), files)
            # Three shares, two of them needed: what more than one keeper has to do is done here too.
            self.vault.up(script, 3, 2)
        except (BootstrapError, RunError, WaitError, OSError) as error:
            self.error = f"Vault: {error}"
