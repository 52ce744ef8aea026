"""The values of a release: ``spec.values`` over ``spec.valuesFrom``, as helm-controller composes them.

Source: fluxcd/pkg ``chartutil.ChartValuesFromReferences`` and HelmRelease v2, "Values references" (helm-controller 1.6): the
references are merged in order, inline values over them, and what has a ``targetPath`` over everything before it.
"""

from __future__ import annotations

import base64
import binascii
import copy
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from harness.flux.charts import merge
from harness.flux.strvals import StrvalsError, parse_line, set_value
from harness.model import Location, NotEvaluated, Object, Pointer, Problem
from harness.source.yaml import loads, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SEALED: Final = "SealedSecret.bitnami.com"
#: A file that SOPS encrypted as a whole, as a secretGenerator takes it in; kustomize-controller decrypts it.
_SOPS: Final = re.compile(r'^(?:sops|"sops"|\s+"sops"):', re.MULTILINE)
#: Stands where a value is expected that nobody can read here.
UNKNOWN: Final = "unknown-value"


@dataclass(frozen=True, slots=True)
class _Layer:
    """Where a part of the values comes from: a ConfigMap's or Secret's key, or one path of the values."""

    values: Mapping[str, Any]
    holder: Object
    pointer: Pointer
    text: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """What a release gives its chart.

    ``unresolved`` names what stands in for values that exist in the cluster only; ``unknown`` are the texts that stand in.
    """

    values: dict[str, Any]
    unresolved: tuple[NotEvaluated, ...] = ()
    problems: tuple[Problem, ...] = ()
    unknown: frozenset[str] = frozenset()
    _release: Object | None = None
    _layers: tuple[_Layer, ...] = field(default=(), repr=False)

    def source(self, path: Pointer) -> tuple[Object, Pointer] | None:
        """The object, and the pointer in it, that sets the value at a path; None when the chart's default is in force."""
        for layer in reversed(self._layers):
            if _holds(layer.values, path):
                return layer.holder, (layer.pointer if layer.text is not None or not layer.pointer else (*layer.pointer, *path))
        return None

    def locate(self, path: Pointer) -> Location:
        """The line that sets the value at a path, or, where nothing does, that of ``spec.values`` or of the release."""
        for layer in reversed(self._layers):
            if _holds(layer.values, path):
                if layer.text is None:
                    return layer.holder.locate(*layer.pointer, *path)
                return _inside(layer, path)
        if self._release is None:
            return Location("")
        return self._release.locate("spec", "values") if "values" in self._release.spec else self._release.locate("spec")


def compose(release: Object, find: Callable[[str, str, str], Object | None], maker: Callable[[str, str, str], Object | None] = lambda *_: None) -> Values:
    """The values of a HelmRelease. ``find(kind, namespace, name)`` looks up what it refers to, ``maker`` what a controller makes it from.

    Problems: ``values-source-missing``, ``values-key-missing``, ``values-unreadable``, ``values-reference``.
    """
    inline = release.get("spec", "values", default={})
    composer = _Composer(release, inline if isinstance(inline, dict) else {}, find, maker)
    references = release.get("spec", "valuesFrom", default=[])
    for index, reference in enumerate(references if isinstance(references, list) else []):
        if isinstance(reference, dict):
            composer.add(index, reference)
    return composer.done()


