"""Evaluates the CEL rules (``x-kubernetes-validations``) of a custom resource.

Source: ``k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go``, v0.34. Objects are judged as if they were created: rules
that compare with the old object are skipped, unless they accept its absence (``optionalOldSelf``).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from harness.engines import cel
from harness.engines.cel import values
from harness.engines.report import ELIDED, Report, holds_elided

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.engines.crd_plan import Plan
    from harness.model import Pointer

_OLD_SELF = re.compile(r"\boldSelf\b")
_PATH_PART = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*)|\['((?:[^'\\]|\\.)*)'\]")
_MAX_MESSAGE = 5120  # message expressions above this length are not used
KEYWORD = "x-kubernetes-validations"


class _Converters:
    """One converter per schema node, kept as long as the plan is."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, bool], tuple[Plan, values.Convert]] = {}

    def of(self, plan: Plan, resource: bool) -> values.Convert:
        key = (id(plan), resource)
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = (plan, values.converter(plan.schema, resource=resource))
        return found[1]


_converters = _Converters()


def check_rules(value: Any, plan: Plan, report: Report, pointer: Pointer = (), *, resource: bool = True) -> None:
    """Adds an error for every rule that does not hold, here and below. ``resource``: the value is the root of a custom resource."""
    if value is None:
        return
    if plan.rules:
        converted = _converters.of(plan, resource)(value)
        for rule in plan.rules:
            _check(rule, value, converted, report, pointer)
    if isinstance(value, list):
        if plan.items is not None and plan.items.has_rules:
            for index, item in enumerate(value):
                check_rules(item, plan.items, report, (*pointer, index), resource=plan.items.embedded)
    elif isinstance(value, dict):
        for name, child in plan.properties.items():
            if child.has_rules and name in value:
                check_rules(value[name], child, report, (*pointer, name), resource=child.embedded)
        if plan.additional is not None and plan.additional.has_rules:
            for name, inner in value.items():
                if name not in plan.properties:
                    check_rules(inner, plan.additional, report, (*pointer, name), resource=plan.additional.embedded)


@lru_cache(maxsize=4096)
def _is_transition(rule: str) -> bool:
    return _OLD_SELF.search(rule) is not None


def _check(rule: Mapping[str, Any], value: Any, converted: Any, report: Report, pointer: Pointer) -> None:
    text = rule["rule"].strip()
    if _is_transition(text):
        if rule.get("optionalOldSelf") is not True:
            report.skip(pointer, KEYWORD, f"transition rule, for updates only: {text}")
            return
        text = f"cel.bind(oldSelf, optional.none(), {text})"
    result = _evaluate(text, converted)
    if result is True:
        return
    if report.elided and holds_elided(value):
        report.skip(pointer, KEYWORD, ELIDED)
        return
    if isinstance(result, cel.CompileError):
        report.skip(pointer, KEYWORD, f"{result.message}: {text}")
    elif isinstance(result, cel.EvalError):
        if result.unsupported:
            report.skip(pointer, KEYWORD, f"{result.message}: {text}")
        else:
            report.error(pointer, f"rule {text!r} cannot be evaluated: {result.message}", KEYWORD)
    elif result is False:
        report.error((*pointer, *field_path(rule.get("fieldPath"))), _message(rule, text, converted), KEYWORD)
    else:
        report.skip(pointer, KEYWORD, f"result is not a boolean: {text}")


def _evaluate(text: str, converted: Any) -> Any:
    program = cel.compile(text)
    return program if isinstance(program, cel.CompileError) else program.eval({"self": converted})


def _message(rule: Mapping[str, Any], text: str, converted: Any) -> str:
    expression = rule.get("messageExpression")
    if isinstance(expression, str) and expression.strip() and not _is_transition(expression):
        result = _evaluate(expression.strip(), converted)
        if isinstance(result, str) and result.strip() and len(result) <= _MAX_MESSAGE and "\n" not in result:
            return result.strip()
    message = rule.get("message")
    return message.strip() if isinstance(message, str) and message.strip() else f"failed rule: {text}"


def field_path(path: Any) -> Pointer:
    """The pointer of a rule's ``fieldPath``, a JSONPath such as ``.spec.replicas`` or ``.metadata['a/b']``; empty for none."""
    if not isinstance(path, str):
        return ()
    return tuple(name or quoted.replace("\\'", "'").replace("\\\\", "\\") for name, quoted in _PATH_PART.findall(path))
