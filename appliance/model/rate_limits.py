"""Response rate limiting: how many answers a client prefix may have, and what the rest gets.

Why: over UDP the source address may be forged, and a server that answers everybody is an amplifier. A prefix over its
share gets silence, and every so often an empty answer with TC=1: a real client behind it comes back over TCP, which
cannot be forged.

Counters are two fixed fields of cells that prefixes are hashed into (a count-min sketch), cleared every second: memory
and cost stay the same whether ten prefixes ask or a million. Python's keyed hash keeps anybody from choosing whom to
share a cell with, a prefix is over its share only when both of its cells say so, and it has others in each second: a
prefix that shares both with those of a flood waits a second, not until the flood ends.
It knows packed addresses and no packets; the time is passed in.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from appliance.model.errors import InvalidInput

_CELL_BITS = 18
"""Cells of a field. Beside 20,000 prefixes over their share, 7 % of the others share one cell and 0.5 % both."""
_CELLS = 1 << _CELL_BITS
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


class _Second:
    """What was counted in one second.

    `interval`: of so many questions over the limit one gets TC=1 (0: none).
    """

    def __init__(self, number: int, interval: int) -> None:
        self.number = number
        # Hashed in front of the prefix. A tuple's hash would not do: it adds, and keeps who shares a cell with whom.
        self.salt = number.to_bytes(8, "big")
        self.cells, self.others = bytearray(_CELLS), bytearray(_CELLS)
        self.interval, self.limited = interval, 0


class Limiter:
    """Counts questions per prefix within the current second.

    Several threads may use one without a lock: what they do to it at the same moment costs or saves a count.
    """

    def __init__(self, limit: RateLimit) -> None:
        self._per_second = limit.per_second
        self._slip = limit.slip
        self._exempt = _networks(limit.exempt)
        self._second = _Second(0, limit.slip)

    def tick(self, now: float) -> None:
        """Begin a new second when `now` (seconds, any clock that does not go back) lies in one."""
        last = self._second
        if int(now) > last.number:  # another thread may have been here later, and be ahead
            interval = self._slip and max(self._slip, last.limited // MOST_SLIPS_PER_SECOND)
            self._second = _Second(int(now), interval)

    def judge(self, addresses: Sequence[bytes]) -> list[Verdict]:
        """The verdict on a question from each of these packed addresses, all of one family."""
        second, per_second = self._second, self._per_second
        salt, cells, others = second.salt, second.cells, second.others
        octets = IPV4_PREFIX_OCTETS if addresses and len(addresses[0]) == 4 else IPV6_PREFIX_OCTETS
        limited, interval = second.limited, second.interval
        most = interval * MOST_SLIPS_PER_SECOND
        verdicts = []
        for address in addresses:
            number = hash(salt + address[:octets])
            cell, other = number & _MASK, number >> _CELL_BITS & _MASK
            if (count := cells[cell]) < per_second:
                cells[cell] = count + 1
                if (count := others[other]) < per_second:
                    others[other] = count + 1
                verdicts.append(_ANSWER)
            elif (count := others[other]) < per_second:
                others[other] = count + 1
                verdicts.append(_ANSWER)
            elif self._exempt and self._is_exempt(address):
                verdicts.append(_ANSWER)
            else:
                limited += 1
                verdicts.append(_DROP if not interval or limited % interval or limited > most else _SLIP)
        second.limited = limited
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

    def is_spent(self, now: float) -> bool:
        """Whether none is left in that second."""
        return not self._left and int(now) == self._second


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
