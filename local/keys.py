"""Keys that join calls which go straight to other traces: what it names, and a text of each call."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tollspan.collector.links import ANSWER, EXTERNAL

from .coded import Coded
from .native import Data
from .seen import Hashes, of_rows
from .strings import Strings, trimmed

__all__ = ["STANDING", "Keys"]

STANDING = {ANSWER: "response_id", EXTERNAL: "request_id"}
"""What keys begin with that stand in a column of `llm_calls`, too: of calls that go straight there only."""


class Keys:
    """One key of each of some calls: `prefix` and a text."""

    def __init__(self, prefix: str, of: Coded) -> None:
        self._prefix = prefix
        self._of = of

    @property
    def stands(self) -> bool:
        """Whether calls with this key can be found by what stands in their rows."""
        return self._prefix in STANDING

    def of(self, which: NDArray[np.bool_]) -> Keys:
        """Of some of the calls."""
        return Keys(self._prefix, self._of.of(which))

    def texts(self) -> list[str]:
        """The key of each call."""
        known = [self._prefix + text for text in self._of.known]
        return [known[code] for code in self._of.codes.tolist()]

    def hashes(self) -> Hashes:
        """As `seen.of_texts` has them, of each call."""
        found: Hashes = of_rows(self._table.view(np.uint64))[self._of.codes]
        return found

    def strings(self) -> Data:
        """The key of each call as data of a String column."""
        sizes = self._of.texts.sizes + len(self._prefix)
        table = np.empty((len(sizes), 1 + self._table.shape[1]), np.uint8)
        table[:, 0] = sizes - 1
        table[:, 1:] = self._table
        return Strings.sized(trimmed(table, sizes), sizes).taken(self._of.codes)

    @cached_property
    def _table(self) -> NDArray[np.uint8]:
        """Keys as rows, zeros behind each."""
        texts = self._of.texts.rows().view(np.uint8)
        before, width = len(self._prefix), texts.shape[1] - 1
        table = np.zeros((len(texts), -(-(before + width) // 8) * 8), np.uint8)
        table[:, :before] = np.frombuffer(self._prefix.encode(), np.uint8)
        table[:, before : before + width] = texts[:, 1:]
        return table
