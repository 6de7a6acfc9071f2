"""Foreign JSON: what is read, and what is refused with words."""

from typing import Any

import pytest

from appliance.model import json_documents
from appliance.model.errors import InvalidInput


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"{}", {}),
        (b' {"a": [1, 2.5, true, null, "x"]} ', {"a": [1, 2.5, True, None, "x"]}),
        (rb'{"a": "\ud83d\ude00\t"}', {"a": "\U0001f600\t"}),
        (b"3", 3),
        (b"[" * 16 + b"]" * 16, [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]),
    ],
)
def test_json_is_read(raw: bytes, found: Any) -> None:
    """As RFC 8259 says."""
    assert json_documents.parse(raw) == found


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b'{"a": 1, "a": 2}', "the key 'a' a second time"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": ' + b"9" * 6000 + b"}", "number too long"),
        (b"[" * 17 + b"]" * 17, "deeper than 16"),
        (b"[" * 30_000, "deeper than 16|not JSON"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "deeper than 16"),
    ],
)
def test_anything_else_is_refused_with_words(raw: bytes, words: str) -> None:
    """No other exception, however deep or long."""
    with pytest.raises(InvalidInput, match=words):
        json_documents.parse(raw)
