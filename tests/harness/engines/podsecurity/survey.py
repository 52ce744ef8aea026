"""The pods of a cluster held against policies: those of their namespaces, or one that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.engines.podsecurity.admission import Exemptions, Request, decide
from harness.engines.podsecurity.evaluate import evaluate
from harness.engines.podsecurity.levels import DEFAULTS, LevelVersion, Policy, policy_of
from harness.engines.podsecurity.pod import Violated, defaulted
from harness.model.pods import CONTAINERS, TEMPLATES
from harness.model.shapes import items, mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.model import Object, Pointer
    from harness.model.pods import PodTemplate

#: The fields that checks read, by the type that the API server wants; what is of another type is refused before any check.
_POD: Final = {"hostNetwork": bool, "hostPID": bool, "hostIPC": bool, "hostUsers": bool, "securityContext": dict, "os": dict, "volumes": list}
_CONTEXT: Final = {
    "privileged": bool,
    "allowPrivilegeEscalation": bool,
    "runAsNonRoot": bool,
    "runAsUser": int,
    "procMount": str,
    "capabilities": dict,
    "seccompProfile": dict,
    "appArmorProfile": dict,
    "seLinuxOptions": dict,
    "windowsOptions": dict,
    "sysctls": list,
}
_WORDS: Final = {bool: "true or false", dict: "a mapping", list: "a list", str: "a string", int: "a whole number"}


@dataclass(frozen=True, slots=True)
class Judged:
    """A pod held against a level in a version. ``odd`` says why it could not be judged: the API server cannot read it either."""

    pod: PodTemplate
    against: LevelVersion
    violated: tuple[Violated, ...] = ()
    odd: str = ""
    exempt: str = ""


def policies(namespaces: Iterable[Object], defaults: Policy = DEFAULTS) -> dict[str, Policy]:
    """What each namespace asks for, by its name."""
    return {item.name: policy_of(item.labels, defaults) for item in namespaces}


def judge(pod: PodTemplate, against: LevelVersion, cluster: int, exemptions: Exemptions | None = None) -> Judged:
    """One pod against a level in a version, in a cluster of a minor version. A template is judged as the pod it makes."""
    odd = oddity(pod)
    if odd:
        return Judged(pod, against, odd=odd)
    if exemptions is not None:
        exempt = decide(Request("Pod", pod.metadata, pod.spec, pod.namespace), Policy(), cluster, exemptions).exempt
        if exempt:
            return Judged(pod, against, exempt=exempt)
    return Judged(pod, against, evaluate(pod.metadata, defaulted(pod.spec), against.level, against.version.at(cluster)))


def oddity(pod: PodTemplate) -> str:
    """Why a pod cannot be read as one; empty when it can."""
    body = pod.object.get(*pod.at) if pod.at else pod.object.body
    if not isinstance(body, dict) or not isinstance(body.get("spec"), dict):
        return "it has no spec"
    return next(_odd(pod.spec), "")


def _odd(spec: Mapping[str, Any]) -> Iterator[str]:
    yield from _wrong(spec, _POD, "spec")
    yield from _wrong(mapping(spec.get("securityContext")), _CONTEXT, "spec.securityContext")
    for name in CONTAINERS:
        if spec.get(name) is not None and not isinstance(spec.get(name), list):
            yield f"spec.{name} is not a list"
        for index, container in enumerate(items(spec.get(name))):
            at = f"spec.{name}[{index}]"
            if not isinstance(container, dict):
                yield f"{at} is not a mapping"
                continue
            yield from _wrong(container, {"securityContext": dict, "ports": list}, at)
            context = mapping(container.get("securityContext"))
            yield from _wrong(context, _CONTEXT, f"{at}.securityContext")
            yield from _wrong(mapping(context.get("capabilities")), {"add": list, "drop": list}, f"{at}.securityContext.capabilities")
    for index, volume in enumerate(items(spec.get("volumes"))):
        if not isinstance(volume, dict):
            yield f"spec.volumes[{index}] is not a mapping"


def _wrong(body: Mapping[str, Any], fields: Mapping[str, type], at: str) -> Iterator[str]:
    for field, wanted in fields.items():
        value = body.get(field)
        if value is not None and (not isinstance(value, wanted) or (wanted is int and isinstance(value, bool))):
            yield f"{at}.{field} is not {_WORDS[wanted]}"


def unknown_templates(objects: Iterable[Object]) -> Iterator[tuple[Object, Pointer]]:
    """Objects of other kinds that look as if they make pods, with where: what their operators make of it is not known here."""
    for item in objects:
        if str(item.group_kind) in TEMPLATES:
            continue
        for at in (("spec", "template"), ("spec", "podTemplate"), ("template",)):
            if isinstance(item.get(*at, "spec", "containers"), list):
                yield item, at
                break
