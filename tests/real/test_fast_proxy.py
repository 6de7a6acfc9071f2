"""`traefik.fast_proxy` on a real Traefik: its other HTTP path serves what the usual one serves.

Traefik does not say which path a request took. The faster one is known by a `Content-Length: 0` that it adds to
requests without a body; it takes plain HTTP to backends only, so `https://` backends show that both live side by side.
"""

import base64
import json
from typing import Any

import pytest

from tests.peers import https
from tests.peers.appliance import Appliance, MakeAppliance
from tests.peers.appliance import settings as gateway_settings
from tests.peers.backends import MakeBackend
from tests.peers.nsd import Nsd
from tests.peers.pebble import Pebble

_SHA = "{SHA}L55TUjtiq8FBorTWAZ0jy6g129A="
_PASSWORD = {"Authorization": "Basic " + base64.b64encode(b"ann:correct horse").decode()}
_LARGE = b"x" * 300_000


@pytest.fixture
def fast(new_appliance: MakeAppliance, pebble: Pebble) -> Appliance:
    values = gateway_settings(pebble)
    return new_appliance({**values, "traefik": {**values["traefik"], "fast_proxy": True}}).start()


def _echo(answer: https.Answer) -> dict[str, Any]:
    assert answer.status == 200, answer
    return dict(json.loads(answer.body))


def test_a_name_proxy_is_served_over_the_faster_path(fast: Appliance, backend: MakeBackend) -> None:
    assert fast.must("route", "name", "1-1-blog", "blog", backend("blog").url)["state"] == "applied"
    told = _echo(https.fetch("blog.gw.test", "/page?item=1"))
    assert (told["backend"], told["path"], told["host"]) == ("blog", "/page?item=1", "blog.gw.test")
    assert told["headers"]["content-length"] == "0", "the usual path served this: fast_proxy is not in force"
    assert told["headers"]["x-forwarded-proto"] == "https"
    posted = _echo(https.fetch("blog.gw.test", "/", method="POST", body=_LARGE))
    assert (posted["method"], len(posted["body"])) == ("POST", len(_LARGE))


def test_an_fqdn_proxy_with_options_and_an_encrypted_backend_is_served_beside_it(
    fast: Appliance, pebble: Pebble, parent: Nsd, backend: MakeBackend
) -> None:
    parent.add_host("shop.customer.test")
    server = backend("shop", tls_names=("inside.customer.test",))
    options = {
        "backend_tls": {"verify": True, "server_name": "inside.customer.test", "ca": server.ca_pem},
        "basic_auth": [f"ann:{_SHA}"],
        "hsts": True,
        "compress": True,
        "max_body_bytes": 1000,
        "health_check": {"path": "/health", "interval": "1s"},
        "sticky": True,
        "timeouts": {"connect": "2s", "response_header": "10s"},
    }
    given = [f"--option={name}={json.dumps(value)}" for name, value in options.items()]
    url = f"https://{server.host_port}"
    shown = fast.must("route", "fqdn", "1-2-shop", "shop.customer.test", url, *given)
    assert shown["state"] == "applied"
    pebble.until_issued("shop.customer.test")
    assert https.fetch("shop.customer.test").status == 401
    answer = https.fetch("shop.customer.test", headers=_PASSWORD)
    assert _echo(answer)["backend"] == "shop"
    assert "content-length" not in _echo(answer)["headers"]
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    assert "httponly" in answer.headers["set-cookie"].lower()
    large = https.fetch("shop.customer.test", "/", method="POST", body=b"x" * 1001, headers=_PASSWORD)
    assert large.status == 413
    stranger = json.dumps({"verify": True, "server_name": "other.customer.test", "ca": server.ca_pem})
    fast.must("route", "fqdn", "1-2-shop", "shop.customer.test", url, f"--option=backend_tls={stranger}")
    assert https.fetch("shop.customer.test").status == 500, "the certificate is judged on this path, too"


def test_options_hold_on_the_faster_path(fast: Appliance, backend: MakeBackend) -> None:
    one, other = backend("one"), backend("other")
    health = json.dumps({"path": "/health", "interval": "1s"})
    given = [f"--option=basic_auth={json.dumps([f'ann:{_SHA}'])}", f"--option=health_check={health}"]
    assert fast.must("route", "name", "1-3-both", "both", one.url, other.url, *given)["state"] == "applied"
    assert https.fetch("both.gw.test").status == 401
    answers = [_echo(https.fetch("both.gw.test", headers=_PASSWORD)) for _ in range(8)]
    assert {answer["backend"] for answer in answers} == {"one", "other"}
    assert all(answer["headers"]["content-length"] == "0" for answer in answers)
    assert all("authorization" not in answer["headers"] for answer in answers)
    one.close()
    fast.program.until(
        lambda: all(https.fetch("both.gw.test", headers=_PASSWORD).status == 200 for _ in range(8)),
        "only the backend that answers is asked",
    )
