from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from harness.flux import helmrun
from harness.flux.cache import Cache
from harness.flux.rendered import release_name, release_namespace
from harness.flux.templates import FROZEN
from harness.flux.tools import Output
from unit.flux.releases import SERVICE, Cluster, ServedCluster, bodies, chart, release, renderer

if TYPE_CHECKING:
    from pathlib import Path

    from harness.flux.rendered import Rendered
    from harness.model import Object

LABELS = {"helm.toolkit.fluxcd.io/name": "web", "helm.toolkit.fluxcd.io/namespace": "apps"}


def rendered(folder: Path, text: str = "", view: Cluster | None = None, cache: Cache | None = None, **files: str) -> Rendered:
    if files:
        extra = files.pop("extra", "")
        chart(folder, "web", extra=extra, **files)
    view = view or Cluster(text or release())
    return renderer(folder, cache).render(view.release, view)


def problems(result: Rendered) -> list[str]:
    return [f"{item.code} {item.location}: {item.message}" for item in result.problems]


def line(text: str, wanted: str) -> int:
    return text.splitlines().index(wanted) + 1


def test_a_release_renders_into_objects_with_origin(tmp_path: Path) -> None:
    text = release(values="port: 8080")
    result = rendered(tmp_path, text, templates__service_yaml=SERVICE, values_yaml="port: 80\n")
    (service,) = result.objects
    assert service.body == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "web",
            "labels": {"chart": "web", "app.kubernetes.io/managed-by": "Helm", **LABELS},
            "annotations": {"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "apps"},
        },
        "spec": {"ports": [{"port": 8080}]},
    }
    assert (str(service.id), service.origin.chain, service.origin.elided) == ("c/Service/web", (("HelmRelease", "apps", "web"),), False)
    assert service.locate("spec", "ports", 0, "port").line == line(text, "    port: 8080")
    assert (result.source, result.name, result.namespace, result.problems, result.not_evaluated) == ("render", "web", "apps", (), ())
    assert result.chart is not None
    assert (result.chart.name, result.chart.version) == ("web", "1.0.0")


@pytest.mark.parametrize(
    ("spec", "name", "namespace"),
    [
        ("", "web", "apps"),
        ("targetNamespace: other", "other-web", "other"),
        ("targetNamespace: other\nreleaseName: mine", "mine", "other"),
        (f"releaseName: {'x' * 60}", "x" * 40 + "-" + "6d9c56e4c9f7", "apps"),
    ],
)
def test_names(spec: str, name: str, namespace: str) -> None:
    view = Cluster(release(spec=spec))
    found = release_name(view.release)
    assert found[:41] == name[:41]
    assert len(found) <= 53
    assert release_namespace(view.release) == namespace


def test_namespaces_are_those_the_chart_writes(tmp_path: Path) -> None:
    template = (
        "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a, namespace: {{ .Release.Namespace }}}\n---\nkind: ConfigMap\napiVersion: v1\nmetadata: {name: b}\n"
    )
    result = rendered(tmp_path, release(spec="targetNamespace: other"), templates__a_yaml=template)
    assert [str(item.id) for item in result.objects] == ["c/ConfigMap/other/a", "c/ConfigMap/b"]
    assert result.namespace == "other"


def test_create_namespace_makes_one_only_for_another_namespace(tmp_path: Path) -> None:
    chart(tmp_path, "web", templates__a_yaml="")
    result = rendered(tmp_path, release(spec="targetNamespace: other\ninstall: {createNamespace: true}"))
    assert [(str(item.id), item.origin.synthesised, item.body["metadata"]) for item in result.objects] == [
        ("c/Namespace/other", "HelmRelease/apps/web", {"name": "other", "labels": {"name": "other"}})
    ]
    assert rendered(tmp_path, release(spec="install: {createNamespace: true}")).objects == ()


# What a cluster is asked

CAPABILITIES = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data:
  version: {{ .Capabilities.KubeVersion.Version }}
  thing: {{ .Capabilities.APIVersions.Has "example.com/v1/Thing" | quote }}
  other: {{ .Capabilities.APIVersions.Has "example.com/v1/Other" | quote }}
