"""What the authority gives to whom, under more questions than it should answer: limits, cookies, shares."""

import socket

import dns.edns
import dns.flags
import dns.message
import pytest

from appliance.model.rate_limits import Budget, RateLimit
from tests.contract.servers import APEX, TIMEOUT, ZONES, connected, framed, read_frames, running, tcp, udp, values_of
from tests.unit.dns_messages import header, question


def test_a_prefix_over_its_share_is_sent_to_tcp_and_counted() -> None:
    with running(RateLimit(per_second=1, slip=1)) as server:
        server.set_zones(ZONES)
        server.publish(1, {APEX: ("v",)})
        flags = [udp(server, dns.message.make_query(APEX, "TXT")).flags & dns.flags.TC for _ in range(5)]
        assert any(flags)
        assert values_of(tcp(server, dns.message.make_query(APEX, "TXT"))) == ("v",)
        assert server.counters().rate_limited["slipped"] == sum(map(bool, flags))


def test_a_network_has_one_share_whichever_address_it_asks() -> None:
    """Of three tries one at least lies within a second."""
    truncated = []
    for _ in range(3):
        with running(RateLimit(per_second=2, slip=1), addresses=("127.0.0.1", "127.0.0.2")) as server:
            server.set_zones(ZONES)
            flags = [udp(server, dns.message.make_query(APEX, "TXT"), at).flags & dns.flags.TC for at in (0, 1) * 4]
            truncated.append(sum(map(bool, flags)))
            assert server.counters().rate_limited["slipped"] == truncated[-1]
    assert max(truncated) == 8 - 2


def test_limit_and_id_change_while_it_answers() -> None:
    asked = dns.message.make_query(APEX, "SOA", use_edns=0, options=[dns.edns.NSIDOption(b"")])
    with running() as server:
        server.set_zones(ZONES)
        server.configure(rate_limit=RateLimit(per_second=1, slip=1), nsid=b"gateway-2")
        assert any(udp(server, asked).flags & dns.flags.TC for _ in range(5))
        assert [option.to_wire() for option in tcp(server, asked).options] == [b"gateway-2"]
        server.configure(rate_limit=None, nsid=None)
        answers = [udp(server, asked) for _ in range(20)]
        assert not any(answer.flags & dns.flags.TC or answer.options for answer in answers)


def test_what_was_counted_stays_when_the_same_limit_is_set_again() -> None:
    limit = RateLimit(per_second=1, slip=1)
    with running(limit) as server:
        server.set_zones(ZONES)
        truncated = 0
        for _ in range(10):
            server.configure(rate_limit=limit, nsid=None)
            truncated += bool(udp(server, dns.message.make_query(APEX, "SOA")).flags & dns.flags.TC)
        assert truncated


def with_cookie(cookie: bytes) -> dns.message.Message:
    option = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, cookie)
    return dns.message.make_query(APEX, "TXT", use_edns=0, options=[option])


def test_who_shows_a_cookie_from_here_is_not_limited() -> None:
    """Its address is no forgery (RFC 7873 §5.2.5); a cookie that was made up proves nothing."""
    with running(RateLimit(per_second=1, slip=1)) as server:
        server.set_zones(ZONES)
        server.publish(1, {APEX: ("v",)})
        given = tcp(server, with_cookie(b"clientck")).options[0].to_wire()
        assert [values_of(udp(server, with_cookie(given))) for _ in range(20)] == [("v",)] * 20
        made_up = given[:-8] + bytes(8)
        assert any(udp(server, with_cookie(made_up)).flags & dns.flags.TC for _ in range(5))


def test_cookies_have_a_share_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client with a true address can flood, too."""
    monkeypatch.setattr("appliance.adapters.dns.udp.Budget", lambda _: Budget(0))
    with running(RateLimit(per_second=1, slip=1)) as server:
        server.set_zones(ZONES)
        given = tcp(server, with_cookie(b"clientck")).options[0].to_wire()
        assert any(udp(server, with_cookie(given)).flags & dns.flags.TC for _ in range(5))


@pytest.mark.parametrize("is_limited", [True, False])
def test_names_that_do_not_exist_have_a_share_where_answers_are_limited(
    monkeypatch: pytest.MonkeyPatch, is_limited: bool
) -> None:
    """A flood of them is left without answers, and what exists is found all the same."""
    monkeypatch.setattr("appliance.adapters.dns.udp.Budget", lambda _: Budget(0))
    with running(RateLimit() if is_limited else None) as server, socket.socket(type=socket.SOCK_DGRAM) as sock:
        server.set_zones(ZONES)
        server.publish(1, {APEX: ("v",)})
        sock.settimeout(TIMEOUT)
        answered = [1, 2, 3] if not is_limited else [3]
        for count in (1, 2, 3):  # the later ones are known not to exist, and left out sooner
            for message in (question(f"x.{APEX}", id=1), question(f"x.{APEX}", payload=1232, id=2), question(id=3)):
                sock.sendto(message, server.bound[0])
            assert [int.from_bytes(sock.recv(512)[:2]) for _ in answered] == answered
            assert server.counters().rate_limited["dropped"] == (3 - len(answered)) * count


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_messages_for_the_slow_parser_have_a_share(monkeypatch: pytest.MonkeyPatch, transport: str) -> None:
    """Beyond it they get silence, and plain questions their answers."""
    monkeypatch.setattr(f"appliance.adapters.dns.{transport}.Budget", lambda _: Budget(0))
    with running() as server:
        server.set_zones(ZONES)
        odd, plain = header(0x2000, 0, 0, 0, 0), question(id=9)
        if transport == "tcp":
            with connected(server) as sock:
                sock.sendall(framed(odd, plain))
                assert read_frames(sock, 1)[0][:2] == b"\0\x09"
        else:
            with socket.socket(type=socket.SOCK_DGRAM) as sock:
                sock.settimeout(TIMEOUT)
                for message in (odd, plain):
                    sock.sendto(message, server.bound[0])
                assert sock.recv(512)[:2] == b"\0\x09"
        assert server.counters().rate_limited["dropped"] == 1


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_what_gets_no_answer_takes_nobodys_share(monkeypatch: pytest.MonkeyPatch, transport: str) -> None:
    """Responses and stumps: they are neither odd questions nor dropped ones."""
    monkeypatch.setattr(f"appliance.adapters.dns.{transport}.Budget", lambda _: Budget(1))
    with running() as server:
        odd, silent = header(0x2000, 0, 0, 0, 0), (b"x", header(0x8000, 0, 0, 0, 0), header(0x8000, 1, 0, 0, 0))
        if transport == "tcp":
            with connected(server) as sock:
                sock.sendall(framed(*silent, odd))
                assert read_frames(sock, 1)[0][:2] == odd[:2]
        else:
            with socket.socket(type=socket.SOCK_DGRAM) as sock:
                sock.settimeout(TIMEOUT)
                for message in (*silent, odd):
                    sock.sendto(message, server.bound[0])
                assert sock.recv(512)[:2] == odd[:2]
        assert server.counters().rate_limited["dropped"] == 0
