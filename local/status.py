"""What `/api/status` tells: where everything is, what came in, what is not right with it."""

from __future__ import annotations

from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from tollspan.config import Settings, settings

if TYPE_CHECKING:
    from .ledger import Ledger  # with its engine, which a stage has not

__all__ = ["in_force", "size", "snippet", "tollspan_version"]

ROWS = """
SELECT sum(rows) AS rows, sum(bytes_on_disk) AS bytes FROM system.parts
WHERE active AND database = currentDatabase() AND table IN ('spans', 'llm_calls', 'llm_hops')
"""


def size(ledger: Ledger) -> dict[str, Any]:
    """Rows and bytes of the ledger, as they lie there."""
    (found,) = ledger.query(ROWS)
    return {"ledger_rows": found["rows"] or 0, "ledger_bytes": found["bytes"] or 0}


def snippet(grpc_endpoint: str) -> str:
    """Two lines of Python that send an application's calls here."""
    return (
        f'import os; os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "{grpc_endpoint}"\n'
        "import tollspan.auto"
    )


def in_force() -> list[dict[str, Any]]:
    """The settings of this process: `{variable, value, default, set, doc}`; secrets are not told."""
    found, usual = settings(), Settings()
    told = []
    for each in fields(Settings):
        value, default = getattr(found, each.name), getattr(usual, each.name)
        secret = not each.repr
        told.append(
            {
                "variable": each.metadata["env"],
                "value": ("(set)" if value else "") if secret else _written(value),
                "default": _written(default),
                "set": value != default,
                "doc": each.metadata["doc"],
            }
        )
    return told


def _written(value: Any) -> str:
    """A setting as one would write it in the environment."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join("=".join(each) if isinstance(each, tuple) else each for each in value)
    return str(value)


def tollspan_version() -> str:
    try:
        return version("tollspan")
    except PackageNotFoundError:
        return "not installed"
