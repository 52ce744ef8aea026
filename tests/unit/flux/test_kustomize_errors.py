from __future__ import annotations

import pytest
from harness.flux.kustomize_errors import Explanation, cause, clean
from harness.model import Location, Pointer
from harness.source.repository import Repository

ENTRY = 'E1123 07:34:41.833147   27962 run.go:72] "command failed" err='


@pytest.mark.parametrize(
    ("stderr", "error"),
    [
        ("error: accumulating resources: no\n", "accumulating resources: no"),
        ("# Warning: 'bases' is deprecated.\nerror: no\n", "no"),
        (f'{ENTRY}"the file \\"/work/x/a.yaml\\"\\nis bad"\n', 'the file "a.yaml" is bad'),
        (
            f"{ENTRY}<\n\tyaml: unmarshal errors:\n\t  line 11: mapping key already defined at line 10\n >\n",
            "yaml: unmarshal errors: line 11: mapping key already defined at line 10",
        ),
        (f"{ENTRY}<>\n", ""),
    ],
    ids=["plain", "after-a-warning", "escaped", "between-brackets", "empty"],
)
def test_an_error_is_told_without_the_log_around_it(stderr: str, error: str) -> None:
    assert clean(stderr, "/work/x")[0] == error


def test_the_zero_value_before_an_error_is_no_part_of_its_cause() -> None:
    assert cause("map[string]interface {}(nil): yaml: unmarshal errors: line 2") == "yaml: unmarshal errors: line 2"


@pytest.mark.parametrize(
    "error",
    [
        "replace operation does not apply: doc is missing path: /data/b: missing value",
        'remove operation does not apply: doc is missing path: "/data/b": missing value',
        "test operation does not apply: is missing path: /data/b: missing value",
    ],
)
def test_an_operation_that_does_not_apply_is_found_by_its_path(tmp_path_factory: pytest.TempPathFactory, error: str) -> None:
    body = {"patches": [{"patch": "- op: add\n  path: /data/a\n  value: x\n"}, {"patch": "- op: replace\n  path: /data/b\n  value: x\n"}]}

    def locate(pointer: Pointer) -> Location:
        return Location("kustomization.yaml", 10 * (int(pointer[1]) + 1) if len(pointer) > 1 else 1)

    problem = Explanation(Repository(tmp_path_factory.mktemp("empty")), "", body, locate, (), []).problem(error)
    assert (problem.code, problem.location, problem.message) == ("kustomize-build", Location("kustomization.yaml", 20), error)
