"""What the rules about pods, images and lifecycles say they could not look at."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from harness.flux.plain import plain_world
from harness.rules import lif_register, sec_podsecurity, sec_supply_images

if TYPE_CHECKING:
    from pathlib import Path

    from harness.flux.world import World

POD = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n  namespace: web\nspec:\n  hostNetwork: {host}\n  containers:\n    - name: a\n      image: {image}\n"
ROLLOUT = "---\napiVersion: example.com/v1\nkind: Rollout\nmetadata:\n  name: web\n  namespace: web\nspec:\n  template:\n    spec:\n      containers: []\n"
REGISTER = (
    'checked: "2026-11-01"\ncomponents:\n  - component: Ship\n    images: [x/ship]\n    policy: none stated\n    source: https://ship.example.com\n'
    '    cycles: [{cycle: "1", ends: false}]\n'
)


def world(tmp_path: Path, **files: str) -> World:
    for name, text in files.items():
        target = tmp_path / f"{name.replace('__', '/')}.yaml"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return plain_world([tmp_path], today=date(2026, 11, 23))


def test_pods_that_could_not_be_judged(tmp_path: Path) -> None:
    found = sec_podsecurity.not_evaluated(world(tmp_path, a=POD.format(host="maybe", image="web:1.0.0") + ROLLOUT))
    assert [(entry.subject, entry.why) for entry in found] == [
        ("manifests/Pod/web/web", "spec.hostNetwork is not true or false"),
        ("manifests/Rollout/web/web", "a pod template of a kind that only its operator knows"),
    ]


def test_pods_of_namespaces_that_are_not_at_hand(tmp_path: Path) -> None:
    (entry,) = sec_podsecurity.not_evaluated(world(tmp_path, a=POD.format(host="true", image="web:1.0.0")))
    assert entry.why == "no Namespace web is applied here, so its labels are unknown"


def test_a_repository_that_says_nothing_of_publishers_and_lifecycles(tmp_path: Path) -> None:
    found = world(tmp_path, a=POD.format(host="true", image="web:1.0.0"))
    assert [entry.why for entry in sec_supply_images.not_evaluated(found)] == ["there is no usable tests/intent/supply-chain.yaml"]
    assert [entry.why for entry in lif_register.not_evaluated(found)] == ["there is no usable tests/intent/lifecycle.yaml"]


def test_versions_that_cannot_be_read(tmp_path: Path) -> None:
    found = lif_register.not_evaluated(world(tmp_path, a=POD.format(host="true", image="x/ship:main"), tests__intent__lifecycle=REGISTER))
    assert [(entry.what, entry.why) for entry in found] == [("the lifecycle of image x/ship:main", "main is no version")]
