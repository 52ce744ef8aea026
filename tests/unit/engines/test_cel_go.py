"""Where implementations of CEL differ: what cel-go does. Every verdict here was also asked of Kyverno 1.19's command line."""

from __future__ import annotations

from typing import Any

import pytest
from harness.engines import cel
from harness.engines.cel.data import Message
from harness.engines.policy.mutate_steps import message_types

OBJECT: dict[str, Any] = {
    "kind": "Pod",
    "metadata": {"name": "p", "labels": {"a": "b"}},
    "spec": {"hostNetwork": True, "n": 30, "x": 1.5, "containers": [{"name": "a", "image": "nginx", "r": {"limits": {"memory": "1Gi"}}}, {"name": "b"}]},
}
NAMES = ("object", "oldObject", "other")


def outcome(expression: str) -> Any:
    """The value, ``error: …``, or ``no: …`` for what does not compile."""
    program = cel.compile(expression, NAMES)
    if isinstance(program, cel.CompileError):
        return f"no: {program.message}"
    value = program.eval({"object": OBJECT, "oldObject": None, "other": {"a": "b"}})
    return f"error: {value.message}" if isinstance(value, cel.EvalError) else value


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # errors are absorbed
        ("true || object.x == 1", True),
        ("object.x == 1 || true", True),
        ("object.x == 1 && false", False),
        ("object.x == 1 || false", "error: no such key: x"),
        ("object.spec.containers.exists(c, c.nosuch == 'x' || c.name == 'b')", True),
        ("object.spec.containers.exists(c, c.image == 'nginx')", True),
        ("object.spec.containers.all(c, c.image == 'x')", False),
        ("object.spec.containers.all(c, c.nosuch == 'x')", "error: no such key: nosuch"),
        ("object.spec.containers.exists_one(c, c.image == 'nginx')", "error: no such key: image"),
        ("object.spec.n || true", True),
        ("object.spec.hostNetwork && object.spec.n", "error: no such overload"),
        ("cel.bind(x, 1 / 0, true)", True),
        ("true ? 1 : object.x", 1),
        # presence
        ("has(object.metadata.name.x)", False),
        ("has(object.metadata.nosuch.x)", "error: no such key: nosuch"),
        ("has(object.metadata.?nosuch.x)", False),
        ("object.metadata.name.?foo.hasValue()", False),
        ("object.spec.hostNetwork.x", "error: no such key: x"),
        ("oldObject.x", "error: no such key: x"),
        ("has(oldObject.x)", False),
        # optional values
        ("object.metadata.?labels.a.orValue('')", "b"),
        ("object.metadata.?nosuch.a.b.c.orValue('z')", "z"),
        ("object.metadata.name.orValue('y')", "p"),
        ("object.metadata.?annotations == optional.none()", True),
        ("object.metadata.?annotations == null", False),
        ("optional.of(1) == optional.of(1)", True),
        ("optional.none().orValue(object.x)", "error: no such key: x"),
        ("optional.of(1).orValue(object.x)", 1),
        ("[optional.of(1), optional.none()].unwrapOpt()", [1]),
        ("[1, 2].first().orValue(0) + [1, 2].last().orValue(0)", 3),
        ("optional.ofNonZeroValue('').hasValue()", False),
        ("{?'a': optional.none(), 'b': 1}", {"b": 1}),
        ("optional.none()", "error: optional.none() dereference"),
        # numbers
        ("9223372036854775807 + 1", "error: integer overflow"),
        ("-9223372036854775808 == -9223372036854775808", True),
        ("9223372036854775808", "no: 1:1: Syntax error: invalid int literal"),
        ("5 / 2 == 2 && -5 / 2 == -2 && -5 % 3 == -2", True),
        ("1 / 0", "error: division by zero"),
        ("1 % 0", "error: modulus by zero"),
        ("1.0 / 0.0 > 1.0", True),
        ("0.0 / 0.0 == 0.0 / 0.0", False),
        ("0.0 / 0.0 < 1.0", "error: NaN values cannot be ordered"),
        ("dyn(1) == dyn(1.0) && dyn(1u) == dyn(1) && 1u < 1.5", True),
        ("1u == 1", "no: found no matching overload for '_==_' applied to '(uint, int)'"),
        ("object.spec.n + 1", 31),
        ("object.spec.n + 1.0", "error: no such overload"),
        ("uint(-1)", "no: invalid uint argument: unsigned integer overflow"),
        ("int(1e20)", "no: invalid int argument: integer overflow"),
        ("int('0x10')", 'no: invalid int argument: strconv.ParseInt: parsing "0x10": invalid syntax'),
        ("string(1000000.0) + ' ' + string(0.00001) + ' ' + string(123456.5) + ' ' + string(-0.0)", "1e+06 1e-05 123456.5 -0"),
        # types
        ("'1' == 1", "no: found no matching overload for '_==_' applied to '(string, int)'"),
        ("dyn('1') == dyn(1)", False),
        ("dyn(null) == dyn(1)", False),
        ("dyn(true) == dyn(1)", False),
        ("[1, 'a']", "no: expected type 'int' but found 'string' in list"),
        ("[1, dyn('a')]", "no: expected type 'int' but found 'dyn' in list"),
        ("['a', object.kind]", "no: expected type 'string' but found 'dyn' in list"),
        ("['a', other.a]", ["a", "b"]),
        ("[[], [1]].size()", 2),
        ("{'a': 1, 'b': 'c'}", "no: expected type 'int' but found 'string' in map values"),
        ("'%s has %d'.format(['x', 3])", "x has 3"),
        ("'%s %s'.format(['a'])", "no: index 1 out of range"),
        ("'%s'.format(['a', 'b'])", "no: too many arguments supplied to string.format (expected 1, got 2)"),
        ("'%d'.format([1.5])", "no: error during formatting: %d was given double"),
        ("'a'.reverse()", "no: found no matching overload for 'reverse' applied to 'string.()'"),
        ("quantity('1').sign()", "no: found no matching overload for 'sign' applied to 'kubernetes.Quantity.()'"),
        ("ip('10.0.0.1') == quantity('1')", "no: found no matching overload for '_==_' applied to '(net.IP, kubernetes.Quantity)'"),
        ("dyn(ip('10.0.0.1')) == dyn(quantity('1'))", "error: no such overload"),
        ("string(quantity('1'))", "no: found no matching overload for 'string' applied to '(kubernetes.Quantity)'"),
        ("type(ip('::1')) == net.IP", True),
        ("[1, 2].includes(2)", "no: includes() is not evaluated: a function of later versions of Kubernetes"),
        ("as == 1", "no: 1:1: Syntax error: reserved identifier: as"),
        ("object.spec.containers[5]", "error: index out of bounds: 5"),
        ("object.spec.containers['0']", "error: unsupported index type 'string' in list"),
        ("object.spec.containers[0.0].name", "a"),
        ("{1: 'a'}[dyn(1.0)] + {true: 'b'}[true]", "ab"),
        ("'a' in object.metadata.name", "error: no such overload"),
        # quantities: sums are pointers, and nothing equals a pointer
        ("quantity('50k').add(20) == quantity('50020')", True),
        ("quantity('50020') == quantity('50k').add(20)", "error: no such overload"),
        ("quantity('50k').add(20).compareTo(quantity('50020'))", 0),
        ("isQuantity('Ki') && !isQuantity('') && isQuantity('-') && !isQuantity('1.5gi')", True),
        # addresses and URLs
        ("isIP('::ffff:1.2.3.4') || isIP('fe80::1%eth0') || isIP('1.2.3.04')", False),
        ("isCIDR('1.2.3.4/032') || isCIDR('::ffff:1.2.3.4/96')", False),
        ("cidr('::/0').containsIP('1.2.3.4') || cidr('10.0.0.0/8').containsCIDR('10.0.0.0/7')", False),
        ("cidr('10.0.0.0/8').containsIP('x')", 'error: IP Address "x" parse error during conversion from string'),
        ("isURL('/a/b') && isURL('mailto:x') && !isURL('a/b') && !isURL('') && isURL('http:///x') && isURL('//a.com/x')", True),
        ("url('https://user:pw@a.com/').getHost() + url('HTTP://a.com').getScheme()", "a.comhttp"),
        ("url('https://a.com/x?k=v;b&c=%zz&d=1+2').getQuery()", {"d": ["1 2"]}),
        # text
        ("'é'.size() + bytes('é').size()", 3),
        ("'abc'.findAll('x*|b')", ["", "", "", ""]),
        ("'foo\\n'.matches('o$')", False),
        ("'a-b'.matches('^([a-z]+-?)+$') && 'é'.matches('^\\\\pL$')", True),
        ("'xabcx'.find('(a|ab)(c|bcx)(.*)')", "abcx"),
        ("'abc'.charAt(3) + 'abc'.substring(3)", ""),
        ("'abc'.substring(1, 5)", "error: index out of range: 5"),
        ("'abc'.split('', 2).join('-') + 'ab'.replace('', '-')", "a-bc-a-b-"),
        ("'%e %.3e'.format([1052.032911275, 0.00001052032911275])", "1.052033\u00d710\u2070\u00b3 1.052033\u00d710\u207b\u2070\u2075"),
        ("'%f %.2f'.format([1234567.5, 0.125])", "1,234,567.500000 0.12"),
        ("'%s'.format([[1.5, 2.0]])", "[1.500000, 2.000000]"),
        ("'%s'.format([{'a': duration('90s')}])", '{"a":duration("90s")}'),
        ("regex.extract('item-A', 'item-(\\\\w+)').value() + regex.replace('foo bar', '(fo)o (ba)r', r'\\2 \\1')", "Aba fo"),
        # time
        ("string(timestamp('2024-01-01T00:00:00.120+02:00'))", "2024-01-01T00:00:00.12+02:00"),
        ("timestamp('2024-01-01T00:00:00+02:00').getHours()", 22),
        ("timestamp('2024-01-01T00:00:00Z').getHours('+02:00')", 2),
        ("string(duration('1h1.5s')) + string(duration('-1ms')) + string(duration('1ns'))", "3601.5s-0.001s0.000000001s"),
        ("duration('1h').getMilliseconds()", 3600000),
        ("timestamp('nope')", 'no: invalid timestamp argument: parsing time "nope" as "2006-01-02T15:04:05Z07:00": cannot parse'),
        ("'a'.matches('[')", "no: invalid matches argument: Illegal regex: unterminated character set at position 0"),
        # comprehensions and lists
        ("{'a': 1}.transformMap(k, v, v + 1)", {"a": 2}),
        ("{'a': 1}.transformMapEntry(k, v, {k + 'x': v})", {"ax": 1}),
        ("[1, 2, 3].transformMapEntry(i, v, {'x': v})", "error: insert failed: key x already exists"),
        ("[3, 1].sortBy(x, -x) + [3, 1].sort() + [[1], [2]].flatten()", [3, 1, 1, 3, 1, 2]),
        ("[].sum() == 0 && [duration('1m'), duration('2m')].sum() == duration('3m')", True),
        ("[timestamp(1), timestamp(0)].min() == timestamp(0)", True),
        ("object.spec.containers.map(c, c.name).sum()", "error: no such overload"),
        ("[b'a', b'b'].max() == b'b' && [true, false].isSorted() == false", True),
        ("math.greatest(1, 2.0) + 0.5", 2.5),
        ("--1 == 1 && !!true", True),
    ],
)  # fmt: skip
def test_verdict(expression: str, expected: Any) -> None:
    result = outcome(expression)
    assert result == expected
    assert type(result) is type(expected)


