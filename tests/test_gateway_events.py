"""Events that gateways keep themselves: read whole, counted once, never their content or keys."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import pytest
from ingesting import otoroshi_event, post, rows, spent
from spans import START_NS, attempt, foreign, hop, owner
from test_ingest_joins import at_the_end

from tollspan import config, semconv
from tollspan.collector import told_interactive, told_litellm, told_otoroshi
from tollspan.collector.told import Told, Untold
from tollspan.local import LocalStack

NOW_NS = START_NS + 3600 * 10**9
START_MS = START_NS // 10**6


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    config.reload({})
    with LocalStack() as running:
        yield running


@pytest.fixture(autouse=True)
def usual_settings() -> None:
    config.reload({})


def event(**more: Any) -> dict[str, Any]:
    """A newer Otoroshi's event: with the id of the request, and costs."""
    made = deepcopy(otoroshi_event()) | {
        "@timestamp": START_MS + 1_000,
        "request_id": "1904913942551986000",
        "costs": {"total_cost": 0.5, "currency": "dollar"},
    }
    return made | more


def balanced(**more: Any) -> dict[str, Any]:
    """What the load balancer in front tells of the same call."""
    made = event(**{"@id": "1904913942551986999", "@timestamp": START_MS + 1_004})
    made["provider_details"] = {"id": "provider_balancer", "provider": "loadbalancer"}
    return made | {"provider_kind": "loadbalancer"} | more


def told(read: Any, said: Any) -> Told:
    found = read(said, NOW_NS)
    assert isinstance(found, Told)
    return found


def faults(read: Any, said: Any) -> list[str]:
    with pytest.raises(Untold) as wrong:
        read(said, NOW_NS)
    return [fault.path for fault in wrong.value.faults]


# --- Otoroshi ----------------------------------------------------------------------------------------


def test_the_documented_event_is_read_whole(stack: LocalStack) -> None:
    said = otoroshi_event()
    status, answer = post(stack, said, "/otoroshi")
    assert (status, answer["accepted"], answer["errors"]) == (200, 1, [])
    (row,) = rows(stack, "service = 'otoroshi'")
    expected = {
        "time": "2025-03-26 15:10:49.191000000",
        "duration_s": 0.96,
        "operation": "chat",
        "provider": "openai",
        "request_model": "gpt-4o-mini",
        "route": "otoroshi > openai/gpt-4o-mini",
        "endpoint": "demo-llm-events",
        "environment": "dev",
        "input_tokens": 14,
        "output_tokens": 39,
        "reasoning_tokens": 0,
        "limit_requests": 10_000,
        "remaining_requests": 9_998,
        "limit_tokens": 200_000,
        "remaining_tokens": 199_992,
        "status": "success",
        "data_mode": "real",
        "user": "",
        "tenant": "",
        "api_key": "",
        "cost_usd": "0.0000255",
        "cost_grade": "derived",
    }
    assert {name: row[name] for name in expected} == expected
    (kept,) = stack.ledger.query(
        f"SELECT toString(tuple(*)) AS said FROM spans WHERE trace_id = '{row['trace_id']}'"
    )
    for secret in ("joke", "skeletons", "the_client_id", "vault"):
        assert secret not in kept["said"]
    again = post(stack, [said, {**said, "audit": "GatewayEvent"}, said], "/otoroshi")[1]
    assert (again["accepted"], again["duplicates"], again["ignored"]) == (0, 2, 1)
    assert spent(stack, "service = 'otoroshi'")[0] == 1


