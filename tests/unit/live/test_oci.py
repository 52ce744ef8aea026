"""Pushing to a registry: media types, digests, reproducible archives, and a round trip through a strict one in memory."""

from __future__ import annotations

import gzip
import io
import json
import tarfile

import pytest
from harness.live.ground.oci import (
    FLUX_CONFIG,
    FLUX_CONTENT,
    HELM_CONFIG,
    HELM_CONTENT,
    MANIFEST,
    Registry,
    RegistryError,
    Response,
    archive,
    digest_of,
    is_local,
    push_chart,
    push_flux,
)
from hypothesis import given
from hypothesis import strategies as st
from unit.live.fakes import FakeRegistry

FILES = {"clusters/kind/kustomization.yaml": b"kind: Kustomization\n", "policies/a.yaml": b"{}\n"}
WHERE = {"source": "https://example.com/plimsoll", "revision": "main@sha1:0123", "created": "2026-11-01T00:00:00Z"}


def unpacked(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isfile()}


@pytest.mark.parametrize("relative", [False, True], ids=["absolute-place", "relative-place"])
def test_tree_round_trip(relative: bool) -> None:
    fake = FakeRegistry(relative=relative)
    registry = Registry("127.0.0.1:5000", fake)
    pushed = push_flux(registry, "plimsoll", "kind", FILES, **WHERE)
    manifest = registry.manifest("plimsoll", "kind")
    assert digest_of(fake.manifests["plimsoll", "kind"]) == pushed.digest
    assert pushed.revision == f"kind@{pushed.digest}"
    assert manifest["mediaType"] == MANIFEST
    assert manifest["config"]["mediaType"] == FLUX_CONFIG
    assert [layer["mediaType"] for layer in manifest["layers"]] == [FLUX_CONTENT]
    assert manifest["annotations"] == {
        "org.opencontainers.image.created": "2026-11-01T00:00:00Z",
        "org.opencontainers.image.revision": "main@sha1:0123",
        "org.opencontainers.image.source": "https://example.com/plimsoll",
    }
    layer = registry.content("plimsoll", manifest["layers"][0]["digest"])
    assert unpacked(layer) == FILES
    assert manifest["layers"][0]["digest"] == pushed.content
    config = json.loads(registry.content("plimsoll", manifest["config"]["digest"]))
    assert config["rootfs"]["diff_ids"] == [digest_of(gzip.decompress(layer))]


def test_the_same_tree_has_the_same_digest_and_is_sent_once() -> None:
    fake = FakeRegistry()
    registry = Registry("127.0.0.1:5000", fake)
    first = push_flux(registry, "plimsoll", "kind", FILES, **WHERE)
    sent = len(fake.log)
    again = push_flux(registry, "plimsoll", "kind", dict(reversed(FILES.items())), **WHERE)
    assert again == first
    assert [line.split()[0] for line in fake.log[sent:]] == ["GET", "GET"]
    assert push_flux(registry, "plimsoll", "kind", {**FILES, "policies/b.yaml": b""}, **WHERE).digest != first.digest


def test_a_tag_goes_back_to_what_it_named() -> None:
    registry = Registry("127.0.0.1:5000", FakeRegistry())
    first = push_flux(registry, "plimsoll", "kind", FILES, **WHERE)
    assert push_flux(registry, "plimsoll", "kind", {**FILES, "policies/b.yaml": b""}, **WHERE).digest != first.digest
    registry.tag("plimsoll", first.digest, "kind")
    assert registry.digest("plimsoll", "kind") == first.digest


def test_chart_is_pushed_byte_for_byte() -> None:
    fake = FakeRegistry()
    registry = Registry("127.0.0.1:5000", fake)
    pushed = push_chart(registry, "quay.io/charts/web", b"package", {"name": "web", "version": "1.2.3+build.4", "apiVersion": "v2"})
    assert pushed.tag == "1.2.3_build.4"
    assert pushed.content == digest_of(b"package")
    manifest = registry.manifest("quay.io/charts/web", pushed.digest)
    assert manifest["config"]["mediaType"] == HELM_CONFIG
    assert manifest["layers"] == [{"mediaType": HELM_CONTENT, "digest": digest_of(b"package"), "size": 7}]
    assert json.loads(registry.content("quay.io/charts/web", manifest["config"]["digest"]))["version"] == "1.2.3+build.4"
    assert registry.content("quay.io/charts/web", pushed.content) == b"package"


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}(/[a-z]{1,60}){0,4}\.yaml", fullmatch=True), st.binary(max_size=40), max_size=6))
def test_archive_holds_the_files_and_nothing_of_the_machine(files: dict[str, bytes]) -> None:
    data, inner = archive(files)
    assert unpacked(data) == files
    assert archive(dict(sorted(files.items(), reverse=True))) == (data, inner)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert {(entry.mtime, entry.uid, entry.gid, entry.uname, entry.mode) for entry in tar} <= {(0, 0, 0, "", 0o644)}


@pytest.mark.parametrize(
    ("address", "local"),
    [("localhost:5000", True), ("127.0.0.1:5000", True), ("[::1]:5000", True), ("quay.io", False), ("127.example.com", False), ("10.0.0.1:80", False)],
)
def test_plain_http_is_for_this_machine_only(address: str, local: bool) -> None:
    assert is_local(address) is local
    asked: list[str] = []

    def send(method: str, url: str, _headers: object, _body: bytes) -> Response:
        asked.append(f"{method} {url}")
        return Response(200)

    assert Registry(address, send).ready()
    assert asked == [f"GET {'http' if local else 'https'}://{address}/v2/"]


def test_a_refusal_says_what_the_registry_said() -> None:
    registry = Registry("127.0.0.1:5000", lambda *_arguments: Response(503, {}, b"disk full"))
    with pytest.raises(RegistryError, match=r"HEAD http://127.0.0.1:5000/v2/a/blobs/sha256:.*: status 503 where 200 or 404 was expected: disk full"):
        push_chart(registry, "a", b"x", {"name": "a", "version": "1"})


def test_a_registry_that_stores_something_else_is_caught() -> None:
    fake = FakeRegistry()

    def send(method: str, url: str, headers: dict[str, str], body: bytes) -> Response:
        answer = fake(method, url, headers, body)
        return answer._replace(headers={"docker-content-digest": "sha256:other"}) if "/manifests/" in url else answer

    with pytest.raises(RegistryError, match="the registry has sha256:other"):
        push_chart(Registry("127.0.0.1:1", send), "a", b"x", {"name": "a", "version": "1"})


def test_content_is_checked_against_its_digest() -> None:
    fake = FakeRegistry(blobs={("a", "sha256:1"): b"tampered"})
    with pytest.raises(RegistryError, match="what came for sha256:1 has the digest"):
        Registry("127.0.0.1:1", fake).content("a", "sha256:1")


def test_no_place_to_upload_to() -> None:
    registry = Registry("127.0.0.1:1", lambda method, *_rest: Response(404 if method == "HEAD" else 202))
    with pytest.raises(RegistryError, match="without a place"):
        registry.blob("a", b"x")


def test_not_there() -> None:
    with pytest.raises(RegistryError, match="status 404 where 200 was expected: manifest unknown"):
        Registry("127.0.0.1:1", FakeRegistry()).manifest("a", "none")
