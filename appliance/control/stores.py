"""Looks after Traefik's certificate stores while it runs: takes snapshots, and keeps account of what is used.

Traefik writes a store in place and reads it at its start only. So what is whole is kept as a snapshot, what is damaged
is told and repaired at the next start, from the snapshots; and what nobody uses any more is noted, to be dropped then.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from appliance import logs
from appliance.control.applier import Applier
from appliance.control.ports import Additions
from appliance.control.ports_stores import StoreFile, StoreRecords
from appliance.model import certificate_stores
from appliance.model.certificate_ledger import CertificateLedger, InUse, Keeping, hosts_in
from appliance.model.certificates import StoredCertificate
from appliance.model.errors import Unavailable
from appliance.model.store_repairs import Restored

log = logs.logger(__name__)

_PAUSE_SECONDS = 10.0
"""Between looks that nothing asked for."""
_SETTLING_SECONDS = 0.25
"""Between looks at a store that is not whole: Traefik may be writing it."""
_PATIENCE_SECONDS = 5.0
"""How long a store may be other than whole before that is told."""
_TOLD_SECONDS = 86400.0
"""How long a repair is told of."""


@dataclass(slots=True)
class _Watched:
    """A store, and how it was when it was looked at last."""

    file: StoreFile
    signature: tuple[int, ...] | None = None
    content: certificate_stores.Store | None = None
    """As it was when it was whole last; None: it has not been."""
    is_settled: bool = True
    """Whether it was whole, and kept, as it is now."""
    wrong: str = ""
    wrong_since: float = 0.0
    """Monotonic seconds."""
    logged: str = ""
    mended: tuple[float, str] = (0.0, "")
    """When its mode was set right last (Unix seconds), and what to say of that."""

    def is_writing(self) -> bool:
        """Whether it is not whole, and that for no longer than a write may take."""
        return not self.is_settled and time.monotonic() - self.wrong_since < _PATIENCE_SECONDS

    def trouble(self) -> str | None:
        """What is wrong with it, for longer than a write takes."""
        return None if self.is_settled or self.is_writing() else self.wrong


class CertificateStores:
    """The use case. Safe to call from any thread. `start()` looks once and goes on in a thread; `stop()` joins."""

    def __init__(
        self,
        *,
        files: Sequence[StoreFile],
        records: StoreRecords,
        applier: Applier,
        additions: Additions,
        keeping: Callable[[], Keeping],
        restart: Callable[[], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`keeping` gives the settings in force; `restart` restarts Traefik, and says whether it could."""
        self._stores = [_Watched(file) for file in files]
        self._records = records
        self._applier = applier
        self._additions = additions
        self._keeping = keeping
        self._restart = restart
        self._clock = clock
        self._ledger = CertificateLedger()
        self._saved: CertificateLedger | None = None
        self._restored: tuple[Restored, ...] = ()
        self._problem: str | None = None
        self._wake = threading.Condition()
        self._is_asked = False
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self, on_failure: Callable[[BaseException], None]) -> None:
        """Look at everything and go on; `on_failure` is told when that ends unexpectedly. After the applier."""
        self._ledger = self._records.load()
        self._thread = threading.Thread(target=self._run, args=(on_failure,), name="certificate-stores", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End. May be repeated."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def look(self, _names: frozenset[str] = frozenset()) -> None:
        """Look soon: something in the stores' directory changed."""
        with self._wake:
            self._is_asked = True
            self._wake.notify_all()

    def stored_certificates(self) -> tuple[StoredCertificate, ...]:
        """What is in the stores; of one that is damaged now, what was in it when it was whole last."""
        contents = [store.content for store in self._stores]
        return tuple(certificate for content in contents if content for certificate in content.certificates)

    def unused(self) -> Mapping[StoredCertificate, float]:
        """The stored certificates that no workload uses, and since when (Unix seconds)."""
        ledger = {(one.resolver, one.asked): one.unused_since for one in self._ledger.holdings}
        found = {it: ledger.get((it.resolver, it.asked)) for it in self.stored_certificates()}
        return {certificate: since for certificate, since in found.items() if since is not None}

    def users(self, certificate: StoredCertificate) -> tuple[str, ...]:
        """The workloads (ids) that use a certificate."""
        uses = self._applier.board.certificate_uses()
        return tuple(sorted({use.workload for use in uses if certificate.covers(use.host)}))

    def restored(self) -> tuple[Restored, ...]:
        """The repairs that Traefik's last starts reported, oldest first."""
        return self._restored

    def notices(self) -> list[str]:
        """What an operator should look at, in words."""
        since = self._clock() - _TOLD_SECONDS
        told = [repair.sentence() for repair in self._restored if repair.when > since]
        told += [text for when, text in (store.mended for store in self._stores) if when > since]
        told += [trouble for store in self._stores if (trouble := store.trouble()) is not None]
        return [*told, self._problem] if self._problem else told

    def _run(self, on_failure: Callable[[BaseException], None]) -> None:
        try:
            while not self._stopping:
                self._look()
                self._rest()
        except BaseException as error:  # noqa: BLE001  whatever it was, dead accounts must not look alive
            on_failure(error)

    def _rest(self) -> None:
        is_writing = any(store.is_writing() for store in self._stores)
        with self._wake:
            if is_writing:  # events are no cause to hurry: the next look comes soon enough
                self._wake.wait_for(lambda: self._stopping, _SETTLING_SECONDS)
            else:
                self._wake.wait_for(lambda: self._stopping or self._is_asked, _PAUSE_SECONDS)
            self._is_asked = False

    def _look(self) -> None:
        for store in self._stores:
            try:
                self._look_at(store)
            except Unavailable as error:
                _note(store, str(error))
                store.signature = None  # it is tried again
            _log(store)
        self._restored = tuple(self._records.restored())
        try:
            self._keep_account()
            self._problem = None
        except Unavailable as error:
            if self._problem is None:
                log.error("the ledger of certificates cannot be saved", reason=str(error))
            self._problem = str(error)

    def _look_at(self, store: _Watched) -> None:
        """Check a store that changed, and keep it if it is whole. Raises Unavailable."""
        status = store.file.status()
        if status is None:
            store.signature = None
            if store.file.has_snapshot():
                _note(store, f"traefik/{store.file.name} is missing: {_AT_NEXT_START}")
            else:  # it has never been there
                store.is_settled = True
            return
        if not status.is_private:
            self._set_mode_right(store, status.mode)
            status = store.file.status() or status
        if status.signature != store.signature:
            store.signature = status.signature
            self._check(store)

    def _check(self, store: _Watched) -> None:
        raw = store.file.read()
        known = store.content.entries if store.content else ()
        found = certificate_stores.read(raw, store.file.resolver, known)
        if found.faults:
            _note(store, f"traefik/{store.file.name} is damaged ({'; '.join(found.faults)}): {_AT_NEXT_START}")
            return
        store.content = found
        if store.file.keep(raw, self._clock()):
            log.info("snapshot of a certificate store taken", store=store.file.name, certificates=len(found.entries))
        store.is_settled = True

    def _set_mode_right(self, store: _Watched, mode: int) -> None:
        store.file.make_private()
        text = f"the mode of traefik/{store.file.name} was {mode:04o} and was set to 0600: find out who changed it"
        store.mended = (self._clock(), text)
        log.warning("certificate store had a wrong mode; set to 0600", store=store.file.name, mode=f"{mode:04o}")

    def _keep_account(self) -> None:
        """Bring the ledger up to date, and restart Traefik if it is the hour for that. Raises Unavailable."""
        keeping, now = self._keeping(), self._clock()
        uses = self._applier.board.certificate_uses()
        words = {host for text in self._additions.files().values() for host in hosts_in(text)}
        own = {host for domain in keeping.domains for host in (domain, f"*.{domain}")}
        ledger = self._ledger.reckoned(
            {store.file.resolver: store.content.certificates for store in self._stores if store.content is not None},
            InUse.of({*words, *own, *(use.host for use in uses)}),
            now,
            is_certain=keeping.is_gateway and self._applier.trouble() is None,
        )
        self._save(replace(ledger, grace_seconds=keeping.grace_seconds, workloads=len({use.workload for use in uses})))
        if ledger.is_restart_due(now, time.localtime(now).tm_hour, keeping):
            log.info("Traefik is restarted to drop certificates that nobody uses")
            if self._restart():
                self._save(replace(self._ledger, restarted=now))

    def _save(self, ledger: CertificateLedger) -> None:
        self._ledger = ledger
        if ledger != self._saved:
            self._records.save(ledger)
            self._saved = ledger


_AT_NEXT_START = "Traefik goes on with what it has in memory, and the store is repaired at Traefik's next start"


def _note(store: _Watched, wrong: str) -> None:
    """Note what is wrong with a store; it is told when it lasts."""
    if store.is_settled:
        store.wrong_since = time.monotonic()
    store.wrong, store.is_settled = wrong, False


def _log(store: _Watched) -> None:
    """Log what lasts, once, and its end."""
    trouble = store.trouble() or ""
    if trouble != store.logged:
        if trouble:
            log.error("certificate store is not whole", store=store.file.name, reason=trouble)
        else:
            log.info("certificate store is whole again", store=store.file.name)
        store.logged = trouble
