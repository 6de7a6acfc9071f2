"""Whether the account at the certificate authority will do, as far as the certificate store tells (RFC 8555 §7.1.2)."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from appliance.model.authorities import Directory
from appliance.model.findings import Finding, Status


@dataclass(frozen=True, slots=True)
class Account:
    """What a certificate store holds of an account. `url` is None before the first registration."""

    url: str | None
    status: str | None
    """The authority's word when it was registered: `valid`, `deactivated`, `revoked`."""


def finding(found: Account | None, directory: Directory, *, has_binding: bool) -> Finding:
    """The verdict on the account. `found` None: there is no store, or nothing in it yet.

    That the authority still knows the account shows at the next order only: asking would take the account's key.
    """
    if found is None or found.url is None:
        if directory.needs_account_binding and not has_binding:
            told = f"{directory.host} registers accounts only with an external account binding"
            return Finding(
                "ca.account", Status.FAIL, told, "set `acme.eab.kid` and `acme.eab.hmac` as it gave them to you"
            )
        return Finding("ca.account", Status.OK, "there is no account yet: the first order registers one")
    if found.status not in (None, "", "valid"):
        told = f"the account {found.url} is {found.status}"
        return Finding(
            "ca.account", Status.FAIL, told, "move traefik/acme*.json away and restart: a new one is registered"
        )
    host = urlsplit(found.url).hostname or ""
    if host != directory.host:
        told = f"the account is at {host}, and `acme.ca_server` at {directory.host}: a new one is registered there"
        return Finding("ca.account", Status.WARN, told, "nothing, if the authority was changed on purpose")
    return Finding("ca.account", Status.OK, f"the account {found.url} was registered")
