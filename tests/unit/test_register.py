"""Who holds a host, who keeps it, who waits for it, and what one bad workload costs."""

import ipaddress
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.model import workloads
from appliance.model.admission import Desired, Gateway
from appliance.model.backends import BackendPolicy
from appliance.model.errors import Conflict, InvalidInput, NoGateway, Refused
from appliance.model.register import Register
from appliance.model.resolution import Resolution
from appliance.model.workloads import Workload

OWN = frozenset({ipaddress.ip_address("203.0.113.10")})
GATEWAY = Gateway(True, OWN, ("gw.example.com",), BackendPolicy(own=OWN, allow_hostnames=True))
NO_PUBLIC = Gateway(False, frozenset(), (), BackendPolicy())
SERVER = frozenset({ipaddress.ip_address("10.0.0.1")})

File = Workload | tuple[str, str]
"""A workload file: a workload, or (id, problem) of one that cannot be read."""


def name(identity: str, label: str, backend: str = "http://10.1.2.3", domain: str | None = None) -> Workload:
    document = {"type": "gateway-name-proxy", "name": label, "domain": domain, "backends": [backend]}
    return workloads.parse(identity, document)


def fqdn(identity: str, host: str) -> Workload:
    document = {"type": "gateway-fqdn-proxy", "fqdn": host, "backends": ["http://10.1.2.3"]}
    return workloads.parse(identity, document)


def desired(item: File, age: float = 0.0) -> Desired:
    if isinstance(item, tuple):
        return Desired(item[0], InvalidInput(item[1]), age)
    return Desired(item.id, item, age)


def register(files: Sequence[File], accepted: Sequence[Workload] = (), gateway: Gateway = GATEWAY) -> Register:
    """A register that has seen these files, the first the oldest, after these versions were accepted before."""
    found = Register(gateway)
    items = {item.id: item for item in (desired(file, float(age)) for age, file in enumerate(files))}
    found.restore({item.id: item for item in accepted}, items.keys())
    found.update(items)
    return found


def test_a_conflict_names_the_holder_and_the_older_claim_wins() -> None:
    found = register([name("second", "blog"), name("first", "BLOG")])
    assert list(found.routes) == ["second"]
    assert isinstance(found.refused["first"], Conflict)
    assert "blog.gw.example.com is held by the workload second" in str(found.refused["first"])
    assert found.holders == {"blog.gw.example.com": "second"}


def test_of_claims_of_one_age_the_lesser_id_wins() -> None:
    found = Register(GATEWAY)
    found.update({identity: desired(name(identity, "blog")) for identity in ("b", "a")})
    assert list(found.routes) == ["a"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Shop.Customer.com", "shop.customer.COM."),
        ("müller.org", "xn--mller-kva.org"),
        ("MÜLLER.org", "mu\u0308ller.org"),
        ("müller.org", "XN--mller-KVA.org"),
    ],
)
def test_spellings_of_one_host_conflict(one: str, other: str) -> None:
    found = register([fqdn("a", one), fqdn("b", other)])
    assert list(found.routes) == ["a"]
    assert isinstance(found.refused["b"], Conflict)


def test_who_held_a_host_first_keeps_it_whatever_the_files_ages_say() -> None:
    found = register([name("young", "blog"), name("old", "blog")], accepted=[name("old", "blog")])
    assert list(found.routes) == ["old"]
    assert "held by the workload old" in str(found.refused["young"])


@pytest.mark.parametrize(
    "fresh",
    [
        ("blog", "the document is not valid YAML"),
        name("blog", "blog", "http://169.254.169.254"),
        name("blog", "blog", domain="other.org"),
        fqdn("blog", "x.gw.example.com"),
        name("blog", "taken"),
    ],
)
def test_the_version_accepted_last_stays_when_the_new_one_is_refused(fresh: Workload | tuple[str, str]) -> None:
    before = [name("blog", "blog"), name("other", "taken")]
    found = register([name("other", "taken"), fresh], accepted=before)
    assert found.routes["blog"].workload == before[0]
    assert "blog" in found.refused
    assert "other" not in found.refused


def test_one_bad_workload_costs_only_itself() -> None:
    found = register([("bad", "is no YAML"), name("a", "a"), name("b", "b", "http://0.0.0.0"), name("c", "c")])
    assert set(found.routes) == {"a", "c"}
    assert set(found.refused) == {"bad", "b"}


