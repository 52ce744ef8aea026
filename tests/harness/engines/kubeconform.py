"""A second opinion on rendered objects: the ``kubeconform`` binary, when it is on PATH.

kubeconform checks JSON schemas only, so its silence means nothing; what it refuses and we accept is worth a look, and the reverse shows what
the schemas alone would have missed. Its schemas come from files written for the run: nothing is downloaded.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.engines.schema import SchemaSet


class KubeconformError(RuntimeError):
    """The binary is missing, or gave no readable answer."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What kubeconform says of one object. ``status`` is its own word: statusValid, statusInvalid, statusError, statusSkipped."""

    index: int
    status: str
    message: str


@dataclass(frozen=True, slots=True)
class Disagreement:
    """An object that only one of the two accepts. ``ours`` and ``theirs`` are the reasons to refuse it; one of them is empty."""

    index: int
    ours: tuple[str, ...]
    theirs: str


def find() -> Path | None:
    """The binary, or None."""
    found = shutil.which("kubeconform")
    return Path(found) if found else None


def run(objects: Sequence[Mapping[str, Any]], schemas: SchemaSet, *, binary: Path | None = None, timeout: float = 120.0) -> tuple[Opinion, ...]:
    """What kubeconform says of each object, in order, with the schemas of ``schemas``. ``timeout`` is in seconds, for the whole run.

    Raises KubeconformError when there is no binary, it does not end in time, or its output cannot be read.
    """
    program = binary or find()
    if program is None:
        raise KubeconformError("kubeconform is not on PATH: go install github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0")
    with TemporaryDirectory(prefix="kubeconform-") as folder:
        root = Path(folder)
        for api_version, kind in sorted({(str(item.get("apiVersion")), str(item.get("kind"))) for item in objects}):
            document = schemas.json_schema(api_version, kind)
            if document is not None:
                (root / _schema_name(api_version, kind)).write_text(json.dumps(document), encoding="utf-8")
        _write(objects, root / "objects")
        location = str(root / "{{ .ResourceKind }}-{{ .Group }}-{{ .ResourceAPIVersion }}.schema.json")
        command = [str(program), "-output", "json", "-verbose", "-schema-location", location, str(root / "objects")]
        try:
            result = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise KubeconformError(f"{program} did not run: {error}") from error
    return _read(result.stdout, result.stderr, len(objects))


def _schema_name(api_version: str, kind: str) -> str:
    """kubeconform's template has the version in place of the core group's empty name."""
    group, _, _ = api_version.partition("/")
    return f"{kind.lower()}-{group}-{api_version.rpartition('/')[2]}.schema.json"


def _write(objects: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """One file for each object: kubeconform answers in any order, and names the file."""
    folder.mkdir()
    for index, item in enumerate(objects):
        (folder / f"{index}.json").write_text(json.dumps(item), encoding="utf-8")


def _read(stdout: str, stderr: str, count: int) -> tuple[Opinion, ...]:
    try:
        answers = {int(Path(item["filename"]).stem): item for item in json.loads(stdout)["resources"]}
    except (ValueError, KeyError, TypeError) as error:
        raise KubeconformError(f"kubeconform gave no readable answer: {(stderr or stdout).strip()[:300]}") from error
    if sorted(answers) != list(range(count)):
        raise KubeconformError(f"kubeconform answered for {len(answers)} of {count} objects")
    return tuple(Opinion(index, str(item.get("status", "")), str(item.get("msg", ""))) for index, item in sorted(answers.items()))


def disagreements(objects: Sequence[Mapping[str, Any]], schemas: SchemaSet, opinions: Iterable[Opinion]) -> tuple[Disagreement, ...]:
    """Where kubeconform and our schema part ways. What it skipped is no opinion."""
    found: list[Disagreement] = []
    for opinion in opinions:
        if opinion.status == "statusSkipped":
            continue
        ours = tuple(str(error) for error in schemas.validate(objects[opinion.index]))
        refused = opinion.status in ("statusInvalid", "statusError")
        if bool(ours) != refused:
            found.append(Disagreement(opinion.index, ours, opinion.message if refused else ""))
    return tuple(found)