"""


def test_versions_and_apis_of_the_cluster(tmp_path: Path) -> None:
    chart(tmp_path, "web", templates__a_yaml=CAPABILITIES)
    assert rendered(tmp_path, view=ServedCluster(release(), version="1.35")).objects[0].body["data"] == {
        "version": "v1.35.0",
        "thing": "true",
        "other": "false",
    }
    assert rendered(tmp_path, view=Cluster(release(), version="1.36.4")).objects[0].body["data"] == {"version": "v1.36.4", "thing": "false", "other": "false"}


def test_only_apis_a_chart_asks_for_make_a_render_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(helmrun, "run", lambda program, arguments, **more: calls.append(arguments) or Output(0, "", ""))
    chart(tmp_path, "web", templates__a_yaml="{{ range .Capabilities.APIVersions }}{{ end }}")
    chart(tmp_path, "asks", templates__a_yaml=CAPABILITIES)
    for name in ("web", "asks"):
        view = ServedCluster(release(name))
        renderer(tmp_path).render(view.release, view)
    assert [arguments[-1] for arguments in calls] == ["apps/v1,apps/v1/Deployment,example.com/v1,example.com/v1/Thing,v1", "example.com/v1/Thing"]


def test_a_chart_for_another_kubernetes(tmp_path: Path) -> None:
    text = release()
    result = rendered(tmp_path, text, templates__a_yaml="", extra='kubeVersion: ">=1.99"\n')
    message = "chart requires kubeVersion: >=1.99 which is incompatible with Kubernetes v1.36.0"
    assert problems(result) == [f"helm-kube-version r.yaml:{line(text, '    tag: 1.0.0')}: {message}"]


# CRDs

CRD = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: things.example.com}\nspec: {}\n"


@pytest.mark.parametrize(
    ("policy", "count"),
    [("", 1), ("install: {crds: Create}", 1), ("install: {crds: CreateReplace}", 1), ("install: {crds: Skip}", 0), ("upgrade: {crds: Skip}", 1)],
)
def test_the_policy_for_crds(tmp_path: Path, policy: str, count: int) -> None:
    result = rendered(tmp_path, release(spec=policy), crds__a_yaml=CRD, templates__b_yaml="")
    assert len(result.objects) == count
    assert all(item.body["metadata"]["labels"] == LABELS for item in result.objects)


def test_crds_of_sub_charts_that_are_not_used_are_left_out(tmp_path: Path) -> None:
    files = {"charts__sub__Chart_yaml": "name: sub\nversion: 1.0.0\n", "charts__sub__crds__a_yaml": CRD, "templates__b_yaml": ""}
    extra = "dependencies: [{name: sub, version: 1.x, condition: sub.enabled}]\n"
    assert len(rendered(tmp_path, release(), extra=extra, **files).objects) == 1
    assert rendered(tmp_path, release(values="sub: {enabled: false}")).objects == ()


def test_other_things_in_the_crds_folder_are_named(tmp_path: Path) -> None:
    result = rendered(tmp_path, crds__a_yaml=CRD + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: x}\n")
    assert [str(item.id) for item in result.objects] == ["c/CustomResourceDefinition/things.example.com"]
    assert [(item.what, item.why) for item in result.not_evaluated] == [
        ("Secret crds/a.yaml in the chart's crds/ folder", "helm-controller ignores what is no CustomResourceDefinition there")
    ]


# Hooks

HOOKS = "".join(
    f"---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, annotations: {{helm.sh/hook: '{events}'}}}}\n"
    for name, events in (
        ("install", "pre-install,post-upgrade"),
        ("delete", "pre-delete"),
        ("test", "test"),
        ("both", "test,post-install"),
        ("old", "test-success"),
    )
)


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        ("", ["both", "delete", "install"]),
        ("test: {enable: true}", ["both", "delete", "install", "old", "test"]),
        ("install: {disableHooks: true}", ["delete", "install"]),
        ("install: {disableHooks: true}\nupgrade: {disableHooks: true}\nuninstall: {disableHooks: true}", []),
    ],
)
def test_hooks_that_some_action_runs(tmp_path: Path, spec: str, names: list[str]) -> None:
    result = rendered(tmp_path, release(spec=spec), templates__a_yaml=HOOKS)
    assert sorted(item.name for item in result.hooks) == names
    assert result.objects == ()
    # Hooks are post-rendered, but not owned by the release.
    assert all(item.body["metadata"]["labels"] == LABELS for item in result.hooks)


# Post-rendering


def test_post_renderers_and_common_metadata(tmp_path: Path) -> None:
    spec = """\
