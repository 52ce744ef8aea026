"""Webhook configurations, admission policies and aggregated APIs.

Source: ``pkg/apis/admissionregistration/validation/validation.go`` of ``k8s.io/kubernetes`` v1.34, ``apiserver/pkg/util/webhook/validation.go``
and ``kube-aggregator/pkg/apis/apiregistration/validation/validation.go``. CEL expressions are checked for syntax only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness.engines import names
from harness.engines.report import is_elided
from harness.engines.validation.context import Check, Json, each, items, mapping, text

if TYPE_CHECKING:
    from harness.model import Pointer

_IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*", re.ASCII)
_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")


def validate_webhooks(body: Json, check: Check) -> None:
    """A ValidatingWebhookConfiguration or MutatingWebhookConfiguration."""
    seen: set[str] = set()
    for place, hook in each(body.get("webhooks"), ("webhooks",)):
        name = text(hook.get("name"))
        if check.required(hook, "name", place):
            check.syntax(name, names.dns1123_subdomain, (*place, "name"))
            if len(name.split(".")) < 3:
                check.error((*place, "name"), "should be a domain with at least three segments separated by dots", "name", name)
            if name in seen:
                check.error((*place, "name"), f"duplicate webhook {name}", "duplicate")
            seen.add(name)
        _review_versions(hook.get("admissionReviewVersions"), check, (*place, "admissionReviewVersions"))
        for where, rule in each(hook.get("rules"), (*place, "rules")):
            validate_rule(rule, check, where)
        for field in ("namespaceSelector", "objectSelector"):
            check.selector(hook.get(field), (*place, field))
        validate_client_config(mapping(hook.get("clientConfig")), check, (*place, "clientConfig"))
        _match_conditions(hook.get("matchConditions"), check, (*place, "matchConditions"))


def _review_versions(value: Any, check: Check, at: Pointer) -> None:
    versions = [version for version in items(value) if isinstance(version, str)]
    if not versions:
        check.error(at, "must specify one of v1, v1beta1", "required")
        return
    if not {"v1", "v1beta1"} & set(versions):
        check.error(at, "must include at least one of v1, v1beta1", "invalid")
    for index, version in enumerate(versions):
        if version in versions[:index]:
            check.error((*at, index), f"duplicate version {version}", "duplicate")
        check.syntax(version, names.dns1035_label, (*at, index))


def validate_rule(rule: Json, check: Check, at: Pointer) -> None:
    """``validateRuleWithOperations``."""
    for field in ("operations", "apiGroups", "apiVersions", "resources"):
        check.required(rule, field, at)
    for field in ("operations", "apiGroups", "apiVersions"):
        values = items(rule.get(field))
        if len(values) > 1 and "*" in values:
            check.error((*at, field), "if '*' is present, must not specify others", "wildcard")
    resources = [resource for resource in items(rule.get("resources")) if isinstance(resource, str)]
    if len(resources) > 1 and "*/*" in resources:
        check.error((*at, "resources"), "if '*/*' is present, must not specify other resources", "wildcard")
    if "*" in resources and resources[-1] != "*" and "/" not in resources[-1]:
        # The server remembers only whether the last resource without a subresource is "*".
        check.error((*at, "resources"), "if '*' is present, must not specify other resources without subresources", "wildcard")
    for index, resource in enumerate(resources):
        if not resource:
            check.error((*at, "resources", index), "must not be empty", "required")


def validate_client_config(config: Json, check: Check, at: Pointer) -> None:
    """Where a webhook is called: exactly one of ``url`` and ``service``."""
    present = check.exactly_one(config, ("service", "url"), at, "target")
    if present == ["url"] and isinstance(config["url"], str) and not is_elided(config["url"]):
        _webhook_url(config["url"], check, (*at, "url"))
    elif present == ["service"]:
        validate_service_reference(mapping(config["service"]), check, (*at, "service"))


def validate_service_reference(service: Json, check: Check, at: Pointer) -> None:
    """``ValidateWebhookService``."""
    check.required(service, "name", at)
    check.required(service, "namespace", at)
    path = service.get("path")
    if isinstance(path, str) and path not in ("", "/"):
        if not path.startswith("/"):
            check.error((*at, "path"), "must start with a '/'", "path", path)
            return
        steps = path.removesuffix("/").split("/")[1:]
        if any(not step for step in steps):
            check.error((*at, "path"), "must not have empty segments", "path", path)


def _webhook_url(url: str, check: Check, at: Pointer) -> None:
    """``ValidateWebhookURL``."""
    try:
        parts = urlsplit(url)
    except ValueError:
        check.error(at, "url must be a valid URL", "url", url)
        return
    if parts.scheme.lower() != "https":
        check.error(at, f"'https' is the only allowed URL scheme, not {parts.scheme!r}", "url", url)
    if not parts.netloc:
        check.error(at, "host must be specified", "url", url)
    if "@" in parts.netloc:
        check.error(at, "user information is not permitted in the URL", "url", url)
    if parts.fragment:
        check.error(at, "fragments are not permitted in the URL", "url", url)
    if parts.query:
        check.error(at, "query parameters are not permitted in the URL", "url", url)


def _match_conditions(value: Any, check: Check, at: Pointer) -> None:
    if len(items(value)) > 64:
        check.error(at, "must have at most 64 items", "size")
    for place, condition in each(value, at):
        check.reference(condition, "name", place, names.qualified_name)
        check.required(condition, "expression", place)


def validate_admission_policy(body: Json, check: Check) -> None:
    """A ValidatingAdmissionPolicy or MutatingAdmissionPolicy."""
    spec, at = mapping(body.get("spec")), ("spec",)
    mutating = body.get("kind") == "MutatingAdmissionPolicy"
    if mutating:
        check.required(spec, "mutations", at)
        check.required(spec, "reinvocationPolicy", at)
    elif not items(spec.get("validations")) and not items(spec.get("auditAnnotations")):
        check.error((*at, "validations"), "validations or auditAnnotations must be set", "required")
    constraints, place = spec.get("matchConstraints"), (*at, "matchConstraints")
    if constraints is None:
        check.error(place, "required field is missing", "required")
    elif isinstance(constraints, dict):
        check.required(constraints, "resourceRules", place)
        for field in ("resourceRules", "excludeResourceRules"):
            for where, rule in each(constraints.get(field), (*place, field)):
                validate_rule(rule, check, where)
        for field in ("namespaceSelector", "objectSelector"):
            check.selector(constraints.get(field), (*place, field))
    kind = spec.get("paramKind")
    if isinstance(kind, dict):
        check.required(kind, "apiVersion", (*at, "paramKind"))
        check.required(kind, "kind", (*at, "paramKind"))
    for where, variable in each(spec.get("variables"), (*at, "variables")):
        check.required(variable, "expression", where)
        if check.required(variable, "name", where) and not _IDENTIFIER.fullmatch(text(variable["name"])):
            check.error((*where, "name"), "must be a valid CEL identifier", "name", variable["name"])
    for where, annotation in each(spec.get("auditAnnotations"), (*at, "auditAnnotations")):
        check.required(annotation, "valueExpression", where)
        if check.required(annotation, "key", where):
            policy = text(mapping(body.get("metadata")).get("name"))
            check.syntax(f"{policy}/{text(annotation['key'])}", names.qualified_name, (*where, "key"))
    for where, validation in each(spec.get("validations"), (*at, "validations")):
        check.required(validation, "expression", where)
        if validation.get("reason") not in (None, *_REASONS):
            check.error((*where, "reason"), f"must be one of {', '.join(_REASONS)}", "enum", validation["reason"])
        message = validation.get("message")
        if isinstance(message, str) and message and not message.strip():
            check.error((*where, "message"), "must not consist of spaces only", "invalid")
    _match_conditions(spec.get("matchConditions"), check, (*at, "matchConditions"))


def validate_policy_binding(body: Json, check: Check) -> None:
    """A ValidatingAdmissionPolicyBinding or MutatingAdmissionPolicyBinding."""
    spec, at = mapping(body.get("spec")), ("spec",)
    check.reference(spec, "policyName", at)
    for field in ("namespaceSelector", "objectSelector"):
        check.selector(mapping(spec.get("matchResources")).get(field), (*at, "matchResources", field))
    if body.get("kind") == "ValidatingAdmissionPolicyBinding":
        actions = items(spec.get("validationActions"))
        if not actions:
            check.error((*at, "validationActions"), "must contain at least one item", "required")
        if {"Deny", "Warn"} <= {action for action in actions if isinstance(action, str)}:
            check.error((*at, "validationActions"), "must not contain both Deny and Warn", "one-of")
    parameters = spec.get("paramRef")
    if isinstance(parameters, dict):
        check.exactly_one(parameters, ("name", "selector"), (*at, "paramRef"), "selection")
        check.required(parameters, "parameterNotFoundAction", (*at, "paramRef"))


def validate_api_service(body: Json, check: Check) -> None:
    """An APIService: its name is ``<version>.<group>``."""
    spec, at = mapping(body.get("spec")), ("spec",)
    version, group = text(spec.get("version")), text(spec.get("group"))
    name = text(mapping(body.get("metadata")).get("name"))
    if name and name != f"{version}.{group}":
        check.error(("metadata", "name"), f"must be {f'{version}.{group}'!r}, not {name!r}", "name", name)
    if group:
        check.syntax(group, names.dns1123_subdomain, (*at, "group"))
    elif version != "v1":
        check.error((*at, "group"), "required field is missing", "required")
    if check.required(spec, "version", at):
        check.syntax(version, names.dns1035_label, (*at, "version"))
    service = spec.get("service")
    if isinstance(service, dict):
        check.required(service, "name", (*at, "service"))
        check.required(service, "namespace", (*at, "service"))
        if spec.get("caBundle") and spec.get("insecureSkipTLSVerify") is True:
            check.error((*at, "insecureSkipTLSVerify"), "may not be true if caBundle is present", "one-of")
    elif spec.get("caBundle") or spec.get("insecureSkipTLSVerify") is True:
        check.error(at, "local APIServices may not have a caBundle or skip TLS verification", "forbidden")
