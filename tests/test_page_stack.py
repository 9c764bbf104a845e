"""The page over the real local stack: a call of the real SDK shows up by itself, priced."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import browser
import needs
import openai
import pytest
from browser import expect
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import tollspan
from tollspan.chaos import Chaos, ok, status

pytestmark = pytest.mark.slow

MESSAGES = [{"role": "user", "content": "hello"}]
IMAGE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def page_url() -> Iterator[str]:
    """A page over an empty ledger; what openai is asked in this process goes there."""
    if why := browser.absent():
        needs.missing("browser", why)
    if importlib.util.find_spec("chdb") is None:
        needs.missing("chdb", "the extra `local` is not installed")
    from tollspan.local import LocalStack

    with LocalStack() as stack:
        provider = TracerProvider()
        exporter = OTLPSpanExporter(endpoint=f"{stack.http_endpoint}/v1/traces")
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=100))
        tollspan.instrument(tracer_provider=provider)
        try:
            yield stack.page_url
        finally:
            tollspan.uninstrument()
            provider.shutdown()


def test_calls_of_the_real_sdk_appear_priced_with_their_attempts(page_url: str) -> None:
    with (
        browser.chromium() as chromium,
        browser.opened(chromium, page_url) as watched,
        Chaos() as chaos,
        openai.OpenAI(base_url=chaos.openai_base_url, api_key="k") as client,
    ):
        page = watched.page
        expect(page.get_by_text("Waiting for the first call")).to_be_visible()
        chaos.script(
            ok(input_tokens=540, output_tokens=180),
            status(429, retry_after=0.01),
            ok(input_tokens=540, output_tokens=180),
        )
        with tollspan.attribute(endpoint="checkout.ai_summary", tenant=IMAGE, prompt_version="v3"):
            client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)  # type: ignore[arg-type]
        first = page.locator(".row")
        expect(first).to_have_count(1)
        expect(first.locator(".c-endpoint")).to_have_text("checkout.ai_summaryv3")
        expect(first.locator(".c-tenant")).to_have_text(IMAGE)
        expect(first.locator(".c-cost")).to_have_text("$0.000189")
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)  # type: ignore[arg-type]
        expect(page.locator(".row")).to_have_count(2)
        expect(page.locator(".row").first).to_contain_text("retry ×1")
        page.locator(".row").first.dblclick()
        expect(page.locator(".trace .wrow.role-attempt")).to_have_count(2)
        expect(page.locator(".trace .wrow.role-attempt").first).to_contain_text("429")
        page.goto(f"{page_url}/#/calls?endpoint=-")
        expect(page.locator(".row")).to_have_count(1)
        page.goto(f"{page_url}/#/setup")
        expect(page.locator(".diagnostics")).to_contain_text("2 of 2 calls priced")
        assert page.locator("img").count() == 0
        assert watched.problems == []
