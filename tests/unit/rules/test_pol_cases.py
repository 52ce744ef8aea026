"""The runner of policy cases complains when a case proves something else than it says, and about files that say nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from harness.rules.pol_cases import Bench
from harness.source.policycases import read_cases, read_cluster
from harness.source.repository import Repository

if TYPE_CHECKING:
    from pathlib import Path

POLICY = """\
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata:
  name: restrict-things
spec:
  matchConstraints:
    resourceRules:
      - apiGroups: [""]
        apiVersions: [v1]
        operations: [CREATE, UPDATE, DELETE]
        resources: [configmaps, serviceaccounts/token]
  matchConditions:
    - name: is-not-free
      expression: object == null || object.metadata.?labels[?'free'].orValue('') == ''
  validations:
    - expression: object == null || object.?data[?'a'].orValue('') != 'bad'
      message: Data a must not be bad.
    - expression: object == null || object.?data[?'b'].orValue('') != 'bad'
      message: Data b must not be bad.
    - expression: request.userInfo.username != 'mallory' && 'system:authenticated' in request.userInfo.groups
      message: Mallory may not.
    - expression: namespaceObject.metadata.?labels[?'open'].orValue('') == 'yes'
      message: The namespace is closed.
    - expression: request.operation != 'UPDATE' || oldObject.?data[?'a'].orValue('') != 'kept'
      message: What is kept is kept.
    - expression: dyn(resource.List('v1', 'secrets', request.namespace).items).size() == 0
      message: There is a Secret.
    - expression: object == null || parseImageReference(object.?data[?'image'].orValue('quay.io/a/b:1')).registry() == 'quay.io'
      message: Images come from quay.io.
"""
GENERATE = """\
apiVersion: policies.kyverno.io/v1
kind: GeneratingPolicy
metadata:
  name: generate-things
spec:
  matchConstraints:
    resourceRules:
      - apiGroups: [""]
        apiVersions: [v1]
        operations: [CREATE]
        resources: [namespaces]
  variables:
    - name: made
      expression: >-
        [{"apiVersion": dyn("v1"), "kind": dyn("ConfigMap"), "metadata": dyn({"name": "made"})}]
  generate:
    - expression: generator.apply(object.metadata.name, variables.made)
"""
MUTATE = """\
apiVersion: policies.kyverno.io/v1
kind: MutatingPolicy
metadata:
  name: mutate-things
spec:
  matchConstraints:
    resourceRules:
      - apiGroups: [""]
        apiVersions: [v1]
        operations: [CREATE]
        resources: [configmaps]
  matchConditions:
    - name: is-not-free
      expression: object.metadata.?labels[?'free'].orValue('') == ''
  mutations:
    - patchType: JSONPatch
      jsonPatch:
        expression: >-
          [JSONPatch{op: "add", path: "/data", value: {"a": "made"}}]
"""
CLUSTER = """\
apiVersion: v1
kind: Namespace
metadata:
  name: open
  labels:
    open: "yes"
