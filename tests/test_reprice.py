"""History is priced again by other prices: shown first, written once, never against what was reported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spans import START_NS, attempt, foreign, span

from tollspan import config, semconv
from tollspan.collector.clickhouse import ClickHouseError
from tollspan.collector.foreign import normalised, settled
from tollspan.collector.row_prices import derived
from tollspan.collector.rows import call_row, hop_rows
from tollspan.collector.span import Span
from tollspan.collector.stage import Call, Remembered, Stage
from tollspan.launcher.command import main
from tollspan.launcher.reprice import _tell_of_another_file
from tollspan.local.ledger import Ledger
from tollspan.local.reprice import LIFT, Asked, Report, reprice
from tollspan.local.reprice_api import LocalStore
from tollspan.local.reprice_server import ServerStore
from tollspan.local.server import LocalStack
from tollspan.processors.pricefile import load
from tollspan.processors.prices import Prices, current

ALWAYS = Asked(START_NS - 10**9, START_NS + 10**15)
DEAR = """
[[prices]]
model = "gpt-4o-mini*"
input_usd_per_mtok = 1
cache_read_usd_per_mtok = 0.5
output_usd_per_mtok = 2

[[prices]]
model = "house-*"
input_usd_per_mtok = 3
output_usd_per_mtok = 4
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("ledger")) as made:
        yield made


@pytest.fixture(scope="module")
def ledger(stack: LocalStack) -> Ledger:
    return stack.ledger


@pytest.fixture
def empty(ledger: Ledger) -> Ledger:
    for table in ("llm_calls", "llm_hops"):
        ledger.recall(f"TRUNCATE TABLE {table}", {})
    return ledger


@pytest.fixture
def dear(tmp_path: Path) -> Prices:
    file = tmp_path / "prices.toml"
    file.write_text(DEAR)
    return Prices(load(str(file)))


def told(*batches: list[Span]) -> list[Call]:
    stage = Stage(settled, normalised, lambda trace_ids: Remembered())
    return [call for batch in batches for call in stage.take(batch)]


def put(ledger: Ledger, calls: list[Call]) -> None:
    ledger.insert("llm_calls", map(call_row, calls))
    ledger.insert("llm_hops", (row for call in calls for row in hop_rows(call)))


def again(ledger: Ledger, prices: Prices | None = None, *, write: bool = True) -> Report:
    return reprice(LocalStore(ledger), ALWAYS, write=write, prices=prices)


def rows(ledger: Ledger) -> list[dict[str, Any]]:
    return ledger.query("SELECT * FROM llm_calls FINAL ORDER BY call_id")


CALLS = [
    foreign(1),
    foreign(2, attributes={semconv.CACHE_READ_TOKENS: 400}),
    foreign(3, attributes={semconv.REQUEST_MODEL: "house-7b"}),
    foreign(4, attributes={semconv.REQUEST_MODEL: "nobody-knows"}),
]


def test_the_difference_is_shown_first_and_nothing_is_written(empty: Ledger, dear: Prices) -> None:
    put(empty, told(CALLS))
    before = rows(empty)

    report = again(empty, dear, write=False)

    assert rows(empty) == before
    assert {name: each.calls for name, each in report.changes.items()} == {
        "gpt-4o-mini": 2,
        "house-7b": 1,
    }
    mini = report.changes["gpt-4o-mini"]
    # 1000 in, 1000 out: 0.15 and 0.60 a million; 400 of the second from the cache at 0.075.
    assert mini.old_usd == Decimal("0.00075") + Decimal("0.00072")
    assert mini.new_usd == Decimal("0.003") + Decimal("0.0028")
    assert report.changes["house-7b"].new_usd == Decimal("0.007")
    assert (report.unknown, report.written) == (1, 0)
    total = report.as_json()["total"]
    assert total["calls"] == 3
    assert Decimal(total["difference_usd"]) == Decimal("0.0128") - Decimal("0.00147")


