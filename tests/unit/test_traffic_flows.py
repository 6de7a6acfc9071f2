"""The bytes of connections are counted once and for the right workload, however often and late they are read."""

from dataclasses import replace

import pytest

from appliance.model import flows
from appliance.model.flows import NOBODY, PARTING_SECONDS, Flow, FlowReading, based, flowed, owners_of, remembered
from appliance.model.traffic import Account, Claim, Ledger, followed

END, OTHER_END = ("10.0.0.2", 443), ("10.0.0.3", 443)
RAW = Claim("raw.gw.example.com", tls_passthrough=True, endpoints=frozenset({END}))
OWNERS = {END: "raw"}
LEDGER = followed(Ledger(), {"raw": RAW}, (), "", 0.0)


def flow(sent: int, received: int = 0, cookie: int = 1, endpoint: tuple[str, int] = END) -> Flow:
    return Flow(cookie, endpoint, sent, received)


def reading(still_open: list[Flow], ended: list[Flow], at: float = 0.0) -> FlowReading:
    return FlowReading(tuple(still_open), tuple(ended), at)


def bytes_of(ledger: Ledger, identity: str = "raw") -> tuple[int, int]:
    account = ledger.accounts[identity]
    return account.request_bytes, account.response_bytes


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        pytest.param([reading([], [flow(5, 7)])], (5, 7), id="ended between two readings"),
        pytest.param([reading([flow(5, 7)], [])], (5, 7), id="open"),
        pytest.param([reading([flow(5, 7)], []), reading([flow(5, 7)], [])], (5, 7), id="open and idle"),
        pytest.param([reading([flow(5, 7)], []), reading([flow(6, 9)], [])], (6, 9), id="open and busy"),
        pytest.param([reading([flow(5, 7)], []), reading([], [flow(8, 9)])], (8, 9), id="open, then ended"),
        pytest.param([reading([flow(5, 7)], [flow(8, 9)])], (8, 9), id="listed and ended in one reading"),
        pytest.param(
            [reading([flow(5)], []), reading([], []), reading([], [flow(8)])], (8, 0), id="its end comes late"
        ),
        pytest.param([reading([flow(5)], []), reading([], [])], (5, 0), id="its end never comes"),
        pytest.param([reading([], [flow(5, cookie=1), flow(5, cookie=2)])], (10, 0), id="two connections"),
        pytest.param([reading([flow(5, endpoint=OTHER_END)], [])], (0, 0), id="somebody else's"),
    ],
)
def test_each_byte_counts_once(readings: list[FlowReading], expected: tuple[int, int]) -> None:
    ledger = LEDGER
    for one in readings:
        ledger = flowed(ledger, OWNERS, one)
    assert bytes_of(ledger) == expected


def test_nothing_new_is_the_same_ledger_and_ended_connections_are_forgotten() -> None:
    ledger = flowed(LEDGER, OWNERS, reading([flow(5)], []))
    assert flowed(ledger, OWNERS, reading([flow(5)], [])) is ledger
    assert flowed(ledger, OWNERS, reading([], [flow(5)])).flows == {}
    parting = flowed(ledger, OWNERS, reading([], [], at=10.0))
    assert parting.flows[1].gone == 10.0
    assert flowed(parting, OWNERS, reading([], [], at=10.0 + PARTING_SECONDS)).flows == {}


def test_a_connection_stays_with_its_workload_after_an_update_and_a_deletion() -> None:
    ledger = flowed(LEDGER, OWNERS, reading([flow(5)], []))
    ledger = followed(remembered(ledger, OWNERS, 10.0), {}, (), "", 10.0)
    ledger = flowed(ledger, {}, reading([flow(50)], [flow(3, cookie=2)]))
    assert bytes_of(ledger) == (53, 0)
    heir = {END: "heir"}
    ledger = followed(ledger, {"heir": RAW}, (), "", 20.0)
    ledger = flowed(ledger, heir, reading([flow(60)], [flow(4, cookie=3)]))
    assert (bytes_of(ledger), bytes_of(ledger, "heir")) == ((63, 0), (4, 0))


def test_an_endpoint_that_was_given_up_is_its_former_workloads_for_an_hour() -> None:
    given_up = followed(remembered(LEDGER, OWNERS, 0.0), {}, (), "", 0.0)
    assert flows.LINGERING_SECONDS == 3600
    assert followed(given_up, {}, (), "", 3599.0).former
    assert not followed(given_up, {}, (), "", 3600.0).former


def test_what_a_connection_carried_before_it_had_this_owner_does_not_count() -> None:
    before = reading([flow(1000, 2000)], [])
    ledger = based(flowed(LEDGER, {}, before), OWNERS, before)
    assert bytes_of(ledger) == (0, 0)
    assert bytes_of(flowed(ledger, OWNERS, reading([], [flow(1001, 2002)]))) == (1, 2)


def test_connections_of_the_time_when_a_backend_was_shared_stay_nobodys() -> None:
    ledger = flowed(LEDGER, {END: NOBODY}, reading([flow(5)], [flow(6, cookie=2)]))
    ledger = flowed(ledger, OWNERS, reading([flow(50)], [flow(7, cookie=3)]))
    assert bytes_of(ledger) == (7, 0)


def test_owners_are_the_passthrough_workloads_that_have_a_backend_to_themselves() -> None:
    plain = Claim("plain.gw.example.com", tls_passthrough=False, endpoints=frozenset({END}))
    other = Claim("other.gw.example.com", tls_passthrough=True, endpoints=frozenset({END, OTHER_END}))
    assert owners_of({"raw": RAW}) == {END: "raw"}
    assert owners_of({"plain": plain}) == {}
    assert owners_of({"raw": RAW, "plain": plain}) == {END: NOBODY}
    assert owners_of({"raw": RAW, "other": other}) == {END: NOBODY, OTHER_END: "other"}


def test_another_kernels_connections_are_not_taken_for_this_ones() -> None:
    ledger = flowed(flows.on_kernel(LEDGER, "first"), OWNERS, reading([flow(5)], []))
    assert flows.on_kernel(ledger, "first") is ledger
    assert bytes_of(flowed(flows.on_kernel(ledger, "second"), OWNERS, reading([flow(3)], []))) == (8, 0)


def test_what_went_by_unseen_is_noted_where_it_could_be_missing() -> None:
    accounts = {
        "raw": Account("a", tls_passthrough=True),
        "plain": Account("b"),
        "null": Account("c", tls_passthrough=True, unmeasured="shared"),
        "gone": Account("d", tls_passthrough=True, deleted=1.0),
    }
    noted = flows.lost(Ledger(accounts=accounts), "some are missing", 0.0).accounts
    assert noted == accounts | {"raw": replace(accounts["raw"], incomplete=noted["raw"].incomplete)}
    assert noted["raw"].incomplete == "not complete: until 1970-01-01 00:00:00 UTC, some are missing"
