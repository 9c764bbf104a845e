"""Who owns the money of a call that is made inside another, here or in a caller's process."""

from __future__ import annotations

from typing import Any

from tollspan import calls, semconv

from ._attempts import owner_of

__all__ = ["belong", "join"]


def belong(attributes: dict[str, Any], outer: calls.OpenCall) -> None:
    """Mark a call inside another: the outermost one owns the money."""
    while outer.outer is not None:
        outer = outer.outer
    attributes[semconv.COST_ROLE] = "restated"
    if semconv.REQUEST_ID in outer.attributes:
        attributes[semconv.REQUEST_ID] = outer.attributes[semconv.REQUEST_ID]
    if owner := owner_of(outer):
        attributes[semconv.OWNER_SPAN_ID] = owner


def join(attributes: dict[str, Any], owner: str) -> None:
    """Mark a call that is made for a request out of another process's call, `owner`."""
    attributes[semconv.COST_ROLE] = "restated"
    attributes[semconv.OWNER_SPAN_ID] = owner
