"""Every subcommand on a small repository: what it prints, to which stream, and its exit code (0 clean, 1 findings, 2 could not check)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from harness.commands import COMMANDS
from harness.flux.archive import write_tar
from harness.rules import all_rules

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Fleet, Said

TESTS = Path(__file__).parents[2]
DOCUMENTS = ("tests/CATALOG.md", "clusters/README.md", "docs/compliance.md", "tests/LIVE.md")
#: Every command that does something: by itself, or in a group.
LEAVES = [(name, member) if member else (name,) for name, command in COMMANDS.items() for member in getattr(command, "COMMANDS", ("",))]


def outside(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, as a shell starts it."""
    return subprocess.run([sys.executable, "-m", "harness", *arguments], cwd=TESTS, capture_output=True, text=True, timeout=120, check=False, **options)


class TestEverywhere:
    def test_help_names_every_command_and_the_exit_codes(self, command: Callable[..., Said]) -> None:
        said = command("--help")
        assert said.code == 0
        assert said.err == ""
        assert all(re.search(rf"^    {name}\s", said.out, re.MULTILINE) and COMMANDS[name].HELP in said.out for name in COMMANDS)
        assert "exit codes: 0 clean, 1 findings, 2 could not check" in said.out

    @pytest.mark.parametrize("words", LEAVES, ids=" ".join)
    def test_help_of_a_command_says_what_it_does_and_takes_the_shared_options(self, command: Callable[..., Said], words: tuple[str, ...]) -> None:
        said = command(*words, "--help")
        assert said.code == 0
        module = COMMANDS[words[0]] if len(words) == 1 else COMMANDS[words[0]].COMMANDS[words[1]]
        first = str(sys.modules[module.__name__].__doc__).partition(":")[0].partition(".")[0].split()
        assert " ".join(first) in " ".join(said.out.split())
        assert all(option in said.out for option in ("--repo PATH", "--charts DIR", "--pull", "--no-cache", "--kubernetes-version VERSION"))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((), "the following arguments are required: COMMAND"),
            (("chek",), "invalid choice: 'chek'"),
            (("tree",), "the following arguments are required: CLUSTER"),
            (("render", "one", "--format", "xml"), "invalid choice: 'xml'"),
            (("check", "--repo", "/nowhere/at/all"), "error: /nowhere/at/all is not a folder\n"),
            (("check", "--charts", "/nowhere/at/all"), "error: chart folder /nowhere/at/all does not exist\n"),
        ],
        ids=["nothing", "misspelt", "no-cluster", "unknown-format", "no-repository", "no-charts"],
    )
    def test_what_was_asked_wrongly_is_said_on_standard_error(self, command: Callable[..., Said], arguments: tuple[str, ...], message: str) -> None:
        said = command(*arguments)
        assert (said.code, said.out) == (2, "")
        assert message in said.err

    @pytest.mark.parametrize(
        "arguments", [("clusters",), ("tree", "one"), ("render", "one"), ("why", "Job/x"), ("check",), ("lock",)], ids=lambda value: value[0]
    )
    def test_a_folder_without_a_cluster_cannot_be_checked(self, command: Callable[..., Said], tmp_path: Path, arguments: tuple[str, ...]) -> None:
        said = command(*arguments, "--repo", str(tmp_path))
        assert (said.code, said.out) == (2, "")
        assert said.err.startswith(f"error: no cluster found in {tmp_path}: ")
        assert said.err.count("\n") == 1

    @pytest.mark.parametrize("arguments", [("tree", "won"), ("render", "won"), ("check", "--cluster", "won")], ids=" ".join)
    def test_a_cluster_that_is_not_there_is_named(self, fleet: Fleet, arguments: tuple[str, ...]) -> None:
        said = fleet(*arguments)
        assert (said.code, said.out, said.err) == (2, "", "error: there is no cluster won: did you mean one?\n")

    def test_a_name_like_no_other_lists_the_clusters(self, fleet: Fleet) -> None:
        assert fleet("tree", "production").err == "error: there is no cluster production: there are one\n"

    def test_charts_come_from_the_environment_too(self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PLIMSOLL_CHARTS", "/nowhere/at/all")
        assert fleet("clusters").err == "error: chart folder /nowhere/at/all does not exist\n"

    def test_it_runs_as_a_module_and_leaves_no_traceback(self, fleet: Fleet) -> None:
        done = outside("clusters", "--repo", str(fleet.root))
        assert (done.returncode, done.stdout, done.stderr) == (0, "one  clusters/one  (sync Kustomization)\n", "")
        fleet.write({"clusters/one/ks.yaml": "\x00\x01", "apps/kustomization.yaml": "resources: [\n"})
        done = outside("check", "--repo", str(fleet.root))
        assert done.returncode == 1
        assert done.stderr == ""
        assert "YML101" in done.stdout

    def test_a_reader_that_has_seen_enough_is_no_error(self) -> None:
        script = f"{sys.executable} -m harness explain | head -n 1"
        done = subprocess.run(["/bin/sh", "-c", script], cwd=TESTS, capture_output=True, text=True, timeout=120, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count("\n") == 1


class TestClusters:
    def test_text(self, fleet: Fleet) -> None:
        said = fleet("clusters")
        assert (said.code, said.out, said.err) == (0, "one  clusters/one  (sync Kustomization)\n", "")

    def test_json(self, fleet: Fleet) -> None:
        said = fleet("clusters", "--format", "json")
        assert said.code == 0
        assert json.loads(said.out) == [{"name": "one", "path": "clusters/one", "foundBy": "sync Kustomization"}]


class TestTree:
    def test_waves(self, fleet: Fleet) -> None:
        said = fleet("tree", "one")
        assert (said.code, said.err) == (0, "")
        assert said.out.splitlines() == [
            "wave 1",
            "  Kustomization/flux-system/flux-system  4 objects  (does not wait for its objects)",
            "wave 2",
            "  Kustomization/flux-system/base  1 objects",
            "wave 3",
            "  Kustomization/flux-system/apps  1 objects  after flux-system/base",
        ]

    def test_json(self, fleet: Fleet) -> None:
        said = fleet("tree", "one", "--format", "json")
        assert said.code == 0
        waves = json.loads(said.out)
        assert [[entry["name"] for entry in wave] for wave in waves] == [["flux-system"], ["base"], ["apps"]]
        assert waves[2][0] == {
            "kind": "Kustomization",
            "namespace": "flux-system",
            "name": "apps",
            "appliedBy": "Kustomization/flux-system/flux-system",
            "dependsOn": ["flux-system/base"],
            "waits": True,
            "objects": 1,
        }

    def test_a_missing_dependency_is_a_finding(self, fleet: Fleet) -> None:
        fleet.edit("clusters/one/ks.yaml", "- name: base", "- name: bass")
        said = fleet("tree", "one")
        assert said.code == 1
        assert "missing: Kustomization/flux-system/apps depends on Kustomization/flux-system/bass, which this cluster does not have" in said.out.splitlines()

    def test_a_cycle_is_a_finding_and_ends(self, fleet: Fleet) -> None:
        fleet.edit("clusters/one/ks.yaml", "  path: ./base\n", "  path: ./base\n  dependsOn:\n    - name: apps\n")
        said = fleet("tree", "one")
        assert said.code == 1
        (line,) = [line for line in said.out.splitlines() if line.startswith("cycle: ")]
        assert line == "cycle: Kustomization/flux-system/apps -> Kustomization/flux-system/base -> Kustomization/flux-system/apps"


class TestRender:
    def test_yaml_with_where_each_object_comes_from(self, fleet: Fleet) -> None:
        said = fleet("render", "one", "--kind", "ConfigMap")
        assert (said.code, said.err) == (0, "")
        assert said.out.startswith("---\n# one/ConfigMap/web/settings at apps/configmap.yaml:1\napiVersion: v1\n")
        assert yaml.safe_load(said.out)["data"] == {"colour": "blue"}

    def test_json_is_a_list_that_kubectl_takes(self, fleet: Fleet) -> None:
        said = fleet("render", "one", "--format", "json", "--namespace", "web")
        assert said.code == 0
        body = json.loads(said.out)
        assert (body["apiVersion"], body["kind"], [item["kind"] for item in body["items"]]) == ("v1", "List", ["ConfigMap"])

    @pytest.mark.parametrize(
        ("arguments", "names"),
        [
            (("--kind", "kustomization.kustomize.toolkit.fluxcd.io", "--name", "apps"), ["one/Kustomization/flux-system/apps"]),
            (("--kind", "Namespace", "--kind", "configmap"), ["one/ConfigMap/web/settings", "one/Namespace/web"]),
            (("--name", "nothing"), []),
        ],
        ids=["group-and-name", "two-kinds", "nothing"],
    )
    def test_filters(self, fleet: Fleet, arguments: tuple[str, ...], names: list[str]) -> None:
        said = fleet("render", "one", "--format", "names", *arguments)
        assert (said.code, said.out.splitlines()) == (0, names)

    def test_what_a_chart_renders_is_there(self, charted: Fleet) -> None:
        said = charted("render", "one", "--kind", "Service", "--format", "json")
        (service,) = json.loads(said.out)["items"]
        assert (service["metadata"]["namespace"], service["spec"]["ports"]) == ("web", [{"port": 8080}])

    def test_a_build_that_fails_is_a_finding(self, fleet: Fleet) -> None:
        fleet.edit("apps/kustomization.yaml", "configmap.yaml", "configmaps.yaml")
        assert fleet("render", "one").code == 1


class TestWhy:
    def test_the_chain_of_an_object(self, fleet: Fleet) -> None:
        said = fleet("why", "ConfigMap/settings")
        assert (said.code, said.err) == (0, "")
        assert said.out.splitlines() == [
            "one/ConfigMap/web/settings",
            "  at      apps/configmap.yaml:1",
            "  from    Kustomization/flux-system/flux-system  at clusters/one/flux-system/sync.yaml:13",
            "  then    Kustomization/flux-system/apps  at clusters/one/ks.yaml:17",
        ]

    @pytest.mark.parametrize("words", ["one/ConfigMap/web/settings", "configmap/web/settings", "ConfigMap/settings"])
    def test_an_object_may_be_named_shortly(self, fleet: Fleet, words: str) -> None:
        assert fleet("why", words).out.startswith("one/ConfigMap/web/settings\n")

    def test_a_field_leads_to_its_line(self, fleet: Fleet) -> None:
        assert "  field   data.colour is set at apps/configmap.yaml:7" in fleet("why", "ConfigMap/settings", "--field", "data.colour").out.splitlines()

    def test_a_key_with_dots_is_quoted(self, fleet: Fleet) -> None:
        said = fleet("why", "Namespace/web", "--field", 'metadata.labels["pod-security.kubernetes.io/enforce"]')
        assert "is set at base/namespace.yaml:6" in said.out

    def test_a_field_that_a_chart_renders_leads_to_its_value(self, charted: Fleet) -> None:
        said = charted("why", "Service/web", "--field", "spec.ports[0].port")
        line = next(number for number, text in enumerate((charted.root / "apps/release.yaml").read_text().splitlines(), 1) if "port: 8080" in text)
        assert f"  field   spec.ports[0].port is set at apps/release.yaml:{line}" in said.out.splitlines()
        assert "  then    HelmRelease/web/web  at apps/release.yaml:1" in said.out.splitlines()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("ConfigMap/nothing",), "no cluster gets ConfigMap/nothing"),
            (("settings",), "settings: write an object as [cluster/]Kind/[namespace/]name"),
            (("ConfigMap/settings", "--field", "data.color"), "one/ConfigMap/web/settings has no field data.color"),
        ],
        ids=["nothing", "no-kind", "no-field"],
    )
    def test_what_is_not_there_cannot_be_explained(self, fleet: Fleet, arguments: tuple[str, ...], message: str) -> None:
        said = fleet("why", *arguments)
        assert (said.code, said.err) == (2, f"error: {message}\n")


