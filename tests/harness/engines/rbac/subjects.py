"""Who is asked about: users, groups and service accounts, with the groups that the API server adds to each.

Sources: Kubernetes v1.36, ``k8s.io/apiserver/pkg/authentication/{user,serviceaccount}``; RBAC documentation, "Referring to subjects".
"""

from __future__ import annotations

from typing import Final, NamedTuple

AUTHENTICATED: Final = "system:authenticated"
UNAUTHENTICATED: Final = "system:unauthenticated"
ANONYMOUS: Final = "system:anonymous"
MASTERS: Final = "system:masters"
ACCOUNTS: Final = "system:serviceaccounts"
_ACCOUNT: Final = "system:serviceaccount:"
#: Prefixes people may write, by kind.
_PREFIXES: Final = {"user": "User", "group": "Group", "sa": "ServiceAccount", "serviceaccount": "ServiceAccount"}


class Subject(NamedTuple):
    """A user, a group (someone of whom nothing but the membership is known), or a service account. ``namespace`` is a service account's own."""

    kind: str
    name: str
    namespace: str = ""

    def __str__(self) -> str:
        if self.kind == "ServiceAccount":
            return f"sa:{self.namespace}/{self.name}"
        return f"{self.kind.lower()}:{self.name}"

    @property
    def user(self) -> str:
        """The name the API server knows the subject by; empty for a member of a group."""
        return f"{_ACCOUNT}{self.namespace}:{self.name}" if self.kind == "ServiceAccount" else self.name if self.kind == "User" else ""

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups the subject is in for certain: its own first."""
        if self.kind == "ServiceAccount":
            return (f"{ACCOUNTS}:{self.namespace}", ACCOUNTS, AUTHENTICATED)
        if self.kind == "Group":
            return (self.name, *_implied(self.name))
        return (UNAUTHENTICATED,) if self.name == ANONYMOUS else (AUTHENTICATED,)


def _implied(group: str) -> tuple[str, ...]:
    if group.startswith(f"{ACCOUNTS}:"):
        return (ACCOUNTS, AUTHENTICATED)
    return () if group in (AUTHENTICATED, UNAUTHENTICATED) else (AUTHENTICATED,)


def service_account(namespace: str, name: str) -> Subject:
    return Subject("ServiceAccount", name, namespace)


def user_subject(name: str) -> Subject:
    """The subject of a user name: a service account when the name is that of one."""
    if name.startswith(_ACCOUNT):
        namespace, colon, account = name.removeprefix(_ACCOUNT).partition(":")
        if colon and namespace and account and ":" not in account:
            return service_account(namespace, account)
    return Subject("User", name)


def parse_subject(text: str) -> Subject:
    """``user:alice``, ``group:devs``, ``sa:namespace/name``, ``system:serviceaccount:namespace:name``; any other text is a user.

    Raises ValueError for a service account without namespace or name, and for an empty text.
    """
    prefix, colon, rest = text.partition(":")
    kind = _PREFIXES.get(prefix.lower()) if colon else None
    if kind == "ServiceAccount":
        namespace, slash, name = rest.partition("/")
        if not slash:
            namespace, _, name = rest.partition(":")
        if not namespace or not name or "/" in name:
            raise ValueError(f"{text}: write a service account as sa:namespace/name")
        return service_account(namespace, name)
    if kind is not None:
        if not rest:
            raise ValueError(f"{text}: the name is missing")
        return user_subject(rest) if kind == "User" else Subject(kind, rest)
    if not text:
        raise ValueError("a subject is written user:alice, group:devs or sa:namespace/name")
    return user_subject(text)
