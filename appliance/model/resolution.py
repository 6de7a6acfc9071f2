"""What a host resolved to, and what follows: may a certificate be ordered for it, may a backend be reached by it."""

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.model.backends import Address


@dataclass(frozen=True, slots=True)
class Resolution:
    """The outcome of looking a host up: its addresses, or why there are none."""

    addresses: frozenset[Address]
    problem: str | None
    is_certain: bool = True
    """False when nobody could say (a resolver that did not answer), as opposed to a name that is not there."""


Resolutions = Mapping[str, Resolution]


def obstacle(host: str, resolution: Resolution | None, own: frozenset[Address]) -> str | None:
    """Why no certificate can be ordered for `host` yet, or None when it points here and nowhere else.

    HTTP-01 validation may use any of the addresses (RFC 8555 §8.3), so every one must be the gateway's.
    """
    here = " and ".join(sorted(map(str, own)))
    if resolution is None:
        return f"looking up where {host} points to"
    if not resolution.is_certain:
        return f"{resolution.problem}; it is asked for again, see `dns.resolvers` if this stays"
    if resolution.problem is not None:
        return f"{resolution.problem}; create an address record for {host} with {here}"
    foreign = sorted(map(str, resolution.addresses - own))
    if foreign:
        return f"{host} points to {', '.join(foreign)}, which is not this gateway: point it to {here} only"
    return None
