"""A table of the terminal as HTML, for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .screen import Cell, Column, harmless

__all__ = ["table"]


def table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], below: str) -> str:
    """`rows` with a sentence below them. Whatever a cell says is text; colours are the notebook's."""
    lines = [_line("th", [(column.name, "") for column in columns], columns)] if rows else []
    lines += [_line("td", row, columns) for row in rows]
    body = f"<table>{''.join(lines)}</table>" if lines else ""
    return f"<div>{body}<p>{_text(below)}</p></div>"


def _line(tag: str, row: Sequence[Cell], columns: Sequence[Column]) -> str:
    sides = ("right" if column.right else "left" for column in columns)
    cells = (
        f'<{tag} style="text-align:{side}">{_text(said)}</{tag}>'
        for (said, _), side in zip(row, sides, strict=True)
    )
    return f"<tr>{''.join(cells)}</tr>"


def _text(said: str) -> str:
    return escape(harmless(said).strip())
