"""The SQL for a cluster is the SQL for one server, made again: fresh, whole, and of the same tables."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tollspan.local.ledger import Ledger
from tollspan.local.migrations import statements

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "collector-config" / "clickhouse"
FILES = sorted(FOLDER.glob("*.sql"))


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ledger_sql", ROOT / ".ci" / "ledger_sql.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    made = Ledger(tmp_path_factory.mktemp("ledger"))
    yield made
    made.close()


def test_the_files_for_a_cluster_are_fresh() -> None:
    command = [sys.executable, str(ROOT / ".ci" / "ledger_sql.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {each.name for each in (FOLDER / "cluster").iterdir()} == {each.name for each in FILES}


def test_a_stale_file_is_said_so(generator: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "0001_x.sql").write_text("CREATE OR REPLACE VIEW x AS\nSELECT 1;\n")
    generator.FOLDER = tmp_path
    sys_argv, sys.argv = sys.argv, ["ledger_sql.py", "--check"]
    try:
        assert generator.main() == 1
        sys.argv = ["ledger_sql.py"]
        assert generator.main() == 0
        sys.argv = ["ledger_sql.py", "--check"]
        assert generator.main() == 0
    finally:
        sys.argv, generator.FOLDER = sys_argv, FOLDER
    made = (tmp_path / "cluster" / "0001_x.sql").read_text()
    assert "CREATE OR REPLACE VIEW x ON CLUSTER '{cluster}' AS" in made


def cluster_statements() -> list[str]:
    return [
        each
        for file in sorted((FOLDER / "cluster").glob("*.sql"))
        for each in statements(file.read_text("utf-8"))
    ]


def test_every_table_is_replicated_and_has_a_distributed_one_before_it(
    generator: ModuleType, ledger: Ledger
) -> None:
    rows = ledger.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
    )
    tables = {row["name"] for row in rows}
    assert tables == set(generator.SHARDED_BY)
    all_of_them = cluster_statements()
    for table in tables:
        (local,) = [s for s in all_of_them if f"EXISTS {table}_local ON CLUSTER" in s]
        assert (
            f"ReplicatedReplacingMergeTree('/clickhouse/tables/{{shard}}/{{database}}/{table}'"
            in local
        )
        (before,) = [s for s in all_of_them if f"EXISTS {table} ON CLUSTER" in s]
        assert f"ENGINE = Distributed('{{cluster}}', currentDatabase(), {table}_local" in before


def test_versions_of_a_row_meet_on_one_shard(generator: ModuleType, ledger: Ledger) -> None:
    """A call's id holds its trace id, a hop lies with its call: rows with one sorting key have one
    sharding key."""
    keys = ledger.query(
        "SELECT name, sorting_key FROM system.tables WHERE name IN {tables:Array(String)} "
        "AND database = currentDatabase()",
        {"tables": list(generator.SHARDED_BY)},
    )
    for row in keys:
        (column,) = re.findall(r"(?:\()?([a-z_]+)\)?$", generator.SHARDED_BY[row["name"]])
        if row["name"] in ("llm_calls", "llm_hops"):
            assert (column, row["sorting_key"].split(", ")[0]) == ("trace_id", "call_id")
        else:
            assert column in row["sorting_key"].split(", ")


def test_nothing_is_left_for_one_server_alone_but_what_must_be() -> None:
    for statement in cluster_statements():
        first = statement.lstrip().splitlines()[0]
        if " REFRESH EVERY " in first or first.startswith("INSERT INTO tollspan_schema"):
            assert "ON CLUSTER" not in statement
        else:
            assert "ON CLUSTER '{cluster}'" in first, first


def test_statements_say_the_same_without_what_makes_them_a_clusters(ledger: Ledger) -> None:
    """Each parses, and made for one server again it is the statement that it was made from."""
    own = {_bare(each) for file in FILES for each in statements(file.read_text("utf-8"))}
    for statement in cluster_statements():
        (said,) = ledger.query("SELECT formatQueryOrNull({sql:String}) AS text", {"sql": statement})
        assert said["text"], statement
        if "ENGINE = Distributed" in statement:
            continue
        single = statement.replace(" ON CLUSTER '{cluster}'", "").replace("_local", "")
        single = re.sub(r"Replicated(\w+)\('[^']*', '[^']*'(?:, (\w+))?\)", _engine, single)
        assert _bare(single) in own or _is_part(single, own), statement


def _engine(found: re.Match[str]) -> str:
    return f"{found[1]}({found[2]})" if found[2] else str(found[1])


def _bare(statement: str) -> str:
    return re.sub(r"\s+", " ", statement).strip()


def _is_part(statement: str, own: set[str]) -> bool:
    """A Distributed table has no indexes: its ALTER is the beginning of the other one's."""
    return any(each.startswith(_bare(statement)) for each in own)
