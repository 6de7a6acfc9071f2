"""The documents say what is so: commands parse, settings load, tables match the code, links lead somewhere."""

import configparser
import dataclasses
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import pytest
import yaml
from pydantic import BaseModel

from appliance import cli, settings
from appliance.adapters.admin import assembly
from appliance.cli import starting, waiting
from appliance.cli.arguments import parser
from appliance.control import events
from appliance.control.gateway import Gateway
from appliance.launch import handover
from appliance.model import backends, documents, fragments, measures, workloads
from appliance.model.challenges import Challenge
from appliance.model.histories import Entry, Fetch
from appliance.model.standings import Certificate, CertificateState, Standing, State, WorkloadView
from appliance.model.workloads import WorkloadType
from appliance.render import dns_records, static, supervision
from appliance.settings import Settings, meaning

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
OPERATIONS: Final = ROOT / "docs/operations.md"
ARCHITECTURE: Final = ROOT / "docs/architecture.md"
README: Final = ROOT / "README.md"
EXAMPLE: Final = ROOT / "images/gateway.yaml.example"
SERVICE: Final = ROOT / "images/units/gateway.service"
ZINIT: Final = ROOT / "images/units/gateway.yaml"
ORIGINAL_START_LINE: Final = "gateway --broker unix:///var/run/redis.sock --root /var/cache/modules/gateway"

_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INLINE_COMMAND = re.compile(r"`(gateway(?: [^`]+)?)`")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_ROW = re.compile(r"^\|(.*)\|$")


class Block(NamedTuple):
    """A fenced block: where it stands, what its fence says, what it holds."""

    document: Path
    language: str
    text: str


def blocks(*languages: str) -> list[Block]:
    """Every fenced block whose fence says exactly one of `languages`."""
    found = [Block(path, *match) for path in DOCUMENTS for match in _FENCE.findall(path.read_text(encoding="utf-8"))]
    return [block for block in found if block.language in languages]


def shown_commands() -> list[tuple[str, str]]:
    """(document, command line) of every `gateway ...` in a shell block."""
    found = []
    for block in blocks("sh"):
        for line in block.text.splitlines():
            words = shlex.split(line, comments=True)
            if words and Path(words[0]).name == "gateway":
                found.append((block.document.name, shlex.join(words[1:])))
    return sorted(set(found))


def named_commands() -> list[tuple[str, str]]:
    """(document, command line) of every `gateway ...` in a sentence, which may name a verb without its arguments."""
    found = []
    for path in DOCUMENTS:
        prose = _FENCE.sub("", path.read_text(encoding="utf-8"))
        found += [(path.name, command.removeprefix("gateway")) for command in _INLINE_COMMAND.findall(prose)]
    return sorted(set(found))


def does_parse(words: list[str]) -> bool:
    """Whether the real grammar takes a command line; `--help` and `--version` end it with 0."""
    try:
        parser().parse_args(words)
    except SystemExit as ended:
        return ended.code == 0
    return True


