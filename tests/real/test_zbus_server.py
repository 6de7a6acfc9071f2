"""The module on a real Redis, over a gateway that only takes notes: each request is answered once, come what may."""

import contextlib
import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from appliance.adapters.zbus import name_in, packing, values
from appliance.adapters.zbus.values import Metrics, Proxy
from appliance.client.zbus import ZbusGateway
from appliance.model.errors import InvalidInput, Refused, Unavailable
from tests.fakes_zbus import INSTANCE, LONG, QUEUE, URL, NotingGateway, answers, push, serving
from tests.peers.broker import Broker
from tests.peers.callers import Callers, Method
from tests.peers.launching import await_result


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gw") as name:
        yield Path(name)


@pytest.fixture
def broker(directory: Path) -> Iterator[Broker]:
    one = Broker(directory)
    yield one
    one.kill()


@pytest.fixture
def gateway() -> Iterator[NotingGateway]:
    one = NotingGateway()
    yield one
    one.gate.set()


@pytest.mark.parametrize("object_name", ["manager", "gateway"])
@pytest.mark.parametrize(
    ("password", "transport"),
    [(None, "unix"), (None, "tcp"), ("s/cret@", "tcp"), ("s/cret@", "unix"), ("s/cret@", "redis")],
)
def test_every_method_by_every_way_in(
    directory: Path, gateway: NotingGateway, password: str | None, transport: str, object_name: str
) -> None:
    redis_server = Broker(directory, password=password, persistent=False)
    url = {"unix": redis_server.unix_url, "tcp": redis_server.tcp_url, "redis": redis_server.redis_url}[transport]
    with serving(url, gateway), ZbusGateway(url, object_name=object_name, timeout_seconds=LONG) as client:
        assert client.set_named_proxy("1-1-a", "blog", [URL]) == "blog.gw.test"
        client.set_fqdn_proxy("1-1-b", "shop.test", ["10.1.2.3:443"], tls_passthrough=True, network="")
        client.delete_named_proxy("1-1-a")
        assert client.metrics() == Metrics({"1-1-a": 1.0}, {"1-1-a": 2.0})
        status = client.status()
        assert [str(item) for item in status.objects] == ["manager@0.0.1", "gateway@0.0.1"]
        with pytest.raises(Refused, match="is not valid"):
            client.delete_named_proxy("no id")
        with pytest.raises(Refused, match="private networks are not supported"):
            client.set_named_proxy("1-1-a", "blog", [URL], network="mynet")
    assert gateway.calls == {"1-1-a": ["blog", "delete"], "1-1-b": ["shop.test"]}
    redis_server.kill()


