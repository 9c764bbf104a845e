"""The board's timeline of backends shows probes beside calls, each by what became of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import board_data

from tollspan.local.ledger import Ledger

END = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)  # ninety days on they are gone


def probes(backend: str, oks: str, **more: Any) -> list[dict[str, Any]]:
    """One probe a minute, from ten minutes before the end on; `d` is one that fails while down."""
    return [
        {
            "time": f"{END - timedelta(minutes=10 - number):%Y-%m-%d %H:%M:%S}.000",
            "backend": backend,
            "provider": "vllm",
            "decides": True,
            "ok": letter == "+",
            "state": "down" if letter == "d" else "up",
            **more,
        }
        for number, letter in enumerate(oks)
    ]


def shown(ledger: Ledger, variables: dict[str, Any] | None = None) -> dict[str, list[int]]:
    found = board_data.DataSet("probes", END)
    sql = board_data.expanded(
        board_data.statement("hops", "Backends"), found, variables or {}, bucket_s=300
    )
    states: dict[str, list[int]] = {}
    for row in ledger.query(sql):
        states.setdefault(row["series"], []).append(row["state"])
    return states


def test_probes_stand_below_the_calls_as_well_failing_or_down(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    try:
        ledger.insert(
            "probes",
            [
                *probes("good", "+" * 10),
                *probes("flapping", "+-+++" + "--ddd"),
                *probes("dead", "ddddd" * 2),
                *probes("pinged", "-" * 10, decides=False),
                *probes("other's", "+" * 5, provider="openai"),
            ],
        )
        everything, chosen = shown(ledger), shown(ledger, {"provider": ["openai"]})
    finally:
        ledger.close()

    assert everything == {
        "probe of dead": [2, 2],
        "probe of flapping": [1, 1],
        "probe of good": [0, 0],
        "probe of other's": [0],
    }
    assert chosen == {"probe of other's": [0]}
