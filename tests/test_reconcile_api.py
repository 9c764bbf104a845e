"""A bill is reconciled with a real ledger: over the API, and by the command, which sends no bill anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import exports
import httpx
import jsonschema
import pytest
from spans import hop, owner

from tollspan import semconv
from tollspan.launcher.command import main
from tollspan.local.reconcile_api import OPERATIONS
from tollspan.local.server import LocalStack

SCHEMA = OPERATIONS["/v1/reconcile"]["post"]["responses"]["200"]["content"]["application/json"]
NOON_NS = int((exports.DAY + timedelta(hours=12)).timestamp()) * 10**9
LATE_NS = int((exports.DAY + timedelta(hours=23, minutes=59)).timestamp()) * 10**9


def call(number: int, start_ns: int = NOON_NS, seconds: int = 1, **attributes: Any) -> Any:
    """A call of 1000 tokens in and 100 out."""
    said = {semconv.INPUT_TOKENS: 1_000, semconv.OUTPUT_TOKENS: 100} | attributes
    cost = said.pop("usd", 0.00021)
    trace = f"{number:032x}"
    times = {"start_ns": start_ns + number, "end_ns": start_ns + number + seconds * 10**9}
    return owner(number, cost=cost, attributes=said, trace_id=trace, **times)


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with LocalStack(clickhouse_port=0) as made:
        calls = [call(number) for number in range(1, 10)]
        calls.append(call(10, LATE_NS, seconds=120))
        hit = call(11, usd=0.0, **{semconv.CACHE_HIT: True})
        replay = call(12, **{semconv.DATA_MODE: "replay"})
        elsewhere = call(13, **{semconv.PROVIDER: "anthropic", "usd": 0.5})
        made.writer.offer([*calls, hit, replay, elsewhere]).result(60)
        # Asked of an alias at a gateway: whose bill it is on, the model behind it says.
        said = {semconv.PROVIDER: "litellm", semconv.REQUEST_MODEL: "fast", semconv.HOP_COUNT: 2}
        through = call(14, **said, **{semconv.MODEL_SERVED: "gpt-4o-mini-2024-07-18"})
        hops = [hop(20, 14, 0, "proxy", "litellm"), hop(21, 14, 1, "model", "azure/gpt-4o-mini")]
        hops[1].attributes[semconv.PROVIDER] = "azure.ai.openai"
        for each in hops:
            each.trace_id, each.start_ns, each.end_ns = through.trace_id, NOON_NS, NOON_NS + 1
        made.writer.offer([through, *hops]).result(60)
        yield made


@pytest.fixture
def bill(tmp_path: Path) -> list[str]:
    """Two calls more than the ledger has, and a tax-like charge."""
    files = {
        "usage.json": exports.page(
            [exports.openai_usage(input_tokens=12_000, output_tokens=1_200, num_model_requests=12)]
        ),
        "cost.json": exports.page(
            [
                exports.openai_cost(0.0018, "gpt-4o-mini-2024-07-18, input"),
                exports.openai_cost(0.00072, "gpt-4o-mini-2024-07-18, output"),
            ]
        ),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    return [str(tmp_path / name) for name in files]


def test_the_ledgers_side_counts_what_a_provider_bills(stack: LocalStack) -> None:
    query = {"provider": "openai", "from": "2026-11-18", "to": "2026-11-18"}
    answer = httpx.get(f"{stack.page_url}/v1/reconcile", params=query)
    (found,) = answer.json()["sums"]

    assert (found["model"], found["calls"]) == ("gpt-4o-mini-2024-07-18", 10)
    assert found["tokens"] == {"input": 10_000, "output": 1_000, "cache_read": 0, "cache_write": 0}
    assert Decimal(found["usd"]) == Decimal("0.0021")
    assert Decimal(found["late_usd"]) == Decimal("0.00021")
    azure = httpx.get(f"{stack.page_url}/v1/reconcile", params=query | {"provider": "azure"})
    assert [each["calls"] for each in azure.json()["sums"]] == [1]
    schema = OPERATIONS["/v1/reconcile"]["get"]["responses"]["200"]["content"]["application/json"]
    jsonschema.validate(answer.json(), schema["schema"])


def test_a_bill_is_posted_and_every_difference_has_a_reason(
    stack: LocalStack, bill: list[str]
) -> None:
    several = [{"name": Path(each).name, "text": Path(each).read_text("utf-8")} for each in bill]
    answer = httpx.post(f"{stack.page_url}/v1/reconcile", json={"exports": several})
    found = answer.json()

    assert answer.status_code == 200
    jsonschema.validate(found, SCHEMA["schema"])
    assert found["total"]["difference"] == "0.00042"
    assert [(each["reason"], each["usd"], each["calls"]) for each in found["reasons"]] == [
        ("not_seen", "0.00042", 2)
    ]
    alone = httpx.post(
        f"{stack.page_url}/v1/reconcile?tolerance=0.5", content=several[0]["text"].encode()
    )
    jsonschema.validate(alone.json(), SCHEMA["schema"])
    assert alone.json()["total"]["within_tolerance"] is True


@pytest.mark.parametrize(
    ("query", "body", "says"),
    [
        ("", b"", "the export is empty"),
        ("?from=yesterday", b"{}", "from 'yesterday' is no day"),
        ("?tolerance=2", b"{}", "tolerance '2' is not from 0 to 1"),
        ("?rate=EUR", b"{}", "rate 'EUR' is no pair"),
        ("?nope=1", b"{}", "nope is unknown"),
        ("?provider=A%20B", b"{}", "provider 'A B' is none"),
        ("", b'{"exports": []}', "exports is no list of 1 to 50"),
        ("", b'{"exports": [{"name": "x"}]}', "exports[0] has no text"),
    ],
)
def test_what_cannot_be_reconciled_is_one_sentence(
    stack: LocalStack, query: str, body: bytes, says: str
) -> None:
    answer = httpx.post(f"{stack.page_url}/v1/reconcile{query}", content=body)

    assert answer.status_code == 400
    assert says in answer.json()["error"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?from=2026-11-18",
        "?from=2026-11-18&to=2020-01-01",
        "?from=1&to=2",
        "?x=1",
        "?zone=Mars",
    ],
)
def test_asking_for_no_days_is_refused(stack: LocalStack, query: str) -> None:
    assert httpx.get(f"{stack.page_url}/v1/reconcile{query}").status_code == 400


def test_the_command_reads_the_bill_itself_and_ends_by_the_tolerance(
    stack: LocalStack, bill: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["reconcile", *bill, "--url", stack.page_url]

    assert main([*asked, "--days"]) == 0
    printed = capsys.readouterr().out
    assert "calls that the ledger has not seen" in printed
    assert "reconciled: $0.00042 open, $0.01 allowed" in printed
    assert main([*asked[:2], "--url", stack.page_url]) == 1
    assert "not reconciled: 2.2K tokens open" in capsys.readouterr().out
    assert main([*asked, "--json"]) == 0
    jsonschema.validate(json.loads(capsys.readouterr().out), SCHEMA["schema"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["missing.csv"], "missing.csv cannot be read"),
        (["{usage}", "--tolerance", "much"], "'much' is not a number"),
        (["{usage}", "{usage}"], "it would count twice"),
        (["{usage}", "--provider", "google"], "is of openai, not of google"),
        (["{usage}", "--from", "2026-11-20", "--to", "2026-11-19"], "is no period"),
    ],
)
def test_bad_input_is_a_sentence_and_exit_code_2(
    stack: LocalStack,
    bill: list[str],
    arguments: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [each.replace("{usage}", bill[0]) for each in arguments]

    assert main(["reconcile", *given, "--url", stack.page_url]) == 2
    assert says in capsys.readouterr().err


def test_a_clickhouse_server_is_asked_the_same_questions(
    stack: LocalStack, bill: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reconcile", *bill, "--clickhouse", stack.clickhouse_url, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)

    assert found["total"]["ledger"] == "0.0021"
    assert [each["reason"] for each in found["reasons"]] == ["not_seen"]
