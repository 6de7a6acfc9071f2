"""A sealed text that was changed, cut or added to is not taken for our own."""

import yaml
from hypothesis import given
from hypothesis import strategies as st

from appliance.render import dynamic

CONTENT = {"http": {"routers": {"blog-route": {"rule": "Host(`blog.gw.example.com`)", "service": "blog"}}}}
SEALED = dynamic.text(CONTENT)


def test_a_sealed_text_is_the_document_and_known_again() -> None:
    assert dynamic.is_sealed(SEALED)
    assert yaml.safe_load(SEALED) == CONTENT


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 127))
def test_any_single_changed_byte_is_noticed(place: int, change: int) -> None:
    changed = SEALED[:place] + chr(ord(SEALED[place]) ^ change) + SEALED[place + 1 :]
    assert not dynamic.is_sealed(changed)


@given(st.integers(0, len(SEALED) - 1))
def test_any_cut_is_noticed(place: int) -> None:
    assert not dynamic.is_sealed(SEALED[:place])
    assert not dynamic.is_sealed(SEALED[place + 1 :])


@given(st.text(min_size=1, max_size=30))
def test_anything_added_is_noticed(text: str) -> None:
    assert not dynamic.is_sealed(SEALED + text)
    assert not dynamic.is_sealed(text + SEALED)


@given(st.text(max_size=100))
def test_no_foreign_text_is_sealed(text: str) -> None:
    assert not dynamic.is_sealed(text)
