"""What serves each control: docs/compliance.md, generated from the controls that rules and policies name.

The names of NIST's controls are those of SP 800-53 revision 5, CIS' numbers are of the Kubernetes Benchmark (1.10 and later), in our own words.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from harness.model.shapes import mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.rules.base import Rule
    from harness.source.repository import Repository

#: Where the document lies, relative to the repository.
COMPLIANCE: Final = "docs/compliance.md"
#: The annotation of a policy that names its controls, with commas between.
CONTROLS: Final = "plimsoll.io/controls"

_NAMES: Final = {
    "CIS-1": "control plane configuration",
    "CIS-5.1.1": "cluster-admin only where needed",
    "CIS-5.1.2": "few who read Secrets",
    "CIS-5.1.3": "no wildcards in roles",
    "CIS-5.1.4": "few who create pods",
    "CIS-5.1.5": "default service accounts unused",
    "CIS-5.1.6": "tokens only where mounted on purpose",
    "CIS-5.1.7": "system:masters unused",
    "CIS-5.1.8": "few who bind, impersonate, escalate",
    "CIS-5.1.9": "few who create PersistentVolumes",
    "CIS-5.1.10": "few who reach nodes/proxy",
    "CIS-5.1.11": "few who approve certificate requests",
    "CIS-5.1.12": "few who change webhook configurations",
    "CIS-5.1.13": "few who create tokens",
    "CIS-5.2.1": "a pod security control in each namespace",
    "CIS-5.2.2": "no privileged containers",
    "CIS-5.2.3": "no host PID namespace",
    "CIS-5.2.4": "no host IPC namespace",
    "CIS-5.2.5": "no host network namespace",
    "CIS-5.2.6": "no privilege escalation",
    "CIS-5.2.7": "no root containers",
    "CIS-5.2.8": "no NET_RAW",
    "CIS-5.2.9": "no added capabilities",
    "CIS-5.2.10": "no assigned capabilities",
    "CIS-5.2.12": "no host paths",
    "CIS-5.2.13": "no host ports",
    "CIS-5.3.2": "network policies in each namespace",
    "CIS-5.4.1": "Secrets as files, not in the environment",
    "CIS-5.5.1": "provenance of images",
    "CIS-5.7.1": "boundaries between resources by namespaces",
    "CIS-5.7.2": "seccomp profile set",
    "NIST-AC-2": "Account Management",
    "NIST-AC-3": "Access Enforcement",
    "NIST-AC-4": "Information Flow Enforcement",
    "NIST-AC-6": "Least Privilege",
    "NIST-AC-12": "Session Termination",
    "NIST-AC-14": "Permitted Actions Without Identification or Authentication",
    "NIST-AC-17": "Remote Access",
    "NIST-AU-2": "Event Logging",
    "NIST-AU-3": "Content of Audit Records",
    "NIST-AU-4": "Audit Log Storage Capacity",
    "NIST-AU-5": "Response to Audit Logging Process Failures",
    "NIST-AU-6": "Audit Record Review, Analysis, and Reporting",
    "NIST-AU-9": "Protection of Audit Information",
    "NIST-AU-11": "Audit Record Retention",
    "NIST-AU-12": "Audit Record Generation",
    "NIST-CA-2": "Control Assessments",
    "NIST-CA-5": "Plan of Action and Milestones",
    "NIST-CA-7": "Continuous Monitoring",
    "NIST-CM-2": "Baseline Configuration",
    "NIST-CM-3": "Configuration Change Control",
    "NIST-CM-5": "Access Restrictions for Change",
    "NIST-CM-6": "Configuration Settings",
    "NIST-CM-7": "Least Functionality",
    "NIST-CM-8": "System Component Inventory",
    "NIST-CP-9": "System Backup",
    "NIST-CP-10": "System Recovery and Reconstitution",
    "NIST-IA-3": "Device Identification and Authentication",
    "NIST-IA-5": "Authenticator Management",
    "NIST-IA-9": "Service Identification and Authentication",
    "NIST-IR-4": "Incident Handling",
    "NIST-IR-5": "Incident Monitoring",
    "NIST-IR-6": "Incident Reporting",
    "NIST-IR-8": "Incident Response Plan",
    "NIST-PL-2": "System Security and Privacy Plans",
    "NIST-RA-7": "Risk Response",
    "NIST-SA-22": "Unsupported System Components",
    "NIST-SC-5": "Denial-of-Service Protection",
    "NIST-SC-6": "Resource Availability",
    "NIST-SC-7": "Boundary Protection",
    "NIST-SC-8": "Transmission Confidentiality and Integrity",
    "NIST-SC-12": "Cryptographic Key Establishment and Management",
    "NIST-SC-13": "Cryptographic Protection",
    "NIST-SC-17": "Public Key Infrastructure Certificates",
    "NIST-SC-23": "Session Authenticity",
    "NIST-SC-28": "Protection of Information at Rest",
    "NIST-SC-36": "Distributed Processing and Storage",
    "NIST-SC-39": "Process Isolation",
    "NIST-SI-2": "Flaw Remediation",
    "NIST-SI-4": "System Monitoring",
    "NIST-SI-6": "Security and Privacy Function Verification",
    "NIST-SI-7": "Software, Firmware, and Information Integrity",
    "NIST-SI-10": "Information Input Validation",
    "NIST-SI-11": "Error Handling",
    "NIST-SI-13": "Predictable Failure Prevention",
    "NIST-SR-3": "Supply Chain Controls and Processes",
    "NIST-SR-4": "Provenance",
    "SLSA-BUILD": "the build track: how an artifact was built is known",
    "SLSA-SOURCE": "the source track: how a change came in is known",
    "SLSA-VERIFY": "artifacts are verified before they are used",
}

_HEAD: Final = """\
# Controls and what serves them

