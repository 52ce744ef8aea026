"""The roles, bindings and service accounts of a running cluster, held against those of the offline build.

What was there before Flux is the cluster's own ground (kubeadm, the network, the default storage): nobody describes it, so it is read from the cluster. What
Flux has not brought yet, because something it waits for is not ready, is left open with the reason. Everything else must be the same on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from harness.engines.rbac import defaults
from harness.engines.rbac.atoms import EVERYWHERE, Atom, atoms_of_rule
from harness.engines.rbac.policy import Policy
from harness.engines.rbac.subjects import Subject, service_account
from harness.live.faults import LABEL
from harness.live.findings import CLUSTER
from harness.live.rules.access import GRANTED, UNKNOWN
from harness.model import Finding, NotEvaluated, Object, ObjectId, Origin, group_of
from harness.model.shapes import mapping, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from harness.engines.rbac.roles import Binding, Role

#: What the comparison reads, as kubectl takes it.
KINDS: Final = (
    "clusterroles.rbac.authorization.k8s.io",
    "roles.rbac.authorization.k8s.io",
    "clusterrolebindings.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
    "serviceaccounts",
)
_BOOTSTRAPPING: Final = "kubernetes.io/bootstrapping"
_HOOK: Final = "helm.sh/hook"
Name = tuple[str, str]


def read(cluster: str, bodies: Iterable[Mapping[str, Any]]) -> list[Object]:
    """Objects as the API server gives them."""
    found = []
    for body in bodies:
        metadata = mapping(body.get("metadata"))
        identity = ObjectId(
            cluster, group_of(text(body.get("apiVersion"))), text(body.get("kind")), text(metadata.get("namespace")), text(metadata.get("name"))
        )
        found.append(Object(identity, dict(body), Origin(lambda _pointer: CLUSTER)))
    return found


@dataclass
class Comparison:
    """What came of it. ``policy`` is what the API server must answer by: the build's, without what is not there yet, with the cluster's own ground.

    ``live`` is what the cluster's own objects say, whoever made them. ``partial`` are the subjects that have not got everything yet, each with the reason.
    """

    policy: Policy
    live: Policy
    accounts: tuple[Subject, ...] = ()
    findings: list[Finding] = field(default_factory=list)
    open: list[NotEvaluated] = field(default_factory=list)
    partial: dict[str, str] = field(default_factory=dict)


def compare(
    model: Policy,
    declared: Iterable[Object],
    there: Iterable[Object],
    *,
    since: str,
    waits: Callable[[Object], str],
    temporary: bool = False,
) -> Comparison:
    """Hold a cluster against its build.

    Args:
        model: the build's policy, with the API server's own roles.
        declared: the build's service accounts.
        there: the cluster's roles, bindings and service accounts.
        since: when Flux was installed (RFC 3339); what is older is the cluster's own.
        waits: why an object of the build cannot be there yet; empty when it must be.
        temporary: whether what other proofs made for a moment counts too.
    """
    every = list(there)
    objects = [item for item in every if temporary or LABEL not in item.labels]
    found = _Comparing(model, list(declared), objects, since, waits).done()
    # What other proofs have for a moment is no finding, and the API server answers by it all the same.
    momentary = Policy.of_objects([item for item in every if LABEL in item.labels], built_in=False)
    found.policy = Policy([*found.policy.roles.values(), *momentary.roles.values()], [*found.policy.bindings, *momentary.bindings])
    return found


class _Comparing:
    def __init__(self, model: Policy, declared: list[Object], objects: list[Object], since: str, waits: Callable[[Object], str]) -> None:
        self.model, self.declared, self.objects, self.since, self.waits = model, declared, objects, since, waits
        self.live = Policy.of_objects(objects, built_in=False)
        self.found = Comparison(self.live, self.live)
        old = {item.namespace for item in objects if item.kind == "ServiceAccount" and self._old(item)}
        #: The platform's namespaces.
        self.homes = {item.namespace for item in declared} - old

    def done(self) -> Comparison:
        roles = dict(self._roles())
        bindings = dict(self._bindings())
        self.found.policy = Policy(roles.values(), bindings.values())
        self.found.accounts = tuple(self._accounts())
        return self.found

    def _old(self, item: Object | None) -> bool:
        return item is not None and text(item.metadata.get("creationTimestamp")) <= self.since

    def _roles(self) -> Iterator[tuple[Name, Role]]:
        for name in sorted(self.model.roles.keys() | self.live.roles.keys()):
            ours, theirs = self.model.roles.get(name), self.live.roles.get(name)
            if ours is None and theirs is not None:
                if self._old(theirs.object):
                    yield name, theirs
                else:
                    self._unknown(theirs.object, f"grants {_some(_atoms(self.live, theirs))}")
            elif ours is not None and theirs is None:
                self._missing(ours.object)
            elif ours is not None and theirs is not None:
                same = _atoms(self.model, ours) == _atoms(self.live, theirs)
                if not same and theirs.labels.get(_BOOTSTRAPPING) and ours.object is None:
                    why = f"the offline table is that of Kubernetes {defaults.VERSION}; the cluster's own role is read from it"
                    self.found.open.append(NotEvaluated(str(theirs), "rules of a role of the API server", why))
                    yield name, theirs
                    continue
                if not same:
                    self._differs(ours, theirs)
                yield name, ours

    def _bindings(self) -> Iterator[tuple[Name, Binding]]:
        ours_all = {(each.namespace, each.name): each for each in self.model.bindings}
        theirs_all = {(each.namespace, each.name): each for each in self.live.bindings}
        for name in sorted(ours_all.keys() | theirs_all.keys()):
            ours, theirs = ours_all.get(name), theirs_all.get(name)
            if ours is None and theirs is not None:
                ground = self._old(theirs.object)
                if ground and not (known := self._platform(theirs)):
                    yield name, theirs
                else:
                    who = known if ground else ", ".join(str(each) for each in theirs.subjects)
                    self._unknown(theirs.object, f"binds {theirs.role_kind} {theirs.role_name} to {who}")
            elif ours is not None and theirs is None:
                why = self._missing(ours.object)
                for subject in ours.subjects if why else ():
                    self.found.partial.setdefault(str(subject), why)
            elif ours is not None and theirs is not None:
                if _of(ours) != _of(theirs):
                    self.found.findings.append(
                        GRANTED.finding(ours.object or str(ours), f"the cluster's {theirs} binds {_words(theirs)}", f"{_words(ours)}, as the build has it")
                    )
                role = self.model.role_of(ours)
                if role is not None and role.object is not None and (role.namespace, role.name) not in self.live.roles:
                    for subject in ours.subjects:
                        self.found.partial.setdefault(str(subject), self.waits(role.object) or "its role is missing")
                yield name, ours

    def _accounts(self) -> Iterator[Subject]:
        """Every account that is there. Each namespace gets its ``default`` from a controller."""
        ours = {(item.namespace, item.name): item for item in self.declared}
        theirs = {(item.namespace, item.name): item for item in self.objects if item.kind == "ServiceAccount"}
        for name in sorted(ours.keys() | theirs.keys()):
            if name not in theirs:
                why = self._missing(ours[name])
                if why:
                    self.found.partial.setdefault(str(service_account(*name)), why)
                continue
            if name not in ours and name[1] != "default" and name not in defaults.service_accounts() and not self._old(theirs[name]):
                self._unknown(theirs[name], "is an identity that anybody who may create pods there can take")
            yield service_account(*name)

    def _platform(self, binding: Binding) -> str:
        """The subjects of the platform that a binding names: those of its namespaces."""
        return ", ".join(str(each) for each in binding.subjects if each is not None and each.kind == "ServiceAccount" and each.namespace in self.homes)

    def _missing(self, item: Object | None) -> str:
        """Report what is not there, unless it cannot be yet: then why."""
        if item is None or _HOOK in item.annotations:
            return ""
        why = self.waits(item)
        if why:
            self.found.open.append(NotEvaluated(str(item.id), "rights in the cluster", why))
        else:
            self.found.findings.append(GRANTED.finding(item, "the cluster has no such object", "what the build has, as its applier is ready"))
        return why

    def _unknown(self, item: Object | None, what: str) -> None:
        if item is not None:
            self.found.findings.append(UNKNOWN.finding(str(item.id), f"{what}; made {text(item.metadata.get('creationTimestamp'))}", "nothing of the build"))

    def _differs(self, ours: Role, theirs: Role) -> None:
        one, other = _atoms(self.model, ours), _atoms(self.live, theirs)
        found = f"the cluster's {theirs} has {_some(other - one) or 'nothing more'}, and lacks {_some(one - other) or 'nothing'}"
        self.found.findings.append(GRANTED.finding(ours.object or str(ours), found, "the rules of the build"))


def _atoms(policy: Policy, role: Role) -> set[Atom]:
    return {atom for grant in policy.grants(role) for atom in atoms_of_rule("", grant.rule, EVERYWHERE)}


def _of(binding: Binding) -> tuple[str, str, frozenset[str]]:
    return binding.role_kind, binding.role_name, frozenset(str(each) for each in binding.subjects)


def _words(binding: Binding) -> str:
    kind, name, subjects = _of(binding)
    return f"{kind} {name} to {', '.join(sorted(subjects)) or 'nobody'}"


def _some(atoms: set[Atom]) -> str:
    shown = "; ".join(str(atom).strip() for atom in sorted(atoms)[:3])
    return shown + (f" and {len(atoms) - 3} more" if len(atoms) > 3 else "")
