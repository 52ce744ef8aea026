"""The API server itself: any request, as anybody, many at a time. What kubectl does not ask (impersonated extras, dry runs of connects) is asked here.

``kubectl proxy`` signs in, whatever way the kubeconfig says, and listens on a socket in a folder that only this user can enter. Each thread keeps one
connection.
Source: Kubernetes API concepts (dry run, impersonation), RFC 9112.
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
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from harness.live.run import RunError
from harness.live.web import Answer, WebError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.live.kubectl import Kubectl

_SECONDS: Final = 60.0
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


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind that the API server serves: its plural, and whether its objects live in namespaces."""

    plural: str
    namespaced: bool


class Api:
    """A way to the API server. Threads may share it."""

    def __init__(self, connect: Callable[[], http.client.HTTPConnection]) -> None:
        self._connect = connect
        self._local = threading.local()
        self._opened: list[http.client.HTTPConnection] = []
        # Not the other lock: a kind is asked for while that one is held.
        self._opening = threading.Lock()
        self._kinds: dict[str, dict[str, Kind]] = {}
        self._lock = threading.Lock()

    def ask(self, method: str, path: str, query: Query | None = None, *, body: Mapping[str, Any] | None = None, user: User | None = None) -> Answer:
        """The answer to a request, whatever its status. Raises WebError when there is none."""
        whole = f"{path}?{urlencode(query)}" if query else path
        data = json.dumps(body).encode() if body is not None else b""
        headers = [("Content-Type", "application/merge-patch+json" if method == "PATCH" else "application/json"), ("Accept", "application/json")]
        headers += user.headers() if user is not None else []
        for last in (False, True):
            try:
                return self._once(method, whole, headers, data)
            except (OSError, http.client.HTTPException) as error:
                # A kept connection may have been closed meanwhile; asked once more, a new one says whether anybody is there.
                self._local.__dict__.pop("connection", None)
                if last or (method not in ("GET", "PUT", "DELETE") and "dryRun" not in whole):
                    raise WebError(f"{method} {path}: {type(error).__name__}: {error}") from error
        raise AssertionError("unreachable")

    def json(self, method: str, path: str, query: Query | None = None, *, body: Mapping[str, Any] | None = None, user: User | None = None) -> Any:
        """The object that a request answers with, which must succeed. Raises WebError otherwise."""
        answer = self.ask(method, path, query, body=body, user=user)
        if not 200 <= answer.status < 300:
            raise WebError(f"{method} {path}: status {answer.status}: {message_of(answer)}")
        return answer.json

    def kind(self, api_version: str, kind: str) -> Kind | None:
        """How a kind is served, None when it is not."""
        with self._lock:
            if api_version not in self._kinds:
                answer = self.ask("GET", root_of(api_version))
                listed = answer.json.get("resources") or [] if answer.status == 200 else []
                self._kinds[api_version] = {item["kind"]: Kind(item["name"], item["namespaced"]) for item in listed if "/" not in item["name"]}
            return self._kinds[api_version].get(kind)

    def close(self) -> None:
        """Close every connection, whichever thread opened it."""
        with self._opening:
            while self._opened:
                self._opened.pop().close()

    def _once(self, method: str, path: str, headers: Sequence[tuple[str, str]], data: bytes) -> Answer:
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
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


def root_of(api_version: str) -> str:
    """The path of a group and version."""
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def path_of(api_version: str, plural: str, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """The path of a collection, an object or a subresource of it. ``namespace`` is empty for what lives in none."""
    parts = [
        root_of(api_version),
        *(["namespaces", namespace] if namespace else []),
        plural,
        *([name] if name else []),
        *([subresource] if subresource else []),
    ]
    return "/".join(parts)


def message_of(answer: Answer) -> str:
    """What the API server says of a request that failed."""
    try:
        body = json.loads(answer.body)
    except ValueError:
        return answer.text[:300]
    return str(body.get("message", "")) if isinstance(body, dict) else answer.text[:300]


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
def served(kubectl: Kubectl, *, timeout: float = 15) -> Iterator[Api]:
    """A way to the API server for the duration of a block. Raises RunError when kubectl cannot open one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "api")
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
