"""What the rules about Vault share: the declarations of a cluster, everything that is asked, and the lines of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.engines.vault.acl import Acl, resolved
from harness.engines.vault.declared import Declarations, Role, Spot, declared
from harness.engines.vault.requests import (
    DYNAMIC,
    ISSUERS,
    PKI,
    STATIC,
    STORES,
    Login,
    Request,
    issuer_requests,
    operator_requests,
    script_logins,
    store_requests,
)
from harness.model import Location
from harness.rules.tls_view import resource_namespaces
from harness.source.repository import UnreadableError

if TYPE_CHECKING:
    from harness.flux.world import World
    from harness.model import Object

#: Policies that every Vault has.
BUILT_IN: Final = frozenset({"default", "root"})


@dataclass(frozen=True, slots=True)
class VaultView:
    """One cluster's Vault. ``logins`` are all that somebody does, with the script that does it (None: a controller)."""

    declared: Declarations
    requests: tuple[Request, ...]
    logins: tuple[tuple[Login, Spot | None], ...]

    def role(self, login: Login | None) -> Role | None:
        return self.declared.role(login.auth, login.role) if login is not None else None

    def acl(self, role: Role, login: Login | None = None) -> Acl:
        """What a role's policies allow together, for the account that logs in (else the first that may)."""
        account = login.account if login is not None else next(iter(role.accounts), "")
        namespace = login.namespace if login is not None else next(iter(role.namespaces), "")
        rules = [rule for name in role.policies if name in self.declared.policies for rule in self.declared.policies[name][0].rules]
        found = [resolved(rule, account=account, namespace=namespace) for rule in rules]
        return Acl(rule for rule in found if rule is not None)


def view(world: World) -> VaultView:
    """The view of a world; made once (``world.derive``)."""
    found = declared(world.objects)
    requests = [request for item in world.of(STATIC, DYNAMIC, PKI) for request in operator_requests(item, world.find)]
    namespaces = world.derive(resource_namespaces)
    namespace = namespaces[0] if len(namespaces) == 1 else "cert-manager"
    requests += [request for item in world.of(*ISSUERS) for request in issuer_requests(item, namespace)]
    secrets = world.of("ExternalSecret.external-secrets.io")
    requests += [request for item in world.of(*STORES) for request in store_requests(item, secrets)]
    logins: list[tuple[Login, Spot | None]] = [(request.login, None) for request in requests if request.login is not None]
    if found:
        logins += [(login, Spot(source, key)) for login, source, key in script_logins(world.objects)]
    return VaultView(found, tuple(requests), tuple(dict.fromkeys(logins)))


def place(world: World, spot: Spot) -> Location:
    """The line of a declaration: in the file that a generator took, or inside the text of a ConfigMap."""
    if not spot.key:
        return spot.item.locate(*spot.pointer)
    where = spot.item.locate("data", spot.key)
    try:
        same = world.repository.is_file(where.path) and world.repository.text(where.path).strip() == str(spot.item.get("data", spot.key)).strip()
    except UnreadableError:
        same = False
    return Location(where.path, spot.line if same else where.line + spot.line)


def shown(item: Object) -> str:
    """An object as findings name it."""
    return f"{item.kind} {item.namespace}/{item.name}" if item.namespace else f"{item.kind} {item.name}"
