"""What real gateways answered, replayed to the real SDKs, against the log of the upstream behind them.

Every capture gives a record that stands in goldens/captures.json, read by a person; after a change
`python tests/test_captures.py` writes it anew, and the difference is to be read again.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import anthropic
import anthropic._base_client
import openai
import openai._base_client
import pytest
from captured import NAMES, Capture, capture
from needs import captures
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from replay import Replay

from tollspan import instrumentation, semconv
from tollspan.processors.models import undated
from tollspan.processors.ownership import owned
from tollspan.processors.settle import settle
from tollspan.processors.spans import adopt_provider


def capture_has_headers(name: str) -> bool:
    return not name.startswith("anthropic-sdk-native")


GOLDENS = Path(__file__).parent / "goldens" / "captures.json"
SECRETS = ("authorization", "api-key", "api_key", "cookie", "spend", "api-base", "bearer ")


@contextmanager
def watched(provider: TracerProvider) -> Iterator[None]:
    """Both SDKs instrumented, retrying at once."""
    at_once = pytest.MonkeyPatch()
    for module in (openai._base_client, anthropic._base_client):
        at_once.setattr(
            module.BaseClient, "_calculate_retry_timeout", lambda *_, **__: 0.0, raising=True
        )
    undo = adopt_provider(provider)
    instrumentation.instrument(provider, ["openai", "anthropic"])
    try:
        yield
    finally:
        instrumentation.uninstrument()
        undo()
        at_once.undo()


def replayed(found: Capture) -> list[ReadableSpan]:
    """Every span that the call of `found` leaves."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with Replay(found.exchanges) as server, watched(provider):
        try:
            for _ in asked(found, server) or ():
                pass
        except (openai.APIError, anthropic.APIError):
            assert found.found["sdk"].get("exception"), "the gateway's client got an answer"
        assert len(server.received) == len(found.attempts)
    provider.shutdown()
    return list(exporter.get_finished_spans())


def asked(found: Capture, server: Replay) -> Any:
    """The call that was captured; a stream to be read to its end, or nothing more to read."""
    retries = found.found["sdk"]["max_retries"]
    given = found.arguments
    if found.path.endswith("/messages"):
        with anthropic.Anthropic(base_url=server.origin, api_key="k", max_retries=retries) as a:
            answer: Any = a.messages.create(**given)
            return list(answer) if given.get("stream") else None
    suffix = "/responses" if found.path.endswith("/responses") else "/chat/completions"
    url = server.base_url(suffix)
    with openai.OpenAI(base_url=url, api_key="k", max_retries=retries) as o:
        create: Any = o.responses.create if "input" in given else o.chat.completions.create
        answer = create(**given)
        return list(answer) if given.get("stream") else None


@cache
def told(name: str) -> tuple[Mapping[str, Any], list[Mapping[str, Any]], list[ReadableSpan]]:
    """Attributes of the call and of its hops, outermost first, and all spans."""
    found = capture(name)
    if found.native_span is not None:  # the file has no answer to replay
        return owned(found.native_span, {}), [], []
    spans = replayed(found)
    (call,) = [s for s in spans if semconv.STATUS in (s.attributes or {})]
    hops = [s.attributes or {} for s in spans if semconv.HOP_ROLE in (s.attributes or {})]
    hops.sort(key=lambda hop: int(hop[semconv.HOP_INDEX]))  # type: ignore[arg-type]
    return call.attributes or {}, hops, spans


# --- what a person reads ----------------------------------------------------------------------------


def record(name: str) -> dict[str, Any]:
    """What is known of the call, in few words; nothing that another run would say otherwise."""
    call, hops, _ = told(name)
    get = call.get
    stated = {
        "truth": truth(capture(name)),
        "route": get(semconv.ROUTE),
        "status": get(semconv.STATUS),
        "requested": get(semconv.REQUEST_MODEL),
        "routed": get(semconv.MODEL_ROUTED),
        "deployment": get(semconv.MODEL_DEPLOYMENT),
        "served": get(semconv.MODEL_SERVED),
        "swapped": get(semconv.MODEL_SWAPPED),
        "fallback": get(semconv.FALLBACK),
        "sdk sent": get(semconv.APP_ATTEMPTS),
        "reached a model": reached(call),
        "hidden": get(semconv.HIDDEN_ATTEMPTS),
        "cache hit": get(semconv.CACHE_HIT),
        "guardrail": get(semconv.GUARDRAIL),
        "blocked": said(call, semconv.BLOCKED_BY, semconv.BLOCKED_STAGE),
        "blame": said(call, semconv.BLAME, semconv.BLAME_EVIDENCE),
        "money": money(call),
        "hops": [hop_line(hop) for hop in hops],
    }
    return {key: value for key, value in stated.items() if value not in (None, [], {})}


