"""`tollspan usage`: the API's answers as tables, lines and files, harmless in any terminal."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from terminal import Terminal, plain
from usage_calls import calls

from tollspan import config
from tollspan.launcher import command, screen
from tollspan.launcher.sparkline import sparkline
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
        ("recent", 60),
        ("sessions", 60),
        ("keys", 60),
        ("replacement", 60),
    ],
)
def test_tables_fit_and_hostile_names_do_nothing(
    stack: LocalStack, what: str, columns: int
) -> None:
    by = ["--by", "tenant,user"] if what == "stats" else []
    where = [*ALL[:2], "--last", "12d"]
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

    assert told == f"wrote {path}, {path.stat().st_size:,} bytes\n"
    if form == "jsonl":
        assert len(path.read_bytes().splitlines()) == NUMBER
    if "parquet" in form:
        assert path.read_bytes()[:4] == b"PAR1"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["stats", "--by", "beauty"], "nothing to group by"),
        (["stats", "--where", "tenant"], "is no pair"),
        (["stats", "--last", "soon"], "no length of time"),
        (["recent", "--limit", "none"], "limit is not a number"),
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
