"""`tollspan demo` shows what it promises, cleans up, and says in a sentence what is missing.

The whole demo needs the extra `demo`, whose LiteLLM holds the openai SDK below 3: it stands in an
environment of its own, `.venv-demo`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openai
import pytest
from needs import demo_python

from tollspan.chaos import Chaos, disconnect, ok, status
from tollspan.launcher import _demo_report, _litellm, demo
from tollspan.launcher._litellm import GatewayFailed, LiteLLM

KEYS = {
    "calls",
    "cost_usd",
    "truth_cost_usd",
    "unpriced_calls",
    "upstream_requests",
    "upstream_attempts",
    "restated_spans",
    "routes",
    "by_endpoint",
    "by_tenant",
    "ui_url",
}


def _command() -> list[str]:
    """The demo in an environment that has its extra."""
    # A test run in the background of a shell inherits a SIGINT that is ignored.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from tollspan.launcher.command import main; sys.exit(main())"
    )
    return [str(demo_python()), "-c", code, "demo"]


def _got(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def _left_behind(temporary: Path) -> list[str]:
    """Processes (Linux) that the demo started, known by the folder for temporary files it gave."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"TMPDIR={temporary}\0".encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue  # it has just ended, or belongs to somebody else
    return found


@dataclass
class Ran:
    """What a run of the demo printed, what its page answered, and how it ended."""

    stdout: str = ""
    stderr: str = ""
    page: str = ""
    traces: list[str] = field(default_factory=list)
    returncode: int = -1


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """One run for all: it is looked at while it stays up, then interrupted."""
    temporary = tmp_path_factory.mktemp("demo")
    environ = {
        **os.environ,
        "TMPDIR": str(temporary),
        "OPENAI_API_KEY": "sk-of-the-user",
        "OPENAI_BASE_URL": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
    }
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [*_command(), "--json"], stdout=pipe, stderr=pipe, text=True, env=environ
    )
    made = Ran()
    ending = threading.Timer(280, process.kill)
    ending.start()
    try:
        assert process.stderr is not None and process.stdout is not None
        for line in process.stderr:
            made.stderr += line
            if "The page is at " in line:
                break
        else:
            pytest.fail(f"the demo ended by itself: {made.stderr}")
        _look(made.stderr.split("The page is at ")[1].split(";")[0], made)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        made.stdout, made.stderr = out, made.stderr + err
        made.returncode = process.returncode
    finally:
        ending.cancel()
        process.kill()
        process.communicate()
    assert list(temporary.iterdir()) == []
    assert _left_behind(temporary) == []
    return made


def _look(url: str, made: Ran) -> None:
    made.page = _got(url)
    calls = json.loads(_got(f"{url}/api/calls?limit=200"))["calls"]
    made.traces = [_got(f"{url}/api/traces/{call['trace_id']}") for call in calls]


