"""Operators' own fragments: what is refused by looking, how they are settled, and the way to Traefik's directory."""

from collections.abc import Iterator, Mapping, Sequence

import pytest

from appliance.model import fragments
from appliance.model.errors import Conflict, GatewayError
from appliance.model.fragments import Complaint, FragmentState, Surroundings
from tests.fakes import until
from tests.plane import Plane, fqdn, name

AROUND = Surroundings(("gw.example.com",), frozenset({"37-1-blog"}), {"shop.customer.com": "37-2-shop"})
SERVICES = "services: {own: {loadBalancer: {servers: [{url: 'http://10.1.2.3'}]}}}"


def http(rule: str = "Host(`own.example.org`)", more: str = "", own: str = "own") -> str:
    services = SERVICES.replace("own", own)
    return f"http: {{routers: {{{own}: {{rule: '{rule}', service: {own}, tls: {{}}{more}}}}}, {services}}}\n"


def tcp(rule: str) -> str:
    return f"tcp: {{routers: {{t: {{rule: '{rule}', service: t, tls: {{passthrough: true}}}}}}}}\n"


GOOD = [
    http(),
    http("Host(`own.example.org`) && PathPrefix(`/api`)"),
    http(r"HostRegexp(`^[a-z]+\.example\.org$`)"),
    http("PathPrefix(`/`)", ", priority: -1"),
    http("PathPrefix(`/`)", ", priority: '-1'"),
    http(more=", entryPoints: [web-secure]"),
    http(more=", ruleSyntax: v3"),
    tcp("HostSNI(`own.example.org`)"),
    "http: {middlewares: {stamp: {compress: {}}}}\n",
    "tls: {options: {default: {minVersion: VersionTLS12}}}\n",
    "tls: {certificates: [{certFile: /etc/own.pem, keyFile: /etc/own.key}]}\n",
    "HTTP: {Middlewares: {stamp: {compress: {}}}}\n",
    http("PathPrefix(`/x`)", ", parentRefs: [own]"),
]
BAD = [
    ("http: [\n", "not valid YAML"),
    ("hello\n", "must be a mapping"),
    ("", "must be a mapping"),
    ("http: {a: &x {}, b: *x}\n", "alias"),
    ("http: {a: 1, a: 2}\n", "a second time"),
    ("http: {middlewares: {m: {compress: {}}}, HTTP: 1, Http: 2}\nhttp2: 1\n", "unknown key"),
    ("http: {}\nHTTP: {}\n", "twice"),
    ("htpp: {}\n", "did you mean `http`"),
    ("udp: {}\n", "no UDP entry point"),
    ("certificatesResolvers: {}\n", "unknown key"),
    (http("{{ env `HOME` }}"), "Go template"),
    ("x" * 300_000, "at most 262144"),
    (http(own="_own"), "begin with `_`"),
    (http(own="own@file"), "hold `@`"),
    ("http: {routers: {own: {service: own}}}\n", "no `rule`"),
    ("http: {routers: {own: 1}}\n", "must be a mapping"),
    (http("Host(`own"), "cannot be read"),
    (http("Host(`a.*.org`)"), "only `*.` goes first"),
    (http("PathPrefix(`/`)"), "not bound to hosts"),
    (http("PathPrefix(`/`)", ", priority: 0"), "not bound to hosts"),
    (http("PathPrefix(`/`)", ", priority: x"), "not bound to hosts"),
    (http("PathPrefix(`/x`)", ", parentRefs: [_gw]"), "not bound to hosts"),
    (tcp("HostSNI(`*`)"), "take the workloads' connections"),
    (http(more=", entryPoints: [traefik]"), "are `web` and `web-secure`"),
    (http(more=", EntryPoints: metrics"), "are `web` and `web-secure`"),
    (http(more=", ruleSyntax: v2"), "third syntax"),
    (http(more=", tls: {certResolver: resolver}").replace("tls: {}, ", ""), "orders a certificate"),
    (http(more=", x: [{CertResolver: resolver}]"), "orders a certificate"),
    ("tls: {stores: {default: {defaultGeneratedCert: {resolver: resolver}}}}\n", "orders a certificate"),
]
TAKEN = [
    (http("Host(`gw.example.com`)"), "gateway's domain gw.example.com"),
    (http("Host(`BLOG.gw.example.com.`)"), "gateway's domain gw.example.com"),
    (http("Host(`*.example.com`)"), "gateway's domain gw.example.com"),
    (http(r"HostRegexp(`^.+\.example\.com$`)"), "gateway's domain gw.example.com"),
    (tcp("HostSNI(`blog.gw.example.com`)"), "gateway's domain gw.example.com"),
    (http("Host(`shop.customer.com`)"), "which the workload 37-2-shop holds"),
    (http(r"HostRegexp(`^.+\.customer\.com$`)"), "which the workload 37-2-shop holds"),
    (http(own="37-1-blog"), "belongs to the workload 37-1-blog"),
    (http(own="37-1-blog-route"), "belongs to the workload 37-1-blog"),
    ("http: {middlewares: {37-1-blog.hsts.abc: {compress: {}}}}\n", "belongs to the workload 37-1-blog"),
    ("http: {serversTransports: {37-1-blog: {insecureSkipVerify: true}}}\n", "belongs to the workload 37-1-blog"),
]


