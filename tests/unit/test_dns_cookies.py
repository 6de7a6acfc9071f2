"""Cookies (RFC 7873): whose address is no forgery."""

import struct

import dns.rcode
import pytest

from appliance.adapters.dns.cookies import Cookies
from tests.unit.dns_messages import (
    CLIENT,
    CLIENT_COOKIE,
    OPT,
    QUESTION,
    VALUE,
    cookie_option,
    header,
    parsed,
    question,
    table,
)


def test_a_client_cookie_gets_a_server_cookie_that_is_valid_from_there() -> None:
    cookies = Cookies()
    asked = table(VALUE, cookies=cookies)
    (option,) = parsed(asked, question(payload=1232, options=(cookie_option(CLIENT_COOKIE),))).options
    given = option.to_wire()
    assert given[:8] == CLIENT_COOKIE
    assert cookies.is_ours(given, CLIENT)
    assert not cookies.is_ours(given, b"\x7f\0\0\1")
    assert not cookies.is_ours(CLIENT_COOKIE, CLIENT)
    assert not Cookies().is_ours(given, CLIENT)


@pytest.mark.parametrize(
    ("later", "is_ours"),
    [(0, True), (3600, True), (3601, False), (-300, True), (-301, False)],
)
def test_a_server_cookie_is_good_for_an_hour(later: int, is_ours: bool) -> None:
    """And for clocks that were set back by five minutes (RFC 9018 §4.3)."""
    now = [1_800_000_000.0]
    cookies = Cookies(lambda: now[0])
    (option,) = parsed(
        table(VALUE, cookies=cookies), question(payload=1232, options=(cookie_option(CLIENT_COOKIE),))
    ).options
    now[0] += later
    assert cookies.is_ours(option.to_wire(), CLIENT) is is_ours


def test_a_wrong_server_cookie_is_answered_with_a_fresh_one() -> None:
    sent = CLIENT_COOKIE + b"\1" * 16
    response = parsed(table(VALUE), question(payload=1232, options=(cookie_option(sent),)))
    assert response.rcode() == dns.rcode.NOERROR
    assert response.options[0].to_wire()[8:] != sent[8:]


@pytest.mark.parametrize("size", [0, 7, 9, 15, 41])
def test_a_cookie_of_no_possible_length_is_formerr(size: int) -> None:
    message = header(0, 1, 0, 0, 1) + QUESTION + OPT[:-2] + struct.pack("!HHH", size + 4, 10, size) + b"c" * size
    assert parsed(table(VALUE), message).rcode() == dns.rcode.FORMERR


def test_a_cookie_alone_may_be_asked_for() -> None:
    """Without a question (RFC 7873 §5.4)."""
    message = header(0, 0, 0, 0, 1) + OPT[:-2] + struct.pack("!HHH", 12, 10, 8) + CLIENT_COOKIE
    response = parsed(table(VALUE), message)
    assert response.rcode() == dns.rcode.NOERROR
    assert len(response.options) == 1
