"""A headless Chromium, driven over the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/).

The protocol is spoken over a pair of pipes, NUL after each message: no port to take, and no library to install.
"""

import base64
import contextlib
import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

from tests.peers.launching import PeerError, await_result

_PATIENCE_SECONDS: Final = 20.0
_OPTIONS: Final = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-default-apps",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    "--no-default-browser-check",
]
# Chromium reads from descriptor 3 and writes to 4; whichever numbers the pipes have here must not get in the way.
_START: Final = """
import os, sys
incoming, outgoing = (os.dup(int(number)) for number in sys.argv[1:3])
high = [os.dup2(one, 60 + place) for place, one in enumerate((incoming, outgoing))]
os.dup2(high[0], 3); os.dup2(high[1], 4)
os.closerange(5, 70)
os.execvp(sys.argv[3], sys.argv[3:])
"""
_KEYS: Final[Mapping[str, tuple[str, int]]] = {
    "Tab": ("", 9),
    "Enter": ("\r", 13),
    "Escape": ("", 27),
    " ": (" ", 32),
}

# Where to click, and a guard that tells in `landed` whether the next click reached that element.
_AIM: Final = """(() => {
    const one = document.querySelector(%s);
    const kinds = ["pointerdown", "mousedown", "pointerup", "mouseup", "click"];
    const judge = (event) => {
        const isHit = one.contains(event.target);
        if (!isHit) { event.stopImmediatePropagation(); event.preventDefault(); }
        if (event.type !== "click") return;
        window.landed = isHit ? "hit" : "beside";
        window.guard.abort();
    };
    window.guard?.abort();
    window.guard = new AbortController();
    window.landed = "";
    for (const kind of kinds) window.addEventListener(kind, judge, { capture: true, signal: window.guard.signal });
    one.scrollIntoView({ block: "center" });
    const box = one.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
})()"""


class Browser:
    """A running Chromium. `page()` opens a tab."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "chromium.log"
        to_read, self._outgoing = os.pipe()
        self._incoming, to_write = os.pipe()
        argv = [sys.executable, "-c", _START, str(to_read), str(to_write), "chromium", *_OPTIONS]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [*argv, f"--user-data-dir={directory / 'profile'}", "about:blank"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(to_read, to_write),
                start_new_session=True,
            )
        os.close(to_read)
        os.close(to_write)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._listeners: list[Callable[[dict[str, Any]], None]] = []
        self._reader = threading.Thread(target=self._read, name="chromium", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, and all its processes. May be repeated."""
        if self._process.returncode is not None:
            return
        with contextlib.suppress(PeerError, OSError):
            self.call("Browser.close")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._outgoing)
        self._reader.join(5)
        os.close(self._incoming)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """One command, and its result."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        answers = self._answers[number] = queue.Queue()
        with self._lock:
            os.write(self._outgoing, json.dumps(message).encode() + b"\0")
        try:
            answer = answers.get(timeout=_PATIENCE_SECONDS)
        except queue.Empty as error:
            end = self._log.read_text(errors="replace")[-2000:]
            raise PeerError(f"chromium did not answer {method}\n{end}") from error
        if "error" in answer:
            raise PeerError(f"{method}: {answer['error']}")
        return dict(answer["result"])

    def listen(self, listener: Callable[[dict[str, Any]], None]) -> None:
        """Have every event told to `listener`."""
        self._listeners.append(listener)

    @contextlib.contextmanager
    def page(self, url: str, **how: Any) -> Iterator["Page"]:
        """A tab of its own, with nothing kept from others; see `Page`."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        try:
            yield Page(self, session, url, **how)
        finally:
            self.call("Target.disposeBrowserContext", browserContextId=context)

    def _read(self) -> None:
        rest = b""
        while part := os.read(self._incoming, 1 << 16):
            *whole, rest = (rest + part).split(b"\0")
            for raw in whole:
                message = json.loads(raw)
                if "id" in message:
                    self._answers.pop(message["id"]).put(message)
                else:
                    for listener in self._listeners:
                        listener(message)