def test_amounts_are_written_once_and_a_second_time_changes_nothing(
    empty: Ledger, dear: Prices
) -> None:
    put(empty, told(CALLS))

    assert again(empty, dear).written == 3
    first = rows(empty)
    assert [row["cost_usd"] for row in first] == ["0.003", "0.0028", "0.007", None]
    assert [row["price_version"] for row in first[:3]] == [dear._file.version] * 3  # type: ignore[union-attr]
    assert first[1]["cache_saved_usd"] == "0.0002"
    assert (first[2]["cost_grade"], first[2]["unpriced_reason"]) == ("derived", "")
    assert (first[3]["cost_grade"], first[3]["unpriced_reason"]) == ("unpriced", "unknown_model")
    second = again(empty, dear)
    assert (second.written, second.same, rows(empty)) == (0, 3, first)


def test_a_discount_of_a_day_leaves_what_came_before_and_is_undone_to_the_last_digit(
    empty: Ledger, tmp_path: Path
) -> None:
    """Twelve percent off from a day on, and taken back: prices as they were, repriced."""
    file = tmp_path / "discount.toml"
    put(empty, told(CALLS))

    def at(times: str, since: str) -> list[Decimal | None]:
        file.write_text(f'[[prices]]\nmodel = "*"\ntimes = {times}\nfrom = {since}\n')
        again(empty, Prices(load(str(file))))
        return [
            None if row["cost_usd"] is None else Decimal(row["cost_usd"]) for row in rows(empty)
        ]

    listed = at("1", "2020-01-01")
    assert at("0.88", "2100-01-01") == listed, "of calls before the day nothing changes"
    assert any(listed)
    discounted = [None if usd is None else usd * Decimal("0.88") for usd in listed]
    assert at("0.88", "2020-01-01") == discounted
    assert at("1", "2020-01-01") == listed


def test_redelivery_of_the_original_undoes_nothing_and_counts_nothing_twice(
    empty: Ledger, dear: Prices
) -> None:
    calls = told(CALLS)
    put(empty, calls)
    again(empty, dear)
    first = rows(empty)

    for _ in range(2):
        put(empty, calls)
    put(empty, told([CALLS[3]], [CALLS[0]], CALLS))

    assert rows(empty) == first
    (found,) = empty.query("SELECT sum(cost_usd) AS usd, count() AS n FROM tollspan_calls")
    assert found == {"usd": "0.0128", "n": 4}


def test_what_later_spans_say_still_corrects_a_call(empty: Ledger, dear: Prices) -> None:
    late = attempt(2, 1, x_litellm_version="1.106.2", x_litellm_model_group="fast")
    calls = told([foreign(1)], [late])
    put(empty, calls[:1])
    again(empty, dear)
    again(empty, current())
    again(empty, dear)
    (row,) = rows(empty)
    assert (row["cost_usd"], row["repricings"]) == ("0.003", 3)

    put(empty, calls[1:])
    (row,) = rows(empty)
    assert row["route"].startswith("litellm")
    assert row["repricings"] == 0


@given(st.lists(st.integers(0, 2**56 - 1), min_size=1, max_size=40), st.data())
def test_a_repriced_version_lies_between_the_same_evidence_and_more_of_it(
    digests: list[int], data: st.DataObject
) -> None:
    """As `Stage` makes versions: of the rank of all spans, and of what the row is made from."""

    def version(spans: list[int], content: int) -> int:
        rank = sum((1 << 24) + ((1 << 56 | each) >> 40) for each in spans)
        return rank << 18 | content

    content = st.integers(0, 2**18 - 1)
    mine = version(digests, data.draw(content))
    same = version(digests, data.draw(content))
    more = version([*digests, data.draw(st.integers(0, 2**56 - 1))], data.draw(content))

    assert same < mine + LIFT < more


