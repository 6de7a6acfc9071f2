"""A request list in a real Redis: taken once, answered once, given back; whoever dies or forgets in between."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from appliance.adapters.zbus.queues import Queue, Taken
from appliance.model import brokers
from appliance.model.errors import Unavailable
from tests.peers.broker import Broker

NAME = "gateway.manager@0.0.1"
INSTANCE = "00112233aabbccdd"
TAKEN_KEY = f"gateway.taken.{INSTANCE}.manager@0.0.1"
MakeQueue = Callable[..., Queue]


@pytest.fixture(scope="module")
def redis_server() -> Iterator[Broker]:
    with tempfile.TemporaryDirectory(prefix="gw") as directory:
        one = Broker(Path(directory), persistent=False)
        yield one
        one.kill()


@pytest.fixture
def broker(redis_server: Broker) -> Broker:
    with redis_server.client as admin:
        admin.flushall()
        admin.config_set("maxmemory", 0)
    return redis_server


@pytest.fixture
def admin(broker: Broker) -> Iterator[redis.Redis]:
    with broker.client as client:
        yield client


@pytest.fixture
def new_queue(broker: Broker) -> Iterator[MakeQueue]:
    with contextlib.ExitStack() as stack:

        def make(instance: str = INSTANCE) -> Queue:
            queue = Queue(brokers.parse(broker.unix_url), NAME, instance)
            stack.callback(queue.close)
            return queue

        yield make


def push(admin: redis.Redis, *payloads: bytes) -> None:
    admin.rpush(NAME, *payloads)


def take(queue: Queue, count: int = 1) -> list[Taken]:
    """So many requests; fails when they are not there."""
    found: list[Taken] = []
    while len(found) < count:
        more = queue.take()
        assert more, "nothing there"
        found += more
    return found


def payloads(found: list[Taken]) -> list[bytes]:
    return [taken.payload for taken in found]


def test_requests_are_taken_in_order_and_kept_until_they_are_answered(admin: redis.Redis, new_queue: MakeQueue) -> None:
    queue = new_queue()
    push(admin, b"1", b"2")
    first, second = take(queue, 2)
    assert (first.payload, second.payload) == (b"1", b"2")
    assert admin.lrange(TAKEN_KEY, 0, -1) == [b"1", b"2"]
    queue.answer(second, "reply", b"done")
    assert admin.lrange(TAKEN_KEY, 0, -1) == [b"1"]
    assert admin.lrange("reply", 0, -1) == [b"done"]
    assert 290 < int(admin.ttl("reply")) <= 300
    assert queue.take() == []


def test_an_answer_is_delivered_once_however_often_it_is_given(admin: redis.Redis, new_queue: MakeQueue) -> None:
    queue = new_queue()
    push(admin, b"1")
    (taken,) = take(queue)
    queue.answer(taken, "reply", b"done")
    queue.answer(taken, "reply", b"done")
    assert admin.llen("reply") == 1


def test_what_a_dead_process_had_taken_is_found_in_order_and_before_anything_newer(
    admin: redis.Redis, new_queue: MakeQueue
) -> None:
    push(admin, b"1", b"2", b"3")
    take(new_queue(), 2)
    assert payloads(take(new_queue(), 3)) == [b"1", b"2", b"3"]


def test_what_another_appliance_has_taken_is_its_own(admin: redis.Redis, new_queue: MakeQueue) -> None:
    push(admin, b"1")
    take(new_queue())
    assert new_queue("ffffffffffffffff").take() == []


def test_what_is_given_back_is_first_in_line_in_its_old_order(admin: redis.Redis, new_queue: MakeQueue) -> None:
    queue = new_queue()
    push(admin, b"1", b"2", b"3", b"4")
    first, *_ = take(queue, 3)
    queue.answer(first, "reply", b"done")
    assert queue.give_back() == 2
    assert admin.lrange(NAME, 0, -1) == [b"2", b"3", b"4"]
    assert admin.llen(TAKEN_KEY) == 0
    assert queue.give_back() == 0


def test_nothing_is_answered_after_it_was_given_back(admin: redis.Redis, new_queue: MakeQueue) -> None:
    queue = new_queue()
    push(admin, b"1")
    (taken,) = take(queue)
    queue.give_back()
    queue.answer(taken, "reply", b"done")
    queue.drop(taken)
    assert admin.exists("reply") == 0
    assert admin.lrange(NAME, 0, -1) == [b"1"]


class Cut:
    """A connection that breaks in the transaction, before or after Redis carried it out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, is_carried_out: bool) -> None:
        original = redis.client.Pipeline.execute

        def execute(pipeline: Any, *arguments: Any, **options: Any) -> Any:
            monkeypatch.undo()
            if is_carried_out:
                original(pipeline, *arguments, **options)
            raise redis.ConnectionError("cut")

        monkeypatch.setattr(redis.client.Pipeline, "execute", execute)


