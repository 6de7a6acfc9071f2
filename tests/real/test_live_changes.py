"""Workloads come, change and go while others are under constant load, and no request of those fails."""

import pytest

from tests.peers import addresses, https
from tests.peers.appliance import Appliance
from tests.peers.backends import MakeBackend
from tests.peers.load import Load


@pytest.mark.parametrize("keep_alive", [False, True])
def test_changes_of_one_workload_fail_no_request_of_another(
    appliance: Appliance, backend: MakeBackend, keep_alive: bool
) -> None:
    appliance.must("route", "name", "1-4-steady", "steady", backend("steady").url)
    first, second = backend("first"), backend("second", address=addresses.OTHER_BACKEND)
    with Load("steady.gw.test", expect='"backend": "steady"', keep_alive=keep_alive) as load:
        load.until_more()
        appliance.must("route", "name", "1-4-other", "other", first.url)
        assert '"backend": "first"' in https.fetch("other.gw.test").body
        appliance.must("route", "name", "1-4-other", "other", second.url)
        assert '"backend": "second"' in https.fetch("other.gw.test").body
        appliance.must("route", "delete", "1-4-other")
        assert https.fetch("other.gw.test").status == 404
        tally = load.until_more()
    assert tally.failures == 0, tally


def test_an_update_fails_no_request_of_the_workload_itself(appliance: Appliance, backend: MakeBackend) -> None:
    servers = [backend(name) for name in ("first", "second")]
    appliance.must("route", "name", "1-4-moving", "moving", servers[0].url)
    with Load("moving.gw.test", expect='"backend": ') as load:
        for server in (*reversed(servers), *reversed(servers)):
            load.until_more()
            appliance.must("route", "name", "1-4-moving", "moving", server.url)
            assert f'"backend": "{server.name}"' in https.fetch("moving.gw.test").body
        tally = load.until_more()
    assert tally.failures == 0, tally


def test_a_file_dropped_in_place_is_a_workload_and_its_removal_ends_it(
    appliance: Appliance, backend: MakeBackend
) -> None:
    server = backend("dropped")
    appliance.write_workload("1-4-file", f'type: gateway-name-proxy\nname: file\nbackends: ["{server.url}"]\n')
    appliance.until_state("1-4-file", "applied")
    assert '"backend": "dropped"' in https.fetch("file.gw.test").body
    (appliance.root / "workloads" / "1-4-file.yaml").unlink()
    appliance.program.until(lambda: https.fetch("file.gw.test").status == 404, "the route is gone")


def test_a_broken_file_is_quarantined_and_all_others_are_served(appliance: Appliance, backend: MakeBackend) -> None:
    appliance.must("route", "name", "1-4-good", "good", backend("good").url)
    broken = {"1-4-yaml": "{", "1-4-rubbish": "\x01\x02", "1-4-type": "type: gateway-nothing-proxy\n", "1-4-list": "[]"}
    for identity, text in broken.items():
        appliance.write_workload(identity, text)
    for identity in broken:
        assert appliance.until_state(identity, "quarantined")["reason"]
    appliance.must("route", "name", "1-4-later", "later", backend("later").url)
    assert '"backend": "good"' in https.fetch("good.gw.test").body
    assert '"backend": "later"' in https.fetch("later.gw.test").body
