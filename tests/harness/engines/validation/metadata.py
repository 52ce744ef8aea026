"""``metadata``, of every kind.

Source: ``ValidateObjectMetaAccessor`` in ``k8s.io/apimachinery/pkg/api/validation/objectmeta.go`` and the kinds' name functions, v1.34.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.engines import names
from harness.engines.validation.context import Check, Json, each, each_text, mapping, text
from harness.model import Pointer, group_of

if TYPE_CHECKING:
    from harness.engines.report import Report

#: All annotations of an object together, keys and values, in bytes.
MAX_ANNOTATIONS = 256 * 1024
_SUBDOMAIN = names.dns1123_subdomain
_SEGMENT = names.path_segment
_Name = Callable[[str], list[str]]


def _any_name(_text: str) -> list[str]:
    return []


#: How names of a kind look. Everything not listed is a DNS subdomain, as are custom resources' names.
_NAMES: dict[tuple[str, str], _Name] = {
    ("", "Namespace"): names.dns1123_label,
    ("", "Service"): names.dns1123_label,  # and DNS-1035 before 1.35; see services.py
    ("apps", "StatefulSet"): names.dns1123_label,  # new ones; ValidateStatefulSetName
    ("rbac.authorization.k8s.io", "Role"): _SEGMENT,
    ("rbac.authorization.k8s.io", "RoleBinding"): _SEGMENT,
    ("rbac.authorization.k8s.io", "ClusterRole"): _SEGMENT,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _SEGMENT,
    ("apiregistration.k8s.io", "APIService"): _SEGMENT,  # must be <version>.<group>; see admission.py
    ("networking.k8s.io", "IPAddress"): _any_name,
    ("policy", "PodDisruptionBudget"): _SEGMENT,  # ValidatePodDisruptionBudget looks at the spec only; the path segment is REST's
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"): _SUBDOMAIN,
    ("certificates.k8s.io", "ClusterTrustBundle"): _any_name,
    ("certificates.k8s.io", "CertificateSigningRequest"): _SEGMENT,
    ("coordination.k8s.io", "Lease"): _SUBDOMAIN,
    ("events.k8s.io", "Event"): _SUBDOMAIN,
    ("internal.apiserver.k8s.io", "StorageVersion"): _any_name,
}
_FINALIZERS = frozenset({"kubernetes", "orphan", "foregroundDeletion"})
#: Groups whose kinds are validated by ``ValidateObjectMeta`` of pkg/apis/core/validation, which is stricter about finalizers.
_CORE_GROUPS = frozenset(
    {
        "", "apps", "autoscaling", "batch", "coordination.k8s.io", "discovery.k8s.io", "networking.k8s.io", "node.k8s.io", "rbac.authorization.k8s.io",
        "scheduling.k8s.io", "storage.k8s.io",
    }
)  # fmt: skip
#: Reviews are requests: they have no name.
_NAMELESS = frozenset({"authentication.k8s.io", "authorization.k8s.io"})


def validate_metadata(body: Json, api_version: str, kind: str, scope: str, report: Report) -> None:
    """Checks an object's ``metadata`` as a create does. Types and unknown fields are the schema's business."""
    group = group_of(api_version)
    if group in _NAMELESS:
        return
    check = Check(report, 0)
    metadata = body.get("metadata")
    if metadata is None:
        check.error(("metadata", "name"), "name or generateName is required", "required")
        return
    if not isinstance(metadata, dict):
        return
    at: Pointer = ("metadata",)
    name_check = _NAMES.get((group, kind), _SUBDOMAIN)
    name, generate_name = metadata.get("name"), metadata.get("generateName")
    if name:
        check.syntax(name, name_check, (*at, "name"))
    elif generate_name:
        if isinstance(generate_name, str):
            for message in name_check(names.mask_trailing_dash(generate_name)):
                check.error((*at, "generateName"), f"{message}, not {generate_name[:80]!r}", "name", generate_name)
    else:
        check.error((*at, "name"), "name or generateName is required", "required")
    namespace = metadata.get("namespace")
    if namespace and scope == "Cluster":
        # The server drops it without a word (EnsureObjectNamespaceMatchesRequestNamespace); callers can tell by the keyword.
        check.error((*at, "namespace"), f"must not be set: {kind} is cluster-scoped", "scope", namespace)
    elif namespace:
        check.syntax(namespace, names.dns1123_label, (*at, "namespace"))
    _common(metadata, check, at, strict_finalizers=group in _CORE_GROUPS)


def validate_embedded_metadata(metadata: Json, report: Report, at: Pointer) -> None:
    """The metadata of an object inside a custom resource; its name is optional."""
    check = Check(report, 0)
    check.optional_name(metadata, "name", _SEGMENT, at)
    check.optional_name(metadata, "namespace", names.dns1123_label, at)
    _common(metadata, check, at)


def _common(metadata: Json, check: Check, at: Pointer, *, strict_finalizers: bool = False) -> None:
    check.labels(metadata.get("labels"), (*at, "labels"))
    validate_annotations(metadata.get("annotations"), check, (*at, "annotations"))
    _owners(metadata.get("ownerReferences"), check, (*at, "ownerReferences"))
    finalizers = list(each_text(metadata.get("finalizers"), (*at, "finalizers")))
    for place, finalizer in finalizers:
        check.syntax(finalizer, names.qualified_name, place, "finalizer")
        if strict_finalizers and "/" not in finalizer and finalizer not in _FINALIZERS:
            check.error(place, f"is neither a standard finalizer name nor fully qualified: {finalizer!r}", "finalizer", finalizer)
    if {"orphan", "foregroundDeletion"} <= {finalizer for _, finalizer in finalizers}:
        check.error((*at, "finalizers"), "orphan and foregroundDeletion cannot be both set", "finalizer")


def validate_annotations(value: Any, check: Check, at: Pointer) -> None:
    """``ValidateAnnotations``: keys in any case, and the total size."""
    annotations = mapping(value)
    size = 0
    for key, annotation in annotations.items():
        for message in names.qualified_name(key.lower()):
            check.error((*at, key), f"{message}, not {key[:80]!r}", "annotation")
        size += len(key) + len(text(annotation))
    if size > MAX_ANNOTATIONS // 4:
        # Go counts bytes; characters are counted first because that is free.
        size = sum(len(key.encode()) + len(text(annotation).encode("utf-8", "surrogatepass")) for key, annotation in annotations.items())
        if size > MAX_ANNOTATIONS:
            check.error(at, f"annotations have {size} bytes, more than {MAX_ANNOTATIONS}", "annotation")


def _owners(value: Any, check: Check, at: Pointer) -> None:
    controllers = 0
    for place, owner in each(value, at):
        for field in ("apiVersion", "kind", "name", "uid"):
            check.required(owner, field, place)
        if owner.get("apiVersion") == "v1" and owner.get("kind") == "Event":
            check.error(place, "an Event cannot be an owner", "owner")
        if owner.get("controller") is True:
            controllers += 1
            if controllers > 1:
                check.error((*place, "controller"), "only one owner can be the controller", "owner")
