"""The grammar of the command line. Each verb's help shows how it is used."""

import argparse
import os
from pathlib import Path

from appliance.cli import (
    calling,
    certificates,
    checking,
    completion,
    doctor,
    log_reading,
    planning,
    starting,
    teaching,
    tokens,
    top,
    verbs,
    waiting,
)
from appliance.cli import options as workload_options
from appliance.cli.teaching import Commands as _Commands
from appliance.cli.teaching import verb as _verb

_DEFAULT_ROOT = "/var/cache/modules/gateway"
_LOG_LINES = 100
_HOST_HELP = {"NAME": "one label, like blog", "FQDN": "the whole host name, like shop.customer.com"}


def parser() -> argparse.ArgumentParser:
    """The whole grammar. Without a verb it is the original system's start line, which means `run`."""
    top = argparse.ArgumentParser(
        prog="gateway",
        description="Turns this host into a TLS gateway: Traefik, a DNS authority for ACME challenges, and routes.",
        epilog="Without a verb: `run`. Environment: GATEWAY_ROOT, GATEWAY_CONFIG, GATEWAY__SECTION__KEY.\n"
        "Each verb shows how it is used: gateway route name --help",
        formatter_class=teaching.Help,
    )
    top.add_argument("--version", action=_Version, nargs=0, help="print the version")
    _add_start_options(top, is_top=True)
    _add_text_option(top, is_top=True)
    top.set_defaults(verb=starting.run)
    commands = top.add_subparsers(title="verbs", metavar="VERB")
    _add_starting_verbs(commands)
    _add_route_verbs(commands)
    _add_telling_verbs(commands)
    _add_doctor(commands)
    _add_keeping_verbs(commands)
    _add_calling_verb(commands)
    _add_token_verbs(commands)
    completion.add_verb(commands)
    return top


