"""A workload is applied when Traefik reports what was rendered, and not before."""

import ipaddress
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from appliance.control.confirmation import Answers, Confirmation
from appliance.model import admission, workloads
from appliance.model.admission import Gateway
from appliance.model.backends import BackendPolicy
from appliance.model.plans import diff
from appliance.model.standings import State
from appliance.render import dynamic
from appliance.render.dynamic import Decision
from appliance.render.expectations import expectation
from tests.fakes import FakeRouteFiles, FakeTraefik

OWN = frozenset({ipaddress.ip_address("203.0.113.10")})
GATEWAY = Gateway(True, OWN, ("gw.example.com",), BackendPolicy(own=OWN))


def decision(identity: str, backend: str = "http://10.1.2.3", *, host: str = "", orders: bool = True) -> Decision:
    passthrough = "://" not in backend
    document = {"type": "gateway-name-proxy", "name": identity, "backends": [backend], "tls_passthrough": passthrough}
    if host:
        document = {"type": "gateway-fqdn-proxy", "fqdn": host, "backends": [backend], "tls_passthrough": passthrough}
    route = admission.route_of(workloads.parse(identity, document), GATEWAY, {})
    return Decision(route, orders_certificate=orders)


class Bench:
    """A confirmation beside a fake Traefik, without threads."""

    def __init__(self) -> None:
        self.files = FakeRouteFiles()
        self.traefik = FakeTraefik(self.files)
        self.now = 1000.0
        self.confirmation = Confirmation(self.traefik, lambda: self.now)
        self.lock = threading.Condition()

    def write(self, *decisions: Decision) -> None:
        """Write these routes, and expect what is new among them."""
        texts = {dynamic.file_name(item.route.id): dynamic.text(dynamic.document(item)) for item in decisions}
        plan = diff(self.files.current(), texts)
        self.files.write(plan)
        changed = {change.name for change in plan}
        fresh = {item.route.id: expectation(item) for item in decisions if f"{item.route.id}.yaml" in changed}
        gone = {name.removesuffix(".yaml"): None for name in changed - texts.keys()}
        self.confirmation.expect({**fresh, **gone})

    def ask(self) -> None:
        self.answers = self.confirmation.ask(self.lock)

    def after(self, seconds: float) -> None:
        """Ask now and then, until so much time has passed."""
        for _ in range(4):
            self.ask()
            self.now += seconds / 4
        self.ask()

    def state(self, identity: str = "blog") -> tuple[State, str]:
        standing = self.confirmation.standing(identity)
        return standing.state, standing.reason


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    "item",
    [
        decision("blog"),
        decision("blog", "https://10.1.2.3"),
        decision("blog", "10.1.2.3:443"),
        decision("blog", host="shop.customer.com"),
        decision("blog", host="shop.customer.com", orders=False),
        decision("blog", "10.1.2.3:443", host="shop.customer.com"),
    ],
)
def test_a_route_is_applied_when_it_is_reported_as_rendered(bench: Bench, item: Decision) -> None:
    bench.traefik.freeze()
    bench.write(item)
    bench.ask()
    assert bench.state() == (State.PENDING, "Traefik does not have the router yet")
    bench.traefik.thaw()
    bench.ask()
    assert bench.state() == (State.APPLIED, "")
    assert bench.answers.applied == {"blog"}


@pytest.mark.parametrize("is_silent", [False, True])
def test_nobody_sees_a_standing_before_what_follows_from_it(bench: Bench, is_silent: bool) -> None:
    """The lock that guards standings is not let go between the two."""
    bench.write(decision("blog"))
    bench.traefik.silent = is_silent
    got_in: list[bool] = []

    def look() -> None:
        if is_free := bench.lock.acquire(blocking=False):
            bench.lock.release()
        got_in.append(is_free)

    def heed(answers: Answers) -> None:
        assert answers.news == {"blog"}
        assert bench.confirmation.standing("blog").state is (State.PENDING if is_silent else State.APPLIED)
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()

    bench.confirmation.ask(bench.lock, heed)
    assert got_in == [False]


