"""The local page prints what Grafana prints: both run on the same frames of every panel of every board.

`@grafana/data` is Grafana's own code of units, overrides and reducers. One Node process prints all
frames with it and with the modules of the page (`.ci/grafana-data/oracle.mjs`).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import board_data
import needs
import pytest
from board_data import DataSet

from tollspan.local.boards import Asked, Boards
from tollspan.local.frames import interval_ms

FOLDER = board_data.ROOT / ".ci" / "grafana-data"
PAGE = board_data.ROOT / "local" / "page"
SETS = board_data.data_sets()
BOARDS = board_data.boards()
PANELS = [
    (uid, panel)
    for uid, board in BOARDS.items()
    for panel in board_data.panels(board)
    if panel["type"] != "row"
]
RANGES = [
    *(60_000 * minutes for minutes in (1, 5, 15, 60, 180, 360, 720)),
    *(86_400_000 * days for days in (1, 2, 7, 14, 30, 90, 365)),
]
INTERVALS = [(span, points) for span in RANGES for points in (100, 200, 333, 600, 900, 1000, 1920)]
DIGITS = [
    *(0, 1, -1, 0.5, 0.1, 0.05, 0.0042, 0.000123, 1e-7, 1e-12, -0.0042, 2.25, 2.251, 9.995, 99.5),
    *(1 / 3, 2 / 3, 12.345, 182.4, 999.999, 1000, 1234.5, 12345.678, 1e6, 1234567, 1e9, 2.5e12),
    *(59.9, 60, 93.5, 3600, 5400, 86400, 90_061, 604_800, 31_536_000, 1e18, None),
]
Printed = dict[str, Any]


def unit_panel(unit: str, decimals: int | None) -> dict[str, Any]:
    """A table of nothing but one unit."""
    defaults = {"unit": unit, "decimals": decimals, "noValue": "none", "color": {"mode": "fixed"}}
    return {"type": "table", "options": {}, "fieldConfig": {"defaults": defaults, "overrides": []}}


def units() -> list[str]:
    """Every unit that a board uses."""
    found = {"none"}
    for _, panel in PANELS:
        config = panel["fieldConfig"]
        found.add(config["defaults"].get("unit") or "none")
        properties = [one for each in config["overrides"] for one in each["properties"]]
        found |= {one["value"] for one in properties if one["id"] == "unit"}
    return sorted(found)


def asked(found: DataSet) -> tuple[Asked, Asked]:
    """The question of a panel of this data set; on the trace board there is a trace, too."""
    body: dict[str, Any] = {"from": found.start.timestamp() * 1000, "width_px": 600}
    body |= {"to": found.end.timestamp() * 1000}
    trace = found.calls[-1]["trace_id"] if found.calls else ""
    return Asked.read(body), Asked.read(body | {"variables": {"trace_id": trace}})


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """`{where: (Grafana's, the page's)}` of all panels, and what else the oracle was asked."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not (node and npm):
        needs.missing("node", "node and npm, for Grafana's own formatting")
    made = subprocess.run([FOLDER / "make"], capture_output=True, text=True, check=False)
    if made.returncode:
        needs.missing("node", f"@grafana/data could not be installed: {made.stderr[-200:]}")
    ledger = board_data.opened(tmp_path_factory.mktemp("parity"), SETS.values())
    cases = {}
    try:
        boards = Boards(ledger)
        for name, found in SETS.items():
            if name == "empty":
                continue
            plain, of_trace = asked(found)
            for uid, panel in PANELS:
                body = of_trace if uid == "tollspan-trace" else plain
                frames = boards.panel(uid, panel["id"], body)["frames"]
                cases[f"{uid} | {panel['title']} | {name}"] = {"panel": panel, "frames": frames}
    finally:
        ledger.close()
    for unit in units():
        for decimals in (None, 0, 1, 2):
            field = {"name": "value", "type": "number", "values": DIGITS}
            frames = [{"refId": "A", "name": "A", "fields": [field]}]
            case = {"panel": unit_panel(unit, decimals), "frames": frames}
            cases[f"unit {unit} | {decimals} decimals"] = case
    question = {"cases": list(cases.values()), "intervals": INTERVALS}
    done = subprocess.run(
        [node, FOLDER / "oracle.mjs", made.stdout.strip(), PAGE],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout)
    pairs = [(each["grafana"], each["ours"]) for each in answer["cases"]]
    return {"cases": dict(zip(cases, pairs, strict=True)), "intervals": answer["intervals"]}


def differences(printed: dict[str, Any], part: str) -> list[str]:
    """Where the two print `part` of a field differently, said in words."""
    found = []
    for where, (theirs, ours) in printed["cases"].items():
        assert len(theirs["frames"]) == len(ours["frames"]), where
        for one, other in zip(theirs["frames"], ours["frames"], strict=True):
            for field, mine in zip(one, other, strict=True):
                if field[part] != mine[part]:
                    found.append(f"{where} | {field['name']}: {said(field[part], mine[part])}")
    return found


def said(theirs: Any, ours: Any) -> str:
    if isinstance(theirs, list):
        pairs = zip(theirs, ours, strict=True)
        return next(f"{one!r}, not {other!r}" for one, other in pairs if one != other)
    if isinstance(theirs, dict):
        key = next(key for key in theirs if theirs[key] != ours[key])
        return f"{key} {theirs[key]!r}, not {ours[key]!r}"
    return f"{theirs!r}, not {ours!r}"


@pytest.mark.slow
def test_every_value_of_every_panel_is_the_same_text(printed: dict[str, Any]) -> None:
    texts = sum(
        len(field["texts"])
        for theirs, _ in printed["cases"].values()
        for frame in theirs["frames"]
        for field in frame
    )

    assert texts > 15_000, "there is something to compare"
    assert differences(printed, "texts") == []


def test_every_column_and_series_has_the_same_name(printed: dict[str, Any]) -> None:
    """A node graph finds its columns by their names and shows none of them."""
    graphs = {f"{uid} | {panel['title']} " for uid, panel in PANELS if panel["type"] == "nodeGraph"}
    wrong = [each for each in differences(printed, "name") if not each.startswith(tuple(graphs))]

    assert wrong == []


def test_every_reducer_gives_the_same_number_and_text(printed: dict[str, Any]) -> None:
    assert differences(printed, "reduced") == []


def test_where_the_page_colours_a_value_grafana_has_that_colour(printed: dict[str, Any]) -> None:
    """Colours of series are the page's own."""
    wrong = []
    for where, (theirs, ours) in printed["cases"].items():
        for one, other in zip(theirs["frames"], ours["frames"], strict=True):
            for field, mine in zip(one, other, strict=True):
                for color, our_color in zip(field["colors"], mine["colors"], strict=True):
                    if our_color is not None and color != our_color:
                        wrong.append(f"{where} | {field['name']}: {color}, not {our_color}")

    assert wrong == []


def test_time_buckets_are_as_long_as_grafanas(printed: dict[str, Any]) -> None:
    assert printed["intervals"] == [interval_ms(span, points) for span, points in INTERVALS]


def test_every_unit_of_the_boards_is_compared(printed: dict[str, Any]) -> None:
    assert len(units()) > 8
    assert {f"unit {unit} | None decimals" for unit in units()} <= set(printed["cases"])
