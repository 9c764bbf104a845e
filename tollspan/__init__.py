"""tollspan: the right price, the right owner and the real path on every LLM call.

The public names are loaded when they are first used, so that importing one part of tollspan never
imports the others.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tollspan.instrumentation import record as record
    from tollspan.launcher import instrument as instrument
    from tollspan.launcher import uninstrument as uninstrument

    from .attribution import attribute as attribute

__version__ = "0.1.0"
__all__ = ["__version__", "attribute", "instrument", "record", "uninstrument"]

_HOME = {
    "attribute": "tollspan.attribution",
    "instrument": "tollspan.launcher",
    "record": "tollspan.instrumentation",
    "uninstrument": "tollspan.launcher",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value
