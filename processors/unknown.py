"""Rule 18: something that is no provider and that nothing names answered for one.

An unknown host proves nothing: a vLLM or Ollama server behind any name speaks the same wire. What
proves it is the mark of somebody else on the answer, or a model that only its maker serves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan import semconv

from .models import makers_own
from .receipt import PROVIDER_MARKS, Headers, Receipt, Rule, Said

__all__ = ["HINTS", "UNKNOWN", "seems_passed_on", "unproven"]

HINTS = PROVIDER_MARKS


def seems_passed_on(found: Headers, call: Mapping[str, Any], answered: bool) -> bool:
    """Whether an answer comes from somebody else than the host that gave it."""
    if not HINTS.isdisjoint(found):
        return True
    if not answered:
        return False
    model, asked = call.get(semconv.RESPONSE_MODEL), call.get(semconv.REQUEST_MODEL)
    return isinstance(model, str) and model != asked and makers_own(model) is not None


def unproven(said: Said) -> Receipt:
    """The receipt that nobody wrote."""
    return Receipt(
        name="unknown",
        inferred=True,
        rewrites_model=True,
        requests=1 if said.answered else 0,
    )


UNKNOWN = Rule(
    "unknown",
    unproven,
    tells="that somebody passed the answer on: a provider's own headers, or the dated release of a "
    "model that only its maker serves, from a host that is not the maker's",
    hides="its name, and everything else",
    switch_on="`TOLLSPAN_DIRECT_HOSTS` for hosts that serve models themselves",
    level="",
)
