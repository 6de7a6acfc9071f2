"""A throw-away Traefik that orders at the staging directory. Keeps `control.ports_issuance.Understudy`.

It is configured as the real one is, but for the directory and its stores, which lie in a place of their own. Its
accounts are kept between rehearsals, and nothing else: a certificate that it had already it would not order.
"""

import contextlib
import datetime as dt
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from appliance import atomic, logs
from appliance.adapters.throwaway import launching
from appliance.adapters.throwaway.launching import Launch
from appliance.model import acme_log, certificate_stores
from appliance.model.acme_log import OrderFailed, ResolverSkipped, Unreadable
from appliance.model.certificate_stores import Store
from appliance.model.errors import Unavailable
from appliance.model.log_lines import TRAEFIK, Lines
from appliance.render import rehearsal as texts
from appliance.render.dynamic import DNS_RESOLVER, ENTRY_POINT_HTTP, HTTP_RESOLVER
from appliance.settings import Settings
from appliance.state_files import StateFile

log = logs.logger(__name__)

_POLL_SECONDS = 0.1
_PROCESSOR_SECONDS = 120
"""Keys of 8192 bits take many."""
_ACCOUNT_GONE = "accountDoesNotExist"  # RFC 8555 §6.7

Outcome = tuple[str, OrderFailed | None]


class TraefikRehearsal:
    """Orders as `settings` say, at the staging `directory`. `place` is a directory that is its own while it runs and
    gone afterwards; `accounts` outlive it; `environment` is what the real Traefik has.
    """

    def __init__(
        self,
        binary: Path,
        settings: Settings,
        directory: str,
        *,
        place: Path,
        accounts: StateFile,
        environment: Mapping[str, str],
    ) -> None:
        self.directory = directory
        self._binary = binary
        self._settings = settings
        self._place = place
        self._accounts = accounts
        self._environment = environment
        self._listening: socket.socket | None = None

    def listen(self) -> int:
        """See `Understudy.listen`."""
        if self._listening is None:
            try:
                self._listening = socket.create_server(("127.0.0.1", 0))
            except OSError as error:
                raise Unavailable(f"there is no port for a throw-away Traefik: {error}") from error
        port: int = self._listening.getsockname()[1]
        return port

    def close(self) -> None:
        """See `Understudy.close`."""
        if self._listening is not None:
            self._listening.close()

    def outcomes(self, subjects: Sequence[str], is_over: Callable[[], bool]) -> Generator[Outcome]:
        """See `Understudy.outcomes`."""
        try:
            self._clear()
            self._place.mkdir(mode=0o700)
            self._furnish(subjects)
            yield from self._watched(subjects, is_over)
        except OSError as error:
            raise Unavailable(f"the throw-away Traefik cannot be started: {error}") from error
        finally:
            self._clear()

    def _clear(self) -> None:
        """Whoever was killed may have left something there, keys among it."""
        shutil.rmtree(self._place, ignore_errors=True)

    def _watched(self, subjects: Sequence[str], is_over: Callable[[], bool]) -> Generator[Outcome]:
        self.listen()
        assert self._listening is not None  # noqa: S101  what `listen` is for
        launch = Launch(
            self._binary,
            self._place / "traefik.json",
            self._place / "log",
            {ENTRY_POINT_HTTP: self._listening},
            processor_seconds=_PROCESSOR_SECONDS,
            environment=self._environment,
        )
        waiting = set(subjects)
        with launching.running(launch) as program, launch.log.open("rb") as said:
            lines, is_account_gone = Lines(TRAEFIK), False
            try:
                while waiting and not is_over():
                    for subject, failed in [*_obtained(self._place), *_failed(lines, said.read(), waiting)]:
                        if subject in waiting:
                            waiting.discard(subject)
                            is_account_gone = is_account_gone or _is_about_account(failed)
                            yield subject, failed
                    _check_alive(program, launch.log)
                    time.sleep(_POLL_SECONDS)
            finally:
                if is_account_gone:
                    self._keep({})
                else:
                    self._keep(self._registered())

    def _furnish(self, subjects: Sequence[str]) -> None:
        """Everything it reads, and the accounts it had before."""
        place = self._place
        configuration = texts.configuration(self._settings, self.directory, subjects, place)
        atomic.write(place / "traefik.json", configuration, sync=False)
        atomic.write(place / texts.ORDERS_FILE, texts.orders(subjects), sync=False)
        for resolver, account in self._known().items():
            content = {resolver: {"Account": account, "Certificates": None}}
            atomic.write(texts.store(place, resolver), json.dumps(content), sync=False)

    def _known(self) -> dict[str, Any]:
        nothing: dict[str, Any] = {}
        return self._accounts.load(self._own_accounts, nothing)

    def _own_accounts(self, content: Any) -> dict[str, Any]:
        """The accounts that were registered like this before; of another directory or address they are none."""
        return dict(content["accounts"]) if content["for"] == self._registration() else {}

    def _registration(self) -> list[str]:
        acme = self._settings.acme
        return [self.directory, acme.email, acme.key_type]

    def _registered(self) -> dict[str, Any]:
        """The accounts there are now."""
        stored = {store.resolver: store.account for store in _stores(self._place) if store.account is not None}
        return self._known() | stored

    def _keep(self, accounts: Mapping[str, Any]) -> None:
        if accounts != self._known():
            with contextlib.suppress(Unavailable):  # the next rehearsal registers once more
                self._accounts.save({"for": self._registration(), "accounts": accounts})


def _obtained(place: Path) -> Iterator[Outcome]:
    """What it has certificates for."""
    for store in _stores(place):
        for certificate in store.certificates:
            for name in certificate.names:
                yield name, None


def _failed(lines: Lines, read: bytes, waiting: set[str]) -> Iterator[Outcome]:
    """What it says of orders that failed. Raises Unavailable when it leaves a certificate resolver out."""
    for line in lines.feed(read, dt.datetime.now(dt.UTC)):
        try:
            event = acme_log.parse(line)
        except Unreadable as error:
            log.warning("a line of a rehearsal cannot be read", reason=str(error))
            continue
        if isinstance(event, ResolverSkipped):
            raise Unavailable(f"the throw-away Traefik does not use its store: {event.words}")
        if isinstance(event, OrderFailed):
            for subject in waiting & set(event.domains):
                yield subject, event


def _is_about_account(failed: OrderFailed | None) -> bool:
    """Whether the authority has forgotten the account, as staging directories do now and then."""
    return failed is not None and any(problem.kind == _ACCOUNT_GONE for problem in failed.problems)


def _check_alive(program: subprocess.Popen[bytes], log_file: Path) -> None:
    if program.poll() is not None:
        said = launching.said(log_file)[-500:].strip() or "without a word"
        raise Unavailable(f"the throw-away Traefik ended at once: {said}")


def _stores(place: Path) -> Iterator[Store]:
    """What its certificate resolvers have stored until now."""
    for resolver in (HTTP_RESOLVER, DNS_RESOLVER):
        with contextlib.suppress(FileNotFoundError):
            yield certificate_stores.read(texts.store(place, resolver).read_bytes(), resolver)
