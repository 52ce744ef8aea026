"""Vault's access control: what a set of policies allows on a path.

Source: Vault ``vault/acl.go`` and ``vault/policy.go``, documentation "Policies, priority matching". Rules for the very same path are merged (deny wins);
of all other rules that match, only the most specific one counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.engines.vault.hcl import HclError, parse_hcl

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CAPABILITIES: Final = frozenset({"create", "read", "update", "delete", "list", "sudo", "deny", "patch", "subscribe", "recover"})
_WRITE: Final = frozenset({"create", "read", "update", "delete", "list"})
#: What the deprecated ``policy`` of a path stands for (``vault/policy.go``).
_OLD: Final = {"deny": frozenset({"deny"}), "read": frozenset({"read", "list"}), "write": _WRITE, "sudo": _WRITE | {"sudo"}}
_CONDITIONS: Final = frozenset({"allowed_parameters", "denied_parameters", "required_parameters", "min_wrapping_ttl", "max_wrapping_ttl", "control_group"})
_ATTRIBUTES: Final = _CONDITIONS | {"policy", "capabilities", "mfa_methods", "comment", "pagination_limit", "subscribe_event_types"}
#: A text that Vault replaces by something of the caller's identity.
_TEMPLATE: Final = re.compile(r"\{\{\s*(identity\.[^{}]+?)\s*\}\}")
_SERVICE_ACCOUNT: Final = re.compile(r"identity\.entity\.aliases\.[^.]+\.metadata\.service_account_(?P<what>name|namespace)")


@dataclass(frozen=True, slots=True)
class PathRule:
    """What one policy says of one path. ``conditions``: parameters or wrapping restrict it further, which is not evaluated."""

    path: str
    capabilities: frozenset[str]
    line: int
    conditions: tuple[str, ...] = ()

    @property
    def is_prefix(self) -> bool:
        return self.path.endswith("*")

    @property
    def has_segments(self) -> bool:
        """Whether ``+`` stands for whole segments; elsewhere it is a plain character."""
        return "/+" in self.path or self.path.startswith("+/") or self.path in ("+", "+*")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a policy, on a line of its text."""

    line: int
    message: str


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy's rules, and what is wrong with it: Vault refuses a policy with an error whole."""

    rules: tuple[PathRule, ...]
    faults: tuple[Fault, ...] = ()


def parse_policy(text: str) -> Policy:
    """A policy from its text. Never raises: what Vault would refuse is a fault."""
    try:
        top = parse_hcl(text)
    except HclError as error:
        return Policy((), (Fault(error.line, str(error)),))
    rules: list[PathRule] = []
    faults: list[Fault] = [Fault(top.lines.get(key, 1), f"{key} is no part of a policy") for key in top.attributes if key not in ("name", "path")]
    seen: dict[str, int] = {}
    for block in top.blocks:
        if block.type != "path" or len(block.labels) != 1:
            faults.append(Fault(block.line, f'expected path "<path>" {{ ... }}, found {block.type} with {len(block.labels)} labels'))
            continue
        path = block.labels[0].lstrip("/")
        found = _rule(path, block.attributes, block.line, block.lines, faults)
        faults += [Fault(inner.line, f"{inner.type} is no part of a path") for inner in block.blocks if inner.type not in _ATTRIBUTES]
        if path in seen:
            faults.append(Fault(block.line, f'path "{path}" stands here and on line {seen[path]}; one of them is easily overlooked'))
        seen.setdefault(path, block.line)
        if found is not None:
            rules.append(found)
    return Policy(tuple(rules), tuple(faults))


def _rule(path: str, attributes: Mapping[str, Any], line: int, lines: Mapping[str, int], faults: list[Fault]) -> PathRule | None:
    given = attributes.get("capabilities", [])
    before = len(faults)
    faults += [Fault(lines.get(key, line), f"{key} is no part of a path") for key in attributes if key not in _ATTRIBUTES]
    if not path:
        faults.append(Fault(line, "the path is empty"))
    if "+*" in path:
        faults.append(Fault(line, f'path "{path}": +* is forbidden'))
    if "*" in path[:-1] and not _TEMPLATE.search(path):
        faults.append(Fault(line, f'path "{path}": * is a wildcard at the end only, here it is the character itself'))
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        faults.append(Fault(lines.get("capabilities", line), f'path "{path}": capabilities is no list of texts'))
        given = []
    capabilities = {str(each).lower() for each in given}
    if unknown := sorted(capabilities - CAPABILITIES):
        faults.append(Fault(lines.get("capabilities", line), f'path "{path}": there is no capability {", ".join(unknown)}'))
    old = attributes.get("policy")
    if old is not None:
        capabilities |= _OLD.get(str(old), frozenset())
        if str(old) not in _OLD:
            faults.append(Fault(lines.get("policy", line), f'path "{path}": there is no policy {old}'))
    if not capabilities and len(faults) == before:
        faults.append(Fault(line, f'path "{path}" without capabilities: it denies what a wider rule may allow'))
    if "deny" in capabilities:
        if len(capabilities) > 1:
            faults.append(Fault(lines.get("capabilities", line), f'path "{path}": with deny, no other capability counts'))
        capabilities = {"deny"}
    conditions = tuple(
        sorted(attributes.keys() & {"allowed_parameters", "denied_parameters", "required_parameters", "min_wrapping_ttl", "max_wrapping_ttl", "control_group"})
    )
    return PathRule(path, frozenset(capabilities & CAPABILITIES), line, conditions) if path else None


