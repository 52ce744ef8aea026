"""The way to the API server: kept connections, discovery, errors."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from harness.live.impersonate import Api, Kind, User, message_of
from harness.live.web import Answer, WebError


@dataclass
class Connection:
    """A connection that answers in turn; an exception stands for one that was closed."""

    says: list[Any]
    asked: list[str] = field(default_factory=list)
    sent: list[tuple[str, str]] = field(default_factory=list)
    closed: bool = False

    def close(self) -> None:
        self.closed = True

    def putrequest(self, method: str, path: str) -> None:
        self.asked.append(f"{method} {path}")

    def putheader(self, name: str, value: str) -> None:
        self.sent.append((name, value))

    def endheaders(self, _data: bytes | None) -> None:
        if isinstance(self.says[0], Exception):
            raise self.says.pop(0)

    def getresponse(self) -> Any:
        status, body = self.says.pop(0)
        return type("Response", (), {"status": status, "getheaders": lambda _: [("A", "b")], "read": lambda _: json.dumps(body).encode()})()


def test_a_request_carries_who_asks() -> None:
    connection = Connection([(200, {"a": 1})])
    found = Api(lambda: connection).ask("GET", "/x", {"b": "c"}, user=User("ada", ("g",)))  # type: ignore[arg-type, return-value]
    assert (found.status, found.json, found.headers) == (200, {"a": 1}, {"a": "b"})
    assert connection.asked == ["GET /x?b=c"]
    assert ("Impersonate-Group", "g") in connection.sent


def test_a_closed_connection_is_opened_once_more() -> None:
    connections = [Connection([http.client.RemoteDisconnected()]), Connection([(200, {})])]
    api = Api(lambda: connections.pop(0))  # type: ignore[arg-type, return-value]
    assert api.ask("GET", "/x").status == 200
    assert connections == []


def test_what_may_have_been_done_is_not_asked_again() -> None:
    connections = [Connection([http.client.RemoteDisconnected()]), Connection([(201, {})])]
    with pytest.raises(WebError, match="POST /x: RemoteDisconnected"):
        Api(lambda: connections.pop(0)).ask("POST", "/x", body={})  # type: ignore[arg-type, return-value]


def test_kinds_are_discovered_once() -> None:
    listed = {"resources": [{"name": "pods", "kind": "Pod", "namespaced": True}, {"name": "pods/exec", "kind": "PodExecOptions", "namespaced": True}]}
    api = Api(lambda: Connection([(200, listed), (404, {})]))  # type: ignore[arg-type, return-value]
    assert api.kind("v1", "Pod") == Kind("pods", True)
    assert api.kind("v1", "PodExecOptions") is None
    assert api.kind("a/v1", "B") is None


def test_a_failed_request_says_why() -> None:
    api = Api(lambda: Connection([(403, {"message": "not you"})]))  # type: ignore[arg-type, return-value]
    with pytest.raises(WebError, match="GET /x: status 403: not you"):
        api.json("GET", "/x")


def test_every_connection_is_closed() -> None:
    opened = [Connection([http.client.RemoteDisconnected()]), Connection([(200, {})])]
    waiting = list(opened)
    api = Api(lambda: waiting.pop(0))  # type: ignore[arg-type, return-value]
    api.ask("GET", "/x")
    api.close()
    assert [each.closed for each in opened] == [True, True]


def test_messages() -> None:
    assert message_of(Answer(500, {}, b"oh")) == "oh"
    assert message_of(Answer(500, {}, b"[]")) == "[]"
