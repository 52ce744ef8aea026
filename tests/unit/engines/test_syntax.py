"""The syntax of names, formats, addresses, URLs and schedules."""

from __future__ import annotations

import ipaddress
import string
import time

import pytest
from harness.engines import formats, names, network
from harness.engines.report import is_elided
from harness.engines.validation.cron import schedule_error
from hypothesis import given, settings
from hypothesis import strategies as st

SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"
)


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        pytest.param(names.dns1123_label, ["a", "0", "a-b", "x" * 63], ["", "A", "-a", "a-", "a.b", "a_b", "é", "x" * 64], id="label"),
        pytest.param(
            names.dns1123_subdomain, ["a", "a.b", "0.a-b", ".".join(["x" * 63] * 3)], ["", ".", "a..b", "a.", "A.b", "a.-b", "x" * 254], id="subdomain"
        ),
        pytest.param(names.dns1123_subdomain_with_underscore, ["_a.b", "a_b"], ["a.", "A"], id="subdomain-with-underscore"),
        pytest.param(names.wildcard_dns1123_subdomain, ["*.a", "*.a.b"], ["*", "a", "*.*.a", "*.A", "a.*"], id="wildcard"),
        pytest.param(names.dns1035_label, ["a", "a-0"], ["0", "a.b", "A", "-a"], id="label-1035"),
        pytest.param(names.qualified_name, ["a", "A_b.c", "a.b/C", "x" * 63], ["", "a/b/c", "/a", "a/", "A/b", "a b", "x" * 64, "-a"], id="qualified-name"),
        pytest.param(names.label_value, ["", "a", "A.b_c-0"], ["-", "a b", ".a", "x" * 64, "é"], id="label-value"),
        pytest.param(names.path_segment, ["a", "A:b", ""], [".", "..", "a/b", "a%b"], id="path-segment"),
        pytest.param(names.port_name, ["a", "http", "a-1", "1a"], ["", "1", "a--b", "-a", "HTTP", "x" * 16], id="port"),
        pytest.param(names.config_key, ["a", "A_b-c.d", "..a".removeprefix("..")], ["", ".", "..", "..a", "a/b", "x" * 254], id="config-key"),
        pytest.param(names.env_name, ["A", "a.b-c", "1", " a"], ["", "a=b", "é", "a\n"], id="environment"),
        pytest.param(names.percent, ["0%", "100%"], ["", "%", "1", "-1%", "1.5%", "\uff11%"], id="percent"),
        pytest.param(names.http_header, ["X-A"], ["", "a b", "a_b"], id="header"),
        pytest.param(names.domain_prefixed_path, ["a.b/c", "a/b/c"], ["a", "/a", "a/", "A/b", "a/ "], id="domain-prefixed-path"),
    ],
)
def test_names(check: names.Check, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if check(text)] == []
    assert [text for text in bad if not check(text)] == []


def test_messages_of_names() -> None:
    assert names.dns1123_label("a.b") == ["must not contain dots"]
    assert names.dns1123_subdomain("A" * 254) == ["must be no more than 253 characters", SUBDOMAIN]
    assert names.qualified_name("A/b") == [f"prefix part {SUBDOMAIN}"]
    assert names.qualified_name("/b") == ["prefix part must be non-empty"]


def test_the_name_that_a_prefix_will_become_is_checked() -> None:
    assert [names.mask_trailing_dash(text) for text in ("a-", "ab-", "a", "-")] == ["a", "aa", "a", "-"]


