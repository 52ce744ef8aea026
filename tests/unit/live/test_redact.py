"""No secret survives: not in an object, not in a log, not in an error, and what is no secret stays readable."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from harness.live import redact
from hypothesis import given
from hypothesis import strategies as st

PRIVATE = (
    ec.generate_private_key(ec.SECP256R1()).private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
)
JWT = "ey" + "JhbGciOiJSUzI1NiJ9" + ".ey" + "JzdWIiOiJhIn0" + "." + "c2lnbmF0dXJl"
VAULT = "hvs." + "CAESIJ0K2mExampleExampleExample"


@pytest.mark.parametrize(("before", "after"), [
    (f"key:\n{PRIVATE}done", "key:\n(redacted)\ndone"),
    (f"key: {PRIVATE[:90]}", "key: (redacted)"),
    (f"token {JWT} expired", "token (redacted) expired"),
    (f"Authorization: Bearer {JWT}", "Authorization: Bearer (redacted)"),
    ('{"authorization":"Basic b3BlcmF0b3I6aHVudGVyMg=="}', '{"authorization":"Basic (redacted)"}'),
    (f"X-Vault-Token: {VAULT}", "X-Vault-Token: (redacted)"),
    (f"Initial Root Token: {VAULT}", "Initial Root Token: (redacted)"),
    ("Unseal Key 1: q3vJ8wDk1mExampleKeyValue0=", "Unseal Key 1: (redacted)"),
    ("postgres://app:hunter2@db:5432/app", "postgres://app:(redacted)@db:5432/app"),
    ("password=hunter22 user=app", "password=(redacted) user=app"),
    (r'{\"password\":\"hunter22\"}', r'{\"password\":\"(redacted)\"}'),
    ("GF_SECURITY_ADMIN_PASSWORD=hunter22", "GF_SECURITY_ADMIN_PASSWORD=(redacted)"),
    ("operator:{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "operator:(redacted)"),
    ("operator:$2y$10$abcdefghijklmnopqrstuv", "operator:(redacted)"),
], ids=[
    "private-key", "half-a-key", "jwt", "bearer", "basic", "vault-token", "root-token", "unseal-key", "url", "password", "json-in-json", "variable",
    "sha", "bcrypt",
])  # fmt: skip
def test_patterns(before: str, after: str) -> None:
    assert redact.text(before).strip() == after.strip()


@pytest.mark.parametrize("harmless", [
    "Secret tenant-a/podinfo-token not found",
    "secretName: podinfo-tls",
    "kind@sha256:afa75bac421d836dc2a391169a9b8820bfbb3cf7010cf0c45fecaa0e2da9f837",
    "https://kind-registry:5000/v2/plimsoll/manifests/kind",
    "Back-off pulling image quay.io/jetstack/cert-manager-webhook:v1.21.1",
    "10.0.0.1:9090 GET /metrics 200",
])  # fmt: skip
def test_what_is_no_secret_stays(harmless: str) -> None:
    assert redact.text(harmless) == harmless


def test_known_secrets_go_wherever_they_stand() -> None:
    assert redact.text("logged in with swordfish-7, not sword", ["swordfish-7", "no"]) == "logged in with (redacted), not sword"


def test_longer_secrets_go_first() -> None:
    assert redact.text("abcdefgh", ["abcdef", "abcdefgh"]) == "(redacted)"


SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "s", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": '{"data":{"a":"c3dvcmRmaXNo"}}'}},
    "data": {"password": "c3dvcmRmaXNo"},
    "stringData": {"note": "swordfish"},
    "type": "Opaque",
}


def test_a_secret_keeps_its_shape_and_nothing_else() -> None:
    assert redact.body(SECRET) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "(redacted)"}},
        "data": {"password": "(redacted)"},
        "stringData": {"note": "(redacted)"},
        "type": "Opaque",
    }
    assert redact.body({"kind": "List", "items": [SECRET]})["items"] == [redact.body(SECRET)]


def test_what_was_given_is_not_changed() -> None:
    before = json.dumps(SECRET)
    redact.body(SECRET)
    assert json.dumps(SECRET) == before


def test_environment_variables_and_keys_with_secret_names() -> None:
    pod = {
        "kind": "Pod",
        "spec": {
            "containers": [{"env": [{"name": "DB_PASSWORD", "value": "swordfish"}, {"name": "DB_HOST", "value": "db"}, {"name": "TOKEN", "value": ""}]}],
            "volumes": [{"secret": {"secretName": "tls", "defaultMode": 420}}],
            "adminPassword": "swordfish",
            "bearerToken": "swordfish",
            "automountServiceAccountToken": False,
            "tokenTTL": "1h",
            "clientSecret": {"name": "oidc", "key": "client-secret"},
        },
    }
    assert redact.body(pod)["spec"] == {
        "containers": [{"env": [{"name": "DB_PASSWORD", "value": "(redacted)"}, {"name": "DB_HOST", "value": "db"}, {"name": "TOKEN", "value": ""}]}],
        "volumes": [{"secret": {"secretName": "tls", "defaultMode": 420}}],
        "adminPassword": "(redacted)",
        "bearerToken": "(redacted)",
        "automountServiceAccountToken": False,
        "tokenTTL": "1h",
        "clientSecret": {"name": "oidc", "key": "client-secret"},
    }


PLAIN = st.text(st.characters(categories=("L", "N")), min_size=8, max_size=40)


@given(PLAIN, st.sampled_from(["data", "stringData"]), st.text(min_size=1, max_size=10))
def test_no_value_of_any_secret_survives(secret: str, field: str, key: str) -> None:
    encoded = base64.b64encode(secret.encode()).decode()
    item = {"kind": "Secret", "metadata": {"name": "s"}, field: {key: encoded}, "note": f"it is {secret}"}
    shown = json.dumps(redact.body(item, [secret, encoded]), ensure_ascii=False)
    assert encoded not in shown.replace(key, "")
    assert secret not in shown.replace(key, "") or secret in redact.REDACTED


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=12),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=10,
    )
)
def test_any_shape_is_redacted_and_twice_is_once(odd: object) -> None:
    once = redact.body({"kind": "Secret", "data": odd, "metadata": odd})
    assert redact.body(once) == once
