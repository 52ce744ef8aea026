"""Alerts: the one that always fires arrives where it must, and each of the others becomes active when what it is about is broken."""

from __future__ import annotations

import calendar
import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from harness.live import broken, faults
from harness.live.alarms import Provocation, Wanted, cut_off, loaded, notified, provoke, receivers_of, receiving, tables_unlike
from harness.live.findings import NotEvaluatedError, expect
from harness.live.listener import listening
from harness.live.metrics import NAMESPACE, alertmanager_of, prometheus_of, unready
from harness.live.readiness import Key
from harness.live.rules_metrics import DELIVERED, TABLE, WATCHDOG
from harness.live.run import RunError
from harness.live.wait import wait
from harness.live.web import Tls, WebError, request
from harness.rules.obs_alerts import alerts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.live.bringup import Platform
    from harness.live.cluster import Cluster
    from harness.live.kubectl import Kubectl

pytestmark = pytest.mark.proof(uses=("kube-prometheus-stack-config",))
_POLICY = "networkpolicies.networking.k8s.io"
#: Seconds after which an alert that Prometheus sends every minute no longer arrives.
_SENT = 75
#: What a run makes is called by it, so that what an earlier one left in Prometheus is not taken for it.
_PROOF = f"plimsoll-proof-{secrets.token_hex(3)}"


@dataclass(frozen=True)
class Fault:
    """What is done, to which systems, and the alerts that it must make active: each with the Kustomization that it is about and labels to know it by."""

    what: str
    breaking: Callable[[Platform], Any]
    alerts: Mapping[str, tuple[str, Mapping[str, str]]]
    within: float = 180
    comes_back: bool = True


def _without(name: str, namespace: str = NAMESPACE) -> Callable[[Platform], Any]:
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
    with faults.applied(platform.cluster.kubectl, left), _without("allow-prometheus-to-scrape-targets")(platform):
        yield


def _no_alertmanager(platform: Platform) -> Any:
    kubectl, release = platform.cluster.kubectl, Key("HelmRelease", NAMESPACE, "kube-prometheus-stack")
    return faults.scaled(kubectl, "alertmanagers.monitoring.coreos.com", "kube-prometheus-stack-alertmanager", NAMESPACE, suspending=[release])


def _no_speaker(platform: Platform) -> Any:
    kubectl, release = platform.cluster.kubectl, Key("HelmRelease", "metallb-system", "metallb")
    nowhere = {"spec": {"template": {"spec": {"nodeSelector": {"plimsoll.example.com/nowhere": "true"}}}}}
    return faults.patched(kubectl, "daemonsets.apps", "metallb-speaker", "metallb-system", nowhere, suspending=[release])


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
        wait(lambda until=until: time.monotonic() >= until, timeout=60)
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
        for path in ("/status/500", "/status/500", "/delay/3", "/status/500"):
            request((address, 443), host, path, tls=Tls(), timeout=15)
        return time.monotonic() >= until

    wait(ask, timeout=150, delay=0.5)
    yield


