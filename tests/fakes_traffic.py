"""Fakes of what feeds the traffic accounts: a Traefik's counters, a kernel's connections, a disk that may refuse."""

from collections.abc import Callable

from appliance.model.errors import Unavailable
from appliance.model.flows import Flow, FlowReading
from appliance.model.traffic import Endpoint, Ledger, Scrape
from tests.fakes import FakeTrafficStore


class FakeServiceCounters:
    """Traefik's counters in a dict. A service that was removed is told once more, then no longer."""

    def __init__(self) -> None:
        self.process: float = 1.0
        self.problem = ""
        self.scrapes = 0
        self._services: dict[str, dict[str, int | None]] = {}
        self._removed: set[str] = set()

    def count(self, identity: str, request_bytes: int) -> None:
        """A request went through."""
        series = self._services.setdefault(identity, {"request_bytes:200:GET:http": 0, "requests:200:GET:http": 0})
        series["request_bytes:200:GET:http"] = (series["request_bytes:200:GET:http"] or 0) + request_bytes
        series["requests:200:GET:http"] = (series["requests:200:GET:http"] or 0) + 1

    def remove(self, identity: str) -> None:
        """Traefik has no such service any more."""
        self._removed.add(identity)

    def restart(self) -> None:
        """Another Traefik, which has counted nothing."""
        self.process += 1
        self._services.clear()

    def scrape(self, patience_seconds: float) -> Scrape:
        if self.problem:
            raise Unavailable(self.problem)
        self.scrapes += 1
        told = {identity: dict(series) for identity, series in self._services.items()}
        for identity in self._removed:
            self._services.pop(identity, None)
        self._removed.clear()
        return Scrape(self.process, told)


class FakeConnections:
    """A kernel's connections in a dict; those to endpoints that are not watched are not told."""

    def __init__(self, problem: str = "") -> None:
        self.problem = problem
        self.kernel = "kernel"
        self.is_whole = True
        self.still_open: dict[int, Flow] = {}
        self._ended: list[Flow] = []
        self._endpoints: frozenset[Endpoint] = frozenset()

    def start(self, on_failure: Callable[[BaseException], None]) -> None:
        if self.problem:
            raise Unavailable(self.problem)

    def stop(self) -> None:
        pass

    def numbering(self) -> str:
        return self.kernel

    def watch(self, endpoints: frozenset[Endpoint]) -> None:
        self._endpoints = endpoints

    def carry(self, cookie: int, endpoint: Endpoint, sent: int, received: int = 0) -> None:
        """An open connection has carried so much by now."""
        self.still_open[cookie] = Flow(cookie, endpoint, sent, received)

    def end(self, cookie: int) -> None:
        """A connection ends."""
        flow = self.still_open.pop(cookie)
        if flow.endpoint in self._endpoints:
            self._ended.append(flow)

    def read(self) -> FlowReading:
        ended, self._ended = tuple(self._ended), []
        is_whole, self.is_whole = self.is_whole, True
        listed = tuple(flow for flow in self.still_open.values() if flow.endpoint in self._endpoints)
        return FlowReading(listed, ended, 0.0, is_whole)


class RefusingTrafficStore(FakeTrafficStore):
    """A store that saves nothing while there is a problem."""

    def __init__(self) -> None:
        super().__init__()
        self.problem = ""

    def save(self, ledger: Ledger, now: float) -> None:
        if self.problem:
            raise Unavailable(self.problem)
        super().save(ledger, now)