@pytest.mark.parametrize("others", [0, 20])
def test_a_router_that_an_update_breaks_is_never_taken_for_the_one_before(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """Traefik reads the update between two questions: whether it is asked one by one or for its lists."""
    fresh = [decision(f"other-{number}") for number in range(others)]
    bench.write(decision("blog"))
    bench.ask()
    bench.traefik.freeze()
    bench.write(decision("blog", "http://10.9.9.9"), *fresh)
    bench.traefik.rejected["10.9.9.9"] = "invalid something"
    for question in ("router", "service", "routers", "services"):
        monkeypatch.setattr(bench.traefik, question, read_after(bench.traefik, getattr(bench.traefik, question)))
    bench.ask()
    monkeypatch.undo()
    bench.ask()
    assert bench.state()[0] is State.QUARANTINED


def read_after(traefik: FakeTraefik, answer: Callable[..., Any]) -> Callable[..., Any]:
    """An answer after which Traefik reads its files."""

    def answered(*asked: str) -> Any:
        try:
            return answer(*asked)
        finally:
            traefik.thaw()

    return answered


@pytest.mark.parametrize("meanwhile", [(decision("blog", "http://10.9.9.9"),), ()])
def test_an_answer_about_one_version_says_nothing_of_what_was_written_meanwhile(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, meanwhile: tuple[Decision, ...]
) -> None:
    bench.write(decision("blog"))
    router = bench.traefik.router

    def answered_late(protocol: str, name: str) -> Mapping[str, Any] | None:
        found = router(protocol, name)
        bench.write(*meanwhile)
        return found

    monkeypatch.setattr(bench.traefik, "router", answered_late)
    bench.ask()
    assert not bench.answers.applied
    assert bench.state()[0] is State.PENDING
    monkeypatch.undo()
    bench.ask()
    assert bench.answers.applied == {item.route.id for item in meanwhile}


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (decision("blog"), decision("blog", "http://10.9.9.9"), "other servers"),
        (decision("blog"), decision("blog", "https://10.1.2.3"), "other servers"),
        (decision("blog", "http://10.1.2.3:443"), decision("blog", "https://10.1.2.3"), "other servers"),
        (decision("blog"), decision("blog", host="shop.customer.com"), "another rule"),
        (decision("blog", host="a.org"), decision("blog", host="a.org", orders=False), "other TLS settings"),
        (decision("blog", host="a.org", orders=False), decision("blog", host="a.org"), "other TLS settings"),
        (decision("blog"), decision("blog", "10.1.2.3:443"), "does not have the router yet"),
    ],
)
def test_an_update_is_pending_although_the_old_router_is_enabled(
    bench: Bench, before: Decision, after: Decision, reason: str
) -> None:
    bench.write(before)
    bench.ask()
    assert bench.state() == (State.APPLIED, "")
    bench.traefik.freeze()
    bench.write(after)
    assert bench.state() == (State.PENDING, "written; Traefik has not confirmed it yet")
    bench.ask()
    state, words = bench.state()
    assert state is State.PENDING
    assert reason in words
    assert bench.confirmation.is_working()
    bench.traefik.thaw()
    bench.ask()
    assert bench.state() == (State.APPLIED, "")
    assert not bench.confirmation.is_working()


def test_an_update_of_one_leaves_the_others_applied(bench: Bench) -> None:
    bench.write(decision("blog"), decision("shop"))
    bench.ask()
    bench.traefik.freeze()
    bench.write(decision("blog", "http://10.9.9.9"), decision("shop"))
    bench.ask()
    assert bench.state("blog")[0] is State.PENDING
    assert bench.state("shop") == (State.APPLIED, "")


def test_a_rejection_is_told_in_traefiks_words(bench: Bench) -> None:
    bench.traefik.rejected["blog.gw"] = "error while parsing rule"
    bench.write(decision("blog"), decision("shop"))
    bench.ask()
    assert bench.answers.rejected == {"blog": "error while parsing rule"}
    assert bench.answers.applied == {"shop"}
    assert bench.state("blog") == (State.QUARANTINED, "error while parsing rule")


