"""Sealing keys under proof: whatever a proof does to them and wherever it stops, the cluster ends with its own keys and no others."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from harness.live.bootstrap.base import Journal
from harness.live.bootstrap.sealing import LABEL, Pair, keys_of, new_pair, restore
from harness.live.reach.kubectl import Kubectl
from harness.live.reach.run import Output, RunError
from harness.live.reach.wait import WaitTimeoutError
from harness.live.secrets.sealed_keys import KEPT, kept_aside, lost, recover, settled

sys.path.insert(0, str(Path(__file__).parent))
from fakes import Time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NOW = datetime(2026, 11, 28, tzinfo=UTC)
OWN, NEWER, OTHER = (new_pair("test", NOW.replace(day=day), bits=1024) for day in (1, 2, 3))


@dataclass
class Namespace:
    """The namespace of the controller: Secrets by name, and how often the controller was started."""

    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)
    starts: int = 0
    slow: int = 0
    """Answers for which the controller that goes away is still there."""
    left: int = 0
    fail_at: int = 0
    changes: int = 0

    def __call__(self, argv: Sequence[str], *, stdin: str | None = None, timeout: float = 60, env: Mapping[str, str] | None = None) -> Output:
        words = [word for word in argv[1:] if not word.startswith("--kubeconfig")]
        options = {word.partition("=")[0]: word.partition("=")[2] for word in words if word.startswith("--")}
        assert options.get("--namespace") == "sealed-secrets" or words[0] == "apply" or words[1] == "namespace"
        if words[0] == "get":
            return Output(json.dumps(self._get(words, options)))
        self.changes += 1
        if self.fail_at and self.changes >= self.fail_at:
            raise KeyboardInterrupt
        match words[:2]:
            case ["apply", *_]:
                for item in json.loads(stdin or "")["items"]:
                    self.secrets[item["metadata"]["name"]] = item
            case ["delete", "pods"]:
                self.starts, self.left = self.starts + 1, self.slow
            case ["delete", "secret"]:
                del self.secrets[words[2]]
            case _:
                raise AssertionError(words)
        return Output("")

    def _get(self, words: list[str], options: Mapping[str, str]) -> dict[str, Any]:
        if words[1] == "namespace":
            return {"kind": "Namespace"}
        if words[1] == "pods":
            self.left -= 1
            gone = {"deletionTimestamp": "2026"} if self.left >= 0 else {}
            return {"items": [{"metadata": {"name": "controller", **gone}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}]}
        if words[1] == "secret":
            if words[2] not in self.secrets:
                raise RunError(words, "ended with code 1", code=1, stderr="Error from server (NotFound)")
            return self.secrets[words[2]]
        key, _, value = options["--selector"].partition("=")
        return {
            "items": [item for item in self.secrets.values() if key in (labels := item["metadata"].get("labels", {})) and (not value or labels[key] == value)]
        }

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl("kubectl", Path("kubeconfig"), "", self)

    @property
    def keys(self) -> list[Pair]:
        return keys_of(self.kubectl)


def namespace(*pairs: Pair) -> Namespace:
    found = Namespace()
    restore(found.kubectl, pairs or [OWN], Journal())
    found.starts = found.changes = 0
    return found


def test_a_key_that_a_proof_added_goes() -> None:
    cluster = namespace()
    with kept_aside(cluster.kubectl, clock=Time().clock) as before:
        assert before == [OWN]
        assert KEPT in cluster.secrets
        restore(cluster.kubectl, [NEWER], Journal())
        assert cluster.keys == [OWN, NEWER]
    assert cluster.keys == [OWN]
    assert KEPT not in cluster.secrets
    # Once for the new key, once for its end.
    assert cluster.starts == 2


def test_where_nothing_changed_the_controller_is_left_alone() -> None:
    cluster = namespace()
    with kept_aside(cluster.kubectl, clock=Time().clock):
        pass
    assert (cluster.keys, cluster.starts) == ([OWN], 0)


def test_keys_are_lost_and_come_back_from_what_is_given() -> None:
    cluster = namespace(OWN, NEWER)
    with kept_aside(cluster.kubectl, clock=Time().clock):
        with lost(cluster.kubectl, OTHER, lambda: [OWN, NEWER], Journal(), clock=Time().clock):
            assert cluster.keys == [OTHER]
        assert cluster.keys == [OWN, NEWER, OTHER]
    assert cluster.keys == [OWN, NEWER]


@pytest.mark.parametrize("number", range(1, 12))
def test_a_proof_that_was_killed_anywhere_is_made_good_by_the_next_run(number: int) -> None:
    cluster = namespace(OWN, NEWER)
    cluster.fail_at = number
    # Nothing that comes after a kill has an effect any more.
    with (
        pytest.raises(KeyboardInterrupt),
        kept_aside(cluster.kubectl, clock=Time().clock),
        lost(cluster.kubectl, OTHER, lambda: [OWN], Journal(), clock=Time().clock),
    ):
        raise KeyboardInterrupt
    cluster.fail_at = 0
    recover(cluster.kubectl, clock=Time().clock)
    assert cluster.keys == [OWN, NEWER]
    assert [item["metadata"]["labels"] for item in cluster.secrets.values()] == [{LABEL: "active"}] * 2
    assert recover(cluster.kubectl) == []


def test_a_controller_that_goes_away_is_waited_for() -> None:
    cluster, time = namespace(), Time()
    cluster.left = 3  # asked twice in a look that finds it: for the answer and for the words
    settled(cluster.kubectl, clock=time.clock)
    assert time.slept == [1.0] * 2
    cluster.left = 1000
    with pytest.raises(WaitTimeoutError, match="controller: Ready True"):
        settled(cluster.kubectl, clock=time.clock)
