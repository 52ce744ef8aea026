"""Builds a Flux Kustomization's objects as kustomize-controller does, with the kustomize inside kubectl.

The files a build reads are copied into a temporary directory, with the controller's version of the kustomization in place of the
directory's own, so nothing outside the repository is ever read and no remote base is fetched. A build is kept by the digest of all that
goes into it, in memory and on disk.
"""

from __future__ import annotations

import json
import re
import tempfile
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.flux.cache import Cache, digest
from harness.flux.generator import Generated, common_metadata, generate
from harness.flux.kustomize_errors import Explanation, clean, deprecations
from harness.flux.origins import Origins
from harness.flux.sourceignore import SourceIgnore
from harness.flux.tools import Tools, run
from harness.model import Location, Problem
from harness.source.paths import confine
from harness.source.reach import Closure, Reference, closure, is_remote, kustomization_document
from harness.source.repository import YAML_SUFFIXES, UnreadableError
from harness.source.yaml import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.model import Locator, Pointer
    from harness.source.repository import Repository

_CACHE_KIND: Final = "kustomize"
#: Part of every key: raised when what is kept changes its meaning.
_FORMAT: Final = 1
#: Bytes of input up to which the program runs without collecting garbage: it halves the time of a small build.
_SMALL: Final = 1_000_000
#: Seconds a build may take. 5 MB of manifests take 2.
_TIMEOUT: Final = 120.0
#: What kustomize says when a patch or replacement is for an object that is not there. It may well come from a base that is not fetched.
_LACKS: Final = re.compile(r"no matches for Id|failed to find unique target|unable to find patch target|nothing selected by|no resource matches", re.IGNORECASE)
_EXPLOSIVE: Final = ("yaml-alias-bomb", "yaml-too-deep")
_REMOTE_LISTS: Final = ("resources", "bases", "components", "crds", "configurations")


@dataclass(frozen=True, slots=True, eq=False)
class BuiltObject:
    """One object of a build. ``body`` is shared and read-only."""

    body: dict[str, Any]
    locate: Locator


@dataclass(frozen=True, slots=True)
class Built:
    """What a build gave. ``files`` are those of the repository it reads, also when it failed.

    ``problems`` stop the controller (or make it do what nobody wrote); ``warnings`` do not. Their subject is empty: it is the
    Flux Kustomization that was built.
    """

    objects: tuple[BuiltObject, ...]
    files: frozenset[str]
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class _Output:
    """What kustomize said: objects, or why there are none."""

    bodies: tuple[dict[str, Any], ...]
    error: str = ""


class Kustomizer:
    """Builds directories of one repository. Safe to use from several threads; equal builds run once."""

    def __init__(self, repository: Repository, cache: Cache, tools: Tools) -> None:
        self._repository = repository
        self._cache = cache
        self._tools = tools
        self._lock = threading.Lock()
        self._running: dict[str, Future[_Output]] = {}
        self._ignores: dict[str | None, SourceIgnore] = {}

    def build(self, path: str, spec: Mapping[str, Any], *, where: Locator, ignore: str | None = None) -> Built:
        """The objects of a directory.

        ``path`` is ``spec.path`` or what it stands for ("", "." and "./" are the root; ``..`` cannot leave it). ``spec`` is the
        Flux Kustomization's, and ``where`` gives lines for pointers into it. ``ignore`` is ``spec.ignore`` of its source.
        What is wrong with the repository is in the result. Raises ToolError when there is no fit kubectl.
        """
        directory = confine(path)
        repository = self._repository
        if not repository.is_dir(directory):
            kind = "is a file, not a directory" if repository.is_file(directory) else "does not exist in the repository"
            return Built((), frozenset(), (Problem("kustomize-missing", "", where(("path",)), f"the path {path or '.'} {kind}"),))
        admits = self._ignore(ignore).admits
        generated = generate(repository, directory, spec, where, admits)

        def locate(pointer: Pointer) -> Location:
            return generated.locate(pointer, where)

        reach = closure(repository, directory, generated.body, locate)
        problems = [*generated.problems, *_reach_problems(reach)]
        problems += [
            Problem("kustomize-missing", "", Location(file), "the file is left out of the artifact (.sourceignore)")
            for file in sorted(reach.files)
            if not admits(file)
        ]
        if generated.fatal and generated.document is None:
            problems.append(_unreadable(repository, generated.path))
        problems += _explosive(repository, reach.files)
        warnings = tuple(deprecations(repository, reach.files, generated.path, generated.body, locate))
        if generated.fatal or any(problem.code not in ("kustomize-remote-base", "kustomize-unknown-field") for problem in problems):
            return Built((), reach.files, tuple(problems), warnings)
        output = self._output(directory, generated, reach)
        origins = _Lazy(repository, directory, generated.body, locate, output.bodies)
        if output.error and not (reach.remote and _LACKS.search(output.error)):
            problems.append(Explanation(repository, directory, generated.body, locate, reach.files, origins.plan().entries).problem(output.error))
        objects = tuple(BuiltObject(common_metadata(body, spec), origins.locator(index)) for index, body in enumerate(output.bodies))
        return Built(objects, reach.files, tuple(problems), warnings)

    def _ignore(self, ignore: str | None) -> SourceIgnore:
        with self._lock:
            if ignore not in self._ignores:
                self._ignores[ignore] = SourceIgnore(self._repository, ignore)
            return self._ignores[ignore]

    def _output(self, directory: str, generated: Generated, reach: Closure) -> _Output:
        try:
            contents = self._contents(generated, reach)
        except UnreadableError as unreadable:
            return _Output((), unreadable.problem.message)
        sums = [[path, digest(content)] for path, content in sorted(contents.items())]
        key = digest(_CACHE_KIND, _FORMAT, self._tools.kustomize_version, directory, sums)
        with self._lock:
            future = self._running.get(key)
            mine = future is None
            if future is None:
                future = self._running[key] = Future()
        if mine:
            try:
                future.set_result(self._kept(key, directory, contents))
            except BaseException as error:
                future.set_exception(error)
                with self._lock:
                    del self._running[key]
                raise
        return future.result()

    def _contents(self, generated: Generated, reach: Closure) -> dict[str, bytes]:
        """The files of the temporary copy."""
        contents = {path: self._repository.read(path) for path in reach.files}
        for path in {reference.location.path for reference in reach.remote} & reach.files - {generated.path}:
            document = kustomization_document(self._repository, path)
            if document is not None:
                contents[path] = _written(_without_remotes(document.body))
        body = _without_remotes(generated.body) if reach.remote else generated.body
        # Flux leaves objects in the order they are read; kubectl sorts them by kind unless told otherwise.
        contents[generated.path] = _written({"sortOptions": {"order": "fifo"}, **body})
        return contents

    def _kept(self, key: str, directory: str, contents: Mapping[str, bytes]) -> _Output:
        kept = self._cache.get_json(_CACHE_KIND, key)
        if isinstance(kept, dict) and isinstance(kept.get("objects"), list) and isinstance(kept.get("error"), str):
            return _Output(tuple(kept["objects"]), kept["error"])
        output, lasting = self._run(directory, contents)
        if lasting:
            self._cache.put_json(_CACHE_KIND, key, {"objects": list(output.bodies), "error": output.error})
        return output

    def _run(self, directory: str, contents: Mapping[str, bytes]) -> tuple[_Output, bool]:
        """Runs kustomize; the second value says whether another run would say the same."""
        with tempfile.TemporaryDirectory(prefix="plimsoll-kustomize-") as name:
            root = Path(name).resolve()
            for folder in sorted({path.rpartition("/")[0] for path in contents} | {directory}):
                (root / folder).mkdir(parents=True, exist_ok=True)
            for path, content in contents.items():
                (root / path).write_bytes(content)
            small = sum(map(len, contents.values())) <= _SMALL
            done = run(
                self._tools.kubectl,
                ["kustomize", str(root / directory), "--load-restrictor=LoadRestrictionsNone"],
                cwd=root,
                timeout=_TIMEOUT,
                env={"GOGC": "off", "GOMAXPROCS": "1"} if small else {"GOGC": "400"},
            )
            error, _ = clean(done.stderr, str(root))
        if done.timed_out:
            return _Output((), f"kustomize did not finish in {_TIMEOUT:.0f} seconds"), False
        if done.code != 0:
            return _Output((), error or f"kustomize ended with code {done.code}"), done.code > 0
        parsed = parse(done.stdout, "kustomize", strict=False)
        if parsed.problems:
            return _Output((), f"the result is not YAML: {parsed.problems[0].message}"), True
        return _Output(tuple(document.body for document in parsed.documents)), True


