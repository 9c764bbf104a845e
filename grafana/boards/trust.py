"""The row that stands on every board with money: can these numbers be trusted?"""

from __future__ import annotations

from ..board import Row, link
from ..panels import ANY_IS_BAD, COUNT, SHARE, Column, number
from ..sql import calls

__all__ = ["ROW"]

QUALITY = ("What is missing", link("quality"))
PIPELINE = ("Where it stands", link("pipeline"))

ROW = Row(
    "Can I trust these numbers?",
    [
        number(
            "Without a price",
            "Calls of the range whose model or usage is unknown, so that their money is missing.",
            calls("SELECT countIf(unpriced) AS calls FROM calls"),
            width=6,
            height=3,
            steps=ANY_IS_BAD,
            columns=[Column("calls", COUNT, link=QUALITY)],
        ),
        number(
            "Less certain",
            "Share of the spend in the range that is a lower bound or an estimate, not billed or derived.",
            calls(
                """
SELECT coalesce(toFloat64(sumIf(cost_usd, grade IN ('lower_bound', 'estimated'))), 0)
    / nullIf(toFloat64(sum(cost_usd)), 0) AS share
FROM calls
"""
            ),
            width=6,
            height=3,
            no_value="none priced",
            columns=[Column("share", SHARE, 1, link=QUALITY)],
        ),
        number(
            "Without endpoint or tenant",
            "Share of all calls in the range that state no endpoint or no tenant.",
            calls(
                "SELECT countIf(endpoint = '-' OR tenant = '-') / nullIf(count(), 0) AS share FROM calls"
            ),
            width=6,
            height=3,
            steps=(("text", None), ("orange", 0.05)),
            columns=[Column("share", SHARE, 1, link=QUALITY)],
        ),
        number(
            "Newest call",
            "Time between the newest call of the range and its end: how late the ledger is.",
            calls(
                """
SELECT if(count() = 0, NULL, dateDiff('second', max(at), $__toTime)) AS age FROM calls
"""
            ),
            width=6,
            height=3,
            columns=[Column("age", "s", link=PIPELINE)],
        ),
    ],
)
