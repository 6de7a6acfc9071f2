"""The values Gateway's methods take and give, packed and unpacked. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgpack

from appliance.adapters.zbus import packing, wire
from appliance.adapters.zbus.packing import MalformedValue
from appliance.adapters.zbus.wire import ObjectId

_BASE = ("TLSPassthrough", "Backends", "Network")
_NAME_PROXY = (*_BASE, "Name")
_FQDN_PROXY = (*_BASE, "FQDN")
_EMBEDDED = "GatewayBase"
"""The struct whose fields are flattened into both; decoders take it nested, under its type's name, as well."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """The struct of both set methods; `host` is its `Name` or its `FQDN`. None is Go's nil slice and nil pointer."""

    host: str
    backends: tuple[str, ...] | None = None
    tls_passthrough: bool = False
    network: str | None = None


@dataclass(frozen=True, slots=True)
class Metrics:
    """Bytes by workload id. None is Go's nil map."""

    request: Mapping[str, float] | None
    response: Mapping[str, float] | None


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker is doing, and since when (nanoseconds since the epoch)."""

    is_busy: bool
    since: int
    action: str
    """`[manager@0.0.1].Metrics()`; empty when it is free."""


@dataclass(frozen=True, slots=True)
class Status:
    """The answer of the status object."""

    objects: tuple[ObjectId, ...]
    workers: tuple[Worker, ...]


def encode_name_proxy(proxy: Proxy) -> bytes:
    """The struct argument of SetNamedProxy."""
    return _encode_proxy(proxy, _NAME_PROXY)


def encode_fqdn_proxy(proxy: Proxy) -> bytes:
    """The struct argument of SetFQDNProxy."""
    return _encode_proxy(proxy, _FQDN_PROXY)


def name_proxy(value: Any) -> Proxy:
    """The struct argument of SetNamedProxy, unpacked. Raises MalformedValue."""
    return _proxy(value, _NAME_PROXY)


def fqdn_proxy(value: Any) -> Proxy:
    """The struct argument of SetFQDNProxy, unpacked. Raises MalformedValue."""
    return _proxy(value, _FQDN_PROXY)


def encode_metrics(metrics: Metrics) -> bytes:
    """The result of Metrics. Every number travels as a float64."""
    return packing.pack({"Request": _floats(metrics.request), "Response": _floats(metrics.response)})


def metrics(value: Any) -> Metrics:
    """The result of Metrics, unpacked. Raises MalformedValue."""
    values = packing.fields(value, ("Request", "Response"))
    return Metrics(packing.numbers(values.get("Request")), packing.numbers(values.get("Response")))


def encode_status(status: Status) -> bytes:
    """The result of the status object; its times are msgpack's timestamp extension."""
    objects = [{"Name": item.name, "Version": item.version} for item in status.objects]
    return packing.pack({"Objects": objects, "Workers": [_worker_fields(worker) for worker in status.workers]})


def status(value: Any) -> Status:
    """The result of the status object, unpacked. Raises MalformedValue."""
    values = packing.fields(value, ("Objects", "Workers"))
    return Status(
        tuple(wire.object_id(item) for item in packing.array(values.get("Objects")) or ()),
        tuple(_worker(item) for item in packing.array(values.get("Workers")) or ()),
    )


def _encode_proxy(proxy: Proxy, names: tuple[str, ...]) -> bytes:
    backends = None if proxy.backends is None else list(proxy.backends)
    fields = (proxy.tls_passthrough, backends, proxy.network, proxy.host)
    return packing.pack(dict(zip(names, fields, strict=True)))


def _proxy(value: Any, names: tuple[str, ...]) -> Proxy:
    fields = packing.fields(value, names)
    if _EMBEDDED in fields:
        fields = {**packing.fields(fields[_EMBEDDED], _BASE), **fields}
    return Proxy(
        host=packing.text(fields.get(names[-1])),
        backends=packing.texts(fields.get("Backends")),
        tls_passthrough=packing.flag(fields.get("TLSPassthrough", False)),
        network=packing.optional_text(fields.get("Network")),
    )


def _worker_fields(worker: Worker) -> dict[str, Any]:
    since = msgpack.Timestamp.from_unix_nano(worker.since)
    return {"State": "busy" if worker.is_busy else "free", "StartTime": since, "Action": worker.action}


def _worker(value: Any) -> Worker:
    fields = packing.fields(value, ("State", "StartTime", "Action"))
    since = fields.get("StartTime")
    if not isinstance(since, msgpack.Timestamp):
        raise MalformedValue(f"{packing.kind(since)} where a time is wanted")
    is_busy = packing.text(fields.get("State")) == "busy"
    return Worker(is_busy, since.to_unix_nano(), packing.text(fields.get("Action")))


def _floats(values: Mapping[str, float] | None) -> dict[str, float] | None:
    return None if values is None else {key: float(value) for key, value in values.items()}