class TestCheck:
    def test_clean(self, fleet: Fleet) -> None:
        said = fleet("check")
        assert (said.code, said.err) == (0, "")
        assert said.out.splitlines()[-1].endswith(" cases over 6 objects: 0 findings, 0 waived")

    def test_a_finding_is_a_block_with_file_and_line(self, fleet: Fleet) -> None:
        fleet.edit("clusters/one/ks.yaml", "- name: base", "- name: bass")
        said = fleet("check", "--rule", "FLX102")
        assert said.code == 1
        block = said.out.partition("\n\n")[0].splitlines()
        assert block[:2] == ["FLX102 one/Kustomization/flux-system/apps", "  at      clusters/one/ks.yaml:33"]
        assert [line.split()[0] for line in block[2:]] == ["found", "expect", "why", "fix"]

    def test_json(self, fleet: Fleet) -> None:
        fleet.edit("clusters/one/ks.yaml", "- name: base", "- name: bass")
        said = fleet("check", "--format", "json", "--rule", "flx102")
        assert said.code == 1
        body = json.loads(said.out)
        assert sorted(body) == ["cases", "findings", "notEvaluated", "waived"]
        (finding,) = body["findings"]
        assert sorted(finding) == ["expect", "fix", "found", "line", "path", "rule", "severity", "subject", "why"]
        assert (finding["rule"], finding["path"], finding["line"], finding["severity"]) == ("FLX102", "clusters/one/ks.yaml", 33, "error")
        assert body["waived"] == 0
        assert all(sorted(entry) == ["subject", "what", "why"] for entry in body["notEvaluated"])

    def test_only_findings_of_a_family_decide(self, fleet: Fleet) -> None:
        fleet.edit("clusters/one/ks.yaml", "- name: base", "- name: bass")
        assert fleet("check", "--rule", "KUS", "--rule", "YML").code == 0

    def test_a_rule_that_does_not_exist_finds_nothing_and_says_so(self, fleet: Fleet) -> None:
        said = fleet("check", "--rule", "FLX999")
        assert (said.code, said.out, said.err) == (2, "", "error: there is no rule or family FLX999: `explain` lists them\n")

    def test_the_ledger_in_full(self, fleet: Fleet) -> None:
        short, full = fleet("check").out, fleet("check", "--ledger").out
        assert sum(line.startswith("not evaluated: ") for line in full.splitlines()) >= sum(line.startswith("not evaluated: ") for line in short.splitlines())

    def test_waived_findings_are_counted_and_do_not_fail(self, fleet: Fleet) -> None:
        fleet.edit("apps/configmap.yaml", "metadata:\n", "metadata:\n  annotations:\n    kustomize.toolkit.fluxcd.io/reconcile: disabled\n")
        assert fleet("check").code == 1
        entry = "rule: FLX805\n    object: one/ConfigMap/web/settings\n    owner: team\n    reason: somebody looks at it by hand this week\n"
        fleet.write({"tests/intent/waivers.yaml": f"waivers:\n  - {entry}    expires: '2027-01-15'\n"})
        said = fleet("check")
        assert said.out.splitlines()[-1].endswith(" 0 findings, 1 waived")
        assert said.code == 0

    def test_another_version_of_kubernetes(self, fleet: Fleet) -> None:
        fleet.write(
            {"apps/configmap.yaml": "apiVersion: batch/v1beta1\nkind: CronJob\nmetadata:\n  name: x\n  namespace: web\nspec:\n  schedule: '* * * * *'\n"}
        )
        assert "LIF101" in fleet("check", "--kubernetes-version", "1.25", "--rule", "LIF101").out


