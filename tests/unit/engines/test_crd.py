"""Schemas of custom resources: pruning, defaults, lists, embedded objects, CEL rules; and that they mean what JSON schema says they mean."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from harness.engines import crd
from harness.engines.crd_rules import field_path
from harness.engines.schema import SchemaSet
from harness.engines.schema_data import builtins
from hypothesis import given, settings
from hypothesis import strategies as st

Json = dict[str, Any]
STRING = {"type": "string"}
INTEGER = {"type": "integer"}
PRESERVE = {"x-kubernetes-preserve-unknown-fields": True}


def cluster(spec: Json, *, root: Json | None = None, preserve: bool = False, **version: Any) -> SchemaSet:
    """A cluster with the kind Thing, whose ``spec`` has this schema."""
    schema = {"type": "object", "properties": {"spec": spec}, **(root or {})}
    return SchemaSet.for_cluster(
        "1.36",
        [
            {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": "things.example.com"},
                "spec": {
                    "group": "example.com",
                    "scope": "Namespaced",
                    "names": {"plural": "things", "kind": "Thing"},
                    "preserveUnknownFields": preserve,
                    "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, **version}],
                },
            }
        ],
    )


def thing(spec: Any, **more: Any) -> Json:
    return {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": spec, **more}


def said(schema: Json, spec: Any, **options: Any) -> list[str]:
    return [str(error) for error in cluster(schema, **options).validate(thing(spec))]


def obj(**properties: Any) -> Json:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("schema", "spec", "errors"),
    [
        # pruning: what the server would drop is an error, since Flux asks for strict validation
        pytest.param(obj(image=STRING), {"imagee": "x"}, ["spec.imagee: unknown field (did you mean image?)"], id="unknown"),
        pytest.param({"type": "object"}, {"a": 1}, ["spec.a: unknown field"], id="object-without-properties"),
        pytest.param({"type": "object", **PRESERVE}, {"a": {"b": [1, {"c": None}]}}, [], id="preserve"),
        pytest.param({**obj(a=obj(b=STRING)), **PRESERVE}, {"x": 1, "a": {"c": 1}}, ["spec.a.c: unknown field"], id="preserve-is-not-inherited"),
        pytest.param({"type": "array", "items": obj(a=STRING), **PRESERVE}, [{"b": 1}], [], id="preserve-on-a-list-holds-for-items"),
        pytest.param(PRESERVE, "anything", [], id="preserve-without-type"),
        pytest.param({"type": "object", "additionalProperties": INTEGER}, {"a": 1, "b": "x"}, ['spec.b: must be an integer, not "x"'], id="map"),
        pytest.param({"type": "object", "additionalProperties": True}, {"a": 1}, [], id="map-of-anything-keeps-scalars"),
        pytest.param({"type": "object", "additionalProperties": True}, {"a": {"b": 1}}, ["spec.a.b: unknown field"], id="map-of-anything-drops-what-is-below"),
        pytest.param({"type": "array", "items": obj(a=STRING)}, [{"a": "x"}, {"b": 1}], ["spec[1].b: unknown field"], id="items"),
        pytest.param(
            {**obj(a=STRING), "anyOf": [{"required": ["a"]}, {"properties": {"b": {}}}]},
            {"b": 1},
            ["spec.b: unknown field"],
            id="an-alternative-declares-nothing",
        ),
        # types
        pytest.param(obj(a={"x-kubernetes-int-or-string": True}), {"a": 1}, [], id="int-or-string-int"),
        pytest.param(obj(a={"x-kubernetes-int-or-string": True}), {"a": "50%"}, [], id="int-or-string-string"),
        pytest.param(
            obj(a={"x-kubernetes-int-or-string": True}), {"a": True}, ["spec.a: must be an integer or a string, not true"], id="int-or-string-boolean"
        ),
        pytest.param(obj(a={**STRING, "nullable": True}), {"a": None}, [], id="nullable"),
        pytest.param(obj(a=STRING), {"a": None}, ["spec.a: must be a string, not null"], id="null"),
        pytest.param(obj(a={**STRING, "default": "x", "maxLength": 1}), {"a": None}, [], id="null-becomes-the-default"),
        pytest.param(obj(a={"type": "number"}), {"a": 1}, [], id="an-integer-is-a-number"),
        pytest.param(obj(a=INTEGER), {"a": 1.0}, [], id="a-whole-number-is-an-integer"),
        pytest.param(obj(a=INTEGER), {"a": 1.5}, ["spec.a: must be an integer, not 1.5"], id="a-fraction-is-not"),
        # values
        pytest.param(obj(a={**INTEGER, "minimum": 1, "exclusiveMinimum": True}), {"a": 1}, ["spec.a: must be more than 1, not 1"], id="exclusive-minimum"),
        pytest.param(obj(a={**INTEGER, "maximum": 3, "exclusiveMaximum": True}), {"a": 3}, ["spec.a: must be less than 3, not 3"], id="exclusive-maximum"),
        pytest.param(obj(a={**INTEGER, "maximum": 3, "exclusiveMaximum": False}), {"a": 3}, [], id="inclusive-maximum"),
        pytest.param(obj(a={**INTEGER, "multipleOf": 5}), {"a": 7}, ["spec.a: must be a multiple of 5, not 7"], id="multiple-of"),
        pytest.param(obj(a={**STRING, "enum": ["A", "B"]}), {"a": "a"}, ['spec.a: must be one of "A", "B", not "a" (did you mean "A"?)'], id="enum"),
        pytest.param(obj(a={**STRING, "enum": []}), {"a": "x"}, [], id="empty-enum-is-none"),
        pytest.param(obj(a={**STRING, "format": "ipv4"}), {"a": "1.2.3"}, ['spec.a: must be of format ipv4, not "1.2.3"'], id="format"),
        pytest.param(obj(a={**STRING, "format": "of-my-own"}), {"a": "x"}, [], id="unknown-format"),
        pytest.param(obj(a={**STRING, "format": ""}), {"a": "x"}, [], id="empty-format"),
        pytest.param(obj(a={**STRING, "pattern": r"^\d+$"}), {"a": "x\n1"}, ["spec.a: must match '^\\\\d+$', \"x\\n1\" does not"], id="pattern"),
        pytest.param(
            {"type": "object", "additionalProperties": STRING, "maxProperties": 1}, {"a": "b", "c": "d"}, ["spec: must have at most 1 properties"], id="size"
        ),
        pytest.param(
            {**obj(a=STRING, b=STRING), "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"a": "x", "b": "y"},
            ["spec: must match exactly one of the alternatives, matches several"],
            id="one-of",
        ),
        pytest.param({**obj(a=STRING), "not": {"required": ["a"]}}, {"a": "x"}, ['spec: must not match {"required": ["a"]}'], id="not"),
        pytest.param({**obj(a=STRING), "required": ["a", "b"]}, {"a": "x"}, ["spec.b: required field is missing"], id="required-but-undeclared"),
        # defaults
        pytest.param({**obj(a={**STRING, "default": "x"}), "required": ["a"]}, {}, [], id="a-default-satisfies-required"),
        pytest.param(
            obj(a={**obj(b={**INTEGER, "default": 1}), "required": ["b", "c"]}),
            {"a": {}},
            ["spec.a.c: required field is missing"],
            id="a-default-inside-an-object",
        ),
        pytest.param(obj(a={**obj(b={**INTEGER, "default": 1}), "default": {}, "required": ["b"]}), {}, [], id="a-default-inside-a-default"),
        # lists
        pytest.param(
            obj(a={"type": "array", "items": STRING, "x-kubernetes-list-type": "set"}), {"a": ["x", "y", "x"]}, ["spec.a[2]: duplicate of [0] (x)"], id="set"
        ),
        pytest.param(
            obj(a={"type": "array", "items": obj(k=STRING, n=INTEGER), "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k", "n"]}),
            {"a": [{"k": "x", "n": 1}, {"k": "x", "n": 2}, {"k": "x", "n": 1}]},
            ["spec.a[2]: duplicate of [0] (k=x, n=1)"],
            id="map-list",
        ),
        pytest.param(obj(a={"type": "array", "items": STRING, "x-kubernetes-list-type": "atomic"}), {"a": ["x", "x"]}, [], id="atomic-list"),
        # embedded objects
        pytest.param(
            obj(a={"type": "object", "x-kubernetes-embedded-resource": True, **PRESERVE}),
            {"a": {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": "b c"}}, "spec": {"x": 1}}},
            [
                "spec.a.metadata.labels.a: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
                "and must start and end with an alphanumeric character, not 'b c'"
            ],
            id="embedded",
        ),
        pytest.param(
            obj(a={"type": "object", "x-kubernetes-embedded-resource": True, **PRESERVE}),
            {"a": {"kind": "", "metadata": {"lables": {}}}},
            ["spec.a.apiVersion: required field is missing", "spec.a.kind: must not be empty", "spec.a.metadata.lables: unknown field (did you mean labels?)"],
            id="embedded-without-a-version",
        ),
    ],
)
def test_schema(schema: Json, spec: Any, errors: list[str]) -> None:
    assert said(schema, spec) == errors


def test_the_root_needs_no_fields_of_its_own() -> None:
    assert cluster(obj()).validate(thing({})) == []


def test_metadata_is_that_of_every_object() -> None:
    schemas = cluster(obj(), root={"properties": {"metadata": {"type": "object", "properties": {"name": {**STRING, "maxLength": 3}}}}})
    body = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "long", "labels": {"a": "b"}, "lables": {}}}
    assert [str(error) for error in schemas.validate(body)] == [
        "metadata.lables: unknown field (did you mean labels?)",
        "metadata.name: must have at most 3 characters",
    ]


def test_a_kind_without_a_schema_holds_anything() -> None:
    schemas = SchemaSet.for_cluster("1.36", [{"spec": {"group": "a.b", "scope": "Cluster", "names": {"kind": "Any"}, "versions": [{"name": "v1"}]}}])
    assert schemas.validate({"apiVersion": "a.b/v1", "kind": "Any", "metadata": {"name": "x"}, "anything": [{"goes": 1}]}) == []


def test_the_old_way_to_preserve_everything() -> None:
    assert said(obj(a=obj(b=STRING)), {"x": 1, "a": {"y": 2}}, preserve=True) == []
    assert said(obj(a=STRING), {"x": 1, "a": 2}, preserve=True) == ["spec.a: must be a string, not 2"]


def test_a_pattern_that_the_engine_cannot_run_is_not_evaluated() -> None:
    schemas = cluster(obj(a={**STRING, "pattern": r"^\Qa.b\E$"}, b={**STRING, "pattern": "^x$"}))
    verdict = schemas.check(thing({"a": "zzz", "b": "y"}))
    assert [str(error) for error in verdict.errors] == ["spec.b: must match '^x$', \"y\" does not"]
    assert [str(skip) for skip in verdict.skips] == [".: pattern not evaluated: the engine cannot run '^\\\\Qa.b\\\\E$'"]


def test_a_keyword_of_a_wrong_type_is_not_evaluated() -> None:
    verdict = cluster(obj(a={**STRING, "maxLength": "three"})).check(thing({"a": "four"}))
    assert verdict.errors == ()
    assert [str(skip) for skip in verdict.skips] == [".: pattern not evaluated: the engine cannot run \"maxLength: 'three'\""]


def test_a_pattern_cannot_make_it_hang() -> None:
    assert said(obj(a={**STRING, "pattern": "^(a+)+$"}), {"a": "a" * 50_000 + "!"})[0].startswith("spec.a: must match")


# CEL rules


def rule(text: str, **more: Any) -> Json:
    return {"rule": text, **more}


def ruled(*rules: Json, **properties: Any) -> Json:
    return {**obj(**properties), "x-kubernetes-validations": list(rules)}


@pytest.mark.parametrize(
    ("schema", "spec", "errors"),
    [
        pytest.param(ruled(rule("self.a < self.b"), a=INTEGER, b=INTEGER), {"a": 1, "b": 2}, [], id="holds"),
        pytest.param(ruled(rule("self.a < self.b"), a=INTEGER, b=INTEGER), {"a": 2, "b": 1}, ["spec: failed rule: self.a < self.b"], id="fails"),
        pytest.param(ruled(rule("false", message=" because "), a=INTEGER), {}, ["spec: because"], id="message"),
        pytest.param(
            ruled(rule("self.a < 1", messageExpression="'a is ' + string(self.a)", message="no"), a=INTEGER),
            {"a": 5},
            ["spec: a is 5"],
            id="message-expression",
        ),
        pytest.param(ruled(rule("false", messageExpression="self.nope", message="fallback")), {}, ["spec: fallback"], id="message-expression-that-fails"),
        pytest.param(ruled(rule("false", messageExpression="''", message="fallback")), {}, ["spec: fallback"], id="message-expression-without-words"),
        pytest.param(ruled(rule("false", message="no", fieldPath=".a['b.c']")), {}, ["spec.a.b.c: no"], id="field-path"),
        pytest.param(ruled(rule("self.a > 0")), {}, ["spec: rule 'self.a > 0' cannot be evaluated: no such key: a"], id="a-field-that-is-not-there"),
        pytest.param(ruled(rule("!has(self.a) || self.a > 0"), a=INTEGER), {}, [], id="has"),
        pytest.param(ruled(rule("self.a == 5"), a={**INTEGER, "default": 5}), {}, [], id="defaults-come-first"),
        pytest.param(obj(a={**STRING, "x-kubernetes-validations": [rule("self == oldSelf")]}), {"a": "x"}, [], id="transition"),
        pytest.param(
            obj(a={**STRING, "x-kubernetes-validations": [rule("oldSelf.hasValue() || self != 'x'", optionalOldSelf=True, message="new")]}),
            {"a": "x"},
            ["spec.a: new"],
            id="transition-for-creates-too",
        ),
        pytest.param(
            obj(l={"type": "array", "items": ruled(rule("self.n > 0", message="small"), n=INTEGER)}),
            {"l": [{"n": 1}, {"n": 0}]},
            ["spec.l[1]: small"],
            id="items",
        ),
        pytest.param(
            obj(m={"type": "object", "additionalProperties": ruled(rule("self.n > 0", message="small"), n=INTEGER)}),
            {"m": {"x": {"n": 0}}},
            ["spec.m.x: small"],
            id="map-values",
        ),
        pytest.param(
            {**obj(a=INTEGER), "allOf": [{"x-kubernetes-validations": [rule("self.a > 3", message="small")]}]}, {"a": 1}, ["spec: small"], id="all-of"
        ),
        pytest.param(
            ruled(rule("self.a.startsWith('x')"), a=STRING, b=INTEGER), {"a": "y", "b": "1"}, ['spec.b: must be an integer, not "1"'], id="not-run-on-misfits"
        ),
        # values have the types of their schema
        pytest.param(
            ruled(rule("self.t > timestamp('2020-01-01T00:00:00Z')"), t={**STRING, "format": "date-time"}), {"t": "2024-01-01T00:00:00Z"}, [], id="date-time"
        ),
        pytest.param(ruled(rule("self.d <= duration('1h')", message="long"), d={**STRING, "format": "duration"}), {"d": "61m"}, ["spec: long"], id="duration"),
        pytest.param(ruled(rule("self.b == b'hi'"), b={**STRING, "format": "byte"}), {"b": "aGk="}, [], id="bytes"),
        pytest.param(
            ruled(rule("type(self.p) == int ? self.p < 10 : self.p == 'x'"), p={"x-kubernetes-int-or-string": True}), {"p": "x"}, [], id="int-or-string"
        ),
        pytest.param(ruled(rule("self.n / 2.0 == 0.5"), n={"type": "number"}), {"n": 1}, [], id="a-whole-number-is-a-double"),
        pytest.param(
            ruled(rule("self.__namespace__ == 'a' && self.a__dash__b == 1"), **{"namespace": STRING, "a-b": INTEGER}),
            {"namespace": "a", "a-b": 1},
            [],
            id="escapes",
        ),
        pytest.param(ruled(rule("self.x == null"), x={**STRING, "nullable": True}), {"x": None}, [], id="null"),
        pytest.param(ruled(rule("quantity(self.q).isGreaterThan(quantity('1Gi'))"), q=STRING), {"q": "2Gi"}, [], id="quantity"),
    ],
)
def test_rule(schema: Json, spec: Any, errors: list[str]) -> None:
    assert said(schema, spec) == errors


def test_rules_of_the_root_see_the_name() -> None:
    schemas = cluster(obj(), root={"x-kubernetes-validations": [rule("self.metadata.name == 'default'", message="only one, called default")]})
    assert [str(error) for error in schemas.validate(thing({}))] == [".: only one, called default"]


def test_rules_do_not_see_the_status() -> None:
    schemas = cluster(obj(), root={"x-kubernetes-validations": [rule("!has(self.status)", message="seen")]}, subresources={"status": {}})
    assert schemas.validate(thing({}, status={})) == [] or "status" not in str(schemas.validate(thing({})))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("self == oldSelf", "transition rule, for updates only: self == oldSelf", id="transition"),
        pytest.param("self.a.b(", "1:10: Syntax error: mismatched input", id="syntax"),
        pytest.param("self.a + 1", "result is not a boolean: self.a + 1", id="no-boolean"),
        pytest.param("self.a.nosuch()", "undeclared reference to 'nosuch'", id="unknown-function"),
    ],
)
def test_rules_that_are_not_evaluated_are_named(text: str, why: str) -> None:
    verdict = cluster(ruled(rule(text), a=INTEGER)).check(thing({"a": 1}))
    assert verdict.errors == ()
    (skip,) = verdict.skips
    assert skip.keyword == "x-kubernetes-validations"
    assert skip.why.startswith(why)


def test_rules_on_elided_text_are_not_evaluated() -> None:
    verdict = cluster(ruled(rule("self.a == 'x'"), a=STRING)).check(thing({"a": f"sha256:{'0' * 16}"}), elided=True)
    assert verdict.errors == ()
    assert [str(skip) for skip in verdict.skips] == ["spec: x-kubernetes-validations not evaluated: the text is elided in the lock"]


@pytest.mark.parametrize(
    ("path", "pointer"),
    [(".spec.replicas", ("spec", "replicas")), (".a['b/c'].d", ("a", "b/c", "d")), (r".a['it\'s']", ("a", "it's")), (None, ()), ("", ())],
)
def test_field_path(path: str | None, pointer: tuple[str, ...]) -> None:
    assert field_path(path) == pointer


# Against another engine, and against pruning written down as what it is

NAMES = st.sampled_from(["a", "b", "c"])


def _schemas(depth: int) -> st.SearchStrategy[Json]:
    scalars = st.one_of(
        st.fixed_dictionaries({"type": st.just("string")}, optional={"maxLength": st.integers(0, 2), "pattern": st.sampled_from(["^x", "y$"])}),
        st.fixed_dictionaries({"type": st.just("string")}, optional={"enum": st.lists(st.sampled_from(["x", "y", "xy"]), unique=True, max_size=2)}),
        st.fixed_dictionaries(
            {"type": st.sampled_from(["integer", "number"])},
            optional={"minimum": st.integers(-1, 1), "exclusiveMinimum": st.booleans(), "maximum": st.integers(1, 3)},
        ),
        st.fixed_dictionaries({"type": st.sampled_from(["string", "integer", "boolean"])}, optional={"nullable": st.booleans()}),
        st.just({"x-kubernetes-int-or-string": True}),
        st.just(PRESERVE),
        st.just({"type": "object", **PRESERVE}),
    )
    if depth == 0:
        return scalars
    inner = _schemas(depth - 1)
    alternatives = st.lists(
        st.fixed_dictionaries({}, optional={"required": st.lists(NAMES, max_size=2, unique=True), "maxProperties": st.integers(0, 2)}), min_size=1, max_size=2
    )
    return st.one_of(
        scalars,
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(NAMES, inner, max_size=3)},
            optional={
                "required": st.lists(NAMES, max_size=1),
                "x-kubernetes-preserve-unknown-fields": st.just(True),
                "anyOf": alternatives,
                "oneOf": alternatives,
                "allOf": alternatives,
                "not": st.fixed_dictionaries({"required": st.lists(NAMES, min_size=1, max_size=2, unique=True)}),
            },
        ),
        st.fixed_dictionaries({"type": st.just("object"), "additionalProperties": inner}, optional={"minProperties": st.integers(0, 1)}),
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}, optional={"maxItems": st.integers(0, 2), "nullable": st.booleans()}),
    )


SCALARS = st.sampled_from(["x", "y", "xy", "", 0, 1, 2, 1.5, True, None])
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6)


def pruned(value: Any, schema: Json) -> Any:
    """What the server stores of a value: pruning.Prune, for the schemas of the strategy."""
    if schema.get("x-kubernetes-preserve-unknown-fields") and not schema.get("properties"):
        return value
    if isinstance(value, list):
        return [pruned(item, schema.get("items", {})) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for name, inner in value.items():
        if name in schema.get("properties", {}):
            kept[name] = pruned(inner, schema["properties"][name])
        elif "additionalProperties" in schema:
            kept[name] = pruned(inner, schema["additionalProperties"])
        elif schema.get("x-kubernetes-preserve-unknown-fields"):
            kept[name] = inner
    return kept


def plain(schema: Any) -> Any:
    """A structural schema as ordinary JSON schema, open to unknown fields."""
    if isinstance(schema, list):
        return [plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {
        keyword: {name: plain(inner) for name, inner in value.items()} if keyword == "properties" else plain(value)
        for keyword, value in schema.items()
        if not keyword.startswith("x-") and keyword not in ("nullable", "exclusiveMinimum", "enum", "required")
    }
    if schema.get("x-kubernetes-int-or-string"):
        result["type"] = ["integer", "string"]
    if schema.get("nullable"):
        result["type"] = [result["type"], "null"]
    if schema.get("exclusiveMinimum") and "minimum" in schema:
        result["exclusiveMinimum"] = result.pop("minimum")
    result |= {keyword: schema[keyword] for keyword in ("enum", "required") if schema.get(keyword)}
    return result


@given(schema=_schemas(2), values=st.lists(VALUES, min_size=5, max_size=15))
@settings(max_examples=60)
def test_a_value_is_valid_when_it_fits_and_nothing_is_pruned(schema: Json, values: list[Any]) -> None:
    schemas = cluster(schema)
    oracle = jsonschema.Draft202012Validator(plain(schema))
    for value in values:
        expected = oracle.is_valid(value) and pruned(value, schema) == value
        assert (schemas.validate(thing(value)) == []) is expected, f"{schema} {value!r}"


@given(schema=_schemas(2), values=st.lists(VALUES, min_size=3, max_size=6))
@settings(max_examples=30)
def test_the_converted_schema_means_the_same_to_another_engine(schema: Json, values: list[Any]) -> None:
    document = crd.convert(obj(spec=schema), builtins("1.36"))
    jsonschema.Draft202012Validator.check_schema(document)
    oracle = jsonschema.Draft202012Validator(document)
    schemas = cluster(schema)
    for value in values:
        assert oracle.is_valid(thing(value)) is (schemas.validate(thing(value)) == [])
