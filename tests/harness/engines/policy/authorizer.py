"""CEL's ``authorizer``: checks of rights in a ValidatingAdmissionPolicy.

Source: ``k8s.io/apiserver/pkg/cel/library/authz.go``, v0.34. A check is described by what is chained; whether it is allowed is answered by the
function the caller brought, and *not evaluated* without one.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from harness.engines.cel import Extension, Overload, T
from harness.engines.policy.library import current_evaluation, declare, not_evaluated
from harness.engines.policy.programs import replace_outside_strings

if TYPE_CHECKING:
    from collections.abc import Callable

_REQUEST_RESOURCE = re.compile(r"(?<![\w.])authorizer\s*\.\s*requestResource\b(?!\s*\()")
_DECISION = b"d"


def rewrite_authorizer(source: str) -> str:
    """``authorizer.requestResource`` is a variable; here it is a function."""
    return replace_outside_strings(source, _REQUEST_RESOURCE, "authorizer.requestResource()")


def _check(**attributes: str) -> bytes:
    return b"a" + json.dumps(attributes, sort_keys=True).encode()


def _with(name: str) -> Callable[[bytes, str], bytes]:
    return lambda check, value: _check(**{**_read(check), name: value})


def _read(check: bytes) -> dict[str, str]:
    if not check.startswith(b"a"):
        raise TypeError("no such overload")
    found: dict[str, str] = json.loads(check[1:])
    return found


def _request_resource() -> bytes:
    evaluation = current_evaluation("authorizer.requestResource")
    request, resource = evaluation.request, evaluation.resource
    return _check(group=resource.group, resource=resource.plural, subresource=request.subresource, namespace=request.object_namespace, name=request.object_name)


def _decide(check: bytes, verb: str) -> bytes:
    evaluation = current_evaluation("authorizer")
    attributes = {**_read(check), "verb": verb}
    if evaluation.sources.authorizer is None:
        raise not_evaluated("authorizer", "who may do what is known to the cluster only")
    account = attributes.pop("serviceaccount", "")
    user = evaluation.request.user
    if account:
        namespace, _, _ = account.partition(":")
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
        user = {"username": f"system:serviceaccount:{account}", "groups": groups}
    return _DECISION + (b"1" if evaluation.sources.authorizer(user, attributes) else b"0")


def _functions() -> list[Overload]:
    return [
        *declare("authorizer.path", (T.BYTES, [T.STRING], lambda path: _check(path=path))),
        *declare("authorizer.group", (T.BYTES, [T.STRING], lambda group: _check(group=group))),
        *declare("authorizer.serviceAccount", (T.BYTES, [T.STRING, T.STRING], lambda namespace, name: _check(serviceaccount=f"{namespace}:{name}"))),
        *declare("authorizer.requestResource", (T.BYTES, [], _request_resource)),
        *(part for name in ("path", "group", "resource", "subresource", "namespace", "name") for part in _chain(name)),
        *declare("fieldSelector labelSelector", (T.BYTES, [T.BYTES, T.STRING], lambda check, _selector: check), member=True),
        *declare("check", (T.BYTES, [T.BYTES, T.STRING], _decide), member=True),
        *declare("allowed", (T.BOOL, [T.BYTES], lambda decision: decision == _DECISION + b"1"), member=True),
        *declare("errored", (T.BOOL, [T.BYTES], lambda _decision: False), member=True),
        *declare("error reason", (T.STRING, [T.BYTES], lambda _decision: ""), member=True),
    ]


def _chain(name: str) -> list[Overload]:
    return declare(name, (T.BYTES, [T.BYTES, T.STRING], _with(name)), member=True)


#: The functions a ValidatingAdmissionPolicy has beyond the libraries of every expression.
ADMISSION: Final = Extension("admission", _functions)
