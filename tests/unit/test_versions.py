"""Versions of workloads: tags, and what If-Match and If-None-Match make of them."""

import pytest

from appliance.model import versions, workloads
from appliance.model.errors import InvalidInput, Outdated
from appliance.model.versions import ANYTHING, Precondition

KEY = b"k" * 32
DOCUMENT = {"type": "gateway-name-proxy", "name": "blog", "backends": ["http://10.1.2.3"]}
BLOG = workloads.parse("blog", DOCUMENT)


def test_a_tag_is_the_contents_and_nobody_elses() -> None:
    """The same wish has the same tag, another one another, and another key gives others altogether."""
    again = workloads.parse("blog", {**DOCUMENT, "tls_passthrough": False})
    other = workloads.parse("blog", {**DOCUMENT, "backends": ["http://10.1.2.4"]})
    assert versions.tag(BLOG, KEY) == versions.tag(again, KEY)
    assert len({versions.tag(BLOG, KEY), versions.tag(other, KEY), versions.tag(None, KEY)}) == 3
    assert versions.tag(BLOG, KEY) != versions.tag(BLOG, b"x" * 32)


@pytest.mark.parametrize(
    ("if_match", "if_none_match", "present", "holds"),
    [
        (None, None, None, True),
        (None, None, '"a"', True),
        ('"a"', None, '"a"', True),
        ('"a"', None, '"b"', False),
        ('"a"', None, None, False),
        ('"b", "a"', None, '"a"', True),
        (' "b" ,"a" ', None, '"a"', True),
        ('W/"a"', None, '"a"', False),
        ('""', None, '"a"', False),
        ("*", None, '"a"', True),
        ("*", None, None, False),
        (None, "*", None, True),
        (None, "*", '"a"', False),
        (None, '"a"', '"b"', True),
        (None, '"a"', '"a"', False),
        ('"a"', '"b"', '"a"', True),
    ],
)
def test_a_precondition_holds_or_says_so(
    if_match: str | None, if_none_match: str | None, present: str | None, holds: bool
) -> None:
    """RFC 9110 §13.1.1 and §13.1.2."""
    found = versions.precondition(if_match, if_none_match)
    if holds:
        found.check("blog", present)
    else:
        with pytest.raises(Outdated, match="the workload blog"):
            found.check("blog", present)


@pytest.mark.parametrize(
    "header", ["", "a", '"a', 'a"', '"a" "b"', '"a",,"b"', "*, *", '"ä"', '"\n"', ",".join(['"a"'] * 65)]
)
def test_what_is_no_tag_is_told(header: str) -> None:
    """A tag without its quotes is not taken for any version."""
    with pytest.raises(InvalidInput, match="If-Match must be"):
        versions.precondition(header, None)


def test_nothing_presumed_is_nothing_to_look_up() -> None:
    """A call without the headers costs no look at the file."""
    assert ANYTHING.is_empty
    assert not Precondition(match=()).is_empty
