from __future__ import annotations

import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from harness.flux.cache import Cache
from harness.flux.lock import Lock
from harness.flux.reduce import is_mark, mark
from unit.flux.releases import SERVICE, Cluster, bodies, chart, release, renderer

if TYPE_CHECKING:
    from pathlib import Path

    from harness.flux.lock import Written
    from harness.flux.rendered import Rendered

SPEC = {"group": "example.com", "versions": [{"name": "v1", "schema": {"openAPIV3Schema": {"type": "object", "description": "words"}}}]}
CRD = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.example.com"}, "spec": SPEC}
TEMPLATE = (
    SERVICE + '---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {text: {{ .Values.text | quote }}, run: "set -e\\necho bonjour\\n"}\n'
)
VALUES = "port: 80\ntext: ''\nrun: |\n  set -e\n  echo bonjour\n"
HOOK = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: hook, annotations: {helm.sh/hook: pre-install}}\nspec: {x: {{ randAlpha 3 }}}\n"


@dataclass
class Setup:
    folder: Path

    @property
    def lock(self) -> Lock:
        return Lock(self.folder / "tests" / "lock")

    def render(self, text: str = "", *, locked: bool = True, charts: bool = True, cluster: str = "c", cache: Cache | None = None) -> Rendered:
        view = Cluster(text or release(values="text: hello"), cluster=cluster)
        return renderer(self.folder if charts else None, cache, self.lock if locked else None).render(view.release, view)

    def write(self, *rendered: Rendered) -> Written:
        worlds: dict[str, Any] = {}
        for item in rendered or (self.render(locked=False),):
            world = worlds.setdefault(item.release.id.cluster, SimpleNamespace(cluster=SimpleNamespace(name=item.release.id.cluster), releases={}))
            world.releases[item.release.namespace, item.release.name] = item
        return self.lock.write(worlds.values())

    def problems(self, **options: Any) -> list[str]:
        return [f"{item.code} {item.location}: {item.message}" for item in self.render(**options).problems]

    @property
    def file(self) -> Path:
        return self.folder / "tests" / "lock" / "c" / "apps.web.json"


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    chart(tmp_path, "web", templates__a_yaml=TEMPLATE + HOOK, values_yaml=VALUES, crds__a_yaml=json.dumps(CRD))
    return Setup(tmp_path)


def test_a_written_lock_agrees_with_a_fresh_render(setup: Setup) -> None:
    written = setup.write()
    (crd,) = (setup.folder / "tests" / "lock" / "crds").iterdir()
    assert written.changed == ["c/apps.web.json", f"crds/{crd.name}"]
    assert setup.problems() == []
    again = setup.write()
    assert (again.changed, again.removed, again.failed) == ([], [], [])
    assert again.unchanged == written.changed


def test_without_charts_the_lock_gives_the_objects(setup: Setup) -> None:
    fresh = setup.render(locked=False)
    setup.write(fresh)
    found = setup.render(charts=False)
    assert (found.source, found.problems, found.inputs) == ("lock", (), fresh.inputs)
    assert all(item.origin.elided for item in (*found.objects, *found.hooks))
    assert [str(item.id) for item in sorted(found.objects, key=lambda item: item.id)] == [
        str(item.id) for item in sorted(fresh.objects, key=lambda item: item.id)
    ]
    assert [item.name for item in found.hooks] == ["hook"]
    objects, expected = bodies(found.objects), bodies(fresh.objects)
    assert objects["Service/web"] == expected["Service/web"]
    assert objects["ConfigMap/settings"]["data"] == {"text": "hello", "run": mark("set -e\necho bonjour\n")}
    assert objects["CustomResourceDefinition/things.example.com"]["spec"]["versions"] == [{"name": "v1", "schema": {"openAPIV3Schema": {"type": "object"}}}]
    assert found.not_evaluated == fresh.not_evaluated
    assert found.chart is not None
    assert (found.chart.name, found.chart.version, found.chart.digest) == ("web", "1.0.0", "")
    # Lines are found as with charts.
    assert found.objects[0].locate("metadata", "name") == fresh.objects[0].locate("metadata", "name")


def test_no_text_of_the_chart_is_in_the_lock(setup: Setup) -> None:
    setup.write()
    text = "".join(path.read_text() for path in (setup.folder / "tests" / "lock").rglob("*.json"))
    assert "words" not in text
    assert "bonjour" not in text
    data = json.loads(setup.file.read_text())["documents"]
    assert any(is_mark(value) for item in data for value in item.get("body", {}).get("data", {}).values())


def test_the_lock_is_deterministic_and_small_changes_are_small(setup: Setup) -> None:
    setup.write()
    before = setup.file.read_text().splitlines()
    setup.write(setup.render(release(values="text: hello\nport: 81"), locked=False))
    after = setup.file.read_text().splitlines()
    # The digest of the inputs, and the line of the service.
    assert sorted(line.strip()[:8] for line in set(after) - set(before)) == ['"body": ', '"inputs"']
    assert len(set(before) - set(after)) == 2


def test_changed_values_make_the_lock_stale(setup: Setup) -> None:
    setup.write()
    text = release(values="text: hello\nport: 81")
    message = "the chart or the values of this release changed since the lock was written: run `nox -s lock`"
    assert setup.problems(text=text) == [f"lock-stale tests/lock/c/apps.web.json: {message}"]
    (offline,) = setup.problems(text=text, charts=False)
    what = "the values of this release, or what else goes into its render, changed since the lock was written"
    assert offline == f"lock-stale tests/lock/c/apps.web.json: {what}: run `nox -s lock`"
    # What was locked is shown nevertheless.
    assert setup.render(text, charts=False).objects


