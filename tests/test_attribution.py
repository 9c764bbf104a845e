"""Who caused a call: blocks, decorators, nesting, tasks, threads, baggage, hashing, defaults."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import enum
import gc
import logging
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, context
from opentelemetry.baggage.propagation import W3CBaggagePropagator

import tollspan
from tollspan import attribution, config, semconv
from tollspan import given as told

ENDPOINT, TENANT = semconv.ENDPOINT_TAG, semconv.TENANT


def seen() -> dict[str, str]:
    """What a call that starts here would carry, the data mode left out."""
    found = attribution.current()
    found.pop(semconv.DATA_MODE)
    return found


def test_without_a_block_the_call_is_untagged() -> None:
    assert seen() == {}


def test_a_block_covers_what_runs_inside_it_and_nothing_after() -> None:
    with tollspan.attribute(
        endpoint="checkout.ai_summary",
        prompt="summary",
        prompt_version="v3",
        tenant="acme",
        user="u_42",
        session="s_1",
        tags={"team": "growth"},
    ):
        inside = seen()

    assert inside == {
        semconv.ENDPOINT_TAG: "checkout.ai_summary",
        semconv.PROMPT_NAME: "summary",
        semconv.PROMPT_VERSION: "v3",
        semconv.TENANT: "acme",
        semconv.USER: "u_42",
        semconv.SESSION: "s_1",
        "tollspan.tag.team": "growth",
    }
    assert seen() == {}


def test_inner_block_wins_field_by_field_and_tags_add_up() -> None:
    with (
        tollspan.attribute(endpoint="outer", tenant="acme", tags={"team": "a", "app": "web"}),
        tollspan.attribute(endpoint="inner", tags={"team": "b"}),
    ):
        assert seen() == {
            ENDPOINT: "inner",
            TENANT: "acme",
            "tollspan.tag.team": "b",
            "tollspan.tag.app": "web",
        }


def test_decorates_a_function_and_keeps_its_name_and_result() -> None:
    @tollspan.attribute(endpoint="plain")
    def plain(value: int) -> tuple[int, dict[str, str]]:
        """Doc."""
        return value, seen()

    assert plain(3) == (3, {ENDPOINT: "plain"})
    assert (plain.__name__, plain.__doc__) == ("plain", "Doc.")
    assert seen() == {}


async def test_decorates_a_coroutine_that_runs_many_times_at_once() -> None:
    @tollspan.attribute(endpoint="many")
    async def one(tenant: str) -> dict[str, str]:
        with tollspan.attribute(tenant=tenant):
            await asyncio.sleep(0)
            return seen()

    found = await asyncio.gather(*(one(f"t{number}") for number in range(20)))

    assert found == [{ENDPOINT: "many", TENANT: f"t{number}"} for number in range(20)]
    assert seen() == {}


def test_decorated_generator_is_covered_inside_and_its_consumer_is_not() -> None:
    @tollspan.attribute(endpoint="gen")
    def steps() -> Iterator[dict[str, str]]:
        got = yield seen()
        assert got == "sent"
        try:
            yield seen()
        except KeyError:
            yield seen()
        return "done"

    running = steps()

    assert next(running) == {ENDPOINT: "gen"}
    assert seen() == {}
    assert running.send("sent") == {ENDPOINT: "gen"}
    assert running.throw(KeyError("x")) == {ENDPOINT: "gen"}
    assert seen() == {}
    with pytest.raises(StopIteration) as end:
        next(running)
    assert end.value.value == "done"


async def test_decorated_async_generator_is_covered_inside_and_its_consumer_is_not() -> None:
    closed: list[dict[str, str]] = []

    @tollspan.attribute(endpoint="agen")
    async def steps() -> AsyncIterator[dict[str, str]]:
        try:
            while True:
                await asyncio.sleep(0)
                yield seen()
        finally:
            closed.append(seen())

    running = steps()
    async for each in running:
        assert each == {ENDPOINT: "agen"}
        assert seen() == {}
        break
    await running.aclose()

    assert closed == [{ENDPOINT: "agen"}]
    assert seen() == {}


async def test_a_generator_finished_in_another_task_logs_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def steps() -> AsyncIterator[int]:
        with tollspan.attribute(endpoint="left"):
            yield 1
            yield 2

    async def take_one() -> None:
        async for _ in steps():
            break

    with caplog.at_level(logging.DEBUG):
        await asyncio.create_task(take_one())
        gc.collect()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assert [record for record in caplog.records if "detach" in record.getMessage()] == []
    assert seen() == {}


async def test_tasks_started_inside_a_block_carry_it() -> None:
    async def read() -> dict[str, str]:
        await asyncio.sleep(0)
        return seen()

    with tollspan.attribute(tenant="acme"):
        task = asyncio.create_task(read())
    assert await task == {TENANT: "acme"}


def test_a_thread_that_runs_in_the_context_carries_the_block() -> None:
    with ThreadPoolExecutor(1) as pool:
        with tollspan.attribute(tenant="acme"):
            copied = contextvars.copy_context()
            through_copy = pool.submit(copied.run, seen).result()
            otel_context = context.get_current()
        bare = pool.submit(seen).result()

        def attached() -> dict[str, str]:
            token = context.attach(otel_context)  # as opentelemetry-instrumentation-threading does
            try:
                return seen()
            finally:
                context.detach(token)

        through_otel = pool.submit(attached).result()

    assert (through_copy, bare, through_otel) == ({TENANT: "acme"}, {}, {TENANT: "acme"})


def test_an_exception_in_the_block_is_the_callers_and_ends_it() -> None:
    with pytest.raises(ZeroDivisionError), tollspan.attribute(tenant="acme"):
        raise ZeroDivisionError

    assert seen() == {}


def carried(header: str) -> dict[str, str]:
    """What a call carries when `header` came in as the W3C baggage of a request."""
    token = context.attach(W3CBaggagePropagator().extract({"baggage": header}))
    try:
        return seen()
    finally:
        context.detach(token)


def test_baggage_that_came_in_attributes_and_a_block_beats_it() -> None:
    header = "tollspan.tenant=acme,tollspan.endpoint_tag=web,tollspan.tag.team=a,other=x,gen_ai.prompt.version=v2"

    assert carried(header) == {
        TENANT: "acme",
        ENDPOINT: "web",
        "tollspan.tag.team": "a",
        semconv.PROMPT_VERSION: "v2",
    }
    token = context.attach(baggage.set_baggage(TENANT, "acme"))
    with tollspan.attribute(tenant="own"):
        assert seen() == {TENANT: "own"}
    context.detach(token)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "header",
    [
        "=",
        "tollspan.tenant",
        "tollspan.tenant=%zz%00",
        ",,,;;",
        "tollspan.data_mode=evil",
        "é=ü",
        "a" * 20000,
    ],
)
def test_a_malformed_baggage_header_is_harmless(header: str) -> None:
    found = carried(header)

    assert set(found) <= {TENANT}
    assert all(value.isprintable() for value in found.values())


@given(st.dictionaries(st.text(max_size=30), st.text(max_size=600), max_size=50))
def test_whatever_baggage_says_names_are_ours_and_values_short_and_printable(
    entries: dict[str, str],
) -> None:
    ambient = context.get_current()
    for name, value in entries.items():
        ambient = baggage.set_baggage(semconv.TAG_PREFIX + name, value, ambient)
    token = context.attach(ambient)
    try:
        found = seen()
    finally:
        context.detach(token)

    assert len(found) <= 32
    assert all(name.startswith(semconv.TAG_PREFIX) for name in found)
    assert all(0 < len(value) <= 256 and value.isprintable() for value in found.values())


def test_ids_are_hashed_with_a_key_the_same_everywhere_and_never_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOLLSPAN_HASH_KEY", "k")
    config.reload()
    with tollspan.attribute(endpoint="web", tenant="acme", user="u", session="s"):
        first = seen()
    with tollspan.attribute(tenant="acme"):
        again = seen()[TENANT]
    carried_on = carried(f"tollspan.tenant={again}")[TENANT]

    assert first[ENDPOINT] == "web"
    assert first[TENANT].startswith("h:") and len(first[TENANT]) == 34
    assert len({first[TENANT], first[semconv.USER], first[semconv.SESSION]}) == 3
    assert first[TENANT] == again == carried_on
    assert "acme" not in str(first)


def test_defaults_of_the_environment_come_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLSPAN_TENANT", "house")
    monkeypatch.setenv("TOLLSPAN_TAGS", "team=core, app=web")
    monkeypatch.setenv("TOLLSPAN_DATA_MODE", "test")
    config.reload()
    with tollspan.attribute(tags={"team": "own"}):
        found = attribution.current()

    assert found == {
        semconv.DATA_MODE: "test",
        TENANT: "house",
        "tollspan.tag.team": "own",
        "tollspan.tag.app": "web",
    }


def test_the_framework_names_the_endpoint_only_where_nobody_else_did(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attribution, "endpoint_of_framework", lambda: "/orders/{id}")

    assert seen() == {ENDPOINT: "/orders/{id}"}
    with tollspan.attribute(tenant="acme"):
        assert seen() == {ENDPOINT: "/orders/{id}", TENANT: "acme"}
    with tollspan.attribute(endpoint="own"):
        assert seen() == {ENDPOINT: "own"}
    assert carried("tollspan.endpoint_tag=web") == {ENDPOINT: "web"}


def test_an_unknown_data_mode_is_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match="write one of real, test, replay, shadow"):
        tollspan.attribute(data_mode="production")


def test_what_has_no_name_is_refused_with_an_example() -> None:
    with pytest.raises(
        TypeError, match=r"attribute\('checkout'\): .* attribute\(endpoint='checkout'\)"
    ):
        tollspan.attribute("checkout")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="say what it is"):

        @tollspan.attribute  # type: ignore[arg-type]
        def bare() -> None: ...


def test_odd_values_become_text_or_nothing() -> None:
    with tollspan.attribute(tenant=7, user="", session="a\x00\nb", endpoint="x" * 999):  # type: ignore[arg-type]
        assert seen() == {TENANT: "7", semconv.SESSION: "ab", ENDPOINT: "x" * 256}


class Plan(enum.Enum):
    PRO = "pro"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (Plan.PRO, "pro"),
        (b"acme", "acme"),
        (Decimal("7.5"), "7.5"),
    ],
)
def test_an_id_that_is_no_string_is_written_as_its_text(value: Any, text: str) -> None:
    with tollspan.attribute(tenant=value, tags={"plan": value, 3: value}):  # type: ignore[dict-item]
        assert seen() == {TENANT: text, "tollspan.tag.plan": text, "tollspan.tag.3": text}


class Nameless:
    """Its text would be its place in memory."""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tags": ["team"]}, "tags is of type list, and is left out: write tags="),
        ({"tags": "team=growth"}, "tags is of type str, "),
        ({"user": Nameless()}, "user is of type Nameless, which has no text of its own"),
        ({"session": {"secret": 1}}, "session is of type dict, "),
        ({"tags": {"team": ["secret"]}}, "a tag is of type list, "),
        ({"tags": {str(n): "x" for n in range(40)}}, "of more than 32 tags the first 32 are kept"),
    ],
)
def test_what_has_no_text_is_said_once_with_its_line_and_the_rest_is_kept(
    given: dict[str, Any],
    said: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(told, "_said", set())
    for _ in range(3):
        with tollspan.attribute(tenant="acme", **given):
            found = seen()
            assert found[TENANT] == "acme" and len(found) in (1, 1 + attribution.MOST_TAGS)

    (logged,) = [record.getMessage() for record in caplog.records]
    assert re.match(rf"{re.escape(__file__)}:\d+: {re.escape(said)}", logged)
    assert "secret" not in logged and logged.endswith("; your call is unaffected")


def test_blocks_inside_one_another_leave_room_for_what_a_call_costs() -> None:
    with contextlib.ExitStack() as blocks:
        for depth in range(9):
            tags = {f"{depth}.{number}": "x" for number in range(10)}
            blocks.enter_context(tollspan.attribute(endpoint="web", user=str(depth), tags=tags))
        found = seen()

    assert len(found) == 8 + attribution.MOST_TAGS
    assert (found[ENDPOINT], found[semconv.USER]) == ("web", "8")
    assert all(f"tollspan.tag.8.{number}" in found for number in range(10))


def test_an_argument_that_does_not_exist_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(TypeError, match=r"did you mean endpoint=…\? .* tags=\{'endpont': …\}"):
        tollspan.attribute(endpont="web")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"a dimension of your own is a tag: tags=\{'team': …\}"):
        tollspan.attribute(team="growth")  # type: ignore[arg-type]
