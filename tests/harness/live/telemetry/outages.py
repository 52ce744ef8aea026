"""What the faults of alerts do: each is a block that leaves the cluster as it found it, after which (or during which) its alerts are active."""

from __future__ import annotations

import base64
import calendar
import contextlib
import http.client
import json
import secrets
import socket
import ssl
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from harness.live import faults
from harness.live.findings import NotEvaluatedError
from harness.live.ground.facts import addresses_of
from harness.live.ingress.edge import Edge
from harness.live.reach.forwards import Client
from harness.live.reach.listener import silent
from harness.live.reach.run import RunError
from harness.live.reach.wait import Waiter, wait
from harness.live.reach.web import WebError
from harness.live.secrets.vault_client import VaultClient
from harness.live.secrets.vault_probe import static_secret
from harness.live.sync.readiness import Key
from harness.live.telemetry import broken
from harness.live.telemetry.alarms import ALWAYS, Flow, cut_off, loaded
from harness.live.telemetry.metrics import NAMESPACE, alertmanager_of, prometheus_of
from harness.live.telemetry.signals import Trace, attributes, begin, span_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.live.bringup import Platform
    from harness.live.reach.kubectl import Kubectl

_POLICY: Final = "networkpolicies.networking.k8s.io"
#: Seconds after which an alert that Prometheus sends every minute no longer arrives.
_SENT: Final = 75
#: Requests that fail, for each that takes three seconds.
_ERRORS: Final = 50
#: Connections that nginx may have while there are too many.
_CONNECTIONS: Final = 64
#: Bytes of a large span, seconds after which the collector hands on what it has, and bytes of an attribute.
_SPAN: Final = 16_000
_BATCH: Final = 3.0
_VALUE: Final = 2_000
_REQUESTS: Final = "certificatesigningrequests.certificates.k8s.io"
#: How many requests with a certificate that ends soon, of all with one in an hour: the alert asks for one of a hundred.
_SHARE: Final = 0.03
#: How often Vault's leader gives up: the alert asks for more than three times, and the first may be no growth.
_STEPS: Final = 6
_TENANT: Final = "tenant-a"
#: What metrics of ACME requests name the server of :func:`no_directory`.
ACME_HOST: Final = "kubernetes.default.svc"
#: What a run makes is called by it, so that what an earlier one left in Prometheus is not taken for it.
PROOF: Final = f"plimsoll-proof-{secrets.token_hex(3)}"


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
def nothing_scraped(platform: Platform) -> Iterator[None]:
    """Prometheus without its way to the targets, but for kube-state-metrics: how many nodes there are is half of what some alerts ask."""
    left = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"{PROOF}-states", "namespace": NAMESPACE},
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


def no_alertmanager(platform: Platform) -> Any:
    kubectl, release = platform.cluster.kubectl, Key("HelmRelease", NAMESPACE, "kube-prometheus-stack")
    return faults.scaled(kubectl, "alertmanagers.monitoring.coreos.com", "kube-prometheus-stack-alertmanager", NAMESPACE, suspending=[release])


def no_speaker(platform: Platform) -> Any:
    kubectl, release = platform.cluster.kubectl, Key("HelmRelease", "metallb-system", "metallb")
    return faults.without_node(kubectl, "daemonsets.apps", "metallb-speaker", "metallb-system", suspending=[release])


def watchdog(platform: Platform) -> Flow:
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


def objects(*bodies: Mapping[str, Any]) -> Callable[[Platform], Any]:
    return lambda platform: faults.applied(platform.cluster.kubectl, *bodies)


def full_pool(platform: Platform) -> Any:
    """A pool of one address that belongs to nobody else's network, and a Service that takes it."""
    pool = {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": {"name": PROOF, "namespace": "metallb-system"},
        "spec": {"addresses": ["192.0.2.1/32"], "autoAssign": False, "serviceAllocation": {"namespaces": [f"{PROOF}-pool"]}},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "one", "namespace": f"{PROOF}-pool", "annotations": {"metallb.io/address-pool": PROOF}},
        "spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False, "externalTrafficPolicy": "Local", "ports": [{"port": 80}]},
    }
    return faults.applied(platform.cluster.kubectl, broken.namespace(f"{PROOF}-pool"), pool, service)


def bad_rule_and_monitor(platform: Platform) -> Any:
    """A rule whose sides match many to many, and a monitor that allows one sample."""
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": PROOF, "namespace": NAMESPACE},
        "spec": {"groups": [{"name": PROOF, "interval": "5s", "rules": [{"record": "plimsoll_proof:alerts", "expr": "up + on () up"}]}]},
    }
    monitor = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": PROOF, "namespace": NAMESPACE},
        "spec": {
            "sampleLimit": 1,
            "endpoints": [{"port": "http-web", "interval": "10s"}],
            "selector": {"matchLabels": {"app": "kube-prometheus-stack-alertmanager"}},
        },
    }
    return loaded(platform.cluster.kubectl, rule, monitor)