@pytest.fixture
def shown(ran: Ran) -> dict[str, Any]:
    (line,) = ran.stdout.splitlines()
    return dict(json.loads(line))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_cost_equals_the_truth_to_the_last_digit(shown: dict[str, Any]) -> None:
    assert shown.keys() == KEYS
    assert shown["cost_usd"] == shown["truth_cost_usd"]
    assert Decimal(shown["cost_usd"]) > Decimal("0.01")
    assert "e" not in shown["cost_usd"].lower()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_parts_add_up_to_the_whole(shown: dict[str, Any]) -> None:
    assert sum(shown["routes"].values()) == shown["calls"] >= 40
    for parts in (shown["by_endpoint"], shown["by_tenant"]):
        assert sum(part["calls"] for part in parts.values()) == shown["calls"]
        assert sum(Decimal(part["cost_usd"]) for part in parts.values()) == Decimal(
            shown["cost_usd"]
        )
    assert {"acme", "globex", "initech", "untagged"} == shown["by_tenant"].keys()
    assert {"checkout.ai_summary", "support.chat", "legal.review"} < shown["by_endpoint"].keys()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_kind_of_way_is_gone(shown: dict[str, Any]) -> None:
    assert {
        "openai/gpt-4o-mini",
        "anthropic/claude-sonnet-4-6",
        "litellm > openai/gpt-4o-mini",
        "litellm > anthropic/claude-haiku-4-5",
    } < shown["routes"].keys()
    # The swap and the fallback answered with another model than the group's first.
    assert {"litellm > openai/gpt-4.1-mini", "litellm > openai/gpt-4.1-nano"} < shown[
        "routes"
    ].keys()
    assert shown["unpriced_calls"] >= 2
    # LiteLLM in the application and LiteLLM as a proxy both tell of answers that have an owner.
    assert shown["restated_spans"] >= 12
    # A gateway that falls back tells of its last attempts only: the spans know a lower bound.
    assert shown["calls"] < shown["upstream_attempts"] <= shown["upstream_requests"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_person_sees_progress_and_a_summary(ran: Ran) -> None:
    assert "50/50 calls" in ran.stderr
    assert "equal to the last digit" in ran.stderr
    assert "sk-" not in ran.stderr + ran.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_stays_up_until_it_is_interrupted(ran: Ran) -> None:
    assert "<html" in ran.page.lower()
    assert ran.returncode == 0
    # Neither the application's spans nor the gateway's own hold a word of what was said.
    assert len(ran.traces) >= 40
    assert not [each for each in ran.traces if "Every traveller" in each or "it is built" in each]
    assert [each for each in ran.traces if '"litellm"' in each]


@pytest.mark.parametrize(("once", "stays"), [(True, 0), (False, 1)])
def test_with_once_it_ends_by_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], once: bool, stays: int
) -> None:
    stayed: list[str] = []
    report = SimpleNamespace(as_json=lambda: {"calls": 1}, agrees=True)
    stack = SimpleNamespace(page_url="http://127.0.0.1:1")
    monkeypatch.setattr(demo, "_missing", list)
    monkeypatch.setattr(demo, "_shown", lambda *_: (stack, report))
    monkeypatch.setattr(demo._demo_report, "table", lambda _: "a table")
    monkeypatch.setattr(demo, "_stay", stayed.append)

    assert demo.demo(once=once, json=True) == 0
    assert len(stayed) == stays
    assert capsys.readouterr().out == '{"calls": 1}\n'


# --- without the extra ----------------------------------------------------------------------------
def test_missing_extra_is_one_sentence_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "NEEDED", ("litellm_is_not_here", "json"))
    assert demo.demo(once=True, json=True) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == (
        "tollspan: the demo needs litellm_is_not_here: pip install 'tollspan[demo]'\n"
    )


def test_gateway_and_application_get_no_key_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = {
        "OPENAI_API_KEY": "sk-1",
        "ANTHROPIC_AUTH_TOKEN": "sk-2",
        "MISTRAL_API_KEY": "sk-3",
        "DATABASE_URL": "postgres://",
        "HTTPS_PROXY": "http://proxy",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector",
        "LITELLM_MASTER_KEY": "sk-4",
    }
    for name, value in taken.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LANG", "C.UTF-8")
    private = _litellm.private_environment()
    assert not taken.keys() & private.keys()
    assert private["LANG"] == "C.UTF-8"


# --- the gateway's process ------------------------------------------------------------------------
@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A stand-in for the command `litellm`; the test writes what it does."""
    path = tmp_path / "litellm"
    monkeypatch.setattr(_litellm, "found", lambda name: str(path))
    yield path


def _gateway(folder: Path) -> LiteLLM:
    return LiteLLM([], {}, folder, "http://127.0.0.1:9")


def _write(program: Path, code: str) -> None:
    program.write_text(f"#!{sys.executable}\n{code}\n")
    program.chmod(0o755)


def test_gateway_that_ends_by_itself_says_its_last_words(program: Path, tmp_path: Path) -> None:
    _write(program, "print('one'); print('no more port'); raise SystemExit(3)")
    with _gateway(tmp_path) as gateway, pytest.raises(GatewayFailed, match="no more port"):
        gateway.wait_until_ready(30)


def test_gateway_that_never_answers_is_given_up_and_ended_with_its_children(
    program: Path, tmp_path: Path
) -> None:
    child = "import time; time.sleep(600)"
    _write(
        program,
        "import subprocess, sys, time, pathlib\n"
        f"started = subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        "pathlib.Path('child').write_text(str(started.pid))\n"
        "time.sleep(600)",
    )
    with _gateway(tmp_path) as gateway:
        written = tmp_path / "child"
        deadline = time.monotonic() + 30
        while not (written.exists() and written.read_text()) and time.monotonic() < deadline:
            with pytest.raises(GatewayFailed, match="not ready after 0 s"):
                gateway.wait_until_ready(0.05)
        pid = int(written.read_text())
    deadline = time.monotonic() + 10
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    """A process that nobody has waited for yet (a zombie) does not run."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_gateway_configuration_holds_no_key_of_its_own(program: Path, tmp_path: Path) -> None:
    _write(program, "import time; time.sleep(600)")
    with _gateway(tmp_path) as gateway:
        config = json.loads((tmp_path / "litellm.yaml").read_text())
        assert gateway.key.startswith("sk-") and gateway.key not in json.dumps(config)
    assert config["litellm_settings"]["telemetry"] is False
    assert config["litellm_settings"]["turn_off_message_logging"] is True


