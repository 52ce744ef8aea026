"""Habits of other people's repositories, each reduced to its essence: they are understood, and what is legitimate is not complained about."""

from __future__ import annotations

import base64
import subprocess
from typing import TYPE_CHECKING

import pytest
from harness.flux.workspace import Options, Workspace
from harness.suite import prove

if TYPE_CHECKING:
    from pathlib import Path

    from harness.compliance.verdict import Verdict
    from harness.flux.world import World

GIT = "sourceRef: {kind: GitRepository, name: flux-system}"


def ks(name: str, path: str, more: str = "", *, source: str = GIT, namespace: str = "flux-system") -> str:
    return (
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n"
        f"metadata: {{name: {name}, namespace: {namespace}}}\nspec: {{interval: 1h, prune: true, path: {path}, {source}{more}}}\n"
    )


def config(name: str, data: str = "{}", more: str = "") -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: apps{more}}}\ndata: {data}\n"


def release(name: str, spec: str) -> str:
    return f"apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {{name: {name}, namespace: apps}}\nspec: {{interval: 1h, {spec}}}\n"


@pytest.fixture
def looked_at(tmp_path: Path):
    """Writes a repository and gives its workspace."""

    def make(files: dict[str, str], *, remote: str = "") -> Workspace:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        if remote:
            for arguments in (["init", "-q", "-b", "main"], ["remote", "add", "origin", remote]):
                command = ["git", "-C", str(tmp_path), *arguments]
                subprocess.run(command, check=True)
        return Workspace(tmp_path, Options(cache=False))

    return make


def clusters(workspace: Workspace) -> list[tuple[str, str]]:
    return [(root.name, root.path) for root in workspace.clusters]


def names(world: World, kind: str = "ConfigMap") -> list[str]:
    return [item.name for item in world.of(kind)]


def only(workspace: Workspace) -> World:
    (root,) = workspace.clusters
    return workspace.world(root)


def found(verdict: Verdict, *rules: str) -> list[str]:
    lines = (f"{item.rule} {item.location} {item.found}" for item in verdict.findings)
    return sorted(line for line in lines if line.startswith(rules))


# Where clusters are


def test_sync_is_a_patch_of_another_file(looked_at) -> None:
    """A base holds the sync; each cluster's patch gives it the path. The patch alone has no source."""
    patch = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: flux-system, namespace: flux-system}\n"
    base = patch + f"spec: {{interval: 1m, prune: true, {GIT}}}\n"
    files = {"base/sync.yaml": base, "base/kustomization.yaml": "resources: [sync.yaml]\n"}
    for number in ("00", "01"):
        files[f"clusters/demo/{number}/kustomization.yaml"] = f"resources: [../../../base, apps.yaml]\npatches: [path: ../../../patches/{number}.yaml]\n"
        files[f"clusters/demo/{number}/apps.yaml"] = ks("apps", "./apps", ", postBuild: {substitute: {NUMBER: 'x${NUMBER}'}}")
        files[f"patches/{number}.yaml"] = patch + f"spec: {{path: ./clusters/demo/{number}, postBuild: {{substitute: {{NUMBER: n{number}}}}}}}\n"
    files["apps/cm.yaml"] = config("'app-${NUMBER}'")
    workspace = looked_at(files)
    assert clusters(workspace) == [("demo-00", "clusters/demo/00"), ("demo-01", "clusters/demo/01")]
    assert [names(workspace.world(root)) for root in workspace.clusters] == [["app-xn00"], ["app-xn01"]]
    assert found(prove(workspace), "FLX149", "FLX108") == []


def test_another_artifact_built_from_its_root_is_no_cluster(looked_at) -> None:
    """Without kustomization.yaml a path of ./ would build every file there is, and with it the Kustomization itself."""
    artifact = ks("vendor", "./", source="sourceRef: {kind: OCIRepository, name: vendor}")
    workspace = looked_at({"clusters/a/flux-system/sync.yaml": ks("flux-system", "./clusters/a"), "clusters/a/vendor.yaml": artifact})
    assert clusters(workspace) == [("a", "clusters/a")]


def test_repository_that_syncs_from_its_root(looked_at) -> None:
    workspace = looked_at({"flux-system/gotk-sync.yaml": ks("flux-system", "./"), "apps/cm.yaml": config("one")})
    assert [root.path for root in workspace.clusters] == [""]
    assert names(only(workspace)) == ["one"]


