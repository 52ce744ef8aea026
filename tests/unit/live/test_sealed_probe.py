"""Probes of Sealed Secrets: what they say of a controller that opens, refuses or is away, and that no value is in it."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from harness.engines.secrets.sealed import Scope
from harness.live.bootstrap.sealing import Pair, new_pair
from harness.live.ground.sealing import seal, unseal
from harness.live.reach.kubectl import Kubectl
from harness.live.reach.run import Output, RunError
from harness.live.secrets.sealed_probe import Sealer, differences, signed_with
from harness.model import Location, Object, ObjectId, Origin

sys.path.insert(0, str(Path(__file__).parent))
from fakes import Time, condition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OWN, OTHER = (new_pair("test", datetime(2026, 11, 28, tzinfo=UTC), bits=1024) for _number in range(2))
REFUSAL = "no key could decrypt secret (token)"


@dataclass
class Cluster:
    """A controller with a key (None: it is away), and nodes that run what can run."""

    key: Pair | None = OWN
    objects: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    late: int = 0
    """How many times it is asked for a SealedSecret before it has said anything of one."""

    def __call__(self, argv: Sequence[str], *, stdin: str | None = None, timeout: float = 60, env: Mapping[str, str] | None = None) -> Output:
        words = [word for word in argv[1:] if not word.startswith("--")]
        match words:
            case ["apply"]:
                for item in json.loads(stdin or "")["items"]:
                    self._apply(item)
            case ["get", kind, name]:
                found = self.objects.get((kind, name))
                if found is None:
                    raise RunError(words, "ended with code 1", code=1, stderr="Error from server (NotFound)")
                if "sealedsecrets" in kind and self.late:
                    self.late -= 1
                    found = {key: value for key, value in found.items() if key != "status"}
                return Output(json.dumps(found))
            case ["logs", name]:
                secret = self.objects.get(("secret", name))
                if secret is None:
                    raise RunError(words, "waiting to start")
                return Output(hashlib.sha256(base64.b64decode(secret["data"]["token"])).hexdigest() + "  /sealed/token\n")
            case ["delete", kind, name]:
                self.objects.pop((kind, name), None)
                if kind.startswith("SealedSecret"):
                    self.objects.pop(("sealedsecrets.bitnami.com", name), None)
                    self.objects.pop(("secret", name), None)
            case _:
                raise AssertionError(words)
        return Output("")

    def _apply(self, item: dict[str, Any]) -> None:
        name = item["metadata"]["name"]
        if item["kind"] != "SealedSecret":
            self.objects[item["kind"], name] = item
            return
        self.objects["sealedsecrets.bitnami.com", name] = item
        if self.key is None:
            return
        try:
            value = unseal(self.key.key, item["spec"]["encryptedData"]["token"], item["metadata"]["namespace"], name)
        except ValueError:
            item["status"] = {"conditions": [condition("Synced", "False", message=REFUSAL)]}
            return
        item["status"] = {"conditions": [condition("Synced", "True")]}
        self.objects["secret", name] = {"data": {"token": base64.b64encode(value).decode()}}

    def sealer(self) -> Sealer:
        return Sealer(Kubectl("kubectl", Path("kubeconfig"), "", self), "tenant-b", "image:1", 10, Time().clock)


def test_what_opens_and_what_a_pod_reads() -> None:
    cluster = Cluster()
    assert cluster.sealer().opens(OWN.certificate) == ""
    assert cluster.sealer().used(OWN.certificate) == ""
    assert cluster.objects == {}


@pytest.mark.parametrize("elsewhere", [{"name": "x"}, {"namespace": "x"}, {"scope": Scope.NAMESPACE}, {"scope": Scope.CLUSTER}])
def test_what_is_sealed_for_another_place_is_refused(elsewhere: dict[str, Any]) -> None:
    assert REFUSAL in Cluster().sealer().opens(OWN.certificate, **elsewhere)


@pytest.mark.parametrize("late", range(5))
def test_a_refusal_is_told_whenever_it_comes(late: int) -> None:
    assert REFUSAL in Cluster(late=late).sealer().opens(OTHER.certificate)


def test_what_is_sealed_for_another_key_is_refused() -> None:
    cluster = Cluster()
    assert REFUSAL in cluster.sealer().opens(OTHER.certificate)
    assert REFUSAL in cluster.sealer().used(OTHER.certificate)
    assert cluster.objects == {}


def test_a_controller_that_is_away_says_nothing() -> None:
    cluster = Cluster(key=None)
    assert cluster.sealer().opens(OWN.certificate) == "Synced not said"
    assert "the pod says: (no logs" in cluster.sealer().used(OWN.certificate)
    assert cluster.objects == {}


def sealed_secret(name: str) -> Object:
    body = {"spec": {"encryptedData": {"token": seal(OWN.certificate, b"the value inside", "tenant-b", name)}}}
    whole = {"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": {"name": name, "namespace": "tenant-b"}, **body}
    return Object(ObjectId("kind", "bitnami.com", "SealedSecret", "tenant-b", name), whole, Origin(Location("a.yaml", 1)))


def test_objects_of_git_beside_their_secrets() -> None:
    cluster, items = Cluster(), [sealed_secret(name) for name in ("good", "stale", "waiting", "gone")]
    for item in items[:3]:
        cluster._apply(json.loads(json.dumps(item.body)))
    cluster.objects["secret", "stale"] = {"data": {"token": base64.b64encode(b"an older value").decode()}}
    cluster.objects["sealedsecrets.bitnami.com", "waiting"]["status"] = {}
    del cluster.objects["secret", "waiting"]
    kubectl = cluster.sealer().kubectl
    found = [(item.name, text) for item, text in differences(kubectl, items, [OTHER, OWN])]
    assert found == [
        ("stale", "token: the Secret holds something else than what is sealed"),
        ("waiting", "Synced not said: "),
        ("waiting", "token: the Secret has no such key"),
        ("gone", "it is not in the cluster"),
    ]
    assert [text for _item, text in differences(kubectl, items[:1], [OTHER])] == ["token: none of the cluster's keys opens it under this namespace and name"]


def test_signatures() -> None:
    # RFC 7515, appendix A.1, with its key.
    key = base64.urlsafe_b64decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow==").decode("latin-1")
    token = (
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
        ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    )
    assert signed_with(token, key.encode("latin-1"))
    assert not signed_with(token, "another")
    assert not signed_with("no token", "another")
