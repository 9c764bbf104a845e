"""Builds the wheel and compares it with the source folders: a package not listed would be missing.

python .ci/check_wheel.py        # from the repository root; needs `build`
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = {".py", ".pyi", ".typed", ".sql", ".html", ".js", ".css", ".svg", ".json"}
FOLDERS = {
    "tollspan": "tollspan",
    "instrumentation": "tollspan/instrumentation",
    "processors": "tollspan/processors",
    "collector": "tollspan/collector",
    "chaos": "tollspan/chaos",
    "limits": "tollspan/limits",
    "local": "tollspan/local",
    "launcher": "tollspan/launcher",
    "collector-config/clickhouse": "tollspan/local/clickhouse",
    "grafana/dashboards": "tollspan/local/boards_json",
}
COMPILED = ("tollspan/collector/_framed", "tollspan/local/_columns")
"""From C; where there is no compiler a wheel lacks them."""
NOT_SHIPPED = {"__pycache__", "cluster"}
"""Folders below them: the ledger's SQL for clusters is for people with a checkout and a cluster."""


def expected() -> set[str]:
    """Every file of the source folders that belongs in the wheel, by its name there."""
    found = {name + sysconfig.get_config_var("EXT_SUFFIX") for name in COMPILED}
    for source, target in FOLDERS.items():
        for file in (ROOT / source).rglob("*"):
            if file.suffix in SHIPPED and NOT_SHIPPED.isdisjoint(file.parts):
                found.add(f"{target}/{file.relative_to(ROOT / source)}")
    return found


def built(folder: str) -> set[str]:
    """The files of a freshly built wheel, metadata left out."""
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", folder, str(ROOT)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (wheel,) = Path(folder).glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def main() -> int:
    """0 when the wheel holds exactly the source files."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    for package in listed["packages"]:
        if package not in listed["package-dir"]:
            print(f"pyproject.toml: package {package} has no folder in package-dir")
            return 1
    with tempfile.TemporaryDirectory() as folder:
        wanted, present = expected(), built(folder)
    for name in sorted(wanted - present):
        print(f"missing from the wheel: {name} (list its package in pyproject.toml)")
    for name in sorted(present - wanted):
        print(f"in the wheel but not in the source folders: {name}")
    print(f"wheel check: {len(present)} files, {len(wanted ^ present)} differences")
    return 1 if wanted ^ present else 0


if __name__ == "__main__":
    sys.exit(main())
