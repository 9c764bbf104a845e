"""`tollspan usage`: the API's answers as tables, lines and files, harmless in any terminal."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from terminal import Terminal, plain
from usage_calls import calls

from tollspan import config
from tollspan.launcher import command, screen
from tollspan.launcher.sparkline import sparkline
from tollspan.launcher.usage_table import total_of
from tollspan.local import LocalStack

ALL = ["--where", "data_mode=all", "--last", "all"]
NUMBER = 120


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with LocalStack() as running:
        running.writer.offer(calls(NUMBER, time.time_ns())).result(60)
        yield running


@pytest.fixture(autouse=True)
def at_the_stack(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLSPAN_UI_PORT", str(stack.ui_port))
    config.reload()


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert command.main(["usage", *arguments]) == 0
    return capsys.readouterr().out


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert command.main(["usage", *arguments]) == 2
    return capsys.readouterr().err


def test_lines_for_programs_have_every_digit(
    stack: LocalStack, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = said(capsys, "stats", "--by", "tenant,status", *ALL, "--limit", "500").splitlines()
    found = json.loads(said(capsys, "stats", "--by", "tenant,status", *ALL, "--json"))
    head = lines[0].split("\t")

    assert head[:4] == ["tenant", "status", "calls", "cost_usd"]
    assert len(lines) - 1 == found["group_count"]
    first = dict(zip(head, lines[1].split("\t"), strict=True))
    assert first["cost_usd"] == found["groups"][0]["cost_usd"]
    assert all(len(line.split("\t")) == len(head) for line in lines)


@pytest.mark.parametrize("what", ["stats", "recent", "sessions", "keys", "replacement"])
def test_csv_is_csv_whatever_calls_are_called(
    stack: LocalStack, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    by = ["--by", "user,route"] if what == "stats" else []
    rows = list(csv.reader(io.StringIO(said(capsys, what, *by, *ALL, "--csv", "--limit", "400"))))

    assert len(rows) > 2 and len({len(row) for row in rows}) == 1
    for row in rows[1:]:
        for name, cell in zip(rows[0], row, strict=True):
            assert name.endswith(("_usd", "_s")) or not cell.startswith(("=", "+", "-", "@", "\t"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "columns"),
    [
        ("stats", 150),
        ("stats", 60),
        ("month", 120),
        ("month", 60),
        ("recent", 60),
        ("sessions", 60),
        ("keys", 60),
        ("replacement", 60),
    ],
)
def test_tables_fit_and_hostile_names_do_nothing(
    stack: LocalStack, what: str, columns: int
) -> None:
    by = ["--by", "tenant,user"] if what in ("stats", "month") else []
    where = [*ALL[:2], *([] if what == "month" else ["--last", "12d"])]
    with Terminal("usage", what, *by, *where, "--limit", "400", columns=columns) as terminal:
        assert terminal.end() == 0
        shown = plain(terminal.written)

    assert "\x1b" not in shown and "\x07" not in shown
    lines = shown.replace("\r\n", "\n").splitlines()
    assert len(lines) > 4
    assert [line for line in lines if screen.width(line) > columns] == []
    assert "▁" in shown or what != "stats" or columns < 100


def test_colours_are_off_where_nobody_wants_them(stack: LocalStack) -> None:
    with Terminal("usage", "stats", *ALL, environ={"NO_COLOR": "1"}) as terminal:
        terminal.end()
        assert "\x1b[" not in terminal.written
    with Terminal("usage", "stats", *ALL) as terminal:
        terminal.end()
        assert "\x1b[1m" in terminal.written


def test_a_sparkline_has_a_bar_for_each_number() -> None:
    assert sparkline([0, 1, 2, 4, 8]) == "▁▂▃▅█"
    assert sparkline([None, 5, None]) == "·█·"
    assert sparkline([0, 0]) == "▁▁" and sparkline([-3, 3]) == "▁█"
    assert sparkline([]) == ""


def test_no_real_calls_are_no_silence(
    stack: LocalStack, capsys: pytest.CaptureFixture[str]
) -> None:
    with Terminal("usage", "stats", "--where", "tenant=nobody") as terminal:
        assert terminal.end() == 0
        assert "no real calls in this time" in plain(terminal.written)


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet", "focus-csv", "focus-parquet"])
def test_an_export_goes_to_a_file(
    stack: LocalStack, capsys: pytest.CaptureFixture[str], tmp_path: Path, form: str
) -> None:
    path = tmp_path / "calls"
    told = said(capsys, "export", *ALL, "--format", form, "-o", str(path))

    assert told == f"wrote {path}, {path.stat().st_size:,} bytes · all time\n"
    if form == "jsonl":
        assert len(path.read_bytes().splitlines()) == NUMBER
    if "parquet" in form:
        assert path.read_bytes()[:4] == b"PAR1"


def test_an_export_says_whose_cost_it_does_not_have(
    stack: LocalStack, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked = ["usage", "export", *ALL, "--format", "focus-csv", "-o", str(tmp_path / "calls")]
    assert command.main(asked) == 0
    said_of = capsys.readouterr().err
    total = json.loads(said(capsys, "stats", *ALL, "--json"))["total"]
    without = total["calls"] - total["priced_calls"]
    assert without and said_of.endswith(f"have no row here: {without:,}\n")


def test_what_cannot_be_exported_leaves_the_last_export_alone(
    stack: LocalStack, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "calls"
    path.write_text("the month before")
    assert "no member" in refusal(capsys, "export", "-o", str(path), "--where", "x=1")
    assert path.read_text() == "the month before"
    assert [each.name for each in tmp_path.iterdir()] == ["calls"]


class BreaksOff(BaseHTTPRequestHandler):
    """Half of an export, and then nobody is there any more."""

    def do_GET(self) -> None:
        self.send_response(200)
        length, part = ("content-length", "1000000"), b"half a line"
        if "parquet" in self.path:
            length, part = ("transfer-encoding", "chunked"), b"b\r\nhalf a line\r\n"
        self.send_header(*length)
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *arguments: Any) -> None:
        """Nothing."""


@pytest.fixture
def breaking() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), BreaksOff) as server:
        serving = Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_half_an_export_is_no_export(
    breaking: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, form: str
) -> None:
    path = tmp_path / "calls"
    path.write_text("the month before")
    sentence = refusal(capsys, "export", "--format", form, "-o", str(path), "--url", breaking)
    assert "broke off" in sentence
    assert path.read_text() == "the month before"
    assert [each.name for each in tmp_path.iterdir()] == ["calls"]


def test_an_interval_gives_programs_a_line_for_each_time(
    stack: LocalStack, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["stats", "--by", "tenant", "--interval", "day", "--limit", "100", *ALL]
    found = json.loads(said(capsys, *asked, "--json"))
    rows = list(csv.DictReader(io.StringIO(said(capsys, *asked, "--csv"))))

    assert list(rows[0])[:4] == ["time", "tenant", "calls", "cost_usd"]
    assert len(rows) == sum(len(group["buckets"]) for group in found["groups"])
    assert len(rows) > len(found["groups"])
    spent = sum(Decimal(row["cost_usd"]) for row in rows if row["cost_usd"])
    assert spent == Decimal(found["total"]["cost_usd"])
    lines = said(capsys, *asked).splitlines()
    assert [line.split("\t")[0] for line in lines[1:]] == [row["time"] for row in rows]


def test_a_month_is_printed_as_the_api_says_it(
    stack: LocalStack, capsys: pytest.CaptureFixture[str]
) -> None:
    this = f"{datetime.now(UTC):%Y-%m}"  # said, so that a month that begins meanwhile is no other
    asked = ["month", "--where", "data_mode=all", "--month", this, "--tz", "Asia/Kolkata"]
    asked += ["--by", "status", "--limit", "500"]

    found = json.loads(said(capsys, *asked, "--json"))
    head, *lines = (line.split("\t") for line in said(capsys, *asked).splitlines())
    assert found["tz"] == "Asia/Kolkata" and found["month"] == this
    assert head[:3] == ["status", "calls", "cost_usd"]
    told = [(line[0] or None, int(line[1]), line[2] or None) for line in lines]
    assert told == [
        (each["by"]["status"], each["calls"], each["cost_usd"]) for each in found["groups"]
    ]
    assert {line[0] for line in lines} >= {"success", "error"}

    with pytest.raises(SystemExit):
        command.main(["usage", "month", "--last", "7d"])
    assert "--last" in capsys.readouterr().err
    assert "month is none: write 2026-10" in refusal(capsys, "month", "--month", "2026-99")


def test_lines_that_are_not_shown_are_told_of(
    stack: LocalStack, capsys: pytest.CaptureFixture[str]
) -> None:
    every = json.loads(said(capsys, "stats", "--by", "user", *ALL, "--json"))["group_count"]
    assert every > 3
    for shape in ([], ["--csv"]):
        assert command.main(["usage", "stats", "--by", "user", "--limit", "3", *shape, *ALL]) == 0
        assert f"{every - 3:,} more lines are not shown" in capsys.readouterr().err
    assert command.main(["usage", "stats", "--by", "user", "--limit", str(every), *ALL]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("what", ["stats", "sessions", "keys", "recent"])
def test_more_lines_than_a_page_come_page_by_page(
    stack: LocalStack,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    by = ["--by", "user"] if what == "stats" else []
    whole = said(capsys, what, *by, *ALL, "--csv", "--limit", "400")
    monkeypatch.setattr("tollspan.launcher.usage.PAGE", 3)
    assert said(capsys, what, *by, *ALL, "--csv", "--limit", "400") == whole
    assert len(said(capsys, what, *by, *ALL, "--csv", "--limit", "5").splitlines()) == 6


@pytest.mark.parametrize(
    ("grades", "unpriced", "shown"),
    [
        ({"derived"}, 0, "$2.00"),
        ({"billed", "estimated"}, 0, "~$2.00"),
        ({"derived", "estimated"}, 1, "≥$2.00"),
        ({"lower_bound", "estimated"}, 0, "≥$2.00"),
    ],
)
def test_a_sum_on_a_terminal_says_how_sure_it_is(
    grades: set[str], unpriced: int, shown: str
) -> None:
    known = {grade: {"calls": 1, "usd": "1"} for grade in grades}
    total = {"cost_usd": "2", "cost_by_grade": known, "unpriced_calls": unpriced}
    assert total_of({"total": total | {"calls": 3, "errors": 0}}).split(" · ")[0] == shown


def test_a_sum_for_programs_says_how_sure_it_is(
    stack: LocalStack, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(said(capsys, "stats", *ALL, "--by", "model", "--limit", "500", "--json"))
    rows = list(csv.DictReader(io.StringIO(said(capsys, "stats", *ALL, "--limit", "500", "--csv"))))
    for row, group in zip(rows, found["groups"], strict=True):
        for grade in ("lower_bound", "estimated"):
            known = group["cost_by_grade"].get(grade, {"calls": 0})["calls"]
            assert row[f"{grade}_calls"] == str(known)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["stats", "--by", "beauty"], "nothing to group by"),
        (["stats", "--where", "tenant"], "is no pair"),
        (["stats", "--last", "soon"], "no length of time"),
        (["stats", "--from", "2026-13-01"], "from is not ISO-8601"),
        (["stats", "--to", "tomorrow"], "to is not ISO-8601"),
        (["stats", "--interval", "quarter"], "minute, hour, day, week, month"),
        (["recent", "--limit", "none"], "limit is not a number"),
        (["recent", "--limit", "0"], "limit is not a number"),
        (["stats", "--limit", "9999999999"], "limit is not a number"),
        (["replacement", "--limit", "501"], "limit is not a number"),
        (["export", "--where", "x=1"], "no member of this query"),
        (["export", "-o", "/nowhere/calls"], "cannot be written"),
        (["stats", "--url", "http://127.0.0.1:1"], "nothing answers"),
        (["export", "--url", "http://127.0.0.1:1"], "nothing answers"),
        (["stats", "--clickhouse", "ftp://x"], "is not a URL"),
    ],
)
def test_bad_input_is_one_sentence(
    stack: LocalStack, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    sentence = refusal(capsys, *arguments)

    assert says in sentence and sentence.startswith("tollspan: ") and sentence.count("\n") == 1
