"""HTTP and TLS as a client outside the cluster sees it: which address was asked, what certificate came, which version was agreed on.

Sources: RFC 8446 and 6066 (SNI), RFC 9110. Names are not resolved: an address and a host are given apart, as ``curl --resolve`` does.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECONDS: Final = 10.0


class WebError(OSError):
    """No answer: the connection, the TLS handshake or the response failed. The text says which."""


@dataclass(frozen=True)
class Answer:
    """A response. Names of headers are in lower case; ``tls`` is the agreed version (``TLSv1.3``), empty without TLS; ``certificate`` the server's, in DER."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    tls: str = ""
    certificate: bytes = field(default=b"", repr=False)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        """The body as JSON. Raises WebError when it is none."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise WebError(f"status {self.status}: the body is not JSON: {self.text[:200]!r}") from error


@dataclass(frozen=True, slots=True)
class Tls:
    """How TLS is to be spoken. ``authority``: PEM of what is trusted; None: nothing is checked. ``name``: what is sent as SNI and checked (None: the host).

    ``lowest`` and ``highest`` bound the version; ``client`` are the paths of a client's certificate and key.
    """

    authority: str | None = None
    name: str | None = None
    lowest: ssl.TLSVersion = ssl.TLSVersion.MINIMUM_SUPPORTED
    highest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED
    client: tuple[str, str] | None = None

    def context(self) -> ssl.SSLContext:
        """What Python's ssl needs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.authority is None:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            # Versions that nobody should speak any more must be asked for with ciphers that nobody should use.
            context.set_ciphers("ALL:@SECLEVEL=0")
        else:
            context.load_verify_locations(cadata=self.authority)
        context.minimum_version, context.maximum_version = self.lowest, self.highest
        if self.client is not None:
            context.load_cert_chain(*self.client)
        return context


def request(
    address: tuple[str, int],
    host: str,
    path: str = "/",
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    tls: Tls | None = None,
    timeout: float = _SECONDS,
) -> Answer:
    """One request to an address, for a host. Without ``tls`` it is plain HTTP. Redirects are not followed. Raises WebError."""
    try:
        with socket.create_connection(address, timeout) as plain:
            if tls is None:
                return _ask(plain, address, host, path, method, headers or {}, body)
            with tls.context().wrap_socket(plain, server_hostname=tls.name or host) as wrapped:
                # Asked first: the answer's end closes the connection.
                version, certificate = wrapped.version() or "", wrapped.getpeercert(binary_form=True) or b""
                answer = _ask(wrapped, address, host, path, method, headers or {}, body)
                return Answer(answer.status, answer.headers, answer.body, version, certificate)
    except (OSError, http.client.HTTPException) as error:
        raise WebError(f"{method} {host}{path} at {address[0]}:{address[1]}: {type(error).__name__}: {error}") from error


def _ask(stream: socket.socket, address: tuple[str, int], host: str, path: str, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
    connection = http.client.HTTPConnection(*address)
    connection.sock = stream
    connection.request(method, path, body or None, {"Host": host, "Connection": "close", **headers})
    response = connection.getresponse()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
