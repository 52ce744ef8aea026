"""What ``kubectl get --output=json`` answers, without starting kubectl: proofs ask every second, and a start costs a third of a second of processor time.

Only plain questions are answered here: kinds, a name, a namespace, a selector. Whatever else is asked, and every kind that the server's discovery does not
show, is left to kubectl. Sources: Kubernetes API concepts (resource URIs, discovery), kubectl's resource arguments (``kind.version.group``).
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.live.reach.run import RunError
from harness.live.reach.web import WebError
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.live.reach.api import Api

_VERSION: Final = re.compile(r"^v[0-9]+(?:(?:alpha|beta)[0-9]+)?$")
_PLAIN: Final = ("--namespace=", "--selector=", "--all-namespaces", "--output=json")


class _Kind(NamedTuple):
    """A kind as the server serves it."""

    root: str
    api_version: str
    name: str
    kind: str
    namespaced: bool

    def path(self, namespace: str, name: str = "") -> str:
        inside = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        return f"{self.root}{inside}/{self.name}" + (f"/{name}" if name else "")


class Reader:
    """Answers questions over kept connections. Threads may share it."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._known: dict[str, _Kind] = {}

    def answer(self, arguments: Sequence[str]) -> dict[str, Any] | None:
        """The answer to the arguments of a ``kubectl get``; None for what kubectl has to be asked.

        Raises:
            RunError: there is no such object, said as kubectl says it.
        """
        words = [word for word in arguments if not word.startswith("-")]
        options = [word for word in arguments if word.startswith("-")]
        if not words or words[0] != "get" or len(words) not in (2, 3) or not all(option.startswith(_PLAIN) for option in options):
            return None
        given = dict(option.lstrip("-").partition("=")[::2] for option in options)
        try:
            kinds = [self._kind(kind) for kind in words[1].split(",")]
            if any(kind is None for kind in kinds) or (len(words) == 3 and len(kinds) > 1):
                return None
            known = [kind for kind in kinds if kind is not None]
            # kubectl takes the namespace of its context when none is named: that is for kubectl to know.
            everywhere = "all-namespaces" in given
            if not everywhere and "namespace" not in given and any(kind.namespaced for kind in known):
                return None
            if len(words) == 3:
                return self._one(arguments, known[0], words[2], given.get("namespace", ""))
            namespace = "" if everywhere else given.get("namespace", "")
            found = [item for kind in known for item in self._listed(kind, namespace, given.get("selector", ""))]
        except (WebError, _RefusedError):
            return None
        return {"apiVersion": "v1", "kind": "List", "items": found}

    def _one(self, arguments: Sequence[str], kind: _Kind, name: str, namespace: str) -> dict[str, Any] | None:
        reply = self._api.ask("GET", kind.path(namespace, name))
        if reply.status == 404:
            raise RunError(["kubectl", *arguments], "ended with code 1", code=1, stderr=f"Error from server (NotFound): {reply.message}")
        return reply.body if reply.ok else None

    def _listed(self, kind: _Kind, namespace: str, selector: str) -> Iterator[dict[str, Any]]:
        reply = self._api.ask("GET", kind.path(namespace), {"labelSelector": selector} if selector else None)
        if not reply.ok or not isinstance(reply.body.get("items"), list):
            raise _RefusedError
        for item in reply.body["items"]:
            if isinstance(item, dict):
                # What is in a list does not say what it is.
                yield {"apiVersion": kind.api_version, "kind": kind.kind, **item}

    def _kind(self, asked: str) -> _Kind | None:
        """A kind as kubectl takes it: ``pods``, ``deployments.apps``, ``Deployment.v1.apps``."""
        with self._lock:
            known = self._known.get(asked)
        if known is None:
            known = self._discover(asked)
            if known is not None:
                with self._lock:
                    self._known[asked] = known
        return known

    def _discover(self, asked: str) -> _Kind | None:
        name, _, rest = asked.lower().partition(".")
        version, _, group = rest.partition(".")
        if not _VERSION.match(version):
            version, group = "", rest
        if not group:
            root, api_version = "/api/v1", "v1"
        else:
            if not version:
                version = text(mapping(self._api.ask("GET", f"/apis/{group}").body.get("preferredVersion")).get("version"))
            root, api_version = f"/apis/{group}/{version}", f"{group}/{version}"
        for entry in map(mapping, items(self._api.ask("GET", root).body.get("resources"))):
            names = {text(entry.get("name")), text(entry.get("singularName")), text(entry.get("kind")).lower(), *map(text, items(entry.get("shortNames")))}
            if name in names and "/" not in text(entry.get("name")):
                return _Kind(root, api_version, text(entry.get("name")), text(entry.get("kind")), entry.get("namespaced") is True)
        return None


class _RefusedError(Exception):
    """The server did not answer as it should: kubectl says why better."""
