"""Finds Chromium and drives it for tests and for the pictures in the documentation."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--font-render-hinting=none",
)
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")

Theme = Literal["light", "dark"]


def executable() -> str | None:
    """Path of the Chromium on this machine; the variable CHROMIUM goes first."""
    wanted = os.environ.get("CHROMIUM")
    return wanted or next((path for name in NAMES if (path := shutil.which(name))), None)


def absent() -> str | None:
    """Why there is no browser to drive, in words; None where there is one."""
    if importlib.util.find_spec("playwright") is None:
        return "the Python package playwright is not installed"
    if executable() is None:
        return "no Chromium on the path (apt-get install chromium)"
    return None


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium, its own downloads and updates off."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable(), args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def expect(locator: Locator) -> Any:
    """Assertions that wait until they hold, half a minute at most: the machine may be busy."""
    from playwright.sync_api import expect as expected

    expected.set_options(timeout=30_000)
    return expected(locator)


class Watched:
    """A page together with everything that went wrong on it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))
        page.on("dialog", self._dialog)
        page.on("requestfailed", self._lost)

    def _console(self, message: object) -> None:
        kind, text = getattr(message, "type", ""), getattr(message, "text", "")
        if kind in ("error", "warning"):
            self.problems.append(f"console {kind}: {text}")

    def _dialog(self, dialog: object) -> None:
        self.problems.append(f"dialog: {getattr(dialog, 'message', '')}")
        getattr(dialog, "dismiss", lambda: None)()

    def _lost(self, request: object) -> None:
        why = str(getattr(request, "failure", ""))
        # What was under way is cut off when a page is left: that is no fault.
        if "ERR_ABORTED" not in why:
            self.problems.append(f"request failed: {getattr(request, 'url', '')} {why}")


@contextmanager
def opened(
    browser: Browser,
    url: str,
    *,
    theme: Theme = "light",
    size: tuple[int, int] = (1500, 900),
    scale: float = 1,
) -> Iterator[Watched]:
    """The page at `url` in a fresh context (no storage, fixed time zone), watched from the start."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=theme,
        device_scale_factor=scale,
        reduced_motion="reduce",
        timezone_id="UTC",
        locale="en-US",
        permissions=["clipboard-read", "clipboard-write"],
    )
    try:
        watched = Watched(context.new_page())
        watched.page.goto(url)
        yield watched
    finally:
        context.close()


def picture(
    browser: Browser,
    url: str,
    file: Path,
    *,
    wait_for: str = ".row",
    theme: Theme = "light",
    size: tuple[int, int] = (1500, 900),
    scale: float = 1,
) -> Path:
    """A screenshot of the page at `url` once `wait_for` (a CSS selector) is visible."""
    with opened(browser, url, theme=theme, size=size, scale=scale) as watched:
        watched.page.wait_for_selector(wait_for)
        watched.page.wait_for_load_state("load")
        watched.page.wait_for_timeout(400)
        watched.page.screenshot(path=str(file))
        if watched.problems:
            raise RuntimeError("; ".join(watched.problems))
    return file


def main(arguments: list[str]) -> int:
    """`python tests/browser.py URL FILE [light|dark] [WIDTHxHEIGHT]`: one picture of a page."""
    url, file, *rest = arguments
    theme: Theme = "dark" if "dark" in rest else "light"
    sizes = [tuple(map(int, word.split("x"))) for word in rest if "x" in word and word[0].isdigit()]
    with chromium() as browser:
        width, height = sizes[0] if sizes else (1500, 900)
        picture(browser, url, Path(file), wait_for="main > *", theme=theme, size=(width, height))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
