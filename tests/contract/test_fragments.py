"""The Protocols about fragments, `FragmentStore` and `Trial`: on fakes, on files, on a real Traefik."""

import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from appliance.adapters import fragment_files
from appliance.adapters.fragment_files import FragmentFiles
from appliance.adapters.processes import traefik_binary
from appliance.adapters.throwaway import TraefikTrial
from appliance.adapters.throwaway import trial as trial_module
from appliance.control.ports import FragmentStore, Trial
from appliance.model import fragments
from appliance.model.errors import GatewayError, Unavailable
from appliance.model.fragments import Complaint, Fragment
from tests.fakes import until
from tests.fakes_fragments import FakeFragmentStore, FakeTrial

STAMP = "http: {middlewares: {stamp: {compress: {}}}}\n"
DANGLING = "http: {routers: {r: {rule: 'Host(`a.example.org`)', service: noop@internal, middlewares: [nowhere]}}}\n"


def parsed(name: str, text: str) -> Fragment:
    return fragments.parse(name, text.encode())


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "extra"
    path.mkdir()
    return path


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    path = tmp_path / "traefik"
    path.write_text("one release")
    return path


@pytest.fixture
def files(directory: Path, tmp_path: Path, binary: Path) -> FragmentFiles:
    return FragmentFiles(directory, tmp_path / "fragments.json", binary)


@pytest.fixture(params=["fake", "files"])
def store(request: pytest.FixtureRequest, files: FragmentFiles) -> FragmentStore:
    return FakeFragmentStore() if request.param == "fake" else files


def put(store: FragmentStore, directory: Path, name: str, text: str) -> None:
    if isinstance(store, FakeFragmentStore):
        store.texts[name] = text
    else:
        (directory / f"{name}.yaml").write_text(text)


def test_what_lies_there_is_a_fragment_or_the_reason_why_not(store: FragmentStore, directory: Path) -> None:
    put(store, directory, "good", STAMP)
    put(store, directory, "bad", "http: [\n")
    found = store.load()
    assert sorted(found) == ["bad", "good"]
    assert found["good"] == parsed("good", STAMP)
    assert isinstance(found["bad"], GatewayError)


def test_what_was_kept_last_comes_back(store: FragmentStore) -> None:
    assert store.accepted() == {}
    store.keep({"a": parsed("a", STAMP), "b": parsed("b", STAMP)})
    store.keep({"b": parsed("b", STAMP)})
    assert store.accepted() == {"b": parsed("b", STAMP)}
    store.keep({})
    assert store.accepted() == {}


def test_what_another_traefik_took_counts_for_nothing(files: FragmentFiles, binary: Path, tmp_path: Path) -> None:
    files.keep({"a": parsed("a", STAMP)})
    copy = tmp_path / "zz-extra-a.yaml"
    copy.touch()
    fragment_files.withdraw_untried(tmp_path, tmp_path / "fragments.json", binary)
    assert copy.exists()
    binary.write_text("another release")
    assert files.accepted() == {}
    fragment_files.withdraw_untried(tmp_path, tmp_path / "fragments.json", binary)
    assert not copy.exists()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"binary": 1}', b'{"binary": "x", "fragments": []}', b"\xff"])
def test_a_damaged_memory_is_an_empty_one(files: FragmentFiles, tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "fragments.json").write_bytes(damage)
    assert files.accepted() == {}


def test_the_memory_is_private(files: FragmentFiles, tmp_path: Path) -> None:
    files.keep({"a": parsed("a", STAMP)})
    assert stat.S_IMODE((tmp_path / "fragments.json").stat().st_mode) == 0o600
    assert json.loads((tmp_path / "fragments.json").read_text())["fragments"] == {"a": STAMP}


def test_oddities_in_the_directory_are_refused_or_passed_over(files: FragmentFiles, directory: Path) -> None:
    for name in (".hidden.yaml", "README", "own.yaml~", "own.yaml.swp"):
        (directory / name).write_text(STAMP)
    (directory / "own.yml").write_text(STAMP)
    (directory / "own.toml").write_text("[http]\n")
    (directory / "directory.yaml").mkdir()
    (directory / "dangling.yaml").symlink_to(directory / "nowhere")
    (directory / "linked.yaml").symlink_to(directory / "README")
    os.mkfifo(directory / "pipe.yaml")
    (directory / os.fsdecode(b"\xff.yaml")).write_text(STAMP)
    found = files.load()
    assert sorted(found) == ["directory", "linked", "own.toml", "own.yml", "pipe", "\ufffd"]
    assert isinstance(found["linked"], Fragment)
    assert "rename own.yml to own.yaml" in str(found["own.yml"])
    assert "no plain file" in str(found["pipe"])
    assert "no plain file" in str(found["directory"])
    assert "rename the file" in str(found["\ufffd"])


def test_there_is_a_limit_to_their_number(files: FragmentFiles, directory: Path) -> None:
    for number in range(fragments.MOST_FRAGMENTS + 1):
        (directory / f"f{number:03}.yaml").write_text(STAMP)
    refused = [name for name, item in files.load().items() if isinstance(item, GatewayError)]
    assert refused == [f"f{fragments.MOST_FRAGMENTS:03}"]


def test_without_the_directory_nothing_is_said_about_fragments(files: FragmentFiles, directory: Path) -> None:
    directory.rmdir()
    with pytest.raises(Unavailable, match="bring it back"):
        files.load()


