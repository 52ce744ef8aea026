"""Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs and CronJobs.

Source: ``pkg/apis/apps/validation/validation.go``, ``pkg/apis/batch/validation/validation.go``, ``ValidateReplicationControllerSpec`` in
``pkg/apis/core/validation/validation.go``, v1.34, with the defaults of ``pkg/apis/apps/v1/defaults.go``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.engines import names
from harness.engines.report import is_elided
from harness.engines.selectors import selector_matches
from harness.engines.validation.context import Check, Json, each, items, mapping, number, text
from harness.engines.validation.cron import schedule_error
from harness.engines.validation.metadata import validate_annotations
from harness.engines.validation.pods import validate_pod_spec_with, validate_template
from harness.engines.validation.storage import validate_claim_spec

if TYPE_CHECKING:
    from harness.model import Pointer


def _selector(spec: Json, check: Check, at: Pointer, *, empty_allowed: bool = False) -> None:
    """The selector of a workload: there, well formed, not empty, and matching the template's labels."""
    selector = spec.get("selector")
    if selector is None:
        check.error((*at, "selector"), "required field is missing", "required")
        return
    if not isinstance(selector, dict):
        return
    check.selector(selector, (*at, "selector"))
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        if not empty_allowed:
            check.error((*at, "selector"), "must not be empty", "selector")
        return
    labels = mapping(mapping(mapping(spec.get("template")).get("metadata")).get("labels"))
    if spec.get("template") is not None and selector_matches(selector, labels) is False:
        check.error((*at, "template", "metadata", "labels"), "selector does not match template labels", "selector")


def _template(spec: Json, check: Check, at: Pointer) -> None:
    """The template, where the schema demands one: it says when there is none, but lets null pass."""
    if spec.get("template") is not None:
        validate_template(spec["template"], check, (*at, "template"))
    elif "template" in spec:
        check.error((*at, "template"), "required field is missing", "required")


def _restarts_always(spec: Json, check: Check, at: Pointer) -> None:
    pod = mapping(mapping(spec.get("template")).get("spec"))
    where = (*at, "template", "spec")
    if pod.get("restartPolicy") in ("OnFailure", "Never"):
        check.error((*where, "restartPolicy"), f'must be "Always", not {pod["restartPolicy"]!r}', "enum", pod["restartPolicy"])
    if pod.get("activeDeadlineSeconds") is not None:
        check.error((*where, "activeDeadlineSeconds"), "is not supported here", "forbidden")


def _is_zero(value: Any) -> bool:
    return value in (0, "0%", "0") and not isinstance(value, bool)


def validate_deployment(body: Json, check: Check) -> None:
    """A Deployment."""
    spec, at = mapping(body.get("spec")), ("spec",)
    _selector(spec, check, at)
    _template(spec, check, at)
    _restarts_always(spec, check, at)
    strategy, place = mapping(spec.get("strategy")), (*at, "strategy")
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") == "Recreate":
        if rolling is not None:
            check.error((*place, "rollingUpdate"), "may not be specified when strategy type is 'Recreate'", "forbidden")
    elif isinstance(rolling, dict):
        where = (*place, "rollingUpdate")
        check.int_or_percent(rolling.get("maxUnavailable"), (*where, "maxUnavailable"), capped=True)
        check.int_or_percent(rolling.get("maxSurge"), (*where, "maxSurge"))
        if _is_zero(rolling.get("maxUnavailable")) and _is_zero(rolling.get("maxSurge")):
            check.error((*where, "maxUnavailable"), "may not be 0 when maxSurge is 0", "invalid")
    ready, deadline = number(spec.get("minReadySeconds")) or 0, number(spec.get("progressDeadlineSeconds"))
    if (600 if deadline is None else deadline) <= ready:
        check.error((*at, "progressDeadlineSeconds"), "must be greater than minReadySeconds", "invalid")


def validate_daemon_set(body: Json, check: Check) -> None:
    """A DaemonSet."""
    spec, at = mapping(body.get("spec")), ("spec",)
    _selector(spec, check, at)
    _template(spec, check, at)
    _restarts_always(spec, check, at)
    strategy = mapping(spec.get("updateStrategy"))
    rolling, where = strategy.get("rollingUpdate"), (*at, "updateStrategy", "rollingUpdate")
    if strategy.get("type") != "OnDelete" and isinstance(rolling, dict):
        for field in ("maxUnavailable", "maxSurge"):
            check.int_or_percent(rolling.get(field), (*where, field), capped=True)
        surge, unavailable = rolling.get("maxSurge"), rolling.get("maxUnavailable")
        has_surge = surge is not None and not _is_zero(surge)
        if has_surge and not (unavailable is None or _is_zero(unavailable)) and not is_elided(unavailable):
            check.error((*where, "maxSurge"), "may not be set when maxUnavailable is non-zero", "invalid")
        elif has_surge and unavailable is None:
            check.error((*where, "maxSurge"), "may not be set unless maxUnavailable is 0 (its default is 1)", "invalid")
        elif not has_surge and _is_zero(unavailable):
            check.error((*where, "maxUnavailable"), "cannot be 0 when maxSurge is 0", "required")


