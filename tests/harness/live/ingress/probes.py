"""What is asked of every host of the TLS matrix: empty text when the running ingress does what the matrix derives from Git, else what was seen."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cryptography import x509

from harness.live.findings import NotEvaluatedError
from harness.live.ingress.certificates import authority_of, names_in
from harness.live.ingress.edge import Target, issuer_of, targets
from harness.live.reach.web import Tls, WebError
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.engines.certificates.matrix import Row
    from harness.live.ingress.edge import Edge
    from harness.live.reach.kubectl import Kubectl

#: The versions of TLS, oldest first, as the matrix writes them.
VERSIONS: Final = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
#: How the other side says that it does not speak a version (RFC 8446, alert 70); all else is this side's own trouble.
_ALERT: Final = "ALERT_PROTOCOL_VERSION"
_REDIRECTS: Final = (301, 302, 307, 308)


def chain(edge: Edge, row: Row) -> str:
    """A client that trusts the issuer's authority alone gets to the host, and the certificate is for the names in Git and no others."""
    host = row.listener.host
    trusted = authority_of(edge.platform, issuer_of(edge.platform.world, row))
    answer = edge.ask(host, tls=Tls(authority=trusted))
    own = x509.load_der_x509_certificate(answer.certificate)
    now = datetime.now(UTC)
    wrong = [
        "" if set(names_in(own)) == set(row.names) else f"names {', '.join(names_in(own)) or 'none'}",
        "" if own.not_valid_before_utc <= now < own.not_valid_after_utc else f"valid from {own.not_valid_before_utc} to {own.not_valid_after_utc}",
    ]
    return "; ".join(part for part in wrong if part)


def floor(edge: Edge, row: Row) -> str:
    """Each version from the floor on is spoken, and each below it is refused by the other side.

    Raises:
        NotEvaluatedError: this machine cannot speak a version that has to be refused.
    """
    host, wrong = row.listener.host, []
    names = list(VERSIONS)
    if row.listener.floor not in names:
        raise NotEvaluatedError(host, "TLS floor", f"the matrix says {row.listener.floor}")
    lowest = names.index(row.listener.floor)
    for place, (name, version) in enumerate(VERSIONS.items()):
        try:
            agreed = edge.ask(host, tls=Tls(lowest=version, highest=version)).tls
        except WebError as error:
            if place >= lowest:
                wrong.append(f"{name} is refused: {error}")
            elif _ALERT not in str(error):
                raise NotEvaluatedError(host, f"TLS floor: {name}", f"it cannot be asked for from here: {error}") from error
            continue
        if place < lowest:
            wrong.append(f"agrees on {agreed}")
    return "; ".join(wrong)


def clear(edge: Edge, row: Row) -> str:
    """A plain request is sent to the same place on HTTPS, and there the browser is told to stay for as long as the matrix says."""
    listener, wrong = row.listener, []
    target = next((item for item in sorted(targets(row), key=lambda item: len(item.path)) if item.service), Target("/", "/"))
    plain = edge.ask(listener.host, target.example, tls=None)
    place = plain.headers.get("location", "")
    sent = plain.status in _REDIRECTS and place in (f"https://{listener.host}{target.example}", f"https://{listener.host}:443{target.example}")
    if listener.redirect is not None and sent is not listener.redirect:
        wrong.append(f"a plain request gets {plain.status}{f' to {place}' if place else ''}")
    age = max_age(edge.ask(listener.host, target.example).headers.get("strict-transport-security", ""))
    if listener.hsts is not None and age != listener.hsts:
        wrong.append(f"Strict-Transport-Security of {age} s")
    return "; ".join(wrong)


def max_age(header: str) -> int:
    """The seconds in a Strict-Transport-Security header; 0 when it says none (RFC 6797)."""
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name.lower() == "max-age" and value.strip('"').isdigit():
            return int(value.strip('"'))
    return 0


def routes(edge: Edge, row: Row) -> str:
    """Each path in Git is answered by its Service, as the access log tells, and a path that Git does not name by nobody."""
    listener, wrong = row.listener, []
    item = listener.item
    known = list(targets(row))
    for target in known:
        answer, line = edge.logged(listener.host, target.example)
        made_by = f"{line.get('resource_namespace')}/{line.get('resource_name')}"
        if made_by != f"{item.namespace}/{item.name}":
            wrong.append(f"{target.path} is served by {made_by}")
        if target.service and answer.status not in (401, 403):
            wrong += _reached(edge.platform.cluster.kubectl, target, line, item.namespace)
        elif target.service and line.get("upstream"):
            wrong.append(f"{target.path} was refused with {answer.status} and reached {line.get('upstream')}")
        elif not target.service and line.get("upstream_status") not in ("", None) and answer.status not in (401, target.status):
            wrong.append(f"{target.path} gets {answer.status}")
    if known and all(target.path.rstrip("/") for target in known):
        answer, line = edge.logged(listener.host, "/a-path-that-nobody-serves")
        if answer.status != 404 or line.get("upstream"):
            wrong.append(f"a path that is not in Git gets {answer.status} of {line.get('upstream') or 'nginx'}")
    return "; ".join(wrong)


def _reached(kubectl: Kubectl, target: Target, line: object, namespace: str) -> Iterable[str]:
    """What is wrong with where a request went, by the line of the access log."""
    told = mapping(line)
    service, upstream = text(told.get("service")), text(told.get("upstream"))
    if service != target.service:
        yield f"{target.path} is of service {service or 'nobody'}, not of {target.service}"
    last = upstream.split(",")[-1].strip().rpartition(":")[0]
    behind = endpoints(kubectl, target.service, namespace)
    if last not in behind:
        yield f"{target.path} reached {upstream or 'nobody'}, {target.service} is {', '.join(sorted(behind)) or 'without a pod'}"


def endpoints(kubectl: Kubectl, service: str, namespace: str) -> set[str]:
    """The addresses of the pods behind a Service."""
    slices = kubectl.list("endpointslices.discovery.k8s.io", namespace=namespace, selector=f"kubernetes.io/service-name={service}")
    return {text(address) for body in slices for entry in items(body.get("endpoints")) for address in items(mapping(entry).get("addresses"))}


def unserved(edge: Edge, host: str, status: int, default: tuple[str, ...]) -> str:
    """A host that nobody serves gets the default certificate and the default status, and no Service."""
    answer, line = edge.logged(host)
    names = names_in(x509.load_der_x509_certificate(answer.certificate))
    wrong = [
        "" if answer.status == status else f"status {answer.status}",
        "" if set(names) == set(default) else f"a certificate for {', '.join(names) or 'no name'}",
        "" if not line.get("upstream") and line.get("resource_name") in ("", None) else f"served by {line.get('resource_name')} at {line.get('upstream')}",
    ]
    return "; ".join(part for part in wrong if part)
