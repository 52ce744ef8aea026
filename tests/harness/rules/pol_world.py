"""The policies of one cluster, and what they say of everything it gets (derived once, shared by the POL rules)."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import translate
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from harness.engines.policy import PolicyId, PolicySet, Request, Resources, Result, Sources, Status
from harness.engines.policy.lookup import Objects
from harness.engines.policy.mutate_set import Mutations
from harness.engines.selectors import selector_matches
from harness.flux.kinds import HELM_RELEASE, KUSTOMIZATION
from harness.flux.world import CRD
from harness.model.shapes import items, mapping, text
from harness.rules.pol_later import later

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.engines.policy.mutate import Mutated
    from harness.flux.world import World
    from harness.model import Object

Json = dict[str, Any]

KYVERNO: Final = "policies.kyverno.io"
LEGACY: Final = "kyverno.io"
ADMISSION: Final = "admissionregistration.k8s.io"
EXCEPTION: Final = f"PolicyException.{KYVERNO}"
#: Kinds (``Kind.group``) that hold a policy with ``spec.matchConstraints``.
POLICY_KINDS: Final = (
    *(f"{prefix}{kind}Policy.{KYVERNO}" for prefix in ("", "Namespaced") for kind in ("Deleting", "Generating", "ImageValidating", "Mutating", "Validating")),
    f"MutatingAdmissionPolicy.{ADMISSION}",
    f"ValidatingAdmissionPolicy.{ADMISSION}",
)
BINDING: Final = f"ValidatingAdmissionPolicyBinding.{ADMISSION}"
_LEGACY_KINDS: Final = (f"ClusterPolicy.{LEGACY}", f"Policy.{LEGACY}", f"PolicyException.{LEGACY}")
_EVERYTHING: Final = (*POLICY_KINDS, BINDING, f"MutatingAdmissionPolicyBinding.{ADMISSION}", EXCEPTION, *_LEGACY_KINDS)

#: What Kyverno's chart leaves alone when the cluster does not say (``config.resourceFilters``).
_FILTERS: Final = (
    "[Event,*,*] [*/*,kube-system,*] [*/*,kube-public,*] [*/*,kube-node-lease,*] [Node,*,*] [APIService,*,*] [TokenReview,*,*] [Binding,*,*] [ReplicaSet,*,*]"
)
_FILTER: Final = re.compile(r"\[([^,\]]*),([^,\]]*),([^\]]*)\]")


@dataclass(frozen=True, slots=True)
class Said:
    """What a policy said of an object, of a pod that the object makes (``pod``), or of what becomes of it later (``when``, in words)."""

    item: Object
    result: Result
    pod: bool = False
    when: str = ""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Everything the policies of a cluster said. ``by_object`` holds what did not pass; ``exceptions`` those that let something off."""

    policies: PolicySet
    mutations: Mutations
    by_object: Mapping[str, tuple[Said, ...]] = field(default_factory=dict)
    unknown: tuple[Said, ...] = ()
    exempted: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    """How many objects an exception (``namespace/name``) lets off a policy (its kind and name) that would refuse them."""


def has_policies(world: World) -> bool:
    """Whether there is any policy in a cluster."""
    return bool(world.of(*POLICY_KINDS, *_LEGACY_KINDS))


