"""Logins and an operator's right: short, revoked at the end, and nothing of interrupted proofs stays."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from harness.live.reach.kubectl import Kubectl
from harness.live.reach.run import Output
from harness.live.reach.web import Answer
from harness.live.secrets import vault_client
from harness.live.secrets.vault_client import PREFIX, RefusedError, VaultClient

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class FakeVault:
    """Policies, roles and tokens; it knows a token by the role that logged in."""

    def __init__(self) -> None:
        self.policies: dict[str, str] = {"default": ""}
        self.roles: dict[str, dict[str, Any]] = {"vault-config": {"token_policies": "vault-config"}}
        self.revoked: list[str] = []
        self.argvs: list[tuple[str, ...]] = []

    def __call__(self, argv: Sequence[str], *, stdin: str | None = None, timeout: float = 60, env: Mapping[str, str] | None = None) -> Output:
        self.argvs.append(tuple(argv))
        return Output("jwt\n")

    def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        assert path.startswith("/v1/")
        given, found = json.loads(body or b"null"), (path.removeprefix("/v1/"))
        if found == "auth/kubernetes/login":
            known = given["role"] in self.roles and given["jwt"] == "jwt"
            body = json.dumps({"auth": {"client_token": f"token of {given['role']}"}}).encode()
            return Answer(200, {}, body) if known else Answer(403, {}, b'{"errors":["permission\\n denied"]}')
        if found == "auth/token/revoke-self":
            self.revoked.append(headers["X-Vault-Token"])
            return Answer(204)
        place: dict[str, Any] = self.policies if found.startswith("sys/policies/acl") else self.roles
        name = found.removeprefix("sys/policies/acl").removeprefix("auth/kubernetes/role").strip("/")
        if method == "LIST":
            return Answer(200, {}, json.dumps({"data": {"keys": sorted(place)}}).encode()) if place else Answer(404)
        if method == "DELETE":
            assert headers["X-Vault-Token"].startswith(f"token of {PREFIX}")
            del place[name]
        else:
            assert headers["X-Vault-Token"] == "token of vault-config"
            place[name] = given
        return Answer(204)


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> FakeVault:
    fake = FakeVault()

    class FakeHttp:
        def __init__(self, _forwards: Any, target: str, port: int, namespace: str, tls: Any, host: str) -> None:
            assert (target, port, namespace, tls.authority, host) == ("svc/vault-active", 8200, "vault", "PEM", "vault.vault.svc")

        def ask(self, path: str, *, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
            return fake.ask(method, path, body, headers)

    monkeypatch.setattr(vault_client, "Client", FakeHttp)
    return fake


def client_of(vault: FakeVault) -> VaultClient:
    forwards: Any = None
    return VaultClient(Kubectl("kubectl", Path("kubeconfig"), "", vault), forwards, "PEM")


def test_an_operator_leaves_nothing(vault: FakeVault) -> None:
    with client_of(vault).operator('path "sys/seal" { capabilities = ["update"] }') as token:
        (name,) = set(vault.policies) - {"default"}
        assert token == f"token of {name}"
        assert 'path "sys/seal"' in json.dumps(vault.policies[name]).replace("\\", "")
        assert vault.roles[name]["bound_service_account_names"] == "vault-config"
    assert (list(vault.policies), list(vault.roles)) == (["default"], ["vault-config"])
    assert vault.revoked == ["token of vault-config", f"token of {name}"]
    assert all("jwt" not in argument and "token of" not in argument for argv in vault.argvs for argument in argv)


def test_a_failed_proof_leaves_nothing_either(vault: FakeVault) -> None:
    with pytest.raises(RuntimeError, match="proof"), client_of(vault).operator(""):
        raise RuntimeError("proof")
    assert (list(vault.policies), list(vault.roles)) == (["default"], ["vault-config"])


def test_what_interrupted_proofs_left_goes_and_what_runs_stays(vault: FakeVault) -> None:
    old, odd, running = f"{PREFIX}1000-aa", f"{PREFIX}x", f"{PREFIX}{int(time.time())}-bb"
    for name in (old, odd, running, "tenant-a"):
        vault.policies[name], vault.roles[name] = "", {}
    with client_of(vault).operator(""):
        pass
    assert sorted(vault.policies) == sorted({"default", running, "tenant-a"})
    assert sorted(vault.roles) == sorted({"vault-config", running, "tenant-a"})


def test_a_refusal_says_why(vault: FakeVault) -> None:
    with pytest.raises(RefusedError, match=r"^POST auth/kubernetes/login: status 403: permission denied$") as refused:
        client_of(vault).login("other", "tenant-b", "vault-auth")
    assert refused.value.status == 403
    assert vault.argvs[0][2:] == (
        *("create", "token", "vault-auth", "--namespace=tenant-b", "--audience=vault", "--duration=10m"),
        *("--as=system:serviceaccount:vault:vault", "--as-group=system:masters"),
    )


def test_an_empty_listing(vault: FakeVault) -> None:
    vault.policies.clear()
    assert client_of(vault).names("sys/policies/acl", "token") == []
