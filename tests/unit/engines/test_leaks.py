"""Credentials in text and data: every known form is told, a secret stays one wherever it is moved, and what only looks like one is none."""

from __future__ import annotations

import base64
import string
from typing import Any

import pytest
from harness.engines.secrets.literals import Name, assignments, entropy, is_secret, kind_of, literals, looks_made, looks_random, random_values
from harness.engines.secrets.shapes import shapes
from hypothesis import given, settings
from hypothesis import strategies as st

ALNUM, HEX, BASE32 = string.ascii_letters + string.digits, "0123456789abcdef", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def body(alphabet: str, length: int) -> str:
    """A text that varies, made here so that none stands in Git."""
    return "".join(alphabet[(index * 17 + index * index * 5 + 3) % len(alphabet)] for index in range(length))


def pem(kind: str = "RSA ") -> str:
    lines = "\n".join(body(ALNUM + "+/", 64) for _ in range(4))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----\n"


KNOWN = {
    "a private key": pem(),
    "a private key in base64": base64.b64encode(pem("").encode()).decode(),
    "an AWS access key": "AKIA" + body(BASE32, 16),
    "a GitHub token": "ghp_" + body(ALNUM, 36),
    "a GitLab token": "glpat-" + body(ALNUM, 20),
    "a Slack token": "xoxb-" + body("0123456789", 12) + "-" + body(ALNUM, 24),
    "a Slack webhook": "https://hooks.slack.com/services/T" + body(ALNUM, 8) + "/B" + body(ALNUM, 10) + "/" + body(ALNUM, 24),
    "a Discord webhook": "https://discord.com/api/webhooks/123456789012345678/" + body(ALNUM, 68),
    "a Teams webhook": "https://team.webhook.office.com/webhookb2/" + body(HEX, 36) + "@" + body(HEX, 36) + "/IncomingWebhook/" + body(HEX, 32),
    "a Stripe key": "sk_live_" + body(ALNUM, 24),
    "a JSON Web Token": "eyJ" + body(ALNUM, 20) + ".eyJ" + body(ALNUM, 40) + "." + body(ALNUM, 43),
    "a Vault token": "hvs." + body(ALNUM, 24),
    "a Terraform Cloud token": body(ALNUM, 14) + ".atlasv1." + body(ALNUM, 67),
    "an npm token": "npm_" + body(ALNUM, 36),
    "a PyPI token": "pypi-AgEIcHlwaS5vcmc" + body(ALNUM, 80),
    "an age key": "AGE-SECRET-KEY-1" + body("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
    "a Google API key": "AIza" + body(ALNUM, 35),
    "a Google OAuth secret": "GOCSPX-" + body(ALNUM, 28),
    "an Azure storage key": "DefaultEndpointsProtocol=https;AccountKey=" + body(ALNUM, 86) + "==",
    "an Azure client secret": body(ALNUM, 3) + "8Q~" + body(ALNUM, 34),
    "a DigitalOcean token": "dop_v1_" + body(HEX, 64),
    "a Docker Hub token": "dckr_pat_" + body(ALNUM, 27),
    "a Doppler token": "dp.pt." + body(ALNUM, 43),
    "a Databricks token": "dapi" + body(HEX, 32),
    "a SendGrid key": "SG." + body(ALNUM, 22) + "." + body(ALNUM, 43),
    "a Telegram bot token": "7263540918:AA" + body(ALNUM, 33),
    "a Grafana token": "glsa_" + body(ALNUM, 32) + "_" + body(HEX, 8),
    "a Hugging Face token": "hf_" + body(string.ascii_letters, 34),
    "a New Relic key": "NRAK-" + body(string.ascii_uppercase + string.digits, 27),
    "a Shopify token": "shpat_" + body(HEX, 32),
    "a Tailscale key": "tskey-auth-" + body(ALNUM, 17) + "-" + body(ALNUM, 32),
    "a 1Password service account token": "ops_eyJ" + body(ALNUM, 200),
    "registry credentials": '{"auths": {"r.example.com": {"auth": "' + base64.b64encode(b"robot:" + body(ALNUM, 12).encode()).decode() + '"}}}',
    "an authorization header": "Authorization: Bearer " + body(ALNUM, 32),
    "an address with a password in it": "postgres://app:" + body(ALNUM, 12) + "@db.shop.svc:5432/app",
}


@pytest.mark.parametrize("what", KNOWN)
def test_a_known_form_is_told(what: str) -> None:
    assert what in {leak.what for leak in shapes(f"key: {KNOWN[what]}\n")}


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(KNOWN)),
    st.from_regex(r"[a-z]{1,10}", fullmatch=True),
    st.sampled_from(["{k}: {v}\n", "{k}={v}\n", '{{"{k}": "{v}"}}\n', "# {k} {v}\n"]),
)
def test_a_known_form_stays_one_under_any_key_and_in_any_syntax(what: str, key: str, syntax: str) -> None:
    value = KNOWN[what]
    if '"' in value:
        syntax = "{k}: {v}\n"
    before = "first: line\n"
    text = before + syntax.format(k=key, v=value)
    found = [leak for leak in shapes(text) if leak.what == what]
    assert found
    assert all(leak.offset >= len(before) for leak in found)


