"""`TOLLSPAN_PRINT` and `tollspan run --print`: what each call costs, on standard error, with no collector."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import openai
import pytest
from opentelemetry import trace
from opentelemetry.util._once import Once

import tollspan
from tollspan import calls, config
from tollspan.chaos import Chaos, ok
from tollspan.launcher import printing

PROGRAM = """
import openai, os, sys, tollspan
client = openai.OpenAI(base_url=sys.argv[1], api_key="k", max_retries=0)

def ask(model):
    client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}])

with tollspan.attribute(endpoint="checkout", prompt_version="v3", tenant="acme"):
    ask("gpt-4o-mini")
print("the program's own", flush=True)
if os.fork() == 0:
    ask("our\\x1b[31m-own")
    sys.exit(0)
os.wait()
"""


@pytest.mark.slow
def test_run_prints_the_calls_of_each_process_where_nothing_listens() -> None:
    with Chaos(default=ok(input_tokens=11, output_tokens=7)) as provider:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tollspan.launcher.command", "run", "--print", "--"),
                *("python", "-c", PROGRAM, provider.openai_base_url),
            ],
            # A port where nobody listens.
            env=os.environ | {"TOLLSPAN_HTTP_PORT": "9", "TOLLSPAN_RAISE": "", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert (done.returncode, done.stdout) == (0, "the program's own\n")
    # Instrumentations of others say things, too.
    lines = [line for line in done.stderr.splitlines() if line.startswith("tollspan")]
    head, first, head_of_child, second, sum_of_child, in_all = lines
    assert head == head_of_child and "ENDPOINT" in head
    assert re.search(
        r"tollspan  .* checkout v3 +acme +openai/gpt-4o-mini +11>7 +\$0\.00000585 .* success", first
    )
    assert re.search(r"tollspan  .* untagged .* unpriced .* success", second)
    assert sum_of_child == "tollspan  1 call; what it cost is not known"
    assert in_all == "tollspan  1 call, $0.00000585"


@pytest.fixture
def printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[pytest.CaptureFixture[str]]:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    monkeypatch.setenv("TOLLSPAN_PRINT", "true")
    config.reload()
    tollspan.instrument()
    tollspan.instrument()
    yield capsys
    tollspan.uninstrument()
    assert calls.after == ()


def test_a_call_is_printed_once_and_nothing_is_after_uninstrument(
    chaos: Chaos, printed: pytest.CaptureFixture[str]
) -> None:
    def ask() -> None:
        with openai.OpenAI(base_url=chaos.openai_base_url, api_key="k") as client:
            client.chat.completions.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}]
            )

    ask()
    lines = printed.readouterr().err.splitlines()
    assert len(lines) == 2 and all(line.startswith("tollspan  ") for line in lines)
    tollspan.uninstrument()
    ask()
    assert printed.readouterr().err == ""


def test_a_closed_standard_error_harms_no_call(
    chaos: Chaos, printed: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with openai.OpenAI(base_url=chaos.openai_base_url, api_key="k") as client:
        assert client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}]
        ).choices
    assert printing._printing is not None
