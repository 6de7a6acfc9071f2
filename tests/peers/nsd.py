"""NSD, the parent zone's authoritative server: it delegates the challenge names to the gateway.

It stands for the DNS provider of an operator. Records change at run time by `replace`, which returns when they are
served.
"""

import itertools
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import dns.dnssec
import dns.dnssectypes
import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.zone
import psutil
from cryptography.hazmat.primitives.asymmetric import ec

from tests.peers import addresses
from tests.peers.launching import Launched

CHALLENGE_LABELS: Final = ("_acme-challenge", "__acme-challenge")
_TTL: Final = 60
_DAY_SECONDS: Final = 86400
_ENTRY_POINT: Final = 257
"""The flags of a key that is both: it signs the keys and everything else."""

_CONFIGURATION: Final = """\
server:
  ip-address: {address}
  port: 53
  username: ""
  chroot: ""
  zonesdir: "{directory}"
  database: ""
  zonelistfile: "{directory}/zone.list"
  xfrdfile: "{directory}/xfrd.state"
  xfrdir: "{directory}"
  pidfile: "{directory}/nsd.pid"
  server-count: 1
  verbosity: 1
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: {zone}
  zonefile: {zone}.zone
"""


class Nsd:
    """The zone `test`. Owners are given with the zone's name and no trailing dot, records as `TYPE rdata`."""

    def __init__(self, directory: Path, zone: str = addresses.TLD, address: str = addresses.PARENT) -> None:
        self._directory = directory
        self._zone = zone
        self._address = address
        self._serials = itertools.count(1)
        self._changed: Callable[[], None] = lambda: None
        self._key: ec.EllipticCurvePrivateKey | None = None
        self._records: dict[str, tuple[str, ...]] = {zone: (f"NS ns.{zone}.",), f"ns.{zone}": (f"A {address}",)}
        self._write(next(self._serials))
        configuration = directory / "nsd.conf"
        configuration.write_text(
            _CONFIGURATION.format(directory=directory, zone=zone, address=address), encoding="ascii"
        )
        self.program = Launched(["nsd", "-d", "-c", str(configuration)], directory / "nsd.log")
        self.program.until(self._serial, f"NSD answers for {zone}")
        self._processes = self._count()

    def replace(self, records: dict[str, Iterable[str]]) -> None:
        """Let these owners have exactly these records (none: the owner is gone), and wait until they are served."""
        for owner, lines in records.items():
            self._records[owner] = tuple(lines)
        serial = next(self._serials)
        self._write(serial)
        self.program.process.send_signal(signal.SIGHUP)
        self.program.until(lambda: self._serial() == serial, f"NSD serves serial {serial}")
        # The process that answers with what was before reads the same socket until it is told to end.
        self.program.until(lambda: self._count() <= self._processes, "NSD's old process has ended")
        self._changed()

    def tell(self, changed: Callable[[], None]) -> None:
        """Call this after every change: how a resolver is made to forget what it knew."""
        self._changed = changed

    def add_gateway(self, domain: str = addresses.DOMAIN, *ips: str) -> None:
        """What an operator creates for a gateway domain: its address, the wildcard, both delegations."""
        hosts = ips or (addresses.GATEWAY,)
        delegations: dict[str, Iterable[str]] = {f"{label}.{domain}": [f"NS {domain}."] for label in CHALLENGE_LABELS}
        self.replace({domain: [_address_record(ip) for ip in hosts], f"*.{domain}": [f"CNAME {domain}."]} | delegations)

    def add_host(self, host: str, *ips: str) -> None:
        """A customer's name that points at the gateway, or at `ips`."""
        self.replace({host: [_address_record(ip) for ip in ips or (addresses.GATEWAY,)]})

    def sign(self) -> str:
        """Sign the zone from now on, with NSEC; the DS record that a validating resolver is to trust."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.replace({})
        key = dns.dnssec.make_dnskey(
            self._key.public_key(), dns.dnssectypes.Algorithm.ECDSAP256SHA256, flags=_ENTRY_POINT
        )
        return f"{self._zone}. DS {dns.dnssec.make_ds(dns.name.from_text(self._zone), key, 'SHA256')}"

    def unsign(self) -> None:
        """Sign it no longer."""
        self._key = None
        self.replace({})

    def stop(self) -> None:
        """End it."""
        self.program.stop()

    def _write(self, serial: int) -> None:
        soa = f"{self._zone}. {_TTL} SOA ns.{self._zone}. admin.{self._zone}. {serial} 3600 600 86400 {_TTL}"
        lines = [f"{owner}. {_TTL} {line}" for owner, kept in self._records.items() for line in kept]
        path = self._directory / f"{self._zone}.zone"
        text = "\n".join([soa, *lines, ""])
        path.write_text(text if self._key is None else _signed(text, self._zone, self._key), encoding="ascii")

    def _count(self) -> int:
        return len(psutil.Process(self.program.process.pid).children(recursive=True))

    def _serial(self) -> int | None:
        try:
            answer = dns.query.udp(dns.message.make_query(self._zone, "SOA"), self._address, timeout=0.05)
        except dns.exception.Timeout:
            return None
        for rrset in answer.answer:
            if rrset.rdtype == dns.rdatatype.SOA:
                return int(rrset[0].serial)
        return None


def _signed(text: str, apex: str, key: ec.EllipticCurvePrivateKey) -> str:
    """The zone with a key, signatures and the proofs of what is not there (RFC 4035 §2)."""
    zone = dns.zone.from_text(text, origin=apex, relativize=False)
    public = dns.dnssec.make_dnskey(key.public_key(), dns.dnssectypes.Algorithm.ECDSAP256SHA256, flags=_ENTRY_POINT)
    with zone.writer() as changes:
        dns.dnssec.sign_zone(zone, changes, keys=[(key, public)], dnskey_ttl=_TTL, lifetime=_DAY_SECONDS)
    return zone.to_text(relativize=False)


def _address_record(ip: str) -> str:
    return f"AAAA {ip}" if ":" in ip else f"A {ip}"
