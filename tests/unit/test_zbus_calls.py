"""Calls: what each method takes in either signature, and what its callers get when it cannot."""

import re
from typing import Any

import pytest

from appliance.adapters.zbus import calls, packing, values, wire
from appliance.adapters.zbus.values import Metrics, Proxy
from appliance.adapters.zbus.wire import ObjectId, Request, Response
from appliance.model import workloads
from appliance.model.errors import Conflict, GatewayError, InvalidInput, NoGateway, Refused
from appliance.model.standings import Certificate, CertificateState, Standing, State, WorkloadView
from tests.unit.test_zbus_wire import VECTORS

MANAGER, GATEWAY = calls.OBJECTS
PATIENCE = 7.0
URL = "http://10.1.2.3:9000"
ZERO = {
    "SetNamedProxy": b"\xa0",
    "SetFQDNProxy": None,
    "DeleteNamedProxy": None,
    "Metrics": values.encode_metrics(Metrics(None, None)),
}


class FakeGateway:
    """Notes what it is called with, and answers as it is told to."""

    def __init__(self, error: Exception | None = None, standing: Standing | None = None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._error = error
        self._standing = standing or Standing(State.APPLIED)

    def set_named_proxy(
        self, identity: str, name: str, backends: list[str], *, tls_passthrough: bool, timeout_seconds: float
    ) -> WorkloadView:
        self._note("set_named_proxy", identity, name, backends, tls_passthrough, timeout_seconds)
        return self._view(identity, f"{name}.gw.test")

    def set_fqdn_proxy(
        self, identity: str, fqdn: str, backends: list[str], *, tls_passthrough: bool, timeout_seconds: float
    ) -> WorkloadView:
        self._note("set_fqdn_proxy", identity, fqdn, backends, tls_passthrough, timeout_seconds)
        return self._view(identity, fqdn)

    def delete_proxy(self, identity: str, *, timeout_seconds: float) -> tuple[bool, bool]:
        self._note("delete_proxy", identity, timeout_seconds)
        return False, self._standing.state is not State.PENDING

    def metrics(self) -> dict[str, dict[str, Any]]:
        self._note("metrics")
        return {
            "1-1-a": {"request_bytes": 10, "response_bytes": 2**40, "deleted": None},
            "1-1-unmeasured": {"request_bytes": None, "response_bytes": None, "reason": "why", "deleted": None},
            "1-1-gone": {"request_bytes": 5, "response_bytes": 5, "deleted": 1_700_000_000.0},
        }

    def _note(self, *call: Any) -> None:
        self.calls.append(call)
        if self._error is not None:
            raise self._error

    def _view(self, identity: str, host: str) -> WorkloadView:
        return WorkloadView(identity, None, host, self._standing, Certificate(CertificateState.PENDING))


def request(method: str, *inputs: bytes, target: ObjectId = MANAGER) -> Request:
    return Request("the id", inputs, target, "the reply", method)


def answer(asked: Request, gateway: FakeGateway | None = None) -> Response:
    return calls.answer(asked, gateway or FakeGateway(), PATIENCE)


def packed(*arguments: Any) -> tuple[bytes, ...]:
    return tuple(packing.pack(argument) for argument in arguments)


NAME = values.encode_name_proxy(Proxy("blog", (URL,)))
FQDN = values.encode_fqdn_proxy(Proxy("shop.test", ("10.1.2.3:443",), tls_passthrough=True, network=""))
ID = packing.pack("1-1-a")

TAKEN: list[tuple[str, tuple[bytes, ...], tuple[Any, ...], bytes | None]] = [
    (
        "SetNamedProxy",
        (ID, NAME),
        ("set_named_proxy", "1-1-a", "blog", [URL], False, PATIENCE),
        packing.pack("blog.gw.test"),
    ),
    (
        "SetNamedProxy",
        packed("1-1-a", "blog", ["10.1.2.3:443"], True),
        ("set_named_proxy", "1-1-a", "blog", ["10.1.2.3:443"], True, PATIENCE),
        packing.pack("blog.gw.test"),
    ),
    (
        "SetNamedProxy",
        packed("1-1-a", {"Name": "x"}),
        ("set_named_proxy", "1-1-a", "x", [], False, PATIENCE),
        packing.pack("x.gw.test"),
    ),
    ("SetFQDNProxy", (ID, FQDN), ("set_fqdn_proxy", "1-1-a", "shop.test", ["10.1.2.3:443"], True, PATIENCE), None),
    (
        "SetFQDNProxy",
        packed("1-1-a", "shop.test", [URL], False),
        ("set_fqdn_proxy", "1-1-a", "shop.test", [URL], False, PATIENCE),
        None,
    ),
    ("DeleteNamedProxy", (ID,), ("delete_proxy", "1-1-a", PATIENCE), None),
    ("DeleteNamedProxy", packed(b"1-1-a"), ("delete_proxy", "1-1-a", PATIENCE), None),
    ("DeleteNamedProxy", packed(None), ("delete_proxy", "", PATIENCE), None),
    ("Metrics", (), ("metrics",), values.encode_metrics(Metrics({"1-1-a": 10.0}, {"1-1-a": 2.0**40}))),
]


@pytest.mark.parametrize("target", calls.OBJECTS, ids=str)
@pytest.mark.parametrize(("method", "inputs", "called", "data"), TAKEN)
def test_each_method_is_one_call(
    method: str, inputs: tuple[bytes, ...], called: tuple[Any, ...], data: bytes | None, target: ObjectId
) -> None:
    gateway = FakeGateway()
    assert answer(request(method, *inputs, target=target), gateway) == Response("the id", data=data)
    assert gateway.calls == [called]


REFUSED: list[tuple[str, tuple[bytes, ...], str]] = [
    ("SetNamedProxy", (), "invalid number of arguments expecting 2 got 0"),
    ("SetNamedProxy", packed("a", "b", ["c"]), "invalid number of arguments expecting 2 got 3"),
    ("SetNamedProxy", packed("a", "b", ["c"], True, None), "invalid number of arguments expecting 2 got 5"),
    ("SetFQDNProxy", (ID,), "invalid number of arguments expecting 2 got 1"),
    ("DeleteNamedProxy", (), "invalid number of arguments expecting 1 got 0"),
    ("DeleteNamedProxy", packed("a", "b"), "invalid number of arguments expecting 1 got 2"),
    ("Metrics", (ID,), "invalid number of arguments expecting 0 got 1"),
    ("DeleteNamedProxy", packed({"a": 1.0}), "invalid argument type [0] expecting string got"),
    ("DeleteNamedProxy", (b"",), "invalid argument type [0] expecting string got"),
    ("SetNamedProxy", packed("a", "b"), "invalid argument type [1] expecting zos.GatewayNameProxy got"),
    ("SetFQDNProxy", packed("w1", 5), "invalid argument type [1] expecting zos.GatewayFQDNProxy got"),
    ("SetNamedProxy", packed("a", "b", "c", True), "invalid argument type [2] expecting []string got"),
    ("SetFQDNProxy", packed("a", "b", ["c"], None), "invalid argument type [3] expecting bool got"),
    ("SetFQDNProxy", packed("a", "b", ["c"], 1), "invalid argument type [3] expecting bool got"),
]


@pytest.mark.parametrize(("method", "inputs", "message"), REFUSED)
def test_bad_arguments_get_gos_words_and_the_zero_value(method: str, inputs: tuple[bytes, ...], message: str) -> None:
    gateway = FakeGateway()
    assert answer(request(method, *inputs), gateway) == Response("the id", data=ZERO[method], error=message)
    assert gateway.calls == []


PROTOCOL_ERRORS = [vector for vector in VECTORS if vector["name"].startswith("protocol_error.")]


@pytest.mark.parametrize(
    "name", ["unknown_method", "too_few_args", "too_many_args", "wrong_arg_type", "unknown_object", "arg_struct_wrong"]
)
def test_what_gos_server_says_through_the_protocol_we_say_through_the_method(name: str) -> None:
    """The words are Go's own, from its answer; the way is the one that its callers survive."""
    asked, said = (bytes.fromhex(v["hex"]) for v in PROTOCOL_ERRORS if v["name"].split(".")[1] == name)
    given = wire.decode_request(asked)
    told = answer(given)
    assert told.error == wire.decode_response(said).failure
    assert told.failure is None
    assert told.data == ZERO.get(given.method, b"\xc0")


@pytest.mark.parametrize("method", ["", "metrics", "Nope", "__init__"])
def test_an_unknown_method_is_not_a_function(method: str) -> None:
    assert answer(request(method)) == Response("the id", data=b"\xc0", error="not a function")


@pytest.mark.parametrize("target", [ObjectId("manager", "0.0.2"), ObjectId("zbus", "1.0"), ObjectId("", "")], ids=str)
def test_an_object_is_known_by_name_and_version(target: ObjectId) -> None:
    assert answer(request("Metrics", target=target)).error == "unknown object"


def test_a_request_that_cannot_be_read_is_answered_with_its_fault() -> None:
    given = wire.decode_request(packing.pack({"ID": "a", "ReplyTo": "b", "Inputs": 5}))
    told = answer(given)
    assert told == Response("a", data=b"\xc0", error=f"{given.fault}")
    assert "cannot be read" in str(told.error)


@pytest.mark.parametrize("method", ZERO)
@pytest.mark.parametrize(
    "error", [InvalidInput("no"), Refused("no"), Conflict("no"), NoGateway("no"), GatewayError("no")], ids=repr
)
def test_domain_errors_arrive_with_their_words(method: str, error: GatewayError) -> None:
    inputs = next(inputs for name, inputs, _, _ in TAKEN if name == method)
    assert answer(request(method, *inputs), FakeGateway(error)) == Response("the id", data=ZERO[method], error="no")


@pytest.mark.parametrize("error", [Refused(""), RuntimeError(""), ValueError("tcp://secret@broker")], ids=repr)
def test_an_error_is_never_without_words_nor_tells_secrets(error: Exception) -> None:
    told = answer(request("Metrics"), FakeGateway(error))
    assert told.error
    assert "secret" not in told.error
    assert told.data == ZERO["Metrics"]


def test_an_internal_error_is_told_in_gos_words() -> None:
    told = answer(request("DeleteNamedProxy", ID), FakeGateway(RuntimeError("boom")))
    assert str(told.error).startswith("remote method call manager@0.0.1.DeleteNamedProxy() paniced: RuntimeError")


@pytest.mark.parametrize(
    ("standing", "says"),
    [
        (Standing(State.PENDING, "Traefik is silent"), r"still pending.* within 7 s \(Traefik is silent\)"),
        (Standing(State.QUARANTINED, "Traefik rejected it"), "^Traefik rejected it$"),
    ],
)
@pytest.mark.parametrize("method", ["SetNamedProxy", "SetFQDNProxy"])
def test_a_set_succeeds_only_once_traefik_serves_it(method: str, standing: Standing, says: str) -> None:
    inputs = next(inputs for name, inputs, _, _ in TAKEN if name == method)
    told = answer(request(method, *inputs), FakeGateway(standing=standing))
    assert told.data == ZERO[method]
    assert told.error is not None
    assert re.search(says, told.error)


@pytest.mark.parametrize(
    ("method", "encode"), [("SetNamedProxy", values.encode_name_proxy), ("SetFQDNProxy", values.encode_fqdn_proxy)]
)
@pytest.mark.parametrize("network", [None, "", "mynet"])
def test_a_private_network_is_refused_and_an_empty_one_is_none(method: str, encode: Any, network: str | None) -> None:
    gateway = FakeGateway()
    told = answer(request(method, ID, encode(Proxy("blog", (URL,), network=network))), gateway)
    if network:
        assert "private networks are not supported" in str(told.error)
        assert gateway.calls == []
    else:
        assert told.error is None


@pytest.mark.parametrize(
    ("asked", "lane"),
    [
        (request("SetNamedProxy", ID, NAME), "1-1-a"),
        (request("SetFQDNProxy", *packed("1-1-a", "x", [], False)), "1-1-a"),
        (request("DeleteNamedProxy", *packed(b"1-1-a")), "1-1-a"),
        (request("DeleteNamedProxy", *packed(5)), None),
        (request("DeleteNamedProxy"), None),
        (request("Metrics"), None),
        (request("Nope", ID), None),
    ],
)
def test_what_concerns_one_workload_keeps_its_order(asked: Request, lane: str | None) -> None:
    assert calls.lane(asked) == lane


def test_invalid_utf8_is_answered_and_not_obeyed() -> None:
    class Checking(FakeGateway):
        def delete_proxy(self, identity: str, *, timeout_seconds: float) -> tuple[bool, bool]:
            workloads.workload_id(identity)
            return True, True

    told = answer(request("DeleteNamedProxy", b"\xa3a\xffb"), Checking())
    assert "is not valid" in str(told.error)
    assert wire.decode_response(wire.encode_response(told)) == told


def test_a_deletion_that_traefik_has_not_confirmed_is_not_reported_as_done() -> None:
    told = answer(request("DeleteNamedProxy", ID), FakeGateway(standing=Standing(State.PENDING)))
    assert "1-1-a is deleted here, and Traefik has not confirmed within 7 s" in str(told.error)
