"""Tools: how many definitions a request sends and how many calls an answer makes, and their names.

Names and counts only: descriptions, schemas and arguments are content.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tollspan import semconv

from ._read import items, members, text

__all__ = ["add_called", "add_sent", "name_of"]

_MOST = 128
"""Names kept; no provider allows more tools."""


def name_of(tool: Any) -> str:
    """What a definition or a call is called; a server's own tool goes by its type."""
    held = members(tool)
    stated = (
        text(held.get("name"))
        or text(members(held.get("function")).get("name"))
        or text(members(held.get("custom")).get("name"))
    )
    return stated or (text(held.get("type")) or "unknown").removesuffix("_call")


def add_sent(found: dict[str, Any], definitions: Any) -> None:
    """Add to `found` how many tools are defined, if any are."""
    if names := [name_of(each) for each in items(definitions)]:
        found[semconv.TOOLS_SENT] = len(names)
        found[semconv.TOOLS_SENT_NAMES] = _unique(names)


def add_called(found: dict[str, Any], names: Iterable[str]) -> None:
    """Add to `found` how many calls of tools are made, if any are."""
    if called := list(names):
        found[semconv.TOOLS_CALLED] = len(called)
        found[semconv.TOOLS_CALLED_NAMES] = _unique(called)


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))[:_MOST]
