"""Rules about Vault: its policies, roles, mounts and what asks for them agree (SEC401 to SEC406)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from harness.engines.vault.acl import Acl
from harness.engines.vault.requests import DYNAMIC, ISSUERS, PKI, STATIC, STORES, SYSTEM, Login, Request, declared_requests
from harness.model import NotEvaluated, Severity
from harness.rules.base import Clusters, Registry, Violation
from harness.rules.order_makers import may_be_elsewhere
from harness.rules.vault_view import BUILT_IN, VaultView, place, shown, view
from harness.source.intent import read_intent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.engines.vault.declared import Spot
    from harness.flux.world import World

SEC: Final = Registry()

_ACL: Final = "Vault documentation, Policies"
_INTENT: Final = "vault.yaml"
_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["privileged"],
    "properties": {
        "privileged": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["policy", "reason"],
                "properties": {"policy": {"type": "string", "minLength": 1}, "reason": {"type": "string", "minLength": 10}},
            },
        }
    },
}
#: Paths by which whoever may write them becomes an administrator, or takes everything along; and what is done there.
_POWER: Final = (
    ("sys/policies/acl/x", ("create", "update"), "writes policies"),
    ("sys/policy/x", ("create", "update"), "writes policies"),
    ("sys/auth/x", ("create", "update"), "enables auth methods"),
    ("sys/mounts/x", ("create", "update", "delete"), "changes mounts"),
    ("sys/raw/x", ("read", "create", "update"), "reads the storage"),
    ("sys/storage/raft/snapshot", ("read", "create", "update"), "takes or restores snapshots"),
    ("sys/remount", ("create", "update"), "moves mounts"),
    ("auth/token/create", ("create", "update", "sudo"), "makes tokens"),
    ("auth/token/create-orphan", ("create", "update"), "makes tokens"),
    ("auth/kubernetes/role/x", ("create", "update"), "writes roles"),
    ("auth/approle/role/x", ("create", "update"), "writes roles"),
    ("identity/entity", ("create", "update"), "writes identities"),
    ("sys/seal", ("update",), "seals Vault"),
)
#: Where an engine keeps the roles that a request names, by the type of the engine and the first word of the request.
_ROLES: Final = {
    ("pki", "issue"): "roles",
    ("pki", "sign"): "roles",
    ("kubernetes", "creds"): "roles",
    ("database", "creds"): "roles",
    ("database", "static-creds"): "static-roles",
    ("aws", "creds"): "roles",
    ("aws", "sts"): "roles",
    ("ssh", "sign"): "roles",
    ("rabbitmq", "creds"): "roles",
    ("gcp", "roleset"): "roleset",
}


@SEC.rule(
    "SEC401",
    title="every policy and declaration of Vault can be read",
    why=f"Vault refuses a policy with an unknown capability or field whole, and takes a wildcard in the middle of a path for a plain character ({_ACL})",
    fix='write path "<path>" { capabilities = [...] } with create, read, update, patch, delete, list, sudo or deny, one block a path',
    scope=Clusters(),
    controls=("NIST-AC-3",),
)
def declarations_readable(world: World) -> Iterator[Violation]:
    found = world.derive(view).declared
    policies = [*found.files.values(), *((policy, spot) for policy, spot in found.policies.values() if not spot.key)]
    for policy, spot in policies:
        for fault in policy.faults:
            yield Violation(fault.message, "a policy that Vault takes as it reads", place(world, spot._replace(line=fault.line)))
    for spot, message in found.faults:
        yield Violation(message, "one of the calls that the script defines, with literal words", place(world, spot))


@SEC.rule(
    "SEC402",
    title="no Vault policy gives an administrator's power, but those that are listed with a reason",
    why="who may write policies, roles, mounts or tokens, or has sudo, can read every secret in Vault, now or after one more request",
    fix="narrow the policy, or list it in tests/intent/vault.yaml under privileged, with the reason",
    scope=Clusters(),
    severity=Severity.WARNING,
    controls=("CIS-5.1.8", "NIST-AC-6"),
)
def no_power(world: World) -> Iterator[Violation]:
    found = world.derive(view).declared
    intent = read_intent(world.repository, _INTENT, _SCHEMA)
    listed = {entry["policy"]: index for index, entry in enumerate(intent.body["privileged"])} if intent is not None and not intent.faults else {}
    for fault in intent.faults if intent is not None else ():
        yield Violation(fault.message, "a file as its schema says", fault.location)
    powerful = set()
    for name, (policy, spot) in sorted(found.policies.items()):
        acl = Acl(policy.rules)
        reasons = {what: rule for path, needed, what in _POWER if (decided := acl.decide(path))[0] & set(needed) and (rule := decided[1])}
        sudo = next((rule.path for rule in policy.rules if "sudo" in rule.capabilities), "")
        reasons |= {"has sudo": sudo} if sudo else {}
        if not reasons:
            continue
        powerful.add(name)
        if name not in listed:
            line = next((rule.line for rule in policy.rules if rule.path in reasons.values()), 1)
            what = ", ".join(sorted(reasons))
            yield Violation(f"policy {name} {what}", "a policy for secrets only, or a listed one", place(world, spot._replace(line=line)))
    for name, index in listed.items() if found.policies else ():
        if name not in powerful and intent is not None:
            yield Violation(f"policy {name} is listed as privileged and is not", "no entry", intent.locate("privileged", index, "policy"))


def _privileged(world: World) -> frozenset[str]:
    intent = read_intent(world.repository, _INTENT, _SCHEMA)
    return frozenset(entry["policy"] for entry in intent.body["privileged"]) if intent is not None and not intent.faults else frozenset()


@SEC.rule(
    "SEC403",
    title="what is asked of Vault is allowed by the policies of the role that asks",
    why=f"a request that no policy allows is answered with 403 and the Secret never comes; of several rules only the most specific counts ({_ACL})",
    fix="add the path to the policy, correct mount and path in the resource, or let the role carry the policy that allows it",
    scope=Clusters(),
    controls=("NIST-AC-3", "NIST-CP-10"),
)
def requests_allowed(world: World) -> Iterator[Violation]:
    vault = world.derive(view)
    for request in vault.requests:
        role = vault.role(request.login)
        if role is None or not _all_known(vault, role.policies):
            continue
        capabilities, rule = vault.acl(role, request.login).decide(request.path)
        if not capabilities & set(request.capabilities):
            allowed = f"rule {rule} allows {', '.join(sorted(capabilities)) or 'nothing'}" if rule else "no rule matches"
            found = f"{' or '.join(request.capabilities)} on {request.path}, which role {role.name} ({', '.join(role.policies)}) does not allow: {allowed}"
            yield Violation(found, f"a policy of role {role.name} with {request.capabilities[0]} on {request.path}", request.item.locate(*request.pointer))
    for login, script in vault.logins:
        role = vault.role(login)
        if script is None or role is None or not _all_known(vault, role.policies):
            continue
        acl = vault.acl(role, login)
        if "vault token" in str(script.item.get("data", script.key)) and ".vault" in str(script.item.get("data", script.key)):
            for path, needed, spot in declared_requests(vault.declared, script.item):
                missing = set(needed) - acl.capabilities(path, listing="list" in needed)
                if missing:
                    found = f"{', '.join(sorted(missing))} on {path}, which role {role.name} ({', '.join(role.policies)}) does not allow"
                    yield Violation(found, f"a policy of role {role.name} with {', '.join(needed)} on {path}", place(world, _spot(spot)))


def _spot(value: Any) -> Spot:
    spot: Spot = value
    return spot


def _all_known(vault: VaultView, policies: tuple[str, ...]) -> bool:
    return all(name in vault.declared.policies or name in BUILT_IN for name in policies)


@SEC.rule(
    "SEC404",
    title="every login to Vault meets a role that admits it",
    why="Vault's auth method kubernetes refuses a service account, namespace or audience that the role does not name, and a missing policy allows nothing",
    fix="correct role, service account and audience in the resource, or the role's bound names in Vault's declarations",
    scope=Clusters(),
    controls=("NIST-AC-3", "NIST-IA-9"),
)
def logins_admitted(world: World) -> Iterator[Violation]:
    vault = world.derive(view)
    known = {role.auth for role in vault.declared.roles}
    for login, _ in vault.logins:
        where = login.item.locate(*login.pointer)
        role = vault.role(login)
        account = f"service account {login.namespace}/{login.account}"
        if login.auth not in known:
            if known:
                yield Violation(f"auth method {login.auth}, which has no role", f"one of {', '.join(sorted(known))}", where)
            continue
        if role is None:
            yield Violation(f"role {login.role} of auth method {login.auth}, which nobody declares", "a declared role", where)
            continue
        if not role.admits(login.account, login.namespace):
            bound = f"{', '.join(role.accounts)} in {', '.join(role.namespaces)}"
            yield Violation(f"{account} with role {role.name}, which admits {bound}", f"a role that admits {account}", where)
        if role.audience and role.audience not in login.audiences:
            audiences = ", ".join(login.audiences) or "the API server's own"
            yield Violation(f"a token for {audiences} with role {role.name}, whose audience is {role.audience}", f"a token for {role.audience}", where)
        if login.account not in ("", "default") and world.find("ServiceAccount", login.namespace, login.account) is None and not _elsewhere(world, login):
            yield Violation(f"{account}, which the cluster does not have", f"a ServiceAccount {login.account} in {login.namespace}", where)
    for role in vault.declared.roles:
        for name in role.policies:
            if name not in vault.declared.policies and name not in BUILT_IN and vault.declared.policies:
                yield Violation(f"role {role.name} carries policy {name}, which nobody declares", "a declared policy", place(world, role.spot))


def _elsewhere(world: World, login: Login) -> bool:
    return may_be_elsewhere(world, login.namespace)


@SEC.rule(
    "SEC405",
    title="every engine, version and role that is asked for is declared in Vault",
    why="a path below a mount that does not exist, or a role of an engine that nobody writes, is answered with 404 or 400 however wide the policy is",
    fix="correct mount, type and path in the resource, or declare the mount or role",
    scope=Clusters(),
    controls=("NIST-CM-6",),
)
def engines_declared(world: World) -> Iterator[Violation]:
    vault = world.derive(view)
    found = vault.declared
    if not found.mounts:
        return
    for request in vault.requests:
        if request.engine == SYSTEM:
            continue
        mount, where = found.mount_of(request.path), request.item.locate(*request.pointer)
        if mount is None:
            yield Violation(f"{shown(request.item)} asks {request.path}, and no engine is mounted there", f"one of {', '.join(sorted(found.mounts))}", where)
            continue
        if request.version and mount.version and request.version != mount.version and not mount.version.startswith("$"):
            at = request.item.locate("spec", "type") if request.item.get("spec", "type") else where
            yield Violation(f"KV version {request.version} at {mount.path}, which is version {mount.version}", f"version {mount.version}", at)
        missing = _missing_role(vault, request, mount.path, mount.type)
        if missing:
            yield Violation(f"{request.path}, and nobody writes {missing}", f"a declared {missing}", where)


def _missing_role(vault: VaultView, request: Request, mount: str, type_: str) -> str:
    """The path of the role that a request names, when it is not declared."""
    word, _, name = request.path.removeprefix(f"{mount}/").partition("/")
    folder = _ROLES.get((type_, word))
    path = f"{mount}/{folder}/{name}" if folder and name else ""
    return path if path and vault.declared.written(path) is None and not vault.declared.open_ends else ""


@SEC.rule(
    "SEC406",
    title="no role reads the secrets of another namespace",
    why="a tenant's role that reaches another tenant's path hands over its secrets to whoever can make a pod with that service account",
    fix="narrow the path in the policy to the namespace's own, and bind each role to one namespace",
    scope=Clusters(),
    controls=("NIST-AC-4", "NIST-AC-6"),
)
def namespaces_apart(world: World) -> Iterator[Violation]:
    vault = world.derive(view)
    privileged = _privileged(world)
    # Requests to Vault itself are nobody's own path.
    asked = [request for request in vault.requests if request.login is not None and request.engine != SYSTEM]
    owned = {(request.login.namespace, request.path): request for request in asked if request.login is not None}
    for role in vault.declared.roles:
        if set(role.policies) & privileged:
            continue
        acl = vault.acl(role)
        for (namespace, path), request in sorted(owned.items(), key=lambda each: each[0]):
            if namespace in role.namespaces or any(path == other and space in role.namespaces for space, other in owned):
                continue
            capabilities, rule = acl.decide(path)
            if capabilities & {"read", *request.capabilities}:
                bound = ", ".join(role.namespaces)
                found = f"role {role.name} (namespace {bound}) may {', '.join(sorted(capabilities))} {path} of namespace {namespace}, by rule {rule}"
                yield Violation(found, "a path that only its own namespace has", place(world, _policy_spot(vault, role.policies, rule) or role.spot))


def _policy_spot(vault: VaultView, policies: tuple[str, ...], path: str) -> Spot | None:
    for name in policies:
        policy, spot = vault.declared.policies.get(name, (None, None))
        for rule in policy.rules if policy is not None else ():
            if rule.path == path and spot is not None:
                return spot._replace(line=rule.line)
    return None


def not_evaluated(world: World) -> Iterator[NotEvaluated]:
    """Resources that ask a Vault of which nothing is declared here, and rules whose parameters restrict what they allow."""
    vault = world.derive(view)
    users = world.of(STATIC, DYNAMIC, PKI) or [request for item in world.of(*ISSUERS, *STORES) for request in vault.requests if request.item is item]
    if users and not vault.declared:
        yield NotEvaluated(world.cluster.name, "SEC4xx: what Vault would answer", "no policy, role or mount of Vault is declared in this repository")
    for name, (policy, _) in sorted(vault.declared.policies.items()):
        for rule in policy.rules:
            if rule.conditions:
                yield NotEvaluated(f"{world.cluster.name}/{name}", f"restrictions on {rule.path}", f"{', '.join(rule.conditions)} depend on each request")


RULES: Final = tuple(SEC.rules)