def test_a_silent_traefik_makes_the_new_pending_and_takes_nothing_back(bench: Bench) -> None:
    bench.write(decision("shop"))
    bench.ask()
    bench.traefik.silent = True
    bench.write(decision("shop"), decision("blog"))
    bench.ask()
    assert bench.answers.is_news
    assert bench.state("blog")[0] is State.PENDING
    assert "Traefik does not answer" in bench.state("blog")[1]
    assert bench.state("shop") == (State.APPLIED, "")
    assert not bench.confirmation.is_working()
    bench.ask()
    assert not bench.answers.is_news
    bench.traefik.silent = False
    bench.ask()
    assert bench.state("blog") == (State.APPLIED, "")


def test_a_deletion_is_over_when_traefik_has_let_go(bench: Bench) -> None:
    bench.write(decision("blog"))
    bench.ask()
    bench.traefik.freeze()
    bench.write()
    bench.ask()
    assert bench.confirmation.is_leaving("blog")
    bench.traefik.thaw()
    bench.ask()
    assert bench.answers.is_news
    assert not bench.confirmation.is_leaving("blog")


def test_a_workload_that_comes_back_is_not_leaving(bench: Bench) -> None:
    bench.write(decision("blog"))
    bench.ask()
    bench.traefik.freeze()
    bench.write()
    bench.write(decision("blog"))
    assert not bench.confirmation.is_leaving("blog")
    bench.traefik.thaw()
    bench.ask()
    assert bench.state() == (State.APPLIED, "")


@pytest.mark.parametrize("count", [1, 8, 9, 40])
def test_few_are_asked_for_one_by_one_and_many_at_a_stroke(bench: Bench, count: int) -> None:
    bench.write(*(decision(f"w{number}") for number in range(count)))
    bench.ask()
    assert all(bench.state(f"w{number}") == (State.APPLIED, "") for number in range(count))
    assert bench.traefik.asked == (2 * count if count <= 8 else 2)


def test_what_is_known_is_not_asked_for_again_until_it_is_doubted(bench: Bench) -> None:
    bench.write(decision("blog"))
    bench.ask()
    asked = bench.traefik.asked
    bench.ask()
    assert bench.traefik.asked == asked
    bench.files.files.clear()
    bench.confirmation.doubt_all()
    assert bench.state() == (State.APPLIED, "")
    bench.ask()
    assert bench.state() == (State.PENDING, "Traefik does not have the router yet")
    assert not bench.confirmation.is_working()


def test_pauses_grow_up_to_half_a_second_and_begin_anew(bench: Bench) -> None:
    bench.traefik.silent = True
    bench.write(decision("blog"))
    found = [bench.confirmation.pause()]
    for _ in range(20):
        bench.ask()
        found.append(bench.confirmation.pause())
    assert found == sorted(found)
    assert (found[0], found[-1]) == (0.02, 0.5)
    bench.write(decision("blog", "http://10.9.9.9"))
    assert bench.confirmation.pause() == 0.02
    bench.traefik.silent = False
    bench.ask()
    assert bench.confirmation.pause() > 60


@pytest.mark.parametrize("hidden", ["blog-route", "blog"], ids=["router", "service"])
def test_what_traefik_does_not_report_for_long_is_overdue(bench: Bench, hidden: str) -> None:
    bench.traefik.hidden = {hidden}
    bench.write(decision("blog"), decision("shop"))
    bench.after(4.5)
    assert bench.confirmation.overdue() == frozenset()
    bench.after(1)
    assert bench.confirmation.overdue() == {"blog"}
    bench.traefik.hidden.clear()
    bench.ask()
    assert bench.confirmation.overdue() == frozenset()


def test_the_more_routes_the_longer_traefik_may_take(bench: Bench) -> None:
    bench.traefik.hidden = {"w0-route"}
    bench.write(*(decision(f"w{number}") for number in range(200)))
    bench.ask()
    bench.now += 5.1
    bench.ask()
    assert bench.confirmation.overdue() == frozenset()
    bench.now += 0.2
    bench.ask()
    assert bench.confirmation.overdue() == {"w0"}


def test_the_time_in_which_traefik_does_not_answer_does_not_count(bench: Bench) -> None:
    """It is restarted, and begins from nothing: whatever it has not read yet is not overdue."""
    bench.traefik.hidden = {"blog-route"}
    bench.write(decision("blog"))
    bench.after(4)
    bench.traefik.silent = True
    bench.after(60)
    assert bench.confirmation.overdue() == frozenset()
    bench.traefik.silent = False
    bench.after(4.5)
    assert bench.confirmation.overdue() == frozenset()
    bench.after(1)
    assert bench.confirmation.overdue() == {"blog"}


