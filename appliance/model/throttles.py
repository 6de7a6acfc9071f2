"""How often somebody may fail before they are told to wait.

For each client a bucket that fills with failures and drains with time. Bounded: of more clients than are kept, the one
that failed longest ago is forgotten. Whoever presents the right thing is never throttled, so nobody can lock others
out from behind a common address. Pure: the time is passed in.
"""

import ipaddress
from collections import OrderedDict
from math import ceil

_MOST_CLIENTS = 4096
_IPV6_PREFIX = 64


class Throttle:
    """Up to `burst` failures at once, and one more every `pause_seconds`."""

    def __init__(self, burst: int = 10, pause_seconds: float = 6.0) -> None:
        self._burst = burst
        self._pause = pause_seconds
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def failed(self, client: str, now: float) -> int:
        """Note a failure. 0, or how many whole seconds to wait: this one is above the limit (`now` in seconds)."""
        key = _network(client)
        level, at = self._levels.pop(key, (0.0, now))
        level = max(0.0, level - (now - at) / self._pause)
        is_above = level + 1 > self._burst
        level = level if is_above else level + 1
        self._levels[key] = (level, now)
        if len(self._levels) > _MOST_CLIENTS:
            self._levels.popitem(last=False)
        return max(1, ceil((level + 1 - self._burst) * self._pause)) if is_above else 0


def _network(client: str) -> str:
    """Who counts as one client: an IPv4 address, an IPv6 /64, which is what one subscriber has."""
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))
    return str(address)