def rows(path: Path, heading: str | None = None) -> Iterator[list[str]]:
    """The cells of every table row, of one section if a heading is given; heads and rules left out."""
    text = path.read_text(encoding="utf-8")
    if heading is not None:
        text = re.split(r"^#+ ", text.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    lines = text.splitlines()
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        match = _ROW.match(line)
        if match and not line.startswith("|---") and not following.startswith("|---"):
            yield [cell.strip() for cell in match[1].split("|")]


def code(cell: str) -> list[str]:
    """What stands between back-ticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize(("document", "command"), shown_commands())
def test_every_command_that_is_shown_parses(document: str, command: str) -> None:
    """What a document tells people to type is in the grammar, arguments included."""
    assert does_parse(shlex.split(command))


@pytest.mark.parametrize(("document", "command"), named_commands())
def test_every_command_that_is_named_exists(document: str, command: str) -> None:
    """A sentence names verbs and options that there are."""
    words = shlex.split(command)
    assert does_parse(words) or does_parse([*words, "--help"])


@pytest.mark.parametrize("document", [README, OPERATIONS], ids=lambda path: path.name)
def test_the_commands_are_found(document: Path) -> None:
    """The tests above look at something."""
    assert document.name in [name for name, _ in shown_commands()]
    assert document.name in [name for name, _ in named_commands()]


@pytest.mark.parametrize("block", blocks("yaml"), ids=lambda block: block.document.name)
def test_every_yaml_example_is_taken(block: Block, tmp_path: Path) -> None:
    """A workload parses, a fragment parses, settings load; there is no fourth kind (`yaml zinit` is not ours)."""
    document = documents.mapping(documents.parse(block.text.encode()), "the example")
    if "type" in document:
        workloads.parse("example", document)
        return
    if document.keys() & {"http", "tcp", "tls"}:
        fragments.parse("example", block.text.encode())
        return
    path = tmp_path / "gateway.yaml"
    path.write_text(block.text, encoding="utf-8")
    assert settings.load(path, {}) != Settings()


def readme_settings(tmp_path: Path) -> Settings:
    """The settings that the README shows."""
    block = next(one for one in blocks("yaml") if one.document == README and "public:" in one.text)
    path = tmp_path / "gateway.yaml"
    path.write_text(block.text, encoding="utf-8")
    return settings.load(path, {})


def test_the_readme_shows_the_records_of_its_settings(tmp_path: Path) -> None:
    """The table is what `gateway dns-records` prints for the settings above it."""
    shown = [(code(row[0])[0], row[1], code(row[2])[0]) for row in rows(README, "The DNS records")]
    rendered = dns_records.records(readme_settings(tmp_path))
    assert shown == [(one.name.removesuffix("."), one.type, one.content.removesuffix(".")) for one in rendered]


def test_the_example_file_has_the_readmes_settings(tmp_path: Path) -> None:
    """What is copied to a host as it is has the three settings of the README, and defaults for the rest."""
    assert settings.load(EXAMPLE, {}) == readme_settings(tmp_path)


def test_the_example_files_comments_are_the_defaults(tmp_path: Path) -> None:
    """Each setting that is commented out is a real one, and shows its default."""
    path = tmp_path / "gateway.yaml"
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(line[1:] for line in lines if re.match(r"#( {2}\w|\w+:$)", line)), encoding="utf-8")
    assert settings.load(path, {}) == Settings()
    assert len(yaml.safe_load(path.read_text(encoding="utf-8"))) >= 5


def settings_keys(model: type[BaseModel] = Settings, path: str = "") -> Iterator[str]:
    """`section.key` of every setting; of a mapping that may be absent, the mapping itself and its keys."""
    for name, field in model.model_fields.items():
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        inner = [item for item in candidates if isinstance(item, type) and issubclass(item, BaseModel)]
        if not inner or (path and len(candidates) > 1):
            yield path + name
        for section in inner:
            yield from settings_keys(section, f"{path}{name}.")


_TAKEN_OVER: Final = (
    "live",
    "Traefik",
    "control plane",
    "Traefik and control plane",
    "appliance",
    "no effect",
)
"""What the last column of a settings table may say; other tables of five columns are about other things."""


def settings_rows() -> dict[str, list[str]]:
    """Key -> the other cells of its row in docs/operations.md."""
    found = [row for row in rows(OPERATIONS) if len(row) == 5 and row[4].partition(";")[0] in _TAKEN_OVER]
    return {code(row[0])[0]: row[1:] for row in found}


def test_every_setting_has_its_row() -> None:
    """No setting is undocumented, and no row is about a setting that is not there."""
    assert sorted(settings_rows()) == sorted(settings_keys())


def nested(key: str, value: Any) -> dict[str, Any]:
    """`a.b.c` and a value as the document that sets it."""
    document: Any = value
    for part in reversed(key.split(".")):
        document = {part: document}
    return dict(document)


def with_public(document: dict[str, Any]) -> Settings:
    """The settings of a document, with what the section `public` cannot do without."""
    public = {"ipv4": "203.0.113.10", **document.get("public", {})}
    return Settings.model_validate({**document, "public": public})


@pytest.mark.parametrize(("key", "row"), settings_rows().items())
def test_the_default_in_a_row_is_the_default(key: str, row: list[str]) -> None:
    """Setting the documented default changes nothing; what is required has none."""
    if row[2] == "required":
        assert key in ("public.ipv4", "acme.eab.kid", "acme.eab.hmac")
        return
    assert with_public(nested(key, yaml.safe_load(code(row[2])[0]))) == with_public({})


OTHER_VALUES: Final[dict[str, Any]] = {
    "admin.listen": "127.0.0.1:9090",
    "admin.token_file": "tokens",
    "broker": "unix:///run/redis.sock",
    "zbus.workers": 2,
    "zbus.patience": "5s",
    "public.ipv4": "203.0.113.11",
    "public.ipv6": "2001:db8::10",
    "public.domains": ["gw.example.com", "gw2.example.com"],
    "public.nameserver": "ns1.example.com",
    "acme.email": "ops@example.com",
    "acme.ca_server": "letsencrypt-staging",
    "acme.ca_certificates": ["ca.pem"],
    "acme.key_type": "EC384",
    "acme.eab": {"kid": "a", "hmac": "b"},
    "acme.profile": "shortlived",
    "acme.certificate_hours": 160,
    "acme.propagation_check": "off",
    "acme.rate_limit_pause": "2h",
    "dns.listen": ["203.0.113.10:53"],
    "dns.challenge_labels": ["_acme-challenge"],
    "dns.extra_zones": ["acme.example.net"],
    "dns.resolvers": ["192.0.2.53"],
    "dns.rate_limit": None,
    "dns.rate_limit.per_second": 50,
    "dns.rate_limit.slip": 1,
    "dns.rate_limit.exempt": ["192.0.2.0/24"],
    "dns.nsid": "gateway-1",
    "challenge.uids": [1000],
    "entrypoints.web": ":8080",
    "entrypoints.web_secure": ":8443",
    "entrypoints.http3": True,
    "backends.allow_loopback": True,
    "backends.allow_hostnames": True,
    "backends.allow": ["10.0.0.0/8"],
    "backends.deny": ["10.0.0.0/8"],
    "certificates.grace": "2d",
    "certificates.quiet_hour": 4,
    "certificates.warn_days": 20,
    "acme.orders_per_hour": 20,
    "acme.preflight": False,
    "acme.rehearsal": True,
    "acme.rehearsal_directory": "https://staging.example.com/directory",
    "alerts.webhook": "https://alerts.example.com/hook",
    "alerts.secret": "a secret",
    "alerts.command": "/usr/local/bin/alert --now",
    "traefik.binary": "/usr/bin/traefik",
    "traefik.api": "127.0.0.1:9099",
    "traefik.metrics": "127.0.0.1:9082",
    "traefik.fast_proxy": True,
    "traefik.access_log": True,
    "log.format": "text",
}
"""A value for every setting with an effect, other than its default."""


@pytest.mark.parametrize(("key", "row"), settings_rows().items())
def test_the_row_says_what_a_change_costs(key: str, row: list[str]) -> None:
    """`Traefik` is said exactly where the static configuration changes, `control plane` where it is read once."""
    taken_over = row[3]
    if row[2] == "required" or key == "traefik.binary":
        return
    base = {"public": {"domains": ["gw.example.com"]}}
    sections = nested(key, OTHER_VALUES[key])
    if key == "admin.listen":
        sections["admin"]["token_file"] = OTHER_VALUES["admin.token_file"]  # it is nothing without
    before, after = (
        with_public(base),
        with_public({**base, "public": {**base["public"], **sections.pop("public", {})}, **sections}),
    )
    assert before != after
    root = Path("/root-of-this-test")
    assert (static.text(before, root) != static.text(after, root)) == taken_over.startswith("Traefik")
    assert (meaning.read_once(before) != meaning.read_once(after)) == taken_over.endswith("control plane")


def test_every_forbidden_network_is_listed() -> None:
    """What no setting opens is in the operator's table, and nothing else is."""
    table = {network for row in rows(OPERATIONS, "Backends that are never allowed") for network in code(row[0])}
    shown = {name if "/" in name else f"{name}/128" for name in table}
    assert shown == {str(network) for network, _ in backends._NEVER}


def test_the_exit_codes_are_those_of_the_code() -> None:
    """The table has every code, and no other."""
    of_verbs = {0, cli.EXIT_FAILED, cli.EXIT_USAGE, waiting.EXIT_NOT_APPLIED, waiting.EXIT_NOT_YET, 130}
    assert {int(row[0]) for row in rows(OPERATIONS, "Exit codes")} == {*of_verbs, handover.EXIT_FATAL}


def json_shown(text: str) -> list[Any]:
    """Every JSON example of docs/operations.md whose text holds `text`."""
    return [json.loads(block.text) for block in blocks("json") if text in block.text]


def test_the_json_of_a_workload_has_these_keys() -> None:
    """The example of a workload has the keys that are printed, in their order."""
    content = workloads.parse(
        "blog", {"type": WorkloadType.NAME_PROXY.value, "name": "blog", "backends": ["http://10.1.2.3:9000"]}
    )
    view = WorkloadView(
        "blog", content, "blog.gw.example.com", Standing(State.APPLIED), Certificate(CertificateState.ISSUED)
    )
    assert json_shown('"tls_passthrough"') == [view.document()]


def test_the_json_of_records_and_challenges_has_these_keys() -> None:
    """The examples hold what the values they are made from hold."""
    (record,) = json_shown('"purpose"')[0]
    assert list(record) == [field.name for field in dataclasses.fields(dns_records.Record)]
    (entry,) = json_shown('"fetch_count"')[0]
    assert list(entry) == [field.name for field in dataclasses.fields(Entry)]
    assert list(entry["challenge"]) == ["name", "value", "presented", "by"]
    assert set(entry["challenge"]) == {field.name for field in dataclasses.fields(Challenge)}
    assert list(entry["fetches"][0]) == [field.name for field in dataclasses.fields(Fetch)]


def test_every_metric_has_its_row() -> None:
    """Name, type, labels and meaning in the table are those of the catalogue, in its order."""
    table = [(code(row[0])[0], row[1], tuple(code(row[2])), row[3]) for row in rows(OPERATIONS, "Metrics")]
    assert table == [(name, one.kind.value, one.labels, one.help) for name, one in measures.CATALOGUE.items()]


def test_the_dashboard_shows_what_there_is() -> None:
    """Every metric that Grafana would ask for is in the catalogue, with the labels it is grouped by."""
    text = (ROOT / "docs/grafana-dashboard.json").read_text(encoding="utf-8")
    panels = json.loads(text)["panels"]
    asked = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    used = {name for expression in asked for name in re.findall(r"gateway_\w+", expression)}
    known = set(measures.CATALOGUE)
    known |= {f"{name}{end}" for name in measures.CATALOGUE for end in ("_bucket", "_sum", "_count")}
    assert len(asked) >= 10
    assert used
    assert used <= known
    for expression in asked:
        grouped = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(", ")}
        labels = {
            label
            for name, one in measures.CATALOGUE.items()
            if name in expression
            for label in (*one.labels, "le", "instance")
        }
        assert grouped <= labels, expression


