"""Prints the oldest supported version of SDKs of the table, as pip requirements, one a line.

python .ci/oldest.py [GROUP]

Old versions do not all fit beside one another: a group is those of one environment. Without a group,
all that are in none.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

GROUPS = {
    # These need an httpx that the oldest openai does not go with.
    "google": ("google_genai", "vertexai"),
    "litellm": ("litellm",),
}

BESIDE = {
    # httpx 0.28 took an argument away that these still gave it.
    "openai": ("httpx<0.28",),
    "portkey_ai": ("httpx<0.28",),
    "bedrock": ("boto3==1.34.116", "aiobotocore==2.13.1"),
    "huggingface_hub": ("numpy",),
}
"""What the oldest version of an SDK needs beside it and does not ask for."""


def main() -> None:
    # By path: tollspan itself is not installed yet where this is asked.
    spec = importlib.util.spec_from_file_location("sdks", ROOT / "instrumentation" / "_sdks.py")
    assert spec is not None and spec.loader is not None
    table = importlib.util.module_from_spec(spec)
    sys.modules["sdks"] = table
    spec.loader.exec_module(table)
    apart = {name for names in GROUPS.values() for name in names}
    for name in GROUPS[sys.argv[1]] if sys.argv[1:] else [n for n in table.SDKS if n not in apart]:
        for each in table.SDKS[name].requires:
            print(each.replace(" ", "").replace(">=", "=="))
        for each in BESIDE.get(name, ()):
            print(each)


if __name__ == "__main__":
    main()
