"""What a workload's options may say."""

import datetime as dt
import re
from typing import Any

import pytest
import trustme
import yaml
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate
from hypothesis import given
from hypothesis import strategies as st

from appliance.model import documents, options, workloads
from appliance.model.errors import InvalidInput
from appliance.model.options import BackendTls, HealthCheck, Hsts, Options, RateLimit, Timeouts
from appliance.model.redirects import Redirect

SALTED = "./" + "aB3" * 17
BCRYPT = f"ann:$2y$10${SALTED}"
APR1 = "bob:$apr1$a/b.c9$AkpUGPsD2wnvPfAc4KuNt/"
SHA = "eve:{SHA}L55TUjtiq8FBorTWAZ0jy6g129A="
CA = trustme.CA()
PEM = CA.cert_pem.bytes().decode()
WORKLOAD: dict[str, Any] = {"type": "gateway-name-proxy", "name": "blog", "backends": ["https://10.1.2.3"]}


def read(**document: Any) -> Options:
    return options.parse(document, tls_passthrough=False)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("rate_limit", {"average": 5}, RateLimit(5, 5)),
        ("rate_limit", {"average": 5, "burst": 9}, RateLimit(5, 9)),
        ("basic_auth", [BCRYPT, APR1, SHA], (BCRYPT, APR1, SHA)),
        ("hsts", True, Hsts(31_536_000, include_subdomains=False, preload=False)),
        ("hsts", False, None),
        ("hsts", {"max_age": 0}, Hsts(0)),
        ("hsts", {"include_subdomains": True, "preload": True}, Hsts(31_536_000, True, True)),
        ("health_check", {"path": "/up?a=%20b"}, HealthCheck("/up?a=%20b", 10_000, None)),
        ("health_check", {"interval": "90s", "status": 204}, HealthCheck(None, 90_000, 204)),
        ("sticky", True, "gateway-backend"),
        ("sticky", False, None),
        ("sticky", "shop_seat", "shop_seat"),
        ("compress", True, True),
        ("compress", False, False),
        ("max_body_bytes", 1, 1),
        ("backend_tls", {"verify": False}, BackendTls()),
        ("backend_tls", {"verify": True, "server_name": "In.Example.com"}, BackendTls(True, "in.example.com")),
        ("backend_tls", {"server_name": "inside"}, BackendTls(False, "inside")),
        ("backend_tls", {"verify": True, "ca": f"my own\n{PEM}"}, BackendTls(True, None, PEM)),
        ("redirect_to", "WWW.Example.com", Redirect("https", "www.example.com", None, None)),
        ("redirect_to", "http://bücher.example:81", Redirect("http", "xn--bcher-kva.example", 81, None)),
        ("redirect_to", "https://a.example/b/?c=d&e=f?", Redirect("https", "a.example", None, "/b/?c=d&e=f?")),
        ("timeouts", {"connect": 0.5}, Timeouts(500, None, None)),
        ("timeouts", {"connect": "2s", "response_header": "1.5m", "idle": "1h"}, Timeouts(2000, 90_000, 3_600_000)),
    ],
)
def test_each_option_is_read(key: str, value: Any, expected: Any) -> None:
    assert getattr(read(**{key: value}), key) == expected


