"""Which sources are the repository that is looked at."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from harness.flux.discovery import Reference
from harness.flux.remotes import address, checkout
from harness.flux.sources import Sources, reference_of
from harness.source.repository import Repository
from hypothesis import given
from hypothesis import strategies as st
from unit.flux.releases import Cluster

if TYPE_CHECKING:
    from pathlib import Path

    from harness.model import Object


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.com/team/fleet",
        "https://git.example.com/team/fleet.git",
        "https://git.example.com/team/fleet/",
        "https://Git.Example.com/team/fleet.git/",
        "http://git.example.com:80/team/fleet",
        "https://git.example.com:443/team/fleet",
        "https://user:token@git.example.com/team/fleet.git",
        "ssh://git@git.example.com/team/fleet",
        "ssh://git@git.example.com:22/team/fleet",
        "git@git.example.com:team/fleet.git",
        "git.example.com:team/fleet",
        " https://git.example.com//team/fleet ",
    ],
)
def test_spellings_of_one_address(url: str) -> None:
    assert address(url) == "git.example.com/team/fleet"


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("ssh://git@git.example.com:2222/team/fleet", "git.example.com:2222/team/fleet"),
        ("oci://registry.example.com:5000/fleet", "registry.example.com:5000/fleet"),
        ("registry.example.com:5000/fleet", "registry.example.com:5000/fleet"),
        ("", ""),
        ("://", ""),
        ("@:", ""),
    ],
)
def test_addresses_that_are_others(url: str, plain: str) -> None:
    assert address(url).strip("/") == plain


@given(st.text(max_size=40))
def test_any_text_is_an_address_that_is_stable(text: str) -> None:
    once = address(text)
    assert isinstance(once, str)
    assert address(f"https://{once}") in {once, address(once)} or "@" in once or ":" in once or "://" in once


def git(root: Path, *arguments: str) -> None:
    command = ["git", "-C", str(root), *arguments]
    subprocess.run(command, check=True, capture_output=True)


def test_checkout_of_a_work_tree(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "trunk")
    git(tmp_path, "remote", "add", "origin", "git@git.example.com:team/fleet.git")
    git(tmp_path, "remote", "add", "mirror", "https://mirror.example.com/fleet")
    assert checkout(tmp_path) == (frozenset({"git.example.com/team/fleet", "mirror.example.com/fleet"}), frozenset({"main", "master", "trunk"}))


def test_checkout_of_a_plain_folder(tmp_path: Path) -> None:
    assert checkout(tmp_path) == (frozenset(), frozenset({"main", "master"}))


SOURCE = "apiVersion: source.toolkit.fluxcd.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{url: '{url}', ref: {ref}}}\n"
FLEET = SOURCE.format(kind="GitRepository", name="flux-system", namespace="flux-system", url="https://git.example.com/fleet", ref="{branch: main}")
SYNC = Reference("GitRepository", "flux-system", "flux-system")


def kustomization(source: str, path: str = "./apps") -> str:
    return (
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: k, namespace: flux-system}\n"
        f"spec: {{path: {path}, sourceRef: {source}}}\n"
    )


def resolved(root: Path, *documents: str, sync: Reference = SYNC, base: str = "") -> tuple[str | None, str]:
    """Where the first document, a Kustomization, leads in a cluster of all of them."""
    cluster = Cluster("---\n".join(documents))
    found = Sources(Repository(root), sync, base).resolve(cluster.objects[0], cluster.find, lambda: tuple(generators(cluster)))
    return found.path, found.elsewhere


def generators(cluster: Cluster) -> list[Object]:
    return cluster.of("ArtifactGenerator.source.extensions.fluxcd.io")


def test_sync_s_own_source(tmp_path: Path) -> None:
    assert resolved(tmp_path, kustomization("{kind: GitRepository, name: flux-system}"), FLEET) == ("apps", "")


def test_source_of_the_sync_that_is_not_in_git(tmp_path: Path) -> None:
    assert resolved(tmp_path, kustomization("{kind: GitRepository, name: flux-system}")) == ("apps", "")


def test_folder_that_an_artifact_is_made_of(tmp_path: Path) -> None:
    sync = Reference("OCIRepository", "flux-system", "flux-system")
    assert resolved(tmp_path, kustomization("{kind: OCIRepository, name: flux-system}"), sync=sync, base="deploy") == ("deploy/apps", "")
    assert resolved(tmp_path, kustomization("{kind: OCIRepository, name: flux-system}", "./"), sync=sync, base="deploy") == ("deploy", "")


@pytest.mark.parametrize(
    ("ref", "here"),
    [("{branch: main}", True), ("{branch: next}", False), ("{tag: v1}", False), ("{branch: main, commit: abc}", False), ("null", False)],
)
def test_another_object_of_the_same_address_needs_the_same_revision(tmp_path: Path, ref: str, here: bool) -> None:
    other = SOURCE.format(kind="GitRepository", name="copy", namespace="tenant", url="ssh://git@git.example.com/fleet.git", ref=ref)
    path, _ = resolved(tmp_path, kustomization("{kind: GitRepository, name: copy, namespace: tenant}"), FLEET, other)
    assert (path == "apps") is here


@pytest.mark.parametrize(
    ("ref", "here"), [("{}", True), ("{branch: main}", True), ("{branch: trunk}", True), ("{branch: team}", False), ("{semver: '1.x'}", False), ("[1]", False)]
)
def test_without_a_sync_in_git_the_checkout_s_branches_count(tmp_path: Path, ref: str, here: bool) -> None:
    git(tmp_path, "init", "-q", "-b", "trunk")
    git(tmp_path, "remote", "add", "origin", "https://git.example.com/fleet.git")
    other = SOURCE.format(kind="GitRepository", name="copy", namespace="flux-system", url="https://git.example.com/fleet", ref=ref)
    path, _ = resolved(tmp_path, kustomization("{kind: GitRepository, name: copy}"), other, sync=Reference())
    assert (path == "apps") is here


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{kind: GitRepository, name: nobody}", "GitRepository flux-system/nobody is another source (not declared in this repository)"),
        ("{kind: Bucket, name: b, namespace: x}", "Bucket x/b is another source (s3.example.com/stuff)"),
        ("{kind: OCIRepository, name: vendor}", "OCIRepository flux-system/vendor is another source (registry.example.com/vendor)"),
    ],
)
def test_other_sources_are_named_with_their_address(tmp_path: Path, source: str, why: str) -> None:
    bucket = "apiVersion: source.toolkit.fluxcd.io/v1\nkind: Bucket\nmetadata: {name: b, namespace: x}\nspec: {endpoint: s3.example.com, bucketName: stuff}\n"
    vendor = SOURCE.format(kind="OCIRepository", name="vendor", namespace="flux-system", url="oci://registry.example.com/vendor", ref="{tag: v1}")
    assert resolved(tmp_path, kustomization(source), FLEET, bucket, vendor) == (None, why)


@pytest.mark.parametrize("source", ["null", "5", "[]", "{}", "{name: x}", "{kind: null}"])
def test_reference_that_is_none_is_empty(source: str) -> None:
    assert reference_of(Cluster(kustomization(source)).objects[0]) == Reference()


PLACES = st.lists(st.sampled_from(["a", "b", "c"]), min_size=0, max_size=3).map("/".join)


@given(start=PLACES, goal=PLACES, rest=PLACES)
def test_a_copied_folder_leads_back_to_where_it_was(tmp_path_factory: pytest.TempPathFactory, start: str, goal: str, rest: str) -> None:
    """``start/**`` copied to ``goal``: what is at goal/rest in the artifact is at start/rest in the repository."""
    generator = (
        "apiVersion: source.extensions.fluxcd.io/v1beta1\nkind: ArtifactGenerator\nmetadata: {name: g, namespace: flux-system}\n"
        "spec: {sources: [{alias: r, kind: GitRepository, name: flux-system}], artifacts: [{name: part, copy: "
        f"[{{from: '@r/{start}{'/' if start else ''}**', to: '@artifact/{goal}'}}]}}]}}\n"
    )
    path = "/".join(part for part in (goal, rest) if part)
    found = resolved(tmp_path_factory.getbasetemp(), kustomization("{kind: ExternalArtifact, name: part}", f"./{path}"), generator)
    assert found == ("/".join(part for part in (start, rest) if part), "")
