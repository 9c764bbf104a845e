"""Real parts that a test needs: absent, it skips with a reason; under TOLLSPAN_REQUIRE it fails."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


def missing(part: str, why: str) -> NoReturn:
    """Skip because `part` is absent, or fail where TOLLSPAN_REQUIRE names it or says `all`."""
    required = os.environ.get("TOLLSPAN_REQUIRE", "").split(",")
    if "all" in required or part in required:
        pytest.fail(f"required {part} is missing: {why}", pytrace=False)
    pytest.skip(f"{part}: {why}", allow_module_level=True)


def recordings() -> Path:
    """Folder of recorded provider traffic."""
    folder = SHARED / "recordings"
    return (
        folder
        if folder.is_dir()
        else missing("recordings", f"no folder {folder.name} beside the project")
    )


def captures() -> Path:
    """Folder of captured gateway traffic."""
    folder = SHARED / "captures" / "gateways"
    return (
        folder
        if folder.is_dir()
        else missing("captures", f"no folder {folder.name} beside the project")
    )


def demo_python() -> Path:
    """A Python that has the LiteLLM proxy: `.venv-demo`, or the running one."""
    made = ROOT / ".venv-demo" / "bin" / "python"
    if made.exists():
        return made
    if importlib.util.find_spec("litellm") is not None:
        return Path(sys.executable)
    missing("litellm", "no .venv-demo here; `make venvs` makes it")


def compiled() -> None:
    """The parts in C, which are built with the package where there is a compiler."""
    for module in ("tollspan.collector._framed", "tollspan.local._columns"):
        if importlib.util.find_spec(module) is None:
            missing("compiled", f"no {module}: the package was installed without a compiler")