class _Version(argparse.Action):
    """Looks the version up only when it is asked for: that alone takes as long as the rest of the start."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib import metadata

        print(f"gateway {metadata.version('gateway-appliance')}")
        parser.exit(0)


def _add_starting_verbs(commands: "_Commands[argparse.ArgumentParser]") -> None:
    run = _verb(commands, "run", "run the whole appliance (supervisord, Traefik, control plane)", "gateway run")
    _add_start_options(run)
    _add_text_option(run)
    run.set_defaults(verb=starting.run)
    serve = _verb(commands, "serve", "run the control plane alone", "gateway serve --root /srv/gateway")
    _add_start_options(serve)
    serve.set_defaults(verb=starting.serve)
    demo = _verb(
        commands, "demo", "a whole gateway on loopback with a test certificate authority", "gateway demo --check"
    )
    demo.add_argument("--check", action="store_true", help="exit 0 once it works, or say why not")
    demo.add_argument("--json", action="store_true", help="print one JSON object")
    demo.add_argument("--root", type=Path, default=None, help="directory to use (default: a temporary one)")
    demo.set_defaults(verb=starting.demo)
    start_traefik = commands.add_parser("start-traefik")
    start_traefik.add_argument("--root", type=Path, required=True)
    start_traefik.add_argument("--binary", type=Path, required=True)
    start_traefik.set_defaults(verb=starting.start_traefik)


def _add_route_verbs(commands: "_Commands[argparse.ArgumentParser]") -> None:
    routes = teaching.group(commands, "route", "set, delete and show workloads", "verbs", "gateway route list")
    name = _verb(
        routes,
        "name",
        "route <name>.<gateway domain> to backends",
        "gateway route name 37-2039-blog blog http://10.1.2.3:9000",
    )
    _add_set_options(name, "NAME")
    name.add_argument("--domain", help="gateway domain (default: the first in the settings)")
    name.set_defaults(verb=verbs.route_name)
    fqdn = _verb(
        routes,
        "fqdn",
        "route a host of its own to backends",
        "gateway route fqdn 37-2040-shop shop.customer.com http://10.1.2.4:80",
    )
    _add_set_options(fqdn, "FQDN")
    fqdn.set_defaults(verb=verbs.route_fqdn)
    delete = _verb(routes, "delete", "delete a workload of either kind", "gateway route delete 37-2039-blog")
    delete.add_argument("id", metavar="WLID")
    delete.add_argument("--timeout", type=float, default=None, help="seconds to wait (default 30)")
    _add_no_wait(delete)
    _add_client_options(delete)
    delete.set_defaults(verb=verbs.route_delete)
    listing = _verb(routes, "list", "all workloads, with state and reason", "gateway route list --json")
    _add_client_options(listing)
    listing.set_defaults(verb=verbs.route_list)
    prune = _verb(routes, "prune", "let routes go whose files vanished many at once", "gateway route prune")
    _add_client_options(prune)
    prune.set_defaults(verb=verbs.route_prune)
    plan = _verb(routes, "plan", "what workload files would change", "gateway route plan workloads/ --delete old")
    plan.add_argument("path", metavar="FILE|DIR", type=Path, nargs="?", help="a workload file, or a directory of them")
    plan.add_argument("--delete", metavar="WLID", action="append", default=[], help="and delete this one first")
    _add_client_options(plan)
    plan.set_defaults(verb=planning.route_plan)
    show = _verb(routes, "show", "one workload", "gateway route show 37-2039-blog")
    show.add_argument("id", metavar="WLID")
    _add_client_options(show)
    show.set_defaults(verb=verbs.route_show)
    wait = _verb(
        routes, "wait", "wait until a workload is served, and has its certificate", "gateway route wait 37-2039-blog"
    )
    wait.add_argument("id", metavar="WLID")
    goals = [goal.value for goal in waiting.Goal]
    told = "applied: until Traefik serves it; certificate (the default): until its certificate is there, too"
    wait.add_argument("goal", choices=goals, nargs="?", default=waiting.Goal.CERTIFICATE.value, help=told)
    waiting.add_timeout(wait)
    _add_client_options(wait)
    wait.set_defaults(verb=verbs.route_wait)


def _add_telling_verbs(commands: "_Commands[argparse.ArgumentParser]") -> None:
    status = _verb(commands, "status", "how the appliance is", "gateway status")
    _add_client_options(status)
    status.set_defaults(verb=verbs.status)
    top.add_verb(commands)
    metrics = _verb(commands, "metrics", "what each workload has carried, in bytes and requests", "gateway metrics")
    _add_client_options(metrics)
    metrics.set_defaults(verb=verbs.metrics)
    challenges = _verb(commands, "challenges", "the last challenges and who asked for them", "gateway challenges")
    _add_client_options(challenges)
    challenges.set_defaults(verb=verbs.challenges)
    certs = _verb(commands, "certs", "certificates: kept, really served, last order, next try", "gateway certs --json")
    _add_client_options(certs)
    certs.set_defaults(verb=certificates.certs)
    explain = _verb(commands, "explain", "why a name is not on HTTPS", "gateway explain blog.gw.example.com")
    explain.add_argument("host", metavar="HOST", help="the host name, as a browser asks for it")
    _add_client_options(explain)
    explain.set_defaults(verb=certificates.explain)
    _add_logs(commands)
    extra = _verb(commands, "extra", "the fragments in extra/, with state and reason", "gateway extra --json")
    _add_client_options(extra)
    extra.set_defaults(verb=checking.extra)
    check = _verb(
        commands,
        "check",
        "try fragments and workload files without applying them; needs no running appliance",
        "gateway check /var/cache/modules/gateway/extra",
    )
    check.add_argument("path", metavar="FILE|DIR", type=Path, help="a file, or a directory of files")
    check.add_argument("--config", type=Path, default=None, help="settings file")
    _add_client_options(check)
    check.set_defaults(verb=checking.check)
    records = _verb(
        commands, "dns-records", "the records to create at your DNS provider", "gateway dns-records > records.zone"
    )
    _add_client_options(records)
    records.add_argument("--config", type=Path, default=None, help="settings file")
    records.set_defaults(verb=verbs.dns_records)


def _add_doctor(commands: "_Commands[argparse.ArgumentParser]") -> None:
    examined = _verb(
        commands,
        "doctor",
        "examine this host, its ports, its DNS records and its certificate authority; needs no running appliance",
        "gateway doctor --strict",
    )
    examined.add_argument("--strict", action="store_true", help="exit 1 for warnings too")
    examined.add_argument("--fix", action="store_true", help="mend first what is safe to mend: modes, directories")
    examined.add_argument("--config", type=Path, default=None, help="settings file")
    _add_client_options(examined)
    examined.set_defaults(verb=doctor.doctor)


def _add_keeping_verbs(commands: "_Commands[argparse.ArgumentParser]") -> None:
    backup = _verb(
        commands,
        "backup",
        "write workloads, settings, certificates, accounts and counters into one file",
        "gateway backup /var/backups/gateway.tar",
    )
    backup.add_argument("file", metavar="FILE", type=Path, help="the file to write (0600); - is standard output")
    backup.set_defaults(verb=starting.backup)
    restore = _verb(
        commands,
        "restore",
        "put a backup in place of what is under the root; nothing may run on it",
        "gateway restore /var/backups/gateway.tar",
    )
    restore.add_argument("file", metavar="FILE", type=Path, help="what `backup` wrote; - is standard input")
    restore.add_argument("--keep-settings", action="store_true", help="leave the settings file as it is")
    restore.set_defaults(verb=starting.restore)
    for parser in (backup, restore):
        parser.add_argument("--config", type=Path, default=None, help="settings file")
        _add_client_options(parser)


def _add_token_verbs(commands: "_Commands[argparse.ArgumentParser]") -> None:
    token = teaching.group(
        commands, "token", "who may call the admin API over TCP", "verbs", "gateway token new grafana --role read"
    )
    tokens.add_verbs(token)


def _add_logs(commands: "_Commands[argparse.ArgumentParser]") -> None:
    logs = _verb(commands, "logs", "what the appliance has logged", "gateway logs -f --level warning")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with the lines to come")
    logs.add_argument("-n", "--lines", type=int, default=_LOG_LINES, help=f"how many (default {_LOG_LINES})")
    logs.add_argument("--program", choices=["traefik", "gateway", "supervisord"], help="only its lines")
    logs.add_argument("--level", choices=["debug", "info", "warning", "error", "critical"], help="from this level up")
    logs.add_argument("--root", type=Path, default=argparse.SUPPRESS, help="the appliance's directory")
    form = logs.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="JSON, one object a line (default unless on a terminal)")
    form.add_argument("--text", action="store_true", help="text (default on a terminal)")
    logs.set_defaults(verb=log_reading.logs)


def _add_calling_verb(commands: "_Commands[argparse.ArgumentParser]") -> None:
    call = _verb(
        commands,
        "call",
        "call a gateway on the message bus, as an orchestrator does",
        "gateway --broker unix:///var/run/redis.sock call DeleteNamedProxy 37-2039-blog",
    )
    call.set_defaults(verb=calling.call)
    calling.add_methods(call.add_subparsers(title="methods", metavar="METHOD", required=True))


def _add_start_options(parser: argparse.ArgumentParser, *, is_top: bool = False) -> None:
    # A verb's own options must not reset to defaults what was given before the verb.
    default = None if is_top else argparse.SUPPRESS
    parser.add_argument(
        "--root",
        type=Path,
        default=_root() if is_top else argparse.SUPPRESS,
        help=f"the appliance's directory (default {_DEFAULT_ROOT})",
    )
    parser.add_argument("--config", type=Path, default=default, help="settings file")
    parser.add_argument("--broker", default=default, help="message bus, like unix:///var/run/redis.sock")
    parser.add_argument("--workers", type=int, default=default, help="calls from the bus served at once")
    parser.add_argument("--log-level", choices=["debug", "info", "warning", "error"], default=default)


def _add_text_option(parser: argparse.ArgumentParser, *, is_top: bool = False) -> None:
    default = None if is_top else argparse.SUPPRESS
    parser.add_argument("--text", action="store_true", default=default, help="log lines as text, not as JSON")


def _add_client_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=Path, default=argparse.SUPPRESS, help="the appliance's directory")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_set_options(parser: argparse.ArgumentParser, host: str) -> None:
    parser.add_argument("id", metavar="WLID", help="the workload: 1 to 200 letters, digits, - and _")
    parser.add_argument("host", metavar=host, help=_HOST_HELP[host])
    parser.add_argument(
        "backends", metavar="BACKEND", nargs="+", help="http://ip[:port] or https://ip[:port]; with passthrough ip:port"
    )
    parser.add_argument("--tls-passthrough", action="store_true", help="the backend speaks TLS with the client")
    workload_options.add(parser)
    _add_waiting(parser)
    _add_client_options(parser)


def _add_waiting(parser: argparse.ArgumentParser) -> None:
    goals = [goal.value for goal in waiting.Goal]
    told = "until Traefik serves it (applied, the default), or its certificate is there, too"
    parser.add_argument("--wait", choices=goals, default=waiting.Goal.APPLIED.value, help=told)
    waiting.add_timeout(parser)
    _add_no_wait(parser)


def _add_no_wait(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-wait", action="store_true", help="return as soon as it is accepted")


def _root() -> Path:
    return Path(os.environ.get("GATEWAY_ROOT") or _DEFAULT_ROOT)
