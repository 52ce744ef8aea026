"""Post-build substitution, object by object, as kustomize-controller does it.

Source: fluxcd/pkg/kustomize SubstituteVariables: an object is written as YAML, the expressions of that text are replaced, and the result is read
as YAML again. So a value can change type (``"${REPLICAS}"`` becomes a number), bring structure (``{a: b}``), or break the object. Newlines
in values are dropped. Objects labelled or annotated ``kustomize.toolkit.fluxcd.io/substitute: disabled`` are left alone.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.flux.envsubst import Result, SubstitutionError, evaluate
from harness.flux.go_yaml import dump
from harness.model import Location, Problem, fixed
from harness.source.scalars import KUBECTL
from harness.source.yaml import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.model import Locator, Pointer

#: Label and annotation that opt an object out, with the value ``disabled``.
OPT_OUT: Final = "kustomize.toolkit.fluxcd.io/substitute"

#: Characters an object may come to: far beyond the 1.5 MB that etcd takes, and far below what hurts.
_LARGEST: Final = 16_000_000

NAME: Final = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")

_NOWHERE: Final = fixed(Location(""))

#: Text that go-yaml writes plainly and on one line, and that reads the same wherever its expressions end up: no spaces, no quotes, and
#: no colon at the end of a value or before one.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./@%+$-][A-Za-z0-9_./:@%+=${}-]{0,60}")
_PLAIN_RESULT: Final = re.compile(r"[A-Za-z0-9_./](?:[A-Za-z0-9_./@%+=-]|:(?=[A-Za-z0-9_./@%+=-]))*")


@dataclass(frozen=True, slots=True)
class Substituted:
    """An object after substitution.

    ``used`` are the variables that its expressions found, ``missing`` those they did not find and have no default for, sorted. With
    problems the controller applies nothing; ``body`` is then the best that can still be looked at.
    """

    body: dict[str, Any]
    used: frozenset[str] = frozenset()
    missing: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def substitute(body: dict[str, Any], variables: Mapping[str, str], *, strict: bool, always: bool = False, locate: Locator = _NOWHERE) -> Substituted:
    """Substitutes one object.

    ``strict``: a missing variable is a problem (the default of kustomize-controller since 1.9). ``always``: substitute also when there
    are no variables (``substituteStrategy: Always``). ``locate`` gives lines for pointers into the object. The body that is passed in
    is not changed, and is returned itself when nothing in it changes.
    """
    if not variables and not always:
        return Substituted(body)
    if opted_out(body):
        return Substituted(body)
    wrong = sorted(name for name in variables if not NAME.fullmatch(name))
    if wrong:
        message = f"{wrong[0]!r} is no variable name: names match ^[_[:alpha:]][_[:alpha:][:digit:]]*$"
        return Substituted(body, problems=(Problem("substitute-name", "", locate(()), message),))
    text = json.dumps(body, ensure_ascii=False)
    if "${" not in text and "$$" not in text:
        return Substituted(body)
    values = {name: value.replace("\n", "") for name, value in variables.items()}
    size = len(text) + sum(text.count("${" + name) * len(value) for name, value in values.items())
    if size > _LARGEST:
        message = f"the object would have {size // 1_000_000} MB after substitution, which no API server takes"
        return Substituted(body, problems=(Problem("substitute-not-yaml", "", locate(()), message),))
    found = Result("")
    changed = _by_scalar(body, values, found)
    if changed is None:
        found = Result("")
        changed = _by_text(body, values, found, locate)
    missing = tuple(sorted(found.missing))
    # The controller stops at a missing variable, before it reads what the text became without it.
    problems = tuple(_missing(name, body, locate) for name in missing) if strict else ()
    if isinstance(changed, Problem):
        return Substituted(body, frozenset(found.used), missing, problems or (changed,))
    return Substituted(changed, frozenset(found.used), missing, problems)


def opted_out(body: Mapping[str, Any]) -> bool:
    """Whether an object is marked to be left alone."""
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        return False
    return any(isinstance(each, dict) and each.get(OPT_OUT) == "disabled" for each in (metadata.get("labels"), metadata.get("annotations")))


def _by_text(body: dict[str, Any], values: Mapping[str, str], found: Result, locate: Locator) -> dict[str, Any] | Problem:
    """The controller's way."""
    try:
        result = evaluate(dump(body), values)
    except SubstitutionError as error:
        return Problem("substitute-syntax", "", locate(_culprit(body, values)), str(error))
    found.used |= result.used
    found.missing |= result.missing
    parsed = parse(result.text, "object", strict=False)
    fatal = [problem for problem in parsed.problems if problem.code != "yaml-duplicate-key"]
    if fatal or not parsed.documents:
        pointer = _breaking(body, values)
        reason = fatal[0].message if fatal else "nothing is left"
        return Problem("substitute-not-yaml", "", locate(pointer), f"the object is no YAML after substitution: {reason}")
    changed: dict[str, Any] = parsed.documents[0].body
    return changed


def _by_scalar(body: Any, values: Mapping[str, str], found: Result) -> Any:
    """The same result string by string, for objects where no string can touch its surroundings; None for all others.

    It saves writing and reading the object, which is most of the time that substitution takes.
    """
    if isinstance(body, str):
        if "$" not in body or ("${" not in body and "$$" not in body):
            return body
        if not _PLAIN.fullmatch(body):
            return None
        try:
            result = evaluate(body, values)
        except SubstitutionError:
            return None
        if not _PLAIN_RESULT.fullmatch(result.text):
            return None
        found.used |= result.used
        found.missing |= result.missing
        return KUBECTL(result.text)
    if isinstance(body, dict):
        changed: dict[str, Any] = {}
        for key, value in body.items():
            if "$" in key:
                return None
            new = _by_scalar(value, values, found)
            if new is None and value is not None:
                return None
            changed[key] = new
        return changed
    if isinstance(body, list):
        items: list[Any] = []
        for value in body:
            new = _by_scalar(value, values, found)
            if new is None and value is not None:
                return None
            items.append(new)
        return items
    return body


def _strings(body: Any, at: Pointer = ()) -> Iterator[tuple[Pointer, str]]:
    """Every string of an object, keys included, with the pointer to it."""
    if isinstance(body, str):
        yield at, body
    elif isinstance(body, dict):
        for key, value in body.items():
            yield (*at, key), key
            yield from _strings(value, (*at, key))
    elif isinstance(body, list):
        for index, value in enumerate(body):
            yield from _strings(value, (*at, index))


def _culprit(body: Mapping[str, Any], values: Mapping[str, str]) -> Pointer:
    """The first string that is malformed by itself."""
    for pointer, text in _strings(body):
        if "${" in text:
            try:
                evaluate(text, values)
            except SubstitutionError:
                return pointer
    return ()


def _breaking(body: Mapping[str, Any], values: Mapping[str, str]) -> Pointer:
    """The first string that breaks the YAML of an object by itself."""
    for pointer, text in _strings(body):
        if "${" in text:
            alone: dict[str, Any] = {text: 0} if pointer[-1] == text else {"value": text}
            parsed = parse(evaluate(dump(alone), values).text, "object", strict=False)
            if parsed.problems or not parsed.documents:
                return pointer
    return ()


def _missing(name: str, body: Mapping[str, Any], locate: Locator) -> Problem:
    expression = re.compile(r"\$\{#?" + re.escape(name) + r"(?![_a-zA-Z0-9])")
    pointer = next((pointer for pointer, text in _strings(body) if expression.search(text)), ())
    return Problem("substitute-missing", "", locate(pointer), f"the variable {name} is not set and has no default")
