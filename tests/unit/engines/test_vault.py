# ruff: noqa: E501 - a stub in one line
"""Vault: policies as HCL, what they allow against an oracle that compares rules two by two, and declarations against what the script really does."""

from __future__ import annotations

import json
import os
import re
import subprocess
from functools import cmp_to_key
from pathlib import Path
from typing import Any

import pytest
from harness.engines.vault.acl import Acl, PathRule, parse_policy, resolved
from harness.engines.vault.declared import declared
from harness.engines.vault.hcl import HclError, parse_hcl
from harness.engines.vault.requests import declared_requests
from harness.model import Location, Object, ObjectId, Origin
from harness.model.origin import fixed
from hypothesis import given, settings
from hypothesis import strategies as st

CONFIGS = Path(__file__).parents[3] / "clusters/base/infrastructure/vault/configs"

SEGMENT = st.sampled_from(["a", "b", "ab", "+"])
RULE = st.builds(lambda parts, end: "/".join(parts) + end, st.lists(SEGMENT, min_size=1, max_size=4), st.sampled_from(["", "*", "/*", "/", "/a*"])).filter(
    lambda path: "+*" not in path
)
WORDS = ["create", "read", "update", "delete", "list", "sudo"]
CAPABILITIES = st.one_of(st.just(frozenset({"deny"})), st.frozensets(st.sampled_from(WORDS), min_size=1))
PATH = st.builds("/".join, st.lists(st.sampled_from(["a", "b", "ab", "abc", ""]), min_size=1, max_size=4)).filter(
    lambda path: not path.startswith("/") and path
)


def pattern(rule: str) -> re.Pattern[str]:
    """A rule as a regular expression: ``+`` as a whole segment, ``*`` at the end."""
    bare, tail = (rule[:-1], ".*") if rule.endswith("*") else (rule, "")
    return re.compile("/".join("[^/]*" if part == "+" else re.escape(part) for part in bare.split("/")) + tail, re.DOTALL)


def prefer(one: str, other: str) -> int:
    """Vault's documentation, priority matching: negative when ``one`` has the lower priority. The five steps as they are written."""

    def first(rule: str) -> int:
        places = [rule.find("+")] if "+" in rule else []
        return min([*places, len(rule) - 1] if rule.endswith("*") else places or [len(rule)])

    if first(one) != first(other):
        return first(one) - first(other)
    if one.endswith("*") != other.endswith("*"):
        return -1 if one.endswith("*") else 1
    if one.count("+") != other.count("+"):
        return other.count("+") - one.count("+")
    if len(one) != len(other):
        return len(one) - len(other)
    return -1 if one < other else int(one > other)


def allowed(rules: list[tuple[str, frozenset[str]]], path: str) -> frozenset[str]:
    """The oracle: merge equal paths, keep those that match, sort them all by priority, take the last."""
    merged: dict[str, set[str]] = {}
    for rule, capabilities in rules:
        merged.setdefault(rule, set()).update(capabilities)
    if path in merged and "+" not in path:
        winner = path
    else:
        matching = [rule for rule in merged if ("*" in rule or "+" in rule) and pattern(rule).fullmatch(path)]
        if not matching:
            return frozenset()
        winner = max(matching, key=cmp_to_key(prefer))
    return frozenset() if "deny" in merged[winner] else frozenset(merged[winner])


@settings(max_examples=200)
@given(st.lists(st.tuples(RULE, CAPABILITIES), max_size=6), PATH)
def test_what_policies_allow_is_what_the_documentation_says(rules: list[tuple[str, frozenset[str]]], path: str) -> None:
    acl = Acl(PathRule(rule, capabilities, 1) for rule, capabilities in rules)
    assert acl.capabilities(path) == allowed(rules, path)


@settings(max_examples=100)
@given(st.lists(st.tuples(RULE, CAPABILITIES), min_size=1, max_size=5), PATH, st.randoms())
def test_the_order_of_policies_does_not_matter_and_deny_takes_everything(rules: list[tuple[str, frozenset[str]]], path: str, random: Any) -> None:
    shuffled = list(rules)
    random.shuffle(shuffled)
    assert Acl(PathRule(*rule, 1) for rule in rules).capabilities(path) == Acl(PathRule(*rule, 1) for rule in shuffled).capabilities(path)
    assert Acl(PathRule(*rule, 1) for rule in [*rules, (path, frozenset({"deny"}))]).capabilities(path) == frozenset()


