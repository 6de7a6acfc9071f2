"""A certificate authority's problem types in plain words, each with what to do about it.

The types are those of RFC 8555, section 6.7, and of its extensions as far as public authorities send them. Used where
an operator is told why a certificate is missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from appliance.model.acme_log import Cause, OrderFailed, Problem


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a problem means, and what to do. Two sentences without a full stop at the end."""

    kind: str
    meaning: str
    todo: str


_TABLE: Final = (
    (
        "accountDoesNotExist",
        "the certificate authority does not know this gateway's account",
        (
            "check `acme.ca_server`; if it is right, move the certificate store aside and restart Traefik, which then "
            "registers a new account"
        ),
    ),
    ("alreadyReplaced", "another order has replaced this certificate already", "nothing: the newer one is served"),
    ("alreadyRevoked", "the certificate has been revoked already", "nothing: a new one is ordered"),
    (
        "badCSR",
        "the certificate authority does not accept this kind of certificate request",
        "set `acme.key_type` to a type that it takes, like EC256 or RSA2048",
    ),
    (
        "badNonce",
        "the certificate authority refused the request as a repetition, again and again",
        "nothing: it is tried again; if it stays, something between here and the authority keeps old answers (a proxy)",
    ),
    (
        "badPublicKey",
        "the certificate authority does not accept the key of the account or of the certificate",
        "set `acme.key_type` to a type that it takes, like EC256 or RSA2048",
    ),
    ("badRevocationReason", "the reason given for a revocation is not one", "nothing: no certificate depends on it"),
    (
        "badSignatureAlgorithm",
        "the certificate authority does not accept the signature of the account's key",
        "check that `acme.ca_server` is an RFC 8555 directory, and tell its operator",
    ),
    (
        "caa",
        "a CAA record of the domain, or of a domain above it, does not allow this certificate authority",
        (
            'add a CAA record that names the authority (for Let\'s Encrypt: 0 issue "letsencrypt.org"; a wildcard also '
            "needs its issuewild records to allow it), or remove those that forbid it"
        ),
    ),
    (
        "compound",
        "several names of the order failed for reasons of their own",
        "read the reasons of the single names",
    ),
    (
        "connection",
        "the certificate authority could not connect to the host the name leads to",
        (
            "let port 80 of this gateway be reached from everywhere, over IPv4 and, if the name has an AAAA record, "
            "over IPv6; check the firewall and that the name leads here only"
        ),
    ),
    (
        "dns",
        "the certificate authority could not look the name up",
        (
            "check from elsewhere that the name (for the wildcard: _acme-challenge.<domain>) resolves, that every name "
            "server of it answers, and that DNSSEC is right if the zone is signed"
        ),
    ),
    (
        "externalAccountRequired",
        "the certificate authority wants the account to be bound to one you have with it",
        "set `acme.eab.kid` and `acme.eab.hmac` as its operator gave them to you",
    ),
    (
        "incorrectResponse",
        "the certificate authority found another answer to its challenge than the right one",
        "check that the name leads to this gateway only, and that nothing before it (a CDN, a proxy) answers instead",
    ),
    (
        "invalidContact",
        "the certificate authority does not accept the e-mail address of the account",
        "set `acme.email` to an address that exists",
    ),
    (
        "invalidProfile",
        "the certificate authority does not offer the profile that was asked for",
        "set `acme.profile` to one that its directory lists, or to null",
    ),
    (
        "malformed",
        "the certificate authority could not make sense of the request",
        "check that the names are ones that can have a certificate; if they are, tell the maintainers the words below",
    ),
    (
        "orderNotReady",
        "the order was not complete when the certificate was asked for",
        "nothing: it is tried again",
    ),
    (
        "rateLimited",
        "the certificate authority has had too many requests from this account, or for this domain",
        "wait: it is tried again when the authority allows it, and trying earlier makes the wait longer",
    ),
    (
        "rejectedIdentifier",
        "the certificate authority does not issue for this name, by its policy",
        "check the spelling of the name; else ask the authority, or use another one (`acme.ca_server`)",
    ),
    (
        "serverInternal",
        "the certificate authority has a fault of its own",
        "nothing: it is tried again; its status page may say more",
    ),
    (
        "tls",
        "the certificate authority could not make a TLS connection while it checked the name",
        "check that the name leads to this gateway only, and that port 443 is not answered by something else",
    ),
    (
        "unauthorized",
        "the certificate authority found no right answer to its challenge, or does not let this account act",
        (
            "check that the name leads to this gateway only, with every A and AAAA record, and that nothing before it "
            "(a CDN, a proxy) answers instead; for a wildcard, that the delegation leads here"
        ),
    ),
    ("unsupportedContact", "the certificate authority wants another kind of contact", "set `acme.email`"),
    (
        "unsupportedIdentifier",
        "the certificate authority does not issue for names of this kind",
        "use a host name it issues for; a wildcard needs an authority that offers DNS-01",
    ),
    (
        "userActionRequired",
        "the certificate authority wants something to be agreed to, most often new terms of service",
        "visit the address in the words below, then restart Traefik",
    ),
)

KINDS: Final[Mapping[str, Explanation]] = {row[0]: Explanation(*row) for row in _TABLE}
"""By the last part of the problem type's URN."""

_OTHER_CAUSES: Final = {
    Cause.UNREACHABLE: (
        "the certificate authority could not be talked to",
        (
            "check that this host reaches `acme.ca_server`: name resolution, the firewall, the proxy, and for a "
            "private authority `acme.ca_certificates`"
        ),
    ),
    Cause.HOOK: (
        "the DNS value of the challenge could not be handed to the authority on this host",
        "check that the control plane runs (`gateway status`); the log lines of Traefik that begin with dns01 say more",
    ),
    Cause.PROPAGATION: (
        "Traefik did not find the challenge's DNS value at the authoritative name servers",
        (
            "check the delegation of _acme-challenge.<domain> to this host and that port 53 is reached over UDP and "
            "TCP; where this host cannot reach its own name server, set `acme.propagation_check` to off"
        ),
    ),
    Cause.UNKNOWN: ("the order failed", "read the words of Traefik below"),
}


def explain(kind: str, status: int | None = None) -> Explanation:
    """The words for a problem type; a type without any, or none at all, is told from the HTTP status."""
    if kind in KINDS:
        return KINDS[kind]
    if kind in ("", "about:blank") and status is not None:
        is_fault = status >= 500
        meaning = f"the certificate authority answered with HTTP status {status} and no reason"
        return Explanation(kind, meaning, "nothing: it is tried again" if is_fault else "check `acme.ca_server`")
    meaning = f"the certificate authority reports {kind!r}" if kind else "the certificate authority refused the request"
    return Explanation(kind, meaning, "read its words below")


def describe(failed: OrderFailed) -> tuple[str, str]:
    """What happened, in plain words, and what to do. The raw words are `failed.words`."""
    problem = failed.problem
    if problem is None:
        return _OTHER_CAUSES[failed.cause]
    found = explain(problem.kind, problem.status)
    return _about(problem, found.meaning), found.todo


def _about(problem: Problem, meaning: str) -> str:
    return f"{problem.host}: {meaning}" if problem.host else meaning
