"""Rule 18: something that is no provider and that nothing names answered for one.

An unknown host proves nothing: a vLLM or Ollama server behind any name speaks the same wire. What
proves it is the mark of somebody else on the answer, or a model that only its maker serves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tollspan import semconv

from .receipt import PROVIDER_MARKS, Headers, Receipt, Rule, Said

__all__ = ["HINTS", "UNKNOWN", "seems_passed_on", "unproven"]

HINTS = PROVIDER_MARKS

_MAKERS_OWN = (
    r"(?:gpt-(?!oss|neo|j\b|2\b)[0-9]|o[1-9](?:-|$)|chatgpt-|claude-|gemini-|text-embedding-[3a])"
    r".*-(?:20\d{2}-?[01]\d-?[0-3]\d|\d{4})"
)
"""A dated release of a model whose weights nobody else has. The date matters: a server of one's
own repeats the name that it was started with (`--served-model-name gpt-4o`)."""


def seems_passed_on(found: Headers, call: Mapping[str, Any], answered: bool) -> bool:
    """Whether an answer comes from somebody else than the host that gave it."""
    if not HINTS.isdisjoint(found):
        return True
    if not answered:
        return False
    model, asked = call.get(semconv.RESPONSE_MODEL), call.get(semconv.REQUEST_MODEL)
    return isinstance(model, str) and model != asked and re.match(_MAKERS_OWN, model) is not None


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
