"""Objects for the tests of the telemetry engine, from short YAML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml
from harness.model import Location, Object, ObjectId, Origin, Pointer, fixed, group_of

if TYPE_CHECKING:
    from collections.abc import Iterable


def objects(text: str, namespace: str = "shop") -> tuple[Object, ...]:
    """The objects of YAML documents; those without a namespace are in ``shop``."""
    found = []
    for body in yaml.safe_load_all(text):
        if body:
            metadata = body.setdefault("metadata", {})
            place = metadata.get("namespace", "" if body["kind"] == "Namespace" else namespace)
            identity = ObjectId("test", group_of(body["apiVersion"]), body["kind"], place, metadata.get("name", ""))
            found.append(Object(identity, body, Origin(fixed(Location("test.yaml", 1)))))
    return tuple(sorted(found, key=lambda item: item.id))


PROMETHEUS = """
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: main, namespace: monitoring}
spec:
  serviceMonitorSelector: {}
  serviceMonitorNamespaceSelector: {}
  podMonitorSelector: {}
  podMonitorNamespaceSelector: {}
  probeSelector: {}
  probeNamespaceSelector: {}
  scrapeConfigSelector: {}
  scrapeConfigNamespaceSelector: {}
"""
WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    metadata:
      labels: {app: web, tier: gold}
    spec:
      containers:
        - name: web
          image: registry.example.com/web:1
          ports:
            - {name: http, containerPort: 8080}
            - {name: metrics, containerPort: 9797}
---
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: web, team: a}}
spec:
  selector: {app: web}
  ports:
    - {name: http, port: 80, targetPort: http}
    - {name: metrics, port: 9797}
"""


@dataclass
class Written:
    """One configuration of a ConfigMap, on line 1 of its file."""

    object: Object
    at: Pointer
    body: dict[str, Any]

    def locate(self, *_pointer: str | int) -> Location:
        return self.object.locate(*self.at)


def texts(found: Iterable[Object]) -> list[Written]:
    """The configurations of the ConfigMaps among some objects."""
    made = []
    for item in found:
        for key, value in (item.body.get("data") or {}).items() if item.kind == "ConfigMap" else ():
            body = yaml.safe_load(value)
            if isinstance(body, dict):
                made.append(Written(item, ("data", key), body))
    return made
