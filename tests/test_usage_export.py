"""An export has every call once, to the last digit, and hurts nobody who opens it."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import needs
import pytest
from usage_calls import HOSTILE, HOUR_NS, Row, calls, through_a_gateway

from tollspan import semconv
from tollspan.collector import told_record
from tollspan.local import LocalStack, usage_export, usage_focus, usage_written
from tollspan.local.queries import BadFilter
from tollspan.local.usage_cells import safe, text_cell
from tollspan.local.usage_export import export
from tollspan.local.usage_line import WHOLE, NoLine, spans_of

END_NS = time.time_ns() // HOUR_NS * HOUR_NS
NOW = datetime.fromtimestamp(END_NS // 10**9, UTC)
EVERYTHING = [("data_mode", "all"), ("last", "all")]
NUMBER = 230
HOPS = ", ".join(("hop_index", "overhead_ms", *usage_written.HOP_TEXTS))


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with LocalStack() as running:
        running.writer.offer([*calls(NUMBER - 1, END_NS), *through_a_gateway(END_NS)]).result(60)
        yield running


@pytest.fixture(scope="module")
def rows(stack: LocalStack) -> list[Row]:
    found = stack.ledger.query("SELECT * FROM tollspan_calls ORDER BY call_id")
    assert len(found) == NUMBER
    return found


def file(stack: LocalStack, form: str, *more: tuple[str, str]) -> bytes:
    made = export(stack.ledger, [*EVERYTHING, ("format", form), *more])
    return b"".join(made.pieces)


def cells(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode(), newline="")))


def test_a_line_is_a_record_that_ingest_takes(stack: LocalStack, rows: list[Row]) -> None:
    taken = 0
    for line, row in zip(file(stack, "jsonl").splitlines(), rows, strict=True):
        record = json.loads(line)
        record.pop(WHOLE)
        long_or_odd = row["status"] == "odd" or any(
            isinstance(value, str) and len(value) > 200 for value in row.values()
        )
        if long_or_odd or set(HOSTILE) & {str(value) for value in row.values()}:
            continue
        try:
            told = told_record.read(record, time.time_ns())
        except told_record.Untold as wrong:  # contradictions that only these made-up calls have
            assert all(
                "more than" in each.error or "less than" in each.error for each in wrong.faults
            )
            continue
        taken += 1
        assert told.span.attributes[semconv.REQUEST_MODEL] == row["request_model"]
        assert told.span.attributes.get(semconv.INPUT_TOKENS) == row["input_tokens"]
        assert told.span.duration_ns == (
            None if row["duration_s"] is None else round(row["duration_s"] * 1e9)
        )
    assert taken > 20


def test_pages_make_one_file_without_gap_or_double(
    stack: LocalStack, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = file(stack, "jsonl")
    monkeypatch.setattr(usage_export, "PAGE", 60)
    small = file(stack, "jsonl")
    ids = [json.loads(line)[WHOLE]["call_id"] for line in small.splitlines()]

    assert small == whole
    assert ids == [row["call_id"] for row in rows]


@pytest.mark.parametrize("text", HOSTILE)
def test_the_engine_makes_a_cell_as_python_does(stack: LocalStack, text: str) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow([safe(text), "end"])
    (made,) = stack.ledger.query(
        f"SELECT {text_cell('{x:String}', repeated=False)} AS each, "
        f"{text_cell('toLowCardinality({x:String})', repeated=True)} AS repeated",
        {"x": text},
    )

    assert made["each"] == made["repeated"] == buffer.getvalue().removesuffix(",end\r\n")


def test_a_line_has_the_row_whole(stack: LocalStack, rows: list[Row]) -> None:
    for line, row in zip(file(stack, "jsonl").splitlines(), rows, strict=True):
        record = json.loads(line)
        whole = record[WHOLE]
        for name in usage_written.COLUMNS:
            kept = bool(row[name]) or row[name] == 0
            assert (name in whole) == kept, name
            assert not kept or whole[name] == row[name], name
        assert record["externalRequestId"] == (row["request_id"] or f"call-{row['call_id']}")
        assert record["timestamp"] == row["time"].replace(" ", "T") + "Z"
        assert record.get("tenantId", "") == row["tenant"]
        took = None if row["duration_s"] is None else round(row["duration_s"] * 1000, 6)
        assert record.get("latencyMs") == took
        assert whole["hops"] == [
            {name: value for name, value in hop.items() if value or value == 0}
            for hop in stack.ledger.query(
                f"SELECT {HOPS} FROM tollspan_hops WHERE call_id = {{id:String}} ORDER BY hop_index",
                {"id": row["call_id"]},
            )
        ]


def test_csv_has_what_the_ledger_has_and_no_cell_is_a_formula(
    stack: LocalStack, rows: list[Row]
) -> None:
    read = cells(file(stack, "csv"))

    assert [line["call_id"] for line in read] == [row["call_id"] for row in rows]
    for line, row in zip(read, rows, strict=True):
        assert line["time"] == row["time"].replace(" ", "T") + "Z"
        assert line["cost_usd"] == (row["cost_usd"] or "")
        assert line["tenant"] == safe(row["tenant"])
        assert line["input_tokens"] == (
            "" if row["input_tokens"] is None else str(row["input_tokens"])
        )
        numbers = ("cache_saved_usd",)
        for name, cell in line.items():
            assert name in numbers or not cell.lstrip(" ").startswith(
                ("=", "+", "-", "@", "\t", "\r")
            )


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "  =1", "＝1+1", "＠x"])
def test_a_text_that_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    assert safe(text) == f"'{text}"


@pytest.mark.parametrize("value", ["a=1", "", "3-4", 5, -5, None, 0.25])
def test_what_no_spreadsheet_would_run_stays(value: Any) -> None:
    assert safe(value) == value


def parquet(stack: LocalStack, form: str, folder: Path) -> Any:
    try:
        import pyarrow.parquet as arrow
    except ImportError:
        needs.missing("pyarrow", "a reader of Parquet that is not the engine that wrote it")
    path = folder / f"{form}.parquet"
    path.write_bytes(file(stack, form))
    return arrow.read_table(path)


def test_parquet_has_the_same_calls_with_their_types(
    stack: LocalStack, rows: list[Row], tmp_path: Path
) -> None:
    table = parquet(stack, "parquet", tmp_path)

    assert table.column_names == ["time", *usage_written.COLUMNS]
    assert str(table.schema.field("cost_usd").type) == "decimal128(18, 12)"
    read = table.to_pylist()
    assert [line["call_id"] for line in read] == [row["call_id"] for row in rows]
    for line, row in zip(read, rows, strict=True):
        assert line["tenant"] == row["tenant"] and dict(line["tags"]) == row["tags"]
        assert line["cost_usd"] == (row["cost_usd"] and Decimal(row["cost_usd"]))
        assert line["duration_s"] == row["duration_s"]


MANDATORY = (
    *("BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency"),
    *("BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory", "ChargeClass"),
    *("ChargeDescription", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost"),
    *("EffectiveCost", "HostProviderName", "InvoiceIssuerName", "ListCost"),
    *("PricingQuantity", "PricingUnit", "ServiceCategory", "ServiceName"),
    "ServiceProviderName",
)
"""https://github.com/FinOps-Open-Cost-and-Usage-Spec/FOCUS_Spec, specification/datasets/cost_and_usage,
feature level Mandatory."""

NULLABLE = {
    "BillingAccountName",
    "ChargeClass",
    "ChargeDescription",
    "PricingQuantity",
    "PricingUnit",
}


@pytest.mark.parametrize("period", ["hour", "day"])
def test_focus_has_every_mandatory_column_and_every_cent(
    stack: LocalStack, rows: list[Row], period: str
) -> None:
    made = export(
        stack.ledger, [*EVERYTHING, ("format", "focus-csv"), ("charge_period", period)], now=NOW
    )
    read = cells(b"".join(made.pieces))

    spent = sum((Decimal(row["cost_usd"]) for row in rows if row["cost_usd"]), Decimal(0))
    for name in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"):
        assert sum((Decimal(line[name]) for line in read), Decimal(0)) == spent
    assert set(MANDATORY) <= set(read[0])
    names = list(read[0])
    custom = [name for name in names if name.startswith("x_")]
    assert names[-len(custom) :] == custom, "custom columns follow those of the specification"
    for line in read:
        assert all(line[name] for name in set(MANDATORY) - NULLABLE)
        begin, end = (
            datetime.fromisoformat(line[name]) for name in ("ChargePeriodStart", "ChargePeriodEnd")
        )
        assert (end - begin).total_seconds() == (3600 if period == "hour" else 86_400)
        assert line["BillingPeriodStart"] <= line["ChargePeriodStart"] < line["BillingPeriodEnd"]
    without = sum(row["cost_usd"] is None for row in rows)
    assert sum(int(line["x_Calls"]) for line in read) == NUMBER - without
    assert made.headers["x-tollspan-calls-without-cost"] == str(without)
    assert made.name == f"tollspan-focus-1.4-{NOW:%Y%m%dT%H%M%SZ}.csv"


def test_focus_says_the_same_as_csv_and_as_parquet(stack: LocalStack, tmp_path: Path) -> None:
    read = cells(file(stack, "focus-csv"))
    table = parquet(stack, "focus-parquet", tmp_path)

    assert table.column_names == list(usage_focus.FOCUS) == list(read[0])
    for line, row in zip(read, table.to_pylist(), strict=True):
        for name, value in row.items():
            if isinstance(value, Decimal):
                assert Decimal(line[name]) == value
            else:
                assert line[name] == ("" if value is None else str(safe(value))), name


def test_an_empty_export_is_an_empty_file_of_its_kind(stack: LocalStack) -> None:
    nowhere = ("tenant", "nobody")

    assert file(stack, "jsonl", nowhere) == b""
    assert file(stack, "csv", nowhere).decode().split(",")[0] == "time"
    assert file(stack, "focus-csv", nowhere).decode().startswith("BilledCost,")
    assert file(stack, "parquet", nowhere).startswith(b"PAR1")


def test_a_file_that_is_let_go_of_leaves_nothing_behind(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = export(stack.ledger, [*EVERYTHING, ("format", "parquet")])
    next(made.pieces)
    made.pieces.close()  # type: ignore[attr-defined]

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("asked", "says"),
    [([("format", "xlsx")], "format is unknown"), ([("charge_period", "day")], "focus-csv")],
)
def test_an_unknown_format_is_a_sentence(
    stack: LocalStack, asked: list[tuple[str, str]], says: str
) -> None:
    with pytest.raises(BadFilter, match=says):
        export(stack.ledger, asked)


@pytest.mark.parametrize(
    "line",
    [
        {},
        {WHOLE: 3},
        {WHOLE: {}},
        {WHOLE: {"time_ns": "x", "trace_id": "1" * 32, "span_id": "1" * 16}},
        {WHOLE: {"time_ns": 1, "trace_id": "1" * 32, "span_id": "1" * 16}},
        {WHOLE: {"time_ns": END_NS, "trace_id": "1", "span_id": "1" * 16}},
        {WHOLE: {"time_ns": END_NS, "trace_id": "1" * 32, "span_id": "1" * 16, "tags": [1]}},
        {WHOLE: {"time_ns": END_NS, "trace_id": "1" * 32, "span_id": "1" * 16, "hops": 5}},
        {WHOLE: {"time_ns": END_NS, "trace_id": "1" * 32, "span_id": "1" * 16, "hops": ["x"]}},
    ],
)
def test_what_is_no_line_of_an_export_is_refused(line: Any) -> None:
    with pytest.raises(NoLine):
        spans_of(line)
