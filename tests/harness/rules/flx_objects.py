"""Rules about any object that Flux applies: who owns it, how it is applied, what would never settle (FLX801 to FLX812)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.flux.kinds import KUSTOMIZATION
from harness.model import Severity
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.flx_common import entries, in_git, items, mapping, once, read_text, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Location, Object

FLX: Final = Registry()

_DOCS: Final = "fluxcd/kustomize-controller docs/spec/v1/kustomizations.md"
_DOMAIN: Final = "kustomize.toolkit.fluxcd.io/"

#: What the controller understands, lower case; values are compared without regard to case but for ``substitute``.
_CONTROLS: Final = {
    "prune": frozenset({"enabled", "disabled"}),
    "ssa": frozenset({"override", "merge", "ifnotpresent", "ignore"}),
    "force": frozenset({"enabled", "disabled"}),
    "reconcile": frozenset({"enabled", "disabled"}),
    "substitute": frozenset({"enabled", "disabled"}),
    "decrypt": frozenset({"enabled", "disabled"}),
}


def _control(item: Object, name: str) -> str:
    """The value of a control of the Kustomization controller, from annotation or label, lower case."""
    key = _DOMAIN + name
    return str(item.annotations.get(key) or item.labels.get(key) or "").lower()


def _applier(item: Object, world: World) -> Object | None:
    link = item.applier
    return world.find(KUSTOMIZATION, link.namespace, link.name) if link is not None and link.kind == "Kustomization" else None


@FLX.rule(
    "FLX801",
    title="every object has one owner and stands in Git once",
    why=(
        "two appliers take turns writing the object, and whichever prunes first deletes it for both; a second copy inside one Kustomization fails the build "
        "(object ownership in fluxcd/pkg/ssa)"
    ),
    fix="delete one of the two, or move the object into a Kustomization that both depend on",
    scope=Objects(),
    controls=("NIST-CM-2",),
    claims=("object-not-kubernetes", "object-twice", "object-two-owners"),
)
def one_owner(item: Object, world: World) -> Iterator[Violation]:
    for problem in world.problems_of(item, "object-twice", "object-two-owners"):
        yield Violation(found=problem.message, expect="one applier, one copy", location=problem.location)


@FLX.rule(
    "FLX802",
    title="a namespaced object says its namespace",
    why="kustomize-controller gives it none: the API server refuses it with namespace not specified, and the whole Kustomization fails (fluxcd/pkg/ssa/errors)",
    fix="add metadata.namespace, or namespace: to the kustomization.yaml",
    scope=Objects(where=lambda item: not item.namespace and in_git(item)),
)
def namespaced_has_namespace(item: Object, world: World) -> Iterator[Violation]:
    if world.is_namespaced(item) is True:
        yield violation(item, "metadata", found=f"{item.kind} {item.name} without metadata.namespace", expect="the namespace it belongs to")


@FLX.rule(
    "FLX803",
    title="a cluster-scoped object names no namespace",
    why=(
        "the API server drops it, the inventory keeps it: the object is recorded under a name it does not have. It comes from "
        "namespace: or targetNamespace over "
        "custom kinds, which kustomize takes for namespaced"
    ),
    fix="delete metadata.namespace, or keep cluster-scoped objects in a folder without namespace:",
    scope=Objects(where=lambda item: bool(item.namespace) and in_git(item)),
    severity=Severity.WARNING,
)
def cluster_scoped_has_none(item: Object, world: World) -> Iterator[Violation]:
    if world.is_namespaced(item) is False:
        found = f"{item.kind} is cluster-scoped and has namespace {item.namespace}"
        yield violation(item, "metadata", "namespace", found=found, expect="no metadata.namespace")


@FLX.rule(
    "FLX804",
    title="labels and annotations of kustomize.toolkit.fluxcd.io are ones that the controller knows",
    why=(
        f"an unknown key or value is ignored in silence ({_DOCS}, Controlling the apply behavior of resources); substitute: disabled is compared with its case "
        "(SubstituteVariables in fluxcd/pkg/kustomize), the others are not"
    ),
    fix="use prune, force, reconcile, substitute, decrypt: enabled or disabled; ssa: Override, Merge, IfNotPresent or Ignore",
    scope=Objects(where=in_git),
    controls=("NIST-CM-6",),
)
def known_controls(item: Object, world: World) -> Iterator[Violation]:
    for field, values in (("annotations", item.annotations), ("labels", item.labels)):
        for key, value in values.items():
            if not key.startswith(_DOMAIN):
                continue
            name = key.removeprefix(_DOMAIN)
            allowed = _CONTROLS.get(name)
            if name in {"name", "namespace", "checksum", "role"}:
                continue  # the controller's own marks
            if allowed is None:
                yield violation(item, "metadata", field, key, found=f"unknown key {key}", expect=f"one of {', '.join(sorted(_CONTROLS))}")
            elif str(value).lower() not in allowed or (name == "substitute" and str(value).lower() != value):
                expected = ", ".join(sorted(allowed))
                yield violation(item, "metadata", field, key, found=f"{name}: {value!r} has no effect", expect=f"one of {expected}")


@FLX.rule(
    "FLX805",
    title="an object in Git is applied",
    why=(
        f"reconcile: disabled and ssa: Ignore make the controller skip the object: Git says one thing, the cluster another ({_DOCS}, "
        "Suspending and resuming; Ignore)"
    ),
    fix="delete the annotation, or the object; to pause, set it in the cluster",
    scope=Objects(where=in_git),
    severity=Severity.WARNING,
    controls=("NIST-CM-3",),
)
def is_applied(item: Object, world: World) -> Iterator[Violation]:
    for name, value in (("reconcile", "disabled"), ("ssa", "ignore")):
        if _control(item, name) == value:
            field = "annotations" if _DOMAIN + name in item.annotations else "labels"
            yield violation(
                item, "metadata", field, _DOMAIN + name, found=f"{name}: {value} keeps the controller from applying it", expect="an object that is applied"
            )


@FLX.rule(
    "FLX806",
    title="an object has a name, not generateName",
    why="server-side apply needs a name; kustomize-controller refuses the whole build without one (build, in internal/controller/kustomization_controller.go)",
    fix="write metadata.name",
    scope=Objects(where=lambda item: in_git(item) and (not item.name or "generateName" in item.metadata)),
)
def has_a_name(item: Object, world: World) -> Iterator[Violation]:
    if not item.name:
        yield violation(item, "metadata", found=f"{item.kind} without metadata.name", expect="metadata.name")
    else:
        yield violation(item, "metadata", "generateName", found="generateName is ignored beside name", expect="metadata.name alone")


_SERVER_OWNED: Final = ("deletionTimestamp", "managedFields", "resourceVersion", "selfLink", "uid")


@FLX.rule(
    "FLX807",
    title="an object in Git has no fields that the API server owns",
    why=(
        "server-side apply refuses managedFields, uid and resourceVersion; last-applied-configuration is removed by the controller and put "
        "back by Git, for ever"
    ),
    fix="delete the field: it came from kubectl get -o yaml",
    scope=Objects(where=in_git),
)
def no_server_fields(item: Object, world: World) -> Iterator[Violation]:
    for field in _SERVER_OWNED:
        if item.metadata.get(field):
            yield violation(item, "metadata", field, found=f"metadata.{field}", expect="no field that the server sets")
    applied = "kubectl.kubernetes.io/last-applied-configuration"
    if applied in item.annotations:
        yield violation(item, "metadata", "annotations", applied, found=f"annotation {applied}", expect="no annotation that kubectl sets")


@once
def _scaled(world: World) -> dict[tuple[str, str, str], Object]:
    """What some autoscaler scales: (kind, namespace, name) with the autoscaler."""
    found: dict[tuple[str, str, str], Object] = {}
    for scaler in world.of("HorizontalPodAutoscaler.autoscaling", "ScaledObject.keda.sh"):
        target = mapping(scaler.spec.get("scaleTargetRef"))
        found[text(target.get("kind")) or "Deployment", scaler.namespace, text(target.get("name"))] = scaler
    return found


def _ignores_replicas(item: Object, ks: Object | None) -> bool:
    for _, rule in entries(ks.spec.get("ignore") if ks is not None else None):
        target = mapping(rule.get("target"))
        fits = all(target.get(key) in (None, "", value) for key, value in (("kind", item.kind), ("name", item.name)))
        if fits and "/spec/replicas" in items(rule.get("paths")):
            return True
    return False


@FLX.rule(
    "FLX808",
    title="what an autoscaler scales has no replicas in Git",
    why=(
        "Flux writes the number of Git back at every reconciliation, the autoscaler changes it again: Pods come and go for ever (fluxcd.io "
        "FAQ, What is a Kustomization reconciliation?)"
    ),
    fix="delete spec.replicas, or ignore /spec/replicas in the Kustomization",
    scope=Objects(("Deployment.apps", "StatefulSet.apps"), where=lambda item: in_git(item) and "replicas" in item.spec),
)
def replicas_belong_to_the_scaler(item: Object, world: World) -> Iterator[Violation]:
    scaler = _scaled(world).get((item.kind, item.namespace, item.name))
    if scaler is not None and _control(item, "ssa") != "ifnotpresent" and not _ignores_replicas(item, _applier(item, world)):
        found = f"spec.replicas: {item.spec['replicas']} beside {scaler.kind} {scaler.name}"
        yield violation(item, "spec", "replicas", found=found, expect="no spec.replicas")


@FLX.rule(
    "FLX809",
    title="a Job in Git can be changed",
    why=(
        "a Job's template is immutable: the first change of it (an image, an argument) fails its whole Kustomization until somebody "
        f"deletes the Job ({_DOCS}, force)"
    ),
    fix="annotate the Job with kustomize.toolkit.fluxcd.io/force: enabled",
    scope=Objects(("Job.batch",), where=in_git),
    severity=Severity.WARNING,
)
def job_can_change(job: Object, world: World) -> Iterator[Violation]:
    ks = _applier(job, world)
    if _control(job, "force") != "enabled" and not (ks is not None and ks.spec.get("force") is True):
        yield violation(job, "metadata", found=f"Job {job.name} without the annotation {_DOMAIN}force: enabled", expect="the annotation")


def _explained(world: World, place: Location) -> bool:
    """Whether a line has a comment, or the line above it is one."""
    lines = read_text(world.repository, place.path).splitlines() if world.repository.is_file(place.path) else []
    return any("#" in lines[number] for number in (place.line - 1, place.line - 2) if 0 <= number < len(lines))


@FLX.rule(
    "FLX810",
    title="a Job in Git that deletes itself says that it is meant to run again and again",
    why="after ttlSecondsAfterFinished the Job is gone, so the next reconciliation creates and runs it again, at every interval",
    fix="delete ttlSecondsAfterFinished; where running at every interval is the point, say so in a comment above the Job or the line",
    scope=Objects(("Job.batch",), where=in_git),
    severity=Severity.WARNING,
)
def job_stays(job: Object, world: World) -> Iterator[Violation]:
    if "ttlSecondsAfterFinished" in job.spec and not any(_explained(world, place) for place in (job.locate(), job.locate("spec", "ttlSecondsAfterFinished"))):
        found = f"ttlSecondsAfterFinished: {job.spec['ttlSecondsAfterFinished']} in a Job that Flux applies"
        yield violation(job, "spec", "ttlSecondsAfterFinished", found=found, expect="no ttlSecondsAfterFinished, or a comment")


@FLX.rule(
    "FLX811",
    title="namespaces and volumes outlive a mistake in Git",
    why=(
        "a moved file or a wrong path prunes a namespace with all it holds, a claim with its data; the documentation names them as what to "
        f"protect ({_DOCS}, prune)"
    ),
    fix="annotate the object with kustomize.toolkit.fluxcd.io/prune: disabled",
    scope=Objects(("Namespace", "PersistentVolume", "PersistentVolumeClaim"), where=in_git),
    own_only=True,
    controls=("NIST-CP-9",),
)
def protected_from_prune(item: Object, world: World) -> Iterator[Violation]:
    if _control(item, "prune") != "disabled":
        yield violation(item, "metadata", found=f"{item.kind} {item.name} may be pruned", expect=f"{_DOMAIN}prune: disabled")


@FLX.rule(
    "FLX812",
    title="nothing that holds data is forced",
    why=f"force deletes and recreates the object when an immutable field changes: for StatefulSets and volumes that may lose their data ({_DOCS}, force)",
    fix="remove the annotation, and migrate by hand",
    scope=Objects(("PersistentVolume", "PersistentVolumeClaim", "StatefulSet.apps", "Namespace"), where=in_git),
    controls=("NIST-CP-9",),
)
def data_is_not_forced(item: Object, world: World) -> Iterator[Violation]:
    ks = _applier(item, world)
    if _control(item, "force") == "enabled":
        field = "annotations" if f"{_DOMAIN}force" in item.annotations else "labels"
        yield violation(item, "metadata", field, f"{_DOMAIN}force", found=f"{item.kind} {item.name} is forced", expect="no force on what holds data")
    elif ks is not None and ks.spec.get("force") is True:
        yield violation(item, found=f"{item.kind} {item.name} is forced by Kustomization {ks.name} (force: true)", expect="force: false where data is held")


RULES: Final = tuple(FLX.rules)