def test_an_amount_that_somebody_reported_stays(empty: Ledger, dear: Prices) -> None:
    reported = foreign(1, attributes={semconv.COST_REPORTED: 0.5})
    cached = {**call_row(told([foreign(2)])[0]), "cost_usd": "0", "cost_grade": "billed"}
    put(empty, told([reported]))
    empty.insert("llm_calls", [{**cached, "avoided_usd": "0.00075", "cache_hit": True}])
    before = rows(empty)
    assert [row["cost_grade"] for row in before] == ["billed", "billed"]

    assert again(empty, dear).as_json()["total"]["calls"] == 0
    assert rows(empty) == before


def test_of_a_call_that_failed_all_is_wasted_still(empty: Ledger, dear: Prices) -> None:
    broken = {semconv.STATUS: "error", semconv.ERROR_TYPE: "ReadError"}
    unknown = {**broken, semconv.REQUEST_MODEL: "house-7b"}
    put(empty, told([foreign(1, attributes=broken), foreign(2, attributes=unknown)]))

    again(empty, dear)

    first, second = rows(empty)
    assert (first["cost_usd"], first["wasted_usd"], first["cost_grade"]) == (
        "0.003",
        "0.003",
        "lower_bound",
    )
    assert (second["wasted_usd"], second["cost_grade"], second["cost_grade_reason"]) == (
        "0.007",
        "lower_bound",
        "partial_answer",
    )


def test_only_the_calls_that_were_asked_for_change(empty: Ledger, dear: Prices) -> None:
    put(empty, told([foreign(n) for n in range(1, 6)]))
    second = 10**9
    store = LocalStore(empty)

    asked = Asked(START_NS + 2 * second, START_NS + 4 * second)
    assert reprice(store, asked, write=True, prices=dear).written == 2
    assert [row["repricings"] for row in rows(empty)] == [0, 1, 1, 0, 0]
    asked = Asked(START_NS, START_NS + 10**12, "house-7b")
    assert reprice(store, asked, write=True, prices=dear).as_json()["total"]["calls"] == 0


