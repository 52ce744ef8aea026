"""HTTP and TLS against servers of this machine: what is sent, what is seen, and what is said when nothing comes."""

from __future__ import annotations

import datetime as dt
import http.server
import ssl
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from harness.live.reach.forwards import Client, Forwards, basic
from harness.live.reach.run import RunError
from harness.live.reach.web import Answer, Tls, WebError, request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.enable_socket
HOST = "podinfo.kind.example.com"


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        text = f"{self.command} {self.path} {self.headers.get('Host')} {self.headers.get('traceparent', '-')}".encode()
        self.seen.append(text.decode())
        self.send_response(302 if self.path == "/moved" else 200)
        self.send_header("X-Who", "echo")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET  # noqa: N815 - the name is http.server's

    def log_message(self, *_arguments: object) -> None:
        """Say nothing on the terminal."""


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A key with its certificate in one file, and the certificate alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem = made.public_bytes(serialization.Encoding.PEM)
    path.write_bytes(private + pem)
    return path, pem.decode()


def context_of(path: Path, *, lowest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    context.minimum_version = lowest
    return context


def test_plain_http_names_the_host_and_follows_nothing() -> None:
    with serving() as port:
        answer = request(("127.0.0.1", port), HOST, "/moved", headers={"traceparent": "00-1"})
    assert (answer.status, answer.text, answer.tls) == (302, f"GET /moved {HOST} 00-1", "")
    assert answer.headers["x-who"] == "echo"


def test_tls_shows_version_and_certificate(certificate: tuple[Path, str]) -> None:
    path, pem = certificate
    with serving(context_of(path)) as port:
        answer = request(("127.0.0.1", port), HOST, tls=Tls(authority=pem))
    assert answer.tls == "TLSv1.3"
    assert ssl.DER_cert_to_PEM_cert(answer.certificate).strip() == pem.strip()


def test_a_version_below_the_floor_is_refused(certificate: tuple[Path, str]) -> None:
    path, _pem = certificate
    with serving(context_of(path, lowest=ssl.TLSVersion.TLSv1_3)) as port:
        assert request(("127.0.0.1", port), HOST, tls=Tls()).status == 200
        with pytest.raises(WebError, match="SSLError"):
            request(("127.0.0.1", port), HOST, tls=Tls(highest=ssl.TLSVersion.TLSv1_2))


@pytest.mark.parametrize(("name", "trusted"), [("other.example.com", True), (None, False)], ids=["other-name", "other-authority"])
def test_a_certificate_that_is_not_the_hosts_is_refused(certificate: tuple[Path, str], name: str | None, trusted: bool) -> None:
    path, pem = certificate
    authority = pem if trusted else other_authority()
    with serving(context_of(path)) as port, pytest.raises(WebError, match="SSLCertVerificationError"):
        request(("127.0.0.1", port), HOST, tls=Tls(authority=authority, name=name))


def other_authority() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "other")])
    now = dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(2)
    signed = made.not_valid_before(now).not_valid_after(now + dt.timedelta(days=1)).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def test_nobody_there_is_one_error_with_the_address() -> None:
    with serving() as port:
        pass
    with pytest.raises(WebError, match=f"GET {HOST}/ at 127.0.0.1:{port}: ConnectionRefusedError"):
        request(("127.0.0.1", port), HOST)


def test_a_body_that_is_not_json_is_said() -> None:
    with pytest.raises(WebError, match="status 502: the body is not JSON: '<html>'"):
        assert Answer(502, body=b"<html>").json


class Ways:
    """kubectl whose forwarded ports are the given ones in turn; None: it cannot be opened."""

    def __init__(self, *ports: int | None) -> None:
        self.ports = list(ports)
        self.closed: list[int] = []

    @contextmanager
    def port_forward(self, target: str, port: int, namespace: str, *, timeout: float = 15) -> Iterator[int]:
        assert (target, port, namespace, timeout) == ("svc/loki", 3100, "loki", 15)
        found = self.ports.pop(0)
        if found is None:
            raise RunError(["kubectl", "port-forward"], "did not forward")
        yield found
        self.closed.append(found)


def client(ways: Ways) -> Client:
    return Client(Forwards(ways), "svc/loki", 3100, "loki", headers={"traceparent": "of the client"})  # type: ignore[arg-type]


def test_a_way_is_opened_once_and_closed_at_the_end() -> None:
    with serving() as port:
        ways = Ways(port)
        loki = client(ways)
        assert loki.ask("/ready", {"a": "b c"}).text == "GET /ready?a=b+c localhost of the client"
        assert loki.ask("/ready", method="POST", body=b"x").status == 200
        loki.forwards.close()
    assert (ways.ports, ways.closed) == ([], [port])


def test_a_way_that_broke_is_opened_again() -> None:
    with serving() as gone:
        pass
    with serving() as port:
        ways = Ways(gone, port)
        assert client(ways).ask("/ready").status == 200
    assert ways.closed == [gone]


def test_a_way_that_another_thread_has_opened_meanwhile_stays_open() -> None:
    ways = Ways(1, 2)
    forwards = client(ways).forwards
    key = ("svc/loki", 3100, "loki")
    assert forwards.port(*key) == 1
    forwards.drop(*key, local=1)
    assert forwards.port(*key) == 2
    # The one who found 1 broken too comes late.
    forwards.drop(*key, local=1)
    assert (forwards.port(*key), ways.closed) == (2, [1])


def test_a_way_that_cannot_be_opened_names_the_target() -> None:
    with pytest.raises(WebError, match="loki/svc/loki: kubectl port-forward: did not forward"):
        client(Ways(None, None)).ask("/ready")


def test_json_needs_success() -> None:
    with serving() as port, pytest.raises(WebError, match="loki/svc/loki/moved: status 302"):
        client(Ways(port)).json("/moved")


def test_basic_authentication() -> None:
    assert basic("Aladdin", "open sesame") == {"Authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}
