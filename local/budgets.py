"""Keeps the budgets of `TOLLSPAN_BUDGETS` in the ledger, as `tollspan up` finds them in the file.

The file is the whole truth: a budget that is not in it any more ends. How it is read says
`tollspan.limits.budgets_file`.
"""

from __future__ import annotations

import time

from tollspan.limits.budgets_file import FILTERS, Budget, BudgetFileError, read

from .ledger import Ledger

__all__ = ["FILTERS", "Budget", "BudgetFileError", "keep", "read"]

THERE = """
SELECT name, filters, period, toString(limit_usd) AS limit_usd, soft_ratio, owner, contact, action,
       enabled, version
FROM budgets FINAL
"""


def keep(ledger: Ledger, budgets: list[Budget]) -> None:
    """Make the ledger's budgets these and no others. Those that are as they were stay untouched.

    Raises:
        LedgerError: the ledger cannot be written.
    """
    there = {row["name"]: row for row in ledger.query(THERE)}
    wanted = {each.name: each.row() for each in budgets}
    ended = {
        name: {**row, "enabled": False}
        for name, row in there.items()
        if name not in wanted and row["enabled"]
    }
    now_ms = time.time_ns() // 1_000_000
    changed = []
    for name, row in {**ended, **wanted}.items():
        before = dict(there.get(name, {}))
        version = before.pop("version", 0)
        if name in ended or row != before:
            changed.append({**row, "version": max(now_ms, version + 1)})
    ledger.insert("budgets", changed)
