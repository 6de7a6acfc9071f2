"""What a certificate authority's directory tells, and what follows: is it there, and what time is it there.

The directory (RFC 8555 §7.1.1) is public and costs no order; its `Date` header is a clock beside ours.
"""

from dataclasses import dataclass

from appliance.model.findings import Finding, Status

_TOLERATED_SKEW_SECONDS = 30.0
"""Answers take seconds, and the header counts whole ones."""
_RUINOUS_SKEW_SECONDS = 300.0
"""Certificates are valid from an hour before their issue; other signatures give up far earlier than that."""
_KNOWN_IDENTITIES = {"api.letsencrypt.org": ("letsencrypt.org",)}
"""For authorities whose directory does not name them, by the end of its host name."""
STAGING = {
    "https://acme-v02.api.letsencrypt.org/directory": "https://acme-staging-v02.api.letsencrypt.org/directory",
}
"""Directories whose authority has another one beside it, that issues to the same rules and counts on its own:
https://letsencrypt.org/docs/staging-environment/.
"""


@dataclass(frozen=True, slots=True)
class Directory:
    """A look at an authority's directory."""

    url: str
    host: str
    problem: str | None = None
    """Why it cannot be used; None when it can."""
    is_untrusted: bool = False
    """Somebody answers, with a certificate that is not trusted here."""
    date: float | None = None
    """The authority's clock (HTTP Date), in Unix seconds; known also of answers that are errors."""
    asked_at: float = 0.0
    """Our clock at that moment, in Unix seconds."""
    caa_identities: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    needs_account_binding: bool = False
    """meta.externalAccountRequired."""

    @property
    def skew_seconds(self) -> float | None:
        """How far our clock is ahead of the authority's."""
        return None if self.date is None else self.asked_at - self.date


def identities(directory: Directory) -> frozenset[str]:
    """The domains the authority goes by in CAA records; empty when nobody knows."""
    known = (names for end, names in _KNOWN_IDENTITIES.items() if directory.host.endswith(end))
    return frozenset(name.lower() for name in directory.caa_identities or next(known, ()))


def reachable(directory: Directory) -> Finding:
    """Whether certificates can be ordered there at all."""
    if directory.problem is None:
        return Finding("ca.reachable", Status.OK, f"{directory.url} answers")
    told = f"the certificate authority {directory.url} cannot be used: {directory.problem}"
    if directory.is_untrusted:
        todo = "put its root into a file and name that in `acme.ca_certificates`; look at this host's clock, too"
    else:
        todo = f"let this host out to {directory.host} port 443, and look at `acme.ca_server`: curl -sS {directory.url}"
    return Finding("ca.reachable", Status.FAIL, told, todo)


def clock(directory: Directory) -> Finding:
    """Whether our clock and the authority's agree."""
    skew = directory.skew_seconds
    todo = "set the clock by the network: timedatectl set-ntp true"
    if skew is None:
        return Finding(
            "clock", Status.UNKNOWN, "there is no clock to compare with: the authority was not reached", todo
        )
    if abs(skew) <= _TOLERATED_SKEW_SECONDS:
        return Finding("clock", Status.OK, f"this host's clock agrees with {directory.host}'s")
    status = Status.FAIL if abs(skew) > _RUINOUS_SKEW_SECONDS else Status.WARN
    direction = "ahead of" if skew > 0 else "behind"
    return Finding("clock", status, f"this host's clock is {abs(skew):.0f} s {direction} {directory.host}'s", todo)


def profile(directory: Directory, wanted: str | None) -> Finding:
    """Whether the authority offers the profile that is asked for (draft-ietf-acme-profiles, meta.profiles)."""
    if directory.problem is not None:
        return Finding("ca.profile", Status.UNKNOWN, "the authority was not reached", "mend `ca.reachable` first")
    if wanted is None or wanted in directory.profiles:
        told = "no profile is asked for" if wanted is None else f"the authority offers the profile {wanted}"
        return Finding("ca.profile", Status.OK, told)
    offered = ", ".join(directory.profiles) or "none"
    told = f"the authority does not offer the profile {wanted}: it offers {offered}"
    return Finding("ca.profile", Status.FAIL, told, "set `acme.profile` to one of these, or take it out")
