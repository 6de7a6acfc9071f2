"""The operator's settings: every key of the reference loads, and every mistake is told with its place and mend."""

import contextlib
import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from appliance import settings
from appliance.model import documents
from appliance.model.errors import InvalidInput, InvalidSettings, Refused
from appliance.settings import Settings, loading, meaning

EXAMPLE = """
public: {ipv4: 203.0.113.10, ipv6: "2001:db8::10", domains: [gw.example.com], nameserver: ns1.gw.example.com}
acme:
  email: ops@example.com
  ca_server: letsencrypt
  ca_certificates: [/etc/ssl/own-root.pem]
  key_type: EC256
  eab: {kid: abc, hmac: def}
  profile: null
  certificate_hours: 2160
  propagation_check: authoritative
  rate_limit_pause: 1h
  orders_per_hour: 90
  preflight: true
  rehearsal: true
  rehearsal_directory: null
dns:
  listen: ["0.0.0.0:53", "[::]:53"]
  challenge_labels: ["_acme-challenge", "__acme-challenge"]
  extra_zones: [_acme-challenge.other.example]
  resolvers: [9.9.9.9, "[2620:fe::fe]:53"]
  rate_limit: {per_second: 20, slip: 2, exempt: [192.0.2.0/24]}
  nsid: gateway-1
challenge: {uids: [1000]}
entrypoints: {web: ":80", web_secure: ":443", http3: false}
backends: {allow_loopback: false, allow_hostnames: false, allow: [10.0.0.0/8], deny: [10.9.0.0/16]}
certificates: {grace: 24h, quiet_hour: 3, warn_days: 14}
alerts: {webhook: "https://alerts.example/hook", secret: word, command: /usr/local/bin/alert}
zbus: {workers: 1, patience: 20s}
admin: {listen: "127.0.0.1:8090", token_file: /etc/gateway/token}
broker: unix:///var/run/redis.sock
log: {format: json}
traefik: {binary: traefik, api: "127.0.0.1:8099", metrics: "127.0.0.1:8082", fast_proxy: false, access_log: false}
"""


def load(text: str, tmp_path: Path, environment: Mapping[str, str] | None = None) -> Settings:
    path = tmp_path / "gateway.yaml"
    path.write_text(text, encoding="utf-8")
    return settings.load(path, environment or {})


def keys(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    """Every key, with its sections."""
    for name, field in model.model_fields.items():
        candidates = [field.annotation, *get_args(field.annotation)]
        inner = [item for item in candidates if isinstance(item, type) and issubclass(item, BaseModel)]
        yield from keys(inner[0], f"{prefix}{name}.") if inner else [f"{prefix}{name}"]


def value_at(document: Any, path: str) -> Any:
    for part in path.split("."):
        document = document[part]
    return document


def test_every_key_of_the_reference_loads(tmp_path: Path) -> None:
    loaded = load(EXAMPLE, tmp_path)
    for key in keys():
        value_at(yaml.safe_load(EXAMPLE), key)
    assert loaded.public is not None
    assert loaded.public.addresses == {ipaddress.ip_address("203.0.113.10"), ipaddress.ip_address("2001:db8::10")}
    assert loaded.certificates.grace == 86400.0
    assert loaded.acme.rate_limit_pause == 3600.0
    assert loaded.dns.rate_limit is not None
    assert str(loaded.dns.rate_limit.exempt[0]) == "192.0.2.0/24"


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "{}"])
def test_no_settings_are_good_settings_of_no_gateway(text: str, tmp_path: Path) -> None:
    assert load(text, tmp_path) == Settings()
    assert settings.load(tmp_path / "missing.yaml", {}) == Settings()
    assert Settings().public is None


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("20s", 20), ("5m", 300), ("1h", 3600), ("2d", 172800), ("90", 90), (90, 90), ("1.5h", 5400), (0, 0), ("0s", 0)],
)
def test_durations_carry_their_unit(written: object, seconds: float, tmp_path: Path) -> None:
    assert load(f"zbus: {{patience: {written}}}", tmp_path).zbus.patience == seconds


@pytest.mark.parametrize("written", ["soon", "-1s", "1w", "", "h", ".nan", ".inf", "null", "[1]", "99999d", "1h30m"])
def test_what_is_no_duration_is_told_the_forms(written: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"zbus\.patience: write a duration"):
        load(f"zbus: {{patience: {written}}}", tmp_path)


