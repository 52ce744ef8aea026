"""Install Flux from the manifests that the repository pins, and apply the root of the cluster's sync. From then on Flux does the rest.

python -m harness bootstrap flux --cluster production --context production --pull
python -m harness bootstrap flux --cluster production --context production --manifests flux-v2.9.4.yaml

The manifests come from the folder of charts (flux-TAG.yaml), from --manifests, or with --pull from Flux's release; they must be of the pinned
version and what the lock has proven. A Flux that looks after itself is left alone. Where the sync's source names a pull secret, the
registry's credentials are asked for, or given by a file.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands.bootstrap.common import (
    add_context,
    add_dry_run,
    confirm,
    ended,
    folder_of,
    kubectl_of,
    progress,
    prompted,
    telling,
)
from harness.commands.common import CommandError, out
from harness.live.bootstrap.flux import (
    RELEASE,
    check_manifests,
    controllers,
    docker_config,
    documents,
    ensure_flux,
    ensure_sync,
    looks_after_itself,
    pull_secret,
    registry_of,
    sync_objects,
)

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace

HELP = "install Flux, and apply the root of the sync"
_SECONDS = 60


def arguments(parser: argparse.ArgumentParser) -> None:
    add_context(parser)
    add_dry_run(parser)
    parser.add_argument("--manifests", type=Path, metavar="FILE", help="Flux's manifests (default: from the folder of charts, or with --pull from its release)")
    parser.add_argument("--again", action="store_true", help="lay the manifests over a Flux that is there but no longer runs")
    parser.add_argument("--yes", action="store_true", help="do not ask before --again")
    parser.add_argument("--registry-user", metavar="NAME", help="user of the registry; the password is asked for")
    parser.add_argument("--registry-credentials", type=Path, metavar="FILE", help="a docker config.json with the registry's credentials")
    parser.add_argument(
        "--timeout", type=float, default=300, metavar="SECONDS", help="how long to wait for the controllers, and for the first sync (default: 300)"
    )


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    root, folder = folder_of(workspace, options)
    sync = folder / "flux-system"
    with telling() as journal:
        kubectl = kubectl_of(workspace, options)
        url, tag = pinned(workspace)
        _root, source = sync_objects(kubectl, sync)
        if options.dry_run:
            here = controllers(kubectl)
            out(f"Flux: {'looks after itself' if looks_after_itself(here) else f'{len(here)} controllers there'}; pinned: {url} {tag}")
            out(f"sync root: {sync}: {source['kind']} {source['spec'].get('url', '')}, pull secret {pull_secret(source) or 'none'}")
            return 0
        bodies = documents(_manifests(workspace, options, url, tag), "Flux's manifests")
        check_manifests(bodies, tag, _locked(workspace, tag))
        if options.again:
            confirm(options, f"Flux's manifests will be laid over what runs on {root.name}, without the repository's patches until Flux puts them back")
        credentials = _credentials(options, source)
        ensure_flux(kubectl, bodies, journal, again=options.again, timeout=options.timeout)
        revision = ensure_sync(kubectl, sync, journal, credentials=credentials, timeout=options.timeout, progress=progress())
        out(f"Flux has built {root.path} at {revision}")
        return ended(journal)


def pinned(workspace: Workspace) -> tuple[str, str]:
    """Address and tag of Flux's own manifests, as the repository has them. Raises CommandError."""
    for path in workspace.repository.files("clusters"):
        if path.endswith("ocirepository.yaml"):
            for document in workspace.repository.documents(path):
                spec = document.body.get("spec") if isinstance(document.body, dict) else None
                url = str(spec.get("url", "")) if isinstance(spec, dict) else ""
                if isinstance(spec, dict) and url.endswith("/flux-manifests"):
                    return url, str((spec.get("ref") or {}).get("tag", ""))
    raise CommandError("the repository pins no Flux: there is no OCIRepository of flux-manifests")


def _manifests(workspace: Workspace, options: argparse.Namespace, url: str, tag: str) -> str:
    if options.manifests is not None:
        try:
            return str(options.manifests.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{options.manifests} cannot be read: {error}") from error
    if texts := workspace.charts.artifact(url, tag):
        return "\n---\n".join(texts)
    if not options.pull:
        raise CommandError(f"Flux {tag} is not at hand: give --manifests FILE, --charts DIR with flux-{tag}.yaml, or --pull")
    try:
        with urllib.request.urlopen(RELEASE.format(tag=tag), timeout=_SECONDS) as answer:  # noqa: S310 - a constant address
            return str(answer.read().decode("utf-8"))
    except (urllib.error.URLError, OSError) as error:
        raise CommandError(f"{RELEASE.format(tag=tag)}: {error}") from error


def _locked(workspace: Workspace, tag: str) -> list[dict[str, Any]] | None:
    """The reduced objects of the lock; None where there is none for this version."""
    path = workspace.root / "tests" / "lock" / "artifacts" / f"flux-manifests-{tag}.json"
    if not path.is_file():
        return None
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["documents"]
    return found


def _credentials(options: argparse.Namespace, source: dict[str, Any]) -> bytes | None:
    if options.registry_credentials is not None:
        try:
            data = bytes(options.registry_credentials.read_bytes())
            if not isinstance(json.loads(data).get("auths"), dict):
                raise ValueError("auths")
        except OSError as error:
            raise CommandError(f"{options.registry_credentials}: {error.strerror}") from error
        except (ValueError, AttributeError):
            raise CommandError(f"{options.registry_credentials} is no docker config.json with auths") from None
        return data
    if options.registry_user:
        registry = registry_of(source)
        return docker_config(registry, options.registry_user, prompted(f"Password of {options.registry_user} at {registry}"))
    return None
