"""The order log understands the Traefik that is installed: what it says of orders, word for word.

The samples in tests/golden/acme_log are of the Traefik they were taken from. Here is the one that runs.
"""

from collections.abc import Callable, Iterator

import pytest

from appliance.adapters.traefik_log import TraefikLog
from appliance.layout import Root
from appliance.model.acme_log import Cause, Event, Obtained, OrderBegun, OrderFailed
from tests.peers import addresses
from tests.peers import appliance as appliances
from tests.peers.appliance import Appliance, MakeAppliance
from tests.peers.fault_proxy import AUTHORIZATION, FINALIZE, FaultProxy
from tests.peers.launching import PeerError
from tests.peers.nsd import Nsd
from tests.peers.pebble import Pebble

HOST = "shop.customer.test"
Hear = Callable[[Appliance], list[Event]]


@pytest.fixture
def ca(pebble: Pebble) -> Iterator[FaultProxy]:
    with FaultProxy(pebble) as proxy:
        yield proxy


@pytest.fixture
def hear() -> Iterator[Hear]:
    """Gives a list that fills with what an appliance's order log tells."""
    logs: list[TraefikLog] = []
    failures: list[BaseException] = []

    def begin(one: Appliance) -> list[Event]:
        events: list[Event] = []
        logs.append(TraefikLog(Root(one.root).logs))
        logs[-1].start(events.append, failures.append)
        return events

    yield begin
    for log in logs:
        log.stop()
        assert log.unreadable == 0
    assert failures == []


def ordered(new_appliance: MakeAppliance, parent: Nsd, ca: FaultProxy, hear: Hear) -> tuple[Appliance, list[Event]]:
    """An appliance that has been given a host to order for, and what is heard of it."""
    parent.add_host(HOST)
    one = new_appliance(appliances.settings(ca)).start()
    events = hear(one)
    one.must("route", "fqdn", "1-2-shop", HOST, f"http://{addresses.BACKEND}:1")
    return one, events


def failure(one: Appliance, events: list[Event]) -> OrderFailed:
    """The first failure that is heard of."""

    def found() -> OrderFailed:
        for event in list(events):
            if isinstance(event, OrderFailed):
                return event
        raise PeerError(events)

    return one.program.until(found, "a failure is heard of", seconds=60)


def test_a_rate_limit_is_heard_with_its_time(
    new_appliance: MakeAppliance, parent: Nsd, ca: FaultProxy, hear: Hear
) -> None:
    ca.rate_limit(3600)
    one, events = ordered(new_appliance, parent, ca, hear)
    failed = failure(one, events)
    assert (failed.resolver, failed.domains, failed.cause, failed.is_renewal) == (
        "resolver",
        (HOST,),
        Cause.PROBLEM,
        False,
    )
    assert failed.problem is not None
    assert (failed.problem.kind, failed.problem.status) == ("rateLimited", 429)
    assert failed.problem.retry_at is not None
    assert 3500 < failed.problem.retry_at - failed.at <= 3601


@pytest.mark.parametrize(
    ("fault", "kind", "cause"),
    [
        (lambda ca: ca.problem("caa", "CAA record prevents issuance", path=FINALIZE), "caa", Cause.PROBLEM),
        (lambda ca: ca.server_error(), "", Cause.PROBLEM),
        (lambda ca: ca.cut(), None, Cause.UNREACHABLE),
        (lambda ca: ca.cut(path=AUTHORIZATION), None, Cause.UNREACHABLE),
    ],
    ids=["caa", "500", "cut", "cut at the authorization"],
)
def test_other_faults_are_heard_for_what_they_are(
    new_appliance: MakeAppliance,
    parent: Nsd,
    ca: FaultProxy,
    hear: Hear,
    fault: Callable[[FaultProxy], object],
    kind: str | None,
    cause: Cause,
) -> None:
    fault(ca)
    one, events = ordered(new_appliance, parent, ca, hear)
    failed = failure(one, events)
    assert (failed.domains, failed.cause, failed.problem and failed.problem.kind) == ((HOST,), cause, kind)


def test_a_certificate_that_comes_is_heard(
    new_appliance: MakeAppliance, parent: Nsd, ca: FaultProxy, hear: Hear
) -> None:
    one, events = ordered(new_appliance, parent, ca, hear)
    one.program.until(lambda: any(isinstance(event, Obtained) for event in list(events)), "it is heard of", seconds=60)
    begun, obtained = events
    assert isinstance(begun, OrderBegun)
    assert isinstance(obtained, Obtained)
    assert begun.domains == obtained.domains == (HOST,)
    assert len(ca.orders(HOST)) == 1
