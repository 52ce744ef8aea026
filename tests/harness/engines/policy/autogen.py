"""What Kyverno derives from a policy on pods for their controllers.

Source: Kyverno 1.19, ``pkg/cel/autogen``. A policy whose only rule is about ``v1`` ``pods`` (and which selects neither by object labels nor by
name, and excludes nothing) also applies to pod controllers: every ``object.spec`` and ``object.metadata`` of its text, the messages included,
becomes that of the pod template; only ``.namespace`` stays the workload's own.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from harness.model.shapes import items, mapping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.engines.policy.api import Json

#: What autogen can cover: name in the policy -> (rewriting, API group).
_CONTROLLERS = {
    "daemonsets": ("defaults", "apps"),
    "deployments": ("defaults", "apps"),
    "replicasets": ("defaults", "apps"),
    "statefulsets": ("defaults", "apps"),
    "jobs": ("defaults", "batch"),
    "cronjobs": ("cronjobs", "batch"),
}
_TEMPLATES = {"defaults": "spec.template", "cronjobs": "spec.jobTemplate.spec.template"}


def can_autogen(constraints: Any) -> bool:
    """Whether a policy is about pods and nothing but pods (``CanAutoGen``)."""
    body = mapping(constraints)
    selector = mapping(body.get("objectSelector"))
    rules = items(body.get("resourceRules"))
    if selector.get("matchLabels") or selector.get("matchExpressions") or body.get("excludeResourceRules") or len(rules) != 1:
        return False
    rule = mapping(rules[0])
    return not rule.get("resourceNames") and rule.get("apiGroups") == [""] and rule.get("apiVersions") == ["v1"] and rule.get("resources") == ["pods"]


def autogen(spec: Json) -> Iterator[tuple[str, Json]]:
    """The specs derived for controllers, by the name of the derivation (``autogen-defaults``, ``autogen-cronjobs``)."""
    constraints = mapping(spec.get("matchConstraints"))
    if not can_autogen(constraints):
        return
    configured = mapping(mapping(spec.get("autogen")).get("podControllers")).get("controllers")
    wanted = [name for name in _CONTROLLERS if not isinstance(configured, list) or name in configured]
    operations = items(mapping(items(constraints["resourceRules"])[0]).get("operations"))
    for config in ("cronjobs", "defaults"):
        names = [name for name in wanted if _CONTROLLERS[name][0] == config]
        groups = sorted({_CONTROLLERS[name][1] for name in names})
        if not names or not operations:
            continue
        rules = [
            {
                "apiGroups": [group],
                "apiVersions": ["v1"],
                "operations": operations,
                "resources": sorted(name for name in names if _CONTROLLERS[name][1] == group),
            }
            for group in groups
        ]
        matched = {"resourceRules": rules, **({"namespaceSelector": constraints["namespaceSelector"]} if "namespaceSelector" in constraints else {})}
        yield f"autogen-{config}", mapping(json.loads(rewrite(json.dumps({**spec, "matchConstraints": matched}), config)))


def rewrite(text: str, config: str) -> str:
    """The text of a policy with the paths of pods made those of a controller's pod template."""
    template = _TEMPLATES[config]
    # In this order, as upstream: what the first replacement writes has no "object.metadata" in it.
    for place in ("spec", "metadata"):
        for root in ("object", "oldObject"):
            text = re.sub(rf"{root}\.{place}(?!\.namespace(?![A-Za-z0-9_]))", f"{root}.{template}.{place}", text)
    return text
