"""Ways into the cluster that stay open: one ``kubectl port-forward`` for each target, shared by all proofs, opened again when it ends.

A forwarded port leads through the kubelet into the pod, so no NetworkPolicy stands in the way of looking.
"""

from __future__ import annotations

import base64
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from harness.live.reach.run import RunError
from harness.live.reach.web import Answer, Tls, WebError, request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.live.reach.kubectl import Kubectl

_HOST: Final = "127.0.0.1"


class Forwards:
    """The open ways of a run. Threads may share it."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str, int], tuple[int, ExitStack]] = {}

    def port(self, target: str, port: int, namespace: str) -> int:
        """The local port that leads to a port of a pod or service (``svc/grafana``). Raises RunError when it cannot be opened."""
        key = (namespace, target, port)
        with self._lock:
            if key not in self._open:
                stack = ExitStack()
                self._open[key] = stack.enter_context(self._kubectl.port_forward(target, port, namespace)), stack
            return self._open[key][0]

    def drop(self, target: str, port: int, namespace: str, *, local: int | None = None) -> None:
        """Close a way, so that the next use opens it again: its pod may be another one by then.

        ``local`` is the port at which it was found broken: what another thread has opened since stays open.
        """
        key = (namespace, target, port)
        with self._lock:
            if local is not None and self._open.get(key, (local,))[0] != local:
                return
            _port, stack = self._open.pop(key, (0, ExitStack()))
        stack.close()

    def close(self) -> None:
        """Close all of them."""
        for namespace, target, port in list(self._open):
            self.drop(target, port, namespace)


@dataclass(frozen=True)
class Client:
    """HTTP to one server in the cluster. ``host`` is what it is called as; ``tls`` how, when it is HTTPS."""

    forwards: Forwards
    target: str
    port: int
    namespace: str
    tls: Tls | None = None
    host: str = "localhost"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def ask(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: float = 20,
    ) -> Answer:
        """The answer to a request, whatever its status. A way that is broken is opened once more. Raises WebError when nothing answers."""
        whole = f"{path}?{urlencode(query)}" if query else path
        for last in (False, True):
            port = None
            try:
                port = self.forwards.port(self.target, self.port, self.namespace)
                return request(
                    (_HOST, port), self.host, whole, method=method, headers={**self.headers, **(headers or {})}, body=body, tls=self.tls, timeout=timeout
                )
            except (WebError, RunError) as error:
                self.forwards.drop(self.target, self.port, self.namespace, local=port)
                if last:
                    raise WebError(f"{self.namespace}/{self.target}: {error}") from error
        raise AssertionError("unreachable")

    def json(self, path: str, query: Mapping[str, str] | None = None, *, method: str = "GET", body: bytes = b"") -> Any:
        """The JSON of a request that must succeed. Raises WebError otherwise."""
        answer = self.ask(path, query, method=method, body=body, headers={"Content-Type": "application/json"} if body else None)
        if not 200 <= answer.status < 300:
            raise WebError(f"{self.namespace}/{self.target}{path}: status {answer.status}: {answer.text[:300]}")
        return answer.json


def basic(user: str, password: str) -> dict[str, str]:
    """The header of HTTP basic authentication (RFC 7617)."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
