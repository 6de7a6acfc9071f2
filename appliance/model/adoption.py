"""Route files of the original gateway as workloads.

The original kept no desired state but what it had written for Traefik: one file a workload, one router and one service
in it. Read back is what it wrote, whatever router and service are called. What says more than a workload can say is
not adopted, since something of it would be lost without a word.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from appliance.model import documents, hosts, workloads
from appliance.model.errors import InvalidInput
from appliance.model.workloads import Workload, WorkloadType

_RULE = {
    "http": re.compile(r"\s*Host\(\s*([`\"])([^`\"]+)\1\s*\)\s*"),
    "tcp": re.compile(r"\s*HostSNI\(\s*([`\"])([^`\"]+)\1\s*\)\s*"),
}
_ADDRESS = {"http": "url", "tcp": "address"}
_ROUTER_KEYS = frozenset({"rule", "service", "tls", "entrypoints", "priority"})
_BALANCER_KEYS = frozenset({"servers", "passhostheader", "terminationdelay"})


def gateway_domains(found: Iterable[Any]) -> frozenset[str]:
    """The gateway domains that original files name: those they have a wildcard certificate for."""
    return frozenset(name.removeprefix("*.").lower() for document in found for name in _names(document))


def workload(identity: str, document: Any, domains: Iterable[str]) -> Workload:
    """The workload that an original's file stands for. Raises InvalidInput, saying why it stands for none.

    `domains` are the gateway's: a host below one is a name proxy's.
    """
    protocol, section = _only(documents.lowered(document, "the file"), "the file", "section (`http` or `tcp`)")
    if protocol not in _RULE:
        raise InvalidInput(f"it holds `{protocol}`, which no workload has")
    parts = documents.lowered(section, f"`{protocol}`")
    _check_keys(parts, frozenset({"routers", "services"}), f"`{protocol}`")
    _, router = _only(parts.get("routers"), "`routers`", "router")
    router = documents.lowered(router, "the router")
    _check_keys(router, _ROUTER_KEYS, "the router")
    passthrough = _is_passed_through(router, protocol)
    content = {"tls_passthrough": passthrough, "backends": _backends(parts.get("services"), router, protocol)}
    return workloads.parse(identity, {**_host(router, protocol, domains), **content})


def _host(router: Mapping[str, Any], protocol: str, domains: Iterable[str]) -> dict[str, Any]:
    match = _RULE[protocol].fullmatch(str(router.get("rule")))
    if match is None:
        raise InvalidInput(f"its rule is {str(router.get('rule'))[:200]!r}: only one for a single host can be adopted")
    host = hosts.host(match[2])
    for domain in sorted(domains, key=len, reverse=True):
        if hosts.lies_under(host, domain):
            name = host.removesuffix(domain).removesuffix(".")
            if not name or "." in name:
                raise InvalidInput(f"{host} is no name directly below the gateway domain {domain}")
            return {"type": WorkloadType.NAME_PROXY.value, "name": name, "domain": domain}
    return {"type": WorkloadType.FQDN_PROXY.value, "fqdn": host}


def _is_passed_through(router: Mapping[str, Any], protocol: str) -> bool:
    if "tls" not in router:
        raise InvalidInput("its router has no `tls`: this gateway serves nothing without")
    tls = documents.lowered(router["tls"] or {}, "`tls`")
    passed = str(tls.get("passthrough", "")).lower() == "true"  # the original wrote it as text
    if passed != (protocol == "tcp"):
        raise InvalidInput("it terminates the TLS of a TCP router, or passes on that of an HTTP router")
    return passed


def _backends(services: Any, router: Mapping[str, Any], protocol: str) -> list[str]:
    name, service = _only(services, "`services`", "service")
    if str(router.get("service")).removesuffix("@file") != name:
        raise InvalidInput(f"its router leads to {str(router.get('service'))[:80]!r}, and the service is {name[:80]!r}")
    service = documents.lowered(service, "the service")
    _check_keys(service, frozenset({"loadbalancer"}), "the service")
    balancer = documents.lowered(service.get("loadbalancer"), "`loadBalancer`")
    _check_keys(balancer, _BALANCER_KEYS, "`loadBalancer`")
    servers = balancer.get("servers")
    found = [documents.lowered(item, "a server").get(_ADDRESS[protocol]) for item in servers or ()]
    return [str(address).rstrip("/") for address in found]


def _only(value: Any, what: str, kind: str) -> tuple[str, Any]:
    members = documents.mapping(value or {}, what)
    if len(members) != 1:
        raise InvalidInput(f"{what} has {len(members)} {kind}s: a workload has exactly one")
    return next(iter(members.items()))


def _check_keys(found: Mapping[str, Any], known: frozenset[str], what: str) -> None:
    for key in found:
        if key not in known:
            raise InvalidInput(
                f"{what} has `{key[:80]}`, which would be lost: register the workload by `gateway route`"
            )


def _names(document: Any) -> list[str]:
    """Every text in a document that looks like a wildcard name."""
    pending, found = [document], list[str]()
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, str) and value.startswith("*.") and value.count(".") > 1:
            found.append(value)
    return found