def reviewed(world: World) -> Reviewed:
    """What the cluster's policies say when every object of the cluster is created, by who applies it, and of what becomes of it later."""
    resources = Resources(item.body for item in world.of(CRD))
    bodies = [item.body for item in world.of(*_EVERYTHING) if not is_expired(item, world)]
    namespaces = {item.name: labelled(item.body) for item in world.of("Namespace")}
    sources = Sources(lookup=Objects((item.body for item in world.objects), resources), now=datetime.combine(world.today, datetime.min.time(), UTC))
    policies = PolicySet(bodies, resources=resources, namespaces=namespaces, sources=sources, as_served=True)
    mutations = Mutations(bodies, resources=resources, namespaces=namespaces, sources=sources)
    strict = None
    found: dict[str, list[Said]] = defaultdict(list)
    unknown: list[Said] = []
    exempted: dict[tuple[str, str, str], int] = defaultdict(int)
    left_alone = _Filters(world, namespaces)
    for item, body, pod in requests(world):
        user = _applier(item, world)
        # Mutating policies come before validating ones, and those see what they made.
        request = Request(body, user=user)
        if mutations.policies:
            outcome = mutations.mutate(request)
            request = Request(outcome.object, user=user)
            unknown += [Said(item, _unmutated(step), pod) for step in outcome.steps if step.status in (Status.ERROR, Status.NOT_EVALUATED)]
        known = {said.result.policy for said in found.get(str(item.id), ())} if pod else frozenset()
        for result in policies.review(request):
            if result.exceptions and result.status in (Status.PASS, Status.SKIP):
                strict = strict or PolicySet(_without_exceptions(bodies), resources=resources, namespaces=namespaces, sources=sources, as_served=True)
                if any(other.status in (Status.FAIL, Status.ERROR) for other in strict.review(request) if other.policy == result.policy):
                    for name in result.exceptions:
                        exempted[name, result.policy.kind, result.policy.name] += 1
            if result.status in (Status.PASS, Status.SKIP) or result.policy in known or left_alone(result.policy, body):
                continue
            said = Said(item, result, pod)
            if result.status is Status.NOT_EVALUATED:
                unknown.append(said)
            else:
                found[str(item.id)].append(said)
    for item, request, when in later(world, lambda item: _applier(item, world), user_of):
        known = {said.result.policy for said in found.get(str(item.id), ())}
        for result in policies.review(request):
            if result.status in (Status.FAIL, Status.ERROR) and result.policy not in known and not left_alone(result.policy, item.body):
                found[str(item.id)].append(Said(item, result, when=when))
    return Reviewed(policies, mutations, {name: tuple(said) for name, said in found.items()}, tuple(unknown), dict(exempted))


def _unmutated(step: Mutated) -> Result:
    """What a mutating policy that could not do its work says, in the form of the others."""
    return Result(step.policy, Status.NOT_EVALUATED, rule=step.rule, reason=step.reason or "the mutation failed")


def _without_exceptions(bodies: list[Json]) -> list[Json]:
    """The policies that some exception is for, with none of them."""
    exceptions = [body for body in bodies if body.get("kind") == "PolicyException"]
    named = {text(mapping(ref).get("name")) for body in exceptions for ref in items(mapping(body.get("spec")).get("policyRefs"))}
    return [body for body in bodies if body.get("kind") != "PolicyException" and text(mapping(body.get("metadata")).get("name")) in named]


def is_expired(item: Object, world: World) -> bool:
    """Whether an exception has ended: Kyverno does not apply it any more."""
    if str(item.group_kind) != EXCEPTION:
        return False
    end = moment(item.spec.get("expiresAt"))
    return end is not None and end.date() < world.today


def moment(value: Any) -> datetime | None:
    """A point in time (RFC 3339), or None when it is none."""
    try:
        found = datetime.fromisoformat(text(value))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def requests(world: World) -> Iterator[tuple[Object, Json, bool]]:
    """Every object, and every pod that a controller will create from a template (with the object that holds the template)."""
    for item in world.objects:
        yield item, item.body, False
    for pod in world.pods:
        if pod.object.kind != "Pod" and pod.object.kind != "PodTemplate":
            metadata = {**pod.metadata, "name": f"{pod.object.name}-0", "namespace": pod.namespace}
            yield pod.object, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": _with_host_ports(dict(pod.spec))}, True