@pytest.mark.parametrize(
    ("rules", "path", "expected"),
    [
        ({"secret/*": "read", "secret/super-secret": "deny"}, "secret/super-secret", ""),
        ({"secret/*": "read", "secret/super-secret": "deny"}, "secret/super-secrets", "read"),
        ({"secret/+/+/foo/*": "read", "secret/*": "list"}, "secret/foo/bar/foo/baz", "list"),
        ({"secret/a/*": "read", "secret/+": "list"}, "secret/a/b", "read"),
        ({"foo/+/bar": "read", "foo/+/ba*": "list"}, "foo/x/bar", "read"),
        ({"foo/bar/+/baz": "read", "foo/+/bar/baz": "list"}, "foo/bar/bar/baz", "read"),
        ({"foo/bar/+/baz": "read", "foo/+/+/baz": "list"}, "foo/bar/x/baz", "read"),
        ({"a*": "read"}, "a", "read"),
        ({"*": "read"}, "sys/raw/x", "read"),
        ({"kv/+": "read"}, "kv/a/b", ""),
        ({"kv/": "list"}, "kv", ""),
    ],
    ids=range(11),
)
def test_examples_of_priority(rules: dict[str, str], path: str, expected: str) -> None:
    acl = Acl(PathRule(rule, frozenset({capability}), 1) for rule, capability in rules.items())
    assert ",".join(sorted(acl.capabilities(path))) == expected


def test_a_listing_is_allowed_with_and_without_its_slash() -> None:
    acl = Acl([PathRule("kv/metadata/shop", frozenset({"list"}), 1), PathRule("pki/*", frozenset({"list"}), 1)])
    assert [acl.capabilities(path, listing=True) for path in ("kv/metadata/shop/", "pki/issuers/", "kv/metadata/")] == [{"list"}, {"list"}, frozenset()]


def test_a_path_that_names_the_caller_is_filled_in() -> None:
    rule = PathRule("kv/data/{{identity.entity.aliases.auth_kubernetes_1a2b.metadata.service_account_namespace}}/*", frozenset({"read"}), 1)
    found = resolved(rule, account="app", namespace="shop")
    assert found is not None
    assert found.path == "kv/data/shop/*"
    assert resolved(PathRule("kv/{{identity.entity.id}}/*", frozenset({"read"}), 1), account="app", namespace="shop") is None


POLICY = st.lists(st.tuples(RULE, st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True)), max_size=4, unique_by=lambda each: each[0])


@settings(max_examples=100)
@given(POLICY)
def test_a_policy_reads_back_as_it_was_written_in_hcl_and_in_json(rules: list[tuple[str, list[str]]]) -> None:
    written = "# written\n" + "\n".join(f'path "{path}" {{ // one\n  capabilities = {json.dumps(words)} /* two */\n}}' for path, words in rules)
    expected = [(path, frozenset(words)) for path, words in rules]
    found = parse_policy(written)
    assert ([(rule.path, rule.capabilities) for rule in found.rules], found.faults) == (expected, ())
    assert [rule.line for rule in found.rules] == [2 + 3 * index for index in range(len(rules))]
    as_json = parse_policy(json.dumps({"path": {path: {"capabilities": words} for path, words in rules}}))
    assert [(rule.path, rule.capabilities) for rule in as_json.rules] == expected


@settings(max_examples=100)
@given(st.text(alphabet='path "kv/{}[]=#*,+\n\\<EOF', max_size=60))
def test_any_text_is_read_or_refused_with_a_line(text: str) -> None:
    policy = parse_policy(text)
    assert all(1 <= fault.line <= text.count("\n") + 1 for fault in policy.faults)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a = "x"\nb = 3\nc = [1, "2", true,]\nd = { e = "f" }', {"a": "x", "b": 3, "c": [1, "2", True], "d": {"e": "f"}}),
        ("a = <<EOF\none\ntwo\nEOF\n", {"a": "one\ntwo\n"}),
        ('a = "with \\"quotes\\" and ${dollar}"', {"a": 'with "quotes" and ${dollar}'}),
    ],
)
def test_values_of_hcl(text: str, expected: dict[str, Any]) -> None:
    assert parse_hcl(text).attributes == expected


@pytest.mark.parametrize("text", ["a = ", "a {", "}", 'a = "open', "a = [1", "= 3", "a = 1\na = 2", "{", "a = b"])
def test_what_is_no_hcl_is_refused(text: str) -> None:
    with pytest.raises(HclError):
        parse_hcl(text)


def config_map() -> Object:
    data = {path.name: path.read_text(encoding="utf-8") for path in CONFIGS.iterdir() if path.suffix in (".sh", ".hcl", ".vault")}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "vault-configure", "namespace": "vault"}, "data": data}
    return Object(ObjectId("test", "", "ConfigMap", "vault", "vault-configure"), body, Origin(fixed(Location("a.yaml"))))


