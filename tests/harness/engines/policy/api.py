"""What the policy engine takes and gives: requests, results, and what the world around a request is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from harness.model.shapes import mapping, text

if TYPE_CHECKING:
    from datetime import datetime

    from harness.model import Pointer

Json = Mapping[str, Any]


class Status(StrEnum):
    """What a policy says of a request. Values are Kyverno's words, and one of ours: *not evaluated*."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    SKIP = "skip"
    ERROR = "error"
    NOT_EVALUATED = "not-evaluated"


class Resource(NamedTuple):
    """A resource as the API server names it. ``namespaced`` is None when nobody knows."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool | None = None

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


class PolicyId(NamedTuple):
    """A policy by its kind, namespace (empty for cluster-wide ones) and name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return "/".join(part for part in self if part)


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One admission request (``admission.k8s.io/v1 AdmissionRequest``).

    ``object`` is None on DELETE and ``old_object`` is None on CREATE. ``namespace`` is the body of the Namespace the object is in, None when
    it is cluster-scoped; when a namespaced object's Namespace is unknown, only its name label is assumed. ``user`` has ``username``, ``uid``,
    ``groups`` and ``extra``. ``resource`` is found from the object's kind when it is None; ``name`` and ``namespace_name`` from its metadata.
    """

    object: Json | None
    old_object: Json | None = None
    operation: str = "CREATE"
    namespace: Json | None = None
    user: Json = field(default_factory=dict)
    subresource: str = ""
    dry_run: bool = False
    options: Json | None = None
    resource: Resource | None = None
    name: str | None = None
    namespace_name: str | None = None
    uid: str = ""

    @property
    def subject(self) -> Json:
        """The object, or what is deleted."""
        return self.object if self.object is not None else self.old_object if self.old_object is not None else {}

    @property
    def object_name(self) -> str:
        return self.name if self.name is not None else text(mapping(self.subject.get("metadata")).get("name"))

    @property
    def object_namespace(self) -> str:
        """The namespace the object is in; empty for cluster-scoped ones."""
        if self.namespace_name is not None:
            return self.namespace_name
        declared = text(mapping(self.subject.get("metadata")).get("namespace"))
        return declared or (text(mapping(self.namespace.get("metadata")).get("name")) if self.namespace is not None else "")


@dataclass(frozen=True, slots=True)
class Result:
    """What one policy, or one rule of it, says of one request.

    ``rule`` names the part that spoke: empty for the policy as written, ``autogen-defaults`` and ``autogen-cronjobs`` for what Kyverno derives
    for pod controllers, a legacy rule's name, or a binding's name. ``index`` is the validation that failed or could not be evaluated.
    ``message`` is what the user reads; ``reason`` is why there is no verdict (SKIP, ERROR, NOT_EVALUATED), or the status reason of a
    ValidatingAdmissionPolicy. ``actions`` are those of the policy (``Deny``, ``Audit``, ``Warn``). ``exceptions`` are ``namespace/name``.
    """

    policy: PolicyId
    status: Status
    rule: str = ""
    index: int | None = None
    message: str = ""
    reason: str = ""
    actions: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    tolerated: bool = False
    """An error that the policy's failurePolicy Ignore lets through."""

    @property
    def denied(self) -> bool:
        """Whether the API server refuses the request because of this result."""
        return "Deny" in self.actions and (self.status is Status.FAIL or (self.status is Status.ERROR and not self.tolerated))


@dataclass(frozen=True, slots=True)
class PolicyProblem:
    """Something in a policy that cannot work, or that this engine cannot evaluate (``unsupported``), with the place in the policy's body."""

    policy: PolicyId
    pointer: Pointer
    message: str
    expression: str = ""
    unsupported: bool = False


@dataclass(frozen=True, slots=True)
class Generated:
    """What a GeneratingPolicy made of a request: the objects in order, or why there are none."""

    policy: PolicyId
    status: Status
    objects: tuple[Json, ...] = ()
    reason: str = ""
    exceptions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deletion:
    """Whether a DeletingPolicy would delete an object when its schedule comes."""

    policy: PolicyId
    status: Status
    """PASS: it is deleted; SKIP: its conditions do not hold; ERROR and NOT_EVALUATED with a reason."""
    schedule: str = ""
    reason: str = ""
    exceptions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageCheck:
    """The images of a request that an ImageValidatingPolicy covers, by the name of the extractor (``containers`` …)."""

    policy: PolicyId
    images: tuple[tuple[str, tuple[str, ...]], ...]
    attestors: tuple[str, ...] = ()


class Lookup(Protocol):
    """The objects a policy may ask for (``resource.Get``, ``resource.List``, params)."""

    def get(self, api_version: str, resource: str, namespace: str, name: str) -> Json | None:
        """The object of a plural resource, or None when there is none. Raises LookupError for a resource nobody knows."""

    def list(self, api_version: str, resource: str, namespace: str) -> Sequence[Json]:
        """The objects of a namespace, or of all when it is empty. Raises LookupError for a resource nobody knows."""


#: Answers ``authorizer`` checks: the user of the request, and ``verb`` with either ``path`` or ``group``, ``resource``, ``subresource``,
#: ``namespace`` and ``name``.
Authorizer = Callable[[Json, Mapping[str, str]], bool]


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """What expressions may ask for beyond the request. What is missing here makes the expression that asks for it *not evaluated*.

    ``images`` is what ``image.getMetadata`` gives by reference, ``global_context`` the entries by name, ``http`` the answer by method and
    address, ``now`` the clock.
    """

    lookup: Lookup | None = None
    images: Json = field(default_factory=dict)
    global_context: Json = field(default_factory=dict)
    http: Callable[[str, str], Any] | None = None
    authorizer: Authorizer | None = None
    now: datetime | None = None