def test_networks_are_read() -> None:
    found = read(ip_allow=["192.0.2.0/24", "198.51.100.7", "2001:db8::/32", "0.0.0.0/0", "192.0.2.0/24"])
    expected = ["192.0.2.0/24", "198.51.100.7/32", "2001:db8::/32", "0.0.0.0/0"]
    assert [str(network) for network in found.ip_allow] == expected


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("rate_limits", {}, "`options`: unknown key 'rate_limits': did you mean `rate_limit`?"),
        ("ip_allow", "10.0.0.0/8", "`options.ip_allow` must be a list of at least one network"),
        ("ip_allow", [], "`options.ip_allow` must be a list of at least one network"),
        ("ip_allow", [7], "`options.ip_allow` holds a number: each network is text"),
        ("ip_allow", ["10.0.0.1/8"], "has bits beyond its prefix: did you mean 10.0.0.0/8?"),
        ("ip_allow", ["ten"], "holds 'ten': write a network like 192.0.2.0/24"),
        ("ip_allow", ["::ffff:10.0.0.0/104"], "write IPv4 networks as IPv4"),
        ("ip_allow", ["fe80::1%eth0"], "without a zone"),
        ("ip_allow", [f"10.0.0.{n}" for n in range(129)], "has 129 entries: at most 128"),
        ("rate_limit", 5, "`options.rate_limit` is a number: it must be a mapping with average, burst"),
        ("rate_limit", {}, "`options.rate_limit` is empty"),
        ("rate_limit", {"burst": 5}, "`options.rate_limit.average` is missing"),
        ("rate_limit", {"average": 0}, "`options.rate_limit.average` must be a whole number from 1 to 1000000"),
        ("rate_limit", {"average": 0.5}, "must be a whole number"),
        ("rate_limit", {"average": True}, "must be a whole number"),
        ("rate_limit", {"average": 5, "burst": None}, "`options.rate_limit.burst` must be"),
        ("rate_limit", {"average": 5, "period": 1}, "`options.rate_limit`: unknown key 'period'"),
        ("rate_limit", {"average": 5, 1: 2}, "has the key 1"),
        ("hsts", "yes", "`options.hsts` is text: it must be true or a mapping with max_age"),
        ("hsts", None, "`options.hsts` is empty"),
        ("hsts", {"max_age": "1y"}, "`options.hsts.max_age` must be a whole number"),
        ("hsts", {"max_age": -1}, "`options.hsts.max_age` must be a whole number"),
        ("hsts", {"preload": "yes"}, "`options.hsts.preload` is text: it must be true or false"),
        ("hsts", {"preload": True}, "only taken by browsers together with `include_subdomains: true`"),
        ("hsts", {"preload": True, "include_subdomains": True, "max_age": 86400}, "at least 31536000"),
        ("health_check", {"path": "up"}, "`options.health_check.path` must be text that begins with /"),
        ("health_check", {"path": "/{{ env `A` }}"}, "`options.health_check.path` must be text"),
        ("health_check", {"path": "/\n"}, "`options.health_check.path` must be text"),
        ("health_check", {"path": "/a#b"}, "`options.health_check.path` must be text"),
        ("health_check", {"interval": "100ms"}, "is 100ms: it must be between 1s and 1h"),
        ("health_check", {"interval": "1d"}, "is 24h: it must be between 1s and 1h"),
        ("health_check", {"interval": "soon"}, "`options.health_check.interval` is no duration: write it like 500ms"),
        ("health_check", {"interval": float("nan")}, "is no duration"),
        ("health_check", {"interval": True}, "is no duration"),
        ("health_check", {"status": 99}, "`options.health_check.status` must be a whole number from 100 to 599"),
        ("sticky", "a b", "`options.sticky` must be true, or the cookie's name"),
        ("sticky", "a;b", "`options.sticky` must be true, or the cookie's name"),
        ("sticky", "", "`options.sticky` must be true"),
        ("sticky", {}, "`options.sticky` must be true"),
        ("compress", "gzip", "`options.compress` is text: it must be true or false"),
        ("compress", None, "`options.compress` is empty"),
        ("max_body_bytes", "10M", "`options.max_body_bytes` must be a whole number"),
        ("max_body_bytes", 0, "`options.max_body_bytes` must be a whole number from 1"),
        ("backend_tls", True, "`options.backend_tls` is true/false: it must be a mapping"),
        ("backend_tls", {"verify": 1}, "`options.backend_tls.verify` is a number"),
        ("backend_tls", {"ca": PEM}, "`options.backend_tls.ca` has no effect without `verify: true`"),
        ("backend_tls", {"verify": True, "ca": "/etc/passwd"}, "holds no certificates that can be read"),
        ("backend_tls", {"verify": True, "ca": PEM.replace("A", "!")}, "holds no certificates that can be read"),
        ("backend_tls", {"verify": True, "ca": PEM * 40}, "at most 16384 are taken"),
        ("backend_tls", {"verify": True, "ca": 5}, "`options.backend_tls.ca` is a number"),
        ("backend_tls", {"server_name": "10.1.2.3"}, "not an address"),
        ("backend_tls", {"server_name": "a b"}, "`options.backend_tls.server_name`: the name 'a b' has the label"),
        ("backend_tls", {"server_name": 5}, "`options.backend_tls.server_name` is a number"),
        ("redirect_to", 5, "`options.redirect_to` is a number"),
        ("redirect_to", "", "write a host like www.example.com"),
        ("redirect_to", "ftp://a.example", "write a host like www.example.com, or a URL like https"),
        ("redirect_to", "javascript:alert(1)", "write a host like www.example.com"),
        ("redirect_to", "https://user@a.example", "write a host like www.example.com"),
        ("redirect_to", "https://a.example/$1", "has the path '/$1'"),
        ("redirect_to", "https://a.example/{{x}}", "has the path '/{{x}}'"),
        ("redirect_to", "https://a.example/`", "has the path '/`'"),
        ("redirect_to", "https://a.example/%zz", "has the path '/%zz'"),
        ("redirect_to", "https://a.example/a#b", "no fragment"),
        ("redirect_to", "https://a.example/\r\nSet-Cookie: a", "write a host like www.example.com"),
        ("redirect_to", "https://a.example?a=b", "a path begins with /"),
        ("redirect_to", "https://a.example:0/", "has the port 0"),
        ("redirect_to", "https://a$1.example", "`options.redirect_to`: the host 'a$1.example' has the label"),
        ("redirect_to", "https://a.example/" + "a" * 1000, "write a host like www.example.com"),
        ("timeouts", {}, "`options.timeouts` is empty"),
        ("timeouts", {"read": 5}, "`options.timeouts`: unknown key 'read': known are connect, response_header, idle"),
        ("timeouts", {"connect": 0}, "is 0ms: it must be between 100ms and 1h"),
        ("timeouts", {"connect": None}, "`options.timeouts.connect` is no duration"),
        ("timeouts", {"connect": dt.date(2001, 2, 3)}, "is no duration"),
    ],
)
def test_each_wrong_value_is_named_with_its_mend(key: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)):
        read(**{key: value})


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (BCRYPT, "`options.basic_auth` must be a list of at least one line"),
        ([], "`options.basic_auth` must be a list of at least one line"),
        ([BCRYPT, 7], "line 2 of `options.basic_auth` is a number"),
        ([BCRYPT.removeprefix("ann:")], "line 1 of `options.basic_auth` must begin with a user and a colon"),
        ([f"a b{BCRYPT}"], "must begin with a user and a colon"),
        ([f"#{BCRYPT}"], "must begin with a user and a colon"),
        ([f" {BCRYPT}"], "must begin with a user and a colon"),
        ([f"{{{{{BCRYPT}"], "must begin with a user and a colon"),
        ([f"{BCRYPT}\nbob:{BCRYPT}"], "has no hash that can be used"),
        ([f"{BCRYPT} "], "has no hash that can be used"),
        (["ann:hunter2"], "has no hash that can be used: bcrypt"),
        (["ann:"], "has no hash that can be used"),
        (["ann:$1$abc$AkpUGPsD2wnvPfAc4KuNt/"], "has no hash that can be used"),
        (["ann:$6$abc$AkpUGPsD2wnvPfAc4KuNt/"], "has no hash that can be used"),
        ([BCRYPT.replace("$10$", "$31$")], "has a bcrypt cost of 31: every request pays it"),
        ([BCRYPT.replace("$10$", "$03$")], "has a bcrypt cost of 3"),
        ([BCRYPT, APR1.replace("bob", "ann")], "line 2 of `options.basic_auth` names a user a second time"),
        ([f"u{n}{BCRYPT}" for n in range(65)], "has 65 lines: at most 64"),
    ],
)
def test_a_bad_password_line_is_named_by_its_place_and_never_shown(lines: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)) as caught:
        read(basic_auth=lines)
    for secret in (SALTED, "hunter2", "AkpUGPsD2wnvPfAc4KuNt"):
        assert secret not in str(caught.value)


