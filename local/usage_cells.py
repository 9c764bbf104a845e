"""Cells of a CSV file that somebody will open in a spreadsheet."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["safe"]

DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""How a cell begins that a spreadsheet takes for a formula, also behind spaces.
https://owasp.org/www-community/attacks/CSV_Injection"""


def safe(value: Any) -> Any:
    """A cell that no spreadsheet runs: a text that looks like a formula gets an apostrophe before it."""
    if isinstance(value, dict | list):
        return safe(json.dumps(value, ensure_ascii=False)) if value else ""
    if isinstance(value, str):
        if "\0" in value:
            value = value.replace("\0", "\ufffd")
        return f"'{value}" if value.lstrip(" ").startswith(DANGEROUS) else value
    return value
