"""Keeps looking up the hosts somebody depends on, and tells when an answer changed.

Admission and certificates depend on what names resolve to; both are decided by pure functions over what is known here.
Look-ups happen on threads of their own, so that a resolver that takes seconds delays nobody.
"""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from appliance.control.ports import Lookups
from appliance.model.backends import Address
from appliance.model.errors import NotFound, Unavailable
from appliance.model.resolution import Resolution, Resolutions

_SETTLED_SECONDS = 300.0
"""How soon a good answer is asked for again: a name that moves away should be noticed within minutes."""
_RETRY_SECONDS = 5.0
"""How soon a bad one is: somebody may be mending it right now."""
_MOST_AT_ONCE = 8


class Watch:
    """The hosts under watch and what is known of them. `on_change` is told (on a look-up thread) which changed."""

    def __init__(self, lookups: Lookups, on_change: Callable[[frozenset[str]], None]) -> None:
        self._lookups = lookups
        self._on_change = on_change
        self._wake = threading.Condition()
        self._known: dict[str, Resolution] = {}
        self._due: dict[str, float] = {}
        self._wanted: frozenset[Address] = frozenset()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self, on_failure: Callable[[BaseException], None]) -> None:
        """Begin looking up. `on_failure` is told when that ends unexpectedly."""
        self._thread = threading.Thread(target=self._guard, args=(on_failure,), name="lookups", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop; a look-up under way is not waited for."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def watch(self, hosts: Iterable[str], wanted: frozenset[Address]) -> None:
        """Watch exactly these hosts. One whose answer is not within the `wanted` addresses is asked for more often."""
        wanted_hosts = set(hosts)
        with self._wake:
            for gone in self._due.keys() - wanted_hosts:
                del self._due[gone]
                self._known.pop(gone, None)
            for new in wanted_hosts - self._due.keys():
                self._due[new] = 0.0
            self._wanted = wanted
            self._wake.notify()

    def known(self) -> Resolutions:
        """What is known now; a host that was not looked up yet is missing."""
        with self._wake:
            return dict(self._known)

    def answer(self, host: str) -> Resolution | None:
        """What is known of one host."""
        with self._wake:
            return self._known.get(host)

    def _guard(self, on_failure: Callable[[BaseException], None]) -> None:
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001  names that are never looked up again must not go unnoticed
            on_failure(error)

    def _run(self) -> None:
        pool = ThreadPoolExecutor(_MOST_AT_ONCE, "lookup")
        try:
            while (batch := self._next_batch()) is not None:
                answers: dict[str, Future[Resolution]] = {host: pool.submit(self._look_up, host) for host in batch}
                self._learn({host: answer.result() for host, answer in answers.items()})
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _next_batch(self) -> list[str] | None:
        """Up to a pool's worth of hosts that are due; waits for one. None: stop."""
        with self._wake:
            while not self._stopping:
                now = time.monotonic()
                due = sorted((moment, host) for host, moment in self._due.items() if moment <= now)
                if due:
                    return [host for _, host in due[:_MOST_AT_ONCE]]
                self._wake.wait(min(self._due.values()) - now if self._due else None)
            return None

    def _look_up(self, host: str) -> Resolution:
        return look_up(self._lookups, host)

    def _learn(self, answers: Resolutions) -> None:
        changed = set[str]()
        with self._wake:
            now = time.monotonic()
            for host, answer in answers.items():
                if host not in self._due:
                    continue
                is_good = answer.problem is None and answer.addresses <= self._wanted
                self._due[host] = now + (_SETTLED_SECONDS if is_good else _RETRY_SECONDS)
                known = self._known.get(host)
                if not answer.is_certain and known is not None and known.is_certain:
                    continue  # nobody could say: what was certain stays true until somebody says otherwise
                if known != answer:
                    changed.add(host)
                self._known[host] = answer
        if changed:
            self._on_change(frozenset(changed))


def look_up(lookups: Lookups, host: str) -> Resolution:
    """What a host resolves to right now, or why that cannot be said."""
    try:
        return Resolution(lookups.addresses(host), None)
    except NotFound as error:
        return Resolution(frozenset(), str(error))
    except Unavailable as error:
        return Resolution(frozenset(), str(error), is_certain=False)
