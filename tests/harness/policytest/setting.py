"""What surrounds the objects of a test: values, user, namespaces, and the cluster and the services that policies ask."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from harness.engines.policy import PolicySet, Resource, Resources, Sources
from harness.engines.policy.lookup import Objects
from harness.engines.policy.mutate_set import DEFAULT_VERSION, Mutations
from harness.engines.policy.mutate_types import Types
from harness.model import group_of
from harness.model.shapes import items, mapping, text
from harness.policytest.files import InputError, TestFile, bodies, values

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]
_POLICY_GROUPS = ("kyverno.io", "policies.kyverno.io", "admissionregistration.k8s.io")
_CLUSTER_SCOPED = frozenset({"Namespace", "Node", "PersistentVolume"})


class _AsWritten(Resources):
    """Objects stand as their files have them, as for the command line; a cluster drops nulls of its own kinds."""

    def is_built_in(self, resource: Resource) -> bool:
        del resource
        return False


@dataclass(frozen=True, slots=True)
class Setting:
    """A test, loaded. ``resources`` are its objects, ``payloads`` its JSON documents by the path they were named by."""

    policies: list[Json]
    reviews: PolicySet
    mutations: Mutations
    resources: list[Json]
    payloads: list[tuple[str, Any]]
    targets: list[Json]
    operation: str
    user: Json
    subresources: dict[str, str]
    unsupported: list[str] = field(default_factory=list)
    """Inputs that are not evaluated at all."""


def load(test: TestFile) -> Setting:
    """Reads everything a test names. Raises InputError."""
    folder = test.path.parent

    def read(key: str) -> list[Json]:
        return [body for name in test.paths(key) for body in bodies(folder, name)]

    given = _values(test)
    policies = [_any_operation(body) for body in read("policies") if group_of(text(body.get("apiVersion"))) in _POLICY_GROUPS]
    exceptions = read("exceptions")
    context = [mapping(body.get("spec")) for body in read("context")]
    crds, cluster = _cluster(test)
    resources = _unique([_namespaced(_as_doubles(body)) for body in read("resources")])
    targets = [_namespaced(body) for body in read("targetResources")]
    params = [_namespaced(body) for body in read("paramResources")]
    known = _AsWritten(crds)
    asked = [*(item for spec in context for item in items(spec.get("resources")) if isinstance(item, dict)), *targets, *params]
    # With a cluster described, the command line asks that, and the objects of the test are in it.
    asked += [*cluster, *crds, *resources] if test.paths("clusterResources") else []
    sources = Sources(
        lookup=Objects(asked, known),
        images=_images(context),
        global_context=_global_context(test),
        http=_answers(test),
        now=datetime.now(UTC),
    )
    namespaces = _namespaces(given)
    reviews = PolicySet(policies, exceptions, resources=known, namespaces=namespaces, sources=sources, bind_all=True)
    mutations = Mutations(policies, exceptions, resources=known, namespaces=namespaces, sources=sources, types=Types(DEFAULT_VERSION, crds), bind_all=True)
    names = list(dict.fromkeys([*test.paths("jsonPayloads"), *test.paths("jsonPayload")]))
    operation = text(mapping(given.get("globalValues")).get("request.operation"))
    subresources = {}
    for entry in map(mapping, items(given.get("subresources"))):
        plural, _, subresource = text(mapping(entry.get("subresource")).get("name")).partition("/")
        subresources[text(mapping(entry.get("subresource")).get("kind"))] = f"{plural}/{subresource}"
    return Setting(
        policies=policies,
        reviews=reviews,
        mutations=mutations,
        resources=resources,
        payloads=[(name, payload) for name in names for payload in values(folder, name)[:1]],
        targets=targets,
        operation=operation if operation in ("CREATE", "UPDATE", "DELETE") else "CREATE",
        user=_user(test),
        subresources=subresources,
        unsupported=[key for key in ("httpPayloads", "envoyPayloads") if test.paths(key)],
    )


def _values(test: TestFile) -> Json:
    """``values``, or what is in the file that ``variables`` names; with or without a ``spec`` around it."""
    if isinstance(test.body.get("values"), dict):
        return mapping(test.body["values"])
    found: Json = {}
    for name in test.paths("variables"):
        for body in bodies(test.path.parent, name):
            found |= {**body, **mapping(body.get("spec"))}
    return found


def _namespaces(given: Json) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for entry in map(mapping, items(given.get("namespaceSelector"))):
        name = text(entry.get("name"))
        found[name] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": mapping(entry.get("labels"))}}
    for body in map(mapping, items(given.get("namespaces"))):
        found[text(mapping(body.get("metadata")).get("name"))] = {"apiVersion": "v1", "kind": "Namespace", **body}
    return found


def _user(test: TestFile) -> Json:
    for name in test.paths("userinfo"):
        for body in bodies(test.path.parent, name):
            return mapping(body.get("userInfo"))
    return {}


def _cluster(test: TestFile) -> tuple[list[Json], list[Json]]:
    """The CRDs and the objects of ``clusterResources``."""
    crds: list[Json] = []
    objects: list[Json] = []
    for name in test.paths("clusterResources"):
        for body in bodies(test.path.parent, name):
            spec = mapping(body.get("spec"))
            objects += [item for item in items(spec.get("resources")) if isinstance(item, dict)]
            crds += [crd for path in items(spec.get("crds")) if isinstance(path, str) for crd in bodies(test.path.parent, path)]
    return crds, objects


def _images(context: list[Json]) -> Json:
    found: Json = {}
    for entry in (mapping(item) for spec in context for item in items(spec.get("images"))):
        found[text(entry.get("image"))] = entry
    return found


def _global_context(test: TestFile) -> Json:
    found: Json = {}
    for entry in map(mapping, items(test.body.get("globalContextEntries"))):
        if isinstance(entry.get("data"), dict):
            root: Any = entry["data"]
        elif entry.get("resourceFiles"):
            root = [body for name in items(entry["resourceFiles"]) if isinstance(name, str) for body in bodies(test.path.parent, name)]
        else:
            root = items(entry.get("resources"))
        if text(entry.get("fieldPath")):
            root = _search(text(entry["fieldPath"]), root)
        projections = items(entry.get("projections"))
        if projections:
            root = {text(mapping(each).get("name")): _search(text(mapping(each).get("path")), root) for each in projections}
        found[text(entry.get("name"))] = root
    return found


def _search(path: str, root: Any) -> Any:
    import jmespath

    try:
        return jmespath.search(path, root)
    except jmespath.exceptions.JMESPathError as error:
        raise InputError(f"globalContextEntries: {path!r}: {error}") from error


def _answers(test: TestFile) -> Callable[[str, str], Any] | None:
    answers: Json = {}
    for entry in map(mapping, items(test.body.get("apiCallResponses"))):
        response = mapping(entry.get("response"))
        address = text(entry.get("url")).strip() or text(entry.get("urlPath")).strip()
        method = text(entry.get("method")).strip().upper()
        answers[f"{method}:{address}" if method else address] = {"body": response.get("body"), "statusCode": response.get("statusCode") or 200}
    if not answers:
        return None

    def answer(method: str, address: str) -> Any:
        found = answers.get(f"{method}:{address}", answers.get(address))
        if found is None:
            raise ValueError(f"http.{method.lower()}() is not evaluated: the test has no answer for {address}")
        return found

    return answer


def _any_operation(body: Json) -> Json:
    """An admission policy whose rules name no operation, which the API server refuses and the command line takes for all of them."""
    spec = mapping(body.get("spec"))
    constraints = mapping(spec.get("matchConstraints"))
    rules = items(constraints.get("resourceRules"))
    if group_of(text(body.get("apiVersion"))) != "admissionregistration.k8s.io" or all(mapping(rule).get("operations") for rule in rules):
        return body
    filled = [{**mapping(rule), "operations": mapping(rule).get("operations") or ["*"]} for rule in rules]
    return {**body, "spec": {**spec, "matchConstraints": {**constraints, "resourceRules": filled}}}


def _as_doubles(value: Any) -> Any:
    """Numbers as the command line gives them to policies: all of them doubles."""
    if isinstance(value, dict):
        return {name: _as_doubles(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_as_doubles(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _namespaced(body: Json) -> Json:
    """An object in the namespace ``default`` unless it says another or is of a kind that has none."""
    from harness.engines.scopes import is_cluster_scoped

    metadata = mapping(body.get("metadata"))
    kind, group = text(body.get("kind")), group_of(text(body.get("apiVersion")))
    if metadata.get("namespace") or kind in _CLUSTER_SCOPED or is_cluster_scoped(group, kind) or not kind:
        return body
    return {**body, "metadata": {**metadata, "namespace": "default"}}


def key_of(body: Json) -> tuple[str, str, str, str]:
    """apiVersion, kind, namespace and name of an object."""
    metadata = mapping(body.get("metadata"))
    name = text(metadata.get("name")) or text(metadata.get("generateName"))
    return text(body.get("apiVersion")), text(body.get("kind")), text(metadata.get("namespace")), name


def _unique(found: list[Json]) -> list[Json]:
    return list({key_of(body): body for body in found}.values())
