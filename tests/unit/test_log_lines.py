"""Whatever a program writes becomes one line of one field set, and no secret in it gets through."""

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.model import log_lines
from appliance.model.log_lines import Lines
from appliance.model.redaction import redacted

NOW = dt.datetime(2026, 11, 22, 22, 51, 9, 250_000, dt.UTC)
AT = "2026-11-22T22:51:09.250Z"

LINES: list[tuple[str, str, dict[str, Any]]] = [
    (
        "supervisord",
        "2026-11-22 23:51:09,123 INFO spawned: 'traefik' with pid 12",
        {"time": AT, "level": "info", "program": "supervisord", "message": "spawned: 'traefik' with pid 12"},
    ),
    (
        "supervisord",
        "2026-11-22 23:51:09,123 CRIT could not write pidfile",
        {"time": AT, "level": "critical", "program": "supervisord", "message": "could not write pidfile"},
    ),
    (
        "supervisord",
        "2026-11-22 23:51:09,123 CRIT Server 'unix_http_server' running without any HTTP authentication checking",
        {
            "time": AT,
            "level": "debug",
            "program": "supervisord",
            "message": "Server 'unix_http_server' running without any HTTP authentication checking",
        },
    ),
    (
        "supervisord",
        '{"time": "2026-11-22T22:51:09.100Z", "level": "info", "program": "gateway", "logger": "a.b", "message": "m"}',
        {"time": "2026-11-22T22:51:09.100Z", "level": "info", "program": "gateway", "logger": "a.b", "message": "m"},
    ),
    (
        "gateway",
        '{"time": "2026-11-22T22:51:09.1Z", "level": "warning", "logger": "a", "message": "m", "workload": "1-2-x"}',
        {
            "time": "2026-11-22T22:51:09.100Z",
            "level": "warning",
            "program": "gateway",
            "logger": "a",
            "message": "m",
            "workload": "1-2-x",
        },
    ),
    (
        "gateway",
        '{"time": "2026-11-22T22:51:09.1Z", "level": "error", "program": "traefik", "logger": "a", "message": "m"}',
        {
            "time": "2026-11-22T22:51:09.100Z",
            "level": "error",
            "program": "gateway",
            "logger": "a",
            "message": "m",
            "about": "traefik",
        },
    ),
    (
        "traefik",
        '{"level":"warn","time":"2026-11-22T23:51:09+01:00","lib":"lego","message":"Cleaning up failed."}',
        {"time": AT, "level": "warning", "program": "traefik", "logger": "lego", "message": "Cleaning up failed."},
    ),
    (
        "traefik",
        '{"level":"info","time":"2026-11-22T22:40:00Z","message":"\\nlong ago\\n"}',
        {"time": "2026-11-22T22:40:00.000Z", "level": "info", "program": "traefik", "message": "long ago"},
    ),
    (
        "traefik",
        '{"level":"info","DownstreamStatus":200,"RequestPath":"/","msg":"","time":"2026-11-22T22:51:09Z"}',
        {
            "time": AT,
            "level": "info",
            "program": "traefik",
            "logger": "access",
            "message": "request",
            "DownstreamStatus": 200,
            "RequestPath": "/",
        },
    ),
    (
        "traefik",
        "2026/11/22 22:51:09 command traefik error: field not found, node: bogus",
        {
            "time": AT,
            "level": "error",
            "program": "traefik",
            "message": "2026/11/22 22:51:09 command traefik error: field not found, node: bogus",
        },
    ),
    (
        "traefik",
        "dns01: the gateway does not answer",
        {"time": AT, "level": "error", "program": "traefik", "message": "dns01: the gateway does not answer"},
    ),
    ("gateway", "{not JSON", {"time": AT, "level": "info", "program": "gateway", "message": "{not JSON"}),
    ("gateway", "[1]", {"time": AT, "level": "info", "program": "gateway", "message": "[1]"}),
    ("gateway", "{}", {"time": AT, "level": "info", "program": "gateway", "message": ""}),
    (
        "gateway",
        '{"message": ["a"], "x": NaN, "level": 7}',
        {"time": AT, "level": "info", "program": "gateway", "message": '["a"]', "x": "NaN"},
    ),
    (
        "gateway",
        '{"x": 1e999, "message": "m"}',
        {"time": AT, "level": "info", "program": "gateway", "message": '{"x": 1e999, "message": "m"}'},
    ),
]