def test_kustomization_in_the_folder_it_builds_is_no_cluster_when_another_leads_to_it(looked_at) -> None:
    files = {
        "clusters/a/sync.yaml": ks("flux-system", "./clusters/a"),
        "clusters/a/apps.yaml": ks("apps", "./apps"),
        "apps/kustomization.yaml": "resources: [database/ks.yaml]\n",
        "apps/database/ks.yaml": ks("database", "./apps/database"),
    }
    assert clusters(looked_at(files)) == [("a", "clusters/a")]


def test_path_of_an_instance_in_a_values_file_of_an_artifact_of_a_part(looked_at) -> None:
    """The artifact is pushed from kubernetes/, so that the sync's path and all others begin there."""
    values = "instance:\n  sync: {kind: OCIRepository, url: 'oci://registry.example.com/fleet', ref: latest, path: clusters/zero}\n"
    files = {
        "kubernetes/clusters/zero/values.yaml": values,
        "kubernetes/clusters/zero/kustomization.yaml": "resources: [ks.yaml]\n",
        "kubernetes/clusters/zero/ks.yaml": ks("apps", "./apps", source="sourceRef: {kind: OCIRepository, name: flux-system}"),
        "kubernetes/apps/cm.yaml": config("one"),
    }
    workspace = looked_at(files)
    assert clusters(workspace) == [("zero", "kubernetes/clusters/zero")]
    assert names(only(workspace)) == ["one"]


def test_instance_of_another_repository_is_no_cluster_of_this_one(looked_at) -> None:
    instance = (
        "apiVersion: fluxcd.controlplane.io/v1\nkind: FluxInstance\nmetadata: {name: flux, namespace: flux-system}\n"
        "spec: {sync: {kind: GitRepository, url: 'https://git.example.com/x', ref: main, path: nowhere}}\n"
    )
    workspace = looked_at({"docs/example.yaml": instance, "clusters/a/sync.yaml": ks("flux-system", "./clusters/a")})
    assert clusters(workspace) == [("a", "clusters/a")]


# Which sources are this repository


def test_other_branch_of_this_repository_is_another_source(looked_at) -> None:
    address = "https://git.example.com/fleet"
    team = (
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: team, namespace: apps}\n"
        f"spec: {{interval: 1m, url: '{address}', ref: {{branch: team}}}}\n"
    )
    mirror = team.replace("name: team", "name: mirror").replace("branch: team", "branch: main").replace("https://", "ssh://git@")
    files = {
        "clusters/a/sources.yaml": team + "---\n" + mirror,
        "clusters/a/team.yaml": ks("team", "./production", source="sourceRef: {kind: GitRepository, name: team}", namespace="apps"),
        "clusters/a/mirror.yaml": ks("mirror", "./more", source="sourceRef: {kind: GitRepository, name: mirror}", namespace="apps"),
        "more/cm.yaml": config("more"),
    }
    workspace = looked_at(files, remote=f"{address}.git")
    world = only(workspace)
    assert world.kustomizations["apps", "team"].elsewhere == "GitRepository apps/team is another source (git.example.com/fleet)"
    assert names(world) == ["more"]


GENERATOR = (
    "apiVersion: source.extensions.fluxcd.io/v1beta1\nkind: ArtifactGenerator\nmetadata: {name: parts, namespace: flux-system}\n"
    "spec:\n  sources: [{alias: repo, kind: GitRepository, name: flux-system}, {alias: other, kind: GitRepository, name: elsewhere}]\n"
    "  artifacts: [{name: part, copy: [%s]}]\n"
)


