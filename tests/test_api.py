"""The JSON API tells what the ledger holds, as the contract has it, to those who may ask."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest
from spans import START_NS, TRACE, attempt, foreign, hop, owner, span

from tollspan import config, semconv
from tollspan.collector.span import Event, Span
from tollspan.local import LocalStack, queries
from tollspan.local.server import TokenNeeded
from tollspan.local.trace import _in_tree_order


def words(text: str) -> set[str]:
    return set(text.split())


CALL = words(
    """
    call_id trace_id span_id time service environment data_mode operation streaming endpoint
    prompt prompt_version tenant user session tags provider server_address request_model
    response_model served_model route hops hop_count input_tokens output_tokens
    cache_read_tokens cache_write_tokens reasoning_tokens cost_usd cost_grade cost_grade_reason cost_source
    reported_usd derived_usd avoided_usd wasted_usd waste_reason unpriced_reason
    service_tier price_version time_to_first_chunk_s duration_s status error_type
    app_attempts upstream_attempts upstream_confidence model_swapped fallback cache_hit
    blocked_by blame finish_reasons request_id
    """
)
SUMMARY = words(
    """
    calls cost_usd unpriced_calls lower_bound_calls errors untagged_calls input_tokens
    output_tokens avoided_usd wasted_usd p50_s p95_s by_endpoint by_model by_tenant by_route
    """
)
STATUS = words(
    """
    version grpc http page data_dir started requests_received spans_received spans_rejected
    llm_spans calls priced_calls unpriced_models untagged_calls ledger_rows python_snippet
    """
)
SPAN = words(
    """
    span_id parent_id name kind scope service time offset_s duration_s status status_message
    role hop_role attempt cost_usd restated attributes events
    """
)


def calls() -> list[Span]:
    """Twelve calls in twelve traces, one a second."""
    made = []
    for number in range(1, 13):
        said: dict[str, Any] = {
            semconv.ENDPOINT_TAG: "checkout" if number % 3 else "search",
            semconv.TENANT: f"tenant {number % 2}",
            semconv.STATUS: "error" if number == 4 else "success",
        }
        if number == 5:
            del said[semconv.ENDPOINT_TAG]
        made.append(
            owner(
                number,
                cost=None if number in (4, 6) else number / 1000,
                attributes=said,
                trace_id=f"{number:032x}",
            )
        )
    made[4].attributes.pop(semconv.ENDPOINT_TAG)
    return made


def trace() -> list[Span]:
    """A server span around a call through a gateway that another instrumentation tells again."""
    said = {semconv.HOP_COUNT: 3, semconv.ROUTE: "litellm > openai/gpt-4o-mini"}
    return [
        span(1, name="POST /checkout", kind="server", scope="web"),
        span(2, 1, name="redis", kind="client", scope="redis"),
        foreign(3, 1),
        owner(4, 3, attributes=said, events=[Event("x", START_NS + 4 * 10**9 + 10**8, {"n": 1})]),
        attempt(5, 4, 429),
        hop(6, 4, 0, "proxy", "litellm"),
        hop(7, 4, 1, "router", "litellm"),
        hop(8, 4, 2, "model", "openai"),
        span(9, 4, {semconv.ATTEMPT: 2, semconv.HTTP_METHOD: "POST"}, kind="client"),
    ]


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with LocalStack() as made:
        for batch in (calls(), list(reversed(trace()))):
            made.writer.offer(batch).result(30)
        yield made


def get(stack: LocalStack, path: str, **headers: str) -> tuple[int, Any]:
    request = urllib.request.Request(stack.page_url + path, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def numbers(stack: LocalStack, **filters: str) -> list[int]:
    """Which of the twelve calls the filters find."""
    _, found = get(stack, "/api/calls?limit=500&" + urllib.parse.urlencode(filters))
    return sorted(int(call["span_id"], 16) for call in found["calls"] if call["trace_id"] != TRACE)


def test_calls_come_newest_first_in_pages(stack: LocalStack) -> None:
    seen, cursor = [], ""
    for _ in range(10):
        _, page = get(stack, f"/api/calls?limit=5&before={cursor}")
        seen += page["calls"]
        cursor = page["next"]
        if cursor is None:
            break

    assert len(seen) == 13
    assert [call["time"] for call in seen] == sorted((c["time"] for c in seen), reverse=True)
    assert all(set(call) == CALL for call in seen)


def test_a_call_tells_what_the_span_told(stack: LocalStack) -> None:
    _, page = get(stack, "/api/calls?limit=1")
    _, call = get(stack, f"/api/calls/{page['calls'][0]['call_id']}")

    assert call == page["calls"][0]
    assert call["cost_usd"] == "0.012"
    assert call["time"] == "2026-05-28T20:26:52.000Z"
    assert re.fullmatch(r"[0-9a-f]{32}", call["call_id"])
    assert (call["duration_s"], call["input_tokens"], call["user"]) == (0.5, 540, None)
    assert call["hops"] == [
        {
            "role": "model",
            "name": "openai",
            "provider": "openai",
            "model": "gpt-4o-mini-2024-07-18",
            "evidence": "observed",
            "overhead_ms": None,
            "redaction": None,
            "status": "unset",
        }
    ]


def test_filters_narrow_and_combine(stack: LocalStack) -> None:
    assert numbers(stack, endpoint="search") == [3, 6, 9, 12]
    assert numbers(stack, endpoint="search", tenant="tenant 1") == [3, 9]
    assert numbers(stack, endpoint="-") == numbers(stack, untagged="1") == [5]
    assert numbers(stack, status="error") == [4]
    assert numbers(stack, unpriced="1") == [4, 6]
    assert numbers(stack, model="gpt-4o-mini-2024-07-18", provider="openai") == list(range(1, 13))
    assert numbers(stack, model="gpt-5") == []
    assert numbers(stack, q="SEAR") == [3, 6, 9, 12]
    assert numbers(stack, since="2026-05-28T20:26:50Z") == [10, 11, 12]
    assert numbers(stack, until="2026-05-28T22:26:43+02:00") == [1, 2]
    assert numbers(stack, since="0001-01-02") == numbers(stack, until="9999-01-01T00:00:00Z")
    assert numbers(stack, tenant="x') OR 1=1 --") == []


def test_the_same_filters_sum_up(stack: LocalStack) -> None:
    _, all_of_it = get(stack, "/api/summary")
    _, search = get(stack, "/api/summary?endpoint=search")
    _, nothing = get(stack, "/api/summary?endpoint=none")

    assert set(all_of_it) >= SUMMARY
    assert all_of_it["calls"] == 13
    assert all_of_it["cost_usd"] == "0.068123"  # 1 to 12 without 4 and 6, and one of 0.000123
    assert (all_of_it["unpriced_calls"], all_of_it["errors"]) == (2, 1)
    assert all_of_it["untagged_calls"] == 1
    assert all_of_it["by_endpoint"][0] == {"name": "checkout", "calls": 7, "cost_usd": "0.039"}
    assert (search["calls"], search["cost_usd"], search["p50_s"]) == (4, "0.024", 0.5)
    assert (nothing["calls"], nothing["cost_usd"], nothing["p50_s"]) == (0, "0", None)


def test_a_summary_of_calls_without_a_price_is_not_zero(stack: LocalStack) -> None:
    _, found = get(stack, "/api/summary?unpriced=1")

    assert (found["calls"], found["cost_usd"], found["unpriced_calls"]) == (2, None, 2)


def test_menus_list_what_there_is(stack: LocalStack) -> None:
    _, menus = get(stack, "/api/filters")

    assert {"endpoint", "tenant", "model", "provider", "status", "route"} <= set(menus)
    assert {"prompt_version", "data_mode"} <= set(menus)
    assert menus["tenant"] == ["acme", "tenant 0", "tenant 1"]
    assert menus["prompt_version"] == []


def test_a_trace_is_a_tree_in_reading_order(stack: LocalStack) -> None:
    _, found = get(stack, f"/api/traces/{TRACE}")
    spans = found["spans"]

    assert [int(each["span_id"], 16) for each in spans] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert [each["role"] for each in spans] == [
        *("app", "other", "call", "call", "attempt", "hop", "hop", "hop", "attempt")
    ]
    assert all(set(each) >= SPAN for each in spans)
    assert [each["cost_usd"] for each in spans if each["cost_usd"]] == ["0.000123"]
    assert [int(each["span_id"], 16) for each in spans if each["restated"]] == [3]
    assert spans[3]["events"] == [{"name": "x", "offset_s": 0.1, "attributes": {"n": 1}}]
    assert spans[3]["offset_s"] == 3.0
    assert spans[3]["attributes"][semconv.INPUT_TOKENS] == 540
    assert spans[5]["hop_role"] == "proxy"
    assert spans[8]["attempt"] == 2
    assert len(found["calls"]) == 1
    assert [each["role"] for each in found["calls"][0]["hops"]] == ["proxy", "router", "model"]


def test_an_attempt_and_the_hops_that_answered_it_stand_as_the_request_went() -> None:
    def row(span_id: str, parent_id: str, **attributes: int) -> dict[str, Any]:
        return {
            "span_id": span_id,
            "parent_id": parent_id,
            "time_ns": 7,
            "attributes": {getattr(semconv, name): value for name, value in attributes.items()},
        }

    model, proxy = row("a", "call", HOP_INDEX=1), row("c", "call", HOP_INDEX=0)
    rows = [model, row("b", "call", ATTEMPT=1), proxy, row("call", "")]

    assert [each["span_id"] for each in _in_tree_order(rows)] == ["call", "b", "c", "a"]


def test_status_says_where_everything_is_and_what_is_missing(stack: LocalStack) -> None:
    _, status = get(stack, "/api/status")

    assert set(status) >= STATUS
    assert (status["calls"], status["priced_calls"], status["untagged_calls"]) == (13, 11, 1)
    assert status["unpriced_models"] == [
        {"provider": "openai", "model": "gpt-4o-mini-2024-07-18", "calls": 2}
    ]
    assert stack.grpc_endpoint in status["python_snippet"]
    assert status["ledger_rows"] > 13


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/calls?limit=0", 400),
        ("/api/calls?limit=x", 400),
        ("/api/calls?limit=%C2%B2", 400),
        ("/api/calls?before=zz", 400),
        ("/api/calls?since=yesterday", 400),
        ("/api/calls?nonsense=1", 400),
        ("/api/calls/zz", 400),
        ("/api/calls/" + "0" * 32, 404),
        ("/api/traces/zz", 400),
        ("/api/traces/" + "0" * 32, 404),
        ("/api/nothing", 404),
        ("/nothing.html", 404),
        ("/__init__.py", 404),
        ("/../server.py", 404),
        ("/%2e%2e/server.py", 404),
    ],
)
def test_errors_are_one_sentence(stack: LocalStack, path: str, status: int) -> None:
    got, body = get(stack, path)

    assert got == status
    assert list(body) == ["error"]
    assert "Traceback" not in body["error"]
    assert len(body["error"]) < 400


def test_a_query_that_takes_too_long_ends_with_a_sentence(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = "SELECT sleepEachRow(0.05) FROM numbers(1000) SETTINGS max_execution_time = 0.2"
    monkeypatch.setattr(queries, "TOTALS", slow + ", max_block_size = 1 --")
    status, body = get(stack, "/api/summary")

    assert status == 503
    assert "too long" in body["error"]


def test_readers_cannot_write(stack: LocalStack) -> None:
    from tollspan.local.ledger import LedgerError

    for statement in ("DROP TABLE spans", "INSERT INTO llm_calls (call_id) VALUES ('x')"):
        with pytest.raises(LedgerError, match="readonly"):
            stack.ledger.query(statement)


@pytest.mark.parametrize("path", ["/", "/app.js", "/api/status"])
def test_every_answer_is_fenced(stack: LocalStack, path: str) -> None:
    with urllib.request.urlopen(stack.page_url + path) as answer:
        headers = answer.headers

    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] in ("no-cache", "no-store")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost@evil"])
def test_another_host_name_is_refused(stack: LocalStack, host: str) -> None:
    status, body = get(stack, "/api/calls", Host=host)

    assert status == 403
    assert body["error"]


def test_another_origin_is_refused_and_our_own_is_not(stack: LocalStack) -> None:
    assert get(stack, "/api/calls", Origin="http://evil.example")[0] == 403
    assert get(stack, "/api/calls", Origin="null")[0] == 403
    assert get(stack, "/api/calls", Origin=stack.page_url)[0] == 200


@pytest.mark.parametrize(
    ("typed", "led"),
    [
        ("/boards", "/#/boards"),
        ("/boards/tollspan-hops?from=now-7d&to=now", "/#/boards/tollspan-hops?from=now-7d&to=now"),
        ("/calls?tenant=a%20b", "/#/calls?tenant=a%20b"),
        ("/trace/%3Cb%3E", "/#/trace/%3Cb%3E"),
        ("/setup//elsewhere.example", "/#/setup/elsewhere.example"),
    ],
)
def test_an_address_typed_without_its_sharp_leads_to_the_page(
    stack: LocalStack, typed: str, led: str
) -> None:
    address = urllib.parse.urlsplit(stack.page_url)
    with contextlib.closing(HTTPConnection(address.hostname or "", address.port)) as asked:
        asked.request("GET", typed)
        answer = asked.getresponse()
        assert (answer.status, answer.headers["location"]) == (307, led)
        assert answer.headers["set-cookie"] is None


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_browser_fetches_for_another_site_is_refused(stack: LocalStack, site: str) -> None:
    image = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    frame = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
    link = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    ours = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}

    assert get(stack, "/api/calls", **image)[0] == 403
    assert get(stack, "/api/calls", **frame)[0] == 403
    assert get(stack, "/api/calls", **link)[0] == 200, "somebody followed a link"
    assert get(stack, "/api/calls", **ours)[0] == 200


def test_a_request_with_two_lengths_is_the_last_of_its_connection(stack: LocalStack) -> None:
    head = b"HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    lengths = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    smuggled = b"0\r\n\r\nGET /api/status " + head + b"\r\n"
    with socket.create_connection(("127.0.0.1", stack.ui_port), timeout=60) as connection:
        connection.sendall(b"POST /api/demo " + head + lengths + smuggled)
        answer = b"".join(iter(lambda: connection.recv(1000), b""))

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_off_loopback_a_token_is_needed() -> None:
    with pytest.raises(TokenNeeded, match="TOLLSPAN_TOKEN"):
        LocalStack(host="0.0.0.0").start()


def test_settings_in_force_are_told_and_secrets_are_not(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLLSPAN_HASH_KEY", "very secret")
    monkeypatch.setenv("TOLLSPAN_TAGS", "team=growth,app=web")
    config.reload()
    status, found = get(stack, "/api/settings")
    told = {one["variable"]: one for one in found["settings"]}

    assert status == 200
    assert told["TOLLSPAN_HASH_KEY"]["value"] == "(set)"
    assert told["TOLLSPAN_TAGS"]["value"] == "team=growth,app=web"
    assert told["TOLLSPAN_TAGS"]["set"] and not told["TOLLSPAN_TOKEN"]["set"]
    assert "very secret" not in json.dumps(found)


def test_hops_of_another_instrumentation_s_call_are_rows_without_a_time(stack: LocalStack) -> None:
    through = {"trace_id": "fe" * 16, "start_ns": START_NS, "end_ns": START_NS + 10**9}
    asked = foreign(71, attributes={semconv.SERVER_ADDRESS: "gateway.internal"}, **through)
    answered = attempt(72, 71, x_litellm_call_id="c1", x_litellm_model_name="openai/gpt-4o-mini")
    answered.trace_id = "fe" * 16
    stack.writer.offer([asked, answered]).result(30)
    _, found = get(stack, f"/api/traces/{'fe' * 16}")
    hops = [row for row in found["spans"] if row["role"] == "hop"]

    assert [(row["hop_role"], row["timed"]) for row in hops] == [("proxy", False), ("model", False)]
    assert {row["parent_id"] for row in hops} == {asked.span_id}
    assert [row["cost_usd"] for row in found["spans"] if row["cost_usd"]] == [
        found["calls"][0]["cost_usd"]
    ]
    assert all(row["timed"] for row in found["spans"] if row["role"] != "hop")


@pytest.mark.parametrize(
    ("query", "said"),
    [("by=password", "by is unknown"), ("sort=name", "sort is unknown"), ("x=1", "no filter")],
)
def test_a_ranking_that_is_none_is_a_sentence(stack: LocalStack, query: str, said: str) -> None:
    status, found = get(stack, f"/api/top?{query}")

    assert status == 400
    assert said in found["error"]


def test_calls_are_found_by_their_tags_and_not_by_what_is_in_them(stack: LocalStack) -> None:
    assert numbers(stack, **{"tag.team": "'] OR 1 = 1 --"}) == []
    assert numbers(stack, **{"tag.'] OR 1 = 1 --": "x"}) == []
    # No call has the tag: they are those of which it is not known.
    assert set(range(1, 13)) <= set(numbers(stack, **{"tag.team": "-"}))
