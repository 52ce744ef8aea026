"""The overlay of this repository's own cluster: it builds, it changes what it says, and it changes nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from harness.flux.workspace import Options, Workspace
from harness.live.bootstrap.sealing import Pair, new_pair
from harness.live.bringup import Choice, chains_of, expected_of, flux_objects, left_out
from harness.live.ground.beside import host_of
from harness.live.ground.oci import Pushed
from harness.live.ground.overlay import Beside, OverlayError, closed, mirrored, needed, overlay
from harness.live.ground.proof import differences, rebuilt
from harness.live.ground.sealing import seal_all
from harness.live.sync.readiness import Key
from harness.model import Location, Object, ObjectId, Origin, fixed
from harness.rules.net_intent import intent_of

if TYPE_CHECKING:
    from harness.flux.world import World
    from harness.live.ground.overlay import Overlay

ROOT = Path(__file__).parents[3]
DIGEST = "sha256:" + "a" * 64
OCI = "OCIRepository.source.toolkit.fluxcd.io"
KS = "Kustomization.kustomize.toolkit.fluxcd.io"
FACTS = {"LB_POOL": "172.30.255.1-172.30.255.9", "API_SERVER_CIDR": "172.30.0.2/32", "NODE_CIDR": "172.30.0.0/16", "OPERATOR_CIDR": "172.30.0.0/16"}


@pytest.fixture(scope="module")
def workspace() -> Workspace:
    return Workspace(ROOT, Options(clusters=("kind",)))


@pytest.fixture(scope="module")
def world(workspace: Workspace) -> World:
    return workspace.world(workspace.selected[0])


@pytest.fixture(scope="module")
def beside(world: World) -> Beside:
    host = host_of(world)
    images = {str(item.id): Pushed(mirrored(url), "1", DIGEST, DIGEST) for item in world.of(OCI) if host not in (url := str(item.get("spec", "url")))}
    charts = {str(item.id): mirrored(str(item.get("spec", "url"))) for item in world.of("HelmRepository.source.toolkit.fluxcd.io")}
    return Beside(host, Pushed("plimsoll", "kind", DIGEST, DIGEST), images, charts)


@pytest.fixture(scope="module")
def key() -> Pair:
    return new_pair("test", datetime.now(UTC), bits=2048)


@pytest.fixture(scope="module")
def made(world: World, beside: Beside, key: Pair) -> Overlay:
    return overlay(world, beside, variables=FACTS, sealed=seal_all(world.objects, key.certificate), certificate=key.certificate)


@pytest.fixture(scope="module")
def after(workspace: Workspace, world: World, made: Overlay) -> World:
    return rebuilt(workspace, world, made)


def test_every_source_leads_to_the_registry(after: World, beside: Beside) -> None:
    urls = {str(item.id): str(item.get("spec", "url")) for item in after.objects if item.group == "source.toolkit.fluxcd.io"}
    assert urls
    assert {url for url in urls.values() if not url.startswith(f"oci://{beside.host}/")} == set()


def test_images_are_named_by_digest_without_a_signature(after: World, beside: Beside) -> None:
    for name in beside.images:
        item = next(item for item in after.of(OCI) if str(item.id) == name)
        assert item.get("spec", "ref", "digest") == DIGEST
        assert item.get("spec", "insecure") is True
        assert item.get("spec", "verify") is None


def test_a_dropped_signature_is_in_the_ledger(made: Overlay, world: World) -> None:
    verified = {str(item.id) for item in world.of(OCI) if item.get("spec", "verify") is not None}
    assert verified
    assert {entry.subject for entry in made.not_evaluated if entry.what == "signature of the source"} == verified


def test_facts_arrive_where_they_are_used(after: World) -> None:
    data = next(item for item in after.of("ConfigMap") if item.name == "cluster-vars").body["data"]
    assert {name: data[name] for name in FACTS} == FACTS
    pool = after.of("IPAddressPool.metallb.io")[0]
    assert pool.get("spec", "addresses") == [FACTS["LB_POOL"]]


def test_the_cluster_is_otherwise_the_one_that_was_proven(world: World, after: World, made: Overlay) -> None:
    assert differences(world, after, made) == []
    gone = {item.id for item in world.objects} - {item.id for item in after.objects}
    assert {(item.kind, item.name) for item in gone} == {("Kustomization", "flux-system")}


def test_a_difference_is_found(world: World, after: World, made: Overlay) -> None:
    service = next(item for item in after.objects if item.kind == "Service")
    changed = Object(service.id, {**service.body, "spec": {**service.spec, "type": "NodePort"}}, service.origin)
    extra = Object(ObjectId("kind", "", "Pod", "default", "extra"), {"apiVersion": "v1", "kind": "Pod"}, Origin(fixed(Location("x"))))
    others = tuple(item for item in after.objects if item is not service and item.kind != "IPAddressPool")
    tampered = type(after)(after.cluster, after.repository, after.kubernetes_version, after.today, (*others, changed, extra), after.schemas)
    pool = world.of("IPAddressPool.metallb.io")[0]
    assert sorted(differences(world, tampered, made)) == sorted(
        [f"{pool.id}: only without the overlay", f"{service.id}: differs in more than the overlay says", "kind/Pod/default/extra: only with the overlay"]
    )


def test_sealed_values_are_this_runs(world: World, after: World, key: Pair) -> None:
    before, now = ({(item.namespace, item.name): item.get("spec", "encryptedData") for item in one.of("SealedSecret.bitnami.com")} for one in (world, after))
    assert before.keys() == now.keys() != set()
    assert all(before[name][field] != now[name][field] for name in before for field in before[name])
    certificate = next(item for item in after.of("ConfigMap") if item.name == "sealed-secrets-certificate")
    assert list(certificate.body["data"]) == ["tls.crt"]
    assert certificate.body["data"]["tls.crt"].strip() == key.certificate.strip()


def test_no_private_key_and_no_plain_value_is_in_it(world: World, beside: Beside, key: Pair) -> None:
    sealed = seal_all(world.objects, key.certificate)
    text = yaml.safe_dump_all(overlay(world, beside, sealed=sealed, certificate=key.certificate).objects)
    assert "PRIVATE" not in text
    assert [name for name, value in sealed.plain.items() if value in text] == []


def test_the_sync_root_holds_the_patches_and_its_source_the_tag(made: Overlay, world: World) -> None:
    assert made.source["spec"]["ref"] == {"tag": "kind"}
    assert made.root["spec"]["path"] == "./clusters/kind"
    assert world.cluster.sync is not None
    assert "patches" not in world.cluster.sync.spec
    for patch in made.root["spec"]["patches"]:
        assert patch["target"]["kind"] in ("Kustomization", "ConfigMap", "OCIRepository")


def test_world_with_its_overlay_still_reads_what_people_say_of_it(workspace: Workspace, world: World, beside: Beside) -> None:
    after = rebuilt(workspace, world, overlay(world, beside))
    assert after.derive(intent_of) is not None


def test_what_is_left_out_is_gone_with_what_waits_for_it(workspace: Workspace, world: World, beside: Beside) -> None:
    out = closed(world, ["loki"])
    assert ("flux-system", "loki") in out
    waiting = {(item.namespace, item.name) for item in world.of(KS) if any(entry.get("name") == "loki" for entry in item.get("spec", "dependsOn", default=[]))}
    assert waiting <= out
    made = overlay(world, beside, without=out)
    after = rebuilt(workspace, world, made)
    assert differences(world, after, made) == []
    assert not {(item.namespace, item.name) for item in after.of(KS)} & out
    assert not any(item.namespace == "loki" and item.kind == "HelmRelease" for item in after.objects)
    assert {entry.subject for entry in made.not_evaluated if entry.what == "live"} == {f"kind/Kustomization/{namespace}/{name}" for namespace, name in out}


def test_only_keeps_what_it_needs(world: World) -> None:
    kept = needed(world, ["metallb"])
    assert {("flux-system", "metallb"), ("flux-system", "cert-manager"), ("flux-system", "flux-system")} <= kept
    assert ("flux-system", "loki") not in kept
    out = left_out(world, Choice(only=("metallb",)))
    assert not out & kept
    # Nothing comes up without Flux, and what Flux needs.
    assert {(item.namespace, item.name) for item in world.of(KS)} - out - kept == {("flux-system", "flux"), ("flux-system", "flux-network")}


def test_a_name_that_is_none_is_said_with_the_known_ones(world: World) -> None:
    with pytest.raises(OverlayError, match="there is no Kustomization lokki; there are access, "):
        closed(world, ["lokki"])
    with pytest.raises(OverlayError, match="lokki"):
        left_out(world, Choice(only=("lokki",)))


def test_expected_objects_and_their_makers(world: World) -> None:
    expected = expected_of(world)
    root = Key("Kustomization", "flux-system", "flux-system")
    assert expected[root] is None
    assert expected[Key("Kustomization", "flux-system", "loki")] == root
    assert expected[Key("HelmRelease", "loki", "loki")] == Key("Kustomization", "flux-system", "loki")
    chains = chains_of(world)
    assert chains.keys() == expected.keys()
    assert chains[Key("Kustomization", "tenant-a", "tenant-a-apps")] == {
        ("flux-system", "flux-system"),
        ("flux-system", "tenant-a"),
        ("tenant-a", "tenant-a-apps"),
    }


def test_flux_is_installed_without_the_policies_that_close_it(world: World) -> None:
    class Whole:
        """The world, as if no object came from the lock."""

        cluster = world.cluster
        objects = tuple(Object(item.id, item.body, Origin(item.origin.locate, item.origin.chain)) for item in world.objects)

        @classmethod
        def of(cls, kind: str) -> tuple[Object, ...]:
            return tuple(item for item in cls.objects if str(item.group_kind) == kind)

    kinds = [item.kind for item in flux_objects(Whole)]
    assert kinds[0] == "Namespace"
    assert "NetworkPolicy" not in kinds
    assert kinds.index("Deployment") > max(index for index, kind in enumerate(kinds) if kind == "CustomResourceDefinition")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("oci://quay.io/jetstack/charts/cert-manager", "quay.io/jetstack/charts/cert-manager"),
        ("https://charts.example.com/", "charts.example.com"),
        ("https://user@Example.com:8443/stable/", "example.com-8443/stable"),
    ],
)
def test_mirrored_paths(url: str, path: str) -> None:
    assert mirrored(url) == path
