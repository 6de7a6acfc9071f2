"""Options per workload: each does what it says, shown by requests through a real Traefik."""

import base64
import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.peers import addresses, backends, https
from tests.peers.appliance import Appliance
from tests.peers.backends import Backend, MakeBackend
from tests.peers.https import Answer
from tests.peers.launching import await_result
from tests.peers.nsd import Nsd

ID = "1-4-opt"
HOST = "opt.gw.test"
EVERYBODY, NOBODY = ["10.99.0.0/16"], ["192.0.2.0/24", "2001:db8::/32"]
SECRET = "$2b$04$WNUJEKgx2mzTUtWP56w9.uS.m7vKE3IDztZ6Xv712vkmvXW4OQUbi"
HASHES = {
    "bcrypt": SECRET,
    "sha": "{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=",
    "apr1": "$apr1$a/b.c9$AkpUGPsD2wnvPfAc4KuNt/",
}
"""All of the password `correct horse`."""


def given(**options: Any) -> list[str]:
    return [f"--option={key}={json.dumps(value)}" for key, value in options.items()]


def route(appliance: Appliance, *servers: str, **options: Any) -> Any:
    return appliance.must("route", "name", ID, "opt", *servers, *given(**options))


def password(user: str, word: str = "correct horse") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{word}".encode()).decode()}


def server_of(answer: Answer) -> str:
    return str(json.loads(answer.body)["backend"])


def until(probe: Callable[[], Any], what: str) -> Any:
    return await_result(probe, what, seconds=30)


def until_status(status: int, host: str = HOST) -> Answer:
    def wanted() -> Answer | None:
        answer = https.fetch(host)
        return answer if answer.status == status else None

    found: Answer = until(wanted, f"{host} answers {status}")
    return found


@pytest.fixture
def plain(backend: MakeBackend) -> Backend:
    return backend("plain")


def test_the_allow_list_lets_in_who_is_on_it(appliance: Appliance, plain: Backend) -> None:
    route(appliance, plain.url, ip_allow=NOBODY)
    assert https.fetch(HOST).status == 403
    route(appliance, plain.url, ip_allow=[*NOBODY, *EVERYBODY])
    assert https.fetch(HOST).status == 200


def test_requests_beyond_the_rate_are_refused(appliance: Appliance, plain: Backend) -> None:
    route(appliance, plain.url, rate_limit={"average": 1, "burst": 2})
    assert https.fetch(HOST).status == 200
    assert "retry-after" in until_status(429).headers
    until_status(200)


def test_a_password_is_asked_for_and_not_passed_on(appliance: Appliance, plain: Backend) -> None:
    route(appliance, plain.url, basic_auth=[f"{form}@example.com:{hashed}" for form, hashed in HASHES.items()])
    refused = https.fetch(HOST)
    assert (refused.status, plain.requests) == (401, 0)
    assert refused.headers["www-authenticate"] == f'Basic realm="{HOST}"'
    for form in HASHES:
        assert https.fetch(HOST, headers=password(f"{form}@example.com", "wrong horse")).status == 401, form
        let_in = https.fetch(HOST, headers=password(f"{form}@example.com"))
        assert let_in.status == 200, form
        assert "authorization" not in json.loads(let_in.body)["headers"]
    assert https.fetch(HOST, headers=password("nobody")).status == 401


def test_a_changed_password_holds_as_soon_as_it_is_applied(appliance: Appliance, plain: Backend) -> None:
    for user in ("ann", "bob", "ann"):
        route(appliance, plain.url, basic_auth=[f"{user}:{SECRET}"])
        assert [https.fetch(HOST, headers=password(name)).status for name in ("ann", "bob")] == (
            [200, 401] if user == "ann" else [401, 200]
        )
    appliance.must("route", "name", ID, "opt", plain.url, "--no-options")
    assert https.fetch(HOST).status == 200
    assert not (appliance.root / "proxy" / f"{ID}.users").exists()


def test_password_lines_are_shown_to_nobody(appliance: Appliance, plain: Backend) -> None:
    shown = route(appliance, plain.url, basic_auth=[f"ann:{SECRET}"])
    assert shown["options"] == {"basic_auth": {"users": 1}}
    secret = SECRET.rpartition("$")[2]
    told = [appliance.must("route", "show", ID), appliance.must("route", "list"), appliance.must("status")]
    told += [appliance.traefik("rawdata"), appliance.traefik("http/middlewares")]
    assert secret not in json.dumps(told)
    assert secret not in appliance.program.log_text()
    holding = [path for path in appliance.root.rglob("*") if path.is_file() and secret in path.read_text("utf-8")]
    assert {path.relative_to(appliance.root) for path in holding} == {
        Path("workloads", f"{ID}.yaml"),
        Path("proxy", f"{ID}.users"),
        Path("state", "accepted", f"{ID}.yaml"),
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in holding} == {0o600}


