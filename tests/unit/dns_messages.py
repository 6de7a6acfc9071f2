"""Questions and replies for the tests of the wire, built and read with dnspython: not the library under test."""

import struct

import dns.edns
import dns.flags
import dns.message
import dns.rdatatype

from appliance.adapters.dns.cookies import Cookies
from appliance.adapters.dns.table import Table
from appliance.adapters.dns.tallies import Tallies
from appliance.model.zones import Contents, Zone

APEX = "_acme-challenge.gw.example.com"
VALUE = "x" * 43
"""As long as every value of RFC 8555 §8.4."""
CLIENT = bytes((192, 0, 2, 1))
CLIENT_COOKIE = b"clientck"
OPT = bytes.fromhex("00 0029 04d0 00 00 0000 0000")
RECORD = b"\xc0\x0c" + struct.pack("!HHIH", 16, 1, 0, 2) + b"\1x"
"""For 1232 octets, without options."""


def contents(*values: str) -> Contents:
    """One zone at serial 42, with these values at its apex."""
    return Contents.of([Zone(APEX, "gw.example.com")], 42, {APEX: values} if values else {})


def table(*values: str, is_stream: bool = False, nsid: bytes | None = None, cookies: Cookies | None = None) -> Table:
    """A table over `contents(*values)`."""
    return Table(contents(*values), Tallies("test"), cookies or Cookies(), is_stream=is_stream, nsid=nsid)


def question(
    name: str = APEX, rdtype: str = "TXT", *, payload: int = 0, options: tuple[dns.edns.Option, ...] = (), **more: int
) -> bytes:
    """A plain query; `payload` above 0 means EDNS."""
    message = dns.message.make_query(
        name,
        rdtype,
        use_edns=more.get("edns", 0) if payload else -1,
        payload=payload or 1232,
        want_dnssec=bool(more.get("do")),
        options=list(options),
    )
    message.flags = more.get("flags", dns.flags.RD)
    message.id = more.get("id", 0x1234)
    return message.to_wire()


QUESTION = question()[12:]
"""What comes after the header of a plain query."""


def cookie_option(content: bytes) -> dns.edns.GenericOption:
    """A COOKIE option (RFC 7873) of these octets."""
    return dns.edns.GenericOption(dns.edns.OptionType.COOKIE, content)


def header(flags: int, *counts: int) -> bytes:
    """Twelve octets: id 0x1234, flags as one number of 16 bits, the four counts."""
    return struct.pack("!HHHHHH", 0x1234, flags, *counts)


def reply(asked: Table, message: bytes) -> bytes | None:
    """The whole reply, the way a transport sends it."""
    found = asked.ready.get(message[2:]) or asked.reply(message, CLIENT) or asked.odd_reply(message, CLIENT)
    return None if found is None else message[:2] + found.tail


def parsed(asked: Table, message: bytes) -> dns.message.Message:
    """The reply, which must be one, read strictly."""
    wire = reply(asked, message)
    assert wire is not None
    return dns.message.from_wire(wire, continue_on_error=False)