def test_a_host_that_is_given_up_goes_to_whoever_waits_for_it() -> None:
    found = register([name("a", "old"), name("b", "old"), name("c", "old")])
    assert set(found.refused) == {"b", "c"}
    touched = found.update({"a": desired(name("a", "new"), 9.0)})
    assert touched >= {"a", "b"}
    assert found.holders == {"new.gw.example.com": "a", "old.gw.example.com": "b"}
    assert "held by the workload b" in str(found.refused["c"])
    found.update({"b": None})
    assert found.holders == {"new.gw.example.com": "a", "old.gw.example.com": "c"}
    assert not found.refused


def test_an_update_and_a_claim_in_one_go_end_alike_in_either_order() -> None:
    changes = {"a": desired(name("a", "new"), 8.0), "b": desired(name("b", "old"), 9.0)}
    for items in (changes, dict(reversed(changes.items()))):
        found = register([name("a", "old")], accepted=[name("a", "old")])
        found.update(items)
        assert found.holders == {"new.gw.example.com": "a", "old.gw.example.com": "b"}


def test_an_unreadable_file_that_is_mended_is_served() -> None:
    found = register([("a", "is no YAML")])
    assert str(found.refused["a"]) == "is no YAML"
    found.update({"a": desired(name("a", "blog"))})
    assert list(found.routes) == ["a"]
    assert not found.refused


def test_a_deleted_workloads_host_is_free_at_once() -> None:
    found = register([name("b", "blog")], accepted=[name("a", "blog")])
    assert list(found.routes) == ["b"]


def test_without_a_public_section_nothing_is_served_and_everything_says_why() -> None:
    both = [name("a", "blog"), fqdn("b", "shop.customer.com")]
    found = register(both, accepted=both, gateway=NO_PUBLIC)
    assert not found.routes
    assert all(isinstance(error, NoGateway) for error in found.refused.values())


def test_changed_domains_never_give_one_host_to_two() -> None:
    accepted = [name("a", "blog"), name("b", "blog", domain="gw.example.com")]
    found = register(accepted, accepted=accepted)
    assert list(found.routes) == ["a"]
    assert "held by the workload a" in str(found.refused["b"])


def test_a_claim_at_the_door_counts_at_once_and_ends_with_the_workload() -> None:
    found = register([name("a", "blog")])
    found.claim("new.gw.example.com", "b")
    assert found.holders["new.gw.example.com"] == "b"
    found.update({"c": desired(name("c", "new"))})
    assert "held by the workload b" in str(found.refused["c"])
    found.update({"b": desired(name("b", "new"))})
    assert found.routes["b"].host == "new.gw.example.com"
    found.update({"b": None})
    assert found.holders == {"blog.gw.example.com": "a", "new.gw.example.com": "c"}


def test_a_claim_of_a_workload_that_never_came_ends() -> None:
    found = register([])
    found.claim("new.gw.example.com", "b")
    found.update({"b": None})
    assert not found.holders


def test_what_the_proxy_will_not_take_is_out_until_it_changes() -> None:
    good, bad = name("a", "blog"), name("a", "blog", "http://10.9.9.9")
    found = register([bad, name("b", "b")])
    assert found.reject("a", "invalid something", good) == {"a"}
    found.update({"a": desired(bad)})
    assert isinstance(found.refused["a"], Refused)
    assert "invalid something; change the workload" in str(found.refused["a"])
    assert found.routes["a"].workload == good
    assert "b" not in found.refused
    found.update({"a": desired(name("a", "blog", "http://10.8.8.8"))})
    assert "a" not in found.refused


def test_a_backends_new_address_is_a_changed_input_and_ends_a_rejection() -> None:
    found = register([name("a", "blog", "http://app.internal"), name("b", "b")])
    found.resolve({"app.internal": Resolution(SERVER, None)}, {"app.internal"})
    found.reject("a", "invalid something", None)
    found.reject("b", "invalid other", None)
    assert set(found.refused) == {"a", "b"}
    elsewhere = frozenset({ipaddress.ip_address("10.0.0.2")})
    assert found.resolve({"app.internal": Resolution(elsewhere, None)}, {"app.internal"}) == {"a"}
    assert set(found.refused) == {"b"}
    assert [server.host for server in found.routes["a"].servers] == ["10.0.0.2"]


