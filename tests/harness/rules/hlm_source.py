"""Rules about what a Helm release refers to: its chart's source, values, service account, other releases (HLM1xx, HLM2xx)."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from harness.flux.kinds import HELM_RELEASE
from harness.flux.rendered import release_name
from harness.model import Severity
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.hlm_common import HELM_CHART, HELM_REPOSITORY, OCI_REPOSITORY, RELEASES, chart_source, claimed, items, mapping, text
from harness.rules.order_makers import makers, may_be_elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.flux.world import World
    from harness.model import Object, Pointer
    from harness.rules.order_makers import Made

HLM: Final = Registry()

#: Registries of one customer of a cloud, which hand out nothing without an identity unless they were opened.
_CLOUD: Final = (
    (re.compile(r"\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?$"), "aws"),
    (re.compile(r"\.azurecr\.(?:io|cn|us)$"), "azure"),
    (re.compile(r"-docker\.pkg\.dev$"), "gcp"),
)
_MAX_NAME: Final = 53
_RELEASE_DOCS: Final = "fluxcd/helm-controller docs/spec/v2/helmreleases.md"


@HLM.rule(
    "HLM106",
    title="the source of a chart has a URL and a type that fit each other",
    why=(
        "source-controller refuses an OCI HelmRepository whose URL is not oci:// and ignores provider and insecure on an HTTP one; "
        "plain http lets anyone on the way replace the chart (docs/spec/v1/helmrepositories.md, Type, Provider)"
    ),
    fix="use oci:// with type: oci (better: an OCIRepository) or https:// with type: default",
    scope=Objects((HELM_REPOSITORY, OCI_REPOSITORY)),
    controls=("NIST-SC-8",),
)
def source_scheme(source: Object, world: World) -> Iterator[Violation]:
    url = text(source.spec.get("url"))
    if not url or "${" in url or world.is_unknown(url):
        return
    scheme = urlsplit(url).scheme
    oci = source.kind == "OCIRepository" or source.spec.get("type") == "oci"
    if oci and scheme != "oci":
        yield violation(source, "spec", "url", found=f"url: {url}", expect="a URL that starts with oci://")
    elif not oci and scheme == "oci":
        yield violation(source, "spec", "url", found=f"url: {url} without type: oci", expect="type: oci, or an OCIRepository")
    elif scheme == "http" and not _in_cluster(url):
        yield violation(source, "spec", "url", found=f"url: {url}", expect="https://")
    if source.kind == "HelmRepository" and not oci:
        for field in ("provider", "insecure"):
            if source.spec.get(field) not in (None, False, "generic"):
                yield violation(source, "spec", field, found=f"{field} on an HTTP HelmRepository, where it is ignored", expect=f"no {field}, or type: oci")
    if source.spec.get("insecure") is True and not _in_cluster(url) and oci:
        yield violation(source, "spec", "insecure", found=f"insecure: true for {url}", expect="TLS: no insecure")


@HLM.rule(
    "HLM111",
    title="a source in a cloud's private registry says how it logs in",
    why=(
        "Amazon, Azure and Google registries answer 401 unless the source names a provider (workload identity) or a Secret, or the registry was opened to "
        "everyone (docs/spec/v1/ocirepositories.md, Provider)"
    ),
    fix="set spec.provider to aws, azure or gcp, or spec.secretRef; waive it for a registry that is public on purpose",
    scope=Objects((HELM_REPOSITORY, OCI_REPOSITORY), where=lambda item: text(item.spec.get("url")).startswith("oci://")),
    severity=Severity.WARNING,
    controls=("NIST-IA-5",),
)
def registry_login(source: Object, world: World) -> Iterator[Violation]:
    if text(source.spec.get("provider")) not in {"", "generic"} or source.spec.get("secretRef") or source.spec.get("serviceAccountName"):
        return
    host = (urlsplit(text(source.spec.get("url"))).hostname or "").lower()
    for pattern, provider in _CLOUD:
        if pattern.search(host):
            yield violation(source, "spec", found=f"registry {host} without provider or secretRef", expect=f"provider: {provider}, or a secretRef")


def _in_cluster(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host.endswith((".svc", ".cluster.local", ".local", ".internal")) or "." not in host


@HLM.rule(
    "HLM107",
    title="every release has a name of its own that Helm takes as it stands",
    why=(
        "two releases with one name and storage namespace overwrite each other's state; a composed name over 53 characters is cut and hashed, so what the "
        f"manifests say is not what helm list shows ({_RELEASE_DOCS}, Release name)"
    ),
    fix="give one of them another name, or set a shorter spec.releaseName",
    scope=Objects(RELEASES),
)
def own_name(release: Object, world: World) -> Iterator[Violation]:
    name, where = named(release), ("spec", "releaseName") if release.spec.get("releaseName") else ("metadata", "name")
    if len(name) > _MAX_NAME:
        yield violation(
            release,
            *where,
            found=f"release name of {len(name)} characters: {name}",
            expect=f"at most {_MAX_NAME}: Helm would store it as {release_name(release)}",
        )
    if release.spec.get("kubeConfig"):
        return
    key = (release_name(release), text(release.spec.get("storageNamespace")) or release.namespace)
    others = [str(other.id) for other in _by_name(world).get("/".join(key), ()) if other is not release]
    if others:
        yield violation(
            release, *where, found=f"release {key[0]} in {key[1]} is also {', '.join(others)}", expect="one release of this name per storage namespace"
        )


def named(release: Object) -> str:
    """The Helm release's name as helm-controller composes it, before it is cut (``GetReleaseName``)."""
    explicit, target = text(release.spec.get("releaseName")), text(release.spec.get("targetNamespace"))
    return explicit or (f"{target}-{release.name}" if target else release.name)


