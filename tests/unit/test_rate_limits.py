"""How many answers a prefix may have."""

import ipaddress

import pytest

from appliance.model.errors import InvalidInput
from appliance.model.rate_limits import MOST_SLIPS_PER_SECOND, Budget, Limiter, RateLimit, Verdict

A, D, S = Verdict.ANSWER, Verdict.DROP, Verdict.SLIP
ADDRESS = bytes((192, 0, 2, 9))


def judged(limiter: Limiter, count: int, address: bytes = ADDRESS) -> list[Verdict]:
    return limiter.judge([address] * count)


@pytest.mark.parametrize(
    ("per_second", "slip", "expected"),
    [
        (3, 2, [A, A, A, D, S, D, S]),
        (3, 1, [A, A, A, S, S, S, S]),
        (3, 0, [A, A, A, D, D, D, D]),
        (1, 3, [A, D, D, S, D, D, S]),
    ],
)
def test_a_prefix_over_its_share_gets_silence_and_now_and_then_tc(
    per_second: int, slip: int, expected: list[Verdict]
) -> None:
    assert judged(Limiter(RateLimit(per_second, slip)), len(expected)) == expected


def test_a_budget_is_the_same_every_second() -> None:
    budget = Budget(2)
    assert [budget.take(now) for now in (7.0, 7.5, 7.9, 8.0, 8.1, 8.2)] == [True, True, False] * 2
    assert [budget.is_spent(now) for now in (8.9, 9.0)] == [True, False]


@pytest.mark.parametrize("is_within_a_second", [True, False])
def test_no_validation_reaches_the_default(is_within_a_second: bool) -> None:
    """RFC 8555 §8.4 as CAs do it: from several networks at once, each walks down from the SOA and NS to the TXT, for
    the apex and the wildcard of an order, all asked twice as a resolver does that heard nothing.
    """
    limiter = Limiter(RateLimit())
    vantages = [bytes((198, 51, network, 7)) for network in range(5)]
    for _ in ("the apex", "the wildcard"):
        for number, _ in enumerate(("SOA", "NS", "CAA", "TXT", "TXT again")):
            limiter.tick(10.0 if is_within_a_second else 10.0 + number)
            assert limiter.judge(vantages) == [A] * 5
            assert limiter.judge(vantages) == [A] * 5


def test_a_clock_read_earlier_begins_no_second() -> None:
    """Two threads may come in another order than they looked at the clock."""
    limiter = Limiter(RateLimit(1, 0))
    limiter.tick(11.0)
    assert judged(limiter, 2) == [A, D]
    limiter.tick(10.9)
    assert judged(limiter, 1) == [D]


def test_every_second_begins_anew() -> None:
    limiter = Limiter(RateLimit(1, 0))
    limiter.tick(10.1)
    assert judged(limiter, 2) == [A, D]
    limiter.tick(10.9)
    assert judged(limiter, 1) == [D]
    limiter.tick(11.0)
    assert judged(limiter, 2) == [A, D]


def test_a_flood_does_not_get_an_answer_for_every_second_question() -> None:
    """An answer each would cost what the limit was to save; but some get through in every second."""
    limiter = Limiter(RateLimit(1, 2))
    for second in range(4):
        limiter.tick(float(second))
        verdicts = judged(limiter, 100_000)
        assert 0 < verdicts.count(S) <= MOST_SLIPS_PER_SECOND


def networks(first: int, count: int) -> list[bytes]:
    """An address of each of so many /24."""
    return [bytes((first, *number.to_bytes(2, "big"), 1)) for number in range(count)]


@pytest.mark.parametrize(("prefixes", "most_limited"), [(1, 0), (500, 5), (2_000, 10), (20_000, 200)])
def test_a_flood_from_many_prefixes_leaves_the_others_alone(prefixes: int, most_limited: int) -> None:
    """Of 20,000 others (nearly) all are answered.

    Who shares a cell with whom is chance: 0, 0.1, 1.2 and 108 of them are expected to share both. One core cannot take
    as much as the last one takes.
    """
    limiter = Limiter(RateLimit(20, 0))
    for address in networks(10, prefixes):
        judged(limiter, 25, address)
    assert limiter.judge(networks(11, 20_000)).count(D) <= most_limited


def test_who_is_limited_with_a_flood_is_not_so_in_the_next_second() -> None:
    """Whoever shares its cells with flooding prefixes would be left out for as long as the flood lasts."""
    limiter = Limiter(RateLimit(1, 0))
    left_out = networks(11, 20_000)
    for second in range(3):
        limiter.tick(float(second + 1))
        limiter.judge(networks(10, 40_000))
        verdicts = limiter.judge(left_out)
        left_out = [address for address, verdict in zip(left_out, verdicts, strict=True) if verdict is D]
    assert len(left_out) < 20


@pytest.mark.parametrize(
    ("exempt", "address", "is_exempt"),
    [
        ("192.0.2.0/24", bytes((192, 0, 2, 9)), True),
        ("192.0.2.9", bytes((192, 0, 2, 9)), True),
        ("192.0.2.8", bytes((192, 0, 2, 9)), False),
        ("0.0.0.0/0", bytes((192, 0, 2, 9)), True),
        ("::/0", bytes((192, 0, 2, 9)), False),
        ("2001:db8::/32", bytes.fromhex("20010db8") + bytes(12), True),
        ("2001:db9::/32", bytes.fromhex("20010db8") + bytes(12), False),
    ],
)
def test_exempt_prefixes_are_never_limited(exempt: str, address: bytes, is_exempt: bool) -> None:
    limiter = Limiter(RateLimit(1, 0, (exempt,)))
    assert judged(limiter, 3, address) == [A, A if is_exempt else D, A if is_exempt else D]


@pytest.mark.parametrize(
    ("per_second", "slip", "exempt", "message"),
    [
        (0, 2, (), "per_second is 0"),
        (256, 2, (), "per_second is 256"),
        (20, -1, (), "slip is -1"),
        (20, 2, ("192.0.2.1/24",), "192.0.2.1/24"),
        (20, 2, ("example.com",), "example.com"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(
    per_second: int, slip: int, exempt: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        RateLimit(per_second, slip, exempt)


@pytest.mark.parametrize(
    ("first", "second", "is_shared"),
    [
        ("192.0.2.1", "192.0.2.254", True),
        ("192.0.2.1", "192.0.3.1", False),
        ("2001:db8:1:200::1", "2001:db8:1:2ff:ffff::2", True),
        ("2001:db8:1:200::1", "2001:db8:1:300::1", False),
    ],
)
def test_a_share_is_for_a_prefix(first: str, second: str, is_shared: bool) -> None:
    """/24 and /56."""
    addresses = [ipaddress.ip_address(address).packed for address in (first, second)]
    assert Limiter(RateLimit(1, 0)).judge(addresses) == [A, D if is_shared else A]
