"""Kyverno's CEL functions: what they compute, and that what needs a cluster, a registry or chance says so."""

from __future__ import annotations

import base64
import gzip
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from harness.engines.policy import Request, Resources, Sources
from harness.engines.policy.image_reference import parse_image
from harness.engines.policy.library_data import decode_x509
from harness.engines.policy.lookup import Objects
from hypothesis import given
from hypothesis import strategies as st
from unit.engines.policy.policy_samples import EVERYTHING, config_map, pod, review, rules, validating, verdict

DIGEST = f"sha256:{'a' * 64}"
PACKED = base64.b64encode(gzip.compress(b"abc", mtime=0)).decode()


@pytest.mark.parametrize(
    "expression",
    [
        "image('nginx').registry() == 'index.docker.io' && image('nginx').repository() == 'library/nginx'",
        "image('nginx').tag() == 'latest' && image('nginx').identifier() == 'latest' && image('nginx').digest() == ''",
        f"parseImageReference('ghcr.io/a/b:1@{DIGEST}').digest() == '{DIGEST}' && image('ghcr.io/a/b:1@{DIGEST}').tag() == ''",
        f"image('ghcr.io/a/b@{DIGEST}').containsDigest() && !image('ghcr.io/a/b:1').containsDigest()",
        "isImage('localhost:5000/aa') && !isImage('UPPER/case') && !isImage('a b')",
        "parseServiceAccount('system:serviceaccount:ns:n').Name == 'n' && user.parseServiceAccount('jo').Namespace == ''",
        "sha256('a') == 'ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb' && hash.sha256('a') == sha256('a')",
        "md5('a') == '0cc175b9c0f1b6a831c399e269772661' && sha1('a') == '86f7e437faa5a7fce15d1ddcb9eaeaea377667b8'",
        "math.round(2.345, 2) == 2.35 && math.round(-2.5, 0) == -3.0 && math.round(1250.0, -2) == 1300.0",
        """json.marshal({"b": dyn(1), "a": dyn([1.5, 2.0]), "c": dyn("<&>")}) == r'{"a":[1.5,2],"b":1,"c":"\\u003c\\u0026\\u003e"}'""",
        """json.unmarshal('{"a": {"b": 2}}').a.b == 2""",
        "yaml.parse('a: [1, x]').a[1] == 'x'",
        "listObjToMap([{'k': 'a'}], [{'v': 1}], 'k', 'v').a == 1 && transform.listObjToMap([{'k': 'a'}], [{'v': 1}], 'k', 'v').a == 1",
        f"gzip.decompress(base64.decode('{PACKED}')) == 'abc'",
        "time.toCron(timestamp('2026-11-28T02:03:04Z')) == '3 2 28 11 6'",
        "time.truncate(timestamp('2026-11-28T02:03:04Z'), duration('1h')) == timestamp('2026-11-28T02:00:00Z')",
    ],
)
def test_what_is_computed(expression: str) -> None:
    assert verdict(expression) == ("pass", "success")


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("random() == ''", "random() is not evaluated: its value is different each time"),
        ("random('[a-z]') == ''", "random() is not evaluated: its value is different each time"),
        ("time.now() == time.now()", "time.now() is not evaluated: there is no clock"),
        ("http.Get('http://x').a == 1", "http.get() is not evaluated: it asks http://x"),
        ("http.Post('http://x', {'a': 1}).a == 1", "http.post() is not evaluated: it asks http://x"),
        ("http.Client('ca').Get('http://x').a == 1", "http.get() is not evaluated: it asks http://x"),
        ("globalContext.Get('g', '') == 1", "globalContext.get() is not evaluated: the entry g is filled in a cluster"),
        ("image.GetMetadata('nginx').config.User == ''", "image.getMetadata() is not evaluated: it asks a registry for nginx"),
        ("resource.Get('v1', 'pods', 'a', 'b') == null", "resource.get() is not evaluated: there are no objects to look in"),
        ("resource.List('v1', 'pods', 'a').items == []", "resource.list() is not evaluated: there are no objects to look in"),
        ("resource.Post('v1', 'pods', {'a': 'b'}) == null", "resource.post() is not evaluated: it creates an object in a cluster"),
    ],
)
def test_what_is_not_evaluated(expression: str, reason: str) -> None:
    assert verdict(expression) == ("not-evaluated", reason)


