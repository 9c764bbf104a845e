"""The ledger's SQL for a cluster, made from the files for one server: `python .ci/ledger_sql.py [--check]`.

Each table becomes a replicated one, `<name>_local`, with a Distributed one of the old name before it,
sharded by what its rows are replaced by, so that all versions of a row meet on one shard. Statements run
once, on the whole cluster `{cluster}`; shards and replicas are told apart by the macros `{shard}` and
`{replica}`, which ClickHouse's configuration sets on each server.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "collector-config" / "clickhouse"
CLUSTER = "ON CLUSTER '{cluster}'"
SHARDED_BY = {
    "tollspan_schema": "version",
    "spans": "cityHash64(trace_id)",
    "span_links": "cityHash64(key)",
    "llm_calls": "cityHash64(trace_id)",
    "llm_hops": "cityHash64(trace_id)",
    "budgets": "cityHash64(name)",
    "calls_by_minute": "toUInt32(bucket)",
    "calls_by_hour": "toUInt32(bucket)",
    "calls_by_tenant_hour": "toUInt32(bucket)",
    "calls_by_tenant_day": "toUInt32(bucket)",
    "budget_hours": "toUInt32(bucket)",
    "usage_by_hour": "toUInt32(bucket)",
    "usage_by_tenant_hour": "toUInt32(bucket)",
    "usage_by_tags_hour": "toUInt32(bucket)",
    "probes": "cityHash64(backend)",
}
"""Table to its sharding key: a function of what the rows are replaced by. Spans, calls and hops of a trace
lie together; a bucket's generations lie together."""

HEAD = "-- Made from ../{name} by .ci/ledger_sql.py: change that file.\n\n"
CREATE = re.compile(
    r"CREATE TABLE IF NOT EXISTS (\w+)\n\((.*?)\n\)\nENGINE = (\w+)(\(\w+\))?", re.DOTALL
)
ENGINE = "ENGINE = Replicated{kind}('/clickhouse/tables/{{shard}}/{{database}}/{table}', '{{replica}}'{version})"


def clustered(sql: str) -> str:
    """The statements of one file for a cluster."""
    return "\n".join(_statement(each) for each in re.split(r"(?<=;)\n", sql))


def _statement(text: str) -> str:
    if (found := CREATE.search(text)) is not None:
        return _table(text, found)
    if re.search(r"^ALTER TABLE", text, re.MULTILINE):
        return _altered(text)
    if re.search(r"^CREATE (OR REPLACE VIEW|MATERIALIZED VIEW)", text, re.MULTILINE):
        return _view(text)
    return text


def _table(text: str, found: re.Match[str]) -> str:
    table, columns, kind, version = found.groups()
    local = f"CREATE TABLE IF NOT EXISTS {table}_local {CLUSTER}\n({columns}\n)\n"
    if kind == "Null":
        # Whoever asks a server inserts into that server's own tables' views.
        return text.replace(f"EXISTS {table}\n", f"EXISTS {table} {CLUSTER}\n")
    extra = f", {version[1:-1]}" if version else ""
    local += ENGINE.format(kind=kind, table=table, version=extra)
    return f"{text[: found.start()]}{local}{text[found.end() :]}\n\n{_before(table)}"


def _before(table: str, create: str = "CREATE TABLE IF NOT EXISTS") -> str:
    """The Distributed table of the old name."""
    return (
        f"{create} {table} {CLUSTER}\nAS {table}_local\n"
        f"ENGINE = Distributed('{{cluster}}', currentDatabase(), {table}_local, {SHARDED_BY[table]});"
    )


def _altered(text: str) -> str:
    """Both tables get the columns, the local one indexes, too; values are made where they lie."""
    found = re.search(r"^ALTER TABLE (\w+)", text, re.MULTILINE)
    assert found is not None
    lead, table, rest = text[: found.start()], found[1], text[found.end() :]
    local = f"{lead}ALTER TABLE {table}_local {CLUSTER}{rest}"
    if "ADD CONSTRAINT" in rest:
        # A Distributed table has the constraints that it was made with, and no data.
        return f"{local}\n\n{_before(table, 'CREATE OR REPLACE TABLE')}"
    if "ADD COLUMN" not in rest:
        return local
    plain = re.sub(r",\n    ADD INDEX [^;]*", "", rest)
    return f"{local}\n\nALTER TABLE {table} {CLUSTER}{plain}"


def _view(text: str) -> str:
    """Views over Distributed tables read every shard. One that is refreshed stands on one server alone:
    two would count at once."""
    if " REFRESH EVERY " in text:
        return text
    text = re.sub(r"(CREATE OR REPLACE VIEW \w+)", rf"\1 {CLUSTER}", text)
    return re.sub(r"(CREATE MATERIALIZED VIEW IF NOT EXISTS \w+)", rf"\1 {CLUSTER}", text)


def files() -> dict[Path, str]:
    """Every file for a cluster with what has to stand in it."""
    return {
        FOLDER / "cluster" / file.name: HEAD.format(name=file.name)
        + clustered(file.read_text("utf-8"))
        for file in sorted(FOLDER.glob("*.sql"))
    }


def main() -> int:
    stale = [
        path
        for path, text in files().items()
        if not path.exists() or path.read_text("utf-8") != text
    ]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path} is stale: run python .ci/ledger_sql.py", file=sys.stderr)
        return 1 if stale else 0
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
