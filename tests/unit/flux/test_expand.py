from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from harness.flux.expand import expand
from harness.flux.synthesis import merge_by
from harness.model import Link
from unit.flux.releases import Cluster, bodies

OPERATOR = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: operator, namespace: monitoring}
spec:
  template:
    spec:
      containers:
      - name: operator
        args:
        - --prometheus-config-reloader=registry.example.com/reloader:v1
        - --config-reloader-cpu-request=0
        - --config-reloader-cpu-limit=0
        - --config-reloader-memory-request=20Mi
        - --config-reloader-memory-limit=30Mi
        - --enable-config-reloader-probes=true
        - --prometheus-default-base-image=registry.example.com/prometheus
---
"""
PROMETHEUS = """\
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: main, namespace: monitoring, labels: {team: a}}
spec:
  version: v3.13.2
  replicas: 2
  serviceAccountName: prometheus
  securityContext:
    runAsNonRoot: true
    fsGroup: 2000
  resources:
    limits: {memory: 1Gi}
  storage: {volumeClaimTemplate: {spec: {storageClassName: fast, resources: {requests: {storage: 10Gi}}}}}
  podMetadata: {labels: {mine: "1"}, annotations: {note: x}}
  secrets: [Etcd.Certs]
"""


def expanded(text: str) -> dict[str, Any]:
    view = Cluster(text)
    return bodies(expand(view.objects, view))


def test_a_prometheus_is_a_stateful_set_and_its_service() -> None:
    found = expanded(OPERATOR + PROMETHEUS)
    assert sorted(found) == ["Service/prometheus-operated", "StatefulSet/prometheus-main"]
    body = found["StatefulSet/prometheus-main"]
    selector = {
        "app.kubernetes.io/instance": "main",
        "app.kubernetes.io/managed-by": "prometheus-operator",
        "app.kubernetes.io/name": "prometheus",
        "operator.prometheus.io/name": "main",
        "operator.prometheus.io/shard": "0",
        "prometheus": "main",
    }
    assert body["metadata"]["labels"] == {**selector, "team": "a", "operator.prometheus.io/mode": "server"}
    assert body["spec"]["selector"] == {"matchLabels": selector}
    assert (body["spec"]["replicas"], body["spec"]["serviceName"], body["spec"]["podManagementPolicy"]) == (2, "prometheus-operated", "Parallel")
    template = body["spec"]["template"]
    assert template["metadata"]["labels"] == {**selector, "mine": "1", "app.kubernetes.io/version": "3.13.2"}
    pod = template["spec"]
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"], pod["terminationGracePeriodSeconds"]) == ("prometheus", True, 600)
    assert pod["securityContext"] == {"runAsNonRoot": True, "fsGroup": 2000}
    main, reloader = pod["containers"]
    assert (main["image"], main["ports"], main["resources"]) == (
        "registry.example.com/prometheus:v3.13.2",
        [{"name": "web", "containerPort": 9090, "protocol": "TCP"}],
        {"limits": {"memory": "1Gi"}},
    )
    restricted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert [item["securityContext"] for item in (*pod["containers"], *pod["initContainers"])] == [restricted] * 3
    assert (reloader["image"], reloader["resources"]) == ("registry.example.com/reloader:v1", {"requests": {"memory": "20Mi"}, "limits": {"memory": "30Mi"}})
    assert "livenessProbe" in reloader
    assert [(item["name"], item["ports"][0]["containerPort"]) for item in pod["initContainers"]] == [("init-config-reloader", 8081)]
    assert main["readinessProbe"]["httpGet"] == {"path": "/-/ready", "port": "web"}
    assert "secret-etcd-certs" in [item["name"] for item in pod["volumes"]]
    (claim,) = body["spec"]["volumeClaimTemplates"]
    assert (claim["metadata"]["name"], claim["spec"]["accessModes"], claim["spec"]["storageClassName"]) == ("prometheus-main-db", ["ReadWriteOnce"], "fast")
    # Every mount has a volume or a claim.
    volumes = {item["name"] for item in pod["volumes"]} | {claim["metadata"]["name"]}
    assert {mount["name"] for item in (*pod["containers"], *pod["initContainers"]) for mount in item["volumeMounts"]} <= volumes
    service = found["Service/prometheus-operated"]["spec"]
    assert (service["clusterIP"], service["selector"]) == ("None", {"app.kubernetes.io/name": "prometheus"})


def test_origin_and_lines() -> None:
    view = Cluster(PROMETHEUS)
    service, stateful = expand(view.objects, view)
    lines = PROMETHEUS.splitlines()
    assert (stateful.origin.synthesised, stateful.origin.chain[-1]) == ("Prometheus/monitoring/main", ("Prometheus", "monitoring", "main"))
    assert stateful.namespace == service.namespace == "monitoring"
    pod = ("spec", "template", "spec")
    assert lines[stateful.locate(*pod, "securityContext", "fsGroup").line - 1] == "    fsGroup: 2000"
    assert lines[stateful.locate(*pod, "containers", 0, "resources", "limits").line - 1] == "    limits: {memory: 1Gi}"
    assert lines[stateful.locate("spec", "replicas").line - 1] == "  replicas: 2"
    assert stateful.locate(*pod, "containers", 0, "livenessProbe").line == 1


def prometheus(spec: str, kind: str = "Prometheus", group: str = "v1") -> dict[str, Any]:
    return expanded(f"apiVersion: monitoring.coreos.com/{group}\nkind: {kind}\nmetadata: {{name: x, namespace: m}}\nspec: {spec}\n")


def test_shards_and_local_listening() -> None:
    found = prometheus("{shards: 2, listenLocal: true, serviceName: own}")
    assert sorted(found) == ["StatefulSet/prometheus-x", "StatefulSet/prometheus-x-shard-1"]
    main, reloader = found["StatefulSet/prometheus-x-shard-1"]["spec"]["template"]["spec"]["containers"]
    assert ("ports" in main, "ports" in reloader, "readinessProbe" in main) == (False, False, False)
    assert found["StatefulSet/prometheus-x-shard-1"]["spec"]["selector"]["matchLabels"]["operator.prometheus.io/shard"] == "1"


def test_containers_of_the_resource_are_merged_by_name() -> None:
    spec = (
        "{containers: [{name: prometheus, env: [{name: A, value: b}]}, {name: extra, image: x}], initContainers: [{name: first, image: y}], hostNetwork: true}"
    )
    pod = prometheus(spec)["StatefulSet/prometheus-x"]["spec"]["template"]["spec"]
    assert [item["name"] for item in pod["containers"]] == ["prometheus", "config-reloader", "extra"]
    assert (pod["containers"][0]["env"], pod["containers"][0]["image"]) == ([{"name": "A", "value": "b"}], "quay.io/prometheus/prometheus:v3.13.1")
    assert [item["name"] for item in pod["initContainers"]] == ["init-config-reloader", "first"]
    assert pod["dnsPolicy"] == "ClusterFirstWithHostNet"


@pytest.mark.parametrize(
    ("spec", "image"),
    [
        ("{}", "quay.io/prometheus/prometheus:v3.13.1"),
        ("{version: v3.0.0}", "quay.io/prometheus/prometheus:v3.0.0"),
        ("{image: 'a/b@sha256:1', version: v3.0.0}", "a/b@sha256:1"),
        ("{baseImage: 'a/b', tag: t}", "a/b:t"),
        ("{baseImage: 'a/b', sha: 'abc'}", "a/b@sha256:abc"),
        ("{baseImage: 'a.example.com:5000/b:c'}", "a.example.com:5000/b:c"),
    ],
)
def test_images(spec: str, image: str) -> None:
    assert prometheus(spec)["StatefulSet/prometheus-x"]["spec"]["template"]["spec"]["containers"][0]["image"] == image


def test_a_thanos_sidecar() -> None:
    found = prometheus("{thanos: {version: v0.40.0}}")
    assert [item["name"] for item in found["StatefulSet/prometheus-x"]["spec"]["template"]["spec"]["containers"]] == [
        "prometheus",
        "config-reloader",
        "thanos-sidecar",
    ]
    assert [item["port"] for item in found["Service/prometheus-operated"]["spec"]["ports"]] == [9090, 10901]


def test_an_alertmanager() -> None:
    found = prometheus("{replicas: 3, portName: http-web, routePrefix: /alerts/}", "Alertmanager")
    body = found["StatefulSet/alertmanager-x"]["spec"]
    assert body["replicas"] == 3
    assert body["selector"]["matchLabels"] == {
        "alertmanager": "x",
        "app.kubernetes.io/instance": "x",
        "app.kubernetes.io/managed-by": "prometheus-operator",
        "app.kubernetes.io/name": "alertmanager",
    }
    pod = body["template"]["spec"]
    main = pod["containers"][0]
    assert [(item["name"], item["containerPort"], item["protocol"]) for item in main["ports"]] == [
        ("http-web", 9093, "TCP"),
        ("mesh-tcp", 9094, "TCP"),
        ("mesh-udp", 9094, "UDP"),
    ]
    assert (main["resources"], main["readinessProbe"]["httpGet"]["path"]) == ({"requests": {"memory": "200Mi"}}, "/alerts/-/ready")
    assert "automountServiceAccountToken" not in pod
    service = found["Service/alertmanager-operated"]["spec"]
    assert (service["publishNotReadyAddresses"], [item["name"] for item in service["ports"]]) == (True, ["http-web", "tcp-mesh", "udp-mesh"])


def test_an_agent_and_a_ruler() -> None:
    agent = prometheus("{}", "PrometheusAgent", "v1alpha1")
    assert sorted(agent) == ["Service/prometheus-agent-operated", "StatefulSet/prom-agent-x"]
    assert agent["StatefulSet/prom-agent-x"]["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] == "prometheus-agent"
    daemon = prometheus("{mode: DaemonSet}", "PrometheusAgent", "v1alpha1")
    assert sorted(daemon) == ["DaemonSet/prom-agent-x"]
    ruler = prometheus("{replicas: 0}", "ThanosRuler")["StatefulSet/thanos-ruler-x"]["spec"]
    assert ruler["replicas"] == 0
    assert [item["name"] for item in ruler["template"]["spec"]["containers"]] == ["thanos-ruler"]


@pytest.mark.parametrize("spec", ["{}", "{replicas: many, storage: 3, containers: x, podMetadata: [], resources: 1, securityContext: null}", "null"])
def test_odd_specs_still_make_a_pod(spec: str) -> None:
    assert "StatefulSet/prometheus-x" in prometheus(spec)


def test_what_is_there_already_is_not_made_again() -> None:
    text = PROMETHEUS + "---\napiVersion: v1\nkind: Service\nmetadata: {name: prometheus-operated, namespace: monitoring}\n"
    assert sorted(expanded(text)) == ["StatefulSet/prometheus-main"]


def test_objects_of_a_release_get_its_namespace() -> None:
    release = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: kps, namespace: flux}\nspec: {targetNamespace: monitoring}\n---\n"
    view = Cluster(release + PROMETHEUS.replace(", namespace: monitoring", ""))
    item = view.objects[1]
    item = replace(item, origin=replace(item.origin, chain=(Link("HelmRelease", "flux", "kps"),)))
    assert {str(made.id) for made in expand([item], view)} == {"c/StatefulSet/monitoring/prometheus-main", "c/Service/monitoring/prometheus-operated"}


INSTANCE = """\
apiVersion: fluxcd.controlplane.io/v1
kind: FluxInstance
metadata: {name: flux, namespace: flux-system}
spec:
  distribution: {version: 2.9.4, registry: registry.example.com/fluxcd, imagePullSecret: pull}
  components: [source-controller, notification-controller]
  cluster: {networkPolicy: %s}
  sync: {kind: OCIRepository, url: "oci://registry.example.com/fleet", ref: latest, path: clusters/c, pullSecret: pull}