def test_many_pages_are_one(empty: Ledger, dear: Prices, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tollspan.local.reprice.PAGE", 3)
    put(empty, told([foreign(n) for n in range(1, 11)]))

    assert again(empty, dear).written == 10
    assert {row["cost_usd"] for row in rows(empty)} == {"0.003"}


def test_rollups_follow(empty: Ledger, dear: Prices) -> None:
    put(empty, told(CALLS))
    empty.count_again()
    again(empty, dear)
    empty.count_again()

    (found,) = empty.query("SELECT sum(cost_usd) AS usd, sum(calls) AS n FROM tollspan_hours")
    assert found == {"usd": "0.0128", "n": 4}


# --- what a row keeps -----------------------------------------------------------------------------

models = st.sampled_from(
    [
        "gpt-4o-mini",
        "gpt-4o",
        "o3",
        "claude-sonnet-4-5",
        "claude-haiku-4-5-20251001",
        "gemini-2.5-pro",
    ]
)
tokens = st.integers(0, 300_000)
shapes = st.fixed_dictionaries(
    {
        semconv.PROVIDER: st.sampled_from(["openai", "anthropic", "gcp.gemini", "azure.ai.openai"]),
        semconv.REQUEST_MODEL: models,
        semconv.INPUT_TOKENS: tokens,
        semconv.OUTPUT_TOKENS: tokens,
    },
    optional={
        semconv.RESPONSE_MODEL: models,
        semconv.CACHE_READ_TOKENS: tokens,
        semconv.CACHE_WRITE_TOKENS: tokens,
        semconv.CACHE_WRITE_1H_TOKENS: tokens,
        semconv.REASONING_TOKENS: tokens,
        semconv.AUDIO_INPUT_TOKENS: tokens,
        semconv.WEB_SEARCHES: st.integers(0, 5),
        semconv.SERVICE_TIER: st.sampled_from(["default", "flex", "priority", "batch"]),
        semconv.SPEED: st.sampled_from(["fast", "standard"]),
        semconv.FINISH_REASONS: st.just(["stop"]),
    },
)


@given(st.lists(shapes, min_size=1, max_size=8))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_same_prices_find_the_same_amounts_in_the_rows(
    ledger: Ledger, said: list[dict[str, Any]]
) -> None:
    for table in ("llm_calls", "llm_hops"):
        ledger.recall(f"TRUNCATE TABLE {table}", {})
    put(ledger, told([foreign(n, attributes=each) for n, each in enumerate(said, start=1)]))
    stored = rows(ledger)

    report = again(ledger)

    assert (report.written, report.apart, report.changes) == (0, 0, {})
    assert report.same == sum(row["derived_usd"] is not None for row in stored)


def test_through_gateways_too(empty: Ledger) -> None:
    spans = []
    for n, headers in enumerate(
        (
            {"x_litellm_version": "1.106.2", "x_litellm_model_group": "fast"},
            {"x_litellm_version": "1.106.2", "x_litellm_model_id": "7"},
        )
    ):
        spans += [foreign(10 * n + 1), attempt(10 * n + 2, 10 * n + 1, **headers)]
    put(empty, told(spans))

    report = again(empty)
    assert (report.written, report.apart, report.changes) == (0, 0, {})


def test_a_price_needs_usage_and_a_model() -> None:
    said = {semconv.PROVIDER: "openai", semconv.REQUEST_MODEL: "gpt-4o-mini"}
    assert derived(said, "", START_NS) is None
    assert derived({**said, semconv.INPUT_TOKENS: 0}, "", START_NS) is None
    found = derived({**said, semconv.INPUT_TOKENS: 10**6}, "", START_NS)
    assert found is not None
    assert found.amount == Decimal("0.15")


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def dearly(empty: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Calls are in the ledger, and the settings ask for the dear prices now: those of this file."""
    put(empty, told(CALLS))
    file = tmp_path / "prices.toml"
    file.write_text(DEAR)
    monkeypatch.setenv("TOLLSPAN_PRICES", str(file))
    config.reload()
    yield file
    monkeypatch.undo()
    config.reload()


@pytest.mark.usefixtures("dearly")
def test_the_command_asks_the_running_stack(
    stack: LocalStack, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["reprice", "--since", "2026-01-01", "--until", "2027-01-01", "--url", stack.page_url]

    assert main([*asked, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "gpt-4o-mini" in shown
    assert "0.0128" in shown
    assert "Calls without a known price: 1" in shown
    assert main(asked) == 2, "nobody is there to be asked"
    assert "--yes" in capsys.readouterr().err
    assert {row["repricings"] for row in rows(stack.ledger)} == {0}

    assert main([*asked, "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["written"] == 3
    assert main([*asked, "--yes"]) == 0
    said = capsys.readouterr()
    assert "No amount changes." in said.out
    assert "By the prices of: file:prices.toml@" in said.out and ", genai-prices/" in said.out
    assert said.err == ""


def test_a_corrected_price_file_is_used_without_a_restart(
    stack: LocalStack, dearly: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["reprice", "--since", "2026-01-01", "--until", "2027-01-01", "--url", stack.page_url]
    assert main([*asked, "--yes", "--json"]) == 0
    before = json.loads(capsys.readouterr().out)

    dearly.write_text(DEAR.replace("output_usd_per_mtok = 4", "output_usd_per_mtok = 8"))
    assert main([*asked, "--yes", "--json"]) == 0
    corrected = json.loads(capsys.readouterr().out)
    assert corrected["prices"] != before["prices"]
    assert [line["model"] for line in corrected["models"]] == ["house-7b"]
    assert corrected["written"] == 1
    sums = [row["cost_usd"] for row in rows(stack.ledger)]

    dearly.write_text("[[prices]]\nmodel = 'gpt-4o-mini'\ntims = 2\n")
    assert main([*asked, "--dry-run"]) == 2
    assert "unknown key 'tims'" in capsys.readouterr().err
    assert [row["cost_usd"] for row in rows(stack.ledger)] == sums


@pytest.mark.usefixtures("dearly")
def test_a_price_file_that_only_the_shell_has_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    _tell_of_another_file({"prices": "genai-prices/1.2.3"})
    said = capsys.readouterr().err
    assert "TOLLSPAN_PRICES names file:prices.toml@" in said and "does not use" in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--since", "yesterday"], "--since 'yesterday' is no time"),
        (["--since", "7d", "--until", "never"], "--until 'never' is no time"),
        (["--since", "2026-11-20", "--until", "2026-11-19"], "'2026-11-19' is not after --since"),
        (["--since", "2026-11-20", "--until", "2026-11-20"], "is not after --since '2026-11-20'"),
        (["--since", "7d", "--url", "ftp://x"], "is no address"),
        (["--since", "7d", "--clickhouse", "nonsense"], "is not a URL"),
        (["--since", "7d", "--clickhouse", "http://127.0.0.1:1/x", "--yes"], "cannot be reached"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(
    more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reprice", *more]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"since": 5}',
        b'{"since": "x"}',
        b'{"since": "2026-02-01", "until": "2026-01-01"}',
        b'{"since": "2026-01-01", "all": 1}',
    ],
)
def test_a_request_that_makes_no_sense_is_refused(stack: LocalStack, body: bytes) -> None:
    answer = httpx.post(f"{stack.page_url}/api/reprice", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


# --- a server -------------------------------------------------------------------------------------


class ClickHouse(ThreadingHTTPServer):
    """The two requests that repricing makes of ClickHouse's HTTP interface, over the embedded engine."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(("127.0.0.1", 0), _Door)
        self.ledger = ledger
        self.tokens: list[str] = []
        self.keys: set[str] = set()
        self.broken = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/tollspan"


class _Door(BaseHTTPRequestHandler):
    server: ClickHouse

    def do_POST(self) -> None:
        asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.server.keys.add(self.headers["x-clickhouse-key"])
        assert asked["database"] == "tollspan"
        if self.server.broken:
            return self._answer(500, b"Code: 241. DB::Exception: memory")
        if "query" in asked:
            self.server.tokens.append(asked["insert_deduplication_token"])
            self.server.ledger.insert("llm_calls", map(json.loads, body.splitlines()))
            return self._answer(200, b"")
        bound = {k.removeprefix("param_"): v for k, v in asked.items() if k.startswith("param_")}
        if "grades" in bound:
            bound["grades"] = json.loads(bound["grades"].replace("'", '"'))
        sql = body.rsplit("\nFORMAT JSONEachRow", 1)[0]
        found = self.server.ledger.query(sql, bound)
        self._answer(200, "\n".join(map(json.dumps, found)).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def test_a_servers_ledger_is_read_and_written_over_http(empty: Ledger, dear: Prices) -> None:
    put(empty, told(CALLS))
    server = ClickHouse(empty)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        store = ServerStore(server.url, "ada", "secret")
        report = reprice(store, ALWAYS, write=True, prices=dear)
        assert report.written == 3
        assert [row["cost_usd"] for row in rows(empty)] == ["0.003", "0.0028", "0.007", None]
        assert len(server.tokens) == 1
        assert server.tokens[0].startswith("reprice-")
        assert server.keys == {"secret"}
        server.broken = True
        with pytest.raises(ClickHouseError, match="memory"):
            reprice(store, ALWAYS, write=True, prices=dear)
    finally:
        server.shutdown()
        server.server_close()


def test_spans_of_the_application_alone_have_nothing_to_price(empty: Ledger, dear: Prices) -> None:
    put(empty, told([span(1)]))
    assert again(empty, dear).as_json()["models"] == []
