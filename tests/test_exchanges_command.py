"""`tollspan wire list|show|replay`: what was captured, for people and for programs, and clear refusals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from exchanges import made, made_id, sse, stored
from terminal import Terminal

from tollspan import wirefile
from tollspan.launcher import checkup, command, live

EVIL = "\x1b]0;owned\x07\x1b[2J\u202e"
CHUNK = {"object": "chat.completion.chunk", "choices": [{"index": 0, "finish_reason": "stop"}]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOLLSPAN_WIRE", str(tmp_path / "wire"))
    return stored(
        tmp_path / "wire",
        made(0, head={"provider": "anthropic", "trace_id": f"{7:032x}"}),
        made(1, response={"status": 429}, head={"model": EVIL}),
        made(2, pieces=[(0.1, sse(CHUNK, done=0)), (0.2, "b"), (0.3, f"c{EVIL}\n\n")]),
        made(3, response=None, end={"how": "failed", "error": "ConnectError"}),
    )


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert command.main(["wire", *arguments]) == 0
    return capsys.readouterr().out


def ids(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[int]:
    out = run(capsys, "list", "--json", *arguments)
    known = {made_id(number): number for number in range(4)}
    return [known[json.loads(line)["id"]] for line in out.splitlines()]


@pytest.mark.usefixtures("folder")
def test_list_is_filtered_by_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert ids(capsys) == [0, 1, 2, 3]
    assert ids(capsys, "--provider", "anthropic") == [0]
    assert ids(capsys, "--trace", f"{7:032X}") == [0]
    assert ids(capsys, "--call", "request-2") == [2]
    assert ids(capsys, "--call", f"{2:016x}") == [0, 1, 2, 3]
    assert ids(capsys, "--status", "429") == [1]
    assert ids(capsys, "--status", "2xx") == [0, 2]
    assert ids(capsys, "--status", "none") == [3]
    assert ids(capsys, "--id", made_id(1), "--id", made_id(3)) == [1, 3]
    assert ids(capsys, "--since", "1s") == []
    assert ids(capsys, "--since", "999999w") == [0, 1, 2, 3]


@pytest.mark.usefixtures("folder")
def test_list_is_lines_for_programs_and_a_table_for_people(
    capsys: pytest.CaptureFixture[str],
) -> None:
    head, *lines = run(capsys, "list").splitlines()
    assert head.split("\t")[:2] == ["id", "time"]
    assert [line.split("\t")[0] for line in lines] == [made_id(n) for n in range(4)]
    with Terminal("wire", "list", columns=120) as terminal:
        shown = terminal.until("failed")
    assert "PROVIDER" in shown
    assert "\x1b]0;" not in shown


@pytest.mark.usefixtures("folder")
def test_show_prints_one_exchange_harmlessly(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "show", made_id(2))

    assert "POST http://127.0.0.1:1/v1/chat/completions" in out
    assert "+100ms" in out
    assert "200  after 100ms" in out
    assert "masked: nothing" in out
    assert not {"\x1b", "\x07", "\u202e"} & set(out)
    assert json.loads(run(capsys, "show", made_id(2), "--json"))["end"]["how"] == "complete"
    assert "no answer: failed ConnectError" in run(capsys, "show", made_id(3)[:22])


@pytest.mark.usefixtures("folder")
def test_show_exports_an_http_archive(capsys: pytest.CaptureFixture[str]) -> None:
    (entry,) = json.loads(run(capsys, "show", made_id(2), "--har"))["log"]["entries"]

    assert entry["request"]["postData"]["mimeType"] == "application/json"
    assert entry["response"]["status"] == 200
    assert entry["time"] == pytest.approx(200)
    assert sum(entry["timings"].values()) == pytest.approx(entry["time"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["list", "--folder", "/nowhere"], "there are no captures at /nowhere: set TOLLSPAN_WIRE"),
        (["list", "--since", "soon"], "write 15m, 24h or 7d"),
        (["show", "x"], "no exchange begins with 'x'"),
        (["show", "20261121T12000"], "4 exchanges begin with"),
        (["show", "../../etc/passwd"], "no exchange begins with"),
        (["replay", "--status", "999"], "no captured exchange is chosen"),
        (["replay", "--port", "70000"], "port 70000 cannot be used"),
        (["prove", "--sent", "/a", "--received", "/b"], "there are no captures at /a"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_bad_input_is_one_sentence(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["wire", *arguments]) == 2
    captured = capsys.readouterr()

    assert captured.err.count("\n") == 1
    assert says in captured.err


def test_inspect_tells_each_issue_and_how_many(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["wire", "inspect", "--detect-issues", "--folder", str(folder)]) == 1
    out = capsys.readouterr().out
    assert f"{made_id(3)}  no_answer: no answer came: ConnectError\n" in out
    assert out.endswith("in 4 exchanges\n")
    assert command.main(["wire", "inspect", "--id", made_id(3), "--json"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["name"] == "no_answer"
    assert command.main(["wire", "inspect", "--id", made_id(0)]) == 0
    assert capsys.readouterr().out == "0 issues in 1 exchange\n"


@pytest.mark.slow
def test_replay_serves_until_it_is_ended(folder: Path) -> None:
    arguments = ["wire", "replay", "--folder", str(folder), "--id", made_id(0), "--fast"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tollspan.launcher.command", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        told: dict[str, Any] = json.loads(process.stdout.readline())
        with httpx2.Client(trust_env=False) as client:
            found = client.post(f"{told['openai_base_url']}/chat/completions", json={})
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(20)
        process.stdout.close()

    assert (code, found.status_code, found.text, told["exchanges"]) == (0, 200, "{}", 1)


def test_the_doctor_says_when_capture_is_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tollspan.config import environment, reload

    def said() -> list[checkup.Check]:
        reload()
        return [each for each in checkup.settings(environment()) if each.name == "wire capture"]

    (check,) = said()
    assert (check.state, f"written to {folder}" in check.text) == (checkup.WARN, True)
    assert "4 exchanges there" in check.text
    folder.chmod(0o755)
    (check,) = said()
    assert (check.state, "chmod 700" in check.text) == (checkup.BAD, True)
    folder.chmod(0o700)
    monkeypatch.setenv("TOLLSPAN_REDACT", str(tmp_path / "none.toml"))
    assert said()[0].state == checkup.BAD
    monkeypatch.delenv("TOLLSPAN_WIRE")
    assert said() == []


def test_a_process_tells_what_became_of_its_exchanges(tmp_path: Path) -> None:
    import tollspan
    from tollspan.instrumentation import _wire

    with tollspan.wire(tmp_path / "wire"):
        assert _wire.writer is not None
        _wire.writer.dropped, _wire.writer.failed = 3, 1
        _wire.writer.last_error = "OSError: No space left on device"
    (check,) = live._captures()

    assert check.state == checkup.WARN
    assert "1 not (OSError: No space left on device), 3 dropped" in check.text
    assert wirefile.listed(tmp_path / "wire") == []
