"""Vault: unsealed, exactly as declared, audited; secrets reach pods and tenants no others'; it is brought back from a snapshot, and missed when sealed."""

from __future__ import annotations

import contextlib
import tempfile
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import pytest
from harness.live.bootstrap.base import Journal
from harness.live.bootstrap.vault_api import NAMESPACE
from harness.live.faults import applied, deleted, maker
from harness.live.findings import NotEvaluatedError, expect
from harness.live.ground.vault import vault_of
from harness.live.proofs import CLOSED
from harness.live.reach.wait import WaitError, wait
from harness.live.reach.web import Tls, request
from harness.live.rules.secrets import AS_DECLARED, DENIAL_AUDITED, DYNAMIC, SEALED_ALERT, SNAPSHOT, STATIC, TENANT_DENIED, UNSEALED
from harness.live.secrets.vault_client import RefusedError, VaultClient
from harness.live.secrets.vault_probe import (
    DYNAMIC_KIND,
    STATIC_KIND,
    Brought,
    account,
    audited,
    dynamic_secret,
    environment,
    firing,
    hang_up,
    new_name,
    policy,
    static_secret,
    streams,
    unaudited,
)
from harness.live.secrets.vault_state import differences, reading, refusals
from harness.live.telemetry.alarms import Provocation, Wanted
from harness.rules.vault_view import place, view

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.live.bootstrap.vault import Vault
    from harness.live.bringup import Platform
    from harness.live.ground.cluster import Cluster
    from harness.live.reach.kubectl import Kubectl
    from harness.model import Object

pytestmark = pytest.mark.proof(uses=("vault",))

OWN, OTHER = "tenant-a", "tenant-b"
OWN_PATH = f"kv/data/tenants/{OWN}/podinfo"
OPERATOR = "app.kubernetes.io/name=vault-secrets-operator"
POLICIES = 'path "sys/policies/acl/*" { capabilities = ["read", "update"] }\n'
#: The alerts of a Vault that serves nobody.
MISSED = ("VaultSealed", "VaultNoLeader")
AUDIT = 'path "sys/audit" { capabilities = ["read", "sudo"] }\npath "sys/audit/*" { capabilities = ["update", "delete", "sudo"] }\n'


def bootstrap_of(platform: Platform) -> Vault:
    """Vault as the bootstrap sees it, with the key file of this run's cluster."""
    if platform.pair is None:
        raise NotEvaluatedError("vault", "with its keys", "this run did not bring the cluster up, and has no key file")
    return vault_of(platform.cluster, platform.pair, Journal(), timeout=120)


def client_of(platform: Platform) -> VaultClient:
    return VaultClient.of(platform.cluster.kubectl, platform.forwards)


def member(platform: Platform) -> Object | str:
    return platform.world.find("StatefulSet.apps", NAMESPACE, "vault") or "vault"


def declared_object(platform: Platform, kind: str, name: str) -> Object:
    found = platform.world.find(kind, OWN, name)
    if found is None:
        raise NotEvaluatedError(OWN, name, f"the build of this cluster has no such {kind.partition('.')[0]}")
    return found


def test_every_member_is_unsealed(platform: Platform) -> None:
    vault = bootstrap_of(platform)
    found = vault.members()
    expect(
        UNSEALED,
        member(platform),
        len(found) == vault.wanted() and not any(each.sealed for each in found),
        found="; ".join(map(str, found)),
        expected=f"{vault.wanted()} members, all unsealed",
    )
    with vault.leader() as leader:
        expect(UNSEALED, member(platform), bool(leader), found="nobody leads", expected="one member leads")


@pytest.mark.proof(breaks=("vault-config",))
def test_vault_holds_what_git_declares(platform: Platform) -> None:
    found, client = view(platform.world).declared, client_of(platform)
    if not found:
        raise NotEvaluatedError("vault", "its configuration", "Git declares none in a form that is read")
    with client.operator(reading(found, f"sys/policies/acl/{OTHER}")) as token:
        for spot, live, wanted in differences(found, client, token):
            location = place(platform.world, spot) if spot is not None else None
            expect(AS_DECLARED, spot.item if spot is not None else member(platform), False, found=live, expected=wanted, location=location)
        platform.red(
            "platform.vault -> Vault",
            f"somebody lets {OTHER} read the secrets of {OWN}",
            policy(client, token, OTHER, f'\npath "{OWN_PATH}" {{ capabilities = ["read"] }}\n'),
            lambda: "; ".join(live for _spot, live, _wanted in differences(found, client, token)),
        )


