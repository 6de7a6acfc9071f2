"""Workers: as many at once as there are, those of one lane in order, and an end that waits only so long."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from appliance.adapters.zbus.workers import Job, Workers

LONG = 20.0


@contextmanager
def running(count: int) -> Iterator[Workers]:
    failures: list[BaseException] = []
    workers = Workers(count)
    workers.start(failures.append)
    yield workers
    workers.stop(LONG)
    assert failures == []


def job(run: Callable[[], None], lane: str | None = None) -> Job:
    return Job(lane, "[manager@0.0.1].Metrics()", run)


@pytest.mark.parametrize("count", [1, 4])
def test_a_lane_is_in_order_however_many_workers_there_are(count: int) -> None:
    done: list[tuple[int, int]] = []
    finished = threading.Semaphore(0)
    with running(count) as workers:
        for number in range(300):
            lane = number % 7

            def run(lane: int = lane, number: int = number) -> None:
                done.append((lane, number))
                finished.release()

            workers.submit(job(run, str(lane)))
        assert all(finished.acquire(timeout=LONG) for _ in range(300))
    for lane in range(7):
        assert [number for at, number in done if at == lane] == list(range(lane, 300, 7))


def test_a_busy_lane_holds_up_its_own_only() -> None:
    gate, second, other = threading.Event(), threading.Event(), threading.Event()
    with running(2) as workers:
        workers.submit(job(lambda: void(gate.wait(LONG)), "a"))
        workers.submit(job(second.set, "a"))
        workers.submit(job(other.set, "b"))
        assert other.wait(LONG)
        assert not second.is_set()
        gate.set()
        assert second.wait(LONG)


def test_all_workers_work_at_once_and_say_so() -> None:
    together = threading.Barrier(4)
    with running(3) as workers:
        assert [worker.is_busy for worker in workers.states()] == [False] * 3
        for _ in range(3):
            workers.submit(job(lambda: void((together.wait(LONG), together.wait(LONG)))))
        together.wait(LONG)
        assert [(worker.is_busy, worker.action) for worker in workers.states()] == [
            (True, "[manager@0.0.1].Metrics()")
        ] * 3
        together.wait(LONG)


def test_there_is_room_for_one_more_than_there_are_workers() -> None:
    gate = threading.Event()
    with running(1) as workers:
        assert workers.wait_for_room(LONG)
        workers.submit(job(lambda: void(gate.wait(LONG))))
        assert workers.wait_for_room(LONG)
        workers.submit(job(lambda: None))
        assert not workers.wait_for_room(0.01)
        gate.set()
        assert workers.wait_for_room(LONG)


def test_a_stop_begins_nothing_more_and_waits_only_so_long() -> None:
    gate, begun, never = threading.Event(), threading.Event(), threading.Event()
    workers = Workers(1)
    workers.start(lambda error: pytest.fail(str(error)))
    workers.submit(job(lambda: hold(begun, gate)))
    workers.submit(job(never.set))
    assert begun.wait(LONG)
    assert not workers.stop(0.01)
    assert not workers.wait_for_room(0.01)
    gate.set()
    assert workers.stop(LONG)
    assert not never.is_set()


def test_what_a_job_raises_is_told() -> None:
    told: queue.Queue[BaseException] = queue.Queue()
    workers = Workers(1)
    workers.start(told.put)
    workers.submit(job(lambda: void(1 / 0)))
    assert isinstance(told.get(timeout=LONG), ZeroDivisionError)
    workers.stop(LONG)


def void(_: object) -> None:
    return None


def hold(begun: threading.Event, gate: threading.Event) -> None:
    begun.set()
    gate.wait(LONG)
