"""Which Secret or ConfigMap an object names, and which keys of it, by kind: data, read by one walker.

Pods are read as ``k8s.io/api/core/v1`` defines them. For other kinds a table says where a reference stands and how it is written; in the groups whose
API knows no mapping of ``name`` and ``key`` but selectors of Secrets and ConfigMaps (prometheus-operator), every such mapping is one. Of kinds nobody
here knows, ``secretKeyRef`` and ``secretRef`` are read, as custom resources spell them by convention. What a controller writes to is no reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.engines.secrets.reference_data import ANNOTATIONS, GENERIC_SECRET, PATHS, SELECTOR_GROUPS, SELECTOR_SKIPPED, Form, Place
from harness.model.pods import PodTemplate, pod_of
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.model import Object, Pointer

#: The namespace of a reference whose namespace only a controller's flags know (cluster-scoped resources).
UNKNOWN: Final = "?"


class Reference(NamedTuple):
    """One Secret or ConfigMap that an object names. ``keys`` are those it must have; none means that it is taken as a whole. ``role`` says what for."""

    kind: str
    namespace: str
    name: str
    keys: tuple[str, ...]
    pointer: Pointer
    role: str
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace not in ("", UNKNOWN) else f"{self.kind} {self.name}"


def references(item: Object) -> Iterator[Reference]:
    """Every Secret and ConfigMap that an object names, in the order in which it does. Names with a variable left in them are nobody's."""
    for reference in _all(item):
        if reference.name and "${" not in reference.name and "$(" not in reference.name:
            yield reference


def _all(item: Object) -> Iterator[Reference]:
    pod = pod_of(item)
    if pod is not None:
        yield from pod_references(pod)
    kind = str(item.group_kind)
    known = PATHS.get(kind)
    for place in known or ():
        yield from _at_place(item, place)
    for place in ANNOTATIONS.get(kind, ()):
        value = text(item.annotations.get(str(place.path[0])))
        namespace, slash, name = value.rpartition("/")
        yield Reference(place.kind, namespace if slash else item.namespace, name, place.keys, ("metadata", "annotations", *place.path), place.role)
    if item.group == "secrets.hashicorp.com":
        # With create: false the operator writes into a Secret that somebody else must have made.
        destination = mapping(item.spec.get("destination"))
        if destination.get("create") is not True:
            yield Reference("Secret", item.namespace, text(destination.get("name")), (), ("spec", "destination"), "destination")
    if item.group in SELECTOR_GROUPS:
        yield from _selectors(item, item.spec, ("spec",), "")
    elif known is None and pod is None and "." in item.group and not item.group.endswith(".k8s.io"):
        yield from _by_convention(item, item.spec, ("spec",))


def pod_references(pod: PodTemplate) -> Iterator[Reference]:
    """The Secrets and ConfigMaps of a pod: volumes, environment, pull secrets."""
    namespace = pod.namespace
    for index, volume in enumerate(items(pod.spec.get("volumes"))):
        yield from _volume(namespace, mapping(volume), (*pod.at, "spec", "volumes", index))
    for container in pod.containers():
        at = (*pod.at, "spec", container.list, container.index)
        for index, entry in enumerate(items(container.body.get("envFrom"))):
            for field, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
                source = mapping(mapping(entry).get(field))
                if source:
                    yield Reference(
                        kind, namespace, text(source.get("name")), (), (*at, "envFrom", index, field), "environment", source.get("optional") is True
                    )
        for index, entry in enumerate(items(container.body.get("env"))):
            for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
                source = mapping(mapping(mapping(entry).get("valueFrom")).get(field))
                if source:
                    keys = tuple(filter(None, (text(source.get("key")),)))
                    optional = source.get("optional") is True
                    yield Reference(kind, namespace, text(source.get("name")), keys, (*at, "env", index, "valueFrom", field), "environment", optional)
    for index, entry in enumerate(items(pod.spec.get("imagePullSecrets"))):
        yield Reference("Secret", namespace, text(mapping(entry).get("name")), (), (*pod.at, "spec", "imagePullSecrets", index), "pull secret", True)