@pytest.mark.parametrize("written", ["5", "false", "1.5", "[10, 8]"])
@pytest.mark.parametrize("key", ["public: {ipv4: %s}", "public: {ipv6: %s}", "backends: {allow: [%s]}"])
def test_a_number_is_no_address(key: str, written: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="write an address as text"):
        load(key % written, tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "key", "expected"),
    [
        ("GATEWAY__PUBLIC__IPV4", "203.0.113.11", "public.ipv4", ipaddress.ip_address("203.0.113.11")),
        ("GATEWAY__PUBLIC__DOMAINS", '["gw.example.com"]', "public.domains", ("gw.example.com",)),
        ("GATEWAY__ACME__EMAIL", "ops@example.org", "acme.email", "ops@example.org"),
        ("GATEWAY__ACME__EAB__HMAC", "123", "acme.eab.hmac", "123"),
        ("GATEWAY__ACME__PROPAGATION_CHECK", "off", "acme.propagation_check", "off"),
        ("GATEWAY__ACME__CERTIFICATE_HOURS", "160", "acme.certificate_hours", 160),
        ("GATEWAY__DNS__LISTEN", '["127.0.0.1:5353"]', "dns.listen", ("127.0.0.1:5353",)),
        ("GATEWAY__DNS__RATE_LIMIT", "null", "dns.rate_limit", None),
        ("GATEWAY__DNS__RATE_LIMIT__SLIP", "0", "dns.rate_limit.slip", 0),
        ("GATEWAY__CHALLENGE__UIDS", "[1000, 1001]", "challenge.uids", (1000, 1001)),
        ("GATEWAY__ENTRYPOINTS__WEB", ":8080", "entrypoints.web", ":8080"),
        ("GATEWAY__ENTRYPOINTS__WEB_SECURE", "[::]:8443", "entrypoints.web_secure", "[::]:8443"),
        ("GATEWAY__ENTRYPOINTS__HTTP3", "true", "entrypoints.http3", True),
        ("GATEWAY__ZBUS__PATIENCE", "1m", "zbus.patience", 60.0),
        ("GATEWAY__BROKER", "tcp://word@10.0.0.6:6379", "broker", "tcp://word@10.0.0.6:6379"),
        ("GATEWAY__BROKER", "null", "broker", None),
    ],
)
def test_every_key_can_be_a_variable_which_goes_before_the_file(
    name: str, value: str, key: str, expected: object, tmp_path: Path
) -> None:
    found: Any = load(EXAMPLE, tmp_path, {name: value, "PATH": "/bin", "GATEWAY_ROOT": "/srv"})
    for part in key.split("."):
        found = getattr(found, part)
    assert found == expected


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("dns: {rate_limit: null}", {}),
        ("", {"GATEWAY__DNS__RATE_LIMIT": "null"}),
        ("dns: {rate_limit: {slip: 1}}", {"GATEWAY__DNS__RATE_LIMIT": "null"}),
    ],
)
def test_a_variable_for_a_part_of_what_is_switched_off_does_not_switch_it_on(
    text: str, more: dict[str, str], tmp_path: Path
) -> None:
    """docker-compose.yml always names networks that are exempt from the limit."""
    assert load(text, tmp_path, {"GATEWAY__DNS__RATE_LIMIT__EXEMPT": '["192.0.2.0/24"]', **more}).dns.rate_limit is None


@pytest.mark.parametrize("text", ["dns: 5", "dns: []", "dns: false", "dns: ''"])
def test_what_is_no_section_in_the_file_is_told_and_not_covered_by_a_variable(text: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="dns: "):
        load(text, tmp_path, {"GATEWAY__DNS__RATE_LIMIT__EXEMPT": '["192.0.2.0/24"]'})


@pytest.mark.parametrize("text", ["", "public: null", "public:\n", "dns: null"])
def test_a_section_of_which_nothing_is_said_can_be_made_of_variables(text: str, tmp_path: Path) -> None:
    variables = {
        "GATEWAY__PUBLIC__IPV4": "203.0.113.11",
        "GATEWAY__PUBLIC__DOMAINS": '["gw.example.com"]',
        "GATEWAY__DNS__RATE_LIMIT__SLIP": "3",
    }
    found = load(text, tmp_path, variables)
    assert found.public is not None
    assert found.public.domains == ("gw.example.com",)
    assert found.dns.rate_limit is not None
    assert found.dns.rate_limit.slip == 3


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"GATEWAY__PUBIC__IPV4": "203.0.113.10"}, "pubic: unknown key 'pubic': did you mean `public`"),
        ({"GATEWAY__ACME__MAIL": "x"}, "acme.mail: unknown key 'mail': did you mean `email`"),
        ({"GATEWAY__DNS__LISTEN": "127.0.0.1:53"}, "dns.listen: "),
        ({"GATEWAY__DNS__LISTEN": "[127.0.0.1:53"}, "dns.listen: "),
        ({"GATEWAY__": "x"}, "unknown key ''"),
        ({"GATEWAY__ACME": "x"}, "acme: "),
    ],
)
def test_a_wrong_variable_is_told_like_a_wrong_key(environment: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=message):
        load("", tmp_path, environment)


