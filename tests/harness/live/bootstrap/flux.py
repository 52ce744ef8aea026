"""Flux and the root of its sync, applied once; from then on Flux looks after itself and everything else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import yaml

from harness.flux.reduce import reduce
from harness.live.bootstrap.base import BootstrapError, Journal, apply, apply_secret, condition
from harness.live.reach.run import RunError
from harness.live.reach.wait import Clock, Progress, Waiter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from harness.live.reach.kubectl import Kubectl

NAMESPACE: Final = "flux-system"
#: What kustomize-controller writes on everything it applies.
APPLIED_BY: Final = "kustomize.toolkit.fluxcd.io/name"
KUSTOMIZATIONS: Final = "kustomizations.kustomize.toolkit.fluxcd.io"
#: The plurals of the sources a sync can have.
SOURCES: Final = {
    "OCIRepository": "ocirepositories.source.toolkit.fluxcd.io",
    "GitRepository": "gitrepositories.source.toolkit.fluxcd.io",
    "Bucket": "buckets.source.toolkit.fluxcd.io",
}
#: Where a release of Flux has its manifests.
RELEASE: Final = "https://github.com/fluxcd/flux2/releases/download/{tag}/install.yaml"


def documents(text: str, name: str) -> list[dict[str, Any]]:
    """The objects in YAML text. Raises BootstrapError."""
    try:
        found = [body for body in yaml.load_all(text, Loader=yaml.CSafeLoader) if body is not None]
    except yaml.YAMLError as error:
        raise BootstrapError(f"{name} is no YAML: {str(error).splitlines()[0]}") from error
    if not found or not all(isinstance(body, dict) and body.get("kind") and isinstance(body.get("metadata"), dict) for body in found):
        raise BootstrapError(f"{name} holds no Kubernetes objects")
    return found


def check_manifests(bodies: Sequence[Mapping[str, Any]], tag: str, locked: Iterable[Mapping[str, Any]] | None) -> None:
    """Refuse manifests of another version than the repository pins, or that differ from those the static tier has proven.

    ``locked``: the reduced objects of the lock, None where there is no lock.
    """
    versions = {str((body["metadata"].get("labels") or {}).get("app.kubernetes.io/version")) for body in bodies if body["kind"] == "Deployment"}
    if versions != {tag}:
        raise BootstrapError(f"the manifests are of Flux {', '.join(sorted(versions)) or '(no controller)'}, the repository pins {tag}")
    if locked is not None:
        proven = {_id(body): json.dumps(body, sort_keys=True) for body in locked}
        given = {_id(body): json.dumps(reduce(body), sort_keys=True) for body in bodies}
        if different := sorted(key for key in proven.keys() | given.keys() if proven.get(key) != given.get(key)):
            raise BootstrapError(f"the manifests are not those that the lock has proven: {len(different)} objects differ, {different[0]} first")


def _id(body: Mapping[str, Any]) -> str:
    return f"{body.get('kind')}/{(body.get('metadata') or {}).get('name')}"


def controllers(kubectl: Kubectl) -> list[dict[str, Any]]:
    """The Deployments of Flux in the cluster."""
    return kubectl.list("deployments.apps", namespace=NAMESPACE, selector="app.kubernetes.io/part-of=flux")


def is_available(deployment: Mapping[str, Any]) -> bool:
    return condition(deployment, "Available")[0] == "True"


def looks_after_itself(items: Iterable[Mapping[str, Any]]) -> bool:
    """Whether Flux has taken over objects: a bootstrap must not lay upstream's text over the repository's patches again."""
    return any(APPLIED_BY in ((item.get("metadata") or {}).get("labels") or {}) for item in items)


def ensure_flux(kubectl: Kubectl, bodies: Sequence[Mapping[str, Any]], journal: Journal, *, again: bool = False, timeout: float = 300) -> None:
    """Apply Flux's manifests, unless the cluster has them; then wait for the controllers.

    ``again`` applies them over what is there, for a Flux that no longer runs: its own Kustomization mends the rest.
    """
    wanted = sorted(body["metadata"]["name"] for body in bodies if body["kind"] == "Deployment")
    here = controllers(kubectl)
    names = {item["metadata"]["name"] for item in here}
    if not again and looks_after_itself(here):
        journal.say("Flux is there and looks after itself")
        return
    if again or not names >= set(wanted) or not _same_version(here, bodies):
        apply(kubectl, yaml.dump_all(bodies, Dumper=yaml.CSafeDumper, sort_keys=False), force=again, timeout=timeout)
        journal.changed(f"Flux: {len(bodies)} objects applied")
    else:
        journal.say("Flux is there")
    for name in wanted:
        try:
            kubectl("rollout", "status", f"deployment/{name}", f"--namespace={NAMESPACE}", f"--timeout={timeout:g}s", timeout=timeout + 10)
        except RunError as error:
            raise BootstrapError(f"{name} does not get ready: {error.reason}") from error


def _same_version(here: Iterable[Mapping[str, Any]], bodies: Iterable[Mapping[str, Any]]) -> bool:
    def versions(items: Iterable[Mapping[str, Any]]) -> set[str]:
        return {str((item["metadata"].get("labels") or {}).get("app.kubernetes.io/version")) for item in items}

    return versions(here) == versions(body for body in bodies if body["kind"] == "Deployment")


def sync_objects(kubectl: Kubectl, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The Kustomization and the source of a cluster's sync, as its folder builds them. Raises BootstrapError."""
    if not (folder / "kustomization.yaml").is_file():
        raise BootstrapError(f"{folder} has no kustomization.yaml: the sync root belongs there")
    bodies = documents(kubectl("kustomize", str(folder)), str(folder))
    roots = [body for body in bodies if body["kind"] == "Kustomization" and isinstance(body.get("spec"), Mapping)]
    if len(roots) != 1:
        raise BootstrapError(f"{folder} holds {len(roots)} Flux Kustomizations, the sync root is one")
    ref = roots[0]["spec"].get("sourceRef") or {}
    source = next((body for body in bodies if body["kind"] == ref.get("kind") and body["metadata"].get("name") == ref.get("name")), None)
    if source is None or source["kind"] not in SOURCES:
        raise BootstrapError(f"{folder} does not hold the source of its sync, {ref.get('kind')}/{ref.get('name')}")
    return roots[0], source