_names: Final[WeakKeyDictionary[World, dict[str, list[Object]]]] = WeakKeyDictionary()


def _by_name(world: World) -> dict[str, list[Object]]:
    if world not in _names:
        index: dict[str, list[Object]] = defaultdict(list)
        for release in world.of(HELM_RELEASE):
            if not release.spec.get("kubeConfig"):
                index[f"{release_name(release)}/{text(release.spec.get('storageNamespace')) or release.namespace}"].append(release)
        _names[world] = index
    return _names[world]


@HLM.rule(
    "HLM108",
    title="a release with a target namespace stores its state there too",
    why=(
        "without storageNamespace the release Secret stays in the release's own namespace: helm list in the target shows nothing, and two releases of one "
        f"name in two targets share a history ({_RELEASE_DOCS}, Storage namespace; Flux audit list)"
    ),
    fix="set spec.storageNamespace to the same namespace, or put the release into it and delete both",
    scope=Objects(RELEASES),
    severity=Severity.WARNING,
)
def storage_namespace(release: Object, world: World) -> Iterator[Violation]:
    target, storage = text(release.spec.get("targetNamespace")), text(release.spec.get("storageNamespace"))
    if target and target != (storage or release.namespace):
        yield violation(
            release, "spec", "targetNamespace", found=f"targetNamespace {target}, state in {storage or release.namespace}", expect=f"storageNamespace: {target}"
        )
    elif storage and storage != (target or release.namespace):
        yield violation(
            release, "spec", "storageNamespace", found=f"storageNamespace {storage}, objects in {release.namespace}", expect="the two to be the same"
        )


@HLM.rule(
    "HLM201",
    title="a release names exactly one chart: spec.chart or spec.chartRef",
    why="the API server refuses both and neither, and the whole Kustomization with it (helmrelease_types.go, XValidation of HelmReleaseSpec)",
    fix="delete spec.chart when spec.chartRef is set",
    scope=Objects(RELEASES),
    claims=("chart-reference",),
)
def one_chart(release: Object, world: World) -> Iterator[Violation]:
    both = [field for field in ("chart", "chartRef") if release.spec.get(field)]
    if len(both) == 2:
        yield violation(release, "spec", "chart", found="spec.chart together with spec.chartRef", expect="one of them")
    elif not both:
        yield violation(release, "spec", found="neither spec.chart nor spec.chartRef", expect="one of them")
    elif chart_source(release) is None:
        yield violation(release, "spec", both[0], found=f"spec.{both[0]} names no source", expect="kind and name of a source")
    else:
        yield from claimed(release, world, "a source that holds a chart", "chart-reference")


@HLM.rule(
    "HLM202",
    title="the source a chart comes from exists",
    why="a release whose source is missing never installs, and what waits for it waits for ever (helm-controller: SourceNotReady)",
    fix="add the source to the release's Kustomization, or correct kind, name and namespace",
    scope=Objects((*RELEASES, HELM_CHART)),
    claims=("chart-source-missing",),
)
def source_exists(subject: Object, world: World) -> Iterator[Violation]:
    known = claimed(subject, world, "a source the cluster has", "chart-source-missing")
    if known:
        yield from known
        return
    if subject.kind == "HelmChart":
        reference = mapping(subject.spec.get("sourceRef"))
        kind, name, namespace = text(reference.get("kind")), text(reference.get("name")), subject.namespace
        at: Pointer = ("spec", "sourceRef")
    else:
        source = chart_source(subject)
        if source is None:
            return
        kind, name, namespace, at = source.kind, source.name, source.namespace, source.pointer
    if kind == "ExternalArtifact" or may_be_elsewhere(world, namespace):
        return  # made at run time by a controller, or by a source we do not see
    if name and world.find(f"{kind}.source.toolkit.fluxcd.io", namespace, name) is None:
        yield violation(subject, *at, found=f"{kind} {namespace}/{name} does not exist", expect="a source the cluster has")