def test_browsers_are_told_to_stay_with_https(appliance: Appliance, plain: Backend) -> None:
    route(appliance, plain.url, hsts=True, ip_allow=NOBODY)
    refused = https.fetch(HOST)
    assert refused.status == 403, "a refusal says it too"
    assert refused.headers["strict-transport-security"] == "max-age=31536000"
    route(appliance, plain.url, hsts={"max_age": 63072000, "include_subdomains": True, "preload": True})
    assert https.fetch(HOST).headers["strict-transport-security"] == "max-age=63072000; includeSubDomains; preload"
    route(appliance, plain.url, hsts={"max_age": 0})
    assert https.fetch(HOST).headers["strict-transport-security"] == "max-age=0"


def test_an_unhealthy_backend_leaves_the_rotation_and_comes_back(
    appliance: Appliance, plain: Backend, backend: MakeBackend
) -> None:
    def serving() -> set[str]:
        answers = [https.fetch(HOST) for _ in range(6)]
        return {server_of(answer) if answer.status == 200 else str(answer.status) for answer in answers}

    def statuses() -> dict[str, str]:
        return dict(appliance.traefik(f"http/services/{ID}@file")["serverStatus"])

    failing = Backend("failing", address=addresses.OTHER_BACKEND)
    with failing:
        route(appliance, plain.url, failing.url, health_check={"path": "/healthz?full=1", "interval": "1s"})
        assert serving() == {"plain", "failing"}
    until(lambda: statuses()[failing.url] == "DOWN", "the other one is found to be unhealthy")
    assert serving() == {"plain"}
    backend("back", address=addresses.OTHER_BACKEND, port=failing.port)
    until(lambda: serving() == {"plain", "back"}, "the other one is asked again")


def test_an_unhealthy_backend_fails_no_request_when_routes_change(appliance: Appliance, plain: Backend) -> None:
    dead = Backend("dead", address=addresses.OTHER_BACKEND)
    dead.close()
    route(appliance, plain.url, dead.url, health_check={"interval": "1h"})
    for number in range(3):
        appliance.must("route", "name", "1-4-other", f"other{number}", plain.url)
        bodies = [https.fetch(HOST, method="POST", body=b"x" * 100_000) for _ in range(4)]
        assert [server_of(answer) for answer in bodies] == ["plain"] * 4


def test_a_backend_with_another_status_than_asked_for_is_unhealthy(appliance: Appliance, plain: Backend) -> None:
    route(appliance, plain.url, health_check={"interval": "1s", "status": 204})
    until_status(503)
    assert route(appliance, plain.url, health_check={"interval": "1s", "status": 200})["state"] == "applied"
    until_status(200)


def test_a_client_with_the_cookie_stays_with_its_backend(
    appliance: Appliance, plain: Backend, backend: MakeBackend
) -> None:
    other = backend("other", address=addresses.OTHER_BACKEND)
    for sticky, name in ((True, "gateway-backend"), ("shop_seat", "shop_seat")):
        route(appliance, plain.url, other.url, sticky=sticky)
        first = https.fetch(HOST)
        cookie, *attributes = first.headers["set-cookie"].split("; ")
        assert cookie.startswith(f"{name}=")
        assert {"HttpOnly", "Secure", "SameSite=Lax"} <= set(attributes)
        assert {server_of(https.fetch(HOST, headers={"Cookie": cookie})) for _ in range(6)} == {server_of(first)}
    assert {server_of(https.fetch(HOST)) for _ in range(6)} == {"plain", "other"}


def test_answers_are_compressed_for_who_takes_them(appliance: Appliance, plain: Backend) -> None:
    def encoding(*accepted: str) -> str | None:
        headers = {"Accept-Encoding": ", ".join(accepted)} if accepted else {"Accept-Encoding": "identity"}
        return https.fetch(HOST, "/" + "x" * 3000, headers=headers).headers.get("content-encoding")

    route(appliance, plain.url)
    assert encoding("gzip") is None
    route(appliance, plain.url, compress=True)
    assert [encoding("gzip"), encoding("br"), encoding()] == ["gzip", "br", None]


