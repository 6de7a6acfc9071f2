"""Whether Traefik does not report a route because of the route itself.

A route that Traefik was given and does not report may be one that it will not have: if it cannot read the file, it
reads no file any more, and says so only in its log. Or Traefik is slow, or has just started, or somebody else's file
is in its way. So the routes that are overdue are tried in a throw-away Traefik: what that one will not have either is
to blame, and is told with its words. What it takes is innocent, and goes on waiting.
"""

import threading
from collections.abc import Callable, Mapping

from appliance import logs
from appliance.control.ports import Trial
from appliance.control.settling import settle
from appliance.model.errors import Unavailable
from appliance.render import trial as texts
from appliance.render.dynamic import Decision

log = logs.logger(__name__)

_MOST_AT_ONCE = 100
_RETRY_SECONDS = 10.0

Refusals = Mapping[str, tuple[Decision, str]]
"""Workload id -> the decision that was tried, and why Traefik will not have it."""


class Suspects:
    """Tries what is overdue, on a thread of its own. `refused` is told there who is to blame."""

    def __init__(self, trial: Trial, refused: Callable[[Refusals], None]) -> None:
        self._trial = trial
        self._refused = refused
        self._wake = threading.Condition()
        self._waiting: dict[str, Decision] = {}
        self._innocent: dict[str, Decision] = {}
        self._is_stopping = False
        self._thread: threading.Thread | None = None

    def start(self, on_failure: Callable[[BaseException], None]) -> None:
        """Be ready; `on_failure` is told when that ends unexpectedly."""
        self._thread = threading.Thread(target=self._run, args=(on_failure,), name="suspects", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the trial under way and end. May be called again."""
        with self._wake:
            self._is_stopping = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=30)

    def examine(self, overdue: Mapping[str, Decision]) -> None:
        """These, and no others, are overdue now. Each decision is tried once."""
        with self._wake:
            self._innocent = {identity: it for identity, it in self._innocent.items() if overdue.get(identity) == it}
            self._waiting = {identity: it for identity, it in overdue.items() if identity not in self._innocent}
            if self._waiting:
                self._wake.notify_all()

    def trouble(self) -> str | None:
        """What is wrong with Traefik when it is not the routes, and what to do; None when nothing is known to be."""
        with self._wake:
            count = len(self._innocent)
        if not count:
            return None
        return (
            f"Traefik does not take in {count} route(s) although nothing is wrong with them: look for errors of its "
            "file provider in the log, see that fs.inotify.max_user_watches is large enough, and restart it"
        )

    def _run(self, on_failure: Callable[[BaseException], None]) -> None:
        try:
            while (batch := self._next()) is not None:
                self._try(batch)
        except BaseException as error:  # noqa: BLE001  whatever it was, dead suspicion must not look alive
            on_failure(error)

    def _next(self) -> dict[str, Decision] | None:
        """What to try together; waits for it. None: stop."""
        with self._wake:
            self._wake.wait_for(lambda: self._is_stopping or bool(self._waiting))
            if self._is_stopping:
                return None
            return {identity: self._waiting[identity] for identity in sorted(self._waiting)[:_MOST_AT_ONCE]}

    def _try(self, batch: Mapping[str, Decision]) -> None:
        fragments = {identity: texts.of_route(decision) for identity, decision in batch.items()}
        try:
            settled = settle({}, fragments, self._trial.complaints)
        except Unavailable as error:
            log.warning("overdue routes cannot be tried", reason=str(error), routes=len(batch))
            with self._wake:
                self._wake.wait_for(lambda: self._is_stopping, _RETRY_SECONDS)
            return
        with self._wake:
            self._innocent.update({identity: batch[identity] for identity in settled.accepted})
            for identity in batch:
                self._waiting.pop(identity, None)
        log.warning("overdue routes were tried", routes=len(batch), to_blame=sorted(settled.refused))
        if settled.refused:
            self._refused({identity: (batch[identity], words) for identity, words in settled.refused.items()})
