"""From kinds to resources: the plural and the scope of built-in kinds and of those that CustomResourceDefinitions declare.

Plurals of built-in kinds follow ``k8s.io/apimachinery/pkg/api/meta.UnsafeGuessKindToResource`` (all of them do); a kind that nobody
declared is guessed in the same way, and its scope is what the object shows.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from harness.engines.policy.api import Resource
from harness.engines.scopes import CLUSTER_SCOPED
from harness.model import group_of, version_of
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Groups whose kinds the API server itself has.
_BUILT_IN = frozenset(
    {
        "", "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "apps", "authentication.k8s.io",
        "authorization.k8s.io", "autoscaling", "batch", "certificates.k8s.io", "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io",
        "extensions", "flowcontrol.apiserver.k8s.io", "internal.apiserver.k8s.io", "networking.k8s.io", "node.k8s.io", "policy",
        "rbac.authorization.k8s.io", "resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io", "storagemigration.k8s.io",
    }
)  # fmt: skip
#: Kinds of well-known CRDs whose plural the guess gets wrong, for manifests that come without their CRDs.
_IRREGULAR = {"Gateway": "gateways", "Proxy": "proxies", "APIKey": "apikeys", "Relay": "relays"}
#: Versions of one resource that the API server converts into each other, newest first.
_BUILT_IN_VERSIONS: dict[tuple[str, str], tuple[str, ...]] = {
    ("autoscaling", "horizontalpodautoscalers"): ("v2", "v1"),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies"): ("v1", "v1beta1"),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings"): ("v1", "v1beta1"),
    ("resource.k8s.io", "resourceclaims"): ("v1", "v1beta2", "v1beta1"),
    ("resource.k8s.io", "resourceclaimtemplates"): ("v1", "v1beta2", "v1beta1"),
    ("resource.k8s.io", "resourceslices"): ("v1", "v1beta2", "v1beta1"),
    ("resource.k8s.io", "deviceclasses"): ("v1", "v1beta2", "v1beta1"),
}


def guess_plural(kind: str) -> str:
    """``meta.UnsafeGuessKindToResource``: lower case, with an English plural by the last letter."""
    lower = kind.lower()
    if kind in _IRREGULAR:
        return _IRREGULAR[kind]
    if lower == "endpoints":
        return lower
    if lower.endswith("s"):
        return f"{lower}es"
    if lower.endswith("y"):
        return f"{lower[:-1]}ies"
    return f"{lower}s" if lower else ""


class Resources:
    """The resources of one cluster."""

    def __init__(self, crds: Iterable[Mapping[str, Any]] = ()) -> None:
        self._custom: dict[tuple[str, str], Resource] = {}
        self._versions: dict[tuple[str, str], list[Resource]] = defaultdict(list)
        self._converted_by_name: set[tuple[str, str]] = set()
        self._known: dict[tuple[str, str], Resource] = {}
        for crd in crds:
            self._declare(crd)

    def _declare(self, crd: Mapping[str, Any]) -> None:
        spec = mapping(crd.get("spec"))
        names, group = mapping(spec.get("names")), text(spec.get("group"))
        kind, plural = text(names.get("kind")), text(names.get("plural"))
        if not (group and kind and plural):
            return
        if mapping(spec.get("conversion")).get("strategy", "None") == "None":
            self._converted_by_name.add((group, plural))
        for version in items(spec.get("versions")) or [{"name": spec.get("version"), "served": True}]:
            name = text(mapping(version).get("name"))
            if name and mapping(version).get("served") is not False:
                resource = Resource(group, name, plural, kind, spec.get("scope") != "Cluster")
                self._custom[resource.api_version, kind] = resource
                self._versions[group, plural].append(resource)

    def of(self, api_version: str, kind: str, *, namespaced: bool | None = None) -> Resource:
        """The resource of a kind. One that nobody declared is guessed, with the scope the caller saw."""
        key = (api_version, kind)
        found = self._custom.get(key) or self._known.get(key)
        if found is None:
            group = group_of(api_version)
            scope = kind not in CLUSTER_SCOPED.get(group, ()) if group in _BUILT_IN else namespaced
            found = Resource(group, version_of(api_version), guess_plural(kind), kind, scope)
            if group in _BUILT_IN:
                self._known[key] = found
        return found

    def is_built_in(self, resource: Resource) -> bool:
        """Whether the API server itself has the kind."""
        return resource.group in _BUILT_IN and (resource.api_version, resource.kind) not in self._custom

    def of_object(self, body: Mapping[str, Any]) -> Resource:
        """The resource an object belongs to."""
        return self.of(text(body.get("apiVersion")), text(body.get("kind")), namespaced=bool(text(mapping(body.get("metadata")).get("namespace"))))

    def equivalents(self, resource: Resource) -> tuple[tuple[Resource, bool], ...]:
        """The other resources through which the API server serves the same objects, each with whether only ``apiVersion`` differs.

        ``EquivalentResourceMapper``: the served versions of a group's resource, and events of both groups.
        """
        key = (resource.group, resource.plural)
        by_name = key in self._converted_by_name
        found = [(other, by_name) for other in self._versions.get(key, ()) if other.version != resource.version]
        found += [(resource._replace(version=version), False) for version in _BUILT_IN_VERSIONS.get(key, ()) if version != resource.version]
        if resource.plural == "events" and resource.group in ("", "events.k8s.io"):
            found.append((resource._replace(group="events.k8s.io" if not resource.group else "", version="v1"), False))
        return tuple(found)
