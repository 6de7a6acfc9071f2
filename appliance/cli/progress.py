"""What is being waited for, told while it is: one live line on a terminal, elsewhere a line whenever it changes.

All of it goes to standard error, so that results stay what they are. What ends within a second is not told.
"""

import os
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Callable
from types import TracebackType
from typing import Final, Generic, Self, TextIO, TypeVar

T = TypeVar("T")

_SILENT_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.5
_USUAL_COLUMNS: Final = 80
_START_OF_LINE, _END_OF_LINE = "\r", "\x1b[K"


class Progress:
    """Tells one wait. To be used as a context: at its end the live line is taken away."""

    def __init__(
        self, stream: TextIO, *, is_live: bool, is_silent: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`is_live` for a terminal; `is_silent` tells nothing at all."""
        self._stream = stream
        self._is_live = is_live
        self._is_silent = is_silent
        self._clock = clock
        self._began = self._phase_began = clock()
        self._phase = ""
        self._told = ""
        self._is_drawn = False

    @classmethod
    def of(cls, options: Namespace) -> Self:
        """For a verb. Whoever asks for JSON and is no terminal hears nothing."""
        is_live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        return cls(sys.stderr, is_live=is_live, is_silent=options.json and not is_live)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def tell(self, awaited: str, phase: str | None = None) -> None:
        """Say what is awaited now; may be called as often as one likes.

        The time told is counted from the first call of this `phase`, which is `awaited` itself unless given.
        """
        now = self._clock()
        if (phase or awaited) != self._phase:
            self._phase, self._phase_began = phase or awaited, now
        if self._is_silent or now - self._began < _SILENT_SECONDS:
            return
        if self._is_live:
            self._draw(printable(awaited), now - self._phase_began)
        elif self._told != self._phase:
            self._told = self._phase
            print(f"gateway: after {int(now - self._began)} s: {printable(awaited)}", file=self._stream, flush=True)

    def clear(self) -> None:
        """Take the live line away, if there is one."""
        if self._is_drawn:
            self._is_drawn = False
            self._write(_START_OF_LINE + _END_OF_LINE)

    def during(self, call: Callable[[], T], awaited: Callable[[], str], phase: str | None = None) -> T:
        """What `call` returns or raises; `awaited` is asked every now and then meanwhile."""
        if self._is_silent:
            return call()
        result = _Result(call)
        while not result.is_there(_LOOK_SECONDS):
            if self._clock() - self._began >= _SILENT_SECONDS:
                self.tell(awaited(), phase)
        return result.get()

    def _draw(self, text: str, seconds: float) -> None:
        """The time is always seen; the rest is cut where the terminal ends: a second line could not be taken back."""
        elapsed = f" ... {int(seconds)} s"
        room = self._columns() - 1 - len(elapsed)
        self._is_drawn = True
        shown = text.expandtabs(1)[: max(room, 0)].rstrip()
        self._write(f"{_START_OF_LINE}{shown}{elapsed}{_END_OF_LINE}")

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or _USUAL_COLUMNS
        except OSError:  # what is written to is no terminal, as in a test
            return _USUAL_COLUMNS

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def printable(text: str) -> str:
    """Some of what is told was written by others: nothing in it may steer a terminal."""
    return "".join(letter if letter.isprintable() or letter == "\t" else "?" for letter in text)


class _Result(Generic[T]):
    """What a call comes to, made on a thread that nobody has to wait for: Ctrl-C ends the command at once."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._found: list[T] = []
        self._error: BaseException | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="call", daemon=True).start()

    def is_there(self, seconds: float) -> bool:
        return self._ended.wait(seconds)

    def get(self) -> T:
        if self._error is not None:
            raise self._error
        return self._found[0]

    def _run(self) -> None:
        try:
            self._found.append(self._call())
        except BaseException as error:  # noqa: BLE001  it is raised where somebody waits for it
            self._error = error
        self._ended.set()
