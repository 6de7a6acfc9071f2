"""Backups: what one holds, what is refused of a hostile one, and how a root changes places with it."""

import base64
import datetime as dt
import fcntl
import io
import json
import os
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from appliance import cli
from appliance.adapters import backup_archive, backup_files
from appliance.layout import Root
from appliance.model import backups, state_formats
from appliance.model.errors import GatewayError, InvalidInput

WORKLOAD = b'type: gateway-name-proxy\nname: blog\nbackends: ["http://10.1.2.3:9000"]\n'
SETTINGS = "# of the operator\npublic: {ipv4: 203.0.113.10, domains: [gw.example.com]}\n"
TOTALS = json.dumps({"format": 1, "accounts": {"blog": {}}}).encode()


def _store(resolver: str, name: str, *, key_of_another: bool = False) -> bytes:
    key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    made = made.serial_number(0xABC).not_valid_before(now).not_valid_after(now + dt.timedelta(days=90))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    pem = made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    shown = (other if key_of_another else key).private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    entry = {
        "domain": {"main": name},
        "certificate": base64.b64encode(pem).decode(),
        "key": base64.b64encode(shown).decode(),
        "Store": "default",
    }
    return json.dumps({resolver: {"Account": None, "Certificates": [entry]}}).encode()


STORE = _store("dnsresolver", "gw.example.com")
WHOLE: Mapping[str, bytes] = {
    "workloads/blog.yaml": WORKLOAD,
    "state/accepted/blog.yaml": WORKLOAD,
    "extra/office.yaml": b"http: {middlewares: {office: {compress: {}}}}\n",
    "traefik/acme2.json": STORE,
    "state/traffic.json": TOTALS,
    "gateway.yaml": SETTINGS.encode(),
}


def _packed(contents: Mapping[str, bytes] = WHOLE) -> bytes:
    return backup_archive.packed(contents, version="0.1.0", created="2026-01-01T00:00:00+00:00", moment=0.0)


def _tar(*members: tuple[tarfile.TarInfo, bytes], manifest: Any = None) -> bytes:
    """A tar file with a sound manifest of no members (or `manifest`), and then these."""
    buffer = io.BytesIO()
    text = backups.manifest({}, version="0", created="") if manifest is None else manifest
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        first = tarfile.TarInfo(backups.MANIFEST)
        first.size = len(text)
        for member, raw in ((first, text), *members):
            archive.addfile(member, io.BytesIO(raw))
    return buffer.getvalue()


def _member(name: str, raw: bytes = WORKLOAD, **changes: Any) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(raw)
    for key, value in changes.items():
        setattr(member, key, value)
    return member, raw


def _link(name: str, kind: bytes, target: str = "/etc/passwd") -> tuple[tarfile.TarInfo, bytes]:
    return _member(name, b"", type=kind, linkname=target)


def _manifest(**changes: Any) -> bytes:
    return json.dumps(json.loads(backups.manifest({}, version="0", created="")) | changes).encode()


def _giant() -> bytes:
    """A header that promises far more than a workload may have."""
    member, _ = _member("workloads/blog.yaml", size=8 * 1024**3)
    return _tar()[:-10240] + member.tobuf(tarfile.GNU_FORMAT) + b"x" * 512


def _sparse() -> bytes:
    return _tar(_member("workloads/blog.yaml", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}))