def test_what_is_forgiven_is_tried_again_and_gets_its_host_only_while_it_is_free() -> None:
    found = register([name("a", "blog")])
    found.reject("a", "invalid something", None)
    assert found.forgive({"a", "nobody"}) == {"a", "nobody"}
    assert list(found.routes) == ["a"]
    found.reject("a", "invalid something", None)
    found.update({"b": desired(name("b", "blog"), 9.0)})
    found.forgive({"a"})
    assert found.holders == {"blog.gw.example.com": "b"}
    assert isinstance(found.refused["a"], Conflict)


def test_two_versions_that_are_rejected_do_not_take_turns() -> None:
    good, bad = name("a", "blog"), name("a", "blog", "http://10.9.9.9")
    found = register([bad])
    found.reject("a", "one", good)
    assert found.routes["a"].workload == good
    found.reject("a", "other", good)
    assert not found.routes
    assert "Traefik rejected it: one" in str(found.refused["a"])


def test_a_host_that_is_being_given_up_can_be_claimed_at_once() -> None:
    found = register([name("a", "blog")])
    found.release("a")
    assert "blog.gw.example.com" not in found.holders


def test_backends_by_name_wait_for_their_address_and_follow_it() -> None:
    found = register([name("a", "blog", "http://app.internal"), name("b", "b")])
    assert found.backend_hosts() == {"app.internal"}
    assert "is being looked up" in str(found.refused["a"])
    assert found.resolve({"app.internal": Resolution(SERVER, None)}, {"app.internal"}) == {"a"}
    assert [server.host for server in found.routes["a"].servers] == ["10.0.0.1"]
    found.resolve({"app.internal": Resolution(OWN, None)}, {"app.internal"})
    assert "the gateway's own address" in str(found.refused["a"])
    assert "a" not in found.routes


def test_new_rules_judge_everything_anew() -> None:
    found = register([name("a", "blog"), fqdn("b", "shop.customer.com")])
    found.reconfigure(NO_PUBLIC)
    assert not found.routes
    assert set(found.refused) == {"a", "b"}
    found.reconfigure(GATEWAY)
    assert set(found.routes) == {"a", "b"}
    assert not found.refused


STEPS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["x", "y", "z", "", None])), min_size=1, max_size=12
)


@given(STEPS)
def test_whatever_happens_a_host_has_one_holder_and_nobody_waits_for_a_free_one(
    steps: list[tuple[str, str | None]],
) -> None:
    found = Register(GATEWAY)
    for age, (identity, label) in enumerate(steps):
        file: File = name(identity, label) if label else (identity, "is no YAML")
        found.update({identity: None if label is None else desired(file, float(age))})
        hosts = [route.host for route in found.routes.values()]
        assert len(set(hosts)) == len(hosts)
        assert found.holders == {route.host: identity for identity, route in found.routes.items()}
        assert found.desired.keys() == found.refused.keys() | found.routes.keys()
        for error in found.refused.values():
            assert not isinstance(error, Conflict) or str(error).split()[0] in found.holders


def test_a_deleted_workloads_host_is_not_taken_back_by_what_is_left_of_it() -> None:
    """Deleted, its host given to somebody else, and then a spoilt file in its place, all before anybody looked."""
    found = register([name("first", "blog")])
    found.release("first")
    found.claim("blog.gw.example.com", "second")
    found.update({"first": desired(("first", "rubbish")), "second": desired(name("second", "blog"))})
    assert list(found.routes) == ["second"]
    assert found.holders == {"blog.gw.example.com": "second"}


def test_a_second_claim_of_one_workload_gives_the_first_up() -> None:
    found = register([])
    found.claim("one.gw.example.com", "a")
    found.claim("two.gw.example.com", "a")
    assert found.holders == {"two.gw.example.com": "a"}
    found.update({"a": desired(name("a", "two"))})
    found.update({"a": None})
    assert found.holders == {}


def test_after_a_deletion_no_earlier_version_stands_in_for_what_comes_back_under_the_id() -> None:
    found = register([name("a", "blog")])
    found.release("a")
    broken = Desired("a", InvalidInput("half a file"), 1.0)
    assert found.update({"a": broken}) == {"a"}
    assert found.routes == {}
    assert found.holders == {}
    found.update({"a": desired(name("a", "blog"))})
    assert found.routes["a"].host == "blog.gw.example.com"
    found.update({"a": broken})
    assert found.routes["a"].host == "blog.gw.example.com"
