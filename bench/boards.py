"""How long people wait for a board: `python -m bench.boards --ledger FOLDER` over a ledger that
`python -m bench.ledger --keep FOLDER` made.

Each board is opened three times, each time cold: a new `tollspan up` whose files the system has forgotten,
and a new page in a real browser. Time runs from the navigation until every panel that stands in the window
has been painted; *paint* runs from the last answer to that moment. The other panels are asked for as they
are scrolled to. Medians go to `bench/results/boards.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .ledger_data import cores

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import board_data
import browser as chromium_of

RESULT = Path(__file__).parent / "results" / "boards.json"
ROUNDS = 3
WINDOW = (1440, 900)
GOALS_MS = {"cold": 2000.0, "paint": 500.0}
PATIENCE_MS = 60_000

WATCH = """
() => {
  window.answered = 0;
  const ask = window.fetch;
  window.fetch = async (...all) => {
    const answer = await ask(...all);
    const read = answer.json.bind(answer);
    answer.json = async () => {
      const found = await read();
      if (String(all[0]).includes("/api/boards")) window.answered = performance.now();
      return found;
    };
    return answer;
  };
}
"""
"""Notes when the last answer for a panel was there."""

PAINTED = """
() => new Promise((done) => {
  const look = () => {
    const here = [...document.querySelectorAll(".panel")].filter((each) => {
      const at = each.getBoundingClientRect();
      return at.bottom > 0 && at.top < window.innerHeight && at.height > 0;
    });
    const ready = here.length && here.every((each) => each.getAttribute("aria-busy") !== "true"
      && each.classList.contains("filled"));
    // A frame after the next: what was changed now has been painted then.
    if (ready) requestAnimationFrame(() => setTimeout(() => done({
      panels: here.length, cold: performance.now(), paint: performance.now() - window.answered })));
    else requestAnimationFrame(look);
  };
  look();
})
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.boards", description=__doc__)
    parser.add_argument(
        "--ledger", type=Path, required=True, help="a folder that bench.ledger kept"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    calls = 0
    with chromium_of.chromium() as driven:
        for uid in board_data.boards():
            times = []
            for _ in range(options.rounds):
                with served(options.ledger) as url:
                    times.append(opened(driven, url, uid))
                    calls = calls or counted(url)
            found[uid] = {
                "panels": times[0]["panels"],
                **{
                    f"{what}_ms": statistics.median(each[what] for each in times)
                    for what in GOALS_MS
                },
            }
            told = found[uid]
            print(
                f"{uid:24} {told['cold_ms']:7.0f} ms cold, {told['paint_ms']:5.0f} ms to paint, "
                f"{told['panels']} panels",
                flush=True,
            )
    result = {
        "machine": {"cores": cores(), "python": platform.python_version()},
        "calls": calls,
        "window": WINDOW,
        "goals_ms": GOALS_MS,
        "boards": {
            uid: {name: round(value) for name, value in each.items()} for uid, each in found.items()
        },
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    return 0


@contextmanager
def served(ledger: Path) -> Iterator[str]:
    """The page's address of a stack that has just started on a ledger that nobody has read."""
    forgotten(ledger)
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tollspan.launcher.command",
            "up",
            "--data-dir",
            str(ledger),
            "--port",
            "0",
            "--grpc-port",
            "0",
            "--http-port",
            "0",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if at := re.search(r"is up: (\S+)", line):
                yield at[1]
                return
        raise SystemExit("tollspan up did not start")
    finally:
        process.terminate()
        process.wait(60)


def forgotten(ledger: Path) -> None:
    """Have the system drop the ledger's files from memory."""
    os.sync()
    for file in ledger.rglob("*"):
        if file.is_file() and not file.is_symlink():
            with file.open("rb") as opened_file:
                os.posix_fadvise(opened_file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def counted(url: str) -> int:
    import urllib.request

    with urllib.request.urlopen(f"{url}/api/summary") as answer:
        return int(json.load(answer)["calls"])


def opened(driven: Browser, url: str, uid: str) -> dict[str, float]:
    """Milliseconds from the navigation, and the panels in the window."""
    context = driven.new_context(viewport={"width": WINDOW[0], "height": WINDOW[1]})
    try:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.add_init_script(f"({WATCH})()")
        page.goto(f"{url}/#/boards/{uid}", wait_until="commit")
        found: dict[str, float] = page.evaluate(PAINTED)
        return found
    finally:
        context.close()


if __name__ == "__main__":
    raise SystemExit(main())
