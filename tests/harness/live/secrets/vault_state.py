"""What a running Vault holds beside what Git declares of it, and what its audit devices wrote."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from harness.engines.vault.acl import parse_policy
from harness.live.secrets.vault_client import PREFIX, RefusedError, VaultClient

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.engines.vault.acl import Policy
    from harness.engines.vault.declared import Declarations, Mount, Spot

#: What every Vault has without anybody's doing.
_MOUNTS: Final = frozenset({"cubbyhole", "identity", "sys", "agent-registry"})
_AUTHS: Final = frozenset({"token"})
_POLICIES: Final = frozenset({"default", "root"})
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"(\d+)([smhd])")


def reading(found: Declarations, *written: str) -> str:
    """The policy with which :func:`differences` can look: configuration only, no value of any secrets engine. ``written``: paths that may be written too."""
    paths = {write.path for write in found.writes if write.verb == "write"} | {f"sys/policies/acl/{name}" for name in found.policies}
    lists = {"sys/policies/acl", *(f"auth/{name}/role" for name, auth in found.auths.items() if auth.type == "kubernetes")}
    asked = sorted(paths | {"sys/auth", "sys/mounts", *written})
    verbs = {path: '"read", "update"' if path in written else '"read"' for path in asked}
    rules = [f'path "{path}" {{ capabilities = [{verb}] }}' for path, verb in verbs.items()]
    rules += [f'path "{path}" {{ capabilities = ["list"] }}' for path in sorted(lists)]
    return "\n".join([*rules, 'path "sys/audit" { capabilities = ["read", "sudo"] }', ""])


def differences(found: Declarations, client: VaultClient, token: str) -> Iterator[tuple[Spot | None, str, str]]:
    """What Vault holds and what is declared, where they are not the same: the place of the declaration, the one side and the other."""
    audits = _under(client.good("GET", "sys/audit", None, token))
    yield from _names("audit device", audits, dict(found.audits))
    for name, device in audits.items():
        if str((device.get("options") or {}).get("log_raw", "false")) != "false":
            yield found.audits.get(name), f"audit device {name} writes secrets in the clear (log_raw)", "hashes"
    for kind, path, mounts, own in (("auth method", "sys/auth", found.auths, _AUTHS), ("secrets engine", "sys/mounts", found.mounts, _MOUNTS)):
        live = {name: body for name, body in _under(client.good("GET", path, None, token)).items() if name not in own}
        yield from _names(kind, live, {name: mount.spot for name, mount in mounts.items()})
        for name in live.keys() & mounts.keys():
            yield from _mount(kind, mounts[name], live[name])
    yield from _policies(found, client, token)
    for name, auth in found.auths.items():
        if auth.type == "kubernetes":
            roles: dict[str, dict[str, Any]] = {role: {} for role in client.names(f"auth/{name}/role", token) if not role.startswith(PREFIX)}
            yield from _names(f"role of {name}", roles, {role.name: role.spot for role in found.roles if role.auth == name})
    for write in found.writes:
        if write.verb == "write":
            yield from _written(write.path, write.values, write.spot, client, token)


def _policies(found: Declarations, client: VaultClient, token: str) -> Iterator[tuple[Spot | None, str, str]]:
    names = {name for name in client.names("sys/policies/acl", token) if name not in _POLICIES and not name.startswith(PREFIX)}
    yield from _names("policy", {name: {} for name in names}, {name: spot for name, (_policy, spot) in found.policies.items()})
    for name in sorted(names & found.policies.keys()):
        declared, spot = found.policies[name]
        live = rights(parse_policy(str(client.good("GET", f"sys/policies/acl/{name}", None, token)["data"]["policy"])))
        if (wanted := rights(declared)) != live:
            yield spot, f"policy {name}: {'; '.join(sorted(live - wanted)) or 'nothing more'}", f"{'; '.join(sorted(wanted - live)) or 'nothing less'}"


def rights(policy: Policy) -> set[str]:
    """What a policy says, a line for each path."""
    return {f"{rule.path}: {', '.join(sorted(rule.capabilities))}{' with conditions' if rule.conditions else ''}" for rule in policy.rules}


def _written(path: str, values: Mapping[str, str], spot: Spot, client: VaultClient, token: str) -> Iterator[tuple[Spot | None, str, str]]:
    try:
        live = client.good("GET", path, None, token).get("data") or {}
    except RefusedError as error:
        yield spot, f"{path}: {error}", "what is declared"
        return
    for key, value in values.items():
        if not same(value, live.get(key)):
            yield spot, f"{path}: {key} is {live.get(key)!r}", value


def _mount(kind: str, mount: Mount, live: Mapping[str, Any]) -> Iterator[tuple[Spot | None, str, str]]:
    if live.get("type") != mount.type:
        yield mount.spot, f"{kind} {mount.path} is of type {live.get('type')}", mount.type
    options, config = live.get("options") or {}, live.get("config") or {}
    for key, value in mount.options.items():
        there = options.get(key, config.get(key))
        if not same(value, there):
            yield mount.spot, f"{kind} {mount.path}: {key} is {there!r}", value


def _names(kind: str, live: Mapping[str, Any], declared: Mapping[str, Spot]) -> Iterator[tuple[Spot | None, str, str]]:
    for name in sorted(declared.keys() - live.keys()):
        yield declared[name], f"Vault has no {kind} {name}", f"the {kind} that Git declares"
    for name in sorted(live.keys() - declared.keys()):
        yield None, f"Vault has the {kind} {name}", f"no such {kind}: Git declares {', '.join(sorted(declared)) or 'none'}"


def _under(answer: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {str(name).rstrip("/"): body for name, body in (answer.get("data") or {}).items() if isinstance(body, dict)}


def same(declared: str, live: Any) -> bool:
    """Whether Vault's answer is what a word of ``vault write`` asked for: lists with commas, durations in seconds, numbers and truth as such."""
    if isinstance(live, bool):
        return declared == str(live).lower()
    if isinstance(live, int):
        return seconds(declared) == live
    if isinstance(live, list):
        return [part.strip() for part in declared.split(",") if part.strip()] == [str(each) for each in live]
    return bool(declared == live)


def seconds(text: str) -> int | None:
    """A number, or the seconds of a duration such as ``1h30m``; None for anything else."""
    if text.isdecimal():
        return int(text)
    parts = _DURATION.findall(text)
    return sum(int(number) * _UNITS[unit] for number, unit in parts) if parts and "".join(map("".join, parts)) == text else None


def events(text: str) -> list[dict[str, Any]]:
    """The audit events in the lines of a device, or of a log that has other lines too."""
    found = []
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("type") in ("request", "response") and isinstance(event.get("request"), dict):
            found.append(event)
    return found


def refusals(found: Iterable[Mapping[str, Any]], path: str, namespace: str) -> list[Mapping[str, Any]]:
    """The events that a service account of a namespace was refused a path."""
    return [
        event
        for event in found
        if event["request"].get("path") == path
        and "permission denied" in str(event.get("error", ""))
        and (event.get("auth") or {}).get("metadata", {}).get("service_account_namespace") == namespace
    ]
