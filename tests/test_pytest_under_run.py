"""pytest runs under `tollspan run` as it does without, also where every warning is an error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tollspan.config import environment
from tollspan.launcher.run import child_environment

TEST = """
def test_one(chaos):
    assert chaos.openai_base_url
"""


QUIET = {
    "OTEL_TRACES_EXPORTER": "none",
    # Instrumentations of others, which here import what pytest warns of, too.
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*",
}


@pytest.mark.slow
def test_pytest_does_not_warn_of_us(tmp_path: Path) -> None:
    (tmp_path / "test_application.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-W",
            "error",
            "-p",
            "no:cacheprovider",
            str(tmp_path),
        ],
        env={**child_environment(environment()), **QUIET},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
