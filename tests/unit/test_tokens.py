"""Tokens: values, and the file they are kept in."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.adapters.token_file import TokenFile
from appliance.model import tokens
from appliance.model.errors import Conflict, InvalidInput, NotFound, Unavailable
from appliance.model.tokens import Role, Token

DIGEST = "0" * 64


@pytest.fixture
def file(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "tokens")


def row(**changed: Any) -> dict[str, Any]:
    return {"name": "ci", "role": "write", "sha256": DIGEST, "created": "2026-11-22T22:00:00Z"} | changed


def test_what_is_written_is_read_again() -> None:
    """Name, role, digest and date."""
    found = (Token("ci", Role.WRITE, DIGEST, "today"), Token("grafana", Role.READ, "1" * 64))
    assert tokens.parse(tokens.document(found)) == found
    assert tokens.parse(None) == ()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "must be a mapping"),
        ({}, "one key, `tokens`"),
        ({"tokens": {}}, "one key, `tokens`"),
        ({"tokens": [], "more": 1}, "one key, `tokens`"),
        ({"tokens": ["ci"]}, "token 1 is text"),
        ({"tokens": [row(rol="read")]}, "did you mean `role`"),
        ({"tokens": [row(role="admin")]}, "read or write"),
        ({"tokens": [row(role=["read"])]}, "read or write"),
        ({"tokens": [row(sha256="gwt_abc")]}, "64 hexadecimal digits"),
        ({"tokens": [row(sha256=None)]}, "64 hexadecimal digits"),
        ({"tokens": [row(name="../a")]}, "name of a token"),
        ({"tokens": [row(name=None)]}, "name of a token"),
        ({"tokens": [row(), row(sha256="1" * 64)]}, "the same name"),
        ({"tokens": [row(), row(name="other")]}, "the same digest"),
        ({"tokens": [row(name=f"t{n}", sha256=f"{n:064x}") for n in range(257)]}, "at most 256"),
    ],
)
def test_a_wrong_file_is_refused_and_its_digests_not_told(content: Any, words: str) -> None:
    """The message names the entry and the mend."""
    with pytest.raises(InvalidInput, match=words) as caught:
        tokens.parse(content)
    assert DIGEST not in str(caught.value)


def test_a_token_is_found_by_its_text_alone(file: TokenFile) -> None:
    """Not by its digest, its name, or a part of it."""
    text = file.create("ci", Role.WRITE)
    found = file.find(text)
    assert found is not None
    assert (found.name, found.role) == ("ci", Role.WRITE)
    for other in ("", text[:-1], text + "a", text.upper(), found.digest, "ci", "\udcff"):
        assert file.find(other) is None


def test_a_token_has_256_bits_and_is_kept_as_a_digest(file: TokenFile, tmp_path: Path) -> None:
    """The file says nothing of the token, and nobody else can read it."""
    text = file.create("ci", Role.READ)
    assert text.startswith("gwt_")
    assert len(text) == 4 + 43
    content = (tmp_path / "tokens").read_text(encoding="utf-8")
    assert text[4:] not in content
    assert yaml.safe_load(content)["tokens"][0]["sha256"] == tokens.digest(text)
    assert (tmp_path / "tokens").stat().st_mode & 0o777 == 0o600


def test_a_change_counts_at_once(file: TokenFile, tmp_path: Path) -> None:
    """Another process makes and revokes tokens; this one knows without a restart."""
    other = TokenFile(tmp_path / "tokens")
    assert file.tokens() == ()
    first = other.create("first", Role.READ)
    assert file.find(first) is not None
    second = other.create("second", Role.WRITE)
    assert (file.find(first), file.find(second)) != (None, None)
    other.revoke("first")
    assert file.find(first) is None
    assert file.find(second) is not None
    (tmp_path / "tokens").unlink()
    assert file.find(second) is None


def test_names_are_each_one_tokens(file: TokenFile) -> None:
    """A second one of a name is a conflict, one that is not there cannot be revoked."""
    with pytest.raises(NotFound, match="no token ci"):
        file.revoke("ci")
    file.create("ci", Role.READ)
    with pytest.raises(Conflict, match="a token ci already"):
        file.create("ci", Role.WRITE)
    with pytest.raises(InvalidInput, match="name of a token"):
        file.create("a b", Role.READ)
    file.revoke("ci")
    with pytest.raises(NotFound, match="`gateway token list`"):
        file.revoke("ci")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610])
def test_a_file_that_others_may_use_is_refused(file: TokenFile, tmp_path: Path, mode: int) -> None:
    """Nobody is let in by it, until its mode is mended."""
    text = file.create("ci", Role.WRITE)
    (tmp_path / "tokens").chmod(mode)
    with pytest.raises(Unavailable, match="chmod 600"):
        file.find(text)
    assert "chmod 600" in str(file.trouble())
    (tmp_path / "tokens").chmod(0o600)
    assert file.find(text) is not None
    assert file.trouble() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_somebody_elses_file_is_refused(file: TokenFile, tmp_path: Path) -> None:
    """They could write it again at any time."""
    text = file.create("ci", Role.WRITE)
    os.chown(tmp_path / "tokens", 12345, 12345)
    with pytest.raises(Unavailable, match="uid 12345"):
        file.find(text)


@pytest.mark.parametrize("content", [b"\xff", b"tokens: [", b"tokens: 3", b"- a", b"#" * 70_000])
def test_a_broken_file_lets_nobody_in_and_is_not_written_over(file: TokenFile, tmp_path: Path, content: bytes) -> None:
    """Half an edit loses no tokens."""
    file.create("ci", Role.WRITE)
    (tmp_path / "tokens").write_bytes(content)
    with pytest.raises(Unavailable, match="cannot be used"):
        file.tokens()
    with pytest.raises(Unavailable, match="cannot be used"):
        file.create("other", Role.READ)
    assert (tmp_path / "tokens").read_bytes() == content


def test_without_a_token_the_status_says_what_to_do(file: TokenFile) -> None:
    """A listener that lets nobody in is worth a notice."""
    assert "gateway token new" in str(file.trouble())
