"""Rules about signatures of sources (FLX308, FLX309)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.model import Severity
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.flx_common import GIT_REPOSITORY, HELM_CHART, OCI_REPOSITORY, entries, mapping, text
from harness.rules.flx_sources import followed, key_of, users_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Object

FLX: Final = Registry()

_GIT_DOCS: Final = "fluxcd/source-controller docs/spec/v1/gitrepositories.md"
_OCI_DOCS: Final = "fluxcd/source-controller docs/spec/v1/ocirepositories.md"

_ANYONE: Final = frozenset({"", ".*", "^.*$", ".+", "^.+$", ".*$", "^.*", ".+$", "^.+"})


@FLX.rule(
    "FLX308",
    title="a verified source says whose signature counts",
    why=(
        "keyless cosign without matchOIDCIdentity accepts a signature of anyone who has an account anywhere; notation needs its "
        f"Secret ({_OCI_DOCS}, Verification); "
        f"mode Tag without a tag fails ({_GIT_DOCS}, Verification)"
    ),
    fix="add matchOIDCIdentity with anchored issuer and subject, or secretRef with the keys",
    scope=Objects((OCI_REPOSITORY, HELM_CHART, GIT_REPOSITORY)),
    controls=("NIST-SI-7", "SLSA-VERIFY"),
)
def signature_counts(item: Object, world: World) -> Iterator[Violation]:
    if not isinstance(item.spec.get("verify"), dict):
        return
    verify = item.spec["verify"]
    at = ("spec", "verify")
    if item.kind == "GitRepository":
        if text(verify.get("mode")) in {"Tag", "TagAndHEAD"} and not any(mapping(item.spec.get("ref")).get(field) for field in ("tag", "semver", "name")):
            yield violation(item, *at, "mode", found=f"verify.mode: {verify['mode']} without a tag in ref", expect="ref.tag, or mode: HEAD")
        return
    provider, has_keys, identities = verify.get("provider"), bool(verify.get("secretRef")), list(entries(verify.get("matchOIDCIdentity")))
    if provider == "notation":
        if not has_keys:
            yield violation(item, *at, found="notation without secretRef", expect="secretRef with trustpolicy.json and certificates")
        if identities:
            yield violation(item, *at, "matchOIDCIdentity", found="matchOIDCIdentity is ignored by notation", expect="a trust policy in the Secret")
        return
    if not has_keys and not identities:
        yield violation(item, *at, found="cosign with neither matchOIDCIdentity nor secretRef: any signer counts", expect="matchOIDCIdentity or secretRef")
    elif has_keys and identities:
        yield violation(item, *at, "matchOIDCIdentity", found="matchOIDCIdentity is ignored beside secretRef", expect="one of them")
    for index, identity in identities:
        for field in ("issuer", "subject"):
            pattern = text(identity.get(field))
            if pattern in _ANYONE:
                yield violation(
                    item, *at, "matchOIDCIdentity", index, field, found=f"{field} {pattern!r} matches everyone", expect="an anchored pattern of the publisher"
                )
            elif not pattern.startswith("^"):
                found = f"{field} {pattern!r} is not anchored: it matches anywhere in a longer one"
                yield violation(item, *at, "matchOIDCIdentity", index, field, found=found, expect=f"^{pattern}")


@FLX.rule(
    "FLX309",
    title="manifests from elsewhere are verified before they are applied",
    why="an unsigned artifact is whatever the registry or Git host serves, applied with the rights of its Kustomization",
    fix="add spec.verify with the publisher's identity or key; where upstream signs nothing, write a waiver",
    scope=Objects((OCI_REPOSITORY, GIT_REPOSITORY)),
    severity=Severity.WARNING,
    controls=("NIST-SI-7", "SLSA-VERIFY"),
)
def is_verified(item: Object, world: World) -> Iterator[Violation]:
    users = [user for user in users_of(world).get(key_of(item), []) if user.kind == "Kustomization"]
    if users and key_of(item) not in followed(world) and not item.spec.get("verify"):
        found = f"{item.kind} {item.name} feeds Kustomization {users[0].name} and has no spec.verify"
        yield violation(item, "spec", found=found, expect="spec.verify")


RULES: Final = tuple(FLX.rules)
