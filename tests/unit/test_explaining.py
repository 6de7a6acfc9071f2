"""`explain`: each way in which a name is not on HTTPS has its own first bad line, and says what to do."""

import dataclasses
import time
from collections.abc import Callable, Iterator

import pytest

from appliance.cli import certificates as verbs
from appliance.control.explaining import Explainer
from appliance.model.acme_log import Cause, OrderFailed, Problem
from appliance.model.errors import InvalidInput, NotFound, Unavailable
from appliance.model.explanations import Explanation
from appliance.model.findings import Status
from appliance.model.inventory import Presented
from appliance.model.standings import State
from tests.fakes import until
from tests.plane import HERE, Plane, fqdn, name

BLOG = "blog.gw.example.com"
SHOP = "shop.customer.com"
DAY = 86_400.0


class Outside:
    """A plane, and what a client sees of it."""

    def __init__(self) -> None:
        self.plane = Plane()
        self.plane.lookups.answers |= {BLOG: HERE, SHOP: HERE, "gw.example.com": HERE, "free.gw.example.com": HERE}
        self.port: str | None = None
        self.unreachable: set[str] = set()
        self.shown: dict[str, Presented | str] = {}

    def start(self) -> "Outside":
        self.plane.start()
        self.explainer = Explainer(
            board=self.plane.applier.board,
            lookups=self.plane.lookups,
            proxy=self.plane.traefik,
            issuance=self.plane.issuance,
            probe=lambda: self,
            dial=lambda host, port: f"{host}:{port} refuses" if host in self.unreachable else None,
        )
        return self

    def presented(self, host: str) -> Presented | str:
        return self.shown.get(host, Presented("1", "TRAEFIK DEFAULT CERT", (), 0.0, time.time() + DAY))

    def refused(self) -> str | None:
        return self.port

    def serve(self, host: str, *names: str, days: float = 60) -> None:
        self.shown[host] = Presented("a1", "Test CA", names or (host,), 0.0, time.time() + days * DAY)

    def explain(self, host: str) -> Explanation:
        return self.explainer.explain(host)

    def first_bad(self, host: str) -> str | None:
        bad = self.explain(host).first_bad
        return bad.kind if bad else None

    def said(self, host: str) -> str:
        bad = self.explain(host).first_bad
        assert bad is not None
        assert bad.todo
        return f"{bad.evidence}: {bad.todo}"


@pytest.fixture
def outside() -> Iterator[Outside]:
    found = Outside().start()
    yield found
    found.plane.stop()


def live(outside: Outside) -> None:
    """A name proxy and an FQDN proxy, both on HTTPS."""
    outside.plane.put(name("blog"), fqdn("shop", SHOP))
    outside.plane.reaches("blog", State.APPLIED)
    until(lambda: outside.plane.orders("shop"))
    outside.plane.reaches("shop", State.APPLIED)
    outside.serve(BLOG, "*.gw.example.com")
    outside.serve(SHOP)


def test_a_name_on_https_has_no_bad_line_and_every_link(outside: Outside) -> None:
    live(outside)
    explained = outside.explain(BLOG.upper() + ".")
    assert explained.first_bad is None
    assert [finding.kind for finding in explained.findings] == [
        "workload",
        "dns",
        "port",
        "router",
        "service",
        "backend",
        "certificate",
    ]
    assert explained.workload == "blog"


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("elsewhere.org", "gateway route fqdn WLID elsewhere.org BACKEND"),
        ("free.gw.example.com", "gateway route name WLID free BACKEND --domain gw.example.com"),
        ("gw.example.com", "the gateway domain itself"),
        ("a.b.gw.example.com", "one label"),
    ],
)
def test_a_name_nobody_has_is_told_from_one_under_a_gateway_domain(outside: Outside, host: str, words: str) -> None:
    assert outside.first_bad(host) == "workload"
    assert words in outside.said(host)


def test_a_conflict_names_the_holder(outside: Outside) -> None:
    live(outside)
    outside.plane.put(fqdn("second", "other.customer.com"))
    outside.plane.put(name("rival", "blog"))
    outside.plane.reaches("rival", State.QUARANTINED)
    assert outside.explain(BLOG).workload == "blog"
    outside.plane.store.remove("blog")
    outside.plane.look()
    until(lambda: outside.explain(BLOG).workload == "rival")


