"""A receiver of webhooks on this machine, for as long as a proof lasts: what came, to which path."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Bytes of a request's body that are read.
_MOST = 4_000_000


@dataclass
class Listener:
    """Where a peer reaches it, and what has come: the path and the JSON of each request. Threads may look at any time."""

    address: str
    port: int
    _got: list[tuple[str, Any]] = field(default_factory=list, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        return f"http://{self.address}:{self.port}"

    @property
    def got(self) -> list[tuple[str, Any]]:
        """What came so far."""
        with self._lock:
            return list(self._got)

    def take(self, path: str, body: bytes) -> None:
        """Keep a request; one whose body is not JSON counts with None."""
        try:
            said = json.loads(body)
        except ValueError:
            said = None
        with self._lock:
            self._got.append((path, said))


@contextmanager
def listening(towards: str) -> Iterator[Listener]:
    """A listener on every address of this machine. ``towards`` is a peer: the listener's address is the one that leads to it. Raises OSError."""
    server = ThreadingHTTPServer(("0.0.0.0", 0), BaseHTTPRequestHandler)  # noqa: S104 - the peer comes over the docker network, whose address differs
    listener = Listener(_address(towards), server.server_address[1])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            listener.take(self.path, self.rfile.read(min(int(self.headers.get("Content-Length") or 0), _MOST)))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Nothing goes to the terminal."""

    server.RequestHandlerClass = Handler
    thread = threading.Thread(target=server.serve_forever, name="listener", daemon=True)
    thread.start()
    try:
        yield listener
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@dataclass
class Silent:
    """Where nobody answers: every connection is taken, and nothing said, until :meth:`hang_up`."""

    address: str
    port: int
    _server: socket.socket = field(repr=False)
    _taken: list[socket.socket] = field(default_factory=list, repr=False)

    def take(self) -> None:
        """Take connections until it hangs up."""
        with contextlib.suppress(OSError):
            while True:
                self._taken.append(self._server.accept()[0])

    def hang_up(self) -> None:
        """Close what was taken, and refuse what comes."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        while self._taken:
            self._taken.pop().close()


@contextmanager
def silent(towards: str) -> Iterator[Silent]:
    """A listener on every address of this machine that answers nothing. ``towards`` is a peer, as in :func:`listening`. Raises OSError."""
    server = socket.create_server(("", 0), backlog=64)
    found = Silent(_address(towards), server.getsockname()[1], server)
    thread = threading.Thread(target=found.take, name="silent", daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.hang_up()
        thread.join(5)


def _address(towards: str) -> str:
    """This machine's address on the way to a peer; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((towards, 9))
        found: str = probe.getsockname()[0]
        return found