commonMetadata:
  labels: {team: a, chart: mine}
  annotations:
    note: b
postRenderers:
- kustomize:
    patches:
    - target: {kind: Service}
      patch: |
        - {op: add, path: /spec/type, value: LoadBalancer}
"""
    text = release(spec=spec)
    result = rendered(tmp_path, text, templates__service_yaml=SERVICE, values_yaml="port: 80\n")
    (service,) = result.objects
    assert service.body["spec"]["type"] == "LoadBalancer"
    assert service.body["metadata"]["labels"] == {"chart": "mine", "team": "a", "app.kubernetes.io/managed-by": "Helm", **LABELS}
    assert service.body["metadata"]["annotations"]["note"] == "b"
    assert service.locate("spec", "type").line == line(text, "      - target: {kind: Service}")
    assert service.locate("metadata", "annotations", "note").line == line(text, "      note: b")


def test_a_post_renderer_that_fails(tmp_path: Path) -> None:
    text = release(spec="postRenderers:\n- kustomize:\n    patches: [{target: {kind: Service}, patch: '- {op: remove, path: /spec/nothing}'}]")
    result = rendered(tmp_path, text, templates__service_yaml=SERVICE, values_yaml="port: 80\n")
    (found,) = problems(result)
    assert found.startswith(f"helm-post-render r.yaml:{line(text, '  - kustomize:')}: kustomize refuses the post-renderer: ")
    assert "/spec/nothing" in found


def test_duplicates_that_post_rendering_refuses(tmp_path: Path) -> None:
    twice = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a}\n"
    hook = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a, annotations: {helm.sh/hook: pre-install}}\n"
    where = f"r.yaml:{line(release(), '    tag: 1.0.0')}"
    refused = [f"helm-duplicate-object {where}: the chart renders ServiceAccount a twice, which helm-controller's post-rendering refuses"]
    assert problems(rendered(tmp_path, templates__a_yaml=f"{twice}---\n{twice}")) == refused
    assert problems(rendered(tmp_path, templates__a_yaml=f"{twice}---\n{hook}")) == refused
    assert problems(rendered(tmp_path, release(spec="postRenderStrategy: separate"))) == []
    assert problems(rendered(tmp_path, release(spec="postRenderStrategy: nohooks"))) == []


def test_duplicate_keys_that_post_rendering_refuses(tmp_path: Path) -> None:
    result = rendered(tmp_path, templates__a_yaml="apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels: {a: '1', a: '2'}\n")
    (found,) = problems(result)
    assert found.startswith("helm-duplicate-key ")
    assert "templates/a.yaml renders a duplicate key, which helm-controller's post-rendering refuses" in found


def test_lists_are_taken_apart_and_empty_documents_left_out(tmp_path: Path) -> None:
    item = "{apiVersion: v1, kind: Secret, metadata: {name: %s}}"
    text = f"# only a comment\n---\napiVersion: v1\nkind: List\nitems:\n- {item % 'a'}\n- {item % 'b'}\n---\n\n# nothing\n---# glued comment\n{item % 'c'}\n"
    assert sorted(item.name for item in rendered(tmp_path, templates__a_yaml=text).objects) == ["a", "b", "c"]


# What goes wrong


@pytest.mark.parametrize(
    ("template", "values", "code", "where", "message"),
    [
        ('{{ fail "say what" }}', "", "helm-render", "apiVersion: helm.toolkit.fluxcd.io/v2", "execution error at (web/templates/a.yaml:1:3): say what"),
        ("{{ .Values.a.b.c }}", "a: {x: 1}", "helm-render", "    a: {x: 1}", "nil pointer evaluating interface {}.c"),
        ("{{ if }}", "", "helm-render", "apiVersion: helm.toolkit.fluxcd.io/v2", "missing value for if"),
        ("a: [", "", "helm-render", "apiVersion: helm.toolkit.fluxcd.io/v2", "YAML"),
        ("a: b", "", "helm-output", "    tag: 1.0.0", "templates/a.yaml renders a document without apiVersion, kind or metadata"),
    ],
)
def test_templates_that_fail(tmp_path: Path, template: str, values: str, code: str, where: str, message: str) -> None:
    text = release(values=values)
    (found,) = problems(rendered(tmp_path, text, templates__a_yaml=template))
    assert found.startswith(f"{code} r.yaml:{line(text, where)}: ")
    assert message in found
    assert str(tmp_path) not in found


def test_values_that_the_schema_refuses(tmp_path: Path) -> None:
    schema = '{"type": "object", "properties": {"port": {"type": "integer"}}}'
    text = release(values="other: 1\nport: eighty")
    result = rendered(tmp_path, text, templates__a_yaml="", values__schema_json=schema, **{"values.schema.json": schema})
    assert problems(result) == [f"""helm-schema r.yaml:{line(text, "    port: eighty")}: the chart's schema refuses port: "eighty" is not of type "integer\""""]
    assert problems(rendered(tmp_path, release(spec="install: {disableSchemaValidation: true}", values="port: eighty"))) == []


