"""A ledger of an earlier tollspan is brought up to date with everything that is in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parent.parent / "collector-config" / "clickhouse"
FILES = sorted(int(file.name[:4]) for file in FOLDER.glob("[0-9]*.sql"))

OLD = """
import json, sys
from importlib import resources
from pathlib import Path
import chdb
from tollspan.local.migrations import statements
folder, last = sys.argv[1], int(sys.argv[2])
connection = chdb.connect(folder)
files = sorted(
    each.name for each in resources.files("tollspan.local.clickhouse").iterdir()
    if each.name[:4].isdigit() and int(each.name[:4]) <= last
)
for name in files:
    for statement in statements((resources.files("tollspan.local.clickhouse") / name).read_text()):
        if not statement.startswith("INSERT INTO tollspan_schema"):
            connection.query(statement)
    connection.query(f"INSERT INTO tollspan_schema (version, name) SELECT {int(name[:4])}, '{name}'")
connection.query('''
    INSERT INTO llm_calls (call_id, trace_id, time, role, tenant, served_model, cost_usd, tags, version)
    SELECT leftPad(hex(number % 900), 32, '0'), leftPad(hex(number % 7), 32, '0'),
           toDateTime64('2026-05-30 22:00:00', 9, 'UTC') + (number % 900) * 60, 'owner',
           concat('t', toString(number % 3)), 'gpt', toDecimal64(number % 900, 12) / 1000,
           map('team', 'x'), intDiv(number, 900) + 1
    FROM numbers(1000)
''')
connection.query('''
    INSERT INTO llm_hops (call_id, hop_index, time, owner, role, version)
    SELECT call_id, 0, time, 'owner', 'model', version FROM llm_calls
''')
connection.query('''
    INSERT INTO spans (trace_id, span_id, time, attributes, typed, version)
    SELECT '%032d', leftPad(hex(number), 16, '0'), now64(9), map('a', '1', 'b', 'x'), ['a'], 1
    FROM numbers(10)
''')
connection.query("INSERT INTO span_links VALUES ('request 1', 'a')")
connection.close()
"""
NEW = """
import json, sys
from pathlib import Path
from tollspan.local.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
ask = ledger.query
said = {"applied": [row["version"] for row in ask("SELECT DISTINCT version FROM tollspan_schema ORDER BY version")]}
said["calls"] = ask("SELECT count() AS n, sum(cost_usd) AS usd, uniq(tenant) AS tenants FROM tollspan_calls")[0]
said["hops"] = ask("SELECT count() AS n FROM tollspan_hops")[0]["n"]
said["spans"] = ask("SELECT attributes, typed FROM spans FINAL LIMIT 1")
said["links"] = ask("SELECT * FROM span_links")
said["new"] = ask("SELECT told_by, limit_requests, cache_saved_usd, api_key, repricings FROM llm_calls LIMIT 1")
said["told"] = ask("SELECT DISTINCT toUnixTimestamp(told_at) AS s FROM llm_calls")
ledger.count_again()
said["rollups"] = ask("SELECT sum(calls) AS n, sum(cost_usd) AS usd FROM tollspan_tenant_hours")[0]
ledger.insert("llm_calls", [{"call_id": "f" * 32, "time": "2026-05-31 00:00:00", "role": "owner",
                             "cost_usd": "1", "told_by": "s1", "version": 1}])
ledger.count_again()
said["after"] = ask("SELECT sum(calls) AS n, sum(cost_usd) AS usd FROM tollspan_tenant_days")[0]
said["budgets"] = ask("SELECT * FROM tollspan_budgets")
ledger.recall("ALTER TABLE llm_calls DELETE WHERE call_id = {id:String} SETTINGS mutations_sync = 2", {"id": "f" * 32})
ledger.close()
print(json.dumps(said))
"""
BROKEN = """
import sys
from pathlib import Path
from tollspan.local import migrations
from tollspan.local.ledger import Ledger, Unusable
real, said = migrations.statements, []
def failing(sql):
    made = real(sql)
    return made[:-1] + ["SELECT throwIf(1, 'the machine went away')"] if "tollspan_minutes" in sql else made
migrations.statements = failing
try:
    Ledger(Path(sys.argv[1]))
except Unusable as error:
    print(error)
"""


def python(code: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def is_whole(said: dict[str, Any]) -> None:
    usd = sum(range(900)) / 1000
    assert said["applied"] == FILES
    assert said["calls"] == {"n": 900, "usd": f"{usd:g}", "tenants": 3}
    assert said["hops"] == 900
    assert said["spans"] == [{"attributes": {"a": "1", "b": "x"}, "typed": ["a"]}]
    assert said["links"] == [{"key": "request 1", "trace_id": "a"}]
    assert said["new"] == [
        {
            "told_by": "",
            "limit_requests": None,
            "cache_saved_usd": None,
            "api_key": "",
            "repricings": 0,
        }
    ]
    assert said["rollups"] == {"n": 900, "usd": f"{usd:g}"}
    assert said["after"] == {"n": 901, "usd": f"{usd + 1:g}"}
    assert said["budgets"] == []


@pytest.mark.parametrize("last", [1, 2, 4])
def test_a_ledger_of_any_earlier_version_is_upgraded_with_what_is_in_it(
    tmp_path: Path, last: int
) -> None:
    folder = tmp_path / "data"
    links = "span_links VALUES" if last > 1 else "tollspan_schema (version) SELECT 1 WHERE 0 --"
    python(OLD.replace("span_links VALUES", links), folder, last)

    first = json.loads(python(NEW, folder))
    again = json.loads(python(NEW, folder))

    if last == 1:  # before there were links
        assert first.pop("links") == again.pop("links") == []
        first["links"] = again["links"] = [{"key": "request 1", "trace_id": "a"}]
    is_whole(first)
    assert len(first["told"]) == 1, "told once and for all, not anew at every look"
    assert again["told"] == first["told"]


def test_an_upgrade_that_was_broken_off_goes_on_where_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    python(OLD, folder, 2)

    assert "the machine went away" in python(BROKEN, folder)
    is_whole(json.loads(python(NEW, folder)))
