"""The kinds whose meaning the build knows, written ``Kind.group``."""

from __future__ import annotations

from typing import Final

KUSTOMIZATION: Final = "Kustomization.kustomize.toolkit.fluxcd.io"
HELM_RELEASE: Final = "HelmRelease.helm.toolkit.fluxcd.io"
RESOURCE_SET: Final = "ResourceSet.fluxcd.controlplane.io"
FLUX_INSTANCE: Final = "FluxInstance.fluxcd.controlplane.io"
ARTIFACT_GENERATOR: Final = "ArtifactGenerator.source.extensions.fluxcd.io"
SOURCE_GROUP: Final = "source.toolkit.fluxcd.io"

#: What applies other objects: the nodes of the order in which a cluster comes up.
APPLIERS: Final = (KUSTOMIZATION, HELM_RELEASE, RESOURCE_SET, FLUX_INSTANCE)


def source_kind(kind: str) -> str:
    """``GitRepository`` as ``GitRepository.source.toolkit.fluxcd.io``."""
    return f"{kind}.{SOURCE_GROUP}"