class _Lazy:
    """Lines of a build's objects, found when the first is asked for."""

    def __init__(self, repository: Repository, directory: str, body: Mapping[str, Any], locate: Locator, bodies: tuple[dict[str, Any], ...]) -> None:
        self._arguments = (repository, directory, body, locate)
        self._bodies = bodies
        self._lock = threading.Lock()
        self._locators: list[Locator] | None = None

    def plan(self) -> Origins:
        """The walk over the kustomizations."""
        return Origins(*self._arguments)

    def locator(self, index: int) -> Locator:
        """The locator of one object."""

        def locate(pointer: Pointer) -> Location:
            with self._lock:
                if self._locators is None:
                    self._locators = self.plan().match(list(self._bodies))
            return self._locators[index](pointer)

        return locate


def _written(body: Mapping[str, Any]) -> bytes:
    """JSON is YAML, and says nothing that another parser reads differently."""
    return json.dumps(body, ensure_ascii=True).encode()


def _without_remotes(body: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(body)
    for name in _REMOTE_LISTS:
        if isinstance(result.get(name), list):
            result[name] = [item for item in result[name] if not (isinstance(item, str) and is_remote(item))]
    return result


def _reach_problems(reach: Closure) -> list[Problem]:
    def each(code: str, references: tuple[Reference, ...], text: str) -> list[Problem]:
        return [Problem(code, "", reference.location, text.format(reference.ref)) for reference in references]

    return [
        *each("kustomize-missing", reach.missing, "{} is neither a file nor a directory with a kustomization"),
        *each("kustomize-missing", reach.outside, "{} leads out of the repository"),
        *each("kustomize-cycle", reach.cycles, "{} contains a directory that is being built"),
        *each("kustomize-remote-base", reach.remote, "{} would be fetched from the network at every reconciliation; it is not built here"),
        *each("kustomize-helm-charts", reach.charts, "the chart {} is not rendered: kustomize-controller runs kustomize without Helm"),
    ]


def _explosive(repository: Repository, files: frozenset[str]) -> list[Problem]:
    """Files that would take a program that expands them a gigabyte or more: they are not given to kustomize, which refuses them in the end or dies."""
    found = [problem for path in sorted(files) if path.endswith(YAML_SUFFIXES) for problem in repository.parsed(path).problems]
    return [Problem("kustomize-build", "", problem.location, problem.message) for problem in found if problem.code in _EXPLOSIVE]


def _unreadable(repository: Repository, path: str) -> Problem:
    problems = repository.problems_of([path])
    location = problems[0].location if problems else Location(path)
    message = problems[0].message if problems else "it is empty"
    return Problem("kustomize-build", "", location, f"the kustomization cannot be read: {message}")
