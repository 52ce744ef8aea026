"""The checks of the baseline policy: what a pod must not do to its node.

Source of every check: ``policy/check_*.go`` of k8s.io/pod-security-admission; the release in which a check changed is in :mod:`.evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from harness.engines.podsecurity.pod import Each, Pod, Violated, containers, joined, plural, pointer, present, quoted, string
from harness.model.shapes import items

if TYPE_CHECKING:
    from harness.model import Pointer

Check = Callable[[Pod], Violated | None]

_CAPABILITIES: Final = frozenset(
    (
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    )
)
_APPARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"
_SECCOMP_POD: Final = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER: Final = "container.seccomp.security.alpha.kubernetes.io/"
_PROFILES: Final = frozenset({"RuntimeDefault", "Localhost"})
_SELINUX: Final = frozenset({"", "container_t", "container_init_t", "container_kvm_t"})
_SELINUX_31: Final = _SELINUX | {"container_engine_t"}

_SYSCTLS: Final = frozenset(
    (
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
    )
)
_SYSCTLS_27: Final = _SYSCTLS | {"net.ipv4.ip_local_reserved_ports"}
_SYSCTLS_29: Final = _SYSCTLS_27 | {
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}
_SYSCTLS_32: Final = _SYSCTLS_29 | {"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}
_SYSCTLS_37: Final = _SYSCTLS_32 | {"net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_notsent_lowat"}


def valid_profile(value: object) -> bool:
    """Whether the type of a seccomp or AppArmor profile is one that confines."""
    return isinstance(value, str) and value in _PROFILES


def setters(pod: bool, bad: list[Each]) -> str:
    """``pod``, ``container "a"`` or ``pod and containers "a", "b"``."""
    return " and ".join([*(["pod"] if pod else []), *([containers(bad)] if bad else [])])


def host_namespaces(pod: Pod) -> Violated | None:
    fields = [name for name in ("hostNetwork", "hostPID", "hostIPC") if pod.spec.get(name) is True]
    if not fields:
        return None
    return Violated("hostNamespaces", "host namespaces", ", ".join(f"{name}=true" for name in fields), tuple(("spec", name) for name in fields))


def privileged(pod: Pod) -> Violated | None:
    bad = [each for each in pod.containers if each.context is not None and each.context.get("privileged") is True]
    if not bad:
        return None
    detail = f"{containers(bad)} must not set securityContext.privileged=true"
    return Violated("privileged", "privileged", detail, tuple(pointer(each, "securityContext", "privileged") for each in bad))


def capabilities(pod: Pod) -> Violated | None:
    bad: list[Each] = []
    names: set[str] = set()
    at: list[Pointer] = []
    for each in pod.containers:
        added = [(index, string(name)) for index, name in enumerate(added_capabilities(each)) if string(name) not in _CAPABILITIES]
        if added:
            bad.append(each)
            names.update(name for _, name in added)
            at += [pointer(each, "securityContext", "capabilities", "add", index) for index, _ in added]
    if not bad:
        return None
    detail = f"{containers(bad)} must not include {joined(sorted(names))} in securityContext.capabilities.add"
    return Violated("capabilities_baseline", "non-default capabilities", detail, tuple(at))


def added_capabilities(each: Each) -> list[Any]:
    return items((present(each.context, "capabilities") or {}).get("add"))


def host_path_volumes(pod: Pod) -> Violated | None:
    bad = [(index, string(volume.get("name"))) for index, volume in enumerate(pod.volumes) if volume.get("hostPath") is not None]
    if not bad:
        return None
    detail = f"{plural('volume', 'volumes', len(bad))} {joined(name for _, name in bad)}"
    return Violated("hostPathVolumes", "hostPath volumes", detail, tuple(("spec", "volumes", index, "hostPath") for index, _ in bad))


def host_ports(pod: Pod) -> Violated | None:
    bad: list[Each] = []
    ports: set[str] = set()
    at: list[Pointer] = []
    for each in pod.containers:
        found = [(index, port["hostPort"]) for index, port in enumerate(items(each.body.get("ports"))) if isinstance(port, dict) and port.get("hostPort")]
        if found:
            bad.append(each)
            ports.update(string(port) for _, port in found)
            at += [pointer(each, "ports", index, "hostPort") for index, _ in found]
    if not bad:
        return None
    words = plural("hostPort", "hostPorts", len(ports))
    detail = f"{containers(bad)} {plural('uses', 'use', len(bad))} {words} {', '.join(sorted(ports))}"
    return Violated("hostPorts", "hostPort", detail, tuple(at))


def app_armor(pod: Pod) -> Violated | None:
    values: set[str] = set()
    at: list[Pointer] = []
    profile = present(pod.context, "appArmorProfile")
    of_pod = profile is not None and not valid_profile(profile.get("type"))
    if profile is not None and of_pod:
        values.add(string(profile.get("type")))
        at.append(("spec", "securityContext", "appArmorProfile", "type"))
    bad = [each for each in pod.containers if _bad_profile(each, "appArmorProfile", values, at)]
    annotations = sorted(key for key, value in pod.annotations.items() if key.startswith(_APPARMOR) and not _allowed_app_armor(string(value)))
    listed = sorted(values) + sorted(f"{key}={quoted(string(pod.annotations[key]))}" for key in annotations)
    if not listed:
        return None
    at += [("metadata", "annotations", key) for key in annotations]
    who = [*([setters(of_pod, bad)] if of_pod or bad else []), *([plural("annotation", "annotations", len(annotations))] if annotations else [])]
    reason = plural("forbidden AppArmor profile", "forbidden AppArmor profiles", len(listed))
    return Violated("appArmorProfile", reason, f"{' and '.join(who)} must not set AppArmor profile type to {joined(listed)}", tuple(at))


def _allowed_app_armor(value: str) -> bool:
    return value in ("", "runtime/default") or value.startswith("localhost/")


def _bad_profile(each: Each, field: str, values: set[str], at: list[Pointer]) -> bool:
    """Whether a container sets a profile that does not confine; its type is noted."""
    profile = present(each.context, field)
    if profile is None or valid_profile(profile.get("type")):
        return False
    values.add(string(profile.get("type")))
    at.append(pointer(each, "securityContext", field, "type"))
    return True


def seccomp_annotations(pod: Pod) -> Violated | None:
    """Up to 1.18 the profile was an annotation."""
    keys = [_SECCOMP_POD, *(f"{_SECCOMP_CONTAINER}{each.name}" for each in pod.containers)]
    bad = sorted({key for key in keys if key in pod.annotations and not _allowed_seccomp(string(pod.annotations[key]))})
    if not bad:
        return None
    listed = ", ".join(sorted(f"{key}={quoted(string(pod.annotations[key]))}" for key in bad))
    detail = f"forbidden {plural('annotation', 'annotations', len(bad))} {listed}"
    return Violated("seccompProfile_baseline", "seccompProfile", detail, tuple(("metadata", "annotations", key) for key in bad))


def _allowed_seccomp(value: str) -> bool:
    return value in ("runtime/default", "docker/default") or value.startswith("localhost/")


def seccomp(pod: Pod) -> Violated | None:
    return seccomp_set_badly(pod, "seccompProfile_baseline")


def seccomp_set_badly(pod: Pod, check: str) -> Violated | None:
    """Pods and containers that say a profile that does not confine."""
    values: set[str] = set()
    at: list[Pointer] = []
    profile = present(pod.context, "seccompProfile")
    of_pod = profile is not None and not valid_profile(profile.get("type"))
    if profile is not None and of_pod:
        values.add(string(profile.get("type")))
        at.append(("spec", "securityContext", "seccompProfile", "type"))
    bad = [each for each in pod.containers if _bad_profile(each, "seccompProfile", values, at)]
    if not (of_pod or bad):
        return None
    detail = f"{setters(of_pod, bad)} must not set securityContext.seccompProfile.type to {joined(sorted(values))}"
    return Violated(check, "seccompProfile", detail, tuple(at))


def proc_mount(pod: Pod) -> Violated | None:
    return proc_mount_set_badly(pod, "procMount")


def proc_mount_35(pod: Pod) -> Violated | None:
    """From 1.35 on, a pod in a user namespace may see the whole of /proc."""
    return None if pod.user_namespace else proc_mount(pod)


def proc_mount_set_badly(pod: Pod, check: str) -> Violated | None:
    found = [(each, each.context["procMount"]) for each in pod.containers if each.context is not None and each.context.get("procMount") is not None]
    bad = [(each, string(value)) for each, value in found if value != "Default"]
    if not bad:
        return None
    kinds = joined(sorted({value for _, value in bad}))
    detail = f"{containers(each for each, _ in bad)} must not set securityContext.procMount to {kinds}"
    return Violated(check, "procMount", detail, tuple(pointer(each, "securityContext", "procMount") for each, _ in bad))


def selinux(pod: Pod) -> Violated | None:
    return _selinux(pod, _SELINUX)


def selinux_31(pod: Pod) -> Violated | None:
    return _selinux(pod, _SELINUX_31)


def _selinux(pod: Pod, allowed: frozenset[str]) -> Violated | None:
    types: set[str] = set()
    fields: set[str] = set()
    at: list[Pointer] = []

    def bad(options: Mapping[str, Any] | None, where: Pointer) -> bool:
        if options is None:
            return False
        wrong = [] if string(options.get("type")) in allowed else ["type"]
        types.update(string(options.get(field)) for field in wrong)
        wrong += [field for field in ("user", "role") if string(options.get(field))]
        fields.update(wrong)
        at.extend((*where, field) for field in wrong)
        return bool(wrong)

    of_pod = bad(present(pod.context, "seLinuxOptions"), ("spec", "securityContext", "seLinuxOptions"))
    found = [each for each in pod.containers if bad(present(each.context, "seLinuxOptions"), pointer(each, "securityContext", "seLinuxOptions"))]
    if not (of_pod or found):
        return None
    data = [f"{plural('type', 'types', len(types))} {joined(sorted(types))}"] if types else []
    data += [f"{field} may not be set" for field in ("user", "role") if field in fields]
    detail = f"{setters(of_pod, found)} set forbidden securityContext.seLinuxOptions: {'; '.join(data)}"
    return Violated("seLinuxOptions", "seLinuxOptions", detail, tuple(at))


def _sysctls(allowed: frozenset[str]) -> Check:
    def check(pod: Pod) -> Violated | None:
        listed = items((pod.context or {}).get("sysctls"))
        found = [(index, string(entry.get("name"))) for index, entry in enumerate(listed) if isinstance(entry, dict)]
        bad = [(index, name) for index, name in found if name not in allowed]
        if not bad:
            return None
        where = tuple(("spec", "securityContext", "sysctls", index, "name") for index, _ in bad)
        return Violated("sysctls", "forbidden sysctls", ", ".join(name for _, name in bad), where)

    return check


sysctls: Final = _sysctls(_SYSCTLS)
sysctls_27: Final = _sysctls(_SYSCTLS_27)
sysctls_29: Final = _sysctls(_SYSCTLS_29)
sysctls_32: Final = _sysctls(_SYSCTLS_32)
sysctls_37: Final = _sysctls(_SYSCTLS_37)


def windows_host_process(pod: Pod) -> Violated | None:
    of_pod = (present(pod.context, "windowsOptions") or {}).get("hostProcess") is True
    bad = [each for each in pod.containers if (present(each.context, "windowsOptions") or {}).get("hostProcess") is True]
    if not (of_pod or bad):
        return None
    at: list[Pointer] = [("spec", "securityContext", "windowsOptions", "hostProcess")] if of_pod else []
    at += [pointer(each, "securityContext", "windowsOptions", "hostProcess") for each in bad]
    detail = f"{setters(of_pod, bad)} must not set securityContext.windowsOptions.hostProcess=true"
    return Violated("windowsHostProcess", "hostProcess", detail, tuple(at))


_HANDLERS: Final = (
    ("livenessProbe",),
    ("readinessProbe",),
    ("startupProbe",),
    ("lifecycle", "postStart"),
    ("lifecycle", "preStop"),
)


def host_probes(pod: Pod) -> Violated | None:
    """From 1.34 on, probes and lifecycle handlers name no host: the kubelet would connect to it."""
    hosts: set[str] = set()
    names: set[str] = set()
    at: list[Pointer] = []
    for each in pod.containers:
        for path in _HANDLERS:
            handler: Mapping[str, Any] | None = each.body
            for part in path:
                handler = present(handler, part)
            for action in ("httpGet", "tcpSocket"):
                host = string((present(handler, action) or {}).get("host"))
                if host:
                    hosts.add(host)
                    names.add(each.name)
                    at.append(pointer(each, *path, action, "host"))
    if not at:
        return None
    who = f"{plural('container', 'containers', len(names))} {joined(sorted(names))} {plural('uses', 'use', len(names))}"
    words = plural("probe or lifecycle host", "probe or lifecycle hosts", len(hosts))
    return Violated("hostProbesAndHostLifecycle", "probe or lifecycle host", f"{who} {words} {joined(sorted(hosts))}", tuple(at))
