"""Every SealedSecret's values of a cluster, random and sealed for one run's key: no private key and no secret is ever in Git.

The key itself is made, brought into the cluster and read back by :mod:`harness.live.bootstrap_sealing`, as on a real cluster.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from harness.engines.secrets.sealed import scope_of
from harness.live.bootstrap_sealing import seal
from harness.model.shapes import mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from harness.model import Object

SEALED: Final = "SealedSecret.bitnami.com"


@dataclass(frozen=True, slots=True)
class Sealed:
    """The values of one cluster, sealed for one run.

    ``variables``: the ciphertext of each variable that a SealedSecret's values stand in, by ConfigMap (namespace, name) and key.
    ``literals``: the ciphertexts of SealedSecrets that hold theirs in their own file, by key. ``plain``: what is inside, by (namespace, name, key); in no
    representation.
    """

    variables: dict[tuple[str, str], dict[str, str]]
    literals: list[tuple[Object, dict[str, str]]]
    plain: dict[tuple[str, str, str], str] = field(repr=False)


def seal_all(objects: Iterable[Object], certificate: str, make: Callable[[str, str], str] | None = None) -> Sealed:
    """New random values for every SealedSecret of a cluster, sealed for a certificate.

    A value that stands in a ConfigMap of variables replaces it there; any other is replaced in the SealedSecret. A variable that several SealedSecrets use
    can be sealed for one label only, so the later ones get literals. ``make`` gives the value for a key of a Secret of a type.
    """
    make = make or random_value
    known = list(objects)
    holders: dict[str, tuple[tuple[str, str], str]] = {}
    for item in known:
        if str(item.group_kind) == "ConfigMap":
            for name, value in mapping(item.body.get("data")).items():
                if isinstance(value, str) and len(value) > 64:
                    holders.setdefault(value.strip(), ((item.namespace, item.name), str(name)))
    variables: dict[tuple[str, str], dict[str, str]] = {}
    literals: list[tuple[Object, dict[str, str]]] = []
    plain: dict[tuple[str, str, str], str] = {}
    for item in known:
        if str(item.group_kind) != SEALED:
            continue
        scope = scope_of(item.annotations)
        kind = str(item.get("spec", "template", "type", default=""))
        own: dict[str, str] = {}
        for name, value in mapping(item.spec.get("encryptedData")).items():
            secret = plain[item.namespace, item.name, str(name)] = make(kind, str(name))
            sealed = seal(certificate, secret.encode(), item.namespace, item.name, scope)
            holder = holders.get(value.strip()) if isinstance(value, str) else None
            if holder is None or holder[1] in variables.get(holder[0], {}):
                own[str(name)] = sealed
            else:
                variables.setdefault(holder[0], {})[holder[1]] = sealed
        if own:
            literals.append((item, own))
    return Sealed(variables, literals, plain)


def random_value(kind: str, key: str) -> str:
    """A random value of the form that a key of a Secret of a type needs: an address for ``url``, a line of htpasswd, else 32 random bytes as text."""
    random = secrets.token_urlsafe(32)
    if key == "url" or key.endswith(("-url", "_url")):
        return f"http://receiver.invalid/{random}"
    if kind == "nginx.org/htpasswd" or key in ("htpasswd", "auth"):
        # nginx reads {SHA}; the password is not kept: who needs to log in seals one of their own.
        return f"operator:{{SHA}}{base64.b64encode(hashlib.sha1(random.encode(), usedforsecurity=False).digest()).decode()}"
    return random
