"""Our authority, NSD and Knot serve the same zone: the same questions must get the same answers.

Compared: rcode, the flags AA, TC, RD, RA, whether there is an OPT and what its version and extended rcode are, and the
answer and authority sections as sets of records. Not compared: section order, what goes to the additional section,
advertised sizes, and the NS records that NSD and Knot add to positive answers.
"""

import itertools
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from appliance.adapters.dns import DnsServer
from appliance.model.zones import Zone
from tests.peers import nameservers
from tests.unit.dns_messages import RECORD, header, question

APEX = "_acme-challenge.gw.example.com"
VALUES = {
    APEX: ("x" * 43, "y" * 43, 'odd ; "value" \\'),
    f"a.b.{APEX}": ("deep",),
    f"many.{APEX}": tuple(f"{number:043}" for number in range(60)),
    f"long.{APEX}": ("z" * 255,),
}
SERIAL = 42
TIMEOUT = 5.0

NAMES = (
    APEX,
    "_ACME-chaLLenge.GW.example.COM",
    f"b.{APEX}",
    f"A.b.{APEX}",
    f"c.{APEX}",
    f"x.a.b.{APEX}",
    f"many.{APEX}",
    f"long.{APEX}",
    f"*.{APEX}",
    f"{'l' * 63}.{APEX}",
    f"\\000\\255.{APEX}",
    "gw.example.com",
    "example.org",
    "com",
    ".",
)
TYPES = ("TXT", "SOA", "NS", "A", "AAAA", "CNAME", "MX", "HINFO", "CAA", "DS", "DNSKEY", "SVCB", "TYPE65280")


class Servers(NamedTuple):
    ours: int
    nsd: int
    knot: int


def zone_file() -> str:
    """The zone as a file, the way RFC 1035 §5 writes it."""
    lines = [
        f"$ORIGIN {APEX}.",
        f"@ 60 IN SOA gw.example.com. hostmaster.gw.example.com. {SERIAL} 60 60 3600 0",
        "@ 60 IN NS gw.example.com.",
    ]
    for name, values in VALUES.items():
        for value in values:
            quoted = value.replace("\\", "\\\\").replace('"', '\\"')
            lines.append(f'{name}. 0 IN TXT "{quoted}"')
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    directory: Path = tmp_path_factory.mktemp("servers")
    zones = {APEX: zone_file()}
    ours = DnsServer([("127.0.0.1", 0)])
    ours.set_zones([Zone(APEX, "gw.example.com")])
    ours.publish(SERIAL, VALUES)
    with ExitStack() as stack:
        nsd = stack.enter_context(nameservers.nsd(directory / "nsd", zones, nameservers.free_port()))
        knot = stack.enter_context(nameservers.knot(directory / "knot", zones, nameservers.free_port()))
        ours.start()
        stack.callback(ours.stop)
        yield Servers(ours.bound[0][1], nsd, knot)


def sent(port: int, message: bytes, *, over_tcp: bool = False) -> bytes:
    """The answer to these octets; empty when there is none within the time a test can spare."""
    if over_tcp:
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as sock, sock.makefile("rb") as stream:
            sock.sendall(struct.pack("!H", len(message)) + message)
            return stream.read(struct.unpack("!H", stream.read(2))[0])
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.settimeout(TIMEOUT)
        sock.send(message)
        return sock.recv(65535)


def seen(wire: bytes) -> dict[str, object]:
    """What is compared."""
    message = dns.message.from_wire(wire)
    is_positive = bool(message.answer)
    return {
        "id": message.id,
        "question": [rrset.to_text() for rrset in message.question],
        "rcode": dns.rcode.to_text(message.rcode()),
        "flags": dns.flags.to_text(message.flags & ~(dns.flags.CD | dns.flags.AD)),
        "edns": message.edns,
        "do": bool(message.ednsflags & dns.flags.DO),
        "answer": _records(message.answer),
        "authority": [] if is_positive else _records(message.authority),
    }


def _records(section: list[dns.rrset.RRset]) -> list[str]:
    """Sorted; names in lower case, because a compressed name takes the case of the question."""
    return sorted(
        f"{rrset.name.to_text().lower()} {rrset.ttl} "
        f"{record.to_text() if rrset.rdtype == dns.rdatatype.TXT else record.to_text().lower()}"
        for rrset in section
        for record in rrset
    )


@pytest.mark.parametrize("payload", [0, 512, 1232])
@pytest.mark.parametrize("name", NAMES)
def test_every_name_and_type_is_answered_as_nsd_and_knot_do(servers: Servers, name: str, payload: int) -> None:
    for rdtype, flags, over_tcp in itertools.product(TYPES, (0, dns.flags.RD), (False, True)):
        message = question(name, rdtype, payload=payload, flags=flags, do=flags)
        ours, nsd, knot = (seen(sent(port, message, over_tcp=over_tcp)) for port in servers)
        assert ours == nsd, f"{name} {rdtype}: NSD"
        assert ours == knot, f"{name} {rdtype}: Knot"


