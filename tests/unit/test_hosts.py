"""What a host is, and which lies under which."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.model import hosts
from appliance.model.errors import InvalidInput

LONG = "a" * 63


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("shop.example.com", "shop.example.com"),
        ("Shop.EXAMPLE.com", "shop.example.com"),
        ("shop.example.com.", "shop.example.com"),
        ("a.b", "a.b"),
        ("1.example", "1.example"),
        ("x--y.example", "x--y.example"),
        ("müller.example", "xn--mller-kva.example"),
        ("MÜLLER.Example", "xn--mller-kva.example"),
        ("xn--mller-kva.example", "xn--mller-kva.example"),
        ("XN--MLLER-KVA.EXAMPLE", "xn--mller-kva.example"),
        ("mu\u0308ller.example", "xn--mller-kva.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        (f"{LONG}.example", f"{LONG}.example"),
        (".".join([LONG, LONG, LONG, "a" * 61]), ".".join([LONG, LONG, LONG, "a" * 61])),
    ],
)
def test_every_spelling_of_a_host_is_one_value(text: str, expected: str) -> None:
    assert hosts.host(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty or too long"),
        (".", "empty or too long"),
        ("blog", "has no dot"),
        ("10.1.2.3", "ends in a number"),
        ("a.1", "ends in a number"),
        ("[::1]", "a label is 1 to 63"),
        ("a..b", "has the label ''"),
        (".a.b", "has the label ''"),
        ("a.b..", "has the label ''"),
        ("-a.example", "neither starts nor ends with a hyphen"),
        ("a-.example", "neither starts nor ends with a hyphen"),
        ("a_b.example", "letters, digits and hyphens"),
        ("*.example", "letters, digits and hyphens"),
        ("a b.example", "letters, digits and hyphens"),
        ("a.example\n", "letters, digits and hyphens"),
        ("a`.example", "letters, digits and hyphens"),
        ("{{.}}.example", "letters, digits and hyphens"),
        ("a/b.example", "letters, digits and hyphens"),
        ("a.example:80", "letters, digits and hyphens"),
        (f"a{LONG}.example", "1 to 63"),
        (".".join([LONG, LONG, LONG, "a" * 62]), "at most 253"),
        ("a." * 600 + "b", "too long"),
        ("xn--a.example", "no valid A-label"),
        ("xn--.example", "a label is 1 to 63"),
        ("xn--0.example", "no valid A-label"),
        ("😀.example", "no valid internationalised name"),
        ("\ud800.example", "no valid internationalised name"),
        ("a\u200d.example", "no valid internationalised name"),
    ],
)
def test_what_is_no_host_is_refused_with_the_rule(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message.replace("no valid inter", "not a valid inter")):
        hosts.host(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("blog", "blog"), ("Blog", "blog"), ("1", "1"), ("bücher", "xn--bcher-kva"), (LONG, LONG)],
)
def test_a_name_is_one_label(text: str, expected: str) -> None:
    assert hosts.label(text) == expected


@pytest.mark.parametrize("text", ["a.b", "a.", ".", "例え。テスト", "a\uff0eb", "a\uff61b"])
def test_a_name_with_a_dot_of_any_script_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="has a dot"):
        hosts.label(text)


@pytest.mark.parametrize(
    ("name", "domain", "expected"),
    [
        ("gw.example.com", "gw.example.com", True),
        ("a.gw.example.com", "gw.example.com", True),
        ("a.b.gw.example.com", "gw.example.com", True),
        ("notgw.example.com", "gw.example.com", False),
        ("example.com", "gw.example.com", False),
        ("gw.example.com.evil.org", "gw.example.com", False),
        ("com", "gw.example.com", False),
    ],
)
def test_hosts_are_compared_label_by_label(name: str, domain: str, expected: bool) -> None:
    assert hosts.lies_under(name, domain) is expected


@given(st.text(max_size=80))
def test_no_text_fails_in_any_other_way(text: str) -> None:
    for read in (hosts.host, hosts.label):
        try:
            plain = read(text)
        except InvalidInput:
            continue
        assert read(plain) == plain
        assert plain.isascii()
        assert plain == plain.lower()
