"""Rules about schemas: what the API server would refuse (SCH1xx)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.model import NotEvaluated, format_pointer
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.lif_api import is_gone
from harness.rules.order_api import definitions, has_definition
from harness.rules.order_makers import is_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.engines.schema import SchemaError
    from harness.flux.world import World
    from harness.model import Object

SCH: Final = Registry()

#: What the schema engine calls an error that a CRD's own CEL rule raised.
_CEL: Final = "x-kubernetes-validations"
_UNKNOWN_KIND: Final = "unknown-kind"
#: A namespace on a cluster-scoped object, which the API server drops without a word (rest.EnsureObjectNamespaceMatchesRequestNamespace).
_SCOPE: Final = "scope"
#: How a value that SOPS encrypted begins; kustomize-controller decrypts it before it applies.
_ENCRYPTED: Final = "ENC["
#: The kinds of Flux 2.9 and flux-operator: a cluster that Flux syncs has them, whoever installed it.
_OF_FLUX: Final = frozenset(
    f"{kind}.{group}"
    for group, kinds in {
        "kustomize.toolkit.fluxcd.io": ("Kustomization",),
        "helm.toolkit.fluxcd.io": ("HelmRelease",),
        "source.toolkit.fluxcd.io": ("Bucket", "ExternalArtifact", "GitRepository", "HelmChart", "HelmRepository", "OCIRepository"),
        "source.extensions.fluxcd.io": ("ArtifactGenerator",),
        "notification.toolkit.fluxcd.io": ("Alert", "Provider", "Receiver"),
        "image.toolkit.fluxcd.io": ("ImagePolicy", "ImageRepository", "ImageUpdateAutomation"),
        "fluxcd.controlplane.io": ("FluxInstance", "FluxReport", "ResourceSet", "ResourceSetInputProvider"),
    }.items()
    for kind in kinds
)


@SCH.rule(
    "SCH101",
    title="every object is one that the API server of this Kubernetes version accepts, of a kind the cluster knows",
    why=(
        "Flux applies with strict field validation: an unknown field, a wrong type or an unknown kind stops the whole Kustomization or release, and a field "
        "name that is only misspelt is silently without effect elsewhere (Kubernetes: Field validation)"
    ),
    fix="correct the field; for an unknown kind correct apiVersion, or add the component that brings its definition",
    scope=Objects(),
    controls=("NIST-SI-10", "NIST-CM-6"),
)
def validates(item: Object, world: World) -> Iterator[Violation]:
    for error in world.schemas.validate(item.body, elided=item.origin.elided):
        if error.keyword in {_CEL, _SCOPE} or _depends_on_the_cluster(item, world, error):
            continue
        if error.keyword == _UNKNOWN_KIND and (is_gone(item, world) or _is_defined_elsewhere(item, world)):
            continue  # LIF101 and LIF103 say what to use instead; the ledger says what nobody could look at
        yield _refused(item, error, "a valid object" if error.keyword != _UNKNOWN_KIND else "a kind the cluster knows")


@SCH.rule(
    "SCH102",
    title="every custom resource keeps the rules its definition states in CEL",
    why="the API server evaluates x-kubernetes-validations at admission, and refuses the object as it does for a wrong type (Kubernetes: CRD validation rules)",
    fix="change the object so that the rule holds; its message says how",
    scope=Objects(where=has_definition),
    controls=("NIST-SI-10",),
)
def keeps_cel_rules(item: Object, world: World) -> Iterator[Violation]:
    for error in world.schemas.validate(item.body, elided=item.origin.elided):
        if error.keyword == _CEL and not _depends_on_the_cluster(item, world, error):
            yield _refused(item, error, "the rule of the definition to hold")


@SCH.rule(
    "SCH103",
    title="every namespaced object of a Kustomization says in which namespace it is",
    why=(
        "kustomize-controller has no default namespace: an object without one is refused (namespace not specified) and stops its whole Kustomization "
        "(fluxcd/kustomize-controller docs/spec/v1/kustomizations.md, Target namespace)"
    ),
    fix="set metadata.namespace, namespace in the kustomization.yaml, or spec.targetNamespace",
    scope=Objects(where=lambda item: not item.namespace and item.applier is not None and item.applier.kind == "Kustomization"),
    controls=("NIST-CM-6",),
)
def says_its_namespace(item: Object, world: World) -> Iterator[Violation]:
    if world.is_namespaced(item) and item.applier in world.order.nodes:
        yield violation(item, "metadata", found=f"{item.kind} {item.name} has no namespace", expect="metadata.namespace")


def _refused(item: Object, error: SchemaError, expect: str) -> Violation:
    where = format_pointer(error.pointer)
    found = error.message if where == "." else f"{where}: {error.message}"
    return violation(item, *error.pointer, found=found, expect=expect)


def _depends_on_the_cluster(item: Object, world: World, error: SchemaError) -> bool:
    """Whether an error is about a value that only the cluster knows: a variable of an encrypted Secret, or what SOPS encrypted."""
    value = item.get(*error.pointer)
    return world.is_unknown(value) or (isinstance(value, str) and value.startswith(_ENCRYPTED))


def _is_defined_elsewhere(item: Object, world: World) -> str:
    """Why the definition of an unknown kind may be where nobody here can look; empty when it cannot.

    A kind of a group that some definition of the cluster belongs to is misspelt, and so is an unknown one of Kubernetes' own groups.
    """
    group = item.id.group
    if not has_definition(item) or any(known.group == group for known in definitions(world)):
        return ""
    if str(item.group_kind) in _OF_FLUX:
        return "Flux is installed by other means than this repository, and its definitions with it"
    return "" if is_whole(world) else "its definition may come from a chart, build or source that could not be read"


def not_evaluated(world: World) -> Iterator[NotEvaluated]:
    """The schema checks that were not made, for the ledger: one line for each object and kind of check."""
    for item in world.objects:
        if not world.schemas.knows(item.api_version, item.kind):
            reason = _is_defined_elsewhere(item, world)
            if reason:
                yield NotEvaluated(str(item.id), f"schema of {item.group_kind}", reason)
        seen = set()
        for skip in world.schemas.check(item.body, elided=item.origin.elided).skips:
            if (skip.keyword, skip.why) not in seen:
                seen.add((skip.keyword, skip.why))
                yield NotEvaluated(str(item.id), f"schema: {skip.keyword}", skip.why)


RULES: Final = tuple(SCH.rules)