QUESTION = question()[12:]
OPT = bytes.fromhex("00 0029 04d0 00 00 0000 0000")
COOKIE = OPT[:-2] + struct.pack("!HHH", 12, 10, 8) + b"clientck"

UNUSUAL = {
    "IXFR without SOA": header(0, 1, 0, 0, 0) + QUESTION[:-4] + b"\0\xfb\0\1",
    "class CH": header(0, 1, 0, 0, 0) + QUESTION[:-1] + b"\3",
    "class ANY": header(0, 1, 0, 0, 0) + QUESTION[:-1] + b"\xff",
    "class HS": header(0, 1, 0, 0, 0) + QUESTION[:-1] + b"\4",
    "header only": header(0, 0, 0, 0, 0),
    "header only, opcode 15": header(15 << 11, 0, 0, 0, 0),
    "opcode 1": header(1 << 11, 1, 0, 0, 0) + QUESTION,
    "opcode 2": header(2 << 11, 1, 0, 0, 0) + QUESTION,
    "opcode 15": header(15 << 11, 1, 0, 0, 0) + QUESTION,
    "NOTIFY": header(4 << 11, 1, 0, 0, 0) + question(rdtype="SOA")[12:],
    "two questions": header(0, 2, 0, 0, 0) + QUESTION * 2,
    "a record in the answer section": header(0, 1, 1, 0, 0) + QUESTION + RECORD,
    "two OPTs": header(0, 1, 0, 0, 2) + QUESTION + OPT * 2,
    "OPT below a name": header(0, 1, 0, 0, 1) + QUESTION + b"\1a" + OPT,
    "EDNS version 1": header(0, 1, 0, 0, 1) + QUESTION + OPT[:6] + b"\1" + OPT[7:],
    "EDNS with an unknown option": header(0, 1, 0, 0, 1) + QUESTION + OPT[:-2] + b"\0\5\xfd\xe9\0\1x",
    "EDNS with half an option": header(0, 1, 0, 0, 1) + QUESTION + OPT[:-2] + b"\0\3\xfd\xe9\0",
    "a cookie": header(0, 1, 0, 0, 1) + QUESTION + COOKIE,
    "Z set": header(0x0040, 1, 0, 0, 0) + QUESTION,
    "AD and CD set": header(0x0030, 1, 0, 0, 0) + QUESTION,
    "AA, TC and an rcode set": header(0x0605, 1, 0, 0, 0) + QUESTION,
    "octets behind the question": header(0, 1, 0, 0, 0) + QUESTION + b"\0\0",
    "half a question": header(0, 1, 0, 0, 0) + QUESTION[:-2],
    "a compressed name": header(0, 1, 0, 0, 0) + b"\xc0\x0c\0\x10\0\1",
    "a name of 256 octets": header(0, 1, 0, 0, 0) + b"\1a" * 127 + b"\1\0\0\x10\0\1",
    "type OPT": header(0, 1, 0, 0, 0) + QUESTION[:-4] + b"\0\x29\0\1",
    "type ANY": header(0, 1, 0, 0, 0) + QUESTION[:-4] + b"\0\xff\0\1",
}


def rcode_of(port: int, message: bytes) -> str:
    """The rcode of the answer, or `silence` when a plain question that was sent after it is answered first."""
    after = question(id=0x4321)
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.settimeout(TIMEOUT)
        sock.send(message)
        sock.send(after)
        wire = sock.recv(65535)
    if wire[:2] == after[:2]:
        return "silence"
    assert wire[:2] == message[:2]
    try:
        whole = dns.message.from_wire(wire, ignore_trailing=True)  # half of an extended rcode lies in the OPT record
    except dns.exception.DNSException:
        whole = dns.message.from_wire(wire, ignore_trailing=True, question_only=True)
    return dns.rcode.to_text(whole.rcode())


@pytest.mark.parametrize("case", UNUSUAL)
def test_what_is_unusual_is_answered_as_one_of_them_does(servers: Servers, case: str) -> None:
    """They differ from each other here and there."""
    ours, *theirs = (rcode_of(port, UNUSUAL[case]) for port in servers)
    assert ours in theirs, f"{case}: {ours}, NSD and Knot: {theirs}"


@pytest.mark.parametrize(
    "message",
    [
        header(0, 1, 0, 0, 0) + QUESTION[:-4] + b"\0\xfc\0\1",  # AXFR: they say NOTIMP over UDP, REFUSED over TCP
        header(5 << 11, 1, 0, 1, 0) + question(rdtype="SOA")[12:] + RECORD,  # UPDATE: NOTIMP and NOTAUTH
    ],
)
def test_what_both_do_otherwise_is_refused(servers: Servers, message: bytes) -> None:
    """Understood and allowed to nobody is REFUSED: RFC 5936 §2.2.1, RFC 2136 §3.3."""
    assert rcode_of(servers.ours, message) == "REFUSED"
