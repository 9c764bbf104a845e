"""`tollspan top` and `tollspan calls`: the ledger in a terminal, true, harmless, 80 columns wide."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from spans import owner
from terminal import Terminal, plain

from tollspan import config, semconv
from tollspan.collector.span import Span
from tollspan.launcher import budgets, calls, command, figures, screen, top, usage_tables
from tollspan.launcher.asking import NotAnswered, Server, window
from tollspan.local import LocalStack

IMAGE = '<img src=x onerror="alert(1)">'
DROP = "'; DROP TABLE tollspan_calls; --"
ESCAPE = "red\x1b[31m\x1b]0;owned\x07\x1b[2J\x9b5n\r\nnext\tline"
EMOJI = "🌉💸" * 1250
BIDI = "abc\u202egnp.exe\u2066\u200f\u061c"
ZALGO = "z" + "\u0336" * 300 + "w"
FAMILY = "👨\u200d👩\u200d👧 ❤\ufe0f"
HOSTILE = [IMAGE, DROP, ESCAPE, EMOJI, BIDI, ZALGO, FAMILY, "漢字" * 40]


def made(number: int, **said: str) -> Span:
    """A call of a trace of its own, minutes ago, so that every window has it."""
    start_ns = time.time_ns() - (1000 - number) * 10**8
    attributes = {f"{key}": value for key, value in said.items()}
    return owner(
        number,
        cost=number / 1000,
        trace_id=f"{number:032x}",
        start_ns=start_ns,
        end_ns=start_ns + 1_500_000_000,
        attributes=attributes,
    )


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    """Forty calls: two endpoints, three tenants, the eighth error, and one call for each bad name."""
    spans = []
    for number in range(1, 33):
        said = {semconv.ENDPOINT_TAG: "checkout" if number % 3 else "search"}
        said[semconv.TENANT] = f"tenant {number % 3}"
        said[f"{semconv.TAG_PREFIX}team"] = "growth" if number < 5 else "core"
        if number == 8:
            said[semconv.STATUS] = "error"
        spans.append(made(number, **said))
    for number, text in enumerate(HOSTILE, start=33):
        said = {semconv.ENDPOINT_TAG: text, semconv.TENANT: text, semconv.ROUTE: text}
        spans.append(made(number, **said, **{semconv.PROMPT_VERSION: text}))
    with LocalStack() as running:
        running.writer.offer(spans).result(30)
        yield running


@pytest.fixture(autouse=True)
def at_the_stack(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "stack" in request.fixturenames:
        monkeypatch.setenv("TOLLSPAN_UI_PORT", str(request.getfixturevalue("stack").ui_port))
        config.reload()


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert command.main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def sentence(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of a command that ends with exit code 2."""
    assert command.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    return captured.err


def rows(text: str) -> list[dict[str, str]]:
    head, *lines = [line.split("\t") for line in text.splitlines()]
    assert all(len(line) == len(head) for line in lines)
    return [dict(zip(head, line, strict=True)) for line in lines]


# --- top ------------------------------------------------------------------------------------------