@pytest.mark.parametrize("is_carried_out", [True, False])
@pytest.mark.parametrize("is_in_step", [True, False])
def test_an_answer_in_doubt_is_delivered_once(
    admin: redis.Redis,
    new_queue: MakeQueue,
    monkeypatch: pytest.MonkeyPatch,
    is_carried_out: bool,
    is_in_step: bool,
) -> None:
    queue = new_queue()
    push(admin, b"1")
    (taken,) = take(queue)
    Cut(monkeypatch, is_carried_out=is_carried_out)
    with pytest.raises(Unavailable, match="cannot be reached: cut"):
        queue.answer(taken, "reply", b"done")
    if is_in_step:
        queue._fall_out_of_step()
        assert queue.take() == []
    queue.answer(taken, "reply", b"done")
    assert admin.lrange("reply", 0, -1) == [b"done"]
    assert admin.llen(TAKEN_KEY) == 0
    assert queue.take() == []


@pytest.mark.parametrize("is_carried_out", [True, False])
def test_an_answer_in_doubt_is_given_again_when_redis_forgot_everything(
    admin: redis.Redis, new_queue: MakeQueue, monkeypatch: pytest.MonkeyPatch, is_carried_out: bool
) -> None:
    queue = new_queue()
    push(admin, b"1")
    (taken,) = take(queue)
    Cut(monkeypatch, is_carried_out=is_carried_out)
    with pytest.raises(Unavailable):
        queue.answer(taken, "reply", b"done")
    admin.flushall()
    queue._fall_out_of_step()
    queue.take()
    queue.answer(taken, "reply", b"done")
    assert admin.lrange("reply", 0, -1) == [b"done"]


@pytest.mark.parametrize("is_noticed", [True, False])
def test_what_is_held_while_redis_forgets_is_answered(
    admin: redis.Redis, new_queue: MakeQueue, is_noticed: bool
) -> None:
    queue = new_queue()
    push(admin, b"1")
    (taken,) = take(queue)
    admin.flushall()
    if is_noticed:
        queue._fall_out_of_step()
        assert queue.take() == []
        assert admin.lrange(TAKEN_KEY, 0, -1) == [b"1"]
    queue.answer(taken, "reply", b"done")
    assert admin.lrange("reply", 0, -1) == [b"done"]
    assert admin.llen(TAKEN_KEY) == 0


def test_a_replica_that_had_not_heard_of_the_take_does_not_hand_it_out_again(
    admin: redis.Redis, new_queue: MakeQueue
) -> None:
    queue = new_queue()
    push(admin, b"1")
    (taken,) = take(queue)
    admin.lmove(TAKEN_KEY, NAME, "RIGHT", "LEFT")
    queue._fall_out_of_step()
    assert queue.take() == []
    queue.answer(taken, "reply", b"done")
    assert admin.llen("reply") == 1


