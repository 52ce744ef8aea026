# ruff: noqa: E501 - one object a line
"""References to Secrets and ConfigMaps: those of pods against a walker that knows only the names of the fields, those of other kinds one by one."""

from __future__ import annotations

from typing import Any

import pytest
from harness.engines.secrets.references import UNKNOWN, references
from harness.model import Location, Object, ObjectId, Origin
from harness.model.identity import group_of
from harness.model.origin import fixed
from hypothesis import given, settings
from hypothesis import strategies as st


def make(api: str, kind: str, spec: Any, namespace: str = "shop", **more: Any) -> Object:
    body = {"apiVersion": api, "kind": kind, "metadata": {"name": "x", "namespace": namespace, **more}, "spec": spec}
    return Object(ObjectId("test", group_of(api), kind, namespace, "x"), body, Origin(fixed(Location("a.yaml"))))


NAMES = st.sampled_from(["a", "b", "c", ""])
OPTIONAL = st.sampled_from([{}, {"optional": True}, {"optional": False}])
KEY_SOURCE = st.builds(lambda name, key, more: {"name": name, "key": key, **more}, NAMES, NAMES, OPTIONAL)
SOURCE = st.builds(lambda name, more: {"name": name, **more}, NAMES, OPTIONAL)
CONTAINER = st.fixed_dictionaries(
    {},
    optional={
        "env": st.lists(
            st.one_of(
                st.builds(lambda source: {"name": "A", "valueFrom": {"secretKeyRef": source}}, KEY_SOURCE),
                st.builds(lambda source: {"name": "A", "valueFrom": {"configMapKeyRef": source}}, KEY_SOURCE),
                st.just({"name": "A", "value": "x"}),
            ),
            max_size=3,
        ),
        "envFrom": st.lists(st.one_of(SOURCE.map(lambda source: {"secretRef": source}), SOURCE.map(lambda source: {"configMapRef": source})), max_size=2),
    },
)
VOLUME = st.one_of(
    st.builds(lambda name, more: {"secret": {"secretName": name, **more}}, NAMES, OPTIONAL),
    SOURCE.map(lambda source: {"configMap": source}),
    st.builds(lambda one, other: {"projected": {"sources": [{"secret": one}, {"configMap": other}]}}, SOURCE, SOURCE),
    st.just({"emptyDir": {}}),
)
POD = st.fixed_dictionaries(
    {"containers": st.lists(CONTAINER, max_size=2)}, optional={"initContainers": st.lists(CONTAINER, max_size=2), "volumes": st.lists(VOLUME, max_size=3)}
)


def walked(value: Any) -> list[tuple[str, str, str]]:
    """Kind, name and key of every required source, found by field names alone."""
    found = []
    if isinstance(value, list):
        return [each for inner in value for each in walked(inner)]
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in {"secretKeyRef", "secretRef", "secret", "configMapKeyRef", "configMapRef", "configMap"}:
                name = inner.get("secretName") or inner.get("name")
                if name and inner.get("optional") is not True:
                    found.append(("Secret" if key.startswith("secret") else "ConfigMap", name, inner.get("key") or ""))
            else:
                found += walked(inner)
    return found


@settings(max_examples=80)
@given(POD, st.sampled_from([("v1", "Pod"), ("apps/v1", "Deployment"), ("batch/v1", "CronJob")]))
def test_references_of_pods_are_those_a_walker_finds(pod: dict[str, Any], kind: tuple[str, str]) -> None:
    spec = {"Pod": pod, "Deployment": {"template": {"spec": pod}}, "CronJob": {"jobTemplate": {"spec": {"template": {"spec": pod}}}}}[kind[1]]
    found = [(each.kind, each.name, "".join(each.keys)) for each in references(make(*kind, spec)) if not each.optional]
    assert sorted(found) == sorted(walked(pod))


@settings(max_examples=40)
@given(POD)
def test_every_pointer_leads_to_what_names_the_object(pod: dict[str, Any]) -> None:
    item = make("v1", "Pod", pod)
    for reference in references(item):
        source = item.get(*reference.pointer)
        assert reference.name in (source.get("name"), source.get("secretName"))


