"""The alerts of the platform and the faults that make them active; for each of the others, why none does within minutes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.live.proofs import CLOSED
from harness.live.telemetry import broken, outages
from harness.live.telemetry.outages import ACME_HOST, PROOF

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.live.bringup import Platform
    from harness.live.telemetry.alarms import Flow


@dataclass(frozen=True)
class Fault:
    """What is done, to which systems, and the alerts that it must make active: each with the Kustomization that it is about and labels to know it by."""

    what: str
    breaking: Callable[[Platform], Any]
    alerts: Mapping[str, tuple[str, Mapping[str, str]]]
    within: float = 180
    comes_back: bool = True
    long: bool = False
    """Not part of a run with ``--fast``."""
    flow: Callable[[Platform], Flow] | None = None
    """What it breaks as well, proven with it."""


#: Removed egress of Prometheus: whatever has no target that is up, at the same time.
SCRAPED: Final = {
    "CertManagerAbsent": "cert-manager",
    "FluxControllerDown": "flux",
    "GrafanaDown": "grafana",
    "IngressNginxAbsent": "ingress-nginx",
    "KubeletDown": "kube-prometheus-stack",
    "KyvernoAdmissionDown": "kyverno",
    "KyvernoControllerDown": "kyverno",
    "LokiDown": "loki",
    "MetalLBControllerAbsent": "metallb",
    "MetalLBSpeakerDown": "metallb",
    "OpenTelemetryCollectorDown": "opentelemetry",
    "PodinfoDown": "tenant-a",
    "PromtailMissingOnNode": "promtail",
    "SealedSecretsAbsent": "sealed-secrets",
    "TempoDown": "tempo",
    "VaultAbsent": "vault",
    "VaultSecretsOperatorAbsent": "vault-secrets-operator",
}
_OWN: Final = {"namespace": PROOF}
FAULTS: Final[Mapping[str, Fault]] = {
    "nothing-scraped": Fault(
        "Prometheus may not reach its targets (NetworkPolicy allow-prometheus-to-scrape-targets deleted)",
        outages.nothing_scraped,
        {**{name: (system, {}) for name, system in SCRAPED.items()}, "TargetDown": ("cert-manager", {"namespace": "cert-manager"})},
    ),
    "alertmanager-unreachable": Fault(
        "Alertmanager may not be reached (NetworkPolicy allow-prometheus-to-alertmanager deleted)",
        outages.without("allow-prometheus-to-alertmanager"),
        {"AlertmanagerDown": ("kube-prometheus-stack", {}), "PrometheusNotificationsDropped": ("kube-prometheus-stack", {})},
        comes_back=False,
        flow=outages.watchdog,
    ),
    "alertmanager-gone": Fault("Alertmanager scaled to 0", outages.no_alertmanager, {"PrometheusCannotAlert": ("kube-prometheus-stack", {})}),
    # The longest of those that leave the others be comes first.
    "five-minutes": Fault(
        "sources without a proxy that answers, a monitor and a ruler that the operator cannot use, for more than five minutes",
        outages.five_minutes,
        {
            "FluxReconcileErrors": ("flux", {"controller": "ocirepository"}),
            "FluxSourceStuck": ("flux", {"name": "ocirepository"}),
            "PrometheusOperatorErrors": ("kube-prometheus-stack", {"controller": "thanos.*"}),
            "PrometheusOperatorRejectsResources": ("kube-prometheus-stack", {"resource": "PodMonitor"}),
        },
        within=480,
        comes_back=False,
        long=True,
    ),
    "workloads": Fault(
        "workloads without an image, with a wrong option, with too little memory, at their most replicas; a failing Job; a full quota",
        outages.objects(broken.namespace(PROOF), broken.account(PROOF), *broken.workloads(PROOF)),
        {
            "ContainerOutOfMemory": ("kube-prometheus-stack", _OWN),
            "DaemonSetPodsMissing": ("kube-prometheus-stack", _OWN),
            "DeploymentReplicasMissing": ("kube-prometheus-stack", _OWN),
            "HorizontalPodAutoscalerAtMaximum": ("kube-prometheus-stack", _OWN),
            "JobFailed": ("kube-prometheus-stack", _OWN),
            "PodCrashLooping": ("kube-prometheus-stack", _OWN),
            "PodNotReady": ("kube-prometheus-stack", _OWN),
            "ResourceQuotaAlmostUsed": ("kube-prometheus-stack", _OWN),
            "StatefulSetReplicasMissing": ("kube-prometheus-stack", _OWN),
        },
        within=240,
        # Five minutes of CrashLoopBackOff, ten of restarts.
        comes_back=False,
    ),
    "certificates": Fault(
        "a Certificate whose issuer cannot issue, one of a day, an issuer without its CA",
        outages.objects(broken.namespace(f"{PROOF}-tls"), *broken.certificates(f"{PROOF}-tls")),
        {
            "CertificateExpiresNow": ("cert-manager", {"namespace": f"{PROOF}-tls"}),
            "CertificateExpiresSoon": ("cert-manager", {"namespace": f"{PROOF}-tls"}),
            "CertificateNotReady": ("cert-manager", {"namespace": f"{PROOF}-tls"}),
            "ClusterIssuerNotReady": ("cert-manager", {"name": f"{PROOF}-tls"}),
        },
    ),
    "sealed": Fault(
        "a SealedSecret that no key opens",
        outages.objects(broken.namespace(f"{PROOF}-sealed"), broken.unsealable(f"{PROOF}-sealed")),
        {
            "SealedSecretNotSynced": ("sealed-secrets", {"namespace": f"{PROOF}-sealed", "name": "unsealable"}),
            "SealedSecretUnsealErrors": ("sealed-secrets", {"namespace": f"{PROOF}-sealed"}),
        },
        # A quarter of an hour from the error.
        comes_back=False,
    ),
    "flux": Fault(
        "a Kustomization of a folder that does not exist, and a suspended one",
        outages.objects(*broken.kustomizations(PROOF)),
        {
            "FluxObjectNotReady": ("kube-prometheus-stack", {"name": f"{PROOF}-broken"}),
            "FluxObjectSuspended": ("kube-prometheus-stack", {"name": f"{PROOF}-suspended"}),
        },
    ),
    "prometheus": Fault(
        "a rule that matches many to many, and a monitor that allows one sample",
        outages.bad_rule_and_monitor,
        {
            "PrometheusRuleFailures": ("kube-prometheus-stack", {"rule_group": f".*{PROOF}.*"}),
            "PrometheusScrapeLimitHit": ("kube-prometheus-stack", {}),
        },
        within=240,
        comes_back=False,
    ),
    "pool": Fault(
        "a pool whose only address is taken",
        outages.full_pool,
        {"MetalLBPoolAlmostExhausted": ("metallb", {"pool": PROOF}), "MetalLBPoolExhausted": ("metallb", {"pool": PROOF})},
    ),
    "speaker": Fault("MetalLB's speaker on no node", outages.no_speaker, {"MetalLBNobodyAnnounces": ("metallb", {})}),
    "denied": Fault("180 requests that Kyverno denies", outages.denied, {"KyvernoRequestsDenied": ("kyverno", {"resource_kind": "Service"})}, comes_back=False),
    "old-lines": Fault("lines of a year ago for Loki", outages.old_lines, {"LokiDiscardsSamples": ("loki", {})}, comes_back=False),
    "podinfo": Fault(
        "requests from outside that fail, and some that take three seconds",
        outages.slow_and_failing,
        {
            "IngressNginxErrors": ("ingress-nginx", {"resource_name": "podinfo"}),
            "IngressNginxSlow": ("ingress-nginx", {"resource_name": "podinfo"}),
            "PodinfoErrorBudgetBurnsFast": ("tenant-a", {}),
            "PodinfoErrorBudgetBurns": ("tenant-a", {}),
            "PodinfoSlow": ("tenant-a", {}),
        },
        within=240,
        comes_back=False,
    ),
    "acme": Fault(
        "issuers whose ACME server refuses every request",
        outages.no_directory,
        {"AcmeRequestsRefused": ("cert-manager", {"host": re.escape(ACME_HOST)})},
        comes_back=False,
        long=True,
    ),
    "refused-secrets": Fault(
        "secrets that Vault refuses a tenant, and a connection to it without an authority",
        outages.refused_secrets,
        {
            "VaultClientErrors": ("vault-secrets-operator", {"operation": "read"}),
            "VaultSecretInvalid": ("vault-secrets-operator", {"controller": "vaultconnection", "name": PROOF}),
            "VaultSecretNotReady": ("vault-secrets-operator", {"name": f"{PROOF}-.*"}),
        },
        comes_back=False,
    ),
    "leader": Fault(
        "Vault's leader gives up six times",
        outages.stepped_down,
        {"VaultLeadershipUnstable": ("vault", {})},
        comes_back=False,
        long=True,
    ),
    "ending-soon": Fault(
        "a client of the API server whose certificate ends within the hour",
        outages.ending_soon,
        {"ClientCertificateExpiring": ("kube-prometheus-stack", {})},
        comes_back=False,
        long=True,
    ),
    "crowd": Fault(
        "more connections than nginx may have",
        outages.crowded,
        {"IngressNginxDropsConnections": ("ingress-nginx", {})},
        comes_back=False,
        long=True,
    ),
    "spans": Fault(
        "batches and traces that are too large for Tempo",
        outages.too_many_spans,
        {"OpenTelemetryExportFailing": ("opentelemetry", {"exporter": "otlp_grpc/tempo"}), "TempoDiscardsSpans": ("tempo", {})},
        comes_back=False,
    ),
}
#: What a fault breaks besides what it uses.
BREAKS: Final[Mapping[str, tuple[str, ...]]] = {
    "alertmanager-gone": ("kube-prometheus-stack",),
    "alertmanager-unreachable": ("kube-prometheus-stack",),
    "crowd": ("ingress-nginx",),
    "leader": ("vault",),
    "nothing-scraped": ("kube-prometheus-stack",),
    "pool": ("metallb-config",),
    "speaker": ("metallb", "ingress-nginx"),
    "spans": ("opentelemetry",),
}
USES: Final[Mapping[str, tuple[str, ...]]] = {
    "alertmanager-unreachable": (CLOSED,),
    "acme": ("cert-manager",),
    "denied": ("kyverno", "policies-networking"),
    "nothing-scraped": (CLOSED,),
    "old-lines": ("loki",),
    "podinfo": ("tenant-a", "ingress-nginx"),
    "spans": ("tempo",),
    "refused-secrets": ("tenant-a", "vault", "vault-secrets-operator"),
}
#: Alerts that another proof makes active, and which.
ELSEWHERE: Final = {"VaultNoLeader": "test_a_sealed_vault_is_missed", "VaultSealed": "test_a_sealed_vault_is_missed"}
#: Alerts that no fault of minutes provokes, and why.
REASONS: Final = {
    "AlertmanagerConfigurationInvalid": "the operator gives Alertmanager no configuration that it would refuse",
    "AlertmanagerMembersInconsistent": "this cluster has one replica",
    "ApiServerErrorsHigh": "three of a hundred requests that the API server itself fails at",
    "CertificateRenewalOverdue": "six hours after a renewal that did not come",
    "CoreDnsErrorsHigh": "it is active all the time where no resolver is reached: the receivers of a run are names that do not exist",
    "FluxQueueGrows": "fifty objects that wait for one controller",
    "FluxReconcileSlow": "reconciliations of five minutes",
    "GrafanaDataSourceFailing": "thirty failed queries in five minutes; the health of each data source is proven by itself",
    "GrafanaErrorsHigh": "errors of Grafana itself",
    "IngressNginxReloadErrors": "the controller validates what would fail to load",
    "IngressNginxReloadFailed": "the controller validates what would fail to load",
    "KyvernoAdmissionSlow": "a quarter of an hour of admissions that take two seconds",
    "LokiPanics": "a panic of Loki",
    "LokiRequestErrorsHigh": "errors of Loki itself",
    "LokiRetentionNotRunning": "three hours without a retention",
    "MetalLBConfigStale": "MetalLB's webhook refuses what would make it stale",
    "NodeClockSkewed": "the nodes of kind have the clock of this machine",
    "NodeFilesystemAlmostFull": "the disk of the nodes of kind is that of this machine",
    "NodeFilesystemFillingUp": "the disk of the nodes of kind is that of this machine",
    "NodeMemoryHigh": "the memory of the nodes of kind is that of this machine",
    "NodeNotReady": "a node that is away takes Prometheus with it on a cluster of one node",
    "NodePressure": "the resources of the nodes of kind are those of this machine",
    "OpenTelemetryQueueFull": "four hundred batches that Tempo does not take",
    "OpenTelemetryRefusesData": "a collector at its memory limit",
    "PersistentVolumeAlmostFull": "the volumes of kind do not report their use",
    "PrometheusConfigurationInvalid": "the operator gives Prometheus no configuration that it would refuse",
    "PrometheusStorageFailing": "a disk that fails",
    "PromtailLosesEntries": "lines that are given up after minutes of retries",
    "PromtailRequestErrorsHigh": "a tenth of five minutes' requests to Loki that fail; that nothing is lost then is proven with the logs",
    "TempoCompactionFailing": "a disk that fails",
    "TempoRequestErrorsHigh": "errors of Tempo itself",
    "VaultAuditFailing": "an audit device that fails stops Vault",
    "VaultConfigurationJobFailed": "the Job that configures Vault fails only when Vault is unusable",
    "VaultSnapshotOld": "a day without a snapshot",
}
#: What is broken in every run, so that it cannot be mended: Alertmanager's receivers are names that do not exist.
STANDING: Final = "AlertmanagerNotificationsFailing"