def test_top_sums_what_the_ledger_holds(
    stack: LocalStack, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {row["name"]: row for row in rows(said(capsys, "top", "--limit", "50"))}
    checkout = [number for number in range(1, 33) if number % 3]
    assert int(found["checkout"]["calls"]) == len(checkout)
    assert Decimal(found["checkout"]["cost_usd"]) == Decimal(sum(checkout)) / 1000
    assert found["checkout"]["errors"] == "1"
    assert found["search"]["errors"] == "0"
    assert int(found["checkout"]["input_tokens"]) == 540 * len(checkout)


@pytest.mark.parametrize("by", ["tenant", "model", "route"])
@pytest.mark.parametrize("sort", ["cost", "calls", "each"])
def test_top_orders_each_split(
    stack: LocalStack, capsys: pytest.CaptureFixture[str], by: str, sort: str
) -> None:
    found = json.loads(said(capsys, "top", "--json", "--by", by, "--sort", sort, "--limit", "30"))
    key = {"cost": "cost_usd", "calls": "calls", "each": "per_call_usd"}[sort]
    values = [Decimal(str(line[key])) for line in found["lines"]]
    assert values == sorted(values, reverse=True) and len(values) >= 1
    assert sum(line["calls"] for line in found["lines"]) == found["total"]["calls"] == 40


def test_filters_and_the_window_narrow_both_commands(
    stack: LocalStack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(rows(said(capsys, "calls", "-n", "99", "--tenant", "tenant 1"))) == 11
    assert len(rows(said(capsys, "calls", "-n", "99", "--tag", "team=growth"))) == 4
    assert len(rows(said(capsys, "calls", "-n", "99", "--status", "error"))) == 1
    assert len(rows(said(capsys, "calls", "-n", "99", "--endpoint", DROP))) == 1
    assert len(rows(said(capsys, "calls", "-n", "99", "-q", "DROP TABLE"))) == 1
    assert len(rows(said(capsys, "calls", "-n", "99", "--unpriced"))) == 0
    # The fourth call began 99.6 s ago, the fortieth 96 s ago.
    assert rows(said(capsys, "top", "--window", "1s")) == []
    team = json.loads(said(capsys, "top", "--json", "--tag", "team=growth", "--by", "tenant"))
    assert team["total"]["calls"] == 4


# --- calls ----------------------------------------------------------------------------------------


def test_calls_are_the_newest_the_oldest_of_them_first(
    stack: LocalStack, capsys: pytest.CaptureFixture[str]
) -> None:
    found = rows(said(capsys, "calls", "-n", "5"))
    assert [row["cost_usd"] for row in found] == ["0.036", "0.037", "0.038", "0.039", "0.04"]
    whole = [json.loads(line) for line in said(capsys, "calls", "-n", "5", "--json").splitlines()]
    assert [call["call_id"] for call in whole] == [row["call_id"] for row in found]
    assert whole[0]["hops"] is not None


# --- hostile names --------------------------------------------------------------------------------


def test_what_programs_read_has_no_control_character(
    stack: LocalStack, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["calls", "-n", "99"], ["top", "--limit", "99"], ["top", "--by", "tenant"]):
        text = said(capsys, *arguments)
        assert not re.search(
            r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", text
        )
        assert IMAGE in text and DROP in text


def test_json_escapes_what_a_terminal_would_obey(
    stack: LocalStack, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said(capsys, "calls", "-n", "99", "--json")
    assert text.replace("\n", "").isascii() and "\x1b" not in text
    assert any(json.loads(line)["endpoint"] == ESCAPE for line in text.splitlines())


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 132, 40])
def test_nothing_on_a_terminal_is_wider_than_it_or_moves_its_cursor(
    stack: LocalStack, columns: int
) -> None:
    for arguments in (("top", "--once", "--limit", "99"), ("calls", "-n", "99")):
        with Terminal(*arguments, columns=columns) as terminal:
            assert terminal.end() == 0
            written = terminal.written
        only = set(re.findall(r"\x1b\[[^A-Za-z]*[A-Za-z]|\x1b[^\[]", written))
        assert all(re.fullmatch(r"\x1b\[(0|1|2|31|32|33)m", one) for one in only), only
        lines = plain(written).replace("\r\n", "\n").split("\n")
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", "".join(lines))
        assert max(screen.width(line) for line in lines) <= columns
        assert any("<img" in line for line in lines)


def test_text_is_made_harmless_letter_by_letter() -> None:
    assert screen.harmless("a\x1b[31mb\x9bc\rd\ne") == "a\ufffd[31mb\ufffdc\ufffdd\ufffde"
    assert "\u202e" not in screen.harmless(BIDI) and "\u2066" not in screen.harmless(BIDI)
    assert len(screen.harmless(ZALGO)) == 4
    assert screen.harmless("\ud800\ue000\u2028") == "\ufffd" * 3
    assert len(screen.harmless("x" * 10**6)) == screen.LONGEST
    assert screen.harmless("żółć ß 漢字 e\u0301") == "żółć ß 漢字 e\u0301"


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("cells", [0, 1, 2, 7, 30])
def test_a_cell_is_exactly_as_wide_as_its_column(text: str, cells: int) -> None:
    shown = screen.padded(screen.harmless(text), cells)
    assert screen.width(shown) == cells


def test_columns_give_way_and_the_name_keeps_room() -> None:
    columns = (
        screen.Column("NAME", least=14),
        screen.Column("A", 10),
        screen.Column("B", 30, rank=1),
    )
    row = [[("name", ""), ("1", ""), ("2", "")]]
    wide = screen.table(columns, row, 80, _no_paint())
    narrow = screen.table(columns, row, 40, _no_paint())
    assert "B" in wide[0] and "B" not in narrow[0]
    assert narrow[0].startswith("NAME") and len(narrow[0]) == 40


def _no_paint() -> screen.Paint:
    paint = screen.Paint()
    paint.on = False
    return paint


@pytest.mark.parametrize(
    ("amount", "each", "all_in_all"),
    [
        (None, "–", "–"),
        ("0", "$0", "$0"),
        ("0.0038124", "$0.003812", "$0.00381"),
        ("0.0000526", "$0.0000526", "$0.0000526"),
        ("0.00000526", "$0.0000053", "$0.0000053"),
        ("0.000000998", "$0.000001", "$0.000001"),
        ("0.00000012", "0.12 µ$", "0.12 µ$"),
        ("0.0000000031", "0.0031 µ$", "0.0031 µ$"),
        ("0.000000000031", "<0.0001 µ$", "<0.0001 µ$"),
        ("0.5", "$0.50", "$0.50"),
        ("182.4", "$182.40", "$182.40"),
        ("1234567.8", "$1,234,567.80", "$1.2M"),
        ("NaN", "–", "–"),
        ("<b>", "–", "–"),
    ],
)
def test_money_reads_as_on_the_page(amount: str | None, each: str, all_in_all: str) -> None:
    value = figures.amount(amount)
    assert (figures.per_call(value), figures.spent(value)) == (each, all_in_all)


AMOUNTS = (
    "0.00000001234",
    "0.00000526",
    "0.0000526",
    "0.0038124",
    "182.456",
    "12345.678",
    "99999.99",
)


def _lines(columns: Sequence[screen.Column], rows: Sequence[Sequence[screen.Cell]]) -> list[str]:
    return screen.table(columns, rows, 80, _no_paint())[1:]


@pytest.mark.parametrize("amount", AMOUNTS)
def test_at_80_columns_no_table_cuts_an_amount_off(amount: str) -> None:
    value = Decimal(amount)
    each, all_in_all = figures.per_call(value), figures.spent(value)
    times = {"p50": 1.0, "p95": 1.0}
    measures = {
        "cost_usd": amount,
        "cost_per_call_usd": amount,
        "per_call_usd": amount,
        "wasted_usd": amount,
        "unpriced_calls": 1,
        "lower_bound_calls": 1,
        "calls": 2,
        "errors": 0,
        "tokens": {"input": 1, "output": 1},
        "input_tokens": 1,
        "output_tokens": 1,
        "duration_s": times,
        "time_to_first_chunk_s": times,
        "p50_s": 1.0,
        "p95_s": 1.0,
        "cost_by_grade": {},
        "name": "n",
        "by": {"endpoint": "n"},
    }
    call = {
        **dict.fromkeys(("prompt_version", "tenant", "route", "duration_s", "api_key")),
        **dict.fromkeys(("time_to_first_chunk_s", "app_attempts", "input_tokens", "output_tokens")),
        "time": "2026-01-01T00:00:00Z",
        "endpoint": "e",
        "request_model": "m",
        "status": "success",
        "cost_usd": amount,
        "cost_grade": "lower_bound",
    }
    budget = {
        **dict.fromkeys(("owner", "contact", "action")),
        "name": "b",
        "period": "month",
        "state": "ok",
        "ratio": 0.5,
        "calls": 2,
        "spent_usd": amount,
        "limit_usd": amount,
        "period_end": "2026-02-01T00:00:00Z",
    }
    stats = usage_tables.TABLES["stats"]
    found = {"by": ["endpoint"], "total": {}, "interval": None}
    (line,) = _lines(top.COLUMNS, [top._row(measures, "endpoint")])
    assert each in line and f"≥{all_in_all}" in line
    (line,) = _lines(stats.columns(found), [stats.row(measures, found)])
    assert each in line and f"≥{all_in_all}" in line
    recent = usage_tables.TABLES["recent"]
    (line,) = _lines(recent.columns(found), [recent.row(call, found)])
    assert f"≥{each}" in line
    (line,) = _lines(calls.COLUMNS, [calls.row(call)])
    assert f"≥{figures.per_call(value, 8)}" in line
    (line,) = _lines(budgets.COLUMNS, [budgets._row(budget)])
    assert line.count(all_in_all) == 2


def test_durations_and_counts_say_their_unit() -> None:
    seconds = [None, 0.0123, 0.9999, 9.999, 125, 7325]
    assert [figures.duration(each) for each in seconds] == [
        "–",
        "12ms",
        "1.00s",
        "10.0s",
        "2m05s",
        "2h02m",
    ]
    assert [figures.count(each) for each in (None, 940, 16_400, 1_800_000)] == [
        "–",
        "940",
        "16K",
        "1.8M",
    ]
    assert figures.percent(1, 8) == "12%" and figures.percent(0, 0) == "0%"


# --- a terminal that is looked at -------------------------------------------------------------------


@pytest.mark.slow
def test_top_redraws_obeys_keys_and_leaves_the_terminal_as_it_was(stack: LocalStack) -> None:
    with Terminal("top", "--interval", "0.2") as terminal:
        terminal.until(r"ENDPOINT[^\n]*COST")
        terminal.press("b")
        terminal.until(r"TENANT[^\n]*COST")
        terminal.press("s")
        terminal.until(r"by tenant, calls first")
        stack.writer.offer([made(41, **{semconv.TENANT: "just arrived"})]).result(30)
        terminal.until(r"just arrived")
        terminal.press("q")
        assert terminal.end() == 0
        assert terminal.written.startswith("\x1b[?1049h\x1b[?25l")
        assert "\x1b[?25h\x1b[?1049l" in terminal.written
        assert terminal.settings() == terminal.settings_before
        drawn = [screen.width(plain(line)) for line in re.split(r"\r\n|\x1b\[H", terminal.written)]
        assert max(drawn) <= 80


@pytest.mark.slow
def test_calls_follow_what_comes_in_each_once_and_ctrl_c_ends_it(stack: LocalStack) -> None:
    with Terminal(
        "calls", "-n", "1", "-f", "--tenant", "late", environ={"NO_COLOR": "1"}
    ) as terminal:
        terminal.until("STATUS")
        for number in (50, 51):
            said = {semconv.TENANT: "late", semconv.ENDPOINT_TAG: f"late.{number}"}
            stack.writer.offer([made(number, **said)]).result(30)
            terminal.until(rf"late\.{number}")
        terminal.interrupt()
        assert terminal.end() == 130
        assert terminal.written.count("late.50") == terminal.written.count("late.51") == 1
        assert "\x1b" not in terminal.written
        assert "Traceback" not in terminal.written


# --- no server, another server, a token ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["top", "calls"])
def test_without_a_server_one_sentence_says_what_to_start(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("TOLLSPAN_UI_PORT", "1")
    assert "nothing answers at http://127.0.0.1:1: start `tollspan up`" in sentence(capsys, name)


class _Somebody(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>a printer</html>")

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


def test_somebody_else_on_the_port_is_told_from_tollspan(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Somebody) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        said = sentence(capsys, "top", "--url", f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()
        thread.join()
    assert "is not `tollspan up`" in said


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["top", "--window", "yesterday"], "write 15m, 24h, 7d or all"),
        (["calls", "--tag", "growth"], "write --tag team=growth"),
        (["top", "--url", "localhost:4319"], "is no address"),
    ],
)
def test_bad_input_says_what_to_write(
    stack: LocalStack, capsys: pytest.CaptureFixture[str], arguments: list[str], what: str
) -> None:
    assert what in sentence(capsys, *arguments)


def test_a_window_longer_than_time_is_all_of_it() -> None:
    assert window("999999w") == [] == window("all")
    with pytest.raises(NotAnswered):
        window("0m")


def test_the_server_of_the_settings_is_asked_on_loopback_when_it_binds_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOLLSPAN_HOST", "::")
    config.reload()
    assert Server().url == "http://[::1]:4319"
