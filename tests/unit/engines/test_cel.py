"""CEL with the Kubernetes libraries, as an API server evaluates it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from harness.engines import cel
from harness.engines.cel import pattern, semver, values
from hypothesis import given, settings
from hypothesis import strategies as st


def evaluated(expression: str, **variables: Any) -> Any:
    program = cel.compile(expression, tuple(variables))
    assert isinstance(program, cel.Program), program
    return program.eval(variables)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        # the language
        ("1 + 2 * 3", 7),
        ("'a' + 'b' == 'ab' && !(1 > 2)", True),
        ("[1, 2, 3].all(x, x > 0) && [1, 2].exists_one(x, x == 2)", True),
        ("[1, 2, 3].filter(x, x > 1).map(x, x * 2)", [4, 6]),
        ("{'a': 1, 'b': 2}.exists(k, k == 'b')", True),
        ("has({'a': 1}.a) && !has({'a': 1}.b)", True),
        ("dyn(1) == dyn(1.0) && dyn(1u) < dyn(2)", True),
        ("string(1) + string(true) + string(1.5)", "1true1.5"),
        ("int('42') + int(2.9)", 44),
        ("timestamp('2024-02-29T12:00:00Z').getMonth()", 1),
        ("duration('1h30m').getMinutes()", 90),
        ("type([]) == list && type({}) == map && type(null) == null_type", True),
        ("'x'.matches('^[a-z]$') && !'x1'.matches('^[a-z]$')", True),
        # extensions
        ("'Hello'.lowerAscii() + 'x'.upperAscii()", "helloX"),
        ("'a,b,c'.split(',')", ["a", "b", "c"]),
        ("['a', 'b'].join('-')", "a-b"),
        ("'abc'.replace('b', 'x').substring(1)", "xc"),
        ("'  a '.trim().charAt(0)", "a"),
        ("'%s has %d'.format(['x', 3])", "x has 3"),
        ("'abcb'.lastIndexOf('b')", 3),
        ("strings.quote('a')", '"a"'),
        ("math.greatest(1, 5, 3) + math.least([2, 1])", 6),
        ("sets.contains([1, 2, 3], [1]) && sets.intersects([1], [1, 2]) && sets.equivalent([1, 2], [2, 1, 1])", True),
        ("base64.encode(b'hi')", "aGk="),
        ("cel.bind(x, 2, x * x)", 4),
        ("[1, 2, 3].exists(i, v, i == 2 && v == 3)", True),
        ("['a', 'b'].transformList(i, v, v + string(i))", ["a0", "b1"]),
        ("[3, 1, 2].sort()", [1, 2, 3]),
        ("[[1], [2, 3]].flatten()", [1, 2, 3]),
        ("[1, 1, 2].distinct()", [1, 2]),
        ("[1, 2, 3, 4].slice(1, 3)", [2, 3]),
        # optional values
        ("{'a': 1}[?'a'].orValue(0) + {'a': 1}[?'b'].orValue(5)", 6),
        ("{'a': {}}.?a.?b.hasValue()", False),
        ("optional.of(1).optMap(x, x + 1).value()", 2),
        ("[?optional.none(), 1]", [1]),
        ("{'a': dyn('x')}.a.orValue('y')", "x"),
        # lists
        ("[1, 2, 3].sum()", 6),
        ("[1.5, 2.5].sum()", 4.0),
        ("[].sum()", 0),
        ("['b', 'a'].min() + ['b', 'a'].max()", "ab"),
        ("[1, 2, 2].isSorted() && !['b', 'a'].isSorted()", True),
        ("['a', 'b', 'a'].indexOf('a') + ['a', 'b', 'a'].lastIndexOf('a')", 2),
        ("[1].indexOf(2)", -1),
        # regular expressions
        ("'abc 123'.find('[0-9]+')", "123"),
        ("'abc'.find('[0-9]+')", ""),
        ("'1 2 3'.findAll('[0-9]')", ["1", "2", "3"]),
        ("'1 2 3'.findAll('[0-9]', 2)", ["1", "2"]),
        # URLs
        ("isURL('https://a.example.com/x') && !isURL('a b')", True),
        ("url('https://a.example.com:8443/x%20y?k=v&k=w').getHost()", "a.example.com:8443"),
        ("url('https://[::1]:80/x').getHostname()", "::1"),
        ("url('https://a/x?k=v&k=w').getQuery()", {"k": ["v", "w"]}),
        ("url('https://a:8443').getPort() + url('https://a').getScheme()", "8443https"),
        ("url('/only/path').getEscapedPath()", "/only/path"),
        # addresses
        ("isIP('::1') && !isIP('1.2.3') && !isIP('01.2.3.4')", True),
        ("ip('192.168.0.1').family() + ip('::1').family()", 10),
        ("ip('10.0.0.1').isGlobalUnicast() && ip('127.0.0.1').isLoopback() && ip('169.254.0.1').isLinkLocalUnicast()", True),
        ("ip.isCanonical('2001:db8::1') && !ip.isCanonical('2001:DB8::1')", True),
        ("isCIDR('10.0.0.0/8') && !isCIDR('10.0.0.0/33')", True),
        ("cidr('10.0.0.0/8').containsIP('10.1.2.3') && !cidr('10.0.0.0/8').containsIP(ip('11.0.0.1'))", True),
        ("cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && !cidr('10.1.0.0/16').containsCIDR(cidr('10.0.0.0/8'))", True),
        ("cidr('10.1.2.3/8').prefixLength()", 8),
        ("string(cidr('10.1.2.3/8').masked()) + string(cidr('10.1.2.3/8').ip())", "10.0.0.0/810.1.2.3"),
        # quantities
        ("isQuantity('1.5Gi') && !isQuantity('1.5G1')", True),
        ("quantity('1Gi').isGreaterThan(quantity('1G')) && quantity('1k').isLessThan(quantity('1Ki'))", True),
        ("quantity('1').compareTo(quantity('1000m'))", 0),
        ("quantity('50k').add(quantity('20k')) == quantity('70k') && quantity('50k').sub(20) == quantity('49980')", True),
        ("quantity('2Ki').asInteger() + sign(quantity('-3'))", 2047),
        ("quantity('1500m').asApproximateFloat()", 1.5),
        ("quantity('500m').isInteger()", False),
        # versions
        ("isSemver('1.2.3-rc.1') && !isSemver('1.2') && !isSemver('01.2.3')", True),
        ("semver('1.2.3').isLessThan(semver('1.10.0')) && semver('1.0.0-a').isLessThan(semver('1.0.0'))", True),
        ("semver('1.2.3').major() * 100 + semver('1.2.3').minor() * 10 + semver('1.2.3').patch()", 123),
        ("semver('v1.2', true).compareTo(semver('1.2.0'))", 0),
        # formats
        ("format.dns1123Label().validate('a.b').hasValue()", True),
        ("format.named('qualifiedName').value().validate('a/b').hasValue()", False),
        ("format.named('none').hasValue()", False),
        ("!format.dns1123Subdomain().validate('A_').hasValue()", False),
        ("format.uuid().validate('x').value().size() > 0", True),
    ],
)  # fmt: skip
def test_value(expression: str, result: Any) -> None:
    value = evaluated(expression)
    assert value == result
    assert type(value) is type(result)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("1 / 0", "division by zero"),
        ("{'a': 1}.b", "no such key: b"),
        ("[1][3]", "index out of bounds: 3"),
        ("quantity('one')", "quantities must match the regular expression"),
        ("ip('1.2.3')", 'IP Address "1.2.3" parse error during conversion from string'),
        ("[].min()", "min called on empty list"),
        ("9223372036854775807 + 1", "integer overflow"),
    ],
)  # fmt: skip
def test_errors_that_an_api_server_has_too(expression: str, message: str) -> None:
    result = evaluated(expression)
    assert isinstance(result, cel.EvalError)
    assert message in result.message
    assert result.unsupported is False


@pytest.mark.parametrize(
    ("expression", "unsupported"),
    [
        pytest.param("1 +", False, id="syntax"),
        pytest.param("nosuch", False, id="unknown-variable"),
        pytest.param("'a'.nosuch()", False, id="unknown-function"),
        pytest.param("1 + 'a'", False, id="types"),
        pytest.param("'\ud800' == ''", False, id="no-text"),
        pytest.param("(" * 200 + "1" + ")" * 200, True, id="nesting"),
        pytest.param("'" + "x" * 100_001 + "'", True, id="length"),
    ],
)
def test_expressions_that_do_not_compile(expression: str, unsupported: bool) -> None:
    result = cel.compile(expression)
    assert isinstance(result, cel.CompileError)
    assert result.unsupported is unsupported
    assert result.message


def test_variables_are_plain_data() -> None:
    body = {"spec": {"replicas": 3, "list": [1, None, {"a": True}]}, "n": 1.5}
    assert evaluated("object.spec.replicas == 3 && object.spec.list[2].a && request.n > 1.0", object=body, request=body) is True
    assert evaluated("object", object=body) == body


def test_a_program_is_compiled_once() -> None:
    assert cel.compile("a + b", ("a", "b")) is cel.compile("a + b", ("b", "a"))


def test_what_is_no_value_for_a_variable_is_an_error() -> None:
    result = evaluated("x == 1", x=object())
    assert isinstance(result, cel.EvalError)
    assert result.unsupported is True


def test_an_evaluation_ends() -> None:
    start = time.monotonic()
    nested = "[1,2,3,4,5,6,7,8,9,0]" + "".join(f".map(x{n}, [1,2,3,4,5,6,7,8,9,0]" for n in range(9)) + ")" * 9
    result = evaluated(nested)
    assert isinstance(result, cel.EvalError)
    assert time.monotonic() - start < 20


def test_an_evaluation_takes_microseconds() -> None:
    program = cel.compile("self.a.all(x, x.n > 0 && x.name.matches('^[a-z]+$'))")
    assert isinstance(program, cel.Program)
    data = {"self": {"a": [{"n": 1, "name": "abc"}] * 5}}
    start = time.process_time()
    for _ in range(1_000):
        program.eval(data)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(
    ("text", "matches"),
    [("^[[:alpha:]]+$", ["abc"]), ("(?i)^abc$", ["ABC"]), (r"^\d+\z", ["12"]), ("a{2,3}", ["aaa"]), (r"^\w$", ["_"])],
)
def test_patterns(text: str, matches: list[str]) -> None:
    compiled = pattern.compile_any(text)
    assert all(compiled.search(subject) for subject in matches)
    assert not compiled.search("é!")


@pytest.mark.parametrize("text", ["(a+)+$", "(a|a)*b", "(?:x*)*", "(x*x*)*y"])
def test_patterns_that_could_explode_take_linear_time(text: str) -> None:
    start = time.process_time()
    result = evaluated("s.find(p)", s="a" * 5_000, p=text)
    assert not isinstance(result, cel.EvalError)
    assert evaluated("s.matches(p)", s="a" * 50_000 + "!", p=text) is (text == "(?:x*)*")
    assert time.process_time() - start < 5


@pytest.mark.parametrize("text", [r"\p{Greek}", "(?U)a+", "x" * 1001])
def test_patterns_that_are_not_translated_are_not_run(text: str) -> None:
    with pytest.raises(pattern.UnsafePatternError):
        pattern.compile_any(text)
    result = evaluated("s.find(p)", s="a" * 5_000, p=text)
    assert isinstance(result, cel.EvalError)
    assert result.unsupported is True


@pytest.mark.parametrize("text", ["(", "(?=x)", "[z-a]", "a**"])
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(ValueError, match=r"Illegal regex") as raised:
        pattern.compile_any(text)
    assert not isinstance(raised.value, pattern.UnsafePatternError)


def test_versions_sort_as_the_specification_says() -> None:
    ordered = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1"]
    assert [version.text for version in sorted(semver.Semver(text) for text in reversed(ordered))] == ordered
    assert semver.Semver("1.0.0+a") == semver.Semver("1.0.0+b")


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("a", "a"),
        ("a-b", "a__dash__b"),
        ("a.b", "a__dot__b"),
        ("a/b", "a__slash__b"),
        ("a__b", "a__underscores__b"),
        ("in", "__in__"),
        ("a b", None),
        ("", None),
    ],
)
def test_names_of_fields_are_escaped(name: str, escaped: str | None) -> None:
    assert values.escape(name) == escaped


#: The engine cuts text at a NUL.
TEXT = st.characters(codec="utf-8", exclude_characters="\0")
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(TEXT, max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(TEXT, max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(value=PLAIN)
@settings(max_examples=60)
def test_plain_data_survives_the_engine(value: Any) -> None:
    assert evaluated("self", self=value) == value


@given(text=st.text(max_size=40))
@settings(max_examples=60)
def test_any_text_is_an_expression_or_an_error(text: str) -> None:
    program = cel.compile(text)
    assert isinstance(program, cel.CompileError) or program.eval({"self": {}}) is not object()