class Page:
    """One tab at `url`. `complaints` is everything its console and its security policy said."""

    def __init__(
        self, browser: Browser, session: str, url: str, *, width: int = 1280, height: int = 900, scheme: str = "light"
    ) -> None:
        self._browser = browser
        self._session = session
        self.complaints: list[str] = []
        browser.listen(self._heard)
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.call(f"{domain}.enable")
        self.resize(width, height)
        self.dress(scheme)
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete'", "the page is loaded")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol for this tab."""
        return self._browser.call(method, self._session, **parameters)

    def resize(self, width: int, height: int) -> None:
        """The window, in CSS pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def dress(self, scheme: str) -> None:
        """`light` or `dark`, as the desktop prefers."""
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.call("Emulation.setEmulatedMedia", features=features)

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise PeerError(f"{script}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def until(self, script: str, what: str, *, seconds: float = 15) -> Any:
        """The first true value of an expression."""
        return await_result(
            lambda: self.run(script), what, seconds=seconds, log=lambda: f"{self.complaints}\n{self.text()[:3000]}"
        )

    def text(self, selector: str = "body") -> str:
        """What is to be read there; nothing of what is hidden."""
        return str(self.run(_read(selector)))

    def until_text(self, selector: str, text: str, *, seconds: float = 15) -> None:
        """Wait until a part of the page holds `text`."""
        self.until(f"{_read(selector)}.includes({json.dumps(text)})", f"{selector} says {text!r}", seconds=seconds)

    def count(self, selector: str) -> int:
        """How many elements there are of a kind, that are to be seen."""
        script = f"[...document.querySelectorAll({json.dumps(selector)})].filter((one) => one.checkVisibility()).length"
        return int(self.run(script))

    def press(self, key: str, *, shift: bool = False) -> None:
        """One key, as a person presses it."""
        text, code = _KEYS[key]
        common = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text: str) -> None:
        """Text into whatever has the focus."""
        self.call("Input.insertText", text=text)

    def focused(self) -> str:
        """Id, else text, of what has the focus."""
        return str(self.run("document.activeElement.id || document.activeElement.innerText"))

    def click(self, selector: str) -> None:
        """A click of the mouse on the middle of an element.

        A page that fills up moves its parts: a click that would land beside the element is kept from the page, as a
        person would not make it, and made again where the element is by then.
        """
        await_result(
            lambda: self._clicked(selector), f"a click on {selector}", seconds=15, log=lambda: self.text()[:3000]
        )

    def _clicked(self, selector: str) -> bool:
        x, y = self.run(_AIM % json.dumps(selector))
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        # A page that is there no more was left by that click.
        return bool(self.until("window.landed ?? 'gone'", "the click lands") != "beside")

    def accessible(self) -> list[tuple[str, str]]:
        """(role, name) of everything that assistive technology is told of."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        told = [node for node in nodes if not node["ignored"]]
        return [(node["role"]["value"], str(node.get("name", {}).get("value", ""))) for node in told]

    def picture(self, path: Path, *, whole: bool = True) -> None:
        """A picture of the page (or of what is to be seen of it) as PNG."""
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    def _heard(self, message: Mapping[str, Any]) -> None:
        if message.get("sessionId") != self._session:
            return
        content = message.get("params", {})
        match message["method"]:
            case "Runtime.exceptionThrown":
                self.complaints.append(str(content["exceptionDetails"]))
            case "Runtime.consoleAPICalled":
                self.complaints.append(str(content["args"]))
            case "Log.entryAdded":
                entry = content["entry"]
                self.complaints.append(f"{entry['source']}: {entry['text']} {entry.get('url', '')}")


def _read(selector: str) -> str:
    """The expression for what is to be read; `innerText` of what is hidden would be all of its text."""
    found = f"document.querySelector({json.dumps(selector)})"
    return f"({found}?.checkVisibility() ? {found}.innerText : '')"
