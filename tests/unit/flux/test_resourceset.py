from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from harness.flux.cache import Cache
from harness.flux.resourceset import RenderedSet, render_resource_set, slugify
from unit.flux.releases import TOOLS, Cluster

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "apiVersion: fluxcd.controlplane.io/v1\nkind: ResourceSet\nmetadata: {name: apps, namespace: flux}\nspec:\n"
PROVIDER = "---\napiVersion: fluxcd.controlplane.io/v1\nkind: ResourceSetInputProvider\nmetadata: {name: %s, namespace: flux, labels: {for: %s}}\nspec: %s\n"


def rendered(spec: str, more: str = "", cache: Cache | None = None) -> RenderedSet:
    view = Cluster(HEAD + "".join(f"  {line}\n" for line in spec.splitlines()) + more)
    return render_resource_set(view.objects[0], view, TOOLS, cache or Cache(None))


def names(result: RenderedSet) -> list[str]:
    assert result.problems == ()
    return [str(item.id).removeprefix("c/") for item in result.objects]


INPUTS = """\
inputs:
- {tenant: one, port: 1000000, enabled: true}
- {tenant: two, port: 2, enabled: false}
"""
RESOURCES = """\
resources:
- apiVersion: v1
  kind: ConfigMap
  metadata:
    name: << inputs.tenant >>-settings
    namespace: << inputs.tenant >>
  data:
    port: << inputs.port | quote >>
    text: |
      {{ left alone }} <<- if inputs.enabled >> on <<- else >> off <<- end >>
      from << inputs.provider.kind >>/<< inputs.provider.namespace >>
"""


def test_resources_are_made_once_for_every_input() -> None:
    result = rendered(INPUTS + RESOURCES)
    assert names(result) == ["ConfigMap/one/one-settings", "ConfigMap/two/two-settings"]
    first, second = (item.body for item in result.objects)
    assert first["data"] == {"port": "1000000", "text": "{{ left alone }} on\nfrom ResourceSet/flux\n"}
    assert second["data"]["text"].startswith("{{ left alone }} off\n")
    assert first["metadata"]["labels"] == {"resourceset.fluxcd.controlplane.io/name": "apps", "resourceset.fluxcd.controlplane.io/namespace": "flux"}


def test_origin_and_lines() -> None:
    result = rendered(INPUTS + RESOURCES)
    lines = (HEAD + "".join(f"  {line}\n" for line in (INPUTS + RESOURCES).splitlines())).splitlines()
    item = result.objects[1]
    assert item.origin.chain == (("ResourceSet", "flux", "apps"),)
    assert lines[item.locate("data", "port").line - 1] == "      port: << inputs.port | quote >>"
    assert lines[item.locate("metadata", "labels").line - 1] == "    metadata:"


TEMPLATE = """\
resourcesTemplate: |
  <<- range $name := list "a" "b" >>
  ---
  apiVersion: v1
  kind: ServiceAccount
  metadata: {name: << $name >>-<< inputs.tenant >>, namespace: x}
  <<- end >>
"""


def test_a_template_of_several_documents() -> None:
    result = rendered(INPUTS + TEMPLATE)
    assert names(result) == ["ServiceAccount/x/a-one", "ServiceAccount/x/b-one", "ServiceAccount/x/a-two", "ServiceAccount/x/b-two"]
    assert {item.locate("metadata").line for item in result.objects} == {8}


def test_resources_come_before_the_template_and_win_over_it() -> None:
    both = "resources:\n- {apiVersion: v1, kind: ServiceAccount, metadata: {name: a-one, namespace: x, labels: {from: resources}}}\n"
    result = rendered(INPUTS + both + TEMPLATE)
    assert names(result)[0] == "ServiceAccount/x/a-one"
    assert len(result.objects) == 4
    assert result.objects[0].labels["from"] == "resources"


def test_steps() -> None:
    steps = "steps:\n- name: first\n  resources:\n  - {apiVersion: v1, kind: Namespace, metadata: {name: << inputs.tenant >>}}\n- name: second\n" + "".join(
        f"  {line}\n" for line in TEMPLATE.splitlines()
    )
    result = rendered(INPUTS + steps)
    assert names(result)[:3] == ["Namespace/one", "Namespace/two", "ServiceAccount/x/a-one"]


def test_without_inputs_it_is_rendered_once() -> None:
    assert names(rendered("resources:\n- {apiVersion: v1, kind: Namespace, metadata: {name: a}}")) == ["Namespace/a"]


def test_common_metadata_and_disabled_objects() -> None:
    spec = """\
commonMetadata: {labels: {team: x}, annotations: {note: words}}
inputs: [{yep: enabled, nope: disabled}]
resources:
- {apiVersion: v1, kind: Namespace, metadata: {name: a, annotations: {fluxcd.controlplane.io/reconcile: << inputs.yep >>}}}
- {apiVersion: v1, kind: Namespace, metadata: {name: b, annotations: {fluxcd.controlplane.io/reconcile: << inputs.nope >>}}}
"""
    result = rendered(spec)
    assert names(result) == ["Namespace/a"]
    assert result.objects[0].annotations["note"] == "words"
    assert result.objects[0].labels["team"] == "x"


def test_a_disabled_set_is_not_evaluated() -> None:
    view = Cluster(HEAD.replace("namespace: flux}", "namespace: flux, annotations: {fluxcd.controlplane.io/reconcile: disabled}}") + "  inputs: []\n")
    result = render_resource_set(view.objects[0], view, TOOLS, Cache(None))
    assert [item.why for item in result.not_evaluated] == ["its reconciliation is disabled by annotation"]


