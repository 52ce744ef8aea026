"""Rules about kustomize: that every overlay builds as the controller builds it, and holds no surprise (KUS1xx)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from harness.flux.kinds import KUSTOMIZATION
from harness.model import Location, Severity
from harness.rules.base import Files, Objects, Registry, Violation, violation
from harness.rules.flx_common import entries, items, mapping, read_text, text
from harness.rules.flx_patches import fits, may_be_removed
from harness.source.reach import KUSTOMIZATION_NAMES, kustomization_document, kustomization_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import Build, World
    from harness.model import Object
    from harness.rules.context import Context
    from harness.source.repository import Repository
    from harness.source.yaml import Document

KUS: Final = Registry()

_KUSTOMIZATIONS: Final = (KUSTOMIZATION,)
_DOCS: Final = "fluxcd/kustomize-controller docs/spec/v1/kustomizations.md"


def _claimed(ks: Object, world: World, expect: str, *codes: str) -> Iterator[Violation]:
    for problem in world.problems_of(ks, *codes):
        yield Violation(found=problem.message, expect=expect, location=problem.location)


@KUS.rule(
    "KUS101",
    title="every Kustomization builds, with the controller's options and from this repository alone",
    why=f"what does not build is never applied, and the cluster stays at the last revision that did ({_DOCS}; fluxcd/pkg/kustomize)",
    fix="correct the line that is named; kubectl kustomize --load-restrictor LoadRestrictionsNone <path> shows the same error",
    scope=Objects(_KUSTOMIZATIONS),
    controls=("NIST-CM-2",),
    claims=("kustomize-build", "kustomize-cycle", "kustomize-missing", "kustomize-unknown-field"),
)
def builds(ks: Object, world: World) -> Iterator[Violation]:
    yield from _claimed(ks, world, "an overlay that builds", "kustomize-build", "kustomize-cycle", "kustomize-missing", "kustomize-unknown-field")


def _is_reachable(path: str) -> bool:
    """Manifests that Flux could apply; the folder of a hidden tool and a CI file are none."""
    return not any(part.startswith(".") for part in path.split("/"))


_reached: Final[WeakKeyDictionary[Repository, tuple[int, frozenset[str], frozenset[str]]]] = WeakKeyDictionary()


def _coverage(context: Context) -> tuple[frozenset[str], frozenset[str]]:
    """What all clusters reach, and the folders from which they reach something."""
    known = _reached.get(context.repository)
    if known is None or known[0] != len(context.clusters):
        files = frozenset[str]().union(*(cluster.reached for cluster in context.clusters.values()))
        known = _reached[context.repository] = (len(context.clusters), files, frozenset(path.rpartition("/")[0] for path in files))
    return known[1], known[2]


def _is_for_flux(path: str, folders: frozenset[str], context: Context) -> bool:
    """In this project all of clusters/ and policies/ is; elsewhere, what lies in or below a folder from which a cluster takes something."""
    if context.own and path.startswith(("clusters/", "policies/")):
        return True
    folder = path.rpartition("/")[0]
    while folder:
        if folder in folders:
            return True
        folder = folder.rpartition("/")[0]
    return False


@KUS.rule(
    "KUS102",
    title="every YAML file of the folders that Flux reads is reached from some cluster",
    why="a manifest that no kustomization.yaml names looks applied and is not: a policy nobody enforces, a fix nobody gets",
    fix="name the file in the kustomization.yaml beside it, or delete it",
    scope=Files(where=_is_reachable),
    severity=Severity.WARNING,
    controls=("NIST-CM-2", "NIST-CM-8"),
    every_cluster=True,
)
def is_reached(path: str, context: Context) -> Iterator[Violation]:
    files, folders = _coverage(context)
    if not context.clusters or path in files or not _is_for_flux(path, folders, context):
        return
    yield Violation(found="no cluster reaches the file", expect="a kustomization.yaml that names it", location=Location(path, 1))


@KUS.rule(
    "KUS103",
    title="every folder that Flux builds has its own kustomization.yaml",
    why=f"without one the controller applies every YAML file below the folder, test data and drafts included ({_DOCS}, Generating a kustomization.yaml file)",
    fix="run kustomize create --autodetect in the folder and keep the result",
    scope=Objects(_KUSTOMIZATIONS),
    severity=Severity.WARNING,
    controls=("NIST-CM-2",),
)
def has_kustomization(ks: Object, world: World) -> Iterator[Violation]:
    build = world.kustomizations.get((ks.namespace, ks.name))
    if build is None or build.elsewhere or not world.repository.is_dir(build.path) or not build.files:
        return
    if not kustomization_files(world.repository, build.path):
        yield violation(ks, "spec", "path", found=f"folder {build.path or '.'} has no kustomization.yaml", expect="an explicit list of what is applied")


@KUS.rule(
    "KUS104",
    title="no overlay fetches a base from the network",
    why=(
        "a remote base is fetched at every reconciliation, unverified and at whatever revision it has then; the lockdown flag --no-remote-bases refuses it "
        "(fluxcd.io FAQ, Should I be using Kustomize remote bases?)"
    ),
    fix="make a GitRepository or OCIRepository of it with a pinned, verified revision, and a Kustomization that builds from that",
    scope=Objects(_KUSTOMIZATIONS),
    severity=Severity.WARNING,
    controls=("NIST-CM-5", "NIST-SI-7"),
    claims=("kustomize-remote-base",),
)
def no_remote_base(ks: Object, world: World) -> Iterator[Violation]:
    yield from _claimed(ks, world, "bases of this repository", "kustomize-remote-base")


@KUS.rule(
    "KUS105",
    title="no overlay asks kustomize to render a chart",
    why="kustomize-controller never runs Helm: helmCharts fails the build (fluxcd.io FAQ, Should I be using Kustomize Helm chart plugin?)",
    fix="write a HelmRelease",
    scope=Objects(_KUSTOMIZATIONS),
    claims=("kustomize-helm-charts",),
)
def no_helm_charts(ks: Object, world: World) -> Iterator[Violation]:
    yield from _claimed(ks, world, "a HelmRelease", "kustomize-helm-charts")


@KUS.rule(
    "KUS106",
    title="no overlay uses a field that kustomize has deprecated",
    why="kustomize removes these fields in kustomize.config.k8s.io/v1; commonLabels also changes selectors, which are immutable",
    fix="run kustomize edit fix, or use resources, patches, replacements and labels",
    scope=Objects(_KUSTOMIZATIONS),
    severity=Severity.WARNING,
    claims=("kustomize-deprecated",),
)
def no_deprecated_field(ks: Object, world: World) -> Iterator[Violation]:
    yield from _claimed(ks, world, "the field that replaced it", "kustomize-deprecated")


def _is_kustomization(path: str) -> bool:
    return path.rpartition("/")[2] in KUSTOMIZATION_NAMES


def _fields(path: str, context: Context) -> tuple[Document | None, dict[str, Any]]:
    document = kustomization_document(context.repository, path)
    body = mapping(document.body) if document is not None else {}
    return (document, body) if text(body.get("apiVersion") or "kustomize.config.k8s.io/v1beta1").startswith("kustomize.config.k8s.io/") else (None, {})


@KUS.rule(
    "KUS107",
    title="labels of an overlay stay out of selectors",
    why="includeSelectors: true writes the label into the immutable selectors of Deployments and StatefulSets: to change it later means to delete them",
    fix="set includeSelectors: false, and includeTemplates: true where Pods need the label",
    scope=Files(where=_is_kustomization),
    severity=Severity.WARNING,
)
def labels_without_selectors(path: str, context: Context) -> Iterator[Violation]:
    document, body = _fields(path, context)
    for index, entry in entries(body.get("labels")):
        if document is not None and entry.get("includeSelectors") is True:
            at = ("labels", index, "includeSelectors")
            yield Violation(found="labels with includeSelectors: true", expect="includeSelectors: false", location=document.locate(at))


@KUS.rule(
    "KUS108",
    title="generated ConfigMaps and Secrets carry the hash of their content",
    why="without the hash in its name, a changed ConfigMap or Secret restarts nothing: Pods go on with the old content (kustomize, generatorOptions)",
    fix="drop disableNameSuffixHash; where the name must stay (Flux reads it), add the label reconcile.fluxcd.io/watch: Enabled",
    scope=Files(where=_is_kustomization),
    severity=Severity.WARNING,
)
def generators_have_hashes(path: str, context: Context) -> Iterator[Violation]:
    document, body = _fields(path, context)
    if document is None:
        return
    shared = mapping(body.get("generatorOptions"))
    for field in ("configMapGenerator", "secretGenerator"):
        for index, entry in entries(body.get(field)):
            own = mapping(entry.get("options"))
            disabled = own.get("disableNameSuffixHash", shared.get("disableNameSuffixHash")) is True
            labels = {**mapping(shared.get("labels")), **mapping(own.get("labels"))}
            # Grafana's sidecar and its like find the object by a label and reload it: the name does not matter to them.
            if disabled and not labels:
                found = f"{field} {entry.get('name')} without the hash of its content"
                at = (field, index, "options") if "disableNameSuffixHash" in own else ("generatorOptions",)
                yield Violation(
                    found=found, expect="a hash, or a label by which its readers watch it", location=document.locate((*at, "disableNameSuffixHash"))
                )


@KUS.rule(
    "KUS109",
    title="every patch of an overlay matches an object",
    why="kustomize skips a patch whose target matches nothing, without a word: the hardening it was written for is not there",
    fix="correct the target's kind and name, or delete the patch",
    scope=Objects(_KUSTOMIZATIONS),
    controls=("NIST-CM-6",),
)
def patches_match(ks: Object, world: World) -> Iterator[Violation]:
    """Only the kustomization at the path itself: what the nested ones matched is no longer seen in the result."""
    build = world.kustomizations.get((ks.namespace, ks.name))
    document = _top(build, world.repository) if build is not None and build.built else None
    if build is None or document is None:
        return
    body = mapping(document.body)
    patches = body.get("patches")
    if any(_deletes_by_file(patch, build, world) for patch in items(patches)):
        return
    all_patches = [*items(patches), *items(ks.spec.get("patches"))]
    for index, patch in entries(patches):
        target = mapping(patch.get("target"))
        if target and not fits(target, build.built) and not may_be_removed(target, all_patches):
            what = " ".join(f"{key}={target[key]}" for key in ("group", "version", "kind", "name") if target.get(key))
            found = f"patch {index + 1} ({what}) matches none of {len(build.built)} objects"
            yield Violation(found=found, expect="a target that is built", location=document.locate(("patches", index)))


def _top(build: Build, repository: Repository) -> Document | None:
    files = kustomization_files(repository, build.path)
    return kustomization_document(repository, files[0]) if files else None


def _deletes_by_file(patch: object, build: Build, world: World) -> bool:
    """Whether a patch in a file removes objects."""
    name = text(mapping(patch).get("path"))
    path = f"{build.path}/{name.removeprefix('./')}" if build.path else name.removeprefix("./")
    return bool(name) and "$patch" in read_text(world.repository, path)


@KUS.rule(
    "KUS110",
    title="every generator's files and every list of an overlay name something once",
    why="an entry that stands twice is a merge gone wrong: the build fails or one of them is dead",
    fix="delete the second entry",
    scope=Files(where=_is_kustomization),
    severity=Severity.WARNING,
)
def nothing_listed_twice(path: str, context: Context) -> Iterator[Violation]:
    document, body = _fields(path, context)
    if document is None:
        return
    for field in ("resources", "components", "configurations", "crds"):
        seen: set[str] = set()
        for index, entry in enumerate(items(body.get(field))):
            name = text(entry).removeprefix("./").rstrip("/")
            if name and name in seen:
                yield Violation(found=f"{field} names {entry} twice", expect="each entry once", location=document.locate((field, index)))
            seen.add(name)


RULES: Final = tuple(KUS.rules)
