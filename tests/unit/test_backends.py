"""Where a workload's traffic may go, and where it never may."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.model import backends
from appliance.model.backends import Backend, BackendPolicy
from appliance.model.errors import InvalidInput, Refused

TERMINATED, PASSTHROUGH = False, True
OPEN = BackendPolicy()


@pytest.mark.parametrize(
    ("text", "passthrough", "expected", "shown"),
    [
        ("http://10.1.2.3", TERMINATED, Backend("http", "10.1.2.3", 80), "http://10.1.2.3:80"),
        ("http://10.1.2.3:9000", TERMINATED, Backend("http", "10.1.2.3", 9000), "http://10.1.2.3:9000"),
        ("http://10.1.2.3:9000/", TERMINATED, Backend("http", "10.1.2.3", 9000), "http://10.1.2.3:9000"),
        ("HTTP://10.1.2.3", TERMINATED, Backend("http", "10.1.2.3", 80), "http://10.1.2.3:80"),
        ("https://10.1.2.3", TERMINATED, Backend("https", "10.1.2.3", 443), "https://10.1.2.3:443"),
        ("https://10.1.2.3:8443", TERMINATED, Backend("https", "10.1.2.3", 8443), "https://10.1.2.3:8443"),
        ("http://[2001:DB8:0::1]", TERMINATED, Backend("http", "2001:db8::1", 80), "http://[2001:db8::1]:80"),
        ("https://[2001:db8::1]:1", TERMINATED, Backend("https", "2001:db8::1", 1), "https://[2001:db8::1]:1"),
        ("http://app.internal:65535", TERMINATED, Backend("http", "app.internal", 65535), "http://app.internal:65535"),
        ("http://App", TERMINATED, Backend("http", "app", 80), "http://app:80"),
        ("https://10.1.2.3:443", PASSTHROUGH, Backend("https", "10.1.2.3", 443), "https://10.1.2.3:443"),
        ("10.1.2.3:443", PASSTHROUGH, Backend(None, "10.1.2.3", 443), "10.1.2.3:443"),
        ("[2001:db8::1]:443", PASSTHROUGH, Backend(None, "2001:db8::1", 443), "[2001:db8::1]:443"),
        ("app.internal:443", PASSTHROUGH, Backend(None, "app.internal", 443), "app.internal:443"),
    ],
)
def test_every_allowed_form_is_read(text: str, passthrough: bool, expected: Backend, shown: str) -> None:
    assert backends.parse(text, tls_passthrough=passthrough) == expected
    assert str(expected) == shown
    assert backends.parse(shown, tls_passthrough=passthrough) == expected


@pytest.mark.parametrize(
    ("text", "passthrough", "message"),
    [
        ("", TERMINATED, "is not of the form http://ip:port or https://ip:port"),
        ("10.1.2.3:9000", TERMINATED, "has no scheme: write http://ip:port or https://ip:port"),
        ("10.1.2.3", TERMINATED, "has no scheme"),
        ("tcp://10.1.2.3:80", TERMINATED, "has the scheme 'tcp'"),
        ("ftp://10.1.2.3:80", PASSTHROUGH, "has the scheme 'ftp': write https://ip:port or ip:port"),
        ("http://10.1.2.3:443", PASSTHROUGH, "must speak TLS: write https://ip:port or ip:port"),
        ("https://10.1.2.3", PASSTHROUGH, "has no port"),
        ("10.1.2.3", PASSTHROUGH, "has no port"),
        ("http://10.1.2.3:0", TERMINATED, "has the port 0"),
        ("http://10.1.2.3:65536", TERMINATED, "has the port 65536"),
        ("http://10.1.2.3:123456", TERMINATED, "is not of the form"),
        ("http://10.1.2.3:http", TERMINATED, "is not of the form"),
        ("http://10.1.2.3:", TERMINATED, "is not of the form"),
        ("http://10.1.2.3/path", TERMINATED, "no path, user or query"),
        ("http://10.1.2.3?x", TERMINATED, "no path, user or query"),
        ("http://10.1.2.3#x", TERMINATED, "no path, user or query"),
        ("http://user@10.1.2.3", TERMINATED, "no path, user or query"),
        ("http://user:word@10.1.2.3", TERMINATED, "no path, user or query"),
        ("http://10.1.2", TERMINATED, "has no valid IP address"),
        ("http://2130706433", TERMINATED, "has no valid IP address"),
        ("http://010.1.2.3", TERMINATED, "has no valid IP address"),
        ("http://10.1.2.3.", TERMINATED, "has no valid IP address"),
        ("http://0x7f.0.0.1", TERMINATED, "ends in a number"),
        ("http://2001:db8::1", TERMINATED, "is not of the form"),
        ("http://[2001:db8::1", TERMINATED, "is not of the form"),
        ("http://[fe80::1%eth0]", TERMINATED, "without a zone"),
        ("http://[10.1.2.3]", TERMINATED, "IPv4 without brackets"),
        ("http://[]", TERMINATED, "no valid IPv6 address in its brackets"),
        ("http://[app.internal]", TERMINATED, "no valid IPv6 address in its brackets"),
        ("http://app_1", TERMINATED, "letters, digits and hyphens"),
        ("http://a`b", TERMINATED, "letters, digits and hyphens"),
        ("http://{{env}}", TERMINATED, "letters, digits and hyphens"),
        ("http://10.1.2.3\n", TERMINATED, "a label is"),
        (" http://10.1.2.3", TERMINATED, "is not of the form"),
        ("http://" + "a" * 400, TERMINATED, "is not of the form"),
    ],
)
def test_every_other_form_is_refused_with_the_right_one(text: str, passthrough: bool, message: str) -> None:
    with pytest.raises(InvalidInput, match=message.replace("?", r"\?")):
        backends.parse(text, tls_passthrough=passthrough)


@given(st.text(max_size=60) | st.from_regex(r"(http|https|tcp)://[0-9a-f.:\[\]%@/-]{0,40}"), st.booleans())
def test_no_text_fails_in_any_other_way(text: str, passthrough: bool) -> None:
    try:
        found = backends.parse(text, tls_passthrough=passthrough)
    except InvalidInput:
        return
    assert backends.parse(str(found), tls_passthrough=passthrough) == found


ORDINARY = ["10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "203.0.113.99", "2001:db8::99", "fd00::1"]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_addresses_are_allowed(text: str) -> None:
    OPEN.check_address(ipaddress.ip_address(text), text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.0.0.0", "this-network"),
        ("0.1.2.3", "this-network"),
        ("127.0.0.1", "backends.allow_loopback"),
        ("127.255.255.254", "backends.allow_loopback"),
        ("169.254.169.254", "cloud metadata"),
        ("169.254.0.1", "link-local"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("::", "unspecified"),
        ("::1", "backends.allow_loopback"),
        ("fe80::1", "link-local"),
        ("febf::1", "link-local"),
        ("fd00:ec2::254", "cloud metadata"),
        ("ff02::1", "multicast"),
        ("::ffff:127.0.0.1", "backends.allow_loopback"),
        ("::ffff:169.254.169.254", "cloud metadata"),
        ("::ffff:0.0.0.0", "this-network"),
        ("::127.0.0.1", "backends.allow_loopback"),
        ("::169.254.169.254", "cloud metadata"),
        ("64:ff9b::7f00:1", "backends.allow_loopback"),
        ("64:ff9b::169.254.169.254", "cloud metadata"),
        ("2002:a9fe:a9fe::1", "cloud metadata"),
        ("2002:7f00:1::", "backends.allow_loopback"),
    ],
)
def test_no_form_of_a_forbidden_address_is_allowed(text: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        OPEN.check_address(ipaddress.ip_address(text), text)
    everything = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
    with pytest.raises(Refused, match=message):
        BackendPolicy(allow=everything).check_address(ipaddress.ip_address(text), text)


def policy(*, allow: tuple[str, ...] = (), deny: tuple[str, ...] = (), allow_loopback: bool = False) -> BackendPolicy:
    return BackendPolicy(
        own=frozenset({ipaddress.ip_address("203.0.113.10"), ipaddress.ip_address("2001:db8::10")}),
        broker=frozenset({ipaddress.ip_address("10.0.0.6")}),
        allow_loopback=allow_loopback,
        allow=tuple(map(ipaddress.ip_network, allow)),
        deny=tuple(map(ipaddress.ip_network, deny)),
    )


@pytest.mark.parametrize(
    ("rules", "address", "message"),
    [
        (policy(), "203.0.113.10", "the gateway's own address"),
        (policy(), "::ffff:203.0.113.10", "the gateway's own address"),
        (policy(), "64:ff9b::203.0.113.10", "the gateway's own address"),
        (policy(), "2001:db8::10", "the gateway's own address"),
        (policy(), "10.0.0.6", "the message bus"),
        (policy(), "::ffff:10.0.0.6", "the message bus"),
        (policy(allow=("203.0.113.0/24",)), "203.0.113.10", "the gateway's own address"),
        (policy(deny=("10.9.0.0/16",)), "10.9.1.1", "`backends.deny` lists it"),
        (policy(deny=("10.9.0.0/16",)), "::ffff:10.9.1.1", "`backends.deny` lists it"),
        (policy(allow=("10.0.0.0/8",), deny=("10.9.0.0/16",)), "10.9.1.1", "`backends.deny` lists it"),
        (policy(allow=("10.0.0.0/8",)), "192.168.1.1", "`backends.allow` does not list it"),
        (policy(allow=("10.0.0.0/8",)), "2001:db8::99", "`backends.allow` does not list it"),
        (policy(allow_loopback=True), "169.254.169.254", "cloud metadata"),
        (policy(allow_loopback=True, deny=("127.0.0.0/8",)), "127.0.0.1", "`backends.deny` lists it"),
    ],
)
def test_the_operators_rules_refuse_with_the_setting(rules: BackendPolicy, address: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        rules.check_address(ipaddress.ip_address(address), address)


@pytest.mark.parametrize(
    ("rules", "address"),
    [
        (policy(allow=("10.0.0.0/8",)), "10.1.2.3"),
        (policy(allow=("10.0.0.0/8",)), "::ffff:10.1.2.3"),
        (policy(deny=("10.9.0.0/16",)), "10.1.2.3"),
        (policy(allow_loopback=True), "127.0.0.1"),
        (policy(allow_loopback=True), "::1"),
    ],
)
def test_what_the_operators_rules_leave_open_is_allowed(rules: BackendPolicy, address: str) -> None:
    rules.check_address(ipaddress.ip_address(address), address)


def test_host_names_need_the_operators_leave() -> None:
    backend = backends.parse("http://app.internal", tls_passthrough=False)
    with pytest.raises(Refused, match=r"backends.allow_hostnames: true"):
        OPEN.check(backend)
    BackendPolicy(allow_hostnames=True).check(backend)


@given(st.ip_addresses())
def test_an_address_is_judged_alike_in_every_wrapping(address: backends.Address) -> None:
    if isinstance(address, ipaddress.IPv4Address) and int(address) >> 16:
        for wrapped in (f"::ffff:{address}", f"::{address}", f"64:ff9b::{address}"):
            assert backends.unwrapped(ipaddress.ip_address(wrapped)) == address
    assert backends.unwrapped(backends.unwrapped(address)) == backends.unwrapped(address)
