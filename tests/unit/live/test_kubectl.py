"""kubectl by its exact arguments, with a runner that refuses every other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness.live.reach.kubectl import Kubectl, UnreadableAnswerError
from harness.live.reach.run import RunError
from harness.live.reach.wait import wait
from unit.live.fakes import Programs

CONFIG = "--kubeconfig=/k"
NOT_FOUND = 'Error from server (NotFound): pods "web" not found'
NO_KIND = 'error: the server doesn\'t have a resource type "widgets"'


def kubectl(programs: Programs, context: str = "") -> Kubectl:
    return Kubectl("kubectl", Path("/k"), context, programs)


def test_get_one_object() -> None:
    programs = Programs().on("kubectl", CONFIG, "get", "pods", "web", "--namespace=apps", "--output=json", says={"kind": "Pod"})
    assert kubectl(programs).get("pods", "web", "apps") == {"kind": "Pod"}


def test_the_server_is_the_one_of_the_kubeconfig() -> None:
    cluster = {"server": "https://127.0.0.1:41234", "certificate-authority-data": "UEVN"}
    programs = Programs().on("kubectl", CONFIG, "config", "view", "--minify", "--raw", "--output=json", says={"clusters": [{"cluster": cluster}]})
    assert kubectl(programs).server() == ("127.0.0.1", 41234, "PEM")


def test_context_is_named_when_given() -> None:
    programs = Programs().on("kubectl", CONFIG, "--context=kind-x", "get", "nodes", "n", "--output=json", says={})
    assert kubectl(programs, "kind-x").get("nodes", "n") == {}


@pytest.mark.parametrize("said", [NOT_FOUND, NO_KIND], ids=["no-object", "no-kind"])
def test_what_is_not_there_is_none(said: str) -> None:
    programs = Programs().on("kubectl", CONFIG, "get", "pods", "web", "--output=json", fails=said)
    assert kubectl(programs).get("pods", "web") is None


def test_other_errors_are_errors() -> None:
    programs = Programs().on("kubectl", CONFIG, "get", "pods", "web", "--output=json", fails="Unauthorized")
    with pytest.raises(RunError, match="Unauthorized"):
        kubectl(programs).get("pods", "web")


def test_list_of_all_namespaces() -> None:
    command = ("kubectl", CONFIG, "get", "pods,services", "--all-namespaces", "--selector=a=b", "--output=json")
    programs = Programs().on(*command, says={"kind": "List", "items": [{"kind": "Pod"}, "odd"]})
    assert kubectl(programs).list("pods", "services", selector="a=b") == [{"kind": "Pod"}]


def test_a_kind_that_is_not_there_yet_hides_no_other() -> None:
    programs = Programs()
    programs.on("kubectl", CONFIG, "get", "widgets,pods", "--namespace=a", "--output=json", fails=NO_KIND)
    programs.on("kubectl", CONFIG, "get", "widgets", "--namespace=a", "--output=json", fails=NO_KIND)
    programs.on("kubectl", CONFIG, "get", "pods", "--namespace=a", "--output=json", says={"items": [{"kind": "Pod"}]})
    assert kubectl(programs).list("widgets", "pods", namespace="a") == [{"kind": "Pod"}]


@pytest.mark.parametrize(("said", "why"), [("not json", "not JSON"), ("[]", "no object"), ('{"kind":"Pod"}', "is a Pod, not a list")])
def test_odd_answers_are_refused(said: str, why: str) -> None:
    programs = Programs().on("kubectl", CONFIG, "get", "pods", "--all-namespaces", "--output=json", says=said)
    with pytest.raises(UnreadableAnswerError, match=why):
        kubectl(programs).list("pods")


def test_apply_goes_through_standard_input_only() -> None:
    command = ("kubectl", CONFIG, "apply", "--server-side", "--field-manager=plimsoll", "--validate=strict", "--filename=-", "--force-conflicts")
    programs = Programs().on(*command, says="applied").on(*command, "--dry-run=server", fails="denied")
    secret = {"kind": "Secret", "stringData": {"a": "hidden"}}
    assert kubectl(programs).apply([secret]) == "applied"
    assert json.loads(str(programs.stdin[0])) == {"apiVersion": "v1", "kind": "List", "items": [secret]}
    with pytest.raises(RunError) as caught:
        kubectl(programs).apply([secret], dry_run=True)
    assert "hidden" not in str(caught.value)


def test_delete_waits_and_accepts_nothing() -> None:
    programs = Programs().on("kubectl", CONFIG, "delete", "pods", "web", "--namespace=a", "--ignore-not-found", "--timeout=30s")
    kubectl(programs).delete("pods", "web", "a", timeout=30)
    assert len(programs.asked) == 1


def test_logs_that_cannot_be_had_say_why() -> None:
    command = ("kubectl", CONFIG, "logs", "web", "--namespace=a", "--container=c", "--tail=5", "--previous")
    programs = Programs().on(*command, fails='container "c" is waiting to start\n')
    assert kubectl(programs).logs("web", "a", container="c", lines=5, previous=True) == '(no logs: container "c" is waiting to start)'


def test_execute_with_input() -> None:
    programs = Programs().on("kubectl", CONFIG, "exec", "web", "--namespace=a", "--container=c", "--stdin", "--", "cat", says="in")
    assert kubectl(programs).execute("web", "a", "cat", container="c", stdin="in") == "in"
    assert programs.stdin == ["in"]


def forwarder(tmp_path: Path, body: str) -> Kubectl:
    program = tmp_path / "kubectl"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return Kubectl(str(program), Path("/k"))


def test_port_forward_yields_the_chosen_port(tmp_path: Path) -> None:
    with forwarder(tmp_path, "echo 'Forwarding from 127.0.0.1:41234 -> 3000'; exec sleep 60").port_forward("svc/grafana", 3000, "monitoring") as port:
        assert port == 41234


def test_what_port_forward_says_later_is_read(tmp_path: Path) -> None:
    # More than a pipe holds, and then something that shows that it went on.
    lines = f"i=0; while [ $i -lt 4000 ]; do echo 'Handling connection for 41234'; i=$((i+1)); done; touch {tmp_path}/went-on; exec sleep 60"
    with forwarder(tmp_path, f"echo 'Forwarding from 127.0.0.1:41234 -> 3000'; {lines}").port_forward("svc/grafana", 3000, "monitoring"):
        wait((tmp_path / "went-on").exists, timeout=20, delay=0.05)


def test_port_forward_that_fails_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(RunError, match=r"services .*grafana.* not found"),
        forwarder(tmp_path, "echo 'services \"grafana\" not found' >&2; exit 1").port_forward("svc/grafana", 3000, "m"),
    ):
        pass
