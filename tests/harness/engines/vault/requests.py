"""What the objects of a cluster will ask Vault for: as whom, through which role, on which path.

Sources: Vault Secrets Operator API reference (v1beta1), cert-manager documentation "Vault issuer", External Secrets "HashiCorp Vault" provider,
Vault API documentation of the KV, PKI, Kubernetes and database engines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from harness.model.pods import pod_of
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from harness.engines.vault.declared import Declarations
    from harness.model import Object, Pointer

AUTH: Final = "VaultAuth.secrets.hashicorp.com"
CONNECTION: Final = "VaultConnection.secrets.hashicorp.com"
STATIC: Final = "VaultStaticSecret.secrets.hashicorp.com"
DYNAMIC: Final = "VaultDynamicSecret.secrets.hashicorp.com"
PKI: Final = "VaultPKISecret.secrets.hashicorp.com"
ISSUERS: Final = ("Issuer.cert-manager.io", "ClusterIssuer.cert-manager.io")
STORES: Final = ("SecretStore.external-secrets.io", "ClusterSecretStore.external-secrets.io")
#: The engine that is mounted in every Vault, and where it revokes leases.
SYSTEM: Final = "sys"
REVOKE: Final = "sys/leases/revoke"


class Login(NamedTuple):
    """How somebody logs in by the method kubernetes. ``audiences`` are those of the token that is shown."""

    auth: str
    role: str
    account: str
    namespace: str
    audiences: tuple[str, ...]
    item: Object
    pointer: Pointer


@dataclass(frozen=True, slots=True)
class Request:
    """One thing that is asked: any of ``capabilities`` on ``path`` is enough. ``engine`` is the path of the engine, ``entry`` the role or key inside it."""

    item: Object
    pointer: Pointer
    path: str
    capabilities: tuple[str, ...]
    login: Login | None
    engine: str
    entry: str = ""
    version: str = ""
    """The version of KV that the resource takes the engine for."""


def _auth_of(item: Object, find: Callable[[str, str, str], Object | None]) -> Object | None:
    """The VaultAuth of a resource of the Vault Secrets Operator: ``name`` or ``namespace/name``."""
    reference = text(item.spec.get("vaultAuthRef"))
    namespace, _, name = reference.rpartition("/")
    return find(AUTH, namespace or item.namespace, name) if name else None


def login_of(auth: Object, namespace: str) -> Login | None:
    """The login that a VaultAuth stands for, for a resource of a namespace; None for other methods."""
    body = mapping(auth.spec.get("kubernetes"))
    if text(auth.spec.get("method")) != "kubernetes" or not body:
        return None
    audiences = tuple(text(each) for each in items(body.get("audiences")))
    mount = text(auth.spec.get("mount")).strip("/")
    return Login(mount, text(body.get("role")), text(body.get("serviceAccount")), namespace, audiences, auth, ("spec", "kubernetes", "role"))


def operator_requests(item: Object, find: Callable[[str, str, str], Object | None]) -> Iterator[Request]:
    """What a VaultStaticSecret, VaultDynamicSecret or VaultPKISecret asks."""
    auth, kind, spec = _auth_of(item, find), str(item.group_kind), item.spec
    login = login_of(auth, item.namespace) if auth is not None else None
    mount, path = text(spec.get("mount")).strip("/"), text(spec.get("path")).strip("/")
    if kind == STATIC:
        second = spec.get("type") == "kv-v2"
        yield Request(item, ("spec", "path"), f"{mount}/data/{path}" if second else f"{mount}/{path}", ("read",), login, mount, path, "2" if second else "1")
    elif kind == DYNAMIC:
        method = text(spec.get("requestHTTPMethod")) or ("PUT" if spec.get("params") else "GET")
        capabilities = ("read",) if method == "GET" else ("update", "create")
        yield Request(item, ("spec", "path"), f"{mount}/{path}", capabilities, login, mount, path)
        if spec.get("revoke") is True:
            # With the token of the login, when the resource goes; the policy default renews leases and revokes none.
            yield Request(item, ("spec", "revoke"), REVOKE, ("update",), login, SYSTEM)
    elif kind == PKI:
        role = text(spec.get("role"))
        yield Request(item, ("spec", "role"), f"{mount}/issue/{role}", ("update", "create"), login, mount, f"issue/{role}")


def issuer_requests(item: Object, resource_namespace: str) -> Iterator[Request]:
    """What a Vault issuer of cert-manager asks. ``resource_namespace`` is where the accounts of ClusterIssuers are."""
    vault = mapping(item.spec.get("vault"))
    if not vault:
        return
    path = text(vault.get("path")).strip("/")
    engine, _, rest = re.sub(r"/(sign(?:-verbatim)?|issue)/", r"|\1/", path, count=1).partition("|")
    kubernetes = mapping(mapping(vault.get("auth")).get("kubernetes"))
    login = None
    account = mapping(kubernetes.get("serviceAccountRef"))
    if account:
        namespace = item.namespace or resource_namespace
        audience = f"vault://{item.namespace}/{item.name}" if item.namespace else f"vault://{item.name}"
        mount = (text(kubernetes.get("mountPath")) or "/v1/auth/kubernetes").strip("/").removeprefix("v1/").removeprefix("auth/")
        more = tuple(text(each) for each in items(account.get("audiences")))
        where = ("spec", "vault", "auth", "kubernetes", "role")
        login = Login(mount, text(kubernetes.get("role")), text(account.get("name")), namespace, (audience, *more), item, where)
    yield Request(item, ("spec", "vault", "path"), path, ("update", "create"), login, engine, rest)


def store_requests(store: Object, secrets: Iterable[Object]) -> Iterator[Request]:
    """What ExternalSecrets ask of Vault through a SecretStore or ClusterSecretStore."""
    vault = mapping(mapping(store.spec.get("provider")).get("vault"))
    if not vault:
        return
    mount, version = text(vault.get("path")).strip("/"), "1" if vault.get("version") == "v1" else "2"
    body = mapping(mapping(vault.get("auth")).get("kubernetes"))
    account = mapping(body.get("serviceAccountRef"))
    for item in secrets:
        reference = mapping(item.spec.get("secretStoreRef"))
        if text(reference.get("name")) != store.name or (text(reference.get("kind")) or "SecretStore") != store.kind:
            continue
        if store.namespace and store.namespace != item.namespace:
            continue
        login = None
        if body and account:
            namespace = store.namespace or text(account.get("namespace")) or item.namespace
            audiences = tuple(text(each) for each in items(account.get("audiences")))
            auth = (text(body.get("mountPath")) or "kubernetes").strip("/")
            login = Login(
                auth, text(body.get("role")), text(account.get("name")), namespace, audiences, store, ("spec", "provider", "vault", "auth", "kubernetes")
            )
        for pointer, key in _remote_keys(item):
            if mount:
                key = key.removeprefix(f"{mount}/").removeprefix("data/") if version == "2" else key.removeprefix(f"{mount}/")
                yield Request(item, pointer, f"{mount}/data/{key}" if version == "2" else f"{mount}/{key}", ("read",), login, mount, key, version)


def _remote_keys(item: Object) -> Iterator[tuple[Pointer, str]]:
    for index, entry in enumerate(items(item.spec.get("data"))):
        key = text(mapping(mapping(entry).get("remoteRef")).get("key"))
        if key:
            yield ("spec", "data", index, "remoteRef", "key"), key
    for index, entry in enumerate(items(item.spec.get("dataFrom"))):
        key = text(mapping(mapping(entry).get("extract")).get("key"))
        if key:
            yield ("spec", "dataFrom", index, "extract", "key"), key


_LOGIN: Final = re.compile(r"auth/(?P<auth>[\w./-]+)/login\b(?:[^\n]|\\\n)*?\brole=[\"']?(?P<role>[\w-]+)")


def script_logins(objects: Iterable[Object]) -> Iterator[tuple[Login, Object, str]]:
    """The logins of scripts that pods run from a ConfigMap: who, the ConfigMap, and the key of the script."""
    everything = tuple(objects)
    maps = {(item.namespace, item.name): item for item in everything if str(item.group_kind) == "ConfigMap"}
    for item in everything:
        pod = pod_of(item)
        if pod is None:
            continue
        names = {text(mapping(mapping(volume).get("configMap")).get("name")) for volume in items(pod.spec.get("volumes"))}
        audiences = tuple(
            text(mapping(mapping(source).get("serviceAccountToken")).get("audience"))
            for volume in items(pod.spec.get("volumes"))
            for source in items(mapping(mapping(volume).get("projected")).get("sources"))
            if mapping(source).get("serviceAccountToken")
        )
        words = " ".join(text(word) for container in pod.containers() for field in ("command", "args") for word in items(container.body.get(field)))
        for name in sorted(filter(None, names)):
            source = maps.get((pod.namespace, name))
            for key, value in mapping(source.body.get("data")).items() if source is not None else ():
                match = _LOGIN.search(value) if isinstance(value, str) and str(key) in words else None
                if match and source is not None:
                    login = Login(match["auth"], match["role"], pod.service_account, pod.namespace, audiences, item, (*pod.at, "spec", "serviceAccountName"))
                    yield login, source, str(key)


def declared_requests(found: Declarations, source: Object) -> Iterator[tuple[str, tuple[str, ...], object]]:
    """What carrying out the declarations of a ConfigMap asks: path, all capabilities that are needed, and the place of the declaration."""
    for mount in found.mounts.values():
        if mount.spot.item is source:
            yield f"sys/mounts/{mount.path}", ("update",), mount.spot
    for auth in found.auths.values():
        if auth.spot.item is source:
            yield f"sys/auth/{auth.path}", ("update", "sudo"), auth.spot
            yield f"sys/auth/{auth.path}/tune", ("update", "sudo"), auth.spot
    for path, spot in found.audits.items():
        if spot.item is source:
            yield f"sys/audit/{path}", ("update", "sudo"), spot
    for name, (_, spot) in found.policies.items():
        if spot.item is source:
            yield f"sys/policies/acl/{name}", ("update",), spot
    for write in found.writes:
        if write.spot.item is not source:
            continue
        if write.verb == "value":
            mount_, _, key = write.path.partition("/")
            yield f"{mount_}/data/{key}", ("create",), write.spot
        else:
            yield write.path, ("update",), write.spot
        if write.listed:
            yield write.listed, ("list",), write.spot
