"""The API server by plain HTTP: many questions over few kept connections, where one program a question would take minutes.

``kubectl proxy`` speaks TLS and brings the credentials, whatever kind the kubeconfig has.
"""

from __future__ import annotations

import http.client
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode

from harness.live.web import WebError
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.live.kubectl import Kubectl

_HOST: Final = "127.0.0.1"
_SECONDS: Final = 30.0
#: What the API server calls the media type of a server-side apply; JSON is YAML.
APPLY: Final = "application/apply-patch+yaml"
JSON: Final = "application/json"


class Reply(NamedTuple):
    """What the API server answered. ``body`` is empty when it was no object."""

    status: int
    body: dict[str, Any]

    @property
    def ok(self) -> bool:
        """Whether it did what it was asked for."""
        return 200 <= self.status < 300

    @property
    def message(self) -> str:
        """Why it refused, in one line."""
        return " ".join(text(self.body.get("message")).split()) or f"status {self.status}"


class Resource(NamedTuple):
    """How objects of a kind are addressed."""

    name: str
    namespaced: bool


@dataclass
class Api:
    """One API server. Threads may share it: each has a connection of its own."""

    port: int
    host: str = _HOST
    _own: threading.local = field(default_factory=threading.local, repr=False)
    _opened: list[http.client.HTTPConnection] = field(default_factory=list, repr=False)
    _resources: dict[str, dict[str, Resource]] = field(default_factory=dict, repr=False)

    def ask(self, method: str, path: str, query: Mapping[str, str] | None = None, *, body: Mapping[str, Any] | None = None, media: str = JSON) -> Reply:
        """One question. A connection that was closed in the meantime is opened once more. Raises WebError when nothing answers."""
        whole = f"{path}?{urlencode(query)}" if query else path
        data = json.dumps(body).encode() if body is not None else None
        for last in (False, True):
            connection = self._connection()
            try:
                connection.request(method, whole, data, {"Content-Type": media, "Accept": JSON})
                answer = connection.getresponse()
                return Reply(answer.status, _object(answer.read()))
            except (OSError, http.client.HTTPException) as error:
                # Closed, it opens itself again when it is next used.
                connection.close()
                if last:
                    raise WebError(f"{method} {path}: {type(error).__name__}: {error}") from error
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close the connections of all threads, which must have come to their end."""
        for connection in self._opened:
            connection.close()

    def resource(self, api_version: str, kind: str) -> Resource | None:
        """How objects of a kind are addressed; None for a kind that the server does not know."""
        if api_version not in self._resources:
            reply = self.ask("GET", root_of(api_version))
            listed = [mapping(entry) for entry in items(reply.body.get("resources"))] if reply.ok else []
            self._resources[api_version] = {
                text(entry.get("kind")): Resource(text(entry.get("name")), entry.get("namespaced") is True)
                for entry in listed
                if "/" not in text(entry.get("name"))
            }
        return self._resources[api_version].get(kind)

    def _connection(self) -> http.client.HTTPConnection:
        """The one of this thread."""
        known: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if known is None:
            known = self._own.connection = http.client.HTTPConnection(self.host, self.port, timeout=_SECONDS)
            self._opened.append(known)
        return known


def root_of(api_version: str) -> str:
    """The path of an API version."""
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


@contextmanager
def serving(kubectl: Kubectl) -> Iterator[Api]:
    """The API server of a kubeconfig, for the duration of a block."""
    with kubectl.proxy() as port:
        api = Api(port)
        try:
            yield api
        finally:
            api.close()


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
