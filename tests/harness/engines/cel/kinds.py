"""Types for declarations of functions in Python code: ``T.STRING``, ``T.List(T.DYN)``. See functions.py for what they are."""

from __future__ import annotations

from harness.engines.cel.functions import Type, parse_type


class T:
    """The types of CEL."""

    BOOL, INT, UINT, DOUBLE, STRING, BYTES = (parse_type(name) for name in ("bool", "int", "uint", "double", "string", "bytes"))
    NULL, DYN, TIMESTAMP, DURATION, TYPE = (parse_type(name) for name in ("null", "dyn", "timestamp", "duration", "type"))

    @staticmethod
    def List(item: Type) -> Type:  # noqa: N802 - named like a type
        return ("list", (item,))

    @staticmethod
    def Map(key: Type, value: Type) -> Type:  # noqa: N802 - named like a type
        return ("map", (key, value))

    @staticmethod
    def Optional(value: Type) -> Type:  # noqa: N802 - named like a type
        return ("optional", (value,))

    @staticmethod
    def opaque(name: str) -> Type:
        """A type that only functions look into; its values are of a subclass of ``data.Opaque`` with that ``TYPE``."""
        return (name, ())
