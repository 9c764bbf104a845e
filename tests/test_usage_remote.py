"""The same API and the same command over a production ledger, asked as a ClickHouse server."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from pipeline_processes import ClickHouse as Server
from usage_calls import HOSTILE, calls

from tollspan.collector.clickhouse import ClickHouse
from tollspan.collector.foreign import normalised, settled
from tollspan.collector.stage import Stage
from tollspan.launcher import command
from tollspan.local.api_only import application
from tollspan.local.ledger import LedgerError
from tollspan.local.recall import Recall
from tollspan.local.remote import ClickHouseLedger
from tollspan.local.usage_api import ANSWERS
from tollspan.local.usage_export import export
from tollspan.local.usage_month import month
from tollspan.local.usage_stats import stats
from tollspan.local.writer import Writer

pytestmark = pytest.mark.slow
EVERYTHING = [("data_mode", "all"), ("last", "all")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A ledger that is asked over HTTP, and filled beside it."""
    with Server(tmp_path_factory.mktemp("ledger")) as running:
        recall = Recall(running.ledger)
        stage = Stage(settled, normalised, recall, recall.linked)
        writer = Writer(running.ledger, stage, lambda calls: None)
        writer.offer(calls(150, time.time_ns())).result(60)
        writer.stop()
        yield running


@pytest.fixture(scope="module")
def remote(server: Server) -> Iterator[ClickHouseLedger]:
    made = ClickHouseLedger(ClickHouse(server.url, "", ""))
    yield made
    made.close()


@pytest.mark.parametrize("path", [path for path in ANSWERS if not path.endswith("month")])
def test_every_answer_is_the_same_as_from_the_ledger_itself(
    server: Server, remote: ClickHouseLedger, path: str
) -> None:
    more = [("by", "tenant,tag.team"), ("interval", "day")] if path.endswith("stats") else []

    assert ANSWERS[path](remote, [*EVERYTHING, *more]) == ANSWERS[path](
        server.ledger, [*EVERYTHING, *more]
    )


def test_a_month_and_days_of_a_zone_are_the_same(server: Server, remote: ClickHouseLedger) -> None:
    now = datetime.now(UTC)
    asked = [("data_mode", "all"), ("by", "tenant,tag.team"), ("tz", "Australia/Lord_Howe")]
    assert month(remote, asked, now=now) == month(server.ledger, asked, now=now)

    asked += [("last", "all"), ("interval", "day")]
    assert stats(remote, asked) == stats(server.ledger, asked)


@pytest.mark.parametrize("form", ["jsonl", "csv", "focus-csv"])
def test_every_file_is_the_same(server: Server, remote: ClickHouseLedger, form: str) -> None:
    asked = [*EVERYTHING, ("format", form)]

    assert b"".join(export(remote, asked).pieces) == b"".join(export(server.ledger, asked).pieces)


@pytest.mark.parametrize("form", ["parquet", "focus-parquet"])
def test_parquet_comes_from_the_server(remote: ClickHouseLedger, form: str) -> None:
    made = b"".join(export(remote, [*EVERYTHING, ("format", form)]).pieces)

    assert made[:4] == made[-4:] == b"PAR1"


@pytest.mark.parametrize("name", [each for each in HOSTILE if len(each) <= 1000])
def test_hostile_names_arrive_as_they_are(
    server: Server, remote: ClickHouseLedger, name: str
) -> None:
    asked = [*EVERYTHING, ("tenant", name), (f"tag.{name[:50]}", name)]
    ask = ANSWERS["/v1/usage/stats"]

    assert ask(remote, asked) == ask(server.ledger, asked)


def test_a_server_that_refuses_is_a_sentence(remote: ClickHouseLedger) -> None:
    with pytest.raises(LedgerError, match="ClickHouse says"):
        remote.query("SELECT nothing FROM nowhere")


def test_the_command_asks_a_clickhouse_itself(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["usage", "stats", "--clickhouse", server.url, "--last", "all", "--json"]

    assert command.main([*asked, "--where", "data_mode=all"]) == 0
    assert json.loads(capsys.readouterr().out)["total"]["calls"] == 150
    assert command.main(["usage", "stats", "--clickhouse", "http://127.0.0.1:1"]) == 2
    assert "cannot be reached" in capsys.readouterr().err
    assert command.main(["usage", "stats", "--clickhouse", server.url, "--where", "x=1"]) == 2
    assert "no member of this query" in capsys.readouterr().err


def test_tollspan_api_serves_it(server: Server, tmp_path: Path) -> None:
    options = ["api", "--port", "0", "--clickhouse", server.url]
    started = [sys.executable, "-m", "tollspan.launcher.command", *options]
    with subprocess.Popen(started, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
            assert found
            assert get(f"{found[0]}/v1/usage/stats?last=all&data_mode=all")["total"]["calls"] == 150
            assert "/v1/usage/export" in get(f"{found[0]}/v1/openapi.json")["paths"]
            for path in ("/healthz", "/readyz"):
                with urllib.request.urlopen(f"{found[0]}{path}", timeout=30) as answer:
                    assert answer.read() == b"ok\n"
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(20) in (0, 130, -2)


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def test_tollspan_api_says_what_it_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["api", "--port", "0"]) == 2
    assert "TOLLSPAN_CLICKHOUSE_URL is not set" in capsys.readouterr().err
    assert command.main(["api", "--port", "0", "--clickhouse", "http://127.0.0.1:1"]) == 2
    assert "cannot be reached" in capsys.readouterr().err


async def test_whoever_keeps_it_running_hears_when_the_ledger_is_away() -> None:
    """Without a token: the reason is the ledger's first line, and holds no data."""
    away = ClickHouseLedger(ClickHouse("http://127.0.0.1:1/x", "reader", "hunter2"))
    app = application(away, host="127.0.0.1", token="s3cret", a_minute=0)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://a") as asking:
        alive, ready = await asking.get("/healthz"), await asking.get("/readyz")
        other = await asking.get("/v1/usage/stats")

    assert (alive.status_code, alive.text) == (200, "ok\n")
    assert (ready.status_code, other.status_code) == (503, 401)
    assert ready.text.startswith("ClickHouse at 127.0.0.1:1 cannot be reached (Connection refused)")
    assert "hunter2" not in ready.text


@pytest.mark.parametrize(
    ("refused", "sentence"),
    [
        ("max_execution_time", "the account needs readonly = 2, not 1"),
        ("nothing", "is of version 7, and this tollspan reads"),
    ],
)
def test_an_account_or_a_ledger_that_will_not_do_is_told_so_at_the_start(
    refused: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a server answers an account with `readonly = 1`; as one of an earlier tollspan."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            states = refused in self.path
            said = b"Code: 164. DB::Exception: Cannot modify 'x' setting in readonly mode. (READONLY)\n"
            self.send_response(500 if states else 200)
            self.end_headers()
            self.wfile.write(said if states else b'{"version":7}\n')

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert command.main(["api", "--port", "0", "--clickhouse", url]) == 2
        server.shutdown()
        thread.join()
    assert sentence in capsys.readouterr().err
