"""The API server itself: any request, as anybody, many at a time, over few kept connections, where one program a question would take minutes.

``kubectl proxy`` signs in, whatever way the kubeconfig says, and listens on a socket in a folder that only this user can enter.
Sources: Kubernetes API concepts (resource URIs, dry run, server-side apply), impersonation, API priority and fairness (429); RFC 9112.
"""

from __future__ import annotations

import http.client
import json
import os
import selectors
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, urlencode

from harness.live.reach.run import RunError
from harness.live.reach.web import WebError
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.live.reach.kubectl import Kubectl

_SECONDS: Final = 60.0
#: Requests at the same time. More does not make an API server of four cores quicker.
THREADS: Final = 12
#: What the API server calls the media type of a server-side apply; JSON is YAML.
APPLY: Final = "application/apply-patch+yaml"
JSON: Final = "application/json"
_MERGE: Final = "application/merge-patch+json"
_TRIES: Final = 5
#: What a server that has too much to do answers with, and one that is just restarting.
_BUSY: Final = frozenset({429, 500, 502, 503, 504})
#: Reviews change nothing, although they are created.
_REVIEWS: Final = "/apis/authorization.k8s.io/"
Query = Mapping[str, str] | Sequence[tuple[str, str]]


@dataclass(frozen=True)
class User:
    """Who asks, by impersonation. ``extra`` is what authenticators add to a user; names may hold a slash."""

    name: str
    groups: Sequence[str] = ()
    extra: Mapping[str, str] = field(default_factory=dict)

    def headers(self) -> list[tuple[str, str]]:
        """The headers of an impersonated request."""
        found = [("Impersonate-User", self.name), *(("Impersonate-Group", group) for group in self.groups)]
        return found + [(f"Impersonate-Extra-{quote(name, safe='')}", value) for name, value in self.extra.items()]


