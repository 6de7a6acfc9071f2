"""`proxy/` is the appliance's: whatever somebody does there is undone, and no route suffers."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers import appliance as appliances
from tests.peers import https
from tests.peers.appliance import Appliance, MakeAppliance
from tests.peers.backends import MakeBackend
from tests.peers.load import Load
from tests.peers.tampering import DEEDS, contents, foreign


@pytest.fixture
def gateway(new_appliance: MakeAppliance, backend: MakeBackend) -> Appliance:
    """An appliance with two workloads that are served."""
    started = new_appliance(appliances.settings()).start()
    started.must("route", "name", "1-4-steady", "steady", backend("steady").url)
    started.must("route", "name", "1-4-other", "other", backend("other").url)
    return started


def test_whatever_is_done_to_the_directory_is_undone_and_no_route_suffers(gateway: Appliance) -> None:
    """Restored or set aside at once; what was foreign is kept; and a change of another workload goes through after."""
    proxy = gateway.root / "proxy"
    before = contents(proxy)
    with Load("steady.gw.test", expect='"backend": "steady"') as load:
        for deed in DEEDS:
            load.until_more()
            undone(gateway, deed, proxy, before)
        gateway.must("route", "name", "1-4-new", "new", "http://10.99.0.9:1")
        tally = load.until_more()
    assert tally.failures == 0, tally
    assert '"backend": "other"' in https.fetch("other.gw.test").body
    aside = "\n".join(path.name for path in (gateway.root / "quarantine").rglob("*"))
    kept = (
        "1-4-other.yaml",
        "stranger.yaml",
        ".hidden.yaml",
        "stranger.toml",
        "zz-extra-mine.yaml",
        "link.yaml",
        "sub",
    )
    for name in (*kept, "inner.yaml", "pipe.yaml"):
        assert name in aside
    assert "foreign file set aside" in gateway.program.log_text()


def undone(gateway: Appliance, deed: Callable[[Path], None], proxy: Path, before: dict[str, str]) -> None:
    deed(proxy)
    gateway.program.until(lambda: contents(proxy) == before, f"what {deed.__name__} did is undone")


def test_what_freezes_traefik_while_it_works_on_a_change_is_set_aside_at_once(gateway: Appliance) -> None:
    """It may be what the change waits for, so the change is not waited for; and the change goes through."""
    proxy = gateway.root / "proxy"
    gateway.must("route", "name", "1-4-new", "new", "http://10.99.0.9:1", "--no-wait")
    foreign(proxy)
    gateway.program.until(lambda: not (proxy / "stranger.yaml").exists(), "it is set aside")
    gateway.until_state("1-4-new", "applied", seconds=10)


def test_what_was_put_there_while_it_was_down_is_set_aside_before_traefik_reads_it(gateway: Appliance) -> None:
    gateway.stop()
    proxy = gateway.root / "proxy"
    before = contents(proxy)
    for deed in DEEDS[5:]:
        deed(proxy)
    gateway.start()
    assert '"backend": "steady"' in https.fetch("steady.gw.test").body
    assert contents(proxy) == before