@pytest.mark.parametrize(
    ("copy", "path"),
    [
        ("{from: '@repo/apps/web/**', to: '@artifact/'}", "./"),
        ("{from: '@repo/apps/web/**', to: '@artifact/deep/er'}", "./deep/er"),
        ("{from: '@repo/apps/**', to: '@artifact/apps/'}", "./apps/web"),
        ("{from: '@repo/apps/web/', to: '@artifact/apps/'}", "./apps/web"),
        # cp makes a sub-folder of the same name, and Flux a kustomization of the folder around it.
        ("{from: '@repo/apps/web/', to: '@artifact/apps/web/'}", "./apps/web"),
        ("{from: '@repo/apps/web/cm.yaml', to: '@artifact/x/'}", "./x"),
        ("{from: '@other/x/**', to: '@artifact/other'}, {from: '@repo/apps/**', to: '@artifact/'}", "./web"),
    ],
)
def test_artifact_cut_out_of_this_repository(looked_at, copy: str, path: str) -> None:
    files = {
        "clusters/a/sync.yaml": ks("flux-system", "./clusters/a"),
        "clusters/a/parts.yaml": GENERATOR % copy,
        "clusters/a/web.yaml": ks("web", path, source="sourceRef: {kind: ExternalArtifact, name: part}"),
        "apps/web/cm.yaml": config("web"),
    }
    assert names(only(looked_at(files))) == ["web"]


@pytest.mark.parametrize(
    ("generator", "why"),
    [
        ("{}", "ExternalArtifact flux-system/part has no ArtifactGenerator in this repository"),
        ("{artifacts: null, sources: 5}", "ExternalArtifact flux-system/part has no ArtifactGenerator in this repository"),
        ("{artifacts: [{name: part, copy: [5, {from: x, to: y}]}]}", "no copy operation of ArtifactGenerator flux-system/parts leads to web"),
        (
            "{sources: [{alias: o, kind: Bucket, name: b}], artifacts: [{name: part, copy: [{from: '@o/**', to: '@artifact/'}]}]}",
            "ArtifactGenerator flux-system/parts copies it from Bucket flux-system/b, which is another source",
        ),
    ],
)
def test_artifact_that_cannot_be_followed_is_said_to_be_unknown(looked_at, generator: str, why: str) -> None:
    files = {
        "clusters/a/sync.yaml": ks("flux-system", "./clusters/a"),
        "clusters/a/parts.yaml": GENERATOR.partition("spec:")[0] + f"spec: {generator}\n",
        "clusters/a/web.yaml": ks("web", "./web", source="sourceRef: {kind: ExternalArtifact, name: part}"),
    }
    assert only(looked_at(files)).kustomizations["flux-system", "web"].elsewhere == why


# Variables


def test_variables_of_the_root_that_the_root_brings_itself(looked_at) -> None:
    """Bootstrap applies them by hand; from then on they are there."""
    files = {
        "clusters/a/sync.yaml": ks("flux-system", "./clusters/a", ", postBuild: {substituteFrom: [{kind: ConfigMap, name: settings}]}"),
        "clusters/a/settings.yaml": config("settings", "{DOMAIN: example.com}").replace("apps", "flux-system"),
        "clusters/a/cm.yaml": config("host", "{host: 'www.${DOMAIN}'}"),
    }
    workspace = looked_at(files)
    world = only(workspace)
    assert [item.get("data", "host") for item in world.of("ConfigMap") if item.name == "host"] == ["www.example.com"]
    assert world.problems == ()


EXTERNAL = (
    "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: vars, namespace: flux-system}\n"
    "spec: {target: {template: {data: {DOMAIN: '{{ .DOMAIN }}', PATH_OF_IT: /volumes}}}, dataFrom: [{extract: {key: vars}}]}\n"
)
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: nfs, namespace: apps}\nspec: {type: ExternalName, externalName: 'nfs.${DOMAIN}.${OTHER}'}\n"


def test_variables_of_a_secret_that_an_operator_makes_are_known_to_be_unknown(looked_at) -> None:
    files = {
        "clusters/a/sync.yaml": ks("flux-system", "./clusters/a"),
        "clusters/a/apps.yaml": ks("apps", "./apps", ", postBuild: {substituteFrom: [{kind: Secret, name: vars}]}"),
        "clusters/a/vars.yaml": EXTERNAL,
        "apps/service.yaml": SERVICE,
        "apps/cm.yaml": config("paths", "{path: '${PATH_OF_IT}/x'}"),
    }
    workspace = looked_at(files)
    verdict = prove(workspace)
    world = only(workspace)
    assert [item.get("data", "path") for item in world.of("ConfigMap")] == ["/volumes/x"]
    assert [item.get("spec", "externalName") for item in world.of("Service")] == ["nfs.unknown-domain.unknown-other"]
    assert found(verdict, "FLX108", "FLX110", "SCH101 apps/") == []
    assert "values of Secret vars" in {entry.what for entry in verdict.ledger if entry.subject == "a/Kustomization/flux-system/apps"}


