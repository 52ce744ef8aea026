"""Rules about images and sources: what they are, where they come from, and what pins them (SEC701 to SEC709)."""

from __future__ import annotations

import fnmatch
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from harness.engines.images import Image, Use, moving
from harness.engines.images.inventory import CONTAINER, VOLUME
from harness.flux.kinds import SOURCE_GROUP
from harness.model import Location, NotEvaluated, Severity
from harness.model.pods import TEMPLATES
from harness.model.shapes import items, mapping, text
from harness.rules.base import Clusters, Objects, Registry, Violation, WholeRepository, violation
from harness.rules.image_uses import all_uses, uses
from harness.rules.sec_supply_intent import PATH, of_world, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Object
    from harness.rules.context import Context

SEC: Final = Registry()

_PODS: Final = Objects(tuple(TEMPLATES))
_SOURCES: Final = tuple(f"{kind}.{SOURCE_GROUP}" for kind in ("Bucket", "GitRepository", "HelmRepository", "OCIRepository"))
_IMAGES_DOCS: Final = "kubernetes.io/docs/concepts/containers/images"


def _pulled(item: Object, world: World) -> Iterator[tuple[Use, Image]]:
    """What an object's pods pull: images of containers and volumes."""
    for use in uses(item, world):
        if use.image is not None and use.how in (CONTAINER, VOLUME):
            yield use, use.image


@SEC.rule(
    "SEC701",
    title="every image is a reference that container runtimes can read",
    why="kubelet reports InvalidImageName and never starts the container; the API server accepts any text (distribution/reference, grammar)",
    fix="write [registry[:port]/]path[:tag][@digest], in lower case, without a scheme",
    scope=_PODS,
    controls=("NIST-CM-2",),
)
def readable(item: Object, world: World) -> Iterator[Violation]:
    for use in uses(item, world):
        if use.image is None and not world.is_unknown(use.text):
            yield violation(item, *use.at, found=f"image {use.text!r}: {use.fault}", expect="[registry[:port]/]path[:tag][@digest]")


@SEC.rule(
    "SEC702",
    title="no container runs an image whose tag moves",
    why=(
        "behind latest, main or 1 stands another image tomorrow: two nodes run different code, a restart is an upgrade nobody reviewed, no rollback leads back "
        f"({_IMAGES_DOCS}, image names)"
    ),
    fix="write the tag of one release, or a digest beside the tag",
    scope=_PODS,
    severity=Severity.WARNING,
    controls=("NIST-CM-2", "NIST-SI-7", "SLSA-VERIFY"),
)
def fixed_tag(item: Object, world: World) -> Iterator[Violation]:
    for use, image in _pulled(item, world):
        reason = moving(image)
        if reason:
            yield violation(item, *use.at, found=f"image {use.text} {reason}", expect="the tag of one release, or a digest")


@SEC.rule(
    "SEC703",
    title=f"every image comes from a registry that {PATH} allows",
    why="an image is code with the rights of its pod: from a publisher nobody chose, it is somebody else's code (NIST SP 800-190, 4.1.5)",
    fix=f"take the image from an allowed publisher, or allow this one in {PATH} with a reason",
    scope=_PODS,
    controls=("NIST-CM-7", "NIST-SR-3", "SLSA-VERIFY"),
)
def allowed_registry(item: Object, world: World) -> Iterator[Violation]:
    allowed = world.derive(of_world)
    if allowed is None:
        return
    for use in uses(item, world):
        if use.image is not None and allowed.image(use.image.repository, world.cluster.name) is None:
            found = f"image {use.text} ({use.how}) comes from {use.image.repository}"
            yield violation(item, *use.at, found=found, expect=f"a prefix of {PATH}, images")


