"""``spec.postRenderers`` of a HelmRelease: kustomize patches and images over what the chart rendered.

Source: helm-controller 1.6 ``internal/postrender``: each entry is a kustomize build of its own over the output of the one before;
then ``commonMetadata``, then the origin labels. kustomize itself is run, so that its rules of merging are the ones that count.
"""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.flux.kustomize_errors import clean
from harness.flux.tools import ToolError, Tools, run
from harness.source.yaml import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.model import Pointer

_MARK: Final = "plimsoll.invalid/index"
_CRD: Final = "CustomResourceDefinition"


@dataclass(frozen=True, slots=True)
class PostRendered:
    """The documents after post-rendering, in the order they came; None stands for one that a patch deleted.

    ``patched`` holds for each document which fields which part of the release set: pointer in the document, pointer in the release.
    """

    bodies: tuple[Mapping[str, Any] | None, ...]
    patched: tuple[tuple[tuple[Pointer, Pointer], ...], ...]
    problem: tuple[Pointer, str] | None = None


@dataclass(slots=True)
class _State:
    bodies: list[Mapping[str, Any] | None]
    patched: list[dict[Pointer, Pointer]] = field(default_factory=list)


def post_render(bodies: Sequence[Mapping[str, Any]], renderers: Any, tools: Tools) -> PostRendered:
    """Apply ``spec.postRenderers``. A failure ends it, with the place in the release and kustomize's words."""
    state = _State(list(bodies), [{} for _ in bodies])
    for index, renderer in enumerate(renderers if isinstance(renderers, list) else []):
        kustomize = renderer.get("kustomize") if isinstance(renderer, dict) else None
        if not isinstance(kustomize, dict):
            continue
        error = _apply(state, kustomize, ("spec", "postRenderers", index, "kustomize"), tools)
        if error is not None:
            return PostRendered(tuple(bodies), tuple(() for _ in bodies), error)
    return PostRendered(tuple(state.bodies), tuple(tuple(sorted(fields.items(), key=str)) for fields in state.patched))


def _apply(state: _State, kustomize: Mapping[str, Any], at: Pointer, tools: Tools) -> tuple[Pointer, str] | None:
    patches = [patch for patch in _list(kustomize.get("patches")) if isinstance(patch, dict)]
    images = [image for image in _list(kustomize.get("images")) if isinstance(image, dict)]
    # kustomize takes seconds for megabytes of CRDs, which images never touch and patches hardly ever name.
    chosen = [number for number, body in enumerate(state.bodies) if body is not None and (body.get("kind") != _CRD or any(_may_touch_crds(p) for p in patches))]
    if not chosen or not (patches or images):
        return None
    with tempfile.TemporaryDirectory(prefix="plimsoll-post-") as folder:
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": ["all.yaml"],
            "images": [{key: image[key] for key in ("name", "newName", "newTag", "digest") if key in image} for image in images],
            "patches": [{key: patch[key] for key in ("patch", "target") if key in patch} for patch in patches],
        }
        Path(folder, "kustomization.yaml").write_text(json.dumps(kustomization), encoding="utf-8")
        Path(folder, "all.yaml").write_text("\n---\n".join(json.dumps(_marked(state.bodies[number] or {}, number)) for number in chosen), encoding="utf-8")
        try:
            output = run(tools.kubectl, ["kustomize", "--load-restrictor=LoadRestrictionsNone", folder])
        except ToolError as error:
            return at, str(error)
        if output.code != 0:
            return at, "it took too long" if output.timed_out else clean(output.stderr, folder)[0]
    parsed = parse(output.stdout, "", strict=False)
    results = _by_number([_unmarked(document.body) for document in parsed.documents], state.bodies, chosen)
    for number in chosen:
        before, after = state.bodies[number] or {}, results.get(number)
        if after is not None and after == before:
            continue
        state.bodies[number] = after
        for pointer in _changes(before, after or {}):
            state.patched[number][pointer] = (*at, *_culprit(patches, before, pointer))
    return None


def _by_number(found: Sequence[tuple[int, dict[str, Any]]], before: Sequence[Mapping[str, Any] | None], chosen: Sequence[int]) -> dict[int, dict[str, Any]]:
    """What kustomize gave, by the position of what it was made from. A patch that replaces all annotations takes the mark away; then
    the name tells."""
    results = {number: body for number, body in found if number >= 0}
    names = {_identity(before[number] or {}): number for number in chosen if number not in results}
    for number, body in found:
        if number < 0 and _identity(body) in names:
            results[names[_identity(body)]] = body
    return results


def _identity(body: Mapping[str, Any]) -> tuple[Any, ...]:
    metadata = body.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    return body.get("apiVersion"), body.get("kind"), metadata.get("namespace"), metadata.get("name")


def _may_touch_crds(patch: Mapping[str, Any]) -> bool:
    target = patch.get("target")
    if isinstance(target, dict) and target.get("kind"):
        try:
            return re.fullmatch(str(target["kind"]), _CRD) is not None
        except re.error:
            return True
    return isinstance(target, dict) or _CRD in str(patch.get("patch", ""))


def _marked(body: Mapping[str, Any], number: int) -> dict[str, Any]:
    metadata = body.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    annotations = metadata.get("annotations")
    annotations = annotations if isinstance(annotations, dict) else {}
    return {**body, "metadata": {**metadata, "annotations": {**annotations, _MARK: str(number)}}}


def _unmarked(body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    metadata = dict(body.get("metadata") or {})
    annotations = dict(metadata.get("annotations") or {})
    number = annotations.pop(_MARK, "-1")
    if annotations:
        metadata["annotations"] = annotations
    else:
        metadata.pop("annotations", None)
    return int(number) if str(number).lstrip("-").isdigit() else -1, {**body, "metadata": metadata}


def _changes(before: Any, after: Any, pointer: Pointer = ()) -> Iterator[Pointer]:
    """The smallest fields that differ; in lists whose length changed, the list."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}, key=str):
            if key not in before or key not in after:
                yield (*pointer, key)
            elif before[key] != after[key]:
                yield from _changes(before[key], after[key], (*pointer, key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (left, right) in enumerate(zip(before, after, strict=True)):
            if left != right:
                yield from _changes(left, right, (*pointer, index))
    else:
        yield pointer


def _culprit(patches: Sequence[Mapping[str, Any]], body: Mapping[str, Any], pointer: Pointer) -> Pointer:
    """Which entry made a change: the first patch that can mean the object and names the key, else the first that can mean it."""
    if pointer and pointer[-1] == "image" and not any("image" in str(patch.get("patch", "")) for patch in patches):
        return ("images",)
    fitting = [index for index, patch in enumerate(patches) if _means(patch, body)]
    key = next((part for part in reversed(pointer) if isinstance(part, str)), "")
    for index in fitting:
        if key in str(patches[index].get("patch", "")):
            return ("patches", index)
    return ("patches", fitting[0]) if fitting else ("patches",) if patches else ("images",)


def _means(patch: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    metadata = body.get("metadata")
    name = str(metadata.get("name", "")) if isinstance(metadata, dict) else ""
    target = patch.get("target")
    if isinstance(target, dict):
        try:
            return all(re.fullmatch(str(target[key]), value) for key, value in (("kind", str(body.get("kind"))), ("name", name)) if target.get(key))
        except re.error:
            return False
    text = str(patch.get("patch", ""))
    return str(body.get("kind")) in text and name in text


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