def test_variables_of_a_secret_that_sops_encrypted(looked_at) -> None:
    secret = (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: vars, namespace: flux-system}\nstringData: {DOMAIN: 'ENC[AES256_GCM,data:x,type:str]'}\n"
        "sops: {mac: 'ENC[AES256_GCM,data:x]', version: 3.9.0}\n"
    )
    files = {
        "clusters/a/sync.yaml": ks("flux-system", "./clusters/a"),
        "clusters/a/vars.yaml": secret,
        "clusters/a/apps.yaml": ks("apps", "./apps", ", postBuild: {substituteFrom: [{kind: Secret, name: vars}]}"),
        "apps/service.yaml": SERVICE.replace(".${OTHER}", ""),
    }
    workspace = looked_at(files)
    verdict = prove(workspace)
    assert found(verdict, "FLX108", "SCH", "SEC101") == []
    assert {entry.what for entry in verdict.ledger} >= {"its encrypted values", "values of Secret vars"}


def test_variables_from_nowhere_are_told_once_and_not_taken_for_nothing(looked_at) -> None:
    files = {
        "clusters/a/sync.yaml": ks("flux-system", "./clusters/a"),
        "clusters/a/apps.yaml": ks("apps", "./apps", ", postBuild: {substituteFrom: [{kind: ConfigMap, name: vars}]}"),
        "apps/service.yaml": SERVICE,
    }
    assert found(prove(looked_at(files)), "FLX108", "FLX110", "SCH") == [
        "FLX110 clusters/a/apps.yaml:4 ConfigMap flux-system/vars provides variables and is nowhere in this cluster"
    ]


def test_dollar_brace_of_an_application_is_no_variable_of_flux(looked_at) -> None:
    source = "apiVersion: grafana.integreatly.org/v1beta1\nkind: GrafanaDatasource\nmetadata: {name: db, namespace: apps}\nspec: {password: '${DB_PASSWORD}'}\n"
    workspace = looked_at({"clusters/a/sync.yaml": ks("flux-system", "./clusters/a"), "clusters/a/db.yaml": source})
    assert found(prove(workspace), "FLX108") == []


def test_configmap_whose_name_carries_its_hash_needs_no_watch(looked_at) -> None:
    files = {
        "clusters/a/sync.yaml": ks("flux-system", "./clusters/a"),
        "clusters/a/apps.yaml": ks("apps", "./apps"),
        "apps/kustomization.yaml": (
            "namespace: apps\nresources: [release.yaml]\nconfigurations: [names.yaml]\nconfigMapGenerator: [{name: web-values, files: [values.yaml=v.txt]}]\n"
        ),
        "apps/names.yaml": "nameReference: [{kind: ConfigMap, version: v1, fieldSpecs: [{path: spec/valuesFrom/name, kind: HelmRelease}]}]\n",
        "apps/v.txt": "a: 1\n",
        "apps/release.yaml": release("web", "chartRef: {kind: OCIRepository, name: web}, valuesFrom: [{kind: ConfigMap, name: web-values}]"),
    }
    workspace = looked_at(files)
    assert [item.get("spec", "valuesFrom", 0, "name", default="")[:11] for item in only(workspace).of("HelmRelease.helm.toolkit.fluxcd.io")] == ["web-values-"]
    assert found(prove(workspace), "FLX110", "HLM203") == []


# Releases


def test_values_of_a_secret_that_an_operator_makes(looked_at) -> None:
    files = {
        "clusters/a/sync.yaml": ks("flux-system", "./clusters/a"),
        "clusters/a/web.yaml": release("web", "chartRef: {kind: OCIRepository, name: web}, valuesFrom: [{kind: Secret, name: vars, valuesKey: k}]"),
        "clusters/a/vars.yaml": EXTERNAL.replace("flux-system", "apps"),
    }
    verdict = prove(looked_at(files))
    assert found(verdict, "HLM203", "HLM205") == []
    assert "ExternalSecret vars makes it in the cluster" in {entry.why for entry in verdict.ledger}