@SEC.rule(
    "SEC704",
    title=f"every image is pinned as {PATH} says for its publisher",
    why=(
        "a tag is a name that whoever holds the registry can give to other content; a digest is the content, a verified signature its publisher's word "
        f"({_IMAGES_DOCS}, image digests; SLSA, verification)"
    ),
    fix="write the digest behind the tag, or add an ImageValidatingPolicy that verifies the signature; where neither is possible yet, decide until when",
    scope=_PODS,
    controls=("NIST-SI-7", "NIST-SR-4", "SLSA-VERIFY"),
)
def pinned(item: Object, world: World) -> Iterator[Violation]:
    allowed = world.derive(of_world)
    if allowed is None:
        return
    for use, image in _pulled(item, world):
        entry = allowed.image(image.repository, world.cluster.name)
        if entry is None or image.digest:
            continue
        if entry.pin == "digest":
            yield violation(item, *use.at, found=f"image {use.text} has no digest", expect=f"a digest, as {PATH} requires of {entry.prefix}")
        elif entry.pin == "signature" and not any(_matches(glob, image) for glob in world.derive(_verified)):
            found = f"no ImageValidatingPolicy that denies covers image {use.text}"
            yield violation(item, *use.at, found=found, expect=f"a verified signature, as {PATH} requires of {entry.prefix}")


def _verified(world: World) -> tuple[str, ...]:
    """The globs of the images whose signatures some policy of the cluster verifies and enforces."""
    found = []
    for kind in ("ImageValidatingPolicy.policies.kyverno.io", "NamespacedImageValidatingPolicy.policies.kyverno.io"):
        for policy in world.of(kind):
            if "Deny" in items(policy.spec.get("validationActions") or ["Deny"]):
                found += [text(mapping(entry).get("glob")) for entry in items(policy.spec.get("matchImageReferences"))]
    return tuple(glob for glob in found if glob)


def _matches(glob: str, image: Image) -> bool:
    return fnmatch.fnmatchcase(str(image), glob) or fnmatch.fnmatchcase(image.familiar + (f":{image.tag}" if image.tag else ""), glob)


@SEC.rule(
    "SEC705",
    title="a cluster runs one version of an image",
    why="two tags of one image are two versions to patch and to know about; usually one of them was forgotten in an upgrade",
    fix="give both the same tag; where two versions are meant, waive it with the reason",
    scope=Clusters(),
    severity=Severity.NOTE,
    controls=("NIST-CM-2", "NIST-CM-8"),
)
def one_version(world: World) -> Iterator[Violation]:
    tags: dict[str, dict[str, Use]] = defaultdict(dict)
    for use in world.derive(all_uses):
        if use.image is not None and use.how in (CONTAINER, VOLUME):
            tags[use.image.repository].setdefault(use.image.digest or use.image.tag or "latest", use)
    for repository, by_tag in sorted(tags.items()):
        if len(by_tag) > 1:
            for tag, use in sorted(by_tag.items()):
                others = ", ".join(sorted(by_tag.keys() - {tag}))
                yield violation(use.object, *use.at, found=f"{repository} as {tag}, elsewhere as {others}", expect="one version in a cluster")


@SEC.rule(
    "SEC706",
    title="the pull policy of an image fits its tag",
    why=(
        "with Never, the pod starts only where somebody put the image on the node by hand; with IfNotPresent, a moving tag is whatever each node pulled first "
        f"({_IMAGES_DOCS}, image pull policy)"
    ),
    fix="leave imagePullPolicy out: it is IfNotPresent for a fixed tag or a digest, Always for latest",
    scope=_PODS,
    severity=Severity.WARNING,
    controls=("NIST-CM-2",),
)
def pull_policy(item: Object, world: World) -> Iterator[Violation]:
    for use, image in _pulled(item, world):
        field = "imagePullPolicy" if use.how == CONTAINER else "pullPolicy"
        at = (*use.at[:-1], field)
        if use.policy == "Never":
            yield violation(item, *at, found=f"{field}: Never for {use.text}", expect="IfNotPresent, or Always")
        elif use.policy == "IfNotPresent" and moving(image):
            yield violation(item, *at, found=f"{field}: IfNotPresent, and {use.text} {moving(image)}", expect="a fixed tag, or Always")


