"""CAA records are read as RFC 8659 and RFC 8657 say, their own examples included."""

from typing import Final

import pytest

from appliance.model import caa
from appliance.model.caa import Found, Record
from appliance.model.findings import Status

CA1: Final = "ca1.example.net"
CA2: Final = "ca2.example.org"


def record(text: str) -> Record:
    flags, tag, value = text.split(" ", 2)
    return Record(int(flags), tag, value)


def judged(
    host: str, *records: str, ca: str = CA1, method: caa.Method = "dns-01", account: str | None = None
) -> Status:
    found = Found("example.com" if records else None, tuple(map(record, records)), "")
    return caa.finding(host, found, {ca} if ca else set(), method, account).status


CASES: Final = [
    # no records, or none that restrict
    ("certs.example.com", (), CA1, "ok"),
    ("certs.example.com", ("0 iodef mailto:security@example.com",), CA1, "ok"),
    ("*.example.com", ("0 iodef mailto:security@example.com",), CA1, "ok"),
    # RFC 8659 §4.2: only ca1 may issue; parameters do not matter to who it is
    ("certs.example.com", ("0 issue ca1.example.net",), CA1, "ok"),
    ("certs.example.com", ("0 issue ca1.example.net",), CA2, "fail"),
    ("certs.example.com", ("0 issue ca1.example.net; account=230123",), CA1, "ok"),
    # §4.2: nobody may, or one of two
    ("nocerts.example.com", ("0 issue ;",), CA1, "fail"),
    ("certs.example.com", ("0 issue ;", "0 issue ca1.example.net"), CA1, "ok"),
    ("certs.example.com", ("0 issue ca1.example.net", "0 issue ca2.example.org"), CA2, "ok"),
    # §4.2: a malformed value allows nobody
    ("malformed.example.com", ("0 issue %%%%%",), CA1, "fail"),
    ("malformed.example.com", ("0 issue ca1.example.net; what",), CA1, "fail"),
    # §4.3: issuewild takes precedence for wildcards, and means nothing to others
    ("wild.example.com", ("0 issue ca1.example.net", "0 issuewild ca2.example.org"), CA1, "ok"),
    ("*.wild.example.com", ("0 issue ca1.example.net", "0 issuewild ca2.example.org"), CA1, "fail"),
    ("*.wild.example.com", ("0 issue ca1.example.net", "0 issuewild ca2.example.org"), CA2, "ok"),
    ("wild2.example.com", ("0 issue ca1.example.net",), CA1, "ok"),
    ("*.wild2.example.com", ("0 issue ca1.example.net",), CA1, "ok"),
    ("wild3.example.com", ("0 issuewild ca2.example.org",), CA1, "ok"),
    ("*.wild3.example.com", ("0 issuewild ca2.example.org",), CA1, "fail"),
    ("wild3.example.com", ("0 issuewild ca2.example.org", "0 issue ;"), CA2, "fail"),
    ("*.wild3.example.com", ("0 issuewild ;",), CA1, "fail"),
    # §4.5: a critical property nobody knows forbids everybody; a known or uncritical one does not
    ("new.example.com", ("0 issue ca1.example.net", "128 tbs Unknown"), CA1, "fail"),
    ("new.example.com", ("0 issue ca1.example.net", "0 tbs Unknown"), CA1, "ok"),
    ("new.example.com", ("128 issue ca1.example.net",), CA1, "ok"),
    # §4.1: tags without regard to case, names too
    ("certs.example.com", ("0 ISSUE CA1.Example.Net.",), CA1, "ok"),
    # the authority does not say who it is
    ("certs.example.com", ("0 issue ca1.example.net",), "", "warn"),
    ("certs.example.com", ("0 issue ;",), "", "fail"),
    ("certs.example.com", (), "", "ok"),
]


@pytest.mark.parametrize(("host", "records", "ca", "status"), CASES)
def test_who_may_issue(host: str, records: tuple[str, ...], ca: str, status: str) -> None:
    assert judged(host, *records, ca=ca) == status


@pytest.mark.parametrize(
    ("value", "method", "status"),
    [
        ("ca1.example.net; validationmethods=dns-01", "dns-01", "ok"),
        ("ca1.example.net; validationmethods=dns-01", "http-01", "fail"),
        ("ca1.example.net; validationmethods=http-01,dns-01", "dns-01", "ok"),
        ("ca1.example.net; validationmethods=http-01", "dns-01", "fail"),
    ],
)
def test_the_way_of_validation_may_be_restricted(value: str, method: caa.Method, status: str) -> None:
    """RFC 8657 §4."""
    assert judged("example.com", f"0 issue {value}", method=method) == status


@pytest.mark.parametrize(
    ("account", "status"),
    [(None, "warn"), ("https://ca/acct/1", "ok"), ("https://ca/acct/2", "fail")],
)
def test_the_account_may_be_restricted(account: str | None, status: str) -> None:
    """RFC 8657 §3; an account that is not known here is neither right nor wrong."""
    assert judged("example.com", f"0 issue {CA1}; accounturi=https://ca/acct/1", account=account) == status


def test_foreign_text_cannot_steer_a_terminal_or_fill_it() -> None:
    shown = str(Record(0, "issue", "\x1b[2J" + "a" * 1000))
    assert shown.isprintable()
    assert len(shown) < 150


def test_a_failed_lookup_is_unknown() -> None:
    found = caa.finding("example.com", Found(None, (), "SERVFAIL"), {CA1}, "dns-01")
    assert (found.id, found.status) == ("caa:example.com", Status.UNKNOWN)


@pytest.mark.parametrize(("host", "tag"), [("example.com", "issue"), ("*.example.com", "issuewild")])
def test_what_to_create_is_told_as_a_record(host: str, tag: str) -> None:
    found = caa.finding(host, Found("example.com", (record("0 issue ;"),), ""), {CA1}, "dns-01")
    assert found.todo == f'create example.com.\t3600\tIN\tCAA\t0 {tag} "{CA1}"'
