"""The live rules about secrets: sealed in Git, opened in the cluster; kept, issued and audited by Vault."""

from __future__ import annotations

from typing import Final

from harness.live.findings import LiveRule

OPENED: Final = LiveRule(
    id="LIV401",
    title="every SealedSecret of the cluster is open, and its Secret holds exactly what was sealed",
    why="a Secret that is old or missing keeps what uses it from starting, or running with a credential that was withdrawn",
    fix="read the SealedSecret's condition Synced; a value for another key has to be sealed again (docs/operations.md, Rotation)",
    controls=("NIST-SC-28",),
)
SEALED_USED: Final = LiveRule(
    id="LIV402",
    title="a value that is sealed in Git reaches the process in the pod that uses it, and a controller that is away is seen",
    why="what is opened and used by nobody, or used without being what was sealed, protects nothing",
    fix="follow it: SealedSecret, Secret, volume or variable of the pod",
    controls=("NIST-SC-28", "NIST-IA-5"),
)
BOUND: Final = LiveRule(
    id="LIV403",
    title="a sealed value opens under the namespace and name that it was sealed for and under no other, and no wider scope is admitted",
    why="whoever may write a SealedSecret anywhere could otherwise copy everybody's ciphertexts from Git, and read them",
    fix="seal with the scope strict; see that the policy restrict-sealed-secret-scope denies",
    controls=("NIST-AC-3", "NIST-SC-28"),
)
ROTATED: Final = LiveRule(
    id="LIV404",
    title="after a rotation the controller seals with the new key, and opens what either key sealed",
    why="a rotation that loses what the old key sealed is an outage, one whose key nobody uses is none",
    fix="see whether the controller read its keys again (its log: registered private key)",
    controls=("NIST-SC-12",),
)
BROUGHT_BACK: Final = LiveRule(
    id="LIV405",
    title="the keys in the encrypted backup, brought into a controller that never had them, open what was sealed before",
    why="a backup that was never brought back is a hope; without the key everything in Git must be sealed again from its origin",
    fix="write the backup again (docs/operations.md, Backup and restore), and see what of it is missing",
    controls=("NIST-CP-9", "NIST-SC-12"),
)
CERTIFICATE: Final = LiveRule(
    id="LIV406",
    title="the certificate that values are sealed for is that of a key the cluster has",
    why="what is sealed for any other certificate can never be opened here",
    fix="sealing-key ensure moves the certificate in Git to the newest key (docs/operations.md, Rotation)",
)
UNSEALED: Final = LiveRule(
    id="LIV421",
    title="every member of Vault is initialised and unsealed, and one leads",
    why="a sealed member serves nobody, and is no member where a quorum is counted",
    fix="docs/operations.md, Unseal Vault",
)
AS_DECLARED: Final = LiveRule(
    id="LIV422",
    title="Vault holds the audit devices, auth methods, mounts, policies and roles that Git declares, as declared, and no others",
    why="what the static rules prove of Vault's declarations holds for Vault itself only as long as it has them and nothing besides",
    fix="see the log of the Job vault-config; take away by hand what somebody made by hand, it only adds",
    controls=("NIST-AC-3", "NIST-CM-3"),
)
TENANT_DENIED: Final = LiveRule(
    id="LIV423",
    title="a tenant reads its own secrets from Vault, no other tenant's, and cannot log in as another",
    why="the tenants' isolation is Vault's policies alone, once somebody has a token",
    fix="correct tenant.policy.hcl or the role in tenant.vault, and see whether the Job vault-config wrote them",
    controls=("NIST-AC-3", "NIST-AC-6"),
)
DENIAL_AUDITED: Final = LiveRule(
    id="LIV424",
    title="every audit device of Vault has each refusal, with who asked and for what, and no secret in the clear",
    why="an attempt that nobody can see afterwards was free; a log with secrets in it is a second Vault without a lock",
    fix="see `audit` in platform.vault and what the Job vault-config says of it",
    controls=("NIST-AU-2", "NIST-AU-3"),
)
STATIC: Final = LiveRule(
    id="LIV425",
    title="a value in Vault reaches the pod that uses it, and a new one restarts the pod with it",
    why="a rotation that does not arrive leaves the old credential in use, and the pod broken when it is withdrawn",
    fix="follow it: VaultAuth, VaultStaticSecret (events), Secret, rollout of the Deployment",
    controls=("NIST-IA-5",),
)
DYNAMIC: Final = LiveRule(
    id="LIV426",
    title="a dynamic secret is issued, opens what it should and nothing else, is replaced before it ends, and its lease is revoked with it",
    why="credentials that live for an hour are worth it only as long as they come in time, and go",
    fix="follow it: VaultDynamicSecret (events), the role in kubernetes-creds, the RoleBinding vault-token-issuer",
    controls=("NIST-IA-5", "NIST-AC-6"),
)
SNAPSHOT: Final = LiveRule(
    id="LIV427",
    title="a snapshot is taken with the right that the CronJob has, and restored it brings back what Vault held then",
    why="without it a lost volume is a lost Vault",
    fix="docs/operations.md, Backup and restore; the log of the Job says what Vault refused",
    controls=("NIST-CP-9", "NIST-CP-10"),
)
SEALED_ALERT: Final = LiveRule(
    id="LIV428",
    title="a sealed Vault raises VaultSealed and VaultNoLeader in Alertmanager, and both end once it is unsealed",
    why="leases run out one by one while nobody knows",
    fix="see whether Prometheus scrapes sealed members (vault_core_unsealed), and the alert's route",
    controls=("NIST-SI-4",),
)

RULES: Final = (
    *(OPENED, SEALED_USED, BOUND, ROTATED, BROUGHT_BACK, CERTIFICATE),
    *(UNSEALED, AS_DECLARED, TENANT_DENIED, DENIAL_AUDITED, STATIC, DYNAMIC, SNAPSHOT, SEALED_ALERT),
)