class TestExplain:
    def test_a_rule(self, command: Callable[..., Said]) -> None:
        said = command("explain", "flx104")
        assert (said.code, said.err) == (0, "")
        first, *rest = said.out.splitlines()
        assert first.startswith("FLX104  ")
        assert [line.split()[0] for line in rest] == ["applies", "severity", "why", "fix", "controls"]

    def test_the_rules_of_waivers_too(self, command: Callable[..., Said]) -> None:
        assert command("explain", "REP203").code == 0

    def test_a_rule_of_the_live_tier(self, command: Callable[..., Said]) -> None:
        said = command("explain", "liv951").out.splitlines()
        assert said[0].startswith("LIV951  ")
        assert said[1] == "  applies   a running cluster"

    def test_all_of_them(self, command: Callable[..., Said]) -> None:
        listed = [line.split()[0] for line in command("explain").out.splitlines()]
        assert {rule.id for rule in all_rules()} <= set(listed)
        assert listed == sorted(listed)

    def test_one_that_is_not_there(self, command: Callable[..., Said]) -> None:
        said = command("explain", "FLX999")
        assert (said.code, said.out) == (2, "")
        assert said.err.startswith("error: there is no rule FLX999")


class TestDocs:
    def test_stale_documents_are_a_finding_until_they_are_written(self, fleet: Fleet) -> None:
        stale = "".join(f"{path}: stale, run nox -s docs\n" for path in DOCUMENTS)
        said = fleet("docs", "--check")
        assert (said.code, said.out, said.err) == (1, stale, "")
        assert not (fleet.root / "tests").exists()
        assert fleet("docs").out == "".join(f"{path}: rewritten\n" for path in DOCUMENTS)
        said = fleet("docs", "--check")
        assert (said.code, said.out) == (0, "".join(f"{path}: current\n" for path in DOCUMENTS))

    def test_a_document_without_a_place_for_the_table(self, fleet: Fleet) -> None:
        fleet.write({"clusters/README.md": "# Clusters\n"})
        said = fleet("docs", "--check")
        assert (said.code, said.out) == (2, "")
        assert said.err.startswith("error: clusters/README.md: the table stands between the lines ")


