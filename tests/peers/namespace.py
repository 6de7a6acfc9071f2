"""`python -m tests.peers.namespace COMMAND ARGUMENT...`: run a command where real peers can live.

The command gets a network, mount and process namespace of its own: ports 53, 80 and 443 are free, the addresses of
`addresses.py` exist on loopback and nothing else does, names resolve through the Unbound at 10.99.0.3 only. Runs do not
see one another, so several may go at once. The exit code and signals pass through, and when the command ends or this
wrapper is killed, whatever it started ends too (it is the kernel that ends a process namespace, not we).

Three stages, each started by the one before:

    outside   execs `unshare`, which execs ...
    guard     ... this one: passes signals on and waits. It is outside the process namespace.
    init      the first process inside: sets up addresses and files, starts the command, reaps.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.peers import addresses

MARK: Final = "GATEWAY_TEST_NAMESPACE"
_MODULE: Final = "tests.peers.namespace"
_PASSED_ON: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_FILES: Final = {
    "/etc/resolv.conf": f"nameserver {addresses.RESOLVER}\noptions timeout:2 attempts:2\n",
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n",
}


def inside() -> bool:
    """Whether this process runs in a namespace made here."""
    return MARK in os.environ


def enter(command: list[str]) -> None:
    """Become the guard of a new namespace. Does not return."""
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    argv = ["unshare", *user, "--net", "--mount", "--pid", sys.executable, "-m", _MODULE, "--guard", *command]
    os.execvp(argv[0], argv)


def guard(command: list[str]) -> int:
    """Start init (our first child is the first process of the new process namespace), pass signals on, wait.

    Init is in a session of its own: a Ctrl-C at the terminal reaches it once, through us.
    """
    with tempfile.TemporaryDirectory(prefix="namespace") as files:
        argv = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", _MODULE, "--init", files, *command]
        with subprocess.Popen(argv, start_new_session=True) as init:
            for number in _PASSED_ON:
                signal.signal(number, lambda received, _frame: init.send_signal(received))
            code = init.wait()
    return code if code >= 0 else 128 - code


def init(files: Path, command: list[str]) -> int:
    """Set the namespace up, run the command, reap every orphan until it ends."""
    set_up(files)
    environment = os.environ | {MARK: "1"}
    # Python ignores the first two, and a shell the others for what it starts in the background; Ctrl-C is tested here.
    usual = [signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGQUIT]
    try:
        child = os.posix_spawnp(command[0], command, environment, setsigdef=usual)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201 - a command line's own message
        return 127
    for number in _PASSED_ON:
        signal.signal(number, lambda received, _frame: os.kill(child, received))
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def set_up(files: Path) -> None:
    """Addresses on loopback, /proc of this process namespace, our own resolver configuration."""
    _run("mount", "-t", "proc", "proc", "/proc")
    _run("ip", "link", "set", "lo", "up")
    for address in addresses.IPV4:
        _run("ip", "address", "add", f"{address}/32", "dev", "lo")
    for address in addresses.IPV6:
        _run("ip", "address", "add", f"{address}/128", "dev", "lo", "nodad")
    for number, (path, text) in enumerate(_FILES.items()):
        _replace(Path(path), text, files / str(number))


def _replace(path: Path, text: str, source: Path) -> None:
    """Let `path` read as `text` here. `source` stays where it is: nothing can be mounted over a deleted file."""
    source.write_text(text, encoding="ascii")
    source.chmod(0o644)
    target = path.resolve()  # /etc/resolv.conf may be a link, and the mount would follow it anyway
    if not target.exists():
        _make_room_for(target)
    _run("mount", "--bind", str(source), str(target))


def _make_room_for(target: Path) -> None:
    """A dangling link's target, made on a file system that only this namespace sees."""
    existing = next(parent for parent in target.parents if parent.is_dir())
    if not os.access(existing, os.W_OK) or existing == Path("/run"):
        _run("mount", "-t", "tmpfs", "tmpfs", str(existing))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch()


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True)


def main() -> int:
    """The command line."""
    match sys.argv[1:]:
        case ["--guard", *command] if command:
            return guard(command)
        case ["--init", files, *command] if command:
            return init(Path(files), command)
        case [first, *rest] if not first.startswith("-"):
            enter([first, *rest])
    print(f"usage: python -m {_MODULE} COMMAND [ARGUMENT...]", file=sys.stderr)  # noqa: T201
    return 2


if __name__ == "__main__":
    sys.exit(main())
