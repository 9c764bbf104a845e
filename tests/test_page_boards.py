"""The boards on the local page, in a real browser over a real ledger: drawn, linked, moved about in.

With TOLLSPAN_PICTURES set to a folder, every board is photographed with every data set, light and dark.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import board_data
import board_pictures
import browser
import needs
import pytest
from board_data import DataSet
from browser import Theme, Watched, expect
from page_data import DROP, IMAGE
from test_page_colours import PAINTED

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

    from tollspan.local import LocalStack

pytestmark = pytest.mark.slow

PICTURES = os.environ.get("TOLLSPAN_PICTURES")
THEMES: tuple[Theme, ...] = ("light", "dark")
TALL = (1500, 3300)
BOARDS = board_data.boards()


@dataclass(frozen=True)
class Served:
    """The local stack with every data set in its ledger, each at a time of its own."""

    stack: LocalStack
    sets: dict[str, DataSet]

    def address(self, board: str, name: str = "demo", more: str = "") -> str:
        """Of a board with the day of one data set as its range."""
        found = self.sets[name]
        start, end = (int(at.timestamp() * 1000) for at in (found.start, found.end))
        return f"{self.stack.page_url}/#/boards/tollspan-{board}?from={start}&to={end}{more}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    if importlib.util.find_spec("chdb") is None:
        needs.missing("chdb", "the extra `local` is not installed")
    from tollspan.local import LocalStack

    sets = board_pictures.data_sets()
    folder = tmp_path_factory.mktemp("ledger")
    board_data.opened(folder, sets.values()).close()
    with LocalStack(folder) as stack:
        yield Served(stack, sets)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if why := browser.absent():
        needs.missing("browser", why)
    with browser.chromium() as running:
        yield running


Show = Callable[..., "Page"]


@pytest.fixture
def show(chromium: Browser, served: Served) -> Iterator[Show]:
    """Opens a board; at the end nothing may have gone wrong on its page."""
    opened: list[Watched] = []
    with ExitStack() as stack:

        def opening(board: str, name: str = "demo", more: str = "", **options: Any) -> Page:
            url = served.address(board, name, more)
            watched = stack.enter_context(browser.opened(chromium, url, **options))
            opened.append(watched)
            settled(watched.page, board)
            return watched.page

        yield opening
        problems = [problem for one in opened for problem in one.problems]
    assert problems == []


PATIENCE_MS = 60_000
"""For a ledger that answers two hundred questions on a busy machine."""


def settled(page: Page, board: str) -> None:
    """Waits until everything in sight of this board is drawn."""
    expect(page.locator(f'[data-board="tollspan-{board}"]')).to_be_visible()
    expect(page.locator(".panel.filled, .panelfailed").first).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator('.panel[aria-busy="true"]')).to_have_count(0, timeout=PATIENCE_MS)
    expect(page.locator(".told")).to_contain_text("as of")


def panel(page: Page, title: str) -> Locator:
    return page.get_by_role("region", name=title, exact=True)


def asked(page: Page) -> dict[str, list[str]]:
    """The query of the address."""
    return parse_qs(page.evaluate("location.hash").split("?", 1)[1])


# --- every board with every data set --------------------------------------------------------------

BLANK = """panels => panels.filter((panel) => panel.checkVisibility()
  && !panel.querySelector(".panelbody").textContent.trim()
  && !panel.querySelector(".panelbody svg path")).map((panel) => panel.textContent)"""

HREFS = "all => all.map((a) => a.getAttribute('href'))"

CUT_OFF = """figures => figures.filter((figure) => {
  const box = figure.closest(".panelbody").getBoundingClientRect();
  const own = figure.getBoundingClientRect();
  return own.right > box.right + 0.5 || own.bottom > box.bottom + 0.5;
}).map((figure) => figure.textContent)"""


# For the pictures all of it in both themes; else each data set in one, turn by turn, and those that
# differ in names alone on the boards that show most of these.
SHOWN = [
    (name, theme)
    for place, name in enumerate(board_pictures.NAMES)
    for theme in (THEMES if PICTURES else THEMES[place % 2 :][:1])
    if PICTURES or name != "one endpoint"
]
OF_NAMES = {"many names", "hostile"}
PLACES = re.compile(r"#/(boards/tollspan-[a-z]+|trace/[0-9a-f]{32})(\?|$)")


@pytest.mark.parametrize(("name", "theme"), SHOWN)
def test_every_board_is_drawn_whole_is_easy_to_read_and_leads_somewhere(
    chromium: Browser, served: Served, name: str, theme: Theme
) -> None:
    first = served.address("overview", name)
    with browser.opened(chromium, first, theme=theme, size=TALL) as watched:
        page = watched.page
        for uid in BOARDS:
            board = uid.removeprefix("tollspan-")
            if name in OF_NAMES and not PICTURES and board not in ("attribution", "hops"):
                continue
            more = "&var-data_mode=$__all" if name == "hostile" else ""
            if board == "trace" and (calls := served.sets[name].calls):
                more += f"&var-trace_id={calls[-1]['trace_id']}"
            page.goto(served.address(board, name, more))
            settled(page, board)
            expect(page.locator(".bands:not([hidden]) .panel:not(.filled)")).to_have_count(0)

            assert page.locator(".panelfailed").all_inner_texts() == []
            assert page.locator(".panel").evaluate_all(BLANK) == []
            assert page.locator(".figure").evaluate_all(CUT_OFF) == []
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
            assert page.evaluate(PAINTED)["bad"] == [], board
            for href in page.locator(".panel a").evaluate_all(HREFS):
                assert PLACES.match(href), f"{board}: {href[:200]}"
                assert "${" not in href and "undefined" not in href
            if PICTURES:
                file = f"board-{board}-{name.replace(' ', '-')}-{theme}.png"
                board_pictures.whole(page, Path(PICTURES) / file)
        assert watched.problems == []


def test_with_nothing_in_range_every_panel_says_so_in_its_own_words(show: Show) -> None:
    page = show("overview", "empty", size=TALL)

    board = BOARDS["tollspan-overview"]
    for each in board_data.panels(board):
        if each["type"] in ("timeseries", "table"):
            said = each["fieldConfig"]["defaults"]["noValue"]
            expect(panel(page, each["title"])).to_contain_text(said)
    wrong = re.compile(r"\b(NaN|undefined|Infinity|null)\b")
    assert page.locator(".panel").filter(has_text=wrong).all_inner_texts() == []


def test_hostile_names_stay_text_in_cells_menus_charts_and_addresses(show: Show) -> None:
    page = show("attribution", "hostile", "&var-data_mode=$__all", size=TALL)

    expect(panel(page, "Top endpoints")).to_contain_text(IMAGE)
    expect(panel(page, "Top tenants")).to_contain_text(DROP)
    page.locator('[data-variable="tenant"]').click()
    expect(page.locator(".pickable").filter(has_text=IMAGE)).to_be_visible()
    page.keyboard.press("Escape")
    panel(page, "Top endpoints").get_by_role("link", name=IMAGE).first.click()
    settled(page, "versions")
    assert asked(page)["var-endpoint"] == [IMAGE]
    expect(page.locator('[data-variable="endpoint"]')).to_contain_text(IMAGE)
    expect(panel(page, "Each version against the one before")).to_contain_text(IMAGE)
    assert page.locator("main img, body > script").count() == 0


# --- asking ---------------------------------------------------------------------------------------


def test_a_board_left_while_it_was_asked_for_does_not_come_back(
    chromium: Browser, served: Served
) -> None:
    with browser.opened(chromium, served.address("overview")) as watched:
        page = watched.page
        settled(page, "overview")
        held: list[Any] = []
        page.route("**/api/boards", lambda route: held.append(route))
        with page.expect_request("**/api/boards"):
            page.reload(wait_until="commit")
        with page.expect_request("**/api/boards"):
            page.goto(served.address("attribution"))
        page.evaluate("() => null")  # requests are told of before they are handed over
        first, second = held
        second.continue_()
        settled(page, "attribution")
        with page.expect_response("**/api/boards"):
            first.continue_()
        page.keyboard.press("r")
        settled(page, "attribution")
        expect(page.locator('.boardtabs [aria-current="page"]')).to_have_text("Attribution")
        assert watched.problems == []


def test_only_panels_in_sight_ask_and_the_others_when_they_come_into_sight(
    chromium: Browser, served: Served
) -> None:
    with browser.opened(chromium, served.address("attribution"), size=(1366, 700)) as watched:
        page = watched.page
        settled(page, "attribution")  # what this first page still asks is not counted
        numbers: list[str] = []
        page.on(
            "request", lambda each: numbers.append(each.url) if "/panels/" in each.url else None
        )
        page.reload()
        settled(page, "attribution")
        of_board = [
            each for each in BOARDS["tollspan-attribution"]["panels"] if each["type"] != "row"
        ]
        before = set(numbers)
        assert 0 < len(before) < len(of_board)
        with page.expect_request(lambda each: "/panels/" in each.url and each.url not in before):
            panel(page, "Most expensive calls").scroll_into_view_if_needed()
        settled(page, "attribution")
        assert set(numbers) > before
        assert len(numbers) == len(set(numbers)), "no panel asks the same twice"


def test_a_question_that_nobody_waits_for_is_taken_back(chromium: Browser, served: Served) -> None:
    with browser.opened(chromium, served.address("hops"), size=TALL) as watched:
        page = watched.page
        settled(page, "hops")
        lost: list[str] = []
        page.on("requestfailed", lambda each: lost.append(str(each.failure)))
        for key in ("]", "]", "[", "z", "]"):
            page.keyboard.press(key)
        settled(page, "hops")
        assert lost
        assert all("ERR_ABORTED" in each for each in lost)
        assert watched.problems == []


def test_a_refusal_is_said_in_the_panel_and_it_can_ask_again(
    chromium: Browser, served: Served
) -> None:
    url = f"{served.stack.page_url}/#/boards/tollspan-overview?from=100000000000&to=9999999999999"
    with browser.opened(chromium, url) as watched:
        page = watched.page
        expect(panel(page, "Spend")).to_contain_text("to is not a whole number from 0 to")
        expect(panel(page, "Spend").get_by_role("button", name="Ask again")).to_be_visible()
        page.goto(served.address("overview"))
        expect(panel(page, "Spend")).to_contain_text("$")
        assert page.locator(".panelfailed").count() == 0
        # Chromium reports the refusals themselves.
        assert all("400" in problem for problem in watched.problems)


def test_a_board_that_is_not_there_is_said_in_words(chromium: Browser, served: Served) -> None:
    with browser.opened(chromium, f"{served.stack.page_url}/#/boards/none") as watched:
        expect(watched.page.locator(".nomatch")).to_contain_text("there is no board with this uid")
        watched.page.goto(served.address("overview"))
        settled(watched.page, "overview")
        assert all("404" in problem for problem in watched.problems)


# --- links and variables --------------------------------------------------------------------------


def test_a_cell_leads_to_the_filtered_board_and_carries_time_and_filters(show: Show) -> None:
    page = show("attribution", more="&var-tenant=acme&var-tenant=globex")
    start = asked(page)["from"]

    panel(page, "Top endpoints").get_by_role("link", name="chat.reply").click()
    settled(page, "versions")

    found = asked(page)
    assert found["var-endpoint"] == ["chat.reply"]
    assert found["var-tenant"] == ["acme", "globex"]
    assert found["from"] == start
    cells = panel(page, "Each version against the one before").locator("tbody tr td:first-child")
    assert set(cells.all_inner_texts()) == {"chat.reply"}
    page.go_back()
    settled(page, "attribution")


def test_a_trace_in_a_table_leads_to_the_page_of_the_trace(show: Show) -> None:
    page = show("attribution", size=TALL)
    link = panel(page, "Most expensive calls").locator("a[href^='#/trace/']").first

    trace = str(link.get_attribute("href")).removeprefix("#/trace/")
    link.click()

    expect(page.locator(".tracehead code")).to_have_attribute("title", trace)
    expect(page.locator(".wrow").first).to_be_visible()


def test_the_boards_side_by_side_keep_time_and_filters(show: Show) -> None:
    page = show("overview", more="&var-endpoint=agent.plan")

    page.get_by_role("navigation", name="Boards").get_by_role("link", name="Hops").click()
    settled(page, "hops")

    assert asked(page)["var-endpoint"] == ["agent.plan"]
    expect(page.get_by_role("link", name="Hops")).to_have_attribute("aria-current", "page")


def test_a_menu_takes_one_value_or_several_and_all_lets_go(show: Show) -> None:
    page = show("attribution")
    pill = page.locator('[data-variable="tenant"]')
    rows = panel(page, "Top tenants").locator("tbody tr")
    assert rows.count() > 2

    pill.click()
    box = page.get_by_role("dialog", name="Tenant")
    expect(box.get_by_role("searchbox")).to_be_focused()
    box.get_by_role("checkbox", name="acme").click()
    box.get_by_role("checkbox", name="globex").click()
    page.keyboard.press("Escape")
    expect(rows).to_have_count(2)
    assert sorted(asked(page)["var-tenant"]) == ["acme", "globex"]
    expect(pill).to_be_focused()

    pill.click()
    page.keyboard.type("initech")
    expect(box.locator(".pickable")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    assert asked(page)["var-tenant"] == ["initech"]

    pill.click()
    box.get_by_role("button", name="All").click()
    assert asked(page)["var-tenant"] == ["$__all"]
    page.get_by_role("button", name="Clear filters").wait_for(state="hidden")


def test_a_choice_that_no_longer_exists_is_let_go_with_what_it_hung_on(show: Show) -> None:
    page = show("versions", more="&var-endpoint=checkout.ai_summary&var-prompt_version=v4")
    page.locator('[data-variable="endpoint"]').click()
    page.keyboard.type("docs.digest")
    expect(page.locator(".pickable")).to_have_count(1)
    page.keyboard.press("Enter")

    expect(page.locator('[data-variable="prompt_version"]')).to_contain_text("All")
    settled(page, "versions")
    assert asked(page)["var-endpoint"] == ["docs.digest"]
    assert asked(page)["var-prompt_version"] == ["$__all"]


# --- charts ---------------------------------------------------------------------------------------


def test_the_crosshair_is_shared_and_the_tooltip_says_the_numbers(show: Show) -> None:
    page = show("overview")
    first = panel(page, "Spend by endpoint").locator("svg.chart")
    second = panel(page, "Spend by model").locator("svg.chart")
    expect(second.locator(".cross")).to_have_attribute("hidden", "")

    box = first.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 80)

    expect(page.locator(".tip")).to_be_visible()
    expect(page.locator(".tip .tiptitle")).to_contain_text(
        re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d")
    )
    amounts = [float(each[1:]) for each in page.locator(".tiprow b").all_inner_texts()]
    assert amounts == sorted(amounts, reverse=True) and amounts
    for chart in (first, second):
        expect(chart.locator(".cross")).not_to_have_attribute("hidden", "")
    page.mouse.move(5, 5)
    expect(page.locator(".tip")).to_be_hidden()
    expect(second.locator(".cross")).to_have_attribute("hidden", "")


def test_dragging_zooms_every_chart_and_back_undoes_it(show: Show) -> None:
    page = show("overview")
    before = asked(page)
    box = panel(page, "Spend by endpoint").locator("svg.chart .catch").bounding_box()
    assert box

    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 60, steps=4)
    page.mouse.up()
    settled(page, "overview")

    span = [int(asked(page)[end][0]) for end in ("from", "to")]
    whole = [int(before[end][0]) for end in ("from", "to")]
    assert (span[1] - span[0]) / (whole[1] - whole[0]) == pytest.approx(0.5, abs=0.02)
    assert span[0] - whole[0] == pytest.approx((whole[1] - whole[0]) / 4, rel=0.05)
    page.go_back()
    assert asked(page) == before


def test_a_chart_is_read_and_zoomed_with_the_keyboard(show: Show) -> None:
    page = show("overview")
    before = asked(page)
    chart = panel(page, "Spend by endpoint").get_by_role("slider")

    chart.focus()
    page.keyboard.press("Home")
    first = str(chart.get_attribute("aria-valuetext"))
    page.keyboard.press("ArrowRight")
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d, .*\$", first)
    assert chart.get_attribute("aria-valuetext") != first
    for _ in range(4):
        page.keyboard.press("Shift+PageDown")
    expect(chart.locator(".chosen")).to_be_visible()
    page.keyboard.press("Enter")
    settled(page, "overview")
    assert asked(page) != before


def test_the_legend_shows_one_series_alone_and_adds_up(show: Show) -> None:
    page = show("overview")
    spend = panel(page, "Spend by endpoint")
    paths = spend.locator("path.bars")
    count = paths.count()
    totals = spend.locator(".key > .num").all_inner_texts()
    assert count > 2 and len(totals) == count

    spend.get_by_role("button", name="chat.reply").click()
    expect(paths).to_have_count(1)
    expect(spend.get_by_role("button", name="chat.reply")).to_be_focused()
    assert spend.locator('.key[aria-pressed="true"]').count() == 1
    page.keyboard.press("Enter")
    expect(paths).to_have_count(count)
    assert spend.locator(".key > .num").all_inner_texts() == totals


def test_a_deploy_stands_as_a_mark_in_the_chart(show: Show) -> None:
    page = show("versions")

    expect(page.locator(".marks text").first).to_contain_text("v3 → v4")
    assert "Prompt versions" in str(page.locator(".marks title").first.text_content())


def test_a_table_is_sorted_by_its_heads_and_says_how(show: Show) -> None:
    page = show("attribution")
    table = panel(page, "Top endpoints")

    def calls() -> list[int]:
        place = [each.inner_text().strip() for each in table.locator("th").all()].index("calls") + 1
        cells = table.locator(f"tbody td:nth-child({place})").all_inner_texts()
        return [int(each.replace(",", "")) for each in cells]

    table.get_by_role("button", name="calls", exact=True).click()
    assert calls() == sorted(calls(), reverse=True)
    expect(table.locator('th[aria-sort="descending"]')).to_have_text("calls")
    page.keyboard.press("Enter")
    assert calls() == sorted(calls())


def test_any_panel_can_be_read_as_a_table_and_says_what_it_shows(show: Show) -> None:
    page = show("overview")
    spend = panel(page, "Spend by endpoint")

    spend.hover()
    spend.get_by_role("button", name="As a table").click()
    expect(spend.locator("th").first).to_have_text("time")
    spend.get_by_role("button", name="As a table").click()
    expect(spend.locator("svg.chart")).to_be_visible()
    spend.get_by_role("button", name="What is this?").click()
    description = next(
        each["description"]
        for each in BOARDS["tollspan-overview"]["panels"]
        if each["title"] == "Spend by endpoint"
    )
    expect(page.get_by_role("dialog")).to_contain_text(description)


# --- the page -------------------------------------------------------------------------------------


def test_rows_that_need_prometheus_start_folded_and_say_why_when_opened(show: Show) -> None:
    page = show("pipeline", size=TALL)
    rows = page.locator(".rowhead button")

    first, *others = (rows.nth(number) for number in range(rows.count()))
    expect(first).to_have_attribute("aria-expanded", "true")
    assert others
    for each in others:
        expect(each).to_contain_text("(needs Prometheus)")
        expect(each).to_have_attribute("aria-expanded", "false")
    others[0].click()
    expect(panel(page, "Who is up?")).to_contain_text("There is no Prometheus here")
    assert asked(page)["rows"], "the address remembers"


def test_rows_fold_and_panels_fill_the_page_and_the_address_remembers(show: Show) -> None:
    page = show("overview")

    page.get_by_role("button", name="What do we spend?").click()
    expect(panel(page, "Spend")).to_be_hidden()
    page.reload()
    settled(page, "overview")
    expect(panel(page, "Spend")).to_be_hidden()
    page.get_by_role("button", name="What do we spend?").click()
    expect(panel(page, "Spend")).to_be_visible()

    panel(page, "Spend by model").focus()
    page.keyboard.press("v")
    expect(panel(page, "Spend by endpoint")).to_be_hidden()
    box = panel(page, "Spend by model").bounding_box()
    assert box and box["width"] > 1400 and box["height"] > 600
    page.keyboard.press("Escape")
    expect(panel(page, "Spend by endpoint")).to_be_visible()


def test_the_keyboard_walks_through_panels_and_time(show: Show) -> None:
    page = show("overview")

    page.keyboard.press("j")
    expect(panel(page, "Spend")).to_be_focused()
    page.keyboard.press("j")
    expect(panel(page, "Month end")).to_be_focused()
    page.keyboard.press("k")
    expect(panel(page, "Spend")).to_be_focused()
    before = asked(page)
    page.keyboard.press("[")
    assert int(asked(page)["from"][0]) < int(before["from"][0])
    page.keyboard.press("z")
    length = int(asked(page)["to"][0]) - int(asked(page)["from"][0])
    assert length == 2 * (int(before["to"][0]) - int(before["from"][0]))
    settled(page, "overview")


def test_a_range_is_chosen_from_the_list_or_written(show: Show) -> None:
    page = show("overview")

    page.get_by_role("group", name="Time range").get_by_role("button", name="UTC").click()
    box = page.get_by_role("dialog", name="Time range")
    box.get_by_label("From").fill("2026-05-21 06:00")
    box.get_by_label("To").fill("never")
    page.keyboard.press("Enter")
    expect(box.get_by_role("alert")).to_contain_text("Write")
    box.get_by_label("To").fill("2026-05-21 08:30")
    page.keyboard.press("Enter")
    settled(page, "overview")
    assert asked(page)["from"] == ["1779343200000"]
    expect(page.locator(".range")).to_contain_text("2026-05-21 06:00 to 08:30")

    page.locator(".range").click()
    page.get_by_role("dialog").get_by_role("button", name="Last 6 hours").click()
    settled(page, "overview")
    assert (asked(page)["from"], asked(page)["to"]) == (["now-6h"], ["now"])
    expect(page.locator(".range")).to_contain_text("Last 6 hours")


def test_a_refresh_asks_again_and_says_when(show: Show) -> None:
    page = show("overview", more="&refresh=off")
    with page.expect_response(re.compile(r"/panels/\d+$")):
        page.keyboard.press("r")
    settled(page, "overview")


def test_scroll_and_focus_survive_a_refresh(show: Show) -> None:
    page = show("attribution", more="&refresh=off")
    table = panel(page, "Top users")
    table.scroll_into_view_if_needed()
    link = table.get_by_role("link").nth(12)
    link.focus()
    name = link.inner_text()
    box = table.locator(".tablebox")
    scrolled = box.evaluate("(node) => node.scrollTop")
    assert scrolled > 0

    with page.expect_response(re.compile(r"/panels/\d+$")):
        page.keyboard.press("r")
    settled(page, "attribution")

    expect(table.get_by_role("link", name=name, exact=True)).to_be_focused()
    assert box.evaluate("(node) => node.scrollTop") == scrolled


@pytest.mark.parametrize("size", [(1366, 768), (900, 800), (600, 800)])
def test_a_board_fits_smaller_windows(show: Show, size: tuple[int, int]) -> None:
    for board in ("overview", "hops"):
        page = show(board, size=size)

        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert page.locator(".figure").evaluate_all(CUT_OFF) == []
