"""Patches and merges of mutating policies: RFC 6902 against a second implementation, and the laws of server-side apply."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from harness.engines.policy.mutate_merge import MergeError, atomics, merge
from harness.engines.policy.mutate_patch import PatchError, TestFailedError, apply_patch, pointer, same
from harness.engines.policy.mutate_types import Types
from hypothesis import given, settings
from hypothesis import strategies as st

TYPES = Types("1.36")
POD = TYPES.of("v1", "Pod")
SERVICE = TYPES.of("v1", "Service")
DEPLOYMENT = TYPES.of("apps/v1", "Deployment")
assert POD is not None
assert SERVICE is not None
assert DEPLOYMENT is not None

# --- JSON Patch --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [
        # the examples of RFC 6902, appendix A
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"foo": "bar", "baz": "qux"}),
        ({"foo": ["bar", "baz"]}, [{"op": "add", "path": "/foo/1", "value": "qux"}], {"foo": ["bar", "qux", "baz"]}),
        ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
        ({"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
        ({"baz": "qux"}, [{"op": "replace", "path": "/baz", "value": "boo"}], {"baz": "boo"}),
        ({"foo": {"waldo": "fred"}, "qux": {}}, [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}], {"foo": {}, "qux": {"thud": "fred"}}),
        ({"foo": ["all", "grass", "cows", "eat"]}, [{"op": "move", "from": "/foo/1", "path": "/foo/3"}], {"foo": ["all", "cows", "eat", "grass"]}),
        ({"baz": "qux"}, [{"op": "test", "path": "/baz", "value": "qux"}], {"baz": "qux"}),
        ({"foo": ["a", 2, "c"]}, [{"op": "test", "path": "/foo/1", "value": 2}], {"foo": ["a", 2, "c"]}),
        ({"foo": "bar"}, [{"op": "add", "path": "/child", "value": {"grandchild": {}}}], {"foo": "bar", "child": {"grandchild": {}}}),
        ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
        ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["abc", "def"]}], {"foo": ["bar", ["abc", "def"]]}),
        # the rest
        ({"a": [1, 2]}, [{"op": "copy", "from": "/a", "path": "/b"}, {"op": "add", "path": "/b/0", "value": 0}], {"a": [1, 2], "b": [0, 1, 2]}),
        ({"a": 1}, [{"op": "add", "path": "/", "value": 2}], {"a": 1, "": 2}),
        ({"a": [1, 2]}, [{"op": "remove", "path": "/a/-1"}], {"a": [1]}),
        ({"a": 1}, [{"op": "replace", "path": "/b", "value": 2}], {"a": 1, "b": 2}),
        ({"a": 1}, [{"op": "test", "path": "/nosuch", "value": None}], {"a": 1}),
        ({"a": 1}, [{"op": "move", "from": "/a", "path": "/a"}], {"a": 1}),
    ],
)  # fmt: skip
def test_patch(document: Any, patch: list[dict[str, Any]], result: Any) -> None:
    before = copy.deepcopy(document)
    assert apply_patch(document, patch) == result
    assert document == before


@pytest.mark.parametrize(
    ("document", "operation"),
    [
        ({"foo": "bar"}, {"op": "add", "path": "/baz/bat", "value": 1}),
        ({"foo": "bar"}, {"op": "remove", "path": "/baz"}),
        ({"foo": []}, {"op": "add", "path": "/foo/1", "value": 1}),
        ({"foo": []}, {"op": "add", "path": "/foo/01", "value": 1}),
        ({"foo": []}, {"op": "replace", "path": "/foo/0", "value": 1}),
        ({"foo": []}, {"op": "remove", "path": "/foo/x"}),
        ({"foo": 1}, {"op": "move", "from": "/bar", "path": "/foo"}),
        ({"foo": {"a": 1}}, {"op": "move", "from": "/foo", "path": "/foo/a/b"}),
        ({"foo": 1}, {"op": "copy", "path": "/foo"}),
        ({"foo": 1}, {"op": "add", "path": "foo", "value": 1}),
        ({"foo": 1}, {"op": "add", "path": "", "value": 1}),
        ({"foo": 1}, {"op": "merge", "path": "/foo"}),
        ({"foo": 1}, {"op": "add", "value": 1}),
    ],
)
def test_operations_that_do_not_apply(document: Any, operation: dict[str, Any]) -> None:
    with pytest.raises(PatchError):
        apply_patch(document, [operation])


@pytest.mark.parametrize("wanted", [10.5, "10", True, None])
def test_a_test_that_does_not_hold(wanted: Any) -> None:
    with pytest.raises(TestFailedError):
        apply_patch({"a": 10}, [{"op": "test", "path": "/a", "value": wanted}])
    assert same(10, 10.0)
    assert not same([True], [1])


KEYS = st.sampled_from(["a", "b", "a/b", "m~n", "", "0"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["x", "y"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
PATHS = st.lists(KEYS | st.sampled_from(["1", "2", "-"]), min_size=1, max_size=3).map(
    lambda tokens: "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in tokens)
)
OPERATIONS = st.one_of(
    st.fixed_dictionaries({"op": st.sampled_from(["add", "replace", "test"]), "path": PATHS, "value": JSON}),
    st.fixed_dictionaries({"op": st.just("remove"), "path": PATHS}),
    st.fixed_dictionaries({"op": st.sampled_from(["move", "copy"]), "from": PATHS, "path": PATHS}),
)


class OracleError(Exception):
    pass


def rebuilt(value: Any, tokens: list[str], change: Any) -> Any:
    """The oracle: a new document, with what is at a path changed by a function of (container, token); nothing is changed in place."""
    if len(tokens) == 1:
        return change(value, tokens[0])
    if isinstance(value, dict) and tokens[0] in value:
        return {key: rebuilt(item, tokens[1:], change) if key == tokens[0] else item for key, item in value.items()}
    if isinstance(value, list) and tokens[0].isdigit() and str(int(tokens[0])) == tokens[0] and int(tokens[0]) < len(value):
        return [rebuilt(item, tokens[1:], change) if index == int(tokens[0]) else item for index, item in enumerate(value)]
    raise OracleError


def place(container: list[Any], token: str, size: int) -> int:
    if not (token.isdigit() and str(int(token)) == token and int(token) < size):
        raise OracleError
    return int(token)


def put(new: Any) -> Any:
    def change(container: Any, token: str) -> Any:
        if isinstance(container, dict):
            return {**container, token: new}
        if isinstance(container, list):
            index = len(container) if token == "-" else place(container, token, len(container) + 1)
            return [*container[:index], new, *container[index:]]
        raise OracleError

    return change


def drop(container: Any, token: str) -> Any:
    read(container, token)
    return (
        {key: item for key, item in container.items() if key != token}
        if isinstance(container, dict)
        else [item for index, item in enumerate(container) if index != int(token)]
    )


def read(container: Any, token: str) -> Any:
    if isinstance(container, dict) and token in container:
        return container[token]
    if isinstance(container, list):
        return container[place(container, token, len(container))]
    raise OracleError


def set_value(new: Any) -> Any:
    def change(container: Any, token: str) -> Any:
        if not isinstance(container, dict):
            read(container, token)
        return {**container, token: new} if isinstance(container, dict) else [new if index == int(token) else item for index, item in enumerate(container)]

    return change


def found(document: Any, tokens: list[str]) -> Any:
    for token in tokens:
        document = read(document, token)
    return document


def oracle(document: Any, operation: dict[str, Any]) -> Any:
    tokens, name = pointer(operation["path"]), operation["op"]
    if name == "add":
        return rebuilt(document, tokens, put(operation["value"]))
    if name == "replace":
        return rebuilt(document, tokens, set_value(operation["value"]))
    if name == "remove":
        return rebuilt(document, tokens, drop)
    if name == "test":
        if json.dumps(found(document, tokens), sort_keys=True) != json.dumps(operation["value"], sort_keys=True):
            raise OracleError
        return document
    source = pointer(operation["from"])
    value = found(document, source)
    if name == "move":
        if source == tokens:
            return document
        if tokens[: len(source)] == source:
            raise OracleError
        document = rebuilt(document, source, drop)
    return rebuilt(document, tokens, put(value))


@given(document=st.dictionaries(KEYS, JSON, max_size=4), operation=OPERATIONS)
@settings(max_examples=150, deadline=None)
def test_patches_do_what_the_oracle_does(document: dict[str, Any], operation: dict[str, Any]) -> None:
    missing = object()
    try:
        expected = oracle(document, operation)
    except OracleError:
        expected = missing
    try:
        result = apply_patch(document, [operation])
    except PatchError:
        result = missing
    if operation["op"] == "test" and operation["value"] is None and expected is missing:
        return  # a test for null of what is not there holds in the library that both use
    assert (result is missing) == (expected is missing)
    assert result is missing or json.dumps(result, sort_keys=True) == json.dumps(expected, sort_keys=True)


# --- server-side apply -------------------------------------------------------------------------------------------------------------


def container(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, **fields}


@pytest.mark.parametrize(
    ("live", "given_", "merged"),
    [
        pytest.param([container("a"), container("b")], [container("b", image="x")], [container("a"), container("b", image="x")], id="by-name"),
        pytest.param([container("a")], [container("b")], [container("a"), container("b")], id="a-new-one"),
        pytest.param([container("a"), container("b")], [container("b"), container("a")], [container("b"), container("a")], id="the-order-of-the-configuration"),
        pytest.param(
            [container("a"), container("b")],
            [container("c"), container("a")],
            [container("c"), container("a"), container("b")],
            id="a-new-one-before",
        ),
        pytest.param(
            [container("a", ports=[{"containerPort": 80}])],
            [container("a", ports=[{"containerPort": 80, "protocol": "UDP"}, {"containerPort": 80, "protocol": "TCP", "name": "http"}])],
            [container("a", ports=[{"containerPort": 80, "protocol": "UDP"}, {"containerPort": 80, "protocol": "TCP", "name": "http"}])],
            id="ports-by-number-and-protocol",
        ),
        pytest.param([container("a", args=["x"])], [container("a", args=["y"])], [container("a", args=["y"])], id="atomic-lists-are-replaced"),
        pytest.param(
            [container("a", env=[{"name": "K", "value": "1"}])],
            [container("a", env=[{"name": "L"}])],
            [container("a", env=[{"name": "K", "value": "1"}, {"name": "L"}])],
            id="environment",
        ),
        pytest.param([container("a", image="x")], [container("a", image=None)], [container("a", image=None)], id="null"),
        pytest.param(
            [container("a", ports=[{"containerPort": 80.0}])],
            [container("a", ports=[{"containerPort": 80}])],
            [container("a", ports=[{"containerPort": 80}])],
            id="numbers",
        ),
    ],
)
def test_containers_are_merged(live: list[Any], given_: list[Any], merged: list[Any]) -> None:
    assert merge({"spec": {"containers": live}}, {"spec": {"containers": given_}}, POD) == {"spec": {"containers": merged}}


def test_maps_sets_and_atomic_maps() -> None:
    live = {"metadata": {"labels": {"a": "1", "b": "2"}, "finalizers": ["x", "y"]}, "spec": {"nodeSelector": {"a": "1"}, "tolerations": [{"key": "a"}]}}
    given_ = {"metadata": {"labels": {"b": "3"}, "finalizers": ["y", "z"]}, "spec": {"nodeSelector": {"b": "1"}, "tolerations": [{"key": "b"}]}}
    assert merge(live, given_, POD) == {
        "metadata": {"labels": {"a": "1", "b": "3"}, "finalizers": ["x", "y", "z"]},
        "spec": {"nodeSelector": {"b": "1"}, "tolerations": [{"key": "b"}]},
    }
    assert list(atomics(given_, POD)) == [".spec.nodeSelector", ".spec.tolerations"]


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"spec": {"nosuch": 1}}, ".spec.nosuch: field not declared in schema"),
        ({"spec": {"containers": {}}}, ".spec.containers: expected list, got map"),
        ({"spec": {"nodeName": {"a": 1}}}, ".spec.nodeName: expected scalar, got map"),
        ({"spec": {"containers": [{"image": "x"}]}}, ".spec.containers[0]: associative list with keys has an element that omits key field 'name'"),
        ({"spec": {"containers": [{"name": "a"}, {"name": "a"}]}}, '.spec.containers: duplicate entries for key {"name": "a"}'),
    ],
)
def test_configurations_that_do_not_fit(given_: dict[str, Any], message: str) -> None:
    with pytest.raises(MergeError) as raised:
        merge({"spec": {}}, given_, POD)
    assert str(raised.value) == message


def test_live_objects_that_do_not_fit() -> None:
    with pytest.raises(MergeError, match=r"\.metadata\.nosuch: field not declared in schema"):
        merge({"metadata": {"nosuch": 1}}, {"metadata": {"labels": {"a": "b"}}}, POD)
    twice = {"spec": {"containers": [container("a", image="x"), container("a", image="y")]}}
    assert merge(twice, {"metadata": {"labels": {"a": "b"}}}, POD) == {**twice, "metadata": {"labels": {"a": "b"}}}


def test_kinds_of_custom_resources() -> None:
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "plain": {"type": "array", "items": {"type": "string"}},
                    "rules": {
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["id"],
                        "items": {"type": "object", "properties": {"id": {"type": "string"}, "n": {"type": "integer"}}},
                    },
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
            }
        },
    }
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"kind": "Thing", "plural": "things"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    types = Types("1.36", [crd])
    thing = types.of("example.com/v1", "Thing")
    assert thing is not None
    assert types.of("example.com/v2", "Thing") is None
    live = {"metadata": {"labels": {"a": "b"}}, "spec": {"plain": ["a"], "rules": [{"id": "x", "n": 1}], "free": {"a": {"b": 1}}}}
    given_ = {"metadata": {"labels": {"c": "d"}}, "spec": {"plain": ["b"], "rules": [{"id": "x", "n": 2}, {"id": "y"}], "free": {"a": {"c": 1}}}}
    assert merge(live, given_, thing) == {
        "metadata": {"labels": {"a": "b", "c": "d"}},
        "spec": {"plain": ["b"], "rules": [{"id": "x", "n": 2}, {"id": "y"}], "free": {"a": {"b": 1, "c": 1}}},
    }


NAMES = st.sampled_from(["a", "b", "c", "d"])
ENV = st.lists(st.fixed_dictionaries({"name": NAMES}, optional={"value": st.sampled_from(["1", "2"])}), max_size=3, unique_by=lambda entry: entry["name"])
CONTAINERS = st.lists(
    st.fixed_dictionaries({"name": NAMES}, optional={"image": st.sampled_from(["x", "y"]), "env": ENV, "args": st.lists(NAMES, max_size=2)}),
    max_size=4,
    unique_by=lambda entry: entry["name"],
)
PODS = st.fixed_dictionaries(
    {"spec": st.fixed_dictionaries({}, optional={"containers": CONTAINERS, "nodeName": NAMES})},
    optional={"metadata": st.fixed_dictionaries({}, optional={"labels": st.dictionaries(NAMES, NAMES, max_size=3)})},
)


def contains(whole: Any, part: Any) -> bool:
    """Whether everything that a configuration says is so in an object; lists of named items by name."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(name in whole and contains(whole[name], value) for name, value in part.items())
    if isinstance(part, list) and all(isinstance(item, dict) and "name" in item for item in part):
        named = {item["name"]: item for item in whole}
        return all(item["name"] in named and contains(named[item["name"]], item) for item in part)
    return bool(whole == part)


@given(live=PODS, given_=PODS)
@settings(max_examples=100, deadline=None)
def test_the_laws_of_merging(live: dict[str, Any], given_: dict[str, Any]) -> None:
    before = copy.deepcopy((live, given_))
    merged = merge(live, given_, POD)
    assert (live, given_) == before
    # What the configuration says is so, and saying it again changes nothing.
    assert contains(merged, given_)
    assert merge(merged, given_, POD) == merged
    assert merge(live, {}, POD) == live
    assert merge({}, given_, POD) == given_
    # Nothing gets lost but what the configuration replaces.
    names = [item["name"] for item in merged.get("spec", {}).get("containers", [])]
    wanted = {item["name"] for source in (live, given_) for item in source["spec"].get("containers", [])}
    assert sorted(names) == sorted(wanted)
    assert [name for name in names if name in {item["name"] for item in given_["spec"].get("containers", [])}] == [
        item["name"] for item in given_["spec"].get("containers", [])
    ]
