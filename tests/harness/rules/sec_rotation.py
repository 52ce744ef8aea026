"""Rules about how long what Vault gives lasts, that a new value reaches who uses it, and that Vault is spoken to safely (SEC407 to SEC409)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from harness.engines.secrets.references import references
from harness.engines.vault.requests import CONNECTION, DYNAMIC, ISSUERS, PKI, STATIC, STORES
from harness.model import Severity
from harness.model.shapes import items, mapping, text
from harness.rules.base import Clusters, Objects, Registry, Violation, violation
from harness.rules.hlm_common import seconds
from harness.rules.vault_view import place, view

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.engines.vault.declared import Declarations
    from harness.flux.world import World
    from harness.model import Object

SEC: Final = Registry()

_OPERATOR: Final = (STATIC, DYNAMIC, PKI)
#: The longest that a token of a Kubernetes login, and what is read by polling, may last (Vault's own default for leases is 768h, meant for people).
_LONGEST: Final = timedelta(hours=24)
_TARGETS: Final = {"Deployment": "Deployment.apps", "StatefulSet": "StatefulSet.apps", "DaemonSet": "DaemonSet.apps", "argo.Rollout": "Rollout.argoproj.io"}


def _duration(value: object) -> float | None:
    """Seconds of ``90s``, ``1h``, ``30d`` or a plain number, as Vault reads durations; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    raw = text(value)
    if raw.isdigit():
        return float(raw)
    return float(raw[:-1]) * 86400 if raw.endswith("d") and raw[:-1].isdigit() else seconds(raw)


@SEC.rule(
    "SEC407",
    title="a role of Vault is bound by name and its tokens end within a day",
    why="a role that any account or namespace may use is everybody's, and a token without an end outlives its pod by a month (Vault's default: 768h)",
    fix="name the accounts and namespaces, and set token_ttl and token_max_ttl (24h at most) in the role or the auth method",
    scope=Clusters(),
    severity=Severity.WARNING,
    controls=("NIST-AC-6", "NIST-AC-12"),
)
def roles_bound(world: World) -> Iterator[Violation]:
    found = world.derive(view).declared
    for role in found.roles:
        where = place(world, role.spot)
        for what, names in (("account", role.accounts), ("namespace", role.namespaces)):
            if not names or "*" in names:
                yield Violation(f"role {role.name} admits every {what}", f"the {what}s by name", where)
        if "root" in role.policies:
            yield Violation(f"role {role.name} carries the policy root", "a policy of its own", where)
        method = found.auths.get(role.auth)
        default = method.options.get("max_lease_ttl") if method is not None else None
        ttl, longest = _duration(role.values.get("token_ttl") or role.values.get("ttl")), _duration(role.values.get("token_max_ttl") or default)
        limit = _LONGEST.total_seconds()
        if longest is None and (ttl is None or ttl > limit):
            yield Violation(f"role {role.name} without token_max_ttl", "24h or less", where)
        elif longest is not None and longest > limit:
            yield Violation(f"role {role.name} with tokens of up to {longest / 3600:.0f}h", "24h or less", where)
        if ttl is not None and longest is not None and ttl > longest > 0:
            yield Violation(f"role {role.name} with token_ttl above token_max_ttl", "token_ttl of at most token_max_ttl", where)


@SEC.rule(
    "SEC408",
    title="a new value of a secret from Vault reaches the pods that use it, and in time",
    why=(
        "a container keeps the environment and the subPath files it started with: after a rotation it goes on with credentials that are revoked; volumes "
        "follow by themselves (Vault Secrets Operator: rolloutRestartTargets; Kubernetes: Secrets, Mounted Secrets are updated automatically)"
    ),
    fix="name the workload in rolloutRestartTargets, or mount the Secret as a volume; and ask again well before the lease ends",
    scope=Objects(_OPERATOR),
    controls=("NIST-IA-5", "NIST-SC-12"),
)
def rotation_arrives(item: Object, world: World) -> Iterator[Violation]:
    destination = text(mapping(item.spec.get("destination")).get("name"))
    targets = {
        (text(mapping(entry).get("kind")), text(mapping(entry).get("name"))): index for index, entry in enumerate(items(item.spec.get("rolloutRestartTargets")))
    }
    users = world.derive(_fixed_users).get((item.namespace, destination), ())
    for user in users:
        if (user.kind, user.name) not in targets and user.kind in ("Deployment", "StatefulSet", "DaemonSet"):
            at = ("spec", "rolloutRestartTargets") if targets else ("spec", "destination", "name")
            found = f"{user.kind} {user.name} has Secret {destination} in its environment or by subPath, and is no restart target"
            yield violation(item, *at, found=found, expect=f"rolloutRestartTargets with {user.kind} {user.name}")
    for (kind, name), index in targets.items():
        known = _TARGETS.get(kind)
        if known is None or (world.find(known, item.namespace, name) is None and world.of(known)):
            yield violation(
                item, "spec", "rolloutRestartTargets", index, found=f"restart target {kind} {name}, which the namespace does not have", expect="a workload"
            )
    yield from _in_time(item, world)


