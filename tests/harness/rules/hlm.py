"""Rules about what a Helm release is made of: chart, strategy, drift, namespace, values (HLM1xx)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.model import Severity
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.hlm_common import (
    RELEASES,
    ChartSource,
    chart_source,
    has_comment,
    is_exact_version,
    items,
    mapping,
    own_sources,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Object

HLM: Final = Registry()

_SOURCE_DOCS: Final = "fluxcd/source-controller docs/spec/v1/ocirepositories.md"
_RELEASE_DOCS: Final = "fluxcd/helm-controller docs/spec/v2/helmreleases.md"


@HLM.rule(
    "HLM101",
    title="a release takes one exact, verified chart from its own namespace",
    why=(
        "a range or a moving tag lets the registry change the cluster without a commit, an unverified artifact is whatever the registry serves, "
        f"and a source of another namespace is refused under --no-cross-namespace-refs ({_SOURCE_DOCS}, Verification)"
    ),
    fix="use chartRef to an OCIRepository of the release's namespace with an exact ref.tag or ref.digest and spec.verify; waive it where upstream signs none",
    scope=Objects(RELEASES),
    severity=Severity.WARNING,
    controls=("NIST-CM-5", "NIST-SI-7", "SLSA-VERIFY"),
)
def exact_verified_chart(release: Object, world: World) -> Iterator[Violation]:
    source = chart_source(release)
    if source is None:
        return
    if source.namespace != release.namespace:
        yield violation(release, *source.pointer, found=f"chart source {source} of another namespace", expect=f"a source in namespace {release.namespace}")
    if (source.kind, source.namespace, source.name) in own_sources(world):
        return
    where = source.find(world)
    if source.kind == "HelmChart" and where is not None:
        yield from _chart_of_repository(release, where, ChartSource(source.kind, where.namespace, where.name, ("spec",), where.spec), world)
    elif source.kind == "OCIRepository" and where is not None:
        yield from _oci(where)
    elif source.chart:
        yield from _chart_of_repository(release, release, source, world)


def _oci(source: Object) -> Iterator[Violation]:
    reference = mapping(source.spec.get("ref"))
    tag = text(reference.get("tag"))
    if not reference.get("digest"):
        if reference.get("semver"):
            yield violation(source, "spec", "ref", "semver", found=f"ref.semver: {reference['semver']}", expect="ref.tag or ref.digest: one exact version")
        elif not tag:
            yield violation(source, "spec", "ref", found="no ref, which means the tag latest", expect="ref.tag or ref.digest: one exact version")
        elif not is_exact_version(tag):
            yield violation(source, "spec", "ref", "tag", found=f"ref.tag: {tag}", expect="a tag that names one version, such as 1.2.3")
    verify = mapping(source.spec.get("verify"))
    if not verify:
        yield violation(
            source,
            "spec",
            found=f"OCIRepository {source.namespace}/{source.name} has no spec.verify",
            expect="spec.verify with the publisher's identity or key",
        )
    elif not verify.get("matchOIDCIdentity") and not verify.get("secretRef"):
        yield violation(
            source, "spec", "verify", found="verify without matchOIDCIdentity or secretRef", expect="an identity or a key: keyless alone accepts any signer"
        )


def _chart_of_repository(release: Object, holder: Object, source: ChartSource, world: World) -> Iterator[Violation]:
    """A chart by name and version, from ``spec.chart`` of the release or from a HelmChart object."""
    base = ("spec",) if holder is not release else ("spec", "chart", "spec")
    reference = mapping(source.chart.get("sourceRef"))
    kind, name = text(reference.get("kind")), text(reference.get("name"))
    if kind in {"GitRepository", "Bucket"}:
        # The version is ignored for these: what pins the chart is the revision of the source (helmcharts.md, Version).
        key = (kind, text(reference.get("namespace")) or holder.namespace, name)
        if key not in own_sources(world):
            yield from _revision(holder, base, key, world)
        return
    version = text(source.chart.get("version"))
    if not is_exact_version(version):
        found = f"version: {version}" if version else "no version, which means the newest"
        yield violation(holder, *base, *(("version",) if version else ()), found=found, expect="one exact version")
    if not source.chart.get("verify"):
        yield violation(
            holder,
            *base,
            found=f"chart {source.chart.get('chart')} comes from {kind} {name} and nobody verifies it",
            expect="chartRef to an OCIRepository with spec.verify",
        )


def _revision(holder: Object, base: tuple[str, ...], key: tuple[str, str, str], world: World) -> Iterator[Violation]:
    kind, namespace, name = key
    source = world.find(f"{kind}.source.toolkit.fluxcd.io", namespace, name)
    if source is None:
        return
    reference = mapping(source.spec.get("ref"))
    if kind == "Bucket" or not (reference.get("commit") or reference.get("tag")):
        yield violation(
            holder, *base, "sourceRef", found=f"chart from {kind} {namespace}/{name} at a moving revision", expect="a source with ref.tag or ref.commit"
        )
    if not source.spec.get("verify"):
        yield violation(source, "spec", found=f"{kind} {namespace}/{name} has no spec.verify", expect="spec.verify with the publisher's keys")


@HLM.rule(
    "HLM102",
    title="install and upgrade state their strategy and their CRD policy, and retryInterval goes with RetryOnFailure only",
    why=(
        "the default is RemediateOnFailure with no retries (a failed install stays failed), it changes with the gate DefaultToRetryOnFailure, upgrade.crds "
        f"defaults to Skip while install.crds defaults to Create, and retryInterval with another strategy is refused ({_RELEASE_DOCS}, Install strategy)"
    ),
    fix="set spec.install and spec.upgrade: strategy {name: RetryOnFailure, retryInterval: 2m} and crds: Skip, Create or CreateReplace",
    scope=Objects(RELEASES),
    severity=Severity.WARNING,
    controls=("NIST-CM-2",),
)
def explicit_strategy(release: Object, world: World) -> Iterator[Violation]:
    for action in ("install", "upgrade"):
        settings = mapping(release.spec.get(action))
        at = ("spec", action) if settings else ("spec",)
        strategy = mapping(settings.get("strategy"))
        name = text(strategy.get("name"))
        if not name:
            yield violation(release, *at, found=f"no spec.{action}.strategy.name", expect="RetryOnFailure or RemediateOnFailure, stated")
        elif "retryInterval" in strategy and name != "RetryOnFailure":
            yield violation(
                release,
                *at,
                "strategy",
                "retryInterval",
                found=f"spec.{action}.strategy.retryInterval with {name}",
                expect="retryInterval only with RetryOnFailure",
            )
        if not settings.get("crds"):
            yield violation(release, *at, found=f"no spec.{action}.crds", expect="Skip, Create or CreateReplace, stated")


@HLM.rule(
    "HLM103",
    title="drift detection states its mode, and every ignore is narrow and says why",
    why=(
        "without a mode, drift detection is off and a change made by hand stays until the next upgrade; an ignore without target, or of a whole object, "
        f"switches it off for good ({_RELEASE_DOCS}, Drift detection)"
    ),
    fix="set spec.driftDetection.mode: enabled (or warn); give each ignore a target with kind and name, paths of fields, and a comment on who changes them",
    scope=Objects(RELEASES),
    severity=Severity.WARNING,
    controls=("NIST-CM-3", "NIST-CM-6"),
)
def drift_detection(release: Object, world: World) -> Iterator[Violation]:
    settings = mapping(release.spec.get("driftDetection"))
    mode = text(settings.get("mode"))
    if not mode:
        yield violation(
            release, *(("spec", "driftDetection") if settings else ("spec",)), found="no spec.driftDetection.mode", expect="enabled or warn, stated"
        )
    elif mode == "disabled":
        yield violation(release, "spec", "driftDetection", "mode", found="spec.driftDetection.mode: disabled", expect="enabled or warn")
    ignores = items(settings.get("ignore"))
    explained = bool(ignores) and has_comment_above(world, release)
    for index, ignore in enumerate(ignores):
        at = ("spec", "driftDetection", "ignore", index)
        rule = mapping(ignore)
        target = mapping(rule.get("target"))
        if not text(target.get("kind")):
            yield violation(release, *at, found=f"ignore {index + 1} without target.kind", expect="a target with kind, and name where it is one object")
        for position, path in enumerate(items(rule.get("paths"))):
            if _is_broad(text(path)):
                yield violation(
                    release, *at, "paths", position, found=f"ignored path {path!r} covers a whole section", expect="a path of one field, such as /spec/replicas"
                )
        if not (explained or has_comment(world, release.locate(*at))):
            yield violation(release, *at, found=f"ignore {index + 1} without a comment", expect="a comment that says who changes the field")


def has_comment_above(world: World, release: Object) -> bool:
    """Whether one comment stands right above the whole list of ignores."""
    location = release.locate("spec", "driftDetection", "ignore")
    if location.line < 2 or not world.repository.exists(location.path):
        return False
    lines = world.repository.text(location.path).splitlines()
    return location.line - 2 < len(lines) and lines[location.line - 2].lstrip().startswith("#")


def _is_broad(path: str) -> bool:
    """The whole object, a top-level section but ``/data`` and its like, or everything below one wildcard."""
    steps = [step for step in path.split("/") if step]
    return not steps or (len(steps) == 1 and steps[0] in {"spec", "metadata", "status", "webhooks", "rules"}) or steps[-1] == "*"


@HLM.rule(
    "HLM104",
    title="a release lives in a namespace of its own Kustomization: no targetNamespace, no createNamespace",
    why=(
        "a namespace made by Helm has no labels (no Pod Security level), is never garbage collected and is there only after the release's own objects were "
        f"validated; a target namespace splits a release from its rights and its storage ({_RELEASE_DOCS}, Install configuration; Flux audit list)"
    ),
    fix="put the Namespace object into the Kustomization of the release, put the release into that namespace, delete targetNamespace and createNamespace",
    scope=Objects(RELEASES),
    severity=Severity.WARNING,
    controls=("NIST-AC-3", "CIS-5.7.1"),
)
def namespace_of_its_own(release: Object, world: World) -> Iterator[Violation]:
    target = text(release.spec.get("targetNamespace"))
    if target:
        yield violation(release, "spec", "targetNamespace", found=f"spec.targetNamespace: {target}", expect=f"the release in namespace {target} itself")
    if release.get("spec", "install", "createNamespace") is True:
        yield violation(
            release,
            "spec",
            "install",
            "createNamespace",
            found="spec.install.createNamespace: true",
            expect="a Namespace object in the release's Kustomization",
        )
    namespace = world.find("Namespace", "", release.namespace)
    if namespace is None:
        if release.namespace not in {"default", "kube-system", "flux-system"}:
            yield violation(
                release, "metadata", "namespace", found=f"no Namespace object {release.namespace} in the cluster", expect="one in the release's Kustomization"
            )
        return
    if namespace.applier is None or namespace.applier == release.applier or namespace.applier in release.origin.chain:
        return
    proof = world.order.available_before(namespace, release)
    if not proof.holds:
        yield violation(
            release,
            "metadata",
            "namespace",
            found=f"Namespace {release.namespace} comes from {namespace.applier}: {proof.reason}",
            expect=f"it in {release.applier}, or in a Kustomization that one depends on",
        )


RULES: Final = tuple(HLM.rules)
