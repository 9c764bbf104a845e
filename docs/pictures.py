"""Makes the pictures of the documentation again: runs the demo, opens its page, photographs it.

.venv/bin/python docs/pictures.py        # after `make venvs`; needs Chromium
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import browser

SIZE = {"width": 1500, "height": 900}


def main() -> None:
    """Write `docs/page-*.png`."""
    demo = subprocess.Popen(
        [ROOT / ".venv-demo/bin/tollspan", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        url = _url(demo)
        with browser.chromium() as chromium:
            for theme in ("light", "dark"):
                page = chromium.new_page(viewport=SIZE, color_scheme=theme, device_scale_factor=1)
                page.goto(url)
                page.wait_for_selector(".row")
                page.wait_for_timeout(500)  # the bars have grown
                page.screenshot(path=ROOT / f"docs/page-calls-{theme}.png")
                page.goto(f"{url}/#/trace/{_interesting(url)['trace_id']}")
                page.wait_for_selector(".wrow")
                page.wait_for_timeout(500)
                page.screenshot(path=ROOT / f"docs/page-trace-{theme}.png")
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait(60)


def _url(demo: subprocess.Popen[str]) -> str:
    """Where the page is, once the demo has made all its calls."""
    assert demo.stdout is not None
    for line in demo.stdout:
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