def test_a_private_key_is_refused_and_not_shown() -> None:
    key = CA.private_key_pem.bytes().decode()
    with pytest.raises(InvalidInput, match="holds a private key: give certificates only") as caught:
        read(backend_tls={"verify": True, "ca": PEM + key})
    assert key.splitlines()[1] not in str(caught.value)


def test_secrets_are_neither_shown_nor_printed() -> None:
    workload = workloads.parse("blog", WORKLOAD | {"options": {"basic_auth": [BCRYPT, SHA], "compress": True}})
    assert workload.options.shown() == {"basic_auth": {"users": 2}, "compress": True}
    assert SALTED not in repr(workload)


@pytest.mark.parametrize("key", sorted(set(options.KEYS) - {"ip_allow", "health_check", "timeouts"}))
def test_what_needs_requests_is_impossible_with_passthrough(key: str) -> None:
    message = f"`options.{key}` is impossible with TLS passthrough, .*: possible are ip_allow, health_check, timeouts"
    with pytest.raises(InvalidInput, match=message):
        options.parse({key: True}, tls_passthrough=True)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"health_check": {"path": "/"}}, "`options.health_check.path` is impossible .* only `interval` is possible"),
        ({"health_check": {"status": 200}}, "`options.health_check.status` is impossible"),
        ({"timeouts": {"idle": 5}}, "`options.timeouts.idle` is impossible .* only `connect` is possible"),
    ],
)
def test_of_some_options_passthrough_allows_a_part(document: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        options.parse(document, tls_passthrough=True)


def test_with_passthrough_connections_can_be_filtered_and_checked() -> None:
    document = {"ip_allow": ["10.0.0.0/8"], "health_check": {"interval": "5s"}, "timeouts": {"connect": "1s"}}
    found = options.parse(document, tls_passthrough=True)
    assert found.document() == document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"options": []}, "`options` is a list: it must be a mapping"),
        ({"options": "hsts"}, "`options` is text: it must be a mapping"),
        ({"backends": ["http://10.1.2.3"], "options": {"backend_tls": {"verify": True}}}, "http://10.1.2.3:80 is none"),
    ],
)
def test_options_belong_to_their_workload(document: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        workloads.parse("blog", WORKLOAD | document)


@pytest.mark.parametrize("document", [{}, {"options": None}, {"options": {}}, {"options": {"compress": False}}])
def test_no_options_leave_no_trace(document: dict[str, Any]) -> None:
    workload = workloads.parse("blog", WORKLOAD | document)
    assert workload.options == options.NONE
    assert "options" not in workload.document()


NETWORKS = st.ip_addresses().filter(lambda it: it.version == 4 or it.ipv4_mapped is None).map(str)
USERS = st.from_regex(r"[A-Za-z0-9._@+-]{1,64}", fullmatch=True)
HASHES = st.one_of(
    st.from_regex(r"\$2[aby]\$(0[4-9]|1[0-2])\$[./A-Za-z0-9]{53}", fullmatch=True),
    st.from_regex(r"\$apr1\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}", fullmatch=True),
    st.from_regex(r"\{SHA\}[A-Za-z0-9+/]{27}=", fullmatch=True),
)
LINES = st.lists(st.tuples(USERS, HASHES), min_size=1, max_size=4, unique_by=lambda pair: pair[0])
SPANS = st.integers(1000, 3_600_000).map("{}ms".format) | st.integers(1, 3600) | st.sampled_from(["1.25s", "5m", "1h"])
TARGETS = st.sampled_from(["www.example.com", "http://a.example:81", "https://b.example/c?d='(e)'&f=%20*"])
WHOLE = st.integers(1, 1_000_000)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "ip_allow": st.lists(NETWORKS, min_size=1, max_size=4),
        "rate_limit": st.fixed_dictionaries({"average": WHOLE}, optional={"burst": WHOLE}),
        "basic_auth": LINES.map(lambda pairs: [f"{user}:{hashed}" for user, hashed in pairs]),
        "hsts": st.booleans() | st.fixed_dictionaries({"max_age": WHOLE, "include_subdomains": st.booleans()}),
        "health_check": st.fixed_dictionaries(
            {"interval": SPANS}, optional={"path": st.just("/a?b"), "status": st.just(204)}
        ),
        "sticky": st.booleans() | st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True),
        "compress": st.booleans(),
        "max_body_bytes": WHOLE,
        "backend_tls": st.fixed_dictionaries(
            {"verify": st.just(True)}, optional={"ca": st.just(PEM), "server_name": st.just("a.b")}
        ),
        "redirect_to": TARGETS,
        "timeouts": st.fixed_dictionaries({"connect": SPANS}, optional={"idle": SPANS, "response_header": SPANS}),
    },
)


