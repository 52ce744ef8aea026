"""From built objects back to the lines they were made of.

kustomize's own origin annotations are not used: they name a file and not the document in it, nor the patch that set a field, and a patch
that replaces all annotations takes them away. Instead the kustomizations are walked in kustomize's order,
without applying anything, noting for every object its document and what each level may change in it. This is done only when somebody asks
for a line.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from harness.flux.layers import AnyPatch, Field, Images, Labels, Layer, Replacement, Replicas
from harness.flux.patches import MergePatch, Patch, Target, file_patches, read_patches, trace
from harness.model import Location, Pointer, fixed, group_of
from harness.source.paths import join
from harness.source.reach import kustomization_document, kustomization_files, mappings, strings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.model import Locator
    from harness.source.repository import Repository
    from harness.source.yaml import Document

#: Kinds whose names kustomize leaves alone (api/internal/builtins/PrefixTransformer.go).
_UNPREFIXED: Final = frozenset((("apiextensions.k8s.io", "CustomResourceDefinition"), ("apiregistration.k8s.io", "APIService"), ("", "Namespace")))

_MAX_CHAIN: Final = 100
#: Length of the hash that kustomize appends to generated names, with its dash.
_HASH: Final = 11


@dataclass(slots=True, eq=False)
class Entry:
    """One object on its way through the kustomizations. ``at`` leads to it inside its document (an item of a list)."""

    body: Mapping[str, Any]
    locate: Locator
    name: str
    namespace: str
    hashed: bool = False
    names: set[str] = field(default_factory=set)
    namespaces: set[str] = field(default_factory=set)
    layers: list[Layer] = field(default_factory=list)

    def where(self, pointer: Pointer, body: Any) -> Location:
        """The line of a field of the built object: of what changed it last, else of the object's own document."""
        names, namespaces = frozenset(self.names), frozenset(self.namespaces)
        for layer in reversed(self.layers):
            found = layer.claims(pointer, body, self.body, names, namespaces)
            if found is not None:
                return found
        return self.locate(trace(self.body, body, pointer)[0])

    @property
    def key(self) -> tuple[str, str]:
        return group_of(str(self.body.get("apiVersion", ""))), str(self.body.get("kind", ""))


class Origins:
    """The entries of one build, and which built object each became."""

    def __init__(self, repository: Repository, directory: str, body: Mapping[str, Any], locate: Locator) -> None:
        """``body`` and ``locate``: the kustomization that was built, and its lines."""
        self._fallback = locate(())
        self.entries = _Plan(repository).kustomization(directory, body, locate, ())

    def match(self, bodies: list[dict[str, Any]]) -> list[Locator]:
        """A locator for each built object, in order."""
        waiting: dict[tuple[str, str], list[Entry]] = {}
        for entry in self.entries:
            waiting.setdefault(entry.key, []).append(entry)
        found: dict[int, Entry] = {}
        for fit in (_exact, _named, _hashed, _similar, _only):
            for index, body in enumerate(bodies):
                if index not in found:
                    candidates = waiting.get((group_of(str(body.get("apiVersion", ""))), str(body.get("kind", ""))), [])
                    fitting = fit(candidates, *_identity(body))
                    if fitting is not None:
                        found[index] = fitting
                        candidates.remove(fitting)
        return [_locator(found.get(index), body, self._fallback) for index, body in enumerate(bodies)]


def _locator(entry: Entry | None, body: dict[str, Any], fallback: Location) -> Locator:
    return fixed(fallback) if entry is None else lambda pointer: entry.where(pointer, body)


def _identity(body: Mapping[str, Any]) -> tuple[str, str]:
    metadata = body.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    return str(metadata.get("name") or ""), str(metadata.get("namespace") or "")


def _exact(candidates: list[Entry], name: str, namespace: str) -> Entry | None:
    return next((entry for entry in candidates if entry.name == name and entry.namespace == namespace and not entry.hashed), None)


def _named(candidates: list[Entry], name: str, namespace: str) -> Entry | None:
    return next((entry for entry in candidates if entry.name == name and not entry.hashed), None)