def test_a_schema_on_the_network_is_not_fetched(tmp_path: Path) -> None:
    result = rendered(tmp_path, templates__a_yaml="", **{"values.schema.json": '{"$ref": "https://example.com/schema.json"}'})
    assert result.problems == ()
    assert [(item.what, item.why) for item in result.not_evaluated] == [
        ("the values schema of chart web", "its values.schema.json refers to https://example.com/schema.json")
    ]
    assert result.chart is not None
    assert result.chart.schema_unread == ("web: its values.schema.json refers to https://example.com/schema.json",)


def test_unknown_values_are_named(tmp_path: Path) -> None:
    result = rendered(tmp_path, release(values="port: 1\nprot: 2"), templates__service_yaml=SERVICE, values_yaml="port: 80\n")
    assert result.unknown_values == (("prot",),)


def test_a_release_without_values_it_needs_is_not_rendered(tmp_path: Path) -> None:
    result = rendered(tmp_path, release(spec="valuesFrom: [{kind: ConfigMap, name: none}]"), templates__service_yaml=SERVICE, values_yaml="port: 80\n")
    assert (result.source, result.objects, [item.code for item in result.problems]) == ("none", (), ["values-source-missing"])


def test_missing_charts_and_sources(tmp_path: Path) -> None:
    assert [item.code for item in rendered(tmp_path, release()).problems] == ["chart-missing"]
    assert [item.code for item in rendered(tmp_path, release().partition("---\n")[2]).problems] == ["chart-source-missing"]


def test_the_tag_must_be_the_charts_version(tmp_path: Path) -> None:
    chart(tmp_path, "web", "1.0.1", packed="web-1.0.0.tgz", templates__a_yaml="")
    text = release()
    assert problems(rendered(tmp_path, text)) == [
        f"chart-version r.yaml:{line(text, '    tag: 1.0.0')}: the tag 1.0.0 is not the chart's version 1.0.1, which helm-controller refuses"
    ]


def test_a_damaged_chart(tmp_path: Path) -> None:
    assert [item.code for item in rendered(tmp_path, templates__a_yaml="", values_yaml="a: [").problems] == ["chart-corrupt"]


def test_helm_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helmrun, "run", lambda *_, **__: Output(-9, "", "", timed_out=True))
    cache = Cache(tmp_path / "cache")
    assert [item.code for item in rendered(tmp_path, cache=cache, templates__a_yaml="").problems] == ["helm-timeout"]
    monkeypatch.setattr(helmrun, "run", lambda *_, **__: Output(0, "", ""))
    # It is tried again the next time.
    assert rendered(tmp_path, cache=cache).problems == ()


# Chance, time and the cluster's own objects

SECRET = """\
apiVersion: v1
kind: Secret
metadata: {name: a}
stringData: {password: {{ randAlphaNum 20 }}, plain: x}
data: {token: {{ randAlphaNum 5 | b64enc }}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b}
data: {found: {{ lookup "v1" "Secret" "apps" "a" | quote }}}
"""


def test_random_values_are_the_same_every_time_and_said_to_be_unknown(tmp_path: Path) -> None:
    first = rendered(tmp_path, templates__a_yaml=SECRET)
    found = bodies(first.objects)
    assert found["Secret/a"]["stringData"] == {"password": f"{FROZEN}20", "plain": "x"}
    assert found["Secret/a"]["data"] == {"token": base64.b64encode(f"{FROZEN}5".encode()).decode()}
    (gap,) = [item for item in first.not_evaluated if "random" in item.why]
    assert (gap.subject, gap.what) == ("c/Secret/a", "the value of stringData.password, data.token")
    assert bodies(rendered(tmp_path).objects) == found