@pytest.mark.proof(uses=("tenant-b",), breaks=("vault-config",))
def test_another_tenant_is_denied(platform: Platform, kubectl: Kubectl) -> None:
    client = client_of(platform)
    with applied(kubectl, account(OTHER)), client.operator(POLICIES) as operator:

        def denied() -> str:
            with client.logged_in(OTHER, OTHER, "vault-auth") as token:
                statuses = {path: client.ask(method, path, body, token).status for method, path, body in asked}
            return "; ".join(f"{path}: {status}" for path, status in statuses.items() if status != 403)

        asked: list[tuple[str, str, Any]] = [
            ("GET", OWN_PATH, None),
            ("GET", f"kv/metadata/tenants/{OWN}/podinfo", None),
            ("PUT", f"kubernetes-creds/creds/{OWN}-reader", {"kubernetes_namespace": OWN}),
            ("PUT", f"pki/issue/{OWN}", {"common_name": f"web.{OWN}.svc"}),
            ("GET", f"sys/policies/acl/{OWN}", None),
            ("PUT", f"kv/data/tenants/{OTHER}/podinfo", {"data": {"password": "other"}}),
        ]
        with client.logged_in(OTHER, OTHER, "vault-auth") as token:
            control = client.ask("GET", f"kv/data/tenants/{OTHER}/podinfo", None, token).status
        expect(TENANT_DENIED, member(platform), control == 200, found=f"{OTHER} gets its own secret with {control}", expected="200, or a refusal says nothing")
        found = denied()
        expect(TENANT_DENIED, member(platform), not found, found=f"as {OTHER}: {found}", expected="403 for each")
        for role in (OWN, "vault-config", "cert-manager"):
            expect(TENANT_DENIED, member(platform), _refused(client, role), found=f"{OTHER}'s account may log in as {role}", expected="403")
        platform.red(
            "policy of the tenant -> Vault",
            f"the policy of {OTHER} opens what is {OWN}'s",
            policy(client, operator, OTHER, f'\npath "{OWN_PATH}" {{ capabilities = ["read"] }}\n'),
            denied,
        )


def _refused(client: VaultClient, role: str) -> bool:
    try:
        client.login(role, OTHER, "vault-auth")
    except RefusedError as error:
        return error.status == 403
    return False


@pytest.mark.proof(uses=("tenant-b",), breaks=("vault-config",))
def test_a_denial_is_audited_and_no_secret_is(platform: Platform, cluster: Cluster, kubectl: Kubectl) -> None:
    client, own = client_of(platform), f"kv/data/tenants/{OTHER}/podinfo"
    with bootstrap_of(platform).leader() as pod, applied(kubectl, account(OTHER)), client.operator(AUDIT) as operator:

        def missed() -> str:
            """The devices that have no event of a refusal that is provoked now."""
            path = f"kv/data/tenants/{OWN}/{new_name()}"
            with client.logged_in(OTHER, OTHER, "vault-auth") as token:
                client.ask("GET", path, None, token)
            without = [name for name, found in audited(kubectl, cluster, pod).items() if not refusals(found, path, OTHER)]
            return f"the refusal is not in: {', '.join(without)}" if without else ""

        found = missed()
        expect(DENIAL_AUDITED, member(platform), not found, found=found, expected="an event with the path, the account and permission denied in each device")
        with client.logged_in(OTHER, OTHER, "vault-auth") as token:
            value = str(client.good("GET", own, None, token)["data"]["data"]["password"])
            written = streams(kubectl, cluster, pod)
        for device, text in written.items():
            expect(DENIAL_AUDITED, member(platform), own in text, found=f"{device} has nothing of a read of {own}", expected="its event")
            expect(DENIAL_AUDITED, member(platform), value not in text and token not in text, found=f"{device} holds a secret in the clear", expected="hashes")
        platform.red("refusal -> audit device", "the audit device stdout is disabled", unaudited(client, operator, "stdout"), missed)


