"""Whether the part of the ledger that is written in C is there (`local/columns`).

It is built with the package where there is a compiler. Without it nothing is missing but speed: what
it would have taken thousands at once goes through the stage, span by span.
"""

from __future__ import annotations

__all__ = ["IS_COMPILED", "columns"]

try:
    from . import _columns as columns
except ImportError:
    IS_COMPILED = False
else:
    IS_COMPILED = True
