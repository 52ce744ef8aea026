"""What Helm templates ask of a cluster, of chance and of the clock, found in their text; and how to take chance out of it.

``helm template`` answers differently on every run for random functions, and differently from a cluster for ``lookup``. Two
renders that are compared find random values but not times, and double the cost of every chart that only mentions such a function
(measured: kyverno 0.7 s each). So the functions are replaced before rendering by ones that give the same recognisable text
every time; what carries that text in the output is what a cluster would get something else for.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.model import Pointer

#: Stands in rendered objects for what random functions would give.
FROZEN: Final = "plimsollfrozen"
_FROZEN_UUID: Final = "706c696d-736f-4c6c-8000-66726f7a656e"
_FROZEN_DAY: Final = "2001-01-01"
_FROZEN_ENCODED: Final = tuple(base64.b64encode(b" " * shift + FROZEN.encode())[shift and 4 : -4].decode() for shift in range(3))

_CERTIFICATE: Final = f'dict "Cert" "{FROZEN}" "Key" "{FROZEN}"'
#: Functions of Helm's template language (sprig 3) whose result differs from run to run, with what takes their place and their arguments.
_STAND_INS: Final[Mapping[str, str]] = {
    "randAlphaNum": f'printf "{FROZEN}%v"',
    "randAlpha": f'printf "{FROZEN}%v"',
    "randNumeric": 'printf "2001%v"',
    "randAscii": f'printf "{FROZEN}%v"',
    "randBytes": f'printf "{FROZEN}%v"',
    "randInt": "min",
    "shuffle": "print",
    "uuidv4": f'print "{_FROZEN_UUID}"',
    "genPrivateKey": f'printf "{FROZEN}%v"',
    "genCA": _CERTIFICATE,
    "genCAWithKey": _CERTIFICATE,
    "genSelfSignedCert": _CERTIFICATE,
    "genSelfSignedCertWithKey": _CERTIFICATE,
    "genSignedCert": _CERTIFICATE,
    "genSignedCertWithKey": _CERTIFICATE,
    "htpasswd": f'printf "%v:{FROZEN}%.0s"',
    "bcrypt": f'printf "{FROZEN}%.0s"',
    "encryptAES": f'printf "{FROZEN}%.0s%.0s"',
    "now": f'(toDate "2006-01-02" "{_FROZEN_DAY}")',
}
_CRD: Final = "kind: CustomResourceDefinition"
_LIFTED: Final = "plimsoll-lifted-"
_WORTH_LIFTING: Final = 4_000
_DOCUMENT: Final = re.compile(r"(^---.*\n)", re.MULTILINE)
_SPEC: Final = re.compile(r"^spec:[ \t]*$", re.MULTILINE)
#: The ends of what stands around a document.
_ENDS: Final = re.compile(r"(?:\s*\{\{-?\s*end\s*-?\}\}\s*)*")
_LOWER: Final = re.compile(r"^spec: (plimsoll-lifted-[0-9a-f]{20})$", re.MULTILINE)
_ACTION: Final = re.compile(r"\{\{(?:(?P<comment>-?\s*/\*.*?\*/\s*-?\}\})|(?P<body>(?:\"(?:\\.|[^\"\\\n])*\"|`[^`]*`|[^\"`}]++|\}(?!\}))*)\}\})", re.DOTALL)
_STRING: Final = re.compile(r"\"(?:\\.|[^\"\\\n])*\"|`[^`]*`")
_DEFINE: Final = re.compile(r"^-?\s*define\s+\"([^\"]+)\"", re.MULTILINE)
_INCLUDE: Final = re.compile(r"\b(?:include|template)\s+\"([^\"]+)\"")
_HAS_LITERAL: Final = re.compile(r"\.Capabilities\.APIVersions\.Has\s+\"([^\"]+)\"")
_API_VERSIONS: Final = re.compile(r"\bAPIVersions\b")
_RANDOM: Final = re.compile(r"(?<![.$\w-])(" + "|".join(_STAND_INS) + r")(?![\w-])")
_LOOKUP: Final = re.compile(r"(?<![.$\w-])lookup(?![\w.-])")


def code_of(text: str) -> str:
    """What a template executes: the insides of its actions, one below the other, without comments."""
    return "\n".join(match["body"] for match in _ACTION.finditer(text) if match["body"]) if "{{" in text else ""


def asked_versions(codes: Mapping[str, str]) -> frozenset[str] | None:
    """The texts that templates ask ``.Capabilities.APIVersions.Has`` for; None when one of them asks with a variable or looks at the whole set.

    ``codes`` here and below: what templates execute (:func:`code_of`) by their paths.
    """
    asked: set[str] = set()
    for code in codes.values():
        if "APIVersions" not in code:
            continue
        literals = _HAS_LITERAL.findall(code)
        asked.update(literals)
        if len(_API_VERSIONS.findall(_STRING.sub('""', code))) != len(literals):
            return None
    return frozenset(asked)


def reaching_random(codes: Mapping[str, str]) -> frozenset[str]:
    """The paths of the templates that can reach a random or time function, themselves or through what they include."""
    return _reaching(codes, _RANDOM)


def reaching_lookup(codes: Mapping[str, str]) -> frozenset[str]:
    """The paths of the templates that can reach ``lookup``."""
    return _reaching(codes, _LOOKUP)


def _reaching(codes: Mapping[str, str], function: re.Pattern[str]) -> frozenset[str]:
    direct = {path for path, code in codes.items() if function.search(code) and function.search(_STRING.sub('""', code))}
    if not direct:
        return frozenset()
    # A unit is a define or the part of a file before the first; a define runs up to the next one.
    units: dict[tuple[str, str], tuple[bool, frozenset[str]]] = {}
    for path, code in codes.items():
        starts = [(match.start(), match[1]) for match in _DEFINE.finditer(code)]
        for (start, name), end in zip([(0, ""), *starts], [*(at for at, _ in starts), len(code)], strict=True):
            part = code[start:end]
            units[path, name] = path in direct and bool(function.search(_STRING.sub('""', part))), frozenset(_INCLUDE.findall(part))
    tainted = {unit for unit, (found, _) in units.items() if found}
    names = {name for _, name in tainted if name}
    size = -1
    while size != len(tainted):
        size = len(tainted)
        tainted |= {unit for unit, (_, includes) in units.items() if includes & names}
        names = {name for _, name in tainted if name}
    return frozenset(path for path, name in tainted if not name or not path.rpartition("/")[2].startswith("_"))


def freeze(text: str) -> str:
    """A template in which random and time functions give the same text every time. Line numbers stay."""

    def in_action(match: re.Match[str]) -> str:
        body = match["body"]
        if not body or not _RANDOM.search(body):
            return match[0]
        parts: list[str] = []
        position = 0
        for string in _STRING.finditer(body):
            parts += [_RANDOM.sub(_stand_in, body[position : string.start()]), string[0]]
            position = string.end()
        parts.append(_RANDOM.sub(_stand_in, body[position:]))
        return "{{" + "".join(parts) + "}}"

    return _ACTION.sub(in_action, text) if _RANDOM.search(text) else text


def _stand_in(match: re.Match[str]) -> str:
    return _STAND_INS[match[1]]


def lift(text: str) -> tuple[str, dict[str, str]]:
    """A template whose CRDs have a short text in place of their ``spec``, and what belongs in its place (see :func:`lower`).

    Helm parses everything that it renders. CRDs that stand in templates are nine tenths of that and come out as they went in, so that
    taking their specs past helm makes it five times as fast (measured: kyverno 0.75 s, and 0.15 s without).
    Only a ``spec`` in which nothing is templated, up to the end of its document, is taken out.
    """
    blocks: dict[str, str] = {}
    if _CRD not in text or len(text) < _WORTH_LIFTING:
        return text, blocks

    parts = _DOCUMENT.split(text)
    for index, part in enumerate(parts):
        start = _SPEC.search(part) if _CRD in part else None
        if start is None:
            continue
        action = part.find("{{", start.start())
        end = len(part) if action < 0 else action
        block = part[start.start() : end].rstrip()
        if len(block) >= _WORTH_LIFTING and _ENDS.fullmatch(part, end):
            name = _LIFTED + hashlib.sha256(block.encode()).hexdigest()[:20]
            blocks[name] = block
            parts[index] = f"{part[: start.start()]}spec: {name}{part[start.start() + len(block) :]}"
    return "".join(parts), blocks


def lower(text: str, blocks: Mapping[str, str]) -> str:
    """A rendered document with what :func:`lift` took out back in its place."""
    return _LOWER.sub(lambda match: blocks.get(match[1], match[0]), text) if _LIFTED in text else text


def is_frozen(value: str) -> bool:
    """Whether a rendered text carries what a frozen function gave, also inside base64."""
    return FROZEN in value or _FROZEN_UUID in value or value.startswith(_FROZEN_DAY) or any(code in value for code in _FROZEN_ENCODED)


def may_be_frozen(text: str) -> bool:
    """Whether the output of a render can hold what frozen functions gave at all."""
    return any(mark in text for mark in (FROZEN, _FROZEN_UUID, _FROZEN_DAY, *_FROZEN_ENCODED))


def frozen_pointers(body: Any, pointer: Pointer = ()) -> Iterator[Pointer]:
    """Where a rendered object carries what a frozen function gave."""
    if isinstance(body, str):
        if is_frozen(body):
            yield pointer
    elif isinstance(body, dict):
        for key, value in body.items():
            yield from frozen_pointers(value, (*pointer, key))
    elif isinstance(body, list):
        for index, value in enumerate(body):
            yield from frozen_pointers(value, (*pointer, index))
