"""What the usage API reads from: the ledger of this process, or a ClickHouse server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

__all__ = ["Readable"]


class Readable(Protocol):
    """Answers reading statements; `Ledger` and `remote.ClickHouseLedger` are two."""

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Rows of a reading statement, parameters bound as `{name:Type}`, decimals as strings.

        Raises:
            Busy: it took too long.
            LedgerError: the engine refused it.
        """
        ...

    def written(self, sql: str, form: str, parameters: Mapping[str, Any]) -> bytes:
        """What a reading statement answers in `form`, a format of ClickHouse's, as a whole.

        Raises:
            Busy: it took too long.
            LedgerError: the engine refused it.
        """
        ...

    def file(self, sql: str, form: str, parameters: Mapping[str, Any]) -> Iterator[bytes]:
        """What a reading statement answers in `form`, however much that is, piece by piece.

        Raises:
            LedgerError: the engine refused it.
        """
        ...
