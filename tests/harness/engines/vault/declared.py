"""What a repository declares of a Vault: mounts, auth methods, roles, policies, and every write, with the place of each.

Read are: policies (keys ``*.hcl`` of ConfigMaps); files ``*.vault`` of calls with literal words, which the Job of this project sources; the plain ``vault``
commands of scripts; and the custom resources of bank-vaults (``Vault``) and of the vault-config-operator (``redhatcop.redhat.io``).
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.engines.report import is_elided
from harness.engines.vault.acl import Policy, parse_policy
from harness.model.pods import pod_of
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.model import Object


class Spot(NamedTuple):
    """Where something is declared: an object, a key of its data (empty: ``pointer`` says where), and a line in that text."""

    item: Object
    key: str = ""
    line: int = 1
    pointer: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True)
class Write:
    """``vault write PATH key=value …``, or what amounts to it.

    ``verb`` is ``write``, ``first`` (only while nothing is listed at ``listed``) or ``value`` (KV, once).
    """

    path: str
    values: Mapping[str, str]
    spot: Spot
    verb: str = "write"
    listed: str = ""


@dataclass(frozen=True, slots=True)
class Mount:
    """A secrets engine or auth method."""

    path: str
    type: str
    options: Mapping[str, str]
    spot: Spot

    @property
    def version(self) -> str:
        """``2`` for versioned KV, else ``1`` or empty."""
        return "2" if self.type == "kv-v2" else self.options.get("version", "1" if self.type in ("kv", "kv-v1", "generic") else "")


@dataclass(frozen=True, slots=True)
class Role:
    """A role of an auth method of type kubernetes."""

    auth: str
    name: str
    accounts: tuple[str, ...]
    namespaces: tuple[str, ...]
    audience: str
    policies: tuple[str, ...]
    values: Mapping[str, str]
    spot: Spot

    def admits(self, account: str, namespace: str) -> bool:
        return any(each in (account, "*") for each in self.accounts) and any(each in (namespace, "*") for each in self.namespaces)


@dataclass
class Declarations:
    """All of it. ``faults`` are declarations that cannot be read; ``open_ends`` what a script does beyond plain commands, so that absence proves nothing."""

    mounts: dict[str, Mount] = field(default_factory=dict)
    auths: dict[str, Mount] = field(default_factory=dict)
    audits: dict[str, Spot] = field(default_factory=dict)
    policies: dict[str, tuple[Policy, Spot]] = field(default_factory=dict)
    files: dict[str, tuple[Policy, Spot]] = field(default_factory=dict)
    """Policies by the file they stand in, whatever they are called."""
    writes: list[Write] = field(default_factory=list)
    tenants: list[tuple[str, Spot]] = field(default_factory=list)
    faults: list[tuple[Spot, str]] = field(default_factory=list)
    open_ends: list[Spot] = field(default_factory=list)

    @property
    def roles(self) -> Iterator[Role]:
        """The roles of auth methods of type kubernetes."""
        for write in self.writes:
            match = re.fullmatch(r"auth/(?P<auth>.+)/role/(?P<name>[^/]+)", write.path)
            if match and "bound_service_account_names" in write.values:
                words = write.values
                policies = words.get("token_policies") or words.get("policies") or ""
                yield Role(
                    *(match["auth"], match["name"], _list(words["bound_service_account_names"]), _list(words.get("bound_service_account_namespaces", ""))),
                    *(words.get("audience", ""), _list(policies), words, write.spot),
                )

    def role(self, auth: str, name: str) -> Role | None:
        found = None
        for role in self.roles:
            found = role if (role.auth, role.name) == (auth, name) else found
        return found

    def written(self, path: str) -> Write | None:
        """The last write to a path."""
        return next((write for write in reversed(self.writes) if write.path == path), None)

    def mount_of(self, path: str) -> Mount | None:
        """The secrets engine that answers for a path."""
        matching = [mount for key, mount in self.mounts.items() if path == key or path.startswith(f"{key}/")]
        return max(matching, key=lambda mount: len(mount.path), default=None)

    def __bool__(self) -> bool:
        return bool(self.mounts or self.auths or self.policies or self.writes or self.files)


def _list(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


#: The calls of a declaration file and how many words each has at least.
VERBS: Final = {"audit": 2, "auth": 2, "mount": 2, "policy": 2, "write": 2, "first": 3, "value": 2, "tenant": 1}
#: What the call ``tenant NAME`` includes.
_TENANT: Final = "tenant.vault"
#: What tells a policy from the configuration of a server or agent.
_POLICY: Final = re.compile(r"(?m)^[ \t]*path[ \t]+\"[^\"\n]*\"[ \t]*\{|\"path\"\s*:\s*[\[{]")
_VARIABLE: Final = re.compile(r"\$\{?([A-Za-z_]\w*)\}?")


def declared(objects: Iterable[Object]) -> Declarations:
    """Everything that the objects of a cluster declare of Vault. Never raises."""
    found = Declarations()
    maps = [item for item in objects if str(item.group_kind) == "ConfigMap"]
    relevant = [item for item in maps if any(str(key).endswith((".hcl", ".vault", ".sh")) for key in mapping(item.body.get("data")))]
    environment = _environment(objects, {(item.namespace, item.name) for item in relevant}) if relevant else {}
    for item in relevant:
        data = {str(key): value for key, value in mapping(item.body.get("data")).items() if isinstance(value, str) and not is_elided(value)}
        _Reader(found, item, data, environment.get((item.namespace, item.name), {})).read()
    for item in objects:
        kind = str(item.group_kind)
        if kind == "Vault.vault.banzaicloud.com":
            _bank_vaults(found, item)
        elif item.group == "redhatcop.redhat.io":
            _config_operator(found, item)
    return found


def _environment(objects: Iterable[Object], maps: set[tuple[str, str]]) -> dict[tuple[str, str], dict[str, str]]:
    """The literal variables of the containers of pods that mount a ConfigMap, by ConfigMap."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for item in objects:
        pod = pod_of(item)
        if pod is None:
            continue
        mounted = [(pod.namespace, text(mapping(mapping(volume).get("configMap")).get("name"))) for volume in items(pod.spec.get("volumes"))]
        for key in mounted:
            if key in maps:
                for container in pod.containers():
                    pairs = {text(mapping(each).get("name")): mapping(each).get("value") for each in items(container.body.get("env"))}
                    found.setdefault(key, {}).update({name: value for name, value in pairs.items() if name and isinstance(value, str)})
    return found