def test_a_key_on_one_line_of_json_is_told() -> None:
    assert [leak.what for leak in shapes('{"private_key": "' + pem("").replace("\n", "\\n") + '"}')] == ["a private key"]


@pytest.mark.parametrize(
    "harmless",
    [
        "-----BEGIN PRIVATE KEY-----",
        "ghp_" + "x" * 36,
        "AKIAIOSFODNN7EXAMPLE",
        "hvs.$TOKEN",
        "postgres://app:${PASSWORD}@db/app",
        "postgres://user:password@host/db",
        "https://example.com:8080/path@2x.png",
        "image: r.example.com:5000/app@sha256:" + body(HEX, 64),
        "Authorization: Bearer ${TOKEN}",
        '{"auth": "kubernetes"}',
        "-----BEGIN CERTIFICATE-----\n" + body(ALNUM, 64) + "\n-----END CERTIFICATE-----",
        base64.b64encode(b"-----BEGIN CERTIFICATE-----\n" + body(ALNUM, 200).encode()).decode(),
        "token: hvs." + body(ALNUM, 24) + " # gitleaks:allow",
    ],
    ids=range(13),
)
def test_what_only_looks_like_one_is_none(harmless: str) -> None:
    assert list(shapes(harmless)) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("password", Name.PASSWORD),
        ("adminPassword", Name.PASSWORD),
        ("DB_PASSWORD_2", Name.PASSWORD),
        ("redis-pass", Name.PASSWORD),
        ("clientSecret", Name.SECRET),
        ("API_KEY", Name.SECRET),
        ("AWS_SECRET_ACCESS_KEY", Name.SECRET),
        ("githubToken", Name.SECRET),
        ("passwordKey", Name.OTHER),
        ("passwordSecretName", Name.OTHER),
        ("tokenFile", Name.OTHER),
        ("AWS_ACCESS_KEY_ID", Name.OTHER),
        ("secretName", Name.OTHER),
        ("key", Name.OTHER),
        ("compass", Name.OTHER),
        ("bypass", Name.OTHER),
        ("", Name.OTHER),
    ],
)
def test_the_last_words_of_a_name_decide(name: str, kind: Name) -> None:
    assert kind_of(name) is kind


@settings(max_examples=40)
@given(st.integers(0, 2**200))
def test_a_literal_under_a_password_is_told_wherever_it_is_moved(number: int) -> None:
    value = f"{number:050x}"[:20] + "Zx9"
    places: list[Any] = [
        {"password": value},
        {"values": {"auth": {"adminPassword": value}}},
        {"env": [{"name": "DB_PASSWORD", "value": value}]},
        {"args": [f"--db-password={value}"]},
        {"data": {"app.properties": f"user=app\npassword={value}\n"}},
        {"data": {"app.yaml": f"db:\n  password: {value}\n"}},
        {"data": {"app.json": f'{{\n"password": "{value}"}}\n'}},
    ]
    for place in places:
        assert len(list(literals(place))) == 1, place
    assert [name for _, name, _ in assignments(f"export DB_PASSWORD={value}\n")] == ["DB_PASSWORD"]


@settings(max_examples=60)
@given(st.binary(min_size=32, max_size=64))
def test_digests_uuids_and_ciphertext_are_never_told(data: bytes) -> None:
    digest = data.hex()
    uuid = f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
    value = base64.b64encode(data).decode()
    body = {
        "image": f"r.example.com/app@sha256:{digest}",
        "checksum": value,
        "revision": digest,
        "id": uuid,
        "secret": f"ENC[AES256_GCM,data:{value},iv:{value},tag:{value},type:str]",
        "caBundle": value,
        "spec": {"encryptedData": {"password": value}},
        "password": f"sha256:{digest}",
    }
    assert list(literals(body)) == []
    assert list(random_values(body)) == []


@settings(max_examples=60)
@given(st.integers(0, 2**300))
def test_random_base64_is_told_and_words_are_not(number: int) -> None:
    value = base64.b64encode(number.to_bytes(40, "big")).decode().rstrip("=")
    if entropy(value) >= 4.6 and sum(map(str.isdigit, value)) >= 3:
        assert looks_random(value) or value.count("/") + value.count("+") > len(value) // 3
    words = ["prometheus", "kubernetes", "Controller", "namespaceSelector", "Pod", "network", "policy"]
    text = "".join(words[(number >> (3 * index)) % len(words)] for index in range(6))
    assert not looks_random(text)
    assert not looks_made("-".join(words[(number >> (3 * index)) % len(words)].lower() for index in range(4)))


@pytest.mark.parametrize(
    "odd", [None, 7, [], {}, {"password": None}, {"password": []}, {7: {"password": True}}, [[["x"]]], {"name": "password", "value": {}}, "text"], ids=repr
)
def test_odd_data_holds_nothing(odd: Any) -> None:
    assert list(literals(odd)) == []
    assert list(random_values(odd)) == []


def test_a_finding_never_holds_the_secret() -> None:
    value = body(ALNUM, 24)
    for leak in (*literals({"password": value}), *random_values({"salt": value + "0Aa"}), *shapes(f"url: https://bot:{value}@git.example.com")):
        assert value not in str(leak)


def test_numbers_count_under_a_password_only() -> None:
    assert (is_secret("password", 4711), is_secret("password", True), is_secret("token", 4711)) == (True, False, False)
