"""The folder of captures: its owner's alone, bounded in size and age, shared by processes, never in
the way of a call; and none of it unless it was asked for."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import stat
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import requests
from drivers.server import Answer, HttpServed, http
from exchanges import made, stored
from mirror import open_call, watching
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import INVALID_SPAN

import tollspan
from tollspan import config, guard, wirefile
from tollspan.config import ConfigError
from tollspan.instrumentation import _attempts, _wire, _wire_lines, _wire_writer
from tollspan.redaction import Redactor


@pytest.fixture
def served() -> Iterator[HttpServed]:
    with http() as running:
        running.answer = Answer((b'{"a": ', b"1}"))
        yield running


def ask(url: str) -> None:
    with httpx2.Client(trust_env=False) as client:
        client.post(url, json={})


def set_to(monkeypatch: pytest.MonkeyPatch, **variables: object) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"TOLLSPAN_{name}", str(value))
    config.reload()


def test_nothing_is_captured_unless_it_is_asked_for(
    served: HttpServed, provider: TracerProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for value in ("", "0", "false", "off"):
        set_to(monkeypatch, WIRE=value)
        with watching(provider), open_call(provider) as call:
            assert _attempts.wire is None
            ask(served.url)
        assert "tollspan.wire.id" not in call.attempts[0].attributes
    assert list(tmp_path.iterdir()) == []


def test_the_variable_switches_it_on_and_1_is_the_state_home(
    served: HttpServed, provider: TracerProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for value, folder in (
        ("1", tmp_path / "state" / "tollspan" / "wire"),
        (str(tmp_path / "mine"), tmp_path / "mine"),
    ):
        set_to(monkeypatch, WIRE=value)
        with watching(provider), open_call(provider) as call:
            ask(served.url)
        assert _wire.writer is not None
        assert _wire.writer.flush()
        (exchange,) = wirefile.exchanges(folder)
        assert call.attempts[0].attributes["tollspan.wire.id"] == exchange.id
        assert _attempts.wire is None  # no longer, once nothing is watched


def test_a_folder_stays_where_it_was_named_when_the_program_goes_elsewhere(
    served: HttpServed, provider: TracerProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with watching(provider), tollspan.wire("wire"), open_call(provider):
        monkeypatch.chdir(tmp_path / "elsewhere")
        ask(served.url)

    assert len(wirefile.listed(tmp_path / "wire")) == 1


def test_requests_outside_of_calls_are_nobodys_business(
    served: HttpServed, provider: TracerProvider, tmp_path: Path
) -> None:
    with watching(provider), tollspan.wire(tmp_path / "wire") as folder:
        ask(served.url)
        requests.post(served.url, json={}, timeout=10)

    assert wirefile.listed(folder) == []


def test_folder_and_files_are_their_owners_alone(
    served: HttpServed, provider: TracerProvider, tmp_path: Path
) -> None:
    before = os.umask(0)
    try:
        wanted = tmp_path / "a" / "wire"
        with watching(provider), tollspan.wire(wanted) as folder, open_call(provider):
            ask(served.url)
    finally:
        os.umask(before)

    (file,) = folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.name == f"{wirefile.listed(folder)[0]}.jsonl.gz"


def test_a_folder_that_others_may_read_is_refused_and_calls_go_on(
    served: HttpServed,
    provider: TracerProvider,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "file").write_text("")
    for name, says in (
        ("open", "chmod 700"),
        ("file", "no folder"),
        ("file/below", "cannot be used"),
    ):
        with pytest.raises(ConfigError, match=says), tollspan.wire(tmp_path / name):
            pass
        caplog.clear()
        set_to(monkeypatch, WIRE=tmp_path / name)
        with caplog.at_level(logging.WARNING), watching(provider), open_call(provider):
            ask(served.url)
        assert says in caplog.text
    assert list((tmp_path / "open").iterdir()) == []


def exchange_lines(size: int) -> list[dict[str, Any]]:
    return [
        {"kind": "exchange", "version": 1},
        {"kind": "request", "method": "POST", "url": "http://h/", "body": os.urandom(size).hex()},
    ]


def test_the_oldest_go_first_when_there_is_too_much(tmp_path: Path) -> None:
    folder = wirefile.usable(tmp_path / "wire")
    begin = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    ids = [wirefile.new_id(int((begin + day * 86400) * 1e9)) for day in range(10)]
    sizes = [wirefile.write(folder, each, exchange_lines(1000)) for each in ids]
    (folder / "notes.txt").write_text("somebody else's")
    (folder / ".old.part").write_text("never finished")
    os.utime(folder / ".old.part", (begin, begin))

    assert wirefile.listed(folder) == ids
    left = wirefile.remove_old(folder, most_bytes=sum(sizes[-4:]), oldest=None)
    assert wirefile.listed(folder) == ids[-4:]
    assert left == sum(sizes[-4:])
    assert (folder / "notes.txt").exists()
    assert not (folder / ".old.part").exists()

    wirefile.remove_old(folder, most_bytes=0, oldest=datetime(2026, 1, 9, tzinfo=UTC))
    assert wirefile.listed(folder) == ids[-2:]
    wirefile.remove_old(folder, most_bytes=0, oldest=None)
    assert wirefile.listed(folder) == ids[-2:]


def test_a_writer_keeps_within_its_bounds(
    served: HttpServed, provider: TracerProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to(monkeypatch, WIRE_MB=1, WIRE_DAYS=1)
    folder = wirefile.usable(tmp_path / "wire")
    long_ago = wirefile.new_id(int((datetime.now(UTC) - timedelta(days=2)).timestamp() * 1e9))
    wirefile.write(folder, long_ago, exchange_lines(10))
    served.answer = Answer((os.urandom(200_000).hex().encode(),), {"content-type": "text/plain"})
    with watching(provider), tollspan.wire(folder), open_call(provider):
        for _ in range(7):
            ask(served.url)

    sizes = [file.stat().st_size for file in folder.iterdir()]
    assert long_ago not in wirefile.listed(folder)
    assert 0 < len(sizes) < 7
    assert sum(sizes) <= 2**20


def test_what_does_not_fit_the_queue_is_dropped_and_counted(
    served: HttpServed, provider: TracerProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_wire_writer, "MOST_WAITING", 2)
    going_on = threading.Event()
    real = _wire_lines.lines

    def slow(*args: Any) -> Any:
        going_on.wait(30)
        return real(*args)

    monkeypatch.setattr(_wire_lines, "lines", slow)
    with watching(provider), tollspan.wire(tmp_path / "wire") as folder, open_call(provider):
        assert _wire.writer is not None
        for _ in range(10):
            ask(served.url)
        going_on.set()

    writer = _wire.writer
    assert writer.written == len(wirefile.listed(folder))
    assert 2 <= writer.written <= 3
    assert writer.dropped == 10 - writer.written
    assert writer._bytes == 0


@pytest.mark.quiet
def test_a_folder_that_goes_away_and_faults_of_ours_harm_no_call(
    served: HttpServed,
    provider: TracerProvider,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with watching(provider), tollspan.wire(tmp_path / "wire") as folder, open_call(provider):
        folder.rmdir()
        ask(served.url)
        ask(served.url)
        assert _wire.writer is not None
        assert _wire.writer.flush()
        assert (_wire.writer.failed, _wire.writer.written) == (2, 0)
        assert "FileNotFoundError" in _wire.writer.last_error
        told = [each.getMessage() for each in caplog.records if "not be written" in each.msg]
        assert len(told) == 1
        assert told[0].startswith(f"an exchange could not be written to {folder}: FileNotFound")

        def broken(*_: Any) -> Any:
            raise RuntimeError("ours")

        before = sum(guard.faults.values())
        for place, name in (
            (_wire, "asked_body"),
            (_wire, "tapped"),
            (_wire_lines, "readable"),
            (_wire.Recording, "saw"),
            (_wire.Recording, "finish"),
        ):
            with monkeypatch.context() as patch:
                patch.setattr(place, name, broken)
                response = httpx2.post(served.url, json={}, trust_env=False)
                assert response.json() == {"a": 1}
                assert requests.post(served.url, json={}, timeout=10).json() == {"a": 1}
                _wire.writer.flush()
        assert sum(guard.faults.values()) > before


def test_an_answer_that_the_caller_drops_goes_at_once(
    served: HttpServed, provider: TracerProvider, tmp_path: Path
) -> None:
    with (
        watching(provider),
        tollspan.wire(tmp_path / "wire") as folder,
        open_call(provider),
        httpx2.Client(trust_env=False) as client,
        requests.Session() as session,
    ):
        gc.disable()
        try:
            response: Any = client.send(client.build_request("POST", served.url), stream=True)
            known = weakref.ref(response)
            del response
            assert known() is None
            response = session.post(served.url, stream=True)
            raw = weakref.ref(response.raw.__wrapped__)
            del response
            assert raw() is None
        finally:
            gc.enable()
        assert _wire.writer is not None
        assert _wire.writer.flush()

    hows = [exchange.end["how"] for exchange in wirefile.exchanges(folder)]
    assert len(hows) == 2
    assert set(hows) <= {"dropped", "closed"}


def test_the_clients_own_object_is_back_when_the_body_has_been_read(
    served: HttpServed, provider: TracerProvider, tmp_path: Path
) -> None:
    from urllib3 import HTTPResponse

    with (
        watching(provider),
        tollspan.wire(tmp_path / "wire"),
        open_call(provider),
        requests.post(served.url, stream=True, timeout=10) as response,
    ):
        assert isinstance(response.raw, HTTPResponse)
        assert b"".join(response.raw.stream(2)) == b'{"a": 1}'
        assert type(response.raw) is HTTPResponse


PROGRAM = """
import sys, httpx2
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import INVALID_SPAN
from tollspan.calls import OpenCall, current_call
from tollspan.instrumentation import _attempts
provider = TracerProvider()
_attempts.install(provider)
current_call.set(OpenCall(provider.get_tracer("t").start_span("chat m"), 0))
client = httpx2.Client(trust_env=False)
for _ in range(3):
    client.post(sys.argv[1], json={})