@pytest.mark.parametrize("text", GOOD)
def test_a_good_fragment_is_let_through_to_the_trial(text: str) -> None:
    fragments.check(fragments.parse("own", text.encode()), AROUND)


@pytest.mark.parametrize(("text", "words"), BAD)
def test_a_bad_fragment_is_refused_by_its_form(text: str, words: str) -> None:
    with pytest.raises(GatewayError) as caught:
        fragments.parse("own", text.encode())
    assert words in str(caught.value)


@pytest.mark.parametrize(("text", "words"), TAKEN)
def test_a_fragment_cannot_take_what_is_somebody_else_s(text: str, words: str) -> None:
    with pytest.raises(GatewayError) as caught:
        fragments.check(fragments.parse("own", text.encode()), AROUND)
    assert words in str(caught.value)


@pytest.mark.parametrize("file", ["", ".own", "own file", "a/b", "x" * 101, "öwn"])
def test_a_fragment_has_a_plain_name(file: str) -> None:
    with pytest.raises(GatewayError, match="rename"):
        fragments.parse(file, http().encode())


def test_a_file_name_cannot_be_that_of_a_workload() -> None:
    around = Surroundings(ids=frozenset({"zz-extra-own"}))
    with pytest.raises(GatewayError, match="belongs to the workload zz-extra-own"):
        fragments.check(fragments.parse("own", http().encode()), around)


@pytest.fixture
def plane() -> Iterator[Plane]:
    plane = Plane()
    plane.start()
    yield plane
    plane.stop()


def put(plane: Plane, **texts: str | None) -> None:
    for own, text in texts.items():
        plane.extra.texts.pop(own, None)
        if text is not None:
            plane.extra.texts[own] = text
    plane.fragments.look(texts)


def reaches(plane: Plane, own: str, state: FragmentState) -> str:
    """Wait until a fragment is in this state; its reason."""
    until(lambda: any(view.name == own and view.state is state for view in plane.fragments.views()))
    return next(view.reason for view in plane.fragments.views() if view.name == own)


def fault_of(word: str, *, is_blamed: bool = True) -> "Fault":
    return Fault(word, is_blamed=is_blamed)


class Fault:
    """Finds fault with every fragment that holds a word."""

    def __init__(self, word: str, *, is_blamed: bool) -> None:
        self._word = word
        self._is_blamed = is_blamed

    def __call__(self, texts: Mapping[str, str]) -> Sequence[Complaint]:
        found = [own for own, text in texts.items() if self._word in text]
        return [
            Complaint(f"Traefik dislikes {self._word}", frozenset({own} if self._is_blamed else ())) for own in found
        ]


def test_a_good_fragment_lies_in_the_directory_sealed_and_is_applied_once_traefik_has_it(plane: Plane) -> None:
    plane.traefik.freeze()
    put(plane, own=http())
    until(lambda: "zz-extra-own.yaml" in plane.files.files)
    assert plane.files.files["zz-extra-own.yaml"].startswith(http())
    assert reaches(plane, "own", FragmentState.PENDING) == "accepted; Traefik has not confirmed it yet"
    plane.traefik.thaw()
    reaches(plane, "own", FragmentState.APPLIED)
    assert plane.files.aside == []


def test_a_removed_fragment_is_taken_out(plane: Plane) -> None:
    put(plane, own=http())
    reaches(plane, "own", FragmentState.APPLIED)
    put(plane, own=None)
    until(lambda: "zz-extra-own.yaml" not in plane.files.files)
    assert plane.fragments.views() == []
    assert plane.extra.kept == {}


@pytest.mark.parametrize("is_blamed", [True, False])
def test_bad_ones_are_refused_and_good_ones_beside_them_are_not(plane: Plane, is_blamed: bool) -> None:
    plane.trial.fault = fault_of("bad", is_blamed=is_blamed)
    put(plane, a=http(own="a"), b=http(own="bad"), c=http(own="c"), d=http(own="bad2"))
    for own in ("a", "c"):
        reaches(plane, own, FragmentState.APPLIED)
    for own in ("b", "d"):
        assert reaches(plane, own, FragmentState.REFUSED) == "Traefik dislikes bad"
    assert sorted(plane.files.files) == ["zz-extra-a.yaml", "zz-extra-c.yaml"]
    assert "2 fragment(s) in extra/ refused: `gateway extra` says why" in plane.gateway.status()["notices"]


