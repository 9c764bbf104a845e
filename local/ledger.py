"""The ledger: an embedded ClickHouse in one folder. One writer connection, several readers.

Facts of chdb-core 26.9 that shape this: queries on one connection wait for each other, several
connections of one process run side by side; one folder belongs to one process, and a process that
has one open cannot open another; rows go in as a file, so that data is never part of a statement
and every fault is heard of; parameters are bound by name.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from queue import Empty, Queue
from threading import Lock
from typing import Any

import chdb

from tollspan.config import settings

from . import rollups
from ._embedded import Unreadable, connect
from ._folder import locked, sentence
from ._infile import Infile
from ._statements import Busy, LedgerError, answer, first_line, lines, rows
from .keeping import forget_after, sums_can_be_made_again
from .migrations import NewerLedger, migrate
from .native import Data
from .outfile import Outfile
from .refused import Unusable

__all__ = ["Busy", "Ledger", "LedgerError", "Unusable"]

READERS = 3
LIMITS = {
    "readonly": 2,
    "max_execution_time": 10,
    "max_result_rows": 100_000,
    "result_overflow_mode": "throw",
    "max_memory_usage": 4_000_000_000,
    "prefer_column_name_to_alias": 1,
    "output_format_json_quote_decimals": 1,
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_quote_denormals": 0,
}
"""What a reader may do: read, for ten seconds, so many rows."""

OF_A_FILE = {
    "max_execution_time": 600,
    "max_result_rows": 0,
    "max_threads": 1,
    "max_bytes_before_external_group_by": 256_000_000,
    "max_bytes_before_external_sort": 256_000_000,
    "output_format_parquet_row_group_size": 65_536,
}
"""Instead of these, for rows that go to a file: what does not fit into a little memory waits on disk."""

_ROW = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))

INSERTING = "max_partitions_per_insert_block = 0, optimize_on_insert = 0"
"""A batch may span many months; that its rows replace each other is seen when it is read or merged."""


class Ledger:
    """The open ledger in `folder`, made if it is not there.

    Raises:
        Unusable: another process holds the folder, or what lies in it cannot be read. Nothing in
            it is changed then.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = locked(folder)
        self._connections: list[Any] = []
        self._readers: Queue[Any] = Queue()
        self._infiles: defaultdict[str, Infile] = defaultdict(Infile)
        self._writing = Lock()
        self._counting = Lock()
        self._told, self._counted = 0, -1
        self.removals = 0
        """How often calls were taken out."""
        try:
            self._writer = self._connected()
            migrate(self._writer)
            forget_after(self._writer, settings())
            self._counter = self._connected()
            self._counter.query("SET max_threads = 1")
            for _ in range(READERS):
                reader = self._connected()
                for name, value in LIMITS.items():
                    reader.query(f"SET {name} = {value!r}")
                self._readers.put(reader)
        except (Unreadable, NewerLedger, chdb.ChdbError, RuntimeError) as error:
            self.close()
            raise Unusable(sentence(folder, error)) from error
        except BaseException:
            self.close()
            raise

    def _connected(self) -> Any:
        connection = connect(self.folder)
        self._connections.append(connection)
        return connection

    def insert(self, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add `rows` to `table`, all or none. Safe against a killed process when it returns.

        Raises:
            LedgerError: nothing was added.
        """
        body = "\n".join(map(_ROW.encode, rows)).encode()
        if body:
            self._insert(table, "JSONEachRow", body)

    def append(self, table: str, *block: Data) -> None:
        """Add a block in the Native format, as `native.block` makes it, or in pieces, to `table`, like
        `insert`.

        Raises:
            LedgerError: nothing was added.
        """
        self._insert(table, "Native", *block)

    def _insert(self, table: str, form: str, *body: Data) -> None:
        try:
            with self._writing, self._infiles[table].holding(*body) as path:
                lines(
                    self._writer,
                    f"INSERT INTO {table} FROM INFILE '{path}' SETTINGS {INSERTING} FORMAT {form}",
                    {},
                    "Null",
                )
                self._told += table == "llm_calls"
        except OSError as error:
            raise LedgerError(
                f"no room for the rows on their way to the engine: {error}"
            ) from error

    def remove(self, table: str, condition: str, parameters: Mapping[str, Any]) -> None:
        """Delete the rows of `table` under `condition`; they are gone when it returns.

        Raises:
            LedgerError: the engine refused it.
        """
        with self._counting, self._writing:
            rows(
                self._writer,
                f"ALTER TABLE {table} DELETE WHERE {condition} SETTINGS mutations_sync = 2",
                parameters,
            )
            if table == "llm_calls":
                self.removals += 1
                again = sums_can_be_made_again(settings())
                rollups.forget(self._writer, all_of_them=again)
                self._told += again

    def count_again(self) -> None:
        """Make the rollups equal the calls told so far, if any were since they last did.

        Writing goes on meanwhile; a call that is told while its hour is counted has it counted again
        the next time.

        Raises:
            LedgerError: the engine could not do it.
        """
        with self._counting:
            told = self._told
            if told != self._counted:
                try:
                    rollups.refresh(self._counter)
                except (chdb.ChdbError, RuntimeError) as error:
                    raise LedgerError(first_line(error)) from error
                self._counted = told

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Rows of a reading statement, parameters bound as `{name:Type}`.

        Decimals come as strings, so that no digit is lost.

        Raises:
            Busy: it took too long.
            LedgerError: the engine refused it.
        """
        with self._reader() as reader:
            return rows(reader, sql, parameters or {})

    def table(self, sql: str) -> tuple[dict[str, str], list[list[Any]]]:
        """Type of each column by its name, and the rows of a reading statement; times are seconds.

        Raises:
            Busy: it took too long.
            LedgerError: the engine refused it.
        """
        timed = f"{sql}\nSETTINGS date_time_output_format = 'unix_timestamp'"
        with self._reader() as reader:
            names, types, *found = lines(reader, timed, {}, "JSONCompactEachRowWithNamesAndTypes")
        return dict(zip(names, types, strict=True)), found

    def written(self, sql: str, form: str, parameters: Mapping[str, Any]) -> bytes:
        """See `Readable`."""
        with self._reader() as reader:
            return answer(reader, sql, parameters, form)

    def file(self, sql: str, form: str, parameters: Mapping[str, Any]) -> Iterator[bytes]:
        """See `Readable`.

        The engine writes it to a temporary file first: memory holds a group of its rows.
        """
        file = Outfile()
        try:
            with closing(connect(self.folder)) as connection:
                for name, value in (LIMITS | OF_A_FILE).items():
                    connection.query(f"SET {name} = {value!r}")
                into = f"INTO OUTFILE '{file.path}' FORMAT {form}"
                answer(connection, f"{sql}\n{into}", parameters, "Null")
            return file.pieces()
        except BaseException:
            file.remove()
            raise

    def recall(self, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Rows as `query` gives them, for the writer itself: no limits and no waiting for readers.

        Raises:
            LedgerError: the engine refused it.
        """
        with self._writing:
            return rows(self._writer, sql, parameters)

    @contextmanager
    def _reader(self) -> Iterator[Any]:
        try:
            reader = self._readers.get(timeout=15)
        except Empty as error:
            raise Busy("the ledger is busy with other queries; try again") from error
        try:
            yield reader
        finally:
            self._readers.put(reader)

    def close(self) -> None:
        """Let go of the folder. Idempotent."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        for file in self._infiles.values():
            file.close()
        if not self._lock.closed:
            self._lock.close()
