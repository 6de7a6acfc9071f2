"""Which files in `proxy/` are the original gateway's."""

from pathlib import Path

from appliance.adapters import adoption
from appliance.layout import Root
from appliance.render import dynamic

ORIGINAL = """http:
  routers:
    37-2039-blog-route: {rule: "Host(`blog.gw.example.com`)", service: 37-2039-blog, tls: {certResolver: dnsresolver}}
  services:
    37-2039-blog: {loadbalancer: {servers: [{url: "http://10.1.2.3:9000"}]}}
"""


def test_this_appliances_own_files_are_no_originals_however_large(tmp_path: Path) -> None:
    """Somebody removed `workloads/`: that makes nobody else's root of it."""
    root = Root(tmp_path)
    root.proxy.mkdir()
    (root.proxy / "~tree.yaml").write_text(dynamic.sealed("# " + "x" * 300_000 + "\n"), encoding="utf-8")
    adoption.adopt(root, lambda: ["gw.example.com"])
    assert not root.workloads.exists()
    assert [path.name for path in root.proxy.iterdir()] == ["~tree.yaml"]


def test_an_original_is_adopted_and_what_is_too_large_or_no_file_is_not(tmp_path: Path) -> None:
    root = Root(tmp_path)
    root.proxy.mkdir()
    (root.proxy / "37-2039-blog.yaml").write_text(ORIGINAL, encoding="utf-8")
    (root.proxy / "large.yaml").write_text("# " + "x" * 100_000, encoding="utf-8")
    (root.proxy / "directory.yaml").mkdir()
    (root.proxy / "link.yaml").symlink_to(root.proxy / "37-2039-blog.yaml")
    adoption.adopt(root, lambda: ["gw.example.com"])
    assert [path.name for path in root.workloads.iterdir()] == ["37-2039-blog.yaml"]
    assert sorted(path.name for path in root.proxy.iterdir()) == ["directory.yaml", "link.yaml"]
    reasons = [path.read_text() for path in root.quarantine.glob("large.yaml.*.reason.txt")]
    assert len(reasons) == 1
    assert "at most 65536 are read" in reasons[0]
