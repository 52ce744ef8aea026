"""The table of faults: every entry means something, and what it breaks is admitted and named as it must be."""

from __future__ import annotations

import json
import socket
import ssl
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from harness.live.faults import LABEL
from harness.live.findings import NotEvaluatedError
from harness.live.ingress.acme import own_certificate
from harness.live.reach.kubectl import Server
from harness.live.reach.run import RunError
from harness.live.reach.wait import wait
from harness.live.reach.web import Answer, WebError
from harness.live.telemetry import broken, outages
from harness.live.telemetry.alarms import ALWAYS
from harness.live.telemetry.alert_faults import BREAKS, ELSEWHERE, FAULTS, REASONS, STANDING, USES
from harness.live.telemetry.metrics import Sample
from harness.live.telemetry.outages import without
from unit.live.fakes import Time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def test_each_alert_has_one_place() -> None:
    provoked = [*ELSEWHERE, *(name for fault in FAULTS.values() for name in fault.alerts)]
    assert len(set(provoked)) == len(provoked)
    assert not {*provoked, STANDING, ALWAYS} & REASONS.keys()
    assert BREAKS.keys() | USES.keys() <= FAULTS.keys()


def test_what_is_not_in_git_cannot_be_taken_away() -> None:
    platform = SimpleNamespace(world=SimpleNamespace(find=lambda *_arguments: None))
    with pytest.raises(NotEvaluatedError, match="NetworkPolicy/monitoring/none: fault: the model has no such object"):
        without("none")(platform)  # type: ignore[arg-type]


class Kubectl:
    """Applies and deletes; a dry run is denied with the given words, or let through."""

    def __init__(self, denied: str = "") -> None:
        self.denied = denied
        self.applied: list[dict[str, Any]] = []
        self.tries = 0
        self.when_deleted: Callable[[], object] = lambda: None

    def apply(self, objects: list[dict[str, Any]], *, dry_run: bool = False, timeout: float = 60) -> None:
        assert timeout > 0
        if not dry_run:
            self.applied += objects
            return
        self.tries += 1
        if self.denied:
            raise RunError(["kubectl"], "ended with code 1", code=1, stderr=self.denied)

    def delete(self, _kind: str, name: str, _namespace: str, *, timeout: float) -> None:
        assert timeout > 0
        self.when_deleted()
        self.applied = [each for each in self.applied if each["metadata"]["name"] != name]


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Time()
    monkeypatch.setattr(outages, "time", SimpleNamespace(monotonic=clock.clock.now, time_ns=lambda: 10**18))
    monkeypatch.setattr(outages, "_pause", lambda until: clock.clock.sleep(max(0.0, until - clock.clock.now())))


@pytest.mark.usefixtures("no_waiting")
def test_denied_requests_come_in_three_lots() -> None:
    kubectl = Kubectl('admission webhook "x" denied the request: no')
    with FAULTS["denied"].breaking(SimpleNamespace(cluster=SimpleNamespace(kubectl=kubectl))):  # type: ignore[arg-type]
        assert kubectl.tries == 3


