"""The lock: what each HelmRelease of each cluster renders to, as facts, in files that are committed and never edited.

``<cluster>/<namespace>.<release>.json`` holds a release; ``crds/`` holds the CRDs, which clusters share, each named by its content.
With charts at hand the lock is compared with a fresh render; without them it is what the cluster is proven from.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from harness.flux.cache import Cache, digest
from harness.flux.outcome import Outcome, Rendering, chart_json, chart_of_json, notes_json, with_notes
from harness.flux.recall import References
from harness.flux.reduce import FORMAT, pretty, reduce
from harness.model import Location, Object, Pointer, Problem, format_pointer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from harness.flux.rendered import Rendered

_CRDS: Final = "crds"
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]")
#: Differences that are named one by one; the rest is counted.
_NAMED: Final = 5
_COMMAND: Final = "run `nox -s lock`"
#: A release without a lock file has nothing to lock when it cannot be rendered anywhere.
_CRD_KIND: Final = "CustomResourceDefinition"


@dataclass(frozen=True, slots=True, eq=False)
class Locked:
    """A release as the lock has it."""

    inputs: str
    outcome: Outcome


@dataclass(slots=True)
class Written:
    """What :meth:`Lock.write` did: paths relative to the lock, sorted. ``failed`` are the releases that could not be rendered."""

    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


class Lock:
    """A lock folder. Reading is safe from several threads; every file is read once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shown = "/".join(folder.parts[-2:])
        self._guard = threading.Lock()
        self._crds: dict[str, Mapping[str, Any] | None] = {}

    def place(self, release: Object) -> Location:
        """The file that has, or would have, a release."""
        return Location(f"{self._shown}/{_file(release)}")

    def read(self, release: Object) -> Locked | None:
        """The release as locked; None when the lock does not have it or is damaged."""
        kept = self._load(release)
        if kept is None:
            return None
        try:
            documents = tuple(self._rendering(item) for item in kept["documents"])
            return Locked(str(kept["inputs"]), with_notes(documents, chart_of_json(kept["chart"]), kept))
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    def verify(
        self, release: Object, inputs: str, outcome: Outcome, values: Mapping[str, Any], cache: Cache | None = None, key: str = ""
    ) -> tuple[Problem, ...]:
        """What the lock says differently from a fresh render: ``lock-missing``, ``lock-stale``, ``lock-mismatch``.

        ``cache`` and ``key`` (of the render) spare writing the facts out again to compare them.
        """
        name = _file(release)
        where = self.place(release)
        try:
            have = (self.folder / name).read_bytes()
        except OSError:
            return (Problem("lock-missing", str(release.id), where, f"the lock does not have this release: {_COMMAND}"),)
        kept = digest("locked", FORMAT, key, inputs)
        expected = cache.get("locked", kept) if cache is not None and key else None
        if expected is None:
            expected = hashlib.sha256(text_of(outcome, inputs, values)[0].encode()).hexdigest().encode()
            if cache is not None and key:
                cache.put("locked", kept, expected)
        if hashlib.sha256(have).hexdigest().encode() == expected and self._crds_intact(have):
            return ()
        return tuple(self._differences(release, inputs, outcome, values, where))

    def write(self, worlds: Iterable[Any]) -> Written:
        """Write the lock of these worlds (anything with ``cluster.name`` and ``releases``), and remove what they no longer have.

        Releases that could not be rendered keep the file they have. CRDs that no cluster of the lock uses any more are removed.
        """
        done = Written()
        used: set[str] = set()
        for world in worlds:
            wanted: dict[str, str | None] = {}
            for rendered in world.releases.values():
                self._plan(rendered, wanted, used, done)
            self._settle(_safe(world.cluster.name), wanted, done)
        self._collect(used, done)
        for names in (done.changed, done.unchanged, done.removed, done.failed):
            names.sort()
        return done

    def _plan(self, rendered: Rendered, wanted: dict[str, str | None], used: set[str], done: Written) -> None:
        name = _file(rendered.release)
        if rendered.outcome is None or rendered.source != "render":
            wanted[name] = None
            done.failed.append(str(rendered.release.id))
            return
        text, crds = text_of(rendered.outcome, rendered.inputs, rendered.values.values if rendered.values else {})
        wanted[name] = text
        for path, content in crds.items():
            used.add(path)
            self._put(path, content, done)

    def _settle(self, cluster: str, wanted: Mapping[str, str | None], done: Written) -> None:
        for name, text in wanted.items():
            if text is not None:
                self._put(name, text, done)
        folder = self.folder / cluster
        for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
            name = f"{cluster}/{path.name}"
            if name not in wanted:
                path.unlink()
                done.removed.append(name)

    def _put(self, name: str, text: str, done: Written) -> None:
        path = self.folder / name
        if name in done.changed or name in done.unchanged:
            return
        if path.is_file() and path.read_bytes() == text.encode():
            done.unchanged.append(name)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        done.changed.append(name)

    def _collect(self, used: set[str], done: Written) -> None:
        """Remove the CRDs that no release file of the lock names."""
        for path in sorted(self.folder.glob("*/*.json")):
            if path.parent.name != _CRDS:
                used |= {f"{_CRDS}/{item}" for item in re.findall(r'"crdFile": "([^"]+)"', path.read_text(encoding="utf-8"))}
        for path in sorted((self.folder / _CRDS).glob("*.json")):
            if f"{_CRDS}/{path.name}" not in used:
                path.unlink()
                done.removed.append(f"{_CRDS}/{path.name}")

    def _load(self, release: Object) -> Mapping[str, Any] | None:
        try:
            kept = json.loads((self.folder / _file(release)).read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        return kept if isinstance(kept, dict) else None

    def _rendering(self, item: Mapping[str, Any]) -> Rendering:
        body = item["body"] if "body" in item else self._crd(str(item["crdFile"]))
        if not isinstance(body, dict):
            raise TypeError("no object")
        patched = tuple((tuple(field), tuple(source)) for field, source in item.get("patched", []))
        return Rendering(body, str(item["template"]), "", bool(item.get("crd")), patched)

    def _crd(self, name: str) -> Mapping[str, Any] | None:
        with self._guard:
            if name not in self._crds:
                try:
                    data = (self.folder / _CRDS / _safe(name)).read_bytes()
                    self._crds[name] = json.loads(data) if _named_by(name, data) else None
                except (OSError, ValueError, RecursionError):
                    self._crds[name] = None
            return self._crds[name]

    def _crds_intact(self, have: bytes) -> bool:
        return all(self._crd(name) is not None for name in re.findall(r'"crdFile": "([^"]+)"', have.decode("utf-8", "replace")))

    def _differences(self, release: Object, inputs: str, outcome: Outcome, values: Mapping[str, Any], where: Location) -> Iterator[Problem]:
        locked = self.read(release)
        subject = str(release.id)
        if locked is None:
            yield Problem("lock-mismatch", subject, where, f"the lock's file cannot be read, or a CRD it refers to is missing or was edited: {_COMMAND}")
            return
        if locked.inputs != inputs:
            yield Problem("lock-stale", subject, where, f"the chart or the values of this release changed since the lock was written: {_COMMAND}")
            return
        references = References(values)
        fresh = {_identity(item.body): references.keep(item.body, reduce(item.body)) for item in outcome.documents}
        old = {_identity(item.body): item.body for item in locked.outcome.documents}
        found = [f"{name} is {'only in the lock' if name in old else 'not in the lock'}" for name in sorted(fresh.keys() ^ old.keys())]
        for name in sorted(fresh.keys() & old.keys()):
            found += [f"{name}: {format_pointer(pointer)}" for pointer in _differing(old[name], fresh[name])]
        if not found:
            found = ["what is said about the release differs"]
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        yield Problem("lock-mismatch", subject, where, f"a fresh render differs from the lock in {'; '.join(found[:_NAMED])}{more}: {_COMMAND}")


def text_of(outcome: Outcome, inputs: str, values: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """The file of a release with these values, and the files of its CRDs by path in the lock."""
    references = References(values)
    crds: dict[str, str] = {}
    entries: list[tuple[tuple[str, ...], int, dict[str, Any]]] = []
    for index, item in enumerate(outcome.documents):
        body = references.keep(item.body, reduce(item.body))
        entry: dict[str, Any] = {"template": item.template}
        if item.crd:
            entry["crd"] = True
        if item.patched:
            entry["patched"] = [[list(field), list(source)] for field, source in item.patched]
        if body.get("kind") == _CRD_KIND:
            text = pretty(body)
            name = f"{_safe(str(body.get('metadata', {}).get('name', 'crd')))}.{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"
            crds[f"{_CRDS}/{name}"] = text
            entry["crdFile"] = name
        else:
            entry["body"] = body
        entries.append((_order(body), index, entry))
    entries.sort(key=lambda item: item[:2])
    position = {index: place for place, (_, index, _) in enumerate(entries)}
    notes = notes_json(outcome)
    notes["gaps"] = sorted([position.get(index, -1), what, why] for index, what, why in notes["gaps"])
    chart = chart_json(outcome.chart)
    if chart is not None:
        # The package of a mirror and of a registry are not the same bytes.
        chart.pop("digest")
    text = pretty({"inputs": inputs, "chart": chart, **notes, "documents": [entry for _, _, entry in entries]})
    return text, crds


def _order(body: Mapping[str, Any]) -> tuple[str, ...]:
    metadata = body.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    return tuple(str(part or "") for part in (body.get("kind"), body.get("apiVersion"), metadata.get("namespace"), metadata.get("name")))


def _identity(body: Mapping[str, Any]) -> str:
    kind, _, namespace, name = _order(body)
    return "/".join(part for part in (kind, namespace, name) if part)


def _differing(old: Any, new: Any, pointer: Pointer = ()) -> Iterator[Pointer]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}, key=str):
            if key not in old or key not in new:
                yield (*pointer, key)
            else:
                yield from _differing(old[key], new[key], (*pointer, key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from _differing(left, right, (*pointer, index))
    elif old != new:
        yield pointer


def _file(release: Object) -> str:
    return f"{_safe(release.id.cluster)}/{_safe(release.namespace)}.{_safe(release.name)}.json"


def _safe(name: str) -> str:
    return _UNSAFE.sub("-", name).lstrip(".") or "-"


def _named_by(name: str, data: bytes) -> bool:
    """Whether a CRD file still has the content it is named by. Line ends that git changed are no difference."""
    return hashlib.sha256(data.replace(b"\r\n", b"\n")).hexdigest()[:12] == name.removesuffix(".json").rpartition(".")[2]
