"""One request under evaluation: the variables that expressions see, converted once for all policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.engines.cel import Values
from harness.engines.policy.matching import is_namespace
from harness.engines.policy.served import as_served
from harness.model.shapes import mapping, text

if TYPE_CHECKING:
    from harness.engines.policy.api import Json, PolicyId, Request, Resource, Sources
    from harness.engines.policy.resources import Resources

#: The variables of every Kyverno expression, and of a ValidatingAdmissionPolicy.
KYVERNO_NAMES = ("object", "oldObject", "request", "namespaceObject", "exceptions", "images")
ADMISSION_NAMES = ("object", "oldObject", "request", "namespaceObject", "params")


class Evaluation:
    """A request with the world around it. Made for one request; not shared between threads."""

    __slots__ = ("_as_served", "_values", "generated", "request", "resource", "resources", "sources", "whole_request")

    def __init__(
        self, request: Request, resource: Resource, resources: Resources, sources: Sources, *, whole_request: bool = False, as_served: bool = False
    ) -> None:
        self.request, self.resource, self.resources, self.sources, self.whole_request = request, resource, resources, sources, whole_request
        self._as_served = as_served
        self.generated: list[Json] = []
        self._values: dict[Resource | None, Values] = {}

    def values(self, through: Resource | None = None) -> Values:
        """The variables; ``through``: as the object looks in an equivalent resource."""
        found = self._values.get(through)
        if found is None:
            found = self._values[through] = Values(self.variables(through))
        return found

    def with_variables(self, through: Resource | None = None, **changed: Any) -> Values:
        """The variables with some of them changed, such as ``exceptions`` or ``params``."""
        return Values({**self.variables(through), **changed})

    def generate(self, item: Any, namespace: str, policy: PolicyId) -> None:
        """Takes in one object that ``generator.apply`` was given. Raises ValueError for what Kyverno would refuse."""
        body = mapping(item)
        if not text(body.get("apiVersion")) or not text(body.get("kind")):
            raise ValueError("failed to generate resources: the object has no apiVersion and kind")
        entries = body.get("items")
        if text(body["kind"]).endswith("List") and isinstance(entries, list):
            for entry in entries:
                self.generate(entry, namespace, policy)
            return
        resource = self.resources.of(text(body["apiVersion"]), text(body["kind"]), namespaced=True)
        target = namespace if resource.namespaced is not False else ""
        if resource.namespaced is False and policy.namespace:
            raise ValueError(f"failed to generate resources: a policy in namespace {policy.namespace} cannot generate the cluster-scoped {resource.kind}")
        dropped = {"uid", "selfLink", "creationTimestamp", "managedFields", "resourceVersion", "namespace"}
        source = mapping(body.get("metadata"))
        if source.get("namespace") not in (None, "", target):
            dropped.add("ownerReferences")
        metadata = {name: value for name, value in source.items() if name not in dropped}
        self.generated.append({**body, "metadata": {**metadata, **({"namespace": target} if target else {})}})

    def variables(self, through: Resource | None = None) -> dict[str, Any]:
        request = self.request
        return {
            "object": self._seen(request.object, through),
            "oldObject": self._seen(request.old_object, through),
            "request": self._request(through),
            "namespaceObject": None if is_namespace(self.resource) else self.namespace(),
            "exceptions": {"allowedImages": [], "allowedValues": []},
            "images": {},
            "params": None,
        }

    def namespace(self) -> Json | None:
        """The Namespace the object is in; one that nobody knows has a name and the label of it."""
        if self.request.namespace is not None or not self.request.object_namespace:
            return self.request.namespace
        name = self.request.object_namespace
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}}

    def _seen(self, body: Json | None, through: Resource | None) -> Json | None:
        """An object as expressions see it: in the version of an equivalent resource, and as it is served where that is wanted."""
        if body is None:
            return None
        seen = as_served(body, self.resource) if self._as_served and self.resources.is_built_in(self.resource) else body
        return seen if through is None else {**seen, "apiVersion": through.api_version}

    def _request(self, through: Resource | None) -> dict[str, Any]:
        """``AdmissionRequest`` as JSON: what is empty is absent, as the Go type's tags have it."""
        request, own = self.request, self.resource
        seen = through or own
        # A subresource may have a kind of its own, such as Scale or PodExecOptions.
        asked = (self.resources.of_object(request.subject) if request.subresource and request.subject.get("kind") else None) or own
        user = {name: value for name, value in request.user.items() if value}
        body: dict[str, Any] = {
            "uid": request.uid,
            "kind": _gvk(asked if asked is not own else seen),
            "resource": {"group": seen.group, "version": seen.version, "resource": seen.plural},
            "subResource": request.subresource,
            "requestKind": _gvk(asked),
            "requestResource": {"group": own.group, "version": own.version, "resource": own.plural},
            "requestSubResource": request.subresource,
            "name": request.object_name,
            "namespace": request.object_name if is_namespace(own) else request.object_namespace,
            "operation": request.operation,
            "userInfo": user,
            "dryRun": request.dry_run,
            "options": request.options,
        }
        if self.whole_request:
            body |= {"object": request.object, "oldObject": request.old_object}
        always = ("uid", "kind", "resource", "requestKind", "requestResource", "operation", "userInfo", "dryRun", "options", "object", "oldObject")
        return {name: value for name, value in body.items() if value or name in always}


def _gvk(resource: Resource) -> dict[str, str]:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def name_of(body: Json) -> tuple[str, str]:
    """The namespace and the name of an object."""
    metadata = mapping(body.get("metadata"))
    return text(metadata.get("namespace")), text(metadata.get("name"))