def _hashed(candidates: list[Entry], name: str, namespace: str) -> Entry | None:
    fit = [entry for entry in candidates if entry.hashed and name[:-_HASH] == entry.name]
    return next((entry for entry in fit if entry.namespace == namespace), fit[0] if fit else None)


def _similar(candidates: list[Entry], name: str, namespace: str) -> Entry | None:
    return next((entry for entry in candidates if entry.names and any(old and old in name for old in sorted(entry.names))), None)


def _only(candidates: list[Entry], name: str, namespace: str) -> Entry | None:
    return candidates[0] if len(candidates) == 1 else None


def objects_of(document: Document) -> list[tuple[Mapping[str, Any], Pointer]]:
    """The objects of a document with the pointers to them: itself, or the items of a list of any kind."""
    kind = document.body.get("kind")
    items = document.body.get("items")
    if isinstance(kind, str) and kind.endswith("List") and isinstance(items, list):
        return [(item, ("items", index)) for index, item in mappings(items)]
    return [(document.body, ())]


@dataclass(slots=True)
class _Plan:
    repository: Repository

    def kustomization(self, directory: str, body: Mapping[str, Any], locate: Locator, chain: tuple[str, ...]) -> list[Entry]:
        return self._level([], directory, body, locate, (*chain, directory))

    def _level(self, entries: list[Entry], directory: str, body: Mapping[str, Any], locate: Locator, chain: tuple[str, ...]) -> list[Entry]:
        """``entries`` are those of the parent when this is a component, which changes them in place."""
        for name in ("resources", "bases"):
            for _, reference in strings(body.get(name)):
                entries += self._tree(directory, reference, chain)
        for kind in ("ConfigMap", "Secret"):
            self._generate(entries, directory, body, kind, locate)
        for _, reference in strings(body.get("components")):
            target = join(directory, reference)
            document = self._document(target, chain)
            if target is not None and document is not None:
                entries = self._level(entries, target, document.body, document.locate, (*chain, target))
        self._transform(entries, directory, body, locate)
        return entries

    def _document(self, directory: str | None, chain: tuple[str, ...]) -> Document | None:
        if directory is None or directory in chain or len(chain) > _MAX_CHAIN:
            return None
        found = kustomization_files(self.repository, directory)
        return kustomization_document(self.repository, found[0]) if found else None

    def _tree(self, directory: str, reference: str, chain: tuple[str, ...]) -> list[Entry]:
        target = join(directory, reference)
        if target is None:
            return []
        if self.repository.is_file(target):
            return [_entry(body, document, at) for document in self.repository.documents(target) for body, at in objects_of(document)]
        document = self._document(target, chain)
        return self.kustomization(target, document.body, document.locate, chain) if document is not None else []

    def _generate(self, entries: list[Entry], directory: str, body: Mapping[str, Any], kind: str, locate: Locator) -> None:
        field_name = f"{kind[0].lower()}{kind[1:]}Generator"
        options = body.get("generatorOptions")
        common = options if isinstance(options, dict) else {}
        for position, item in mappings(body.get(field_name)):
            at: Pointer = (field_name, position)
            name = str(item.get("name") or "")
            layers = self._data(directory, item, at, locate)
            if item.get("behavior") in ("merge", "replace"):
                for entry in entries:
                    if entry.key == ("", kind) and name in entry.names:
                        entry.layers += layers
                continue
            own = item.get("options")
            own = own if isinstance(own, dict) else {}
            hashed = not (own.get("disableNameSuffixHash") or common.get("disableNameSuffixHash"))
            made = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}
            entry = Entry(made, fixed(locate(at)), name, str(item.get("namespace") or ""), hashed, {name}, {""}, layers)
            entries.append(entry)

    def _data(self, directory: str, item: Mapping[str, Any], at: Pointer, locate: Locator) -> list[Layer]:
        """Where each key of a generated ConfigMap or Secret comes from: its file, or its literal."""
        layers: list[Layer] = []
        for _, text in strings(item.get("files")):
            key, _, path = text.rpartition("=")
            target = join(directory, path)
            if target is not None:
                layers.append(Field(("*", key or path.rpartition("/")[2]), Location(target, 1)))
        for index, text in strings(item.get("literals")):
            layers.append(Field(("*", text.partition("=")[0]), locate((*at, "literals", index))))
        return layers

    def _transform(self, entries: list[Entry], directory: str, body: Mapping[str, Any], locate: Locator) -> None:
        """Notes what this level changes, in the order of kustomize's transformers."""
        layers = [*self._patches(directory, body, locate, ("patchesStrategicMerge", "patches"))]
        namespace = body.get("namespace")
        if isinstance(namespace, str) and namespace:
            layers.append(Field(("metadata", "namespace"), locate(("namespace",))))
        prefix, suffix = str(body.get("namePrefix") or ""), str(body.get("nameSuffix") or "")
        for text, name in ((prefix, "namePrefix"), (suffix, "nameSuffix")):
            if text:
                layers.append(Field(("metadata", "name"), locate((name,))))
        layers += _labels(body, locate)
        layers += self._patches(directory, body, locate, ("patchesJson6902",))
        layers += [Replicas(str(item.get("name")), locate(("replicas", index))) for index, item in mappings(body.get("replicas"))]
        layers += [Images(item, locate(("images", index))) for index, item in mappings(body.get("images"))]
        layers += [Replacement(item, locate(("replacements", index))) for index, item in mappings(body.get("replacements"))]
        for entry in entries:
            entry.layers += layers
            if isinstance(namespace, str) and namespace:
                entry.namespace = namespace
                entry.namespaces.add(namespace)
            if (prefix or suffix) and entry.key not in _UNPREFIXED:
                entry.name = f"{prefix}{entry.name}{suffix}"
                entry.names.add(entry.name)

    def _patches(self, directory: str, body: Mapping[str, Any], locate: Locator, names: tuple[str, ...]) -> list[Layer]:
        layers: list[Layer] = []
        if "patchesStrategicMerge" in names:
            for index, text in strings(body.get("patchesStrategicMerge")):
                target = join(directory, text) if "\n" not in text else None
                inline = target is None or not self.repository.is_file(target)
                found = read_patches(self.repository, text, locate(("patchesStrategicMerge", index))) if inline else file_patches(self.repository, target or "")
                layers += [AnyPatch(patch, _target(patch, None)) for patch in found]
        for name in names:
            for index, item in mappings(body.get(name)):
                selector = item.get("target")
                layers += [AnyPatch(patch, _target(patch, selector)) for patch in self._read(directory, item, (name, index), locate)]
        return layers

    def _read(self, directory: str, item: Mapping[str, Any], at: Pointer, locate: Locator) -> list[Patch]:
        path = item.get("path")
        if isinstance(path, str) and path:
            target = join(directory, path)
            return file_patches(self.repository, target) if target is not None and self.repository.is_file(target) else []
        text = item.get("patch")
        return read_patches(self.repository, text, locate((*at, "patch"))) if isinstance(text, str) else []


def _target(patch: Patch, selector: Any) -> Target:
    return Target(selector if isinstance(selector, dict) else None, patch.body if isinstance(patch, MergePatch) else None)


def _labels(body: Mapping[str, Any], locate: Locator) -> list[Layer]:
    layers: list[Layer] = []
    for name in ("commonLabels", "commonAnnotations"):
        pairs = body.get(name)
        if isinstance(pairs, dict):
            layers.append(Labels({key: locate((name, key)) for key in pairs}, annotations=name == "commonAnnotations"))
    for index, item in mappings(body.get("labels")):
        pairs = item.get("pairs")
        if isinstance(pairs, dict):
            layers.append(Labels({key: locate(("labels", index, "pairs", key)) for key in pairs}))
    return layers


def _entry(body: Mapping[str, Any], document: Document, at: Pointer) -> Entry:
    name, namespace = _identity(body)
    return Entry(body, lambda pointer: document.locate((*at, *pointer)), name, namespace, names={name}, namespaces={namespace})