#: Removed egress of Prometheus: whatever has no target that is up, at the same time.
SCRAPED = {
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
_OWN = {"namespace": _PROOF}
FAULTS = {
    "nothing-scraped": Fault(
        "Prometheus may not reach its targets (NetworkPolicy allow-prometheus-to-scrape-targets deleted)",
        _nothing_scraped,
        {**{name: (system, {}) for name, system in SCRAPED.items()}, "TargetDown": ("cert-manager", {"namespace": "cert-manager"})},
    ),
    "alertmanager-unreachable": Fault(
        "Alertmanager may not be reached (NetworkPolicy allow-prometheus-to-alertmanager deleted)",
        _without("allow-prometheus-to-alertmanager"),
        {"AlertmanagerDown": ("kube-prometheus-stack", {}), "PrometheusNotificationsDropped": ("kube-prometheus-stack", {})},
        comes_back=False,
    ),
    "alertmanager-gone": Fault("Alertmanager scaled to 0", _no_alertmanager, {"PrometheusCannotAlert": ("kube-prometheus-stack", {})}),
    "workloads": Fault(
        "workloads without an image, with a wrong option, with too little memory; a failing Job; a full quota",
        _objects(broken.namespace(_PROOF), broken.account(_PROOF), *broken.workloads(_PROOF)),
        {
            "ContainerOutOfMemory": ("kube-prometheus-stack", _OWN),
            "DaemonSetPodsMissing": ("kube-prometheus-stack", _OWN),
            "DeploymentReplicasMissing": ("kube-prometheus-stack", _OWN),
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
BREAKS = {
    "alertmanager-gone": ("kube-prometheus-stack",),
    "alertmanager-unreachable": ("kube-prometheus-stack",),
    "nothing-scraped": ("kube-prometheus-stack",),
    "pool": ("metallb-config",),
    "speaker": ("metallb", "ingress-nginx"),
}
USES = {"podinfo": ("tenant-a", "ingress-nginx"), "denied": ("kyverno", "policies-networking")}
#: Alerts that no fault of minutes provokes, or that are proven elsewhere, and why.
REASONS = {
    "AcmeRequestsRefused": "twenty refusals of an ACME server within an hour",
    "AlertmanagerConfigurationInvalid": "the operator gives Alertmanager no configuration that it would refuse",
    "AlertmanagerMembersInconsistent": "this cluster has one replica",
    "AlertmanagerNotificationsFailing": "it is active all the time: the receivers of a run are names that do not exist",
    "ApiServerErrorsHigh": "three of a hundred requests that the API server itself fails at",
    "CertificateRenewalOverdue": "six hours after a renewal that did not come",
    "ClientCertificateExpiring": "a hundredth of all requests of an hour with a certificate that ends within a week",
    "CoreDnsErrorsHigh": "it is active all the time where no resolver is reached: the receivers of a run are names that do not exist",
    "FluxQueueGrows": "fifty objects that wait for one controller",
    "FluxReconcileErrors": "Flux counts only what it did not expect: what it cannot build or apply is FluxObjectNotReady's",
    "FluxReconcileSlow": "reconciliations of five minutes",
    "GrafanaDataSourceFailing": "thirty failed queries in five minutes; the health of each data source is proven by itself",
    "GrafanaErrorsHigh": "errors of Grafana itself",
    "HorizontalPodAutoscalerAtMaximum": "a cluster of kind has no metrics to scale by",
    "IngressNginxDropsConnections": "more connections than a worker may have",
    "IngressNginxReloadErrors": "the controller validates what would fail to load",
    "IngressNginxReloadFailed": "the controller validates what would fail to load",
    "KyvernoAdmissionSlow": "a quarter of an hour of admissions that take two seconds",
    "LokiDiscardsSamples": "lines that Loki refuses, more than one a second, for five minutes",
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
_ALWAYS = "Watchdog"


def test_every_alert_is_in_the_table(platform: Platform) -> None:
    provoked = [name for fault in FAULTS.values() for name in fault.alerts]
    wrong = tables_unlike((rule.name for rule in alerts(platform.world)), [*provoked, _ALWAYS], REASONS)
    expect(TABLE, platform.world.cluster.name, not wrong, found="; ".join(wrong), expected="each alert once")


@pytest.mark.parametrize("alert", sorted(REASONS))
def test_alert_that_is_not_provoked(alert: str) -> None:
    raise NotEvaluatedError(alert, "provoked by a real fault", REASONS[alert])


@pytest.mark.parametrize(
    "name", [pytest.param(name, id=name, marks=pytest.mark.proof(uses=USES.get(name, ()), breaks=BREAKS.get(name, ()), seconds=900)) for name in FAULTS]
)
def test_fault_makes_its_alerts_active(platform: Platform, name: str) -> None:
    fault, why, prometheus = FAULTS[name], unready(platform), prometheus_of(platform)
    wanted = []
    for alert, (system, labels) in fault.alerts.items():
        if why(system):
            platform.left_open(alert, "provoked by a real fault", f"{system} is not there: {why(system)}"[:200])
        else:
            wanted.append(Wanted(alert, labels))
    if not wanted:
        raise NotEvaluatedError(", ".join(fault.alerts), "provoked by a real fault", "what they are about is not there")
    provocation = Provocation(wanted, prometheus.alerts)
    provoke(platform, fault.what, fault.breaking(platform), provocation, within=fault.within, comes_back=fault.comes_back)


@pytest.mark.proof(uses=("kube-prometheus-stack",), seconds=600)
def test_alerts_reach_the_receivers_of_their_routes(platform: Platform, cluster: Cluster, kubectl: Kubectl) -> None:
    if cluster.foreign:
        raise NotEvaluatedError(_ALWAYS, "test receiver", "its receivers' addresses are not changed on a cluster that is not of this run")
    nodes = [entry["address"] for node in kubectl.list("nodes") for entry in node["status"]["addresses"] if entry["type"] == "InternalIP"]
    model = receivers_of(platform.world)
    with listening(nodes[0]) as listener:
        try:
            cluster.docker("exec", f"{cluster.wanted.name}-control-plane", "curl", "-sf", "--max-time", "5", f"{listener.url}/")
        except RunError as error:
            raise NotEvaluatedError(_ALWAYS, "test receiver", f"the nodes do not reach this machine at {listener.url}") from error
        with receiving(kubectl, listener):
            wait(
                lambda: _ALWAYS in dict(notified(listener)), timeout=330, what=f"{_ALWAYS} at its receiver", status=lambda: f"{len(listener.got)} notifications"
            )
        came = set(notified(listener))
    expect(WATCHDOG, _ALWAYS, (_ALWAYS, "watchdog") in came, found=f"came for {sorted(came)}", expected="the receiver watchdog")
    wrong = sorted(f"{alert} for {receiver}, in the model {', '.join(sorted(model[alert])) or 'nobody'}" for alert, receiver in came
                   if alert in model and receiver not in model[alert])  # fmt: skip
    expect(DELIVERED, platform.world.cluster.name, not wrong, found="; ".join(wrong), expected="the receivers of the model")


@pytest.mark.proof(breaks=("kube-prometheus-stack",), seconds=600)
def test_watchdog_reaches_alertmanager(platform: Platform) -> None:
    client = alertmanager_of(platform)

    def probe() -> str:
        try:
            found = client.json("/api/v2/alerts", {"filter": f'alertname="{_ALWAYS}"'})
        except WebError as error:
            return str(error)
        sent = [calendar.timegm(time.strptime(entry["updatedAt"][:19], "%Y-%m-%dT%H:%M:%S")) for entry in found]
        late = time.time() - max(sent, default=0.0)
        return "" if late <= _SENT else f"{_ALWAYS} came last {late:.0f} s ago" if sent else f"Alertmanager has no {_ALWAYS}"

    fault = "NetworkPolicy allow-prometheus-to-alertmanager deleted"
    platform.red("Prometheus -> Alertmanager", fault, _without("allow-prometheus-to-alertmanager")(platform), probe, broken_within=150, mended_within=150)


def _address(platform: Platform) -> str:
    """The address at which the ingress controller is reached from outside."""
    for service in platform.cluster.kubectl.list("services", namespace="ingress-nginx"):
        for entry in service["status"].get("loadBalancer", {}).get("ingress") or ():
            return str(entry["ip"])
    raise NotEvaluatedError("ingress-nginx", "requests from outside", "no Service of it has an address")


def _domain(platform: Platform) -> str:
    variables = platform.world.find("ConfigMap", "flux-system", "cluster-vars")
    return str(variables.get("data", "DOMAIN")) if variables is not None else ""
