"""Loki's configuration held against itself, and against what ships to it.

Source: Loki 3.7's documentation (configuration reference, retention, structured metadata) and ``pkg/loki/config_wrapper.go``, ``pkg/validation/limits.go``
for what it refuses to start with; its defaults are filled in where they matter.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.model import Pointer

_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w|y)")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
_SIZE: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(I?)B?\s*", re.IGNORECASE)
DAY: Final = 86400.0
#: Defaults of ``limits_config`` (Loki 3.7).
_LABELS, _RATE, _BURST, _STREAM_RATE, _STREAM_BURST = 15, 4.0, 6.0, "3MB", "15MB"
_OLDEST: Final = 7 * DAY


class Disagreement(NamedTuple):
    """One thing that does not go with another. ``at`` points into the configuration."""

    at: Pointer
    found: str
    expect: str


def is_loki(body: Mapping[str, Any]) -> bool:
    """Whether a configuration is one of Loki's."""
    return isinstance(body.get("schema_config"), dict) and any(key in body for key in ("limits_config", "common", "storage_config"))


def seconds(value: object) -> float | None:
    """A duration of Prometheus' kind (``720h``, ``30d``, ``1h30m``) in seconds; None for what is none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if value == 0 else None
    given = text(value).strip()
    parts = _PART.findall(given)
    if given in ("0", "0s"):
        return 0.0
    if not parts or "".join(number + unit for number, unit in parts) != given:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def size(value: object) -> float | None:
    """A size (``3MB``, ``256KB``, a number of bytes) in bytes, with thousands of 1024 as Loki's flagext has them; None for what is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    match = _SIZE.fullmatch(text(value))
    return float(match[1]) * 1024.0 ** "_KMGT".index(match[2].upper() or "_") if match else None


def disagreements(body: Mapping[str, Any]) -> Iterator[Disagreement]:
    """What in a configuration contradicts itself, or does not do what it says."""
    limits, compactor = mapping(body.get("limits_config")), mapping(body.get("compactor"))
    yield from _retention(limits, compactor)
    yield from _schema(body, limits)
    rate, burst = _number(limits.get("ingestion_rate_mb"), _RATE), _number(limits.get("ingestion_burst_size_mb"), _BURST)
    if burst < rate:
        yield Disagreement(
            ("limits_config", "ingestion_burst_size_mb"), f"a burst of {burst:g} MB at a rate of {rate:g} MB", "a burst that is not below the rate"
        )
    stream = size(limits.get("per_stream_rate_limit", _STREAM_RATE)), size(limits.get("per_stream_rate_limit_burst", _STREAM_BURST))
    if stream[0] is not None and stream[1] is not None and stream[1] < stream[0]:
        yield Disagreement(("limits_config", "per_stream_rate_limit_burst"), "a stream's burst below its rate", "a burst that is not below the rate")


def _retention(limits: Mapping[str, Any], compactor: Mapping[str, Any]) -> Iterator[Disagreement]:
    kept = seconds(limits.get("retention_period")) if "retention_period" in limits else 0.0
    if kept is None:
        yield Disagreement(("limits_config", "retention_period"), f"retention_period: {limits['retention_period']}", "a duration")
        return
    streams = [entry for entry in items(limits.get("retention_stream")) if isinstance(entry, dict)]
    if (kept or streams) and compactor.get("retention_enabled") is not True:
        at = ("limits_config", "retention_period" if kept else "retention_stream")
        yield Disagreement(at, "a retention, and compactor.retention_enabled is not true", "compactor.retention_enabled: true: without it nothing is deleted")
    if compactor.get("retention_enabled") is True:
        if not kept and not streams:
            yield Disagreement(
                ("compactor", "retention_enabled"), "retention is enabled, and no retention_period says for how long", "limits_config.retention_period"
            )
        if not compactor.get("delete_request_store"):
            yield Disagreement(("compactor",), "retention without delete_request_store", "the object store for delete requests: Loki does not start without it")
    if 0 < kept < DAY:
        yield Disagreement(("limits_config", "retention_period"), f"retention_period: {limits['retention_period']}", "24h or more: Loki refuses less")
    if limits.get("reject_old_samples", True) is not False:
        oldest = seconds(limits.get("reject_old_samples_max_age")) if "reject_old_samples_max_age" in limits else _OLDEST
        if kept and oldest is not None and oldest > kept:
            found = f"entries up to {limits.get('reject_old_samples_max_age', '1w')} old are taken, and kept for {limits['retention_period']}"
            yield Disagreement(("limits_config", "reject_old_samples_max_age"), found, "no older than the retention: what is taken is deleted at once")


def _schema(body: Mapping[str, Any], limits: Mapping[str, Any]) -> Iterator[Disagreement]:
    periods = [entry if isinstance(entry, dict) else {} for entry in items(mapping(body.get("schema_config")).get("configs"))]
    if not periods:
        yield Disagreement(("schema_config",), "no period", "a schema")
        return
    starts = [str(period.get("from", "")) for period in periods]
    for index, (before, after) in enumerate(itertools.pairwise(starts), start=1):
        if after <= before:
            yield Disagreement(("schema_config", "configs", index, "from"), f"{after} comes after {before}", "periods in the order of their dates")
    for index, period in enumerate(periods):
        if period.get("store") in ("tsdb", "boltdb-shipper") and text(mapping(period.get("index")).get("period")) not in ("24h", "24h0m0s", "1d"):
            found = f"index.period: {mapping(period.get('index')).get('period', '168h')}"
            yield Disagreement(("schema_config", "configs", index, "index"), found, "24h: this store has no other")
    last = periods[-1]
    if limits.get("allow_structured_metadata", True) is not False and (last.get("store") != "tsdb" or not _at_least(text(last.get("schema")), 13)):
        found = f"structured metadata with store {last.get('store')} and schema {last.get('schema')}"
        yield Disagreement(
            ("schema_config", "configs", len(periods) - 1), found, "tsdb and v13, or limits_config.allow_structured_metadata: false: Loki does not start"
        )


def shipping(body: Mapping[str, Any], *, labels: int, batch: int, metadata: bool, tenant: bool) -> Iterator[Disagreement]:
    """What of a shipper does not go with a configuration: most labels of a stream, bytes of a batch, use of structured metadata, tenant header sent."""
    limits = mapping(body.get("limits_config"))
    most = limits.get("max_label_names_per_series", _LABELS)
    if isinstance(most, int) and labels > most:
        yield Disagreement(("limits_config", "max_label_names_per_series"), f"at most {most} labels, and the shipper sends {labels}", f"{labels} or more")
    burst = _number(limits.get("ingestion_burst_size_mb"), _BURST) * 1024**2
    if batch > burst:
        found = f"a burst of {burst / 1024**2:g} MB, and the shipper sends batches of {batch / 1024**2:.1f} MB"
        yield Disagreement(("limits_config", "ingestion_burst_size_mb"), found, "a batch's size or more: larger ones are refused for ever")
    if metadata and limits.get("allow_structured_metadata") is False:
        yield Disagreement(("limits_config", "allow_structured_metadata"), "the shipper sends structured metadata, which is refused", "true")
    if body.get("auth_enabled", True) is not False and not tenant:
        yield Disagreement(("auth_enabled",), "tenants are told apart, and the shipper names none", "auth_enabled: false, or a tenant_id for every client")


def _number(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default


def _at_least(schema: str, number: int) -> bool:
    return schema.startswith("v") and schema[1:].isdigit() and int(schema[1:]) >= number