@SEC.rule(
    "SEC707",
    title=f"charts, manifests and artifacts come from where {PATH} allows",
    why="a source is applied with the rights of its Kustomization or release: whoever can write there administers the cluster (Flux: security, multi-tenancy)",
    fix=f"take it from an allowed source, or allow this one in {PATH} with a reason",
    scope=Objects(_SOURCES),
    controls=("NIST-CM-7", "NIST-SR-3", "SLSA-SOURCE"),
)
def allowed_source(source: Object, world: World) -> Iterator[Violation]:
    allowed = world.derive(of_world)
    url = text(source.spec.get("url")) or text(source.spec.get("endpoint"))
    if allowed is None or not url or world.is_unknown(url):
        return
    if source.kind == "Bucket" and "://" not in url:
        url = f"https://{url}/{text(source.spec.get('bucketName'))}"
    if allowed.source(url.removesuffix(".git"), world.cluster.name) is None and allowed.source(url, world.cluster.name) is None:
        yield violation(source, "spec", "url", found=f"{source.kind} {source.name} comes from {url}", expect=f"a prefix of {PATH}, sources")


@SEC.rule(
    "SEC708",
    title=f"every entry of {PATH} is used, and what it puts up with has not run out",
    why="an allowed publisher that nobody uses is an open door; an exception without an end is a rule nobody keeps",
    fix=f"delete the entry, name its clusters, or decide anew and move until in {PATH}",
    scope=Clusters(),
    controls=("NIST-CM-7",),
)
def entries_used(world: World) -> Iterator[Violation]:
    allowed = world.derive(of_world)
    if allowed is None:
        return
    cluster = world.cluster.name
    images = {use.image.repository for use in world.derive(all_uses) if use.image is not None}
    urls = {text(source.spec.get("url")) or text(source.spec.get("endpoint")) for source in world.of(*_SOURCES)}
    taken = {("images", entry.index) for name in images if (entry := allowed.image(name, cluster)) is not None}
    taken |= {("sources", entry.index) for url in urls if (entry := allowed.source(url.removesuffix(".git"), cluster) or allowed.source(url, cluster))}
    for key, entries in (("images", allowed.images), ("sources", allowed.sources)):
        for entry in entries:
            if entry.holds_in(cluster) and (key, entry.index) not in taken:
                yield Violation(
                    f"nothing in {cluster} comes from {entry.prefix}",
                    "entries that are used, with clusters: where not all do",
                    allowed.locate(key, entry.index),
                )
    for entry in allowed.images:
        if entry.until is not None and entry.until <= world.today:
            found = f"{entry.prefix} was to be pinned by its tag until {entry.until.isoformat()}"
            yield Violation(found, "a digest, a signature, or a new decision", allowed.locate("images", entry.index, "until"))


@SEC.rule(
    "SEC709",
    title=f"{PATH} can be read",
    why="a file that cannot be read allows nothing and forbids nothing; without one, nobody has said whose code may run",
    fix="write it: images with from, reason and pin, sources with url and reason",
    scope=WholeRepository(),
    controls=("NIST-CM-3",),
)
def readable_file(context: Context) -> Iterator[Violation]:
    found = read(context.repository)
    if found is None:
        if context.own:
            yield Violation(f"no {PATH}", "a list of where images and sources may come from", Location(PATH))
        return
    for fault in found.intent.faults:
        yield Violation(fault.message, "a file that fits its schema", fault.location)


def not_evaluated(world: World) -> list[NotEvaluated]:
    """Images that only the cluster knows, and repositories that say nothing about where images may come from."""
    unknown = [use for use in world.derive(all_uses) if world.is_unknown(use.text)]
    entries = [NotEvaluated(str(use.object.id), f"image {use.text}", "only the cluster knows it") for use in unknown]
    if world.derive(of_world) is None:
        what = "where images and sources come from (SEC703, SEC704, SEC707, SEC708)"
        entries.append(NotEvaluated(world.cluster.name, what, f"there is no usable {PATH}"))
    return entries


RULES: Final = tuple(SEC.rules)
