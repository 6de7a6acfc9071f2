"""The zbus messages: a call and its answer, octets to values and back. Pure; it knows neither Redis nor any method.

    request   {ID, Inputs: [packed argument...], Object: {Name, Version}, ReplyTo, Method}
    response  {ID, Output: {Data: packed result, Error: {Message}}, Error}

An answer's `Output.Error` is what a method says went wrong. Its `Error` is the protocol's own, which crashes the
original's callers; it is read here, and never sent by this gateway.
"""

from dataclasses import dataclass
from typing import Any

from appliance.adapters.zbus import packing
from appliance.adapters.zbus.packing import MalformedValue

_REQUEST = ("ID", "Inputs", "Object", "ReplyTo", "Method")
_RESPONSE = ("ID", "Output", "Error")


class Undecodable(ValueError):
    """No message at all, or one that does not say whom to answer."""


@dataclass(frozen=True, slots=True)
class ObjectId:
    """An object of a module, and its version."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Request:
    """One call. `inputs` are its arguments, each packed by itself."""

    id: str
    inputs: tuple[bytes, ...]
    object: ObjectId
    reply_to: str
    method: str
    fault: str | None = None
    """Why inputs, object and method are empty: the message says whom to answer, and the rest cannot be read."""


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a call. `data` is the packed result; None where a method has none."""

    id: str
    data: bytes | None = None
    error: str | None = None
    """What the method says went wrong. A caller takes an empty text for success."""
    failure: str | None = None
    """What the protocol says went wrong."""


def encode_request(request: Request) -> bytes:
    """The payload of a request."""
    named = {"Name": request.object.name, "Version": request.object.version}
    values = (request.id, list(request.inputs), named, request.reply_to, request.method)
    return packing.pack(dict(zip(_REQUEST, values, strict=True)))


def decode_request(payload: bytes) -> Request:
    """The request in a payload. Raises Undecodable where nobody could be answered; see `Request.fault` for the rest."""
    try:
        values = _message(payload, _REQUEST)
        identity, reply_to = packing.text(values.get("ID")), packing.text(values.get("ReplyTo"))
    except MalformedValue as error:
        raise Undecodable(str(error)) from error
    try:
        inputs = tuple(packing.octets(item) or b"" for item in packing.array(values.get("Inputs")) or ())
        named, method = object_id(values.get("Object")), packing.text(values.get("Method"))
    except MalformedValue as error:
        return Request(identity, (), ObjectId("", ""), reply_to, "", fault=f"the request cannot be read: {error}")
    return Request(identity, inputs, named, reply_to, method)


def encode_response(response: Response) -> bytes:
    """The payload of an answer."""
    error = None if response.error is None else {"Message": response.error}
    output = {"Data": response.data, "Error": error}
    return packing.pack({"ID": response.id, "Output": output, "Error": response.failure})


def decode_response(payload: bytes) -> Response:
    """The answer in a payload. Raises Undecodable."""
    try:
        values = _message(payload, _RESPONSE)
        output = packing.fields(values.get("Output"), ("Data", "Error"))
        error = output.get("Error")
        return Response(
            id=packing.text(values.get("ID")),
            data=packing.octets(output.get("Data")),
            error=None if error is None else packing.text(packing.fields(error, ("Message",)).get("Message")),
            failure=packing.optional_text(values.get("Error")),
        )
    except MalformedValue as error:
        raise Undecodable(str(error)) from error


def object_id(value: Any) -> ObjectId:
    """An unpacked object id. Raises MalformedValue."""
    values = packing.fields(value, ("Name", "Version"))
    return ObjectId(packing.text(values.get("Name")), packing.text(values.get("Version")))


def _message(payload: bytes, names: tuple[str, ...]) -> dict[str, Any]:
    value = packing.unpack(payload)
    if value is None:
        raise MalformedValue("nil where a message is wanted")
    return packing.fields(value, names)
