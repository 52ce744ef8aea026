"""A small source and Kustomization of a tenant's, made for one proof: what Flux does with them it does with every other, and nobody else is disturbed."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from harness.live.bringup import Choice, container_of
from harness.live.faults import marked_as_temporary
from harness.live.findings import NotEvaluatedError
from harness.live.ground.beside import host_of
from harness.live.ground.oci import Registry, push_flux
from harness.live.sync.readiness import Key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.live.bringup import Platform
    from harness.live.ground.oci import Pushed

#: The repository beside the cluster that holds what proofs push, a tag each.
REPOSITORY: Final = "plimsoll-proof"
#: The commit that a proof's artifact says it comes from, and its number.
_ORIGIN: Final = "proof@sha1:{:040x}"


def registry_of(platform: Platform) -> Registry:
    """The registry beside the cluster. Raises NotEvaluatedError where a run has none."""
    if platform.beside is None:
        raise NotEvaluatedError(platform.world.cluster.name, "pushing", "this run has no registry beside the cluster")
    return Registry(container_of(platform.cluster, host_of(platform.world), Choice()).up())


@dataclass
class Scratch:
    """One source and one Kustomization with the same name, in a tenant's namespace. ``interval`` is the source's, in seconds."""

    registry: Registry
    host: str
    namespace: str
    account: str
    interval: int = 5
    name: str = field(default_factory=lambda: f"proof-{secrets.token_hex(3)}")
    pushed: int = 0

    @property
    def source(self) -> Key:
        """The OCIRepository."""
        return Key("OCIRepository", self.namespace, self.name)

    @property
    def kustomization(self) -> Key:
        """The Kustomization that is built from it."""
        return Key("Kustomization", self.namespace, self.name)

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Both, as they are applied."""
        metadata = {"name": self.name, "namespace": self.namespace}
        source = {
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "OCIRepository",
            "metadata": metadata,
            "spec": {
                "interval": f"{self.interval}s",
                "timeout": "20s",
                "url": f"oci://{self.host}/{REPOSITORY}",
                "insecure": True,
                "ref": {"tag": self.name},
            },
        }
        kustomization = {
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
            "kind": "Kustomization",
            "metadata": metadata,
            "spec": {
                "interval": "10m",
                "retryInterval": "5s",
                "timeout": "30s",
                "prune": True,
                # One that may no longer do what it did could not go otherwise.
                "deletionPolicy": "Orphan",
                "wait": True,
                "serviceAccountName": self.account,
                "sourceRef": {"kind": "OCIRepository", "name": self.name},
                "path": "./",
            },
        }
        return [source, kustomization]

    def push(self, files: Mapping[str, str]) -> Pushed:
        """Put a new version under the tag."""
        self.pushed += 1
        packed = {path: content.encode() for path, content in files.items()}
        origin = _ORIGIN.format(self.pushed)
        return push_flux(self.registry, REPOSITORY, self.name, packed, source="a live proof", revision=origin, created="1970-01-01T00:00:00Z")


def scratch_of(platform: Platform, namespace: str, account: str, *, interval: int = 5) -> Scratch:
    """A scratch source on the platform's registry. Raises NotEvaluatedError where a run has none."""
    return Scratch(registry_of(platform), host_of(platform.world), namespace, account, interval)


def config_map(name: str, namespace: str, **data: str) -> dict[str, Any]:
    """A ConfigMap as a proof's artifact holds it: marked as temporary."""
    return marked_as_temporary({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data})


def tree(*objects: Mapping[str, Any], missing: str = "") -> dict[str, str]:
    """The files of an artifact that holds some objects. ``missing`` is a file that its kustomization names and that is not there."""
    files = {f"{number}.yaml": yaml.safe_dump(dict(item), sort_keys=False) for number, item in enumerate(objects)}
    listed = [*files, *([missing] if missing else [])]
    body = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": listed}
    return {**files, "kustomization.yaml": yaml.safe_dump(body, sort_keys=False)}
