"""Volumes of pods.

Source: ``ValidateVolumes`` and the functions it calls, ``k8s.io/kubernetes/pkg/apis/core/validation/validation.go``, v1.34.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.engines import names
from harness.engines.validation.context import Check, Json, each, items, mapping, number, quantity_of, text
from harness.engines.validation.metadata import validate_annotations
from harness.engines.validation.storage import validate_claim_spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.model import Pointer

#: Every volume source; a volume has one, and is an emptyDir when it has none (SetDefaults_Volume).
SOURCES = (
    "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "fc",
    "flexVolume", "flocker", "gcePersistentDisk", "gitRepo", "glusterfs", "hostPath", "image", "iscsi", "nfs", "persistentVolumeClaim",
    "photonPersistentDisk", "portworxVolume", "projected", "quobyte", "rbd", "scaleIO", "secret", "storageos", "vsphereVolume",
)  # fmt: skip
#: Fields that a source must have, not empty.
_REQUIRED: dict[str, tuple[str, ...]] = {
    "hostPath": ("path",),
    "secret": ("secretName",),
    "configMap": ("name",),
    "persistentVolumeClaim": ("claimName",),
    "nfs": ("server", "path"),
    "csi": ("driver",),
    "gitRepo": ("repository",),
    "gcePersistentDisk": ("pdName",),
    "awsElasticBlockStore": ("volumeID",),
    "azureFile": ("secretName", "shareName"),
    "cinder": ("volumeID",),
    "rbd": ("monitors", "image"),
    "cephfs": ("monitors",),
    "glusterfs": ("endpoints", "path"),
    "flexVolume": ("driver",),
    "vsphereVolume": ("volumePath",),
    "iscsi": ("targetPortal", "iqn"),
    "ephemeral": ("volumeClaimTemplate",),
}
_POD_FIELDS = frozenset({"metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels", "metadata.annotations"})
_RESOURCES = frozenset(f"{group}.{name}" for group in ("limits", "requests") for name in ("cpu", "memory", "ephemeral-storage"))
_DIVISORS = frozenset({"1", *(f"1{unit}" for unit in "kMGTPE"), *(f"1{unit}i" for unit in "KMGTPE")})
_DIVISOR_VALUES = frozenset(quantity_of(divisor) for divisor in _DIVISORS)
_CPU_DIVISOR_VALUES = frozenset(quantity_of(divisor) for divisor in ("1", "1m"))


def validate_volumes(value: Any, check: Check, at: Pointer) -> dict[str, Json]:
    """Checks a pod's volumes, and returns them by name, also those with errors: one mistake is reported once."""
    found: dict[str, Json] = {}
    for place, volume in each(value, at):
        if check.required(volume, "name", place):
            check.syntax(volume["name"], names.dns1123_label, (*place, "name"))
            found.setdefault(text(volume["name"]), volume)
        present = [source for source in SOURCES if volume.get(source) is not None]
        if len(present) > 1:
            check.error(place, f"may not specify more than 1 volume type: has {', '.join(present)}", "one-of")
        for source in present[:1]:
            _source(source, mapping(volume[source]), check, (*place, source))
    return found


def _source(kind: str, source: Json, check: Check, at: Pointer) -> None:
    for field in _REQUIRED.get(kind, ()):
        check.required(source, field, at)
    special = _SPECIAL.get(kind)
    if special is not None:
        special(source, check, at)


def _empty_dir(source: Json, check: Check, at: Pointer) -> None:
    limit = quantity_of(source.get("sizeLimit"))
    if limit is not None and limit < 0:
        check.error((*at, "sizeLimit"), "must not be negative", "quantity")


def _host_path(source: Json, check: Check, at: Pointer) -> None:
    check.no_backsteps(source.get("path"), (*at, "path"))


def _nfs(source: Json, check: Check, at: Pointer) -> None:
    if source.get("path") and not text(source["path"]).startswith("/"):
        check.error((*at, "path"), "must be an absolute path", "path", source["path"])


def _csi(source: Json, check: Check, at: Pointer) -> None:
    validate_csi_driver(source.get("driver"), check, (*at, "driver"))
    if isinstance(source.get("nodePublishSecretRef"), dict):
        check.reference(source["nodePublishSecretRef"], "name", (*at, "nodePublishSecretRef"))


def validate_csi_driver(value: Any, check: Check, at: Pointer) -> None:
    """``ValidateCSIDriverName``: at most 63 characters, a DNS subdomain in any case."""
    if isinstance(value, str) and value:
        if len(value) > 63:
            check.error(at, "must be no more than 63 characters", "name", value)
        check.syntax(value.lower(), names.dns1123_subdomain, at)


def _git_repo(source: Json, check: Check, at: Pointer) -> None:
    check.relative_path(source.get("directory"), (*at, "directory"))


def _keys(source: Json, check: Check, at: Pointer) -> None:
    for place, item in each(source.get("items"), (*at, "items")):
        check.required(item, "key", place)
        if check.required(item, "path", place):
            check.relative_path(item["path"], (*place, "path"), reserved=True)


def _downward(source: Json, check: Check, at: Pointer) -> None:
    for place, item in each(source.get("items"), (*at, "items")):
        if check.required(item, "path", place):
            check.relative_path(item["path"], (*place, "path"), reserved=True)
        field, resource = item.get("fieldRef"), item.get("resourceFieldRef")
        if field is not None and resource is not None:
            check.error(place, "fieldRef and resourceFieldRef can not be specified simultaneously", "one-of")
        elif field is None and resource is None:
            check.error(place, "one of fieldRef and resourceFieldRef is required", "one-of")
        if field is not None:
            validate_field_ref(mapping(field), _POD_FIELDS, check, (*place, "fieldRef"))
        elif resource is not None:
            validate_resource_field(mapping(resource), check, (*place, "resourceFieldRef"), volume=True)


