"""Texts in, texts out: each file beside this one is a case, its input above a `---` line, the expected output below.

The directory says which rendering it is a case of, the file name and its first comment what it promises; a new case
needs no code. After a wanted change, `python -m tests.golden.test_golden` writes the outputs anew: read the diff.
"""

import ipaddress
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from appliance import settings
from appliance.model import admission, documents, workloads
from appliance.model.admission import Gateway, Route
from appliance.model.backends import BackendPolicy
from appliance.model.errors import GatewayError
from appliance.model.resolution import Resolution
from appliance.render import dns_records, dynamic, layouts, static, supervision
from appliance.render.dynamic import Decision
from appliance.settings import Settings

HERE = Path(__file__).parent
ROOT = Path("/srv/gateway")
DIVIDER = "---\n"
OWN = frozenset({ipaddress.ip_address("203.0.113.10")})
GATEWAY = Gateway(
    public=True,
    addresses=OWN,
    domains=("gw.example.com", "second.example"),
    policy=BackendPolicy(own=OWN, allow_hostnames=True),
)
INSIDE = frozenset({ipaddress.ip_address("10.1.2.8"), ipaddress.ip_address("10.1.2.7")})
KNOWN = {
    "app.internal": Resolution(INSIDE, None),
    "metadata.internal": Resolution(frozenset({ipaddress.ip_address("169.254.169.254")}), None),
    "gone.internal": Resolution(frozenset(), "gone.internal does not exist in the DNS"),
}


def _route(text: str) -> Route:
    workload = workloads.parse("37-2039-blog", documents.parse(text.encode()))
    return admission.route_of(workload, GATEWAY, KNOWN)


def _files(text: str) -> str:
    """All files of one workload in the documented layout."""
    return _listing(dynamic.files(Decision(_route(text), orders_certificate=True)))


def _tree(text: str) -> str:
    """All files of several workloads, given by their ids, in the layout for many."""
    routes = [
        admission.route_of(workloads.parse(identity, content), GATEWAY, KNOWN)
        for identity, content in documents.parse(text.encode()).items()
    ]
    return _listing(layouts.Tree().update({route.id: Decision(route, orders_certificate=True) for route in routes}))


def _listing(files: layouts.Files | dict[str, str]) -> str:
    return "".join(f"# file {name}\n{content}" for name, content in sorted(files.items()))


def _refusal(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except GatewayError as error:
        return f"{type(error).__name__}: {error}\n"
    return "not refused\n"


def _settings(text: str) -> Settings:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "gateway.yaml"
        path.write_text(text, encoding="utf-8")
        try:
            return settings.load(path, {})
        except GatewayError as error:
            raise type(error)(str(error).replace(f"{directory}/", "")) from error


def _supervision(text: str) -> str:
    return supervision.text(supervision.Programs(**yaml.safe_load(text)), ROOT)


RENDERINGS: dict[str, Callable[[str], str]] = {
    "workload_to_traefik": lambda text: dynamic.text(dynamic.document(Decision(_route(text), orders_certificate=True))),
    "withheld_certificate": lambda text: dynamic.text(
        dynamic.document(Decision(_route(text), orders_certificate=False))
    ),
    "workload_options": _files,
    "tree_of_routers": _tree,
    "workload_refused": lambda text: _refusal(lambda: _route(text)),
    "static_configuration": lambda text: static.text(_settings(text), ROOT),
    "dns_records": lambda text: dns_records.text(dns_records.records(_settings(text))),
    "settings_refused": lambda text: _refusal(lambda: _settings(text)),
    "supervisord": _supervision,
}
CASES = sorted(HERE.glob("*/*.txt"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.stem}")
def test_the_output_is_as_written_down(case: Path) -> None:
    given, divider, expected = case.read_text(encoding="utf-8").partition(f"\n{DIVIDER}")
    assert divider, "the case has no `---` line between input and output"
    assert given.startswith("# "), "the case's first line says what it promises"
    assert RENDERINGS[case.parent.name](given) == expected


@pytest.mark.parametrize("rendering", RENDERINGS)
def test_every_rendering_has_cases(rendering: str) -> None:
    assert any(case.parent.name == rendering for case in CASES)


def _write_anew() -> None:
    for case in CASES:
        given = case.read_text(encoding="utf-8").partition(f"\n{DIVIDER}")[0].rstrip("\n")
        case.write_text(f"{given}\n{DIVIDER}{RENDERINGS[case.parent.name](given)}", encoding="utf-8")


if __name__ == "__main__":
    _write_anew()
