"""What was asked, sent on, reported by the provider and reported back stands side by side, with who says so."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest
from spans import foreign, hop, owner

from tollspan import semconv
from tollspan.collector.call import call_id
from tollspan.collector.span import Span
from tollspan.launcher import points
from tollspan.launcher.command import main
from tollspan.local.points_api import OPERATIONS
from tollspan.local.server import LocalStack

NOW_NS = (time.time_ns() // 10**9 - 600) * 10**9
PROXY = {"service.name": "proxy"}
GATEWAY = "llm-interactive-proxy"


def placed(spans: list[Span], trace: str) -> list[Span]:
    """The spans in one trace of their own, at one time."""
    for at, each in enumerate(spans):
        each.trace_id, each.start_ns, each.end_ns = trace, NOW_NS + at, NOW_NS + 10**9
        each.span_id = trace[:8] + each.span_id[8:]
        each.parent_id = trace[:8] + each.parent_id[8:] if each.parent_id else ""
    return spans


def through(tokens: tuple[int, int], **attributes: Any) -> list[Span]:
    """An application's call through a gateway, which reports `tokens` back."""
    said = {
        semconv.INPUT_TOKENS: tokens[0],
        semconv.OUTPUT_TOKENS: tokens[1],
        semconv.ROUTE: f"{GATEWAY} > openai/gpt-4o-mini",
        semconv.HOP_COUNT: 2,
        semconv.REQUEST_MAX_TOKENS: 256,
    }
    proxy = hop(2, 1, 0, "proxy", GATEWAY)
    proxy.attributes[semconv.GATEWAY_NAME] = GATEWAY
    return [owner(1, cost=0.0001, attributes=said | attributes), proxy, hop(3, 1, 1, "model", "m")]


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with LocalStack(clickhouse_port=0) as made:
        inner = {
            semconv.INPUT_TOKENS: 11,
            semconv.OUTPUT_TOKENS: 7,
            semconv.REQUEST_MAX_TOKENS: 512,
        }
        altered = [
            *through((8, 2), **{semconv.ESTIMATED_INPUT_TOKENS: 9}),
            owner(4, 1, cost=0.0002, resource=PROXY, attributes=inner),
        ]
        restating = {
            semconv.COST_ROLE: "restated",
            semconv.OWNER_SPAN_ID: "b" * 8 + "00000001",
            semconv.RESTATED_INPUT_TOKENS: 11,
            semconv.RESTATED_OUTPUT_TOKENS: 7,
        }
        honest = [*through((11, 7)), owner(4, 1, cost=None, resource=PROXY, attributes=restating)]
        for name in (semconv.INPUT_TOKENS, semconv.OUTPUT_TOKENS):
            del honest[3].attributes[name]
        books = {
            semconv.GATEWAY_NAME: GATEWAY,
            "llm_interactive_proxy.verbatim_prompt_tokens": 9,
            "llm_interactive_proxy.mutated_prompt_tokens": 30,
        }
        told = [
            *through((30, 5)),
            foreign(4, 1, tokens=33, attributes=books, resource=PROXY),
        ]
        told[3].scope = GATEWAY
        direct = [owner(1, attributes={semconv.ESTIMATED_INPUT_TOKENS: 500})]
        for trace, spans in (("a", altered), ("b", honest), ("c", told), ("d", direct)):
            made.writer.offer(placed(spans, trace * 32)).result(60)
        yield made


