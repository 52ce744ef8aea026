"""The alerts of the platform and the faults that make them active; for each of the others, why none does within minutes."""

from __future__ import annotations

import calendar
import json
import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.live import faults
from harness.live.findings import NotEvaluatedError
from harness.live.proofs import CLOSED
from harness.live.reach.forwards import Client
from harness.live.reach.run import RunError
from harness.live.reach.wait import wait
from harness.live.reach.web import Tls, WebError, request
from harness.live.sync.readiness import Key
from harness.live.telemetry import broken
from harness.live.telemetry.alarms import Flow, cut_off, loaded
from harness.live.telemetry.metrics import NAMESPACE, alertmanager_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.live.bringup import Platform

_POLICY: Final = "networkpolicies.networking.k8s.io"
#: Seconds after which an alert that Prometheus sends every minute no longer arrives.
_SENT: Final = 75
#: Requests that fail, for each that takes three seconds.
_ERRORS: Final = 50
#: What a run makes is called by it, so that what an earlier one left in Prometheus is not taken for it.
_PROOF: Final = f"plimsoll-proof-{secrets.token_hex(3)}"


@dataclass(frozen=True)
class Fault:
    """What is done, to which systems, and the alerts that it must make active: each with the Kustomization that it is about and labels to know it by."""

    what: str
    breaking: Callable[[Platform], Any]
    alerts: Mapping[str, tuple[str, Mapping[str, str]]]
    within: float = 180
    comes_back: bool = True
    flow: Callable[[Platform], Flow] | None = None
    """What it breaks as well, proven with it."""


def without(name: str, namespace: str = NAMESPACE) -> Callable[[Platform], Any]:
    """Prometheus without one NetworkPolicy of the platform."""

    def breaking(platform: Platform) -> Any:
        item = platform.world.find("NetworkPolicy.networking.k8s.io", namespace, name)
        if item is None:
            raise NotEvaluatedError(f"NetworkPolicy/{namespace}/{name}", "fault", "the model has no such object")
        gone = faults.deleted(platform.cluster.kubectl, _POLICY, name, namespace, suspending=faults.maker(item))
        return cut_off(platform.cluster, gone)

    return breaking


@contextmanager
def _nothing_scraped(platform: Platform) -> Iterator[None]:
    """Prometheus without its way to the targets, but for kube-state-metrics: how many nodes there are is half of what some alerts ask."""
    left = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"{_PROOF}-states", "namespace": NAMESPACE},
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
            "policyTypes": ["Egress"],
            "egress": [
                {"to": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "kube-state-metrics"}}}], "ports": [{"port": 8080, "protocol": "TCP"}]}
            ],
        },
    }
    with faults.applied(platform.cluster.kubectl, left), without("allow-prometheus-to-scrape-targets")(platform):
        yield


def _no_alertmanager(platform: Platform) -> Any:
    kubectl, release = platform.cluster.kubectl, Key("HelmRelease", NAMESPACE, "kube-prometheus-stack")
    return faults.scaled(kubectl, "alertmanagers.monitoring.coreos.com", "kube-prometheus-stack-alertmanager", NAMESPACE, suspending=[release])


def _no_speaker(platform: Platform) -> Any:
    kubectl, release = platform.cluster.kubectl, Key("HelmRelease", "metallb-system", "metallb")
    return faults.without_node(kubectl, "daemonsets.apps", "metallb-speaker", "metallb-system", suspending=[release])


def _watchdog(platform: Platform) -> Flow:
    """The alert that always fires comes to Alertmanager every minute."""
    client = alertmanager_of(platform)

    def probe() -> str:
        try:
            found = client.json("/api/v2/alerts", {"filter": f'alertname="{ALWAYS}"'})
        except WebError as error:
            return str(error)
        sent = [calendar.timegm(time.strptime(entry["updatedAt"][:19], "%Y-%m-%dT%H:%M:%S")) for entry in found]
        late = time.time() - max(sent, default=0.0)
        return "" if late <= _SENT else f"{ALWAYS} came last {late:.0f} s ago" if sent else f"Alertmanager has no {ALWAYS}"

    return Flow("Prometheus -> Alertmanager", probe)


