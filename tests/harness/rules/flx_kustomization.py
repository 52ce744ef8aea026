"""Rules about the fields of a Flux Kustomization, one object at a time (FLX101, FLX104, FLX105, FLX134 to FLX149)."""

from __future__ import annotations

import json
import posixpath
import re
from typing import TYPE_CHECKING, Final

from harness.flux.discovery import normalise
from harness.flux.kinds import KUSTOMIZATION
from harness.model import Severity
from harness.rules.base import Clusters, Objects, Registry, Violation, violation
from harness.rules.flx_common import (
    ALERT,
    HELM_CHART,
    IMAGE_AUTOMATION,
    IMAGE_POLICY,
    IMAGE_REPOSITORY,
    KUSTOMIZATIONS,
    PROVIDER,
    RECEIVER,
    SOURCES,
    controller_flags,
    entries,
    in_git,
    items,
    mapping,
    once,
    seconds,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import Build, World
    from harness.model import Object

FLX: Final = Registry()

#: What gives a pod an identity at a cloud's key service: Azure's workload identity, and the variables of the clouds' own libraries.
_IDENTITY: Final = re.compile(
    r"azure\.workload\.identity/use|aadpodidbinding|AWS_ROLE_ARN|AWS_ACCESS_KEY_ID|AZURE_CLIENT_ID|GOOGLE_APPLICATION_CREDENTIALS|VAULT_TOKEN"
)

_DOCS: Final = "fluxcd/kustomize-controller docs/spec/v1/kustomizations.md"
_EXPLICIT: Final = {
    "interval": "how often drift is undone",
    "retryInterval": "how soon a failure is retried; the default is the whole interval",
    "timeout": "how long building, applying and waiting may take; the default is the interval",
    "prune": "true, so that what leaves Git leaves the cluster",
}


@FLX.rule(
    "FLX101",
    title="a Kustomization states interval, retryInterval, timeout, prune, and wait or healthChecks",
    why=f"each default is a surprise: a failure is retried only after the whole interval, and Ready means applied, not healthy ({_DOCS}, Recommended settings)",
    fix="write the missing field into spec",
    scope=Objects(KUSTOMIZATIONS, where=in_git),
    severity=Severity.WARNING,
    controls=("NIST-CM-2", "NIST-CM-6"),
)
def explicit_fields(ks: Object, world: World) -> Iterator[Violation]:
    for field, meaning in _EXPLICIT.items():
        if field not in ks.spec:
            yield violation(ks, "spec", found=f"no spec.{field}", expect=f"spec.{field}: {meaning}")
    if "wait" not in ks.spec and not items(ks.spec.get("healthChecks")):
        yield violation(ks, "spec", found="neither spec.wait nor spec.healthChecks", expect="wait: true, or healthChecks that name what must be healthy")


@FLX.rule(
    "FLX104",
    title="a Kustomization waits for everything or for a list, not both, and has healthCheckExprs only when it waits",
    why=f"kustomize-controller ignores healthChecks when wait is true, and evaluates healthCheckExprs only with wait or healthChecks ({_DOCS}, Wait)",
    fix="delete spec.healthChecks, or set wait: false and list every object to wait for; delete healthCheckExprs that nothing evaluates",
    scope=Objects(KUSTOMIZATIONS),
    controls=("NIST-CM-6",),
)
def wait_or_health_checks(ks: Object, world: World) -> Iterator[Violation]:
    checks, expressions = items(ks.spec.get("healthChecks")), items(ks.spec.get("healthCheckExprs"))
    if ks.spec.get("wait") is True and checks:
        yield violation(
            ks, "spec", "healthChecks", found=f"spec.wait: true together with spec.healthChecks ({_entries(len(checks))})", expect="one or the other"
        )
    if expressions and ks.spec.get("wait") is not True and not checks:
        found = f"spec.healthCheckExprs ({_entries(len(expressions))}) with neither wait: true nor healthChecks"
        yield violation(ks, "spec", "healthCheckExprs", found=found, expect="wait: true or healthChecks")


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"


@once
def _by_source(world: World) -> dict[tuple[str, str, str], list[Build]]:
    groups: dict[tuple[str, str, str], list[Build]] = {}
    for build in world.kustomizations.values():
        reference = mapping(build.object.spec.get("sourceRef"))
        key = (text(reference.get("kind")), text(reference.get("namespace")) or build.object.namespace, text(reference.get("name")))
        groups.setdefault(key, []).append(build)
    return groups


@FLX.rule(
    "FLX105",
    title="no Kustomization builds a folder inside the folder of another one of the same source",
    why=(
        "the outer one applies what the inner one applies: two owners of every object, and whichever prunes first deletes it for both "
        "(audit checklist of Flux; object ownership in fluxcd/pkg/ssa)"
    ),
    fix="give them sibling folders, or leave the inner folder out of the outer kustomization.yaml",
    scope=Objects(KUSTOMIZATIONS),
    severity=Severity.WARNING,
    controls=("NIST-CM-6",),
)
def disjoint_paths(ks: Object, world: World) -> Iterator[Violation]:
    build = world.kustomizations.get((ks.namespace, ks.name))
    if build is None:
        return
    reference = mapping(ks.spec.get("sourceRef"))
    key = (text(reference.get("kind")), text(reference.get("namespace")) or ks.namespace, text(reference.get("name")))
    inner = _folder(build)
    for other in _by_source(world).get(key, ()):
        outer = _folder(other)
        if other is build or inner == outer or (outer and not inner.startswith(outer + "/")):
            continue
        if other.files and not any(file.startswith(inner + "/") for file in other.files):
            continue  # the outer kustomization.yaml leaves the inner folder out
        if build.files and other.files and not (build.files & other.files):
            continue
        name = other.object.name
        yield violation(
            ks,
            "spec",
            "path",
            found=f"path {inner} lies inside {outer or '.'}, which Kustomization {name} builds too",
            expect="folders of which none holds another",
        )


def _folder(build: Build) -> str:
    return build.path if build.files else normalise(text(build.object.spec.get("path")) or None)


@FLX.rule(
    "FLX134",
    title="a Kustomization's durations make sense together: interval of a minute or more, retryInterval and timeout no longer than it",
    why=(
        f"shorter intervals load the API server for nothing (the minimum should be 60 seconds: {_DOCS}, Interval); a longer retryInterval "
        "delays the repair of failures"
    ),
    fix="choose interval >= 1m, retryInterval < interval and timeout <= interval",
    scope=Objects(KUSTOMIZATIONS),
    severity=Severity.WARNING,
)
def sane_durations(ks: Object, world: World) -> Iterator[Violation]:
    interval = seconds(ks.spec.get("interval"))
    if interval is None:
        return
    if interval < 60:
        yield violation(ks, "spec", "interval", found=f"interval: {ks.spec['interval']}", expect="1m or more")
    for field in ("retryInterval", "timeout"):
        value = seconds(ks.spec.get(field))
        if value is not None and value > interval:
            found = f"{field}: {ks.spec[field]} is longer than interval: {ks.spec['interval']}"
            yield violation(ks, "spec", field, found=found, expect=f"{field} no longer than the interval")


@FLX.rule(
    "FLX135",
    title="a Kustomization prunes",
    why=f"with prune: false, what is deleted from Git stays in the cluster, unseen and unmanaged ({_DOCS}, Prune)",
    fix="set prune: true and protect single objects with the annotation kustomize.toolkit.fluxcd.io/prune: disabled",
    scope=Objects(KUSTOMIZATIONS),
    severity=Severity.WARNING,
    controls=("NIST-CM-8",),
)
def prunes(ks: Object, world: World) -> Iterator[Violation]:
    if ks.spec.get("prune") is False:
        yield violation(ks, "spec", "prune", found="prune: false", expect="prune: true")


@FLX.rule(
    "FLX137",
    title="no Kustomization forces",
    why=(
        f"force: true deletes and recreates objects whenever an immutable field changes: downtime, lost volumes; it is meant for one migration ({_DOCS}, Force)"
    ),
    fix="set force: false, and put kustomize.toolkit.fluxcd.io/force: enabled on the one object that needs it",
    scope=Objects(KUSTOMIZATIONS),
    severity=Severity.WARNING,
    controls=("NIST-CM-3",),
)
def does_not_force(ks: Object, world: World) -> Iterator[Violation]:
    if ks.spec.get("force") is True:
        yield violation(ks, "spec", "force", found="force: true", expect="force: false")


@FLX.rule(
    "FLX139",
    title="nothing of Flux is suspended in Git",
    why="a suspended object is not reconciled: the cluster drifts from Git for as long as nobody remembers",
    fix="delete spec.suspend; to pause for an hour, use flux suspend and resume",
    scope=Objects((KUSTOMIZATION, *SOURCES, HELM_CHART, ALERT, PROVIDER, RECEIVER, IMAGE_AUTOMATION, IMAGE_POLICY, IMAGE_REPOSITORY)),
    severity=Severity.WARNING,
    controls=("NIST-CM-3",),
)
def not_suspended(item: Object, world: World) -> Iterator[Violation]:
    if item.spec.get("suspend") is True:
        yield violation(item, "spec", "suspend", found="suspend: true", expect="no suspend")


@FLX.rule(
    "FLX141",
    title="postBuild provides variables",
    why=f"without variables kustomize-controller skips substitution altogether, defaults included ({_DOCS}, Post build variable substitution)",
    fix="name variables in substitute or substituteFrom, set substituteStrategy: Always, or delete postBuild",
    scope=Objects(KUSTOMIZATIONS),
    controls=("NIST-CM-6",),
)
def post_build_provides(ks: Object, world: World) -> Iterator[Violation]:
    post = ks.spec.get("postBuild")
    if isinstance(post, dict) and not (post.get("substitute") or post.get("substituteFrom") or post.get("substituteStrategy") == "Always"):
        yield violation(
            ks, "spec", "postBuild", found="postBuild with neither substitute nor substituteFrom", expect="at least one variable, or substituteStrategy: Always"
        )


@FLX.rule(
    "FLX142",
    title="a Kustomization that builds SOPS-encrypted Secrets decrypts them",
    why="kustomize-controller refuses to apply an encrypted Secret when spec.decryption is missing (internal/controller/kustomization_controller.go, apply)",
    fix="add spec.decryption with provider: sops and the keys' secretRef to the Kustomization that applies it",
    scope=Objects(("Secret",), where=in_git),
    controls=("NIST-SC-28",),
)
def decrypts_what_is_encrypted(secret: Object, world: World) -> Iterator[Violation]:
    applier = secret.applier
    ks = world.find(KUSTOMIZATION, applier.namespace, applier.name) if applier is not None else None
    if ks is None or ks.spec.get("decryption") or secret.annotations.get("kustomize.toolkit.fluxcd.io/decrypt", "").lower() == "disabled":
        return
    for field in ("data", "stringData"):
        if any(text(value).startswith("ENC[") for value in mapping(secret.body.get(field)).values()):
            found = f"Secret {secret.name} is encrypted with SOPS, and Kustomization {ks.name} has no spec.decryption"
            yield violation(secret, field, found=found, expect="spec.decryption in the Kustomization that applies it")
            return


@FLX.rule(
    "FLX143",
    title="decryption says where its keys are",
    why=f"without secretRef or serviceAccountName, decryption depends on what the controller's own Pod may read, for every tenant alike ({_DOCS}, Decryption)",
    fix="name the Secret with the keys in spec.decryption.secretRef, or a service account for the KMS",
    scope=Objects(KUSTOMIZATIONS),
    severity=Severity.WARNING,
    controls=("NIST-SC-12",),
)
def decryption_has_keys(ks: Object, world: World) -> Iterator[Violation]:
    decryption = mapping(ks.spec.get("decryption"))
    if not decryption or decryption.get("secretRef") or decryption.get("serviceAccountName"):
        return
    controller, arguments = controller_flags(world).get("kustomize-controller", (None, ()))
    if controller is None or _IDENTITY.search(json.dumps(controller.get("spec", "template"))):
        return  # Flux is installed by other means, and so are its keys; or the pod itself has an identity of the cloud
    if not any(argument.startswith(("--sops-age-secret=", "--sops-vault-configmap=", "--default-decryption-service-account=")) for argument in arguments):
        yield violation(ks, "spec", "decryption", found="decryption with neither secretRef nor serviceAccountName", expect="secretRef or serviceAccountName")


@FLX.rule(
    "FLX144",
    title="kubeConfig names one kubeconfig, and its own service account",
    why=(
        "secretRef and configMapRef exclude each other, and without either nothing is applied; without serviceAccountName the credentials' "
        f"own rights apply ({_DOCS}, KubeConfig)"
    ),
    fix="keep one of kubeConfig.secretRef (static) and kubeConfig.configMapRef (workload identity)",
    scope=Objects(KUSTOMIZATIONS),
)
def one_kube_config(ks: Object, world: World) -> Iterator[Violation]:
    if "kubeConfig" not in ks.spec:
        return
    references = [name for name in ("secretRef", "configMapRef") if mapping(ks.spec.get("kubeConfig")).get(name)]
    if len(references) != 1:
        found = f"kubeConfig with {' and '.join(references) or 'neither secretRef nor configMapRef'}"
        yield violation(ks, "spec", "kubeConfig", found=found, expect="exactly one of secretRef and configMapRef")


@FLX.rule(
    "FLX147",
    title="an ignore rule of drift detection names its target",
    why=f"without a target the paths are ignored in every object of the Kustomization ({_DOCS}, Ignore Rules)",
    fix="add target with kind and name to the rule",
    scope=Objects(KUSTOMIZATIONS),
    severity=Severity.WARNING,
    controls=("NIST-CM-3",),
)
def ignore_has_target(ks: Object, world: World) -> Iterator[Violation]:
    for index, rule in entries(ks.spec.get("ignore")):
        if not mapping(rule.get("target")):
            yield violation(ks, "spec", "ignore", index, found=f"ignore rule {index + 1} without target", expect="a target with kind and name")


@FLX.rule(
    "FLX148",
    title="an ignore rule's paths are JSON pointers",
    why=f"a path that does not begin with a slash matches nothing: drift that should be left alone is undone ({_DOCS}, Ignore Rules; RFC 6901)",
    fix="write /spec/replicas, and ~1 for a slash inside a key",
    scope=Objects(KUSTOMIZATIONS),
)
def ignore_paths_are_pointers(ks: Object, world: World) -> Iterator[Violation]:
    for index, rule in entries(ks.spec.get("ignore")):
        for position, path in enumerate(items(rule.get("paths"))):
            if not text(path).startswith("/"):
                yield violation(ks, "spec", "ignore", index, "paths", position, found=f"ignored path {path!r}", expect="a JSON pointer, such as /spec/replicas")


@FLX.rule(
    "FLX149",
    title="the sync root builds itself as it was bootstrapped, and what it leads to has an end",
    why=(
        "the first reconciliation applies the Kustomization of the sync from its own folder; if that one names another path or "
        "source, the second reconciliation "
        "builds something else and prunes all that the first one made"
    ),
    fix="make path and sourceRef of the sync Kustomization equal in what bootstrap applies and in what the folder builds",
    scope=Clusters(),
    controls=("NIST-CM-2",),
    claims=("flux-too-many",),
)
def root_builds_itself(world: World) -> Iterator[Violation]:
    for problem in world.problems_of(world.cluster.name, "flux-too-many"):
        yield Violation(found=problem.message, expect="Kustomizations that do not make further ones without end", location=problem.location)
    sync = world.cluster.sync
    if sync is None:
        return
    build = world.kustomizations.get((sync.namespace, sync.name))
    # What the first reconciliation made of it, which the cluster is built from, and what the second one makes of that.
    later = [item for item in (build.object if build is not None else None, world.find(KUSTOMIZATION, sync.namespace, sync.name)) if item is not None]
    for field in ("path", "sourceRef"):
        before = sync.spec.get(field)
        changed = next((item for item in later if not _same(field, before, item.spec.get(field))), None)
        if changed is not None:
            found = f"the folder turns spec.{field} of its own Kustomization {sync.name} from {before!r} into {changed.spec.get(field)!r}"
            yield violation(changed, "spec", field, found=found, expect=f"spec.{field} unchanged")


def _same(field: str, before: object, after: object) -> bool:
    if before is None:
        return True  # a patch of the sync names only what it changes
    return before == after or (field == "path" and posixpath.normpath(f"/{before or ''}") == posixpath.normpath(f"/{after or ''}"))


RULES: Final = tuple(FLX.rules)
