"""Foreign YAML is read safely, or refused with a reason."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.model import documents
from appliance.model.errors import InvalidInput

BOMB = b"""a: &a [x, x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]
c: [*b, *b, *b, *b, *b, *b, *b, *b, *b]
"""
TAG = "uses a tag"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", None),
        (b"# only a comment\n", None),
        (b"a: 1\nb: [x, 2.5, true, null]\n", {"a": 1, "b": ["x", 2.5, True, None]}),
        (b'{"a": {"b": []}}', {"a": {"b": []}}),
        (b"--- a\n", "a"),
        (b"a: '1'", {"a": "1"}),
        (b"a: !!str 1", {"a": "1"}),
        (b"a: 2001-02-03", {"a": dt.date(2001, 2, 3)}),
        ("name: bücher".encode(), {"name": "bücher"}),
        (b"\xef\xbb\xbfa: 1", {"a": 1}),
        (b"[" * 16 + b"]" * 16, [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]),
    ],
)
def test_tame_documents_are_plain_values(raw: bytes, expected: Any) -> None:
    assert documents.parse(raw) == expected


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (BOMB, "line 2 uses an alias"),
        (b"a: &a [*a]", "line 1 uses an alias"),
        (b"a: 1\nb: 2\na: 3\n", "line 3 gives the key 'a' a second time"),
        (b"x: [{a: 1, a: 2}]", "gives the key 'a' a second time"),
        (b'{"a": 1, "a": 2}', "gives the key 'a' a second time"),
        (b"[" * 17 + b"]" * 17, "nests deeper than 16 levels"),
        (b"[" * 30000, "nests deeper than 16 levels"),
        (b"- " * 30000, "nests deeper than 16 levels"),
        (b"a: 1\n---\nb: 2\n", "starts a second document"),
        (b"\xff\xfe\x00", r"not UTF-8 text \(byte 0\)"),
        (b"\x7fELF\x02\x01\x01\x00", "not valid YAML"),
        (b"a: b: c", "line 1, column 5"),
        (b"a: [1, 2", "not valid YAML"),
        (b"a:\n\t- b", "not valid YAML"),
        (b"? [a]\n: b", "unhashable key"),
        (b"%YAML 3.0\n--- a", "not valid YAML"),
        (b"a" * (64 * 1024 + 1), "has 65537 bytes: at most 65536"),
        (b"2001-99-99", "cannot be read"),
        (b"a: 0x" + b"f" * 6000, "a number of more than 40 characters"),
        (b"? 0x" + b"f" * 6000 + b"\n: 1", "a number of more than 40 characters|not valid YAML"),
        (b"!!python/object/apply:os.system [id]", TAG),
        (b"!!python/name:os.system", TAG),
        (b"!own thing", TAG),
        (b"!!timestamp soon", TAG),
        (b'!!int ""', TAG),
        (b'!!float ""', TAG),
        (b"!!bool perhaps", TAG),
        (b"!!binary aGk=", TAG),
        (b"!!set {a}", TAG),
        (b"!!str {a: b}", "not valid YAML"),
    ],
)
def test_what_is_not_tame_is_refused_with_the_place(raw: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        documents.parse(raw)


def test_the_bound_on_size_is_the_callers() -> None:
    assert documents.parse(b"abc", largest_bytes=3) == "abc"
    with pytest.raises(InvalidInput, match="has 4 bytes: at most 3"):
        documents.parse(b"abcd", largest_bytes=3)


YAML_PIECES = st.lists(
    st.sampled_from(
        [
            *"abc01:-[]{}#&*!|>'\"%@`,? \n\t=<~",
            *("- ", ": ", "\n  ", "? ", "---\n", "...\n", "!!int ", "!!float ", "!!map ", "!!timestamp ", "!!binary "),
            *("!!omap ", "!!pairs ", "!!null ", "&x ", "*x", "<<: ", "0x", "2001-01-01", ".inf", "1:2:3", "\\", "\x00"),
            *("é", "\ufeff", "\ud7ff", "!<tag:yaml.org,2002:int> "),
        ]
    ),
    max_size=24,
).map("".join)


@given(st.one_of(st.binary(max_size=60), YAML_PIECES.map(str.encode)))
@example(b"1:9999999999:" * 3 + b"1.5")
def test_no_bytes_fail_in_any_other_way(raw: bytes) -> None:
    try:
        document = documents.parse(raw)
    except InvalidInput:
        return
    repr(document)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "the thing is empty: it must be a mapping"),
        ([1], "the thing is a list"),
        ("a", "the thing is text"),
        (3, "the thing is a number"),
        (True, "the thing is true/false"),
        ({1: 2}, "the thing has the key 1"),
        (dt.date(2001, 2, 3), "the thing is date"),
    ],
)
def test_a_mapping_has_words_for_keys(document: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        documents.mapping(document, "the thing")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("backend", "unknown key 'backend': did you mean `backends`?"),
        ("typ", "unknown key 'typ': did you mean `type`?"),
        ("zzz", "unknown key 'zzz': known are type, backends"),
    ],
)
def test_an_unknown_key_is_told_the_nearest(key: str, expected: str) -> None:
    assert documents.unknown_key(key, ["type", "backends"]) == expected