@pytest.mark.proof(uses=("tenant-a", "vault-secrets-operator"), breaks=("tenant-a",), seconds=400)
def test_a_new_value_restarts_the_pod_with_it(platform: Platform, kubectl: Kubectl) -> None:
    client, item = client_of(platform), declared_object(platform, "VaultStaticSecret.secrets.hashicorp.com", "podinfo-static")
    secret = Brought(kubectl, STATIC_KIND, item.name, OWN, str(item.get("spec", "destination", "name")))
    _same_in_the_pod(platform, secret, "before the rotation")
    with client.operator(f'path "{OWN_PATH}" {{ capabilities = ["read", "create", "update"] }}\n') as operator:
        before = client.good("GET", OWN_PATH, None, operator)["data"]["data"]
        after = {**before, "password": token_hex(24)}
        client.good("PUT", OWN_PATH, {"data": after}, operator)
    try:
        # Its refreshAfter is a minute, and the operator adds a little.
        wait(lambda: secret.values.get("password") == after["password"], timeout=100, status=secret.state)
    except WaitError as error:
        expect(STATIC, item, False, found=f"the new value did not come: {error.status}", expected="it comes within refreshAfter (1m)")
    _same_in_the_pod(platform, secret, "after the rotation")


def _same_in_the_pod(platform: Platform, secret: Brought, when: str) -> None:
    item = declared_object(platform, "Deployment.apps", "podinfo")

    def arrived() -> bool:
        try:
            running = environment(platform.forwards, OWN)
        except OSError:
            return False
        return bool(running.get("PODINFO_PASSWORD")) and running["PODINFO_PASSWORD"] == secret.values.get("password")

    try:
        wait(arrived, timeout=90)
    except WaitError:
        expect(STATIC, item, False, found=f"{when} the pod runs with another password than the Secret {secret.secret} holds", expected="the same")


@pytest.mark.proof(uses=("tenant-a", "vault", CLOSED), breaks=("vault-secrets-operator",), seconds=400)
def test_a_value_comes_through_the_operator_only(platform: Platform, cluster: Cluster, kubectl: Kubectl) -> None:
    if cluster.foreign:
        raise NotEvaluatedError("vault", "the way of the secrets operator", "the nodes of this cluster cannot be entered from here")
    client, name = client_of(platform), new_name()
    item = platform.world.find("NetworkPolicy.networking.k8s.io", NAMESPACE, "allow-vault-secrets-operator-to-vault-8200")
    if item is None:
        raise NotEvaluatedError("vault", "the way of the secrets operator", "the build of this cluster has no such NetworkPolicy")
    node = str(kubectl.list("pods", namespace="vault-secrets-operator", selector=OPERATOR)[0]["spec"]["nodeName"])
    path = f"kv/data/tenants/{OWN}/{name}"
    rights = f'path "{path}" {{ capabilities = ["create", "update"] }}\npath "kv/metadata/tenants/{OWN}/{name}" {{ capabilities = ["delete"] }}\n'
    with client.operator(rights) as operator:
        secret = Brought(kubectl, STATIC_KIND, name, OWN, name)

        def arrives() -> str:
            value = token_hex(8)
            client.good("PUT", path, {"data": {"value": value}}, operator)
            try:
                wait(lambda: secret.values.get("value") == value, timeout=25, status=secret.state)
            except WaitError as error:
                return f"a new value did not come within 25 s ({error.status})"
            return ""

        @contextmanager
        def cut() -> Iterator[None]:
            with deleted(kubectl, "networkpolicies.networking.k8s.io", item.name, NAMESPACE, suspending=maker(item)):
                # What is connected stays connected.
                wait(lambda: not hang_up(cluster, node, "/vault-secrets-operator", 8200), successes=2, timeout=60, what="the operator's connections to end")
                yield

        try:
            client.good("PUT", path, {"data": {"value": "first"}}, operator)
            with applied(kubectl, static_secret(name, OWN, f"tenants/{OWN}/{name}")):
                platform.red("Vault -> operator -> Secret", "the NetworkPolicy that lets the operator to Vault is gone", cut(), arrives, mended_within=180)
        finally:
            client.good("DELETE", f"kv/metadata/tenants/{OWN}/{name}", None, operator)


