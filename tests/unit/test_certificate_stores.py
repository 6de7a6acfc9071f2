"""Certificate stores: what is whole is read, what is damaged is recognised, and no more is lost than was damaged."""

import base64
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from appliance.model import certificate_stores, certificates
from appliance.model.certificates import StoredCertificate, is_covered
from tests import stored

SHOP = stored.entry("shop.customer.com", serial=0x0ABC)
WILD = stored.entry("gw.example.com", "*.gw.example.com", serial=7)
RSA = stored.entry("rsa.customer.com", key=stored.rsa_key(1))


def read(document: Any, resolver: str = "resolver") -> certificate_stores.Store:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    return certificate_stores.read(raw, resolver)


def test_a_whole_store_is_read_as_values() -> None:
    store = read(stored.text(SHOP, WILD, RSA))
    assert store.faults == ()
    shop, wild, rsa = store.certificates
    assert (shop.main, shop.sans, shop.names) == ("shop.customer.com", (), ("shop.customer.com",))
    assert (wild.main, wild.sans) == ("gw.example.com", ("*.gw.example.com",))
    assert wild.names == wild.asked == ("gw.example.com", "*.gw.example.com")
    assert (shop.serial, shop.issuer, shop.resolver) == ("abc", "Test Authority", "resolver")
    assert shop.not_before == stored.ISSUED.timestamp()
    assert shop.not_after - shop.not_before == stored.DAYS * 86400
    assert shop.chain.count("BEGIN CERTIFICATE") == 2
    assert rsa.main == "rsa.customer.com"
    assert "PRIVATE" not in repr(store)
    assert shop.key not in repr(shop)


@pytest.mark.parametrize("account", [None, stored.account()])
@pytest.mark.parametrize("certificates", [None, []])
def test_a_store_without_certificates_is_whole(account: Any, certificates: Any) -> None:
    store = read({"resolver": {"Account": account, "Certificates": certificates}})
    assert (store.faults, store.entries) == ((), ())


def test_what_is_rendered_is_what_was_read() -> None:
    store = read(stored.text(SHOP, WILD))
    assert json.loads(store.text()) == stored.document(SHOP, WILD)
    assert json.loads(store.without(frozenset({("shop.customer.com",)})).text()) == stored.document(WILD)
    empty = store.without(frozenset({("shop.customer.com",), ("gw.example.com", "*.gw.example.com")}))
    assert json.loads(empty.text()) == stored.document()


@pytest.mark.parametrize(
    ("host", "names", "expected"),
    [
        ("gw.example.com", ("gw.example.com", "*.gw.example.com"), True),
        ("blog.gw.example.com", ("*.gw.example.com",), True),
        ("gw.example.com", ("*.gw.example.com",), False),
        ("a.blog.gw.example.com", ("*.gw.example.com",), False),
        ("notgw.example.com", ("gw.example.com",), False),
    ],
)
def test_a_wildcard_covers_one_label(host: str, names: tuple[str, ...], expected: bool) -> None:
    assert is_covered(host, names) is expected


WHOLE_FAULTS = {
    "empty": (b"", "empty"),
    "blank": (b" \n", "empty"),
    "no JSON": (b"not JSON", "no valid JSON"),
    "zeros": (b"\x00" * 4096, "no valid JSON"),
    "no text": (b"\xff\xfe", "no valid JSON"),
    "deep": (b"[" * 100_000, "no valid JSON"),
    "a list": (b"[]", "wrong form"),
    "null": (b"null", "wrong form"),
    "no section": (b"{}", "not the store of"),
    "another's": (stored.text(SHOP, resolver="other"), "not the store of"),
    "a section that is none": (b'{"resolver": 5}', "wrong form"),
    "no list": (b'{"resolver": {"Certificates": {}}}', "wrong form"),
    "another's too": (json.dumps(stored.document(SHOP) | {"other": {}}).encode(), "sections besides"),
}


@pytest.mark.parametrize(("raw", "words"), WHOLE_FAULTS.values(), ids=WHOLE_FAULTS.keys())
def test_a_damaged_store_is_recognised(raw: bytes, words: str) -> None:
    store = read(raw)
    assert words in store.fault
    assert store.faults


def changed(**fields: Any) -> dict[str, Any]:
    return SHOP | fields


def flipped(text: str, at: int) -> str:
    raw = bytearray(base64.b64decode(text))
    raw[at] ^= 0x01
    return stored.encoded(bytes(raw))


def other_curve_key() -> str:
    return stored.encoded(stored.pem(ec.generate_private_key(ec.SECP384R1())))


