"""Data sets that the boards must look right with, and pictures of whole boards, for tests and docs."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import board_data
import page_data
from board_data import DataSet

if TYPE_CHECKING:
    from playwright.sync_api import Page

NAMES = ("demo", "one call", "one endpoint", "many names", "everything failed", "hostile", "empty")

AREAS = ["checkout", "chat", "agent", "search", "docs", "billing", "support", "mail", "code", "ads"]
TASKS = ["summary", "reply", "plan", "rerank", "digest"]


def many_names(end: datetime) -> DataSet:
    """A day with 200 endpoints and 5,000 tenants, few of which make most of the calls."""
    rand = random.Random(3)
    found = DataSet("many names", end)
    for number in range(6000):
        endpoint = min(int(rand.paretovariate(0.7)), 200) if number >= 200 else number + 1
        tenant = min(int(rand.paretovariate(0.5)), 5000) if number >= 5000 else number + 1
        written = rand.randint(200, 9000)
        shape = {
            "endpoint": f"{AREAS[endpoint % 10]}.{TASKS[endpoint % 5]}_{endpoint}",
            "tenant": f"tenant-{tenant:04d}",
            "user": f"u_{rand.randint(1, 9000)}",
            "tags": {"team": rand.choice(["growth", "core", "ml", "ops"])},
            "prompt_version": f"v{rand.randint(1, 12)}",
            "model": rand.choices(list(page_data.PRICES), weights=[60, 15, 20, 5])[0],
            "gateway": rand.choice([None, "litellm", "portkey"]),
            "tokens": (written, written // 2, rand.randint(10, 1800)),
            "duration_s": round(rand.lognormvariate(0.2, 0.9), 3),
        }
        at = end - timedelta(seconds=rand.random() * 86_000 + 60)
        made = page_data.call(200_000 + number, at, **shape)
        if rand.random() < 0.04:
            made = page_data.failed_call(200_000 + number, at, **shape)
        elif rand.random() < 0.5:
            made |= {"streaming": True}
            made |= {"time_to_first_chunk_s": round(made["duration_s"] * 0.3, 3)}
        found.calls.append(made)
    return found


def data_sets() -> dict[str, DataSet]:
    """Those of `board_data` and one of many names, by name, half a year apart."""
    sets = board_data.data_sets()
    first = min(each.end for each in sets.values())
    for place, build in enumerate((many_names, board_data.one_endpoint), start=1):
        made = build(first - timedelta(days=190 * place))
        sets[made.name] = made
    return {name: sets[name] for name in NAMES}


def whole(page: Page, file: Path) -> None:
    """A picture of the page as high as what is on it, in the folder of `file`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    bottom = page.evaluate(
        "Math.ceil([...document.querySelectorAll('.boardgrid')].at(-1).getBoundingClientRect().bottom)"
    )
    size = page.viewport_size or {"width": 1500, "height": 900}
    clip = {"x": 0, "y": 0, "width": size["width"], "height": min(bottom + 16, size["height"])}
    page.mouse.move(0, 0)
    page.screenshot(path=str(file), clip=clip)  # type: ignore[arg-type]
