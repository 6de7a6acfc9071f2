"""What Traefik says of orders, on the lines that a real one wrote about a real Pebble (tests/golden/acme_log)."""

import contextlib
import datetime as dt
import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.model import acme_log, acme_problems, log_lines
from appliance.model.acme_log import Cause, Event, Obtained, OrderBegun, OrderFailed, Problem, ResolverSkipped

SAMPLES: Final = Path(__file__).parents[1] / "golden/acme_log"
NOW: Final = dt.datetime(2026, 11, 22, 23, 0, tzinfo=dt.UTC)


def lines_of(sample: str) -> list[dict[str, Any]]:
    """The sample's lines as the log relay keeps them."""
    text = (SAMPLES / f"{sample}.jsonl").read_text(encoding="utf-8")
    return [log_lines.fields("traefik", raw, NOW) for raw in text.splitlines()]


def events_of(sample: str) -> list[Event]:
    found = [acme_log.parse(line) for line in lines_of(sample)]
    return [event for event in found if event is not None]


def unix(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()


Told = list[tuple[str, int | None, str, float | None]]
# sample: resolver, domains, cause, is it a renewal, problems as (kind, status, host, when to come back)
FAILURES: Final[
    dict[str, tuple[str, tuple[str, ...], Cause, bool, list[tuple[str, int | None, str, float | None]]]]
] = {
    "account_gone": (
        "resolver",
        ("account-gone.customer.test",),
        Cause.PROBLEM,
        False,
        [("accountDoesNotExist", 400, "", None)],
    ),
    "account_refused": ("resolver", ("good2.customer.test",), Cause.PROBLEM, False, [("unauthorized", 403, "", None)]),
    "bad_nonce_always": (
        "resolver",
        ("bad-nonce-always.customer.test",),
        Cause.PROBLEM,
        False,
        [("badNonce", 400, "", None)],
    ),
    "ca_down": ("resolver", ("good.customer.test",), Cause.UNREACHABLE, False, []),
    "ca_untrusted": ("resolver", ("good5.customer.test",), Cause.UNREACHABLE, False, []),
    "caa": ("resolver", ("caa.nowhere.test",), Cause.PROBLEM, False, [("caa", 400, "caa.nowhere.test", None)]),
    "caa_at_finalize": (
        "resolver",
        ("caa-at-finalize.customer.test",),
        Cause.PROBLEM,
        False,
        [("caa", 403, "caa-at-finalize.customer.test", None)],
    ),
    "compound": (
        "resolver",
        ("a.nowhere.test", "b.nowhere.test"),
        Cause.PROBLEM,
        False,
        [("caa", 400, "", None), ("rejectedIdentifier", 400, "", None)],
    ),
    "connection_refused": (
        "resolver",
        ("refuse.customer.test",),
        Cause.PROBLEM,
        False,
        [("connection", 400, "refuse.customer.test", None)],
    ),
    "cut": ("resolver", ("cut.customer.test",), Cause.UNREACHABLE, False, []),
    "directory_503": ("resolver", ("good4.customer.test",), Cause.PROBLEM, False, [("", 503, "", None)]),
    "dns": ("resolver", ("dns.nowhere.test",), Cause.PROBLEM, False, [("dns", 400, "dns.nowhere.test", None)]),
    "dns_nxdomain": (
        "resolver",
        ("nowhere.customer.test",),
        Cause.PROBLEM,
        False,
        [("connection", 400, "nowhere.customer.test", None)],
    ),
    "eab_required": (
        "resolver",
        ("good3.customer.test",),
        Cause.PROBLEM,
        False,
        [("externalAccountRequired", 403, "", None)],
    ),
    "hook_failed": ("dnsresolver", ("gw.test", "*.gw.test"), Cause.HOOK, False, []),
    "internal_problem": (
        "resolver",
        ("internal-problem.customer.test",),
        Cause.PROBLEM,
        False,
        [("serverInternal", 500, "", None)],
    ),
    "order_not_ready": (
        "resolver",
        ("order-not-ready.customer.test",),
        Cause.PROBLEM,
        False,
        [("orderNotReady", 403, "order-not-ready.customer.test", None)],
    ),
    "plain_500": ("resolver", ("plain-500.customer.test",), Cause.PROBLEM, False, [("", 500, "", None)]),
    "plain_503": ("resolver", ("plain-503.customer.test",), Cause.PROBLEM, False, [("", 503, "", None)]),
    "propagation_no_server": ("dnsresolver", ("gw.test", "*.gw.test"), Cause.PROPAGATION, False, []),
    "rate_limited": (
        "resolver",
        ("rate-limited.customer.test",),
        Cause.PROBLEM,
        False,
        [("rateLimited", 429, "", unix("2026-11-23T00:51:10+00:00"))],
    ),
    "rate_limited_authorization": (
        "resolver",
        ("late.nowhere.test",),
        Cause.PROBLEM,
        False,
        [("rateLimited", 429, "late.nowhere.test", unix("2026-11-23T01:05:00+00:00"))],
    ),
    "rate_limited_no_time": (
        "resolver",
        ("rate-limited-no-time.customer.test",),
        Cause.PROBLEM,
        False,
        [("rateLimited", 429, "", None)],
    ),
    "rejected_identifier": (
        "resolver",
        ("rejected-identifier.customer.test",),
        Cause.PROBLEM,
        False,
        [("rejectedIdentifier", 400, "", None)],
    ),
    "renewal_without_client": ("dnsresolver", ("gw.test", "*.gw.test"), Cause.UNREACHABLE, True, []),
    "renewal_ca_down": ("resolver", ("renew.customer.test",), Cause.UNREACHABLE, True, []),
    "renewal_connection": (
        "resolver",
        ("renew.customer.test",),
        Cause.PROBLEM,
        True,
        [("connection", 400, "renew.customer.test", None)],
    ),
    "renewal_rate_limited": (
        "resolver",
        ("renew.customer.test",),
        Cause.PROBLEM,
        True,
        [("rateLimited", 429, "", unix("2026-11-22T23:55:34+00:00"))],
    ),
    "stall": ("resolver", ("stall.nowhere.test",), Cause.UNREACHABLE, False, []),
    "two_names": (
        "resolver",
        ("nowhere.customer.test", "alsonot.customer.test"),
        Cause.PROBLEM,
        False,
        [("connection", 400, "alsonot.customer.test", None), ("connection", 400, "nowhere.customer.test", None)],
    ),
    "unauthorized": (
        "resolver",
        ("wrong.customer.test",),
        Cause.PROBLEM,
        False,
        [("unauthorized", 403, "wrong.customer.test", None)],
    ),
}


@pytest.mark.parametrize("sample", FAILURES)
def test_a_failed_order_is_understood(sample: str) -> None:
    """One failure of the names as ordered, by the resolver that did, with type, status and words of the authority."""
    failures = [event for event in events_of(sample) if isinstance(event, OrderFailed)]
    assert len(failures) == 1
    (failed,) = failures
    told = [(one.kind, one.status, one.host, one.retry_at) for one in failed.problems]
    assert (failed.resolver, failed.domains, failed.cause, failed.is_renewal, told) == FAILURES[sample]
    assert abs(failed.at - NOW.timestamp()) < 1200
    assert all(one.detail for one in failed.problems)
    what, todo = acme_problems.describe(failed)
    assert what
    assert todo


def test_every_sample_is_looked_at() -> None:
    others = {"obtained", "renewed", "resolver_skipped_json", "resolver_skipped_mode"}
    assert {path.stem for path in SAMPLES.glob("*.jsonl")} == FAILURES.keys() | others


@pytest.mark.parametrize(
    ("sample", "domains"), [("obtained", ("good.customer.test",)), ("renewed", ("renew.customer.test",))]
)
def test_an_order_that_succeeds_begins_and_ends(sample: str, domains: tuple[str, ...]) -> None:
    begun, obtained = events_of(sample)
    assert isinstance(begun, OrderBegun)
    assert isinstance(obtained, Obtained)
    assert begun.domains == obtained.domains == domains
    assert begun.at <= obtained.at


def test_orders_that_never_came_to_the_authority_did_not_begin() -> None:
    assert [type(event) for event in events_of("ca_down")] == [OrderFailed]
    assert [type(event) for event in events_of("rate_limited")] == [OrderBegun, OrderFailed]


@pytest.mark.parametrize(
    ("sample", "words"), [("resolver_skipped_mode", "permissions 644"), ("resolver_skipped_json", "end of JSON input")]
)
def test_a_resolver_that_is_left_out_is_told(sample: str, words: str) -> None:
    (event,) = events_of(sample)
    assert isinstance(event, ResolverSkipped)
    assert event.resolver == "resolver"
    assert words in event.words


def test_a_key_authorization_in_the_authority_s_words_is_not_repeated() -> None:
    """Authorities quote the one they expected; the sample holds it, and what comes of it does not."""
    assert "2owKWjU3-8LPNXXDkDNbGLat7FEslR_Jmj1zOY4DT6E" in (SAMPLES / "unauthorized.jsonl").read_text("utf-8")
    assert "2owKWjU3-8LPNXXDkDNbGLat7FEslR" not in repr(events_of("unauthorized"))
    assert "2owKWjU3-8LPNXXDkDNbGLat7FEslR" not in repr(lines_of("unauthorized"))
    raw = json.loads((SAMPLES / "unauthorized.jsonl").read_text("utf-8").splitlines()[-1])
    line = {**raw, "program": "traefik", "level": "error"}  # as if the relay had let it through
    assert "2owKWjU3-8LPNXXDkDNbGLat7FEslR" not in repr(acme_log.parse(line))


def line(**changes: Any) -> dict[str, Any]:
    """A failure of Traefik's, changed."""
    usual = {
        "time": "2026-11-22T23:00:00.000Z",
        "level": "error",
        "program": "traefik",
        "message": "Unable to obtain ACME certificate for domains",
        "providerName": "resolver.acme",
        "domains": ["shop.customer.test"],
        "error": "no words that we know",
    }
    return {key: value for key, value in {**usual, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"message": "Some day they word it like this"},
        {"domains": "shop.customer.test"},
        {"domains": ["SHOP.customer.test."]},
        {"domains": None, "rule": "Host(`shop.customer.test`)"},
        {"message": "Error renewing the ACME thing: {shop.customer.test []}", "domains": None},
        {"error": None, "message": "no words that we know"},
        {"error": {"kind": "*fmt.wrapError", "error": "no words that we know"}},
        {"level": "critical"},
    ],
)
def test_an_unknown_wording_about_a_name_is_a_failure_with_its_raw_words(changes: dict[str, Any]) -> None:
    """What cannot be understood is not lost: the names are, and the words are told as they are."""
    failed = acme_log.parse(line(**changes))
    assert isinstance(failed, OrderFailed)
    assert (failed.domains, failed.cause, failed.problems) == (("shop.customer.test",), Cause.UNKNOWN, ())
    assert "no words that we know" in failed.words