# --- figures --------------------------------------------------------------------------------------
def _call(**known: Any) -> dict[str, Any]:
    unknown = dict.fromkeys(
        [
            "endpoint",
            "tenant",
            "route",
            "cost_usd",
            "cost_grade",
            "wasted_usd",
            "avoided_usd",
            "waste_reason",
            "input_tokens",
            "output_tokens",
            "upstream_attempts",
        ]
    )
    return {**unknown, "trace_id": "t", "time": "2026-11-21T00:00:00.000Z", **known}


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Calls that the API is made to answer; one of the spans in their trace is restated."""
    calls: list[dict[str, Any]] = []

    def get(url: str, path: str, **query: str) -> Any:
        if path == "/api/calls":
            at = int(query.get("before", 0))
            rest = at + 2 < len(calls)
            return {"calls": calls[at : at + 2], "next": str(at + 2) if rest else None}
        return {"spans": [{"restated": True}, {"restated": False}]}

    monkeypatch.setattr(_demo_report, "_get", get)
    return calls


def test_truth_counts_completed_priced_answers_only(
    ledger: list[dict[str, Any]], chaos: Chaos
) -> None:
    chaos.script(
        ok(input_tokens=1000, output_tokens=100),
        disconnect(after_chunks=1),
        status(500),
    )
    with openai.OpenAI(base_url=chaos.openai_base_url, api_key="k", max_retries=0) as client:
        for model in ("gpt-4o-mini", "gpt-4o-mini", "gpt-4o-mini", "house-model"):
            try:
                client.chat.completions.create(
                    model=model, messages=[{"role": "user", "content": "x"}]
                )
            except openai.APIError:
                continue
    ledger += [
        _call(cost_usd="0.000210000000", cost_grade="derived", endpoint="a", upstream_attempts=1),
        _call(cost_usd="5", cost_grade="lower_bound", wasted_usd="5", waste_reason="abandoned"),
        _call(cost_grade="unpriced", upstream_attempts=3),
        _call(cost_usd="0", cost_grade="billed", avoided_usd="0.5", upstream_attempts=0),
    ]
    found = _demo_report.report("http://ledger", chaos.log)
    assert found.truth_cost_usd == found.cost_usd == Decimal("0.00021")
    assert found.agrees
    assert (found.calls, found.unpriced_calls) == (4, 1)
    assert (found.upstream_requests, found.upstream_attempts) == (4, 4)
    assert (found.wasted_usd, found.avoided_usd) == (Decimal(5), Decimal("0.5"))
    assert found.restated_spans == 1
    assert found.as_json()["by_endpoint"] == {
        "a": {"calls": 1, "cost_usd": "0.00021"},
        "untagged": {"calls": 3, "cost_usd": "0"},
    }


def test_smallest_difference_is_told(ledger: list[dict[str, Any]]) -> None:
    ledger.append(_call(cost_usd="0.000000000001", cost_grade="billed"))
    found = _demo_report.report("http://ledger", [])
    assert not found.agrees
    assert found.as_json()["cost_usd"] == "0.000000000001"
    assert found.as_json()["truth_cost_usd"] == "0"
    assert "NOT EQUAL" in _demo_report.table(found)
