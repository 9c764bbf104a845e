"""Text and bars of the page are easy to see, light and dark: computed, then measured on screen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import browser
import needs
import pytest
from browser import Theme
from page_api import PAGE, PageApi
from page_data import budget, few

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if why := browser.absent():
        needs.missing("browser", why)
    with browser.chromium() as running:
        yield running


TEXT_ON = {
    "ink": ["bg", "panel", "raised", "sunken", "hover", "selected", "grid", "badb"],
    "mute": ["bg", "panel", "raised", "sunken", "hover", "selected", "grid"],
    "acc": ["bg", "panel", "raised", "hover", "selected"],
    "ok": ["panel", "hover", "selected", "okb"],
    "warn": ["bg", "panel", "hover", "selected", "warnb"],
    "bad": ["panel", "hover", "selected", "badb"],
}


def tokens() -> dict[str, tuple[str, str]]:
    """Every colour by name, light and dark."""
    found = re.findall(
        r"--(\w+): light-dark\((#[0-9a-f]{6,8}), (#[0-9a-f]{6,8})\);",
        (PAGE / "colours.css").read_text(),
    )
    return {name: (light, dark) for name, light, dark in found}


def luminance(colour: tuple[float, ...]) -> float:
    parts = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour
    ]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast of two `#rrggbb`."""
    lights = sorted(
        luminance(tuple(int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)))
        for colour in (one, other)
    )
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def test_contrast_is_computed_right() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#d9822b", "#ffffff") == pytest.approx(2.93, abs=0.03)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_has_enough_contrast_and_bars_too(theme: int) -> None:
    found = tokens()
    for name, grounds in TEXT_ON.items():
        for ground in grounds:
            reached = contrast(found[name][theme], found[ground][theme])
            assert reached >= 4.5, f"{name} on {ground}: {reached:.2f}"
    for number in range(1, 10):
        reached = contrast(found[f"c{number}"][theme], found["panel"][theme])
        assert reached >= 3, f"c{number} on panel: {reached:.2f}"


# Every visible text against what is really painted behind it, translucent layers put together.
PAINTED = """() => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const read = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data].map((part) => part / 255);
  };
  const over = (top, under) =>
    [0, 1, 2].map((n) => top[n] * top[3] + under[n] * (1 - top[3])).concat(1);
  const light = (colour) => {
    const part = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(colour[0]) + 0.7152 * part(colour[1]) + 0.0722 * part(colour[2]);
  };
  const bad = [];
  let seen = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !node.checkVisibility()) continue;
    const box = node.getBoundingClientRect();
    if (box.width < 2 || box.height < 2) continue;
    const layers = [];
    for (let up = node; up; up = up.parentElement) layers.push(read(getComputedStyle(up).backgroundColor));
    const ground = layers.reverse().reduce((under, top) => over(top, under), [1, 1, 1, 1]);
    const style = getComputedStyle(node);
    const ink = over(read(node instanceof SVGElement ? style.fill : style.color), ground);
    const [low, high] = [light(ink), light(ground)].sort((a, b) => a - b);
    const reached = (high + 0.05) / (low + 0.05);
    seen += 1;
    if (reached < 4.5) bad.push(`${node.className} ${node.textContent.slice(0, 30)}: ${reached.toFixed(2)}`);
  }
  return { seen, bad: [...new Set(bad)] };
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_on_the_screen_has_enough_contrast(chromium: Browser, theme: Theme) -> None:
    now = datetime.now(UTC) - timedelta(minutes=20)
    with PageApi(few(now)) as api, PageApi() as empty:
        api.demo = api.calls[:1]
        api.budgets = [
            budget(state, spent, state=state)
            for state, spent in (("hard", "120"), ("soft", "85"), ("ok", "5"))
        ]
        trace = f"#/trace/{api.calls[4]['trace_id']}"
        for served, addresses in [
            (
                api,
                [
                    ("#/calls?breakdown=1", ".row"),
                    ("#/calls?call=call-000007&endpoint=agent.plan", ".pane .wrow"),
                    (trace, ".trace .wrow"),
                    ("#/setup", ".inforce"),
                    ("#/budgets", ".budget"),
                    ("#/boards", ".boardcard"),
                ],
            ),
            (empty, [("#/calls", ".diagnostics")]),
        ]:
            with browser.opened(chromium, served.url, theme=theme) as watched:
                for address, there in addresses:
                    watched.page.evaluate("address => { location.hash = address; }", address)
                    watched.page.wait_for_selector(there)
                    found = watched.page.evaluate(PAINTED)
                    assert found["bad"] == []
                    assert found["seen"] > 10