class _Reader:
    """Reads one ConfigMap."""

    def __init__(self, found: Declarations, item: Object, data: Mapping[str, str], environment: Mapping[str, str]) -> None:
        self._found, self._item, self._data, self._environment = found, item, data, environment

    def read(self) -> None:
        for key, value in self._data.items():
            if key.endswith(".policy.hcl") or (key.endswith(".hcl") and _POLICY.search(value)):
                spot = Spot(self._item, key)
                self._found.files[f"{self._item.namespace}/{self._item.name}/{key}"] = (parse_policy(value), spot)
        # Beside declarations, a script only carries them out.
        scripts = not any(key.endswith(".vault") for key in self._data)
        for key, value in self._data.items():
            if key.endswith(".vault") and key != _TENANT:
                self._calls(key, value, {})
            elif key.endswith(".sh") and scripts:
                self._script(key, value)
        # A policy file that nothing writes under a name has the name of the file.
        named = {id(policy) for policy, _ in self._found.policies.values()}
        for policy, spot in self._found.files.values():
            if spot.item is self._item and id(policy) not in named and not any(key.endswith(".vault") for key in self._data):
                self._found.policies.setdefault(spot.key.removesuffix(".hcl").removesuffix(".policy"), (policy, spot))

    def _calls(self, key: str, content: str, variables: Mapping[str, str]) -> None:
        for line, words in _logical_lines(content):
            spot = Spot(self._item, key, line)
            try:
                parts = [self._expand(word, variables) for word in shlex.split(words, comments=True)]
            except ValueError as error:
                self._found.faults.append((spot, f"cannot be read as words of a shell: {error}"))
                continue
            if not parts:
                continue
            verb, *rest = parts
            if verb not in VERBS:
                self._found.faults.append((spot, f"{verb} is none of {', '.join(sorted(VERBS))}"))
            elif len(rest) < VERBS[verb]:
                self._found.faults.append((spot, f"{verb} needs {VERBS[verb]} words, found {len(rest)}"))
            else:
                self._call(verb, rest, spot, variables)

    def _call(self, verb: str, rest: list[str], spot: Spot, variables: Mapping[str, str]) -> None:
        found = self._found
        if verb in ("mount", "auth"):
            (found.mounts if verb == "mount" else found.auths)[rest[0]] = Mount(rest[0], rest[1], _options(rest[2:]), spot)
        elif verb == "audit":
            found.audits[rest[0]] = spot
        elif verb == "policy":
            self._policy(rest[0], rest[1], spot, variables)
        elif verb == "tenant":
            found.tenants.append((rest[0], spot))
            if _TENANT in self._data:
                self._calls(_TENANT, self._data[_TENANT], {**variables, "tenant": rest[0]})
            else:
                found.faults.append((spot, f"there is no {_TENANT} beside the file"))
        elif verb == "first":
            found.writes.append(Write(rest[1], _values(rest[2:]), spot, verb, rest[0]))
        else:
            found.writes.append(Write(rest[0], _values(rest[1:]), spot, verb))

    def _policy(self, name: str, file: str, spot: Spot, variables: Mapping[str, str]) -> None:
        content = self._data.get(file.rsplit("/", 1)[-1])
        if content is None:
            self._found.faults.append((spot, f"there is no {file} beside the file"))
            return
        for variable, value in variables.items():
            content = content.replace(variable.upper(), value)
        self._found.policies[name] = (parse_policy(content), Spot(self._item, file.rsplit("/", 1)[-1]))

    def _expand(self, word: str, variables: Mapping[str, str]) -> str:
        return _VARIABLE.sub(lambda match: variables.get(match[1], self._environment.get(match[1], match[0])), word)

    def _script(self, key: str, content: str) -> None:
        for line, words in _logical_lines(content):
            for command in re.split(r"\|\||&&|;|\||\bthen\b|\bdo\b|!", words):
                if not command.strip().startswith("vault "):
                    continue
                spot = Spot(self._item, key, line)
                try:
                    parts = [self._expand(word, {}) for word in shlex.split(command, comments=True)][1:]
                except ValueError:
                    self._found.open_ends.append(spot)
                    continue
                if any("$" in part or "`" in part for part in parts):
                    self._found.open_ends.append(spot)
                else:
                    self._command([part for part in parts if part not in (">/dev/null", "2>&1")], spot)

    def _command(self, parts: list[str], spot: Spot) -> None:
        flags, words = [part for part in parts if part.startswith("-") and part != "-"], [part for part in parts if not part.startswith("-") or part == "-"]
        if words[:2] in (["secrets", "enable"], ["auth", "enable"]) and len(words) >= 3:
            options = _options(flags)
            path = options.get("path", words[2]).strip("/")
            (self._found.mounts if words[0] == "secrets" else self._found.auths)[path] = Mount(path, words[2], options, spot)
        elif words[:2] == ["policy", "write"] and len(words) >= 4 and words[3] != "-":
            self._policy(words[2], words[3], spot, {})
        elif words[:1] == ["write"] and len(words) >= 2 and not words[1].endswith("/login") and not words[1].startswith("sys/tools/"):
            self._found.writes.append(Write(words[1].strip("/"), _values(words[2:]), spot))