@pytest.mark.parametrize(
    "changes",
    [
        {"program": "gateway"},
        {"level": "info"},
        {"level": "warning"},
        {"providerName": "file"},
        {"providerName": None},
        {"time": None},
        {"time": "yesterday"},
        {"message": None},
        {"message": 7},
        {"logger": "lego", "providerName": None},
    ],
)
def test_a_line_about_something_else_is_no_event(changes: dict[str, Any]) -> None:
    assert acme_log.parse(line(**changes)) is None


@pytest.mark.parametrize("changes", [{"domains": None}, {"domains": []}, {"domains": [""]}, {"domains": {"a": 1}}])
def test_a_failure_of_unknown_names_is_unreadable(changes: dict[str, Any]) -> None:
    """It is no failure of anything, and it is counted."""
    with pytest.raises(acme_log.Unreadable):
        acme_log.parse(line(**changes))


def problems_of(error: str, *domains: str) -> tuple[Problem, ...]:
    failed = acme_log.parse(line(error=error, domains=list(domains or ("shop.customer.test",))))
    assert isinstance(failed, OrderFailed)
    return failed.problems


LEAD: Final = "unable to generate a certificate for the domains [shop.customer.test]: "
GROUP: Final = LEAD + "resolver: one or more domains had a problem: [shop.customer.test: invalid authorization: "
RATE: Final = "acme: error: 429 :: POST :: https://ca/new :: urn:ietf:params:acme:error:rateLimited :: "