@pytest.mark.proof(uses=("tenant-a", "vault-secrets-operator"))
def test_a_dynamic_secret_opens_what_it_should(platform: Platform, kubectl: Kubectl) -> None:
    item = declared_object(platform, "VaultDynamicSecret.secrets.hashicorp.com", "podinfo-kubernetes")
    brought = Brought(kubectl, DYNAMIC_KIND, item.name, OWN, str(item.get("spec", "destination", "name")))
    token = brought.values.get("service_account_token", "")
    expect(DYNAMIC, item, bool(token), found=f"no token in the Secret: {brought.state()}", expected="service_account_token")
    statuses = {path: _api(kubectl, path, token) for path in (f"{OWN}/pods", f"{OWN}/services", f"{OWN}/secrets", f"{OTHER}/pods")}
    wanted = {f"{OWN}/pods": 200, f"{OWN}/services": 200, f"{OWN}/secrets": 403, f"{OTHER}/pods": 403}
    expect(DYNAMIC, item, statuses == wanted, found=f"the API server answers {statuses}", expected=str(wanted))


def _api(kubectl: Kubectl, what: str, token: str) -> int:
    """The status with which the API server answers a list, asked with a token (which is in no argument)."""
    server = kubectl.server()
    namespace, _, kind = what.partition("/")
    headers, tls = {"Authorization": f"Bearer {token}"}, Tls(server.authority, server.host)
    return request((server.host, server.port), server.host, f"/api/v1/namespaces/{namespace}/{kind}", headers=headers, tls=tls).status


@pytest.mark.proof(uses=("vault-secrets-operator",), breaks=("tenant-a",), seconds=400)
def test_a_dynamic_secret_is_renewed_and_revoked(platform: Platform, kubectl: Kubectl) -> None:
    client, name = client_of(platform), new_name()
    item = declared_object(platform, "VaultDynamicSecret.secrets.hashicorp.com", "podinfo-kubernetes")
    binding = declared_object(platform, "RoleBinding.rbac.authorization.k8s.io", "vault-token-issuer")
    brought = Brought(kubectl, DYNAMIC_KIND, name, OWN, name)
    seen: list[str] = []

    def lease() -> str:
        return str((brought.body.get("status") or {}).get("secretLease", {}).get("id", ""))

    def renewed() -> str:
        """Whether another token than the last comes in time: ten minutes are the least that Kubernetes gives, three percent of them 18 seconds."""
        try:
            wait(lambda: brought.values.get("service_account_token", "") not in ("", *seen[-1:]), timeout=45, status=brought.state)
        except WaitError as error:
            return f"no new token came within 45 s ({error.status})"
        seen.append(brought.values["service_account_token"])
        return ""

    with client.operator('path "sys/leases/lookup" { capabilities = ["update"] }\n') as operator:
        with applied(kubectl, dynamic_secret(name, OWN, f"creds/{OWN}-reader", ttl="10m", percent=3)):
            platform.red(
                "Vault -> API server: tokens of the tenant",
                "the RoleBinding vault-token-issuer is gone",
                deleted(kubectl, "rolebindings.rbac.authorization.k8s.io", binding.name, OWN, suspending=maker(binding)),
                renewed,
            )
            expect(DYNAMIC, item, len(seen) >= 2, found=f"{len(seen)} tokens were seen", expected="one, and at least one after it")
            last = lease()
            known = client.ask("POST", "sys/leases/lookup", {"lease_id": last}, operator).status
            expect(DYNAMIC, item, known == 200, found=f"Vault answers {known} for the lease of the Secret", expected="200")
        try:
            wait(lambda: client.ask("POST", "sys/leases/lookup", {"lease_id": last}, operator).status == 400, timeout=30)
        except WaitError:
            expect(DYNAMIC, item, False, found="the lease is there 30 s after its VaultDynamicSecret is gone", expected="it is revoked")


