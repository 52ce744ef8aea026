"""Vault's HTTP API through a forwarded port: no shell in its pods, no token in an argument, and its certificate is checked.

Where the platform's policies hold, nobody gets a shell in the namespace ``vault`` and nobody makes tokens by hand; ports may be forwarded.
"""

from __future__ import annotations

import base64
import binascii
import http.client
import json
import shlex
import socket
import ssl
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from harness.live.bootstrap.base import BootstrapError, UnreachableError, condition
from harness.live.reach.run import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from harness.live.reach.kubectl import Kubectl

NAMESPACE: Final = "vault"
#: The name that every member's certificate has.
SERVER: Final = "vault.vault.svc"
_PORT: Final = 8200
_SECONDS: Final = 60


@dataclass(frozen=True)
class Answer:
    """What Vault answered. ``repr`` shows no body: it may hold keys."""

    status: int
    body: bytes = b""

    @property
    def json(self) -> dict[str, Any]:
        """The body as an object; empty when it is none."""
        try:
            found = json.loads(self.body or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def errors(self) -> str:
        """What Vault says is wrong, in one line."""
        return "; ".join(str(each).strip().replace("\n", " ") for each in self.json.get("errors") or ()) or f"status {self.status}"

    def __repr__(self) -> str:
        return f"Answer({self.status}, {len(self.body)} bytes)"


class Transport(Protocol):
    """One way to a member of Vault."""

    def __call__(self, method: str, path: str, body: Any = None, token: str = "") -> Answer:
        """Ask ``/v1/<path>``. ``body`` is bytes or what becomes JSON. Raises BootstrapError when there is no answer."""


class Connect(Protocol):
    """Opens ways to members."""

    def __call__(self, pod: str) -> AbstractContextManager[Transport]:
        """A way to one pod, open for the duration of a block."""


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Ways to members through ``kubectl port-forward``. ``authority``: the certificates that sign Vault's, in PEM; looked up when empty."""

    kubectl: Kubectl
    authority: str = ""

    @contextmanager
    def __call__(self, pod: str) -> Iterator[Transport]:
        with self.open(pod) as (_port, way):
            yield way

    @contextmanager
    def open(self, pod: str) -> Iterator[tuple[int, Transport]]:
        """The same, with the local port."""
        context = ssl.create_default_context(cadata=self.authority or authority_of(self.kubectl))
        with self._forward(pod) as port:

            def ask(method: str, path: str, body: Any = None, token: str = "") -> Answer:
                data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
                connection = _Connection(port, context)
                try:
                    connection.request(method, f"/v1/{path}", data, {"X-Vault-Request": "true", **({"X-Vault-Token": token} if token else {})})
                    response = connection.getresponse()
                    return Answer(response.status, response.read())
                except (OSError, http.client.HTTPException) as error:
                    raise UnreachableError(f"{pod} does not answer: {type(error).__name__}: {error}") from error
                finally:
                    connection.close()

            yield port, ask

    @contextmanager
    def _forward(self, pod: str) -> Iterator[int]:
        with ExitStack() as stack:
            try:
                port = stack.enter_context(self.kubectl.port_forward(f"pod/{pod}", _PORT, NAMESPACE))
            except RunError as error:
                raise UnreachableError(f"{pod}: no port could be forwarded: {error.reason}") from error
            yield port


class _Connection(http.client.HTTPSConnection):
    """HTTPS to a forwarded port, held to the name in the member's certificate."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__("127.0.0.1", port, timeout=_SECONDS, context=context)
        self._tls = context

    def connect(self) -> None:
        plain = socket.create_connection((self.host, self.port), _SECONDS)
        self.sock = self._tls.wrap_socket(plain, server_hostname=SERVER)


def authority_of(kubectl: Kubectl) -> str:
    """The certificates that sign Vault's: from the last CertificateRequest, which platform administrators may read, else from the Secret.

    Raises BootstrapError when there is neither: cert-manager has not issued it yet.
    """
    requests = [
        item
        for item in kubectl.list("certificaterequests.cert-manager.io", namespace=NAMESPACE)
        if (item["metadata"].get("annotations") or {}).get("cert-manager.io/certificate-name") == "vault-tls" and condition(item)[0] == "True"
    ]
    requests.sort(key=lambda item: str(item["metadata"].get("creationTimestamp", "")))
    found = [str(item["status"].get("ca", "")) for item in requests[-1:]]
    if not any(found):
        secret = kubectl.get("secret", "vault-tls", NAMESPACE) or {}
        found = [str((secret.get("data") or {}).get("ca.crt", ""))]
    try:
        text = base64.b64decode(found[-1], validate=True).decode()
    except (ValueError, binascii.Error):
        text = ""
    if "BEGIN CERTIFICATE" not in text:
        raise UnreachableError(
            "Vault has no certificate yet: look at `kubectl -n vault describe certificate vault-tls`, or give its authority with --authority"
        )
    return text


@dataclass(frozen=True, slots=True)
class Command:
    """One ``vault`` command, and the request that it is."""

    words: tuple[str, ...]
    method: str
    path: str
    body: dict[str, Any]
    listing: str = ""
    """What to ask first: where the answer names ``entry`` the command is done already."""
    entry: str = ""

    def __str__(self) -> str:
        return " ".join(("vault", *self.words))


def commands(script: str, files: dict[str, str]) -> list[Command]:
    """The ``vault`` commands in the comment at the head of a script, in their order, without those for keys and tokens.

    ``files``: the texts that commands name. The script is where they are written down for people; this runs what stands there and nothing else.

    Raises:
        BootstrapError: a command is not one of those that are known here, or names a file that is not there.
    """
    lines: list[str] = []
    for line in script.splitlines()[1:]:
        if not line.startswith("#"):
            break
        text = line[1:].strip()
        if lines and lines[-1].endswith("\\"):
            lines[-1] = lines[-1][:-1] + text
        elif text.startswith("vault "):
            lines.append(text)
    found = [_command(shlex.split(line)[1:], files) for line in lines if not line.startswith(("vault operator ", "vault token "))]
    if not found:
        raise BootstrapError("the head of the script names no vault command")
    return found


def _command(words: list[str], files: dict[str, str]) -> Command:
    given = tuple(words)
    options = {name[1:]: value for name, _sign, value in (word.partition("=") for word in words if word.startswith("-"))}
    match [word for word in words if not word.startswith("-")]:
        case ["audit", "enable", kind, *rest]:
            at = options.get("path", kind)
            return Command(given, "PUT", f"sys/audit/{at}", {"type": kind, "options": _pairs(rest)}, "sys/audit", f"{at}/")
        case ["auth", "enable", kind]:
            at = options.get("path", kind)
            return Command(given, "POST", f"sys/auth/{at}", {"type": kind}, "sys/auth", f"{at}/")
        case ["policy", "write", name, file] if file in files:
            return Command(given, "PUT", f"sys/policies/acl/{name}", {"policy": files[file]})
        case ["write", path, *rest] if rest:
            return Command(given, "PUT", path, _pairs(rest))
    raise BootstrapError(f"vault {' '.join(words)}: not a command that the bootstrap knows")


def _pairs(words: list[str]) -> dict[str, Any]:
    if wrong := [word for word in words if "=" not in word]:
        raise BootstrapError(f"{wrong[0]}: not key=value")
    return {name: value for name, _sign, value in (word.partition("=") for word in words)}
