"""Thousands of small requests to the API server: a few threads, each with a connection that stays open. kubectl would take a process for each.

It speaks as whom the kubeconfig names, by client certificate or token; whoever it acts as besides is in the headers of a question (impersonation).
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from harness.live.findings import NotEvaluatedError
from harness.live.run import RunError
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.live.kubectl import Kubectl

#: Requests at the same time. More does not make an API server of four cores quicker.
THREADS: Final = 12
_TRIES: Final = 5
#: What a server that has too much to do answers with (API priority and fairness), and one that is just restarting.
_BUSY: Final = frozenset({429, 500, 502, 503, 504})


class Question(NamedTuple):
    """One request. ``headers`` may name a header more than once."""

    method: str
    path: str
    body: dict[str, Any] | None = None
    headers: tuple[tuple[str, str], ...] = ()


class Reply(NamedTuple):
    """What came back: the HTTP status and the object, empty where the body is none."""

    status: int
    body: dict[str, Any]


@dataclass(frozen=True)
class ApiServer:
    """The API server of a cluster. Threads may share it."""

    host: str
    port: int
    context: ssl.SSLContext | None = field(default=None, repr=False)
    token: str = field(default="", repr=False)
    threads: int = THREADS

    @classmethod
    def of(cls, kubectl: Kubectl) -> ApiServer:
        """The server of a kubeconfig's context. Raises NotEvaluatedError for credentials that only a program can get."""
        try:
            config = kubectl.json("config", "view", "--raw", "--minify", "--flatten")
        except RunError as error:
            # Its output holds the key.
            raise NotEvaluatedError("API server", "requests over kept connections", f"kubectl config view: {error.why}") from None
        cluster = mapping(mapping(next(iter(items(config.get("clusters"))), None)).get("cluster"))
        user = mapping(mapping(next(iter(items(config.get("users"))), None)).get("user"))
        url = urlsplit(text(cluster.get("server")))
        if url.scheme != "https" or not url.hostname:
            raise NotEvaluatedError("API server", "requests over kept connections", "the kubeconfig names no server with https://")
        certificate, key, token = (text(user.get(name)) for name in ("client-certificate-data", "client-key-data", "token"))
        if not (certificate and key) and not token:
            raise NotEvaluatedError("API server", "requests over kept connections", "the kubeconfig has neither a client certificate nor a token")
        context = ssl.create_default_context(cadata=_decoded(text(cluster.get("certificate-authority-data"))).decode() or None)
        if certificate and key:
            _load(context, _decoded(certificate), _decoded(key))
        return cls(url.hostname, url.port or 443, context, token)

    def ask(self, questions: Sequence[Question]) -> list[Reply]:
        """The replies to some questions, in their order. Raises OSError or http.client.HTTPException when the server does not answer."""
        open_ = _Connections(self)
        try:
            with ThreadPoolExecutor(self.threads, thread_name_prefix="ask") as pool:
                return list(pool.map(open_.ask, questions))
        finally:
            open_.close()


class _Connections:
    """The connections of one round of questions, one a thread."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._mine = threading.local()
        self._all: list[http.client.HTTPConnection] = []

    def ask(self, question: Question) -> Reply:
        for left in reversed(range(_TRIES)):
            try:
                reply = self._once(question)
            except (OSError, http.client.HTTPException):
                self._drop()
                if not left:
                    raise
            else:
                if reply.status not in _BUSY or not left:
                    return reply
            time.sleep(0.2 * (_TRIES - left))
        raise AssertionError("unreachable")

    def close(self) -> None:
        for connection in self._all:
            connection.close()

    def _once(self, question: Question) -> Reply:
        connection = self._connection()
        payload = json.dumps(question.body).encode() if question.body is not None else b""
        connection.putrequest(question.method, question.path)
        connection.putheader("Accept", "application/json")
        if self._server.token:
            connection.putheader("Authorization", f"Bearer {self._server.token}")
        if question.body is not None:
            connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(payload)))
        for name, value in question.headers:
            connection.putheader(name, value)
        connection.endheaders(payload)
        response = connection.getresponse()
        content = response.read()
        try:
            body = json.loads(content)
        except ValueError:
            body = None
        return Reply(response.status, mapping(body))

    def _connection(self) -> http.client.HTTPConnection:
        found: http.client.HTTPConnection | None = getattr(self._mine, "connection", None)
        if found is None:
            server = self._server
            if server.context is not None:
                found = http.client.HTTPSConnection(server.host, server.port, timeout=30, context=server.context)
            else:
                found = http.client.HTTPConnection(server.host, server.port, timeout=30)
            found.connect()
            # Header and body are two packets: without this, each request waits for the first one's acknowledgement.
            found.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._mine.connection = found
            self._all.append(found)
        return found

    def _drop(self) -> None:
        found = getattr(self._mine, "connection", None)
        if found is not None:
            found.close()
            self._mine.connection = None


def _load(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """ssl reads a client's certificate from files only; they are gone at once."""
    with tempfile.TemporaryDirectory(prefix="plimsoll-client-") as folder:
        paths = [Path(folder, name) for name in ("certificate", "key")]
        for path, content in zip(paths, (certificate, key), strict=True):
            path.touch(mode=0o600)
            path.write_bytes(content)
        context.load_cert_chain(str(paths[0]), str(paths[1]))


def _decoded(words: str) -> bytes:
    try:
        return base64.b64decode(words, validate=True)
    except ValueError:
        return b""