Generated from the rules and the policies by `nox -s docs`; do not edit. A control that stands here is served by what stands behind it, as far as
that goes: rules prove it on every pull request (`tests/CATALOG.md` says what each demands), policies hold it in the cluster (`policies/README.md`
says in which). What no run evaluates is named in `docs/gaps.md`. CIS is the Kubernetes Benchmark, NIST is SP 800-53 revision 5, SLSA is version 1.1;
the names of CIS' and SLSA's are in our own words.

| control | name | rules | policies |
|---|---|---|---|
"""


class UnnamedControlError(ValueError):
    """A rule or policy names a control that this document has no name for."""


def compliance(rules: Iterable[Rule], repository: Repository) -> str:
    """The whole document. Raises UnnamedControlError."""
    by_rule: dict[str, list[str]] = defaultdict(list)
    by_policy: dict[str, list[str]] = defaultdict(list)
    for rule in rules:
        for control in rule.controls:
            by_rule[control].append(rule.id)
    for name, controls in _policies(repository):
        for control in controls:
            by_policy[control].append(name)
    lines = []
    for control in sorted({*by_rule, *by_policy}, key=_order):
        if control not in _NAMES:
            who = ", ".join(by_rule[control] + by_policy[control])
            raise UnnamedControlError(f"{who}: control {control} has no name in harness/report/compliance.py")
        lines.append(f"| {control} | {_NAMES[control]} | {', '.join(sorted(set(by_rule[control])))} | {', '.join(sorted(set(by_policy[control])))} |\n")
    return _HEAD + "".join(lines)


def _policies(repository: Repository) -> Iterator[tuple[str, list[str]]]:
    for path in repository.files("policies"):
        if not path.endswith(".yaml"):
            continue
        for document in repository.documents(path):
            metadata = mapping(document.body.get("metadata"))
            named = text(mapping(metadata.get("annotations")).get(CONTROLS))
            if named:
                yield text(metadata.get("name")), [control.strip() for control in named.split(",")]


def _order(control: str) -> tuple[str, list[tuple[int, str]]]:
    parts = re.split(r"[-.]", control)
    return parts[0], [(int(part), "") if part.isdigit() else (0, part) for part in parts[1:]]
