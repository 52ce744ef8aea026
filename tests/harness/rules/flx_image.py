"""Rules about image automation (FLX601 to FLX605)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from harness.model import Location, Severity
from harness.rules.base import Clusters, Objects, Registry, Violation, violation
from harness.rules.flx_common import GIT_REPOSITORY, IMAGE_AUTOMATION, IMAGE_POLICY, IMAGE_REPOSITORY, blind, mapping, once, read_text, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Object

FLX: Final = Registry()

_MARKER: Final = re.compile(r'#\s*\{\s*"\$imagepolicy"\s*:\s*"([^":]+):([^":]+)(?::[^"]*)?"')


@FLX.rule(
    "FLX601",
    title="an ImagePolicy's ImageRepository exists",
    why="without it the policy never has an image, and automation never updates anything (image-reflector-controller, ImageRepository reference)",
    fix="correct imageRepositoryRef, or add the ImageRepository",
    scope=Objects((IMAGE_POLICY,)),
)
def image_repository_exists(policy: Object, world: World) -> Iterator[Violation]:
    reference = mapping(policy.spec.get("imageRepositoryRef"))
    namespace, name = text(reference.get("namespace")) or policy.namespace, text(reference.get("name"))
    if world.find(IMAGE_REPOSITORY, namespace, name) is None and not blind(world, namespace):
        yield violation(
            policy, "spec", "imageRepositoryRef", found=f"ImageRepository {namespace}/{name}, which the cluster does not have", expect="an ImageRepository"
        )


@FLX.rule(
    "FLX602",
    title="an ImagePolicy chooses in exactly one way",
    why="policy is a union of semver, alphabetical and numerical: with none the policy fails, with two one of them is ignored (internal/policy/factory.go)",
    fix="keep one of semver, alphabetical, numerical",
    scope=Objects((IMAGE_POLICY,)),
)
def one_choice(policy: Object, world: World) -> Iterator[Violation]:
    choices = [name for name in ("semver", "alphabetical", "numerical") if isinstance(mapping(policy.spec.get("policy")).get(name), dict)]
    if len(choices) != 1:
        yield violation(
            policy, "spec", "policy", found=f"policy with {' and '.join(choices) or 'no choice'}", expect="exactly one of semver, alphabetical, numerical"
        )


@FLX.rule(
    "FLX603",
    title="image automation says what it commits, to a branch that people review",
    why=(
        "without spec.git the controller cannot commit; with the branch that Flux syncs as its push branch (the default), every new image in the registry "
        "reaches the cluster with no review at all"
    ),
    fix="set spec.git.commit.author, and spec.git.push.branch to a branch from which a pull request is opened",
    scope=Objects((IMAGE_AUTOMATION,)),
    severity=Severity.WARNING,
    controls=("NIST-CM-3", "NIST-CM-5"),
)
def commits_are_reviewed(automation: Object, world: World) -> Iterator[Violation]:
    git = mapping(automation.spec.get("git"))
    if not git:
        yield violation(automation, "spec", found="no spec.git", expect="spec.git with commit and push")
        return
    if not text(mapping(mapping(git.get("commit")).get("author")).get("email")):
        yield violation(automation, "spec", "git", found="no spec.git.commit.author.email", expect="the address that commits bear")
    reference = mapping(automation.spec.get("sourceRef"))
    source = world.find(GIT_REPOSITORY, text(reference.get("namespace")) or automation.namespace, text(reference.get("name")))
    synced = text(mapping(source.spec.get("ref")).get("branch")) if source is not None else ""
    checkout = text(mapping(mapping(git.get("checkout")).get("ref")).get("branch")) or synced
    push = mapping(git.get("push"))
    branch = text(push.get("branch")) or ("" if push.get("refspec") else checkout)
    if branch and branch == synced:
        yield violation(automation, "spec", "git", found=f"it pushes to {branch}, the branch that Flux syncs", expect="a branch of its own")


@once
def _policies(world: World) -> frozenset[tuple[str, str]]:
    return frozenset((policy.namespace, policy.name) for policy in world.of(IMAGE_POLICY))


@FLX.rule(
    "FLX604",
    title="every image marker names an ImagePolicy of the cluster",
    why='a comment {"$imagepolicy": "ns:name"} of a policy that is not there is skipped in silence: the image is never updated again',
    fix="correct namespace:name in the comment, or add the ImagePolicy",
    scope=Clusters(),
    severity=Severity.WARNING,
)
def markers_name_policies(world: World) -> Iterator[Violation]:
    known = _policies(world)
    if not known and not world.of(IMAGE_AUTOMATION):
        return
    for path in sorted(world.reached):
        content = read_text(world.repository, path)
        for number, line in enumerate(content.splitlines() if "$imagepolicy" in content else (), 1):
            for namespace, name in _MARKER.findall(line):
                if (namespace, name) not in known and not blind(world, namespace):
                    found = f"marker of ImagePolicy {namespace}:{name}, which cluster {world.cluster.name} does not have"
                    yield Violation(found=found, expect="an ImagePolicy of the cluster", location=Location(path, number))


@FLX.rule(
    "FLX605",
    title="every ImageRepository is used by a policy",
    why="scanning a registry for nobody costs rate limit and rights",
    fix="delete it, or add the ImagePolicy",
    scope=Objects((IMAGE_REPOSITORY,)),
    severity=Severity.WARNING,
)
def image_repository_is_used(repository: Object, world: World) -> Iterator[Violation]:
    for policy in world.of(IMAGE_POLICY):
        reference = mapping(policy.spec.get("imageRepositoryRef"))
        if (text(reference.get("namespace")) or policy.namespace, reference.get("name")) == (repository.namespace, repository.name):
            return
    if not blind(world, repository.namespace):
        yield violation(repository, found=f"no ImagePolicy names ImageRepository {repository.name}", expect="an ImagePolicy")


RULES: Final = tuple(FLX.rules)
