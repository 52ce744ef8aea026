"""The images that the objects of a cluster name: in containers and volumes, and in the arguments and variables that operators make pods from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.engines.images.reference import Image, InvalidReferenceError, parse, try_parse
from harness.model.pods import TEMPLATES, pod_of
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.model import Object, Pointer
    from harness.model.pods import Container, PodTemplate

#: How an image is named: by what runs it, or by what makes something that runs it.
CONTAINER, VOLUME, ARGUMENT, VARIABLE, FIELD = "container", "volume", "argument", "variable", "field"
_FLAG: Final = re.compile(r"--?(?P<name>[A-Za-z][\w.-]*)=(?P<value>.+)", re.DOTALL)
_NAME_OF_IMAGE: Final = re.compile(r"(?:^|[^a-z])image(?:$|[^a-z])|(?<=[a-z])Image|_IMAGE(?:_|$)|^IMAGE(?:_|$)")
#: Names that only a cluster resolves are addresses of Services, not of registries.
_INSIDE: Final = (".svc", ".local", ".internal", ".cluster")


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """One mention of an image: where it stands, what is written there, and what it means.

    ``image`` is None when the text is no reference, and ``fault`` says why. ``policy`` is the pull policy as written, of containers and volumes.
    """

    object: Object
    at: Pointer
    how: str
    text: str
    image: Image | None
    fault: str = ""
    container: str = ""
    policy: str = ""


def uses_of(item: Object) -> tuple[Use, ...]:
    """Every image an object names. Of kinds that make no pods, only fields called ``image`` with a tag or a digest count."""
    if str(item.group_kind) in TEMPLATES:
        pod = pod_of(item)
        return tuple(_of_pod(pod)) if pod is not None else ()
    # What a chart makes of its values is rendered, and counts there.
    if item.kind in ("CustomResourceDefinition", "HelmRelease") or "." not in item.group or item.group.endswith(".k8s.io"):
        return ()
    return tuple(_fields(item, item.spec, ("spec",)))


def inventory(objects: Iterable[Object]) -> tuple[Use, ...]:
    """Every mention of an image by any of the objects, in their order."""
    return tuple(use for item in objects for use in uses_of(item))


def by_image(uses: Iterable[Use]) -> dict[Image, list[Use]]:
    """The mentions by what they name, sorted by name; what is no reference is left out."""
    found: dict[Image, list[Use]] = {}
    for use in uses:
        if use.image is not None:
            found.setdefault(use.image, []).append(use)
    return dict(sorted(found.items()))


def _of_pod(pod: PodTemplate) -> Iterator[Use]:
    for container in pod.containers():
        at = (*pod.at, "spec", container.list, container.index)
        if "image" in container.body:
            yield _use(pod.object, (*at, "image"), CONTAINER, container.body["image"], container.name, text(container.body.get("imagePullPolicy")))
        yield from _words(pod.object, container, at)
        yield from _variables(pod.object, container, at)
    for index, volume in enumerate(items(pod.spec.get("volumes"))):
        source = mapping(mapping(volume).get("image"))
        if "reference" in source:
            pointer = (*pod.at, "spec", "volumes", index, "image", "reference")
            yield _use(pod.object, pointer, VOLUME, source["reference"], text(mapping(volume).get("name")), text(source.get("pullPolicy")))


def _use(item: Object, at: Pointer, how: str, value: Any, container: str = "", policy: str = "") -> Use:
    if not isinstance(value, str):
        return Use(item, at, how, str(value), None, "it is no text", container, policy)
    try:
        return Use(item, at, how, value, parse(value), "", container, policy)
    except InvalidReferenceError as fault:
        return Use(item, at, how, value, None, str(fault), container, policy)


def _words(item: Object, container: Container, at: Pointer) -> Iterator[Use]:
    """References in ``--flag=reference``, in what follows a flag that speaks of an image, and by themselves."""
    for field in ("command", "args"):
        flag = ""
        for index, word in enumerate(items(container.body.get(field))):
            match = _FLAG.fullmatch(word) if isinstance(word, str) else None
            name, value = (match["name"], match["value"]) if match else (flag, text(word))
            if _names_image(name, value):
                yield _use(item, (*at, field, index), ARGUMENT, value, container.name)
            flag = word.lstrip("-") if isinstance(word, str) and word.startswith("-") and "=" not in word else ""


def _variables(item: Object, container: Container, at: Pointer) -> Iterator[Use]:
    for index, entry in enumerate(items(container.body.get("env"))):
        name, value = text(mapping(entry).get("name")), text(mapping(entry).get("value"))
        if _names_image(name, value):
            yield _use(item, (*at, "env", index, "value"), VARIABLE, value, container.name)


def _names_image(name: str, value: str) -> bool:
    """Whether a value is meant as an image: it is one in full (registry, path, tag or digest), or nearly so under a name that speaks of images."""
    found = try_parse(value)
    if found is None or not (found.tag or found.digest):
        return False
    first = value.partition("/")[0]
    host = first.partition(":")[0]
    explicit = "/" in value and "." in host and not host.endswith(_INSIDE) and not host.replace(".", "").isdigit()
    if _NAME_OF_IMAGE.search(name):
        return explicit or "/" in value or not value.rpartition(":")[2].isdigit()
    return explicit and (bool(found.digest) or not found.tag.isdigit())


def _fields(item: Object, value: Any, at: Pointer) -> Iterator[Use]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "image" and isinstance(inner, str):
                found = try_parse(inner)
                if found is not None and (found.tag or found.digest):
                    yield Use(item, (*at, key), FIELD, inner, found)
            elif isinstance(inner, dict | list):
                yield from _fields(item, inner, (*at, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            if isinstance(inner, dict | list):
                yield from _fields(item, inner, (*at, index))
