"""Which checks a level has in a version, and what they say of a pod.

Source: the versions of ``policy/check_*.go`` and ``policy/registry.go`` of k8s.io/pod-security-admission.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.engines.podsecurity import baseline, restricted
from harness.engines.podsecurity.levels import NEWEST, Level
from harness.engines.podsecurity.pod import Pod, Violated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.engines.podsecurity.baseline import Check


class Versioned(NamedTuple):
    """A check: its id, its level, the minor versions from which each form of it holds, and the baseline check that it replaces."""

    id: str
    level: Level
    forms: tuple[tuple[int, Check], ...]
    replaces: str = ""

    def at(self, minor: int) -> Check | None:
        """The form that holds in a minor version, or None before the first."""
        return next((check for since, check in reversed(self.forms) if since <= minor), None)


_BASELINE, _RESTRICTED = Level.BASELINE, Level.RESTRICTED

CHECKS: Final = (
    Versioned("appArmorProfile", _BASELINE, ((0, baseline.app_armor),)),
    Versioned("capabilities_baseline", _BASELINE, ((0, baseline.capabilities),)),
    Versioned("hostNamespaces", _BASELINE, ((0, baseline.host_namespaces),)),
    Versioned("hostPathVolumes", _BASELINE, ((0, baseline.host_path_volumes),)),
    Versioned("hostPorts", _BASELINE, ((0, baseline.host_ports),)),
    Versioned("hostProbesAndHostLifecycle", _BASELINE, ((34, baseline.host_probes),)),
    Versioned("privileged", _BASELINE, ((0, baseline.privileged),)),
    Versioned("procMount", _BASELINE, ((0, baseline.proc_mount), (35, baseline.proc_mount_35))),
    Versioned("seLinuxOptions", _BASELINE, ((0, baseline.selinux), (31, baseline.selinux_31))),
    Versioned("seccompProfile_baseline", _BASELINE, ((0, baseline.seccomp_annotations), (19, baseline.seccomp))),
    Versioned(
        "sysctls",
        _BASELINE,
        ((0, baseline.sysctls), (27, baseline.sysctls_27), (29, baseline.sysctls_29), (32, baseline.sysctls_32), (37, baseline.sysctls_37)),
    ),
    Versioned("windowsHostProcess", _BASELINE, ((0, baseline.windows_host_process),)),
    Versioned("allowPrivilegeEscalation", _RESTRICTED, ((8, restricted.privilege_escalation), (25, restricted.privilege_escalation_25))),
    Versioned("capabilities_restricted", _RESTRICTED, ((22, restricted.capabilities), (25, restricted.capabilities_25)), "capabilities_baseline"),
    Versioned("procMount_restricted", _RESTRICTED, ((35, restricted.proc_mount),), "procMount"),
    Versioned("restrictedVolumes", _RESTRICTED, ((0, restricted.volume_types),), "hostPathVolumes"),
    Versioned("runAsNonRoot", _RESTRICTED, ((0, restricted.run_as_non_root), (35, restricted.run_as_non_root_35))),
    Versioned("runAsUser", _RESTRICTED, ((23, restricted.run_as_user), (35, restricted.run_as_user_35))),
    Versioned("seccompProfile_restricted", _RESTRICTED, ((19, restricted.seccomp), (25, restricted.seccomp_25)), "seccompProfile_baseline"),
)


@lru_cache(maxsize=256)
def checks_of(level: Level, minor: int) -> tuple[Check, ...]:
    """The checks of a level in a minor version, in the order of their messages: baseline's by id, then restricted's by id."""
    if level is Level.PRIVILEGED:
        return ()
    minor = min(minor, NEWEST)
    held = [check for check in CHECKS if check.level.strictness <= level.strictness and check.at(minor) is not None]
    replaced = {check.replaces for check in held}
    chosen = sorted((check for check in held if check.id not in replaced), key=lambda check: (check.level.strictness, check.id))
    return tuple(form for check in chosen if (form := check.at(minor)) is not None)


def evaluate(metadata: Mapping[str, Any], spec: Mapping[str, Any], level: Level, minor: int) -> tuple[Violated, ...]:
    """What a level in a minor version (36 for 1.36) forbids of a pod, as it stands; nothing when the pod passes. Never raises.

    A minor version newer than :data:`~harness.engines.podsecurity.levels.NEWEST` has the checks of that one. The pod is not defaulted first;
    :func:`harness.engines.podsecurity.pod.defaulted` does that.
    """
    checks = checks_of(level, minor)
    if not checks:
        return ()
    pod = Pod(metadata, spec)
    return tuple(found for check in checks if (found := check(pod)) is not None)


def message(violated: tuple[Violated, ...]) -> str:
    """All that is forbidden, as the API server lists it."""
    return ", ".join(str(found) for found in violated)
