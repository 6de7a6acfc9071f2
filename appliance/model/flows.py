"""The payload of connections, added to the accounts of the workloads they belong to.

A connection belongs to whoever has its backend to itself when it is first seen, and stays with it until it ends,
whatever becomes of the route. The kernel's numbers for connections tell a connection that is seen again from a new one,
also after the control plane was started anew; what is already in the totals is kept beside each number.

Pure, and knows nothing of how connections are read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from appliance.model.traffic import Account, Carried, Claim, Endpoint, Former, Ledger, claimants, missing

LINGERING_SECONDS = 3600.0
"""How long a connection to a backend that was given up is still known as its former workload's."""

PARTING_SECONDS = 600.0
"""How long the last reading of a connection that is not open any more is waited for."""

NOBODY = ""
"""The owner of connections that cannot be told apart."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One reading of one connection from Traefik to a backend: payload bytes since it was opened."""

    cookie: int
    """The kernel's number for it, never given twice while that kernel runs."""
    endpoint: Endpoint
    sent_bytes: int
    """Towards the backend: what the client sent."""
    received_bytes: int


@dataclass(frozen=True, slots=True)
class FlowReading:
    """Everything there is to know at one moment."""

    still_open: tuple[Flow, ...]
    ended: tuple[Flow, ...]
    """The last reading of each connection that ended since the reading before, or shortly before that."""
    at: float
    """Unix time."""
    is_whole: bool = True
    """False: the kernel had to drop some of `ended`."""


def owners_of(claims: Mapping[str, Claim]) -> dict[Endpoint, str]:
    """Whose the connections to each passthrough backend are; `NOBODY` where several workloads use it."""
    return {
        endpoint: identities[0] if len(identities) == 1 else NOBODY
        for endpoint, identities in claimants(claims).items()
    }


def flowed(ledger: Ledger, owners: Mapping[Endpoint, str], reading: FlowReading) -> Ledger:
    """Add a reading."""
    accounts: dict[str, Account] = {}
    flows = _parting(ledger.flows, reading)
    for flow in reading.still_open:
        carried = _add(ledger, owners, accounts, flow, ledger.flows.get(flow.cookie))
        if carried is not None:
            flows[flow.cookie] = carried
    for flow in reading.ended:
        _add(ledger, owners, accounts, flow, flows.pop(flow.cookie, None))
    if not accounts and flows == ledger.flows:
        return ledger
    return replace(ledger, accounts={**ledger.accounts, **accounts}, flows=flows)


def based(ledger: Ledger, owners: Mapping[Endpoint, str], reading: FlowReading) -> Ledger:
    """Give connections that were there before their backend had this owner to it, from here on.

    What they have carried so far was not for it: they may be Traefik's own of the time when it terminated TLS.
    """
    flows = dict(ledger.flows)
    for flow in reading.still_open:
        owner = owners.get(flow.endpoint)
        if owner is not None and flow.cookie not in flows:
            flows[flow.cookie] = Carried(owner, flow.sent_bytes, flow.received_bytes)
    return replace(ledger, flows=flows)


def lost(ledger: Ledger, what: str, now: float) -> Ledger:
    """Note on every passthrough account that is measured that some of its traffic went by unseen."""
    noted = {
        identity: replace(account, incomplete=missing(what, now))
        for identity, account in ledger.accounts.items()
        if account.tls_passthrough and account.deleted is None and not account.unmeasured
    }
    return replace(ledger, accounts={**ledger.accounts, **noted}) if noted else ledger


def on_kernel(ledger: Ledger, kernel: str) -> Ledger:
    """Connections numbered by another kernel are no more: their numbers mean others now."""
    return ledger if ledger.kernel == kernel else replace(ledger, kernel=kernel, flows={})


def remembered(ledger: Ledger, before: Mapping[Endpoint, str], now: float) -> Ledger:
    """Keep in mind whose the endpoints were until now: connections outlive the route that made them."""
    known = {endpoint: Former(identity, now + LINGERING_SECONDS) for endpoint, identity in before.items()}
    return replace(ledger, former={**ledger.former, **known}) if known else ledger


def _parting(flows: Mapping[int, Carried], reading: FlowReading) -> dict[int, Carried]:
    """The known connections that are not open any more, as long as their last reading may still come."""
    still_open = {flow.cookie for flow in reading.still_open}
    parting = {
        cookie: carried if carried.gone is not None else replace(carried, gone=reading.at)
        for cookie, carried in flows.items()
        if cookie not in still_open
    }
    return {cookie: one for cookie, one in parting.items() if reading.at - (one.gone or 0.0) < PARTING_SECONDS}


def _add(
    ledger: Ledger,
    owners: Mapping[Endpoint, str],
    accounts: dict[str, Account],
    flow: Flow,
    before: Carried | None,
) -> Carried | None:
    """What is carried of this connection now; None when it is no workload's."""
    identity = before.identity if before else _owner(ledger, owners, flow.endpoint)
    if identity is None:
        return None
    account = accounts.get(identity) or ledger.accounts.get(identity)
    sent = flow.sent_bytes - (before.sent_bytes if before else 0)
    received = flow.received_bytes - (before.received_bytes if before else 0)
    if account is not None and (sent > 0 or received > 0):
        accounts[identity] = replace(
            account,
            request_bytes=account.request_bytes + max(0, sent),
            response_bytes=account.response_bytes + max(0, received),
        )
    return Carried(identity, flow.sent_bytes, flow.received_bytes)


def _owner(ledger: Ledger, owners: Mapping[Endpoint, str], endpoint: Endpoint) -> str | None:
    former = ledger.former.get(endpoint)
    return owners.get(endpoint, former.identity if former else None)