def test_wrong_values_are_told_by_path_and_unknown_ones_ignored() -> None:
    wrong = event(duration="long", apikey=[], a_new_field={"x": 1})
    wrong["usage"] = {"prompt_tokens": "14", "generation_tokens": 1.5}
    wrong["rate_limit"]["tokens_limit"] = {}
    wrong["route"]["name"] = 7
    wrong["@timestamp"] = "soon"
    assert sorted(faults(told_otoroshi.read, wrong)) == [
        *("@timestamp", "apikey", "duration", "rate_limit.tokens_limit", "route.name"),
        *("usage.generation_tokens", "usage.prompt_tokens"),
    ]
    assert faults(told_otoroshi.read, {"audit": "LLMUsageAudit"}) == ["@id", "@timestamp"]
    assert faults(told_otoroshi.read, ["no event"]) == [""]
    assert told(told_otoroshi.read, event(a_new_field=object(), usage=None)).span.attributes


def test_a_duration_that_cannot_be_harms_no_other_event(stack: LocalStack) -> None:
    said = [event(**{"@id": "7", "request_id": "7"}), event(duration=10**14, request_id="8")]
    status, answer = post(stack, said, "/otoroshi")
    assert (status, answer["accepted"], answer["rejected"]) == (207, 1, 1)


def test_the_clients_key_is_a_fingerprint_and_only_with_a_hash_key() -> None:
    name = semconv.API_KEY_FINGERPRINT
    assert name not in told(told_otoroshi.read, event()).span.attributes
    config.reload({"TOLLSPAN_HASH_KEY": "k"})
    said = event(user={"name": "Ada", "email": "ada@example.org"})
    attributes = told(told_otoroshi.read, said).span.attributes
    assert attributes[name].startswith("h:")
    assert attributes[semconv.USER].startswith("h:")
    assert "the_client_id" not in repr(attributes) and "ada" not in repr(attributes)


def test_one_call_that_two_events_tell_counts_once(stack: LocalStack) -> None:
    """In any order, and redelivered; a third one for a balancer in front of the first."""
    outermost = balanced(**{"@id": "1904913942551987777"})
    for number, order in enumerate(itertools.permutations([event(), balanced(), outermost])):
        mine = [each | {"request_id": f"19049139425519{number:05}"} for each in order]
        where = "service = 'otoroshi' AND endpoint = 'demo-llm-events' AND time > '2026-01-01'"
        before = spent(stack, where)
        for each in (*mine, *mine):
            status, answer = post(stack, each, "/otoroshi")
            assert (status, answer["rejected"]) == (200, 0)
        assert spent(stack, where)[0] == before[0] + 1
        assert spent(stack, where)[2] == (before[2] or 0) + 14
    providers = {row["provider"] for row in rows(stack, where)}
    assert providers == {"openai"}, "the event of whoever answered stands"


def test_a_repeating_event_without_a_request_id_is_ignored() -> None:
    assert told_otoroshi.read(balanced(request_id=None), NOW_NS) is None


def test_a_failed_attempt_of_a_request_is_part_of_the_one_that_answered() -> None:
    failed = event(**{"@id": "1", "error": {"error": {"type": "rate_limit", "message": "sesame"}}})
    for name in ("usage", "provider", "model", "duration", "costs"):
        del failed[name]
    spans = [told(told_otoroshi.read, each).span for each in (failed, event())]
    assert spans[0].attributes[semconv.ERROR_TYPE] == "rate_limit"
    assert "sesame" not in repr(spans[0].attributes)
    for order in itertools.permutations(spans):
        roles = {each: call.role for each, call in at_the_end([[each] for each in order]).items()}
        assert roles == {spans[0].span_id: "restated", spans[1].span_id: "owner"}


def test_an_event_restates_the_call_that_got_its_request_id() -> None:
    call = owner(1)
    answered = attempt(2, 1, **{"otoroshi-request-id": "1904913942551986000"})
    receipt = hop(3, 1, 0, "proxy", "otoroshi")  # as the processors make it of that header
    receipt.attributes[semconv.GATEWAY_REQUEST_ID] = "1904913942551986000"
    said = told(told_otoroshi.read, event()).span
    for order in itertools.permutations([call, answered, receipt, said]):
        ended = at_the_end([[each] for each in order])
        assert ended[said.span_id].owner_span_id == call.span_id
        assert [each.role for each in ended.values()].count("owner") == 1


