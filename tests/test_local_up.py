"""`tollspan up` as people run it: a real process, real signals, one sentence when it cannot."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from spans import owner, protobuf

pytestmark = pytest.mark.slow

FREE = ["--port", "0", "--grpc-port", "0", "--http-port", "0"]


class Up:
    """A running `tollspan up` and what it printed."""

    def __init__(self, data_dir: Path, *options: str, **variables: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tollspan.local", *FREE, "--data-dir", str(data_dir), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **variables},
        )
        assert self.process.stdout is not None
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            if "Ctrl-C" in line:
                break
        found = re.findall(r"http://127\.0\.0\.1:\d+", self.said)
        self.page, self.grpc, self.http = [*found, "", "", ""][:3]

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.page + path, timeout=30) as answer:
            return json.load(answer)

    def send(self, *numbers: int) -> None:
        body = protobuf(owner(1, trace_id=f"{number:032x}", cost=0.001) for number in numbers)
        headers = {"content-type": "application/x-protobuf"}
        request = urllib.request.Request(self.http + "/v1/traces", body, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        _, self.complained = self.process.communicate(timeout=60)
        return self.process.returncode


@contextmanager
def up(data_dir: Path, *options: str, **variables: str) -> Iterator[Up]:
    made = Up(data_dir, *options, **variables)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
        made.process.communicate(timeout=60)


def refused(data_dir: Path, *options: str, code: str = "", **variables: str) -> str:
    """The one sentence of a command that ends with exit code 2."""
    run = ["-c", code] if code else ["-m", "tollspan.local"]
    done = subprocess.run(
        [sys.executable, *run, *FREE, "--data-dir", str(data_dir), *options],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **variables},
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr.strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_ends_with_zero(tmp_path: Path, number: int) -> None:
    with up(tmp_path / "data") as running:
        running.send(1)
        status = running.get("/api/status")
        assert running.end(number) == 0

    assert status["page"] == running.page
    assert status["grpc"] == running.grpc
    assert f"OTEL_EXPORTER_OTLP_ENDPOINT={running.http}" in running.said
    assert str(tmp_path / "data") in running.said
    assert running.complained == ""


def test_data_stays_between_runs(tmp_path: Path) -> None:
    for number in (1, 2):
        with up(tmp_path / "data") as running:
            running.send(number)
            running.send(1)
            found = running.get("/api/summary")
            assert (found["calls"], found["cost_usd"]) == (number, f"0.00{number}")
            assert running.end() == 0


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    acknowledged: list[int] = []
    with up(tmp_path / "data") as running:
        enough = threading.Event()

        def send(sender: int) -> None:
            for number in range(sender * 1000 + 1, sender * 1000 + 1000):
                try:
                    running.send(number)
                except (OSError, urllib.error.URLError):
                    return
                acknowledged.append(number)
                if len(acknowledged) > 60:
                    enough.set()

        senders = [threading.Thread(target=send, args=(each,)) for each in range(4)]
        for each in senders:
            each.start()
        assert enough.wait(60)
        running.process.kill()
        for each in senders:
            each.join()

    with up(tmp_path / "data") as again:
        before = again.get("/api/summary")
        for number in acknowledged[:10]:
            again.send(number)
        found, cursor = set[str](), ""
        while cursor is not None:
            page = again.get(f"/api/calls?limit=500&before={cursor}")
            found |= {call["trace_id"] for call in page["calls"]}
            cursor = page["next"]
        after = again.get("/api/summary")

    assert {f"{number:032x}" for number in acknowledged} <= found
    assert len(found) <= len(acknowledged) + 4, "at most what each sender had on its way"
    assert (after["calls"], after["cost_usd"]) == (before["calls"], before["cost_usd"])


@pytest.mark.parametrize(
    ("option", "variable"),
    [
        ("--port", "TOLLSPAN_UI_PORT"),
        ("--grpc-port", "TOLLSPAN_GRPC_PORT"),
        ("--http-port", "TOLLSPAN_HTTP_PORT"),
    ],
)
def test_a_port_in_use(tmp_path: Path, option: str, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = refused(tmp_path / "data", option, port)

    assert port in said
    assert variable in said
    assert f"{option} 0" in said


def test_a_data_directory_held_by_another_process(tmp_path: Path) -> None:
    with up(tmp_path / "data") as running:
        said = refused(tmp_path / "data")
        running.send(1)
        assert running.get("/api/summary")["calls"] == 1

    assert f"held by process {running.process.pid}" in said


def test_a_damaged_data_directory(tmp_path: Path) -> None:
    with up(tmp_path / "data") as running:
        running.send(1)
        assert running.end() == 0
    for file in tmp_path.rglob("llm_calls.sql"):
        file.write_text("garbage")
    said = refused(tmp_path / "data")

    assert "damaged" in said
    assert str(tmp_path / "data") in said
    assert [file.read_text() for file in tmp_path.rglob("llm_calls.sql")] == ["garbage"]


@pytest.mark.parametrize("package", ["chdb", "starlette", "uvicorn", "grpc"])
def test_a_missing_extra(tmp_path: Path, package: str) -> None:
    without = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from tollspan.local import up; sys.exit(up(sys.argv[1:]))"
    )
    said = refused(tmp_path / "data", code=without)

    assert "pip install 'tollspan[local]'" in said
    assert not (tmp_path / "data").exists()


def test_off_loopback_without_a_token(tmp_path: Path) -> None:
    assert "TOLLSPAN_TOKEN" in refused(tmp_path / "data", "--host", "0.0.0.0")


def test_a_setting_that_cannot_be_used(tmp_path: Path) -> None:
    said = refused(tmp_path / "data", TOLLSPAN_UI_PORT="many")

    assert "TOLLSPAN_UI_PORT" in said


def test_the_token_is_never_printed(tmp_path: Path) -> None:
    with up(tmp_path / "data", "--host", "0.0.0.0", TOLLSPAN_TOKEN="hunter2") as running:
        assert running.end() == 0

    assert "hunter2" not in running.said + running.complained
    assert "?token=" in running.said
