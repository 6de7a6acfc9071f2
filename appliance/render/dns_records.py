"""The DNS records an operator creates at the provider of each gateway domain, and nowhere else."""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.model import hosts
from appliance.settings import Public, Settings

_TTL_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Record:
    """One record to create. Names are fully qualified with a trailing dot, as in a zone file (RFC 1035 §5.1)."""

    domain: str
    """The gateway domain it is for."""
    name: str
    type: str
    content: str
    purpose: str

    def line(self) -> str:
        """The record as a zone-file line."""
        return f"{self.name}\t{_TTL_SECONDS}\tIN\t{self.type}\t{self.content}"


def records(settings: Settings) -> list[Record]:
    """What to create, in the order to create it; empty without a `public` section or domain.

    The delegation hands only the challenge name to this host (RFC 8555 §8.4, RFC 1034 §4.2.1); everything else of the
    domain stays with its provider.
    """
    if settings.public is None:
        return []
    return [
        record
        for domain in settings.public.domains
        for record in _domain_records(domain, settings.public, settings.dns.challenge_labels)
    ]


def text(found: Sequence[Record]) -> str:
    """The records for copy and paste: zone-file lines under a comment that says what they are for."""
    lines: list[str] = []
    for number, record in enumerate(found):
        if number == 0 or found[number - 1].domain != record.domain:
            lines.append(f"; {record.domain}: create these at the DNS provider of this domain")
        lines += [f"; {record.purpose}", record.line()]
    return "\n".join(lines) + "\n"


def _domain_records(domain: str, public: Public, challenge_labels: Sequence[str]) -> list[Record]:
    found = _address_records(domain, domain, public, "the gateway itself")
    found.append(Record(domain, f"*.{domain}.", "CNAME", f"{domain}.", "every name proxy"))
    nameserver = public.nameserver or domain
    if nameserver != domain and _is_kept_here(nameserver, domain, public.domains):
        found += _address_records(domain, nameserver, public, "the name server that the delegation points to")
    found += [
        Record(
            domain, f"{label}.{domain}.", "NS", f"{nameserver}.", _DELEGATION.get(label, "challenges, delegated here")
        )
        for label in challenge_labels
    ]
    return found


def _is_kept_here(nameserver: str, domain: str, domains: Sequence[str]) -> bool:
    """Whether the name server's address is this domain's provider's to know; one of no domain is told at the first."""
    above = [item for item in domains if hosts.lies_under(nameserver, item)]
    return domain == max(above, key=len) if above else domain == domains[0]


_DELEGATION = {
    "_acme-challenge": "the wildcard certificate: challenges are answered by this host",
    "__acme-challenge": "optional: the older spelling of the same delegation",
}


def _address_records(domain: str, name: str, public: Public, purpose: str) -> list[Record]:
    found = [Record(domain, f"{name}.", "A", str(public.ipv4), purpose)]
    if public.ipv6 is not None:
        found.append(Record(domain, f"{name}.", "AAAA", str(public.ipv6), purpose))
    return found