@pytest.mark.parametrize(
    ("detail", "retry_at"),
    [
        ("too many, retry after 2026-11-22 23:30:00 UTC: see https://x", unix("2026-11-22T23:30:00+00:00")),
        ("too many. Retry after 2026-11-22T23:30:00Z.", unix("2026-11-22T23:30:00+00:00")),
        ("retry after 2026-11-22 20:00:00 UTC", unix("2026-11-22T20:00:00+00:00")),
        ("too many requests", None),
        ("retry after 3600 seconds", None),
        ("retry after 2026-13-45 99:00:00 UTC", None),
        ("retry after 9999-12-31 23:59:59 UTC", None),
        ("retry after 2027-01-22 23:00:00 UTC", None),
    ],
)
def test_the_time_in_a_rate_limit_is_found_and_not_believed_blindly(detail: str, retry_at: float | None) -> None:
    (problem,) = problems_of(LEAD + RATE + detail)
    assert problem.is_rate_limit
    assert problem.retry_at == retry_at


def test_a_time_in_another_problem_is_no_rate_limit() -> None:
    (problem,) = problems_of(LEAD + RATE.replace("rateLimited", "caa") + "retry after 2026-11-22 23:30:00 UTC")
    assert problem.retry_at is None


@pytest.mark.parametrize(
    "quoted",
    [
        RATE + "retry after 2026-11-23 23:30:00 UTC",
        "] [shop.customer.test: " + RATE + "retry after 2026-11-23 23:30:00 UTC",
        "] [other.customer.test: " + RATE + "retry after 2026-11-23 23:30:00 UTC",
        ', problem: "urn:ietf:params:acme:error:rateLimited" :: retry after 2026-11-23 23:30:00 UTC',
        "\n[shop.customer.test: " + RATE,
    ],
)
def test_what_a_tenant_s_web_server_says_is_no_problem_of_the_authority(quoted: str) -> None:
    """The authority quotes what it found at the name; a made-up rate limit in it must not stop all orders."""
    error = f'{GROUP}acme: error: 403 :: urn:ietf:params:acme:error:unauthorized :: Invalid response: "{quoted}"]'
    assert [(one.kind, one.host) for one in problems_of(error)] == [("unauthorized", "shop.customer.test")]