def test_message_literals() -> None:
    program = cel.compile("Object{spec: Object.spec{?a: optional.none(), b: [Object.spec.b{c: 1u}]}}", (), (), message_types)
    assert isinstance(program, cel.Program)
    assert program.return_type == "MESSAGE OBJECT"
    value = program.value({})
    assert isinstance(value, Message)
    assert value.fields["spec"].name == "Object.spec"
    assert program.eval({}) == {"spec": {"b": [{"c": 1}]}}
    assert isinstance(cel.compile("Object{}"), cel.CompileError)


def test_lazy_values_are_computed_once_and_only_when_used() -> None:
    calls: list[int] = []

    def value() -> int:
        calls.append(1)
        return 2

    def failing() -> int:
        raise cel.CelError("no value")

    program = cel.compile("v.a + v.a + w", ("v", "w"))
    assert isinstance(program, cel.Program)
    assert program.eval({"v": {"a": cel.Lazy(value), "b": cel.Lazy(failing)}, "w": 1}) == 5
    assert calls == [1]
    assert program.eval({"v": {"a": 1}, "w": cel.Lazy(failing)}) == cel.EvalError("no value")


def test_functions_of_others() -> None:
    functions = (
        cel.overload("demo.twice(int) -> int", lambda number: number * 2),
        cel.overload("<string>.shout() -> string", lambda text: f"{text}!"),
        cel.overload("demo.fails() -> dyn", lambda: (_ for _ in ()).throw(ValueError("asking is not evaluated: no server"))),
    )
    extension = cel.Extension("demo", lambda: functions)
    program = cel.compile("demo.twice(4) == 8 && 'a'.shout() == 'a!'", (), (extension,))
    assert isinstance(program, cel.Program)
    assert program.eval({}) is True
    failing = cel.compile("demo.fails()", (), (extension,))
    assert isinstance(failing, cel.Program)
    assert failing.eval({}) == cel.EvalError("asking is not evaluated: no server", unsupported=True)
    absorbed = cel.compile("demo.fails() == 1 && 1 > 2", (), (extension,))
    assert isinstance(absorbed, cel.Program)
    assert absorbed.eval({}) is False


@pytest.mark.parametrize(
    ("expression", "kind"),
    [("1 == 1", "BOOL"), ("object.a", "DYN"), ("other.a", "UNKNOWN"), ("'a' + 'b'", "STRING"), ("[1]", "LIST"), ("null", "NULL"), ("[][0]", "DYN")],
)
def test_types_of_expressions(expression: str, kind: str) -> None:
    program = cel.compile(expression, NAMES)
    assert isinstance(program, cel.Program)
    assert program.return_type == kind
