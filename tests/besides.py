"""Runs `beside_app.py` where the packages that it needs are: `.venv-beside`, or this environment."""

from __future__ import annotations

import functools
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from needs import ROOT, missing

APP = Path(__file__).with_name("beside_app.py")


def python_with(*packages: str) -> Path:
    """A Python that has all of `packages`; those of `.venv-beside` are told by their folders."""
    made = ROOT / ".venv-beside" / "bin" / "python"
    for site in (ROOT / ".venv-beside").glob("lib/python*/site-packages"):
        if all((site / each.replace(".", "/")).exists() for each in packages):
            return made
    if all(_is_here(each) for each in packages):
        return Path(sys.executable)
    missing("beside", f"{', '.join(packages)} not installed; `make venvs` makes .venv-beside")


def _is_here(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


@functools.cache
def asked(name: str, first: str, *packages: str) -> list[dict[str, Any]]:
    """What `beside_app.py` prints for the application `name`."""
    python = python_with(*packages)
    done = subprocess.run(
        [str(python), "-W", "ignore", str(APP), name, first],
        check=False,
        capture_output=True,
        text=True,
        timeout=110,
        cwd=APP.parent,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])
    assert found
    return found