@pytest.mark.usefixtures("no_waiting")
def test_requests_that_are_let_through_prove_nothing() -> None:
    platform: Any = SimpleNamespace(cluster=SimpleNamespace(kubectl=Kubectl()))
    with pytest.raises(NotEvaluatedError, match="lets a Service"), FAULTS["denied"].breaking(platform):
        pass
    platform.cluster.kubectl = Kubectl("connection refused")
    with pytest.raises(RunError), FAULTS["denied"].breaking(platform):
        pass


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("status", [400, 204])
def test_old_lines_must_be_refused(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    sent = []
    monkeypatch.setattr(outages.Client, "ask", lambda _self, path, **more: sent.append((path, len(more["body"]))) or Answer(status))
    with ExitStack() as stack:
        if status == 204:
            stack.enter_context(pytest.raises(NotEvaluatedError, match="Loki takes lines of a year ago"))
        stack.enter_context(FAULTS["old-lines"].breaking(SimpleNamespace(forwards=None)))  # type: ignore[arg-type]
        assert len(sent) == 3
    assert sent[0][0] == "/loki/api/v1/push"


@pytest.mark.parametrize("name", ["certificates", "flux", "pool", "sealed", "refused-secrets", "workloads"])
def test_objects_carry_the_label_of_what_goes_again(name: str) -> None:
    kubectl = Kubectl()
    with FAULTS[name].breaking(SimpleNamespace(cluster=SimpleNamespace(kubectl=kubectl))):  # type: ignore[arg-type]
        assert kubectl.applied
        assert all(each["metadata"]["labels"][LABEL] == "true" for each in kubectl.applied)
        assert all("plimsoll-proof-" in each["metadata"].get("namespace", "") + each["metadata"]["name"] for each in kubectl.applied)
    assert kubectl.applied == []


def test_pods_are_as_the_policies_want_them() -> None:
    for body in broken.workloads("n"):
        template = body["spec"].get("template")
        for container in template["spec"]["containers"] if template else ():
            assert container["resources"]["limits"]["memory"]
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert ("livenessProbe" in container) == (body["kind"] != "Job")


class Cluster:
    """A cluster of one node that takes objects, and whose API server has an authority."""

    foreign = False
    wanted = SimpleNamespace(name="plimsoll")

    def __init__(self, **found: Any) -> None:
        self.kubectl = Kubectl()
        self.kubectl.list = lambda _kind: [{"status": {"addresses": [{"type": "Hostname", "address": "n"}, {"type": "InternalIP", "address": "127.0.0.1"}]}}]  # type: ignore[attr-defined]
        self.kubectl.json = lambda *words: found[words[1]]  # type: ignore[attr-defined]


@pytest.mark.usefixtures("no_waiting")
def test_issuers_look_for_a_directory_at_the_api_server() -> None:
    cluster = Cluster(configmaps={"data": {"ca.crt": "PEM"}})
    with FAULTS["acme"].breaking(SimpleNamespace(cluster=cluster)):  # type: ignore[arg-type]
        (space, *issuers) = cluster.kubectl.applied
        assert {each["metadata"]["namespace"] for each in issuers} == {space["metadata"]["name"]}
        assert {each["spec"]["acme"]["server"] for each in issuers} == {"https://kubernetes.default.svc/no-directory"}
        assert {each["spec"]["acme"]["caBundle"] for each in issuers} == {"UEVN"}
    # More than twenty refusals, also without those that come before the first scrape.
    assert len(issuers) > 2 * 20
    assert cluster.kubectl.applied == []


def hung_up(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.enable_socket
def test_a_source_hangs_at_its_proxy() -> None:
    cluster = Cluster()
    with ExitStack() as stack:
        stack.enter_context(FAULTS["five-minutes"].breaking(SimpleNamespace(cluster=cluster)))  # type: ignore[arg-type]
        secret = next(each for each in cluster.kubectl.applied if each["kind"] == "Secret")
        url = urlsplit(secret["stringData"]["address"])
        with socket.create_connection((str(url.hostname), int(url.port or 0)), timeout=5) as client:
            client.sendall(b"GET http://ghcr.io/v2/ HTTP/1.1\r\n\r\n")
            client.settimeout(0.2)
            with pytest.raises(TimeoutError):
                client.recv(1)
            policy = next(each for each in cluster.kubectl.applied if each["kind"] == "NetworkPolicy")
            assert {"port": url.port, "protocol": "TCP"} in policy["spec"]["egress"][0]["ports"]
            # It hangs up before the source is deleted: nothing is waited for then.
            client.settimeout(5)
            cluster.kubectl.when_deleted = lambda: ended.append(hung_up(client))
            ended: list[bool] = []
            stack.close()
            assert ended
            assert all(ended)
    assert cluster.kubectl.applied == []


def test_a_hanging_source_needs_a_way_to_this_machine() -> None:
    cluster = Cluster()
    cluster.foreign = True
    with pytest.raises(NotEvaluatedError, match="nobody says"), FAULTS["five-minutes"].breaking(SimpleNamespace(cluster=cluster)):  # type: ignore[arg-type]
        pass


@pytest.mark.usefixtures("no_waiting")
def test_batches_and_traces_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[list[dict[str, Any]]] = []

    def take(_self: Any, _path: str, **more: Any) -> None:
        (resource,) = json.loads(more["body"])["resourceSpans"]
        sent.append(resource["scopeSpans"][0]["spans"])

    monkeypatch.setattr(outages.Client, "json", take)
    with FAULTS["spans"].breaking(SimpleNamespace(forwards=None)):  # type: ignore[arg-type]
        pass
    batch, *parts = sent[:4]
    assert len(sent) == 2 * 4
    # What gRPC takes at once (4 MiB); what Tempo keeps of one trace (5 MB in its HelmRelease).
    assert size(batch) > 4 * 2**20 > max(map(size, parts))
    assert sum(map(size, parts)) > 5_000_000
    assert len({span["traceId"] for part in parts for span in part}) == 1
    assert len({span["spanId"] for part in sent for span in part}) == 2 * (300 + 3 * 200)


@pytest.mark.usefixtures("no_waiting")
def test_nginx_gets_more_than_it_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, opened, closed, settings = Time().clock, [], [], []

    class Connection(SimpleNamespace):
        def __enter__(self) -> Connection:
            return self

        def __exit__(self, *_error: object) -> None:
            closed.append(self)

        def sendall(self, text: bytes) -> None:
            # A request that has begun, and does not end.
            assert text.startswith(b"GET ")
            assert not text.endswith(b"\r\n\r\n")
            if len(opened) % 2:
                raise ConnectionResetError

    def connect(address: tuple[str, int], timeout: float) -> Connection:
        assert (address, timeout) == (("192.0.2.7", 80), 5)
        opened.append(address)
        return Connection()

    @contextmanager
    def configured(wanted: dict[str, str]) -> Iterator[None]:
        settings.append(wanted)
        yield
        settings.clear()

    monkeypatch.setattr(outages.Edge, "of", lambda _platform: SimpleNamespace(address="192.0.2.7", configured=configured))
    monkeypatch.setattr(outages, "socket", SimpleNamespace(create_connection=connect))
    monkeypatch.setattr(outages, "time", SimpleNamespace(monotonic=clock.now))
    monkeypatch.setattr(outages, "wait", partial(wait, clock=clock))
    with FAULTS["crowd"].breaking(SimpleNamespace()):  # type: ignore[arg-type]
        (wanted,) = settings
        # Over at least two scrapes of half a minute.
        assert clock.now() >= 60
        assert len(closed) == len(opened) >= 2 * 2 * int(wanted["worker-connections"])
    assert not settings


@pytest.mark.usefixtures("no_waiting")
def test_a_client_asks_more_than_a_hundredth(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[int] = []
    kubectl = Approving()
    monkeypatch.setattr(outages, "prometheus_of", lambda _platform: SimpleNamespace(query=lambda _expression: [Sample({}, 9000.0)]))
    monkeypatch.setattr(outages, "_ask_as", lambda _kubectl, pair, times: asked.append(times) or (tmp_path / "pair").write_bytes(pair.read_bytes()))
    with FAULTS["ending-soon"].breaking(SimpleNamespace(cluster=SimpleNamespace(kubectl=kubectl))):  # type: ignore[arg-type]
        assert 0.02 * 9000 < sum(asked) < 0.04 * 9000
        (request,) = kubectl.applied
        assert request["spec"]["expirationSeconds"] == 3600
        assert kubectl.approved == [request["metadata"]["name"]]
    assert (tmp_path / "pair").read_text().startswith("PEM\n-----BEGIN PRIVATE KEY-----")


def test_vault_leads_again_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    away, stepped = [0], []

    def ask(_method: str, path: str) -> Answer:
        assert path == "sys/health"
        away[0] -= 1
        if away[0] == 1:
            raise WebError("nobody leads")
        return Answer(200 if away[0] <= 0 else 429)

    def good(_method: str, path: str, _body: object, token: str) -> None:
        assert (path, token, away[0] <= 0) == ("sys/step-down", "token", True)
        away[0] = 4
        stepped.append(path)

    client = SimpleNamespace(ask=ask, good=good, operator=lambda policy: nullcontext("token" if "sys/step-down" in policy else ""))
    monkeypatch.setattr(outages.VaultClient, "of", lambda _kubectl, _forwards: client)
    monkeypatch.setattr(outages, "wait", partial(wait, clock=Time().clock))
    with FAULTS["leader"].breaking(SimpleNamespace(cluster=SimpleNamespace(kubectl=None), forwards=None)):  # type: ignore[arg-type]
        # More than three, besides one that may be the first ever.
        assert len(stepped) > 4


class Approving(Kubectl):
    """Approves requests, which are then issued."""

    def __init__(self) -> None:
        super().__init__()
        self.approved: list[str] = []

    def __call__(self, *words: str) -> str:
        assert words[:2] == ("certificate", "approve")
        self.approved.append(words[2])
        return ""

    def json(self, *_words: str) -> dict[str, Any]:
        return {"status": {"certificate": "UEVNCg=="} if self.approved else {}}


@pytest.mark.parametrize("status", [200, 401])
def test_a_client_must_be_let_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int) -> None:
    own = own_certificate("server.example.com", datetime(2026, 11, 1, tzinfo=UTC))
    (tmp_path / "pair").write_text(own.certificate + own.key)
    kubectl: Any = SimpleNamespace(server=lambda: Server("192.0.2.7", 6443, own.certificate))
    asked: list[Any] = []

    class Connection:
        def __init__(self, host: str, port: int, *, timeout: float, context: ssl.SSLContext) -> None:
            assert (host, port, timeout, context.verify_mode) == ("192.0.2.7", 6443, 20, ssl.CERT_REQUIRED)
            self.request = lambda *words: asked.append(words)
            self.getresponse = lambda: SimpleNamespace(status=status, read=lambda: b"{}")
            self.close = lambda: asked.append("closed")

    monkeypatch.setattr(outages.http.client, "HTTPSConnection", Connection)
    with pytest.raises(NotEvaluatedError, match="with 401") if status == 401 else nullcontext():
        outages._ask_as(kubectl, tmp_path / "pair", 3)
    assert asked == [*[("GET", "/version")] * (3 if status == 200 else 1), "closed"]


def size(spans: list[dict[str, Any]]) -> int:
    # Tempo cuts longer values.
    return sum(min(len(each["value"]["stringValue"]), 2048) for span in spans for each in span["attributes"])
