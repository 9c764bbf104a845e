"""Where ClickHouse's HTTP interface is open, and that only tests may write through it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pipeline_processes import ClickHouse, get, go_client

from tollspan.local.server import LocalStack

TOKEN = "secret"


@pytest.mark.slow
def test_clickhouse_go_inserts_where_a_test_lets_it(tmp_path: Path) -> None:
    with ClickHouse(tmp_path / "ledger") as clickhouse:
        clickhouse.ledger._writer.query(
            "CREATE TABLE t (n UInt32, tags Map(LowCardinality(String), String)) "
            "ENGINE = MergeTree ORDER BY n"
        )
        said = go_client(f"{clickhouse.url}/default?compress=gzip", "t")

        assert "error" not in said
        assert clickhouse.rows("SELECT * FROM t ORDER BY n") == [
            {"n": n, "tags": {"number": str(n)}} for n in range(3)
        ]


def test_it_is_off_unless_asked_for_and_never_leaves_loopback() -> None:
    with LocalStack() as stack:
        assert stack.clickhouse_url == ""
    with LocalStack(host="0.0.0.0", token=TOKEN, clickhouse_port=0) as stack:
        assert get(f"{stack.clickhouse_url}/?query=SELECT+1&password={TOKEN}") == "1\n"
        bound = Path("/proc/net/tcp").read_text()
        assert f"0100007F:{stack.clickhouse_port:04X} 00000000:0000 0A" in bound
