"""Looking at the dashboard in a browser: the way in, and the pictures that are kept."""

from pathlib import Path

from tests.peers.browser import Page
from tests.served import TcpServed

ARTEFACTS = Path(__file__).parent / "artefacts"
MARKUP = '<img src=x onerror="document.title=1"><b>bold</b>'
"""What a tenant may write where text is expected."""


def enter(page: Page, token: str) -> None:
    """Give the token, and wait until the page stands."""
    page.until_text("#door", "Token")
    page.type(token)
    page.press("Enter")
    page.until_text("#live", "live")


def keep(page: Page, of: str) -> None:
    """Keep a picture of the page."""
    ARTEFACTS.mkdir(exist_ok=True)
    page.picture(ARTEFACTS / f"{of}.png")


def url(served: TcpServed) -> str:
    return f"http://127.0.0.1:{served.api.port}/"
