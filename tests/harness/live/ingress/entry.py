"""The way in that users take: a host of an Ingress in Git, at the address that its controller's LoadBalancer has."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from harness.live.findings import NotEvaluatedError
from harness.live.ingress.edge import Edge
from harness.live.reach.web import Answer, Tls, WebError, request
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.live.bringup import Platform
    from harness.live.reach.kubectl import Kubectl
    from harness.model import Object

_INGRESS: Final = "Ingress.networking.k8s.io"
_HTTPS: Final = 443


@dataclass(frozen=True, slots=True)
class Entry:
    """One host. ``namespace`` and ``secret`` are where its certificate lies, ``authority`` (PEM) is who signs it."""

    address: str
    host: str
    path: str
    namespace: str
    secret: str
    authority: str = field(repr=False)

    def get(self, path: str = "", *, headers: Mapping[str, str] | None = None, timeout: float = 5) -> Answer:
        """The answer to a GET over TLS, with everything checked that a browser checks. Raises WebError."""
        return request((self.address, _HTTPS), self.host, path or self.path, headers=headers, tls=Tls(authority=self.authority), timeout=timeout)

    def wrong(self) -> str:
        """What is wrong with the answer to a user; empty when it is 200."""
        try:
            answer = self.get()
        except WebError as error:
            return str(error)
        return "" if answer.status == 200 else f"{self.host} answers {answer.status}"


def entry_of(platform: Platform) -> Entry:
    """The first host of an Ingress that an application has, with its certificate.

    Raises:
        NotEvaluatedError: Git has none, or the cluster has no address or no certificate for it.
    """
    kubectl = platform.cluster.kubectl
    address = Edge.of(platform).address
    for item in platform.world.of(_INGRESS):
        found = _entry(kubectl, item, address)
        if found is not None and not found.wrong():
            return found
    raise NotEvaluatedError(_INGRESS, "a host to ask", "no Ingress of the cluster has a host with a certificate that answers 200")


def _entry(kubectl: Kubectl, item: Object, address: str) -> Entry | None:
    rules, tls = items(item.spec.get("rules")), items(item.spec.get("tls"))
    if not rules or not tls:
        return None
    host, secret = text(mapping(rules[0]).get("host")), text(mapping(tls[0]).get("secretName"))
    paths = items(mapping(mapping(rules[0]).get("http")).get("paths"))
    path = text(mapping(paths[0]).get("path")) if paths else ""
    data = mapping((kubectl.get("secrets", secret, item.namespace) or {}).get("data"))
    authority = text(data.get("ca.crt"))
    if not host or not authority:
        return None
    return Entry(address, host, path or "/", item.namespace, secret, base64.b64decode(authority).decode("utf-8", "replace"))
