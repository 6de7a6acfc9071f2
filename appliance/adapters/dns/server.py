"""The server: what the rest of the appliance sees of DNS. Zones and values in; start, stop and counters.

Contents are replaced, never changed: a transport takes the current tables once per batch, so every question is answered
from one generation, and `publish` is in force for every question sent after it returned.
"""

import contextlib
import functools
import ipaddress
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from appliance import logs
from appliance.adapters.dns import sockets
from appliance.adapters.dns.cookies import Cookies
from appliance.adapters.dns.sockets import Listen, Pair
from appliance.adapters.dns.table import Table
from appliance.adapters.dns.tallies import Tallies
from appliance.adapters.dns.tcp import TcpServer
from appliance.adapters.dns.udp import Sighting, UdpServer
from appliance.control.ports import Counters, Load
from appliance.model.histories import Fetch
from appliance.model.rate_limits import Limiter, RateLimit
from appliance.model.zones import Contents, Zone, plain_text

log = logs.logger(__name__)

_MOST_SIGHTINGS = 1024
"""Emptied with every challenge and every five seconds. Under a flood no number would be enough, and all cost memory."""


class DnsServer:
    """An authoritative server on `listen`. Keeps the Protocol `Authority`, also before `start` and after `stop`.

    `nsid` is told to who asks for it (RFC 5001). `failed` is called with a thread's name when it ends by surprise.
    """

    def __init__(
        self,
        listen: Iterable[Listen],
        *,
        rate_limit: RateLimit | None = None,
        nsid: bytes | None = None,
        failed: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._listen = tuple(listen)
        self._failed = failed
        self._lock = threading.Lock()
        self._cookies = Cookies()
        # One for each thread, so that none counts where another one does: the sockets in their order, then TCP.
        self._tallies = (*(Tallies("udp") for _ in self._listen), Tallies("tcp"))
        self._sightings: deque[Sighting] = deque(maxlen=_MOST_SIGHTINGS)
        self._pairs: list[Pair] = []
        self._udp: list[UdpServer] = []
        self._threads: list[threading.Thread] = []
        self._bell: tuple[socket.socket, socket.socket] | None = None
        self._is_stopping = False
        self._nsid = nsid
        self._rate_limit: RateLimit | None = None
        self._limiter: Limiter | None = None
        self._limit(rate_limit)
        self._replace(Contents.of((), 0, {}))

    def set_zones(self, zones: Iterable[Zone]) -> None:
        """Answer for exactly these zones from now on. No question is lost meanwhile."""
        with self._lock:
            self._replace(Contents.of(zones, self._contents.serial, self._contents.texts))

    def configure(self, *, rate_limit: RateLimit | None, nsid: bytes | None) -> None:
        """Have this limit, and be called this, from now on. No question is lost meanwhile."""
        with self._lock:
            self._nsid = nsid
            self._replace(self._contents)
            self._limit(rate_limit)

    def publish(self, serial: int, values: Mapping[str, tuple[str, ...]]) -> None:
        """Answer with these TXT values (plain owner name -> values) when this returns."""
        with self._lock:
            self._replace(self._contents.with_values(serial, values))

    def fetches(self) -> Sequence[Fetch]:
        """The queries answered with TXT values since the last call, oldest first; of more than 1024 the last.

        Under a flood most of them say the same: each name and each address is spelled out once, and kept once.
        """
        name_of, address_of = functools.cache(plain_text), functools.cache(_shown_address)
        fetches = []
        with contextlib.suppress(IndexError):  # a full one lets its oldest go meanwhile
            for _ in range(len(self._sightings)):  # and no more: under a flood they come as fast as they are taken
                at, source, name = self._sightings.popleft()
                fetches.append(Fetch(name_of(name), at, address_of(source)))
        return fetches

    def counters(self) -> Counters:
        """A snapshot of what was counted since construction."""
        contents, tallies = self._contents, self._tallies
        by_transport = {name: [tally for tally in tallies if tally.transport == name] for name in ("udp", "tcp")}
        return Counters(
            queries=sum((Counter(tally.queries()) for tally in tallies), Counter[tuple[str, str, str]]()),
            rate_limited={
                "dropped": sum(tally.dropped for tally in tallies),
                "slipped": sum(tally.slipped for tally in tallies),
            },
            overflowed=sum(sockets.overflowed(pair.udp) for pair in self._pairs),
            seconds={name: sum(tally.seconds for tally in found) for name, found in by_transport.items()},
            timed={name: sum(tally.timed for tally in found) for name, found in by_transport.items()},
            slowest_seconds={
                name: max((tally.slowest_seconds for tally in found), default=0.0)
                for name, found in by_transport.items()
            },
            rrsets=sum(name in contents.weights for name in contents.values)
            + 2 * len(contents.zones)
            + sum(len({":" in text for text in found}) for found in contents.addresses.values()),
        )

    def loads(self) -> Mapping[Listen, Load]:
        """What came over UDP since the start, by the address and port it came to; those of `bound`."""
        return {
            pair.udp.getsockname()[:2]: Load(tally.timed, tally.dropped + sockets.overflowed(pair.udp))
            for pair, tally in zip(self._pairs, self._tallies, strict=False)
        }

    def per_second(self) -> float:
        """About how many questions came a second lately, those limited included; 0 when none has come for a second."""
        now = time.monotonic()
        return sum(tally.per_second(now) for tally in self._tallies)

    @property
    def bound(self) -> list[Listen]:
        """The addresses and ports listened on, with the real port where 0 was asked for; empty when stopped."""
        return [pair.udp.getsockname()[:2] for pair in self._pairs]

    def start(self) -> None:
        """Listen, and return when questions are answered. Raises Unavailable when an address cannot be had."""
        if self._threads:
            return
        self._is_stopping = False
        self._pairs = sockets.bind(self._listen)
        self._bell = _, wake = socket.socketpair()
        self._udp = [
            UdpServer(
                pair.udp,
                functools.partial(self._table, index),
                self._tallies[index],
                self._sightings,
                lambda: self._limiter,
            )
            for index, pair in enumerate(self._pairs)
        ]
        listeners = [pair.tcp for pair in self._pairs]
        tcp = TcpServer(listeners, wake, functools.partial(self._table, -1), self._tallies[-1], self._sightings)
        for index, udp in enumerate(self._udp):
            self._start_thread(f"dns-udp-{index}", udp.run)
        self._start_thread("dns-tcp", tcp.run)
        log.info("DNS authority listens", addresses=[f"{address} port {port}" for address, port in self.bound])

    def stop(self) -> None:
        """Stop answering; returns when the threads have ended. May be repeated, and `start` may follow."""
        if self._bell is None:
            return
        bell, wake = self._bell
        self._is_stopping = True
        bell.close()  # the other end becomes readable
        for udp in self._udp:
            udp.stop()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._udp.clear()
        wake.close()
        pairs, self._pairs, self._bell = self._pairs, [], None
        sockets.close(pairs)

    def _limit(self, rate_limit: RateLimit | None) -> None:
        if rate_limit != self._rate_limit:  # else what was counted this second would be forgotten
            self._rate_limit = rate_limit
            self._limiter = Limiter(rate_limit) if rate_limit else None

    def _replace(self, contents: Contents) -> None:
        self._contents = contents
        *datagrams, stream = self._tallies
        self._tables = (
            *(Table(contents, tally, self._cookies, is_stream=False, nsid=self._nsid) for tally in datagrams),
            Table(contents, stream, self._cookies, is_stream=True, nsid=self._nsid),
        )

    def _table(self, index: int) -> Table:
        return self._tables[index]

    def _start_thread(self, name: str, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=self._guard, args=(name, run), name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _guard(self, name: str, run: Callable[[], None]) -> None:
        """A transport that ends by surprise is told to whoever can end the daemon, so that it is started anew."""
        try:
            run()
            if self._is_stopping:
                return
            log.error("thread ended by itself, please report it", thread=name)
        except Exception:
            log.exception("thread ended by surprise", thread=name)
        self._failed(name)


def _shown_address(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))