@given(DOCUMENTS)
def test_options_survive_being_written_and_read(document: dict[str, Any]) -> None:
    workload = workloads.parse("a", WORKLOAD | {"options": document})
    text = yaml.safe_dump(workload.document(), sort_keys=False, allow_unicode=True)
    assert workloads.parse("a", documents.parse(text.encode())) == workload


def test_the_largest_workload_still_fits_into_a_file() -> None:
    """What is taken at the door must be readable from its file, which has a bound."""
    hosts = ["https://" + ".".join([f"h{n:02}", *["x" * 60] * 4])[:250] + ":65535" for n in range(64)]
    bundle = PEM * (16 * 1024 // len(PEM))
    full = {
        "ip_allow": [f"2001:db8:1111:2222:3333:4444:5555:{n:04x}" for n in range(128)],
        "basic_auth": [f"{n:064}:$2y$10${SALTED}" for n in range(64)],
        "backend_tls": {"verify": True, "ca": bundle, "server_name": "a.b"},
        "redirect_to": "https://a.example/" + "a" * 980,
        "health_check": {"path": "/" + "a" * 500},
    }
    workload = workloads.parse("a" * 200, WORKLOAD | {"backends": hosts, "options": full})
    text = yaml.safe_dump(workload.document(), sort_keys=False, allow_unicode=True)
    assert workloads.parse("a" * 200, documents.parse(text.encode())) == workload


KEYS = st.sampled_from([*options.KEYS, "other"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3),
    max_leaves=6,
)
INNER = st.sampled_from(
    ["average", "burst", "max_age", "path", "interval", "status", "verify", "ca", "connect", "idle"]
)


@given(st.dictionaries(KEYS, ANYTHING | st.dictionaries(INNER, ANYTHING, max_size=3)) | ANYTHING, st.booleans())
def test_no_document_fails_in_any_other_way(document: Any, passthrough: bool) -> None:
    try:
        options.parse(document, tls_passthrough=passthrough)
    except InvalidInput:
        return


def test_a_ca_is_written_anew() -> None:
    found = read(backend_tls={"verify": True, "ca": f"text before\n{PEM}text after\n{PEM}"}).backend_tls
    assert found is not None
    own = load_pem_x509_certificate(PEM.encode()).public_bytes(Encoding.PEM).decode()
    assert found.ca == own * 2
