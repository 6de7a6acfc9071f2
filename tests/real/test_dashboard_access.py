"""The dashboard for everybody: with a keyboard, with a screen reader, with weak eyes, on a small screen."""

import itertools
from pathlib import Path

import pytest

from tests.dashboards import MARKUP, enter, url
from tests.peers.browser import Browser
from tests.plane import name
from tests.served import TcpServed

CONTRAST = (Path(__file__).with_name("contrast.js")).read_text(encoding="utf-8")


def test_the_keyboard_reaches_everything(browser: Browser, served: TcpServed) -> None:
    """The skip link comes first, the order is that of the page, the focus is seen, and a question can be refused."""
    with browser.page(url(served)) as page:
        enter(page, served.write)
        page.until_text("#workloads-rows", "blog.gw.example.com")
        page.run("document.activeElement.blur(); window.getSelection().empty()")
        page.run("document.body.tabIndex = -1, document.body.focus(), document.body.removeAttribute('tabindex')")
        seen: list[str] = []
        while len(seen) < 60:
            page.press("Tab")
            if page.run("document.activeElement === document.body"):
                break  # the end of the page
            seen.append(page.focused())
            assert page.run("getComputedStyle(document.activeElement).outlineStyle") != "none", seen[-1]
        assert seen[0] == "Skip to the content"
        wanted = [
            "Workloads",
            "Events",
            "filter-state",
            "filter-domain",
            "prune",
            "Delete",
            "events-pause",
            "events-list",
        ]
        places = [seen.index(one) for one in wanted]
        assert places == sorted(places), seen
        page.run("document.querySelector('button[aria-label=\"Delete 37-2040-wiki\"]').focus()")
        page.press("Enter")
        page.until("document.querySelector('#question').open", "it is asked")
        assert page.focused() == "question-no"
        page.press("Escape")
        page.until("!document.querySelector('#question').open", "it is refused")
        assert page.run("document.activeElement.getAttribute('aria-label')") == "Delete 37-2040-wiki"
        assert served.plane.view("37-2040-wiki").host


def test_a_workload_can_be_added(browser: Browser, served: TcpServed) -> None:
    """With the keyboard alone: the tools open, the fields take text, and what became of it is said."""
    with browser.page(url(served)) as page:
        enter(page, served.write)
        page.until_text("#workloads-rows", "blog.gw.example.com")
        page.run("document.querySelector('#editing summary').focus()")
        page.press("Enter")
        for text in ("", "new-one", "fresh", "http://10.1.2.3:9000"):
            page.press("Tab")
            page.type(text) if text else None
        assert page.focused() == "new-backends"
        page.press("Tab")
        page.press("Tab")
        page.press("Enter")
        page.until_text("#outcome", "new-one is applied")
        page.until_text("#workloads-rows", "fresh.gw.example.com")
        page.run("document.querySelector('#new-id').focus()")
        for text in ("new-one", "other", "http://10.1.2.3:9001"):
            page.type(text)
            page.press("Tab")
        page.click("#editing button[type=submit]")
        page.until_text("#outcome", "Not done")
        host = served.plane.view("new-one").host
        assert host == "fresh.gw.example.com"


_TO_BE_NAMED = {"button", "link", "textbox", "combobox", "checkbox", "table", "image", "region", "dialog", "log"}


def test_a_screen_reader_finds_its_way(browser: Browser, served: TcpServed) -> None:
    """Landmarks, headings in order, names for all that can be used, captions, and events that are announced."""
    with browser.page(url(served)) as page:
        enter(page, served.write)
        page.until_text("#workloads-rows", "blog.gw.example.com")
        page.until_text("#events-list", "blog")
        told = page.accessible()
        roles = {role for role, _ in told}
        assert {"banner", "main", "contentinfo", "navigation", "search", "log", "table", "caption"} <= roles
        unnamed = [role for role, named in told if role in _TO_BE_NAMED and not named]
        assert unnamed == []
        seen = "[...document.querySelectorAll('h1, h2, h3')].filter((one) => one.checkVisibility())"
        levels = page.run(f"{seen}.map((one) => Number(one.tagName[1]))")
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
        tables = (
            "[...document.querySelectorAll('table')].every((one) => one.caption && one.querySelector('th[scope=col]'))"
        )
        assert page.run(tables)
        served.plane.put(name("heard", "heard"))
        page.until_text("#events-list", "heard")
        assert page.run("document.querySelector('#events-list').getAttribute('aria-live')") == "polite"
        assert page.run("document.documentElement.lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read(browser: Browser, served: TcpServed, scheme: str) -> None:
    """Every text has a contrast of 4.5 at least against what is behind it (WCAG 2.2, 1.4.3)."""
    with browser.page(url(served), scheme=scheme) as page:
        enter(page, served.write)
        page.until_text("#workloads-rows", "blog.gw.example.com")
        page.until_text("#delegation", "broken")
        page.until_text("#challenges-list", "Cleaned up")
        found = page.run(CONTRAST)
        assert found["looked"] > 100
        assert found["faint"] == []


def test_it_fits_a_small_screen(browser: Browser, served: TcpServed) -> None:
    """At 360 pixels nothing sticks out: what is wide scrolls in its own place."""
    with browser.page(url(served), width=360, height=740) as page:
        page.until_text("#door", "Token")
        assert page.run("document.documentElement.scrollWidth") <= 360
        enter(page, served.write)
        page.until_text("#workloads-rows", MARKUP)
        page.until_text("#delegation", "broken")
        assert page.run("document.documentElement.scrollWidth") <= 360
