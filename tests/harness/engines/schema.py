"""Everything the API server says of an object before it stores it, offline.

``SchemaSet.for_cluster`` knows the kinds of one cluster: the API server's own of a Kubernetes version, and those of the CRDs installed.
An object is judged as Flux applies it: a server-side apply with strict field validation (unknown fields are errors) that creates it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.engines import crd as crds_module
from harness.engines.crd_plan import check_lists, with_defaults
from harness.engines.crd_rules import check_rules
from harness.engines.embedded import check_embedded
from harness.engines.report import ELIDED, Report, SchemaError, Skip, Verdict, holds_elided
from harness.engines.schema_data import BuiltIns, builtins
from harness.engines.validation import validate_builtin
from harness.engines.validation.metadata import validate_metadata
from harness.engines.violations import collect, compile_schema
from harness.model import Pointer, group_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import jsonschema_rs

    from harness.engines.crd import CompiledVersion, CrdVersion

__all__ = ["SchemaError", "SchemaSet", "Skip", "Verdict"]

_MEMO_LIMIT = 100_000
MAX_DEPTH = crds_module.MAX_DEPTH
#: Of the status, which a create ignores, only what already fails when the request is decoded.
_DECODING = frozenset({"unknown-field", "type", "k8s-time"})

#: Fields whose text no rule compares with another field's.
_OPAQUE = frozenset({"annotations", "args", "binaryData", "caBundle", "command", "data", "description", "message", "messageExpression", "stringData", "value"})


class _BuiltInKind:
    """A built-in kind, compiled."""

    __slots__ = ("api_version", "definition", "document", "identity", "kind", "lists", "minor", "scope", "validator")

    def __init__(self, data: BuiltIns, api_version: str, kind: str) -> None:
        name = data.definition_names[api_version, kind]
        self.api_version, self.kind = api_version, kind
        self.scope = data.scope(api_version, kind)
        self.minor = data.minor
        self.document = data.document(name)
        self.validator: jsonschema_rs.Validator = compile_schema(self.document)
        self.definition, self.lists = name, data.lists
        self.identity = (data.version, api_version, kind)


class _CustomKind:
    """A version of a custom kind, compiled."""

    __slots__ = ("compiled", "declared", "identity")

    def __init__(self, declared: CrdVersion, compiled: CompiledVersion) -> None:
        self.declared, self.compiled = declared, compiled
        self.identity = (compiled.serial, declared.kind, declared.scope, declared.has_status, declared.served)


_builtin_kinds: dict[tuple[str, str, str], _BuiltInKind] = {}
_memo: dict[tuple[Any, ...], Verdict] = {}


class SchemaSet:
    """The kinds of one cluster. Cheap to make: nothing is compiled before an object of the kind is validated."""

    def __init__(self, data: BuiltIns, custom: Mapping[tuple[str, str], CrdVersion], kubernetes_version: str) -> None:
        self._data = data
        self._declared = custom
        self._custom: dict[tuple[str, str], _CustomKind] = {}
        self.kubernetes_version = kubernetes_version
        #: The Kubernetes minor whose schemas are used: that of the cluster, or the nearest there is data for.
        self.data_version = data.version

    @classmethod
    def for_cluster(cls, kubernetes_version: str, crds: Iterable[Mapping[str, Any]] = ()) -> SchemaSet:
        """The kinds of a cluster of a Kubernetes version (``1.36``, ``1.36.4``, ``v1.36.4-eks-1``) with these CustomResourceDefinitions.

        CRDs that are malformed declare nothing; validate them like any object to learn why. When two declare the same kind, the last wins.
        Raises ValueError for what is no version.
        """
        custom: dict[tuple[str, str], CrdVersion] = {}
        for definition in crds:
            for version in crds_module.versions(definition):
                custom[version.api_version, version.kind] = version
        return cls(builtins(kubernetes_version), custom, kubernetes_version)

    def knows(self, api_version: str, kind: str) -> bool:
        """Whether the cluster can have objects of this kind and version."""
        version = self._declared.get((api_version, kind))
        return version.served if version is not None else self._data.knows(api_version, kind)

    def scope(self, api_version: str, kind: str) -> str | None:
        """``Namespaced`` or ``Cluster``; None for a kind the cluster does not know."""
        version = self._declared.get((api_version, kind))
        return version.scope if version is not None else self._data.scope(api_version, kind)

    def kinds(self, *, every: bool = False) -> tuple[tuple[str, str], ...]:
        """All ``(apiVersion, kind)`` that are served, sorted; with ``every`` also built-in ones that are off by default."""
        custom = (key for key, version in self._declared.items() if version.served)
        return tuple(sorted({*self._data.kinds(every=every), *custom}))

    def validate(self, body: Any, *, elided: bool = False) -> list[SchemaError]:
        """Every reason the API server would have to refuse the object, in the order of the document's paths.

        ``elided``: the object is from the lock; nothing is said about the content of elided text.
        A ``List`` is validated item by item.
        """
        return list(self.check(body, elided=elided).errors)

    def json_schema(self, api_version: str, kind: str) -> Mapping[str, Any] | None:
        """The JSON schema (2020-12) of a kind, for other tools; None for an unknown one. Shared: do not change it."""
        _, found = self._resolve({"apiVersion": api_version, "kind": kind})
        if found is None:
            return None
        return found.document if isinstance(found, _BuiltInKind) else found.compiled.document

    def check(self, body: Any, *, elided: bool = False) -> Verdict:
        """Like ``validate``, with the checks that were not made."""
        try:
            digest = crds_module.digest(body)
        except ValueError:
            # marshal refuses what is nested absurdly deep, and anything that is no plain data
            return Verdict((SchemaError((), f"is not plain data, or nested deeper than {MAX_DEPTH} levels", "depth"),), ())
        key, kind = self._resolve(body)
        memo_key = (digest, elided, kind.identity) if kind is not None else None
        if memo_key is not None and memo_key in _memo:
            return _memo[memo_key]
        report = Report(elided)
        try:
            if crds_module.deeper_than(body, MAX_DEPTH):
                report.error((), f"is nested deeper than {MAX_DEPTH} levels", "depth")
            elif kind is None:
                self._check_unresolved(body, key, report)
            elif isinstance(kind, _BuiltInKind):
                _check_builtin(body, kind, report)
            else:
                _check_custom(body, kind, report)
        except UnicodeEncodeError:
            # half of a surrogate pair, which the engine cannot take; a server reads it as U+FFFD
            report.skip((), "unicode", "the object holds text that is not valid Unicode")
        verdict = Verdict.of(report)
        if memo_key is not None:
            if len(_memo) >= _MEMO_LIMIT:
                _memo.clear()
            _memo[memo_key] = verdict
        return verdict

    def _resolve(self, body: Any) -> tuple[tuple[str, str] | None, _BuiltInKind | _CustomKind | None]:
        if not isinstance(body, dict):
            return None, None
        api_version, kind = body.get("apiVersion"), body.get("kind")
        if not (isinstance(api_version, str) and isinstance(kind, str)):
            return None, None
        key = (api_version, kind)
        if _is_list(body, kind) and key not in self._declared:
            return key, None
        version = self._declared.get(key)
        if version is not None:
            if not version.served:
                return key, None
            found = self._custom.get(key)
            if found is None:
                found = self._custom[key] = _CustomKind(version, crds_module.compiled(version, self._data))
            return key, found
        if not self._data.knows(api_version, kind):
            return key, None
        builtin_key = (self._data.version, api_version, kind)
        builtin = _builtin_kinds.get(builtin_key)
        if builtin is None:
            builtin = _builtin_kinds[builtin_key] = _BuiltInKind(self._data, api_version, kind)
        return key, builtin

    def _check_unresolved(self, body: Any, key: tuple[str, str] | None, report: Report) -> None:
        if not isinstance(body, dict):
            report.error((), "must be an object", "type")
        elif key is None:
            for field in ("apiVersion", "kind"):
                if not isinstance(body.get(field), str):
                    message = "must be a string" if field in body else "required field is missing"
                    report.error((field,), message, "type" if field in body else "required")
        elif _is_list(body, key[1]):
            self._check_list(body, key, report)
        else:
            report.error(("kind",), self._unknown(*key), "unknown-kind")

    def _check_list(self, body: Mapping[str, Any], key: tuple[str, str], report: Report) -> None:
        """A ``List``: kubectl and Flux apply its items one by one. Items of ``<Kind>List`` need not repeat kind and version."""
        api_version, kind = key
        for index, item in enumerate(body["items"]):
            if isinstance(item, dict) and kind != "List" and "kind" not in item:
                item = {"apiVersion": api_version, "kind": kind.removesuffix("List"), **item}
            verdict = self.check(item, elided=report.elided)
            base: Pointer = ("items", index)
            report.errors += [SchemaError((*base, *error.pointer), error.message, error.keyword) for error in verdict.errors]
            report.skips += [Skip((*base, *skip.pointer), skip.keyword, skip.why) for skip in verdict.skips]

    def _unknown(self, api_version: str, kind: str) -> str:
        """Why a kind is not known, with the nearest one that is."""
        version = self._declared.get((api_version, kind))
        if version is not None:
            return f"version {api_version} of {kind} is declared by its CRD but not served"
        group = group_of(api_version)
        others = [known for known in self.kinds(every=True) if known[1] == kind]
        same_group = [known for known, _ in others if group_of(known) == group]
        if same_group:
            return f"{kind} is not in {api_version}: the cluster has it in {', '.join(same_group)}"
        in_group = sorted({known for version_, known in self.kinds(every=True) if group_of(version_) == group})
        lowered = {known.lower(): known for known in in_group}
        if kind.lower() in lowered:
            return f"unknown kind {kind} in {api_version} (did you mean {lowered[kind.lower()]}?)"
        if others:
            return f"unknown kind {kind} in {api_version}: the cluster has it in {', '.join(known for known, _ in others)}"
        return f"unknown kind {kind} in {api_version}: it is not built in, and no CRD of the cluster declares it"


def _is_list(body: Mapping[str, Any], kind: str) -> bool:
    return kind.endswith("List") and isinstance(body.get("items"), list)


def _check_builtin(body: dict[str, Any], kind: _BuiltInKind, report: Report) -> None:
    collect(kind.validator, kind.document, body, report)
    kind.lists.check(kind.definition, body, report)
    validate_metadata(body, kind.api_version, kind.kind, kind.scope or "", report)
    checked = len(report.errors)
    validate_builtin(body, kind.api_version, kind.kind, kind.minor, report)
    if report.elided and len(report.errors) > checked and holds_elided(body, _OPAQUE):
        # These rules compare fields, and one of them may be text that is not here.
        report.skips += [Skip(error.pointer, error.keyword, ELIDED) for error in report.errors[checked:]]
        del report.errors[checked:]
    if "status" in body:
        _forgive_status(report)


def _check_custom(body: dict[str, Any], kind: _CustomKind, report: Report) -> None:
    declared, compiled = kind.declared, kind.compiled
    value = body
    plan = compiled.plan
    if plan is not None and plan.has_defaults:
        value = with_defaults(value, plan)
    collect(compiled.validator, compiled.document, value, report)
    structurally_sound = not report.errors
    if plan is not None and plan.has_checks:
        check_lists(value, plan, report)
        check_embedded(value, plan, report)
    validate_metadata(body, declared.api_version, declared.kind, declared.scope, report)
    if plan is not None and plan.has_rules:
        if structurally_sound:
            unseen = {name: inner for name, inner in value.items() if name != "status"} if declared.has_status else value
            check_rules(unseen, plan, report)
        else:
            # As the API server: rules are not run on what does not fit the schema (hasBlockingErr).
            report.skip((), "x-kubernetes-validations", "the object does not fit its schema")
    for pattern in compiled.dropped:
        report.skip((), "pattern", f"the engine cannot run {pattern!r}")
    if declared.has_status and "status" in body:
        _forgive_status(report)


def _forgive_status(report: Report) -> None:
    """A create drops the status before it validates; only what fails earlier, on decoding, stays."""
    report.errors[:] = [error for error in report.errors if not error.pointer or error.pointer[0] != "status" or error.keyword in _DECODING]
