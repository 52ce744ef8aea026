from __future__ import annotations

from typing import Any

import pytest
from harness.flux.archive import write_tar
from harness.flux.chart import ChartError, chart_of, flatten, questions, unpack
from harness.flux.valuecheck import check_schemas, coalesce, enabled, unknown_values


def files(**content: str) -> dict[str, bytes]:
    return {path.replace("__", "/").replace("_yaml", ".yaml").replace("_json", ".json"): text.encode() for path, text in content.items()}


def child(name: str, version: str = "1.0.0", **content: str) -> dict[str, bytes]:
    return files(Chart_yaml=f"name: {name}\nversion: {version}\n", **content)


PARENT = """\
name: parent
version: 1.0.0
dependencies:
- {name: db, version: 1.x, condition: "db.enabled,global.db"}
- {name: db, version: 1.x, alias: replica, condition: replica.enabled}
- {name: cache, version: ">=2", tags: [fast, big]}
- {name: absent, version: 1.0.0}
"""


def parent(values: str = "") -> dict[str, bytes]:
    content = files(Chart_yaml=PARENT, values_yaml=values)
    content |= {f"charts/db/{path}": data for path, data in child("db", "1.2.0", values_yaml="enabled: true\nsize: 1\nkept: null\n").items()}
    content |= {f"charts/cache/{path}": data for path, data in child("cache", "2.1.0", templates__a_yaml="{{ randAlpha 1 }}", crds__c_yaml="kind: X\n").items()}
    content |= {f"charts/always/{path}": data for path, data in child("always").items()}
    return content


def used(content: dict[str, bytes], values: dict[str, Any]) -> list[str]:
    chart = chart_of(content)
    return [".".join(map(str, path)) for path, _ in enabled(chart, coalesce(chart, values))][1:]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ["db", "replica", "cache", "always"]),
        ({"db": {"enabled": False}}, ["replica", "cache", "always"]),
        ({"replica": {"enabled": False}}, ["db", "cache", "always"]),
        # A condition that is no boolean is passed over for the next one, and for the tags.
        ({"db": {"enabled": "no"}, "global": {"db": False}}, ["replica", "cache", "always"]),
        ({"tags": {"fast": False}}, ["db", "replica", "always"]),
        ({"tags": {"fast": False, "big": True}}, ["db", "replica", "cache", "always"]),
        ({"tags": {"other": False}}, ["db", "replica", "cache", "always"]),
    ],
)
def test_which_sub_charts_are_used(values: dict[str, Any], expected: list[str]) -> None:
    assert used(parent(), values) == expected


def test_a_sub_chart_of_another_version_is_not_the_dependency() -> None:
    content = parent()
    content["charts/cache/Chart.yaml"] = b"name: cache\nversion: 1.0.0\n"
    assert used(content, {}) == ["db", "replica", "always"]


def test_missing_dependencies_are_named() -> None:
    assert [dependency.name for dependency in chart_of(parent()).missing] == ["absent"]


def test_values_of_users_parents_and_charts_are_laid_over_each_other() -> None:
    chart = chart_of(parent("a: {b: 1, c: 2}\nglobal: {x: 1}\ndb: {size: 2}\n"))
    result = coalesce(chart, {"a": {"c": None}, "db": {"extra": [1]}, "global": {"y": 2}})
    assert result["a"] == {"b": 1}
    assert result["db"] == {"enabled": True, "size": 2, "kept": None, "extra": [1], "global": {"x": 1, "y": 2}}
    assert result["replica"] == {"enabled": True, "size": 1, "kept": None, "global": {"x": 1, "y": 2}}


def test_packed_sub_charts_are_read_in_their_place() -> None:
    inner = {f"db/{path}": data for path, data in child("db", "1.2.0").items()}
    content = {"top/Chart.yaml": b"name: top\nversion: 1.0.0\n", "top/charts/db-1.2.0.tgz": write_tar(inner)}
    found = unpack(write_tar(content))
    assert sorted(found) == ["Chart.yaml", "charts/db/Chart.yaml"]
    assert [item.name for item in chart_of(found).children] == ["db"]


def test_questions_are_asked_of_all_sub_charts() -> None:
    content = parent() | files(templates__x_yaml='{{ lookup "v1" "Secret" "" "" }}{{ .Capabilities.APIVersions.Has "a/v1" }}')
    found = questions(content, chart_of(content))
    assert (found.name, found.version, found.api_versions) == ("parent", "1.0.0", {"a/v1"})
    assert (found.random, found.lookups) == ({"charts/cache/templates/a.yaml"}, {"templates/x.yaml"})