def test_every_kind_of_event_has_its_row() -> None:
    """No event comes that is not explained."""
    assert {code(row[0])[0] for row in rows(OPERATIONS, "Events")} == events.KINDS


def test_every_route_has_its_row() -> None:
    """The table of the admin API has every route of its document but the document itself."""
    app = assembly.rooms(cast(Gateway, None))
    documented = {f"{method.upper()} {path}" for path, item in app.openapi()["paths"].items() for method in item} - {
        "GET /openapi.json"
    }
    assert {code(row[0])[0] for row in rows(OPERATIONS, "Admin API")} == documented


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as they are made from the text."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_between_documents_resolves(document: Path) -> None:
    """No link leads to a file or heading that is not there."""
    broken = []
    for target in _LINK.findall(_FENCE.sub("", document.read_text(encoding="utf-8"))):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(target)
    assert broken == []


def test_the_floors_are_those_of_the_code() -> None:
    """The table of floors lists every package and module, in the order the import linter proves."""
    table = [code(row[1]) for row in rows(ARCHITECTURE, "Floors")]
    tree = {path.stem for path in (ROOT / "appliance").glob("[!_]*.py")} | {"__main__"}
    tree |= {path.parent.name for path in (ROOT / "appliance").glob("*/__init__.py")}
    assert sorted(name for floor in table for name in floor) == sorted(tree)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = next(one for one in project["tool"]["importlinter"]["contracts"] if one["type"] == "layers")
    layers = [
        sorted(name.strip().removeprefix("appliance.") for name in layer.split("|")) for layer in contract["layers"]
    ]
    assert [sorted(floor) for floor in table[1:]] == layers


