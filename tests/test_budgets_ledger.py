"""What other machines spend counts, too: the ledger tells of it, in the background."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import sdks
from opentelemetry.sdk.trace import TracerProvider

import tollspan
from tollspan import config
from tollspan.launcher import command
from tollspan.limits import budgets, budgets_ledger
from tollspan.limits.budgets import Keeper
from tollspan.limits.budgets_file import Budget, BudgetFileError, read
from tollspan.local import LocalStack
from tollspan.local import budgets as kept
from tollspan.local.budgets_api import OPERATIONS

GROWTH = Budget(
    "growth",
    Decimal("0.5"),
    {"tag.team": "growth"},
    period="month",
    owner="ada@example.com",
    contact="#spend",
    action="refuse",
)
CALM = Budget("calm", Decimal(9))


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    config.reload({})
    with LocalStack() as made:
        kept.keep(made.ledger, [GROWTH, CALM])
        now = datetime.now(UTC)
        made.ledger.insert(
            "llm_calls",
            [
                {
                    "call_id": f"{number:032x}",
                    "time": f"{now:%Y-%m-%d %H:%M:%S}.000000000",
                    "role": "owner",
                    "version": 1,
                    "cost_usd": usd,
                    "data_mode": "real",
                    "tags": {"team": "growth"},
                }
                for number, usd in enumerate(("0.4", "0.2"))
            ],
        )
        yield made


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    yield
    budgets.let_go()


def get(stack: LocalStack, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"{stack.page_url}{path}") as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_the_api_tells_where_every_budget_stands_as_its_document_says(stack: LocalStack) -> None:
    status, found = get(stack, "/v1/budgets")
    assert status == 200
    responses = OPERATIONS["/v1/budgets"]["get"]["responses"]
    schema = responses["200"]["content"]["application/json"]["schema"]
    jsonschema.Draft202012Validator(schema).validate(found)
    first, second = found["budgets"]
    assert (first["name"], first["spent_usd"], first["state"]) == ("growth", "0.6", "hard")
    assert (first["owner"], first["contact"], first["action"]) == (
        "ada@example.com",
        "#spend",
        "refuse",
    )
    assert (second["name"], second["owner"], second["state"]) == ("calm", None, "ok")

    assert [each["name"] for each in get(stack, "/v1/budgets?name=calm")[1]["budgets"]] == ["calm"]
    assert get(stack, "/v1/budgets?limit=5") == (400, {"error": "limit is unknown: known is name"})


def test_what_others_have_spent_refuses_here(stack: LocalStack, provider: TracerProvider) -> None:
    keeper = Keeper([GROWTH], url=stack.page_url)
    try:
        with sdks.watched(provider), tollspan.attribute(tags={"team": "growth"}):
            keeper.reconcile()
            server = sdks.server_for("chat")
            with pytest.raises(tollspan.BudgetExceeded) as caught:
                sdks.plain(sdks.openai_client(server), "chat")
            assert caught.value.spent_usd == Decimal("0.6")
            assert server.requests == []
        ((book, standing),) = keeper.standings()
        assert (standing.settled, book.usd(standing.ledger)) == (0, Decimal("0.6"))
    finally:
        keeper.stop()


def test_without_a_file_the_ledger_says_which_budgets_there_are(stack: LocalStack) -> None:
    keeper = Keeper(url=stack.page_url)
    try:
        keeper.reconcile()
        assert {book.budget.name: book.budget for book in keeper.books} == {
            "growth": GROWTH,
            "calm": CALM,
        }
        before = keeper.books
        keeper._asked_s = 0
        keeper.reconcile()
        assert keeper.books == before, "what is as it was stays"
    finally:
        keeper.stop()


@pytest.mark.parametrize(
    "row",
    [
        None,
        {},
        {"name": "b"},
        {"limit_usd": "0"},
        {"limit_usd": "much"},
        {"limit_usd": None},
        {"spent_usd": "-1"},
        {"spent_usd": "NaN"},
        {"period": "year"},
        {"period_start": "then"},
        {"filters": {"nobody": "x"}},
        {"filters": {"tenant": 5}},
        {"filters": []},
    ],
)
def test_a_row_that_is_no_budget_is_none(row: Any) -> None:
    good = {
        "name": "b",
        "filters": {},
        "period": "day",
        "limit_usd": "5",
        "soft_usd": "4",
        "spent_usd": "1",
        "period_start": "2026-06-01T00:00:00Z",
    }
    assert budgets_ledger._read(good) is not None
    wrong = {**good, **row} if row else row
    assert row == {"name": "b"} or budgets_ledger._read(wrong) is None


def test_the_command_prints_what_the_server_says_and_fails_where_one_is_spent(
    stack: LocalStack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["budgets", "--url", stack.page_url]) == 1
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split("\t")[:4] == ["name", "period", "spent_usd", "limit_usd"]
    assert first.split("\t")[:4] == ["growth", "month", "0.6", "0.5"]
    assert second.split("\t")[0] == "calm"


def test_the_command_reads_a_file_and_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "b.toml"
    file.write_text('[[budgets]]\nname = "b"\nlimit_usd = 5\naction = "queue 9s"\n')
    assert command.main(["budgets", "check", str(file)]) == 0
    assert "b: $5.00 a month, soft at 80%, every call; waits 9 s, then refuses" in (
        capsys.readouterr().out
    )
    monkeypatch.setenv("TOLLSPAN_BUDGETS", str(file))
    assert command.main(["budgets", "--here", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["budgets"]
    assert (found["spent_usd"], found["reserved_usd"], found["state"]) == ("0", "0", "ok")
    file.write_text('[[budgets]]\nname = "b"\nlimit_usd = 5\naction = "queu 9s"\n')
    assert command.main(["budgets", "check", str(file)]) == 2
    assert "has action = 'queu 9s': write queue." in capsys.readouterr().err
    assert command.main(["budgets", "check", str(tmp_path / "absent.toml")]) == 2
    said = capsys.readouterr().err
    assert "absent.toml cannot be read" in said and "TOLLSPAN_BUDGETS" not in said
    monkeypatch.setenv("TOLLSPAN_BUDGETS", str(tmp_path / "absent.toml"))
    assert command.main(["budgets", "--here"]) == 2
    assert "correct TOLLSPAN_BUDGETS" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["name", "owner", "contact", "action", "filter", "tag"])
def test_a_control_character_is_refused_by_name(tmp_path: Path, place: str) -> None:
    """The ledger joins names and values with NUL: one inside would count other calls."""
    file = tmp_path / "b.toml"
    given = {
        "filter": 'filters = { tenant = "a\\u0000b" }',
        "tag": 'filters = { "tag.a\\u0000b" = "x" }',
    }.get(place, f'{place} = "a\\u0000b"')
    name = "" if place == "name" else 'name = "b"\n'
    file.write_text(f"[[budgets]]\n{name}limit_usd = 5\n{given}\n")
    with pytest.raises(BudgetFileError, match=r"control character '\\x00' in .*: write it without"):
        read(file)
