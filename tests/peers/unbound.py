"""Unbound, the only resolver in the namespace: what a real CA asks through, with 0x20, keeping answers for their TTL.

It has no root: `test` is resolved from the parent's server downwards, every other name does not exist.
"""

import dataclasses
import subprocess
from pathlib import Path
from typing import Final

import dns.exception
import dns.message
import dns.query
import dns.rcode

from tests.peers import addresses
from tests.peers.launching import Launched

_CONFIGURATION: Final = """\
server:
  interface: {address}
  access-control: 0.0.0.0/0 allow
  access-control: ::/0 allow
  username: ""
  chroot: ""
  directory: "{directory}"
  pidfile: "{directory}/unbound.pid"
  use-syslog: no
  verbosity: 1
  num-threads: 1
  module-config: "iterator"
  use-caps-for-id: yes
  do-not-query-localhost: no
  do-ip6: yes
  # As public CAs do: an answer is kept for its TTL, a minute at most. A value served with a TTL is found to be stale.
  cache-max-ttl: 60
  cache-max-negative-ttl: 60
  # A server that was down a moment ago is asked again.
  infra-host-ttl: 0
  infra-keep-probing: yes
  # Unbound keeps the special-use names to itself unless told otherwise (RFC 6761).
  local-zone: "." static
  local-zone: "{zone}." transparent
stub-zone:
  name: "{zone}."
  stub-addr: {parent}
remote-control:
  control-enable: yes
  control-interface: {directory}/control.sock
  control-use-cert: no
"""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the resolver said: the response code's name and the answer section's data as text."""

    rcode: str
    values: tuple[str, ...]


class Unbound:
    """A recursive resolver for `test`."""

    def __init__(self, directory: Path, zone: str = addresses.TLD, parent: str = addresses.PARENT) -> None:
        self._configuration = directory / "unbound.conf"
        self._configuration.write_text(
            _CONFIGURATION.format(directory=directory, address=addresses.RESOLVER, zone=zone, parent=parent),
            encoding="ascii",
        )
        self.program = Launched(["unbound", "-d", "-p", "-c", str(self._configuration)], directory / "unbound.log")
        self.program.until(lambda: resolve(zone, "SOA", timeout=0.05).values, "Unbound answers")

    def forget(self) -> None:
        """Drop every cached answer, as if a minute had passed."""
        argv = ["unbound-control", "-c", str(self._configuration), "flush_zone", "."]
        subprocess.run(argv, check=True, capture_output=True)

    def stop(self) -> None:
        """End it."""
        self.program.stop()


def resolve(name: str, kind: str, *, timeout: float = 5) -> Answer:
    """Ask the namespace's resolver. A question without an answer in time is an OSError."""
    try:
        reply = dns.query.udp(dns.message.make_query(name, kind), addresses.RESOLVER, timeout=timeout)
    except dns.exception.Timeout as error:
        raise TimeoutError(f"no answer for {name} {kind} within {timeout:g} s") from error
    values = tuple(rdata.to_text() for rrset in reply.answer for rdata in rrset)
    return Answer(dns.rcode.to_text(reply.rcode()), values)
