"""`tollspan.tally` knows what the calls of a block cost, with no collector, and the fixture fails tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree

import openai
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once

import tollspan
from tollspan import calls
from tollspan.chaos import Chaos, ok, status

COST = Decimal("0.00000585")
"""11 tokens of input and 7 of output of gpt-4o-mini."""
MESSAGES = [{"role": "user", "content": "hello"}]


@pytest.fixture(autouse=True)
def nothing_global(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    yield
    tollspan.uninstrument()
    assert calls.before == calls.after == (), "a tally left its hooks"


@pytest.fixture
def client(chaos: Chaos) -> Iterator[openai.OpenAI]:
    chaos.script(*[ok(input_tokens=11, output_tokens=7)] * 20)
    with openai.OpenAI(base_url=chaos.openai_base_url, api_key="test", max_retries=0) as client:
        yield client


def ask(client: openai.OpenAI, model: str = "gpt-4o-mini") -> None:
    client.chat.completions.create(model=model, messages=MESSAGES)  # type: ignore[arg-type]


def streamed(client: openai.OpenAI) -> openai.Stream[openai.types.chat.ChatCompletionChunk]:
    return client.chat.completions.create(
        model="gpt-4o-mini",
        messages=MESSAGES,  # type: ignore[arg-type]
        stream=True,
        stream_options={"include_usage": True},
    )


def test_a_block_knows_what_its_calls_cost_and_whose_they_were(client: openai.OpenAI) -> None:
    original = openai.OpenAI.request
    with tollspan.tally() as tally, tollspan.attribute(endpoint="checkout", tenant="acme"):
        ask(client)
        ask(client)
    assert openai.OpenAI.request is not original, "nobody had called instrument()"
    ask(client)

    assert tally.cost_usd == 2 * COST
    assert (tally.input_tokens, tally.output_tokens, tally.attempts) == (22, 14, 2)
    first = tally.calls[0]
    assert (first.endpoint, first.tenant, first.status) == ("checkout", "acme", "success")
    assert (first.cost_usd, first.cost_grade, first.app_attempts) == (COST, "derived", 1)
    assert (first.provider, first.route) == ("openai", "openai/gpt-4o-mini")
    assert first.attributes["gen_ai.response.model"].startswith("gpt-4o-mini")
    assert str(tally).splitlines()[-1] == repr(tally)[17:-1] == "2 calls, $0.0000117"


def test_what_is_not_known_is_said_and_never_counted_as_nothing(client: openai.OpenAI) -> None:
    with tollspan.tally() as tally:
        ask(client)
        ask(client, "a-model-of-our-own")

    assert (tally.cost_usd, tally.unpriced_calls) == (COST, 1)
    assert "2 calls, $0.00000585; what 1 of them cost is not known" in repr(tally)
    with pytest.raises(AssertionError, match="1 of 2 calls cost is not known"):
        tally.assert_at_most(cost_usd=1)
    tally.assert_at_most(calls=2, input_tokens=22)


def test_blocks_nest_and_tasks_take_them_along_and_other_threads_do_not(
    client: openai.OpenAI,
) -> None:
    async def gathered() -> None:
        await asyncio.gather(*(asyncio.to_thread(ask, client) for _ in range(2)))

    with tollspan.tally(everywhere=True) as all_of_them, tollspan.tally() as outer:
        asyncio.run(gathered())
        with tollspan.tally() as inner:
            ask(client)
        thread = threading.Thread(target=ask, args=(client,))
        thread.start()
        thread.join()

    assert [len(each.calls) for each in (all_of_them, outer, inner)] == [4, 3, 1]


def test_a_task_that_outlives_its_block_counts_in_it_no_longer(client: openai.OpenAI) -> None:
    async def outliving() -> None:
        left = asyncio.Event()

        async def later() -> None:
            await left.wait()
            ask(client)

        with tollspan.tally() as tally:
            task = asyncio.create_task(later())
            ask(client)
        with tollspan.tally(everywhere=True) as after:
            left.set()
            await task
        assert (len(tally.calls), len(after.calls)) == (1, 1)

    asyncio.run(outliving())


def test_a_stream_counts_in_the_block_that_made_it_once_it_is_read(client: openai.OpenAI) -> None:
    tollspan.instrument()
    before = streamed(client)
    with tollspan.tally() as tally:
        stream = streamed(client)
        list(before)
    assert (len(tally.calls), tally.open_calls) == (0, 1)
    with pytest.raises(AssertionError, match="1 call has not ended"):
        tally.assert_at_most(cost_usd=1)
    list(stream)

    assert (tally.cost_usd, tally.open_calls) == (COST, 0)


def test_recorded_calls_and_attempts_count(chaos: Chaos) -> None:
    chaos.script(status(429, retry_after=0.0), ok(input_tokens=11, output_tokens=7))
    with (
        openai.OpenAI(base_url=chaos.openai_base_url, api_key="test", max_retries=1) as client,
        tollspan.tally() as tally,
    ):
        ask(client)
        tollspan.record(
            provider="openai", model="gpt-4o-mini", input_tokens=11, output_tokens=7, latency_ms=900
        )

    assert (tally.cost_usd, tally.attempts, len(tally.calls)) == (2 * COST, 2, 2)


def test_limits_that_are_passed_are_told_with_the_calls(client: openai.OpenAI) -> None:
    with tollspan.tally() as tally:
        ask(client)
        ask(client)

    tally.assert_at_most(cost_usd="0.0000117", calls=2, attempts=2)
    with pytest.raises(AssertionError) as failed:
        tally.assert_at_most(cost_usd=0.00001, calls=1)
    said = str(failed.value).splitlines()
    assert said[0] == (
        "cost_usd is 0.0000117, and was to be 0.00001 at most; calls is 2, and was to be 1 at most"
    )
    assert len(said) == 5, "a head, a line for each call, and the sum"
    with pytest.raises(AssertionError, match="no call was seen"):
        tollspan.tally().assert_at_most(cost_usd=1)
    with pytest.raises(ValueError, match="needs a limit: cost_usd=…, calls=…"):
        tally.assert_at_most()


def test_watching_for_a_tally_gives_way_to_instrument(
    client: openai.OpenAI, exporter: InMemorySpanExporter, provider: TracerProvider
) -> None:
    with tollspan.tally() as alone:
        ask(client)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    assert alone.switched_on and not exporter.get_finished_spans()

    trace.set_tracer_provider(provider)
    tollspan.instrument()
    with tollspan.tally() as beside:
        ask(client)

    assert not beside.switched_on and beside.cost_usd == COST
    provider.force_flush()
    assert "chat gpt-4o-mini" in [span.name for span in exporter.get_finished_spans()]


@pytest.fixture
def restored() -> Iterator[None]:
    """Whatever is asked for after this is torn down before it."""
    original = openai.OpenAI.request
    yield
    assert openai.OpenAI.request is original


def test_the_fixture_counts_all_threads_and_leaves_the_sdk_as_it_was(
    restored: None, client: openai.OpenAI, tally: tollspan.tally
) -> None:
    thread = threading.Thread(target=ask, args=(client,))
    thread.start()
    thread.join()

    tally.assert_at_most(cost_usd=0.01, calls=1)
    assert tally.cost_usd == COST


@pytest.mark.parametrize("limit", ["cheap", -1, float("nan"), True, [1]])
def test_a_limit_that_is_no_number_is_told_by_its_name(limit: Any) -> None:
    with pytest.raises(
        ValueError, match=r"assert_at_most\(cost_usd=.*\): write a number from 0 on"
    ):
        tollspan.tally().assert_at_most(cost_usd=limit)


def test_a_notebook_shows_a_table_in_which_whatever_calls_carry_is_text(
    client: openai.OpenAI,
) -> None:
    hostile = '<img src=x onerror="alert(1)">&amp;\x1b[31m'
    with tollspan.tally() as tally, tollspan.attribute(endpoint=hostile, tenant="</table>"):
        ask(client)
    shown = ElementTree.fromstring(tally._repr_html_())

    head, line = shown.iter("tr")
    assert [cell.text for cell in head][:2] == ["TIME", "ENDPOINT"]
    texts = [cell.text for cell in line]
    assert texts[1] == '<img src=x onerror="alert(1)">&amp;[31m' and texts[2] == "</table>"
    assert "$0.00000585" in texts
    assert {each.tag for each in shown.iter()} == {"div", "table", "tr", "th", "td", "p"}
    assert [each.text for each in shown.iter("p")] == ["1 call, $0.00000585"]
    assert tollspan.tally()._repr_html_() == "<div><p>0 calls</p></div>"
