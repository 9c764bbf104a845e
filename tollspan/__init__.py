"""tollspan: the right price, the right owner and the real path on every LLM call.

The public names are loaded when they are first used, so that importing one part of tollspan never
imports the others.

PYTEST_DONT_REWRITE: under `tollspan run -- pytest` this is imported before pytest, which warns of a
plugin's package that it cannot rewrite any more; nothing in here asserts for a test.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tollspan.instrumentation import record as record
    from tollspan.instrumentation._wire import wire as wire
    from tollspan.launcher import instrument as instrument
    from tollspan.launcher import uninstrument as uninstrument
    from tollspan.launcher.leaving import flush as flush
    from tollspan.launcher.tally import tally as tally
    from tollspan.limits.budgets_block import budget as budget
    from tollspan.limits.budgets_exceeded import BudgetExceeded as BudgetExceeded
    from tollspan.limits.failover import failover as failover
    from tollspan.limits.guards import CircuitOpen as CircuitOpen
    from tollspan.limits.health import health as health
    from tollspan.limits.retries import RetriesExceeded as RetriesExceeded

    from .attribution import attribute as attribute
    from .client import Client as Client

__version__ = "0.1.0"
__all__ = [
    "BudgetExceeded",
    "CircuitOpen",
    "Client",
    "RetriesExceeded",
    "__version__",
    "attribute",
    "budget",
    "failover",
    "flush",
    "health",
    "instrument",
    "record",
    "tally",
    "uninstrument",
    "wire",
]

_HOME = {
    "BudgetExceeded": "tollspan.limits.budgets_exceeded",
    "CircuitOpen": "tollspan.limits.guards",
    "RetriesExceeded": "tollspan.limits.retries",
    "Client": "tollspan.client",
    "attribute": "tollspan.attribution",
    "budget": "tollspan.limits.budgets_block",
    "failover": "tollspan.limits.failover",
    "flush": "tollspan.launcher.leaving",
    "health": "tollspan.limits.health",
    "instrument": "tollspan.launcher",
    "record": "tollspan.instrumentation",
    "tally": "tollspan.launcher.tally",
    "uninstrument": "tollspan.launcher",
    "wire": "tollspan.instrumentation._wire",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value
