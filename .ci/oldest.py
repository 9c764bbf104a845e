"""Prints the oldest supported version of every SDK of the table, as pip requirements, one a line.

python .ci/oldest.py
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

BESIDE = {
    # httpx 0.28 took an argument away that these SDKs still gave it.
    "openai": ("httpx<0.28",),
}
"""What the oldest version of an SDK needs beside it and does not ask for."""

APART = frozenset({"litellm"})
"""Not installable beside the others: tested in an environment of its own."""


def main() -> None:
    # By path: tollspan itself is not installed yet where this is asked.
    spec = importlib.util.spec_from_file_location("sdks", ROOT / "instrumentation" / "_sdks.py")
    assert spec is not None and spec.loader is not None
    table = importlib.util.module_from_spec(spec)
    sys.modules["sdks"] = table
    spec.loader.exec_module(table)
    for name, sdk in table.SDKS.items():
        if name in APART:
            continue
        for each in sdk.requires:
            distribution, _, floor = (part.strip() for part in each.partition(">="))
            print(f"{distribution}=={floor}" if floor else distribution)
        print(*BESIDE.get(name, ()), sep="\n", end="\n" if name in BESIDE else "")


if __name__ == "__main__":
    main()