@pytest.mark.parametrize(("program", "raw", "expected"), LINES)
def test_every_program_s_lines_become_one_field_set(program: str, raw: str, expected: dict[str, Any]) -> None:
    """Fields and their order: time, level, program, logger where there is one, message, rest."""
    found = log_lines.fields(program, raw, NOW)
    assert found == expected
    head = [key for key in ("time", "level", "program", "logger", "message") if key in expected]
    assert list(found)[: len(head)] == head


KEY_AUTHORIZATION = "XByVPBJDEqlBtUfEP0vNJGI09Z5gXNc5TL5dX0NAAc4.2owKWjU3-8LPNXXDkDNbGLat7FEslR_Jmj1zOY4DT6E"
SECRETS: list[tuple[str, str]] = [
    ("GET / Authorization: Bearer abcdefghi", "abcdefghi"),
    ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    ("authorization=0123456789abcdef0123", "0123456789abcdef0123"),
    ('{"request_Authorization":"Basic dXNlcjpwYXNz"}', "dXNlcjpwYXNz"),
    ('{"message":"{\\"authorization\\": \\"Bearer abc.def\\"}"}', "abc.def"),
    ("proxy said Proxy-Authorization: Digest username=someone", "someone"),
    ("sent bearer abcdefghij", "abcdefghij"),
    (f'did not match this challenge "{KEY_AUTHORIZATION}"', KEY_AUTHORIZATION.split(".")[1]),
    (f"key authorization {KEY_AUTHORIZATION}.", KEY_AUTHORIZATION.split(".")[1]),
    ("hmac: c2VjcmV0c2VjcmV0", "c2VjcmV0c2VjcmV0"),
    ("{'hmacEncoded': 'c2VjcmV0'}", "c2VjcmV0"),
    ("Eab(kid='a', hmac='c2VjcmV0')", "c2VjcmV0"),
    ("cannot connect to redis://:hunter2@10.1.2.3:6379/0", "hunter2"),
    ("cannot connect to tcp://hun@ter2@10.1.2.3:6379", "ter2"),
    ('{"password":"hunter2"}', "hunter2"),
    ("webhook_secret=hunter2&x=1", "hunter2"),
    ("api-key: hunter2", "hunter2"),
    ("-----BEGIN EC PRIVATE KEY-----\\nMHcCAQEE\\n-----END EC PRIVATE KEY-----", "MHcCAQEE"),
    ("admin:$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC", "c4WoMPo3SXsafkva"),
    ("admin:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/", "IgXLP6ewTrSuBkTrqE8wj"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_a_secret_is_redacted_wherever_it_stands(text: str, secret: str) -> None:
    """In a plain line, in a JSON line's fields, and in a traceback."""
    assert secret in text
    assert secret not in redacted(text)
    for raw in (text, json.dumps({"message": text}), json.dumps({"deep": [{"er": text}]})):
        found = log_lines.fields("traefik", raw, NOW)
        assert secret not in json.dumps(found)
        assert secret not in log_lines.as_text(found)
    lines = Lines("gateway")
    traceback = f"Traceback (most recent call last):\n  File {text}\nValueError: {text}\n"
    assert secret not in json.dumps(list(lines.feed(traceback.encode(), NOW)))


@pytest.mark.parametrize(
    "text",
    [
        "resolver: invalid authorization: acme: error: 400 :: urn:ietf:params:acme:error:dns :: words",
        "https://10.99.0.4:14001/authZ/oOKZyrEj0fxOTtDHTvJmfBlQsrijoKlw5R0qi956qRU",
        "presented _acme-challenge.gw.example.com LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ",
        "admin API refused: token file is missing; bearer tokens are off",
        "a very-long-label-of-more-than-twenty.and-another-one-of-exactly-forty-three-characte.example.com",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """Challenge values are public; an authority's reasons must stay readable."""
    assert redacted(text) == text


def test_a_line_of_a_private_key_is_redacted() -> None:
    """Each line of a PEM block, which are lines of the log when somebody prints one."""
    assert redacted("M" * 64) == "[redacted]"


@pytest.mark.parametrize("part", ["x", "a-", "://", "secret", "hmac:", "bearer ", "x.", "\\\\", "authorization ", "@"])
def test_looking_for_secrets_takes_no_longer_than_reading(part: str) -> None:
    """A line made to be looked at for long holds nothing up: with the square of its length this would take minutes."""
    assert redacted("authorization://" + part * (1_000_000 // len(part)))


def test_a_json_line_stays_a_json_line_when_it_is_redacted() -> None:
    for text, _ in SECRETS:
        line = json.dumps({"message": text, "after": 1})
        assert json.loads(redacted(line))["after"] == 1


def read(written: bytes, *, size: int = 7) -> list[dict[str, Any]]:
    """What comes of it when it arrives in pieces of this size."""
    lines, found = Lines("gateway"), list[dict[str, Any]]()
    for at in range(0, len(written), size):
        found += lines.feed(written[at : at + size], NOW)
    return [*found, *lines.flush(NOW)]


TRACEBACK = b"""before
Traceback (most recent call last):
  File "a.py", line 1, in <module>
    f()
    ^^^
ValueError: no

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 3, in <module>
KeyError: 'x'
after
"""


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_a_traceback_is_one_line(size: int) -> None:
    """However its bytes arrive; what stands before and after it are lines of their own."""
    found = read(TRACEBACK, size=size)
    assert [line["message"] for line in found] == [
        "before",
        "ValueError: no",
        "During handling of the above exception, another exception occurred:",
        "KeyError: 'x'",
        "after",
    ]
    assert found[1]["exception"].startswith("Traceback (most recent call last):\n  File")
    assert found[1]["exception"].endswith("ValueError: no")
    assert found[1]["level"] == "error"


def test_a_traceback_without_end_is_passed_on_when_nothing_follows() -> None:
    (found,) = read(b"Traceback (most recent call last):\n  File a\n")
    assert found["exception"] == "Traceback (most recent call last):\n  File a"
    assert [one["message"] for one in read(b'Traceback (most recent call last):\n  x\n{"message": "m"}\n')][1] == "m"


def test_a_line_without_an_end_is_held_until_it_is_flushed() -> None:
    lines = Lines("gateway")
    assert list(lines.feed(b"half", NOW)) == []
    assert lines.is_waiting
    assert [line["message"] for line in lines.flush(NOW)] == ["half"]
    assert not lines.is_waiting


@pytest.mark.parametrize("size", [1000, 65_536, 1_000_000])
def test_a_line_that_is_too_long_is_cut_and_the_next_one_is_whole(size: int) -> None:
    found = read(b"x" * 300_000 + b"\nnext\n", size=size)
    assert [line.get("cut", False) for line in found] == [True, False]
    assert len(found[0]["message"]) == log_lines.LONGEST_LINE_BYTES
    assert found[1]["message"] == "next"


@given(st.binary(max_size=400), st.integers(1, 50))
def test_rubbish_becomes_lines_and_stops_nothing(rubbish: bytes, size: int) -> None:
    """After any bytes whatever, the next line is understood; all that comes out can be written and read again."""
    found = read(rubbish + b"\n" + b'{"level": "info", "message": "still here"}\n', size=size)
    assert found[-1]["message"] == "still here"
    for line in found:
        assert log_lines.decoded(log_lines.encoded(line)) == line
        assert list(line)[:3] == ["time", "level", "program"]
        assert log_lines.as_text(line).count("\n") <= str(line.get("exception", "")).count("\n") + 1


@pytest.mark.parametrize(
    "raw",
    [
        "[" * 100_000,
        '{"a":' * 30_000,
        '{"a": ' + "9" * 10_000 + "}",
        '{"a": "\\ud800"}',
        '{"a": -Infinity}',
        '{"a":1}}',
    ],
)
def test_hostile_json_is_a_line_like_any_other(raw: str) -> None:
    assert log_lines.decoded(log_lines.encoded(log_lines.fields("traefik", raw, NOW))) is not None


def test_the_text_form_is_for_people() -> None:
    line = {
        "time": AT,
        "level": "warning",
        "program": "gateway",
        "logger": "appliance.x",
        "message": "workload quarantined",
        "workload": "1-2-x",
        "reason": "two words",
        "count": 3,
        "exception": "Traceback\n  File",
    }
    assert log_lines.as_text(line) == (
        "2026-11-22 22:51:09.250 warning  gateway     workload quarantined "
        'workload=1-2-x reason="two words" count=3\n    Traceback\n      File'
    )


@pytest.mark.parametrize("text", ["\x1b[2J\x1b[31mred", "\r\nforged line", "\u202egnissecorp", "\x9b1m"])
def test_the_text_form_moves_no_cursor(text: str) -> None:
    """What tenants and strangers can bring into a line does not act on the terminal of who reads it."""
    for line in ({"message": text}, {"message": "m", text: "x"}, {"message": "m", "x": text}):
        assert log_lines.as_text(line).isprintable()
