"""The checks before an order: would the certificate authority's validation reach this gateway?

For a host of its own (HTTP-01): every address is ours, no CAA record forbids it, port 80 answers. For a gateway domain
(DNS-01): the delegation is right end to end, no CAA record forbids it. For both: the authority answers, and its clock
and ours agree. Cheap and near checks come first; the authority is asked last, and only for what would be ordered.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from appliance.control.lookups import Watch
from appliance.control.outside import CertificateAuthority, Delegations, WebProbe
from appliance.control.ports_issuance import Circumstances
from appliance.model import authorities, caa, delegation, resolution, web
from appliance.model.authorities import Directory
from appliance.model.backends import Address
from appliance.model.findings import Finding, Status
from appliance.model.issuance import WILDCARD

_CHALLENGE_LABEL = "_acme-challenge"  # RFC 8555 §8.4
_DIRECTORY_FRESH_SECONDS = 60.0
_DIRECTORY_BAD_SECONDS = 3.0
"""How long what the authority said is believed: when it was well, and when it was not."""


@dataclass(frozen=True, slots=True)
class Outside:
    """Whom to ask, as the settings have it now."""

    addresses: frozenset[Address]
    """The gateway's public addresses."""
    delegations: Delegations
    authority: CertificateAuthority
    web: WebProbe
    web_port: int
    local: frozenset[Address]
    """The addresses of this host's own interfaces."""
    is_checked: bool = True
    """Whether anything is checked at all (`acme.preflight`)."""


class PreflightChecks:
    """Keeps `control.ports_issuance.Preflights`. `outside` is asked anew for each check, for settings change."""

    def __init__(self, watch: Watch, outside: Callable[[], Outside]) -> None:
        self._watch = watch
        self._outside = outside
        self._asking = threading.Lock()
        self._directory: tuple[str, float, Directory] | None = None

    def check(self, subject: str) -> Circumstances:
        """See `Preflights.check`."""
        outside = self._outside()
        if not outside.is_checked:
            return Circumstances(None, True, "nothing is checked")
        seen: list[str] = []
        for finding in self._findings(subject, outside):
            seen.append(_compared(finding))
            if finding.status in (Status.FAIL, Status.UNKNOWN):
                todo = f": {finding.todo}" if finding.todo else ""
                return Circumstances(f"{finding.evidence}{todo}", finding.status is Status.FAIL, "\n".join(seen))
        return Circumstances(None, True, "\n".join(seen))

    def doubt_authority(self) -> None:
        """See `Preflights.doubt_authority`."""
        with self._asking:
            self._directory = None

    def directory(self) -> Directory:
        """What the certificate authority says of itself; asked for when what is known is old."""
        return self._ask_authority(self._outside().authority)

    def _findings(self, subject: str, outside: Outside) -> Iterator[Finding]:
        """What is found, cheapest first; a consumer that heard enough stops the rest."""
        if subject.startswith(WILDCARD):
            domain = subject.removeprefix(WILDCARD)
            yield self._delegation(domain, outside)
        else:
            domain = subject
            yield self._address(subject, outside)
            yield from self._port80(subject, outside)
        permits = outside.delegations.caa(domain)
        directory = self._ask_authority(outside.authority)
        yield authorities.reachable(directory)
        identities = authorities.identities(directory)
        if subject != domain:
            yield caa.finding(subject, permits, identities, method="dns-01")
        yield caa.finding(domain, permits, identities, method="http-01" if subject == domain else "dns-01")
        yield authorities.clock(directory)

    def _delegation(self, domain: str, outside: Outside) -> Finding:
        found = delegation.findings(outside.delegations.look(f"{_CHALLENGE_LABEL}.{domain}"))
        trouble = delegation.broken_link(found) or delegation.doubt(found)
        return trouble or Finding("delegation", Status.OK, f"the delegation of {_CHALLENGE_LABEL}.{domain} is right")

    def _address(self, host: str, outside: Outside) -> Finding:
        answer = self._watch.answer(host)
        obstacle = resolution.obstacle(host, answer, outside.addresses)
        if obstacle is not None:
            is_certain = answer is not None and answer.is_certain
            return Finding(f"address:{host}", Status.FAIL if is_certain else Status.UNKNOWN, obstacle)
        found = ", ".join(sorted(map(str, answer.addresses))) if answer else ""
        return Finding(f"address:{host}", Status.OK, f"{host} points to {found}")

    def _port80(self, host: str, outside: Outside) -> Iterator[Finding]:
        """Ask each address. One that is not on this host is reached through somebody else's router, which may well
        refuse from within what it lets in from outside: only a refusal by this host itself is certain.
        """
        answer = self._watch.answer(host)
        for address in sorted(answer.addresses, key=str) if answer else ():
            if address in outside.local:
                found = web.finding(str(address), outside.web.ask(str(address), host, outside.web_port))
                if found.status is Status.FAIL:
                    yield found

    def _ask_authority(self, authority: CertificateAuthority) -> Directory:
        with self._asking:
            known = self._directory
            if known is not None:
                url, asked_at, directory = known
                is_good = directory.problem is None and authorities.clock(directory).status is not Status.FAIL
                fresh = _DIRECTORY_FRESH_SECONDS if is_good else _DIRECTORY_BAD_SECONDS
                if url == authority.url and time.monotonic() - asked_at < fresh:
                    return directory
            directory = authority.look()
            self._directory = (authority.url, time.monotonic(), directory)
            return directory


def _compared(finding: Finding) -> str:
    """A finding as it is compared with later ones. How wrong the clock is differs a little each time."""
    evidence = "" if finding.id == "clock" else f" {finding.evidence}"
    return f"{finding.id} {finding.status.value}{evidence}"