MONITORING, NGINX, CERTS, VAULT = "monitoring.coreos.com/v1", "k8s.nginx.org/v1", "cert-manager.io/v1", "secrets.hashicorp.com/v1beta1"


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (make("networking.k8s.io/v1", "Ingress", {"tls": [{"secretName": "a"}, {"secretName": "other/b"}, {"hosts": ["x"]}]}), ["Secret shop/a tls.crt,tls.key", "Secret other/b tls.crt,tls.key"]),
        (make("networking.k8s.io/v1", "Ingress", {}, annotations={"nginx.org/basic-auth-secret": "users", "nginx.ingress.kubernetes.io/auth-secret": "auth/users"}), ["Secret auth/users ", "Secret shop/users htpasswd"]),
        (make("gateway.networking.k8s.io/v1", "Gateway", {"listeners": [{"tls": {"certificateRefs": [{"name": "a", "namespace": "certs"}, {"kind": "Other", "name": "b"}]}}]}), ["Secret certs/a tls.crt,tls.key"]),
        (make(NGINX, "VirtualServer", {"tls": {"secret": "a"}}), ["Secret shop/a tls.crt,tls.key"]),
        (make(NGINX, "Policy", {"oidc": {"clientSecret": "a"}, "egressMTLS": {"tlsSecret": "b", "trustedCertSecret": "c"}}), ["Secret shop/b tls.crt,tls.key", "Secret shop/c ca.crt", "Secret shop/a client-secret"]),
        (make(CERTS, "ClusterIssuer", {"ca": {"secretName": "a"}}, namespace=""), [f"Secret {UNKNOWN}/a tls.crt,tls.key"]),
        (make(CERTS, "Issuer", {"acme": {"privateKeySecretRef": {"name": "written"}, "solvers": [{"dns01": {"route53": {"secretAccessKeySecretRef": {"name": "a", "key": "k"}}}}]}}), ["Secret shop/a k"]),
        (make(CERTS, "Certificate", {"secretName": "written", "keystores": {"jks": {"passwordSecretRef": {"name": "a", "key": "k"}}}}), ["Secret shop/a k"]),
        (make(MONITORING, "ServiceMonitor", {"endpoints": [{"authorization": {"credentials": {"name": "a", "key": "k"}}, "relabelings": [{"name": "x", "key": "y"}]}]}), ["Secret shop/a k"]),
        (make(MONITORING, "Prometheus", {"secrets": ["a"], "configMaps": ["b"], "remoteWrite": [{"tlsConfig": {"ca": {"configMap": {"name": "c", "key": "k"}}}}]}), ["Secret shop/a ", "ConfigMap shop/b ", "ConfigMap shop/c k"]),
        (make(MONITORING, "Alertmanager", {"configSecret": "a"}), ["Secret shop/a "]),
        (make(VAULT, "VaultConnection", {"caCertSecretRef": "a"}), ["Secret shop/a ca.crt"]),
        (make(VAULT, "VaultAuth", {"appRole": {"secretRef": "a"}}), ["Secret shop/a id"]),
        (make(VAULT, "VaultPKISecret", {"destination": {"name": "a", "create": False}}), ["Secret shop/a "]),
        (make(VAULT, "VaultPKISecret", {"destination": {"name": "a", "create": True}}), []),
        (make("example.com/v1", "Thing", {"a": [{"tokenSecretRef": {"name": "a", "key": "k"}, "privateKeySecretRef": {"name": "w"}, "writeConnectionSecretRef": {"name": "w"}}]}), ["Secret shop/a k"]),
        (make("v1", "ServiceAccount", None), []),
        (make("v1", "Pod", {"containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "${NAME}", "key": "k"}}}]}]}), []),
    ],
    ids=range(18),
)  # fmt: skip
def test_references_of_other_kinds(item: Object, expected: list[str]) -> None:
    assert [f"{each.kind} {each.namespace}/{each.name} {','.join(each.keys)}" for each in references(item)] == expected


@pytest.mark.parametrize("odd", [None, [], "text", 7, {"volumes": "x", "containers": [None, {"env": {}, "envFrom": [None]}]}, {"tls": [None, "x"]}], ids=repr)
@pytest.mark.parametrize(
    "kind", ["v1/Pod", "networking.k8s.io/v1/Ingress", f"{CERTS}/Issuer", f"{MONITORING}/Prometheus", f"{VAULT}/VaultAuth", "example.com/v1/Thing"]
)
def test_odd_objects_name_nothing(odd: Any, kind: str) -> None:
    api, _, name = kind.rpartition("/")
    assert list(references(make(api, name, odd))) == []
