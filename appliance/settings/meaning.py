"""What settings mean to the rules: values of the model, made of values of the settings."""

import ipaddress
from collections.abc import Set as AbstractSet
from dataclasses import replace

from appliance.model import admission
from appliance.model.backends import Address
from appliance.model.certificate_ledger import Keeping
from appliance.model.rate_limits import RateLimit
from appliance.model.zones import Zone, zones_of
from appliance.settings.fields import split_endpoint
from appliance.settings.sections import Settings

_NOBODY: AbstractSet[Address] = frozenset()
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  said by whoever wrote the settings


_RENEWAL_LEAD_DAYS = ((365, 120.0), (90, 30.0), (30, 10.0), (6, 2.0), (1, 0.25), (0, 20 / 60 / 24))
"""Lasting at least so many days -> renewed so many days before the end (Traefik's pkg/provider/acme/provider.go)."""


def rules(
    loaded: Settings, *, broker: AbstractSet[Address] = _NOBODY, own: AbstractSet[Address] = _NOBODY
) -> admission.Gateway:
    """The rules of admission. `broker`: wherever the message bus was found; `own`: addresses of this host."""
    public = loaded.public
    policy = loaded.backend_policy()
    return admission.Gateway(
        public=public is not None,
        addresses=public.addresses if public else frozenset(),
        domains=public.domains if public else (),
        policy=replace(policy, broker=policy.broker | broker, own=policy.own | own),
    )


def zones(loaded: Settings) -> tuple[Zone, ...]:
    """The zones the authority answers for. Raises InvalidInput."""
    public = loaded.public
    return zones_of(
        public.domains if public else (),
        loaded.dns.challenge_labels,
        loaded.dns.extra_zones,
        public.nameserver if public else None,
        map(str, sorted(public.addresses, key=lambda address: address.version)) if public else (),
    )


def dns_listen(loaded: Settings) -> list[tuple[str, int]]:
    """Where the authority listens, as address and port, each once. A port alone is every address of both families."""
    given = [split_endpoint(endpoint) for endpoint in loaded.dns.listen]
    wide = [(host, port) for bare, port in given for host in ((bare,) if bare else _EVERYWHERE)]
    return list(dict.fromkeys((str(ipaddress.ip_address(host)), port) for host, port in wide))


def rate_limit(loaded: Settings) -> RateLimit | None:
    """How the authority limits its answers; None: not at all."""
    limit = loaded.dns.rate_limit
    return RateLimit(limit.per_second, limit.slip, tuple(map(str, limit.exempt))) if limit else None


def nsid(loaded: Settings) -> bytes | None:
    """What the authority calls itself to those who ask (RFC 5001); None: nothing."""
    return None if loaded.dns.nsid is None else loaded.dns.nsid.encode("ascii")


def resolvers(loaded: Settings) -> list[tuple[str, int]]:
    """The recursive resolvers to ask, as address and port; none: the system's."""
    return [_name_server(text) for text in loaded.dns.resolvers]


def keeping(loaded: Settings) -> Keeping:
    """How certificates are kept."""
    public, own = loaded.public, loaded.certificates
    return Keeping(public is not None, public.domains if public else (), own.grace, own.quiet_hour)


def warn_days(loaded: Settings) -> float:
    """Days left on a certificate below which an alert is raised: what is set, or half of the time that Traefik leaves
    itself to renew. Of certificates that last a week, two weeks before their end is always.
    """
    lasting = loaded.acme.certificate_hours / 24
    lead = next(lead for shortest, lead in _RENEWAL_LEAD_DAYS if lasting >= shortest)
    return min(float(loaded.certificates.warn_days), lead / 2)


def read_once(loaded: Settings) -> tuple[object, ...]:
    """The settings that are read at the start only: a change restarts the control plane, which costs no traffic."""
    dns = loaded.dns
    inner = (loaded.challenge, loaded.admin, loaded.zbus, loaded.broker, loaded.traefik)
    return (dns.listen, *inner)


def _name_server(text: str) -> tuple[str, int]:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return split_endpoint(text)
    return text, 53
