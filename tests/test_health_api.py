"""`GET /v1/health` says of each backend what probes and calls say, in the shape that it has declared."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jsonschema
import pytest
from starlette.applications import Starlette

from tollspan.limits.backends import Backend, Check
from tollspan.limits.circuits import Policy
from tollspan.limits.probes import Result
from tollspan.limits.probing import Standing
from tollspan.local import health
from tollspan.local.ledger import Ledger

SCHEMA = health.OPERATIONS["/v1/health"]["get"]["responses"]["200"]["content"]["application/json"]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    made = Ledger(tmp_path_factory.mktemp("ledger"))
    yield made
    made.close()


@pytest.fixture
def empty(ledger: Ledger) -> Ledger:
    for table in ("llm_calls", "probes"):
        ledger.recall(f"TRUNCATE TABLE {table}", {})
    return ledger


def get(ledger: Ledger, standings: list[Standing], query: str = "") -> httpx.Response:
    app = Starlette(routes=health.routes(ledger, lambda: standings, Policy))

    async def asking() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get(f"/v1/health{query}")

    return asyncio.run(asking())


def answer(ledger: Ledger, *standings: Standing, query: str = "") -> dict[str, Any]:
    got = get(ledger, list(standings), query)
    found: dict[str, Any] = got.json()
    assert got.status_code == 200, found
    jsonschema.Draft202012Validator(SCHEMA["schema"]).validate(found)
    return found


def calls(ledger: Ledger, *stated: dict[str, Any], ago_s: float = 1) -> None:
    moment = datetime.now(UTC) - timedelta(seconds=ago_s)
    rows = [
        {
            "call_id": f"{id(each):016x}{number:016x}",
            "time": f"{moment:%Y-%m-%d %H:%M:%S.%f}000",
            "role": "owner",
            "version": 1,
            "status": "success",
            "duration_s": 1.0,
            **each,
        }
        for number, each in enumerate(stated)
    ]
    ledger.insert("llm_calls", rows)


OPENAI = {"provider": "openai", "server_address": "api.openai.com"}


def failed(kind: str) -> dict[str, Any]:
    return {**OPENAI, "status": "error", "error_type": kind, "duration_s": 60.0}


def standing(ok: bool, **more: Any) -> Standing:
    backend = Backend("main", "https://api.openai.com/v1", provider="openai", **more)
    made = Standing(backend)
    moment = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
    for number in range(3):
        result = Result("http", ok, moment + timedelta(seconds=number), 0.04, 200 if ok else 500)
        made.add(backend.checks[0], result)
    return made


def test_an_empty_ledger_without_probes_knows_nothing(empty: Ledger) -> None:
    found = answer(empty)

    assert (found["state"], found["backends"]) == ("unknown", [])


def test_calls_show_their_backends_by_what_became_of_them(empty: Ledger) -> None:
    good = [{**OPENAI, "duration_s": number / 10} for number in range(1, 11)]
    bad = ["APITimeoutError", "InternalServerError", "529", "RateLimitError", "BadRequestError"]
    calls(empty, *good, *map(failed, bad), failed("Odd"))
    calls(empty, {"provider": "ollama", "server_address": "localhost"})
    calls(empty, {**OPENAI, "status": "cancelled"}, {**OPENAI, "status": "abandoned"})
    calls(empty, {**OPENAI, "status": "blocked", "blocked_by": "app"})
    calls(empty, *map(failed, bad), ago_s=900)
    found = answer(empty)
    openai, ollama = found["backends"]

    assert (openai["provider"], openai["server_address"]) == ("openai", "api.openai.com")
    assert (openai["name"], openai["server_port"], openai["probes"]) == (None, None, None)
    assert openai["calls"]["outcomes"] == {
        "answered": 10,
        "timeout": 1,
        "server": 2,
        "limited": 1,
        "refused": 1,
        "other": 1,
    }
    assert (openai["calls"]["calls"], openai["calls"]["failed"]) == (16, 3)
    assert 0.4 < openai["calls"]["latency_p50_s"] < 0.7
    assert 0.8 < openai["calls"]["latency_p95_s"] <= 1.0
    assert (openai["state"], ollama["state"], found["state"]) == ("up", "up", "up")


def test_a_backend_is_down_where_its_calls_fail_as_a_circuit_would_have_it(empty: Ledger) -> None:
    calls(empty, *[OPENAI] * 5, *[failed("InternalServerError")] * 5)
    found = answer(empty)

    assert found["state"] == "down"
    assert found["backends"][0]["reason"] == "5 of 10 calls failed"


def test_no_answer_at_all_but_too_few_failures_is_unknown(empty: Ledger) -> None:
    calls(empty, *[failed("APIConnectionError")] * 4)

    assert answer(empty)["backends"][0]["state"] == "unknown"


def test_a_declared_backend_has_its_probes_and_its_calls(empty: Ledger) -> None:
    calls(empty, OPENAI)
    (main,) = answer(empty, standing(ok=False))["backends"]

    assert (main["name"], main["server_port"], main["state"]) == ("main", 443, "down")
    assert main["since"] == "2026-11-01T12:00:02.000Z"
    assert main["reason"] == "3 probes in a row failed: http GET: "
    assert main["calls"]["state"] == "up"
    assert main["probes"]["checks"][0]["last"]["status"] == 500


def test_calls_that_fail_are_told_though_probes_are_answered(empty: Ledger) -> None:
    calls(empty, *[failed("InternalServerError")] * 5)
    (main,) = answer(empty, standing(ok=True))["backends"]

    assert (main["state"], main["probes"]["state"]) == ("down", "up")
    assert (main["since"], main["reason"]) == (None, "5 of 5 calls failed")


def test_of_two_backends_on_one_host_calls_go_to_the_one_of_their_provider(empty: Ledger) -> None:
    calls(empty, {"provider": "ollama", "server_address": "gpu"})
    one = Standing(Backend("vllm", "http://gpu:8000", provider="vllm", checks=(Check("tcp"),)))
    two = Standing(Backend("ollama", "http://gpu:11434", provider="ollama"))
    found = answer(empty, one, two)["backends"]

    assert [(each["name"], each["calls"] is not None) for each in found] == [
        ("vllm", False),
        ("ollama", True),
    ]


def test_backends_on_one_host_are_told_apart_by_the_ports_that_calls_state(empty: Ledger) -> None:
    gpu = {"provider": "vllm", "server_address": "gpu"}
    calls(empty, *[{**gpu, "server_port": 8000}] * 2, {**gpu, "server_port": 8001}, gpu)
    called = answer(empty)["backends"]
    one = Standing(Backend("one", "http://gpu:8000", provider="vllm", checks=(Check("tcp"),)))
    two = Standing(Backend("two", "http://gpu:8001", provider="vllm", checks=(Check("tcp"),)))
    declared = answer(empty, one, two)["backends"]

    assert [(each["server_port"], each["calls"]["calls"]) for each in called] == [
        *((8000, 2), (8001, 1)),
        (None, 1),
    ]
    assert [(each["name"], each["calls"]["calls"]) for each in declared] == [
        *(("one", 2), ("two", 1)),
        (None, 1),
    ], "whose the call without a port was nobody can say"


def test_changes_are_told_oldest_first_as_far_back_as_asked(empty: Ledger) -> None:
    now = datetime.now(UTC)
    rows = [
        {
            "time": f"{now - timedelta(seconds=ago):%Y-%m-%d %H:%M:%S}.000",
            "backend": backend,
            "state": state,
            "changed": changed,
            "reason": "because",
        }
        for ago, backend, state, changed in [
            (100_000, "main", "up", True),
            (4000, "main", "down", True),
            (3990, "main", "down", False),
            (3000, "main", "up", True),
            (2000, "another", "down", True),
        ]
    ]
    empty.insert("probes", rows)
    (main,) = answer(empty, standing(ok=True))["backends"]
    (later,) = answer(empty, standing(ok=True), query="?history_s=3500")["backends"]

    assert [each["state"] for each in main["history"]] == ["down", "up"]
    assert [each["state"] for each in later["history"]] == ["up"]


@pytest.mark.parametrize(
    "query", ["?window_s=0", "?window_s=x", "?window_s=", "?history_s=9999999"]
)
def test_a_parameter_that_is_none_is_refused_in_a_sentence(empty: Ledger, query: str) -> None:
    got = get(empty, [], query)

    assert got.status_code == 400
    assert "is not a number of seconds from 1 to 604800" in got.json()["error"]


def test_what_calls_call_themselves_is_data(empty: Ledger) -> None:
    hostile = "'; DROP TABLE llm_calls --\x00<script>"
    calls(empty, {"provider": hostile, "server_address": hostile, "error_type": hostile})

    assert answer(empty)["backends"][0]["provider"] == hostile
