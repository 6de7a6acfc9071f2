"""What the host gives: disk, files, kernel limits, privileges, Traefik, accounts. Literal tables."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from appliance.adapters.host import programs, rooms
from appliance.layout import Root
from appliance.model import accounts, host
from appliance.model.accounts import Account
from appliance.model.authorities import Directory
from appliance.model.findings import Status
from appliance.model.host import Files, Filesystem, Inotify, OpenFile, Privileges

MEGABYTE: Final = 1024 * 1024
DISK: Final = Filesystem("/srv", 50_000 * MEGABYTE, 100_000 * MEGABYTE, 10_000_000, 20_000_000, is_read_only=False)


@pytest.mark.parametrize(
    ("changes", "bad"),
    [
        ({}, {}),
        ({"free_bytes": 100 * MEGABYTE}, {"disk.space": "warn"}),
        ({"free_bytes": MEGABYTE}, {"disk.space": "fail"}),
        ({"free_bytes": 60 * MEGABYTE, "total_bytes": 64 * MEGABYTE}, {}),
        ({"free_inodes": 1000}, {"disk.inodes": "warn"}),
        ({"free_inodes": 10}, {"disk.inodes": "fail"}),
        ({"free_inodes": 0, "total_inodes": 0}, {}),
        ({"is_read_only": True}, {"root.writable": "fail"}),
        ({"trouble": "Permission denied"}, {"root.writable": "fail"}),
        ({"was_tried": False}, {"root.writable": "unknown"}),
    ],
)
def test_room_and_leave_to_write(changes: dict[str, Any], bad: dict[str, str]) -> None:
    found = host.space(replace(DISK, **changes))
    assert {one.id: one.status.value for one in found if one.status is not Status.OK} == bad


@pytest.mark.parametrize(
    ("seen", "status", "todo"),
    [
        (Files("/srv", exists=True), "ok", ""),
        (Files("/srv", exists=False), "ok", ""),
        (Files("/srv", True, (OpenFile("/srv/state", 0o755, 0o700),)), "warn", "chmod 0700 /srv/state"),
        (Files("/srv", True, (OpenFile("/srv/acme.json", 0o644, 0o600, True),)), "fail", "gateway doctor --fix"),
        (Files("/srv", True, foreign=("/srv/state",)), "fail", "chown -R --reference=/srv /srv"),
        (Files("/srv", True, missing=("/srv/run",)), "warn", "gateway doctor --fix"),
        (Files("/srv", True, problem="Permission denied"), "unknown", "as root"),
    ],
)
def test_files_are_closed_to_others(seen: Files, status: str, todo: str) -> None:
    found = host.files(seen)
    assert (found.id, found.status) == ("files", status)
    assert todo in found.todo


PLENTY: Final = Inotify(100_000, 128, 16384)


@pytest.mark.parametrize(
    ("seen", "workloads", "is_running", "status", "words"),
    [
        (PLENTY, 1000, True, "ok", "1000 workloads"),
        (replace(PLENTY, watches=8), 1000, True, "fail", "fs.inotify.max_user_watches is 8"),
        (replace(PLENTY, used_instances=127), 10, True, "ok", ""),
        (replace(PLENTY, used_instances=127), 10, False, "fail", "fs.inotify.max_user_instances is 128"),
        (PLENTY, 10_000, True, "warn", "fs.inotify.max_queued_events is 16384"),
        (replace(PLENTY, watches=None), 10, True, "unknown", "cannot be read"),
    ],
)
def test_the_kernel_can_tell_of_changes(
    seen: Inotify, workloads: int, is_running: bool, status: str, words: str
) -> None:
    found = host.inotify(seen, workloads, is_running=is_running)
    assert (found.id, found.status) == ("inotify", status)
    assert words in found.evidence


@pytest.mark.parametrize(
    ("seen", "ports", "status"),
    [
        (Privileges(may_bind_all=True, start=1024), [53, 80], "ok"),
        (Privileges(may_bind_all=False, start=1024), [53, 80], "fail"),
        (Privileges(may_bind_all=False, start=53), [53, 80], "ok"),
        (Privileges(may_bind_all=False, start=1024), [5353], "ok"),
        (Privileges(may_bind_all=False, start=None), [53], "unknown"),
        (Privileges(may_bind_all=False, start=1024, is_appliances=False), [53], "unknown"),
    ],
)
def test_low_ports_need_a_privilege(seen: Privileges, ports: list[int], status: str) -> None:
    assert host.privileges(seen, ports).status == status


@pytest.mark.parametrize(
    ("version", "problem", "status"),
    [
        ("3.7.15", None, "ok"),
        ("v3.10.0", None, "ok"),
        ("4.0.0", None, "ok"),
        ("3.6.2", None, "warn"),
        ("2.11.0", None, "warn"),
        ("devel", None, "unknown"),
        (None, "there is no program", "fail"),
    ],
)
def test_traefiks_version(version: str | None, problem: str | None, status: str) -> None:
    assert host.traefik(version, problem).status == status


CA: Final = Directory("https://ca.example.net/dir", "ca.example.net")


@pytest.mark.parametrize(
    ("found", "directory", "has_binding", "status"),
    [
        (None, CA, False, "ok"),
        (Account(None, None), CA, False, "ok"),
        (Account("https://ca.example.net/acct/1", "valid"), CA, False, "ok"),
        (Account("https://ca.example.net/acct/1", "deactivated"), CA, False, "fail"),
        (Account("https://other.example.net/acct/1", "valid"), CA, False, "warn"),
        (None, replace(CA, needs_account_binding=True), False, "fail"),
        (None, replace(CA, needs_account_binding=True), True, "ok"),
    ],
)
def test_the_account_as_far_as_the_store_tells(
    found: Account | None, directory: Directory, has_binding: bool, status: str
) -> None:
    assert accounts.finding(found, directory, has_binding=has_binding).status == status


@pytest.mark.parametrize(
    ("text", "account"),
    [
        ('{"r": {"Account": {"Registration": {"uri": "u", "body": {"status": "valid"}}}}}', ("u", "valid")),
        ('{"r": {"Account": {"Registration": null}}}', None),
        ('{"r": {"Account": {"Registration": {"uri": 7, "body": []}}}}', (None, None)),
        ('{"r": []}', None),
        ("[]", None),
        ("{", None),
        ("", None),
    ],
)
def test_a_store_is_read_whatever_is_in_it(
    tmp_path: Path, text: str, account: tuple[str | None, str | None] | None
) -> None:
    (tmp_path / "acme.json").write_text(text, encoding="utf-8")
    assert programs.account(tmp_path / "acme.json", "r") == (Account(*account) if account else None)
    assert programs.account(tmp_path / "missing.json", "r") is None


def test_a_program_that_is_no_traefik_is_told() -> None:
    assert programs.traefik_version("/bin/true")[0] is None
    assert programs.traefik_version("nonesuch-program") == (
        None,
        "there is no program 'nonesuch-program' (`traefik.binary`)",
    )


def test_mending_closes_makes_and_leaves_links_alone(tmp_path: Path) -> None:
    root = Root(tmp_path / "root")
    root.create()
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text("{}", encoding="ascii")
    elsewhere.chmod(0o644)
    (root.traefik / "acme.json").write_text("{}", encoding="ascii")
    (root.traefik / "acme.json").chmod(0o640)
    (root.traefik / "link.json").symlink_to(elsewhere)
    root.extra.rmdir()
    done = rooms.mend(root)
    assert sorted(done) == [f"chmod 0600 {root.traefik / 'acme.json'}", f"mkdir -m 0700 {root.extra}"]
    assert elsewhere.stat().st_mode & 0o777 == 0o644
    assert rooms.files(root) == Files(str(root.path), exists=True)
    assert rooms.mend(root) == []
