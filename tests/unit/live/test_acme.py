"""An ACME server in the cluster: what is applied for it, and what becomes of an image that cannot be had."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from cryptography import x509
from harness.flux.workspace import Options, Workspace
from harness.live.findings import NotEvaluatedError
from harness.live.ingress.acme import IMAGE, ISSUER, acme, approval, challenged, exception, from_git, own_certificate, server, ways
from harness.live.ingress.edge import Edge, load_balancers
from harness.live.ingress.hosts import is_platform, rows
from harness.live.reach.kubectl import Kubectl
from harness.live.reach.run import Output, RunError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.flux.world import World
    from harness.live.bringup import Platform

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 28, 6, tzinfo=UTC)
NAME = "proof-1"


@pytest.fixture(scope="module")
def workspace() -> Workspace:
    return Workspace(ROOT, Options(clusters=("kind",)))


@pytest.fixture(scope="module")
def world(workspace: Workspace) -> World:
    return workspace.world(workspace.selected[0])


def platform(workspace: Workspace, world: World, runner: Any = None) -> Platform:
    cluster = SimpleNamespace(kubectl=Kubectl("kubectl", Path("/k"), runner=runner), foreign=False)
    return cast("Platform", SimpleNamespace(world=world, workspace=workspace, cluster=cluster))


def edge(found: Platform) -> Edge:
    return Edge(found, load_balancers(found.world)[0])


def test_the_server_has_a_certificate_of_its_own() -> None:
    own = own_certificate("proof-1.cert-manager.svc", NOW)
    found = x509.load_pem_x509_certificate(own.certificate.encode())
    found.verify_directly_issued_by(found)
    assert found.not_valid_before_utc < NOW < found.not_valid_after_utc < NOW + timedelta(days=2)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["proof-1.cert-manager.svc", "localhost"]
    assert "PRIVATE" not in own.certificate


def test_the_server_is_what_its_namespace_admits() -> None:
    objects = {item["kind"]: item for item in server(NAME, own_certificate("a", NOW))}
    assert {item["metadata"]["namespace"] for item in objects.values()} == {"cert-manager"}
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == IMAGE
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    settings = json.loads(objects["ConfigMap"]["data"]["config.json"])["pebble"]
    assert (settings["httpPort"], settings["tlsPort"]) == (80, 443)


def test_the_exception_is_for_these_objects_and_ends() -> None:
    spec = exception(NAME, NOW)["spec"]
    assert spec["expiresAt"] == "2026-11-28T07:00:00Z"
    assert spec["matchConditions"][0]["expression"] == "object.metadata.namespace == 'cert-manager' && object.metadata.name.startsWith('proof-1')"


def test_only_what_the_challenge_needs_is_opened(workspace: Workspace, world: World) -> None:
    inner, manager = ways(NAME, edge(platform(workspace, world)))
    assert inner["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert [port["port"] for port in inner["spec"]["egress"][0]["ports"]] == [80, 443]
    assert manager["spec"]["policyTypes"] == ["Egress"]
    assert manager["spec"]["egress"][0]["to"][0]["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": NAME}


def test_the_issuer_is_the_one_in_git_but_for_where_it_leads(workspace: Workspace, world: World) -> None:
    own = own_certificate("a", NOW)
    issuer, way = from_git(platform(workspace, world), NAME, own, "zone")
    assert issuer["metadata"] == {"name": ISSUER}
    found = issuer["spec"]["acme"]
    assert found["server"] == "https://proof-1.cert-manager.svc:14000/dir"
    assert base64.b64decode(found["caBundle"]).decode() == own.certificate
    assert found["privateKeySecretRef"] == {"name": "proof-1-account"}
    assert found["solvers"][0]["selector"] == {"dnsZones": ["zone"]}
    assert found["solvers"][0]["http01"]["ingress"]["ingressClassName"] == "nginx"
    assert (way["metadata"]["name"], way["metadata"]["namespace"]) == ("proof-1-look", "cert-manager")
    role, binding = approval(NAME)
    assert role["rules"][0]["resourceNames"] == [f"clusterissuers.cert-manager.io/{ISSUER}"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "cert-manager", "namespace": "cert-manager"}]


def test_an_ingress_and_its_certificate_name_each_other(world: World) -> None:
    item = rows(world)["flux-webhook.kind.example.com"].listener.item
    ingress, certificate = challenged(item, "host", NAME)
    assert ingress["spec"]["tls"] == [{"hosts": ["host"], "secretName": NAME}]
    assert ingress["spec"]["rules"][0]["host"] == "host"
    assert item.spec["rules"][0]["host"] != "host"
    assert certificate["metadata"]["annotations"]["acme.cert-manager.io/http01-override-ingress-name"] == ingress["metadata"]["name"]
    assert certificate["spec"]["issuerRef"]["name"] == ISSUER
    assert "duration" not in certificate["spec"]
    assert is_platform(world, item.namespace)
    assert not is_platform(world, "tenant-a")


class Server:
    """kubectl of a cluster where the server's pod waits for a reason, and what was applied to it and deleted from it."""

    def __init__(self, reason: str, *, issuer: bool = False) -> None:
        self.reason = reason
        self.issuer = issuer
        self.applied: list[str] = []
        self.deleted: list[str] = []

    def __call__(self, argv: Sequence[str], *, stdin: str | None = None, timeout: float = 60, env: Mapping[str, str] | None = None) -> Output:
        assert timeout > 0
        assert env is None
        verb, *rest = argv[2:]
        if "--dry-run=server" in rest:
            return Output("admitted")
        if verb == "apply":
            self.applied += [f"{item['kind']}/{item['metadata']['name']}" for item in json.loads(stdin or "{}")["items"]]
        elif verb == "delete":
            self.deleted.append(f"{rest[0].partition('.')[0]}/{rest[1]}")
        elif rest[0] == "clusterissuers.cert-manager.io" and not self.issuer:
            raise RunError(argv, "ended with code 1", stderr="Error from server (NotFound): not found")
        elif rest[0] == "pods":
            waiting = {"waiting": {"reason": self.reason, "message": "not found"}}
            return Output(json.dumps({"items": [{"status": {"containerStatuses": [{"ready": not self.reason, "state": waiting if self.reason else {}}]}}]}))
        else:
            return Output("{}")
        return Output("")


def test_everything_of_it_is_gone_afterwards(workspace: Workspace, world: World) -> None:
    cluster = Server("")
    found = platform(workspace, world, cluster)
    with acme(found, edge(found), NAME) as made:
        assert made.host == "proof-1.ingress-nginx.svc.cluster.local"
        assert f"ClusterIssuer/{ISSUER}" in cluster.applied
        assert cluster.deleted == []
    assert sorted(cluster.deleted) == sorted([*cluster.applied, "secrets/proof-1-account"])


def test_without_its_image_it_is_not_evaluated(workspace: Workspace, world: World) -> None:
    cluster = Server("ImagePullBackOff")
    found = platform(workspace, world, cluster)
    with pytest.raises(NotEvaluatedError, match="the server's image cannot be had: ImagePullBackOff: not found"), acme(found, edge(found), NAME):
        pass
    assert sorted(cluster.deleted) == sorted([*cluster.applied, "secrets/proof-1-account"])


def test_an_account_at_a_real_server_is_left_alone(workspace: Workspace, world: World) -> None:
    cluster = Server("", issuer=True)
    found = platform(workspace, world, cluster)
    with pytest.raises(NotEvaluatedError, match="with an account at a server outside"), acme(found, edge(found), NAME):
        pass
    assert cluster.applied == cluster.deleted == []