def _objects(*bodies: Mapping[str, Any]) -> Callable[[Platform], Any]:
    return lambda platform: faults.applied(platform.cluster.kubectl, *bodies)


def _full_pool(_platform: Platform) -> Any:
    """A pool of one address that belongs to nobody else's network, and a Service that takes it."""
    pool = {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": {"name": _PROOF, "namespace": "metallb-system"},
        "spec": {"addresses": ["192.0.2.1/32"], "autoAssign": False, "serviceAllocation": {"namespaces": [f"{_PROOF}-pool"]}},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "one", "namespace": f"{_PROOF}-pool", "annotations": {"metallb.io/address-pool": _PROOF}},
        "spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False, "externalTrafficPolicy": "Local", "ports": [{"port": 80}]},
    }
    return faults.applied(_platform.cluster.kubectl, broken.namespace(f"{_PROOF}-pool"), pool, service)


def _bad_rule_and_monitor(platform: Platform) -> Any:
    """A rule whose sides match many to many, and a monitor that allows one sample."""
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": _PROOF, "namespace": NAMESPACE},
        "spec": {"groups": [{"name": _PROOF, "interval": "5s", "rules": [{"record": "plimsoll_proof:alerts", "expr": "up + on () up"}]}]},
    }
    monitor = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": _PROOF, "namespace": NAMESPACE},
        "spec": {
            "sampleLimit": 1,
            "endpoints": [{"port": "http-web", "interval": "10s"}],
            "selector": {"matchLabels": {"app": "kube-prometheus-stack-alertmanager"}},
        },
    }
    return loaded(platform.cluster.kubectl, rule, monitor)


@contextmanager
def _denied(platform: Platform) -> Iterator[None]:
    """Requests that Kyverno denies, three times a lot of them: the counter's first value is no growth."""
    spec = {"type": "ExternalName", "externalName": "nowhere.example.com"}
    names = [f"{_PROOF}-{number}" for number in range(60)]
    services = [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec} for name in names]
    until = time.monotonic()
    for _lot in range(3):
        _pause(until)
        until = time.monotonic() + 35
        try:
            platform.cluster.kubectl.apply(services, dry_run=True, timeout=180)
        except RunError as error:
            if "denied the request" in error.stderr:
                continue
            raise
        raise NotEvaluatedError("KyvernoRequestsDenied", "fault", "admission lets a Service of another host's name through")
    yield


@contextmanager
def _slow_and_failing(platform: Platform) -> Iterator[None]:
    """Requests to podinfo from outside that fail, and some that take three seconds, over three scrapes."""
    address = _address(platform)
    host = f"podinfo.{_domain(platform)}"
    until = time.monotonic() + 75

    def ask() -> bool:
        # Many: on a kept cluster an hour of good requests stands against them.
        for path in (*["/status/500"] * _ERRORS, "/delay/3"):
            request((address, 443), host, path, tls=Tls(), timeout=15)
        return time.monotonic() >= until

    wait(ask, timeout=150, delay=0.5)
    yield


