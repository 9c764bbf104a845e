"""Where each budget stands, for the page and the terminal."""

from __future__ import annotations

from typing import Any

from .ledger import Ledger
from .queries import iso

__all__ = ["budgets"]

BUDGETS = """
SELECT name, filters, period, toUnixTimestamp(period_start) AS starts_s,
       toUnixTimestamp(period_end) AS ends_s, limit_usd, soft_usd,
       spent_usd, calls, unpriced_calls, ratio, projected_usd, state, owner, contact, action
FROM tollspan_budgets
ORDER BY indexOf(['hard', 'soft', 'ok'], state), ratio DESC NULLS LAST, name
LIMIT 500
"""


def budgets(ledger: Ledger) -> list[dict[str, Any]]:
    """Every enabled budget, those in trouble first. Amounts are decimal strings in US dollars."""
    rows = ledger.query(BUDGETS)
    for row in rows:
        row["period_start"] = iso(row.pop("starts_s") * 1000)
        row["period_end"] = iso(row.pop("ends_s") * 1000)
        for name in ("owner", "contact", "action"):
            row[name] = row[name] or None
    return rows