@pytest.mark.parametrize("secret", ["EAB-SECRET", "WORD-SECRET", "BUS-SECRET"])
def test_secrets_are_neither_shown_nor_told(secret: str, tmp_path: Path) -> None:
    text = "acme: {eab: {kid: a, hmac: EAB-SECRET}}\nalerts: {secret: WORD-SECRET}\nbroker: tcp://BUS-SECRET@h:1\n"
    assert secret not in repr(load(text, tmp_path))
    with pytest.raises(InvalidSettings) as caught:
        load(text + "traefik: {api: wrong}", tmp_path)
    assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.0.0.0:53", ("0.0.0.0", 53)),
        ("[::]:53", ("::", 53)),
        (":443", ("", 443)),
        ("[2001:db8::1]:65535", ("2001:db8::1", 65535)),
    ],
)
def test_an_endpoint_is_an_address_and_a_port(text: str, expected: tuple[str, int]) -> None:
    assert settings.split_endpoint(text) == expected


@pytest.mark.parametrize(
    "text", ["", "53", "host:53", "::1:53", "0.0.0.0", "0.0.0.0:", ":65536", ":x", "1.2.3:4", ":-1"]
)
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        settings.split_endpoint(text)


def test_the_file_is_found_where_it_was_asked_for_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    explicit, variable, usual = tmp_path / "e.yaml", tmp_path / "v.yaml", tmp_path / "etc.yaml"
    environment = {"GATEWAY_CONFIG": str(variable)}
    monkeypatch.setattr(loading, "DEFAULT_FILE", usual)
    assert settings.find(tmp_path, environment, explicit) == explicit
    assert settings.find(tmp_path, environment) == variable
    assert settings.find(tmp_path, {"GATEWAY_CONFIG": ""}) == tmp_path / "gateway.yaml"
    usual.touch()
    assert settings.find(tmp_path, {}) == usual


@pytest.mark.parametrize("text", ["x" * 64, "ns1.example.com", "a b~"])
def test_the_server_id_is_text_that_fits_its_option(text: str) -> None:
    assert meaning.nsid(Settings.model_validate({"dns": {"nsid": text}})) == text.encode()
    assert meaning.nsid(Settings()) is None


@pytest.mark.parametrize("text", ["", "x" * 65, "ä", "a\n", "\x7f"])
def test_another_server_id_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"dns": {"nsid": text}})


def test_answers_are_limited_unless_it_is_switched_off() -> None:
    """Over UDP a source may be forged: an authority without a limit is an amplifier for everybody."""
    limit = meaning.rate_limit(Settings())
    assert limit is not None
    assert (limit.per_second, limit.slip, limit.exempt) == (20, 2, ())
    assert meaning.rate_limit(Settings.model_validate({"dns": {"rate_limit": None}})) is None


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=f"cannot read the settings file {tmp_path}: Is a directory"):
        settings.load(tmp_path, {})


def test_the_rules_for_backends_follow_from_the_settings(tmp_path: Path) -> None:
    policy = load(EXAMPLE + "\n", tmp_path, {"GATEWAY__ENTRYPOINTS__WEB": "10.0.0.5:80"}).backend_policy()
    for address in ("203.0.113.10", "2001:db8::10", "10.0.0.5", "10.9.1.1", "192.168.1.1"):
        with pytest.raises(Refused):
            policy.check_address(ipaddress.ip_address(address), address)
    policy.check_address(ipaddress.ip_address("10.1.2.3"), "10.1.2.3")


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from(list(keys())), VALUES)
def test_no_value_of_any_key_fails_in_any_other_way(key: str, value: Any) -> None:
    document = value
    for part in reversed(key.split(".")):
        document = {part: document}
    text = yaml.safe_dump(document, allow_unicode=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_bytes", lambda _: text.encode())
        with contextlib.suppress(InvalidInput):
            documents.parse(text.encode())
            settings.load(Path("gateway.yaml"), {})


@pytest.mark.parametrize(
    ("acme", "staging"),
    [
        ("{}", None),
        ("{rehearsal: false, rehearsal_directory: 'https://a.example/dir'}", None),
        ("{rehearsal: true}", "https://acme-staging-v02.api.letsencrypt.org/directory"),
        ("{rehearsal: true, rehearsal_directory: 'https://a.example/dir'}", "https://a.example/dir"),
        (
            "{rehearsal: true, ca_server: 'https://acme-v02.api.letsencrypt.org/directory'}",
            "https://acme-staging-v02.api.letsencrypt.org/directory",
        ),
    ],
)
def test_the_staging_directory_is_known_or_given(tmp_path: Path, acme: str, staging: str | None) -> None:
    assert load(f"acme: {acme}", tmp_path).acme.staging == staging
