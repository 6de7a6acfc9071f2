"""What a forged question can have sent to somebody else: hardly more than it cost."""

import dns.edns
import dns.flags
import dns.message
import pytest

from tests.unit.dns_messages import APEX, CLIENT_COOKIE, VALUE, cookie_option, question, reply, table


@pytest.mark.parametrize(
    ("payload", "options"),
    [
        (0, ()),
        (1232, ()),
        (1232, (cookie_option(CLIENT_COOKIE),)),
        (1232, (dns.edns.NSIDOption(b""),)),
        (1232, (cookie_option(CLIENT_COOKIE), dns.edns.NSIDOption(b""))),
    ],
)
@pytest.mark.parametrize("name", [APEX, f"x.{APEX}", "example.org"])
def test_one_value_never_makes_an_answer_over_four_times_its_question(
    payload: int, options: tuple[dns.edns.Option, ...], name: str
) -> None:
    asked = table(VALUE, nsid=b"n" * 64)
    for rdtype in (*range(1, 260), 32768, 65280):
        message = question(name, payload=payload, options=options)
        at = 12 + len(name) + 2
        message = message[:at] + rdtype.to_bytes(2, "big") + message[at + 2 :]
        wire = reply(asked, message)
        assert wire is not None
        assert len(wire) <= 4 * len(message)


def test_no_datagram_is_above_1232_octets() -> None:
    for count in range(0, 200, 3):
        asked = table(*(f"{number:0255}" for number in range(count)))
        for payload in (0, 1232, 65535):
            wire = reply(asked, question(payload=payload))
            assert wire is not None
            assert len(wire) <= 1232


@pytest.mark.parametrize(("payload", "edns"), [(0, -1), (1232, 0)])
def test_a_rate_limited_question_gets_tc_and_not_an_octet_more(payload: int, edns: int) -> None:
    """EDNS is answered with EDNS, also here (RFC 6891 §6.1.1)."""
    message = question(payload=payload, do=edns + 1)
    wire = message[:2] + table(VALUE).truncated(message)
    assert len(wire) <= len(message)
    response = dns.message.from_wire(wire)
    assert response.flags & dns.flags.TC
    assert response.edns == edns
    assert bool(response.ednsflags & dns.flags.DO) is bool(payload)
    assert response.question == dns.message.from_wire(message).question
    assert table(VALUE).truncated(b"\0" * 12) == b""