def test_functions() -> None:
    spec = """\
inputs: [{name: "Feature/X & Ünder", list: [1, 2], map: {a: {b: 1}}, none: null, flag: false}]
resources:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: << inputs.name | slugify >>, namespace: x}
  data:
    list: << inputs.list | join "," | quote >>
    map: << inputs.map.a.b | quote >>
    yaml: << inputs.map | toYaml | quote >>
    none: << inputs.none | default "d" >>
    flag: << inputs.flag | quote >>
    text: << "inputs.name >" | quote >>
    upper: << inputs.name | upper | quote >>
"""
    (item,) = rendered(spec).objects
    assert item.name == "feature-x-and-under"
    assert item.body["data"] == {
        "list": "1,2",
        "map": "1",
        "yaml": "a:\n  b: 1",
        "none": "d",
        "flag": "false",
        "text": "inputs.name >",
        "upper": "FEATURE/X & ÜNDER",
    }


# Inputs


STATIC = "{type: Static, defaultValues: {region: %s}}"
REGIONS = "resources:\n- {apiVersion: v1, kind: Namespace, metadata: {name: << inputs.region >>}}\n"


def test_static_providers_by_name_and_by_labels() -> None:
    more = PROVIDER % ("b", "x", STATIC % "eu") + PROVIDER % ("a", "x", STATIC % "us") + PROVIDER % ("c", "y", STATIC % "za")
    by_name = "inputsFrom: [{name: b}, {name: a}]\n" + REGIONS
    # In the order of names, whatever the order of references.
    assert names(rendered(by_name, more)) == ["Namespace/us", "Namespace/eu"]
    assert names(rendered("inputsFrom: [{selector: {matchLabels: {for: x}}}]\n" + REGIONS, more)) == ["Namespace/us", "Namespace/eu"]
    expressions = "inputsFrom: [{selector: {matchExpressions: [{key: for, operator: NotIn, values: [x]}, {key: for, operator: Exists}]}}]\n"
    assert names(rendered(expressions + REGIONS, more)) == ["Namespace/za"]


def test_permutations() -> None:
    spec = "inputStrategy: {name: Permute}\ninputs: [{size: s}, {size: l}]\ninputsFrom: [{name: my-regions}, {name: Zones.x}]\n"
    resources = (
        "resources:\n- {apiVersion: v1, kind: Namespace, metadata: {name: << inputs.apps.size >>-<< inputs.my_regions.region >>-<< inputs.zones_x.region >>}}\n"
    )
    more = PROVIDER % ("my-regions", "x", STATIC % "eu") + PROVIDER % ("Zones.x", "x", STATIC % "z")
    assert names(rendered(spec + resources, more)) == ["Namespace/s-eu-z", "Namespace/l-eu-z"]


def test_too_many_permutations_are_refused() -> None:
    spec = "inputStrategy: {name: Permute}\ninputsFrom: [{selector: {}}]\ninputs: [" + "{a: 1}, " * 10_001 + "]\n"
    (problem,) = rendered(spec + REGIONS).problems
    assert (problem.code, problem.message) == ("resourceset-input", "the inputs have more than 10000 permutations")


def test_providers_that_ask_other_systems_are_not_evaluated() -> None:
    more = PROVIDER % ("prs", "x", "{type: GitHubPullRequest, url: 'https://github.com/a/b'}")
    result = rendered("inputsFrom: [{name: prs}]\n" + REGIONS, more)
    assert (result.objects, result.problems) == ((), ())
    assert [(item.what, item.why) for item in result.not_evaluated] == [
        ("objects made from inputs", "ResourceSetInputProvider prs (GitHubPullRequest) asks another system for them")
    ]


@pytest.mark.parametrize(
    ("spec", "code", "message"),
    [
        ("inputsFrom: [{name: none}]\n" + REGIONS, "resourceset-input", "ResourceSetInputProvider flux/none is nowhere in this cluster"),
        ("inputs: [{region: a}, {regin: b}]\n" + REGIONS, "resourceset-input", "the template uses inputs.region, which input set 1 does not have"),
        (REGIONS, "resourceset-input", "the template uses inputs.region, which input set 0 does not have"),
        ("resources:\n- {apiVersion: v1, kind: X, metadata: {name: '<< nothing >>'}}", "resourceset-render", 'function "nothing" not defined'),
        ("resourcesTemplate: '<< if >>'", "resourceset-render", "missing value for if"),
        ("resourcesTemplate: 'a: ['", "resourceset-render", "the templates do not render: "),
    ],
)
def test_what_goes_wrong(spec: str, code: str, message: str) -> None:
    (problem,) = rendered(spec).problems
    assert (problem.code, problem.subject) == (code, "c/ResourceSet/flux/apps")
    assert message in problem.message
    assert "plimsoll-set" not in problem.message


def test_odd_specs_are_no_traceback() -> None:
    for spec in ("inputs: 3\ninputsFrom: x", "resources: {}\nresourcesTemplate: 3", "steps: [null, {}]", "inputs: [x]\ncommonMetadata: 1"):
        assert rendered(spec).objects == ()


def test_a_warm_cache_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path)
    cold = rendered(INPUTS + RESOURCES, cache=cache)

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("helm was run")

    monkeypatch.setattr("harness.flux.resourceset.run", never)
    warm = rendered(INPUTS + RESOURCES, cache=cache)
    assert [(item.id, item.body) for item in warm.objects] == [(item.id, item.body) for item in cold.objects]


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("Hello World", "hello-world"),
        ("  a__b  ", "a__b"),
        ("Ärger & Co.", "arger-and-co"),
        ("!!!", ""),
        ("word " * 30, "-".join(["word"] * 12)),
        ("x" * 80, "x" * 63),
    ],
)
def test_slugs(text: str, slug: str) -> None:
    assert slugify(text) == slug
    assert len(slugify(text)) <= 63
