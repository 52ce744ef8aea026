"""Credentials that tell themselves by their name, or by looking like nothing a person would write.

A name says that its value is secret when its last words do (``adminPassword``, ``DB_PASSWORD``, ``api-key``), and not when it only names where the
secret is (``passwordKey``, ``tokenFile``, ``secretName``). Under ``password`` every literal counts; under ``secret``, ``token`` and the keys a value
counts only when it looks made by a machine, because Kubernetes calls references so too.
"""

from __future__ import annotations

import math
import re
from enum import Enum
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.engines.secrets.shapes import is_allowed, is_literal_password, shapes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.model import Pointer


class Name(Enum):
    """What a name says of its value."""

    PASSWORD = "password"  # noqa: S105 - a word
    SECRET = "secret"  # noqa: S105 - a word
    OTHER = "other"


class Literal(NamedTuple):
    """A literal value that is secret: where it stands, under which name, and how it was told."""

    pointer: Pointer
    name: str
    what: str


_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_PASSWORDS: Final = frozenset({"password", "passwd", "passphrase", "pwd", "passcode", "pass"})
_SECRETS: Final = frozenset({"secret", "token", "apikey", "secretkey", "accesskey", "privatekey", "credential", "credentials", "clientsecret", "authtoken"})
#: Words before ``key`` that make it a secret one.
_KEYS: Final = frozenset(
    (
        "api",
        "secret",
        "access",
        "private",
        "encryption",
        "signing",
        "auth",
        "master",
        "account",
        "shared",
        "hmac",
        "session",
        "integration",
        "service",
        "routing",
        "app",
        "application",
        "storage",
    )
)
_PLAIN: Final = re.compile(r"(?i)true|false|yes|no|on|off|none|null|nil|default|optional|required|disabled|enabled|auto|generated?|random|unset|n/?a")
#: Values that name where the secret is: a variable, a template, a reference that a tool resolves, a path, an encrypted or masked value.
_REFERENCE: Final = re.compile(
    r"""\s*(?:\$|\{\{|<|%\(|@|&|ENC\[|(?:[\w+.-]+:)?//|(?:op|ref\+\w+|vault|ssm|arn|gs|s3|file|env|secret|secretref|awssm|gcpsm|azurekv|k8s|bao)[:+]|projects/[^/]+/secrets/"""
    r"""|/[\w.-]+/|\.{0,2}/|~/|\?\*|\*+\s*$|sha(?:1|256|384|512)[:-]|AgA[A-Za-z0-9+/]{300})"""
)
_HEX: Final = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_UUID: Final = re.compile(r"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9+/_=.~!@#^&*-]+")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{28,512}={0,2}")


@lru_cache(maxsize=4096)
def kind_of(name: str) -> Name:
    """What a key, variable or flag says of its value."""
    words = [word.lower() for word in _WORD.findall(name)]
    while len(words) > 1 and words[-1].isdigit():
        words.pop()
    if not words:
        return Name.OTHER
    if words[-1] in _PASSWORDS:
        return Name.PASSWORD
    if words[-1] in _SECRETS or (len(words) > 1 and words[-1] == "key" and words[-2] in _KEYS):
        return Name.SECRET
    return Name.OTHER


def entropy(text: str) -> float:
    """Shannon's entropy in bits a character; 0 for the empty text."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in map(text.count, set(text)))


def looks_made(value: str) -> bool:
    """Whether a text under a secret's name looks made by a machine: long enough, letters and digits mixed, no words with dashes between."""
    if len(value) < 10 or not _TOKEN.fullmatch(value) or value.count("/") > len(value) // 8 + 1:
        return False
    digits, letters = sum(char.isdigit() for char in value), sum(char.isalpha() for char in value)
    if not letters or digits < 2:
        return False
    if _UUID.fullmatch(value):
        return True
    if _HEX.fullmatch(value):
        return len(value) >= 16 and entropy(value) >= 2.8
    pieces = re.split(r"[-_./]", value)
    if value == value.lower() and len(pieces) > 1 and all(len(piece) <= 12 for piece in pieces):
        return False  # the name of an object, with a number in it
    return entropy(value) >= 3.1 and _changes(value) >= 0.2


def looks_random(value: str) -> bool:
    """Whether a text looks random whatever it is called: base64 of 21 bytes or more, with all three kinds of characters thoroughly mixed."""
    if not 28 <= len(value) <= 512 or not _BASE64.fullmatch(value):
        return False
    digits, upper, lower = (sum(test(char) for char in value) for test in (str.isdigit, str.isupper, str.islower))
    return min(digits, upper, lower) >= 3 and entropy(value) >= 4.2 and _changes(value) >= 0.42


def _changes(value: str) -> float:
    """The share of neighbours that are of different kinds (digit, upper, lower, other): about 0.6 in base64, 0.1 in words."""
    kinds = [0 if char.isdigit() else 1 if char.isupper() else 2 if char.islower() else 3 for char in value]
    return sum(one != other for one, other in pairwise(kinds)) / max(1, len(value) - 1)


