"""Probes of Sealed Secrets: values sealed here, opened by the controller, and read by a pod, in a namespace of a tenant."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from harness.engines.secrets.sealed import Scope
from harness.live.bootstrap.base import condition
from harness.live.faults import applied
from harness.live.ground.sealing import places, seal, unseal
from harness.live.reach.wait import Clock, WaitError, wait

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.live.bootstrap.sealing import Pair
    from harness.live.reach.kubectl import Kubectl
    from harness.model import Object

KIND: Final = "sealedsecrets.bitnami.com"
_KEY: Final = "token"


@dataclass(frozen=True)
class Sealer:
    """Seals values for a certificate and sees whether the cluster opens them, within ``seconds``. ``image``: one with a shell that admission lets in."""

    kubectl: Kubectl
    namespace: str
    image: str
    seconds: float = 15
    clock: Clock = field(default_factory=Clock)

    def opens(self, certificate: str, *, namespace: str = "", name: str = "", scope: Scope = Scope.STRICT) -> str:
        """Empty text when a fresh value that is sealed for a certificate is opened; else what the controller says. It is sealed for another namespace, name
        or scope than it is used under where these are given."""
        value, own = secrets.token_hex(16), new_name()
        with self.applied(own, seal(certificate, value.encode(), namespace or self.namespace, name or own, scope)):
            return self._opened(own, value)

    def used(self, certificate: str) -> str:
        """Empty text when a pod that mounts a fresh value reads it; else how far it came."""
        value, name = secrets.token_hex(16), new_name()
        digest = hashlib.sha256(value.encode()).hexdigest()
        with self.applied(name, seal(certificate, value.encode(), self.namespace, name)), applied(self.kubectl, *reader(name, self.namespace, self.image)):
            said = [""]

            def read() -> bool:
                said[0] = self.kubectl.logs(name, self.namespace, lines=1)
                return digest in said[0]

            try:
                wait(read, timeout=self.seconds, status=lambda: f"{self._state(name)}; the pod says: {said[0].strip()[:200] or 'nothing'}", clock=self.clock)
            except WaitError as error:
                return error.status
        return ""

    @contextmanager
    def applied(self, name: str, sealed: str) -> Iterator[None]:
        """The cluster with one SealedSecret more."""
        body = {
            "apiVersion": "bitnami.com/v1alpha1",
            "kind": "SealedSecret",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"encryptedData": {_KEY: sealed}},
        }
        with applied(self.kubectl, body):
            yield

    def _opened(self, name: str, value: str) -> str:
        def state() -> str:
            secret = self.kubectl.get("secret", name, self.namespace)
            if secret is None:
                return self._state(name)
            return "" if decoded(secret).get(_KEY) == value else "the Secret holds something else"

        refused = [""]

        def refusal() -> str:
            refused[0] = _refusal(self.kubectl.get(KIND, name, self.namespace))
            return refused[0]

        try:
            # What the controller refuses it says; there is nothing to wait for then.
            wait(lambda: not state(), error=refusal, timeout=self.seconds, status=state, clock=self.clock)
        except WaitError as error:
            # The status is of a moment before.
            return refused[0] or error.status
        return ""

    def _state(self, name: str) -> str:
        status, message = condition(self.kubectl.get(KIND, name, self.namespace), "Synced")
        return f"Synced {status or 'not said'}{f': {message}' if message else ''}"


def reader(name: str, namespace: str, image: str) -> list[dict[str, Any]]:
    """A pod that says the digest of a value of the Secret of its name, and waits a little; with an account that may nothing before it."""
    container = {
        "name": "reader",
        "image": image,
        "command": ["sh", "-c", f"sha256sum /sealed/{_KEY} && sleep 60"],
        "resources": {"requests": {"cpu": "5m", "memory": "8Mi"}, "limits": {"memory": "16Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "sealed", "mountPath": "/sealed", "readOnly": True}],
    }
    spec = {
        "serviceAccountName": name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "runAsGroup": 65534, "fsGroup": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "sealed", "secret": {"secretName": name}}],
    }
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": namespace}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "automountServiceAccountToken": False}
    return [account, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}]


def new_name() -> str:
    """A name that no other proof has."""
    return f"proof-sealed-{secrets.token_hex(4)}"


def decoded(secret: dict[str, Any]) -> dict[str, str]:
    """The texts in a Secret."""
    return {key: base64.b64decode(value).decode("utf-8", "replace") for key, value in (secret.get("data") or {}).items()}


def differences(kubectl: Kubectl, objects: Iterable[Object], pairs: Iterable[Pair]) -> list[tuple[Object, str]]:
    """The SealedSecrets of a cluster that are not open, or whose Secret is not what is sealed; what is wrong, without any value."""
    keys = [pair.key for pair in pairs]
    found: list[tuple[Object, str]] = []
    for item in {holder.id: holder for holder, _target, _sealed in places(objects)}.values():
        live = kubectl.get(KIND, item.name, item.namespace)
        if live is None:
            found.append((item, "it is not in the cluster"))
            continue
        status, message = condition(live, "Synced")
        if status != "True":
            found.append((item, f"Synced {status or 'not said'}: {message}"))
        values = decoded(kubectl.get("secret", item.name, item.namespace) or {})
        for key, sealed in live["spec"]["encryptedData"].items():
            inside = [text for each in keys if (text := _inside(each, sealed, item)) is not None]
            if not inside:
                found.append((item, f"{key}: none of the cluster's keys opens it under this namespace and name"))
            elif values.get(key) != inside[0]:
                found.append((item, f"{key}: the Secret {'has no such key' if key not in values else 'holds something else than what is sealed'}"))
    return found


def _inside(key: str, sealed: str, item: Object) -> str | None:
    try:
        return unseal(key, sealed, item.namespace, item.name).decode("utf-8", "replace")
    except (ValueError, binascii.Error):
        return None


def signed_with(token: str, secret: str | bytes) -> bool:
    """Whether a JWT was signed with a secret (RFC 7515, HS256)."""
    body, _, signature = token.rpartition(".")
    key = secret.encode() if isinstance(secret, str) else secret
    mac = hmac.new(key, body.encode(), hashlib.sha256).digest()
    return hmac.compare_digest(base64.urlsafe_b64encode(mac).rstrip(b"=").decode(), signature)


def _refusal(live: dict[str, Any] | None) -> str:
    status, message = condition(live, "Synced")
    return f"Synced False: {message}" if status == "False" else ""
