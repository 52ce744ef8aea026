"""Bring an empty cluster to where Flux keeps it, and look after what Git cannot hold: sealing keys, and Vault's.

python -m harness bootstrap plan --cluster production --context production            what is done, and the commands for the rest
python -m harness bootstrap sealing-key ensure --cluster production --context production --backup sealing.box
python -m harness bootstrap seal --cluster production --values values.yaml            seals what the cluster's files hold, offline
python -m harness bootstrap flux --cluster production --context production
python -m harness bootstrap vault up --cluster production --context production --keys vault.box
python -m harness bootstrap status --cluster production --context production --keys vault.box

Every command looks first and does only what is not done, so that one that stopped is simply run again. No secret is printed, nor written
unencrypted, nor given as an argument. docs/operations.md has the whole order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.commands.bootstrap import flux, plan, seal, sealing_key, status, vault

if TYPE_CHECKING:
    from harness.commands import Command

HELP = "bring up an empty cluster, and keep its keys"
COMMANDS: dict[str, Command] = {"plan": plan, "flux": flux, "sealing-key": sealing_key, "seal": seal, "vault": vault, "status": status}