class Question(NamedTuple):
    """One request of many. ``headers`` may name a header more than once."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    headers: Sequence[tuple[str, str]] = ()


class Reply(NamedTuple):
    """What the API server answered. ``body`` is empty when it was no object; ``raw`` is the answer as it came."""

    status: int
    body: dict[str, Any]
    raw: str = ""

    @property
    def ok(self) -> bool:
        """Whether it did what it was asked for."""
        return 200 <= self.status < 300

    @property
    def message(self) -> str:
        """Why it refused, word for word."""
        return text(self.body.get("message")) or self.raw[:300] or f"status {self.status}"


class Resource(NamedTuple):
    """How objects of a kind are addressed."""

    name: str
    namespaced: bool


class Api:
    """A way to the API server. Threads may share it: each keeps a connection of its own."""

    def __init__(self, connect: Callable[[], http.client.HTTPConnection], threads: int = THREADS) -> None:
        self._connect = connect
        self._threads = threads
        self._local = threading.local()
        self._opened: list[http.client.HTTPConnection] = []
        # Not the other lock: a kind is asked for while that one is held.
        self._opening = threading.Lock()
        self._resources: dict[str, dict[str, Resource]] = {}
        self._lock = threading.Lock()

    def ask(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        *,
        body: Mapping[str, Any] | None = None,
        media: str = "",
        user: User | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> Reply:
        """The answer to a request, whatever its status. ``media`` is that of the body: a merge patch for PATCH, else JSON, when none is named.

        Raises:
            WebError: nobody answers. What may have been done is not asked again.
        """
        whole = f"{path}?{urlencode(query)}" if query else path
        data = json.dumps(body).encode() if body is not None else b""
        sent = [("Content-Type", media or (_MERGE if method == "PATCH" else JSON)), ("Accept", JSON), *headers, *(user.headers() if user is not None else ())]
        for last in (False, True):
            try:
                return self._once(method, whole, sent, data)
            except (OSError, http.client.HTTPException) as error:
                # A kept connection may have been closed meanwhile; asked once more, a new one says whether anybody is there.
                self._local.__dict__.pop("connection", None)
                if last or (method == "POST" and "dryRun" not in whole and not path.startswith(_REVIEWS)):
                    raise WebError(f"{method} {path}: {type(error).__name__}: {error}") from error
        raise AssertionError("unreachable")

    def json(self, method: str, path: str, query: Query | None = None, *, body: Mapping[str, Any] | None = None, user: User | None = None) -> dict[str, Any]:
        """The object that a request answers with, which must succeed. Raises WebError otherwise."""
        reply = self.ask(method, path, query, body=body, user=user)
        if not reply.ok:
            raise WebError(f"{method} {path}: status {reply.status}: {reply.message}")
        return reply.body

    def all(self, questions: Sequence[Question]) -> list[Reply]:
        """The replies to some questions, in their order, several at a time. A server that is busy is asked again. Raises WebError when nobody answers."""
        with ThreadPoolExecutor(self._threads, thread_name_prefix="ask") as pool:
            return list(pool.map(self._patiently, questions))

    def resource(self, api_version: str, kind: str) -> Resource | None:
        """How objects of a kind are addressed; None for a kind that the server does not serve."""
        with self._lock:
            if api_version not in self._resources:
                reply = self.ask("GET", root_of(api_version))
                listed = [mapping(entry) for entry in items(reply.body.get("resources"))] if reply.ok else []
                self._resources[api_version] = {
                    text(entry.get("kind")): Resource(text(entry.get("name")), entry.get("namespaced") is True)
                    for entry in listed
                    if "/" not in text(entry.get("name"))
                }
            return self._resources[api_version].get(kind)

    def close(self) -> None:
        """Close every connection, whichever thread opened it."""
        with self._opening:
            while self._opened:
                self._opened.pop().close()

    def _patiently(self, question: Question) -> Reply:
        for left in reversed(range(_TRIES)):
            reply = self.ask(question.method, question.path, body=question.body, headers=question.headers)
            if reply.status not in _BUSY or not left:
                return reply
            time.sleep(0.2 * (_TRIES - left))
        raise AssertionError("unreachable")

    def _once(self, method: str, path: str, headers: Sequence[tuple[str, str]], data: bytes) -> Reply:
        connection = self._local.__dict__.get("connection")
        if connection is None:
            connection = self._local.connection = self._connect()
            with self._opening:
                self._opened.append(connection)
        connection.putrequest(method, path)
        for name, value in headers:
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data or None)
        response = connection.getresponse()
        return _reply(response.status, response.read())


def root_of(api_version: str) -> str:
    """The path of a group and version."""
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def path_of(api_version: str, plural: str, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """The path of a collection, an object or a subresource of it. ``namespace`` is empty for what lives in none."""
    inside = f"/namespaces/{namespace}" if namespace else ""
    return f"{root_of(api_version)}{inside}/{plural}" + (f"/{name}" if name else "") + (f"/{subresource}" if subresource else "")


def _reply(status: int, data: bytes) -> Reply:
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    # What was an object need not be kept twice.
    return Reply(status, found) if isinstance(found, dict) else Reply(status, {}, data.decode("utf-8", "replace"))


class _Socket(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@contextmanager
def serving(kubectl: Kubectl, *, timeout: float = 15) -> Iterator[Api]:
    """The API server of a kubeconfig, for the duration of a block. Raises RunError when kubectl cannot open the way."""
    with tempfile.TemporaryDirectory(prefix="plimsoll-api-") as folder:
        path = Path(folder, "api")
        # Whoever reaches the socket has the kubeconfig's rights; nobody else can enter the folder, so nothing needs to be filtered.
        argv = kubectl.argv("proxy", f"--unix-socket={path}", "--disable-filter=true")
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=dict(os.environ)) as process:
            try:
                _listening(process, argv, timeout)
                api = Api(lambda: _Socket(str(path)))
                try:
                    yield api
                finally:
                    api.close()
            finally:
                process.terminate()


def _listening(process: subprocess.Popen[bytes], argv: list[str], timeout: float) -> None:
    """Return once kubectl says that it serves."""
    if process.stdout is None:
        raise RunError(argv, "was started without a stream to read")
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if selector.select(max(0.0, deadline - time.monotonic())) and process.stdout.readline().startswith(b"Starting to serve"):
            return
    raise RunError(argv, "did not serve", code=process.poll())