def test_the_rate_limit_is_the_problem_to_act_on() -> None:
    error = (
        "resolver: one or more domains had a problem: "
        "[a.test: acme: error: 400 :: urn:ietf:params:acme:error:dns :: x] "
        "[b.test: acme: error: 429 :: urn:ietf:params:acme:error:rateLimited :: y]"
    )
    failed = acme_log.parse(line(error=error, domains=["a.test", "b.test"]))
    assert isinstance(failed, OrderFailed)
    assert [(one.kind, one.host) for one in failed.problems] == [("dns", "a.test"), ("rateLimited", "b.test")]
    assert failed.problem is not None
    assert failed.problem.is_rate_limit


def test_words_are_bounded() -> None:
    failed = acme_log.parse(line(error="x" * 100_000, domains=["a." * 1000, "shop.customer.test"]))
    assert isinstance(failed, OrderFailed)
    assert len(failed.words) == acme_log.LONGEST_WORDS
    assert failed.domains == ("shop.customer.test",)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
KEYS = ("time", "level", "program", "logger", "message", "providerName", "domains", "error", "rule", "resolver")


@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING | st.sampled_from(list(line().values()))))
def test_any_line_at_all_is_an_event_or_none_or_unreadable(content: dict[str, Any]) -> None:
    with contextlib.suppress(acme_log.Unreadable):
        acme_log.parse(content)


@given(st.text(max_size=200))
def test_any_words_at_all_are_a_failure(words: str) -> None:
    assert isinstance(acme_log.parse(line(error=words, message="m")), OrderFailed)
