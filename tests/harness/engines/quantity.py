"""Kubernetes quantities: ``100m``, ``1.5Gi``, ``1e3``.

Source: ``k8s.io/apimachinery/pkg/api/resource`` (``parseQuantityString``, ``suffixer``), v0.34.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

#: What the API server says about a malformed quantity.
FORMAT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"

_PARTS = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)", re.ASCII)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_SUFFIXES: dict[str, Fraction] = {
    **{suffix: Fraction(10) ** power for suffix, power in _DECIMAL.items()},
    **{suffix: Fraction(2) ** power for suffix, power in _BINARY.items()},
}
_EXPONENT = re.compile(r"[eE]([+-]?[0-9]+)", re.ASCII)
_NANO = Fraction(1, 10**9)
_MAX_BINARY = Fraction(2**63 - 1)
#: Digits and exponents beyond this are refused rather than computed, so that a hostile quantity costs no time.
_MAX_LENGTH = 128
_MAX_EXPONENT = 4096


class QuantityError(ValueError):
    """A text that is no quantity; the message is the API server's."""


@lru_cache(maxsize=4096)
def parse_text(text: str) -> Fraction:
    """The value of a quantity, in its base unit (cores, bytes, a plain count), rounded away from zero to 1 nano like the API server does.

    Raises QuantityError.
    """
    match = _PARTS.fullmatch(text) if 0 < len(text) <= _MAX_LENGTH else None
    if match is None:
        raise QuantityError(FORMAT)
    sign, whole, fraction, suffix = match.groups()
    factor = _SUFFIXES.get(suffix)
    if factor is None:
        exponent = _EXPONENT.fullmatch(suffix)
        if exponent is None:
            raise QuantityError("unable to parse quantity's suffix")
        power = int(exponent[1])
        if abs(power) > _MAX_EXPONENT:
            raise QuantityError("unable to parse numeric part of quantity")
        factor = Fraction(10) ** power
    # The API server's scanner reads a missing number as zero: "+", "." and "Ki" are quantities.
    digits = f"{whole}{fraction or ''}"
    value = Fraction(int(digits or "0"), 10 ** len(fraction or "")) * factor
    if value % _NANO:
        value = (value // _NANO + 1) * _NANO
    if suffix.endswith("i"):
        value = min(value, _MAX_BINARY)
    return -value if sign == "-" else value


def parse(value: Any) -> Fraction:
    """The value of a quantity as it stands in JSON: a string or a number. Raises QuantityError."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise QuantityError(FORMAT)
    return parse_text(value if isinstance(value, str) else repr(value))


def parse_or_none(value: Any) -> Fraction | None:
    """Like ``parse``, with None for what is no quantity."""
    try:
        return parse(value)
    except QuantityError:
        return None