def test_what_was_applied_and_is_missing_now_is_overdue_after_the_same_time(bench: Bench) -> None:
    bench.write(decision("blog"))
    bench.ask()
    bench.after(60)
    bench.traefik.hidden = {"blog-route"}
    bench.confirmation.doubt_all()
    bench.after(4.5)
    assert bench.confirmation.overdue() == frozenset()
    bench.after(1)
    assert bench.confirmation.overdue() == {"blog"}


def passed_over_after(bench: Bench, seconds: float) -> list[str]:
    bench.after(seconds)
    return sorted(bench.confirmation.passed_over())


def test_a_router_that_is_missing_although_later_ones_were_read_is_passed_over(bench: Bench) -> None:
    """It cannot be that Traefik is slow, or that nothing in its directory can be read."""
    bench.traefik.hidden = {"blog-route"}
    bench.write(decision("blog"))
    assert passed_over_after(bench, 60) == []
    bench.traefik.freeze()
    bench.write(decision("blog"), decision("shop"))
    bench.ask()
    bench.traefik.thaw()
    assert passed_over_after(bench, 4.5) == []
    assert passed_over_after(bench, 1) == ["blog"]
    assert bench.confirmation.passed_over() == {
        "blog": "Traefik does not have the router yet, although it has read what was written after it"
    }


def test_what_was_read_before_it_was_missed_proves_nothing(bench: Bench) -> None:
    """A Traefik that was restarted unseen has read nothing yet."""
    bench.write(decision("blog"))
    bench.traefik.freeze()
    bench.write(decision("blog"), decision("shop"))
    bench.ask()
    bench.traefik.thaw()
    bench.ask()
    bench.traefik.hidden = {"blog-route", "shop-route"}
    bench.confirmation.doubt_all()
    assert passed_over_after(bench, 60) == []


def test_a_traefik_that_reads_nothing_any_more_passes_nobody_over(bench: Bench) -> None:
    bench.write(decision("old"))
    bench.ask()
    bench.traefik.freeze()
    bench.write(decision("old"), *(decision(f"w{number}") for number in range(5)))
    assert passed_over_after(bench, 60) == []
    assert bench.confirmation.overdue() == {f"w{number}" for number in range(5)}


def test_an_update_that_is_back_where_it_was_proves_nothing(bench: Bench) -> None:
    """Traefik reports it as rendered without having read it."""
    bench.write(decision("shop"))
    bench.ask()
    bench.traefik.freeze()
    bench.write(decision("shop"), decision("blog"))
    bench.write(decision("shop", "http://10.9.9.9"), decision("blog"))
    bench.write(decision("shop"), decision("blog"))
    assert passed_over_after(bench, 60) == []


def test_a_traefik_that_is_silent_after_it_read_has_to_prove_it_anew(bench: Bench) -> None:
    bench.traefik.hidden = {"blog-route"}
    bench.write(decision("blog"))
    bench.traefik.freeze()
    bench.write(decision("blog"), decision("shop"))
    bench.ask()
    bench.traefik.thaw()
    bench.ask()
    bench.traefik.silent = True
    bench.ask()
    bench.traefik.silent = False
    assert passed_over_after(bench, 60) == []


@pytest.mark.parametrize(("count", "lines"), [(1000, 1000), (1001, 1)])
def test_thousands_that_are_applied_at_once_are_one_line_in_the_log(
    bench: Bench, caplog: pytest.LogCaptureFixture, count: int, lines: int
) -> None:
    caplog.set_level("INFO")
    bench.write(*(decision(f"w{number}") for number in range(count)))
    bench.ask()
    assert bench.state("w0") == (State.APPLIED, "")
    assert len([record for record in caplog.records if "applied" in record.getMessage()]) == lines


def test_the_more_routes_there_are_the_later_traefik_is_asked_first(bench: Bench) -> None:
    bench.write(*(decision(f"w{number}") for number in range(500)))
    assert bench.confirmation.pause() == pytest.approx(0.05)
