"""What the steps of a bootstrap share: how they are told and counted, which cluster may be touched, and how Secrets reach it."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import tempfile
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.live.reach.run import RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from harness.live.reach.kubectl import Kubectl

#: kustomize-controller takes over what this manager applied, fields that Git does not have included (kustomize-controller 1.9,
#: ``apply()``, ``ApplyCleanupOptions``); under another name they would stay for ever.
MANAGER: Final = "kubectl"


class BootstrapError(Exception):
    """A step cannot be done. The text says what to do, and holds no secret."""


class UnreachableError(BootstrapError):
    """What is asked is not there yet, or does not answer yet."""


class State(Enum):
    """How far a step is."""

    DONE = "done"
    TODO = "to do"
    WAITING = "waiting"
    """Somebody else is at it: Flux, a controller, another keeper of keys."""
    UNKNOWN = "unknown"
    """It cannot be told with what was given."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a bootstrap: its name, how far it is, what was seen, and the command that does it."""

    name: str
    state: State
    found: str
    command: str = ""


@dataclass
class Journal:
    """Tells what is done. ``changes`` counts what was changed, so that a run that changed nothing can say so."""

    tell: Callable[[str], None] = lambda _text: None
    changes: int = field(default=0, init=False)

    def say(self, text: str) -> None:
        """Tell something that changed nothing."""
        self.tell(text)

    def changed(self, text: str) -> None:
        """Tell of a change that was made."""
        self.changes += 1
        self.tell(text)


def fits(context: str, cluster: str) -> bool:
    """Whether a context is named after a cluster: its whole name or the last part of it (``admin@production``, ``…:cluster/production``,
    ``gke_project_zone_production``), or for a cluster called ``kind`` any that the program kind makes."""
    if cluster == "kind" and context.startswith("kind-"):
        return True
    return cluster in (context, re.split(r"[/@:_]", context)[-1]) or context == f"kind-{cluster}"


def check_context(kubectl: Kubectl, cluster: str, vouched: str = "") -> None:
    """Refuse every cluster but the one that is meant. ``vouched`` is a context that somebody named a second time.

    Besides the name of the context, what the cluster says itself counts: its ``cluster-vars``, once it has them.

    Raises:
        BootstrapError: it is, or may be, another cluster.
    """
    context = kubectl.context
    if not context:
        raise BootstrapError("say which cluster with --context: the current context of a kubeconfig is too easily another one")
    if not fits(context, cluster) and vouched != context:
        raise BootstrapError(f"context {context} is not named after the cluster {cluster}: add --i-know-this-is {context} when it is that cluster nevertheless")
    found = kubectl.get("configmap", "cluster-vars", "flux-system")
    says = str(((found or {}).get("data") or {}).get("CLUSTER_NAME", cluster))
    if says != cluster:
        raise BootstrapError(f"the cluster behind context {context} says that it is {says} (ConfigMap flux-system/cluster-vars), not {cluster}: nothing done")


def apply(kubectl: Kubectl, objects: Iterable[Mapping[str, Any]] | str, *, force: bool = True, timeout: float = 120) -> str:
    """Apply objects, or YAML as it stands, on the server's side, so that Flux can take them over. The text goes through standard input."""
    import json

    text = objects if isinstance(objects, str) else json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    options = ["--server-side", f"--field-manager={MANAGER}", "--validate=strict", "--filename=-", *(["--force-conflicts"] if force else [])]
    return kubectl("apply", *options, stdin=text, timeout=timeout)


def apply_secret(
    kubectl: Kubectl, namespace: str, name: str, kind: str, data: Mapping[str, bytes], labels: Mapping[str, str] | None = None, *, make_namespace: bool = True
) -> None:
    """Make or change one Secret, and the namespace before it where it is not there.

    Raises:
        BootstrapError: it was refused. The message holds nothing of the Secret, whatever the server echoed.
    """
    if make_namespace and kubectl.get("namespace", namespace) is None:
        apply(kubectl, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}])
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels or {})},
        "type": kind,
        "data": encoded,
    }
    try:
        apply(kubectl, [secret])
    except RunError as error:
        reason = redacted(error.reason, [*encoded.values(), *(value.decode("utf-8", "replace") for value in data.values())])
        raise BootstrapError(f"Secret {namespace}/{name} was refused: {reason}") from None


def redacted(text: str, secrets: Iterable[str]) -> str:
    """A text without these secrets, line by line where they have several."""
    for secret in secrets:
        for line in (secret, *secret.splitlines()):
            if len(line.strip()) >= 6:
                text = text.replace(line.strip(), "(secret)")
    return text


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all.

    Raises:
        BootstrapError: it cannot be written there.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise BootstrapError(f"{path} cannot be written: {error.strerror}") from error


def check_writable(path: Path) -> None:
    """Refuse a place where :func:`write_private` would fail, before anything is made that would be lost."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            pass
    except OSError as error:
        raise BootstrapError(f"{path} cannot be written: {error.strerror}") from error
    if path.is_dir():
        raise BootstrapError(f"{path} is a folder")


def condition(item: Mapping[str, Any] | None, kind: str = "Ready") -> tuple[str, str]:
    """Status and message of one condition of an object; empty texts where there is none, or no object."""
    for found in ((item or {}).get("status") or {}).get("conditions") or ():
        if found.get("type") == kind:
            return str(found.get("status", "")), str(found.get("message", ""))
    return "", ""
