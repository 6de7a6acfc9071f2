"""Response rate limiting: how many answers a client prefix may have, and what the rest gets.

Why: over UDP the source address may be forged, and a server that answers everybody is an amplifier. A prefix over its
share gets silence, and every so often an empty answer with TC=1: a real client behind it comes back over TCP, which
cannot be forged.

Counters are a fixed field of cells that prefixes are hashed into, cleared every second: memory and cost stay the same
whether ten prefixes ask or a million, and Python's keyed hash keeps anybody from choosing whom to share a cell with.
It knows packed addresses and no packets; the time is passed in.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from appliance.model.errors import InvalidInput

_CELLS = 1 << 18
"""At 50,000 prefixes a second, one in six shares its cell with another."""
_MASK = _CELLS - 1
_MOST_PER_SECOND = 255  # what a cell can count
MOST_SLIPS_PER_SECOND = 4096
"""All prefixes together. Under a flood an answer each for half of it would cost what the limit was to save."""
IPV4_PREFIX_OCTETS = 3
"""A /24: the smallest that is routed between networks, so one attacker cannot have many cheaply."""
IPV6_PREFIX_OCTETS = 7
"""A /56: what one site gets."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`per_second` answers for each client prefix (1 to 255); of the rest every `slip`-th gets TC=1 (0: none, 1: all;
    under a flood fewer).

    `exempt`: prefixes (or addresses) that have no limit of their own. Raises InvalidInput.
    """

    per_second: int = 20
    slip: int = 2
    exempt: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the bounds and the prefixes."""
        if not 1 <= self.per_second <= _MOST_PER_SECOND:
            raise InvalidInput(f"dns.rate_limit.per_second is {self.per_second}: it must be 1 to {_MOST_PER_SECOND}")
        if self.slip < 0:
            raise InvalidInput(f"dns.rate_limit.slip is {self.slip}: it must not be negative")
        _networks(self.exempt)


class Verdict(IntEnum):
    """What a question gets."""

    ANSWER = 0
    DROP = 1
    SLIP = 2


_ANSWER, _DROP, _SLIP = Verdict


class Limiter:
    """Counts questions per prefix within the current second.

    Several threads may use one without a lock: what they do to it at the same moment costs or saves a count.
    """

    def __init__(self, limit: RateLimit) -> None:
        self._per_second = limit.per_second
        self._slip = limit.slip
        self._exempt = _networks(limit.exempt)
        self._cells = bytearray(_CELLS)
        self._second = 0
        self._limited = 0
        self._interval = limit.slip

    def tick(self, now: float) -> None:
        """Begin a new second when `now` (seconds, any clock that does not go back) lies in one."""
        second = int(now)
        if second > self._second:  # another thread may have been here later, and be ahead
            self._second = second
            self._cells = bytearray(_CELLS)
            self._interval = self._slip and max(self._slip, self._limited // MOST_SLIPS_PER_SECOND)
            self._limited = 0

    def judge(self, addresses: Sequence[bytes]) -> list[Verdict]:
        """The verdict on a question from each of these packed addresses, all of one family."""
        cells, per_second = self._cells, self._per_second
        octets = IPV4_PREFIX_OCTETS if addresses and len(addresses[0]) == 4 else IPV6_PREFIX_OCTETS
        limited, interval = self._limited, self._interval
        most = interval * MOST_SLIPS_PER_SECOND
        verdicts = []
        for address in addresses:
            cell = hash(address[:octets]) & _MASK
            count = cells[cell]
            if count < per_second:
                cells[cell] = count + 1
                verdicts.append(_ANSWER)
            elif self._exempt and self._is_exempt(address):
                verdicts.append(_ANSWER)
            else:
                limited += 1
                verdicts.append(_DROP if not interval or limited % interval or limited > most else _SLIP)
        self._limited = limited
        return verdicts

    def _is_exempt(self, address: bytes) -> bool:
        number = int.from_bytes(address, "big")
        return any(number & mask == network for size, network, mask in self._exempt if size == len(address))


class Budget:
    """So many of something a second."""

    def __init__(self, per_second: int) -> None:
        self._per_second = self._left = per_second
        self._second = 0

    def take(self, now: float) -> bool:
        """Take one, if any is left in the second that `now` (any clock that does not go back) lies in."""
        if int(now) != self._second:
            self._second, self._left = int(now), self._per_second
        if not self._left:
            return False
        self._left -= 1
        return True


def _networks(prefixes: Iterable[str]) -> list[tuple[int, int, int]]:
    """Octets of an address, network and mask of each prefix. Raises InvalidInput."""
    networks = []
    for prefix in prefixes:
        try:
            network = ipaddress.ip_network(prefix)
        except ValueError as error:
            raise InvalidInput(
                f"dns.rate_limit.exempt has {prefix!r}: give addresses or prefixes like 192.0.2.0/24 ({error})"
            ) from error
        networks.append((len(network.network_address.packed), int(network.network_address), int(network.netmask)))
    return networks
