"""Makes a call cheaper before it leaves: another model, a shorter answer, no tools.

What the wire of a call can say of that knows the instrumentation (`tollspan.calls.Sending.less`).
"""

from __future__ import annotations

from tollspan import semconv
from tollspan.calls import Less, OpenCall

__all__ = ["degrade"]


def degrade(call: OpenCall, wanted: Less) -> bool:
    """Have `call` ask for less; whether anything is other than the caller wanted it."""
    asked = call.attributes.get(semconv.REQUEST_MODEL)
    if call.sending is None or not call.sending.less(wanted):
        return False
    if call.attributes.get(semconv.REQUEST_MODEL) != asked and isinstance(asked, str):
        call.attributes.setdefault(semconv.BUDGET_MODEL_ASKED, asked)
    return True
