"""Started on the root of the original gateway, the appliance serves what the original served."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.peers import addresses, https
from tests.peers import appliance as appliances
from tests.peers.appliance import Appliance, MakeAppliance
from tests.peers.backends import MakeBackend
from tests.peers.nsd import Nsd
from tests.peers.pebble import Pebble

NAME_PROXY = """\
http:
  routers:
    {router}:
      rule: Host(`{host}`)
      service: {service}
      tls:
        certResolver: dnsresolver
        domains:
        - sans:
          - '*.gw.test'
  services:
    {service}:
      loadbalancer:
        servers:
        - url: {url}
"""
FQDN_PROXY = """\
http:
  routers:
    {router}:
      rule: Host(`{host}`)
      service: {service}
      tls:
        certResolver: resolver
  services:
    {service}:
      loadbalancer:
        servers:
        - url: {url}
"""
PASSTHROUGH = """\
tcp:
  routers:
    {router}:
      rule: HostSNI(`{host}`)
      service: {service}
      tls:
        passthrough: "true"
  services:
    {service}:
      loadbalancer:
        servers:
        - address: {address}
"""
BROKEN = "http:\n  routers: {\n"
TWO_ROUTERS = FQDN_PROXY + "# and another\ntcp: {{}}\n"


def original(gateway: Appliance, name: str, text: str) -> Path:
    proxy = gateway.root / "proxy"
    proxy.mkdir(parents=True, exist_ok=True)
    path = proxy / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def ordering(gateway: Appliance, identity: str, resolver: str) -> Any:
    """The router of a workload, once its certificate is ordered this way."""
    found = gateway.traefik(f"http/routers/{identity}-route@file")
    return found if found["tls"].get("certResolver") == resolver else None


def test_the_original_s_routes_are_served_and_nothing_is_lost(
    new_appliance: MakeAppliance, backend: MakeBackend, parent: Nsd, pebble: Pebble
) -> None:
    parent.add_host("shop.test", addresses.GATEWAY)
    gateway = new_appliance(appliances.settings(pebble))
    blog, shop = backend("blog"), backend("shop")
    own = backend("own", address=addresses.OTHER_BACKEND, tls_names=("own.test",))
    text = NAME_PROXY.format(router="37-2039-blog-route", service="37-2039-blog", host="blog.gw.test", url=blog.url)
    original(gateway, "37-2039-blog", text)
    odd = FQDN_PROXY.format(router="something", service="else-altogether", host="Shop.test", url=shop.url)
    original(gateway, "37-2040-shop", odd)
    passed = PASSTHROUGH.format(router="r", service="s", host="own.test", address=own.host_port)
    original(gateway, "37-2041-own", passed)
    below = PASSTHROUGH.format(router="r", service="s", host="box.gw.test", address=own.host_port)
    original(gateway, "37-2042-box", below)
    original(gateway, "37-2043-broken", BROKEN)
    original(gateway, "37-2044-two", TWO_ROUTERS.format(router="r", service="s", host="two.test", url=blog.url))
    original(gateway, "37.2045 dotted", text)
    gateway.start()

    for identity in ("37-2039-blog", "37-2040-shop", "37-2041-own", "37-2042-box"):
        gateway.until_state(identity, "applied")
    assert '"backend": "blog"' in https.fetch("blog.gw.test").body
    assert '"backend": "shop"' in https.fetch("shop.test").body
    assert '"backend": "own"' in https.fetch("own.test").body
    written = yaml.safe_load((gateway.root / "workloads" / "37-2042-box.yaml").read_text())
    assert written["type"] == "gateway-name-proxy"
    assert written["name"] == "box"

    router = gateway.program.until(lambda: ordering(gateway, "37-2039-blog", "dnsresolver"), "the wildcard is ordered")
    assert router["rule"] == "Host(`blog.gw.test`)"
    assert "*.gw.test" in router["tls"]["domains"][0]["sans"]
    service = gateway.traefik("http/services/37-2039-blog@file")
    assert service["loadBalancer"]["servers"] == [{"url": blog.url}]
    gateway.program.until(lambda: ordering(gateway, "37-2040-shop", "resolver"), "the FQDN proxy orders by HTTP-01")
    tcp = gateway.traefik("tcp/services/37-2041-own@file")
    assert tcp["loadBalancer"]["servers"] == [{"address": own.host_port}]

    kept = {path.name: path for path in (gateway.root / "quarantine").iterdir()}
    for name in ("37-2039-blog.yaml", "37-2043-broken.yaml", "37-2044-two.yaml", "37.2045 dotted.yaml"):
        assert any(known.startswith(name) for known in kept), kept
    reasons = {name[:9]: path.read_text() for name, path in kept.items() if name.endswith(".reason.txt")}
    assert sorted(reasons) == ["37-2043-b", "37-2044-t", "37.2045 d"]
    assert "not valid YAML" in reasons["37-2043-b"]
    assert "exactly one" in reasons["37-2044-t"]
    assert "is not valid" in reasons["37.2045 d"]
    assert "the original gateway's routes were adopted as workloads" in gateway.program.log_text()


@pytest.mark.parametrize("workloads", [True, False])
def test_a_foreign_file_beside_workloads_is_no_original(
    new_appliance: MakeAppliance, backend: MakeBackend, *, workloads: bool
) -> None:
    """Only a root that never had workloads is adopted: elsewhere a file in `proxy/` is foreign."""
    gateway = new_appliance(appliances.settings())
    text = NAME_PROXY.format(router="r", service="s", host="blog.gw.test", url=backend("blog").url)
    if workloads:
        (gateway.root / "workloads").mkdir(parents=True)
    original(gateway, "37-2039-blog", text)
    gateway.start()
    assert bool(gateway.workload("37-2039-blog")) is not workloads
    assert bool(list((gateway.root / "quarantine").glob("37-2039-blog.yaml*")))
