"""A call, from its arguments to its answer: which method, by which signature, what it returns when it cannot.

Every method is one line into `control.Gateway`; what is allowed, and the words for what is not, are its affair. Each
has the signature of the original's code and, where the original's documentation tells of another, that one too: the
number of arguments tells them apart. Whatever goes wrong becomes an `Output.Error` with words in it and the method's
zero value beside it, for the original's callers crash on less. It knows nothing of Redis.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from appliance import logs
from appliance.adapters.zbus import packing, values
from appliance.adapters.zbus.packing import MalformedValue
from appliance.adapters.zbus.values import Metrics, Proxy
from appliance.adapters.zbus.wire import ObjectId, Request, Response
from appliance.model.errors import GatewayError, InvalidInput, Refused, Unavailable
from appliance.model.standings import State, WorkloadView

log = logs.logger(__name__)

OBJECTS = (ObjectId("manager", "0.0.1"), ObjectId("gateway", "0.0.1"))
"""The same object twice: under the name the original's code gives it, and under the one its documentation does."""


class Gateway(Protocol):
    """What is called of `control.Gateway`."""

    def set_named_proxy(
        self,
        identity: str,
        name: str,
        backends: list[str],
        *,
        tls_passthrough: bool,
        timeout_seconds: float,
    ) -> WorkloadView:
        """Route a name under the gateway's domain."""

    def set_fqdn_proxy(
        self, identity: str, fqdn: str, backends: list[str], *, tls_passthrough: bool, timeout_seconds: float
    ) -> WorkloadView:
        """Route a host of its own."""

    def delete_proxy(self, identity: str, *, timeout_seconds: float) -> tuple[bool, bool]:
        """Delete a workload of either kind. Whether there was one, and whether Traefik serves none of it any more."""

    def metrics(self) -> Mapping[str, Any]:
        """Bytes per workload."""


@dataclass(frozen=True, slots=True)
class _Argument:
    """An argument: its type by Go's name, for the message, and what reads it."""

    go_type: str
    read: Callable[[Any], Any]


_ID = _TEXT = _Argument("string", packing.text)
_TEXTS = _Argument("[]string", packing.texts)
_FLAG = _Argument("bool", packing.flag)
_NAME_PROXY = _Argument("zos.GatewayNameProxy", values.name_proxy)
_FQDN_PROXY = _Argument("zos.GatewayFQDNProxy", values.fqdn_proxy)


@dataclass(frozen=True, slots=True)
class _Method:
    """A method: its signatures (the original's own first), its zero value, and what it does.

    `run` gets the gateway, the caller's patience in seconds and the arguments; it returns the packed result.
    """

    signatures: tuple[tuple[_Argument, ...], ...]
    zero: bytes | None
    run: Callable[..., bytes | None]

    @property
    def orders(self) -> bool:
        """Whether calls for one workload keep their order."""
        return self.signatures[0][:1] == (_ID,)


def _set_named_proxy(gateway: Gateway, patience: float, identity: str, *given: Any) -> bytes:
    proxy = _proxy(given)
    view = gateway.set_named_proxy(
        identity, proxy.host, _backends(proxy), tls_passthrough=proxy.tls_passthrough, timeout_seconds=patience
    )
    return packing.pack(_applied(view, patience).host)


def _set_fqdn_proxy(gateway: Gateway, patience: float, identity: str, *given: Any) -> None:
    proxy = _proxy(given)
    view = gateway.set_fqdn_proxy(
        identity, proxy.host, _backends(proxy), tls_passthrough=proxy.tls_passthrough, timeout_seconds=patience
    )
    _applied(view, patience)


def _delete_named_proxy(gateway: Gateway, patience: float, identity: str) -> None:
    _, is_gone = gateway.delete_proxy(identity, timeout_seconds=patience)
    if not is_gone:
        raise Unavailable(
            f"{identity} is deleted here, and Traefik has not confirmed within {patience:g} s that it serves it no "
            "more; it is taken down as soon as it can be, and asking again does no harm"
        )


def _metrics(gateway: Gateway, _: float) -> bytes:
    return values.encode_metrics(metrics_of(gateway.metrics()))


