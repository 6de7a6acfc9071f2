"""The authority inside the running appliance: its settings change under questions, and it is flooded."""

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import dns.edns
import pytest

from appliance.adapters.challenge_files import HISTORY
from appliance.adapters.dns import DnsServer
from tests.peers import addresses, appliance, authority, floods, unbound
from tests.peers.appliance import Appliance, MakeAppliance
from tests.unit.dns_messages import VALUE, question

REPOSITORY: Final = Path(__file__).parents[2]
APEX: Final = f"_acme-challenge.{addresses.DOMAIN}"
WITH_NSID: Final = question(APEX, payload=1232, options=(dns.edns.NSIDOption(b""),))
FLOODED_PORT: Final = 5300
PATIENCE_SECONDS: Final = 5


def settings(*, extra_zones: list[str], **more: Any) -> dict[str, Any]:
    """Settings of the namespace with these under `dns`."""
    values = appliance.settings()
    return values | {"dns": values["dns"] | {"extra_zones": extra_zones} | more}


def present(server: Appliance) -> None:
    """Present a value as an ACME client does."""
    hook(server, "present", APEX, VALUE)


def hook(server: Appliance, verb: str, name: str, value: str) -> None:
    """What an ACME client starts for a challenge."""
    environment = {**os.environ, "GATEWAY_ROOT": str(server.root)}
    subprocess.run([REPOSITORY / "hooks" / "dns01", verb, name, value], env=environment, timeout=20, check=True)


def ask(message: bytes, address: str, port: int = 53, *, source: str = "") -> bytes:
    """The answer to one question that is sent once; from `source`, if one is given."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE_SECONDS)
        sock.bind((source, 0))
        sock.sendto(message, (address, port))
        answer, answering = sock.recvfrom(2048)
        assert answering[:2] == (address, port)
        return answer


@contextmanager
def constant_questions(message: bytes, address: str, *, source: str = "") -> Iterator[list[bytes]]:
    """Ask one question after the other, each sent once, until the block ends; b"" stands for a lost one."""
    answers: list[bytes] = []
    ended = threading.Event()

    def ask_on() -> None:
        while not ended.is_set():
            try:
                answers.append(ask(message, address, source=source))
            except OSError:
                answers.append(b"")

    thread = threading.Thread(target=ask_on)
    thread.start()
    try:
        yield answers
    finally:
        ended.set()
        thread.join()


def test_zones_in_the_settings_change_without_a_lost_question(new_appliance: MakeAppliance) -> None:
    """Each edit of `dns.extra_zones` is in force within seconds, and costs nobody an answer."""
    server = new_appliance(settings(extra_zones=[], rate_limit=None)).start()
    present(server)
    with constant_questions(question(APEX), addresses.GATEWAY) as answers:
        for number in range(10):
            zone = f"z{number}.example"
            server.write_settings(settings(extra_zones=[zone], rate_limit=None))
            server.program.until(partial(_is_answered, zone), f"{zone} is answered")
            assert number == 0 or _rcode(f"z{number - 1}.example") == 5, "the zone before is refused"
            server.program.until(partial(_has_more_than, answers, 20 * number), "questions go on")
    assert all(VALUE.encode() in answer for answer in answers)


def test_limit_and_id_in_the_settings_change_without_a_lost_question(new_appliance: MakeAppliance) -> None:
    """Who lifts or lowers the limit does so under a flood: the authority must not go away for it."""
    server = new_appliance(settings(extra_zones=[], rate_limit=None)).start()
    present(server)
    process = server.pid_of("gateway")
    limit = {"per_second": 1, "slip": 1, "exempt": [addresses.BACKEND]}
    with constant_questions(question(APEX), addresses.GATEWAY, source=addresses.BACKEND) as answers:
        for number in range(3):
            server.write_settings(settings(extra_zones=[], rate_limit=limit, nsid="gateway-2"))
            server.program.until(_is_limited, "the others of this network are limited")
            assert b"gateway-2" in ask(WITH_NSID, addresses.GATEWAY, source=addresses.BACKEND)
            server.write_settings(settings(extra_zones=[], rate_limit=None, nsid=None))
            server.program.until(lambda: not _is_limited(), "nobody is limited")
            assert b"gateway-2" not in ask(WITH_NSID, addresses.GATEWAY)
            server.program.until(partial(_has_more_than, answers, 20 * number), "questions go on")
    assert all(VALUE.encode() in answer for answer in answers)
    assert server.pid_of("gateway") == process, "the control plane was not restarted"


@pytest.mark.parametrize("name", [APEX, f"retried.{APEX}"])
def test_no_cache_stands_between_a_change_and_a_resolver(new_appliance: MakeAppliance, name: str) -> None:
    """The second value of an order, and a retry, are found at once by an Unbound that keeps answers for their TTL."""
    server = new_appliance(settings(extra_zones=[])).start()
    server.program.until(lambda: unbound.resolve(APEX, "SOA").values, "the delegation is followed")
    assert unbound.resolve(name, "TXT").values == ()
    for verb, value, expected in (
        ("present", "one", {"one"}),
        ("present", "two", {"one", "two"}),
        ("cleanup", "one", {"two"}),
        ("cleanup", "two", set()),
        ("present", "three", {"three"}),
    ):
        hook(server, verb, name, value)
        found = unbound.resolve(name, "TXT")
        assert {text.strip('"') for text in found.values} == expected, f"after {verb} {value}"


def _has_more_than(answers: list[bytes], count: int) -> bool:
    return len(answers) > count


def _is_answered(zone: str) -> bool:
    return _rcode(zone) == 0


def _rcode(zone: str) -> int:
    return ask(question(zone, "SOA"), addresses.GATEWAY)[3] & 15


def _is_limited() -> bool:
    """Whether the gateway's own address is told to come over TCP (the bit TC)."""
    return any(ask(question(APEX), addresses.GATEWAY)[2] & 2 for _ in range(3))


