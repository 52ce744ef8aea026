"""What people assert of a repository: the files of ``tests/intent/``, read and held against the schema beside the code that uses them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import jsonschema_rs

from harness.model import Location, Pointer, format_pointer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.source.repository import Repository
    from harness.source.yaml import Document

#: Where the files lie in a repository that has any.
FOLDER: Final = "tests/intent"


class IntentFault(NamedTuple):
    """Something wrong with an intent file."""

    location: Location
    message: str


@dataclass(frozen=True, slots=True)
class Intent:
    """One file. ``body`` is usable only when there are no ``faults``."""

    path: str
    body: Mapping[str, Any]
    faults: tuple[IntentFault, ...] = ()
    document: Document | None = None

    def locate(self, *pointer: str | int) -> Location:
        """The line of what a pointer into the file points to."""
        return self.document.locate(pointer) if self.document is not None else Location(self.path)


def read_intent(repository: Repository, name: str, schema: Mapping[str, Any]) -> Intent | None:
    """The file ``tests/intent/<name>``, checked against a JSON schema; None when the repository has none. Never raises."""
    path = f"{FOLDER}/{name}"
    if not repository.is_file(path):
        return None
    documents = repository.documents(path)
    faults = [IntentFault(problem.location, problem.message) for problem in repository.problems_of([path])]
    if len(documents) != 1:
        return Intent(path, {}, tuple(faults or [IntentFault(Location(path), f"{len(documents)} documents, expected one")]))
    document = documents[0]
    for error in jsonschema_rs.validator_for(dict(schema)).iter_errors(document.body):
        at: Pointer = tuple(error.instance_path)
        faults.append(IntentFault(document.locate(at), f"{format_pointer(at)}: {error.message}"))
    return Intent(path, document.body, tuple(sorted(set(faults))), document)
