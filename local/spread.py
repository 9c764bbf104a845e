"""Spans where they stand in the bytes of their requests, thousands of them at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tollspan.collector.sealed import Sealed

__all__ = ["Places", "Spread"]

Places = NDArray[np.int64]


class Spread:
    """Spans of some requests, counted through."""

    def __init__(self, sealed: Sequence[Sealed]) -> None:
        sizes = list(map(len, sealed))
        self.bodies = [each.body for each in sealed]
        self.of_sealed: Places = np.repeat(np.arange(len(sealed)), sizes)
        """With which of `sealed` each came."""
        self.firsts: Places = np.cumsum([0, *sizes])
        """The first of each of `sealed`, and how many there are in all."""
        self.begins: Places = np.concatenate([np.asarray(each.begins) for each in sealed])
        self.ends: Places = np.concatenate([np.asarray(each.ends) for each in sealed])

    def __len__(self) -> int:
        return len(self.ends)
