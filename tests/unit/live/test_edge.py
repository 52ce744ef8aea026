"""The ingress from outside, against servers on this machine and a kubectl that answers from a list."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from harness.flux.workspace import Options, Workspace
from harness.live.findings import NotEvaluatedError
from harness.live.ingress import access as edge_access
from harness.live.ingress import hosts as edge_hosts
from harness.live.ingress import probes as edge_probes
from harness.live.ingress.edge import Edge, addresses, issuer_of, load_balancers, policies, rate_of, targets
from harness.live.reach.forwards import basic
from harness.live.reach.kubectl import Kubectl
from harness.live.reach.web import Answer, WebError

from .fakes import Programs, Time
from .test_certificates import make

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.engines.certificates.matrix import Row
    from harness.flux.world import World
    from harness.live.bringup import Platform
    from harness.model import Object

ROOT = Path(__file__).parents[3]
KC = ("kubectl", "--kubeconfig=/k")
WEBHOOK, PROMETHEUS = "flux-webhook.kind.example.com", "prometheus.kind.example.com"


@pytest.fixture(scope="module")
def world() -> World:
    workspace = Workspace(ROOT, Options(clusters=("kind",)))
    return workspace.world(workspace.selected[0])


@pytest.fixture(scope="module")
def rows(world: World) -> dict[str, Row]:
    return edge_hosts.rows(world)


def platform(world: World, programs: Programs | None = None) -> Platform:
    kubectl = Kubectl("kubectl", Path("/k"), runner=programs or Programs())
    return cast("Platform", SimpleNamespace(world=world, cluster=SimpleNamespace(kubectl=kubectl, foreign=True)))


def edge(world: World, programs: Programs | None = None) -> Edge:
    return Edge.of(platform(world, programs))


def policy(world: World, name: str) -> Object:
    found = world.find("Policy.k8s.nginx.org", "monitoring", name)
    assert found is not None
    return found


def test_the_one_load_balancer_of_the_build(world: World) -> None:
    (service,) = load_balancers(world)
    assert edge(world).service is service
    assert edge(world).selector == "app.kubernetes.io/instance=ingress-nginx,app.kubernetes.io/name=nginx-ingress"
    with pytest.raises(NotEvaluatedError, match="0 Services of type LoadBalancer"):
        Edge.of(cast("Platform", SimpleNamespace(world=SimpleNamespace(of=lambda _kind: (), cluster=SimpleNamespace(name="kind")))))


def test_what_answers_for_a_path_comes_from_git(rows: dict[str, Row]) -> None:
    (hook,) = targets(rows[WEBHOOK])
    assert (hook.path, hook.service, hook.status) == ("/hook/", "webhook-receiver", 0)
    assert hook.example.startswith("/hook/")
    assert len(hook.example) > len("/hook/")
    found = [(target.path, target.service, target.status) for target in targets(rows[PROMETHEUS])]
    assert found[-1] == ("/", "kube-prometheus-stack-prometheus", 0)
    assert {status for _path, service, status in found if not service} == {403}
    assert ("/-/", "", 403) in found


def test_policies_before_a_host(world: World, rows: dict[str, Row]) -> None:
    item = rows[PROMETHEUS].listener.item
    assert [found.name for found in policies(world, item, "rateLimit")] == ["operators-rate"]
    assert [found.name for found in policies(world, item, "accessControl")] == ["operators-network"]
    assert list(policies(world, rows[WEBHOOK].listener.item, "rateLimit")) == []
    assert rate_of(policy(world, "operators-rate")) == (20, 40, 429)


@pytest.mark.parametrize(("rate", "found"), [("300r/m", 5.0), ("7r/s", 7.0)])
def test_rates(rate: str, found: float) -> None:
    assert rate_of(cast("Object", SimpleNamespace(spec={"rateLimit": {"rate": rate}}))) == (found, 0, 503)
    with pytest.raises(ValueError, match="is no rate"):
        rate_of(cast("Object", SimpleNamespace(spec={"rateLimit": {"rate": rate[:-1]}})))


def test_the_issuer_of_a_host(world: World, rows: dict[str, Row]) -> None:
    assert issuer_of(world, rows[PROMETHEUS]).name == "platform-ca"
    assert issuer_of(world, rows["alertmanager.kind.example.com"]).name == "vault-pki"
    with pytest.raises(NotEvaluatedError, match="no ClusterIssuer"):
        issuer_of(world, cast("Row", SimpleNamespace(certificate=None, listener=SimpleNamespace(host="a"))))


def test_an_address_or_none(world: World) -> None:
    service = load_balancers(world)[0]
    get = (*KC, "get", "services", service.name, "--namespace=ingress-nginx", "--output=json")
    body = {"status": {"loadBalancer": {"ingress": [{"hostname": "a"}, {"ip": "192.0.2.1"}]}}}
    assert addresses(body) == ["192.0.2.1"]
    assert edge(world, Programs().on(*get, says=body)).address == "192.0.2.1"
    with pytest.raises(NotEvaluatedError, match="the Service has no address"):
        _ = edge(world, Programs().on(*get, says={})).address


def test_a_request_is_found_in_the_log(world: World) -> None:
    here = edge(world)
    logs = (*KC, "logs", "--namespace=ingress-nginx", f"--selector={here.selector}", "--tail=2000", "--since=2m", "--max-log-requests=10")
    lines = ["not agent-1", '{"user_agent": "agent-1"', json.dumps({"user_agent": "agent-1", "status": 200}), json.dumps({"user_agent": "agent-2"})]
    assert edge(world, Programs().on(*logs, says="\n".join(lines))).line("agent-1") == {"user_agent": "agent-1", "status": 200}


def test_a_stranger_needs_a_node_that_can_be_entered(world: World) -> None:
    with pytest.raises(NotEvaluatedError, match="cannot be entered from here"):
        edge(world).stranger(PROMETHEUS)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.count += 1  # type: ignore[attr-defined]
        status = 401 if self.server.count <= 4 else 429  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
        # Without a word, as an old worker of nginx does.
        self.close_connection = self.server.count == 3  # type: ignore[attr-defined]

    def log_message(self, *_arguments: object) -> None:
        pass


@contextmanager
def server(tmp_path: Path, *names: str) -> Iterator[int]:
    own, key = make("server", *names)
    files = tmp_path / "tls.pem"
    files.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + own.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files)
    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        http.count = 0  # type: ignore[attr-defined]
        http.socket = context.wrap_socket(http.socket, server_side=True)
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        try:
            yield http.server_port
        finally:
            http.shutdown()


@pytest.mark.enable_socket
def test_a_flood_goes_on_when_the_connection_is_closed(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = edge(world)
    here.address = "127.0.0.1"
    with server(tmp_path, WEBHOOK) as port:
        real = edge_socket(port)
        monkeypatch.setattr("harness.live.ingress.edge.socket.create_connection", real)
        statuses, seconds = here.flood(WEBHOOK, 6)
    assert statuses == [401, 401, 401, 401, 429, 429]
    assert seconds > 0
    with pytest.raises(WebError, match=f"0 requests to {WEBHOOK} one after the other"):
        here.flood(WEBHOOK, 6)


def edge_socket(port: int) -> Any:
    import socket

    real = socket.create_connection
    return lambda _address, timeout: real(("127.0.0.1", port), timeout)


#: Who has the password; anybody else is a stranger.
USER = basic("plimsoll-proof", "abc")


@dataclass
class Fake:
    """An ingress that answers by (host, path prefix) and logs what it is told; ``kind`` of request first: ``plain`` for port 80."""

    platform: Platform
    answers: dict[str, Answer]
    lines: dict[str, dict[str, Any]] = field(default_factory=dict)
    here: str = "172.18.0.1"
    strange: int = 403
    flooded: tuple[list[int], float] = ([], 1.0)
    service: Object | None = None

    def ask(self, host: str, path: str = "/", *, tls: object = True, headers: Mapping[str, str] | None = None) -> Answer:
        keys = [f"{'plain ' if tls is None else ''}{'user ' if headers == USER else ''}{path}", "plain" if tls is None else "*"]
        for key in keys:
            for known, answer in self.answers.items():
                if key.startswith(known):
                    return answer
        raise WebError(f"{host}{path}: nobody expected it")

    def logged(self, host: str, path: str = "/", *, headers: Mapping[str, str] | None = None) -> tuple[Answer, dict[str, Any]]:
        user = "user " if headers == USER else ""
        line = next((line for known, line in self.lines.items() if f"{user}{path}".startswith(known)), {})
        return self.ask(host, path, headers=headers), line

    def stranger(self, _host: str) -> int:
        return self.strange

    def flood(self, _host: str, _count: int) -> tuple[list[int], float]:
        return self.flooded


def fake(world: World, answers: dict[str, Answer], lines: dict[str, dict[str, Any]] | None = None, **more: Any) -> Edge:
    endpoints = {"items": [{"endpoints": [{"addresses": ["10.0.0.1"]}]}]}
    programs = Programs()
    for namespace, name in (("flux-system", "webhook-receiver"), ("monitoring", "kube-prometheus-stack-prometheus")):
        where = (f"--namespace={namespace}", f"--selector=kubernetes.io/service-name={name}", "--output=json")
        programs.on(*KC, "get", "endpointslices.discovery.k8s.io", *where, says=endpoints)
    return cast("Edge", Fake(platform(world, programs), answers, lines or {}, **more))


OURS = {"resource_namespace": "flux-system", "resource_name": "flux-webhook", "service": "webhook-receiver", "upstream": "10.0.0.1:9292"}


@pytest.mark.parametrize(
    ("line", "other", "said"),
    [
        (OURS, Answer(404), ""),
        ({**OURS, "resource_name": "other"}, Answer(404), "/hook/ is served by flux-system/other"),
        ({**OURS, "service": ""}, Answer(404), "/hook/ is of service nobody, not of webhook-receiver"),
        ({**OURS, "upstream": "10.0.0.2:1, 10.0.0.9:1"}, Answer(404), "/hook/ reached 10.0.0.2:1, 10.0.0.9:1, webhook-receiver is 10.0.0.1"),
        ({**OURS, "upstream": "10.0.0.2:1, 10.0.0.1:1"}, Answer(404), ""),
        (OURS, Answer(200), "a path that is not in Git gets 200 of nginx"),
    ],
)
def test_routes(world: World, rows: dict[str, Row], line: dict[str, Any], other: Answer, said: str) -> None:
    assert edge_probes.routes(fake(world, {"/hook/": Answer(404), "/a-path": other}, {"/hook/": line}), rows[WEBHOOK]) == said


def test_a_route_behind_a_password_is_refused_before_it_reaches_anybody(world: World, rows: dict[str, Row]) -> None:
    line = {"resource_namespace": "monitoring", "resource_name": "prometheus"}
    assert edge_probes.routes(fake(world, {"/": Answer(401)}, {"/": line}), rows[PROMETHEUS]) == ""
    through = {"/": {**line, "upstream": "10.0.0.1:9090"}}
    assert edge_probes.routes(fake(world, {"/": Answer(401)}, through), rows[PROMETHEUS]) == "/ was refused with 401 and reached 10.0.0.1:9090"


SENT = Answer(308, {"location": f"https://{WEBHOOK}/hook/1"})
ELSE = Answer(308, {"location": "https://else"})
KEPT = Answer(404, {"strict-transport-security": "max-age=31536000; includeSubDomains"})


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"plain /hook/": SENT, "/hook/": KEPT}, ""),
        ({"plain /hook/": Answer(404), "/hook/": KEPT}, "a plain request gets 404"),
        (
            {"plain /hook/": Answer(308, {"location": "https://else"}), "/hook/": Answer(200)},
            "a plain request gets 308 to https://else; Strict-Transport-Security of 0 s",
        ),
    ],
)
def test_plain_requests(world: World, rows: dict[str, Row], answers: dict[str, Answer], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda _count: "1")
    assert edge_probes.clear(fake(world, answers), rows[WEBHOOK]) == said


@pytest.mark.parametrize(("header", "seconds"), [("max-age=5", 5), ('Max-Age="7"; preload', 7), ("includeSubDomains", 0), ("", 0), ("max-age=soon", 0)])
def test_max_age(header: str, seconds: int) -> None:
    assert edge_probes.max_age(header) == seconds


def der(*names: str) -> bytes:
    return make("a", *names)[0].public_bytes(Encoding.DER)


def test_a_host_that_nobody_serves(world: World) -> None:
    right = fake(world, {"/": Answer(404, certificate=der("*.example.com"))})
    assert edge_probes.unserved(right, "x", 404, ("*.example.com",)) == ""
    line = {"upstream": "10.0.0.1:80", "resource_name": "web"}
    wrong = fake(world, {"/": Answer(200, certificate=der())}, {"/": line})
    assert edge_probes.unserved(wrong, "x", 404, ("*.example.com",)) == "status 200; a certificate for no name; served by web at 10.0.0.1:80"


def test_names_and_dates_of_a_host(world: World, rows: dict[str, Row], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_probes, "authority_of", lambda _platform, _issuer: "pem")
    said = edge_probes.chain(fake(world, {"/": Answer(404, certificate=der("other.example.com"))}), rows[WEBHOOK])
    assert said.startswith("names other.example.com")
    own = x509.load_der_x509_certificate(der(WEBHOOK))
    monkeypatch.setattr(edge_probes, "datetime", SimpleNamespace(now=lambda _zone: own.not_valid_before_utc))
    assert edge_probes.chain(fake(world, {"/": Answer(404, certificate=der(WEBHOOK))}), rows[WEBHOOK]) == ""


@dataclass
class Versions:
    """Speaks some versions of TLS; asked for another, it fails in some words."""

    speaks: tuple[ssl.TLSVersion, ...]
    words: str = "[SSL: TLSV1_ALERT_PROTOCOL_VERSION] tlsv1 alert protocol version"

    def ask(self, _host: str, *, tls: Any) -> Answer:
        if tls.lowest not in self.speaks:
            raise WebError(self.words)
        return Answer(200, tls=str(tls.lowest.name))


def test_the_floor(rows: dict[str, Row]) -> None:
    new = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    row = rows[WEBHOOK]
    assert edge_probes.floor(cast("Edge", Versions(new)), row) == ""
    assert edge_probes.floor(cast("Edge", Versions((ssl.TLSVersion.TLSv1_1, *new))), row) == "agrees on TLSv1_1"
    assert edge_probes.floor(cast("Edge", Versions(new[1:])), row).startswith("TLSv1.2 is refused")
    with pytest.raises(NotEvaluatedError, match="it cannot be asked for from here: no protocols available"):
        edge_probes.floor(cast("Edge", Versions(new, "no protocols available")), row)


@pytest.mark.parametrize(
    ("statuses", "seconds", "said"),
    [
        ([401] * 55 + [429] * 65, 0.8, ""),
        ([401] * 120, 0.8, "120 of 120 requests within 0.8 s were served, 37 to 59 are declared"),
        ([401] * 9 + [429] * 111, 0.8, "9 of 120 requests within 0.8 s were served, 37 to 59 are declared"),
    ],
)
def test_a_rate(world: World, rows: dict[str, Row], statuses: list[int], seconds: float, said: str) -> None:
    time = Time()
    found = edge_access.limited(
        fake(world, {"/": Answer(401)}, flooded=(statuses, seconds)), rows[PROMETHEUS], policy(world, "operators-rate"), clock=time.clock
    )
    assert found == said
    assert time.slept == [3]


def test_a_rate_that_cannot_be_reached_or_never_ends(world: World, rows: dict[str, Row]) -> None:
    rate = policy(world, "operators-rate")
    with pytest.raises(NotEvaluatedError, match="30 requests a second are sent from here at most, the limit is 20"):
        edge_access.limited(fake(world, {}, flooded=([401] * 120, 4.0)), rows[PROMETHEUS], rate, clock=Time().clock)
    ever = fake(world, {"/": Answer(429)}, flooded=([401] * 50 + [429] * 70, 0.5))
    assert edge_access.limited(ever, rows[PROMETHEUS], rate, clock=Time().clock).startswith("still refused 5 s after the flood")


@pytest.mark.parametrize(
    ("stranger", "known", "said"),
    [(403, 401, ""), (401, 401, "a client of the pods' network gets 401"), (403, 403, "172.18.0.1, which is on the list, gets 403")],
)
def test_an_access_list(world: World, rows: dict[str, Row], stranger: int, known: int, said: str) -> None:
    assert edge_access.refused_stranger(fake(world, {"/": Answer(known)}, strange=stranger), rows[PROMETHEUS]) == said


def test_the_client_in_the_log(world: World, rows: dict[str, Row]) -> None:
    right = {"client": "172.18.0.1", "forwarded_for": edge_access.FORGED}
    assert edge_access.named_client(fake(world, {"/": Answer(404)}, {"/": right}), rows[WEBHOOK]) == ""
    wrong = {"client": edge_access.FORGED, "forwarded_for": ""}
    said = "client 198.51.100.9, the request came from 172.18.0.1; forwarded_for , the request said 198.51.100.9"
    assert edge_access.named_client(fake(world, {"/": Answer(404)}, {"/": wrong}), rows[WEBHOOK]) == said


def test_a_password(world: World, rows: dict[str, Row]) -> None:
    right = {"user /": Answer(200), "user /-/": Answer(403), "user /api/v1/": Answer(403), "/": Answer(401)}
    answers = dict(sorted(right.items(), key=lambda pair: -len(pair[0])))
    line = {"user /": {"upstream": "10.0.0.1:9090"}, "/": {}}

    def said(answers: dict[str, Answer], lines: dict[str, dict[str, Any]]) -> str:
        return edge_access.authenticated(fake(world, answers, lines), rows[PROMETHEUS], "abc")

    assert said(answers, line) == ""
    assert "without a password: status 200 of nginx; with a wrong password: status 200 of nginx" in said({**answers, "/": Answer(200)}, line)
    assert said(answers, {}) == "/ with the password: status 200 of nginx"
    assert "/-/ with the password: status 200, not 403" in said({**answers, "user /-/": Answer(200)}, line)


def test_one_user_more_for_a_while(world: World) -> None:
    login = policy(world, "operators-password")
    before = base64.b64encode(b"operator:{SHA}x").decode()
    where = ("secrets", "operators-htpasswd", "--namespace=monitoring")
    programs = Programs().on(*KC, "get", *where, "--output=json", says={"data": {"htpasswd": before}})
    programs.on(*KC, "patch", *where, "--type=merge", "--patch-file=/dev/stdin")
    with pytest.raises(ZeroDivisionError), edge_access.with_user(Kubectl("kubectl", Path("/k"), runner=programs), login, "abc"):
        raise ZeroDivisionError
    sent = [base64.b64decode(json.loads(text)["data"]["htpasswd"]).decode() for text in programs.stdin if text is not None]
    # printf abc | openssl sha1 -binary | base64
    assert sent == ["operator:{SHA}x\nplimsoll-proof:{SHA}qZk+NkcGgWq6PiVxeFDCbJzQ2J0=\n", "operator:{SHA}x"]


def test_the_host_that_is_broken_is_always_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(edge_hosts, "require", lambda _platform, *systems: asked.append(systems))
    assert edge_hosts.first(platform(world))[1].listener.host == WEBHOOK
    assert edge_hosts.first(platform(world), "VirtualServer", "rateLimit")[1].listener.host == "alertmanager.kind.example.com"
    assert asked == [("flux-receiver",), ("operator-ui-alertmanager",)]
    with pytest.raises(NotEvaluatedError, match="no VirtualServer of the platform serves a host behind a jwt"):
        edge_hosts.first(platform(world), "VirtualServer", "jwt")