def is_secret(name: str, value: object) -> bool:
    """Whether a literal value under a name is a credential. Numbers count under a password's name, truth values never."""
    kind = kind_of(name)
    if kind is Name.OTHER or isinstance(value, bool) or value is None or not isinstance(value, str | int):
        return False
    literal = str(value).strip()
    if not literal or "\n" in literal or " " in literal or _PLAIN.fullmatch(literal) or _REFERENCE.match(literal) or "${" in literal or "{{" in literal:
        return False
    if any(True for _ in shapes(literal)):
        return False  # told by its shape
    if kind is Name.PASSWORD:
        # A bare word after the name may be the name of a key: `password: password` maps one to the other.
        return is_literal_password(literal) and kind_of(literal) is Name.OTHER
    return isinstance(value, str) and looks_made(literal)


#: Keys under which nothing is looked at: ciphertext, digests, public certificates, schemas, prose.
_PASSED: Final = re.compile(
    r"(?i)encryptedData|caBundle|ca|sops|.*(?:certificate|cert|\.crt|\.pem|\.pub|publickey|public[-_]key|digest|checksum|hash|sha\d*|fingerprint|thumbprint|integrity|signature|known[-_]?hosts|uid|revision|sealed)"
    r"|openAPIV3Schema|description|summary|message|title|documentation"
)
_PAIRS: Final = (("name", "value"), ("key", "value"))
_LINE: Final = re.compile(
    r"""(?:^|[\s,{("'-])(?P<name>[A-Za-z_][A-Za-z0-9_.-]{1,60})\\?["']?[ \t]*(?:=>|:=|[:=](?![=:]))[ \t]*"""
    r"""(?:\\?"(?P<double>[^"\n]*?)\\?"|'(?P<single>[^'\n]*)'|(?P<bare>[^\s"',;|&<>]+))"""
)
_WORTH: Final = re.compile(r"(?i)pass|secret|token|pwd|credential|key")
#: What a bare word in code is besides a literal: a call, an index, an attribute.
_CODE: Final = re.compile(r"[()\[\]{}$`\\]|^[A-Za-z_]+(?:\.[A-Za-z_]+)+$|^[A-Z_]+$")


def literals(value: Any, at: Pointer = (), skip: Mapping[Pointer, object] | None = None) -> Iterator[Literal]:
    """The literal credentials of data of any shape: by their key, in pairs of ``name`` and ``value``, and line by line in longer texts.

    ``skip`` are pointers that somebody else looks at.
    """
    if isinstance(value, dict):
        for name_key, value_key in _PAIRS:
            name = value.get(name_key)
            if isinstance(name, str) and value_key in value and is_secret(name, value[value_key]):
                yield Literal((*at, value_key), name, "a literal value")
        for key, inner in value.items():
            here = (*at, key)
            if (skip is not None and here in skip) or (isinstance(key, str) and _PASSED.fullmatch(key)):
                continue
            if isinstance(inner, dict | list):
                yield from literals(inner, here, skip)
            elif isinstance(key, str) and is_secret(key, inner):
                yield Literal(here, key, "a literal value")
            elif isinstance(inner, str):
                yield from _of_text(inner, here)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            if isinstance(inner, dict | list):
                yield from literals(inner, (*at, index), skip)
            elif isinstance(inner, str):
                yield from _of_text(inner, (*at, index))


def _of_text(text: str, at: Pointer) -> Iterator[Literal]:
    if "\n" in text or "=" in text:
        for _offset, name, what in assignments(text):
            yield Literal(at, name, what)


def assignments(text: str) -> Iterator[tuple[int, str, str]]:
    """The literal credentials that a text assigns (``NAME=value``, ``name: value``, ``"name": "value"``, ``--name=value``): offset, name, and how told."""
    if not _WORTH.search(text):
        return
    for match in _LINE.finditer(text):
        name = match["name"].rsplit(".", 1)[-1]
        if kind_of(name) is Name.OTHER:
            continue
        bare = match["bare"]
        value = match["double"] if match["double"] is not None else match["single"] if match["single"] is not None else bare
        if bare is not None and (_CODE.search(bare) or kind_of(bare) is not Name.OTHER):
            continue
        if is_secret(name, value) and not is_allowed(text, match.start("name")) and not _is_comment(text, match.start("name")):
            yield match.start("name"), name, "a literal value"


def _is_comment(text: str, offset: int) -> bool:
    line = text[text.rfind("\n", 0, offset) + 1 : offset].lstrip()
    return line.startswith(("#", "//", ";", "<!--"))


def random_values(value: Any, at: Pointer = ()) -> Iterator[Literal]:
    """The texts of data of any shape that look random under a name that says nothing, as tokens and keys do."""
    if isinstance(value, dict):
        name = value.get("name")
        for key, inner in value.items():
            if isinstance(key, str) and _PASSED.fullmatch(key):
                continue
            if isinstance(inner, dict | list):
                yield from random_values(inner, (*at, key))
            elif isinstance(inner, str) and looks_random(inner) and not is_secret(key, inner) and not any(True for _ in shapes(inner)):
                label = name if key == "value" and isinstance(name, str) else str(key)
                if not is_secret(label, inner):
                    yield Literal((*at, key), label, "a random text")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            if isinstance(inner, dict | list):
                yield from random_values(inner, (*at, index))
            elif isinstance(inner, str) and looks_random(inner) and not any(True for _ in shapes(inner)):
                yield Literal((*at, index), str(at[-1]) if at else "", "a random text")