def validate_replica_set(body: Json, check: Check) -> None:
    """A ReplicaSet."""
    spec, at = mapping(body.get("spec")), ("spec",)
    _selector(spec, check, at)
    validate_template(spec.get("template"), check, (*at, "template"))
    _restarts_always(spec, check, at)


def validate_replication_controller(body: Json, check: Check) -> None:
    """A ReplicationController; its selector defaults to the template's labels."""
    spec, at = mapping(body.get("spec")), ("spec",)
    labels = mapping(mapping(mapping(spec.get("template")).get("metadata")).get("labels"))
    selector = mapping(spec.get("selector"))
    if spec.get("template") is None:
        check.error((*at, "template"), "required field is missing", "required")
        return
    if not selector and not labels:
        check.error((*at, "selector"), "required field is missing", "required")
    elif selector and selector_matches({"matchLabels": selector}, labels) is False:
        check.error((*at, "template", "metadata", "labels"), "selector does not match template labels", "selector")
    validate_template(spec.get("template"), check, (*at, "template"))
    _restarts_always(spec, check, at)


def validate_stateful_set(body: Json, check: Check) -> None:
    """A StatefulSet. Its volume claim templates are volumes of its pods."""
    spec, at = mapping(body.get("spec")), ("spec",)
    _selector(spec, check, at)
    claims: dict[str, Json] = {}
    for place, claim in each(spec.get("volumeClaimTemplates"), (*at, "volumeClaimTemplates")):
        claims[text(mapping(claim.get("metadata")).get("name"))] = {"persistentVolumeClaim": {}}
        if check.minor >= 33:
            validate_claim_spec(mapping(claim.get("spec")), check, (*place, "spec"))
    template, where = mapping(spec.get("template")), (*at, "template")
    metadata = mapping(template.get("metadata"))
    check.labels(metadata.get("labels"), (*where, "metadata", "labels"))
    validate_annotations(metadata.get("annotations"), check, (*where, "metadata", "annotations"))
    validate_pod_spec_with(mapping(template.get("spec")), claims, check, (*where, "spec"))
    _restarts_always(spec, check, at)
    strategy = mapping(spec.get("updateStrategy"))
    if strategy.get("type") == "OnDelete" and strategy.get("rollingUpdate") is not None:
        check.error((*at, "updateStrategy", "rollingUpdate"), "only allowed for updateStrategy 'RollingUpdate'", "forbidden")
    unavailable = mapping(strategy.get("rollingUpdate")).get("maxUnavailable")
    check.int_or_percent(unavailable, (*at, "updateStrategy", "rollingUpdate", "maxUnavailable"), capped=True)
    if spec.get("serviceName") and check.minor >= 33:
        check.syntax(spec["serviceName"], names.dns1123_label, (*at, "serviceName"))


def validate_job(body: Json, check: Check) -> None:
    """A Job. Its selector is generated unless ``manualSelector`` is set, and its name becomes a label of its pods."""
    spec, at = mapping(body.get("spec")), ("spec",)
    check.syntax(mapping(body.get("metadata")).get("name"), names.label_value, ("metadata", "name"))
    if spec.get("manualSelector") is True:
        _selector(spec, check, at, empty_allowed=True)
    elif mapping(spec.get("selector")).get("matchLabels") or mapping(spec.get("selector")).get("matchExpressions"):
        check.error((*at, "selector"), "must not be set unless manualSelector is true: the server generates it", "forbidden")
    _job_spec(spec, check, at)


def _job_spec(spec: Json, check: Check, at: Pointer) -> None:
    """``validateJobSpec``."""
    _template(spec, check, at)
    pod = mapping(mapping(spec.get("template")).get("spec"))
    restart = pod.get("restartPolicy")
    where = (*at, "template", "spec", "restartPolicy")
    if not restart or restart == "Always":
        check.error(where, 'must be "OnFailure" or "Never"', "required")
    elif spec.get("podFailurePolicy") is not None and restart != "Never":
        check.error(where, 'must be "Never" when podFailurePolicy is specified', "invalid")
    indexed = spec.get("completionMode") == "Indexed"
    completions = number(spec.get("completions"))
    if indexed and spec.get("completions") is None:
        check.error((*at, "completions"), "is required when completionMode is Indexed", "required")
    for field in ("backoffLimitPerIndex", "maxFailedIndexes", "successPolicy"):
        if spec.get(field) is not None and not indexed:
            check.error((*at, field), "requires indexed completion mode", "forbidden")
    failed = number(spec.get("maxFailedIndexes"))
    if failed is not None:
        if spec.get("backoffLimitPerIndex") is None:
            check.error((*at, "backoffLimitPerIndex"), "is required when maxFailedIndexes is specified", "required")
        if indexed and completions is not None and failed > completions:
            check.error((*at, "maxFailedIndexes"), "must be less than or equal to completions", "invalid")
    if indexed and (number(spec.get("parallelism")) or 0) > 100_000:
        check.error((*at, "parallelism"), "must be less than or equal to 100000 when completionMode is Indexed", "invalid")
    if isinstance(spec.get("managedBy"), str):
        check.syntax(spec["managedBy"], names.domain_prefixed_path, (*at, "managedBy"))
    if isinstance(spec.get("podFailurePolicy"), dict):
        _failure_policy(spec, pod, check, (*at, "podFailurePolicy"))
    if indexed and isinstance(spec.get("successPolicy"), dict):
        rules, place = spec["successPolicy"].get("rules"), (*at, "successPolicy", "rules")
        if not items(rules):
            check.error(place, "at least one rule must be specified", "required")
        for where, rule in each(rules, place):
            if rule.get("succeededCount") is None and rule.get("succeededIndexes") is None:
                check.error(where, "at least one of succeededCount or succeededIndexes must be specified", "required")


