"""Probes of Vault: what they change in it is as before afterwards, whatever happens in between, and what they say holds no value."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from harness.live.reach.kubectl import Kubectl
from harness.live.reach.web import WebError
from harness.live.secrets import vault_probe
from harness.live.secrets.vault_probe import Brought, audited, dynamic_secret, environment, firing, hang_up, policy, static_secret, unaudited

sys.path.insert(0, str(Path(__file__).parent))
from fakes import Programs, condition

DEVICES = {"file/": {"type": "file", "options": {"file_path": "/vault/audit/audit.log"}}, "stdout/": {"type": "file", "options": {"file_path": "stdout"}}}
ARGV = ("kubectl", "--kubeconfig=kubeconfig")


class FakeClient:
    """Policies and audit devices."""

    def __init__(self) -> None:
        self.policies = {"tenant-b": 'path "a" { capabilities = ["read"] }'}
        self.devices: dict[str, Any] = json.loads(json.dumps(DEVICES))
        self.asked: list[tuple[str, str]] = []

    def good(self, method: str, path: str, body: Any, token: str) -> dict[str, Any]:
        assert token == "token"
        self.asked.append((method, path))
        name = path.rpartition("/")[2]
        match method, path.split("/")[1]:
            case "GET", "policies":
                return {"data": {"policy": self.policies[name]}}
            case "PUT", "policies":
                self.policies[name] = body["policy"]
            case "GET", "audit":
                return {"data": self.devices}
            case "DELETE", "audit":
                del self.devices[f"{name}/"]
            case "PUT", "audit":
                self.devices[f"{name}/"] = body
            case _:
                raise AssertionError((method, path))
        return {}


def test_a_policy_is_as_before() -> None:
    fake: Any = FakeClient()
    seen: list[str] = []

    def fails() -> None:
        with policy(fake, "token", "tenant-b", '\npath "b" {}'):
            seen.append(fake.policies["tenant-b"])
            raise RuntimeError("proof")

    with pytest.raises(RuntimeError, match="proof"):
        fails()
    assert seen == ['path "a" { capabilities = ["read"] }\npath "b" {}']
    assert fake.policies["tenant-b"] == 'path "a" { capabilities = ["read"] }'


@pytest.mark.parametrize("again", [False, True])
def test_an_audit_device_comes_back(again: bool) -> None:
    fake: Any = FakeClient()
    with unaudited(fake, "token", "stdout"):
        assert list(fake.devices) == ["file/"]
        if again:
            # The Job that configures Vault was quicker.
            fake.devices["stdout/"] = DEVICES["stdout/"]
    assert fake.devices == DEVICES
    assert fake.asked.count(("PUT", "sys/audit/stdout")) == (0 if again else 1)


def test_both_devices_of_a_member_are_read() -> None:
    event = json.dumps({"type": "request", "request": {"path": "kv/data/x"}})
    programs = (
        Programs()
        .on(*ARGV, "logs", "vault-0", "--namespace=vault", "--container=vault", "--since=180s", "--tail=3000", says=f"a line\n{event}\n")
        .on(*ARGV, "get", "persistentvolumeclaims", "audit-vault-0", "--namespace=vault", "--output=json", says={"spec": {"volumeName": "pv-1"}})
        .on(*ARGV, "get", "persistentvolumes", "pv-1", "--output=json", says={"spec": {"local": {"path": "/var/pv-1"}}})
        .on(*ARGV, "get", "pods", "vault-0", "--namespace=vault", "--output=json", says={"spec": {"nodeName": "node-1"}})
    )
    kubectl = Kubectl("kubectl", Path("kubeconfig"), "", programs)
    entered: list[tuple[str, ...]] = []
    cluster: Any = SimpleNamespace(foreign=False, docker=lambda *words: entered.append(words) or f"{event}\n{event}\n")
    assert {name: len(found) for name, found in audited(kubectl, cluster, "vault-0").items()} == {"stdout": 1, "file": 2}
    assert entered == [("exec", "node-1", "tail", "-n", "3000", "/var/pv-1/audit.log")]
    assert list(audited(kubectl, SimpleNamespace(foreign=True), "vault-0")) == ["stdout"]  # type: ignore[arg-type]


def test_what_the_operator_says_and_brings() -> None:
    body = {"status": {"conditions": [condition("Ready", "False", message="no lease"), condition("SecretSynced", "True", message="fine")]}}
    programs = (
        Programs()
        .on(*ARGV, "get", "kind", "app", "--namespace=tenant-a", "--output=json", says=body)
        .on(*ARGV, "get", "secret", "app-secret", "--namespace=tenant-a", "--output=json", says={"data": {"password": base64.b64encode(b"value").decode()}})
    )
    brought = Brought(Kubectl("kubectl", Path("kubeconfig"), "", programs), "kind", "app", "tenant-a", "app-secret")
    assert brought.values == {"password": "value"}
    assert brought.state() == "Ready False: no lease; SecretSynced True"


def test_objects_for_the_operator_keep_to_their_tenant() -> None:
    static, dynamic = static_secret("a", "tenant-a", "tenants/tenant-a/a"), dynamic_secret("b", "tenant-a", "creds/tenant-a-reader", ttl="10m", percent=3)
    assert (static["spec"]["path"], static["spec"]["refreshAfter"]) == ("tenants/tenant-a/a", "5s")
    assert (dynamic["spec"]["params"], dynamic["spec"]["revoke"]) == ({"kubernetes_namespace": "tenant-a", "ttl": "10m"}, True)


class Answers:
    """A client that answers JSON, or nothing."""

    def __init__(self, found: Any) -> None:
        self.found = found

    def json(self, path: str, query: Any = None) -> Any:
        if isinstance(self.found, OSError):
            raise self.found
        assert path in ("/env", "/api/v2/alerts")
        assert query in (None, {"filter": 'alertname=~"VaultSealed|VaultNoLeader"'})
        return self.found


def test_environment_and_alerts(monkeypatch: pytest.MonkeyPatch) -> None:
    dropped: list[tuple[str, int, str]] = []
    forwards: Any = SimpleNamespace(drop=lambda *key: dropped.append(key))
    monkeypatch.setattr(vault_probe, "Client", lambda *_words: Answers(["A=1", "B=x=y"]))
    assert environment(forwards, "tenant-a") == {"A": "1", "B": "x=y"}
    monkeypatch.setattr(vault_probe, "Client", lambda *_words: Answers(WebError("gone")))
    with pytest.raises(WebError, match="gone"):
        environment(forwards, "tenant-a")
    assert dropped == [("svc/podinfo", 80, "tenant-a")]
    alerts = [{"status": {"state": "active"}}, {"status": {"state": "unprocessed"}}]
    monkeypatch.setattr(vault_probe, "Client", lambda *_words: Answers(alerts))
    assert firing(forwards, "VaultSealed", "VaultNoLeader") == [{"status": {"state": "active"}, "state": "active"}]


def test_connections_that_are_closed_are_counted() -> None:
    entered: list[tuple[str, ...]] = []
    cluster: Any = SimpleNamespace(docker=lambda *words: entered.append(words) or "0 0 10.0.0.1:1 10.0.0.2:8200\n\n")
    assert hang_up(cluster, "node-1", "/operator", 8200) == 1
    assert entered[0][:4] == ("exec", "node-1", "bash", "-c")
    assert entered[0][5:] == ("hang-up", "/operator", "8200")