def test_a_changed_chart_is_a_mismatch_that_names_object_and_field(setup: Setup) -> None:
    setup.write()
    chart(
        setup.folder,
        "web",
        templates__a_yaml=TEMPLATE.replace("port:", "targetPort: 1, port:") + HOOK,
        values_yaml=VALUES,
        crds__a_yaml=json.dumps(CRD),
    )
    assert setup.problems() == [
        "lock-mismatch tests/lock/c/apps.web.json: a fresh render differs from the lock in Service/web: spec.ports[0].targetPort: run `nox -s lock`"
    ]
    chart(setup.folder, "web", templates__a_yaml=SERVICE, values_yaml="port: 80\n")
    (message,) = setup.problems()
    assert message.startswith(
        "lock-mismatch tests/lock/c/apps.web.json: a fresh render differs from the lock in ConfigMap/settings is only in the lock; "
        "CustomResourceDefinition/things.example.com is only in the lock; Pod/hook is only in the lock"
    )


@pytest.mark.parametrize("edit", ["body", "crd", "no-crd", "broken", "problem"])
def test_a_lock_that_was_edited_is_a_mismatch(setup: Setup, edit: str) -> None:
    setup.write()
    (crd,) = (setup.folder / "tests" / "lock" / "crds").iterdir()
    match edit:
        case "body":
            setup.file.write_text(setup.file.read_text().replace('"port": 80', '"port": 8080'))
            expected = "a fresh render differs from the lock in Service/web: spec.ports[0].port"
        case "crd":
            crd.write_text(crd.read_text().replace("object", "string"))
            expected = "the lock's file cannot be read, or a CRD it refers to is missing or was edited"
        case "no-crd":
            crd.unlink()
            expected = "the lock's file cannot be read, or a CRD it refers to is missing or was edited"
        case "broken":
            setup.file.write_text("{")
            expected = "the lock's file cannot be read, or a CRD it refers to is missing or was edited"
        case _:
            setup.file.write_text(setup.file.read_text().replace('"gaps": [[', '"gaps": [[0, "a", "b"], ['))
            expected = "a fresh render differs from the lock in what is said about the release differs"
    assert setup.problems() == [f"lock-mismatch tests/lock/c/apps.web.json: {expected}: run `nox -s lock`"]


def test_a_release_that_the_lock_does_not_have(setup: Setup) -> None:
    assert setup.problems() == ["lock-missing tests/lock/c/apps.web.json: the lock does not have this release: run `nox -s lock`"]
    assert setup.problems(charts=False) == [
        "lock-missing r.yaml:7: chart web 1.0.0 is not at hand, and the lock does not have this release: run `nox -s lock` where the chart can be had"
    ]
    assert setup.problems(charts=False, locked=False) == [
        "chart-missing r.yaml:7: chart web 1.0.0 is not at hand: put web-1.0.0.tgz into the chart folder, or lock it where it can be pulled"
    ]


def test_verification_is_remembered_by_what_was_rendered(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(setup.folder / "cache")
    setup.write()
    assert setup.problems(cache=cache) == []

    def never(*_: Any) -> Any:
        raise AssertionError("the lock was written out again")

    monkeypatch.setattr("harness.flux.lock.text_of", never)
    assert setup.problems(cache=cache) == []
    monkeypatch.undo()
    setup.file.write_text(setup.file.read_text().replace('"port": 80', '"port": 8080'))
    assert len(setup.problems(cache=cache)) == 1


def test_what_a_cluster_no_longer_has_is_removed(setup: Setup) -> None:
    first = setup.render(locked=False)
    other = setup.render(release("other", chart="web", values="text: hello"), locked=False)
    setup.write(first, other)
    (crd,) = (setup.folder / "tests" / "lock" / "crds").iterdir()
    chart(setup.folder, "web", templates__a_yaml=SERVICE, values_yaml=VALUES)
    written = setup.write(setup.render(locked=False))
    assert written.removed == ["c/apps.other.json", f"crds/{crd.name}"]
    assert written.changed == ["c/apps.web.json"]


def test_clusters_share_crds_and_are_written_one_by_one(setup: Setup) -> None:
    setup.write(setup.render(locked=False, cluster="one"), setup.render(locked=False, cluster="two"))
    assert sorted(path.relative_to(setup.folder / "tests" / "lock").parent.name for path in (setup.folder / "tests" / "lock").rglob("*.json")) == [
        "crds",
        "one",
        "two",
    ]
    written = setup.write(setup.render(locked=False, cluster="one"))
    # The CRD is still used by the other cluster.
    assert (written.removed, len(written.unchanged)) == ([], 2)


def test_a_release_that_cannot_be_rendered_keeps_its_file(setup: Setup) -> None:
    setup.write()
    before = setup.file.read_bytes()
    written = setup.write(setup.render(charts=False))
    assert (written.failed, written.removed) == (["c/HelmRelease/apps/web"], [])
    assert setup.file.read_bytes() == before


def test_troubles_of_a_release_are_locked_too(setup: Setup) -> None:
    chart(setup.folder, "web", templates__a_yaml="{{ fail .Values.port }}", values_yaml="port: 80\n")
    fresh = setup.render(release(values="port: oops\nprot: 1"), locked=False)
    setup.write(fresh)
    offline = setup.render(release(values="port: oops\nprot: 1"), charts=False)
    assert offline.problems == fresh.problems
    assert [item.code for item in offline.problems] == ["helm-render"]
    assert offline.unknown_values == (("prot",),)


def test_names_do_not_lead_out_of_the_lock(setup: Setup) -> None:
    fresh = setup.render(locked=False, cluster="../../evil")
    written = setup.write(fresh)
    assert [path for path in written.changed if ".." in path.split("/")] == []
    assert not (setup.folder / "evil").exists()
