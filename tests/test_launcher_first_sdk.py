"""What waits for the first SDK runs just before it is imported, whichever of its packages that is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tollspan.instrumentation import PROVIDERS
from tollspan.launcher import first_sdk

PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
from tollspan.launcher import first_sdk
for name in sys.argv[2:]:
    ran = []
    first_sdk.when_imported(lambda: ran.append(name in sys.modules))
    assert ran == [], name
    __import__(name)
    assert ran == [False], (name, ran)
    del sys.modules[name]
"""


@pytest.mark.slow
def test_every_package_of_every_sdk_starts_what_waits_for_it(tmp_path: Path) -> None:
    names = sorted(name for name in first_sdk.SDKS if "." not in name)
    for name in names:
        (tmp_path / f"{name}.py").write_text("")

    subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path), *names], check=True, timeout=60)

    assert {"openai", "mistralai_azure", "mistralai_gcp"} <= set(names)


def test_packages_beside_the_first_count_too() -> None:
    assert {name for sdk in PROVIDERS.values() for name in sdk.also} <= first_sdk.SDKS
