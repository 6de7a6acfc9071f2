"""The message bus with a real Redis and the whole appliance, started by the original's start line."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import pytest

from appliance.adapters.zbus import packing, values
from appliance.adapters.zbus.values import Proxy
from appliance.client.zbus import ZbusGateway
from appliance.model.errors import Refused
from tests.peers import addresses, https
from tests.peers import appliance as appliances
from tests.peers.appliance import GATEWAY, Appliance, Outcome
from tests.peers.backends import MakeBackend
from tests.peers.broker import Broker
from tests.peers.callers import Callers, Method
from tests.peers.launching import Launched, await_result
from tests.peers.unbound import Unbound

LONG = 60.0
QUEUE = "gateway.manager@0.0.1"
URL = f"http://{addresses.BACKEND}:80"


class StartedTheOldWay(Appliance):
    """The appliance, by the start line existing nodes have: no verb, and the broker on the command line."""

    def __init__(
        self, directory: Path, broker: str, values_: Mapping[str, Any] | None = None, workers: int = 1
    ) -> None:
        super().__init__(directory, values_ or appliances.settings())
        self.start_line = ["--broker", broker, "--root", str(self.root), "--workers", str(workers)]

    def start(self, *, seconds: float = 30) -> Self:
        """Start it, and wait until it answers."""
        super().start(seconds=seconds)
        return self

    def launch_another(self, log: Path) -> Launched:
        """`gateway --broker ... --root ...`."""
        return Launched([str(GATEWAY), *self.start_line], log, environment=self.environment)

    def call(self, broker: str, *arguments: str) -> Outcome:
        """`gateway --broker URL call ...`, as an operator types it."""
        done = subprocess.run(
            [GATEWAY, "--broker", broker, "call", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=LONG,
        )
        return Outcome(done.returncode, done.stdout.strip(), done.stderr.strip())


MakeNode = Callable[..., StartedTheOldWay]


@pytest.fixture
def new_broker(short_path: Path) -> Iterator[Callable[..., Broker]]:
    """Makes brokers that are killed after the test."""
    with contextlib.ExitStack() as stack:

        def make(**options: Any) -> Broker:
            directory = short_path / "redis"
            directory.mkdir()
            one = Broker(directory, **options)
            stack.callback(one.kill)
            return one

        yield make


@pytest.fixture
def broker(new_broker: Callable[..., Broker]) -> Broker:
    return new_broker()


@pytest.fixture
def new_node(resolver: Unbound, short_path: Path) -> Iterator[MakeNode]:
    """Makes appliances that are killed after the test, and that must not have logged a traceback."""
    made: list[StartedTheOldWay] = []

    def make(broker: str, values_: Mapping[str, Any] | None = None, workers: int = 1) -> StartedTheOldWay:
        made.append(StartedTheOldWay(short_path, broker, values_, workers))
        return made[-1]

    yield make
    for one in made:
        if one.launched:
            one.kill()
            log = one.program.log_text()
            assert "Traceback (most recent call last)" not in log, log


def client(broker: Broker, **options: Any) -> ZbusGateway:
    return ZbusGateway(broker.unix_url, timeout_seconds=LONG, **options)


@pytest.mark.parametrize("way", ["unix", "tcp", "password"])
def test_an_existing_nodes_start_line_and_callers_work(
    new_broker: Callable[..., Broker], new_node: MakeNode, backend: MakeBackend, way: str
) -> None:
    redis_server = new_broker(password="s3cret" if way == "password" else None)
    url = redis_server.unix_url if way == "unix" else redis_server.tcp_url
    node = new_node(url).start()
    blue = backend("blue")
    assert node.call(url, "SetNamedProxy", "37-2039-blog", "blog", blue.url) == Outcome(0, "blog.gw.test", "")
    assert '"backend": "blue"' in https.fetch("blog.gw.test").body
    assert node.call(url, "SetFQDNProxy", "37-2040-shop", "shop.test", blue.url, "--object", "gateway").code == 0
    assert '"backend": "blue"' in https.fetch("shop.test").body
    assert node.call(url, "DeleteNamedProxy", "37-2039-blog") == Outcome(0, "", "")
    assert https.fetch("blog.gw.test").status == 404
    metrics = json.loads(node.call(url, "Metrics").output)
    assert metrics["request"].keys() == metrics["response"].keys() == {"37-2040-shop"}
    status = json.loads(node.call(url, "Status").output)
    assert [item["name"] for item in status["objects"]] == ["manager", "gateway"]


def test_the_bus_says_what_everybody_else_says(broker: Broker, new_node: MakeNode) -> None:
    node = new_node(broker.unix_url).start()
    node.must("route", "name", "1-1-first", "blog", URL)
    with client(broker) as gateway:
        for arguments in (("1-1-second", "blog", URL), ("1-1-first", "a.b", URL), ("no id", "blog", URL)):
            with pytest.raises(Refused) as caught:
                gateway.set_named_proxy(arguments[0], arguments[1], [arguments[2]])
            outcome = node.cli("route", "name", *arguments)
            assert outcome.complaint == f"gateway: {caught.value}\n"
        gateway.set_named_proxy("1-1-first", "blog", [URL])  # once more is an update
        gateway.delete_named_proxy("1-1-nobody")


def test_a_set_is_answered_when_traefik_serves_it_and_not_before(broker: Broker, new_node: MakeNode) -> None:
    node = new_node(broker.unix_url, appliances.settings() | {"zbus": {"patience": "5s"}}).start()
    with client(broker) as gateway:
        for number in range(5):
            gateway.set_named_proxy(f"1-1-{number}", f"blog{number}", [URL])
            router = node.traefik(f"http/routers/1-1-{number}-route@file")
            assert router["status"] == "enabled"
        traefik = node.pid_of("traefik")
        os.kill(traefik, signal.SIGSTOP)
        with pytest.raises(Refused, match="still pending: Traefik has not confirmed it within 5 s"):
            gateway.set_named_proxy("1-1-late", "late", [URL])
        os.kill(traefik, signal.SIGCONT)
        node.until_state("1-1-late", "applied")


def scripts(clients: int, calls: int) -> list[list[Method]]:
    """Every method; each client sets and deletes workloads of its own, and deletes one that nobody has."""
    made: list[list[Method]] = []
    for number in range(clients):
        own, other = packing.pack(f"1-1-name{number}"), packing.pack(f"1-1-fqdn{number}")
        named = values.encode_name_proxy(Proxy(f"name{number}", (URL,)))
        by_position = tuple(map(packing.pack, (f"fqdn{number}.test", [URL], False)))
        cycle: list[Method] = [
            ("SetNamedProxy", (own, named)),
            ("Metrics", ()),
            ("DeleteNamedProxy", (packing.pack("1-1-nobody"),)),
            ("SetFQDNProxy", (other, *by_position)),
            ("Metrics", ()),
            ("DeleteNamedProxy", (own,)),
            ("Metrics", ()),
            ("DeleteNamedProxy", (packing.pack("1-1-nobody"),)),
            ("Metrics", ()),
            ("Metrics", ()),
        ]
        made.append([cycle[call % len(cycle)] for call in range(calls)])
    return made


@pytest.mark.timeout(300)
@pytest.mark.parametrize("is_disturbed", [False, True])
def test_forty_callers_lose_no_call_and_get_no_answer_twice(
    broker: Broker, new_node: MakeNode, is_disturbed: bool
) -> None:
    """Disturbed: Redis is restarted in the middle, and then the control plane is killed."""
    node = new_node(broker.unix_url, workers=8).start()
    callers = Callers(broker, scripts(40, 50), patience_seconds=120)
    if is_disturbed:
        callers.until(300, seconds=120)
        broker.stop()
        broker.start()
        callers.until(900, seconds=120)
        node.until_replaced("gateway", node.kill_program("gateway"))
    account = callers.finish(seconds=200)
    assert (len(account.answers), account.lost) == (2000, [])
    assert [told.error for _, told in account.answers if told.error] == []
    assert account.answered_twice(broker) == []
    listed = {item["id"]: item["state"] for item in node.must("route", "list")}
    assert listed == {f"1-1-fqdn{number}": "applied" for number in range(40)}


def test_what_is_asked_while_the_module_is_down_is_done_when_it_is_back(broker: Broker, new_node: MakeNode) -> None:
    """Also when its caller has given up by then: a request says nothing about how long it is wanted."""
    node = new_node(broker.unix_url).start()
    assert node.stop() == 0
    given_up = node.call(broker.unix_url, "SetNamedProxy", "1-1-late", "late", URL, "--timeout", "0.2")
    assert given_up.code == 1
    assert "stays queued" in given_up.complaint
    node.start()
    node.until_state("1-1-late", "applied")


def test_a_call_under_way_when_the_control_plane_dies_is_answered_by_the_next(
    broker: Broker, new_node: MakeNode
) -> None:
    node = new_node(broker.unix_url).start()
    control_plane = await_result(lambda: node.pid_of("gateway"), "the control plane's pid", seconds=LONG)
    traefik = node.pid_of("traefik")
    os.kill(traefik, signal.SIGSTOP)
    callers = Callers(
        broker,
        [[("SetNamedProxy", (packing.pack("1-1-a"), values.encode_name_proxy(Proxy("a", (URL,)))))]],
        patience_seconds=LONG,
    )
    with broker.client as admin:
        await_result(lambda: admin.keys("gateway.taken.*.manager@*"), "the call is taken", seconds=LONG)
    os.kill(control_plane, signal.SIGKILL)
    os.kill(traefik, signal.SIGCONT)
    node.until_replaced("gateway", control_plane)
    account = callers.finish(seconds=LONG)
    assert [(told.data, told.error) for _, told in account.answers] == [(packing.pack("a.gw.test"), None)]
    assert account.answered_twice(broker) == []
    node.program.until_logged("requests found that were taken and not answered")


def test_a_password_stays_out_of_logs_status_and_traefik(new_broker: Callable[..., Broker], new_node: MakeNode) -> None:
    guarded = new_broker(password="Wh1sper")
    node = new_node(guarded.tcp_url).start()
    assert node.call(guarded.tcp_url, "Metrics").code == 0
    guarded.change_password("other")
    node.program.until_logged("refuses the password", seconds=LONG)
    status = node.must("status")
    assert any("no calls from the message bus" in notice for notice in status["notices"])
    assert status["healthy"]
    environment = Path(f"/proc/{node.pid_of('traefik')}/environ").read_bytes()
    assert "Wh1sper" not in node.program.log_text() + json.dumps(status) + environment.decode()
    assert node.program.log_text().count("refuses the password") == 1


def test_a_new_password_in_the_settings_is_taken_over(new_broker: Callable[..., Broker], new_node: MakeNode) -> None:
    guarded = new_broker(password="before")
    settings = appliances.settings()
    node = new_node("unused", settings | {"broker": guarded.tcp_url})
    node.start_line = ["--root", str(node.root)]
    node.start()
    with ZbusGateway(guarded.tcp_url, timeout_seconds=LONG) as gateway:
        gateway.metrics()
    guarded.change_password("after")
    node.write_settings(settings | {"broker": guarded.tcp_url})
    with ZbusGateway(guarded.tcp_url, timeout_seconds=LONG) as gateway:
        gateway.metrics()


def test_no_traffic_goes_to_the_broker(broker: Broker, new_node: MakeNode) -> None:
    new_node(broker.tcp_url.replace("127.0.0.1", "localhost")).start()
    with client(broker) as gateway, pytest.raises(Refused, match="it is the address of the message bus"):
        gateway.set_named_proxy("1-1-a", "a", [f"http://127.0.0.1:{broker.port}"])


@pytest.mark.parametrize(
    ("start_line", "complaint"),
    [
        (["--broker", "tcp://user:Wh1sper@redis:6379"], "broker: the broker's address has a user and a password"),
        (["--broker", "/var/run/redis.sock"], "broker: the broker's address has an unknown scheme"),
        (["--workers", "0"], "zbus.workers: "),
        (["--workers", "many"], "argument --workers: invalid int value"),
        (["--brokr=unix:///run/redis.sock"], "unrecognized arguments"),
    ],
)
def test_a_start_line_that_makes_no_sense_is_refused_with_2_and_the_reason(
    new_node: MakeNode, start_line: list[str], complaint: str
) -> None:
    node = new_node("unused")
    node.start_line = [*start_line, "--root", str(node.root)]
    assert node.launch().wait(seconds=LONG) == 2
    assert complaint in node.program.log_text()
    assert "Wh1sper" not in node.program.log_text()