def edwards_key() -> str:
    key = ed25519.Ed25519PrivateKey.generate()
    return stored.encoded(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


ENTRY_FAULTS: dict[str, tuple[Any, str]] = {
    "no mapping": (5, "wrong form"),
    "no domain": ({"certificate": SHOP["certificate"], "key": SHOP["key"]}, "wrong form"),
    "no names": (changed(domain={}), "which names"),
    "names of another kind": (changed(domain={"main": 5}), "which names"),
    "no certificate": (changed(certificate=""), "missing"),
    "certificate is null": (changed(certificate=None), "missing"),
    "no key": (changed(key=""), "missing"),
    "no base64": (changed(certificate="%%%"), "base64"),
    "no PEM": (changed(certificate=stored.encoded(b"hello")), "cannot be read"),
    "no certificate in the PEM": (changed(certificate=SHOP["key"]), "cannot be read"),
    "half a certificate": (changed(certificate=SHOP["certificate"][:400]), "cannot be read"),
    "no key in the PEM": (changed(key=SHOP["certificate"]), "cannot be read"),
    "another's key": (changed(key=WILD["key"]), "not the certificate's"),
    "a key of another curve": (changed(key=other_curve_key()), "not the certificate's"),
    "a key of another kind": (changed(key=edwards_key()), "not the certificate's"),
    "another's certificate": (changed(certificate=WILD["certificate"], key=WILD["key"]), "not for shop.customer.com"),
}


@pytest.mark.parametrize(("entry", "words"), ENTRY_FAULTS.values(), ids=ENTRY_FAULTS.keys())
def test_a_damaged_certificate_is_recognised_and_the_others_are_whole(entry: Any, words: str) -> None:
    store = read(stored.document(WILD, entry))
    assert store.fault == ""
    assert words in store.entries[1].fault
    assert [certificate.main for certificate in store.certificates] == ["gw.example.com"]
    assert len(store.faults) == 1
    assert not any(secret in store.faults[0] for secret in (SHOP["key"], SHOP["certificate"]))


@pytest.mark.parametrize("field", ["key", "certificate"])
def test_every_damaged_byte_is_recognised_or_harmless(field: str) -> None:
    """Some bytes mean nothing: in the words of PEM's lines, or in what an EC key says of itself besides the number.

    Who is named as another's issue may be whole: a chain need not hold the issuer under the very same name.
    """
    for at in range(0, len(base64.b64decode(SHOP[field])), 3):
        store = read(stored.document(changed(**{field: flipped(SHOP[field], at)})))
        if not store.faults and store.certificates[0].issuer == "Test Authority":
            assert value_of(store.certificates[0]) == value_of(read(stored.document(SHOP)).certificates[0]), at


def value_of(certificate: StoredCertificate) -> tuple[object, object]:
    """The certificate and the number of its key."""
    leaf = x509.load_pem_x509_certificate(certificate.chain.encode())
    key = load_pem_private_key(certificate.key.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return leaf, key.private_numbers().private_value


ACCOUNT_FAULTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no mapping": lambda _: 5,
    "no key": lambda account: account | {"PrivateKey": None},
    "empty key": lambda account: account | {"PrivateKey": ""},
    "no base64": lambda account: account | {"PrivateKey": "%"},
    "no DER": lambda account: account | {"PrivateKey": stored.encoded(b"hello")},
    "half": lambda account: account | {"PrivateKey": account["PrivateKey"][:100]},
    "damaged": lambda account: account | {"PrivateKey": flipped(account["PrivateKey"], 200)},
}


@pytest.mark.parametrize("damage", ACCOUNT_FAULTS.values(), ids=ACCOUNT_FAULTS.keys())
def test_a_damaged_account_is_recognised_and_the_certificates_are_whole(
    damage: Callable[[dict[str, Any]], Any],
) -> None:
    store = read(stored.document(SHOP, owner=damage(stored.account())))
    assert "account" in store.account_fault
    assert store.account is None
    assert len(store.certificates) == 1


def test_a_store_cut_off_at_any_byte_is_recognised_and_what_was_whole_is_read() -> None:
    raw = stored.text(SHOP, WILD)
    first_ends = raw.index(b"}", raw.index(b'"Store"')) + 1
    for length in range(len(raw)):
        store = read(raw[:length])
        assert store.fault, length
        if length >= first_ends:
            assert store.certificates[0].main == "shop.customer.com", length
        assert len(store.certificates) < 2 or b'"Store"' in raw[length - 200 : length]


@pytest.mark.parametrize("gap", [b"", b"\x00" * 64, b'garbage{{"domain":'])
def test_what_is_whole_behind_the_damage_is_read_too(gap: bytes) -> None:
    raw = stored.text(SHOP, WILD)
    middle = raw.index(b'"key"')
    store = read(raw[:middle] + gap + raw[middle + 50 :])
    assert [certificate.main for certificate in store.certificates] == ["gw.example.com"]
    assert store.account == stored.account()
    assert store.mentioned == {"shop.customer.com", "gw.example.com", "*.gw.example.com"}


def test_nothing_is_read_from_a_damaged_store_of_another() -> None:
    store = read(stored.text(SHOP, resolver="other")[:-10])
    assert (store.entries, store.account, store.mentioned) == ((), None, frozenset())


def test_reading_changes_nothing() -> None:
    document = stored.document(SHOP)
    before = copy.deepcopy(document)
    read(document)
    assert document == before


def test_what_was_checked_before_is_checked_again_only_where_it_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    before = read(stored.text(SHOP, WILD))
    checked: list[tuple[str, ...]] = []
    check = certificates.check

    def counting(resolver: str, asked: tuple[str, ...], chain: bytes, key: bytes) -> StoredCertificate:
        checked.append(asked)
        return check(resolver, asked, chain, key)

    monkeypatch.setattr(certificates, "check", counting)
    after = certificate_stores.read(stored.text(changed(key=WILD["key"]), WILD), "resolver", before.entries)
    assert checked == [("shop.customer.com",)]
    assert after.entries[0].fault
    assert after.entries[1] is before.entries[1]
