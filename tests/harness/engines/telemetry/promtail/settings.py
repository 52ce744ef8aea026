"""A stage's configuration, read strictly: Promtail refuses fields it does not know, and types that do not fit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from harness.engines.telemetry.promtail.selector import SelectorError, pattern
from harness.model.shapes import mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)", re.ASCII)


class SettingsError(ValueError):
    """A configuration that Promtail refuses. ``at`` points into it."""

    def __init__(self, message: str, *at: str | int) -> None:
        super().__init__(message)
        self.at = at


class UnsupportedError(SettingsError):
    """A configuration that Promtail accepts, and that cannot be evaluated here."""


class Settings:
    """The configuration of the stage ``name``."""

    def __init__(self, name: str, config: Any) -> None:
        self.name = name
        self.config = config

    @property
    def body(self) -> Mapping[str, Any]:
        """The configuration as a mapping; nothing counts as an empty one. Raises SettingsError for anything else."""
        if self.config is not None and not isinstance(self.config, dict):
            raise SettingsError(f"the configuration of {self.name} is no mapping")
        return mapping(self.config)

    def only(self, *known: str) -> None:
        """Raises SettingsError for a field that the stage does not have."""
        for key in self.body:
            if key not in known:
                raise SettingsError(f"{self.name} has no field {key}", str(key))

    def text(self, key: str, default: str = "") -> str:
        value = self.body.get(key)
        if value is None:
            return default
        if isinstance(value, dict | list):
            raise SettingsError(f"{key} is no text", key)
        return ("true" if value else "false") if isinstance(value, bool) else str(value)

    def number(self, key: str, default: float) -> float:
        value = self.body.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SettingsError(f"{key}: {value!r} is no number", key)
        return value

    def flag(self, key: str) -> bool:
        value = self.body.get(key, False)
        if not isinstance(value, bool):
            raise SettingsError(f"{key}: {value!r} is neither true nor false", key)
        return value

    def words(self, key: str | None = None) -> list[str]:
        """A list of texts: the field, or the whole configuration."""
        value = self.body.get(key) if key is not None else self.config
        where = (key,) if key is not None else ()
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise SettingsError(f"{key or self.name} is no list of texts", *where)
        return value

    def sources(self, key: str | None = None) -> dict[str, str]:
        """Names with what they are taken from, which is the name itself where nothing is said."""
        value = self.body if key is None else self.body.get(key)
        where = (key,) if key is not None else ()
        if not isinstance(value, dict) or not value:
            raise SettingsError(f"{key or self.name} names nothing", *where)
        for name, source in value.items():
            if isinstance(source, dict | list):
                raise SettingsError(f"{name} is no text", *where, name)
        return {str(name): str(source) if source not in (None, "") else str(name) for name, source in value.items()}

    def regex(self, key: str, *, needed: bool = True) -> re.Pattern[str] | None:
        """A pattern. Raises SettingsError when it is missing or none, UnsupportedError when it cannot be run in bounded time."""
        value = self.text(key)
        if not value:
            if needed:
                raise SettingsError(f"{self.name} needs {key}")
            return None
        try:
            return pattern(value)
        except SelectorError as error:
            raise (UnsupportedError if str(error).startswith("not evaluated") else SettingsError)(str(error), key) from error

    def duration(self, key: str) -> float | None:
        """Seconds of a Go duration, or None."""
        value = self.text(key)
        if not value:
            return None
        parts = _DURATION.findall(value)
        if not parts or "".join(number + unit for number, unit in parts) != value:
            raise SettingsError(f"{key}: {value!r} is no duration", key)
        units = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
        return sum(float(number) * units[unit] for number, unit in parts)
