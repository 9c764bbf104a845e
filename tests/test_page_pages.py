"""Boards, budgets, setup and demo data on the page: true, kept fresh, deaf to hostile data."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import browser
import needs
import page_data
import pytest
from browser import Watched, expect
from page_api import PAGE, PageApi
from page_data import budget, call, failed_call, few

from tollspan.local import budgets

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=20)
HOSTILE = (page_data.IMAGE, page_data.SCRIPT, page_data.DROP, page_data.EMOJI, page_data.BIDI)

Show = Callable[..., Watched]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if why := browser.absent():
        needs.missing("browser", why)
    with browser.chromium() as running:
        yield running


@pytest.fixture
def show(chromium: Browser) -> Iterator[Show]:
    """Opens a page; at the end nothing may have gone wrong on it."""
    opened: list[Watched] = []
    with ExitStack() as stack:

        def opening(api: PageApi, address: str = "", **options: Any) -> Watched:
            watched = stack.enter_context(
                browser.opened(chromium, f"{api.url}/{address}", **options)
            )
            opened.append(watched)
            return watched

        yield opening
        problems = [problem for one in opened for problem in one.problems]
    assert problems == []


@pytest.fixture
def api() -> Iterator[PageApi]:
    with PageApi(few(NOW)) as made:
        yield made


# --- budgets --------------------------------------------------------------------------------------


def test_a_budget_says_state_money_pace_owner_and_when_it_starts_anew(
    show: Show, api: PageApi
) -> None:
    api.budgets = [budget("acme", "116", state="hard"), budget("beta", "82.5"), budget("c", "12")]
    page = show(api, "#/budgets").page
    cards = page.locator(".budget")
    expect(cards).to_have_count(3)
    for number, word in enumerate(["used up", "above the soft mark", "within budget"]):
        expect(cards.nth(number).locator(".status")).to_have_text(word)
    said = cards.nth(1)
    for words in ("$82.50 of $100.00 · 83 %", "$123.75 at this pace", "in 3 d 5 h"):
        expect(said).to_contain_text(words)
    expect(said).to_contain_text("growth team · #growth")
    expect(said.get_by_role("meter")).to_have_attribute("aria-valuetext", "83 % of $100.00 used")


def test_the_bar_and_its_marks_stand_on_one_scale(show: Show, api: PageApi) -> None:
    api.budgets = [budget("c", "50", projected_usd="90"), budget("over", "3000", state="hard")]
    page = show(api, "#/budgets").page
    bar = page.locator(".budgetbar").first
    whole = bar.bounding_box()
    assert whole is not None
    limit = whole["width"] / 1.25
    for part, share in ((".used", 0.5), (".pace", 0.9)):
        box = bar.locator(part).bounding_box()
        assert box is not None
        assert box["width"] == pytest.approx(limit * share, abs=1.5)
    for part, share in ((".softmark", 0.8), (".hardmark", 1.0)):
        box = bar.locator(part).bounding_box()
        assert box is not None
        assert box["x"] - whole["x"] == pytest.approx(limit * share, abs=1.5)
    beyond = page.locator(".budgetbar").nth(1)
    expect(beyond.locator(".beyond")).to_have_count(1)
    width = beyond.locator(".used").bounding_box()
    assert width is not None and width["width"] == pytest.approx(whole["width"], abs=1)


def test_a_budget_links_to_its_calls_and_to_none_it_cannot_name(show: Show, api: PageApi) -> None:
    api.budgets = [
        budget("globex", "10"),
        budget("team", "10", filters={"tag.team": "growth", "endpoint": "agent.plan"}),
        budget("tier", "10", filters={"service_tier": "flex"}),
    ]
    page = show(api, "#/budgets").page
    expect(page.locator(".budget")).to_have_count(3)
    expect(page.locator(".budget").nth(2).locator("a")).to_have_count(0)
    page.get_by_role("link", name="team").click()
    expect(page.locator(".row")).to_have_count(2)
    expect(page.locator(".chips")).to_contain_text("Tag team growth")
    expect(page.locator(".chips")).to_contain_text("Since")
    page.go_back()
    page.get_by_role("link", name="globex").click()
    expect(page.locator(".row")).to_have_count(2)


def test_without_a_budget_the_page_shows_the_file_to_write(show: Show, api: PageApi) -> None:
    page = show(api, "#/budgets").page
    expect(page.locator(".teach")).to_contain_text("No budget yet")
    page.get_by_label("Copy: budgets.toml").click()
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert copied.startswith("[[budgets]]\n")
    expect(page.locator(".teach")).to_contain_text("TOLLSPAN_BUDGETS")


def test_the_file_that_the_page_shows_is_one_that_up_reads(tmp_path: Path) -> None:
    source = (PAGE / "budgets.js").read_text()
    file = tmp_path / "budgets.toml"
    file.write_text(source.split("const EXAMPLE = `")[1].split("`;")[0])
    (found,) = budgets.read(file)
    assert found.name == "acme monthly"
    assert found.filters == {"tenant": "acme", "tag.team": "growth"}


def test_budgets_follow_new_calls_without_a_reload(show: Show, api: PageApi) -> None:
    api.budgets = [budget("acme", "50")]
    page = show(api, "#/budgets").page
    expect(page.locator(".budget .status")).to_have_text("within budget")
    api.budgets = [budget("acme", "85")]
    api.add(call(77, NOW))
    expect(page.locator(".budget .status")).to_have_text("above the soft mark")


@pytest.mark.parametrize("size", [(1500, 900), (420, 800)])
def test_hostile_budgets_stay_text_and_in_their_place(
    show: Show, api: PageApi, size: tuple[int, int]
) -> None:
    api.budgets = [
        budget(text, "10", owner=text, contact=text, action=text, filters={text: text}, period=text)
        | {"state": text, "projected_usd": text}
        for text in (*HOSTILE, "x" * 10_000)
    ]
    page = show(api, "#/budgets", size=size).page
    expect(page.locator(".budget")).to_have_count(6)
    assert page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator(".budgets").evaluate("node => node.scrollWidth <= node.clientWidth")


# --- boards ---------------------------------------------------------------------------------------


def test_the_list_of_boards_opens_each(show: Show, api: PageApi) -> None:
    page = show(api).page
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Boards").click()
    expect(page.locator(".boardcard")).to_have_count(2)
    first = page.get_by_role("link", name="Overview What do we spend?")
    expect(first).to_have_attribute("href", "#/boards/tollspan-overview")
    current = page.get_by_role("navigation", name="Pages").locator("[aria-current=page]")
    expect(current).to_have_text("Boards")


# --- setup ----------------------------------------------------------------------------------------


def test_setup_shows_the_settings_in_force_and_no_secret(show: Show, api: PageApi) -> None:
    page = show(api, "#/setup").page
    chosen = page.get_by_role("table", name="Settings that are set")
    expect(chosen).to_contain_text("TOLLSPAN_UI_PORT")
    expect(chosen).to_contain_text("5000")
    page.get_by_text("1 setting as they come").click()
    expect(page.get_by_role("table", name="Settings as they come")).to_contain_text("not set")


def by_hand(page: Page) -> Page:
    """The page again, with a clock that only `tick` moves."""
    page.clock.install()
    page.reload()
    return page


def tick(page: Page) -> None:
    """Long enough for a page that looks by itself to look once more."""
    page.clock.run_for(2000)


def test_refusals_say_what_came_and_what_to_do(show: Show) -> None:
    with PageApi() as empty:
        page = by_hand(show(empty).page)
        expect(page.locator(".diagnostics")).to_contain_text("No OTLP request received yet")
        refused = {"cause": "grpc_on_http", "count": 3, "last": "2026-11-21T09:00:00.000Z"}
        refused |= {"said": "gRPC came to the port of OTLP/HTTP", "advice": "send gRPC to :4317"}
        empty.status = {"refused": [refused]}
        tick(page)
        said = page.locator(".diagnostics li.warn")
        expect(said).to_contain_text("Refused 3×: gRPC came to the port of OTLP/HTTP")
        expect(said).to_contain_text("send gRPC to :4317")
        empty.status = {"requests_received": 2, "metrics_received": 7}
        tick(page)
        expect(page.locator(".diagnostics")).to_contain_text("OTEL_TRACES_EXPORTER")
        empty.status = {"requests_received": 1, "failed_commits": 2}
        tick(page)
        expect(page.locator(".diagnostics")).to_contain_text("The ledger refused 2 batches")


def test_a_price_file_for_unpriced_models_is_one_click_away(show: Show, api: PageApi) -> None:
    api.status = {"unpriced_models": [{"provider": "openai", "model": 'a"\\b', "calls": 1}]}
    page = show(api, "#/setup").page
    expect(page.locator(".diagnostics")).to_contain_text('openai/a"\\b')
    page.get_by_label("Copy a price file with these models").click()
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert 'provider = "openai"\nmodel = "a\\"\\\\b"\n' in copied
    assert re.search(r"input_usd_per_mtok =\s+#", copied)


# --- demo data ------------------------------------------------------------------------------------


def test_demo_data_comes_with_a_click_says_what_it_is_and_goes_with_another(show: Show) -> None:
    with PageApi() as empty:
        empty.demo = [call(n, NOW + timedelta(seconds=n), data_mode="test") for n in range(1, 8)]
        page = show(empty).page
        page.evaluate("() => { window.kept = true; }")
        page.get_by_role("button", name="Load demo data").click()
        expect(page.locator(".row")).to_have_count(7)
        expect(page.locator(".demobar")).to_contain_text("7 made-up calls of data mode “test”")
        expect(page.locator(".tile").first).to_contain_text("not real money")
        boards = page.get_by_role("link", name="See the boards with it")
        expect(boards).to_have_attribute("href", re.compile("var-data_mode=test"))
        page.locator(".row").first.click()
        page.get_by_role("button", name="Remove it").click()
        expect(page.get_by_text("Waiting for the first call")).to_be_visible()
        expect(page.locator(".demobar")).to_be_hidden()
        expect(page.locator(".pane")).to_be_hidden()
        assert page.evaluate("() => window.kept")


def test_a_refused_click_is_said_in_words_and_the_button_is_there_again(chromium: Browser) -> None:
    with PageApi() as empty, browser.opened(chromium, empty.url) as watched:
        button = watched.page.get_by_role("button", name="Load demo data")
        expect(button).to_be_visible()
        empty.down = True
        button.click()
        expect(watched.page.get_by_role("alert")).to_be_visible()
        expect(button).to_be_enabled()


def test_sums_are_of_real_money_and_say_what_stays_apart(show: Show, api: PageApi) -> None:
    page = show(api).page
    spend = page.locator(".tile").first
    expect(spend).to_contain_text("+ 1 not real")
    expect(page.locator(".tile").nth(2)).to_contain_text("9")
    page.goto(f"{api.url}/#/calls?data_mode=test")
    expect(page.locator(".row")).to_have_count(1)
    expect(spend).not_to_contain_text("not real")
    expect(spend).to_contain_text("$0.00008192")


SOME_FRAMES = """() => new Promise((done) => {
  let left = 20;
  const frame = () => (left-- ? requestAnimationFrame(frame) : done());
  frame();
})"""


def test_sums_that_come_late_do_not_take_the_place_of_those_asked_for_since(
    show: Show, api: PageApi
) -> None:
    page = show(api).page
    spend = page.locator(".tile").first
    expect(spend).to_contain_text("+ 1 not real")
    api.sums = threading.Semaphore(0)
    with page.expect_request("**/api/summary"):
        api.add(api.calls[0])  # told anew: the page asks for its sums
    page.goto(f"{api.url}/#/calls?data_mode=test")
    expect(spend).to_contain_text("$0.00008192")
    with page.expect_response("**/api/summary?data_mode=real*"):
        api.sums.release(9)
    page.evaluate(SOME_FRAMES)  # in which it would be drawn
    expect(spend).to_contain_text("$0.00008192")


# --- for everybody ---------------------------------------------------------------------------------


NAMELESS = """nodes => nodes.filter((n) => n.checkVisibility())
  .filter((n) => !(n.ariaLabel || n.textContent.trim())).map((n) => n.outerHTML)"""
WORDS = "nodes => nodes.filter((n) => n.checkVisibility()).map((n) => n.textContent.trim())"


def test_whatever_can_be_pressed_has_a_name_and_is_reached_by_the_keyboard(
    show: Show, api: PageApi
) -> None:
    api.budgets = [budget("acme", "50")]
    api.demo = [api.calls[0]]
    page = show(api).page
    for address, there in [
        ("#/calls", ".demobar"),
        ("#/boards", ".boardcard"),
        ("#/budgets", ".budget"),
        ("#/setup", ".inforce"),
    ]:
        page.evaluate("address => { location.hash = address; }", address)
        page.wait_for_selector(there)
        assert page.locator("button, a, input, summary").evaluate_all(NAMELESS) == []
        wanted = page.locator("main").locator("a[href], button:not([tabindex='-1']), summary")
        reachable = {words for words in wanted.evaluate_all(WORDS) if words}
        reached: set[str] = set()
        page.evaluate("() => document.activeElement.blur()")
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("() => document.activeElement.textContent.trim()"))
            if reachable <= reached:
                break
        assert reachable <= reached


# --- addresses ------------------------------------------------------------------------------------


def test_addresses_that_boards_write_land_on_the_filtered_calls(show: Show, api: PageApi) -> None:
    since = int((NOW + timedelta(seconds=20)).timestamp() * 1000)
    page = show(api, f"#/calls?since={since}&tag.team=growth").page
    expect(page.locator(".row")).to_have_count(4)
    page.get_by_label("Remove filter Since").click()
    expect(page.locator(".row")).to_have_count(10)
    assert "tag.team=growth" in page.url
    until = (NOW + timedelta(seconds=10)).isoformat()
    page.goto(f"{api.url}/#/calls?until={quote(until)}")
    expect(page.locator(".row")).to_have_count(3)


def test_while_everything_fails_nothing_claims_a_price(show: Show) -> None:
    with PageApi([failed_call(n, NOW + timedelta(seconds=n)) for n in range(1, 9)]) as failing:
        page = show(failing).page
        expect(page.locator(".tile").first).to_contain_text("no call has a price")
        expect(page.locator(".trust")).to_contain_text("no call states what it cost")
        expect(page.locator(".tile").nth(2)).to_contain_text("no tokens stated")


def test_a_summary_that_is_not_there_yet_says_nothing(show: Show, api: PageApi) -> None:
    watched = show(api, "#/setup")
    page = watched.page
    page.route("**/api/summary*", lambda route: None)  # never answered
    page.evaluate("() => { location.hash = '#/calls?breakdown=1'; }")
    expect(page.locator(".row")).to_have_count(10)
    expect(page.locator(".tile").first).to_have_text("Spend–")
    expect(page.locator(".split").first).to_contain_text("reading…")


def test_a_trace_left_while_it_was_asked_for_does_not_answer_for_the_next(
    chromium: Browser, api: PageApi
) -> None:
    first, second = (each["trace_id"] for each in api.calls[3:5])
    with browser.opened(chromium, f"{api.url}/#/setup") as watched:
        page = watched.page
        expect(page.locator(".setupmain")).to_be_visible()
        held: list[Any] = []
        page.route("**/api/traces/*", lambda route: held.append(route))
        for trace in (first, second):
            with page.expect_request(f"**/api/traces/{trace}"):
                page.goto(f"{api.url}/#/trace/{trace}")
        page.evaluate("() => null")  # requests are told of before they are handed over
        with page.expect_event("requestfailed"):
            held[0].abort()
        page.evaluate("() => null")
        expect(page.locator(".nomatch")).to_have_count(0)
        held[-1].continue_()
        expect(page.locator(".wrow").first).to_be_visible()


def test_a_page_that_is_opened_from_another_asks_once_and_once_more_when_it_is_opened_again(
    show: Show, api: PageApi
) -> None:
    page = show(api, "#/setup").page
    expect(page.locator(".feed")).to_have_text("live")  # a feed that opens asks as well
    asked: Counter[str] = Counter()
    page.on("request", lambda request: asked.update([urlsplit(request.url).path]))
    trace = api.calls[3]["trace_id"]
    for time in (1, 2):
        for address, there, path in [
            (f"#/trace/{trace}", ".wrow", f"/api/traces/{trace}"),
            ("#/calls", ".row", "/api/calls"),
            ("#/boards", ".boardcard", "/api/boards"),
        ]:
            page.evaluate("address => { location.hash = address; }", address)
            expect(page.locator(there).first).to_be_visible()
            # One request too many would stand in front of this one.
            page.evaluate("() => fetch('/api/status').then(answer => answer.text())")
            assert asked[path] == time, address
