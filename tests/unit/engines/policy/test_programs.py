"""Variables are as lazy as the API server's, however deep they nest, and what is wrong with an expression is said at its place."""

from __future__ import annotations

from typing import Any

import pytest
from harness.engines.cel import EvalError
from harness.engines.policy import PolicyId
from harness.engines.policy.programs import Scope, evaluate
from hypothesis import given
from hypothesis import strategies as st

ME = PolicyId("ValidatingPolicy", "", "p")


def scope(*variables: tuple[str, str]) -> Scope:
    made = Scope(ME, ("object",))
    made.declare([{"name": name, "expression": expression} for name, expression in variables], ("spec", "variables"))
    return made


def value(source: str, *variables: tuple[str, str], **given_values: Any) -> Any:
    made = scope(*variables)
    expression = made.compile(source, ("spec",))
    assert not made.problems
    return evaluate(expression, {"object": None, **given_values})


class TestVariables:
    def test_a_variable_may_use_those_before_it(self) -> None:
        assert value("variables.b", ("a", "1"), ("b", "variables.a + 1")) == 2

    def test_an_error_matters_only_where_it_is_used(self) -> None:
        assert value("true || variables.bad == 1", ("bad", "object.nothing")) is True
        assert value("false", ("bad", "object.nothing")) is False
        assert isinstance(value("variables.bad == 1", ("bad", "object.nothing")), EvalError)

    def test_strings_and_comments_are_left_alone(self) -> None:
        assert value("'variables.a' + variables.a // variables.c", ("a", "'x' // variables.b")) == "variables.ax"

    def test_a_field_of_that_name_is_no_variable(self) -> None:
        assert value("object.variables.a", object={"variables": {"a": 3}}) == 3

    def test_a_variable_is_there_whatever_it_is(self) -> None:
        assert value("has(variables.bad) && true", ("bad", "object.nothing")) is True

    def test_more_variables_than_the_engine_nests(self) -> None:
        chain = [("v0", "1"), *((f"v{index}", f"variables.v{index - 1} + 1") for index in range(1, 25))]
        many = [(f"w{index}", str(index)) for index in range(40)]
        assert value("variables.v24", *chain) == 25
        assert value(" + ".join(f"variables.w{index}" for index in range(30)), *many) == sum(range(30))


class TestProblems:
    def test_an_unknown_or_later_variable(self) -> None:
        made = scope(("a", "variables.b"), ("b", "1"))
        assert [(problem.pointer, problem.message) for problem in made.problems] == [(("spec", "variables", 0, "expression"), "undefined variable b")]

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("1 +", "syntax error"),
            ("nobody", "undeclared reference to 'nobody'"),
            ("1 + 1", "output is expected to be of type bool, and is int"),
            ("object.flag", "output is expected to be of type bool, and is dyn"),
            ("   ", "the expression is empty"),
        ],
    )
    def test_what_does_not_compile_is_at_its_place(self, source: str, message: str) -> None:
        made = scope()
        assert made.compile(source, ("spec", "validations", 0, "expression"), ("BOOL",)).program is None
        (problem,) = made.problems
        assert problem.pointer == ("spec", "validations", 0, "expression")
        assert message.lower() in problem.message.lower()
        assert not problem.unsupported


# --- the oracle: variables evaluated by need, in Python -------------------------------------------------------------------------------

Node = tuple[Any, ...]


class OracleError(Exception):
    pass


def nodes(names: list[str]) -> st.SearchStrategy[Node]:
    leaves = st.sampled_from([("true",), ("false",), ("error",), *(("variable", name) for name in names)])
    return st.recursive(leaves, lambda inner: st.tuples(st.sampled_from(["and", "or", "if"]), inner, inner, inner), max_leaves=5)


def source_of(node: Node) -> str:
    kind = node[0]
    if kind in ("true", "false"):
        return str(kind)
    if kind == "error":
        return "[true][7]"
    if kind == "variable":
        return f"variables.{node[1]}"
    one, two, three = (source_of(each) for each in node[1:])
    return {"and": f"({one} && {two})", "or": f"({one} || {two})", "if": f"({one} ? {two} : {three})"}[kind]


def outcome(node: Node, variables: dict[str, Node]) -> bool:
    """CEL's truth: an error in one side of && or || is absorbed when the other side decides."""
    kind = node[0]
    if kind == "error":
        raise OracleError
    if kind in ("true", "false"):
        return bool(kind == "true")
    if kind == "variable":
        return outcome(variables[node[1]], variables)
    if kind == "if":
        return outcome(node[2] if outcome(node[1], variables) else node[3], variables)
    decides = kind == "or"
    failed = False
    for side in node[1:3]:
        try:
            if outcome(side, variables) is decides:
                return decides
        except OracleError:
            failed = True
    if failed:
        raise OracleError
    return not decides


@st.composite
def definitions(draw: st.DrawFn) -> tuple[dict[str, Node], Node]:
    names: list[str] = []
    variables = {}
    for index in range(draw(st.integers(0, 4))):
        variables[f"v{index}"] = draw(nodes(names))
        names.append(f"v{index}")
    return variables, draw(nodes(names))


@given(definitions())
def test_variables_are_evaluated_by_need(drawn: tuple[dict[str, Node], Node]) -> None:
    variables, body = drawn
    found = value(source_of(body), *((name, source_of(node)) for name, node in variables.items()))
    try:
        expected: bool | None = outcome(body, variables)
    except OracleError:
        expected = None
    assert (None if isinstance(found, EvalError) else found) is expected
