"""Spans that real gateways made of real requests, as evidence about the call that made these.

Each capture holds the gateway's own spans and what the models behind it really received: that is
the truth for attempts, and one call is all that there is to pay.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from needs import SHARED, captures

from tollspan import semconv
from tollspan.collector.foreign import normalised, settled
from tollspan.collector.span import KINDS, STATUSES, Event, Span
from tollspan.collector.stage import Call, Remembered, Stage
from tollspan.processors.settle import settle

KEPT = ("x-litellm", "llm_provider-x", "x-portkey")
NAMES = sorted(
    path.stem
    for path in (SHARED / "captures" / "gateways").glob("*.json")
    if path.name.startswith(("litellm", "chain"))
)
UNJOINED = {"chain--litellm-to-litellm-all-fail"}
"""Failures carry no id of the proxy behind: its other traces stay apart. They state no usage."""
UNSAMPLED = {"litellm--traceparent-unsampled"}
"""The application's trace was not sampled: the proxy keeps to that and tells nothing."""


def read(name: str) -> tuple[Span, list[Span], dict[str, Any]]:
    """The call that the application made, all spans, and the capture."""
    capture = json.loads((captures() / f"{name}.json").read_text())
    spans = [
        Span(
            trace_id=each["trace_id"],
            span_id=each["span_id"],
            parent_id=each["parent_span_id"] or "",
            name=each["name"],
            kind=KINDS[each["kind"]],
            start_ns=each["start"],
            end_ns=each["start"] + int(each["dur_ms"] * 1e6),
            attributes=each["attributes"],
            resource=each["resource"],
            scope=each["scope"][0],
            status=STATUSES[each["status"][0]],
            events=[Event(event["name"], 0, event["attributes"]) for event in each["events"]],
        )
        for each in capture["otel_spans"]
    ]
    assert bool(spans) is (name not in UNSAMPLED), "a capture without its spans proves nothing"
    made = capture["client_attempts"]
    sent = {name.lower(): value for name, value in made[0]["request_headers"]}
    _, trace_id, span_id, _ = sent.get("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-01").split("-")
    times = {
        "start_ns": min((span.start_ns for span in spans), default=2 * 10**6) - 10**6,
        "end_ns": max((span.end_ns for span in spans), default=10**9) + 10**6,
        "scope": semconv.SCOPE,
    }
    attempts = []
    for number, attempt in enumerate(made, 1):
        said = {semconv.HTTP_METHOD: "POST", semconv.ATTEMPT: number}
        if attempt["status"]:
            said[semconv.HTTP_STATUS] = attempt["status"]
        for header, value in attempt["response_headers"] or ():
            if header.lower().startswith(KEPT):
                said[semconv.RESPONSE_HEADER_PREFIX + header.lower()] = value
        attempts.append(
            Span(trace_id, f"{number:016x}", span_id, "POST", "client", attributes=said, **times)
        )
    well = made[-1]["status"] == 200
    asked = {
        semconv.OPERATION: "chat",
        semconv.PROVIDER: "openai",
        semconv.REQUEST_MODEL: "alias",
        semconv.STATUS: "success" if well else "error",
        semconv.APP_ATTEMPTS: len(made),
        **({semconv.INPUT_TOKENS: 11, semconv.OUTPUT_TOKENS: 7} if well else {}),
    }
    own = settle(asked, [each.attributes for each in attempts], start_ns=times["start_ns"])
    call = Span(trace_id, span_id, "", "chat", "client", attributes=asked | own.attributes, **times)
    hops = [
        Span(trace_id, f"f{n:015x}", span_id, "hop", "internal", attributes=dict(each), **times)
        for n, each in enumerate(own.hops)
    ]
    return call, [call, *attempts, *hops, *spans], capture


def told(spans: list[Span]) -> list[Call]:
    stage = Stage(settled, normalised, lambda trace_ids: Remembered())
    return list({call.call_id: call for call in stage.take(spans)}.values())


@pytest.mark.parametrize("name", NAMES)
def test_one_call_owns_and_what_is_exact_is_the_truth(name: str) -> None:
    call, spans, capture = read(name)
    rows = told(spans)
    (own,) = [each for each in rows if each.span is call]
    truth = len(capture["upstream_requests"])
    count = own.attributes.get(semconv.UPSTREAM_ATTEMPTS, 0)

    if own.attributes[semconv.UPSTREAM_CONFIDENCE] == "exact":
        assert count == truth
    else:
        assert count <= truth
    paying = [each for each in rows if each.role == "owner" and each is not own]
    assert not [each for each in paying if each.attributes.get(semconv.COST_AMOUNT)]
    if name not in UNJOINED:
        assert not [each for each in paying if each.span.scope == "litellm"]
    assert {each.owner_span_id for each in rows if each.role == "restated"} <= {call.span_id}
    assert told(list(reversed(spans)))[0].owner_span_id == call.span_id


@pytest.mark.parametrize(
    ("name", "truth"),
    [
        ("litellm-otelv2-fwd--fallback-model", 4),
        ("litellm-otelv2-fwd--all-fail-429", 6),
        ("litellm-otelv2-fwd--all-fail-500-sdk-retries", 18),
        ("litellm--all-fail-500-sdk-retries", 18),
        ("litellm--sdk-retry-then-ok", 4),
        ("chain--litellm-to-litellm-inner-fallback", 4),
    ],
)
def test_the_gateways_own_spans_make_the_count_exact(name: str, truth: int) -> None:
    """The headers alone say 2, 1, 3, 3, 2 and 2."""
    call, spans, _ = read(name)
    (own,) = [each for each in told(spans) if each.span is call]
    assert own.attributes[semconv.UPSTREAM_ATTEMPTS] == truth
    assert own.attributes[semconv.UPSTREAM_CONFIDENCE] == "exact"
    gateways = [each for each in own.hops if each.attributes[semconv.HOP_NAME] == "litellm"]
    assert {each.attributes[semconv.HOP_EVIDENCE] for each in gateways} == {"observed"}


@pytest.mark.parametrize("name", ["litellm--ok", "litellm-otelv2-fwd--fallback-model"])
def test_without_a_watched_client_the_call_of_the_proxy_owns(name: str) -> None:
    _, spans, _ = read(name)
    rows = told([each for each in spans if each.scope != semconv.SCOPE])
    (owner,) = [each for each in rows if each.role == "owner"]
    said = owner.attributes
    assert said[semconv.COST_GRADE] == "derived"
    assert said[semconv.ROUTE].startswith("litellm > openai/gpt-4")
    assert said[semconv.MODEL_SERVED].startswith("gpt-4"), "never the alias"
    assert [hop.attributes[semconv.HOP_EVIDENCE] for hop in owner.hops] == ["observed"] * 2


def test_a_cache_hit_is_free_whatever_the_proxy_says_it_cost() -> None:
    _, spans, _ = read("litellm--cache-hit")
    (owner,) = [
        each
        for each in told([each for each in spans if each.scope != semconv.SCOPE])
        if each.role == "owner"
    ]
    assert owner.attributes[semconv.COST_AMOUNT] == 0
    assert owner.attributes[semconv.COST_AVOIDED] == pytest.approx(5.85e-06)
    assert owner.attributes[semconv.UPSTREAM_ATTEMPTS] == 0
