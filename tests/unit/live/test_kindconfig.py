"""The configuration of the cluster, from options to what kind reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from harness.live.ground.kindconfig import Nodes, OptionError, configuration, files, node_image


def patches(nodes: Nodes) -> dict[tuple[str, str], dict[str, object]]:
    found = [yaml.safe_load(text) for text in configuration(nodes, Path("/x"))["nodes"][0]["kubeadmConfigPatches"]]
    return {(body["apiVersion"], body["kind"]): body for body in found}


def test_one_node_by_default() -> None:
    config = configuration(Nodes(), Path("/x"))
    assert [node["role"] for node in config["nodes"]] == ["control-plane"]
    assert "containerdConfigPatches" not in config
    assert config["networking"] == {"podSubnet": "10.244.0.0/16", "serviceSubnet": "10.96.0.0/16"}


def test_workers() -> None:
    assert [node["role"] for node in configuration(Nodes(workers=2), Path("/x"))["nodes"]] == ["control-plane", "worker", "worker"]


def test_mirror_is_mounted_on_every_node() -> None:
    nodes = Nodes(workers=1, mirror="http://mirror:5000/")
    config = configuration(nodes, Path("/x"))
    mount = {"hostPath": "/x/certs.d", "containerPath": "/etc/containerd/certs.d", "readOnly": True}
    assert all(mount in node["extraMounts"] for node in config["nodes"])
    assert 'config_path = "/etc/containerd/certs.d"' in config["containerdConfigPatches"][0]
    assert files(nodes)["certs.d/_default/hosts.toml"] == '[host."http://mirror:5000"]\n  capabilities = ["pull", "resolve"]\n'


def test_no_mirror_no_file() -> None:
    assert list(files(Nodes())) == ["audit/policy.yaml"]


@pytest.mark.parametrize("version", ["v1beta3", "v1beta4"])
def test_metrics_and_audit_for_both_forms_of_arguments(version: str) -> None:
    body = patches(Nodes())[f"kubeadm.k8s.io/{version}", "ClusterConfiguration"]

    def arguments(*path: str) -> dict[str, str]:
        value: object = body
        for part in (*path, "extraArgs"):
            value = value[part]
        return value if version == "v1beta3" else {entry["name"]: entry["value"] for entry in value}

    assert arguments("scheduler") == arguments("controllerManager") == {"bind-address": "0.0.0.0"}  # noqa: S104
    assert arguments("etcd", "local") == {"listen-metrics-urls": "http://0.0.0.0:2381"}
    assert arguments("apiServer")["audit-policy-file"] == "/etc/kubernetes/audit/policy.yaml"
    assert {volume["name"] for volume in body["apiServer"]["extraVolumes"]} == {"audit-policy", "audit-log"}


def test_kube_proxy_metrics() -> None:
    assert patches(Nodes())["kubeproxy.config.k8s.io/v1alpha1", "KubeProxyConfiguration"]["metricsBindAddress"] == "0.0.0.0:10249"


@pytest.mark.parametrize("old", [True, False])
def test_cgroup_v1_is_allowed_only_where_there_is_no_other(old: bool) -> None:
    kubelet = patches(Nodes(cgroup_v1=old)).get(("kubelet.config.k8s.io/v1beta1", "KubeletConfiguration"))
    assert (kubelet or {}).get("failCgroupV1") == (False if old else None)


def test_audit_never_records_bodies() -> None:
    policy = yaml.safe_load(files(Nodes())["audit/policy.yaml"])
    assert {rule["level"] for rule in policy["rules"]} == {"None", "Metadata"}
    assert policy["rules"][-1] == {"level": "Metadata"}


@pytest.mark.parametrize(
    ("image", "version", "chosen"),
    [
        (None, None, None),
        ("mine:1", "1.36.4", "mine:1"),
        (None, "1.36.4", "kindest/node:v1.36.4"),
        (None, "v1.35.1", "kindest/node:v1.35.1"),
    ],
)
def test_node_image(image: str | None, version: str | None, chosen: str | None) -> None:
    assert node_image(image, version) == chosen


def test_a_version_without_a_patch_names_no_image() -> None:
    with pytest.raises(OptionError, match=r"--kubernetes-version 1\.36: node images are named by the whole version"):
        node_image(None, "1.36")


@pytest.mark.parametrize("options", [{"workers": -1}, {"mirror": "mirror:5000"}, {"mirror": "ftp://mirror"}, {"mirror": "http://"}])
def test_options_that_cannot_be_meant(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=r"--workers|--registry-mirror"):
        Nodes(**options)
