"""The log relay (`python -m appliance.launch.log_relay DIRECTORY PIPE... [--text]`): reads what every program writes,
and passes it on as one stream of log lines.

Each program has a pipe of its own, so that lines are never mixed and it is known who wrote them. Reading goes before
everything else: whoever is slow or gone (standard output, the disk) loses lines, which are counted and reported, and
never holds a program up. Lines of single requests are passed on and not kept: they would push all others out.
"""

import contextlib
import datetime as dt
import os
import select
import selectors
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from appliance.adapters.resident import Thrift
from appliance.kept_log import KeptLog
from appliance.model import log_lines
from appliance.model.log_lines import Lines

_PROGRAM: Final = "gateway"
_LOGGER: Final = "appliance.launch.log_relay"
_TEXT: Final = "--text"
_READ_BYTES = 64 * 1024
_LONGEST_QUEUE_BYTES = 4 * 1024 * 1024
_SECONDS_A_PART_OF_A_LINE_WAITS = 1.0
_SECONDS_BETWEEN_LOOKS = 10.0
_SECONDS_TO_FINISH = 2.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0

Write = Callable[[bytes], None]


class Sink:
    """Writes lines somewhere, on a thread of its own. What does not fit into its queue is lost, and told so later."""

    def __init__(self, name: str, write: Write, encode: Callable[[Mapping[str, Any]], bytes]) -> None:
        self._name = name
        self._write = write
        self._encode = encode
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._lost = 0
        self._is_ending = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)
        self._thread.start()

    def put(self, line: Mapping[str, Any]) -> None:
        """Write this line some time. Never waits."""
        encoded = self._encode(line)
        with self._changed:
            if self._queued_bytes + len(encoded) > _LONGEST_QUEUE_BYTES:
                self._lost += 1
                return
            self._queue.append(encoded)
            self._queued_bytes += len(encoded)
            self._changed.notify()

    def finish(self) -> None:
        """Write what is queued, within a bounded time."""
        with self._changed:
            self._is_ending = True
            self._changed.notify()
        self._thread.join(_SECONDS_TO_FINISH)

    def _run(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while (batch := self._next()) is not None:
            try:
                self._write(b"".join(batch))
                pause = _FIRST_PAUSE_SECONDS
            except BrokenPipeError:
                return  # nobody reads this any more, nor will
            except OSError as error:
                self._report(len(batch), error.strerror or str(error))
                with self._changed:
                    self._changed.wait_for(lambda: self._is_ending, pause)
                pause = min(_LONGEST_PAUSE_SECONDS, pause * 2)

    def _next(self) -> list[bytes] | None:
        """What is to be written next; None: nothing will be."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._is_ending)
            if not self._queue:
                return None
            batch, lost = list(self._queue), self._lost
            self._queue.clear()
            self._queued_bytes = self._lost = 0
        if lost:
            batch.append(self._encode(notice("log lines lost: this output was too slow", to=self._name, lines=lost)))
        return batch

    def _report(self, count: int, reason: str) -> None:
        with self._changed:
            if not self._is_ending:
                told = notice("log lines lost: they could not be written", to=self._name, lines=count, error=reason)
                self._queue.append(self._encode(told))


class Relay:
    """Reads the programs' pipes until the one of supervisord ends, then whatever is left in the others."""

    def __init__(
        self,
        main: int,
        pipes: Mapping[str, Path],
        sinks: Iterable[Callable[[Mapping[str, Any]], None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`main` is the descriptor of supervisord's own output; `pipes` are FIFOs by program."""
        self._clock = clock
        self._waiting: dict[int, float] = {}
        """Pipes that have said part of a line, and when they last said anything."""
        self._main = main
        self._sinks = tuple(sinks)
        self._thrift = Thrift()
        self._selector = selectors.DefaultSelector()
        self._selector.register(main, selectors.EVENT_READ, Lines(log_lines.SUPERVISORD))
        self._descriptors: list[int] = []
        for program, path in pipes.items():
            # For reading and writing: so there is always a writer, and the pipe does not end with a program.
            descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            self._descriptors.append(descriptor)
            self._selector.register(descriptor, selectors.EVENT_READ, Lines(program))

    def run(self) -> None:
        """Relay until there is nothing more to come."""
        while True:
            ready = self._selector.select(self._seconds_left())
            if not ready:
                self._thrift.look()
            for key, _ in ready:
                if not self._read(key.fd, key.data) and key.fd == self._main:
                    self._drain()
                    return
                self._note(key.fd, key.data)
            self._pass_on_what_waited()

    def close(self) -> None:
        """Let go of the pipes."""
        self._selector.close()
        for descriptor in self._descriptors:
            os.close(descriptor)

    def _seconds_left(self) -> float:
        """Until the first part of a line has waited long enough, or there is nothing else to do."""
        if not self._waiting:
            return _SECONDS_BETWEEN_LOOKS
        return max(0.0, min(self._waiting.values()) + _SECONDS_A_PART_OF_A_LINE_WAITS - self._clock())

    def _note(self, descriptor: int, lines: Lines) -> None:
        if lines.is_waiting:
            self._waiting[descriptor] = self._clock()
        else:
            self._waiting.pop(descriptor, None)

    def _pass_on_what_waited(self) -> None:
        """A prompt, say, that nobody ends: each by the silence of its own program, whatever others say."""
        over = self._clock() - _SECONDS_A_PART_OF_A_LINE_WAITS
        for key in self._keys():
            if self._waiting.get(key.fd, over + 1) <= over:
                del self._waiting[key.fd]
                self._pass_on(key.data.flush(_now()))

    def _keys(self) -> list[selectors.SelectorKey]:
        return list(self._selector.get_map().values())

    def _read(self, descriptor: int, lines: Lines) -> bool:
        """Pass on what is there. False: there is nothing (more)."""
        try:
            read = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            return False
        self._pass_on(lines.feed(read, _now()))
        return bool(read)

    def _drain(self) -> None:
        for key in self._keys():
            while key.fd != self._main and self._read(key.fd, key.data):
                pass
            self._pass_on(key.data.flush(_now()))

    def _pass_on(self, lines: Iterable[Mapping[str, Any]]) -> None:
        for line in lines:
            for put in self._sinks:
                put(line)


def run(pipes: Mapping[str, Path], directory: Path, *, is_text: bool) -> int:
    """Relay from standard input and `pipes` to standard output and the kept log in `directory`. The exit code is 0.

    Ends when standard input does and never by a signal that was meant for the appliance: what the programs say while
    they stop is worth reading, too.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    kept = KeptLog(directory)
    output = Sink("standard output", _to_standard_output, _as_text if is_text else log_lines.encoded)
    files = Sink(str(directory), kept.append, log_lines.encoded)
    relay = Relay(0, pipes, (output.put, lambda line: None if log_lines.is_access(line) else files.put(line)))
    try:
        relay.run()
    finally:
        relay.close()
        output.finish()
        files.finish()
    return 0


def main(arguments: Sequence[str]) -> int:
    """Relay what comes through the pipes, named by their programs, and keep it in the directory."""
    directory, *pipes = (Path(argument) for argument in arguments if argument != _TEXT)
    return run({pipe.stem: pipe for pipe in pipes}, directory, is_text=_TEXT in arguments)


def notice(message: str, **values: object) -> dict[str, Any]:
    """A line of the relay's own."""
    head = {"time": log_lines.rfc3339(_now()), "level": "warning", "program": _PROGRAM, "logger": _LOGGER}
    return {**head, "message": message, **values}


def _as_text(line: Mapping[str, Any]) -> bytes:
    return log_lines.as_text(line).encode("utf-8", "backslashreplace") + b"\n"


def _to_standard_output(lines: bytes) -> None:
    rest = memoryview(lines)
    while rest:
        try:
            rest = rest[os.write(1, rest) :]
        except BlockingIOError:  # whoever gave it to us has made it so
            with contextlib.suppress(OSError):
                select.select([], [1], [], 1.0)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
