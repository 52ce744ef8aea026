"""Pod Security: what the baseline and restricted policies of every Kubernetes version forbid of a pod, and what a namespace's labels make of it.

Pure functions over the metadata and the spec of a pod; messages in the API server's words. :mod:`.evaluate` holds the checks of each version,
:mod:`.levels` the labels, :mod:`.admission` the decision.
"""

from harness.engines.podsecurity.admission import Decision, Exemptions, Request, decide, strictest
from harness.engines.podsecurity.evaluate import CHECKS, checks_of, evaluate, message
from harness.engines.podsecurity.levels import (
    DEFAULTS,
    LATEST,
    MODES,
    NEWEST,
    PREFIX,
    Level,
    LevelVersion,
    Policy,
    PolicyVersion,
    minor_of,
    parse_version,
    policy_of,
)
from harness.engines.podsecurity.pod import Violated, defaulted

__all__ = [
    "CHECKS",
    "DEFAULTS",
    "LATEST",
    "MODES",
    "NEWEST",
    "PREFIX",
    "Decision",
    "Exemptions",
    "Level",
    "LevelVersion",
    "Policy",
    "PolicyVersion",
    "Request",
    "Violated",
    "checks_of",
    "decide",
    "defaulted",
    "evaluate",
    "message",
    "minor_of",
    "parse_version",
    "policy_of",
    "strictest",
]