def test_the_history_outlives_the_control_plane(new_appliance: MakeAppliance) -> None:
    """SIGKILL some seconds after a challenge: who fetched it is what an operator wants to know then."""
    server = new_appliance(settings(extra_zones=[])).start()
    present(server)
    ask(question(APEX), addresses.GATEWAY)
    stored = server.root / "state" / HISTORY
    server.program.until(lambda: "fetched" in stored.read_text(), "the history is stored", seconds=30)
    server.until_replaced("gateway", server.kill_program("gateway"))
    (entry,) = server.must("challenges")
    assert (entry["challenge"]["value"], entry["state"], entry["fetch_count"]) == (VALUE, "fetched", 1)


@pytest.mark.parametrize("kind", ["valid", "random", "garbage", "syn", "idle", "busy"])
def test_the_control_plane_answers_during_a_flood(new_appliance: MakeAppliance, kind: str) -> None:
    """Datagrams from 2000 networks, or connections: operators are told what goes on, and others are answered."""
    listen = [f"{addresses.GATEWAY}:53", f"127.0.0.1:{FLOODED_PORT}"]
    server = new_appliance(settings(extra_zones=[authority.APEX], listen=listen, nsid="gateway-1")).start()
    present(server)
    assert b"gateway-1" in ask(WITH_NSID, addresses.GATEWAY), "RFC 5001"
    flood = floods.start(kind, FLOODED_PORT, 60, 2000)
    present(server)
    told: list[dict[str, Any]] = []
    for _ in range(5):
        told.append(server.must("status")["dns"])
        assert VALUE.encode() in ask(question(APEX), addresses.GATEWAY)
    assert flood.poll() is None
    assert floods.end(flood) > 1000
    if kind in ("valid", "random"):
        _check_told(told[0], server.must("status")["dns"])


def _check_told(first: dict[str, Any], last: dict[str, Any]) -> None:
    """Whether an operator sees the flood in what `gateway status` says of DNS, at first and at last."""
    assert last["rate_limited"]["dropped"] > first["rate_limited"]["dropped"]
    assert any(line["transport"] == "udp" and line["count"] > 1000 for line in last["queries"]), last
    assert 0 < last["latency"]["udp"]["mean"] <= last["latency"]["udp"]["slowest"]


@pytest.mark.parametrize("address", addresses.IPV6[:3])
def test_a_wildcard_socket_answers_from_the_ipv6_address_that_was_asked(address: str) -> None:
    """RFC 2181 §4.1: the host has several, and the route would choose another one."""
    server = DnsServer([("::", 0)])
    server.start()
    try:
        assert ask(question(), address, server.bound[0][1])
    finally:
        server.stop()