def test_requirements_of_old_charts() -> None:
    content = files(Chart_yaml="name: old\nversion: 1\n", requirements_yaml="dependencies: [{name: db, version: 1.x}]")
    assert [dependency.name for dependency in chart_of(content).dependencies] == ["db"]
    assert chart_of(content).version == "1"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (files(Chart_yaml="a: b: c"), "Chart.yaml cannot be read"),
        (files(Chart_yaml="- a"), "Chart.yaml is not a mapping"),
        (files(Chart_yaml="name: x"), "Chart.yaml holds no name and version"),
        (files(Chart_yaml="name: x\nversion: 1.0.0", values_yaml="a: [\n"), "values.yaml cannot be read"),
        (files(Chart_yaml="name: x\nversion: 1.0.0", values_schema_json="{"), None),
        (files(Chart_yaml="name: x\nversion: 1.0.0\ndependencies: 3"), "dependencies of Chart.yaml are not a list"),
        ({"Chart.yaml": b"name: x\nversion: 1.0.0", "values.schema.json": b"{"}, "values.schema.json is not JSON"),
    ],
)
def test_damaged_charts(content: dict[str, bytes], message: str | None) -> None:
    if message is None:
        assert chart_of(content).schema is None
        return
    with pytest.raises(ChartError, match=message):
        chart_of(content)


def test_damaged_packages() -> None:
    with pytest.raises(ChartError, match="the package is no readable tar archive"):
        unpack(b"no archive")
    with pytest.raises(ChartError, match=r"the package holds no Chart\.yaml"):
        unpack(write_tar({"a/values.yaml": b""}))
    with pytest.raises(ChartError, match=r"charts/x\.tgz is no readable tar archive"):
        flatten({"Chart.yaml": b"", "charts/x.tgz": b"broken"})
    nested = {"c/Chart.yaml": b"name: c\nversion: 1.0.0\n"}
    for _ in range(10):
        nested = {"c/Chart.yaml": b"name: c\nversion: 1.0.0\n", "c/charts/c.tgz": write_tar(nested)}
    with pytest.raises(ChartError, match="nested more than 8 deep"):
        unpack(write_tar(nested))


# Schemas


def schema_chart(schema: str, name: str = "x") -> dict[str, bytes]:
    return child(name, values_yaml="a: 1\n") | {"values.schema.json": schema.encode()}


def test_schema_faults_name_the_value_of_the_right_chart() -> None:
    content = schema_chart('{"type": "object", "properties": {"a": {"type": "integer"}, "b": {"enum": ["x"]}}}')
    content["Chart.yaml"] += b"dependencies: [{name: sub, version: 1.x, alias: other, condition: other.on}]\n"
    content |= {f"charts/sub/{path}": data for path, data in schema_chart('{"required": ["must"], "additionalProperties": {"type": "integer"}}', "sub").items()}
    chart = chart_of(content)
    checked = check_schemas(chart, coalesce(chart, {"b": "y", "other": {"z": "text"}}))
    found = [(fault.pointer, fault.message) for fault in checked.faults]
    assert found == [(("b",), '"y" is not one of "x"'), (("other",), '"must" is a required property'), (("other", "z"), '"text" is not of type "integer"')]
    assert check_schemas(chart, coalesce(chart, {"other": {"on": False}})).faults == ()


def test_schemas_that_refer_elsewhere_are_not_used() -> None:
    chart = chart_of(schema_chart('{"properties": {"a": {"$ref": "https://example.com/x.json#/a"}, "b": {"$ref": "#/properties/a"}}}'))
    checked = check_schemas(chart, {"a": "wrong"})
    assert (checked.faults, checked.unread) == ((), (("x", "its values.schema.json refers to https://example.com/x.json"),))


def test_schemas_that_are_none() -> None:
    chart = chart_of(schema_chart('{"type": "nonsense"}'))
    checked = check_schemas(chart, {})
    assert checked.faults == ()
    assert checked.unread[0][1].startswith("its values.schema.json is not usable: ")


# Keys that nothing knows

VALUES = """\
# commented: documented but not set
replicas: 1
image: {tag: x, repository: y}
securityContext: {runAsUser: 1}
free: {}
list: []
service: {port: 80}
"""
TEMPLATE = "{{ .Values.replicas }} {{ .Values.image.tag }} {{ toYaml .Values.securityContext }} {{ .Values.service.port }} {{ .Values.hidden }}"


@pytest.mark.parametrize(
    ("values", "unknown"),
    [
        ({"replicas": 3, "image": {"tag": "z"}, "free": {"any": {"thing": 1}}, "list": [{"x": 1}]}, []),
        ({"replica": 3}, [("replica",)]),
        ({"image": {"tagg": "z", "repository": "a"}}, [("image", "tagg")]),
        # Templates pass it on as a whole, read it without a default, or its use is documented.
        ({"securityContext": {"seccompProfile": {}}}, []),
        ({"hidden": 1}, []),
        ({"commented": 1}, []),
        ({"global": {"anything": 1}, "tags": {"x": True}}, []),
        ({"sub": {"size": 2, "sizze": 3}, "subb": {}}, [("sub", "sizze"), ("subb",)]),
        ({"bySchema": 1}, []),
    ],
)
def test_unknown_values(values: dict[str, Any], unknown: list[tuple[str, ...]]) -> None:
    content = child("x", values_yaml=VALUES, templates__a_yaml=TEMPLATE) | {"values.schema.json": b'{"properties": {"bySchema": {}}}'}
    content |= {f"charts/sub/{path}": data for path, data in child("sub", values_yaml="size: 1\n", templates__a_yaml="{{ .Values.size }}").items()}
    assert unknown_values(chart_of(content), values, content) == unknown