class Acl:
    """What several policies allow together."""

    def __init__(self, rules: Iterable[PathRule]) -> None:
        exact: dict[str, set[str]] = {}
        prefix: dict[str, set[str]] = {}
        segments: dict[str, set[str]] = {}
        self._conditions: dict[str, tuple[str, ...]] = {}
        for rule in rules:
            tree = segments if rule.has_segments else prefix if rule.is_prefix else exact
            key = rule.path[:-1] if tree is prefix else rule.path
            known = tree.setdefault(key, set())
            known |= rule.capabilities
            if rule.conditions:
                self._conditions[rule.path] = rule.conditions
        self._exact, self._prefix, self._segments = exact, prefix, segments
        self._longest = sorted(prefix, key=len, reverse=True)

    def capabilities(self, path: str, *, listing: bool = False) -> frozenset[str]:
        """What may be done on a path; empty when nothing or ``deny``. ``listing``: the path is listed, with or without its slash."""
        return self.decide(path, listing=listing)[0]

    def decide(self, path: str, *, listing: bool = False) -> tuple[frozenset[str], str]:
        """The capabilities on a path, and the path of the rule that gives them (empty when none matches)."""
        path = path.lstrip("/")
        tries = [path, path.rstrip("/")] if listing else [path]
        for candidate in tries:
            if candidate in self._exact:
                return _effective(self._exact[candidate]), candidate
        for candidate in reversed(tries):
            found = self._matching(candidate)
            if found is not None:
                return found
        return frozenset(), ""

    def conditions(self, rule: str) -> tuple[str, ...]:
        """The restrictions on a rule's path that are not evaluated."""
        return self._conditions.get(rule, ())

    def _matching(self, path: str) -> tuple[frozenset[str], str] | None:
        candidates: list[tuple[tuple[int, bool, int, int, str], str, set[str]]] = []
        for prefix in self._longest:
            if path.startswith(prefix):
                candidates.append(((len(prefix), False, 0, len(prefix), prefix), f"{prefix}*", self._prefix[prefix]))
                break
        for rule, capabilities in self._segments.items():
            wildcards = _match_segments(rule, path)
            if wildcards is not None:
                bare = rule.removesuffix("*")
                candidates.append(((rule.index("+"), not rule.endswith("*"), -wildcards, len(bare), bare), rule, capabilities))
        if not candidates:
            return None
        _, rule, capabilities = max(candidates, key=lambda each: each[0])
        return _effective(capabilities), rule


def _effective(capabilities: set[str]) -> frozenset[str]:
    return frozenset() if "deny" in capabilities else frozenset(capabilities)


def _match_segments(rule: str, path: str) -> int | None:
    """How many ``+`` a rule with wildcard segments needs for a path; None when it does not match."""
    is_prefix = rule.endswith("*")
    wanted, given = rule.removesuffix("*").split("/"), path.split("/")
    if len(given) < len(wanted) or (not is_prefix and len(given) != len(wanted)):
        return None
    wildcards = 0
    for index, part in enumerate(wanted):
        if part == "+":
            wildcards += 1
        elif part != given[index] and not (is_prefix and index == len(wanted) - 1 and given[index].startswith(part)):
            return None
    return wildcards


def resolved(rule: PathRule, *, account: str, namespace: str) -> PathRule | None:
    """A rule whose path names something of the caller, as it reads for one Kubernetes service account; None where only Vault knows the rest."""

    def replace(match: re.Match[str]) -> str:
        found = _SERVICE_ACCOUNT.fullmatch(match[1])
        return match[0] if found is None else account if found["what"] == "name" else namespace

    path = _TEMPLATE.sub(replace, rule.path)
    if _TEMPLATE.search(path):
        return None
    return rule if path == rule.path else PathRule(path, rule.capabilities, rule.line, rule.conditions)