def _volume(namespace: str, volume: dict[str, Any], at: Pointer) -> Iterator[Reference]:
    sources = [(volume, at)]
    sources += [(mapping(source), (*at, "projected", "sources", index)) for index, source in enumerate(items(mapping(volume.get("projected")).get("sources")))]
    for source, where in sources:
        for field, kind, key in (("secret", "Secret", "secretName"), ("configMap", "ConfigMap", "name")):
            body = mapping(source.get(field))
            if body:
                keys = tuple(filter(None, (text(mapping(entry).get("key")) for entry in items(body.get("items")))))
                name = text(body.get(key)) or text(body.get("name"))
                yield Reference(kind, namespace, name, keys, (*where, field), "volume", body.get("optional") is True)
    publish = mapping(mapping(volume.get("csi")).get("nodePublishSecretRef"))
    if publish:
        yield Reference("Secret", namespace, text(publish.get("name")), (), (*at, "csi", "nodePublishSecretRef"), "volume")


def _at_place(item: Object, place: Place) -> Iterator[Reference]:
    for value, at in _reached(item.body, place.path, ()):
        own = item.namespace or (UNKNOWN if place.namespace is None else "")
        if place.form is Form.NAME:
            name = text(value)
            space, slash, rest = name.rpartition("/")
            yield Reference(place.kind, space if slash and place.slash else own, rest if place.slash else name, place.keys, at, place.role)
            continue
        body = mapping(value)
        if not body or (place.only and text(body.get("kind")) not in place.only):
            continue
        kind = text(body.get("kind")) if place.form is Form.TYPED and text(body.get("kind")) in {"Secret", "ConfigMap"} else place.kind
        key = text(body.get("key"))
        keys = (key,) if key and place.form is not Form.WHOLE else place.keys
        yield Reference(kind, text(body.get("namespace")) or own, text(body.get("name")), keys, at, place.role, body.get("optional") is True)


def _reached(value: Any, path: Pointer, at: Pointer) -> Iterator[tuple[Any, Pointer]]:
    """What a path leads to; ``*`` is every item of a list or every value of a mapping."""
    if not path:
        yield value, at
        return
    head, rest = path[0], path[1:]
    if head == "*":
        entries: Any = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
        for key, inner in entries:
            yield from _reached(inner, rest, (*at, key))
    elif isinstance(value, dict) and value.get(head) is not None:
        yield from _reached(value[head], rest, (*at, head))


def _selectors(item: Object, value: Any, at: Pointer, parent: str) -> Iterator[Reference]:
    if isinstance(value, dict):
        if isinstance(value.get("name"), str) and isinstance(value.get("key"), str) and value.keys() <= {"name", "key", "optional"}:
            kind = "ConfigMap" if parent.lower().startswith("configmap") else "Secret"
            yield Reference(kind, item.namespace, value["name"], (value["key"],), at, parent, value.get("optional") is True)
            return
        for key, inner in value.items():
            if isinstance(inner, dict | list) and key not in SELECTOR_SKIPPED:
                yield from _selectors(item, inner, (*at, key), str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _selectors(item, inner, (*at, index), parent)


def _by_convention(item: Object, value: Any, at: Pointer) -> Iterator[Reference]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(inner, dict | list):
                continue
            body = mapping(inner)
            if isinstance(key, str) and GENERIC_SECRET.fullmatch(key) and isinstance(body.get("name"), str):
                namespace = text(body.get("namespace")) or item.namespace or UNKNOWN
                keys = tuple(filter(None, (text(body.get("key")),)))
                yield Reference("Secret", namespace, body["name"], keys, (*at, key), key, body.get("optional") is True)
            else:
                yield from _by_convention(item, inner, (*at, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _by_convention(item, inner, (*at, index))
