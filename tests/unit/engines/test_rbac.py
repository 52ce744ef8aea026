"""RBAC against a slow oracle that enumerates every request of a small world, and the laws that rights must obey."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from harness.engines.rbac import defaults
from harness.engines.rbac.api import is_odd_verb, resources_of
from harness.engines.rbac.atoms import EVERYWHERE, Atom, all_atoms, allowed_by, atoms_of, difference, includes
from harness.engines.rbac.policy import Policy
from harness.engines.rbac.rules import Request, Rule, allows, breakdown, covers, uncovered
from harness.engines.rbac.subjects import Subject, parse_subject, service_account
from harness.model import Location, Object, ObjectId, Origin
from hypothesis import given, settings
from hypothesis import strategies as st

GROUP = "rbac.authorization.k8s.io"
VERBS, GROUPS, NAMES, SPACES = ("get", "list", "create"), ("", "apps"), ("", "a", "b"), ("", "one", "two")
RESOURCES = ("pods", "pods/log", "deployments", "deployments/scale")
PATHS = ("/metrics", "/metrics/slis", "/healthz")
UNIVERSE = [
    *(
        Request(verb, group, *resource.partition("/")[::2], name, space)
        for verb, group, resource, name, space in itertools.product(VERBS, GROUPS, RESOURCES, NAMES, SPACES)
    ),
    *(Request(verb, path=path) for verb in VERBS for path in PATHS),
]
SUBJECTS = (Subject("User", "alice"), Subject("Group", "devs"), service_account("one", "robot"), Subject("Group", "system:serviceaccounts:one"))

rules = st.one_of(
    st.builds(
        lambda verbs, groups, resources, names: {"verbs": verbs, "apiGroups": groups, "resources": resources, "resourceNames": names},
        st.lists(st.sampled_from(("*", *VERBS)), max_size=2),
        st.lists(st.sampled_from(("*", *GROUPS)), max_size=2),
        st.lists(st.sampled_from(("*", "*/scale", "pods/*", *RESOURCES)), max_size=2),
        st.lists(st.sampled_from(("a", "b")), max_size=1),
    ),
    st.builds(
        lambda verbs, urls: {"verbs": verbs, "nonResourceURLs": urls},
        st.lists(st.sampled_from(("*", *VERBS)), max_size=2),
        st.lists(st.sampled_from(("*", "/metrics*", "/metrics/*", *PATHS)), max_size=2),
    ),
)
LABELS = ("x", "y", "z")


def obj(kind: str, name: str, namespace: str = "", **body: Any) -> Object:
    metadata = {"name": name, "labels": body.pop("labels", {}), **({"namespace": namespace} if namespace else {})}
    whole = {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": metadata, **body}
    return Object(ObjectId("test", GROUP, kind, namespace, name), whole, Origin(lambda _pointer: Location("roles.yaml", 1)))


cluster_roles = st.builds(
    lambda rules, labels, selected: {"rules": rules, "labels": dict.fromkeys(labels, "true"), "selected": selected},
    st.lists(rules, max_size=2),
    st.lists(st.sampled_from(LABELS), max_size=2, unique=True),
    st.one_of(st.none(), st.lists(st.sampled_from(LABELS), min_size=1, max_size=2)),
)
entries = st.sampled_from(
    (
        {"kind": "User", "name": "alice"},
        {"kind": "Group", "name": "devs"},
        {"kind": "ServiceAccount", "name": "robot", "namespace": "one"},
        {"kind": "ServiceAccount", "name": "robot"},
        {"kind": "User", "name": "system:serviceaccount:one:robot"},
        {"kind": "Group", "name": "system:serviceaccounts"},
        {"kind": "Group", "name": "system:serviceaccounts:one"},
        {"kind": "Group", "name": "system:authenticated"},
        {"kind": "Robot", "name": "alice"},
        {"kind": "User"},
    )
)
bindings = st.tuples(st.sampled_from(SPACES), st.sampled_from(("ClusterRole", "Role", "Clusterrole")), st.integers(0, 4), st.lists(entries, max_size=3))


@st.composite
def worlds(draw: st.DrawFn) -> list[Object]:
    objects = []
    for index, role in enumerate(draw(st.lists(cluster_roles, max_size=4))):
        aggregation = (
            {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {label: "true"}} for label in role["selected"]]}} if role["selected"] else {}
        )
        objects.append(obj("ClusterRole", f"r{index}", rules=role["rules"], labels=role["labels"], **aggregation))
    for index, (space, body) in enumerate(draw(st.lists(st.tuples(st.sampled_from(SPACES[1:]), st.lists(rules, max_size=2)), max_size=2))):
        objects.append(obj("Role", f"r{index}", space, rules=body))
    for index, (space, kind, role, subjects) in enumerate(draw(st.lists(bindings, max_size=4))):
        reference = {"apiGroup": GROUP, "kind": kind, "name": f"r{role}"}
        objects.append(obj("RoleBinding" if space else "ClusterRoleBinding", f"b{index}", space, roleRef=reference, subjects=subjects))
    return objects


# The oracle: sets of requests, nothing else.


def requests_of(rule: dict[str, Any]) -> set[Request]:
    """Every request of the universe that one rule allows, whatever binds it."""
    found = set()
    for request in UNIVERSE:
        verb = bool({"*", request.verb} & set(rule["verbs"]))
        if request.path:
            fits = any(
                request.path == url or (url[-1:] == "*" and request.path[: len(url.rstrip("*"))] == url.rstrip("*")) for url in rule.get("nonResourceURLs", ())
            )
        else:
            wanted = {"*", request.combined} | ({f"*/{request.subresource}"} if request.subresource else set())
            names = rule.get("resourceNames") or [request.name]
            fits = bool({"*", request.group} & set(rule.get("apiGroups", ()))) and bool(wanted & set(rule.get("resources", ()))) and request.name in names
        if verb and fits:
            found.add(request)
    return found


def oracle(objects: list[Object], user: str, groups: set[str]) -> set[Request]:
    """Every request of the universe that someone may make. Aggregation by going round until nothing changes."""
    clusters = {item.name: item for item in objects if item.kind == "ClusterRole"}
    granted = {name: set() if "aggregationRule" in item.body else set().union(*map(requests_of, item.body["rules"])) for name, item in clusters.items()}
    for _ in clusters:
        for name, item in clusters.items():
            for selector in item.body.get("aggregationRule", {}).get("clusterRoleSelectors", ()):
                for other, each in clusters.items():
                    if all(each.labels.get(key) == value for key, value in selector["matchLabels"].items()):
                        granted[name] |= granted[other]
    found: set[Request] = set()
    for item in objects:
        if not item.kind.endswith("Binding"):
            continue
        mine = False
        for subject in item.body["subjects"]:
            name, home = subject.get("name"), subject.get("namespace", item.namespace)
            mine |= subject["kind"] == "User" and name == user
            mine |= subject["kind"] == "Group" and name in groups
            mine |= subject["kind"] == "ServiceAccount" and home != "" and f"system:serviceaccount:{home}:{name}" == user
        reference = item.body["roleRef"]
        if reference["kind"] == "ClusterRole":
            role = granted.get(reference["name"], set())
        else:
            roles = [each for each in objects if (each.kind, each.namespace, each.name) == (reference["kind"], item.namespace, reference["name"])]
            role = set().union(*(requests_of(rule) for each in roles for rule in each.body["rules"]))
        if mine:
            found |= {request for request in role if not item.namespace or (request.namespace == item.namespace and not request.path)}
    return found


PEOPLE = {
    SUBJECTS[0]: ("alice", {"system:authenticated"}),
    SUBJECTS[1]: ("", {"devs", "system:authenticated"}),
    SUBJECTS[2]: ("system:serviceaccount:one:robot", {"system:serviceaccounts", "system:serviceaccounts:one", "system:authenticated"}),
    SUBJECTS[3]: ("", {"system:serviceaccounts", "system:serviceaccounts:one", "system:authenticated"}),
}


class TestAgainstTheOracle:
    @settings(max_examples=60, deadline=None)
    @given(worlds())
    def test_the_authorizer_and_the_atoms_say_what_enumeration_says(self, objects: list[Object]) -> None:
        policy = Policy.of_objects(objects, built_in=False)
        for subject, (user, groups) in PEOPLE.items():
            expected = oracle(objects, user, groups)
            assert {request for request in UNIVERSE if policy.allows(subject, request)} == expected
            atoms = atoms_of(policy, subject)
            assert {request for request in UNIVERSE if any(allowed_by(atom, request) for atom in atoms)} == expected

    @settings(max_examples=40, deadline=None)
    @given(worlds(), bindings)
    def test_a_further_binding_only_adds_rights(self, objects: list[Object], more: tuple[str, str, int, list[dict[str, str]]]) -> None:
        space, kind, role, subjects = more
        extra = obj("RoleBinding" if space else "ClusterRoleBinding", "extra", space, roleRef={"kind": kind, "name": f"r{role}"}, subjects=subjects)
        before, after = Policy.of_objects(objects, built_in=False), Policy.of_objects([*objects, extra], built_in=False)
        for subject in SUBJECTS:
            assert {request for request in UNIVERSE if before.allows(subject, request)} <= {request for request in UNIVERSE if after.allows(subject, request)}
        changed = difference(before, after)
        assert not changed.lost
        assert difference(after, before) == (changed.lost, changed.gained)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(rules, max_size=3), st.lists(rules, max_size=3))
    def test_what_is_covered_allows_no_request_more(self, owner: list[Any], servant: list[Any]) -> None:
        """Covering is stricter than allowing: it may refuse what adds nothing, never the other way round."""
        if covers(read(owner), read(servant)):
            assert set().union(*map(requests_of, servant)) <= set().union(*map(requests_of, owner))

    @settings(max_examples=60, deadline=None)
    @given(st.lists(rules, max_size=3), st.lists(rules, max_size=3), st.lists(rules, max_size=3))
    def test_covering_is_reflexive_transitive_and_monotone(self, one: list[Any], two: list[Any], three: list[Any]) -> None:
        a, b, c = read(one), read(two), read(three)
        assert covers(a, a)
        assert covers([*a, *b], a)
        if covers(a, b):
            assert covers([*a, *c], b)
            assert not covers(b, c) or covers(a, c)
        assert covers(a, b) == (not uncovered(a, b))
        assert covers([part for rule in a for part in breakdown(rule)], a)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(rules, min_size=1, max_size=3))
    def test_an_atom_that_includes_another_allows_whatever_it_allows(self, several: list[Any]) -> None:
        policy = Policy.of_objects(
            [
                obj("ClusterRole", "r", rules=several),
                obj("ClusterRoleBinding", "b", roleRef={"kind": "ClusterRole", "name": "r"}, subjects=[{"kind": "User", "name": "alice"}]),
            ],
            built_in=False,
        )
        atoms = list(atoms_of(policy, SUBJECTS[0]))
        for wide, narrow in itertools.product(atoms, atoms):
            if includes(wide, narrow):
                assert all(allowed_by(wide, request) for request in UNIVERSE if allowed_by(narrow, request))


def read(bodies: list[dict[str, Any]]) -> list[Rule]:
    return [Rule(*(tuple(body.get(key, ())) for key in ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"))) for body in bodies]


class TestRules:
    @pytest.mark.parametrize(
        ("rule", "request_", "allowed"),
        [
            (Rule(("get",), ("",), ("pods",)), Request("get", "", "pods", name="a", namespace="n"), True),
            (Rule(("get",), ("",), ("pods",)), Request("get", "", "pods", "log", "a", "n"), False),
            (Rule(("get",), ("",), ("pods/*",)), Request("get", "", "pods", "log", "a", "n"), False),
            (Rule(("get",), ("*",), ("*/scale",)), Request("get", "apps", "deployments", "scale", "a", "n"), True),
            (Rule(("get",), ("*",), ("*/scale",)), Request("get", "apps", "deployments", "", "a", "n"), False),
            (Rule(("*",), ("",), ("*",)), Request("create", "", "pods", "exec", "a", "n"), True),
            (Rule(("get",), ("",), ("pods",), ("a",)), Request("list", "", "pods", namespace="n"), False),
            (Rule(("list",), ("",), ("pods",), ("a",)), Request("list", "", "pods", name="a", namespace="n"), True),
            (Rule(("create",), ("",), ("pods",), ("a",)), Request("create", "", "pods", namespace="n"), False),
            (Rule(("get",), urls=("/metrics/*",)), Request("get", path="/metrics/slis"), True),
            (Rule(("get",), urls=("/metrics/*",)), Request("get", path="/metrics"), False),
            (Rule(("get",), ("*",), ("*",)), Request("get", path="/metrics"), False),
            (Rule(("get",), urls=("*",)), Request("get", "", "pods"), False),
        ],
    )
    def test_what_a_rule_allows(self, rule: Rule, request_: Request, allowed: bool) -> None:
        assert allows(rule, request_) is allowed

    @pytest.mark.parametrize(
        ("owner", "servant", "missing"),
        [
            ([], [Rule((), ("",), ("pods",))], []),
            ([Rule(("get", "list"), ("",), ("pods",))], [Rule(("get",), ("",), ("pods",), ("a",))], []),
            ([Rule(("get",), ("",), ("pods",), ("a",))], [Rule(("get",), ("",), ("pods",))], [Rule(("get",), ("",), ("pods",))]),
            ([Rule(("get",), ("*",), ("*",))], [Rule(("get",), ("*",), ("*",))], []),
            ([Rule(("get",), ("",), ("pods",)), Rule(("get",), ("",), ("services",))], [Rule(("get",), ("",), ("*",))], [Rule(("get",), ("",), ("*",))]),
            ([Rule(("*",), ("apps",), ("*/scale",))], [Rule(("get",), ("apps",), ("deployments/scale",))], []),
            ([Rule(("get",), urls=("/a*",))], [Rule(("get",), urls=("/abc",)), Rule(("get",), urls=("/b",))], [Rule(("get",), urls=("/b",))]),
        ],
    )
    def test_what_the_escalation_check_misses(self, owner: list[Rule], servant: list[Rule], missing: list[Rule]) -> None:
        assert uncovered(owner, servant) == missing


class TestSubjects:
    @pytest.mark.parametrize(
        ("text", "written", "groups"),
        [
            ("user:alice", "user:alice", ("system:authenticated",)),
            ("alice", "user:alice", ("system:authenticated",)),
            ("group:devs", "group:devs", ("devs", "system:authenticated")),
            ("sa:one/robot", "sa:one/robot", ("system:serviceaccounts:one", "system:serviceaccounts", "system:authenticated")),
            ("system:serviceaccount:one:robot", "sa:one/robot", ("system:serviceaccounts:one", "system:serviceaccounts", "system:authenticated")),
            ("user:system:anonymous", "user:system:anonymous", ("system:unauthenticated",)),
            ("group:system:unauthenticated", "group:system:unauthenticated", ("system:unauthenticated",)),
            (
                "group:system:serviceaccounts:one",
                "group:system:serviceaccounts:one",
                ("system:serviceaccounts:one", "system:serviceaccounts", "system:authenticated"),
            ),
        ],
    )
    def test_how_a_subject_is_written_and_which_groups_it_is_in(self, text: str, written: str, groups: tuple[str, ...]) -> None:
        subject = parse_subject(text)
        assert (str(subject), subject.groups) == (written, groups)

    @pytest.mark.parametrize("text", ["", "sa:robot", "sa:/robot", "sa:one/", "sa:one/a/b", "group:"])
    def test_what_is_no_subject(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"written|write|missing"):
            parse_subject(text)


class TestDefaults:
    @pytest.mark.parametrize(
        ("subject", "request_", "allowed"),
        [
            ("group:system:masters", Request("delete", "", "nodes", name="a"), True),
            ("user:alice", Request("create", "authorization.k8s.io", "selfsubjectaccessreviews"), True),
            ("user:system:anonymous", Request("create", "authorization.k8s.io", "selfsubjectaccessreviews"), False),
            ("user:system:anonymous", Request("get", path="/version"), True),
            ("user:system:anonymous", Request("get", path="/apis"), False),
            ("sa:kube-system/clusterrole-aggregation-controller", Request("escalate", GROUP, "clusterroles", name="x"), True),
            ("user:system:kube-controller-manager", Request("create", "", "serviceaccounts", "token", "x", "kube-system"), True),
            ("user:system:kube-scheduler", Request("get", "", "configmaps", name="extension-apiserver-authentication", namespace="kube-system"), True),
            ("user:system:node:one", Request("get", "", "secrets", name="x", namespace="one"), False),
        ],
    )
    def test_what_the_api_server_grants_by_itself(self, subject: str, request_: Request, allowed: bool) -> None:
        assert Policy.of_objects([]).allows(parse_subject(subject), request_) is allowed

    def test_view_edit_and_admin_are_aggregated_from_those_below(self) -> None:
        policy = Policy.of_objects(
            [obj("ClusterRole", "more", labels={f"{GROUP}/aggregate-to-view": "true"}, rules=[{"verbs": ["get"], "apiGroups": ["x"], "resources": ["y"]}])]
        )
        for name, request, allowed in (
            ("view", Request("get", "x", "y"), True),
            ("admin", Request("get", "x", "y"), True),
            ("view", Request("get", "", "secrets"), False),
            ("edit", Request("get", "", "secrets"), True),
            ("edit", Request("create", GROUP, "rolebindings"), False),
            ("admin", Request("create", GROUP, "rolebindings"), True),
            ("edit", Request("create", "discovery.k8s.io", "endpointslices"), False),
        ):
            role = policy.roles["", name]
            assert any(allows(grant.rule, request) for grant in policy.grants(role)) is allowed

    def test_a_changed_default_role_gets_its_rules_back_unless_it_says_not_to(self) -> None:
        mine = obj("ClusterRole", "system:basic-user", rules=[])
        request = Request("create", "authentication.k8s.io", "selfsubjectreviews")
        assert Policy.of_objects([mine]).allows(Subject("User", "alice"), request)
        mine.body["metadata"]["annotations"] = {"rbac.authorization.kubernetes.io/autoupdate": "false"}
        assert not Policy.of_objects([mine]).allows(Subject("User", "alice"), request)

    def test_every_binding_of_the_defaults_refers_to_a_role(self) -> None:
        policy = Policy.of_objects([])
        assert [str(binding) for binding in policy.bindings if policy.role_of(binding) is None] == []

    def test_every_resource_of_the_default_roles_exists(self) -> None:
        known = resources_of([])
        missing = {
            (group, resource)
            for role in defaults.roles()
            for rule in role.rules
            for group in rule.groups
            for resource in rule.resources
            if "*" not in group + resource and known.exists(group, resource) is False
        }
        assert missing == set()

    def test_a_line_that_is_no_rule_is_refused(self) -> None:
        with pytest.raises(ValueError, match="is no rule"):
            defaults.parse_rule("get pods")


class TestAtoms:
    def test_a_right_is_told_with_where_it_holds(self) -> None:
        assert str(Atom("user:alice", "get", "apps", "deployments/scale", "web", "one")) == "user:alice get deployments.apps/scale web in one"
        assert str(Atom("user:alice", "get", "", "", "", EVERYWHERE, "/metrics")) == "user:alice get /metrics"

    def test_what_follows_from_a_group_stands_with_the_group_only(self) -> None:
        policy = Policy.of_objects([])
        assert {atom.subject for atom in all_atoms(policy, [Subject("User", "alice")])} == set()
        assert {atom.resource for atom in atoms_of(policy, Subject("User", "alice"))} >= {"selfsubjectaccessreviews"}

    def test_a_narrower_right_is_no_news(self) -> None:
        wide, narrow = (
            {"verbs": ["*"], "apiGroups": [""], "resources": ["pods"]},
            {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]},
        )
        bound = obj("ClusterRoleBinding", "b", roleRef={"kind": "ClusterRole", "name": "r"}, subjects=[{"kind": "User", "name": "alice"}])
        before, after = (Policy.of_objects([obj("ClusterRole", "r", rules=body), bound], built_in=False) for body in ([wide], [wide, narrow]))
        assert difference(before, after) == ({}, {})
        alone = Policy.of_objects([obj("ClusterRole", "r", rules=[narrow]), bound], built_in=False)
        assert [str(atom) for atom in difference(alone, after).gained] == ["user:alice * pods in every namespace"]


class TestOddInput:
    @pytest.mark.parametrize("value", [None, 1, "x", [], {}, [None], [1], ["x"], [{}], [{"verbs": "get"}], [{"verbs": [1]}], {"a": "b"}], ids=repr)
    @pytest.mark.parametrize("field", ["rules", "subjects", "roleRef", "aggregationRule"])
    def test_any_shape_is_read(self, field: str, value: Any) -> None:
        objects = [
            obj(kind, "x", "one" if kind in ("Role", "RoleBinding") else "", **{field: value})
            for kind in ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
        ]
        policy = Policy.of_objects(objects)
        assert not policy.allows(Subject("User", "alice"), Request("get", "", "secrets", namespace="one"))

    def test_resources_of_odd_definitions(self) -> None:
        crd = Object(
            ObjectId("test", "apiextensions.k8s.io", "CustomResourceDefinition", "", "x"),
            {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "x"}, "spec": {"names": 1, "versions": [1]}},
            Origin(lambda _pointer: Location("crd.yaml", 1)),
        )
        assert resources_of([crd]) == resources_of([])

    @pytest.mark.parametrize(("verb", "odd"), [("get", False), ("Get", True), ("read", True), ("approve", False), ("mint", False)])
    def test_verbs_that_mean_nothing(self, verb: str, odd: bool) -> None:
        assert is_odd_verb(verb) is odd
