"""Rules about sources: what they pin, how they are reached, who uses them (FLX301 to FLX307, FLX310, FLX312, FLX314)."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from harness.flux.kinds import HELM_RELEASE, KUSTOMIZATION, source_kind
from harness.model import Severity
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.flx_common import (
    BUCKET,
    GIT_REPOSITORY,
    HELM_CHART,
    HELM_REPOSITORY,
    IMAGE_AUTOMATION,
    IMAGE_REPOSITORY,
    OCI_REPOSITORY,
    SOURCES,
    entries,
    mapping,
    once,
    seconds,
    text,
)
from harness.rules.hlm_common import chart_source, is_exact_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Object

FLX: Final = Registry()

_GIT_DOCS: Final = "fluxcd/source-controller docs/spec/v1/gitrepositories.md"
_OCI_DOCS: Final = "fluxcd/source-controller docs/spec/v1/ocirepositories.md"
_HELM_DOCS: Final = "fluxcd/source-controller docs/spec/v1/helmrepositories.md"

#: Each field of ``ref`` with those that win over it, as the documentation orders them.
_GIT_PRECEDENCE: Final = ("branch", "tag", "semver", "name", "commit")
_OCI_PRECEDENCE: Final = ("tag", "semver", "digest")


@once
def users_of(world: World) -> dict[tuple[str, str, str], list[Object]]:
    """Who uses each source: (kind, namespace, name) with the objects that name it."""
    found: dict[tuple[str, str, str], list[Object]] = {}

    def note(reference: dict[str, Any], user: Object) -> None:
        key = (text(reference.get("kind")), text(reference.get("namespace")) or user.namespace, text(reference.get("name")))
        found.setdefault(key, []).append(user)

    for item in world.of(KUSTOMIZATION, HELM_CHART, IMAGE_AUTOMATION):
        note(mapping(item.spec.get("sourceRef")), item)
    for release in world.of(HELM_RELEASE):
        source = chart_source(release)
        if source is not None:
            found.setdefault((source.kind, source.namespace, source.name), []).append(release)
    for item in world.of(GIT_REPOSITORY):
        for _, entry in entries(item.spec.get("include")):
            note({"kind": "GitRepository", "name": mapping(entry.get("repository")).get("name")}, item)
    for item in world.of("ArtifactGenerator.source.extensions.fluxcd.io"):
        for _, entry in entries(item.spec.get("sources")):
            note(entry, item)
    return found


@once
def followed(world: World) -> frozenset[tuple[str, str, str]]:
    """The sources that some Kustomization builds this very repository from; they follow a branch by design."""
    found = set()
    for build in world.kustomizations.values():
        reference = mapping(build.object.spec.get("sourceRef"))
        if build.files or build.object is world.cluster.sync:
            found.add((text(reference.get("kind")), text(reference.get("namespace")) or build.object.namespace, text(reference.get("name"))))
    return frozenset(found)


def key_of(item: Object) -> tuple[str, str, str]:
    """A source as others name it: kind, namespace, name."""
    return item.kind, item.namespace, item.name


def _is_chart(item: Object, world: World) -> bool:
    """Whether a source only carries charts of releases: HLM101 speaks of those."""
    users = users_of(world).get(key_of(item), [])
    return bool(users) and all(user.kind in {"HelmRelease", "HelmChart"} for user in users)


@FLX.rule(
    "FLX301",
    title="a source says which revision it follows",
    why=(
        f"without ref a GitRepository follows the branch master and an OCIRepository the tag latest, whatever these are ({_GIT_DOCS}, "
        f"Reference; {_OCI_DOCS}, Reference)"
    ),
    fix="add spec.ref with a branch, tag, digest or commit",
    scope=Objects((GIT_REPOSITORY, OCI_REPOSITORY)),
    severity=Severity.WARNING,
    controls=("NIST-CM-2",),
)
def states_its_revision(item: Object, world: World) -> Iterator[Violation]:
    if not mapping(item.spec.get("ref")) and not _is_chart(item, world):
        default = "branch master" if item.kind == "GitRepository" else "tag latest"
        yield violation(item, "spec", found=f"no spec.ref, which means {default}", expect="spec.ref")


@FLX.rule(
    "FLX302",
    title="a source of somebody else's manifests is pinned to one revision",
    why="a branch, a version range or a moving tag lets others change the cluster without a commit here, and two clusters differ by the minute they looked",
    fix="use ref.tag with a full version, ref.digest or ref.commit, and let a bot propose updates",
    scope=Objects((GIT_REPOSITORY, OCI_REPOSITORY)),
    severity=Severity.WARNING,
    controls=("NIST-CM-5", "NIST-SI-7"),
)
def is_pinned(item: Object, world: World) -> Iterator[Violation]:
    reference = mapping(item.spec.get("ref"))
    if not reference or key_of(item) in followed(world) or _is_chart(item, world) or reference.get("digest") or reference.get("commit"):
        return
    tag, name = text(reference.get("tag")), text(reference.get("name"))
    if reference.get("semver"):
        yield violation(item, "spec", "ref", "semver", found=f"version range {reference['semver']}", expect="one version")
    elif name:
        if not name.startswith("refs/tags/"):
            yield violation(item, "spec", "ref", "name", found=f"moving reference {name}", expect="refs/tags/<version> or a commit")
    elif tag:
        if not is_exact_version(tag):
            yield violation(item, "spec", "ref", "tag", found=f"tag {tag}, which does not name one version", expect="a full version, a digest or a commit")
    elif reference.get("branch"):
        yield violation(item, "spec", "ref", "branch", found=f"branch {reference['branch']}", expect="a tag or a commit")


@FLX.rule(
    "FLX303",
    title="no field of ref is overruled by another",
    why=f"the later of branch, tag, semver, name, commit (OCI: tag, semver, digest) wins, the others are ignored ({_GIT_DOCS}; {_OCI_DOCS}, Reference)",
    fix="delete the field that is ignored",
    scope=Objects((GIT_REPOSITORY, OCI_REPOSITORY)),
    controls=("NIST-CM-6",),
)
def no_field_is_overruled(item: Object, world: World) -> Iterator[Violation]:
    reference = mapping(item.spec.get("ref"))
    order = _GIT_PRECEDENCE if item.kind == "GitRepository" else _OCI_PRECEDENCE
    given = [field for field in order if reference.get(field)]
    for field in given[:-1]:
        # branch beside commit makes the clone shallow; tag beside digest says what the digest is.
        if (field, given[-1]) not in {("branch", "commit"), ("tag", "digest")}:
            yield violation(item, "spec", "ref", field, found=f"ref.{field} is ignored beside ref.{given[-1]}", expect="one of them")
    if reference.get("semverFilter") and not reference.get("semver"):
        yield violation(item, "spec", "ref", "semverFilter", found="ref.semverFilter is ignored without ref.semver", expect="ref.semver, or no filter")


def _is_local(host: str) -> bool:
    """Whether a host is inside the cluster or on the machine: no name of the Internet."""
    if not host or "." not in host or host.endswith((".svc", ".local", ".localhost", ".internal")):
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False


def _address(item: Object) -> tuple[str, str]:
    """The field that holds an object's address, and the address as a URL."""
    if item.kind == "Bucket":
        return "endpoint", "https://" + re.sub(r"^https?://", "", text(item.spec.get("endpoint")))
    if item.kind == "ImageRepository":
        return "image", "oci://" + text(item.spec.get("image"))
    return "url", text(item.spec.get("url"))


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


