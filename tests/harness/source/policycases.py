"""Cases of admission policies: what a policy lets through and what it refuses, each in a file of plain manifests.

``tests/data/policies/<policy>/{allowed,denied}/<case>.yaml`` holds the object of a request. What a manifest cannot say stands in header
lines at its top, all optional:

``#! message: <text>``
    Part of the message that a denied request gets. It names the validation that refuses, so it is part of that one's message only.
``#! result: skip``
    The policy is not about the request, or a match condition refuses it. ``not-evaluated``: only a registry or a cluster could tell.
``#! operation: UPDATE``
    ``CREATE`` unless said, ``DELETE`` where there is only an old object.
``#! user: <name>``, ``#! groups: <name>, <name>``
    Who asks; Flux's kustomize-controller unless said.
``#! resource: <plural>[.<version>.<group>]``, ``#! subresource: <name>``, ``#! target: [<namespace>/]<name>``
    What is asked for, where it is not the object itself (``pods/exec``, ``serviceaccounts/token``). A target without a name (``tenant-a/``):
    all objects of the kind are deleted at once, and the request has no name.
``#! images: <image>, <image>``
    The images that an ImageValidatingPolicy covers.
``#! section: old object | existing | expected``
    Starts a section: the object before an update or a deletion, what else there is in the cluster, what is generated or mutated.

``tests/data/policies/cluster.yaml`` holds what there is in the cluster of every case. The same files can be sent to an API server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from harness.model import Location
from harness.source.yaml import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.source.repository import Repository

#: Where the cases lie, and the objects that exist in all of them.
FOLDER: Final = "tests/data/policies"
CLUSTER: Final = f"{FOLDER}/cluster.yaml"
OUTCOMES: Final = ("allowed", "denied")
#: Who asks when a case does not say: the account that applies this platform.
USER: Final = "system:serviceaccount:flux-system:kustomize-controller"

_HEADER: Final = re.compile(r"^#! (?P<key>[a-z-]+): (?P<value>.*\S)\s*$")
_PATH: Final = re.compile(rf"^{FOLDER}/(?P<policy>[^/]+)/(?P<outcome>[^/]+)/(?P<name>[^/]+)\.yaml$")
_RESULTS: Final = frozenset({"pass", "fail", "skip", "error", "not-evaluated"})
_OPERATIONS: Final = frozenset({"CREATE", "UPDATE", "DELETE", "CONNECT"})
_KEYS: Final = frozenset({"message", "result", "operation", "user", "groups", "resource", "subresource", "target", "images"})
_SECTIONS: Final = frozenset({"object", "old object", "existing", "expected"})


@dataclass(frozen=True, slots=True)
class PolicyCase:
    """One case. ``faults`` say what is wrong with the file; a case with faults proves nothing."""

    path: str
    policy: str
    outcome: str
    name: str
    headers: Mapping[str, str] = field(default_factory=dict)
    object: dict[str, Any] | None = None
    old_object: dict[str, Any] | None = None
    existing: tuple[dict[str, Any], ...] = ()
    expected: tuple[dict[str, Any], ...] | None = None
    faults: tuple[tuple[Location, str], ...] = ()

    @property
    def id(self) -> str:
        """``require-run-as-non-root-init-container-root``: unique within an outcome."""
        return f"{self.policy}-{self.name}"

    @property
    def result(self) -> str:
        """What the policy must say."""
        return self.headers.get("result", "fail" if self.outcome == "denied" else "pass")

    @property
    def message(self) -> str:
        return self.headers.get("message", "")

    @property
    def operation(self) -> str:
        return self.headers.get("operation", "CREATE" if self.object is not None else "DELETE")

    @property
    def user(self) -> dict[str, Any]:
        """``userInfo`` of the request, with the groups that the API server adds to every authenticated user."""
        name = self.headers.get("user", USER)
        groups = list(self.words("groups"))
        if name.startswith("system:serviceaccount:"):
            groups += ["system:serviceaccounts", f"system:serviceaccounts:{name.split(':')[2]}"]
        return {"username": name, "groups": [*groups, "system:authenticated"] if "system:authenticated" not in groups else groups}

    @property
    def resource(self) -> tuple[str, str, str] | None:
        """Group, version and plural of what is asked for; None when the object says it."""
        if "resource" not in self.headers:
            return None
        plural, _, rest = self.headers["resource"].partition(".")
        version, _, group = rest.partition(".")
        return group, version or "v1", plural

    @property
    def target(self) -> tuple[str, str] | None:
        """Namespace and name of what is asked for; None when the object says it."""
        if "target" not in self.headers:
            return None
        namespace, _, name = self.headers["target"].rpartition("/")
        return namespace, name

    def words(self, key: str) -> tuple[str, ...]:
        """The comma-separated words of a header."""
        return tuple(word.strip() for word in self.headers.get(key, "").split(",") if word.strip())


def read_cases(repository: Repository) -> tuple[PolicyCase, ...]:
    """Every case of a repository, sorted by path. A file out of place is a case with a fault."""
    return tuple(_read(repository.text(path), path) for path in repository.files(FOLDER) if path.endswith(".yaml") and path != CLUSTER)


def read_cluster(repository: Repository) -> tuple[dict[str, Any], ...]:
    """The objects that exist in every case."""
    return tuple(document.body for document in repository.documents(CLUSTER)) if repository.is_file(CLUSTER) else ()


def _read(text: str, path: str) -> PolicyCase:
    place = _PATH.match(path)
    if place is None or place["outcome"] not in OUTCOMES:
        return PolicyCase(path, "", "", "", faults=((Location(path), f"a case lies in {FOLDER}/<policy>/allowed or denied"),))
    faults: list[tuple[Location, str]] = []
    headers: dict[str, str] = {}
    found: dict[str, list[dict[str, Any]]] = {}
    for section, line, lines in _sections(text, path, headers, faults):
        parsed = parse("\n".join(lines), path, first_line=line)
        faults += [(problem.location, problem.message) for problem in parsed.problems]
        found.setdefault(section, []).extend(document.body for document in parsed.documents)
    faults += _wrong(path, place["outcome"], headers, found)
    return PolicyCase(
        path=path,
        policy=place["policy"],
        outcome=place["outcome"],
        name=place["name"],
        headers=headers,
        object=_first(found.get("object")),
        old_object=_first(found.get("old object")),
        existing=tuple(found.get("existing", ())),
        expected=tuple(found["expected"]) if "expected" in found else None,
        faults=tuple(faults),
    )


def _sections(text: str, path: str, headers: dict[str, str], faults: list[tuple[Location, str]]) -> Iterator[tuple[str, int, list[str]]]:
    """The sections of a case, each with its first line; header lines go to ``headers`` on the way."""
    section, start, lines = "object", 1, list[str]()
    for number, line in enumerate(text.split("\n"), 1):
        header = _HEADER.match(line)
        if header is None:
            if line.startswith("#!"):
                faults.append((Location(path, number), f"{line!r} is no header: #! <key>: <value>"))
            lines.append(line)
        elif header["key"] == "section":
            yield section, start, lines
            section, start, lines = header["value"], number + 1, []
            if section not in _SECTIONS:
                faults.append((Location(path, number), f"unknown section {section}: {', '.join(sorted(_SECTIONS))}"))
        else:
            lines.append("")
            if header["key"] not in _KEYS:
                faults.append((Location(path, number), f"unknown header {header['key']}: {', '.join(sorted(_KEYS))}"))
            headers[header["key"]] = header["value"]
    yield section, start, lines


def _wrong(path: str, outcome: str, headers: Mapping[str, str], found: Mapping[str, list[dict[str, Any]]]) -> Iterator[tuple[Location, str]]:
    here = Location(path, 1)
    if headers.get("result", "pass") not in _RESULTS:
        yield here, f"result {headers['result']}: one of {', '.join(sorted(_RESULTS))}"
    if headers.get("operation", "CREATE") not in _OPERATIONS:
        yield here, f"operation {headers['operation']}: one of {', '.join(sorted(_OPERATIONS))}"
    for section in ("object", "old object"):
        if len(found.get(section, ())) > 1:
            yield here, f"{len(found[section])} documents of section {section}, expected one"
    if not found.get("object") and not found.get("old object"):
        yield here, "no object: a case is a request"
    if outcome == "denied" and headers.get("result", "fail") == "fail" and not headers.get("message"):
        yield here, "no message: #! message: says for what a case is denied"


def _first(documents: list[dict[str, Any]] | None) -> dict[str, Any] | None:
    return documents[0] if documents else None
