"""The inventory's use case: keeps looking at what is served for each name, and puts together what is known of it."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from appliance.control.docket import IssuanceView
from appliance.control.issuance import Issuance
from appliance.control.ports_issuance import ServedProbe
from appliance.model import inventory
from appliance.model.certificates import StoredCertificate
from appliance.model.inventory import Entry, Kind, Presented
from appliance.model.issuance import WILDCARD
from appliance.model.measures import Family, Sample

_LOOK_SECONDS = 60.0
_SECONDS_A_NAME = 0.1
"""With thousands of names the next look comes later: a handshake costs milliseconds, and they are Traefik's too."""
_ASKED_AT_ONCE = 16
_MOST_ASKED_ON_DEMAND = 200
"""For so many names what is served is asked when somebody wants to know; for more the last look must do."""


class Inventory:
    """Safe to call from any thread. `users` gives pairs of certificate and workload id, `stored` what Traefik keeps."""

    def __init__(
        self,
        *,
        issuance: Issuance,
        probe: Callable[[], ServedProbe],
        stored: Callable[[], Sequence[StoredCertificate]],
        users: Callable[[], Iterable[tuple[str, str]]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._issuance = issuance
        self._probe = probe
        self._stored = stored
        self._users = users
        self._clock = clock
        self._lock = threading.Lock()
        self._served: dict[str, Presented | str] = {}
        self._ending = threading.Event()
        self._pool = ThreadPoolExecutor(_ASKED_AT_ONCE, "served")
        self._thread: threading.Thread | None = None

    def start(self, on_failure: Callable[[BaseException], None]) -> None:
        """Look at what is served, again and again. `on_failure` is told when that ends unexpectedly."""
        self._thread = threading.Thread(target=self._guard, args=(on_failure,), name="inventory", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End. May be repeated."""
        self._ending.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._thread is not None:
            self._thread.join(timeout=5)

    def entries(self) -> list[Entry]:
        """Every certificate that is wanted or kept, by name; what is served is asked now unless there are too many."""
        names = self._names()
        if len(names) <= _MOST_ASKED_ON_DEMAND:
            self._look(names)
        return self.known()

    def known(self) -> list[Entry]:
        """The same as it was seen last, at no cost."""
        users = inventory.users_by_name(self._users())
        return [replace(entry, users=users.get(entry.name, ())) for entry in self._unused()]

    def about_to_end(self, days: float) -> list[Entry]:
        """What is served and used, and ends within so many days. Its users, who may be thousands, are left out."""
        now = self._clock()
        found = [entry for entry in self._unused() if entry.is_served and entry.ends_within(days, now)]
        used = inventory.users_by_name(self._users()) if found else {}
        return [entry for entry in found if entry.name in used]

    def _unused(self) -> list[Entry]:
        """Every certificate as it was seen last, without its users."""
        kept, views = inventory.kept_by_name(self._stored()), self._issuance.views()
        return [self._entry(name, kept.get(name), views.get(name)) for name in self._names()]

    def documents(self) -> list[dict[str, Any]]:
        """`entries` in their JSON form: see `model.inventory.Entry.document`."""
        now = self._clock()
        return [entry.document(now) for entry in self.entries()]

    def families(self) -> Iterable[Family]:
        """When what is served ends, for each name."""
        with self._lock:
            served = sorted(self._served.items())
        shown = [(name, one) for name, one in served if isinstance(one, Presented)]
        samples = tuple(Sample(one.not_after, {"name": name, "issuer": one.issuer}) for name, one in shown)
        yield Family("gateway_certificate_not_after_timestamp_seconds", samples)

    def served(self, name: str) -> Presented | str:
        """What is served for one certificate right now."""
        found = self._probe().presented(inventory.probe_host(name))
        with self._lock:
            self._served[name] = found
        return found

    def _names(self) -> list[str]:
        return inventory.names_of(self._issuance.views(), self._stored())

    def _entry(self, name: str, kept: StoredCertificate | None, view: IssuanceView | None) -> Entry:
        with self._lock:
            served = self._served.get(name)
        return Entry(
            name=name,
            kind=Kind.WILDCARD if name.startswith(WILDCARD) else Kind.FQDN,
            stored=kept,
            users=(),
            served=served,
            reason=view.reason if view else "no workload needs it",
            ordered_at=view.ordered_at if view else None,
            failure=view.failure if view else None,
            next_try=view.next_try if view else None,
        )

    def _guard(self, on_failure: Callable[[BaseException], None]) -> None:
        try:
            while not self._ending.is_set():
                names = self._names()
                self._look(names)
                self._ending.wait(max(_LOOK_SECONDS, _SECONDS_A_NAME * len(names)))
        except BaseException as error:  # noqa: BLE001  a certificate that runs out unseen must not go unnoticed
            if not self._ending.is_set():
                on_failure(error)

    def _look(self, names: Sequence[str]) -> None:
        found = dict(zip(names, self._pool.map(self.served, names), strict=True))
        with self._lock:
            self._served = found
