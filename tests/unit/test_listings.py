"""Listings: filters, pages, and that none is lost between them."""

import base64

import pytest

from appliance.model import listings, workloads
from appliance.model.errors import InvalidInput
from appliance.model.listings import ALL, Filter
from appliance.model.standings import Certificate, CertificateState, Standing, State, WorkloadView
from appliance.model.workloads import WorkloadType

NONE = Certificate(CertificateState.NONE)


def view(identity: str) -> WorkloadView:
    """`n...` is a name proxy, `f...` an FQDN proxy, `x...` unreadable; `...p` is pending."""
    state = Standing(State.PENDING if identity.endswith("p") else State.APPLIED)
    if identity.startswith("x"):
        return WorkloadView(identity, None, None, Standing(State.QUARANTINED, "half a file"), NONE)
    host = f"{identity}.gw.example.com" if identity.startswith("n") else f"{identity}.other.test"
    kind = {"type": "gateway-name-proxy", "name": identity} if identity.startswith("n") else {}
    own = kind or {"type": "gateway-fqdn-proxy", "fqdn": host}
    content = workloads.parse(identity, {**own, "backends": ["http://10.1.2.3"]})
    return WorkloadView(identity, content, host, state, NONE)


IDS = sorted(["n1", "n2p", "f1", "f2p", "x1"])


def ids(wanted: Filter, token: str | None = None, limit: int = 100) -> list[str]:
    return [one.id for one in listings.page(IDS, view, wanted, token, limit).views]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (ALL, IDS),
        (Filter(state=State.PENDING), ["f2p", "n2p"]),
        (Filter(state=State.QUARANTINED), ["x1"]),
        (Filter(kind=WorkloadType.NAME_PROXY), ["n1", "n2p"]),
        (Filter(kind=WorkloadType.FQDN_PROXY, state=State.APPLIED), ["f1"]),
        (Filter(domain="gw.example.com"), ["n1", "n2p"]),
        (Filter(domain="example.com"), ["n1", "n2p"]),
        (Filter(domain="n1.gw.example.com"), ["n1"]),
        (Filter(domain="w.example.com"), []),
    ],
)
def test_filters(wanted: Filter, found: list[str]) -> None:
    """Each on its own, and together; domains by labels."""
    assert ids(wanted) == found


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6])
def test_pages_put_together_are_the_whole(limit: int) -> None:
    """None twice, none left out, and the last page says that it is the last."""
    found: list[str] = []
    token: str | None = None
    while True:
        page = listings.page(IDS, view, ALL, token, limit)
        found += [one.id for one in page.views]
        token = page.next
        if token is None:
            break
    assert found == IDS


def test_only_what_a_page_takes_is_looked_at() -> None:
    """Ten thousand workloads cost a page of ten what ten cost."""
    looked: list[str] = []

    def counted(identity: str) -> WorkloadView:
        looked.append(identity)
        return view("n1")

    listings.page([f"n{number:05}" for number in range(10_000)], counted, ALL, None, 10)
    assert len(looked) == 11


def test_a_page_stays_while_workloads_come_and_go() -> None:
    """The page after n1 begins after n1, also when n1 is gone."""
    token = base64.urlsafe_b64encode(b"n1").rstrip(b"=").decode()
    assert ids(ALL, token) == ["n2p", "x1"]
    assert [one.id for one in listings.page(["n2p", "x1"], view, ALL, token, 9).views] == ["n2p", "x1"]


@pytest.mark.parametrize("token", ["!", "a", "====", "\xff", "_w"])
def test_a_token_of_no_page_is_told(token: str) -> None:
    """And not taken for the beginning."""
    with pytest.raises(InvalidInput, match="`page` is not"):
        ids(ALL, token)
