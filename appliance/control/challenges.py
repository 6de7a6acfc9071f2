"""The use case of the DNS-01 challenge: present a value, clean it up, let it expire, tell what happened to it.

The order is the promise: the authority answers first, then the value is stored, then the caller is told. A caller who
heard "yes" therefore finds the value answered, also after this process was killed and came back. The history is stored
a few seconds later, by the housekeeping: nobody waits for it.
It knows the Protocols of `ports`, and neither DNS packets nor files.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable
from typing import Any

from appliance import logs
from appliance.control.events import Events
from appliance.control.ports import Authority, ChallengeStore
from appliance.model import zone_documents
from appliance.model.challenges import Challenge, Records, check_name, check_value, serial_after_restart
from appliance.model.errors import Unavailable
from appliance.model.histories import Entry, History
from appliance.model.measures import Family, by_label, single
from appliance.model.zones import Zone, plain_name

log = logs.logger(__name__)


class Challenges:
    """Present, clean up, expire: callable from any thread, one after another.

    Construction loads the store and publishes what it holds, so a restarted process answers at once.
    `clock` gives the Unix time in seconds.
    """

    def __init__(
        self, authority: Authority, store: ChallengeStore, clock: Callable[[], float], events: Events | None = None
    ) -> None:
        self._authority = authority
        self._events = events or Events()
        self._counts = dict.fromkeys(("presented", "cleaned up", "expired"), 0)
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._zones: tuple[Zone, ...] = ()
        self._trouble: str | None = None
        serial, stored = store.load()
        loaded, now = Records.of(serial_after_restart(serial), stored), clock()
        self._records = loaded.expire(now)
        self._kept = History(tuple(store.load_history()))
        self._history = _resumed(self._kept, loaded, now)
        authority.publish(self._records.serial, self._records.values)

    def present(self, fqdn: str, value: str, by: str) -> None:
        """Answer `value` at `fqdn` (any case, with or without trailing dot) from now on. `by` is for the history.

        Raises InvalidInput for no name or no value, Refused outside every zone or over a bound, Unavailable when it
        could not be stored (it is answered all the same, but would not outlive the process).
        """
        name, value = plain_name(fqdn), check_value(value)
        with self._lock:
            check_name(name, self._zones)
            challenge = Challenge(name, value, self._clock(), by)
            records = self._records.present(challenge)
            self._history = self._seen().presented(challenge)
            self._replace(records)
        self._tell("presented", name, by)
        log.info("challenge presented", name=name, by=by)

    def clean_up(self, fqdn: str, value: str, by: str) -> None:
        """Stop answering this one value. One that is not there is no error. Raises as `present`.

        A value outlives its zone, and is let go of all the same: the zone might come back within the hour.
        """
        name, value = plain_name(fqdn), check_value(value)
        with self._lock:
            if (name, value) not in self._records.challenges:
                check_name(name, self._zones)
            records = self._records.clean_up(name, value, self._clock())
            self._history = self._seen().ended([(name, value)], "cleaned up", self._clock())
            self._replace(records)
        self._tell("cleaned up", name, by)
        log.info("challenge cleaned up", name=name, by=by)

    def set_zones(self, zones: Iterable[Zone]) -> None:
        """Answer for exactly these zones. Values outside them are kept until they expire, but not answered."""
        with self._lock:
            self._zones = tuple(zones)
            self._authority.set_zones(self._zones)
            self._replace_in_any_case(self._records.renumbered(self._clock()))

    def expire(self) -> None:
        """Let go of values older than an hour. Called every few seconds; also stores the history."""
        with self._lock:
            now = self._clock()
            gone = self._records.expired(now)
            history = self._seen()
            self._replace_in_any_case(self._records.expire(now))
            self._history = history.ended([(one.name, one.value) for one in gone], "expired", now)
            if self._trouble is not None:
                self._save_or_report()
        if self._trouble is None:
            self._keep_history()
        for challenge in gone:
            self._tell("expired", challenge.name, challenge.by)
            log.warning("challenge expired without clean-up", name=challenge.name, by=challenge.by)

    def trouble(self) -> str | None:
        """Why the records are not stored as they are answered; None when they are."""
        return self._trouble

    def history(self) -> tuple[Entry, ...]:
        """The last 200 challenges, oldest first: by whom, when, fetched from where, how ended."""
        with self._lock:
            self._history = self._seen()
            return self._history.entries

    def zones(self) -> list[dict[str, Any]]:
        """What the authority answers for; see `model.zone_documents`."""
        with self._lock:
            return zone_documents.documents(self._zones, self._records.serial, self._records.values)

    def families(self) -> Iterable[Family]:
        """Challenges as metrics."""
        with self._lock:
            counts, present = dict(self._counts), len(self._records.challenges)
        yield single("gateway_challenges", present)
        yield by_label("gateway_challenges_total", "event", counts)

    def _tell(self, state: str, name: str, by: str) -> None:
        with self._lock:
            self._counts[state] += 1
        self._events.publish("challenge", {"name": name, "state": state, "by": by})

    def _replace(self, records: Records) -> None:
        if records is self._records and self._trouble is None:
            return
        self._records = records
        self._authority.publish(records.serial, records.values)
        try:
            self._store.save(records.serial, records.challenges.values())
        except Unavailable as error:
            self._report(error)  # it is tried again by `expire`
            raise

    def _replace_in_any_case(self, records: Records) -> None:
        """As `_replace`, for what nobody waits for: a disk that refuses must not silence the authority."""
        with contextlib.suppress(Unavailable):
            self._replace(records)

    def _keep_history(self) -> None:
        """Store the history if it changed. Not under the lock: it is a value, and no hook shall wait for its file."""
        history = self._history
        if history == self._kept:
            return
        try:
            self._store.save_history(history.entries)
            self._kept = history
        except Unavailable as error:
            self._report(error)

    def _save_or_report(self) -> None:
        try:
            self._store.save(self._records.serial, self._records.challenges.values())
            self._store.save_history(self._history.entries)
            self._kept, self._trouble = self._history, None
        except Unavailable as error:
            self._report(error)

    def _report(self, error: Unavailable) -> None:
        if self._trouble is None:
            log.error("challenges cannot be stored; they are answered all the same", reason=str(error))
        self._trouble = str(error)

    def _seen(self) -> History:
        """The history with the fetches since it was last looked at. Before a value ends, so that they count for it."""
        return self._history.fetched(self._authority.fetches())


def _resumed(kept: History, loaded: Records, now: float) -> History:
    """The history of the process before, and what became of its values since it was stored."""
    history = History.resumed(kept.entries, tuple(loaded.challenges.values()), now)
    return history.ended([(one.name, one.value) for one in loaded.expired(now)], "expired", now)