def pull_secret(source: Mapping[str, Any]) -> str:
    """The name of the Secret that a source is pulled with; empty when it needs none."""
    return str(((source.get("spec") or {}).get("secretRef") or {}).get("name", ""))


def docker_config(registry: str, user: str, password: str) -> bytes:
    """Credentials of one registry, as ``kubernetes.io/dockerconfigjson`` holds them."""
    return json.dumps({"auths": {registry: {"username": user, "password": password}}}).encode()


def registry_of(source: Mapping[str, Any]) -> str:
    """The host of an OCI source."""
    return str((source.get("spec") or {}).get("url", "")).removeprefix("oci://").partition("/")[0]


def ensure_sync(
    kubectl: Kubectl,
    folder: Path,
    journal: Journal,
    *,
    credentials: bytes | None = None,
    timeout: float = 300,
    clock: Clock | None = None,
    progress: Progress | None = None,
) -> str:
    """Apply the root of the sync, with its pull secret where it names one, and wait until Flux has built it. Returns the revision.

    Raises:
        BootstrapError: credentials are missing, or given and not asked for; or Flux cannot build the root.
    """
    root, source = sync_objects(kubectl, folder)
    name = pull_secret(source)
    if credentials is not None and not name:
        raise BootstrapError(
            f"{folder}: the {source['kind']} names no secretRef, so Flux would not use credentials, and would undo a secretRef that only the cluster has: "
            "write it there first"
        )
    if name and credentials is not None:
        apply_secret(kubectl, NAMESPACE, name, "kubernetes.io/dockerconfigjson", {".dockerconfigjson": credentials})
        journal.changed(f"pull secret {NAMESPACE}/{name}")
    elif name and kubectl.get("secret", name, NAMESPACE) is None:
        raise BootstrapError(f"the {source['kind']} pulls with Secret {NAMESPACE}/{name}, which is not there: give the registry's credentials")
    title = str(root["metadata"]["name"])
    here = kubectl.get(KUSTOMIZATIONS, title, NAMESPACE)
    if here is not None and looks_after_itself([here]):
        journal.say("the sync root is there and looks after itself")
    elif here is None or here.get("spec") != root["spec"] or kubectl.get(SOURCES[source["kind"]], source["metadata"]["name"], NAMESPACE) is None:
        apply(kubectl, [source, root])
        journal.changed(f"sync root: {source['kind']} {source['spec'].get('url', '')} and Kustomization {title}")
    return _wait_for_sync(kubectl, root, source, timeout, clock or Clock(), progress or Progress())


def _wait_for_sync(kubectl: Kubectl, root: Mapping[str, Any], source: Mapping[str, Any], timeout: float, clock: Clock, progress: Progress) -> str:
    def observe() -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        return kubectl.get(SOURCES[source["kind"]], source["metadata"]["name"], NAMESPACE), kubectl.get(KUSTOMIZATIONS, root["metadata"]["name"], NAMESPACE)

    def describe(answer: tuple[dict[str, Any] | None, dict[str, Any] | None]) -> str:
        pulled, built = (condition(item) for item in answer)
        return f"source: {pulled[1] or 'nothing yet'}; Kustomization: {built[1] or 'nothing yet'}"

    waiter = Waiter(observe, describe, progress, clock)
    _source, built = waiter.wait(lambda answer: condition(answer[1])[0] == "True", successes=1, timeout=timeout, delay=2, what="Flux builds the sync root")
    return str(((built or {}).get("status") or {}).get("lastAppliedRevision", ""))
