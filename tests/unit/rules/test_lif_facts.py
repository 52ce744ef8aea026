"""The register of lifecycles is consistent, and its dates decide as its policies say."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import pytest
from harness.flux.semver import parse
from harness.rules.lif import ended, repository
from harness.rules.lif_facts import ANNOTATIONS, FIELDS, FLUX, KUBERNETES, NODE_LABELS, PRODUCTS, PROVISIONERS, RETIRED, VOLUMES

TODAY = date(2026, 11, 23)
PRODUCT = {product.name: product for product in PRODUCTS}


@pytest.mark.parametrize(
    ("product", "version", "reason"),
    [
        ("Prometheus", "v3.13.2", ""),
        ("Prometheus", "v3.14.0", "Prometheus 3.14 ended on 2026-09-30"),
        ("Prometheus", "v3.15.0", ""),
        ("Prometheus", "v2.55.1", "Prometheus 2.55 is older than 3.5, the oldest release line on record"),
        ("Prometheus", "3.6.0", ""),
        ("cert-manager", "v1.20.3", ""),
        ("Kyverno", "v1.17.2", "Kyverno 1.17 is followed by 1.19, and only the newest 2 are supported"),
        ("Vault", "2.1.1@sha256", ""),
        ("Vault", "2.0.4", "Vault 2.0 is followed by 2.1, and only the newest 1 are supported"),
        ("Grafana", "latest", ""),
        ("Grafana", "", ""),
    ],
)
def test_a_release_line_ends_by_date_or_by_what_follows(product: str, version: str, reason: str) -> None:
    assert ended(PRODUCT[product], version, TODAY) == reason


def test_the_day_of_the_end_is_over() -> None:
    assert ended(KUBERNETES, "1.35", date(2027, 2, 27)) == ""
    assert ended(KUBERNETES, "1.35", date(2027, 2, 28)) == "Kubernetes 1.35 ended on 2027-02-28"


@pytest.mark.parametrize("product", [*PRODUCTS, KUBERNETES, FLUX], ids=lambda product: product.name)
def test_release_lines_are_newest_first_and_named_once(product: object) -> None:
    versions = [parse(f"{cycle.version}.0") for cycle in product.cycles]  # type: ignore[attr-defined]
    assert None not in versions
    assert all(later < earlier for earlier, later in pairwise(versions))  # type: ignore[operator]


def test_every_fact_names_its_source_and_what_to_use_instead() -> None:
    gone = [*VOLUMES.values(), *ANNOTATIONS.values(), *NODE_LABELS.values(), *FIELDS.values(), *PROVISIONERS.values()]
    assert all(item.what and item.instead and item.source for item in gone)
    assert all(item.name and item.instead and item.source and (item.charts or item.images or item.kinds) for item in RETIRED)
    assert all(product.source for product in (*PRODUCTS, KUBERNETES, FLUX))


GONE = {**VOLUMES, **ANNOTATIONS, **NODE_LABELS, **PROVISIONERS, **{".".join(pointer): gone for (_, pointer), gone in FIELDS.items()}}


@pytest.mark.parametrize("name", sorted(GONE))
def test_nothing_is_removed_before_it_is_deprecated(name: str) -> None:
    item = GONE[name]
    deprecated, removed = parse(f"{item.deprecated}.0"), parse(f"{item.removed}.0") if item.removed else None
    assert deprecated is not None
    assert removed is None or deprecated < removed


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("docker.io/grafana/loki:3.7.6", "docker.io/grafana/loki"),
        ("grafana/loki", "grafana/loki"),
        ("registry.example.com:5000/loki", "registry.example.com:5000/loki"),
        ("registry.example.com:5000/loki:3.7@sha256:abc", "registry.example.com:5000/loki"),
    ],
)
def test_the_repository_of_an_image(image: str, name: str) -> None:
    assert repository(image) == name