def test_values_of_a_file_that_sops_encrypted(looked_at) -> None:
    """A secretGenerator takes the whole file in; kustomize breaks the base64 of long values into lines."""
    files = {
        "clusters/a/sync.yaml": ks("flux-system", "./clusters/a"),
        "clusters/a/apps.yaml": ks("apps", "./apps"),
        "apps/kustomization.yaml": (
            "namespace: apps\nresources: [release.yaml]\ngeneratorOptions: {disableNameSuffixHash: true}\n"
            "secretGenerator: [{name: web-values, files: [values.yaml=values.enc.yaml]}, {name: plain, files: [values.yaml=plain.txt]}]\n"
        ),
        "apps/values.enc.yaml": f"password: ENC[AES256_GCM,data:{'x' * 100},type:str]\nsops:\n  mac: ENC[AES256_GCM,data:x]\n",
        "apps/plain.txt": f"text: {'long ' * 40}\n",
        "apps/release.yaml": release(
            "web", "chartRef: {kind: OCIRepository, name: web}, valuesFrom: [{kind: Secret, name: web-values}, {kind: Secret, name: plain}]"
        ),
    }
    verdict = prove(looked_at(files))
    assert found(verdict, "HLM203", "SCH101 apps/") == []
    assert "the value is encrypted in Secret web-values" in {entry.why for entry in verdict.ledger}


# What is not built here


def test_patch_of_what_a_remote_base_holds(looked_at) -> None:
    """The base is not fetched, so nobody knows whether the patch fits."""
    files = {
        "clusters/a/sync.yaml": ks("flux-system", "./clusters/a"),
        "clusters/a/crds.yaml": ks("crds", "./crds"),
        "crds/kustomization.yaml": (
            "resources: [https://example.com/release.yaml]\n"
            "patches: [{patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: theirs, namespace: x}, data: {a: b}}'}]\n"
        ),
    }
    verdict = prove(looked_at(files))
    assert [line.partition(" would")[0] for line in found(verdict, "KUS101", "KUS104")] == ["KUS104 crds/kustomization.yaml:1 https://example.com/release.yaml"]
    assert "no base is fetched from the network" in {entry.why for entry in verdict.ledger if entry.subject == "a/Kustomization/flux-system/crds"}


def test_kustomization_for_another_cluster(looked_at) -> None:
    files = {
        "hub/sync.yaml": ks("flux-system", "./hub"),
        "hub/spoke.yaml": ks("spoke", "./spoke", ", kubeConfig: {secretRef: {name: spoke}}"),
        "spoke/cm.yaml": config("one"),
    }
    verdict = prove(looked_at(files))
    assert "it is applied to another cluster (spec.kubeConfig)" in {entry.why for entry in verdict.ledger}


# ResourceSets and the operator


def resource_set(name: str, spec: str) -> str:
    return f"apiVersion: fluxcd.controlplane.io/v1\nkind: ResourceSet\nmetadata: {{name: {name}, namespace: flux-system}}\nspec: {spec}\n"


def test_resource_set_that_copies_a_secret(looked_at) -> None:
    def copy(name: str, origin: str, more: str = "") -> str:
        annotations = f"{{fluxcd.controlplane.io/copyFrom: flux-system/{origin}}}"
        return f"{{apiVersion: v1, kind: Secret, metadata: {{name: {name}, namespace: << inputs.t >>, annotations: {annotations}}}{more}}}"

    spec = f"{{inputs: [{{t: one}}], resources: [{copy('auth', 'auth')}, {copy('gone', 'nowhere', ', type: kubernetes.io/dockerconfigjson')}]}}"
    content = base64.b64encode(b'{"auths":{}}').decode()
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: auth, namespace: flux-system}\ntype: kubernetes.io/dockerconfigjson\n"
    files = {
        "clusters/a/sync.yaml": ks("flux-system", "./clusters/a"),
        "clusters/a/set.yaml": resource_set("tenants", spec),
        "clusters/a/auth.yaml": secret + f"data: {{.dockerconfigjson: {content}}}\n",
    }
    workspace = looked_at(files)
    copied = only(workspace).find("Secret", "one", "auth")
    assert copied is not None
    assert (copied.get("data", ".dockerconfigjson"), copied.body.get("type")) == (content, "kubernetes.io/dockerconfigjson")
    assert found(prove(workspace), "SCH101") == []


