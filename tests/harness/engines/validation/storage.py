"""Persistent volumes, claims and classes.

Source: ``ValidatePersistentVolumeClaimSpec`` and ``ValidatePersistentVolumeSpec`` in ``pkg/apis/core/validation/validation.go``,
``ValidateStorageClass`` in ``pkg/apis/storage/validation/validation.go``, v1.34.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.engines import names
from harness.engines.validation.context import Check, Json, each, items, mapping, number, quantity_of, text
from harness.engines.validation.scheduling import validate_node_selector, validate_tolerations

if TYPE_CHECKING:
    from harness.model import Pointer

#: Sources of a PersistentVolume; it has exactly one.
_VOLUME_SOURCES = (
    "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "csi", "fc", "flexVolume", "flocker", "gcePersistentDisk", "glusterfs",
    "hostPath", "iscsi", "local", "nfs", "photonPersistentDisk", "portworxVolume", "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume",
)  # fmt: skip


def validate_claim(body: Json, check: Check) -> None:
    """A PersistentVolumeClaim."""
    validate_claim_spec(mapping(body.get("spec")), check, ("spec",))


def validate_claim_spec(spec: Json, check: Check, at: Pointer) -> None:
    """``ValidatePersistentVolumeClaimSpec``."""
    check.required(spec, "accessModes", at, "at least 1 access mode is required")
    _access_modes(spec, check, at)
    check.selector(spec.get("selector"), (*at, "selector"))
    resources = (*at, "resources", "requests")
    requests = mapping(mapping(spec.get("resources")).get("requests"))
    if "storage" not in requests:
        check.error((*resources, "storage"), "required field is missing", "required")
    else:
        storage = quantity_of(requests["storage"])
        if storage is not None and storage <= 0:
            check.error((*resources, "storage"), "must be greater than zero", "quantity", requests["storage"])
    check.optional_name(spec, "storageClassName", names.dns1123_subdomain, at)
    check.optional_name(spec, "volumeAttributesClassName", names.dns1123_subdomain, at)
    source, place = spec.get("dataSourceRef"), (*at, "dataSourceRef")
    if isinstance(source, dict):
        check.required(source, "name", place)
        check.required(source, "kind", place)
        if not source.get("apiGroup") and source.get("kind") != "PersistentVolumeClaim":
            check.error(place, "must be 'PersistentVolumeClaim' when referencing the default apiGroup", "reference")
        check.optional_name(source, "apiGroup", names.dns1123_subdomain, place)


def _access_modes(spec: Json, check: Check, at: Pointer) -> None:
    modes = {mode for mode in items(spec.get("accessModes")) if isinstance(mode, str)}
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        check.error((*at, "accessModes"), "may not use ReadWriteOncePod with other access modes", "access-modes")


def validate_volume(body: Json, check: Check) -> None:
    """A PersistentVolume."""
    spec, at = mapping(body.get("spec")), ("spec",)
    check.required(spec, "accessModes", at)
    _access_modes(spec, check, at)
    capacity = mapping(spec.get("capacity"))
    if set(capacity) != {"storage"}:
        check.error((*at, "capacity"), "must be set, and have storage only", "required")
    size = quantity_of(capacity.get("storage"))
    if size is not None and size <= 0:
        check.error((*at, "capacity", "storage"), "must be greater than zero", "quantity")
    check.exactly_one(spec, _VOLUME_SOURCES, at, "volume type")
    check.optional_name(spec, "storageClassName", names.dns1123_subdomain, at)
    host_path = mapping(spec.get("hostPath"))
    if isinstance(spec.get("hostPath"), dict):
        check.required(host_path, "path", (*at, "hostPath"))
        check.no_backsteps(host_path.get("path"), (*at, "hostPath", "path"))
    if text(host_path.get("path")) == "/" and spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        check.error((*at, "persistentVolumeReclaimPolicy"), "may not be 'recycle' for a hostPath mount of '/'", "forbidden")
    if isinstance(spec.get("csi"), dict):
        check.required(spec["csi"], "driver", (*at, "csi"))
        check.required(spec["csi"], "volumeHandle", (*at, "csi"))
    required = mapping(spec.get("nodeAffinity")).get("required")
    if isinstance(required, dict):
        validate_node_selector(required, check, (*at, "nodeAffinity", "required"))
    if isinstance(spec.get("local"), dict):
        check.required(spec["local"], "path", (*at, "local"))
        if not mapping(mapping(spec.get("nodeAffinity")).get("required")):
            check.error((*at, "nodeAffinity"), "local volume requires node affinity", "required")
    if isinstance(spec.get("nfs"), dict):
        check.required(spec["nfs"], "server", (*at, "nfs"))
        if check.required(spec["nfs"], "path", (*at, "nfs")) and not text(spec["nfs"]["path"]).startswith("/"):
            check.error((*at, "nfs", "path"), "must be an absolute path", "path", spec["nfs"]["path"])


def validate_storage_class(body: Json, check: Check) -> None:
    """A StorageClass."""
    if check.required(body, "provisioner", ()):
        check.syntax(text(body["provisioner"]).lower(), names.qualified_name, ("provisioner",))
    parameters = mapping(body.get("parameters"))
    if len(parameters) > 512:
        check.error(("parameters",), "must have at most 512 items", "size")
    if "" in parameters:
        check.error(("parameters",), "must not have an empty key", "required")
    seen: set[str] = set()
    for place, topology in each(body.get("allowedTopologies"), ("allowedTopologies",)):
        for where, requirement in each(topology.get("matchLabelExpressions"), (*place, "matchLabelExpressions")):
            check.syntax(requirement.get("key"), names.qualified_name, (*where, "key"), "label")
            check.required(requirement, "values", where)
        keys: set[str] = set()
        for where, requirement in each(topology.get("matchLabelExpressions"), (*place, "matchLabelExpressions")):
            name = text(requirement.get("key"))
            if name in keys:
                check.error((*where, "key"), f"duplicate key {name}", "duplicate")
            keys.add(name)
            values = [value for value in items(requirement.get("values")) if isinstance(value, str)]
            if len(set(values)) != len(values):
                check.error((*where, "values"), "must not have duplicates", "duplicate")
        identity = repr(topology)
        if identity in seen:
            check.error(place, "duplicate topology", "duplicate")
        seen.add(identity)


def validate_volume_attributes_class(body: Json, check: Check) -> None:
    """A VolumeAttributesClass (``ValidateVolumeAttributesClass``)."""
    check.required(body, "driverName", ())
    check.required(body, "parameters", ())


def validate_csi_driver_object(body: Json, check: Check) -> None:
    """A CSIDriver: its token requests name distinct audiences."""
    audiences: set[str] = set()
    for place, request in each(mapping(body.get("spec")).get("tokenRequests"), ("spec", "tokenRequests")):
        audience = text(request.get("audience"))
        if audience in audiences:
            check.error((*place, "audience"), f"duplicate audience {audience!r}", "duplicate")
        audiences.add(audience)
        seconds = number(request.get("expirationSeconds"))
        if seconds is not None and not 600 <= seconds <= 2**32:
            check.error((*place, "expirationSeconds"), "must be between 10 minutes and 2^32 seconds", "invalid")


def validate_storage_capacity(body: Json, check: Check) -> None:
    """A CSIStorageCapacity."""
    check.reference(body, "storageClassName", ())
    check.selector(body.get("nodeTopology"), ("nodeTopology",))
    for field in ("capacity", "maximumVolumeSize"):
        size = quantity_of(body.get(field))
        if size is not None and size < 0:
            check.error((field,), "must not be negative", "quantity")


def validate_runtime_class(body: Json, check: Check) -> None:
    """A RuntimeClass (``pkg/apis/node/validation``)."""
    check.syntax(body.get("handler"), names.dns1123_label, ("handler",))
    scheduling = mapping(body.get("scheduling"))
    check.labels(scheduling.get("nodeSelector"), ("scheduling", "nodeSelector"))
    validate_tolerations(scheduling.get("tolerations"), check, ("scheduling", "tolerations"))


__all__ = [
    "validate_claim",
    "validate_claim_spec",
    "validate_csi_driver_object",
    "validate_runtime_class",
    "validate_storage_capacity",
    "validate_storage_class",
    "validate_volume",
    "validate_volume_attributes_class",
]
