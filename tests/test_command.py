"""The `tollspan` command: one clear sentence and exit code 2 for bad input, never a traceback."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tollspan import __version__, config
from tollspan.config import environment
from tollspan.launcher.command import _parser, main
from tollspan.launcher.manual import EXAMPLES
from tollspan.launcher.run import child_environment

TOLLSPAN = [sys.executable, "-m", "tollspan.launcher.command"]


@pytest.fixture(autouse=True)
def no_file_of_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOLLSPAN_PRICES", raising=False)


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence on standard error, nothing on standard output."""
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("tollspan: ")
    assert said.err.count("\n") == 1
    return said.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])

    assert left.value.code == 0
    assert capsys.readouterr().out == f"tollspan {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["prices"], ["doctor", "--nonsense"]])
def test_what_is_no_command_is_exit_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)

    assert left.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_every_command_says_what_it_is_for_and_shows_an_example(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (commands,) = (each for each in _parser()._actions if isinstance(each.choices, dict))
    assert isinstance(commands.choices, dict)
    for name, command in commands.choices.items():
        assert command.description, name
        assert "examples:" in command.format_help() or command.epilog, name
    assert set(EXAMPLES) <= set(commands.choices)
    assert max(map(len, commands.choices["stage"].format_help().splitlines())) <= 100


@pytest.mark.parametrize("typed", [typed for each in EXAMPLES.values() for typed, _ in each])
def test_every_example_is_a_command_that_can_be_typed(typed: str) -> None:
    words = shlex.split(typed)
    while "=" in words[0]:
        words.pop(0)
    assert words[0] == "tollspan"
    _parser().parse_args(words[1:])


def test_prices_shows_every_rate_its_tiers_and_its_source(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["prices", "gpt-4o-mini"]) == 0

    said = capsys.readouterr().out
    assert "openai/gpt-4o-mini  standard  (genai-prices/" in said
    assert "$0.15 / 1M tokens" in said
    assert "openai/gpt-4o-mini  batch" in said


def test_prices_shows_what_a_long_context_costs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prices", "gemini-2.5-pro"]) == 0

    assert "$2.5 / 1M tokens  above 200,000 input tokens" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "head"),
    [
        (["openai/gpt-4o-mini-2024-07-18"], "openai/gpt-4o-mini  standard"),
        (["gpt-4o", "--provider", "azure.ai.openai"], "azure/gpt-4o  standard"),
        (["azure/gpt-4o"], "azure/gpt-4o  standard"),
        (["claude-sonnet-4-5-20250929"], "anthropic/claude-sonnet-4-5  standard"),
        (["sonar-deep-research"], "perplexity/sonar-deep-research  standard"),
        (
            ["eu.anthropic.claude-haiku-4-5-20251001-v1:0"],
            "aws/regional.anthropic.claude-haiku-4-5-20251001-v1:0  standard",
        ),
        (["openai/gpt-4o", "--provider", "openrouter"], "openrouter/openai/gpt-4o  standard"),
    ],
)
def test_prices_finds_a_model_by_any_of_its_names(
    arguments: list[str], head: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prices", *arguments]) == 0
    assert capsys.readouterr().out.startswith(head)


def test_prices_names_what_is_near_an_unknown_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prices", "gpt-4o-mnii"]) == 1

    assert "near: gpt-4o-mini" in refusal(capsys)


def test_prices_of_a_provider_that_nobody_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prices", "claude-sonnet-4-5", "--provider", "bedrok"]) == 1

    assert "no provider 'bedrok' is in the book, which has " in (said := refusal(capsys))
    assert ", aws, azure, " in said


def test_prices_of_a_model_that_nobody_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prices", "\x1b[31mzzzzzzzzzzzz"]) == 1

    assert "\x1b" not in refusal(capsys)


def test_a_file_that_is_quoted_moves_no_cursor(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "prices\x1b]0;owned\x07\u202e.csv"

    assert main(["import", "records", str(file), "--url", "http://127.0.0.1:1"]) == 2
    assert refusal(capsys).strip().isprintable()


def test_the_price_file_goes_before_the_book(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "negotiated.toml"
    file.write_text(
        '[[prices]]\nmodel = "gpt-4o-mini*"\nfrom = 2026-01-01\ninput_usd_per_mtok = 0.12\n'
    )
    monkeypatch.setenv("TOLLSPAN_PRICES", str(file))

    assert main(["prices", "gpt-4o-mini"]) == 0

    said = capsys.readouterr().out
    own, book = said.index("$0.12 / 1M tokens"), said.index("genai-prices")
    assert own < book
    assert "from 2026-01-01" in said
    assert "file:negotiated.toml@" in said


@pytest.mark.parametrize("command", [["prices", "gpt-4o"], ["run", "--", "true"]])
def test_an_unknown_key_in_the_price_file(
    command: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "prices.toml"
    file.write_text('[[prices]]\nmodel = "m"\ninput_usd_per_mtoc = 1\n')
    monkeypatch.setenv("TOLLSPAN_PRICES", str(file))

    assert main(command) == 2

    said = refusal(capsys)
    assert "input_usd_per_mtoc" in said
    assert "input_usd_per_mtok" in said


@pytest.mark.parametrize(
    ("variable", "value"),
    [("TOLLSPAN_UI_PORT", "99999"), ("TOLLSPAN_METRICS", "perhaps"), ("TOLLSPAN_DATA_MODE", "x")],
)
def test_a_variable_that_cannot_be_used(
    variable: str, value: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)

    assert main(["prices", "gpt-4o"]) == 2
    assert variable in refusal(capsys)


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_missing_extra_is_named(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = {"up": "tollspan.local.server", "demo": "tollspan.launcher.demo"}[command]

    class Absent:
        """Finds no chdb anywhere: importing the part fails as it does without its extra."""

        def find_spec(self, name: str, *_: object) -> None:
            if name == home:
                raise ModuleNotFoundError("No module named 'chdb'", name="chdb")

    for name in [name for name in sys.modules if name == home]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])

    assert main([command]) == 2

    extra = {"up": "local", "demo": "demo"}[command]
    assert f"pip install 'tollspan[{extra}]'" in refusal(capsys)


def test_up_refuses_a_port_that_is_taken(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        assert main(["up", "--port", port, "--data-dir", str(tmp_path)]) == 2

    assert port in refusal(capsys)


def test_up_reads_its_own_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["up", "--help"])

    assert left.value.code == 0
    assert "--grpc-port" in capsys.readouterr().out


def test_run_without_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run"]) == 2
    assert "tollspan run -- python app.py" in refusal(capsys)


def test_run_of_what_is_no_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--", "no-such-program-anywhere"]) == 2
    assert "no-such-program-anywhere" in refusal(capsys)


def test_run_points_at_the_local_stack_by_default() -> None:
    child = child_environment({"PATH": "/bin"})

    assert child["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:4318"
    assert child["OTEL_EXPORTER_OTLP_PROTOCOL"] == "http/protobuf"
    assert child["OTEL_TRACES_EXPORTER"] == "otlp"
    assert child["OTEL_METRICS_EXPORTER"] == "none"
    assert child["PYTHONPATH"].split(":")[0].endswith("auto_instrumentation")


def test_run_shows_the_local_stack_the_token_that_it_asks_for() -> None:
    config.reload({"TOLLSPAN_TOKEN": "a b"})

    assert child_environment({})["OTEL_EXPORTER_OTLP_HEADERS"] == "authorization=Bearer%20a%20b"
    elsewhere = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example"}
    assert "OTEL_EXPORTER_OTLP_HEADERS" not in child_environment(elsewhere)
    own = {"OTEL_EXPORTER_OTLP_HEADERS": "x=y"}
    assert child_environment(own)["OTEL_EXPORTER_OTLP_HEADERS"] == "x=y"


def test_run_lets_variables_that_are_set_win() -> None:
    given = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317",
        "OTEL_METRICS_EXPORTER": "otlp",
        "PYTHONPATH": "/mine",
    }
    child = child_environment(given)

    assert {name: child[name] for name in ("OTEL_METRICS_EXPORTER", *list(given)[:1])} == {
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317",
    }
    assert child["OTEL_EXPORTER_OTLP_PROTOCOL"] == "grpc"
    assert child["PYTHONPATH"].endswith(":/mine")


@pytest.fixture
def quiet_environment() -> dict[str, str]:
    return {
        **environment(),
        "OTEL_TRACES_EXPORTER": "none",
        "TOLLSPAN_RAISE": "1",
        # One official package says on stderr that its SDK is too new for it; the others import theirs.
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "openai,anthropic,google-genai,bedrock",
    }


@pytest.mark.slow
def test_run_passes_the_exit_code_and_the_output_through(
    quiet_environment: dict[str, str],
) -> None:
    done = subprocess.run(
        [*TOLLSPAN, "run", "--", "python", "-c", "print('hello'); raise SystemExit(7)"],
        env=quiet_environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (7, "hello\n", "")


@pytest.mark.slow
def test_run_passes_signals_through(quiet_environment: dict[str, str]) -> None:
    waiting = "import signal, sys; print('up', flush=True); signal.pause()"
    with subprocess.Popen(
        [*TOLLSPAN, "run", "--", "python", "-c", waiting],
        env=quiet_environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == -signal.SIGTERM


@pytest.mark.slow
def test_run_says_when_nobody_listens(quiet_environment: dict[str, str]) -> None:
    done = subprocess.run(
        [*TOLLSPAN, "run", "--", "python", "-c", "pass"],
        env={
            **quiet_environment,
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0
    assert done.stderr == (
        "tollspan: nothing listens at http://127.0.0.1:9; start `tollspan up` in another terminal, "
        "or see the calls here: tollspan run --print\n"
    )


@pytest.mark.slow
def test_a_closed_pipe_is_no_traceback(quiet_environment: dict[str, str]) -> None:
    done = subprocess.run(
        f"{' '.join(TOLLSPAN)} prices gpt-5 | head -n 1",
        shell=True,
        env=quiet_environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout.startswith("openai/gpt-5")
    assert done.stderr == ""


def test_doctor_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json"])

    found = json.loads(capsys.readouterr().out)
    assert found["versions"]["tollspan"] == __version__
    assert {check["state"] for check in found["checks"]} <= {"ok", "warn", "bad"}


def test_doctor_shows_a_variable_that_cannot_be_used_instead_of_refusing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLLSPAN_UI_PORT", "no-port")
    config.reload()

    assert main(["doctor"]) == 1

    said = capsys.readouterr().out
    assert "✗ bad" in said
    assert "TOLLSPAN_UI_PORT" in said
