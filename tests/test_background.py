"""What is imported beside the application never shows it a half-imported module."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys, threading
seen = []
start = threading.Thread.start
def watched(thread):
    if thread.name == "tollspan-warm":
        seen.append(hasattr(sys.modules.get("httpx2"), "Client"))
    start(thread)
threading.Thread.start = watched
import tollspan.auto
import openai
print(seen)
"""


@pytest.mark.slow
def test_what_openai_looks_up_in_sys_modules_is_whole_before_the_thread_starts() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )

    assert (ran.stdout.strip(), ran.returncode) == ("[True]", 0), ran.stderr
