"""Broker addresses: every form that is taken, and that none of the messages gives a password away."""

import ipaddress
from pathlib import Path

import pytest

from appliance import settings
from appliance.model import brokers
from appliance.model.brokers import Broker
from appliance.model.errors import InvalidInput, InvalidSettings
from appliance.settings import Settings

SECRET = "hunter2"

TAKEN = {
    "unix:///var/run/redis.sock": (Broker(path=Path("/var/run/redis.sock")), "unix:///var/run/redis.sock"),
    f"unix://{SECRET}@/run/redis.sock": (
        Broker(path=Path("/run/redis.sock"), password=SECRET),
        "unix:///run/redis.sock",
    ),
    "unix:///run/my%20redis.sock": (Broker(path=Path("/run/my redis.sock")), "unix:///run/my redis.sock"),
    "tcp://127.0.0.1:6379": (Broker(host="127.0.0.1"), "tcp://127.0.0.1:6379"),
    "tcp://redis.example:6380/": (Broker(host="redis.example", port=6380), "tcp://redis.example:6380"),
    f"tcp://{SECRET}@[::1]:7000": (Broker(host="::1", port=7000, password=SECRET), "tcp://[::1]:7000"),
    "tcp://a%40b%2Fc@h:1": (Broker(host="h", port=1, password="a@b/c"), "tcp://h:1"),
    "redis://redis": (Broker(host="redis"), "tcp://redis:6379"),
    f"redis://:{SECRET}@redis:6380/3": (
        Broker(host="redis", port=6380, database=3, password=SECRET),
        "tcp://redis:6380",
    ),
    f"redis://gw:{SECRET}@redis": (Broker(host="redis", username="gw", password=SECRET), "tcp://redis:6379"),
    f"rediss://gw:{SECRET}@redis:6390/0": (
        Broker(host="redis", port=6390, username="gw", password=SECRET, tls=True),
        "rediss://redis:6390",
    ),
}

REFUSED = {
    "": "unknown scheme",
    "/var/run/redis.sock": "unknown scheme",
    "localhost:6379": "unknown scheme",
    "http://redis:6379": "unknown scheme",
    "unix://redis.sock": "absolute path",
    "unix://": "absolute path",
    "unix:///": "absolute path",
    f"unix://u:{SECRET}@/run/redis.sock": "user and a password",
    "tcp://redis": "a host and a port",
    "tcp://:6379": "a host and a port",
    "tcp://redis:0": "a host and a port",
    "tcp://redis:6379/1": "has a path",
    f"tcp://user:{SECRET}@redis:6379": "user and a password",
    f"tcp://redis:{SECRET}": "no valid host and port",
    "tcp://redis:99999": "no valid host and port",
    "tcp://[::1:6379": "no valid host and port",
    f"tcp://{SECRET} @redis:6379": "a space",
    f"tcp://{SECRET}#@redis:6379": "a space",
    "redis:///1": "needs a host",
    f"redis://{SECRET}@redis": "one word before the @",
    "redis://redis/one": "database number",
    "redis://redis?db=1": "a space",
}


@pytest.mark.parametrize("text", TAKEN)
def test_every_documented_form_is_taken(text: str) -> None:
    broker, shown = TAKEN[text]
    assert brokers.parse(text) == broker
    assert broker.shown == shown


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_address_is_refused_with_the_right_form_and_without_the_password(text: str) -> None:
    with pytest.raises(InvalidInput, match=REFUSED[text]) as caught:
        brokers.parse(text)
    chain = f"{caught.value!r} {caught.value.__cause__!r}"
    assert SECRET not in chain


@pytest.mark.parametrize("text", [text for text in TAKEN if SECRET in text])
def test_a_password_is_never_shown(text: str) -> None:
    broker = brokers.parse(text)
    assert SECRET not in f"{broker!r} {broker} {broker.shown}"
    assert SECRET not in repr(Settings(broker=text))


@pytest.mark.parametrize(
    ("text", "address"),
    [("tcp://10.0.0.5:6379", "10.0.0.5"), ("tcp://[fd00::5]:6379", "fd00::5")],
)
def test_the_brokers_address_is_no_backend(text: str, address: str) -> None:
    assert Settings(broker=text).backend_policy().broker == {ipaddress.ip_address(address)}


@pytest.mark.parametrize("text", [None, "tcp://redis:6379", "unix:///run/redis.sock"])
def test_without_an_ip_address_the_policy_waits_for_the_connection(text: str | None) -> None:
    assert Settings(broker=text).backend_policy().broker == frozenset()


def test_a_wrong_setting_names_its_key_and_never_what_was_given(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(f"broker: tcp://u:{SECRET}@redis:6379\n", encoding="utf-8")
    with pytest.raises(InvalidSettings, match="broker: the broker's address has a user and a password") as caught:
        settings.load(path, {})
    assert SECRET not in f"{caught.value} {caught.value.__cause__}"
