"""Memory is handed back where nothing can be lost by it, at the times it is meant to be."""

import subprocess
import sys
import textwrap

import pytest

from appliance.adapters.resident import Thrift, unchanged


def mapping(head: str, anonymous: int) -> str:
    return f"{head}\nSize:   8 kB\nRss:   8 kB\nAnonymous:   {anonymous} kB\nVmFlags: rd ex mr mw me\n"


@pytest.mark.parametrize(
    ("head", "anonymous", "expected"),
    [
        ("7f00-7f02 r-xp 00001000 08:01 1234   /usr/lib/libcrypto.so.3", 0, [(0x7F00, 0x7F02)]),
        ("7f00-7f02 r--p 00000000 08:01 1234   /usr/lib/a name with blanks.so", 0, [(0x7F00, 0x7F02)]),
        ("7f00-7f02 r--p 00000000 08:01 1234   /usr/lib/relocated.so", 4, []),
        ("7f00-7f02 r-xp 00000000 08:01 1234   /usr/lib/patched.so", 4, []),
        ("7f00-7f02 rw-p 00000000 08:01 1234   /usr/lib/data.so", 0, []),
        ("7f00-7f02 rw-s 00000000 08:01 1234   /a/file/mapped/to/write", 0, []),
        ("7f00-7f02 r--s 00000000 08:01 1234   /shared", 0, []),
        ("7f00-7f02 rw-p 00000000 00:00 0", 0, []),
        ("7f00-7f02 r-xp 00000000 00:00 0   [vdso]", 0, []),
    ],
)
def test_only_what_is_like_its_file_and_cannot_be_written_to_is_handed_back(
    head: str, anonymous: int, expected: list[tuple[int, int]]
) -> None:
    other = mapping("1000-2000 rw-p 00000000 00:00 0   [heap]", 8)
    lines = (other + mapping(head, anonymous) + other).splitlines(keepends=True)
    assert list(unchanged(lines)) == expected


def test_a_process_that_hands_back_goes_on_with_less() -> None:
    """In a process of its own, with libraries that have much in files and in tables that were written at the start."""
    program = """
        import ssl, json, hashlib, ctypes
        from appliance.adapters import resident
        def held():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1])
        before = held()
        resident.hand_back()
        after = held()
        ssl.create_default_context()
        assert hashlib.sha256(b"").hexdigest().startswith("e3b0c442")
        print(json.dumps([before, after]))
        """
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.strip("[]\n").split(","))
    assert after < before


def test_it_is_done_once_the_start_is_over_and_then_every_minute() -> None:
    now = 0.0
    done: list[float] = []
    thrift = Thrift(lambda: done.append(now), lambda: now)
    for second in range(0, 140, 5):
        now = float(second)
        thrift.look()
    assert done == [10.0, 70.0, 130.0]
