"""Address look-ups through the configured resolvers (dnspython). Keeps `control.ports.Lookups`."""

import ipaddress
from collections.abc import Callable, Sequence

import dns.exception
import dns.nameserver
import dns.resolver

from appliance.model.backends import Address
from appliance.model.errors import NotFound, Unavailable

_TIMEOUT_SECONDS = 5.0
_TYPES = ("A", "AAAA")


class ResolverLookups:
    """Asks the recursive resolvers (address, port) that `resolvers()` gives for each look-up anew, or the system's when
    there are none. Nothing is cached here.
    """

    def __init__(self, resolvers: Callable[[], Sequence[tuple[str, int]]]) -> None:
        self._resolvers = resolvers

    def addresses(self, host: str) -> frozenset[Address]:
        """Every A and AAAA address, aliases followed. Raises NotFound (no such name, or no address) or Unavailable."""
        try:
            resolver = self._resolver()
            found = [item.address for rdtype in _TYPES for item in self._ask(resolver, host, rdtype)]
        except dns.resolver.NXDOMAIN as error:
            raise NotFound(f"{host} does not exist in the DNS") from error
        except dns.exception.DNSException as error:
            raise Unavailable(f"{host} could not be looked up: {error}") from error
        if not found:
            raise NotFound(f"{host} has no address in the DNS")
        return frozenset(ipaddress.ip_address(address) for address in found)

    def _resolver(self) -> dns.resolver.Resolver:
        configured = self._resolvers()
        resolver = dns.resolver.Resolver(configure=not configured)
        if configured:
            resolver.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in configured]
        resolver.lifetime = _TIMEOUT_SECONDS
        resolver.search = []
        return resolver

    def _ask(self, resolver: dns.resolver.Resolver, host: str, rdtype: str) -> dns.resolver.Answer:
        return resolver.resolve(host + ".", rdtype, raise_on_no_answer=False, search=False)
