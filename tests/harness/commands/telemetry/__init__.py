"""What is scraped, who is told, which series are used: of a cluster, or of any manifests.

  python -m harness telemetry targets --cluster kind                      every target, by scrape job
  python -m harness telemetry targets --job podinfo --manifests k8s/      those of one job
  python -m harness telemetry alerts --cluster kind                       every alert, and the receivers it reaches
  python -m harness telemetry metrics --cluster kind                      every series that somebody reads, and who exposes it

Monitors of prometheus-operator, scrape configurations and rule files in ConfigMaps, Alertmanager's configuration, and Grafana's dashboards are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.commands.telemetry import alerts, metrics, targets

if TYPE_CHECKING:
    from harness.commands import Command

HELP = "what is scraped, who is told, which series are used"
COMMANDS: dict[str, Command] = {"targets": targets, "alerts": alerts, "metrics": metrics}
