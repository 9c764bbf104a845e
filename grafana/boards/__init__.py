"""The boards, one module each, in the order in which people read them."""

from __future__ import annotations

from ..board import Board
from . import attribution, budgets, hops, overview, pipeline, quality, reliability, trace, versions

__all__ = ["BOARDS", "number_of", "texts"]

BOARDS: tuple[Board, ...] = (
    overview.BOARD,
    attribution.BOARD,
    versions.BOARD,
    budgets.BOARD,
    reliability.BOARD,
    hops.BOARD,
    trace.BOARD,
    quality.BOARD,
    pipeline.BOARD,
)


def texts() -> dict[str, str]:
    """The file of each board by its uid."""
    return {f"tollspan-{board.uid}": board.text() for board in BOARDS}


def number_of(uid: str, title: str) -> int:
    """The number that links and alert rules name a panel by."""
    (board,) = [board for board in BOARDS if board.uid == uid]
    return board.numbers()[title]