def _failure_policy(spec: Json, pod: Json, check: Check, at: Pointer) -> None:
    policy = mapping(spec.get("podFailurePolicy"))
    rules, where = policy.get("rules"), (*at, "rules")
    if len(items(rules)) > 20:
        check.error(where, "must have at most 20 rules", "size")
    if spec.get("podReplacementPolicy") not in (None, "Failed"):
        check.error((*at[:-1], "podReplacementPolicy"), "must be Failed when podFailurePolicy is specified", "enum")
    known = {text(item.get("name")) for field in ("containers", "initContainers") for _, item in each(pod.get(field), ())}
    for place, rule in each(rules, where):
        codes, conditions = rule.get("onExitCodes"), items(rule.get("onPodConditions"))
        if codes is not None and conditions:
            check.error(place, "specifying both onExitCodes and onPodConditions is not supported", "one-of")
        elif codes is None and not conditions:
            check.error(place, "specifying one of onExitCodes and onPodConditions is required", "one-of")
        if rule.get("action") == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            check.error((*place, "action"), "requires the backoffLimitPerIndex to be set", "invalid")
        for where, condition in each(conditions, (*place, "onPodConditions")):
            check.syntax(condition.get("type"), names.qualified_name, (*where, "type"))
            if text(condition.get("status")) not in ("", "True", "False", "Unknown"):
                check.error((*where, "status"), 'must be one of "False", "True", "Unknown"', "enum", condition["status"])
        if isinstance(codes, dict):
            _exit_codes(codes, known, check, (*place, "onExitCodes"))


def _exit_codes(codes: Json, known: set[str], check: Check, at: Pointer) -> None:
    if isinstance(codes.get("containerName"), str) and codes["containerName"] not in known:
        check.error((*at, "containerName"), "must be one of the container or initContainer names in the pod template", "reference")
    values = [value for value in (number(value) for value in items(codes.get("values"))) if value is not None]
    if not values:
        check.error((*at, "values"), "at least one value is required", "required")
    if values != sorted(values):
        check.error((*at, "values"), "must be ordered", "invalid")
    if codes.get("operator") == "In" and 0 in values:
        check.error((*at, "values"), "must not have 0 for the In operator", "invalid")


def validate_cron_job(body: Json, check: Check) -> None:
    """A CronJob."""
    spec, at = mapping(body.get("spec")), ("spec",)
    name = text(mapping(body.get("metadata")).get("name"))
    if len(name) > 52:
        # ValidateCronJobCreate: the controller appends an 11-character suffix.
        check.error(("metadata", "name"), "must be no more than 52 characters", "name", name)
    if check.required(spec, "schedule", at) and isinstance(spec["schedule"], str):
        schedule = spec["schedule"]
        wrong = None if is_elided(schedule) else schedule_error(schedule)
        if wrong is not None:
            check.error((*at, "schedule"), f"{wrong}: {schedule!r}", "schedule", schedule)
    zone = spec.get("timeZone")
    if isinstance(zone, str) and not is_elided(zone) and _zone_error(zone):
        check.error((*at, "timeZone"), f"unknown time zone {zone!r}", "time-zone", zone)
    template = mapping(spec.get("jobTemplate"))
    job, where = mapping(template.get("spec")), (*at, "jobTemplate", "spec")
    if spec.get("jobTemplate") is not None:
        _job_spec(job, check, where)
    if job.get("manualSelector") is not None:
        check.error((*where, "manualSelector"), "must not be set in a CronJob's template", "forbidden")
    elif job.get("selector") is not None:
        check.error((*where, "selector"), "must not be set: the server generates it", "forbidden")


def _zone_error(zone: str) -> bool:
    """``validateTimeZone``: what cannot be an IANA name. Whether the zone exists is for the server's own database."""
    if not zone or zone.lower() == "local":
        return True
    parts = zone.split("/")
    return any(part in ("", ".", "..") or part.startswith("-") or len(part) > 14 for part in parts) or not all(
        char.isascii() and (char.isalnum() or char in ".-_+/") for char in zone
    )