@pytest.fixture(params=["fake", "traefik"])
def trial(request: pytest.FixtureRequest, tmp_path: Path) -> Trial:
    if request.param == "fake":
        words = 'the router r: middleware "nowhere@file" does not exist'
        return FakeTrial(lambda texts: [Complaint(words, frozenset({n})) for n, it in texts.items() if "nowhere" in it])
    return TraefikTrial(traefik_binary("traefik"), tmp_path)


def test_a_trial_names_the_fault_and_whose_it_is(trial: Trial) -> None:
    good, bad = parsed("good", STAMP), parsed("bad", DANGLING)
    assert not trial.complaints([good])
    assert not trial.complaints([])
    expected = [Complaint('the router r: middleware "nowhere@file" does not exist', frozenset({"bad"}))]
    assert list(trial.complaints([good, bad])) == expected


FAULTS: Sequence[tuple[str, str]] = [
    ("http: {routers: {r: {rule: 'Host(`a.example.org`)', service: s, bogus: 1}}}\n", "field not found, node: bogus"),
    ("http: {}\n", "http cannot be a standalone element"),
    ("http: {routers: {r: {rule: 'Host(`a.example.org`)', service: s}}}\n", 'the service "s@file" does not exist'),
    ("http: {middlewares: {m: {}}}\n", "the middleware m: invalid middleware"),
    ("http: {middlewares: {m: {plugin: {p: {a: b}}}}}\n", "unknown plugin type: p"),
    ("http: {middlewares: {m: {compress: {}, retry: {attempts: 1}}}}\n", "multi-types middleware not supported"),
    ("tcp: {middlewares: {m: {ipAllowList: {sourceRange: [x]}}}}\n", "invalid CIDR address: x"),
    ("tls: {options: {o: {cipherSuites: [NOPE]}}}\n", "the TLS options o: "),
    ("tls: {certificates: [{certFile: /nowhere.pem, keyFile: /nowhere.key}]}\n", "failed to find any PEM data"),
    ("http: {services: {s: {loadBalancer: {serversTransport: t, servers: [{url: 'http://10.0.0.1'}]}}}}\n", "t@file"),
    ("tcp: {services: {s: {loadBalancer: {servers: [{address: '10.0.0.1'}]}}}}\n", "missing port in address"),
]


@pytest.mark.parametrize(("text", "words"), FAULTS, ids=[words for _, words in FAULTS])
def test_traefik_s_own_words_come_back_also_about_what_nobody_uses_yet(tmp_path: Path, text: str, words: str) -> None:
    found = TraefikTrial(traefik_binary("traefik"), tmp_path).complaints([parsed("own", text)])
    assert words in "; ".join(complaint.words for complaint in found)
    assert all(str(tmp_path) not in complaint.words for complaint in found)


def test_a_name_defined_twice_is_a_fault_of_the_later_file(tmp_path: Path) -> None:
    found = TraefikTrial(traefik_binary("traefik"), tmp_path).complaints([parsed("a", STAMP), parsed("b", STAMP)])
    assert found == [Complaint("stamp is defined twice, here and elsewhere: choose another name", frozenset({"b"}))]


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!{sys.executable}\n{textwrap.dedent(text)}")
    path.chmod(0o700)
    return path


def test_a_traefik_that_ends_at_once_is_no_verdict(tmp_path: Path) -> None:
    broken = script(tmp_path / "broken", "raise SystemExit('no such thing')")
    with pytest.raises(Unavailable, match="no such thing"):
        TraefikTrial(broken).complaints([])


def test_a_traefik_that_never_answers_is_ended_at_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_module, "_SECONDS", 0.3)
    mute = script(
        tmp_path / "mute",
        f"""
        import os, signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open({str(tmp_path / "draft")!r}, "w").write(str(os.getpid()))
        os.rename({str(tmp_path / "draft")!r}, {str(tmp_path / "pid")!r})
        signal.pause()
    """,
    )
    with pytest.raises(Unavailable, match=r"not done within 0\.3 s"):
        TraefikTrial(mute).complaints([])
    pid = (tmp_path / "pid").read_text() if (tmp_path / "pid").exists() else "0"
    assert not (int(pid) and psutil.pid_exists(int(pid)))


def test_a_trial_ends_with_whoever_made_it(tmp_path: Path) -> None:
    """Killed in the middle of a trial, the control plane leaves no Traefik behind."""
    mute = script(
        tmp_path / "mute",
        f"""
        import os, signal
        open({str(tmp_path / "draft")!r}, "w").write(str(os.getpid()))
        os.rename({str(tmp_path / "draft")!r}, {str(tmp_path / "pid")!r})
        signal.pause()
    """,
    )
    code = (
        "from pathlib import Path; from appliance.adapters.throwaway import TraefikTrial; "
        f"TraefikTrial(Path({str(mute)!r})).complaints([])"
    )
    maker = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)})
    until((tmp_path / "pid").exists)
    throw_away = psutil.Process(int((tmp_path / "pid").read_text()))
    maker.send_signal(signal.SIGKILL)
    maker.wait()
    psutil.wait_procs([throw_away], timeout=10)
    assert not throw_away.is_running() or throw_away.status() == psutil.STATUS_ZOMBIE


def test_a_trial_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = set(psutil.Process().children(recursive=True))
    TraefikTrial(traefik_binary("traefik")).complaints([parsed("own", STAMP)])
    assert list(tmp_path.iterdir()) == []
    assert set(psutil.Process().children(recursive=True)) == before
