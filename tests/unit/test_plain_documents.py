"""The plainest YAML is read without a parser, and never otherwise than a parser reads it."""

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from appliance.model import plain_documents

DOCUMENTED = """type: gateway-name-proxy
name: blog
tls_passthrough: false
backends: ["http://10.1.2.3:9000", "http://[fd00::1]:9000"]
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DOCUMENTED, yaml.safe_load(DOCUMENTED)),
        ("a: b\nc:\n- d\n- http://10.1.2.3:9000\n", {"a": "b", "c": ["d", "http://10.1.2.3:9000"]}),
        ('a: "no"', {"a": "no"}),
        ("a: true\n", {"a": True}),
        ('a: ["x","y"]', {"a": ["x", "y"]}),
    ],
)
def test_documents_in_the_documented_form_are_read(text: str, expected: object) -> None:
    assert plain_documents.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a:",
        "a:\nb: c",
        "a:\n- b\n- no",
        "a: 1",
        "a: 12:30",
        "a: 2001-02-03",
        "a: no",
        "a: True",
        "a: null",
        "a: []",
        "a: [b]",
        "a: b # c",
        "a: b:",
        "a: 'b'",
        "a: &b c",
        "a: !!str b",
        "a: b\na: c",
        "no: b",
        "- a",
        "a: b\n- c",
        "a: b\n\nc: d",
        "a: b\r\n",
        "a: b\n---\n",
        "a:\n  - b",
        "{a: b}",
        '{"a": "b"}',
    ],
)
def test_whatever_else_is_left_to_a_parser(text: str) -> None:
    assert plain_documents.parse(text) is None


def test_what_the_appliance_writes_is_plain() -> None:
    content = {"type": "gateway-name-proxy", "name": "blog", "tls_passthrough": False, "backends": ["http://10.1.2.3"]}
    assert plain_documents.parse(yaml.safe_dump(content, sort_keys=False)) == content


PIECES = st.sampled_from(
    (
        *"abeny019.:-_/~=<&*!#%@`'\"[]{},? \t\n\ré",
        *("true", "false", "null", "no", "on", "0x1f", "1e5", ".5", "12:30", "2001-01-01", "http://10.0.0.1:80"),
        *(": ", "- ", "\n- ", "a: ", "\nb: ", "\nb:", '["', '", "', '"]', "...", "---"),
        *("\ufeff", "\x00", "\x85", "\u2028"),
    )
)


@settings(max_examples=3000)
@given(st.lists(PIECES, max_size=14).map("".join))
@example("a: b\nc:\n- d\n- e")
@example('a: ["b", "c"]')
@example("a: yes\n")
@example("y: n\n")
def test_what_is_read_is_what_a_parser_reads(text: str) -> None:
    found = plain_documents.parse(text)
    assert found is None or found == yaml.safe_load(text)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,6}", fullmatch=True),
        st.from_regex(r"[A-Za-z0-9._/:-]{1,9}", fullmatch=True),
        min_size=1,
        max_size=4,
    )
)
def test_plain_words_are_what_a_parser_takes_them_for(words: dict[str, str]) -> None:
    text = "".join(f"{key}: {word}\n" for key, word in words.items())
    found = plain_documents.parse(text)
    assert found is None or found == yaml.safe_load(text)
