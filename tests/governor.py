"""An issuance governor over fakes of everything around it."""

from appliance.control.docket import IssuanceView, Limits
from appliance.control.issuance import Issuance
from appliance.model.acme_log import Cause, OrderFailed, Problem
from appliance.model.issuance import Record
from tests.fakes import FakeRouteFiles, FakeTraefik
from tests.fakes_issuance import FakeIssuanceStore, FakePreflights, FakeRehearsals

SHOP = "shop.customer.com"
WILDCARD = "*.gw.example.com"
EPOCH = 1_800_000_000.0


class Governor:
    """An issuance governor whose clock stands still until it is moved."""

    def __init__(self) -> None:
        self.now = EPOCH
        self.preflights = FakePreflights()
        self.traefik = FakeTraefik(FakeRouteFiles())
        self.store = FakeIssuanceStore()
        self.failures: list[BaseException] = []
        self.changes: list[frozenset[str]] = []
        self.per_hour = 90
        self.authority = "https://one.example/dir"
        self.staging = ""
        self.rehearsals = FakeRehearsals()

    def start(self) -> "Governor":
        self.issuance = Issuance(
            preflights=self.preflights,
            proxy=self.traefik,
            store=self.store,
            limits=lambda: Limits(self.per_hour, 3600.0, self.authority, self.staging),
            rehearsals=self.rehearsals,
            on_change=self.changes.append,
            clock=lambda: self.now,
        )
        self.issuance.start(self.failures.append)
        return self

    def restart(self) -> None:
        self.stop()
        self.start()

    def stop(self) -> None:
        self.issuance.stop()
        assert self.failures == []

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.issuance.look()

    def is_allowed(self, subject: str) -> bool:
        return self.issuance.verdict(subject) == (None, True)

    def reason(self, subject: str) -> str:
        return self.issuance.verdict(subject)[0] or ""

    def view(self, subject: str) -> IssuanceView:
        found = self.issuance.view(subject)
        assert found is not None
        return found

    def stored(self, subject: str = SHOP) -> Record:
        """What a restart would begin with."""
        return self.store.records.get(subject, Record())

    def fail(self, subject: str = SHOP, cause: Cause = Cause.PROBLEM, kind: str = "connection") -> None:
        problems = (Problem(kind, 400, "Timeout during connect", subject, None),) if cause is Cause.PROBLEM else ()
        at, self.now = self.now, self.now + 0.001
        self.issuance.heed(OrderFailed(at, "resolver", (subject,), cause, problems, "raw words", is_renewal=False))
