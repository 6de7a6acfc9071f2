"""Rehearsals: an order is tried at the authority's staging directory before it is made in earnest.

One throw-away Traefik at a time orders for all that wait (see `Understudy`), on a thread of its own. For HTTP-01 the
real Traefik first has to lead the challenges to it: that takes a file in its directory, which `files` gives.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing

from appliance import logs
from appliance.control.ports import Proxy
from appliance.control.ports_issuance import Understudy
from appliance.model import issuance
from appliance.model.errors import Unavailable
from appliance.model.issuance import WILDCARD, Failure, Weight
from appliance.render import rehearsal
from appliance.render.expectations import rejection

log = logs.logger(__name__)

_SECONDS = 150.0
"""For one rehearsal. An order that goes well takes far less; one whose DNS-01 values do not come through says so after
a minute for each of its two names.
"""
_PATIENCE_SECONDS = 30.0
"""For Traefik to lead challenges to it: it may be restarting just then."""
_POLL_SECONDS = 0.1
_AT_ONCE = 20
_SILENT = (
    Weight.LASTING,
    f"neither a certificate nor a reason came within {_SECONDS:g} seconds",
    "look whether the directory answers; `acme.rehearsal: false` orders without a rehearsal",
)
_NO_WAY = "see `gateway status` for Traefik's state"
_BROKEN = "mend that; `acme.rehearsal: false` orders without a rehearsal"

OnOutcome = Callable[[str, str, Failure | None], None]
"""Told the subject, the staging directory, and why it failed; None: it went well."""
Files = Mapping[str, str]


class Rehearsals:
    """Keeps `control.ports_issuance.Rehearser` and `control.ports.Additions`. Safe to call from any thread.

    `understudy` makes a new one, None where nothing is rehearsed. `is_wanted` says whether anything is. `on_files` is
    told when `files` gives something else.
    """

    def __init__(
        self,
        *,
        understudy: Callable[[], Understudy | None],
        is_wanted: Callable[[], bool],
        proxy: Proxy,
        on_files: Callable[[], object],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._understudy = understudy
        self._is_wanted = is_wanted
        self._proxy = proxy
        self._on_files = on_files
        self._clock = clock
        self._wake = threading.Condition()
        self._waiting: dict[str, None] = {}
        self._led: tuple[tuple[str, ...], int] = ((), 0)
        self._files: tuple[object, Files] = (None, {})
        self._is_stopping = False
        self._thread: threading.Thread | None = None

    def start(self, on_failure: Callable[[BaseException], None], on_outcome: OnOutcome) -> None:
        """Begin. `on_failure` is told when it ends unexpectedly."""
        arguments = (on_failure, on_outcome)
        self._thread = threading.Thread(target=self._run, args=arguments, name="rehearsals", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the rehearsal under way, and begin none. May be repeated."""
        with self._wake:
            self._is_stopping = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def ask(self, subjects: Iterable[str]) -> None:
        """See `Rehearser.ask`."""
        with self._wake:
            self._waiting |= dict.fromkeys(subjects)
            self._wake.notify_all()

    def files(self) -> Files:
        """See `Additions.files`."""
        with self._wake:
            wanted = self._led if self._is_wanted() else ((), 0)
            if self._files[0] != wanted:
                self._files = (wanted, rehearsal.files(*wanted))
            return self._files[1]

    def written(self, files: Files) -> None:
        """See `Additions.written`. Traefik itself is asked instead."""

    def _run(self, on_failure: Callable[[BaseException], None], on_outcome: OnOutcome) -> None:
        try:
            while batch := self._await_some():
                self._rehearse(batch, on_outcome)
        except BaseException as error:  # noqa: BLE001  orders that wait for ever must not go unnoticed
            on_failure(error)

    def _await_some(self) -> list[str]:
        """The next to rehearse; none: stop."""
        with self._wake:
            self._wake.wait_for(lambda: self._waiting or self._is_stopping)
            batch = [] if self._is_stopping else list(self._waiting)[:_AT_ONCE]
            for subject in batch:
                del self._waiting[subject]
            return batch

    def _rehearse(self, subjects: Sequence[str], tell: OnOutcome) -> None:
        found = self._understudy()
        if found is None:
            return  # not wanted any more, and the governor has been told so
        untold, trouble = set(subjects), _SILENT
        with closing(found) as understudy:
            try:
                for subject, failure in self._outcomes(understudy, subjects):
                    untold.discard(subject)
                    tell(subject, understudy.directory, failure)
            except Unavailable as error:
                log.warning("orders cannot be rehearsed", reason=str(error))
                trouble = (Weight.PASSING, str(error), _BROKEN)
            finally:
                self._lead((), 0)
        for subject in sorted(untold) if not self._is_stopping else ():
            tell(subject, understudy.directory, self._failure(*trouble))

    def _outcomes(self, understudy: Understudy, subjects: Sequence[str]) -> Iterator[tuple[str, Failure | None]]:
        hosts = [subject for subject in subjects if not subject.startswith(WILDCARD)]
        port = understudy.listen()
        trouble = self._led_to(hosts, port)
        if trouble is not None:
            yield from ((host, self._failure(Weight.PASSING, trouble, _NO_WAY)) for host in hosts)
            subjects, hosts = [subject for subject in subjects if subject not in hosts], []
        if not subjects:
            return
        deadline = time.monotonic() + _SECONDS
        with closing(understudy.outcomes(subjects, lambda: self._is_over(deadline))) as outcomes:
            for subject, failed in outcomes:
                if subject in hosts:
                    hosts.remove(subject)
                    self._led_to(hosts, port)  # the order in earnest may follow at once: its challenge is Traefik's own
                yield subject, issuance.failure_of(failed) if failed else None

    def _is_over(self, deadline: float) -> bool:
        return self._is_stopping or not self._is_wanted() or time.monotonic() > deadline

    def _led_to(self, hosts: Sequence[str], port: int) -> str | None:
        """Have challenges for these hosts, and no others, led to the understudy. Why they are not; None: they are."""
        self._lead(tuple(hosts), port if hosts else 0)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (trouble := self._obstacle(hosts, port)) is not None:
            with self._wake:
                if self._wake.wait_for(lambda: self._is_over(deadline), _POLL_SECONDS):
                    return trouble
        return None

    def _lead(self, hosts: tuple[str, ...], port: int) -> None:
        with self._wake:
            is_news, self._led = self._led != (hosts, port), (hosts, port)
        if is_news:
            self._on_files()

    def _obstacle(self, hosts: Sequence[str], port: int) -> str | None:
        """Why challenges for these hosts do not go where they should; None: they do."""
        try:
            router = self._proxy.router("http", f"{rehearsal.ROUTER}@file")
            if not hosts:
                return None if router is None else "Traefik still has the way to the rehearsal"
            if self._proxy.router("http", rehearsal.BYPASS_ROUTER) is None:
                return "Traefik was not started anew yet, as it must be for `acme.rehearsal`"
            service = self._proxy.service("http", f"{rehearsal.ROUTER}@file")
        except Unavailable as error:
            return str(error)
        if router is None or service is None or router.get("rule") != rehearsal.rule(hosts):
            return "Traefik does not have the way to the rehearsal yet"
        servers = service.get("loadBalancer", {}).get("servers") or ()
        if [server.get("url") for server in servers] != [rehearsal.address(port)]:
            return "Traefik still has the way to another rehearsal"
        return rejection(router)

    def _failure(self, weight: Weight, words: str, todo: str) -> Failure:
        return Failure(self._clock(), weight, words, todo)
