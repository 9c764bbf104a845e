"""docs/ledger.md does what it says: a ledger is saved and got back, and kept as long as asked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from needs import ROOT

from tollspan.config import Settings
from tollspan.local.keeping import TTL, forget_after
from tollspan.local.ledger import Ledger
from tollspan.local.migrations import statements

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs/ledger.md").read_text()
KEEP, SAVE, LOOK, RESTORE = re.findall(r"^```sql\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)

ENGINE = """
import json, sys
from pathlib import Path
import chdb
folder, name, *parts = sys.argv[1:]
config = Path(folder) / "config.xml"
config.write_text(f"<clickhouse><backups><allowed_path>{folder}/backups</allowed_path></backups></clickhouse>")
connection = chdb.connect(f"{folder}/{name}?config-file={config}")
said = [
    str(connection.query(each, "JSONCompactEachRow").data()).splitlines()
    for part in parts for each in part.split(";\\n") if each.strip()
]
connection.close()
print(json.dumps([[json.loads(row) for row in rows] for rows in said]))
"""
"""An engine of its own that may write backups, as a server may; its statements come as arguments."""

SERVER = "\n".join(
    file.read_text()
    for file in [
        *sorted((ROOT / "collector-config/clickhouse").glob("0*.sql")),
        ROOT / "collector-config/clickhouse/landing.sql",
        ROOT / "collector-config/clickhouse/refresh.sql",
    ]
)
TOLD = """
INSERT INTO llm_calls (call_id, trace_id, time, role, cost_usd, version)
SELECT leftPad(hex(number), 32, '0'), 'x', now64(9) - 60, 'owner', 0.001, 1 FROM numbers({}, {});
"""
SUM = "SELECT count(), sum(cost_usd) FROM tollspan.tollspan_calls;\n"


def asked(folder: Path, name: str, *parts: str) -> list[list[list[object]]]:
    done = subprocess.run(
        [sys.executable, "-c", ENGINE, str(folder), name, *parts],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return list(json.loads(done.stdout))


def test_what_was_saved_comes_back_beside_the_ledger_and_on_a_new_server(tmp_path: Path) -> None:
    whole, since = SAVE.splitlines(keepends=True)
    made = "CREATE DATABASE tollspan;\nUSE tollspan;\n" + SERVER
    said = asked(
        tmp_path, "old", made, TOLD.format(0, 500), whole, TOLD.format(500, 7), since, LOOK
    )
    assert said[-2] == [[507, 0.507]]  # between RESTORE and DROP
    said = asked(tmp_path, "new", RESTORE, SUM, "USE tollspan;\n", TOLD.format(506, 2), SUM)

    assert said[1] == [[507, 0.507]]
    assert said[-1] == [[508, 0.508]], "what comes twice stands once"


def test_rows_are_kept_as_long_as_by_the_settings_of_a_laptop(tmp_path: Path) -> None:
    """The same tables, and the same day for each."""
    ledger = Ledger(tmp_path / "data")

    def days() -> dict[str, int]:
        rows = ledger.query("SELECT name, create_table_query AS said FROM system.tables")
        found = {row["name"]: TTL.search(row["said"]) for row in rows}
        return {name: int(ttl[1]) for name, ttl in found.items() if ttl}

    try:
        for statement in statements(KEEP):
            ledger._writer.query(statement)
        by_hand = days()
        chosen = Settings(keep_spans_days=30, keep_calls_days=400, keep_rollups_days=1200)
        forget_after(ledger._writer, chosen)

        assert by_hand == days()
    finally:
        ledger.close()
    assert (by_hand["spans"], by_hand["usage_by_hour"]) == (30, 401)
