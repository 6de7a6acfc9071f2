"""Every problem type of an authority has plain words, and something to do."""

import pytest

from appliance.model import acme_problems
from appliance.model.acme_log import Cause, OrderFailed, Problem

RFC_8555 = (
    "accountDoesNotExist",
    "alreadyRevoked",
    "badCSR",
    "badNonce",
    "badPublicKey",
    "badRevocationReason",
    "badSignatureAlgorithm",
    "caa",
    "compound",
    "connection",
    "dns",
    "externalAccountRequired",
    "incorrectResponse",
    "invalidContact",
    "malformed",
    "orderNotReady",
    "rateLimited",
    "rejectedIdentifier",
    "serverInternal",
    "tls",
    "unauthorized",
    "unsupportedContact",
    "unsupportedIdentifier",
    "userActionRequired",
)
"""Section 6.7, all of them."""


def failed(cause: Cause, *problems: Problem) -> OrderFailed:
    return OrderFailed(0.0, "resolver", ("shop.customer.test",), cause, problems, "raw words", is_renewal=False)


@pytest.mark.parametrize("kind", [*RFC_8555, "alreadyReplaced", "invalidProfile"])
def test_every_type_has_words(kind: str) -> None:
    """Whole sentences in plain words, without the type's own name and without a full stop (others go on after them)."""
    found = acme_problems.KINDS[kind]
    assert found.kind == kind
    assert found == acme_problems.explain(kind)
    for words in (found.meaning, found.todo):
        assert len(words.split()) >= 2
        assert words[0].islower()
        assert not words.endswith(".")
    assert kind not in found.meaning.split() or kind in ("dns", "tls", "caa")


def test_the_words_differ() -> None:
    meanings = [found.meaning for found in acme_problems.KINDS.values()]
    assert len(set(meanings)) == len(meanings)


@pytest.mark.parametrize(
    ("kind", "status", "words", "todo"),
    [
        ("", 503, "answered with HTTP status 503", "nothing"),
        ("", 404, "answered with HTTP status 404", "acme.ca_server"),
        ("about:blank", 500, "HTTP status 500", "nothing"),
        ("somethingNew", 400, "'somethingNew'", "words"),
        ("", None, "refused", "words"),
    ],
)
def test_what_is_no_known_type_is_told_all_the_same(kind: str, status: int | None, words: str, todo: str) -> None:
    found = acme_problems.explain(kind, status)
    assert words in found.meaning
    assert todo in found.todo


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause is not Cause.PROBLEM])
def test_every_cause_has_words(cause: Cause) -> None:
    what, todo = acme_problems.describe(failed(cause))
    assert len(what.split()) > 2
    assert len(todo.split()) > 2


def test_the_name_is_told_where_the_authority_told_it() -> None:
    what, _ = acme_problems.describe(failed(Cause.PROBLEM, Problem("dns", 400, "words", "shop.customer.test", None)))
    assert what.startswith("shop.customer.test: the certificate authority could not look the name up")
