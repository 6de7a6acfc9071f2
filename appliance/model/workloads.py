"""Workloads: what somebody wants routed. A workload is desired state; what becomes of it is decided in `admission`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from appliance.model import backends, documents, hosts, options
from appliance.model.backends import Backend
from appliance.model.errors import InvalidInput
from appliance.model.options import Options

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,199}")
_MOST_BACKENDS = 64


class WorkloadType(StrEnum):
    """The two kinds, by the names existing orchestrators write."""

    NAME_PROXY = "gateway-name-proxy"
    FQDN_PROXY = "gateway-fqdn-proxy"


@dataclass(frozen=True, slots=True)
class Workload:
    """One valid workload. `name` (one label) belongs to a name proxy, `fqdn` to an FQDN proxy; the other is None."""

    id: str
    type: WorkloadType
    name: str | None
    domain: str | None
    """The gateway domain a name proxy asks for; None = the gateway's first."""
    fqdn: str | None
    tls_passthrough: bool
    backends: tuple[Backend, ...]
    options: Options = options.NONE

    def document(self) -> dict[str, Any]:
        """The keys and values of its file; `parse` of it gives this workload again. Holds secrets of `options`."""
        named = {"name": self.name, "domain": self.domain, "fqdn": self.fqdn}
        return {
            "type": self.type.value,
            **{key: value for key, value in named.items() if value is not None},
            "tls_passthrough": self.tls_passthrough,
            "backends": [str(backend) for backend in self.backends],
            **({"options": self.options.document()} if self.options != options.NONE else {}),
        }


def is_id(text: str) -> bool:
    """Whether `text` is a workload id."""
    return _ID.fullmatch(text) is not None


def workload_id(text: str) -> str:
    """`text` if it is a workload id (`[A-Za-z0-9][A-Za-z0-9_-]{0,199}`, case kept). Raises InvalidInput."""
    if not is_id(text):
        raise InvalidInput(
            f"the workload id {text[:80]!r} is not valid: it is 1 to 200 letters, digits, `-` and `_`, "
            "and starts with a letter or digit"
        )
    return text


def parse(identity: str, document: Any) -> Workload:
    """The workload that a file, an API body or an RPC call describes. Raises InvalidInput naming key and mend."""
    values = documents.mapping(document, "the workload")
    kind = _type(values)
    own_key = "name" if kind is WorkloadType.NAME_PROXY else "fqdn"
    _check_keys(values, kind, own_key)
    own = _text(values, own_key)
    passthrough = values.get("tls_passthrough", False)
    if not isinstance(passthrough, bool):
        raise InvalidInput(f"`tls_passthrough` is {documents.kind(passthrough)}: it must be true or false")
    domain = _text(values, "domain") if values.get("domain") is not None else None
    servers = _backends(values.get("backends"), tls_passthrough=passthrough)
    chosen = options.parse(values.get("options"), tls_passthrough=passthrough)
    _check_backend_tls(chosen, servers)
    return Workload(
        id=workload_id(identity),
        type=kind,
        name=hosts.label(own) if kind is WorkloadType.NAME_PROXY else None,
        domain=hosts.host(domain) if domain is not None else None,
        fqdn=hosts.host(own) if kind is WorkloadType.FQDN_PROXY else None,
        tls_passthrough=passthrough,
        backends=servers,
        options=chosen,
    )


def _type(values: Mapping[str, Any]) -> WorkloadType:
    given = values.get("type")
    try:
        return WorkloadType(str(given))
    except ValueError as error:
        kinds = " or ".join(f"`{kind}`" for kind in WorkloadType)
        was = "is missing" if given is None else f"is {str(given)[:80]!r}"
        raise InvalidInput(f"`type` {was}: it must be {kinds}") from error


def _check_keys(values: Mapping[str, Any], kind: WorkloadType, own_key: str) -> None:
    known = ["type", own_key, "tls_passthrough", "backends", "options"]
    if kind is WorkloadType.NAME_PROXY:
        known.insert(2, "domain")
    for key in values:
        if key not in known:
            raise InvalidInput(f"{documents.unknown_key(key, known)} (a {kind})")


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    if not isinstance(value, str):
        was = "is missing" if value is None else f"is {documents.kind(value)}"
        raise InvalidInput(f"`{key}` {was}: it must be text (in quotes, if it looks like a number or date)")
    return value


def _backends(value: Any, *, tls_passthrough: bool) -> tuple[Backend, ...]:
    if not isinstance(value, list) or not value:
        raise InvalidInput('`backends` must be a list of at least one backend, like ["http://10.1.2.3:9000"]')
    if len(value) > _MOST_BACKENDS:
        raise InvalidInput(f"`backends` has {len(value)} entries: at most {_MOST_BACKENDS} are taken")
    for item in value:
        if not isinstance(item, str):
            raise InvalidInput(
                f"`backends` holds {documents.kind(item)}: each backend is text, like http://10.1.2.3:9000"
            )
    parsed = tuple(backends.parse(item, tls_passthrough=tls_passthrough) for item in value)
    if len(set(parsed)) != len(parsed):
        raise InvalidInput("`backends` names the same backend twice: list each once")
    return parsed


def _check_backend_tls(chosen: Options, servers: tuple[Backend, ...]) -> None:
    """Whoever asks for verified backends is told when one of them could not be."""
    if chosen.backend_tls is None:
        return
    for server in servers:
        if server.scheme != "https":
            raise InvalidInput(
                f"`options.backend_tls` is about https:// backends, and {server} is none: "
                "write it with https://, or leave `backend_tls` out"
            )
