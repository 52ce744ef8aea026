"""Builds one cluster: Kustomizations of any depth, releases, resource sets and what operators make of them.

The order is the controllers': a Kustomization is built when the sources of its variables are there; what it yields may be
further Kustomizations, HelmReleases or ResourceSets, and those again. Each is built once; the loop ends when nothing is new.
"""

from __future__ import annotations

import posixpath
import re
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from harness.engines.schema import SchemaSet
from harness.flux.discovery import ClusterRoot, normalise
from harness.flux.expand import expand
from harness.flux.kinds import ARTIFACT_GENERATOR, HELM_RELEASE, KUSTOMIZATION, RESOURCE_SET
from harness.flux.makers import EVERYWHERE, PRODUCTS, Product
from harness.flux.resourceset import render_resource_set
from harness.flux.sources import Sources, reference_of
from harness.flux.substitute import substitute
from harness.flux.variables import Variables, stand_in, variables_of
from harness.flux.world import CRD, DEFAULT_KUBERNETES, Build, World, schemas_for
from harness.model import Link, NotEvaluated, Object, ObjectId, Origin, Problem, fixed, group_of
from harness.model.origin import Location

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from harness.flux.helm import Rendered
    from harness.flux.kustomize import Built, BuiltObject
    from harness.flux.workspace import Workspace
    from harness.model import Locator

#: More nodes than any cluster has; a repository that exceeds it generates itself.
_NODES: Final = 20_000
_WORKERS: Final = 3
#: How often releases are rendered when one brings definitions that another asks for: a definition that hides itself again is not followed.
_ROUNDS: Final = 3
#: Where a repository keeps no lock, a chart that nobody handed over is no mistake of the repository.
_NO_CHART: Final = "chart-missing"
_HAND: Final = "its chart is not at hand: hand it over with --charts DIR, or allow --pull"
_REMOTE: Final = "kustomize-remote-base"
#: A Kubernetes version as people and clouds write it: ``1.36``, ``v1.36.4``, ``1.36.4-gke.1``.
VERSION: Final = re.compile(r"v?[0-9]{1,3}\.[0-9]{1,3}(?:\.[0-9]{1,3})?(?:[-+][0-9A-Za-z.+-]*)?")
#: Kinds that are what they make.
_PLAIN: Final = ("Secret", "ConfigMap")


