"""Pod Security and image references: pods judged a second, by level and by number of containers, and references read a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from engines import Row
from harness.engines.images import parse
from harness.engines.podsecurity import NEWEST, Level, defaulted, evaluate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CONFINED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True}
_REFERENCES = ("nginx", "quay.io/jetstack/cert-manager-controller:v1.21.1", f"ghcr.io/a/b/c:1.2.3@sha256:{'a' * 64}", "registry:5000/app:main")


def _pod(containers: int, context: dict[str, Any]) -> dict[str, Any]:
    return {
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": f"c{index}", "image": "web", "securityContext": context, "ports": [{"containerPort": 80}]} for index in range(containers)],
        "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "config", "configMap": {"name": "web"}}],
    }


def _rate(work: Callable[[], object], each: int) -> float:
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < 0.5:
        work()
        count += each
    return count / (time.perf_counter() - start)


def rows() -> Iterator[Row]:
    for level in (Level.BASELINE, Level.RESTRICTED):
        for containers in (1, 4, 16):
            for words, context in (("passes", _CONFINED), ("is refused", {"privileged": True})):
                spec = _pod(containers, context)
                rate = _rate(lambda spec=spec, level=level: evaluate({}, defaulted(spec), level, NEWEST), 1)
                yield Row(f"a pod of {containers} containers that {words}, {level}", rate, "pods/s", "linear in containers")
    yield Row("image references", _rate(lambda: [parse(text) for text in _REFERENCES], len(_REFERENCES)), "references/s")