class TestLock:
    def test_nothing_to_lock(self, fleet: Fleet) -> None:
        assert fleet("lock").out == "0 rewritten, 0 removed, 0 unchanged\n"
        assert fleet("lock", "--check").code == 0

    def test_written_current_stale_and_written_again(self, charted: Fleet) -> None:
        said = charted("lock")
        assert (said.code, said.out) == (0, "rewritten  tests/lock/one/web.web.json\n1 rewritten, 0 removed, 0 unchanged\n")
        assert charted("lock").out == "0 rewritten, 0 removed, 1 unchanged\n"
        assert charted("lock", "--check").code == 0
        before = (charted.root / "tests/lock/one/web.web.json").read_text()
        charted.edit("apps/release.yaml", "port: 8080", "port: 9090")
        said = charted("lock", "--check")
        assert said.code == 1
        assert said.out.startswith("one/HelmRelease/web/web: ")
        assert (charted.root / "tests/lock/one/web.web.json").read_text() == before
        assert charted("lock").code == 0
        assert charted("lock", "--check").code == 0

    def test_what_is_gone_leaves_the_lock(self, charted: Fleet) -> None:
        charted("lock")
        charted.edit("apps/kustomization.yaml", "  - release.yaml\n", "")
        assert charted("lock").out == "removed    tests/lock/one/web.web.json\n0 rewritten, 1 removed, 0 unchanged\n"

    def test_without_the_artifact_its_lock_stays(self, charted: Fleet, tmp_path: Path) -> None:
        source = (
            "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: more, namespace: flux-system}\n"
            "spec: {interval: 1h, url: oci://ghcr.io/example/more, ref: {tag: v1}}\n---\n"
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: more, namespace: flux-system}\n"
            "spec: {interval: 1h, prune: true, path: ./, sourceRef: {kind: OCIRepository, name: more}}\n"
        )
        charted.edit("apps/kustomization.yaml", "  - release.yaml\n", "  - release.yaml\n  - more.yaml\n")
        charted.write({"apps/more.yaml": source})
        charts, kept = tmp_path / "charts", charted.root / "tests/lock/artifacts/more-v1.json"
        charts.mkdir()
        (charts / "more-v1.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: based}\n", encoding="utf-8")
        assert charted("lock", "--charts", str(charts)).code == 0
        before = kept.read_text(encoding="utf-8")
        said = charted("lock")
        assert (said.code, said.out) == (2, "0 rewritten, 0 removed, 1 unchanged\n")
        assert said.err.startswith("error: not rendered, so their lock is as it was: artifacts/more-v1.json (")
        assert kept.read_text(encoding="utf-8") == before
        assert charted("lock", "--check").err.startswith("error: not rendered, so not compared with the lock: artifacts/more-v1.json (")
        # What nothing names any more goes.
        charted.edit("apps/kustomization.yaml", "  - more.yaml\n", "")
        said = charted("lock")
        assert (said.code, said.out) == (0, "rewritten  tests/lock/artifacts/more-v1.json\n1 rewritten, 0 removed, 1 unchanged\n")
        assert not kept.exists()

    def test_without_the_chart_nothing_is_written_or_compared(self, charted: Fleet, tmp_path: Path) -> None:
        text = (charted.root / "apps/release.yaml").read_text(encoding="utf-8")
        text = text.replace("chart: ./charts/web\n      reconcileStrategy: Revision", "chart: web\n      version: 1.2.3")
        text = (
            text.replace("GitRepository", "HelmRepository")
            .replace("  ref:\n    branch: main\n", "")
            .replace("https://git.example.com/fleet", "https://charts.example.com")
        )
        charted.write({"apps/release.yaml": text})
        charts = tmp_path / "charts"
        charts.mkdir()
        folder = charted.root / "charts/web"
        files = {f"web/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
        (charts / "web-1.2.3.tgz").write_bytes(write_tar(files))
        remedy = "(no chart at hand? --charts DIR or --pull)\n"
        said = charted("lock")
        assert (said.code, said.err) == (2, f"error: not rendered, so their lock is as it was: one/HelmRelease/web/web {remedy}")
        assert charted("lock", "--charts", str(charts)).code == 0
        assert charted("lock", "--check", "--charts", str(charts)).code == 0
        said = charted("lock", "--check")
        assert (said.code, said.out, said.err) == (2, "", f"error: not rendered, so not compared with the lock: one/HelmRelease/web/web {remedy}")