def test_a_body_over_the_bound_is_refused_before_the_backend_sees_it(appliance: Appliance, plain: Backend) -> None:
    route(appliance, plain.url, max_body_bytes=1000)
    assert https.fetch(HOST, method="POST", body=b"x" * 1001).status == 413
    assert plain.requests == 0
    assert https.fetch(HOST, method="POST", body=b"x" * 1000).status == 200


def test_a_backends_certificate_is_verified_when_asked_for(appliance: Appliance, backend: MakeBackend) -> None:
    server = backend("secure", tls_names=("inside.customer.test",))
    stranger = backend("stranger", address=addresses.OTHER_BACKEND, tls_names=("inside.customer.test",))
    url = f"https://{server.host_port}"

    def status(**backend_tls: Any) -> int:
        route(appliance, url, backend_tls=backend_tls)
        return https.fetch(HOST).status

    assert status(verify=False) == 200
    assert status(verify=True, server_name="inside.customer.test", ca=server.ca_pem) == 200
    assert status(verify=True, server_name="other.customer.test", ca=server.ca_pem) == 500
    assert status(verify=True, ca=server.ca_pem) == 500, "the certificate is not for the backend's address"
    assert status(verify=True, server_name="inside.customer.test", ca=stranger.ca_pem) == 500
    assert status(verify=True, server_name="inside.customer.test") == 500, "no public CA vouches for it"
    assert status(verify=True, server_name="inside.customer.test", ca=stranger.ca_pem + server.ca_pem) == 200


def test_requests_are_sent_on_to_another_host_or_url(appliance: Appliance, plain: Backend) -> None:
    def location(path: str, method: str = "GET") -> tuple[int, str]:
        answer = https.fetch(HOST, path, method=method)
        return answer.status, answer.headers["location"]

    route(appliance, plain.url, redirect_to="www.example.com")
    assert location("/a/b?c=d%20&e=$1${1}") == (301, "https://www.example.com/a/b?c=d%20&e=$1${1}")
    assert location("//evil.example/") == (301, "https://www.example.com/evil.example/")
    assert location("/form", "POST") == (308, "https://www.example.com/form")
    route(appliance, plain.url, redirect_to="http://www.example.com:8080/new/?from=(old)")
    assert location("/a/b?c=d") == (301, "http://www.example.com:8080/new/?from=(old)")
    assert plain.requests == 0


def test_a_backend_that_says_nothing_is_given_up(appliance: Appliance, plain: Backend) -> None:
    route(appliance, plain.url, timeouts={"response_header": "500ms", "connect": "2s", "idle": "30s"})
    with plain.held():
        assert https.fetch(HOST).status == 504
    assert https.fetch(HOST).status == 200


def test_an_fqdn_proxy_has_options_too(appliance: Appliance, plain: Backend, parent: Nsd) -> None:
    parent.add_host("shop.customer.test")
    arguments = given(hsts=True, basic_auth=[f"ann:{SECRET}"])
    appliance.must("route", "fqdn", ID, "shop.customer.test", plain.url, *arguments)
    assert https.fetch("shop.customer.test").status == 401
    let_in = https.fetch("shop.customer.test", headers=password("ann"))
    assert (let_in.status, let_in.headers["strict-transport-security"]) == (200, "max-age=31536000")


def test_with_passthrough_connections_are_filtered_and_backends_checked(
    appliance: Appliance, backend: MakeBackend
) -> None:
    def reachable() -> set[str]:
        found = set[str]()
        for _ in range(6):
            try:
                found.add(server_of(https.fetch(HOST)))
            except OSError:
                found.add("refused")
        return found

    raw = backend("raw", tls_names=(HOST,))
    failing = Backend("failing", address=addresses.OTHER_BACKEND, tls_names=(HOST,))
    both = (raw.host_port, failing.host_port, "--tls-passthrough")
    with failing:
        route(appliance, *both, ip_allow=NOBODY)
        assert reachable() == {"refused"}
        route(appliance, *both, ip_allow=EVERYBODY, health_check={"interval": "1s"}, timeouts={"connect": "2s"})
        assert reachable() == {"raw", "failing"}
        assert backends.CA_NAME in https.certificate_served(HOST).issuer
    until(lambda: reachable() == {"raw"}, "only the healthy one is connected to")
    refused = appliance.cli("route", "name", ID, "opt", raw.host_port, "--tls-passthrough", *given(compress=True))
    assert refused.code == 2
    assert "`options.compress` is impossible with TLS passthrough" in refused.complaint