def test_what_otoroshi_reckons_counts_only_where_no_price_is_known() -> None:
    known = told(told_otoroshi.read, event())
    unknown = told(told_otoroshi.read, event(model="house-7b"))
    amounts = [
        next(iter(at_the_end([[each.span]]).values())).attributes for each in (known, unknown)
    ]
    assert amounts[0][semconv.COST_AMOUNT] == 0.0000255
    assert (amounts[1][semconv.COST_AMOUNT], amounts[1][semconv.COST_GRADE]) == (0.5, "estimated")


def test_other_kinds_of_calls_state_their_usage_in_the_answer() -> None:
    said = event(
        consumed_using="embedding_model/embedding",
        output={"model": "text-embedding-3-small", "usage": {"prompt_tokens": 8}, "data": [[0.1]]},
    )
    del said["usage"], said["model"]
    del said["provider_details"]["options"]
    attributes = told(told_otoroshi.read, said).span.attributes
    assert attributes[semconv.OPERATION] == "embeddings"
    assert attributes[semconv.REQUEST_MODEL] == "text-embedding-3-small"
    assert attributes[semconv.INPUT_TOKENS] == 8
    assert semconv.OUTPUT_TOKENS not in attributes
    streamed = told(told_otoroshi.read, event(consumed_using="chat/completion/streaming"))
    assert streamed.span.attributes[semconv.REQUEST_STREAM] is True


def test_minus_one_is_how_otoroshi_says_that_it_does_not_know() -> None:
    said = event(usage={"prompt_tokens": -1, "generation_tokens": -1, "reasoning_tokens": -1})
    attributes = told(told_otoroshi.read, said).span.attributes
    assert semconv.INPUT_TOKENS not in attributes and semconv.OUTPUT_TOKENS not in attributes


# --- LiteLLM -----------------------------------------------------------------------------------------

