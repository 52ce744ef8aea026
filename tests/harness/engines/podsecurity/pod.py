"""A pod as the checks look at it: read once, from input of any shape."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.model.pods import CONTAINERS
from harness.model.shapes import items, mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.model import Pointer

#: What a volume may be in the restricted policy.
ALLOWED_VOLUMES: Final = frozenset({"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"})


class Violated(NamedTuple):
    """A check that a pod fails: its id, the reason and the detail in the API server's words, and pointers into the pod to what is wrong.

    A pointer to something that is absent leads to where it would have to be.
    """

    check: str
    reason: str
    detail: str
    at: tuple[Pointer, ...]

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


class Each(NamedTuple):
    """A container: its name, its body, its security context (None when there is none) and where it stands in the pod."""

    name: str
    body: Mapping[str, Any]
    context: Mapping[str, Any] | None
    at: Pointer


@dataclass(frozen=True)
class Pod:
    """The parts of a pod that checks read."""

    metadata: Mapping[str, Any]
    spec: Mapping[str, Any]

    @cached_property
    def annotations(self) -> Mapping[str, Any]:
        return mapping(self.metadata.get("annotations"))

    @cached_property
    def context(self) -> Mapping[str, Any] | None:
        """The pod's security context; None when there is none."""
        return present(self.spec, "securityContext")

    @cached_property
    def containers(self) -> tuple[Each, ...]:
        """Init containers, containers and ephemeral containers, in this order."""
        order = (CONTAINERS[0], CONTAINERS[1], CONTAINERS[2])
        return tuple(
            Each(string(body.get("name")), body, present(body, "securityContext"), ("spec", name, index))
            for name in order
            for index, body in enumerate(items(self.spec.get(name)))
            if isinstance(body, dict)
        )

    @cached_property
    def windows(self) -> bool:
        return mapping(self.spec.get("os")).get("name") == "windows"

    @cached_property
    def user_namespace(self) -> bool:
        return self.spec.get("hostUsers") is False

    @cached_property
    def volumes(self) -> tuple[Mapping[str, Any], ...]:
        return tuple(volume if isinstance(volume, dict) else {} for volume in items(self.spec.get("volumes")))


def defaulted(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """A pod's spec with the defaults that the API server sets before admission and that the checks can see.

    A volume without a source is an emptyDir; ports of pods in the host's network are host ports (``pkg/apis/core/v1/defaults.go``).
    """
    changed: dict[str, Any] = {}
    volumes = items(spec.get("volumes"))
    if any(isinstance(volume, dict) and not sources(volume) for volume in volumes):
        changed["volumes"] = [{**volume, "emptyDir": {}} if isinstance(volume, dict) and not sources(volume) else volume for volume in volumes]
    if spec.get("hostNetwork") is True:
        for name in CONTAINERS[:2]:
            if isinstance(spec.get(name), list):
                changed[name] = [_host_ports(container) for container in items(spec.get(name))]
    return {**spec, **changed} if changed else spec


def _host_ports(container: Any) -> Any:
    ports = container.get("ports") if isinstance(container, dict) else None
    if not isinstance(ports, list):
        return container
    return {
        **container,
        "ports": [{**port, "hostPort": port.get("hostPort") or port.get("containerPort")} if isinstance(port, dict) else port for port in ports],
    }


def sources(volume: Mapping[str, Any]) -> list[str]:
    """The sources a volume names, known or not."""
    return [key for key, value in volume.items() if key != "name" and value is not None]


def present(body: Mapping[str, Any] | None, field: str) -> Mapping[str, Any] | None:
    """The mapping a field holds; None when it is absent, null or of another type."""
    value = body.get(field) if body is not None else None
    return value if isinstance(value, dict) else None


def string(value: object) -> str:
    """A text as it is, nothing as the empty one, anything else as JSON: enough to show it."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, default=str)


def pointer(each: Each, *path: str | int) -> Pointer:
    """A pointer into a container."""
    return (*each.at, *path)


def joined(names: Iterable[str]) -> str:
    """``"a", "b"``."""
    return ", ".join(f'"{name}"' for name in names)


def plural(singular: str, plurals: str, count: int) -> str:
    return singular if count == 1 else plurals


def containers(found: Iterable[Each]) -> str:
    """``container "a"`` or ``containers "a", "b"``."""
    names = [each.name for each in found]
    return f"{plural('container', 'containers', len(names))} {joined(names)}"


def quoted(text: str) -> str:
    """A text as Go's ``%q`` prints it, for what annotations hold."""
    short = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", '"': '\\"', "\\": "\\\\"}
    return '"' + "".join(short.get(char) or (char if char.isprintable() else _escaped(ord(char))) for char in text) + '"'


def _escaped(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
