"""ConfigMaps, Secrets, Namespaces, Nodes and Leases.

Source: ``ValidateConfigMap``, ``ValidateSecret``, ``ValidateNamespace`` and ``ValidateNode`` in
``k8s.io/kubernetes/pkg/apis/core/validation/validation.go``, v1.34.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any

from harness.engines import names
from harness.engines.report import is_elided
from harness.engines.validation.addresses import legacy_cidr
from harness.engines.validation.context import Check, Json, each, each_text, mapping, text

if TYPE_CHECKING:
    from harness.model import Pointer

#: Data of one ConfigMap or Secret, values only, in bytes.
MAX_DATA = 1024 * 1024
#: Secret type → keys that must be there.
_SECRET_KEYS: dict[str, tuple[str, ...]] = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}

_PSS_VERSION = re.compile(r"latest|v1\.(?:0|[1-9][0-9]*)", re.ASCII)


def _size(value: Any, *, encoded: bool) -> int:
    content = text(value)
    if encoded:
        return len(content) * 3 // 4
    return len(content) if content.isascii() else len(content.encode("utf-8", "surrogatepass"))


def _keys(data: Json, check: Check, at: Pointer) -> None:
    for key in data:
        check.syntax(key, names.config_key, (*at, key), "key")


def validate_config_map(body: Json, check: Check) -> None:
    """A ConfigMap."""
    data, binary = mapping(body.get("data")), mapping(body.get("binaryData"))
    _keys(data, check, ("data",))
    _keys(binary, check, ("binaryData",))
    for key in data:
        if key in binary:
            check.error(("data", key), "duplicate of key present in binaryData", "duplicate")
    size = sum(_size(value, encoded=False) for value in data.values()) + sum(_size(value, encoded=True) for value in binary.values())
    if size > MAX_DATA:
        check.error(("data",), f"data has {size} bytes, more than {MAX_DATA}", "size")


def validate_secret(body: Json, check: Check) -> None:
    """A Secret; ``stringData`` overwrites ``data`` key by key."""
    data, plain = mapping(body.get("data")), mapping(body.get("stringData"))
    _keys(data, check, ("data",))
    _keys(plain, check, ("stringData",))
    keys = {*data, *plain}
    size = sum(_size(value, encoded=True) for key, value in data.items() if key not in plain) + sum(_size(value, encoded=False) for value in plain.values())
    if size > MAX_DATA:
        check.error(("data",), f"data has {size} bytes, more than {MAX_DATA}", "size")
    kind = text(body.get("type"))
    for key in _SECRET_KEYS.get(kind, ()):
        if key not in keys:
            check.error(("data", key), f"is required in a Secret of type {kind}", "required")
    if kind == "kubernetes.io/basic-auth" and not keys & {"username", "password"}:
        check.error(("data", "username"), "username or password is required in a Secret of type kubernetes.io/basic-auth", "required")
    if kind in ("kubernetes.io/dockercfg", "kubernetes.io/dockerconfigjson"):
        _docker_config(data, plain, _SECRET_KEYS[kind][0], check)
    if kind == "kubernetes.io/service-account-token":
        annotations = mapping(mapping(body.get("metadata")).get("annotations"))
        if not annotations.get("kubernetes.io/service-account.name"):
            where = ("metadata", "annotations", "kubernetes.io/service-account.name")
            check.error(where, "is required in a Secret of type kubernetes.io/service-account-token", "required")


def _docker_config(data: Json, plain: Json, key: str, check: Check) -> None:
    field = "stringData" if key in plain else "data"
    value = plain.get(key, data.get(key))
    if not isinstance(value, str) or is_elided(value):
        return
    try:
        content = value if field == "stringData" else base64.b64decode(value).decode("utf-8", "replace")
        parsed = json.loads(content)
    except (binascii.Error, ValueError, RecursionError):
        check.error((field, key), "must be JSON", "invalid")
        return
    if parsed is not None and not isinstance(parsed, dict):
        check.error((field, key), "must be a JSON object", "invalid")


def validate_namespace(body: Json, check: Check) -> None:
    """A Namespace: its finalizers, and the labels that the PodSecurity admission plugin reads (pod-security-admission/admission)."""
    for key, value in mapping(mapping(body.get("metadata")).get("labels")).items():
        prefix, _, name = key.partition("/")
        if prefix == "pod-security.kubernetes.io" and isinstance(value, str):
            if name in ("enforce", "audit", "warn") and value not in ("privileged", "baseline", "restricted"):
                message = f'must be one of "privileged", "baseline", "restricted", not {value!r}'
                check.error(("metadata", "labels", key), message, "enum", value)
            elif name in ("enforce-version", "audit-version", "warn-version") and not _PSS_VERSION.fullmatch(value):
                check.error(("metadata", "labels", key), f'must be "latest" or "v1.x", not {value!r}', "enum", value)
    for place, finalizer in each_text(mapping(body.get("spec")).get("finalizers"), ("spec", "finalizers")):
        check.syntax(finalizer, names.qualified_name, place, "finalizer")


def validate_node(body: Json, check: Check) -> None:
    """A Node: taints and pod networks."""
    spec = mapping(body.get("spec"))
    seen: set[tuple[str, str]] = set()
    for place, taint in each(spec.get("taints"), ("spec", "taints")):
        check.syntax(taint.get("key"), names.qualified_name, (*place, "key"), "label")
        check.syntax(taint.get("value"), names.label_value, (*place, "value"), "label")
        key = (text(taint.get("key")), text(taint.get("effect")))
        if key in seen:
            check.error(place, f"duplicate taint {key[0]}:{key[1]}", "duplicate")
        seen.add(key)
    for place, value in each_text(spec.get("podCIDRs"), ("spec", "podCIDRs")):
        legacy_cidr(value, check, place)