"""
OBJECT = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n  namespace: open\n"
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n"
MADE = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: made\n  namespace: shop\n"


def complaint(tmp_path: Path, outcome: str, text: str, policy: str = "restrict-things") -> str:
    files = {
        "policies/test/restrict-things.yaml": POLICY,
        "policies/test/generate-things.yaml": GENERATE,
        "policies/test/mutate-things.yaml": MUTATE,
        "tests/data/policies/cluster.yaml": CLUSTER,
        f"tests/data/policies/{policy}/{outcome}/case.yaml": text,
    }
    for path, content in files.items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
    bench = Bench.of_repository(Repository(tmp_path))
    assert len(bench.cases) == 1
    return bench.complaint(bench.cases[0])


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        pytest.param("allowed", OBJECT, id="allowed"),
        pytest.param("allowed", "#! result: skip\n" + OBJECT.replace("  name: x", "  labels:\n    free: 'yes'\n  name: x"), id="skipped"),
        pytest.param("denied", "#! message: Data b\n" + OBJECT + "data:\n  b: bad\n", id="second-validation"),
        pytest.param("denied", "#! message: Mallory\n#! user: mallory\n" + OBJECT, id="user"),
        pytest.param("denied", "#! message: closed\n" + OBJECT.replace("open", "other"), id="other-namespace"),
        pytest.param("denied", f"#! message: kept\n#! operation: UPDATE\n{OBJECT}#! section: old object\n{OBJECT}data:\n  a: kept\n", id="old-object"),
        pytest.param("denied", f"#! message: Secret\n{OBJECT}#! section: existing\n{OBJECT.replace('ConfigMap', 'Secret')}", id="existing"),
        pytest.param("denied", "#! message: quay.io\n" + OBJECT + "data:\n  image: docker.io/a/b:1\n", id="image"),
        pytest.param("allowed", f"#! section: old object\n{OBJECT}", id="deletion"),
        pytest.param(
            "denied",
            "#! message: Mallory\n#! user: mallory\n#! resource: serviceaccounts\n#! subresource: token\n#! target: open/x\n"
            "apiVersion: authentication.k8s.io/v1\nkind: TokenRequest\nmetadata: {}\n",
            id="subresource",
        ),
    ],
)
def test_case_holds(tmp_path: Path, outcome: str, text: str) -> None:
    assert complaint(tmp_path, outcome, text) == ""


@pytest.mark.parametrize(
    ("outcome", "text", "expected"),
    [
        pytest.param("allowed", OBJECT + "data:\n  a: bad\n", "fail, expected pass: Data a must not be bad.", id="allowed-but-denied"),
        pytest.param("denied", "#! message: Data a\n" + OBJECT, "pass, expected fail: success", id="denied-but-allowed"),
        pytest.param("allowed", "apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\n", "the policy is not about the request", id="vacuous"),
        pytest.param("denied", "#! message: Data b\n" + OBJECT + "data:\n  a: bad\n", "refused with 'Data a must not be bad.'", id="another-message"),
        pytest.param(
            "denied", "#! message: Data a\n" + OBJECT + "data:\n  a: bad\n  b: bad\n", "another validation refuses too: Data b must not be bad.", id="two"
        ),
        pytest.param("denied", "#! message: must not be bad\n" + OBJECT + "data:\n  a: bad\n", "is not that of one validation", id="message-of-two"),
        pytest.param("denied", OBJECT + "data:\n  a: bad\n", "no message", id="no-message"),
        pytest.param("allowed", "#! operation: EXPLODE\n" + OBJECT, "operation EXPLODE", id="operation"),
        pytest.param("allowed", "#! colour: red\n" + OBJECT, "unknown header colour", id="header"),
        pytest.param("allowed", "#! message\n" + OBJECT, "is no header", id="no-value"),
        pytest.param("allowed", OBJECT + "#! section: nowhere\n", "unknown section nowhere", id="section"),
        pytest.param("allowed", "# nothing\n", "no object", id="empty"),
        pytest.param("allowed", "a: [\n", "case.yaml:", id="no-yaml"),
        pytest.param("allowed", f"{OBJECT}---\n{OBJECT}", "2 documents of section object", id="two-objects"),
        pytest.param("refused", OBJECT, "a case lies in", id="outcome"),
    ],
)
def test_case_does_not_hold(tmp_path: Path, outcome: str, text: str, expected: str) -> None:
    assert expected in complaint(tmp_path, outcome, text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(f"{NAMESPACE}#! section: expected\n{MADE}", "", id="as-expected"),
        pytest.param(f"#! result: skip\n#! operation: UPDATE\n{NAMESPACE}", "", id="skipped"),
        pytest.param(f"{NAMESPACE}#! section: expected\n{MADE.replace('made', 'other')}", "generated [{", id="another"),
        pytest.param(NAMESPACE, "no section expected", id="unsaid"),
        pytest.param(f"#! operation: UPDATE\n{NAMESPACE}#! section: expected\n{MADE}", "skip, expected pass", id="not-generated"),
    ],
)
def test_generated(tmp_path: Path, text: str, expected: str) -> None:
    found = complaint(tmp_path, "allowed", text, "generate-things")
    assert expected in found if expected else found == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(f"{OBJECT}#! section: expected\n{OBJECT}data:\n  a: made\n", "", id="as-expected"),
        pytest.param("#! result: skip\n" + OBJECT.replace("  name: x", "  labels:\n    free: 'yes'\n  name: x"), "", id="skipped"),
        pytest.param(f"{OBJECT}#! section: expected\n{OBJECT}data:\n  a: other\n", "mutated to {", id="another"),
        pytest.param(OBJECT, "no section expected", id="unsaid"),
        pytest.param(f"#! operation: UPDATE\n{OBJECT}#! section: expected\n{OBJECT}", "skip, expected pass", id="not-mutated"),
    ],
)
def test_mutated(tmp_path: Path, text: str, expected: str) -> None:
    found = complaint(tmp_path, "allowed", text, "mutate-things")
    assert expected in found if expected else found == ""


def test_policy_that_is_not_there(tmp_path: Path) -> None:
    assert complaint(tmp_path, "allowed", OBJECT, "restrict-nothing") == "there is no policy restrict-nothing"


def test_repository_without_cases(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    found: list[Any] = [*read_cases(repository), *read_cluster(repository)]
    assert found == []