@FLX.rule(
    "FLX304",
    title="sources are reached over TLS",
    why=f"over plain HTTP anybody on the way decides what the cluster runs ({_OCI_DOCS}, Insecure)",
    fix="use https, or ssh for Git; delete insecure: true",
    scope=Objects((*SOURCES, IMAGE_REPOSITORY)),
    controls=("NIST-SC-8",),
)
def reached_over_tls(item: Object, world: World) -> Iterator[Violation]:
    field, address = _address(item)
    host = _host(address)
    if _is_local(host):
        return
    if item.spec.get("insecure") is True:
        yield violation(item, "spec", "insecure", found=f"insecure: true for {host}", expect="TLS")
    elif address.startswith("http://"):
        yield violation(item, "spec", field, found=f"{field} {address}", expect="https://")


@FLX.rule(
    "FLX305",
    title="a HelmRepository has only fields that its type uses",
    why=f"provider and insecure count for type: oci only, and an oci:// address is nothing without that type ({_HELM_DOCS})",
    fix="delete the field, or make type and url agree",
    scope=Objects((HELM_REPOSITORY,)),
    controls=("NIST-CM-6",),
)
def helm_repository_fields(item: Object, world: World) -> Iterator[Violation]:
    is_oci = item.spec.get("type") == "oci"
    url = text(item.spec.get("url"))
    if is_oci != url.startswith("oci://"):
        found = f"type: {item.spec.get('type') or 'default'} with url {url}"
        yield violation(item, "spec", "url", found=found, expect="type: oci with oci://, or neither")
        return
    if not is_oci and item.spec.get("provider") not in (None, "generic"):
        yield violation(item, "spec", "provider", found=f"provider: {item.spec['provider']} is ignored for type default", expect="no provider")
    if not is_oci and item.spec.get("insecure") is True:
        yield violation(item, "spec", "insecure", found="insecure: true is ignored for type default", expect="no insecure")


