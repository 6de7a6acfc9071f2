"""Totals never fall and count every byte once, whatever becomes of the counters they are made of."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.model.traffic import (
    KEPT_SECONDS,
    Account,
    Claim,
    Ledger,
    Scrape,
    awaits_farewell,
    followed,
    grown_by,
    scraped,
)

ID = "37-2039_Blog"
HTTP = Claim("blog.gw.example.com", tls_passthrough=False, endpoints=frozenset({("10.0.0.1", 80)}))
RAW = Claim("raw.gw.example.com", tls_passthrough=True, endpoints=frozenset({("10.0.0.2", 443)}))

IN, OUT, COUNT = "request_bytes:200:GET:http", "response_bytes:200:GET:http", "requests:200:GET:http"


def page(process: float | None, value: int | None, name: str = IN) -> Scrape:
    return Scrape(process, {ID: {name: value}})


def empty(process: float | None) -> Scrape:
    return Scrape(process, {})


@pytest.mark.parametrize(
    ("last", "value", "expected"),
    [(None, 0, 0), (None, 7, 7), (7, 7, 0), (7, 9, 2), (7, 6, 6), (7, 0, 0), (0, 2**60, 2**60)],
)
def test_a_counter_adds_what_it_grew_by_since_its_last_value_or_reset(
    last: int | None, value: int, expected: int
) -> None:
    assert grown_by(last, value) == expected


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        pytest.param([page(1, 10)], 10, id="what Traefik counted before the first reading counts"),
        pytest.param([page(1, 10), page(1, 10)], 10, id="nothing happened"),
        pytest.param([page(1, 10), page(1, 25)], 25, id="it grows"),
        pytest.param([page(1, 10), page(2, 4)], 14, id="a restart of Traefik, seen by the fall"),
        pytest.param([page(1, 10), page(2, 10)], 20, id="a restart that has reached the same value"),
        pytest.param([page(1, 10), page(2, 50)], 60, id="a restart that has gone past it"),
        pytest.param([page(None, 10), page(None, 4)], 14, id="no start time: the fall alone tells"),
        pytest.param([page(1, 10), page(None, 12)], 12, id="a start time that is missing once is no restart"),
        pytest.param([page(None, 10), page(1, 12)], 12, id="nor one that appears"),
        pytest.param([page(1, 10), empty(1), page(1, 4)], 14, id="the service went and came back"),
        pytest.param([page(1, 10), empty(1), page(1, 40)], 50, id="it came back and went past its old value"),
        pytest.param([page(1, 10), empty(1), empty(1)], 10, id="it is gone for good"),
        pytest.param([page(1, 10), empty(2), page(2, 3)], 13, id="gone, restarted, back"),
        pytest.param([page(1, 10), page(1, None), page(1, 12)], 12, id="NaN once: the last value stays"),
        pytest.param([page(1, None), page(1, 12)], 12, id="NaN at first"),
        pytest.param([page(1, 10), page(2, None), page(2, 3)], 13, id="NaN right after a restart"),
    ],
)
def test_readings_add_up(pages: list[Scrape], expected: int) -> None:
    ledger = followed(Ledger(), {ID: HTTP}, (), "", 0.0)
    totals = []
    for scrape in pages:
        ledger = scraped(ledger, scrape)
        totals.append(ledger.accounts[ID].request_bytes)
    assert totals[-1] == expected
    assert totals == sorted(totals)


def test_series_add_up_to_directions_and_classes() -> None:
    series: dict[str, int | None] = {
        IN: 5,
        "request_bytes:404:POST:http": 6,
        OUT: 70,
        "response_bytes:500:GET:websocket": 8,
        COUNT: 3,
        "requests:204:PUT:http": 2,
        "requests:404:GET:http": 1,
        "requests:0:GET:http": 1,
    }
    ledger = scraped(followed(Ledger(), {ID: HTTP}, (), "", 0.0), Scrape(1.0, {ID: series, "somebody-elses": series}))
    entry = ledger.accounts[ID].document()
    assert (entry["request_bytes"], entry["response_bytes"]) == (11, 78)
    assert entry["requests"] == {"0xx": 1, "2xx": 5, "4xx": 1}
    assert (entry["reason"], entry["note"]) == ("", "")
    assert list(ledger.accounts) == [ID]


def test_a_reading_without_news_is_the_same_ledger() -> None:
    ledger = scraped(followed(Ledger(), {ID: HTTP}, (), "", 0.0), page(1, 10))
    assert scraped(ledger, page(1, 10)) is ledger


def test_a_deleted_workload_counts_to_its_end_and_comes_back_with_its_totals() -> None:
    ledger = scraped(followed(Ledger(), {ID: HTTP}, (), "", 0.0), page(1, 10))
    gone = followed(ledger, {}, (), "", 100.0)
    assert gone.accounts[ID].deleted == 100.0
    assert awaits_farewell(gone, {}, [ID])
    late = scraped(gone, page(1, 15))
    assert late.accounts[ID].request_bytes == 15
    parted = scraped(late, empty(1))
    assert not awaits_farewell(parted, {}, [ID])
    assert not awaits_farewell(gone, {}, ["another"])
    back = scraped(followed(parted, {ID: HTTP}, (), "", 200.0), page(1, 15))
    assert (back.accounts[ID].request_bytes, back.accounts[ID].deleted) == (30, None)


@pytest.mark.parametrize(("age", "is_kept"), [(0.0, True), (KEPT_SECONDS - 1, True), (KEPT_SECONDS, False)])
def test_a_deleted_workload_is_kept_for_thirty_days(age: float, is_kept: bool) -> None:
    gone = followed(followed(Ledger(), {ID: HTTP}, (), "", 0.0), {}, (), "", 1000.0)
    later = followed(gone, {}, (), "", 1000.0 + age)
    assert (ID in later.accounts) is is_kept


def test_a_workload_without_a_route_is_not_deleted() -> None:
    ledger = followed(followed(Ledger(), {ID: HTTP}, (), "", 0.0), {}, {ID}, "", 10.0)
    assert ledger.accounts[ID].deleted is None


def test_an_update_keeps_totals_and_takes_the_new_host() -> None:
    ledger = scraped(followed(Ledger(), {ID: HTTP}, (), "", 0.0), page(1, 10))
    moved = followed(ledger, {ID: replace(HTTP, host="new.gw.example.com")}, (), "", 5.0)
    assert moved.accounts[ID] == replace(ledger.accounts[ID], host="new.gw.example.com")


def test_passthrough_tells_bytes_and_no_requests() -> None:
    entry = followed(Ledger(), {ID: RAW}, (), "", 0.0).accounts[ID].document()
    assert (entry["request_bytes"], entry["response_bytes"], entry["requests"]) == (0, 0, None)
    assert "passthrough" in entry["reason"]


@pytest.mark.parametrize("twin", [replace(RAW, host="twin.gw.example.com"), replace(HTTP, endpoints=RAW.endpoints)])
def test_a_shared_passthrough_backend_is_null_with_the_reason_and_noted_afterwards(twin: Claim) -> None:
    alone = followed(Ledger(), {ID: RAW}, (), "", 0.0)
    shared = followed(alone, {ID: RAW, "twin": twin}, (), "", 10.0)
    entry = shared.accounts[ID].document()
    assert (entry["request_bytes"], entry["response_bytes"], entry["requests"]) == (None, None, None)
    assert "10.0.0.2 port 443 is also a backend of twin" in entry["reason"]
    twin_told = shared.accounts["twin"].document()["request_bytes"]
    assert (twin_told is None) is twin.tls_passthrough
    again = followed(shared, {ID: RAW}, (), "", 20.0).accounts[ID].document()
    assert again["request_bytes"] == 0
    assert again["note"].startswith("not complete: until 1970-01-01 00:00:20 UTC, its backend")


def test_a_host_that_cannot_measure_connections_says_so_instead_of_zero() -> None:
    ledger = followed(Ledger(), {ID: RAW, "plain": HTTP}, (), "the kernel does not tell", 0.0)
    entry = ledger.accounts[ID].document()
    assert (entry["request_bytes"], entry["reason"]) == (None, "the kernel does not tell")
    assert ledger.accounts["plain"].document()["request_bytes"] == 0


def test_counters_that_cannot_be_read_are_null_until_there_is_something_to_tell() -> None:
    new = Account("blog.gw.example.com")
    entry = new.document("Traefik does not answer")
    assert (entry["request_bytes"], entry["requests"], entry["reason"]) == (None, None, "Traefik does not answer")
    known = replace(new, request_bytes=10, requests={"2xx": 1}).document("Traefik does not answer")
    assert (known["request_bytes"], known["reason"]) == (10, "")
    assert known["note"] == "as of the last reading: Traefik does not answer"


_endpoints = st.frozensets(st.sampled_from([("10.0.0.1", 80), ("10.0.0.2", 443)]), min_size=1)
_claims = st.builds(Claim, st.sampled_from(["a.test", "b.test"]), st.booleans(), _endpoints)
_wanted = st.dictionaries(st.sampled_from("uvwxyz"), _claims)
_steps = st.lists(st.tuples(_wanted, st.frozensets(st.sampled_from("uvwxyz"))), min_size=1, max_size=6)


@given(_steps)
def test_looking_at_what_was_touched_gives_what_looking_at_all_gives(
    steps: list[tuple[dict[str, Claim], frozenset[str]]],
) -> None:
    quick, thorough = Ledger(), Ledger()
    claims, unrouted = dict[str, Claim](), frozenset[str]()
    for now, (wanted, others) in enumerate(steps):
        touched = {it for it in wanted.keys() | claims.keys() if wanted.get(it) != claims.get(it)} | (unrouted ^ others)
        claims, unrouted = wanted, others
        quick = followed(quick, claims, unrouted, "", float(now), touched)
        thorough = followed(thorough, claims, unrouted, "", float(now))
        assert quick == thorough
