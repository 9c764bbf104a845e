"""Makes the pictures of the documentation again, light and dark.

.venv/bin/python docs/pictures.py [calls] [boards] [--into FOLDER]      # after `make venvs`; needs Chromium

`calls`: the page and a trace, photographed while the demo runs. `boards`: every board and the page of
budgets, over made-up days of a busy service that end now. Neither named, it makes all of them. They
go to this folder, or to FOLDER.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import board_data
import board_pictures
import browser

from tollspan.local import LocalStack

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FOLDER = ROOT / "docs"
SIZE = (1500, 900)
TALL = (1500, 1300)
THEMES: tuple[browser.Theme, ...] = ("light", "dark")
BUDGETS = [
    {"name": "everything", "limit_usd": "22", "owner": "finance team", "contact": "#finance"},
    {
        "name": "checkout summary",
        "filters": {"endpoint": "checkout.ai_summary"},
        "period": "day",
        "limit_usd": "2.1",
        "owner": "checkout team",
        "contact": "#checkout",
    },
    {"name": "acme weekly", "filters": {"tenant": "acme"}, "period": "week", "limit_usd": "3.8"},
    {"name": "team growth", "filters": {"tag.team": "growth"}, "limit_usd": "30"},
    {"name": "staging", "filters": {"environment": "staging"}, "limit_usd": "25"},
]


def main() -> None:
    """Write `page-*.png` and `boards/*.png`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("wanted", nargs="*", metavar="calls|boards")
    parser.add_argument("--into", type=Path, default=FOLDER, metavar="FOLDER")
    asked = parser.parse_args()
    if unknown := set(asked.wanted) - {"calls", "boards"}:
        parser.error(f"there are no pictures of {', '.join(sorted(unknown))}")
    folder: Path = asked.into
    (folder / "boards").mkdir(parents=True, exist_ok=True)
    with browser.chromium() as chromium:
        if not asked.wanted or "calls" in asked.wanted:
            with demo() as url:
                for theme in THEMES:
                    calls(chromium, url, theme, folder)
        if not asked.wanted or "boards" in asked.wanted:
            with busy() as (stack, trace):
                for theme in THEMES:
                    boards(chromium, stack.page_url, theme, trace, folder)


def calls(chromium: Browser, url: str, theme: browser.Theme, folder: Path) -> None:
    """The list of calls and one trace."""
    with browser.opened(chromium, url, theme=theme, size=SIZE) as watched:
        page = watched.page
        page.wait_for_selector(".row")
        _settle(page)
        page.screenshot(path=folder / f"page-calls-{theme}.png")
        page.goto(f"{url}/#/trace/{_interesting(url)['trace_id']}")
        page.wait_for_selector(".wrow")
        _settle(page)
        page.screenshot(path=folder / f"page-trace-{theme}.png")


def boards(chromium: Browser, url: str, theme: browser.Theme, trace: str, folder: Path) -> None:
    """The upper part of every board, and the page of budgets."""
    with browser.opened(chromium, f"{url}/#/budgets", theme=theme, size=SIZE) as watched:
        page = watched.page
        page.get_by_text(BUDGETS[0]["name"]).first.wait_for()
        _settle(page)
        page.screenshot(path=folder / f"page-budgets-{theme}.png")
        page.set_viewport_size({"width": TALL[0], "height": TALL[1]})
        for uid in board_data.boards():
            more = f"&var-trace_id={trace}" if uid == "tollspan-trace" else ""
            page.goto(f"{url}/#/boards/{uid}?from=now-24h&to=now{more}")
            page.locator(f'[data-board="{uid}"]').wait_for()
            page.locator(".panel.filled").first.wait_for()
            browser.expect(page.locator('.panel[aria-busy="true"]')).to_have_count(0)
            _settle(page)
            name = uid.removeprefix("tollspan-")
            board_pictures.whole(page, folder / "boards" / f"{name}-{theme}.png")


def _settle(page: Page) -> None:
    page.wait_for_timeout(500)  # the bars have grown


@contextmanager
def demo() -> Iterator[str]:
    """The demo's page, once it has made all its calls."""
    process = subprocess.Popen(
        [ROOT / ".venv-demo/bin/tollspan", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield _url(process)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


@contextmanager
def busy() -> Iterator[tuple[LocalStack, str]]:
    """The local stack with days of a busy service and a trace of them, all of it made up."""
    found = board_data.demo(datetime.now(UTC))
    with tempfile.TemporaryDirectory() as folder, LocalStack(folder) as stack:
        board_data.fill(stack.ledger, found)
        stack.ledger.insert("budgets", BUDGETS)
        yield stack, found.calls[-1]["trace_id"]


def _url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if "The page is at " in line:
            return line.split("The page is at ")[1].split(";")[0].strip()
    raise SystemExit("the demo ended without a page: run `make demo` to see why")


def _interesting(url: str) -> dict[str, Any]:
    """The call through the gateway that was sent upstream most often."""
    with urllib.request.urlopen(f"{url}/api/calls?limit=200") as answer:
        calls: list[dict[str, Any]] = json.load(answer)["calls"]
    return max(calls, key=lambda call: (call["hop_count"] or 0, call["upstream_attempts"] or 0))


if __name__ == "__main__":
    main()
