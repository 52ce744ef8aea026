"""Print the TLS matrix: every host with its listener, lowest TLS version, redirect, HSTS, Secret, names, and the chain of who signs.

It is derived from Ingresses, VirtualServers, TransportServers and Gateways, their controllers' configuration, and cert-manager's resources; nothing is
listed by hand. `unknown` stands where only a running controller could tell, and the reason follows in JSON.

    python -m harness certificates matrix --cluster kind
    python -m harness certificates matrix --manifests deploy/ --format json

Exit code 1 when a host is without TLS, without a certificate, or with one that does not cover it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.commands.common import add_subject, out, subject
from harness.rules.tls_view import matrix

if TYPE_CHECKING:
    import argparse

    from harness.engines.certificates.matrix import Row
    from harness.flux.workspace import Workspace

HELP = "print every host with its certificate, issuer chain and TLS settings"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print (default: text)")


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    rows = matrix(subject(workspace, options))
    if options.format == "json":
        out(json.dumps([row.as_json() for row in rows], indent=2))
    else:
        for row in rows:
            for line in _lines(row):
                out(line)
        out(f"{len(rows)} hosts, {sum(map(_is_bad, rows))} without a certificate that covers them")
    return 1 if any(map(_is_bad, rows)) else 0


def _is_bad(row: Row) -> bool:
    return row.covered is False or (not row.listener.tls and row.listener.host != "")


def _lines(row: Row) -> list[str]:
    data = row.as_json()
    age = "unknown" if row.listener.hsts is None else f"{row.listener.hsts}s" if row.listener.hsts else "no"
    redirect = {True: "yes", False: "no", None: "unknown"}[row.listener.redirect]
    lines = [f"{data['host']}  {data['listener']}  class {data['class'] or 'none'}"]
    if not row.listener.tls:
        return [*lines, "  no TLS"]
    if row.listener.passthrough:
        return [*lines, "  passed through: the backend shows the certificate"]
    lines.append(f"  TLS from {data['floor']}, redirect {redirect}, HSTS {age}")
    covered = {True: "covers the host", False: "does NOT cover the host", None: "not known whether it covers the host"}[row.covered]
    lines.append(f"  Secret {data['secret'] or 'none'} by {row.maker or 'nothing in this cluster'}: {covered}")
    if row.names:
        lines.append(f"  names {', '.join(row.names)}")
    if row.chain:
        lines.append(f"  signed by {' <- '.join(row.chain)} ({row.ends})")
    return lines