# As LiteLLM 1.106 wrote them of a call, with what the proxy adds by its types.
CALL = "8d2b1c7e-5a1f-4e0e-9c0a-6a2a3f1f7a11"
ROW: dict[str, Any] = {
    "request_id": "chatcmpl-77aa",
    "call_type": "acompletion",
    "api_key": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
    "spend": 0.9,
    "total_tokens": 1100,
    "prompt_tokens": 1000,
    "completion_tokens": 100,
    "startTime": "2026-05-28T20:26:41.000Z",
    "endTime": "2026-05-28T20:26:41.500Z",
    "completionStartTime": "2026-05-28T20:26:41.125Z",
    "model": "gpt-4o-mini",
    "model_id": "d1",
    "model_group": "fast",
    "custom_llm_provider": "openai",
    "api_base": "https://api.openai.com/v1",
    "user": "u_1",
    "end_user": "",
    "team_id": "t_1",
    "organization_id": "acme",
    "session_id": "s_1",
    "metadata": json.dumps(
        {
            "user_api_key_team_alias": "growth",
            "usage_object": {
                "prompt_tokens_details": {"cached_tokens": 400},
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
        }
    ),
    "cache_hit": "None",
    "cache_key": "Cache OFF",
    "mcp_namespaced_tool_name": None,
    "agent_id": None,
    "requester_ip_address": None,
    "proxy_server_request": "{}",
    "request_duration_ms": 500,
    "request_tags": '["feature:checkout", "beta"]',
    "messages": {"role": "user", "content": "a secret"},
    "response": {"choices": []},
    "status": "success",
    "litellm_call_id": CALL,
}
PAYLOAD: dict[str, Any] = {
    "id": "chatcmpl-77aa",
    "trace_id": "t",
    "litellm_call_id": CALL,
    "call_type": "acompletion",
    "stream": True,
    "response_cost": 0.9,
    "status": "success",
    "custom_llm_provider": "openai",
    "prompt_tokens": 1000,
    "completion_tokens": 100,
    "startTime": START_NS / 1e9,
    "endTime": START_NS / 1e9 + 0.5,
    "completionStartTime": START_NS / 1e9 + 0.125,
    "model": "gpt-4o-mini",
    "model_group": "fast",
    "metadata": {"user_api_key_hash": "88dc", "user_api_key_org_id": "acme", "usage_object": None},
    "cache_hit": None,
    "request_tags": ["feature:checkout"],
    "messages": "a secret",
    "error_information": None,
}


def test_a_spend_log_is_a_call(stack: LocalStack) -> None:
    assert post(stack, [ROW], "/litellm")[1]["accepted"] == 1
    (row,) = rows(stack, "scope = 'litellm.spend_logs'")
    expected = {
        "provider": "openai",
        "request_model": "fast",
        "response_model": "gpt-4o-mini",
        "route": "litellm > openai/gpt-4o-mini",
        "input_tokens": 1000,
        "output_tokens": 100,
        "cache_read_tokens": 400,
        "reasoning_tokens": 20,
        "cost_usd": "0.00018",
        "cost_grade": "derived",
        "duration_s": 0.5,
        "time_to_first_chunk_s": 0.125,
        "tenant": "acme",
        "user": "u_1",
        "session": "s_1",
        "api_key": "",
        "tags": {"team": "growth", "feature": "checkout", "beta": "true"},
        "response_id": "chatcmpl-77aa",
    }
    assert {name: row[name] for name in expected} == expected
    (kept,) = stack.ledger.query(
        f"SELECT toString(tuple(*)) AS said FROM spans WHERE trace_id = '{row['trace_id']}'"
    )
    assert "secret" not in kept["said"] and "88dc28d0" not in kept["said"]
    assert post(stack, ROW, "/litellm")[1]["duplicates"] == 1


@pytest.mark.parametrize(
    ("model", "maker", "metadata", "usd"),
    [
        ("gpt-5.4", "openai", {"cost_breakdown": {"service_tier": "flex"}}, "0.002"),
        ("gpt-5.4", "openai", {"cost_breakdown": {"service_tier": None}}, "0.004"),
        ("gpt-audio", "openai",
         {"usage_object": {"prompt_tokens_details": {"audio_tokens": 900},
                           "completion_tokens_details": {"audio_tokens": 40}}}, "0.03221"),
        ("claude-sonnet-4-5", "anthropic",
         {"usage_object": {"cache_creation_input_tokens": 500, "server_tool_use": {"web_search_requests": 2},
          "prompt_tokens_details": {"cache_creation_token_details": {"ephemeral_1h_input_tokens": 500}}}},
         "0.026"),
    ],
)  # fmt: skip
def test_a_spend_log_is_priced_by_what_it_was_reckoned_by(
    stack: LocalStack, model: str, maker: str, metadata: dict[str, Any], usd: str
) -> None:
    # The prices of tiers in the book begin in October 2026.
    at = {"startTime": "2026-11-20T10:00:00Z", "endTime": "2026-11-20T10:00:01Z"}
    named = f"reckoned {usd}"
    row = ROW | at | {
        "request_id": named, "litellm_call_id": named, "model": model, "custom_llm_provider": maker,
        "spend": float(usd), "metadata": json.dumps(metadata), "completionStartTime": None,
    }  # fmt: skip
    assert post(stack, [row], "/litellm")[1]["accepted"] == 1
    (found,) = rows(stack, f"response_id = '' AND request_model = 'fast' AND cost_usd = {usd}")
    assert found["cost_grade"] == "derived"


def test_a_logging_payload_is_the_same_call_as_its_row() -> None:
    row, payload = told(told_litellm.read, ROW).span, told(told_litellm.read, PAYLOAD).span
    assert (row.trace_id, row.span_id) == (payload.trace_id, payload.span_id)
    assert payload.attributes[semconv.REQUEST_STREAM] is True


def test_a_failed_call_has_no_tokens_rather_than_none() -> None:
    failed = ROW | {
        "status": "failure",
        "request_id": CALL,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "spend": 0.0,
        "metadata": json.dumps(
            {"error_information": {"error_class": "RateLimitError", "error_message": "a secret"}}
        ),
    }
    attributes = told(told_litellm.read, failed).span.attributes
    assert attributes[semconv.ERROR_TYPE] == "RateLimitError"
    assert not {semconv.INPUT_TOKENS, semconv.OUTPUT_TOKENS, semconv.RESPONSE_ID} & set(attributes)
    assert "secret" not in repr(attributes)
    both = [told(told_litellm.read, each).span for each in (failed, ROW)]
    for order in itertools.permutations(both):
        ended = at_the_end([[each] for each in order])
        assert ended[both[0].span_id].role == "restated"


def test_a_cache_hit_spends_nothing() -> None:
    hit = ROW | {"cache_hit": "True", "request_id": "chatcmpl-77aa_cache_hit1764.1", "spend": 0.0}
    (call,) = at_the_end([[told(told_litellm.read, hit).span]]).values()
    assert call.attributes[semconv.COST_AMOUNT] == 0.0
    assert call.attributes[semconv.COST_AVOIDED] == 0.00018


def test_a_spend_log_restates_the_call_and_the_gateways_own_span() -> None:
    begun = {"startTime": START_NS / 1e9 + 1.1, "endTime": START_NS / 1e9 + 1.4}
    said = told(told_litellm.read, PAYLOAD | begun).span
    call, headers = owner(1), attempt(2, 1, **{"x-litellm-call-id": CALL})
    spoken = foreign(
        1,
        trace_id="0" * 31 + "c",
        span_id="00000000000000aa",
        attributes={"litellm.call_id": CALL, semconv.RESPONSE_ID: "chatcmpl-77aa"},
    )
    for order in itertools.permutations([call, headers, said, spoken]):
        ended = at_the_end([[each] for each in order])
        owners = {each.owner_span_id for each in ended.values()}
        assert owners == {call.span_id}, "one owner of all three"
    for order in itertools.permutations([said, spoken]):
        ended = at_the_end([[each] for each in order])
        assert sorted(each.role for each in ended.values()) == ["owner", "restated"]


def test_wrong_rows_are_told_by_path() -> None:
    wrong = ROW | {"prompt_tokens": "x", "startTime": "then", "metadata": "{", "spend": []}
    assert sorted(faults(told_litellm.read, wrong)) == [
        *("metadata", "prompt_tokens", "spend", "startTime"),
    ]
    assert faults(told_litellm.read, {}) == ["id", "startTime"]


# --- llm-interactive-proxy ---------------------------------------------------------------------------

USAGE: dict[str, Any] = {
    "id": "f1c0a0de-1111-4222-8333-444455556666",
    "timestamp": "2026-05-28T20:26:41.100000+00:00",
    "session_id": "llm-b2bua-1234",
    "turn_number": 2,
    "backend_type": "openai",
    "backend_instance_id": "openai.1",
    "model": "gpt-4o-mini",
    "frontend_type": "openai",
    "leg": "PTB",
    "verbatim_prompt_tokens": 0,
    "verbatim_completion_tokens": 90,
    "mutated_prompt_tokens": 1010,
    "mutated_completion_tokens": 90,
    "total_tokens": 1100,
    "backend_reported_usage": {
        "prompt_tokens": 1000,
        "completion_tokens": 100,
        "total_tokens": 1100,
        "prompt_tokens_details": {"cached_tokens": 400, "audio_tokens": 0},
    },
    "http_status_code": 200,
    "tool_call_count": 1,
    "native_tool_call_count": 1,
    "vtc_tool_call_count": 0,
    "tool_names": ["search"],
    "ttft_ms": 125.0,
    "stream_tps": None,
    "backend_wait_ms": 400.0,
    "proxy_processing_ms": 5.0,
    "total_duration_ms": 300.0,
    "user_agent": "x/1",
    "app_title": "shop",
    "proxy_user": "u_1",
}


def test_a_usage_record_counts_by_what_the_backend_reported(stack: LocalStack) -> None:
    way_in = USAGE | {"id": "another", "leg": "CTP"}
    answer = post(stack, [way_in, USAGE], "/llm-interactive-proxy")[1]
    assert (answer["accepted"], answer["ignored"]) == (1, 1)
    (row,) = rows(stack, "scope = 'llm-interactive-proxy'")
    expected = {
        "provider": "openai",
        "request_model": "gpt-4o-mini",
        "route": "llm-interactive-proxy > openai/gpt-4o-mini",
        "input_tokens": 1000,
        "output_tokens": 100,
        "cache_read_tokens": 400,
        "cost_usd": "0.00018",
        "cost_grade": "derived",
        "duration_s": 0.3,
        "time_to_first_chunk_s": 0.125,
        "session": "llm-b2bua-1234",
        "user": "u_1",
        "tool_calls": 1,
        "tags": {"app": "shop"},
    }
    assert {name: row[name] for name in expected} == expected


def test_the_proxys_own_counts_are_no_more_than_that() -> None:
    said = told(told_interactive.read, USAGE | {"backend_reported_usage": None}).span
    (call,) = at_the_end([[said]]).values()
    assert said.attributes[semconv.INPUT_TOKENS] == 1010
    assert call.attributes[semconv.COST_GRADE] == "estimated"


def test_a_usage_record_restates_the_call_of_its_session_at_that_time() -> None:
    call, headers = owner(1), attempt(2, 1, **{"x-b2bua-session-id": "llm-b2bua-1234"})
    later = told(told_interactive.read, USAGE | {"timestamp": "2026-05-28T20:46:41+00:00"}).span
    now = told(told_interactive.read, USAGE).span
    for order in itertools.permutations([call, headers, now]):
        assert at_the_end([[each] for each in order])[now.span_id].role == "restated"
    assert at_the_end([[call, headers, later]])[later.span_id].role == "owner"


def test_wrong_usage_records_are_told_by_path() -> None:
    assert faults(told_interactive.read, USAGE | {"leg": "XYZ"}) == ["leg"]
    wrong = USAGE | {"id": None, "backend_reported_usage": 3, "timestamp": None}
    assert sorted(faults(told_interactive.read, wrong)) == [
        *("backend_reported_usage", "id", "timestamp"),
    ]


# --- all of them -------------------------------------------------------------------------------------

HOSTILE: Sequence[Any] = (
    *(None, 1, "text", [], {}, {"": {}}, {"a": [[[]]]}),
    *({"audit": "LLMUsageAudit", "@id": "x" * 10_000, "@timestamp": 10**400},),
    *({"request_id": {}, "startTime": [], "metadata": [1]},),
    *({"leg": {}, "id": [], "timestamp": {}, "model": 1.5},),
)


@pytest.mark.parametrize("read", [told_otoroshi.read, told_litellm.read, told_interactive.read])
@pytest.mark.parametrize("value", [None, 1, -1.5, True, "x", [], {}, [{}], {"": None}], ids=repr)
def test_whatever_stands_anywhere_is_read_or_told(read: Any, value: Any) -> None:
    whole = {
        told_otoroshi.read: event(),
        told_litellm.read: ROW,
        told_interactive.read: USAGE,
    }[read]
    said = [*HOSTILE, *({**whole, name: value} for name in whole)]
    nested = ("usage", "apikey", "route", "provider_details", "rate_limit", "costs")
    for name in nested:
        inner = whole.get(name)
        if isinstance(inner, dict):
            said += [{**whole, name: {**inner, key: value}} for key in inner]
    for each in said:
        try:
            found = read(each, NOW_NS)
        except Untold as wrong:
            assert wrong.faults
        else:
            assert found is None or isinstance(found, Told)