def _logical_lines(content: str) -> Iterator[tuple[int, str]]:
    """The lines of a script, continued ones joined, each with the number of its first."""
    held, start = "", 0
    for number, line in enumerate(content.split("\n"), 1):
        held, start = (held + line, start) if held else (line, number)
        if held.endswith("\\"):
            held = held[:-1]
            continue
        if held.strip() and not held.lstrip().startswith("#"):
            yield start, held
        held = ""
    if held.strip():
        yield start, held


def _options(words: Iterable[str]) -> dict[str, str]:
    """``-version=2`` as ``version: 2``; words without a dash (``file_path=…``) count too."""
    return {key.lstrip("-").replace("-", "_"): value for key, _, value in (word.partition("=") for word in words)}


def _values(words: Iterable[str]) -> dict[str, str]:
    return {key: value for key, _, value in (word.partition("=") for word in words)}


def _flat(value: Any) -> dict[str, str]:
    """The settings of a structured role as ``vault write`` would take them."""
    return {str(key): ",".join(map(str, each)) if isinstance(each, list) else str(each) for key, each in mapping(value).items()}


def _bank_vaults(found: Declarations, item: Object) -> None:
    config = mapping(item.spec.get("externalConfig"))
    base = ("spec", "externalConfig")
    for index, entry in enumerate(items(config.get("policies"))):
        spot = Spot(item, pointer=(*base, "policies", index, "rules"))
        found.policies[text(mapping(entry).get("name"))] = (parse_policy(text(mapping(entry).get("rules"))), spot)
    for index, entry in enumerate(items(config.get("auth"))):
        body = mapping(entry)
        path = (text(body.get("path")) or text(body.get("type"))).strip("/")
        found.auths[path] = Mount(path, text(body.get("type")), _flat(body.get("options")), Spot(item, pointer=(*base, "auth", index)))
        for number, role in enumerate(items(body.get("roles"))):
            spot = Spot(item, pointer=(*base, "auth", index, "roles", number))
            found.writes.append(Write(f"auth/{path}/role/{text(mapping(role).get('name'))}", _flat(role), spot))
    for index, entry in enumerate(items(config.get("secrets"))):
        body = mapping(entry)
        path = (text(body.get("path")) or text(body.get("type"))).strip("/")
        found.mounts[path] = Mount(path, text(body.get("type")), _flat(body.get("options")), Spot(item, pointer=(*base, "secrets", index)))
        for group, settings in mapping(body.get("configuration")).items():
            for number, each in enumerate(items(settings)):
                spot = Spot(item, pointer=(*base, "secrets", index, "configuration", group, number))
                found.writes.append(Write(f"{path}/{group}/{text(mapping(each).get('name'))}", _flat(each), spot))


