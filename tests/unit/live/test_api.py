"""The API server over kept connections: what is sent, what is asked again, discovery, errors, many questions at once."""

from __future__ import annotations

import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from harness.live.reach.api import APPLY, Api, Question, Reply, Resource, User, path_of, root_of
from harness.live.reach.web import WebError

if TYPE_CHECKING:
    from collections.abc import Iterator

RESOURCES = {"resources": [{"name": "pods", "kind": "Pod", "namespaced": True}, {"name": "pods/log", "kind": "Pod"}, {"name": "nodes", "kind": "Node"}]}


class Handler(BaseHTTPRequestHandler):
    """Answers discovery, repeats what it gets, refuses the first request for ``/busy``, and hangs up after each answer to ``/closing``."""

    protocol_version = "HTTP/1.1"
    clients: ClassVar[set[tuple[str, int]]] = set()
    busy: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.clients.add(self.client_address)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/busy" and not self.busy:
            self.busy.append(self.path)
            self.answer(429, b"{}")
        elif self.path == "/api/v1":
            self.answer(200, json.dumps(RESOURCES).encode())
        elif self.path.startswith("/apis/none"):
            self.answer(404, b'{"message":"not found"}')
        else:
            self.answer(200, json.dumps({"path": self.path, "headers": self.headers.items(), "body": body}).encode())
        if self.path == "/closing":
            self.close_connection = True

    do_POST = do_GET  # noqa: N815 - the name is http.server's
    do_PATCH = do_GET  # noqa: N815

    def answer(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_arguments: object) -> None:
        """Nothing: the test says what is wrong."""


@pytest.fixture
def api(socket_enabled: object) -> Iterator[Api]:
    Handler.clients.clear()
    Handler.busy.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        made = Api(lambda: http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10), threads=2)
        yield made
        made.close()
        server.shutdown()
        thread.join()


def test_one_connection_carries_many_questions(api: Api) -> None:
    assert [api.ask("GET", path).body["path"] for path in ("/a", "/b", "/c")] == ["/a", "/b", "/c"]
    assert len(Handler.clients) == 1


def test_every_thread_has_its_own(api: Api) -> None:
    with ThreadPoolExecutor(1) as other:
        other.submit(api.ask, "GET", "/a").result()
    api.ask("GET", "/b")
    assert len(Handler.clients) == 2


def test_a_connection_that_was_closed_is_opened_again(api: Api) -> None:
    assert api.ask("GET", "/closing").ok
    assert api.ask("GET", "/after").body["path"] == "/after"
    assert len(Handler.clients) == 2


def headers(reply: Reply) -> list[tuple[str, str]]:
    return [tuple(pair) for pair in reply.body["headers"]]


@pytest.mark.parametrize(
    ("method", "media", "sent"),
    [("POST", "", "application/json"), ("PATCH", "", "application/merge-patch+json"), ("PATCH", APPLY, APPLY)],
    ids=["post", "merge", "apply"],
)
def test_what_is_sent(api: Api, method: str, media: str, sent: str) -> None:
    reply = api.ask(method, "/x", {"dryRun": "All"}, body={"kind": "Pod"}, media=media)
    assert (reply.body["path"], reply.body["body"]) == ("/x?dryRun=All", '{"kind": "Pod"}')
    assert ("Content-Type", sent) in headers(reply)


def test_a_request_carries_who_asks(api: Api) -> None:
    sent = headers(api.ask("GET", "/x", user=User("ada", ("one", "two"), {"a/b": "c"})))
    assert [pair for pair in sent if pair[0].startswith("Impersonate")] == [
        ("Impersonate-User", "ada"),
        ("Impersonate-Group", "one"),
        ("Impersonate-Group", "two"),
        ("Impersonate-Extra-a%2Fb", "c"),
    ]