@pytest.mark.parametrize("heading", ["States of a workload", "States of a certificate"])
def test_the_states_are_those_of_the_code(heading: str) -> None:
    """Both tables of states have every state, and no other."""
    states = [state.value for state in (State if "workload" in heading else CertificateState)]
    assert [code(row[0])[0] for row in rows(ARCHITECTURE, heading)] == states


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/decisions/*.md")), ids=lambda path: path.name)
def test_a_decision_is_one_page_of_the_same_shape(page: Path) -> None:
    """Context, decision, consequences, under a title with the page's number."""
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {page.name[:4]}: ")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert len(text.splitlines()) <= 70


def test_a_decisions_number_is_its_own() -> None:
    """No two decisions share a number."""
    numbers = [page.name[:4] for page in ROOT.glob("docs/decisions/*.md")]
    assert len(set(numbers)) == len(numbers)


def test_the_systemd_unit_is_consistent() -> None:
    """It runs what the installation installs, lets every program stop in time, and starts again after a 70."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(SERVICE, encoding="utf-8")
    service = unit["Service"]
    program, *arguments = shlex.split(service["ExecStart"])
    assert f"{Path(program).parent.parent}\n" in OPERATIONS.read_text(encoding="utf-8")
    assert parser().parse_args(arguments).verb is starting.run
    assert (service["Restart"], service["KillMode"]) == ("on-failure", "mixed")
    assert service["RestartPreventExitStatus"] == str(cli.EXIT_USAGE)
    programs = supervision.Programs([], [], {}, 1024, static.DRAIN_SECONDS, None)
    waits = re.findall(r"^stopwaitsecs=(\d+)$", supervision.text(programs, Path("/root-of-this-test")), re.MULTILINE)
    assert int(service["TimeoutStopSec"]) > sum(map(int, waits))


def test_the_zinit_unit_is_the_originals() -> None:
    """The start line of the original system, unchanged, means `gateway run`; the document shows this very unit."""
    unit = yaml.safe_load(ZINIT.read_text(encoding="utf-8"))
    assert unit["exec"] == ORIGINAL_START_LINE
    options = parser().parse_args(shlex.split(unit["exec"])[1:])
    assert (options.verb, options.broker) == (starting.run, "unix:///var/run/redis.sock")
    assert [yaml.safe_load(block.text) for block in blocks("yaml zinit")] == [unit]


def test_no_container_is_promised() -> None:
    """`docker compose up` is shown as a command only when there is something to run with it."""
    shown = [block for block in blocks("sh") if "docker" in block.text]
    assert not shown or (ROOT / "docker-compose.yml").exists()
