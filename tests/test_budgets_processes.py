"""Eight processes, one budget: it is overrun by no more than is stated, whoever dies meanwhile.

The bound of docs/operate/budgets.md: what one call may cost at most, by its `max_tokens` and the
length of its request. A process that is killed takes with it what its one call in flight has cost.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import budget_hammer
import pytest

from tollspan.chaos import Chaos
from tollspan.chaos.steps import ok
from tollspan.limits.budgets import counted_here
from tollspan.limits.budgets_count import Standing

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="processes that share nothing but files"),
]

PROCESSES = 8
LIMIT = Decimal("0.02")
INPUT, OUTPUT = 600, 200
USED = Decimal(INPUT) * Decimal("0.15e-6") + Decimal(OUTPUT) * Decimal("0.6e-6")
"""What a call costs: gpt-4o-mini at 0.15 and 0.60 USD for a million tokens."""
REQUEST = len(budget_hammer.PROMPT) + 200
"""Tokens of the request at most, roles and separators included."""
MOST = Decimal(REQUEST) * Decimal("0.15e-6") + Decimal(budget_hammer.MAX_TOKENS) * Decimal("0.6e-6")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "budgets.toml").write_text(
        f'[[budgets]]\nname = "all"\nlimit_usd = {LIMIT}\naction = "refuse"\n'
    )
    return tmp_path


def start(home: Path, chaos: Chaos, processes: int = PROCESSES) -> subprocess.Popen[str]:
    environment: Mapping[str, str] = {
        **os.environ,
        "TOLLSPAN_BUDGETS": str(home / "budgets.toml"),
        "OTEL_TRACES_EXPORTER": "none",
    }
    return subprocess.Popen(
        [
            sys.executable,
            budget_hammer.__file__,
            chaos.openai_base_url,
            home / "log",
            str(processes),
        ],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def logged(home: Path) -> list[str]:
    file = home / "log"
    return file.read_text().splitlines() if file.exists() else []


def counted(home: Path) -> tuple[Decimal, Standing]:
    ((book, standing),) = counted_here(str(home / "budgets.toml"))
    return book.usd(standing.spent), standing


def test_eight_processes_overrun_a_budget_by_one_call_at_most(home: Path) -> None:
    with Chaos(default=ok(input_tokens=INPUT, output_tokens=OUTPUT)) as chaos:
        with start(home, chaos) as running:
            assert running.wait(60) == 0
        answered = len(chaos.log)

    lines = logged(home)
    spent, standing = counted(home)
    assert len({line.split()[0] for line in lines}) > 1, "one process did it all"
    assert len(lines) == answered == standing.calls
    assert spent == answered * USED, "to the last digit"
    assert spent <= LIMIT + MOST
    assert spent >= LIMIT - PROCESSES * MOST, "refused before it was used up"


def test_who_is_killed_leaves_a_count_that_is_right_and_holds_nothing_back(home: Path) -> None:
    with Chaos(default=ok(input_tokens=INPUT, output_tokens=OUTPUT)) as chaos:
        with start(home, chaos) as running:
            assert running.stdout is not None
            children = [int(pid) for pid in running.stdout.readline().split()]
            deadline = time.monotonic() + 30
            while len(logged(home)) < 20:
                assert time.monotonic() < deadline, "no call was made"
                time.sleep(0.001)
            killed = children[: PROCESSES // 2]
            for child in killed:
                os.kill(child, signal.SIGKILL)
            running.wait(60)
        assert chaos.wait()
        lost = len(chaos.log) - len(logged(home))
        spent, standing = counted(home)
        assert 0 <= lost <= len(killed)
        assert 0 <= standing.calls - len(logged(home)) <= lost
        assert spent == standing.calls * USED
        assert LIMIT - PROCESSES * MOST <= spent <= LIMIT + MOST, "of what anybody can have counted"

        before = len(chaos.log)
        with start(home, chaos, processes=1) as running:  # all of them begin anew
            assert running.wait(60) == 0
        assert len(chaos.log) - before <= PROCESSES, "what the dead had held back was free again"
        spent, standing = counted(home)
        assert standing.reserved == 0
        assert LIMIT <= spent <= LIMIT + MOST
