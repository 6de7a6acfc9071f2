"""Whatever people, editors and accidents leave in the directories, it is read, refused or set aside, and costs only
itself.
"""

import os
import socket
import stat
from pathlib import Path

import pytest

from appliance import atomic
from appliance.adapters.files import AcceptedFiles, ProxyFiles, StaticConfigurationFile, WorkloadFiles
from appliance.layout import Root
from appliance.model import workloads
from appliance.model.errors import GatewayError, InvalidInput, Unavailable
from appliance.model.plans import Create
from appliance.model.workloads import Workload
from appliance.render import dynamic

GOOD = 'type: gateway-name-proxy\nname: blog\nbackends: ["http://10.1.2.3"]\n'
SEALED = dynamic.text({"http": {}})


def found(directory: Path) -> dict[str, Workload | str]:
    """What `workloads/` holds: by id the workload, or the reason why it is none."""
    items = WorkloadFiles(directory).load()
    return {item.id: str(item.content) if isinstance(item.content, InvalidInput) else item.content for item in items}


def only(directory: Path) -> str:
    items = found(directory)
    assert list(items) == ["odd"]
    return str(items["odd"])


def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "odd.yaml")
    assert only(tmp_path) == "odd.yaml is no plain file: put a YAML file in its place"


def test_a_directory_is_refused_and_leaves_nothing_open(tmp_path: Path) -> None:
    (tmp_path / "odd.yaml").mkdir()
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        assert only(tmp_path) == "odd.yaml is no plain file: put a YAML file in its place"
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as odd:
        odd.bind("odd.yaml")
        assert "odd.yaml cannot be read" in only(tmp_path)


def test_a_device_behind_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "odd.yaml").symlink_to("/dev/zero")
    assert "is no plain file" in only(tmp_path)


def test_a_link_to_a_file_is_followed_and_read_anew_each_time(tmp_path: Path) -> None:
    directory, real = tmp_path / "workloads", tmp_path / "real.yaml"
    directory.mkdir()
    real.write_text(GOOD, encoding="utf-8")
    (directory / "blog.yaml").symlink_to(real)
    files = WorkloadFiles(directory)
    assert [item.content for item in files.load()] == [workloads.parse("blog", {**_document(), "name": "blog"})]
    real.write_text(GOOD.replace("blog", "shop"), encoding="utf-8")
    assert [item.content for item in files.load()] == [workloads.parse("blog", {**_document(), "name": "shop"})]


def _document() -> dict[str, object]:
    return {"type": "gateway-name-proxy", "backends": ["http://10.1.2.3"]}


def test_a_link_to_nowhere_is_no_workload(tmp_path: Path) -> None:
    (tmp_path / "odd.yaml").symlink_to(tmp_path / "nowhere")
    assert found(tmp_path) == {}


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "odd.yaml").symlink_to(tmp_path / "odd.yaml")
    assert "odd.yaml cannot be read: Too many levels of symbolic links" in only(tmp_path)


def test_what_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "odd.yaml").write_text(GOOD, encoding="utf-8")

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("appliance.directories._open_without_waiting", refuse)
    assert only(tmp_path) == "odd.yaml cannot be read: Permission denied"


def test_a_huge_file_is_refused_and_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "odd.yaml", "wb") as file:
        file.truncate(2**40)
    assert only(tmp_path) == "odd.yaml is larger than 65536 bytes: at most so many are read"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the workload is empty"),
        (b"\x89PNG\r\n\x1a\n", "not UTF-8"),
        (b"type: 0x" + b"f" * 6000, "a number of more than 40 characters"),
        (b"a: &a [1]\nb: [*a, *a]", "uses an alias"),
        (b"---\n---\n", "a second document"),
        (GOOD.encode().replace(b"blog", b"a.b"), "has a dot"),
    ],
)
def test_content_that_is_no_workload_is_told(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "odd.yaml").write_bytes(content)
    items = found(tmp_path)
    assert isinstance(items["good"], Workload)
    assert message in str(items["odd"])