def test_replies_come_in_the_order_of_the_questions(api: Api) -> None:
    replies = api.all([Question("POST", "/a", {"number": number}, (("X-Twice", "1"), ("X-Twice", "2"))) for number in range(40)])
    assert [json.loads(reply.body["body"])["number"] for reply in replies] == list(range(40))
    assert [value for name, value in headers(replies[0]) if name == "X-Twice"] == ["1", "2"]
    # Kept open: no more of them than threads.
    assert len(Handler.clients) <= 2


def test_a_server_that_is_busy_is_asked_again(api: Api) -> None:
    assert api.all([Question("POST", "/busy", {})])[0].status == 200


def test_kinds_and_their_resources(api: Api) -> None:
    assert api.resource("v1", "Pod") == Resource("pods", True)
    assert api.resource("v1", "Node") == Resource("nodes", False)
    assert api.resource("v1", "Widget") is None
    assert api.resource("none.example.com/v1", "Widget") is None


def test_nobody_answers(socket_enabled: object) -> None:
    with pytest.raises(WebError, match="GET /x"):
        Api(lambda: http.client.HTTPConnection("127.0.0.1", 1, timeout=5)).ask("GET", "/x")


@dataclass
class Connection:
    """A connection that answers in turn; an exception stands for one that was closed."""

    says: list[Any]
    asked: list[str] = field(default_factory=list)
    closed: bool = False

    def close(self) -> None:
        self.closed = True

    def putrequest(self, method: str, path: str) -> None:
        self.asked.append(f"{method} {path}")

    def putheader(self, name: str, value: str) -> None:
        assert name
        assert value

    def endheaders(self, _data: bytes | None) -> None:
        if isinstance(self.says[0], Exception):
            raise self.says.pop(0)

    def getresponse(self) -> Any:
        status, body = self.says.pop(0)
        return type("Response", (), {"status": status, "read": lambda _: body})()


def over(*connections: Connection) -> Api:
    waiting = list(connections)
    return Api(lambda: waiting.pop(0))  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [("GET", "/x", None), ("PUT", "/x", None), ("PATCH", "/x", None), ("POST", "/x", {"dryRun": "All"}), ("POST", "/apis/authorization.k8s.io/v1/x", None)],
    ids=["get", "put", "patch", "dry-run", "review"],
)
def test_what_changes_nothing_twice_is_asked_again(method: str, path: str, query: dict[str, str] | None) -> None:
    gone, good = Connection([http.client.RemoteDisconnected()]), Connection([(200, b"{}")])
    assert over(gone, good).ask(method, path, query, body={}).status == 200
    assert gone.asked == good.asked


def test_what_may_have_been_done_is_not_asked_again() -> None:
    good = Connection([(201, b"{}")])
    with pytest.raises(WebError, match="POST /x: RemoteDisconnected"):
        over(Connection([http.client.RemoteDisconnected()]), good).ask("POST", "/x", body={})
    assert good.asked == []


def test_every_connection_is_closed() -> None:
    opened = [Connection([http.client.RemoteDisconnected()]), Connection([(200, b"{}")])]
    api = over(*opened)
    api.ask("GET", "/x")
    api.close()
    assert [each.closed for each in opened] == [True, True]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [(422, b'{"message":"is\\n invalid"}', "is\n invalid"), (500, b"oh", "oh"), (500, b"[]", "[]"), (503, b"", "status 503"), (403, b"{}", "status 403")],
    ids=["word-for-word", "text", "no-object", "nothing", "no-message"],
)
def test_why_it_refused(status: int, body: bytes, said: str) -> None:
    reply = over(Connection([(status, body)])).ask("GET", "/x")
    assert (reply.ok, reply.message) == (False, said)


def test_an_object_is_wanted() -> None:
    with pytest.raises(WebError, match="GET /x: status 403: not you"):
        over(Connection([(403, b'{"message":"not you"}')])).json("GET", "/x")


def test_paths() -> None:
    assert (root_of("v1"), root_of("apps/v1")) == ("/api/v1", "/apis/apps/v1")
    assert path_of("v1", "pods", "a", "b", "exec") == "/api/v1/namespaces/a/pods/b/exec"
    assert path_of("apps/v1", "deployments") == "/apis/apps/v1/deployments"
