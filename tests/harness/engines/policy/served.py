"""Objects of built-in kinds as the API server writes them out: what its Go types add and leave out.

Whoever is asked about an object sees it after it went through its Go type: fields that are null are gone, and a field whose type is a
structure is always there, empty if need be (``resources`` of every container, ``metadata`` of every pod template). That decides whether
``object.spec.template.metadata.labels`` fails on ``metadata`` or on ``labels``. Values that the API server's defaulting fills in are not added, but for the
fields that stand for a pod's AppArmor annotations.

Source: ``k8s.io/api`` v0.36; the fields are those tagged ``omitempty`` on a structure, or not tagged so at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from harness.engines.policy.api import Json, Resource

_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
#: Where in a kind's ``spec`` its strategy stands.
_STRATEGY = {"Deployment": "strategy", "DaemonSet": "updateStrategy", "StatefulSet": "updateStrategy"}
_TEMPLATED = frozenset({"Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController", "Job"})
_WITH_STATUS = frozenset({"Pod", "CronJob", "Namespace", "PersistentVolumeClaim", *_TEMPLATED})
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_PROFILES = {"runtime/default": "RuntimeDefault", "unconfined": "Unconfined"}
_GROUPS = frozenset({"", "apps", "batch", "rbac.authorization.k8s.io"})


def as_served(body: Json, resource: Resource) -> Json:
    """The object as it is written out; itself when there is nothing to add or to leave out. ``body`` is not changed."""
    seen: dict[str, Any] = without_nulls(body)
    kind = resource.kind
    if resource.group not in _GROUPS or not isinstance(seen.get("metadata"), dict):
        return seen
    if kind in ("Role", "ClusterRole"):
        return seen if "rules" in seen else {**seen, "rules": None}
    if kind == "Pod":
        seen = {**seen, "spec": _with_profiles(_pod(seen.get("spec")), mapping(mapping(seen["metadata"]).get("annotations")))}
    elif kind in _TEMPLATED or kind == "CronJob":
        seen = {**seen, "spec": _workload(kind, seen.get("spec"))}
    elif kind == "PersistentVolumeClaim":
        seen = {**seen, "spec": {"resources": {}, **mapping(seen.get("spec"))}}
    elif kind == "Service":
        return {**seen, "spec": mapping(seen.get("spec")), "status": {"loadBalancer": {}, **mapping(seen.get("status"))}}
    if kind in _WITH_STATUS:
        seen = {"spec": {}, "status": {}, **seen}
    return seen


def _pod(spec: Any) -> dict[str, Any]:
    given = mapping(spec)
    filled = {
        name: [{"resources": {}, **container} if isinstance(container, dict) else container for container in given[name]]
        for name in _CONTAINERS
        if isinstance(given.get(name), list)
    }
    return {"containers": None, **given, **filled}


def _with_profiles(spec: dict[str, Any], annotations: dict[str, Any]) -> dict[str, Any]:
    """A pod's spec with the AppArmor profiles of annotations in the fields that took their place (``applyAppArmorVersionSkew``)."""
    if not any(name.startswith(_APPARMOR) for name in annotations):
        return spec

    def filled(container: Any) -> Any:
        profile = _profile(annotations.get(f"{_APPARMOR}{mapping(container).get('name')}"))
        context = mapping(mapping(container).get("securityContext"))
        if profile is None or context.get("appArmorProfile") is not None:
            return container
        return {**container, "securityContext": {**context, "appArmorProfile": profile}}

    return {**spec, **{name: [filled(container) for container in items(spec[name])] for name in _CONTAINERS if name in spec}}


def _profile(annotation: Any) -> dict[str, str] | None:
    if annotation in _PROFILES:
        return {"type": _PROFILES[annotation]}
    name = text(annotation).removeprefix("localhost/")
    return {"type": "Localhost", "localhostProfile": name} if name and name != annotation else None


def _template(template: Any) -> dict[str, Any]:
    given = mapping(template)
    return {"metadata": {}, **given, "spec": _pod(given.get("spec"))}


def _workload(kind: str, spec: Any) -> dict[str, Any]:
    given = mapping(spec)
    if kind == "CronJob":
        job = mapping(given.get("jobTemplate"))
        inner = mapping(job.get("spec"))
        return {**given, "jobTemplate": {"metadata": {}, **job, "spec": {**inner, "template": _template(inner.get("template"))}}}
    claims = items(given.get("volumeClaimTemplates"))
    filled: dict[str, Any] = {**given, "template": _template(given.get("template"))}
    if claims:
        filled["volumeClaimTemplates"] = [
            {"status": {}, **claim, "spec": {"resources": {}, **mapping(claim.get("spec"))}} if isinstance(claim, dict) else claim for claim in claims
        ]
    return {_STRATEGY[kind]: {}, **filled} if kind in _STRATEGY else filled


def without_nulls(value: Any) -> Any:
    """The value without the fields that are null, but for ``rules``, which roles write out; itself when there are none."""
    if isinstance(value, dict):
        kept = {name: item if type(item) is str or item is None else without_nulls(item) for name, item in value.items() if item is not None or name == "rules"}
        return value if len(kept) == len(value) and all(kept[name] is item for name, item in value.items()) else kept
    if isinstance(value, list):
        found = [item if type(item) is str else without_nulls(item) for item in value]
        return value if all(one is other for one, other in zip(found, value, strict=True)) else found
    return value
