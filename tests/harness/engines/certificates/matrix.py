"""The TLS matrix: for every host what listens, with which certificate, signed by whom, and how plain requests and old clients are treated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.engines.certificates.chains import Issuers, covers_host, names_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from harness.engines.certificates.listeners import Listener
    from harness.model import Object


@dataclass(frozen=True, slots=True)
class Row:
    """One host. ``maker`` is what makes the Secret when no Certificate does. ``covered`` is None where nobody here can tell."""

    listener: Listener
    certificate: Object | None
    maker: str
    names: tuple[str, ...]
    chain: tuple[str, ...]
    ends: str
    covered: bool | None

    def as_json(self) -> dict[str, Any]:
        """The row as plain data, as the command prints it."""
        listener = self.listener
        item = listener.item
        return {
            "host": listener.host or "*",
            "listener": f"{item.kind}/{item.namespace}/{item.name}",
            "class": listener.ingress_class,
            "controller": listener.controller,
            "tls": "passthrough" if listener.passthrough else listener.tls,
            "floor": listener.floor,
            "redirect": listener.redirect,
            "hsts": listener.hsts,
            "secret": "/".join(listener.secret) if listener.secret else None,
            "certificate": f"{self.certificate.namespace}/{self.certificate.name}" if self.certificate is not None else None,
            "maker": self.maker or None,
            "names": list(self.names),
            "chain": list(self.chain),
            "ends": self.ends,
            "covered": self.covered,
            "unknown": listener.why or None,
        }


def rows(listeners: Iterable[Listener], issuers: Issuers, maker: Callable[[str, str], str]) -> list[Row]:
    """The matrix, by host and listener. ``maker`` says what else makes a Secret (namespace, name), empty for nothing."""
    found = []
    for listener in listeners:
        certificate = next(iter(issuers.by_secret.get(listener.secret, ())), None) if listener.secret is not None else None
        if certificate is None:
            made = maker(*listener.secret) if listener.secret is not None else ""
            found.append(Row(listener, None, made, (), (), "", None if made or listener.passthrough or not listener.tls else False))
            continue
        chain = issuers.chain(certificate)
        covered = covers_host(certificate, listener.host) if listener.host else None
        maker_name = f"Certificate {certificate.name}"
        found.append(Row(listener, certificate, maker_name, names_of(certificate), chain.steps, chain.ends, covered))
    return sorted(found, key=lambda row: (row.listener.host, str(row.listener.item.id), str(row.listener.pointer)))
