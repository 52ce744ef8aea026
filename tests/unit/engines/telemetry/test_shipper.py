"""Which containers a Promtail configuration reads, and what becomes of their lines from relabelling to the labels that leave."""

from __future__ import annotations

from typing import Any

import yaml
from harness.engines.telemetry.discovery import Discovery
from harness.engines.telemetry.promtail import Shipper, is_promtail
from harness.model import Location, Object, ObjectId, Origin

CONFIG = yaml.safe_load("""
clients:
  - url: http://loki:3100/loki/api/v1/push
    external_labels: {cluster: kind}
scrape_configs:
  - job_name: pods
    kubernetes_sd_configs: [{role: pod}]
    relabel_configs:
      - {source_labels: [__meta_kubernetes_pod_annotation_logs], regex: none, action: drop}
      - {source_labels: [__meta_kubernetes_namespace], target_label: namespace}
      - {source_labels: [__meta_kubernetes_pod_container_name], target_label: container}
      - {source_labels: [__meta_kubernetes_pod_name], target_label: pod}
      - {source_labels: [__meta_kubernetes_pod_uid], replacement: /var/log/pods/*$1/*.log, target_label: __path__}
    pipeline_stages:
      - cri: {}
      - labeldrop: [pod, filename]
      - match: {selector: '{container="web"}', stages: [{regex: {expression: '^(?P<level>[a-z]+) '}}, {labels: {level: }}]}
""")


def _deployment(name: str, *containers: str, annotations: dict[str, str] | None = None) -> Object:
    template = {"metadata": {"annotations": annotations or {}}, "spec": {"containers": [{"name": each, "image": "x"} for each in containers]}}
    body: dict[str, Any] = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "shop"}, "spec": {"template": template}}
    return Object(ObjectId("c", "apps", "Deployment", "shop", name), body, Origin(lambda _: Location("f")))


def _streams(*objects: Object) -> dict[str, Any]:
    discovery = Discovery(tuple(objects))
    streams = Shipper(CONFIG).streams(discovery, discovery.pods["shop"])
    return {f"{each.workload}/{each.container}": each for each in streams}


def test_every_container_is_a_stream_unless_relabelling_drops_it() -> None:
    found = _streams(_deployment("a", "web", "proxy"), _deployment("b", "job", annotations={"logs": "none"}))
    assert sorted(found) == ["Deployment/shop/a/proxy", "Deployment/shop/a/web"]
    labels = dict(found["Deployment/shop/a/web"].labels)
    path = "/var/log/pods/*00000000-0000-0000-0000-000000000000/*.log"
    assert labels == {"namespace": "shop", "container": "web", "pod": "a-0000000000-00000", "filename": path}


def test_lines_are_wrapped_as_the_runtime_writes_them_and_leave_with_their_labels() -> None:
    shipper, stream = Shipper(CONFIG), _streams(_deployment("a", "web"))["Deployment/shop/a/web"]
    (fate,) = shipper.run(stream, ["warn it is late"])
    assert (fate.entry.line, fate.entry.labels) == ("warn it is late", {"namespace": "shop", "container": "web", "stream": "stdout", "level": "warn"})
    assert shipper.external_labels == {"cluster": "kind"}


def test_labels_that_are_taken_away_again_do_not_count() -> None:
    assert [name for _, name in Shipper(CONFIG).label_names()] == ["namespace", "container", "stream", "level", "cluster"]


def test_errors_point_into_the_configuration() -> None:
    broken = {"scrape_configs": [{"relabel_configs": [{"action": "kep"}], "pipeline_stages": [{"cri": {}}, {"labels": {}}]}, 7]}
    assert [error.at for error in Shipper(broken).errors] == [
        ("scrape_configs", 0, "relabel_configs", 0),
        ("scrape_configs", 0, "pipeline_stages", 1, "labels"),
        ("scrape_configs", 1),
        (),
    ]


def test_prometheus_has_scrape_configurations_too() -> None:
    assert is_promtail(CONFIG)
    assert not is_promtail({"scrape_configs": [{"job_name": "x"}], "rule_files": []})
    assert not is_promtail({"scrape_configs": [{"job_name": "x"}]})
    assert not is_promtail({"clients": []})