def test_resource_set_waits_for_definitions_of_flux_and_reads_the_object_it_waits_for(looked_at) -> None:
    spec = (
        "{dependsOn: [{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, name: helmreleases.helm.toolkit.fluxcd.io, ready: true},"
        " {apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, name: flux-system, namespace: flux-system, ready: true,"
        " readyExpr: 'status.observedGeneration >= 0'}],"
        " resources: [{apiVersion: v1, kind: Namespace, metadata: {name: team}}, {apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: team}}]}"
    )
    verdict = prove(looked_at({"clusters/a/sync.yaml": ks("flux-system", "./clusters/a"), "clusters/a/set.yaml": resource_set("tenants", spec)}))
    assert found(verdict, "FLX102", "FLX115", "FLX201") == []


# Habits that are nobody's fault


def test_single_administrator_needs_no_service_accounts(looked_at) -> None:
    files = {"clusters/a/sync.yaml": ks("flux-system", "./clusters/a"), "clusters/a/apps.yaml": ks("apps", "./apps"), "apps/cm.yaml": config("x")}
    assert found(prove(looked_at(files)), "FLX109") == []


def test_keys_of_flux_that_is_installed_elsewhere_are_not_asked_for(looked_at) -> None:
    files = {
        "clusters/a/sync.yaml": ks("flux-system", "./clusters/a"),
        "clusters/a/apps.yaml": ks("apps", "./apps", ", decryption: {provider: sops}"),
        "apps/cm.yaml": config("x"),
    }
    assert found(prove(looked_at(files)), "FLX143") == []


def test_templates_of_a_chart_and_files_of_no_cluster_are_no_manifests(looked_at) -> None:
    template = "{{- if .Values.a }}\nkind: {{ .Values.kind }}\n{{- end }}\n"
    files = {
        "clusters/a/sync.yaml": ks("flux-system", "./clusters/a"),
        "charts/web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 0.1.0\n",
        "charts/web/templates/x.yaml": template,
        "templates/scaffold.yaml": template,
        "ansible/tasks.yaml": "- name: a\n  debug: {}\n",
    }
    assert found(prove(looked_at(files)), "YML1") == []


def test_anchor_that_is_used_twice(looked_at) -> None:
    """YAML lets a later anchor of the same name replace the earlier one."""
    thing = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: &n one, namespace: apps}\ndata: {a: *n, b: &n two, c: *n}\n"
    workspace = looked_at({"clusters/a/sync.yaml": ks("flux-system", "./clusters/a"), "clusters/a/cm.yaml": thing})
    assert [item.get("data") for item in only(workspace).of("ConfigMap")] == [{"a": "one", "b": "two", "c": "two"}]
    assert found(prove(workspace), "YML101") == []


def test_merge_key_with_its_tag(looked_at) -> None:
    thing = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one, namespace: apps, labels: &l {a: b}, annotations: {!!merge <<: *l}}\n"
    workspace = looked_at({"clusters/a/sync.yaml": ks("flux-system", "./clusters/a"), "clusters/a/cm.yaml": thing})
    assert [item.annotations for item in only(workspace).of("ConfigMap")] == [{"a": "b"}]
    assert found(prove(workspace), "YML101") == []


def test_source_that_bootstrap_makes_serves_other_clusters_too(looked_at) -> None:
    files = {
        "hub/here.yaml": ks("here", "./here"),
        "hub/there.yaml": ks("there", "./there", ", kubeConfig: {secretRef: {name: there}}"),
        "here/cm.yaml": config("x"),
        "there/cm.yaml": config("y"),
    }
    assert found(prove(looked_at(files)), "FLX311") == []


def test_namespace_on_a_cluster_scoped_object_is_no_error(looked_at) -> None:
    """targetNamespace gives one to every kind that kustomize does not know; the API server drops it."""
    policy = (
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: things.example.com}\n"
        "spec:\n  group: example.com\n  names: {kind: Thing, listKind: ThingList, plural: things, singular: thing}\n  scope: Cluster\n"
        "  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]\n"
        "---\napiVersion: example.com/v1\nkind: Thing\nmetadata: {name: one}\n"
    )
    files = {
        "clusters/a/sync.yaml": ks("flux-system", "./clusters/a"),
        "clusters/a/things.yaml": ks("things", "./things", ", targetNamespace: apps"),
        "things/thing.yaml": policy,
    }
    assert [line.partition(" ")[0] for line in found(prove(looked_at(files)), "SCH", "FLX803")] == ["FLX803"]
