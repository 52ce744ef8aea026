"""List every image that the objects of a cluster name, with registry, tag and digest, who uses it, and where that stands in Git.

Images of containers and volumes are what nodes pull. Images in arguments, variables and fields are what operators make pods from.

  python -m harness images list --cluster production
  python -m harness images list --manifests app/ --format json
  python -m harness images list --cluster production --format cyclonedx > bom.json

Exit codes: 0 every image could be read, 1 some text is no image reference, 2 could not look.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from harness.commands.common import CommandError, add_subject, bold, out, subject, warn
from harness.engines.images import Image, Use, by_image, inventory, moving
from harness.flux.kinds import HELM_RELEASE

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace
    from harness.flux.world import World

HELP = "list images with their users and origins"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)
    parser.add_argument("--namespace", metavar="NAME", help="only what objects of this namespace name")
    parser.add_argument("--format", choices=("text", "json", "cyclonedx"), default="text", help="how to print (default: text)")


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    world = subject(workspace, options, every=True)
    uses = [use for use in inventory(world.objects) if options.namespace in (None, use.object.namespace)]
    faults = [use for use in uses if use.image is None]
    images = by_image(uses)
    if not uses:
        raise CommandError("nothing that was looked at names an image")
    for use in faults:
        warn(f"{use.object.locate(*use.at)}: {use.object.id}: image {use.text!r}: {use.fault}")
    if options.format == "json":
        out(json.dumps({"cluster": world.cluster.name, "images": [_as_json(image, found, world) for image, found in images.items()]}, indent=2))
    elif options.format == "cyclonedx":
        out(json.dumps(_bill(images, world), indent=2))
    else:
        for image, found in images.items():
            note = moving(image)
            out(bold(str(image)) + (f"  ({note})" if note else ""))
            for use in found:
                out(f"  {use.object.id} {use.container or use.how} ({use.how}, {use.object.locate(*use.at)}{_from(chart_of(use, world))})")
        out(f"{len(images)} images from {len({image.registry for image in images})} registries")
    return 1 if faults else 0


def chart_of(use: Use, world: World) -> str:
    """The chart that an object comes from, with its version; empty when it comes from none."""
    for link in reversed(use.object.origin.chain):
        if link.kind == HELM_RELEASE.partition(".")[0]:
            rendered = world.releases.get((link.namespace, link.name))
            if rendered is not None and rendered.chart is not None:
                return f"{rendered.chart.name} {rendered.chart.version}"
    return ""


def _from(chart: str) -> str:
    return f", chart {chart}" if chart else ""


def _as_json(image: Image, uses: list[Use], world: World) -> dict[str, Any]:
    return {
        "image": str(image),
        "registry": image.registry,
        "repository": image.path,
        "tag": image.tag,
        "digest": image.digest,
        "moving": moving(image),
        "usedBy": [
            {
                "object": str(use.object.id),
                "container": use.container,
                "how": use.how,
                "written": use.text,
                "at": str(use.object.locate(*use.at)),
                "chart": chart_of(use, world),
            }
            for use in uses
        ],
    }


def _bill(images: dict[Image, list[Use]], world: World) -> dict[str, Any]:
    """A bill of materials of CycloneDX 1.6: one component of type container an image. No time and no serial number, so that equal clusters give equal bills."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "platform", "name": world.cluster.name, "version": world.kubernetes_version}},
        "components": [
            {
                "type": "container",
                "bom-ref": str(image),
                "name": image.repository,
                "version": image.digest or image.tag or "latest",
                "purl": _purl(image),
                "properties": [{"name": "plimsoll:usedBy", "value": f"{use.object.id} at {use.object.locate(*use.at)}"} for use in uses],
            }
            for image, uses in images.items()
        ],
    }


def _purl(image: Image) -> str:
    """``pkg:oci/name@digest?repository_url=…&tag=…`` (package-url: oci)."""
    name = image.path.rpartition("/")[2]
    qualifiers = f"repository_url={quote(image.repository, safe='')}" + (f"&tag={quote(image.tag, safe='')}" if image.tag else "")
    return f"pkg:oci/{name}" + (f"@{quote(image.digest, safe='')}" if image.digest else "") + f"?{qualifiers}"