#: What composing the values of a release can find (:mod:`harness.flux.values`).
_VALUES_CODES: Final = ("values-key-missing", "values-reference", "values-unreadable")
_VALUES_MISSING: Final = "values-source-missing"


@HLM.rule(
    "HLM203",
    title="every valuesFrom has the key it asks for, with values in it",
    why=(
        "a missing key fails the release always, optional or not, and so does text that is no mapping: the release never installs "
        f"({_RELEASE_DOCS}, Values references)"
    ),
    fix="add the key, or correct valuesKey and what stands under it",
    scope=Objects(RELEASES),
    claims=_VALUES_CODES,
)
def values_from(release: Object, world: World) -> Iterator[Violation]:
    known = claimed(release, world, "values helm-controller can read", *_VALUES_CODES)
    if known:
        yield from known
        return
    for index, kind, name, reference in _values_references(release):
        key = text(reference.get("valuesKey")) or "values.yaml"
        made = makers(world).of(kind, release.namespace, name)
        if made and not any(item.keys is None or key in item.keys for item in made):
            found = f"{kind} {release.namespace}/{name} has no key {key}"
            yield violation(release, "spec", "valuesFrom", index, found=found, expect=f"one of {', '.join(_keys(made)) or 'its keys'}")


@HLM.rule(
    "HLM205",
    title="what a valuesFrom names exists or is made by something in Git",
    why=f"a missing ConfigMap or Secret fails the release unless optional is set, on every new cluster ({_RELEASE_DOCS}, Values references)",
    fix="add the object (or the SealedSecret, VaultStaticSecret ... that makes it), correct the name, or set optional: true where it may be missing",
    scope=Objects(RELEASES, where=lambda item: bool(item.get("spec", "valuesFrom"))),
    severity=Severity.WARNING,
    claims=(_VALUES_MISSING,),
)
def values_source(release: Object, world: World) -> Iterator[Violation]:
    known = claimed(release, world, "an object the cluster has, or optional: true", _VALUES_MISSING)
    if known:
        yield from known
        return
    for index, kind, name, reference in _values_references(release):
        if reference.get("optional") is not True and not makers(world).of(kind, release.namespace, name) and not may_be_elsewhere(world, release.namespace):
            found = f"{kind} {release.namespace}/{name} does not exist"
            yield violation(release, "spec", "valuesFrom", index, "name", found=found, expect="an object the cluster has, or optional: true")


def _values_references(release: Object) -> Iterator[tuple[int, str, str, dict[str, Any]]]:
    """The well-formed entries of ``valuesFrom``: position, kind, name, and the entry. The schema refuses the others."""
    for index, entry in enumerate(items(release.spec.get("valuesFrom"))):
        reference = mapping(entry)
        kind, name = text(reference.get("kind")), text(reference.get("name"))
        if kind in {"ConfigMap", "Secret"} and name:
            yield index, kind, name, reference


def _keys(made: Iterable[Made]) -> list[str]:
    return sorted({key for item in made for key in item.keys or ()})


@HLM.rule(
    "HLM204",
    title="the service account a release acts as exists in the release's namespace",
    why="helm-controller impersonates it; without the account every request is forbidden, or worse, answered for a name someone else can create later",
    fix="add the ServiceAccount to the release's Kustomization, or correct spec.serviceAccountName",
    scope=Objects(RELEASES, where=lambda item: bool(item.get("spec", "serviceAccountName")) and not item.get("spec", "kubeConfig")),
    controls=("NIST-AC-6",),
)
def service_account(release: Object, world: World) -> Iterator[Violation]:
    name = text(release.spec.get("serviceAccountName"))
    if name == "default" or may_be_elsewhere(world, release.namespace):
        return
    if world.find("ServiceAccount", release.namespace, name) is None:
        yield violation(
            release, "spec", "serviceAccountName", found=f"ServiceAccount {release.namespace}/{name} does not exist", expect="an account the cluster has"
        )


RULES: Final = tuple(HLM.rules)
