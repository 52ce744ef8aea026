"""``images list``: text, JSON and a bill of materials, of plain manifests and of a cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Fleet, Said

POD = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  namespace: web\nspec:\n  containers:\n    - name: main\n      image: {image}\n"
SHA = "sha256:" + "a" * 64


@pytest.fixture
def listed(tmp_path: Path, command: Callable[..., Said]) -> Callable[..., Said]:
    """``images list`` on pods with these images."""

    def run(*images: str, options: tuple[str, ...] = ()) -> Said:
        pods = "---\n".join(POD.format(name=f"p{index}", image=image) for index, image in enumerate(images))
        (tmp_path / "all.yaml").write_text(pods, encoding="utf-8")
        return command("images", "list", "--repo", str(tmp_path), "--manifests", str(tmp_path / "all.yaml"), *options)

    return run


def test_text(listed: Callable[..., Said]) -> None:
    said = listed("nginx", "quay.io/web/app:1.0.0", "docker.io/library/nginx")
    assert said.code == 0
    assert said.out.splitlines() == [
        "docker.io/library/nginx  (has no tag, which means latest)",
        "  manifests/Pod/web/p0 main (container, all.yaml:9)",
        "  manifests/Pod/web/p2 main (container, all.yaml:29)",
        "quay.io/web/app:1.0.0",
        "  manifests/Pod/web/p1 main (container, all.yaml:19)",
        "2 images from 2 registries",
    ]


def test_json(listed: Callable[..., Said]) -> None:
    said = listed(f"nginx:1.31.4@{SHA}", options=("--format", "json"))
    assert json.loads(said.out)["images"] == [
        {
            "image": f"docker.io/library/nginx:1.31.4@{SHA}",
            "registry": "docker.io",
            "repository": "library/nginx",
            "tag": "1.31.4",
            "digest": SHA,
            "moving": "",
            "usedBy": [
                {"object": "manifests/Pod/web/p0", "container": "main", "how": "container", "written": f"nginx:1.31.4@{SHA}", "at": "all.yaml:9", "chart": ""}
            ],
        }
    ]


def test_a_bill_of_materials(listed: Callable[..., Said]) -> None:
    bill = json.loads(listed(f"quay.io/web/app:1.0.0@{SHA}", options=("--format", "cyclonedx")).out)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["components"][0]["purl"] == f"pkg:oci/app@sha256%3A{'a' * 64}?repository_url=quay.io%2Fweb%2Fapp&tag=1.0.0"


def test_what_is_no_image(listed: Callable[..., Said]) -> None:
    said = listed("nginx:1.31.4", "Nginx:1")
    assert said.code == 1
    assert "all.yaml:19: manifests/Pod/web/p1: image 'Nginx:1': the repository library/Nginx must be lower case" in said.err


def test_a_chart_is_named(charted: Fleet) -> None:
    charted.write({"charts/web/templates/pod.yaml": POD.format(name="{{ .Release.Name }}", image="quay.io/web/app:1.0.0").replace("  namespace: web\n", "")})
    said = charted("images", "list")
    assert said.code == 0
    assert "one/Pod/web/web main (container, apps/release.yaml:" in said.out
    assert ", chart web 1.2.3)" in said.out


def test_nothing_to_list(fleet: Fleet) -> None:
    said = fleet("images", "list")
    assert (said.code, said.err) == (2, "error: nothing that was looked at names an image\n")
