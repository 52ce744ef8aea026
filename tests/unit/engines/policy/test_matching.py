"""Match constraints mean what the API server makes of them: exact cases, and a slow reading of the specification beside them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from harness.engines.policy import Request, Resource, Resources
from harness.engines.policy.matching import Constraints
from hypothesis import given
from hypothesis import strategies as st
from unit.engines.policy.policy_samples import POD_RULE, Body, config_map, namespace, pod, rules

NONE = Resources()


def matches(spec: Body | None, request: Request, resources: Resources = NONE, *, kyverno: bool = True) -> bool:
    found = Constraints(spec, kyverno=kyverno).match(request, request.resource or resources.of_object(request.subject), resources)
    assert not found.error
    return found.matched


def rule(**changed: Any) -> Body:
    return {**POD_RULE, **changed}


class TestResourceRules:
    @pytest.mark.parametrize(
        ("resources", "subresource", "expected"),
        [
            (["pods"], "", True),
            (["pods"], "exec", False),
            (["pods/exec"], "exec", True),
            (["pods/exec"], "", False),
            (["pods/*"], "", True),
            (["pods/*"], "status", True),
            (["*"], "", True),
            (["*"], "exec", False),
            (["*/*"], "exec", True),
            (["*/*"], "", True),
            (["*/exec"], "exec", True),
            (["services"], "", False),
            ([], "", False),
        ],
    )
    def test_resources_and_subresources(self, resources: list[str], subresource: str, expected: bool) -> None:
        assert matches(rules(rule(resources=resources)), Request(pod(), subresource=subresource)) is expected

    @pytest.mark.parametrize(("field", "value"), [("apiGroups", ["apps"]), ("apiVersions", ["v2"]), ("operations", ["DELETE"]), ("apiGroups", [])])
    def test_every_part_must_agree(self, field: str, value: list[str]) -> None:
        assert not matches(rules(rule(**{field: value})), Request(pod()))

    @pytest.mark.parametrize("field", ["apiGroups", "apiVersions", "operations"])
    def test_a_star_is_everything(self, field: str) -> None:
        assert matches(rules(rule(**{field: ["*"]})), Request(pod()))

    def test_no_constraints_match_nothing_and_no_rules_match_everything(self) -> None:
        assert not matches(None, Request(pod()))
        assert matches({}, Request(pod()))

    def test_exclusion_wins(self) -> None:
        assert not matches(rules(rule(), excludeResourceRules=[rule()]), Request(pod()))
        assert matches(rules(rule(), excludeResourceRules=[rule(resourceNames=["other"])]), Request(pod()))

    def test_names(self) -> None:
        assert matches(rules(rule(resourceNames=["a", "b"])), Request(pod(name="a")))
        assert not matches(rules(rule(resourceNames=["b"])), Request(pod(name="a")))

    def test_a_generated_name_is_compared_by_its_prefix_in_kyverno_only(self) -> None:
        body = pod(name="")
        body["metadata"]["generateName"] = "web-"
        assert matches(rules(rule(resourceNames=["web"])), Request(body))
        assert not matches(rules(rule(resourceNames=["web"])), Request(body), kyverno=False)

    @pytest.mark.parametrize(("scope", "pods", "namespaces"), [("*", True, True), ("Namespaced", True, False), ("Cluster", False, True), ("Odd", False, False)])
    def test_scope_and_namespaces_are_cluster_scoped(self, scope: str, pods: bool, namespaces: bool) -> None:
        constraints = rules(rule(resources=["*"], scope=scope))
        assert matches(constraints, Request(pod())) is pods
        assert matches(constraints, Request(namespace("team"))) is namespaces


class TestSelectors:
    def test_namespace_labels_decide(self) -> None:
        constraints = rules(rule(), namespaceSelector={"matchLabels": {"env": "prod"}})
        assert matches(constraints, Request(pod(), namespace=namespace("team", env="prod")))
        assert not matches(constraints, Request(pod(), namespace=namespace("team", env="test")))

    def test_every_namespace_has_its_name_label(self) -> None:
        constraints = rules(rule(), namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "team"}})
        assert matches(constraints, Request(pod()))
        assert matches(constraints, Request(pod(), namespace=namespace("team")))

    def test_a_namespace_is_judged_by_its_own_new_labels(self) -> None:
        constraints = rules(rule(resources=["namespaces"]), namespaceSelector={"matchLabels": {"env": "prod"}})
        assert matches(constraints, Request(namespace("n", env="prod"), old_object=namespace("n"), operation="UPDATE"))
        assert not matches(constraints, Request(namespace("n"), old_object=namespace("n", env="prod"), operation="UPDATE"))

    def test_a_namespace_that_is_deleted_is_judged_by_what_it_was(self) -> None:
        constraints = rules(rule(resources=["namespaces"], operations=["DELETE"]), namespaceSelector={"matchLabels": {"env": "prod"}})
        assert matches(constraints, Request(None, old_object=namespace("n", env="prod"), operation="DELETE"))

    def test_other_cluster_scoped_objects_are_never_excluded(self) -> None:
        constraints = rules(rule(resources=["nodes"]), namespaceSelector={"matchLabels": {"env": "prod"}})
        assert matches(constraints, Request({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}))

    def test_the_object_selector_takes_the_new_or_the_old_object(self) -> None:
        constraints = rules(rule(operations=["*"]), objectSelector={"matchLabels": {"a": "b"}})
        marked, plain = pod(labels={"a": "b"}), pod()
        assert matches(constraints, Request(plain, old_object=marked, operation="UPDATE"))
        assert matches(constraints, Request(None, old_object=marked, operation="DELETE"))
        assert not matches(constraints, Request(plain))

    def test_what_has_no_metadata_matches_no_object_selector(self) -> None:
        constraints = rules(rule(), objectSelector={"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]})
        assert not matches(constraints, Request({"apiVersion": "v1", "kind": "Pod"}))

    def test_a_selector_that_cannot_be_read_is_an_error_only_for_what_is_otherwise_matched(self) -> None:
        constraints = Constraints(rules(rule(), objectSelector={"matchExpressions": [{"key": "a", "operator": "Is"}]}), kyverno=True)
        assert constraints.problems == ((("objectSelector", "matchExpressions", 0, "operator"), "'Is' is not a valid label selector operator"),)
        assert constraints.match(Request(pod()), NONE.of_object(pod()), NONE).error
        assert not constraints.match(Request(config_map()), NONE.of_object(config_map()), NONE).error


CRD: Body = {
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"kind": "Widget", "plural": "widgets"},
        "versions": [{"name": "v1", "served": True}, {"name": "v2", "served": True}, {"name": "v0", "served": False}],
    }
}
WIDGET: Body = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "team"}}


class TestEquivalents:
    def test_another_served_version_matches_unless_it_must_be_exact(self) -> None:
        resources = Resources([CRD])
        constraints = rules({**POD_RULE, "apiGroups": ["example.com"], "apiVersions": ["v2"], "resources": ["widgets"]})
        found = Constraints(constraints, kyverno=False).match(Request(WIDGET), resources.of_object(WIDGET), resources)
        assert (found.matched, found.resource) == (True, Resource("example.com", "v2", "widgets", "Widget", namespaced=True))
        assert not matches({**constraints, "matchPolicy": "Exact"}, Request(WIDGET), resources)

    def test_a_version_that_is_not_served_does_not_match(self) -> None:
        constraints = rules({**POD_RULE, "apiGroups": ["example.com"], "apiVersions": ["v0"], "resources": ["widgets"]})
        assert not matches(constraints, Request(WIDGET), Resources([CRD]))

    def test_what_the_server_would_convert_is_not_known(self) -> None:
        scaler = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h", "namespace": "team"}}
        constraints = rules({**POD_RULE, "apiGroups": ["autoscaling"], "apiVersions": ["v1"], "resources": ["horizontalpodautoscalers"]})
        found = Constraints(constraints, kyverno=True).match(Request(scaler), NONE.of_object(scaler), NONE)
        assert (found.matched, found.unknown) == (False, "the object would be converted to autoscaling/v1")


class TestResources:
    @pytest.mark.parametrize(
        ("api_version", "kind", "plural", "namespaced"),
        [
            ("v1", "Pod", "pods", True),
            ("v1", "Endpoints", "endpoints", True),
            ("networking.k8s.io/v1", "Ingress", "ingresses", True),
            ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", True),
            ("storage.k8s.io/v1", "StorageClass", "storageclasses", False),
            ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", False),
            ("gateway.networking.k8s.io/v1", "Gateway", "gateways", None),
            ("example.com/v1", "Thing", "things", None),
        ],
    )
    def test_plural_and_scope(self, api_version: str, kind: str, plural: str, namespaced: bool | None) -> None:
        found = NONE.of(api_version, kind)
        assert (found.plural, found.namespaced) == (plural, namespaced)

    def test_a_definition_names_its_own_plural(self) -> None:
        definition = {"spec": {**CRD["spec"], "names": {"kind": "Widget", "plural": "gadgetry"}, "scope": "Cluster"}}
        assert Resources([definition]).of("example.com/v1", "Widget") == Resource("example.com", "v1", "gadgetry", "Widget", namespaced=False)


# --- the oracle: every combination a rule covers, written out, and looked up ---------------------------------------------------------

GROUPS, VERSIONS, PLURALS, SUBRESOURCES = ("", "apps"), ("v1", "v1beta1"), ("pods", "namespaces", "nodes"), ("", "exec")
OPERATIONS, NAMES, SCOPES = ("CREATE", "UPDATE"), ("a", "b"), ("*", "Namespaced", "Cluster")
KINDS = {"pods": "Pod", "namespaces": "Namespace", "nodes": "Node"}


def some(values: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from((*values, "*")), max_size=2, unique=True)


RULES = st.fixed_dictionaries(
    {
        "apiGroups": some(GROUPS),
        "apiVersions": some(VERSIONS),
        "operations": some(OPERATIONS),
        "resources": st.lists(st.sampled_from(["pods", "namespaces", "*", "*/*", "pods/*", "pods/exec", "*/exec", "nodes"]), max_size=2),
        "scope": st.sampled_from(SCOPES),
        "resourceNames": st.lists(st.sampled_from(NAMES), max_size=1),
    }
)


def written_out(body: Body) -> set[tuple[str, ...]]:
    """Every (group, version, plural, subresource, operation, scope, name) a rule covers."""
    pairs: set[tuple[str, str]] = set()
    for resource in body["resources"]:
        plural, _, sub = resource.partition("/")
        pairs |= set(itertools.product(PLURALS if plural == "*" else (plural,), SUBRESOURCES if sub == "*" else (sub,)))
    parts = [
        set(every) if "*" in body[field] else set(body[field])
        for field, every in (("apiGroups", GROUPS), ("apiVersions", VERSIONS), ("operations", OPERATIONS))
    ]
    scopes = ("Namespaced", "Cluster") if body["scope"] == "*" else (body["scope"],)
    names = body["resourceNames"] or NAMES
    return {
        (group, version, plural, sub, operation, scope, name)
        for group, version, operation, scope, name in itertools.product(*parts, scopes, names)
        for plural, sub in pairs
    }


@given(
    st.lists(RULES, max_size=3),
    st.lists(RULES, max_size=1),
    st.tuples(*(st.sampled_from(values) for values in (GROUPS, VERSIONS, PLURALS, SUBRESOURCES, OPERATIONS, NAMES))),
)
def test_rules_agree_with_their_written_out_form(included: list[Body], excluded: list[Body], asked: tuple[str, ...]) -> None:
    group, version, plural, sub, operation, name = asked
    # Namespaces of the core group are cluster-scoped whatever the request says; here pods are in a namespace and nothing else is.
    inside = plural == "pods"
    metadata = {"name": name, **({"namespace": "team"} if inside else {})}
    resource = Resource(group, version, plural, KINDS[plural])
    request = Request(
        {"apiVersion": resource.api_version, "kind": KINDS[plural], "metadata": metadata}, operation=operation, subresource=sub, resource=resource
    )
    point = (group, version, plural, sub, operation, "Namespaced" if inside else "Cluster", name)
    covered = set().union(*map(written_out, included)) if included else {point}
    expected = point in covered and not any(point in written_out(each) for each in excluded)
    assert matches({**rules(*included), "excludeResourceRules": excluded, "matchPolicy": "Exact"}, request) is expected
