"""The wire format against octets that the real Go client and server made, both ways."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.adapters.zbus import packing, values, wire
from appliance.adapters.zbus.packing import MalformedValue
from appliance.adapters.zbus.values import Metrics, Proxy
from appliance.adapters.zbus.wire import ObjectId, Request, Response, Undecodable

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "golden" / "zbus-vectors.json").read_text(encoding="utf-8")
)
MADE_BY_GO = [vector for vector in VECTORS if vector["origin"].startswith("real Go")]
REQUESTS = [vector for vector in VECTORS if vector["direction"] == "request"]
RESPONSES = [vector for vector in VECTORS if vector["direction"] == "response"]
BAD = {
    # What the real Go client cannot read either, and what its stub cannot make sense of.
    "synthetic.delete.garbage": Undecodable,
}


def by_name(vectors: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", vectors, ids=[vector["name"] for vector in vectors])


def octets(vector: dict[str, Any]) -> bytes:
    return bytes.fromhex(vector["hex"])


def packed(shown: Any) -> bytes | None:
    """A packed value, from the vectors' readable view of it."""
    return None if shown is None else bytes.fromhex(shown["$bin"])


def test_the_vectors_are_all_there() -> None:
    assert len(VECTORS) == 89
    assert len(MADE_BY_GO) == 64


@by_name([vector for vector in MADE_BY_GO if vector["direction"] == "request"])
def test_a_request_made_by_go_is_read_and_written_octet_for_octet(vector: dict[str, Any]) -> None:
    request = wire.decode_request(octets(vector))
    assert wire.encode_request(request) == octets(vector)


@by_name([vector for vector in MADE_BY_GO if vector["direction"] == "response"])
def test_a_response_made_by_go_is_read_and_written_octet_for_octet(vector: dict[str, Any]) -> None:
    response = wire.decode_response(octets(vector))
    assert wire.encode_response(response) == octets(vector)


@by_name([vector for vector in MADE_BY_GO if vector["direction"] == "event"])
def test_an_event_made_by_go_is_a_bare_value(vector: dict[str, Any]) -> None:
    assert values.metrics(packing.unpack(octets(vector))) == Metrics({"a": 1.0}, None)
    assert values.encode_metrics(Metrics({"a": 1.0}, None)) == octets(vector)


@by_name(REQUESTS)
def test_a_request_is_read_as_what_it_is(vector: dict[str, Any]) -> None:
    shown = vector["decoded"]
    if isinstance(shown, list):  # a struct as an array
        names = ("ID", "Inputs", "Object", "ReplyTo", "Method")
        shown = dict(zip(names, shown, strict=True)) | {"Object": dict(zip(("Name", "Version"), shown[2], strict=True))}
    assert wire.decode_request(octets(vector)) == Request(
        id=shown["ID"],
        inputs=tuple(packed(item) or b"" for item in shown["Inputs"] or ()),
        object=ObjectId(shown["Object"]["Name"], shown["Object"]["Version"]),
        reply_to=shown["ReplyTo"],
        method=shown["Method"],
    )


@by_name([vector for vector in RESPONSES if vector["name"] not in BAD])
def test_a_response_is_read_as_what_it_is(vector: dict[str, Any]) -> None:
    shown = vector["decoded"]
    output = shown["Output"]
    data = output.get("Data")
    assert wire.decode_response(octets(vector)) == Response(
        id=shown["ID"],
        data=data.encode() if isinstance(data, str) else packed(data),
        error=output["Error"]["Message"] if output.get("Error") else None,
        failure=shown.get("Error"),
    )


@pytest.mark.parametrize("name", BAD)
def test_an_unreadable_response_is_refused(name: str) -> None:
    (vector,) = (vector for vector in VECTORS if vector["name"] == name)
    with pytest.raises(BAD[name]):
        wire.decode_response(octets(vector))


@by_name(
    [vector for vector in MADE_BY_GO if vector["name"].endswith("request") and "Set" in vector["decoded"]["Method"]]
)
def test_the_struct_argument_is_written_as_go_writes_it(vector: dict[str, Any]) -> None:
    request = wire.decode_request(octets(vector))
    read, write = (
        (values.name_proxy, values.encode_name_proxy)
        if request.method == "SetNamedProxy"
        else (values.fqdn_proxy, values.encode_fqdn_proxy)
    )
    assert write(read(packing.unpack(request.inputs[1]))) == request.inputs[1]


@by_name(
    [vector for vector in MADE_BY_GO if vector["name"].startswith("metrics.") and vector["direction"] == "response"]
)
def test_metrics_are_written_as_go_writes_them(vector: dict[str, Any]) -> None:
    data = wire.decode_response(octets(vector)).data
    assert data is not None
    assert values.encode_metrics(values.metrics(packing.unpack(data))) == data


