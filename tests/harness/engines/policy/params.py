"""The parameters that a binding of an admission policy gives a request.

Source: ``k8s.io/apiserver/pkg/admission/plugin/policy/generic`` (``CollectParams``), v0.36.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.engines.policy.matching import is_namespace
from harness.engines.selectors import selector_matches
from harness.model.shapes import mapping, text

if TYPE_CHECKING:
    from harness.engines.policy.api import Json
    from harness.engines.policy.context import Evaluation


class ParamsError(Exception):
    """Parameters that cannot be had: a configuration error, or (``unknown``) something this engine cannot tell."""

    def __init__(self, message: str, *, unknown: bool = False) -> None:
        super().__init__(message)
        self.unknown = unknown


def collect_params(kind_of: Json, given: Any, evaluation: Evaluation) -> list[Json | None]:
    """``generic.CollectParams``: the parameters a binding gives a request; [None] when it has none to give."""
    if not kind_of or given is None:
        return [None]
    reference = mapping(given)
    kind = evaluation.resources.of(text(kind_of.get("apiVersion")), text(kind_of.get("kind")), namespaced=None)
    lookup = evaluation.sources.lookup
    if lookup is None:
        raise ParamsError("the parameters are not evaluated: there are no objects to look in", unknown=True)
    namespace = _namespace(reference, evaluation, namespaced=kind.namespaced)
    name, selector = text(reference.get("name")), reference.get("selector")
    found: list[Json | None] = []
    if name and selector is not None:
        raise ParamsError("paramRef.name and paramRef.selector are mutually exclusive")
    try:
        if name:
            param = lookup.get(kind.api_version, kind.plural, namespace, name)
            found = [] if param is None else [param]
        elif isinstance(selector, dict):
            everything = lookup.list(kind.api_version, kind.plural, namespace)
            found = [each for each in everything if selector_matches(selector, mapping(mapping(each.get("metadata")).get("labels")))]
        else:
            raise ParamsError("one of name or selector must be provided")
    except LookupError as error:
        raise ParamsError(f"paramKind kind {kind.api_version}, Kind={kind.kind} not known") from error
    if not found and reference.get("parameterNotFoundAction") == "Deny":
        raise ParamsError("no params found for policy binding with `Deny` parameterNotFoundAction")
    return found


def _namespace(reference: Json, evaluation: Evaluation, *, namespaced: bool | None) -> str:
    declared = text(reference.get("namespace"))
    if namespaced is False:
        if declared:
            raise ParamsError("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
        return ""
    request = evaluation.request
    namespace = declared or (request.object_name if is_namespace(evaluation.resource) else request.object_namespace)
    if not namespace and namespaced:
        raise ParamsError("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
    return namespace
