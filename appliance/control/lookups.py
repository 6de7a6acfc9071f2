"""Keeps looking up the hosts somebody depends on, and tells when an answer changed.

Admission and certificates depend on what names resolve to; both are decided by pure functions over what is known here.
Look-ups happen on threads of their own, each ending when it ends, so that a resolver that takes seconds delays nobody.
When which host is asked for is decided by `model.askings`.
"""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from appliance.control.ports import Lookups
from appliance.model.askings import MOST_PROMPT, MOST_SLOW, Askings, Outcome
from appliance.model.backends import Address
from appliance.model.errors import NotFound, Unavailable
from appliance.model.resolution import Resolution, Resolutions


class Watch:
    """The hosts under watch and what is known of them. `on_change` is told (on a look-up thread) which changed.

    `clock` gives seconds that only rise.
    """

    def __init__(
        self,
        lookups: Lookups,
        on_change: Callable[[frozenset[str]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lookups = lookups
        self._on_change = on_change
        self._clock = clock
        self._wake = threading.Condition()
        self._askings = Askings()
        self._known: dict[str, Resolution] = {}
        self._wanted: frozenset[Address] = frozenset()
        self._failure: BaseException | None = None
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
        with self._wake:
            for gone in self._askings.want(hosts):
                self._known.pop(gone, None)
            self._wanted = wanted
            self._wake.notify()

    def ask_anew(self) -> None:
        """Ask for every host again, at once: somebody else answers now. What is known stays until they have."""
        with self._wake:
            self._askings.begin_anew()
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
        pool = ThreadPoolExecutor(MOST_PROMPT + MOST_SLOW, "lookup")
        try:
            while (host := self._next()) is not None:
                pool.submit(self._ask, host)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _next(self) -> str | None:
        """The next host to ask for; waits for one. None: stop. Raises what a look-up failed with."""
        with self._wake:
            while not self._stopping:
                if self._failure is not None:
                    raise self._failure
                now = self._clock()
                host = self._askings.take(now)
                if host is not None:
                    return host
                self._wake.wait(self._askings.pause(now))
            return None

    def _ask(self, host: str) -> None:
        try:
            if self._learn(host, look_up(self._lookups, host)):
                self._on_change(frozenset({host}))
        except BaseException as error:  # noqa: BLE001  a pool keeps errors to itself
            with self._wake:
                self._failure = error
                self._wake.notify()

    def _learn(self, host: str, answer: Resolution) -> bool:
        """Take an answer in; whether it is news."""
        with self._wake:
            is_wanted = self._askings.answered(host, self._outcome(answer), self._clock())
            self._wake.notify()
            known = self._known.get(host)
            if not is_wanted or known == answer:
                return False
            if not answer.is_certain and known is not None and known.is_certain:
                return False  # nobody could say: what was certain stays true until somebody says otherwise
            self._known[host] = answer
            return True

    def _outcome(self, answer: Resolution) -> Outcome:
        if not answer.is_certain:
            return Outcome.UNANSWERED
        is_settled = answer.problem is None and answer.addresses <= self._wanted
        return Outcome.SETTLED if is_settled else Outcome.WRONG


def look_up(lookups: Lookups, host: str) -> Resolution:
    """What a host resolves to right now, or why that cannot be said."""
    try:
        return Resolution(lookups.addresses(host), None)
    except NotFound as error:
        return Resolution(frozenset(), str(error))
    except Unavailable as error:
        return Resolution(frozenset(), str(error), is_certain=False)
