"""How a workload stands, how its certificate stands, and what is said of both."""

import ipaddress
from typing import Any

import pytest

from appliance.model import workloads
from appliance.model.admission import Route
from appliance.model.backends import Address
from appliance.model.resolution import Resolution, obstacle
from appliance.model.standings import Certificate, CertificateState, Standing, State, WorkloadView, certificate_of

HOST = "shop.customer.com"
OWN4, OWN6 = ipaddress.ip_address("203.0.113.10"), ipaddress.ip_address("2001:db8::10")
FOREIGN: Address = ipaddress.ip_address("198.51.100.7")


def route(*, tls_passthrough: bool = False) -> Route:
    backend = "10.1.2.3:443" if tls_passthrough else "http://10.1.2.3"
    document: dict[str, Any] = {"type": "gateway-fqdn-proxy", "fqdn": HOST, "backends": [backend]}
    workload = workloads.parse("shop", document | {"tls_passthrough": tls_passthrough})
    return Route(workload, HOST, None, workload.backends)


@pytest.mark.parametrize(
    ("resolution", "own", "expected"),
    [
        (None, {OWN4}, f"looking up where {HOST} points to"),
        (Resolution(frozenset({OWN4}), None), {OWN4}, None),
        (Resolution(frozenset({OWN4, OWN6}), None), {OWN4, OWN6}, None),
        (Resolution(frozenset({OWN6}), None), {OWN4, OWN6}, None),
        (
            Resolution(frozenset({FOREIGN}), None),
            {OWN4},
            f"{HOST} points to 198.51.100.7, which is not this gateway: point it to 203.0.113.10 only",
        ),
        (
            Resolution(frozenset({OWN4, OWN6}), None),
            {OWN4},
            f"{HOST} points to 2001:db8::10, which is not this gateway: point it to 203.0.113.10 only",
        ),
        (
            Resolution(frozenset(), f"{HOST} does not exist in the DNS"),
            {OWN4, OWN6},
            f"{HOST} does not exist in the DNS; create an address record for {HOST} with 2001:db8::10 and 203.0.113.10",
        ),
    ],
)
def test_a_certificate_needs_every_address_to_be_ours(
    resolution: Resolution | None, own: set[Address], expected: str | None
) -> None:
    assert obstacle(HOST, resolution, frozenset(own)) == expected


NONE, WITHHELD, PENDING, ISSUED = CertificateState


@pytest.mark.parametrize(
    ("served", "withheld", "certified", "state", "reason"),
    [
        (None, None, frozenset({HOST}), NONE, "the workload is not served"),
        (route(tls_passthrough=True), None, frozenset(), NONE, "TLS passthrough"),
        (route(), None, frozenset({HOST}), ISSUED, ""),
        (route(), None, frozenset({"*.customer.com"}), ISSUED, ""),
        (route(), "points elsewhere", frozenset({HOST}), ISSUED, ""),
        (route(), "points elsewhere", frozenset(), WITHHELD, "points elsewhere"),
        (route(), "points elsewhere", None, WITHHELD, "points elsewhere"),
        (route(), None, None, PENDING, "Traefik does not answer"),
        (route(), None, frozenset({"customer.com", "*.com"}), PENDING, "asked for at the certificate authority"),
    ],
)
def test_the_certificate_of_a_route(
    served: Route | None,
    withheld: str | None,
    certified: frozenset[str] | None,
    state: CertificateState,
    reason: str,
) -> None:
    found = certificate_of(served, withheld, certified)
    assert found.state is state
    assert found.reason.startswith(reason)


def test_a_workload_is_shown_in_the_documented_form() -> None:
    view = WorkloadView("shop", route().workload, HOST, Standing(State.APPLIED), Certificate(ISSUED))
    promised = {
        "id": "shop",
        "type": "gateway-fqdn-proxy",
        "host": HOST,
        "tls_passthrough": False,
        "backends": ["http://10.1.2.3:80"],
        "options": {},
        "state": "applied",
        "reason": "",
        "certificate": {"state": "issued", "reason": ""},
    }
    shown = view.document()
    assert {key: shown[key] for key in promised} == promised


def test_an_unreadable_workload_is_shown_without_type_and_host() -> None:
    broken = Standing(State.QUARANTINED, "not UTF-8 text")
    shown = WorkloadView("bad", None, None, broken, certificate_of(None, None, None)).document()
    assert (shown["type"], shown["host"], shown["tls_passthrough"], shown["backends"]) == (None, None, None, [])
    assert (shown["state"], shown["reason"]) == ("quarantined", "not UTF-8 text")
