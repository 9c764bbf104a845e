"""The local page in a real browser: live, honest about money, deaf to hostile data, easy to read."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import browser
import needs
import page_data
import pytest
from browser import Watched, expect
from page_api import PAGE, PageApi
from page_data import call, failed_call, few, hostile, many

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=20)
WIDTHS = [(1500, 900), (1366, 768), (900, 800)]

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
            url = f"{api.url}/{address}"
            watched = stack.enter_context(browser.opened(chromium, url, **options))
            opened.append(watched)
            return watched

        yield opening
        problems = [problem for one in opened for problem in one.problems]
    assert problems == []


@pytest.fixture
def api() -> Iterator[PageApi]:
    with PageApi() as made:
        yield made


def ids(page: Page) -> list[str]:
    """The calls in the list, from top to bottom."""
    return page.locator(".rows .row").evaluate_all("rows => rows.map(row => row.dataset.id)")


def at(second: float) -> datetime:
    return NOW + timedelta(seconds=second)


# --- the page as a whole ------------------------------------------------------------------------


def test_every_page_opens_without_an_error_or_a_csp_violation(show: Show) -> None:
    with PageApi(few(NOW)) as api:
        one = api.calls[4]
        for theme, address, there in [
            ("light", "", ".row"),
            ("dark", "#/calls?breakdown=1&call=call-000004", ".pane .wrow"),
            ("light", f"#/trace/{one['trace_id']}", ".wrow"),
            ("dark", "#/setup", ".inforce"),
            ("light", "#/calls?q=nothing-has-this", ".nomatch"),
            ("dark", "#/trace/none", ".nomatch"),
        ]:
            watched = show(api, address, theme=theme)
            watched.page.wait_for_selector(there)
            if address == "#/trace/none":
                # Chromium reports the 404 itself; the page says it in words.
                assert "no such trace" in watched.page.locator(".nomatch").inner_text()
                assert all("404" in problem for problem in watched.problems)
                watched.problems.clear()


def test_the_watch_sees_a_csp_violation(chromium: Browser, api: PageApi) -> None:
    with browser.opened(chromium, api.url) as watched:
        watched.page.evaluate(
            "() => { const b = document.createElement('b');"
            " b.setAttribute('style', 'color: red'); document.body.append(b); }"
        )
        watched.page.wait_for_timeout(100)
        assert any("style" in problem for problem in watched.problems)


def test_the_browser_itself_refuses_markup_from_strings(chromium: Browser, api: PageApi) -> None:
    with browser.opened(chromium, api.url) as watched:
        refused = watched.page.evaluate(
            "() => { try { document.body.innerHTML = '<i>x</i>'; return false; }"
            " catch (error) { return error instanceof TypeError; } }"
        )
        assert refused


def test_sources_hold_no_markup_from_data_and_no_inline_style() -> None:
    for file in PAGE.glob("*.js"):
        source = file.read_text()
        for banned in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert banned not in source, f"{file.name}: {banned}"
    page = (PAGE / "index.html").read_text()
    assert not re.search(r"\sstyle=|\son\w+=|<style|<script>", page)
    for name in re.findall(r'(?:src|href)="([^"#]+)"', page):
        assert (PAGE / name).is_file(), name


CUT_OFF = """cells => cells.filter((cell) => {
  const text = document.createRange();
  text.selectNodeContents(cell);
  const [inside, box] = [text.getBoundingClientRect(), cell.getBoundingClientRect()];
  return inside.width > 0 && (inside.left < box.left - 0.5 || inside.right > box.right + 0.5);
}).map((cell) => cell.textContent)"""


def test_nothing_is_wider_than_the_window_and_no_amount_is_cut_off(show: Show) -> None:
    for calls, addresses in [
        (few(NOW), ["", "#/calls?call=call-000009", f"#/trace/{few(NOW)[4]['trace_id']}"]),
        (many(80, NOW), ["#/calls?breakdown=1"]),
        ([failed_call(n, at(n)) for n in range(1, 30)], [""]),
        (hostile(NOW), ["", "#/calls?call=call-000900"]),
    ]:
        with PageApi(calls) as api:
            page = show(api).page
            for address in addresses:
                page.evaluate("address => { location.hash = address || '#/calls'; }", address)
                part = (
                    ".trace .wrow"
                    if "trace" in address
                    else ".pane .wrow"
                    if "=call-" in address
                    else ".row"
                )
                page.wait_for_selector(part)
                for width, height in WIDTHS:
                    page.set_viewport_size({"width": width, "height": height})
                    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
                    assert wide <= 0
                    amounts = page.locator(".c-cost, .tile .value, .wcost")
                    assert amounts.evaluate_all(CUT_OFF) == []


def test_no_count_of_tokens_reads_as_another_one(show: Show) -> None:
    sizes = [(54_000_000, 0, 128_000), (204_800, 0, 131_072), (9_999, 0, 180), (540_000, 0, 9_999)]
    calls = [call(n, at(n), tokens=tokens) for n, tokens in enumerate(sizes, 1)]
    with PageApi(calls) as api:
        page = show(api).page
        for address in ("#/calls", f"#/calls?call={calls[0]['call_id']}"):
            page.evaluate("address => { location.hash = address; }", address)
            page.wait_for_selector(".pane .wrow" if "=" in address else ".row")
            for width, height in WIDTHS:
                page.set_viewport_size({"width": width, "height": height})
                assert page.locator(".row .c-tokens:visible").evaluate_all(CUT_OFF) == []
        page.set_viewport_size({"width": 1440, "height": 900})
        said = page.locator(".row .c-tokens").evaluate_all(
            "cells => cells.map((c) => [c.textContent, c.title])"
        )

    assert [text for text, _ in said] == ["540K→9,999", "9,999→180", "205K→131K", "54M→128K"]
    assert said[-1][1].startswith("54,000,000 in, 128,000 out")


@pytest.mark.parametrize("size", [(390, 844), (360, 640), (320, 568)])
def test_on_a_phone_the_list_begins_on_the_first_screen_and_can_be_read(
    show: Show, size: tuple[int, int]
) -> None:
    width, height = size
    with PageApi(few(NOW)) as api:
        page = show(api).page
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_selector(".row")
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert page.locator(".row").first.evaluate("row => row.getBoundingClientRect().top") < 500
        read = page.locator(".row .c-time:visible, .row .c-cost, .tile .value")
        assert read.evaluate_all(CUT_OFF) == []
        widest = "names => Math.max(...names.map((one) => one.getBoundingClientRect().width))"
        assert page.locator(".row .c-endpoint .name").evaluate_all(widest) >= 70
        cut = "parts => parts.filter((part) => part.scrollHeight > part.clientHeight + 1).length"
        assert page.locator(".strip, .tile").evaluate_all(cut) == 0
        right = "buttons => Math.max(...buttons.map((one) => one.getBoundingClientRect().right))"
        assert page.locator("header button").evaluate_all(right) <= width


# --- live -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("live", [True, False], ids=["events", "polling"])
def test_the_first_call_appears_without_a_reload(
    chromium: Browser, api: PageApi, live: bool
) -> None:
    api.live = live
    with browser.opened(chromium, api.url) as watched:
        page = watched.page
        expect(page.get_by_text("Waiting for the first call")).to_be_visible()
        page.evaluate("() => { window.kept = true; }")
        expect(page.locator(".feed")).to_have_text("live" if live else "polling")
        api.add(call(1, at(0)))
        expect(page.locator(".row")).to_have_count(1)
        expect(page.get_by_text("Waiting for the first call")).to_be_hidden()
        expect(page.locator(".tile").first).to_contain_text("$0.000189")
        assert page.evaluate("() => window.kept")
        # Without the feed Chromium reports the 404 of it; nothing else may go wrong.
        assert [one for one in watched.problems if live or "404" not in one] == []


def test_rows_go_in_on_top_while_nobody_reads(show: Show) -> None:
    with PageApi(few(NOW)) as api:
        page = show(api).page
        expect(page.locator(".row")).to_have_count(10)
        api.add(call(11, at(60)), call(12, at(61)))
        expect(page.locator(".row")).to_have_count(12)
        assert ids(page)[:2] == ["call-000012", "call-000011"]
        expect(page.locator(".banner")).to_be_hidden()


def test_selection_survives_new_rows_and_a_banner_counts_them(show: Show) -> None:
    with PageApi(few(NOW)) as api:
        page = show(api).page
        page.locator('[data-id="call-000004"]').click()
        expect(page.locator(".pane h2")).to_have_text("checkout.ai_summary")
        before = ids(page)
        api.add(call(11, at(60)), call(12, at(61)), call(13, at(62)))
        expect(page.locator(".banner")).to_have_text("3 new — show")
        assert ids(page) == before
        expect(page.locator('[aria-selected="true"].row')).to_have_attribute(
            "data-id", "call-000004"
        )
        page.locator(".banner").click()
        expect(page.locator(".row")).to_have_count(13)
        expect(page.locator(".pane")).to_be_hidden()


def test_scroll_survives_new_rows_and_the_way_back_up_shows_them(show: Show) -> None:
    with PageApi(many(120, NOW)) as api:
        page = show(api).page
        expect(page.locator(".row")).to_have_count(50)
        # Where the rows stand is known when the sums above them do.
        expect(page.locator(".tile").first).to_contain_text("$")
        scroller = page.locator(".scroller")
        scroller.evaluate("node => { node.scrollTop = 700; }")
        seen = page.locator(".rows .row").nth(19).bounding_box()
        api.add(call(1001, at(900)))
        expect(page.locator(".banner")).to_have_text("1 new — show")
        assert scroller.evaluate("node => node.scrollTop") == 700
        assert page.locator(".rows .row").nth(19).bounding_box() == seen
        scroller.evaluate("node => { node.scrollTop = 0; }")
        expect(page.locator(".banner")).to_be_hidden()
        assert ids(page)[0] == "call-001001"


def test_pause_holds_the_list_and_stands_in_the_address(show: Show) -> None:
    with PageApi(few(NOW)) as api:
        page = show(api).page
        expect(page.locator(".row")).to_have_count(10)
        page.keyboard.press("p")
        expect(page.locator(".feed")).to_have_text("paused")
        assert "paused=1" in page.url
        api.add(call(11, at(60)))
        expect(page.locator(".banner")).to_have_text("1 new — show")
        expect(page.locator(".row")).to_have_count(10)
        page.keyboard.press("p")
        expect(page.locator(".row")).to_have_count(11)


def test_a_list_asked_again_while_it_loaded_holds_still_once_paused(show: Show) -> None:
    with PageApi(few(NOW)) as api:
        api.lists = threading.Semaphore(0)
        page = show(api).page
        expect(page.locator(".feed")).to_have_text("live")
        api.lists.release()
        expect(page.locator(".row")).to_have_count(10)
        page.keyboard.press("p")
        api.add(call(11, at(60)))
        api.lists.release(9)
        expect(page.locator(".banner")).to_have_text("1 new — show")
        expect(page.locator(".row")).to_have_count(10)


def test_a_corrected_call_changes_in_place_under_a_selection(show: Show) -> None:
    with PageApi(few(NOW)) as api:
        page = show(api).page
        page.locator('[data-id="call-000004"]').click()
        before = ids(page)
        api.add(api.calls[3] | {"cost_usd": "0.0123456789", "cost_grade": "lower_bound"})
        cost = page.locator('[data-id="call-000004"] .c-cost')
        expect(cost).to_have_text("≥ $0.01235")
        expect(page.locator(".pane .headline")).to_contain_text("$0.01235")
        assert sorted(ids(page)) == sorted(before)


def test_a_burst_leaves_no_gap(show: Show) -> None:
    with PageApi(few(NOW)) as api:
        page = show(api).page
        expect(page.locator(".row")).to_have_count(10)
        api.add(*[call(n, at(n)) for n in range(100, 230)])
        expect(page.locator(".row")).to_have_count(140)
        assert ids(page) == sorted(ids(page), reverse=True)


def test_older_calls_load_by_scrolling_each_once_in_order(show: Show) -> None:
    with PageApi(many(170, NOW)) as api:
        page = show(api).page
        expect(page.locator(".row")).to_have_count(50)
        for count in (100, 150, 170):
            page.locator(".scroller").evaluate("node => { node.scrollTop = node.scrollHeight; }")
            expect(page.locator(".row")).to_have_count(count)
        assert ids(page) == [f"call-{n:06d}" for n in range(170, 0, -1)]
        expect(page.locator(".foot")).to_have_text("170 calls, that is all")


def test_a_silent_api_is_said_in_words_and_what_is_shown_stays(
    chromium: Browser, api: PageApi
) -> None:
    api.calls = few(NOW)
    with browser.opened(chromium, api.url) as watched:
        page = watched.page
        expect(page.locator(".row")).to_have_count(10)
        api.down = True
        api.add(call(11, at(60)))
        expect(page.get_by_role("alert")).to_have_text("the ledger is closed")
        expect(page.locator(".feed")).to_have_text("no answer")
        expect(page.locator(".row")).to_have_count(10)
        api.down = False
        api.add(call(12, at(61)))
        expect(page.locator(".row")).to_have_count(12)
        expect(page.get_by_role("alert")).to_be_hidden()


# --- filters and the address ----------------------------------------------------------------------


def test_filters_in_the_address_are_restored_and_chips_take_them_away(show: Show) -> None:
    with PageApi(few(NOW)) as api:
        page = show(api, "#/calls?endpoint=chat.reply&status=abandoned&range=24h").page
        expect(page.locator(".row")).to_have_count(1)
        assert ids(page) == ["call-000009"]
        chips = page.locator(".chips .removable")
        expect(chips).to_have_count(3)
        expect(chips.nth(0)).to_have_text("Endpoint chat.reply")
        page.get_by_label("Remove filter Status").click()
        expect(page.locator(".row")).to_have_count(3)
        assert "status=" not in page.url
        page.go_back()
        expect(page.locator(".row")).to_have_count(1)
        page.reload()
        expect(page.locator(".row")).to_have_count(1)
        page.get_by_text("Clear all").click()
        expect(page.locator(".row")).to_have_count(10)


def test_a_menu_finds_a_value_and_filters_by_it(show: Show) -> None:
    with PageApi(few(NOW)) as api:
        page = show(api).page
        expect(page.locator(".row")).to_have_count(10)
        page.get_by_role("button", name="Tenant").click()
        page.keyboard.type("glob")
        expect(page.get_by_role("option")).to_have_text(["globex"])
        page.keyboard.press("Enter")
        expect(page.locator(".row")).to_have_count(2)
        assert "tenant=globex" in page.url
        expect(page.locator(".menu")).to_have_count(0)


def test_search_asks_the_api_and_the_trust_hint_filters_unpriced(show: Show) -> None:
    with PageApi(few(NOW)) as api:
        page = show(api).page
        expect(page.locator(".row")).to_have_count(10)
        page.keyboard.press("/")
        page.keyboard.type("claude")
        expect(page.locator(".row")).to_have_count(1)
        page.get_by_text("Clear all").click()
        page.get_by_role("button", name="1 unpriced: spend is under-counted").click()
        expect(page.locator(".row")).to_have_count(1)
        assert ids(page) == ["call-000008"]
        expect(page.locator(".row .unpriced")).to_have_attribute(
            "title", re.compile("price book does not know the model.*not zero")
        )


def test_new_calls_that_do_not_match_stay_out(show: Show) -> None:
    with PageApi(few(NOW)) as api:
        page = show(api, "#/calls?tenant=globex").page
        expect(page.locator(".row")).to_have_count(2)
        api.add(call(11, at(60)), call(12, at(61), tenant="globex"))
        expect(page.locator(".row")).to_have_count(3)
        assert ids(page)[0] == "call-000012"


# --- what a row says ------------------------------------------------------------------------------


def test_a_row_says_path_grade_waste_and_status_in_words(show: Show) -> None:
    with PageApi(few(NOW)) as api:
        page = show(api).page

        def cell(number: int, name: str) -> Any:
            return page.locator(f'[data-id="call-{number:06d}"] .c-{name}')

        chips = ["app", "litellm", "openai/gpt-4o-mini"]
        expect(cell(2, "path").locator(".hop")).to_have_text(chips)
        expect(cell(5, "path")).to_contain_text("fallback")
        expect(cell(6, "path")).to_contain_text("cache hit")
        expect(cell(7, "path")).to_contain_text("retry ×2")
        expect(cell(9, "cost")).to_have_text("≥ $0.0001716")
        expect(cell(8, "cost")).to_have_text("unpriced")
        expect(cell(6, "cost")).to_have_text("$0")
        expect(cell(4, "cost").locator(".wasted")).to_have_attribute(
            "aria-label", "$0.000081 of it wasted: retry"
        )
        expect(cell(7, "status")).to_have_text("error")
        expect(cell(8, "endpoint")).to_contain_text("untagged")
        expect(cell(2, "tokens")).to_have_attribute("title", "2,140 in (1,536 from cache), 655 out")


def test_waste_of_an_unknown_amount_is_told_in_words(show: Show) -> None:
    lost = {"cost_usd": None, "derived_usd": None, "wasted_usd": None, "cost_grade": "unpriced"}
    lost |= {"status": "abandoned", "waste_reason": "abandoned", "unpriced_reason": "no_usage"}
    calls = few(NOW)
    calls[0] |= lost
    with PageApi(calls) as api:
        page = show(api).page
        row = page.locator('[data-id="call-000001"]')
        expect(row.locator(".c-cost")).to_have_text("unpriced")
        mark = row.locator(".c-cost .wasted")
        expect(mark).to_have_attribute("aria-label", "abandoned, cost unknown")
        row.click()
        expect(page.get_by_text("abandoned, cost unknown", exact=True)).to_be_visible()


def test_money_is_exact_and_rounded_as_promised(chromium: Browser, api: PageApi) -> None:
    with browser.opened(chromium, api.url) as watched:
        said = watched.page.evaluate(
            """async () => {
              const m = await import("/money.js");
              const of = (text) => m.units(text);
              return {
                perCall: ["0.0038124", "1.23456", "0.00000123450", "1E-7", "12345.678", "0", "0.5",
                          "0.000189000000", "-0.25"].map((t) => m.perCall(of(t))),
                total: ["182.4", "0.9655", "0.0421", "0.000312", "1234567.895", "0"].map(
                  (t) => m.total(of(t))),
                exact: ["0.003812125000", "1E-12", "90071992547409.910001"].map(
                  (t) => m.exact(of(t))),
                sum: m.exact(m.sum(["0.1", "0.2", null, "1e-18"])),
                share: m.exact(m.share(of("1"), 3)),
                none: [m.units(null), m.units("NaN"), m.units("<b>"), m.sum([null]),
                       m.share(of("1"), 0)],
              };
            }"""
        )
    assert said["perCall"] == [
        *("$0.003812", "$1.235", "$0.000001234", "$0.0000001", "$12,345.68", "$0", "$0.50"),
        *("$0.000189", "−$0.25"),
    ]
    assert said["total"] == [
        *("$182.40", "$0.9655", "$0.0421", "$0.000312", "$1,234,567.90", "$0"),
    ]
    assert said["exact"] == ["$0.003812125", "$0.000000000001", "$90,071,992,547,409.910001"]
    assert said["sum"] == "$0.300000000000000001"
    assert said["share"] == "$0.333333333333333333"
    assert said["none"] == [None] * 5


# --- hostile data ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", WIDTHS[:2])
def test_hostile_strings_stay_text_everywhere(show: Show, size: tuple[int, int]) -> None:
    with PageApi(hostile(NOW)) as api:
        scripts_of_the_page = 2
        page = show(api, size=size).page
        for address in [
            "#/calls?breakdown=1",
            "#/setup",
            *(f"#/calls?call={one['call_id']}" for one in api.calls),
            *(f"#/trace/{one['trace_id']}" for one in api.calls),
            "#/calls?endpoint=%3Cimg%20src%3Dx%20onerror%3D%22alert(1)%22%3E",
        ]:
            page.evaluate("address => { location.hash = address; }", address)
            part = "trace" if "trace" in address else "setup" if "setup" in address else "calls"
            page.wait_for_selector(f".{part} :is(.row, .wrow, .diagnostics)")
            if "call=" in address:
                page.wait_for_selector(".pane .wrow")
            assert page.locator("img").count() == 0
            assert page.locator("script").count() == scripts_of_the_page
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            heights = page.locator(".row:visible").evaluate_all(
                "rows => [...new Set(rows.map(row => row.offsetHeight))]"
            )
            assert heights in ([], [37])
        expect(page.locator(".row")).to_have_count(1)
        expect(page.locator(".row .c-endpoint")).to_contain_text(page_data.IMAGE)


def test_marks_that_turn_text_around_are_shown_not_obeyed(show: Show) -> None:
    with PageApi(hostile(NOW)) as api:
        page = show(api).page
        row = page.locator('[data-id="call-000904"]')
        expect(row).to_have_count(1)
        name = row.locator(".c-endpoint .name").text_content() or ""
        assert "\u202e" not in name and name.startswith("abc\ufffdgnp.exe")


def test_hostile_values_in_a_menu_stay_text(show: Show) -> None:
    with PageApi(hostile(NOW)) as api:
        page = show(api).page
        expect(page.locator(".row")).to_have_count(7)
        page.get_by_role("button", name="Tenant").click()
        page.get_by_role("option", name=page_data.IMAGE).click()
        expect(page.locator(".row")).to_have_count(1)
        assert page.locator("img").count() == 0


# --- one trace ------------------------------------------------------------------------------------


def test_a_trace_shows_rows_in_order_with_money_on_the_owner_alone(show: Show) -> None:
    with PageApi(few(NOW)) as api:
        page = show(api, f"#/trace/{api.calls[4]['trace_id']}").page
        rows = page.locator(".wrow")
        expect(rows).to_have_count(6)
        kinds = rows.locator(".kind").all_inner_texts()
        assert kinds == ["app", "call", "attempt 1", "proxy", "model", "call"]
        levels = rows.evaluate_all("rows => rows.map(row => Number(row.ariaLevel))")
        assert levels == [1, 2, 3, 3, 4, 5]
        costs = rows.locator(".wcost").all_inner_texts()
        assert [cost.split() for cost in costs] == [
            *([], ["$0.00443"], [], [], [], ["$0.00443", "restated"]),
        ]
        expect(rows.nth(5).locator(".wcost s")).to_have_text("$0.00443")
        expect(page.locator(".totals")).to_contain_text("$0.00443 in all")
        rows.nth(5).click()
        expect(page.locator(".restatednote")).to_contain_text("counted on chat smart")


def test_attempts_say_status_retry_after_and_failure_in_words(show: Show) -> None:
    with PageApi(few(NOW)) as api:
        page = show(api, f"#/trace/{api.calls[6]['trace_id']}").page
        attempts = page.locator(".wrow.role-attempt")
        expect(attempts).to_have_count(3)
        for number in range(3):
            expect(attempts.nth(number)).to_contain_text(f"attempt {number + 1}")
            expect(attempts.nth(number)).to_contain_text("429")
            expect(attempts.nth(number)).to_contain_text("retry after 500 ms")
        expect(page.locator(".wrow.role-call .badge.bad")).to_have_text("RateLimitError")
        expect(page.locator(".failure")).to_contain_text("Error code: 429")


def test_bars_stand_on_one_axis(show: Show) -> None:
    with PageApi(few(NOW)) as api:
        page = show(api, f"#/trace/{api.calls[3]['trace_id']}").page
        page.wait_for_selector(".wrow")
        spans = page_data.trace(api.calls[3])["spans"]
        length = max(one["offset_s"] + one["duration_s"] for one in spans)
        track = page.locator(".wrow .track").first.bounding_box()
        assert track is not None
        for number, one in enumerate(spans):
            bar = page.locator(".wrow").nth(number).locator(".span").bounding_box()
            assert bar is not None
            assert bar["x"] - track["x"] == pytest.approx(
                one["offset_s"] / length * track["width"], abs=1.5
            )
            assert bar["width"] == pytest.approx(
                one["duration_s"] / length * track["width"], abs=1.5
            )


def test_facts_name_both_amounts_the_models_and_why_content_is_absent(show: Show) -> None:
    with PageApi(few(NOW)) as api:
        one = api.calls[3]
        page = show(api, f"#/trace/{one['trace_id']}").page
        pane = page.locator(".traceright")
        for said in ("stated by the provider or a gateway", "$0.000189", "$0.000081 (retry)"):
            expect(pane).to_contain_text(said)
        for name in ("requested", "deployment", "served", "reported", "derived", "request id"):
            expect(pane.locator("dt", has_text=re.compile(f"^{name}$"))).to_be_visible()
        expect(pane).to_contain_text("Message content is never recorded")
        pane.get_by_label("Copy trace id").click()
        assert page.evaluate("() => navigator.clipboard.readText()") == one["trace_id"]


def test_a_span_without_a_parent_or_in_a_circle_is_still_shown(show: Show) -> None:
    with PageApi(few(NOW)) as api:
        one = api.calls[0]
        trace = page_data.trace(one)
        trace["spans"][0]["parent_id"] = "f" * 16
        trace["spans"][-1]["parent_id"] = trace["spans"][-1]["span_id"]
        trace["spans"][-1] |= {"offset_s": -0.5, "duration_s": None, "attributes": {}}
        api.traces[one["trace_id"]] = trace
        page = show(api, f"#/trace/{one['trace_id']}").page
        expect(page.locator(".wrow")).to_have_count(len(trace["spans"]))


# --- keyboard, theme, first run -------------------------------------------------------------------


def test_the_keyboard_reaches_everything(show: Show) -> None:
    with PageApi(few(NOW)) as api:
        page = show(api).page
        expect(page.locator(".row")).to_have_count(10)
        for key in "jjk":
            page.keyboard.press(key)
        expect(page.locator(".row.cursor")).to_have_attribute("data-id", "call-000010")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        expect(page.locator(".pane h2")).to_have_text("chat.reply")
        page.keyboard.press("j")
        expect(page.locator(".pane h2")).to_have_text("untagged")
        page.keyboard.press("Enter")
        page.wait_for_selector(".trace .wrow")
        page.keyboard.press("j")
        expect(page.locator('.trace .wrow[aria-selected="true"] .kind')).to_have_text("attempt 1")
        page.keyboard.press("k")
        page.keyboard.press("h")
        expect(page.locator(".wrow:visible")).to_have_count(2)
        page.keyboard.press("l")
        expect(page.locator(".wrow:visible")).to_have_count(4)
        page.keyboard.press("Escape")
        expect(page.locator(".pane h2")).to_have_text("untagged")
        page.keyboard.press("Escape")
        expect(page.locator(".pane")).to_be_hidden()
        page.keyboard.press("Escape")
        expect(page.locator(".row.cursor")).to_have_count(0)
        page.keyboard.press("b")
        expect(page.locator(".splits")).to_be_visible()
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()


def test_the_chosen_theme_is_kept(show: Show, api: PageApi) -> None:
    page = show(api, theme="dark").page
    page.get_by_role("button", name="Theme: as the system").click()
    ground = "() => getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(246, 247, 249)"
    page.reload()
    assert page.evaluate(ground) == "rgb(246, 247, 249)"
    page.keyboard.press("t")
    assert page.evaluate(ground) == "rgb(15, 18, 22)"


def test_the_empty_list_teaches_with_the_real_endpoint(show: Show, api: PageApi) -> None:
    page = show(api).page
    expect(page.locator(".snippet code").nth(1)).to_contain_text("http://127.0.0.1:14318")
    page.get_by_label("Copy: or with the OpenTelemetry launcher").click()
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert copied.startswith("export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:14318\n")
    page.get_by_role("tab", name="Existing OTel").click()
    expect(page.locator(".way")).to_contain_text("otlp_http/tollspan")
    said = page.locator(".diagnostics li")
    expect(said.nth(0)).to_contain_text("No OTLP request received yet")
    api.status = {"requests_received": 2, "spans_received": 12}
    expect(said.nth(1)).to_contain_text("12 spans parsed")
    expect(said.nth(2)).to_contain_text("None of them looked like an LLM call")


def test_setup_says_which_models_have_no_price(show: Show) -> None:
    with PageApi(few(NOW)) as api:
        page = show(api, "#/setup").page
        said = page.locator(".diagnostics")
        expect(said).to_contain_text("no price for openai/house-model-7b (1)")
        expect(said).to_contain_text("1 call untagged")
        expect(page.locator(".install")).to_contain_text("0.1.0")


def test_tables_tell_their_structure_to_assistive_technology(show: Show) -> None:
    with PageApi(few(NOW)) as api:
        page = show(api).page
        grid = page.get_by_role("grid", name="Calls, newest first")
        expect(grid.get_by_role("row")).to_have_count(11)
        expect(grid.get_by_role("columnheader")).to_have_count(9)
        expect(grid.get_by_role("row").nth(1).get_by_role("gridcell")).to_have_count(9)
        nameless = page.locator("button, a, input").evaluate_all(
            "nodes => nodes.filter(n => n.checkVisibility())"
            ".filter(n => !(n.ariaLabel || n.textContent.trim())).length"
        )
        assert nameless == 0
