"""Policies that generate, delete and check images: what they make, choose and cover, and what only a cluster knows."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from harness.engines.policy import Deletion, Generated, PolicySet, Request, Resources, Sources, Status
from harness.engines.policy.cron import cron_problem
from harness.engines.policy.generating import segments
from harness.engines.policy.globs import glob
from harness.engines.policy.lookup import Objects
from unit.engines.policy.policy_samples import POD_RULE, Body, config_map, kyverno, namespace, pod, review, rules, workload

ON_NAMESPACES = rules({**POD_RULE, "resources": ["namespaces"]})
DIGEST = f"sha256:{'0' * 64}"


def generate(policy: Body, body: Body, *objects: Body) -> Generated:
    sources = Sources(lookup=Objects(objects, Resources()))
    (found,) = PolicySet([policy], sources=sources).generate(Request(body))
    return found


def generating(*entries: Body | str, namespace: str = "", **spec: Any) -> Body:
    given = [{"expression": entry} if isinstance(entry, str) else entry for entry in entries]
    kind = "NamespacedGeneratingPolicy" if namespace else "GeneratingPolicy"
    return kyverno(kind, "g", namespace, **{"matchConstraints": ON_NAMESPACES, "generate": given, **spec})


QUOTA = '{"apiVersion": dyn("v1"), "kind": dyn("ResourceQuota"), "metadata": dyn({"name": "q"})}'


class TestGenerating:
    def test_objects_are_in_the_namespace_that_was_named(self) -> None:
        found = generate(generating(f"generator.Apply(object.metadata.name, [{QUOTA}])"), namespace("n"))
        assert found.status is Status.PASS
        assert found.objects == ({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "n"}},)

    def test_a_clone_loses_what_belongs_to_its_source(self) -> None:
        source = config_map("src", "shared", a="b")
        source["metadata"] |= {"uid": "1", "resourceVersion": "2", "ownerReferences": [{"name": "x"}], "labels": {"l": "v"}}
        clone = "generator.apply(object.metadata.name, [resource.Get('v1', 'configmaps', 'shared', 'src')])"
        assert generate(generating(clone), namespace("n"), source).objects == (
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "src", "labels": {"l": "v"}, "namespace": "n"}, "data": {"a": "b"}},
        )

    def test_every_item_of_a_list(self) -> None:
        clone = "generator.apply(object.metadata.name, [resource.List('v1', 'configmaps', 'shared')])"
        found = generate(generating(clone), namespace("n"), config_map("one", "shared"), config_map("two", "shared"), config_map("three", "other"))
        assert [item["metadata"]["name"] for item in found.objects] == ["one", "two"]

    def test_cluster_scoped_objects_are_in_none(self) -> None:
        role = QUOTA.replace('"v1"', '"rbac.authorization.k8s.io/v1"').replace("ResourceQuota", "ClusterRole")
        assert generate(generating(f"generator.apply('n', [{role}])"), namespace("n")).objects[0]["metadata"] == {"name": "q"}

    def test_what_a_policy_is_not_about(self) -> None:
        assert PolicySet([generating("true")]).generate(Request(pod())) == ()
        skipped = generating("true", matchConditions=[{"name": "c", "expression": "false"}])
        assert generate(skipped, namespace("n")).status is Status.SKIP

    def test_a_source_that_is_missing_is_null_and_generates_nothing(self) -> None:
        found = generate(generating("generator.apply('n', [resource.Get('v1', 'configmaps', 'shared', 'gone')])"), namespace("n"))
        assert (found.status, found.objects) == (Status.ERROR, ())

    def test_a_namespaced_policy_stays_in_its_namespace(self) -> None:
        inside = generating(f"generator.apply([{QUOTA}])", namespace="team", matchConstraints=rules(POD_RULE))
        assert generate(inside, pod()).objects[0]["metadata"] == {"name": "q", "namespace": "team"}
        outside = generating(f"generator.apply('other', [{QUOTA}])", namespace="team", matchConstraints=rules(POD_RULE))
        assert generate(outside, pod()).status is Status.ERROR

    def test_an_exception_stops_it(self) -> None:
        exception = kyverno("PolicyException", "e", "team", policyRefs=[{"name": "g", "kind": "GeneratingPolicy"}])
        (found,) = PolicySet([generating(f"generator.apply('n', [{QUOTA}])"), exception]).generate(Request(namespace("n")))
        assert (found.status, found.exceptions, found.objects) == (Status.SKIP, ("team/e",), ())

    def test_templates(self) -> None:
        value = (
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: (( object.metadata.name ))-x\n"
            "  namespace: (( variables.ns ))\n  labels: (( object.metadata.labels ))\ndata:\n  n: a(( 1 + 1 ))\n"
        )
        entry = {"template": {"value": value, "interpolate": "cel"}}
        found = generate(generating(entry, variables=[{"name": "ns", "expression": "object.metadata.name"}]), namespace("n", env="prod"))
        assert found.objects == (
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "n-x", "labels": {"env": "prod"}, "namespace": "n"}, "data": {"n": "a2"}},
        )

    def test_templates_that_cannot_be_read_are_problems(self) -> None:
        entry = {"template": {"value": "a: [", "interpolate": "cel"}}
        assert [problem.pointer for problem in PolicySet([generating(entry)]).problems] == [("spec", "generate", 0, "template", "value")]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("plain", [("plain", "")]),
            ("(( a ))", [(None, "a")]),
            ("x(( f(g(1)) ))y", [("x", ""), (None, "f(g(1))"), ("y", "")]),
            ("(( '))' + \")\" ))", [(None, "'))' + \")\"")]),
            ("(( open", [("(( open", "")]),
        ],
    )
    def test_placeholders(self, text: str, expected: list[tuple[str | None, str]]) -> None:
        assert segments(text) == expected


class TestDeleting:
    @staticmethod
    def decide(body: Body, *more: Body, **spec: Any) -> tuple[Deletion, ...]:
        policy = kyverno("DeletingPolicy", "d", **{"schedule": "*/5 * * * *", **spec})
        return PolicySet([policy, *more]).deletions(Request(body))

    def test_conditions_decide_and_operations_do_not(self) -> None:
        old = {
            "matchConstraints": rules({**POD_RULE, "operations": ["DELETE"]}),
            "conditions": [{"name": "c", "expression": "object.metadata.name == variables.n"}],
        }
        old["variables"] = [{"name": "n", "expression": "'a'"}]
        assert [(found.status, found.schedule) for found in self.decide(pod(), **old)] == [(Status.PASS, "*/5 * * * *")]
        assert [found.status for found in self.decide(pod(name="b"), **old)] == [Status.SKIP]
        assert self.decide(config_map(), **old) == ()

    def test_an_error_deletes_nothing(self) -> None:
        assert [found.status for found in self.decide(pod(), conditions=[{"name": "c", "expression": "object.x == 1"}])] == [Status.ERROR]

    def test_an_exception_keeps_the_object(self) -> None:
        exception = kyverno("PolicyException", "e", "team", policyRefs=[{"name": "d", "kind": "DeletingPolicy"}])
        assert [(found.status, found.exceptions) for found in self.decide(pod(), exception)] == [(Status.SKIP, ("team/e",))]

    @pytest.mark.parametrize("schedule", ["* * * * *", "0 4 1-5 jan,mar mon-fri", "@daily", "@every 1h30m", "TZ=UTC 0 0 * * 0", "*/5 0-23/2 ? * sun"])
    def test_schedules(self, schedule: str) -> None:
        assert cron_problem(schedule) == ""

    @pytest.mark.parametrize(
        "schedule", ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 7", "5-1 * * * *", "*/0 * * * *", "@often", "a * * * *"]
    )
    def test_what_is_no_schedule(self, schedule: str) -> None:
        assert cron_problem(schedule)
        assert [problem.pointer for problem in PolicySet([kyverno("DeletingPolicy", "d", schedule=schedule)]).problems] == [("spec", "schedule")]


def image_policy(*validations: str, **spec: Any) -> Body:
    given = {"attestors": [{"name": "us"}], "validations": [{"expression": each} for each in validations], **spec}
    return kyverno("ImageValidatingPolicy", "i", **given)


OURS = {"matchImageReferences": [{"glob": "ghcr.io/us/*"}]}
NO_DIGEST = {"validationConfigurations": {"verifyDigest": False, "required": False}}
SIGNED = "images.containers.all(image, verifyImageSignatures(image, [attestors.us]) > 0)"


class TestImages:
    @pytest.mark.parametrize(
        ("body", "covered"),
        [
            (
                pod("ghcr.io/us/a", "nginx", initContainers=[{"name": "i", "image": "ghcr.io/us/b"}]),
                {"containers": ("ghcr.io/us/a",), "initContainers": ("ghcr.io/us/b",)},
            ),
            (workload("Deployment", "ghcr.io/us/a"), {"containers": ("ghcr.io/us/a",)}),
            (workload("CronJob", "ghcr.io/us/a", api_version="batch/v1"), {"containers": ("ghcr.io/us/a",)}),
        ],
    )
    def test_which_images_it_covers(self, body: Body, covered: dict[str, tuple[str, ...]]) -> None:
        (found,) = PolicySet([image_policy(SIGNED, **OURS)]).images(Request(body))
        assert {name: images for name, images in found.images if images} == covered  # type: ignore[union-attr]
        assert found.attestors == ("us",)  # type: ignore[union-attr]

    def test_references_may_be_expressions(self) -> None:
        (found,) = PolicySet([image_policy(SIGNED, matchImageReferences=[{"expression": "image(ref).registry() == 'ghcr.io'"}])]).images(
            Request(pod("ghcr.io/x/y", "nginx"))
        )
        assert dict(found.images)["containers"] == ("ghcr.io/x/y",)  # type: ignore[union-attr]

    def test_extractors_of_its_own(self) -> None:
        own = image_policy(
            "true", matchConstraints=rules({**POD_RULE, "resources": ["configmaps"]}), images=[{"name": "all", "expression": "[object.data.image]"}]
        )
        (found,) = PolicySet([own]).images(Request(config_map(image="x:1")))
        assert found.images == (("all", ("x:1",)),)  # type: ignore[union-attr]

    def test_signatures_are_not_evaluated(self) -> None:
        (result,) = review(image_policy(SIGNED, **OURS, **NO_DIGEST), pod("ghcr.io/us/a"))
        assert (result.status, result.index) == (Status.NOT_EVALUATED, 0)
        assert result.reason == "the verification of signatures is not evaluated: it needs a registry and the transparency log"

    def test_without_such_images_there_is_nothing_to_verify(self) -> None:
        assert [result.status for result in review(image_policy(SIGNED, **OURS), pod("nginx"))] == [Status.PASS]

    def test_a_digest_is_demanded(self) -> None:
        (result,) = review(image_policy("true", **OURS), pod("ghcr.io/us/a:1"))
        assert (result.status, result.message) == (Status.FAIL, "image ghcr.io/us/a:1 does not have a digest")
        (result,) = review(image_policy("true", **OURS), pod(f"ghcr.io/us/a@{DIGEST}"))
        assert (result.status, result.reason) == (
            Status.NOT_EVALUATED,
            f"that ghcr.io/us/a@{DIGEST} has a verified signature is not evaluated: it needs a registry",
        )

    def test_other_validations_are_evaluated(self) -> None:
        (result,) = review(image_policy(SIGNED, "size(images.containers) < 1", **OURS, **NO_DIGEST), pod("ghcr.io/us/a"))
        assert (result.status, result.index) == (Status.FAIL, 1)
        assert [result.status for result in review(image_policy("true", **NO_DIGEST), pod())] == [Status.PASS]

    def test_controllers_and_exceptions(self) -> None:
        (result,) = review(image_policy("false", **NO_DIGEST), workload("Deployment"))
        assert (result.rule, result.status) == ("autogen-defaults", Status.FAIL)
        exception = kyverno("PolicyException", "e", "team", policyRefs=[{"name": "i", "kind": "ImageValidatingPolicy"}])
        assert [result.status for result in review([image_policy("false"), exception], pod())] == [Status.SKIP]

    @pytest.mark.parametrize(
        ("pattern", "text", "expected"),
        [
            ("ghcr.io/*", "ghcr.io/a/b:1", True),
            ("*:latest", "a:latest", True),
            ("a?c", "abc", True),
            ("a?c", "ac", False),
            ("{one,two}/*", "two/x", True),
            ("[a-c]x", "bx", True),
            ("[!a-c]x", "bx", False),
            ("a.c", "abc", False),
            ("a\\*c", "a*c", True),
            ("a[", "a[", True),
        ],
    )
    def test_globs(self, pattern: str, text: str, expected: bool) -> None:
        assert (glob(pattern).fullmatch(text) is not None) is expected


def test_dates_in_templates_stay_text() -> None:
    entry = {"template": {"value": f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\ndata:\n  d: {date(2026, 1, 2)}\n"}}
    assert generate(generating(entry), namespace("n")).objects[0]["data"] == {"d": "2026-01-02"}
