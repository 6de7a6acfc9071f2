"""The workers: so many calls at once, those of one lane one after the other. It knows nothing of Redis or calls."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from appliance.adapters.zbus.values import Worker


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do. Jobs of the same lane are done in the order of their submission; without a lane, in any."""

    lane: str | None
    action: str
    """What the status object shows while it is done."""
    run: Callable[[], None]


class Workers:
    """`count` threads. `start()` before anything is submitted; `stop()` may be repeated."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._changed = threading.Condition()
        self._waiting: list[Job] = []
        self._running: list[Job | None] = [None] * count
        self._since = [time.time_ns()] * count
        self._is_stopping = False
        self._threads: list[threading.Thread] = []

    def start(self, on_failure: Callable[[BaseException], None]) -> None:
        """Begin; `on_failure` is told what a job raised, which none should."""
        for number in range(self._count):
            thread = threading.Thread(
                target=self._work, args=(number, on_failure), name=f"zbus-worker-{number}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def stop(self, seconds: float) -> bool:
        """Begin nothing more, and wait up to `seconds` for what is under way. Whether it has all ended."""
        with self._changed:
            self._is_stopping = True
            self._waiting.clear()
            self._changed.notify_all()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def wait_for_room(self, seconds: float) -> bool:
        """Wait until one job more makes sense; False when that took longer, and after `stop`.

        One may wait while all workers are busy: it is there when the first is done, without a trip to the broker.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopping or self._has_room(), seconds)
            return not self._is_stopping and self._has_room()

    def submit(self, job: Job) -> None:
        """Have a job done. After `stop`, nothing comes of it."""
        with self._changed:
            if not self._is_stopping:
                self._waiting.append(job)
                self._changed.notify_all()

    def states(self) -> tuple[Worker, ...]:
        """What each worker is doing, and since when."""
        with self._changed:
            pairs = zip(self._running, self._since, strict=True)
            return tuple(Worker(job is not None, since, job.action if job else "") for job, since in pairs)

    def _has_room(self) -> bool:
        return len(self._waiting) + sum(job is not None for job in self._running) <= self._count

    def _work(self, number: int, on_failure: Callable[[BaseException], None]) -> None:
        try:
            while (job := self._begin(number)) is not None:
                job.run()
                self._end(number)
        except BaseException as error:  # noqa: BLE001  whatever it was, the daemon decides
            on_failure(error)

    def _begin(self, number: int) -> Job | None:
        """The next job this worker may do, waited for; None: stop."""
        with self._changed:
            while not self._is_stopping:
                job = self._next()
                if job is not None:
                    self._waiting.remove(job)
                    self._note(number, job)
                    return job
                self._changed.wait()
            return None

    def _next(self) -> Job | None:
        """The first job whose lane is free. One that waits for its lane has every later one of it behind it."""
        taken = {job.lane for job in self._running if job is not None}
        return next((job for job in self._waiting if job.lane is None or job.lane not in taken), None)

    def _end(self, number: int) -> None:
        with self._changed:
            self._note(number, None)
            self._changed.notify_all()

    def _note(self, number: int, job: Job | None) -> None:
        self._running[number] = job
        self._since[number] = time.time_ns()