def test_a_quarantined_workload_is_told_with_its_reason(outside: Outside) -> None:
    outside.plane.put(name("blog", backend="http://169.254.169.254"))
    outside.plane.reaches("blog", State.QUARANTINED)
    assert outside.first_bad(BLOG) == "workload"
    assert "169.254.169.254" in outside.said(BLOG)


BREAKAGES: dict[str, tuple[Callable[[Outside], object], str]] = {
    "dns: nowhere": (lambda o: o.plane.lookups.answers.update({SHOP: NotFound(f"{SHOP} is not there")}), "dns"),
    "port": (lambda o: setattr(o, "port", "127.0.0.1:443 takes no connection"), "port"),
    "router: Traefik away": (lambda o: setattr(o.plane.traefik, "silent", True), "router"),
    "router: gone": (lambda o: o.plane.traefik.hidden.add("shop-route"), "router"),
    "service: gone": (lambda o: o.plane.traefik.hidden.add("shop"), "service"),
    "backend": (lambda o: o.unreachable.add("10.1.2.3"), "backend"),
    "certificate: default": (lambda o: o.shown.pop(SHOP), "certificate"),
    "certificate: none": (lambda o: o.shown.update({SHOP: "connection reset"}), "certificate"),
    "certificate: over": (lambda o: o.serve(SHOP, days=-1), "certificate"),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_the_first_broken_link_is_the_first_bad_line(outside: Outside, breakage: str) -> None:
    live(outside)
    deed, kind = BREAKAGES[breakage]
    deed(outside)
    assert outside.first_bad(SHOP) == kind
    assert outside.said(SHOP)


def test_a_resolver_that_does_not_answer_is_not_taken_for_a_broken_name(outside: Outside) -> None:
    live(outside)
    outside.plane.lookups.answers[SHOP] = Unavailable("nobody answered")
    found = {finding.kind: finding.status for finding in outside.explain(SHOP).findings}
    assert found["dns"] is Status.UNKNOWN


def test_one_backend_of_several_that_is_away_is_a_warning(outside: Outside) -> None:
    both = dataclasses.replace(
        name("blog"), backends=(*name("blog").backends, *name("x", backend="http://10.1.2.4").backends)
    )
    outside.plane.put(both)
    outside.plane.reaches("blog", State.APPLIED)
    outside.serve(BLOG, "*.gw.example.com")
    outside.unreachable.add("10.1.2.4")
    explained = outside.explain(BLOG)
    assert explained.first_bad is None
    assert [f.status for f in explained.findings if f.kind == "backend"] == [Status.OK, Status.WARN]


def test_the_last_error_of_the_authority_and_the_next_try_are_told(outside: Outside) -> None:
    live(outside)
    outside.shown.pop(SHOP)
    problem = Problem("connection", 400, "Timeout during connect (likely firewall problem)", SHOP, None)
    event = OrderFailed(time.time(), "resolver", (SHOP,), Cause.PROBLEM, (problem,), "raw", is_renewal=False)
    outside.plane.issuance.heed(event)
    explained = outside.explain(SHOP)
    lines = {finding.kind: finding for finding in explained.findings}
    assert "likely firewall problem" in lines["last-error"].evidence
    assert "by itself" in lines["next-try"].evidence
    assert "could not connect" in lines["certificate"].todo


@pytest.mark.parametrize("text", ["", "a b", "-.org", "x" * 300, "http://shop.customer.com"])
def test_what_is_no_host_name_is_refused(outside: Outside, text: str) -> None:
    with pytest.raises(InvalidInput):
        outside.explain(text)


def test_the_page_points_at_the_first_bad_line_and_what_to_do(outside: Outside) -> None:
    live(outside)
    outside.unreachable.add("10.1.2.3")
    lines = verbs.page(outside.explain(SHOP).document()).splitlines()
    assert lines[0] == f"{SHOP}: NOT on HTTPS"
    (at,) = [number for number, line in enumerate(lines) if line.startswith("  BAD")]
    assert "10.1.2.3" in lines[at]
    assert lines[at + 1].strip().startswith("-> start the backend")
