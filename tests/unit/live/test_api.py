"""The API server over kept connections, against a server of this machine's own."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

import pytest
from harness.live.api import APPLY, Api, Resource, root_of
from harness.live.web import WebError

if TYPE_CHECKING:
    from collections.abc import Iterator

RESOURCES = {"resources": [{"name": "pods", "kind": "Pod", "namespaced": True}, {"name": "pods/log", "kind": "Pod"}, {"name": "nodes", "kind": "Node"}]}


class Handler(BaseHTTPRequestHandler):
    """Answers discovery, repeats what it gets, and hangs up without a word after each answer to ``/closing``."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[tuple[str, str, str]]] = []
    clients: ClassVar[set[tuple[str, int]]] = set()

    def do_GET(self) -> None:
        self.clients.add(self.client_address)
        body = RESOURCES if self.path == "/api/v1" else {"path": self.path}
        self.answer(404 if self.path.startswith("/apis/") else 200, json.dumps(body).encode())
        if self.path == "/closing":
            self.close_connection = True

    def do_PATCH(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.seen.append((self.path, self.headers["Content-Type"], text))
        self.answer(422, b'{"message":"is\\n invalid"}')

    def do_DELETE(self) -> None:
        self.answer(500, b"not json")

    def answer(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_arguments: object) -> None:
        """Nothing: the test says what is wrong."""


@pytest.fixture
def api(socket_enabled: object) -> Iterator[Api]:
    Handler.seen.clear()
    Handler.clients.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        made = Api(server.server_port)
        yield made
        made.close()
        server.shutdown()
        thread.join()


def test_one_connection_carries_many_questions(api: Api) -> None:
    assert [api.ask("GET", path).body["path"] for path in ("/a", "/b", "/c")] == ["/a", "/b", "/c"]
    assert len(Handler.clients) == 1


def test_every_thread_has_its_own_and_all_are_closed(api: Api) -> None:
    with ThreadPoolExecutor(1) as other:
        other.submit(api.ask, "GET", "/a").result()
    api.ask("GET", "/b")
    assert len(Handler.clients) == 2
    api.close()


def test_a_connection_that_was_closed_is_opened_again(api: Api) -> None:
    assert api.ask("GET", "/closing").ok
    assert api.ask("GET", "/after").body == {"path": "/after"}
    assert len(Handler.clients) == 2


def test_what_is_sent_and_why_it_is_refused(api: Api) -> None:
    reply = api.ask("PATCH", "/x", {"dryRun": "All"}, body={"kind": "Pod"}, media=APPLY)
    assert Handler.seen == [("/x?dryRun=All", APPLY, '{"kind": "Pod"}')]
    assert (reply.ok, reply.message) == (False, "is invalid")


def test_an_answer_that_is_no_object_has_its_status_as_message(api: Api) -> None:
    assert api.ask("DELETE", "/x").message == "status 500"


def test_kinds_and_their_resources(api: Api) -> None:
    assert api.resource("v1", "Pod") == Resource("pods", True)
    assert api.resource("v1", "Node") == Resource("nodes", False)
    assert api.resource("v1", "Widget") is None
    assert api.resource("example.com/v1", "Widget") is None


def test_nobody_answers(socket_enabled: object) -> None:
    with pytest.raises(WebError, match="GET /x"):
        Api(1).ask("GET", "/x")


def test_paths_of_versions() -> None:
    assert (root_of("v1"), root_of("apps/v1")) == ("/api/v1", "/apis/apps/v1")