@FLX.rule(
    "FLX306",
    title="charts of OCI registries come from OCIRepositories",
    why=f"HelmRepository of type oci is in maintenance mode: no signatures of its own, no digests, no new features ({_HELM_DOCS}, Type)",
    fix="replace it by an OCIRepository with layerSelector, and spec.chart by spec.chartRef",
    scope=Objects((HELM_REPOSITORY,)),
    severity=Severity.WARNING,
)
def not_in_maintenance_mode(item: Object, world: World) -> Iterator[Violation]:
    if item.spec.get("type") == "oci":
        yield violation(item, "spec", "type", found="HelmRepository of type oci", expect="an OCIRepository")


_SCP: Final = re.compile(r"^[\w.-]+@[\w.-]+:(?!/?/)")
_TAGGED: Final = re.compile(r"^oci://[^/]+/.*(?:@sha256:[0-9a-f]+|:[\w][\w.-]*)$")


@FLX.rule(
    "FLX307",
    title="the address of a source is one that Flux takes, without credentials in it",
    why=(
        f"the scp form of SSH addresses is not supported, a tag or digest in an OCI url is refused ({_GIT_DOCS}, URL; {_OCI_DOCS}, URL), "
        "and a password in a url is readable by everyone who reads Git"
    ),
    fix="write ssh://git@host/path, move the tag into ref, and credentials into a Secret named by secretRef",
    scope=Objects((GIT_REPOSITORY, OCI_REPOSITORY, HELM_REPOSITORY)),
    controls=("NIST-IA-5",),
)
def address_is_accepted(item: Object, world: World) -> Iterator[Violation]:
    url = text(item.spec.get("url"))
    if _SCP.match(url):
        yield violation(item, "spec", "url", found=f"scp-like address {url}", expect="ssh://user@host/path")
        return
    if item.kind == "OCIRepository" and _TAGGED.match(url):
        yield violation(item, "spec", "url", found=f"url {url} with a tag or digest", expect="the tag or digest in spec.ref")
    user, _, host = url.partition("://")[2].partition("/")[0].rpartition("@")
    if host and ":" in user:
        yield violation(item, "spec", "url", found=f"credentials in the url of {host}", expect="secretRef")


@FLX.rule(
    "FLX310",
    title="every source is used",
    why="a source that nothing builds from is fetched at every interval, and misleads who looks for what runs",
    fix="delete it, or correct the sourceRef that should name it",
    scope=Objects((BUCKET, GIT_REPOSITORY, HELM_REPOSITORY, OCI_REPOSITORY)),
    severity=Severity.WARNING,
)
def is_used(item: Object, world: World) -> Iterator[Violation]:
    if key_of(item) in users_of(world) or key_of(item) in followed(world) or world.of("ResourceSet.fluxcd.controlplane.io"):
        return
    elsewhere = any(build.elsewhere for build in world.kustomizations.values())
    if not elsewhere:
        yield violation(item, found=f"{item.kind} {item.namespace}/{item.name} is used by nothing", expect="a Kustomization, release or chart that names it")


@FLX.rule(
    "FLX312",
    title="a source is fetched no more often than every 30 seconds, and a fetch ends before the next",
    why="shorter intervals run into the rate limits of Git hosts and registries; webhooks (a Receiver) bring changes sooner",
    fix="set interval: 1m or more, and a timeout below it",
    scope=Objects(SOURCES),
    severity=Severity.WARNING,
)
def sane_interval(item: Object, world: World) -> Iterator[Violation]:
    interval, timeout = seconds(item.spec.get("interval")), seconds(item.spec.get("timeout"))
    if interval is None:
        return
    if interval < 30:
        yield violation(item, "spec", "interval", found=f"interval: {item.spec['interval']}", expect="30s or more")
    elif timeout is not None and timeout > interval:
        found = f"timeout: {item.spec['timeout']} is longer than interval: {item.spec['interval']}"
        yield violation(item, "spec", "timeout", found=found, expect="a timeout below the interval")


def _missing_includes(item: Object, world: World) -> Iterator[tuple[int, str]]:
    for index, entry in entries(item.spec.get("include")):
        name = text(mapping(entry.get("repository")).get("name"))
        if name and world.find(source_kind("GitRepository"), item.namespace, name) is None:
            yield index, name


@FLX.rule(
    "FLX314",
    title="what a GitRepository includes exists",
    why=f"a GitRepository whose include is missing has no artifact, and nothing is built from it ({_GIT_DOCS}, Include)",
    fix="correct the name, or add the GitRepository to the same namespace",
    scope=Objects((GIT_REPOSITORY,)),
)
def includes_exist(item: Object, world: World) -> Iterator[Violation]:
    for index, name in _missing_includes(item, world):
        yield violation(
            item, "spec", "include", index, found=f"include of GitRepository {name}, which is not in {item.namespace}", expect=f"a GitRepository {name}"
        )


RULES: Final = tuple(FLX.rules)