class _Composer:
    def __init__(
        self,
        release: Object,
        inline: dict[str, Any],
        find: Callable[[str, str, str], Object | None],
        maker: Callable[[str, str, str], Object | None],
    ) -> None:
        self._release = release
        self._maker = maker
        # helm-controller merges maps without copying what is below, so that what a targetPath sets in `result` is also set in the
        # inline values, which are merged once more at the end. Whether inline values win depends on that: it is done the same way here.
        self._inline = copy.deepcopy(inline)
        self._find = find
        self._result: dict[str, Any] = {}
        self._layers: list[_Layer] = []
        self._over: list[_Layer] = []
        self._unresolved: list[NotEvaluated] = []
        self._unknown: set[str] = set()
        self._problems: list[Problem] = []

    def add(self, index: int, reference: Mapping[str, Any]) -> None:
        """Merge one entry of ``valuesFrom``."""
        kind, name = str(reference.get("kind") or ""), str(reference.get("name") or "")
        key, target = str(reference.get("valuesKey") or "values.yaml"), str(reference.get("targetPath") or "")
        optional = reference.get("optional") is True
        if kind not in ("ConfigMap", "Secret"):
            self._problem("values-reference", index, f"spec.valuesFrom[{index}] refers to a {kind or 'nothing'}: only ConfigMap and Secret are supported")
            return
        found = self._find(kind, self._release.namespace, name)
        if found is None:
            self._absent(index, kind, name, key, target, optional)
            return
        text = _data(found, key)
        if text is None:
            if _is_encrypted(found, key):
                self._hidden(kind, name, key, target, f"the value is encrypted in {found.kind} {found.name}")
            elif not optional:
                self._problem("values-key-missing", index, f"{kind} {found.namespace}/{name} has no key {key}")
            return
        self._merge(index, found, key, target, text, reference.get("literal") is True)

    def done(self) -> Values:
        """Everything merged."""
        inline = self._release.get("spec", "values", default={})
        layers = [*self._layers, _Layer(inline, self._release, ("spec", "values")), *self._over]
        return Values(
            values=merge(self._result, self._inline),
            unresolved=tuple(self._unresolved),
            problems=tuple(self._problems),
            unknown=frozenset(self._unknown),
            _release=self._release,
            _layers=tuple(layers),
        )

    def _merge(self, index: int, found: Object, key: str, target: str, text: str, literal: bool) -> None:
        pointer: Pointer = ("data", key) if found.get("data", key) is not None else ("stringData", key)
        if target:
            self._result = merge(self._result, self._inline)
            alone: dict[str, Any] = {}
            try:
                set_value(self._result, target, text, literal=literal)
                parse_line(f"{target}=x", alone, text_only=True)
            except StrvalsError as error:
                self._problem("values-unreadable", index, f"{found.kind} {found.name} cannot be set at {target}: {error}")
                return
            self._over.append(_Layer(alone, found, pointer))
            return
        try:
            values = loads(text)
        except ValueError as error:
            self._problem("values-unreadable", index, f"{found.kind} {found.namespace}/{found.name} key {key} is not readable YAML: {error}")
            return
        if values is not None and not isinstance(values, dict):
            self._problem("values-unreadable", index, f"{found.kind} {found.namespace}/{found.name} key {key} is not a mapping of values")
            return
        self._layers.append(_Layer(values or {}, found, pointer, text))
        self._result = merge(self._result, copy.deepcopy(values or {}))

    def _absent(self, index: int, kind: str, name: str, key: str, target: str, optional: bool) -> None:
        sealed = self._find(_SEALED, self._release.namespace, name) if kind == "Secret" else None
        if sealed is not None:
            encrypted = sealed.get("spec", "encryptedData", default={})
            if isinstance(encrypted, dict) and key not in encrypted and not optional:
                self._problem("values-key-missing", index, f"SealedSecret {sealed.namespace}/{name} has no key {key}")
            else:
                self._hidden(kind, name, key, target, f"the value is sealed in SealedSecret {name}")
        elif (maker := self._maker(kind, self._release.namespace, name)) is not None:
            self._hidden(kind, name, key, target, f"{maker.kind} {maker.name} makes it in the cluster")
        elif optional:
            self._unresolved.append(NotEvaluated(str(self._release.id), f"values from {kind} {name}", "it is optional and not in this repository"))
        else:
            where = f"{kind} {self._release.namespace}/{name}"
            self._problem("values-source-missing", index, f"spec.valuesFrom[{index}] needs {where}, which is nowhere in this cluster")

    def _hidden(self, kind: str, name: str, key: str, target: str, why: str) -> None:
        """A value that only the cluster knows: a stand-in where the path is known, nothing where a whole set of values is hidden."""
        self._unresolved.append(NotEvaluated(str(self._release.id), f"values from {kind} {name} key {key}" + (f" at {target}" if target else ""), why))
        if not target:
            return
        self._result = merge(self._result, self._inline)
        try:
            set_value(self._result, target, UNKNOWN, literal=True)
        except StrvalsError:
            return
        self._unknown.add(UNKNOWN)

    def _problem(self, code: str, index: int, message: str) -> None:
        self._problems.append(Problem(code, str(self._release.id), self._release.locate("spec", "valuesFrom", index), message))


def _data(holder: Object, key: str) -> str | None:
    """The text under a key of a ConfigMap or Secret, None when there is none that can be read."""
    text = holder.get("stringData", key) if holder.kind == "Secret" else None
    if isinstance(text, str):
        return None if text.startswith("ENC[") else text
    value = holder.get("data", key)
    if value is None or (isinstance(value, str) and value.startswith("ENC[")):
        return None
    if holder.kind != "Secret":
        return str(value)
    try:
        # Go's decoder passes over line breaks, which kustomize puts into long values.
        decoded = base64.b64decode(str(value).replace("\r", "").replace("\n", ""), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return None if _SOPS.search(decoded) else decoded


def _is_encrypted(holder: Object, key: str) -> bool:
    held = [str(holder.get(part, key, default="")) for part in ("data", "stringData")]
    if any(text.startswith("ENC[") for text in held):
        return True
    try:
        return _SOPS.search(base64.b64decode(held[0].replace("\n", "")).decode()) is not None
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return False


def _holds(values: Any, path: Pointer) -> bool:
    for part in path:
        known = part in values if isinstance(values, dict) else isinstance(values, list) and isinstance(part, int) and part < len(values)
        if not known:
            return False
        values = values[part]
    return True


def _inside(layer: _Layer, path: Pointer) -> Location:
    """The line inside a block of text in a ConfigMap, when the block is written as it is (``|``); else the line of its key."""
    place = layer.holder.locate(*layer.pointer)
    parsed = parse(layer.text or "", place.path, strict=False)
    if place.line and parsed.documents and layer.text is not None and layer.text.count("\n") > 1:
        return Location(place.path, place.line + parsed.documents[0].locate(path).line)
    return place