class Builder:
    """The build of one cluster. Use once."""

    def __init__(self, workspace: Workspace, root: ClusterRoot, *, today: date, kubernetes_version: str | None = None) -> None:
        self._workspace = workspace
        self._root = root
        self._today = today
        self.kubernetes_version = kubernetes_version or ""
        self._sources = Sources(workspace.repository, root.source, root.base)
        self._objects: dict[ObjectId, Object] = {}
        self._named: dict[tuple[str, str, str], Object] = {}
        self._kinds: dict[str, list[Object]] = {}
        self._builds: dict[tuple[str, str], Build] = {}
        self._releases: dict[tuple[str, str], Rendered] = {}
        self._sets: set[tuple[str, str]] = set()
        self._problems: list[Problem] = []
        self._not_evaluated: list[NotEvaluated] = []
        self._unknown: set[str] = set()
        self._makers: dict[tuple[str, str, str], tuple[Object, Product]] = {}
        self._apis: frozenset[str] = frozenset()

    # The view that release rendering asks (harness.flux.helm.View).

    @property
    def cluster(self) -> str:
        return self._root.name

    @property
    def api_versions(self) -> frozenset[str]:
        """The APIs that releases find in the cluster: the built-in ones, and those of the definitions known so far."""
        return self._apis

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object of a kind (``Kind.group``) found so far."""
        return self._named.get((kind, namespace, name))

    def of(self, *kinds: str) -> list[Object]:
        """The objects of some kinds (``Kind.group``) found so far."""
        return [item for kind in kinds for item in self._kinds.get(kind, ())]

    def is_this_repository(self, source: Object) -> bool:
        """Whether a source object is this repository."""
        return self._sources.is_this(source.kind, source.namespace, source.name, self.find)

    def maker(self, kind: str, namespace: str, name: str) -> Object | None:
        """What a controller makes a Secret or ConfigMap from, found so far."""
        made = self._makers.get((kind, namespace, name)) or self._makers.get((kind, EVERYWHERE, name))
        return made[0] if made is not None else None

    def build(self) -> World:
        """The cluster's world. Never raises for what the repository holds."""
        self._pending: deque[Object] = deque()
        self._deferred: list[Object] = []
        self._start()
        while self._step_kustomizations() or self._step_releases() or self._step_sets():
            if len(self._builds) + len(self._releases) > _NODES:
                self._problems.append(
                    Problem("flux-too-many", self._root.name, Location(self._root.path), f"more than {_NODES} Kustomizations and HelmReleases")
                )
                break
        self._expand()
        schemas = schemas_for(self.kubernetes_version, list(self._objects.values()))
        objects = self._scoped(schemas)
        return World(
            cluster=self._root,
            repository=self._workspace.repository,
            kubernetes_version=self.kubernetes_version,
            today=self._today,
            objects=tuple(sorted(objects, key=lambda item: item.id)),
            schemas=schemas,
            problems=tuple(self._problems),
            not_evaluated=tuple(self._not_evaluated),
            kustomizations=dict(sorted(self._builds.items())),
            releases=dict(sorted(self._releases.items())),
            unknown_values=frozenset(self._unknown),
        )

    def _start(self) -> None:
        sync = self._root.sync
        if sync is None:
            sync, path = self._stand_in_sync(), self._root.path
            self._kustomize([(sync, path)])
        else:
            self._kustomize([(sync, self._root.path)])
            path = self._root.path
        improved = self.find(KUSTOMIZATION, sync.namespace, sync.name) if self._root.sync is not None else None
        if improved is not None and improved.spec != sync.spec:
            # The sync root patches itself: from its second reconciliation on, Flux uses what it built.
            given = improved.get("spec", "path")
            path = posixpath.join(self._root.base, normalise(given if isinstance(given, str) else None)).rstrip("/")
            self._sources = Sources(self._workspace.repository, reference_of(improved), self._root.base)
            again = improved
        else:
            again = sync
        if again is not sync or self._builds_own_variables(sync):
            kept = dict(self._named), dict(self._makers)
            self._forget()
            self._named, self._makers = kept
            self._kustomize([(again, path)])

    def _builds_own_variables(self, sync: Object) -> bool:
        """Whether the sync root's own variables were found in what it built: bootstrap applies them by hand, and from then on they are there."""
        post = sync.get("spec", "postBuild")
        references = post.get("substituteFrom") if isinstance(post, dict) else None
        named = [(str(item.get("kind")), str(item.get("name"))) for item in references if isinstance(item, dict)] if isinstance(references, list) else []
        return any(self.find(kind, sync.namespace, name) or self.maker(kind, sync.namespace, name) for kind, name in named)

    def _stand_in_sync(self) -> Object:
        """The sync of a cluster whose own one is not in Git."""
        body = {
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
            "kind": "Kustomization",
            "metadata": {"name": self._root.name},
            "spec": {"path": self._root.path},
        }
        identity = ObjectId(self._root.name, "kustomize.toolkit.fluxcd.io", "Kustomization", "", self._root.name)
        return Object(identity, body, Origin(fixed(Location(self._root.path))))

    def _forget(self) -> None:
        for held in (self._objects, self._named, self._kinds, self._builds, self._problems, self._not_evaluated, self._pending):
            held.clear()

    # Kustomizations

    def _step_kustomizations(self) -> bool:
        """Build the Kustomizations whose variables are there; when nothing else can bring more, build the others with what there is."""
        candidates = [*self._deferred, *self._pending]
        self._pending.clear()
        ready = [item for item in candidates if not self._variables(item).absent]
        self._deferred = [item for item in candidates if self._variables(item).absent]
        if not ready and not self._unrendered(HELM_RELEASE) and not self._unrendered(RESOURCE_SET):
            ready, self._deferred = self._deferred, []
        self._kustomize([(item, folder) for item in ready for folder in self._folder(item)])
        return bool(ready)

    def _folder(self, item: Object) -> Iterable[str]:
        """The folder a Kustomization builds, or nothing when it lies in another source (its artifact may still be at hand)."""
        if item.get("spec", "kubeConfig"):
            self._skip(item, "it is applied to another cluster (spec.kubeConfig)")
            return
        resolved = self._sources.resolve(item, self.find, lambda: tuple(self._kinds.get(ARTIFACT_GENERATOR, ())))
        if resolved.path is not None:
            yield resolved.path
            return
        made = self._workspace.artifacts.build(item, resolved.source) if resolved.source is not None else None
        if made is None:
            self._skip(item, resolved.elsewhere)
        else:
            self._take(item, "", made.built, elided=made.elided)

    def _skip(self, item: Object, why: str) -> None:
        self._builds[item.namespace, item.name] = Build(item, str(item.get("spec", "path", default="")), elsewhere=why)
        self._not_evaluated.append(NotEvaluated(str(item.id), "the objects of a Kustomization", why))

    def _kustomize(self, batch: list[tuple[Object, str]]) -> None:
        kustomizer = self._workspace.kustomizer
        with ThreadPoolExecutor(_WORKERS) as pool:
            results = list(pool.map(lambda work: kustomizer.build(work[1], work[0].spec, where=_spec_locator(work[0])), batch))
        for (item, folder), built in zip(batch, results, strict=True):
            self._take(item, folder, built)

    def _take(self, item: Object, folder: str, built: Built, *, elided: bool = False) -> None:
        """Substitute what a Kustomization built and take its objects into the cluster."""
        self._builds[item.namespace, item.name] = Build(item, folder)
        subject = str(item.id)
        variables = self._variables(item)
        self._problems += [
            Problem(problem.code, problem.subject or subject, problem.location, problem.message) for problem in (*built.problems, *built.warnings)
        ]
        self._problems += [
            Problem(
                "substitute-source-missing",
                subject,
                item.locate("spec", "postBuild", "substituteFrom"),
                f"{name} provides variables and is nowhere in this cluster",
            )
            for name in variables.absent
        ]
        self._not_evaluated += [NotEvaluated(subject, f"values of {name}", "they are encrypted in Git or made outside of it") for name in variables.outside]
        if any(problem.code == _REMOTE for problem in built.problems):
            self._not_evaluated.append(NotEvaluated(subject, "what remote bases hold, and what patches make of it", "no base is fetched from the network"))
        self._unknown |= variables.unknown
        chain = (*item.origin.chain, Link(item.kind, item.namespace, item.name))
        objects: list[Object] = []
        used: set[str] = set()
        missing: set[str] = set()
        for made in built.objects:
            body = self._substituted(item, made, variables, used, missing)
            found = self._object(body, Origin(made.locate, chain, elided=elided))
            if found is not None and self._add(found):
                objects.append(found)
        self._builds[item.namespace, item.name] = Build(item, folder, tuple(objects), variables.values, frozenset(used), tuple(sorted(missing)), built.files)

    def _substituted(self, item: Object, made: BuiltObject, variables: Variables, used: set[str], missing: set[str]) -> dict[str, Any]:
        post = item.get("spec", "postBuild")
        always = isinstance(post, dict) and post.get("substituteStrategy") == "Always"
        hidden = variables.incomplete
        if not isinstance(post, dict) or not (variables.values or always or hidden):
            return made.body
        result = substitute(made.body, variables.values, strict=not hidden, always=always or hidden, locate=made.locate)
        if hidden and result.missing:
            # What nobody can read here may well provide what seems to be missing.
            guessed = {name: stand_in(name) for name in result.missing}
            self._unknown |= set(guessed.values())
            result = substitute(made.body, {**variables.values, **guessed}, strict=False, always=True, locate=made.locate)
        used |= result.used
        missing |= set(result.missing)
        subject = _subject(self._root.name, made.body)
        self._problems += [Problem(problem.code, subject, problem.location, problem.message) for problem in result.problems]
        return result.body

    def _variables(self, item: Object) -> Variables:
        return variables_of(item, self.find, lambda kind, namespace, name: self._makers.get((kind, namespace, name)))

    # Releases and resource sets

    def _unrendered(self, kind: str) -> list[Object]:
        done = self._releases if kind == HELM_RELEASE else self._sets
        return [item for item in self._kinds.get(kind, ()) if (item.namespace, item.name) not in done]

    def _step_releases(self) -> bool:
        batch = [item for item in self._unrendered(HELM_RELEASE) if not item.get("spec", "kubeConfig")]
        for item in self._unrendered(HELM_RELEASE):
            if item.get("spec", "kubeConfig") and not any(entry.subject == str(item.id) for entry in self._not_evaluated):
                self._not_evaluated.append(NotEvaluated(str(item.id), "the objects of a release", "it is applied to another cluster (spec.kubeConfig)"))
        if not batch:
            return False
        for item, rendered in zip(batch, self._rendered(batch), strict=True):
            self._releases[item.namespace, item.name] = rendered
            lacking = [problem for problem in rendered.problems if problem.code == _NO_CHART and self._workspace.lock is None]
            self._problems += [problem for problem in rendered.problems if problem not in lacking]
            self._not_evaluated += [NotEvaluated(str(item.id), "what the release renders to", _HAND) for _ in lacking]
            self._not_evaluated += rendered.not_evaluated
            for made in (*rendered.objects, *rendered.hooks):
                self._add(self._placed(made, rendered.namespace))
        return True

    def _rendered(self, batch: list[Object]) -> list[Rendered]:
        """Render a batch of releases, and again when they bring definitions that a chart may ask for: what nobody asked for comes from memory."""
        self.kubernetes_version = self.kubernetes_version or self._declared_version()
        results: list[Rendered] = []
        with ThreadPoolExecutor(_WORKERS) as pool:
            for _ in range(_ROUNDS):
                definitions = [*self._kinds.get(CRD, ()), *(made for rendered in results for made in rendered.objects if str(made.group_kind) == CRD)]
                kinds = schemas_for(self.kubernetes_version, definitions).kinds()
                apis = frozenset(text for version, kind in kinds for text in (version, f"{version}/{kind}"))
                if results and apis == self._apis:
                    break
                self._apis = apis
                results = list(pool.map(lambda item: self._workspace.renderer.render(item, self), batch))
        return results

    def _placed(self, made: Object, namespace: str) -> Object:
        """A release's object that names no namespace gets the release's, unless its kind is built in and has none."""
        known = SchemaSet.for_cluster(self.kubernetes_version).scope(made.api_version, made.kind)
        return made if made.namespace or known == "Cluster" else _moved(made, namespace)

    def _step_sets(self) -> bool:
        batch = self._unrendered(RESOURCE_SET)
        for item in batch:
            self._sets.add((item.namespace, item.name))
            rendered = render_resource_set(item, self, self._workspace.tools, self._workspace.cache)
            self._problems += rendered.problems
            self._not_evaluated += rendered.not_evaluated
            for made in rendered.objects:
                self._add(made)
        return bool(batch)

    def _expand(self) -> None:
        self.kubernetes_version = self.kubernetes_version or self._declared_version()
        for made in expand(list(self._objects.values()), self, self._workspace.charts.artifact):
            self._add(made, quiet=True)

    def _declared_version(self) -> str:
        """The cluster's own word for its Kubernetes version: a variable KUBERNETES_VERSION."""
        declared = (build.variables.get("KUBERNETES_VERSION", "") for build in self._builds.values())
        return next((version for version in declared if VERSION.fullmatch(version)), DEFAULT_KUBERNETES)

    # Objects

    def _object(self, body: Mapping[str, Any], origin: Origin) -> Object | None:
        metadata = body.get("metadata")
        api_version, kind = body.get("apiVersion"), body.get("kind")
        if not isinstance(metadata, dict) or not isinstance(api_version, str) or not isinstance(kind, str):
            where = origin.locate(())
            self._problems.append(Problem("object-not-kubernetes", where.path, where, "it has no apiVersion, kind or metadata after substitution"))
            return None
        clean = {key: value for key, value in body.items() if key != "sops"}
        identity = ObjectId(self._root.name, group_of(api_version), kind, str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))
        if "sops" in body:
            self._not_evaluated.append(NotEvaluated(str(identity), "its encrypted values", "they are encrypted with SOPS"))
        return Object(identity, clean, origin)

    def _add(self, found: Object, *, quiet: bool = False) -> bool:
        """Take an object into the cluster; false when another applier already brought it."""
        known = self._objects.get(found.id)
        if known is not None:
            if not quiet and known.applier != found.applier:
                message = f"{known.applier or 'bootstrap'} applies it too, from {known.locate()}"
                self._problems.append(Problem("object-two-owners", str(found.id), found.locate(), message))
            elif not quiet:
                self._problems.append(
                    Problem("object-twice", str(found.id), found.locate(), f"{found.applier or 'bootstrap'} holds it twice, also at {known.locate()}")
                )
            return False
        self._objects[found.id] = found
        kind = str(found.group_kind)
        self._named[kind, found.namespace, found.name] = found
        self._kinds.setdefault(kind, []).append(found)
        for product in PRODUCTS[kind](found) if kind in PRODUCTS and kind not in _PLAIN else ():
            self._makers.setdefault((product.kind, product.namespace, product.name), (found, product))
        if kind == KUSTOMIZATION and (found.namespace, found.name) not in self._builds:
            self._pending.append(found)
        return True

    def _scoped(self, schemas: SchemaSet) -> list[Object]:
        """Drop the namespace from cluster-scoped objects of releases: the API server ignores it, and so they are one object wherever they come from."""
        result: dict[ObjectId, Object] = {}
        for item in self._objects.values():
            applier = item.applier
            if item.namespace and applier is not None and applier.kind == "HelmRelease" and schemas.scope(item.api_version, item.kind) == "Cluster":
                item = _moved(item, "")
            known = result.setdefault(item.id, item)
            if known is not item:
                message = f"{known.applier or 'bootstrap'} applies it too, from {known.locate()}"
                self._problems.append(Problem("object-two-owners", str(item.id), item.locate(), message))
        return list(result.values())


def _moved(item: Object, namespace: str) -> Object:
    metadata = {key: value for key, value in item.metadata.items() if key != "namespace"}
    if namespace:
        metadata["namespace"] = namespace
    return Object(item.id._replace(namespace=namespace), {**item.body, "metadata": metadata}, item.origin)


def _spec_locator(item: Object) -> Locator:
    """Pointers into a Kustomization's ``spec`` as lines of its file."""
    return lambda pointer: item.locate("spec", *pointer)


def _subject(cluster: str, body: Mapping[str, Any]) -> str:
    metadata = body.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    return "/".join(str(part) for part in (cluster, body.get("kind"), metadata.get("namespace"), metadata.get("name")) if part)
