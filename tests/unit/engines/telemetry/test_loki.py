"""Loki's limits are held against each other, and against what ships to it."""

from __future__ import annotations

import pytest
from harness.engines.telemetry.loki import disagreements, seconds, shipping, size

PERIOD = {"from": "2026-01-01", "store": "tsdb", "schema": "v13", "index": {"period": "24h"}}
GOOD = {
    "auth_enabled": False,
    "compactor": {"retention_enabled": True, "delete_request_store": "s3"},
    "limits_config": {"retention_period": "30d", "reject_old_samples_max_age": "1w"},
    "schema_config": {"configs": [PERIOD]},
}


def _found(**changes: object) -> list[tuple[str, ...]]:
    return [tuple(map(str, wrong.at)) for wrong in disagreements({**GOOD, **changes})]


def test_what_agrees_is_left_alone() -> None:
    assert _found() == []
    assert _found(compactor={}, limits_config={"reject_old_samples_max_age": "1w"}) == []


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"compactor": {}}, ("limits_config", "retention_period")),
        ({"compactor": {"retention_enabled": True}}, ("compactor",)),
        ({"limits_config": {"retention_period": "12h", "reject_old_samples": False}}, ("limits_config", "retention_period")),
        ({"limits_config": {"retention_period": "soon"}}, ("limits_config", "retention_period")),
        ({"limits_config": {"retention_period": "2d"}}, ("limits_config", "reject_old_samples_max_age")),
        ({"limits_config": {"reject_old_samples_max_age": "1d"}}, ("compactor", "retention_enabled")),
        ({"limits_config": {"retention_period": "30d", "per_stream_rate_limit": "20MB"}}, ("limits_config", "per_stream_rate_limit_burst")),
        ({"schema_config": {"configs": [{**PERIOD, "index": {"period": "168h"}}]}}, ("schema_config", "configs", "0", "index")),
        ({"schema_config": {"configs": [PERIOD, {**PERIOD, "from": "2025-01-01"}]}}, ("schema_config", "configs", "1", "from")),
        ({"schema_config": {"configs": [{**PERIOD, "schema": "v12"}]}}, ("schema_config", "configs", "0")),
        ({"schema_config": {}}, ("schema_config",)),
    ],
    ids=lambda value: str(value)[:70],
)
def test_one_disagreement(changes: dict[str, object], at: tuple[str, ...]) -> None:
    assert _found(**changes) == [at]


def test_shippers_within_the_limits() -> None:
    assert list(shipping(GOOD, labels=15, batch=6 * 1024**2, metadata=True, tenant=False)) == []
    body = {"limits_config": {"max_label_names_per_series": 3, "ingestion_burst_size_mb": 1, "allow_structured_metadata": False}}
    places = [wrong.at[-1] for wrong in shipping(body, labels=4, batch=2 * 1024**2, metadata=True, tenant=False)]
    assert places == ["max_label_names_per_series", "ingestion_burst_size_mb", "allow_structured_metadata", "auth_enabled"]


@pytest.mark.parametrize(
    ("given", "expected"), [("1h30m", 5400.0), ("1w", 604800.0), ("30d", 2592000.0), (0, 0.0), ("0s", 0.0), ("x", None), (5, None), ("1h x", None)]
)
def test_durations(given: object, expected: float | None) -> None:
    assert seconds(given) == expected


@pytest.mark.parametrize(("given", "expected"), [("256KB", 262144.0), ("3MB", 3145728.0), (10, 10.0), ("1.5 MiB", 1572864.0), ("big", None)])
def test_sizes(given: object, expected: float | None) -> None:
    assert size(given) == expected