def test_over_tls_the_brokers_certificate_is_checked(
    directory: Path, gateway: NotingGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(str(directory / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(directory / "cert.pem"))
    one = Broker(directory, password="secret", persistent=False, tls=True)
    url = f"rediss://:secret@localhost:{one.port}"
    with serving(url, gateway) as server:
        await_result(lambda: "cannot be reached" in str(server.trouble), "the trouble is told", seconds=LONG)
    monkeypatch.setenv("SSL_CERT_FILE", str(directory / "ca.pem"))
    with serving(url, gateway), ZbusGateway(url, timeout_seconds=LONG) as client:
        client.delete_named_proxy("1-1-a")
    one.kill()


@pytest.mark.parametrize("workers", [1, 3])
def test_the_status_answers_while_every_worker_is_busy(broker: Broker, gateway: NotingGateway, workers: int) -> None:
    with serving(broker.unix_url, gateway, workers), ZbusGateway(broker.unix_url, timeout_seconds=LONG) as client:
        for number in range(workers):
            push(broker, "DeleteNamedProxy", f"slow-{number}")
            assert gateway.entered.acquire(timeout=LONG)
        assert [(worker.is_busy, worker.action) for worker in client.status().workers] == [
            (True, "[manager@0.0.1].DeleteNamedProxy()")
        ] * workers
        gateway.gate.set()


def scripts(clients: int, calls: int) -> list[list[Method]]:
    """Every method in turn; each client has a workload of its own, and some it shares with all."""
    made: list[list[Method]] = []
    for client in range(clients):
        own = packing.pack(f"1-1-{client}")
        script: list[Method] = []
        for number in range(calls):
            proxy = Proxy(str(number), (URL,))
            script.append(
                [
                    ("SetNamedProxy", (own, values.encode_name_proxy(proxy))),
                    ("SetFQDNProxy", (own, values.encode_fqdn_proxy(proxy))),
                    ("DeleteNamedProxy", (packing.pack("shared"),)),
                    ("Metrics", ()),
                ][number % 4]
            )
        made.append(script)
    return made


@pytest.mark.parametrize(
    ("workers", "transport", "password"),
    [(1, "unix", None), (8, "tcp", None), (8, "tcp", "s/cret@"), (4, "unix", "s/cret@")],
)
def test_none_is_lost_and_none_answered_twice(
    directory: Path, gateway: NotingGateway, workers: int, transport: str, password: str | None
) -> None:
    broker = Broker(directory, password=password)
    url = {"unix": broker.unix_url, "tcp": broker.tcp_url}[transport]
    with contextlib.ExitStack() as stack:
        stack.callback(broker.kill)
        stack.enter_context(serving(url, gateway, workers))
        account = Callers(broker, scripts(40, 50), patience_seconds=LONG).finish(seconds=90)
        assert (len(account.answers), account.lost) == (2000, [])
        assert [told.error for _, told in account.answers if told.error] == []
        assert account.answered_twice(broker) == []
        for client in range(40):
            assert gateway.calls[f"1-1-{client}"] == [str(number) for number in range(50) if number % 4 < 2]


@pytest.mark.parametrize("end", [Broker.stop, Broker.kill], ids=["stopped", "killed"])
def test_none_is_lost_when_redis_restarts(
    broker: Broker, gateway: NotingGateway, caplog: pytest.LogCaptureFixture, end: Callable[[Broker], None]
) -> None:
    caplog.set_level(logging.INFO)
    with serving(broker.unix_url, gateway, 4):
        callers = Callers(broker, scripts(20, 40), patience_seconds=LONG)
        callers.until(100)
        end(broker)
        broker.start()
        account = callers.finish(seconds=90)
    assert (len(account.answers), account.lost) == (800, [])
    assert account.answered_twice(broker) == []
    assert [record.message for record in caplog.records if record.name.endswith("connections")] == [
        "connected to the message bus",
        "the message bus does not work; it is tried again",
        "connected to the message bus",
    ]


def test_what_was_taken_is_answered_when_redis_forgot_it(directory: Path, gateway: NotingGateway) -> None:
    forgetful = Broker(directory, persistent=False)
    with serving(forgetful.unix_url, gateway):
        push(forgetful, "DeleteNamedProxy", "slow")
        assert gateway.entered.acquire(timeout=LONG)
        forgetful.kill()
        forgetful.start()
        gateway.gate.set()
        await_result(lambda: answers(forgetful), "the answer", seconds=LONG)
    assert [told.error for told in answers(forgetful)] == [None]
    forgetful.kill()


def test_a_redis_that_answers_nothing_is_left_and_found_again(broker: Broker, gateway: NotingGateway) -> None:
    with serving(broker.unix_url, gateway) as server:
        await_result(lambda: server.trouble is None, "connected", seconds=LONG)
        broker.freeze()
        await_result(lambda: server.trouble, "the trouble is noticed", seconds=LONG)
        broker.freeze(thaw=True)
        push(broker, "Metrics")
        await_result(lambda: answers(broker), "the answer", seconds=LONG)


def test_the_module_starts_without_a_broker_and_serves_when_it_comes(directory: Path, gateway: NotingGateway) -> None:
    late = Broker(directory)
    late.stop()
    with serving(late.unix_url, gateway) as server:
        await_result(lambda: "cannot be reached" in str(server.trouble), "the trouble is told", seconds=LONG)
        late.start()
        push(late, "Metrics")
        await_result(lambda: answers(late), "the answer", seconds=LONG)
        await_result(lambda: server.trouble is None, "all is well", seconds=LONG)
    late.kill()


def test_a_changed_password_is_told_once_and_never_itself(
    directory: Path, gateway: NotingGateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    guarded = Broker(directory, password="first-secret")
    with serving(guarded.tcp_url, gateway) as server:
        await_result(lambda: server.trouble is None, "connected", seconds=LONG)
        guarded.change_password("second-secret")
        await_result(lambda: "password" in str(server.trouble), "the trouble is told", seconds=LONG)
        guarded.change_password("first-secret")
        push(guarded, "Metrics")
        await_result(lambda: answers(guarded), "the answer", seconds=LONG)
    told = [str(getattr(record, "fields", "")) for record in caplog.records]
    assert sum("refuses the password" in line for line in told) == 1
    assert "secret" not in str([*told, *(record.getMessage() for record in caplog.records)])
    guarded.kill()


def test_a_replica_is_said_to_be_one_and_served_once_it_is_the_master(
    broker: Broker, gateway: NotingGateway, directory: Path
) -> None:
    with broker.client as admin, serving(broker.unix_url, gateway) as server:
        await_result(lambda: server.trouble is None, "connected", seconds=LONG)
        admin.replicaof("127.0.0.1", "1")
        await_result(lambda: "read-only replica" in str(server.trouble), "the trouble is told", seconds=LONG)
        admin.replicaof("NO", "ONE")
        push(broker, "Metrics")
        await_result(lambda: answers(broker), "the answer", seconds=LONG)


def test_a_full_redis_is_served_when_there_is_room_again(broker: Broker, gateway: NotingGateway) -> None:
    with broker.client as admin, serving(broker.unix_url, gateway) as server:
        await_result(lambda: server.trouble is None, "connected", seconds=LONG)
        push(broker, "DeleteNamedProxy", "slow")
        assert gateway.entered.acquire(timeout=LONG)
        admin.config_set("maxmemory", 1)
        gateway.gate.set()
        await_result(lambda: "memory is full" in str(server.trouble), "the trouble is told", seconds=LONG)
        admin.config_set("maxmemory", 0)
        await_result(lambda: answers(broker), "the answer", seconds=LONG)
    assert len(answers(broker)) == 1


def test_a_queue_that_is_no_list_is_told_and_served_once_it_is_gone(broker: Broker, gateway: NotingGateway) -> None:
    with broker.client as admin:
        admin.set(QUEUE, "something else")
        with serving(broker.unix_url, gateway) as server:
            await_result(lambda: "holds no list" in str(server.trouble), "the trouble is told", seconds=LONG)
            admin.delete(QUEUE)
            push(broker, "Metrics")
            await_result(lambda: answers(broker), "the answer", seconds=LONG)


def test_an_orderly_stop_loses_nothing_it_had_taken(broker: Broker, gateway: NotingGateway) -> None:
    """One request is under way for longer than a stop waits, another is taken, a third is in the queue."""
    with serving(broker.unix_url, gateway):
        push(broker, "DeleteNamedProxy", "slow", reply_to="first")
        assert gateway.entered.acquire(timeout=LONG)
        push(broker, "DeleteNamedProxy", "slow", reply_to="second")
        push(broker, "DeleteNamedProxy", "after", reply_to="third")
    with broker.client as admin:
        assert admin.llen(QUEUE) == 3
    gateway.gate.set()
    assert answers(broker, "first") == []
    with serving(broker.unix_url, gateway):
        await_result(lambda: answers(broker, "third"), "the last answer", seconds=LONG)
        assert [len(answers(broker, reply)) for reply in ("first", "second", "third")] == [1, 1, 1]
    assert gateway.calls == {"slow": ["delete"] * 3, "after": ["delete"]}


def test_what_cannot_be_read_is_dropped_and_nothing_else_suffers(
    broker: Broker, gateway: NotingGateway, caplog: pytest.LogCaptureFixture
) -> None:
    with broker.client as admin, serving(broker.unix_url, gateway):
        admin.rpush(QUEUE, b"\xc1 no message")
        push(broker, "Nope")
        await_result(lambda: answers(broker), "the answer", seconds=LONG)
        assert [told.error for told in answers(broker)] == ["not a function"]
        assert admin.keys("gateway.taken.*") == [f"gateway.taken.{INSTANCE}.epoch".encode()]
    assert sum("cannot be read" in record.message for record in caplog.records) == 1


def test_where_the_broker_was_found_is_told(directory: Path, gateway: NotingGateway) -> None:
    found: list[frozenset[Any]] = []
    one = Broker(directory, persistent=False)
    with serving(one.tcp_url.replace("127.0.0.1", "localhost"), gateway, on_addresses=found.append):
        await_result(lambda: found, "the addresses", seconds=LONG)
    assert "127.0.0.1" in {str(address) for address in found[0]}
    one.kill()


def test_a_client_says_what_is_wrong_and_does_not_wait_in_vain(directory: Path) -> None:
    guarded = Broker(directory, password="secret", persistent=False)
    with (
        ZbusGateway(guarded.tcp_url.replace("secret", "wrong"), timeout_seconds=LONG) as client,
        pytest.raises(Unavailable, match="refuses the password"),
    ):
        client.metrics()
    with (
        ZbusGateway(guarded.tcp_url, timeout_seconds=0.2) as client,
        pytest.raises(Unavailable, match=r"no answer within 0\.2 s"),
    ):
        client.metrics()
    guarded.stop()
    with (
        ZbusGateway(guarded.tcp_url, timeout_seconds=0.2) as client,
        pytest.raises(Unavailable, match="cannot be reached"),
    ):
        client.metrics()
    with pytest.raises(InvalidInput):
        ZbusGateway("nonsense")


def test_an_appliance_keeps_its_name(tmp_path: Path) -> None:
    path = tmp_path / "bus-instance"
    name = name_in(path)
    assert name_in(path) == name
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("spoilt", encoding="utf-8")
    assert name_in(path) not in (name, "spoilt")