def truth(found: Capture) -> str:
    counted = Counter(f"{model or 'model'} {outcome}".strip() for model, outcome in found.upstream)
    each = ", ".join(f"{times} × {what}" for what, times in counted.items())
    return f"{len(found.upstream)} upstream" + (f": {each}" if each else "")


def reached(call: Mapping[str, Any]) -> str:
    return f"{call[semconv.UPSTREAM_CONFIDENCE]} {call.get(semconv.UPSTREAM_ATTEMPTS, '')}".strip()


def said(call: Mapping[str, Any], *names: str) -> str | None:
    return ", ".join(str(call[name]) for name in names if name in call) or None


def money(call: Mapping[str, Any]) -> dict[str, Any]:
    stated = {
        "paid": call.get(semconv.COST_AMOUNT),
        "grade": call.get(semconv.COST_GRADE),
        "why": call.get(semconv.GRADE_REASON) or call.get(semconv.UNPRICED_REASON),
        "reported": call.get(semconv.COST_REPORTED),
        "derived": call.get(semconv.COST_DERIVED),
        "charged": call.get(semconv.COST_CHARGED),
        "avoided": call.get(semconv.COST_AVOIDED),
        "wasted": call.get(semconv.WASTE_REASON),
        "wasted time": call.get(semconv.WASTED_MS_REASON),
        "usage untrusted": call.get(semconv.USAGE_UNTRUSTED),
    }
    return {key: value for key, value in stated.items() if value is not None}


def hop_line(hop: Mapping[str, Any]) -> str:
    parts = [str(hop[semconv.HOP_ROLE]), str(hop[semconv.HOP_NAME])]
    if semconv.HOP_OVERHEAD in hop:
        parts.append(f"+{hop[semconv.HOP_OVERHEAD]} ms")
    if hop[semconv.HOP_EVIDENCE] != "reported":
        parts.append(str(hop[semconv.HOP_EVIDENCE]))
    return " ".join(parts)


def test_all_captures_are_there() -> None:
    captures()
    assert len(NAMES) == 86
    assert sorted(json.loads(GOLDENS.read_text())) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_record_is_the_one_that_was_read(name: str) -> None:
    assert record(name) == json.loads(GOLDENS.read_text())[name]


# --- what the upstream's log says ---------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_capture_agrees_with_its_upstream(name: str) -> None:
    found = capture(name)
    call, hops, spans = told(name)
    counts_are_true(found, call)
    model_is_true(found, call)
    money_is_true(found, call)
    assert [hop[semconv.HOP_INDEX] for hop in hops] == list(range(len(hops)))
    if spans:
        assert call[semconv.APP_ATTEMPTS] == len(found.attempts)
    if hops:
        assert call[semconv.HOP_COUNT] == len(hops)
        assert call[semconv.ROUTE] == " > ".join(str(hop[semconv.HOP_NAME]) for hop in hops)
    nothing_secret("".join(span.to_json() for span in spans), found)


def counts_are_true(found: Capture, call: Mapping[str, Any]) -> None:
    upstream = len(found.upstream)
    if call[semconv.UPSTREAM_CONFIDENCE] == "exact":
        assert call[semconv.UPSTREAM_ATTEMPTS] == upstream
    else:
        assert call[semconv.UPSTREAM_CONFIDENCE] == "at_least"
        assert call[semconv.UPSTREAM_ATTEMPTS] <= upstream
    assert call.get(semconv.HIDDEN_ATTEMPTS, 0) <= max(0, upstream - len(found.attempts))
    if upstream and call[semconv.STATUS] == "success":
        assert call[semconv.UPSTREAM_ATTEMPTS] >= 1
    assert call.get(semconv.RETRY_AMPLIFICATION, 1) <= max(1, upstream)


def model_is_true(found: Capture, call: Mapping[str, Any]) -> None:
    """The one that answered is the last that was asked; a chain or a rewriting gateway hides it."""
    served = call.get(semconv.MODEL_SERVED)
    asked = [model for model, _ in found.upstream if model]
    if served is not None and asked and call[semconv.STATUS] == "success":
        assert undated(str(served)) == asked[-1]
    hides = ("tensorzero", "llm-interactive-proxy", "anthropic-sdk", "chain--litellm-to-portkey")
    if asked and call[semconv.STATUS] == "success" and not found.name.startswith(hides):
        assert served is not None


