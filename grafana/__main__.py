"""`python -m grafana`: write every board and every generated rule file again.

`--check` writes nothing and fails if a committed file differs from what would be written.
"""

from __future__ import annotations

import sys
from pathlib import Path

from grafana import alerts, boards

FOLDER = Path(__file__).resolve().parent


def files() -> dict[str, str]:
    """Text of each generated file by its path below this folder."""
    made = {f"dashboards/{uid}.json": text for uid, text in boards.texts().items()}
    return made | {"alerting/clickhouse.yml": alerts.text()}


def stale() -> list[str]:
    """Paths whose committed text differs from what would be written, or that should not be there."""
    wanted = files()
    there = {
        str(file.relative_to(FOLDER)): file.read_text("utf-8")
        for file in (*FOLDER.glob("dashboards/*.json"), FOLDER / "alerting" / "clickhouse.yml")
        if file.exists()
    }
    return sorted(
        name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name)
    )


def main(arguments: list[str]) -> int:
    if "--check" in arguments:
        for name in stale():
            print(f"grafana/{name} is stale: run python -m grafana", file=sys.stderr)
        return 1 if stale() else 0
    for old in FOLDER.glob("dashboards/*.json"):
        old.unlink()
    for name, text in files().items():
        file = FOLDER / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
