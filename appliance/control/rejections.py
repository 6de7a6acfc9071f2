"""What Traefik will not have: it is taken out, with Traefik's words, and tried again when there is reason to.

There are three ways to learn of it: Traefik reports the router as disabled; it reads on and on and does not have the
router; or it takes nothing in any more, and a throw-away Traefik says whose fault that is. Used under the applier's
lock, but for `start` and `stop`.
"""

import threading
from collections.abc import Callable, Mapping

from appliance import logs
from appliance.control.confirmation import Confirmation
from appliance.control.ports import AcceptedStore, Trial
from appliance.control.retries import Retries
from appliance.control.routes import Routes
from appliance.control.suspects import Refusals, Suspects
from appliance.model.register import Register
from appliance.render.dynamic import Decision

log = logs.logger(__name__)

_SERVED_BEFORE = " (it was served before, so it is tried again by itself, too)"


class Rejections:
    """Says which workloads are to be decided about anew. `lock` is the applier's, and told when there are any."""

    def __init__(
        self,
        *,
        lock: threading.Condition,
        register: Register,
        accepted: AcceptedStore,
        confirmation: Confirmation,
        routes: Routes,
        trial: Trial,
    ) -> None:
        self._lock = lock
        self._register = register
        self._accepted = accepted
        self._confirmation = confirmation
        self._routes = routes
        self._retries = Retries()
        self._suspects = Suspects(trial, self._note_refusals)
        self._reconsidered: set[str] = set()

    def start(self, on_failure: Callable[[BaseException], None]) -> None:
        """Be ready to try what is overdue; `on_failure` is told when that ends unexpectedly."""
        self._suspects.start(on_failure)

    def stop(self) -> None:
        """Finish a trial under way. May be called again."""
        self._suspects.stop()

    def trouble(self) -> str | None:
        """Why routes wait without being at fault, and what to do; None when none does."""
        return self._suspects.trouble()

    def note(self, rejected: Mapping[str, str]) -> None:
        """Traefik has the live versions of these, and will not use them (id -> its words).

        They give way to the versions before them. One that was served before comes back after a while.
        """
        for identity in rejected:
            if self._was_served(identity):
                self._retries.put_off(identity)
        self._reject(
            {
                identity: words + (_SERVED_BEFORE if self._was_served(identity) else "")
                for identity, words in rejected.items()
            }
        )

    def _was_served(self, identity: str) -> bool:
        route = self._register.routes.get(identity)
        return route is not None and self._accepted.get(identity) == route.workload

    def _reject(self, rejected: Mapping[str, str]) -> None:
        for identity, words in rejected.items():
            if identity in self._register.routes:
                log.warning("workload rejected by Traefik", workload=identity, reason=words)
                self._reconsidered |= self._register.reject(identity, words, self._accepted.get(identity))

    def look(self) -> None:
        """Look into what Traefik does not report although it should by now."""
        overdue = {identity: self._routes.decision(identity) for identity in self._confirmation.overdue()}
        self._suspects.examine({identity: it for identity, it in overdue.items() if it is not None})
        self._reject(self._confirmation.passed_over())

    def forget(self, identity: str) -> None:
        """It is served, or gone."""
        self._retries.forget(identity)

    def is_due(self) -> bool:
        """Whether there is anything to decide about anew."""
        return bool(self._reconsidered) or self._retries.pause() <= 0

    def pause(self) -> float:
        """Seconds until there is, as far as is known."""
        return self._retries.pause()

    def take(self) -> set[str]:
        """The ids to decide about anew. What is yet to be taken out comes back the next time, for Traefik has to see
        it gone before it reads it anew.
        """
        found, self._reconsidered = self._reconsidered, set()
        return found | self._register.forgive(self._retries.take(besides=found))

    def _note_refusals(self, refusals: Refusals) -> None:
        """On the thread of the trials: what is still wanted and written as it was tried is rejected."""
        with self._lock:
            self._reject({key: words for key, (tried, words) in refusals.items() if self._is_live(key, tried)})
            self._lock.notify_all()

    def _is_live(self, identity: str, tried: Decision) -> bool:
        is_wanted = self._register.routes.get(identity) == tried.route
        return is_wanted and self._routes.decision(identity) == tried