def job() -> Object:
    environment = [{"name": "DOMAIN", "value": "example.com"}, {"name": "CLUSTER_NAME", "value": "test"}]
    spec = {"containers": [{"name": "a", "env": environment}], "volumes": [{"name": "scripts", "configMap": {"name": "vault-configure"}}]}
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a", "namespace": "vault"}, "spec": {"template": {"spec": spec}}}
    return Object(ObjectId("test", "batch", "Job", "vault", "a"), body, Origin(fixed(Location("a.yaml"))))


def run_script(tmp_path: Path) -> list[str]:
    """What the script asks of a ``vault`` that holds nothing yet."""
    stub = tmp_path / "bin" / "vault"
    stub.parent.mkdir()
    stub.write_text(
        f'#!/bin/sh\necho "$*" >> {tmp_path}/log\n'
        'case "$*" in *"list -format=json") echo "{}" ;; "list "*|"kv metadata"*) exit 1 ;; *random_bytes*) echo 00ff ;; "policy write"*) cat >/dev/null ;; *login*) echo t ;; esac\n'
    )
    stub.chmod(0o755)
    script = tmp_path / "configure.sh"
    script.write_text(
        (CONFIGS / "configure.sh").read_text(encoding="utf-8").replace("/scripts/", f"{CONFIGS}/").replace("/var/run/secrets/vault/token", os.devnull)
    )
    environment = {"PATH": f"{stub.parent}:{os.environ['PATH']}", "DOMAIN": "example.com", "CLUSTER_NAME": "test"}
    subprocess.run(["/bin/sh", str(script)], env=environment, check=True, capture_output=True, timeout=60)
    return (tmp_path / "log").read_text().splitlines()


def test_declarations_are_read_as_the_script_carries_them_out(tmp_path: Path) -> None:
    found = declared([config_map(), job()])
    assert (found.faults, found.open_ends) == ([], [])
    done = run_script(tmp_path)
    writes = {line.split()[1]: line.split(" ", 2)[2] for line in done if line.startswith("write ") and not line.startswith("write -")}
    assert {write.path: " ".join(f"{key}={value}" for key, value in write.values.items()) for write in found.writes if write.verb != "value"} == writes
    puts = {line.split()[3] for line in done if line.startswith("kv put")}
    assert {write.path for write in found.writes if write.verb == "value"} == puts
    assert set(found.policies) == {line.split()[2] for line in done if line.startswith("policy write")}
    assert set(found.mounts) == {line.split("-path=")[1].split()[0] for line in done if line.startswith("secrets enable")}
    assert set(found.auths) == {line.split("-path=")[1].split()[0] for line in done if line.startswith("auth enable")}
    assert set(found.audits) == {line.split("-path=")[1].split()[0] for line in done if line.startswith("audit enable")}


def test_the_job_may_do_all_it_declares_and_a_tenant_none_of_it() -> None:
    source = config_map()
    found = declared([source, job()])
    asked = list(declared_requests(found, source))
    assert len(asked) > 20

    def refused(role: str) -> int:
        acl = Acl(found.policies[role][0].rules)
        return sum(1 for path, needed, _ in asked if set(needed) - acl.capabilities(path, listing="list" in needed))

    assert (refused("vault-config"), refused("tenant-a")) == (0, len(asked))


@pytest.mark.parametrize(
    ("script", "mounts", "writes"),
    [
        ("vault secrets enable -path=kv -version=2 kv\nvault auth enable kubernetes\n", {"kv": "2"}, []),
        ("if ! vault secrets list; then vault secrets enable kv-v2; fi\nvault write a/b c=d \\\n  e=f\n", {"kv-v2": "2"}, ["a/b c=d e=f"]),
        ('vault write "a/$NAME" c=d\nvault write auth/kubernetes/login role=x\n', {}, []),
        ("echo vault write a/b c=d\n# vault write a/c\n", {}, []),
    ],
    ids=["enable", "conditions", "variables", "no-commands"],
)
def test_plain_commands_of_any_script_are_read(script: str, mounts: dict[str, str], writes: list[str]) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "s", "namespace": "v"}, "data": {"setup.sh": script}}
    found = declared([Object(ObjectId("test", "", "ConfigMap", "v", "s"), body, Origin(fixed(Location("a.yaml"))))])
    assert {path: mount.version for path, mount in found.mounts.items()} == mounts
    assert [f"{write.path} {' '.join(f'{key}={value}' for key, value in write.values.items())}" for write in found.writes] == writes