def one(stack: LocalStack, trace: str) -> dict[str, Any]:
    id_ = call_id(trace * 32, trace * 8 + "00000001", NOW_NS)
    answer = httpx.get(f"{stack.page_url}/v1/points/{id_}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    schema = OPERATIONS["/v1/points/{call_id}"]["get"]["responses"]["200"]
    jsonschema.validate(found, schema["content"]["application/json"]["schema"])
    return found


def usage(found: dict[str, Any], point: str) -> tuple[Any, ...]:
    side = found["points"][point]
    return side["evidence"], side["input_tokens"], side["output_tokens"], side["max_tokens"]


def test_a_gateway_that_alters_usage_is_shown_to_the_token(stack: LocalStack) -> None:
    found = one(stack, "a")

    assert usage(found, "asked") == ("estimated", 9, None, 256)
    assert usage(found, "sent_on") == ("observed", None, None, 512)
    assert usage(found, "provider") == ("observed", 11, 7, None)
    assert usage(found, "reported_back") == ("observed", 8, 2, None)
    assert [(each["name"], each["field"], each["difference"]) for each in found["differences"]] == [
        ("added_by_gateway", "max_tokens", 256),
        ("altered_by_gateway", "input_tokens", -3),
        ("altered_by_gateway", "output_tokens", -5),
        ("altered_by_gateway", "cost_usd", "-0.0001"),
    ]


def test_a_restated_call_keeps_its_numbers_to_be_compared(stack: LocalStack) -> None:
    found = one(stack, "b")

    assert usage(found, "provider")[:3] == ("observed", 11, 7)
    assert [each for each in found["differences"] if each["name"] == "altered_by_gateway"] == []


def test_a_gateways_own_books_say_what_came_in_and_what_was_sent_on(stack: LocalStack) -> None:
    found = one(stack, "c")

    assert usage(found, "asked") == ("reported", 9, None, 256)
    assert usage(found, "sent_on")[:2] == ("reported", 30)
    assert usage(found, "provider")[:3] == ("reported", 33, 33)
    fields = {(each["name"], each["field"]): each["difference"] for each in found["differences"]}
    assert fields["added_by_gateway", "input_tokens"] == 21
    assert fields["counted_by_provider", "input_tokens"] == 3
    assert fields["altered_by_gateway", "output_tokens"] == -28


def test_a_direct_call_has_the_provider_and_no_gateway(stack: LocalStack) -> None:
    found = one(stack, "d")

    assert usage(found, "provider")[:3] == ("observed", 540, 180)
    assert found["points"]["sent_on"] is None
    assert found["points"]["reported_back"] is None
    assert found["differences"] == []


def test_many_calls_are_compared_by_model_and_gateway(stack: LocalStack) -> None:
    answer = httpx.get(f"{stack.page_url}/v1/points")
    schema = OPERATIONS["/v1/points"]["get"]["responses"]["200"]["content"]["application/json"]
    jsonschema.validate(answer.json(), schema["schema"])
    gateway, direct = answer.json()["groups"]

    assert (gateway["gateway"], gateway["calls"], gateway["through_gateway"]) == (GATEWAY, 3, 3)
    assert gateway["points"]["provider"]["input_tokens"] == 11 + 11 + 33
    assert gateway["points"]["reported_back"]["input_tokens"] == 8 + 11 + 30
    altered = gateway["altered_by_gateway"]
    assert (altered["compared_calls"], altered["altered_calls"]) == (3, 2)
    assert (altered["input_tokens"], altered["output_tokens"]) == (-6, -33)
    assert (direct["gateway"], direct["points"]["provider"]["input_tokens"]) == (None, 540)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/points?by=nothing", 400),
        ("/v1/points?by=model,model", 400),
        ("/v1/points?last=soon", 400),
        ("/v1/points?limit=0", 400),
        ("/v1/points?by=gateway,endpoint,tag.team&tag.team=x&provider=-&last=all", 200),
        ("/v1/points/xyz", 400),
        (f"/v1/points/{'0' * 32}", 404),
    ],
)
def test_questions_that_cannot_be_answered_say_why(
    stack: LocalStack, path: str, status: int
) -> None:
    answer = httpx.get(f"{stack.page_url}{path}")

    assert answer.status_code == status
    assert status == 200 or answer.json()["error"]


def test_the_command_prints_both(stack: LocalStack, capsys: pytest.CaptureFixture[str]) -> None:
    id_ = call_id("a" * 32, "a" * 8 + "00000001", NOW_NS)
    assert main(["points", id_, "--url", stack.page_url]) == 0
    printed = capsys.readouterr().out
    assert "the gateway reports back other than the provider: output -5" in printed
    assert main(["points", "--url", stack.page_url, "--by", "gateway"]) == 0
    assert "2/3" in capsys.readouterr().out
    assert main(["points", "--json", "--url", stack.page_url]) == 0
    assert json.loads(capsys.readouterr().out)["by"] == ["model", "gateway"]
    for asked in ([id_], ["--by", "gateway"]):
        here, there = ["--url", stack.page_url], ["--clickhouse", stack.clickhouse_url]
        assert main(["points", *asked, *here]) == main(["points", *asked, *there]) == 0
        printed = capsys.readouterr().out
        assert printed[: len(printed) // 2] == printed[len(printed) // 2 :]
    assert main(["points", "0" * 32, "--clickhouse", stack.clickhouse_url]) == 2


def test_names_that_somebody_sent_move_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\u202e"
    nothing = {name: {} for name, _ in points.POINTS}
    found = {"time": "2026-05-28", "route": evil, "model": evil, "call_id": "a"}
    points._show_one({**found, "points": nothing, "differences": []})

    assert all(line.isprintable() for line in capsys.readouterr().out.splitlines())