def validate_field_ref(reference: Json, allowed: frozenset[str], check: Check, at: Pointer) -> None:
    """``validateObjectFieldSelector``: a field of the pod, or one label or annotation of it."""
    if not check.required(reference, "fieldPath", at):
        return
    path = text(reference["fieldPath"])
    base, bracket, key = path.partition("['")
    if bracket and key.endswith("']"):
        if base not in ("metadata.labels", "metadata.annotations"):
            check.error((*at, "fieldPath"), f"{base} does not support subscript", "field-path", path)
        else:
            check.syntax(key[:-2] if base == "metadata.labels" else key[:-2].lower(), names.qualified_name, (*at, "fieldPath"), "field-path")
    elif path not in allowed:
        check.error((*at, "fieldPath"), f"must be one of {', '.join(sorted(allowed))}, not {path!r}", "field-path", path)


def validate_resource_field(reference: Json, check: Check, at: Pointer, *, volume: bool) -> None:
    """``validateContainerResourceFieldSelector``."""
    if volume:
        check.required(reference, "containerName", at)
    if not check.required(reference, "resource", at):
        return
    resource = text(reference["resource"])
    huge_pages = resource.startswith(("limits.hugepages-", "requests.hugepages-"))
    if resource not in _RESOURCES and not huge_pages:
        check.error((*at, "resource"), f"must be one of {', '.join(sorted(_RESOURCES))}, not {resource!r}", "resource-name", resource)
        return
    divisor = quantity_of(reference.get("divisor"))
    if divisor is None or divisor == 0:
        return
    if resource.endswith(".cpu"):
        if divisor not in _CPU_DIVISOR_VALUES:
            check.error((*at, "divisor"), "must be 1m or 1 for cpu", "quantity")
    elif divisor not in _DIVISOR_VALUES:
        check.error((*at, "divisor"), f"must be one of {', '.join(sorted(_DIVISORS))}", "quantity")


#: Without clusterTrustBundle and podCertificate: behind gates, and dropped unread where those are off.
_PROJECTIONS = ("secret", "configMap", "downwardAPI", "serviceAccountToken")


def _projected(source: Json, check: Check, at: Pointer) -> None:
    paths: set[str] = set()

    def unique(path: Any, place: Pointer) -> None:
        if isinstance(path, str) and path:
            if path in paths:
                check.error(place, f"conflicting duplicate path {path!r}", "duplicate", path)
            paths.add(path)

    for place, projection in each(source.get("sources"), (*at, "sources")):
        present = [kind for kind in _PROJECTIONS if projection.get(kind) is not None]
        if len(present) > 1:
            check.error(place, f"may not specify more than 1 volume type per source: has {', '.join(present)}", "one-of")
        for kind in present:
            inner, where = mapping(projection[kind]), (*place, kind)
            if kind in ("secret", "configMap"):
                check.required(inner, "name", where)
                _keys(inner, check, where)
            elif kind == "downwardAPI":
                _downward(inner, check, where)
            elif check.required(inner, "path", where):
                check.relative_path(inner["path"], (*where, "path"), reserved=True)
            for spot, item in each(inner.get("items"), (*where, "items")):
                unique(item.get("path"), (*spot, "path"))


def _ephemeral(source: Json, check: Check, at: Pointer) -> None:
    template, where = source.get("volumeClaimTemplate"), (*at, "volumeClaimTemplate")
    if not isinstance(template, dict):
        return
    metadata = mapping(template.get("metadata"))
    check.labels(metadata.get("labels"), (*where, "metadata", "labels"))
    validate_annotations(metadata.get("annotations"), check, (*where, "metadata", "annotations"))
    for field in metadata:
        if field not in ("labels", "annotations") and metadata[field] is not None and metadata[field] != "":
            check.error((*where, "metadata", field), "cannot be set for an ephemeral volume", "forbidden")
    validate_claim_spec(mapping(template.get("spec")), check, (*where, "spec"))


def _fc(source: Json, check: Check, at: Pointer) -> None:
    wide, ids = items(source.get("targetWWNs")), items(source.get("wwids"))
    if bool(wide) == bool(ids):
        check.error((*at, "targetWWNs"), "must specify either targetWWNs or wwids, but not both", "one-of")
    elif wide and number(source.get("lun")) is None:
        check.error((*at, "lun"), "is required if targetWWNs is specified", "required")


def _iscsi(source: Json, check: Check, at: Pointer) -> None:
    name = text(source.get("iqn"))
    if name and not name.startswith(("iqn", "eui", "naa")):
        check.error((*at, "iqn"), "must be valid format starting with iqn, eui, or naa", "name", name)


_SPECIAL: dict[str, Callable[[Json, Check, Pointer], None]] = {
    "emptyDir": _empty_dir,
    "hostPath": _host_path,
    "nfs": _nfs,
    "csi": _csi,
    "gitRepo": _git_repo,
    "secret": _keys,
    "configMap": _keys,
    "downwardAPI": _downward,
    "projected": _projected,
    "ephemeral": _ephemeral,
    "fc": _fc,
    "iscsi": _iscsi,
}
