"""Which workloads a listing shows, page by page.

The order is by id, and a page ends at an id: so a page is the same however many workloads come and go before it, and
none that was there all the time is left out or shown twice.
"""

import base64
import binascii
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from appliance.model import hosts
from appliance.model.errors import InvalidInput
from appliance.model.standings import State, WorkloadView
from appliance.model.workloads import WorkloadType

USUAL_PAGE = 100
LARGEST_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Filter:
    """What workloads must be to be shown; None: whatever they are."""

    state: State | None = None
    kind: WorkloadType | None = None
    domain: str | None = None
    """The host is this name or lies below it."""

    def fits(self, view: WorkloadView) -> bool:
        """Whether a workload is shown."""
        if self.state is not None and view.standing.state is not self.state:
            return False
        if self.kind is not None and (view.content is None or view.content.type is not self.kind):
            return False
        return self.domain is None or (view.host is not None and hosts.lies_under(view.host, self.domain))


ALL = Filter()


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing. `next` is what to ask for to go on; None: this is the end."""

    views: tuple[WorkloadView, ...]
    next: str | None


def page(
    identities: Iterable[str], view: Callable[[str], WorkloadView], wanted: Filter, token: str | None, limit: int
) -> Page:
    """Up to `limit` workloads of the sorted `identities` that fit, after the page that gave `token`.

    Only those are looked at (`view`) that it takes to fill the page. Raises InvalidInput for a token of no page.
    """
    after = _identity(token) if token is not None else ""
    found: list[WorkloadView] = []
    for identity in identities:
        if identity <= after:
            continue
        shown = view(identity)
        if not wanted.fits(shown):
            continue
        if len(found) == limit:
            return Page(tuple(found), _token(found[-1].id))
        found.append(shown)
    return Page(tuple(found), None)


def _token(identity: str) -> str:
    return base64.urlsafe_b64encode(identity.encode()).rstrip(b"=").decode("ascii")


def _identity(token: str) -> str:
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode("utf-8")
    except (binascii.Error, ValueError) as error:
        raise InvalidInput("`page` is not the `next` of an earlier answer: begin anew without it") from error
