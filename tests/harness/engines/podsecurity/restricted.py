"""The checks that the restricted policy adds to baseline: what a pod must say of itself.

Source of every check: ``policy/check_*.go`` of k8s.io/pod-security-admission; the release in which a check changed is in :mod:`.evaluate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.engines.podsecurity.baseline import added_capabilities, proc_mount_set_badly, seccomp_set_badly, setters, valid_profile
from harness.engines.podsecurity.pod import ALLOWED_VOLUMES, Each, Pod, Violated, containers, joined, plural, pointer, present, string
from harness.model.shapes import items

if TYPE_CHECKING:
    from harness.model import Pointer

#: In the order in which the API server names them, for volumes with more than one source.
_VOLUMES: Final = (
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
)


def privilege_escalation(pod: Pod) -> Violated | None:
    bad = [each for each in pod.containers if each.context is None or each.context.get("allowPrivilegeEscalation") is not False]
    if not bad:
        return None
    detail = f"{containers(bad)} must set securityContext.allowPrivilegeEscalation=false"
    at = tuple(pointer(each, "securityContext", "allowPrivilegeEscalation") for each in bad)
    return Violated("allowPrivilegeEscalation", "allowPrivilegeEscalation != false", detail, at)


def privilege_escalation_25(pod: Pod) -> Violated | None:
    """From 1.25 on, pods of Windows are exempt: the field means nothing there."""
    return None if pod.windows else privilege_escalation(pod)


def capabilities(pod: Pod) -> Violated | None:
    keeping = [each for each in pod.containers if "ALL" not in items((present(each.context, "capabilities") or {}).get("drop"))]
    adding: list[Each] = []
    names: set[str] = set()
    at: list[Pointer] = [pointer(each, "securityContext", "capabilities", "drop") for each in keeping]
    for each in pod.containers:
        added = [(index, string(name)) for index, name in enumerate(added_capabilities(each)) if name != "NET_BIND_SERVICE"]
        if added:
            adding.append(each)
            names.update(name for _, name in added)
            at += [pointer(each, "securityContext", "capabilities", "add", index) for index, _ in added]
    details = [f'{containers(keeping)} must set securityContext.capabilities.drop=["ALL"]'] if keeping else []
    details += [f"{containers(adding)} must not include {joined(sorted(names))} in securityContext.capabilities.add"] if adding else []
    return Violated("capabilities_restricted", "unrestricted capabilities", "; ".join(details), tuple(at)) if details else None


def capabilities_25(pod: Pod) -> Violated | None:
    return None if pod.windows else capabilities(pod)


def proc_mount(pod: Pod) -> Violated | None:
    return proc_mount_set_badly(pod, "procMount_restricted")


def volume_types(pod: Pod) -> Violated | None:
    bad: list[str] = []
    kinds: set[str] = set()
    at: list[Pointer] = []
    for index, volume in enumerate(pod.volumes):
        if any(volume.get(kind) is not None for kind in ALLOWED_VOLUMES):
            continue
        bad.append(string(volume.get("name")))
        kind = next((kind for kind in _VOLUMES if volume.get(kind) is not None), "unknown")
        kinds.add(kind)
        at.append(("spec", "volumes", index, kind) if kind != "unknown" else ("spec", "volumes", index))
    if not bad:
        return None
    words = plural("restricted volume type", "restricted volume types", len(kinds))
    detail = f"{plural('volume', 'volumes', len(bad))} {joined(bad)} {plural('uses', 'use', len(bad))} {words} {joined(sorted(kinds))}"
    return Violated("restrictedVolumes", "restricted volume types", detail, tuple(at))


def run_as_non_root(pod: Pod) -> Violated | None:
    stated = (pod.context or {}).get("runAsNonRoot")
    explicit = [each for each in pod.containers if (each.context or {}).get("runAsNonRoot") is False]
    reason = "runAsNonRoot != true"
    if stated is False or explicit:
        at: list[Pointer] = [("spec", "securityContext", "runAsNonRoot")] if stated is False else []
        at += [pointer(each, "securityContext", "runAsNonRoot") for each in explicit]
        return Violated("runAsNonRoot", reason, f"{setters(stated is False, explicit)} must not set securityContext.runAsNonRoot=false", tuple(at))
    silent = [] if stated is True else [each for each in pod.containers if (each.context or {}).get("runAsNonRoot") is not True]
    if not silent:
        return None
    where = tuple(pointer(each, "securityContext", "runAsNonRoot") for each in silent)
    return Violated("runAsNonRoot", reason, f"pod or {containers(silent)} must set securityContext.runAsNonRoot=true", where)


def run_as_non_root_35(pod: Pod) -> Violated | None:
    """From 1.35 on, root of a user namespace is nobody on the node."""
    return None if pod.user_namespace else run_as_non_root(pod)


def run_as_user(pod: Pod) -> Violated | None:
    of_pod = _zero((pod.context or {}).get("runAsUser"))
    bad = [each for each in pod.containers if _zero((each.context or {}).get("runAsUser"))]
    if not (of_pod or bad):
        return None
    at: list[Pointer] = [("spec", "securityContext", "runAsUser")] if of_pod else []
    at += [pointer(each, "securityContext", "runAsUser") for each in bad]
    return Violated("runAsUser", "runAsUser=0", f"{setters(of_pod, bad)} must not set runAsUser=0", tuple(at))


def run_as_user_35(pod: Pod) -> Violated | None:
    return None if pod.user_namespace else run_as_user(pod)


def _zero(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == 0


def seccomp(pod: Pod) -> Violated | None:
    check = "seccompProfile_restricted"
    explicit = seccomp_set_badly(pod, check)
    if explicit is not None:
        return explicit
    profile = present(pod.context, "seccompProfile")
    if profile is not None and valid_profile(profile.get("type")):
        return None
    silent = [each for each in pod.containers if present(each.context, "seccompProfile") is None]
    if not silent:
        return None
    detail = f'pod or {containers(silent)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return Violated(check, "seccompProfile", detail, tuple(pointer(each, "securityContext", "seccompProfile") for each in silent))


def seccomp_25(pod: Pod) -> Violated | None:
    return None if pod.windows else seccomp(pod)
