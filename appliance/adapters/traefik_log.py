"""Follows what Traefik logs about certificates, in the files that the log relay keeps.

Traefik's log is the only place where it says why an order failed. Lines that say so and cannot be understood are
counted and logged once in a while: a new Traefik may word them differently.
"""

import math
import threading
from collections.abc import Callable
from pathlib import Path

from appliance import logs
from appliance.kept_log import Tail
from appliance.model import acme_log, log_lines
from appliance.model.acme_log import Event, Unreadable

log = logs.logger(__name__)

_SECONDS_BETWEEN_LOOKS = 0.25
_MARK = b'"program": "traefik"'
"""In every line of Traefik's, and cheaper to look for than JSON is to read."""
_TOLD_UNREADABLE = 5


class TraefikLog:
    """The log in `directory`, which may not be there yet."""

    def __init__(self, directory: Path, pause_seconds: float = _SECONDS_BETWEEN_LOOKS) -> None:
        self._directory = directory
        self._pause_seconds = pause_seconds
        self._unreadable = 0
        self._is_stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(
        self, on_event: Callable[[Event], None], on_failure: Callable[[BaseException], None], since: float = 0.0
    ) -> None:
        """Tell the kept events of `since` (Unix seconds) and later, then all that are to come."""
        self._thread = threading.Thread(
            target=self._run, args=(on_event, on_failure, since), name="order log", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End. May be repeated."""
        self._is_stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    @property
    def unreadable(self) -> int:
        """How many lines said that something went wrong with certificates, and could not be read."""
        return self._unreadable

    def _run(
        self, on_event: Callable[[Event], None], on_failure: Callable[[BaseException], None], since: float
    ) -> None:
        tail = Tail(self._directory)
        is_readable = True
        try:
            while not self._is_stopping.is_set():
                try:
                    self._look(tail, on_event, since)
                    since = -math.inf  # whatever comes from now on is news, also after the clock was set back
                    is_readable = True
                except OSError as error:
                    if is_readable:
                        log.warning("Traefik's log cannot be read", reason=str(error))
                    is_readable = False
                self._is_stopping.wait(self._pause_seconds)
        except BaseException as error:  # noqa: BLE001  whatever it was, the daemon decides
            on_failure(error)
        finally:
            tail.close()

    def _look(self, tail: Tail, on_event: Callable[[Event], None], since: float) -> None:
        for raw in tail.lines():
            event = self._event(raw) if _MARK in raw else None
            if event is not None and event.at >= since:
                on_event(event)
            if self._is_stopping.is_set():
                return

    def _event(self, raw: bytes) -> Event | None:
        line = log_lines.decoded(raw)
        if line is None:
            return None
        try:
            return acme_log.parse(line)
        except Unreadable as error:
            self._unreadable += 1
            if self._unreadable <= _TOLD_UNREADABLE:
                log.warning("a line of Traefik's about certificates cannot be read", reason=str(error))
            return None