kept = client.send(client.build_request("POST", sys.argv[1], json={}), stream=True)
reading = kept.iter_raw()
next(reading)
"""


@pytest.mark.slow
def test_processes_share_a_folder_and_what_is_open_at_exit_is_written(
    served: HttpServed, tmp_path: Path
) -> None:
    environ = {**os.environ, "TOLLSPAN_WIRE": str(tmp_path / "wire")}
    running = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, served.url], env=environ) for _ in range(2)
    ]
    assert [each.wait(60) for each in running] == [0, 0]

    exchanges = list(wirefile.exchanges(tmp_path / "wire"))
    assert len(exchanges) == 8
    assert {exchange.head["pid"] for exchange in exchanges} == {each.pid for each in running}
    assert len({exchange.id for exchange in exchanges}) == 8
    hows = [exchange.end["how"] for exchange in exchanges]
    assert (hows.count("complete"), hows.count("exit")) == (6, 2)
    assert not list((tmp_path / "wire").glob(".*"))


def _child(url: str) -> None:
    ask(url)
    assert _wire.writer is not None
    assert _wire.writer.flush()
    os._exit(0 if _wire.writer.written == 1 else 7)


def test_a_call_without_a_trace_is_of_no_trace(
    served: HttpServed, provider: TracerProvider, tmp_path: Path
) -> None:
    """As calls are where nothing is exported."""
    with (
        watching(provider),
        tollspan.wire(tmp_path / "wire") as folder,
        open_call(provider) as call,
    ):
        call.span = INVALID_SPAN
        ask(served.url)
    (exchange,) = wirefile.exchanges(folder)

    assert "trace_id" not in exchange.head
    assert "span_id" not in exchange.head


def test_a_trace_of_zeros_of_an_older_capture_is_none(tmp_path: Path) -> None:
    zeros = {"trace_id": "0" * 32, "span_id": "0" * 16}
    stored(tmp_path / "wire", made(head=zeros))
    (exchange,) = wirefile.exchanges(tmp_path / "wire")

    assert not zeros.keys() & exchange.head.keys()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_worker_writes_its_own_exchanges_and_no_others(
    served: HttpServed, provider: TracerProvider, tmp_path: Path
) -> None:
    with watching(provider), tollspan.wire(tmp_path / "wire") as folder, open_call(provider):
        ask(served.url)
        with httpx2.Client(trust_env=False) as client:
            held = client.send(client.build_request("POST", served.url), stream=True)
            worker = multiprocessing.get_context("fork").Process(target=_child, args=(served.url,))
            worker.start()
            worker.join(30)
            held.read()

    assert worker.exitcode == 0
    pids = [exchange.head["pid"] for exchange in wirefile.exchanges(folder)]
    assert sorted(pids) == sorted([os.getpid(), os.getpid(), worker.pid])


def test_ids_that_are_none_become_no_paths_and_files_that_are_none_are_said_so(
    tmp_path: Path,
) -> None:
    folder = wirefile.usable(tmp_path / "wire")
    for wrong in ("../x", "", "20261121T155825123456-9f2c4a1b7d3e/..", "a" * 40, "%2e%2e", "\0"):
        with pytest.raises(wirefile.Unreadable, match="a wire id is"):
            wirefile.load(folder, wrong)
    wire_id = wirefile.new_id(0)
    with pytest.raises(wirefile.Unreadable, match="no captured exchange with this id"):
        wirefile.load(folder, wire_id)
    path = folder / f"{wire_id}.jsonl.gz"
    for content in (b"", b"not packed", b"\x1f\x8b" + b"\0" * 30):
        path.write_bytes(content)
        with pytest.raises(wirefile.Unreadable, match="is no captured exchange"):
            wirefile.load(folder, wire_id)
    path.unlink()
    wirefile.write(folder, wire_id, [{"kind": "exchange", "version": 99}, {"kind": "request"}])
    with pytest.raises(wirefile.Unreadable, match="version 99"):
        wirefile.load(folder, wire_id)
    assert list(wirefile.exchanges(folder)) == []
    path.unlink()
    outside = tmp_path / "outside.jsonl.gz"
    wirefile.write(folder, wirefile.new_id(1), exchange_lines(1))
    outside.write_bytes(next(folder.iterdir()).read_bytes())
    path.symlink_to(outside)
    with pytest.raises(wirefile.Unreadable, match="no captured exchange with this id"):
        wirefile.load(folder, wire_id)


def test_a_redactor_shows_no_key() -> None:
    assert "planted" not in repr(Redactor(key="planted"))
