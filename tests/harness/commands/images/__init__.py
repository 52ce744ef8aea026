"""Ask which images a cluster pulls, or any manifests would.

python -m harness images list --cluster production                     every image, and who uses it
python -m harness images list --manifests app/ --format json
python -m harness images list --cluster production --format cyclonedx  a bill of materials of containers
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.commands.images import listing

if TYPE_CHECKING:
    from harness.commands import Command

HELP = "which images are used, and by what"
COMMANDS: dict[str, Command] = {"list": listing}
