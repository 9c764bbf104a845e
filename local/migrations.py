"""The ledger's tables, brought up to date from the numbered SQL files, each applied once."""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import Any

__all__ = ["NewerLedger", "migrate", "newest", "statements"]

TABLES = ("tollspan_schema", "spans", "llm_calls", "llm_hops")
_IN_ONE_STREAM = {"string_serialization_version": "'single_stream'"}
"""Strings stand with their lengths, as they came, and not lengths here, texts there: a fifth less on disk,
and sooner written. For tables that nobody asks for the lengths alone."""
_SELDOM = {"merge_selector_base": "16"}
"""Parts wait for more of their size before they are merged: of a hundred blocks a row is merged once, by the
base of 5 nearly twice, and to merge a row takes as long as all that was done for it before. There are
up to two dozen parts then, not one."""
_APART = {"min_bytes_for_wide_part": "0", "min_rows_for_wide_part": "131072"}
"""A part of so many rows has a file for each column: it is merged in three quarters of the time, and takes
less disk. A block that comes in has fewer."""
OF_THIS_ENGINE = {
    "spans": _IN_ONE_STREAM | _SELDOM,
    "span_links": _IN_ONE_STREAM,
    "llm_hops": _IN_ONE_STREAM | _SELDOM | _APART,
    "llm_calls": _SELDOM | _APART,
}
"""Settings of tables that this engine has, not every server, or that one writer on one machine asks for."""
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
    for table, settings in OF_THIS_ENGINE.items():
        said = str(connection.query(f"SHOW CREATE TABLE {table}", "TSVRaw").data())
        if not all(f"{name} = " in said for name in settings):
            told = ", ".join(f"{name} = {value}" for name, value in settings.items())
            connection.query(f"ALTER TABLE {table} MODIFY SETTING {told}")
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