def test_not_evaluated_only_where_it_matters() -> None:
    assert verdict("true || random() == ''") == ("pass", "success")


@pytest.mark.parametrize(
    "expression",
    [
        "time.now() == timestamp('2026-11-28T00:00:00Z')",
        "http.Get('http://x').asked == 'GET http://x'",
        "globalContext.Get('g', '').n == 1 && globalContext.get('g', 'n') == 1 && globalContext.get('g').n == 1",
        "image.GetMetadata('nginx').config.User == 'root' && getImageData('nginx').config.User == 'root'",
        "resource.Get('v1', 'configmaps', 'team', 'settings').data.a == 'b'",
        "resource.Get('v1', 'configmaps', 'team', 'gone') == null",
        "resource.Get(resource.ToGVR('v1', 'ConfigMap'), 'team', 'settings').data.a == 'b'",
        "size(resource.List('v1', 'configmaps', '').items) == 2 && size(resource.list('v1', 'configmaps', 'team').items) == 1",
        "resource.List('v1', 'configmaps', '', {'l': 'v'}).items[0].metadata.name == 'other'",
        "resource.List('v1', 'configmaps', '').kind == 'ConfigMapList'",
    ],
)
def test_what_the_caller_knows(expression: str) -> None:
    objects = Objects([config_map(a="b"), config_map("other", "else", labels={"l": "v"})], Resources())
    sources = Sources(
        lookup=objects,
        images={"nginx": {"config": {"User": "root"}}},
        global_context={"g": {"n": 1}},
        http=lambda method, address: {"asked": f"{method} {address}"},
        now=datetime(2026, 11, 28, tzinfo=UTC),
    )
    assert verdict(expression, sources=sources) == ("pass", "success")


def test_a_namespaced_policy_sees_its_own_namespace() -> None:
    sources = Sources(lookup=Objects([config_map(), config_map("other", "else")], Resources()))
    policy = validating(
        "resource.Get('v1', 'configmaps', 'settings') != null && size(resource.List('v1', 'configmaps').items) == 1",
        namespace="team",
        matchConstraints=rules(EVERYTHING),
    )
    assert [str(result.status) for result in review(policy, Request(pod()), sources)] == ["pass"]


def certificate(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "me"), x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "us")])
    start = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("a.example.com")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def test_certificates() -> None:
    found = decode_x509(certificate(rsa.generate_private_key(65537, 2048)))
    assert found["Issuer"]["CommonName"] == "me"
    assert found["Issuer"]["Organization"] == ["us"]
    assert (found["NotBefore"], found["NotAfter"]) == ("2026-01-02T03:04:05Z", "2026-01-03T03:04:05Z")
    assert (found["DNSNames"], found["IsCA"], found["MaxPathLenZero"], found["SerialNumber"]) == (["a.example.com"], True, True, 7)


def test_certificates_with_another_key_are_refused_as_upstream_does() -> None:
    with pytest.raises(TypeError, match="certificate should use rsa algorithm"):
        decode_x509(certificate(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(ValueError, match="failed to decode PEM block"):
        decode_x509("text")


PARTS = st.from_regex(r"[a-z0-9]{2,6}", fullmatch=True)


@given(
    st.sampled_from(["", "docker.io/", "ghcr.io/", "localhost:5000/", "localhost/", "a.b.c/"]),
    st.lists(PARTS, min_size=1, max_size=3),
    st.one_of(st.just(""), st.from_regex(r":[A-Za-z0-9_.-]{1,10}", fullmatch=True)),
    st.sampled_from(["", f"@{DIGEST}"]),
)
def test_references_come_apart_as_they_were_put_together(registry: str, path: list[str], tag: str, digest: str) -> None:
    found = parse_image(f"{registry}{'/'.join(path)}{tag}{digest}")
    hub = registry in ("", "docker.io/")
    assert found.registry == ("index.docker.io" if hub else registry[:-1])
    assert found.repository == ("library/" if hub and len(path) == 1 else "") + "/".join(path)
    assert found.digest == digest[1:]
    assert found.tag == ("" if digest else tag[1:] or "latest")
