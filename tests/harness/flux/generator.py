"""The kustomization that kustomize-controller builds for a Flux Kustomization.

Source: fluxcd/pkg/kustomize Generator.GenerateManifest as kustomize-controller 1.9.4 uses it (no ignore filter). The controller writes the
result over the directory's own file, so fields that kustomize does not know are dropped in silence from that one file.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.model import Problem
from harness.source.paths import join
from harness.source.reach import is_remote, kustomization_document, kustomization_files, mappings, scan, strings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.model import Location, Locator, Pointer
    from harness.source.repository import Repository
    from harness.source.yaml import Document

API_VERSION: Final = "kustomize.config.k8s.io/v1beta1"

#: Fields of kustomize's Kustomization type (api/types/kustomization.go, 5.8).
_FIELDS: Final = frozenset(
    (
        *("apiVersion", "kind", "metadata", "openapi", "namePrefix", "nameSuffix", "namespace", "commonLabels", "labels", "commonAnnotations"),
        *("patchesStrategicMerge", "patchesJson6902", "patches", "images", "imageTags", "replacements", "replicas", "vars", "sortOptions"),
        *("resources", "components", "crds", "bases", "configMapGenerator", "secretGenerator", "helmGlobals", "helmCharts"),
        *("helmChartInflationGenerator", "generatorOptions", "configurations", "generators", "transformers", "validators", "buildMetadata"),
    )
)

_SELECTOR: Final = ("group", "version", "kind", "name", "namespace", "labelSelector", "annotationSelector")


@dataclass(frozen=True, slots=True)
class Generated:
    """A kustomization ready to build, to be written to ``path``.

    ``document`` is the directory's own file, None when there was none or it cannot be read. ``from_spec`` maps the entries that the
    Flux Kustomization adds to their place in its ``spec``. ``fatal`` says that the controller would not build it.
    """

    body: dict[str, Any]
    path: str
    document: Document | None
    from_spec: Mapping[Pointer, Pointer]
    problems: tuple[Problem, ...] = ()
    fatal: bool = False

    def locate(self, pointer: Pointer, where: Locator) -> Location:
        """The line of an entry: in the directory's file, or in the Flux Kustomization that adds it or makes it all."""
        for length in range(len(pointer), 0, -1):
            source = self.from_spec.get(pointer[:length])
            if source is not None:
                return where((*source, *pointer[length:]))
        return self.document.locate(pointer) if self.document is not None else where(("path",))


def generate(repository: Repository, directory: str, spec: Mapping[str, Any], where: Locator, admits: Callable[[str], bool]) -> Generated:
    """Merges a Flux Kustomization's ``spec`` into the kustomization of a directory, or into one made of all manifests below it.

    ``where`` gives lines for pointers into ``spec``; ``admits`` says which files are in the artifact.
    """
    found = tuple(path for path in kustomization_files(repository, directory) if admits(path))
    problems: list[Problem] = []
    body: dict[str, Any] = {"apiVersion": API_VERSION, "kind": "Kustomization"}
    document: Document | None = None
    if found:
        path = found[0]
        document = kustomization_document(repository, path)
        if document is None:
            return Generated(body, path, None, {}, fatal=True)
        problems += _unknown_fields(document)
        body |= {key: copy.deepcopy(value) for key, value in document.body.items() if key in _FIELDS and value is not None}
        if not body.get("resources"):
            # The controller does so to keep kustomize from calling a file with components only empty.
            body["buildMetadata"] = ["originAnnotations"]
    else:
        path = f"{directory}/kustomization.yaml" if directory else "kustomization.yaml"
        resources = scan(repository, directory, admits)
        body |= {"resources": list(resources)} if resources else {"namespace": "_placeholder"}
    from_spec: dict[Pointer, Pointer] = {}
    refused = _merge(body, from_spec, repository, directory, spec, where)
    return Generated(body, path, document, from_spec, (*problems, *refused), fatal=bool(refused))


def _unknown_fields(document: Document) -> list[Problem]:
    found: list[Problem] = []
    for name in document.body:
        if name not in _FIELDS:
            message = f"kustomize has no field {name!r}: Flux drops it without a word"
            found.append(Problem("kustomize-unknown-field", "", document.locate((name,)), message))
    return found


def _merge(
    body: dict[str, Any], from_spec: dict[Pointer, Pointer], repository: Repository, directory: str, spec: Mapping[str, Any], where: Locator
) -> list[Problem]:
    """Puts the fields of ``spec`` into the body and says where each came from. Returns why the controller would refuse."""
    for ours, theirs in (("targetNamespace", "namespace"), ("namePrefix", "namePrefix"), ("nameSuffix", "nameSuffix")):
        value = spec.get(ours)
        if isinstance(value, str) and value:
            body[theirs] = value
            from_spec[theirs,] = (ours,)
    for index, patch in mappings(spec.get("patches")):
        from_spec["patches", _append(body, "patches", _patch(patch))] = ("patches", index)
    refused: list[Problem] = []
    for index, component in strings(spec.get("components")):
        if component.startswith("/") or is_remote(component):
            refused.append(Problem("kustomize-build", "", where(("components", index)), f"component path {component!r} must be local and relative"))
        elif spec.get("ignoreMissingComponents") is not True or _exists(repository, directory, component):
            from_spec["components", _append(body, "components", component)] = ("components", index)
    _images(body, from_spec, spec)
    metadata = spec.get("buildMetadata")
    if isinstance(metadata, list) and metadata:
        body["buildMetadata"] = [str(item) for item in metadata]
    return refused


def _append(body: dict[str, Any], name: str, value: Any) -> int:
    """Adds an entry to a list of the body, and returns its position."""
    entries = body.get(name)
    body[name] = [*entries, value] if isinstance(entries, list) else [value]
    return len(body[name]) - 1


def _exists(repository: Repository, directory: str, component: str) -> bool:
    target = join(directory, component)
    return target is not None and repository.exists(target)


def _patch(patch: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {"patch": str(patch.get("patch") or "")}
    target = patch.get("target")
    if isinstance(target, dict):
        result["target"] = {key: target[key] for key in _SELECTOR if target.get(key)}
    return result


def _images(body: dict[str, Any], from_spec: dict[Pointer, Pointer], spec: Mapping[str, Any]) -> None:
    """An image of ``spec`` is merged into the file's entry of the same name; tag and digest replace each other."""
    images = [dict(image) for _, image in mappings(body.get("images"))]
    for index, image in mappings(spec.get("images")):
        same = next((position for position, each in enumerate(images) if each.get("name") == image.get("name")), None)
        if same is None:
            from_spec["images", len(images)] = ("images", index)
            images.append({key: image[key] for key in ("name", "newName", "newTag", "digest") if image.get(key)})
            continue
        from_spec["images", same] = ("images", index)
        if image.get("newName"):
            images[same]["newName"] = image["newName"]
        if image.get("newTag") or image.get("digest"):
            for key in ("newTag", "digest"):
                images[same].pop(key, None)
                if image.get(key):
                    images[same][key] = image[key]
    if images:
        body["images"] = images


def common_metadata(body: dict[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    """An object with ``spec.commonMetadata`` on it, as the controller sets it on what it applies; the same object when there is none."""
    common = spec.get("commonMetadata")
    if not isinstance(common, dict):
        return body
    metadata = body.get("metadata")
    changed = dict(metadata) if isinstance(metadata, dict) else {}
    for name in ("labels", "annotations"):
        extra = common.get(name)
        if isinstance(extra, dict) and extra:
            own = changed.get(name)
            changed[name] = {**(own if isinstance(own, dict) else {}), **extra}
    return {**body, "metadata": changed}
