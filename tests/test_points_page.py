"""A trace shows what each point counted of a call that more than one span tells of, and what was altered."""

from __future__ import annotations

import browser
import needs
from browser import expect
from spans import hop, owner

from tollspan import semconv
from tollspan.local import LocalStack

GATEWAY = "llm-interactive-proxy"
EVIL = "<img src=x onerror=alert(1)>"


def test_a_call_whose_gateway_alters_usage_says_so_in_its_trace() -> None:
    if why := browser.absent():
        needs.missing("browser", why)
    said = {semconv.INPUT_TOKENS: 8, semconv.OUTPUT_TOKENS: 2, semconv.HOP_COUNT: 2}
    heard = {semconv.INPUT_TOKENS: 11, semconv.OUTPUT_TOKENS: 7}
    spans = [
        owner(1, attributes=said),
        hop(2, 1, 0, "proxy", GATEWAY),
        hop(3, 1, 1, "model", "openai/gpt-4o-mini"),
        owner(4, 1, resource={semconv.SERVICE_NAME: EVIL}, attributes=heard),
    ]
    with LocalStack() as stack, browser.chromium() as chromium:
        stack.writer.offer(spans).result(60)
        with browser.opened(chromium, f"{stack.page_url}/#/trace/{spans[0].trace_id}") as watched:
            table = watched.page.locator(".fourpoints table")
            expect(table).to_have_count(1)
            expect(table.locator("th[scope=col]")).to_have_text(["provider", "reported back"])
            expect(table.locator("tr.altered")).to_have_count(2)
            expect(table.locator("tr.altered").nth(0).locator("td")).to_have_text(["11", "8"])
            assert watched.page.locator("img").count() == 0
            assert watched.problems == []
