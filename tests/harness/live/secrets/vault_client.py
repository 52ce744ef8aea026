"""Vault as those see it who use it: logins of service accounts, requests with their tokens, and an operator's right for as long as a proof lasts.

Nobody has a lasting token: the root token is revoked at the end of the bootstrap. A token of a service account is what logs in, and admission lets three
controllers alone create those; the run asks as one of them, which only a cluster administrator may (impersonation).
"""

from __future__ import annotations

import json
import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from harness.live.bootstrap.vault_api import NAMESPACE, SERVER, authority_of
from harness.live.reach.forwards import Client
from harness.live.reach.web import Answer, Tls, WebError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.live.reach.forwards import Forwards
    from harness.live.reach.kubectl import Kubectl

#: Who may create tokens of service accounts (policy restrict-token-requests); with an administrator's group.
_ISSUER: Final = "system:serviceaccount:vault:vault"
_ADMINISTRATORS: Final = "system:masters"
#: The account whose login may write policies and roles.
CONFIGURER: Final = "vault-config"
#: How policies and roles of proofs are called.
PREFIX: Final = "plimsoll-proof-"
#: Seconds after which no proof still runs.
_OLD: Final = 3600
_TIDY: Final = f"""
path "sys/policies/acl" {{ capabilities = ["list"] }}
path "sys/policies/acl/{PREFIX}*" {{ capabilities = ["read", "delete"] }}
path "auth/kubernetes/role" {{ capabilities = ["list"] }}
path "auth/kubernetes/role/{PREFIX}*" {{ capabilities = ["read", "delete"] }}
"""


class RefusedError(WebError):
    """Vault answered a request with an error. ``status`` is its code."""

    def __init__(self, what: str, answer: Answer) -> None:
        try:
            errors = "; ".join(" ".join(str(each).split()) for each in answer.json.get("errors") or ())
        except (WebError, AttributeError):
            errors = ""
        super().__init__(f"{what}: status {answer.status}{f': {errors}' if errors else ''}")
        self.status = answer.status


@dataclass(frozen=True)
class VaultClient:
    """Requests to the member that leads."""

    kubectl: Kubectl
    forwards: Forwards
    authority: str = field(repr=False)

    @classmethod
    def of(cls, kubectl: Kubectl, forwards: Forwards) -> VaultClient:
        """One that trusts whoever signs Vault's certificate now. Raises BootstrapError when it has none."""
        return cls(kubectl, forwards, authority_of(kubectl))

    def ask(self, method: str, path: str, body: Any = None, token: str = "") -> Answer:
        """The answer to ``/v1/<path>``, whatever it is. Raises WebError when nobody leads, or nothing answers."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        headers = {"X-Vault-Request": "true", **({"X-Vault-Token": token} if token else {})}
        tls = Tls(self.authority, SERVER)
        return Client(self.forwards, "svc/vault-active", 8200, NAMESPACE, tls, SERVER).ask(f"/v1/{path}", method=method, headers=headers, body=data)

    def good(self, method: str, path: str, body: Any = None, token: str = "") -> dict[str, Any]:
        """The object that a request is answered with; empty for none. Raises RefusedError."""
        answer = self.ask(method, path, body, token)
        if answer.status >= 400:
            raise RefusedError(f"{method} {path}", answer)
        found = answer.json if answer.body else {}
        return found if isinstance(found, dict) else {}

    def names(self, path: str, token: str) -> list[str]:
        """The keys of a listing; none when Vault has nothing there."""
        answer = self.ask("LIST", path, None, token)
        if answer.status == 404:
            return []
        if answer.status >= 400:
            raise RefusedError(f"LIST {path}", answer)
        return [str(key) for key in answer.json["data"]["keys"]]

    def account_token(self, namespace: str, account: str, audience: str = "vault") -> str:
        """A token of a service account, good for ten minutes and for one audience."""
        return self.kubectl(
            *("create", "token", account, f"--namespace={namespace}", f"--audience={audience}", "--duration=10m"),
            *(f"--as={_ISSUER}", f"--as-group={_ADMINISTRATORS}"),
        ).strip()

    def login(self, role: str, namespace: str, account: str, audience: str = "vault") -> str:
        """Vault's token for a service account that logs in with a role. Raises RefusedError."""
        jwt = self.account_token(namespace, account, audience)
        return str(self.good("POST", "auth/kubernetes/login", {"role": role, "jwt": jwt})["auth"]["client_token"])

    @contextmanager
    def logged_in(self, role: str, namespace: str, account: str, audience: str = "vault") -> Iterator[str]:
        """A token that is revoked at the end, and its leases with it."""
        token = self.login(role, namespace, account, audience)
        try:
            yield token
        finally:
            self.ask("POST", "auth/token/revoke-self", {}, token)

    @contextmanager
    def operator(self, policy: str) -> Iterator[str]:
        """A token with the rights of a policy (HCL) for the duration of a block: of the power that the Job vault-config has, who writes policies.

        What interrupted proofs left of such policies and roles is removed too.
        """
        name = f"{PREFIX}{int(time.time())}-{secrets.token_hex(4)}"
        role = {
            "bound_service_account_names": CONFIGURER,
            "bound_service_account_namespaces": NAMESPACE,
            "audience": "vault",
            "token_policies": name,
            "token_ttl": "15m",
        }
        with self.logged_in(CONFIGURER, NAMESPACE, CONFIGURER) as configurer:
            self.good("PUT", f"sys/policies/acl/{name}", {"policy": _TIDY + policy}, configurer)
            self.good("PUT", f"auth/kubernetes/role/{name}", role, configurer)
        with self.logged_in(name, NAMESPACE, CONFIGURER) as token:
            try:
                yield token
            finally:
                self._tidy(name, token)

    def _tidy(self, own: str, token: str) -> None:
        # The policy that the token lives on goes last.
        for kind in ("auth/kubernetes/role", "sys/policies/acl"):
            left = [name for name in self.names(kind, token) if name != own and _is_old(name)]
            for name in (*left, own):
                self.good("DELETE", f"{kind}/{name}", None, token)


def _is_old(name: str) -> bool:
    """Whether a policy or role is of a proof that must have ended long ago."""
    made = name.removeprefix(PREFIX).partition("-")[0]
    return name.startswith(PREFIX) and (not made.isdecimal() or time.time() - int(made) > _OLD)
