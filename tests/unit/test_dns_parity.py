"""The short way of reading a message and the parser's say the same; and neither ever fails, whatever comes."""

import random
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.adapters.dns import codec, questions
from tests.fuzz import dns_promises
from tests.unit.dns_messages import VALUE, header, question, reply, table

RECORD = bytes.fromhex("00fa 00ff 00000000 000a") + bytes(10)
"""A TSIG record behind its owner."""
CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"
LABELS = st.lists(st.binary(min_size=1, max_size=20), max_size=6)
OPTIONS = st.lists(st.tuples(st.sampled_from((3, 8, 10, 65001)), st.binary(max_size=42)), max_size=3)


def wire_name(labels: list[bytes]) -> bytes:
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def opt(size: int, version: int, flags: int, options: list[tuple[int, bytes]]) -> bytes:
    rdata = b"".join(code.to_bytes(2, "big") + len(content).to_bytes(2, "big") + content for code, content in options)
    fixed = size.to_bytes(2, "big") + bytes((0, version)) + flags.to_bytes(2, "big")
    return b"\0\0\x29" + fixed + len(rdata).to_bytes(2, "big") + rdata


@st.composite
def plain_messages(draw: st.DrawFn) -> bytes:
    """Queries of the plain form, or nearly."""
    asked = wire_name(draw(LABELS)) + draw(st.binary(min_size=4, max_size=4))
    edns = b""
    if draw(st.booleans()):
        version = draw(st.sampled_from((0, 0, 0, 1)))
        edns = opt(draw(st.integers(0, 65535)), version, draw(st.sampled_from((0, 0x8000))), draw(OPTIONS))
    tail = draw(st.sampled_from((b"", b"", b"", b"\0")))
    return header(draw(st.sampled_from((0, 0x100))), 1, 0, 0, bool(edns)) + asked + edns + tail


@st.composite
def damaged_messages(draw: st.DrawFn) -> bytes:
    """Real questions with octets changed, cut or added."""
    message = bytearray(draw(st.one_of(plain_messages(), st.just(question(payload=1232)))))
    for _ in range(draw(st.integers(1, 4))):
        if message:
            message[draw(st.integers(0, len(message) - 1))] = draw(st.integers(0, 255))
    return bytes(message[: draw(st.integers(0, len(message)))]) + draw(st.binary(max_size=4))


@given(plain_messages())
def test_what_is_read_the_short_way_is_read_the_same_by_the_parser(message: bytes) -> None:
    short = questions.read(message)
    if short is not None:
        assert codec.decode(message) == short


@settings(max_examples=500)
@given(st.one_of(damaged_messages(), st.binary(max_size=600)))
def test_no_message_breaks_a_promise(message: bytes) -> None:
    dns_promises.check(message)
    asked = table(VALUE)
    if b"\0\x0a" not in message:  # a cookie holds the time
        assert reply(asked, message) == reply(asked, message), "composed, and from the table"


@given(st.binary(min_size=1, max_size=63), st.binary(min_size=1, max_size=63), st.booleans())
def test_a_denial_says_the_same_with_and_without_one_before(label: bytes, neighbour: bytes, has_edns: bool) -> None:
    asked, fresh = table(VALUE), table(VALUE)
    for other in (neighbour, bytes(len(label))):
        reply(asked, _below_the_apex(other, has_edns=has_edns))
    message = _below_the_apex(label, has_edns=has_edns)
    assert reply(asked, message) == reply(fresh, message)


def _below_the_apex(label: bytes, *, has_edns: bool) -> bytes:
    plain = question(payload=1232 * has_edns)
    return plain[:12] + bytes((len(label),)) + label + plain[12:]


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_what_fuzzing_found_stays_mended(path: Path) -> None:
    dns_promises.check(path.read_bytes())


def test_random_octets_never_raise() -> None:
    """More of them than hypothesis has patience for."""
    source = random.Random(4)
    asked = table(VALUE)
    for _ in range(20_000):
        message = bytearray(question(payload=1232))
        for _ in range(source.randrange(6)):
            message[source.randrange(len(message))] = source.randrange(256)
        message[2] &= 0x7F
        assert reply(asked, bytes(message[: source.randrange(12, len(message) + 1)])) is not None


def test_no_message_costs_more_than_its_octets() -> None:
    """A labyrinth of pointers: who follows it goes through hundreds of labels again and again, for a second."""
    labyrinth = header(0, 0, 0, 0, 1) + b"\1" * (2039 - 12) + b"\2\xc2\x81\xc2\x80"
    chain = b"".join(b"\1a" for _ in range(120)) + b"\0"
    crowded = header(0, 0, 0, 0, 16) + (chain + RECORD) * 16
    for message in (labyrinth, crowded, header(0, 0, 0, 0, 16) + b"\xc0\x0c" * 1000):
        steps = 0

        def count(*_: object) -> Any:
            nonlocal steps
            steps += 1
            return count

        sys.settrace(count)
        try:
            codec.decode(message)
        finally:
            sys.settrace(None)
        assert 0 < steps < 10 * len(message)