_METHODS: Mapping[str, _Method] = {
    "SetNamedProxy": _Method(
        signatures=((_ID, _NAME_PROXY), (_ID, _TEXT, _TEXTS, _FLAG)),
        zero=packing.pack(""),
        run=_set_named_proxy,
    ),
    "SetFQDNProxy": _Method(
        signatures=((_ID, _FQDN_PROXY), (_ID, _TEXT, _TEXTS, _FLAG)),
        zero=None,
        run=_set_fqdn_proxy,
    ),
    "DeleteNamedProxy": _Method(signatures=((_ID,),), zero=None, run=_delete_named_proxy),
    "Metrics": _Method(signatures=((),), zero=values.encode_metrics(Metrics(None, None)), run=_metrics),
}


def lane(request: Request) -> str | None:
    """The workload a call is about: calls of one lane are answered in the order they came in. None: any order."""
    method = _METHODS.get(request.method)
    if method is None or not method.orders or not request.inputs:
        return None
    try:
        return packing.text(packing.unpack(request.inputs[0]))
    except MalformedValue:
        return None


def action(request: Request) -> str:
    """A call, as the status object shows it."""
    return f"[{request.object}].{request.method}()"


def answer(request: Request, gateway: Gateway, patience_seconds: float) -> Response:
    """Carry a call out. Never raises for what a caller sent or a method did."""
    with logs.on_behalf_of(logs.request_id(request.id)):
        return _answer(request, gateway, patience_seconds)


def _answer(request: Request, gateway: Gateway, patience_seconds: float) -> Response:
    method = _METHODS.get(request.method)
    zero = method.zero if method else packing.PACKED_NIL
    try:
        return Response(request.id, data=_run(request, method, gateway, patience_seconds))
    except GatewayError as error:
        return Response(request.id, data=zero, error=str(error) or type(error).__name__)
    except Exception as error:
        log.exception("a call from the bus failed", call=action(request))
        failed = f"remote method call {request.object}.{request.method}() paniced: {type(error).__name__}"
        return Response(request.id, data=zero, error=f"{failed} (the appliance's log says more)")


def _run(request: Request, method: _Method | None, gateway: Gateway, patience: float) -> bytes | None:
    if request.fault is not None:
        raise InvalidInput(request.fault)
    if request.object not in OBJECTS:
        raise InvalidInput("unknown object")
    if method is None:
        raise InvalidInput("not a function")
    return method.run(gateway, patience, *_arguments(request.inputs, method))


def _arguments(inputs: tuple[bytes, ...], method: _Method) -> list[Any]:
    signature = next((item for item in method.signatures if len(item) == len(inputs)), None)
    if signature is None:
        raise InvalidInput(f"invalid number of arguments expecting {len(method.signatures[0])} got {len(inputs)}")
    return [_argument(number, *pair) for number, pair in enumerate(zip(signature, inputs, strict=True))]


def _argument(number: int, wanted: _Argument, packed: bytes) -> Any:
    try:
        return wanted.read(packing.unpack(packed))
    except MalformedValue as error:
        raise InvalidInput(f"invalid argument type [{number}] expecting {wanted.go_type} got") from error


def _proxy(given: tuple[Any, ...]) -> Proxy:
    """The struct of the signature in the code, or the three arguments of the one in the documentation, as one thing."""
    return given[0] if isinstance(given[0], Proxy) else Proxy(*given)


def _backends(proxy: Proxy) -> list[str]:
    """The backends, once it is sure that they are meant to be reached from here."""
    if proxy.network:
        raise Refused(
            f"private networks are not supported, and the backends are said to be in {proxy.network[:80]!r}: "
            "leave `Network` empty and give backends that this gateway reaches"
        )
    return list(proxy.backends or ())


def _applied(view: WorkloadView, patience: float) -> WorkloadView:
    """The view, when Traefik serves what was asked for."""
    if view.standing.state is State.PENDING:
        raise Unavailable(
            f"{view.id} is registered and still pending: Traefik has not confirmed it within {patience:g} s "
            f"({view.standing.reason}); it is served as soon as it can be, and asking again does no harm"
        )
    if view.standing.state is State.QUARANTINED:
        raise Refused(view.standing.reason)
    return view


def metrics_of(counted: Mapping[str, Any]) -> Metrics:
    """The counters as the bus carries them. Deleted workloads are left out, and so is what could not be measured."""
    live = {identity: item for identity, item in counted.items() if item.get("deleted") is None}

    def of(key: str) -> dict[str, float]:
        return {identity: float(item[key]) for identity, item in live.items() if item[key] is not None}

    return Metrics(of("request_bytes"), of("response_bytes"))
