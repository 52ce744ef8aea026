"""Promtail's configuration: read, and simulated on lines of log.

Source: Promtail 3.6 (grafana/loki ``clients/pkg/logentry/stages``, ``clients/pkg/promtail/targets/file``) and its documentation; Grafana Alloy runs the
same stages for ``--config.format=promtail``.
"""

from harness.engines.telemetry.promtail.entry import Entry, PipelineError
from harness.engines.telemetry.promtail.pipeline import Fate, Pipeline, stages_of
from harness.engines.telemetry.promtail.shipper import Shipper, Stream, is_promtail

__all__ = ["Entry", "Fate", "Pipeline", "PipelineError", "Shipper", "Stream", "is_promtail", "stages_of"]
