"""What `/api/status` tells: where everything is, what came in, what is not right with it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .ledger import Ledger
from .queries import UNPRICED

__all__ = ["counts", "snippet", "tollspan_version"]

COUNTS = f"""
SELECT count() AS calls, countIf(cost_usd IS NOT NULL) AS priced_calls,
       countIf{UNPRICED} AS unpriced_calls, countIf(endpoint = '') AS untagged_calls
FROM tollspan_calls
"""
UNPRICED_MODELS = f"""
SELECT provider, coalesce(nullIf(response_model, ''), request_model) AS model, count() AS calls
FROM tollspan_calls WHERE {UNPRICED} AND unpriced_reason != 'no_usage'
GROUP BY provider, model ORDER BY calls DESC, provider, model LIMIT 20
"""
ROWS = """
SELECT sum(rows) AS rows, sum(bytes_on_disk) AS bytes FROM system.parts
WHERE active AND database = currentDatabase() AND table IN ('spans', 'llm_calls', 'llm_hops')
"""


def counts(ledger: Ledger) -> dict[str, Any]:
    """Counts over the whole ledger."""
    found = ledger.query(COUNTS)[0]
    size = ledger.query(ROWS)[0]
    found["unpriced_models"] = ledger.query(UNPRICED_MODELS)
    found["ledger_rows"] = size["rows"] or 0
    found["ledger_bytes"] = size["bytes"] or 0
    return found


def snippet(grpc_endpoint: str) -> str:
    """Two lines of Python that send an application's calls here."""
    return (
        f'import os; os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "{grpc_endpoint}"\n'
        "import tollspan.auto"
    )


def tollspan_version() -> str:
    try:
        return version("tollspan")
    except PackageNotFoundError:
        return "not installed"
