"""Questions over kept connections, against a server on this machine."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest
from harness.live.apiserver import ApiServer, Question
from harness.live.findings import NotEvaluatedError
from harness.live.kubectl import Kubectl
from unit.live.fakes import Programs

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.enable_socket


class Handler(BaseHTTPRequestHandler):
    """Echoes what it is asked; the first request for /busy is refused, /gone is no JSON."""

    protocol_version = "HTTP/1.1"
    connections: ClassVar[set[object]] = set()
    busy: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.connections.add(self.client_address)
        if self.path == "/busy" and not self.busy:
            self.busy.append(self.path)
            self._say(429, b"{}")
            return
        content = b"gone" if self.path == "/gone" else json.dumps({"body": json.loads(body or b"null"), "headers": self.headers.items()}).encode()
        self._say(201, content)

    def do_GET(self) -> None:
        self.do_POST()

    def _say(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ApiServer]:
    Handler.connections.clear()
    Handler.busy.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield ApiServer("127.0.0.1", listening.server_port, token="a-token", threads=2)
        listening.shutdown()
        thread.join()


def test_replies_come_in_the_order_of_the_questions(server: ApiServer) -> None:
    replies = server.ask([Question("POST", "/a", {"number": number}) for number in range(40)])
    assert [reply.body["body"]["number"] for reply in replies] == list(range(40))
    assert {reply.status for reply in replies} == {201}
    # Kept open: no more of them than threads.
    assert len(Handler.connections) <= 2


def test_headers_may_come_twice_and_the_token_goes_along(server: ApiServer) -> None:
    reply = server.ask([Question("GET", "/a", headers=(("Impersonate-Group", "one"), ("Impersonate-Group", "two")))])[0]
    headers = [tuple(pair) for pair in reply.body["headers"]]
    assert [value for name, value in headers if name == "Impersonate-Group"] == ["one", "two"]
    assert ("Authorization", "Bearer a-token") in headers
    assert "a-token" not in repr(server)


def test_server_that_is_busy_is_asked_again(server: ApiServer) -> None:
    assert server.ask([Question("POST", "/busy", {})])[0].status == 201


def test_reply_that_is_no_json_is_empty(server: ApiServer) -> None:
    assert server.ask([Question("GET", "/gone")])[0] == (201, {})


def config(user: dict[str, str], server: str = "https://127.0.0.1:6443") -> Kubectl:
    answer = {"clusters": [{"name": "c", "cluster": {"server": server}}], "users": [{"name": "u", "user": user}]}
    programs = Programs().on("kubectl", "--kubeconfig=/k", "config", "view", "--raw", "--minify", "--flatten", "--output=json", says=answer)
    return Kubectl("kubectl", Path("/k"), runner=programs)


def test_a_token_is_enough() -> None:
    found = ApiServer.of(config({"token": "t"}))
    assert (found.host, found.port, found.token) == ("127.0.0.1", 6443, "t")


@pytest.mark.parametrize(
    ("kubectl", "why"),
    [
        (config({"exec": "a program"}), "neither a client certificate nor a token"),
        (config({"client-certificate-data": base64.b64encode(b"c").decode()}), "neither"),
        (config({"token": "t"}, "http://127.0.0.1"), "no server with https"),
    ],
)
def test_other_credentials_are_not_evaluated(kubectl: Kubectl, why: str) -> None:
    with pytest.raises(NotEvaluatedError, match=why):
        ApiServer.of(kubectl)
