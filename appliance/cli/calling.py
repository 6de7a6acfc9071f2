"""The verb `call`: a gateway on the message bus, called as an orchestrator calls it."""

import argparse
import json
import os
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from appliance.cli import teaching
from appliance.model.errors import InvalidInput

_WAIT_SECONDS = 30.0
"""Longer than a gateway's own patience with Traefik, so that its words arrive."""


def call(options: Namespace) -> int:
    """Call a method, and print what it returned."""
    from appliance.client.zbus import ZbusGateway

    broker = options.broker or _broker_of_settings(options)
    with ZbusGateway(broker, object_name=options.object, timeout_seconds=options.timeout) as gateway:
        result = options.method(gateway, options)
    if options.json or not isinstance(result, str | None):
        print(json.dumps(result, indent=2))
    elif result is not None:
        print(result)
    return 0


def add_methods(methods: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The grammar below `call`: one verb a method, by the name it has on the bus."""
    named = teaching.verb(
        methods,
        "SetNamedProxy",
        "route a name under the gateway's domain; prints the host",
        "gateway call SetNamedProxy 37-2039-blog blog http://10.1.2.3:9000",
    )
    _add_set_arguments(named, "NAME")
    named.set_defaults(method=_set_named_proxy)
    fqdn = teaching.verb(
        methods,
        "SetFQDNProxy",
        "route a host of its own",
        "gateway call SetFQDNProxy 37-2040-shop shop.customer.com http://10.1.2.4:80",
    )
    _add_set_arguments(fqdn, "FQDN")
    fqdn.set_defaults(method=_set_fqdn_proxy)
    delete = teaching.verb(
        methods, "DeleteNamedProxy", "delete a workload of either kind", "gateway call DeleteNamedProxy 37-2039-blog"
    )
    delete.add_argument("id", metavar="WLID")
    delete.set_defaults(method=_delete_named_proxy)
    metrics = teaching.verb(methods, "Metrics", "bytes of requests and responses by workload", "gateway call Metrics")
    metrics.set_defaults(method=_metrics)
    status = teaching.verb(methods, "Status", "the module's objects and workers", "gateway call Status")
    status.set_defaults(method=_status)
    for parser in (named, fqdn, delete, metrics, status):
        _add_options(parser)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--object", choices=["manager", "gateway"], default="manager", help="which of its two names")
    parser.add_argument("--timeout", type=float, default=_WAIT_SECONDS, help="seconds to wait (default 30)")
    parser.add_argument("--root", type=Path, default=argparse.SUPPRESS, help="whose settings name the broker")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_set_arguments(parser: argparse.ArgumentParser, host: str) -> None:
    parser.add_argument("id", metavar="WLID")
    parser.add_argument("host", metavar=host)
    parser.add_argument("backends", metavar="BACKEND", nargs="+")
    parser.add_argument("--tls-passthrough", action="store_true", help="the backend speaks TLS with the client")


def _set_named_proxy(gateway: Any, options: Namespace) -> str:
    host: str = gateway.set_named_proxy(
        options.id, options.host, options.backends, tls_passthrough=options.tls_passthrough
    )
    return host


def _set_fqdn_proxy(gateway: Any, options: Namespace) -> None:
    gateway.set_fqdn_proxy(options.id, options.host, options.backends, tls_passthrough=options.tls_passthrough)


def _delete_named_proxy(gateway: Any, options: Namespace) -> None:
    gateway.delete_named_proxy(options.id)


def _metrics(gateway: Any, _: Namespace) -> dict[str, Any]:
    found = gateway.metrics()
    return {"request": found.request or {}, "response": found.response or {}}


def _status(gateway: Any, _: Namespace) -> dict[str, Any]:
    return asdict(gateway.status())


def _broker_of_settings(options: Namespace) -> str:
    from appliance import settings

    path = settings.find(options.root, os.environ, options.config)
    broker = settings.load(path, os.environ).broker
    if broker is None:
        raise InvalidInput(f"there is no `broker` in {path}: add it, or say `gateway --broker URL call ...`")
    return broker