@given(text=st.text(string.ascii_lowercase + string.digits + "-.", max_size=12))
@settings(max_examples=60)
def test_a_label_is_a_subdomain_without_dots(text: str) -> None:
    assert (not names.dns1123_label(text)) is (not names.dns1123_subdomain(text) and "." not in text)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date", ["2024-02-29", "0000-01-01"], ["2023-02-29", "2024-1-1", "2024-13-01"]),
        ("date-time", ["2024-01-01T00:00:00Z", "2024-01-01t00:00:00.5+01:00"], ["2024-01-01", "2024-01-01T24:00:00Z", "2024-01-01 00:00:00Z"]),
        ("duration", ["1h30m", "0", "-1.5s", "2 days", "1w"], ["", "h", "one hour"]),
        ("byte", ["aGk=", "aGkh"], ["", "aGk", "%%%%", "aGk=\n"]),
        ("ipv4", ["1.2.3.4"], ["1.2.3", "::1", "01.2.3.4"]),
        ("ipv6", ["::1", "2001:db8::1", "fe80::1%eth0"], ["1.2.3.4", ":::"]),
        ("cidr", ["10.0.0.0/8", "::/0"], ["10.0.0.0", "10.0.0.0/33"]),
        ("uri", ["https://a/b", "/a", "mailto:a@b"], ["a b", "", "http://[::1"]),
        ("hostname", ["a.b", "localhost"], ["", "a b", "a/b", "x" * 256]),
        ("email", ["a@b.c", "A B <a@b>"], ["a", "@b", "a@"]),
        ("uuid", ["123e4567-e89b-12d3-a456-426614174000", "123E4567e89b12d3a456426614174000"], ["123", "g23e4567-e89b-12d3-a456-426614174000"]),
        ("k8s-short-name", ["a-b"], ["A", "a.b"]),
        ("k8s-long-name", ["a.b"], ["a..b", "A"]),
    ],
)
def test_formats(name: str, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not formats.is_valid(name, text)] == []
    assert [text for text in bad if formats.is_valid(name, text)] == []


def test_formats_nobody_checks() -> None:
    assert formats.is_valid("int32", "anything")


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("2024-01-01T00:00:00Z", True), ("2024-01-01T00:00:00.123456+05:30", True), ("2024-01-01t00:00:00Z", False), ("2024-02-30T00:00:00Z", False),
        ("2024-01-01T00:00:00", False), ("", False),
    ],
)  # fmt: skip
def test_times_as_go_reads_them(text: str, valid: bool) -> None:
    assert formats.is_go_time(text) is valid


@pytest.mark.parametrize(("text", "valid"), [("", True), ("aGk=", True), ("aG\nk=", True), ("aGk", False), ("aGk=x", False), ("a-_=", False)])
def test_base64_as_go_reads_it(text: str, valid: bool) -> None:
    assert formats.is_go_base64(text) is valid


@pytest.mark.parametrize("text", ["1.2.3.4", "::1", "2001:db8::"])
def test_addresses(text: str) -> None:
    assert network.parse_ip(text) == ipaddress.ip_address(text)


@pytest.mark.parametrize("text", ["", "1.2.3", "01.2.3.4", "fe80::1%eth0", "::ffff:1.2.3.4", "x"])
def test_what_is_no_address(text: str) -> None:
    assert not network.is_valid(network.parse_ip, text)


@pytest.mark.parametrize("text", ["", "10.0.0.0", "10.0.0.0/08", "10.0.0.0/-1", "10.0.0.0/33", "::/129", "/8"])
def test_what_is_no_network(text: str) -> None:
    assert not network.is_valid(network.parse_cidr, text)


@given(address=st.ip_addresses(), bits=st.integers(0, 32))
@settings(max_examples=60)
def test_networks_contain_what_their_addresses_say(address: ipaddress.IPv4Address | ipaddress.IPv6Address, bits: int) -> None:
    if isinstance(address, ipaddress.IPv6Address) and (address.ipv4_mapped or address.scope_id):
        return
    inner, outer = network.parse_cidr(f"{address}/{address.max_prefixlen}"), network.parse_cidr(f"{address}/{bits}")
    assert network.contains_network(outer, inner)
    assert network.contains_network(inner, outer) is (bits == address.max_prefixlen)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("https://u:p@a.b:8443/x/y?k=v#f", ("https", "a.b:8443", "a.b", "8443", "/x/y", "k=v")),
        ("HTTP://[::1]:80", ("http", "[::1]:80", "::1", "80", "", "")),
        ("/a?b", ("", "", "", "", "/a", "b")),
        ("mailto:a@b", ("mailto", "", "", "", "", "")),
    ],
)
def test_parts_of_urls(text: str, parts: tuple[str, ...]) -> None:
    url = network.URL(text)
    assert (url.scheme, url.host, url.hostname, url.port, url.path, url.query) == parts