def test_lookups_are_said_to_be_unknown(tmp_path: Path) -> None:
    gaps = [(item.subject, item.what, item.why) for item in rendered(tmp_path, templates__b_yaml=SECRET.partition("---\n")[2]).not_evaluated]
    assert gaps == [
        ("c/ConfigMap/b", "fields that depend on what is in the cluster", "templates/b.yaml calls lookup, which finds nothing outside of a cluster")
    ]


def test_a_template_that_does_not_stand_frozen_functions_is_rendered_as_it_is(tmp_path: Path) -> None:
    # Frozen, randInt gives a 64-bit number, which `substr` does not take.
    template = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: {{ substr 0 (randInt 1 2) "abc" }}}\n'
    result = rendered(tmp_path, templates__a_yaml=template)
    assert bodies(result.objects)["ConfigMap/a"]["data"] == {"x": "a"}
    assert [item.what for item in result.not_evaluated] == ["values that random or time functions give"]


# The cache


def test_a_warm_cache_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path / "cache")
    large = CRD.replace("spec: {}", "spec:\n" + "".join(f"  field{number}: {'x' * 40}\n" for number in range(500)))
    cold = rendered(tmp_path, release(values="prot: 1"), cache=cache, templates__a_yaml=HOOKS + "---\n" + SERVICE, values_yaml="port: 80\n", crds__c_yaml=large)
    assert any((tmp_path / "cache" / "document").rglob("*"))

    def never(*_: Any, **__: Any) -> Output:
        raise AssertionError("something was run")

    monkeypatch.setattr(helmrun, "run", never)
    monkeypatch.setattr("harness.flux.documents.parse", never)
    warm = rendered(tmp_path, release(values="prot: 1"), cache=Cache(tmp_path / "cache"))

    def facts(result: Rendered) -> Any:
        return [(str(item.id), item.body) for item in (*result.objects, *result.hooks)], result.unknown_values, result.chart, result.inputs

    assert facts(warm) == facts(cold)


@pytest.mark.parametrize("what", ["values", "name", "version", "chart", "strategy"])
def test_everything_that_matters_makes_a_render_new(tmp_path: Path, what: str) -> None:
    cache = Cache(tmp_path / "cache")
    template = SERVICE.replace("labels: {", "labels: {version: {{ .Capabilities.KubeVersion.Minor | quote }}, ")
    before = rendered(tmp_path, release(values="port: 1"), cache=cache, templates__a_yaml=template)
    if what == "chart":
        chart(tmp_path, "web", templates__a_yaml=template.replace("labels:", "annotations: {x: y}, labels:"))
    spec = "releaseName: other" if what == "name" else ""
    if what == "strategy":
        spec = "postRenderers: [{kustomize: {patches: [{target: {kind: Service}, patch: '- {op: add, path: /spec/type, value: X}'}]}}]"
    view = Cluster(release(values="port: 2" if what == "values" else "port: 1", spec=spec), version="1.35" if what == "version" else "1.36")
    after = rendered(tmp_path, view=view, cache=cache)
    assert bodies(before.objects) != bodies(after.objects)
    # The package's bytes are no input: mirrors and registries pack differently.
    assert (before.inputs != after.inputs) is (what != "chart")


def test_a_damaged_cache_is_rendered_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    before = rendered(tmp_path, cache=cache, templates__service_yaml=SERVICE, values_yaml="port: 80\n")
    (entry,) = [path for path in (tmp_path / "cache" / "render").rglob("*") if path.is_file()]
    cache.put_json("render", entry.name, {"documents": [{"nonsense": 1}]})
    assert bodies(rendered(tmp_path, cache=cache).objects) == bodies(before.objects)


def test_clusters_share_bodies_but_not_objects(tmp_path: Path) -> None:
    chart(tmp_path, "web", templates__service_yaml=SERVICE, values_yaml="port: 80\n")
    one, two = Cluster(release(), cluster="one"), Cluster(release(), cluster="two")
    shared = renderer(tmp_path)
    found: list[Object] = [shared.render(view.release, view).objects[0] for view in (one, two)]
    assert [str(item.id) for item in found] == ["one/Service/web", "two/Service/web"]
    assert found[0].body["spec"] is found[1].body["spec"]
