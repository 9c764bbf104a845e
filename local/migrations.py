"""The ledger's tables, brought up to date from the numbered SQL files, each applied once."""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import Any

__all__ = ["NewerLedger", "migrate", "newest", "statements"]

TABLES = ("tollspan_schema", "spans", "llm_calls", "llm_hops")
IN_ONE_STREAM = ("spans", "span_links", "llm_hops")
"""Tables whose strings stand with their lengths, as they came, and not lengths here, texts there: a fifth
less on disk, and sooner written. Nobody asks these for the lengths alone; a setting of this engine, not of
every server's."""
SOUGHT = ("response_id", "request_id")
"""Columns of `llm_calls` by which calls are found that another trace tells of (see `recall`): a hundredth
of what a row of `span_links` for each takes. Stages that write to a server look in `span_links` alone."""
NUMBERED = re.compile(r"\d{4}_\w+\.sql")


class NewerLedger(RuntimeError):
    """The folder was written by a later version, whose number is the message."""


def migrate(connection: Any) -> None:
    """Apply the files that this ledger has not seen; the last statement of each says that it was.

    Raises:
        NewerLedger: it has seen files that we do not know.
    """
    files = {int(name.split("_", 1)[0]): name for name in _files()}
    done = _applied(connection)
    if done and max(done) > max(files):
        raise NewerLedger(str(max(done)))
    for version in sorted(set(files) - done):
        for statement in statements(_text(files[version])):
            connection.query(statement)
    for table in IN_ONE_STREAM:
        said = str(connection.query(f"SHOW CREATE TABLE {table}", "TSVRaw").data())
        if "string_serialization_version" not in said:
            connection.query(
                f"ALTER TABLE {table} MODIFY SETTING string_serialization_version = 'single_stream'"
            )
    _index(connection, is_new=not done)
    if not done:
        for table in TABLES:
            # A damaged part is a reason to stop and say so, not to go on without its rows.
            connection.query(f"ALTER TABLE {table} MODIFY SETTING max_suspicious_broken_parts = 0")


def _index(connection: Any, *, is_new: bool) -> None:
    """Make the columns that are `SOUGHT` so that they can be found; what is there already, by and by."""
    said = str(connection.query("SHOW CREATE TABLE llm_calls", "TSVRaw").data())
    for column in SOUGHT:
        if f"INDEX {column}s " not in said:
            index = f"{column}s {column} TYPE bloom_filter(0.01) GRANULARITY 1"
            connection.query(f"ALTER TABLE llm_calls ADD INDEX {index}")
            if not is_new:
                connection.query(f"ALTER TABLE llm_calls MATERIALIZE INDEX {column}s")


def newest() -> int:
    """The version that a ledger has when it is up to date."""
    return max(int(name.split("_", 1)[0]) for name in _files())


def _applied(connection: Any) -> set[int]:
    tables = str(connection.query("EXISTS TABLE tollspan_schema", "TSV").data()).strip()
    if tables != "1":
        return set()
    answer = str(connection.query("SELECT version FROM tollspan_schema", "JSONEachRow").data())
    return {json.loads(line)["version"] for line in answer.splitlines() if line}


def _files() -> list[str]:
    folder = resources.files("tollspan.local.clickhouse")
    return sorted(each.name for each in folder.iterdir() if NUMBERED.fullmatch(each.name))


def _text(name: str) -> str:
    return (resources.files("tollspan.local.clickhouse") / name).read_text("utf-8")


def statements(sql: str) -> list[str]:
    """The statements of a file; each ends with a semicolon at the end of a line."""
    lines = (line for line in sql.splitlines() if not line.lstrip().startswith("--"))
    parts = "\n".join(lines).split(";\n")
    return [part.strip().rstrip(";") for part in parts if part.strip().rstrip(";")]
