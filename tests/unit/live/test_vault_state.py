"""Vault beside its declarations: what differs is named on both sides; audit events are found among other lines."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from harness.engines.vault.declared import Declarations, declared
from harness.live.reach.web import Answer
from harness.live.secrets.vault_client import RefusedError
from harness.live.secrets.vault_state import differences, events, reading, refusals, same, seconds
from harness.model import Location, Object, ObjectId, Origin

if TYPE_CHECKING:
    from collections.abc import Mapping

SCRIPTS = {
    "platform.vault": """audit file file file_path=/vault/audit/audit.log
auth kubernetes kubernetes -default-lease-ttl=1h
policy reader reader.policy.hcl
write auth/kubernetes/role/reader bound_service_account_names=a,b bound_service_account_namespaces=one token_policies=reader token_ttl=15m
mount kv kv -version=2
write kv/config max_versions=10 cas_required=false
value kv/tenants/one/app password=random
""",
    "reader.policy.hcl": 'path "kv/data/one" { capabilities = ["read"] }\n',
}


def found() -> Declarations:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "scripts", "namespace": "vault"}, "data": SCRIPTS}
    return declared([Object(ObjectId("test", "", "ConfigMap", "vault", "scripts"), body, Origin(Location("a.yaml", 1)))])


def whole() -> dict[str, Any]:
    """Vault as it is declared."""
    return {
        "sys/audit": {"file/": {"type": "file", "options": {"file_path": "/vault/audit/audit.log"}}},
        "sys/auth": {"kubernetes/": {"type": "kubernetes", "config": {"default_lease_ttl": 3600}}, "token/": {"type": "token"}},
        "sys/mounts": {"kv/": {"type": "kv", "options": {"version": "2"}}, "sys/": {"type": "system"}, "cubbyhole/": {"type": "cubbyhole"}},
        "LIST sys/policies/acl": {"keys": ["default", "root", "reader", "plimsoll-proof-1-aa"]},
        "sys/policies/acl/reader": {"policy": '# a comment\npath "kv/data/one" {\n  capabilities = ["read"]\n}\n'},
        "LIST auth/kubernetes/role": {"keys": ["reader", "plimsoll-proof-1-aa"]},
        "auth/kubernetes/role/reader": {
            "bound_service_account_names": ["a", "b"],
            "bound_service_account_namespaces": ["one"],
            "token_policies": ["reader"],
            "token_ttl": 900,
        },
        "kv/config": {"max_versions": 10, "cas_required": False},
    }


@dataclass
class FakeClient:
    """Vault's answers by path."""

    held: dict[str, Any] = field(default_factory=whole)

    def good(self, method: str, path: str, _body: Any = None, token: str = "") -> dict[str, Any]:
        assert (method, token) == ("GET", "token")
        if path not in self.held:
            raise RefusedError(f"GET {path}", Answer(404, {}, b'{"errors":[]}'))
        return {"data": self.held[path]}

    def names(self, path: str, token: str) -> list[str]:
        assert token == "token"
        return list(self.held.get(f"LIST {path}", {"keys": []})["keys"])


def told(held: Mapping[str, Any]) -> list[tuple[str, str]]:
    client: Any = FakeClient(dict(held))
    return [(live, wanted) for _spot, live, wanted in differences(found(), client, "token")]


def test_what_is_as_declared_is_silent() -> None:
    assert not found().faults
    assert told(whole()) == []


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("sys/audit", {}, ("Vault has no audit device file", "the audit device that Git declares")),
        (
            "sys/audit",
            {"file/": {"type": "file", "options": {"log_raw": "true"}}},
            ("audit device file writes secrets in the clear (log_raw)", "hashes"),
        ),
        (
            "sys/auth",
            {**whole()["sys/auth"], "userpass/": {"type": "userpass"}},
            ("Vault has the auth method userpass", "no such auth method: Git declares kubernetes"),
        ),
        ("sys/auth", {"kubernetes/": {"type": "jwt", "config": {"default_lease_ttl": 3600}}}, ("auth method kubernetes is of type jwt", "kubernetes")),
        ("sys/mounts", {"kv/": {"type": "kv", "options": {"version": "1"}}}, ("secrets engine kv: version is '1'", "2")),
        ("LIST sys/policies/acl", {"keys": ["reader", "odd"]}, ("Vault has the policy odd", "no such policy: Git declares reader")),
        (
            "sys/policies/acl/reader",
            {"policy": 'path "kv/data/one" { capabilities = ["read"] }\npath "kv/*" { capabilities = ["list"] }'},
            ("policy reader: kv/*: list", "nothing less"),
        ),
        (
            "LIST auth/kubernetes/role",
            {"keys": ["reader", "mine"]},
            ("Vault has the role of kubernetes mine", "no such role of kubernetes: Git declares reader"),
        ),
        ("kv/config", {"max_versions": 0, "cas_required": False}, ("kv/config: max_versions is 0", "10")),
    ],
)
def test_each_difference_names_both_sides(path: str, body: Any, expected: tuple[str, str]) -> None:
    assert told({**whole(), path: body}) == [expected]


def test_what_is_not_there_is_a_difference() -> None:
    held = whole()
    del held["kv/config"]
    assert told(held) == [("kv/config: GET kv/config: status 404", "what is declared")]


def test_looking_opens_no_value() -> None:
    policy = reading(found(), "sys/policies/acl/reader")
    assert "kv/data" not in policy
    assert 'path "kv/config" { capabilities = ["read"] }' in policy
    assert 'path "sys/policies/acl/reader" { capabilities = ["read", "update"] }' in policy
    assert 'path "auth/kubernetes/role" { capabilities = ["list"] }' in policy


@pytest.mark.parametrize(("text", "expected"), [("90", 90), ("1h30m", 5400), ("2d", 172800), ("1h x", None), ("", None), ("h", None)])
def test_durations(text: str, expected: int | None) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    ("declared_as", "live", "equal"),
    [
        ("true", True, True),
        ("false", True, False),
        ("1h", 3600, True),
        ("1h", 60, False),
        ("a, b", ["a", "b"], True),
        ("a", ["a", "b"], False),
        ("x", None, False),
    ],
)
def test_words_and_answers(declared_as: str, live: Any, equal: bool) -> None:
    assert same(declared_as, live) is equal


def test_refusals_among_other_lines() -> None:
    def event(path: str, error: str, namespace: str) -> str:
        auth = {"metadata": {"service_account_namespace": namespace}}
        return json.dumps({"type": "response", "auth": auth, "error": error, "request": {"path": path}})

    denied = "1 error occurred:\n\t* permission denied\n\n"
    lines = [
        '{"@level":"info","@message":"lease"}',
        "not JSON",
        "[1]",
        event("kv/data/one", denied, "two"),
        event("kv/data/one", "", "two"),
        event("kv/data/one", denied, "three"),
        event("kv/data/x", denied, "two"),
        '{"type":"request","request":{"path":"kv/data/one"},"error":"permission denied"}',
    ]
    known = events("\n".join(lines))
    assert len(known) == 5
    assert refusals(known, "kv/data/one", "two") == [known[0]]


def test_the_platforms_declarations_are_read_whole() -> None:
    folder = Path(__file__).parents[3] / "clusters/base/infrastructure/vault/configs"
    data = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.suffix in (".hcl", ".vault", ".sh")}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "scripts", "namespace": "vault"}, "data": data}
    known = declared([Object(ObjectId("test", "", "ConfigMap", "vault", "scripts"), body, Origin(Location("a.yaml", 1)))])
    assert (known.faults, sorted(known.audits)) == ([], ["file", "stdout"])
