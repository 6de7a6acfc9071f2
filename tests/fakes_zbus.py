"""A gateway that only takes notes, the module that serves it, and requests as they lie in Redis."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from appliance.adapters.zbus import BusServer, packing, wire
from appliance.adapters.zbus.wire import Request
from appliance.model import brokers
from appliance.model.standings import Certificate, CertificateState, Standing, State, WorkloadView
from appliance.model.workloads import workload_id
from tests.peers.broker import Broker
from tests.peers.callers import MANAGER

LONG = 30.0
QUEUE = "gateway.manager@0.0.1"
INSTANCE = "00112233aabbccdd"
URL = "http://10.1.2.3:9000"


class NotingGateway:
    """Notes the order of calls by workload; `gate` holds every deletion of `slow...` until it is set."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        self.calls: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    def set_named_proxy(self, identity: str, name: str, backends: list[str], **_: Any) -> WorkloadView:
        return self._set(identity, name, f"{name}.gw.test")

    def set_fqdn_proxy(self, identity: str, fqdn: str, backends: list[str], **_: Any) -> WorkloadView:
        return self._set(identity, fqdn, fqdn)

    def delete_proxy(self, identity: str, **_: Any) -> tuple[bool, bool]:
        workload_id(identity)
        self._note(identity, "delete")
        if identity.startswith("slow"):
            self.entered.release()
            self.gate.wait(LONG)
        return False, True

    def metrics(self) -> dict[str, dict[str, Any]]:
        return {"1-1-a": {"request_bytes": 1, "response_bytes": 2, "deleted": None}}

    def _set(self, identity: str, what: str, host: str) -> WorkloadView:
        self._note(identity, what)
        standing = Standing(State.APPLIED)
        return WorkloadView(identity, None, host, standing, Certificate(CertificateState.PENDING))

    def _note(self, identity: str, what: str) -> None:
        with self._lock:
            self.calls.setdefault(identity, []).append(what)


@contextlib.contextmanager
def serving(url: str, gateway: NotingGateway, workers: int = 1, **told: Any) -> Iterator[BusServer]:
    failures: list[BaseException] = []
    server = BusServer(brokers.parse(url), gateway, workers=workers, patience_seconds=20, instance=INSTANCE)
    server.start(failures.append, **told)
    try:
        yield server
    finally:
        server.stop()
        server.stop()
    assert failures == []
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("gateway.")] == []


def push(broker: Broker, method: str, *arguments: Any, reply_to: str = "the reply") -> None:
    inputs = tuple(packing.pack(argument) for argument in arguments)
    with broker.client as admin:
        admin.rpush(QUEUE, wire.encode_request(Request("the id", inputs, MANAGER, reply_to, method)))


def answers(broker: Broker, reply_to: str = "the reply") -> list[wire.Response]:
    with broker.client as admin:
        return [wire.decode_response(item) for item in admin.lrange(reply_to, 0, -1)]