"""


def test_a_flux_instance() -> None:
    found = expanded(INSTANCE % "true")
    assert sorted(found) == [
        "Deployment/notification-controller",
        "Deployment/source-controller",
        "Kustomization/flux-system",
        "NetworkPolicy/allow-egress",
        "NetworkPolicy/allow-scraping",
        "NetworkPolicy/allow-webhooks",
        "OCIRepository/flux-system",
        "Service/notification-controller",
        "Service/source-controller",
        "Service/webhook-receiver",
        "ServiceAccount/notification-controller",
        "ServiceAccount/source-controller",
    ]
    pod = found["Deployment/source-controller"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "registry.example.com/fluxcd/source-controller:2.9.4"
    assert [item["containerPort"] for item in pod["containers"][0]["ports"]] == [9090, 8080, 9440]
    assert found["OCIRepository/flux-system"]["spec"] == {
        "interval": "1m",
        "url": "oci://registry.example.com/fleet",
        "ref": {"tag": "latest"},
        "secretRef": {"name": "pull"},
    }
    assert found["Kustomization/flux-system"]["spec"]["path"] == "clusters/c"
    assert not any(name.startswith("NetworkPolicy") for name in expanded(INSTANCE % "false"))


def test_a_flux_instance_from_the_manifests_of_its_version() -> None:
    asked: list[tuple[str, str]] = []

    def artifact(url: str, tag: str) -> list[str]:
        asked.append((url, tag))
        part = "{app.kubernetes.io/component: %s}"
        return [
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: flux-system}\n---\n"
            + "".join(
                f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, labels: {part % name}}}\n---\n"
                for name in ("source-controller", "helm-controller")
            )
        ]

    view = Cluster(INSTANCE % "true")
    found = {str(item.id): item for item in expand(view.objects, view, artifact)}
    assert asked == [("oci://ghcr.io/fluxcd/flux-manifests", "v2.9.4")]
    assert sorted(found) == [
        "c/Deployment/flux-system/source-controller",
        "c/Kustomization/flux-system/flux-system",
        "c/Namespace/flux-system",
        "c/OCIRepository/flux-system/flux-system",
    ]
    assert all(item.origin.synthesised == "FluxInstance/flux-system/flux" for item in found.values() if item.namespace)


def test_merging_lists_by_name_and_removing_with_null() -> None:
    base = {"env": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}], "args": ["x"], "resources": {"limits": {}}}
    patch = {"env": [{"name": "b", "value": "3"}], "args": ["y"], "resources": None}
    assert merge_by(base, patch) == {"env": [{"name": "a", "value": "1"}, {"name": "b", "value": "3"}], "args": ["y"]}
