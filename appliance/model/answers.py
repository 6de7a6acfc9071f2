"""What the authority says to a question: the rules of the RFCs, as one function from values to a value.

Why apart from the server: every rule can then be read and tested as a table, without a packet.
It knows names, types and contents; not how they are packed, who asks, or over what.

    in a zone, the name exists, the type is there     NOERROR, the RRset, AA               RFC 1034 §4.3.2
    in a zone, the name exists, the type is not       NODATA: NOERROR, SOA, AA             RFC 2308 §2.2
    in a zone, the name does not exist                NXDOMAIN, SOA, AA                    RFC 2308 §2.1, RFC 8020
    in no zone of ours                                REFUSED, and why                     RFC 8914 §4.21
    type ANY, the name exists                         one synthesised HINFO                RFC 8482 §4.2
    AXFR, IXFR                                        REFUSED                              RFC 5936 §2.2.1
    class ANY                                         as IN, without AA                    RFC 1034 §6.2.2
    any other class                                   REFUSED                              RFC 8906 §3.1.4
    type DS at an apex inside another zone of ours    from the zone around                 RFC 4035 §3.1.4.1
    type A or AAAA at a name server inside a zone     the gateway's addresses              RFC 1912 §2.3
"""

from dataclasses import dataclass, replace
from enum import IntEnum

from appliance.model.zones import Contents, Name, Zone, above

TXT_TTL = 0
"""Seconds. The apex's and the wildcard's values follow one another at one name within a second: the CA's resolver may
not keep the first (RFC 1035 §3.2.1: zero is not cached)."""
NEGATIVE_TTL = 0
"""Seconds, the SOA's MINIMUM and its TTL in negative answers (RFC 2308 §3): a value presented now is found now."""
APEX_TTL = 60
"""Seconds, for NS and SOA when asked for: they change with `gateway.yaml` only."""
ANY_TTL = 3600
"""Seconds, for the record made up for type ANY: long enough that a cache need not ask again soon (RFC 8482 §4.2)."""
SOA_TIMES = (60, 60, 3600, NEGATIVE_TTL)
"""REFRESH, RETRY, EXPIRE, MINIMUM. Nobody transfers the zone; ACME clients cache the SOA for REFRESH seconds."""


class Rcode(IntEnum):
    """Response codes this server gives (RFC 6895 §2.3; BADVERS: RFC 6891 §9)."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    NOTAUTH = 9
    BADVERS = 16


class Kind(IntEnum):
    """Types that are treated in a way of their own; every other is a type without data (RFC 8906 §3.1.2)."""

    OTHER = 0
    A = 1
    NS = 2
    SOA = 6
    HINFO = 13
    TXT = 16
    AAAA = 28
    OPT = 41
    DS = 43
    TSIG = 250
    IXFR = 251
    AXFR = 252
    ANY = 255


_KINDS = frozenset(Kind)


def kind_of(qtype: int) -> Kind:
    """The kind a QTYPE is treated as."""
    return Kind(qtype) if qtype in _KINDS else Kind.OTHER


IN, ANY_CLASS = 1, 255
"""The class Internet, the only one with zones here; and every class (RFC 1035 §3.2.5)."""


class Note(IntEnum):
    """An extended error (RFC 8914): the INFO-CODE; `NOTE_TEXTS` has the words for an operator who reads `dig`."""

    PROHIBITED = 18
    NOT_AUTHORITATIVE = 20
    NOT_SUPPORTED = 21


NOTE_TEXTS = {
    Note.PROHIBITED: "no zone transfers",
    Note.NOT_AUTHORITATIVE: "not a zone of this gateway",
    Note.NOT_SUPPORTED: "class IN only",
}


@dataclass(frozen=True, slots=True)
class Record:
    """One resource record of class IN. `content` is per type: TXT (value,), NS (host,), HINFO (cpu, os), A and AAAA
    (address,), SOA (mname, rname, serial, refresh, retry, expire, minimum).
    """

    owner: Name
    kind: Kind
    ttl: int
    content: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What to say: the rcode, whether with authority, the answer and authority sections, and a note if it helps."""

    rcode: Rcode
    is_authoritative: bool = False
    records: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    note: Note | None = None


def answer(contents: Contents, name: Name, qtype: int, qclass: int) -> Answer:
    """The answer to a well-formed question (RFC 1034 §4.3.2). `name` is lower case."""
    kind = kind_of(qtype)
    if kind in (Kind.AXFR, Kind.IXFR):
        return Answer(Rcode.REFUSED, note=Note.PROHIBITED)
    if qclass not in (IN, ANY_CLASS):
        return Answer(Rcode.REFUSED, note=Note.NOT_SUPPORTED)
    apex = contents.zone_of(name)
    if not apex:
        return Answer(Rcode.REFUSED, note=Note.NOT_AUTHORITATIVE)
    if kind is Kind.DS and name == apex:
        apex = contents.zone_of(above(name)) or apex
    found = _within(contents, apex, name, kind)
    # Nobody can speak for every class.
    return found if qclass == IN else replace(found, is_authoritative=False)


def _within(contents: Contents, apex: Name, name: Name, kind: Kind) -> Answer:
    zone = contents.zones[apex]
    does_exist = name in contents.weights
    records = _rrset(contents, zone, name, kind, is_apex=name == apex) if does_exist else ()
    if records:
        return Answer(Rcode.NOERROR, is_authoritative=True, records=records)
    rcode = Rcode.NOERROR if does_exist else Rcode.NXDOMAIN
    return Answer(rcode, is_authoritative=True, authority=(soa(zone, apex, contents.serial, NEGATIVE_TTL),))


def _rrset(contents: Contents, zone: Zone, name: Name, kind: Kind, *, is_apex: bool) -> tuple[Record, ...]:
    """The RRset of this kind at an existing name; empty when there is none."""
    if kind is Kind.TXT:
        return tuple(Record(name, Kind.TXT, TXT_TTL, (value,)) for value in contents.values.get(name, ()))
    if kind is Kind.ANY:  # minimal, whatever is there: the largest amplifier answers with 9 octets
        return (Record(name, Kind.HINFO, ANY_TTL, ("RFC8482", "")),)
    if kind is Kind.SOA and is_apex:
        return (soa(zone, name, contents.serial, APEX_TTL),)
    if kind is Kind.NS and is_apex:
        return (Record(name, Kind.NS, APEX_TTL, (zone.nameserver,)),)
    if kind in (Kind.A, Kind.AAAA):
        found = contents.addresses.get(name, ())
        return tuple(Record(name, kind, APEX_TTL, (text,)) for text in found if (":" in text) is (kind is Kind.AAAA))
    return ()


def soa(zone: Zone, apex: Name, serial: int, ttl: int) -> Record:
    """The zone's start of authority (RFC 1035 §3.3.13)."""
    return Record(apex, Kind.SOA, ttl, (zone.nameserver, zone.mailbox, serial, *SOA_TIMES))
