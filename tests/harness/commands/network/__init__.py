"""Who can talk to whom: what the NetworkPolicies of a cluster, or of any manifests, allow and refuse.

  python -m harness network list --cluster kind                                       every connection that is allowed
  python -m harness network eval tenant-a/podinfo vault/vault 8200 --cluster kind     one connection, and who decides
  python -m harness network explain Deployment/shop/web shop/db --manifests k8s/      rule by rule, with what was missed
  python -m harness network exposure shop --label app=new --manifests k8s/            a pod that does not exist yet
  python -m harness network diff old/ new/                                            connections gained and lost

Evaluates NetworkPolicy of networking.k8s.io/v1; policies of other kinds are named as not evaluated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.commands.network import diff, evaluate, explain, exposure, pairs

if TYPE_CHECKING:
    from harness.commands import Command

HELP = "who can talk to whom"
COMMANDS: dict[str, Command] = {"list": pairs, "eval": evaluate, "explain": explain, "exposure": exposure, "diff": diff}
