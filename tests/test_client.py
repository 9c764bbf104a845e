"""`tollspan.Client`: whoever records is never kept waiting, and health says what became of it."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from ingesting import rows, spent

import tollspan
from tollspan import client as module
from tollspan import config, delivery
from tollspan.local import LocalStack

ASKED = {"provider": "openai", "model": "gpt-4o-mini", "input_tokens": 1000, "output_tokens": 100}


class Ingest:
    """A server on script: `answers` are (status, JSON, headers), the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any, dict[str, str]]] = []
        self.batches: list[list[dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self.hold = threading.Event()
        self.hold.set()
        ours = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                ours.hold.wait(30)
                ours.headers.append({name.lower(): each for name, each in self.headers.items()})
                ours.batches.append(json.loads(body))
                status, said, headers = ours.answer()
                told = json.dumps(said).encode() if not isinstance(said, bytes) else said
                self.send_response(status)
                for name, value in {"content-length": str(len(told)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, *_: Any) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self) -> tuple[int, Any, dict[str, str]]:
        if not self.answers:
            size = len(self.batches[-1])
            return 200, {"accepted": size, "duplicates": 0, "rejected": 0, "errors": []}, {}
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def close(self) -> None:
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def ingest(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ingest]:
    monkeypatch.setattr(delivery, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(module, "EVERY_S", 0.05)
    made = Ingest()
    yield made
    made.close()


def until(true: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_records_reach_a_real_ledger_once(monkeypatch: pytest.MonkeyPatch) -> None:
    config.reload({})
    with LocalStack() as stack:
        with tollspan.Client(stack.page_url, service="shop", environment="test") as client:
            with tollspan.attribute(endpoint="checkout", tenant="acme", tags={"team": "growth"}):
                for number in range(3):
                    client.record(
                        **ASKED,
                        latency_ms=892,
                        time_to_first_chunk_ms=120,
                        response_model="gpt-4o-mini-2024-07-18",
                        request_id=f"r-{number}",
                    )
                client.record(**ASKED, request_id="r-0", latency_ms=892, cost_usd=0.5)
            assert client.flush(20)
            found = client.health()
        assert (found["sent"], found["rejected"], found["queued"]) == (3, 1, 0)
        assert "told before" in found["last_error"]
        assert spent(stack) == (3, "0.00063", 3000)
        (row, *_) = rows(stack)
    expected = {
        "endpoint": "checkout",
        "tenant": "acme",
        "tags": {"team": "growth"},
        "service": "shop",
        "environment": "test",
        "duration_s": 0.892,
        "time_to_first_chunk_s": 0.12,
        "response_model": "gpt-4o-mini-2024-07-18",
        "data_mode": "real",
    }
    assert {name: row[name] for name in expected} == expected


def test_a_dead_server_costs_the_caller_nothing() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        client = tollspan.Client(f"http://127.0.0.1:{free.getsockname()[1]}", most_waiting=100)
        for _ in range(1_000):
            client.record(**ASKED)
        until(lambda: client.health()["retries"] > 0)
        found = client.health()
        assert found["queued"] == 100
        assert found["dropped"] == {"queue_full": 900}
        assert "refused" in found["last_error"].lower() and found["sent"] == 0
        client.close(0.0)
        until(lambda: sum(client.health()["dropped"].values()) == 1_000)
        client.record(**ASKED)
        assert client.health()["dropped"]["closed"] >= 1


def test_it_tries_again_with_the_same_ids_and_gives_up_within_bounds(ingest: Ingest) -> None:
    later = {"retry-after": "0"}
    ingest.answers = [
        (503, {"error": "full"}, later),
        (500, b"<html>", {}),
        (200, {"accepted": 1, "duplicates": 0, "rejected": 0, "errors": []}, {}),
    ]
    with tollspan.Client(ingest.url) as client:
        client.record(**ASKED)
        assert client.flush(20)
        found = client.health()
        assert (found["sent"], found["retries"]) == (1, 2)
        first, *others = ingest.batches
        assert others == [first, first], "the same record each time, with its id and its time"
        assert first[0]["externalRequestId"] and first[0]["timestamp"]
        ingest.answers = [(503, {"error": "full"}, later)]
        client.record(**ASKED)
        until(lambda: client.health()["dropped"] == {"refused": 1})
        assert client.health()["last_error"] == "HTTP 503: full"
        assert len(ingest.batches) == 3 + delivery.MOST_TRIES


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, {"error": "token"}), (404, b"nothing"), (413, {}), (200, b"hello"), (200, [])],
)
def test_a_refusal_is_final(ingest: Ingest, status: int, said: Any) -> None:
    ingest.answers = [(status, said, {})]
    with tollspan.Client(ingest.url) as client:
        client.record(**ASKED)
        assert client.flush(20)
        assert client.health()["dropped"] == {"refused": 1}
        assert client.health()["last_error"]
        assert len(ingest.batches) == 1


def test_the_token_goes_to_its_host_alone_and_is_never_shown(ingest: Ingest) -> None:
    other = Ingest()
    ingest.answers = [(307, b"", {"location": f"{other.url}/v1/ingest"})]
    with tollspan.Client(ingest.url, token="s3cret") as client:
        client.record(**ASKED)
        assert client.flush(20)
        assert "s3cret" not in repr(client) + repr(client.health())
    other.close()
    assert ingest.headers[0]["authorization"] == "Bearer s3cret"
    assert not other.batches


def test_records_travel_in_batches_that_are_packed(ingest: Ingest) -> None:
    ingest.hold.clear()
    with tollspan.Client(ingest.url) as client:
        for _ in range(1_200):
            client.record(**ASKED)
        ingest.hold.set()
        assert client.flush(20)
        assert client.health()["sent"] == 1_200
    assert sum(map(len, ingest.batches)) == 1_200
    assert max(map(len, ingest.batches)) <= module.BATCH
    assert len(ingest.batches) < 10
    assert any(headers.get("content-encoding") == "gzip" for headers in ingest.headers)


def test_a_wrong_argument_is_told_at_once(ingest: Ingest) -> None:
    with tollspan.Client(ingest.url) as client:
        for wrong in ({"input_tokens": -1}, {"latency_ms": "x"}, {"status": "ok"}, {"model": ""}):
            with pytest.raises(ValueError):
                client.record(**(ASKED | wrong))
        assert client.health()["queued"] == 0
    with pytest.raises(ValueError, match="no address"):
        tollspan.Client("localhost:4319")


def test_threads_record_side_by_side(ingest: Ingest) -> None:
    with tollspan.Client(ingest.url) as client:
        threads = [
            threading.Thread(target=lambda: [client.record(**ASKED) for _ in range(200)])
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.flush(20)
        assert client.health()["sent"] == 1_600
    ids = [each["externalRequestId"] for batch in ingest.batches for each in batch]
    assert len(set(ids)) == 1_600


def test_calls_in_one_block_are_calls_of_their_own(ingest: Ingest) -> None:
    with tollspan.Client(ingest.url) as client:
        with tollspan.attribute(request_id="job"):
            for _ in range(3):
                client.record(**ASKED)
            client.record(**ASKED, request_id="mine")
        client.record(**ASKED)
        assert client.flush(20)
    *ids, made = [each["externalRequestId"] for batch in ingest.batches for each in batch]
    assert ids == ["job", "job#2", "job#3", "mine"]
    assert len(made) == 32


@pytest.mark.slow
def test_what_waits_is_sent_at_exit_and_a_fork_sends_only_its_own(ingest: Ingest) -> None:
    program = (
        "import os, sys, tollspan\n"
        "client = tollspan.Client(sys.argv[1])\n"
        "asked = dict(provider='openai', model='gpt-4o-mini', input_tokens=1)\n"
        "client.record(**asked, request_id='parent')\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    assert client.health()['queued'] == 0\n"
        "    client.record(**asked, request_id='child')\n"
        "else:\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, ingest.url],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "TOLLSPAN_RAISE": "1"},
    )
    assert ran.returncode == 0, ran.stderr
    ids = sorted(each["externalRequestId"] for batch in ingest.batches for each in batch)
    assert ids == ["child", "parent"]


def test_it_needs_no_sdk_and_none_is_loaded() -> None:
    program = (
        "import sys, tollspan; tollspan.Client\n"
        "heavy = [n for n in sys.modules if n.startswith(('opentelemetry.sdk', 'tollspan.inst',"
        " 'tollspan.processors', 'genai_prices'))]\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
