"""The routes as files: what somebody did to them is undone, and what the disk refuses is made up for."""

from collections.abc import Mapping

import pytest

from appliance.control.routes import Routes
from appliance.model.errors import Unavailable
from appliance.model.plans import Plan
from appliance.render.dynamic import Decision
from tests.fakes import FakeRouteFiles
from tests.unit.test_confirmation import decision


class StubbornFiles(FakeRouteFiles):
    """A disk that refuses to be read, or written, as long as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.is_readable = self.is_writable = True

    def current(self) -> Mapping[str, str]:
        if not self.is_readable:
            raise Unavailable("cannot read")
        return super().current()

    def write(self, plan: Plan) -> None:
        if not self.is_writable:
            raise Unavailable("cannot write")
        super().write(plan)


@pytest.fixture
def files() -> StubbornFiles:
    return StubbornFiles()


@pytest.fixture
def routes(files: StubbornFiles) -> Routes:
    """Routes with one file."""
    found = Routes(files)
    found.write({"blog": decision("blog")})
    return found


def test_what_somebody_did_is_suspected_mended_and_then_no_longer_suspected(
    routes: Routes, files: StubbornFiles
) -> None:
    before = dict(files.files)
    assert not routes.is_suspicious()
    files.files = {"blog.yaml": "http: {}\n", "foreign.yaml": "http: {}\n"}
    routes.suspect({"blog.yaml", "foreign.yaml"})
    assert routes.is_suspicious()
    assert routes.mend()
    assert files.files == before
    assert sorted(files.aside) == ["blog.yaml", "foreign.yaml"]
    assert not routes.is_suspicious()


def test_where_nothing_was_done_nothing_is_written(routes: Routes, files: StubbornFiles) -> None:
    plans = len(files.plans)
    routes.suspect({"blog.yaml"})
    assert not routes.mend()
    routes.suspect(())
    assert routes.is_suspicious()
    assert not routes.mend()
    assert not routes.is_suspicious()
    assert len(files.plans) == plans


@pytest.mark.parametrize("what", ["is_readable", "is_writable"])
def test_what_the_disk_refuses_is_told_and_made_up_for(routes: Routes, files: StubbornFiles, what: str) -> None:
    setattr(files, what, False)
    routes.doubt_all()
    routes.write({"shop": decision("shop")})
    assert (routes.trouble() or "").startswith("cannot")
    assert list(files.files) == ["blog.yaml"]
    setattr(files, what, True)
    assert routes.mend()
    assert sorted(files.files) == ["blog.yaml", "shop.yaml"]
    assert routes.trouble() is None


def test_a_trouble_that_is_over_without_a_write_is_over(routes: Routes, files: StubbornFiles) -> None:
    files.is_readable = False
    routes.suspect(())
    assert not routes.mend()
    assert routes.trouble() == "cannot read"
    files.is_readable = True
    assert not routes.mend()
    assert routes.trouble() is None


def test_a_directory_that_cannot_be_read_says_nothing_of_certificates(files: StubbornFiles) -> None:
    files.is_readable = False
    assert not Routes(files).was_ordered(decision("blog"))


def test_the_last_decision_is_known(routes: Routes) -> None:
    known: Decision | None = routes.decision("blog")
    assert known == decision("blog")
    assert routes.decision("nobody") is None
