"""Cells of a CSV file that somebody will open in a spreadsheet, in Python and as the engine makes them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

__all__ = ["LINES", "csv_line", "number_cell", "safe", "text_cell"]

DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""How a cell begins that a spreadsheet takes for a formula, also behind spaces.
https://owasp.org/www-community/attacks/CSV_Injection"""

LINES = "TSVRaw"
"""A format of ClickHouse that writes one text as it is, and a line feed. Its own CSV puts every text in
quotes, and knows nothing of spreadsheets; every server lets anybody ask for this one, without settings."""

BEGINS = "^ *(?:[=+@\\\\t\\\\r\\\\n-]|＝|＋|－|＠)"
"""`DANGEROUS` as a pattern in a literal of SQL."""


def safe(value: Any) -> Any:
    """A cell that no spreadsheet runs: a text that looks like a formula gets an apostrophe before it."""
    if isinstance(value, dict | list):
        return safe(json.dumps(value, ensure_ascii=False)) if value else ""
    if isinstance(value, str):
        if "\0" in value:
            value = value.replace("\0", "\ufffd")
        return f"'{value}" if value.lstrip(" ").startswith(DANGEROUS) else value
    return value


def text_cell(text: str, *, repeated: bool) -> str:
    """The expression of a cell with the text that the expression `text` has: `safe`, and in quotes where
    it has to be (RFC 4180).

    `repeated`: it is a LowCardinality, so each of its values is looked at once as long as nothing but a
    function of it alone is asked. A column of ever new texts is quicker without patterns that capture.
    """
    plain = f"replaceAll({text}, '\\0', '\ufffd')"
    if repeated:
        guarded = f"replaceRegexpOne({plain}, '({BEGINS})', '''\\\\1')"
        doubled = f"replaceAll({guarded}, '\"', '\"\"')"
        return f"replaceRegexpOne({doubled}, '(?s)^(.*[\",\\\\r\\\\n].*)$', '\"\\\\1\"')"
    guarded = f"if(match({plain}, '{BEGINS}'), concat('''', {plain}), {plain})"
    quoted = f"concat('\"', replaceAll({guarded}, '\"', '\"\"'), '\"')"
    return f"if(multiSearchAny({guarded}, ['\"', ',', '\\r', '\\n']), {quoted}, {guarded})"


def number_cell(number: str) -> str:
    """The expression of a cell with a number; empty where it is not known."""
    return f"ifNull(toString({number}), '')"


def csv_line(cells: Iterable[str]) -> str:
    """The expression of a line with these cells, its line feed (see `LINES`) still to come."""
    row = ", ',', ".join(cells)
    return f"concat({row}, '\\r')"