def _config_operator(found: Declarations, item: Object) -> None:
    spec, name = item.spec, text(item.spec.get("name")) or item.name
    path = text(spec.get("path")).strip("/")
    if item.kind == "Policy":
        found.policies[name] = (parse_policy(text(spec.get("policy"))), Spot(item, pointer=("spec", "policy")))
    elif item.kind in ("SecretEngineMount", "AuthEngineMount"):
        full = "/".join(part for part in (path, name) if part)
        mounts = found.mounts if item.kind == "SecretEngineMount" else found.auths
        mounts[full] = Mount(full, text(spec.get("type")), _flat(spec.get("options")), Spot(item, pointer=("spec",)))
    elif item.kind == "KubernetesAuthEngineRole":
        values = {
            "bound_service_account_names": ",".join(map(str, items(spec.get("targetServiceAccounts")) or ["default"])),
            "bound_service_account_namespaces": ",".join(map(str, items(mapping(spec.get("targetNamespaces")).get("targetNamespaces")))),
            "token_policies": ",".join(map(str, items(spec.get("policies")))),
            "audience": text(spec.get("audience")),
            **({"token_ttl": str(spec["tokenTTL"])} if spec.get("tokenTTL") else {}),
        }
        found.writes.append(Write(f"auth/{path.removeprefix('auth/')}/role/{name}", values, Spot(item, pointer=("spec",))))
    elif item.kind.endswith("SecretEngineRole"):
        found.writes.append(Write(f"{path}/roles/{name}", _flat(spec), Spot(item, pointer=("spec",))))