def _with_host_ports(spec: Json) -> Json:
    """A pod's spec with the ports of the node that the API server fills in for pods in the node's network (``SetDefaults_Pod``)."""
    if spec.get("hostNetwork") is not True:
        return spec
    filled = dict(spec)
    for name in ("containers", "initContainers"):
        if name in spec:
            filled[name] = [
                {**body, "ports": [{"hostPort": port.get("containerPort"), **port} for port in map(mapping, items(body["ports"]))]} if "ports" in body else body
                for body in map(mapping, items(spec[name]))
            ]
    return filled


def _applier(item: Object, world: World) -> Json:
    """The user that applies an object: the service account of its Kustomization or HelmRelease, or Flux's own."""
    name, namespace = "kustomize-controller", "flux-system"
    link = item.applier
    if link is not None:
        kind = {"HelmRelease": HELM_RELEASE, "Kustomization": KUSTOMIZATION}.get(link.kind, "")
        name = "helm-controller" if link.kind == "HelmRelease" else name
        applier = world.find(kind, link.namespace, link.name)
        account = text(applier.spec.get("serviceAccountName")) if applier is not None else ""
        name, namespace = (account, link.namespace) if account else (name, namespace)
    return user_of(namespace, name)


@lru_cache(maxsize=256)
def user_of(namespace: str, name: str) -> Json:
    """``userInfo`` of a service account."""
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    return {"username": f"system:serviceaccount:{namespace}:{name}", "groups": groups}


def labelled(namespace: Json) -> Json:
    """A Namespace with the label that the API server gives it."""
    metadata = mapping(namespace.get("metadata"))
    labels = {**mapping(metadata.get("labels")), "kubernetes.io/metadata.name": text(metadata.get("name"))}
    return {**namespace, "metadata": {**metadata, "labels": labels}}


class _Filters:
    """What Kyverno never looks at: its ``resourceFilters``, and namespaces that its webhooks do not select. The API server has no such filters."""

    def __init__(self, world: World, namespaces: Mapping[str, Json]) -> None:
        self._namespaces = namespaces
        config = next((item for item in world.of("ConfigMap") if "resourceFilters" in mapping(item.body.get("data"))), None)
        data = mapping(config.body.get("data")) if config is not None else {}
        own = f" [*/*,{config.namespace},*]" if config is not None else ""
        given = text(data.get("resourceFilters"))
        self._filters = tuple(_filters((given if _FILTER.search(given) else _FILTERS) + own * ("webhooks" not in data)))
        try:
            self._selector = mapping(mapping(json.loads(text(data.get("webhooks")) or "{}")).get("namespaceSelector"))
        except ValueError:
            self._selector = {}
        self._known: dict[tuple[str, str, str], bool] = {}

    def __call__(self, policy: PolicyId, body: Json) -> bool:
        if policy.kind.endswith("AdmissionPolicy"):
            return False
        metadata = mapping(body.get("metadata"))
        key = (text(body.get("kind")), text(metadata.get("namespace")), text(metadata.get("name")))
        if key not in self._known:
            self._known[key] = self._left_alone(body, *key)
        return self._known[key]

    def _left_alone(self, body: Json, kind: str, namespace: str, name: str) -> bool:
        if any(kinds.fullmatch(kind) and spaces.fullmatch(namespace) and names.fullmatch(name) for kinds, spaces, names in self._filters):
            return True
        home = self._namespaces.get(namespace) if namespace else labelled(body) if kind == "Namespace" else None
        labels = mapping(mapping(home.get("metadata")).get("labels")) if home is not None else {"kubernetes.io/metadata.name": namespace}
        return bool(namespace or home is not None) and selector_matches(self._selector, labels) is False


def _filters(given: str) -> Iterator[tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]]:
    """``[Kind,namespace,name]`` with wildcards; the kind may carry its group and version (``*/*`` is every kind)."""
    for kind, namespace, name in _FILTER.findall(given):
        bare = kind.rpartition("/")[2] if not kind.endswith("/?*") else ""
        if bare:
            yield tuple(re.compile(translate(part.strip() or "*")) for part in (bare, namespace, name))  # type: ignore[misc]