def money_is_true(found: Capture, call: Mapping[str, Any]) -> None:
    if "cache-hit" in found.name:
        assert found.upstream == []
        assert call[semconv.CACHE_HIT] is True
        assert (call[semconv.COST_AMOUNT], call[semconv.COST_GRADE]) == (0, "billed")
        assert call[semconv.COST_AVOIDED] == 5.85e-06
    else:
        assert semconv.COST_AVOIDED not in call
        assert not call.get(semconv.CACHE_HIT)
    amount = call.get(semconv.COST_AMOUNT)
    if amount:
        assert call[semconv.STATUS] == "success"
        reported, derived = call.get(semconv.COST_REPORTED), call.get(semconv.COST_DERIVED)
        assert amount == (reported if reported is not None else derived)
        if reported is not None and derived is not None:
            # LiteLLM and the public book agree on these models, so one checks the other.
            assert reported == derived


def nothing_secret(everything: str, found: Capture) -> None:
    lower = everything.lower()
    assert [word for word in SECRETS if word in lower] == []
    assert re.search(r"(?<![A-Za-z0-9_-])sk-", everything) is None
    for attempt in found.attempts:
        for name, value in attempt["response_headers"]:
            if name.lower().endswith(("api-base", "authorization", "cache-key")):
                assert len(value) < 4 or value not in everything


BLOCKED = {
    "litellm--guardrail-block": ("proxy", "before"),
    "litellm--upstream-content-filter": ("model", None),
    "litellm-otelv2-fwd--upstream-content-filter": ("model", None),
    "portkey--guardrail-block": ("proxy", "before"),
    "portkey--guardrail-output-block": ("proxy", "after"),
    "tensorzero--upstream-content-filter": ("model", None),
}


@pytest.mark.parametrize("name", NAMES)
def test_what_was_blocked_was_blocked_by_the_right_party(name: str) -> None:
    call, _, _ = told(name)
    by, stage = BLOCKED.get(name, (None, None))
    assert call.get(semconv.BLOCKED_BY) == by
    assert call.get(semconv.BLOCKED_STAGE) == stage
    assert (call[semconv.STATUS] == "blocked") is (by is not None)


@pytest.mark.parametrize("name", [name for name in NAMES if capture_has_headers(name)])
def test_both_spellings_of_headers_read_the_same(name: str) -> None:
    """Ours, and that of OpenTelemetry's HTTP instrumentations."""
    found = capture(name)
    call = {
        semconv.OPERATION: "chat",
        semconv.PROVIDER: "openai",
        semconv.REQUEST_MODEL: "gpt-4o",
        semconv.SERVER_ADDRESS: "127.0.0.1",
        semconv.STATUS: "success" if found.last["status"] < 400 else "error",
        semconv.INPUT_TOKENS: 11,
        semconv.OUTPUT_TOKENS: 7,
    }
    ours, theirs = [], []
    for each in found.attempts:
        status = {semconv.HTTP_STATUS: each["status"]}
        kept = {name.lower(): value for name, value in each["response_headers"]}
        prefix = semconv.RESPONSE_HEADER_PREFIX
        ours.append(status | {prefix + name: value for name, value in kept.items()})
        theirs.append(
            status | {prefix + name.replace("-", "_"): [value] for name, value in kept.items()}
        )
    assert settle(call, ours) == settle(call, theirs)


def test_eighteen_requests_for_one_call_are_not_called_three() -> None:
    """SDK retries times LiteLLM's: the last answer's message tells most, the headers nothing."""
    call, _, _ = told("litellm--all-fail-500-sdk-retries")
    assert len(capture("litellm--all-fail-500-sdk-retries").upstream) == 18
    assert call[semconv.APP_ATTEMPTS] == 3
    assert call[semconv.UPSTREAM_ATTEMPTS] == 6
    assert call[semconv.HIDDEN_ATTEMPTS] == 3
    assert call[semconv.RETRY_AMPLIFICATION] == 6


if __name__ == "__main__":
    kept = {name: record(name) for name in NAMES}
    GOLDENS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    sys.stdout.write(f"{len(kept)} records in {GOLDENS}\n")
