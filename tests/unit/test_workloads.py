"""What a workload document may say."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from appliance.model import documents, workloads
from appliance.model.backends import Backend
from appliance.model.errors import InvalidInput
from appliance.model.workloads import Workload, WorkloadType

NAME: dict[str, Any] = {"type": "gateway-name-proxy", "name": "blog", "backends": ["http://10.1.2.3:9000"]}
FQDN: dict[str, Any] = {"type": "gateway-fqdn-proxy", "fqdn": "shop.customer.com", "backends": ["http://10.1.2.3"]}


def without(document: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != key}


def test_a_name_proxy_is_read() -> None:
    assert workloads.parse("37-2039-Blog", NAME | {"domain": "GW.example.com"}) == Workload(
        id="37-2039-Blog",
        type=WorkloadType.NAME_PROXY,
        name="blog",
        domain="gw.example.com",
        fqdn=None,
        tls_passthrough=False,
        backends=(Backend("http", "10.1.2.3", 9000),),
    )


def test_an_fqdn_proxy_is_read() -> None:
    document = FQDN | {"tls_passthrough": True, "backends": ["10.1.2.3:443", "https://10.1.2.4:443"]}
    found = workloads.parse("shop", document)
    assert found.type is WorkloadType.FQDN_PROXY
    assert (found.name, found.domain, found.fqdn) == (None, None, "shop.customer.com")
    assert found.tls_passthrough
    assert found.backends == (Backend(None, "10.1.2.3", 443), Backend("https", "10.1.2.4", 443))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "the workload is empty: it must be a mapping"),
        ([], "the workload is a list"),
        ({}, "`type` is missing: it must be `gateway-name-proxy` or `gateway-fqdn-proxy`"),
        (NAME | {"type": "name-proxy"}, "`type` is 'name-proxy': it must be `gateway-name-proxy` or"),
        (NAME | {"type": 7}, "`type` is '7'"),
        (NAME | {"type": ["gateway-name-proxy"]}, "`type` is "),
        (NAME | {1: 2}, "the workload has the key 1"),
        (NAME | {"backend": []}, r"unknown key 'backend': did you mean `backends`\? \(a gateway-name-proxy\)"),
        (NAME | {"fqdn": "a.b"}, r"unknown key 'fqdn'.*\(a gateway-name-proxy\)"),
        (FQDN | {"name": "a"}, r"unknown key 'name'.*\(a gateway-fqdn-proxy\)"),
        (FQDN | {"domain": "a.b"}, r"unknown key 'domain'.*\(a gateway-fqdn-proxy\)"),
        (without(NAME, "name"), "`name` is missing: it must be text"),
        (NAME | {"name": 404}, "`name` is a number: it must be text .in quotes"),
        (NAME | {"name": True}, "`name` is true/false"),
        (NAME | {"name": None}, "`name` is missing"),
        (NAME | {"name": ["blog"]}, "`name` is a list"),
        (NAME | {"name": "a.b"}, "has a dot"),
        (NAME | {"name": ""}, "empty or too long"),
        (NAME | {"domain": 5}, "`domain` is a number"),
        (NAME | {"domain": "gw"}, "has no dot"),
        (without(FQDN, "fqdn"), "`fqdn` is missing"),
        (FQDN | {"fqdn": "shop"}, "has no dot"),
        (FQDN | {"fqdn": "10.1.2.3"}, "not an address"),
        (NAME | {"tls_passthrough": "yes"}, "`tls_passthrough` is text: it must be true or false"),
        (NAME | {"tls_passthrough": 1}, "`tls_passthrough` is a number"),
        (NAME | {"tls_passthrough": None}, "`tls_passthrough` is empty"),
        (without(NAME, "backends"), "`backends` must be a list of at least one backend"),
        (NAME | {"backends": []}, "`backends` must be a list of at least one backend"),
        (NAME | {"backends": "http://10.1.2.3"}, "`backends` must be a list"),
        (NAME | {"backends": [80]}, "`backends` holds a number: each backend is text"),
        (NAME | {"backends": [{"url": "x"}]}, "`backends` holds a mapping"),
        (NAME | {"backends": ["10.1.2.3:80"]}, "has no scheme"),
        (NAME | {"backends": ["http://10.1.2.3", "http://10.1.2.3:80"]}, "names the same backend twice"),
        (NAME | {"backends": [f"http://10.1.2.3:{port}" for port in range(1, 66)]}, "has 65 entries: at most 64"),
        (NAME | {"tls_passthrough": True}, "must speak TLS"),
    ],
)
def test_each_wrong_key_or_value_is_named_with_its_mend(document: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        workloads.parse("blog", document)


@pytest.mark.parametrize("text", ["a", "7", "37-2039-blog", "A_b-C", "a" * 200])
def test_an_id_keeps_its_case(text: str) -> None:
    assert workloads.workload_id(text) == text


@pytest.mark.parametrize(
    "text", ["", "-a", "_a", ".a", "a.b", "a/b", "../a", "a b", "a\n", "ä", "a" * 201, "a\x00", "{{a}}", "a`"]
)
def test_what_could_be_more_than_a_word_is_no_id(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"the workload id .* is not valid"):
        workloads.workload_id(text)


LABELS = st.from_regex(r"[a-z0-9]([a-z0-9]{0,10}[a-z0-9])?", fullmatch=True)
HOSTS = st.builds("{}.{}".format, LABELS, st.sampled_from(["example.com", "müller.example"]))
SERVERS = st.builds(
    "{}:{}".format,
    st.ip_addresses().map(lambda address: f"[{address}]" if address.version == 6 else str(address)) | HOSTS,
    st.integers(1, 65535),
)


@st.composite
def written_workloads(draw: st.DrawFn) -> dict[str, Any]:
    passthrough = draw(st.booleans())
    schemes = ["https://", ""] if passthrough else ["https://", "http://"]
    server = st.builds("{}{}".format, st.sampled_from(schemes), SERVERS)
    shared = {
        "tls_passthrough": passthrough,
        "backends": draw(st.lists(server, min_size=1, max_size=4, unique_by=str.lower)),
    }
    if draw(st.booleans()):
        return {"type": "gateway-fqdn-proxy", "fqdn": draw(HOSTS), **shared}
    domain = draw(st.none() | HOSTS)
    return {"type": "gateway-name-proxy", "name": draw(LABELS), **({"domain": domain} if domain else {}), **shared}


@given(written_workloads())
def test_a_workload_survives_being_written_and_read(document: dict[str, Any]) -> None:
    workload = workloads.parse("a", document)
    text = yaml.safe_dump(workload.document(), sort_keys=False, allow_unicode=True)
    assert workloads.parse("a", documents.parse(text.encode())) == workload


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(["type", "name", "domain", "fqdn", "tls_passthrough", "backends", "other"])
TYPES = st.sampled_from(["gateway-name-proxy", "gateway-fqdn-proxy"])


@given(ANYTHING | st.builds(lambda kind, rest: {"type": kind, **rest}, TYPES, st.dictionaries(KEYS, ANYTHING)))
def test_no_document_fails_in_any_other_way(document: Any) -> None:
    with pytest.raises(InvalidInput):
        workloads.parse("a", document)