def test_a_bad_new_version_leaves_the_one_before_and_outlives_a_restart(plane: Plane) -> None:
    plane.trial.fault = fault_of("bad")
    put(plane, own=http())
    reaches(plane, "own", FragmentState.APPLIED)
    put(plane, own=http("Host(`bad.example.org`)"))
    expected = "Traefik dislikes bad; the version accepted before is still served"
    assert reaches(plane, "own", FragmentState.REFUSED) == expected
    plane.stop()
    plane.start()
    assert "own.example.org" in plane.files.files["zz-extra-own.yaml"]
    assert reaches(plane, "own", FragmentState.REFUSED) == expected


def test_the_same_question_is_not_asked_twice_unless_somebody_saves_the_file_again(plane: Plane) -> None:
    plane.trial.fault = fault_of("bad")
    put(plane, own=http(own="bad"))
    reaches(plane, "own", FragmentState.REFUSED)
    asked = len(plane.trial.asked)
    plane.fragments.look()
    put(plane, other="http: [")
    reaches(plane, "other", FragmentState.REFUSED)
    until(lambda: len(plane.trial.asked) > asked)
    plane.trial.fault = fault_of("nothing")
    put(plane, own=http(own="bad"))
    reaches(plane, "own", FragmentState.APPLIED)
    assert len(plane.trial.asked) == asked + 2


def test_what_another_fragment_used_cannot_go_without_it(plane: Plane) -> None:
    """A middleware in one file, its router in another: they are tried together, and go together."""

    def fault(texts: Mapping[str, str]) -> Sequence[Complaint]:
        is_dangling = "user" in texts and "stamp" not in "".join(text for own, text in texts.items() if own != "user")
        return [Complaint("the middleware stamp does not exist", frozenset({"user"}))] if is_dangling else []

    plane.trial.fault = fault
    put(plane, user=http(more=", middlewares: [stamp]"), zz="http: {middlewares: {stamp: {compress: {}}}}\n")
    reaches(plane, "user", FragmentState.APPLIED)
    put(plane, zz=None)
    assert reaches(plane, "user", FragmentState.REFUSED) == "the middleware stamp does not exist"
    until(lambda: not plane.files.files)
    put(plane, renamed="http: {middlewares: {stamp: {compress: {}}}}\n")
    reaches(plane, "user", FragmentState.APPLIED)


def test_while_no_trial_can_be_made_nothing_is_used_and_what_is_used_stays(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.control.fragments._RETRY_SECONDS", 0.01)
    put(plane, own=http())
    reaches(plane, "own", FragmentState.APPLIED)
    plane.trial.silent = True
    put(plane, second=http("Host(`second.example.org`)", own="second"))
    until(lambda: "does not answer" in reaches(plane, "second", FragmentState.PENDING))
    assert sorted(plane.files.files) == ["zz-extra-own.yaml"]
    plane.trial.silent = False
    reaches(plane, "second", FragmentState.APPLIED)


def test_a_workload_keeps_its_host_and_its_name_and_so_does_a_fragment(plane: Plane) -> None:
    plane.put(fqdn("37-2-shop", "shop.customer.com"), name("blog"))
    put(plane, host=http("Host(`shop.customer.com`)"), name=http(own="blog"), own=http())
    assert "37-2-shop" in reaches(plane, "host", FragmentState.REFUSED)
    assert "blog" in reaches(plane, "name", FragmentState.REFUSED)
    reaches(plane, "own", FragmentState.APPLIED)
    with pytest.raises(Conflict, match=r"fragment extra/own\.yaml"):
        plane.gateway.set_fqdn_proxy("37-3-thief", "own.example.org", ["http://10.1.2.3"])
    with pytest.raises(Conflict, match=r"fragment extra/own\.yaml"):
        plane.gateway.set_named_proxy("own", "whatever", ["http://10.1.2.3"])
    put(plane, own=None)
    until(lambda: "zz-extra-own.yaml" not in plane.files.files)
    plane.gateway.set_fqdn_proxy("37-3-thief", "own.example.org", ["http://10.1.2.3"])


def test_what_traefik_refuses_beside_the_routes_is_taken_out_again(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.control.fragments._PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr("appliance.control.fragments._CONFIRM_SECONDS", 0.01)
    plane.traefik.rejected["own"] = "something live is in the way"
    put(plane, own=http())
    expected = "Traefik refuses it beside the routes: the router own: something live is in the way"
    assert reaches(plane, "own", FragmentState.REFUSED) == expected
    until(lambda: not plane.files.files)
    plane.traefik.rejected.clear()
    put(plane, own=http() + "# changed\n")
    reaches(plane, "own", FragmentState.APPLIED)
