"""Levels and versions of the Pod Security Standards, and the labels by which a namespace asks for them.

Source: ``api/helpers.go`` and ``api/constants.go`` of k8s.io/pod-security-admission.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "pod-security.kubernetes.io/"
MODES: Final = ("enforce", "audit", "warn")
#: The newest minor version of Kubernetes whose checks are known here. A newer one is taken to have the same.
NEWEST: Final = 37

_VERSION: Final = re.compile(r"v1\.(0|[1-9][0-9]*)")
_CLUSTER: Final = re.compile(r"v?1\.(0|[1-9][0-9]*)(?:\..*)?")


class Level(StrEnum):
    """How strict a policy is."""

    PRIVILEGED = "privileged"
    BASELINE = "baseline"
    RESTRICTED = "restricted"

    @property
    def strictness(self) -> int:
        """0 for privileged, 1 for baseline, 2 for restricted."""
        return _STRICTNESS[self]


_STRICTNESS: Final = {Level.PRIVILEGED: 0, Level.BASELINE: 1, Level.RESTRICTED: 2}


class PolicyVersion(NamedTuple):
    """A version of the policies: ``v1.<minor>``, or ``latest`` when ``minor`` is None."""

    minor: int | None = None

    def __str__(self) -> str:
        return "latest" if self.minor is None else f"v1.{self.minor}"

    def at(self, cluster: int) -> int:
        """The minor version whose checks an API server of a minor version runs: its own for ``latest`` and for what is newer than it."""
        return min(cluster if self.minor is None else self.minor, cluster, NEWEST)


LATEST: Final = PolicyVersion()


class LevelVersion(NamedTuple):
    """A level in a version, printed as the API server prints it: ``restricted:v1.31``."""

    level: Level = Level.PRIVILEGED
    version: PolicyVersion = LATEST

    def __str__(self) -> str:
        return f"{self.level}:{self.version}"


#: What restricts nothing.
NOTHING: Final = LevelVersion()


class LabelFault(NamedTuple):
    """A label whose value is refused when the namespace is created."""

    label: str
    value: str
    message: str


@dataclass(frozen=True, slots=True)
class Policy:
    """What a namespace asks for, by mode. ``faults`` are the labels that could not be read."""

    enforce: LevelVersion = NOTHING
    audit: LevelVersion = NOTHING
    warn: LevelVersion = NOTHING
    faults: tuple[LabelFault, ...] = ()

    @property
    def fully_privileged(self) -> bool:
        return all(mode.level is Level.PRIVILEGED for mode in (self.enforce, self.audit, self.warn))


#: What a namespace without labels gets, unless the API server is configured otherwise.
DEFAULTS: Final = Policy()


def parse_level(text: object) -> Level | None:
    """The level that a label's value names, or None."""
    return Level(text) if isinstance(text, str) and text in _STRICTNESS else None


def parse_version(text: object) -> PolicyVersion | None:
    """The version that a label's value names (``latest`` or ``v1.x``), or None."""
    if text == "latest":
        return LATEST
    match = _VERSION.fullmatch(text) if isinstance(text, str) else None
    return PolicyVersion(int(match[1])) if match else None


def minor_of(kubernetes_version: str) -> int:
    """The minor version of a cluster's version (``1.36``, ``v1.36.4``). Raises ValueError when it is none of Kubernetes 1."""
    match = _CLUSTER.fullmatch(kubernetes_version.strip())
    if match is None:
        raise ValueError(f"not a Kubernetes version: {kubernetes_version!r}")
    return int(match[1])


def policy_of(labels: Mapping[str, object], defaults: Policy = DEFAULTS) -> Policy:
    """The policy that a namespace's labels ask for.

    What cannot be read fails closed for ``enforce`` (restricted), open for ``audit`` and ``warn`` (privileged); a version that cannot be read is
    ``latest``. Without a ``warn`` label, ``warn`` follows a stricter ``enforce``.
    """
    faults: list[LabelFault] = []
    read = {mode: _mode(mode, labels, getattr(defaults, mode), faults) for mode in MODES}
    enforce, warn = read["enforce"], read["warn"]
    stated = labels.get(f"{PREFIX}enforce")
    if f"{PREFIX}warn" not in labels and parse_level(stated) is not None and enforce.level.strictness > warn.level.strictness:
        warn = LevelVersion(enforce.level, warn.version if f"{PREFIX}warn-version" in labels else enforce.version)
    return Policy(enforce, read["audit"], warn, tuple(faults))


def _mode(mode: str, labels: Mapping[str, object], default: LevelVersion, faults: list[LabelFault]) -> LevelVersion:
    level, version = default
    name = f"{PREFIX}{mode}"
    if name in labels:
        found = parse_level(labels[name])
        if found is None:
            faults.append(LabelFault(name, str(labels[name]), "must be one of privileged, baseline, restricted"))
        level = found or (Level.RESTRICTED if mode == "enforce" else Level.PRIVILEGED)
    if f"{name}-version" in labels:
        known = parse_version(labels[f"{name}-version"])
        if known is None:
            faults.append(LabelFault(f"{name}-version", str(labels[f"{name}-version"]), 'must be "latest" or "v1.x"'))
        version = known or LATEST
    return LevelVersion(level, version)
