"""Plain YAML scalars, read the way the Kubernetes tools read them.

Source: measured against ``kubectl`` 1.37 (sigs.k8s.io/yaml over its fork of go-yaml v2): booleans are the YAML 1.1 words in any of
their three spellings, numbers may carry ``_`` and the prefixes ``0b 0o 0x 0``, and dates and sexagesimals stay text.
"""

from __future__ import annotations

import re
from typing import Final

#: What plain text stands for in JSON.
Scalar = str | int | float | bool | None

_TRUE_12: Final = ("true", "True", "TRUE")
_FALSE_12: Final = ("false", "False", "FALSE")
_TRUE_11: Final = ("yes", "Yes", "YES", "on", "On", "ON", "y", "Y")
_FALSE_11: Final = ("no", "No", "NO", "off", "Off", "OFF", "n", "N")
_NULL: Final = ("", "~", "null", "Null", "NULL")

_WORDS_12: Final[dict[str, Scalar]] = {**dict.fromkeys(_TRUE_12, True), **dict.fromkeys(_FALSE_12, False), **dict.fromkeys(_NULL)}
_WORDS_11: Final[dict[str, Scalar]] = {**_WORDS_12, **dict.fromkeys(_TRUE_11, True), **dict.fromkeys(_FALSE_11, False)}

_NUMBER_START: Final = frozenset("+-.0123456789")
_INT: Final = re.compile(r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)\Z")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE: Final = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")
_SEXAGESIMAL: Final = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?\Z")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9].*)?\Z")
_BASES: Final = {"0b": 2, "0o": 8, "0x": 16}

#: An integer outside this range is read as a float by the Go tools, and loses digits.
_LEAST: Final = -(2**63)
_MOST: Final = 2**64 - 1

#: Digits of an integer beyond which the exact value does not matter: it is a float of the largest size, or text.
_DIGITS: Final = 400

#: The memo of scalar texts stops growing here.
_MEMO_SIZE: Final = 50_000

_MISSING: Final = object()


def _integer(text: str) -> Scalar:
    digits = text.replace("_", "")
    sign = -1 if digits[0] == "-" else 1
    digits = digits.lstrip("+-")
    base = _BASES.get(digits[:2])
    if base is not None:
        digits = digits[2:]
    else:
        base = 8 if len(digits) > 1 and digits[0] == "0" else 10
    if not digits:
        return text
    if len(digits) > _DIGITS:
        return _real(text)
    value = sign * int(digits, base)
    return value if _LEAST <= value <= _MOST else float(value)


def _real(text: str) -> Scalar:
    value = float(text.replace("_", "")) if _FLOAT.match(text) else float("inf")
    if value in (float("inf"), float("-inf")):
        # strconv.ParseFloat refuses what does not fit, and go-yaml then keeps the text.
        return text
    # On the way through JSON 1e3 and 1.0 become 1000 and 1.
    return int(value) if value.is_integer() and _LEAST <= value <= _MOST else value


def _plain(text: str, words: dict[str, Scalar]) -> Scalar:
    if text in words:
        return words[text]
    if text[0] not in _NUMBER_START:
        return text
    if _INT.match(text):
        return _integer(text)
    if _FLOAT.match(text):
        return _real(text)
    return text


class Reader:
    """Reads plain scalars, remembering what it has read: a cluster's manifests repeat a few thousand texts."""

    __slots__ = ("_memo", "_words")

    def __init__(self, *, yaml_1_1: bool = True) -> None:
        self._words = _WORDS_11 if yaml_1_1 else _WORDS_12
        self._memo: dict[str, Scalar] = dict(self._words)

    def __call__(self, text: str) -> Scalar:
        value = self._memo.get(text, _MISSING)
        if value is not _MISSING:
            return value  # type: ignore[return-value]  # the sentinel is the only other type
        result = _plain(text, self._words)
        if len(self._memo) < _MEMO_SIZE and len(text) < 200:
            self._memo[text] = result
        return result


#: As ``kubectl`` reads: YAML 1.1 words.
KUBECTL: Final = Reader()

#: As GitHub reads workflow files: ``on`` is text.
CORE: Final = Reader(yaml_1_1=False)


def ambiguity(text: str, *, yaml_1_1: bool = True) -> str | None:
    """Why two tools on the way to a cluster would read this plain scalar differently, or None.

    kustomize keeps ``yes`` as text and turns dates into timestamps while ``kubectl`` reads a boolean and text; YAML 1.2
    parsers read ``0644`` as 644.
    """
    if not text:
        return None
    if yaml_1_1 and text in _WORDS_11 and text not in _WORDS_12:
        return f"{text} is the boolean {str(_WORDS_11[text]).lower()} for kubectl and text for kustomize: write true, false or quote it"
    if text[0] not in _NUMBER_START:
        return None
    return _odd_number(text)


def _odd_number(text: str) -> str | None:
    if _NOT_FINITE.match(text):
        return f"{text} has no form in JSON: quote it"
    if _DATE.match(text):
        return f"{text} is text for kubectl and a timestamp for kustomize: quote it"
    if _SEXAGESIMAL.match(text):
        return f"{text} is text for kubectl and a number in base 60 for YAML 1.1: quote it"
    if not (_INT.match(text) or _FLOAT.match(text)):
        return None
    shown = text if len(text) <= 40 else f"{text[:37]}..."
    digits = text.lstrip("+-")
    if "_" in text or digits[:2] in ("0b", "0o"):
        return f"{shown} is the number {KUBECTL(text)} for kubectl and text for YAML 1.2: write the plain number or quote it"
    if len(digits) > 1 and digits[0] == "0" and digits.isdigit():
        value = KUBECTL(text)
        return f"{shown} is the number {value} for kubectl and {digits.lstrip('0') or '0'} for YAML 1.2: write {value} or quote it"
    if len(digits) > 15 and not isinstance(KUBECTL(text), int):
        return f"{shown} loses digits, it does not fit 64 bits: quote it"
    return None