@contextmanager
def _old_lines(platform: Platform) -> Iterator[None]:
    """Lines of a year ago, which Loki refuses, three times a lot of them."""
    client = Client(platform.forwards, "svc/loki", 3100, "loki")
    when = time.time_ns() - 365 * 86400 * 10**9
    lines = [[str(when + number), f"line {number}"] for number in range(600)]
    body = json.dumps({"streams": [{"stream": {"namespace": _PROOF, "app": "plimsoll-proof"}, "values": lines}]}).encode()
    until = time.monotonic()
    for _lot in range(3):
        _pause(until)
        until = time.monotonic() + 35
        answer = client.ask("/loki/api/v1/push", method="POST", body=body, headers={"Content-Type": "application/json"})
        if answer.status < 400:
            raise NotEvaluatedError("LokiDiscardsSamples", "fault", "Loki takes lines of a year ago")
    yield


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
_OWN: Final = {"namespace": _PROOF}
FAULTS: Final[Mapping[str, Fault]] = {
    "nothing-scraped": Fault(
        "Prometheus may not reach its targets (NetworkPolicy allow-prometheus-to-scrape-targets deleted)",
        _nothing_scraped,
        {**{name: (system, {}) for name, system in SCRAPED.items()}, "TargetDown": ("cert-manager", {"namespace": "cert-manager"})},
    ),
    "alertmanager-unreachable": Fault(
        "Alertmanager may not be reached (NetworkPolicy allow-prometheus-to-alertmanager deleted)",
        without("allow-prometheus-to-alertmanager"),
        {"AlertmanagerDown": ("kube-prometheus-stack", {}), "PrometheusNotificationsDropped": ("kube-prometheus-stack", {})},
        comes_back=False,
        flow=_watchdog,
    ),
    "alertmanager-gone": Fault("Alertmanager scaled to 0", _no_alertmanager, {"PrometheusCannotAlert": ("kube-prometheus-stack", {})}),
    "workloads": Fault(
        "workloads without an image, with a wrong option, with too little memory, at their most replicas; a failing Job; a full quota",
        _objects(broken.namespace(_PROOF), broken.account(_PROOF), *broken.workloads(_PROOF)),
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
        _objects(broken.namespace(f"{_PROOF}-tls"), *broken.certificates(f"{_PROOF}-tls")),
        {
            "CertificateExpiresNow": ("cert-manager", {"namespace": f"{_PROOF}-tls"}),
            "CertificateExpiresSoon": ("cert-manager", {"namespace": f"{_PROOF}-tls"}),
            "CertificateNotReady": ("cert-manager", {"namespace": f"{_PROOF}-tls"}),
            "ClusterIssuerNotReady": ("cert-manager", {"name": f"{_PROOF}-tls"}),
        },
    ),
    "sealed": Fault(
        "a SealedSecret that no key opens",
        _objects(broken.namespace(f"{_PROOF}-sealed"), broken.unsealable(f"{_PROOF}-sealed")),
        {
            "SealedSecretNotSynced": ("sealed-secrets", {"namespace": f"{_PROOF}-sealed", "name": "unsealable"}),
            "SealedSecretUnsealErrors": ("sealed-secrets", {"namespace": f"{_PROOF}-sealed"}),
        },
        # A quarter of an hour from the error.
        comes_back=False,
    ),
    "flux": Fault(
        "a Kustomization of a folder that does not exist, and a suspended one",
        _objects(*broken.kustomizations(_PROOF)),
        {
            "FluxObjectNotReady": ("kube-prometheus-stack", {"name": f"{_PROOF}-broken"}),
            "FluxObjectSuspended": ("kube-prometheus-stack", {"name": f"{_PROOF}-suspended"}),
        },
    ),
    "prometheus": Fault(
        "a rule that matches many to many, and a monitor that allows one sample",
        _bad_rule_and_monitor,
        {
            "PrometheusRuleFailures": ("kube-prometheus-stack", {"rule_group": f".*{_PROOF}.*"}),
            "PrometheusScrapeLimitHit": ("kube-prometheus-stack", {}),
        },
        within=240,
        comes_back=False,
    ),
    "pool": Fault(
        "a pool whose only address is taken",
        _full_pool,
        {"MetalLBPoolAlmostExhausted": ("metallb", {"pool": _PROOF}), "MetalLBPoolExhausted": ("metallb", {"pool": _PROOF})},
    ),
    "speaker": Fault("MetalLB's speaker on no node", _no_speaker, {"MetalLBNobodyAnnounces": ("metallb", {})}),
    "denied": Fault("180 requests that Kyverno denies", _denied, {"KyvernoRequestsDenied": ("kyverno", {"resource_kind": "Service"})}, comes_back=False),
    "old-lines": Fault("lines of a year ago for Loki", _old_lines, {"LokiDiscardsSamples": ("loki", {})}, comes_back=False),
    "podinfo": Fault(
        "requests from outside that fail, and some that take three seconds",
        _slow_and_failing,
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
}
#: What a fault breaks besides what it uses.
BREAKS: Final[Mapping[str, tuple[str, ...]]] = {
    "alertmanager-gone": ("kube-prometheus-stack",),
    "alertmanager-unreachable": ("kube-prometheus-stack",),
    "nothing-scraped": ("kube-prometheus-stack",),
    "pool": ("metallb-config",),
    "speaker": ("metallb", "ingress-nginx"),
}
USES: Final[Mapping[str, tuple[str, ...]]] = {
    "alertmanager-unreachable": (CLOSED,),
    "denied": ("kyverno", "policies-networking"),
    "nothing-scraped": (CLOSED,),
    "old-lines": ("loki",),
    "podinfo": ("tenant-a", "ingress-nginx"),
}
#: Alerts that no fault of minutes provokes, or that are proven elsewhere, and why.
REASONS: Final = {
    "AcmeRequestsRefused": "twenty refusals of an ACME server within an hour",
    "AlertmanagerConfigurationInvalid": "the operator gives Alertmanager no configuration that it would refuse",
    "AlertmanagerMembersInconsistent": "this cluster has one replica",
    "ApiServerErrorsHigh": "three of a hundred requests that the API server itself fails at",
    "CertificateRenewalOverdue": "six hours after a renewal that did not come",
    "ClientCertificateExpiring": "a hundredth of all requests of an hour with a certificate that ends within a week",
    "CoreDnsErrorsHigh": "it is active all the time where no resolver is reached: the receivers of a run are names that do not exist",
    "FluxQueueGrows": "fifty objects that wait for one controller",
    "FluxReconcileErrors": "Flux counts only what it did not expect: what it cannot build or apply is FluxObjectNotReady's",
    "FluxReconcileSlow": "reconciliations of five minutes",
    "FluxSourceStuck": "a fetch that hangs for five minutes",
    "GrafanaDataSourceFailing": "thirty failed queries in five minutes; the health of each data source is proven by itself",
    "GrafanaErrorsHigh": "errors of Grafana itself",
    "IngressNginxDropsConnections": "more connections than a worker may have",
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
    "OpenTelemetryExportFailing": "five minutes of retries come before a failure",
    "OpenTelemetryQueueFull": "four hundred batches that Tempo does not take",
    "OpenTelemetryRefusesData": "a collector at its memory limit",
    "PersistentVolumeAlmostFull": "the volumes of kind do not report their use",
    "PrometheusConfigurationInvalid": "the operator gives Prometheus no configuration that it would refuse",
    "PrometheusOperatorErrors": "a tenth of the operator's work that fails for a quarter of an hour",
    "PrometheusOperatorRejectsResources": "five minutes of a monitor that the operator refuses come before it is pending",
    "PrometheusStorageFailing": "a disk that fails",
    "PromtailLosesEntries": "lines that are given up after minutes of retries",
    "PromtailRequestErrorsHigh": "a tenth of five minutes' requests to Loki that fail; that nothing is lost then is proven with the logs",
    "TempoCompactionFailing": "a disk that fails",
    "TempoDiscardsSpans": "spans beyond Tempo's limits, more than one a second",
    "TempoRequestErrorsHigh": "errors of Tempo itself",
    "VaultAuditFailing": "an audit device that fails stops Vault",
    "VaultClientErrors": "requests to Vault that fail for minutes",
    "VaultConfigurationJobFailed": "the Job that configures Vault fails only when Vault is unusable",
    "VaultLeadershipUnstable": "more than three lost leaderships within an hour",
    "VaultNoLeader": "it is that of the sealed Vault's proof",
    "VaultSealed": "it is that of the sealed Vault's proof",
    "VaultSecretInvalid": "it is that of the proofs of Vault's secrets",
    "VaultSecretSyncErrors": "a tenth of ten minutes' reconciliations that fail",
    "VaultSnapshotOld": "a day without a snapshot",
}
#: What is broken in every run, so that it cannot be mended: Alertmanager's receivers are names that do not exist.
STANDING: Final = "AlertmanagerNotificationsFailing"
ALWAYS: Final = "Watchdog"


def _pause(until: float) -> None:
    wait(lambda: time.monotonic() >= until, timeout=60)


def _address(platform: Platform) -> str:
    """The address at which the ingress controller is reached from outside."""
    for service in platform.cluster.kubectl.list("services", namespace="ingress-nginx"):
        for entry in service["status"].get("loadBalancer", {}).get("ingress") or ():
            return str(entry["ip"])
    raise NotEvaluatedError("ingress-nginx", "requests from outside", "no Service of it has an address")


def _domain(platform: Platform) -> str:
    variables = platform.world.find("ConfigMap", "flux-system", "cluster-vars")
    return str(variables.get("data", "DOMAIN")) if variables is not None else ""