def test_options_stay_when_a_call_says_nothing_of_them(
    appliance: Appliance, plain: Backend, backend: MakeBackend
) -> None:
    other = backend("other")
    route(appliance, plain.url, basic_auth=[f"ann:{SECRET}"], hsts=True)
    appliance.must("route", "name", ID, "opt", other.url)
    assert https.fetch(HOST).status == 401
    assert server_of(https.fetch(HOST, headers=password("ann"))) == "other"
    refused = appliance.cli("route", "name", ID, "opt", other.host_port, "--tls-passthrough")
    assert refused.code == 2
    assert "present options do not go with this" in refused.complaint
    appliance.restart()
    until_status(401)
    assert https.fetch(HOST, headers=password("ann")).status == 200
    route(appliance, other.url, hsts=True)
    assert https.fetch(HOST).status == 200


def test_a_file_has_options_and_a_broken_edit_leaves_those_before(appliance: Appliance, plain: Backend) -> None:
    text = f'type: gateway-name-proxy\nname: opt\nbackends: ["{plain.url}"]\noptions:\n  basic_auth: ["ann:{SECRET}"]\n'
    appliance.write_workload(ID, text)
    appliance.until_state(ID, "applied")
    assert https.fetch(HOST).status == 401
    appliance.write_workload(ID, text.replace("$2b$04", "$2b$31"))
    reason = appliance.until_state(ID, "quarantined")["reason"]
    assert "line 1 of `options.basic_auth` has a bcrypt cost of 31" in reason
    assert SECRET[-20:] not in reason
    assert https.fetch(HOST, headers=password("ann")).status == 200
    assert https.fetch(HOST).status == 401


@pytest.fixture
def many(appliance: Appliance, plain: Backend) -> Iterator[None]:
    """So many workloads that they are laid out as a tree."""
    for number in range(600):
        text = f'type: gateway-name-proxy\nname: n{number}\nbackends: ["{plain.url}"]\n'
        (appliance.root / "workloads" / f"1-5-{number}.yaml").write_text(text, "utf-8")
    tree = appliance.root / "proxy" / "~tree.yaml"
    until(lambda: tree.exists() and '"1-5-599-route"' in tree.read_text("utf-8"), "the routes are laid out as a tree")
    yield
    assert tree.exists()


@pytest.mark.usefixtures("many")
def test_options_work_in_the_tree_of_routers_too(
    appliance: Appliance, plain: Backend, backend: MakeBackend, parent: Nsd
) -> None:
    parent.add_host("shop.customer.test")
    secure = backend("secure", address=addresses.OTHER_BACKEND, tls_names=("inside.customer.test",))
    verified = {"verify": True, "server_name": "inside.customer.test", "ca": secure.ca_pem}
    options = given(hsts=True, compress=True, sticky=True, basic_auth=[f"ann:{SECRET}"], backend_tls=verified)
    appliance.must("route", "name", ID, "opt", f"https://{secure.host_port}", *options, *given(ip_allow=EVERYBODY))
    assert https.fetch(HOST).status == 401
    let_in = https.fetch(HOST, "/" + "x" * 3000, headers={**password("ann"), "Accept-Encoding": "gzip"})
    assert (let_in.status, let_in.headers["content-encoding"]) == (200, "gzip")
    assert let_in.headers["strict-transport-security"] == "max-age=31536000"
    assert let_in.headers["set-cookie"].startswith("gateway-backend=")
    appliance.must("route", "name", ID, "opt", f"https://{secure.host_port}", *options, *given(ip_allow=NOBODY))
    assert https.fetch(HOST).status == 403
    appliance.must("route", "fqdn", "1-4-shop", "shop.customer.test", plain.url, *given(redirect_to="www.example.com"))
    assert https.fetch("shop.customer.test", "/a").headers["location"] == "https://www.example.com/a"
    raw = backend("raw", tls_names=("raw.gw.test",))
    appliance.must("route", "name", "1-4-raw", "raw", raw.host_port, "--tls-passthrough", *given(ip_allow=NOBODY))
    with pytest.raises(OSError, match=r"(?i)eof|reset"):
        https.fetch("raw.gw.test")
    assert server_of(https.fetch("n17.gw.test")) == "plain"
