"""Challenges: the TXT values a certificate authority will look for, from `present` to `clean_up` or expiry.

Why a set and not one value: two orders for one name (apex and wildcard) put two values at the same owner name, and
each `clean_up` may take away only its own. It knows rules and bounds; the time is always passed in, nothing is stored
or served here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from appliance.model.errors import InvalidInput, Refused
from appliance.model.zones import Zone

LIFETIME_SECONDS = 3600.0
"""A value nobody cleans up goes after an hour: an ACME client that died must not leave its values for ever."""
MOST_VALUES_PER_NAME = 200
"""200 values of 255 octets still fit one TCP answer (RFC 1035 §4.2.2)."""
MOST_NAMES = 4096
_LONGEST_VALUE = 255  # one character-string, RFC 1035 §3.3
_SERIALS = 1 << 32  # RFC 1982 §3
_MOST_UNSTORED = 256
"""Serials that a process may have answered with and not stored when it was killed: an answer changes first, and on a
full disk many do."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One value at one owner name (plain: lower case, no trailing dot), presented at a Unix time by somebody."""

    name: str
    value: str
    presented: float
    by: str


@dataclass(frozen=True, slots=True)
class Records:
    """All values at one serial. Never changed: every verb gives the next one, or itself when nothing changes."""

    serial: int = 0
    challenges: Mapping[tuple[str, str], Challenge] = field(default_factory=dict)
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The same by owner name, in the order presented."""

    @classmethod
    def of(cls, serial: int, challenges: Iterable[Challenge]) -> Self:
        """The records that a store gave back."""
        by_key = {(challenge.name, challenge.value): challenge for challenge in challenges}
        values: dict[str, tuple[str, ...]] = {}
        for name, value in by_key:
            values[name] = (*values.get(name, ()), value)
        return cls(serial, by_key, values)

    def present(self, challenge: Challenge) -> Self:
        """With this value too. One that is there already only lives longer; the serial rises all the same.

        Raises Refused when the name, or the gateway, already has as many as it may.
        """
        key = (challenge.name, challenge.value)
        there = self.values.get(challenge.name, ())
        if key not in self.challenges:
            self._check_room(challenge.name, there)
            there = (*there, challenge.value)
        return type(self)(
            next_serial(self.serial, challenge.presented),
            {**self.challenges, key: challenge},
            {**self.values, challenge.name: there},
        )

    def clean_up(self, name: str, value: str, now: float) -> Self:
        """Without this one value. Nothing else at the name is touched; a value that is not there is no error."""
        return self._without({(name, value)} & self.challenges.keys(), now)

    def expired(self, now: float) -> tuple[Challenge, ...]:
        """The values that have outlived their hour."""
        return tuple(one for one in self.challenges.values() if now - one.presented >= LIFETIME_SECONDS)

    def expire(self, now: float) -> Self:
        """Without the values that have outlived their hour."""
        return self._without({(one.name, one.value) for one in self.expired(now)}, now)

    def renumbered(self, now: float) -> Self:
        """The same values at the next serial: for a change of the zones themselves."""
        return type(self)(next_serial(self.serial, now), self.challenges, self.values)

    def _without(self, keys: set[tuple[str, str]], now: float) -> Self:
        if not keys:
            return self
        challenges = {key: one for key, one in self.challenges.items() if key not in keys}
        values = dict(self.values)
        for name, value in keys:
            values[name] = tuple(one for one in values[name] if one != value)
            if not values[name]:
                del values[name]
        return type(self)(next_serial(self.serial, now), challenges, values)

    def _check_room(self, name: str, there: tuple[str, ...]) -> None:
        if len(there) >= MOST_VALUES_PER_NAME:
            raise Refused(
                f"{name} already has {MOST_VALUES_PER_NAME} values, the most a name may have: "
                "clean up values of finished orders, or wait up to an hour until they expire"
            )
        if not there and len(self.values) >= MOST_NAMES:
            raise Refused(
                f"{MOST_NAMES} names already have values, the most there may be: "
                "clean up values of finished orders, or wait up to an hour until they expire"
            )


def next_serial(previous: int, now: float) -> int:
    """The SOA serial after `previous`: it always rises (RFC 1982), and follows the Unix time where it can.

    Following the time keeps it rising even when the stored serial was lost.
    """
    return max(previous + 1, int(now)) % _SERIALS


def serial_after_restart(stored: int) -> int:
    """The serial to begin with, above all that the process before answered with. 0: none is stored."""
    return (stored + _MOST_UNSTORED) % _SERIALS if stored else 0


def check_value(value: str) -> str:
    """`value` if it can be one TXT character-string: 1 to 255 printable ASCII characters. Raises InvalidInput."""
    if not 1 <= len(value) <= _LONGEST_VALUE:
        raise InvalidInput(f"the TXT value has {len(value)} characters: it must have 1 to {_LONGEST_VALUE}")
    if not (value.isascii() and value.isprintable()):
        raise InvalidInput("the TXT value has characters outside printable ASCII")
    return value


def check_name(name: str, zones: Iterable[Zone]) -> None:
    """Raises Refused, naming the zones there are, when the plain name `name` lies in none of them."""
    apexes = [zone.apex for zone in zones]
    if any(name == apex or name.endswith("." + apex) for apex in apexes):
        return
    known = ", ".join(apexes[:8]) + (f" and {len(apexes) - 8} more" if len(apexes) > 8 else "")
    raise Refused(
        f"{name} is in no zone of this gateway: it has {known or 'none, because public.domains is empty'}; "
        "other delegated zones go to dns.extra_zones"
    )