@pytest.mark.parametrize(
    "name", [".blog.yaml.swp", ".#blog.yaml", "blog.yaml~", "#blog.yaml#", "4913", "blog.yaml.tmp", "README", ".yaml"]
)
def test_editors_scratch_files_are_passed_over(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("rubbish: [", encoding="utf-8")
    assert found(tmp_path) == {}


@pytest.mark.parametrize("name", ["a b", "-a", "a.b", "ü", "a{{b", "a`b", "a" * 201])
def test_a_file_name_that_is_no_id_is_told(name: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}.yaml").write_text(GOOD, encoding="utf-8")
    (identity, reason), *_ = found(tmp_path).items()
    assert identity == name
    assert "the workload id" in str(reason)


def test_a_file_name_that_is_no_text_can_be_told_too(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.yaml")).write_text(GOOD, encoding="utf-8")
    (identity, reason), *_ = found(tmp_path).items()
    assert (identity + str(reason)).encode("utf-8")


def test_the_short_ending_is_told_and_spoils_no_file_of_the_right_one(tmp_path: Path) -> None:
    for name in ("blog.yml", "blog.yaml"):
        (tmp_path / name).write_text(GOOD, encoding="utf-8")
    items = found(tmp_path)
    assert isinstance(items["blog"], Workload)
    assert items["blog.yml"] == "rename blog.yml to blog.yaml: workload files end in .yaml"


def test_a_missing_directory_is_no_empty_one(tmp_path: Path) -> None:
    files = WorkloadFiles(tmp_path / "missing")
    with pytest.raises(Unavailable, match="is gone: bring it back"):
        files.load()
    with pytest.raises(Unavailable, match="is gone: bring it back"):
        files.read(["blog"])


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(116, "Stale file handle")])
def test_a_directory_that_cannot_be_read_is_no_empty_one(
    error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network filesystem's server that is away takes no route along."""

    def refuse(*_: object) -> None:
        raise error

    files = WorkloadFiles(tmp_path)
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(Unavailable, match=str(error.strerror)):
        files.load()
    monkeypatch.setattr("appliance.directories.entry", refuse)
    with pytest.raises(Unavailable, match="the routes are kept"):
        files.read(["blog"])


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "blog.yaml").write_text(GOOD, encoding="utf-8")
    files = WorkloadFiles(tmp_path)
    before = files.load()
    monkeypatch.setattr("appliance.adapters.files.workloads._desired", lambda _: pytest.fail("read again"))
    assert files.load() == before


def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    root = Root(tmp_path / "root")
    root.create()
    WorkloadFiles(root.workloads).put(workloads.parse("a", {**_document(), "name": "a"}))
    AcceptedFiles(root.accepted).put(workloads.parse("a", {**_document(), "name": "a"}))
    ProxyFiles(root.proxy, root.staging, root.quarantine).write((Create("a.yaml", SEALED),))
    StaticConfigurationFile(root.static_configuration, root.restart_mark).replace("x")
    written = [path for path in root.path.rglob("*") if path.is_file()]
    assert len(written) == 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o600}
    open_to_others = {path.name for path in root.path.rglob("*") if path.is_dir() and path.stat().st_mode & 0o077}
    assert open_to_others == {"run"}
    assert list(root.staging.iterdir()) == []


def test_a_root_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GatewayError, match=r"cannot make the directory .* give --root a directory"):
        Root(tmp_path / "file" / "root").create()


def test_what_was_being_written_when_somebody_died_is_swept_at_the_start(tmp_path: Path) -> None:
    root = Root(tmp_path)
    root.create()
    (root.staging / ".a.yaml.1.2.tmp").touch()
    root.create()
    assert list(root.staging.iterdir()) == []


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    atomic.write(path, "old")
    with pytest.raises(UnicodeEncodeError):
        atomic.write(path, "\ud800")
    assert path.read_text(encoding="utf-8") == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.yaml"]


def test_a_disk_that_refuses_is_told_and_leaves_the_workload_as_it_was(tmp_path: Path) -> None:
    files = WorkloadFiles(tmp_path / "missing")
    with pytest.raises(Unavailable, match=r"cannot write .*blog.yaml: No such file or directory; the workload is as"):
        files.put(workloads.parse("blog", {**_document(), "name": "blog"}))
    (tmp_path / "blog.yaml").mkdir()
    with pytest.raises(Unavailable, match=r"cannot remove .*blog.yaml: .*; the workload is as it was"):
        WorkloadFiles(tmp_path).remove("blog")


def test_links_and_directories_in_the_proxy_directory_are_set_aside(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("proxy", "staging", "quarantine")]
    for place in places:
        place.mkdir()
    (tmp_path / "real.yaml").write_text(SEALED, encoding="utf-8")
    (places[0] / "link.yaml").symlink_to(tmp_path / "real.yaml")
    (places[0] / "directory.yaml").mkdir()
    os.mkfifo(places[0] / "pipe.yaml")
    assert ProxyFiles(*places).current() == {}
    assert sorted(path.name.split(".")[0] for path in places[2].iterdir()) == ["directory", "link", "pipe"]


def test_a_static_configuration_of_rubbish_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "traefik.yaml").write_bytes(b"\xff\x00")
    assert StaticConfigurationFile(tmp_path / "traefik.yaml", tmp_path / "mark").replace("x")
    assert (tmp_path / "traefik.yaml").read_text(encoding="utf-8") == "x"


def test_accepted_versions_outlive_the_process_and_what_is_damaged_is_left_out(tmp_path: Path) -> None:
    good = workloads.parse("good", {**_document(), "name": "a"})
    files = AcceptedFiles(tmp_path)
    files.put(good)
    files.put(workloads.parse("bad", {**_document(), "name": "b"}))
    (tmp_path / "bad.yaml").write_text("{", encoding="utf-8")
    assert AcceptedFiles(tmp_path).load() == {"good": good}
