"""A first hour with the real stack: wrong port, demo data, the first real call, all in one browser."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator

import browser
import needs
import pytest
from browser import Watched, expect
from spans import owner, protobuf

from tollspan import semconv
from tollspan.local import LocalStack, sample

pytestmark = pytest.mark.slow

IMAGE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with LocalStack() as running:
        yield running


@pytest.fixture(scope="module")
def watched(stack: LocalStack) -> Iterator[Watched]:
    if why := browser.absent():
        needs.missing("browser", why)
    with browser.chromium() as chromium, browser.opened(chromium, stack.page_url) as page:
        yield page


def send(url: str, body: bytes, kind: str = "application/x-protobuf") -> None:
    request = urllib.request.Request(f"{url}/v1/traces", body, {"content-type": kind})
    try:
        urllib.request.urlopen(request, timeout=20).close()
    except urllib.error.HTTPError as error:
        error.close()


def test_from_an_empty_page_over_demo_data_to_the_first_call(
    stack: LocalStack, watched: Watched
) -> None:
    page = watched.page
    expect(page.get_by_text("Waiting for the first call")).to_be_visible()
    expect(page.locator(".snippet").first).to_contain_text(f"TOLLSPAN_HTTP_PORT={stack.http_port}")
    page.evaluate("() => { window.kept = true; }")

    send(stack.page_url, b"")
    send(stack.http_endpoint, b"{}", "text/plain")
    said = page.locator(".diagnostics")
    expect(said).to_contain_text("OTLP came to the port of this page")
    expect(said).to_contain_text(f"send it to {stack.http_endpoint}")
    expect(said).to_contain_text("a content type or encoding that is not read here")

    page.get_by_role("button", name="Load demo data").click()
    expect(page.locator(".row")).to_have_count(50, timeout=20_000)
    expect(page.locator(".demobar")).to_contain_text(
        f"{sample.CALLS:,} made-up calls", timeout=20_000
    )
    expect(page.locator(".tile").first).to_contain_text("not real money")

    told = {semconv.TENANT: IMAGE, semconv.DATA_MODE: "real"}
    send(stack.http_endpoint, protobuf([owner(1, trace_id="ab" * 16, cost=0.5, attributes=told)]))
    spend = page.locator(".tile").first
    expect(spend).to_contain_text("$0.50")
    expect(spend).to_contain_text("+ 1.2K not real")

    page.get_by_role("button", name="Remove it").click()
    expect(page.locator(".row")).to_have_count(1, timeout=20_000)
    expect(page.locator(".row .c-tenant")).to_have_text(IMAGE)
    expect(page.locator(".demobar")).to_be_hidden()
    assert page.locator("img").count() == 0
    assert page.evaluate("() => window.kept")


def test_boards_budgets_and_setup_open_over_the_real_stack(
    stack: LocalStack, watched: Watched
) -> None:
    page = watched.page
    limit = {"name": IMAGE, "period": "month", "limit_usd": "1", "filters": {"tenant": IMAGE}}
    stack.ledger.insert("budgets", [limit])
    for address, there in [
        ("#/boards", ".boardcard"),
        ("#/budgets", ".budget"),
        ("#/setup", ".inforce"),
    ]:
        page.goto(f"{stack.page_url}/{address}")
        page.wait_for_selector(there)
    page.goto(f"{stack.page_url}/#/budgets")
    expect(page.locator(".budget h2")).to_have_text(IMAGE)
    page.goto(f"{stack.page_url}/#/setup")
    page.get_by_text("settings as they come").click()
    expect(page.get_by_role("table", name="Settings as they come")).to_contain_text(
        "TOLLSPAN_UI_PORT"
    )
    assert page.locator("img").count() == 0
    assert watched.problems == []
