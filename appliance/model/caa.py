"""Whether CAA records let a certificate authority issue for a name (RFC 8659; parameters: RFC 8657).

A certificate authority that is not named refuses, and what it says then rarely names the record. The records are looked
up by `adapters.delegation`, which climbs from the name to the first one that has any.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from appliance.model.findings import Finding, Status, record_line

Method = Literal["dns-01", "http-01"]

_CRITICAL = 128  # RFC 8659 §4.1: bit 0, the most significant
_LONGEST_SHOWN = 120
_KNOWN_TAGS = frozenset({"issue", "issuewild", "iodef", "issuemail", "issuevmc", "contactemail", "contactphone"})
"""What public authorities understand (RFC 8659 §4, RFC 9495, CA/Browser Forum Baseline Requirements)."""


@dataclass(frozen=True, slots=True)
class Record:
    """One CAA record. Tags are compared without regard to case (RFC 8659 §4.1)."""

    flags: int
    tag: str
    value: str

    def __str__(self) -> str:
        """For people: foreign text is cut, and kept from speaking to their terminal."""
        value = "".join(letter if letter.isprintable() else "?" for letter in self.value[:_LONGEST_SHOWN])
        tag = "".join(letter if letter.isalnum() else "?" for letter in self.tag[:_LONGEST_SHOWN])
        return f'{self.flags} {tag} "{value}"'


@dataclass(frozen=True, slots=True)
class Found:
    """The records that count for a name, and the name they were found at; none: `at` is None."""

    at: str | None
    records: tuple[Record, ...]
    problem: str
    """Why they could not be looked up; empty when they could. An authority does not issue then either."""


@dataclass(frozen=True, slots=True)
class _Property:
    """An `issue` or `issuewild` value taken apart; `issuer` is empty where nobody is allowed (RFC 8659 §4.2)."""

    issuer: str
    parameters: tuple[tuple[str, str], ...] = ()

    def allows(self, method: Method) -> bool:
        named = [value for tag, value in self.parameters if tag == "validationmethods"]
        return all(method in (item.strip() for item in value.split(",")) for value in named)

    def accounts(self) -> list[str]:
        return [value for tag, value in self.parameters if tag == "accounturi"]


def finding(
    host: str, found: Found, identities: Collection[str], method: Method, account: str | None = None
) -> Finding:
    """Whether an authority with these `identities` may issue for `host` (`*.` in front: a wildcard certificate).

    `identities` are the domains it goes by (RFC 8555 §7.1.1, caaIdentities); empty: unknown, and then where
    there are records it can only be warned. `account` is the account's URL, for records that name one.
    """
    identity = f"caa:{host}"
    if found.problem:
        return Finding(identity, Status.UNKNOWN, f"CAA records: {found.problem}", "look again; see `dns.resolvers`")
    unknown = sorted((record for record in found.records if _is_refused_by_all(record)), key=str)
    if unknown:
        told = f"{found.at} has the CAA record {unknown[0]}, which is critical and known to no authority"
        return Finding(identity, Status.FAIL, told, f"remove that record at {found.at}")
    properties = _properties(host, found.records)
    if properties is None:
        shown = f"no CAA record forbids anybody to issue for {host}"
        return Finding(identity, Status.OK, shown if found.at is None else f"{shown} ({_shown(found)})")
    return _judged(identity, host, found, properties, frozenset(identities), method, account)


def _judged(
    identity: str,
    host: str,
    found: Found,
    properties: list[_Property],
    identities: frozenset[str],
    method: Method,
    account: str | None,
) -> Finding:
    if not identities:
        if not any(item.issuer for item in properties):
            told = f"CAA records forbid everybody to issue for {host}: {_shown(found)}"
            return Finding(identity, Status.FAIL, told, f"remove them at {found.at}, or allow the authority")
        # No reason to hold an order back for ever: nobody could mend that here, and the authority will say.
        told = f"{_shown(found)}, and the certificate authority does not say which of these it is"
        return Finding(identity, Status.WARN, told, "ask the authority by which CAA domain it goes")
    tag = "issuewild" if host.startswith("*.") else "issue"
    create = f"create {record_line(str(found.at), 'CAA', str(Record(0, tag, min(identities))))}"
    named = [item for item in properties if item.issuer in identities]
    if not named:
        told = f"CAA records forbid {min(identities)} to issue for {host}: {_shown(found)}"
        return Finding(identity, Status.FAIL, told, create)
    allowed = [item for item in named if item.allows(method)]
    if not allowed:
        told = f"CAA records forbid {min(identities)} to issue for {host} by {method}: {_shown(found)}"
        return Finding(identity, Status.FAIL, told, f"{create} (without validationmethods, or with {method} in it)")
    if any(not item.accounts() or account in item.accounts() for item in allowed):
        return Finding(identity, Status.OK, f"CAA records allow {min(identities)} for {host}: {_shown(found)}")
    status, which = (Status.WARN, "it is not known here") if account is None else (Status.FAIL, f"ours is {account}")
    told = f"CAA records allow {host} for one account only, and {which}: {_shown(found)}"
    return Finding(identity, status, told, f"compare accounturi with this gateway's account, or {create}")


def _is_refused_by_all(record: Record) -> bool:
    return bool(record.flags & _CRITICAL) and record.tag.lower() not in _KNOWN_TAGS


def _properties(host: str, records: Iterable[Record]) -> list[_Property] | None:
    """What decides for this kind of name; None: nothing is restricted (RFC 8659 §4.2, §4.3)."""
    by_tag: dict[str, list[_Property]] = {}
    for record in records:
        by_tag.setdefault(record.tag.lower(), []).append(_parsed(record.value))
    if host.startswith("*.") and "issuewild" in by_tag:
        return by_tag["issuewild"]
    return by_tag.get("issue")


def _parsed(value: str) -> _Property:
    """One value; what does not follow the grammar allows nobody (RFC 8659 §4.2)."""
    issuer, *rest = (part.strip() for part in value.split(";"))
    parameters: list[tuple[str, str]] = []
    for part in filter(None, rest):
        tag, equals, content = part.partition("=")
        if not equals or not tag.strip().isalnum():
            return _Property("")
        parameters.append((tag.strip().lower(), content.strip()))
    name = issuer.lower().removesuffix(".")
    is_name = all(label and label.replace("-", "").isalnum() for label in name.split(".")) if name else False
    return _Property(name if is_name else "", tuple(parameters))


def _shown(found: Found) -> str:
    """The records in one order: name servers give them in any, and texts are compared."""
    records = sorted(map(str, found.records))
    shown = ", ".join(records[:4]) + (", ..." if len(records) > 4 else "")
    return f"{found.at} has CAA {shown}"
