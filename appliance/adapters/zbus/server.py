"""The module on the bus: one thread a queue takes requests, the workers carry them out, each is answered once.

The status object has a thread and a queue of its own and is answered there, so it answers while every worker is busy.
Everything here goes on while the broker is away: who needs it tries again, ever less often, and the log says so once.
"""

import threading
import time
from collections.abc import Callable
from functools import partial

from appliance import logs
from appliance.adapters.zbus import calls, connections, values, wire
from appliance.adapters.zbus.calls import Gateway
from appliance.adapters.zbus.connections import Link, Pause
from appliance.adapters.zbus.queues import ROUND_SECONDS, Queue, Taken
from appliance.adapters.zbus.values import Status
from appliance.adapters.zbus.wire import Request, Response, Undecodable
from appliance.adapters.zbus.workers import Job, Workers
from appliance.model.backends import Address
from appliance.model.brokers import Broker
from appliance.model.errors import Unavailable

log = logs.logger(__name__)

MODULE = "gateway"
STATUS_OBJECT = wire.ObjectId("zbus", "1.0")
_STOP_SECONDS = 6.0
"""For a whole stop; supervisord waits ten before it kills. Calls that take longer are given back to the queue."""


class BusServer:
    """Serves a gateway on the bus. `instance` names this appliance among all that use the broker, across restarts.

    `start()` returns at once, whether or not the broker is there; `stop()` returns when nothing taken is left here.
    """

    def __init__(
        self, broker: Broker, gateway: Gateway, *, workers: int, patience_seconds: float, instance: str
    ) -> None:
        self._broker = broker
        self._gateway = gateway
        self._patience_seconds = patience_seconds
        self._link = Link(broker)
        self._workers = Workers(workers)
        names = [*calls.OBJECTS, STATUS_OBJECT]
        self._queues = [Queue(broker, f"{MODULE}.{name}", instance) for name in names]
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._telling = threading.Lock()
        self._on_addresses: Callable[[frozenset[Address]], None] = lambda _: None

    @property
    def trouble(self) -> str | None:
        """Why the bus does not work now; None when it does."""
        return self._link.trouble

    def start(
        self,
        on_failure: Callable[[BaseException], None],
        on_addresses: Callable[[frozenset[Address]], None] = lambda _: None,
    ) -> None:
        """Serve. `on_failure` is told when a thread ends unexpectedly, `on_addresses` where the broker was found.

        The latter is told after each connection, by one thread at a time.
        """
        self._on_addresses = on_addresses
        self._workers.start(on_failure)
        *requests, status = self._queues
        for queue in requests:
            self._start_thread(queue, self._accept, on_failure, needs_worker=True)
        self._start_thread(status, self._tell_status, on_failure, needs_worker=False)

    def stop(self) -> None:
        """Take nothing more, finish what is nearly done, and put the rest back for whoever comes next."""
        if self._stopping.is_set():
            return
        deadline = time.monotonic() + _STOP_SECONDS
        self._stopping.set()
        self._workers.stop(_STOP_SECONDS / 2)
        for thread in self._threads:
            thread.join(max(0.1, deadline - time.monotonic()))
        for queue in self._queues:
            self._give_back(queue)
            queue.close()

    def _start_thread(
        self,
        queue: Queue,
        accept: Callable[[Queue, Taken], None],
        on_failure: Callable[[BaseException], None],
        *,
        needs_worker: bool,
    ) -> None:
        def run() -> None:
            try:
                self._receive(queue, accept, needs_worker=needs_worker)
            except BaseException as error:  # noqa: BLE001  whatever it was, the daemon decides
                on_failure(error)

        thread = threading.Thread(target=run, name=queue.name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _receive(self, queue: Queue, accept: Callable[[Queue, Taken], None], *, needs_worker: bool) -> None:
        pause = Pause()
        is_connected = False
        while not self._stopping.is_set():
            if needs_worker and not self._workers.wait_for_room(ROUND_SECONDS):
                continue
            try:
                found = queue.take()
            except Unavailable as error:
                is_connected = False
                self._link.failed(queue.name, error)
                self._stopping.wait(pause.grow())
                continue
            pause.reset()
            if not is_connected:
                self._tell_addresses()
                is_connected = True
            self._link.works(queue.name)
            for taken in found:
                accept(queue, taken)

    def _tell_addresses(self) -> None:
        """Before the first request is carried out: it may be one that leads to the broker."""
        with self._telling:
            self._on_addresses(connections.addresses(self._broker))

    def _accept(self, queue: Queue, taken: Taken) -> None:
        request = self._request(queue, taken)
        if request is not None:
            run = partial(self._serve, queue, taken, request)
            self._workers.submit(Job(calls.lane(request), calls.action(request), run))

    def _request(self, queue: Queue, taken: Taken) -> Request | None:
        try:
            return wire.decode_request(taken.payload)
        except Undecodable as error:
            log.warning(
                "a request that cannot be read is dropped; its caller waits in vain",
                queue=queue.name,
                octets=len(taken.payload),
                reason=str(error),
            )
            self._insist(queue, lambda: queue.drop(taken))
            return None

    def _serve(self, queue: Queue, taken: Taken, request: Request) -> None:
        self._deliver(queue, taken, request, calls.answer(request, self._gateway, self._patience_seconds))

    def _tell_status(self, queue: Queue, taken: Taken) -> None:
        """The original looks at nothing in such a request but whom to answer, and neither does this."""
        request = self._request(queue, taken)
        if request is not None:
            status = Status(calls.OBJECTS, self._workers.states())
            self._deliver(queue, taken, request, Response(request.id, data=values.encode_status(status)))

    def _deliver(self, queue: Queue, taken: Taken, request: Request, response: Response) -> None:
        payload = wire.encode_response(response)
        self._insist(queue, lambda: queue.answer(taken, request.reply_to, payload))

    def _insist(self, queue: Queue, act: Callable[[], None]) -> None:
        """Do it, trying until the broker lets us or we are stopped."""
        pause = Pause()
        who = f"{queue.name} answers"
        while True:
            try:
                act()
            except Unavailable as error:
                self._link.failed(who, error)
            else:
                self._link.works(who)
                return
            if self._stopping.wait(pause.grow()):
                return

    def _give_back(self, queue: Queue) -> None:
        try:
            count = queue.give_back()
        except Unavailable as error:
            log.warning(
                "requests could not be given back: the next start finds those the broker has recorded",
                queue=queue.name,
                lost=queue.unrecorded,
                reason=str(error),
            )
            return
        if count:
            log.info("requests given back unanswered; the next start carries them out", queue=queue.name, count=count)
