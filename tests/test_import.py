"""`tollspan import`: files of records into the ledger, each record once, faults by their line."""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ingesting import OPENER, otoroshi_event, record, rows, spent

from tollspan import config
from tollspan.launcher.command import main
from tollspan.launcher.import_file import items
from tollspan.local import LocalStack
from tollspan.local.usage_export import export


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    config.reload({})
    with LocalStack() as running:
        yield running


@pytest.fixture
def run(stack: LocalStack, capsys: pytest.CaptureFixture[str]) -> Any:
    def typed(*words: str) -> tuple[int, str, str]:
        code = main(["import", *words, "--url", stack.page_url])
        said = capsys.readouterr()
        return code, said.out, said.err

    return typed


def test_a_big_import_with_duplicates_leaves_exact_sums(
    stack: LocalStack, run: Any, tmp_path: Path
) -> None:
    """`make bench-ingest` does it with a million."""
    file = tmp_path / "calls.jsonl.gz"
    with gzip.open(file, "wt") as out:
        for number in range(12_000):
            # Every third one again, 4,000 lines later, some without a time.
            for each in (number, *([number - 4_000] if number % 3 == 0 else [])):
                if each >= 0:
                    dated = {"timestamp": 1_780_000_000_000 + each} if each % 2 else {}
                    made = record(each, tenantId="bulk", inputTokens=each + 1, **dated)
                    out.write(json.dumps(made) + "\n")
    twice = 12_000 // 3 - sum(number - 4_000 < 0 for number in range(0, 12_000, 3))
    code, said, _ = run("records", str(file), "--json")
    counted = json.loads(said)
    assert (code, counted["accepted"], counted["duplicates"]) == (0, 12_000, twice)
    code, said, _ = run("records", str(file))
    assert (code, said) == (
        0,
        f"0 accepted, {12_000 + twice:,} duplicates, 0 ignored, 0 rejected\n",
    )
    tokens = sum(range(1, 12_001))
    usd = (tokens * 15 + 12_000 * 100 * 60) / 10**8
    calls, spent_usd, counted_tokens = spent(stack, "tenant = 'bulk'")
    assert (calls, counted_tokens, float(spent_usd)) == (12_000, tokens, usd)


def test_faults_are_told_by_file_and_line(stack: LocalStack, run: Any, tmp_path: Path) -> None:
    file = tmp_path / "mixed.jsonl"
    lines = [
        "",
        json.dumps(record(90_001)),
        "{not json",
        "",
        json.dumps(record(90_002, inputTokens=-1)),
    ]
    file.write_text("\n".join([*lines, json.dumps([record(90_003), {}])]) + "\n")
    code, said, faults = run("records", str(file))
    assert (code, said) == (1, "2 accepted, 0 duplicates, 0 ignored, 3 rejected\n")
    told = faults.splitlines()
    assert told[0].startswith(f"{file}:3: the record: this is not JSON")
    assert told[1].startswith(f"{file}:5: inputTokens: inputTokens is no count")
    assert told[2].startswith(f"{file}:6[1]: externalRequestId: externalRequestId is missing")


def test_faults_move_no_cursor(run: Any, tmp_path: Path) -> None:
    evil = json.dumps({"\x1b]0;owned\x07\u202e": 1, "model": "\x1b[2J"})
    file = tmp_path / "calls.jsonl"
    file.write_text(evil + "\n")

    code, _, told = run("records", str(file))

    assert code == 1
    assert told.splitlines() and all(line.isprintable() for line in told.splitlines())


def test_a_dry_run_writes_nothing(stack: LocalStack, run: Any, tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    file.write_text(json.dumps(record(90_100), indent=1))
    code, said, _ = run("records", str(file), "--dry-run")
    assert (code, said) == (
        0,
        "1 accepted, 0 duplicates, 0 ignored, 0 rejected (nothing was written)\n",
    )
    assert not rows(stack, "request_id = 'call-90100'")


def test_events_of_gateways_come_as_their_files_are(
    stack: LocalStack, run: Any, tmp_path: Path
) -> None:
    event = otoroshi_event()
    lines, array = tmp_path / "topic.jsonl", tmp_path / "all.json"
    lines.write_text(f"{json.dumps(event)}\n{json.dumps({**event, 'audit': 'Other'})}\n")
    array.write_text(json.dumps([event], indent=2))
    code, said, _ = run("otoroshi", str(lines), str(array))
    assert (code, said) == (0, "1 accepted, 1 duplicates, 1 ignored, 0 rejected\n")


def test_standard_input_is_read(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = json.dumps(record(90_200)).encode()
    for body, result in ((plain, "1 accepted"), (gzip.compress(plain), "0 accepted")):
        read = io.BufferedReader(io.BytesIO(body))  # type: ignore[type-var]
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(read))
        code, said, _ = run("records", "-")
        assert (code, said.split(",")[0]) == (0, result)


def test_an_export_restores_the_calls_as_they_were(
    stack: LocalStack, run: Any, tmp_path: Path
) -> None:
    """To the last digit; taken out of the ledger in between."""
    with OPENER.open(f"{stack.page_url}/api/status") as answer:
        json.load(answer)
    wanted = "SELECT *, toUnixTimestamp64Nano(time) AS time_ns FROM tollspan_calls ORDER BY call_id"
    before = [row for row in stack.ledger.query(wanted) if row["tenant"] != "bulk"]
    file = tmp_path / "export.jsonl"
    made = export(stack.ledger, [("data_mode", "all"), ("last", "all"), ("format", "jsonl")])
    lines = b"".join(made.pieces).splitlines(keepends=True)
    file.write_bytes(b"".join(each for each in lines if json.loads(each).get("tenantId") != "bulk"))
    for table in ("spans", "span_links", "llm_calls", "llm_hops"):
        stack.ledger.remove(table, "1", {})
    stack.stage.forget([row["trace_id"] for row in before])
    code, said, _ = run("usage", str(file))
    assert (code, said.split(",")[0]) == (0, f"{len(before)} accepted")
    assert stack.ledger.query(wanted) == before
    assert run("usage", str(file))[1].startswith(f"0 accepted, {len(before)} duplicates")


def test_what_cannot_be_read_is_one_sentence(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.json"
    cut.write_text('[{"a": 1},')
    torn = tmp_path / "torn.gz"
    torn.write_bytes(gzip.compress(b"{}\n" * 1000)[:-20])
    for file in (tmp_path / "none.jsonl", cut, torn):
        code, _, said = run("records", str(file))
        assert code == 2
        assert said.startswith(f"tollspan: {file}") and said.count("\n") == 1
    assert main(["import", "records", str(cut), "--url", "http://127.0.0.1:9"]) == 2


def test_every_shape_of_file_gives_its_records(tmp_path: Path) -> None:
    shapes = {
        '{"a": 1}\n{"a": 2}\n': [":1", ":2"],
        '[{"a": 1}, {"a": 2}]': [":1[0]", ":1[1]"],
        '[\n {"a": 1},\n {"a": 2}\n]\n': ["[0]", "[1]"],
        '{"a":\n 1}': ["[0]"],
        '{"version": 1, "records":\n [{"a": 1}]}': ["[0]"],
        '{"records": [{"a": 1}]}': [":1[0]"],
        '\r\n{"a": 1}\r\n': [":2"],
        "": [],
        " \n": [],
    }
    for number, (text, places) in enumerate(shapes.items()):
        file = tmp_path / str(number)
        file.write_bytes(text.encode())
        assert [item.where.removeprefix(str(file)) for item in items(str(file))] == places, text