@by_name(
    [vector for vector in MADE_BY_GO if vector["name"].startswith("status.") and vector["direction"] == "response"]
)
def test_the_status_is_written_as_go_writes_it(vector: dict[str, Any]) -> None:
    data = wire.decode_response(octets(vector)).data
    assert data is not None
    status = values.status(packing.unpack(data))
    assert ObjectId("manager", "0.0.1") in status.objects
    assert len(status.workers) == 2
    assert values.encode_status(status) == data


BASE = {"TLSPassthrough": True, "Backends": ["10.0.0.1:443"], "Network": None}

STRUCTS: list[tuple[Any, Proxy]] = [
    ({**BASE, "Name": "x"}, Proxy("x", ("10.0.0.1:443",), tls_passthrough=True)),
    ({"Name": "x", "Extra": 1}, Proxy("x")),
    ({}, Proxy("")),
    (None, Proxy("")),
    ([True, ["10.0.0.1:443"], "net", "x"], Proxy("x", ("10.0.0.1:443",), tls_passthrough=True, network="net")),
    ([True], Proxy("", tls_passthrough=True)),
    ({"GatewayBase": BASE, "Name": "x"}, Proxy("x", ("10.0.0.1:443",), tls_passthrough=True)),
    ({"Name": b"x", "Backends": [b"http://10.0.0.1"]}, Proxy("x", ("http://10.0.0.1",))),
    ({"Name": None, "Backends": None}, Proxy("")),
    ({"Name": "x", "Backends": []}, Proxy("x", ())),
    ({"name": "x", "backends": ["b"]}, Proxy("")),  # Go's decoder looks for its own spelling
]


@pytest.mark.parametrize(("given_value", "read"), STRUCTS)
def test_a_struct_is_read_as_leniently_as_go_reads_it(given_value: Any, read: Proxy) -> None:
    assert values.name_proxy(packing.unpack(packing.pack(given_value))) == read


@pytest.mark.parametrize(
    "wrong",
    [
        5,
        "text",
        True,
        {"TLSPassthrough": 1},
        {"TLSPassthrough": None},
        {"Name": 5},
        {"Backends": "one"},
        {"Backends": [1]},
    ],
)
def test_a_struct_of_the_wrong_shape_is_refused(wrong: Any) -> None:
    with pytest.raises(MalformedValue):
        values.name_proxy(packing.unpack(packing.pack(wrong)))


UNDECODABLE = {
    "nothing": b"",
    "random": b"\xc1\xff\x00",
    "cut off": octets(VECTORS[0])[:-20],
    "a number": packing.pack(5),
    "nil": packing.PACKED_NIL,
    "no text to answer to": packing.pack({"ID": "a", "ReplyTo": 5}),
    "an array that says it is huge": b"\xdd\xff\xff\xff\xff",
    "a map that says it is huge": b"\xdf\xff\xff\xff\xff",
    "deep": b"\x91" * 100_000,
}


@pytest.mark.parametrize("name", UNDECODABLE)
def test_what_says_nobody_to_answer_is_undecodable(name: str) -> None:
    with pytest.raises(Undecodable):
        wire.decode_request(UNDECODABLE[name])


@pytest.mark.parametrize(
    "wrong", [{"Inputs": 5}, {"Inputs": [5]}, {"Object": "manager"}, {"Method": 5}, {"Object": {"Name": 5}}]
)
def test_a_request_whose_caller_is_known_keeps_its_fault(wrong: dict[str, Any]) -> None:
    request = wire.decode_request(packing.pack({"ID": "a", "ReplyTo": "b", "Method": "Metrics", **wrong}))
    assert (request.id, request.reply_to, request.method) == ("a", "b", "")
    assert request.fault is not None


def test_trailing_octets_are_ignored() -> None:
    vector = VECTORS[0]
    assert wire.decode_request(octets(vector) + b"rest") == wire.decode_request(octets(vector))


def test_text_that_is_not_utf8_survives() -> None:
    payload = octets(VECTORS[0]).replace(b"manager", b"man\xffger")
    assert wire.encode_request(wire.decode_request(payload)) == payload


@given(st.binary(max_size=200))
def test_no_octets_raise_anything_else(payload: bytes) -> None:
    for decode in (wire.decode_request, wire.decode_response):
        try:
            decode(payload)
        except Undecodable:
            continue


@given(st.integers(0, 10_000), st.integers(0, 255), st.sampled_from(REQUESTS))
def test_a_damaged_request_raises_nothing_else(position: int, octet: int, vector: dict[str, Any]) -> None:
    payload = bytearray(octets(vector))
    payload[position % len(payload)] = octet
    try:
        wire.encode_request(wire.decode_request(bytes(payload)))
    except Undecodable:
        return