@pytest.mark.parametrize("text", ["", "a", "a/b", ":a", "http://a:b", "http://a b", "http://[x]", "/%zz", "a\x00b", "1a:b", "http://[::1", "http://[::1]x"])
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(ValueError, match=r"parse"):
        network.URL(text)


def test_queries_are_decoded() -> None:
    assert network.URL("/?a=1&a=x+y%21&b&c=%zz&d;e=1").query_values() == {"a": ["1", "x y!"], "b": [""]}


@pytest.mark.parametrize(
    "schedule", ["* * * * *", "*/5 1-3,7 ? jan mon", "0 0 1 1 0", "@daily", "@every 1h30m", "1-59/2 * * * SUN-sat", ",5 * * * *", "+5 * * * *", "5/15 * * * *"]
)
def test_schedules(schedule: str) -> None:
    assert schedule_error(schedule) is None


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("", "expected exactly 5 fields, found 0"),
        ("* * * *", "expected exactly 5 fields, found 4"),
        ("0 0 0 * *", "day of month: beginning of range (0) below minimum (1): 0"),
        ("* 24 * * *", "hour: end of range (24) above maximum (23): 24"),
        ("* * * * 7", "day of week: end of range (7) above maximum (6): 7"),
        ("5-1 * * * *", "minute: beginning of range (5) beyond end of range (1): 5-1"),
        ("*/0 * * * *", "minute: step of range should be a positive number: */0"),
        ("1-2-3 * * * *", "minute: too many hyphens: 1-2-3"),
        ("1/2/3 * * * *", "minute: too many slashes: 1/2/3"),
        ("x * * * *", "minute: failed to parse int from x"),
        ("@often", "unrecognized descriptor"),
        ("@every day", "failed to parse duration"),
        ("CRON_TZ=UTC * * * * *", "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"),
    ],
)
def test_what_is_no_schedule(schedule: str, message: str) -> None:
    assert schedule_error(schedule) == message


@given(text=st.text("0123456789*/-,? @jansuevrydil", max_size=14))
@settings(max_examples=60)
def test_any_text_gets_an_answer(text: str) -> None:
    answer = schedule_error(text)
    assert answer is None or answer


@pytest.mark.parametrize(
    ("text", "elided"),
    [
        (f"sha256:{'0' * 16}", True), (f"sha256:{'f' * 64}", True), ("sha256:0", False), (f"sha256:{'g' * 16}", False), (f"x@sha256:{'0' * 64}", False),
        (1, False), (None, False),
    ],
)  # fmt: skip
def test_text_that_stands_for_other_text(text: object, elided: bool) -> None:
    assert is_elided(text) is elided


@pytest.mark.parametrize("unit", ["a", "a.", "a-", "-", ".", "0", "1.", "ab==", "1h", "*/", " ", "é", "%25", ":", "[", "A/"])
def test_no_text_takes_long(unit: str) -> None:
    text = unit * 50_000 + "!"
    checks = [
        names.dns1123_label, names.dns1123_subdomain, names.dns1123_subdomain_with_underscore, names.wildcard_dns1123_subdomain, names.dns1035_label,
        names.qualified_name, names.label_value, names.port_name, names.config_key, names.env_name, names.domain_prefixed_path, schedule_error,
        formats.is_go_time, formats.is_go_base64, *formats.CHECKS.values(),
    ]  # fmt: skip
    start = time.process_time()
    for check in checks:
        check(text)
    assert time.process_time() - start < 3