HOSTILE: Mapping[str, Callable[[], bytes]] = {
    "path traversal": lambda: _tar(_member("workloads/../../../etc/cron.d/x.yaml")),
    "dots before": lambda: _tar(_member("./workloads/blog.yaml")),
    "absolute": lambda: _tar(_member("/etc/cron.d/x")),
    "backslash": lambda: _tar(_member("workloads\\blog.yaml")),
    "newline": lambda: _tar(_member("workloads/blog.yaml\n")),
    "unknown member": lambda: _tar(_member("run/admin.sock")),
    "static configuration": lambda: _tar(_member("traefik.yaml")),
    "dynamic configuration": lambda: _tar(_member("proxy/blog.yaml")),
    "password lines": lambda: _tar(_member("proxy/blog.users")),
    "symlink": lambda: _tar(_link("workloads/blog.yaml", tarfile.SYMTYPE)),
    "hard link": lambda: _tar(_link("workloads/blog.yaml", tarfile.LNKTYPE)),
    "character device": lambda: _tar(_link("workloads/blog.yaml", tarfile.CHRTYPE)),
    "block device": lambda: _tar(_link("workloads/blog.yaml", tarfile.BLKTYPE)),
    "pipe": lambda: _tar(_link("workloads/blog.yaml", tarfile.FIFOTYPE)),
    "directory": lambda: _tar(_link("workloads", tarfile.DIRTYPE)),
    "sparse file": _sparse,
    "promised giant": _giant,
    "too large for its kind": lambda: _tar(_member("workloads/blog.yaml", b"#" * (64 * 1024 + 1))),
    "twice": lambda: _tar(_member("workloads/blog.yaml"), _member("workloads/blog.yaml")),
    "manifest twice": lambda: _tar(_member(backups.MANIFEST, _manifest())),
    "not in the manifest": lambda: _tar(_member("workloads/blog.yaml")),
    "missing from the manifest's list": lambda: _tar(
        manifest=_manifest(members={"gateway.yaml": {"bytes": 1, "sha256": ""}})
    ),
    "newer format": lambda: _tar(manifest=_manifest(format=backups.FORMAT + 1)),
    "newer state": lambda: _tar(manifest=_manifest(state_format=state_formats.CURRENT + 1)),
    "state of no format": lambda: _tar(manifest=_manifest(state_format="latest")),
    "another kind": lambda: _tar(manifest=_manifest(kind="tarball")),
    "members no mapping": lambda: _tar(manifest=_manifest(members=["gateway.yaml"])),
    "manifest of rubbish": lambda: _tar(manifest=b"{"),
    "manifest a list": lambda: _tar(manifest=b"[]"),
    "deep manifest": lambda: _tar(manifest=b"[" * 200_000),
    "cut off in a member": lambda: _packed()[:3000],
    "cut off between members": lambda: _packed()[:2048],
    "compressed": lambda: __import__("gzip").compress(_packed()),
    "empty": lambda: b"",
    "text": lambda: b"hello\n" * 1000,
    "no manifest first": lambda: _tar()[1024:],
    "damaged": lambda: _packed().replace(b"10.1.2.3", b"10.1.2.4", 1),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_in_one_line_and_nothing_is_written(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.tar").write_bytes(HOSTILE[name]())
    root = tmp_path / "root"
    assert cli.main(["restore", str(tmp_path / "x.tar"), "--root", str(root)]) in {1, 2}
    said = capsys.readouterr().err
    assert said.startswith("gateway: ")
    assert len(said.splitlines()) == 1
    assert not root.exists()


BAD_CONTENT: Mapping[str, tuple[str, bytes]] = {
    "workload with a template": ("workloads/a.yaml", WORKLOAD.replace(b"blog", b"{{x}}")),
    "workload of another kind": ("workloads/a.yaml", b"type: vm\n"),
    "alias bomb": ("workloads/a.yaml", b"a: &a [x, x]\nb: [*a, *a]\n"),
    "accepted version": ("state/accepted/a.yaml", b"[]"),
    "fragment with a template": ("extra/a.yaml", b"http: {middlewares: {a: {headers: {x: '{{env}}'}}}}"),
    "settings no mapping": ("gateway.yaml", b"[1]"),
    "store no JSON": ("traefik/acme.json", b"{"),
    "store of the other resolver": ("traefik/acme.json", STORE),
    "store with another's key": ("traefik/acme2.json", _store("dnsresolver", "gw.test", key_of_another=True)),
    "store without certificates' content": ("traefik/acme.json", b'{"resolver": {"Certificates": [{}]}}'),
    "store with a mapping of certificates": ("traefik/acme.json", b'{"resolver": {"Certificates": {}}}'),
    "totals without accounts": ("state/traffic.json", b"{}"),
    "totals of no workload": ("state/traffic.json", b'{"accounts": {"../x": {}}}'),
}


@pytest.mark.parametrize("case", BAD_CONTENT)
def test_content_that_the_appliance_would_not_take_is_refused_naming_the_member(case: str) -> None:
    name, raw = BAD_CONTENT[case]
    with pytest.raises(InvalidInput, match=name):
        backup_archive.unpacked(io.BytesIO(_packed({name: raw})))


def test_what_was_packed_is_unpacked_the_same() -> None:
    longest = {f"workloads/{'a' * 200}.yaml": WORKLOAD}
    manifest, contents = backup_archive.unpacked(io.BytesIO(_packed({**WHOLE, **longest})))
    assert contents == {**WHOLE, **longest}
    assert manifest.version == "0.1.0"


def test_serial_numbers_are_told() -> None:
    assert backups.certificates(WHOLE) == [("gw.example.com", "abc")]


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """A root with one of everything."""
    made = Root(tmp_path / "root")
    made.create()
    for name, raw in WHOLE.items():
        (made.path / name).write_bytes(raw)
    return made


def _restore(root: Path, archive: Path, *more: str) -> int:
    return cli.main(["restore", str(archive), "--root", str(root), *more])


@pytest.fixture
def archive(root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A backup of `root`, made by the command line."""
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    path = tmp_path / "gateway.tar"
    before = os.umask(0)
    try:
        assert cli.main(["backup", str(path), "--root", str(root.path)]) == 0
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    return path


def test_a_backup_restored_into_an_empty_root_is_the_same(root: Root, archive: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    assert _restore(fresh, archive) == 0
    for name, raw in WHOLE.items():
        assert (fresh / name).read_bytes() == raw, name
        assert (fresh / name).stat().st_mode & 0o777 == 0o600, name
    assert (fresh / "state/format").read_text() == f"{state_formats.CURRENT}\n"
    assert not list(fresh.glob("before-restore-*"))
    assert not list(fresh.glob(".restore*"))


def test_what_was_there_is_kept_aside(root: Root, archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root.workloads / "later.yaml").write_bytes(WORKLOAD)
    (root.path / "gateway.yaml").write_text(SETTINGS + "dns: {nsid: here}\n")
    (root.proxy / "later.yaml").write_text("x")
    capsys.readouterr()
    assert _restore(root.path, archive, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert not (root.workloads / "later.yaml").exists()
    assert not list(root.proxy.iterdir())
    aside, settings = map(Path, told["kept"])
    assert (aside / "workloads/later.yaml").read_bytes() == WORKLOAD
    assert "nsid" in settings.read_text()
    assert (root.path / "gateway.yaml").read_text() == SETTINGS
    assert told["certificates"] == [{"name": "gw.example.com", "serial": "abc"}]
    assert told["parts"]["workloads"] == 1


def test_the_settings_may_be_kept(root: Root, archive: Path) -> None:
    (root.path / "gateway.yaml").write_text(SETTINGS + "dns: {nsid: here}\n")
    assert _restore(root.path, archive, "--keep-settings") == 0
    assert "nsid" in (root.path / "gateway.yaml").read_text()


def test_a_backup_never_chooses_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = yaml.safe_load(SETTINGS) | {"traefik": {"binary": "/tmp/evil", "access_log": True}}
    (tmp_path / "x.tar").write_bytes(
        _packed({"gateway.yaml": yaml.safe_dump(named | {"alerts": {"command": "/tmp/evil"}}).encode()})
    )
    assert _restore(tmp_path / "root", tmp_path / "x.tar") == 0
    written = yaml.safe_load((tmp_path / "root/gateway.yaml").read_text())
    assert written["traefik"] == {"access_log": True}
    assert "command" not in written["alerts"]
    said = capsys.readouterr().out
    assert "traefik.binary" in said
    assert "alerts.command" in said


def test_settings_that_would_not_load_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(_packed({"gateway.yaml": b"pubic: {}\n"}))
    assert _restore(tmp_path / "root", tmp_path / "x.tar") == 2
    assert not (tmp_path / "root").exists()


def test_a_root_in_use_is_left_alone(root: Root, archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with root.lock.open("w") as lock:
        lock.write("4711\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert _restore(root.path, archive) == 1
    assert "pid 4711" in capsys.readouterr().err
    assert not list(root.path.glob("before-restore-*"))


def test_a_step_that_fails_puts_everything_back(root: Root, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root.workloads / "later.yaml").write_bytes(WORKLOAD)
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if self.name == "state" and ".restore-" in str(self):
            raise OSError(28, "No space left on device", str(self))
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    assert _restore(root.path, archive) == 1
    monkeypatch.undo()
    assert (root.workloads / "later.yaml").read_bytes() == WORKLOAD
    assert (root.state / "traffic.json").read_bytes() == TOTALS
    assert not root.unfinished_restore.exists()
    assert not list(root.path.glob("*restore*"))


def test_what_is_no_part_is_left_out_and_named(root: Root, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root.workloads / "bad.yaml").write_bytes(b"type: vm\n")
    (root.workloads / ".draft.yaml").write_bytes(b"x")
    os.mkfifo(root.workloads / "pipe.yaml")
    assert cli.main(["backup", str(tmp_path / "x.tar"), "--root", str(root.path)]) == 0
    assert "left out: workloads/bad.yaml" in capsys.readouterr().err
    _, contents = backup_archive.unpacked(io.BytesIO((tmp_path / "x.tar").read_bytes()))
    assert contents.keys() == WHOLE.keys()


def test_a_store_that_is_being_written_is_read_again(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    store = root.traefik / "acme2.json"
    store.write_bytes(STORE[:100])
    monkeypatch.setattr("time.sleep", lambda _: store.write_bytes(STORE))
    contents, left_out = backup_files.collect(root)
    assert contents["traefik/acme2.json"] == STORE
    assert not left_out


def test_a_store_that_stays_broken_makes_no_backup(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_files, "_SECONDS_TO_SETTLE", 0.0)
    (root.traefik / "acme2.json").write_bytes(STORE[:100])
    with pytest.raises(GatewayError, match=r"acme2\.json"):
        backup_files.collect(root)


def test_standard_input_and_output_are_files_too(
    root: Root, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["backup", "-", "--root", str(root.path)]) == 0
    raw = capfdbinary.readouterr().out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))
    assert _restore(tmp_path / "fresh", Path("-")) == 0
    assert (tmp_path / "fresh/workloads/blog.yaml").read_bytes() == WORKLOAD