def _fixed_users(world: World) -> Mapping[tuple[str, str], list[Object]]:
    """The workloads that keep the value of a Secret for the life of a container: environment variables, and files mounted by ``subPath``."""
    found: dict[tuple[str, str], list[Object]] = {}
    for pod in world.pods:
        by_path = {
            text(mapping(mount).get("name")) for each in pod.containers() for mount in items(each.body.get("volumeMounts")) if mapping(mount).get("subPath")
        }
        for reference in references(pod.object):
            volume = mapping(pod.object.get(*reference.pointer[: len(pod.at) + 3])) if reference.role == "volume" else {}
            if reference.kind == "Secret" and (reference.role == "environment" or (volume and text(volume.get("name")) in by_path)):
                users = found.setdefault((reference.namespace, reference.name), [])
                if pod.object not in users:
                    users.append(pod.object)
    return found


def _in_time(item: Object, world: World) -> Iterator[Violation]:
    kind, declared = str(item.group_kind), world.derive(view).declared
    if kind == STATIC:
        refresh = _duration(item.spec.get("refreshAfter"))
        if refresh is not None and refresh > _LONGEST.total_seconds():
            yield violation(
                item, "spec", "refreshAfter", found=f"refreshAfter: {item.spec['refreshAfter']}", expect="24h or less: until then the old value is used"
            )
        if refresh is None and not mapping(item.spec.get("syncConfig")).get("instantUpdates"):
            yield violation(item, "spec", found="no refreshAfter: a value that changes in Vault is never read again", expect="refreshAfter, well below a day")
        return
    if kind == DYNAMIC:
        percent = item.spec.get("renewalPercent", 67)
        if isinstance(percent, int) and not 0 < percent <= 90:
            yield violation(item, "spec", "renewalPercent", found=f"renewalPercent: {percent}", expect="1 to 90: what is left must be enough to renew")
        ttl, refresh = _lease(item, declared), _duration(item.spec.get("refreshAfter"))
        if ttl is not None and refresh is not None and refresh >= ttl:
            yield violation(
                item, "spec", "refreshAfter", found=f"refreshAfter: {item.spec['refreshAfter']}, and the lease is {ttl:.0f}s", expect="less than the lease"
            )
        return
    ttl, offset = _duration(item.spec.get("ttl")), _duration(item.spec.get("expiryOffset"))
    if ttl is not None and offset is not None and offset >= ttl:
        yield violation(item, "spec", "expiryOffset", found=f"expiryOffset: {item.spec['expiryOffset']} of ttl {item.spec['ttl']}", expect="less than ttl")


def _lease(item: Object, declared: Declarations) -> float | None:
    """The lease of what a VaultDynamicSecret asks for, as far as the role of its engine says."""
    mount, _, role = text(item.spec.get("mount")).strip("/"), *text(item.spec.get("path")).strip("/").rpartition("/")[1:]
    written = declared.written(f"{mount}/roles/{role}")
    return _duration(written.values.get("token_default_ttl") or written.values.get("default_ttl")) if written is not None else None


@SEC.rule(
    "SEC409",
    title="Vault is spoken to over TLS that is checked",
    why="whoever can answer in Vault's place gets the service account's token, and hands out secrets of his own",
    fix="use https, name the authority (caCertSecretRef, caBundleSecretRef, caBundle, caProvider) and leave skipTLSVerify false",
    scope=Objects((CONNECTION, *ISSUERS, *STORES)),
    controls=("NIST-SC-8", "NIST-SC-23"),
)
def vault_over_tls(item: Object, world: World) -> Iterator[Violation]:
    if str(item.group_kind) == CONNECTION:
        at, body, field = ("spec",), item.spec, "address"
        if body.get("skipTLSVerify") is True:
            yield violation(item, "spec", "skipTLSVerify", found="skipTLSVerify: true", expect="false, and the authority's certificate")
    elif str(item.group_kind) in ISSUERS:
        at, body, field = ("spec", "vault"), mapping(item.spec.get("vault")), "server"  # type: ignore[assignment]
    else:
        at, body, field = ("spec", "provider", "vault"), mapping(mapping(item.spec.get("provider")).get("vault")), "server"  # type: ignore[assignment]
    address = text(body.get(field))
    if not address or "${" in address:
        return
    url = urlsplit(address)
    if url.scheme != "https":
        yield violation(item, *at, field, found=f"{field}: {address}", expect="https")
        return
    yield from _same_name(item, world, (*at, field), text(body.get("tlsServerName")) or (url.hostname or ""), url.hostname or "")


def _same_name(item: Object, world: World, at: tuple[str, ...], name: str, host: str) -> Iterator[Violation]:
    """A Vault inside the cluster, whose Certificate does not have the name that is checked."""
    from harness.engines.certificates.names import covers

    parts = host.split(".")
    service = world.find("Service", parts[1] if len(parts) > 1 else item.namespace, parts[0])
    if service is None:
        return
    certificates = [each for each in world.of("Certificate.cert-manager.io") if each.namespace == service.namespace]
    served = [each for each in certificates if any(covers(str(san), host) for san in items(each.spec.get("dnsNames")))]
    if certificates and served and not any(covers(str(san), name) for each in served for san in items(each.spec.get("dnsNames"))):
        found = f"{name} is expected in the certificate, and {served[0].name} has {', '.join(map(str, items(served[0].spec.get('dnsNames'))))}"
        yield violation(item, *at, found=found, expect="a name of the certificate")


RULES: Final = tuple(SEC.rules)