@contextmanager
def denied(platform: Platform) -> Iterator[None]:
    """Requests that Kyverno denies."""
    spec = {"type": "ExternalName", "externalName": "nowhere.example.com"}
    names = [f"{PROOF}-{number}" for number in range(60)]
    services = [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec} for name in names]
    for _lot in _lots():
        try:
            platform.cluster.kubectl.apply(services, dry_run=True, timeout=180)
        except RunError as error:
            if "denied the request" in error.stderr:
                continue
            raise
        raise NotEvaluatedError("KyvernoRequestsDenied", "fault", "admission lets a Service of another host's name through")
    yield


@contextmanager
def slow_and_failing(platform: Platform) -> Iterator[None]:
    """Requests to podinfo from outside that fail, and some that take three seconds, over three scrapes."""
    edge, host = Edge.of(platform), f"podinfo.{_domain(platform)}"
    until = time.monotonic() + 75

    def ask() -> bool:
        # Many: on a kept cluster an hour of good requests stands against them.
        for path in (*["/status/500"] * _ERRORS, "/delay/3"):
            edge.ask(host, path, timeout=15)
        return time.monotonic() >= until

    wait(ask, timeout=150, delay=0.5)
    yield


@contextmanager
def old_lines(platform: Platform) -> Iterator[None]:
    """Lines of a year ago, which Loki refuses."""
    client = Client(platform.forwards, "svc/loki", 3100, "loki")
    when = time.time_ns() - 365 * 86400 * 10**9
    lines = [[str(when + number), f"line {number}"] for number in range(600)]
    body = json.dumps({"streams": [{"stream": {"namespace": PROOF, "app": "plimsoll-proof"}, "values": lines}]}).encode()
    for _lot in _lots():
        answer = client.ask("/loki/api/v1/push", method="POST", body=body, headers={"Content-Type": "application/json"})
        if answer.status < 400:
            raise NotEvaluatedError("LokiDiscardsSamples", "fault", "Loki takes lines of a year ago")
    yield


@contextmanager
def crowded(platform: Platform) -> Iterator[None]:
    """More requests that never end than nginx has connections, again and again: its own controller asks it in between."""
    edge = Edge.of(platform)
    until = time.monotonic() + 65

    def crowd() -> bool:
        with ExitStack() as stack:
            for _one in range(2 * _CONNECTIONS):
                # That some are closed at once is the fault.
                with contextlib.suppress(OSError):
                    connection = stack.enter_context(socket.create_connection((edge.address, 80), timeout=5))
                    # One that has said nothing is closed for a new one, and nothing is lost.
                    connection.sendall(b"GET / HTTP/1.1\r\n")
        return time.monotonic() >= until

    with edge.configured({"worker-processes": "1", "worker-connections": str(_CONNECTIONS)}):
        wait(crowd, timeout=180, delay=2.0)
        yield


@contextmanager
def too_many_spans(platform: Platform) -> Iterator[None]:
    """Batches that are larger than what Tempo takes at once, and traces that are larger than what it keeps of one."""
    collector = Client(platform.forwards, "svc/opentelemetry-collector", 4318, "opentelemetry")
    for _lot in _lots(2):
        _hand_over(collector, 300, begin())
        trace = begin()
        for _part in range(3):
            _pause(time.monotonic() + _BATCH)
            _hand_over(collector, 200, trace)
    yield