def test_a_take_whose_answer_never_came_is_found_by_itself(admin: redis.Redis, new_queue: MakeQueue) -> None:
    """Redis may carry a blocked take out for a connection that is gone, long after we came back."""
    queue = new_queue()
    assert queue.take() == []
    push(admin, b"1")
    admin.lmove(NAME, TAKEN_KEY, "LEFT", "RIGHT")
    assert queue.take() == []
    assert payloads(take(queue)) == [b"1"]


def test_equal_requests_are_as_many_as_they_are(admin: redis.Redis, new_queue: MakeQueue) -> None:
    queue = new_queue()
    push(admin, b"1", b"1")
    first, second = take(queue, 2)
    queue.answer(first, "reply", b"done")
    assert admin.llen(TAKEN_KEY) == 1
    queue._fall_out_of_step()
    assert queue.take() == []
    queue.answer(second, "reply", b"done")
    assert admin.llen("reply") == 2


@pytest.mark.parametrize("reply_to", ["", "gateway.elsewhere", "b\udcff"])
def test_an_answer_goes_wherever_the_caller_says(admin: redis.Redis, new_queue: MakeQueue, reply_to: str) -> None:
    queue = new_queue()
    push(admin, b"1")
    (taken,) = take(queue)
    queue.answer(taken, reply_to, b"done")
    assert admin.lrange(reply_to.encode("utf-8", "surrogateescape"), 0, -1) == [b"done"]


def test_an_answer_to_what_is_no_list_is_given_up(admin: redis.Redis, new_queue: MakeQueue) -> None:
    queue = new_queue()
    admin.set("reply", "something else")
    push(admin, b"1")
    (taken,) = take(queue)
    queue.answer(taken, "reply", b"done")
    assert admin.llen(TAKEN_KEY) == 0
    assert admin.get("reply") == b"something else"


@pytest.mark.parametrize("key", [NAME, TAKEN_KEY])
def test_a_key_that_is_no_list_is_named_as_the_trouble_until_it_is_gone(
    admin: redis.Redis, new_queue: MakeQueue, key: str
) -> None:
    queue = new_queue()
    admin.set(key, "something else")
    with pytest.raises(Unavailable, match="holds no list"):
        take(queue)
    admin.delete(key)
    push(admin, b"1")
    assert payloads(take(queue)) == [b"1"]


def test_nothing_is_lost_when_the_list_to_give_back_to_is_none(admin: redis.Redis, new_queue: MakeQueue) -> None:
    queue = new_queue()
    push(admin, b"1")
    take(queue)
    admin.set(NAME, "something else")
    with pytest.raises(Unavailable, match="holds no list"):
        queue.give_back()
    assert admin.lrange(TAKEN_KEY, 0, -1) == [b"1"]


def test_a_full_redis_is_emptied_and_every_answer_waits_for_room(admin: redis.Redis, new_queue: MakeQueue) -> None:
    queue = new_queue()
    push(admin, b"1", b"2")
    admin.config_set("maxmemory", 1)
    found = take(queue, 2)
    assert payloads(found) == [b"1", b"2"]
    assert queue.unrecorded == 2
    with pytest.raises(Unavailable, match="memory is full"):
        queue.answer(found[0], "reply", b"done")
    admin.config_set("maxmemory", 0)
    for taken in found:
        queue.answer(taken, "reply", b"done")
    assert admin.llen("reply") == 2


def test_a_redis_without_blmove_is_taken_from_as_the_original_does() -> None:
    with tempfile.TemporaryDirectory(prefix="gw") as directory:
        old = Broker(Path(directory), persistent=False, options={"rename-command": 'BLMOVE ""'})
        with contextlib.closing(Queue(brokers.parse(old.unix_url), NAME, INSTANCE)) as queue, old.client as admin:
            assert queue.take() == []
            push(admin, b"1")
            (taken,) = take(queue)
            assert admin.lrange(TAKEN_KEY, 0, -1) == [b"1"]
            queue.answer(taken, "reply", b"done")
            assert admin.lrange("reply", 0, -1) == [b"done"]
        old.kill()
