"""Failures are braked for each client, and nobody else."""

import pytest

from appliance.model.throttles import Throttle


def test_a_burst_is_let_pass_and_then_time_decides() -> None:
    """Ten at once, then one every six seconds; the pause told is the one that helps."""
    throttle = Throttle(burst=10, pause_seconds=6.0)
    assert [throttle.failed("192.0.2.1", 100.0) for _ in range(10)] == [0] * 10
    pause = throttle.failed("192.0.2.1", 100.0)
    assert pause == 6
    assert throttle.failed("192.0.2.1", 100.0 + pause - 1) > 0
    assert throttle.failed("192.0.2.1", 100.0 + pause + 6) == 0


def test_to_go_on_failing_costs_no_longer_a_pause() -> None:
    """Those above the limit do not count, so a client that hammers is not shut out for ever."""
    throttle = Throttle(burst=2, pause_seconds=1.0)
    for _ in range(1000):
        throttle.failed("a", 0.0)
    assert throttle.failed("a", 1.5) == 0


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("", "192.0.2.1", False),
    ],
)
def test_who_counts_as_one_client(one: str, other: str, is_same: bool) -> None:
    """An IPv4 address, an IPv6 /64."""
    throttle = Throttle(burst=1, pause_seconds=60.0)
    assert throttle.failed(one, 0.0) == 0
    assert bool(throttle.failed(other, 0.0)) is is_same


def test_clients_are_forgotten_before_they_are_too_many() -> None:
    """A stranger with many addresses costs a bounded memory; who failed longest ago is forgotten first."""
    throttle = Throttle(burst=1, pause_seconds=1e9)
    for number in range(5000):
        throttle.failed(f"10.0.{number // 256}.{number % 256}", float(number))
    assert len(throttle._levels) == 4096
    assert throttle.failed("10.0.19.135", 5000.0) > 0
    assert throttle.failed("10.0.0.0", 5000.0) == 0