@pytest.mark.proof(breaks=("vault",), seconds=400)
def test_a_snapshot_brings_vault_back(platform: Platform) -> None:
    vault, client, name = bootstrap_of(platform), client_of(platform), new_name()
    path, cronjob = f"kv/data/tenants/{OTHER}/{name}", platform.world.find("CronJob.batch", NAMESPACE, "vault-snapshot") or member(platform)
    rights = (
        f'path "{path}" {{ capabilities = ["read", "create", "update"] }}\npath "kv/metadata/tenants/{OTHER}/{name}" {{ capabilities = ["read", "delete"] }}\n'
        'path "sys/storage/raft/snapshot" { capabilities = ["create", "update"] }\n'
    )
    with tempfile.TemporaryDirectory(prefix="plimsoll-vault-") as folder, client.operator(rights) as operator:
        file = Path(folder, "vault.snap")
        client.good("PUT", path, {"data": {"value": "kept"}}, operator)
        with client.logged_in("vault-snapshot", NAMESPACE, "vault-snapshot") as token:
            refused = client.ask("PUT", "sys/storage/raft/snapshot", b"\x1f\x8b", token).status
            expect(SNAPSHOT, cronjob, refused == 403, found=f"the account of the snapshots may restore: {refused}", expected="403")
            vault.snapshot(file, token)

        def kept() -> str:
            answer = client.ask("GET", path, None, operator)
            value = answer.json["data"]["data"].get("value") if answer.status == 200 else f"status {answer.status}"
            return "" if value == "kept" else f"Vault holds: {value}"

        @contextmanager
        def lost() -> Iterator[None]:
            client.good("DELETE", f"kv/metadata/tenants/{OTHER}/{name}", None, operator)
            try:
                yield
            finally:
                vault.restore(file, other_keys=False, token=operator)

        try:
            platform.red("snapshot -> Vault", "a secret is deleted with all its versions; then the snapshot is restored", lost(), kept)
        finally:
            client.ask("DELETE", f"kv/metadata/tenants/{OTHER}/{name}", None, operator)
    expect(SNAPSHOT, member(platform), not any(each.sealed for each in vault.members()), found="a member is sealed after the restore", expected="unsealed")


@pytest.mark.proof(breaks=("vault",), seconds=400)
def test_the_snapshots_job_does_what_it_should(platform: Platform, kubectl: Kubectl) -> None:
    name, cronjob = new_name(), platform.world.find("CronJob.batch", NAMESPACE, "vault-snapshot") or member(platform)

    def state() -> str:
        status = (kubectl.get("jobs.batch", name, NAMESPACE) or {}).get("status") or {}
        return f"{status.get('succeeded', 0)} succeeded, {status.get('failed', 0)} failed"

    try:
        kubectl("create", "job", name, "--from=cronjob/vault-snapshot", f"--namespace={NAMESPACE}")
        wait(lambda: state().startswith("1 "), timeout=120, status=state)
        said = kubectl("logs", f"job/{name}", f"--namespace={NAMESPACE}")
        expect(SNAPSHOT, cronjob, "saved /snapshots/vault-" in said, found=f"the Job says {said[-200:]!r}", expected="saved /snapshots/vault-<time>.snap")
    except WaitError as error:
        expect(SNAPSHOT, cronjob, False, found=f"after two minutes: {error.status}", expected="1 succeeded")
    finally:
        kubectl.delete("jobs.batch", name, NAMESPACE)


@pytest.mark.proof(uses=("kube-prometheus-stack",), breaks=("vault",), seconds=900, long=True)
def test_a_sealed_vault_is_missed(platform: Platform) -> None:
    vault, client = bootstrap_of(platform), client_of(platform)
    rule = platform.world.find("PrometheusRule.monitoring.coreos.com", NAMESPACE, "vault") or member(platform)

    @contextmanager
    def sealed() -> Iterator[None]:
        with client.operator('path "sys/seal" { capabilities = ["update", "sudo"] }\n') as operator:
            try:
                client.good("PUT", "sys/seal", None, operator)
                yield
            finally:
                vault.unseal()
                wait(lambda: client.ask("GET", "sys/health").status == 200, timeout=60, what="Vault to lead again")

    last: list[dict[str, Any]] = []

    def active() -> list[dict[str, Any]]:
        # An Alertmanager that does not answer says neither that there is an alert nor that there is none.
        with contextlib.suppress(OSError):
            last[:] = firing(platform.forwards, *MISSED)
        return last

    missed = Provocation([Wanted(name) for name in MISSED], active)
    expect(SEALED_ALERT, rule, not missed.probe(), found=f"before it is sealed: {missed.probe()}", expected="no alert")
    fault = missed.breaking(sealed())
    platform.red(
        f"Vault -> {', '.join(MISSED)} -> Alertmanager",
        "Vault is sealed, and unsealed with its shares",
        fault,
        missed.probe,
        broken_within=400,
        mended_within=300,
        delay=3,
    )
