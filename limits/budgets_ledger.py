"""What the ledger says of budgets: `GET /v1/budgets` of `tollspan up`, or of whoever serves it.

Asked in the background only; an answer that makes no sense is none.
"""

from __future__ import annotations

import http.client
import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from opentelemetry import context
from opentelemetry.instrumentation.utils import suppress_instrumentation

from tollspan.config import settings

from .budgets_file import FILTERS, MOST_USD, PERIODS, TAG, Budget

__all__ = ["LedgerSays", "NoAnswer", "asked"]

_TIMEOUT_S = 3.0
_LARGEST = 4_000_000
_MOST = 500


class NoAnswer(Exception):
    """Nobody is there, or what came is no list of budgets."""


@dataclass(frozen=True, slots=True)
class LedgerSays:
    """One budget, and what of it is spent in the period that begins at `begin` (epoch seconds)."""

    budget: Budget
    begin: float
    spent_usd: Decimal


def asked(url: str) -> list[LedgerSays]:
    """Every budget that the server at `url` tells of.

    Raises:
        NoAnswer: see there.
    """
    token = settings().token
    headers = {"accept": "application/json"} | (
        {"authorization": f"Bearer {token}"} if token else {}
    )
    request = urllib.request.Request(f"{url.rstrip('/')}/v1/budgets", headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    before = context.attach(context.Context())
    try:
        with suppress_instrumentation(), opener.open(request, timeout=_TIMEOUT_S) as answer:
            told = json.loads(answer.read(_LARGEST))
    except (OSError, ValueError, RecursionError, http.client.HTTPException) as error:
        raise NoAnswer(f"{url} does not tell of budgets ({type(error).__name__})") from error
    finally:
        context.detach(before)
    rows = told.get("budgets") if isinstance(told, dict) else None
    if not isinstance(rows, list):
        raise NoAnswer(f"{url} does not tell of budgets (what came is no list)")
    return [each for row in rows[:_MOST] if (each := _read(row)) is not None]


def _read(row: Any) -> LedgerSays | None:
    """None for a row that is no budget."""
    if not isinstance(row, Mapping):
        return None
    filters = row.get("filters")
    name, period = row.get("name"), row.get("period")
    if not isinstance(filters, Mapping) or not isinstance(name, str) or period not in PERIODS:
        return None
    if not all(
        (key in FILTERS or str(key).startswith(TAG)) and isinstance(value, str)
        for key, value in filters.items()
    ):
        return None
    try:
        limit, spent = Decimal(row["limit_usd"]), Decimal(row["spent_usd"])
        soft = Decimal(row["soft_usd"])
        begin = datetime.fromisoformat(row["period_start"]).timestamp()
    except (KeyError, TypeError, ValueError, InvalidOperation):
        return None
    if not (limit.is_finite() and spent.is_finite() and soft.is_finite()):
        return None
    if not (0 < limit < MOST_USD and 0 <= spent < MOST_USD and 0 < soft <= limit):
        return None
    budget = Budget(
        name=name,
        limit_usd=limit,
        filters=dict(filters),
        period=period,
        soft_ratio=float(soft / limit),
        owner=str(row.get("owner") or ""),
        contact=str(row.get("contact") or ""),
        action=str(row.get("action") or ""),
    )
    return LedgerSays(budget, begin, spent)