def _hand_over(collector: Client, count: int, trace: Trace) -> None:
    """Give the collector some large spans of a trace. Raises WebError when it does not take them."""
    # Tempo cuts values at 2 KiB.
    values = {f"plimsoll.proof.{number}": "x" * _VALUE for number in range(_SPAN // _VALUE)}
    spans = [span_of(Trace(trace.trace, secrets.token_hex(8)), "large", values) for _one in range(count)]
    body = {"resourceSpans": [{"resource": {"attributes": attributes({"service.name": PROOF})}, "scopeSpans": [{"spans": spans}]}]}
    collector.json("/v1/traces", method="POST", body=json.dumps(body).encode())


@contextmanager
def stepped_down(platform: Platform) -> Iterator[None]:
    """A Vault whose leader gives up again and again."""
    client = VaultClient.of(platform.cluster.kubectl, platform.forwards)

    def leads() -> bool:
        try:
            return client.ask("GET", "sys/health").status == 200
        except WebError:
            # No way leads to a Service that nobody is behind.
            return False

    with client.operator('path "sys/step-down" { capabilities = ["update", "sudo"] }\n') as operator:
        for _time in range(_STEPS):
            client.good("PUT", "sys/step-down", None, operator)
            wait(leads, timeout=90, delay=1.0, what="Vault to lead again")
    yield


def refused_secrets(platform: Platform) -> Any:
    """Secrets that a tenant's login has no right to, looked for every few seconds, and a connection to Vault whose authority is not there."""
    refused = [static_secret(f"{PROOF}-{number}", _TENANT, f"tenants/{_TENANT}/none") for number in range(10)]
    for body in refused:
        body["spec"] |= {"mount": "sys", "type": "kv-v1"}
    return faults.applied(platform.cluster.kubectl, *refused, broken.vault_connection(PROOF, _TENANT))


@contextmanager
def no_directory(platform: Platform) -> Iterator[None]:
    """Issuers that look for an ACME server where the API server is, which refuses each of their requests."""
    kubectl, space = platform.cluster.kubectl, f"{PROOF}-acme"
    authority = kubectl.json("get", "configmaps", "kube-root-ca.crt", "--namespace=default")["data"]["ca.crt"]
    with ExitStack() as stack:
        stack.enter_context(faults.applied(kubectl, broken.namespace(space)))
        # cert-manager is scraped once a minute.
        for lot in _lots(2, apart=65):
            names = [f"issuer-{lot}-{number}" for number in range(30)]
            stack.enter_context(faults.applied(kubectl, *broken.issuers(space, names, ACME_HOST, authority)))
        yield


@contextmanager
def five_minutes(platform: Platform) -> Iterator[None]:
    """A source whose proxy takes connections and answers none, one without its proxy, a monitor and a ruler that the operator cannot use."""
    if platform.cluster.foreign:
        raise NotEvaluatedError(platform.cluster.wanted.name, "fault", "nobody says that this cluster reaches this machine")
    (node, *_others) = platform.cluster.kubectl.list("nodes")
    with silent(addresses_of(node)[0]) as proxy:
        objects = [broken.monitor(PROOF, NAMESPACE), broken.ruler(PROOF, NAMESPACE), *broken.sources(PROOF, proxy.address, proxy.port)]
        with faults.applied(platform.cluster.kubectl, *objects):
            try:
                yield
            finally:
                # While it is being fetched the source cannot be deleted.
                proxy.hang_up()


@contextmanager
def ending_soon(platform: Platform) -> Iterator[None]:
    """A client whose certificate ends within the hour, and that asks more than two of a hundred questions of the last one."""
    kubectl, prometheus = platform.cluster.kubectl, prometheus_of(platform)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, PROOF)])
    signing = x509.CertificateSigningRequestBuilder(name).sign(key, SHA256()).public_bytes(Encoding.PEM)
    with faults.applied(kubectl, broken.signing_request(PROOF, signing)), tempfile.TemporaryDirectory(prefix="plimsoll-client-") as folder:
        kubectl("certificate", "approve", PROOF)
        issued: Waiter[str] = Waiter(lambda: str(kubectl.json("get", _REQUESTS, PROOF).get("status", {}).get("certificate", "")))
        pem = base64.b64decode(issued.wait(bool, successes=1, timeout=60, what="a client's certificate"))
        pair = Path(folder, "client.pem")
        pair.write_bytes(pem + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (asked,) = prometheus.query("sum(increase(apiserver_client_certificate_expiration_seconds_count[1h]))")
        _ask_as(kubectl, pair, int(asked.value * _SHARE) + 1)
        yield


def _ask_as(kubectl: Kubectl, pair: Path, times: int) -> None:
    """Ask the API server for its version over one connection, with a client's certificate and key. Raises NotEvaluatedError when it is not let in."""
    server = kubectl.server()
    context = ssl.create_default_context(cadata=server.authority)
    context.load_cert_chain(pair)
    with contextlib.closing(http.client.HTTPSConnection(server.host, server.port, timeout=20, context=context)) as connection:
        for _one in range(times):
            connection.request("GET", "/version")
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                raise NotEvaluatedError("ClientCertificateExpiring", "fault", f"the API server answers a client with {response.status}")


def _lots(count: int = 3, *, apart: float = 35) -> Iterator[int]:
    """Some lots, so many seconds apart that each is scraped by itself: a counter's first value is no growth."""
    until = time.monotonic()
    for lot in range(count):
        _pause(until)
        until = time.monotonic() + apart
        yield lot


def _pause(until: float) -> None:
    wait(lambda: time.monotonic() >= until, timeout=120)


def _domain(platform: Platform) -> str:
    variables = platform.world.find("ConfigMap", "flux-system", "cluster-vars")
    return str(variables.get("data", "DOMAIN")) if variables is not None else ""
